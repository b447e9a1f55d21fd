"""Can a classifier tell generated rows of a table from real ones?"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from latentover.metrics.intervals import Estimate, bootstrap_interval

__all__ = ["JudgeScore", "judge_rows", "rank_auc"]

FEWEST = 50
FOLDS = 5
RESAMPLES = 500


class JudgeScore(NamedTuple):
    """How well a classifier tells new rows from real ones that it has not seen.

    Attributes
    ----------
    auc : Estimate or None
        Area under the ROC curve with a bootstrap interval: 0.5 where nobody could tell, 1 where anybody can. None where
        there are fewer than 50 rows a side.
    n : int
        Rows on each side.
    held_out : bool
        Whether the real rows are ones that the generator has not seen. A generator that copies its training rows
        cannot be told from them, so that without held-out rows a low AUC proves little.
    reason : str
        Why there is no AUC, otherwise empty.
    """

    auc: Estimate | None
    n: int
    held_out: bool
    reason: str = ""


def rank_auc(negative: NDArray, positive: NDArray) -> float:
    """Probability that a score of `positive` is above one of `negative`; a tie counts half.

    Examples
    --------
    >>> import numpy as np
    >>> rank_auc(np.array([0.1, 0.4]), np.array([0.4, 0.9]))
    0.875
    """
    ordered = np.sort(negative)
    below = np.searchsorted(ordered, positive, "left") + np.searchsorted(ordered, positive, "right")
    return float(below.sum() / (2 * len(negative) * len(positive)))


def judge_rows(
    real: NDArray, new: NDArray, categorical: list[bool], strata: NDArray, *, held_out: bool, random_state: int
) -> JudgeScore:
    """Score by histogram gradient boosting, five-fold cross-validated.

    Parameters
    ----------
    real, new : ndarray of shape (n, d)
        As many rows of each; see `as_tree_rows`.
    categorical : list of d bool
    strata : ndarray of shape (2 * n,)
        Classes of the rows, real ones first; folds have the same share of each.
    held_out : bool
    random_state : int
    """
    from sklearn.model_selection import StratifiedKFold

    n = len(real)
    if n < FEWEST:
        return JudgeScore(None, n, held_out, f"{n} rows a side are too few to judge; {FEWEST} are the fewest.")
    rows, made = np.concatenate([real, new]), np.repeat([0, 1], n)
    _, groups = np.unique(np.stack([np.unique(strata, return_inverse=True)[1], made]), axis=1, return_inverse=True)
    groups = groups.reshape(-1)
    few = np.bincount(groups)[groups] < FOLDS
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=random_state)
    scores = np.empty(2 * n)
    for fitted, scored in folds.split(rows, np.where(few, made - 2, groups)):
        judge = fit_boosting(rows[fitted], made[fitted], categorical, random_state=random_state)
        scores[scored] = judge.predict_proba(rows[scored])[:, 1]
    auc = bootstrap_interval(rank_auc, scores[:n], scores[n:], n_resamples=RESAMPLES, random_state=random_state)
    return JudgeScore(auc, n, held_out)


def fit_boosting(
    rows: NDArray, y: NDArray, categorical: list[bool], *, random_state: int, weights: NDArray | None = None
) -> Any:
    """Return histogram gradient boosting fitted to rows of numbers and codes of levels, NaN where they are missing."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    empty = np.isnan(rows).all(axis=0)
    if empty.any():  # of which scikit-learn finds no bins
        rows = np.where(empty, 0.0, rows)
    model = HistGradientBoostingClassifier(
        categorical_features=categorical, early_stopping=False, random_state=random_state
    )
    return model.fit(rows, y, sample_weight=weights)


def plain_estimate(estimate: Any) -> dict[str, float | None] | None:
    """Return an estimate as JSON-able values."""
    if estimate is None:
        return None
    return {name: None if value != value else float(value) for name, value in estimate._asdict().items()}
