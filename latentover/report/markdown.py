"""The comparison as a Markdown page, for documents that stand in a repository."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from latentover.files import write_text
from latentover.report.findings import cautions, key_finding, split_title
from latentover.report.html import certificate_lines
from latentover.report.runs import Run, collect_runs, compare, unfinished_runs
from latentover.report.tables import comparison_markdown

__all__ = ["write_markdown"]


def write_markdown(runs_folder: str | Path, path: str | Path) -> Path:
    """Write what the finished runs of a folder say: a table for each split, and where every number comes from.

    Parameters
    ----------
    runs_folder : str or Path
        As for `write_report`.
    path : str or Path
        The ``.md`` file.

    Returns
    -------
    Path
        *path*.

    Raises
    ------
    FileNotFoundError, ValueError
        If there are no finished runs.
    """
    runs = collect_runs(runs_folder)
    group = str(runs[0].certificate.get("group") or Path(runs_folder).name)
    parts = [f"# {group.replace('_', ' ')}", key_finding(runs)]
    parts += [f"> {caution}" for caution in cautions(runs, unfinished_runs(runs_folder))]
    for split in runs[0].splits:
        size = sum(runs[0].scores(split).get("support") or [])
        parts += [f"## {split_title(split).capitalize()} split, {size:,} samples"]
        parts += [comparison_markdown(compare(runs, split=split))]
    parts += ["## Where the numbers come from", *_certificates(runs)]
    return write_text(path, "\n\n".join(parts) + "\n")


def _certificates(runs: Sequence[Run]) -> list[str]:
    """Return one list a recipe: a field's value once if all seeds share it, else in the order of the seeds."""
    blocks = []
    for recipe in dict.fromkeys(run.recipe for run in runs):
        group = [run for run in runs if run.recipe == recipe]
        lines = [f"- {label}: {', '.join(values)}" for label, values in certificate_lines(group)]
        blocks.append(f"### {group[0].title}\n\n" + "\n".join(lines))
    return blocks
