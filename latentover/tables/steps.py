"""Numbers that come in steps: whole numbers, decimals, multiples, or a few values with gaps between them."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from latentover.tables.scales import MAX_VALUES

MIN_ROWS = 20
"""Steps of fewer rows may be chance."""
_DECIMALS = {"float64": 8, "float32": 5}
"""Decimals that are looked for; more are what a measurement has."""
_LARGEST = 2.0**50
"""Steps are counted up to here: doubles have every whole number, and their own spacing is no step."""
_CHANCE = 6.0
"""That all values are multiples of g by chance has to be less likely than 10 to minus this."""
_OFTEN = 10
"""Neighbours that have so many rows each, while what lies between has none, have a gap between them."""


@dataclass(frozen=True)
class Lattice:
    """``(origin + unit * k) / 10**decimals`` for whole k.

    Attributes
    ----------
    decimals, origin, unit : int
        0 <= origin < unit.
    """

    decimals: int = 0
    origin: int = 0
    unit: int = 1

    kind: ClassVar[str] = "lattice"

    def snapped(self, numbers: np.ndarray, low: float | None = None, high: float | None = None) -> np.ndarray:
        """Return the nearest step of each number (n,) within low..high, as the double nearest to the decimal."""
        ten = 10.0**self.decimals
        steps = np.rint((numbers * ten - self.origin) / self.unit)
        if low is not None:
            steps = steps.clip(min=math.ceil(self._position(low) - 1e-6))
        if high is not None:
            steps = steps.clip(max=math.floor(self._position(high) + 1e-6))
        return (steps * self.unit + self.origin) / ten  # one rounding of two exact numbers

    def _position(self, number: float) -> float:
        return (float(number) * 10.0**self.decimals - self.origin) / self.unit

    def count(self, low: float, high: float) -> float:
        """Return how many steps there are from low to high."""
        return (high - low) * 10.0**self.decimals / self.unit + 1

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-able values."""
        return {"kind": self.kind, "decimals": self.decimals, "origin": self.origin, "unit": self.unit}

    def __str__(self) -> str:
        step = self.unit / 10**self.decimals
        return f"steps of {step:g}"


@dataclass(frozen=True)
class Grid:
    """A few values and nothing between them.

    Attributes
    ----------
    values : tuple of float
        Those that at least two rows had, ascending.
    """

    values: tuple[float, ...]

    kind: ClassVar[str] = "grid"

    def snapped(self, numbers: np.ndarray, low: float | None = None, high: float | None = None) -> np.ndarray:
        """Return the nearest value of each number (n,) within low..high, as far as there is one."""
        values = np.array(self.values)
        inside = (values >= (-np.inf if low is None else low)) & (values <= (np.inf if high is None else high))
        values = values[inside] if inside.any() else values
        middles = (values[1:] + values[:-1]) / 2
        return values[np.searchsorted(middles, numbers)]

    def count(self, low: float, high: float) -> float:
        """Return how many values there are."""
        return len(self.values)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-able values."""
        return {"kind": self.kind, "values": list(self.values)}

    def __str__(self) -> str:
        return f"{len(self.values)} values with gaps"


Steps = Lattice | Grid


def steps_from_dict(state: dict[str, Any] | None) -> Steps | None:
    """Return the steps that `to_dict` described."""
    if state is None:
        return None
    state = dict(state)
    return Grid(tuple(state["values"])) if state.pop("kind") == Grid.kind else Lattice(**state)


def find_steps(numbers: np.ndarray, dtype: str) -> Steps | None:
    """Return the steps of finite numbers (n,) that have a NumPy type, or None where there are none, or too few rows."""
    if len(numbers) < MIN_ROWS or np.dtype(dtype).kind not in "iuf":
        return None
    lattice = _lattice(numbers, dtype)
    values, counts = np.unique(numbers, return_counts=True)
    often = counts >= 2
    if len(values) == 1 or not 1 < often.sum() <= MAX_VALUES or 3 * len(values) > len(numbers):
        return lattice
    if counts[often].sum() < 0.98 * len(numbers):
        return lattice
    grid = Grid(tuple(values[often].tolist()))
    if lattice is None:
        return grid if np.dtype(dtype).kind == "f" and counts[often].min() >= 3 else None
    steps = lattice.count(float(values[0]), float(values[-1]))
    holes = np.rint(np.diff(values) * 10.0**lattice.decimals / lattice.unit) > 1
    real = holes & (np.minimum(counts[1:], counts[:-1]) >= _OFTEN)
    return grid if real.any() or 2 * len(values) < steps else lattice


def _lattice(numbers: np.ndarray, dtype: str) -> Lattice | None:
    kind = np.dtype(dtype)
    largest = float(np.abs(numbers).max())
    decimals = 0
    if kind.kind == "f":
        found = _decimals(numbers, kind, largest)
        if found is None:
            return None
        decimals = found
    elif largest >= _LARGEST:
        return None
    whole = np.rint(numbers * 10.0**decimals).astype(np.int64)
    least = int(whole.min())
    unit = int(np.gcd.reduce(whole - least))
    if unit > 1 and (len(np.unique(whole)) - 1) * math.log10(unit) < _CHANCE:
        unit = 1
    return Lattice(decimals, least % max(unit, 1), max(unit, 1))


def _decimals(numbers: np.ndarray, dtype: np.dtype, largest: float) -> int | None:
    """Return how many decimals floats have at the most, or None for more than are looked for."""
    for decimals in range(_DECIMALS.get(dtype.name, -1) + 1):
        ten = 10.0**decimals
        if largest * ten >= (_LARGEST if dtype.name == "float64" else 2.0**22):
            return None
        for part in (numbers[:1000], numbers):  # most columns are told by their first rows
            if not np.array_equal((np.rint(part * ten) / ten).astype(dtype), part.astype(dtype)):
                break
        else:
            return decimals
    return None
