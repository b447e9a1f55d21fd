"""Colours and letters of all figures, for light and for dark pages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["DARK", "LIGHT", "MARKERS", "THEMES", "Theme", "as_theme", "new_axes", "style"]

WIDTH = 4.2  # inches; so that the letters stay readable where a phone shows it 316 pixels wide
FONT = 10.5
MARKERS = "osD^vPX*<>hp"


@dataclass(frozen=True)
class Theme:
    """Colours for one page background.

    Parameters
    ----------
    ink, faint, rule, accent : str
        Text, secondary text, grid lines, and the colour of a full cell in a heat map.
    on_accent : str
        Text on a full cell.
    colours : tuple of str
        For lines and points: the colours of Okabe and Ito, which people with colour-blindness can tell apart, with
        lightness fitted to the background, then four from Paul Tol.
    paper : str
        The background, of figures that are not laid on a page.
    """

    ink: str
    faint: str
    rule: str
    accent: str
    on_accent: str
    colours: tuple[str, ...]
    paper: str

    def colour(self, index: int) -> str:
        """Colour of the index-th thing; starts again after the last one."""
        return self.colours[index % len(self.colours)]


LIGHT = Theme(
    ink="#1c2430",
    faint="#5b6675",
    rule="#dfe3e8",
    accent="#0b5cad",
    on_accent="#ffffff",
    colours=(
        "#0072b2",
        "#d55e00",
        "#009e73",
        "#b8589a",
        "#c98a00",
        "#3a9bd9",
        "#30363d",
        "#8a7f00",
        "#882255",
        "#44aa99",
        "#6f4fb3",
        "#aa6b4c",
    ),
    paper="#ffffff",
)
DARK = Theme(
    ink="#e8ebf0",
    faint="#a3adba",
    rule="#343c48",
    accent="#5aa9f0",
    on_accent="#0b1118",
    colours=(
        "#4aa8e8",
        "#ff8a3d",
        "#2fcf9f",
        "#e193c8",
        "#f0b93a",
        "#8fd3ff",
        "#d5dae1",
        "#f0e442",
        "#e0709a",
        "#7fe0cf",
        "#b39df0",
        "#d9a07f",
    ),
    paper="#14181f",
)


THEMES = {"light": LIGHT, "dark": DARK}


def as_theme(theme: str | Theme) -> Theme:
    """Return the colours of a name.

    Raises
    ------
    ValueError
        If no colours have that name.
    """
    if isinstance(theme, Theme):
        return theme
    if theme not in THEMES:
        raise ValueError(f"Expected theme to be one of {', '.join(map(repr, THEMES))}, but got {theme!r}; name one.")
    return THEMES[theme]


def new_axes(height: float, columns: int = 1, rows: int = 1) -> tuple[Any, Any]:
    """Make a figure of the standard width without touching pyplot.

    Returns
    -------
    figure : matplotlib.figure.Figure
    axes : ndarray of Axes, shape (rows, columns)
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, squeeze=False)


def style(ax: Any, theme: Theme, grid: str | None = None) -> None:
    """Quiet axes: no frame, thin lines in one direction, readable ticks."""
    for spine in ax.spines.values():
        spine.set_visible(False)
    ax.tick_params(length=0, labelsize=FONT, labelcolor=theme.ink, pad=4, which="both")
    ax.xaxis.label.set(color=theme.faint, size=FONT)
    ax.yaxis.label.set(color=theme.faint, size=FONT)
    ax.set_facecolor("none")
    if grid:
        ax.grid(axis=grid, color=theme.rule, linewidth=0.8)
        ax.set_axisbelow(True)
