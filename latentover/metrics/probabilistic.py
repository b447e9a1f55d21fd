"""Scores of class probabilities: precision-recall area, calibration, squared error."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from latentover.metrics.labels import as_labels, encode

__all__ = [
    "ReliabilityBins",
    "brier",
    "ece",
    "mauprc_ova",
    "operating_points",
    "prior_correction",
    "reliability_bins",
]

_SUM_TOLERANCE = 1e-3  # float32 softmax over a thousand classes stays well within it
_MOST_POINTS = 101
_LEAST_POINTS = 21
_POINTS_IN_ALL = 505  # of all classes together, so that they take a few kilobytes


class ReliabilityBins(NamedTuple):
    """Result of `reliability_bins`: one value a bin; of an empty bin all are 0.

    Attributes
    ----------
    n : ndarray of shape (n_bins,)
        Samples.
    confidence : ndarray of shape (n_bins,)
        Their mean highest probability.
    accuracy : ndarray of shape (n_bins,)
        How often the class with the highest probability is the true one.
    """

    n: NDArray[np.int64]
    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]


def _scores_and_codes(y_true: ArrayLike, scores: ArrayLike, classes: ArrayLike) -> tuple[NDArray, NDArray]:
    """Return scores (n, C) as float64 and the true columns (n,)."""
    order = as_labels(classes, "classes")
    codes = encode(y_true, order, "y_true")
    table = np.asarray(scores, dtype=np.float64)
    if table.shape != (len(codes), len(order)):
        raise ValueError(
            f"Expected *scores* to be of shape {(len(codes), len(order))} (samples, classes), "
            f"but got {table.shape}; pass one column a class, in the order of *classes*."
        )
    if not np.isfinite(table).all():
        raise ValueError(
            f"Expected *scores* to be finite, but got {int((~np.isfinite(table)).sum())} values that are not; "
            "check the classifier for overflow."
        )
    return table, codes


def _check_probabilities(scores: NDArray) -> None:
    low, high, off = scores.min(), scores.max(), np.abs(scores.sum(axis=1) - 1).max()
    if low < -_SUM_TOLERANCE or high > 1 + _SUM_TOLERANCE or off > _SUM_TOLERANCE:
        raise ValueError(
            "Expected *scores* to be probabilities (rows in [0, 1] that sum to 1), but got values in "
            f"[{low:.4g}, {high:.4g}] with a row sum that is off by {off:.4g}; pass the output of predict_proba."
        )


def _average_precision(hit: NDArray[np.bool_], score: NDArray) -> float:
    """Step-wise area under precision-recall of one class: sum over thresholds of (R_t - R_{t-1}) P_t."""
    falling = np.argsort(-score, kind="stable")
    hit, score = hit[falling], score[falling]
    last_of_tie = np.append(np.flatnonzero(np.diff(score)), len(score) - 1)
    true_positives = np.cumsum(hit)[last_of_tie]
    precision = true_positives / (last_of_tie + 1)
    return float(np.sum(np.diff(true_positives, prepend=0) * precision) / hit.sum())


def mauprc_ova(y_true: ArrayLike, scores: ArrayLike, classes: ArrayLike) -> float:
    """Mean area under the precision-recall curve, one class against all others.

    For each class the step-wise average precision of its score column; then the plain mean over the classes that occur
    in *y_true* (for the others it is not defined).

    Parameters
    ----------
    y_true : array-like of shape (n,)
        True labels.
    scores : array-like of shape (n, n_classes)
        Any finite scores that rise with the belief in a class; probabilities and logits both do.
    classes : array-like of shape (n_classes,)
        The class of each column.

    Returns
    -------
    float
        In (0, 1]; higher is better. Scores without skill give about 1 / n_classes on a balanced set.

    Raises
    ------
    ValueError
        If the shapes do not fit or a label has no column.

    Notes
    -----
    The score "mAUPRC, one versus all" of the regularized-autoencoder paper (its table 12).

    Examples
    --------
    >>> from latentover.metrics import mauprc_ova
    >>> round(mauprc_ova([0, 0, 1], [[0.9, 0.1], [0.4, 0.6], [0.5, 0.5]], classes=[0, 1]), 4)
    0.6667
    """
    table, codes = _scores_and_codes(y_true, scores, classes)
    present = np.unique(codes)
    return float(np.mean([_average_precision(codes == c, table[:, c]) for c in present]))


def ece(y_true: ArrayLike, scores: ArrayLike, classes: ArrayLike, *, n_bins: int = 15) -> float:
    r"""Expected calibration error: how far the stated confidence is from the hit rate.

    The highest probability of each row is its confidence. Rows are put into bins of equal width
    :math:`((b-1)/B, b/B]`; the error is :math:`\sum_b \frac{n_b}{n} |\mathrm{accuracy}_b - \mathrm{confidence}_b|`.

    Parameters
    ----------
    y_true : array-like of shape (n,)
        True labels.
    scores : array-like of shape (n, n_classes)
        Probabilities; rows sum to 1.
    classes : array-like of shape (n_classes,)
        The class of each column.
    n_bins : int, default=15
        Number of bins, at least 1.

    Returns
    -------
    float
        In [0, 1]; lower is better.

    Raises
    ------
    ValueError
        If *scores* are not probabilities of the right shape, or *n_bins* is below 1.

    References
    ----------
    Guo, Pleiss, Sun, Weinberger: On Calibration of Modern Neural Networks, ICML 2017, equation 3.

    Examples
    --------
    >>> from latentover.metrics import ece
    >>> round(ece([0, 1], [[0.9, 0.1], [0.8, 0.2]], classes=[0, 1]), 4)
    0.45
    """
    bins = reliability_bins(y_true, scores, classes, n_bins=n_bins)
    return float(np.abs(bins.n * (bins.accuracy - bins.confidence)).sum() / bins.n.sum())


def reliability_bins(y_true: ArrayLike, scores: ArrayLike, classes: ArrayLike, *, n_bins: int = 15) -> ReliabilityBins:
    """Set how sure a classifier is beside how often it is right: what `ece` sums up, and a reliability diagram shows.

    Parameters
    ----------
    y_true, scores, classes, n_bins
        As of `ece`.

    Returns
    -------
    ReliabilityBins

    Raises
    ------
    ValueError
        As `ece`.

    Examples
    --------
    >>> from latentover.metrics import reliability_bins
    >>> bins = reliability_bins([0, 1], [[0.9, 0.1], [0.8, 0.2]], classes=[0, 1], n_bins=2)
    >>> bins.n.tolist(), bins.confidence.round(2).tolist(), bins.accuracy.tolist()
    ([0, 2], [0.0, 0.85], [0.0, 0.5])
    """
    if n_bins < 1:
        raise ValueError(f"Expected *n_bins* to be at least 1, but got {n_bins}; the usual number is 15.")
    table, codes = _scores_and_codes(y_true, scores, classes)
    _check_probabilities(table)
    confidence = table.max(axis=1).clip(0, 1)
    correct = table.argmax(axis=1) == codes
    bins = (np.ceil(confidence * n_bins).astype(int) - 1).clip(min=0)
    n = np.bincount(bins, minlength=n_bins)
    sums = (np.bincount(bins, weights=values, minlength=n_bins) for values in (confidence, correct))
    return ReliabilityBins(n, *(total / np.maximum(n, 1) for total in sums))


def operating_points(y_true: ArrayLike, scores: ArrayLike, classes: ArrayLike) -> dict[str, Any]:
    """Count what is found and what is falsely alarmed where a sample is given to a class from a threshold on.

    From these counts follow precision, recall and the cost of a decision for each threshold on the probability of a
    class; they take a few kilobytes, whatever the number of samples.

    Parameters
    ----------
    y_true, scores, classes
        As of `brier`.

    Returns
    -------
    dict
        ``n``: samples; ``reliability``: `reliability_bins` as lists; ``classes``: for each class, the rarest in
        *y_true* first and up to 24 of them, its ``label``, its number of samples ``n``, and lists of equal length with
        up to 101 rising ``thresholds`` and the samples with at least that probability that are of the class
        (``found``) and that are not (``false``). Thresholds lie where what is found changes.

    Raises
    ------
    ValueError
        As `brier`.

    Examples
    --------
    >>> from latentover.metrics import operating_points
    >>> points = operating_points([0, 0, 1], [[0.9, 0.1], [0.4, 0.6], [0.5, 0.5]], classes=[0, 1])
    >>> points["classes"][0]
    {'label': '1', 'n': 1, 'thresholds': [0.5], 'found': [1], 'false': [1]}
    """
    table, codes = _scores_and_codes(y_true, scores, classes)
    _check_probabilities(table)
    labels, counts = as_labels(classes, "classes"), np.bincount(codes, minlength=table.shape[1])
    rarest = [c for c in np.argsort(counts, kind="stable") if counts[c]][: _POINTS_IN_ALL // _LEAST_POINTS]
    most = min(_MOST_POINTS, max(_LEAST_POINTS, _POINTS_IN_ALL // max(1, len(rarest))))
    bins = reliability_bins(y_true, scores, classes)
    return {
        "n": len(codes),
        "reliability": {
            "n": bins.n.tolist(),
            "confidence": bins.confidence.round(4).tolist(),
            "accuracy": bins.accuracy.round(4).tolist(),
        },
        "classes": [{"label": str(labels[c]), **_points_of(codes == c, table[:, c], most)} for c in rarest],
    }


def _points_of(hit: NDArray[np.bool_], score: NDArray, most: int) -> dict[str, Any]:
    """Thresholds for one class, and what is at or above them; rounded before anything is counted."""
    positives, negatives = np.sort(_rounded_down(score[hit])), np.sort(_rounded_down(score[~hit]))
    known = np.unique(positives)
    chosen = known[np.unique(np.linspace(0, len(known) - 1, min(most, len(known))).round().astype(int))]
    found, false = (len(side) - np.searchsorted(side, chosen) for side in (positives, negatives))
    return {"n": len(positives), "thresholds": chosen.tolist(), "found": found.tolist(), "false": false.tolist()}


def _rounded_down(score: NDArray) -> NDArray[np.float64]:
    """Four digits behind the point; small probabilities, as rare classes have them, two of their own."""
    score = score.clip(0, 1)
    small = np.where(score < 0.01, 10.0 ** np.floor(np.log10(np.maximum(score, 1e-12)) - 1), 1e-4)
    return (np.floor(score / small + 1e-9) * small).round(13)


def brier(y_true: ArrayLike, scores: ArrayLike, classes: ArrayLike) -> float:
    r"""Multi-class Brier score: mean over samples of :math:`\sum_c (p_c - [y = c])^2`.

    Parameters
    ----------
    y_true : array-like of shape (n,)
        True labels.
    scores : array-like of shape (n, n_classes)
        Probabilities; rows sum to 1.
    classes : array-like of shape (n_classes,)
        The class of each column.

    Returns
    -------
    float
        In [0, 2]; lower is better. Two classes give twice the binary Brier score.

    Raises
    ------
    ValueError
        If *scores* are not probabilities of the right shape.

    References
    ----------
    Brier: Verification of forecasts expressed in terms of probability, Monthly Weather Review 78, 1950, equation 2.

    Examples
    --------
    >>> from latentover.metrics import brier
    >>> round(brier(["a", "b"], [[0.8, 0.2], [0.5, 0.5]], classes=["a", "b"]), 4)
    0.29
    """
    table, codes = _scores_and_codes(y_true, scores, classes)
    _check_probabilities(table)
    truth = np.zeros_like(table)
    truth[np.arange(len(codes)), codes] = 1.0
    return float(np.mean(np.sum((table - truth) ** 2, axis=1)))


def prior_correction(scores: ArrayLike, counts_before: ArrayLike, counts_after: ArrayLike) -> NDArray[np.float64]:
    r"""Undo what re-sampling did to probabilities: from the class sizes trained on to those of the world.

    A classifier that was trained on :math:`n'_c` samples of class c where the world has :math:`n_c` states
    probabilities :math:`p'_c \propto p_c\, n'_c / n_c`, and so

    .. math:: p_c = \frac{p'_c\, n_c / n'_c}{\sum_k p'_k\, n_k / n'_k}.

    Parameters
    ----------
    scores : array-like of shape (n, n_classes)
        Probabilities; rows sum to 1.
    counts_before, counts_after : array-like of shape (n_classes,)
        Samples (or shares) of each class, in the order of the columns, before and after re-sampling; positive.

    Returns
    -------
    ndarray of shape (n, n_classes)
        Probabilities for data with the class sizes of *counts_before*.

    Raises
    ------
    ValueError
        If *scores* are not probabilities, or the counts are not one positive number a class.

    Notes
    -----
    Exact where the re-sampled data has the same distribution within each class as the original one, and the classifier
    is calibrated on it. Synthetic samples have it only about.

    References
    ----------
    Saerens, Latinne, Decaestecker: Adjusting the Outputs of a Classifier to New a Priori Probabilities: A Simple
    Procedure, Neural Computation 14, 2002, equation 2.4.

    Examples
    --------
    >>> from latentover.metrics import prior_correction
    >>> prior_correction([[0.5, 0.5]], counts_before=[95, 5], counts_after=[95, 95]).tolist()
    [[0.95, 0.05]]
    """
    table = np.asarray(scores, dtype=np.float64)
    before, after = (np.asarray(counts, dtype=np.float64) for counts in (counts_before, counts_after))
    if table.ndim != 2 or len(table) == 0 or not np.isfinite(table).all():
        raise ValueError(
            f"Expected *scores* to be finite and of shape (samples, classes), but got shape {table.shape}; pass the "
            "output of predict_proba."
        )
    _check_probabilities(table)
    for name, counts in (("counts_before", before), ("counts_after", after)):
        if counts.shape != table.shape[1:] or not np.isfinite(counts).all() or (counts <= 0).any():
            raise ValueError(
                f"Expected *{name}* to be {table.shape[1]} positive numbers, one a class, but got {counts.tolist()}."
            )
    corrected = table.clip(min=0) * (before / before.sum()) / (after / after.sum())
    return corrected / corrected.sum(axis=1, keepdims=True)
