"""The page on the quality of new rows of a table: verdicts in words, then pictures and tables."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from latentover.displays.theme import DARK, LIGHT
from latentover.files import write_whole
from latentover.metrics.resampling_effect import CLASSIFIERS
from latentover.metrics.table_results import ColumnQuality, TableQuality, worst_first
from latentover.metrics.table_verdicts import known_or_zero, percent, signed
from latentover.report.drawings import heat_map, histogram, intervals, scale
from latentover.report.html import template
from latentover.text import line, short_name

__all__ = ["write_table_quality"]

MOST_DRAWN = 12
"""Columns that are drawn at first sight, those that differ most; up to `MOST_FOLDED` more are folded away."""
MOST_FOLDED = 60
MOST_LISTED = 200
GRADES = {"good": "Good", "fair": "Fair", "poor": "Poor", "unknown": "Not known"}
PAIR_KINDS = {"spearman": "Spearman", "cramers_v": "Cramér's V", "correlation_ratio": "correlation ratio"}


def write_table_quality(
    result: TableQuality,
    path: str | os.PathLike[str],
    *,
    title: str = "New rows of a table",
    facts: Sequence[str] = (),
) -> Path:
    """Write a page on the quality of new rows: three verdicts, then pictures and tables.

    The page needs no network and no scripts. It fits phones, dark mode and paper.

    Parameters
    ----------
    result : TableQuality
        See `latentover.metrics.table_quality`.
    path : path
        The file to write; it appears only when it is complete.
    title : str
    facts : sequence of str
        How the rows were made, for the line under the title.

    Returns
    -------
    Path
        `path`. The same result gives the same bytes.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from latentover.metrics import table_quality
    >>> from latentover.report import write_table_quality
    >>> rng = np.random.default_rng(0)
    >>> result = table_quality(*(rng.normal(size=(60, 3)) for _ in range(3)))
    >>> write_table_quality(result, Path(tempfile.mkdtemp()) / "quality.html").name
    'quality.html'
    """
    page = template("table_quality.html.j2").render(
        title=line(title, 120),
        facts=[*_sizes(result), *map(line, facts)],
        verdicts=[(verdict, GRADES[verdict.grade]) for verdict in result.verdicts],
        tiles=_tiles(result),
        notes=result.notes,
        judge=_judge(result),
        columns=_columns(result),
        pairs=_pairs(result),
        dependencies=_dependencies(result),
        copies=_copies(result),
        nearness=_nearness(result),
        effect=_effect(result),
        effect_reason=result.effect_reason,
        light=LIGHT,
        dark=DARK,
    )
    return write_whole(path, page.encode("utf-8"))


def _sizes(result: TableQuality) -> list[str]:
    of = f" of {', '.join(map(short_name, result.classes[:6]))}{', ...' if result.classes[6:] else ''}"
    held = f"{result.n_holdout:,} held out" if result.n_holdout else "none held out"
    return [f"{result.n_new:,} new rows{of if result.classes else ''}", f"{result.n_real:,} real ones", held]


def _tiles(result: TableQuality) -> list[tuple[str, str]]:
    """The numbers that a reader takes away, with what they mean."""
    tiles = []
    if result.judge.auc is not None:
        tiles.append((f"{result.judge.auc.value:.2f}", "AUC of the judge, 0.5 is ideal"))
    if result.columns:
        worst = max(result.columns, key=lambda column: known_or_zero(column.distance))
        tiles.append(
            (f"{known_or_zero(worst.distance):.2f}", f"largest distance of a column: {short_name(worst.name)}")
        )
    if result.violations:
        tiles.append((f"{max(result.violations.values()):.1%}", "break the dependency that is broken most"))
    tiles.append((f"{result.copied_rows:.1%}", "are copies of real rows"))
    flagged = [(name, found.copied) for name, found in result.copies.items() if found.flagged]
    if flagged:
        tiles.append((f"{flagged[0][1]:.0%}", f"carry somebody's {short_name(flagged[0][0])}"))
    if result.effect is not None:
        value = result.effect.differences["boosting"]["auprc"].value
        tiles.append((signed(100 * value), "points of average precision for gradient boosting"))
    return tiles


def _judge(result: TableQuality) -> dict[str, Any]:
    judge = result.judge
    if judge.auc is None:
        return {"picture": "", "reason": judge.reason}
    value, low, high = judge.auc
    what = f"AUC of the judge {value:.2f}, interval {low:.2f} to {high:.2f}, on a scale from 0.5 to 1"
    marks = ((0.5, "0.5 nobody could tell"), (0.75, "0.75"), (1.0, "1 anybody can"))
    return {
        "picture": scale(value, low, high, marks, what),
        "n": judge.n,
        "held_out": judge.held_out,
        "text": f"{value:.3f}, 95% interval {low:.3f} to {high:.3f}",
    }


def _columns(result: TableQuality) -> dict[str, Any]:
    ordered = worst_first(result.columns)
    drawn = [_column(column) for column in ordered[: MOST_DRAWN + MOST_FOLDED]]
    return {
        "shown": drawn[:MOST_DRAWN],
        "folded": drawn[MOST_DRAWN:],
        "left_out": max(0, len(ordered) - MOST_DRAWN - MOST_FOLDED),
        "usual": bool(result.n_holdout),
    }


def _column(column: ColumnQuality) -> dict[str, Any]:
    measure = "total variation" if column.kind == "levels" else "Kolmogorov-Smirnov"
    what = f"Distribution of {line(column.name)} among real and new rows"
    words = []
    if column.kind == "number" and column.points:
        words = [f"{point.value}: {point.real:.1%} real, {point.new:.1%} new" for point in column.points[:3]]
    if column.finer:
        words.append(f"{percent(column.finer)} of the new values are finer than any real one")
    if max(column.missing_real, column.missing_new) > 0:
        words.append(f"missing: {column.missing_real:.1%} real, {column.missing_new:.1%} new")
    return {
        "name": short_name(column.name),
        "distance": "n/a" if column.distance != column.distance else f"{column.distance:.2f}",
        "measure": measure,
        "usual": None if column.usual is None or column.usual != column.usual else f"{column.usual:.2f}",
        "picture": histogram(column.picture, ("real", "new"), what, times=column.kind == "time"),
        "logarithmic": column.picture.logarithmic,
        "words": words,
    }


def _pairs(result: TableQuality) -> dict[str, Any] | None:
    if not result.pairs:
        return None
    rows = [
        (
            f"{short_name(pair.first)} and {short_name(pair.second)}",
            PAIR_KINDS[pair.kind],
            f"{pair.real:.2f}",
            f"{pair.new:.2f}",
            f"{pair.difference:.2f}",
            "" if pair.usual is None else f"{pair.usual:.2f}",
        )
        for pair in result.pairs[:8]
    ]
    what = "Differences of the associations of pairs of columns between real and new rows"
    return {"picture": heat_map(result.pairs, what), "rows": rows, "usual": bool(result.n_holdout)}


def _dependencies(result: TableQuality) -> list[tuple[str, str, str, bool]]:
    rows = sorted(result.violations.items(), key=lambda item: -item[1])[:MOST_LISTED]
    usual = result.usual_violations
    return [(line(text), f"{share:.2%}", f"{usual[text]:.2%}" if text in usual else "", share > 0.005)
            for text, share in rows]  # fmt: skip


def _copies(result: TableQuality) -> dict[str, Any]:
    rows = [
        (
            short_name(name),
            "tells rows apart" if name in result.identifiers else "",
            percent(found.copied) if found.copied else "0%",
            percent(found.usual) if found.usual else "0%",
            f"{found.distinct:,}",
            percent(found.unique) if found.unique else "0%",
            found.flagged,
        )
        for name, found in list(result.copies.items())[:MOST_LISTED]
    ]
    some = [row for row in rows if row[-1] or row[1] or row[2] != "0%"]
    return {
        "rows": some,
        "none": len(rows) - len(some),
        "copied_rows": percent(result.copied_rows) if result.copied_rows else "0%",
        "usual_rows": percent(result.usual_copied_rows) if result.usual_copied_rows else "0%",
    }


def _nearness(result: TableQuality) -> dict[str, Any] | None:
    near = result.nearness
    if near is None:
        return None

    def cell(value: float | None, form: str) -> str:
        return "n/a" if value is None else format(value, form)

    rows = [
        ("Distance to the nearest real row, median", cell(near.median, ".3f"), cell(near.usual_median, ".3f")),
        ("The same, nearest 5%", cell(near.low, ".3f"), cell(near.usual_low, ".3f")),
        ("Nearer than half of the unseen rows", cell(near.nearer_than_usual, ".1%"), "50%"),
        ("Nearer to training rows than to unseen ones", cell(near.nearer_to_real, ".1%"), "50%"),
        ("Density", cell(near.density, ".2f"), cell(near.usual_density, ".2f")),
        ("Coverage", cell(near.coverage, ".2f"), cell(near.usual_coverage, ".2f")),
    ]
    what = "Distances to the nearest real row, of held-out and of new rows"
    picture = "" if near.picture is None else histogram(near.picture, ("held out", "new"), what)
    return {"rows": rows, "picture": picture, "n": near.n, "n_real": near.n_real}


def _effect(result: TableQuality) -> dict[str, Any] | None:
    effect = result.effect
    if effect is None:
        return None
    rows = [
        (
            CLASSIFIERS[row.classifier],
            "real and new" if row.new_rows else "real rows",
            "tuned" if row.tuned else "usual",
            row.new_rows,
            [
                ("Balanced accuracy", f"{100 * row.scores.balanced_accuracy:.1f}%"),
                ("Recall", f"{100 * row.scores.recall:.1f}%"),
                ("Precision", f"{100 * row.scores.precision:.1f}%"),
                ("AUPRC", f"{row.scores.auprc:.3f}"),
                ("Brier", f"{row.scores.brier:.4f}"),
                ("False alarms per 1,000", f"{row.scores.false_alarms:.1f}"),
            ],
        )
        for row in effect.rows
    ]
    tuned = any(row.tuned for row in effect.rows)
    titles = {"auprc": "average precision", "tuned_balanced_accuracy": "balanced acc." + (", tuned" if tuned else "")}
    spans = [
        (f"{CLASSIFIERS[name]}\n{titles[score]}", 100 * estimate.value, 100 * estimate.low, 100 * estimate.high)
        for name, scores in effect.differences.items()
        for score, estimate in scores.items()
    ]
    what = "What the new rows add to scores of classifiers, in points, with intervals"
    return {
        "rows": rows,
        "picture": intervals(spans, "points", what),
        "n_test": effect.n_test,
        "folds": effect.folds,
        "n_train": effect.n_train,
        "n_new": effect.n_new,
        "rare": ", ".join(map(short_name, effect.rare[:8])),
        "many": len(effect.classes) > 2,
    }
