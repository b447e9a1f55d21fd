"""New samples of a finished run, as a picture, arrays or a table."""

import os
import warnings
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from latentover.bundle import find_bundle
from latentover.data.source import class_number
from latentover.estimators import ImageFormat
from latentover.experiments.evaluate import generator_of, load_run
from latentover.experiments.recipe import check_seeds, load_data_config
from latentover.files import check_free_file, replacing
from latentover.report import image_grid
from latentover.tables.checks import check_dense_size
from latentover.text import guarded

SUFFIXES = (".png", ".npz", ".csv")


def generate(
    run: str | os.PathLike[str],
    label: str,
    n: int,
    out: str | os.PathLike[str],
    *,
    seed: int = 0,
    trust_modules: Collection[str] = (),
) -> Path:
    """Write `n` samples of class `label` to `out`.

    Parameters
    ----------
    run : path
        A run folder, or any bundle.
    label : str
        The class, as text.
    n : int
    out : path
        ``.png`` for a grid, ``.npz`` for arrays X and y, ``.csv`` for a table with the label in its last
        column, which has the name that the recipe of the run gives it, or else ``label``.
    seed : int
        The same seed gives the same bytes.
    trust_modules : collection of str
        As for `latentover.experiments.evaluate.evaluate_run`.

    Returns
    -------
    Path
        `out`.

    Raises
    ------
    ValueError
        If the run does not generate, has no such class, or `out` has another suffix or one that does not fit the data.
    """
    out = Path(out)
    if out.suffix not in SUFFIXES:
        raise ValueError(
            f"Expected the output file to end in one of {', '.join(SUFFIXES)}, but got {out.name!r}; rename it."
        )
    if n < 1:
        raise ValueError(f"Expected n to be at least 1, but got {n}; ask for one sample or more.")
    check_seeds([seed])
    check_free_file(out)
    generator = generator_of(load_run(run, trust_modules=trust_modules))
    if generator is None:
        raise ValueError(f"Expected a run whose method generates samples, but {run} only classifies; try a run of RAE.")
    number = class_number(label, generator.classes_.tolist())
    if number is None:
        known = ", ".join(map(str, generator.classes_))
        raise ValueError(f"Expected the label to be one of {known}, but got {label!r}; choose one of them.")
    value = generator.classes_[number]
    check_dense_size((n, *generator.format_.shape), f"the {n} samples", advice="ask for fewer at a time")
    recipe = find_bundle(Path(run)) / "recipe.yaml"
    name = (load_data_config(recipe).target if recipe.is_file() else None) or "label"
    X = generator.sample(n, y=value, random_state=seed)
    with replacing(out) as temporary:
        if out.suffix == ".png":
            images = _pictures(X, generator.format_)
            image_grid(images, columns=round(n**0.5)).save(temporary, format="PNG")
        elif out.suffix == ".npz":
            _write_arrays(X, value, temporary)
        else:
            _write_table(X, name, value, temporary)
    return out


def _pictures(X: Any, layout: Any) -> np.ndarray:
    """Return images (n, c, h, w) in [0, 1], whatever the layout and range of the data."""
    if not isinstance(layout, ImageFormat):
        raise ValueError(f"Expected images for a .png, but the samples have shape {np.shape(X)}; write .csv instead.")
    images = np.asarray(X, dtype=np.float64)
    if layout.layout == "channels_last":
        images = np.moveaxis(images, -1, 1)
    return ((images.reshape(len(images), *layout.shape) - layout.low) / (layout.high - layout.low)).clip(0, 1)


def _write_arrays(X: Any, label: Any, path: Path) -> None:
    array = np.asarray(X)
    if array.dtype == object:
        raise ValueError(
            "Expected numbers for an .npz, but the samples have columns of other types; write .csv instead."
        )
    with path.open("wb") as file:
        np.savez_compressed(file, X=array, y=np.full(len(array), label))


def _write_table(X: Any, name: str, label: Any, path: Path) -> None:
    table = X if isinstance(X, pd.DataFrame) else pd.DataFrame(np.asarray(X).reshape(len(X), -1))
    while name in table.columns:
        name += "_"
    _without_formulas(table.assign(**{name: label})).to_csv(path, index=False)


def _without_formulas(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with an apostrophe before names and texts that a spreadsheet program would compute, and say so.

    Only those texts differ: all other cells are written as they are.
    """
    safe, changed = table.copy(), []
    for column in table:
        texts = {value for value in table[column].unique() if isinstance(value, str) and guarded(value) != value}
        if texts:
            safe[column] = [guarded(value) if isinstance(value, str) else value for value in table[column]]
        if texts or guarded(str(column)) != str(column):
            changed.append(str(column))
    if changed:
        warnings.warn(
            f"Expected texts, but in {', '.join(changed)} some begin like formulas, which a spreadsheet program would "
            "compute; an apostrophe stands before them in the file, and none before those that are drawn in Python.",
            stacklevel=4,
        )
    return safe.rename(columns={column: guarded(column) for column in table if isinstance(column, str)})
