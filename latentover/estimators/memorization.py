"""Does a generator give its training rows away? What it makes of each rare class, beside the data of its fit."""

import textwrap
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from latentover import notebook
from latentover.estimators.base import check_lengths
from latentover.estimators.labels import check_labels
from latentover.metrics import ClassMemorization, ColumnCopies, column_copies, memorization_per_class

_MADE_FROM_ROWS = (
    "{name} makes each sample from the training rows themselves; SMOTE's lie on the line between two of them, so the "
    "distances are small. Whoever has the samples knows much about the rows: do not take them for anonymous."
)
_MADE_BY_NETWORKS = (
    "Samples of {name} come out of networks that learned from the training rows: the numbers say how near they lie to "
    "them, not that they are anonymous."
)

_HEAD = ("class", "rows", "copies", "twins", "too near", "distance", "")
_COLUMN_HEAD = ("column", "copied", "usual", "different")
_SHOWN = 20
"""Columns that are printed."""


@dataclass(frozen=True, repr=False)
class MemorizationReport:
    """How near generated samples lie to the training data, class by class; `print` shows it as a table.

    Attributes
    ----------
    classes : dict of label to latentover.metrics.ClassMemorization
        Of each rare class: shares of copies, and distances to the training data.
    n_samples : int
        Generated samples of each class.
    note : str
        What to keep in mind about generators of this kind.
    columns : dict of column to latentover.metrics.ColumnCopies
        Of a table: new values of each column, of all these classes together, that a single training row has. Empty for
        images.
    """

    classes: dict[Any, ClassMemorization]
    n_samples: int
    note: str
    columns: dict[Any, ColumnCopies] = field(default_factory=dict)

    @property
    def flagged(self) -> list[Any]:
        """The classes whose samples repeat training rows."""
        return [label for label, found in self.classes.items() if found.flagged]

    @property
    def flagged_columns(self) -> list[Any]:
        """The columns whose new values are those of single training rows."""
        return [name for name, found in self.columns.items() if found.flagged]

    def to_frame(self) -> pd.DataFrame:
        """Return a row a class, with the columns of `latentover.metrics.ClassMemorization`."""
        frame = pd.DataFrame(list(self.classes.values()), columns=list(ClassMemorization._fields))
        return frame.set_axis(pd.Index(list(self.classes), name="class"))

    def columns_frame(self) -> pd.DataFrame:
        """Return a row a column of a table, with the columns of `latentover.metrics.ColumnCopies`."""
        frame = pd.DataFrame(list(self.columns.values()), columns=list(ColumnCopies._fields))
        return frame.set_axis(pd.Index(list(self.columns), name="column"))

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as JSON-able values, with None for what is not defined."""
        return {
            "n_samples": self.n_samples,
            "classes": {
                str(label): {name: None if value != value else value for name, value in found._asdict().items()}
                for label, found in self.classes.items()
            },
            "flagged": [str(label) for label in self.flagged],
            "columns": {str(name): found._asdict() for name, found in self.columns.items()},
            "flagged_columns": [str(name) for name in self.flagged_columns],
            "note": self.note,
        }

    def __repr__(self) -> str:
        width = max(len(str(label)) for label in ["class", *self.classes])
        lines = [
            f"{label:<{width}}  {rows:>7}  {copies:>7}  {twins:>7}  {near:>8}  {ratio:>8}{said and f'  {said}'}"
            for label, rows, copies, twins, near, ratio, said in [_HEAD, *self._cells()]
        ]
        parts = ["\n".join(lines), textwrap.fill(self._legend(), 100), *self._column_parts()]
        return "\n\n".join([*parts, textwrap.fill(self.note, 100)])

    def _repr_html_(self) -> str:
        parts = [notebook.table(_HEAD, self._cells()), notebook.note(self._legend())]
        copied = [
            (name, f"{found.copied:.1%}", f"{found.usual:.1%}", f"{found.distinct:,}")
            for name, found in self._copied()[:_SHOWN]
        ]
        if copied:
            parts.append(notebook.table(_COLUMN_HEAD, copied))
        return notebook.page(*parts, notebook.note(self.note))

    def _cells(self) -> list[tuple[str, ...]]:
        """Return what is said of each class."""
        return [
            (
                str(label),
                f"{found.n_train:,}",
                *(f"{share:.1%}" for share in (found.copies, found.twins, found.nearer)),
                "n/a" if found.distance_ratio != found.distance_ratio else f"{found.distance_ratio:.2f}",
                "repeats rows" if found.flagged else "",
            )
            for label, found in self.classes.items()
        ]

    def _legend(self) -> str:
        return (
            f"{self.n_samples:,} new samples of each class. copies: equal a training row; twins: rows that equal "
            "another one; too near: nearer to a training row than 95 % of the rows are to each other (about 5 % of "
            "independent samples are); distance: to the nearest training row, over that of the rows among themselves "
            "(about 1 for independent samples, 0 for copies)."
        )

    def _copied(self) -> list[tuple[Any, ColumnCopies]]:
        """Return the columns with copied values, those that are flagged first."""
        copied = [(name, found) for name, found in self.columns.items() if found.copied]
        return sorted(copied, key=lambda item: (not item[1].flagged, -item[1].copied))

    def _column_parts(self) -> list[str]:
        """The columns with copied values, those that are flagged first, and a legend."""
        copied = self._copied()
        if not copied:
            return ["No new value of a column is that of a single training row."] if self.columns else []
        width = max(len(str(name)) for name in ["column", *(name for name, _ in copied[:_SHOWN])])
        lines = ["{:<{width}}  {:>7}  {:>7}  {:>9}".format(*_COLUMN_HEAD, width=width)]
        for name, found in copied[:_SHOWN]:
            lines.append(
                f"{name!s:<{width}}  {found.copied:>7.1%}  {found.usual:>7.1%}  {found.distinct:>9,}"
                f"{'  copies values' if found.flagged else ''}"
            )
        if len(copied) > _SHOWN:
            lines.append(f"and {len(copied) - _SHOWN} columns more")
        legend = (
            "copied: share of new values that a single training row has; usual: the share that independent rows would "
            "have; different: how many values they are."
        )
        return ["\n".join(lines), textwrap.fill(legend, 100)]


def memorization_report(
    generator: Any, X: Any, y: Any, *, n_samples: int = 200, random_state: Any = 0
) -> MemorizationReport:
    """Compare what a fitted generator makes with the rows that it was fitted to; see `BaseGenerator`."""
    check_is_fitted(generator)
    if not isinstance(n_samples, int | np.integer) or isinstance(n_samples, bool) or n_samples < 1:
        raise ValueError(f"Expected n_samples to be a number of samples, 1 or more, but got {n_samples!r}.")
    X, y = generator._check_input(X, reset=False), check_labels(y)[0]
    check_lengths(X, y)
    numbers, labels = generator._class_numbers(y), generator.classes_.tolist()
    counts = np.bincount(numbers, minlength=len(labels))
    if counts.tolist() != generator.class_counts_.tolist():
        known, got = (dict(zip(labels, sizes.tolist(), strict=True)) for sizes in (generator.class_counts_, counts))
        raise ValueError(
            f"Expected X and y to be the data of fit, with {known} samples of each class, but got {got}; pass that."
        )
    rare = np.flatnonzero(counts < counts.max()) if counts.min() < counts.max() else np.arange(len(labels))

    def features(rows: Any) -> np.ndarray:
        return generator.format_.network_input(generator.format_.encode(rows, of_fit=True)).flatten(1).numpy()

    samples = [
        generator._check_input(generator.sample(n_samples, labels[number], random_state=random_state), reset=False)
        for number in rare
    ]
    fake = np.concatenate([features(rows) for rows in samples])
    found = memorization_per_class(features(X), numbers, fake, np.repeat(rare, n_samples))
    note = _MADE_FROM_ROWS if generator._keeps_rows() else _MADE_BY_NETWORKS
    return MemorizationReport(
        {labels[number]: known for number, known in found.items()},
        int(n_samples),
        note.format(name=type(generator).__name__),
        _column_copies(generator.format_, X, samples, np.isin(numbers, rare)),
    )


def _column_copies(layout: Any, X: Any, samples: list[Any], like: np.ndarray) -> dict[Any, ColumnCopies]:
    """Return the copies by column of a table, by the names of its columns."""
    if layout.kind != "table":
        return {}
    train, *new = (rows if isinstance(rows, pd.DataFrame) else pd.DataFrame(rows) for rows in (X, *samples))
    return column_copies(train, pd.concat(new, ignore_index=True), like=like)
