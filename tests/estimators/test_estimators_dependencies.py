"""Dependencies in the format of a table: every sampler's new rows keep them all, and so does a loaded bundle."""

import numpy as np
import pandas as pd
import pytest
import torch
from test_estimators_contract import public_estimators, small

from latentover import BAGANSampler, RAESampler
from latentover.bundle import load, save
from latentover.estimators import learn_format
from latentover.estimators.describe import describe_plan

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # little training, and identifiers

N = 240
CURRENCIES = {"Oesterreich": "EUR", "Schweiz": "CHF", "Polen": "PLN", "Italien": "EUR"}
SAMPLERS = [small(cls) for cls in public_estimators() if hasattr(cls, "fit_resample")]
Y = np.repeat(["kept", "left"], [170, 70])


def accounts(seed=0, n=N):
    rng = np.random.default_rng(seed)
    amount = np.round(rng.lognormal(5, 1, n), 2)
    country = rng.choice(list(CURRENCIES), n)
    opened = pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 900, n), unit="D")
    return pd.DataFrame(
        {
            "account": [f"AT{number:08d}" for number in rng.choice(10**8, n, replace=False)],
            "amount": amount,
            "fee": np.round(0.015 * amount, 2),
            "country": country,
            "currency": pd.Series(country).map(CURRENCIES),
            "opened": opened,
            "closed": opened + pd.to_timedelta(rng.integers(0, 300, n), unit="D"),
            "noise": rng.normal(size=n),
        }
    )


X = accounts()
RULES = {"fee = round(0.015 * amount, 2)", "currency follows from country", "opened <= closed"}


def check(rows, train=X):
    """Everything holds in all rows, and identifiers are of their form, once each and none of the training rows."""
    np.testing.assert_allclose(rows["fee"], np.round(0.015 * rows["amount"], 2), atol=0.00501)
    np.testing.assert_array_equal(np.round(rows["fee"], 2), rows["fee"])
    assert (rows["country"].map(CURRENCIES) == rows["currency"]).all()
    assert (rows["opened"] <= rows["closed"]).all()
    assert rows["account"].str.fullmatch(r"AT\d{8}").all()
    assert rows["account"].is_unique
    assert not set(rows["account"]) & set(train["account"])
    assert dict(rows.dtypes) == dict(train.dtypes)
    assert list(rows.columns) == list(train.columns)


@pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda sampler: type(sampler).__name__)
def test_every_sampler_keeps_them_all(sampler):
    rows, _ = sampler.fit_resample(X, Y)
    assert set(sampler.format_.dependencies.describe()) == RULES
    new = rows[sampler.synthetic_mask_]
    assert len(new) > 0
    check(new)
    check(sampler.sample(50, "left", random_state=1), X.iloc[:0])


@pytest.mark.parametrize("cls", [RAESampler, BAGANSampler])
def test_a_loaded_bundle_keeps_them_and_holds_no_row(cls, tmp_path):
    rng = np.random.default_rng(1)
    secret = X.assign(memo=[f"canary {rng.integers(10**12)} of one row" for _ in range(N)])
    secret["town"] = rng.choice(["Graz", "Linz"], N)
    secret.loc[7, "town"] = "Canaryville"
    secret.loc[9, "country"] = "Canaria"
    secret.loc[9, "currency"] = "CNY"
    sampler = small(cls).set_params(identifiers=["account", "memo"]).fit(secret, Y)
    save(sampler, tmp_path / "bundle")
    text = (tmp_path / "bundle" / "config.json").read_text()
    assert not any(word in text for word in ["anary", "Canaria", "CNY", *secret["account"]])
    rows = load(tmp_path / "bundle").sample(80, "left", random_state=3)
    pd.testing.assert_frame_equal(rows, sampler.sample(80, "left", random_state=3))
    check(rows[list(X.columns)], X.iloc[:0])
    values = set(rows.astype(str).to_numpy().ravel())
    assert not values & {"Canaryville", "Canaria", "CNY", *secret["memo"], *secret["account"]}


def rows_of(known, n=500, label=None, seed=0):
    """Decoded noise: any outputs at all keep what the format knows."""
    generator = torch.Generator().manual_seed(seed)
    return known.decode(torch.randn(n, *known.shape, generator=generator), label)


def learned(frame=X, **settings):
    return learn_format(frame, **{"constraints": "auto", **settings})


@pytest.mark.parametrize("numbers", ["scores", "standard"])
def test_any_outputs_decode_to_rows_that_keep_them(numbers):
    known = learned(numbers=numbers)
    assert set(known.dependencies.describe()) == RULES
    assert {"fee", "currency"}.isdisjoint(column.name for column in known.columns)
    rows = rows_of(known)
    assert known.dependencies.violations(rows) == dict.fromkeys(known.dependencies.describe(), 0.0)
    back = known.decode(known.encode(X)).drop(columns="account")
    pd.testing.assert_frame_equal(back, X.drop(columns="account"), rtol=1e-4)


def test_a_pair_of_bounds_holds_for_what_is_learned_but_not_for_distances():
    frame = pd.DataFrame({"low": np.random.default_rng(0).integers(0, 1000, N) / 10.0})
    frame["high"] = frame["low"] + np.random.default_rng(1).integers(0, 400, N) / 10.0
    frame["third"] = np.random.default_rng(2).normal(50, 10, N)
    known = learned(frame, clip=(20, None))
    assert known.dependencies.describe() == ["low <= high"]
    rows = rows_of(known, 2000)
    assert rows["low"].min() == rows["third"].min() == 20
    assert 0 <= (rows["high"] - rows["low"]).min() < 20


def test_a_column_that_clip_names_is_learned_within_its_bounds():
    known = learned(clip={"fee": (0, 1)})
    assert set(known.dependencies.describe()) == RULES - {"fee = round(0.015 * amount, 2)"}
    assert rows_of(known)["fee"].between(0, 1).all()


@pytest.mark.parametrize("missing", ["mask", "impute"])
def test_derived_columns_are_missing_with_what_they_follow_from(missing):
    gone = np.random.default_rng(3).random(N) < 0.2
    frame = X.assign(amount=X["amount"].mask(gone), fee=X["fee"].mask(gone))
    known = learned(frame, missing=missing)
    assert "fee = round(0.015 * amount, 2)" in known.dependencies.describe()
    rows = rows_of(known)
    assert (rows["fee"].isna() == rows["amount"].isna()).all()
    assert rows["fee"].isna().any() == (missing == "mask")
    with pytest.raises(ValueError, match=r"no missing values, but got \d+ in 240 rows: column '(amount|fee)'"):
        learned(frame)
    only = X.assign(fee=X["fee"].mask(gone))
    with pytest.raises(ValueError, match="column 'fee' contains NaN"):
        learned(only)


@pytest.mark.parametrize("way", ["names", "positions", "mask"])
def test_categories_that_the_user_names(way):
    codes = pd.DataFrame({"first": X["noise"], "region": np.arange(N) % 9, "code": (np.arange(N) % 9) // 3})
    chosen = {"names": ["region", "code"], "positions": [1, -1], "mask": [False, True, True]}[way]
    known = learned(codes, categorical_features=chosen)
    assert known.dependencies.describe() == ["code follows from region"]
    assert known.shape == (1 + 9,)
    rows = rows_of(known)
    assert dict(rows.dtypes) == dict(codes.dtypes)
    assert (rows["code"] == rows["region"] // 3).all()


def test_what_is_constant_in_a_class_follows_from_the_label():
    frame = X[["noise"]].assign(churned=np.where(Y == "left", "yes", np.where(np.arange(N) % 3, "no", "open")))
    known = learned(frame, labels=Y)
    assert known.dependencies.describe() == ["churned is 'yes' in class 'left'"]
    assert (rows_of(known, label="left")["churned"] == "yes").all()
    labels = np.repeat(["left", "kept"], 250)
    both = rows_of(known, label=labels)["churned"]
    assert (both[labels == "left"] == "yes").all()
    assert (both[labels == "kept"] != "yes").any()


def test_the_rae_decodes_what_is_constant_in_a_class():
    frame = X[["noise", "amount"]].assign(score=np.where(Y == "left", 7.0, np.random.default_rng(6).normal(7, 3, N)))
    sampler = small(RAESampler).fit(frame, Y)
    assert sampler.format_.dependencies.describe() == ["score is 7.0 in class 'left'"]
    Z = sampler.encode(frame)[:100]
    decoded = sampler.decode(Z, np.repeat(["left", "kept"], 50))
    assert (decoded["score"][:50] == 7).all()
    assert (decoded["score"][50:] != 7).any()


def test_constraints_of_the_user():
    frame = X.assign(limit=X["noise"] + np.random.default_rng(5).exponential(0.001, N))
    texts = ["noise <= limit", "amount >= 0"]
    known = learned(frame, constraints=texts)
    assert set(known.dependencies.describe()) >= RULES | set(texts)
    rows = rows_of(known)
    assert (rows["noise"] <= rows["limit"]).all()
    alone = learned(frame, constraints=["none", *texts])
    assert set(alone.dependencies.describe()) == set(texts)
    assert learned(frame, constraints="none").dependencies is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("closed <= opened", "constraint 'closed <= opened' to hold in X, but got .* % of rows"),
        ("fees = amount", "no column 'fees', did you mean 'fee'"),
    ],
)
def test_a_wrong_constraint_is_an_error_before_training(text, message):
    sampler = small(RAESampler).set_params(constraints=[text])
    with pytest.raises(ValueError, match=message):
        sampler.fit(X, Y)
    assert not hasattr(sampler, "networks_")
    with pytest.raises(ValueError, match="Expected X to be a frame whose columns constraints name, but got an array"):
        sampler.fit(X[["amount", "fee"]].to_numpy(), Y)


def test_the_plan_says_what_is_kept():
    plan = describe_plan(X, Y)
    assert set(plan.dependencies) == set(plan.to_dict()["dependencies"]) == RULES
    treatments = {column.name: (column.treatment, column.width) for column in plan.columns}
    assert list(treatments) == list(X.columns)
    assert treatments["fee"] == treatments["currency"] == ("derived", 0)
    assert plan.encoded_shape == learned().shape
    assert all(f"- {rule}" in str(plan) for rule in RULES)
    assert describe_plan(X, estimator=small(RAESampler).set_params(constraints="none")).dependencies == []
    holed = describe_plan(X.assign(fee=X["fee"].mask(X.index < 9)), Y)
    assert [column.treatment for column in holed.columns if column.name == "fee"] == ["refused"]
