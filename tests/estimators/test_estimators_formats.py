"""Formats of tables: every type of column goes to the networks and back, and nothing of a row is remembered."""

import datetime
import json
import re
import subprocess
import sys
import textwrap
import warnings
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from latentover.estimators import learn_format
from latentover.estimators.containers import Container
from latentover.estimators.formats import format_from_dict
from latentover.tables import format as table_format
from latentover.tables.checks import check_table
from latentover.tables.levels import MAX_CATEGORY_WIDTH, level_rows, nearest_level
from latentover.tables.numbers import FloatColumns

INTEGERS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
NULLABLE_INTEGERS = ["Int8", "Int16", "Int32", "Int64", "UInt8", "UInt64", "int16[pyarrow]", "uint32[pyarrow]"]
FLOATS = ["float16", "float32", "float64", "Float32", "Float64", "float[pyarrow]", "double[pyarrow]"]
BOOLEANS = ["bool", "boolean", "bool[pyarrow]"]
TEXTS = ["object", "str", "string", "string[python]", "utf8[pyarrow]", "large_string[pyarrow]", "category"]
TIMES = [
    "datetime64[s]",
    "datetime64[ns]",
    "datetime64[us, UTC]",
    "datetime64[ns, Europe/Vienna]",
    "datetime64[us, UTC+01:00]",
    "timedelta64[ms]",
    "timestamp[us][pyarrow]",
    "timestamp[ns, tz=America/New_York][pyarrow]",
    "date32[day][pyarrow]",
    "date64[ms][pyarrow]",
    "duration[us][pyarrow]",
]
MISSING = st.sampled_from([False, False, True])


def values_of(dtype):
    """A strategy for the values of a type; dates are days since 1970."""
    if dtype in BOOLEANS:
        return st.booleans()
    if dtype in TEXTS:
        return st.text(max_size=3)
    if dtype in TIMES:
        return st.integers(-30_000, 30_000)
    if dtype in INTEGERS + NULLABLE_INTEGERS:
        kind = np.iinfo(re.sub(r"\[.*", "", dtype).lower())
        return st.integers(max(kind.min, -(2**15)), min(kind.max, 2**16))
    return st.floats(-100, 100, width=16)


def column_of(values, dtype):
    """Values as a column; None is missing."""
    if dtype not in TIMES:
        return pd.Series(values, dtype=object).astype(dtype)
    days = pd.Series([pd.NaT if value is None else np.timedelta64(value, "D") for value in values])
    if dtype.startswith(("timedelta", "duration")):
        return days.astype("timedelta64[us]").astype(dtype)
    times = (pd.Timestamp(0) + days).astype("datetime64[us]")
    return times.dt.tz_localize("UTC").astype(dtype) if re.search(r", (tz=)?[AEU]", dtype) else times.astype(dtype)


def nothing_missing_in(dtype):
    return dtype in [*INTEGERS, "bool"]


class TestRoundTrip:
    @pytest.mark.parametrize("dtype", INTEGERS + NULLABLE_INTEGERS + BOOLEANS + TEXTS + TIMES)
    @settings(max_examples=12, deadline=None, derandomize=True)
    @given(st.data())
    def test_is_exact(self, dtype, data):
        self.check(dtype, data, assert_frame_equal)

    @pytest.mark.parametrize("dtype", FLOATS)
    @settings(max_examples=25, deadline=None, derandomize=True)
    @given(st.data())
    def test_of_floats_is_as_exact_as_float32(self, dtype, data):
        def close(back, X):
            assert back.dtypes.equals(X.dtypes)
            a, b = (frame["a"].to_numpy(dtype=np.float64, na_value=np.nan) for frame in (back, X))
            spread = np.nanmax(b) - np.nanmin(b)
            np.testing.assert_allclose(a, b, rtol=2e-3 if "16" in dtype else 1e-6, atol=1e-5 * spread)
            assert np.nanmin(a) >= np.nanmin(b)
            assert np.nanmax(a) <= np.nanmax(b)

        self.check(dtype, data, close)

    @staticmethod
    def check(dtype, data, same):
        values = data.draw(st.lists(values_of(dtype), min_size=2, max_size=20))
        holes = [False] * len(values)
        if not nothing_missing_in(dtype):
            holes = data.draw(st.lists(MISSING, min_size=len(values), max_size=len(values)))
            holes[0] = False
        if dtype in TEXTS:  # of a text that one row alone has nothing is learned
            values, holes = values * 2, holes * 2
        X = pd.DataFrame({"a": column_of([None if h else v for h, v in zip(holes, values, strict=True)], dtype)})
        known = learn_format(X, missing="mask")
        encoded = known.encode(X)
        assert encoded.dtype == torch.float32
        assert encoded.isfinite().all()
        assert encoded.shape == (len(X), *known.shape)
        back = known.decode(encoded)
        assert back.isna().equals(X.isna())
        same(back, X)
        restored = format_from_dict(json.loads(json.dumps(known.to_dict())))
        assert restored == known
        assert_frame_equal(restored.decode(encoded), back)

    @pytest.mark.parametrize("dtype", [*INTEGERS, "float16", "float32", "float64", "bool"])
    @settings(max_examples=12, deadline=None, derandomize=True)
    @given(st.data())
    def test_of_arrays(self, dtype, data):
        kind = values_of("float64") if dtype.startswith("float") else values_of(dtype)
        X = np.array(data.draw(st.lists(st.tuples(kind, kind), min_size=2, max_size=20)), dtype=dtype)
        known = learn_format(X)
        back = known.decode(known.encode(X))
        assert back.dtype == X.dtype
        if dtype.startswith("float"):
            np.testing.assert_allclose(back, X, rtol=2e-3 if "16" in dtype else 1e-6, atol=2e-3)
        else:
            np.testing.assert_array_equal(back, X)

    @pytest.mark.parametrize("n", [7, 14, 20])
    def test_of_more_rows_than_are_encoded_at_once(self, n, monkeypatch):
        numbers = np.random.default_rng(0).normal(size=(n, 3))
        frame = pd.DataFrame({"a": numbers[:, 0], "b": ["u", "v", None, "w"] * (n // 4) + ["u"] * (n % 4)})
        for X in (numbers, frame):
            known = learn_format(X, missing="mask")
            whole = known.encode(X)
            with monkeypatch.context() as patched:
                patched.setattr(table_format, "ROWS_AT_ONCE", 7)
                assert known.encode(X).equal(whole)

    @pytest.mark.parametrize("dtype", ["int64", "uint64", "int32", "uint8"])
    def test_extreme_whole_numbers_stay_in_range(self, dtype):
        limits = np.iinfo(dtype)
        for X in ([[limits.min], [limits.max]], [[limits.max - 1], [limits.max]], [[limits.max]] * 2):
            X = np.array(X, dtype=dtype)
            known = learn_format(X)
            decoded = known.decode(torch.tensor([[-1e9], [0.0], [1e9]]))
            assert decoded.dtype == X.dtype
            assert (decoded >= X.min()).all()
            assert (decoded <= X.max()).all()
            if X.min() == X.max():
                assert (decoded == X.max()).all()

    @settings(max_examples=50, deadline=None, derandomize=True)
    @given(st.lists(st.floats(allow_nan=False, allow_infinity=False, width=64), min_size=2, max_size=10))
    def test_any_finite_numbers_are_finite_for_the_networks_or_refused(self, values):
        X = np.array(values)[:, None]
        try:
            known = learn_format(X)
        except ValueError as error:
            assert re.search(r"^Expected X to hold numbers that can be squared, but got .*e\+", str(error))  # noqa: PT017
            assert np.abs(X).max() > 1e150
            return
        encoded = known.encode(X)
        assert encoded.isfinite().all()
        assert (encoded.abs() <= len(X)).all()
        back = known.decode(encoded)
        assert np.isfinite(back).all()
        assert (back >= X.min()).all()
        assert (back <= X.max()).all()

    def test_numbers_far_from_those_seen_are_finite_for_the_networks(self):
        known = learn_format(np.array([[0.0], [1.0]]))
        assert known.encode(np.array([[1e300], [-1e300]])).ravel().tolist() == [1e6, -1e6]


class TestDates:
    def test_are_generated_in_the_step_that_was_seen(self):
        days = pd.DataFrame({"day": pd.to_datetime(["2020-01-01", "2020-03-08", "2021-05-01"])})
        known = learn_format(days)
        new = known.decode(torch.randn(200, 1, generator=torch.Generator().manual_seed(0)))["day"]
        assert new.dtype == days["day"].dtype
        assert new.between("2020-01-01", "2021-05-01").all()
        assert (new == new.dt.normalize()).all()
        assert new.nunique() > 50

    def test_keep_their_time_zone_across_summer_time(self):
        hours = pd.date_range("2024-03-30", periods=72, freq="h", tz="Europe/Vienna").as_unit("us")
        X = pd.DataFrame({"when": hours})
        known = learn_format(X)
        assert_frame_equal(known.decode(known.encode(X)), X)
        assert known.columns[0].step == 3600 * 10**6

    def test_python_objects(self):
        X = pd.DataFrame(
            {"when": pd.Series([pd.Timestamp("2020-01-01"), pd.Timestamp("2020-01-03"), None], dtype=object)}
        )
        known = learn_format(X, missing="mask")
        back = known.decode(known.encode(X))["when"]
        assert back.dtype == object
        assert back.tolist()[:2] == X["when"].tolist()[:2]
        assert back.isna().tolist() == [False, False, True]

    def test_of_another_resolution_are_understood(self):
        X = pd.DataFrame({"when": pd.date_range("2020", periods=5).as_unit("ns")})
        known = learn_format(X)
        assert torch.equal(known.encode(X.astype("datetime64[s]")), known.encode(X))

    def test_where_there_were_numbers_and_the_other_way_round(self):
        dates, numbers = pd.DataFrame({"a": pd.date_range("2020", periods=3)}), pd.DataFrame({"a": ["x", "y", "z"]})
        with pytest.raises(ValueError, match=r"column 'a' to hold datetime64\[.*\], as in fit, but got type"):
            learn_format(dates).encode(numbers)
        with pytest.raises(ValueError, match="column 'a' to hold numbers, as in fit, but got type datetime"):
            learn_format(pd.DataFrame({"a": [1.0, 2.0]})).encode(dates)

    def test_of_three_centuries_in_nanoseconds_are_refused(self):
        X = pd.DataFrame({"when": pd.to_datetime(["1700-01-01", "2200-01-01"]).astype("datetime64[ns]")})
        with pytest.raises(ValueError, match=r"column 'when' to span at most .*as_unit"):
            learn_format(X)
        assert learn_format(X.astype("datetime64[us]")).shape == (1,)


class TestMissing:
    FRAME = pd.DataFrame(
        {
            "number": [1.0, np.nan, 2.0, 9.0, 2.0, 1.0, 3.0],
            "whole": pd.array([1, 2, None, 2, 3, 1, 2], dtype="Int64"),
            "text": ["u", "v", "v", None, "v", "u", "v"],
            "when": pd.to_datetime(["2020-01-01", "2020-01-02", None, "2020-01-09", "2020-01-02"] + ["2020-01-02"] * 2),
            "complete": [1, 2, 3, 4, 5, 6, 7],
        }
    )

    def test_is_an_error_by_default_that_names_column_and_count(self):
        with pytest.raises(ValueError, match=r"but got 1 in 7 rows: column 'number' contains NaN; impute it first"):
            learn_format(self.FRAME)
        with pytest.raises(ValueError, match=r"but got 2 in 3 rows: column 1 contains NaN"):
            learn_format(np.array([[1, np.nan], [2, 3], [4, np.nan]]))

    @pytest.mark.parametrize("dtype", ["Float64", "double[pyarrow]"])
    def test_a_nan_inside_a_type_that_has_na(self, dtype):
        column = pd.Series([0.0, 1.0, 3.0], dtype=dtype)
        with np.errstate(invalid="ignore"):
            column = column / pd.Series([0.0, 1.0, 1.0], dtype=dtype)
        X = pd.DataFrame({"a": column})
        with pytest.raises(ValueError, match=r"but got 1 in 3 rows: column 'a' contains NaN"):
            check_table(X)
        for named in ("auto", ["a"]):
            known = learn_format(X, missing="mask", categorical_features=named)
            assert known.decode(known.encode(X))["a"].isna().tolist() == [True, False, False]

    def test_imputed_by_median_and_most_frequent(self):
        known = learn_format(self.FRAME, missing="impute")
        back = known.decode(known.encode(self.FRAME))
        assert not back.isna().any().any()
        assert back["number"][1] == pytest.approx(2.0, abs=0.01)  # to a thousandth of the deviation
        assert back["whole"][2] == 2
        assert back["text"][3] == "v"
        assert back["when"][2] == pd.Timestamp("2020-01-02")

    def test_masked_as_a_state_of_their_own(self):
        known = learn_format(self.FRAME, missing="mask")
        assert known.shape == (3 + 3 + 3 + 3 + 1,)
        assert [placed.part.n for placed in known.parts] == [2, 1, 2, 1, 3, 2, 1, 1]
        encoded = known.encode(self.FRAME)
        assert encoded[:, :2].tolist() == [[1, 0], [0, 1], [1, 0], [1, 0], [1, 0], [1, 0], [1, 0]]
        assert encoded[:, 6:9].tolist()[2:5] == [[0, 1, 0], [0, 0, 1], [0, 1, 0]]
        encoded[:5, 1] = torch.tensor([0.49, 0.5, 2.0, -1.0, 0.51])
        encoded[:5, 0] = 0.5
        assert known.decode(encoded)["number"].isna().tolist() == [False, False, True, False, True, False, False]
        encoded[:5, 4] = 2.0
        assert known.decode(encoded)["whole"].isna().tolist() == [True] * 5 + [False] * 2
        assert known.decode(encoded).dtypes.equals(self.FRAME.dtypes)

    @pytest.mark.parametrize("missing", ["impute", "mask"])
    def test_only_later_where_fit_saw_none(self, missing):
        known = learn_format(self.FRAME.dropna(), missing=missing)
        encoded = known.encode(self.FRAME.astype({"complete": float}).replace({"complete": {4: np.nan}}))
        assert encoded.isfinite().all()
        assert known.shape == (6,)

    @pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
    def test_in_arrays(self, dtype):
        X = np.array([[1, 5], [np.nan, 6], [3, 9], [4, 5]], dtype=dtype)
        masked, imputed = (learn_format(X, missing=missing) for missing in ("mask", "impute"))
        assert masked.shape == (4,)
        np.testing.assert_allclose(masked.decode(masked.encode(X)), X, rtol=1e-3)
        assert masked.decode(masked.encode(X)).dtype == X.dtype
        assert imputed.decode(imputed.encode(X))[1, 0] == pytest.approx(3, abs=0.01)

    def test_everywhere_is_refused(self):
        for column in (pd.Series([np.nan] * 3), pd.Series([None] * 3, dtype="string"), pd.Series([pd.NaT] * 3)):
            with pytest.raises(ValueError, match=r"Expected column 'a' to have a value, but got missing ones alone"):
                learn_format(pd.DataFrame({"a": column}), missing="mask")

    @pytest.mark.parametrize("missing", ["drop", None, True])
    def test_is_one_of_three(self, missing):
        with pytest.raises(ValueError, match=r"Expected missing to be 'error', 'impute' or 'mask', but got"):
            learn_format(self.FRAME, missing=missing)


class TestCategories:
    X = pd.DataFrame({"town": [8010, 4020, 8010, 1010], "age": [20, 30, 40, 50], "sex": ["f", "m", "f", "m"]})

    @pytest.mark.parametrize(
        "named", [["town"], [0], [-3], [True, False, False], np.array([True, False, False]), ("town",)]
    )
    def test_numbers_may_be_named_as_categories(self, named):
        known = learn_format(self.X, categorical_features=named)
        assert known.shape == (3 + 1 + 2,)
        assert_frame_equal(known.decode(known.encode(self.X)), self.X)
        assert set(known.decode(torch.randn(50, 6))["town"]) <= set(self.X["town"])

    def test_in_arrays(self):
        X = self.X[["town", "age"]].to_numpy(dtype=np.float32)
        known = learn_format(X, categorical_features=[0])
        assert known.shape == (4,)
        back = known.decode(known.encode(X))
        assert back.dtype == np.float32
        np.testing.assert_allclose(back, X)
        with pytest.warns(UserWarning, match=r"known in fit, but got 8011\.0 in column 0"):
            encoded = known.encode(np.array([[8011.0, 25.0], [8010.0, 25.0]], dtype=np.float32))
        assert encoded[:, :3].tolist() == [[0, 0, 0], [0, 0, 1]]

    def test_none_named(self):
        assert learn_format(self.X, categorical_features=[]) == learn_format(self.X)

    @pytest.mark.parametrize(
        ("named", "message"),
        [
            (["twon"], "but got 'twon', which is none; the columns are \\['town', 'age', 'sex'\\]"),
            ([3], "but got numbers \\[3\\]"),
            ([True, False], "but got a mask of length 2"),
            ("town", "but got 'town'"),
            ([0.5], "but got \\[0.5\\]"),
            ([[0]], "but got \\[\\[0\\]\\]"),
        ],
    )
    def test_that_are_none_are_refused(self, named, message):
        with pytest.raises(ValueError, match=f"^Expected categorical_features to be 'auto', or .*{message}"):
            learn_format(self.X, categorical_features=named)

    def test_of_the_same_type_though_their_names_look_like_another(self):
        X = pd.DataFrame(
            {"a": pd.Categorical(pd.Series(["x", "y"] * 2, dtype=object), pd.Index(["y", "x", "z"], dtype=object))}
        )
        known = learn_format(X)
        assert_frame_equal(known.decode(known.encode(X)), X)
        assert known.decode(known.encode(X))["a"].cat.categories.dtype == object

    @pytest.mark.filterwarnings("ignore:The behavior of value_counts:FutureWarning")  # of pandas before 3
    @pytest.mark.parametrize(
        "values",
        [
            pd.cut(pd.Series([1.0, 5.0, 9.0]), 3),
            pd.Series(pd.interval_range(0, 3)),
            pd.Series(pd.period_range("2024-01", periods=3, freq="M")),
            pd.Series(pd.period_range("2024-01", periods=3, freq="W-TUE")).astype("category"),
            pd.Series([datetime.date(2024, 1, day) for day in (1, 2, 3)]),
            pd.Series([datetime.time(hour) for hour in (1, 2, 3)]),
            pd.Series(pd.date_range("2024", periods=3, tz="Europe/Vienna")).astype("category"),
            pd.Series(pd.to_timedelta([1, 2, 3], "h")).astype("category"),
            pd.Series([Decimal("0.1"), Decimal("0.20"), Decimal(3)]).astype("category"),
            pd.Series([1.0, np.inf, -np.inf]).astype("category"),
            pd.Series([b"a", b"b", b"c"] * 2).astype("category"),
        ],
        ids=lambda values: f"{type(values[0]).__name__} in {values.dtype}",
    )
    def test_levels_of_any_type_are_stored(self, values):
        X = pd.DataFrame({"band": values})
        known = learn_format(X)
        text = json.dumps(known.to_dict(), allow_nan=False, ensure_ascii=False)
        restored = format_from_dict(json.loads(text.encode("utf-8")))
        assert restored == known
        assert_frame_equal(restored.decode(restored.encode(X)), X)

    def test_levels_that_cannot_be_stored_are_named(self):
        known = learn_format(pd.DataFrame({"part": [Fraction(1, 2), Fraction(1, 3)]}))
        with pytest.raises(
            ValueError, match=r"^Expected the categories of column 'part' to be .* Fraction, 1/3.*astype"
        ):
            known.to_dict()

    @pytest.mark.parametrize(
        ("column", "message"),
        [
            (pd.Series([[1], [2], [1]]), r"to hold numbers, .*but got \['list'\]"),
            (pd.Series([{"a": 1}] * 3), r"but got \['dict'\]"),
            (pd.Series([b"a", b"b", b"a"]), "but got bytes values"),
            (pd.Series([Decimal(1), Decimal(2), Decimal(1)]), "but got decimal values"),
            (pd.Series([1j, 2, 3], dtype=object), "but got complex128 values"),
            (pd.Series([object(), object(), object()]), r"but got \['object'\]"),
        ],
    )
    def test_values_without_an_encoding_are_refused_by_name(self, column, message):
        with pytest.raises(ValueError, match=f"^Expected column 'a' .*{message}"):
            learn_format(pd.DataFrame({"a": column}))

    @pytest.mark.parametrize("kind", ["list", "decimal"])
    def test_arrow_types_without_an_encoding_are_refused_by_name(self, kind):
        import pyarrow as pa

        dtype = {"list": pa.list_(pa.int64()), "decimal": pa.decimal128(9, 2)}[kind]
        values = {"list": [[1], [2]], "decimal": [1, 2]}[kind]
        X = pd.DataFrame({"a": pd.array(pa.array(values, type=dtype), dtype=pd.ArrowDtype(dtype))})
        with pytest.raises(ValueError, match=rf"^Expected column 'a' to hold .*but got type {kind}.*astype"):
            learn_format(X)


class TestUnknownLevels:
    X = pd.DataFrame({"town": ["Graz", "Linz", "Graz"], "colour": ["red", "red", "blue"], "age": [20, 40, 61]})
    TWICE = pd.concat([X] * 2)

    def test_are_rows_of_zeros_and_one_warning(self):
        known = learn_format(self.TWICE)
        later = self.X.assign(town=["Wien", "Linz", "Bregenz"], colour="green")
        with pytest.warns(UserWarning, match="known in fit") as caught:
            encoded = known.encode(later)
        assert encoded[:, :4].tolist() == [[0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]]
        assert torch.equal(encoded[:, 4], known.encode(self.TWICE)[:3, 4])
        (warning,) = caught
        assert "but got 'Wien' in column 'town', 'green' in column 'colour': they are encoded as zeros" in str(
            warning.message
        )

    def test_are_found_in_every_block_of_rows(self):
        known = learn_format(self.TWICE)
        later = pd.concat([self.X] * 12_000, ignore_index=True)
        later.loc[30_000, "town"] = "Wien"
        with pytest.warns(UserWarning, match="'Wien' in column 'town'"):
            encoded = known.encode(later)
        assert (encoded[:, :2].sum(dim=1) == 0).nonzero().tolist() == [[30_000]]

    def test_beside_missing_ones(self):
        X = self.X.assign(town=["Graz", None, "Linz"])
        known = learn_format(pd.concat([X] * 2), missing="mask")
        with pytest.warns(UserWarning, match="got 'Wien' in column 'town': "):
            encoded = known.encode(X.assign(town=[None, "Wien", "Graz"]))
        assert encoded[:, :3].tolist() == [[0, 0, 1], [0, 0, 0], [1, 0, 0]]

    def test_of_many(self):
        known = learn_format(pd.DataFrame({"id": [f"person {i // 2}" for i in range(1000)]}))
        with pytest.warns(UserWarning, match="'nobody'"):
            encoded = known.encode(pd.DataFrame({"id": ["nobody", "person 7"]}))
        assert not encoded[0].any()
        assert encoded[1].norm().item() == pytest.approx(1)

    def test_values_that_are_no_levels_at_all_are_an_error(self):
        with pytest.raises(ValueError, match=r"^Expected column 'town' to hold numbers, .*as in fit, but got"):
            learn_format(self.TWICE).encode(self.X.assign(town=[["Graz"]] * 3))


class TestDeclaredLevels:
    TOWNS = pd.CategoricalDtype(["Wien", "Graz", "Linz", "Eisenstadt"])

    def test_have_columns_but_are_never_generated(self):
        X = pd.DataFrame({"town": pd.Series(["Linz", "Graz"] * 2, dtype=self.TOWNS)})
        known = learn_format(X)
        assert known.shape == (4,)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            encoded = known.encode(pd.DataFrame({"town": pd.Series(["Wien", "Eisenstadt", "Graz"], dtype=self.TOWNS)}))
        assert encoded.tolist() == [[0, 0, 0, 1], [0, 0, 1, 0], [1, 0, 0, 0]]
        assert set(known.decode(torch.randn(200, 4))["town"]) == {"Graz", "Linz"}
        assert known.decode(encoded).dtypes.equals(X.dtypes)

    def test_of_many(self):
        dtype = pd.CategoricalDtype([f"person {i}" for i in range(500)])
        X = pd.DataFrame({"id": pd.Series(["person 8", "person 9"] * 2, dtype=dtype)})
        known = learn_format(X)
        everyone = known.encode(pd.DataFrame({"id": pd.Series(dtype.categories, dtype=dtype)}))
        assert len(everyone.unique(dim=0)) == 500
        assert set(known.decode(torch.randn(200, 128))["id"]) == {"person 8", "person 9"}

    @pytest.mark.parametrize("dtype", ["bool", "boolean", "bool[pyarrow]", "object"])
    def test_booleans_are_two(self, dtype):
        X = pd.DataFrame({"member": pd.Series([True, True, True], dtype=dtype)})
        known = learn_format(X)
        assert known.encode(pd.DataFrame({"member": pd.Series([True, False], dtype=dtype)})).tolist() == [
            [1, 0],
            [0, 1],
        ]
        assert_frame_equal(known.decode(torch.randn(3, 2)), X)

    def test_of_polars(self):
        pl = pytest.importorskip("polars")
        sizes = pl.Enum(["S", "M", "L"])
        known = learn_format(Container.of(pl.DataFrame({"size": ["M", "S"] * 2}, schema={"size": sizes})).frame)
        later = Container.of(pl.DataFrame({"size": ["L", "M"]}, schema={"size": sizes})).frame
        assert known.encode(later).tolist() == [[0, 0, 1], [1, 0, 0]]

    def test_survive_json(self):
        known = learn_format(pd.DataFrame({"town": pd.Series(["Linz", "Graz"] * 2, dtype=self.TOWNS)}))
        assert known.columns[0].unseen == 2
        assert format_from_dict(json.loads(json.dumps(known.to_dict()))) == known


class TestManyLevels:
    @pytest.mark.parametrize("n", [1, 2, 128, 129, 5000])
    def test_rows_are_told_apart(self, n):
        rows = level_rows(n)
        assert rows.shape == (n, min(n, MAX_CATEGORY_WIDTH))
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, rtol=1e-6)
        assert np.array_equal(nearest_level(rows, n), np.arange(n))

    def test_rows_are_about_as_far_apart_as_one_hot_ones(self):
        rows = level_rows(2000)
        squares = 2 - 2 * rows @ rows.T
        assert squares[~np.eye(2000, dtype=bool)].mean() == pytest.approx(2, abs=0.01)
        assert np.array_equal(rows[:500], level_rows(500))

    def test_a_mixture_is_the_one_that_has_the_larger_part(self):
        rng = np.random.default_rng(0)
        a, b = rng.choice(5000, (2, 3000))
        rows = level_rows(5000)
        mixed = 0.7 * rows[a] + 0.3 * rows[b]
        assert (nearest_level(mixed, 5000) == a).mean() > 0.999

    def test_a_column_takes_no_more_than_128_columns(self):
        names = pd.DataFrame({"id": [f"person {i}" for i in range(5000)] * 2})
        known = learn_format(names)
        assert known.shape == (MAX_CATEGORY_WIDTH,)
        assert_frame_equal(known.decode(known.encode(names)), names)
        assert set(known.decode(torch.randn(100, 128))["id"]) <= set(names["id"])

    @pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/status")
    def test_of_5000_levels_and_20000_rows_stay_under_a_gigabyte(self):
        script = """
            from pathlib import Path
            import numpy as np, pandas as pd
            from latentover import RAESampler

            def memory(what):  # not resource.ru_maxrss, which begins with that of the process that started this one
                lines = Path("/proc/self/status").read_text().splitlines()
                return next(1024 * int(line.split()[1]) for line in lines if line.startswith(what))

            rng = np.random.default_rng(0)
            levels = np.r_[np.arange(5000), rng.integers(0, 5000, 15_000)]
            X = pd.DataFrame({"id": [f"level {i}" for i in levels], "x": rng.normal(size=20_000)})
            y = (rng.random(20_000) < 0.1).astype(int)
            before = memory("VmRSS")
            sampler = RAESampler(max_steps=2, hidden_units=64, device="cpu", random_state=0)
            X_new, y_new = sampler.fit_resample(X, y)
            assert (y_new == 1).sum() == (y_new == 0).sum() and set(X_new["id"]) <= set(X["id"])
            print(memory("VmHWM") - before)
        """
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", textwrap.dedent(script)], capture_output=True, text=True, check=True
        )
        assert int(done.stdout) < 2**29  # the imports take up to another half, one-hot rows would take 0.4 GB a copy


class TestHeavyTails:
    @staticmethod
    def amounts():
        amounts = np.exp(np.random.default_rng(0).normal(0, 1, 5000))
        amounts[7] = 1e6
        return pd.DataFrame({"amount": amounts})

    def test_do_not_hide_the_bulk(self):
        X = self.amounts()
        known = learn_format(X)
        encoded = known.encode(X).numpy()[:, 0]
        assert np.subtract(*np.percentile(encoded, [75, 25])) > 0.5  # 1.35 for a normal column; 0.0001 if standardised
        assert np.abs(encoded).max() < 30

    def test_come_back_in_full(self):
        X = self.amounts()
        known = learn_format(X)
        back = known.decode(known.encode(X))
        np.testing.assert_allclose(back, X, rtol=1e-5, atol=1e-5)
        assert back["amount"][7] == pytest.approx(1e6, rel=1e-5)

    @pytest.mark.parametrize("seed", range(3))
    def test_ordinary_columns_are_standardised(self, seed):
        rng = np.random.default_rng(seed)
        X = np.column_stack(
            [
                rng.normal(5, 3, 500),
                rng.random(500),
                rng.exponential(2, 500),
                rng.integers(0, 9, 500),
                rng.random(500) < 0.01,
                np.where(rng.random(500) < 0.9, 0, rng.integers(100, 9999, 500)),
            ]
        )
        known = learn_format(X)
        np.testing.assert_allclose(known.encode(X), (X - X.mean(axis=0)) / X.std(axis=0), atol=1e-5)

    def test_of_whole_numbers(self):
        X = pd.DataFrame({"a": [*range(200), 10**9]})
        known = learn_format(X)
        assert known.columns[0].scale.spread > 0
        back = known.decode(known.encode(X))
        assert_frame_equal(back[:200], X[:200])
        assert back["a"][200] == pytest.approx(10**9, rel=1e-5)


class TestClip:
    X = pd.DataFrame(
        {"a": [0.0, 10.0], "b": [1, 3], "c": ["u", "v"], "d": pd.to_datetime(["2020-01-01", "2020-01-09"])}
    )
    TWICE = pd.concat([X] * 2)  # of a text that one row alone has nothing is learned
    FAR = torch.tensor([[-50.0, -50, 1, 0, -50], [50, 50, 0, 1, 50]])

    def decoded(self, clip):
        return learn_format(self.TWICE, clip=clip).decode(self.FAR)

    def test_to_what_was_seen_by_default(self):
        assert_frame_equal(learn_format(self.TWICE).decode(self.FAR), self.X)
        assert_frame_equal(self.decoded("observed"), self.X)

    def test_not_at_all(self):
        new = self.decoded("none")
        assert new["a"].tolist() == [-245, 255]
        assert new["b"].tolist() == [-48, 52]
        assert_frame_equal(new[["c", "d"]], self.X[["c", "d"]])

    def test_to_a_range(self):
        new = self.decoded((-3.5, 7.5))
        assert new["a"].tolist() == [-3.5, 7.5]
        assert new["b"].tolist() == [-3, 7], "whole numbers within"

    def test_to_a_range_of_one_column(self):
        new = self.decoded({"a": (None, 100), "b": "none"})
        assert new["a"].tolist() == [-245, 100]
        assert new["b"].tolist() == [-48, 52]
        assert self.decoded({"a": (-np.inf, 100)})["a"].tolist() == [-245, 100]
        assert self.decoded({"a": (-1, 1)})["b"].tolist() == [1, 3]

    def test_of_arrays_by_number(self):
        known = learn_format(np.array([[0.0, 1.0], [2.0, 3.0]]), clip={1: (0, 10)})
        np.testing.assert_allclose(known.decode(torch.tensor([[9.0, 50.0]])), [[2, 10]])

    def test_to_what_the_type_can_hold(self):
        known = learn_format(np.array([[0], [200]], dtype=np.uint8), clip="none")
        assert known.decode(torch.tensor([[-9.0], [9.0]])).ravel().tolist() == [0, 255]
        known = learn_format(np.array([[0], [200]], dtype=np.float16), clip=(-1e9, 1e9))
        assert np.isfinite(known.decode(torch.tensor([[-1e6], [1e6]]))).all()

    @pytest.mark.parametrize(
        "clip", ["seen", (1,), (2, 1), ("a", "b"), (0, 1, 2), 5, None, {"a": 3}, {"a": "seen"}, (np.nan, 1)], ids=str
    )
    def test_is_a_range(self, clip):
        with pytest.raises(
            ValueError, match=r"^Expected clip to be 'observed', 'none', \(low, high\) with low <= high"
        ):
            self.decoded(clip)

    def test_names_columns_of_numbers(self):
        with pytest.raises(ValueError, match=r"^Expected clip to name columns of X, \['a', .*but got 'z'"):
            self.decoded({"z": (0, 1)})
        for name in "cd":
            with pytest.raises(
                ValueError, match=f"^Expected clip to give bounds to .*but got column '{name}', which stays"
            ):
                self.decoded({name: (0, 1)})

    def test_survives_json(self):
        for clip in ("none", (0, 5), {"a": (None, 3)}):
            known = learn_format(self.TWICE, clip=clip)
            text = json.dumps(known.to_dict(), allow_nan=False)
            assert format_from_dict(json.loads(text)) == known


class TestFloatColumns:
    """Floats of one type go to the networks and back all at once, as one column after the other does."""

    @pytest.mark.parametrize("clip", ["observed", "none", {0: (-0.5, None), 2: (None, 1e300)}])
    @pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
    def test_are_what_columns_are(self, dtype, clip):
        rng = np.random.default_rng(0)
        X = (rng.normal(size=(50, 4)) * [1, 30, 0, 0.1] + [0, 5, 3, -7]).astype(dtype)
        X[[4, 7], [0, 3]] = np.nan
        known = learn_format(X, missing="impute", clip=clip)
        assert FloatColumns.of(known.columns) is not None
        one_by_one = [column.encode(pd.Series(X[:, i])) for i, column in enumerate(known.columns)]
        np.testing.assert_array_equal(known.encode(X), np.concatenate(one_by_one, axis=1), strict=True)
        outputs = torch.from_numpy(rng.normal(size=(50, 4)) * 3).float()
        outputs[0] = 1e6
        blocks = outputs.double().numpy()
        one_by_one = [column.decode(blocks[:, i : i + 1]) for i, column in enumerate(known.columns)]
        decoded, expected = known.decode(outputs), np.stack(one_by_one, axis=1)
        rounding = 0 if dtype == "float64" else np.finfo(dtype).eps  # decoded in the precision that they have
        assert decoded.dtype == expected.dtype
        np.testing.assert_allclose(decoded, expected, rtol=2 * rounding, atol=100 * rounding)
        if clip == "observed":
            assert (decoded[0] == expected[0]).all()  # far outside: the bounds themselves

    def test_are_not_what_other_columns_are(self):
        floats = np.random.default_rng(0).normal(size=(400, 3))
        gaps = floats.copy()
        gaps[0, 0] = np.nan
        others = [
            learn_format(floats.round().astype(int)),
            learn_format(floats, categorical_features=[1]),
            learn_format(gaps, missing="mask"),
            learn_format(np.exp(3 * floats)),
            learn_format(pd.DataFrame(floats).astype({0: "float32"})),
        ]
        assert [FloatColumns.of(known.columns) for known in others] == [None] * 5

    def test_whole_numbers_after_floats(self):
        known = learn_format(np.array([[0.0, 1.0], [4.0, 7.0]]))
        np.testing.assert_array_equal(known.encode(np.array([[0, 7]])), [[-1, 1]])


class TestStored:
    def test_no_value_of_a_numeric_column_but_its_extremes(self):
        rng = np.random.default_rng(0)
        n = 41  # odd: its median is a row's value
        X = pd.DataFrame(
            {
                "normal": rng.normal(50, 20, n),
                "heavy": np.exp(rng.normal(3, 3, n)),
                "mostly zero": np.where(np.arange(n) < 25, 0.0, np.exp(rng.normal(3, 3, n))),
                "with holes": np.where(np.arange(n) % 7 == 0, np.nan, rng.normal(1e6, 20, n)),
                "whole": rng.integers(10**6, 10**9, n),
            }
        )
        known = learn_format(X, missing="mask")
        assert known.columns[1].scale.spread > 0
        stored = re.findall(r"-?\d+\.?\d*(?:e[+-]?\d+)?", json.dumps(known.to_dict()))
        numbers = {float(text) for text in stored}
        for name in X:
            inner = set(X[name].dropna()) - {X[name].min(), X[name].max(), 0.0}
            assert not inner & numbers, name

    def test_formats_of_older_bundles_are_refused(self):
        state = {
            "kind": "table",
            "is_frame": True,
            "columns": [
                {"dtype": "float64", "number_dtype": "float64", "name": "a", "levels": None, "categories": None}
                | {"ordered": False, "mean": 1.0, "scale": 2.0, "low": 0.0, "high": 3.0},
                {"dtype": "category", "number_dtype": "float64", "name": "b", "levels": ["u"], "categories": ["u", "v"]}
                | {"ordered": False, "mean": 0.0, "scale": 1.0, "low": 0.0, "high": 0.0},
            ],
        }
        with pytest.raises(
            ValueError, match=r"^Expected a table's columns .* but got a bundle of format 1, .*fit .*again"
        ):
            format_from_dict(state)

    def test_a_kind_of_column_that_is_none(self):
        state = learn_format(pd.DataFrame({"a": [1.0, 2.0]})).to_dict()
        state["columns"][0]["kind"] = "colour"
        with pytest.raises(ValueError, match=r"^Expected a column's kind to be one of number, time, .*'colour'"):
            format_from_dict(state)

    @pytest.mark.parametrize(
        "names",
        [
            pd.MultiIndex.from_tuples([("a", "x"), ("a", "y")]),
            pd.MultiIndex.from_product([["sales"], pd.date_range("2024-01-01", periods=2)]),
            pd.date_range("2024-01-01", periods=2),
            pd.date_range("2024-01-01", periods=2, tz="Europe/Vienna"),
            pd.period_range("2024-01", periods=2, freq="M"),
            pd.Index([datetime.date(2024, 1, 1), None], dtype=object),
            pd.Index([0.5, np.nan]),
        ],
        ids=lambda names: str(names[0]),
    )
    def test_names_of_any_type(self, names):
        X = pd.DataFrame([[1.0, 2.0], [3.0, 4.0]], columns=names)
        known = learn_format(X)
        text = json.dumps(known.to_dict(), allow_nan=False)
        restored = format_from_dict(json.loads(text))
        assert_frame_equal(restored.decode(known.encode(X)), known.decode(known.encode(X)))
        assert restored.decode(known.encode(X)).columns.equals(names)

    def test_names_that_cannot_be_stored(self):
        X = pd.DataFrame([[1.0], [2.0]], columns=[Fraction(1, 2)])
        with pytest.raises(ValueError, match=r"^Expected X to have names of columns .* got a Fraction, 1/2.*rename"):
            learn_format(X).to_dict()

    def test_names_that_are_numbers(self):
        X = pd.DataFrame(np.eye(3), columns=np.array([3, 1, 2]))
        known = learn_format(X)
        restored = format_from_dict(json.loads(json.dumps(known.to_dict())))
        assert restored.decode(known.encode(X)).columns.equals(X.columns)


class TestChecks:
    def test_infinity_is_refused_in_every_mode(self):
        for X in (
            pd.DataFrame({0: [1.0, np.inf]}),
            pd.DataFrame({0: [1.0, np.inf]}, dtype="Float64"),
            np.array([[np.inf]]),
        ):
            for missing in ("error", "mask"):
                with pytest.raises(ValueError, match="Expected X to be finite, but column 0 contains infinity"):
                    check_table(X, missing)

    def test_missing_values_pass_where_they_are_allowed(self):
        check_table(TestMissing.FRAME, "impute")
        check_table(np.array([[np.nan, 1.0]]), "mask")

    def test_an_empty_array(self):
        with pytest.raises(ValueError, match=r"but got 0 feature\(s\): its shape is \(3, 0\)"):
            check_table(np.empty((3, 0)))
