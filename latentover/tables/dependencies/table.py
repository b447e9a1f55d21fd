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
    as_floats,
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
        rows = np.arange(len(frame))
        if len(frame) > SAMPLE:
            rows = np.random.default_rng(0).choice(len(frame), SAMPLE, replace=False)
        self.sample = frame.iloc[np.random.default_rng(1).permutation(rows)]
        self.names = [name for name in map(str, frame.columns) if can_quote(name)]
        self.nature = {name: nature_of(frame[name]) for name in self.names}
        self.names = [name for name in self.names if not self._is_constant(name) and not self._is_infinite(name)]
        self.position = {name: i for i, name in enumerate(self.names)}
        self._codes: dict[str, tuple[np.ndarray, Any] | None] = {}
        self._columns: dict[str, TypedColumn] = {}
        self._grids: dict[str, Grid] = {}
        self._floats: dict[str, np.ndarray] = {}

    def _is_constant(self, name: str) -> bool:
        try:
            known = self.frame[name].dropna()
            return known.empty or not (known != known.iloc[0]).any()
        except (TypeError, ValueError):
            return True

    def _is_infinite(self, name: str) -> bool:
        return self.nature[name] == "number" and bool(np.isinf(as_floats(self.frame[name])).any())

    def of(self, *natures: str) -> list[str]:
        """Return the columns of these natures."""
        return [name for name in self.names if self.nature[name] in natures]

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
        return self.column(name).decimals

    def grid(self, name: str) -> Grid:
        """Return which values a number column takes."""
        if name not in self._grids:
            values = self.floats(name)
            single = is_single(self.frame[name].dtype)
            self._grids[name] = Grid.of(values[np.isfinite(values)], self.decimals(name), single=single)
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
    values = table.floats(name)
    values = values[np.isfinite(values)]
    if len(values) < LEAST_ROWS or np.abs(values).max() > LARGEST_EXACT:
        return False
    return len(np.unique(values[:SAMPLE])) > 2
