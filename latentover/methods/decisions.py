r"""Two classifiers that learn as they would and decide otherwise: the first thing to try where classes are unequal.

A classifier that is right about probabilities names the frequent class when it is in doubt, for that makes the fewest
errors. Where every class counts alike the decision has to be another one, and the probabilities need not:

.. math:: \hat{y} = \arg\max_c \; \log p_c(x) + b_c

- `PriorAdjustedClassifier`: :math:`b_c = -\tau \log \pi_c` with the class shares :math:`\pi`. Saerens, Latinne and
  Decaestecker, "Adjusting the Outputs of a Classifier to New a Priori Probabilities: A Simple Procedure", Neural
  Computation 14, 2002; Menon et al., "Long-tail learning via logit adjustment", ICLR 2021, section 4.1; Collell, Prelec
  and Patil, "A simple plug-in bagging ensemble based on threshold-moving for classifying binary and multiclass
  imbalanced data", Neurocomputing 275, 2018.
- `TunedDecisionClassifier`: the offsets for which out-of-fold predictions on the training rows score best. With two
  classes that is one threshold, as in scikit-learn's `TunedThresholdClassifierCV`, which knows no more than two.
"""

from abc import ABC, abstractmethod
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.utils import get_tags
from sklearn.utils.validation import check_consistent_length, check_is_fitted

from latentover.estimators.labels import check_labels, check_sample_weight
from latentover.estimators.validation import check_class_count, check_method, check_takes_weights, naming
from latentover.seeds import as_random_state

_UNDERSTOOD = "data that estimator understands"
_SMALLEST = 1e-15
"""Probabilities below it are taken for it: their logarithms are to be numbers."""
_PASSES = 20
"""Over all classes, at the most; two or three are usual."""
_EQUAL = 1e-12
"""Scores that differ by less differ by rounding."""
_TOGETHER = 1e-9
"""Rows turn together whose log-probabilities differ by less: it may be rounding."""


def _mean_log(share: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(share, _SMALLEST))


_SCORES = {
    "balanced_accuracy": lambda hit, named, actual: hit / actual,
    "macro_f1": lambda hit, named, actual: 2 * hit / (named + actual),
    "geometric_mean": lambda hit, named, actual: _mean_log(hit / actual),
}
"""What a class adds to a score: of its rows that were named so, of all that were, and of its rows, each as weights."""


class _OtherDecision(ClassifierMixin, BaseEstimator, ABC):
    """What both share: a classifier is fitted as it is, and `offsets_` are added to its log-probabilities."""

    estimator: Any
    estimator_: Any
    classes_: np.ndarray
    offsets_: np.ndarray

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit the classifier, and learn how to decide by it.

        Parameters
        ----------
        X : array or frame that `estimator` understands
        y : array-like of shape (n,)
        sample_weight : array-like of shape (n,), optional
            How much each sample counts, 0 or more: for `estimator`, and for the decision.

        Returns
        -------
        self

        Raises
        ------
        TypeError
            If `estimator` has no ``predict_proba``; with `sample_weight`, if it takes none.
        ValueError
            If a parameter is out of its range, there are fewer than two classes, or what `estimator` raises.
        """
        estimator = self._estimator()
        check_method("estimator", estimator, "predict_proba")
        self._check_settings()
        labels, _ = check_labels(y, one_hot=False)
        with naming("X and y", "of one length"):
            check_consistent_length(X, labels)
        weights = check_sample_weight(sample_weight, labels)
        check_takes_weights(estimator, weights)
        classes, numbers = np.unique(labels, return_inverse=True)
        check_class_count(classes)
        fitted = clone(estimator)
        with naming("X", _UNDERSTOOD):
            fitted.fit(X, labels, **({} if weights is None else {"sample_weight": weights}))
        offsets = self._learn_offsets(estimator, X, labels, numbers, weights)
        self.estimator_, self.classes_, self.offsets_ = fitted, classes, offsets  # not before: all of it or nothing
        for name in ("n_features_in_", "feature_names_in_"):
            if hasattr(fitted, name):
                setattr(self, name, getattr(fitted, name))
        return self

    def _estimator(self) -> Any:
        return LogisticRegression() if self.estimator is None else self.estimator

    @abstractmethod
    def _check_settings(self) -> None:
        """Raise ValueError for parameters out of their ranges."""

    @abstractmethod
    def _learn_offsets(
        self, estimator: Any, X: Any, labels: np.ndarray, numbers: np.ndarray, weights: np.ndarray | None
    ) -> np.ndarray:
        """Return what is added to the log-probabilities (C,) before the largest decides."""

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the probabilities (n, C) of `estimator_`, unchanged, columns as ``classes_``."""
        check_is_fitted(self)
        with naming("X", _UNDERSTOOD):
            return self.estimator_.predict_proba(X)

    def predict(self, X: Any) -> np.ndarray:
        """Return the labels (n,) that are decided for."""
        probabilities = self.predict_proba(X)  # first, for it says so when there is nothing fitted
        return self.classes_[(_logarithms(probabilities) + self.offsets_).argmax(axis=1)]

    def __sklearn_tags__(self) -> Any:
        """Say what input the classifier understands."""
        tags = super().__sklearn_tags__()
        part = get_tags(self._estimator()).input_tags
        for name in ("sparse", "categorical", "string", "allow_nan"):
            setattr(tags.input_tags, name, getattr(part, name))
        return tags


class PriorAdjustedClassifier(_OtherDecision):
    r"""Decides as if all classes were as frequent: probabilities over class shares; nothing is re-sampled.

    The decision that is best for balanced accuracy, if the probabilities are right. It costs no training beyond that of
    the classifier itself, and nothing is tuned.

    Parameters
    ----------
    estimator : classifier with ``predict_proba``, default: scikit-learn's `LogisticRegression`
        A clone of it is fitted to the data as it is.
    tau : float, default=1.0
        How far to go, 0 or more: the decision is for the class with the largest :math:`p_c / \pi_c^\tau`. 0 is the
        classifier's own decision, 1 the one for balanced accuracy.

    Attributes
    ----------
    classes_ : ndarray of shape (C,)
        Labels, sorted.
    class_shares_ : ndarray of shape (C,)
        Of the training samples, or of the sum of their weights.
    offsets_ : ndarray of shape (C,)
        What is added to log-probabilities before the largest decides.
    estimator_ : classifier
    n_features_in_ : int
        Where `estimator_` has it.

    Notes
    -----
    `predict_proba` gives the classifier's own probabilities, which stay those of the data; only `predict` is another.
    A classifier that was trained with class weights or on re-sampled data decides in this way already.

    References
    ----------
    Saerens, Latinne and Decaestecker, Neural Computation 14, 2002; Menon et al., ICLR 2021; Collell, Prelec and Patil,
    Neurocomputing 275, 2018.

    Examples
    --------
    >>> from sklearn.datasets import make_classification
    >>> from sklearn.metrics import balanced_accuracy_score
    >>> X, y = make_classification(2000, weights=[0.95], class_sep=0.5, random_state=0)
    >>> model = PriorAdjustedClassifier(estimator=LogisticRegression()).fit(X, y)
    >>> print(f"{balanced_accuracy_score(y, model.estimator_.predict(X)):.2f}")
    0.85
    >>> print(f"{balanced_accuracy_score(y, model.predict(X)):.2f}")
    0.91
    """

    class_shares_: np.ndarray

    def __init__(self, *, estimator: Any = None, tau: float = 1.0) -> None:
        self.estimator = estimator
        self.tau = tau

    def _check_settings(self) -> None:
        number = isinstance(self.tau, int | float | np.number) and not isinstance(self.tau, bool)
        if not number or not 0 <= self.tau < np.inf:
            raise ValueError(f"Expected tau to be a finite number at least 0, but got {self.tau!r}; 1 is usual.")

    def _learn_offsets(
        self, estimator: Any, X: Any, labels: np.ndarray, numbers: np.ndarray, weights: np.ndarray | None
    ) -> np.ndarray:
        counts = np.bincount(numbers, weights)
        self.class_shares_ = counts / counts.sum()
        return -self.tau * np.log(self.class_shares_)


class TunedDecisionClassifier(_OtherDecision):
    """Decides with the threshold, or an offset for each class, that was best on held-out training rows.

    The training rows are predicted in a stratified cross-validation. For these predictions the offset of one class
    after the other is set where the score is highest, exactly, until no class gains; the search starts both at the
    classifier's own decision and at that of `PriorAdjustedClassifier`. Then the classifier is fitted to all rows.

    Parameters
    ----------
    estimator : classifier with ``predict_proba``, default: scikit-learn's `LogisticRegression`
        A clone of it is fitted to the data as it is, and one to each part of the cross-validation.
    metric : {"balanced_accuracy", "macro_f1", "geometric_mean"}, default="balanced_accuracy"
        What is tuned for: the mean recall, mean F1, or geometric mean of the recalls over the classes.
    cv : int, default=5
        Folds, at least 2; fewer where a class has fewer rows.
    random_state : int, RandomState or None
        Of the folds.

    Attributes
    ----------
    classes_ : ndarray of shape (C,)
        Labels, sorted.
    offsets_ : ndarray of shape (C,)
        What is added to log-probabilities before the largest decides; the first is 0. With two classes the second is
        named where its probability is above ``1 / (1 + exp(offsets_[1]))``.
    best_score_ : float
        Of the out-of-fold predictions with these offsets; tuned on them, and so better than on new rows. For the
        geometric mean its logarithm.
    estimator_ : classifier
    n_features_in_ : int
        Where `estimator_` has it.

    Notes
    -----
    `predict_proba` gives the classifier's own probabilities, which stay those of the data; only `predict` is another.
    With very few rows of a class the offsets follow these rows; `PriorAdjustedClassifier` tunes nothing.

    Examples
    --------
    >>> from sklearn.datasets import make_classification
    >>> from sklearn.metrics import balanced_accuracy_score
    >>> X, y = make_classification(2000, weights=[0.95], class_sep=0.5, random_state=0)
    >>> model = TunedDecisionClassifier(estimator=LogisticRegression(), random_state=0).fit(X, y)
    >>> print(f"{balanced_accuracy_score(y, model.estimator_.predict(X)):.2f}")
    0.85
    >>> threshold = 1 / (1 + np.exp(model.offsets_[1]))
    >>> print(f"{balanced_accuracy_score(y, model.predict(X)):.2f} with a threshold of {threshold:.2f}")
    0.91 with a threshold of 0.11
    """

    best_score_: float

    def __init__(
        self, *, estimator: Any = None, metric: str = "balanced_accuracy", cv: int = 5, random_state: Any = None
    ) -> None:
        self.estimator = estimator
        self.metric = metric
        self.cv = cv
        self.random_state = random_state

    def _check_settings(self) -> None:
        if self.metric not in _SCORES:
            raise ValueError(f"Expected metric to be one of {sorted(_SCORES)}, but got {self.metric!r}.")
        if isinstance(self.cv, bool) or not isinstance(self.cv, int | np.integer) or self.cv < 2:
            raise ValueError(f"Expected cv to be a whole number at least 2, but got {self.cv!r}; 5 is usual.")

    def _learn_offsets(
        self, estimator: Any, X: Any, labels: np.ndarray, numbers: np.ndarray, weights: np.ndarray | None
    ) -> np.ndarray:
        counts = np.bincount(numbers)
        if counts.min() < 2:
            raise ValueError(
                f"Expected every class of y to have at least 2 samples, one to learn from and one to tune by, but got "
                f"1 sample of class {np.unique(labels)[counts.argmin()].item()!r}; collect more, drop the class, or "
                "use PriorAdjustedClassifier, which tunes nothing."
            )
        folds = StratifiedKFold(
            min(int(self.cv), int(counts.min())), shuffle=True, random_state=as_random_state(self.random_state)
        )
        with naming("X", _UNDERSTOOD):
            held_out = cross_val_predict(
                clone(estimator),
                X,
                labels,
                cv=folds,
                method="predict_proba",
                params=None if weights is None else {"sample_weight": weights},
            )
        offsets, self.best_score_ = tuned_offsets(_logarithms(held_out), numbers, weights, self.metric)
        return offsets


def _logarithms(probabilities: Any) -> np.ndarray:
    return np.log(np.maximum(np.asarray(probabilities, dtype=np.float64), _SMALLEST))


def tuned_offsets(
    scores: np.ndarray, numbers: np.ndarray, weights: np.ndarray | None = None, metric: str = "balanced_accuracy"
) -> tuple[np.ndarray, float]:
    """Return offsets (C,) of the columns with which the decision for the largest scores best, and that score.

    Parameters
    ----------
    scores : float array of shape (n, C)
        Log-probabilities of rows that were not trained on.
    numbers : integer array of shape (n,)
        Columns of the true classes; each class occurs.
    weights : array of shape (n,), optional
        How much each row counts.
    metric : {"balanced_accuracy", "macro_f1", "geometric_mean"}, default="balanced_accuracy"

    Examples
    --------
    >>> offsets, score = tuned_offsets(np.log([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3]]), np.array([0, 0, 1]))
    >>> score, int((np.log([0.74, 0.26]) + offsets).argmax()), int((np.log([0.76, 0.24]) + offsets).argmax())
    (1.0, 1, 0)
    """
    weights = np.ones(len(scores)) if weights is None else weights
    actual = np.bincount(numbers, weights)
    own, other = (
        _climb(scores, numbers, weights, actual, metric, start)
        for start in (np.zeros(len(actual)), -np.log(actual / actual.sum()))
    )
    offsets = other[0] if other[1] > own[1] + _EQUAL else own[0]  # of equals the one from the decision as it was
    offsets -= offsets[0]
    decided = (scores + offsets).argmax(axis=1)
    right = decided == numbers
    hit = np.bincount(numbers[right], weights[right], len(actual))
    named = np.bincount(decided, weights, len(actual))
    return offsets, float(np.mean(_SCORES[metric](hit, named, actual)))


def _climb(
    scores: np.ndarray, numbers: np.ndarray, weights: np.ndarray, actual: np.ndarray, metric: str, start: np.ndarray
) -> tuple[np.ndarray, float]:
    """Set the offset of one class after the other where the score is highest, until none gains."""
    offsets, best = start.copy(), -np.inf
    for _ in range(_PASSES):
        before = best
        for label in range(len(actual)):
            offset, score = _best_offset(scores + offsets, label, numbers, weights, actual, metric)
            if score > best + _EQUAL:
                offsets[label] += offset
                best = score
        if best <= before:
            break
    return offsets, best


def _best_offset(
    scores: np.ndarray, label: int, numbers: np.ndarray, weights: np.ndarray, actual: np.ndarray, metric: str
) -> tuple[float, float]:
    """Return what to add to the scores of one class, and the score then.

    As it rises, row after row turns from its best other class, its rival, to this one. So the score is known at every
    one of these turns from cumulative sums. Of equally good places the one nearest to 0 is returned, and 0 if no row
    turns between; never one at which a row is undecided.
    """
    others = scores.copy()
    others[:, label] = -np.inf
    rival = others.argmax(axis=1)
    needed = others.max(axis=1) - scores[:, label]
    order = np.argsort(needed, kind="stable")
    needed, rival, numbers, weights = needed[order], rival[order], numbers[order], weights[order]

    def turned(rows: np.ndarray) -> np.ndarray:
        """Return the weight of these rows among those that have turned, none, one, two, ... of them (n + 1,)."""
        return np.concatenate([[0.0], np.cumsum(np.where(rows, weights, 0.0))])

    value = np.zeros(len(needed) + 1)
    for other in range(len(actual)):
        if other == label:
            hit, named = turned(numbers == label), turned(numbers >= 0)
        else:
            hit, named = turned((rival == other) & (numbers == other)), turned(rival == other)
            hit, named = hit[-1] - hit, named[-1] - named
        value += _SCORES[metric](hit, named, actual[other])
    value /= len(actual)
    places = np.concatenate([[needed[0] - 2], needed, [needed[-1] + 2]])
    between = np.where((places[:-1] < 0) & (places[1:] > 0), 0.0, (places[:-1] + places[1:]) / 2)
    value[np.diff(places) < _TOGETHER] = -np.inf
    best = value.max()
    equals = between[value >= best - _EQUAL]
    return float(equals[np.abs(equals).argmin()]), float(best)
