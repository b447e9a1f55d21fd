"""One run: a recipe and a seed become a folder that holds the trained estimator and all that is known of it."""

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from imblearn.pipeline import Pipeline

from latentover.bundle import save
from latentover.data import Splits, load_splits
from latentover.experiments.card import model_card
from latentover.experiments.environment import environment
from latentover.experiments.evaluate import PRIMARY_SPLIT, draw_minority_grid, score_splits, write_tsne
from latentover.experiments.recipe import Recipe
from latentover.files import check_writable, read_json, replacing_folder, write_json, write_text
from latentover.training import resolve_precision

RUNS = Path("runs")


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
        1 shows a progress bar on a terminal, and elsewhere a line a finished run.
    """

    device: str = "auto"
    precision: str = "auto"
    data_root: str | None = None
    download: bool = False
    verbose: int = 1


def run_folder(recipe: Recipe, seed: int, out: str | os.PathLike[str] | None = None) -> Path:
    """Return the folder of a run: ``<out>/<recipe>/seed-<seed>``, by default below ``runs/<group>``."""
    return (RUNS / recipe.group if out is None else Path(out)) / recipe.name / f"seed-{seed}"


def check_run_folder(folder: Path) -> None:
    """Raise PermissionError or NotADirectoryError unless a run can be written to `folder`."""
    check_writable(folder.parent)
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"Expected {folder} to be a folder or a free name, but it is a file; move it away.")


def is_finished(recipe: Recipe, seed: int, folder: Path) -> bool:
    """Return whether the folder holds this recipe's run with this seed, complete."""
    certificate = read_json(folder / "metrics.json").get("certificate") or {}
    return certificate.get("recipe_sha256") == recipe.sha256 and certificate.get("seed") == seed


def run_recipe(
    recipe: Recipe, seed: int, folder: str | os.PathLike[str], machine: Machine, splits: Splits | None = None
) -> dict[str, Any]:
    """Train, evaluate and write everything to `folder`, which appears only when it is complete.

    Parameters
    ----------
    recipe : Recipe
    seed : int
    folder : path
        An earlier run in it is replaced.
    machine : Machine
    splits : Splits, optional
        The recipe's data, where it has been read already.

    Returns
    -------
    dict
        The content of ``metrics.json``.

    Raises
    ------
    PermissionError, NotADirectoryError
        If the folder cannot be written to; before anything is trained.
    """
    folder = Path(folder)
    check_run_folder(folder)
    if splits is None:
        splits = load_splits(recipe.data, root=machine.data_root, download=machine.download)
    estimator = recipe.estimator(seed, device=machine.device, precision=machine.precision, verbose=machine.verbose)
    start = time.perf_counter()
    estimator.fit(splits.X_train, splits.y_train)
    fit_seconds = time.perf_counter() - start

    final = estimator.steps[-1][1] if isinstance(estimator, Pipeline) else estimator
    place = environment(str(final.device_))
    certificate = {
        "weights": "last epoch",
        "fit_seconds": round(fit_seconds, 2),
        "precision": _precision(final),
        **place,
    }
    with replacing_folder(folder) as partial:
        save(estimator, partial)
        write_text(partial / "recipe.yaml", recipe.text)
        write_text(partial / "history.csv", pd.DataFrame(final.history_).to_csv(index=False))
        has_picture = draw_minority_grid(estimator, splits, recipe.evaluation, partial / "samples.png")
        write_tsne(estimator, splits, recipe.evaluation, partial / "tsne.csv")
        metrics = _metrics(recipe, seed, splits, estimator, final, certificate)
        write_json(partial / "environment.json", place)
        write_text(partial / "README.md", model_card(recipe, metrics, has_picture=has_picture))
        write_json(partial / "metrics.json", metrics)
    return metrics


def _precision(estimator: Any) -> str:
    images = len(estimator.format_.shape) == 3
    return str(resolve_precision(estimator.precision, estimator.device_, images=images)).removeprefix("torch.")


def _metrics(
    recipe: Recipe, seed: int, splits: Splits, estimator: Any, final: Any, certificate: dict[str, Any]
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
            **certificate,
        },
    }
