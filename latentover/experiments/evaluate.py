"""What a fitted estimator is judged by: its scores on each split, and the pictures people look at."""

import os
import warnings
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from imblearn.pipeline import Pipeline
from sklearn.base import clone
from torch import nn

from latentover.bundle import find_bundle, load
from latentover.data import Splits, load_splits
from latentover.displays import LatentMapDisplay
from latentover.estimators import BaseGenerator, learn_format
from latentover.experiments.recipe import Evaluation, load_data_config, load_recipe
from latentover.files import shipped_folder, write_text
from latentover.metrics import classification_scores, operating_points
from latentover.report import save_minority_grid
from latentover.runs.folder import RunFolder
from latentover.tables.values import labels_to_json
from latentover.text import guarded

PRIMARY_SPLIT = "test_balanced"
PICTURE_SEED = 0
MEMORIZATION_SAMPLES = 64
"""Of each rare class, which are compared with the training rows."""


def score_splits(
    estimator: Any, splits: Splits, curves: dict[str, dict[str, Any]] | None = None
) -> dict[str, dict[str, Any]]:
    """Return the classification scores of every split besides the training data; test data is read here alone.

    Parameters
    ----------
    estimator : fitted estimator
    splits : Splits
    curves : dict, optional
        Is given what the same probabilities say at other thresholds, by split; see `latentover.metrics`,
        ``operating_points``.

    Returns
    -------
    dict
        From the name of a split ("validation", "test_balanced", "test_imbalanced") to its scores.
    """
    scores = {}
    for name, (X, y) in _scored(splits).items():
        probabilities = estimator.predict_proba(X)
        predictions = estimator.classes_[probabilities.argmax(axis=1)]
        scores[name] = classification_scores(y, predictions, probabilities, classes=estimator.classes_)
        if curves is not None:
            curves[name] = operating_points(y, probabilities, estimator.classes_)
    return scores


def _scored(splits: Splits) -> dict[str, tuple[Any, Any]]:
    """Return every split besides the training data."""
    data: dict[str, tuple[Any, Any]] = dict(splits.tests)
    if splits.X_validation is not None:
        data["validation"] = (splits.X_validation, splits.y_validation)
    return data


def check_scorable(estimator: Any, splits: Splits) -> None:
    """Raise ValueError, before anything is trained, for a table that could not be scored or stored afterwards.

    Missing values that are in the test rows alone, for instance, text where training rows have numbers, or a category
    or label that a bundle does not know.

    Parameters
    ----------
    estimator : unfitted estimator of latentover, or imbalanced-learn pipeline that ends in one
    splits : Splits
    """
    if splits.image_shape is not None:
        return
    final = clone(estimator.steps[-1][1] if isinstance(estimator, Pipeline) else estimator)
    settings = {"image_shape", "channels_last", "categorical_features", "missing"}
    X_train = final._check_input(splits.X_train, reset=True)
    final.format_ = learn_format(X_train, **{name: getattr(final, name) for name in settings})
    labels_to_json(np.unique(splits.y_train))
    final.format_.to_dict()
    for name, (X, _) in _scored(splits).items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what only deserves a warning gets it when it is scored
            try:
                final.format_.encode(final._check_input(X, reset=False))
            except (TypeError, ValueError) as error:
                raise ValueError(f"{error} This is about the rows of {name}, which are to be scored.") from error


def evaluate_run(
    run: str | os.PathLike[str],
    *,
    root: str | Path | None = None,
    download: bool = False,
    trust_modules: Collection[str] = (),
) -> dict[str, dict[str, Any]]:
    """Return the scores of a finished run, computed anew from its weights and its recipe's data.

    Whoever looks at test scores again and again fits to them, so ``test_reads`` in the run's ``metrics.json`` counts.

    Parameters
    ----------
    run : path
    root : path, optional
        Where named data sets are.
    download : bool
        Whether a missing named set may be downloaded.
    trust_modules : collection of str
        Modules of somebody's own whose classes the run may name (its method, a mixing rule, an encoder); importing them
        runs their code. Nothing else that the folder names is run.

    Raises
    ------
    FileNotFoundError
        If the folder is not a run, or the data is missing.
    ValueError
        If it is damaged, or needs modules that are not trusted or cannot be imported.

    Warns
    -----
    UserWarning
        If the data is no longer that of the training, and if the test data has been read before.
    """
    estimator, splits = open_run(run, root=root, download=download, trust_modules=trust_modules)
    scores = score_splits(estimator, splits)
    _count_read(RunFolder(find_bundle(Path(run))))
    return scores


def open_run(
    run: str | os.PathLike[str],
    *,
    root: str | Path | None = None,
    download: bool = False,
    trust_modules: Collection[str] = (),
) -> tuple[Any, Splits]:
    """Return the fitted estimator of a run and its data; parameters, errors and warnings as for `evaluate_run`."""
    run = find_bundle(Path(run))
    recipe = run / "recipe.yaml"
    estimator = load_run(run, trust_modules=trust_modules)
    if not recipe.is_file():
        raise FileNotFoundError(
            f"Expected {run} to be a run with its recipe.yaml, which names the data, but it is missing; for a bundle "
            "without a recipe, load it in Python."
        )
    splits = load_splits(load_data_config(recipe), root=root, download=download)
    trained_on = RunFolder(run).certificate.get("data_hash", splits.data_hash)
    if splits.data_hash != trained_on:
        warnings.warn(
            f"Expected the data that {run} was trained on (hash {trained_on}), but got other data (hash "
            f"{splits.data_hash}): test data may hold what it was trained on; get the original data.",
            stacklevel=3,
        )
    return estimator, splits


def load_run(run: str | os.PathLike[str], *, trust_modules: Collection[str] = ()) -> Any:
    """Return the fitted estimator of a run, as `latentover.load` does.

    Parameters
    ----------
    run : path
    trust_modules : collection of str
        As for `evaluate_run`.

    Raises
    ------
    FileNotFoundError, ValueError
        As for `evaluate_run`.
    """
    recipe = Path(run) / "recipe.yaml"
    try:
        return load(run, trust_modules=trust_modules)
    except ValueError as error:
        if "bundles hold no code" not in str(error) or not recipe.is_file():
            raise
        try:
            modules = _named_networks(recipe, trust_modules)
        except ValueError as refused:
            raise ValueError(
                f"Expected a run of networks that are known, but {run} needs a module of somebody's own; if you trust "
                "its code, name it with --trust-modules (in Python trust_modules), with its file where Python can "
                f"import it. {refused}"
            ) from error
    return load(run, trust_modules=trust_modules, **modules)


def _named_networks(recipe: Path, trust_modules: Collection[str]) -> dict[str, nn.Module]:
    """Return the networks that a recipe names, by parameter."""
    loaded = load_recipe(recipe, trust_modules=trust_modules)
    steps = [step for step in (loaded.sampler, loaded.method) if step is not None]
    parameters = [item for step in steps for item in step.get_params(deep=False).items()]
    return {name: value for name, value in parameters if isinstance(value, nn.Module)}


def reads_of_test_data(run: str | os.PathLike[str]) -> int | None:
    """Return how often the test data of a run has been read, by its own scoring too; None if nobody counted."""
    return (RunFolder(find_bundle(Path(run))).metrics or {}).get("test_reads")


def _count_read(run: RunFolder) -> None:
    if not run.metrics:
        return
    reads = run.metrics.get("test_reads", 1) + 1
    warnings.warn(
        f"Expected the test data of {run.path} to be read once, but this was read {reads}; choose settings on "
        "validation data, and give the scores of the first read.",
        stacklevel=3,
    )
    shipped = run.path.resolve().is_relative_to(shipped_folder("models").resolve())
    if os.access(run.path, os.W_OK) and not shipped:
        run.update({**run.metrics, "test_reads": reads})


def class_names_of(run: str | os.PathLike[str], labels: Sequence[Any]) -> list[str]:
    """Return what people call the classes of a run with these labels: the labels as text, where it knows no names."""
    names = RunFolder(find_bundle(Path(run))).class_names
    return [names.get(str(label), str(label)) for label in labels]


def generator_of(estimator: Any) -> Any:
    """Return the part that generates: the estimator itself, a step of a pipeline, or None, as without a decoder."""
    steps = [step for _, step in estimator.steps] if isinstance(estimator, Pipeline) else [estimator]
    made = (step for step in steps if hasattr(step, "sample") and hasattr(step, "classes_"))
    return next((step for step in made if not isinstance(step, BaseGenerator) or step._can_generate()), None)


def draw_minority_grid(estimator: Any, splits: Splits, evaluation: Evaluation, path: Path) -> bool:
    """Write the grid of minority samples if the estimator generates images, and say whether it did."""
    generator = generator_of(estimator)
    images = np.ndim(splits.X_train) == 4 and np.shape(splits.X_train)[1] in (1, 3)
    if generator is None or not images or evaluation.grid_samples == 0:
        return False
    save_minority_grid(
        generator,
        splits.X_train,
        splits.y_train,
        path,
        per_class=evaluation.grid_samples,
        random_state=PICTURE_SEED,
        class_names=splits.class_names,
    )
    return True


def memorization_of(estimator: Any, splits: Splits) -> dict[str, Any]:
    """Return, as ``"memorization"``, how near samples of the rare classes lie to the training rows.

    Empty where nothing generates, or what does has learned from what a sampler before it made.
    """
    generator, first = generator_of(estimator), estimator.steps[0][1] if isinstance(estimator, Pipeline) else estimator
    if generator is None or generator is not first:
        return {}
    report = generator.memorization_report(
        splits.X_train, splits.y_train, n_samples=MEMORIZATION_SAMPLES, random_state=PICTURE_SEED
    )
    return {"memorization": report.to_dict()}


def write_tsne(estimator: Any, splits: Splits, evaluation: Evaluation, path: Path) -> bool:
    """Write where t-SNE places latents of training data and of samples, and say whether there are any.

    Half of the points are real, half synthetic, each class with the same share.
    """
    generator = generator_of(estimator)
    if generator is None or not hasattr(generator, "encode") or evaluation.tsne_points == 0:
        return False
    found = LatentMapDisplay.of_estimator(
        generator,
        splits.X_train,
        splits.y_train,
        n_points=evaluation.tsne_points,
        random_state=PICTURE_SEED,
        class_names=splits.class_names,
    )
    names = [guarded(str(label)) for label in np.asarray(found.labels)]
    table = pd.DataFrame({"x": found.x, "y": found.y, "label": names, "kind": found.kinds})
    write_text(path, table.round(4).to_csv(index=False))
    return True
