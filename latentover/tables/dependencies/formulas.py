"""Finding numbers and durations that are computed from others."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, permutations

import numpy as np

from latentover.tables.dependencies.expressions import CALENDAR, Expression, quote
from latentover.tables.dependencies.kinds import (
    Dependency,
    Formula,
)
from latentover.tables.dependencies.numbers import (
    Grid,
    Line,
    chance,
    fit_line,
    shortest,
    simplest,
    write_number,
)
from latentover.tables.dependencies.orders import is_order
from latentover.tables.dependencies.table import (
    LARGEST_CHANCE,
    LEAST_ROWS,
    Found,
    Table,
    formula,
    is_rich,
)
from latentover.tables.dependencies.values import (
    LARGEST_EXACT,
    as_array,
    as_floats,
)

_SCREEN = 1000
_MOST_NUMBERS = 60
_TERMS = 8
_DIGITS_OF_ROUNDED = 9
"""Constants of more digits than so many in a rounded formula are fitted rather than found."""


@dataclass(frozen=True)
class Candidate:
    """A formula with what it costs; the cheapest one is believed first."""

    cost: tuple[float, ...]
    target: str
    line: Line
    formula: Formula


@dataclass(frozen=True)
class Feature:
    """Something that a column may be a multiple of."""

    text: str
    rank: int
    values: np.ndarray
    names: tuple[str, ...]


def find_formulas(table: Table, found: Found) -> None:
    """Numbers and durations that are computed from others."""
    for target in table.of("duration"):
        for start, end in permutations(table.of("time"), 2):
            found.add(formula(table, target, f"{quote(end)} - {quote(start)}"))
    targets = [name for name in table.of("number") if name not in found.of and is_rich(table, name)]
    bases = [feature for feature in _bases(table) if not set(feature.names) & set(found.of)]
    if not targets or not bases:
        return
    _clips(table, targets, found)
    targets = [name for name in targets if name not in found.of]
    if not targets:
        return
    screened = _screened(table, targets, bases)
    candidates = [candidate for target in targets for candidate in _of_features(table, target, screened[target])]
    sums = _pair_sums(table, targets)
    _take(table, candidates, sums, found)
    bases = [base for base in bases if not _is_linear(found.of.get(base.names[0]))]
    _take(table, _powers(table, [name for name in targets if name not in found.of], bases), sums, found)
    _linear(table, targets, found)
    _pursuit(table, targets, bases, found)


def _take(table: Table, candidates: list[Candidate], sums: list[tuple[str, str, str]], found: Found) -> None:
    """Believe candidates one after the other."""
    for _, candidate in _costs(table, candidates):
        if found.is_free(candidate.target, candidate.formula.sources):
            found.add(_as_sum(table, candidate, sums, found) or candidate.formula)


def _clips(table: Table, targets: list[str], found: Found) -> None:
    """Numbers that repeat others up to a cap: ``capped = min(savings, 5000)``."""
    for target, source in permutations(targets, 2):
        t, x = as_floats(table.sample[target]), as_floats(table.sample[source])
        both = np.isfinite(t) & np.isfinite(x)
        other = both & (t != x)
        if not 0.01 < other.sum() / max(both.sum(), 1) < 0.9 or np.ptp(t[other]):
            continue
        cap = float(t[other][0])
        name = "min" if cap == np.nanmax(t) else "max"
        if cap in (np.nanmin(t), np.nanmax(t)):
            found.add(formula(table, target, f"{name}({quote(source)}, {write_number(cap)})"))


def _bases(table: Table) -> list[Feature]:
    """Number columns, parts of times and differences of times, on the sample."""
    names = [name for name in table.of("number", "flag") if np.nanmax(np.abs(table.floats(name))) <= LARGEST_EXACT]
    features = [Feature(quote(name), 0, as_floats(table.sample[name]), (name,)) for name in names[:_MOST_NUMBERS]]
    times = table.of("time")
    texts: list[tuple[str, tuple[str, ...]]] = []
    texts += [(f"{part}({quote(name)})", (name,)) for name in times[:10] for part in CALENDAR]
    middles = {name: np.nanmedian(as_array(table.sample[name]).astype(np.float64)) for name in times}
    for start, end in list(combinations(sorted(times, key=middles.__getitem__), 2))[:15]:
        texts.append((f"days({quote(end)} - {quote(start)})", (end, start)))
        texts.append((f"year({quote(end)}) - year({quote(start)})", (end, start)))
    texts += [(f"days({quote(name)})", (name,)) for name in table.of("duration")]
    for text, columns in texts:
        values = Expression(text).evaluate(table.sample)
        if np.nanmax(values, initial=-np.inf) > np.nanmin(values, initial=np.inf):
            features.append(Feature(text if " - year" not in text else f"({text})", 1, values, columns))
    return features


def _features(bases: list[Feature]) -> Iterator[list[Feature]]:
    """Yield functions of one and of two base features, in blocks."""
    with np.errstate(all="ignore"):
        yield bases
        unary = []
        for base in bases:
            if base.rank > 0 or len(np.unique(base.values[np.isfinite(base.values)])) < 5:
                continue
            values, low = base.values, np.nanmin(base.values)
            unary.append(Feature(f"{base.text} ** 2", 2, values**2, base.names))
            unary.append(Feature(f"{base.text} ** 3", 4, values**3, base.names))
            unary.append(Feature(f"1 / {base.text}", 3, 1 / values, base.names))
            unary.append(Feature(f"exp({base.text})", 4, np.exp(np.minimum(values, 300)), base.names))
            if low < 0:
                unary.append(Feature(f"abs({base.text})", 2, np.abs(values), base.names))
            if low >= 0:
                unary.append(Feature(f"sqrt({base.text})", 3, np.sqrt(values), base.names))
                unary.append(Feature(f"log1p({base.text})", 3, np.log1p(values), base.names))
            if low > 0:
                unary.append(Feature(f"log({base.text})", 3, np.log(values), base.names))
                unary.append(Feature(f"log10({base.text})", 3, np.log10(values), base.names))
                unary.append(Feature(f"log2({base.text})", 3, np.log2(values), base.names))
        yield unary
        simple = [base for base in bases if base.rank == 0 or base.text.startswith("days")]
        for i, a in enumerate(simple):
            block = []
            for b in simple[i + 1 :]:
                names = tuple(dict.fromkeys((*a.names, *b.names)))
                block.append(Feature(f"{a.text} * {b.text}", 2, a.values * b.values, names))
                block.append(Feature(f"{a.text} / {b.text}", 3, a.values / b.values, names))
                block.append(Feature(f"{b.text} / {a.text}", 3, b.values / a.values, names))
                block.append(Feature(f"max({a.text}, {b.text})", 4, np.maximum(a.values, b.values), names))
                block.append(Feature(f"min({a.text}, {b.text})", 4, np.minimum(a.values, b.values), names))
            yield block


def _screened(table: Table, targets: list[str], bases: list[Feature]) -> dict[str, list[Feature]]:
    """Return for each target the features with which it is in so straight a line that rounding can be the rest."""
    passed: dict[str, list[Feature]] = {target: [] for target in targets}
    T = np.stack([as_floats(table.sample[name])[:_SCREEN] for name in targets], axis=1)
    units = np.array([table.grid(name).unit or 0.0 for name in targets])
    for block in _features(bases):
        if not block:
            continue
        unexplained, variance = _unexplained(T, np.stack([feature.values[:_SCREEN] for feature in block], axis=1))
        allowed = np.minimum(1.5 * units[:, None] ** 2 / 12 / np.maximum(variance, 1e-300), 0.5) + 1e-6
        for i, j in np.argwhere(unexplained <= allowed):
            if targets[i] not in block[j].names:
                passed[targets[i]].append(block[j])
    return passed


def _unexplained(T: np.ndarray, F: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return 1 - r^2 (t, f) of columns (n, t) and (n, f) over the rows that both have, and the former's variances."""

    def standardized(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        known = np.isfinite(values)
        values = np.where(known, values, 0.0)
        count = np.maximum(known.sum(axis=0), 1)
        values = np.where(known, values - values.sum(axis=0) / count, 0.0)
        with np.errstate(all="ignore"):
            scale = np.sqrt((values**2).sum(axis=0) / count)
        scale = np.where(np.isfinite(scale) & (scale > 0), scale, 1.0)
        return values / scale, known.astype(np.float64), scale

    with np.errstate(all="ignore"):
        (t, t_known, t_scale), (f, f_known, _) = standardized(T), standardized(F)
        n = np.maximum(t_known.T @ f_known, 1.0)
        t_mean, f_mean = t.T @ f_known / n, t_known.T @ f / n
        t_var = (t**2).T @ f_known / n - t_mean**2
        f_var = t_known.T @ f**2 / n - f_mean**2
        covariance = t.T @ f / n - t_mean * f_mean
        r2 = covariance**2 / np.maximum(t_var * f_var, 1e-300)
    r2 = np.where((n >= LEAST_ROWS / 2) & (t_var > 1e-9) & (f_var > 1e-9), r2, 0.0)
    return 1 - np.nan_to_num(r2), t_var * t_scale[:, None] ** 2


def _of_features(table: Table, target: str, features: list[Feature]) -> list[Candidate]:
    """Return the formulas of one feature that all rows keep."""
    grid, values = table.grid(target), as_floats(table.sample[target])
    tried: list[tuple[tuple[float, ...], Feature]] = []
    for feature in features:
        both = np.isfinite(values) & np.isfinite(feature.values)
        if both.sum() < LEAST_ROWS / 2:
            continue
        line = fit_line(feature.values[both], values[both], grid, feature.text)
        if line is not None and not _by_chance(feature.values[both], values[both], grid, line):
            tried.append(((feature.rank, line.digits), feature))
    candidates = []
    for _, feature in sorted(tried, key=lambda item: item[0])[:3]:
        candidate = _on_all_rows(table, target, grid, feature.text, feature.rank, feature.names)
        if candidate is not None:
            candidates.append(candidate)
    return candidates


def _by_chance(feature: np.ndarray, values: np.ndarray, grid: Grid, line: Line) -> bool:
    """Return whether so few values, or so many digits, make the formula one of many that would have fitted."""
    unit = grid.unit or 0.0
    share = chance(feature, values, unit / 2)
    evidence = len(values) * np.log(max(share, 1e-12))
    return bool(evidence > LARGEST_CHANCE) or (line.digits > _DIGITS_OF_ROUNDED and line.is_rounded)


def _on_all_rows(
    table: Table, target: str, grid: Grid, text: str, rank: int, names: tuple[str, ...]
) -> Candidate | None:
    feature, values = Expression(text).evaluate(table.frame), table.floats(target)
    both = np.isfinite(feature) & np.isfinite(values)
    line = fit_line(feature[both], values[both], grid, text)
    if line is None:
        return None
    known = formula(table, target, line.text)
    if known is None:
        return None
    known = _with_ties(table, known)
    computed, _ = known.compute(table.frame)
    misses = float((as_floats(computed)[both] != values[both]).mean()) if grid.unit is not None else 0.0
    cost = (float(rank), misses, float(line.digits), -float(table.position[target]))
    return Candidate(cost, target, line, known)


def _with_ties(table: Table, known: Formula) -> Formula:
    """Return a formula that rounds half up where that agrees with more rows."""
    if not known.expression.text.startswith("round("):
        return known
    other = Formula(known.column, known.own, Expression("round_half_up" + known.expression.text[5:]))
    given = table.floats(known.target)
    ours, others = (np.sum(as_floats(each.compute(table.frame)[0]) != given) for each in (known, other))
    return other if others < ours else known


def _is_dense(table: Table, candidate: Candidate) -> bool:
    """Return whether the target can take more values than its formula gives, so that it is the one to compute.

    ``levy = round(1.2 * cost, 2)`` can be computed back, but not every number of cents is a levy.
    """
    source = candidate.formula.sources[0]
    ends = [table.decimals(candidate.target), table.decimals(source)]
    if ends[0] is None or ends[1] is None:
        return ends[0] is None
    values, feature = as_floats(table.sample[candidate.target]), as_floats(table.sample[source])
    slope = (np.nanmax(values) - np.nanmin(values)) / max(np.nanmax(feature) - np.nanmin(feature), 1e-300)
    return bool(slope * 10.0 ** (ends[0] - ends[1]) > 1.001)


def _costs(table: Table, candidates: list[Candidate]) -> list[tuple[tuple[float, ...], Candidate]]:
    """Return candidates with what they cost: where each of two columns follows from the other, the dense one does."""
    both = {(candidate.target, candidate.formula.sources) for candidate in candidates}
    ranked = []
    for candidate in candidates:
        rank, *rest = candidate.cost
        sources = candidate.formula.sources
        mirrored = len(sources) == 1 and (sources[0], (candidate.target,)) in both
        ranked.append(((rank, float(mirrored and not _is_dense(table, candidate)), *rest), candidate))
    return sorted(ranked, key=lambda item: item[0])


def _pair_sums(table: Table, names: list[str]) -> list[tuple[str, str, str]]:
    """Return all (total, a, b) with ``total = a + b`` in the sample."""
    if len(names) > _MOST_NUMBERS:
        return []
    values = {name: as_floats(table.sample[name]) for name in names}
    head = np.stack([values[name][:_SCREEN] for name in names])
    triples = []
    for a, b in combinations(range(len(names)), 2):
        total = head[a] + head[b]
        with np.errstate(invalid="ignore"):
            far = np.abs(head[:, :40] - total[:40]) > 1e-9 * np.maximum(1.0, np.abs(total[:40]))
        for c in np.flatnonzero(~far.any(axis=1)):
            known = np.isfinite(total) & np.isfinite(head[c])
            if c in (a, b) or known.sum() < LEAST_ROWS / 2:
                continue
            if np.allclose(head[c][known], total[known], rtol=1e-9, atol=1e-9):
                triples.append((names[c], names[a], names[b]))
    return triples


def _as_sum(table: Table, candidate: Candidate, sums: list[tuple[str, str, str]], found: Found) -> Formula | None:
    """Return the sum or difference that a rounded candidate follows from exactly.

    With ``fee = round(0.015 * amount, 2)`` known, ``net`` is ``amount - fee`` rather than ``round(0.985 * amount, 2)``.
    """
    if not candidate.line.is_rounded:
        return None
    target = candidate.target
    for total, a, b in sums:
        if target not in (total, a, b):
            continue
        others = [name for name in (total, a, b) if name != target]
        if not any(name in found.of for name in others) or not found.is_free(target, tuple(others)):
            continue
        text = f"{quote(a)} + {quote(b)}" if target == total else f"{quote(total)} - {quote(a if target == b else b)}"
        known = formula(table, target, text)
        if known is not None:
            return known
    return None


def _powers(table: Table, targets: list[str], bases: list[Feature]) -> list[Candidate]:
    """Products of several columns with powers, by a linear fit of logarithms: ``price * quantity * (1 - discount)``."""
    factors: list[tuple[str, np.ndarray, str]] = []
    for base in bases:
        known = base.values[np.isfinite(base.values)]
        if base.rank or len(known) < 0.7 * len(base.values) or len(known) < LEAST_ROWS:
            continue
        if known.min() > 0 and known.max() > known.min():
            factors.append((base.text, base.values, base.names[0]))
        if known.min() >= 0 and known.max() <= 1 and len(np.unique(known)) > 2:
            if known.max() < 1:
                factors.append((f"(1 - {base.text})", 1 - base.values, base.names[0]))
            factors.append((f"(1 + {base.text})", 1 + base.values, base.names[0]))
    candidates = []
    for target in targets:
        grid, values = table.grid(target), as_floats(table.sample[target])
        used = [factor for factor in factors if factor[2] != target]
        found = _fitted_power(values, used, grid)
        if found is None:
            continue
        text, names = found
        if not 1 < len(names) + text.count("**") <= 5:
            continue
        feature = Expression(text).evaluate(table.sample)
        both = np.isfinite(feature) & np.isfinite(values)
        line = fit_line(feature[both], values[both], grid, text, intercept=False)
        if line is None or _by_chance(feature[both], values[both], grid, line):
            continue
        rank = 2 + len(names) + text.count("/") + text.count("sqrt")
        candidate = _on_all_rows(table, target, grid, text, rank, tuple(names))
        if candidate is not None:
            candidates.append(candidate)
    return candidates


def _fitted_power(
    values: np.ndarray, factors: list[tuple[str, np.ndarray, str]], grid: Grid
) -> tuple[str, list[str]] | None:
    """Return the product of powers that positive values (n,) follow, up to rounding."""
    if len(factors) < 2:
        return None
    X = np.stack([factor[1] for factor in factors], axis=1)
    rows = np.isfinite(X).all(axis=1) & (X > 0).all(axis=1) & np.isfinite(values) & (values > 0)
    if rows.sum() < max(LEAST_ROWS, 3 * len(factors)):
        return None
    X, t = np.log(X[rows]), np.log(values[rows])
    weight = values[rows] / (grid.unit or 1e-12 * values[rows].mean())
    weight = np.minimum(weight, 1e6)[:, None]  # the relative error of rounding
    design = np.column_stack([X - X.mean(axis=0), np.ones(len(X))])
    for _ in range(2):
        beta, *_ = np.linalg.lstsq(design * weight, t * weight[:, 0], rcond=1e-10)
        powers = np.round(beta[:-1] * 2) / 2
        if np.abs(beta[:-1] - powers).max() > 0.05:
            return None
    kept = [i for i, power in enumerate(powers) if power]
    if not kept:
        return None
    above: list[str] = []
    below: list[str] = []
    for i in sorted(kept, key=lambda i: -powers[i]):
        power, text = abs(powers[i]), factors[i][0]
        text = text if power == 1 else f"sqrt({text})" if power == 0.5 else f"{text} ** {write_number(power)}"
        (above if powers[i] > 0 else below).append(text)
    text = " * ".join(above) or "1"
    for part in below:
        text += f" / {part}"
    return text, [factors[i][2] for i in kept]


def _linear(table: Table, targets: list[str], found: Found) -> None:
    """Sums of several columns with coefficients."""
    numbers = [name for name in table.of("number", "flag") if np.nanmax(np.abs(table.floats(name))) <= LARGEST_EXACT]
    values = {name: as_floats(table.sample[name]) for name in numbers[:_MOST_NUMBERS]}
    for _ in range(len(targets)):
        candidates = []
        for target in targets:
            if target in found.of:
                continue
            free = [name for name in values if name != target and found.is_free(target, (name,))]
            # What was computed without rounding is a sum of others itself.
            pool = [name for name in free if not _is_linear(found.of.get(name))]
            candidate = _fitted_sum(table, target, pool, values)
            if candidate is not None:
                candidates.append(candidate)
        if not candidates:
            return
        found.add(min(candidates, key=lambda candidate: (_is_end(table, candidate), candidate.cost)).formula)


def _is_end(table: Table, candidate: Candidate) -> bool:
    """Return whether the target of a sum is the end of a range that a third column lies in.

    Of ``iqr = upper - lower`` with ``lower <= median <= upper`` it is `iqr` that is computed, and the order is kept.
    """
    target, sources = candidate.target, candidate.formula.sources
    others = [name for name in table.of("number") if name != target and name not in sources]
    return any(is_order(table, name, target, "number") or is_order(table, target, name, "number") for name in others)


def _is_linear(dependency: Dependency | None) -> bool:
    return isinstance(dependency, Formula) and dependency.expression.is_linear


def _fitted_sum(table: Table, target: str, pool: list[str], values: dict[str, np.ndarray]) -> Candidate | None:
    """Return a target (n,) as a sum of some of the columns of `pool`."""
    grid, t = table.grid(target), values.get(target, as_floats(table.sample[target]))
    pool = [name for name in pool if np.isfinite(values[name][np.isfinite(t)]).mean() > 0.7]
    if len(pool) < 2:
        return None
    kept = _kept_columns(t, pool, values, grid)
    if not 2 <= len(kept) <= _TERMS:
        return None
    X = np.stack([values[name] for name in kept], axis=1)
    rows = np.isfinite(X).all(axis=1) & np.isfinite(t)
    if rows.sum() < max(LEAST_ROWS, 10 * len(kept)):
        return None
    fit = _snapped(X[rows], t[rows], grid, [quote(name) for name in kept])
    while fit is not None and len(kept) > 2:  # a column may say what another says
        shorter = []
        for i in range(len(kept)):
            fewer = kept[:i] + kept[i + 1 :]
            again = _snapped(np.delete(X[rows], i, axis=1), t[rows], grid, [quote(name) for name in fewer])
            shorter += [(sum(sign.isdigit() for sign in again[0]), i, again)] if again is not None else []
        if not shorter:
            break
        _, i, fit = min(shorter, key=lambda item: item[:2])
        kept, X = kept[:i] + kept[i + 1 :], np.delete(X, i, axis=1)
    if fit is None:
        return None
    text, feature = fit
    line = _with_offset(feature, t[rows], grid, text)
    if line is None or _by_chance(feature, t[rows], grid, line):
        return None
    known = formula(table, target, line.text)
    if known is None:
        return None
    cost = (float(line.is_rounded), float(" - " in text or text[0] == "-"), float(line.digits + len(kept)))
    return Candidate((*cost, -float(table.position[target])), target, line, known)


def _with_offset(feature: np.ndarray, values: np.ndarray, grid: Grid, text: str) -> Line | None:
    """Return the line of a snapped sum: rounded, and with a constant where it needs one."""
    unit = grid.unit if grid.unit is not None else 2 * grid.tolerance * max(float(np.abs(values).max()), 1.0)
    rest = values - feature
    low, high = float(rest.max() - (0.5 + 1e-7) * unit), float(rest.min() + (0.5 + 1e-7) * unit)
    if low > high:
        return None
    constant = shortest(low, high)
    sign = f" {'-' if constant < 0 else '+'} {write_number(abs(constant))}" if constant else ""
    return fit_line(feature + constant, values, grid, f"{text}{sign}", fixed=True)


def _kept_columns(t: np.ndarray, pool: list[str], values: dict[str, np.ndarray], grid: Grid) -> list[str]:
    """Return the columns without which a linear fit would not be exact."""
    kept = pool
    for _ in range(4):
        X = np.stack([values[name] for name in kept], axis=1)
        rows = np.isfinite(X).all(axis=1) & np.isfinite(t)
        if rows.sum() < max(LEAST_ROWS, 2 * len(kept)):
            return []
        X, y = X[rows], t[rows]
        scale = X.std(axis=0)
        scale = np.where(scale > 0, scale, 1.0)
        design = (X - X.mean(axis=0)) / scale
        beta, *_ = np.linalg.lstsq(design, y - y.mean(), rcond=1e-11)
        residual = y - y.mean() - design @ beta
        sigma = float(np.sqrt(residual @ residual / max(len(y) - len(kept), 1)))
        rounding = (grid.unit or 0.0) / np.sqrt(12)
        if sigma > 1.2 * rounding + 1e-6 * y.std():
            return []
        noise = np.sqrt(np.clip(np.diag(np.linalg.pinv(design.T @ design)), 0, None)) * max(sigma, 1e-12)
        again = [
            name
            for name, size, error in zip(kept, np.abs(beta), noise, strict=True)
            if size > max(6 * error, 1e-9 * y.std())
        ]
        if len(again) == len(kept) or len(again) < 2:
            return again
        kept = again
    return kept


def _snapped(X: np.ndarray, t: np.ndarray, grid: Grid, texts: list[str]) -> tuple[str, np.ndarray] | None:
    """Return the sum of columns (n, k) with short coefficients as text and as numbers (n,)."""
    design = X - X.mean(axis=0)
    beta, *_ = np.linalg.lstsq(design, t - t.mean(), rcond=1e-12)
    covariance = np.clip(np.diag(np.linalg.pinv(design.T @ design)), 0, None)
    unit = grid.unit if grid.unit is not None else 2 * grid.tolerance * max(float(np.abs(t).max()), 1e-300)
    error = np.sqrt(covariance) * unit / np.sqrt(12) + 1e-13 * np.abs(beta)
    for width in (4.0, 1.0, 16.0, 64.0, 0.25):
        plain_ones = [simplest(b - width * e, b + width * e) for b, e in zip(beta, error, strict=True)]
        snapped = np.array([value for value, _ in plain_ones])
        if not snapped.all():
            continue
        feature = X @ snapped
        rest = t - feature
        if rest.max() - rest.min() <= unit * (1 + 1e-6):
            return _sum_text([text for _, text in plain_ones], texts), feature
    return None


def _sum_text(factors: list[str], texts: list[str]) -> str:
    parts = []
    for factor, name in sorted(zip(factors, texts, strict=True), key=lambda item: item[0].startswith("-")):
        size = factor.removeprefix("-")
        parts.append(f"{'-' if factor[0] == '-' else '+'} {'' if size == '1' else f'{size} * '}{name}")
    text = " ".join(parts)
    return text[2:] if text[0] == "+" else f"-{text[2:]}"


def _pursuit(table: Table, targets: list[str], bases: list[Feature], found: Found) -> None:
    """Sums of columns and products of two: ``price * quantity + shipping``."""
    for target in reversed(targets):
        if target in found.of:
            continue
        grid, t = table.grid(target), as_floats(table.sample[target])
        pool = [
            feature
            for block in _features([base for base in bases if base.rank == 0])
            for feature in block
            if (feature.rank == 0 or " * " in feature.text)
            and target not in feature.names
            and found.is_free(target, feature.names)
        ]
        chosen = _pursued(t, pool, grid)
        if chosen is None:
            continue
        X = np.stack([feature.values for feature in chosen], axis=1)
        rows = np.isfinite(X).all(axis=1) & np.isfinite(t)
        fit = _snapped(X[rows], t[rows], grid, [feature.text for feature in chosen])
        if fit is None:
            continue
        text, feature = fit
        line = _with_offset(feature, t[rows], grid, text)
        if line is not None and not _by_chance(feature, t[rows], grid, line):
            found.add(formula(table, target, line.text))


def _pursued(t: np.ndarray, pool: list[Feature], grid: Grid) -> list[Feature] | None:
    """Choose up to three features, each the nearest to what the ones before leave."""
    if not pool:
        return None
    F = np.stack([feature.values[:_SCREEN] for feature in pool], axis=1)
    rows = np.isfinite(t[:_SCREEN])
    usable = np.isfinite(F[rows]).mean(axis=0) > 0.8 if rows.any() else np.zeros(F.shape[1], dtype=bool)
    if not usable.any():
        return None
    pool = [feature for feature, use in zip(pool, usable, strict=True) if use]
    F = F[:, usable]
    rows &= np.isfinite(F).all(axis=1)
    if rows.sum() < LEAST_ROWS:
        return None
    F, y = F[rows], t[:_SCREEN][rows]
    F = F - F.mean(axis=0)
    scale = np.sqrt((F**2).sum(axis=0))
    F = F / np.where(scale > 0, scale, np.inf)
    y = y - y.mean()
    residual, chosen = y, list[int]()
    for _ in range(3):
        strength = np.abs(F.T @ residual)
        chosen.append(int(strength.argmax()))
        beta, *_ = np.linalg.lstsq(F[:, chosen], y, rcond=1e-11)
        residual = y - F[:, chosen] @ beta
        if residual.std() <= 1.2 * (grid.unit or 0.0) / np.sqrt(12) + 1e-7 * y.std():
            return [pool[i] for i in chosen] if len(chosen) > 1 else None
        if residual.std() > 0.6 * y.std():
            return None
    return None
