"""One column of a table: what is learned of it, its way to the networks and its way back.

Numbers are standardised; dates and durations are numbers, counted from the earliest one in the coarsest step that meets
all of them; everything else becomes categories. Nothing that is learned is a row of the data: of numbers there are
moments and the range that was seen, of categories their names.
"""

import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import pandas as pd

MAX_CATEGORY_WIDTH = 128
"""A category has one encoded column for each level up to this many levels, and this many beyond."""
MEDIAN_ROWS = 20_000
"""Of a longer column medians are those of so many evenly spaced rows: finding them would cost more than all else."""
HEAVY_TAIL = 4.0
"""A column is heavy-tailed if its deviation is this many times that of a normal column with the same middle half."""
_NORMAL = 1.4826
"""Standard deviation of a normal column over the median distance of its values from their median."""
_FARTHEST = 1e6
"""Standardised numbers end here: none of n values is farther than sqrt(n), but later ones may be anything."""
_KINDS = "numbers, booleans, text, categories or dates"


@dataclass(frozen=True)
class Column:
    """One column of a table: its place in the encoded row and how to invert it.

    Attributes
    ----------
    dtype : str
        Name of the user's type.
    number_dtype : str
        NumPy name of the type that the values of a numeric column have: ``"int64"`` in pandas' ``"Int64"``. Of dates
        and durations pandas' name with the resolution and time zone, ``"datetime64[us, UTC]"``.
    name : str, int, ... or None
        Its name in a pandas frame.
    levels : list or None
        The values of a categorical column, in the order of its one-hot columns; None for a numeric one.
    unseen : int
        How many of the levels, the last ones, are declared by the column's type but were not in the data: they have
        their one-hot columns, and are never generated.
    categories : list or None
        Of a column of pandas' category type: all its categories, whether seen or not, in their order.
    ordered : bool
        Whether those categories are ordered.
    mean, scale : float
        What standardises a numeric column; the scale of a constant column is 0.
    low, high : float, int or None
        What generated numbers are clipped to; None leaves that side open.
    categories_dtype : str or None
        Type of the categories.
    centre, spread : float
        Of a heavy-tailed column: ``asinh((x - centre) / spread)`` is standardised instead of x. The spread of any
        other column is 0.
    origin, step : int
        Of dates and durations: number k means ``origin + k * step``, in units of the type's resolution. The step of
        any other column is 0.
    fill : float
        What the networks see for a missing value: a standardised number, or the number of a level.
    indicator : bool
        Whether a last encoded column says that the value is missing.
    """

    dtype: str
    number_dtype: str = "float64"
    name: Any = None
    levels: list[Any] | None = None
    categories: list[Any] | None = None
    ordered: bool = False
    mean: float = 0.0
    scale: float = 1.0
    low: float | None = None
    high: float | None = None
    categories_dtype: str | None = None
    centre: float = 0.0
    spread: float = 0.0
    origin: int = 0
    step: int = 0
    fill: float = 0.0
    indicator: bool = False
    unseen: int = 0

    @property
    def width(self) -> int:
        """How many encoded columns it takes."""
        value = 1 if self.levels is None else min(len(self.levels), MAX_CATEGORY_WIDTH)
        return value + self.indicator

    def encode(self, values: Any) -> np.ndarray:
        """Return standardised numbers or the rows of levels, (n, width) and float32, without NaN or infinity.

        A level that is not known is a row of zeros, as far from each known one as any other.

        Raises
        ------
        ValueError
            For values of another kind than in fit.
        """
        if self.levels is None:
            numbers = self._standardised(self._numbers(values))
            missing = np.isnan(numbers)
            block = np.where(missing, self.fill, numbers)[:, None]
        else:
            codes, missing = self._codes(values)
            block = level_rows(len(self.levels))[codes]
            block[codes < 0] = 0
        if self.indicator:
            block = np.concatenate([block, missing[:, None]], axis=1)
        return block.astype(np.float32, copy=False)

    def _numbers(self, values: Any) -> np.ndarray:
        """Return values as float64, NaN for missing ones; dates as steps since the origin."""
        try:
            if not self.step:
                if is_time(values.dtype):
                    raise TypeError("these are no numbers")
                return _as_floats(_inferred(values))
            ticks = _ticks(values.astype(self.number_dtype))
        except (TypeError, ValueError) as error:
            wanted = self.number_dtype if self.step else "numbers"
            raise ValueError(
                f"Expected column {plain_value(values.name)!r} to hold {wanted}, as in fit, but got type "
                f"{values.dtype}: {error}."
            ) from error
        return np.where(values.isna(), np.nan, (ticks - self.origin) / self.step)

    def _standardised(self, numbers: np.ndarray) -> np.ndarray:
        if self.spread:
            with np.errstate(over="ignore"):
                numbers = np.arcsinh((numbers - self.centre) / self.spread)
        return _scaled(numbers, self.mean, self.scale or 1.0)

    def _codes(self, values: pd.Series) -> tuple[np.ndarray, np.ndarray]:
        """Return the number of each value's level (n,), -1 for others, `fill` for missing ones, and where those are."""
        missing = missing_values(values)
        try:
            codes = _objects(self.levels).get_indexer(_objects(values.astype(object)))
        except TypeError as error:  # a list or a dict has no hash
            raise ValueError(
                f"Expected column {plain_value(values.name)!r} to hold {_KINDS}, as in fit, but got {error}."
            ) from error
        return np.where(missing, int(self.fill), codes), missing

    def unknown(self, values: pd.Series, block: np.ndarray) -> pd.Series:
        """Return the values that are no known level, for which `encode` made rows of zeros in `block` (n, width)."""
        if self.levels is None:
            return values[:0]
        return values.iloc[np.flatnonzero(~block[:, : self.width - self.indicator].any(axis=1))]

    def decode(self, block: np.ndarray) -> np.ndarray:
        """Return values of the user's NumPy type for encoded ones (n, width); NaN where they are missing."""
        values = self._decoded(block).astype(self.dtype, copy=False)
        return np.where(_is_marked(block), np.nan, values) if self.indicator else values

    def decode_series(self, block: np.ndarray) -> pd.Series:
        """Return values as a column of the user's pandas type; missing where the indicator says so."""
        values = self._decoded(block)
        if self.categories is not None:
            categories = pd.Index(self.categories, dtype=self.categories_dtype)
            series = pd.Series(pd.Categorical(values, categories, ordered=self.ordered))
        else:
            dated = _dates(self.origin + values * self.step, self.number_dtype) if self.step else pd.Series(values)
            series = dated.astype(pd.api.types.pandas_dtype(self.dtype))
        if not self.indicator:
            return series
        return series.where(~_is_marked(block), None) if series.dtype == object else series.mask(_is_marked(block))

    def _decoded(self, block: np.ndarray) -> np.ndarray:
        """Return levels as objects, numbers in their NumPy type, dates and durations as whole steps."""
        if self.levels is not None:
            levels = np.empty(len(self.levels), dtype=object)
            levels[:] = self.levels
            known = len(levels) - self.unseen
            return levels[nearest_level(block[:, : self.width - self.indicator], len(levels), known)]
        numbers = block[:, 0] * self.scale + self.mean
        if self.spread:
            with np.errstate(over="ignore"):
                numbers = self.centre + self.spread * np.sinh(numbers)
        dtype = np.dtype("int64" if self.step else self.number_dtype)
        return as_dtype(numbers, dtype, self.low, self.high)


@dataclass(frozen=True)
class FloatColumns:
    """Columns of floats of one type, without missing values or heavy tails: what `Column` does, for all at once.

    Attributes
    ----------
    dtype : dtype
    mean, scale, low, high, fill : ndarray of shape (d,)
        As those of `Column`; the bounds are within those of the type.
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
        dtypes = {column.dtype for column in columns}
        others = any(column.levels is not None or column.spread or column.indicator for column in columns)
        if others or len(dtypes) != 1 or (dtype := np.dtype(dtypes.pop())).kind != "f":
            return None
        limits = np.finfo(dtype)
        low = [-np.inf if column.low is None else column.low for column in columns]
        high = [np.inf if column.high is None else column.high for column in columns]
        moments = [[column.mean, column.scale, column.fill] for column in columns]
        mean, scale, fill = np.array(moments, dtype=np.float64).T.copy()
        least, most = float(limits.min), float(limits.max)
        return cls(dtype, mean, scale, np.maximum(low, least), np.minimum(high, most), fill)

    def encode(self, X: np.ndarray) -> np.ndarray:
        """Return the encoded rows of an array of numbers (n, d)."""
        numbers = _scaled(X, self.mean, np.where(self.scale == 0, 1.0, self.scale))
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


def _scaled(numbers: np.ndarray, mean: Any, scale: Any) -> np.ndarray:
    with np.errstate(over="ignore"):
        scaled = np.subtract(numbers, mean, dtype=np.float64)
        scaled /= scale
    return scaled.clip(-_FARTHEST, _FARTHEST, out=scaled)


def _is_marked(block: np.ndarray) -> np.ndarray:
    return block[:, -1] >= 0.5


@lru_cache(maxsize=8)
def level_rows(n: int) -> np.ndarray:
    """Return the encoded rows (n, min(n, 128)) of n levels, each of length 1.

    Up to 128 levels they are one-hot. More levels have 128 signs each, from a hash (SHAKE-128) of nothing but their
    number: any two rows are about as far from each other as one-hot rows are, a mixture of two is nearest to the one
    that has the larger part in it, and a column of 5,000 levels takes no more memory than one of 128.
    """
    if n <= MAX_CATEGORY_WIDTH:
        rows = np.eye(n, dtype=np.float32)
    else:
        digest = hashlib.shake_128(b"levels").digest(n * MAX_CATEGORY_WIDTH // 8)
        bits = np.unpackbits(np.frombuffer(digest, dtype=np.uint8)).reshape(n, MAX_CATEGORY_WIDTH)
        rows = ((2.0 * bits - 1.0) / math.sqrt(MAX_CATEGORY_WIDTH)).astype(np.float32)
    rows.flags.writeable = False
    return rows


def nearest_level(block: np.ndarray, n: int, known: int | None = None) -> np.ndarray:
    """Return which of n levels, or the first `known` of them, has the row nearest to each of `block` (b, width)."""
    if n <= MAX_CATEGORY_WIDTH:
        return block[:, :known].argmax(axis=1)
    rows, block = level_rows(n)[:known].T, block.astype(np.float32)
    at_once = max(1, 2**21 // n)
    nearest = [(block[i : i + at_once] @ rows).argmax(axis=1) for i in range(0, len(block), at_once)]
    return np.concatenate(nearest) if nearest else np.empty(0, dtype=np.int64)


def as_dtype(X: np.ndarray, dtype: np.dtype, low: float | None = None, high: float | None = None) -> np.ndarray:
    """Return numbers in `dtype`, clipped to low..high and to what it can hold; whole-number types are rounded."""
    if dtype.kind == "b":
        return X >= 0.5
    whole = dtype.kind in "ui"
    limits: Any = np.iinfo(dtype) if whole else np.finfo(dtype)
    least, most = (limits.min, limits.max) if whole else (float(limits.min), float(limits.max))
    low = least if low is None else max(least, math.ceil(low) if whole else low)
    high = most if high is None else min(most, math.floor(high) if whole else high)
    if whole:  # first in floats to where the cast is safe: 2**63 - 1 has no float
        largest = float(most)
        X = np.rint(X).clip(least, largest if largest <= most else np.nextafter(largest, 0)).astype(dtype)
    return X.clip(low, high).astype(dtype)


def learn_column(
    values: pd.Series,
    *,
    categorical: bool,
    indicate: bool = False,
    bounds: tuple[float | None, float | None] | None = None,
) -> Column:
    """Learn the encoding of a column.

    Parameters
    ----------
    values : Series of shape (n,)
    categorical : bool
        Whether the values are names, even if they are numbers.
    indicate : bool, default=False
        Whether missing values, where there are some, are told to the networks by an indicator column.
    bounds : (low, high), optional
        What generated numbers are clipped to, None for an open side; by default the range of `values`. Dates and
        durations stay within the range of `values` always.

    Raises
    ------
    ValueError
        If no value is there, a type has no encoding, or numbers are too large to be squared.
    """
    name, missing = plain_value(values.name), missing_values(values)
    stored_type = dtype_name(values.dtype, name)
    if missing.all():
        raise ValueError(f"Expected column {name!r} to have a value, but got missing ones alone; drop the column.")
    seen = _inferred(values[~missing] if missing.any() else values)
    kind = pd.api.types.infer_dtype(seen) if seen.dtype == object else seen.dtype.name
    if kind.startswith(("bytes", "complex", "decimal")) or "binary" in kind:
        raise ValueError(f"Expected column {name!r} to hold {_KINDS}, but got {kind} values; turn it into one of them.")
    if categorical:
        learned = _learn_levels(seen)
    elif is_time(seen.dtype):
        learned = _learn_times(_without_arrow(seen))
    else:
        learned = _learn_numbers(seen, bounds)
    return Column(dtype=stored_type, name=name, indicator=indicate and bool(missing.any()), **learned)


def _learn_levels(values: pd.Series) -> dict[str, Any]:
    """Return levels in their order, the number of the most frequent one, and what is known of pandas' categories.

    Behind the levels that are there come those that the type declares: pandas' categories, True and False.
    """
    declared: list[Any] = []
    if isinstance(values.dtype, pd.CategoricalDtype):
        declared = list(map(plain_value, values.dtype.categories))
    elif pd.api.types.is_bool_dtype(values.dtype):
        declared = [False, True]
    try:
        counts = values.astype(object).value_counts(sort=False)
        seen = set(counts.index)  # a list or a dict has no hash
        levels = _sorted_levels(map(plain_value, counts.index.tolist()))
        unseen = _sorted_levels(level for level in declared if level not in seen)
    except TypeError as error:
        kinds = sorted({type(value).__name__ for value in values})
        raise ValueError(
            f"Expected column {plain_value(values.name)!r} to hold {_KINDS}, but got {kinds}: {error}; turn it into "
            "one of them."
        ) from error
    most_frequent = int(counts.reindex(_objects(levels)).to_numpy().argmax())
    learned = {"levels": levels + unseen, "unseen": len(unseen), "fill": most_frequent}
    if isinstance(values.dtype, pd.CategoricalDtype):
        learned |= {"categories": declared, "ordered": bool(values.dtype.ordered)}
        learned |= {"categories_dtype": dtype_name(values.dtype.categories.dtype, values.name)}
    return learned


def _sorted_levels(levels: Iterable[Any]) -> list[Any]:
    return sorted(levels, key=lambda level: (str(type(level)), level))


def _learn_times(values: pd.Series) -> dict[str, Any]:
    """Return the origin and step of dates or durations, and what standardises their steps."""
    ticks = _ticks(values)
    origin = int(ticks.min())
    if int(ticks.max()) - origin > np.iinfo(np.int64).max:
        raise ValueError(
            f"Expected column {plain_value(values.name)!r} to span at most 2**63 - 1 of its units, but got "
            f"{values.dtype} from {values.min()} to {values.max()}; give it a coarser one, e.g. with dt.as_unit('s')."
        )
    step = int(np.gcd.reduce(ticks - origin)) or 1
    steps = (ticks - origin) // step
    learned = {"number_dtype": str(values.dtype), "origin": origin, "step": step, "low": 0, "high": int(steps.max())}
    return learned | _learn_scale(steps.astype(np.float64), values.name)


def _learn_numbers(values: pd.Series, bounds: tuple[float | None, float | None] | None) -> dict[str, Any]:
    """Return the type and bounds of numbers, and what standardises them."""
    number_dtype, numbers = _number_dtype(values.dtype), _as_floats(values)
    if bounds is None and np.dtype(number_dtype).kind in "ui":
        bounds = int(values.min()), int(values.max())  # exactly: not every whole number has a float
    elif bounds is None:
        bounds = float(numbers.min()), float(numbers.max())
    learned = {"number_dtype": number_dtype, "low": bounds[0], "high": bounds[1]}
    return learned | _learn_scale(numbers, values.name)


def _learn_scale(numbers: np.ndarray, name: Any) -> dict[str, float]:
    """Return what standardises numbers (n,) without NaN: mean, scale, centre, spread and fill."""
    with np.errstate(over="ignore", invalid="ignore"):
        mean, scale = float(numbers.mean()), float(numbers.std())
    if not math.isfinite(scale):
        raise ValueError(
            f"Expected X to hold numbers that can be squared, but got {np.abs(numbers).max():g} in column {name!r}; "
            "divide it by a constant, or take logarithms."
        )
    if scale <= 1e-6 * abs(mean) and numbers.min() == numbers.max():
        return {"mean": float(numbers[0]), "scale": 0.0}
    if scale <= 1e-12 * abs(mean):
        return {"mean": mean, "scale": 0.0}
    few = numbers[:: -(-len(numbers) // MEDIAN_ROWS)]
    median = float(np.median(few))
    distances = np.abs(few - median)
    apart = distances[distances > 0]
    middle = max(float(np.median(apart)) if len(apart) else 0.0, 1e-9 * scale)
    learned: dict[str, float] = {}
    if scale > HEAVY_TAIL * _NORMAL * middle:
        # Rounded, for a median is some row's value, which nothing that is learned may hold.
        spread = 2.0 ** round(math.log2(middle))
        centre = spread * round(median / spread)
        numbers, median = np.arcsinh((numbers - centre) / spread), math.asinh((median - centre) / spread)
        mean, scale = float(numbers.mean()), float(numbers.std())
        learned = {"centre": centre, "spread": spread}
    return learned | {"mean": mean, "scale": scale, "fill": round((median - mean) / scale, 3)}


def missing_values(values: pd.Series) -> np.ndarray:
    """Return where a column's values are missing (n,): also where a type that has NA holds NaN."""
    missing = values.isna().to_numpy(dtype=bool)
    if not isinstance(values.dtype, np.dtype) and pd.api.types.is_float_dtype(values.dtype):
        return missing | np.isnan(_as_floats(values))
    return missing


def is_categorical(values: pd.Series) -> bool:
    """Whether a column becomes categories by itself: it holds no numbers, dates or durations, or it is boolean."""
    dtype = _inferred(values).dtype
    if pd.api.types.is_bool_dtype(dtype):
        return True
    return not pd.api.types.is_numeric_dtype(dtype) and not is_time(dtype)


def is_time(dtype: Any) -> bool:
    """Whether a pandas type is one of dates or durations."""
    return getattr(dtype, "kind", "O") in "mM"


def dtype_name(dtype: Any, name: Any) -> str:
    """Return a name of a column's type from which pandas gives the type back; raise ValueError if there is none."""
    if isinstance(dtype, pd.CategoricalDtype):
        return "category"
    if isinstance(dtype, pd.StringDtype):
        return f"string[{dtype.storage}]" if str(dtype) == "string" else str(dtype)
    # What prints as Arrow's "string[pyarrow]" is read as another type, and "utf8[pyarrow]" as this one.
    text = "utf8[pyarrow]" if str(dtype) == "string[pyarrow]" else str(dtype)
    try:
        known = pd.api.types.pandas_dtype(text) == dtype
    except (TypeError, NotImplementedError):
        known = False
    if not known or pd.api.types.is_complex_dtype(dtype):
        raise ValueError(
            f"Expected column {name!r} to hold {_KINDS}, but got type {dtype}; turn it into one of them with astype."
        )
    return text


def _inferred(values: pd.Series) -> pd.Series:
    """Return a column of Python objects in the type that they have; any other as it is."""
    if values.dtype != object:
        return values
    if pd.api.types.infer_dtype(values, skipna=True) == "integer" and values.isna().any():
        try:
            return values.astype("Int64")
        except OverflowError:
            return values.astype(np.float64)
    return values.infer_objects()


def _as_floats(values: pd.Series) -> np.ndarray:
    if isinstance(values.dtype, np.dtype):
        return values.to_numpy(dtype=np.float64)
    return values.to_numpy(dtype=np.float64, na_value=np.nan)


def _objects(values: Any) -> pd.Index:
    """Return an index of Python objects; pandas would make numbers of some."""
    return pd.Index(values, dtype=object)


def _number_dtype(dtype: Any) -> str:
    """Return the NumPy name of the numbers in a column of a pandas or NumPy type."""
    return dtype.name if isinstance(dtype, np.dtype) else getattr(dtype, "numpy_dtype", np.dtype("float64")).name


def _without_arrow(values: Any) -> pd.Series:
    """Return dates or durations of Arrow's types in pandas' own."""
    if not isinstance(values.dtype, pd.ArrowDtype):
        return values
    arrow = values.dtype.pyarrow_dtype
    unit = getattr(arrow, "unit", "s" if str(arrow).startswith("date32") else "ms")
    zone = getattr(arrow, "tz", None)
    kind = "timedelta64" if values.dtype.kind == "m" else "datetime64"
    return values.astype(f"{kind}[{unit}{f', {zone}' if zone else ''}]")


def _ticks(values: pd.Series) -> np.ndarray:
    """Return dates (in UTC) or durations as int64 in units of their resolution; what is missing becomes the least."""
    kind = "m8" if values.dtype.kind == "m" else "M8"
    return values.to_numpy(dtype=f"{kind}[{values.dt.unit}]").view(np.int64)


def _dates(ticks: np.ndarray, dtype: str) -> pd.Series:
    """Return the dates or durations of int64 `ticks` in pandas' type `dtype`."""
    known: Any = pd.api.types.pandas_dtype(dtype)
    zone = getattr(known, "tz", None)
    unit = known.unit if zone is not None else np.datetime_data(known)[0]
    times = pd.Series(ticks.view(f"{known.kind}8[{unit}]"))
    return times if zone is None else times.dt.tz_localize("UTC").dt.tz_convert(zone)


def plain_value(value: Any) -> Any:
    """Return a NumPy scalar as the Python value that it is, and anything else as it is."""
    return value.item() if isinstance(value, np.generic) and not is_time(value.dtype) else value
