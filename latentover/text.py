"""Words of others on our pages: names and messages are cut to size and stay words, whatever letters they have."""

from __future__ import annotations

import re
import unicodedata

__all__ = ["folded", "guarded", "inline_code", "latex", "line", "markdown", "natural", "short_name", "without_guard"]

NAME_LETTERS = 60
LINE_LETTERS = 300
_NO_LETTERS = {"Cc", "Cs", "Zl", "Zp"}
"""Unicode's categories of what cannot be printed: controls, halves of a letter, ends of lines."""
_TURNS = re.compile("[\u202a-\u202e\u2066-\u2069]")
"""Marks that reverse the letters after them."""

_FORMULA = re.compile("[=@\t\r\uff1d\uff20]|[-+\uff0b\uff0d].*[(|!]", re.DOTALL)
"""What a spreadsheet program would compute; a number with its sign, or a plus for a label, is none."""


def short_name(text: object) -> str:
    r"""Return the name of a class, a method or a data set on one line, of at most 60 letters.

    Examples
    --------
    >>> short_name("two\nlines"), short_name("ab" * 5000)[27:33]
    ('two lines', 'bab…ba')
    """
    return line(text, NAME_LETTERS)


def line(text: object, letters: int = LINE_LETTERS) -> str:
    """Return a text on one line without what cannot be printed; its middle is cut out of a long one."""
    whole = str(text)
    text = whole if len(whole) <= 8 * letters else whole[: 4 * letters] + whole[-4 * letters :]
    text = " ".join("".join(" " if unicodedata.category(c) in _NO_LETTERS else c for c in text).split())
    text = _TURNS.sub("", text)
    if len(text) <= letters:
        return text
    half = letters // 2
    return f"{text[:half].rstrip()}…{text[half + 1 - letters :].lstrip()}"


def markdown(text: object) -> str:
    r"""Return words as Markdown that shows them as they are: no markup, no HTML, no second column or line.

    What CommonMark and Python-Markdown both take behind a backslash gets one, the rest becomes a reference.

    Examples
    --------
    >>> print(markdown("# a_b <i> | [x](y)"))
    \# a_b &lt;i> \| \[x\](y)
    >>> print(markdown("1. First"))
    1\. First
    """
    text = " ".join(str(text).split())
    text = re.sub(r"[\\`*\[\]#|]|(?<![^\W_])_+|_+(?![^\W_])", lambda mark: re.sub(".", r"\\\g<0>", mark[0]), text)
    for character in "&<~$":  # the first is in the references themselves
        text = text.replace(character, {"&": "&amp;", "<": "&lt;", "~": "&#126;", "$": "&#36;"}[character])
    return re.sub(r"^[-+=>:]|^\d+(?=[.)](\s|$))", lambda found: _behind_backslash(found[0]), text)


def folded(summary: str, *blocks: str) -> str:
    """Return blocks of Markdown folded away behind a summary, in HTML that Markdown allows; the words are not escaped.

    Examples
    --------
    >>> print(folded("Certificates", "- seed: 0"))
    <details>
    <summary>Certificates</summary>
    <BLANKLINE>
    - seed: 0
    <BLANKLINE>
    </details>
    """
    return "\n\n".join([f"<details>\n<summary>{summary}</summary>", *blocks, "</details>"])


_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "±": r"$\pm$",
    **{character: f"\\{character}" for character in "{}$&#_%"},
    **{character: f"{{{character}}}" for character in "[]*"},
}
"""What LaTeX would not print as it is; behind the end of a table's row it reads stars and brackets."""
_LIGATURE = re.compile("(?<=-)(?=-)|(?<=')(?=')|(?<=`)(?=`)|(?<=[?!])(?=`)")
"""Where LaTeX would make one sign of two."""


def latex(text: object) -> str:
    r"""Return words as LaTeX that prints them as they are.

    Examples
    --------
    >>> print(latex("50% of a_b & \\x{1}"))
    50\% of a\_b \& \textbackslash{}x\{1\}
    >>> print(latex("a-b, a--b, ''"))
    a-b, a-{}-b, '{}'
    """
    return _LIGATURE.sub("{}", "".join(_LATEX.get(character, character) for character in line(text)))


def _behind_backslash(start: str) -> str:
    """Return the start of a line so that it begins no list, quotation or heading; of a number, the dot follows."""
    return f"{start}\\" if start.isdigit() else f"\\{start}"


def inline_code(text: object) -> str:
    """Return words as Markdown's code: between more backticks than stand in a row within."""
    text = line(text)
    fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    space = " " if len(fence) > 1 else ""
    return f"{fence}{space}{text}{space}{fence}"


def guarded(cell: str) -> str:
    """Return the text of a CSV file's cell with an apostrophe before it if a spreadsheet program would compute it.

    Examples
    --------
    >>> guarded("=cmd|' /C calc'!A0"), guarded("-1.5"), guarded("+")
    ("'=cmd|' /C calc'!A0", '-1.5', '+')
    """
    return f"'{cell}" if _FORMULA.match(cell) else cell


def without_guard(cell: str) -> str:
    """Return the text that `guarded` was given."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell[1:]) else cell


def natural(text: str) -> tuple[bool, float, str]:
    """Return what names are sorted by: numbers by value and before words.

    Examples
    --------
    >>> sorted(["10", "b", "9", "a"], key=natural)
    ['9', '10', 'a', 'b']
    """
    try:
        return False, float(text), text
    except ValueError:
        return True, 0.0, text
