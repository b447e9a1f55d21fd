"""Single values of a user's data (labels, levels of categories, names of columns) as JSON, and back.

JSON's own types are written as they are, any other that is known as ``{kind: content}``. What comes back is equal to
what was written, or nothing is written.
"""

import datetime
import math
import re
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from latentover.tables.series import plain_value


class _Kind(NamedTuple):
    """Values of one type: how they are written to JSON and read again."""

    type: type
    write: Callable[[Any], Any]
    read: Callable[[Any], Any]


def _write_ticks(value: Any) -> list[Any]:
    """Return a date or duration of NumPy's or pandas' as a number of units and their name."""
    value = getattr(value, "asm8", value)
    return [int(value.view("int64")), np.datetime_data(value.dtype)[0]]


def _write_timestamp(value: pd.Timestamp) -> list[Any]:
    return [*_write_ticks(value), None if value.tz is None else str(value.tz)]


def _read_timestamp(content: list[Any]) -> pd.Timestamp:
    ticks, unit, zone = content
    time = pd.Timestamp(np.datetime64(ticks, unit))
    return time if zone is None else time.tz_localize("UTC").tz_convert(zone)


_KINDS: dict[str, _Kind] = {
    "tuple": _Kind(tuple, lambda value: [*map(to_json, value)], lambda content: tuple(map(from_json, content))),
    "bytes": _Kind(bytes, bytes.hex, bytes.fromhex),
    "date": _Kind(datetime.date, datetime.date.isoformat, datetime.date.fromisoformat),
    "datetime": _Kind(datetime.datetime, datetime.datetime.isoformat, datetime.datetime.fromisoformat),
    "time": _Kind(datetime.time, datetime.time.isoformat, datetime.time.fromisoformat),
    "timedelta": _Kind(
        datetime.timedelta,
        lambda value: [value.days, value.seconds, value.microseconds],
        lambda content: datetime.timedelta(*content),
    ),
    "decimal": _Kind(Decimal, str, Decimal),
    "datetime64": _Kind(np.datetime64, _write_ticks, lambda content: np.datetime64(*content)),
    "timedelta64": _Kind(np.timedelta64, _write_ticks, lambda content: np.timedelta64(*content)),
    "Timestamp": _Kind(pd.Timestamp, _write_timestamp, _read_timestamp),
    "Timedelta": _Kind(pd.Timedelta, _write_ticks, lambda content: pd.Timedelta(np.timedelta64(*content))),
    "Period": _Kind(
        pd.Period,
        lambda value: [value.ordinal, value.freqstr],
        lambda content: pd.Period(ordinal=content[0], freq=content[1]),
    ),
    "Interval": _Kind(
        pd.Interval,
        lambda value: [to_json(value.left), to_json(value.right), value.closed],
        lambda content: pd.Interval(from_json(content[0]), from_json(content[1]), content[2]),
    ),
    # What JSON in UTF-8 cannot hold of its own types: NaN, infinity and lone surrogates.
    "float": _Kind(float, repr, float),
    "text": _Kind(
        str,
        lambda value: value.encode("utf-16-le", "surrogatepass").hex(),
        lambda content: bytes.fromhex(content).decode("utf-16-le", "surrogatepass"),
    ),
}
_LONE_SURROGATES = re.compile("[\ud800-\udfff]")
VALUE_KINDS = tuple(_KINDS)
_KIND_OF = {kind.type: name for name, kind in _KINDS.items()}


def to_json(value: Any) -> Any:
    """Return a value as JSON can hold it; `from_json` is the way back.

    Parameters
    ----------
    value : object
        Text, a number, a boolean or None; bytes; a date, time, duration, decimal number, period or interval of
        Python's, NumPy's or pandas'; or a tuple of such.

    Raises
    ------
    TypeError
        For any other value.

    Examples
    --------
    >>> to_json(3), to_json((1, "a")), to_json(datetime.date(2024, 2, 29))
    (3, {'tuple': [1, 'a']}, {'date': '2024-02-29'})
    """
    value = plain_value(value)
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, str) and not _LONE_SURROGATES.search(value):
        return value
    kind = _KIND_OF.get(type(value))
    if kind is not None:
        written = {kind: _KINDS[kind].write(value)}
        try:
            read = from_json(written)
        except ValueError:  # a time zone, say, whose name says nothing
            read = None
        if read == value or (read != read and value != value):
            return written
    raise TypeError(
        f"got a {type(value).__name__}, {str(value)[:80]}, where bundles keep text, numbers, booleans, dates, periods "
        "and intervals"
    )


def from_json(content: Any) -> Any:
    """Return the value that `to_json` wrote; a list is a tuple, as older bundles have it.

    Raises
    ------
    ValueError
        If it is nothing that `to_json` writes.

    Examples
    --------
    >>> from_json({"date": "2024-02-29"})
    datetime.date(2024, 2, 29)
    """
    if isinstance(content, list):
        return tuple(map(from_json, content))
    if not isinstance(content, dict):
        return content
    kind, inner = next(iter(content.items()), ("", None))
    if kind not in _KINDS:
        raise ValueError(f"Expected a value of one of the kinds {', '.join(VALUE_KINDS)}, but got {kind!r}.")
    try:
        return _KINDS[kind].read(inner)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise ValueError(f"Expected a value of kind {kind}, but got {str(inner)[:80]}: {error}.") from error


def labels_to_json(labels: np.ndarray) -> list[Any]:
    """Return labels (C,) as JSON can hold them.

    Raises
    ------
    ValueError
        If one of them is of another type than `to_json` knows.
    """
    try:
        return [to_json(label) for label in labels]
    except TypeError as error:
        raise ValueError(f"Expected y to hold labels that can be stored, but {error}; turn them into text.") from error


def labels_from_json(content: Iterable[Any], dtype: str) -> np.ndarray:
    """Return the labels (C,) that `labels_to_json` wrote, in their type."""
    values = [from_json(item) for item in content]
    labels = np.empty(len(values), dtype=dtype)
    for i, value in enumerate(values):  # one by one, for NumPy would make columns of tuples
        labels[i] = value
    return labels
