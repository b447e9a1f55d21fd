"""A test of two methods over the folds of one data set, whose training parts overlap."""

from __future__ import annotations

from typing import NamedTuple

from numpy.typing import ArrayLike

from latentover.stats.paired import mean_difference, paired_scores

__all__ = ["ResampledTTest", "corrected_resampled_t"]


class ResampledTTest(NamedTuple):
    """Result of `corrected_resampled_t`.

    Attributes
    ----------
    difference : float
        Mean of the first less the second.
    low, high : float
        Ends of the confidence interval of the difference.
    p_value : float
        Two-sided: that the two are alike.
    n_folds : int
    """

    difference: float
    low: float
    high: float
    p_value: float
    n_folds: int


def corrected_resampled_t(
    first: ArrayLike, second: ArrayLike, *, test_share: float, level: float = 0.95
) -> ResampledTTest:
    r"""Do two methods differ on one data set, by their scores on the same folds?

    The training parts of folds share rows, so that their scores vary less than those of new data would, and the plain
    t-test finds differences that are none. Nadeau and Bengio put
    :math:`\frac{1}{J} + \frac{n_\text{test}}{n_\text{train}}` in the place of :math:`\frac{1}{J}` in the variance of
    the mean of J differences.

    Parameters
    ----------
    first, second : array-like of shape (n_folds,)
        Scores on the same folds, in one order; at least two. Repetitions of a cross-validation count as further folds.
    test_share : float
        Rows of a fold's test part over all rows, in (0, 1): 1 / k for k-fold cross-validation.
    level : float, default=0.95
        Of the interval, in (0, 1).

    Returns
    -------
    ResampledTTest
        Of methods that are equal in every fold the interval is a point and p is 1.

    Raises
    ------
    ValueError
        If there are fewer than two folds, lengths differ, values are missing, or a number is out of its range.

    Notes
    -----
    A rule with good size and power in simulations, not an exact test. It speaks of one data set alone.

    References
    ----------
    Nadeau, Bengio: Inference for the Generalization Error, Machine Learning 52, 2003; Bouckaert, Frank: Evaluating the
    Replicability of Significance Tests for Comparing Learning Algorithms, PAKDD 2004.

    Examples
    --------
    >>> from latentover.stats import corrected_resampled_t
    >>> found = corrected_resampled_t([0.9, 0.8, 0.9, 0.8, 0.9], [0.8, 0.8, 0.7, 0.7, 0.8], test_share=0.2)
    >>> print(f"{found.difference:.2f} ({found.low:.2f} to {found.high:.2f}), p = {found.p_value:.3f}")
    0.10 (-0.03 to 0.23), p = 0.103
    """
    if not 0 < test_share < 1:
        raise ValueError(f"Expected *test_share* to be in (0, 1), but got {test_share}.")
    differences = paired_scores(first, second, "fold", level=level)
    share = 1 / len(differences) + test_share / (1 - test_share)
    return ResampledTTest(*mean_difference(differences, share, level=level), len(differences))
