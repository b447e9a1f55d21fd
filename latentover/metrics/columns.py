"""How far two samples of one column are apart, and how two columns of one sample hang together.

Numbers are floating-point with NaN for a missing value, levels are codes 0, 1, ... with NaN for a missing one. Missing
values are left out. Rows may have weights.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["correlation_ratio", "cramers_v", "kolmogorov_smirnov", "spearman", "total_variation"]


def kolmogorov_smirnov(
    real: ArrayLike, new: ArrayLike, *, real_weights: ArrayLike | None = None, new_weights: ArrayLike | None = None
) -> float:
    """Largest difference between the distribution functions of two samples of numbers.

    Parameters
    ----------
    real, new : array-like of shape (n,)
        NaN is left out.
    real_weights, new_weights : array-like of shape (n,), optional

    Returns
    -------
    float
        In [0, 1], 0 for equal distributions; ``nan`` if one sample has no value.

    Examples
    --------
    >>> from latentover.metrics import kolmogorov_smirnov
    >>> kolmogorov_smirnov([1, 2, 3, 4], [3, 4, 5, 6])
    0.5
    """
    (a, w), (b, v) = _known(real, real_weights), _known(new, new_weights)
    if not len(a) or not len(b):
        return float("nan")
    places = np.union1d(a, b)
    return float(np.abs(_distribution(a, w, places) - _distribution(b, v, places)).max())


def _distribution(values: NDArray, weights: NDArray, places: NDArray) -> NDArray:
    order = np.argsort(values, kind="stable")
    total = np.concatenate([[0.0], np.cumsum(weights[order])])
    return total[np.searchsorted(values[order], places, side="right")] / total[-1]


def total_variation(
    real: ArrayLike, new: ArrayLike, *, real_weights: ArrayLike | None = None, new_weights: ArrayLike | None = None
) -> float:
    """Half the sum of the differences between the shares of all levels: what has to change hands to make them equal.

    Parameters
    ----------
    real, new : array-like of shape (n,)
        Codes of levels, or any numbers; NaN is left out.
    real_weights, new_weights : array-like of shape (n,), optional

    Returns
    -------
    float
        In [0, 1], 0 for equal shares; ``nan`` if one sample has no value.

    Examples
    --------
    >>> from latentover.metrics import total_variation
    >>> total_variation([0, 0, 1, 1], [0, 0, 0, 2])
    0.5
    """
    (a, w), (b, v) = _known(real, real_weights), _known(new, new_weights)
    if not len(a) or not len(b):
        return float("nan")
    levels, codes = np.unique(np.concatenate([a, b]), return_inverse=True)
    first = np.bincount(codes[: len(a)], w, len(levels)) / w.sum()
    second = np.bincount(codes[len(a) :], v, len(levels)) / v.sum()
    return float(np.abs(first - second).sum() / 2)


def spearman(x: ArrayLike, y: ArrayLike, *, weights: ArrayLike | None = None) -> float:
    """Spearman's correlation of two columns of numbers, over the rows that have both.

    Parameters
    ----------
    x, y : array-like of shape (n,)
    weights : array-like of shape (n,), optional

    Returns
    -------
    float
        In [-1, 1]; ``nan`` if a column is constant.

    Examples
    --------
    >>> from latentover.metrics import spearman
    >>> round(spearman([1, 2, 3, 4], [1, 4, 9, 16]), 6)
    1.0
    """
    a, b, w = _complete(x, y, weights)
    if len(a) < 2:
        return float("nan")
    a, b = ranks(a, w), ranks(b, w)
    a, b = a - np.average(a, weights=w), b - np.average(b, weights=w)
    spread = np.sqrt((w * a * a).sum() * (w * b * b).sum())
    return float(np.clip((w * a * b).sum() / spread, -1, 1)) if spread > 0 else float("nan")


def cramers_v(x: ArrayLike, y: ArrayLike, *, weights: ArrayLike | None = None) -> float:
    r"""Cramér's V of two columns of levels without its bias, over the rows that have both.

    With :math:`\phi^2 = \chi^2 / n` of a table of r rows and k columns,
    :math:`V = \sqrt{\max(0, \phi^2 - (k-1)(r-1)/(n-1)) / \min(\tilde k - 1, \tilde r - 1)}` where
    :math:`\tilde k = k - (k-1)^2 / (n-1)`. Uncorrected it would be large for few rows with many levels.

    Parameters
    ----------
    x, y : array-like of shape (n,)
        Codes of levels.
    weights : array-like of shape (n,), optional
        n is then the number of equally weighted rows that would be as good (Kish).

    Returns
    -------
    float
        In [0, 1]; ``nan`` if a column is constant.

    References
    ----------
    Bergsma: A bias-correction for Cramér's V and Tschuprow's T, Journal of the Korean Statistical Society 42, 2013.

    Examples
    --------
    >>> from latentover.metrics import cramers_v
    >>> round(cramers_v([0, 1] * 20, [1, 0] * 20), 6)
    1.0
    """
    a, b, w = _complete(x, y, weights)
    _, first = np.unique(a, return_inverse=True)
    _, second = np.unique(b, return_inverse=True)
    r, k, n = len(set(first.tolist())), len(set(second.tolist())), _effective(w)
    if min(r, k) < 2 or n <= max(r, k):
        return float("nan")
    shares = np.bincount(first * k + second, w, r * k).reshape(r, k) / w.sum()
    expected = np.outer(shares.sum(axis=1), shares.sum(axis=0))
    phi2 = ((shares - expected) ** 2 / expected).sum() - (k - 1) * (r - 1) / (n - 1)
    most = min(k - (k - 1) ** 2 / (n - 1), r - (r - 1) ** 2 / (n - 1)) - 1
    return float(np.sqrt(np.clip(phi2 / most, 0, 1))) if most > 0 else float("nan")


def correlation_ratio(levels: ArrayLike, numbers: ArrayLike, *, weights: ArrayLike | None = None) -> float:
    r"""Correlation ratio of numbers on levels without its bias, of the numbers' ranks, over the rows that have both.

    :math:`\sqrt{\max(0, 1 - \frac{n-1}{n-k} \frac{SS_{within}}{SS_{total}})}`, k the number of levels. Of ranks, so
    that a few large numbers do not decide.

    Parameters
    ----------
    levels, numbers : array-like of shape (n,)
    weights : array-like of shape (n,), optional
        n is then the number of equally weighted rows that would be as good (Kish).

    Returns
    -------
    float
        In [0, 1], 1 where a level decides the number; ``nan`` if a column is constant or there is a level a row.

    References
    ----------
    Kelley: An unbiased correlation ratio measure, PNAS 21, 1935.

    Examples
    --------
    >>> from latentover.metrics import correlation_ratio
    >>> correlation_ratio([0, 0, 1, 1], [3, 3, 8, 8])
    1.0
    """
    a, b, w = _complete(levels, numbers, weights)
    found, codes = np.unique(a, return_inverse=True)
    k, n = len(found), _effective(w)
    if k < 2 or n <= k:
        return float("nan")
    values = ranks(b, w)
    total = (w * (values - np.average(values, weights=w)) ** 2).sum()
    if total <= 0:
        return float("nan")
    means = np.bincount(codes, w * values, k) / np.bincount(codes, w, k)
    within = (w * (values - means[codes]) ** 2).sum()
    return float(np.sqrt(np.clip(1 - (n - 1) / (n - k) * within / total, 0, 1)))


def ranks(values: NDArray, weights: NDArray) -> NDArray[np.float64]:
    """Return the mid-ranks of values as shares of the whole weight; equal values share the middle of theirs."""
    _, codes = np.unique(values, return_inverse=True)
    mass = np.bincount(codes, weights)
    return ((np.cumsum(mass) - mass / 2) / mass.sum())[codes]


def _known(values: ArrayLike, weights: ArrayLike | None) -> tuple[NDArray, NDArray]:
    array = np.asarray(values, dtype=np.float64)
    w = np.ones(len(array)) if weights is None else np.asarray(weights, dtype=np.float64)
    keep = ~np.isnan(array)
    return array[keep], w[keep]


def _complete(x: ArrayLike, y: ArrayLike, weights: ArrayLike | None) -> tuple[NDArray, NDArray, NDArray]:
    a, b = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if a.shape != b.shape:
        raise ValueError(f"Expected columns of one length, but got {a.shape} and {b.shape}; pass the same rows.")
    w = np.ones(len(a)) if weights is None else np.asarray(weights, dtype=np.float64)
    keep = ~(np.isnan(a) | np.isnan(b))
    return a[keep], b[keep], w[keep]


def _effective(weights: NDArray) -> Any:
    squares = (weights**2).sum()
    return weights.sum() ** 2 / squares if squares > 0 else 0.0
