"""Values of a user's data as JSON: equal and of the same type when they come back, or refused."""

import datetime
import json
import zoneinfo
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest

from latentover.tables.values import VALUE_KINDS, from_json, labels_from_json, labels_to_json, to_json

VIENNA = zoneinfo.ZoneInfo("Europe/Vienna")
VALUES = [
    *(None, True, 0, -(2**70), 1.5, -0.0, float("inf"), "Graz", "", "a\nb", "\ud800", "\U0001f600", b"\xff\x00"),
    *((), ("a", 1), ("a", (pd.Timestamp("2024-01-31"), None))),
    datetime.date(2024, 2, 29),
    datetime.datetime(2024, 2, 29, 12, 30, 1, 7),
    datetime.time(23, 59, 59, 999999),
    datetime.timedelta(days=-3, microseconds=1),
    Decimal("1.10"),
    np.datetime64("2024-02-29"),
    np.datetime64("2024-02-29T00:00:00.000000001"),
    np.timedelta64(-3, "h"),
    pd.Timestamp(1, unit="ns"),
    pd.Timestamp(datetime.datetime(2024, 10, 27, 2, 30, fold=1), tz=VIENNA),
    pd.Timestamp("2024-01-01").as_unit("s"),
    pd.Timedelta(1, "ns"),
    pd.Period("2024-02", "M"),
    pd.Period("2024-02-29", "W-TUE"),
    pd.Interval(0.1, 0.5, closed="left"),
    pd.Interval(pd.Timestamp("2024-01-01"), pd.Timestamp("2024-02-01")),
]


def through_json(value):
    text = json.dumps(to_json(value), allow_nan=False, ensure_ascii=False)
    return from_json(json.loads(text.encode("utf-8")))


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_come_back_as_they_were(value):
    back = through_json(value)
    assert back == value
    assert type(back) is type(value)
    assert str(getattr(back, "tzinfo", None)) == str(getattr(value, "tzinfo", None))
    assert getattr(back, "unit", None) == getattr(value, "unit", None)


def test_not_a_number_comes_back():
    assert np.isnan(through_json(np.nan))


@pytest.mark.parametrize("value", [np.int8(3), np.float32(0.1), np.str_("a"), np.True_], ids=repr)
def test_numpys_scalars_are_pythons(value):
    assert through_json(value) == value.item()


@pytest.mark.parametrize(
    "value",
    [[1], {"a": 1}, {1}, 1j, object(), Fraction(1, 2), pd.NaT, pd.NA, (1, [2]), np.datetime64("NaT")],
    ids=lambda value: type(value).__name__,
)
def test_others_are_refused(value):
    with pytest.raises(TypeError, match="where bundles keep text, numbers, booleans, dates, periods and intervals"):
        to_json(value)


@pytest.mark.parametrize(
    "content",
    [
        *({}, {"class": "os.system"}, {"date": "yesterday"}, {"date": 5}, {"decimal": "x"}, {"tuple": 3}),
        *({"Timestamp": [1, "us", "Mars"]}, {"Period": [10**30, "M"]}, {"Interval": []}, {"bytes": "zz"}),
    ],
    ids=repr,
)
def test_what_was_never_written_is_not_read(content):
    with pytest.raises(ValueError, match=r"^Expected a value of"):
        from_json(content)


def test_every_kind_is_tried():
    written = [to_json(value) for value in VALUES]
    assert {kind for value in written if isinstance(value, dict) for kind in value} == set(VALUE_KINDS)


def test_lists_of_older_bundles_are_tuples():
    assert from_json([["a", 1], "b"]) == (("a", 1), "b")


@pytest.mark.parametrize(
    "labels",
    [
        np.array(["2024-01-01", "2024-02-01"], dtype="M8[D]"),
        np.array([1, 2], dtype="M8[ns]"),
        np.array([3, 600], dtype="m8[ms]"),
        np.array([2**63, 2**64 - 1], dtype=np.uint64),
        np.array([False, True]),
        np.array(["a", "longer"]),
        np.array(["a", "b"], dtype=object),
        np.array([0.5, 1.5], dtype=np.float16),
    ],
    ids=repr,
)
def test_labels_keep_their_type(labels):
    content = json.loads(json.dumps(labels_to_json(labels)))
    np.testing.assert_array_equal(labels_from_json(content, labels.dtype.str), labels, strict=True)


def test_labels_that_are_no_values_are_refused():
    with pytest.raises(ValueError, match=r"^Expected y to hold labels that can be stored, but got a Fraction, 1/2"):
        labels_to_json(np.array([Fraction(1, 2)], dtype=object))
