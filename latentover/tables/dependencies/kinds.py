"""The kinds of dependencies: each knows what it says of a column, recomputes it and counts the rows that break it."""

import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from latentover.tables.dependencies.expressions import Expression, quote
from latentover.tables.dependencies.values import (
    TypedColumn,
    as_array,
    as_floats,
    as_levels,
    can_miss,
    is_missing,
    is_plain,
    is_single,
    nature_of,
    plain,
)

_RELATIVE = 1e-9
_SINGLE = 2e-6
_DAY = 86_400 * 10**9
_TIME_STEPS = (_DAY, _DAY // 24, 60 * 10**9, 10**9, 10**6, 10**3, 1)


@dataclass(frozen=True)
class Dependency(ABC):
    """Something that holds of a column in every row.

    Attributes
    ----------
    column : TypedColumn
        The column that is computed, replaced or held.
    """

    column: TypedColumn

    kind: ClassVar[str]

    @property
    def target(self) -> str:
        """The name of that column."""
        return self.column.name

    @property
    def sources(self) -> tuple[str, ...]:
        """The columns that it follows from, or is held against."""
        return ()

    @abstractmethod
    def describe(self) -> str:
        """Return it in plain words."""

    @abstractmethod
    def violated(self, frame: pd.DataFrame, y: np.ndarray | None = None) -> np.ndarray:
        """Return which rows (n,) of the classes (n,) break it; missing values break nothing."""

    @abstractmethod
    def restore(self, frame: pd.DataFrame, y: np.ndarray | None) -> pd.DataFrame:
        """Return rows of the classes y (n,) in which it holds."""

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-able values."""


@dataclass(frozen=True)
class Derived(Dependency):
    """A column that follows from others.

    Attributes
    ----------
    column : TypedColumn
        The column that is computed.
    own : bool
        Whether it has values where an input is missing, or is missing where no input is. Then it stays among what is
        learned, with `column.filler` in the place of what is computed.
    """

    own: bool

    @abstractmethod
    def compute(self, frame: pd.DataFrame) -> tuple[pd.Series, np.ndarray]:
        """Return the column for rows (n, d), and in which rows (n,) an input is missing."""

    def violated(self, frame: pd.DataFrame, y: np.ndarray | None = None) -> np.ndarray:
        """Return which rows (n,) hold another value than the computed one."""
        computed, undecided = self.compute(frame)
        given = frame[self.target]
        present = ~undecided & given.notna().to_numpy() & computed.notna().to_numpy()
        return present & ~_equal(computed, given)

    def reduce(self, original: pd.DataFrame, frame: pd.DataFrame) -> pd.DataFrame:
        """Leave the column out, or what of it is computed."""
        if not self.own:
            return frame.drop(columns=self.target)
        _, undecided = self.compute(original)
        given = original[self.target]
        return frame.assign(**{self.target: given.where(undecided | given.isna().to_numpy(), self.column.filler)})

    def restore(self, frame: pd.DataFrame, y: np.ndarray | None) -> pd.DataFrame:
        """Return the frame with the column."""
        computed, undecided = self.compute(frame)
        if self.own:
            given = frame[self.target]
            given = as_levels(given, self.column.dtype)
            computed = given.where(undecided | given.isna().to_numpy(), computed)
        elif undecided.any():
            # No training row had nothing here where all inputs are there: 0 / 0 is of a generator.
            lost = undecided & ~frame[list(self.sources)].isna().any(axis=1).to_numpy()
            computed = computed.mask(lost, self.column.filler) if lost.any() else computed
        return frame.assign(**{self.target: computed})


def _equal(a: pd.Series, b: pd.Series) -> np.ndarray:
    if isinstance(a.dtype, pd.CategoricalDtype) or isinstance(b.dtype, pd.CategoricalDtype) or a.dtype != b.dtype:
        a, b = a.astype(object), b.astype(object)
    return (a == b).fillna(False).to_numpy(dtype=bool)  # noqa: FBT003


@dataclass(frozen=True)
class Formula(Derived):
    """A column that is computed by a formula, and rounded to the column's decimals."""

    expression: Expression

    kind: ClassVar[str] = "formula"

    @property
    def sources(self) -> tuple[str, ...]:
        """The columns of the formula."""
        return self.expression.names

    def describe(self) -> str:
        """Return the formula as text."""
        return f"{quote(self.target)} = {self.expression.text}"

    def compute(self, frame: pd.DataFrame) -> tuple[pd.Series, np.ndarray]:
        """Return the column for rows (n, d), and in which rows (n,) an input is missing."""
        if self.expression.column is not None and not self.column.is_number:
            series = frame[self.expression.column]
            return as_levels(series, self.column.dtype).rename(self.target), series.isna().to_numpy()
        values = self.expression.evaluate(frame)
        undecided = is_missing(values)
        return self.column.cast(values, undecided, frame.index), undecided

    def violated(self, frame: pd.DataFrame, y: np.ndarray | None = None) -> np.ndarray:
        """Return which rows (n,) hold another number, however ties were rounded."""
        if not self.column.is_number:
            return super().violated(frame)
        given = as_floats(frame[self.target])
        tolerance = 1e-12 if self.column.decimals is not None else _RELATIVE
        tolerance = (_SINGLE if is_single(self.column.dtype) else tolerance) * np.abs(given)
        if self.column.decimals is not None:
            tolerance = tolerance + 1e-6 * 10.0**-self.column.decimals
        ends = []
        for nudge in (-1.0, 1.0):
            values = self.expression.evaluate(frame, nudge)
            present = np.isfinite(values) & np.isfinite(given)
            values = np.where(present, values, 0.0)
            ends.append(self.column.rounded(values + nudge * _RELATIVE * np.maximum(np.abs(values), 1e-3)))
        low, high = np.minimum(*ends), np.maximum(*ends)
        return present & ~((given >= low - tolerance) & (given <= high + tolerance))

    def to_dict(self) -> dict[str, Any]:
        """Return the dependency as JSON-able values."""
        return {"kind": self.kind, "column": self.column.to_dict(), "own": self.own, "text": self.expression.text}

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> "Formula":
        """Return the dependency that `to_dict` wrote."""
        return cls(TypedColumn.from_dict(state["column"]), state["own"], Expression(state["text"]))


@dataclass(frozen=True)
class Steps(Derived):
    """A column of few values that says between which limits a number lies: ``has_discount``, ``age_band``.

    Attributes
    ----------
    expression : Expression
    edges : tuple of float
        Increasing.
    values : tuple of scalar
        One more than edges.
    upper : bool
        Whether a number on an edge belongs to the upper value (>=) rather than the lower (>).
    """

    expression: Expression
    edges: tuple[float, ...]
    values: tuple[Any, ...]
    upper: bool

    kind: ClassVar[str] = "steps"

    @property
    def sources(self) -> tuple[str, ...]:
        """The columns of the expression."""
        return self.expression.names

    def describe(self) -> str:
        """Return which value stands where."""
        text, name = self.expression.text, quote(self.target)
        if text.startswith("missing("):
            return f"{name} is {self.values[1]!r} where {text[8:-1]} is missing, else {self.values[0]!r}"
        sign, lower = (">=", "<") if self.upper else (">", "<=")
        if len(self.edges) == 1:
            return f"{name} is {self.values[1]!r} where {text} {sign} {self.edges[0]:g}, else {self.values[0]!r}"
        parts = [
            f"{value!r} where {text} {lower} {edge:g}" for value, edge in zip(self.values, self.edges, strict=False)
        ]
        return f"{name} is {', '.join(parts)}, else {self.values[-1]!r}"

    def compute(self, frame: pd.DataFrame) -> tuple[pd.Series, np.ndarray]:
        """Return the column for rows (n, d), and in which rows (n,) an input is missing."""
        numbers = self.expression.evaluate(frame)
        undecided = np.isnan(numbers)
        codes = np.searchsorted(self.edges, numbers, side="right" if self.upper else "left")
        return _taken(self.column, self.values, np.where(undecided, -1, codes), undecided, frame.index), undecided

    def to_dict(self) -> dict[str, Any]:
        """Return the dependency as JSON-able values."""
        return {
            "kind": self.kind,
            "column": self.column.to_dict(),
            "own": self.own,
            "text": self.expression.text,
            "edges": list(self.edges),
            "values": list(self.values),
            "upper": self.upper,
        }

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> "Steps":
        """Return the dependency that `to_dict` wrote."""
        return cls(
            TypedColumn.from_dict(state["column"]),
            state["own"],
            Expression(state["text"]),
            tuple(state["edges"]),
            tuple(state["values"]),
            state["upper"],
        )


def _taken(
    column: TypedColumn, values: Sequence[Any], codes: np.ndarray, missing: np.ndarray, index: pd.Index
) -> pd.Series:
    """Return ``values[codes]`` as a column, missing or `fill` where `missing`."""
    kinds = pd.Series([*values, column.fill if column.fill is not None else values[0]], dtype=column.dtype)
    series = kinds.take(np.where(missing, len(values), codes))
    series.index = index
    series.name = column.name
    return series.mask(missing) if missing.any() and can_miss(column.dtype) else series


@dataclass(frozen=True)
class Lookup(Derived):
    """A column that one value of another decides: ``country -> currency``.

    Attributes
    ----------
    source : str
    keys, values : tuple of scalar
        What was seen at least twice.
    unknown : scalar or None
        What stands where another key comes; None is missing.
    """

    source: str
    keys: tuple[Any, ...]
    values: tuple[Any, ...]
    unknown: Any

    kind: ClassVar[str] = "lookup"

    @property
    def sources(self) -> tuple[str, ...]:
        """The column that decides."""
        return (self.source,)

    def describe(self) -> str:
        """Return which column follows from which."""
        return f"{self.target} follows from {self.source}"

    def _codes(self, frame: pd.DataFrame) -> np.ndarray:
        return pd.Index(list(self.keys), dtype=object).get_indexer(pd.Index(frame[self.source].astype(object)))

    def compute(self, frame: pd.DataFrame) -> tuple[pd.Series, np.ndarray]:
        """Return the column for rows (n, d), and in which rows (n,) the deciding value is missing."""
        undecided = frame[self.source].isna().to_numpy()
        codes = self._codes(frame)
        values = self.values
        if self.unknown is not None:
            values = (*values, self.unknown)
            codes = np.where((codes < 0) & ~undecided, len(values) - 1, codes)
        return _taken(self.column, values, codes, codes < 0, frame.index), undecided

    def violated(self, frame: pd.DataFrame, y: np.ndarray | None = None) -> np.ndarray:
        """Return which rows (n,) of known keys hold another value."""
        return super().violated(frame) & (self._codes(frame) >= 0)

    def to_dict(self) -> dict[str, Any]:
        """Return the dependency as JSON-able values."""
        return {
            "kind": self.kind,
            "column": self.column.to_dict(),
            "own": self.own,
            "source": self.source,
            "keys": list(self.keys),
            "values": list(self.values),
            "unknown": self.unknown,
        }

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> "Lookup":
        """Return the dependency that `to_dict` wrote."""
        column = TypedColumn.from_dict(state["column"])
        keys, values = tuple(state["keys"]), tuple(state["values"])
        return cls(column, state["own"], state["source"], keys, values, state["unknown"])

    @classmethod
    def learn(cls, frame: pd.DataFrame, source: str, target: str) -> "Lookup | None":
        """Learn the most frequent value of each key; None if JSON cannot hold them or none is seen twice."""
        keys, values = frame[source], frame[target]
        both = (keys.notna() & values.notna()).to_numpy()
        pairs = pd.DataFrame({"key": keys[both].astype(object), "value": values[both].astype(object)})
        counts = pairs.groupby(["key", "value"], sort=False).size()
        counts = counts[counts > 1].sort_values(ascending=False, kind="stable")
        if counts.empty:
            return None
        table = counts.reset_index().drop_duplicates("key")
        known = [plain(key) for key in table["key"]]
        mapped = [plain(value) for value in table["value"]]
        if not all(map(is_plain, [*known, *mapped])):
            return None
        column = TypedColumn.of(values)
        own = bool((keys.isna() != values.isna()).any())
        unknown = None if own and can_miss(column.dtype) else column.fill
        return cls(column, own, source, tuple(known), tuple(mapped), unknown)


@dataclass(frozen=True)
class Order(Dependency):
    """A column that is never below (or above) others; its distance to them is learned in its place.

    Attributes
    ----------
    column : TypedColumn
        The column that is replaced by its distance.
    others : tuple of str
    above : bool
        Whether it lies above the others rather than below them.
    strict : bool
    least : float
        The least distance, in nanoseconds for times.
    anchor : float
        What the distance is taken from where the others are missing.
    step : int
        Nanoseconds of which times are multiples; 1 for numbers.
    """

    others: tuple[str, ...]
    above: bool
    strict: bool
    least: float
    anchor: float
    step: int

    kind: ClassVar[str] = "order"

    @property
    def sources(self) -> tuple[str, ...]:
        """The columns that it is held against."""
        return self.others

    def describe(self) -> str:
        """Return the order as text."""
        sign = ("<" if self.strict else "<=") if self.above else (">" if self.strict else ">=")
        return " and ".join(f"{quote(other)} {sign} {quote(self.target)}" for other in self.others)

    @classmethod
    def learn(
        cls, frame: pd.DataFrame, target: str, others: Sequence[str], *, above: bool = True, strict: bool = False
    ) -> "Order":
        """Learn steps and least distance from training rows."""
        column = TypedColumn.of(frame[target])
        values = _ticks(frame[target])
        present = ~is_missing(values) if values.dtype.kind == "f" else values != _NO_TIME
        known = values[present]
        anchor = float(known.min() if above else known.max()) if len(known) else 0.0
        step = 1
        if values.dtype.kind == "i":
            step = next(step for step in _TIME_STEPS if not (known % step).any())
        order = cls(column, tuple(others), above, strict, 0.0, anchor, step)
        if not strict:
            return order
        least = float(step) if values.dtype.kind == "i" else 10.0 ** -(column.decimals or 0)
        if column.decimals is None and values.dtype.kind == "f":
            distances = np.abs(values - order._base(frame))
            distances = distances[np.isfinite(distances) & (distances > 0)]
            least = float(distances.min()) if len(distances) else 0.0
        return cls(column, tuple(others), above, strict, least, anchor, step)

    def _base(self, frame: pd.DataFrame) -> np.ndarray:
        """Return what distances (n,) are taken from."""
        ends = [_ticks(frame[other]) for other in self.others]
        anchor = int(self.anchor) if ends[0].dtype.kind == "i" else self.anchor
        missing = [values == _NO_TIME if values.dtype.kind == "i" else np.isnan(values) for values in ends]
        worst = (
            (np.iinfo(np.int64).min if self.above else np.iinfo(np.int64).max)
            if isinstance(anchor, int)
            else (-np.inf if self.above else np.inf)
        )
        ends = [np.where(gone, worst, values) for values, gone in zip(ends, missing, strict=True)]
        base = np.maximum.reduce(ends) if self.above else np.minimum.reduce(ends)
        return np.where(np.logical_and.reduce(missing), anchor, base)

    def violated(self, frame: pd.DataFrame, y: np.ndarray | None = None) -> np.ndarray:
        """Return which rows (n,) break the order."""
        values = _ticks(frame[self.target])
        broken = np.zeros(len(values), dtype=bool)
        for other in self.others:
            end = _ticks(frame[other])
            low, high = (end, values) if self.above else (values, end)
            bad = (low >= high) if self.strict else (low > high)
            gone = (low == _NO_TIME) | (high == _NO_TIME) if values.dtype.kind == "i" else np.isnan(low + high)
            broken |= bad & ~gone
        return broken

    def reduce(self, original: pd.DataFrame, frame: pd.DataFrame) -> pd.DataFrame:
        """Put the distance in the column's place: numbers, or durations for times."""
        values, base = _ticks(original[self.target]), self._base(original)
        sign = 1 if self.above else -1
        if values.dtype.kind == "i":
            gone = values == _NO_TIME
            gap = np.where(gone, np.int64(0), sign * (values - base)).astype("timedelta64[ns]")
            series = pd.Series(gap, index=frame.index).mask(gone)
        else:
            gap = sign * (values - base)
            if self.column.decimals is None:  # what was lost in the last bit
                gap = gap + sign * (values - (base + sign * gap))
            series = self._gap_series(gap, frame.index)
        return frame.assign(**{self.target: series})

    def _gap_series(self, gap: np.ndarray, index: pd.Index) -> pd.Series:
        if self.column.decimals is None:
            return pd.Series(gap, index=index)
        gap = np.round(gap, self.column.decimals)
        if self.column.decimals > 0 or not np.equal(gap[np.isfinite(gap)] % 1, 0).all():
            return pd.Series(gap, index=index)
        gone = ~np.isfinite(gap)
        series = pd.Series(np.where(gone, 0, gap).astype(np.int64), index=index)
        return series.astype("Int64").mask(gone) if gone.any() else series

    def restore(self, frame: pd.DataFrame, y: np.ndarray | None) -> pd.DataFrame:
        """Return the frame with the column in its distance's place."""
        base, sign = self._base(frame), 1 if self.above else -1
        given = frame[self.target]
        gone = given.isna().to_numpy()
        if base.dtype.kind == "i":
            gap = np.where(gone, 0, pd.TimedeltaIndex(given).to_numpy().astype("timedelta64[ns]").astype(np.int64))
            values = base + sign * np.maximum(gap, int(self.least))
            values = (-(-values // self.step) if self.above else values // self.step) * self.step
            return frame.assign(**{self.target: self._times(values, gone, frame.index)})
        gap = np.where(gone, 0.0, as_floats(given))
        values = base + sign * np.maximum(gap, self.least)
        if self.column.decimals is not None:
            unit = 10.0**-self.column.decimals
            rounded = np.round(values, self.column.decimals)
            low = sign * (rounded - base) < self.least - 1e-6 * unit
            values = np.where(low, np.round(rounded + sign * unit, self.column.decimals), rounded)
        return frame.assign(**{self.target: self.column.cast(values, gone, frame.index)})

    def _times(self, values: np.ndarray, gone: np.ndarray, index: pd.Index) -> pd.Series:
        if nature_of(pd.Series([], dtype=self.column.dtype)) == "duration":
            series = pd.Series(values.astype("timedelta64[ns]"), index=index).astype(self.column.dtype)
            return series.mask(gone)
        return self.column.cast(values.astype("datetime64[ns]"), np.zeros_like(gone), index).mask(gone)

    def to_dict(self) -> dict[str, Any]:
        """Return the dependency as JSON-able values."""
        return {
            "kind": self.kind,
            "column": self.column.to_dict(),
            "others": list(self.others),
            "above": self.above,
            "strict": self.strict,
            "least": self.least,
            "anchor": self.anchor,
            "step": self.step,
        }

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> "Order":
        """Return the dependency that `to_dict` wrote."""
        column = TypedColumn.from_dict(state["column"])
        settings = {name: state[name] for name in ("above", "strict", "least", "anchor", "step")}
        return cls(column=column, others=tuple(state["others"]), **settings)


_NO_TIME = np.iinfo(np.int64).min


def _ticks(series: pd.Series) -> np.ndarray:
    """Return numbers as float64, times and durations as int64 nanoseconds."""
    values = as_array(series)
    return values.view(np.int64) if values.dtype.kind in "mM" else values


@dataclass(frozen=True)
class Bound(Dependency):
    """A limit that no value of a number column passes: ``a >= 0``.

    Attributes
    ----------
    column : TypedColumn
    sign : {">=", ">", "<=", "<"}
    limit : float
    """

    sign: str
    limit: float

    kind: ClassVar[str] = "bound"

    def describe(self) -> str:
        """Return the limit as text."""
        return f"{quote(self.target)} {self.sign} {self.limit:g}"

    def violated(self, frame: pd.DataFrame, y: np.ndarray | None = None) -> np.ndarray:
        """Return which rows (n,) pass the limit."""
        values = as_floats(frame[self.target])
        inside = {">=": np.greater_equal, ">": np.greater, "<=": np.less_equal, "<": np.less}[self.sign]
        return ~inside(values, self.limit) & ~np.isnan(values)

    def restore(self, frame: pd.DataFrame, y: np.ndarray | None) -> pd.DataFrame:
        """Return the frame with the column clipped."""
        broken = self.violated(frame)
        if not broken.any():
            return frame
        up = 1 if self.sign[0] == ">" else -1
        if self.column.decimals is None:
            nearest = np.nextafter(self.limit, up * np.inf) if len(self.sign) == 1 else self.limit
        else:
            unit = 10.0**-self.column.decimals
            nearest = up * np.ceil(up * self.limit / unit - 1e-9) * unit
            nearest += up * unit * (len(self.sign) == 1 and abs(nearest - self.limit) < unit / 2)
        values = np.where(broken, nearest, as_floats(frame[self.target]))
        clipped = self.column.cast(values, np.isnan(values), frame.index)
        return frame.assign(**{self.target: frame[self.target].where(~broken, clipped)})

    def to_dict(self) -> dict[str, Any]:
        """Return the dependency as JSON-able values."""
        return {"kind": self.kind, "column": self.column.to_dict(), "sign": self.sign, "limit": self.limit}

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> "Bound":
        """Return the dependency that `to_dict` wrote."""
        return cls(TypedColumn.from_dict(state["column"]), state["sign"], state["limit"])


@dataclass(frozen=True)
class ClassConstant(Dependency):
    """A column that has one value in all rows of a class.

    Attributes
    ----------
    column : TypedColumn
    labels, values : tuple of scalar
        The classes, and what stands in their rows; None is missing.
    """

    labels: tuple[Any, ...]
    values: tuple[Any, ...]

    kind: ClassVar[str] = "class constant"

    def describe(self) -> str:
        """Return what stands in which class."""
        parts = [
            f"{'missing' if value is None else repr(value)} in class {label!r}"
            for label, value in zip(self.labels, self.values, strict=True)
        ]
        return f"{quote(self.target)} is {', '.join(parts)}"

    def violated(self, frame: pd.DataFrame, y: np.ndarray | None = None) -> np.ndarray:
        """Return which rows (n,) of the classes (n,) hold another value."""
        given = frame[self.target]
        broken = np.zeros(len(frame), dtype=bool)
        for label, value in zip(self.labels, self.values, strict=True):
            rows = y == label
            broken |= rows & given.notna().to_numpy() if value is None else rows & ~_same(given, value)
        return broken

    def restore(self, frame: pd.DataFrame, y: np.ndarray | None) -> pd.DataFrame:
        """Return the frame with the values of the classes y (n,)."""
        if y is None:
            return frame
        series = frame[self.target]
        for label, value in zip(self.labels, self.values, strict=True):
            rows = y == label
            if rows.all() and value is not None:
                series = pd.Series(value, index=frame.index, dtype=self.column.dtype)
            elif rows.any():
                series = series.mask(rows) if value is None else series.mask(rows, value)
        return frame.assign(**{self.target: series})

    def to_dict(self) -> dict[str, Any]:
        """Return the dependency as JSON-able values."""
        return {
            "kind": self.kind,
            "column": self.column.to_dict(),
            "labels": list(self.labels),
            "values": list(self.values),
        }

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> "ClassConstant":
        """Return the dependency that `to_dict` wrote."""
        return cls(TypedColumn.from_dict(state["column"]), tuple(state["labels"]), tuple(state["values"]))


def _same(series: pd.Series, value: Any) -> np.ndarray:
    return (series.astype(object) == value).fillna(False).to_numpy(dtype=bool)  # noqa: FBT003


_KINDS: dict[str, Any] = {kind.kind: kind for kind in (Formula, Steps, Lookup, Order, Bound, ClassConstant)}


def dependency_from_dict(state: dict[str, Any]) -> Dependency:
    """Return the dependency that its `to_dict` wrote."""
    return _KINDS[state["kind"]].from_dict(json.loads(json.dumps(state)))
