"""Tables: CSV and Parquet files with a label column, and ``.npz`` files with arrays X and y."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from latentover.data.source import Source, check_labels

if TYPE_CHECKING:
    from latentover.data.rows import Part

TABLE_SUFFIXES = (".csv", ".parquet")


@dataclass(frozen=True)
class TableOptions:
    """How a table is read, by every command and by recipes (``data.table``) alike.

    Parameters
    ----------
    encoding : str, optional
        Of a CSV file, as Python names it. Default: UTF-8, or what the byte order mark says.
    delimiter : str, optional
        One character; ``tab`` is one too. Default: the one of ``,;|`` and tab that cuts the first records of a CSV file
        into equally many cells.
    missing : list of str
        Texts that mean missing in any column of a CSV file, beside blank cells. ``NA``, ``NaN``, ``null`` and their
        kin mean it among numbers, dates and booleans anyway, and are text among other text; ``None`` is always text
        unless it is named here.
    parse_dates : "auto", "none" or list of str, default="auto"
        Which columns of text in a CSV file are dates: those in ISO 8601 or in another form that says which number is
        the day; none; or those that are named, as ``NAME`` or as ``NAME=%d/%m/%Y`` with their form.
    drop : list of str
        Columns that are not learned from.

    Raises
    ------
    ValueError
        If `parse_dates` is none of these.
    """

    encoding: str | None = None
    delimiter: str | None = None
    missing: list[str] = field(default_factory=list)
    parse_dates: str | list[str] = "auto"
    drop: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if isinstance(self.parse_dates, str) and self.parse_dates not in ("auto", "none"):
            raise ValueError(
                f"Expected `parse_dates` to be 'auto', 'none' or a list of columns, but got {self.parse_dates!r}; "
                f"write [{self.parse_dates}]."
            )


def is_table(path: str | Path) -> bool:
    """Whether a path is a table: a file with the suffix of one, or a folder of Parquet files."""
    path = Path(path)
    if not path.is_dir():
        return path.is_file() and path.suffix.lower() in TABLE_SUFFIXES
    for _, folders, files in os.walk(path):
        folders[:] = sorted(name for name in folders if not is_hidden(name))
        seen = [name for name in files if not is_hidden(name)]
        if seen:
            return any(name.lower().endswith(".parquet") for name in seen)
    return False


def check_exists(path: Path) -> None:
    """Raise FileNotFoundError if there is nothing at the path of a table."""
    if not path.exists():
        raise FileNotFoundError(
            f"Expected a table, but {path} does not exist; name a .csv or .parquet file, or a folder of .parquet files."
        )


def is_hidden(name: str) -> bool:
    """Whether a file or folder belongs to the system that wrote the others, such as ``_SUCCESS``."""
    return name.startswith(("_", "."))


def read_table(
    path: str | Path,
    target: str | None,
    options: TableOptions | None = None,
    *,
    identifiers: Sequence[str] = (),
) -> Source:
    r"""Read a table whole; all columns are features but the label column and those that are left out.

    Parameters
    ----------
    path : str or Path
        A ``.csv`` or ``.parquet`` file, or a folder of Parquet files (also in folders ``year=2024``).
    target : str
        Name of the label column.
    options : TableOptions, optional
    identifiers : sequence of str
        Columns whose values are names: a CSV file's are text whatever they look like.

    Returns
    -------
    Source
        ``X`` is a pandas DataFrame, ``y`` an array; there is no test split.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file cannot be read, two of its columns have one name, none has this one, or its labels are missing or no
        class labels.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "loans.csv"
    >>> _ = path.write_text("age,town,default\n31,Graz,no\n48,Linz,yes\n")
    >>> source = read_table(path, target="default")
    >>> list(source.X.columns), source.y.tolist()
    (['age', 'town'], ['no', 'yes'])
    """
    from latentover.data.rows import open_rows

    rows = open_rows(path, target, options, identifiers=identifiers)
    known, numbers = list(rows.counts), []
    labels = check_labels(np.array(known, dtype=object), f"column {target!r} of {path}")

    def numbered() -> "Iterator[Part]":
        for part in rows.parts():
            numbers.append(part.class_numbers(known))
            yield part

    X = rows.frame(numbered())
    return Source(Path(path).stem, X, labels[np.concatenate(numbers)], identifiers=rows.identifiers)


def read_npz(path: str | Path) -> Source:
    """Read arrays ``X`` and ``y``, and where they are there ``X_test`` and ``y_test``, from an ``.npz`` file.

    Parameters
    ----------
    path : str or Path
        X of two axes holds rows, (n, features); of four axes images, (n, channels, height, width); of three axes grey
        images, (n, height, width), which are given a channel axis. Their dtype is kept.

    Returns
    -------
    Source
        Arrays as they were saved.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is damaged, an array is missing, holds Python objects (they are never unpickled), has an
        unexpected shape, or has another length than its labels.
    """
    path = Path(path)
    _check_is_file(path)
    arrays = _load_arrays(path)
    X, y = _checked_pair(arrays, "X", "y", path)
    if "X_test" not in arrays and "y_test" not in arrays:
        return Source(path.stem, X, y)
    X_test, y_test = _checked_pair(arrays, "X_test", "y_test", path)
    if X_test.shape[1:] != X.shape[1:]:
        raise ValueError(
            f"Expected `X_test` of {path} to have samples of shape {X.shape[1:]} as `X` has, but got "
            f"{X_test.shape[1:]}; prepare both in the same way."
        )
    return Source(path.stem, X, y, X_test, y_test)


def _check_is_file(path: Path) -> None:
    if not path.is_file():
        raise FileNotFoundError(f"Expected a data file, but got {path}, which does not exist or is no file.")


def check_names(names: Iterable[str], path: str | Path) -> None:
    """Raise ValueError if two columns of a file have one name."""
    repeated = [name for name, n in Counter(names).items() if n > 1]
    if repeated:
        raise ValueError(f"Expected columns of different names in {path}, but got {repeated[0]!r} twice; rename.")


def _load_arrays(path: Path) -> dict[str, NDArray]:
    names = ("X", "y", "X_test", "y_test")
    try:
        with np.load(path, allow_pickle=False) as archive:
            found = list(archive.keys())
            arrays = {name: archive[name] for name in names if name in found}
    except Exception as error:  # BadZipFile, zlib.error, EOFError, ValueError for Python objects...
        if "pickle" in str(error) and "Object arrays" in str(error):
            raise ValueError(
                f"Expected plain arrays in {path}, but got an array of Python objects, which is not unpickled; save "
                "numbers or fixed-width strings, for example with y.astype(str)."
            ) from error
        raise ValueError(
            f"Expected {path} to be an intact .npz file, but got {type(error).__name__}: {error}; write it again with "
            "numpy.savez."
        ) from error
    for name in ("X", "y"):
        if name not in arrays:
            raise ValueError(
                f"Expected {path} to hold arrays `X` and `y`, but got {found} without `{name}`; save it with "
                "numpy.savez(path, X=X, y=y)."
            )
    return arrays


def _checked_pair(arrays: dict[str, NDArray], X_name: str, y_name: str, path: Path) -> tuple[NDArray, NDArray]:
    for name, other in ((X_name, y_name), (y_name, X_name)):
        if name not in arrays:
            raise ValueError(
                f"Expected `{name}` beside `{other}` in {path}, but got only `{other}`; save both or none."
            )
    X = _checked_samples(arrays[X_name], X_name, path)
    y = check_labels(arrays[y_name], f"`{y_name}` of {path}")
    if len(X) != len(y):
        raise ValueError(
            f"Expected `{X_name}` and `{y_name}` of {path} to have one length, but got {len(X)} and {len(y)}; save one "
            "label for each sample."
        )
    return X, y


def _checked_samples(X: NDArray, name: str, path: Path) -> NDArray:
    if X.dtype.kind not in "biuf":
        raise ValueError(f"Expected `{name}` of {path} to hold numbers, but got dtype {X.dtype}; save numbers.")
    if X.ndim not in (2, 3, 4):
        raise ValueError(
            f"Expected `{name}` of {path} to be rows (n, features) or images (n, channels, height, width), but got "
            f"shape {X.shape}; reshape it."
        )
    if X.ndim == 4 and X.shape[1] not in (1, 3) and X.shape[3] in (1, 3):
        raise ValueError(
            f"Expected images in `{name}` of {path} to be (n, channels, height, width), but got shape {X.shape}, which "
            f"looks like channels last; save {name}.transpose(0, 3, 1, 2)."
        )
    return X[:, None] if X.ndim == 3 else X
