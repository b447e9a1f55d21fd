"""Draw the pictures of the pages: ``python docs/draw.py [NAME ...]`` writes ``docs/images/NAME``, or all of them.

A picture that an example of the gallery draws is taken from there. Samples come from the shipped recipes on the digits
with seed 0; on one core all of it takes some minutes. The pages show what is committed, so they can be read where the
code is hosted.
"""

import ast
import re
import runpy
import sys
import warnings
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from latentover import load
from latentover.data import load_splits
from latentover.experiments.recipe import find_recipes, load_recipe
from latentover.report import save_minority_grid
from latentover.training import CollapseWarning
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from PIL import Image

from style import BLUE, FAINT, GREEN, INK, ORANGE, use_style

HERE = Path(__file__).parent
IMAGES = HERE / "images"
EXAMPLES: dict[str, list[str]] = {
    "two_moons_and_rings": ["moons", "rings"],
    "resamplers_in_the_plane": [
        "classical",
        "amdo",
        "ccr",
        "rbo",
        "smoothed_bootstrap",
    ],
    "theory": [
        "theory_labels",
        "theory_variance",
        "theory_bound",
        "theory_lipschitz",
    ],
    "fid_over_n": ["fid_bias"],
    "statistics": ["critical_difference"],
    "latent_map": ["digits_latents"],
    "decision_boundaries": ["decision_boundaries"],
    "threshold_or_resampling": ["threshold_or_resampling"],
    "margins": ["margins"],
    "own_loop": ["own_loop"],
    "calibration": ["calibration"],
    "leakage": ["leakage"],
    "flow": ["flow"],
    "m2m": ["m2m"],
    "own_encoder": ["own_encoder"],
}
"""From an example to the names of its figures, in their order."""

CARDS = {
    "threshold_or_resampling": "card_table",
    "decision_boundaries": "card_loop",
    "several_seeds": "card_research",
}
"""From an example to the small picture of it that stands on a card, without a word."""

SAMPLES: dict[str, tuple[str, dict[str, Any]]] = {
    "digits_samples": ("digits/rae", {}),
    "deepsmote_samples": ("digits_methods/deepsmote", {}),
    "deepsmote_paper_samples": (
        "digits_methods/deepsmote",
        {"penalty": "paper"},
    ),
    "bagan_samples": ("digits_methods/bagan", {}),
    "gamo_samples": ("digits_methods/gamo", {}),
    "dgc_samples": ("digits_methods/dgc", {}),
    "smote_samples": ("digits_methods/adasyn", {"method": "smote"}),
    "amdo_samples": ("digits_methods/amdo", {}),
    "ccr_samples": ("digits_methods/ccr", {}),
    "rbo_samples": ("digits_methods/rbo", {}),
    "smoothed_bootstrap_samples": ("digits_methods/smoothed_bootstrap", {}),
}
"""From the name of a picture to its recipe and what is changed in it."""


def main(names: list[str]) -> None:
    """Write these pictures, or all."""
    IMAGES.mkdir(exist_ok=True)
    mpl.use("Agg")
    wanted = {Path(name).stem for name in names}
    for example, pictures in EXAMPLES.items():
        if not wanted or wanted & set(pictures):
            draw_example(example, pictures)
    for name in SAMPLES:
        if not wanted or name in wanted:
            draw_samples(name, *SAMPLES[name])
    for example, name in CARDS.items():
        if not wanted or name in wanted:
            draw_card(example, IMAGES / f"{name}.png")
    if not wanted or "card_images" in wanted:
        draw_new_images(IMAGES / "card_images.png")
    if not wanted or "results" in wanted:
        draw_results(IMAGES / "results.png")
    if not wanted or "rae_networks" in wanted:
        draw_networks(IMAGES / "rae_networks.png")
    if not wanted or "house" in wanted:
        draw_house(IMAGES / "house.png")


def draw_example(example: str, pictures: list[str]) -> None:
    """Run an example of the gallery and write its figures, with few colours, which is all that they have."""
    use_style()
    plt.close("all")
    runpy.run_path(
        str(HERE / "gallery" / f"plot_{example}.py"), run_name="__main__"
    )
    for number, name in zip(plt.get_fignums() or [1], pictures, strict=True):
        path = IMAGES / f"{name}.png"
        plt.figure(number).savefig(path, dpi=150)
        Image.open(path).convert("RGB").quantize(192).save(path, optimize=True)
        print(f"{path.name}: {path.stat().st_size // 1024} kB")


def draw_card(example: str, path: Path) -> None:
    """Run an example and write its last figure small, without words and ticks."""
    use_style()
    plt.close("all")
    runpy.run_path(
        str(HERE / "gallery" / f"plot_{example}.py"), run_name="__main__"
    )
    figure = plt.gcf()
    for ax in figure.axes:
        for text in ax.texts:
            text.remove()
        ax.set_title("", loc="center")
        ax.set(title="", xlabel="", ylabel="")
        ax.tick_params(
            length=0, which="both", labelbottom=False, labelleft=False
        )
    figure.set_size_inches(3.2, 2)
    figure.savefig(path, dpi=200)
    Image.open(path).convert("RGB").quantize(128).save(path, optimize=True)


def draw_new_images(path: Path) -> None:
    """Write new images of the eight rarest classes, a column each, from a model that ships."""
    model = load(HERE.parent / "models" / "rae-fashion-mnist")
    columns = [
        model.sample(5, y=label, random_state=0) for label in range(2, 10)
    ]
    images = np.stack(columns, axis=1)[:, :, 0]  # 5, 8, height, width
    images = np.pad(
        images, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=255
    )
    rows, number, height, width = images.shape
    sheet = images.transpose(0, 2, 1, 3).reshape(rows * height, number * width)
    picture = Image.fromarray(sheet.astype(np.uint8))
    picture.resize((2 * number * width, 2 * rows * height), 0).save(
        path, optimize=True
    )


def draw_results(path: Path) -> None:
    """Draw the ACSA of every method on Fashion-MNIST, from the first table of its page."""
    page = (HERE / "results" / "rae.md").read_text(encoding="utf-8")
    table = page.split("## Fashion-MNIST\n")[1].split("| Method |")[1]
    rows = re.findall(r"^\| ([^|]+) \| \**([\d.]+)[^|]*\|", table, re.MULTILINE)
    kinds = {
        "simple control": (
            BLUE,
            r"Logit|Class-balanced|Class weights|No resampling",
        ),
        "over-sampler of pixels": (GREEN, r"(.*-)?SMOTE$|ADASYN|AMDO|MC-"),
        "network that makes samples": (ORANGE, r"RAE|DeepSMOTE|GAMO|BAGAN|DGC"),
    }
    use_style()
    figure, ax = plt.subplots(figsize=(6.4, 5.2))
    for kind, (color, pattern) in kinds.items():
        chosen = [
            (float(score), place)
            for place, (name, score) in enumerate(rows)
            if re.match(pattern, name)
        ]
        ax.scatter(*zip(*chosen, strict=True), s=46, color=color, label=kind)
    names = [name for name, _ in rows]
    ax.set_yticks(range(len(names)), names)
    ax.set(
        xlabel="mean recall of the ten classes (ACSA, %)", ylim=(len(names), -1)
    )
    ax.grid(axis="y")
    ax.set_axisbelow(True)
    figure.legend(loc="outside upper center", ncols=3, handletextpad=0.2)
    figure.savefig(path, dpi=150)
    Image.open(path).convert("RGB").quantize(128).save(path, optimize=True)


def draw_samples(name: str, place: str, changes: dict[str, Any]) -> None:
    """Train what a recipe says and write real and new digits of the five rarest classes."""
    recipe = load_recipe(find_recipes([f"configs/{place}.yaml"])[0])
    splits = load_splits(recipe.data)
    estimator = recipe.estimator(
        seed=0, device="cpu", precision="float32", verbose=0
    )
    sampler = (
        estimator.steps[0][1] if hasattr(estimator, "steps") else estimator
    ).set_params(**changes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CollapseWarning)
        sampler.fit(splits.X_train, splits.y_train)
    path = IMAGES / f"{name}.png"
    save_minority_grid(
        sampler, splits.X_train, splits.y_train, path, n_classes=5
    )
    path.with_suffix(
        ".npz"
    ).unlink()  # the same as arrays, which a report wants
    varied = (
        f"diversity_ {sampler.diversity_.round(2).tolist()}"
        if hasattr(sampler, "diversity_")
        else "drawn"
    )
    print(f"{path.name}: {varied}")


def draw_networks(path: Path) -> None:
    """Draw how the five networks are connected."""
    use_style()
    figure = plt.figure(figsize=(9, 3.3), layout="none")
    ax = figure.add_axes((0, 0, 1, 1))
    ax.set(xlim=(0, 9), ylim=(0, 3.3))
    ax.axis("off")

    def box(
        x: float,
        y: float,
        name: str,
        text: str,
        colour: str,
        width: float = 1.3,
    ) -> None:
        patch = FancyBboxPatch(
            (x - width / 2, y - 0.32),
            width,
            0.64,
            boxstyle="round,pad=0,rounding_size=0.08",
        )
        patch.set(facecolor=colour, edgecolor=INK, linewidth=0.9)
        ax.add_patch(patch)
        ax.text(
            x,
            y + 0.12,
            name,
            ha="center",
            va="center",
            color=INK,
            fontsize=14,
            weight="bold",
        )
        ax.text(
            x,
            y - 0.16,
            text,
            ha="center",
            va="center",
            color=FAINT,
            fontsize=11.5,
        )

    def arrow(
        start: tuple[float, float],
        end: tuple[float, float],
        text: str = "",
        dy: float = 0.13,
    ) -> None:
        style = {
            "arrowstyle": "-|>",
            "mutation_scale": 11,
            "color": INK,
            "linewidth": 0.9,
        }
        ax.add_patch(FancyArrowPatch(start, end, shrinkA=0, shrinkB=0, **style))
        middle = ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2 + dy)
        ax.text(*middle, text, ha="center", va="center", color=INK, fontsize=13)

    ax.text(
        0.5,
        1.9,
        r"$\mathregular{x_1 \ldots x_t}$",
        ha="center",
        va="center",
        color=INK,
        fontsize=14,
    )
    ax.text(
        0.5,
        1.62,
        "one class y",
        ha="center",
        va="center",
        color=FAINT,
        fontsize=11.5,
    )
    box(1.85, 1.75, "E", "encoder", "#dbeaf7")
    box(3.95, 2.75, "M", "mixer", "#fbe6d4")
    box(3.95, 1.75, "Σ αⱼ zⱼ", "Eq. 1", "#eef0f3")
    box(6.1, 2.75, "L", "linear classifier", "#dbeaf7", 1.5)
    box(6.1, 1.75, "D", "decoder, given y", "#dcf0e8", 1.5)
    box(6.1, 0.6, "C", "critic", "#fbe6d4", 1.5)
    arrow((0.98, 1.75), (1.2, 1.75))
    arrow((2.5, 1.75), (3.3, 1.75), r"$\mathregular{z_1 \ldots z_t}$")
    arrow((2.5, 1.95), (3.3, 2.68))
    arrow((3.95, 2.43), (3.95, 2.07))
    ax.text(4.08, 2.25, "α", ha="left", va="center", color=INK, fontsize=13)
    arrow((4.6, 1.75), (5.35, 1.75), "z′")
    arrow((4.6, 1.95), (5.35, 2.62), "z′", dy=0.17)
    arrow((6.1, 1.43), (6.1, 0.92))
    ax.text(6.2, 1.18, "x̃", ha="left", va="center", color=INK, fontsize=13)
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
    ax.text(
        2.9,
        0.74,
        "real samples",
        ha="center",
        va="center",
        color=FAINT,
        fontsize=11.5,
    )
    arrow((6.85, 2.75), (7.15, 2.75))
    arrow((6.85, 0.6), (7.15, 0.6))
    ax.text(
        7.22,
        2.75,
        "class of z′ is y\n(M wants it wrong)",
        ha="left",
        va="center",
        color=FAINT,
        fontsize=11.5,
    )
    ax.text(
        7.22,
        0.6,
        "real or made",
        ha="left",
        va="center",
        color=FAINT,
        fontsize=11.5,
    )
    figure.savefig(
        path, dpi=160, facecolor="white", metadata={"Software": None}
    )


def imports_between_rooms() -> dict[str, set[str]]:
    """Return for each room of the package, a folder or a file, the rooms that it imports when it is loaded."""
    package = HERE.parent / "latentover"
    found: dict[str, set[str]] = {}
    for path in sorted(package.rglob("*.py")):
        room = path.relative_to(package).parts[0].removesuffix(".py")
        if room.startswith("__"):
            continue
        names = found.setdefault(room, set())
        tree = ast.parse(path.read_text(encoding="utf-8"))
        # The command line imports what it calls when a command is known.
        for node in ast.walk(tree) if room == "cli" else tree.body:
            if isinstance(node, ast.ImportFrom) and (
                node.module or ""
            ).startswith("latentover."):
                names.add(node.module.split(".")[1])
    return {
        room: {name for name in names if name in found and name != room}
        for room, names in found.items()
    }


WAY = {
    "cli": "a command",
    "experiments": "reads a recipe,",
    "data": "splits the data,",
    "methods": "trains,",
    "metrics": "scores,",
    "runs": "keeps the run,",
    "report": "compares",
}
"""The rooms that the data goes through, and what each of them does."""


def draw_house(path: Path) -> None:
    """Draw the rooms on their floors, as the imports have them, and the way of the data through them."""
    imports = imports_between_rooms()
    floors: dict[str, int] = {}

    def floor(room: str, above: tuple[str, ...] = ()) -> int:
        if room not in floors:
            lower = [
                floor(name, (*above, room))
                for name in imports[room]
                if name not in above
            ]
            floors[room] = 1 + max(lower, default=0)
        return floors[room]

    for room in imports:
        floor(room)
    use_style()
    top = max(floors.values())
    figure = plt.figure(figsize=(8.6, 0.62 * top + 0.9), layout="none")
    ax = figure.add_axes((0, 0, 1, 1))
    ax.axis("off")
    ax.set(xlim=(0, 8.6), ylim=(-0.85, top + 0.6))
    for level in range(1, top + 1):
        rooms = sorted(room for room in floors if floors[room] == level)
        width = 8.2 / len(rooms)
        for number, room in enumerate(rooms):
            draw_room(ax, room, 0.2 + number * width, level, width - 0.14)
    words = [
        f"{number} {WAY[room]}" for number, room in enumerate(WAY, start=1)
    ]
    for height, line in zip((-0.1, -0.5), (words[:4], words[4:]), strict=True):
        ax.text(0.27, height, "     ".join(line), fontsize=11.5, color=INK)
    figure.savefig(path, dpi=150)
    Image.open(path).convert("RGB").quantize(64).save(path, optimize=True)


def draw_room(ax: Any, room: str, x: float, level: int, width: float) -> None:
    """Draw a room on its floor; one on the way of the data in orange, with its number."""
    patch = FancyBboxPatch(
        (x + 0.07, level - 0.37),
        width,
        0.74,
        boxstyle="round,pad=0,rounding_size=0.08",
    )
    patch.set(
        facecolor="#fbe6d4" if room in WAY else "#dbeaf7", edgecolor="white"
    )
    ax.add_patch(patch)
    ax.text(
        x + 0.07 + width / 2,
        level,
        room,
        ha="center",
        va="center",
        fontsize=13,
        color=INK,
    )
    if room in WAY:
        number = str([*WAY].index(room) + 1)
        ax.plot(x + 0.37, level, "o", color=ORANGE, markersize=17)
        ax.text(
            x + 0.37,
            level - 0.02,
            number,
            ha="center",
            va="center",
            fontsize=11.5,
            color="white",
            weight="bold",
        )


if __name__ == "__main__":
    main(sys.argv[1:])
