"""The pages of the API reference, written from what the package exports: no list of names is kept by hand.

Each public room of the package has a page with a table for each of its modules, and each name a page of its own. A link
in Markdown to a module's file leads to that module's page of source.
"""

import posixpath
from pathlib import Path
from typing import Any

from docutils import nodes
from rooms import ROOMS, overview, pages
from sphinx import addnodes

INCLUDED = {
    "CONTRIBUTING.md": "dev/contributing.md",
    "SECURITY.md": "dev/security.md",
    "CHANGELOG.md": "dev/changelog.md",
    "benchmarks/README.md": "dev/benchmarks.md",
}
"""Pages of the checkout, which code hosts show where they are, and the pages here that include them."""


def write_pages(app: Any, config: Any) -> None:
    """Write the pages beside the index, those alone that have changed."""
    folder = Path(app.srcdir) / "api" / "rooms"
    folder.mkdir(parents=True, exist_ok=True)
    wanted = pages()
    for path in folder.glob("*.rst"):
        if path.name not in wanted:
            path.unlink()
    # Not a page: the index has it.
    for name, text in {**wanted, "overview.inc": overview()}.items():
        path = folder / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
    listed = {
        f"{room}.{line.strip()}.rst"
        for room in ROOMS
        for line in wanted[f"{room}.rst"].splitlines()
    }
    for path in (folder / "generated").glob("*.rst"):
        if path.name not in listed:  # of a name that is gone
            path.unlink()


def lead_to_included(app: Any, docname: str, source: list[str]) -> None:
    """Lead links to pages at the root of the checkout to the pages that include them."""
    path = app.env.doc2path(docname, base=False)
    for outside, inside in INCLUDED.items():
        link = posixpath.relpath(
            f"../{outside}", posixpath.dirname(path) or "."
        )
        target = posixpath.relpath(inside, posixpath.dirname(path) or ".")
        source[0] = source[0].replace(f"]({link}", f"]({target}")


def lead_to_sources(app: Any, doctree: nodes.document, docname: str) -> None:
    """Lead links to files of the package to their highlighted source, and links to folders nowhere."""
    known = {
        name
        for name, entry in getattr(app.env, "_viewcode_modules", {}).items()
        if entry
    }
    for node in list(doctree.findall(addnodes.download_reference)):
        target = posixpath.normpath(
            posixpath.join(posixpath.dirname(docname), node["reftarget"])
        )
        module = (
            target.removeprefix("../")
            .removesuffix(".py")
            .removesuffix("/__init__")
            .replace("/", ".")
        )
        if target.startswith("../latentover/") and module in known:
            uri = app.builder.get_relative_uri(
                docname, f"_modules/{module.replace('.', '/')}"
            )
            node.replace_self(
                nodes.reference(
                    "", "", *node.children, refuri=uri, internal=True
                )
            )


def setup(app: Any) -> dict[str, bool]:
    """Write the pages before anything is read."""
    # Before Sphinx looks for pages, of which autosummary makes those of names.
    app.connect("config-inited", write_pages)
    app.connect("source-read", lead_to_included)
    app.connect("doctree-resolved", lead_to_sources)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
