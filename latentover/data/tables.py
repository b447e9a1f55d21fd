"""Tables: CSV and Parquet files with a label column, and ``.npz`` files with arrays X and y."""

from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from latentover.data.source import Source, check_labels, nearest

if TYPE_CHECKING:
    import pandas as pd

TABLE_SUFFIXES = (".csv", ".parquet")


def read_table(path: str | Path, target: str | None) -> Source:
    r"""Read a CSV or Parquet file; all columns but the label column are features, as they are.

    Parameters
    ----------
    path : str or Path
        A ``.csv`` or ``.parquet`` file.
    target : str
        Name of the label column.

    Returns
    -------
    Source
        ``X`` is a pandas DataFrame, ``y`` an array; there is no test split.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ImportError
        If no Parquet reader is installed.
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
    path = Path(path)
    _check_is_file(path)
    frame = _read_frame(path)
    check_names(_header(path, frame), path)
    columns = [str(column) for column in frame.columns]
    if target is None:
        raise ValueError(f"Expected `target` to name the label column of {path}, but got None; choose from {columns}.")
    if target not in frame.columns:
        guess = nearest(target, columns)
        hint = f"did you mean {guess!r}? " if guess else ""
        raise ValueError(
            f"Expected `target` to be a column of {path}, but got {target!r}; {hint}The columns are {columns}."
        )
    if len(columns) < 2:
        raise ValueError(f"Expected {path} to have feature columns beside {target!r}, but got none; add some.")
    labels = frame[target]
    _check_no_missing(labels, path)
    return Source(
        path.stem, frame.drop(columns=target), check_labels(labels.to_numpy(), f"column {target!r} of {path}")
    )


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


def _read_frame(path: Path) -> "pd.DataFrame":
    import pandas as pd

    readers: dict[str, Callable[[Path], pd.DataFrame]] = {".csv": pd.read_csv, ".parquet": pd.read_parquet}
    try:
        return readers[path.suffix.lower()](path)
    except ImportError as error:
        raise ImportError(
            f'Expected a Parquet reader to be installed to read {path}; run pip install "latentover[parquet]".'
        ) from error
    except Exception as error:  # the readers raise many types, from ParserError to ArrowInvalid
        raise ValueError(
            f"Expected {path} to be a readable {path.suffix.lower()} file, but got {type(error).__name__}: {error}"
        ) from error


def _header(path: Path, frame: "pd.DataFrame") -> list[str]:
    """Return the names of the columns as they stand in the file: pandas renames those that are there twice."""
    import pandas as pd

    if path.suffix.lower() != ".csv":
        return [str(column) for column in frame.columns]
    line = pd.read_csv(path, header=None, nrows=1, dtype=str, keep_default_na=False)
    return [name for name in line.iloc[0].astype(str) if name]


def check_names(names: Iterable[str], path: str | Path) -> None:
    """Raise ValueError if two columns of a file have one name."""
    repeated = [name for name, n in Counter(names).items() if n > 1]
    if repeated:
        raise ValueError(f"Expected columns of different names in {path}, but got {repeated[0]!r} twice; rename.")


def _check_no_missing(labels: "pd.Series[Any]", path: Path) -> None:
    missing = labels.isna().to_numpy()
    if missing.any():
        raise ValueError(
            f"Expected column {labels.name!r} of {path} to have no missing values, but got {missing.sum()} (the first "
            f"in data row {int(missing.argmax()) + 1}); remove those rows, or give them a label of their own (pandas "
            "takes empty cells, NA, None, null and nan for missing)."
        )


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
