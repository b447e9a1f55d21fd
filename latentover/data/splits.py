"""From one description of the data to its training, validation and test splits."""

import hashlib
import math
from dataclasses import dataclass, field
from numbers import Integral
from pathlib import Path
from typing import Any, Literal, get_args
from warnings import warn

import numpy as np
from numpy.typing import ArrayLike, NDArray

from latentover.data.imbalance import Imbalance, Seed, subsample
from latentover.data.reading import open_source
from latentover.data.source import Source
from latentover.data.tables import TableOptions
from latentover.seeds import as_generator

Layout = Literal["images", "rows"]

# Every draw has a stream of its own, so that changing one split leaves the others as they are.
_STREAMS = {"test": 0, "train": 1, "validation": 2, "test_balanced": 3, "test_imbalanced": 4}


@dataclass(frozen=True)
class DataConfig:
    """Which data, and how it is split.

    Parameters
    ----------
    source : str
        A named set (see :func:`list_named`), or the path of a folder of images, of an ``.npz`` file (arrays X, y and
        if you like X_test, y_test), or of a table: ``.csv``, ``.parquet``, or a folder of Parquet files. A relative
        path is looked for in the working folder, then below the data root.
    target : str, optional
        Name of the label column; for tables only.
    imbalance : Imbalance, optional
        How many training samples of every class are kept. None: all.
    balanced_test : int, optional
        Samples of every class in the balanced test split. None: as many as the smallest class has in the test data.
    imbalanced_test : Imbalance, optional
        How many samples of every class an imbalanced test split has. None: there is no such split.
    test_fraction : float, default=0.2
        Fraction of every class held out as test data, for sources without a test split of their own. It is drawn
        before anything else.
    validation_fraction : float, default=0.1
        Fraction of every class held out for validation, of the training data that the imbalance has left. 0: none.
    seed : int, default=0
        Decides which samples are kept, and nothing else; it is no training seed.
    layout : {"images", "rows"}, default="images"
        ``"rows"``: images are flattened to (n, channels * height * width). Tables are always rows.
    image_size : list of int, optional
        [height, width] in pixels that a folder's images are resized to. None: they must be of one size already.
    table : TableOptions, optional
        How a table is read: encoding, separator, missing values, dates, and the columns that are left out.

    Raises
    ------
    ValueError
        If a field is outside its range.

    Examples
    --------
    >>> from latentover.data import DataConfig, Imbalance
    >>> config = DataConfig("fashion_mnist", imbalance=Imbalance("long_tailed", rho=100), balanced_test=800)
    """

    source: str
    target: str | None = None
    imbalance: Imbalance | None = None
    balanced_test: int | None = None
    imbalanced_test: Imbalance | None = None
    test_fraction: float = 0.2
    validation_fraction: float = 0.1
    seed: int = 0
    layout: Layout = "images"
    image_size: list[int] | None = None
    table: TableOptions | None = None

    def __post_init__(self) -> None:
        if self.balanced_test is not None:
            _check_integer("balanced_test", self.balanced_test, at_least=1)
        _check_integer("seed", self.seed, at_least=0)
        if not 0 < self.test_fraction < 1:
            raise ValueError(
                f"Expected `test_fraction` to be strictly between 0 and 1, but got {self.test_fraction!r}."
            )
        if not 0 <= self.validation_fraction < 1:
            raise ValueError(
                f"Expected `validation_fraction` to be at least 0 and below 1, but got {self.validation_fraction!r}."
            )
        if self.layout not in get_args(Layout):
            raise ValueError(f"Expected `layout` to be 'images' or 'rows', but got {self.layout!r}.")
        if self.image_size is not None:
            if len(self.image_size) != 2:
                raise ValueError(f"Expected `image_size` to be [height, width], but got {self.image_size!r}.")
            for side in self.image_size:
                _check_integer("image_size", side, at_least=1)


@dataclass(frozen=True)
class Splits:
    """Data ready for ``fit`` and for the tests.

    Attributes
    ----------
    name : str
        Name of the set, folder or file.
    X_train, y_train : ndarray or DataFrame of shape (n, ...), ndarray of shape (n,)
        Training data with the imbalance applied and validation samples removed. Images are of shape
        (n, channels, height, width), uint8.
    X_validation, y_validation : as above, or None
        None if ``validation_fraction`` is 0.
    tests : dict of str to tuple of (X, y)
        ``"test_balanced"``, and if asked for ``"test_imbalanced"``; both are drawn from the same test data.
    image_shape : tuple of (channels, height, width) or None
        None for tables and rows that were never images.
    data_hash : str
        16 hexadecimal digits that change with any value, label, dtype or shape of any split.
    class_names : dict of label to str
        What people call the classes; empty where labels are names. A run remembers them.
    """

    name: str
    X_train: Any
    y_train: NDArray
    X_validation: Any | None
    y_validation: NDArray | None
    tests: dict[str, tuple[Any, NDArray]]
    image_shape: tuple[int, int, int] | None
    data_hash: str = field(repr=False)
    class_names: dict[Any, str] = field(default_factory=dict)


def load_splits(config: DataConfig, *, root: str | Path | None = None, download: bool = False) -> Splits:
    """Read the data, apply the imbalance, and split.

    In this order: test data is held out (where the source brings none), the imbalance is applied to the training
    data, validation data is held out of what is left, and the test splits are drawn from the test data. Samples keep
    the order of the source.

    Parameters
    ----------
    config : DataConfig
        What to read and how to split it.
    root : str or Path, optional
        Data root, as for :func:`data_root`.
    download : bool, default=False
        Fetch a named set that is not there.

    Returns
    -------
    Splits
        Equal for equal ``config`` and data.

    Raises
    ------
    FileNotFoundError
        If the source is not there.
    ValueError
        If the source is not known or cannot be read, or has too few samples of a class for what is asked.

    Warns
    -----
    UserWarning
        If a class has no test samples at all, and is thus missing from the balanced test split; and, of a folder of
        images, what was passed over.

    Examples
    --------
    >>> from latentover.data import DataConfig, Imbalance, load_splits
    >>> config = DataConfig("digits", imbalance=Imbalance("long_tailed", rho=10, largest=100), balanced_test=30)
    >>> splits = load_splits(config)
    >>> splits.X_train.shape, splits.X_validation.shape, splits.tests["test_balanced"][0].shape
    ((361, 1, 8, 8), (42, 1, 8, 8), (300, 1, 8, 8))
    """
    source = open_source(config.source, config.target, config.image_size, config.table, root=root, download=download)
    _check_classes(source)
    y = source.y
    if source.y_test is None:
        train, test = stratified_split(y, config.test_fraction, _rng(config, "test"))
        X_test, y_test = source.X, y
    else:
        train, test = np.arange(len(y)), np.arange(len(source.y_test))
        X_test, y_test = source.X_test, source.y_test

    if config.imbalance is not None:
        train = train[_draw(y[train], config.imbalance, "imbalance", _rng(config, "train"))]
    validation = None
    if config.validation_fraction > 0:
        kept, held_out = stratified_split(y[train], config.validation_fraction, _rng(config, "validation"))
        train, validation = train[kept], train[held_out]
    tests = {name: test[chosen] for name, chosen in _draw_tests(y_test[test], np.unique(y), config).items()}

    parts = {"train": (_take(source.X, train, config.layout), y[train])}
    if validation is not None:
        parts["validation"] = (_take(source.X, validation, config.layout), y[validation])
    drawn = {name: (_take(X_test, chosen, config.layout), y_test[chosen]) for name, chosen in tests.items()}
    X_validation, y_validation = parts.get("validation", (None, None))
    return Splits(
        name=source.name,
        X_train=parts["train"][0],
        y_train=parts["train"][1],
        X_validation=X_validation,
        y_validation=y_validation,
        tests=drawn,
        image_shape=source.image_shape,
        data_hash=_hash({**parts, **drawn}),
        class_names=source.class_names,
    )


def stratified_split(y: ArrayLike, fraction: float, random_state: Seed = None) -> tuple[NDArray, NDArray]:
    """Hold out the same fraction of every class.

    The number is rounded half up for every class by itself, but a class of two samples or more gives at least one and
    keeps at least one; a class of a single sample keeps it.

    Parameters
    ----------
    y : array-like of shape (n,)
        Class labels.
    fraction : float
        Fraction to hold out, between 0 and 1.
    random_state : int, sequence of int, numpy Generator or None, default=None
        What ``numpy.random.default_rng`` accepts.

    Returns
    -------
    kept, held_out : ndarray of int
        Indices into ``y``, ascending; together they are all of them.

    Examples
    --------
    >>> from latentover.data import stratified_split
    >>> kept, held_out = stratified_split(["a"] * 8 + ["b"], fraction=0.25, random_state=0)
    >>> len(kept), len(held_out)
    (7, 2)
    """
    _, inverse = np.unique(np.asarray(y), return_inverse=True)
    rng = as_generator(random_state)
    is_held_out = np.zeros(len(inverse), dtype=bool)
    for position in range(inverse.max() + 1):
        members = rng.permutation(np.flatnonzero(inverse == position))
        wanted = math.floor(fraction * len(members) + 0.5)
        is_held_out[members[: min(max(wanted, 1), len(members) - 1)]] = True
    return np.flatnonzero(~is_held_out), np.flatnonzero(is_held_out)


def _rng(config: DataConfig, stream: str) -> np.random.Generator:
    return np.random.default_rng([config.seed, _STREAMS[stream]])


def _draw(y: NDArray, imbalance: Imbalance, field_name: str, rng: np.random.Generator) -> NDArray[np.intp]:
    classes, available = np.unique(y, return_counts=True)
    try:
        counts = imbalance.class_counts(available, classes)
    except ValueError as error:
        raise ValueError(f"`{field_name}` does not fit the data. {error}") from error
    return subsample(y, counts, rng)


def _draw_tests(y_test: NDArray, classes: NDArray, config: DataConfig) -> dict[str, NDArray[np.intp]]:
    present, available = np.unique(y_test, return_counts=True)
    if not len(present):
        raise ValueError("Expected at least one test sample, but got none; every class has a single sample, give more.")
    absent = np.setdiff1d(classes, present).tolist()
    if absent and (config.balanced_test is not None or config.imbalanced_test is not None):
        raise ValueError(
            f"Expected test data of every class to draw `balanced_test` and `imbalanced_test` from, but got none of "
            f"{absent}; leave both out, or add samples of these classes."
        )
    if absent:
        warn(f"The test data has no samples of {absent}: the balanced test split goes without them.", stacklevel=3)
    per_class = int(available.min()) if config.balanced_test is None else config.balanced_test
    balanced = Imbalance("counts", counts=[per_class] * len(present))
    drawn = {"test_balanced": _draw(y_test, balanced, "balanced_test", _rng(config, "test_balanced"))}
    if config.imbalanced_test is not None:
        rng = _rng(config, "test_imbalanced")
        drawn["test_imbalanced"] = _draw(y_test, config.imbalanced_test, "imbalanced_test", rng)
    return drawn


def _take(X: Any, indices: NDArray[np.intp], layout: Layout) -> Any:
    if hasattr(X, "iloc"):
        return X.iloc[indices].reset_index(drop=True)
    taken = np.ascontiguousarray(X[indices])
    return taken.reshape(len(taken), math.prod(taken.shape[1:])) if layout == "rows" else taken


def _check_classes(source: Source) -> None:
    classes = np.unique(source.y)
    if len(classes) < 2:
        raise ValueError(
            f"Expected at least two classes in {source.name!r}, but got {classes.tolist()}; there is nothing to "
            "tell apart."
        )
    unknown = [] if source.y_test is None else np.setdiff1d(source.y_test, classes).tolist()
    if unknown:
        raise ValueError(
            f"Expected the test data of {source.name!r} to have classes of the training data only, but got {unknown} "
            "besides; remove those samples, or add training samples of these classes."
        )


def _check_integer(name: str, value: object, at_least: int) -> None:
    if not isinstance(value, Integral) or isinstance(value, bool) or value < at_least:
        raise ValueError(f"Expected `{name}` to be an integer of at least {at_least}, but got {value!r}.")


def _hash(parts: dict[str, tuple[Any, NDArray]]) -> str:
    digest = hashlib.sha256()
    for name, (X, y) in parts.items():
        digest.update(name.encode())
        # The layout is left out: the same images as rows are the same data.
        for array in (*_hashable_arrays(X), y):
            digest.update(f"{array.dtype.str}{len(array)}".encode())
            digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()[:16]


def _hashable_arrays(X: Any) -> list[NDArray]:
    if isinstance(X, np.ndarray):
        return [X]
    import pandas as pd

    columns = np.array([f"{name}: {dtype}" for name, dtype in X.dtypes.items()])
    return [columns, pd.util.hash_pandas_object(X, index=False).to_numpy()]
