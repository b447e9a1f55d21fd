"""Training rows as the search reads them, and what it has found in them."""

from typing import Any

import numpy as np
import pandas as pd

from latentover.tables.dependencies.expressions import Expression, can_quote
from latentover.tables.dependencies.kinds import (
    Dependency,
    Derived,
    Formula,
    Steps,
)
from latentover.tables.dependencies.numbers import Grid
from latentover.tables.dependencies.values import (
    LARGEST_EXACT,
    TypedColumn,
    as_array,
    as_floats,
    as_stored,
    decimals_of,
    is_plain,
    is_single,
    nature_of,
    plain,
)

LEAST_ROWS = 50
"""From fewer rows nothing is concluded."""
SAMPLE = 2000
LARGEST_CHANCE = -30.0
"""Logarithm of the largest probability that unrelated columns would look related in all rows."""
_LEVELS = 1000


class Table:
    """Training rows: columns as arrays, natures and codes, each worked out once."""

    def __init__(self, frame: pd.DataFrame):
        self.frame = frame
        self._codes: dict[str, tuple[np.ndarray, Any] | None] = {}
        self._columns: dict[str, TypedColumn] = {}
        self._decimals: dict[str, int | None] = {}
        self._ranges: dict[str, tuple[int, float]] = {}
        self._sampled: dict[str, np.ndarray] = {}
        self._grids: dict[str, Grid] = {}
        self._floats: dict[str, np.ndarray] = {}
        rows = np.arange(len(frame))
        if len(frame) > SAMPLE:
            rows = np.random.default_rng(0).choice(len(frame), SAMPLE, replace=False)
        self.sample = frame.iloc[np.random.default_rng(1).permutation(rows)]
        self.names = [name for name in map(str, frame.columns) if can_quote(name)]
        self.nature = {name: nature_of(frame[name]) for name in self.names}
        self.names = [name for name in self.names if not self._is_constant(name) and not self._is_infinite(name)]
        self.position = {name: i for i, name in enumerate(self.names)}

    def _is_constant(self, name: str) -> bool:
        try:
            if self.sample[name].nunique() > 1:
                return False
            known = self.frame[name].dropna()
            return known.empty or not (known != known.iloc[0]).any()
        except (TypeError, ValueError):
            return True

    def _is_infinite(self, name: str) -> bool:
        return self.nature[name] == "number" and self.range(name)[1] == np.inf

    def of(self, *natures: str) -> list[str]:
        """Return the columns of these natures."""
        return [name for name in self.names if self.nature[name] in natures]

    def sampled(self, name: str) -> np.ndarray:
        """Return a column of numbers, flags, times or durations on the sample."""
        if name not in self._sampled:
            self._sampled[name] = as_array(self.sample[name])
        return self._sampled[name]

    def range(self, name: str) -> tuple[int, float]:
        """Return how many values a number or flag column has, and the largest absolute one."""
        if name not in self._ranges:
            values = as_stored(self.frame[name])
            known = np.isfinite(values)
            self._ranges[name] = int(known.sum()), float(max(-np.fmin.reduce(values), np.fmax.reduce(values)))
        return self._ranges[name]

    def floats(self, name: str) -> np.ndarray:
        """Return a number or flag column (n,)."""
        if name not in self._floats:
            self._floats[name] = as_floats(self.frame[name])
        return self._floats[name]

    def column(self, name: str) -> TypedColumn:
        """Return what is known of a column's values."""
        if name not in self._columns:
            self._columns[name] = TypedColumn.of(self.frame[name])
        return self._columns[name]

    def part(self, text: str) -> np.ndarray:
        """Return a part (n,) of the times of a column."""
        if text not in self._floats:
            self._floats[text] = Expression(text).evaluate(self.frame)
        return self._floats[text]

    def decimals(self, name: str) -> int | None:
        """Return how many decimals a column has."""
        if name not in self._decimals:
            rough = self.nature[name] == "number" and decimals_of(self.sample[name]) is None
            self._decimals[name] = None if rough else self.column(name).decimals
        return self._decimals[name]

    def grid(self, name: str) -> Grid:
        """Return which values a number column takes."""
        if name not in self._grids:
            decimals, single = self.decimals(name), is_single(self.frame[name].dtype)
            values = self.sampled(name) if decimals is None else self.floats(name)
            self._grids[name] = Grid.of(values[np.isfinite(values)], decimals, single=single)
        return self._grids[name]

    def codes(self, name: str) -> tuple[np.ndarray, Any] | None:
        """Return codes (n,), -1 for missing, and levels of a column; None if it has too many."""
        if name not in self._codes:
            self._codes[name] = self._factorized(name)
        return self._codes[name]

    def _factorized(self, name: str) -> tuple[np.ndarray, Any] | None:
        if self.nature[name] in ("time", "duration") or self.sample[name].nunique() > len(self.sample) / 3:
            return None
        codes, found = pd.factorize(self.frame[name])
        levels = [plain(level) for level in found]
        if len(levels) > min(_LEVELS, len(codes) / 5) or not all(map(is_plain, levels)):
            return None
        return np.asarray(codes), levels


class Found:
    """What was found so far, without cycles."""

    def __init__(self) -> None:
        self.of: dict[str, Dependency] = {}

    def reaches(self, name: str, target: str) -> bool:
        """Return whether a column is computed with the help of `target`, or is it."""
        if name == target:
            return True
        known = self.of.get(name)
        return known is not None and any(self.reaches(source, target) for source in known.sources)

    def is_free(self, target: str, sources: tuple[str, ...]) -> bool:
        """Return whether `target` can be computed from `sources`."""
        return target not in self.of and not any(self.reaches(source, target) for source in sources)

    def add(self, dependency: Dependency | None) -> bool:
        """Keep a dependency if that makes no cycle."""
        if dependency is None or not self.is_free(dependency.target, dependency.sources):
            return False
        self.of[dependency.target] = dependency
        return True


def formula(table: Table, target: str, text: str) -> Formula | None:
    """Return a formula if all rows keep it and most have it."""
    expression = Expression(text)
    trial = Formula(table.column(target), own=False, expression=expression)
    return verified(table, trial, lambda own: Formula(trial.column, own, expression))


def verified(table: Table, trial: Derived, build: Any) -> Any:
    """Return a dependency that all rows keep, with what it has to say about missing values."""
    if trial.violated(table.frame).any():
        return None
    _, undecided = trial.compute(table.frame)
    missing = table.frame[trial.target].isna().to_numpy()
    both = ~undecided & ~missing
    inputs = table.frame[list(trial.sources)].isna().to_numpy().any(axis=1)
    if (undecided & ~inputs & ~missing).any() and not isinstance(trial, Steps):
        return None  # such as a division by zero
    if both.sum() < max(LEAST_ROWS, 0.2 * len(both)):
        return None
    return build(bool((undecided != missing).any()))


def is_rich(table: Table, name: str) -> bool:
    """Return whether a number column says enough that a formula for it is no accident."""
    count, largest = table.range(name)
    if count < LEAST_ROWS or largest > LARGEST_EXACT:
        return False
    values = table.sampled(name)
    return len(np.unique(values[np.isfinite(values)])) > 2
