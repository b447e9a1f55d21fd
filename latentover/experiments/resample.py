"""A balanced copy of a table that need not fit into memory: its rows as they are, then new ones.

The file is read three times, as a stream: its classes are counted, the rows to train on are drawn, all rows are copied.
"""

import os
import shutil
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import yaml
from imblearn.utils import check_sampling_strategy

from latentover.data.source import check_labels, nearest
from latentover.data.tables import check_names
from latentover.experiments.environment import peak_memory
from latentover.experiments.quality import (
    QualityFiles,
    QualitySample,
    check_measurable,
    quality_sample,
    sampler_quality,
)
from latentover.experiments.recipe import check_seeds
from latentover.experiments.strict import parse_yaml
from latentover.files import check_free_file, replacing
from latentover.metrics import TableQuality

if TYPE_CHECKING:
    import pyarrow as pa

SUFFIXES = (".parquet", ".csv")
BATCH_BYTES = 32 * 2**20
"""About how much of the file is in memory at a time, beside the rows that are trained on."""
MAX_BATCH_ROWS = 65536
TEXT_BYTES = 32
"""What a value without a fixed width is taken for."""
CSV_BLOCK_BYTES = 8 * 2**20
MAX_CLASSES = 10_000
DEFAULT_SAMPLER: dict[str, Any] = {
    "class_path": "latentover.RAESampler",
    "init_args": {"dropout": 0.1, "alpha": "uniform", "learning_rate": 1e-3, "max_steps": 1000},
}
"""The settings of ``benchmarks/tables.py`` with more steps, for there are more rows."""


@dataclass
class Account:
    """What was done.

    Attributes
    ----------
    path, out : Path
    sampler : str
        Its class.
    features : int
        How many.
    before, after, trained_on : dict of label to int
        Rows of each class in the file, in the balanced copy, and among those that were trained on.
    seconds : dict of str to float
        Of each part: count, draw, train, write.
    peak_bytes : int or None
        The most memory that the process has had resident so far; None where the system does not tell.
    quality : TableQuality or None
        Of new rows, where it was asked for; see `latentover.experiments.quality.sampler_quality`.
    """

    path: Path
    out: Path
    sampler: str
    features: int
    before: dict[Any, int] = field(default_factory=dict)
    after: dict[Any, int] = field(default_factory=dict)
    trained_on: dict[Any, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    peak_bytes: int | None = None
    quality: TableQuality | None = None

    def __str__(self) -> str:
        before, after, trained_on = (sum(rows.values()) for rows in (self.before, self.after, self.trained_on))
        width = max(len(str(label)) for label in ("class", *self.before))
        classes = [
            f"{label!s:<{width}}{self.before[label]:>14,}{self.after[label]:>14,}{self.trained_on[label]:>14,}"
            for label in self.before
        ]
        parts = ", ".join(f"{seconds:.1f} s to {part}" for part, seconds in self.seconds.items())
        memory = f"; {self.peak_bytes / 1e6:,.0f} MB of memory at the peak" if self.peak_bytes else ""
        quality = [] if self.quality is None else ["", str(self.quality)]
        return "\n".join(
            [
                f"{self.path}: {before:,} rows, {self.features:,} features, {len(self.before):,} classes",
                f"{self.sampler} trained on {trained_on:,} rows",
                f"{'class':<{width}}{'before':>14}{'after':>14}{'trained on':>14}",
                *classes,
                f"{self.out}: {after:,} rows, {after - before:,} of them new",
                f"{parts}{memory}",
                *quality,
            ]
        )


def resample_file(
    path: str | os.PathLike[str],
    target: str,
    out: str | os.PathLike[str],
    *,
    sampler: Any = None,
    sampling_strategy: str | float | Mapping[Any, int] | None = None,
    seed: int = 0,
    max_train_rows: int = 100_000,
    mark: str | None = None,
    quality: QualityFiles | None = None,
) -> Account:
    """Write the rows of a table and, below them, new rows of its rare classes.

    Rows come out as they went in, in their order, with their types and metadata. In memory are the rows that are
    trained on, and of the others some tens of megabytes at a time.

    Parameters
    ----------
    path : path
        A ``.parquet`` or ``.csv`` file. All columns are features but the target and an index that pandas has put there;
        new rows have none. Numbers of a CSV file may come out in another notation (1.0 for 1.00).
    target : str
        Name of the label column.
    out : path
        A free name with the suffix of `path`. The file appears there when it is complete.
    sampler : over-sampler with ``sample``, optional
        Default: `latentover.RAESampler` with settings for tables. Its ``random_state`` is set to `seed`.
    sampling_strategy : str, float or dict, optional
        As in imbalanced-learn, of the rows of the file: ``"auto"`` brings every class to the size of the largest, a
        dict gives final totals by label. Default: that of the sampler.
    seed : int, default=0
        The same seed gives the same rows.
    max_train_rows : int, default=100_000
        At most so many rows are trained on: all of the rarest classes, and of the larger ones a sample.
    mark : str, optional
        Name of a column to add, True in new rows and False in the others.
    quality : QualityFiles, optional
        Where to write how good new rows are, which takes three more fits of the sampler, to parts of the rows.

    Returns
    -------
    Account

    Raises
    ------
    FileNotFoundError, FileExistsError, PermissionError, NotADirectoryError
        If there is no file `path`, one at `out`, or none can be made there.
    ImportError
        Without pyarrow.
    ValueError
        If the file cannot be read, lacks `target` or has a column `mark`, its classes cannot be balanced, or the
        sampler cannot be trained on its columns. Nothing is left at `out`.
    RuntimeError
        If the quality cannot be measured; the file at `out` is complete.

    Examples
    --------
    >>> import tempfile
    >>> from latentover import RAESampler
    >>> folder = Path(tempfile.mkdtemp())
    >>> table = pd.DataFrame({"amount": np.arange(40) % 7, "fraud": ["no"] * 36 + ["yes"] * 4})
    >>> table.to_csv(folder / "all.csv", index=False)
    >>> sampler = RAESampler(max_steps=5, hidden_units=8)
    >>> account = resample_file(folder / "all.csv", "fraud", folder / "balanced.csv", sampler=sampler)
    >>> account.after
    {'no': 36, 'yes': 36}
    """
    path, out = Path(path), Path(out)
    check_seeds([seed])
    _check_files(path, out)
    rows = _open(path)
    _check_columns(rows, target, mark)
    sampler = _default_sampler() if sampler is None else sampler
    _check_sampler(sampler)
    measured = quality is not None and quality.wanted
    if quality is not None:
        quality.check(path, out)
    account = Account(path, out, type(sampler).__name__, len(rows.features(target)))
    with _timed(account, "count"):
        counts = _count_classes(rows, target)
        values, sizes = list(counts), list(counts.values())
        labels = check_labels(values, f"column {target!r} of {path}")
        strategy = sampler.sampling_strategy if sampling_strategy is None else sampling_strategy
        added = rows_to_add(labels.tolist(), sizes, strategy)
        _check_space(rows, sum(added), out)
        quotas = training_quotas(sizes, max_train_rows)
    account.before = dict(zip(labels.tolist(), sizes, strict=True))
    account.after = {label: n + more for (label, n), more in zip(account.before.items(), added, strict=True)}
    account.trained_on = dict(zip(labels.tolist(), quotas, strict=True))
    more = dict(zip(labels.tolist(), added, strict=True))
    if measured:
        check_measurable(account.before, more)
    with _timed(account, "draw"):
        training, codes = _draw_rows(rows, target, counts, quotas, np.random.default_rng(seed))
    # How many rows are made is decided by the whole file, not by the rows that are trained on.
    sampler.set_params(random_state=seed, sampling_strategy="auto")
    with _timed(account, "train"):
        sampler.fit(training, labels[codes])
    sample = quality_sample(training, labels[codes], account.before, more, seed=seed) if measured else None
    del training
    with _timed(account, "write"), replacing(out) as temporary:
        made = _new_rows(rows, target, sampler, values, labels, added, seed)
        _write(rows, made, temporary, mark)
    if sample is not None and quality is not None:
        with _timed(account, "measure"):
            account.quality = _measure(account, sampler, sample, quality, seed)
    account.peak_bytes = peak_memory()
    return account


def _measure(account: Account, sampler: Any, sample: QualitySample, files: QualityFiles, seed: int) -> TableQuality:
    """Measure new rows and write what was found; whatever happens, the resampled file is there."""
    try:
        quality = sampler_quality(sampler, sample, seed=seed)
        files.write(quality, account.path.name, [account.sampler])
    except Exception as error:
        raise RuntimeError(
            f"Expected to measure the quality of new rows, but got {type(error).__name__}: {error} The resampled file "
            f"is complete: {account.out}"
        ) from error
    return quality


def _default_sampler() -> Any:
    from latentover import RAESampler

    return RAESampler(**DEFAULT_SAMPLER["init_args"])


@contextmanager
def _timed(account: Account, part: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    account.seconds[part] = time.perf_counter() - start


def read_strategy(text: str) -> str | float | dict[Any, int]:
    """Return the sampling strategy that a text means: a word, a ratio or totals by label, as YAML.

    Raises
    ------
    ValueError

    Examples
    --------
    >>> read_strategy("auto"), read_strategy("0.5"), read_strategy("{fraud: 5000, 1: 20}")
    ('auto', 0.5, {'fraud': 5000, '1': 20})
    >>> read_strategy("{no: 10}")
    {'no': 10}
    """
    try:
        strategy = parse_yaml(text, "sampling_strategy")
        if isinstance(strategy, dict):  # labels as they were written, for to YAML "no" is false
            strategy = dict(zip(yaml.load(text, yaml.BaseLoader), strategy.values(), strict=True))
    except ValueError:
        strategy = None
    if isinstance(strategy, dict) and strategy and all(type(total) is int for total in strategy.values()):
        return strategy
    if type(strategy) in (str, int, float):
        return strategy
    raise ValueError(
        "Expected sampling_strategy to be auto, minority, not minority, a ratio such as 0.5, or totals such as "
        f"{{fraud: 5000}}, but got {text!r}; quote it for the shell."
    )


# ---- How many rows ---------------------------------------------------------------------------------------------------


def rows_to_add(labels: Sequence[Any], sizes: Sequence[int], strategy: str | float | Mapping[Any, int]) -> list[int]:
    """Return how many new rows each class gets, by imbalanced-learn's rules.

    Parameters
    ----------
    labels : sequence of C labels
    sizes : sequence of C int
        Rows of each class.
    strategy : str, float or dict
        The labels of a dict may be given as text.

    Raises
    ------
    ValueError
        If there is one class, the strategy is not one of imbalanced-learn's, names an unknown class, or adds nothing.

    Examples
    --------
    >>> rows_to_add(["no", "yes"], [90, 10], "auto"), rows_to_add([0, 1], [90, 10], {"1": 25})
    ([0, 80], [0, 15])
    """
    if len(labels) < 2:
        raise ValueError(
            f"Expected at least 2 classes, but got 1 class: {labels[0]!r}; there is nothing to balance, name another "
            "target."
        )
    if isinstance(strategy, Mapping):
        by_text = {str(label): code for code, label in enumerate(labels)}
        by_text |= {str(label).lower(): code for code, label in enumerate(labels) if isinstance(label, bool)}
        unknown = [key for key in strategy if str(key) not in by_text]
        if unknown:
            raise ValueError(
                f"Expected sampling_strategy to name classes of {labels[:20]}, but got {unknown[0]!r}; correct it."
            )
        strategy = {by_text[str(key)]: total for key, total in strategy.items()}
    codes = np.repeat(np.arange(len(sizes), dtype=np.min_scalar_type(len(sizes))), sizes)  # a byte or two a row
    more = check_sampling_strategy(strategy, codes, "over-sampling")
    added = [int(more.get(code, 0)) for code in range(len(sizes))]
    if not any(added):
        raise ValueError(
            f"Expected sampling_strategy to ask for new rows, but got {strategy!r} and classes of {list(sizes)[:20]} "
            "rows; ask for more, or keep the file as it is."
        )
    return added


def training_quotas(sizes: Sequence[int], max_rows: int) -> list[int]:
    """Return how many rows of each class to train on: the rarest classes whole, of the others equally many.

    Parameters
    ----------
    sizes : sequence of C int
    max_rows : int
        The sum of the result is at most this.

    Raises
    ------
    ValueError
        If that leaves fewer than two rows for a class that has them.

    Examples
    --------
    >>> training_quotas([900, 60, 5], 205)
    [140, 60, 5]
    """
    if max_rows < 2 * len(sizes):
        raise ValueError(
            f"Expected max_train_rows to be at least 2 for each of the {len(sizes)} classes, but got {max_rows}; train "
            "on more rows."
        )
    quotas, left = [0] * len(sizes), max_rows
    for rank, code in enumerate(np.argsort(sizes, kind="stable").tolist()):
        quotas[code] = min(sizes[code], left // (len(sizes) - rank))
        left -= quotas[code]
    return quotas


# ---- The three passes ------------------------------------------------------------------------------------------------


def _count_classes(rows: "Rows", target: str) -> dict[Any, int]:
    """Return the number of rows of each class, by the values of the target column, in their order."""
    counts: Counter[Any] = Counter()
    for batch in rows.batches([target]):
        counts.update({pair["values"]: pair["counts"] for pair in _plain(batch.column(0)).value_counts().to_pylist()})
        if len(counts) > MAX_CLASSES:
            raise ValueError(
                f"Expected column {target!r} of {rows.path} to hold classes, but got more than {MAX_CLASSES:,} "
                "different values; name another target, or group them first."
            )
    if not counts:
        raise ValueError(f"Expected {rows.path} to have rows, but got none; write some.")
    if missing := counts.pop(None, 0):
        raise ValueError(
            f"Expected column {target!r} of {rows.path} to have no missing values, but got {missing:,}; remove those "
            "rows, or give them a label of their own."
        )
    return dict(sorted(counts.items()))


def _draw_rows(
    rows: "Rows", target: str, counts: Mapping[Any, int], quotas: Sequence[int], rng: np.random.Generator
) -> tuple[pd.DataFrame, np.ndarray]:
    """Return the features of the rows to train on and their class numbers: of each class any subset is as likely.

    Which rows of a batch are taken follows from how many are wanted and how many are still to come, so nothing but the
    rows that were drawn is kept.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    known = pa.array(list(counts), type=_value_type(rows.schema.field(target).type))
    features = rows.features(target)
    wanted, to_come = np.array(quotas), np.array(list(counts.values()))
    drawn, codes = [], []
    for batch in rows.batches([*features, target]):
        numbers = pc.index_in(_plain(batch.column(target)), known).to_numpy()
        chosen = []
        for code in np.unique(numbers):
            members = np.flatnonzero(numbers == code)
            n = rng.hypergeometric(wanted[code], to_come[code] - wanted[code], len(members))
            chosen.append(rng.choice(members, n, replace=False))
            wanted[code] -= n
            to_come[code] -= len(members)
        places = np.sort(np.concatenate(chosen))
        drawn.append(batch.select(features).take(pa.array(places)))
        codes.append(numbers[places])
    return _frame(pa.Table.from_batches(drawn)), np.concatenate(codes)


def _new_rows(
    rows: "Rows", target: str, sampler: Any, values: list[Any], labels: np.ndarray, added: list[int], seed: int
) -> "Iterator[pa.Table]":
    """Yield the new rows, class by class; a table holds those of several classes where they are few."""
    import pyarrow as pa

    pending: list[pa.Table] = []
    for code, n in enumerate(added):
        for start in range(0, n, rows.batch_rows):
            size = min(rows.batch_rows, n - start)
            own_seed = int(np.random.SeedSequence([seed, code, start]).generate_state(1)[0])
            frame = sampler.sample(size, y=labels[code], random_state=own_seed)
            columns = [
                _repeated(values[code], f.type, size)
                if f.name == target
                else (_column(frame[f.name], f.type) if f.name in frame.columns else pa.nulls(size, f.type))
                for f in rows.schema
            ]
            pending.append(pa.Table.from_arrays(columns, schema=rows.schema))
            if sum(table.num_rows for table in pending) >= rows.batch_rows:
                yield pa.concat_tables(pending)
                pending = []
    if pending:
        yield pa.concat_tables(pending)


def _write(rows: "Rows", made: "Iterator[pa.Table]", path: Path, mark: str | None) -> None:
    import pyarrow as pa

    schema = rows.schema if mark is None else rows.schema.append(pa.field(mark, pa.bool_()))

    def marked(part: "pa.RecordBatch | pa.Table", *, new: bool) -> "pa.Table":
        columns = part.columns if mark is None else [*part.columns, pa.repeat(new, part.num_rows)]
        return pa.Table.from_arrays(columns, schema=schema)

    with rows.writer(path, schema) as writer:
        for batch in rows.batches():
            writer.write_table(marked(batch, new=False))
        for table in made:
            writer.write_table(marked(table, new=True))


# ---- Files as streams ------------------------------------------------------------------------------------------------


class Rows(ABC):
    """A table as a stream of record batches.

    Attributes
    ----------
    path : Path
    schema : pyarrow.Schema
    batch_rows : int
        How many rows are read or made at a time.
    index : list of str
        Names of the columns that are an index of pandas and no features.
    """

    def __init__(self, path: Path, schema: "pa.Schema") -> None:
        self.path, self.schema = path, schema
        row_bytes = sum(map(_value_bytes, schema.types))
        self.batch_rows = max(1, min(MAX_BATCH_ROWS, int(BATCH_BYTES // max(row_bytes, 1))))
        described = (schema.pandas_metadata or {}).get("index_columns", [])
        self.index = [column for column in described if isinstance(column, str)]

    def features(self, target: str) -> list[str]:
        """Return the names of the columns to learn from."""
        return [name for name in self.schema.names if name != target and name not in self.index]

    @abstractmethod
    def batches(self, columns: Sequence[str] | None = None) -> "Iterator[pa.RecordBatch]":
        """Yield the rows in their order, all columns or those that are named."""

    @abstractmethod
    def writer(self, path: Path, schema: "pa.Schema") -> Any:
        """Return a writer of a file like this one, to be used as a context."""


class ParquetRows(Rows):
    """A Parquet file; a batch ends where a row group does, and is a row group where it is written."""

    def __init__(self, path: Path) -> None:
        import pyarrow.parquet

        # With a buffer, or else the bytes of a whole column of a row group are read at once.
        self.file = pyarrow.parquet.ParquetFile(path, buffer_size=2**20)
        super().__init__(path, self.file.schema_arrow)

    def batches(self, columns: Sequence[str] | None = None) -> "Iterator[pa.RecordBatch]":
        """Yield the rows in their order, all columns or those that are named."""
        for group in range(self.file.num_row_groups):
            yield from self.file.iter_batches(self.batch_rows, row_groups=[group], columns=columns)

    def writer(self, path: Path, schema: "pa.Schema") -> Any:
        """Return a writer of a file like this one, to be used as a context."""
        import pyarrow.parquet

        group = self.file.metadata.row_group(0)
        columns = [group.column(i) for i in range(group.num_columns)]
        codecs = {column.path_in_schema: column.compression.lower() for column in columns}
        codecs = {name: "none" if codec == "uncompressed" else codec for name, codec in codecs.items()}
        return pyarrow.parquet.ParquetWriter(path, schema, compression=codecs)


class CsvRows(Rows):
    """A CSV file; the types of its columns are those of its first block."""

    def __init__(self, path: Path) -> None:
        self.types: dict[str, Any] = {}
        with self._reader(path) as reader:
            super().__init__(path, reader.schema)
        self.types = dict(zip(self.schema.names, self.schema.types, strict=True))

    def _reader(self, path: Path, columns: Sequence[str] | None = None) -> Any:
        import pyarrow.csv

        options = pyarrow.csv.ConvertOptions(include_columns=list(columns or ()), column_types=self.types)
        return pyarrow.csv.open_csv(path, pyarrow.csv.ReadOptions(block_size=CSV_BLOCK_BYTES), convert_options=options)

    def batches(self, columns: Sequence[str] | None = None) -> "Iterator[pa.RecordBatch]":
        """Yield the rows in their order, all columns or those that are named."""
        with self._reader(self.path, columns) as reader, _readable(self.path):
            yield from reader

    def writer(self, path: Path, schema: "pa.Schema") -> Any:
        """Return a writer of a file like this one, to be used as a context."""
        import pyarrow.csv

        return pyarrow.csv.CSVWriter(path, schema)


def _open(path: Path) -> Rows:
    try:
        import pyarrow  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f'Expected pyarrow to be installed to read {path}; run pip install "latentover[parquet]".'
        ) from error
    with _readable(path):
        return ParquetRows(path) if path.suffix.lower() == ".parquet" else CsvRows(path)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except pa.ArrowException as error:
        raise ValueError(
            f"Expected {path} to be a readable {path.suffix.lower()} file, but got {type(error).__name__}: {error}"
        ) from error


# ---- Columns ---------------------------------------------------------------------------------------------------------


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


# ---- Checks ----------------------------------------------------------------------------------------------------------


def _check_files(path: Path, out: Path) -> None:
    if not path.is_file():
        raise FileNotFoundError(f"Expected a table, but {path} does not exist or is no file; name a .parquet or .csv.")
    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(f"Expected a table that ends in {' or '.join(SUFFIXES)}, but got {path.name!r}; convert it.")
    if out.suffix.lower() != path.suffix.lower():
        raise ValueError(
            f"Expected the output to end in {path.suffix.lower()}, as the input does, but got {out.name!r}; rename it."
        )
    if out.exists():
        raise FileExistsError(f"Expected {out} to be a free name, but it exists; delete it or choose another one.")
    check_free_file(out)


def _check_columns(rows: Rows, target: str, mark: str | None) -> None:
    import pyarrow as pa

    names = rows.schema.names
    check_names(names, rows.path)
    if target not in names:
        guess = nearest(target, names)
        hint = f"did you mean {guess!r}? " if guess else ""
        raise ValueError(
            f"Expected `target` to be a column of {rows.path}, but got {target!r}; {hint}The columns are {names}."
        )
    if not rows.features(target):
        raise ValueError(f"Expected {rows.path} to have feature columns beside {target!r}, but got none; add some.")
    if mark in names:
        raise ValueError(f"Expected `mark` to be a new column, but {rows.path} has {mark!r}; choose another name.")
    for name in rows.features(target):
        kind = rows.schema.field(name).type
        if pa.types.is_nested(kind) or pa.types.is_null(kind):
            raise ValueError(
                f"Expected columns of numbers, text, booleans, categories or times in {rows.path}, but column {name!r} "
                f"holds {kind}; leave it out."
            )


def _check_space(rows: Rows, added: int, out: Path) -> None:
    """Raise ValueError if the new rows, with a byte for each value, would not fit beside `out`."""
    size, free = added * len(rows.schema), shutil.disk_usage(out.parent).free
    if size > free:
        raise ValueError(
            f"Expected sampling_strategy to ask for rows that fit on the disk, but got {added:,} new ones, which take "
            f"at least {size / 1e9:,.0f} GB where {free / 1e9:,.0f} GB are free; ask for fewer."
        )


def _check_sampler(sampler: Any) -> None:
    if not callable(getattr(sampler, "sample", None)):
        raise ValueError(
            "Expected a sampler that makes rows of a class by sample(n, y), as all of latentover do, but got "
            f"{type(sampler).__name__}; for SMOTE and its kin take latentover.ClassicalSampler."
        )
