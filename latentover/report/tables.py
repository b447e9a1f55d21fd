"""Comparison tables as plain text for a terminal and as Markdown for documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from latentover.report.runs import Cell, Row

__all__ = [
    "METRIC_TITLES",
    "comparison_markdown",
    "comparison_text",
    "metric_title",
    "percent",
    "published_sources",
    "published_texts",
    "seconds",
]

METRIC_TITLES = {
    "acsa": "ACSA",
    "macro_f1": "Macro-F1",
    "gm_a": "GM-A",
    "gm_b": "GM-B",
    "gm_c": "GM-C",
    "top1": "Top-1",
    "mauprc_ova": "mAUPRC",
    "ece": "ECE",
    "brier": "Brier",
}
NONE = "n/a"


def metric_title(metric: str) -> str:
    """Name of a metric for people: ``"macro_f1"`` is "Macro-F1"."""
    return METRIC_TITLES.get(metric, metric.replace("_", " "))


def percent(cell: Cell) -> str:
    """Mean and standard deviation in percent.

    Examples
    --------
    >>> from latentover.report.runs import Cell
    >>> percent(Cell(0.84789, 0.00151, n=5)), percent(Cell(0.5, None, n=1)), percent(Cell(None, None, n=0))
    ('84.79 ± 0.15', '50.00', 'n/a')
    """
    if cell.mean is None:
        return NONE
    spread = "" if cell.sd is None else f" ± {100 * cell.sd:.2f}"
    return f"{100 * cell.mean:.2f}{spread}"


def published_texts(published: Mapping[str, Cell]) -> list[str]:
    """What a paper reports, a text for each metric, in the order in which metrics are shown.

    Examples
    --------
    >>> from latentover.report.runs import Cell
    >>> published_texts({"macro_f1": Cell(0.843, None, 0), "acsa": Cell(0.8479, 0.0015, 0)})
    ['84.79 ± 0.15 ACSA', '84.30 Macro-F1']
    """
    names = sorted(published, key=[*METRIC_TITLES, *published].index)
    return [f"{percent(published[name])} {metric_title(name)}" for name in names]


def published_sources(rows: Sequence[Row]) -> str:
    """Where the published numbers of a table come from, as a sentence; empty if it has none."""
    sources = {row.title: row.source for row in rows if row.published}
    if not sources:
        return ""
    texts = set(sources.values())
    named = texts.pop() if len(texts) == 1 else "; ".join(f"{title}: {source}" for title, source in sources.items())
    return f"Published numbers: {named}."


def seconds(value: float | None) -> str:
    """A duration in seconds, three digits or whole seconds: 0.42, 9.1, 12.3, 1,204."""
    if value is None:
        return NONE
    return f"{value:.2f}" if value < 1 else f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def _check(rows: Sequence[Row]) -> list[str]:
    if not rows:
        raise ValueError("Expected *rows* to be one row or more, but got none; make them with compare.")
    return list(rows[0].cells)


def comparison_text(rows: Sequence[Row]) -> str:
    """Table for a terminal: aligned, percentages, a star at the best mean of each metric.

    Parameters
    ----------
    rows : sequence of Row
        From `compare`.

    Returns
    -------
    str
        Lines without a trailing newline. No colour codes.

    Raises
    ------
    ValueError
        If there are no rows.

    Examples
    --------
    >>> from latentover.report import Cell, Row, comparison_text
    >>> rows = [Row("rae", "RAE", {"acsa": Cell(0.8479, 0.0015, 5, best=True)}, n_seeds=5, fit_seconds=12.3),
    ...         Row("none", "No resampling", {"acsa": Cell(0.7, None, 1)}, n_seeds=1, fit_seconds=4.0)]
    >>> print(comparison_text(rows))
    Method                  ACSA  Seeds  Fit s
    ------------------------------------------
    RAE            84.79 ± 0.15*      5   12.3
    No resampling  70.00              1    4.0
    <BLANKLINE>
    Percent, mean ± standard deviation over seeds. * best mean
    """
    metrics = _check(rows)
    columns = [["Method", *(row.title for row in rows)]]
    columns += [[metric_title(m), *_score_column([row.cells[m] for row in rows], len(rows) > 1)] for m in metrics]
    columns.append(["Seeds", *(str(row.n_seeds) for row in rows)])
    columns.append(["Fit s", *(seconds(row.fit_seconds) for row in rows)])
    padded = [_pad(column, left=i == 0) for i, column in enumerate(columns)]
    lines = ["  ".join(line).rstrip() for line in zip(*padded, strict=True)]
    lines.insert(1, "-" * max(map(len, lines)))
    legend = "Percent, mean ± standard deviation over seeds." + (" * best mean" if len(rows) > 1 else "")
    return "\n".join([*lines, "", legend])


def _score_column(cells: Sequence[Cell], mark: bool) -> list[str]:
    """Scores with the decimal points below each other: means first, then " ± sd", then the mark."""
    texts = [percent(cell) + ("*" if mark and cell.best else " " * mark) for cell in cells]
    means = [text.split(" ± ")[0].rstrip(" *") for text in texts]
    width = max(map(len, means))
    aligned = [" " * (width - len(mean)) + text for mean, text in zip(means, texts, strict=True)]
    longest = max(map(len, aligned))
    return [text.ljust(longest) for text in aligned]


def _pad(column: Sequence[str], left: bool) -> list[str]:
    width = max(map(len, column))
    return [text.ljust(width) if left else text.rjust(width) for text in column]


def comparison_markdown(rows: Sequence[Row]) -> str:
    """Table for documents: GitHub Markdown, the best mean of each metric in bold.

    Parameters
    ----------
    rows : sequence of Row
        From `compare`. If one has published numbers, there is a column for them, and their sources stand below.

    Returns
    -------
    str
        Lines without a trailing newline.

    Raises
    ------
    ValueError
        If there are no rows.

    Examples
    --------
    >>> from latentover.report import Cell, Row, comparison_markdown
    >>> rows = [Row("rae", "RAE", {"acsa": Cell(0.8479, 0.0015, 5, best=True)}, n_seeds=5, fit_seconds=12.3),
    ...         Row("none", "No resampling", {"acsa": Cell(0.7, None, 1)}, n_seeds=1, fit_seconds=4.0)]
    >>> print(comparison_markdown(rows))
    | Method | ACSA (%) | Seeds | Fit (s) |
    |:--|--:|--:|--:|
    | RAE | **84.79 ± 0.15** | 5 | 12.3 |
    | No resampling | 70.00 | 1 | 4.0 |
    """
    metrics = _check(rows)
    sources = published_sources(rows)
    more = ["Published (%)"] if sources else []
    head = ["Method", *(f"{metric_title(metric)} (%)" for metric in metrics), *more, "Seeds", "Fit (s)"]
    lines = [_markdown_line(head), "|:--|" + "--:|" * (len(head) - 1)]
    for row in rows:
        scores = [percent(cell) for cell in row.cells.values()]
        bold = [cell.best and len(rows) > 1 for cell in row.cells.values()]
        marked = [f"**{text}**" if strong else text for text, strong in zip(scores, bold, strict=True)]
        marked += [", ".join(published_texts(row.published))] if sources else []
        lines.append(_markdown_line([_escape(row.title), *marked, str(row.n_seeds), seconds(row.fit_seconds)]))
    return "\n".join([*lines, *(["", _escape(sources)] if sources else [])])


def _markdown_line(fields: Sequence[str]) -> str:
    return f"| {' | '.join(fields)} |"


def _escape(text: str) -> str:
    for character in "\\|*_`<[":
        text = text.replace(character, "\\" + character)
    return text
