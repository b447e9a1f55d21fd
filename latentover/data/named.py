"""Data sets known by name, and where they lie on disk."""

import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from latentover.data.folders import find_images, scan_folder
from latentover.data.pictures import ImageFiles, open_images
from latentover.data.source import Source

Arrays = tuple[Any, NDArray, Any, NDArray | None]  # X, y, X_test, y_test
Named = tuple[Any, NDArray, Any, NDArray | None, Sequence[str]]  # and the names of the classes, from the files


@dataclass(frozen=True)
class NamedSet:
    """One entry of the table of named sets.

    Attributes
    ----------
    name : str
        What it is called in a recipe.
    classes : int
        Number of classes; labels are 0..classes-1.
    shape : tuple of (int, int, int)
        Channels, height and width.
    train_size, test_size : int
        Images of the two splits; 0 where there is no test split. Of CelebA and ImageNet-100 the most that there can be.
    folder : str
        Where its files lie below the data root.
    files : tuple of str
        Files or folders in ``folder`` without which it is not there.
    load : callable
        ``load(root, download)`` returns X, y, X_test and y_test, and where the files say them the names of the classes.
    homepage : str, optional
        Where it is to be had by hand, for sets that are not downloaded for you.
    class_names : tuple of str
        What people call the classes, in the order of their labels, where its files do not say it.
    """

    name: str
    classes: int
    shape: tuple[int, int, int]
    train_size: int
    test_size: int
    folder: str
    files: tuple[str, ...]
    load: Callable[[Path, bool], Arrays | Named]
    homepage: str | None = None
    class_names: tuple[str, ...] = ()

    def is_present(self, root: Path) -> bool:
        """Whether its files lie below ``root``; their content is not checked."""
        return all((root / self.folder / file).exists() for file in self.files)


class ListedSet(NamedTuple):
    """A row of :func:`list_named`."""

    name: str
    classes: int
    shape: tuple[int, int, int]
    train_size: int
    test_size: int
    present: bool
    folder: str


def data_root(root: str | Path | None = None) -> Path:
    """Folder below which named sets are looked for.

    Parameters
    ----------
    root : str or Path, optional
        The folder itself. None: the environment variable ``LATENTOVER_DATA``, or if that is not set, the cache folder
        that the platform gives to the user.

    Returns
    -------
    Path
        It need not exist.

    Examples
    --------
    >>> from latentover.data import data_root
    >>> data_root("data").as_posix()
    'data'
    """
    chosen = root or os.environ.get("LATENTOVER_DATA")
    if not chosen:
        import platformdirs

        chosen = platformdirs.user_cache_dir("latentover")
    return Path(chosen).expanduser()


def list_named(root: str | Path | None = None) -> list[ListedSet]:
    """Every named set, and whether it is there.

    Parameters
    ----------
    root : str or Path, optional
        As for :func:`data_root`.

    Returns
    -------
    list of ListedSet
        Name, classes, (channels, height, width), images of the training and of the test split, whether its files are
        there, and where they are looked for.

    Examples
    --------
    >>> from latentover.data import list_named
    >>> row = list_named("data")[0]
    >>> row.name, row.classes, row.shape, row.present
    ('digits', 10, (1, 8, 8), True)
    """
    base = data_root(root)
    return [
        ListedSet(
            name=entry.name,
            classes=entry.classes,
            shape=entry.shape,
            train_size=entry.train_size,
            test_size=entry.test_size,
            present=entry.is_present(base),
            folder=str(base / entry.folder) if entry.files else "comes with scikit-learn",
        )
        for entry in NAMED_SETS.values()
    ]


def read_named(name: str, root: str | Path | None = None, download: bool = False) -> Source:
    """Read a named set.

    Parameters
    ----------
    name : str
        A key of ``NAMED_SETS``.
    root : str or Path, optional
        As for :func:`data_root`.
    download : bool, default=False
        Fetch the set if it is not there.

    Returns
    -------
    Source
        Images of shape (n, channels, height, width), uint8; labels int64, and what people call the classes.

    Raises
    ------
    FileNotFoundError
        If the set is not there and is not to be, or cannot be, downloaded.
    ValueError
        If its files are damaged.
    ImportError
        If torchvision is needed and cannot be imported.

    Examples
    --------
    >>> source = read_named("digits")
    >>> source.X.shape, source.X.dtype, int(source.X.max())
    ((1797, 1, 8, 8), dtype('uint8'), 255)
    """
    entry = NAMED_SETS[name]
    base = data_root(root)
    present = entry.is_present(base)
    if missing := missing_named(name, root, download):
        raise FileNotFoundError(missing)
    try:
        X, y, X_test, y_test, *named = entry.load(base, download)
    except (RuntimeError, ValueError, AssertionError, EOFError, LookupError) as error:
        if not present:  # the download failed: that message is torchvision's to give
            raise
        raise ValueError(
            f"Expected the files of {name!r} in {base / entry.folder} to be intact, but got {type(error).__name__}: "
            f"{error}; delete them and get them again."
        ) from error
    names = named[0] if named else entry.class_names
    return Source(name, X, y, X_test, y_test, class_names=dict(enumerate(names)))


def missing_named(name: str, root: str | Path | None = None, download: bool = False) -> str | None:
    """Which files of a named set are missing and how to get them; None where it is there or may be downloaded.

    Parameters
    ----------
    name, root, download
        As for :func:`read_named`.

    Examples
    --------
    >>> missing_named("digits") is None
    True
    """
    entry, base = NAMED_SETS[name], data_root(root)
    if entry.is_present(base) or (download and not entry.homepage):
        return None
    return _how_to_get(entry, base)


def _how_to_get(entry: NamedSet, base: Path) -> str:
    folder = base / entry.folder
    if entry.homepage:
        first = f"get it from {entry.homepage} and unpack it into {base}"
    else:
        first = "pass --download (in Python: download=True) to fetch it"
    missing = [file for file in entry.files if not (folder / file).exists()]
    return (
        f"Expected the files of {entry.name!r} in {folder}, but got a folder without {', '.join(missing)}; {first}, or "
        "name the folder above an existing copy by --data-root (in Python: root=...) or the environment variable "
        "LATENTOVER_DATA."
    )


def _torchvision_datasets() -> Any:
    try:
        from torchvision import datasets
    except Exception as error:  # besides ImportError, RuntimeError or OSError beside a torch it was not built for
        raise ImportError(
            f"Expected torchvision to read this data set, but importing it failed with {type(error).__name__}: "
            f"{error}. Install the torchvision that belongs to your torch (https://pytorch.org/get-started), or use a "
            "folder of images, an .npz file or 'digits', which do not need it."
        ) from error
    return datasets


def _load_digits(root: Path, download: bool) -> Arrays:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = np.rint(bunch.images * (255 / 16)).astype(np.uint8)  # 17 grey levels, 0..16 -> 0..255
    return images[:, None], bunch.target.astype(np.int64), None, None


def _load_mnist_like(class_name: str) -> Callable[[Path, bool], Arrays]:
    def load(root: Path, download: bool) -> Arrays:
        dataset = getattr(_torchvision_datasets(), class_name)
        train, test = (dataset(root, train=train, download=download) for train in (True, False))
        # Copies: an array that looks at a tensor's memory loses it when workers are given the tensor.
        X, X_test = (np.array(part.data.numpy())[:, None] for part in (train, test))
        return X, np.array(train.targets.numpy()), X_test, np.array(test.targets.numpy())

    return load


def _load_cifar(class_name: str) -> Callable[[Path, bool], Named]:
    def load(root: Path, download: bool) -> Named:
        dataset = getattr(_torchvision_datasets(), class_name)
        train, test = (dataset(root, train=train, download=download) for train in (True, False))
        X, X_test = (part.data.transpose(0, 3, 1, 2) for part in (train, test))  # torchvision keeps channels last
        y, y_test = (np.asarray(part.targets, dtype=np.int64) for part in (train, test))
        return X, y, X_test, y_test, [name.replace("_", " ") for name in train.classes]

    return load


def _load_svhn(root: Path, download: bool) -> Arrays:
    dataset = _torchvision_datasets().SVHN
    train, test = (dataset(root, split=split, download=download) for split in ("train", "test"))
    return train.data, train.labels, test.data, test.labels


def _load_cinic10(root: Path, download: bool) -> Named:
    source, _ = scan_folder(root / "CINIC-10")  # its folder valid is passed over, as is the custom
    assert source.y_test is not None
    classes = np.unique(source.y)
    y, y_test = np.searchsorted(classes, source.y), np.searchsorted(classes, source.y_test)
    return source.X, y, source.X_test, y_test, classes.tolist()


def _load_tiny_imagenet(root: Path, download: bool) -> Named:
    """The official test images have no labels, so the validation images are the test split, as is the custom."""
    folder = root / "tiny-imagenet-200"
    found = find_images(folder / "train")
    position = {wnid: label for label, wnid in enumerate(found)}
    train_paths = [path for files in found.values() for path in files]
    y = np.repeat(np.arange(len(found)), [len(files) for files in found.values()])
    rows = [line.split("\t") for line in (folder / "val" / "val_annotations.txt").read_text().splitlines() if line]
    test_paths = [folder / "val" / "images" / row[0] for row in rows]
    y_test = np.array([position[row[1]] for row in rows], dtype=np.int64)
    X, X_test = open_images(train_paths, test_paths)
    return X, y, X_test, y_test, _words(folder / "words.txt", list(found))


def _words(path: Path, wnids: Sequence[str]) -> list[str]:
    """Return the first word for each class of ImageNet; with its number where two share it, the number without one."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    words = {wnid: text.split(",")[0].strip() for wnid, _, text in (line.partition("\t") for line in lines)}
    first = [words.get(wnid) or wnid for wnid in wnids]
    return [word if first.count(word) == 1 else f"{word} ({wnid})" for word, wnid in zip(first, wnids, strict=True)]


_CELEBA_FILES = ("img_align_celeba", "list_attr_celeba.txt", "list_eval_partition.txt")
_HAIR = ("Black_Hair", "Brown_Hair", "Blond_Hair", "Gray_Hair", "Bald")
_HAIR_NAMES = ("black hair", "brown hair", "blond hair", "grey hair", "bald")
_SMALL = (3, 32, 32)  # what CelebA and ImageNet-100 are resized to, whatever the sides of an image


def _load_celeba(*, official_split: bool) -> Callable[[Path, bool], Arrays]:
    """Read the images that have exactly one of the five attributes of hair, which number the classes."""

    def load(root: Path, download: bool) -> Arrays:
        folder = root / "celeba"
        attributes = _celeba_list(folder / "list_attr_celeba.txt", skip=1)
        if absent := [name for name in _HAIR if name not in attributes.columns]:
            raise ValueError(f"list_attr_celeba.txt has no attribute {absent[0]!r}")
        has = attributes[list(_HAIR)].to_numpy() == 1
        kept = np.flatnonzero(has.sum(axis=1) == 1)
        y, names = has[kept].argmax(axis=1), attributes.index[kept]
        _check_named(names, {path.name for path in (folder / "img_align_celeba").iterdir()}, "img_align_celeba")
        paths = [folder / "img_align_celeba" / name for name in names]
        if not official_split:
            return ImageFiles(paths, _SMALL), y, None, None
        partition = _celeba_list(folder / "list_eval_partition.txt", header=None)[1]
        _check_named(names, set(partition.index), "list_eval_partition.txt")
        # Part 1, the authors' for validation, is left alone.
        train, test = (np.flatnonzero(partition.loc[names] == part) for part in (0, 2))
        X, X_test = (ImageFiles([paths[row] for row in rows], _SMALL) for rows in (train, test))
        return X, y[train], X_test, y[test]

    return load


def _check_named(names: Collection[str], there: Collection[str], where: str) -> None:
    if lacking := [name for name in names if name not in there]:
        raise ValueError(f"{where} lacks {len(lacking)} of {len(names)} images, {lacking[0]!r} first")


def _celeba_list(path: Path, *, skip: int = 0, header: int | None = 0) -> Any:
    """Return one of CelebA's lists as a frame with the names of the images as its index."""
    import pandas as pd

    frame = pd.read_csv(path, sep=r"\s+", skiprows=skip, header=header)
    return frame if header == 0 else frame.set_index(0)


def _load_imagenet100(root: Path, download: bool) -> Named:
    """Label i is the i-th line of classes.txt, whose name may follow: the papers do not list theirs."""
    folder = root / "imagenet100"
    lines = [line.split("#")[0].split() for line in (folder / "classes.txt").read_text(encoding="utf-8").splitlines()]
    named = [words for words in lines if words]
    classes = [words[0] for words in named]
    if len(set(classes)) != 100 or len(classes) != 100:
        raise ValueError(f"classes.txt names {len(set(classes))} classes in {len(classes)} lines, where 100 are needed")
    (X, y), (X_test, y_test) = (_listed_images(folder / split, classes) for split in ("train", "val"))
    return X, y, X_test, y_test, [" ".join(words[1:] or words) for words in named]


def _listed_images(folder: Path, classes: list[str]) -> tuple[ImageFiles, NDArray[np.int64]]:
    """Return the images of some class folders and, as labels, the positions of their classes."""
    found = find_images(folder, only=classes)
    if lacking := [name for name in classes if name not in found]:
        raise ValueError(f"{folder} lacks the folders of {len(lacking)} classes of classes.txt, {lacking[0]!r} first")
    labels = np.repeat(np.arange(len(classes)), [len(found[name]) for name in classes])
    return ImageFiles([path for name in classes for path in found[name]], _SMALL), labels


def _idx_files(folder: str) -> dict[str, Any]:
    files = tuple(f"{part}-{kind}-ubyte" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1"))
    return {"folder": f"{folder}/raw", "files": files}


_DIGITS = tuple("0123456789")
_CLOTHES = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)
_CIFAR10_FILES = (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch", "batches.meta")

_ENTRIES = (
    NamedSet("digits", 10, (1, 8, 8), 1797, 0, "", (), _load_digits, class_names=_DIGITS),
    NamedSet(
        "mnist",
        10,
        (1, 28, 28),
        60000,
        10000,
        load=_load_mnist_like("MNIST"),
        class_names=_DIGITS,
        **_idx_files("MNIST"),
    ),
    NamedSet(
        "fashion_mnist",
        10,
        (1, 28, 28),
        60000,
        10000,
        load=_load_mnist_like("FashionMNIST"),
        class_names=_CLOTHES,
        **_idx_files("FashionMNIST"),
    ),
    NamedSet("cifar10", 10, (3, 32, 32), 50000, 10000, "cifar-10-batches-py", _CIFAR10_FILES, _load_cifar("CIFAR10")),
    NamedSet(
        "cifar100",
        100,
        (3, 32, 32),
        50000,
        10000,
        "cifar-100-python",
        ("train", "test", "meta"),
        _load_cifar("CIFAR100"),
    ),
    NamedSet(
        "svhn",
        10,
        (3, 32, 32),
        73257,
        26032,
        "",
        ("train_32x32.mat", "test_32x32.mat"),
        _load_svhn,
        class_names=_DIGITS,
    ),
    NamedSet(
        "cinic10",
        10,
        (3, 32, 32),
        90000,
        90000,
        "CINIC-10",
        ("train", "test"),
        _load_cinic10,
        homepage="https://doi.org/10.7488/ds/2448",
    ),
    NamedSet(
        "tiny_imagenet",
        200,
        (3, 64, 64),
        100000,
        10000,
        "tiny-imagenet-200",
        ("train", "val/val_annotations.txt", "val/images"),
        _load_tiny_imagenet,
        homepage="http://cs231n.stanford.edu/tiny-imagenet-200.zip",
    ),
    NamedSet(
        "celeba",
        5,
        _SMALL,
        162770,
        19962,
        "celeba",
        _CELEBA_FILES,
        _load_celeba(official_split=True),
        class_names=_HAIR_NAMES,
        homepage="https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html",
    ),
    NamedSet(
        "celeba_unsplit",
        5,
        _SMALL,
        202599,
        0,
        "celeba",
        _CELEBA_FILES,
        _load_celeba(official_split=False),
        class_names=_HAIR_NAMES,
        homepage="https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html",
    ),
    NamedSet(
        "imagenet100",
        100,
        _SMALL,
        130000,
        5000,
        "imagenet100",
        ("classes.txt", "train", "val"),
        _load_imagenet100,
        homepage="https://image-net.org/download.php",
    ),
)

NAMED_SETS = {entry.name: entry for entry in _ENTRIES}
