"""How a user's data becomes tensors for the networks, and how tensors become data of the same kind again.

A format is learned from the training data, stored with a fitted estimator (as JSON, without any row) and inverted on
what the networks generate: what comes in in a type and layout goes out in it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from numbers import Real
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from latentover.estimators.columns import (
    Column,
    FloatColumns,
    as_dtype,
    is_categorical,
    is_time,
    learn_column,
    plain_value,
)
from latentover.estimators.validation import check_dense_size, check_table, warn_user
from latentover.estimators.values import from_json, to_json

ImageLayout = Literal["channels_first", "channels_last", "rows"]
Missing = Literal["error", "impute", "mask"]
CategoricalFeatures = str | Sequence[Any] | np.ndarray
Clip = str | tuple[float | None, float | None] | Mapping[Any, Any]
ROWS_AT_ONCE = 2**14
"""Rows that are encoded at once: a cache holds so many while one column after the other is taken from them."""
_CLIPS = "'observed', 'none', (low, high) with low <= high, or a dict of column to one of these"


@dataclass(frozen=True)
class ImageFormat:
    """Images of one shape.

    Attributes
    ----------
    shape : (c, h, w)
    layout : {"channels_first", "channels_last", "rows"}
        How the user's array is laid out: (n, c, h, w), (n, h, w, c) or (n, c * h * w).
    dtype : str
        NumPy name of the user's type.
    low, high : float
        The values that become 0 and 1 in the networks.
    """

    shape: tuple[int, int, int]
    layout: ImageLayout
    dtype: str
    low: float
    high: float

    kind = "images"

    def encode(self, X: np.ndarray) -> Tensor:
        """Return a tensor (n, c, h, w): uint8 as it is, anything else as float32 in [0, 1]."""
        X = self._channels_first(np.asarray(X))
        if X.dtype == np.uint8 and self.dtype == "uint8":
            return torch.from_numpy(np.ascontiguousarray(X))
        scaled = (X.astype(np.float32) - np.float32(self.low)) / np.float32(self.high - self.low)
        return torch.from_numpy(np.ascontiguousarray(scaled))

    def _channels_first(self, X: np.ndarray) -> np.ndarray:
        if self.layout == "rows":
            return X.reshape(len(X), *self.shape)
        return np.moveaxis(X, -1, 1) if self.layout == "channels_last" else X

    def network_input(self, batch: Tensor) -> Tensor:
        """Return a batch of `encode`'s tensor as float32 in [0, 1]."""
        return batch.float().div(255) if batch.dtype == torch.uint8 else batch

    def decode(self, outputs: Tensor) -> np.ndarray:
        """Return generated images (n, c, h, w) in [0, 1] in the user's range, type and layout."""
        X = outputs.float().cpu().numpy().astype(np.float64) * (self.high - self.low) + self.low
        X = as_dtype(X, np.dtype(self.dtype), self.low, self.high)
        if self.layout == "rows":
            return X.reshape(len(X), -1)
        return np.moveaxis(X, 1, -1) if self.layout == "channels_last" else X

    def check(self, X: np.ndarray) -> None:
        """Raise ValueError unless X has the layout and size that were learned."""
        expected = {
            "channels_first": self.shape,
            "channels_last": (*self.shape[1:], self.shape[0]),
            "rows": (int(np.prod(self.shape)),),
        }[self.layout]
        if X.shape[1:] != expected:
            raise ValueError(f"Expected X to hold samples of shape {expected}, as in fit, but got {X.shape[1:]}.")

    def to_dict(self) -> dict[str, Any]:
        """Return the format as JSON-able values."""
        return {"kind": self.kind, **asdict(self)}

    @classmethod
    def learn(cls, X: np.ndarray, *, image_shape: tuple[int, ...] | None, channels_last: bool) -> "ImageFormat":
        """Learn the format of images (n, c, h, w), (n, h, w, c), or rows with an `image_shape`."""
        layout: ImageLayout
        if X.ndim == 2:
            assert image_shape is not None
            shape, layout = tuple(int(side) for side in image_shape), "rows"
            if len(shape) != 3 or np.prod(shape) != X.shape[1]:
                raise ValueError(
                    f"Expected image_shape to be (channels, height, width) with channels * height * width = "
                    f"{X.shape[1]}, the number of columns of X, but got {tuple(image_shape)}."
                )
        elif channels_last:
            shape, layout = (X.shape[3], X.shape[1], X.shape[2]), "channels_last"
        else:
            shape, layout = tuple(X.shape[1:]), "channels_first"
        if X.ndim == 4 and image_shape is not None and tuple(image_shape) != shape:
            raise ValueError(
                f"Expected image_shape to be that of X, {shape}, but got {tuple(image_shape)}; for images of shape "
                "(n, c, h, w) leave it out."
            )
        low, high = _value_range(X)
        return cls(shape=shape, layout=layout, dtype=X.dtype.name, low=low, high=high)  # type: ignore[arg-type]


def _value_range(X: np.ndarray) -> tuple[float, float]:
    """Return the usual range that holds all values, 0..255, 0..1 or -1..1, or else the observed one."""
    if X.dtype == np.uint8:
        return 0.0, 255.0
    low, high = float(X.min()), float(X.max())
    if X.dtype.kind == "f":
        for usual in ((0.0, 1.0), (-1.0, 1.0)):
            if usual[0] <= low and high <= usual[1]:
                return usual
    return low, high if high > low else low + 1.0


@dataclass(frozen=True)
class TableFormat:
    """Rows of numbers, dates and categories, each column encoded on its own; see `Column`.

    Attributes
    ----------
    columns : list of Column
    is_frame : bool
        Whether the user's X is a pandas frame of mixed columns rather than one array of numbers.
    """

    columns: list[Column]
    is_frame: bool

    kind = "table"

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape (d,) of an encoded row."""
        return (sum(column.width for column in self.columns),)

    def encode(self, X: Any) -> Tensor:
        """Return encoded rows (n, d), float32; a missing value is what the column's ``fill`` says.

        A category that fit has not seen is a row of zeros, and one warning names the columns that hold such.
        """
        if self.is_frame and not isinstance(X, pd.DataFrame):
            X = pd.DataFrame(X, columns=[column.name for column in self.columns])
        elif not self.is_frame:
            X = np.asarray(X)
        if any(column.levels is not None for column in self.columns):
            check_dense_size((len(X), *self.shape), "X with its categories as encoded columns", itemsize=4)
        encoded = np.empty((len(X), *self.shape), dtype=np.float32)
        unknown: dict[Any, Any] = {}
        for start in range(0, len(X), ROWS_AT_ONCE):
            rows = slice(start, start + ROWS_AT_ONCE)
            block = X.iloc[rows] if self.is_frame else X[rows]
            if self._floats is not None and X.dtype.kind in "biuf":
                encoded[rows] = self._floats.encode(block)
                continue
            for i, (column, part) in enumerate(zip(self.columns, self._parts(), strict=True)):
                values = _column(block, i)
                encoded[rows, part] = column.encode(values)
                for value in column.unknown(values, encoded[rows, part])[:1]:
                    unknown.setdefault(column.name, value)
        if unknown:
            found = ", ".join(f"{value!r} in column {name!r}" for name, value in unknown.items())
            warn_user(
                f"Expected categories to be those that were known in fit, but got {found}: they are encoded as zeros, "
                "which say nothing of them; refit with them, or declare them in fit as categories of the column's type."
            )
        return torch.from_numpy(encoded)

    @cached_property
    def _floats(self) -> FloatColumns | None:
        return None if self.is_frame else FloatColumns.of(self.columns)

    def _parts(self) -> Iterator[slice]:
        """Yield where in the encoded row each column is."""
        start = 0
        for column in self.columns:
            yield slice(start, start + column.width)
            start += column.width

    def network_input(self, batch: Tensor) -> Tensor:
        """Return a batch of `encode`'s tensor as it is."""
        return batch

    def decode(self, outputs: Tensor) -> np.ndarray | pd.DataFrame:
        """Return generated rows as an array of the user's type, or as a frame with the user's columns."""
        encoded = outputs.float().cpu().numpy()
        if self._floats is not None:
            return self._floats.decode(encoded)
        encoded = encoded.astype(np.float64)
        pairs = [(column, encoded[:, part]) for column, part in zip(self.columns, self._parts(), strict=True)]
        if not self.is_frame:
            return np.stack([column.decode(block) for column, block in pairs], axis=1)
        frame = pd.concat([column.decode_series(block) for column, block in pairs], axis=1)
        frame.columns = pd.Index([column.name for column in self.columns])
        return frame

    def check(self, X: Any) -> None:
        """Do nothing: scikit-learn's validation has compared the number and names of the columns."""

    def to_dict(self) -> dict[str, Any]:
        """Return the format as JSON-able values.

        Of the data it holds the range, the moments and the rounded median of numbers, and the names of all levels of
        categories: a column that names persons has their names in it.

        Raises
        ------
        ValueError
            If the name of a column or a category is nothing that `latentover.estimators.values` knows.
        """
        return {"kind": self.kind, "columns": [_column_to_dict(c) for c in self.columns], "is_frame": self.is_frame}

    @classmethod
    def learn(
        cls,
        X: Any,
        *,
        categorical_features: CategoricalFeatures = "auto",
        missing: Missing = "error",
        clip: Clip = "observed",
    ) -> "TableFormat":
        """Learn the format of an array of numbers (n, d) or of a pandas frame with mixed columns.

        Parameters are those of `learn_format`.
        """
        is_frame = isinstance(X, pd.DataFrame)
        if missing == "error":
            check_table(X)
        names = X.columns.tolist() if is_frame else list(range(X.shape[1]))
        X = X if is_frame else _by_column(X)
        named = _named_columns(categorical_features, names)
        columns = []
        for i in range(X.shape[1]):
            values = _column(X, i)
            categorical = i in named or (is_frame and is_categorical(values))
            bounds = _column_bounds(clip, values, categorical)
            columns.append(learn_column(values, categorical=categorical, indicate=missing == "mask", bounds=bounds))
        _check_clipped_names(clip, names)
        return cls(columns, is_frame=is_frame)


def _column(X: Any, i: int) -> pd.Series:
    return X.iloc[:, i] if isinstance(X, pd.DataFrame) else pd.Series(X[:, i], name=i)


def _by_column(X: np.ndarray) -> np.ndarray:
    """Return X (n, d) with each column in one piece of memory; some rows at a time, for NumPy would go to and fro."""
    columns = np.empty(X.shape[::-1], dtype=X.dtype)
    for start in range(0, len(X), ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        columns[:, rows] = X[rows].T
    return columns.T


def _named_columns(categorical_features: CategoricalFeatures, names: list[Any]) -> set[int]:
    """Return the numbers of the columns that the user calls categorical."""
    if isinstance(categorical_features, str) and categorical_features == "auto":
        return set()
    wanted = np.asarray(categorical_features)
    if wanted.size == 0:
        return set()
    problem = ""
    if isinstance(categorical_features, str) or wanted.ndim != 1 or wanted.dtype.kind not in "biuUOT":
        problem = repr(categorical_features)
    elif wanted.dtype.kind == "b":
        if len(wanted) == len(names):
            return set(np.flatnonzero(wanted).tolist())
        problem = f"a mask of length {len(wanted)}"
    elif wanted.dtype.kind in "iu":
        if wanted.min() >= -len(names) and wanted.max() < len(names):
            return {int(i) % len(names) for i in wanted}
        problem = f"numbers {wanted.tolist()}"
    else:
        unknown = [name for name in categorical_features if name not in names]
        if not unknown:
            return {names.index(name) for name in categorical_features}
        problem = f"{unknown[0]!r}, which is none"
    raise ValueError(
        "Expected categorical_features to be 'auto', or a list of names or numbers of columns or a mask of the "
        f"{len(names)} columns, but got {problem}; the columns are {names[:20]}{' ...' if len(names) > 20 else ''}."
    )


def _column_bounds(clip: Clip, values: pd.Series, categorical: bool) -> tuple[float | None, float | None] | None:
    """Return what a column's generated numbers are clipped to; None for the range that was seen."""
    if categorical or is_time(values.infer_objects().dtype):
        if isinstance(clip, Mapping) and values.name in clip:
            raise ValueError(
                f"Expected clip to give bounds to columns of numbers, but got column {plain_value(values.name)!r}, "
                "which stays within the values that were seen; leave it out."
            )
        return None
    bounds = clip.get(values.name, "observed") if isinstance(clip, Mapping) else clip
    if isinstance(bounds, str):
        if bounds not in ("observed", "none"):
            raise ValueError(f"Expected clip to be {_CLIPS}, but got {clip!r}.")
        return None if bounds == "observed" else (None, None)
    pair = tuple(bounds) if isinstance(bounds, list | tuple) else ()
    if len(pair) != 2 or not all(isinstance(side, Real | None) for side in pair) or not _in_order(*pair):
        raise ValueError(f"Expected clip to be {_CLIPS}, but got {clip!r}.")
    low, high = (None if side is None or np.isinf(float(side)) else side.real for side in pair)
    return low, high


def _in_order(low: float | None, high: float | None) -> bool:
    return (-np.inf if low is None else low) <= (np.inf if high is None else high)


def _check_clipped_names(clip: Clip, names: list[Any]) -> None:
    unknown = [name for name in clip if name not in names] if isinstance(clip, Mapping) else []
    if unknown:
        raise ValueError(f"Expected clip to name columns of X, {names[:20]}, but got {unknown[0]!r}.")


Format = ImageFormat | TableFormat


def learn_format(
    X: Any,
    *,
    image_shape: tuple[int, ...] | None = None,
    channels_last: bool = False,
    categorical_features: CategoricalFeatures = "auto",
    missing: Missing = "error",
    clip: Clip = "observed",
) -> Format:
    """Return the format of validated data: images where X has four dimensions or an `image_shape` is given.

    Parameters
    ----------
    X : array of shape (n, d), (n, c, h, w) or (n, h, w, c), or pandas frame
    image_shape : (c, h, w), optional
        Says that the rows of a two-dimensional X are images.
    channels_last : bool, default=False
        Whether images come as (n, h, w, c).
    categorical_features : "auto", list of names, list of numbers, or mask, default="auto"
        Of a table: columns of numbers that are categories. Text, categories and booleans of a frame always are.
    missing : {"error", "impute", "mask"}, default="error"
        What happens to missing values of a table: they are an error; the networks see the median (to three decimals of
        a standard deviation) or the most frequent level; or they see that and a column that says so, and what is
        generated has missing values too. Images have none.
    clip : {"observed", "none"}, (low, high) or dict of column to these, default="observed"
        What the numbers of generated rows of a table are clipped to: the range that was seen, no range but that of
        their type, or that one. A side that is None is open; columns that a dict does not name keep to the range that
        was seen, and so do dates and durations always.

    Raises
    ------
    ValueError
        For a column that has no encoding, missing values that are not allowed, and settings that do not fit X.

    Examples
    --------
    >>> import pandas as pd
    >>> X = pd.DataFrame({"age": [20, 40, 61], "town": ["Graz", "Linz", "Graz"]})
    >>> known = learn_format(X)
    >>> known.shape, known.decode(known.encode(X)).equals(X)
    ((3,), True)
    """
    if missing not in ("error", "impute", "mask"):
        raise ValueError(f"Expected missing to be 'error', 'impute' or 'mask', but got {missing!r}.")
    if not isinstance(X, pd.DataFrame) and (X.ndim == 4 or image_shape is not None):
        return ImageFormat.learn(X, image_shape=image_shape, channels_last=channels_last)
    return TableFormat.learn(X, categorical_features=categorical_features, missing=missing, clip=clip)


def format_from_dict(state: dict[str, Any]) -> Format:
    """Return the format that ``to_dict`` described."""
    state = dict(state)
    if state.pop("kind") == ImageFormat.kind:
        return ImageFormat(**{**state, "shape": tuple(state["shape"])})
    return TableFormat([_column_from_dict(column) for column in state["columns"]], is_frame=state["is_frame"])


def _column_to_dict(column: Column) -> dict[str, Any]:
    kept = asdict(column)
    try:
        kept |= {name: _each(to_json, kept[name]) for name in ("levels", "categories")}
    except TypeError as error:
        raise ValueError(
            f"Expected the categories of column {column.name!r} to be ones that can be stored, but {error}; turn them "
            "into text with astype(str)."
        ) from error
    try:
        return {**kept, "name": to_json(column.name)}
    except TypeError as error:
        raise ValueError(f"Expected X to have names of columns that can be stored, but {error}; rename it.") from error


def _column_from_dict(kept: dict[str, Any]) -> Column:
    lists = {name: _each(from_json, kept[name]) for name in ("levels", "categories")}
    return Column(**{**kept, "name": from_json(kept["name"]), **lists})


def _each(function: Callable[[Any], Any], values: list[Any] | None) -> list[Any] | None:
    return None if values is None else [function(value) for value in values]
