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

from latentover.displays.samples import SampleGridDisplay, laid_out, panels_of_methods
from latentover.files import write_whole
from latentover.report.grid import PAPER, minority_grid
from latentover.runs.reading import LABELS, Png
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
    grid = SampleGridDisplay.of_estimator(
        estimator, X, y, per_class=per_class, n_classes=n_classes, random_state=random_state, class_names=class_names
    )
    panels = {title: np.asarray(images) for title, images in grid.panels.items()}
    buffer = io.BytesIO()
    arrays: dict[str, Any] = {LABELS: grid.row_labels, **{name: x.astype(np.float16) for name, x in panels.items()}}
    np.savez_compressed(buffer, **arrays)
    write_whole(Path(path).with_suffix(".npz"), buffer.getvalue())
    return write_whole(path, png_bytes(minority_grid(panels, grid.row_labels)))


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
    panels = panels_of_methods(grids, per_class)
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
    picture = Image.fromarray(np.ascontiguousarray(laid_out(images)))
    return Png(png_bytes(picture), picture.width, picture.height)


def png_bytes(picture: Image.Image) -> bytes:
    """Return the picture as a PNG file."""
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()
