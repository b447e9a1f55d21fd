"""Finding columns of few values that others decide: steps of a number, values of a level, constants of a class."""

from itertools import permutations
from typing import Any

import numpy as np
import pandas as pd

from latentover.tables.dependencies.expressions import Expression, quote
from latentover.tables.dependencies.kinds import (
    ClassConstant,
    Dependency,
    Lookup,
    Steps,
)
from latentover.tables.dependencies.numbers import n_digits, shortest
from latentover.tables.dependencies.table import (
    LARGEST_CHANCE,
    LEAST_ROWS,
    SAMPLE,
    Found,
    Table,
    verified,
)
from latentover.tables.dependencies.values import (
    is_plain,
    plain,
)

_FEW = 20


def find_steps(table: Table, found: Found) -> None:
    """Columns of few values that say where a number lies, or whether something is missing."""
    for target in reversed(table.names):
        coded = table.codes(target)
        if target in found.of or coded is None or not 2 <= len(coded[1]) <= _FEW:
            continue
        for dependency in (_missing_flag(table, target, found), _bands(table, target, coded, found)):
            if found.add(dependency):
                break


def _missing_flag(table: Table, target: str, found: Found) -> Steps | None:
    codes, levels = table.codes(target)  # type: ignore[misc]
    if len(levels) != 2 or (codes < 0).any():
        return None
    for source in table.names:
        gone = table.frame[source].isna().to_numpy()
        if source == target or not LEAST_ROWS / 5 <= gone.sum() <= len(gone) - LEAST_ROWS / 5:
            continue
        if not found.is_free(target, (source,)):
            continue
        same = codes == gone
        if same.all() or not same.any():
            values = tuple(levels) if same.all() else tuple(levels[::-1])
            column = table.column(target)
            return Steps(
                column,
                values=values,
                expression=Expression(f"missing({quote(source)})"),
                edges=(0.5,),
                own=False,
                upper=True,
            )
    return None


def _bands(table: Table, target: str, coded: tuple[np.ndarray, Any], found: Found) -> Steps | None:
    """Return the number whose limits a column tells, the most finely cut one."""
    best: tuple[float, Steps] | None = None
    codes, levels = coded
    for source in table.of("number", "time"):
        if source == target or not found.is_free(target, (source,)):
            continue
        for text, values in _scales(table, source):
            steps = _cut(table, target, text, values, codes, levels)
            if steps is not None and (best is None or steps[0] < best[0]):
                best = steps
    return best[1] if best is not None else None


def _scales(table: Table, source: str) -> list[tuple[str, np.ndarray]]:
    """Return the numbers (n,) of a column that limits may lie on."""
    name = quote(source)
    if table.nature[source] == "time":
        texts = [f"{part}({name})" for part in ("weekday", "hour", "month", "year")]
        return [(text, table.part(text)) for text in texts]
    numbers = table.floats(source)
    if np.nanmin(numbers) < 0 < np.nanmax(numbers):
        return [(name, numbers), (f"abs({name})", np.abs(numbers))]
    return [(name, numbers)]


def _cut(
    table: Table, target: str, text: str, numbers: np.ndarray, codes: np.ndarray, levels: list[Any]
) -> tuple[float, Steps] | None:
    """Return the steps, and how wide their gaps are, if numbers (n,) fall into one stretch for each code (n,)."""
    if len(numbers) > SAMPLE and _stretches(numbers[:SAMPLE], codes[:SAMPLE], len(levels)) is None:
        return None
    both = np.isfinite(numbers) & (codes >= 0)
    if both.sum() < LEAST_ROWS:
        return None
    x, c = numbers[both], codes[both]
    counts = np.bincount(c, minlength=len(levels))
    if counts.min() < LEAST_ROWS / 10 or len(np.unique(x[:SAMPLE])) <= len(levels):
        return None
    stretches = _stretches(x, c, len(levels))
    if stretches is None:
        return None
    order, gaps = stretches
    low, high = np.quantile(x, [0.01, 0.99])
    spread = max(high - low, 1e-300)
    natural = [below == 0 or above == 0 or above - below <= max(0.05 * spread, 1.0) for below, above in gaps]
    if not all(natural):
        return None
    if _log_choices(len(x), int(counts.min())) < -LARGEST_CHANCE:
        return None
    edges, uppers = zip(*(_edge(below, above) for below, above in gaps), strict=True)
    upper = sum(uppers) * 2 >= len(uppers)
    if any(one != upper for one in uppers):
        edges = tuple(shortest(below, above) for below, above in gaps)
        if any(edge == (below if upper else above) for edge, (below, above) in zip(edges, gaps, strict=True)):
            edges = tuple(above if upper else below for below, above in gaps)
    column = table.column(target)
    values = tuple(levels[i] for i in order)
    limits = tuple(map(float, edges))
    trial = Steps(column, own=False, expression=Expression(text), edges=limits, values=values, upper=upper)
    steps = verified(
        table, trial, lambda own: Steps(column, own, trial.expression, trial.edges, trial.values, trial.upper)
    )
    width = sum(above - below for below, above in gaps) / spread
    return (sum(map(n_digits, edges)) + min(width, 0.99), steps) if steps is not None else None


def _stretches(x: np.ndarray, c: np.ndarray, n: int) -> tuple[np.ndarray, list[tuple[float, float]]] | None:
    """Return the order of n codes (rows,) along numbers (rows,), and the gaps between them; None if they overlap."""
    known = np.isfinite(x) & (c >= 0)
    lows, highs = np.full(n, np.inf), np.full(n, -np.inf)
    np.minimum.at(lows, c[known], x[known])
    np.maximum.at(highs, c[known], x[known])
    order = np.argsort(lows)
    seen = order[np.isfinite(lows[order])]
    if not (highs[seen][:-1] < lows[seen][1:]).all():
        return None
    return order, list(zip(highs[order][:-1], lows[order][1:], strict=True))


def _log_choices(n: int, k: int) -> float:
    """Return the logarithm of the number of ways to choose k of n."""
    k = min(k, n - k)
    return float(np.log(np.arange(n - k + 1, n + 1)).sum() - np.log(np.arange(1, k + 1)).sum())


def _edge(below: float, above: float) -> tuple[float, bool]:
    """Return the plainest limit that parts two numbers, and whether it belongs to the upper side."""
    edge = shortest(below, above)
    if edge == below:
        return edge, False
    return edge, True


def find_lookups(table: Table, found: Found) -> None:
    """Levels that decide another column."""
    coded = {}
    for name in table.names:
        codes = table.codes(name)
        if codes is not None and len(codes[1]) > 1:
            coded[name] = codes
    pairs = []
    for source, target in permutations(coded, 2):
        keys, values = coded[source], coded[target]
        can_decide = table.nature[source] in ("level", "flag") or table.decimals(source) == 0
        if not can_decide or len(keys[1]) < len(values[1]):
            continue
        mirrored = len(keys[1]) == len(values[1]) and table.position[source] > table.position[target]
        number = table.nature[source] == "number"
        order = (mirrored, number, len(keys[1]), source in found.of, -table.position[target], table.position[source])
        pairs.append((order, source, target))
    for _, source, target in sorted(pairs):
        if not found.is_free(target, (source,)):
            continue
        if _decides(*coded[source], *coded[target]):
            found.add(Lookup.learn(table.frame, source, target))


def _decides(keys: np.ndarray, key_levels: list[Any], values: np.ndarray, value_levels: list[Any]) -> bool:
    """Return whether each key has one value, and this is no accident."""
    both = (keys >= 0) & (values >= 0)
    if both.sum() < max(LEAST_ROWS, 0.2 * len(keys)):
        return False
    for rows in (slice(0, SAMPLE), slice(None)):
        k, v = keys[rows][both[rows]], values[rows][both[rows]]
        table = np.full(len(key_levels), -1)
        table[k] = v
        if (table[k] != v).any():
            return False
    share = np.bincount(v, minlength=len(value_levels)) / len(v)
    sizes = np.bincount(k, minlength=len(key_levels))
    sizes, times = np.unique(sizes[sizes > 0], return_counts=True)
    with np.errstate(divide="ignore"):
        chances = np.log((share[None, :] ** sizes[:, None]).sum(axis=1))
    return bool((np.maximum(chances, -700.0) * times).sum() < LARGEST_CHANCE)


def class_constants(table: Table, y: np.ndarray, found: Found) -> list[Dependency]:
    """Columns with one value in all rows of a class."""
    codes, labels = pd.factorize(np.asarray(y))
    constants: list[Dependency] = []
    for name in table.names:
        if name in found.of or table.nature[name] in ("time", "duration"):
            continue
        series = table.frame[name]
        kept = []
        for code, label in enumerate(labels):
            rows = codes == code
            value = _constant(series[rows])
            if value is None or rows.sum() < 20:
                continue
            same = series.isna() if value[0] is None else (series == value[0]).fillna(False)  # noqa: FBT003
            share = float(np.asarray(same, dtype=bool).mean())
            if rows.sum() * np.log(max(share, 1e-12)) < LARGEST_CHANCE / 3 and is_plain(label):
                kept.append((plain(label), value[0]))
        if kept:
            known, values = zip(*kept, strict=True)
            constants.append(ClassConstant(table.column(name), known, values))
    return constants


def _constant(series: pd.Series) -> tuple[Any] | None:
    """Return the one value of a column, None inside if all are missing."""
    if series.isna().all():
        return (None,)
    first = series.iloc[0]
    if series.isna().any() or not is_plain(first) or not (series == first).all():
        return None
    return (plain(first),)
