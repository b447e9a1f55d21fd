"""Pixels of single image files: size and channels, which way up, and what cannot be read.

Every part of the package that opens an image does it here, so that a photo is brought to a model's size and channels in
one way, when it is trained on, predicted, or given in Python.
"""

import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL.Image import Image

Picture = Any
"""A path, or an image of Pillow."""

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".tif", ".tiff"})

_GREY_MODES = frozenset({"1", "L", "LA"})
_COLOUR_MODES = frozenset({"RGB", "RGBA", "RGBX", "P", "PA", "CMYK", "YCbCr", "HSV", "LAB"})
_FILES_A_TASK = 64
_ORIENTATION = 0x0112
"""EXIF's tag for how a camera was held."""
_SIDEWAYS = frozenset({5, 6, 7, 8})
"""Values of it by which height and width change places."""
_LARGE_PIXELS = 2**24
_one_large = threading.Lock()
"""Held while an image of more than `_LARGE_PIXELS` is decoded: one scan at a time is in memory, not one a thread."""


class Header(NamedTuple):
    """What a file says of its image before its pixels are decoded.

    Attributes
    ----------
    mode : str
        Pillow's.
    size : tuple of (width, height)
        As the image is seen, after the turn.
    turned : bool
        Whether EXIF says that the camera was not held upright.
    """

    mode: str
    size: tuple[int, int]
    turned: bool


class ImageFiles:
    """Images of one shape, decoded when indexed.

    Parameters
    ----------
    pictures : sequence of Path or PIL.Image.Image
        The files.
    image_shape : tuple of (int, int, int)
        Channels (1: grey, 3: colour), height and width every image is given.
    n_turned : int, default=0
        How many of them are known to be turned upright, as EXIF says.
    sizes : Counter of (height, width), optional
        How many have which size in their files, as far as that is known.

    Examples
    --------
    >>> files[np.array([0, 5, 7])].shape  # doctest: +SKIP
    (3, 3, 32, 32)
    """

    def __init__(
        self,
        pictures: Sequence[Picture],
        image_shape: tuple[int, int, int],
        n_turned: int = 0,
        sizes: Counter[tuple[int, int]] | None = None,
    ) -> None:
        self.pictures = list(pictures)
        self.shape = (len(self.pictures), *image_shape)
        self.n_turned = n_turned
        self.sizes = Counter[tuple[int, int]]() if sizes is None else sizes

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, indices: NDArray[np.intp]) -> NDArray[np.uint8]:
        """Decode the chosen files into one uint8 array of shape (n, channels, height, width).

        Raises
        ------
        ValueError
            If a file cannot be decoded; the message names it.
        """
        pictures = [self.pictures[index] for index in indices]
        _, channels, height, width = self.shape
        images = np.empty((len(pictures), channels, height, width), dtype=np.uint8)

        def decode(positions: range) -> None:
            for position in positions:
                pixels = _decode(pictures[position], "L" if channels == 1 else "RGB", (width, height))
                images[position] = pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)

        for _ in _in_threads(decode, len(pictures)):
            pass
        return images


def open_images(*groups: Sequence[Picture], image_size: Sequence[int] | None = None) -> list[ImageFiles]:
    """Read the headers of groups of image files, and give all of them one shape.

    Files of Pillow's modes 1, L and LA are grey; if all files are grey the images have one channel, otherwise three
    (RGB). Files with a palette (GIF) count as colour. An alpha channel is left out, of animations the first frame is
    read, and photos are turned upright as EXIF says.

    Parameters
    ----------
    *groups : sequences of Path or PIL.Image.Image
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
    pictures = [picture for group in groups for picture in group]
    headers = [
        header
        for chunk in _in_threads(lambda chunk: [_header(pictures[i]) for i in chunk], len(pictures))
        for header in chunk
    ]
    if image_size is None:
        image_size = _common_size(pictures, [header.size for header in headers])
    channels = 1 if all(header.mode in _GREY_MODES for header in headers) else 3
    shape = (channels, image_size[0], image_size[1])
    opened, left = [], iter(headers)
    for group in groups:
        own = [next(left) for _ in group]
        sizes = Counter((header.size[1], header.size[0]) for header in own)
        opened.append(ImageFiles(group, shape, sum(header.turned for header in own), sizes))
    return opened


def are_pictures(X: Any) -> bool:
    """Whether X is a list, tuple or one-dimensional array of paths and images of Pillow, and nothing else."""
    if isinstance(X, np.ndarray):
        if X.ndim != 1 or X.dtype.kind not in "OU":
            return False
    elif not isinstance(X, list | tuple):
        return False
    return len(X) > 0 and all(map(is_picture, X))


def is_picture(item: Any) -> bool:
    """Whether something is a path, or an image of Pillow."""
    if isinstance(item, str | os.PathLike):
        return True
    return type(item).__module__.split(".")[0] == "PIL" and hasattr(item, "getbands")


def list_images(folder: Path) -> tuple[list[Path], Counter[str]]:
    """Return the image files of a folder and all below it, by name, and what was passed over.

    Links to folders are followed, after the folders themselves, and each folder is read once: links in a circle end
    where they began.

    Parameters
    ----------
    folder : Path

    Returns
    -------
    files : list of Path
        Sorted by their path below `folder`.
    passed_over : Counter
        How many files had ``"hidden"`` names, and how many which other ending.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> for name in ["b.jpg", "a.PNG", "notes.txt", ".DS_Store"]:
    ...     (folder / name).touch()
    >>> files, passed_over = list_images(folder)
    >>> [file.name for file in files], sorted(passed_over.items())
    (['a.PNG', 'b.jpg'], [('.txt', 1), ('hidden', 1)])
    """
    found: list[Path] = []
    passed_over: Counter[str] = Counter()
    for place, names in _walk(folder):
        for name in names:
            suffix = Path(name).suffix.lower()
            if name.startswith("."):
                passed_over["hidden"] += 1
            elif suffix not in IMAGE_SUFFIXES:
                passed_over[suffix or "no ending"] += 1
            elif (path := Path(place, name)).is_file():
                found.append(path)
    return sorted(found, key=lambda path: path.relative_to(folder).as_posix()), passed_over


def _walk(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield each folder below one, itself first, with the names of its files; hidden folders are left out."""
    seen, waiting = {os.path.realpath(folder)}, [folder]
    while waiting:
        links: list[Path] = []
        for place, folders, files in os.walk(waiting.pop(0)):
            yield place, files
            inner = [Path(place, name) for name in sorted(folders) if not name.startswith(".")]
            links += [path for path in inner if path.is_symlink()]
            new = [path for path in inner if not path.is_symlink() and os.path.realpath(path) not in seen]
            seen.update(map(os.path.realpath, new))
            folders[:] = [path.name for path in new]
        for path in links:
            if (real := os.path.realpath(path)) not in seen:
                seen.add(real)
                waiting.append(path)


def in_words(passed_over: Counter[str]) -> list[str]:
    """Return what `list_images` passed over, as words for a list; ``"outside"`` are images outside of class folders.

    Examples
    --------
    >>> in_words(Counter({".txt": 2, ".db": 1, "hidden": 1}))
    ['3 files of other endings (.db, .txt)', '1 hidden file']
    """
    others = sorted(passed_over.keys() - {"hidden", "outside"})
    counts = [
        (sum(passed_over[ending] for ending in others), "file", f" of other endings ({', '.join(others)})"),
        (passed_over["hidden"], "hidden file", ""),
        (passed_over["outside"], "image", " outside of class folders"),
    ]
    return [f"{n:,} {what}{'' if n == 1 else 's'}{more}" for n, what, more in counts if n]


def _common_size(pictures: Sequence[Picture], sizes: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """(height, width) that all images share; ``sizes`` are Pillow's (width, height)."""
    width, height = sizes[0]
    for picture, (other_width, other_height) in zip(pictures, sizes, strict=True):
        if (other_width, other_height) != (width, height):
            raise ValueError(
                f"Expected images of one size, but got {height}x{width} (height x width) in {_name(pictures[0])} and "
                f"{other_height}x{other_width} in {_name(picture)}; set `image_size`, for example to "
                f"[{height}, {width}], or an estimator's image_shape to (channels, height, width), to resize all."
            )
    return height, width


def _header(picture: Picture) -> Header:
    """Mode, size and turn of an image file, without decoding its pixels."""
    with _opened(picture) as image:
        orientation = _orientation(image)
        width, height = image.size
        size = (height, width) if orientation in _SIDEWAYS else (width, height)
        return Header(image.mode, size, orientation != 1)


def _decode(picture: Picture, mode: str, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Pixels of one file: (height, width) for mode "L", (height, width, 3) for "RGB"; ``size`` is (width, height)."""
    with _opened(picture) as image:
        orientation = _orientation(image)
        lying = size[::-1] if orientation in _SIDEWAYS else size
        if image.size != lying and image is not picture:  # what somebody has opened stays as it is
            image.draft(None, lying)  # JPEG: decode no more than needed, which makes large photographs much faster
        large = image.size[0] * image.size[1] > _LARGE_PIXELS
        with _one_large if large else nullcontext():
            return np.asarray(_upright(_converted(image, mode, lying), orientation))


@contextmanager
def _opened(picture: Picture) -> Iterator["Image"]:
    """Open a file, or take an image of Pillow as it is; whatever is wrong with it is an error that names it."""
    from PIL import Image

    try:
        if not isinstance(picture, str | os.PathLike):
            _check_mode(picture)
            yield picture
            return
        with Image.open(picture) as image:
            _check_mode(image, picture)
            if getattr(image, "tag_v2", {}).get(_ORIENTATION) in _SIDEWAYS:
                image.load()  # Pillow turns TIFFs itself, older versions without saying their size before
            yield image
    except _ModeError:
        raise
    except Exception as error:  # decoders raise many types, from OSError to struct.error
        raise ValueError(
            f"Expected {_name(picture)} to be a readable image, but got {type(error).__name__}: {error}; replace or "
            "remove the file."
        ) from error


class _ModeError(ValueError):
    """An image can be read, and what its numbers mean cannot be known."""


def _check_mode(image: "Image", path: Any = None) -> None:
    if image.mode not in _GREY_MODES | _COLOUR_MODES:
        raise _ModeError(
            f"Expected images of 8 bits a channel, but got Pillow mode {image.mode!r} in {_name(path or image)}; "
            "convert the file to 8 bits, with the range of grey levels that suits it."
        )


def _name(picture: Picture) -> str:
    """Return what a picture is called in a message: its path, where it has one."""
    if isinstance(picture, str | os.PathLike):
        return os.fspath(picture)
    return str(getattr(picture, "filename", "") or "an image of Pillow")


def _orientation(image: "Image") -> int:
    """Return EXIF's number for how the camera was held, 1 to 8; 1 is upright, or not known."""
    if "exif" not in image.info:  # TIFF has it elsewhere, and Pillow turns those itself
        return 1
    try:
        found = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # damaged metadata of a photo that can be seen
        return 1
    return found if found in range(1, 9) else 1


def _upright(image: "Image", orientation: int) -> "Image":
    from PIL.Image import Transpose

    turns = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
    return image.transpose(turns[orientation]) if orientation in turns else image


def _converted(image: "Image", mode: str, size: tuple[int, int]) -> "Image":
    from PIL import Image

    plain: Image.Image = image
    if image.mode in ("P", "PA"):
        plain = image.convert("RGBA")  # transparency of a palette has to be unfolded before it is left out
    if plain.mode != mode:
        plain = plain.convert(mode)
    return plain if plain.size == size else plain.resize(size, Image.Resampling.BILINEAR)


def _in_threads(function: Callable[[range], Any], n_items: int) -> Iterator[Any]:
    """Call ``function`` on consecutive ranges that cover ``n_items``; Pillow decodes outside Python's lock."""
    ranges = [range(start, min(start + _FILES_A_TASK, n_items)) for start in range(0, n_items, _FILES_A_TASK)]
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        yield from pool.map(function, ranges)
