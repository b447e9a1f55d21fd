"""Images in folders, one folder a class.

Pixels are decoded when they are asked for: of a large folder of which an imbalance profile keeps a part, only that
part is read.
"""

import os
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from latentover.data.source import Source

if TYPE_CHECKING:
    from PIL.Image import Image

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".tif", ".tiff"})

_GREY_MODES = frozenset({"1", "L", "LA"})
_COLOUR_MODES = frozenset({"RGB", "RGBA", "RGBX", "P", "PA", "CMYK", "YCbCr", "HSV", "LAB"})
_FILES_A_TASK = 64


class ImageFiles:
    """Image files of one shape, decoded when indexed.

    Parameters
    ----------
    paths : sequence of Path
        The files.
    image_shape : tuple of (int, int, int)
        Channels (1: grey, 3: colour), height and width every image is given.

    Examples
    --------
    >>> files[np.array([0, 5, 7])].shape  # doctest: +SKIP
    (3, 3, 32, 32)
    """

    def __init__(self, paths: Sequence[Path], image_shape: tuple[int, int, int]) -> None:
        self.paths = list(paths)
        self.shape = (len(self.paths), *image_shape)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, indices: NDArray[np.intp]) -> NDArray[np.uint8]:
        """Decode the chosen files into one uint8 array of shape (n, channels, height, width).

        Raises
        ------
        ValueError
            If a file cannot be decoded; the message names it.
        """
        paths = [self.paths[index] for index in indices]
        _, channels, height, width = self.shape
        images = np.empty((len(paths), channels, height, width), dtype=np.uint8)

        def decode(positions: range) -> None:
            for position in positions:
                pixels = _decode(paths[position], "L" if channels == 1 else "RGB", (width, height))
                images[position] = pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)

        for _ in _in_threads(decode, len(paths)):
            pass
        return images


def open_images(*groups: Sequence[Path], image_size: Sequence[int] | None = None) -> list[ImageFiles]:
    """Read the headers of groups of image files, and give all of them one shape.

    Files of Pillow's modes 1, L and LA are grey; if all files are grey the images have one channel, otherwise three
    (RGB). Files with a palette (GIF) count as colour. An alpha channel is left out, of animations the first frame is
    read, and EXIF orientation is not applied.

    Parameters
    ----------
    *groups : sequences of Path
        For example the files of the training and of the test split.
    image_size : sequence of (height, width), optional
        Size all images are given (bilinear, antialiased). None: they must be of one size already.

    Returns
    -------
    list of ImageFiles
        One for each group.

    Raises
    ------
    ValueError
        If sizes differ and ``image_size`` is None, a file is no image, or it has more than 8 bits a channel.
    """
    paths = [path for group in groups for path in group]
    headers = [
        header
        for chunk in _in_threads(lambda chunk: [_header(paths[i]) for i in chunk], len(paths))
        for header in chunk
    ]
    if image_size is None:
        image_size = _common_size(paths, [size for _, size in headers])
    channels = 1 if all(mode in _GREY_MODES for mode, _ in headers) else 3
    return [ImageFiles(group, (channels, image_size[0], image_size[1])) for group in groups]


def read_folder(root: str | Path, image_size: Sequence[int] | None = None) -> Source:
    """Find the images of a folder of class folders.

    Parameters
    ----------
    root : str or Path
        Either ``root/train/<class>/*`` with or without ``root/test/<class>/*``, or ``root/<class>/*``. Class folders
        may hold further folders. Hidden files and files without an image suffix are passed over, as are folders
        beside ``train`` and ``test``.
    image_size : sequence of (height, width), optional
        Size the images are given; None: they must be of one size already.

    Returns
    -------
    Source
        ``X`` is an :class:`ImageFiles`, ``y`` holds the names of the class folders. Classes and files are sorted by
        name.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    ValueError
        If there are no or fewer than two class folders, one of them is empty, the test split has a class that the
        training split lacks, or as for :func:`open_images`.

    Examples
    --------
    >>> import tempfile
    >>> from PIL import Image
    >>> folder = Path(tempfile.mkdtemp())
    >>> for name in ["cat", "dog"]:
    ...     (folder / name).mkdir()
    ...     Image.new("RGB", (8, 6)).save(folder / name / "1.png")
    >>> source = read_folder(folder)
    >>> source.X.shape, source.y.tolist()
    ((2, 3, 6, 8), ['cat', 'dog'])
    """
    root = Path(root).resolve()
    if not root.is_dir():
        raise FileNotFoundError(f"Expected a folder of images, but got {root}, which is not a folder.")
    has_split = (root / "train").is_dir() and bool(_subfolders(root / "train"))
    train = find_images(root / "train" if has_split else root)
    if not has_split or not (root / "test").is_dir():
        paths, y = _flatten(train)
        (X,) = open_images(paths, image_size=image_size)
        return Source(root.name, X, y)

    test = find_images(root / "test", at_least=1)
    unknown = sorted(test.keys() - train.keys())
    if unknown:
        raise ValueError(
            f"Expected the classes of {root / 'test'} to be among those of {root / 'train'}, but got {unknown} "
            "besides; rename or remove those folders, or add training images of them."
        )
    paths, y = _flatten(train)
    test_paths, y_test = _flatten(test)
    X, X_test = open_images(paths, test_paths, image_size=image_size)
    return Source(root.name, X, y, X_test, y_test)


def find_images(folder: Path, at_least: int = 2, only: Collection[str] | None = None) -> dict[str, list[Path]]:
    """Image files of every class folder, or of those in ``only``, classes and files sorted by name.

    Raises
    ------
    ValueError
        If there are fewer than ``at_least`` of these folders, or one of them has no image.
    """
    chosen = [path for path in _subfolders(folder) if only is None or path.name in only]
    found = {path.name: _images_below(path) for path in chosen}
    if not found:
        raise ValueError(
            f"Expected {folder} to hold one folder of images for each class, but got no folders in it; put the images "
            "of every class into a folder named for the class."
        )
    if len(found) < at_least:
        raise ValueError(
            f"Expected {folder} to hold at least {at_least} class folders, but got only {next(iter(found))!r}; "
            "point to the folder above, or add a second class."
        )
    for name, files in found.items():
        if not files:
            raise ValueError(
                f"Expected every class folder of {folder} to hold images ({', '.join(sorted(IMAGE_SUFFIXES))}), but "
                f"got none in {name!r}; add images, or remove the folder."
            )
    return found


def _subfolders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _images_below(folder: Path) -> list[Path]:
    files = (path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
    shown = (path for path in files if not any(part.startswith(".") for part in path.relative_to(folder).parts))
    return sorted((path for path in shown if path.is_file()), key=lambda path: path.relative_to(folder).as_posix())


def _flatten(found: dict[str, list[Path]]) -> tuple[list[Path], NDArray[np.str_]]:
    paths = [path for files in found.values() for path in files]
    return paths, np.repeat(list(found), [len(files) for files in found.values()])


def _common_size(paths: Sequence[Path], sizes: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """(height, width) that all images share; ``sizes`` are Pillow's (width, height)."""
    width, height = sizes[0]
    for path, (other_width, other_height) in zip(paths, sizes, strict=True):
        if (other_width, other_height) != (width, height):
            raise ValueError(
                f"Expected images of one size, but got {height}x{width} (height x width) in {paths[0]} and "
                f"{other_height}x{other_width} in {path}; set `image_size`, for example to [{height}, {width}], to "
                "resize all of them."
            )
    return height, width


def _header(path: Path) -> tuple[str, tuple[int, int]]:
    """Mode and (width, height) of an image file, without decoding its pixels."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            mode, size = image.mode, image.size
    except Exception as error:  # decoders raise many types, from OSError to struct.error
        raise _unreadable(path, error) from error
    if mode not in _GREY_MODES | _COLOUR_MODES:
        raise ValueError(
            f"Expected images of 8 bits a channel, but got Pillow mode {mode!r} in {path}; convert the file to 8 bits, "
            "with the range of grey levels that suits it."
        )
    return mode, size


def _decode(path: Path, mode: str, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Pixels of one file: (height, width) for mode "L", (height, width, 3) for "RGB"; ``size`` is (width, height)."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            if image.size != size:
                image.draft(None, size)  # JPEG: decode no more than needed, which makes large photographs much faster
            return np.asarray(_converted(image, mode, size))
    except Exception as error:
        raise _unreadable(path, error) from error


def _converted(image: "Image", mode: str, size: tuple[int, int]) -> "Image":
    from PIL import Image

    plain: Image.Image = image
    if image.mode in ("P", "PA"):
        plain = image.convert("RGBA")  # transparency of a palette has to be unfolded before it is left out
    if plain.mode != mode:
        plain = plain.convert(mode)
    return plain if plain.size == size else plain.resize(size, Image.Resampling.BILINEAR)


def _unreadable(path: Path, error: Exception) -> ValueError:
    return ValueError(
        f"Expected {path} to be a readable image, but got {type(error).__name__}: {error}; replace or remove the file."
    )


def _in_threads(function: Callable[[range], Any], n_items: int) -> Iterator[Any]:
    """Call ``function`` on consecutive ranges that cover ``n_items``; Pillow decodes outside Python's lock."""
    ranges = [range(start, min(start + _FILES_A_TASK, n_items)) for start in range(0, n_items, _FILES_A_TASK)]
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        yield from pool.map(function, ranges)
