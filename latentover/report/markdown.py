"""The comparison as a Markdown page, for documents that stand in a repository."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from latentover.files import write_text, write_whole
from latentover.report.findings import cautions, key_finding
from latentover.report.generation import generation_markdown, generation_tables
from latentover.report.html import (
    Comparison,
    certificate_lines,
    over_comparisons,
    read_comparisons,
    samples_together,
    scored_metrics,
)
from latentover.report.margins import margin_tables
from latentover.report.overall import overall_sentences, overall_table
from latentover.report.tables import (
    calibration_table,
    comparison_markdown,
    epoch_table,
    order_table,
    recall_table,
    side_markdown,
)
from latentover.runs.collection import Run
from latentover.runs.comparison import compare, split_title
from latentover.text import folded, markdown

__all__ = ["write_markdown"]


MARGINS_NOTE = (
    "A sample's margin is the output of its class less the highest other one, on a method's own scale (cosines for "
    "LDAM, logits elsewhere). The gap is the mean margin of the majority classes less that of the minority classes. "
    "The fit is what is left of the theoretical margins n^(-1/4) after the best multiple of the practical ones."
)


def write_markdown(
    runs_folder: str | Path | Sequence[str | Path], path: str | Path, *, title: str | None = None
) -> Path:
    """Write what the finished runs of a folder say: a table for each split, and where every number comes from.

    Parameters
    ----------
    runs_folder : str or Path, or sequence of them
        As for `write_report`; several folders become sections, behind one on all of them where they are three or more.
    path : str or Path
        The ``.md`` file. Where several methods made images, a picture of them side by side comes to lie next to it, as
        ``<name>_<folder>_samples.png``.
    title : str, optional
        Of the page; by default the names of the folders.

    Returns
    -------
    Path
        *path*.

    Raises
    ------
    FileNotFoundError, ValueError
        If there are no finished runs.
    """
    comparisons = read_comparisons(runs_folder)
    single = len(comparisons) == 1
    if title is not None:
        parts = [f"# {markdown(title)}"]
    else:
        parts = [] if single else [f"# {', '.join(markdown(one.title) for one in comparisons)}"]
    if overall := over_comparisons(comparisons):
        parts += ["## Over all data sets", *map(markdown, overall_sentences(overall))]
        parts += [side_markdown(overall_table(overall))]
    for comparison in comparisons:
        parts += _section(comparison, "#" if single and title is None else "##", Path(path))
    return write_text(path, "\n\n".join(parts) + "\n")


def _section(comparison: Comparison, level: str, page: Path) -> list[str]:
    """Return the blocks of text on one folder, below a heading of a level such as ``"##"``, for that page."""
    runs, found = comparison.runs, comparison.found
    blocks = list[str]()
    for split in runs[0].splits:
        size = sum(runs[0].scores(split).get("support") or [])
        blocks += [f"{level}# {markdown(split_title(split).capitalize())} split, {size:,} samples"]
        rows = compare(runs, scored_metrics(runs, split), split, failed=found.failed, stale=found.stale)
        blocks += [comparison_markdown(rows)]
        beside = (order_table(rows), epoch_table(runs, split), calibration_table(runs, split))
        blocks += [side_markdown(table) for table in beside if table]
        if split == runs[0].split and (recalls := recall_table(runs, split)):
            blocks += [side_markdown(recalls)]
    if side := margin_tables(runs):
        blocks += [f"{level}# Margins", MARGINS_NOTE, *map(side_markdown, side)]
    if picture := samples_together(runs):
        name = f"{page.stem}_{comparison.folder.resolve().name}_samples.png"
        write_whole(page.with_name(name), picture.content)
        place = quote(name)
        blocks += [f"{level}# Samples side by side", f"![Real images and those that each method made]({place})"]
    if tables := generation_tables(runs):
        blocks += [f"{level}# Generated samples", *(generation_markdown(table) for table in tables)]
    head = [f"{level} {markdown(comparison.title)}", markdown(key_finding(runs))]
    head += [f"> {markdown(caution)}" for caution in cautions(comparison.found)]  # now the damaged files are known
    certificates = folded("Certificates of all numbers above", *_certificates(runs))
    return [*head, *blocks, f"{level}# Where the numbers come from", certificates]


def _certificates(runs: Sequence[Run]) -> list[str]:
    """Return one list a recipe: a field's value once if all seeds share it, else in the order of the seeds."""
    blocks = []
    for recipe in dict.fromkeys(run.recipe for run in runs):
        group = [run for run in runs if run.recipe == recipe]
        lines = [f"- {label}: {', '.join(map(markdown, values))}" for label, values in certificate_lines(group)]
        blocks.append(f"**{markdown(group[0].title)}**\n\n" + "\n".join(lines))
    return blocks
