"""Few pictures: classifiers and generators from 400 cars and 30 to 300 trucks of the folder ``cifar10-jpeg``.

Run with ``python benchmarks/few_pictures.py OUT --data-root DATA``; ``--device cuda`` for the numbers of the docs.
What was measured is in ``OUT/few_pictures.json``, the grids beside it, and an interrupted run goes on where it was.
``--page docs/guide/few_pictures.md`` writes both into the page instead. ``--small`` are networks for a look on a CPU.
``--variants`` tries other settings with 100 trucks, by which the defaults were chosen.

No weights are published for pictures of 32x32 pixels: the backbone is trained first, on the other eight classes.
"""

import os

if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "2")

import argparse
import json
import shutil
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import latentover
from latentover import DeepClassifier, RAEClassifier
from latentover.data.reading import open_source
from latentover.experiments.environment import environment
from latentover.files import write_json, write_text
from latentover.metrics import acsa, generation_scores, pixel_features, recall_per_class
from latentover.report import image_grid

OTHER, RARE = "automobile", "truck"
N_OTHER, N_TEST = 400, 800
FOLDER = 36
"""Trucks of the folder whose classifiers are compared: 436 images in all."""
GRIDS = (30, 100, 300)
SHOWN, SCORED = 24, 100
EIGHT = 3000
"""Images of each of the other classes, for the backbone."""
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
NAMES = {
    "before": "transposed convolutions, a critic alone, no augmentation",
    "default": "the defaults",
    "last": "the defaults, without early stopping",
    "fine_tuned": "a backbone, fine-tuned",
    "frozen": "a backbone, frozen",
}


VARIANTS: dict[str, dict[str, Any]] = {
    "slow": {"adversarial_learning_rate": 2e-4},
    "weight 5": {"reconstruction_weight": 5.0},
    "weight 500": {"reconstruction_weight": 500.0},
    "beta": {"alpha": [0.3, 0.3]},
    "uniform": {"alpha": "uniform"},
    "256 latents": {"latent_dim": 256},
    "256 latents, beta": {"latent_dim": 256, "alpha": [0.3, 0.3]},
    "no dropout": {"dropout": 0.0},
    "no augmentation": {"augment": "none"},
    "critic in every step": {"adversarial_every": 1},
    "transposed": {"decoder_upsampling": "transposed"},
}
"""What is changed of the defaults."""


def ways(backbone: Path, *, small: bool) -> dict[str, Callable[..., RAEClassifier]]:
    """Return what is compared: from a name to a constructor."""
    size = {"channels": 16, "hidden_units": 256, "max_steps": 300} if small else {}
    begun = {**size, "encoder": "resnet", "channels": 16, "encoder_weights": str(backbone)}
    begun |= {} if small else {"decoder_channels": 64}
    before = {"decoder_upsampling": "transposed", "reconstruction_weight": 0.01, "decoder_reconstruction": False}
    before |= {"adversarial_every": 1, "augment": "none", "early_stopping": False, "adversarial_learning_rate": 2e-4}

    def way(**parameters: Any) -> Callable[..., RAEClassifier]:
        return lambda **more: RAEClassifier(**parameters, **more)

    return {
        "before": way(**size, **before),
        "default": way(**size),
        "last": way(**size, early_stopping=False),
        "fine_tuned": way(**begun),
        "frozen": way(**begun, freeze_encoder=True),
        **{f"variant {name}": way(**{**size, **variant}) for name, variant in VARIANTS.items()},
    }


# ---- Data ------------------------------------------------------------------------------------------------------------


class Pictures:
    """Images of classes of the folder, drawn with one seed; test images of the folder's own test split."""

    def __init__(self, root: str | None) -> None:
        self.source, self.rng = open_source("cifar10-jpeg", root=root), np.random.default_rng(0)
        y = np.asarray(self.source.y)
        self.rows = {str(name): self.rng.permutation(np.flatnonzero(y == name)) for name in np.unique(y)}

    def folder(self, n_rare: int) -> tuple[np.ndarray, np.ndarray]:
        """Return training images (n, 3, 32, 32) and labels (n,)."""
        return self._of({OTHER: N_OTHER, RARE: n_rare})

    def eight(self, n: int) -> tuple[np.ndarray, np.ndarray]:
        """Return n images of each of the other classes."""
        return self._of({name: n for name in self.rows if name not in (OTHER, RARE)})

    def test(self) -> tuple[np.ndarray, np.ndarray]:
        """Return as many test images of both classes."""
        y = np.asarray(self.source.y_test)
        rows = np.concatenate([np.flatnonzero(y == name)[:N_TEST] for name in (OTHER, RARE)])
        return np.asarray(self.source.X_test[rows]), y[rows]

    def _of(self, counts: dict[str, int]) -> tuple[np.ndarray, np.ndarray]:
        rows = np.concatenate([self.rows[name][:n] for name, n in counts.items()])
        return np.asarray(self.source.X[rows]), np.asarray(self.source.y)[rows]


def trained_backbone(folder: Path, pictures: Pictures, device: str, *, small: bool) -> Path:
    """Return the bundle of a classifier of the other eight classes, trained where it is not there yet."""
    if not (folder / "config.json").exists():
        X, y = pictures.eight(1000 if small else EIGHT)
        classifier = DeepClassifier(
            backbone="resnet",
            channels=16,
            optimizer="sgd",
            learning_rate=0.2,
            weight_decay=1e-4,
            schedule="one_cycle",
            augment="pad_crop_flip",
            max_epochs=8 if small else 30,
            device=device,
            random_state=0,
        )
        latentover.save(classifier.fit(X, y), folder)
    return folder


# ---- Scores ----------------------------------------------------------------------------------------------------------


def checkerboard(images: np.ndarray) -> float:
    """Return how much images (n, c, h, w) in [0, 1] differ between their even and odd places.

    Each 8x8 block gives the means of its four phases of period 2; what is returned is the mean of their standard
    deviations. Edges and noise lie in all phases alike, a checkerboard does not.

    Examples
    --------
    >>> flat = np.full((1, 1, 8, 8), 0.5)
    >>> flat[..., ::2, ::2] = 1
    >>> checkerboard(np.full((1, 1, 8, 8), 0.5)), round(checkerboard(flat), 3)
    (0.0, 0.217)
    """
    n, c, height, width = images.shape
    blocks = images[:, :, : height // 8 * 8, : width // 8 * 8].reshape(n, c, height // 8, 4, 2, width // 8, 4, 2)
    phases = blocks.mean(axis=(3, 6), dtype=np.float64)  # (n, c, rows, 2, columns, 2)
    return float(phases.std(axis=(3, 5)).mean())


def scores(model: RAEClassifier, X: np.ndarray, y: np.ndarray, test: tuple[np.ndarray, np.ndarray]) -> dict[str, Any]:
    """Return what a fitted model scores, and `SCORED` of its trucks, as many as of the test split."""
    made, extract = model.sample(SCORED, y=RARE, random_state=0), pixel_features()
    real = test[0][test[1] == RARE][:SCORED]
    predicted = model.predict(test[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = generation_scores(
            extract(real), extract(made), features="pixels", train=extract(X[y == RARE]), n_resamples=0
        )["pooled"]
    return {
        "acsa": acsa(test[1], predicted),
        "recall_rare": float(recall_per_class(test[1], predicted)[1]),  # in the order of the names
        "diversity": float(model.diversity_[1]),
        "pixel_recall": found["recall"],
        "pixel_precision": found["precision"],
        "checkerboard": checkerboard(made / 255) / checkerboard(real / 255),
        "last_step": model.history_[-1]["step"],
    }


def measure(out: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Measure what is not in the file of results yet, and write it after each fit."""
    out.mkdir(parents=True, exist_ok=True)
    file, pictures = out / "few_pictures.json", Pictures(options.data_root)
    results: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    results.setdefault("environment", environment(options.device))
    test = pictures.test()
    start = time.perf_counter()
    backbone = trained_backbone(out / "backbone", pictures, options.device, small=options.small)
    results.setdefault("backbone_seconds", time.perf_counter() - start)
    jobs = [(FOLDER, way, seed) for seed in range(options.seeds) for way in NAMES]
    jobs += [(n, way, 0) for n in GRIDS for way in ("before", "default", "frozen")]
    if options.variants:
        jobs = [(100, way, 0) for way in ("default", *(f"variant {name}" for name in VARIANTS))]
    makers = ways(backbone, small=options.small)
    for n, way, seed in jobs:
        name = f"{n}/{way}/{seed}"
        if name in results:
            continue
        X, y = pictures.folder(n)
        start = time.perf_counter()
        model = makers[way](device=options.device, random_state=seed).fit(X, y)
        seconds = time.perf_counter() - start
        results[name] = {**scores(model, X, y, test), "seconds": seconds}
        print(name, json.dumps({key: round(value, 3) for key, value in results[name].items()}), flush=True)
        if seed == 0:
            image_grid(model.sample(SHOWN, y=RARE, random_state=0), columns=6).save(
                out / f"few_{n}_{way.replace(' ', '_')}.png"
            )
            image_grid(X[y == RARE][:SHOWN], columns=6).save(out / f"few_{n}_real.png")
        write_json(file, results)
    return results


# ---- The page --------------------------------------------------------------------------------------------------------


def tables(results: dict[str, Any]) -> str:
    """Return what was measured as Markdown: the classifiers of the folder, then grids and their scores."""
    lines = [f"The folder: {N_OTHER} cars and {FOLDER} trucks; {N_TEST} test images of each.", ""]
    lines += ["| | ACSA | recall of trucks | seconds |", "|---|---|---|---|"]
    for way, title in NAMES.items():
        found = [results[name] for name in results if name.startswith(f"{FOLDER}/{way}/")]
        if found:
            acsas, recalls, seconds = ([each[key] for each in found] for key in ("acsa", "recall_rare", "seconds"))
            spread = f" ± {100 * np.std(acsas, ddof=1):.1f}" if len(acsas) > 1 else ""
            means = 100 * np.mean(acsas), 100 * np.mean(recalls), np.mean(seconds)
            lines.append("| {} | {:.1f}{} | {:.0f} | {:.0f} |".format(title, means[0], spread, *means[1:]))
    for n in GRIDS:
        rows = {way: results[f"{n}/{way}/0"] for way in NAMES if f"{n}/{way}/0" in results}
        lines += ["", f"**{n} trucks.** Real ones, then {SHOWN} new ones each:", ""]
        lines += ["| real | " + " | ".join(NAMES[way] for way in rows) + " |", "|---|" + "---|" * len(rows)]
        shown = [f"![](images/few_{n}_{way}.png)" for way in ("real", *rows)]
        lines.append("| " + " | ".join(shown) + " |")
        for key, title in {
            "diversity": "diversity",
            "pixel_recall": "recall, pixels",
            "pixel_precision": "precision, pixels",
            "checkerboard": "checkerboard, real = 1",
        }.items():
            lines.append(f"| {title} | " + " | ".join(f"{row[key]:.2f}" for row in rows.values()) + " |")
    said = results["environment"]
    return "\n".join([*lines, "", f"On {said['hardware']}, at commit {said['commit']}."])


def write_page(page: Path, out: Path) -> None:
    """Put tables and grids into the page, between its marks."""
    text = page.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    results = json.loads((out / "few_pictures.json").read_text())
    images = next(folder / "images" for folder in page.resolve().parents if (folder / "images").is_dir())
    for n in GRIDS:
        for way in ("real", "before", "default", "frozen"):
            shutil.copy(out / f"few_{n}_{way}.png", images)
    write_text(page, f"{before}{BEGIN}\n\n{tables(results)}\n\n{END}{after}")


def main() -> None:
    """Measure, or write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder of results")
    parser.add_argument("--data-root", help="folder of the named data sets")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seeds", type=int, default=1, help="of the folder's classifiers")
    parser.add_argument("--variants", action="store_true", help="try other settings instead, with 100 trucks")
    parser.add_argument("--small", action="store_true", help="small networks and few steps")
    parser.add_argument("--page", type=Path, help="write the results in OUT into this page, and measure nothing")
    options = parser.parse_args()
    if options.page is not None:
        write_page(options.page, options.out)
    else:
        measure(options.out, options)


if __name__ == "__main__":
    main()
