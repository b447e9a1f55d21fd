"""How tables of mixed columns are looked at by the scores: as numbers and levels, as rows for trees, as points.

Several tables of the same columns are looked at together, so that a level has one code in all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from latentover.metrics.copying import common_codes

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["View", "as_frame", "as_points", "as_tree_rows", "look_at"]

Kind = Literal["number", "time", "levels"]
MAX_TREE_LEVELS = 254
"""Levels that a histogram of gradient boosting tells apart; all rarer ones are one."""
MAX_POINT_LEVELS = 50
"""Levels with a coordinate of their own where rows are points; all rarer ones share one."""
TEXT_LEVELS = 20
_SECONDS = 1e-9
_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


@dataclass(frozen=True)
class View:
    """One column, or a part of a time such as its hour, in each of several tables.

    Attributes
    ----------
    name : str
        Of the column; "opened, hour" for the hour of a time.
    kind : {"number", "time", "levels"}
    values : list of ndarray of shape (n,), float64
        For each table numbers, seconds since 1970, or codes of levels by falling frequency; NaN is missing.
    labels : tuple of str
        Of levels.
    ordered : bool
        Whether the levels have an order to be shown in, as hours and weekdays do.
    """

    name: str
    kind: Kind
    values: Sequence[NDArray[np.float64]]
    labels: tuple[str, ...] = ()
    ordered: bool = False


def as_frame(X: Any, name: str) -> pd.DataFrame:
    """Return a table as a pandas frame: an array (n, d), a sparse matrix, or a frame of pandas or polars.

    Raises
    ------
    ValueError
        If it is no table, or two columns have one name.
    """
    import pandas as pd

    if hasattr(X, "toarray"):
        X = X.toarray()
    elif hasattr(X, "to_pandas"):
        X = X.to_pandas()
    if not isinstance(X, pd.DataFrame):
        array = np.asarray(X)
        if array.ndim != 2:
            raise ValueError(f"Expected *{name}* to be a table (n, d), but got shape {array.shape}; pass rows.")
        X = pd.DataFrame(array)
    if not X.columns.is_unique:
        twice = X.columns[X.columns.duplicated()][0]
        raise ValueError(
            f"Expected the columns of *{name}* to have different names, but got {twice!r} twice; rename it."
        )
    sparse = [column for column in X.columns if isinstance(X[column].dtype, pd.SparseDtype)]
    if sparse:
        X = X.astype({column: X[column].dtype.subtype for column in sparse})
    return X.reset_index(drop=True)


def look_at(frames: Sequence[pd.DataFrame], skip: Sequence[Any] = ()) -> tuple[list[View], list[Any]]:
    """Return how the columns of tables are looked at, and those that only tell rows apart.

    Numbers, and objects that are all numbers, are numbers. Times become seconds, and where they differ by the hour or
    by the day, an hour and a weekday too. Everything else is levels; text of which more than half of the values of the
    first table are different, and more than 20, tells rows apart and is left to `column_copies`.

    Parameters
    ----------
    frames : sequence of DataFrame
        With the columns of the first, in any order; the first decides the kinds.
    skip : sequence of columns
        To be left out.

    Raises
    ------
    ValueError
        If a column of numbers or times holds something else in a later table.
    """
    views: list[View] = []
    names_rows: list[Any] = []
    for column in frames[0].columns:
        if column in skip:
            continue
        parts = [frame[column] for frame in frames]
        kind = _kind_of(parts[0])
        if kind == "levels":
            n_known = int(parts[0].notna().sum())
            if parts[0].nunique() > max(TEXT_LEVELS, n_known / 2):
                names_rows.append(column)
            else:
                views.append(_levels(str(column), parts))
        elif kind == "number":
            views.append(View(str(column), "number", [_numbers(part, column) for part in parts]))
        else:
            views += _times(str(column), [_as_times(part, column) for part in parts])
    return views, names_rows


def _kind_of(values: pd.Series) -> Kind:
    import pandas as pd
    from pandas.api import types

    if isinstance(values.dtype, pd.CategoricalDtype) or types.is_bool_dtype(values.dtype):
        return "levels"
    if types.is_datetime64_any_dtype(values.dtype) or isinstance(values.dtype, pd.PeriodDtype):
        return "time"
    if types.is_timedelta64_dtype(values.dtype) or types.is_numeric_dtype(values.dtype):
        return "number" if not types.is_complex_dtype(values.dtype) else "levels"
    inferred = types.infer_dtype(values, skipna=True)
    if inferred in ("integer", "floating", "decimal", "mixed-integer-float", "empty"):
        return "number"
    return "time" if inferred in ("date", "datetime", "datetime64") else "levels"


def _numbers(values: pd.Series, column: Any) -> NDArray[np.float64]:
    import pandas as pd

    if pd.api.types.is_timedelta64_dtype(values.dtype):
        return values.dt.total_seconds().to_numpy(np.float64, na_value=np.nan)
    try:
        numbers = pd.to_numeric(values.astype(object).where(values.notna(), np.nan).astype(np.float64))
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"Expected column {column!r} to hold numbers in every table, as in *real*, but got {values.dtype}: {error}"
        ) from error
    array = numbers.to_numpy(np.float64)
    return np.where(np.isfinite(array), array, np.nan)


def _as_times(values: pd.Series, column: Any) -> pd.Series:
    import pandas as pd

    try:
        if isinstance(values.dtype, pd.PeriodDtype):
            return values.dt.to_timestamp()
        times = pd.to_datetime(values, utc=False)
        return times.dt.tz_localize(None) if times.dt.tz is not None else times
    except (TypeError, ValueError, AttributeError) as error:
        raise ValueError(
            f"Expected column {column!r} to hold times in every table, as in *real*, but got {values.dtype}: {error}"
        ) from error


def _times(name: str, parts: Sequence[pd.Series]) -> list[View]:
    seconds = [
        np.where(part.isna(), np.nan, part.astype("datetime64[ns]").astype(np.int64) * _SECONDS) for part in parts
    ]
    views = [View(name, "time", seconds)]
    known = seconds[0][~np.isnan(seconds[0])]
    if len(np.unique(known % 86400)) > 1:
        hours = [part // 3600 % 24 for part in seconds]
        views.append(View(f"{name}, hour", "levels", hours, tuple(map(str, range(24))), ordered=True))
    if len(np.unique(known // 86400)) > 7:
        days = [(part // 86400 + 3) % 7 for part in seconds]  # 1970 began on a Thursday
        views.append(View(f"{name}, weekday", "levels", days, _WEEKDAYS, ordered=True))
    return views


def _levels(name: str, parts: Sequence[pd.Series]) -> View:
    """Codes by falling frequency, so that the rare ones can be cut off as one."""
    codes = common_codes(parts)
    joined = np.concatenate(codes)
    times = np.bincount(joined[joined >= 0])
    place = np.empty(len(times), dtype=np.intp)
    place[np.argsort(-times, kind="stable")] = np.arange(len(times))
    labels = [""] * len(times)
    for part, own in zip(parts, codes, strict=True):
        seen, first = np.unique(own, return_index=True)
        for code, row in zip(seen.tolist(), first.tolist(), strict=True):
            if code >= 0:
                labels[place[code]] = str(part.iloc[row])
    values = [np.where(own >= 0, place[own], np.nan) if len(times) else np.full(len(own), np.nan) for own in codes]
    return View(name, "levels", values, tuple(labels))


def as_tree_rows(views: Sequence[View], table: int) -> tuple[NDArray[np.float64], list[bool]]:
    """Return rows (n, views) for gradient boosting, NaN for what is missing, and which columns are levels."""
    columns = [
        np.minimum(view.values[table], MAX_TREE_LEVELS) if view.kind == "levels" else view.values[table]
        for view in views
    ]
    return np.stack(columns, axis=1), [view.kind == "levels" for view in views]


def as_points(views: Sequence[View], tables: Sequence[int], reference: int = 0) -> list[NDArray[np.float64]]:
    """Return rows as points (n, d): numbers standardised by the reference, levels as one coordinate each.

    Two different levels are at the distance of one standard deviation. A missing value is at the mean, and in a
    coordinate of its own that says so.
    """
    blocks: list[list[NDArray]] = [[] for _ in tables]
    for view in views:
        if view.kind == "levels":
            n_levels = min(len(view.labels), MAX_POINT_LEVELS) + 1
            for block, table in zip(blocks, tables, strict=True):
                codes = view.values[table]
                place = np.where(np.isnan(codes), n_levels, np.minimum(codes, n_levels - 1)).astype(int)
                block.append(np.eye(n_levels + 1)[place] / np.sqrt(2))
            continue
        known = view.values[reference][~np.isnan(view.values[reference])]
        size = max(float(np.abs(known).max(initial=0.0)), 1e-300)  # the square of a large number is none
        known = known / size
        mean, scale = (known.mean(), known.std()) if len(known) else (0.0, 0.0)
        if not scale > 1e-12 * max(abs(mean), 1e-300):
            scale = 1.0
        for block, table in zip(blocks, tables, strict=True):
            missing = np.isnan(view.values[table])
            numbers = (np.where(missing, mean, view.values[table] / size) - mean) / scale
            block.append(np.stack([numbers, missing], axis=1))
    points = [np.concatenate(block, axis=1) for block in blocks]
    varies = np.concatenate(points).std(axis=0) > 0
    return [array[:, varies] if varies.any() else array[:, :1] for array in points]


def shares(view: View, table: int, weights: NDArray) -> Mapping[float, float]:
    """Return the share of each value among those that are not missing."""
    values = view.values[table]
    keep = ~np.isnan(values)
    found, codes = np.unique(values[keep], return_inverse=True)
    mass = np.bincount(codes, weights[keep], len(found))
    return dict(zip(found.tolist(), (mass / mass.sum()).tolist(), strict=True)) if len(found) else {}
