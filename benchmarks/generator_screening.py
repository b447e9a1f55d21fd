"""What recipes reach on validation images, before any test image is read: the screening of docs/results/generator.md.

Run with ``python benchmarks/generator_screening.py RECIPE... --seeds 0 1 --out FILE.jsonl``; ``@NAME=KEY:VALUE;...``
after a recipe's path, as in ``rae.yaml@bold=borrow:0.5;max_steps:4000``, makes a variant of it. Validation images are
of the training file of the data set, 800 a class or as many as there are, like no training image in every pixel. Each
line of the file is one training: recipe, changes, seed, ACSA, the mean recall of the rare classes (up to 100 training
images) and all recalls; of what generates also the Fréchet distance, density and coverage of as many generated images
as there are validation images, in the features of a classifier. Several train at once on a GPU. A training that is in
the file already is not made again.
"""

import argparse
import json
import sys
import time
import traceback
import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from rae_speed import validation_images

from latentover.bundle import save
from latentover.data import load_splits
from latentover.data.reading import open_source
from latentover.experiments.evaluate import generator_of
from latentover.experiments.generation import classifier_features
from latentover.experiments.recipe import Recipe, find_recipes, load_recipe
from latentover.experiments.run import Machine, untrained
from latentover.metrics import acsa, generation_scores, recall_per_class
from latentover.training import in_turns, resolve_device

RARE = 100
"""Training images up to which a class is rare."""


def read_variant(text: str) -> tuple[str, str, dict[str, Any]]:
    """Return the path, the name and the changed settings that a word of the command line stands for."""
    path, _, rest = text.partition("@")
    name, _, changes = rest.partition("=")
    pairs = [pair.split(":", 1) for pair in changes.split(";") if pair]
    return path, name or Path(path).stem, {key: yaml.safe_load(value) for key, value in pairs}


def changed(path: str, changes: dict[str, Any]) -> Recipe:
    """Return a recipe with other settings of its method."""
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in changes.items()}
    overrides = [f"--method.init_args.{key}={text}" for key, text in texts.items()]
    return load_recipe(find_recipes([path])[0], overrides)


def scores(
    estimator: Any, X: np.ndarray, y: np.ndarray, counts: np.ndarray, features: Any, device: str
) -> dict[str, Any]:
    """Return what is known of a fitted estimator from validation images."""
    found: dict[str, Any] = {}
    if hasattr(estimator, "predict"):
        predicted = estimator.predict(X)
        recalls = recall_per_class(y, predicted)
        found |= {
            "acsa": 100 * acsa(y, predicted),
            "rare": 100 * float(np.mean(recalls[counts <= RARE])) if (counts <= RARE).any() else None,
            "recalls": [round(100 * float(recall), 2) for recall in recalls],
        }
    generator = generator_of(estimator)
    if generator is not None and features is not None:
        n = int(np.bincount(y).min())
        labels = np.unique(y)
        real = np.concatenate([X[np.flatnonzero(y == label)[:n]] for label in labels])
        fake = np.concatenate([generator.sample(n, y=label, random_state=0) for label in labels])
        each = np.repeat(labels, n)
        layout = generator.format_
        as_features = [
            features(layout.network_input(layout.encode(x)).numpy(), value_range=(0, 1)) for x in (real, fake)
        ]
        made = generation_scores(
            *as_features,
            each,
            each,
            features="classifier",
            n_resamples=0,
        )
        found |= {key: made["pooled"][key]["value"] for key in ("fid", "density", "coverage")}
        found["coverages"] = [round(one["coverage"]["value"], 3) for one in made["classes"].values()]
        found["densities"] = [round(one["density"]["value"], 3) for one in made["classes"].values()]
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Train, score, and return the exit status: 1 where a training failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipes", nargs="+", metavar="RECIPE[@NAME=KEY:VALUE;...]")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="a .jsonl file; goes on with it")
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--at-once", type=int, default=8, help="trainings at once on a GPU (default: 8)")
    parser.add_argument("--features", metavar="CLASSIFIER", help="a bundle whose features judge generated images")
    parser.add_argument("--samples", type=Path, metavar="FOLDER", help="where 10 generated images a class are kept")
    parser.add_argument("--bundles", type=Path, metavar="FOLDER", help="where what was trained is kept")
    options = parser.parse_args(arguments)
    device = str(resolve_device(options.device))
    known = set()
    if options.out.is_file():
        known = {(row["name"], row["seed"]) for row in map(json.loads, options.out.read_text().splitlines())}
    variants = [read_variant(text) for text in options.recipes]
    recipes = {name: changed(path, changes) for path, name, changes in variants}
    first = next(iter(recipes.values()))
    splits = load_splits(first.data, root=options.data_root)
    source = open_source(first.data.source, root=options.data_root)
    X, y = validation_images(source.X, source.y, splits.X_train)
    counts = np.unique(splits.y_train, return_counts=True)[1]
    features = classifier_features(options.features, device=device)[0] if options.features else None

    def train(recipe: Recipe, seed: int) -> Any:
        start = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            estimator = untrained(recipe, seed, Machine(device=device, verbose=0), splits)
            estimator.fit(splits.X_train, splits.y_train)
        return estimator, time.perf_counter() - start

    todo = [(name, seed) for seed in options.seeds for name in recipes if (name, seed) not in known]
    failed = False
    tasks = [partial(train, recipes[name], seed) for name, seed in todo]
    for number, outcome in in_turns(tasks, options.at_once if device.startswith("cuda") else 1):
        name, seed = todo[number]
        if isinstance(outcome, BaseException):
            failed = True
            traceback.print_exception(outcome)
            continue
        estimator, seconds = outcome
        row = {"name": name, "seed": seed, "seconds": round(seconds, 1)}
        row |= scores(estimator, X, y, counts, features, device)
        with options.out.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        print(json.dumps(row), flush=True)
        if options.bundles:
            options.bundles.mkdir(parents=True, exist_ok=True)
            save(estimator, options.bundles / f"{name}-{seed}")
        if options.samples and (generator := generator_of(estimator)) is not None:
            options.samples.mkdir(parents=True, exist_ok=True)
            images = np.stack([generator.sample(10, y=label, random_state=1) for label in np.unique(y)])
            np.save(options.samples / f"{name}-{seed}.npy", images)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
