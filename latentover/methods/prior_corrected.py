"""A classifier trained on re-sampled data whose probabilities are those of the data before.

Saerens, Latinne and Decaestecker, "Adjusting the Outputs of a Classifier to New a Priori Probabilities: A Simple
Procedure", Neural Computation 14, 2002.

Over-sampling tells a classifier that rare classes are frequent, and so its probabilities say. They are multiplied by
the class sizes before over those after re-sampling, and normalised (`latentover.metrics.prior_correction`).
"""

from typing import Any, Self

import numpy as np
from imblearn.over_sampling import RandomOverSampler
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.linear_model import LogisticRegression
from sklearn.utils import get_tags
from sklearn.utils.validation import check_consistent_length, check_is_fitted

from latentover.estimators.labels import check_labels, check_sample_weight
from latentover.estimators.resampled import fit_resample
from latentover.estimators.validation import check_method, check_takes_weights, naming
from latentover.metrics import prior_correction

_UNDERSTOOD = "data that estimator and sampler understand"


class PriorCorrectedClassifier(ClassifierMixin, BaseEstimator):
    """Re-samples, fits, and states probabilities for the class sizes before the re-sampling.

    Parameters
    ----------
    estimator : classifier with ``predict_proba``, default: scikit-learn's `LogisticRegression`
        A clone of it is fitted.
    sampler : sampler with ``fit_resample``, default: imbalanced-learn's `RandomOverSampler`
        One of latentover or imbalanced-learn, that leaves a sample of every class; a clone of it is used.

    Attributes
    ----------
    classes_ : ndarray of shape (C,)
        Labels, sorted.
    counts_before_, counts_after_ : ndarray of shape (C,)
        Samples of each class before and after re-sampling; with `sample_weight` the sums of their weights.
    prior_correction_ : ndarray of shape (C,)
        Class shares before over those after: what probabilities are multiplied by.
    estimator_ : classifier
        Fitted to the re-sampled data. Its `predict` decides as if all classes were as frequent as they are there.
    sampler_ : sampler
    n_features_in_ : int
        Where `estimator_` has it.

    Notes
    -----
    `predict` names the class whose corrected probability is the highest. That is the decision with the fewest errors,
    and often the one of a classifier without any re-sampling: rare classes gain only what their new samples taught.
    Where errors have different costs, decide with a threshold on the corrected probabilities (scikit-learn's
    `TunedThresholdClassifierCV`); where all classes count alike (balanced accuracy), with `estimator_`.

    Examples
    --------
    >>> from imblearn.over_sampling import SMOTE
    >>> from sklearn.datasets import make_classification
    >>> from sklearn.linear_model import LogisticRegression
    >>> X, y = make_classification(2000, weights=[0.95], class_sep=0.5, random_state=0)
    >>> model = PriorCorrectedClassifier(estimator=LogisticRegression(), sampler=SMOTE(random_state=0)).fit(X, y)
    >>> rare, stated = y.mean(), model.estimator_.predict_proba(X)[:, 1].mean()
    >>> print(f"{rare:.3f} {stated:.3f} {model.predict_proba(X)[:, 1].mean():.3f}")
    0.055 0.149 0.049
    """

    def __init__(self, *, estimator: Any = None, sampler: Any = None) -> None:
        self.estimator = estimator
        self.sampler = sampler

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Re-sample X and y and fit the classifier to the result.

        Parameters
        ----------
        X : array or frame that `sampler` and `estimator` understand
        y : array-like of shape (n,)
        sample_weight : array-like of shape (n,), optional
            How much each sample counts, 0 or more: for `sampler`, if it takes weights as latentover's do, for
            `estimator`, and for the class shares that probabilities are corrected to. A repeated sample keeps its
            weight, and a new one has what the sampler says.

        Returns
        -------
        self

        Raises
        ------
        TypeError
            If `estimator` has no ``predict_proba`` or `sampler` no ``fit_resample``; with `sample_weight`, if one of
            them can do nothing with weights.
        ValueError
            If the sampler leaves no sample of a class, or what the two raise.
        """
        estimator, sampler = self._parts()
        check_method("estimator", estimator, "predict_proba")
        check_method("sampler", sampler, "fit_resample")
        labels, _ = check_labels(y, one_hot=False)
        with naming("X and y", "of one length"):
            check_consistent_length(X, labels)
        weights = check_sample_weight(sample_weight, labels)
        check_takes_weights(estimator, weights)
        sampler, estimator = clone(sampler), clone(estimator)
        with naming("X", _UNDERSTOOD):
            X_resampled, y_resampled, weights_after = fit_resample(sampler, X, labels, weights)
        classes, numbers = np.unique(labels, return_inverse=True)
        numbers_after = np.searchsorted(classes, np.asarray(y_resampled))
        counts_before = np.bincount(numbers, weights)
        counts_after = np.bincount(numbers_after, weights_after, minlength=len(classes))
        lost = classes[counts_after == 0].tolist()
        if lost:
            raise ValueError(
                f"Expected sampler to leave a sample of every class, but got none of {lost}; use another sampler."
            )
        weighting = {} if weights_after is None else {"sample_weight": weights_after}
        with naming("X", _UNDERSTOOD):
            estimator.fit(X_resampled, y_resampled, **weighting)
        # Not before: where fitting fails nothing has been learned.
        self.sampler_, self.estimator_, self.classes_ = sampler, estimator, classes
        self.counts_before_, self.counts_after_ = counts_before, counts_after
        before, after = (counts / counts.sum() for counts in (counts_before, counts_after))
        self.prior_correction_ = before / after
        for name in ("n_features_in_", "feature_names_in_"):
            if hasattr(self.estimator_, name):
                setattr(self, name, getattr(self.estimator_, name))
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return probabilities (n, C) for the class sizes before the re-sampling, columns as ``classes_``."""
        check_is_fitted(self)
        with naming("X", _UNDERSTOOD):
            probabilities = self.estimator_.predict_proba(X)
        return prior_correction(probabilities, self.counts_before_, self.counts_after_)

    def predict(self, X: Any) -> np.ndarray:
        """Return the most probable labels (n,)."""
        probabilities = self.predict_proba(X)  # first, for it says so when there is nothing fitted
        return self.classes_[probabilities.argmax(axis=1)]

    def _parts(self) -> tuple[Any, Any]:
        estimator = LogisticRegression() if self.estimator is None else self.estimator
        return estimator, RandomOverSampler(random_state=0) if self.sampler is None else self.sampler

    def __sklearn_tags__(self) -> Any:
        """Say what input both parts understand."""
        tags = super().__sklearn_tags__()
        parts = [get_tags(part).input_tags for part in self._parts()]
        for name in ("sparse", "categorical", "string", "allow_nan"):
            setattr(tags.input_tags, name, all(getattr(part, name) for part in parts))
        return tags
