"""How good generated rows of a table are: could they be real, are they copies, do they help a classifier?"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from latentover.metrics.columns import correlation_ratio, cramers_v, kolmogorov_smirnov, spearman, total_variation
from latentover.metrics.copying import ColumnCopies, column_copies, row_copies
from latentover.metrics.judge import JudgeScore, judge_rows
from latentover.metrics.labels import as_labels
from latentover.metrics.neighbors import density_coverage, nearest_distances
from latentover.metrics.resampling_effect import ResamplingEffect, effect_of_folds
from latentover.metrics.table_results import ColumnQuality, Nearness, PairQuality, Picture, PointMass, TableQuality
from latentover.metrics.table_verdicts import known_or_zero
from latentover.metrics.table_views import View, as_frame, as_points, as_tree_rows, look_at, shares
from latentover.seeds import as_generator

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["table_quality"]

MAX_ROWS = 5000
"""Rows a side where every row is compared with every other, trees are grown or pairs of columns are looked at."""
MAX_PAIRED = 40
"""Columns whose pairs are looked at, those that differ most."""
BINS = 24
SHOWN_LEVELS = 8
POINT_MASS = 0.02
"""A number is a point mass from this share of the values on."""
MAX_DECIMALS = 6
FEWEST_SHOWN = 5
"""Of a value that fewer real rows have nothing is shown."""
REAL, NEW, HOLDOUT = range(3)


def table_quality(
    real: Any,
    new: Any,
    holdout: Any = None,
    *,
    y_real: ArrayLike | None = None,
    y_new: ArrayLike | None = None,
    y_holdout: ArrayLike | None = None,
    target: Any = None,
    dependencies: Any = None,
    identifiers: Sequence[Any] = (),
    class_counts: Mapping[Any, int] | None = None,
    new_counts: Mapping[Any, int] | None = None,
    effect: ResamplingEffect | Literal["auto"] | None = "auto",
    max_rows: int = MAX_ROWS,
    random_state: Any = 0,
) -> TableQuality:
    """Compare generated rows of a table with the real rows that they were learned from, and with held-out ones.

    New rows are compared with real rows of their own classes, each class with the same weight on both sides. Columns
    that only tell rows apart (`identifiers`, and text with a value of its own in most rows) are looked at for copies
    alone.

    Parameters
    ----------
    real : table of shape (n_real, d)
        What the generator was fitted to, rows of all classes: an array, or a frame of numbers, times and levels.
    new : table of shape (n_new, d)
        What it made.
    holdout : table of shape (n_holdout, d), optional
        Real rows that the generator has not seen, of all classes. Every score is then given for them too, which is what
        fresh rows would have. Without them the judge sees rows that were learned from, and nothing is said of what the
        new rows do to a classifier.
    y_real, y_new, y_holdout : array-like of shape (n,), optional
        Labels.
    target : column, optional
        The label column of the tables, instead of labels of their own. Without labels all rows are of one class.
    dependencies : mapping of str to float, or object with ``violations``, optional
        Share of new rows that break each dependency; or an object whose ``violations(frame)`` returns that.
    identifiers : sequence of columns
        Columns that name rows, such as account numbers.
    class_counts, new_counts : mapping of label to int, optional
        Real and new rows of each class in the whole table, if `real`, `holdout` and `new` hold other shares of them:
        classifiers are then trained and scored at that ratio.
    effect : ResamplingEffect, "auto" or None, default="auto"
        What the rows do to a classifier, if it is known already, as by `resampling_effect`; "auto" asks the held-out
        rows, None leaves it out.
    max_rows : int, default=5000
        Rows a side for the judge, for pairs of columns and for distances.
    random_state : int, numpy Generator or None, default=0
        Of which rows are looked at, where there are more, and of the folds.

    Returns
    -------
    TableQuality

    Raises
    ------
    ValueError
        If tables have other columns than `real`, a side has no row, `new` is of a class that `real` does not have,
        or a column holds numbers in one table and something else in another.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from latentover.metrics import table_quality
    >>> rng = np.random.default_rng(0)
    >>> make = lambda n: pd.DataFrame({"amount": rng.exponential(size=n).round(2), "town": rng.choice(["A", "B"], n)})
    >>> quality = table_quality(make(300), make(200), make(300))
    >>> quality.n_new, bool(quality.judge.auc.low < 0.5), quality.verdicts[0].grade
    (200, True, 'good')
    """
    rng = as_generator(random_state)
    frames = [as_frame(real, "real"), as_frame(new, "new")]
    frames.append(frames[REAL].iloc[:0] if holdout is None else as_frame(holdout, "holdout"))
    frames, labels = _with_labels(frames, [y_real, y_new, y_holdout], target)
    _check_rows(frames, labels, identifiers)
    known = np.unique(labels[NEW])
    own = [np.isin(part, known) for part in labels]
    copies = column_copies(frames[REAL], frames[NEW], like=own[REAL])
    sides = [frame[rows].reset_index(drop=True) for frame, rows in zip(frames, own, strict=True)]
    classes = [part[rows] for part, rows in zip(labels, own, strict=True)]
    views, found = look_at(sides, identifiers)
    named = [*identifiers, *found]
    weights = _matched(classes, known)
    columns = tuple(_column_quality(view, weights) for view in views)
    compared = [column for column in frames[REAL].columns if column not in named]
    copied, usual_copied = _row_copies(frames, own, compared)
    usual_broken, broken = _violations(dependencies, sides)
    few = [rng.permutation(len(side))[:max_rows] for side in sides]
    if isinstance(effect, ResamplingEffect):
        outcome, reason = effect, ""
    else:
        reason = _no_effect(effect, labels, known)
        outcome = None
        if not reason:
            outcome = effect_of_folds(
                [list(zip(frames, labels, strict=True))],
                class_counts=class_counts,
                new_counts=new_counts,
                skip=named,
                random_state=rng,
            )
    return TableQuality(
        classes=() if _unlabelled(y_real, target) else tuple(map(str, known.tolist())),
        n_real=len(sides[REAL]),
        n_new=len(sides[NEW]),
        n_holdout=len(sides[HOLDOUT]),
        columns=columns,
        pairs=_pairs(views, columns, weights, few),
        judge=_judge(views, classes, max_rows, rng),
        nearness=_nearness(views, classes, max_rows, rng),
        copied_rows=copied,
        usual_copied_rows=usual_copied,
        copies=_ordered(copies, named),
        identifiers=tuple(map(str, named)),
        violations=broken,
        usual_violations=usual_broken,
        effect=outcome,
        effect_reason=reason,
        notes=_notes(sides, views, max_rows),
    )


# ---- What is compared ------------------------------------------------------------------------------------------------


def _unlabelled(y_real: Any, target: Any) -> bool:
    return y_real is None and target is None


def _with_labels(
    frames: list[pd.DataFrame], given: list[ArrayLike | None], target: Any
) -> tuple[list[pd.DataFrame], list[NDArray]]:
    """Return frames without the label column, their columns in the order of the first, and the labels."""
    names = ("real", "new", "holdout")
    labels: list[NDArray] = []
    for i, (name, frame, y) in enumerate(zip(names, frames, given, strict=True)):
        if y is not None:
            labels.append(as_labels(y, f"y_{name}"))
        elif target is not None:
            if target not in frame.columns:
                raise ValueError(
                    f"Expected *target* to be a column of *{name}*, but got {target!r} and the columns "
                    f"{list(frame.columns)[:20]}; pass its labels as y_{name}, or name the column."
                )
            labels.append(as_labels(frame[target].to_numpy(), f"{target!r} of {name}") if len(frame) else np.array([]))
        else:
            labels.append(np.zeros(len(frame), dtype=int))
        if len(labels[i]) != len(frame):
            raise ValueError(
                f"Expected a label a row, but got {len(labels[i])} labels for {len(frame)} rows of *{name}*."
            )
    if given[REAL] is None and target is None and any(y is not None for y in given):
        raise ValueError("Expected y_real beside the labels of the other tables, but got None; pass it, or no labels.")
    if (given[REAL] is not None) and given[NEW] is None and target is None:
        raise ValueError("Expected y_new beside y_real, but got None; pass the classes that new rows were made of.")
    if given[REAL] is not None and len(frames[HOLDOUT]) and given[HOLDOUT] is None and target is None:
        raise ValueError("Expected y_holdout beside y_real, but got None; pass the labels of the held-out rows.")
    frames = [frame.drop(columns=target) if target in frame.columns else frame for frame in frames]
    for name, frame in zip(names, frames, strict=True):
        lacking = [column for column in frames[REAL].columns if column not in frame.columns]
        more = [column for column in frame.columns if column not in frames[REAL].columns]
        if lacking or more:
            raise ValueError(
                f"Expected *{name}* to have the columns of *real*, but got "
                + (f"none named {lacking[0]!r}" if lacking else f"one more, {more[0]!r}")
                + "; pass tables of the same columns."
            )
    return [frame[frames[REAL].columns] for frame in frames], labels


def _check_rows(frames: Sequence[pd.DataFrame], labels: Sequence[NDArray], identifiers: Sequence[Any]) -> None:
    for name, frame in zip(("real", "new"), frames, strict=False):
        if not len(frame):
            raise ValueError(f"Expected *{name}* to have rows, but got none.")
    if not len(frames[REAL].columns):
        raise ValueError("Expected *real* to have columns beside the label, but got none.")
    unknown = [column for column in identifiers if column not in frames[REAL].columns]
    if unknown:
        raise ValueError(
            f"Expected *identifiers* to be columns of *real*, {list(frames[REAL].columns)[:20]}, but got "
            f"{unknown[0]!r}."
        )
    new = set(np.unique(labels[NEW]).tolist()) - set(np.unique(labels[REAL]).tolist())
    if new:
        raise ValueError(
            f"Expected the classes of *new* to be among those of *real*, {np.unique(labels[REAL]).tolist()[:20]}, but "
            f"got {sorted(new, key=str)[0]!r}; give both the same labels, of the same type."
        )


def _matched(classes: Sequence[NDArray], known: NDArray) -> list[NDArray]:
    """Return weights of rows that give each class one share in all tables: that of the fewer of its rows."""
    counts = np.array([[int((part == label).sum()) for label in known] for part in classes])
    wanted = counts[: HOLDOUT if not len(classes[HOLDOUT]) else None].min(axis=0).astype(float)
    wanted = np.where(wanted > 0, wanted, counts[REAL])
    weights = []
    for part, sizes in zip(classes, counts, strict=True):
        own = np.zeros(len(part))
        for label, size, n in zip(known, sizes, wanted, strict=True):
            own[part == label] = n / max(size, 1)
        weights.append(own)
    return weights


def _equal_numbers(classes: Sequence[NDArray], sides: Sequence[int], n: int, rng: np.random.Generator) -> list[NDArray]:
    """Draw rows of some tables, of each class equally many from each, about n at most altogether."""
    found: list[list[NDArray]] = [[] for _ in sides]
    known = np.unique(classes[NEW])
    sizes = {label: min(int((classes[side] == label).sum()) for side in sides) for label in known.tolist()}
    share = min(1.0, n / max(sum(sizes.values()), 1))
    for label, size in sizes.items():
        for rows, side in zip(found, sides, strict=True):
            members = np.flatnonzero(classes[side] == label)
            rows.append(rng.permutation(members)[: int(np.ceil(share * size))])
    return [np.concatenate(rows).astype(np.intp) for rows in found]


# ---- Columns and pairs -----------------------------------------------------------------------------------------------


def _column_quality(view: View, weights: Sequence[NDArray]) -> ColumnQuality:
    distance = total_variation if view.kind == "levels" else kolmogorov_smirnov

    def from_real(table: int) -> float:
        return distance(view.values[REAL], view.values[table], real_weights=weights[REAL], new_weights=weights[table])

    missing = [float(np.average(np.isnan(view.values[table]), weights=weights[table])) for table in (REAL, NEW)]
    of_real, of_new = (shares(view, table, weights[table]) for table in (REAL, NEW))
    return ColumnQuality(
        name=view.name,
        kind=view.kind,
        distance=from_real(NEW),
        usual=from_real(HOLDOUT) if len(view.values[HOLDOUT]) else None,
        missing_real=missing[0],
        missing_new=missing[1],
        finer=_finer(view, weights[NEW]) if view.kind == "number" else 0.0,
        points=_points(view, of_real, of_new),
        picture=_picture(view, weights, of_real, of_new),
    )


def _finer(view: View, weights: NDArray) -> float:
    """Return the share of new numbers with more decimals than any real one; 0 where those have more than 6."""
    real, new = (view.values[table] for table in (REAL, NEW))
    known, made = real[~np.isnan(real)], ~np.isnan(new)
    if not made.any():
        return 0.0
    for decimals in range(MAX_DECIMALS + 1):
        if _fits(known, decimals).all():
            return float(np.average(~_fits(new[made], decimals), weights=weights[made]))
    return 0.0


def _fits(values: NDArray, decimals: int) -> NDArray[np.bool_]:
    """Which numbers have so many decimals at most, but for how float32 and float64 hold them."""
    return np.abs(values - np.round(values, decimals)) <= 1e-7 * np.maximum(np.abs(values), 10.0**-decimals)


def _points(view: View, of_real: Mapping[float, float], of_new: Mapping[float, float]) -> tuple[PointMass, ...]:
    """The most frequent values of either side; of numbers, those that are a mass of their own."""
    if view.kind == "time":
        return ()
    largest = {value: max(of_real.get(value, 0.0), of_new.get(value, 0.0)) for value in {*of_real, *of_new}}
    shown = sorted(largest, key=lambda value: (-largest[value], value))[:5]
    if view.kind == "number":
        shown = [value for value in shown if largest[value] >= POINT_MASS]
    found = []
    for value in shown:
        n_real, n_new = (int((view.values[table] == value).sum()) for table in (REAL, NEW))
        if max(n_real, n_new) >= FEWEST_SHOWN and not 0 < n_real < FEWEST_SHOWN:
            label = view.labels[int(value)] if view.kind == "levels" else f"{value:.10g}"
            found.append(PointMass(label, of_real.get(value, 0.0), of_new.get(value, 0.0)))
    return tuple(found)


def _picture(
    view: View, weights: Sequence[NDArray], of_real: Mapping[float, float], of_new: Mapping[float, float]
) -> Picture:
    if view.kind == "levels":
        return _bars(view, of_real, of_new)
    whole = view.kind == "number" and all(value == round(value) for value in (*of_real, *of_new))
    return _histogram([view.values[table] for table in (REAL, NEW)], weights[:HOLDOUT], whole=whole)


def _bars(view: View, of_real: Mapping[float, float], of_new: Mapping[float, float]) -> Picture:
    """Shares of the most frequent levels, all others together; the hours and days in their order."""
    ordered = view.ordered
    codes = range(len(view.labels))
    shown = list(codes) if ordered else sorted(codes, key=lambda c: -max(of_real.get(c, 0), of_new.get(c, 0)))
    cut = len(shown) if ordered or len(shown) <= SHOWN_LEVELS + 1 else SHOWN_LEVELS
    labels = [view.labels[code] for code in shown[:cut]]
    sides = [[side.get(code, 0.0) for code in shown[:cut]] for side in (of_real, of_new)]
    if cut < len(shown):
        labels.append(f"{len(shown) - cut} others")
        for part, side in zip(sides, (of_real, of_new), strict=True):
            part.append(sum(side.get(code, 0.0) for code in shown[cut:]))
    return Picture(tuple(labels), (), tuple(sides[0]), tuple(sides[1]))


def _histogram(values: Sequence[NDArray], weights: Sequence[NDArray], *, whole: bool = False) -> Picture:
    """Bins from the lowest 1 % to the highest 99 % quantile of the sides; whole numbers that are few have one each."""
    known = [part[~np.isnan(part)] for part in values]
    ends = np.array([np.quantile(part, [0.01, 0.5, 0.99]) for part in known if len(part)])
    if not len(ends):
        return Picture((), (), (), ())
    low, middle, high = ends[:, 0].min(), np.median(ends[:, 1]), ends[:, 2].max()
    logarithmic = bool(low > 0 and high / low > 100 and high / max(middle, 1e-300) > 5)
    if high <= low:
        low, high = low - 0.5, high + 0.5
    if logarithmic:
        edges = np.geomspace(low, high, BINS + 1)
    elif whole and high - low < BINS:
        edges = np.arange(np.floor(low), np.ceil(high) + 2) - 0.5
    else:
        edges = np.linspace(low, high, BINS + 1)
    sides = []
    for part, own, w in zip(known, values, weights, strict=True):
        mass, _ = np.histogram(np.clip(part, edges[0], edges[-1]), edges, weights=w[~np.isnan(own)])
        sides.append(tuple((mass / max(mass.sum(), 1e-300)).tolist()))
    return Picture((), tuple(edges.tolist()), sides[0], sides[1], logarithmic)


def _pairs(
    views: Sequence[View], columns: Sequence[ColumnQuality], weights: Sequence[NDArray], few: Sequence[NDArray]
) -> tuple[PairQuality, ...]:
    order = sorted(range(len(views)), key=lambda i: -known_or_zero(columns[i].distance))[:MAX_PAIRED]
    has_holdout = len(few[HOLDOUT]) > 1
    found = []
    for i, j in combinations(sorted(order), 2):
        kind, score = _association(views[i], views[j])
        values = [
            score(views[i].values[table][rows], views[j].values[table][rows], weights[table][rows])
            for table, rows in enumerate(few)
            if table != HOLDOUT or has_holdout
        ]
        real, new, *rest = (known_or_zero(value) for value in values)
        usual = abs(rest[0] - real) if rest else None
        found.append(PairQuality(views[i].name, views[j].name, kind, real, new, usual))
    return tuple(sorted(found, key=lambda pair: -pair.difference))


def _association(first: View, second: View) -> tuple[str, Any]:
    levels = first.kind == "levels", second.kind == "levels"
    if all(levels):
        return "cramers_v", lambda x, y, w: cramers_v(x, y, weights=w)
    if not any(levels):
        return "spearman", lambda x, y, w: spearman(x, y, weights=w)
    if levels[0]:
        return "correlation_ratio", lambda x, y, w: correlation_ratio(x, y, weights=w)
    return "correlation_ratio", lambda x, y, w: correlation_ratio(y, x, weights=w)


# ---- Rows ------------------------------------------------------------------------------------------------------------


def _judge(views: Sequence[View], classes: Sequence[NDArray], n: int, rng: np.random.Generator) -> JudgeScore:
    held_out = len(classes[HOLDOUT]) > 0
    side = HOLDOUT if held_out else REAL
    if not views:
        return JudgeScore(None, 0, held_out, "There are no columns but such as tell rows apart.")
    chosen = _equal_numbers(classes, [side, NEW], n, rng)
    real, new = (as_tree_rows(views, table)[0][own] for table, own in zip((side, NEW), chosen, strict=True))
    strata = np.concatenate([classes[side][chosen[0]], classes[NEW][chosen[1]]])
    categorical = as_tree_rows(views, REAL)[1]
    return judge_rows(real, new, categorical, strata, held_out=held_out, random_state=int(rng.integers(2**31)))


def _nearness(views: Sequence[View], classes: Sequence[NDArray], n: int, rng: np.random.Generator) -> Nearness | None:
    held_out = len(classes[HOLDOUT]) > 1
    if not views or len(classes[REAL]) < 2 or len(classes[NEW]) < 2:
        return None
    points = as_points(views, [REAL, NEW, HOLDOUT])
    real_rows = rng.permutation(len(classes[REAL]))[:n]
    sides = [NEW, HOLDOUT] if held_out else [NEW]
    drawn = _equal_numbers(classes, sides, n, rng)
    if len(drawn[0]) < 2:
        return None
    real, new = points[REAL][real_rows], points[NEW][drawn[0]]
    to_real = nearest_distances(new, real)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # few or repeated rows, which the numbers beside them share
        k = min(5, len(real) - 1)
        of_new = density_coverage(real, new, k, deduplicate=len(np.unique(real, axis=0)) > k)
        usual: dict[str, float | None] = dict.fromkeys(("median", "low", "density", "coverage"))
        nearer_than_usual = nearer_to_real = picture = None
        if held_out:
            unseen = points[HOLDOUT][drawn[1]]
            others = nearest_distances(unseen, real)
            of_unseen = density_coverage(real, unseen, k, deduplicate=len(np.unique(real, axis=0)) > k)
            usual = {
                "median": float(np.median(others)),
                "low": float(np.quantile(others, 0.05)),
                "density": float(of_unseen.density),
                "coverage": float(of_unseen.coverage),
            }
            picture = _histogram([others, to_real], [np.ones(len(others)), np.ones(len(to_real))])
            middle = float(np.median(others))
            nearer_than_usual = float(np.mean(to_real < middle) + 0.5 * np.mean(to_real == middle))
            near_rows = _equal_numbers([classes[REAL], classes[NEW], classes[HOLDOUT]], [REAL, HOLDOUT], n, rng)
            near = nearest_distances(new, points[REAL][near_rows[0]])
            far = nearest_distances(new, points[HOLDOUT][near_rows[1]])
            nearer_to_real = float(np.mean((near < far) + 0.5 * (near == far)))
    return Nearness(
        median=float(np.median(to_real)),
        low=float(np.quantile(to_real, 0.05)),
        usual_median=usual["median"],
        usual_low=usual["low"],
        nearer_than_usual=nearer_than_usual,
        nearer_to_real=nearer_to_real,
        density=float(of_new.density),
        coverage=float(of_new.coverage),
        usual_density=usual["density"],
        usual_coverage=usual["coverage"],
        n_real=len(real),
        n=len(new),
        picture=picture,
    )


def _row_copies(frames: Sequence[pd.DataFrame], own: Sequence[NDArray], compared: list[Any]) -> tuple[float, float]:
    if not compared:
        return 0.0, 0.0
    parts = [frame[compared] for frame in frames]
    copied = float(row_copies(parts[REAL], parts[NEW]).mean())
    if own[HOLDOUT].any():
        return copied, float(row_copies(parts[REAL], parts[HOLDOUT][own[HOLDOUT]]).mean())
    return copied, float(parts[REAL].duplicated(keep=False).to_numpy()[own[REAL]].mean())


def _violations(dependencies: Any, sides: Sequence[pd.DataFrame]) -> tuple[dict[str, float], dict[str, float]]:
    """Return shares of real and of new rows that break each dependency."""
    if dependencies is None:
        return {}, {}
    if hasattr(dependencies, "violations"):
        found = [dependencies.violations(sides[side]) for side in (REAL, NEW)]
        real, new = ({str(text): float(share) for text, share in part.items()} for part in found)
        return real, new
    return {}, {str(text): float(share) for text, share in dict(dependencies).items()}


def _ordered(copies: Mapping[Any, ColumnCopies], named: Sequence[Any]) -> dict[str, ColumnCopies]:
    order = sorted(copies, key=lambda column: (column not in named, -copies[column].copied))
    return {str(column): copies[column] for column in order}


def _no_effect(effect: Any, labels: Sequence[NDArray], known: NDArray) -> str:
    if effect is None:
        return "It was not asked for."
    there = [set(np.unique(part).tolist()) for part in labels]
    if len(there[REAL]) < 2:
        return "That takes real rows of two classes or more, with their labels."
    if not len(labels[HOLDOUT]):
        return "That takes held-out rows of all classes."
    lacking = sorted(map(str, set(known.tolist()) - there[HOLDOUT]))
    if len(there[HOLDOUT]) < 2 or lacking:
        return f"That takes held-out rows of all classes, but there are none of {', '.join(lacking) or 'a second one'}."
    extra = there[HOLDOUT] - there[REAL]
    return f"The held-out rows hold a class that real rows lack: {sorted(map(str, extra))[0]}." if extra else ""


def _notes(sides: Sequence[pd.DataFrame], views: Sequence[View], max_rows: int) -> tuple[str, ...]:
    notes = []
    if not len(sides[HOLDOUT]):
        notes.append(
            "Without held-out rows the judge compares with rows that the generator has learned from: copies would pass."
        )
    if max(map(len, sides)) > max_rows:
        notes.append(f"Judge, pairs and distances look at {max_rows:,} rows a side, drawn at random.")
    if len(views) > MAX_PAIRED:
        notes.append(f"Pairs are those of the {MAX_PAIRED} columns that differ most, of {len(views)}.")
    return tuple(notes)
