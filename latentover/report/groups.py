"""The runs of a folder by recipe, in the order of the comparison: what tables, panels and certificates go through."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from latentover.report.comparison import Row, compare
from latentover.runs.collection import Run

__all__ = ["Group", "baseline_of", "first_content", "group_runs", "mean_or_none"]

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
