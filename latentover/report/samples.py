"""The picture people look at first: real and synthetic images of the rarest classes, side by side."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from latentover.files import write_whole
from latentover.report.grid import PAPER, minority_grid
from latentover.runs.reading import LABELS, Png
from latentover.seeds import as_random_state
from latentover.text import line

if TYPE_CHECKING:
    from numpy.random import RandomState

__all__ = ["native_panels", "save_minority_grid", "side_by_side"]

METHODS_A_BAND = 5
"""As many as fit into the width of a page."""
PANEL_ORDER = ("Real", "Synthetic", "Nearest real", "Reconstruction")


def save_minority_grid(
    estimator: Any,
    X: ArrayLike,
    y: ArrayLike,
    path: str | Path,
    *,
    per_class: int = 4,
    n_classes: int = 10,
    random_state: int | RandomState | None = 0,
    class_names: Mapping[Any, str] | None = None,
) -> Path:
    """Write a picture of the smallest classes: real, reconstructed, synthetic, and the real image nearest to it.

    The last panel shows at a glance whether the samples are new or copies.

    Parameters
    ----------
    estimator : object
        Fitted; has ``sample(n, y=c, random_state=...)``, which returns images in the layout of *X*, and may have
        ``reconstruct(X)``; without it that panel is left out.
    X : array-like of shape (n, channels, height, width)
        The training images: uint8, or float of any range. 1 or 3 channels.
    y : array-like of shape (n,)
        Their labels.
    path : str or Path
        The PNG file to write. It appears only when it is complete.
    per_class : int, default=4
        Images a class and panel. A class with fewer real images shows those it has.
    n_classes : int, default=10
        How many classes, the smallest ones; they are shown by rising count.
    random_state : int, RandomState or None, default=0
        Picks the real images and is handed to ``sample``; the same seed gives the same bytes.
    class_names : mapping of label to str, optional
        What the rows are called, where that is not the label.

    Returns
    -------
    Path
        *path*. Beside it lies a ``.npz`` of the same name with the panels, for the report to show methods together.

    Raises
    ------
    ValueError
        If *X*, *y*, *per_class* or *n_classes* are not as described, or ``sample`` returns another shape.
    """
    X, y = np.asarray(X), np.asarray(y)
    _check_data(X, y, per_class, n_classes)
    rng = as_random_state(random_state)
    limits = _limits(X)
    labels, counts = np.unique(y, return_counts=True)
    order = np.argsort(counts, kind="stable")[:n_classes]
    rows = []
    for label in labels[order]:
        row = _class_row(estimator, X[y == label], label, per_class, rng)
        rows.append({title: _unit(images, limits, per_class) for title, images in row.items()})
    panels = {title: np.stack([row[title] for row in rows]) for title in rows[0]}
    names = [(class_names or {}).get(label, label) for label in labels.tolist()]
    row_labels = [f"{names[i]} (n={counts[i]})" for i in order]
    buffer = io.BytesIO()
    arrays: dict[str, Any] = {LABELS: row_labels, **{name: x.astype(np.float16) for name, x in panels.items()}}
    np.savez_compressed(buffer, **arrays)
    write_whole(Path(path).with_suffix(".npz"), buffer.getvalue())
    return write_whole(path, png_bytes(minority_grid(panels, row_labels)))


def side_by_side(
    grids: Mapping[str, tuple[Mapping[str, ArrayLike], Sequence[str]]], *, per_class: int = 3
) -> Image.Image | None:
    """Draw what several methods made of the same classes in one picture, beside the real images of the first.

    Up to `METHODS_A_BAND` stand side by side; more make further bands below, each with the real images again.

    Parameters
    ----------
    grids : mapping of str to (panels, row labels)
        Title of the method to its panels, with "Real" and "Synthetic" among them.
    per_class : int, default=3
        Images a class and method, at most.

    Returns
    -------
    PIL.Image.Image or None
        None where fewer than two methods made images of the same classes and size.
    """
    _, labels = next(iter(grids.values()), ({}, []))
    panels: dict[str, NDArray] = {}
    for title, (of_method, row_labels) in grids.items():
        real, synthetic = (np.asarray(of_method[name])[:, :per_class] for name in ("Real", "Synthetic"))
        panels.setdefault("Real", real)
        if list(row_labels) == list(labels) and synthetic.shape[2:] == panels["Real"].shape[2:]:
            panels[title] = synthetic
    if len(panels) < 3:
        return None
    first, *methods = panels.items()
    n_bands = math.ceil(len(methods) / METHODS_A_BAND)
    per_band = math.ceil(len(methods) / n_bands)
    bands = [minority_grid(dict([first, *methods[i * per_band : (i + 1) * per_band]]), labels) for i in range(n_bands)]
    canvas = Image.new("RGB", (max(band.width for band in bands), sum(band.height for band in bands)), PAPER)
    for i, band in enumerate(bands):
        canvas.paste(band, (0, sum(above.height for above in bands[:i])))
    return canvas


def native_panels(panels: Mapping[str, NDArray], row_labels: Sequence[str]) -> dict[str, Any]:
    """Return the panels of a grid as pictures of their own pixels, which a page shows as large as it has room.

    Parameters
    ----------
    panels : mapping of str to ndarray of shape (n_classes, k, channels, height, width)
        In [0, 1], empty places ``nan``; "Real" and "Synthetic" among them.
    row_labels : sequence of n_classes str

    Returns
    -------
    dict
        ``labels``, and ``panels``: from the title to a `Png` with one row a class, real images first, then the
        synthetic ones and what lies nearest to them.
    """
    order = sorted(panels, key=lambda title: (*PANEL_ORDER, title).index(title))
    return {
        "labels": [line(label, 24) for label in row_labels],
        "panels": {title: _native(np.asarray(panels[title], np.float32)) for title in order},
    }


def _native(images: NDArray) -> Png:
    """Lay images out with a little room behind and below each; room and empty places are transparent."""
    n, k, channels, height, width = images.shape
    room = max(1, min(height, width) // 10)
    pixels = np.zeros((n, k, channels + 1, height + room, width + room), np.uint8)
    pixels[:, :, :channels, :height, :width] = np.rint(255 * np.nan_to_num(images))
    pixels[:, :, channels, :height, :width] = 255 * ~np.isnan(images).all(axis=2)
    flat = pixels.transpose(0, 3, 1, 4, 2).reshape(n * (height + room), k * (width + room), channels + 1)
    picture = Image.fromarray(np.ascontiguousarray(flat))
    return Png(png_bytes(picture), picture.width, picture.height)


def png_bytes(picture: Image.Image) -> bytes:
    """Return the picture as a PNG file."""
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def _check_data(X: NDArray, y: NDArray, per_class: int, n_classes: int) -> None:
    if X.ndim != 4 or X.shape[1] not in (1, 3) or X.size == 0:
        raise ValueError(
            f"Expected *X* to be images of shape (n, 1 or 3 channels, height, width), but got {X.shape}; "
            "put the channels second."
        )
    if y.shape != (len(X),):
        raise ValueError(f"Expected *y* to be of shape ({len(X)},), but got {y.shape}; pass one label an image.")
    for name, value in (("per_class", per_class), ("n_classes", n_classes)):
        if value < 1:
            raise ValueError(f"Expected *{name}* to be at least 1, but got {value}; the default is a good start.")


def _class_row(estimator: Any, real: NDArray, label: Any, per_class: int, rng: RandomState) -> dict[str, NDArray]:
    """Images of one class for each panel, in the range of the data."""
    chosen = real[rng.permutation(len(real))[:per_class]]
    row = {"Real": chosen}
    if hasattr(estimator, "reconstruct"):
        row["Reconstruction"] = _images_like(estimator.reconstruct(chosen), chosen.shape, "estimator.reconstruct(X)")
    drawn = estimator.sample(per_class, y=label, random_state=int(rng.randint(2**31 - 1)))
    row["Synthetic"] = _images_like(drawn, (per_class, *real.shape[1:]), "estimator.sample(n, y=c)")
    row["Nearest real"] = real[_nearest(row["Synthetic"], real)]
    return row


def _images_like(images: ArrayLike, shape: tuple[int, ...], name: str) -> NDArray:
    array = np.asarray(images)
    if array.shape != shape:
        raise ValueError(
            f"Expected *{name}* to be images of shape {shape}, but got {array.shape}; return them in the layout of X."
        )
    return array


def _nearest(images: NDArray, real: NDArray) -> NDArray[np.intp]:
    """Index of the real image with the smallest Euclidean pixel distance to each image."""
    flat = real.reshape(len(real), -1).astype(np.float64)
    return np.array([np.argmin(((flat - image.ravel()) ** 2).sum(axis=1)) for image in images])


def _limits(X: NDArray) -> tuple[float, float]:
    """What is shown black and white: 0..255 for uint8, 0..1 for floats within it, else the range of the data."""
    if X.dtype == np.uint8:
        return 0.0, 255.0
    low, high = float(X.min()), float(X.max())
    if X.dtype.kind == "f" and low >= 0 and high <= 1:
        return 0.0, 1.0
    return low, max(high, low + 1e-12)


def _unit(images: NDArray, limits: tuple[float, float], per_class: int) -> NDArray[np.float64]:
    """Scale to [0, 1], clip, and fill up with empty places to *per_class* images."""
    low, high = limits
    unit = ((images.astype(np.float64) - low) / (high - low)).clip(0, 1)
    empty = np.full((per_class - len(unit), *unit.shape[1:]), np.nan)
    return np.concatenate([unit, empty])
