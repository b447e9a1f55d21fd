"""Draw the pictures of the pages on metrics and statistics into docs/images.

Run with ``python docs/make_metric_figures.py``; some seconds on one core. Everything is drawn from seeds, so the same
versions give the same pictures.
"""

import warnings
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from latentover.displays.theme import LIGHT, style
from latentover.metrics import frechet_distance, frechet_infinity, kid
from latentover.stats import critical_difference_diagram, mean_ranks, shaffer

IMAGES = Path(__file__).parent / "images"
SIZES = (50, 100, 200, 400, 800, 1600, 3200)
DIMENSIONS = (16, 64, 256)
REPEATS = 5


def main() -> None:
    """Write every picture."""
    IMAGES.mkdir(exist_ok=True)
    draw_bias(IMAGES / "fid_bias.png")
    draw_comparison(IMAGES / "critical_difference.png")
    for name in ("fid_bias.png", "critical_difference.png"):
        print(f"{name}: {(IMAGES / name).stat().st_size // 1024} kB")


def draw_bias(path: Path) -> None:
    """Draw distances between two samples of one distribution over n: they should be 0."""
    warnings.simplefilter("ignore")  # the few samples that are warned of are what is shown
    rng = np.random.default_rng(0)
    figure = Figure(figsize=(7.6, 3.2), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    for index, d in enumerate(DIMENSIONS):
        pairs = {n: [rng.normal(size=(2, n, d)) / np.sqrt(d) for _ in range(REPEATS)] for n in SIZES}
        colour = LIGHT.colour(index)
        values = [np.mean([frechet_distance(*pair) for pair in pairs[n]]) for n in SIZES]
        left.plot(SIZES, values, "o-", color=colour, markersize=4, label=f"{d} dimensions")
        if d == 64:
            limits = [[frechet_infinity(*pair, random_state=0).value for pair in pairs[n]] for n in SIZES]
            kernel = [[kid(*pair).value for pair in pairs[n]] for n in SIZES]
            for series, name, mark in ((limits, "FID extrapolated", "s"), (kernel, "KID", "^")):
                number = len(DIMENSIONS) + (mark == "^")
                spread = np.std(series, axis=1)
                right.errorbar(
                    SIZES, np.mean(series, axis=1), spread, fmt=mark + "-", color=LIGHT.colour(number), label=name
                )
            right.plot(SIZES, values, "o-", color=colour, markersize=4, label="FID")
    for ax in (left, right):
        style(ax, LIGHT, grid="y")
        ax.set(xscale="log", xlabel="samples n of each kind", ylim=(-0.12, 1.5))
        ax.set_xticks((50, 200, 800, 3200), labels=("50", "200", "800", "3200"))
        ax.minorticks_off()
        ax.legend(frameon=False, fontsize=9, labelcolor=LIGHT.ink)
    left.set_title("FID of equal distributions: the truth is 0", fontsize=10, color=LIGHT.ink)
    right.set_title("64 dimensions: estimates without that bias", fontsize=10, color=LIGHT.ink)
    figure.savefig(path, dpi=130, facecolor="white", metadata={"Software": None})


def draw_comparison(path: Path) -> None:
    """Draw a critical-difference diagram of made-up scores."""
    names = ["A", "B", "C", "D", "E"]
    table = np.random.default_rng(3).normal([0.90, 0.895, 0.88, 0.86, 0.86], 0.012, size=(14, 5))
    ranks = dict(zip(names, mean_ranks(table).tolist(), strict=True))
    figure = critical_difference_diagram(ranks, shaffer(table, names))
    figure.savefig(path, dpi=130, facecolor="white", metadata={"Software": None})


if __name__ == "__main__":
    main()
