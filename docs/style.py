"""One style for every picture: the colours of Okabe and Ito, quiet frames, white paper."""

import matplotlib as mpl

INK, FAINT, RULE = "#1c2430", "#5b6675", "#dfe3e8"
LINES = BLUE, ORANGE, GREEN, PINK, SKY, YELLOW = (
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#cc79a7",
    "#56b4e9",
    "#e69f00",
)

STYLE = {
    "figure.figsize": (6.4, 3.4),
    "figure.dpi": 100,
    "figure.facecolor": "white",
    "figure.constrained_layout.use": True,
    "savefig.facecolor": "white",
    "font.size": 10.5,
    "text.color": INK,
    "axes.titlesize": 11.5,
    "axes.titlelocation": "left",
    "axes.titlecolor": INK,
    "axes.edgecolor": "#aab2bd",
    "axes.labelcolor": FAINT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.prop_cycle": mpl.cycler(color=LINES),
    "axes.grid": False,
    "grid.color": RULE,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelsize": 9.5,
    "ytick.labelsize": 9.5,
    "legend.fontsize": 9.5,
    "legend.frameon": False,
    "legend.labelcolor": FAINT,
    "lines.linewidth": 1.8,
    "image.cmap": "gray",
}


def use_style() -> None:
    """Set matplotlib's defaults, in place of whatever they are."""
    mpl.rcdefaults()
    mpl.rcParams.update(STYLE)


def reset(_conf: dict, _example: str) -> None:
    """Begin an example of the gallery."""
    use_style()
