"""The over-sampler: what `fit_resample` promises, for every method, with networks or without."""

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Self

import numpy as np
import pandas as pd
import scipy.sparse as sp
import torch
from imblearn.over_sampling.base import BaseOverSampler
from sklearn.utils.metadata_routing import UNUSED
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from latentover.estimators.base import BaseDeepEstimator, TrainingSet, check_lengths
from latentover.estimators.containers import Container
from latentover.estimators.generator import BaseGenerator, joined
from latentover.estimators.labels import check_labels, check_sample_weight, check_strategy
from latentover.estimators.validation import check_request
from latentover.training import draw_seed, memory_kept


@dataclass(kw_only=True, eq=False, repr=False)
class BaseSampler(BaseGenerator, BaseOverSampler):
    """An imbalanced-learn over-sampler; a method adds `_generate`, and `_fit_generator` if it learns something.

    Parameters
    ----------
    sampling_strategy : str, float, dict or callable, default="auto"
        As in imbalanced-learn: which classes are brought to how many samples. ``"auto"`` brings every class to the
        size of the largest; a dict gives final totals.
    keep_index : {"reset", "original"}, default="reset"
        The index of resampled pandas data: 0, 1, 2, ..., or the original rows keep theirs, and the new rows count on
        after the largest number, or are called ``"synthetic_0"``, ... where the index does not hold whole numbers; of
        an index of several levels each level does so.
    small_class, base_selection, clip, constraints
        See `BaseGenerator`.
    image_shape, channels_last, numbers, categorical_features, identifiers, new_identifiers, missing, device,
    random_state, verbose
        See `BaseDataEstimator`.

    Attributes
    ----------
    sampling_strategy_ : dict
        How many samples of which class `fit_resample` adds.
    synthetic_mask_ : ndarray of bool of shape (n_resampled,)
        Which rows of the last `fit_resample` are new.
    sample_origin_ : ndarray of int of shape (n_resampled,)
        The row of X that each row is; -1 for a new one.
    parents_ : ndarray of int of shape (n_resampled, t)
        The rows of X that each row was made from; an original's own row, repeated. t is 0 for a method that draws from
        a distribution.
    mix_weights_ : ndarray of shape (n_resampled, t)
        With which weights.
    sample_weight_ : ndarray of shape (n_resampled,)
        Weights of the resampled rows: 1 where none were given; a new row has the mixture of its parents' weights, or
        its class's mean weight where it has no parents.
    """

    sampling_strategy: Any = "auto"
    keep_index: Literal["reset", "original"] = "reset"

    sampling_strategy_: dict[Any, int] = field(init=False)
    synthetic_mask_: np.ndarray = field(init=False)
    sample_origin_: np.ndarray = field(init=False)
    parents_: np.ndarray = field(init=False)
    mix_weights_: np.ndarray = field(init=False)
    sample_weight_: np.ndarray = field(init=False)
    _container: Container | None = field(init=False, default=None)

    # Pipelines route weights to `fit_resample` alone.
    __metadata_request__fit: ClassVar = {"sample_weight": UNUSED}

    def _fit_generator(self, inputs: Tensor, labels: Tensor, generator: torch.Generator) -> None:
        """Learn from encoded rows (n, ...) with class numbers (n,), and fill `tensors_` with what `_generate` needs.

        The default keeps the rows themselves, ``"inputs"`` beside ``"labels"``; such a sampler is not saved to bundles,
        which hold no training row.
        """
        if inputs.dtype == torch.uint8 and inputs.device.type == "cpu":
            inputs = inputs.clone()  # the memory is the user's own, who may change it
        self.tensors_ = {"inputs": inputs, "labels": labels}

    def _learn(self, data: TrainingSet) -> None:
        self._fit_generator(data.inputs, data.labels, data.generator)

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train the generator on X and y, without resampling; `sample` works afterwards.

        Parameters
        ----------
        X : array of shape (n, d), (n, c, h, w), or (n, h, w, c) with ``channels_last=True``; or a frame
        y : array-like of shape (n,)
        sample_weight : array-like of shape (n,), optional
            Rows are drawn as parents in proportion to these, which are 0 or more; see `fit_resample`.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            As `fit_resample`.
        """
        X, y, _ = self._check_X_y(X, y)
        self._train(X, y, check_sample_weight(sample_weight, y))
        return self

    def fit_resample(self, X: Any, y: Any, sample_weight: Any = None) -> tuple[Any, Any]:
        """Train on X and y, and return them with new samples of the rare classes after them.

        Parameters
        ----------
        X : array of shape (n, d), (n, c, h, w), or (n, h, w, c) with ``channels_last=True``; or a frame
            A list, NumPy array, SciPy sparse matrix, or pandas or polars frame; or a list of image files and images of
            Pillow, behind which new images of Pillow are returned.
        y : array-like of shape (n,)
            Labels of any type that scikit-learn accepts, or a one-hot row (n, C) each.
        sample_weight : array-like of shape (n,), optional
            Rows are drawn as parents in proportion to these, which are 0 or more; a row of weight 0 is no parent. The
            resampled rows' weights are in ``sample_weight_``.

        Returns
        -------
        X_resampled : of the type, layout, dtypes and columns of X
            The rows of X, unchanged and in their order, and then the new ones class by class.
        y_resampled : of the type of y

        Raises
        ------
        ValueError, TypeError
            If the data or a parameter cannot be worked with; nothing has been trained then.
        """
        native_y = np.ravel(y) if isinstance(y, np.ndarray) and y.ndim == 2 and y.shape[1] == 1 else y
        features, target = Container.of_samples(X), Container.of(native_y)
        X, y, one_hot = self._check_X_y(X, y)
        with memory_kept():
            originals, new_X, new_y = self._resample(X, y, check_sample_weight(sample_weight, y))
        kept = self.sample_origin_[~self.synthetic_mask_]
        new_target = new_y
        if one_hot:
            new_target = np.eye(np.shape(native_y)[1], dtype=np.asarray(native_y).dtype)[new_y.astype(int)]
        if originals is None:
            X_resampled, y_resampled = features.append(new_X), target.append(new_target)
        else:
            labels = np.asarray(target.frame)[kept]
            X_resampled = features.restore(joined([originals, new_X]))
            y_resampled = target.restore(np.concatenate([labels, new_target]))
        index = features.index if features.index is not None else target.index
        if index is not None and self.keep_index == "original":
            index = _longer_index(index, kept, len(new_y))
            for resampled in (X_resampled, y_resampled):
                if isinstance(resampled, pd.DataFrame | pd.Series):
                    resampled.index = index
        return X_resampled, y_resampled

    def _check_X_y(  # noqa: N802 - imbalanced-learn's hook
        self, X: Any, y: Any, accept_sparse: Any = None
    ) -> tuple[Any, np.ndarray, bool]:
        """Return X and labels (n,) that can be worked with, and whether y was one-hot; set `sampling_strategy_`."""
        y, one_hot = check_labels(y)
        container = Container.of_samples(X)
        X = self._check_input(X, reset=True)
        self._container = container.without_rows() if container.kind in ("pandas", "polars") else None
        check_lengths(X, y)
        self.sampling_strategy_ = check_strategy(self.sampling_strategy, y)
        check_request("sampling_strategy", sum(self.sampling_strategy_.values()), X.shape[1:])
        return X, y, one_hot

    def _fit_resample(self, X: Any, y: np.ndarray, sample_weight: Any = None) -> tuple[Any, np.ndarray]:
        """Return validated data and the new rows after it, in the types of the validated data."""
        originals, new_X, new_y = self._resample(X, y, sample_weight)
        kept = self.sample_origin_[~self.synthetic_mask_]
        return joined([X if originals is None else originals, new_X]), np.concatenate([y[kept], new_y])

    def _resample(self, X: Any, y: np.ndarray, sample_weight: np.ndarray | None) -> tuple[Any, Any, np.ndarray]:
        """Learn from validated data, generate, and record where every row is from.

        Returns
        -------
        originals : array or frame, or None
            What remains of X, where the method moves or removes rows of it; None where all stay as they are.
        new_X : array or frame
        new_y : ndarray
        """
        self._train(X, y, sample_weight)
        self.sampling_strategy_ = {
            label: self._n_new(int(np.flatnonzero(self.classes_ == label)[0]), count)
            for label, count in self.sampling_strategy_.items()
        }
        seed = draw_seed(self.random_state)
        new_X: list[Any] = []
        new_y, parents, mix_weights = [], [], []
        for label, count in self.sampling_strategy_.items():
            if count == 0:
                continue
            number = int(np.flatnonzero(self.classes_ == label)[0])
            samples, their_parents, their_weights = self._sample(number, count, seed)
            new_X.append(samples)
            new_y.append(np.full(count, label, dtype=y.dtype))
            parents.append(their_parents)
            mix_weights.append(their_weights)
        kept, originals = self._kept_rows()
        self._record_provenance(np.arange(len(y)) if kept is None else kept, parents, mix_weights)
        labels = np.concatenate([y[:0], *new_y])
        self._record_weights(sample_weight, y, labels)
        new_rows = self._with_identifiers(joined(new_X), seed, X) if new_X else X[:0]
        return originals, new_rows, labels

    def _n_new(self, label: int, n: int) -> int:
        """Return how many samples of class number `label` are added where `sampling_strategy` asks for n.

        A method that cleans may add fewer.
        """
        small = self.class_counts_[label] < self._rows_needed()
        return 0 if small and self.small_class == "skip" else n

    def _kept_rows(self) -> tuple[np.ndarray | None, Any]:
        """Return the numbers of the rows of X that remain, and what they have become, in the type of the data.

        None and None, the default, leave every row as it is; a method that cleans overrides it.
        """
        return None, None

    def _state(self) -> dict[str, Any]:
        return super()._state() | {"polars_types": self._container and self._container.polars_types}

    def _restore_state(self, state: dict[str, Any]) -> None:
        super()._restore_state(state)
        types = state.get("polars_types")
        self._container = None if types is None else Container.of_polars_types(types)

    def _in_kind(self, rows: Any) -> Any:
        """Return generated rows as a frame of the kind that X was, or as the array that they are."""
        return rows if self._container is None else self._container.restore(rows)

    def _record_provenance(self, kept: np.ndarray, parents: list[np.ndarray], weights: list[np.ndarray]) -> None:
        n, t = len(kept), parents[0].shape[1] if parents else 1
        added = sum(map(len, parents))
        self.synthetic_mask_ = np.arange(n + added) >= n
        self.sample_origin_ = np.concatenate([kept, np.full(added, -1)])
        self.parents_ = np.concatenate([np.tile(kept[:, None], t), *parents])
        self.mix_weights_ = np.concatenate([np.full((n, t), 1 / max(t, 1)), *weights])

    def _record_weights(self, weights: np.ndarray | None, y: np.ndarray, new_y: np.ndarray) -> None:
        if weights is None:
            self.sample_weight_ = np.ones(len(self.synthetic_mask_))
            return
        if self.parents_.shape[1] > 0:
            shares = self.mix_weights_[self.synthetic_mask_]
            shares = shares / shares.sum(axis=1, keepdims=True)  # a method may name its main parents alone
            made = (weights[self.parents_[self.synthetic_mask_]] * shares).sum(axis=1)
        else:
            means = {label: weights[y == label].mean() for label in np.unique(new_y).tolist()}
            made = np.array([means[label] for label in new_y.tolist()])
        self.sample_weight_ = np.concatenate([weights[self.sample_origin_[~self.synthetic_mask_]], made])

    def to_frame(self, X_resampled: Any, y_resampled: Any) -> pd.DataFrame:
        """Return what the last `fit_resample` returned with its provenance, in one frame.

        Parameters
        ----------
        X_resampled, y_resampled
            As `fit_resample` returned them; a pandas frame keeps its index.

        Returns
        -------
        pandas frame
            The columns of a table X, but not the pixels of images; the labels, under the name of `y_resampled` or
            ``"target"``; and ``"synthetic"``, ``"origin"``, ``"parent_0"``, ..., ``"mix_weight_0"``, ... and
            ``"sample_weight"``, which are the attributes of these names.

        Raises
        ------
        ValueError
            If the lengths are not those of the last `fit_resample`, or a column of X has one of these names.
        """
        check_is_fitted(self, "synthetic_mask_")
        n = len(self.synthetic_mask_)
        lengths = [X.shape[0] if hasattr(X, "shape") else len(X) for X in (X_resampled, y_resampled)]
        if lengths != [n, n]:
            raise ValueError(
                f"Expected X_resampled and y_resampled to be the {n} rows of the last fit_resample, but got "
                f"{lengths[0]} and {lengths[1]} rows; pass what it returned."
            )
        X_resampled, y_resampled = Container.of_samples(X_resampled).frame, Container.of(y_resampled).frame
        if sp.issparse(X_resampled):
            X_resampled = X_resampled.toarray()
        if not isinstance(X_resampled, pd.DataFrame):
            table = np.asarray(X_resampled) if np.ndim(X_resampled) == 2 else np.empty((n, 0))
            X_resampled = pd.DataFrame(table, columns=[f"x{i}" for i in range(table.shape[1])])
        columns: dict[str, Any] = {
            getattr(y_resampled, "name", None) or "target": getattr(y_resampled, "array", y_resampled),
            "synthetic": self.synthetic_mask_,
            "origin": self.sample_origin_,
            **{f"parent_{i}": self.parents_[:, i] for i in range(self.parents_.shape[1])},
            **{f"mix_weight_{i}": self.mix_weights_[:, i] for i in range(self.mix_weights_.shape[1])},
            "sample_weight": self.sample_weight_,
        }
        taken = [name for name in columns if name in X_resampled.columns]
        if taken:
            raise ValueError(
                f"Expected X_resampled to have other columns than {taken}, but got them; rename them first."
            )
        return pd.concat([X_resampled, pd.DataFrame(columns, index=X_resampled.index)], axis=1)


def _longer_index(index: pd.Index, kept: np.ndarray, added: int) -> pd.Index:
    """Return the labels of the rows that were kept, and new ones for those that were added, level by level."""
    if isinstance(index, pd.MultiIndex):
        levels = [_longer_index(index.get_level_values(i), kept, added) for i in range(index.nlevels)]
        return pd.MultiIndex.from_arrays(levels, names=index.names)
    old = index[kept]
    if added == 0:
        return old
    if not (pd.api.types.is_integer_dtype(index.dtype) and index.notna().any()):
        return old.append(pd.Index([f"synthetic_{i}" for i in range(added)])).set_names(index.names)
    first = int(index.max()) + 1
    numbers = range(first, first + added)
    try:
        longer = old.append(pd.Index([*numbers], dtype=index.dtype))
    except (OverflowError, TypeError, ValueError):  # its type does not reach so far
        longer = pd.Index([*old, *numbers], dtype=object).infer_objects()
    return longer.set_names(index.names)


@dataclass(kw_only=True, eq=False, repr=False)
class BaseDeepSampler(BaseSampler, BaseDeepEstimator):
    """An over-sampler around trained networks; a method adds `_build_networks`, `_program` and `_generate`."""

    def _learn(self, data: TrainingSet) -> None:
        BaseDeepEstimator._learn(self, data)
