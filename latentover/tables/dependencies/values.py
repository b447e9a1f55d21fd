"""Columns of a frame as arrays, and arrays as columns of the training frame's types again."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd

Nature = Literal["number", "flag", "time", "duration", "level"]
DECIMALS = 8
"""A float column with at most so many decimals is one of decimals; others are real numbers."""
LARGEST_EXACT = 2.0**53


def nature_of(series: pd.Series) -> Nature:
    """Return what the values of a column are."""
    dtype = series.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return "level"
    if dtype.kind == "M":
        return "time"
    if dtype.kind == "m":
        return "duration"
    if pd.api.types.is_bool_dtype(dtype):
        return "flag"
    is_number = pd.api.types.is_numeric_dtype(dtype) and dtype.kind in "iuf"
    return "number" if is_number else "level"


def is_single(dtype: Any) -> bool:
    """Return whether a type holds float32 numbers."""
    return str(dtype) in ("float32", "Float32", "float[pyarrow]", "float16")


def as_levels(series: pd.Series, dtype: Any) -> pd.Series:
    """Return a column as of another type; what is no level of that is missing."""
    if isinstance(dtype, pd.CategoricalDtype) and series.dtype != dtype:
        series = series.astype(object)
        series = series.where(series.isin(dtype.categories))
    return series.astype(dtype)


def as_floats(series: pd.Series) -> np.ndarray:
    """Return numbers or flags (n,) as float64, missing values as NaN.

    A float32 number is taken as the decimal that it stands for, 0.1 rather than 0.10000000149.
    """
    values = series.to_numpy(dtype=np.float64, na_value=np.nan)
    if not is_single(series.dtype):
        return values
    with np.errstate(all="ignore"):
        scale = 10.0 ** (6 - np.floor(np.log10(np.abs(values))))
        decimal = np.round(values * scale) / scale
    return np.where(decimal.astype(np.float32) == values.astype(np.float32), decimal, values)


def as_times(series: pd.Series, *, local: bool = False) -> np.ndarray:
    """Return times (n,) as datetime64[ns], in UTC or as the clock of their own zone showed them."""
    index = pd.DatetimeIndex(pd.to_datetime(series))
    if index.tz is not None:
        index = index.tz_localize(None) if local else index.tz_convert("UTC").tz_localize(None)
    return index.to_numpy().astype("datetime64[ns]")


def as_durations(series: pd.Series) -> np.ndarray:
    """Return durations (n,) as timedelta64[ns]."""
    return pd.TimedeltaIndex(pd.to_timedelta(series)).to_numpy().astype("timedelta64[ns]")


def as_array(series: pd.Series) -> np.ndarray:
    """Return a column as what can be computed with: float64, datetime64[ns] or timedelta64[ns]."""
    nature = nature_of(series)
    if nature in ("time", "duration"):
        return as_times(series) if nature == "time" else as_durations(series)
    return as_floats(series)


def is_missing(values: np.ndarray) -> np.ndarray:
    """Return which of numbers or times are missing, or not finite."""
    return ~np.isfinite(values) if values.dtype.kind == "f" else np.isnat(values)


def decimals_of(series: pd.Series) -> int | None:
    """Return how many decimals all values of a number column have, 0 for integers and None for real numbers."""
    if nature_of(series) != "number":
        return None
    if series.dtype.kind in "iu":
        return 0
    values = as_floats(series)
    values = values[np.isfinite(values)]
    if not len(values):
        return None
    single = is_single(series.dtype)
    kind = np.float32 if single else np.float64
    head = values[:1000]
    for decimals in range(DECIMALS if not single else 5):
        if all(np.array_equal(np.round(part, decimals).astype(kind), part.astype(kind)) for part in (head, values)):
            return decimals
    return None


def can_miss(dtype: Any) -> bool:
    """Return whether a column of this type can hold missing values."""
    return not (isinstance(dtype, np.dtype) and dtype.kind in "iub")


def plain(value: Any) -> Any:
    """Return a scalar as what JSON knows."""
    return value.item() if isinstance(value, np.generic) else value


def is_plain(value: Any) -> bool:
    """Return whether JSON knows a scalar."""
    return isinstance(plain(value), str | int | float | bool)


@dataclass(frozen=True)
class TypedColumn:
    """A column that is computed: its name, its type, and what stands in it where nothing is known.

    Attributes
    ----------
    name : str
    dtype : pandas or NumPy type
    decimals : int or None
        All values have at most so many decimals; None for real numbers and for what is no number.
    fill : scalar
        The median of numbers, the most frequent one of other values.
    """

    name: str
    dtype: Any
    decimals: int | None
    fill: Any

    @classmethod
    def of(cls, series: pd.Series) -> "TypedColumn":
        """Learn the type of a column; levels that occur once are not kept."""
        dtype = series.dtype
        if nature_of(series) == "number":
            known = as_floats(series)
            known = known[np.isfinite(known)]
            middle = float(np.partition(known, len(known) // 2)[len(known) // 2]) if len(known) else 0.0
            return cls(str(series.name), dtype, decimals_of(series), middle)
        if dtype.kind in "mM":
            return cls(str(series.name), dtype, None, None)
        counts = series.value_counts()
        if isinstance(dtype, pd.CategoricalDtype):
            once = set(counts.index[counts == 1])
            if once:
                kept = [level for level in dtype.categories if level not in once]
                dtype = pd.CategoricalDtype(dtype.categories[:0].append(pd.Index(kept)), ordered=dtype.ordered)
        fill = plain(counts.index[0]) if len(counts) and counts.iloc[0] > 1 else None
        return cls(str(series.name), dtype, None, fill)

    @property
    def filler(self) -> Any:
        """What stands in the column where its value is computed."""
        if self.dtype.kind == "M":
            return pd.Timestamp(0, tz=_zone_of(self.dtype))
        return pd.Timedelta(0) if self.dtype.kind == "m" else self.fill

    @cached_property
    def is_number(self) -> bool:
        """Whether values are numbers."""
        return nature_of(pd.Series([], dtype=self.dtype)) == "number"

    def cast(self, values: Any, missing: np.ndarray, index: pd.Index) -> pd.Series:
        """Return values (n,) as a column of this type; where it cannot hold a missing value, `fill` stands."""
        if missing.any():
            values = np.where(missing, self._of_kind(values), values)
        if isinstance(values, np.ndarray) and values.dtype.kind == "f" and self.is_number:
            values = self.rounded(values)
        if isinstance(values, np.ndarray) and values.dtype.kind == "M":
            series = _times_as(values, self.dtype, index)
        else:
            series = pd.Series(values, index=index).astype(self.dtype)
        series.name = self.name
        return series.mask(missing) if missing.any() and can_miss(self.dtype) else series

    def _of_kind(self, values: Any) -> Any:
        if isinstance(values, np.ndarray) and values.dtype.kind in "mM":
            return np.array(0, dtype=values.dtype)
        return self.fill

    def rounded(self, values: np.ndarray) -> np.ndarray:
        """Return numbers with the column's decimals, inside the range of an integer type."""
        if self.decimals is not None:
            values = np.round(values, self.decimals)
        numpy_type = getattr(self.dtype, "numpy_dtype", self.dtype)
        if getattr(numpy_type, "kind", "f") in "iu":
            limits = np.iinfo(numpy_type)
            values = np.clip(values, max(limits.min, -LARGEST_EXACT), min(limits.max, LARGEST_EXACT))
            values = values.astype(np.int64 if limits.min < 0 else np.uint64)
        return values

    def to_dict(self) -> dict[str, Any]:
        """Return the column as JSON-able values."""
        fill = self.fill if is_plain(self.fill) else None
        return {"name": self.name, "dtype": dtype_to_json(self.dtype), "decimals": self.decimals, "fill": fill}

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> "TypedColumn":
        """Return the column that `to_dict` wrote."""
        return cls(state["name"], dtype_from_json(state["dtype"]), state["decimals"], state["fill"])


def _zone_of(dtype: Any) -> Any:
    return getattr(dtype, "tz", None) or getattr(getattr(dtype, "pyarrow_dtype", None), "tz", None)


def _times_as(values: np.ndarray, dtype: Any, index: pd.Index) -> pd.Series:
    """Return times in UTC as a column of the training column's unit and zone."""
    tz = _zone_of(dtype)
    times = pd.Series(values, index=index)
    return (times.dt.tz_localize("UTC").dt.tz_convert(tz) if tz is not None else times).astype(dtype)


def dtype_to_json(dtype: Any) -> Any:
    """Return a column type as JSON-able values."""
    if isinstance(dtype, pd.CategoricalDtype):
        levels = [plain(level) for level in dtype.categories]
        if not all(is_plain(level) for level in levels):
            return "object"
        return {"levels": levels, "of": str(dtype.categories.dtype), "ordered": bool(dtype.ordered)}
    if isinstance(dtype, pd.StringDtype):
        return {"string": dtype.storage, "nan": dtype.na_value is not pd.NA}
    return str(dtype)


def dtype_from_json(state: Any) -> Any:
    """Return the column type that `dtype_to_json` wrote."""
    if isinstance(state, str):
        return pd.api.types.pandas_dtype(state)
    if "string" in state:
        if not state["nan"]:
            return pd.StringDtype(state["string"])
        return pd.StringDtype(state["string"], na_value=np.nan)
    return pd.CategoricalDtype(pd.Index(state["levels"], dtype=state["of"]), ordered=state["ordered"])
