"""Columns of levels: text, categories, booleans, and whatever else has no order that numbers could tell."""

import hashlib
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, ClassVar
from uuid import UUID

import numpy as np
import pandas as pd

from latentover.tables.columns import Column, Part, present, with_gaps
from latentover.tables.series import KINDS_OF_VALUES, dtype_name, inferred, missing_values, objects, plain_value
from latentover.tables.values import from_json, to_json

MAX_CATEGORY_WIDTH = 128
"""A category has one encoded column for each level up to this many levels, and this many beyond."""


@dataclass(frozen=True)
class Levels(Column):
    """One of some values.

    Its one part are the levels: those that were seen, then "missing" where that is a state, then the levels that the
    column's type declares and fit has not seen, which have their rows and are never generated. A text that one row
    alone had in fit is no level: no text of a single row is kept, and none is generated.

    Attributes
    ----------
    levels : list
        The values, in the order of their states.
    unseen : int
        How many of them, the last ones, are declared by the column's type but were not in the data.
    fill : int
        The most frequent level, which stands for missing values that are no state.
    categories : list or None
        Of a column of pandas' category type: its categories in their order, whether seen or not, but for texts that
        one row alone had.
    ordered : bool
        Whether those categories are ordered.
    categories_dtype : str or None
        Type of the categories.
    """

    levels: list[Any] = field(default_factory=list)
    unseen: int = 0
    fill: int = 0
    categories: list[Any] | None = None
    ordered: bool = False
    categories_dtype: str | None = None

    kind: ClassVar[str] = "levels"

    @classmethod
    def learn(cls, values: pd.Series, dtype: str, *, missing: bool = False) -> "Levels":
        """Learn a column of levels.

        Behind the levels that are there come those that the type declares: pandas' categories, True and False.

        Parameters
        ----------
        values : Series of shape (n,)
        dtype : str
            Name of its type.
        missing : bool, default=False
            Whether missing values, where there are some, become a state.
        """
        seen, gaps = present(values)
        name, seen = plain_value(values.name), inferred(seen)
        declared: list[Any] = []
        if isinstance(seen.dtype, pd.CategoricalDtype):
            declared = list(map(plain_value, seen.dtype.categories))
        elif pd.api.types.is_bool_dtype(seen.dtype):
            declared = [False, True]
        try:
            counts = seen.astype(object).value_counts(sort=False)
            known = set(counts.index)  # a list or a dict has no hash
            single = {level for level in counts.index[counts.to_numpy() == 1] if is_text(level)}
            levels = _sorted_levels(plain_value(level) for level in counts.index.tolist() if level not in single)
            unseen = _sorted_levels(level for level in declared if level not in known)
        except TypeError as error:
            kinds = sorted({type(value).__name__ for value in seen})
            raise ValueError(
                f"Expected column {name!r} to hold {KINDS_OF_VALUES}, but got {kinds}: {error}; turn it into one of "
                "them."
            ) from error
        if not levels:
            raise ValueError(
                f"Expected column {name!r} to have a text that two rows share, but got another one in every row; drop "
                "it, or name it in identifiers."
            )
        fill = int(counts.reindex(objects(levels)).to_numpy().argmax())
        about: dict[str, Any] = {}
        if isinstance(seen.dtype, pd.CategoricalDtype):
            about = {"categories": [level for level in declared if level not in single]}
            about |= {"ordered": bool(seen.dtype.ordered)}
            about |= {"categories_dtype": dtype_name(seen.dtype.categories.dtype, name)}
        return cls(name, dtype, missing and bool(gaps.any()), levels + unseen, len(unseen), fill, **about)

    @property
    def seen(self) -> int:
        """How many levels were in the data."""
        return len(self.levels) - self.unseen

    @property
    def n_states(self) -> int:
        """How many states there are: levels, and missing ones."""
        return len(self.levels) + self.missing

    @property
    def parts(self) -> tuple[Part, ...]:
        """Its one part."""
        return (Part("levels", min(self.n_states, MAX_CATEGORY_WIDTH), self.n_states),)

    @property
    def constant(self) -> bool:
        """Whether it has one level alone."""
        return self.seen + self.missing == 1

    @property
    def is_one_hot(self) -> bool:
        """Whether each level has an encoded column of its own."""
        return self.n_states <= MAX_CATEGORY_WIDTH

    def encode(self, values: pd.Series) -> np.ndarray:
        """Return the rows of levels (n, width); zeros, as far from each known one as any other, for others."""
        missing = missing_values(values)
        try:
            codes = objects(self.levels).get_indexer(objects(values.astype(object)))
        except TypeError as error:  # a list or a dict has no hash
            raise ValueError(
                f"Expected column {plain_value(values.name)!r} to hold {KINDS_OF_VALUES}, as in fit, but got {error}."
            ) from error
        if self.missing:
            codes[codes >= self.seen] += 1
        codes = np.where(missing, self.seen if self.missing else self.fill, codes)
        block = level_rows(self.n_states)[codes]
        block[codes < 0] = 0
        return block

    def unknown(self, values: pd.Series, block: np.ndarray) -> pd.Series:
        """Return the values that are no known level, for which `encode` made rows of zeros in `block` (n, width)."""
        return values.iloc[np.flatnonzero(~block.any(axis=1))]

    def decode(self, block: np.ndarray) -> pd.Series:
        """Return levels in the user's pandas type."""
        values, missing = self._decoded(block)
        if self.categories is None:
            return with_gaps(pd.Series(values).astype(pd.api.types.pandas_dtype(self.dtype)), missing)
        categories = pd.Index(self.categories, dtype=self.categories_dtype)
        return with_gaps(pd.Series(pd.Categorical(values, categories, ordered=self.ordered)), missing)

    def decode_array(self, block: np.ndarray) -> np.ndarray:
        """Return levels in the user's NumPy type."""
        values, missing = self._decoded(block)
        return np.where(missing, np.nan, values.astype(self.dtype)) if self.missing else values.astype(self.dtype)

    def _decoded(self, block: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        states = nearest_level(block, self.n_states, self.seen + self.missing)
        levels = np.empty(self.seen, dtype=object)
        levels[:] = self.levels[: self.seen]
        missing = states == self.seen
        return levels[np.where(missing, self.fill, states)], missing

    def describe(self) -> str:
        """Return in words what becomes of the column."""
        words = [f"{self.seen} level{'s' * (self.seen != 1)}"]
        words += [f"{self.unseen} more that are declared"] * (self.unseen > 0)
        return ", ".join(words + ["missing values as a state"] * self.missing)

    def to_dict(self) -> dict[str, Any]:
        """Return the column as JSON-able values."""
        try:
            kept = {"levels": _each(to_json, self.levels), "categories": _each(to_json, self.categories)}
        except TypeError as error:
            raise ValueError(
                f"Expected the categories of column {self.name!r} to be ones that can be stored, but {error}; turn "
                "them into text with astype(str)."
            ) from error
        return super().to_dict() | kept

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> "Levels":
        """Return the column that `to_dict` described."""
        values = {name: _each(from_json, state[name]) for name in ("levels", "categories")}
        return cls(**{**state, **values, "name": from_json(state["name"])})


def is_text(value: Any) -> bool:
    """Whether a value is text, or as telling as text: bytes, a UUID."""
    return isinstance(value, str | bytes | UUID)


def _sorted_levels(levels: Iterable[Any]) -> list[Any]:
    return sorted(levels, key=lambda level: (str(type(level)), level))


def _each(function: Callable[[Any], Any], values: list[Any] | None) -> list[Any] | None:
    return None if values is None else [function(value) for value in values]


@lru_cache(maxsize=8)
def level_rows(n: int) -> np.ndarray:
    """Return the encoded rows (n, min(n, 128)) of n levels, each of length 1.

    Up to 128 levels they are one-hot. More levels have 128 signs each, from a hash (SHAKE-128) of nothing but their
    number: any two rows are about as far from each other as one-hot rows are, a mixture of two is nearest to the one
    that has the larger part in it, and a column of 5,000 levels takes no more memory than one of 128.
    """
    if n <= MAX_CATEGORY_WIDTH:
        rows = np.eye(n, dtype=np.float32)
    else:
        digest = hashlib.shake_128(b"levels").digest(n * MAX_CATEGORY_WIDTH // 8)
        bits = np.unpackbits(np.frombuffer(digest, dtype=np.uint8)).reshape(n, MAX_CATEGORY_WIDTH)
        rows = ((2.0 * bits - 1.0) / math.sqrt(MAX_CATEGORY_WIDTH)).astype(np.float32)
    rows.flags.writeable = False
    return rows


def nearest_level(block: np.ndarray, n: int, known: int | None = None) -> np.ndarray:
    """Return which of n levels, or the first `known` of them, has the row nearest to each of `block` (b, width)."""
    if n <= MAX_CATEGORY_WIDTH:
        return block[:, :known].argmax(axis=1)
    rows, block = level_rows(n)[:known].T, block.astype(np.float32)
    at_once = max(1, 2**21 // n)
    nearest = [(block[i : i + at_once] @ rows).argmax(axis=1) for i in range(0, len(block), at_once)]
    return np.concatenate(nearest) if nearest else np.empty(0, dtype=np.int64)
