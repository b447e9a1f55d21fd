"""What every estimator does that can generate: draws by class, seeds, a look at the variety of what was learned."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
import torch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from latentover.estimators.base import PREDICT_BATCH, BaseDataEstimator, TrainingSet
from latentover.estimators.formats import Format
from latentover.estimators.memorization import MemorizationReport, memorization_report
from latentover.estimators.parameters import Expected
from latentover.estimators.parents import ParentRows, are_bases, even_bases
from latentover.estimators.validation import check_class_sizes, check_request
from latentover.tables import TableFormat
from latentover.tables.checks import warn_user
from latentover.training import COLLAPSED, CollapseWarning, diversity_ratio, draw_seed, seeded

DIVERSITY_SAMPLES = 64
"""Samples of each class, real and generated, whose distances are compared after training."""


def are_constraints(value: Any) -> bool:
    """Whether a value of `constraints` says what is kept between columns."""
    if isinstance(value, str):
        return value in ("auto", "none")
    return isinstance(value, list | tuple) and all(isinstance(text, str) for text in value)


NoBases = Annotated[Literal["random"], Expected("'random', for new samples are not made from chosen rows here")]
"""What `base_selection` is in a method that makes new samples from a distribution, or chooses the rows itself."""


@dataclass(frozen=True)
class Synthetic:
    """What a method generated for one class.

    Attributes
    ----------
    outputs : Tensor of shape (n, ...)
        In the networks' range.
    parents : ndarray of shape (n, t)
        Rows of the training set that each sample was made from; t is 0 for a method that draws from a distribution.
    weights : ndarray of shape (n, t)
        With which weights.
    """

    outputs: Tensor
    parents: np.ndarray
    weights: np.ndarray


@dataclass(kw_only=True, eq=False, repr=False)
class BaseGenerator(BaseDataEstimator):
    """An estimator that can generate; a method adds `_generate`.

    Parameters
    ----------
    small_class : {"adapt", "raise", "skip"}, default="adapt"
        What happens to a class with fewer samples than the method needs: it makes do with those there are, down to
        variations of a single one; an error; or nothing is added to the class. A warning names class and count.
    base_selection : {"random", "even"} or array of int, default="random"
        Which training rows new samples start from: any of the class; all of the class, each as often as any other, up
        to one; or, evenly too, only those with these row numbers of X.

    clip : {"observed", "none"}, (low, high) or dict of column to these, default="observed"
        What the numbers of generated rows of a table are clipped to: the range that was seen, no range but that of
        their type, or that one; see `latentover.estimators.learn_format`.
    constraints : {"auto", "none"} or list of str, default="auto"
        What holds exactly between the columns of a frame and is kept in new rows: what is found in all training rows;
        nothing; or what is found and these, such as ``"fee = round(0.015 * amount, 2)"``, ``"opened <= closed"`` and
        ``"country -> currency"``, or these alone behind ``"none"``. See
        `latentover.tables.dependencies.find_dependencies`.

    Attributes
    ----------
    diversity_ : ndarray of shape (C,)
        Of a deep method: for each class the mean distance between two generated samples over that between two training
        samples, 0 for a generator that makes the same sample again and again; NaN for a class whose samples are all the
        same. `CollapseWarning` names the classes below 0.3.
    """

    small_class: Literal["adapt", "raise", "skip"] = "adapt"
    base_selection: Annotated[Any, Expected("'random', 'even' or row numbers of X, 0 or more", are_bases)] = "random"
    clip: Any = "observed"
    constraints: Annotated[Any, Expected("'auto', 'none' or a list of texts", are_constraints)] = "auto"

    diversity_: np.ndarray = field(init=False)
    _parents: tuple[int, ParentRows] | None = field(init=False, default=None)

    def _generate(self, label: int, n: int, generator: torch.Generator) -> Synthetic:
        """Generate n samples of class number `label`, 1 to `PREDICT_BATCH`."""
        raise TypeError(f"{type(self).__name__} has to define _generate.")

    def _can_generate(self) -> bool:
        """Whether what was trained can generate."""
        return True

    def _keeps_rows(self) -> bool:
        """Whether what was kept to generate from is training rows, which no bundle holds."""
        return "inputs" in self.tensors_

    def _rows_needed(self) -> int:
        """Return how many samples a class needs for the method to work as its parameters say."""
        return 2

    def _check_classes(self) -> None:
        super()._check_classes()
        n, largest = self.class_counts_.sum(), 0 if isinstance(self.base_selection, str) else max(self.base_selection)
        if largest >= n:
            raise ValueError(f"Expected base_selection to be row numbers of X, below {n}, but got {largest}.")
        check_class_sizes(self.classes_, self.class_counts_, self._rows_needed(), self.small_class)

    def _learn_format(self, X: Any, **settings: Any) -> Format:
        return super()._learn_format(X, clip=self.clip, constraints=self.constraints, **settings)

    def _train(self, X: Any, y: np.ndarray, sample_weight: np.ndarray | None = None) -> TrainingSet:
        data = super()._train(X, y, sample_weight)
        if self._can_generate():  # what choosing parents needs besides the labels
            extra = {"sample_weight": data.sample_weight, "rows": data.rows}
            self.tensors_ |= {name: tensor.cpu() for name, tensor in extra.items() if tensor is not None}
        return data

    def _draw_parents(self, label: int, n: int, size: int, generator: torch.Generator) -> Tensor:
        """Return the rows (n, size) of the training set that the next n samples of a class are made from.

        The first row of each tuple is its base, as `base_selection` says; the others are other rows of the class, or
        the same again where it has no more. Needs `tensors_["labels"]`.
        """
        if self._parents is None or self._parents[0] != label:
            self._parents = label, self._parent_rows(label)
        return self._parents[1].draw(n, size, generator)

    def _bases_are_random(self) -> bool:
        return isinstance(self.base_selection, str) and self.base_selection == "random"

    def _parent_rows(self, label: int) -> ParentRows:
        rows = (self.tensors_["labels"].cpu() == label).nonzero().squeeze(1)
        weights = self.tensors_["sample_weight"][rows] if "sample_weight" in self.tensors_ else None
        bases = None
        if not self._bases_are_random():
            chosen = None if isinstance(self.base_selection, str) else self.base_selection
            bases = even_bases(self._row_numbers(rows), weights, chosen)
            if len(bases) == 0:
                raise ValueError(
                    f"Expected base_selection to name rows of every class that is generated, but got none of class "
                    f"{self.classes_.tolist()[label]!r}; add some, or leave that class out of sampling_strategy."
                )
            bases = bases.to(self.device_)
        return ParentRows(rows.to(self.device_), None if weights is None else weights.to(self.device_), bases)

    def _row_numbers(self, rows: Any) -> Any:
        """Return the numbers that rows of the training set have in the user's data."""
        return self.tensors_["rows"][rows] if "rows" in self.tensors_ else rows

    def _after_training(self, data: TrainingSet) -> None:
        if not self._can_generate():
            return
        ratios = []
        for label in range(data.n_classes):
            members = (data.labels == label).nonzero().squeeze(1)
            chosen = members[torch.randperm(len(members), generator=data.generator, device=data.device)]
            real = data.prepare(data.inputs[chosen[:DIVERSITY_SAMPLES]])
            self._parents = (label, ParentRows(members))  # any of them, whatever base_selection says
            with torch.inference_mode():
                generated = self._generate(label, DIVERSITY_SAMPLES, data.generator).outputs
            ratios.append(diversity_ratio(real, generated) if len(real) > 1 else float("nan"))
        self._parents = None
        self.diversity_ = np.array(ratios)
        collapsed = self.classes_[self.diversity_ < COLLAPSED].tolist()
        if collapsed:
            warn_user(
                f"What is generated for {'class' if len(collapsed) == 1 else 'classes'} "
                f"{', '.join(map(repr, collapsed))} has less than {COLLAPSED:.0%} of the variety of the training data "
                "(diversity_): train for longer, or change what the decoder learns from.",
                CollapseWarning,
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
        check_request("n", int(n), self.format_.shape)
        number = int(self._class_numbers(np.asarray([y]))[0])
        seed = draw_seed(random_state)
        return self._in_kind(self._with_identifiers(self._sample(number, int(n), seed)[0], seed))

    def memorization_report(
        self, X: Any, y: Any, *, n_samples: int = 200, random_state: int | np.random.RandomState | None = 0
    ) -> MemorizationReport:
        """Say by class how near new samples lie to the rows that the estimator was fitted to.

        Parameters
        ----------
        X, y
            The data of `fit`, of which nothing was kept.
        n_samples : int, default=200
            New samples of each class that is smaller than the largest, or of every class where all are of one size.
        random_state : int, RandomState or None, default=0
            Of the samples.

        Returns
        -------
        MemorizationReport
            For each of these classes the share of copies, the share that is nearer to a training row than the rows are
            to each other, and the ratio of these distances; printed as a table, or a frame by its ``to_frame``.
            Distances are Euclidean, between rows as `format_` encodes them: images in [0, 1], columns standardised.

        Raises
        ------
        ValueError
            If X and y are not what the estimator was fitted to, or it cannot generate.
        sklearn.exceptions.NotFittedError
            If it is not fitted.
        """
        return memorization_report(self, X, y, n_samples=n_samples, random_state=random_state)

    def _with_identifiers(self, rows: Any, seed: int, X: Any = None) -> Any:
        """Return generated rows of a table with fresh identifiers, none of which is one of the training rows X."""
        if not isinstance(self.format_, TableFormat):
            return rows
        return self.format_.with_fresh_identifiers(rows, np.random.default_rng(seed), X)

    def _in_rows(self, outputs: Tensor, label: int) -> Any:
        """Return outputs (n, ...) of class number `label` in the type and layout of the training data."""
        return self.format_.decode(outputs, self.classes_[label])

    def _in_kind(self, rows: Any) -> Any:
        """Return generated rows as the user's data came."""
        return rows

    def _sample(self, label: int, n: int, seed: int) -> tuple[Any, np.ndarray, np.ndarray]:
        """Return n samples in the user's type and layout, their parents and weights; batch by batch, to save memory."""
        outputs, parents, weights = [], [], []
        # A stream of its own for each class, so that classes of equal size do not share draws. One thread at a time is
        # inside, and has the parents to itself.
        with seeded(class_seed(seed, label), self.device_) as generator, torch.inference_mode():
            self._parents = None
            for start in range(0, max(n, 1), PREDICT_BATCH):
                count = min(PREDICT_BATCH, n - start)
                synthetic = self._generate(label, max(count, 1), generator)
                outputs.append(self._in_rows(synthetic.outputs[:count], label))
                parents.append(self._row_numbers(np.asarray(synthetic.parents[:count], dtype=np.int64)))
                weights.append(np.asarray(synthetic.weights[:count]))
            self._parents = None
        return joined(outputs), np.concatenate(parents), np.concatenate(weights)


def joined(parts: Sequence[Any]) -> Any:
    """Return frames or arrays, one after the other, as one."""
    if len(parts) == 1:
        return parts[0]
    return pd.concat(parts, ignore_index=True) if isinstance(parts[0], pd.DataFrame) else np.concatenate(parts)


def class_seed(seed: int, number: int) -> int:
    """Return the seed of the stream that the samples of a class are drawn from."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
