"""New samples of a finished run, as a picture, arrays or a table."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from latentover.bundle import load
from latentover.experiments.evaluate import generator_of
from latentover.files import check_writable, replacing
from latentover.report import image_grid

SUFFIXES = (".png", ".npz", ".csv")


def generate(run: str | os.PathLike[str], label: str, n: int, out: str | os.PathLike[str], *, seed: int = 0) -> Path:
    """Write `n` samples of class `label` to `out`.

    Parameters
    ----------
    run : path
        A run folder, or any bundle.
    label : str
        The class, as text; compared with the text of ``classes_``.
    n : int
    out : path
        ``.png`` for a grid, ``.npz`` for arrays X and y, ``.csv`` for a table with the label in its last column.
    seed : int

    Returns
    -------
    Path
        `out`.

    Raises
    ------
    ValueError
        If the run does not generate, has no such class, or `out` has another suffix.
    """
    out = Path(out)
    if out.suffix not in SUFFIXES:
        raise ValueError(f"Expected the output file to end in one of {', '.join(SUFFIXES)}, but got {out.name!r}.")
    if n < 1:
        raise ValueError(f"Expected n to be at least 1, but got {n}.")
    check_writable(out.parent)
    generator = generator_of(load(run))
    if generator is None:
        raise ValueError(f"Expected a run whose method generates samples, but {run} only classifies.")
    matches = [c for c in generator.classes_ if str(c) == label]
    if not matches:
        known = ", ".join(map(str, generator.classes_))
        raise ValueError(f"Expected the label to be one of {known}, but got {label!r}.")
    X = generator.sample(n, y=matches[0], random_state=seed)
    with replacing(out) as temporary:
        _write(X, matches[0], temporary, out.suffix)
    return out


def _write(X: Any, label: Any, path: Path, suffix: str) -> None:
    if suffix == ".png":
        if np.ndim(X) != 4:
            raise ValueError(
                f"Expected images for a .png, but the samples have shape {np.shape(X)}; write .csv instead."
            )
        image_grid(X, columns=round(len(X) ** 0.5) or 1).save(path, format="PNG")
    elif suffix == ".npz":
        with path.open("wb") as file:
            np.savez_compressed(file, X=np.asarray(X), y=np.full(len(X), label))
    else:
        table = X if isinstance(X, pd.DataFrame) else pd.DataFrame(np.asarray(X).reshape(len(X), -1))
        table.assign(label=label).to_csv(path, index=False)
