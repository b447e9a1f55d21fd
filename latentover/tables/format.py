"""Rows of a table as the networks see them, and back."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import pairwise
from numbers import Real
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from latentover.tables.checks import check_dense_size, check_gaps, check_table, warn_user
from latentover.tables.columns import Column, Part, name_to_json
from latentover.tables.dependencies import Dependencies, find_dependencies
from latentover.tables.identifiers import Identifier, NewIdentifiers, is_free_text, is_identifier
from latentover.tables.learning import Missing, learn_column
from latentover.tables.levels import Levels
from latentover.tables.numbers import Bounds, FloatColumns, Number
from latentover.tables.series import is_categorical, is_time, plain_value
from latentover.tables.steps import find_steps
from latentover.tables.times import Time
from latentover.tables.values import from_json

Numbers = Literal["scores", "standard"]
CategoricalFeatures = str | Sequence[Any] | np.ndarray
Constraints = str | Sequence[str]
Clip = str | tuple[float | None, float | None] | Mapping[Any, Any]
ROWS_AT_ONCE = 2**14
"""Rows that are encoded at once: a cache holds so many while one column after the other is taken from them."""
_CLIPS = "'observed', 'none', (low, high) with low <= high, or a dict of column to one of these"
_KINDS: dict[str, type[Column]] = {kind.kind: kind for kind in (Number, Time, Levels, Identifier)}


class PlacedPart(NamedTuple):
    """A part of the encoded row: what it is, where it is, and of which column (its number) it is."""

    part: Part
    where: slice
    column: int


@dataclass(frozen=True)
class TableFormat:
    """Rows of columns of any kind, each encoded on its own; see `latentover.tables`.

    Attributes
    ----------
    columns : list of Column
        Those that are learned, and identifiers.
    is_frame : bool
        Whether the user's X is a pandas frame of mixed columns rather than one array of numbers.
    dependencies : Dependencies or None
        Of a generator: what follows exactly from what. The columns are those of a frame that they have reduced.
    names : list or None
        All names of a frame that has dependencies, in their order.
    """

    columns: list[Column]
    is_frame: bool
    dependencies: Dependencies | None = None
    names: list[Any] | None = None

    kind = "table"

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape (d,) of an encoded row."""
        return (sum(column.width for column in self.columns),)

    @cached_property
    def parts(self) -> list[PlacedPart]:
        """The parts of the encoded row, in their order."""
        placed, start = [], 0
        for number, column in enumerate(self.columns):
            for part in column.parts:
                placed.append(PlacedPart(part, slice(start, start + part.width), number))
                start += part.width
        return placed

    @property
    def identifiers(self) -> list[Any]:
        """Names of the columns that are identifiers."""
        return [column.name for column in self.columns if isinstance(column, Identifier)]

    def encode(self, X: Any, *, of_fit: bool = False) -> Tensor:
        """Return encoded rows (n, d), float32.

        A level that fit has not seen is a row of zeros, and one warning names the columns that hold such; none where
        `of_fit` says that these are the rows of fit, of which texts that one row alone has are no levels.
        """
        if self.is_frame and not isinstance(X, pd.DataFrame):
            X = pd.DataFrame(X, columns=self.names or [column.name for column in self.columns])
        elif not self.is_frame:
            X = np.asarray(X)
        if any(isinstance(column, Levels) for column in self.columns):
            check_dense_size((len(X), *self.shape), "X with its categories as encoded columns", itemsize=4)
        encoded = np.empty((len(X), *self.shape), dtype=np.float32)
        unknown: dict[Any, Any] = {}
        for start in range(0, len(X), ROWS_AT_ONCE):
            rows = slice(start, start + ROWS_AT_ONCE)
            block: Any = self._reduced(X.iloc[rows]) if self.is_frame else X[rows]
            if self._floats is not None and X.dtype.kind in "biuf":
                encoded[rows] = self._floats.encode(block)
                continue
            for i, (column, where) in enumerate(zip(self.columns, self._places, strict=True)):
                values = _column(block, i)
                encoded[rows, where] = column.encode(values)
                if not of_fit:
                    for value in column.unknown(values, encoded[rows, where])[:1]:
                        unknown.setdefault(column.name, value)
        if unknown:
            found = ", ".join(f"{value!r} in column {name!r}" for name, value in unknown.items())
            warn_user(
                f"Expected categories to be those that were known in fit, but got {found}: they are encoded as zeros, "
                "which say nothing of them; refit with them (a text that one row alone has is not learned), or declare "
                "them in fit as categories of the column's type."
            )
        return torch.from_numpy(encoded)

    def _reduced(self, X: pd.DataFrame) -> pd.DataFrame:
        """Return rows of a frame with the columns that are learned, and identifiers."""
        return X if self.dependencies is None else reduced_columns(X, self.dependencies)

    @cached_property
    def _floats(self) -> FloatColumns | None:
        return None if self.is_frame else FloatColumns.of(self.columns)

    @cached_property
    def _places(self) -> list[slice]:
        """Where in the encoded row each column is."""
        ends = np.cumsum([0, *(column.width for column in self.columns)]).tolist()
        return [slice(start, end) for start, end in pairwise(ends)]

    def network_input(self, batch: Tensor) -> Tensor:
        """Return a batch of `encode`'s tensor as it is."""
        return batch

    def decode(self, outputs: Tensor, label: Any = None) -> np.ndarray | pd.DataFrame:
        """Return generated rows as an array of the user's type, or as a frame with the user's columns.

        Identifiers are missing; see `with_fresh_identifiers`.

        Parameters
        ----------
        outputs : Tensor of shape (n, d)
        label : label or array of labels (n,), optional
            The class of the rows, or those of each, for what is constant in a class.
        """
        encoded = outputs.float().cpu().numpy()
        if self._floats is not None:
            return self._floats.decode(encoded)
        encoded = encoded.astype(np.float64)
        pairs = [(column, encoded[:, where]) for column, where in zip(self.columns, self._places, strict=True)]
        if not self.is_frame:
            return np.stack([column.decode_array(block) for column, block in pairs], axis=1)
        frame = pd.concat([column.decode(block) for column, block in pairs], axis=1)
        frame.columns = pd.Index([column.name for column in self.columns])
        if self.dependencies is None:
            return frame
        known = set(self.dependencies.columns)
        others = [name for name in frame.columns if name not in known]
        labels = None if label is None else np.broadcast_to(np.asarray(label).astype(str).astype(object), len(frame))
        restored = self.dependencies.restore(frame.drop(columns=others), labels)
        return pd.concat([restored, frame[others]], axis=1)[list(self.names or ())]

    def with_fresh_identifiers(self, rows: Any, generator: np.random.Generator, taken: Any = None) -> Any:
        """Return rows with an identifier of its own in each, see `Identifier.fresh`; others as they are.

        Parameters
        ----------
        rows : array or frame of n rows
        generator : numpy Generator
        taken : frame, optional
            The training rows, of which none's identifier is given again.
        """
        if not self.identifiers:
            return rows
        return self.with_identifiers_of(rows, self.fresh_identifiers(len(rows), generator, taken))

    def fresh_identifiers(self, n: int, generator: np.random.Generator, taken: Any = None) -> dict[Any, pd.Series]:
        """Return n new identifiers of each such column, by its name; see `Identifier.fresh`."""
        return {
            column.name: column.fresh(n, generator, None if taken is None else taken[column.name])
            for column in self.columns
            if isinstance(column, Identifier)
        }

    def with_identifiers_of(self, rows: Any, others: Any) -> Any:
        """Return rows with the identifiers of other ones, of the same number and in the same order."""
        return self._with_columns(rows, {name: others[name] for name in self.identifiers}) if self.identifiers else rows

    def _with_columns(self, rows: pd.DataFrame, new: dict[Any, pd.Series]) -> pd.DataFrame:
        parts = [new[name].set_axis(rows.index) if name in new else rows[name] for name in rows.columns]
        return pd.concat(parts, axis=1).set_axis(rows.columns, axis=1)

    def check(self, X: Any) -> None:
        """Do nothing: scikit-learn's validation has compared the number and names of the columns."""

    def describe(self) -> dict[Any, str]:
        """Return in words what becomes of each column, by its name."""
        words = {column.name: column.describe() for column in self.columns}
        names = self.names or list(words)
        return {name: words.get(name, "not learned: it follows from others") for name in names}

    def to_dict(self) -> dict[str, Any]:
        """Return the format as JSON-able values.

        Of the data it holds, of numbers, the range, the moments and the rounded median or means of neighbouring rows,
        point masses and the values of a grid; of levels the names that two rows or more had, or that the type declares;
        of identifiers their form.

        Raises
        ------
        ValueError
            If the name of a column or a category is nothing that `latentover.tables.values` knows.
        """
        state = {"kind": self.kind, "columns": [column.to_dict() for column in self.columns], "is_frame": self.is_frame}
        if self.dependencies is not None:
            state |= {"dependencies": self.dependencies.to_dict(), "names": [name_to_json(n) for n in self.names or ()]}
        return state

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> "TableFormat":
        """Return the format that `to_dict` described; raise ValueError for one of a bundle before format 2."""
        if not all("kind" in column for column in state["columns"]):
            raise ValueError(
                "Expected a table's columns to be described by their kinds, but got a bundle of format 1, which did "
                "not know them; fit the estimator again and save it."
            )
        columns = []
        for column in state["columns"]:
            kept = dict(column)
            kind = kept.pop("kind")
            if kind not in _KINDS:
                raise ValueError(f"Expected a column's kind to be one of {', '.join(_KINDS)}, but got {kind!r}.")
            columns.append(_KINDS[kind].from_dict(kept))
        if "dependencies" not in state:
            return cls(columns, is_frame=state["is_frame"])
        names = [from_json(name) for name in state["names"]]
        return cls(columns, state["is_frame"], Dependencies.from_dict(state["dependencies"]), names)

    @classmethod
    def learn(
        cls,
        X: Any,
        *,
        numbers: Numbers = "standard",
        categorical_features: CategoricalFeatures = "auto",
        identifiers: Any = "auto",
        new_identifiers: NewIdentifiers = "fresh",
        missing: Missing = "error",
        clip: Clip = "observed",
        constraints: Constraints = "none",
        weights: np.ndarray | None = None,
        labels: np.ndarray | None = None,
    ) -> "TableFormat":
        """Learn the format of an array of numbers (n, d) or of a pandas frame with mixed columns.

        Parameters
        ----------
        weights : ndarray of shape (n,), optional
            How many rows each row stands for where quantiles are learned: with weights that make classes equal, a rare
            class is not squeezed into one tail.
        labels : ndarray of shape (n,), optional
            Classes, for what is constant in one.

        The others are those of `latentover.estimators.learn_format`.
        """
        check_table(X, "impute")  # what is missing is for the column to say
        settings: dict[str, Any] = {"numbers": numbers, "categorical_features": categorical_features, "clip": clip}
        settings |= {"identifiers": identifiers, "new_identifiers": new_identifiers, "missing": missing}
        is_frame = isinstance(X, pd.DataFrame)
        names = X.columns.tolist() if is_frame else []
        if not is_frame and not isinstance(constraints, str) and len(constraints):
            raise ValueError(
                f"Expected X to be a frame whose columns constraints name, but got an array and {constraints[0]!r}; "
                "pass a frame."
            )
        if is_frame:  # they are looked for once
            named = _named_columns(categorical_features, names)
            settings["identifiers"] = [names[i] for i in sorted(_identifier_columns(identifiers, X, named, names))]
        dependencies = table_dependencies(X, labels, constraints=constraints, **settings) if is_frame else None
        if dependencies is not None:
            for name in dependencies.derived if missing == "error" else ():
                check_gaps(X[name])
            X, settings = reduced_table(X, dependencies, settings)
        learners = column_learners(X, weights=weights, **settings)
        learned = cls([learn() for learn in learners], is_frame, dependencies, names if dependencies else None)
        if not learned.shape[0]:
            raise ValueError(
                f"Expected X to have columns to learn from, but got identifiers alone, {learned.identifiers[:5]}; add "
                "others, or name these in categorical_features if they are none."
            )
        return learned


def table_dependencies(
    X: pd.DataFrame,
    labels: np.ndarray | None = None,
    *,
    constraints: Constraints,
    categorical_features: CategoricalFeatures = "auto",
    identifiers: Any = "auto",
    clip: Clip = "observed",
    **_: Any,
) -> Dependencies | None:
    """Return what follows exactly from what between the columns of a frame, or None if nothing does.

    Identifiers are no part of it, nor are columns that `clip` names: their bounds would be lost.
    """
    if isinstance(constraints, str) and constraints == "none":
        return None
    names = X.columns.tolist()
    categorical = _named_columns(categorical_features, names)
    hidden = _identifier_columns(identifiers, X, categorical, names)
    bounded = set(clip) if isinstance(clip, Mapping) else set()
    visible = X[[name for i, name in enumerate(names) if i not in hidden and name not in bounded]]
    if isinstance(constraints, str) and all(map(_is_measured, (visible[name] for name in visible))):
        return None  # an array with names, which is to give what an array gives
    as_levels = {name: "category" for i, name in enumerate(names) if i in categorical and name in visible}
    texts = None
    if labels is not None:
        codes, classes = pd.factorize(labels, use_na_sentinel=False)
        texts = np.asarray(classes).astype(str).astype(object)[codes]
    found = find_dependencies(visible.astype(as_levels), texts, constraints=constraints)
    kept = {str(name): X.dtypes.iloc[names.index(name)] for name in as_levels}  # in the type that they came in
    items = [
        replace(item, column=replace(item.column, dtype=kept[item.target])) if item.target in kept else item
        for item in found.items
    ]
    return Dependencies(found.columns, tuple(items)) if items else None


def _is_measured(values: pd.Series) -> bool:
    """Whether a column holds floats without steps."""
    if not isinstance(values.dtype, np.dtype) or values.dtype.kind != "f":
        return False
    return find_steps(values.dropna().to_numpy()[:1000], values.dtype.name) is None


def reduced_table(
    X: pd.DataFrame, dependencies: Dependencies, settings: dict[str, Any]
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return what is learned of training rows, and the settings of `column_learners` for these columns."""
    names = X.columns.tolist()
    categorical = _named_columns(settings.get("categorical_features", "auto"), names)
    hidden = [names[i] for i in sorted(_identifier_columns(settings.get("identifiers", "auto"), X, categorical, names))]
    reduced = reduced_columns(X, dependencies)
    clip = settings.get("clip", "observed")
    if not isinstance(clip, str | Mapping):  # one pair for all columns, but not for the distances in some of them
        known = {name for name in reduced.columns if name not in dependencies.spans}
        learnable = (name for name in known if not (is_categorical(X[name]) or is_time(X[name].dtype)))
        clip = {name: clip for name in learnable if name not in hidden and names.index(name) not in categorical}
    changed = {
        "categorical_features": [names[i] for i in sorted(categorical) if names[i] in reduced.columns],
        "identifiers": hidden,
        "clip": clip,
    }
    return reduced, settings | changed


def reduced_columns(X: pd.DataFrame, dependencies: Dependencies) -> pd.DataFrame:
    """Return what is learned of rows, with the columns that dependencies know nothing of behind it."""
    known = set(dependencies.columns)
    others = [name for name in X.columns if name not in known]
    return pd.concat([dependencies.reduce(X[list(dependencies.columns)]), X[others]], axis=1)


def column_learners(
    X: Any,
    *,
    numbers: Numbers = "standard",
    categorical_features: CategoricalFeatures = "auto",
    identifiers: Any = "auto",
    new_identifiers: NewIdentifiers = "fresh",
    missing: Missing = "error",
    clip: Clip = "observed",
    weights: np.ndarray | None = None,
) -> list[Callable[[], Column]]:
    """Return for each column of X a function that learns it, or raises ValueError; see `TableFormat.learn`."""
    is_frame = isinstance(X, pd.DataFrame)
    names = X.columns.tolist() if is_frame else list(range(X.shape[1]))
    X = X if is_frame else _by_column(X)
    named = _named_columns(categorical_features, names)
    hidden = _identifier_columns(identifiers, X, named, names)
    learners: list[Callable[[], Column]] = []
    for i in range(X.shape[1]):
        values = _column(X, i)
        categorical = i in named or (is_frame and is_categorical(values))
        learners.append(
            partial(
                learn_column,
                values,
                categorical=categorical,
                identifier=i in hidden,
                new_identifiers=new_identifiers,
                missing=missing,
                bounds=_column_bounds(clip, values, categorical or i in hidden),
                scores=numbers == "scores",
                stepped=is_frame or numbers == "scores",
                weights=weights,
            )
        )
    _check_clipped_names(clip, names)
    return learners


def _identifier_columns(identifiers: Any, X: Any, categorical: set[int], names: list[Any]) -> set[int]:
    """Return the numbers of the columns that are identifiers."""
    if isinstance(identifiers, str) and identifiers in ("auto", "none"):
        if identifiers == "none" or not isinstance(X, pd.DataFrame):
            return set()
        columns = ((i, _column(X, i)) for i in range(X.shape[1]) if i not in categorical)
        return {i for i, values in columns if not is_free_text(values) and is_identifier(values)}
    wanted = None if isinstance(identifiers, str) else list(identifiers) if np.iterable(identifiers) else None
    unknown = [] if wanted is None else [name for name in wanted if name not in names]
    if wanted is None or unknown or (wanted and not isinstance(X, pd.DataFrame)):
        got = repr(identifiers) if wanted is None else f"{unknown[0]!r}, which is none" if unknown else "an array"
        raise ValueError(
            f"Expected identifiers to be 'auto', 'none' or a list of names of columns of a frame, but got {got}; the "
            f"columns are {names[:20]}{' ...' if len(names) > 20 else ''}."
        )
    return {names.index(name) for name in wanted}


def _column(X: Any, i: int) -> pd.Series:
    return X.iloc[:, i] if isinstance(X, pd.DataFrame) else pd.Series(X[:, i], name=i, copy=False)


def _by_column(X: np.ndarray) -> np.ndarray:
    """Return X (n, d) with each column in one piece of memory; some rows at a time, for NumPy would go to and fro."""
    columns = np.empty(X.shape[::-1], dtype=X.dtype)
    for start in range(0, len(X), ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        columns[:, rows] = X[rows].T
    return columns.T


def _named_columns(categorical_features: CategoricalFeatures, names: list[Any]) -> set[int]:
    """Return the numbers of the columns that the user calls categorical."""
    if isinstance(categorical_features, str) and categorical_features == "auto":
        return set()
    wanted = np.asarray(categorical_features)
    if wanted.size == 0:
        return set()
    problem = ""
    if isinstance(categorical_features, str) or wanted.ndim != 1 or wanted.dtype.kind not in "biuUOT":
        problem = repr(categorical_features)
    elif wanted.dtype.kind == "b":
        if len(wanted) == len(names):
            return set(np.flatnonzero(wanted).tolist())
        problem = f"a mask of length {len(wanted)}"
    elif wanted.dtype.kind in "iu":
        if wanted.min() >= -len(names) and wanted.max() < len(names):
            return {int(i) % len(names) for i in wanted}
        problem = f"numbers {wanted.tolist()}"
    else:
        unknown = [name for name in categorical_features if name not in names]
        if not unknown:
            return {names.index(name) for name in categorical_features}
        problem = f"{unknown[0]!r}, which is none"
    raise ValueError(
        "Expected categorical_features to be 'auto', or a list of names or numbers of columns or a mask of the "
        f"{len(names)} columns, but got {problem}; the columns are {names[:20]}{' ...' if len(names) > 20 else ''}."
    )


def _column_bounds(clip: Clip, values: pd.Series, categorical: bool) -> Bounds | None:
    """Return what a column's generated numbers are clipped to; None for the range that was seen."""
    if categorical or is_time(values.infer_objects().dtype):
        if isinstance(clip, Mapping) and values.name in clip:
            raise ValueError(
                f"Expected clip to give bounds to columns of numbers, but got column {plain_value(values.name)!r}, "
                "which stays within the values that were seen; leave it out."
            )
        return None
    bounds = clip.get(values.name, "observed") if isinstance(clip, Mapping) else clip
    if isinstance(bounds, str):
        if bounds not in ("observed", "none"):
            raise ValueError(f"Expected clip to be {_CLIPS}, but got {clip!r}.")
        return None if bounds == "observed" else (None, None)
    pair = tuple(bounds) if isinstance(bounds, list | tuple) else ()
    if len(pair) != 2 or not all(isinstance(side, Real | None) for side in pair) or not _in_order(*pair):
        raise ValueError(f"Expected clip to be {_CLIPS}, but got {clip!r}.")
    low, high = (None if side is None or np.isinf(float(side)) else side.real for side in pair)
    return low, high


def _in_order(low: float | None, high: float | None) -> bool:
    return (-np.inf if low is None else low) <= (np.inf if high is None else high)


def _check_clipped_names(clip: Clip, names: list[Any]) -> None:
    unknown = [name for name in clip if name not in names] if isinstance(clip, Mapping) else []
    if unknown:
        raise ValueError(f"Expected clip to name columns of X, {names[:20]}, but got {unknown[0]!r}.")
