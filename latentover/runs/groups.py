"""The runs of a folder by recipe, in the order of the comparison, and what the seeds of one say together.

Tables, panels, displays and certificates go through these.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentover.runs.collection import Run
from latentover.runs.comparison import Row, compare
from latentover.runs.folder import SAMPLER_HISTORY
from latentover.runs.reading import Curve
from latentover.text import line

__all__ = [
    "Group",
    "baseline_of",
    "by_class",
    "class_order",
    "first_content",
    "group_runs",
    "is_tracked",
    "losses_of",
    "mean_or_none",
    "pooled_reliability",
]

MAX_LOSSES = 24
"""Losses of a recipe that are drawn, the first ones."""
TRACKED = ("validation", "train")
"""Where scores were tracked, the better place first: a network knows its training data by heart in the end."""
NO_RESAMPLING = {"none", "no_resampling", "no resampling", "erm", "plain"}


@dataclass(frozen=True)
class Group:
    """The runs of one recipe, with its place in the order of the report (which also gives its colour)."""

    index: int
    row: Row
    runs: Sequence[Run]

    @property
    def title(self) -> str:
        """Name for people."""
        return self.row.title


def group_runs(runs: Sequence[Run]) -> list[Group]:
    """Return the recipes by falling mean ACSA."""
    by_recipe: dict[str, list[Run]] = {}
    for run in runs:
        by_recipe.setdefault(run.recipe, []).append(run)
    return [Group(i, row, by_recipe[row.recipe]) for i, row in enumerate(compare(runs, metrics=("acsa",)))]


def baseline_of(rows: Sequence[Row]) -> Row | None:
    """Return the row without resampling, if there is one."""
    for row in rows:
        if NO_RESAMPLING & {row.recipe.casefold(), row.title.casefold()}:
            return row
    return None


def first_content(group: Group, file: str) -> tuple[Run | None, Any]:
    """Return the first run of a recipe with a file that can be read, and what it holds."""
    for run in group.runs:
        found = run.content(file)
        if found is not None:
            return run, found
    return None, None


def mean_or_none(values: Iterable[float | None]) -> float | None:
    """Return the mean of the values that are known."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


# ---- What the seeds of a recipe say together -------------------------------------------------------------------------


def class_order(groups: Sequence[Group], split: str) -> list[str]:
    """Return the classes of the first run, the one with most training samples first; empty where that is not known."""
    first = groups[0].runs[0]
    classes, counts = first.scores(split).get("classes") or [], first.metrics.get("train_counts") or {}
    return sorted(classes, key=lambda label: -counts.get(label, 0)) if any(label in counts for label in classes) else []


def by_class(group: Group, split: str, order: Sequence[str], score: str) -> list[list[float | None]] | None:
    """Return a score of each class, one value a seed; None where a recipe saw other classes than those of `order`."""
    alike = []
    for run in group.runs:
        scores = run.scores(split)
        if scores.get(score) and {*scores["classes"]} == {*order}:
            alike.append(dict(zip(scores["classes"], scores[score], strict=True)))
    return [[one[label] for one in alike] for label in order] if alike and order else None


def pooled_reliability(
    seeds: Sequence[Mapping[str, Sequence[float]]],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]] | None:
    """Return samples, mean confidence and accuracy of each bin, of all seeds; None where none has bins like another.

    Parameters
    ----------
    seeds : sequence of mapping
        Each as `latentover.metrics.ReliabilityBins` as lists: ``n``, ``confidence``, ``accuracy``.
    """
    bins = [one for one in seeds if one.get("n")]
    if not bins or len({len(one["n"]) for one in bins}) > 1:
        return None
    n = np.array([one["n"] for one in bins], float)
    total = n.sum(axis=0)
    confidence, accuracy = (
        (n * np.array([one[name] for one in bins])).sum(axis=0) / np.maximum(total, 1)
        for name in ("confidence", "accuracy")
    )
    return total, confidence, accuracy


def is_tracked(column: str) -> bool:
    """Whether a column of the history is something that was tracked, such as a margin, and not a loss."""
    return column.startswith(tuple(f"{part}_" for part in TRACKED)) and column != "validation_acsa"


def losses_of(group: Group) -> dict[str, dict[int, Curve]]:
    """Return the losses of a method that are drawn, by name and seed; what was tracked is left out."""
    curves: dict[str, dict[int, Curve]] = {}
    for run in group.runs:
        own = {name: curve for name, curve in run.history().items() if not is_tracked(name)}
        sampler = {f"sampler: {name}": curve for name, curve in run.history(SAMPLER_HISTORY).items()}
        for name, curve in (own | sampler).items():
            curves.setdefault(line(name, 40), {})[run.seed] = curve
    return dict(list(curves.items())[:MAX_LOSSES])
