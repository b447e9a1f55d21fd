"""One run: a recipe and a seed become a folder that holds the trained estimator and all that is known of it."""

import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from imblearn.pipeline import Pipeline

from latentover.bundle import save
from latentover.data import DataConfig, Splits, load_splits
from latentover.experiments.card import model_card
from latentover.experiments.environment import environment
from latentover.experiments.evaluate import PRIMARY_SPLIT, draw_minority_grid, score_splits, write_tsne
from latentover.experiments.recipe import Recipe
from latentover.files import check_writable, read_json, write_json, write_text

RUNS = Path("runs")
_LAST_SPLITS: dict[tuple[str, str | None], Splits] = {}


@dataclass(frozen=True)
class Machine:
    """What an experiment runs on; never part of a recipe.

    Attributes
    ----------
    device, precision : str
        See `latentover.RAEClassifier`.
    data_root : str or None
        Where named data sets are; None asks ``LATENTOVER_DATA`` and then the platform's cache folder.
    download : bool
        Whether a missing named set may be downloaded.
    verbose : {0, 1}
        1 shows a progress bar.
    """

    device: str = "auto"
    precision: str = "auto"
    data_root: str | None = None
    download: bool = False
    verbose: int = 1


def run_folder(recipe: Recipe, seed: int, out: str | os.PathLike[str] | None = None) -> Path:
    """Return the folder of a run: ``<out>/<recipe>/seed-<seed>``, by default below ``runs/<group>``."""
    return (RUNS / recipe.group if out is None else Path(out)) / recipe.name / f"seed-{seed}"


def is_finished(recipe: Recipe, seed: int, folder: Path) -> bool:
    """Return whether the folder holds this recipe's run with this seed, complete."""
    metrics = read_json(folder / "metrics.json")
    certificate = metrics.get("certificate", {})
    return certificate.get("recipe_sha256") == recipe.sha256 and certificate.get("seed") == seed


def run_recipe(recipe: Recipe, seed: int, folder: Path, machine: Machine) -> dict[str, Any]:
    """Train, evaluate and write everything to `folder`, which appears only when it is complete.

    Returns
    -------
    dict
        The content of ``metrics.json``.

    Raises
    ------
    PermissionError, NotADirectoryError
        If the folder cannot be written to; before anything is trained.
    """
    partial = folder.with_name(f".{folder.name}.part")
    check_writable(folder.parent)
    splits = _load_splits(recipe.data, machine)
    estimator = recipe.estimator(seed, device=machine.device, precision=machine.precision, verbose=machine.verbose)
    start = time.perf_counter()
    estimator.fit(splits.X_train, splits.y_train)
    fit_seconds = time.perf_counter() - start

    shutil.rmtree(partial, ignore_errors=True)
    try:
        save(estimator, partial)
        write_text(partial / "recipe.yaml", recipe.text)
        final = estimator.steps[-1][1] if isinstance(estimator, Pipeline) else estimator
        write_text(partial / "history.csv", pd.DataFrame(final.history_).to_csv(index=False))
        draw_minority_grid(estimator, splits, recipe.evaluation, partial / "samples.png")
        write_tsne(estimator, splits, recipe.evaluation, partial / "tsne.csv")
        metrics = _metrics(recipe, seed, splits, estimator, final, fit_seconds)
        write_json(partial / "environment.json", environment(str(final.device_)))
        write_text(partial / "README.md", model_card(recipe, metrics))
        write_json(partial / "metrics.json", metrics)
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return metrics


def _load_splits(config: DataConfig, machine: Machine) -> Splits:
    """Return the splits; those read last are kept, for the runs of a benchmark share them."""
    key = (repr(config), machine.data_root)
    if key not in _LAST_SPLITS:
        _LAST_SPLITS.clear()
        _LAST_SPLITS[key] = load_splits(config, root=machine.data_root, download=machine.download)
    return _LAST_SPLITS[key]


def _metrics(
    recipe: Recipe, seed: int, splits: Splits, estimator: Any, final: Any, fit_seconds: float
) -> dict[str, Any]:
    scores = score_splits(estimator, splits)
    counts = pd.Series(splits.y_train).value_counts()
    return {
        "format": 1,
        "split": PRIMARY_SPLIT,
        **scores[PRIMARY_SPLIT],
        "splits": scores,
        "train_counts": {str(label): int(counts[label]) for label in final.classes_},
        "certificate": {
            "recipe": recipe.name,
            "title": recipe.title,
            "recipe_sha256": recipe.sha256,
            "group": recipe.group,
            "seed": seed,
            "data": splits.name,
            "data_hash": splits.data_hash,
            "split": PRIMARY_SPLIT,
            "n_train": len(splits.y_train),
            "n_test": len(splits.tests[PRIMARY_SPLIT][1]),
            "weights": "last epoch",
            "fit_seconds": round(fit_seconds, 2),
            **environment(str(final.device_)),
        },
    }
