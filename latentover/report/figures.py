"""Pictures of a page: displays, drawn for light and for dark backgrounds, as bytes."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from latentover.displays.ranks import CriticalDifferenceDisplay
from latentover.displays.theme import DARK, LIGHT, Theme
from latentover.stats import PairwiseTest

__all__ = ["Picture", "ranks_figure"]


@dataclass(frozen=True)
class Picture:
    """One figure, drawn twice.

    Parameters
    ----------
    light, dark : bytes
        For light and for dark backgrounds; transparent.
    mime : str
        ``image/svg+xml`` or ``image/png``.
    alt : str
        What it shows, in words.
    """

    light: bytes
    dark: bytes
    mime: str
    alt: str


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
    display = CriticalDifferenceDisplay(ranks=ranks, pairs=pairs)
    light, dark = (_bytes(display, theme) for theme in (LIGHT, DARK))
    said = ", ".join(f"{name} {rank:.2f}" for name, rank in ranks.items())
    joined = "; ".join(", ".join(group) for group in display.groups_) or "none"
    alt = f"Critical-difference diagram. Mean ranks: {said}. Not told apart: {joined}."
    return Picture(light, dark, "image/svg+xml", alt)


def _bytes(display: CriticalDifferenceDisplay, theme: Theme) -> bytes:
    """Return the drawing as SVG: the same display gives the same bytes, without a date and random identifiers."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=display.size)  # not by pyplot: a page has no window
    FigureCanvasAgg(figure)
    display.plot(figure.add_axes((0, 0, 1, 1)), theme=theme)
    buffer = io.BytesIO()
    with rc_context({"svg.hashsalt": "latentover", "svg.fonttype": "path"}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return buffer.getvalue()
