"""Predictions of a finished run for files: images one by one or in folders, or the rows of a table."""

import os
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from imblearn.pipeline import Pipeline

from latentover import notebook
from latentover.bundle import find_bundle
from latentover.data.delimited import Delimited
from latentover.data.pictures import ImageFiles, in_words, list_images
from latentover.data.rows import Rows, open_rows
from latentover.data.tables import TABLE_SUFFIXES, TableOptions, is_table
from latentover.estimators import ImageFormat
from latentover.experiments.evaluate import class_names_of, load_run
from latentover.experiments.recipe import load_data_config
from latentover.files import check_free_file, replacing
from latentover.tables.levels import Levels
from latentover.text import guarded, short_name

HEAD_ROWS = 10
"""What is predicted where nothing is written."""
BATCH_BYTES = 2**25
"""About how many bytes of pixels are in memory at a time."""
MOST_IMAGES = 1024
_NAMED = 5
"""Files that are named in an account of many."""


@dataclass
class Predicted:
    """What was predicted.

    Attributes
    ----------
    what : str
        ``"images"`` or ``"rows"``.
    out : Path or None
    counts : Counter
        How many were predicted of each class, by what people call it.
    head : DataFrame
        The first `HEAD_ROWS` predictions: file or row, label, and a probability for each class.
    total : int or None
        How many images there are; None of rows that were not read to the end.
    passed_over : Counter
        Files of folders that are no images; see `latentover.data.pictures.list_images`.
    left_out : list of str
        Images that cannot be read.
    """

    what: str
    out: Path | None
    counts: Counter[str] = field(default_factory=Counter)
    head: pd.DataFrame = field(default_factory=pd.DataFrame)
    total: int | None = None
    passed_over: Counter[str] = field(default_factory=Counter)
    left_out: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as JSON-able values."""
        head = self.head.to_dict(orient="records")
        return {**vars(self), "out": None if self.out is None else str(self.out), "head": head}

    def __str__(self) -> str:
        n = self.counts.total()
        classes = ", ".join(f"{short_name(name)} {count:,}" for name, count in self.counts.most_common())
        of = f" of {self.total:,}" if self.out is None and self.total is not None else ""
        said = [f"{n:,}{of} {self.what} ({classes or 'none'})"]
        if words := in_words(self.passed_over):
            said.append(f"passed over {' and '.join(words)}")
        if self.left_out:
            more = ", ..." if len(self.left_out) > _NAMED else ""
            said.append(
                f"left out {len(self.left_out):,} that cannot be read: {', '.join(self.left_out[:_NAMED])}{more}"
            )
        if self.out is not None:
            return f"{self.out}: {'; '.join(said)}"
        table = self.head.to_string(index=False, float_format="{:.3f}".format, max_cols=12)
        return f"{table}\n\nThe first {'; '.join(said)}; --out writes all."

    def _repr_html_(self) -> str:
        counts = [(name, f"{count:,}") for name, count in self.counts.most_common()]
        rows = self.head.map(_shown).to_numpy().tolist()
        first = notebook.table(self.head.columns.tolist(), rows, words=2) if rows else ""
        said = "" if self.out is None else f"Written to {self.out}."
        return notebook.page(first, notebook.table((f"class of {self.what}", "predicted"), counts), notebook.note(said))


def _shown(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def predict(
    run: str | os.PathLike[str],
    inputs: Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str] | None = None,
    *,
    skip_unreadable: bool = False,
    encoding: str | None = None,
    delimiter: str | None = None,
    trust_modules: Collection[str] = (),
) -> Predicted:
    """Predict the class of image files, or of the rows of a table.

    Parameters
    ----------
    run : path
        A run folder or any other bundle that classifies; ``models/<name>`` is a model that ships with the project.
    inputs : sequence of path
        Of a run on images: files, and folders, which are walked with all below them, in the order of their names.
        Images of any size are brought to the model's size and channels as in training. Of a run on a table: one table
        with the columns of that, in any order; more columns stay as they are.
    out : path, optional
        Of images a ``.csv`` file with the columns file, label, and a probability ``p_<class>`` for each class; of a
        table a ``.csv`` file, or ``.parquet`` for Parquet, with label and probabilities behind its own columns. It
        appears when it is complete. None: the first rows alone are predicted.
    skip_unreadable : bool, default=False
        Leave images out that cannot be read, instead of an error.
    encoding, delimiter : str, optional
        Of a ``.csv`` file that is read; default: as the recipe of the run says, or as the file shows.
    trust_modules : collection of str
        As for `latentover.experiments.evaluate.evaluate_run`.

    Returns
    -------
    Predicted

    Raises
    ------
    FileNotFoundError
        If there is no such run, file or folder.
    ValueError
        If the run does not classify or not such data, an image cannot be read, the table lacks a column, or `out` has
        another suffix. Nothing is left at `out`.
    """
    out = None if out is None else Path(out)
    if out is not None:
        check_free_file(out)
    model = _Model.of(run, trust_modules)
    if isinstance(model.format, ImageFormat):
        return _predict_images(model, inputs, out, skip_unreadable=skip_unreadable)
    return _predict_table(model, inputs, out, encoding, delimiter)


@dataclass(frozen=True)
class _Model:
    """A fitted classifier, what it takes, and what people call its classes."""

    run: Path
    estimator: Any
    names: list[str]

    @classmethod
    def of(cls, run: str | os.PathLike[str], trust_modules: Collection[str]) -> "_Model":
        estimator = load_run(run, trust_modules=trust_modules)
        if not hasattr(estimator, "predict_proba"):
            raise ValueError(
                f"Expected a run whose method classifies, but {run} only generates; try latentover generate."
            )
        return cls(find_bundle(Path(run)), estimator, class_names_of(run, estimator.classes_.tolist()))

    @property
    def final(self) -> Any:
        """The classifier itself, of a pipeline its last step."""
        return self.estimator.steps[-1][1] if isinstance(self.estimator, Pipeline) else self.estimator

    @property
    def format(self) -> Any:
        return self.final.format_

    def added(self, taken: Collection[str]) -> dict[str, type]:
        """Return the columns of predictions and their types, with other names than those that are taken."""
        names: dict[str, type] = {"label": str, **dict.fromkeys((f"p_{name}" for name in self.names), float)}
        while not names.keys().isdisjoint(taken):
            names = {f"{name}_": kind for name, kind in names.items()}
        return names

    def predict(self, X: Any, columns: Sequence[str]) -> pd.DataFrame:
        """Return label and probabilities of samples, under these names."""
        probabilities = self.estimator.predict_proba(X)
        labels = [self.names[number] for number in probabilities.argmax(axis=1)]
        return pd.DataFrame(dict(zip(columns, [labels, *probabilities.T], strict=True)))


# ---- Images ----------------------------------------------------------------------------------------------------------


def _predict_images(
    model: _Model, inputs: Sequence[str | os.PathLike[str]], out: Path | None, *, skip_unreadable: bool
) -> Predicted:
    if out is not None and out.suffix.lower() != ".csv":
        raise ValueError(f"Expected the output file to end in .csv, but got {out.name!r}; rename it.")
    if model.format.shape[0] not in (1, 3):
        raise ValueError(
            f"Expected a run on images of 1 or 3 channels, which files have, but {model.run} has "
            f"{model.format.shape[0]}; predict its arrays in Python."
        )
    done = Predicted("images", out)
    files, done.passed_over = _find_files(inputs)
    done.total = len(files)
    if out is None:
        for frame in _image_frames(model, files[:HEAD_ROWS], done, skip_unreadable=skip_unreadable):
            done.head = frame
        return done
    with replacing(out) as path, path.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
        for frame in _image_frames(model, files, done, skip_unreadable=skip_unreadable):
            first = done.head.columns.empty
            frame.to_csv(file, header=first, index=False, float_format="%.6g")
            done.head = frame.head(HEAD_ROWS) if first else done.head
    return done


def _find_files(inputs: Sequence[str | os.PathLike[str]]) -> tuple[list[Path], Counter[str]]:
    """Return the image files that paths name, in their order, and what was passed over in folders."""
    files: list[Path] = []
    passed_over: Counter[str] = Counter()
    for path in map(Path, inputs):
        if path.is_dir():
            found, others = list_images(path)
            files += found
            passed_over += others
        elif not path.exists():
            raise FileNotFoundError(f"Expected an image file or a folder of them, but there is no {path}.")
        elif path.suffix.lower() in (*TABLE_SUFFIXES, ".npz"):
            raise ValueError(
                f"Expected images, which the run was trained on, but got {path}; name image files or folders."
            )
        else:
            files.append(path)
    if not files:
        words = f" (passed over {' and '.join(in_words(passed_over))})" if passed_over else ""
        raise ValueError(f"Expected images in {', '.join(map(str, inputs))}, but got none{words}; name their folder.")
    return files, passed_over


def _image_frames(
    model: _Model, files: Sequence[Path], done: Predicted, *, skip_unreadable: bool
) -> Iterator[pd.DataFrame]:
    """Yield predictions batch by batch, at least one; count them and what is left out in `done`."""
    size = max(1, min(MOST_IMAGES, BATCH_BYTES // int(np.prod(model.format.shape))))
    columns = list(model.added(["file"]))
    for start in range(0, len(files), size):
        readable, pixels = _decoded(files[start : start + size], model.format, done, skip_unreadable=skip_unreadable)
        if len(readable):
            predicted = model.predict(model.format.from_pixels(pixels), columns)
        else:
            predicted = pd.DataFrame(columns=columns)
        done.counts.update(predicted[columns[0]])
        predicted[columns[0]] = predicted[columns[0]].map(guarded)
        predicted.insert(0, "file", [guarded(str(file)) for file in readable])
        yield predicted


def _decoded(
    files: Sequence[Path], layout: ImageFormat, done: Predicted, *, skip_unreadable: bool
) -> tuple[Sequence[Path], np.ndarray]:
    """Return the files that can be read and their pixels (n, c, h, w); name the others in `done`, or raise."""
    try:
        return files, ImageFiles(files, layout.shape)[np.arange(len(files))]
    except ValueError as error:
        if not skip_unreadable:
            raise ValueError(f"{error} With --skip-unreadable (in Python skip_unreadable) it is left out.") from error
    readable, pixels = [], [np.empty((0, *layout.shape), dtype=np.uint8)]
    for file in files:  # which ones it is says only each by itself
        try:
            pixels.append(ImageFiles([file], layout.shape)[np.arange(1)])
            readable.append(file)
        except ValueError:
            done.left_out.append(str(file))
    return readable, np.concatenate(pixels)


# ---- Tables ----------------------------------------------------------------------------------------------------------


def _predict_table(
    model: _Model,
    inputs: Sequence[str | os.PathLike[str]],
    out: Path | None,
    encoding: str | None,
    delimiter: str | None,
) -> Predicted:
    paths = [Path(path) for path in inputs]
    if len(paths) != 1 or (paths[0].exists() and not is_table(paths[0])):
        raise ValueError(
            f"Expected one table ({', '.join(TABLE_SUFFIXES)} or a folder of .parquet files), for the run was trained "
            f"on one, but got {', '.join(map(str, paths))}; name one."
        )
    suffixes = (".csv",) if paths[0].suffix.lower() == ".csv" else TABLE_SUFFIXES
    if out is not None and out.suffix.lower() not in suffixes:
        raise ValueError(
            f"Expected the output file to end in {' or '.join(suffixes)}, but got {out.name!r}; rename it."
        )
    if out is not None and out.exists() and out.samefile(paths[0]):
        raise ValueError(f"Expected another output than the table that is read, but got {out}; choose another name.")
    recipe = model.run / "recipe.yaml"
    options = (load_data_config(recipe).table if recipe.is_file() else None) or TableOptions()
    options = replace(options, drop=[], encoding=encoding or options.encoding, delimiter=delimiter or options.delimiter)
    rows = open_rows(paths[0], "", options, identifiers=_columns_of_text(model, paths[0], options))
    features, added = _features(model, rows), model.added(rows.names)
    done = Predicted("rows", out)

    def make(frame: pd.DataFrame) -> pd.DataFrame:
        X = frame if hasattr(model.final, "feature_names_in_") else frame.to_numpy()
        predicted = model.predict(X, list(added)) if len(frame) else pd.DataFrame(columns=list(added))
        done.counts.update(predicted[next(iter(added))])
        return predicted

    if out is None:
        for frame in islice(rows.frames(features), 1):
            done.head = make(frame.head(HEAD_ROWS))
            done.head.insert(0, "row", range(1, len(done.head) + 1))
        return done
    with replacing(out) as temporary:
        rows.extend(temporary, features, make, added, suffix=out.suffix)
    return done


def _columns_of_text(model: _Model, path: Path, options: TableOptions) -> list[str]:
    """Return the columns of a CSV file that were text in training, and are text again if all cells hold digits."""
    if path.suffix.lower() != ".csv" or not path.is_file():
        return []
    texts = {
        str(column.name)
        for column in model.format.columns
        if isinstance(column, Levels) and column.levels and all(isinstance(level, str) for level in column.levels)
    }
    return [name for name in Delimited.open(path, options.encoding, options.delimiter).header if name in texts]


def _features(model: _Model, rows: Rows) -> list[str]:
    """Return the columns that the classifier takes; raise ValueError if the table lacks one."""
    if not hasattr(model.final, "feature_names_in_"):
        if len(rows.names) != model.final.n_features_in_:
            raise ValueError(
                f"Expected {rows.path} to have the {model.final.n_features_in_} columns of the rows that were trained "
                f"on, which have no names, but got {len(rows.names)}; leave the others out."
            )
        return rows.names
    names = [str(name) for name in model.final.feature_names_in_]
    if missing := [name for name in names if name not in rows.names]:
        raise ValueError(
            f"Expected {rows.path} to have all columns that were trained on, but got none of the name "
            f"{', '.join(map(repr, missing[:10]))}; the columns are {rows.names}."
        )
    return names
