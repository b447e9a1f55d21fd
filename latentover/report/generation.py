"""How good the generated samples of runs are: what ``latentover evaluate RUN --features ...`` left in their folders."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from latentover.runs.collection import Run
from latentover.runs.folder import GENERATION
from latentover.text import line, markdown, short_name

__all__ = ["GENERATION", "GenerationRow", "GenerationTable", "generation_markdown", "generation_tables"]

COLUMNS = {"fid": "FID", "kid": "KID", "density": "Density", "coverage": "Coverage", "diversity": "Diversity"}


@dataclass(frozen=True)
class GenerationRow:
    """One recipe: mean and standard deviation over its seeds, as text, in the order of `COLUMNS`."""

    title: str
    recipe: str
    cells: Sequence[str]
    seeds: int
    flags: Sequence[str]


@dataclass(frozen=True)
class GenerationTable:
    """Results that may be compared: same features, n and k, which the caption says."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[GenerationRow]

    @property
    def flags(self) -> list[str]:
        """What is wrong with the samples of a run: memorization, collapse."""
        return [f"{row.title}: {flag}" for row in self.rows for flag in row.flags]


def generation_tables(runs: Sequence[Run]) -> list[GenerationTable]:
    """Return a table for each set of results with the same features, n and k; none where nothing was evaluated."""
    found: dict[tuple[str, int, int], dict[str, list[tuple[Run, dict[str, Any]]]]] = {}
    for run in runs:
        for result in run.content(GENERATION) or []:
            key = (result["features"], result["n"], result["k"])
            found.setdefault(key, {}).setdefault(run.recipe, []).append((run, result))
    return [
        GenerationTable(
            f"{n:,} real and {n:,} generated samples of all classes, features {line(features)}, k = {k}",
            list(COLUMNS.values()),
            [_row(recipe, results) for recipe, results in recipes.items()],
        )
        for (features, n, k), recipes in found.items()
    ]


def generation_markdown(table: GenerationTable) -> str:
    """Return a table as Markdown, with its caption before and its flags behind it."""
    lines = [f"| Method | {' | '.join(table.columns)} | Seeds |", "|:--|" + "--:|" * (len(table.columns) + 1)]
    lines += [f"| {markdown(row.title)} | {' | '.join(row.cells)} | {row.seeds} |" for row in table.rows]
    return "\n\n".join(
        [f"{markdown(table.caption)}.", "\n".join(lines), *(f"> {markdown(flag)}" for flag in table.flags)]
    )


def _row(recipe: str, results: Sequence[tuple[Run, dict[str, Any]]]) -> GenerationRow:
    flags = []
    for run, result in results:
        known = result.get("memorization") or {}
        if known.get("flagged"):
            copies = f"{known.get('copies')} of {known.get('n')} samples"
            text = f"seed {run.seed} memorizes: {copies} are copies of training samples"
            if (ratio := known.get("distance_ratio")) is not None:
                text += f", and the rest lie {ratio:.2f} times as far from them as held-out samples do"
            flags.append(f"{text}.")
        collapsed = [
            short_name(label) for label, scores in result.get("classes", {}).items() if scores.get("collapsed")
        ]
        if collapsed:
            flags.append(f"seed {run.seed} makes nearly the same sample again and again of {', '.join(collapsed)}.")
    cells = [_cell([_value(result.get("pooled", {}).get(name)) for _, result in results]) for name in COLUMNS]
    return GenerationRow(results[0][0].title, recipe, cells, len(results), flags)


def _value(score: Any) -> float | None:
    return score["value"] if isinstance(score, dict) else score


def _cell(values: Sequence[float | None]) -> str:
    present = [value for value in values if value is not None]
    if not present:
        return "n/a"
    mean = f"{statistics.fmean(present):.3g}"
    return mean if len(present) < 2 else f"{mean} ± {statistics.stdev(present):.2g}"
