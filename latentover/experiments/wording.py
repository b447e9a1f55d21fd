"""What functions say of their parameters, in the words of who wrote a recipe or typed a command.

An estimator says ``pass missing='impute'`` and *Expected tau to be a number*: right in Python, and nothing that one can
type. Here the same is said with settings and options: ``--method.init_args.missing impute``, *Expected
method.init_args.tau to be a number*.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from latentover.data import DataConfig

Named = Callable[[str], str | None]
"""From a parameter to the option that sets it, such as ``--jobs`` and ``--method.init_args.missing``, or None."""

_VALUE = r"'[^']*'|\[\.\.\.\]|None|True|False|-?\d+(?:\.\d+)?(?:e-?\d+)?"
_ASSIGNED = re.compile(rf"(?<![\w.(`-])`?([a-z]\w*)=({_VALUE})`?(?![\w(])")
_EXPECTED = re.compile(r"\b(Expected |; and )(`?)([a-z]\w*)\2(?= to \w)")
_IN_PYTHON = re.compile(r" \(in Python:? [^()]*\)")
_RUN = re.compile(r"^\S+, seed \d+: ")
_WORDS = {"None": "null", "True": "true", "False": "false"}
_DATA = {field.name for field in fields(DataConfig)}


def as_typed(message: str, named: Named) -> str:
    """Return a message in which parameters have the names of options, without what is said for Python alone.

    Parameters
    ----------
    message : str
    named : callable
        See `Named`.

    Examples
    --------
    >>> known = {"missing": "--method.init_args.missing", "jobs": "--jobs"}
    >>> as_typed("Expected jobs to be 1 or more, but got 0; pass jobs=1 (in Python: jobs=1).", known.get)
    'Expected --jobs to be 1 or more, but got 0; pass --jobs 1.'
    >>> as_typed("X contains NaN; pass missing='impute' or drop those rows.", known.get)
    'X contains NaN; pass --method.init_args.missing impute or drop those rows.'
    """

    def assigned(found: re.Match[str]) -> str:
        option, value = named(found[1]), _WORDS.get(found[2], found[2].strip("'[]"))
        return found[0] if option is None else f"{option} {value}"

    def expected(found: re.Match[str]) -> str:
        start, ticks, name = found.groups()
        option = named(name) or (f"data.{name}" if ticks and name in _DATA else None)
        if option is None:
            return found[0]
        return start + (option.removeprefix("--") if "." in option else option)

    return _EXPECTED.sub(expected, _ASSIGNED.sub(assigned, _IN_PYTHON.sub("", message)))


def without_run(message: str) -> str:
    """Return the message of a warning without the name of the run before it, by which other runs have the same.

    Examples
    --------
    >>> without_run("photos/rae, seed 0: There are 18 images of class 'ship'.")
    "There are 18 images of class 'ship'."
    """
    return _RUN.sub("", message)


def of_steps(steps: Mapping[str, Any]) -> Named:
    """Return how a recipe names the parameters of its steps; where several have one, that of the first.

    Parameters
    ----------
    steps : mapping
        From ``sampler`` and ``method``, as far as there are any, to estimators.
    """
    parameters = {part: step.get_params(deep=False) for part, step in steps.items() if step is not None}

    def named(name: str) -> str | None:
        part = next((part for part, known in parameters.items() if name in known), None)
        return None if part is None else f"--{part}.init_args.{name}"

    return named
