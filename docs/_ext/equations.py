"""Equations as pictures that matplotlib draws, so that the pages need neither a script nor a network to show them.

Every line of a ``math`` block is an equation of its own; Markdown's fence, its $`...`$ within a sentence, as code hosts
write it, and the directive and role of docstrings draw alike. An equation that matplotlib cannot draw is a warning, which ends the build.
"""

import base64
import html
import io
import re
from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive
from matplotlib import rc_context
from matplotlib.mathtext import math_to_image


def draw(tex: str, size: float) -> str:
    """Return an equation as an ``<img>`` on its base line, with the TeX as its text."""
    buffer = io.BytesIO()
    with rc_context(
        {
            "mathtext.fontset": "stix",
            "figure.facecolor": "none",
            "savefig.facecolor": "none",
            "svg.fonttype": "path",
            "font.size": size,
            "svg.hashsalt": "equation",
        }
    ):
        depth = math_to_image(f"${tex}$", buffer, format="svg")
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    about = f'class="equation dark-light" alt="{html.escape(tex, quote=True)}" style="vertical-align: -{depth:.1f}pt"'
    return f'<img {about} src="data:image/svg+xml;base64,{data}">'


class Equations(Directive):
    """The ``math`` directive."""

    has_content = True
    optional_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        # What follows the directive at once is one argument, of several lines.
        text = "\n".join([*self.arguments, *self.content])
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        try:
            pictures = "<br>".join(draw(line, 13) for line in lines)
        except ValueError as error:
            return [
                self.state.document.reporter.warning(
                    f"matplotlib cannot draw {lines}: {error}", line=self.lineno
                )
            ]
        return [
            nodes.raw(
                "", f'<div class="equations">{pictures}</div>', format="html"
            )
        ]


def role(
    _name: str, raw: str, _text: str, lineno: int, inliner: Any, *_rest: Any
) -> tuple[list, list]:
    """The ``math`` role."""
    tex = raw.partition("`")[2].rstrip("`")
    try:
        return [nodes.raw("", draw(tex, 11), format="html")], []
    except ValueError as error:
        return [], [
            inliner.reporter.warning(
                f"matplotlib cannot draw {tex}: {error}", line=lineno
            )
        ]


def mark(_app: Any, _page: str, text: list[str]) -> None:
    """Make the role of each equation within a sentence, which MyST knows by another sign."""
    text[0] = re.sub(r"\$`([^`\n]+)`\$", r"{math}`\1`", text[0])


def setup(app: Any) -> dict[str, bool]:
    """Take the place of Sphinx's own equations."""
    app.connect("source-read", mark)
    app.add_directive("math", Equations, override=True)
    app.add_role("math", role, override=True)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
