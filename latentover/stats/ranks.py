"""Tests on ranks: Friedman, Shaffer's static post-hoc procedure, Holm, Wilcoxon.

After Demšar: Statistical Comparisons of Classifiers over Multiple Data Sets, JMLR 7, 2006, and García, Herrera: An
Extension on "Statistical Comparisons of Classifiers over Multiple Data Sets" for all Pairwise Comparisons, JMLR 9,
2008.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import combinations
from typing import NamedTuple

import numpy as np
import scipy.stats
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "FriedmanTest",
    "PairwiseTest",
    "WilcoxonTest",
    "check_scores",
    "friedman",
    "holm",
    "mean_ranks",
    "shaffer",
    "shaffer_factors",
    "true_hypotheses",
    "wilcoxon",
]


class FriedmanTest(NamedTuple):
    """Result of `friedman`.

    Attributes
    ----------
    statistic : float
        Friedman's chi-square, with k - 1 degrees of freedom, corrected for ties.
    p_value : float
        That the methods are all alike.
    mean_ranks : tuple of float
        1 is best.
    n_blocks : int
    """

    statistic: float
    p_value: float
    mean_ranks: tuple[float, ...]
    n_blocks: int


class PairwiseTest(NamedTuple):
    """One pair of `shaffer`.

    Attributes
    ----------
    first, second : str
        Names of the methods.
    z : float
        Difference of mean ranks (first less second) in standard errors; negative where the first is better.
    p_value : float
        Two-sided, of this pair alone.
    adjusted : float
        The same for all pairs together: below 0.05 the family-wise error is.
    """

    first: str
    second: str
    z: float
    p_value: float
    adjusted: float


class WilcoxonTest(NamedTuple):
    """Result of `wilcoxon`.

    Attributes
    ----------
    statistic : float
        The smaller sum of ranks.
    p_value : float
        Two-sided.
    n_different : int
        Blocks in which the two differ; only these speak.
    """

    statistic: float
    p_value: float
    n_different: int


def check_scores(scores: ArrayLike, at_least: int = 2) -> NDArray[np.float64]:
    """Return a table of scores (blocks, methods), or say what is wrong with it.

    Raises
    ------
    ValueError
        If it is no table, has fewer than *at_least* methods, or values are missing.
    """
    table = np.asarray(scores, dtype=np.float64)
    if table.ndim != 2 or not len(table) or table.shape[1] < at_least:
        raise ValueError(
            f"Expected *scores* to be a table with a row a block and at least {at_least} columns, one a method, but "
            f"got shape {table.shape}."
        )
    if not np.isfinite(table).all():
        raise ValueError(
            f"Expected *scores* to be complete, but got {int((~np.isfinite(table)).sum())} missing values; leave those "
            "blocks or methods out for all."
        )
    return table


def mean_ranks(scores: ArrayLike, *, higher_is_better: bool = True) -> NDArray[np.float64]:
    """Mean rank of each method over the blocks; 1 is best, and ties share the mean of their ranks.

    Parameters
    ----------
    scores : array-like of shape (n_blocks, n_methods)
    higher_is_better : bool, default=True

    Returns
    -------
    ndarray of shape (n_methods,)
        In [1, n_methods].

    Examples
    --------
    >>> from latentover.stats import mean_ranks
    >>> mean_ranks([[0.9, 0.8, 0.8], [0.7, 0.9, 0.5]]).tolist()
    [1.5, 1.75, 2.75]
    """
    table = check_scores(scores)
    return scipy.stats.rankdata(-table if higher_is_better else table, axis=1).mean(axis=0)


def friedman(scores: ArrayLike, *, higher_is_better: bool = True) -> FriedmanTest:
    """Friedman's test: do any of the methods differ?

    Parameters
    ----------
    scores : array-like of shape (n_blocks, n_methods)
        At least three methods; for two use `wilcoxon`.
    higher_is_better : bool, default=True

    Returns
    -------
    FriedmanTest
        If all scores of every block are equal: statistic 0 and p 1.

    Raises
    ------
    ValueError
        If there are fewer than three methods or values are missing.

    Examples
    --------
    >>> from latentover.stats import friedman
    >>> result = friedman([[0.9, 0.8, 0.7], [0.8, 0.7, 0.6], [0.9, 0.7, 0.8]])
    >>> round(result.statistic, 4), result.mean_ranks[0]
    (4.6667, 1.0)
    """
    table = check_scores(scores, at_least=3)
    n, k = table.shape
    ranks = scipy.stats.rankdata(-table if higher_is_better else table, axis=1)
    means = ranks.mean(axis=0)
    # Ranks of a block without ties have the variance (k^2 - 1) / 12; dividing by the real one corrects for ties.
    spread = np.square(ranks - (k + 1) / 2).sum() / (k - 1)
    statistic = float(n**2 * np.square(means - (k + 1) / 2).sum() / spread) if spread > 0 else 0.0
    return FriedmanTest(statistic, float(scipy.stats.chi2.sf(statistic, k - 1)), tuple(means.tolist()), n)


@cache
def true_hypotheses(k: int) -> tuple[int, ...]:
    """Numbers of pairs of k methods that can be equal at once, ascending.

    Equality is transitive: of three methods, none, one or all three pairs can be equal, but not two.

    References
    ----------
    Shaffer: Modified Sequentially Rejective Multiple Test Procedures, JASA 81, 1986.

    Examples
    --------
    >>> from latentover.stats import true_hypotheses
    >>> true_hypotheses(3), true_hypotheses(4)
    ((0, 1, 3), (0, 1, 2, 3, 6))
    """
    if k < 2:
        return (0,)
    found = {j * (j - 1) // 2 + rest for j in range(1, k + 1) for rest in true_hypotheses(k - j)}
    return tuple(sorted(found))


def shaffer_factors(k: int) -> tuple[int, ...]:
    """Factor of the i-th smallest of the k (k - 1) / 2 p-values: how many hypotheses can still be true there.

    Examples
    --------
    >>> from latentover.stats import shaffer_factors
    >>> shaffer_factors(4)
    (6, 3, 3, 3, 2, 1)
    """
    m = k * (k - 1) // 2
    return tuple(max(s for s in true_hypotheses(k) if s <= m - i) for i in range(m))


def shaffer(
    scores: ArrayLike, names: Sequence[str] | None = None, *, higher_is_better: bool = True
) -> list[PairwiseTest]:
    r"""Shaffer's static procedure after Friedman's test: which pairs of methods differ?

    :math:`z_{ij} = (R_i - R_j) / \sqrt{k (k + 1) / (6 N)}` on mean ranks, two-sided normal p-values, adjusted for all
    pairs.

    Parameters
    ----------
    scores : array-like of shape (n_blocks, n_methods)
        At least two methods. No p-value can be smaller than that of the largest possible difference of ranks, so few
        blocks cannot show much.
    names : sequence of str, optional
        Of the methods; by default "0", "1", ...
    higher_is_better : bool, default=True

    Returns
    -------
    list of PairwiseTest
        By p-value, ascending.

    Raises
    ------
    ValueError
        If values are missing or there is not one name a method.

    References
    ----------
    García, Herrera, JMLR 9, 2008, section 2.1; Shaffer, JASA 81, 1986.

    Examples
    --------
    >>> from latentover.stats import shaffer
    >>> table = [[0.9, 0.8, 0.7]] * 10
    >>> [(pair.first, pair.second, round(pair.adjusted, 4)) for pair in shaffer(table, ["a", "b", "c"])]
    [('a', 'c', 0.0), ('a', 'b', 0.0253), ('b', 'c', 0.0253)]
    """
    table = check_scores(scores)
    n, k = table.shape
    labels = [str(i) for i in range(k)] if names is None else [str(name) for name in names]
    if len(labels) != k or len(set(labels)) != k:
        raise ValueError(f"Expected *names* to be {k} different names, one a column, but got {labels}.")
    means = mean_ranks(table, higher_is_better=higher_is_better)
    error = np.sqrt(k * (k + 1) / (6 * n))
    pairs = [(i, j, float((means[i] - means[j]) / error)) for i, j in combinations(range(k), 2)]
    pairs.sort(key=lambda pair: -abs(pair[2]))
    p_values = [float(2 * scipy.stats.norm.sf(abs(z))) for *_, z in pairs]
    adjusted = _step_down(np.array(p_values), np.array(shaffer_factors(k)))
    return [
        PairwiseTest(labels[i], labels[j], z, p, q)
        for (i, j, z), p, q in zip(pairs, p_values, adjusted.tolist(), strict=True)
    ]


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Holm's adjusted p-values, in the order of *p_values*.

    Parameters
    ----------
    p_values : array-like of shape (m,)
        In [0, 1].

    Returns
    -------
    ndarray of shape (m,)

    Raises
    ------
    ValueError
        If values are not in [0, 1].

    References
    ----------
    Holm: A Simple Sequentially Rejective Multiple Test Procedure, Scandinavian Journal of Statistics 6, 1979.

    Examples
    --------
    >>> from latentover.stats import holm
    >>> holm([0.01, 0.04, 0.03]).round(2).tolist()
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, dtype=np.float64)
    if p.ndim != 1 or not ((p >= 0) & (p <= 1)).all():
        raise ValueError(f"Expected *p_values* to be numbers in [0, 1], but got {p.tolist()}.")
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = _step_down(p[order], np.arange(len(p), 0, -1))
    return adjusted


def wilcoxon(first: ArrayLike, second: ArrayLike) -> WilcoxonTest:
    """Wilcoxon's signed-rank test of two methods over blocks, two-sided.

    Blocks in which the two are equal are left out. With few blocks the smallest possible p-value is large: 0.0625 for
    five, 0.25 for three.

    Parameters
    ----------
    first, second : array-like of shape (n_blocks,)
        Scores.

    Returns
    -------
    WilcoxonTest
        If the two are equal in every block: statistic 0 and p 1.

    Raises
    ------
    ValueError
        If the lengths differ or values are missing.

    References
    ----------
    Wilcoxon: Individual Comparisons by Ranking Methods, Biometrics Bulletin 1, 1945; computed by SciPy.

    Examples
    --------
    >>> from latentover.stats import wilcoxon
    >>> wilcoxon([0.9, 0.8, 0.7, 0.9, 0.8], [0.8, 0.6, 0.4, 0.5, 0.3]).p_value
    0.0625
    """
    x, y = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if x.ndim != 1 or x.shape != y.shape:
        raise ValueError(f"Expected one score a block of each method, but got shapes {x.shape} and {y.shape}.")
    check_scores(np.column_stack([x, y]))
    n_different = int((x != y).sum())
    if n_different == 0:
        return WilcoxonTest(0.0, 1.0, 0)
    result = scipy.stats.wilcoxon(x, y, zero_method="wilcox")
    return WilcoxonTest(float(result.statistic), float(result.pvalue), n_different)


def _step_down(p_values: NDArray, factors: NDArray) -> NDArray[np.float64]:
    """Adjust ascending p-values: each times its factor, never below the one before, at most 1."""
    return np.minimum(1.0, np.maximum.accumulate(factors * p_values))
