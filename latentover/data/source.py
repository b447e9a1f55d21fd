"""What every kind of data source is turned into before it is split."""

import difflib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Source:
    """Samples and labels as they were found, not yet split or subsampled.

    Attributes
    ----------
    name : str
        Name of the set, or of the folder or file without its suffix.
    X : ndarray, DataFrame or ImageFiles
        Samples, first axis first. Images are of shape (n, channels, height, width).
    y : ndarray of shape (n,)
        Labels.
    X_test, y_test : like X and y, or None
        The source's own test split, where it has one.
    identifiers : list of str
        Columns of a table that somebody calls names of rows.
    class_names : dict of label to str
        What people call the classes, of numbered ones; empty where labels are names, as those of folders are.
    """

    name: str
    X: Any
    y: NDArray
    X_test: Any = None
    y_test: NDArray | None = None
    identifiers: list[str] = field(default_factory=list)
    class_names: dict[Any, str] = field(default_factory=dict)

    @property
    def image_shape(self) -> tuple[int, int, int] | None:
        """(channels, height, width) of images, None for tables and rows."""
        shape = tuple(self.X.shape)
        return (shape[1], shape[2], shape[3]) if len(shape) == 4 else None


def check_labels(y: ArrayLike, where: str) -> NDArray:
    """Return labels as a 1-D array with an order, or say what is wrong with them.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
        Labels: integers, booleans, strings, or floats that hold whole numbers.
    where : str
        What the labels are called in the messages.

    Raises
    ------
    ValueError
        If labels are not one-dimensional, are missing (NaN), measure something instead of naming classes, or mix types.
    """
    y = np.asarray(y)
    if y.ndim != 1:
        raise ValueError(f"Expected {where} to be one-dimensional, but got shape {y.shape}; give one label a sample.")
    if y.dtype.kind == "O":
        y = _without_objects(y, where)
    if y.dtype.kind not in "biufUS":
        types = sorted({type(label).__name__ for label in y})
        raise ValueError(
            f"Expected {where} to hold labels of one plain type (integers, strings or booleans), but got {types}; "
            "write all of them as text or as numbers."
        )
    if y.dtype.kind == "f":
        _check_missing(np.isnan(y), where)
        _check_whole(y, where)
    return y


def class_number(key: Any, labels: Sequence[Any], spellings: Sequence[Collection[str]] | None = None) -> int | None:
    """Return which of the labels somebody means, or None.

    That is a label itself, a text by which the file or Python writes it, or what YAML takes such a text for, if that is
    so of one label alone: to YAML ``yes`` is true and ``01`` is one.

    Parameters
    ----------
    key : str, int, float, bool, date or None
    labels : sequence of C labels
    spellings : sequence of C collections of str, optional
        How a file writes each label; default: as Python does.

    Examples
    --------
    >>> class_number("1", [0, 1]), class_number(True, ["no", "yes"]), class_number("maybe", ["no", "yes"])
    (1, 1, None)
    """
    texts = [{str(label), *(spellings[i] if spellings else ())} for i, label in enumerate(labels)]
    for i, label in enumerate(labels):
        if isinstance(label, bool):
            texts[i] |= {str(label).lower()}
    ways = (
        lambda i: type(key) is type(labels[i]) and key == labels[i],
        lambda i: isinstance(key, str) and key in texts[i],
        lambda i: not isinstance(labels[i], bool) and not isinstance(key, bool) and key == labels[i],
        lambda i: any((type(read), read) == (type(key), key) for read in map(_as_yaml, texts[i])),
    )
    for way in ways:
        found = [i for i in range(len(labels)) if way(i)]
        if len(found) == 1:
            return found[0]
    return None


def _as_yaml(text: str) -> Any:
    import yaml

    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError):
        return text


def nearest(name: str, known: Iterable[str], cutoff: float = 0.5) -> str | None:
    """The known name most like ``name``, whatever its case, or None if none is like it."""
    plain = {_plain(candidate): candidate for candidate in known}
    found = difflib.get_close_matches(_plain(name), list(plain), n=1, cutoff=cutoff)
    return plain[found[0]] if found else None


def _plain(name: str) -> str:
    return name.lower().replace("-", "_").replace(" ", "_")


def _without_objects(y: NDArray, where: str) -> NDArray:
    """Return labels that are objects in NumPy's type for them, if all are of one plain type; others as they are."""
    import pandas as pd

    _check_missing(np.asarray(pd.isna(y)), where)
    plain = {type(label) for label in y} in ({str}, {int}, {bool}, {float})
    return np.array(y.tolist()) if plain else y


def _check_missing(missing: NDArray, where: str) -> None:
    if missing.any():
        raise ValueError(
            f"Expected {where} to have no missing values, but got {missing.sum()} (the first at position "
            f"{int(missing.argmax())}); remove those samples, or give them a label of their own."
        )


def _check_whole(y: NDArray, where: str) -> None:
    fractional = y != np.floor(y)
    if fractional.any():
        raise ValueError(
            f"Expected {where} to hold class labels, but got measurements such as {float(y[fractional][0])!r}; choose "
            "a column of classes, or cut the numbers into classes first."
        )
