"""Dependencies between columns: found by kind under other names and constants, kept exactly, and not where none are."""

import json

import numpy as np
import pandas as pd
import pytest

from latentover.tables.dependencies import Dependencies, find_dependencies

N = 1500
START = pd.Timestamp("2019-03-01")


def numbers(rng, n=N, decimals=2, scale=100.0):
    return np.round(scale * rng.lognormal(0, 0.8, n), decimals)


def noise(frame, rng):
    """Columns that have to do with nothing, and one that nearly has, among the others."""
    n, own = len(frame), list(frame.columns)
    frame["normal"] = rng.normal(size=n)
    frame["level"] = rng.choice(list("uvwxyz"), n)
    frame["count"] = rng.poisson(4, n)
    frame["near"] = 2 * frame["normal"] + 0.01 * rng.normal(size=n)
    others = [name for name in frame.columns if name not in own]
    for name in others:
        own.insert(rng.integers(len(own) + 1), name)
    return frame[own]


def shuffled(R, rng):
    """Rows as a generator makes them: every column on its own."""
    return R.apply(lambda column: column.iloc[rng.permutation(len(column))].reset_index(drop=True))


def check(X, rng, y=None):
    """What comes back is what went in, and new rows keep everything; returns what was found."""
    found = find_dependencies(X, y)
    again = Dependencies.from_dict(json.loads(json.dumps(found.to_dict())))
    R = found.reduce(X)
    assert set(found.derived).isdisjoint(R.columns)
    assert set(found.derived) | set(R.columns) == set(X.columns)
    for one in (found, again):
        pd.testing.assert_frame_equal(one.restore(R), X, check_exact=False, rtol=1e-9, atol=0)
        new = one.restore(shuffled(R, rng))
        assert dict(new.dtypes) == dict(X.dtypes)
        assert list(new.columns) == list(X.columns)
        assert set(one.violations(new).values()) <= {0.0}
    assert again.describe() == found.describe()
    return found


def rate_of(rng, frame, name, source):
    rate = rng.choice([0.015, 0.19, 0.07, 1.2])
    frame[name] = np.round(rate * frame[source], 2)
    return f"{name} = round({rate:g} * {source}, 2)"


def scaled(rng, X):
    X["cost"] = numbers(rng)
    return rate_of(rng, X, "levy", "cost")


def affine(rng, X):
    X["inside"] = np.round(rng.normal(15, 8, N), 1)
    X["inside_f"] = np.round(X["inside"] * 1.8 + 32, 1)
    return "inside_f = round(1.8 * inside + 32, 1)"


def real_affine(rng, X):
    X["v"] = rng.normal(size=N)
    X["w"] = X["v"] * 0.25 - 3
    return "w = 0.25 * v - 3"


def total(rng, X):
    for name in ("food", "rent", "fun"):
        X[name] = numbers(rng)
    X["spent"] = (X["food"] + X["rent"] + X["fun"]).round(2)
    return "spent = food + rent + fun"


def weighted(rng, X):
    X["exam"], X["work"] = rng.normal(50, 10, N), rng.normal(60, 9, N)
    X["mark"] = 0.7 * X["exam"] + 0.3 * X["work"] + 5
    return "mark = 0.7 * exam + 0.3 * work + 5"


def product(rng, X):
    X["unit"], X["pieces"] = numbers(rng), rng.integers(1, 30, N)
    X["sum"] = (X["unit"] * X["pieces"]).round(2)
    return "sum = unit * pieces"


def ratio(rng, X):
    X["km"], X["litres"] = numbers(rng, decimals=0, scale=500), numbers(rng, decimals=1, scale=40) + 1
    X["use"] = (100 * X["litres"] / X["km"]).round(1)
    return "use = round(100 * litres / km, 1)"


def square(rng, X):
    X["side"] = rng.gamma(3, 2, N)
    X["area"] = X["side"] ** 2
    return "area = side ** 2"


def logarithm(rng, X):
    X["dose"] = rng.lognormal(2, 1, N)
    X["log_dose"] = np.log10(X["dose"])
    return "log_dose = log10(dose)"


def body_mass(rng, X):
    X["kg"], X["m"] = np.round(rng.normal(75, 12, N), 1), np.round(rng.normal(1.74, 0.1, N), 2)
    X["bmi"] = (X["kg"] / X["m"] ** 2).round(1)
    return "bmi = round(kg / m ** 2, 1)"


def discounted(rng, X):
    X["list_price"], X["n"] = numbers(rng), rng.integers(1, 9, N)
    X["off"] = rng.choice([0, 0.05, 0.1, 0.25], N)
    X["paid"] = (X["list_price"] * X["n"] * (1 - X["off"])).round(2)
    return "paid = round(list_price * n * (1 - off), 2)"


def product_and_sum(rng, X):
    X["hours"], X["wage"] = np.round(rng.uniform(1, 60, N), 1), np.round(rng.uniform(12, 50, N), 2)
    X["bonus"] = numbers(rng, scale=80)
    X["pay"] = (X["hours"] * X["wage"] + X["bonus"]).round(2)
    return "pay = round(hours * wage + bonus, 2)"


def floored(rng, X):
    X["age"] = rng.integers(18, 90, N)
    X["decade"] = X["age"] // 10 * 10
    return "decade = floor(age / 10) * 10"


def rounded(rng, X):
    X["exact"] = rng.normal(100, 20, N)
    X["about"] = X["exact"].round().astype(int)
    return "about = round(exact)"


def ceiled(rng, X):
    X["minutes_used"] = np.round(rng.uniform(1, 300, N), 1)
    X["hours_billed"] = np.ceil(X["minutes_used"] / 60).astype(int)
    return "hours_billed = ceil(minutes_used / 60)"


def copy(rng, X):
    X["city"] = rng.choice(["Ulm", "Bern", "Graz"], N)
    X["town"] = X["city"]
    return "town = city"


def levels(rng, X):
    X["land"] = rng.choice(["DE", "FR", "US", "GB"], N)
    X["money"] = X["land"].map({"DE": "EUR", "FR": "EUR", "US": "USD", "GB": "GBP"})
    return "money follows from land"


def level_rate(rng, X):
    X["plan"] = rng.choice(["basic", "plus", "pro", "max"], N)
    X["monthly"] = X["plan"].map({"basic": 5.0, "plus": 9.99, "pro": 19.5, "max": 5.0})
    return "monthly follows from plan"


def flag(rng, X):
    X["rebate"] = np.where(rng.random(N) < 0.6, 0, numbers(rng, scale=10))
    X["has_rebate"] = X["rebate"] > 0
    return "has_rebate is True where rebate > 0, else False"


def text_flag(rng, X):
    X["sales"] = numbers(rng)
    X["large"] = np.where(X["sales"] >= 150, "yes", "no")
    return "large is 'yes' where sales >= 150, else 'no'"


def band(rng, X):
    X["years"] = rng.integers(18, 90, N)
    X["group"] = np.select([X["years"] < 30, X["years"] < 65], ["young", "middle"], "old")
    return "group is 'young' where years < 30, 'middle' where years < 65, else 'old'"


def missing_flag(rng, X):
    X["income"] = pd.Series(numbers(rng)).mask(rng.random(N) < 0.2)
    X["unknown_income"] = X["income"].isna().astype(int)
    return "unknown_income is 1 where income is missing, else 0"


def times(rng, X):
    X["begun"] = START + pd.to_timedelta(rng.integers(0, 800 * 86400, N), unit="s")
    X["ended"] = X["begun"] + pd.to_timedelta(rng.exponential(5 * 86400, N).astype(int), unit="s")
    return "begun <= ended"


def duration(rng, X):
    times(rng, X)
    X["took"] = X["ended"] - X["begun"]
    return "took = ended - begun"


def days(rng, X):
    times(rng, X)
    X["n_days"] = (X["ended"] - X["begun"]).dt.days
    return "n_days = floor(days(ended - begun))"


def calendar(rng, X):
    times(rng, X)
    X["begun_hour"] = X["begun"].dt.hour
    return "begun_hour = hour(begun)"


def year_difference(rng, X):
    X["born"] = pd.Timestamp("1940-01-01") + pd.to_timedelta(rng.integers(0, 60 * 365, N), unit="D")
    X["age_now"] = 2024 - X["born"].dt.year
    return "age_now = -year(born) + 2024"


def ends(rng, X):
    X["temp_min"] = np.round(rng.normal(10, 5, N), 1)
    X["temp_max"] = np.round(X["temp_min"] + rng.gamma(2, 2, N), 1)
    return "temp_min <= temp_max"


def capped(rng, X):
    X["saved"] = numbers(rng)
    X["insured"] = X["saved"].clip(upper=120)
    return "insured = min(saved, 120)"


def quartiles(rng, X):
    X["lower"] = rng.normal(10, 2, N)
    X["median"] = X["lower"] + rng.gamma(2, 1, N)
    X["upper"] = X["median"] + rng.gamma(2, 1, N)
    X["iqr"] = X["upper"] - X["lower"]
    return "iqr = upper - lower"


def age_at(rng, X):
    X["born"] = pd.Timestamp("1940-01-01") + pd.to_timedelta(rng.integers(0, 60 * 365, N), unit="D")
    X["signed"] = START + pd.to_timedelta(rng.integers(0, 1000, N), unit="D")
    X["age_then"] = ((X["signed"] - X["born"]).dt.days / 365.25).astype(int)
    return "age_then = floor(days(signed - born) / 365.25)"


def weekend(rng, X):
    times(rng, X)
    X["is_weekend"] = X["begun"].dt.day_of_week >= 5
    return "is_weekend is True where weekday(begun) > 4, else False"


def thirds(rng, X):
    X["systolic"] = rng.normal(130, 15, N).round().astype(int)
    X["diastolic"] = rng.normal(80, 9, N).round().astype(int)
    X["mean_pressure"] = ((X["systolic"] + 2 * X["diastolic"]) / 3).round(1)
    return "mean_pressure = round(1 / 3 * systolic + 2 / 3 * diastolic, 1)"


def sum_beside_its_flag(rng, X):
    X["goods"] = numbers(rng)
    X["free"] = (X["goods"] > 70).astype(int)
    X["postage"] = np.where(X["free"] == 1, 0, 4.99)
    X["to_pay"] = (X["goods"] + X["postage"]).round(2)
    return "to_pay = goods + postage"


KINDS = [
    scaled, affine, real_affine, total, weighted, product, ratio, square, logarithm, body_mass, discounted,
    product_and_sum, floored, rounded, ceiled, copy, levels, level_rate, flag, text_flag, band, missing_flag, times,
    duration, days, calendar, year_difference, ends, capped, quartiles, age_at,
    weekend, thirds, sum_beside_its_flag,
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(2))
def test_each_kind_is_found_and_kept(kind, seed):
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(index=range(N))
    expected = kind(rng, X)
    found = check(noise(X, rng), rng)
    assert expected in found.describe()


@pytest.mark.parametrize("seed", range(3))
def test_nothing_is_found_where_nothing_is(seed):
    rng = np.random.default_rng(seed)
    X = noise(pd.DataFrame(index=range(N)), rng)
    X["amount"] = numbers(rng)
    X["fee"] = np.round(0.015 * X["amount"], 2)
    X.loc[700:701, "fee"] += 0.05  # one row in a thousand
    X["total"] = X["amount"] + X["normal"]
    X.loc[3, "total"] += 1
    X["follows"] = X["level"].map(dict(zip("uvwxyz", "aabbcc", strict=True)))
    X.loc[[2, 900], "follows"] = "d"
    X["flag"] = X["amount"] > 100
    X.loc[5, "flag"] = ~X.loc[5, "flag"]
    assert find_dependencies(X).describe() == []


def test_columns_that_are_no_plain_numbers_are_left_alone():
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"a": numbers(rng), "nothing": np.nan, "same": 3})
    X["infinite"] = (2 * X["a"]).where(X["a"] > 20, np.inf)
    flag = rng.random(N) < 0.5
    X["flag"] = flag.astype(int)
    X["divided"] = np.where(flag, X["a"], numbers(rng))  # a / flag but where that is a / 0
    X["lists"] = [[1]] * N
    X["whole"] = np.arange(N) + 2**60
    X["complex"] = X["a"] * 1j
    X["days"] = pd.period_range("2020", periods=N, freq="D")
    found = find_dependencies(X)
    assert found.describe() == []
    pd.testing.assert_frame_equal(found.restore(found.reduce(X)), X)


def test_few_rows_say_nothing():
    X = pd.DataFrame({"a": np.arange(40.0), "b": 2 * np.arange(40.0)})
    assert len(find_dependencies(X)) == 0


def bank(rng, n=3000):
    """Chains: what is computed from what is computed."""
    X = pd.DataFrame({"amount": numbers(rng, n), "country": rng.choice(["DE", "AT", "US", "JP"], n)})
    X["currency"] = X["country"].map({"DE": "EUR", "AT": "EUR", "US": "USD", "JP": "JPY"})
    X["fee"] = (0.015 * X["amount"]).round(2)
    X["net"] = (X["amount"] - X["fee"]).round(2)
    X["opened"] = START + pd.to_timedelta(rng.integers(0, 800 * 86400, n), unit="s")
    X["paid"] = X["opened"] + pd.to_timedelta(rng.exponential(5 * 86400, n).astype(int), unit="s")
    X["closed"] = X["paid"] + pd.to_timedelta(rng.exponential(5 * 86400, n).astype(int), unit="s")
    X["days_open"] = (X["closed"] - X["opened"]).dt.days
    return X


def test_chains_are_computed_in_order():
    rng = np.random.default_rng(0)
    found = check(noise(bank(rng), rng), rng)
    expected = {
        "currency follows from country",
        "fee = round(0.015 * amount, 2)",
        "net = amount - fee",
        "opened <= paid",
        "paid <= closed",  # and no more: opened <= closed follows
        "days_open = floor(days(closed - opened))",
    }
    assert set(found.describe()) == expected
    assert set(found.derived) == {"currency", "fee", "net", "days_open"}


TYPES = {
    "nullable": {"amount": "Float64", "fee": "Float64", "currency": "string", "count": "Int64"},
    "single": {"amount": "float32", "fee": "float32", "net": "float32", "count": "int8", "days_open": "int16"},
    "zones": dict.fromkeys(("opened", "paid", "closed"), "datetime64[us, Europe/Vienna]"),
    "levels": {"country": "category", "currency": "category"},
    "arrow": {
        "amount": "double[pyarrow]",
        "fee": "double[pyarrow]",
        "country": "string[pyarrow]",
        "currency": "string[pyarrow]",
        "days_open": "int32[pyarrow]",
        "opened": "timestamp[us][pyarrow]",
        "closed": "timestamp[us][pyarrow]",
        "paid": "timestamp[us, tz=UTC][pyarrow]",
    },
    "objects": {"country": object, "currency": object},
}


@pytest.mark.parametrize("types", TYPES)
def test_columns_keep_their_types(types):
    rng = np.random.default_rng(1)
    X = noise(bank(rng), rng)
    for name, dtype in TYPES[types].items():
        zone = "tz=" in str(dtype) or "Vienna" in str(dtype)
        X[name] = (X[name].dt.tz_localize("UTC") if zone else X[name]).astype(dtype)
    found = check(X, rng)
    assert {"currency", "fee", "days_open"} <= set(found.derived)


@pytest.mark.parametrize("seed", range(2))
def test_missing_values_stay_where_they_are(seed):
    rng = np.random.default_rng(seed)
    X = noise(bank(rng), rng)
    for name in X.columns:
        X[name] = X[name].mask(rng.random(len(X)) < 0.05)
    found = find_dependencies(X)
    assert {"currency follows from country", "fee = round(0.015 * amount, 2)"} <= set(found.describe())
    pd.testing.assert_frame_equal(found.restore(found.reduce(X)), X)
    new = found.restore(shuffled(found.reduce(X), rng))
    assert set(found.violations(new).values()) == {0.0}
    pd.testing.assert_frame_equal(new.isna().mean().to_frame(), X.isna().mean().to_frame(), atol=0.05)


def test_a_column_that_is_missing_with_its_input_is_not_learned():
    rng = np.random.default_rng(0)
    X = bank(rng)
    gone = rng.random(len(X)) < 0.1
    X.loc[gone, ["amount", "fee", "net"]] = np.nan
    found = check(X, rng)
    assert {"fee", "net"} <= set(found.derived)


def test_an_empty_and_a_short_frame_are_restored():
    found = find_dependencies(bank(np.random.default_rng(0)))
    X = bank(np.random.default_rng(5), 3).set_axis([7, 7, 9])
    pd.testing.assert_frame_equal(found.restore(found.reduce(X)), X)
    assert list(found.restore(found.reduce(X.iloc[:0])).columns) == list(X.columns)


def test_columns_without_names_of_text():
    rng = np.random.default_rng(0)
    X = pd.DataFrame({0: numbers(rng), 1: rng.normal(size=N)})
    X[2] = (X[0] * 0.19).round(2)
    X["a b"] = X[0] + 2.5
    found = check(X, rng)
    assert sorted(found.describe()) == ["`2` = round(0.19 * `0`, 2)", "`a b` = `0` + 2.5"]


def test_what_is_constant_in_a_class_stays_so():
    rng = np.random.default_rng(0)
    X = noise(pd.DataFrame({"discount": numbers(rng), "channel": rng.choice(["web", "shop"], N)}), rng)
    y = np.where(rng.random(N) < 0.1, "fraud", "honest")
    X.loc[y == "fraud", "discount"] = 0
    X.loc[y == "fraud", "channel"] = "web"
    found = find_dependencies(X, y)
    assert sorted(found.describe()) == ["channel is 'web' in class 'fraud'", "discount is 0.0 in class 'fraud'"]
    pd.testing.assert_frame_equal(found.restore(found.reduce(X), y), X)
    new = found.restore(X.iloc[:200], "fraud")
    assert set(new["discount"]) == {0.0}
    assert set(new["channel"]) == {"web"}
    assert set(found.violations(new, np.full(200, "fraud")).values()) == {0.0}
    assert min(found.violations(new, np.full(200, "honest")).values()) == 0
    assert max(found.violations(X, np.full(N, "fraud")).values()) > 0.4


def test_no_rare_level_is_stored():
    rng = np.random.default_rng(0)
    X = bank(rng)
    X.loc[17, ["country", "currency"]] = ["CANARY-LAND", "CANARY-MONEY"]
    X["country"] = X["country"].astype("category")
    X["copy"] = X["country"]
    X["currency"] = X["currency"].astype("category")
    X["group"] = np.where(X["amount"] > 100, "large", "small")
    found = find_dependencies(X)
    assert {"currency", "copy", "group"} <= set(found.derived)
    assert "CANARY" not in json.dumps(found.to_dict())
    assert found.restore(found.reduce(X)).loc[17, "currency"] == "EUR"  # an unknown level becomes the most frequent


# ------------------------------------------------------------------------------------------------ written by users


def test_users_add_to_what_is_found():
    rng = np.random.default_rng(0)
    X = bank(rng)[["amount", "country", "currency", "opened", "closed"]].assign(score=rng.normal(size=3000))
    X.loc[[1, 2, 3], "currency"] = "USD"
    said = ["country -> currency", "amount >= 5", "score < 2.5", "closed >= opened"]
    X["score"] = X["score"].clip(upper=2.4)
    X["amount"] = X["amount"].clip(lower=5)
    found = find_dependencies(X, constraints=said)
    assert set(found.describe()) >= {"currency follows from country", "amount >= 5", "score < 2.5", "opened <= closed"}
    new = found.reduce(X)
    new["amount"] -= 100
    new["score"] += 3
    restored = found.restore(new)
    assert restored["amount"].min() == 5
    assert restored["score"].max() < 2.5
    assert set(found.violations(restored).values()) == {0.0}
    assert 0 < found.violations(X)["currency follows from country"] <= 3 / 3000


def test_users_can_have_theirs_alone_or_nothing():
    X = bank(np.random.default_rng(0))
    assert find_dependencies(X, constraints="none").describe() == []
    alone = find_dependencies(X, constraints=["none", "fee = round(0.015 * amount, 2)"])
    assert alone.describe() == ["fee = round(0.015 * amount, 2)"]
    assert find_dependencies(X, constraints=["none"]).describe() == []


def test_formulas_of_users_compute_what_they_say():
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"a": rng.normal(size=100), "b b": rng.uniform(1, 2, 100)})
    texts = {
        "c": ("max(a, `b b`, 0.5) - min(a, 0)", np.maximum(np.maximum(X["a"], X["b b"]), 0.5) - np.minimum(X["a"], 0)),
        "d": ("-abs(a) ** 3 / exp(`b b`)", -(np.abs(X["a"]) ** 3) / np.exp(X["b b"])),
        "e": ("floor(10 * a) + ceil(`b b`)", np.floor(10 * X["a"]) + np.ceil(X["b b"])),
        "f": ("sqrt(`b b`) * log(`b b`) + round(a, 1)", np.sqrt(X["b b"]) * np.log(X["b b"]) + X["a"].round(1)),
    }
    for name, (_, values) in texts.items():
        X[name] = values
    found = find_dependencies(X, constraints=["none", *(f"{name} = {text}" for name, (text, _) in texts.items())])
    assert found.derived == tuple(texts)
    pd.testing.assert_frame_equal(found.restore(found.reduce(X)), X)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fee = 0.015 * amont", "there is no column 'amont', did you mean 'amount'"),
        ("fee = __import__('os').getcwd()", "is no known function"),
        ("fee = amount.real", "is not understood"),
        ("fee = amount if amount else 0", "is not understood"),
        ("fee = country * 2", "not all numbers"),
        ("fee = fee + 0", "has to follow from other columns"),
        ("fee == amount", "only <=, <, >= and >"),
        ("fee", "neither a formula nor an order"),
        ("opened <= amount", "not two columns of numbers or two of times"),
        ("a ->", "cannot be read"),
        ("fee = 'x'", "is no number"),
        ("country >= 3", "no column of numbers"),
        ("amount = fee * 1 = net", "cannot be read"),
        ("import os", "neither a formula nor an order"),
    ],
)
def test_what_is_not_understood_is_said(text, message):
    X = bank(np.random.default_rng(0))
    with pytest.raises(ValueError, match=message) as error:
        find_dependencies(X, constraints=[text])
    assert repr(text) in str(error.value)
    assert "a -> b" in str(error.value)


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("fee = round(0.02 * amount, 2)", ""),
        ("closed <= opened", ""),
        ("currency -> country", ""),
        ("amount <= 50", ""),
    ],
)
def test_what_the_rows_break_is_said(text, share):
    X = bank(np.random.default_rng(0))
    with pytest.raises(ValueError, match=r"hold in X, but got [\d.]+ % of rows that break it, such as row \d+ with"):
        find_dependencies(X, constraints=[text])


def test_circles_of_users_are_refused():
    X = bank(np.random.default_rng(0))
    with pytest.raises(ValueError, match="in a circle"):
        find_dependencies(X, constraints=["net = amount - fee", "amount = net + fee"])


def test_text_alone_is_refused():
    with pytest.raises(ValueError, match="'auto', 'none' or a list of text"):
        find_dependencies(bank(np.random.default_rng(0)), constraints="amount >= 0")


@pytest.mark.parametrize("whole", [False, True])
def test_what_cannot_be_computed_from_inputs_that_are_there_is_no_gap(whole):
    """New rows may divide nothing by nothing, which no training row does."""
    rng = np.random.default_rng(0)
    area, ink = rng.integers(1, 400, 600), rng.integers(0, 300, 600)
    share = ink // area if whole else np.round(ink / area, 3)
    X = pd.DataFrame({"area": area.astype(float), "ink": ink.astype(float), "share": share})
    found = find_dependencies(
        X, constraints=["none", f"share = {'floor(ink / area)' if whole else 'round(ink / area, 3)'}"]
    )
    made = found.reduce(X)
    made.loc[:2, ["area", "ink"]] = [[0.0, 0.0], [0.0, 7.0], [4.0, 1.0]]
    restored = found.restore(made)
    assert np.isfinite(restored["share"].astype(float)).all()
    assert restored["share"].dtype == X["share"].dtype
    assert restored.loc[2, "share"] == (0 if whole else 0.25)
    made.loc[0, "area"] = np.nan
    assert whole or np.isnan(found.restore(made).loc[0, "share"])  # an input is missing
