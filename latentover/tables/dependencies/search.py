"""Finding exact dependencies: candidates from a sample of the rows, each verified on all of them."""

from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from latentover.tables.dependencies.expressions import quote
from latentover.tables.dependencies.formulas import find_formulas
from latentover.tables.dependencies.kinds import (
    Dependency,
)
from latentover.tables.dependencies.levels import class_constants, find_lookups, find_steps
from latentover.tables.dependencies.orders import find_orders
from latentover.tables.dependencies.table import (
    LEAST_ROWS,
    Found,
    Table,
    formula,
)
from latentover.tables.dependencies.values import (
    as_array,
)


def search(frame: pd.DataFrame, y: np.ndarray | None, found: Found) -> list[Dependency]:
    """Add to `found` what holds in all rows; return what holds within classes beside it."""
    if len(frame) < LEAST_ROWS:
        return []
    table = Table(frame)
    find_copies(table, found)
    find_formulas(table, found)
    find_steps(table, found)
    find_lookups(table, found)
    find_orders(table, found)
    return class_constants(table, y, found) if y is not None else []


def find_copies(table: Table, found: Found) -> None:
    """Columns that repeat an earlier one."""
    signatures: dict[str, Any] = {}
    for name in table.names:
        column = table.sample[name]
        signatures[name] = column.astype(object).to_numpy() if table.nature[name] == "level" else as_array(column)
    for first, second in combinations(table.names, 2):
        a, b = signatures[first], signatures[second]
        if table.nature[first] != table.nature[second] or first in found.of or second in found.of:
            continue
        gone = pd.isna(a) | pd.isna(b)
        if gone.mean() < 0.8 and bool((a == b)[~gone].all()):
            found.add(formula(table, second, quote(first)))
