"""What values a parameter may have: said in the annotation of its field, and read from there by one reader.

=========================================  ==========================================================================
annotation                                 allows
=========================================  ==========================================================================
``int``, ``float``                         finite numbers of Python and NumPy; a bool is none
``Annotated[float, Interval(0, 1)]``       those in the interval
``PositiveInt``, ``Fraction``, ...         short names of intervals that recur
``bool``, ``Literal["a", "b"]``            one of the values
``nn.Module``, ``str``, ...                instances
``list[Fraction]``, ``tuple[int, int]``    a list or tuple of such items, of any length or of this one
``A | B``, ``A | None``                    what one of them allows
``Annotated[..., Expected("words")]``      the same, with words of its own in the message
``Annotated[..., Expected("...", test)]``  of that what passes a test
``Any``                                    everything; what uses the value says what it has to be
=========================================  ==========================================================================

Recipes are read against the same annotations.
"""

import difflib
import inspect
import math
import numbers
import re
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

import numpy as np
from torch import nn

from latentover import mixing
from latentover.mixing import MixingRule
from latentover.networks.autoencoder import EncoderName


@dataclass(frozen=True)
class Interval:
    """Marks the numbers that a parameter may be.

    Parameters
    ----------
    low, high : float, default=-inf and inf
        Infinities are no bounds; they are never allowed themselves.
    closed : {"both", "left", "right", "neither"}, default="both"
        Which of the bounds are allowed.

    Examples
    --------
    >>> Interval(0, 1, closed="left").words
    'at least 0 and below 1'
    >>> 1.0 in Interval(0, 1, closed="left")
    False
    """

    low: float = -math.inf
    high: float = math.inf
    closed: Literal["both", "left", "right", "neither"] = "both"

    def __post_init__(self) -> None:
        if self.closed not in ("both", "left", "right", "neither"):
            raise ValueError(
                f"Expected closed to be one of ('both', 'left', 'right', 'neither'), but got {self.closed!r}."
            )
        if not (self.low < self.high or (self.low == self.high and self.closed == "both")):
            raise ValueError(f"Expected an interval with numbers in it, but got {self}; put the lower bound first.")

    def __contains__(self, value: Any) -> bool:
        """Whether a number is finite and within the bounds."""
        above = value >= self.low if self.closed in ("both", "left") else value > self.low
        below = value <= self.high if self.closed in ("both", "right") else value < self.high
        return bool(-math.inf < value < math.inf and above and below)

    @property
    def words(self) -> str:
        """What a message says, such as "at least 0 and below 1"; empty without bounds."""
        bounds = []
        if self.low > -math.inf:
            bounds.append(f"{'at least' if self.closed in ('both', 'left') else 'above'} {self.low:g}")
        if self.high < math.inf:
            bounds.append(f"{'at most' if self.closed in ('both', 'right') else 'below'} {self.high:g}")
        return " and ".join(bounds)


@dataclass(frozen=True)
class Expected:
    """Marks a parameter whose message has words of its own, or that has to pass a test besides being of its type.

    Parameters
    ----------
    words : str
        Stands in "Expected x to be ..., but got ...".
    test : callable, optional
        From a value of the annotated type to whether it is allowed.
    """

    words: str
    test: Callable[[Any], bool] | None = None


# ---- Kinds that recur ------------------------------------------------------------------------------------------------

PositiveInt = Annotated[int, Interval(1)]
"""1, 2, 3, ..."""
NonNegativeInt = Annotated[int, Interval(0)]
"""0, 1, 2, ..."""
Positive = Annotated[float, Interval(0, closed="neither")]
"""Above 0."""
NonNegative = Annotated[float, Interval(0)]
"""At least 0."""
Fraction = Annotated[float, Interval(0, 1)]
"""In [0, 1]."""
ProperFraction = Annotated[float, Interval(0, 1, closed="left")]
"""In [0, 1)."""
BatchSize = Annotated[int, Interval(2)]
"""Batch normalisation cannot train on one row."""
Network = Annotated[nn.Module, Expected("an nn.Module")]
"""A network of the user's own, which is copied."""
# The names stand before the classes: what reads a recipe tries them in this order, and goes through all modules that
# there are to look for one of that name.
NetworkOrName = Annotated[EncoderName | Network | str, Expected("the name of a network or an nn.Module")]
"""A network of the user's own, or one that `latentover.networks` makes."""
_MIXING_RULES = [
    value
    for value in map(vars(mixing).get, mixing.__all__)
    if isinstance(value, type) and issubclass(value, MixingRule) and not inspect.isabstract(value)
]
Mixing = Annotated[
    MixingRule | None,
    Expected(f"None or a rule of latentover.mixing: {', '.join(f'{cls.__name__}()' for cls in _MIXING_RULES)}"),
]


# ---- The reader ------------------------------------------------------------------------------------------------------


class Kind(NamedTuple):
    """What an annotation allows.

    Attributes
    ----------
    words : str
        For a message.
    allows : callable
        From a value to whether it is allowed.
    """

    words: str
    allows: Callable[[Any], bool]


def wrong_parameters(estimator: object) -> list[str]:
    """Return what is wrong with each parameter by itself, as "x to be ..., but got ...", in the constructor's order.

    Raises
    ------
    TypeError
        As `parameter_kinds`.
    """
    cls: type = type(estimator)
    problems = []
    for name, kind in parameter_kinds(cls).items():
        value = getattr(estimator, name)
        if not kind.allows(value):
            problems.append(f"{name} to be {kind.words}, but got {value!r}{_meant(value, kind.words)}")
    return problems


def _meant(value: Any, words: str) -> str:
    """Return which of the words may have been meant by another spelling, or by a class in place of its instance."""
    name = value if isinstance(value, str) else value.__name__ if isinstance(value, type) else ""
    known = {_plain(word): word for word in re.findall(r"\w+(?:\(\))?", words)}
    near = difflib.get_close_matches(_plain(name), list(known), n=1, cutoff=0.75) if name else []
    return f" (did you mean {known[near[0]]}?)" if near else ""


def _plain(word: str) -> str:
    return re.sub(r"[\W_]", "", word).lower()


@cache
def parameter_kinds(cls: type) -> dict[str, Kind]:
    """Return what the annotation of each parameter of a class allows, in the constructor's order.

    Raises
    ------
    TypeError
        For an annotation that cannot be read, naming it; one that is passed over would let everything through.
    """
    try:
        annotations = get_type_hints(cls, include_extras=True)
        parameters = inspect.signature(cls).parameters
        if not parameters.keys() <= annotations.keys():  # of a constructor that is written out
            parameters = inspect.signature(cls, eval_str=True).parameters
    except (NameError, TypeError) as error:
        raise TypeError(
            f"Expected the annotations of {cls.__name__} to name types, but got: {error}; import or define them in the "
            "module of the class."
        ) from error
    kinds = {}
    for name, parameter in parameters.items():
        annotation = annotations.get(name, parameter.annotation)
        try:
            kinds[name] = read_kind(Any if annotation is parameter.empty else annotation)
        except TypeError as error:
            raise TypeError(f"Expected the annotation of {cls.__name__}.{name} to be {error}") from error
    return kinds


def read_kind(annotation: Any) -> Kind:
    """Return what an annotation allows.

    Raises
    ------
    TypeError
        For one that cannot be read.

    Examples
    --------
    >>> kind = read_kind(ProperFraction | Literal["auto", "none"])
    >>> kind.words
    "one of ('auto', 'none') or a number at least 0 and below 1"
    >>> [kind.allows(value) for value in ("auto", 0, 1.0, None)]
    [True, True, False, False]
    """
    base, interval, expected = _unmarked(annotation)
    optional = False
    choices: list[Any] = []
    kinds: list[Kind] = []
    for member in _members(base):
        if member in (None, types.NoneType):
            optional = True
        elif member is bool:
            choices += [True, False]
        elif get_origin(member) is Literal:
            choices += get_args(member)
        elif member in (int, float):
            kinds.append(_number(member, interval or Interval()))
        else:
            kinds.append(_other(member))
    if optional and (choices or not kinds):  # beside a range None goes without saying: it is the default
        choices.insert(0, None)
    words = [] if not choices else [f"one of {tuple(choices)}" if len(choices) > 1 else repr(choices[0])]
    words += [kind.words for kind in kinds]

    def allows(value: Any) -> bool:
        known = (optional and value is None) or any(_same(value, choice) for choice in choices)
        if not (known or any(kind.allows(value) for kind in kinds)):
            return False
        return all(mark.test is None or mark.test(value) for mark in expected)

    return Kind(expected[-1].words if expected else " or ".join(words), allows)


def _unmarked(annotation: Any) -> tuple[Any, Interval | None, list[Expected]]:
    """Return what an annotation marks, its interval and its words, the outermost last."""
    annotation = _aliased(annotation)
    if get_origin(annotation) is not Annotated:
        return annotation, None, []
    base, *marks = get_args(annotation)
    intervals = [mark for mark in marks if isinstance(mark, Interval)]
    if len(intervals) > 1 or (intervals and not {int, float} & {*filter(_is_class, _members(base))}):
        raise TypeError(f"a number with one interval, but got {_name(annotation)}; mark the number itself.")
    return base, intervals[0] if intervals else None, [mark for mark in marks if isinstance(mark, Expected)]


def _members(annotation: Any) -> list[Any]:
    """Return the members of a union, and of unions inside it; any other annotation is its only one."""
    annotation = _aliased(annotation)
    if get_origin(annotation) not in (Union, types.UnionType):
        return [annotation]
    return [inner for member in get_args(annotation) for inner in _members(member)]


def _aliased(annotation: Any) -> Any:
    """Return what the name of a ``type`` statement stands for."""
    return getattr(annotation, "__value__", annotation)


def _number(kind: type, interval: Interval) -> Kind:
    wanted: type = numbers.Integral if kind is int else numbers.Real
    words = f"{'a whole number' if kind is int else 'a number'} {interval.words}".rstrip()
    return Kind(words, lambda v: isinstance(v, wanted) and not isinstance(v, bool) and v in interval)


def _other(annotation: Any) -> Kind:
    """Return what an annotation allows that is neither a number nor a choice."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation is Any:
        return Kind("anything", lambda value: True)
    if origin is Annotated:
        return read_kind(annotation)
    if origin is tuple and arguments and arguments[-1] is not Ellipsis:
        return _tuple([read_kind(argument) for argument in arguments])
    if origin in (list, tuple, Sequence) and arguments:
        return _list(read_kind(arguments[0]))
    wanted = annotation if origin is None else origin
    if not _is_class(wanted) or any(get_origin(argument) is Annotated for argument in arguments):
        raise TypeError(f"made of what latentover.estimators.parameters reads, but got {_name(annotation)}.")
    noun = "text" if wanted is str else f"{'an' if wanted.__name__[0] in 'AEIOUaeiou' else 'a'} {wanted.__name__}"
    return Kind(noun, lambda value: isinstance(value, wanted))


def _list(item: Kind) -> Kind:
    return Kind(
        f"a list, each item {item.words}",
        lambda value: isinstance(value, list | tuple) and all(map(item.allows, value)),
    )


def _tuple(items: list[Kind]) -> Kind:
    return Kind(
        f"({', '.join(item.words for item in items)})",
        lambda value: (
            isinstance(value, list | tuple)
            and len(value) == len(items)
            and all(item.allows(part) for item, part in zip(items, value, strict=True))
        ),
    )


def _is_class(annotation: Any) -> bool:
    """Whether `isinstance` works with it, which it does not with most protocols."""
    try:
        isinstance(None, annotation)
    except TypeError:
        return False
    return isinstance(annotation, type)


def _same(value: Any, choice: Any) -> bool:
    """Whether a value is a choice; an array, which compares item by item, is none."""
    same = value is choice or value == choice
    return isinstance(same, bool | np.bool_) and bool(same)


def _name(annotation: Any) -> str:
    return inspect.formatannotation(annotation) if isinstance(annotation, type) else str(annotation)
