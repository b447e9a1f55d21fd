"""Formulas over the columns of a table, as text: ``round(0.015 * amount, 2)``, ``days(closed - opened)``.

A formula is parsed with `ast` and only what stands here is computed: numbers, columns, ``+ - * / **`` and `FUNCTIONS`.
Names that are no Python identifiers stand in backticks.
"""

import ast
import difflib
import keyword
import operator
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from latentover.tables.dependencies.values import as_array, as_times, nature_of

_QUOTED = re.compile(r"`([^`]+)`")
_BINARY: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}
_UNARY: dict[type, Callable[[Any], Any]] = {ast.UAdd: operator.pos, ast.USub: operator.neg}
_TIES = 1e-9
"""Relative distance within which a number may as well lie on the other side of a tie."""


def _scaled(rounding: Callable[[Any], Any]) -> Callable[..., Any]:
    def rounded(values: Any, decimals: Any = 0) -> Any:
        scale = 10.0 ** float(decimals)
        return np.asarray(rounding(values * scale)) / scale

    return rounded


def _half_up(values: Any) -> Any:
    return np.sign(values) * np.floor(np.abs(values) * (1 + 1e-14) + 0.5)


def _near(rounding: Callable[[Any], Any], shift: float) -> Callable[[Any], Any]:
    """Round up or down so that what is a whole number but for the last bits of a float counts as one."""
    return lambda values: rounding(values + shift * np.maximum(np.abs(values), 1.0))


ROUNDING: dict[str, Callable[..., Any]] = {
    "round": lambda values, decimals=0: np.round(values, int(decimals)),
    "round_half_up": _scaled(_half_up),
    "floor": _near(np.floor, 1e-12),
    "ceil": _near(np.ceil, -1e-12),
}
NUMERIC: dict[str, Callable[..., Any]] = {
    "abs": np.abs,
    "log": np.log,
    "log10": np.log10,
    "log2": np.log2,
    "log1p": np.log1p,
    "exp": np.exp,
    "sqrt": np.sqrt,
    "min": np.minimum,
    "max": np.maximum,
    "days": lambda duration: duration / np.timedelta64(1, "D"),
    "hours": lambda duration: duration / np.timedelta64(1, "h"),
    "minutes": lambda duration: duration / np.timedelta64(1, "m"),
    "seconds": lambda duration: duration / np.timedelta64(1, "s"),
}
CALENDAR: dict[str, Callable[[pd.DatetimeIndex], Any]] = {
    "year": lambda times: times.year,
    "quarter": lambda times: times.quarter,
    "month": lambda times: times.month,
    "week": lambda times: times.isocalendar().week,
    "day": lambda times: times.day,
    "dayofyear": lambda times: times.day_of_year,
    "weekday": lambda times: times.day_of_week,
    "hour": lambda times: times.hour,
    "minute": lambda times: times.minute,
    "second": lambda times: times.second,
}
FUNCTIONS = {*ROUNDING, *NUMERIC, *CALENDAR, "missing"}


def quote(name: str) -> str:
    """Return a column's name as it stands in a formula."""
    return name if name.isidentifier() and not keyword.iskeyword(name) else f"`{name}`"


def can_quote(name: str) -> bool:
    """Return whether a column's name can stand in a formula."""
    return bool(name) and "`" not in name and "\n" not in name


def parse(text: str) -> tuple[ast.AST, dict[str, str]]:
    """Return the statement that a text holds, and which column each name of it means.

    Raises
    ------
    ValueError
        If it is no single statement.
    """
    names: dict[str, str] = {}

    def placeholder(match: re.Match[str]) -> str:
        names[f"column_{len(names)}_"] = match.group(1)
        return f" column_{len(names) - 1}_ "

    try:
        body = ast.parse(_QUOTED.sub(placeholder, text).strip()).body
    except (SyntaxError, ValueError) as error:
        raise ValueError(f"it cannot be read ({error})") from None
    if len(body) != 1:
        raise ValueError("it has to be one line")
    return body[0], names


@dataclass(frozen=True)
class Expression:
    """A formula.

    Attributes
    ----------
    text : str
    """

    text: str

    @cached_property
    def _parsed(self) -> tuple[ast.AST, dict[str, str]]:
        statement, names = parse(self.text)
        if not isinstance(statement, ast.Expr):
            raise ValueError("it has to be a formula")
        return statement.value, names

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The columns that it reads."""
        tree, quoted = self._parsed
        functions = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
        found = [node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and id(node) not in functions]
        return tuple(dict.fromkeys(quoted.get(name, name) for name in found))

    @cached_property
    def column(self) -> str | None:
        """The column whose values it repeats, if it does nothing else."""
        tree, _ = self._parsed
        return self.names[0] if isinstance(tree, ast.Name) else None

    @cached_property
    def is_linear(self) -> bool:
        """Whether it is a sum of columns with factors."""

        def has_names(node: ast.AST) -> bool:
            return any(isinstance(part, ast.Name) for part in ast.walk(node))

        nodes = list(ast.walk(self._parsed[0]))
        products = [
            node for node in nodes if isinstance(node, ast.BinOp) and not isinstance(node.op, ast.Add | ast.Sub)
        ]
        mixed = any(
            has_names(node.right) and (has_names(node.left) or isinstance(node.op, ast.Div)) for node in products
        )
        powers = any(isinstance(node.op, ast.Pow) for node in products)
        return not (mixed or powers or any(isinstance(node, ast.Call) for node in nodes))

    def check(self, columns: Iterable[str]) -> None:
        """Raise ValueError, saying what is wrong, unless it can be computed from these columns."""
        known = set(columns)
        for name in self.names:
            if name not in known:
                near = difflib.get_close_matches(name, known, 1)
                raise ValueError(f"there is no column {name!r}" + (f", did you mean {near[0]!r}?" if near else ""))
        tree, _ = self._parsed
        for node in ast.walk(tree):
            self._check_node(node)

    @staticmethod
    def _check_node(node: ast.AST) -> None:
        if isinstance(node, ast.Call):
            name = getattr(node.func, "id", None)
            if name not in FUNCTIONS or node.keywords or not node.args:
                raise ValueError(
                    f"{ast.unparse(node)!r} is no known function; there are {', '.join(sorted(FUNCTIONS))}"
                )
            if name in CALENDAR and not isinstance(node.args[0], ast.Name):
                raise ValueError(f"{name}() takes the name of a column of times")
        elif isinstance(node, ast.Constant):
            if isinstance(node.value, bool) or not isinstance(node.value, int | float):
                raise ValueError(f"{node.value!r} is no number")
        elif not isinstance(node, ast.Name | ast.Load | ast.operator | ast.unaryop | ast.BinOp | ast.UnaryOp):
            raise ValueError(f"{ast.unparse(node)!r} is not understood")
        if isinstance(node, ast.BinOp) and type(node.op) not in _BINARY:
            raise ValueError(f"{ast.unparse(node)!r} is not understood")
        if isinstance(node, ast.UnaryOp) and type(node.op) not in _UNARY:
            raise ValueError(f"{ast.unparse(node)!r} is not understood")

    def evaluate(self, frame: pd.DataFrame, nudge: float = 0.0) -> np.ndarray:
        """Return its values (n,) for the rows of a frame with text names: floats or times, NaN where one is missing.

        `nudge` shifts what is rounded by so many parts in 10^9, so that ties fall to one side.
        """
        tree, names = self._parsed
        with np.errstate(all="ignore"):
            values = np.asarray(self._value(tree, frame, names, nudge * _TIES))
        if values.ndim == 0:
            values = np.full(len(frame), values)
        return values.astype(np.float64) if values.dtype.kind not in "mM" else values

    def _value(self, node: Any, frame: pd.DataFrame, names: dict[str, str], nudge: float) -> Any:
        def value(part: ast.AST) -> Any:
            return self._value(part, frame, names, nudge)

        if isinstance(node, ast.Constant):
            return float(node.value)  # type: ignore[arg-type]
        if isinstance(node, ast.Name):
            return as_array(frame[names.get(node.id, node.id)])
        if isinstance(node, ast.BinOp):
            return _BINARY[type(node.op)](value(node.left), value(node.right))
        if isinstance(node, ast.UnaryOp):
            return _UNARY[type(node.op)](value(node.operand))
        name = node.func.id
        if name == "missing":
            return frame[names.get(node.args[0].id, node.args[0].id)].isna().to_numpy().astype(np.float64)
        if name in CALENDAR:
            column = names.get(node.args[0].id, node.args[0].id)
            part = CALENDAR[name](pd.DatetimeIndex(as_times(frame[column], local=True)))
            return np.asarray(pd.array(part).to_numpy(dtype=np.float64, na_value=np.nan))
        arguments = [value(argument) for argument in node.args]
        if name in ROUNDING:
            scale = np.maximum(np.abs(arguments[0]), 1e-3 if len(arguments) > 1 else 1.0)
            return ROUNDING[name](arguments[0] + nudge * scale if nudge else arguments[0], *arguments[1:])
        result = arguments[0] if len(arguments) > 1 and name in ("min", "max") else NUMERIC[name](*arguments)
        for other in arguments[1:]:
            result = NUMERIC[name](result, other) if name in ("min", "max") else result
        return result

    def fits(self, frame: pd.DataFrame) -> bool:
        """Return whether all its columns hold numbers, flags, times or durations."""
        return all(nature_of(frame[name]) != "level" for name in self.names)
