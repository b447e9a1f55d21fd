"""A balanced copy of a table that need not fit into memory: its rows as they are, then new ones.

The file is read three times, as a stream: its classes are counted, the rows to train on are drawn, all rows are copied.
The rows of a CSV file are copied as bytes: what its cells mean is asked for the training alone.
"""

import os
import shutil
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from latentover.data.imbalance import training_quotas
from latentover.data.rows import Rows, open_rows
from latentover.data.source import check_labels, class_number
from latentover.data.tables import TABLE_SUFFIXES, TableOptions, check_exists
from latentover.estimators.labels import check_strategy
from latentover.experiments.environment import peak_memory
from latentover.experiments.quality import (
    QualityFiles,
    QualitySample,
    check_measurable,
    known_columns,
    quality_sample,
    sampler_quality,
)
from latentover.experiments.recipe import check_seed, load_sampler
from latentover.experiments.strict import parse_yaml
from latentover.files import check_free_file, replacing
from latentover.metrics import TableQuality
from latentover.tables.format import Constraints
from latentover.tables.identifiers import NewIdentifiers, find_identifiers

DEFAULT_SAMPLER = "latentover.RAESampler"
KNOWN_IDENTIFIERS = 2_000_000
"""With at most so many rows in the balanced copy, no new identifier is one that is in it already."""


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
    dropped : list of str
        Columns that were not learned from: new rows have no values there.
    identifiers : list of str
        Columns that were not learned from either: new rows have new values there, or none.
    kept : list of str
        What holds exactly between columns, in new rows too.
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
    dropped: list[str] = field(default_factory=list)
    identifiers: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
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
                *([f"not learned, missing in new rows: {', '.join(self.dropped)}"] if self.dropped else []),
                *([f"identifiers, not learned: {', '.join(self.identifiers)}"] if self.identifiers else []),
                *([f"kept in new rows: {'; '.join(self.kept)}"] if self.kept else []),
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
    options: TableOptions | None = None,
    identifiers: Sequence[str] = (),
    new_identifiers: NewIdentifiers | None = None,
    constraints: Constraints | None = None,
    quality: QualityFiles | None = None,
) -> Account:
    """Write the rows of a table and, below them, new rows of its rare classes.

    Rows come out as they went in, in their order: a CSV file byte for byte, a Parquet file with its types and metadata.
    New rows are written as the file writes its own: separator, decimals, dates, booleans, quotes. In memory are the
    rows that are trained on, and of the others some tens of megabytes at a time.

    Parameters
    ----------
    path : path
        A ``.parquet`` or ``.csv`` file, or a folder of Parquet files (also in folders ``year=2024``). All columns are
        features but the target, an index that pandas has put there, and those without any value; new rows have none.
    target : str
        Name of the label column.
    out : path
        A free name that ends in ``.csv`` or ``.parquet``. The file appears there when it is complete. In the other
        format than `path` its rows have the values of the cells, in types that fit them.
    sampler : over-sampler with ``sample``, optional
        Default: `latentover.RAESampler`. Its ``random_state`` is set to `seed`.
    sampling_strategy : str, float or dict, optional
        As in imbalanced-learn, of the rows of the file: ``"auto"`` brings every class to the size of the largest, a
        dict gives final totals by label, as it is or as the file writes it. Default: that of the sampler.
    seed : int, default=0
        The same seed gives the same rows.
    max_train_rows : int, default=100_000
        At most so many rows are trained on: all of the rarest classes, and of the larger ones a sample.
    mark : str, optional
        Name of a column to add, true in new rows and false in the others.
    options : TableOptions, optional
        How the table is read; columns in ``drop`` are not learned from, and missing in new rows.
    identifiers : sequence of str
        Columns whose values are names of single rows or persons, beside those that the sampler finds.
    new_identifiers : {"fresh", "missing"}, optional
        What new rows have there: values of the same form, no two alike and none of which is in the file (of files with
        more than `KNOWN_IDENTIFIERS` rows: hardly any), or nothing. Default: as the sampler says.
    constraints : "auto", "none" or list of str, optional
        What holds exactly between columns and is kept. Default: as the sampler says.
    quality : QualityFiles, optional
        Where to write how good new rows are, which takes three more fits of the sampler, to parts of the rows.

    Returns
    -------
    Account

    Raises
    ------
    FileNotFoundError, FileExistsError, PermissionError, NotADirectoryError
        If there is no file `path`, one at `out`, or none can be made there.
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
    check_seed(seed)
    _check_out(path, out)
    sampler = load_sampler(DEFAULT_SAMPLER) if sampler is None else sampler
    given = {"identifiers": identifiers or None, "new_identifiers": new_identifiers, "constraints": constraints}
    settings = {name: value for name, value in given.items() if value is not None}
    _check_sampler(sampler, settings)
    measured = quality is not None and quality.wanted
    if quality is not None:
        quality.check(path, out)
    start = time.perf_counter()
    rows = open_rows(path, target, options, identifiers=identifiers)
    if mark in rows.names:
        raise ValueError(f"Expected `mark` to be a new column, but {path} has {mark!r}; choose another name.")
    account = Account(path, out, type(sampler).__name__, len(rows.features), [*rows.dropped, *rows.blank])
    sizes = list(rows.counts.values())
    labels = check_labels(np.array(list(rows.counts), dtype=object), f"column {target!r} of {path}")
    strategy = sampler.sampling_strategy if sampling_strategy is None else sampling_strategy
    added = rows_to_add(labels.tolist(), sizes, strategy, [rows.spellings(label) for label in rows.counts])
    _check_space(rows, sum(added), out)
    quotas = training_quotas(sizes, max_train_rows)
    account.seconds["count"] = time.perf_counter() - start
    account.before = dict(zip(labels.tolist(), sizes, strict=True))
    account.after = {label: n + more for (label, n), more in zip(account.before.items(), added, strict=True)}
    account.trained_on = dict(zip(labels.tolist(), quotas, strict=True))
    more = dict(zip(labels.tolist(), added, strict=True))
    if measured:
        check_measurable(account.before, more)
    with _timed(account, "draw"):
        training, codes = _draw_rows(rows, quotas, np.random.default_rng(seed))
    # How many rows are made is decided by the whole file, not by the rows that are trained on.
    sampler.set_params(random_state=seed, sampling_strategy="auto")
    if identifiers:
        settings["identifiers"] = _all_identifiers(sampler.get_params()["identifiers"], rows.identifiers, training)
    sampler.set_params(**settings)
    with _timed(account, "train"):
        sampler.fit(training, labels[codes])
    account.identifiers, dependencies = known_columns(sampler)
    account.kept = [] if dependencies is None else dependencies.describe()
    sample = quality_sample(training, labels[codes], account.before, more, seed=seed) if measured else None
    with _timed(account, "write"), replacing(out) as temporary:
        fresh = _fresh_identifiers(rows, sampler, training, sum(added), seed)
        del training
        rows.write(temporary, _new_rows(rows, sampler, labels, added, seed, fresh), mark, suffix=out.suffix)
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


def read_constraints(texts: Sequence[str] | None) -> Constraints | None:
    """Return the parameter `constraints` of samplers that texts of a command line mean.

    Examples
    --------
    >>> read_constraints(["none"]), read_constraints(["opened <= closed"]), read_constraints(None)
    ('none', ['opened <= closed'], None)
    """
    words = [text.strip() for text in texts or ()]
    return None if texts is None else words[0] if len(words) == 1 and words[0] in ("auto", "none") else words


# ---- How many rows ---------------------------------------------------------------------------------------------------


def rows_to_add(
    labels: Sequence[Any],
    sizes: Sequence[int],
    strategy: str | float | Mapping[Any, int],
    spellings: Sequence[Collection[str]] | None = None,
) -> list[int]:
    """Return how many new rows each class gets, by imbalanced-learn's rules.

    Parameters
    ----------
    labels : sequence of C labels
    sizes : sequence of C int
        Rows of each class.
    strategy : str, float or dict
        The labels of a dict may be given as text.
    spellings : sequence of C collections of str, optional
        How a file writes each label; default: as Python does.

    Raises
    ------
    ValueError
        If there is one class, the strategy is not one of imbalanced-learn's, names an unknown class or one twice, or
        adds nothing.

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
        found = [(class_number(key, labels, spellings), total) for key, total in strategy.items()]
        if (unknown := [key for key, (code, _) in zip(strategy, found, strict=True) if code is None]) or len(
            {code for code, _ in found}
        ) < len(found):
            what = repr(unknown[0]) if unknown else f"one of them twice: {list(strategy)}"
            raise ValueError(
                f"Expected sampling_strategy to name classes of {list(labels)[:20]}, but got {what}; correct it."
            )
        strategy = dict(found)
    codes = np.repeat(np.arange(len(sizes), dtype=np.min_scalar_type(len(sizes))), sizes)  # a byte or two a row
    more = check_strategy(strategy, codes)
    added = [int(more.get(code, 0)) for code in range(len(sizes))]
    if not any(added):
        raise ValueError(
            f"Expected sampling_strategy to ask for new rows, but got {strategy!r} and classes of {list(sizes)[:20]} "
            "rows; ask for more, or keep the file as it is."
        )
    return added


# ---- Drawing and making rows -----------------------------------------------------------------------------------------


def _draw_rows(rows: Rows, quotas: Sequence[int], rng: np.random.Generator) -> tuple[pd.DataFrame, np.ndarray]:
    """Return the features of the rows to train on and their class numbers: of each class any subset is as likely.

    Which rows of a part are taken follows from how many are wanted and how many are still to come, so nothing but the
    rows that were drawn is kept.
    """
    known, wanted, to_come = list(rows.counts), np.array(quotas), np.array(list(rows.counts.values()))
    drawn, codes = [], []
    for part in rows.parts():
        numbers = part.class_numbers(known)
        chosen = []
        for code in np.unique(numbers):
            members = np.flatnonzero(numbers == code)
            n = rng.hypergeometric(wanted[code], to_come[code] - wanted[code], len(members))
            chosen.append(rng.choice(members, n, replace=False))
            wanted[code] -= n
            to_come[code] -= len(members)
        places = np.sort(np.concatenate(chosen))
        if len(places):
            drawn.append(part.take(places))
            codes.append(numbers[places])
    return rows.frame(drawn), np.concatenate(codes)


def _new_rows(
    rows: Rows, sampler: Any, labels: np.ndarray, added: Sequence[int], seed: int, fresh: pd.DataFrame | None
) -> Iterator[tuple[Any, pd.DataFrame]]:
    """Yield the labels and features of new rows, class by class, some rows at a time; with `fresh` identifiers."""
    made = 0
    for code, (label, n) in enumerate(zip(rows.counts, added, strict=True)):
        for start in range(0, n, rows.batch_rows):
            size = min(rows.batch_rows, n - start)
            own_seed = int(np.random.SeedSequence([seed, code, start]).generate_state(1)[0])
            new = sampler.sample(size, y=labels[code], random_state=own_seed)
            yield label, new if fresh is None else sampler.format_.with_identifiers_of(new, fresh[made : made + size])
            made += size


def _all_identifiers(known: Any, named: list[str], training: pd.DataFrame) -> list[str]:
    """Return the columns that are named and those that a sampler with `identifiers` set to `known` has besides."""
    if isinstance(known, str):
        return find_identifiers(training, named) if known == "auto" else named
    return list(dict.fromkeys([*named, *known]))


def _fresh_identifiers(rows: Rows, sampler: Any, training: pd.DataFrame, n: int, seed: int) -> pd.DataFrame | None:
    """Return identifiers of all n new rows that no row of the file has, and no two of them; None for the sampler's own.

    The sampler does not know those of rows that it was not trained on, nor those that it made before.
    """
    names, total = known_columns(sampler)[0], sum(rows.counts.values())
    if not names or total + n > KNOWN_IDENTIFIERS:
        return None
    taken = training[names] if len(training) == total else rows.read(names)
    return pd.DataFrame(sampler.format_.fresh_identifiers(n, np.random.default_rng([seed, n]), taken))


# ---- Checks ----------------------------------------------------------------------------------------------------------


def _check_out(path: Path, out: Path) -> None:
    check_exists(path)
    if out.suffix.lower() not in TABLE_SUFFIXES:
        raise ValueError(
            f"Expected the output to end in {' or '.join(TABLE_SUFFIXES)}, but got {out.name!r}; rename it."
        )
    if out.exists():
        raise FileExistsError(f"Expected {out} to be a free name, but it exists; delete it or choose another one.")
    check_free_file(out)


def _check_space(rows: Rows, added: int, out: Path) -> None:
    """Raise ValueError if the new rows, with a byte for each value, would not fit beside `out`."""
    size, free = added * len(rows.names), shutil.disk_usage(out.parent).free
    if size > free:
        raise ValueError(
            f"Expected sampling_strategy to ask for rows that fit on the disk, but got {added:,} new ones, which take "
            f"at least {size / 1e9:,.0f} GB where {free / 1e9:,.0f} GB are free; ask for fewer."
        )


def _check_sampler(sampler: Any, settings: Mapping[str, Any]) -> None:
    if not callable(getattr(sampler, "sample", None)):
        raise ValueError(
            "Expected a sampler that makes rows of a class by sample(n, y), as all of latentover do, but got "
            f"{type(sampler).__name__}; for SMOTE and its kin take latentover.ClassicalSampler."
        )
    unknown = [name for name in settings if name not in sampler.get_params()]
    if unknown:
        instead = "; leave the columns out instead, with drop (--drop)." if unknown[0] == "identifiers" else "."
        raise ValueError(f"Expected a sampler that knows {unknown[0]}, but got {type(sampler).__name__}{instead}")
