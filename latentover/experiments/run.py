"""One run: a recipe and a seed become a folder that holds the trained estimator and all that is known of it."""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from imblearn.pipeline import Pipeline

from latentover.bundle import WEIGHTS, save
from latentover.data import Splits, load_splits
from latentover.data.source import class_number
from latentover.estimators import StoppableTraining
from latentover.experiments.card import model_card
from latentover.experiments.environment import code_version, environment
from latentover.experiments.evaluate import (
    PRIMARY_SPLIT,
    check_scorable,
    draw_minority_grid,
    memorization_of,
    score_splits,
    write_tsne,
)
from latentover.experiments.recipe import Recipe
from latentover.files import write_json, write_text
from latentover.places import as_path
from latentover.runs.folder import (
    CARD,
    ENVIRONMENT,
    HISTORY,
    MAP,
    PICTURE,
    RECIPE,
    SAMPLER_HISTORY,
    RunFolder,
)
from latentover.runs.store import append
from latentover.training import parallel, resolve_device, resolve_precision
from latentover.training.checkpoints import keeping
from latentover.training.turns import sharing

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
    verbose : {0, 1, 2}
        1 shows a progress bar on a terminal and in a notebook, and elsewhere a line a finished run; 2 says all losses.
    checkpoint_every : int or None
        Training steps between two writes of a checkpoint beside the run folder, from which the same command goes on
        where it was interrupted; None writes none.
    keep_weights : bool
        Whether a run folder holds the fitted estimator; what reports are made from is some kilobytes without it.
    """

    device: str = "auto"
    precision: str = "auto"
    data_root: str | None = None
    download: bool = False
    verbose: int = 1
    checkpoint_every: int | None = None
    keep_weights: bool = True

    def check(self) -> None:
        """Raise ValueError unless this machine has the device and the precision, and numbers are in their ranges."""
        resolve_precision(self.precision, resolve_device(self.device), images=True)
        if self.checkpoint_every is not None and self.checkpoint_every < 1:
            raise ValueError(
                f"Expected checkpoint_every to be at least 1 training step, but got {self.checkpoint_every}; 1000 is a "
                "start."
            )


def run_folder(recipe: Recipe, seed: int, out: str | os.PathLike[str] | None = None) -> Path:
    """Return the folder of a run: ``<out>/<recipe>/seed-<seed>``, by default below ``runs/<group>``."""
    return (RUNS / recipe.group if out is None else as_path(out)) / recipe.name / f"seed-{seed}"


def is_finished(recipe: Recipe, seed: int, folder: RunFolder, data_hash: str | None = None) -> bool:
    """Return whether a folder holds the run of this recipe and code with this seed, and all its files as written.

    What can be written again without training (the recipe and the card) need not be there: see `refresh_labels`.

    Parameters
    ----------
    recipe : Recipe
    seed : int
    folder : RunFolder
    data_hash : str, optional
        Of the data that is there now; without it that is not looked at.
    """
    found = folder.identity
    if found is None or found[:3] != (recipe.sha256, code_version(), seed):
        return False
    return data_hash in (None, found.data_hash) and folder.is_whole()


def refresh_labels(recipe: Recipe, folder: RunFolder) -> None:
    """Write the recipe's title and published numbers, which change nothing about the training, to a finished run.

    The recipe and the card are written anew where they are missing too.
    """
    metrics = dict(folder.metrics or {})
    labels = _labels(recipe)
    certificate = {k: v for k, v in metrics["certificate"].items() if k != "published"}
    if metrics["certificate"] == certificate | labels and folder.has(RECIPE) and folder.has(CARD):
        return
    metrics["certificate"] = certificate | labels
    card = model_card(recipe, metrics, has_picture=folder.has(PICTURE), has_weights=folder.has(WEIGHTS))
    folder.update(metrics, recipe=recipe.text, card=card)


def _labels(recipe: Recipe) -> dict[str, Any]:
    """Return what a certificate says for people alone."""
    return {"title": recipe.title} | ({} if recipe.published is None else {"published": recipe.published})


def run_recipe(
    recipe: Recipe,
    seed: int,
    folder: str | os.PathLike[str],
    machine: Machine,
    splits: Splits | None = None,
    *,
    wait: bool = True,
) -> dict[str, Any]:
    """Train, evaluate and write everything to `folder`, which appears only when it is complete.

    One process at a time makes a run; where another has made it meanwhile, that one's is returned.

    Parameters
    ----------
    recipe : Recipe
    seed : int
    folder : path
        A run of another recipe or seed in it is replaced; a finished one of these is returned as it is.
    machine : Machine
    splits : Splits, optional
        The recipe's data, where it has been read already.
    wait : bool, default=True
        Whether to wait while another process makes this run.

    Returns
    -------
    dict
        The content of ``metrics.json``; empty in all but the first of the processes that ``torchrun`` started.

    Raises
    ------
    PermissionError, NotADirectoryError
        If the folder cannot be written to; before anything is trained.
    ValueError
        If the data cannot be trained on, or not be scored; before anything is trained.
    BlockingIOError
        If another process makes this run, and `wait` is False.
    """
    run = RunFolder(folder)
    run.check()
    # Of processes that train together the first one alone writes, and all have to go the same way.
    with nullcontext() if parallel.rank() > 0 else run.locked(wait=wait):
        known = None if splits is None else splits.data_hash
        if parallel.n_processes() == 1 and is_finished(recipe, seed, run, known):
            metrics = run.metrics or {}
            append(run.path.parent.parent, metrics)  # what made it may have been killed before
            run.remove_checkpoints()
            return metrics
        return _made(recipe, seed, run, machine, splits)


def _name_classes(estimator: Any, y: np.ndarray) -> None:
    """Give the totals of a sampler's strategy the labels that they mean, where YAML has read something else."""
    known = np.unique(y).tolist()
    for _, step in _steps(estimator):
        strategy = step.get_params(deep=False).get("sampling_strategy")
        if isinstance(strategy, Mapping):
            numbers = {key: class_number(key, known) for key in strategy}
            named = {key if numbers[key] is None else known[numbers[key]]: n for key, n in strategy.items()}
            step.set_params(sampling_strategy=named)


def untrained(recipe: Recipe, seed: int, machine: Machine, splits: Splits) -> Any:
    """Return the estimator that a run of these fits to the training data.

    Raises
    ------
    ValueError
        If the splits could not be scored afterwards; see `check_scorable`.
    """
    estimator = recipe.estimator(seed, device=machine.device, precision=machine.precision, verbose=machine.verbose)
    _name_classes(estimator, splits.y_train)
    check_scorable(estimator, splits)
    return estimator


def _made(recipe: Recipe, seed: int, folder: RunFolder, machine: Machine, splits: Splits | None) -> dict[str, Any]:
    """Train, evaluate and write; parameters and result as those of `run_recipe`."""
    if splits is None:
        splits = load_splits(recipe.data, root=machine.data_root, download=machine.download)
    estimator = untrained(recipe, seed, machine, splits)
    start, at_once = time.perf_counter(), sharing()
    # What is trained is kept until the folder is there: scores and pictures take their time.
    with _checkpoints(estimator, folder, machine.checkpoint_every), keeping(), folder.telling_progress():
        estimator.fit(splits.X_train, splits.y_train)
    fit_seconds = max(time.perf_counter() - start, _seconds_of(estimator))
    at_once = max(at_once, sharing())

    if parallel.rank() > 0:
        return {}
    final = final_step(estimator)
    place = environment(str(final.device_))
    certificate = {
        "weights": _weights(final),
        "fit_seconds": round(fit_seconds, 2),
        "precision": _precision(final),
        **({"processes": parallel.n_processes()} if parallel.n_processes() > 1 else {}),
        **({"at_once": at_once} if at_once > 1 else {}),
        **place,
    }
    with folder.replacing() as partial:
        if machine.keep_weights:
            save(estimator, partial)
        _write_histories(estimator, partial)
        has_picture = draw_minority_grid(estimator, splits, recipe.evaluation, partial / PICTURE)
        write_tsne(estimator, splits, recipe.evaluation, partial / MAP)
        write_json(partial / ENVIRONMENT, place)
        curves: dict[str, dict[str, Any]] = {}
        metrics = _metrics(recipe, seed, splits, estimator, final, certificate, curves)
        folder.write_curves(partial, curves)
        card = model_card(recipe, metrics, has_picture=has_picture, has_weights=machine.keep_weights)
        metrics = folder.complete(partial, metrics, recipe=recipe.text, card=card)
    append(folder.path.parent.parent, metrics)
    folder.remove_checkpoints()
    return metrics


def final_step(estimator: Any) -> Any:
    """Return the last step of a pipeline, and what is none itself."""
    return _steps(estimator)[-1][1]


def _steps(estimator: Any) -> list[tuple[str, Any]]:
    """Return the named steps of a pipeline, and what is none as the only one."""
    return estimator.steps if isinstance(estimator, Pipeline) else [("", estimator)]


def _seconds_of(estimator: Any) -> float:
    """Return the seconds in which all steps were trained, those before an interruption among them."""
    return sum(step.history_[-1]["seconds"] for _, step in _steps(estimator) if getattr(step, "history_", None))


@contextmanager
def _checkpoints(estimator: Any, folder: RunFolder, every: int | None) -> Iterator[None]:
    """Let every step that is trained keep a checkpoint in a file beside the run folder while it is fitted."""
    trained = [
        (name, step) for name, step in _steps(estimator) if every and "checkpoint" in step.get_params(deep=False)
    ]
    before = [(step.checkpoint, step.checkpoint_every) for _, step in trained]
    for name, step in trained:
        step.set_params(checkpoint=str(folder.checkpoint(name)), checkpoint_every=every)
    yield
    for (_, step), (checkpoint, checkpoint_every) in zip(trained, before, strict=True):
        step.set_params(checkpoint=checkpoint, checkpoint_every=checkpoint_every)  # a bundle is not to name the file


def _write_histories(estimator: Any, folder: Path) -> None:
    """Write the losses of the classifier, and beside them those of a sampler before it that was trained."""
    for name, (_, step) in zip((HISTORY, SAMPLER_HISTORY), reversed(_steps(estimator)), strict=False):
        if hasattr(step, "history_"):
            write_text(folder / name, pd.DataFrame(step.history_).to_csv(index=False))


def _class_names(splits: Splits) -> dict[str, dict[str, str]]:
    """Return what people call the classes, by the labels as text, where that is not the labels themselves."""
    names = {str(label): name for label, name in splits.class_names.items() if name != str(label)}
    return {"class_names": names} if names else {}


def _weights(estimator: Any) -> str:
    """Return which epoch's weights are used: the last one's, unless training looked for the best on validation data."""
    stops = isinstance(estimator, StoppableTraining) and estimator._stops_early()
    stops = stops and getattr(estimator, "final_weights", "best") == "best"
    return "best on the validation part" if stops else "last epoch"


def _best_on_validation(estimator: Any, splits: Splits) -> dict[str, Any]:
    """Return the scores of the weights that were best on the validation part, where they were kept beside the last.

    The epoch was chosen without the test data; the test data is read in the same moment as for the last epoch.
    """
    if not (getattr(estimator, "early_stopping", False) and getattr(estimator, "final_weights", "best") == "last"):
        return {}
    epoch = estimator.best_epoch_
    return {
        "validation_best": {
            "epoch": epoch,
            "validation_acsa": estimator.history_[epoch - 1]["validation_acsa"],
            "splits": score_splits(estimator.best_on_validation(), splits),
        }
    }


def _precision(estimator: Any) -> str:
    images = len(estimator.format_.shape) == 3
    return str(resolve_precision(estimator.precision, estimator.device_, images=images)).removeprefix("torch.")


def _metrics(
    recipe: Recipe,
    seed: int,
    splits: Splits,
    estimator: Any,
    final: Any,
    certificate: dict[str, Any],
    curves: dict[str, dict[str, Any]],
) -> dict[str, Any]:
    scores = score_splits(estimator, splits, curves)
    counts = pd.Series(splits.y_train).value_counts()
    return {
        "split": PRIMARY_SPLIT,
        **scores[PRIMARY_SPLIT],
        "splits": scores,
        **_best_on_validation(final, splits),
        **memorization_of(estimator, splits),
        "test_reads": 1,
        "train_counts": {str(label): int(counts[label]) for label in final.classes_},
        **_class_names(splits),
        "certificate": {
            "recipe": recipe.name,
            **_labels(recipe),
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
