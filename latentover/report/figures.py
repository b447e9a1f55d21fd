"""Figures of the report. Each is a pure function of numbers; matplotlib is imported when the first one is drawn."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from latentover.report.theme import FONT, MARKERS, Picture, Theme, new_axes, render, style
from latentover.stats import PairwiseTest, critical_difference_diagram, equal_groups

__all__ = [
    "class_accuracy_figure",
    "confusion_figure",
    "curves_figure",
    "gap_figure",
    "ranks_figure",
    "recall_figure",
    "tracked_figure",
    "tsne_figure",
]

MAX_ROWS = 24  # classes drawn one by one; more are averaged in groups of equal size
MAX_POINTS = 300  # of a curve; longer ones are averaged in bins
LOG_RATIO = 50.0  # a positive loss that spans more than this is drawn on a logarithmic axis
MAX_LEGEND = 20
RANKED_LETTERS = 28  # of a name beside the critical-difference diagram

Curve = tuple[Sequence[float], Sequence[float]]


def recall_figure(
    recalls: Mapping[str, Sequence[float | None]], classes: Sequence[str], counts: Sequence[int]
) -> Picture:
    """Recall of every class under every method, common classes above, rare ones below.

    Parameters
    ----------
    recalls : mapping of str to sequence of n_classes float or None
        Method to recall per class, in [0, 1].
    classes : sequence of n_classes str
    counts : sequence of n_classes int
        Training samples of each class. Beyond 24 classes, neighbours in the order of counts are averaged.

    Returns
    -------
    Picture

    Raises
    ------
    ValueError
        If there is no method, or lengths differ.
    """
    if not recalls or not len(classes):
        raise ValueError("Expected *recalls* to be one method or more, but got none; leave the figure out.")
    for method, values in recalls.items():
        if not len(values) == len(classes) == len(counts):
            raise ValueError(
                f"Expected *recalls[{method!r}]*, *classes* and *counts* to be of one length, but got "
                f"{len(values)}, {len(classes)} and {len(counts)}; pass one value a class."
            )
    labels, table = _rows_of_classes(recalls, classes, counts)

    def draw(theme: Theme) -> Any:
        legend_rows = math.ceil(len(recalls) / 2)
        figure, axes = new_axes(0.42 * len(labels) + 0.75 + 0.22 * legend_rows)
        ax = axes[0, 0]
        rows = np.arange(len(labels))
        spread = np.linspace(-0.28, 0.28, len(recalls)) if len(recalls) > 1 else [0.0]
        for i, (method, offset) in enumerate(zip(recalls, spread, strict=True)):
            ax.plot(100 * table[i], rows + offset, MARKERS[i % len(MARKERS)], ms=5.5, mew=0, label=_short(method, 22),
                    color=theme.colour(i), clip_on=False)  # fmt: skip
        ax.set(xlim=(-3, 103), ylim=(len(labels) - 0.5, -0.5), xlabel="Recall, %")
        ax.set_yticks(rows - 0.17, [name for name, _ in labels])
        ax.set_yticks(rows + 0.22, [count for _, count in labels], minor=True)
        style(ax, theme, "x")
        ax.tick_params(axis="y", which="minor", labelsize=FONT - 1.5, labelcolor=theme.faint)
        for row in rows[1:]:
            ax.axhline(row - 0.5, color=theme.rule, linewidth=0.5)
        _legend(figure, ax, theme, columns=2)
        return figure

    return render(draw, f"Recall of each class under {', '.join(recalls)}; classes ordered by falling training count.")


def _rows_of_classes(
    recalls: Mapping[str, Sequence[float | None]], classes: Sequence[str], counts: Sequence[int]
) -> tuple[list[tuple[str, str]], NDArray]:
    """Labels (name, count) and recalls (methods, rows), by falling count; groups of classes if there are many."""
    order = np.argsort(-np.asarray(counts), kind="stable")
    table = np.array([[np.nan if v is None else v for v in values] for values in recalls.values()], float)[:, order]
    if len(classes) <= MAX_ROWS:
        return [(_short(classes[i], 18), f"n = {counts[i]:,}") for i in order], table
    groups = np.array_split(np.arange(len(classes)), 12)
    labels = []
    for group in groups:
        high, low = counts[order[group[0]]], counts[order[group[-1]]]
        labels.append((f"Classes {group[0] + 1} to {group[-1] + 1}", f"n = {high:,} to {low:,}"))
    return labels, np.stack([_nanmean(table[:, group]) for group in groups], axis=1)


def _nanmean(values: NDArray) -> NDArray:
    known = ~np.isnan(values)
    total, n = np.where(known, values, 0).sum(axis=1), known.sum(axis=1)
    return np.divide(total, n, out=np.full(len(values), np.nan), where=n > 0)


def curves_figure(curves: Mapping[str, Sequence[Curve]], title: str, index: int = 0) -> Picture:
    """Training curves of one recipe: a small panel a loss, a thin line a seed.

    Parameters
    ----------
    curves : mapping of str to sequence of (steps, values)
        Name of the loss to one curve a seed.
    title : str
        The recipe, for the description.
    index : int, default=0
        Place of the recipe in the comparison, which gives its colour.

    Returns
    -------
    Picture

    Raises
    ------
    ValueError
        If there is no curve.
    """
    if not curves:
        raise ValueError("Expected *curves* to be one loss or more, but got none; leave the figure out.")
    columns = min(2, len(curves))
    rows = math.ceil(len(curves) / columns)

    def draw(theme: Theme) -> Any:
        figure, axes = new_axes((1.7 if columns > 1 else 2.4) * rows + 0.2, columns, rows)
        for ax, (name, lines) in zip(axes.flat, curves.items(), strict=False):
            for steps, values in lines:
                x, y = _thin(steps, values)
                ax.plot(x, y, linewidth=1.1, alpha=0.75, color=theme.colour(index), marker="o" if len(x) == 1 else "")
            if _spans_magnitudes(lines):
                ax.set_yscale("log")
            ax.set_title(name.replace("_", " ").capitalize(), loc="left", size=FONT, color=theme.ink)
            style(ax, theme, "y")
            _few_ticks(ax)
        for ax in axes.flat[len(curves) :]:
            ax.set_visible(False)
        for ax in axes[:, 0] if rows == 1 else axes.flat[max(0, len(curves) - columns) : len(curves)]:
            ax.set_xlabel("Step")
        return figure

    names = ", ".join(name.replace("_", " ") for name in curves)
    return render(draw, f"Training curves of {title}, one line a seed: {names}.")


def tracked_figure(panels: Mapping[str, Mapping[str, Curve]], titles: Sequence[str]) -> Picture:
    """What was tracked during training: a small panel a score, a line a method.

    Parameters
    ----------
    panels : mapping of str to mapping of str to (steps, values)
        Score to method to curve.
    titles : sequence of str
        The methods in the order of the comparison, which gives their colours.

    Returns
    -------
    Picture

    Raises
    ------
    ValueError
        If there is no panel.
    """
    if not panels:
        raise ValueError("Expected *panels* to be one score or more, but got none; leave the figure out.")
    columns = min(2, len(panels))
    rows = math.ceil(len(panels) / columns)
    shown = [title for title in titles if any(title in curves for curves in panels.values())]

    def draw(theme: Theme) -> Any:
        figure, axes = new_axes(1.7 * rows + 0.2 + 0.22 * math.ceil(len(shown) / 2), columns, rows)
        for ax, (name, curves) in zip(axes.flat, panels.items(), strict=False):
            for title in (title for title in titles if title in curves):
                x, y = _thin(*curves[title])
                ax.plot(x, y, linewidth=1.2, color=theme.colour(titles.index(title)), marker="o" if len(x) == 1 else "",
                        ms=3)  # fmt: skip
            ax.set_title(name, loc="left", size=FONT, color=theme.ink)
            style(ax, theme, "y")
            _few_ticks(ax)
        for ax in axes.flat[len(panels) :]:
            ax.set_visible(False)
        for ax in axes.flat[max(0, len(panels) - columns) : len(panels)]:
            ax.set_xlabel("Step")
        for title in shown:
            axes.flat[0].plot([], [], linewidth=2, color=theme.colour(titles.index(title)), label=_short(title, 22))
        _legend(figure, axes.flat[0], theme, columns=2)
        return figure

    names = ", ".join(name.lower() for name in panels)
    return render(draw, f"What was tracked during training under {', '.join(shown)}: {names}.")


def gap_figure(points: Mapping[str, Sequence[tuple[float, float]]], titles: Sequence[str]) -> Picture | None:
    """Margin gap and accuracy of every run.

    Parameters
    ----------
    points : mapping of str to sequence of (float, float)
        Method to (gap, ACSA in [0, 1]) of its runs.
    titles : sequence of str
        The methods in the order of the comparison, which gives their colours.

    Returns
    -------
    Picture or None
        None for fewer than two runs.
    """
    if sum(map(len, points.values())) < 2:
        return None
    shown = [title for title in titles if title in points]

    def draw(theme: Theme) -> Any:
        figure, axes = new_axes(3.0 + 0.22 * math.ceil(len(shown) / 2))
        ax = axes[0, 0]
        for title in shown:
            i = titles.index(title)
            gaps, accuracies = zip(*points[title], strict=True)
            ax.plot(gaps, [100 * a for a in accuracies], MARKERS[i % len(MARKERS)], ms=6, mew=0, color=theme.colour(i),
                    label=_short(title, 22), clip_on=False)  # fmt: skip
        ax.margins(0.08)
        ax.axvline(0, color=theme.faint, linewidth=0.8)
        ax.set(xlabel="Margin gap, majority less minority", ylabel="ACSA, %")
        style(ax, theme, "y")
        _legend(figure, ax, theme, columns=2)
        return figure

    return render(draw, f"Margin gap and ACSA of each run of {', '.join(shown)}.")


def class_accuracy_figure(
    steps: Sequence[float],
    accuracies: Sequence[Sequence[float | None]],
    classes: Sequence[str],
    counts: Sequence[int],
    title: str,
) -> Picture:
    """Accuracy of every class over the training as a map, common classes above, rare ones below.

    Parameters
    ----------
    steps : sequence of n_reports float
    accuracies : sequence of n_reports sequences of n_classes float or None
        In [0, 1].
    classes : sequence of n_classes str
    counts : sequence of n_classes int
        Training samples of each class. Beyond 24 classes, neighbours in the order of counts are averaged.
    title : str
        The recipe, for the description.

    Returns
    -------
    Picture

    Raises
    ------
    ValueError
        If there is no report, or lengths differ.
    """
    if not len(steps) or len(steps) != len(accuracies) or any(len(row) != len(classes) for row in accuracies):
        raise ValueError(
            f"Expected *accuracies* to hold one row of {len(classes)} values for each of {len(steps)} reports, one or "
            "more, but got other lengths."
        )
    labels, table = _rows_of_classes({str(i): row for i, row in enumerate(accuracies)}, classes, counts)

    def draw(theme: Theme) -> Any:
        figure, axes = new_axes(0.27 * len(labels) + 0.6)
        ax = axes[0, 0]
        ax.imshow(
            100 * table.T, cmap=_from_transparent(theme), vmin=0, vmax=100, aspect="auto", interpolation="nearest"
        )
        ax.set_yticks(range(len(labels)), [f"{name}, {count.removeprefix('n = ')}" for name, count in labels])
        shown = np.unique(np.linspace(0, len(steps) - 1, min(4, len(steps))).round().astype(int))
        ax.set_xticks(shown, [f"{steps[i]:,.0f}" for i in shown])
        ax.set_xlabel("Step")
        style(ax, theme)
        return figure

    last = ", ".join(
        f"{name} {value:.0f}%" for (name, _), value in zip(labels, 100 * table[-1], strict=True) if not np.isnan(value)
    )
    return render(draw, f"Accuracy of each class during the training of {title}, at its end {last}.")


def _thin(steps: Sequence[float], values: Sequence[float]) -> tuple[NDArray, NDArray]:
    """At most MAX_POINTS points, each the mean of its neighbours."""
    x, y = np.asarray(steps, float), np.asarray(values, float)
    if len(x) <= MAX_POINTS:
        return x, y
    edges = np.linspace(0, len(x), MAX_POINTS + 1).astype(int)
    n = np.diff(edges)
    return np.add.reduceat(x, edges[:-1]) / n, np.add.reduceat(y, edges[:-1]) / n


def _spans_magnitudes(lines: Sequence[Curve]) -> bool:
    values = np.concatenate([np.asarray(values, float) for _, values in lines])
    return bool(values.min() > 0 and values.max() / values.min() > LOG_RATIO)


def _few_ticks(ax: Any) -> None:
    from matplotlib.ticker import EngFormatter, LogLocator, MaxNLocator, NullLocator

    ax.xaxis.set_major_locator(MaxNLocator(3, integer=True))
    ax.xaxis.set_major_formatter(EngFormatter(sep=""))
    if ax.get_yscale() == "log":
        ax.yaxis.set_major_locator(LogLocator(numticks=4))
        ax.yaxis.set_minor_locator(NullLocator())
    else:
        ax.yaxis.set_major_locator(MaxNLocator(4))


def tsne_figure(x: ArrayLike, y: ArrayLike, labels: Sequence[str], kinds: Sequence[str], title: str) -> Picture:
    """Map of the latent space: real points filled, synthetic ones as crosses, one colour a class.

    Parameters
    ----------
    x, y : array-like of shape (n,)
        Coordinates.
    labels : sequence of n str
        Class of each point.
    kinds : sequence of n {"real", "synthetic"}
    title : str
        The recipe, for the description.

    Returns
    -------
    Picture

    Raises
    ------
    ValueError
        If lengths differ or a kind is unknown.
    """
    x, y, names, kind = np.asarray(x, float), np.asarray(y, float), np.asarray(labels, str), np.asarray(kinds, str)
    if not x.shape == y.shape == names.shape == kind.shape or not x.size:
        raise ValueError(
            f"Expected *x*, *y*, *labels* and *kinds* to be of one length above 0, but got {x.shape}, {y.shape}, "
            f"{names.shape} and {kind.shape}; pass one value a point."
        )
    unknown = sorted(set(kind.tolist()) - {"real", "synthetic"})
    if unknown:
        raise ValueError(f"Expected *kinds* to be 'real' or 'synthetic', but got {unknown[0]!r}; rename it.")
    classes = sorted(set(labels), key=_natural)
    places, made = {label: code for code, label in enumerate(classes)}, kind == "synthetic"
    codes = np.array([places[label] for label in labels])

    def draw(theme: Theme) -> Any:
        from matplotlib.colors import to_rgba_array

        legend = len(classes) <= MAX_LEGEND
        figure, axes = new_axes(4.1 + (0.22 * math.ceil((len(classes) + 2) / 4) if legend else 0))
        ax = axes[0, 0]
        colours = to_rgba_array(_class_colours(len(classes), theme))
        size = float(np.clip(9000 / len(x), 4, 20))
        ax.scatter(x[made], y[made], s=size * 1.3, marker="x", color=colours[codes[made]], linewidth=0.8, alpha=0.75)
        ax.scatter(x[~made], y[~made], s=size, color=colours[codes[~made]], linewidth=0)
        for c, colour in zip(classes if legend else [], colours, strict=False):
            ax.scatter([], [], s=26, color=colour, linewidth=0, label=_short(c, 14))
        for marker, text in (("o", "Real"), ("x", "Synthetic")):
            ax.scatter([], [], s=26, color=theme.faint, marker=marker, linewidth=1, label=text)
        style(ax, theme)
        ax.set(xticks=[], yticks=[], aspect="equal", adjustable="datalim")
        _legend(figure, ax, theme, columns=4 if max(map(len, classes)) < 10 else 3)
        return figure

    alt = f"t-SNE map of {title}: {int((kind == 'real').sum())} real and {int((kind == 'synthetic').sum())} synthetic "
    return render(draw, f"{alt}points of {len(classes)} classes.", kind="png")


def _class_colours(n: int, theme: Theme) -> list[Any]:
    """The palette while it lasts; with more classes, neighbours in the order get similar colours."""
    if n <= len(theme.colours):
        return [theme.colour(i) for i in range(n)]
    from matplotlib import colormaps

    return [colormaps["turbo"](v) for v in np.linspace(0.05, 0.95, n)]


def _natural(text: str) -> tuple[bool, float, str]:
    """Numbers by value and before words."""
    try:
        return False, float(text), text
    except ValueError:
        return True, 0.0, text


def confusion_figure(confusion: ArrayLike, classes: Sequence[str], title: str) -> Picture:
    """Heat map of a confusion matrix, each row in percent of its true class.

    Parameters
    ----------
    confusion : array-like of shape (n_classes, n_classes)
        Counts, rows are true classes; may be a sum over seeds.
    classes : sequence of n_classes str
    title : str
        The recipe, for the description.

    Returns
    -------
    Picture

    Raises
    ------
    ValueError
        If *confusion* is not square or does not fit *classes*.
    """
    matrix = np.asarray(confusion, float)
    if matrix.shape != (len(classes), len(classes)):
        raise ValueError(
            f"Expected *confusion* to be of shape {(len(classes),) * 2}, but got {matrix.shape}; "
            "pass one row and one column a class."
        )
    total = matrix.sum(axis=1, keepdims=True)
    share = 100 * np.divide(matrix, total, out=np.zeros_like(matrix), where=total > 0)

    def draw(theme: Theme) -> Any:
        figure, axes = new_axes(4.3)
        ax = axes[0, 0]
        ax.imshow(share, cmap=_from_transparent(theme), vmin=0, vmax=100)
        ticks = list(range(len(classes))) if len(classes) <= 30 else []
        names = [_short(classes[i], 10) for i in ticks]
        turn = 90 if max(map(len, names), default=0) > 2 else 0
        ax.set_xticks(ticks, names, rotation=turn)
        ax.set_yticks(ticks, names)
        ax.set(xlabel="Predicted", ylabel="True")
        style(ax, theme)
        if len(classes) <= 12:
            _write_cells(ax, share, theme)
        return figure

    return render(draw, f"Confusion matrix of {title}: percent of each true class (row) by predicted class (column).")


def ranks_figure(ranks: Mapping[str, float], pairs: Sequence[PairwiseTest]) -> Picture:
    """Critical-difference diagram of methods over data sets.

    Parameters
    ----------
    ranks : mapping of str to float
        Mean rank of each method, at least two, the best first.
    pairs : sequence of PairwiseTest
        All pairs, by their titles.

    Returns
    -------
    Picture
    """
    cut = {name: _short(name, RANKED_LETTERS) for name in ranks}
    texts = list(cut.values())
    names = {name: f"{i}. {text}" if texts.count(text) > 1 else text for i, (name, text) in enumerate(cut.items(), 1)}
    renamed = [pair._replace(first=names[pair.first], second=names[pair.second]) for pair in pairs]
    places = {names[name]: rank for name, rank in ranks.items()}

    def draw(theme: Theme) -> Any:
        return critical_difference_diagram(places, renamed, ink=theme.ink, accent=theme.accent)

    said = ", ".join(f"{name} {rank:.2f}" for name, rank in ranks.items())
    joined = "; ".join(", ".join(group) for group in equal_groups(ranks, pairs)) or "none"
    return render(draw, f"Critical-difference diagram. Mean ranks: {said}. Not told apart: {joined}.")


def _from_transparent(theme: Theme) -> Any:
    from matplotlib.colors import LinearSegmentedColormap, to_rgb

    accent = to_rgb(theme.accent)
    return LinearSegmentedColormap.from_list("share", [(*accent, 0.04), (*accent, 1.0)])


def _write_cells(ax: Any, share: NDArray, theme: Theme) -> None:
    for row, column in zip(*np.nonzero(share >= 0.5), strict=True):
        value = share[row, column]
        colour = theme.on_accent if value > 55 else theme.ink
        ax.text(column, row, f"{value:.0f}", ha="center", va="center", size=FONT - 0.5, color=colour)


def _legend(figure: Any, ax: Any, theme: Theme, columns: int) -> None:
    handles, labels = ax.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(columns, len(labels)), frameon=False,
                  fontsize=FONT, labelcolor=theme.ink, handletextpad=0.3, columnspacing=1.2)  # fmt: skip


def _short(text: str, letters: int) -> str:
    """Cut to length and make safe for matplotlib, to which a dollar starts a formula and "_" hides a legend entry."""
    text = str(text)
    text = text if len(text) <= letters else text[: letters - 1] + "…"
    return (" " if text.startswith("_") else "") + text.replace("$", r"\$")
