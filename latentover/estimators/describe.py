"""What a training will see, take and cost, said before it starts."""

import time
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone

from latentover.data.diagnosis import Diagnosis, diagnose
from latentover.estimators.base import OF_THE_TRAINING_ALONE
from latentover.estimators.containers import Container
from latentover.estimators.formats import ImageFormat, learn_format
from latentover.notebook import heading, items, note, page, table
from latentover.tables import Levels, TableFormat
from latentover.tables.checks import check_dense_size, check_table
from latentover.tables.format import column_learners, reduced_table, table_dependencies
from latentover.tables.identifiers import find_identifiers
from latentover.tables.series import missing_values, plain_value

MEMORY_NOTE = 2 * 2**30
"""Bytes of encoded data and networks above which a note says so."""
TRIAL_ROWS = 2000
"""Rows that the trial of a training is made with, at the most."""
_TRIALS = {"max_steps": (3, 13), "max_epochs": (1, 3)}
"""Parameters that say how long a training is, and the two lengths that are timed."""
_COPIES = 4
"""Of the networks: weights, gradients and the two moments of Adam."""
_SHARED = (
    *("image_shape", "channels_last", "numbers", "categorical_features", "identifiers", "new_identifiers"),
    *("missing", "clip", "constraints"),
)
_TREATMENTS = {"number": "number", "levels": "category", "time": "date", "identifier": "identifier"}
_HEAD = ("column", "type", "treatment", "levels", "missing", "width")
_KEPT = "Kept in every new row:"
_SHOWN = 40
"""Columns, and dependencies, that are printed."""


@dataclass(frozen=True)
class ColumnPlan:
    """What becomes of a column.

    Attributes
    ----------
    name : str or int
    dtype : str
    treatment : {"number", "category", "date", "identifier", "constant", "derived", "refused"}
        A constant column comes back as it is; an identifier is not learned, nor is a derived one, which is computed
        from others; a refused one is an error in training.
    levels : int or None
        Different values of a category.
    missing : int
        Missing values.
    width : int
        Encoded columns; 0 for one that is not learned.
    reason : str
        Why it is refused, otherwise empty.
    """

    name: Any
    dtype: str
    treatment: str
    levels: int | None
    missing: int
    width: int
    reason: str = ""


@dataclass(frozen=True)
class Plan:
    """How data would be treated and what a training would take; `print` shows it.

    Attributes
    ----------
    kind : {"table", "images"}
    n_samples : int
    columns : list of ColumnPlan
        Of a table.
    dependencies : list of str
        What holds exactly between the columns of a frame, and will in every new row.
    encoded_shape : tuple of int
        Of a sample, as the networks see it.
    encoded_bytes : int
        Memory of the encoded data.
    network_bytes : int or None
        Memory of the networks with gradients and the optimizer's state, without activations; None without a trial.
    seconds : float or None
        Estimated time of the training on this machine; None without a trial.
    diagnosis : Diagnosis or None
        Of the labels, where they were given.
    notes : list of str
    """

    kind: str
    n_samples: int
    columns: list[ColumnPlan]
    dependencies: list[str]
    encoded_shape: tuple[int, ...]
    encoded_bytes: int
    network_bytes: int | None
    seconds: float | None
    diagnosis: Diagnosis | None
    notes: list[str]

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as JSON-able values."""
        return asdict(self)

    def __str__(self) -> str:
        steps = "" if self.diagnosis is None else self.diagnosis.steps_text()
        lines = [steps, ""] if steps else []
        lines += _column_lines(self.columns) if self.kind == "table" else []
        if self.dependencies:
            lines += [_KEPT, *(f"- {text}" for text in self.dependencies[:_SHOWN])]
            lines += _more(self.dependencies, "more")
        lines += self._costs()
        lines += [f"- {note}" for note in self.notes]
        if self.diagnosis is not None:
            lines += ["", self.diagnosis.sizes_text()]
        return "\n".join(lines)

    def _costs(self) -> list[str]:
        said = [f"{self.n_samples:,} samples of encoded shape {self.encoded_shape}: {_size(self.encoded_bytes)}."]
        if self.network_bytes is not None:
            said.append(f"Networks, gradients and optimizer: {_size(self.network_bytes)}.")
        if self.seconds is not None:
            said.append(f"Training on this machine: about {_duration(self.seconds)}, from a trial of some steps.")
        return said

    def _repr_html_(self) -> str:
        parts = list[str]()
        if self.kind == "table":
            parts.append(table(_HEAD, _cells(self.columns), words=3, more=len(self.columns) - _SHOWN))
        if self.dependencies:
            parts += [heading(_KEPT), items(self.dependencies[:_SHOWN])]
            parts += [note(text) for text in _more(self.dependencies, "more")]
        parts += [*map(note, self._costs()), items(self.notes)]
        diagnosis = "" if self.diagnosis is None else self.diagnosis._repr_html_()
        return page(*parts, diagnosis)


def describe_plan(X: Any, y: Any = None, *, estimator: Any = None, identifiers: Sequence[Any] = ()) -> Plan:
    """Say how data would be treated, how much memory it takes and, for an estimator, how long its training is.

    Parameters
    ----------
    X : array of shape (n, d), (n, c, h, w), or (n, h, w, c); or pandas or polars frame
    y : array-like of shape (n,), optional
        Labels, which are diagnosed.
    estimator : estimator of latentover, optional
        Whose ``image_shape``, ``channels_last``, ``numbers``, ``categorical_features``, ``identifiers``, ``missing``,
        ``clip`` and ``constraints`` are used, if it has them; without one, what a generator does by default.
        With y and where it has ``max_steps`` or ``max_epochs``, a clone of it is trained for a few of them on at most
        `TRIAL_ROWS` rows, and the time for each is multiplied. Early stopping may end sooner.
    identifiers : sequence of column names
        Columns that name rows, beside those that are found, where there is no estimator to say so.

    Returns
    -------
    Plan

    Raises
    ------
    ValueError
        If X is neither table nor images, y is not of its length, or `constraints` of the estimator do not hold.

    Examples
    --------
    >>> import pandas as pd
    >>> X = pd.DataFrame({"age": [31, 48, 25, 60], "town": pd.Categorical(["Graz", "Linz"] * 2), "year": [2024] * 4})
    >>> print(describe_plan(X))
    column  type      treatment  levels  missing  width
    age     int64     number          -        0      1
    town    category  category        2        0      2
    year    int64     constant        -        0      1
    4 samples of encoded shape (4,): 64 bytes.
    - Constant columns teach nothing: 'year'; they come back as they are.
    """
    frame, settings = _as_data(X), {name: getattr(estimator, name) for name in _SHARED if hasattr(estimator, name)}
    n = len(frame)
    if y is not None and len(y) != n:
        raise ValueError(f"Expected y to hold a label for each of the {n} rows of X, but got {len(y)}.")
    columns: list[ColumnPlan] = []
    dependencies: list[str] = []
    if identifiers and isinstance(frame, pd.DataFrame):
        settings.setdefault("identifiers", find_identifiers(frame, identifiers))
    if not isinstance(frame, pd.DataFrame) and (frame.ndim == 4 or settings.get("image_shape") is not None):
        known: Any = learn_format(frame, **settings)
        shape, kind = known.shape, ImageFormat.kind
        size = n * int(np.prod(shape)) * (1 if known.dtype == "uint8" else 4)
    else:
        constraints = settings.pop("constraints", "auto" if estimator is None else "none")
        columns, dependencies = _plan_columns(frame, y, constraints, settings)
        shape, kind = (sum(column.width for column in columns),), TableFormat.kind
        size = n * shape[0] * 4
    refused = any(column.treatment == "refused" for column in columns)
    network_bytes, seconds = None, None
    if estimator is not None and y is not None and not refused:
        network_bytes, seconds = _trial(estimator, frame, np.asarray(y))
    return Plan(
        kind=kind,
        n_samples=n,
        columns=columns,
        dependencies=dependencies,
        encoded_shape=shape,
        encoded_bytes=size,
        network_bytes=network_bytes,
        seconds=seconds,
        diagnosis=None if y is None else diagnose(y),
        notes=_notes(columns, n, size + (network_bytes or 0)),
    )


def _as_data(X: Any) -> Any:
    """Return a pandas frame, or an array of two or four dimensions."""
    data = Container.of(X).frame
    if hasattr(data, "toarray"):
        check_dense_size(data.shape)
        data = data.toarray()
    if isinstance(data, pd.DataFrame):
        return data
    data = np.asarray(data)
    if data.ndim not in (2, 4) or 0 in data.shape:
        raise ValueError(
            "Expected X to be a table (n, d) or images (n, channels, height, width), but got an array of shape "
            f"{data.shape}."
        )
    return data


# ---- Columns ---------------------------------------------------------------------------------------------------------


def _plan_columns(X: Any, y: Any, constraints: Any, settings: dict[str, Any]) -> tuple[list[ColumnPlan], list[str]]:
    """Return what becomes of each column, and in words what holds between them."""
    settings = {name: value for name, value in settings.items() if name not in ("image_shape", "channels_last")}
    dependencies, learned = None, X
    if isinstance(X, pd.DataFrame) and X.columns.is_unique:
        labels = None if np.ndim(y) != 1 else np.asarray(y)
        dependencies = table_dependencies(X, labels, constraints=constraints, **settings)
    if dependencies is not None:
        learned, settings = reduced_table(X, dependencies, settings)
    names = learned.columns.tolist() if isinstance(X, pd.DataFrame) else range(X.shape[1])
    learners = dict(zip(names, column_learners(learned, **settings), strict=True))
    plans = []
    for i in range(X.shape[1]):
        part = X.iloc[:, [i]] if isinstance(X, pd.DataFrame) else X[:, [i]]
        values = part.iloc[:, 0] if isinstance(part, pd.DataFrame) else pd.Series(part[:, 0], name=i)
        gaps = int(missing_values(values).sum())
        about = {"name": plain_value(values.name), "dtype": str(values.dtype), "missing": gaps}
        try:
            check_table(part, settings.get("missing", "error") if values.name not in learners else "impute")
            if values.name not in learners:
                plans.append(ColumnPlan(**about, treatment="derived", levels=None, width=0))
                continue
            column = learners[values.name]()
        except (TypeError, ValueError) as error:
            plans.append(ColumnPlan(**about, treatment="refused", levels=None, width=0, reason=str(error)))
            continue
        levels = column.seen if isinstance(column, Levels) else None
        treatment = "constant" if column.constant else _TREATMENTS[column.kind]
        plans.append(ColumnPlan(**about, treatment=treatment, levels=levels, width=column.width))
    return plans, [] if dependencies is None else dependencies.describe()


def _notes(columns: list[ColumnPlan], n: int, size: int) -> list[str]:
    notes = [column.reason for column in columns if column.treatment == "refused"]
    constant = [repr(column.name) for column in columns if column.treatment == "constant"]
    if constant:
        notes.append(f"Constant columns teach nothing: {_listed(constant)}; they come back as they are.")
    identifiers = [repr(column.name) for column in columns if column.treatment == "identifier"]
    if identifiers:
        notes.append(
            f"Identifiers, which are not learned and whose values no new row has: {_listed(identifiers)}; say in "
            "identifiers (--id) which columns are some."
        )
    if size > MEMORY_NOTE:
        notes.append(f"{_size(size)} is more than {_size(MEMORY_NOTE)}: train on a part, or group rare categories.")
    return notes


def _listed(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


# ---- Time and memory of the networks ---------------------------------------------------------------------------------


def _trial(estimator: Any, X: Any, y: np.ndarray) -> tuple[int | None, float | None]:
    """Return bytes of the networks and seconds of a whole training, from two short ones."""
    length = next((name for name in _TRIALS if name in estimator.get_params(deep=False)), None)
    if length is None:
        return None, None
    rows = _some_rows(y)
    part, labels = X.iloc[rows] if isinstance(X, pd.DataFrame) else X[rows], y[rows]
    changes = {"verbose": 0, "early_stopping": False, "random_state": 0, "small_class": "adapt"}
    changes |= dict.fromkeys(OF_THE_TRAINING_ALONE)
    known = estimator.get_params(deep=False)
    trial = clone(estimator).set_params(**{name: value for name, value in changes.items() if name in known})
    first, second = _TRIALS[length]
    seconds = []
    with warnings.catch_warnings():  # what a training of three steps is warned of says nothing
        warnings.simplefilter("ignore")
        for count in (first, first, second):  # the first time of all there is more to load and to set up
            start = time.perf_counter()
            trial.set_params(**{length: count}).fit(part, labels)
            seconds.append(time.perf_counter() - start)
    one = (seconds[2] - seconds[1]) / (second - first)
    if one <= 0:  # on a machine that is busy with other things
        one = seconds[2] / second
    if length == "max_epochs":  # which grow with the data, as steps do not
        one *= len(y) / len(rows)
    size = sum(tensor.numel() * tensor.element_size() for tensor in trial.networks_.state_dict().values())
    return _COPIES * size, one * getattr(estimator, length)


def _some_rows(y: np.ndarray) -> np.ndarray:
    """Return the rows of a trial: at most `TRIAL_ROWS`, with two of every class that has them."""
    if len(y) <= TRIAL_ROWS:
        return np.arange(len(y))
    order = np.random.default_rng(0).permutation(len(y))
    firsts = np.concatenate([order[y[order] == label][:2] for label in np.unique(y)])
    others = np.setdiff1d(order, firsts, assume_unique=True)
    return np.sort(np.concatenate([firsts, others[: max(TRIAL_ROWS - len(firsts), 0)]]))


# ---- In words --------------------------------------------------------------------------------------------------------


def _cells(columns: list[ColumnPlan]) -> list[tuple[str, ...]]:
    """Return what is said of each column, of so many as are shown."""
    return [
        (
            str(c.name),
            c.dtype,
            c.treatment,
            "-" if c.levels is None else f"{c.levels:,}",
            f"{c.missing:,}",
            str(c.width),
        )
        for c in columns[:_SHOWN]
    ]


def _column_lines(columns: list[ColumnPlan]) -> list[str]:
    rows = [_HEAD, *_cells(columns)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [
        "  ".join(
            f"{cell:<{w}}" if i < 3 else f"{cell:>{w}}" for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    return lines + _more(columns, "columns more")


def _more(items: list[Any], what: str) -> list[str]:
    return [f"... and {len(items) - _SHOWN} {what}"] if len(items) > _SHOWN else []


def _size(n_bytes: int) -> str:
    for unit, name in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if n_bytes >= unit:
            return f"{n_bytes / unit:.3g} {name}"
    return f"{n_bytes} bytes"


def _duration(seconds: float) -> str:
    value, unit = next(
        ((seconds / length, unit) for length, unit in ((3600, "hours"), (60, "minutes")) if seconds >= 1.5 * length),
        (seconds, "seconds"),
    )
    return f"{value:.1f} {unit}" if value < 10 else f"{value:.0f} {unit}"
