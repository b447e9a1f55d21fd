"""The pages of the API reference, written from what the package exports: no list of names is kept by hand.

Each public room of the package has a page with a table for each of its modules, and each name a page of its own. A link
in Markdown to a module's file leads to that module's page of source.
"""

import importlib
import inspect
import posixpath
import sys
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.pycode import ModuleAnalyzer

ROOMS = {
    "latentover": "The front door",
    "latentover.data": "Sources, imbalance, splits",
    "latentover.tables": "Kinds of columns",
    "latentover.tables.dependencies": "What follows from other columns",
    "latentover.mixing": "Mixing rules",
    "latentover.losses": "Losses and weights",
    "latentover.networks": "Networks",
    "latentover.training": "Trainings",
    "latentover.callbacks": "Callbacks",
    "latentover.estimators": "What all methods share",
    "latentover.metrics": "Scores",
    "latentover.stats": "Tests of scores",
    "latentover.report": "Tables, pictures, the page",
    "latentover.runs.collection": "Runs below a folder",
    "latentover.runs.store": "The store of results",
}
"""Public rooms with their titles, in the order of the index."""

FRONT = {
    "Classifiers": "RAEClassifier DeepClassifier M2mClassifier GAMOClassifier DGCClassifier",
    "Over-samplers with networks": "RAESampler DeepSMOTE BAGANSampler GAMOSampler LatentOversampler",
    "Over-samplers without": "ClassicalSampler SmoothedBootstrapSampler AMDO MultiClassCCR MultiClassRBO",
    "Decisions and probabilities": "TunedDecisionClassifier PriorAdjustedClassifier PriorCorrectedClassifier",
}
"""Groups of the front door; what is in none of them comes last."""


def public_names(room: str) -> list[str]:
    """Return the names that a room exports, without its own rooms."""
    module = importlib.import_module(room)
    return [name for name in sorted(module.__all__) if f"{room}.{name}" not in ROOMS]


INCLUDED = {
    "CONTRIBUTING.md": "dev/contributing.md",
    "SECURITY.md": "dev/security.md",
    "CHANGELOG.md": "dev/changelog.md",
    "benchmarks/README.md": "dev/benchmarks.md",
}
"""Pages of the checkout, which code hosts show where they are, and the pages here that include them."""


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
    return inspect.isclass(value) or inspect.isfunction(value) or hasattr(value, "__wrapped__")


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
        of = {name: title for title, text in FRONT.items() for name in text.split()}
        for title in (*FRONT, "Functions"):
            found[title] = [name for name in names if of.get(name, "Functions") == title]
        return found
    for name in names:
        source = importlib.import_module(getattr(importlib.import_module(room), name).__module__)
        title = "" if source.__name__ == room else source.__doc__.strip().splitlines()[0].rstrip(".:")
        found.setdefault(title, []).append(name)
    return dict(sorted(found.items(), key=lambda item: item[0].lower()))


def documented_value(room: str, name: str) -> list[str]:
    """Return the entry of a constant or a type, with the text that stands below it where it is written."""
    value = getattr(importlib.import_module(room), name)
    for module in [room, *sorted(known for known in sys.modules if known.startswith(f"{room}."))]:
        text = ModuleAnalyzer.for_module(module).find_attr_docs().get(("", name))
        if text:
            shown = " ".join(repr(value).replace("latentover.", "").split())
            lines = [f".. py:data:: {name}", f"   :value: {shown}" if len(shown) < 70 else "", ""]
            return [*lines, *(f"   {line}" for line in text), ""]
    raise ValueError(f"{room}.{name} has no text below it; write one, in three quotes.")


def pages() -> dict[str, str]:
    """Return the reStructuredText of every page by its file name."""
    texts = {}
    for room, elsewhere in homes().items():
        title, module = ROOMS[room], importlib.import_module(room)
        lines = [title, "=" * len(title), "", f".. currentmodule:: {room}", "", f"``{room}``", ""]
        lines += [inspect.cleandoc(module.__doc__ or ""), ""]
        names = [name for name in public_names(room) if name not in elsewhere]
        things = [name for name in names if has_page(getattr(module, name))]
        for group, members in groups(room, things).items():
            lines += [f".. rubric:: {group}", ""] if group else []
            lines += [".. autosummary::", "   :toctree: generated", "   :nosignatures:", ""]
            lines += [*(f"   {name}" for name in members), ""]
        if elsewhere:
            links = ", ".join(f":obj:`{first}.{name}`" for name, first in elsewhere.items())
            lines += [".. rubric:: At home in another room", "", links, ""]
        values = [name for name in names if name not in things]
        if values:
            lines += [".. rubric:: Constants and types", ""]
            lines += [line for name in values for line in documented_value(room, name)]
        texts[f"{room}.rst"] = "\n".join(lines)
    return texts


def write_pages(app: Any) -> None:
    """Write the pages beside the index, those alone that have changed."""
    folder = Path(app.srcdir) / "api" / "rooms"
    folder.mkdir(parents=True, exist_ok=True)
    wanted = pages()
    for path in folder.glob("*.rst"):
        if path.name not in wanted:
            path.unlink()
    for name, text in wanted.items():
        path = folder / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
    listed = {f"{room}.{line.strip()}.rst" for room in ROOMS for line in wanted[f"{room}.rst"].splitlines()}
    for path in (folder / "generated").glob("*.rst"):
        if path.name not in listed:  # of a name that is gone
            path.unlink()


def lead_to_included(app: Any, docname: str, source: list[str]) -> None:
    """Lead links to pages at the root of the checkout to the pages that include them."""
    path = app.env.doc2path(docname, base=False)
    for outside, inside in INCLUDED.items():
        link = posixpath.relpath(f"../{outside}", posixpath.dirname(path) or ".")
        target = posixpath.relpath(inside, posixpath.dirname(path) or ".")
        source[0] = source[0].replace(f"]({link}", f"]({target}")


def lead_to_sources(app: Any, doctree: nodes.document, docname: str) -> None:
    """Lead links to files of the package to their highlighted source, and links to folders nowhere."""
    known = {name for name, entry in getattr(app.env, "_viewcode_modules", {}).items() if entry}
    for node in list(doctree.findall(addnodes.download_reference)):
        target = posixpath.normpath(posixpath.join(posixpath.dirname(docname), node["reftarget"]))
        module = target.removeprefix("../").removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        if target.startswith("../latentover/") and module in known:
            uri = app.builder.get_relative_uri(docname, f"_modules/{module.replace('.', '/')}")
            node.replace_self(nodes.reference("", "", *node.children, refuri=uri, internal=True))


def setup(app: Any) -> dict[str, bool]:
    """Write the pages before anything is read."""
    app.connect("builder-inited", write_pages, priority=100)  # before autosummary looks at them
    app.connect("source-read", lead_to_included)
    app.connect("doctree-resolved", lead_to_sources)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
