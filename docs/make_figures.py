"""Draw the pictures of the documentation: ``python docs/make_figures.py`` writes ``docs/images/*.png``.

The samples and the map come from the shipped recipe ``configs/digits/rae.yaml`` with seed 0, those of the other methods
from ``configs/digits_methods``; on two cores that takes a few minutes.
"""

import tempfile
from pathlib import Path

import generator_figures
import make_metric_figures
import resampler_figures
import theory_figures
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from PIL import Image

from latentover.data import load_splits
from latentover.displays import LatentMapDisplay
from latentover.experiments.evaluate import write_tsne
from latentover.experiments.recipe import find_recipes, load_recipe
from latentover.report import save_minority_grid
from latentover.runs.reading import read_map

IMAGES = Path(__file__).parent / "images"
INK, FAINT = "#1c2430", "#5b6675"
BLUE, ORANGE, GREEN, GREY = "#dbeaf7", "#fbe6d4", "#dcf0e8", "#eef0f3"


def main() -> None:
    """Write every picture."""
    IMAGES.mkdir(exist_ok=True)
    draw_networks(IMAGES / "rae_networks.png")
    theory_figures.main()
    resampler_figures.main()
    generator_figures.main([])
    recipe = load_recipe(find_recipes(["configs/digits/rae.yaml"])[0])
    splits = load_splits(recipe.data)
    estimator = recipe.estimator(seed=0, device="cpu", verbose=0).fit(splits.X_train, splits.y_train)
    save_minority_grid(estimator, splits.X_train, splits.y_train, IMAGES / "digits_samples.png", n_classes=5)
    (IMAGES / "digits_samples.npz").unlink()  # the same as arrays, which a report wants
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tsne.csv"
        write_tsne(estimator, splits, recipe.evaluation, path)
        draw_map(path, IMAGES / "digits_latents.png")
    for path in sorted(IMAGES.glob("*.png")):
        print(f"{path.name}: {path.stat().st_size // 1024} kB")
    make_metric_figures.main()


def draw_map(points: Path, path: Path) -> None:
    """Draw the t-SNE map of a run on white."""
    found = read_map(points)
    display = LatentMapDisplay(x=found.x, y=found.y, labels=found.labels, kinds=found.kinds).plot()
    display.figure_.savefig(path, dpi=104, metadata={"Software": None})
    Image.open(path).convert("RGB").quantize(128).save(path, optimize=True)


def draw_networks(path: Path) -> None:
    """Draw how the five networks are connected."""
    figure = Figure(figsize=(8.6, 3.3))
    FigureCanvasAgg(figure)
    ax = figure.add_axes((0, 0, 1, 1))
    ax.set(xlim=(0, 8.6), ylim=(0, 3.3))
    ax.axis("off")

    def box(x: float, y: float, name: str, text: str, colour: str, width: float = 1.3) -> None:
        patch = FancyBboxPatch((x - width / 2, y - 0.32), width, 0.64, boxstyle="round,pad=0,rounding_size=0.08")
        patch.set(facecolor=colour, edgecolor=INK, linewidth=0.9)
        ax.add_patch(patch)
        ax.text(x, y + 0.1, name, ha="center", va="center", color=INK, fontsize=11, weight="bold")
        ax.text(x, y - 0.15, text, ha="center", va="center", color=FAINT, fontsize=8.5)

    def arrow(start: tuple[float, float], end: tuple[float, float], text: str = "", dy: float = 0.13) -> None:
        style = {"arrowstyle": "-|>", "mutation_scale": 11, "color": INK, "linewidth": 0.9}
        ax.add_patch(FancyArrowPatch(start, end, shrinkA=0, shrinkB=0, **style))
        middle = ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2 + dy)
        ax.text(*middle, text, ha="center", va="center", color=INK, fontsize=10)

    ax.text(0.5, 1.9, r"$\mathregular{x_1 \ldots x_t}$", ha="center", va="center", color=INK, fontsize=11)
    ax.text(0.5, 1.62, "one class y", ha="center", va="center", color=FAINT, fontsize=8.5)
    box(1.85, 1.75, "E", "encoder", BLUE)
    box(3.95, 2.75, "M", "mixer", ORANGE)
    box(3.95, 1.75, "Σ αⱼ zⱼ", "Eq. 1", GREY)
    box(6.1, 2.75, "L", "linear classifier", BLUE, 1.5)
    box(6.1, 1.75, "D", "decoder, given y", GREEN, 1.5)
    box(6.1, 0.6, "C", "critic", ORANGE, 1.5)
    arrow((0.98, 1.75), (1.2, 1.75))
    arrow((2.5, 1.75), (3.3, 1.75), r"$\mathregular{z_1 \ldots z_t}$")
    arrow((2.5, 1.95), (3.3, 2.68))
    arrow((3.95, 2.43), (3.95, 2.07))
    ax.text(4.08, 2.25, "α", ha="left", va="center", color=INK, fontsize=10)
    arrow((4.6, 1.75), (5.35, 1.75), "z′")
    arrow((4.6, 1.95), (5.35, 2.62), "z′", dy=0.17)
    arrow((6.1, 1.43), (6.1, 0.92))
    ax.text(6.2, 1.18, "x̃", ha="left", va="center", color=INK, fontsize=10)
    ax.add_patch(
        FancyArrowPatch(
            (0.5, 1.45),
            (5.35, 0.6),
            connectionstyle="angle,angleA=90,angleB=0,rad=8",
            arrowstyle="-|>",
            mutation_scale=11,
            color=INK,
            linewidth=0.9,
            shrinkA=0,
            shrinkB=0,
        )
    )
    ax.text(2.9, 0.74, "real samples", ha="center", va="center", color=FAINT, fontsize=8.5)
    arrow((6.85, 2.75), (7.15, 2.75))
    arrow((6.85, 0.6), (7.15, 0.6))
    ax.text(7.22, 2.75, "class of z′ is y\n(M wants it wrong)", ha="left", va="center", color=FAINT, fontsize=8.5)
    ax.text(7.22, 0.6, "real or made", ha="left", va="center", color=FAINT, fontsize=8.5)
    figure.savefig(path, dpi=160, facecolor="white", metadata={"Software": None})


if __name__ == "__main__":
    main()
