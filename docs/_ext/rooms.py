"""What the package exports, as pages: rooms, groups of names, and the text below constants. Needs no Sphinx."""

import ast
import importlib
import inspect
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

ROOMS = {
    "latentover": "Classifiers and samplers",
    "latentover.data": "Data",
    "latentover.tables": "Columns of tables",
    "latentover.tables.dependencies": "Dependencies of columns",
    "latentover.mixing": "Mixing rules",
    "latentover.losses": "Losses",
    "latentover.networks": "Networks",
    "latentover.training": "Training",
    "latentover.callbacks": "Callbacks",
    "latentover.estimators": "Base classes",
    "latentover.metrics": "Metrics",
    "latentover.stats": "Statistics",
    "latentover.displays": "Displays",
    "latentover.report": "The report",
    "latentover.runs.collection": "Collecting runs",
    "latentover.runs.store": "The store of results",
}
"""Public rooms with their titles, in the order of the index."""

FRONT = {
    "Classifiers": "RAEClassifier DeepClassifier M2mClassifier GAMOClassifier DGCClassifier",
    "Over-samplers with networks": "RAESampler DeepSMOTE BAGANSampler GAMOSampler FlowSampler FilteredSampler LatentOversampler",
    "Over-samplers without": "ClassicalSampler SmoothedBootstrapSampler AMDO MultiClassCCR MultiClassRBO",
    "Decisions and probabilities": "TunedDecisionClassifier PriorAdjustedClassifier PriorCorrectedClassifier",
    "Displays": "RecallByClassDisplay ReliabilityDisplay SampleGridDisplay LatentMapDisplay HistoryDisplay"
    " CriticalDifferenceDisplay ColumnQualityDisplay",
}
"""Groups of the front door; what is in none of them comes last."""


def public_names(room: str) -> list[str]:
    """Return the names that a room exports, without its own rooms."""
    module = importlib.import_module(room)
    return [
        name for name in sorted(module.__all__) if f"{room}.{name}" not in ROOMS
    ]


def full_names() -> dict[str, str]:
    """Return the full name of each class that a room exports, for the types in docstrings."""
    found: dict[str, str] = {}
    for room in ROOMS:
        for name in public_names(room):
            if inspect.isclass(getattr(importlib.import_module(room), name)):
                found.setdefault(name, f"{room}.{name}")
    return found


def has_page(value: Any) -> bool:
    """Say whether something is a class or a function; the rest are constants and types."""
    return (
        inspect.isclass(value)
        or inspect.isfunction(value)
        or hasattr(value, "__wrapped__")
    )


def homes() -> dict[str, dict[str, str]]:
    """Return for each room the names that an earlier room has, with that room: a name has one page."""
    seen: dict[int, str] = {}
    found: dict[str, dict[str, str]] = {}
    for room in ROOMS:
        found[room] = {}
        for name in public_names(room):
            value = getattr(importlib.import_module(room), name)
            if has_page(value):
                first = seen.setdefault(id(value), room)
                if first != room:
                    found[room][name] = first
    return found


def groups(room: str, names: list[str]) -> dict[str, list[str]]:
    """Return names of a room by a title: of the front door's groups, or of the module where they are written."""
    found: dict[str, list[str]] = {}
    if room == "latentover":
        of = {
            name: title
            for title, text in FRONT.items()
            for name in text.split()
        }
        for title in (*FRONT, "Functions"):
            found[title] = [
                name for name in names if of.get(name, "Functions") == title
            ]
        return found
    for name in names:
        source = importlib.import_module(
            getattr(importlib.import_module(room), name).__module__
        )
        title = (
            ""
            if source.__name__ == room
            else source.__doc__.strip().splitlines()[0].rstrip(".:")
        )
        found.setdefault(title, []).append(name)
    return dict(sorted(found.items(), key=lambda item: item[0].lower()))


def text_below(module: str, name: str) -> str:
    """Return the text in three quotes below the assignment of a name in a module; empty if there is none."""
    statements = ast.parse(
        Path(sys.modules[module].__file__ or "").read_text(encoding="utf-8")
    ).body
    for statement, below in pairwise(statements):
        targets = getattr(
            statement, "targets", [getattr(statement, "target", None)]
        )
        names = [
            n.id
            for target in targets
            if target
            for n in ast.walk(target)
            if isinstance(n, ast.Name)
        ]
        if (
            name in names
            and isinstance(below, ast.Expr)
            and isinstance(below.value, ast.Constant)
        ):
            return inspect.cleandoc(below.value.value)
    return ""


def documented_value(room: str, name: str) -> list[str]:
    """Return the entry of a constant or a type, with the text that stands below it where it is written."""
    value = getattr(importlib.import_module(room), name)
    for module in [
        room,
        *sorted(known for known in sys.modules if known.startswith(f"{room}.")),
    ]:
        if text := text_below(module, name):
            shown = " ".join(repr(value).replace("latentover.", "").split())
            lines = [
                f".. py:data:: {name}",
                f"   :value: {shown}" if len(shown) < 70 else "",
                "",
            ]
            return [*lines, *(f"   {line}" for line in text.splitlines()), ""]
    raise ValueError(
        f"{room}.{name} has no text below it; write one, in three quotes."
    )


def pages() -> dict[str, str]:
    """Return the reStructuredText of every page by its file name."""
    texts = {}
    for room, elsewhere in homes().items():
        title, module = ROOMS[room], importlib.import_module(room)
        lines = [
            title,
            "=" * len(title),
            "",
            f".. currentmodule:: {room}",
            "",
            f"``{room}``",
            "",
        ]
        lines += [inspect.cleandoc(module.__doc__ or ""), ""]
        names = [name for name in public_names(room) if name not in elsewhere]
        things = [name for name in names if has_page(getattr(module, name))]
        for group, members in groups(room, things).items():
            lines += [f".. rubric:: {group}", ""] if group else []
            lines += [
                ".. autosummary::",
                "   :toctree: generated",
                "   :nosignatures:",
                "",
            ]
            lines += [*(f"   {name}" for name in members), ""]
        if elsewhere:
            links = ", ".join(
                f":obj:`{first}.{name}`" for name, first in elsewhere.items()
            )
            lines += [".. rubric:: At home in another room", "", links, ""]
        values = [name for name in names if name not in things]
        if values:
            lines += [".. rubric:: Constants and types", ""]
            lines += [
                line for name in values for line in documented_value(room, name)
            ]
        texts[f"{room}.rst"] = "\n".join(lines)
    return texts


def overview() -> str:
    """Return the list of the index: each room with the first sentence of its text and how many names it has."""
    lines = []
    for room, title in ROOMS.items():
        text = inspect.cleandoc(importlib.import_module(room).__doc__ or "")
        sentence = " ".join(text.split("\n\n")[0].split())
        sentence = sentence.removeprefix("latentover: ")
        count = len(public_names(room))
        lines += [
            f":doc:`{title} <rooms/{room}>` · ``{room}`` · {count} names",
            f"   {sentence[0].upper()}{sentence[1:]}",
            "",
        ]
    return "\n".join(lines)
