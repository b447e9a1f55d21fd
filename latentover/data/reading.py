"""From the text that names a data source to its samples."""

from collections.abc import Sequence
from pathlib import Path

from latentover.data.folders import read_folder
from latentover.data.named import NAMED_SETS, data_root, missing_named, read_named
from latentover.data.source import Source, nearest
from latentover.data.tables import TABLE_SUFFIXES, TableOptions, is_table, read_npz, read_table


def open_source(
    source: str,
    target: str | None = None,
    image_size: Sequence[int] | None = None,
    table: TableOptions | None = None,
    *,
    root: str | Path | None = None,
    download: bool = False,
) -> Source:
    """Read a named set, a folder of images, an ``.npz`` file or a table, before any splitting.

    Parameters
    ----------
    source : str
        A named set, or a path; a relative one is looked for in the working folder, then below the data root. A folder
        that has the name of a named set is written with ``./`` in front.
    target : str, optional
        Name of the label column; for tables only.
    image_size : sequence of (height, width), optional
        Size in pixels that images are resized to; for folders of images only.
    table : TableOptions, optional
        How a table is read.
    root : str or Path, optional
        Data root, as for :func:`data_root`.
    download : bool, default=False
        Fetch a named set that is not there.

    Returns
    -------
    Source
        Samples and labels; the images of a folder are decoded when they are indexed.

    Raises
    ------
    FileNotFoundError
        If a named set is not there.
    ValueError
        If the source is not known or cannot be read, or an argument does not belong to this kind of source.

    Examples
    --------
    >>> from latentover.data.reading import open_source
    >>> open_source("digits").image_shape
    (1, 8, 8)
    """
    if source in NAMED_SETS:
        _check_unused(source, target=target, image_size=image_size, table=table)
        return read_named(source, root=root, download=download)
    path = _locate(source, root)
    if path.is_dir() and not is_table(path):
        _check_unused(source, target=target, table=table)
        return read_folder(path, image_size=image_size)
    _check_unused(source, image_size=image_size)
    if path.suffix.lower() == ".npz":
        _check_unused(source, target=target, table=table)
        return read_npz(path)
    return read_table(path, target, table)


def missing_source(source: str, *, root: str | Path | None = None, download: bool = False) -> str | None:
    """Return how to get a source where its files are missing; None where they are there, whatever is in them.

    Parameters
    ----------
    source, root, download
        As for :func:`open_source`.

    Examples
    --------
    >>> missing_source("digits") is None, missing_source("absent.csv", root="data") is None
    (True, False)
    """
    if source in NAMED_SETS:
        return missing_named(source, root, download)
    try:
        _locate(source, root)
    except ValueError as error:
        return str(error)
    return None


def _locate(source: str, root: str | Path | None) -> Path:
    """The path that ``source`` means, in the working folder or below the data root."""
    candidates = [Path(source).expanduser(), data_root(root) / source]
    for path in candidates:
        if path.is_dir() or (path.is_file() and path.suffix.lower() in (".npz", *TABLE_SUFFIXES)):
            return path
    known = f"one of {', '.join(NAMED_SETS)}, or a path to a folder of images or .parquet files, .npz, .csv or .parquet"
    for path in candidates:
        if path.is_file():
            raise ValueError(f"Expected `source` to be {known}, but got {path}; convert it to one of these formats.")
    guess = nearest(source, NAMED_SETS)
    hint = f"did you mean {guess!r}? " if guess else ""
    looked = " or ".join(str(path) for path in dict.fromkeys(candidates))
    raise ValueError(f"Expected `source` to be {known}, but got {source!r}; {hint}There is nothing at {looked}.")


def _check_unused(source: str, **arguments: object) -> None:
    meant_for = {"image_size": "folders of images"} | dict.fromkeys(("target", "table"), "tables (.csv, .parquet)")
    for name, value in arguments.items():
        if value is not None:
            raise ValueError(
                f"Expected `{name}` to be left out with source {source!r}, but got {value!r}; it is used for "
                f"{meant_for[name]} only."
            )
