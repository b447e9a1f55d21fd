"""Numbers as scores that networks learn well, and back: by mean and scale, or by the quantiles that were learned."""

import math
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from scipy.special import ndtri

MEDIAN_ROWS = 4_000
"""Of a longer column medians are those of so many evenly spaced rows, which are a fiftieth of a deviation off: finding
them would cost more than all else."""
HEAVY_TAIL = 4.0
"""A column is heavy-tailed if its deviation is this many times that of a normal column with the same middle half."""
_NORMAL = 1.4826
"""Standard deviation of a normal column over the median distance of its values from their median."""
FARTHEST = 1e6
"""Standardised numbers end here: none of n values is farther than sqrt(n), but later ones may be anything."""
MAX_VALUES = 500
"""A column of at most so many values has each of them as a knot."""
_CHUNKS = 3.0
"""Of other columns, so many times the cube root of n groups of neighbouring rows have a knot each, their mean at their
middle rank: more would follow the chance of these rows (a histogram's optimal width falls with the cube root of n)."""
_MOST_CHUNKS = 400
_GROUP = 3
"""Rows in such a group at least: a knot is no row's value."""
_OFTEN = 1 / 250
"""A value with this share of the rows has a knot of its own, whatever lies around it."""
_END = 8.2
"""Scores of the ranks 0 and 1, which double precision tells from their neighbours."""


@dataclass(frozen=True)
class Standard:
    """Mean and scale; of a heavy-tailed column those of its asinh.

    Attributes
    ----------
    mean, scale : float
        What standardises; the scale of a constant column is 0.
    centre, spread : float
        Of a heavy-tailed column: ``asinh((x - centre) / spread)`` is standardised instead of x. The spread of any
        other column is 0.
    fill : float
        The median's score, to three decimals: what stands for missing values.
    """

    mean: float
    scale: float
    centre: float = 0.0
    spread: float = 0.0
    fill: float = 0.0

    kind: ClassVar[str] = "standard"

    @classmethod
    def learn(cls, numbers: np.ndarray) -> "Standard":
        """Learn from finite numbers (n,)."""
        with np.errstate(over="ignore", invalid="ignore"):
            mean, scale = float(numbers.mean()), float(numbers.std())
        if not math.isfinite(scale):
            raise ValueError(f"{np.abs(numbers).max():g}")
        if scale <= 1e-6 * abs(mean) and numbers.min() == numbers.max():
            return cls(float(numbers[0]), 0.0)
        if scale <= 1e-12 * abs(mean):
            return cls(mean, 0.0)
        few = numbers[:: -(-len(numbers) // MEDIAN_ROWS)]
        median = float(np.median(few))
        distances = np.abs(few - median)
        apart = distances[distances > 0]
        middle = max(float(np.median(apart)) if len(apart) else 0.0, 1e-9 * scale)
        centre = spread = 0.0
        if scale > HEAVY_TAIL * _NORMAL * middle:
            # Rounded, for a median is some row's value, which nothing that is learned may hold.
            spread = 2.0 ** round(math.log2(middle))
            centre = spread * round(median / spread)
            numbers, median = np.arcsinh((numbers - centre) / spread), math.asinh((median - centre) / spread)
            mean, scale = float(numbers.mean()), float(numbers.std())
        return cls(mean, scale, centre, spread, round((median - mean) / scale, 3))

    def scores(self, numbers: np.ndarray) -> np.ndarray:
        """Return the scores of numbers (n,), NaN for NaN."""
        if self.spread:
            with np.errstate(over="ignore"):
                numbers = np.arcsinh((numbers - self.centre) / self.spread)
        return standardised(numbers, self.mean, self.scale or 1.0)

    def numbers(self, scores: np.ndarray) -> np.ndarray:
        """Return the numbers of scores (n,)."""
        numbers = scores * self.scale + self.mean
        if self.spread:
            with np.errstate(over="ignore"):
                numbers = self.centre + self.spread * np.sinh(numbers)
        return numbers

    @property
    def constant(self) -> bool:
        """Whether all numbers were one."""
        return self.scale == 0

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-able values."""
        return {"kind": self.kind, **asdict(self)}


def values_with_shares(numbers: np.ndarray, weights: np.ndarray | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the different numbers, ascending, how many rows have each, and with which share of the weights."""
    if weights is None:
        values, counts = np.unique(numbers, return_counts=True)
        return values, counts, counts / len(numbers)
    values, rows, counts = np.unique(numbers, return_inverse=True, return_counts=True)
    return values, counts, np.bincount(rows, weights) / weights.sum()


def standardised(numbers: np.ndarray, mean: Any, scale: Any) -> np.ndarray:
    """Return numbers less their mean, over their scale, not farther than `FARTHEST`."""
    with np.errstate(over="ignore"):
        scaled = np.subtract(numbers, mean, dtype=np.float64)
        scaled /= scale
    return scaled.clip(-FARTHEST, FARTHEST, out=scaled)


@dataclass(frozen=True)
class Quantiles:
    """Normal scores of ranks: a number's score is the normal quantile of its rank among the rows, and back.

    The ranks are a line through knots. A value with many rows has a knot at the rank where its rows begin and one where
    they end: all scores between decode to it, and it is encoded as the score of the middle. So columns of few values
    keep their shares exactly. Other knots are means of neighbouring rows, as many as a histogram of the rows would have
    bars; where the rows are dense each is of many of them, and towards the ends of fewer, at least 3, so that tails
    keep their shape.

    Attributes
    ----------
    ranks : tuple of float
        Share of the rows below each knot, ascending.
    values : tuple of float
        The knots, ascending.
    """

    ranks: tuple[float, ...]
    values: tuple[float, ...]

    kind: ClassVar[str] = "quantiles"
    fill: ClassVar[float] = 0.0
    spread: ClassVar[float] = 0.0

    @classmethod
    def learn(
        cls, numbers: np.ndarray, weights: np.ndarray | None = None, *, lattice: float | None = None
    ) -> "Quantiles":
        """Learn from finite numbers (n,).

        Parameters
        ----------
        numbers : ndarray of shape (n,)
        weights : ndarray of shape (n,), optional
            How many rows each stands for, above 0.
        lattice : float, optional
            How many values there could be in the range, where the numbers have steps.
        """
        values, counts, shares = values_with_shares(numbers, weights)
        if len(values) == 1:
            return cls((0.0, 1.0), (float(values[0]),) * 2)
        few = len(values) <= MAX_VALUES and (
            3 * len(values) <= len(numbers) or (lattice is not None and 2 * len(values) >= lattice)
        )
        own = counts >= (1 if lattice is not None else 2) if few else (shares >= _OFTEN) & (counts >= _GROUP)
        highs = np.cumsum(shares).clip(max=1.0)
        highs[-1] = 1.0
        lows = np.concatenate([[0.0], highs[:-1]])
        ranks: list[float] = [] if own[0] else [float(highs[0] / 2)]
        knots: list[float] = [] if own[0] else [float(values[0])]
        worth = len(numbers) if weights is None else float(weights.sum() ** 2 / np.square(weights).sum())
        chunks = min(max(_CHUNKS * worth ** (1 / 3), 20.0), _MOST_CHUNKS)
        for first, last in _groups(own, (lows + highs) / 2, counts, chunks, whole=few):
            if own[first]:
                ranks += [float(lows[first]), float(highs[first])]
                knots += [float(values[first])] * 2
            else:
                part = slice(first, last)
                ranks.append(float(lows[first] + highs[last - 1]) / 2)
                knots.append(float(np.average(values[part], weights=shares[part])))
        if not own[-1]:
            ranks.append(float((lows[-1] + 1) / 2))
            knots.append(float(values[-1]))
        return cls(tuple(np.maximum.accumulate(ranks).tolist()), tuple(np.maximum.accumulate(knots).tolist()))

    @cached_property
    def _knots(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        ranks = np.array(self.ranks)
        return ranks, ndtri(ranks).clip(-_END, _END), np.array(self.values)

    def scores(self, numbers: np.ndarray) -> np.ndarray:
        """Return the scores of numbers (n,), NaN for NaN; those of the ends for numbers beyond them."""
        _, scores, values = self._knots
        numbers = np.asarray(numbers, dtype=np.float64).clip(values[0], values[-1])
        found = np.interp(numbers, values, scores)
        known, middles = self._middles
        at = np.searchsorted(known, numbers).clip(max=len(known) - 1)
        return np.where(known[at] == numbers, middles[at], found)

    @cached_property
    def _middles(self) -> tuple[np.ndarray, np.ndarray]:
        """The different knots, and for each the score of the middle of its ranks."""
        ranks, _, values = self._knots
        known, first, counts = np.unique(values, return_index=True, return_counts=True)
        return known, ndtri((ranks[first] + ranks[first + counts - 1]) / 2).clip(-_END, _END)

    def numbers(self, scores: np.ndarray, *, beyond: tuple[bool, bool] = (False, False)) -> np.ndarray:
        """Return the numbers of scores (n,).

        Parameters
        ----------
        scores : ndarray of shape (n,)
        beyond : (bool, bool), default=(False, False)
            Whether numbers go on below and above those that were seen, as steeply as the last half of a score.
        """
        _, knots, values = self._knots
        numbers = np.interp(scores, knots, values)
        for open_, end, sign in ((beyond[0], 0, -1), (beyond[1], -1, 1)):
            if open_ and len(values) > 2:
                last = float(knots[end]) if abs(knots[end]) < _END else sign * _END
                slope = abs(values[end] - np.interp(last - sign * 0.5, knots, values)) / 0.5
                numbers = numbers + sign * slope * (sign * (scores - last)).clip(0)
        return numbers

    @cached_property
    def ties(self) -> tuple[tuple[float, float], ...]:
        """The ranks (low, high) between which all scores are those of one value, ascending."""
        ranks, _, values = self._knots
        same = np.flatnonzero((np.diff(values) == 0) & (np.diff(ranks) > 0))
        joined: list[tuple[float, float]] = []
        for i in same.tolist():
            low, high = float(ranks[i]), float(ranks[i + 1])
            if joined and joined[-1][1] == low and values[i - 1] == values[i]:
                low = joined.pop()[0]
            joined.append((low, high))
        return tuple(joined)

    @property
    def constant(self) -> bool:
        """Whether all numbers were one."""
        return self.values[0] == self.values[-1]

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-able values."""
        return {"kind": self.kind, "ranks": list(self.ranks), "values": list(self.values)}


def _groups(
    own: np.ndarray, ranks: np.ndarray, counts: np.ndarray, chunks: float, *, whole: bool
) -> list[tuple[int, int]]:
    """Return which of the sorted values (first, last + 1) share a knot; those in `own` have theirs alone.

    Half of the knots are even in ranks and half in scores. Values beside those in `own` that are too few for a group
    have no knot, and of a column of few values (`whole`) none has.
    """
    scores = ndtri(ranks)
    position = 0.5 * ranks + 0.5 * (scores - scores[0]) / max(scores[-1] - scores[0], 1e-12)
    number = np.floor(position * chunks).astype(np.int64)
    new = np.concatenate([[True], own[1:] | own[:-1] | (number[1:] != number[:-1])])
    starts = np.flatnonzero(new)
    ends = np.append(starts[1:], len(own))
    rows = np.add.reduceat(counts, starts)
    groups: list[tuple[int, int]] = []
    first, waiting = -1, 0
    for start, end, count in zip(starts.tolist(), ends.tolist(), rows.tolist(), strict=True):
        if own[start]:
            if waiting and groups and not own[groups[-1][0]] and groups[-1][1] == first:
                groups[-1] = (groups[-1][0], start)
            first, waiting = -1, 0
            groups.append((start, end))
        elif not whole:
            first, waiting = (start if first < 0 else first), waiting + count
            if waiting >= _GROUP:
                groups.append((first, end))
                first, waiting = -1, 0
    if waiting and groups and not own[groups[-1][0]] and groups[-1][1] == first:
        groups[-1] = (groups[-1][0], len(own))
    return groups


Scale = Standard | Quantiles


def scale_from_dict(state: dict[str, Any]) -> Scale:
    """Return the scale that `to_dict` described."""
    state = dict(state)
    if state.pop("kind") == Standard.kind:
        return Standard(**state)
    return Quantiles(tuple(state["ranks"]), tuple(state["values"]))
