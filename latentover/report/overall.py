"""Methods over several data sets in words, and as a table."""

from __future__ import annotations

from latentover.report.findings import p_text, plural
from latentover.report.tables import MAX_CLASSES, SideTable, metric_title, percent
from latentover.runs.overall import LEVEL, Overall
from latentover.stats import WilcoxonTest

__all__ = ["overall_sentences", "overall_table"]


def overall_table(overall: Overall) -> SideTable:
    """Mean ranks, and the mean score on every data set where these are few."""
    columns, cells = ["Mean rank"], [[f"{rank:.2f}"] for rank in overall.ranks.values()]
    if len(overall.rows) <= MAX_CLASSES:
        columns += [f"{name} (%)" for name in overall.rows]
        for group in overall.rows.values():
            for line, row in zip(cells, group, strict=True):
                line.append(percent(row.cells[overall.metric]))
    caption = f"Mean ranks over {plural(len(overall.rows), 'data set')} by {metric_title(overall.metric)}; 1 is best"
    return SideTable(caption, columns, list(zip(overall.ranks, cells, strict=True)))


def overall_sentences(overall: Overall) -> list[str]:
    """Say what the tests say, and what to keep in mind."""
    test, n, metric = overall.test, len(overall.rows), metric_title(overall.metric)
    by = f"on {n} data sets, each of which counts once, with its mean {metric} over seeds"
    if isinstance(test, WilcoxonTest):
        (pair,) = overall.pairs
        told = _verdict(test.p_value, "the two are not alike", "the order of the two may be chance")
        sentences = [f"Wilcoxon's signed-rank test of {pair.first} and {pair.second} {by}: {told}."]
        if 2 ** (1 - n) >= LEVEL:
            sentences.append(f"With {n} data sets its p cannot be below {2.0 ** (1 - n):.2g}, whatever the scores.")
    else:
        told = _verdict(test.p_value, "the methods are not all alike", "the order of the methods may be chance")
        freedom = len(overall.ranks) - 1
        sentences = [
            f"Friedman's test of {len(overall.ranks)} methods {by}: chi-square {test.statistic:.2f} with {freedom} "
            f"degrees of freedom, {told}."
        ]
        if test.p_value < LEVEL:
            sentences.append(_pairs(overall))
    if overall.left_out:
        sentences.append(f"Left out, for not every data set has them: {', '.join(overall.left_out)}.")
    twice = "have the same samples: they are one data set, counted twice"
    return sentences + [f"{a} and {b} {twice}." for a, b in overall.same_data]


def _verdict(p_value: float, found: str, none: str) -> str:
    return f"{p_text(p_value)}, so {found if p_value < LEVEL else none}"


def _pairs(overall: Overall) -> str:
    """Which pairs differ, the better method first."""
    apart = [pair for pair in overall.pairs if pair.adjusted < LEVEL]
    if not apart:
        return "Shaffer's procedure, which looks at all pairs, tells no two of them apart at the level 0.05."
    texts = []
    for pair in apart:
        better, worse = sorted((pair.first, pair.second), key=lambda name: overall.ranks[name])
        texts.append(f"{better} over {worse} ({p_text(pair.adjusted)})")
    return f"Told apart by Shaffer's procedure, p adjusted for all pairs: {', '.join(texts)}."
