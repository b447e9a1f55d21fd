"""What all kinds of columns have in common: parts of the encoded row, a state for what is missing, and JSON.

A column is learned from the training rows, goes to the networks as one or more `Part` and comes back from what they
generate, in the user's type. Nothing that it keeps is a row of the data.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal, Self

import numpy as np
import pandas as pd

from latentover.tables.series import missing_values, plain_value
from latentover.tables.values import from_json, to_json


@dataclass(frozen=True)
class Part:
    """Encoded columns that belong together.

    Attributes
    ----------
    kind : {"number", "levels"}
        A number, or one of n levels.
    width : int
        Encoded columns: 1 for a number; n for levels, one-hot, or 128 signs where there are more levels.
    n : int
        Levels; 1 for a number.
    when : int or None
        Of a number: it says something where the levels before it are this one; None for always.
    ties : tuple of (float, float)
        Of a score: the ranks between which all are of one value; a value is encoded as the middle.
    """

    kind: Literal["number", "levels"]
    width: int
    n: int
    when: int | None = None
    ties: tuple[tuple[float, float], ...] = ()


def number_part(scale: Any, when: int | None = None) -> Part:
    """Return the part of a number by a scale."""
    return Part("number", 1, 1, when, getattr(scale, "ties", ()))


@dataclass(frozen=True)
class Column(ABC):
    """A column of a table, of whatever kind.

    Attributes
    ----------
    name : str, int, ... or None
        Its name in a pandas frame.
    dtype : str
        Name of the user's type.
    missing : bool
        Whether missing values are a state of their own, which is generated too.
    """

    name: Any
    dtype: str
    missing: bool = False

    kind: ClassVar[str]

    @property
    @abstractmethod
    def parts(self) -> tuple[Part, ...]:
        """Its parts in their order."""

    @property
    def width(self) -> int:
        """How many encoded columns it takes."""
        return sum(part.width for part in self.parts)

    @property
    def constant(self) -> bool:
        """Whether it has one value alone, and none is missing."""
        return False

    @abstractmethod
    def encode(self, values: pd.Series) -> np.ndarray:
        """Return encoded values (n, width), float32, without NaN or infinity.

        Raises
        ------
        ValueError
            For values of another kind than in fit.
        """

    @abstractmethod
    def decode(self, block: np.ndarray) -> pd.Series:
        """Return values in the user's pandas type for encoded ones (n, width)."""

    def decode_array(self, block: np.ndarray) -> np.ndarray:
        """Return values in the user's NumPy type for encoded ones (n, width); NaN where they are missing.

        Of kinds that an array has: numbers and levels.
        """
        raise TypeError(f"Expected a column of an array to hold numbers or levels, but got a {self.kind}.")

    def unknown(self, values: pd.Series, block: np.ndarray) -> pd.Series:
        """Return the values that were not known in fit, for which `encode` made rows of zeros in `block`."""
        return values[:0]

    @abstractmethod
    def describe(self) -> str:
        """Return in words what becomes of the column."""

    def to_dict(self) -> dict[str, Any]:
        """Return the column as JSON-able values; raise ValueError for a name that is none."""
        kept = {field.name: getattr(self, field.name) for field in fields(self)}
        return {"kind": self.kind, **kept, "name": name_to_json(self.name)}

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> Self:
        """Return the column that `to_dict` described."""
        return cls(**{**state, "name": from_json(state["name"])})


def name_to_json(name: Any) -> Any:
    """Return the name of a column as JSON can hold it."""
    try:
        return to_json(name)
    except TypeError as error:
        raise ValueError(f"Expected X to have names of columns that can be stored, but {error}; rename it.") from error


def present(values: pd.Series) -> tuple[pd.Series, np.ndarray]:
    """Return the values that are there, and where others are missing (n,); raise ValueError if all are."""
    missing = missing_values(values)
    if missing.all():
        name = plain_value(values.name)
        raise ValueError(f"Expected column {name!r} to have a value, but got missing ones alone; drop the column.")
    return (values[~missing] if missing.any() else values), missing


def with_gaps(series: pd.Series, missing: np.ndarray) -> pd.Series:
    """Return a column with missing values where `missing` (n,) says so."""
    if not missing.any():
        return series
    return series.where(~missing, None) if series.dtype == object else series.mask(missing)


def one_hot(states: np.ndarray, n: int) -> np.ndarray:
    """Return float32 rows (b, n) for states 0..n-1 (b,)."""
    return np.eye(n, dtype=np.float32)[states]
