"""What runs on one data set generate, beside each other: the picture of docs/results/generator.md.

Run with ``python benchmarks/generator_samples.py OUT.png TITLE=RUN TITLE=RUN ...``, where a run is a folder with a
trained generator of images, such as ``models/rae-fashion-mnist``: as many samples of each class and panel, by the same
seed. Rows are named, and ordered, as the first run says.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from latentover.bundle import load
from latentover.displays import SampleGridDisplay
from latentover.experiments.evaluate import generator_of
from latentover.runs.folder import RunFolder


def draw(out: Path, runs: dict[str, Path], *, per_class: int) -> None:
    """Write the picture."""
    first = RunFolder(next(iter(runs.values())))
    counts = (first.metrics or {})["train_counts"]
    rows = [f"{first.class_names.get(label, label)} ({n:,})" for label, n in counts.items()]
    panels = {}
    for title, run in runs.items():
        generator = generator_of(load(run))
        labels = generator.classes_
        panels[title] = np.stack([generator.sample(per_class, y=label, random_state=0) for label in labels])
    SampleGridDisplay(panels=panels, row_labels=rows).plot().figure_.savefig(
        out, dpi=110, bbox_inches="tight", pad_inches=0.08
    )
    Image.open(out).convert("RGB").quantize(128).save(out, optimize=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line and draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, metavar="OUT.png")
    parser.add_argument("runs", nargs="+", metavar="TITLE=RUN")
    parser.add_argument("--per-class", type=int, default=7, metavar="N", help="samples a class and panel (default: 7)")
    options = parser.parse_args(arguments)
    for text in options.runs:
        if "=" not in text:
            parser.error(f"expected TITLE=RUN, but got {text}")
    runs = dict(text.split("=", 1) for text in options.runs)
    draw(options.out, {title: Path(run) for title, run in runs.items()}, per_class=options.per_class)


if __name__ == "__main__":
    main()
