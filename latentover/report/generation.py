"""How good the generated samples of runs are: what ``latentover evaluate RUN --features ...`` left in their folders."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from latentover.report.runs import Run

__all__ = ["GENERATION_FILE", "GenerationRow", "GenerationTable", "generation_markdown", "generation_tables"]

GENERATION_FILE = "generation.json"
"""In a run's folder: from the name of a feature extractor to the result of `latentover.metrics.generation_scores`."""
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
        for result in _results(run):
            key = (result["features"], result["n"], result["k"])
            found.setdefault(key, {}).setdefault(run.recipe, []).append((run, result))
    return [
        GenerationTable(
            f"{n:,} real and {n:,} generated samples of all classes, features {features}, k = {k}",
            list(COLUMNS.values()),
            [_row(recipe, results) for recipe, results in recipes.items()],
        )
        for (features, n, k), recipes in found.items()
    ]


def generation_markdown(table: GenerationTable) -> str:
    """Return a table as Markdown, with its caption before and its flags behind it."""
    lines = [f"| Method | {' | '.join(table.columns)} | Seeds |", "|:--|" + "--:|" * (len(table.columns) + 1)]
    lines += [f"| {row.title} | {' | '.join(row.cells)} | {row.seeds} |" for row in table.rows]
    return "\n\n".join([f"{table.caption}.", "\n".join(lines), *(f"> {flag}" for flag in table.flags)])


def _results(run: Run) -> list[dict[str, Any]]:
    path = run.path / GENERATION_FILE
    return list(json.loads(path.read_text(encoding="utf-8")).values()) if path.is_file() else []


def _row(recipe: str, results: Sequence[tuple[Run, dict[str, Any]]]) -> GenerationRow:
    flags = []
    for run, result in results:
        known = result.get("memorization") or {}
        if known.get("flagged"):
            flags.append(
                f"seed {run.seed} memorizes: {known['copies']} of {known['n']} samples are copies of training samples, "
                f"and the rest lie {known['distance_ratio']:.2f} times as far from them as held-out samples do."
            )
        collapsed = [label for label, scores in result["classes"].items() if scores["collapsed"]]
        if collapsed:
            flags.append(f"seed {run.seed} makes nearly the same sample again and again of {', '.join(collapsed)}.")
    cells = [_cell([_value(result["pooled"][name]) for _, result in results]) for name in COLUMNS]
    return GenerationRow(results[0][0].title, recipe, cells, len(results), flags)


def _value(score: Any) -> float | None:
    return score["value"] if isinstance(score, dict) else score


def _cell(values: Sequence[float | None]) -> str:
    present = [value for value in values if value is not None]
    if not present:
        return "n/a"
    mean = f"{statistics.fmean(present):.3g}"
    return mean if len(present) < 2 else f"{mean} ± {statistics.stdev(present):.2g}"
