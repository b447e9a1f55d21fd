"""What new rows do to a classifier where it counts: on real rows it has not seen, with the classes as rare as they are.

Over-sampling moves a classifier's probabilities. Much of what it seems to win at the usual threshold of one half is won
by another threshold alone, so every score is given with a tuned one too.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from latentover.metrics.intervals import Estimate
from latentover.metrics.judge import fit_boosting, plain_estimate
from latentover.metrics.labels import as_labels
from latentover.metrics.table_views import as_frame, as_points, as_tree_rows, look_at
from latentover.notebook import note, page, table
from latentover.seeds import as_generator

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["CLASSIFIERS", "EffectRow", "EffectScores", "ResamplingEffect", "effect_of_folds", "resampling_effect"]

CLASSIFIERS = {"boosting": "Gradient boosting", "logistic": "Logistic regression"}
_HEAD = ("classifier", "trained on", "threshold", "bal. acc.", "recall", "precision", "AUPRC", "Brier", "alarms")
INNER_FOLDS = 3
RESAMPLES = 300
LEVEL = 0.95
_EXPONENTS = np.linspace(-0.5, 1.5, 21)
"""Of the class shares by which probabilities are divided, where there are more than two classes to decide between."""


class EffectScores(NamedTuple):
    """Scores on real test rows at the natural class ratio.

    Attributes
    ----------
    balanced_accuracy : float
        Mean recall of the classes (ACSA).
    recall, precision : float
        Of the rare class; of more than two classes their mean, a class that is never predicted with precision 0.
    auprc : float
        Average precision of the rare class; of more than two classes the mean over all, each against the others.
    brier : float
        Mean squared error of the probabilities, summed over classes; 0 to 2.
    false_alarms : float
        Rows that are taken for a rare class and are not of it, of 1,000 rows.
    """

    balanced_accuracy: float
    recall: float
    precision: float
    auprc: float
    brier: float
    false_alarms: float


@dataclass(frozen=True)
class EffectRow:
    """The scores of one classifier, trained in one way and deciding in one way.

    Attributes
    ----------
    classifier : {"boosting", "logistic"}
    new_rows : bool
        Whether it was trained on the new rows too.
    tuned : bool
        Whether its threshold was tuned for balanced accuracy, by cross-validation within the training rows; False is
        the class of the highest probability.
    scores : EffectScores
    """

    classifier: str
    new_rows: bool
    tuned: bool
    scores: EffectScores


@dataclass(frozen=True, repr=False)
class ResamplingEffect:
    """What adding new rows to the training rows does to classifiers; `print` shows it as a table.

    Attributes
    ----------
    classes : tuple of str
    rare : tuple of str
        Classes that new rows were made of; of two classes the rarer one alone where they were made of both.
    n_train, n_new, n_test : int
        Rows that a classifier was trained on, new ones, and real rows that were scored, all folds together.
    folds : int
        1 for held-out rows.
    rows : tuple of EffectRow
    differences : dict of str to dict of str to Estimate
        By classifier: ``auprc`` and ``tuned_balanced_accuracy`` with the new rows less without them, and a bootstrap
        interval over the test rows.
    """

    classes: tuple[str, ...]
    rare: tuple[str, ...]
    n_train: int
    n_new: int
    n_test: int
    folds: int
    rows: tuple[EffectRow, ...]
    differences: Mapping[str, Mapping[str, Estimate]]

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each classifier, training and threshold."""
        import pandas as pd

        return pd.DataFrame(
            [
                {
                    "classifier": row.classifier,
                    "new_rows": row.new_rows,
                    "tuned": row.tuned,
                    **row.scores._asdict(),
                }
                for row in self.rows
            ]
        )

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as JSON-able values."""
        found = asdict(self)
        found["rows"] = [{**asdict(row), "scores": _plain(row.scores._asdict())} for row in self.rows]
        found["differences"] = {
            name: {score: plain_estimate(estimate) for score, estimate in scores.items()}
            for name, scores in self.differences.items()
        }
        return found

    def __repr__(self) -> str:
        lines = [
            f"{classifier:<20}{trained:<13}{threshold:<11}{accuracy:>9}{recall:>8}{precision:>11}{auprc:>8}{brier:>8}"
            f"{alarms:>8}"
            for classifier, trained, threshold, accuracy, recall, precision, auprc, brier, alarms in [
                _HEAD,
                *self._cells(),
            ]
        ]
        return "\n".join([*lines, self._legend()])

    def _repr_html_(self) -> str:
        return page(table(_HEAD, self._cells(), words=3), note(self._legend()))

    def _cells(self) -> list[tuple[str, ...]]:
        return [
            (
                CLASSIFIERS[row.classifier],
                "with new" if row.new_rows else "real",
                "tuned" if row.tuned else "usual",
                *(f"{value:.3f}" for value in (s.balanced_accuracy, s.recall, s.precision, s.auprc)),
                f"{s.brier:.4f}",
                f"{s.false_alarms:.1f}",
            )
            for row in self.rows
            for s in (row.scores,)
        ]

    def _legend(self) -> str:
        source = "held-out rows" if self.folds == 1 else f"rows in {self.folds} folds"
        return f"on {self.n_test:,} {source}; alarms: false ones per 1,000 rows"


def resampling_effect(
    X: Any,
    y: ArrayLike,
    sampler: Any,
    *,
    folds: int = 3,
    max_rows: int = 20_000,
    random_state: Any = 0,
) -> ResamplingEffect:
    """Compare classifiers trained on a table and on the table with a sampler's new rows, by cross-validation.

    The sampler is fitted anew in each fold, to the training rows alone; test rows are real and as imbalanced as they
    came.

    Parameters
    ----------
    X : table of shape (n, d)
        An array, or a frame of mixed columns.
    y : array-like of shape (n,)
    sampler : over-sampler
        With ``fit_resample``, whose result begins with the rows that it was given, as that of latentover and most of
        imbalanced-learn. It is cloned.
    folds : int, default=3
    max_rows : int, default=20_000
        Of more rows so many are looked at, with the class shares of all.
    random_state : int, numpy Generator or None, default=0

    Returns
    -------
    ResamplingEffect

    Raises
    ------
    ValueError
        If there is one class, or a class has fewer rows than there are folds.

    Examples
    --------
    >>> import numpy as np
    >>> from imblearn.over_sampling import RandomOverSampler
    >>> from latentover.metrics import resampling_effect
    >>> rng = np.random.default_rng(0)
    >>> X, y = rng.normal(size=(300, 2)), np.repeat([0, 1], [270, 30])
    >>> X[270:] += 1.5
    >>> effect = resampling_effect(X, y, RandomOverSampler(random_state=0))
    >>> effect.n_test, effect.rare, len(effect.rows)
    (300, ('1',), 8)
    """
    from sklearn.base import clone
    from sklearn.model_selection import StratifiedKFold

    frame, labels = as_frame(X, "X"), as_labels(y, "y")
    if len(frame) != len(labels):
        raise ValueError(f"Expected a label a row, but got {len(labels)} labels for {len(frame)} rows of *X*.")
    rng = as_generator(random_state)
    frame, labels = _thinned(frame, labels, max_rows, rng)
    classes, counts = np.unique(labels, return_counts=True)
    if len(classes) < 2 or counts.min() < folds:
        raise ValueError(
            f"Expected *y* to hold at least 2 classes of at least {folds} rows, one for each fold, but got "
            f"{dict(zip(classes.tolist(), counts.tolist(), strict=True))}; pass more rows or fewer folds."
        )
    seed = int(rng.integers(2**31))
    is_frame = hasattr(X, "columns")
    parts = []
    for fitted, tested in StratifiedKFold(folds, shuffle=True, random_state=seed).split(frame, labels):
        train, own = frame.iloc[fitted].reset_index(drop=True), labels[fitted]
        fresh = clone(sampler)
        if "random_state" in fresh.get_params():
            fresh.set_params(random_state=seed)
        rows, made = fresh.fit_resample(train if is_frame else train.to_numpy(), own)
        made = np.asarray(made)
        if len(made) < len(own) or (made[: len(own)] != own).any():
            raise ValueError(
                "Expected *sampler* to return the rows that it was given and new ones below them, but got "
                f"{type(sampler).__name__}, which leaves rows out or moves them; compare it by a pipeline."
            )
        new, y_new = as_frame(rows, "X").iloc[len(own) :].reset_index(drop=True), made[len(own) :]
        parts.append([(train, own), (new, y_new), (frame.iloc[tested].reset_index(drop=True), labels[tested])])
    return effect_of_folds(parts, max_rows=max_rows, random_state=rng)


Parts = Sequence[tuple["pd.DataFrame", NDArray]]


def effect_of_folds(
    folds: Sequence[Parts],
    *,
    class_counts: Mapping[Any, int] | None = None,
    new_counts: Mapping[Any, int] | None = None,
    skip: Sequence[Any] = (),
    max_rows: int = 20_000,
    random_state: Any = 0,
) -> ResamplingEffect:
    """Compare classifiers trained on real rows and on real and new ones, on held-out rows of one fold or more.

    Parameters
    ----------
    folds : sequence of 3 (frame, labels)
        Of each fold real rows, new rows that were made from them, held-out rows.
    class_counts, new_counts : mapping of label to int, optional
        Real and new rows of each class in the whole table, if what is passed holds other shares of them. Rows are then
        weighted to these, in training and in the scores.
    skip : sequence of columns
        Not learned from, such as identifiers.
    max_rows : int, default=20_000
        Of more rows in a part so many are looked at, with the class shares of all.
    random_state : int, numpy Generator or None, default=0
    """
    rng = as_generator(random_state)
    classes = np.unique(folds[0][0][1])
    seed = int(rng.integers(2**31))
    totals = (class_counts, new_counts, class_counts)
    outcomes = []
    for real, new, test in folds:
        share = min(1.0, max_rows / len(real[0]))
        limits = (max_rows, max(1, round(share * len(new[0]))), max_rows)
        parts = [_thinned(*part, n, rng) for part, n in zip((real, new, test), limits, strict=True)]
        outcomes.append(_outcome(parts, classes, seed, totals=totals, skip=skip))
    return _scored(outcomes, classes)


def _thinned(frame: pd.DataFrame, labels: NDArray, n: int, rng: np.random.Generator) -> tuple[pd.DataFrame, NDArray]:
    """Return at most about n rows, each class with its share but at least with 10 rows."""
    if len(frame) <= n:
        return frame, labels
    kept = []
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        kept.append(rng.permutation(rows)[: max(10, round(n * len(rows) / len(frame)))])
    chosen = np.sort(np.concatenate(kept))
    return frame.iloc[chosen].reset_index(drop=True), labels[chosen]


# ---- One training and one test part ----------------------------------------------------------------------------------


class _Rows(NamedTuple):
    X: NDArray
    y: NDArray
    w: NDArray

    def of(self, chosen: NDArray) -> _Rows:
        return _Rows(*(part[chosen] for part in self))

    def and_(self, other: _Rows) -> _Rows:
        return _Rows(*(np.concatenate(pair) for pair in zip(self, other, strict=True)))


class _Decided(NamedTuple):
    """Probabilities (n, C), and classes by the highest of them and by the tuned threshold, which may be missing."""

    probabilities: NDArray
    usual: NDArray
    tuned: NDArray | None


class _Outcome(NamedTuple):
    """What became of one test part, by classifier and whether it was trained on the new rows."""

    y: NDArray
    w: NDArray
    decided: dict[tuple[str, bool], _Decided]
    rare: NDArray
    n_train: int
    n_new: int


def _outcome(
    parts: Parts,
    classes: NDArray,
    seed: int,
    *,
    totals: Sequence[Mapping[Any, int] | None] = (None, None, None),
    skip: Sequence[Any] = (),
) -> _Outcome:
    """Train on the first of the parts (training, new, test) and on the first two, and predict the third."""
    views, _ = look_at([frame for frame, _ in parts], skip)
    if not views:
        raise ValueError("Expected columns to learn from, but got only identifiers and text; pass some that say more.")
    codes = [np.searchsorted(classes, labels) for _, labels in parts]
    weights = [_weights(own, classes, total) for own, total in zip(codes, totals, strict=True)]
    weights = [own / weights[0].mean() for own in weights]
    points, trees = as_points(views, [0, 1, 2]), [as_tree_rows(views, table) for table in range(3)]
    parents = _nearest_of_class(points[0], codes[0], points[1], codes[1])
    decided = {}
    for name, inputs in (("boosting", [rows for rows, _ in trees]), ("logistic", points)):
        real, new, test = (_Rows(*columns) for columns in zip(inputs, codes, weights, strict=True))
        for new_rows in (False, True):
            more = new if new_rows else new.of(np.arange(0))
            learner = _Learner(name, trees[0][1], len(classes), seed)
            probabilities = learner.fit(real.and_(more))(test.X)
            rule = _tuned_rule(learner, real, more, parents)
            tuned = None if rule is None else rule(probabilities)
            decided[name, new_rows] = _Decided(probabilities, probabilities.argmax(axis=1), tuned)
    natural = np.bincount(codes[0], weights[0], len(classes))
    made = np.bincount(codes[1], minlength=len(classes)) > 0
    return _Outcome(codes[2], weights[2], decided, _rare(made, natural), len(codes[0]), len(codes[1]))


def _weights(codes: NDArray, classes: NDArray, total: Mapping[Any, int] | None) -> NDArray:
    """Return for each row how many rows of the whole table it stands for."""
    if total is None:
        return np.ones(len(codes))
    wanted = np.array([total.get(label, 0) for label in classes.tolist()], dtype=np.float64)
    return (wanted / np.maximum(np.bincount(codes, minlength=len(classes)), 1))[codes]


def _rare(made: NDArray, natural: NDArray) -> NDArray:
    """Return the numbers of the classes that count as rare: those that new rows were made of."""
    if made.any() and not made.all():
        return np.flatnonzero(made)
    return np.array([int(np.argmin(natural))]) if len(natural) == 2 else np.flatnonzero(natural < natural.max())


def _nearest_of_class(real: NDArray, y_real: NDArray, new: NDArray, y_new: NDArray) -> NDArray:
    """Return for each new row the number of the real row of its class that is nearest to it."""
    from sklearn.neighbors import NearestNeighbors

    nearest = np.zeros(len(new), dtype=np.intp)
    for code in np.unique(y_new):
        rows, own = np.flatnonzero(y_real == code), y_new == code
        search = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(real[rows])
        nearest[own] = rows[search.kneighbors(new[own], return_distance=False)[:, 0]]
    return nearest


@dataclass(frozen=True)
class _Learner:
    name: str
    categorical: list[bool]
    n_classes: int
    seed: int

    def fit(self, rows: _Rows) -> Callable[[NDArray], NDArray]:
        """Return the function that gives probabilities (n, n_classes)."""
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression

        if self.name == "boosting":
            model = fit_boosting(rows.X, rows.y, self.categorical, random_state=self.seed, weights=rows.w)
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                model = LogisticRegression(max_iter=300).fit(rows.X, rows.y, sample_weight=rows.w)

        def predict(X: NDArray) -> NDArray:
            probabilities = np.zeros((len(X), self.n_classes))
            probabilities[:, model.classes_] = model.predict_proba(X)
            return probabilities

        return predict


def _tuned_rule(learner: _Learner, real: _Rows, new: _Rows, parents: NDArray) -> Callable[[NDArray], NDArray] | None:
    """Return how to decide for the best balanced accuracy of real rows that were left out; None where they are too few.

    A new row goes with the real row that it is nearest to, so that no row is left out whose likely children are seen.
    """
    from sklearn.model_selection import StratifiedKFold

    if np.bincount(real.y, minlength=learner.n_classes).min() < INNER_FOLDS:
        return None
    unseen = np.empty((len(real.y), learner.n_classes))
    folds = StratifiedKFold(INNER_FOLDS, shuffle=True, random_state=learner.seed)
    for fitted, tested in folds.split(real.X, real.y):
        kept = np.zeros(len(real.y), dtype=bool)
        kept[fitted] = True
        more = new.of(kept[parents]) if len(new.y) else new
        unseen[tested] = learner.fit(real.of(fitted).and_(more))(real.X[tested])
    if learner.n_classes == 2:
        threshold = best_threshold(real.y == 1, unseen[:, 1])
        return lambda probabilities: (probabilities[:, 1] >= threshold).astype(np.intp)
    prior = np.log(np.bincount(real.y, real.w, learner.n_classes) / real.w.sum())

    def decide(probabilities: NDArray, exponent: float) -> NDArray:
        return (np.log(np.maximum(probabilities, 1e-12)) - exponent * prior).argmax(axis=1)

    scores = [_recalls(real.y, decide(unseen, t), real.w, learner.n_classes).mean() for t in _EXPONENTS]
    best = float(_EXPONENTS[int(np.argmax(scores))])
    return lambda probabilities: decide(probabilities, best)


def best_threshold(hit: NDArray[np.bool_], score: NDArray) -> float:
    """Return the threshold whose decisions ``score >= threshold`` have the best balanced accuracy.

    Examples
    --------
    >>> import numpy as np
    >>> best_threshold(np.array([False, False, True, True]), np.array([0.1, 0.2, 0.4, 0.9]))
    0.30000000000000004
    """
    order = np.argsort(-score, kind="stable")
    found, alarms = np.cumsum(hit[order]) / max(hit.sum(), 1), np.cumsum(~hit[order]) / max((~hit).sum(), 1)
    falling = score[order]
    ends = np.append(falling[1:] != falling[:-1], True)  # no threshold lies between equal scores
    gain = np.where(ends, found - alarms, -np.inf)
    place = int(np.argmax(gain))
    below = falling[place + 1] if place + 1 < len(falling) else 0.0
    return float((falling[place] + below) / 2)


# ---- Scores ----------------------------------------------------------------------------------------------------------


def _scored(outcomes: Sequence[_Outcome], classes: NDArray) -> ResamplingEffect:
    y, w = (np.concatenate([getattr(outcome, name) for outcome in outcomes]) for name in ("y", "w"))
    rare = np.unique(np.concatenate([outcome.rare for outcome in outcomes]))
    rows, curves, hits = [], {}, {}
    for key in outcomes[0].decided:
        decided = [outcome.decided[key] for outcome in outcomes]
        probabilities = np.concatenate([each.probabilities for each in decided])
        curves[key] = [
            _Curve(y == c, probabilities[:, c]) for c in (rare if len(classes) == 2 else range(len(classes)))
        ]
        ways = {False: [each.usual for each in decided]}
        if all(each.tuned is not None for each in decided):
            ways[True] = [each.tuned for each in decided if each.tuned is not None]
        for tuned, parts in ways.items():
            predicted = np.concatenate(parts)
            scores = _scores(y, w, probabilities, predicted, curves[key], rare, len(classes))
            rows.append(EffectRow(*key, tuned, scores))
            hits[key] = predicted == y  # the last: tuned where there is a tuned one
    return ResamplingEffect(
        classes=tuple(map(str, classes.tolist())),
        rare=tuple(str(classes[code]) for code in rare.tolist()),
        n_train=sum(outcome.n_train for outcome in outcomes),
        n_new=sum(outcome.n_new for outcome in outcomes),
        n_test=len(y),
        folds=len(outcomes),
        rows=tuple(rows),
        differences=_differences(y, w, curves, hits, len(classes)),
    )


class _Curve:
    """The curve of precision over recall of one class, for any weights of the rows."""

    def __init__(self, hit: NDArray[np.bool_], score: NDArray) -> None:
        self.order = np.argsort(-score, kind="stable")
        self.hit = hit[self.order]
        falling = score[self.order]
        self.ends = np.flatnonzero(np.append(falling[1:] != falling[:-1], True))

    def average_precision(self, weights: NDArray) -> float:
        w = weights[self.order]
        found, taken = np.cumsum(w * self.hit)[self.ends], np.cumsum(w)[self.ends]
        if not found[-1] > 0:
            return float("nan")
        precision = np.divide(found, taken, out=np.zeros_like(found), where=taken > 0)
        return float((np.diff(found, prepend=0.0) * precision).sum() / found[-1])


def _recalls(y: NDArray, predicted: NDArray, w: NDArray, n_classes: int) -> NDArray:
    """Return the recalls of the classes that are there."""
    total = np.bincount(y, w, n_classes)
    return (np.bincount(y, w * (predicted == y), n_classes) / np.maximum(total, 1e-300))[total > 0]


def _scores(
    y: NDArray,
    w: NDArray,
    probabilities: NDArray,
    predicted: NDArray,
    curves: Sequence[_Curve],
    rare: NDArray,
    n_classes: int,
) -> EffectScores:
    table = np.bincount(y * n_classes + predicted, w, n_classes**2).reshape(n_classes, n_classes)
    there, right = table.sum(axis=1), np.diagonal(table)
    recall = np.divide(right, there, out=np.full(n_classes, np.nan), where=there > 0)
    taken = table.sum(axis=0)
    precision = np.divide(right, taken, out=np.zeros(n_classes), where=taken > 0)
    counted = rare if n_classes == 2 else np.flatnonzero(there > 0)
    squares = ((probabilities - np.eye(n_classes)[y]) ** 2).sum(axis=1)
    return EffectScores(
        balanced_accuracy=float(np.nanmean(recall)),
        recall=float(recall[counted].mean()),
        precision=float(precision[counted].mean()),
        auprc=float(np.nanmean([curve.average_precision(w) for curve in curves])),
        brier=float(np.average(squares, weights=w)),
        false_alarms=float(1000 * (taken - right)[rare].sum() / w.sum()),
    )


def _differences(
    y: NDArray, w: NDArray, curves: Mapping[Any, Sequence[_Curve]], hits: Mapping[Any, NDArray], n_classes: int
) -> dict[str, dict[str, Estimate]]:
    """With the new rows less without them; test rows are drawn anew within each class."""
    rng = np.random.default_rng(0)
    members = [np.flatnonzero(y == code) for code in np.unique(y)]

    def differences(weights: NDArray) -> list[tuple[float, float]]:
        found = []
        for name in CLASSIFIERS:
            area = [
                np.nanmean([curve.average_precision(weights) for curve in curves[name, new_rows]])
                for new_rows in (False, True)
            ]
            accuracy = [
                np.mean([np.average(hits[name, new_rows][rows], weights=weights[rows]) for rows in members])
                for new_rows in (False, True)
            ]
            found.append((float(area[1] - area[0]), float(accuracy[1] - accuracy[0])))
        return found

    values, draws = np.array(differences(w)), []
    for _ in range(RESAMPLES):
        times = np.zeros(len(y))
        for rows in members:
            times[rows] = np.bincount(rng.integers(0, len(rows), len(rows)), minlength=len(rows))
        draws.append(differences(w * times))
    low, high = np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return {
        name: {
            score: Estimate(float(values[i, j]), float(low[i, j]), float(high[i, j]))
            for j, score in enumerate(("auprc", "tuned_balanced_accuracy"))
        }
        for i, name in enumerate(CLASSIFIERS)
    }


def _plain(scores: Mapping[str, float]) -> dict[str, float | None]:
    return {name: None if value != value else float(value) for name, value in scores.items()}
