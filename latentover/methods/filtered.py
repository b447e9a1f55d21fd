"""FilteredSampler: more samples than are needed, of which those are kept that lie in a band.

Shao, Zhu, Zhang and Wu, "DiffuLT: Diffusion for Long-tail Recognition Without External Knowledge", NeurIPS 2024, find
that generated samples far from those of their class hurt a classifier, that those which only repeat them help little,
and that those between help. Here two numbers say where a new sample is: the probability of its class under a
classifier, and its distance to the nearest real sample of the class, measured in what such distances are among the real
samples themselves.

Deviations: in the paper the distances alone decide, in fixed bounds and by the features of a network that was trained
on the long-tailed data; here the bounds are relative to the class, and where too few lie in them, those nearest to them
are taken.
"""

import warnings
from dataclasses import dataclass, field
from typing import Annotated, Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from latentover.estimators import BaseSampler, TrainingSet
from latentover.estimators.base import BaseDataEstimator
from latentover.estimators.generator import NoBases, class_seed
from latentover.estimators.parameters import Expected, Fraction, NonNegative, PositiveInt
from latentover.estimators.validation import check_parameters
from latentover.methods.deep_classifier import DeepClassifier
from latentover.methods.flow import FlowSampler
from latentover.methods.resampling import rows_at_once
from latentover.tables.checks import warn_user

_OF_DATA = (
    "image_shape",
    "channels_last",
    "categorical_features",
    "identifiers",
    "new_identifiers",
    "missing",
    "clip",
    "constraints",
    "small_class",
)
"""Parameters that say what the data is and how it comes back."""


def in_order(band: Any) -> bool:
    """Whether two numbers are a band."""
    return band[0] <= band[1]


class Reference(NamedTuple):
    """The real samples of a class, as the classifier sees them.

    Attributes
    ----------
    features : Tensor of shape (m, d)
    unit : float
        The median distance of one of them to the nearest other.
    """

    features: Tensor
    unit: float


def nearest_distance(features: Tensor, points: Tensor, *, others: bool = False) -> Tensor:
    """Return the distance (n,) of each of `features` (n, d) to the nearest of `points` (m, d).

    With `others` the two are the same, and a point itself does not count.

    Examples
    --------
    >>> import torch
    >>> line = torch.tensor([[0.0], [1.0], [3.0]])
    >>> nearest_distance(torch.tensor([[2.5]]), line), nearest_distance(line, line, others=True)
    (tensor([0.5000]), tensor([1., 1., 2.]))
    """
    found = []
    for start in range(0, len(features), rows_at_once(len(points))):
        chunk = features[start : start + rows_at_once(len(points))]
        distances = torch.cdist(chunk, points, compute_mode="donot_use_mm_for_euclid_dist")
        if others:
            rows = torch.arange(len(chunk), device=chunk.device)
            distances[rows, start + rows] = torch.inf
        found.append(distances.amin(dim=1))
    return torch.cat(found)


def beyond(values: np.ndarray, band: tuple[float, float]) -> np.ndarray:
    """Return how far values (n,) lie outside of a band, 0 for those within.

    Examples
    --------
    >>> beyond(np.array([0.1, 0.5, 2.0]), (0.25, 1.5))
    array([0.15, 0.  , 0.5 ])
    """
    return np.maximum(0, np.maximum(band[0] - values, values - band[1]))


@dataclass(kw_only=True, eq=False, repr=False)
class FilteredSampler(BaseSampler):
    """Over-sampler: lets another one make more samples than are needed and keeps those that lie in a band.

    Parameters
    ----------
    sampler : over-sampler of latentover, default: `FlowSampler`
        Makes the samples; `ClassicalSampler` is imbalanced-learn's SMOTE. A clone is trained.
    classifier : classifier, default: `DeepClassifier` with logit adjustment
        Says how probable its class is for a sample, by ``predict_proba``, and where samples are, by ``encode``; for one
        that has no ``encode`` they are where they are themselves. A fitted one is used as it is, a clone of another one
        is trained on the data.
    candidates : int, default=4
        How many times as many samples are made.
    probability : (low, high) in [0, 1], default=(0.3, 1.0)
        Of the class of a sample. Classes that the classifier is unsure of have no high ones.
    distance : (low, high), default=(0.3, 1.5)
        From a sample to the nearest real one of its class, in units of the median distance from such a one to the next:
        what lies nearer than the low end is a copy, and what lies further away than the high end may belong elsewhere.
    sampling_strategy, keep_index
        See `latentover.estimators.BaseSampler`. The other sampler's own ``sampling_strategy`` is not used.
    small_class, base_selection, clip, constraints
        See `latentover.estimators.BaseGenerator`. `base_selection` has to be ``"random"``; what the other sampler is to
        start from is said to it.
    image_shape, channels_last, numbers, categorical_features, identifiers, new_identifiers, missing, device,
    random_state, verbose
        See `latentover.estimators.BaseDataEstimator`. What is said of the data here is said to the sampler and to a
        classifier of latentover that is trained.

    Attributes
    ----------
    report_ : pandas frame
        Of the last samples, a row a class: how many ``candidates`` there were, how many ``passed`` both bands and each
        of them (``by_probability``, ``by_distance``), how many were ``kept``, and the candidates' median
        ``probability`` and ``distance``.
    sampler_, classifier_
        As they were trained.
    sampling_strategy_, synthetic_mask_, sample_origin_, parents_, mix_weights_, sample_weight_
        See `latentover.estimators.BaseSampler`. The parents are those that the other sampler names.
    classes_, class_counts_, format_, device_
        See `latentover.estimators.BaseDataEstimator`.

    Notes
    -----
    A bundle does not hold it: it needs the training rows, to measure distances to them.

    Examples
    --------
    >>> from sklearn.datasets import make_classification
    >>> from sklearn.linear_model import LogisticRegression
    >>> from latentover import SmoothedBootstrapSampler
    >>> X, y = make_classification(200, weights=[0.9], flip_y=0, random_state=0)
    >>> wide = SmoothedBootstrapSampler(bandwidth=1.0)
    >>> sampler = FilteredSampler(
    ...     sampler=wide, classifier=LogisticRegression(), probability=(0.5, 1), distance=(0, 2), random_state=0
    ... )
    >>> X_resampled, y_resampled = sampler.fit_resample(X, y)
    >>> int((y_resampled == 1).sum()), sampler.report_[["candidates", "kept"]].values.tolist()
    (181, [[648, 162]])
    """

    base_selection: NoBases = "random"
    sampler: Annotated[BaseSampler | None, Expected("None or an over-sampler of latentover, such as FlowSampler()")] = (
        None
    )
    classifier: Annotated[BaseEstimator | None, Expected("None or a classifier with predict_proba")] = None
    candidates: PositiveInt = 4
    probability: Annotated[tuple[Fraction, Fraction], Expected("(low, high) in [0, 1], in order", in_order)] = (
        0.3,
        1.0,
    )
    distance: Annotated[tuple[NonNegative, NonNegative], Expected("(low, high) of at least 0, in order", in_order)] = (
        0.3,
        1.5,
    )

    report_: pd.DataFrame = field(init=False)
    sampler_: Any = field(init=False)
    classifier_: Any = field(init=False)
    _references: dict[int, Reference] = field(init=False)
    _found: dict[Any, dict[str, float]] = field(init=False)

    def _check_settings(self) -> list[str]:
        problems = super()._check_settings()
        if isinstance(self.sampler, BaseDataEstimator):
            check_parameters(self.sampler)
        if isinstance(self.classifier, BaseDataEstimator):
            check_parameters(self.classifier)
        if self.classifier is not None and not hasattr(self.classifier, "predict_proba"):
            problems.append(f"classifier to have predict_proba, but got {self.classifier!r}")
        return problems

    def _base_sampler(self) -> BaseSampler:
        return FlowSampler() if self.sampler is None else self.sampler

    def _rows_needed(self) -> int:
        return self._base_sampler()._rows_needed()

    # ---- Training ----------------------------------------------------------------------------------------------------

    def _fit_generator(self, inputs: Tensor, labels: Tensor, generator: torch.Generator) -> None:
        self.tensors_ = {"labels": labels.cpu()}
        seeds = torch.randint(2**31 - 1, (2,), generator=generator, device=generator.device).tolist()
        self._seeds: tuple[int, int] = (seeds[0], seeds[1])

    def _train(self, X: Any, y: np.ndarray, sample_weight: np.ndarray | None = None) -> TrainingSet:
        data = super()._train(X, y, sample_weight)
        self.sampler_ = self._told(clone(self._base_sampler()), self._seeds[0], sampling_strategy="auto")
        with warnings.catch_warnings():  # of what has been said of this one too, once is enough
            warnings.filterwarnings("ignore", "Expected every class to have at least")
            warnings.filterwarnings("ignore", "Expected columns that say something of their rows")
            self.sampler_.fit(X, y, sample_weight=sample_weight)
        self.classifier_ = self._fitted_classifier(X, y)
        features = self._features(X)
        parts = {number: features[data.labels.cpu() == number] for number in range(data.n_classes)}
        units = {number: self._unit(part) for number, part in parts.items()}
        known = [unit for unit in units.values() if unit > 0]
        # A class of one sample, or of copies, is measured as the others are.
        usual = float(np.median(known)) if known else 1.0
        self._references = {number: Reference(part, units[number] or usual) for number, part in parts.items()}
        self._found = {}
        return data

    @staticmethod
    def _unit(features: Tensor) -> float:
        return float(np.median(nearest_distance(features, features, others=True))) if len(features) > 1 else 0.0

    def _told(self, estimator: Any, seed: int, **more: Any) -> Any:
        """Return an estimator that knows of the data, the device and the seed what this one does."""
        known = estimator.get_params(deep=False)
        said = {name: getattr(self, name) for name in _OF_DATA if name in known}
        default = {name: getattr(type(self), name) for name in said}
        settings = {name: value for name, value in said.items() if value is not default[name]}
        settings |= {"device": self.device, "verbose": self.verbose, "random_state": seed, **more}
        return estimator.set_params(**{name: value for name, value in settings.items() if name in known})

    def _fitted_classifier(self, X: Any, y: np.ndarray) -> Any:
        classifier = self.classifier
        if classifier is None:
            classifier = DeepClassifier(loss="logit_adjusted", batches="square_root", learning_rate=1e-3)
        try:
            check_is_fitted(classifier)
        except NotFittedError:
            ours = isinstance(classifier, BaseDataEstimator)
            trained, seed = clone(classifier), self._seeds[1]
            if ours:
                trained = self._told(trained, seed)
            elif trained.get_params(deep=False).get("random_state", 0) is None:
                trained.set_params(random_state=seed)
            return trained.fit(X if ours else self._flat(X), y)
        unknown = np.setdiff1d(self.classes_, classifier.classes_).tolist()
        if unknown:
            raise ValueError(
                f"Expected classifier to know the classes of y, but it was fitted to {classifier.classes_.tolist()} "
                f"and there are {unknown} too; fit it to them."
            )
        return classifier

    def _flat(self, X: Any) -> np.ndarray:
        """Return validated data as rows of numbers (n, d), as networks see them."""
        return self.format_.network_input(self.format_.encode(X)).flatten(1).numpy()

    def _features(self, X: Any) -> Tensor:
        """Return where samples are (n, d)."""
        encode = getattr(self.classifier_, "encode", None)
        return torch.from_numpy(np.asarray(self._flat(X) if encode is None else encode(X), dtype=np.float32))

    # ---- Samples -----------------------------------------------------------------------------------------------------

    def _sample(self, label: int, n: int, seed: int) -> tuple[Any, np.ndarray, np.ndarray]:
        many = max(n, 1) * self.candidates
        new, parents, weights = self.sampler_._sample(label, many, class_seed(seed, label))
        ours = isinstance(self.classifier_, BaseDataEstimator)
        probabilities = self.classifier_.predict_proba(new if ours else self._flat(new))
        column = int(np.flatnonzero(self.classifier_.classes_ == self.classes_[label])[0])
        reference = self._references[label]
        distances = nearest_distance(self._features(new), reference.features).numpy() / reference.unit
        outside = [beyond(probabilities[:, column], self.probability), beyond(distances, self.distance)]
        # Those within in the order in which they were made, and then the nearest to the bands.
        kept = np.sort(np.argsort(outside[0] + outside[1], kind="stable")[:n])
        passed = [each == 0 for each in outside]
        self._found[self.classes_.tolist()[label]] = {
            "candidates": many,
            "passed": int((passed[0] & passed[1]).sum()),
            "by_probability": int(passed[0].sum()),
            "by_distance": int(passed[1].sum()),
            "kept": n,
            "probability": float(np.median(probabilities[:, column])),
            "distance": float(np.median(distances)),
        }
        self.report_ = pd.DataFrame.from_dict(self._found, orient="index")
        rows = new.iloc[kept].reset_index(drop=True) if isinstance(new, pd.DataFrame) else new[kept]
        return rows, parents[kept], weights[kept]

    def sample(self, n: int, y: Any, *, random_state: int | np.random.RandomState | None = None) -> Any:
        """See `latentover.estimators.BaseGenerator.sample`."""
        if hasattr(self, "_found"):
            self._found = {}
        new = super().sample(n, y, random_state=random_state)
        self._warn_of_few()
        return new

    def _resample(self, X: Any, y: np.ndarray, sample_weight: np.ndarray | None) -> tuple[Any, Any, np.ndarray]:
        resampled = super()._resample(X, y, sample_weight)
        self._warn_of_few()
        return resampled

    def _warn_of_few(self) -> None:
        """Say of which classes too few samples passed."""
        few = {label: row for label, row in self._found.items() if row["passed"] < row["kept"]}
        if few:
            counts = ", ".join(
                f"{row['passed']:g} of {row['candidates']:g} for {row['kept']:g} of class {label!r}"
                for label, row in few.items()
            )
            warn_user(
                f"Expected enough samples to lie in the bands of probability and distance, but got {counts}; those "
                "nearest to the bands were taken. Make more candidates, widen the bands (report_ says where samples "
                "lie), or train the sampler for longer."
            )
