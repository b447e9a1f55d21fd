"""What may stand in a recipe: YAML that says each thing once, and classes only where one is expected and known.

jsonargparse makes an object of every mapping with a ``class_path`` that it meets, and imports every name that a
parameter for classes or functions is given. So a recipe is read here before: nothing is imported or made that a
recipe may not ask for.
"""

import dataclasses
import difflib
import importlib
import inspect
import itertools
import json
import re
import types
import typing
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import cache
from typing import Any

import yaml
from torch import nn

from latentover.bundle import import_trusted, is_trusted

MAX_CHARACTERS = 100_000
MAX_LEVELS = 50
"""Of mappings and lists in each other, as they are written in brackets: PyYAML takes the square of it in time."""
MAX_VALUES = 20_000
"""Of a recipe, counted where aliases lead to."""
_MODULES = (
    *("latentover", "latentover.mixing", "latentover.training", "latentover.losses", "latentover.networks"),
    *("imblearn.over_sampling", "imblearn.under_sampling", "imblearn.combine"),
)
_NETWORK_MODULES = ("torch.nn", "torchvision.models", "torchvision.ops")
"""Whose networks a recipe may name too, where a network is expected."""
_MANY = 20
OR_TRUSTED = ", or of a module that --trust-modules names, which runs its code"
_MERGE, _TEXT = "tag:yaml.org,2002:merge", "tag:yaml.org,2002:str"


# ---- YAML ------------------------------------------------------------------------------------------------------------


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, to which a key that stands twice is an error, and a name what was written.

    Keys that YAML takes for something else (``yes``, ``01``, ``null``, a date) are text; whole numbers and decimals are
    numbers where that is how Python writes them too.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = Counter((key.tag, key.value) for key, _ in node.value if isinstance(key, yaml.ScalarNode))
        if twice := [key for (_, key), times in keys.items() if times > 1]:
            raise yaml.constructor.ConstructorError(None, None, f"the key {twice[0]!r} is there twice", node.start_mark)
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != _MERGE:
                value = self.construct_object(key)
                self.constructed_objects.pop(key, None)
                if type(value) not in (int, float) or str(value) != key.value:
                    key.tag = _TEXT
        return super().construct_mapping(node, deep)


def parse_yaml(text: str, what: str) -> Any:
    """Return what YAML says.

    Parameters
    ----------
    text : str
    what : str
        What it is, for messages: "the recipe".

    Raises
    ------
    ValueError
        For text that is no YAML or too long, a key that stands twice, and aliases that lead into themselves or to more
        values than a recipe has.
    """
    if len(text) > MAX_CHARACTERS:
        raise ValueError(f"Expected {what} to have at most {MAX_CHARACTERS:,} characters, but got {len(text):,}.")
    too_deep = f"Expected {what} to be YAML of at most {MAX_LEVELS} levels, but got more; write it flatter."
    opened = itertools.accumulate((letter in "[{") - (letter in "]}") for letter in text)
    if max(opened, default=0) > MAX_LEVELS:
        raise ValueError(too_deep)
    try:
        value = yaml.load(text, _Loader)
        _check_size(value, what)
    except RecursionError as error:
        raise ValueError(too_deep) from error
    except (yaml.YAMLError, OverflowError, TypeError) as error:
        raise ValueError(f"Expected {what} to be YAML, but it is not: {' '.join(str(error).split())}.") from error
    return value


def _check_size(value: Any, what: str = "a value") -> None:
    """Raise ValueError for a value that holds itself, or too many values."""
    count = 0

    def walk(value: Any, above: tuple[int, ...]) -> None:
        nonlocal count
        count += 1
        if id(value) in above:
            raise ValueError(f"Expected {what} to end, but got an alias that leads into itself; write it out.")
        if count > MAX_VALUES:
            raise ValueError(f"Expected {what} to have at most {MAX_VALUES:,} values, but got more; mind its aliases.")
        if isinstance(value, dict | list | tuple | set):
            for item in [*value.keys(), *value.values()] if isinstance(value, dict) else value:
                walk(item, (*above, id(value)))

    walk(value, ())


# ---- Classes ---------------------------------------------------------------------------------------------------------


def nearest_hint(word: str, known: Iterable[str], otherwise: str = ".") -> str:
    """Return the end of a message: the known word nearest to `word`, or `otherwise`."""
    matches = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"; did you mean {matches[0]!r}?" if matches else otherwise


def known_classes(kinds: tuple[type, ...], modules: Iterable[str] = _MODULES) -> dict[str, type]:
    """Return the classes of some kinds that a recipe may name, by their public paths."""
    known = {}
    for module in map(importlib.import_module, modules):
        for name in getattr(module, "__all__", None) or dir(module):
            value = None if name.startswith("_") else getattr(module, name)
            if isinstance(value, type) and issubclass(value, kinds):
                known[f"{module.__name__}.{name}"] = value
    return known


def check_classes(value: Any, annotation: Any, where: str, trusted: Collection[str] = ()) -> None:
    """Raise ValueError for a class in a value that is not expected there, or that a recipe may not name.

    Parameters
    ----------
    value : Any
        Of YAML.
    annotation : type or None
        Of the parameter that it is for; None where that is not known, and then no class is expected.
    where : str
        Its place, for the message.
    trusted : collection of str
        Modules whose classes may be named too.
    """
    kinds = tuple(dict.fromkeys(_kinds(annotation)))
    if isinstance(value, str):
        _check_text(value, annotation, kinds, where, trusted)
    elif isinstance(value, list | tuple | set):
        for item in value:
            check_classes(item, annotation, where, trusted)
    elif isinstance(value, dict) and "class_path" in value:
        if not kinds:
            raise ValueError(
                f"Expected {where} to be a value, but got the class {value['class_path']!r}; no class is expected "
                "there."
            )
        if unknown := [key for key in value if key not in ("class_path", "init_args")]:
            raise ValueError(f"Expected {where} to have class_path and init_args, but got {unknown[0]!r}; remove it.")
        cls = _find(value["class_path"], kinds, where, trusted)
        _check_arguments(value.get("init_args"), parameter_annotations(cls), where, trusted)
    elif isinstance(value, dict) and "init_args" in value and kinds:
        _check_arguments(value["init_args"], {}, where, trusted)
    elif isinstance(value, dict):
        fields = {name: a for kind in kinds if dataclasses.is_dataclass(kind) for name, a in _annotations(kind).items()}
        for key, item in value.items():
            check_classes(item, fields.get(key, annotation), f"{where}.{key}", trusted)


def _check_arguments(arguments: Any, annotations: Mapping[str, Any], where: str, trusted: Collection[str]) -> None:
    for name, item in arguments.items() if isinstance(arguments, dict) else ():
        check_classes(item, annotations.get(name), f"{where}.init_args.{name}", trusted)


def _check_text(text: str, annotation: Any, kinds: tuple[type, ...], where: str, trusted: Collection[str]) -> None:
    value = _read_text(text)
    if not isinstance(value, str):
        check_classes(value, annotation, where, trusted)
        return
    words, free = _words(annotation)
    if text in words or text == "null":
        return
    is_path = re.fullmatch(r"\w+(\.\w+)+", text) is not None
    names = {cls.__name__ for cls in _known("", kinds).values()} if kinds else set()
    if words and kinds and not (is_path or free or text in names):
        choices, hint = " or ".join(map(repr, words)), nearest_hint(text, map(str, words), "; or name a class.")
        raise ValueError(f"Expected {where} to be {choices}, but got {text!r}{hint}")
    if kinds and (is_path or not free):
        _find(text, kinds, where, trusted)
    elif is_path and (annotation is None or _is_for_functions(annotation)):
        raise ValueError(f"Expected {where} to be a value, but got {text!r}; what is imported is not for a recipe.")


def _read_text(text: str) -> Any:
    """Return the mapping or list that jsonargparse, which reads text as YAML, would make of it; other text as it is."""
    if not set(text) & set(":?{"):
        return text
    for read in (yaml.safe_load, json.loads):
        with suppress(yaml.YAMLError, ValueError, TypeError, OverflowError, RecursionError):
            value = read(text[:MAX_CHARACTERS])
            _check_size(value)
            return value if isinstance(value, dict | list) else text
    return text


def _find(path: Any, kinds: tuple[type, ...], where: str, trusted: Collection[str]) -> type:
    """Return the class that a recipe names; raise ValueError unless it is of one of these kinds and may be named."""
    module = str(path).rpartition(".")[0]
    networks = any(issubclass(kind, nn.Module) for kind in kinds)
    known = _known(module, kinds)
    for public, cls in known.items():  # by its public path, the one that it has in a resolved recipe, or its name alone
        if path in (public, f"{cls.__module__}.{cls.__qualname__}", cls.__name__):
            return cls
    if is_trusted(str(path), trusted):
        return import_trusted(str(path), kinds, where)
    if networks:
        expected = "a network of torch.nn, torchvision.models, torchvision.ops or latentover.networks"
    else:
        expected = f"one of {', '.join(known)}" if 0 < len(known) <= _MANY else "an estimator of latentover or imblearn"
    expected += OR_TRUSTED
    words = known if isinstance(path, str) else ()
    raise ValueError(f"Expected {where} to be {expected}, but got {path!r}{nearest_hint(str(path), words)}")


def _known(module: str, kinds: tuple[type, ...]) -> dict[str, type]:
    """Return the classes of these kinds that the package knows, networks of `module` among them."""
    networks = any(issubclass(kind, nn.Module) for kind in kinds)
    extra = [m for m in _NETWORK_MODULES if networks and (m == "torch.nn" or f"{module}.".startswith(f"{m}."))]
    return known_classes(kinds, (*_MODULES, *extra))


# ---- Annotations -----------------------------------------------------------------------------------------------------


def parameter_annotations(cls: type) -> Mapping[str, Any]:
    """Return the annotations of a constructor's parameters.

    imbalanced-learn has none, and there the classes stand for them that its own check of parameters asks for.
    """
    if cls.__module__.startswith("imblearn."):
        constraints = getattr(cls, "_parameter_constraints", {})
        classes = {
            name: [c for c in allowed if isinstance(c, type) and c.__module__.startswith("imblearn.")]
            for name, allowed in constraints.items()
            if isinstance(allowed, list)
        }
        return {name: typing.Union[tuple(found)] if found else Any for name, found in classes.items()}  # noqa: UP007
    return _annotations(inspect.getattr_static(cls, "__init__"))


@cache
def _annotations(owner: Any) -> Mapping[str, Any]:
    try:
        return typing.get_type_hints(owner)
    except (NameError, TypeError, AttributeError):
        return {}


def _kinds(annotation: Any) -> Iterator[type]:
    """Yield the classes, other than those of numbers, text and containers, that an annotation names."""
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        if annotation.__module__ not in ("builtins", "collections.abc", "typing", "types"):
            yield annotation
    elif typing.get_origin(annotation) is not typing.Literal:
        for inner in typing.get_args(annotation):
            yield from _kinds(inner)


def _words(annotation: Any) -> tuple[list[Any], bool]:
    """Return the words that an annotation lists, and whether it takes any text."""
    if typing.get_origin(annotation) is typing.Literal:
        return list(typing.get_args(annotation)), False
    words, free = list[Any](), annotation in (str, Any, None)
    for inner in typing.get_args(annotation):
        inner_words, inner_free = _words(inner)
        words, free = words + inner_words, free or inner_free
    return words, free


def _is_for_functions(annotation: Any) -> bool:
    origin = typing.get_origin(annotation) or annotation
    return origin in (Callable, type, types.ModuleType, typing.Callable, typing.Type) or any(  # noqa: UP006
        map(_is_for_functions, typing.get_args(annotation))
    )
