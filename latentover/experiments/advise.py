"""What helps on a table of unequal classes, by a quick cross-validation of the table itself.

The order in which methods stand here is the order in which they are advised: what changes nothing, then what changes
the decision alone, then the weights of the rows, then the rows, then the classifier. A later step takes the place of
an earlier one only where it is shown to be better, beyond the noise of the folds.
"""

import sys
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from imblearn.ensemble import BalancedRandomForestClassifier
from imblearn.over_sampling import RandomOverSampler
from sklearn.base import clone
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.model_selection import RepeatedStratifiedKFold
from sklearn.utils.validation import has_fit_parameter

from latentover import notebook
from latentover.data.diagnosis import FEW
from latentover.data.imbalance import subsample
from latentover.estimators.base import check_lengths
from latentover.estimators.containers import Container
from latentover.estimators.labels import check_labels
from latentover.estimators.validation import check_class_count
from latentover.experiments.table_classifier import CLASSIFIERS, TableClassifier, is_category
from latentover.methods import (
    ClassicalSampler,
    PriorAdjustedClassifier,
    RAESampler,
    SmoothedBootstrapSampler,
    TunedDecisionClassifier,
)
from latentover.seeds import as_random_state
from latentover.stats import ResampledTTest, corrected_resampled_t, holm
from latentover.tables.checks import check_table
from latentover.tables.identifiers import find_identifiers, is_free_text

Goal = Literal["balanced_accuracy", "macro_f1", "average_precision", "roc_auc", "brier"]

GOALS: dict[str, str] = {
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro-F1",
    "average_precision": "average precision",
    "roc_auc": "ROC AUC",
    "brier": "Brier score",
}
"""What can be wanted, and its name in a sentence; of the Brier score less is better."""
DECISIONS = ("balanced_accuracy", "macro_f1")
"""The goals that depend on what is decided; the others see probabilities alone."""
METRICS = (
    *("balanced_accuracy", "macro_f1", "recall", "precision", "average_precision", "roc_auc", "brier"),
    "false_alarms",
)
_HEADS = ("bal. acc.", "macro-F1", "recall", "precision", "AUPRC", "ROC AUC", "Brier", "alarms/1000")
_HEAD = ("method", *_HEADS, "difference to none (95 %)", "time")
RAE_STEPS = 500
"""Half of its default: it is trained anew in every fold, and all of it is to take minutes."""
LEVEL = 0.05
"""Of the tests by which a method takes the place of a simpler one."""

# ---- What is compared ------------------------------------------------------------------------------------------------


class _Table(NamedTuple):
    """Training rows, what each counts for at the natural ratio, and what the methods are made of."""

    X: pd.DataFrame
    y: np.ndarray
    weights: np.ndarray | None
    model: TableClassifier
    goal: str
    seed: int
    device: str

    def sampler_settings(self) -> dict[str, Any]:
        missing = "mask" if self.X.isna().to_numpy().any() else "error"
        return {"missing": missing, "random_state": self.seed, "device": self.device}


def _no_resampling(table: _Table) -> Any:
    return clone(table.model).fit(table.X, table.y, table.weights)


def _tuned_threshold(table: _Table) -> Any:
    metric = table.goal if table.goal in DECISIONS else "balanced_accuracy"
    model = TunedDecisionClassifier(estimator=table.model, metric=metric, cv=3, random_state=table.seed)
    return model.fit(table.X, table.y, table.weights)


def _prior_adjustment(table: _Table) -> Any:
    return PriorAdjustedClassifier(estimator=table.model).fit(table.X, table.y, table.weights)


def _class_weights(table: _Table) -> Any:
    _, numbers, counts = np.unique(table.y, return_inverse=True, return_counts=True)
    return clone(table.model).fit(table.X, table.y, len(numbers) / len(counts) / counts[numbers])


def _resampled(table: _Table, sampler: Any) -> Any:
    return clone(table.model).fit(*sampler.fit_resample(table.X, table.y))  # all classes alike: nothing to weigh


def _random_oversampling(table: _Table) -> Any:
    return _resampled(table, RandomOverSampler(random_state=table.seed))


def _smote(table: _Table) -> Any:
    return _resampled(table, ClassicalSampler(**table.sampler_settings()))


def _smoothed_bootstrap(table: _Table) -> Any:
    return _resampled(table, SmoothedBootstrapSampler(**table.sampler_settings()))


def _rae(table: _Table) -> Any:
    return _resampled(table, RAESampler(**table.sampler_settings(), max_steps=RAE_STEPS))


def _balanced_forest(table: _Table) -> Any:
    forest = BalancedRandomForestClassifier(
        sampling_strategy="all", replacement=True, bootstrap=False, random_state=table.seed
    )
    return clone(table.model).set_params(estimator=forest).fit(table.X, table.y)


class Method(NamedTuple):
    """One line of the comparison.

    Attributes
    ----------
    title : str
    advice : str
        What to do, where it is the advice.
    fit : function of a table, which returns a fitted classifier
    step : {"decision", "weights", "rows", "classifier"}
        What it changes.
    """

    title: str
    advice: str
    fit: Callable[[_Table], Any]
    step: Literal["decision", "weights", "rows", "classifier"]


METHODS: dict[str, Method] = {
    "none": Method("no resampling", "Leave the rows and the decision as they are", _no_resampling, "decision"),
    "threshold": Method(
        "tuned threshold", "Tune the decision threshold (TunedDecisionClassifier)", _tuned_threshold, "decision"
    ),
    "prior": Method(
        "prior adjustment",
        "Adjust the decision by the class shares (PriorAdjustedClassifier)",
        _prior_adjustment,
        "decision",
    ),
    "class_weights": Method("class weights", "Give all classes equal weight in training", _class_weights, "weights"),
    "random": Method("random over-sampling", "Repeat rare rows (random over-sampling)", _random_oversampling, "rows"),
    "smote": Method("SMOTE", "Over-sample with SMOTE (ClassicalSampler)", _smote, "rows"),
    "bootstrap": Method("smoothed bootstrap", "Over-sample with SmoothedBootstrapSampler", _smoothed_bootstrap, "rows"),
    "rae": Method("RAE", "Over-sample with RAESampler", _rae, "rows"),
    "balanced_forest": Method(
        "balanced random forest",
        "Train a balanced random forest (imbalanced-learn's BalancedRandomForestClassifier)",
        _balanced_forest,
        "classifier",
    ),
}
"""What is compared, in the order in which it is advised."""


# ---- The answer ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Advice:
    """What helped on a table, and what to do first; `print` shows it.

    Attributes
    ----------
    goal : str
        What is wanted, a key of `GOALS`.
    method : str
        What is advised, a key of `METHODS`.
    sentence : str
        The advice with its evidence.
    scores : dict of str to dict of str to list of float
        Of each method and metric (see `METRICS`) the value in each fold. Recall, precision, average precision and ROC
        AUC are means over the rare classes, each against all others; false alarms are rows called a rare class that
        are of another, in 1,000 rows.
    seconds : dict of str to float
        Of each method, all folds together.
    differences : dict of str to ResampledTTest
        Of each method but "none": its goal less that of "none", with the 95 % interval over the folds.
    from_advised : dict of str to ResampledTTest
        Of each method: its goal less that of the method that is advised.
    classes : list
        Labels, largest class first.
    counts : list of int
        Rows of each in the whole table.
    rare : list
        The classes that are smaller than the mean class.
    folds, repeats : int
    n_rows : int
        Rows that were used; each class that was cut down is weighted, so that all scores are those of the natural
        ratio.
    classifier : str
    seed : int
    notes : list of str
    """

    goal: str
    method: str
    sentence: str
    scores: dict[str, dict[str, list[float]]]
    seconds: dict[str, float]
    differences: dict[str, ResampledTTest]
    from_advised: dict[str, ResampledTTest]
    classes: list[Any]
    counts: list[int]
    rare: list[Any]
    folds: int
    repeats: int
    n_rows: int
    classifier: str
    seed: int
    notes: list[str] = field(default_factory=list)

    def to_frame(self) -> pd.DataFrame:
        """Return a row a method: mean and standard deviation (``_sd``) over folds of each metric, and the difference.

        ``difference``, ``low``, ``high`` and ``p_value`` compare the goal with that of no resampling.
        """
        rows = {}
        for name, scores in self.scores.items():
            row: dict[str, float] = {}
            for metric, values in scores.items():
                row[metric], row[f"{metric}_sd"] = float(np.mean(values)), float(np.std(values, ddof=1))
            found = self.differences.get(name)
            row |= {part: getattr(found, part, np.nan) for part in ("difference", "low", "high", "p_value")}
            rows[name] = row | {"seconds": self.seconds[name]}
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis("method")

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as JSON-able values."""
        known = asdict(self)
        for name in ("differences", "from_advised"):
            known[name] = {method: found._asdict() for method, found in getattr(self, name).items()}
        return known

    def _cells(self) -> list[list[str]]:
        """Return what is said of each method."""
        number = {metric: ("{:.1f}" if metric == "false_alarms" else "{:.3f}").format for metric in METRICS}
        lines = []
        for name, row in self.to_frame().iterrows():
            cells = [number[metric](row[metric]) for metric in METRICS]
            cells[METRICS.index(self.goal)] += f" ±{row[f'{self.goal}_sd']:.3f}"
            found = self.differences.get(str(name))
            gain = "" if found is None else f"{found.difference:+.3f} ({found.low:+.3f} to {found.high:+.3f})"
            lines.append([METHODS[str(name)].title, *cells, gain, f"{row['seconds']:.0f} s"])
        return lines

    def __str__(self) -> str:
        marks = ["> " if name == self.method else "  " for name in self.scores]
        rows = zip(["  ", *marks], [_HEAD, *self._cells()], strict=True)
        lines = [[mark + title, *cells] for mark, (title, *cells) in rows]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        table = [
            "  ".join(
                f"{cell:<{w}}" if i == 0 else f"{cell:>{w}}"
                for i, (cell, w) in enumerate(zip(line, widths, strict=True))
            )
            for line in lines
        ]
        return "\n".join([self.sentence, "", *table, "", *self._legend(), *(f"- {note}" for note in self.notes)])

    def _repr_html_(self) -> str:
        cells, place = self._cells(), list(self.scores).index(self.method)
        table = notebook.table(_HEAD, cells, marked=place)
        legend = map(notebook.note, self._legend())
        return notebook.page(notebook.heading(self.sentence), table, *legend, notebook.items(self.notes))

    def _legend(self) -> list[str]:
        """Say what was compared, and what the columns are."""
        sizes = ", ".join(f"{label!r}: {count:,}" for label, count in zip(self.classes[:10], self.counts, strict=False))
        more = f" and {len(self.classes) - 10} classes more" if len(self.classes) > 10 else ""
        used = "" if self.n_rows == sum(self.counts) else f", of which {self.n_rows:,} were used"
        rounds = f"{self.folds} folds" if self.repeats == 1 else f"{self.repeats} times {self.folds} folds"
        return [
            f"{sum(self.counts):,} rows ({sizes}{more}){used}; {rounds}, {self.classifier}, at the natural ratio. "
            f"Means over folds, ± their standard deviation; the difference is that in {GOALS[self.goal]}.",
            f"Recall, precision, AUPRC and ROC AUC are of {_listed(self.rare)}; alarms/1000: rows called "
            f"{'so' if len(self.rare) == 1 else 'one of these'} that are not, in 1,000 rows. Of the Brier score "
            "(0 to 2) less is better.",
        ]


def _listed(labels: Sequence[Any], shown: int = 5) -> str:
    names = ", ".join(repr(label) for label in labels[:shown])
    more = f" and {len(labels) - shown} more" if len(labels) > shown else ""
    return f"class {names}" if len(labels) == 1 else f"the classes {names}{more}"


def advise(
    X: Any,
    y: Any,
    *,
    goal: Goal = "balanced_accuracy",
    classifier: Any = "boosting",
    methods: Sequence[str] | None = None,
    folds: int = 5,
    repeats: int = 1,
    max_rows: int = 20_000,
    identifiers: Sequence[Any] = (),
    random_state: Any = 0,
    device: str = "auto",
    verbose: int = 0,
) -> Advice:
    """Compare what may help with unequal classes, on the table itself, and say what to do first.

    A stratified cross-validation at the natural class ratio: in every fold each method sees the training rows alone,
    and is scored on rows that nothing was done to. It takes seconds to minutes, most of them for the RAE.

    Parameters
    ----------
    X : frame or array of shape (n, d)
        Columns of any type; text and categories are categories. Missing values are allowed.
    y : array-like of shape (n,)
        Labels.
    goal : {"balanced_accuracy", "macro_f1", "average_precision", "roc_auc", "brier"}, default="balanced_accuracy"
        What matters: that all classes are found alike (the first two), that rare rows are ranked first (the next two),
        or that probabilities are true.
    classifier : {"boosting", "logistic", "forest"} or classifier, default="boosting"
        A classifier with ``predict_proba`` that takes ``sample_weight``; it sees numbers, see `TableClassifier`.
    methods : list of str, optional
        Keys of `METHODS`; "none" is always among them. Default: all.
    folds : int, default=5
        At least 2.
    repeats : int, default=1
        How often the cross-validation is done, each time with other folds: for narrower intervals.
    max_rows : int, default=20000
        Rows to work with, at the most. The largest classes are cut down, the rare ones keep all rows, and the rows that
        stand for others are weighted in training and in all scores.
    identifiers : sequence of column names
        Columns of a frame that name rows, beside those that are found; they are left out, and so is free text.
    random_state : int, RandomState or None, default=0
    device : str, default="auto"
        Of the samplers with networks.
    verbose : {0, 1}, default=0
        1 says on stderr what runs and how long it will take.

    Returns
    -------
    Advice

    Raises
    ------
    ValueError, TypeError
        If a parameter is out of its range, X is no table of finite values, or a class has too few rows.

    Notes
    -----
    The advice begins with no resampling and goes on by steps, in the order of `METHODS`: the decision, the weights
    of the rows, the rows, the classifier. A step is taken only if one of its methods is better than what was come to,
    by `latentover.stats.corrected_resampled_t` at the level `LEVEL` with Holm's correction within the step. That keeps
    to the simple where nothing is shown, and with few rare rows little can be: then look at the means, and use more
    folds. The intervals that are printed are not corrected for the number of methods.

    Examples
    --------
    >>> from sklearn.datasets import make_classification
    >>> X, y = make_classification(1500, weights=[0.95], class_sep=0.7, random_state=0)
    >>> found = advise(X, y, classifier="logistic", methods=["threshold", "class_weights", "smote"])
    >>> found.method
    'threshold'
    >>> found.to_frame()["recall"].round(2).to_dict()
    {'none': 0.1, 'threshold': 0.83, 'class_weights': 0.79, 'smote': 0.74}
    """
    _check_settings(goal, classifier, methods, folds, repeats, max_rows)
    seed = int(as_random_state(random_state).randint(2**31 - 1))
    frame, labels = _checked_table(X, y)
    classes, numbers, counts = np.unique(labels, return_inverse=True, return_counts=True)
    check_class_count(classes)
    _check_class_sizes(classes, counts, folds)
    frame, notes = _informative(frame, _identifiers(X, frame, identifiers))
    rare = np.flatnonzero(counts < counts.mean())
    rare = rare if len(rare) else np.array([counts.argmin()])
    kept = _thinned(counts, max_rows)
    rows = subsample(numbers, kept, seed)
    frame, numbers = frame.iloc[rows].reset_index(drop=True), numbers[rows]
    weights = None if len(rows) == len(labels) else (counts / kept)[numbers]
    estimator = CLASSIFIERS[classifier](seed) if isinstance(classifier, str) else classifier
    categories = tuple(i for i in range(frame.shape[1]) if is_category(frame.iloc[:, i]))
    table = _Table(
        frame, labels[rows], weights, TableClassifier(estimator=estimator, categories=categories), goal, seed, device
    )
    names = [name for name in METHODS if methods is None or name == "none" or name in methods]
    splits = list(RepeatedStratifiedKFold(n_splits=folds, n_repeats=repeats, random_state=seed).split(frame, numbers))
    scores, seconds, said = _cross_validated(table, names, splits, rare, verbose)
    smallest = counts.min()
    if smallest < FEW:
        notes.append(f"The smallest class has {smallest} rows: what is said of it is known roughly only.")
    sign = -1 if goal == "brier" else 1
    advised = _advised({name: [sign * value for value in each[goal]] for name, each in scores.items()}, 1 / folds)

    def compared(name: str, other: str, metric: str = goal) -> ResampledTTest:
        return corrected_resampled_t(scores[name][metric], scores[other][metric], test_share=1 / folds)

    differences = {name: compared(name, "none") for name in scores if name != "none"}
    from_advised = {name: compared(name, advised) for name in scores}
    order = np.argsort(-counts, kind="stable")
    return Advice(
        goal=goal,
        method=advised,
        sentence=_sentence(goal, advised, scores, compared),
        scores=scores,
        seconds=seconds,
        differences=differences,
        from_advised=from_advised,
        classes=classes[order].tolist(),
        counts=counts[order].tolist(),
        rare=classes[rare].tolist(),
        folds=folds,
        repeats=repeats,
        n_rows=len(rows),
        classifier=type(estimator).__name__,
        seed=seed,
        notes=notes + said,
    )


# ---- Checks ----------------------------------------------------------------------------------------------------------


def _check_settings(
    goal: str, classifier: Any, methods: Sequence[str] | None, folds: int, repeats: int, max_rows: int
) -> None:
    if goal not in GOALS:
        raise ValueError(f"Expected goal to be one of {', '.join(GOALS)}, but got {goal!r}.")
    if isinstance(classifier, str) and classifier not in CLASSIFIERS:
        raise ValueError(f"Expected classifier to be one of {', '.join(CLASSIFIERS)}, but got {classifier!r}.")
    if not isinstance(classifier, str) and not (
        hasattr(classifier, "predict_proba") and has_fit_parameter(classifier, "sample_weight")
    ):
        raise TypeError(
            f"Expected classifier to have predict_proba and to take sample_weight in fit, but got {classifier!r}."
        )
    wrong = methods if isinstance(methods, str) else [name for name in methods or () if name not in METHODS]
    if wrong:
        raise ValueError(f"Expected methods to be a list of {', '.join(METHODS)}, but got {wrong!r}.")
    for name, value, least in (("folds", folds, 2), ("repeats", repeats, 1), ("max_rows", max_rows, 100)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
            raise ValueError(f"Expected {name} to be a whole number at least {least}, but got {value!r}.")


def _checked_table(X: Any, y: Any) -> tuple[pd.DataFrame, np.ndarray]:
    data = Container.of(X).frame
    if hasattr(data, "toarray"):
        raise TypeError("Expected X to be a frame or a dense array, but got a sparse matrix; call .toarray() first.")
    frame = data if isinstance(data, pd.DataFrame) else np.asarray(data)
    if frame.ndim != 2:
        raise ValueError(f"Expected X to be a table (n, d), but got an array of shape {frame.shape}.")
    frame = pd.DataFrame(frame).infer_objects()
    if not frame.columns.is_unique:
        twice = frame.columns[frame.columns.duplicated()][0]
        raise ValueError(f"Expected X to have a name of its own for each column, but got {twice!r} twice; rename it.")
    labels, _ = check_labels(y)
    check_lengths(frame, labels)
    check_table(frame, "mask")
    return frame, labels


def _check_class_sizes(classes: np.ndarray, counts: np.ndarray, folds: int) -> None:
    """Raise ValueError unless every fold can test on a row of each class, and train on two."""
    needed = max(folds, 4 if folds == 2 else 3)
    small = counts < needed
    if small.any():
        found = ", ".join(
            f"{count} of class {label!r}" for label, count in zip(classes[small].tolist(), counts[small], strict=True)
        )
        least = counts.min()
        advice = f"pass folds={least}" if 3 <= least < folds else "collect more"
        raise ValueError(
            f"Expected every class to have at least {needed} rows for {folds} folds, but got {found}; {advice}, or "
            "join or leave out the class."
        )


def _identifiers(X: Any, frame: pd.DataFrame, named: Sequence[Any]) -> list[Any]:
    """Return the columns that name rows: those that are named, and of a frame those that are found."""
    if isinstance(named, str) or not set(named) <= set(frame.columns):
        raise ValueError(
            f"Expected identifiers to be a list of columns of X, {frame.columns.tolist()[:20]}, but got {named!r}."
        )
    return find_identifiers(frame, named) if hasattr(X, "columns") else list(named)


def _informative(frame: pd.DataFrame, identifiers: Sequence[Any]) -> tuple[pd.DataFrame, list[str]]:
    """Return the columns that can teach something, and notes about the others."""
    empty = [name for name in frame.columns if frame[name].isna().all()]
    texts = [name for name in frame.columns if name not in identifiers and is_free_text(frame[name])]
    notes = []
    for names, what in ((empty, "no values"), (identifiers, "identifiers"), (texts, "free text")):
        if names:
            notes.append(
                f"Left out, {what}: {', '.join(map(repr, names[:5]))}"
                + (f" and {len(names) - 5} more." if len(names) > 5 else ".")
            )
    kept = [name for name in frame.columns if name not in {*empty, *identifiers, *texts}]
    if not kept:
        raise ValueError(
            "Expected X to have a column that can teach something, but got only columns without values, identifiers "
            "and free text; add others."
        )
    return frame[kept], notes


def _thinned(counts: np.ndarray, max_rows: int) -> np.ndarray:
    """Return how many rows each class keeps: all, or, of the largest classes, as many as make up `max_rows`."""
    if counts.sum() <= max_rows:
        return counts
    low, high = 1, int(counts.max())
    while low < high:  # the largest cap that is within the budget
        middle = (low + high + 1) // 2
        low, high = (middle, high) if np.minimum(counts, middle).sum() <= max_rows else (low, middle - 1)
    return np.minimum(counts, low)


# ---- The folds -------------------------------------------------------------------------------------------------------


def _cross_validated(
    table: _Table, names: list[str], splits: list[tuple[np.ndarray, np.ndarray]], rare: np.ndarray, verbose: int
) -> tuple[dict[str, dict[str, list[float]]], dict[str, float], list[str]]:
    """Return scores and seconds of each method that could be fitted, and notes about what happened."""
    scores: dict[str, dict[str, list[float]]] = {name: {metric: [] for metric in METRICS} for name in names}
    seconds, notes, start = dict.fromkeys(names, 0.0), [], time.perf_counter()

    def say(text: str) -> None:
        if verbose:
            print(text, file=sys.stderr, flush=True)  # noqa: T201

    slowest = "; RAE trains a network in each and takes the longest" if "rae" in names else ""
    say(f"{len(table.X):,} rows, {table.X.shape[1]} columns, {len(names)} methods, {len(splits)} folds{slowest}")
    for fold, (training, test) in enumerate(splits, start=1):
        part = table._replace(
            X=table.X.iloc[training].reset_index(drop=True),
            y=table.y[training],
            weights=None if table.weights is None else table.weights[training],
        )
        weights = np.ones(len(test)) if table.weights is None else table.weights[test]
        for name in list(scores):
            before = time.perf_counter()
            try:
                with warnings.catch_warnings(record=True) as caught:
                    warnings.simplefilter("always")
                    model = METHODS[name].fit(part)
                    decided, stated = model.predict(table.X.iloc[test]), model.predict_proba(table.X.iloc[test])
            except (TypeError, ValueError, RuntimeError, FloatingPointError) as error:
                if name == "none":
                    raise
                del scores[name]
                notes.append(f"{METHODS[name].title} is left out, for it failed: {' '.join(str(error).split())}")
                continue
            for warning in caught:
                text = f"{METHODS[name].title}: {' '.join(str(warning.message).split())}"
                if warning.category is UserWarning and text not in notes and fold == 1:
                    notes.append(text)
            truth, decided = (np.searchsorted(model.classes_, labels) for labels in (table.y[test], decided))
            for metric, value in _scores(truth, decided, stated, weights, rare).items():
                scores[name][metric].append(value)
            seconds[name] += time.perf_counter() - before
            if fold == 1:
                say(f"  {METHODS[name].title}: {time.perf_counter() - before:.1f} s")
        passed = time.perf_counter() - start
        left = passed / fold * (len(splits) - fold)
        say(f"fold {fold} of {len(splits)} done after {passed:.0f} s" + (f", about {left:.0f} s left" if left else ""))
    return scores, {name: seconds[name] for name in scores}, notes


def _scores(
    y: np.ndarray, decided: np.ndarray, stated: np.ndarray, weights: np.ndarray, rare: np.ndarray
) -> dict[str, float]:
    """Return `METRICS` of class numbers (n,), decisions (n,) and probabilities (n, C) of rows with weights (n,)."""
    n_classes = stated.shape[1]
    matrix = np.zeros((n_classes, n_classes))
    np.add.at(matrix, (y, decided), weights)
    hit, named, actual = matrix.diagonal(), matrix.sum(axis=0), matrix.sum(axis=1)
    recall, precision = hit / actual, hit / np.where(named == 0, 1, named)
    is_class = y[:, None] == np.arange(n_classes)
    of_rare = [(is_class[:, label], stated[:, label]) for label in rare]
    return {
        "balanced_accuracy": float(recall.mean()),
        "macro_f1": float((2 * hit / (named + actual)).mean()),
        "recall": float(recall[rare].mean()),
        "precision": float(precision[rare].mean()),
        "average_precision": float(
            np.mean([average_precision_score(*each, sample_weight=weights) for each in of_rare])
        ),
        "roc_auc": float(np.mean([roc_auc_score(*each, sample_weight=weights) for each in of_rare])),
        "brier": float(np.average(((stated - is_class) ** 2).sum(axis=1), weights=weights)),
        "false_alarms": float(1000 * (named[rare] - hit[rare]).sum() / weights.sum()),
    }


# ---- In words --------------------------------------------------------------------------------------------------------


def _advised(values: dict[str, list[float]], test_share: float) -> str:
    """Return the method that is advised by its values in each fold, of which more is better.

    It starts with "none". Then, step by step, the methods of a step are tested against the one that was come to, with
    Holm's correction for their number; of those that are better the one with the best mean takes its place.
    """
    current = "none"
    for step in dict.fromkeys(METHODS[name].step for name in values):
        names = [name for name in values if METHODS[name].step == step and name != "none"]
        if not names:
            continue
        found = [corrected_resampled_t(values[name], values[current], test_share=test_share) for name in names]
        better = [
            name
            for name, test, adjusted in zip(names, found, holm([test.p_value for test in found]), strict=True)
            if test.difference > 0 and adjusted < LEVEL
        ]
        current = max(better, key=lambda name: float(np.mean(values[name])), default=current)
    return current


def _sentence(
    goal: str,
    advised: str,
    scores: dict[str, dict[str, list[float]]],
    compared: Callable[..., ResampledTTest],
) -> str:
    """Return the advice with its evidence; `compared` tests a method against another, by the goal or a metric."""

    def mean(name: str, metric: str = goal) -> str:
        return ("{:.1f}" if metric == "false_alarms" else "{:.3f}").format(np.mean(scores[name][metric]))

    def interval(name: str, other: str) -> str:
        found = compared(name, other)
        return f"{found.difference:+.3f}, 95 % interval {found.low:+.3f} to {found.high:+.3f}"

    def gains(name: str, other: str) -> int:
        """Return 1 where a method is shown to be better than another, -1 where it is worse, 0 within the noise."""
        found = compared(name, other)
        return (-1 if goal == "brier" else 1) * (int(found.low > 0) - int(found.high < 0))

    title = GOALS[goal]
    ahead = sorted(scores, key=lambda name: float(np.mean(scores[name][goal])), reverse=goal != "brier")
    parts = [METHODS[advised].advice]
    if advised == "none":
        if ahead[0] == "none" or mean(ahead[0]) == mean("none"):
            parts[0] += f": nothing has a better {title} than the {mean('none')} of no resampling."
        else:
            parts[0] += (
                f": no method is shown to have a better {title} than the {mean('none')} of no resampling; the best "
                f"mean, {mean(ahead[0])} by {METHODS[ahead[0]].title}, may be noise ({interval(ahead[0], 'none')})."
            )
        if goal not in DECISIONS:
            parts.append("Where decisions are needed, calibrate, and choose the threshold by what errors cost.")
    else:
        parts[0] += f": {title} {mean(advised)} where no resampling has {mean('none')} ({interval(advised, 'none')})."
        if goal in DECISIONS:
            parts.append(
                f"Its price: {mean(advised, 'false_alarms')} false alarms in 1,000 rows instead of "
                f"{mean('none', 'false_alarms')}; recall of the rare {mean(advised, 'recall')} instead of "
                f"{mean('none', 'recall')}, precision {mean(advised, 'precision')} instead of "
                f"{mean('none', 'precision')}."
            )
        alike = [METHODS[name].title for name in ahead if name != advised and not gains(name, advised)]
        if alike:
            parts.append(f"Within the noise of it: {', '.join(alike)}.")
    samplers = [name for name in ahead if METHODS[name].step == "rows"]
    if samplers and METHODS[advised].step != "rows":
        first = samplers[0]
        verdict = {1: "is ahead", 0: "adds nothing beyond the noise", -1: "is behind"}[gains(first, advised)]
        parts.append(
            f"Resampling {verdict}: at best {mean(first)}, by {METHODS[first].title} ({interval(first, advised)})."
        )
    if samplers and goal != "brier":
        worst = max(samplers, key=lambda name: float(np.mean(scores[name]["brier"])))
        if compared(worst, "none", "brier").low > 0:
            parts.append(
                f"It also makes probabilities less true: Brier score {mean(worst, 'brier')} by {METHODS[worst].title}, "
                f"{mean('none', 'brier')} by no resampling."
            )
    return " ".join(parts)
