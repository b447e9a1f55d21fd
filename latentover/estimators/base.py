"""The two base classes: what every deep classifier and every sampler does, whatever its method.

A method writes two hooks, `_build_networks` and `_fit_networks`, and a third one for what it is used for: `_logits`
to classify, `_generate` to sample. The public verbs are final here.
"""

import copy
import hashlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
import scipy.sparse as sp
import torch
from imblearn.over_sampling.base import BaseOverSampler
from imblearn.utils import check_sampling_strategy, check_target_type
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data
from torch import Tensor, nn

from latentover.estimators.formats import Format, ImageFormat, format_from_dict, learn_format
from latentover.estimators.validation import check_class_sizes, check_dense_size, check_parameters, check_table
from latentover.estimators.watch import StoppableTraining, validation_rows
from latentover.networks import check_input_shape
from latentover.training import (
    COLLAPSED,
    Checkpoint,
    CollapseWarning,
    Randomness,
    diversity_ratio,
    draw_seed,
    parallel,
    resolve_device,
    resolve_precision,
    seeded,
)
from latentover.training.checkpoints import Stateful
from latentover.training.loop import History

PREDICT_BATCH = 1024
DIVERSITY_SAMPLES = 64
"""Samples of each class, real and generated, whose distances are compared after training."""
_NOT_LEARNED_FROM = {"checkpoint", "checkpoint_every", "device", "verbose"}
"""Parameters that do not change what is learned."""


@dataclass(frozen=True)
class TrainingSet:
    """The training data on the device.

    Attributes
    ----------
    inputs : Tensor of shape (n, ...)
        As the format encodes them; `prepare` makes a batch of them ready for a network.
    labels : integer Tensor of shape (n,)
        Class numbers 0..C-1.
    class_counts : integer Tensor of shape (C,)
    prepare : callable
    dtype : torch.dtype
        In which the passes run.
    generator : torch.Generator
    validation : (Tensor, Tensor) or None
        Inputs and labels that were set aside for early stopping.
    checkpoint : Checkpoint or None
        Where the training is kept while it runs.
    """

    inputs: Tensor
    labels: Tensor
    class_counts: Tensor
    prepare: Callable[[Tensor], Tensor]
    dtype: torch.dtype
    generator: torch.Generator
    validation: tuple[Tensor, Tensor] | None = None
    checkpoint: Checkpoint | None = None

    @property
    def device(self) -> torch.device:
        """Where everything is."""
        return self.inputs.device

    @property
    def n_classes(self) -> int:
        """Number of classes C."""
        return len(self.class_counts)

    @property
    def randomness(self) -> Stateful:
        """The state of everything that draws."""
        return Randomness(self.generator)

    @property
    def validation_batches(self) -> Callable[[], Iterator[tuple[Tensor, Tensor]]] | None:
        """What was set aside, batch by batch and ready for a network; None if nothing was."""
        if self.validation is None:
            return None
        inputs, labels = (tensor.split(PREDICT_BATCH) for tensor in self.validation)
        return lambda: ((self.prepare(x), y) for x, y in zip(inputs, labels, strict=True))


@dataclass(frozen=True)
class Synthetic:
    """What a method generated for one class.

    Attributes
    ----------
    outputs : Tensor of shape (n, ...)
        In the networks' range.
    parents : ndarray of shape (n, t)
        Rows of the training data that each sample was made from.
    weights : ndarray of shape (n, t)
        With which weights.
    """

    outputs: Tensor
    parents: np.ndarray
    weights: np.ndarray


@dataclass(kw_only=True, eq=False, repr=False)
class BaseDeepEstimator(BaseEstimator):
    """Validation, device, seed and training that all methods share.

    Every class declares its own parameters once, as the fields of a dataclass: the constructor, with those of the
    classes it stands on, is made from them. Fields that end in an underscore are learned in `fit`.

    Parameters
    ----------
    image_shape : (c, h, w), optional
        Says that the rows of a two-dimensional X are images.
    channels_last : bool, default=False
        Whether images come as (n, h, w, c).
    device : str, default="auto"
        ``"auto"`` is CUDA where there is one, otherwise the CPU.
    precision : {"auto", "float32", "bfloat16"}, default="auto"
        Of the training passes; ``"auto"`` is bfloat16 for images where the hardware computes in it.
    random_state : int, RandomState or None
        The same integer gives the same model on the same machine; the global generators stay untouched.
    verbose : {0, 1}, default=0
        1 shows a progress bar, or some lines where stderr is no terminal.
    checkpoint : path, optional
        A file in which the training is kept while it runs. Where it is there, `fit` goes on from it and ends at the
        weights (on the CPU to the bit) that it would have ended at; a file of another training is an error. Removed
        when training is complete.
    checkpoint_every : int, default=1000
        Training steps between two writes of it.
    compile : bool, default=False
        Whether the networks run through `torch.compile`: slow to start, faster afterwards; worth it on a GPU.

    Attributes
    ----------
    classes_ : ndarray of shape (C,)
        Labels, sorted.
    class_counts_ : ndarray of shape (C,)
        Training samples of each class.
    networks_ : nn.Module
    history_ : list of dict
        One row a report: step, seconds and mean losses.
    device_ : torch.device
    """

    image_shape: tuple[int, int, int] | None = None
    channels_last: bool = False
    device: str = "auto"
    precision: str = "auto"
    random_state: Any = None
    verbose: int = 0
    checkpoint: str | None = None
    checkpoint_every: int = 1000
    compile: bool = False

    classes_: np.ndarray = field(init=False)
    class_counts_: np.ndarray = field(init=False)
    format_: Format = field(init=False)
    device_: torch.device = field(init=False)
    networks_: Any = field(init=False)
    tensors_: dict[str, Tensor] = field(init=False)
    history_: History = field(init=False)

    _choices: ClassVar[dict[str, tuple[Any, ...]]] = {}
    """Parameters that take one of a few values, and those values."""

    _training_only: ClassVar[tuple[str, ...]] = ()
    """Networks that nothing needs after training; they are not saved."""

    def _build_networks(self) -> nn.Module:
        """Return untrained networks for `format_` and `classes_`."""
        raise TypeError(f"{type(self).__name__} has to define _build_networks.")

    def _fit_networks(self, data: TrainingSet) -> History:
        """Train `networks_` and return the history."""
        raise TypeError(f"{type(self).__name__} has to define _fit_networks.")

    def _check_settings(self) -> list[str]:
        """Return what is wrong with parameters that do not go together, as "x to be ..., but got ..."."""
        return []

    def _train(self, X: Any, y: np.ndarray) -> None:
        check_parameters(self)
        self.classes_, labels = np.unique(y, return_inverse=True)
        self.class_counts_ = np.bincount(labels)
        check_class_sizes(self.classes_, self.class_counts_, getattr(self, "small_class", None))
        self.format_ = learn_format(X, image_shape=self.image_shape, channels_last=self.channels_last)
        check_input_shape(self.format_.shape)
        self.device_ = resolve_device(self.device)
        images = isinstance(self.format_, ImageFormat)
        dtype = resolve_precision(self.precision, self.device_, images=images)
        with seeded(draw_seed(self.random_state), self.device_) as generator:
            self.networks_ = self._build_networks().to(self.device_)
            if images:
                self.networks_ = self.networks_.to(memory_format=torch.channels_last)
            data = self._training_set(X, torch.from_numpy(labels), dtype, generator)
            self.tensors_ = {}
            self.networks_.train()
            self.history_ = self._fit_networks(data)
            parallel.average_buffers(self.networks_)
            self.networks_.eval()
            self._after_training(data)

    def _training_set(self, X: Any, labels: Tensor, dtype: torch.dtype, generator: torch.Generator) -> TrainingSet:
        inputs, labels = self.format_.encode(X).to(self.device_), labels.to(self.device_)
        checkpoint = None
        if self.checkpoint is not None:
            checkpoint = Checkpoint(self.checkpoint, self.checkpoint_every, self._fingerprint(inputs, labels))
        validation = None
        if isinstance(self, StoppableTraining) and self.early_stopping:
            aside = validation_rows(labels, self.validation_fraction, generator)
            validation = inputs[aside], labels[aside]
            kept = torch.ones(len(labels), dtype=torch.bool, device=self.device_)
            kept[aside] = False
            inputs, labels = inputs[kept], labels[kept]
        return TrainingSet(
            inputs=inputs,
            labels=labels,
            class_counts=torch.bincount(labels, minlength=len(self.classes_)),
            prepare=self.format_.network_input,
            dtype=dtype,
            generator=generator,
            validation=validation,
            checkpoint=checkpoint,
        )

    def _fingerprint(self, inputs: Tensor, labels: Tensor) -> str:
        """Return what tells one training from another: class, parameters and data."""
        digest = hashlib.sha256(type(self).__name__.encode())
        for name, value in sorted(self.get_params(deep=False).items()):
            if name not in _NOT_LEARNED_FROM:
                random_state = isinstance(value, np.random.RandomState | np.random.Generator)
                digest.update(f"{name}={type(value).__name__ if random_state else value!r};".encode())
        for tensor in (inputs, labels):
            digest.update(str(tuple(tensor.shape)).encode())
            digest.update(tensor.cpu().numpy().tobytes())
        return digest.hexdigest()

    def _after_training(self, data: TrainingSet) -> None:
        """Look at what has been learned."""

    def _check_input(self, X: Any, *, reset: bool) -> Any:
        """Return X as an array of numbers or a pandas frame; raise ValueError naming what is wrong with it."""
        sparse = sp.issparse(X) or (isinstance(X, pd.DataFrame) and any(map(_is_sparse, X.dtypes)))
        if sparse:
            check_dense_size(X.shape)
        elif isinstance(X, pd.DataFrame) and self.image_shape is None:
            validate_data(self, X, reset=reset, skip_check_array=True)
            check_table(X)
            return X
        X = validate_data(self, X, reset=reset, allow_nd=True, accept_sparse=["csr", "csc"])
        if sp.issparse(X):
            X = X.toarray()
        if X.ndim not in (2, 4):
            raise ValueError(
                "Expected X to be a table (n, d) or images (n, channels, height, width), but got an array of shape "
                f"{X.shape}; add a channel axis with X[:, None]."
            )
        if not reset:
            self.format_.check(X)
        return X

    def _batches(self, X: Any) -> Iterator[Tensor]:
        """Yield network inputs of X, already validated, in batches on the device."""
        inputs = self.format_.encode(X)
        for batch in inputs.split(PREDICT_BATCH):
            yield self.format_.network_input(batch.to(self.device_))

    def _class_numbers(self, y: Any) -> np.ndarray:
        """Return the numbers 0..C-1 of labels y (n,); raise ValueError for one that fit has not seen."""
        known = {label: number for number, label in enumerate(self.classes_.tolist())}
        labels = column_or_1d(y).tolist()
        unknown = [label for label in labels if label not in known]
        if unknown:
            raise ValueError(f"Expected y to be one of the classes {list(known)}, but got {unknown[0]!r}.")
        return np.array([known[label] for label in labels], dtype=np.int64)

    def _fitted_tensors(self) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return, on the CPU, the networks' weights and the other tensors that a fitted estimator needs."""
        weights = {
            name: tensor.detach().cpu()
            for name, tensor in self.networks_.state_dict().items()
            if name.split(".")[0] not in self._training_only
        }
        return weights, {name: tensor.cpu() for name, tensor in self.tensors_.items()}

    def _state(self) -> dict[str, Any]:
        """Return what was learned besides tensors, as JSON-able values."""
        return {
            "classes": self.classes_.tolist(),
            "classes_dtype": self.classes_.dtype.str if self.classes_.dtype.kind != "O" else "object",
            "class_counts": self.class_counts_.tolist(),
            "format": self.format_.to_dict(),
            "n_features_in": self.n_features_in_,
            "feature_names_in": getattr(self, "feature_names_in_", np.array([])).tolist(),
        }

    def _restore(self, state: dict[str, Any], networks: dict[str, Tensor], tensors: dict[str, Tensor]) -> None:
        """Become the fitted estimator that `_state` and the tensors describe, on the CPU."""
        self.classes_ = np.array(state["classes"], dtype=state["classes_dtype"])
        self.class_counts_ = np.array(state["class_counts"], dtype=np.int64)
        self.format_ = format_from_dict(state["format"])
        self.n_features_in_ = state["n_features_in"]
        if state["feature_names_in"]:
            self.feature_names_in_ = np.array(state["feature_names_in"], dtype=object)
        self.device_ = torch.device("cpu")
        with seeded(0):
            self.networks_ = self._build_networks()
        for name in self._training_only:
            setattr(self.networks_, name, None)
        self.networks_.load_state_dict(networks)
        if isinstance(self.format_, ImageFormat):
            self.networks_ = self.networks_.to(memory_format=torch.channels_last)
        self.networks_.eval()
        self.tensors_ = tensors

    def __getstate__(self) -> dict[str, Any]:
        """Pickle with everything on the CPU, so that the file opens anywhere."""
        state = super().__getstate__()
        if "networks_" in state and state["device_"].type != "cpu":
            state = dict(state)
            state["networks_"] = copy.deepcopy(state["networks_"]).cpu()
            state["tensors_"] = {name: tensor.cpu() for name, tensor in state["tensors_"].items()}
            state["device_"] = torch.device("cpu")
        return state


class BaseClassifier(ClassifierMixin, BaseDeepEstimator):
    """A scikit-learn classifier around trained networks; a method adds `_logits`."""

    def _logits(self, batch: Tensor) -> Tensor:
        """Map network inputs (B, ...) to logits (B, C)."""
        raise TypeError(f"{type(self).__name__} has to define _logits.")

    def fit(self, X: Any, y: Any) -> Self:
        """Train on X and y.

        Parameters
        ----------
        X : array of shape (n, d), (n, c, h, w), or (n, h, w, c) with ``channels_last=True``; or a pandas frame
        y : array-like of shape (n,)
            Labels of any type that scikit-learn accepts.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If the data or a parameter cannot be trained on; nothing has been trained then.
        """
        X = self._check_input(X, reset=True)
        if type_of_target(y, input_name="y").endswith(("indicator", "multioutput")):
            raise ValueError("Multilabel and multioutput targets are not supported: expected one label a sample.")
        y = column_or_1d(y, warn=True)
        check_classification_targets(y)
        _check_lengths(X, y)
        self._train(X, y)
        return self

    def decision_function(self, X: Any) -> np.ndarray:
        """Return logits (n, C); with two classes the difference (n,) of the second and the first."""
        logits = self._all_logits(X)
        return logits[:, 1] - logits[:, 0] if logits.shape[1] == 2 else logits

    def _all_logits(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        X = self._check_input(X, reset=False)
        with torch.inference_mode():
            logits = torch.cat([self._logits(batch) for batch in self._batches(X)])
        return logits.double().cpu().numpy()

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return class probabilities (n, C), columns in the order of ``classes_``."""
        logits = self._all_logits(X)
        exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
        return exponentials / exponentials.sum(axis=1, keepdims=True)

    def predict(self, X: Any) -> np.ndarray:
        """Return labels (n,)."""
        numbers = self._all_logits(X).argmax(axis=1)  # first, for it says so when there is nothing fitted
        return self.classes_[numbers]

    def __sklearn_tags__(self) -> Any:
        """Say what input is understood."""
        return _input_tags(super().__sklearn_tags__())


class BaseGenerator(BaseDeepEstimator):
    """An estimator that can generate; a method adds `_generate`.

    Attributes
    ----------
    diversity_ : ndarray of shape (C,)
        For each class the mean distance between two generated samples over that between two training samples, 0 for a
        generator that makes the same sample again and again; NaN for a class whose samples are all the same.
        `CollapseWarning` names the classes below 0.3.
    """

    def _generate(self, label: int, n: int, generator: torch.Generator) -> Synthetic:
        """Generate n samples of class number `label`, at most `PREDICT_BATCH`."""
        raise TypeError(f"{type(self).__name__} has to define _generate.")

    def _can_generate(self) -> bool:
        """Whether what was trained can generate."""
        return True

    def _after_training(self, data: TrainingSet) -> None:
        if not self._can_generate():
            return
        ratios = []
        for label in range(data.n_classes):
            members = (data.labels == label).nonzero().squeeze(1)
            chosen = members[torch.randperm(len(members), generator=data.generator, device=data.device)]
            real = data.prepare(data.inputs[chosen[:DIVERSITY_SAMPLES]])
            with torch.inference_mode():
                generated = self._generate(label, DIVERSITY_SAMPLES, data.generator).outputs
            ratios.append(diversity_ratio(real, generated) if len(real) > 1 else float("nan"))
        self.diversity_ = np.array(ratios)
        collapsed = self.classes_[self.diversity_ < COLLAPSED].tolist()
        if collapsed:
            warnings.warn(
                f"What is generated for {'class' if len(collapsed) == 1 else 'classes'} "
                f"{', '.join(map(repr, collapsed))} has less than {COLLAPSED:.0%} of the variety of the training data "
                "(diversity_): train for longer, or change what the decoder learns from.",
                CollapseWarning,
                stacklevel=5,
            )

    def sample(self, n: int, y: Any, *, random_state: int | np.random.RandomState | None = None) -> Any:
        """Return n new samples of class `y`, in the type and layout of the training data.

        Parameters
        ----------
        n : int
        y : label
            One of ``classes_``.
        random_state : int, RandomState or None
            The same integer gives the same samples.

        Returns
        -------
        array of shape (n, ...) or pandas frame
        """
        check_is_fitted(self)
        if not isinstance(n, int | np.integer) or isinstance(n, bool) or n < 0:
            raise ValueError(f"Expected n to be a number of samples, 0 or more, but got {n!r}.")
        if np.ndim(y) != 0:
            raise ValueError(f"Expected y to be one class, but got {y!r}; call sample once for each class.")
        if not self._can_generate():
            raise ValueError(f"Expected an estimator that was trained to generate, but got {self!r} without a decoder.")
        number = int(self._class_numbers(np.asarray([y]))[0])
        return self._sample(number, int(n), draw_seed(random_state))[0]

    def _sample(self, label: int, n: int, seed: int) -> tuple[Any, np.ndarray, np.ndarray]:
        """Return n samples in the user's type and layout, their parents and weights; batch by batch, to save memory."""
        outputs, parents, weights = [], [], []
        # A stream of its own for each class, so that classes of equal size do not share draws.
        with seeded(_class_seed(seed, label), self.device_) as generator, torch.inference_mode():
            for start in range(0, max(n, 1), PREDICT_BATCH):
                synthetic = self._generate(label, min(PREDICT_BATCH, n - start), generator)
                outputs.append(self.format_.decode(synthetic.outputs))
                parents.append(synthetic.parents)
                weights.append(synthetic.weights)
        return _joined(outputs), np.concatenate(parents), np.concatenate(weights)


@dataclass(kw_only=True, eq=False, repr=False)
class BaseSampler(BaseGenerator, BaseOverSampler):
    """An imbalanced-learn over-sampler around trained networks; a method adds `_generate`.

    Parameters
    ----------
    sampling_strategy : str, float, dict or callable, default="auto"
        As in imbalanced-learn: which classes are brought to how many samples. ``"auto"`` brings every class to the
        size of the largest; a dict gives final totals.

    Attributes
    ----------
    sampling_strategy_ : dict
        How many samples of which class `fit_resample` adds.
    synthetic_mask_ : ndarray of bool of shape (n_resampled,)
        Which rows of the last `fit_resample` are new.
    parents_ : ndarray of shape (n_resampled, t)
        The training rows that each row was made from; an original's own row, repeated.
    mix_weights_ : ndarray of shape (n_resampled, t)
        With which weights.
    """

    sampling_strategy: Any = "auto"

    def fit(self, X: Any, y: Any) -> Self:
        """Train the generator on X and y, without resampling; `sample` works afterwards.

        Parameters
        ----------
        X : array of shape (n, d), (n, c, h, w), or (n, h, w, c) with ``channels_last=True``; or a pandas frame
        y : array-like of shape (n,)

        Returns
        -------
        self
        """
        check_classification_targets(y)
        X, y, _ = self._check_X_y(X, y)
        self.sampling_strategy_ = check_sampling_strategy(self.sampling_strategy, y, self._sampling_type)
        self._train(X, y)
        return self

    def _check_X_y(  # noqa: N802 - imbalanced-learn's hook
        self, X: Any, y: Any, accept_sparse: Any = None
    ) -> tuple[Any, np.ndarray, bool]:
        y, one_vs_all = check_target_type(y, indicate_one_vs_all=True)
        self._sparse_format = X.format if sp.issparse(X) else None
        X = self._check_input(X, reset=True)
        y = column_or_1d(y)
        _check_lengths(X, y)
        return X, y, one_vs_all

    def _fit_resample(self, X: Any, y: np.ndarray) -> tuple[Any, np.ndarray]:
        self._train(X, y)
        seed = draw_seed(self.random_state)
        n, new_y, parents, weights = len(y), [], [], []
        new_X: list[Any] = []
        for label, count in self.sampling_strategy_.items():
            if count == 0:
                continue
            number = int(np.flatnonzero(self.classes_ == label)[0])
            samples, their_parents, their_weights = self._sample(number, count, seed)
            new_X.append(samples)
            new_y.append(np.full(count, label, dtype=y.dtype))
            parents.append(their_parents)
            weights.append(their_weights)
        self._record_provenance(n, parents, weights)
        X_resampled = _joined([X, *new_X])
        if self._sparse_format is not None:
            X_resampled = sp.csr_matrix(X_resampled).asformat(self._sparse_format)
        return X_resampled, np.concatenate([y, *new_y])

    def _record_provenance(self, n: int, parents: list[np.ndarray], weights: list[np.ndarray]) -> None:
        t = parents[0].shape[1] if parents else 1
        self.synthetic_mask_ = np.arange(n + sum(map(len, parents))) >= n
        self.parents_ = np.concatenate([np.tile(np.arange(n)[:, None], t), *parents])
        self.mix_weights_ = np.concatenate([np.full((n, t), 1 / t), *weights])

    def __sklearn_tags__(self) -> Any:
        """Say what input is understood."""
        return _input_tags(super().__sklearn_tags__())


def _joined(parts: Sequence[Any]) -> Any:
    return pd.concat(parts, ignore_index=True) if isinstance(parts[0], pd.DataFrame) else np.concatenate(parts)


def _class_seed(seed: int, number: int) -> int:
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0])


def _is_sparse(dtype: Any) -> bool:
    return isinstance(dtype, pd.SparseDtype)


def _input_tags(tags: Any) -> Any:
    tags.input_tags.sparse = True
    tags.input_tags.categorical = True
    tags.non_deterministic = False
    return tags


def _check_lengths(X: Any, y: np.ndarray) -> None:
    if len(X) != len(y):
        raise ValueError(
            f"Expected X and y to be of one length, but got inconsistent numbers: {len(X)} samples and {len(y)} labels."
        )
