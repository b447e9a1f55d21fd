"""Results as HTML for notebooks: self-contained, every word escaped, in the colours of the page, light or dark."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

from latentover.text import line

__all__ = ["heading", "items", "note", "page", "table"]

_RULE = "1px solid rgba(128, 128, 128, .45)"
_CELL = f"padding: .25em .7em; border: 0; border-bottom: {_RULE}; background: none; color: inherit; vertical-align: top"
_MARK = "background: rgba(58, 155, 217, .18)"
_LONGEST = 2_000
"""Letters of a sentence."""


def page(*parts: str) -> str:
    """Return parts as one piece; those that are empty are left out. Colours are those around it."""
    inside = "".join(filter(None, parts))
    return f'<div class="latentover" style="color: inherit; max-width: 75em; line-height: 1.45">{inside}</div>'


def heading(text: object) -> str:
    """Return a line in bold."""
    return f'<p style="margin: .7em 0 .3em; font-weight: 600">{_safe(text)}</p>'


def note(text: object) -> str:
    """Return a paragraph; empty for no text."""
    return f'<p style="margin: .4em 0">{_safe(text)}</p>' if str(text) else ""


def items(texts: Iterable[object], *, numbered: bool = False) -> str:
    """Return a list; empty without texts."""
    lines = "".join(f"<li>{_safe(text)}</li>" for text in texts)
    kind = "ol" if numbered else "ul"
    return f'<{kind} style="margin: .4em 0; padding-left: 1.6em">{lines}</{kind}>' if lines else ""


def table(
    head: Sequence[object],
    rows: Iterable[Sequence[object]],
    *,
    words: int = 1,
    marked: int | None = None,
    more: int = 0,
) -> str:
    """Return a table.

    Parameters
    ----------
    head : sequence of str
        Of the columns.
    rows : iterable of sequence of str
    words : int, default=1
        Leading columns that are words, to the left; the others are numbers, to the right.
    marked : int, optional
        The row that stands out.
    more : int, default=0
        Rows that are left out, which is said below.

    Examples
    --------
    >>> "&lt;b&gt;" in table(["class", "n"], [["<b>", 3]])
    True
    """

    def cells(values: Sequence[object], tag: str, extra: str = "") -> str:
        sides = ["left" if i < words else "right" for i in range(len(values))]
        return "".join(
            f'<{tag} style="{_CELL}; text-align: {side}{extra}">{_safe(value)}</{tag}>'
            for value, side in zip(values, sides, strict=True)
        )

    fills = {marked: _MARK}
    body = "".join(
        f'<tr style="{fills.get(i, "background: none")}">{cells(row, "td")}</tr>' for i, row in enumerate(rows)
    )
    below = note(f"and {more:,} more") if more > 0 else ""
    return (
        '<div style="overflow-x: auto"><table style="border-collapse: collapse; font-variant-numeric: tabular-nums; '
        f'margin: .4em 0"><thead><tr style="background: none">{cells(head, "th", "; font-weight: 600")}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>{below}"
    )


def _safe(text: object) -> str:
    return html.escape(line(text, _LONGEST))
