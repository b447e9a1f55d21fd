"""Figures that are pictures: pure functions of numbers; matplotlib is imported when the first one is drawn."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from latentover.report.theme import FONT, Picture, Theme, new_axes, render, style
from latentover.stats import PairwiseTest, critical_difference_diagram, equal_groups
from latentover.text import natural

__all__ = ["ranks_figure", "tsne_figure"]

MAX_LEGEND = 20
RANKED_LETTERS = 28  # of a name beside the critical-difference diagram


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
    classes = sorted(set(labels), key=natural)
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


def _legend(figure: Any, ax: Any, theme: Theme, columns: int) -> None:
    handles, labels = ax.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(columns, len(labels)), frameon=False,
                  fontsize=FONT, labelcolor=theme.ink, handletextpad=0.3, columnspacing=1.2)  # fmt: skip


def _short(text: str, letters: int) -> str:
    """Cut to length and make safe for matplotlib, to which a dollar starts a formula and "_" hides a legend entry."""
    text = str(text)
    text = text if len(text) <= letters else text[: letters - 1] + "…"
    return (" " if text.startswith("_") else "") + text.replace("$", r"\$")
