"""Pictures of samples, drawn with Pillow alone: the same arrays give the same bytes."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw, ImageFont

from latentover.text import line

__all__ = ["image_grid", "minority_grid"]

TILE = 44  # pixels of a tile's longer side, about
GAP = 3  # between tiles
GROUP_GAP = 22  # between panels
MARGIN = 16
PAPER, INK, FAINT = (255, 255, 255), (32, 36, 44), (226, 229, 233)
TITLE_SIZE, LABEL_SIZE, LINE = 15, 14, 18
LABEL_LETTERS = 24  # longer row labels are wrapped, onto three lines


def image_grid(images: ArrayLike, columns: int, scale: int | None = None) -> Image.Image:
    """Lay images out in rows.

    Parameters
    ----------
    images : array-like of shape (n, channels, height, width)
        uint8 in 0..255 or float in [0, 1]; 1 or 3 channels. An image that is ``nan`` throughout leaves an empty place.
    columns : int
        Images a row, at least 1.
    scale : int, optional
        Screen pixels a pixel. By default such that a tile is about 44 pixels wide.

    Returns
    -------
    PIL.Image.Image
        Mode RGB.

    Raises
    ------
    ValueError
        If *images*, *columns* or *scale* are not as described.

    Examples
    --------
    >>> import numpy as np
    >>> from latentover.report import image_grid
    >>> image_grid(np.zeros((5, 1, 8, 8)), columns=3, scale=4).size
    (108, 73)
    """
    tiles = _to_rgb(images, "images")
    if columns < 1:
        raise ValueError(f"Expected *columns* to be at least 1, but got {columns}; 8 or 10 read well.")
    scale = _scale(tiles[0].shape, scale)
    width, height = tiles[0].shape[1] * scale, tiles[0].shape[0] * scale
    columns = min(columns, len(tiles))
    rows = -(-len(tiles) // columns)
    canvas = Image.new("RGB", (columns * (width + GAP) + GAP, rows * (height + GAP) + GAP), PAPER)
    for i, tile in enumerate(tiles):
        _paste(canvas, tile, GAP + i % columns * (width + GAP), GAP + i // columns * (height + GAP), scale)
    return canvas


def _to_rgb(images: ArrayLike, name: str) -> list[NDArray]:
    """Return n tiles (height, width, 3) in uint8; a tile of ``nan`` becomes an array with no channel."""
    array = np.asarray(images)
    if array.ndim != 4 or array.size == 0 or array.shape[1] not in (1, 3):
        raise ValueError(
            f"Expected *{name}* to be images of shape (n, 1 or 3 channels, height, width), but got {array.shape}; "
            "put the channels second."
        )
    if array.dtype != np.uint8:
        low, high = (np.nanmin(array), np.nanmax(array)) if not np.isnan(array).all() else (0.0, 1.0)
        if low < -1e-6 or high > 1 + 1e-6:
            raise ValueError(
                f"Expected *{name}* to be uint8 or float in [0, 1], but got {array.dtype} "
                f"in [{low:.4g}, {high:.4g}]; rescale it."
            )
    return [_tile(image) for image in array]


def _tile(image: NDArray) -> NDArray[np.uint8]:
    if image.dtype != np.uint8:
        if np.isnan(image).all():
            return np.empty((*image.shape[1:], 0), np.uint8)
        image = np.rint(np.nan_to_num(image).clip(0, 1) * 255).astype(np.uint8)
    return np.broadcast_to(image.transpose(1, 2, 0), (*image.shape[1:], 3))


def _scale(shape: tuple[int, ...], scale: int | None) -> int:
    if scale is None:
        return max(1, round(TILE / max(shape[:2])))
    if scale < 1:
        raise ValueError(f"Expected *scale* to be at least 1, but got {scale}; leave it out to have it chosen.")
    return int(scale)


def _paste(canvas: Image.Image, tile: NDArray, left: int, top: int, scale: int) -> None:
    height, width = tile.shape[0] * scale, tile.shape[1] * scale
    if tile.shape[2] == 0:
        ImageDraw.Draw(canvas).rectangle((left, top, left + width - 1, top + height - 1), outline=FAINT)
        return
    picture = Image.fromarray(np.ascontiguousarray(tile)).resize((width, height), Image.Resampling.NEAREST)
    canvas.paste(picture, (left, top))


def minority_grid(panels: Mapping[str, ArrayLike], row_labels: Sequence[str]) -> Image.Image:
    """Rows of classes, columns of panels: what is real beside what is made.

    Parameters
    ----------
    panels : mapping of str to array-like of shape (n_classes, k, channels, height, width)
        Title to images, from left to right; uint8 or float in [0, 1]. All have the same classes and image size; ``k``
        may differ. An image that is ``nan`` throughout leaves an empty place.
    row_labels : sequence of n_classes str
        Written before each row, such as ``"9 (n=40)"``; long ones are wrapped and cut.

    Returns
    -------
    PIL.Image.Image
        Mode RGB; small images are enlarged with hard pixel edges.

    Raises
    ------
    ValueError
        If the panels do not fit together or to the labels.

    Examples
    --------
    >>> import numpy as np
    >>> from latentover.report import minority_grid
    >>> real = np.zeros((2, 3, 1, 8, 8), dtype=np.uint8)
    >>> minority_grid({"Real": real, "Synthetic": real + 255}, ["8 (n=60)", "9 (n=40)"]).mode
    'RGB'
    """
    tiles = _panel_tiles(panels, row_labels)
    title_font, label_font = ImageFont.load_default(size=TITLE_SIZE), ImageFont.load_default(size=LABEL_SIZE)
    labels = [textwrap.wrap(line(label, 3 * LABEL_LETTERS - 8), LABEL_LETTERS) or [""] for label in row_labels]
    first = next(iter(tiles.values()))[0][0]
    scale = _scale(first.shape, None)
    tile_width, tile_height = first.shape[1] * scale, first.shape[0] * scale

    label_width = max(_width(label_font, text) for label in labels for text in label)
    lefts, left = [], MARGIN + label_width + 14
    for title, rows in tiles.items():
        lefts.append(left)
        left += max(len(rows[0]) * (tile_width + GAP) - GAP, _width(title_font, title)) + GROUP_GAP
    middles, top = [], MARGIN + LINE + 8
    for label in labels:
        height = max(tile_height, len(label) * LINE)
        middles.append(top + height / 2)
        top += height + GAP + 3
    canvas = Image.new("RGB", (left - GROUP_GAP + MARGIN, top - GAP - 3 + MARGIN), PAPER)

    draw = ImageDraw.Draw(canvas)
    for (title, rows), left in zip(tiles.items(), lefts, strict=True):
        draw.text((left, MARGIN), title, fill=INK, font=title_font)
        for row, middle in zip(rows, middles, strict=True):
            for i, tile in enumerate(row):
                _paste(canvas, tile, left + i * (tile_width + GAP), int(middle - tile_height / 2), scale)
    for label, middle in zip(labels, middles, strict=True):
        for i, text in enumerate(label):
            y = middle + (i - (len(label) - 1) / 2) * LINE
            draw.text((MARGIN + label_width, y), text, fill=INK, font=label_font, anchor="rm")
    return canvas


def _width(font: Any, text: str) -> int:
    left, _, right, _ = font.getbbox(text)
    return int(np.ceil(right - min(left, 0))) + 1


def _panel_tiles(panels: Mapping[str, ArrayLike], row_labels: Sequence[str]) -> dict[str, list[list[NDArray]]]:
    """Check the panels; tiles[title][row][column] of shape (height, width, 3)."""
    if not panels:
        raise ValueError("Expected *panels* to be one panel or more, but got none; pass a mapping of title to images.")
    tiles, sizes = {}, set()
    for title, images in panels.items():
        array = np.asarray(images)
        if array.ndim != 5 or len(array) != len(row_labels):
            raise ValueError(
                f"Expected *panels[{title!r}]* to be of shape ({len(row_labels)} classes, k, channels, height, width), "
                f"but got {array.shape}; pass one row of images for each of *row_labels*."
            )
        flat = _to_rgb(array.reshape(-1, *array.shape[2:]), f"panels[{title!r}]")
        k = array.shape[1]
        tiles[str(title)] = [flat[i : i + k] for i in range(0, len(flat), k)]
        sizes.add(array.shape[3:])
    if len(sizes) > 1:
        raise ValueError(f"Expected *panels* to be of one image size, but got {sorted(sizes)}; resize them first.")
    return tiles
