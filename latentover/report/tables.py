"""Comparison tables as plain text for a terminal and as Markdown for documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scipy.stats import rankdata, spearmanr

from latentover.runs.collection import FailedRun, Run
from latentover.runs.comparison import Cell, Row, mean_cell, run_titles
from latentover.runs.groups import Group, baseline_of, group_runs
from latentover.stats import PairedDifference, holm, paired_difference
from latentover.text import latex, markdown, short_name

__all__ = [
    "METRIC_TITLES",
    "SideTable",
    "calibration_table",
    "comparison_latex",
    "comparison_markdown",
    "comparison_text",
    "difference_table",
    "differences",
    "epoch_table",
    "failures",
    "metric_title",
    "order_table",
    "percent",
    "published_sources",
    "published_texts",
    "recall_table",
    "row_title",
    "seconds",
    "seeds_text",
    "side_latex",
    "side_markdown",
    "side_text",
    "stale_texts",
]

MAX_CLASSES = 12
"""Of a table with a column for each class."""
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
    return METRIC_TITLES.get(metric) or short_name(metric.replace("_", " "))


def percent(cell: Cell) -> str:
    """Mean and standard deviation in percent.

    Examples
    --------
    >>> from latentover.runs.comparison import Cell
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
    >>> from latentover.runs.comparison import Cell
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


def row_title(row: Row) -> str:
    """Name of a row for people; of a stale one it says so."""
    return f"{row.title} (stale)" if row.stale else row.title


def stale_texts(rows: Sequence[Row]) -> list[str]:
    """Say why rows are stale, a line for each reason, without a full stop."""
    titles: dict[str, list[str]] = {}
    for row in rows:
        if row.stale:
            titles.setdefault(row.stale, []).append(row.title)
    return [f"Stale, and in no mean: {', '.join(dict.fromkeys(names))} ({reason})" for reason, names in titles.items()]


def seeds_text(row: Row) -> str:
    """How many seeds of a recipe finished, and how many failed: "5", "3 (2 failed)"."""
    return f"{row.n_seeds} ({len(row.failed)} failed)" if row.failed else str(row.n_seeds)


def failures(failed: Sequence[FailedRun], *, named: bool = True) -> list[str]:
    """Say with which seeds methods failed and why, a line for each method and reason, without a full stop.

    Parameters
    ----------
    failed : sequence of FailedRun
    named : bool, default=True
        Whether a line names its method.
    """
    seeds: dict[tuple[str, str], list[str]] = {}
    for run in failed:
        seeds.setdefault((run.title, run.message), []).append(str(run.seed))
    return [
        f"Failed{f': {title},' if named else ' with'} {'seed' if len(known) == 1 else 'seeds'} {', '.join(known)} "
        f"({message.rstrip('.')})"
        for (title, message), known in seeds.items()
    ]


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
    columns = [["Method", *map(row_title, rows)]]
    columns += [[metric_title(m), *_score_column([row.cells[m] for row in rows], len(rows) > 1)] for m in metrics]
    columns.append(["Seeds", *map(seeds_text, rows)])
    columns.append(["Fit s", *(seconds(row.fit_seconds) for row in rows)])
    legend = "Percent, mean ± standard deviation over seeds." + (" * best mean" if len(rows) > 1 else "")
    told = [*failures([run for row in rows for run in row.failed]), *stale_texts(rows)]
    return "\n".join([*_aligned(columns), "", legend, *told])


def _aligned(columns: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table, the first column to the left, with a rule below the heads."""
    padded = [_pad(column, left=i == 0) for i, column in enumerate(columns)]
    lines = ["  ".join(line).rstrip() for line in zip(*padded, strict=True)]
    lines.insert(1, "-" * max(map(len, lines)))
    return lines


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
        lines.append(_markdown_line([markdown(row_title(row)), *marked, seeds_text(row), seconds(row.fit_seconds)]))
    return "\n".join([*lines, *(["", markdown(sources)] if sources else [])])


@dataclass(frozen=True)
class SideTable:
    """A table beside the comparison, ready to be shown.

    Parameters
    ----------
    caption : str
    columns : sequence of str
        Without the first one.
    rows : sequence of (str, sequence of str)
        Method and its cells.
    note : str
        A sentence for below; may be empty.
    head : str
        Of the first column.
    """

    caption: str
    columns: Sequence[str]
    rows: Sequence[tuple[str, Sequence[str]]]
    note: str = ""
    head: str = "Method"


def side_markdown(table: SideTable) -> str:
    """Return a table as Markdown, with its caption before and its note behind it."""
    lines = [_markdown_line([table.head, *map(markdown, table.columns)]), "|:--|" + "--:|" * len(table.columns)]
    lines += [_markdown_line([markdown(title), *cells]) for title, cells in table.rows]
    return "\n\n".join([f"{table.caption}:", "\n".join(lines), *([markdown(table.note)] if table.note else [])])


def side_text(table: SideTable) -> str:
    """Return a table for a terminal, aligned, with its caption before and its note behind it."""
    heads, lines = [table.head, *table.columns], [[title, *cells] for title, cells in table.rows]
    columns = [list(column) for column in zip(heads, *lines, strict=True)]
    return "\n".join([f"{table.caption}:", *_aligned(columns), *(["", table.note] if table.note else [])])


def side_latex(table: SideTable) -> str:
    """Return a table as LaTeX, with its caption and note above."""
    lines = [[latex(title), *map(latex, cells)] for title, cells in table.rows]
    note = f" {table.note}" if table.note else ""
    return _latex_table(f"{table.caption}.{note}", [table.head, *table.columns], lines)


def comparison_latex(rows: Sequence[Row], caption: str) -> str:
    r"""Table for papers: LaTeX with the rules of the package booktabs, the best mean of each metric in bold.

    Parameters
    ----------
    rows : sequence of Row
        From `compare`.
    caption : str
        Words, which are escaped like all others.

    Returns
    -------
    str
        A ``table`` without a trailing newline.

    Raises
    ------
    ValueError
        If there are no rows.

    Examples
    --------
    >>> from latentover.report import Cell, Row
    >>> rows = [Row("rae", "RAE & co", {"acsa": Cell(0.8479, 0.0015, 5, best=True)}, n_seeds=5, fit_seconds=12.3)]
    >>> print(comparison_latex(rows, "Digits."))
    \begin{table}
    \caption{Digits.}
    \centering
    \begin{tabular}{lrrr}
    \toprule
    Method & ACSA (\%) & Seeds & Fit (s) \\
    \midrule
    RAE \& co & 84.79 $\pm$ 0.15 & 5 & 12.3 \\
    \bottomrule
    \end{tabular}
    \end{table}
    """
    metrics = _check(rows)
    head = ["Method", *(f"{metric_title(metric)} (%)" for metric in metrics), "Seeds", "Fit (s)"]
    lines = []
    for row in rows:
        scores = [(latex(percent(cell)), cell.best and len(rows) > 1) for cell in row.cells.values()]
        marked = [rf"\textbf{{{text}}}" if strong else text for text, strong in scores]
        lines.append([latex(row.title), *marked, seeds_text(row), seconds(row.fit_seconds)])
    return _latex_table(caption, head, lines)


def _latex_table(caption: str, head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Return a table; `lines` hold LaTeX, caption and head words."""
    rows = [r" & ".join(cells) + r" \\" for cells in lines]
    return "\n".join(
        [
            r"\begin{table}",
            rf"\caption{{{latex(caption)}}}",
            r"\centering",
            rf"\begin{{tabular}}{{l{'r' * (len(head) - 1)}}}",
            r"\toprule",
            " & ".join(map(latex, head)) + r" \\",
            r"\midrule",
            *rows,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
        ]
    )


def order_table(rows: Sequence[Row]) -> SideTable | None:
    """Set the order of the methods beside the order that a paper reports.

    Parameters
    ----------
    rows : sequence of Row
        From `compare`.

    Returns
    -------
    SideTable or None
        Of the rows with a published ACSA, and their rank correlation (Spearman); None for fewer than three values.

    Examples
    --------
    >>> from latentover.runs.comparison import Cell, Row
    >>> ours, paper = {"a": 0.6, "b": 0.7, "c": 0.8}, {"a": 0.71, "b": 0.82, "c": 0.75}
    >>> table = order_table([
    ...     Row(name, name.upper(), {"acsa": Cell(ours[name], None, 1)}, 1, None, {"acsa": Cell(paper[name], None, 0)})
    ...     for name in "abc"
    ... ])
    >>> table.rows[0], table.note
    (('A', ['60.00', '3', '71.00', '3']), 'Rank correlation (Spearman) of the two orders, 3 methods: 0.50.')
    """
    both = [(row, row.cells.get("acsa"), row.published.get("acsa")) for row in rows]
    known = [
        (row, ours, theirs) for row, ours, theirs in both if ours and theirs and None not in (ours.mean, theirs.mean)
    ]
    means = [[-cell.mean for cell in cells if cell.mean is not None] for cells in list(zip(*known, strict=True))[1:]]
    if len(known) < 3 or len(set(means[1])) < 3:
        return None
    ranks = [rankdata(values) for values in means]
    lines = [
        (row.title, [percent(ours), f"{rank:g}", percent(theirs), f"{their_rank:g}"])
        for (row, ours, theirs), rank, their_rank in zip(known, *ranks, strict=True)
    ]
    note = ""
    if all(len(set(values)) > 1 for values in means):
        rho = float(spearmanr(*means).statistic)
        note = f"Rank correlation (Spearman) of the two orders, {len(known)} methods: {rho:.2f}."
    columns = ["ACSA (%)", "Rank", "Published ACSA (%)", "Published rank"]
    return SideTable("The order of the methods beside the published one", columns, lines, note)


def recall_table(runs: Sequence[Run], split: str, metric: str = "recall", most: int = MAX_CLASSES) -> SideTable | None:
    """Set the methods' recalls of each class side by side, the class with most training samples first.

    Parameters
    ----------
    runs : sequence of Run
        On the same data.
    split : str
    metric : str, default="recall"
        Another score of each class: ``"precision"``, ``"f1"``.
    most : int, default=12

    Returns
    -------
    SideTable or None
        Mean over seeds; None for more than `most` classes.
    """
    classes = list(runs[0].scores(split).get("classes") or [])
    counts = runs[0].metrics.get("train_counts") or {}
    if not classes or len(classes) > most:
        return None
    order = sorted(classes, key=lambda label: -counts.get(label, 0))
    lines = []
    for recipe, title in run_titles(runs).items():
        found = []
        for run in runs:
            scores = run.scores(split)
            if run.recipe == recipe and scores.get(metric) and scores.get("classes"):
                found.append(dict(zip(scores["classes"], scores[metric], strict=True)))
        cells = [mean_cell([values.get(label) for values in found]) for label in order]
        lines.append((title, ["n/a" if cell.mean is None else f"{100 * cell.mean:.1f}" for cell in cells]))
    columns = [
        f"{short_name(name)} ({counts[label]:,})" if label in counts else short_name(name)
        for label, name in zip(order, runs[0].class_names(order), strict=True)
    ]
    caption = f"{metric.capitalize()} of each class in percent, with its number of training samples"
    return SideTable(caption, columns, lines)


CALIBRATION_NOTE = (
    "ECE: how far the highest probability of a sample is from how often it is right, over 15 bins. Brier: squared "
    "error of all probabilities, from 0 to 2. Lower is better. Both hold for the class shares of their split: a method "
    "that balances the classes states probabilities for balanced data, and for other data they have to be corrected "
    "(PriorCorrectedClassifier)."
)


def calibration_table(runs: Sequence[Run], split: str) -> SideTable | None:
    """Set what probabilities are worth beside the ACSA.

    Parameters
    ----------
    runs : sequence of Run
    split : str

    Returns
    -------
    SideTable or None
        Mean and standard deviation over seeds, with a note on the runs' primary split; None where no run has
        probabilities.
    """
    lines = []
    for recipe, title in run_titles(runs).items():
        scores = [run.scores(split) for run in runs if run.recipe == recipe]
        acsa, ece, brier = (mean_cell([one.get(name) for one in scores]) for name in ("acsa", "ece", "brier"))
        if ece.mean is not None:
            lines.append((title, [percent(acsa), percent(ece), _plain(brier)]))
    columns, note = ["ACSA (%)", "ECE (%)", "Brier"], CALIBRATION_NOTE if split == runs[0].split else ""
    return SideTable("Calibration of the probabilities", columns, lines, note) if lines else None


def _plain(cell: Cell) -> str:
    """Mean and standard deviation as they are, three decimals."""
    if cell.mean is None:
        return NONE
    return f"{cell.mean:.3f}" + ("" if cell.sd is None else f" ± {cell.sd:.3f}")


def difference_table(runs: Sequence[Run], split: str, metric: str = "acsa") -> SideTable | None:
    """Set the methods' differences to training without resampling beside each other, with how sure they are.

    Parameters
    ----------
    runs : sequence of Run
    split : str
    metric : str, default="acsa"

    Returns
    -------
    SideTable or None
        Mean difference in points over shared seeds, its 95 % interval, p, and p adjusted for the number of methods by
        Holm's procedure; None where no method is without resampling, or none shares two seeds with it.
    """
    groups = group_runs(runs)
    baseline = baseline_of([group.row for group in groups])
    if baseline is None:
        return None
    known = [
        (group.title, found)
        for group, found in zip(groups, differences(groups, split, metric, baseline), strict=True)
        if found is not None
    ]
    if not known:
        return None
    adjusted = holm([found.p_value for _, found in known])
    lines = [
        (
            title,
            [
                f"{found.mean:+.2f}",
                f"{found.low:+.2f} to {found.high:+.2f}",
                f"{found.p_value:.3f}",
                f"{p:.3f}",
                str(found.n),
            ],
        )
        for (title, found), p in zip(known, adjusted, strict=True)
    ]
    return SideTable(
        f"Differences to {baseline.title}, with 95 % intervals over shared seeds",
        [f"{metric_title(metric)}, points", "95 % interval", "p", "p, adjusted (Holm)", "Shared seeds"],
        lines,
        "Student's paired interval and test. They know the spread between seeds, not between data sets.",
    )


def differences(
    groups: Sequence[Group], split: str, metric: str, baseline: Row | None
) -> list[PairedDifference | None]:
    """Compare every method with the baseline over the seeds that both have.

    Returns
    -------
    list of (PairedDifference or None)
        One a group, in points; None for the baseline itself and for fewer than two shared seeds.
    """
    values = {group.row.recipe: _by_seed(group, split, metric) for group in groups}
    base, scale = values.get(baseline.recipe, {}) if baseline else {}, 1 if metric == "brier" else 100
    found = list[PairedDifference | None]()
    for own in values.values():
        shared = sorted(own.keys() & base.keys())
        if own is base or len(shared) < 2:
            found.append(None)
        else:
            pairs = ([scale * side[seed] for seed in shared] for side in (own, base))
            found.append(paired_difference(*pairs))
    return found


def _by_seed(group: Group, split: str, metric: str) -> dict[int, float]:
    found = {run.seed: run.scores(split).get(metric) for run in group.runs}
    return {seed: value for seed, value in found.items() if value is not None}


def epoch_table(runs: Sequence[Run], split: str) -> SideTable | None:
    """Set the scores of the last epoch beside those of the epoch that was best on validation data.

    Parameters
    ----------
    runs : sequence of Run
    split : str

    Returns
    -------
    SideTable or None
        None where no run kept both sets of weights.
    """
    kept = [run for run in runs if run.metrics.get("validation_best")]
    if not kept:
        return None
    lines = []
    for recipe, title in run_titles(kept).items():
        group = [run for run in kept if run.recipe == recipe]
        best = [run.metrics["validation_best"] for run in group]
        cells = (
            mean_cell([run.scores(split).get("acsa") for run in group]),
            mean_cell([(one["splits"].get(split) or {}).get("acsa") for one in best]),
        )
        epochs = [str(one["epoch"]) for one in best]
        lines.append((title, [*map(percent, cells), ", ".join(epochs)]))
    return SideTable(
        "Last epoch and the epoch that was best on the validation part of the training data",
        ["ACSA, last epoch (%)", "ACSA, best on validation (%)", "That epoch"],
        lines,
    )


def _markdown_line(fields: Sequence[str]) -> str:
    return f"| {' | '.join(fields)} |"
