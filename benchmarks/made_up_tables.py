"""Made-up tables whose rules are known: do new rows of the rare class keep them, and could they be real?

Run with ``python benchmarks/made_up_tables.py``. Each table has 20,000 rows, skewed and bounded numbers, point masses,
decimals, levels, dates and columns that follow exactly from others. Held-out rows are drawn from the same law.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from latentover import ClassicalSampler, RAESampler, SmoothedBootstrapSampler
from latentover.metrics import table_quality

N_ROWS = 20_000
SAMPLERS: dict[str, Callable[[int], Any]] = {
    "RAE": lambda seed: RAESampler(random_state=seed),
    "smoothed bootstrap": lambda seed: SmoothedBootstrapSampler(random_state=seed),
    "SMOTE": lambda seed: ClassicalSampler(random_state=seed),
}
Rule = Callable[[pd.DataFrame], Any]


class Table(NamedTuple):
    """A made-up table.

    Attributes
    ----------
    X : DataFrame of shape (n, d)
    y : ndarray of shape (n,)
        The rare class is "yes".
    rules : dict of text to function
        From a frame to which rows (n,) keep the rule.
    decimals : dict of column to int
    masses : dict of column to value
    """

    X: pd.DataFrame
    y: np.ndarray
    rules: dict[str, Rule]
    decimals: dict[str, int]
    masses: dict[str, float]


def _labels(rare: np.ndarray) -> np.ndarray:
    return np.where(rare == 1, "yes", "no")


def payments(rng: np.random.Generator, n: int) -> Table:
    """Return card payments: a fee of 1.5 %, a country that decides the currency, nights."""
    rare = (rng.random(n) < 0.03).astype(int)
    countries = ["DE", "FR", "NL", "BR", "RU", "NG"]
    usual, odd = [0.4, 0.25, 0.2, 0.08, 0.05, 0.02], [0.2, 0.1, 0.0, 0.2, 0.25, 0.25]
    country = np.where(rare == 1, rng.choice(countries, n, p=odd), rng.choice(countries, n, p=usual))
    currency = {"DE": "EUR", "FR": "EUR", "NL": "EUR", "BR": "BRL", "RU": "RUB", "NG": "NGN"}
    amount = np.round(np.exp(rng.normal(3.2 + 1.1 * rare, 1.0)), 2)
    nightly = rng.random(n) < 0.15 + 0.6 * rare
    away = np.round(rng.exponential(20 + 180 * rare), 1)
    X = pd.DataFrame(
        {
            "reference": [f"T{i:09d}" for i in rng.choice(10**9, n, replace=False)],
            "amount": amount,
            "fee": np.round(0.015 * amount, 2),
            "hour": np.where(nightly, rng.integers(0, 6, n), rng.integers(0, 24, n)),
            "account_days": np.round(rng.gamma(1.2, np.where(rare == 1, 60, 700))).astype(int),
            "attempts": rng.poisson(0.2 + 1.6 * rare),
            "distance": np.where(rng.random(n) < 0.5 - 0.35 * rare, 0.0, away),
            "country": country,
            "currency": [currency[name] for name in country],
        }
    )
    rules: dict[str, Rule] = {
        "fee": lambda F: np.isclose(F["fee"], np.round(0.015 * F["amount"], 2), atol=0.0101),
        "currency": lambda F: F["country"].map(currency) == F["currency"],
    }
    return Table(X, _labels(rare), rules, {"amount": 2, "distance": 1, "attempts": 0}, {"distance": 0.0})


def patients(rng: np.random.Generator, n: int) -> Table:
    """Return stays in a hospital: two units of temperature, a sentinel, a bounded score with two humps, two dates."""
    rare = (rng.random(n) < 0.04).astype(int)
    age = np.clip(np.round(rng.normal(52 + 14 * rare, 17)), 0, 101).astype(int)
    sex = np.where(rng.random(n) < 0.5 + 0.1 * rare, "m", "f")
    celsius = np.round(36.6 + 0.02 * (age > 70) + rng.gamma(1.5 + 2 * rare, 0.25 + 0.15 * rare), 1)
    protein = np.round(np.exp(rng.normal(1 + 1.6 * rare + 0.4 * (celsius - 37), 0.9)), 1)
    humps = np.where(rng.random(n) < 0.35 + 0.4 * rare, rng.beta(2, 8, n), rng.beta(9, 2, n))
    body = np.round(22 + 3 * (sex == "m") + rng.gamma(2, 2 + rare), 1)
    wards = np.array(["A1", "A2", "B1", "C1", "C2", "C3"])
    ward = wards[np.clip(rng.poisson(1 + 1.5 * rare + (age > 65)), 0, 5)]
    unit = {"A1": "surgery", "A2": "surgery", "B1": "medicine", "C1": "care", "C2": "care", "C3": "care"}
    opened = pd.Timestamp("2023-01-01") + pd.to_timedelta(rng.integers(0, 700, n), "D")
    X = pd.DataFrame(
        {
            "age": age,
            "sex": sex,
            "celsius": celsius,
            "fahrenheit": np.round(celsius * 1.8 + 32, 2),
            "protein": np.where(rng.random(n) < 0.2, -1.0, protein),
            "score": np.round(100 * humps).astype(int),
            "body_mass": body,
            "ward": ward,
            "unit": [unit[name] for name in ward],
            "admitted": opened,
            "discharged": opened + pd.to_timedelta(rng.geometric(np.where(rare == 1, 0.12, 0.3)), "D"),
        }
    )
    rules: dict[str, Rule] = {
        "fahrenheit": lambda F: np.isclose(F["fahrenheit"], np.round(F["celsius"] * 1.8 + 32, 2), atol=1e-6),
        "unit": lambda F: F["ward"].map(unit) == F["unit"],
        "order": lambda F: F["admitted"] <= F["discharged"],
    }
    return Table(X, _labels(rare), rules, {"celsius": 1, "protein": 1, "score": 0, "age": 0}, {"protein": -1.0})


def machines(rng: np.random.Generator, n: int) -> Table:
    """Return machines: speeds in steps of 50, power from torque and speed, a cap, codes with gaps."""
    rare = (rng.random(n) < 0.05).astype(int)
    mode = np.where(rng.random(n) < 0.3 + 0.4 * rare, "eco", np.where(rng.random(n) < 0.5, "sport", "normal"))
    speed = np.select([mode == "eco", mode == "sport"], [1400, 3200], 2200) + rng.normal(0, 250 + 150 * rare, n)
    speed = 50 * np.round(speed / 50).astype(int)
    torque = np.round(np.abs(120 - 0.018 * speed + rng.normal(0, 6 + 8 * rare, n)), 1)
    air = np.round(rng.normal(298, 2, n), 1)
    wear = np.where(rng.random(n) < 0.1, 0, np.round(rng.uniform(0, 200 + 50 * rare, n))).astype(int)
    codes = rng.choice([10, 20, 50, 100], n, p=[0.5, 0.3, 0.15, 0.05])
    X = pd.DataFrame(
        {
            "mode": mode,
            "speed": speed,
            "torque": torque,
            "power": np.round(torque * speed / 9550, 2),
            "air": air,
            "process": np.round(air + 10 + rng.normal(0, 1 + 1.5 * rare, n), 1),
            "wear": wear,
            "vibration": np.round(np.exp(0.004 * wear + 0.3 * rare + 0.3 * rng.standard_t(3, n)), 3),
            "code": np.where(rng.random(n) < 0.9 - 0.4 * rare, 0, codes),
            "plant": rng.choice(["N", "S", "W", "E"], n, p=[0.4, 0.3, 0.2, 0.1]),
            "load": np.minimum(np.round(rng.normal(80 + 25 * rare, 20, n), 1), 100.0),
        }
    )
    rules: dict[str, Rule] = {
        "power": lambda F: np.isclose(F["power"], np.round(F["torque"] * F["speed"] / 9550, 2), atol=0.0101),
        "steps of speed": lambda F: F["speed"] % 50 == 0,
        "codes": lambda F: F["code"].isin([0, 10, 20, 50, 100]),
    }
    return Table(
        X, _labels(rare), rules, {"torque": 1, "air": 1, "vibration": 3, "wear": 0}, {"load": 100.0, "wear": 0}
    )


def contracts(rng: np.random.Generator, n: int) -> Table:
    """Return contracts: prices by plan, totals, months that may be 999, a bounded share, an order of numbers."""
    rare = (rng.random(n) < 0.06).astype(int)
    prices = {"basic": 9.99, "plus": 19.99, "family": 29.5, "business": 79.0}
    odd, usual = [0.55, 0.25, 0.15, 0.05], [0.3, 0.35, 0.2, 0.15]
    plan = np.where(rare == 1, rng.choice(list(prices), n, p=odd), rng.choice(list(prices), n, p=usual))
    price = np.array([prices[name] for name in plan])
    seats = 1 + rng.poisson(np.select([plan == "family", plan == "business"], [2.0, 8.0], 0.2))
    extras = np.where(rng.random(n) < 0.6 + 0.2 * rare, 0.0, np.round(rng.lognormal(1.5, 0.8, n), 2))
    calls = rng.poisson(1 + 2.5 * rare * (plan != "business"))
    minimum = np.round(rng.gamma(3, 4, n))
    X = pd.DataFrame(
        {
            "plan": plan,
            "price": price,
            "seats": seats,
            "extras": extras,
            "total": np.round(price * seats + extras, 2),
            "calls": calls,
            "months_since_call": np.where(calls == 0, 999, rng.integers(0, 25 - 12 * rare, n)),
            "used": np.round(rng.beta(1.2 + rare, 2 + 2 * (plan == "basic"), n), 3),
            "least_hours": minimum.astype(int),
            "most_hours": (minimum + np.round(rng.gamma(2, 6 - 3 * rare))).astype(int),
            "city": rng.choice(["Graz", "Linz", "Wien", "Wels", "Steyr"], n, p=[0.2, 0.15, 0.5, 0.1, 0.05]),
        }
    )
    rules: dict[str, Rule] = {
        "price": lambda F: np.isclose(F["plan"].map(prices).astype(float), F["price"]),
        "total": lambda F: np.isclose(F["total"], np.round(F["price"] * F["seats"] + F["extras"], 2), atol=0.0101),
        "order": lambda F: F["least_hours"] <= F["most_hours"],
    }
    decimals = {"extras": 2, "used": 3, "seats": 0, "most_hours": 0}
    return Table(X, _labels(rare), rules, decimals, {"extras": 0.0, "months_since_call": 999})


TABLES: dict[str, Callable[[np.random.Generator, int], Table]] = {
    "payments": payments,
    "patients": patients,
    "machines": machines,
    "contracts": contracts,
}


def measure(name: str, sampler: str, seed: int) -> dict[str, Any]:
    """Return how real the new rows of a table's rare class are, and what they keep."""
    table = TABLES[name](np.random.default_rng([seed, 0]), N_ROWS)
    held_out = TABLES[name](np.random.default_rng([seed, 1]), N_ROWS)
    start = time.perf_counter()
    X_resampled, _ = SAMPLERS[sampler](seed).fit_resample(table.X, table.y)
    seconds = time.perf_counter() - start
    new = X_resampled.iloc[len(table.X) :].reset_index(drop=True)
    real, holdout = (part.X[part.y == "yes"].reset_index(drop=True) for part in (table, held_out))
    hidden = [column for column in real.columns if column == "reference"]
    # As many new rows as there are held out, for the judge to have a fair choice.
    judged = table_quality(
        real.drop(columns=hidden),
        new.drop(columns=hidden).sample(min(len(new), len(holdout)), random_state=0),
        holdout.drop(columns=hidden),
        random_state=0,
    )
    exact = [
        np.isclose(new[c].astype(float), np.round(new[c].astype(float), k), atol=1e-9)
        for c, k in table.decimals.items()
    ]
    masses = [abs(float((new[c] == v).mean() - (holdout[c] == v).mean())) for c, v in table.masses.items()]
    copied = [float(new[c].isin(table.X[c]).mean()) for c in hidden]
    return {
        "table": name,
        "sampler": sampler,
        "rare": len(real),
        "judge": judged.judge.auc.value,
        "rules": min(float(np.mean(rule(new))) for rule in table.rules.values()),
        "decimals": min(float(np.mean(part)) for part in exact),
        "masses": max(masses),
        "copied": max(copied, default=0.0),
        "seconds": seconds,
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a row for each table, sampler and seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", nargs="+", choices=list(TABLES), default=list(TABLES))
    parser.add_argument("--samplers", nargs="+", choices=list(SAMPLERS), default=list(SAMPLERS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    options = parser.parse_args(arguments)
    print("| Table | Sampler | Rare rows | Judge AUC | Rules kept | Decimals kept | Masses off by | Copied | Seconds |")
    print("|:--|:--|--:|--:|--:|--:|--:|--:|--:|")
    for name in options.tables:
        for sampler in options.samplers:
            for seed in options.seeds:
                row = measure(name, sampler, seed)
                print(
                    f"| {name} | {sampler} | {row['rare']} | {row['judge']:.3f} | {row['rules']:.2%} | "
                    f"{row['decimals']:.2%} | {row['masses']:.2%} | {row['copied']:.1%} | {row['seconds']:.0f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
