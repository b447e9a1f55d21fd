"""How a user's data becomes tensors for the networks, and how tensors become data of the same kind again.

A format is learned from the training data, stored with a fitted estimator (as JSON, without any row) and inverted on
what the networks generate: what comes in in a type and layout goes out in it.
"""

from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from latentover.estimators.validation import check_dense_size

ImageLayout = Literal["channels_first", "channels_last", "rows"]


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
        X = _as_dtype(X, np.dtype(self.dtype), self.low, self.high)
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


def _as_dtype(X: np.ndarray, dtype: np.dtype, low: Any, high: Any) -> np.ndarray:
    """Return X in `dtype`; whole-number types are rounded and clipped to low..high first."""
    if dtype.kind in "ui":
        X = np.clip(np.rint(X), low, high)
    if dtype.kind == "b":
        X = X >= 0.5
    return X.astype(dtype)


@dataclass(frozen=True)
class Column:
    """One column of a table: its place in the encoded row and how to invert it.

    Attributes
    ----------
    dtype : str
        Name of the user's type.
    number_dtype : str
        NumPy name of the type that the values of a numeric column have: ``"int64"`` in pandas' ``"Int64"``.
    name : str, int, ... or None
        Its name in a pandas frame.
    levels : list or None
        The values of a categorical column, in the order of its one-hot columns; None for a numeric one.
    categories : list or None
        Of a column of pandas' category type: all its categories, whether seen or not, in their order.
    ordered : bool
        Whether those categories are ordered.
    mean, scale, low, high : float
        Of a numeric column of the training data; the scale of a constant column is 0.
    """

    dtype: str
    number_dtype: str = "float64"
    name: Any = None
    levels: list[Any] | None = None
    categories: list[Any] | None = None
    ordered: bool = False
    mean: float = 0.0
    scale: float = 1.0
    low: float = 0.0
    high: float = 0.0

    @property
    def width(self) -> int:
        """How many encoded columns it takes."""
        return 1 if self.levels is None else len(self.levels)

    def encode(self, values: pd.Series) -> np.ndarray:
        """Return standardised numbers or one-hot rows, (n, width) and float32."""
        if self.levels is None:
            try:
                numbers = values.to_numpy(dtype=np.float64)
            except (TypeError, ValueError) as error:
                raise ValueError(
                    f"Expected column {values.name!r} to hold numbers, as in fit, but got type {values.dtype}: {error}."
                ) from error
            return _standardised(numbers, self.mean, self.scale).astype(np.float32)[:, None]
        codes = pd.Index(self.levels, dtype=object).get_indexer(pd.Index(values.astype(object), dtype=object))
        if (codes < 0).any():
            unseen = values[codes < 0].iloc[0]
            raise ValueError(
                f"Expected column {values.name!r} to hold only values seen in fit, but got {unseen!r}; refit with "
                "it or map it to a known value."
            )
        onehot = np.zeros((len(codes), self.width), dtype=np.float32)
        onehot[np.arange(len(codes)), codes] = 1
        return onehot

    def decode(self, block: np.ndarray) -> np.ndarray:
        """Return values of the user's kind and range for encoded ones (n, width)."""
        if self.levels is not None:
            levels = np.empty(len(self.levels), dtype=object)
            levels[:] = self.levels
            return levels[block.argmax(axis=1)]
        # Within the range that was seen: an amount stays positive, a share at most 1.
        numbers = (block[:, 0] * self.scale + self.mean).clip(self.low, self.high)
        return _as_dtype(numbers, np.dtype(self.number_dtype), self.low, self.high)

    def decode_series(self, block: np.ndarray) -> pd.Series:
        """Return `decode`'s values as a column of the user's pandas type."""
        values = self.decode(block)
        if self.categories is not None:
            return pd.Series(pd.Categorical(values, self.categories, ordered=self.ordered))
        return pd.Series(values).astype(pd.api.types.pandas_dtype(self.dtype))


@dataclass(frozen=True)
class TableFormat:
    """Rows of numbers, booleans and categories: numbers are standardised, categories become one-hot columns.

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
        """Return encoded rows (n, d), float32."""
        if not self.is_frame:
            mean = np.array([column.mean for column in self.columns])
            scale = np.array([column.scale for column in self.columns])
            return torch.from_numpy(_standardised(np.asarray(X, dtype=np.float64), mean, scale).astype(np.float32))
        if not isinstance(X, pd.DataFrame):
            X = pd.DataFrame(X, columns=[column.name for column in self.columns])
        check_dense_size((len(X), *self.shape), "X with its categories as one-hot columns", itemsize=4)
        parts = [column.encode(X.iloc[:, i]) for i, column in enumerate(self.columns)]
        return torch.from_numpy(np.concatenate(parts, axis=1))

    def network_input(self, batch: Tensor) -> Tensor:
        """Return a batch of `encode`'s tensor as it is."""
        return batch

    def decode(self, outputs: Tensor) -> np.ndarray | pd.DataFrame:
        """Return generated rows as an array of the user's type, or as a frame with the user's columns."""
        encoded = outputs.float().cpu().numpy().astype(np.float64)
        ends = np.cumsum([column.width for column in self.columns])
        blocks = np.split(encoded, ends[:-1], axis=1)
        pairs = list(zip(self.columns, blocks, strict=True))
        if not self.is_frame:
            return np.stack([column.decode(block) for column, block in pairs], axis=1)
        frame = pd.concat([column.decode_series(block) for column, block in pairs], axis=1)
        frame.columns = pd.Index([column.name for column in self.columns])
        return frame

    def check(self, X: Any) -> None:
        """Do nothing: scikit-learn's validation has compared the number and names of the columns."""

    def to_dict(self) -> dict[str, Any]:
        """Return the format as JSON-able values."""
        return {"kind": self.kind, **asdict(self)}

    @classmethod
    def learn(cls, X: Any) -> "TableFormat":
        """Learn the format of an array of numbers (n, d) or of a pandas frame with mixed columns."""
        if isinstance(X, pd.DataFrame):
            return cls([_learn_column(X.iloc[:, i]) for i in range(X.shape[1])], is_frame=True)
        return cls([_learn_numbers(X[:, i], X.dtype.name) for i in range(X.shape[1])], is_frame=False)


def _standardised(numbers: np.ndarray, mean: Any, scale: Any) -> np.ndarray:
    return (numbers - mean) / np.where(scale == 0, 1.0, scale)


def _learn_numbers(values: np.ndarray, number_dtype: str) -> Column:
    numbers = np.ascontiguousarray(values, dtype=np.float64)
    mean, scale = float(numbers.mean()), float(numbers.std())
    if scale <= 1e-12 * abs(mean):
        scale = 0.0
    low, high = float(numbers.min()), float(numbers.max())
    return Column(number_dtype, number_dtype, mean=mean, scale=scale, low=low, high=high)


def _learn_column(values: pd.Series) -> Column:
    dtype, name = values.dtype, values.name
    values = values.infer_objects()
    if pd.api.types.is_numeric_dtype(values.dtype) and not pd.api.types.is_bool_dtype(values.dtype):
        return replace(
            _learn_numbers(values.to_numpy(dtype=np.float64), _number_dtype(values.dtype)), dtype=str(dtype), name=name
        )
    levels = sorted(pd.unique(values.astype(object)).tolist(), key=lambda level: (str(type(level)), level))
    if isinstance(dtype, pd.CategoricalDtype):
        categories, ordered = dtype.categories.tolist(), bool(dtype.ordered)
        return Column(str(dtype), name=name, levels=levels, categories=categories, ordered=ordered)
    return Column(str(dtype), name=name, levels=levels)


def _number_dtype(dtype: Any) -> str:
    if isinstance(dtype, np.dtype):
        return dtype.name
    return "int64" if pd.api.types.is_integer_dtype(dtype) else "float64"


Format = ImageFormat | TableFormat


def learn_format(X: Any, *, image_shape: tuple[int, ...] | None = None, channels_last: bool = False) -> Format:
    """Return the format of validated data: images where X has four dimensions or an `image_shape` is given."""
    if not isinstance(X, pd.DataFrame) and (X.ndim == 4 or image_shape is not None):
        return ImageFormat.learn(X, image_shape=image_shape, channels_last=channels_last)
    return TableFormat.learn(X)


def format_from_dict(state: dict[str, Any]) -> Format:
    """Return the format that ``to_dict`` described."""
    state = dict(state)
    if state.pop("kind") == ImageFormat.kind:
        return ImageFormat(**{**state, "shape": tuple(state["shape"])})
    return TableFormat([Column(**column) for column in state["columns"]], is_frame=state["is_frame"])
