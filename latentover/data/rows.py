"""Tables as streams: one reader for CSV files, Parquet files and folders of them, of any size."""

import os
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from latentover.data.cells import Blank, Cells, Survey
from latentover.data.delimited import Block, Delimited
from latentover.data.source import nearest
from latentover.data.tables import TABLE_SUFFIXES, TableOptions, check_exists, check_names, is_hidden, is_table
from latentover.text import guarded

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_BYTES = 32 * 2**20
"""About how much of a Parquet file is in memory at a time."""
MAX_BATCH_ROWS = 65536
TEXT_BYTES = 32
"""What a value without a fixed width is taken for."""
MAX_CLASSES = 10_000


class Part(ABC):
    """Some rows of a table, one after the other."""

    @abstractmethod
    def class_numbers(self, known: Sequence[Any]) -> NDArray[np.intp]:
        """Return where in `known` the label of each row (n,) is."""

    @abstractmethod
    def take(self, places: NDArray[np.intp]) -> "Part":
        """Return some of the rows; nothing is kept of the others."""


class Rows(ABC):
    """A table as a stream.

    Attributes
    ----------
    path : Path
    target : str
        Name of the label column; empty for rows without labels.
    names : list of str
        All columns.
    features : list of str
        Those that are learned from: all but the target, an index of pandas, and those in `dropped` and `blank`.
    dropped, blank, identifiers : list of str
        Columns that somebody left out, those without any value, and features that somebody calls identifiers.
    batch_rows : int
        How many rows are read or made at a time.
    """

    path: Path
    target: str
    names: list[str]
    features: list[str]
    dropped: list[str]
    blank: list[str]
    identifiers: list[str]
    batch_rows: int = MAX_BATCH_ROWS

    @property
    @abstractmethod
    def counts(self) -> dict[Any, int]:
        """The number of rows of each class, by label, in the order of the labels."""

    @abstractmethod
    def spellings(self, label: Any) -> set[str]:
        """Return how the file writes a label."""

    @abstractmethod
    def parts(self) -> Iterator[Part]:
        """Yield all rows in their order."""

    @abstractmethod
    def frame(self, parts: Iterable[Part]) -> pd.DataFrame:
        """Return the features of rows."""

    @abstractmethod
    def read(self, names: Sequence[str]) -> pd.DataFrame:
        """Return some features of all rows."""

    @abstractmethod
    def frames(self, names: Sequence[str]) -> Iterator[pd.DataFrame]:
        """Yield some columns of all rows, part by part."""

    @abstractmethod
    def extend(
        self,
        out: Path,
        names: Sequence[str],
        make: Callable[[pd.DataFrame], pd.DataFrame],
        added: Mapping[str, type],
        *,
        suffix: str = "",
    ) -> None:
        """Write all rows with more columns behind theirs, part by part.

        In a CSV file an apostrophe stands before texts that a spreadsheet program would compute.

        Parameters
        ----------
        out : Path
        names : sequence of str
            The columns that the new ones are made from.
        make : callable
            From these columns of some rows to a frame of the new ones.
        added : mapping of str to type
            Names of the new columns, and whether they hold `str` or `float`.
        suffix : str
            What kind of file it becomes, if not that of the name: ``.csv`` or ``.parquet``.
        """

    @abstractmethod
    def write(
        self, out: Path, made: Iterable[tuple[Any, pd.DataFrame]], mark: str | None = None, *, suffix: str = ""
    ) -> None:
        """Write all rows, and below them new ones.

        Parameters
        ----------
        out : Path
        made : iterable of (label, frame)
            New rows: their label, and some or all of the features.
        mark : str, optional
            Name of a column to add, true in new rows.
        suffix : str
            What kind of file it becomes, if not that of the name: ``.csv`` or ``.parquet``.
        """

    def _settle(
        self, names: Sequence[str], target: str | None, options: TableOptions, identifiers: Sequence[str]
    ) -> None:
        """Take the names of the columns; raise ValueError for one that is asked for and is not there."""
        check_names(names, self.path)
        self.names = list(names)
        if target is None:
            raise ValueError(
                f"Expected `target` to name the label column of {self.path}, but got None; choose from {self.names}."
            )
        if target:
            self._check_known("target", target)
        self.target = target
        self.dropped, self.identifiers = self._listed("drop", options.drop), self._listed("identifiers", identifiers)

    def _listed(self, what: str, items: Iterable[str]) -> list[str]:
        """Return the columns that items name, also several of them in one with commas between."""
        columns: list[str] = []
        for item in items:
            several = item.split(",")
            columns += several if item not in self.names and set(several) <= set(self.names) else [item]
        for column in columns:
            self._check_known(what, column)
            if column == self.target:
                raise ValueError(f"Expected `{what}` to name features, but got the label column {column!r}; remove it.")
        return list(dict.fromkeys(columns))

    def _check_known(self, what: str, column: str) -> None:
        if column not in self.names:
            guess = nearest(column, self.names)
            hint = f"did you mean {guess!r}? " if guess else ""
            raise ValueError(
                f"Expected `{what}` to be a column of {self.path}, but got {column!r}; {hint}The columns are "
                f"{self.names}."
            )

    def _choose_features(self, without: Iterable[str]) -> None:
        left_out = {self.target, *self.dropped, *self.blank, *without}
        self.features = [name for name in self.names if name not in left_out]
        if not self.features:
            raise ValueError(
                f"Expected {self.path} to have feature columns beside {self.target!r}, but got none; add some."
            )
        self.identifiers = [name for name in self.identifiers if name in self.features]

    def _checked_counts(self, counts: Mapping[Any, int], missing: int, first: int) -> dict[Any, int]:
        """Return counts in the order of their labels; raise ValueError without any, and if labels are missing."""
        if not counts and not missing:
            raise ValueError(f"Expected {self.path} to have rows, but got none; write some.")
        if missing:
            raise ValueError(
                f"Expected column {self.target!r} of {self.path} to have no missing values, but got {missing:,} (the "
                f"first in data row {first + 1}); remove those rows, or give them a label of their own."
            )
        return dict(sorted(counts.items()))

    def _too_many_classes(self) -> ValueError:
        return ValueError(
            f"Expected column {self.target!r} of {self.path} to hold classes, but got more than {MAX_CLASSES:,} "
            "different values; name another target, or group them first."
        )


def open_rows(
    path: str | os.PathLike[str],
    target: str | None,
    options: TableOptions | None = None,
    *,
    identifiers: Sequence[str] = (),
) -> Rows:
    """Open a table.

    Parameters
    ----------
    path : path
        A ``.csv`` or ``.parquet`` file, or a folder of Parquet files.
    target : str
        Name of the label column; empty for rows that have no labels.
    options : TableOptions, optional
    identifiers : sequence of str
        Columns whose values are names: a CSV file's are text whatever they look like.

    Raises
    ------
    FileNotFoundError
    ValueError
        If the file cannot be read, lacks a column, or an option is not for its kind.
    """
    path, options = Path(path), options or TableOptions()
    check_exists(path)
    if not is_table(path):
        raise ValueError(
            f"Expected a table that ends in {' or '.join(TABLE_SUFFIXES)}, or a folder of .parquet files, but got "
            f"{path.name!r}; convert it."
        )
    if path.suffix.lower() == ".csv" and path.is_file():
        return CsvRows(path, target, options, identifiers)
    given = {"encoding": options.encoding, "delimiter": options.delimiter, "missing": options.missing}
    given["parse_dates"] = None if options.parse_dates == "auto" else options.parse_dates
    for name, value in given.items():
        if value:
            raise ValueError(
                f"Expected `{name}` to be left out for {path}, but got {value!r}; it is for .csv files, and Parquet "
                "says itself what its columns are."
            )
    return ParquetRows(path, target, options, identifiers)


# ---- CSV -------------------------------------------------------------------------------------------------------------


class _CsvPart(Part):
    """Cells of a block, or texts that were taken from one."""

    def __init__(self, rows: "CsvRows", block: Block | None, texts: dict[str, list[str]] | None = None) -> None:
        self.rows, self.block, self.texts = rows, block, texts or {}

    def cells(self, name: str) -> list[str]:
        """Return the texts of a column."""
        return self.texts[name] if self.block is None else self.block.cells(self.rows.names.index(name))

    def class_numbers(self, known: Sequence[Any]) -> NDArray[np.intp]:
        """Return where in `known` the label of each row (n,) is."""
        places = {label: i for i, label in enumerate(known)}
        by_text = {text: places[label] for text, label in self.rows.labels.items()}
        return np.array([by_text[text] for text in self.cells(self.rows.target)], dtype=np.intp)

    def take(self, places: NDArray[np.intp]) -> Part:
        """Return some of the rows; nothing is kept of the others."""
        assert self.block is not None
        names = self.rows.names
        texts = {name: self.block.cells(names.index(name), places) for name in self.rows.features}
        return _CsvPart(self.rows, None, texts)


class CsvRows(Rows):
    """A CSV file. All of it is looked at before anything is said of its columns.

    Attributes
    ----------
    file : Delimited
    columns : dict of str to Cells
    labels : dict of str to label
        What each text of the label column means.
    """

    batch_rows = 2**14  # new rows are texts first, which take more room than numbers

    def __init__(self, path: Path, target: str | None, options: TableOptions, identifiers: Sequence[str] = ()) -> None:
        self.path = path
        self.file = Delimited.open(path, options.encoding, options.delimiter)
        names = [name or f"Unnamed: {i}" for i, name in enumerate(self.file.header)]
        self._settle(names, target, options, identifiers)
        surveys = {name: self._survey(name, options) for name in names}
        self._look_at_all(surveys)
        self.columns: dict[str, Cells] = {}
        for name, survey in surveys.items():
            try:
                self.columns[name] = survey.cells()
            except ValueError as error:
                raise ValueError(f"Expected column {name!r} of {path} to hold dates {error}.") from error
        self.blank = [name for name in names if isinstance(self.columns[name], Blank)]
        if self.target in self.blank:
            self.blank.remove(self.target)
        self._choose_features(())

    def _survey(self, name: str, options: TableOptions) -> Survey:
        dates: bool | str = options.parse_dates == "auto" and name != self.target
        if isinstance(options.parse_dates, list):
            forms = dict(item.split("=", 1) for item in options.parse_dates if item not in self.names and "=" in item)
            plain = [item for item in options.parse_dates if item in self.names or "=" not in item]
            for column in [*self._listed("parse_dates", plain), *self._listed("parse_dates", forms)]:
                dates = forms.get(column, "any") if column == name else dates
        return Survey(
            missing=options.missing, delimiter=self.file.delimiter, dates=dates, text=name in self.identifiers
        )

    def _look_at_all(self, surveys: Mapping[str, Survey]) -> None:
        """Show every cell to the survey of its column, and count the texts of the label column."""
        self._counted: Counter[str] = Counter()
        self._first: dict[str, int] = {}
        n_rows, place = 0, self.names.index(self.target) if self.target else None
        for block in self.file.blocks():
            for i, survey in enumerate(surveys.values()):
                plain = partial(block.plain_numbers, i)
                survey.look(partial(block.cells, i), block.lengths(i), block.quoted(i), plain)
            if place is None:
                continue
            texts = block.cells(place)
            self._counted.update(texts)
            if len(self._counted) > MAX_CLASSES:
                raise self._too_many_classes()
            if len(self._counted) > len(self._first):
                for row, text in enumerate(texts):
                    self._first.setdefault(text, n_rows + row)
            n_rows += len(block)

    @cached_property
    def labels(self) -> dict[str, Any]:
        """What each text of the label column means; None if it means missing."""
        values = self.columns[self.target].parse(list(self._counted)).tolist()
        return {text: None if pd.isna(value) else value for text, value in zip(self._counted, values, strict=True)}

    @cached_property
    def counts(self) -> dict[Any, int]:
        """The number of rows of each class, by label, in the order of the labels."""
        counts: Counter[Any] = Counter()
        for text, n in self._counted.items():
            counts[self.labels[text]] += n
        missing = counts.pop(None, 0)
        first = min((self._first[text] for text, label in self.labels.items() if label is None), default=0)
        return self._checked_counts(counts, missing, first)

    def spellings(self, label: Any) -> set[str]:
        """Return how the file writes a label."""
        return {text for text, meant in self.labels.items() if meant == label}

    def parts(self) -> Iterator[Part]:
        """Yield all rows in their order."""
        for block in self.file.blocks():
            if len(block):
                yield _CsvPart(self, block)

    def frame(self, parts: Iterable[Part]) -> pd.DataFrame:
        """Return the features of rows."""
        return self._frame(parts, self.features)

    def read(self, names: Sequence[str]) -> pd.DataFrame:
        """Return some features of all rows."""
        return self._frame(self.parts(), names)

    def frames(self, names: Sequence[str]) -> Iterator[pd.DataFrame]:
        """Yield some columns of all rows, part by part."""
        return (self._frame([part], names) for part in self.parts())

    def extend(
        self,
        out: Path,
        names: Sequence[str],
        make: Callable[[pd.DataFrame], pd.DataFrame],
        added: Mapping[str, type],
        *,
        suffix: str = "",
    ) -> None:
        """Write all rows with more columns behind theirs, in the style of the file."""
        if (suffix or out.suffix).lower() != ".csv":
            raise ValueError(f"Expected the rows of {self.path} to be written to a .csv file, but got {out.name!r}.")

        def line_of(texts: Iterable[str]) -> list[str]:
            return [self.file.written(guarded(text) if text else None) for text in texts]

        def as_texts(values: pd.Series) -> list[str]:
            return [value if isinstance(value, str) else f"{value:.6g}" for value in values]

        with out.open("wb") as file:
            file.write(self.file.mark)

            def write(columns: Sequence[Sequence[str]]) -> None:
                lines = self.file.lines(columns) + self.file.line_end
                file.write(lines.encode(self.file.encoding, "backslashreplace"))

            write([[text] for text in line_of([*self.file.header, *added])])
            for part in self.parts():
                assert isinstance(part, _CsvPart)
                more = make(self._frame([part], names))
                columns = [part.cells(name) for name in self.names] + [as_texts(more[name]) for name in added]
                write([line_of(texts) for texts in columns])

    def _frame(self, parts: Iterable[Part], names: Sequence[str]) -> pd.DataFrame:
        frames = [
            pd.DataFrame({name: self.columns[name].parse(part.cells(name)) for name in names})
            for part in parts
            if isinstance(part, _CsvPart)
        ]
        return pd.concat(frames, ignore_index=True)

    def write(
        self, out: Path, made: Iterable[tuple[Any, pd.DataFrame]], mark: str | None = None, *, suffix: str = ""
    ) -> None:
        """Write all rows, byte for byte where `out` is a CSV file, and below them new ones in the same style."""
        if (suffix or out.suffix).lower() == ".parquet":
            self._convert(out, made, mark)
            return
        ended = self.file.copy_to(out, mark)
        self.file.append(out, (self._lines(label, frame, mark) for label, frame in made), ended=ended)

    def _lines(self, label: Any, frame: pd.DataFrame, mark: str | None) -> str:
        """Return new rows as lines of the file."""
        spelling = max(self.spellings(label), key=lambda text: (self._counted[text], text))
        written = []
        for name in self.names:
            cells = self.columns[name]
            if name == self.target:
                texts: list[str | None] = [spelling] * len(frame)
            elif name in frame:
                texts = cells.write(frame[name])
            else:
                texts = [None] * len(frame)
            known: dict[str | None, str] = {}
            for text in set(texts):
                known[text] = self.file.written(text, quoted=cells.quoted, gap=cells.gap)
            written.append([known[text] for text in texts])
        if mark is not None:
            written.append(["true"] * len(frame))
        return self.file.lines(written)

    def _convert(self, out: Path, made: Iterable[tuple[Any, pd.DataFrame]], mark: str | None) -> None:
        """Write a Parquet file with the values of the cells."""
        import pyarrow as pa
        import pyarrow.parquet

        kinds = {"timestamp[us]": pa.timestamp("us"), "timestamp[us, tz=UTC]": pa.timestamp("us", "UTC")}
        types = [kinds.get(cells.arrow) or pa.type_for_alias(cells.arrow) for cells in self.columns.values()]
        fields = [pa.field(name, kind) for name, kind in zip(self.names, types, strict=True)]
        schema = pa.schema(fields if mark is None else [*fields, pa.field(mark, pa.bool_())])

        def table(frame: pd.DataFrame, *, new: bool) -> "pa.Table":
            columns = [
                pa.array(frame[f.name], type=f.type, from_pandas=True)
                if f.name in frame
                else pa.nulls(len(frame), f.type)
                for f in fields
            ]
            return pa.table([*columns, *([] if mark is None else [pa.repeat(new, len(frame))])], schema=schema)

        with pyarrow.parquet.ParquetWriter(out, schema) as writer:
            for part in self.parts():
                writer.write_table(table(self._frame([part], self.names), new=False))
            for label, frame in made:
                writer.write_table(table(frame.assign(**{self.target: label}), new=True))


# ---- Parquet ---------------------------------------------------------------------------------------------------------


class _ArrowPart(Part):
    """A record batch with the target and the features."""

    def __init__(self, rows: "ParquetRows", batch: "pa.RecordBatch") -> None:
        self.rows, self.batch = rows, batch

    def class_numbers(self, known: Sequence[Any]) -> NDArray[np.intp]:
        """Return where in `known` the label of each row (n,) is."""
        import pyarrow as pa
        import pyarrow.compute as pc

        target = self.rows.target
        labels = pa.array(list(known), type=_value_type(self.rows.schema.field(target).type))
        return pc.index_in(_plain(self.batch.column(target)), labels).to_numpy(zero_copy_only=False).astype(np.intp)

    def take(self, places: NDArray[np.intp]) -> Part:
        """Return some of the rows; nothing is kept of the others."""
        import pyarrow as pa

        return _ArrowPart(self.rows, self.batch.take(pa.array(places)))


class ParquetRows(Rows):
    """A Parquet file, or a folder of them, which are read in the order of their names.

    The folders of a partitioned table, ``year=2024/``, are a column. A batch ends where a row group does, and is a row
    group where it is written.

    Attributes
    ----------
    schema : pyarrow.Schema
    """

    def __init__(self, path: Path, target: str | None, options: TableOptions, identifiers: Sequence[str] = ()) -> None:
        import pyarrow as pa
        import pyarrow.parquet

        self.path = path
        self.paths = [path] if path.is_file() else _files_below(path)
        self.partitions = [_partition(file.relative_to(path)) for file in self.paths] if path.is_dir() else [{}]
        schemas = []
        for file in self.paths:
            with _readable(file):
                schemas.append(pyarrow.parquet.read_schema(file))
        kinds = _partition_types(self.partitions, schemas, path)
        with _readable(path):
            self.schema = schemas[0] if len(schemas) == 1 else pa.unify_schemas(schemas, promote_options="permissive")
        for name, kind in kinds.items():
            self.schema = self.schema.append(pa.field(name, kind))
        self._settle(self.schema.names, target, options, identifiers)
        described = (self.schema.pandas_metadata or {}).get("index_columns", [])
        self.index = [column for column in described if isinstance(column, str)]
        self.blank = [f.name for f in self.schema if pa.types.is_null(f.type) and f.name != target]
        self._choose_features(self.index)
        for name in self.features:
            if pa.types.is_nested(self.schema.field(name).type):
                raise ValueError(
                    f"Expected columns of numbers, text, booleans, categories or times in {path}, but column {name!r} "
                    f"holds {self.schema.field(name).type}; leave it out with drop (--drop)."
                )
        row_bytes = sum(map(_value_bytes, self.schema.types))
        self.batch_rows = max(1, min(MAX_BATCH_ROWS, int(BATCH_BYTES // max(row_bytes, 1))))

    def batches(self, columns: Sequence[str] | None = None) -> "Iterator[pa.RecordBatch]":
        """Yield the rows in their order, all columns or those that are named."""
        import pyarrow as pa
        import pyarrow.parquet

        names = self.schema.names if columns is None else list(columns)
        schema = pa.schema([self.schema.field(name) for name in names], metadata=self.schema.metadata)
        for path, partition in zip(self.paths, self.partitions, strict=True):
            # With a buffer, or else the bytes of a whole column of a row group are read at once.
            with _readable(path), pyarrow.parquet.ParquetFile(path, buffer_size=2**20) as file:
                there = [name for name in names if name in file.schema_arrow.names]
                for group in range(file.num_row_groups):
                    for batch in file.iter_batches(self.batch_rows, row_groups=[group], columns=there):
                        yield batch if len(self.paths) == 1 and not partition else _completed(batch, schema, partition)

    @cached_property
    def counts(self) -> dict[Any, int]:
        """The number of rows of each class, by label, in the order of the labels."""
        counts: Counter[Any] = Counter()
        n_rows, first = 0, 0
        for batch in self.batches([self.target]):
            column = _plain(batch.column(0))
            if column.null_count and None not in counts:
                first = n_rows + int(np.argmax(column.is_null().to_numpy(zero_copy_only=False)))
            counts.update({pair["values"]: pair["counts"] for pair in column.value_counts().to_pylist()})
            n_rows += batch.num_rows
            if len(counts) > MAX_CLASSES:
                raise self._too_many_classes()
        missing = counts.pop(None, 0)
        if nan := [label for label in counts if label != label]:
            missing += sum(counts.pop(label) for label in nan)
        return self._checked_counts(counts, missing, first)

    def spellings(self, label: Any) -> set[str]:
        """Return the label as text, of a boolean in small letters too."""
        return {str(label), str(label).lower()} if isinstance(label, bool) else {str(label)}

    def parts(self) -> Iterator[Part]:
        """Yield all rows in their order."""
        for batch in self.batches([*self.features, self.target]):
            yield _ArrowPart(self, batch)

    def frame(self, parts: Iterable[Part]) -> pd.DataFrame:
        """Return the features of rows."""
        import pyarrow as pa

        batches = [part.batch.select(self.features) for part in parts if isinstance(part, _ArrowPart)]
        return _frame(pa.Table.from_batches(batches))

    def read(self, names: Sequence[str]) -> pd.DataFrame:
        """Return some features of all rows."""
        import pyarrow as pa

        return _frame(pa.Table.from_batches(list(self.batches(names))))

    def frames(self, names: Sequence[str]) -> Iterator[pd.DataFrame]:
        """Yield some columns of all rows, part by part."""
        import pyarrow as pa

        return (_frame(pa.Table.from_batches([batch])) for batch in self.batches(names))

    def extend(
        self,
        out: Path,
        names: Sequence[str],
        make: Callable[[pd.DataFrame], pd.DataFrame],
        added: Mapping[str, type],
        *,
        suffix: str = "",
    ) -> None:
        """Write all rows, with their types and metadata, and more columns behind theirs."""
        import pyarrow as pa

        suffix = (suffix or out.suffix).lower()
        schema = self.schema
        for name, kind in added.items():
            schema = schema.append(pa.field(name, pa.string() if kind is str else pa.float64()))
        written = _for_spreadsheets(schema.empty_table()).schema if suffix == ".csv" else schema
        with self._writer(out, written, suffix) as writer:
            for batch in self.batches():
                more = make(_frame(pa.Table.from_batches([batch.select(names)])))
                arrays = [pa.array(more[name], schema.field(name).type) for name in added]
                table = pa.Table.from_arrays([*batch.columns, *arrays], schema=schema)
                writer.write_table(_for_spreadsheets(table) if suffix == ".csv" else table)

    def write(
        self, out: Path, made: Iterable[tuple[Any, pd.DataFrame]], mark: str | None = None, *, suffix: str = ""
    ) -> None:
        """Write all rows with their types and metadata, and below them new ones."""
        import pyarrow as pa

        schema = self.schema if mark is None else self.schema.append(pa.field(mark, pa.bool_()))

        def marked(part: "pa.RecordBatch | pa.Table", *, new: bool) -> "pa.Table":
            columns = part.columns if mark is None else [*part.columns, pa.repeat(new, part.num_rows)]
            return pa.Table.from_arrays(columns, schema=schema)

        with self._writer(out, schema, (suffix or out.suffix).lower()) as writer:
            for batch in self.batches():
                writer.write_table(marked(batch, new=False))
            for table in self._tables(made):
                writer.write_table(marked(table, new=True))

    def _tables(self, made: Iterable[tuple[Any, pd.DataFrame]]) -> "Iterator[pa.Table]":
        """Yield new rows; a table holds those of several classes where they are few."""
        import pyarrow as pa

        pending: list[pa.Table] = []
        for label, frame in made:
            columns = [
                _repeated(label, f.type, len(frame))
                if f.name == self.target
                else (_column(frame[f.name], f.type) if f.name in frame.columns else pa.nulls(len(frame), f.type))
                for f in self.schema
            ]
            pending.append(pa.Table.from_arrays(columns, schema=self.schema))
            if sum(table.num_rows for table in pending) >= self.batch_rows:
                yield pa.concat_tables(pending)
                pending = []
        if pending:
            yield pa.concat_tables(pending)

    def _writer(self, out: Path, schema: "pa.Schema", suffix: str) -> Any:
        """Return a writer, to be used as a context."""
        import pyarrow.csv
        import pyarrow.parquet

        if suffix == ".csv":
            return pyarrow.csv.CSVWriter(out, schema)
        with pyarrow.parquet.ParquetFile(self.paths[0]) as file:
            groups = [file.metadata.row_group(0)] if file.num_row_groups else []
        columns = [group.column(i) for group in groups for i in range(group.num_columns)]
        codecs = {column.path_in_schema: column.compression.lower() for column in columns}
        codecs = {name: "none" if codec == "uncompressed" else codec for name, codec in codecs.items()}
        return pyarrow.parquet.ParquetWriter(out, schema, compression=codecs)


def _for_spreadsheets(table: "pa.Table") -> "pa.Table":
    """Return a table whose texts and names no spreadsheet program would compute."""
    import pyarrow as pa

    columns = []
    for column in table.columns:
        kind = _value_type(column.type)
        if pa.types.is_string(kind) or pa.types.is_large_string(kind):
            column = pa.array([value if value is None else guarded(value) for value in column.to_pylist()], kind)
        columns.append(column)
    return pa.Table.from_arrays(columns, names=[guarded(name) for name in table.column_names])


def _files_below(folder: Path) -> list[Path]:
    """Return the Parquet files in a folder and those in it, in the order of their names."""
    inner = (path for path in folder.rglob("*") if path.suffix.lower() == ".parquet" and path.is_file())
    return sorted(path for path in inner if not any(map(is_hidden, path.relative_to(folder).parts)))


def _partition(path: Path) -> dict[str, str | None]:
    """Return the columns and values in the names of the folders above a file."""
    pairs = [part.partition("=") for part in path.parent.parts if "=" in part]
    return {unquote(name): None if value == _NO_VALUE else unquote(value) for name, _, value in pairs}


_NO_VALUE = "__HIVE_DEFAULT_PARTITION__"


def _partition_types(
    partitions: Sequence[Mapping[str, str | None]], schemas: "Sequence[pa.Schema]", path: Path
) -> "dict[str, pa.DataType]":
    """Return the types of the columns that folders stand for: whole numbers if all are, without zeros in front."""
    import pyarrow as pa

    if len({tuple(partition) for partition in partitions}) > 1:
        raise ValueError(
            f"Expected all files in {path} to lie in folders of the same columns, but got "
            f"{sorted({tuple(partition) for partition in partitions})[:3]}; move those of another table away."
        )
    kinds = {}
    for name in partitions[0]:
        if any(name in schema.names for schema in schemas):
            continue  # what the files say themselves
        values = [partition[name] for partition in partitions]
        whole = all(value is None or (str(int(value)) == value if value.isdecimal() else False) for value in values)
        kinds[name] = pa.int64() if whole and any(value is not None for value in values) else pa.string()
    return kinds


def _completed(batch: "pa.RecordBatch", schema: "pa.Schema", partition: Mapping[str, str | None]) -> "pa.RecordBatch":
    """Return a batch of one of several files with the columns and types of all."""
    import pyarrow as pa

    columns = []
    for f in schema:
        if f.name in batch.schema.names:
            column = batch.column(f.name)
            columns.append(column if column.type == f.type else column.cast(f.type))
        elif partition.get(f.name) is not None:
            columns.append(pa.repeat(pa.scalar(partition[f.name]).cast(f.type), batch.num_rows))
        else:
            columns.append(pa.nulls(batch.num_rows, f.type))
    return pa.RecordBatch.from_arrays(columns, schema=schema)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except pa.ArrowException as error:
        raise ValueError(
            f"Expected {path} to be a readable .parquet file, but got {type(error).__name__}: {error}"
        ) from error


def _value_type(column: "pa.DataType") -> "pa.DataType":
    import pyarrow as pa

    return column.value_type if pa.types.is_dictionary(column) else column


def _value_bytes(column: "pa.DataType") -> float:
    try:
        return column.bit_width / 8
    except ValueError:
        return TEXT_BYTES


def _plain(column: "pa.Array") -> "pa.Array":
    """Return a column without the dictionary of its values, which differs from batch to batch."""
    import pyarrow as pa

    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


def _frame(table: "pa.Table") -> pd.DataFrame:
    """Return features as the samplers know them: decimals as numbers, days as timestamps, integers that may be missing.

    Types that a sampler does not know stay what they are, for it says so.
    """
    import pyarrow as pa

    nullable = {pa.bool_(): pd.BooleanDtype()}
    for bits in (8, 16, 32, 64):
        nullable[getattr(pa, f"int{bits}")()] = getattr(pd, f"Int{bits}Dtype")()
        nullable[getattr(pa, f"uint{bits}")()] = getattr(pd, f"UInt{bits}Dtype")()
    series = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        if pa.types.is_decimal(column.type):
            column = column.cast(pa.float64())
        mapper = nullable.get if column.null_count else None
        series[name] = column.unify_dictionaries().to_pandas(date_as_object=False, types_mapper=mapper)
    return pd.DataFrame(series)


def _column(values: pd.Series, column: "pa.DataType") -> "pa.Array":
    """Return generated values in the type of the file."""
    import pyarrow as pa

    if pa.types.is_decimal(column):
        return pa.array(values, type=pa.float64(), from_pandas=True).cast(column)
    return pa.array(values, type=column, from_pandas=True)


def _repeated(value: Any, column: "pa.DataType", n: int) -> "pa.Array":
    import pyarrow as pa

    return pa.repeat(pa.scalar(value, type=_value_type(column)), n).cast(column)
