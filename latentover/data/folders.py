"""Images in folders, one folder a class.

Pixels are decoded when they are asked for: of a large folder of which an imbalance profile keeps a part, only that
part is read.
"""

import re
import warnings
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from latentover.data.diagnosis import Diagnosis, diagnose
from latentover.data.pictures import IMAGE_SUFFIXES, in_words, list_images, open_images
from latentover.data.source import Source
from latentover.notebook import items, note, page

_PARTS = {
    "train": re.compile(r"train(ing)?", re.IGNORECASE),
    "test": re.compile(r"test(ing)?", re.IGNORECASE),
    "validation": re.compile(r"val(id(ation)?)?", re.IGNORECASE),
    "folds": re.compile(r"folds?[ _-]?\d+", re.IGNORECASE),
}
"""Names of folders that hold a part of the data, and not a class."""


def read_folder(root: str | Path, image_size: Sequence[int] | None = None) -> Source:
    """Find the images of a folder of class folders.

    Parameters
    ----------
    root : str or Path
        Either ``root/train/<class>/*`` with or without ``root/test/<class>/*``, or ``root/<class>/*``; ``Training``
        and ``Testing`` are as good, in any case. Class folders may hold further folders, and links to folders are
        followed. Hidden files and files without an image suffix are passed over, as are folders beside ``train`` and
        ``test``: validation data is drawn from the training data.
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
        training split lacks, there are parts of the data without training data among them (``test``, ``val``,
        ``fold_1``), or as for :func:`open_images`.

    Warns
    -----
    UserWarning
        In one line, what was passed over, and how many photos were turned upright.

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
    source, remarks = scan_folder(root, image_size)
    if remarks:
        warnings.warn(f"{root}: {len(source.y):,} training images; {', '.join(remarks)}.", stacklevel=2)
    return source


def scan_folder(root: str | Path, image_size: Sequence[int] | None = None) -> tuple[Source, list[str]]:
    """Find the images of a folder of class folders, and say in words what was passed over or turned.

    Parameters, result and errors are those of :func:`read_folder`, which makes one line of the words.
    """
    root = Path(root).resolve()
    if not root.is_dir():
        raise FileNotFoundError(f"Expected a folder of images, but got {root}, which is not a folder.")
    parts = _parts_of(root)
    passed_over: Counter[str] = Counter()
    train = find_images(parts.train, passed_over=passed_over)
    paths, y = _flatten(train)
    if parts.test is None:
        groups = open_images(paths, image_size=image_size)
        source = Source(root.name, groups[0], y)
    else:
        test = find_images(parts.test, at_least=1, passed_over=passed_over)
        _check_known(test, train, parts)
        test_paths, y_test = _flatten(test)
        groups = open_images(paths, test_paths, image_size=image_size)
        source = Source(root.name, groups[0], y, groups[1], y_test)
    remarks = [f"the folder {path.name} is passed over" for path in parts.others]
    if words := in_words(passed_over):
        remarks.append(f"passed over {' and '.join(words)}")
    if turned := sum(group.n_turned for group in groups):
        remarks.append(f"{turned:,} {'photo' if turned == 1 else 'photos'} turned upright as EXIF says")
    return source, remarks


@dataclass(frozen=True)
class FolderDescription:
    """What a folder of class folders holds; `print` shows it.

    Attributes
    ----------
    n_train, n_test : int
        Images to train on, and of a folder ``test``; 0 without one, and then a part of the others is kept for it.
    channels : {1, 3}
        1 if all are grey.
    sizes : dict from (height, width) to int
        How many images have which size, the most frequent first.
    remarks : list of str
        What is passed over, and how many photos are turned upright.
    diagnosis : Diagnosis
        Of the classes of the training images.
    """

    n_train: int
    n_test: int
    channels: int
    sizes: dict[tuple[int, int], int]
    remarks: list[str]
    diagnosis: Diagnosis

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as JSON-able values; a size as ``"<height>x<width>"``."""
        sizes = {f"{height}x{width}": count for (height, width), count in self.sizes.items()}
        return {**asdict(self), "sizes": sizes}

    def __str__(self) -> str:
        images = "\n".join([self._sentence(), *(f"- {text}" for text in self._notes())])
        return "\n\n".join(filter(None, [self.diagnosis.steps_text(), images, self.diagnosis.sizes_text()]))

    def _repr_html_(self) -> str:
        return page(note(self._sentence()), items(self._notes()), self.diagnosis._repr_html_())

    def _sentence(self) -> str:
        of_test = f" and {self.n_test:,} to test on" if self.n_test else ""
        colour = "grey" if self.channels == 1 else "in colour"
        areas = sorted(self.sizes, key=lambda each: each[0] * each[1])
        least, most = (f"{height}x{width}" for height, width in (areas[0], areas[-1]))
        size = f"all {least}" if len(areas) == 1 else f"of {len(areas)} sizes, from {least} to {most}"
        return f"{self.n_train:,} images to train on{of_test}, {colour}, {size} pixels (height x width)."

    def _notes(self) -> list[str]:
        resize = "Sizes differ: image_size gives them all one, in a recipe `data: {image_size: [32, 32]}`."
        return [resize] * (len(self.sizes) > 1) + [f"{text[0].upper()}{text[1:]}." for text in self.remarks]


def describe_folder(root: str | Path) -> FolderDescription:
    """Say what a folder of class folders holds, how imbalanced it is, and what helps; no pixel is decoded.

    Parameters
    ----------
    root : str or Path
        A folder for each class, or ``train`` and ``test`` with them, as a recipe's ``data: {source: FOLDER}`` reads it.

    Returns
    -------
    FolderDescription

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such folder, or what is in it cannot be read as classes of images.

    Examples
    --------
    >>> import tempfile
    >>> from PIL import Image
    >>> folder = Path(tempfile.mkdtemp())
    >>> for name, n in {"cat": 3, "dog": 1}.items():
    ...     (folder / name).mkdir()
    ...     for number in range(n):
    ...         Image.new("RGB", (8, 6)).save(folder / name / f"{number}.png")
    >>> found = describe_folder(folder)
    >>> found.sizes, found.diagnosis.ratio
    ({(6, 8): 4}, 3.0)
    """
    source, remarks = scan_folder(root, image_size=(1, 1))  # any: sizes may differ, and nothing is decoded
    groups = [source.X] if source.X_test is None else [source.X, source.X_test]
    return FolderDescription(
        n_train=len(source.X),
        n_test=sum(map(len, groups[1:])),
        channels=source.X.shape[1],
        sizes=dict(sum((group.sizes for group in groups), Counter[tuple[int, int]]()).most_common()),
        remarks=remarks,
        diagnosis=diagnose(source.y, images=True),
    )


class _Parts(NamedTuple):
    """The folders of class folders of a data set; `others` are those of a part that nothing is read from."""

    train: Path
    test: Path | None
    others: list[Path]


def _parts_of(root: Path) -> _Parts:
    """Return which folders hold training and test data: ``train`` and ``test`` in any spelling, or all of `root`."""
    inner = _subfolders(root)
    named = {part: [path for path in inner if form.fullmatch(path.name)] for part, form in _PARTS.items()}
    parts = [path for paths in named.values() for path in paths]
    named["train"] = [path for path in named["train"] if _subfolders(path)]  # without any it is a class of that name
    if not named["train"]:
        held = [path.name for path in parts if _subfolders(path)]
        if len(parts) == len(inner):  # but they are not all classes
            held = [path.name for path in parts]
        if held:
            raise ValueError(
                f"Expected {root} to hold a folder train with a folder for each class, but got {', '.join(held)} "
                "without one; rename the one to train on, or link the folds that are trained on into it. Folders of "
                "these names are parts of the data and no classes."
            )
        return _Parts(root, None, [])
    for part in ("train", "test"):
        if len(named[part]) > 1:
            raise ValueError(
                f"Expected {root} to hold one folder of {part} data, but got "
                f"{' and '.join(path.name for path in named[part])}; move one of them away."
            )
    used = [*named["train"], *named["test"]]
    return _Parts(used[0], used[1] if len(used) > 1 else None, [path for path in inner if path not in used])


def _check_known(test: dict[str, list[Path]], train: dict[str, list[Path]], parts: _Parts) -> None:
    unknown = sorted(test.keys() - train.keys())
    if unknown:
        raise ValueError(
            f"Expected the classes of {parts.test} to be among those of {parts.train}, but got {unknown} "
            "besides; rename or remove those folders, or add training images of them."
        )


def find_images(
    folder: Path,
    at_least: int = 2,
    *,
    only: Collection[str] | None = None,
    passed_over: Counter[str] | None = None,
) -> dict[str, list[Path]]:
    """Image files of every class folder, or of those in ``only``, classes and files sorted by name.

    Parameters
    ----------
    folder : Path
    at_least : int, default=2
        Class folders that there have to be.
    passed_over : Counter, optional
        Where files are counted that are no images, as by `list_images`, and images beside the class folders.

    Raises
    ------
    ValueError
        If there are fewer than ``at_least`` of these folders, or one of them has no image.
    """
    found = {}
    counted = Counter[str]() if passed_over is None else passed_over
    counted["outside"] += sum(path.suffix.lower() in IMAGE_SUFFIXES and path.is_file() for path in folder.iterdir())
    for path in _subfolders(folder):
        if only is None or path.name in only:
            found[path.name], others = list_images(path)
            counted.update(others)
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


def _flatten(found: dict[str, list[Path]]) -> tuple[list[Path], NDArray[np.str_]]:
    paths = [path for files in found.values() for path in files]
    return paths, np.repeat(list(found), [len(files) for files in found.values()])
