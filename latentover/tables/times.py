"""Columns of dates and durations: elapsed time and, by scores, the calendar: season, weekday and hour."""

from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pandas as pd

from latentover.tables.columns import Column, Part, number_part, one_hot, present, with_gaps
from latentover.tables.scales import Quantiles, Scale, Standard, scale_from_dict
from latentover.tables.series import as_dtype, dates, inferred, missing_values, plain_value, ticks, without_arrow
from latentover.tables.values import from_json

_DAYS = {"weekday": 14, "month": 730}
"""A weekday, or a month, says something of dates that span so many days."""
_N = {"month": 12, "weekday": 7, "hour": 24}
_PER_DAY = {"s": 86_400, "ms": 86_400 * 10**3, "us": 86_400 * 10**6, "ns": 86_400 * 10**9}


class _Calendar(NamedTuple):
    """Local times (n,) taken apart."""

    day: np.ndarray
    month: np.ndarray
    weekday: np.ndarray
    hour: np.ndarray
    rest: np.ndarray


@dataclass(frozen=True)
class Time(Column):
    """Dates or durations.

    By mean and scale its one number is the steps since the earliest. By scores, dates that span two weeks or more are
    taken apart as clocks and calendars show them, in their time zone: the day, and as levels the month where they span
    two years, the weekday, and the hour where their steps are finer than days; what is left of the hour is a second
    number where steps are finer than hours. Going back, the day is moved to the nearest one with the month and the
    weekday that were generated, so that the shares of seasons, weekdays and night hours are those of the levels. Where
    missing values are a state, the levels "there" and "missing" come first.

    Attributes
    ----------
    number_dtype : str
        pandas' name of the type with its resolution and time zone, ``"datetime64[us, UTC]"``.
    origin, step, count : int
        Number k of 0..count means ``origin + k * step``, in units of the resolution: the steps that met all of fit.
    scale : Standard or Quantiles
        Of steps; with a calendar of days since 1970.
    calendar : tuple of {"month", "weekday", "hour"} or None
        Levels beside the day; None where there are steps alone.
    rest : Quantiles or None
        Of units since the full hour.
    """

    number_dtype: str = "datetime64[us]"
    origin: int = 0
    step: int = 1
    count: int = 0
    scale: Scale = Standard(0.0, 1.0)  # noqa: RUF009 - frozen
    calendar: tuple[str, ...] | None = None
    rest: Quantiles | None = None

    kind: ClassVar[str] = "time"

    @classmethod
    def learn(
        cls,
        values: pd.Series,
        dtype: str,
        *,
        scores: bool,
        missing: bool = False,
        weights: np.ndarray | None = None,
    ) -> "Time":
        """Learn a column of dates or durations; parameters are those of `Number.learn`."""
        seen, gaps = present(values)
        name, seen = plain_value(values.name), without_arrow(inferred(seen))
        found = ticks(seen)
        origin = int(found.min())
        if int(found.max()) - origin > np.iinfo(np.int64).max:
            raise ValueError(
                f"Expected column {name!r} to span at most 2**63 - 1 of its units, but got {seen.dtype} from "
                f"{seen.min()} to {seen.max()}; give it a coarser one, e.g. with dt.as_unit('s')."
            )
        step = int(np.gcd.reduce(found - origin)) or 1
        steps = (found - origin) // step
        about: dict[str, Any] = {"number_dtype": str(seen.dtype), "origin": origin, "step": step}
        about |= {"count": int(steps.max()), "scale": Standard.learn(steps.astype(np.float64))}
        weights = None if weights is None else weights[~gaps]
        if scores and not about["scale"].constant:
            about |= _learn_scores(seen, steps, about, weights)
        return cls(name, dtype, missing and bool(gaps.any()), **about)

    @property
    def parts(self) -> tuple[Part, ...]:
        """Its parts in their order: missing or not, steps or days, month, weekday, hour, the rest of the hour."""
        levels = [Part("levels", _N[name], _N[name]) for name in self.calendar or ()]
        rest = [] if self.rest is None else [number_part(self.rest)]
        return (*[Part("levels", 2, 2)] * self.missing, number_part(self.scale), *levels, *rest)

    @property
    def constant(self) -> bool:
        """Whether it has one value alone, and none is missing."""
        return self.scale.constant and not self.missing and not self.calendar

    def encode(self, values: pd.Series) -> np.ndarray:
        """Return the parts (n, width)."""
        missing = missing_values(values)
        try:
            times = values.astype(pd.api.types.pandas_dtype(self.number_dtype))
            found = np.where(missing, self.origin, ticks(times))
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"Expected column {plain_value(values.name)!r} to hold {self.number_dtype}, as in fit, but got type "
                f"{values.dtype}: {error}."
            ) from error
        columns: list[np.ndarray] = [one_hot(missing.astype(int), 2)] if self.missing else []
        if self.calendar is None:
            columns.append(self.scale.scores((found - self.origin) / self.step))
        else:
            parts = _taken_apart(dates(found, self.number_dtype))
            columns.append(self.scale.scores(parts.day))
            columns += [one_hot(getattr(parts, name), _N[name]) for name in self.calendar]
            columns += [] if self.rest is None else [self.rest.scores(parts.rest)]
        block = np.column_stack(columns).astype(np.float32)
        if missing.any():
            block[missing, 2 * self.missing :] = self._fill()
        return block

    def _fill(self) -> np.ndarray:
        """Return what stands for a missing value, but for the state: the median and, as levels, what it has."""
        if self.calendar is None:
            return np.array([self.scale.fill])
        column = replace(self, missing=False)
        return column.encode(column.decode(np.zeros((1, column.width)), as_generated=False))[0]

    def decode(self, block: np.ndarray, *, as_generated: bool = True) -> pd.Series:
        """Return dates or durations in the user's pandas type."""
        missing = block[:, :2].argmax(axis=1) == 1 if self.missing else np.zeros(len(block), dtype=bool)
        block = np.asarray(block[:, 2 * self.missing :], dtype=np.float64)
        numbers = self.scale.numbers(block[:, 0])
        if self.calendar is not None:
            local = self._put_together(np.rint(numbers).astype(np.int64), block, as_generated=as_generated)
            numbers = (ticks(local) - self.origin) / self.step
        steps = as_dtype(numbers, np.dtype("int64"), 0, self.count)
        times = dates(self.origin + steps * self.step, self.number_dtype)
        return with_gaps(times.astype(pd.api.types.pandas_dtype(self.dtype)), missing)

    def _put_together(self, days: np.ndarray, block: np.ndarray, *, as_generated: bool) -> pd.Series:
        """Return the times with these days and what `block` says of month, weekday, hour and the rest."""
        start, levels = 1, {}
        for name in self.calendar or ():
            levels[name] = block[:, start : start + _N[name]].argmax(axis=1)
            start += _N[name]
        first, last = _taken_apart(
            dates(np.array([self.origin, self.origin + self.count * self.step]), self.number_dtype)
        ).day
        if as_generated:
            days = _nearest_day(days, levels.get("month"), levels.get("weekday"), int(first), int(last))
        dtype: Any = pd.api.types.pandas_dtype(self.number_dtype)
        zone = getattr(dtype, "tz", None)
        unit = dtype.unit if zone is not None else np.datetime_data(dtype)[0]
        per_day = _PER_DAY[unit]
        local = days * per_day + levels.get("hour", np.zeros(len(days), dtype=np.int64)) * (per_day // 24)
        if self.rest is not None:
            local += np.rint(self.rest.numbers(block[:, start])).astype(np.int64)
        times = pd.Series(local.view(f"M8[{unit}]"))
        if zone is None:
            return times
        return times.dt.tz_localize(zone, ambiguous=np.ones(len(times), dtype=bool), nonexistent="shift_forward")

    def describe(self) -> str:
        """Return in words what becomes of the column."""
        what = "duration" if self.number_dtype.startswith("timedelta") else "date"
        words = [what, *(self.calendar or ())]
        return ", ".join(words + ["missing values as a state"] * self.missing)

    def to_dict(self) -> dict[str, Any]:
        """Return the column as JSON-able values."""
        calendar = None if self.calendar is None else list(self.calendar)
        rest = None if self.rest is None else self.rest.to_dict()
        return super().to_dict() | {"scale": self.scale.to_dict(), "calendar": calendar, "rest": rest}

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> "Time":
        """Return the column that `to_dict` described."""
        calendar = None if state["calendar"] is None else tuple(state["calendar"])
        rest = None if state["rest"] is None else scale_from_dict(state["rest"])
        parts = {"scale": scale_from_dict(state["scale"]), "calendar": calendar, "rest": rest}
        return cls(**{**state, **parts, "name": from_json(state["name"])})


def _learn_scores(
    times: pd.Series, steps: np.ndarray, about: dict[str, Any], weights: np.ndarray | None
) -> dict[str, Any]:
    """Return the scale and the calendar of dates or durations by scores."""
    if times.dtype.kind == "M":
        parts = _taken_apart(times)
        first, last = int(parts.day.min()), int(parts.day.max())
        if last - first >= min(_DAYS.values()):
            tells = {name: len(np.unique(getattr(parts, name))) > 1 for name in _N}
            tells["hour"] |= bool(parts.hour[0])
            calendar = tuple(name for name in _N if tells[name] and last - first >= _DAYS.get(name, 0))
            scale = Quantiles.learn(parts.day.astype(np.float64), weights, lattice=last - first + 1)
            rest = None
            if len(np.unique(parts.rest)) > 1 or parts.rest[0] != 0:
                rest = Quantiles.learn(parts.rest.astype(np.float64), weights, lattice=float(parts.rest.max() + 1))
            return {"scale": scale, "calendar": calendar, "rest": rest}
    return _of_steps(steps, about, weights)


def _of_steps(steps: np.ndarray, about: dict[str, Any], weights: np.ndarray | None) -> dict[str, Any]:
    return {"scale": Quantiles.learn(steps.astype(np.float64), weights, lattice=float(about["count"]) + 1)}


def _taken_apart(times: pd.Series) -> _Calendar:
    """Return what clocks and calendars show at the times (n,) in their zone; none may be missing."""
    if getattr(times.dtype, "tz", None) is not None:
        times = times.dt.tz_localize(None)
    unit = times.dt.unit
    day, within = np.divmod(ticks(times), _PER_DAY[unit])
    hour, rest = np.divmod(within, _PER_DAY[unit] // 24)
    return _Calendar(day, _month(day), (day + 3) % 7, hour, rest)  # 1970 began on a Thursday, Monday is 0


def _month(days: np.ndarray) -> np.ndarray:
    return days.view("M8[D]").astype("M8[M]").view(np.int64) % 12


def _nearest_day(
    days: np.ndarray, month: np.ndarray | None, weekday: np.ndarray | None, first: int, last: int
) -> np.ndarray:
    """Return the days nearest to `days` that have these months and weekdays and are in first..last, if there are."""
    days = days.clip(first, last)
    if month is not None:
        away = (month - _month(days) + 6) % 12 - 6  # -6..5 months
        other = away != 0
        target = days[other].view("M8[D]").astype("M8[M]") + away[other]
        lows = target.astype("M8[D]").view(np.int64)
        highs = (target + 1).astype("M8[D]").view(np.int64) - 1
        within = days[other] - days[other].view("M8[D]").astype("M8[M]").astype("M8[D]").view(np.int64)
        moved = np.minimum(lows + within, highs)
        for years in (-12, 12):  # out of range: the same month of another year
            outside = (moved < first) | (moved > last)
            again = (target + years).astype("M8[D]").view(np.int64)
            highs = (target + years + 1).astype("M8[D]").view(np.int64) - 1
            again = np.minimum(again + within, highs)
            moved = np.where(outside & (again >= first) & (again <= last), again, moved)
        days = days.copy()
        days[other] = moved.clip(first, last)
    if weekday is not None:
        away = (weekday - (days + 3) % 7 + 3) % 7 - 3  # -3..3 days
        moved = days + away
        moved = np.where(moved < first, moved + 7, np.where(moved > last, moved - 7, moved))
        if month is not None:  # stay in the month, by a week more
            strayed = _month(moved) != _month(days)
            back = moved - 7 * np.sign(away)
            moved = np.where(strayed & (back >= first) & (back <= last), back, moved)
        days = moved
    return days
