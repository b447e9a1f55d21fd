"""What a column of pandas holds, whatever its type: missing values, numbers, dates, names of types."""

import math
from typing import Any

import numpy as np
import pandas as pd

KINDS_OF_VALUES = "numbers, booleans, text, categories or dates"


def plain_value(value: Any) -> Any:
    """Return a NumPy scalar as the Python value that it is, and anything else as it is."""
    return value.item() if isinstance(value, np.generic) and not is_time(value.dtype) else value


def missing_values(values: pd.Series) -> np.ndarray:
    """Return where a column's values are missing (n,): also where a type that has NA holds NaN."""
    if isinstance(values.dtype, np.dtype) and values.dtype.kind in "biuf":
        return np.isnan(values.to_numpy())
    missing = values.isna().to_numpy(dtype=bool)
    if not isinstance(values.dtype, np.dtype) and pd.api.types.is_float_dtype(values.dtype):
        return missing | np.isnan(as_floats(values))
    return missing


def is_categorical(values: pd.Series) -> bool:
    """Whether a column becomes categories by itself: it holds no numbers, dates or durations, or it is boolean."""
    dtype = inferred(values).dtype
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
            f"Expected column {name!r} to hold {KINDS_OF_VALUES}, but got type {dtype}; turn it into one of them with "
            "astype."
        )
    return text


def inferred(values: pd.Series) -> pd.Series:
    """Return a column of Python objects in the type that they have; any other as it is."""
    if values.dtype != object:
        return values
    if pd.api.types.infer_dtype(values, skipna=True) == "integer" and values.isna().any():
        try:
            return values.astype("Int64")
        except OverflowError:
            return values.astype(np.float64)
    return values.infer_objects()


def as_floats(values: pd.Series) -> np.ndarray:
    """Return numbers as float64, NaN for missing ones."""
    if isinstance(values.dtype, np.dtype):
        return values.to_numpy(dtype=np.float64)
    return values.to_numpy(dtype=np.float64, na_value=np.nan)


def objects(values: Any) -> pd.Index:
    """Return an index of Python objects; pandas would make numbers of some."""
    return pd.Index(values, dtype=object)


def number_dtype(dtype: Any) -> str:
    """Return the NumPy name of the numbers in a column of a pandas or NumPy type."""
    return dtype.name if isinstance(dtype, np.dtype) else getattr(dtype, "numpy_dtype", np.dtype("float64")).name


def without_arrow(values: Any) -> pd.Series:
    """Return dates or durations of Arrow's types in pandas' own."""
    if not isinstance(values.dtype, pd.ArrowDtype):
        return values
    arrow = values.dtype.pyarrow_dtype
    unit = getattr(arrow, "unit", "s" if str(arrow).startswith("date32") else "ms")
    zone = getattr(arrow, "tz", None)
    kind = "timedelta64" if values.dtype.kind == "m" else "datetime64"
    return values.astype(f"{kind}[{unit}{f', {zone}' if zone else ''}]")


def ticks(values: pd.Series) -> np.ndarray:
    """Return dates (in UTC) or durations as int64 in units of their resolution; what is missing becomes the least."""
    kind = "m8" if values.dtype.kind == "m" else "M8"
    return values.to_numpy(dtype=f"{kind}[{values.dt.unit}]").view(np.int64)


def dates(ticks: np.ndarray, dtype: str) -> pd.Series:
    """Return the dates or durations of int64 `ticks` in pandas' type `dtype`."""
    known: Any = pd.api.types.pandas_dtype(dtype)
    zone = getattr(known, "tz", None)
    unit = known.unit if zone is not None else np.datetime_data(known)[0]
    times = pd.Series(ticks.view(f"{known.kind}8[{unit}]"))
    return times if zone is None else times.dt.tz_localize("UTC").dt.tz_convert(zone)


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
