"""Columns of numbers: scores of learned quantiles or of mean and scale, point masses, and steps."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from latentover.tables.columns import Column, Part, number_part, one_hot, present, with_gaps
from latentover.tables.scales import Quantiles, Scale, Standard, scale_from_dict, standardised, values_with_shares
from latentover.tables.series import as_dtype, as_floats, inferred, is_time, number_dtype, plain_value
from latentover.tables.steps import Steps, find_steps, steps_from_dict
from latentover.tables.values import from_json

MASS = 0.05
"""Share of the rows that a value has to have to be a point mass."""
_OTHERS = 10
"""Different values that there have to be beside point masses."""
_STANDS_OUT = 3
"""A point mass has so many times the rows of its neighbours."""
_MOST_MASSES = 8

Bounds = tuple[float | None, float | None]


@dataclass(frozen=True)
class Number(Column):
    """Numbers.

    Its parts are a number, the score; before it, where there are point masses or missing values are a state, the
    levels "mass 1", ..., "mass k", "other" and, at the end, "missing". In any state but "other" the score is that of
    the median, which says nothing.

    Attributes
    ----------
    number_dtype : str
        NumPy name of the type that the values have: ``"int64"`` in pandas' ``"Int64"``.
    scale : Standard or Quantiles
        Of the values that are no point masses.
    low, high : float, int or None
        What generated numbers are clipped to; None leaves that side open.
    steps : Lattice, Grid or None
        What they are rounded to.
    masses : tuple of float
        Values with at least 5 % of the rows, 3 times as many as their neighbours, in a column of 10 other values.
    """

    number_dtype: str = "float64"
    scale: Scale = Standard(0.0, 1.0)  # noqa: RUF009 - frozen
    low: float | None = None
    high: float | None = None
    steps: Steps | None = None
    masses: tuple[float, ...] = ()

    kind: ClassVar[str] = "number"

    @classmethod
    def learn(
        cls,
        values: pd.Series,
        dtype: str,
        *,
        scores: bool,
        stepped: bool,
        missing: bool = False,
        bounds: Bounds | None = None,
        weights: np.ndarray | None = None,
    ) -> "Number":
        """Learn a column of numbers.

        Parameters
        ----------
        values : Series of shape (n,)
        dtype : str
            Name of its type.
        scores : bool
            Whether by quantiles, with point masses, or by mean and scale.
        stepped : bool
            Whether steps are looked for.
        missing : bool, default=False
            Whether missing values, where there are some, become a state.
        bounds : (low, high), optional
            What generated numbers are clipped to, None for an open side; by default the range of `values`.
        weights : ndarray of shape (n,), optional
            How many rows each row stands for, above 0; for quantiles.
        """
        seen, gaps = present(values)
        name, seen = plain_value(values.name), inferred(seen)
        kept, numbers = number_dtype(seen.dtype), as_floats(seen)
        if bounds is None and np.dtype(kept).kind in "ui":
            bounds = int(seen.min()), int(seen.max())  # exactly: not every whole number has a float
        elif bounds is None:
            bounds = float(numbers.min()), float(numbers.max())
        if weights is not None:
            weights = weights[~gaps]
        try:
            scale: Scale = Standard.learn(numbers)
        except ValueError as error:
            raise ValueError(
                f"Expected X to hold numbers that can be squared, but got {error} in column {name!r}; divide it by a "
                "constant, or take logarithms."
            ) from error
        steps = find_steps(numbers, kept) if stepped and not scale.constant else None
        masses: tuple[float, ...] = ()
        if scores and not scale.constant:
            masses = find_masses(numbers, weights)
            if masses:
                others = ~np.isin(numbers, masses)
                numbers, weights = numbers[others], None if weights is None else weights[others]
            lattice = None if steps is None else steps.count(float(numbers.min()), float(numbers.max()))
            scale = Quantiles.learn(numbers, weights, lattice=lattice)
        low, high = bounds
        return cls(name, dtype, missing and bool(gaps.any()), kept, scale, low, high, steps, masses)

    @property
    def n_states(self) -> int:
        """How many states there are: point masses, others, missing ones."""
        return len(self.masses) + 1 + self.missing

    @property
    def parts(self) -> tuple[Part, ...]:
        """Its parts in their order."""
        if self.n_states == 1:
            return (number_part(self.scale),)
        return Part("levels", self.n_states, self.n_states), number_part(self.scale, when=len(self.masses))

    @property
    def constant(self) -> bool:
        """Whether it has one value alone, and none is missing."""
        return self.n_states == 1 and self.scale.constant

    def encode(self, values: pd.Series) -> np.ndarray:
        """Return states, where there are some, and scores (n, width)."""
        numbers = self._numbers(values)
        scores, missing = self.scale.scores(numbers), np.isnan(numbers)
        if self.n_states == 1:
            return np.where(missing, self.scale.fill, scores)[:, None].astype(np.float32)
        states = np.full(len(numbers), len(self.masses))
        for i, mass in enumerate(self.masses):
            states[numbers == mass] = i
        if self.missing:
            states[missing] = self.n_states - 1
        scores[missing | (states != len(self.masses))] = self.scale.fill
        return np.column_stack([one_hot(states, self.n_states), scores]).astype(np.float32)

    def _numbers(self, values: pd.Series) -> np.ndarray:
        """Return values as float64, NaN for missing ones."""
        try:
            if is_time(values.dtype):
                raise TypeError("these are no numbers")
            return as_floats(inferred(values))
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"Expected column {plain_value(values.name)!r} to hold numbers, as in fit, but got type "
                f"{values.dtype}: {error}."
            ) from error

    def decode(self, block: np.ndarray) -> pd.Series:
        """Return numbers in the user's pandas type."""
        values, missing = self._decoded(block)
        return with_gaps(pd.Series(values).astype(pd.api.types.pandas_dtype(self.dtype)), missing)

    def decode_array(self, block: np.ndarray) -> np.ndarray:
        """Return numbers in the user's NumPy type."""
        values, missing = self._decoded(block)
        values = values.astype(self.dtype, copy=False)
        return np.where(missing, np.nan, values) if self.missing else values

    def _decoded(self, block: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return numbers in their NumPy type, and which of them are missing."""
        scores = np.asarray(block[:, -1], dtype=np.float64)
        if isinstance(self.scale, Quantiles):
            known = (self.scale.values[0], self.scale.values[-1], *self.masses)
            beyond = self.low is None or self.low < min(known), self.high is None or self.high > max(known)
            numbers = self.scale.numbers(scores, beyond=beyond)
        else:
            numbers = self.scale.numbers(scores)
        states = np.zeros(len(block)) if self.n_states == 1 else block[:, : self.n_states].argmax(axis=1)
        if self.steps is not None:
            numbers = self.steps.snapped(numbers, self.low, self.high)
        for i, mass in enumerate(self.masses):
            numbers[states == i] = mass
        values = as_dtype(numbers, np.dtype(self.number_dtype), self.low, self.high)
        return values, (states == self.n_states - 1) & self.missing

    def describe(self) -> str:
        """Return in words what becomes of the column."""
        how = {"standard": "mean and scale", "quantiles": "scores of quantiles"}[self.scale.kind]
        words = [f"number, by {how}"] + ([] if self.steps is None else [str(self.steps)])
        if self.masses:
            words.append(f"point masses at {', '.join(f'{mass:g}' for mass in self.masses)}")
        return ", ".join(words + ["missing values as a state"] * self.missing)

    def to_dict(self) -> dict[str, Any]:
        """Return the column as JSON-able values."""
        steps = None if self.steps is None else self.steps.to_dict()
        return super().to_dict() | {"scale": self.scale.to_dict(), "steps": steps, "masses": list(self.masses)}

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> "Number":
        """Return the column that `to_dict` described."""
        parts = {"scale": scale_from_dict(state["scale"]), "steps": steps_from_dict(state["steps"])}
        return cls(**{**state, **parts, "name": from_json(state["name"]), "masses": tuple(state["masses"])})


def find_masses(numbers: np.ndarray, weights: np.ndarray | None = None) -> tuple[float, ...]:
    """Return the point masses of finite numbers (n,), ascending.

    A point mass has at least 5 % of the rows, or of their weights; it stands alone or beside one other, so that it is
    not the middle of a hill, and has 3 times the rows of the two other values on either side. There are at least 10
    other values.
    """
    values, counts, shares = values_with_shares(numbers, weights)
    if len(values) <= _OTHERS:
        return ()
    shares = np.maximum(shares, counts / len(numbers))
    heavy = (shares >= MASS) & (counts > 1)
    found = []
    for i in np.flatnonzero(heavy).tolist():
        left, right = i, i
        while left > 0 and heavy[left - 1]:
            left -= 1
        while right < len(values) - 1 and heavy[right + 1]:
            right += 1
        around = np.concatenate([shares[max(left - 2, 0) : left], shares[right + 1 : right + 3]])
        if right - left <= 1 and shares[i] >= _STANDS_OUT * around.max(initial=0.0):
            found.append(i)
    if not found or len(found) > _MOST_MASSES or len(values) - len(found) < _OTHERS:
        return ()
    return tuple(values[found].tolist())


@dataclass(frozen=True)
class FloatColumns:
    """Columns of floats of one type by mean and scale, without states, steps or heavy tails: all at once.

    Attributes
    ----------
    dtype : dtype
    mean, scale, low, high, fill : ndarray of shape (d,)
        As those of `Number`; the bounds are within those of the type.
    """

    dtype: np.dtype
    mean: np.ndarray
    scale: np.ndarray
    low: np.ndarray
    high: np.ndarray
    fill: np.ndarray

    @classmethod
    def of(cls, columns: Sequence[Column]) -> "FloatColumns | None":
        """Return columns of an array as one, or None if some are of another kind."""
        plain = [
            (column, column.scale)
            for column in columns
            if isinstance(column, Number)
            and isinstance(column.scale, Standard)
            and not (column.scale.spread or column.n_states > 1 or column.steps)
        ]
        dtypes = {column.dtype for column in columns}
        if len(plain) < len(columns) or len(dtypes) != 1 or (dtype := np.dtype(dtypes.pop())).kind != "f":
            return None
        limits = np.finfo(dtype)
        low = [-np.inf if column.low is None else column.low for column, _ in plain]
        high = [np.inf if column.high is None else column.high for column, _ in plain]
        moments = [[scale.mean, scale.scale, scale.fill] for _, scale in plain]
        mean, scale, fill = np.array(moments, dtype=np.float64).T.copy()
        least, most = float(limits.min), float(limits.max)
        return cls(dtype, mean, scale, np.maximum(low, least), np.minimum(high, most), fill)

    def encode(self, X: np.ndarray) -> np.ndarray:
        """Return the encoded rows of an array of numbers (n, d)."""
        numbers = standardised(X, self.mean, np.where(self.scale == 0, 1.0, self.scale))
        missing = np.isnan(numbers)
        return np.where(missing, self.fill, numbers) if missing.any() else numbers

    def decode(self, encoded: np.ndarray) -> np.ndarray:
        """Return rows (n, d) of the user's type for encoded ones."""
        mean, scale, low, high = self._in_own_precision
        with np.errstate(over="ignore"):
            numbers = encoded * scale
            numbers += mean
        return numbers.clip(low, high, out=numbers).astype(self.dtype, copy=False)

    @cached_property
    def _in_own_precision(self) -> tuple[np.ndarray, ...]:
        """Mean, scale and bounds for decoding; float32 takes half the time of float64."""
        dtype = np.promote_types(self.dtype, np.float32)
        return tuple(values.astype(dtype) for values in (self.mean, self.scale, self.low, self.high))
