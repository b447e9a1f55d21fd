"""The Bayesian signed-rank test: how probable is it that one method is better by more than what matters?"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from latentover.seeds import as_random_state
from latentover.stats.ranks import check_scores

__all__ = ["SignedRankPosterior", "bayesian_signed_rank"]


class SignedRankPosterior(NamedTuple):
    """Result of `bayesian_signed_rank`; the three probabilities sum to 1.

    Attributes
    ----------
    first, equivalent, second : float
        Probability that the first method is better, that the two are practically equivalent, and that the second is.
    n_blocks, n_ties : int
        Blocks, and those in which the two scores are equal.
    note : str
        What to know about a degenerate case; empty otherwise.
    """

    first: float
    equivalent: float
    second: float
    n_blocks: int
    n_ties: int
    note: str


def bayesian_signed_rank(
    first: ArrayLike,
    second: ArrayLike,
    *,
    rope: float = 0.0,
    n_samples: int = 50_000,
    random_state: int | None = 0,
) -> SignedRankPosterior:
    """Posterior probabilities that one of two methods is better, by baycomp (``pip install "latentover[stats]"``).

    Parameters
    ----------
    first, second : array-like of shape (n_blocks,)
        Scores, higher better.
    rope : float, default=0.0
        Half width of the region of practical equivalence, in units of the scores: differences up to it do not matter.
    n_samples : int, default=50000
        Draws from the posterior; the probabilities are fractions of them.
    random_state : int or None, default=0

    Returns
    -------
    SignedRankPosterior

    Raises
    ------
    ImportError
        Without baycomp.
    ValueError
        If the lengths differ, values are missing or *rope* is negative.

    Notes
    -----
    Two degenerate cases. If one method wins every block and *rope* is 0, its probability is 1 whatever the size of the
    lead and the number of blocks: give a *rope*. If all blocks are ties and *rope* is 0, the posterior is symmetric,
    and the probabilities are 1/2 and 1/2 (counting draws would let rounding decide).

    References
    ----------
    Benavoli, Corani, Mangili, Zaffalon, Ruggeri: A Bayesian Wilcoxon Signed-Rank Test Based on the Dirichlet Process,
    ICML 2014; Benavoli, Corani, Demšar, Zaffalon: Time for a Change, JMLR 18, 2017, section 4.2 (the region).

    Examples
    --------
    >>> from latentover.stats import bayesian_signed_rank
    >>> bayesian_signed_rank([0.9, 0.8, 0.7], [0.8, 0.7, 0.6], n_samples=100).first
    1.0
    """
    x, y = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if x.ndim != 1 or x.shape != y.shape:
        raise ValueError(f"Expected one score a block of each method, but got shapes {x.shape} and {y.shape}.")
    check_scores(np.column_stack([x, y]))
    if not rope >= 0:
        raise ValueError(f"Expected *rope* to be 0 or more, but got {rope}; 0.01 is one point of accuracy.")
    as_random_state(random_state)  # refused here, by its name
    n_ties = int((x == y).sum())
    if n_ties == len(x) and rope == 0:
        note = "all blocks are ties: nothing speaks for either method"
        return SignedRankPosterior(0.5, 0.0, 0.5, len(x), n_ties, note)
    found = _signed_rank_test()(x, y, rope=rope, nsamples=n_samples, random_state=random_state).probs(with_rope=True)
    won = (x > y).all() or (x < y).all()
    note = "one method wins every block: without a rope that is certainty, however small the lead" if won else ""
    left, middle, right = (float(p) for p in found)
    return SignedRankPosterior(left, middle, right, len(x), n_ties, note if rope == 0 else "")


def _signed_rank_test() -> type:
    try:
        from baycomp import SignedRankTest
    except ImportError as error:
        raise ImportError(
            'Expected baycomp for the Bayesian test, but it is not installed; pip install "latentover[stats]".'
        ) from error
    return SignedRankTest
