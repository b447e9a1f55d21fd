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

from latentover.tables.checks import warn_user
from latentover.tables.format import CategoricalFeatures, Clip, Constraints, Missing, Numbers, TableFormat
from latentover.tables.identifiers import NewIdentifiers
from latentover.tables.series import as_dtype

ImageLayout = Literal["channels_first", "channels_last", "rows"]

_FAR = 10
"""How many times the learned range values may lie beyond it: further away they are on another scale."""
_BEYOND = 0.1
_MANY_STEPS = 10
"""Of a range wider than this, values in 0..1 or -1..1 with decimals are a scale of their own."""


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

    def encode(self, X: np.ndarray, *, of_fit: bool = False) -> Tensor:
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

    def decode(self, outputs: Tensor, label: Any = None) -> np.ndarray:
        """Return generated images (n, c, h, w) in [0, 1] in the user's range, type and layout, of whatever class."""
        X = outputs.float().cpu().numpy().astype(np.float64) * (self.high - self.low) + self.low
        return self._laid_out(as_dtype(X, np.dtype(self.dtype), self.low, self.high))

    def _laid_out(self, X: np.ndarray) -> np.ndarray:
        """Return images (n, c, h, w) in the user's layout."""
        if self.layout == "rows":
            return X.reshape(len(X), -1)
        return np.moveaxis(X, 1, -1) if self.layout == "channels_last" else X

    def from_pixels(self, pixels: np.ndarray) -> np.ndarray:
        """Return the uint8 pixels (n, c, h, w) of files in the user's range, type and layout.

        Values that were observed within 0..255, some of 64 or more, are taken for the very values of files.
        """
        if self.dtype == "uint8":  # as they are, and without a copy in floats
            return self._laid_out(pixels)
        as_they_are = self.low >= 0 and 64 <= self.high <= 255
        low, high = (0, 255) if as_they_are else (self.low, self.high)
        return replace(self, low=low, high=high).decode(torch.from_numpy(pixels).float().div(255))

    def arranged(self, X: np.ndarray) -> np.ndarray:
        """Return images whose channels are on the other side than in fit, where that is plain, in the learned layout.

        A 3x32x32 model takes (n, 32, 32, 3) as well; all else comes back as it is.
        """
        first, last = self.shape, (*self.shape[1:], self.shape[0])
        if self.layout == "channels_first" and first != X.shape[1:] == last:
            return np.moveaxis(X, -1, 1)
        if self.layout == "channels_last" and last != X.shape[1:] == first:
            return np.moveaxis(X, 1, -1)
        return X

    def check(self, X: np.ndarray) -> None:
        """Raise ValueError unless X has the layout, the size and about the range of values that were learned.

        Warns
        -----
        UserWarning
            If values lie beyond the range, but not so far that they must be on another scale; and of 0 and 1 alone in
            a wider range.
        """
        expected = {
            "channels_first": self.shape,
            "channels_last": (*self.shape[1:], self.shape[0]),
            "rows": (int(np.prod(self.shape)),),
        }[self.layout]
        if X.shape[1:] != expected:
            raise ValueError(f"Expected X to hold samples of shape {expected}, as in fit, but got {X.shape[1:]}.")
        if X.size:
            self._check_range(X, float(X.min()), float(X.max()))

    def _check_range(self, X: np.ndarray, low: float, high: float) -> None:
        """Raise ValueError, or warn, where values from low to high are on another scale than those of fit."""
        width = self.high - self.low
        beyond = max(self.low - low, high - self.high) / width
        small = width > _MANY_STEPS and low >= -1 and high <= 1
        said = f"Expected X to have values in {self.low:g}..{self.high:g}, as in fit, but got {low:g}..{high:g}"
        if beyond > _FAR or (small and X.dtype.kind == "f" and (np.rint(X) != X).any()):
            raise ValueError(f"{said}; bring them to the scale of the images of fit.")
        if beyond > _BEYOND or (small and (low, high) == (0, 1)):
            warn_user(f"{said}; if they are on another scale, bring them to that of the images of fit.")

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


Format = ImageFormat | TableFormat


def learn_format(
    X: Any,
    *,
    image_shape: tuple[int, ...] | None = None,
    channels_last: bool = False,
    numbers: Numbers = "standard",
    categorical_features: CategoricalFeatures = "auto",
    identifiers: Any = "auto",
    new_identifiers: NewIdentifiers = "fresh",
    missing: Missing = "error",
    clip: Clip = "observed",
    constraints: Constraints = "none",
    weights: np.ndarray | None = None,
    labels: np.ndarray | None = None,
) -> Format:
    """Return the format of validated data: images where X has four dimensions or an `image_shape` is given.

    Parameters
    ----------
    X : array of shape (n, d), (n, c, h, w) or (n, h, w, c), or pandas frame
    image_shape : (c, h, w), optional
        Says that the rows of a two-dimensional X are images.
    channels_last : bool, default=False
        Whether images come as (n, h, w, c).
    numbers : {"scores", "standard"}, default="standard"
        Of a table: numbers and times by learned quantiles, as normal scores, with point masses as states of their own;
        or by mean and scale, heavy tails on an asinh scale. Numbers of a frame, and scores, come back in the steps that
        they had: whole numbers, decimals, multiples, or a few values with gaps.
    categorical_features : "auto", list of names, list of numbers, or mask, default="auto"
        Of a table: columns of numbers that are categories. Text, categories and booleans of a frame always are.
    identifiers : "auto", "none" or list of names, default="auto"
        Of a frame: the columns that name rows, of which nothing but the form is learned: those that look like it (see
        `latentover.tables.identifiers.is_identifier`), none, or these.
    new_identifiers : {"fresh", "missing"}, default="fresh"
        What new rows have there: values of the same form that no training row has, or missing ones.
    missing : {"error", "impute", "mask"}, default="error"
        What happens to missing values of a table: they are an error; the networks see the median (to three decimals of
        a score) or the most frequent level; or they are a state of their own, and what is generated has missing values
        too. Images have none.
    clip : {"observed", "none"}, (low, high) or dict of column to these, default="observed"
        What the numbers of generated rows of a table are clipped to: the range that was seen, no range but that of
        their type, or that one. A side that is None is open; columns that a dict does not name keep to the range that
        was seen, and so do dates and durations always.
    constraints : {"auto", "none"} or list of str, default="none"
        Of a frame: what follows exactly from what, which is not learned and holds in all generated rows; see
        `latentover.tables.dependencies.find_dependencies`.
    weights : ndarray of shape (n,), optional
        How many rows each row of a table stands for where quantiles are learned.
    labels : ndarray of shape (n,), optional
        Classes of the rows, for what is constant in one.

    Raises
    ------
    ValueError
        For a column that has no encoding, missing values that are not allowed, and settings that do not fit X.

    Examples
    --------
    >>> import pandas as pd
    >>> X = pd.DataFrame({"age": [20, 40, 61, 35], "town": ["Graz", "Linz", "Graz", "Linz"]})
    >>> known = learn_format(X)
    >>> known.shape, known.decode(known.encode(X)).equals(X)
    ((3,), True)
    """
    if missing not in ("error", "impute", "mask"):
        raise ValueError(f"Expected missing to be 'error', 'impute' or 'mask', but got {missing!r}.")
    if not isinstance(X, pd.DataFrame) and (X.ndim == 4 or image_shape is not None):
        return ImageFormat.learn(X, image_shape=image_shape, channels_last=channels_last)
    return TableFormat.learn(
        X,
        numbers=numbers,
        categorical_features=categorical_features,
        identifiers=identifiers,
        new_identifiers=new_identifiers,
        missing=missing,
        clip=clip,
        constraints=constraints,
        weights=weights,
        labels=labels,
    )


def format_from_dict(state: dict[str, Any]) -> Format:
    """Return the format that ``to_dict`` described."""
    state = dict(state)
    if state.pop("kind") == ImageFormat.kind:
        return ImageFormat(**{**state, "shape": tuple(state["shape"])})
    return TableFormat.from_dict(state)
