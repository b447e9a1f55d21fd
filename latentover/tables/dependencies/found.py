"""Exact dependencies between the columns of a table: what is learned without them, and all columns again."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from latentover.tables.dependencies.kinds import (
    ClassConstant,
    Dependency,
    Derived,
    Order,
    dependency_from_dict,
)
from latentover.tables.dependencies.search import search
from latentover.tables.dependencies.table import Found
from latentover.tables.dependencies.written import read_constraints


@dataclass(frozen=True)
class Dependencies:
    """What follows exactly from what in a table.

    Attributes
    ----------
    columns : tuple
        The labels of all columns of the training frame, in order.
    items : tuple of dependencies
        In an order in which each can be computed from what is learned and what was computed before.
    """

    columns: tuple[Any, ...]
    items: tuple[Dependency, ...]

    def __len__(self) -> int:
        return len(self.items)

    @property
    def derived(self) -> tuple[Any, ...]:
        """The labels of the columns that need not be learned."""
        labels = {str(label): label for label in self.columns}
        return tuple(labels[item.target] for item in self.items if isinstance(item, Derived) and not item.own)

    @property
    def spans(self) -> tuple[Any, ...]:
        """The labels of the columns in whose place their distance to another one is learned."""
        labels = {str(label): label for label in self.columns}
        return tuple(labels[item.target] for item in self.items if isinstance(item, Order))

    def reduce(self, X: pd.DataFrame) -> pd.DataFrame:
        """Return what has to be learned of rows (n, d): no derived column, and distances in place of ordered ones.

        A column that is computed in some rows only, because an input is missing in others, stays, with one value where
        it is computed.
        """
        original = self._named(X)
        frame = original
        for item in self.items:
            if isinstance(item, Derived | Order):
                frame = item.reduce(original, frame)
        labels = dict(zip(original.columns, X.columns, strict=True))
        return self._labelled(frame, [labels[name] for name in frame.columns], X.columns)

    def restore(self, R: pd.DataFrame, y: Any = None) -> pd.DataFrame:
        """Return all columns of rows that `reduce` made, or a generator like them.

        Parameters
        ----------
        R : DataFrame of shape (n, d_reduced)
        y : label or array-like of shape (n,), optional
            The class or classes of the rows, for what is constant in a class.

        Returns
        -------
        DataFrame of shape (n, d)
            Every dependency holds in every row.
        """
        frame = self._named(R)
        labels = None
        if y is not None:
            labels = np.full(len(R), y, dtype=object) if np.ndim(y) == 0 else np.asarray(y, dtype=object)
        for item in self.items:
            frame = item.restore(frame, labels)
        return self._labelled(frame[[str(label) for label in self.columns]], list(self.columns), R.columns)

    def violations(self, X: pd.DataFrame, y: Any = None) -> dict[str, float]:
        """Return the share of rows (n, d) that break each dependency, by its text; missing values break none.

        What is constant in a class counts with `y` (n,) alone.
        """
        frame = self._named(X)
        shares = {}
        for item in self.items:
            if y is None and isinstance(item, ClassConstant):
                continue
            broken = item.violated(frame, None if y is None else np.asarray(y, dtype=object))
            shares[item.describe()] = float(broken.mean()) if len(frame) else 0.0
        return shares

    def describe(self) -> list[str]:
        """Return each dependency in plain words."""
        return [item.describe() for item in self.items]

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON-able values, without a level that occurs once."""
        return {
            "columns": [list(label) if isinstance(label, tuple) else label for label in self.columns],
            "items": [item.to_dict() for item in self.items],
        }

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> "Dependencies":
        """Return what `to_dict` wrote."""
        columns = tuple(tuple(label) if isinstance(label, list) else label for label in state["columns"])
        return cls(columns, tuple(map(dependency_from_dict, state["items"])))

    @staticmethod
    def _named(X: pd.DataFrame) -> pd.DataFrame:
        return X.set_axis([str(label) for label in X.columns], axis=1)

    @staticmethod
    def _labelled(frame: pd.DataFrame, labels: Sequence[Any], like: pd.Index) -> pd.DataFrame:
        index = pd.Index(labels, name=like.name)
        if like.dtype == object or index.dtype == object:
            index = index.astype(like.dtype)
        return frame.set_axis(index, axis=1)


def find_dependencies(X: pd.DataFrame, y: Any = None, *, constraints: str | Sequence[str] = "auto") -> Dependencies:
    """Find what follows exactly from what between the columns of training rows.

    Parameters
    ----------
    X : DataFrame of shape (n, d)
        With different column names.
    y : array-like of shape (n,), optional
        Classes, for what is constant in one.
    constraints : {"auto", "none"} or list of str, default="auto"
        "auto" finds what holds in all rows; "none" finds nothing. Constraints in a list, such as
        ``"fee = round(0.015 * amount, 2)"``, ``"opened <= closed"``, ``"country -> currency"`` and ``"amount >= 0"``,
        are kept beside what is found, or alone if the list begins with "none".

    Raises
    ------
    ValueError
        If a constraint cannot be read, or is broken by more than 0.5 % of the rows.
    """
    columns = tuple(X.columns)
    names = [str(label) for label in columns]
    if constraints == "none" or len(set(names)) < len(names):
        return Dependencies(columns, ())
    texts = [] if isinstance(constraints, str) and constraints == "auto" else constraints
    frame = X.set_axis(names, axis=1)
    found = Found()
    bounds, finds = read_constraints(frame, texts, found)
    extra: list[Dependency] = [*bounds]
    if finds:
        labels = None if y is None else np.asarray(y, dtype=object)
        extra += search(frame, labels, found)
    return Dependencies(columns, _in_order(found, extra))


def _in_order(found: Found, extra: Sequence[Dependency]) -> tuple[Dependency, ...]:
    """Return dependencies so that each stands behind those it needs."""
    after: dict[str, list[Dependency]] = {}
    for item in extra:
        after.setdefault(item.target, []).append(item)
    ordered: list[Dependency] = []
    done: set[str] = set()

    def visit(name: str) -> None:
        if name in done:
            return
        done.add(name)
        item = found.of.get(name)
        if item is not None:
            for source in item.sources:
                visit(source)
            ordered.append(item)
        ordered.extend(after.get(name, ()))

    for name in (*after, *found.of):
        visit(name)
    return tuple(ordered)
