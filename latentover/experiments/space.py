"""What a search may choose from: ranges and choices for the dotted settings of a recipe, read strictly."""

import json
import math
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from latentover.experiments.strict import nearest_hint, parse_yaml

_KINDS = ("log", "float", "int", "choice")
_NUMBERS = ("low", "high", "log", "step")
_FORMS = "log(1e-4,1e-2), float(0,1), int(4,64), choice(a,b,null), {low: 4, high: 64}, or a list of choices"


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both among them.

    Attributes
    ----------
    low, high : float
        Of a range with a step, `high` is its last value.
    whole : bool
        Whether the numbers are whole.
    log : bool
        Whether every factor counts the same, rather than every difference.
    step : float or None
        Between two neighbours; None: any number, or any whole one.
    """

    low: float
    high: float
    whole: bool = False
    log: bool = False
    step: float | None = None

    def corners(self) -> list[Any]:
        """Return the values by which the range is checked."""
        return [self._plain(self.low), self._plain(self.high)]

    def __contains__(self, value: object) -> bool:
        if isinstance(value, bool) or not isinstance(value, int | float) or not self.low <= value <= self.high:
            return False
        steps = (value - self.low) / (self.step or 1)
        return (self.step is None and not self.whole) or math.isclose(steps, round(steps), abs_tol=1e-9)

    def suggest(self, trial: Any, key: str) -> Any:
        """Return the value that a trial of Optuna has for the key, chosen now if it has none."""
        if self.whole:
            return trial.suggest_int(key, int(self.low), int(self.high), step=int(self.step or 1), log=self.log)
        return trial.suggest_float(key, self.low, self.high, step=self.step, log=self.log)

    def stored(self, value: Any) -> Any:
        """Return a value of the range as Optuna keeps it."""
        return self._plain(value)

    def __str__(self) -> str:
        kind = "int" if self.whole else "log" if self.log else "float"
        more = [", log"] if self.log and self.whole else [f", step={self.step:g}"] if self.step else []
        return f"{kind}({self._plain(self.low)!r}, {self._plain(self.high)!r}{''.join(more)})"

    def _plain(self, value: float) -> int | float:
        return int(value) if self.whole else float(value)


@dataclass(frozen=True)
class Choice:
    """One of several values.

    Attributes
    ----------
    options : tuple of str
        The values as JSON.
    """

    options: tuple[str, ...]

    def corners(self) -> list[Any]:
        """Return all values."""
        return [json.loads(option) for option in self.options]

    def __contains__(self, value: object) -> bool:
        return json.dumps(value) in self.options

    def suggest(self, trial: Any, key: str) -> Any:
        """Return the value that a trial of Optuna has for the key, chosen now if it has none."""
        return json.loads(trial.suggest_categorical(key, self.options))

    def stored(self, value: Any) -> str:
        """Return one of the values as Optuna keeps it."""
        return json.dumps(value)

    def __str__(self) -> str:
        return f"choice({', '.join(self.options)})"


Space = dict[str, Range | Choice]
"""From dotted keys of a recipe to what may stand there."""


def read_space(items: Iterable[str]) -> Space:
    """Return the space that texts and files describe together.

    Parameters
    ----------
    items : iterable of str
        ``"method.init_args.learning_rate=log(1e-4,1e-2)"``, or the path of a YAML file: a mapping from dotted keys to
        such texts, to ``{low, high, log, step}`` or to lists of choices.

    Raises
    ------
    FileNotFoundError, ValueError
        Naming the key, what was expected and what came.

    Examples
    --------
    >>> for key, values in read_space(["method.init_args.latent_dim=int(4,64)", "sampler=choice(a, null)"]).items():
    ...     print(key, values)
    method.init_args.latent_dim int(4, 64)
    sampler choice("a", null)
    """
    space: Space = {}
    for item in items:
        key, equals, text = item.partition("=")
        given = {key.strip(): text} if equals and re.fullmatch(r"\s*[\w.-]+\s*", key) else _read_file(item)
        for name, value in given.items():
            if name in space:
                raise ValueError(f"Expected each key of the space once, but got {name} twice; remove one.")
            space[str(name)] = _dimension(str(name), value)
    if not space:
        raise ValueError("Expected a space to search, but got none; give --space KEY=log(1e-4,1e-2) or a file.")
    return space


def _read_file(path: str | os.PathLike[str]) -> dict[Any, Any]:
    if not Path(path).is_file():
        raise FileNotFoundError(
            f"Expected a space as KEY=VALUES or a .yaml file, but {path} is neither; write for example "
            "method.init_args.learning_rate=log(1e-4,1e-2)."
        )
    content = parse_yaml(Path(path).read_text(encoding="utf-8"), f"the space {path}")
    if not isinstance(content, dict):
        raise ValueError(f"Expected {path} to be a mapping from dotted keys to values, but got {content!r}; write one.")
    return content


def _dimension(key: str, value: Any) -> Range | Choice:
    """Return what a key may be, given as text, mapping or list."""
    if isinstance(value, list):
        return _choice(key, value)
    if isinstance(value, Mapping):
        if unknown := [name for name in value if name not in _NUMBERS]:
            raise ValueError(
                f"Expected {key} to have low, high, log and step, but got {unknown[0]!r}"
                + nearest_hint(str(unknown[0]), _NUMBERS, "; remove it.")
            )
        missing = [name for name in ("low", "high") if name not in value]
        if missing:
            raise ValueError(f"Expected {key} to have low and high, but got no {missing[0]}; add it.")
        numbers = [value[name] for name in ("low", "high", "step") if value.get(name) is not None]
        whole = all(type(number) is int for number in numbers)
        return _range(
            key, value["low"], value["high"], whole=whole, log=value.get("log", False), step=value.get("step")
        )
    found = re.fullmatch(r"\s*(\w+)\s*\((.*)\)\s*", value, re.DOTALL) if isinstance(value, str) else None
    if found is None or found[1] not in _KINDS:
        hint = nearest_hint(found[1], _KINDS, "; write one of these.") if found else "; write one of these."
        raise ValueError(f"Expected {key} to be {_FORMS}, but got {value!r}{hint}")
    if found[1] == "choice":
        return _choice(key, parse_yaml(f"[{found[2]}]", f"the choices of {key}"))
    return _range_of_text(key, found[1], [part.strip() for part in found[2].split(",")])


def _range_of_text(key: str, kind: str, parts: list[str]) -> Range:
    settings: dict[str, Any] = {"whole": kind == "int", "log": kind == "log"}
    for part in parts[2:]:
        name, equals, step = part.partition("=")
        if part == "log":
            settings["log"] = True
        elif name.strip() == "step" and equals:
            settings["step"] = step.strip()
        else:
            raise ValueError(
                f"Expected {key} to be {kind}(low,high), with step=N or log behind it, but got {part!r}; remove it."
            )
    if len(parts) < 2:
        raise ValueError(f"Expected {key} to be {kind}(low,high), but got {kind}({','.join(parts)}); give two numbers.")
    return _range(key, *parts[:2], **settings)


def _choice(key: str, values: list[Any]) -> Choice:
    try:
        options = tuple(dict.fromkeys(json.dumps(value, allow_nan=False) for value in values))
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"Expected the choices of {key} to be text, numbers, true, false, null, lists or mappings, but got "
            f"{values!r}; write others."
        ) from error
    if len(options) < 2:
        raise ValueError(f"Expected at least two different choices of {key}, but got {values!r}; add one.")
    return Choice(options)


def _range(key: str, low: Any, high: Any, *, whole: bool, log: Any = False, step: Any = None) -> Range:
    """Return a range of numbers, which may be text: YAML takes 1e-4 for it."""
    if not isinstance(log, bool):
        raise ValueError(f"Expected log of {key} to be true or false, but got {log!r}; write one of these.")
    first, last = _number(key, low, whole=whole), _number(key, high, whole=whole)
    if not first < last:
        raise ValueError(f"Expected {key} to rise from low to high, but got {low} and {high}; swap or change them.")
    if log and not first > 0:
        raise ValueError(f"Expected {key} to be above 0 on a log scale, but got {low}; give a higher low.")
    if log and step is not None:
        raise ValueError(f"Expected {key} to have log or step, but got both; remove one.")
    if step is None:
        return Range(first, last, whole, log)
    width = _number(key, step, whole=whole)
    if not 0 < width <= last - first:
        raise ValueError(f"Expected the step of {key} to be above 0 and to fit in, but got {step}; give a smaller one.")
    n_steps = math.floor((last - first) / width + 1e-9)
    return Range(first, first + n_steps * width, whole, log, width)


def _number(key: str, value: Any, *, whole: bool) -> float:
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number) or (whole and not number.is_integer()):
        kind = "whole numbers" if whole else "numbers"
        raise ValueError(f"Expected the range of {key} to be of {kind}, but got {value!r}; write for example 4.")
    return number
