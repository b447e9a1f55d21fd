"""What the page's script draws from: the numbers of all panels, rounded to what can be seen, ready for JSON.

A panel is drawn by ``report.js`` when it comes into view, once for both themes: its colours are those of the page. So
the page holds numbers and no pictures, and a hundred methods cost no more than their numbers.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentover.displays.curves import is_logarithmic
from latentover.displays.recall import rows_of_classes
from latentover.report.margins import (
    class_accuracies,
    gap_points,
    tracked_curves,
    tracked_part,
)
from latentover.report.tables import METRIC_TITLES, differences, metric_title
from latentover.runs.collection import Run
from latentover.runs.comparison import LOWER_IS_BETTER, Row, split_title
from latentover.runs.folder import CURVES, MAP
from latentover.runs.groups import (
    Group,
    baseline_of,
    by_class,
    class_order,
    first_content,
    losses_of,
    pooled_reliability,
)
from latentover.runs.reading import Curve, Map
from latentover.text import natural, short_name

__all__ = ["final_losses", "json_for_html", "panel_data"]

CURVE_POINTS, LEAST_CURVE_POINTS, ALL_CURVE_POINTS = 300, 40, 160_000
"""Points of a curve at the most, at the least, and of all curves of a page together; longer ones are averaged."""
OPERATING_POINTS, LEAST_OPERATING_POINTS, ALL_OPERATING_POINTS = 101, 12, 40_000
MAP_POINTS, ALL_MAP_POINTS = 2_000, 60_000
LEVELS = 999
"""Steps between the lowest and the highest value of a panel: finer than a pixel."""


def json_for_html(data: Any) -> str:
    """Return JSON that may stand in a script element: it has no letter that ends one or that HTML knows."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def panel_data(runs: Sequence[Run], groups: Sequence[Group], splits: Sequence[str]) -> dict[str, Any]:
    """Return the numbers of one folder's panels.

    Parameters
    ----------
    runs : sequence of Run
    groups : sequence of Group
        The same by recipe.
    splits : sequence of str

    Returns
    -------
    dict
        ``methods``, ``baseline`` (a place among them, or None) and ``splits``; and where runs have it ``curves``,
        ``maps`` and ``tracked``, in each of which a method is named by its place.
    """
    baseline = baseline_of([group.row for group in groups])
    place = next((group.index for group in groups if group.row is baseline), None)
    return {
        "methods": [
            {
                "title": group.title,
                "seeds": [run.seed for run in group.runs],
                "fit": None if group.row.fit_seconds is None else _digits(group.row.fit_seconds),
            }
            for group in groups
        ],
        "baseline": place,
        "splits": [_split(groups, split, baseline, len(splits)) for split in splits],
        "curves": _curves(groups),
        "maps": _maps(groups),
        "tracked": _tracked(runs, groups),
    }


def _digits(value: float, digits: int = 4) -> float:
    """Return a number with four significant digits: what a tooltip shows."""
    return float(f"{value:.{digits}g}")


def _share(value: float | None) -> float | None:
    """Return a share in percent."""
    return None if value is None else round(100 * value, 2)


# ---- Scores ----------------------------------------------------------------------------------------------------------


def _split(groups: Sequence[Group], split: str, baseline: Row | None, n_splits: int) -> dict[str, Any]:
    scores = [run.scores(split) for group in groups for run in group.runs]
    metrics = [name for name in METRIC_TITLES if any(one.get(name) is not None for one in scores)]
    counts = groups[0].runs[0].metrics.get("train_counts") or {}
    order = class_order(groups, split)
    return {
        "id": split,
        "title": split_title(split),
        "metrics": [_metric(groups, split, name, baseline) for name in metrics],
        "classes": [short_name(name) for name in groups[0].runs[0].class_names(order)],
        "counts": [counts.get(label) for label in order],
        **{name: [_by_class(group, split, order, name) for group in groups] for name in ("recall", "precision")},
        "points": _points(groups, split, order, n_splits),
    }


def _metric(groups: Sequence[Group], split: str, metric: str, baseline: Row | None) -> dict[str, Any]:
    scale = 1 if metric == "brier" else 100
    return {
        "id": metric,
        "title": metric_title(metric),
        "unit": "" if scale == 1 else "%",
        "lower": metric in LOWER_IS_BETTER,
        "values": [
            [
                None if (value := run.scores(split).get(metric)) is None else round(scale * value, 3)
                for run in group.runs
            ]
            for group in groups
        ],
        "differences": [
            None if found is None else [round(number, 4) for number in found[:4]]
            for found in differences(groups, split, metric, baseline)
        ],
    }


# ---- Classes ---------------------------------------------------------------------------------------------------------


def _by_class(group: Group, split: str, order: Sequence[str], score: str) -> list[list[float | None]] | None:
    """Return a score of each class in percent, one value a seed."""
    found = by_class(group, split, order, score)
    return None if found is None else [[_share(value) for value in values] for values in found]


# ---- Thresholds ------------------------------------------------------------------------------------------------------


def _points(groups: Sequence[Group], split: str, order: Sequence[str], n_splits: int) -> dict[str, Any] | None:
    """Return what all seeds together find of each class from a threshold on, and how right they are when how sure."""
    found = [[own[split] for run in group.runs if split in (own := run.content(CURVES) or {})] for group in groups]
    if not any(found):
        return None
    labels = [
        label for label in order if any(one["label"] == label for runs in found for r in runs for one in r["classes"])
    ]
    budget = ALL_OPERATING_POINTS // max(1, n_splits * len(labels) * len(groups))
    most = min(OPERATING_POINTS, max(LEAST_OPERATING_POINTS, budget))
    return {
        "classes": [order.index(label) for label in labels],
        "curves": [[_pooled(runs, label, most) for label in labels] for runs in found],
        "reliability": [_reliability(runs) for runs in found],
    }


def _pooled(runs: Sequence[Mapping[str, Any]], label: str, most: int) -> dict[str, Any] | None:
    """Add the counts of all seeds at common thresholds."""
    known = [(run["n"], one) for run in runs for one in run["classes"] if one["label"] == label]
    if not known:
        return None
    every = np.unique(np.concatenate([one["thresholds"] for _, one in known]))
    chosen = every[np.unique(np.linspace(0, len(every) - 1, min(most, len(every))).round().astype(int))]
    sums = {name: np.zeros(len(chosen), int) for name in ("found", "false")}
    for _, one in known:
        at = np.searchsorted(one["thresholds"], chosen)  # the next threshold of its own: what is surely above
        for name, total in sums.items():
            total += np.append(one[name], 0)[at]
    return {
        "n": sum(one["n"] for _, one in known),
        "others": sum(n - one["n"] for n, one in known),
        "t": [_digits(float(value)) for value in chosen],
        **{name: total.tolist() for name, total in sums.items()},
    }


def _reliability(runs: Sequence[Mapping[str, Any]]) -> list[list[float]]:
    """Return for each bin that is not empty: samples, mean confidence and accuracy in percent, of all seeds."""
    bins = pooled_reliability([run["reliability"] for run in runs])
    if bins is None:
        return []
    return [[int(c), round(100 * x, 2), round(100 * y, 2)] for c, x, y in zip(*bins, strict=True) if c]


# ---- Curves ----------------------------------------------------------------------------------------------------------


def _curves(groups: Sequence[Group]) -> list[dict[str, Any]]:
    """Return for each method that has a history a panel a loss, with a line a seed."""
    known = [(group, curves) for group in groups if (curves := losses_of(group))]
    lines = sum(len(seeds) for _, curves in known for seeds in curves.values())
    most = max(LEAST_CURVE_POINTS, min(CURVE_POINTS, ALL_CURVE_POINTS // max(1, lines)))
    return [
        {
            "method": group.index,
            "panels": [_panel(name.replace("_", " "), list(curves[name].items()), most) for name in curves],
        }
        for group, curves in known
    ]


def _panel(title: str, curves: Sequence[tuple[int, Curve]], most: int) -> dict[str, Any]:
    """Return lines as whole numbers between the lowest and the highest value of their panel."""
    thin = [(name, *_thin(*curve, most)) for name, curve in curves]
    values, steps = (np.concatenate([one[place] for one in thin]) for place in (2, 1))
    logarithmic = is_logarithmic(values)
    low, high = (math.log10(v) if logarithmic else float(v) for v in (values.min(), values.max()))
    start, end = float(steps.min()), float(steps.max())
    return {
        "title": title[:1].upper() + title[1:],
        "log": logarithmic,
        "x": [start, end],
        "y": [_digits(low, 6), _digits(high, 6)],
        "lines": [
            [name, _levels(x, start, end), _levels(np.log10(y) if logarithmic else y, low, high)] for name, x, y in thin
        ],
    }


def _levels(values: NDArray[np.float64], low: float, high: float) -> list[int]:
    # Halves first: the difference of two numbers of float32 may be none.
    room = high / 2 - low / 2
    return np.rint((values / 2 - low / 2) / room * LEVELS if room > 0 else np.zeros(len(values))).astype(int).tolist()


def _thin(steps: Sequence[float], values: Sequence[float], most: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """At most so many points, each the mean of its neighbours."""
    x, y = np.asarray(steps, float), np.asarray(values, float)
    if len(x) <= most:
        return x, y
    edges = np.linspace(0, len(x), most + 1).astype(int)
    n = np.diff(edges)
    return np.add.reduceat(x, edges[:-1]) / n, np.add.reduceat(y, edges[:-1]) / n


# ---- Maps ------------------------------------------------------------------------------------------------------------


def _maps(groups: Sequence[Group]) -> list[dict[str, Any]]:
    known = [(group, points) for group in groups if (points := first_content(group, MAP)[1]) and points.labels]
    most = min(MAP_POINTS, ALL_MAP_POINTS // max(1, len(known)))
    return [{"method": group.index, **_map(points, most)} for group, points in known]


def _map(points: Map, most: int) -> dict[str, Any]:
    """Return places as whole numbers on a square, and for each point the number of its class, negative if made."""
    classes = sorted(set(points.labels), key=natural)
    codes = {label: code for code, label in enumerate(classes, start=1)}
    n = len(points.labels)
    chosen = np.unique(np.linspace(0, n - 1, min(most, n)).round().astype(int))
    x, y = np.array(points.x)[chosen], np.array(points.y)[chosen]
    side = max(np.ptp(x), np.ptp(y), 1e-9)
    signed = [codes[points.labels[i]] * (-1 if points.kinds[i] == "synthetic" else 1) for i in chosen]
    return {
        "classes": classes,
        "n": [points.kinds.count("real"), points.kinds.count("synthetic")],
        "x": np.rint((x - (x.max() + x.min()) / 2) / side * LEVELS + LEVELS / 2).astype(int).tolist(),
        "y": np.rint((y - (y.max() + y.min()) / 2) / side * LEVELS + LEVELS / 2).astype(int).tolist(),
        "class": signed,
    }


# ---- What was tracked ------------------------------------------------------------------------------------------------


def _tracked(runs: Sequence[Run], groups: Sequence[Group]) -> dict[str, Any] | None:
    part = tracked_part(runs)
    if part is None:
        return None
    ordered = [run for group in groups for run in group.runs]
    places = {group.title: group.index for group in groups}
    points = gap_points(ordered, part)
    return {
        "panels": [
            _panel(name, [(places[title], curve) for title, curve in curves.items()], CURVE_POINTS)
            for name, curves in tracked_curves(ordered, part).items()
        ],
        "gap": [[places[title], _digits(gap), _share(acsa)] for title, found in points.items() for gap, acsa in found],
        "classes": [one for group in groups if (one := _class_accuracies(group, part))],
    }


def _class_accuracies(group: Group, part: str) -> dict[str, Any] | None:
    """Return the accuracy of each class over the training, in percent."""
    counts = group.runs[0].metrics.get("train_counts") or {}
    steps, accuracies = class_accuracies(group.runs, part, len(counts))
    if not steps:
        return None
    table = np.array([[math.nan if value is None else value for value in row] for row in accuracies], float)
    labels, table = rows_of_classes(table, list(counts), list(counts.values()))
    chosen = np.unique(np.linspace(0, len(steps) - 1, min(60, len(steps))).round().astype(int))
    return {
        "method": group.index,
        "steps": [steps[i] for i in chosen],
        "rows": [
            [name, n, [None if math.isnan(value) else round(100 * value, 1) for value in table[chosen, c]]]
            for c, (name, n) in enumerate(labels)
        ],
    }


def final_losses(groups: Sequence[Group]) -> list[tuple[Group, list[tuple[str, str, str]]]]:
    """Return for each method its losses with the mean over seeds of their first and last values, as words."""
    return [(group, _ends(curves)) for group in groups if (curves := losses_of(group))]


def _ends(curves: Mapping[str, Mapping[int, Curve]]) -> list[tuple[str, str, str]]:
    lines = []
    for name, seeds in curves.items():
        first, last = (float(np.mean([values[at] for _, values in seeds.values()])) for at in (0, -1))
        lines.append((name.replace("_", " "), f"{first:.3g}", f"{last:.3g}"))
    return lines
