"""Two methods with the same seeds on one data set: how far apart are they, and how sure is that?"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.stats
from numpy.typing import ArrayLike, NDArray

from latentover.stats.ranks import check_scores

__all__ = ["PairedDifference", "mean_difference", "paired_difference", "paired_scores"]

_ROUNDING = 4 * np.finfo(np.float64).eps
"""Of the larger score: two scores that should be equal may differ so much by the order in which sums were taken."""


class PairedDifference(NamedTuple):
    """Result of `paired_difference`.

    Attributes
    ----------
    mean : float
        Of the first less the second, in units of the scores.
    low, high : float
        Ends of the confidence interval of the mean.
    p_value : float
        Two-sided: that the two are alike.
    n : int
        Pairs.
    """

    mean: float
    low: float
    high: float
    p_value: float
    n: int


def paired_difference(first: ArrayLike, second: ArrayLike, *, level: float = 0.95) -> PairedDifference:
    """Mean difference of two methods over shared seeds, with Student's t interval and paired test.

    Parameters
    ----------
    first, second : array-like of shape (n,)
        Scores with the same seeds, in one order; at least two.
    level : float, default=0.95
        Of the interval, in (0, 1).

    Returns
    -------
    PairedDifference
        Of differences without any spread the interval is a point, and p is 0, or 1 where they are all zero.

    Raises
    ------
    ValueError
        If there are fewer than two pairs, lengths differ, values are missing, or *level* is out of its range.

    Notes
    -----
    Seeds of one data set share its samples: what they show holds for that data set alone, and says nothing about how
    the methods would do on another one; for that compare over data sets (`friedman`, `wilcoxon`). With two or three
    seeds the interval is wide, and rests on the differences being normally distributed.

    References
    ----------
    Student: The Probable Error of a Mean, Biometrika 6, 1908.

    Examples
    --------
    >>> from latentover.stats import paired_difference
    >>> found = paired_difference([0.91, 0.92, 0.90], [0.90, 0.90, 0.89])
    >>> print(f"{found.mean:.4f} ({found.low:.4f} to {found.high:.4f}), p = {found.p_value:.3f}")
    0.0133 (-0.0010 to 0.0277), p = 0.057
    """
    differences = paired_scores(first, second, "seed", level=level)
    return PairedDifference(*mean_difference(differences, 1 / len(differences), level=level), len(differences))


def paired_scores(first: ArrayLike, second: ArrayLike, block: str, *, level: float) -> NDArray[np.float64]:
    """Return the differences (n,) of two methods' scores, or raise ValueError; `block` names what they share."""
    x, y = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if x.ndim != 1 or x.shape != y.shape or len(x) < 2:
        raise ValueError(
            f"Expected a score of each method on each of two or more {block}s, but got shapes {x.shape} and {y.shape}."
        )
    check_scores(np.column_stack([x, y]))
    if not 0 < level < 1:
        raise ValueError(f"Expected *level* to be in (0, 1), but got {level}.")
    differences = x - y
    differences[np.abs(differences) <= _ROUNDING * np.maximum(np.abs(x), np.abs(y))] = 0.0
    return differences


def mean_difference(
    differences: NDArray[np.float64], share: float, *, level: float
) -> tuple[float, float, float, float]:
    """Mean of differences (n,), both ends of its interval, and p; `share` times their variance is that of the mean."""
    if (differences == differences[0]).all():  # their mean may be rounded, and then the variance is not zero
        mean = float(differences[0])
        return mean, mean, mean, 1.0 if mean == 0 else 0.0
    mean, n = float(differences.mean()), len(differences)
    error = float(np.sqrt(share * differences.var(ddof=1)))
    half = float(scipy.stats.t.ppf((1 + level) / 2, n - 1)) * error
    return mean, mean - half, mean + half, float(2 * scipy.stats.t.sf(abs(mean) / error, n - 1))
