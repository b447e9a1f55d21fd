"""How good the new rows are that ``latentover resample`` and ``latentover generate`` write: a page, and JSON."""

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.model_selection import StratifiedKFold

from latentover.data.imbalance import training_quotas
from latentover.data.tables import TableOptions, read_table
from latentover.experiments.evaluate import generator_of, load_run
from latentover.files import check_free_file, write_json
from latentover.metrics import TableQuality, table_quality
from latentover.metrics.resampling_effect import effect_of_folds
from latentover.report import write_table_quality
from latentover.tables import TableFormat
from latentover.tables.dependencies import Dependencies

FOLDS = 3
MAX_ROWS = 20_000
"""Rows that are looked at, of the rarest classes all."""
FEWEST = 2 * FOLDS
"""Rows of a class below which it is left out: a sampler has to be fitted to two thirds of them."""


@dataclass(frozen=True)
class QualityFiles:
    """Where the quality of new rows is written; none is wanted where both are None.

    Attributes
    ----------
    report : path or None
        A page, ``.html``.
    json : path or None
        ``"-"``: whoever asks for it prints it.
    """

    report: str | os.PathLike[str] | None = None
    json: str | os.PathLike[str] | None = None

    @property
    def wanted(self) -> bool:
        """Whether there is something to write."""
        return self.report is not None or self.json is not None

    def check(self, *others: str | os.PathLike[str]) -> None:
        """Raise ValueError or OSError unless both can be written and differ from each other and from `others`."""
        taken = [Path(path).absolute() for path in others]
        for name, path, suffix in (("report", self.report, ".html"), ("json", self.json, ".json")):
            if path in (None, "-"):
                continue
            if Path(path).suffix.lower() != suffix:
                raise ValueError(f"Expected --{name} to end in {suffix}, but got {os.fspath(path)!r}; rename it.")
            if Path(path).absolute() in taken:
                raise ValueError(f"Expected --{name} to be a file of its own, but got {os.fspath(path)!r} twice.")
            taken.append(Path(path).absolute())
            check_free_file(path)

    def write(self, quality: TableQuality, title: str, facts: Sequence[str]) -> None:
        """Write what is wanted."""
        if self.report is not None:
            write_table_quality(quality, self.report, title=title, facts=facts)
        if self.json not in (None, "-"):
            write_json(self.json, quality.to_dict())


# ---- Of a sampler ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class QualitySample:
    """Rows to measure a sampler on, and how many rows they stand for.

    Attributes
    ----------
    X : DataFrame
    y : ndarray
    counts, added : dict of label to int
        Rows of each class in the whole table, and new ones.
    left_out : tuple
        Classes with too few rows.
    """

    X: pd.DataFrame
    y: np.ndarray
    counts: Mapping[Any, int]
    added: Mapping[Any, int]
    left_out: tuple[Any, ...]


def check_measurable(counts: Mapping[Any, int], added: Mapping[Any, int]) -> None:
    """Raise ValueError unless two classes have rows enough, one of them with new rows."""
    enough = [label for label, n in counts.items() if n >= FEWEST]
    if len(enough) < 2 or not any(added[label] for label in enough):
        raise ValueError(
            f"Expected at least 2 classes of {FEWEST} rows or more, one of them with new rows, to measure their "
            f"quality, but got {dict(list(counts.items())[:20])}; leave --report and --json out."
        )


def quality_sample(
    X: pd.DataFrame, y: np.ndarray, counts: Mapping[Any, int], added: Mapping[Any, int], *, seed: int = 0
) -> QualitySample:
    """Draw the rows to measure on: of at most `MAX_ROWS`, all of the rarest classes, of the others equally many.

    Parameters
    ----------
    X : DataFrame of shape (n, d)
    y : ndarray of shape (n,)
    counts, added : mapping of label to int
        Rows of each class in the whole table, and new ones.
    seed : int, default=0
    """
    labels = [label for label, n in counts.items() if n >= FEWEST]
    members = [np.flatnonzero(y == label) for label in labels]
    quotas = training_quotas([len(rows) for rows in members], max(MAX_ROWS, FEWEST * len(labels)))
    rng = np.random.default_rng(seed)
    rows = np.sort(np.concatenate([rng.permutation(own)[:n] for own, n in zip(members, quotas, strict=True)]))
    return QualitySample(
        X.iloc[rows].reset_index(drop=True),
        y[rows],
        {label: counts[label] for label in labels},
        {label: added[label] for label in labels},
        tuple(label for label in counts if label not in labels),
    )


def sampler_quality(sampler: Any, sample: QualitySample, *, seed: int = 0) -> TableQuality:
    """Measure a sampler on rows that it has not seen, by fitting it anew on two thirds of the rows, three times.

    The first fit's rows are looked at beside the third that was held out; what new rows do to classifiers is scored on
    all three, with the classes as rare as in the whole table.

    Parameters
    ----------
    sampler : over-sampler with ``fit`` and ``sample``
        It is cloned; if it is fitted, its clones have the identifiers that it found, in more rows than theirs.
    sample : QualitySample
    seed : int, default=0

    Returns
    -------
    TableQuality
    """
    X, y = sample.X, sample.y
    folds: list[Any] = []
    identifiers: list[Any] = []
    dependencies: Dependencies | None = None
    for fitted, tested in StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(X, y):
        train, own = X.iloc[fitted].reset_index(drop=True), y[fitted]
        fresh = clone(sampler)
        known = fresh.get_params()
        settings = {"random_state": seed, "sampling_strategy": "auto", "verbose": 0}
        if hasattr(sampler, "format_"):
            settings["identifiers"] = known_columns(sampler)[0]
        fresh.set_params(**{name: value for name, value in settings.items() if name in known})
        fresh.fit(train, own)
        new, y_new = _new_rows(fresh, own, sample, len(fitted) / len(y), seed)
        test = X.iloc[tested].reset_index(drop=True)
        folds.append([(train, own), (new, y_new), (test, y[tested])])
        if len(folds) == 1:
            identifiers, dependencies = known_columns(fresh)
    effect = effect_of_folds(
        folds, class_counts=sample.counts, new_counts=sample.added, skip=identifiers, random_state=seed
    )
    (train, y_train), (new, y_new), (test, y_test) = folds[0]
    quality = table_quality(
        train,
        new,
        test,
        y_real=y_train,
        y_new=y_new,
        y_holdout=y_test,
        dependencies=dependencies,
        identifiers=identifiers,
        effect=effect,
        random_state=seed,
    )
    notes = [
        f"Measured on a fit of its own: the sampler was fitted anew to two thirds of {len(y):,} rows, and the others "
        "were held out. The rows in the file come from another fit, to all training rows.",
        *quality.notes,
    ]
    if sample.left_out:
        few = ", ".join(map(str, sample.left_out[:8]))
        notes.append(f"Classes of fewer than {FEWEST} rows are not looked at: {few}.")
    return replace(quality, notes=tuple(notes))


def _new_rows(
    sampler: Any, y: np.ndarray, sample: QualitySample, share: float, seed: int
) -> tuple[pd.DataFrame, np.ndarray]:
    """Return new rows in the proportions of the whole table, of each class no more than can be looked at."""
    wanted = {label: n for label, n in sample.added.items() if n}
    most = max(MAX_ROWS // len(wanted), 1)
    frames, labels = [], []
    for label, n in wanted.items():
        size = min(max(round(share * n), 1), most)
        frames.append(sampler.sample(size, y=label, random_state=seed))
        labels.append(np.full(size, label, dtype=y.dtype))
    return pd.concat(frames, ignore_index=True), np.concatenate(labels)


def known_columns(generator: Any) -> tuple[list[Any], Dependencies | None]:
    """Return the columns that a fitted generator takes for names of rows, and the dependencies that it keeps."""
    known = getattr(generator, "format_", None)
    return (known.identifiers, known.dependencies) if isinstance(known, TableFormat) else ([], None)


# ---- Of a run --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RealRows:
    """Real rows to compare with: those that were learned from, and those that were not."""

    X: pd.DataFrame
    y: np.ndarray
    X_holdout: pd.DataFrame | None
    y_holdout: np.ndarray | None


def read_real(
    real: str | os.PathLike[str] | None,
    target: str | None,
    holdout: str | os.PathLike[str] | None = None,
    options: TableOptions | None = None,
    *,
    identifiers: Sequence[str] = (),
) -> RealRows:
    """Read the tables that generated rows are compared with; labels become text, as the command line has them.

    Both are read with the same options; see `latentover.data.tables.read_table`.

    Raises
    ------
    ValueError
        If no table or no target is named, or a file cannot be read.
    """
    if real is None:
        raise ValueError(
            "Expected --real with --report, for a run keeps no row to compare with, but got none; name the "
            "table that it was trained on, and with --holdout rows that it has not seen."
        )
    if target is None:
        raise ValueError(f"Expected --target to name the label column of {os.fspath(real)}, but got none; name it.")
    source = read_table(Path(real), target, options, identifiers=identifiers)
    unseen = None if holdout is None else read_table(Path(holdout), target, options, identifiers=identifiers)
    return RealRows(
        source.X,
        source.y.astype(str),
        None if unseen is None else unseen.X,
        None if unseen is None else unseen.y.astype(str),
    )


def generated_quality(
    run: str | os.PathLike[str],
    label: str,
    n: int,
    rows: RealRows,
    *,
    seed: int = 0,
    trust_modules: Collection[str] = (),
) -> TableQuality:
    """Measure the rows that `latentover.experiments.generate.generate` writes with the same arguments.

    Raises
    ------
    ValueError
        If the run generates no table, or one of other columns than the real rows have.
    """
    generator = generator_of(load_run(run, trust_modules=trust_modules))
    layout = getattr(generator, "format_", None)
    if generator is None or getattr(layout, "kind", "") != "table":
        raise ValueError(
            f"Expected a run that generates rows of a table, but {os.fspath(run)} does not; score images by "
            "latentover evaluate --features."
        )
    known = {str(c): c for c in generator.classes_}
    made = generator.sample(n, y=known[label], random_state=seed)
    new = made if isinstance(made, pd.DataFrame) else pd.DataFrame(np.asarray(made))
    if not isinstance(made, pd.DataFrame) and new.shape[1] == rows.X.shape[1]:
        new.columns = rows.X.columns
    identifiers, dependencies = known_columns(generator)
    return table_quality(
        rows.X,
        new,
        rows.X_holdout,
        y_real=rows.y,
        y_new=np.full(len(new), label),
        y_holdout=rows.y_holdout,
        identifiers=identifiers,
        dependencies=dependencies,
        random_state=seed,
    )
