"""New samples of a finished run, as a picture, single images, arrays or a table."""

import os
import re
import warnings
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from latentover.bundle import find_bundle
from latentover.data.source import class_number, nearest
from latentover.estimators import ImageFormat
from latentover.experiments.evaluate import class_names_of, generator_of, load_run
from latentover.experiments.recipe import check_seed, load_data_config
from latentover.files import check_free_file, check_writable, replacing, replacing_folder
from latentover.report import image_grid
from latentover.tables.checks import check_dense_size
from latentover.text import guarded

SUFFIXES = (".png", ".npz", ".csv")
_NAME_LETTERS = 100


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
        The class: its name, or its label as text.
    n : int
    out : path
        A folder, which is there or ends in a slash, for single images ``<out>/<class name>/0001.png``, so that it can
        be trained on; ``.png`` for a grid, ``.npz`` for arrays X and y, ``.csv`` for a table with the label in its
        last column, which has the name that the recipe of the run gives it, or else ``label``.
    seed : int
        The same seed gives the same bytes.
    trust_modules : collection of str
        As for `latentover.experiments.evaluate.evaluate_run`.

    Returns
    -------
    Path
        `out`; of single images their folder.

    Raises
    ------
    ValueError
        If the run does not generate, has no such class, or `out` has another suffix or one that does not fit the data.
    FileExistsError
        If the folder has images of the class already.
    """
    singly = os.fspath(out).endswith(("/", os.sep)) or Path(out).is_dir()
    out = Path(out)
    if not singly and out.suffix not in SUFFIXES:
        raise ValueError(
            f"Expected the output file to end in one of {', '.join(SUFFIXES)}, or a folder, which ends in a slash, but "
            f"got {out.name!r}; rename it."
        )
    if n < 1:
        raise ValueError(f"Expected n to be at least 1, but got {n}; ask for one sample or more.")
    check_seed(seed)
    if singly:
        check_writable(out if out.is_dir() else out.parent)
    else:
        check_free_file(out)
    generator = generator_of(load_run(run, trust_modules=trust_modules))
    if generator is None:
        raise ValueError(f"Expected a run whose method generates samples, but {run} only classifies; try a run of RAE.")
    labels = generator.classes_.tolist()
    names = class_names_of(run, labels)
    number = _class_called(label, labels, names)
    value = generator.classes_[number]
    if singly:
        out = out / _as_file_name(names[number])
        if out.exists() and any(out.iterdir()):
            raise FileExistsError(f"Expected {out} to be free, but there are files in it; choose another folder.")
    check_dense_size((n, *generator.format_.shape), f"the {n} samples", advice="ask for fewer at a time")
    recipe = find_bundle(Path(run)) / "recipe.yaml"
    name = (load_data_config(recipe).target if recipe.is_file() else None) or "label"
    X = generator.sample(n, y=value, random_state=seed)
    if singly:
        images = _pictures(X, generator.format_)
        with replacing_folder(out) as temporary:
            _write_images(images, temporary)
        return out
    with replacing(out) as temporary:
        if out.suffix == ".png":
            images = _pictures(X, generator.format_)
            image_grid(images, columns=round(n**0.5)).save(temporary, format="PNG")
        elif out.suffix == ".npz":
            _write_arrays(X, value, temporary)
        else:
            _write_table(X, name, value, temporary)
    return out


def _class_called(label: str, labels: Sequence[Any], names: Sequence[str]) -> int:
    """Return the number of the class that somebody calls so; raise ValueError with all names where there is none."""
    number = class_number(label, labels, [[name] for name in names])
    if number is None:
        guess = nearest(label, names)
        hint = f"did you mean {guess!r}?" if guess else "choose one of them."
        raise ValueError(f"Expected the label to be one of {', '.join(names)}, but got {label!r}; {hint}")
    return number


def _as_file_name(name: str) -> str:
    """Return what people call a class as the name of a folder.

    Examples
    --------
    >>> _as_file_name("T-shirt/top"), _as_file_name("..")
    ('T-shirt_top', '__')
    """
    return re.sub(r'^\.|[\x00-\x1f/\\:*?"<>|]|[. ]$', "_", name)[:_NAME_LETTERS] or "_"


def _write_images(images: np.ndarray, folder: Path) -> None:
    """Write images (n, c, h, w) in [0, 1] as 0001.png, 0002.png, ..."""
    width = max(4, len(str(len(images))))
    for number, image in enumerate(np.rint(255 * images).astype(np.uint8), 1):
        pixels = image[0] if len(image) == 1 else image.transpose(1, 2, 0)
        Image.fromarray(pixels).save(folder / f"{number:0{width}}.png", format="PNG")


def _pictures(X: Any, layout: Any) -> np.ndarray:
    """Return images (n, c, h, w) in [0, 1], whatever the layout and range of the data."""
    if not isinstance(layout, ImageFormat):
        raise ValueError(f"Expected images for a .png, but the samples have shape {np.shape(X)}; write .csv instead.")
    if layout.shape[0] not in (1, 3):
        raise ValueError(f"Expected 1 or 3 channels for a .png, but got {layout.shape[0]}; write .npz instead.")
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
