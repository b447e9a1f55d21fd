"""Finding columns that never pass another of their nature."""

from itertools import permutations

import numpy as np
import pandas as pd

from latentover.tables.dependencies.kinds import (
    Order,
)
from latentover.tables.dependencies.table import (
    LARGEST_CHANCE,
    LEAST_ROWS,
    Found,
    Table,
    is_rich,
)
from latentover.tables.dependencies.values import (
    as_array,
    is_missing,
)

_OVERLAP = 0.05
_CORRELATION = 0.3


def find_orders(table: Table, found: Found) -> None:
    """Columns that never pass another of their nature."""
    for nature in ("time", "number", "duration"):
        names = [name for name in table.of(nature) if name not in found.of]
        if nature == "number":
            names = [name for name in names if is_rich(table, name)]
        below = {(a, b) for a, b in permutations(names, 2) if is_order(table, a, b, nature)}
        for high in names:
            lows = [low for low in names if (low, high) in below and (high, low) not in below]
            nearest = [low for low in lows if not any((low, other) in below for other in lows if other != low)]
            if nearest and found.is_free(high, tuple(nearest)):
                found.add(Order.learn(table.frame, high, nearest[:3]))


def is_order(table: Table, low: str, high: str, nature: str) -> bool:
    """Return whether one column never passes another where they might, and they belong together."""
    a, b = (as_array(table.sample[name]) for name in (low, high))
    both = ~is_missing(a) & ~is_missing(b)
    if both.sum() < LEAST_ROWS:
        return False
    a, b = (values[both].astype("int64" if values.dtype.kind in "mM" else "float64") for values in (a, b))
    if (a > b).any() or (a == b).all():
        return False
    overlap = np.searchsorted(np.sort(b), a, side="left").mean() / len(b)  # how often rows of others would break it
    related = _alike(low, high)
    if overlap < (_OVERLAP / 5 if related else _OVERLAP) or len(a) * np.log1p(-overlap) > LARGEST_CHANCE:
        return False
    correlation = float(pd.Series(a).corr(pd.Series(b), method="spearman"))
    if correlation < (0.0 if related else _CORRELATION):
        return False
    if nature == "number" and not related:
        if (table.decimals(low) is None) != (table.decimals(high) is None):
            return False
        spreads = [np.subtract(*np.quantile(values, [0.9, 0.1])) for values in (a, b)]
        if not min(spreads) > 0.1 * max(spreads):
            return False
    return not Order.learn(table.frame, high, [low]).violated(table.frame).any()


_ENDS = {"min", "max", "minimum", "maximum", "low", "high", "lower", "upper", "start", "end", "from", "to", "first"}
_ENDS |= {"last", "begin", "opened", "closed", "open", "close", "created", "updated", "lo", "hi", "mean", "avg"}


def _alike(a: str, b: str) -> bool:
    """Return whether two names differ in words for the ends of a range alone."""
    first, second = (set(name.lower().replace("-", "_").replace(" ", "_").split("_")) for name in (a, b))
    return first - _ENDS == second - _ENDS and first != second
