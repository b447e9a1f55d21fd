"""What runs tracked while they learned: margins, geometry of the features, accuracies of groups of classes."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from scipy.stats import spearmanr

from latentover.report.tables import NONE, SideTable
from latentover.runs.collection import Run
from latentover.runs.comparison import run_titles
from latentover.runs.groups import TRACKED, is_tracked

__all__ = ["class_accuracies", "gap_points", "margin_tables", "tracked_curves", "tracked_part"]

Curve = tuple[list[float], list[float]]

PARTS = {"validation": "the validation part of the training data", "train": "a sample of the training data"}
"""Where scores were tracked, the better place first: a network knows its training data by heart in the end."""
PANELS = {
    "margin_gap": "Margin gap",
    "margin_fit_root": "Fit, root",
    "class_alignment": "Alignment",
    "class_uniformity": "Uniformity",
    "neighborhood_uniformity": "Neighbourhood",
    "accuracy_many": "Accuracy, many",
    "accuracy_medium": "Accuracy, medium",
    "accuracy_few": "Accuracy, few",
}
"""What is drawn over the training, in this order."""
SCORES = {
    "margin_gap": "Margin gap",
    "margin_fit_sum_of_squares": "Fit, sum of squares",
    "margin_fit_root": "Fit, root",
    "margin_fit_mean": "Fit, mean",
    "accuracy_many": "Many (%)",
    "accuracy_medium": "Medium (%)",
    "accuracy_few": "Few (%)",
}
DECOMPOSITION = {
    f"margin_{group}_{name}": f"{group.capitalize()}, {words}"
    for group in ("majority", "minority")
    for name, words in (("negative", "wrong"), ("nonnegative", "right"), ("error_rate", "wrong (%)"))
}
GEOMETRY = {
    "class_alignment": "Alignment within classes",
    "class_uniformity": "Uniformity of classes",
    "neighborhood_uniformity": "Neighbourhood uniformity",
    "uniformity": "Uniformity of samples",
}
TABLES = {
    "Margins, and accuracy of classes with many, some and few training samples": SCORES,
    "Mean margins of samples that are decided wrong and right": DECOMPOSITION,
    "Features": GEOMETRY,
}
IN_PERCENT = {name for name in (*SCORES, *DECOMPOSITION) if name.startswith("accuracy") or name.endswith("error_rate")}


def tracked_part(runs: Sequence[Run]) -> str | None:
    """Return where all runs that tracked something did so, ``"validation"`` before ``"train"``; None if none did."""
    names = [run.history().keys() for run in runs]
    for part in TRACKED:
        tracked = [f"{part}_margin" in columns for columns in names if any(map(is_tracked, columns))]
        if tracked and all(tracked):
            return part
    return None


def margin_tables(runs: Sequence[Run]) -> list[SideTable]:
    """Return what stands at the end of the training as means over seeds, a table for each of `TABLES`."""
    part = tracked_part(runs)
    if part is None:
        return []
    titles = run_titles(runs)
    by_title: dict[str, list[dict[str, float]]] = {title: [] for title in titles.values()}
    for run in runs:
        row = {name: values[-1] for name, (_, values) in run.history().items() if name.startswith(f"{part}_")}
        if row:
            by_title[titles[run.recipe]].append(row)
    tables = []
    for caption, columns in TABLES.items():
        rows = [
            (title, [_mean_text([row.get(f"{part}_{name}") for row in rows], name) for name in columns])
            for title, rows in by_title.items()
            if rows
        ]
        note = _correlation(runs, part) if columns is SCORES else ""
        tables.append(SideTable(f"{caption}; last epoch, on {PARTS[part]}", list(columns.values()), rows, note))
    return tables


def _mean_text(values: Sequence[float | None], name: str) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return NONE
    mean = statistics.fmean(known)
    return f"{100 * mean:.1f}" if name in IN_PERCENT else f"{mean:.3g}"


def gap_points(runs: Sequence[Run], part: str) -> dict[str, list[tuple[float, float]]]:
    """Return for each title the last margin gap and the ACSA on the primary test split of every run that has both."""
    titles, points = run_titles(runs), dict[str, list[tuple[float, float]]]()
    for run in runs:
        gaps, acsa = run.history().get(f"{part}_margin_gap"), run.scores().get("acsa")
        if gaps is not None and acsa is not None:
            points.setdefault(titles[run.recipe], []).append((gaps[1][-1], acsa))
    return points


def _correlation(runs: Sequence[Run], part: str) -> str:
    """Return how gap and accuracy go together over the runs, as a sentence; empty for fewer than four runs."""
    points = [point for group in gap_points(runs, part).values() for point in group]
    if len(points) < 4 or any(len(set(values)) == 1 for values in zip(*points, strict=True)):
        return ""
    rho = float(spearmanr(*zip(*points, strict=True)).statistic)
    return f"Rank correlation (Spearman) of margin gap and ACSA on the test split over {len(points)} runs: {rho:.2f}."


def tracked_curves(runs: Sequence[Run], part: str) -> dict[str, dict[str, Curve]]:
    """Return for each panel and title the mean curve over seeds; panels that no run has are left out."""
    titles, panels = run_titles(runs), dict[str, dict[str, Curve]]()
    for name, words in PANELS.items():
        found: dict[str, dict[float, list[float]]] = {}
        for run in runs:
            steps, values = run.history().get(f"{part}_{name}", ([], []))
            for step, value in zip(steps, values, strict=True):
                found.setdefault(titles[run.recipe], {}).setdefault(step, []).append(value)
        curves = {title: _mean_curve(values) for title, values in found.items()}
        if curves:
            panels[words] = curves
    return panels


def _mean_curve(values: Mapping[float, Sequence[float]]) -> Curve:
    return sorted(values), [statistics.fmean(values[step]) for step in sorted(values)]


def class_accuracies(runs: Sequence[Run], part: str, n_classes: int) -> tuple[list[float], list[list[float | None]]]:
    """Return the steps of the reports, and for each of them every class's accuracy as a mean over runs."""
    found: dict[float, dict[int, list[float]]] = {}
    for run in runs:
        curves = run.history()
        for c in range(n_classes):
            for step, value in zip(*curves.get(f"{part}_accuracy_of_{c}", ([], [])), strict=True):
                found.setdefault(step, {}).setdefault(c, []).append(value)
    steps = sorted(found)
    return steps, [[_mean_or_none(found[step].get(c, [])) for c in range(n_classes)] for step in steps]


def _mean_or_none(values: Sequence[float]) -> float | None:
    return statistics.fmean(values) if values else None
