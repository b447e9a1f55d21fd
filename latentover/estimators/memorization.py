"""Does a generator give its training rows away? What it makes of each rare class, beside the data of its fit."""

import textwrap
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from latentover.estimators.base import check_lengths
from latentover.estimators.labels import check_labels
from latentover.metrics import ClassMemorization, memorization_per_class

_MADE_FROM_ROWS = (
    "{name} makes each sample from the training rows themselves; SMOTE's lie on the line between two of them, so the "
    "distances are small. Whoever has the samples knows much about the rows: do not take them for anonymous."
)
_MADE_BY_NETWORKS = (
    "Samples of {name} come out of networks that learned from the training rows: the numbers say how near they lie to "
    "them, not that they are anonymous."
)


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
    """

    classes: dict[Any, ClassMemorization]
    n_samples: int
    note: str

    @property
    def flagged(self) -> list[Any]:
        """The classes whose samples repeat training rows."""
        return [label for label, found in self.classes.items() if found.flagged]

    def to_frame(self) -> pd.DataFrame:
        """Return a row a class, with the columns of `latentover.metrics.ClassMemorization`."""
        frame = pd.DataFrame(list(self.classes.values()), columns=list(ClassMemorization._fields))
        return frame.set_axis(pd.Index(list(self.classes), name="class"))

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as JSON-able values, with None for what is not defined."""
        return {
            "n_samples": self.n_samples,
            "classes": {
                str(label): {name: None if value != value else value for name, value in found._asdict().items()}
                for label, found in self.classes.items()
            },
            "flagged": [str(label) for label in self.flagged],
            "note": self.note,
        }

    def __repr__(self) -> str:
        width = max(len(str(label)) for label in ["class", *self.classes])
        lines = [f"{'class':<{width}}  {'rows':>7}  {'copies':>7}  {'twins':>7}  {'too near':>8}  {'distance':>8}"]
        for label, found in self.classes.items():
            ratio = "n/a" if found.distance_ratio != found.distance_ratio else f"{found.distance_ratio:.2f}"
            lines.append(
                f"{label!s:<{width}}  {found.n_train:>7,}  {found.copies:>7.1%}  {found.twins:>7.1%}  "
                f"{found.nearer:>8.1%}  {ratio:>8}{'  repeats rows' if found.flagged else ''}"
            )
        legend = (
            f"{self.n_samples:,} new samples of each class. copies: equal a training row; twins: rows that equal "
            "another one; too near: nearer to a training row than 95 % of the rows are to each other (about 5 % of "
            "independent samples are); distance: to the nearest training row, over that of the rows among themselves "
            "(about 1 for independent samples, 0 for copies)."
        )
        return "\n".join([*lines, "", textwrap.fill(legend, 100), "", textwrap.fill(self.note, 100)])


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

    samples = (generator.sample(n_samples, labels[number], random_state=random_state) for number in rare)
    fake = np.concatenate([features(generator._check_input(rows, reset=False)) for rows in samples])
    found = memorization_per_class(features(X), numbers, fake, np.repeat(rare, n_samples))
    note = _MADE_FROM_ROWS if generator._keeps_rows() else _MADE_BY_NETWORKS
    return MemorizationReport(
        {labels[number]: known for number, known in found.items()},
        int(n_samples),
        note.format(name=type(generator).__name__),
    )
