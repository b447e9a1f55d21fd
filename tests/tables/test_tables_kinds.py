"""Every kind of column goes to the networks and back: values, shares of new ones, and which kind is found."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal, assert_series_equal
from scipy.stats import ks_2samp

from latentover.tables import Levels, Number, TableFormat, Time
from latentover.tables.numbers import find_masses
from latentover.tables.scales import Quantiles
from latentover.tables.steps import Grid, Lattice, find_steps

N = 4000


def rng():
    return np.random.default_rng(0)


def learn(values, **settings):
    """The format of one column by scores, and the column."""
    known = TableFormat.learn(pd.DataFrame({"a": values}), **{"numbers": "scores", "missing": "mask", **settings})
    return known, known.columns[0]


def there_and_back(values, **settings):
    known, _ = learn(values, **settings)
    X = pd.DataFrame({"a": values})
    restored = TableFormat.from_dict(json.loads(json.dumps(known.to_dict(), allow_nan=False)))
    assert restored == known
    encoded = restored.encode(X)
    assert encoded.dtype == torch.float32
    assert encoded.isfinite().all()
    assert encoded.shape == (len(X), known.shape[0])
    return known.decode(encoded)["a"]


def generated(values, n=20_000, **settings):
    """Values for standard normal scores and states as often as they were: what a perfect generator makes."""
    known, column = learn(values, **settings)
    encoded = known.encode(pd.DataFrame({"a": values}))
    outputs = torch.randn(n, known.shape[0], generator=torch.Generator().manual_seed(0))
    rows = torch.from_numpy(rng().integers(len(encoded), size=n))
    for part, where, _ in known.parts:
        if part.kind == "levels":
            outputs[:, where] = encoded[rows][:, where]
    return known.decode(outputs)["a"], column


NUMBERS = {
    "normal": rng().normal(size=N),
    "cauchy": rng().standard_cauchy(N),
    "lognormal": np.exp(rng().normal(3, 2, N)),
    "bounded and bimodal": np.where(rng().random(N) < 0.4, rng().beta(2, 5, N) * 0.1, 0.9 + 0.1 * rng().random(N)),
    "zeros": np.where(rng().random(N) < 0.3, 0, rng().exponential(20, N)),
    "cap": np.minimum(rng().exponential(1, N), 1.5),
    "sentinel": np.where(rng().random(N) < 0.1, 999.0, rng().normal(50, 9, N)),
}
STEPPED = {
    "cents": np.round(np.exp(rng().normal(3, 1, N)), 2),
    "twentieths": np.round(0.05 * rng().integers(0, 900, N), 2),
    "counts": rng().poisson(0.3, N),
    "ages with a sentinel": np.where(rng().random(N) < 0.1, -1, rng().integers(18, 90, N)),
    "even": 2 * rng().integers(0, 300, N),
    "notes": rng().choice([10, 20, 50, 100], N, p=[0.4, 0.3, 0.2, 0.1]),
    "notes as floats": rng().choice([0.5, 1.25, 7.0], N),
    "tenths and zeros": np.where(rng().random(N) < 0.5, 0, np.round(rng().exponential(20, N), 1)),
    "fibonacci": rng().choice([1, 2, 3, 5, 8, 13], N),
    "int8": rng().integers(-100, 100, N).astype(np.int8),
    "float32 cents": np.round(rng().exponential(30, N), 2).astype(np.float32),
}


class TestNumbers:
    @pytest.mark.parametrize("name", NUMBERS)
    def test_of_a_continuum_come_back(self, name):
        back = there_and_back(NUMBERS[name])
        np.testing.assert_allclose(back, NUMBERS[name], rtol=2e-5, atol=1e-5 * np.std(np.sort(NUMBERS[name])[40:-40]))

    @pytest.mark.parametrize("numbers", ["scores", "standard"])
    @pytest.mark.parametrize("name", STEPPED)
    def test_in_steps_come_back_exactly(self, name, numbers):
        X = pd.Series(STEPPED[name], name="a")
        assert_series_equal(there_and_back(X, numbers=numbers), X)

    @pytest.mark.parametrize("name", [*NUMBERS, *STEPPED])
    def test_new_ones_are_distributed_as_those_seen(self, name):
        values = (NUMBERS | STEPPED)[name]
        new, _ = generated(values)
        assert new.dtype == values.dtype
        assert ks_2samp(new, values).pvalue > 1e-3
        assert new.between(values.min(), values.max()).all()

    @pytest.mark.parametrize("name", STEPPED)
    def test_new_ones_keep_the_steps(self, name):
        new, _ = generated(STEPPED[name])
        decimals = {"cents": 2, "twentieths": 2, "tenths and zeros": 1, "float32 cents": 2, "notes as floats": 2}
        rounded = np.round(new.to_numpy(dtype=np.float64), decimals.get(name, 0)).astype(new.dtype)
        assert (new.to_numpy() == rounded).all()
        if name == "twentieths":
            assert set(new) <= {round(k / 20, 2) for k in range(900)}
        if name in ("even", "notes", "notes as floats", "fibonacci", "ages with a sentinel", "counts"):
            assert set(new) <= set(STEPPED[name])

    @settings(max_examples=60, deadline=None, derandomize=True)
    @given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=60))
    def test_of_any_floats_come_back(self, values):
        X = np.array(values)
        back = there_and_back(X).to_numpy()
        assert (back >= X.min()).all()
        assert (back <= X.max()).all()
        np.testing.assert_allclose(back, X, atol=3e-5 * max(np.ptp(X), 1e-12))

    @settings(max_examples=60, deadline=None, derandomize=True)
    @given(st.lists(st.integers(-(2**15), 2**15), min_size=2, max_size=60))
    def test_of_any_whole_numbers_come_back(self, values):
        assert there_and_back(np.array(values)).tolist() == values

    @pytest.mark.parametrize(
        ("values", "masses"),
        [
            (NUMBERS["zeros"], (0,)),
            (NUMBERS["cap"], (1.5,)),
            (NUMBERS["sentinel"], (999,)),
            (STEPPED["ages with a sentinel"], (-1,)),
            (np.select([rng().random(N) < 0.1, rng().random(N) > 0.9], [-1, 9999], NUMBERS["normal"]), (-1, 9999)),
            (np.where(rng().random(N) < 0.2, rng().choice([998, 999], N), rng().integers(0, 500, N)), (998, 999)),
            (NUMBERS["normal"], ()),
            (STEPPED["notes"], ()),
            (STEPPED["counts"], ()),
            (rng().poisson(10, N), ()),
            (rng().integers(0, 30, N), ()),
        ],
        ids=lambda value: str(value) if isinstance(value, tuple) else "",
    )
    def test_point_masses(self, values, masses):
        assert find_masses(np.asarray(values, dtype=float)) == masses
        _, column = learn(values)
        assert column.masses == masses
        states = [] if not masses else [("levels", len(masses) + 1, len(masses) + 1)]
        assert [(part.kind, part.width, part.n) for part in column.parts] == [*states, ("number", 1, 1)]

    def test_point_masses_keep_their_share(self):
        new, _ = generated(NUMBERS["sentinel"])
        assert (new == 999).mean() == pytest.approx((NUMBERS["sentinel"] == 999).mean(), abs=0.01)
        assert new[new != 999].max() < 100

    def test_missing_ones_are_a_state_of_the_same_part(self):
        values = np.where(rng().random(N) < 0.2, np.nan, NUMBERS["zeros"])
        new, column = generated(values)
        assert [part.n for part in column.parts] == [3, 1]
        assert new.isna().mean() == pytest.approx(np.isnan(values).mean(), abs=0.02)
        assert there_and_back(values).isna().tolist() == np.isnan(values).tolist()

    def test_rare_class_is_spread_by_weights(self):
        y = np.arange(N) % 50 == 0
        values = np.where(y, rng().normal(6, 1, N), rng().normal(size=N))
        weights = 1 / np.where(y, y.sum(), (~y).sum())
        spreads = []
        for given_ in (None, weights):
            known = TableFormat.learn(pd.DataFrame({"a": values}), numbers="scores", weights=given_)
            spreads.append(known.encode(pd.DataFrame({"a": values[y]})).std().item())
        assert spreads[0] < 0.5 < spreads[1]

    def test_beyond_the_range_have_the_score_of_its_end(self):
        known, _ = learn(NUMBERS["normal"])
        ends = NUMBERS["normal"].min(), NUMBERS["normal"].max()
        encoded = known.encode(pd.DataFrame({"a": [-1e9, ends[0], ends[1], 1e9]})).ravel().tolist()
        assert encoded[0] == encoded[1] < -3
        assert encoded[3] == encoded[2] > 3

    def test_clip(self):
        far = torch.tensor([[-6.0], [6.0]])
        values = NUMBERS["normal"]
        for clip, low, high in (("observed", values.min(), values.max()), ((-1, 1.5), -1, 1.5), ((None, 50), None, 50)):
            new = learn(values, clip=clip)[0].decode(far)["a"]
            assert new[0] < values.min() if low is None else new[0] == low
            assert new[1] <= high
        new = learn(values, clip="none")[0].decode(far)["a"]
        assert -12 < new[0] < values.min()
        assert values.max() < new[1] < 12

    def test_ties_have_one_score_and_all_scores_between_decode_to_them(self):
        quantiles = Quantiles.learn(np.repeat([1.0, 2.0, 5.0], [50, 30, 20]))
        assert quantiles.numbers(np.array([-3, -0.01, 0.01, 0.83, 0.85, 3.0])).tolist() == [1, 1, 2, 2, 5, 5]
        scores = quantiles.scores(np.array([1.0, 2.0, 5.0]))
        np.testing.assert_allclose(scores, [-0.6745, 0.3853, 1.2816], atol=1e-4)  # of ranks 0.25, 0.65, 0.9

    def test_knots_are_no_rows(self):
        values = NUMBERS["normal"]
        _, column = learn(values)
        assert 100 < len(column.scale.values) <= 1000
        assert not set(column.scale.values[1:-1]) & set(values)


class TestSteps:
    @pytest.mark.parametrize(
        ("values", "steps"),
        [
            (STEPPED["cents"], Lattice(2)),
            (STEPPED["twentieths"], Lattice(2, 0, 5)),
            (1 + 2 * rng().integers(0, 300, N), Lattice(0, 1, 2)),
            (-7.5 + 10.0 * rng().integers(0, 300, N), Lattice(1, 25, 100)),
            (STEPPED["fibonacci"], Grid((1, 2, 3, 5, 8, 13))),
            (STEPPED["notes"], Grid((10, 20, 50, 100))),
            (NUMBERS["normal"], None),
            (NUMBERS["normal"].astype(np.float32), None),
            (1e12 * NUMBERS["normal"], None),
            (np.array([0.5, 1.5, 2.5]), None),
        ],
        ids=lambda value: str(value) if not isinstance(value, np.ndarray) else "",
    )
    def test_are_found(self, values, steps):
        assert find_steps(np.asarray(values, dtype=np.float64), values.dtype.name) == steps

    def test_an_odd_row_out_of_a_grid_is_not_kept(self):
        values = np.append(STEPPED["notes"], 77)
        steps = find_steps(values.astype(float), "int64")
        assert steps == Grid((10, 20, 50, 100))

    @settings(max_examples=100, deadline=None, derandomize=True)
    @given(st.integers(0, 8), st.lists(st.integers(-(10**9), 10**9), min_size=1, max_size=20))
    def test_decimals_are_the_nearest_doubles(self, decimals, whole):
        wanted = [float(f"{k}e-{decimals}") for k in whole]
        assert Lattice(decimals).snapped(np.array(wanted)).tolist() == wanted

    def test_stay_within_bounds(self):
        assert Lattice(0, 1, 2).snapped(np.array([-9.0, 9.0]), -2.0, 4.0).tolist() == [-1, 3]
        assert Grid((1.0, 5.0, 9.0)).snapped(np.array([-9.0, 99.0]), 2.0, 8.0).tolist() == [5, 5]

    def test_arrays_by_mean_and_scale_have_none(self):
        known = TableFormat.learn(STEPPED["cents"][:, None])
        assert known.columns[0].steps is None


def moments(n=N, freq="s", span=4 * 365):
    """Dates of which most are at night, and most of those in winter, on Saturdays."""
    g = rng()
    days = np.sort(g.integers(0, span, n))
    days = days - np.where(g.random(n) < 0.7, (days + 2) % 7 - 5, 0)
    hours = np.where(g.random(n) < 0.72, g.integers(0, 6, n), g.integers(6, 24, n))
    times = pd.Timestamp("2020-01-01") + pd.to_timedelta(days.clip(0), "D") + pd.to_timedelta(hours, "h")
    return pd.Series(times + pd.to_timedelta(g.integers(0, 3600, n), "s")).dt.floor(freq)


class TestTimes:
    @pytest.mark.parametrize("freq", ["s", "15min", "h", "D"])
    @pytest.mark.parametrize("unit", ["s", "us", "ns"])
    def test_come_back(self, freq, unit):
        X = moments(freq=freq).dt.as_unit(unit).rename("a")
        assert_series_equal(there_and_back(X), X)

    @pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Kolkata"])
    def test_in_a_time_zone_come_back(self, zone):
        X = moments().dt.tz_localize("UTC").dt.tz_convert(zone).rename("a")
        X = X[X.dt.month != 11].reset_index(drop=True)  # of the hour that is there twice the first is taken
        assert_series_equal(there_and_back(X), X)

    def test_durations_come_back(self):
        X = (moments(freq="D") - pd.Timestamp("2019-01-01")).rename("a")
        _, column = learn(X)
        assert (column.calendar, column.width) == (None, 1)
        assert_series_equal(there_and_back(X), X)

    def test_missing_ones(self):
        X = moments().rename("a").mask(rng().random(N) < 0.1)
        assert_series_equal(there_and_back(X), X)

    @pytest.mark.parametrize(
        ("values", "parts"),
        [
            (moments(), ["month", "weekday", "hour"]),
            (moments(freq="D"), ["month", "weekday"]),
            (moments(span=300), ["weekday", "hour"]),
            (pd.Series(pd.date_range("2020", periods=N, freq="s")), None),
        ],
        ids=["seconds", "days", "of a year", "of an hour"],
    )
    def test_what_a_calendar_says(self, values, parts):
        _, column = learn(values)
        assert isinstance(column, Time)
        assert column.calendar == (None if parts is None else tuple(parts))

    def test_shares_of_hours_and_weekdays_follow_the_levels(self):
        X = moments(freq="min")
        new, _ = generated(X)
        assert new.dtype == X.dtype
        assert new.between(X.min(), X.max()).all()
        assert (new == new.dt.floor("min")).all()
        for get in (lambda t: t.dt.hour < 6, lambda t: t.dt.dayofweek == 5, lambda t: t.dt.month == 1):
            assert get(new).mean() == pytest.approx(get(X).mean(), abs=0.02)
        known, _ = learn(X)
        outputs = torch.zeros(500, known.shape[0])
        outputs[:, 0] = torch.linspace(-1.5, 1.5, 500)
        month, weekday, hour = (where for part, where, _ in known.parts if part.kind == "levels")
        for where, level in ((month, 1), (weekday, 2), (hour, 13)):
            outputs[:, where][:, level] = 1
        february = known.decode(outputs)["a"]
        assert set(february.dt.month) == {2}
        assert set(february.dt.dayofweek) == {2}
        assert set(february.dt.hour) == {13}
        assert february.dt.year.nunique() > 2

    def test_by_mean_and_scale_are_one_number(self):
        _, column = learn(moments(), numbers="standard")
        assert column.width == 1


class TestLevels:
    @settings(max_examples=40, deadline=None, derandomize=True)
    @given(st.lists(st.one_of(st.none(), st.text(max_size=3)), min_size=2, max_size=20))
    def test_come_back(self, values):
        if all(value is None for value in values):
            return
        X = pd.Series(values * 2, dtype=object, name="a")
        assert_series_equal(there_and_back(X, identifiers="none"), X)

    def test_of_many_and_missing_ones(self):
        X = pd.Series([f"level {i % 300}" for i in range(900)] + [None] * 90, dtype=object, name="a")
        _, column = learn(X)
        assert (column.parts[0].width, column.parts[0].n) == (128, 301)
        assert_series_equal(there_and_back(X), X)

    def test_declared_ones_beside_missing_ones(self):
        dtype = pd.CategoricalDtype(["d", "c", "b", "a"])
        X = pd.Series(["a", "b", None, "b", "a"], dtype=dtype, name="a")
        known, column = learn(X)
        assert column.parts[0].n == 5
        assert_series_equal(there_and_back(X), X)
        encoded = known.encode(pd.DataFrame({"a": pd.Series(["c", "d", None, "a"], dtype=dtype)}))
        assert encoded.argmax(dim=1).tolist() == [3, 4, 2, 0]
        new = known.decode(torch.randn(300, 5))["a"]
        assert set(new.dropna()) == {"a", "b"}
        assert new.isna().any()

    def test_a_text_of_one_row_is_none(self):
        X = pd.DataFrame({"a": ["u", "v", "secret", "v", "u"]})
        known = TableFormat.learn(X)
        assert isinstance(known.columns[0], Levels)
        assert known.encode(X, of_fit=True).tolist() == [[1, 0], [0, 1], [0, 0], [0, 1], [1, 0]]
        with pytest.warns(UserWarning, match="'secret' in column 'a'"):
            known.encode(X)

    def test_numbers_and_dates_of_one_row_are_levels(self):
        X = pd.DataFrame({"a": pd.Categorical([3, 1, 2]), "b": pd.period_range("2024-01", periods=3, freq="M")})
        known = TableFormat.learn(X)
        assert_frame_equal(known.decode(known.encode(X)), X)

    def test_of_other_texts_in_every_row_that_are_no_identifiers(self):
        X = pd.DataFrame({"a": ["u", "v", "w"]})
        with pytest.raises(ValueError, match=r"^Expected column 'a' to have a text that two rows share, .*drop it"):
            TableFormat.learn(X, identifiers="none")


class TestConstants:
    @pytest.mark.parametrize("value", [7, 0.1, "same", pd.Timestamp("2020-02-02"), True])
    @pytest.mark.parametrize("numbers", ["scores", "standard"])
    def test_come_back_whatever_is_generated(self, value, numbers):
        X = pd.DataFrame({"a": [value] * 30, "b": np.arange(30.0)})
        known = TableFormat.learn(X, numbers=numbers)
        assert known.columns[0].constant
        new = known.decode(torch.randn(30, known.shape[0]))
        assert_series_equal(new["a"], X["a"])


def test_describe_says_what_becomes_of_each_column():
    X = pd.DataFrame({"amount": NUMBERS["zeros"].round(1), "when": moments(), "town": ["u", "v"] * (N // 2)})
    assert TableFormat.learn(X, numbers="scores").describe() == {
        "amount": "number, by scores of quantiles, steps of 0.1, point masses at 0",
        "when": "date, month, weekday, hour",
        "town": "2 levels",
    }


def test_parts_are_where_the_columns_are():
    X = pd.DataFrame({"a": NUMBERS["zeros"], "town": ["u", "v", "w", "w"] * (N // 4), "b": NUMBERS["normal"]})
    known = TableFormat.learn(X, numbers="scores")
    assert [(placed.part.kind, placed.where, placed.column) for placed in known.parts] == [
        ("levels", slice(0, 2), 0),
        ("number", slice(2, 3), 0),
        ("levels", slice(3, 6), 1),
        ("number", slice(6, 7), 2),
    ]
    assert known.shape == (7,)
    assert isinstance(known.columns[0], Number)
