"""What the built site needs beyond plain Markdown, so that it works offline and without a script.

A ``math`` block holds TeX. Code hosts draw it themselves; here matplotlib draws it, as a picture with the TeX as its
text. A link to a file of the checkout outside ``docs/`` leads to a copy of that file in the site.
"""

import base64
import html
import io
import posixpath
import re
import sys
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.mathtext import math_to_image
from mkdocs.structure.files import File

MATH = re.compile(r"^```math\n(.*?)\n```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(((?:\.\./)+[^)#\s]+)(#[^)\s]*)?\)")
COPIES = "source"


def draw_equation(tex: str) -> str:
    """Return a ``math`` block as HTML; every line of it is an equation of its own."""
    pictures = []
    for line in filter(None, map(str.strip, tex.splitlines())):
        buffer = io.BytesIO()
        with rc_context({"mathtext.fontset": "stix", "svg.fonttype": "path", "font.size": 13}):
            math_to_image(f"${line}$", buffer, format="svg")
        data = base64.b64encode(buffer.getvalue()).decode("ascii")
        pictures.append(f'<img alt="{html.escape(line, quote=True)}" src="data:image/svg+xml;base64,{data}">')
    return f'<div class="equation">{"<br>".join(pictures)}</div>'


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Draw the equations, and lead links out of ``docs/`` to copies of the files."""
    root = Path(config.docs_dir).parent

    def relink(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join("docs", posixpath.dirname(page.file.src_uri), match[1]))
        if target.startswith(("..", "docs/")) or not (root / target).exists():
            return match[0]
        if (root / target).is_dir():  # a folder has no page of its own
            return "]"
        uri = f"{COPIES}/{target}.txt"
        if files.get_file_from_path(uri) is None:
            files.append(File.generated(config, uri, content=(root / target).read_text(encoding="utf-8")))
        return f"]({posixpath.relpath(uri, posixpath.dirname(page.file.src_uri) or '.')})"

    return LINK.sub(relink, MATH.sub(lambda match: draw_equation(match[1]), markdown))


def on_startup(**_kwargs: Any) -> None:
    """Draw the pictures of the metrics anew, once a command: drawing with every build would set off another."""
    sys.path.insert(0, str(Path(__file__).parent))
    import make_metric_figures

    make_metric_figures.main()
