"""Numbers that are a function of other numbers: which function, with the shortest coefficients that keep it exact."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

DIGITS = 12
DAYS_OF_A_YEAR = 365.25
_MODES = ("round", "floor", "ceil")


@dataclass(frozen=True)
class Grid:
    """What values a column of numbers can take: ``offset + unit * integer``; `unit` None for real numbers.

    Attributes
    ----------
    unit : float or None
    decimals : int
        Of the unit.
    multiple : int
        The unit in units of the last decimal.
    offset : float
    tolerance : float
        Relative, for real numbers.
    """

    unit: float | None
    decimals: int = 0
    multiple: int = 1
    offset: float = 0.0
    tolerance: float = 1e-10

    @classmethod
    def of(cls, values: np.ndarray, decimals: int | None, *, single: bool) -> "Grid":
        """Learn the grid of finite values (n,) that have so many decimals."""
        if decimals is None:
            return cls(None, tolerance=5e-7 if single else 1e-10)
        whole = np.round(values * 10.0**decimals).astype(np.int64)
        step = int(np.gcd.reduce(whole - whole.min())) or 1
        if step == 1:
            return cls(10.0**-decimals, decimals)
        return cls(step * 10.0**-decimals, decimals, step, float(int(whole.min()) % step) * 10.0**-decimals)


def shortest(low: float, high: float) -> float:
    """Return the number with the fewest digits in [low, high], the nearest to its middle among these."""
    if low <= 0 <= high:
        return 0.0
    middle = (low + high) / 2
    largest = int(np.floor(np.log10(max(abs(low), abs(high)))))
    for decimals in range(-largest - 1, DIGITS + 6 - largest):
        scale = 10.0**decimals if decimals < 300 else np.inf
        value = float(Fraction(round(middle * scale)) / Fraction(10) ** decimals) if scale < 1e300 else middle
        if low <= value <= high:
            return value
    return middle


def n_digits(value: float) -> int:
    """Return how many significant digits a number is written with."""
    digits = f"{abs(value):.15g}".split("e")[0].replace(".", "").lstrip("0")
    return len(digits.rstrip("0")) or 1


def write_number(value: float) -> str:
    """Return a number as text that reads back as it."""
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(float(value))


def simplest(low: float, high: float) -> tuple[float, str]:
    """Return the plainest number in [low, high] and its text: a short decimal, or a fraction of small numbers."""
    value = shortest(low, high)
    digits = n_digits(value)
    middle = Fraction((low + high) / 2)
    for limit in (12, 1000) if digits > 6 else (12,):
        fraction = middle.limit_denominator(limit)
        inside = fraction and low <= float(fraction) <= high and fraction.denominator > 1
        if inside and len(f"{abs(fraction.numerator)}{fraction.denominator}") < digits:
            return fraction.numerator / fraction.denominator, f"{fraction.numerator} / {fraction.denominator}"
    if digits > 9:  # a real number, known as well as the rows tell
        value = (low + high) / 2
    return value, write_number(value)


def write_factor(low: float, high: float) -> tuple[str, str, float, int]:
    """Return what a column is multiplied with as text before and after it, as number, and how many digits it has."""
    factor, text = simplest(low, high)
    digits = n_digits(factor) if "/" not in text else len(text) - 3
    divisor = shortest(*sorted((1 / low, 1 / high))) if low * high > 0 else 0.0
    if digits > 2 and low <= 1 / DAYS_OF_A_YEAR <= high:
        divisor = DAYS_OF_A_YEAR
    if abs(divisor) > 1 and (n_digits(divisor) < digits - 1 or divisor == DAYS_OF_A_YEAR):
        return "", f" / {write_number(divisor)}", 1 / divisor, n_digits(divisor)
    if factor == 1:
        return "", "", 1.0, 0
    if factor == -1:
        return "-", "", -1.0, 1
    return f"{text} * ", "", factor, digits


def _limits(mode: str, unit: float) -> tuple[float, float]:
    """Return between which distances the unrounded number lies above the rounded one."""
    slack = 1e-7 * unit
    return {
        "round": (-unit / 2 - slack, unit / 2 + slack),
        "floor": (-slack, unit - slack),
        "ceil": (-unit + slack, slack),
    }[mode]


@dataclass(frozen=True)
class Line:
    """A formula ``factor * feature + constant``, rounded.

    Attributes
    ----------
    text : str
    digits : int
        How many digits its constants have in all.
    is_rounded : bool
        Whether rounding loses something, so that the feature cannot be computed back.
    """

    text: str
    digits: int
    is_rounded: bool


def _interval(feature: np.ndarray, low: np.ndarray, high: np.ndarray) -> tuple[float, float]:
    """Return the factors with ``low <= factor * feature <= high`` in all rows."""
    positive, negative = feature > 0, feature < 0
    zero = ~(positive | negative)
    if zero.any() and not ((low[zero] <= 0) & (high[zero] >= 0)).all():
        return 1.0, 0.0
    with np.errstate(all="ignore"):
        lows = np.concatenate([low[positive] / feature[positive], high[negative] / feature[negative]])
        highs = np.concatenate([high[positive] / feature[positive], low[negative] / feature[negative]])
    return (float(lows.max()), float(highs.min())) if len(lows) else (1.0, 0.0)


def fit_line(
    feature: np.ndarray, values: np.ndarray, grid: Grid, text: str, *, intercept: bool = True, fixed: bool = False
) -> Line | None:
    """Return how `values` (n,) follow from `feature` (n,), finite both, in all rows; None if they do not.

    The factor lies in the intersection of the intervals that every row allows; of these the shortest decimal is
    taken. `fixed` allows 1 alone.
    """
    scale = float(np.abs(values).max()) or 1.0
    unit = grid.unit if grid.unit is not None else 2 * grid.tolerance * scale
    shifted = values - grid.offset
    found: list[tuple[int, int, Line]] = []
    for number, mode in enumerate(_MODES if grid.unit is not None else _MODES[:1]):
        below, above = _limits(mode, unit)
        low, high = _interval(feature, shifted + below, shifted + above)
        if low <= high:
            if fixed and not low <= 1 <= high:
                continue
            before, after, factor, digits = write_factor(low, high) if not fixed else ("", "", 1.0, 0)
            body = f"{before}{text}{after}"
            found.append((digits, number, _line(body, factor * feature, shifted, grid, mode, digits)))
    if not found and intercept and not fixed:
        found = list(_with_constant(feature, shifted, grid, unit, text))
    return min(found, key=lambda item: item[:2])[2] if found else None


def _with_constant(
    feature: np.ndarray, shifted: np.ndarray, grid: Grid, unit: float, text: str
) -> Iterator[tuple[int, int, Line]]:
    centred = feature - feature.mean()
    spread = float(centred @ centred)
    if not spread:
        return
    slope = float(centred @ (shifted - shifted.mean()) / spread)
    error = unit / np.sqrt(12 * spread) + 1e-13 * abs(slope)
    for width in (4.0, 1.0, 16.0, 0.25):
        before, after, factor, digits = write_factor(slope - width * error, slope + width * error)
        rest = shifted - factor * feature
        for number, mode in enumerate(_MODES if grid.unit is not None else _MODES[:1]):
            below, above = _limits(mode, unit)
            low, high = float(rest.max()) + below, float(rest.min()) + above
            if low <= high:
                constant = shortest(low, high)
                more = n_digits(constant) if constant else 0
                sign = f" {'-' if constant < 0 else '+'} {write_number(abs(constant))}" if constant else ""
                body = f"{before}{text}{after}{sign}"
                line = _line(body, factor * feature + constant, shifted, grid, mode, digits + more)
                yield digits + more, number, line
                return


def _line(body: str, computed: np.ndarray, shifted: np.ndarray, grid: Grid, mode: str, digits: int) -> Line:
    """Write rounding around a formula where it needs some."""
    if grid.unit is None:
        return Line(body, digits, is_rounded=False)
    exact = np.abs(computed - shifted).max() <= 1e-6 * 10.0**-grid.decimals
    offset = f" + {write_number(round(grid.offset, grid.decimals))}" if grid.offset else ""
    if exact:
        return Line(body + offset, digits, is_rounded=False)
    if mode == "round" and grid.multiple == 1:
        decimals = f", {grid.decimals}" if grid.decimals else ""
        return Line(f"round({body}{decimals}){offset}", digits, is_rounded=True)
    unit = round(grid.multiple * 10.0**-grid.decimals, grid.decimals)
    if unit == 1:
        return Line(f"{mode}({body}){offset}", digits, is_rounded=True)
    inner = f"({body})" if any(sign in body for sign in " +-") else body
    if grid.multiple == 1:
        power = write_number(10.0**grid.decimals)
        return Line(f"{mode}({inner} * {power}) / {power}{offset}", digits, is_rounded=True)
    step = write_number(unit)
    return Line(f"{mode}({inner} / {step}) * {step}{offset}", digits, is_rounded=True)


def chance(feature: np.ndarray, values: np.ndarray, residual_unit: float) -> float:
    """Return the share of rows that would fit if values belonged to other rows."""
    if len(values) < 2:
        return 1.0
    centred = feature - feature.mean()
    slope = float(centred @ (values - values.mean()) / max(float(centred @ centred), 1e-300))
    fitted = values.mean() + slope * centred
    return float(np.mean(np.abs(np.roll(fitted, len(values) // 2) - values) <= residual_unit))
