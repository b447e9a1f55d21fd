"""What users write of a table's columns: ``fee = round(0.015 * amount, 2)``, ``opened <= closed``, ``a -> b``."""

import ast
import difflib
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from latentover.tables.dependencies.expressions import Expression, parse
from latentover.tables.dependencies.kinds import Bound, Formula, Lookup, Order
from latentover.tables.dependencies.table import Found
from latentover.tables.dependencies.values import TypedColumn, nature_of

_UNDERSTOOD = (
    "'column = formula' with + - * / **, round, floor, ceil, abs, log, exp, sqrt, min, max and numbers, "
    "'a <= b' (or <, >=, >) between two columns or a column and a number, or 'a -> b' where a decides b; names that "
    "are no identifiers stand in backticks"
)
_SIGNS: dict[type, str] = {ast.LtE: "<=", ast.Lt: "<", ast.GtE: ">=", ast.Gt: ">"}
_MIRRORED = {"<=": ">=", "<": ">", ">=": "<=", ">": "<"}
_TOLERATED = 0.005
_ARROW = re.compile(r"^\s*(`[^`]+`|[^`]+?)\s*->\s*(`[^`]+`|[^`]+?)\s*$")


def read_constraints(frame: pd.DataFrame, texts: str | Sequence[str], found: Found) -> tuple[list[Bound], bool]:
    """Add to `found` what users say; return their bounds, and whether more is to be found.

    Raises
    ------
    ValueError
        If a text is not understood, or is broken by too many rows.
    """
    if isinstance(texts, str) or not all(isinstance(text, str) for text in texts):
        raise ValueError(
            f"Expected constraints to be 'auto', 'none' or a list of text, but got {texts!r}; write {_UNDERSTOOD}."
        )
    finds = not (len(texts) and texts[0].strip() == "none")
    bounds: list[Bound] = []
    for text in texts:
        if text.strip() in ("none", "auto"):
            continue
        try:
            for item in _read(frame, text):
                _check(frame, text, item)
                if isinstance(item, Bound):
                    bounds.append(item)
                else:
                    _add(frame, found, item)
        except _UnreadableError as error:
            raise ValueError(
                f"Expected constraint {text!r} to be readable, but {error}; write {_UNDERSTOOD}."
            ) from None
    return bounds, finds


class _UnreadableError(Exception):
    """What is wrong with a constraint."""


def _add(frame: pd.DataFrame, found: Found, item: Any) -> None:
    known = found.of.get(item.target)
    if isinstance(item, Order) and isinstance(known, Order) and known.above == item.above:
        others = tuple(dict.fromkeys((*known.others, *item.others)))
        del found.of[item.target]
        strict = known.strict or item.strict
        item = Order.learn(frame, item.target, others, above=item.above, strict=strict)
    elif isinstance(item, Order) and (known is not None or not found.is_free(item.target, item.sources)):
        item = Order.learn(frame, item.others[0], [item.target], above=not item.above, strict=item.strict)
    if not found.add(item):
        raise _UnreadableError(f"{item.target!r} follows from another constraint already, or they go in a circle")


def _read(frame: pd.DataFrame, text: str) -> list[Any]:
    arrow = _ARROW.match(text)
    if arrow:
        return [_lookup(frame, *(name.strip("`") for name in arrow.groups()))]
    try:
        statement, names = parse(text)
    except ValueError as error:
        raise _UnreadableError(str(error)) from None
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1 and isinstance(statement.targets[0], ast.Name):
        target = statement.targets[0].id
        return [_formula(frame, names.get(target, target), _requoted(statement.value, names))]
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Compare):
        compare = statement.value
        sides = [compare.left, *compare.comparators]
        return [
            _comparison(frame, _side(frame, a, names), _SIGNS.get(type(sign)), _side(frame, b, names))
            for a, sign, b in zip(sides, compare.ops, sides[1:], strict=False)
        ]
    raise _UnreadableError("it is neither a formula nor an order")


def _requoted(node: ast.AST, names: dict[str, str]) -> str:
    text = ast.unparse(node)
    for placeholder, name in names.items():
        text = f"`{name}`".join(re.split(rf"\b{placeholder}\b", text))
    return text


def _column(frame: pd.DataFrame, name: str) -> pd.Series:
    if name not in frame.columns:
        near = difflib.get_close_matches(name, map(str, frame.columns), 1)
        raise _UnreadableError(f"there is no column {name!r}" + (f", did you mean {near[0]!r}?" if near else ""))
    return frame[name]


def _side(frame: pd.DataFrame, node: ast.AST, names: dict[str, str]) -> str | float:
    if isinstance(node, ast.Name):
        return str(_column(frame, names.get(node.id, node.id)).name)
    try:
        return float(ast.literal_eval(node))
    except (ValueError, TypeError):
        raise _UnreadableError(f"{_requoted(node, names)!r} is neither a column nor a number") from None


def _comparison(frame: pd.DataFrame, a: str | float, sign: str | None, b: str | float) -> Order | Bound:
    if sign is None:
        raise _UnreadableError("only <=, <, >= and > compare columns")
    if isinstance(a, float):
        a, b, sign = b, a, _MIRRORED[sign]
    if isinstance(a, float):
        raise _UnreadableError("it compares two numbers")
    if isinstance(b, float):
        if nature_of(frame[a]) != "number":
            raise _UnreadableError(f"{a!r} is no column of numbers")
        return Bound(TypedColumn.of(frame[a]), sign, b)
    if sign[0] == ">":
        a, b = b, a
    natures = {nature_of(frame[name]) for name in (a, b)}
    if a == b or len(natures) > 1 or natures & {"level", "flag"}:
        raise _UnreadableError(f"{a!r} and {b!r} are not two columns of numbers or two of times")
    return Order.learn(frame, b, [a], strict=len(sign) == 1)


def _formula(frame: pd.DataFrame, target: str, text: str) -> Formula:
    series = _column(frame, target)
    expression = Expression(text)
    try:
        expression.check(map(str, frame.columns))
        if target in expression.names or not expression.names:
            raise ValueError(f"{target!r} has to follow from other columns")
        if not (expression.column or expression.fits(frame)):
            raise ValueError("its columns are not all numbers or times")
        trial = Formula(TypedColumn.of(series), own=False, expression=expression)
        _, undecided = trial.compute(frame)
    except (ValueError, TypeError, IndexError) as error:
        raise _UnreadableError(str(error)) from None
    return Formula(trial.column, bool((undecided != series.isna().to_numpy()).any()), expression)


def _lookup(frame: pd.DataFrame, source: str, target: str) -> Lookup:
    _column(frame, source), _column(frame, target)
    lookup = Lookup.learn(frame, source, target) if source != target else None
    if lookup is None:
        raise _UnreadableError(f"no value of {source!r} is seen twice with one of {target!r}")
    return lookup


def _check(frame: pd.DataFrame, text: str, item: Any) -> None:
    """Raise ValueError if too many training rows break a constraint."""
    broken = item.violated(frame)
    if broken.mean() > _TOLERATED:
        row = int(np.argmax(broken))
        columns = list(dict.fromkeys((*item.sources, item.target)))
        values = ", ".join(f"{name} = {frame[name].iloc[row]}" for name in columns)
        raise ValueError(
            f"Expected constraint {text!r} to hold in X, but got {100 * broken.mean():.1f} % of rows that break it, "
            f"such as row {row} with {values}; correct it or the rows."
        )
