"""Estimates with an interval, and the bootstrap that gives them one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from latentover.metrics.classification import gm_a_of, gm_b_of, gm_c_of, mean_of
from latentover.metrics.confusion import confusion_matrix, f1s, recalls
from latentover.seeds import as_generator

__all__ = ["Estimate", "bootstrap_interval", "classification_intervals"]


class Estimate(NamedTuple):
    """A value and the ends of its interval.

    Attributes
    ----------
    value, low, high : float
        Not every interval is symmetric around the value.
    """

    value: float
    low: float
    high: float


def check_level(level: float) -> float:
    """Return the level of an interval, or raise ValueError unless it is strictly between 0 and 1."""
    if not 0 < level < 1:
        raise ValueError(f"Expected *level* to be strictly between 0 and 1, but got {level}; the usual one is 0.95.")
    return level


def bootstrap_interval(
    statistic: Callable[..., float],
    *samples: ArrayLike,
    paired: bool = False,
    strata: ArrayLike | None = None,
    centred: bool = False,
    level: float = 0.95,
    n_resamples: int = 1000,
    random_state: Any = None,
) -> Estimate:
    """Value of a statistic and a bootstrap interval: rows are drawn anew with replacement, as many as there are.

    Parameters
    ----------
    statistic : callable
        Takes as many arrays as *samples* and returns a number.
    *samples : array-like of shape (n, ...)
        What it is computed from.
    paired : bool, default=False
        True draws the same rows of every sample (labels and predictions); False draws each by itself (real and fake).
    strata : array-like of shape (n,), optional
        Rows are drawn within each stratum, so that class sizes stay; for samples of one length.
    centred : bool, default=False
        True takes only the spread from the resamples and puts it around the value. For statistics whose bias grows
        when rows repeat, such as the Fréchet distance: their plain interval can miss the value itself.
    level : float, default=0.95
        In (0, 1).
    n_resamples : int, default=1000
    random_state : int, numpy Generator or None

    Returns
    -------
    Estimate

    Raises
    ------
    ValueError
        If *level* or *n_resamples* is out of range, or samples that belong together differ in length.

    References
    ----------
    Efron, Tibshirani: An Introduction to the Bootstrap, 1993, chapter 13 (percentile intervals).

    Examples
    --------
    >>> import numpy as np
    >>> from latentover.metrics import bootstrap_interval
    >>> value, low, high = bootstrap_interval(np.mean, np.arange(100.0), random_state=0)
    >>> value, bool(40 < low < value < high < 60)
    (49.5, True)
    """
    check_level(level)
    if n_resamples < 2:
        raise ValueError(f"Expected *n_resamples* to be at least 2, but got {n_resamples}; 1000 is usual.")
    arrays = [np.asarray(sample) for sample in samples]
    lengths = {len(array) for array in arrays} | (set() if strata is None else {len(np.asarray(strata))})
    if (paired or strata is not None) and len(lengths) > 1:
        raise ValueError(
            f"Expected samples (and strata) of one length, but got lengths {sorted(lengths)}; pass one row a sample."
        )
    rng = as_generator(random_state)
    groups = None if strata is None else _groups(np.asarray(strata))
    value = float(statistic(*arrays))
    draws = np.empty(n_resamples)
    for i in range(n_resamples):
        rows = _rows(len(arrays[0]), groups, rng)
        drawn = [
            array[rows if paired or position == 0 else _rows(len(array), groups, rng)]
            for position, array in enumerate(arrays)
        ]
        draws[i] = statistic(*drawn)
    return _estimate(value, draws, level, centred=centred)


def classification_intervals(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    classes: ArrayLike | None = None,
    *,
    level: float = 0.95,
    n_resamples: int = 1000,
    random_state: Any = None,
) -> dict[str, Estimate]:
    """Scores of a set of predictions with bootstrap intervals; class sizes are kept.

    It is the variation over test samples for one trained model. The variation over trainings is that over seeds.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n,)
        True and predicted labels.
    classes : array-like of shape (n_classes,), optional
        See `confusion_matrix`.
    level, n_resamples, random_state
        See `bootstrap_interval`.

    Returns
    -------
    dict of str to Estimate
        ``acsa``, ``macro_f1``, ``gm_a``, ``gm_b``, ``gm_c``, ``top1``.

    Notes
    -----
    Drawing test samples within each class is the same as drawing each row of the confusion matrix from a multinomial
    distribution with the row's own shares, which is how it is done.

    Examples
    --------
    >>> from latentover.metrics import classification_intervals
    >>> estimates = classification_intervals([0] * 90 + [1] * 10, [0] * 90 + [1] * 5 + [0] * 5, random_state=0)
    >>> estimates["acsa"].value, estimates["acsa"].low < 0.65 < estimates["acsa"].value
    (0.75, True)
    """
    check_level(level)
    matrix = confusion_matrix(y_true, y_pred, classes)
    rng = as_generator(random_state)
    support = matrix.sum(axis=1)
    shares = matrix / np.maximum(support, 1)[:, None]
    kept = support > 0  # an absent class has no shares to draw with
    drawn = np.zeros((n_resamples, *matrix.shape), dtype=np.int64)
    drawn[:, kept] = rng.multinomial(support[kept], shares[kept], size=(n_resamples, int(kept.sum())))
    functions: dict[str, Callable[[NDArray], float]] = {
        "acsa": lambda m: mean_of(recalls(m)),
        "macro_f1": lambda m: mean_of(f1s(m)),
        "gm_a": gm_a_of,
        "gm_b": gm_b_of,
        "gm_c": lambda m: gm_c_of(m, 0.0),
        "top1": lambda m: float(np.trace(m) / m.sum()),
    }
    return {
        name: _estimate(function(matrix), np.array([function(m) for m in drawn]), level, centred=False)
        for name, function in functions.items()
    }


def _groups(strata: NDArray) -> list[NDArray]:
    _, inverse = np.unique(strata, return_inverse=True)
    return [np.flatnonzero(inverse == group) for group in range(inverse.max() + 1)]


def _rows(n: int, groups: list[NDArray] | None, rng: np.random.Generator) -> NDArray:
    if groups is None:
        return rng.integers(0, n, n)
    return np.concatenate([group[rng.integers(0, len(group), len(group))] for group in groups])


def _estimate(value: float, draws: NDArray, level: float, *, centred: bool) -> Estimate:
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    shift = value - draws.mean() if centred else 0.0
    return Estimate(value, float(low + shift), float(high + shift))
