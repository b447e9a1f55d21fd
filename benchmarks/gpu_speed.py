"""Speed of trainings on a GPU: phases replayed as graphs, eager, a plain loop, and several trainings at once.

Run with ``python benchmarks/gpu_speed.py --out speed.json``. Each figure is written as soon as it is there, and one
that is in the file already is not measured again, so that an interrupted run goes on; the table for
docs/dev/performance.md is printed from the file. The classifier is MAMix-DRW with ResNet-32 on images in the numbers of
long-tailed CIFAR-10 of ratio 100, the plain loop that of ``classifier_speed.py``; the autoencoder is the authors' code
of the RAE (``configs/fashion_mnist_full``), whose cycle is four steps of one decoder and five critic updates and one
joint update. Both see random images, for what they show changes no speed.
"""

import argparse
import json
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from classifier_speed import BATCH, long_tailed_images, plain_seconds
from gpu_suite import several_at_once

from latentover.experiments.benchmark import benchmark
from latentover.experiments.environment import environment
from latentover.experiments.recipe import find_recipes, load_recipe
from latentover.experiments.run import Machine
from latentover.training import resolve_device

CLASSIFIER = "configs/cifar10_lt100/mamix_drw.yaml"
AUTOENCODER = "configs/fashion_mnist_full/rae_reference_code.yaml"
CYCLE = 5
AT_ONCE = (1, 2, 4, 8)
SIZES = {
    "images": 12406,
    "plain_images": 2560,
    "epochs": 6,
    "cycles": {"graph": 200, "eager": 50},
    "classifier": [],
    "autoencoder": [],
}
QUICK = {
    "images": 130,
    "plain_images": 130,
    "epochs": 2,
    "cycles": {"graph": 2, "eager": 2},
    "classifier": ["--method.init_args.backbone=conv", "--method.init_args.channels=4"],
    "autoencoder": ["--method.init_args.channels=4", "--method.init_args.hidden_units=8"],
}
"""Whether it runs at all."""
LT100_STEPS, FULL_CYCLES = 200 * 97, 100_001 / CYCLE


def seconds_a_step(history: Sequence[dict[str, float]]) -> float:
    """Return the seconds of a step between the first and the last report: before the first much is prepared."""
    first, last = history[0], history[-1]
    return (last["seconds"] - first["seconds"]) / (last["step"] - first["step"])


def fitted_history(recipe: str, overrides: Sequence[str], X: np.ndarray, y: np.ndarray, way: str, device: str) -> Any:
    """Return the history of one training, whose phases are replayed or not."""
    estimator = load_recipe(find_recipes([recipe])[0], overrides).estimator(0, device=device)
    return estimator.set_params(capture=way == "graph").fit(X, y).history_


def classifier(way: str, device: str, sizes: dict[str, Any]) -> dict[str, float]:
    X, y = long_tailed_images(sizes["images"])
    overrides = [f"--method.init_args.max_epochs={sizes['epochs']}", *sizes["classifier"]]
    history = fitted_history(CLASSIFIER, overrides, X, y, way, device)
    return per_classifier_step(seconds_a_step(history))


def plain_classifier(device: str, sizes: dict[str, Any]) -> dict[str, float]:
    X, y = long_tailed_images(sizes["plain_images"])
    seconds = plain_seconds(X, y, resolve_device(device), epochs=2)
    return per_classifier_step(seconds / -(-len(y) // BATCH))


def classifiers_at_once(n: int, device: str, sizes: dict[str, Any]) -> dict[str, float]:
    """The step of one of n trainings that share the GPU, as a share of the time of all."""
    with tempfile.TemporaryDirectory() as folder:
        X, y = long_tailed_images(sizes["images"])
        np.savez(Path(folder, "images.npz"), X=X, y=y, X_test=X[:100], y_test=y[:100])
        data = [f"--data.source={folder}/images.npz", "--data.imbalance=null"]
        outcome = benchmark(
            find_recipes([CLASSIFIER]),
            Machine(device=device, verbose=0, keep_weights=False),
            out=Path(folder, "runs"),
            seeds=range(n),
            overrides=[*data, f"--method.init_args.max_epochs={sizes['epochs']}", *sizes["classifier"]],
            **several_at_once(device, n),
        )
        if outcome.failures:
            raise RuntimeError("; ".join(failure.message for failure in outcome.failures.values()))
        files = Path(folder, "runs").glob("*/seed-*/history.csv")
        slowest = max(seconds_a_step(pd.read_csv(file).to_dict("records")) for file in files)
    return per_classifier_step(slowest / n)


def per_classifier_step(seconds: float) -> dict[str, float]:
    return {"ms": 1e3 * seconds, "s of 200 epochs": seconds * LT100_STEPS}


def autoencoder(way: str, device: str, sizes: dict[str, Any]) -> dict[str, float]:
    counts = [4000, 2000, 1000, 750, 500, 350, 200, 100, 60, 40]
    y = np.repeat(np.arange(10), counts)
    X = np.random.default_rng(0).integers(0, 256, size=(len(y), 1, 28, 28), dtype=np.uint8)
    steps = [f"--method.init_args.max_steps={CYCLE * sizes['cycles'][way]}"]
    history = fitted_history(AUTOENCODER, [*steps, *sizes["autoencoder"]], X, y, way, device)
    # Reports need not come at the end of a cycle, but those that are five steps or a multiple apart are whole cycles.
    rows = [row for row in history if row["step"] % CYCLE == 0]
    seconds = CYCLE * seconds_a_step(rows)
    return {"ms": 1e3 * seconds, "min of 100,001 steps": seconds * FULL_CYCLES / 60}


def figures(device: str, sizes: dict[str, Any]) -> dict[str, Callable[[], dict[str, float]]]:
    """Return what can be measured on a device, the most telling first."""
    cuda = resolve_device(device).type == "cuda"
    ways = ("graph", "eager") if cuda else ("eager",)
    at_once = [n for n in AT_ONCE if n == 1 or several_at_once(device)]
    return {
        **{f"classifier step, {way}": partial(classifier, way, device, sizes) for way in ways},
        **{f"cycle of the authors' code, {way}": partial(autoencoder, way, device, sizes) for way in ways},
        **{f"classifier step of one run, {n} at once": partial(classifiers_at_once, n, device, sizes) for n in at_once},
        "classifier step, plain loop": partial(plain_classifier, device, sizes),
    }


def table(content: dict[str, Any]) -> str:
    """Return all figures as Markdown."""
    place = content["environment"]
    lines = [f"{place['date'][:10]}, {place['hardware']}, torch {place['versions']['torch']}, {place['device']}:\n"]
    lines += ["| what | ms | in full |", "|---|---|---|"]
    for name, found in content["figures"].items():
        if "error" in found:
            lines.append(f"| {name} | {found['error']} | |")
        else:
            (unit, whole) = list(found.items())[1]
            lines.append(f"| {name} | {found['ms']:.2f} | {whole:.1f} {unit} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and return the exit status: 1 where something could not be measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="a JSON file; goes on with it")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--quick", action="store_true", help="few images and steps: whether it runs at all")
    options = parser.parse_args(arguments)
    place = environment(str(resolve_device(options.device)))
    content: dict[str, Any] = {"environment": place, "figures": {}}
    if options.out.is_file():
        before = json.loads(options.out.read_text(encoding="utf-8"))
        if before["environment"]["hardware"] == place["hardware"]:  # figures of another machine stand beside nothing
            content = before
    for name, measure in figures(options.device, QUICK if options.quick else SIZES).items():
        if "ms" in content["figures"].get(name, {}):
            continue
        try:
            content["figures"][name] = measure()
        except Exception as error:  # one figure is not to cost the others
            traceback.print_exc()
            content["figures"][name] = {"error": f"{type(error).__name__}: {error}"}
        partial_file = options.out.with_suffix(".part")
        partial_file.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        partial_file.replace(options.out)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
    print(table(content), flush=True)
    return 1 if any("error" in found for found in content["figures"].values()) else 0


if __name__ == "__main__":
    sys.exit(main())
