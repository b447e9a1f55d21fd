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
    """Columns that have to do with nothing, and one that nearly has."""
    n = len(frame)
    frame["normal"] = rng.normal(size=n)
    frame["level"] = rng.choice(list("uvwxyz"), n)
    frame["count"] = rng.poisson(4, n)
    frame["near"] = 2 * frame["normal"] + 0.01 * rng.normal(size=n)
    return frame[list(rng.permutation(frame.columns))]


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
    return "w = v / 4 - 3"


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
    return None  # in whichever order of terms


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
    return None  # whichever comes later


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
    X["large"] = np.where(X["sales"] > 150, "yes", "no")
    return "large is 'yes' where sales > 150, else 'no'"


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


KINDS = [
    scaled, affine, real_affine, total, weighted, product, ratio, square, logarithm, body_mass, discounted,
    product_and_sum, floored, rounded, ceiled, copy, levels, level_rate, flag, text_flag, band, missing_flag, times,
    duration, days, calendar, year_difference, ends,
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(2))
def test_each_kind_is_found_and_kept(kind, seed):
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(index=range(N))
    expected = kind(rng, X)
    found = check(noise(X, rng), rng)
    if expected is not None:
        assert expected in found.describe()
    else:
        assert len(found.derived) == 1


@pytest.mark.parametrize("seed", range(3))
def test_nothing_is_found_where_nothing_is(seed):
    rng = np.random.default_rng(seed)
    X = noise(pd.DataFrame(index=range(N)), rng)
    X["amount"] = numbers(rng)
    X["fee"] = np.round(0.015 * X["amount"], 2)
    X.loc[700:701, "fee"] += 0.05  # one row in a thousand
    X["total"] = X["amount"] + X["normal"]
    X.loc[3, "total"] += 1e-3
    X["follows"] = X["level"].map(dict(zip("uvwxyz", "aabbcc", strict=True)))
    X.loc[[2, 900], "follows"] = "d"
    X["flag"] = X["amount"] > 100
    X.loc[5, "flag"] = ~X.loc[5, "flag"]
    assert find_dependencies(X).describe() == []


def test_few_rows_say_nothing():
    X = pd.DataFrame({"a": np.arange(40.0), "b": 2 * np.arange(40.0)})
    assert len(find_dependencies(X)) == 0
