"""Small drawings inside a page: SVG that takes its colours from the page's styles, in light and in dark alike.

They have letters, no pictures of letters, and weigh a kilobyte or two, so that a page may have a hundred of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from latentover.displays.columns import is_ordered, ticks_of
from latentover.text import line, short_name

if TYPE_CHECKING:
    from markupsafe import Markup

    from latentover.metrics.table_results import PairQuality, Picture

__all__ = ["heat_map", "histogram", "intervals", "scale"]

WIDTH = 340
LEFT = 112
"""Of what stands beside names."""
NAME_LETTERS = 17


def histogram(picture: Picture, names: Sequence[str], what: str, *, times: bool = False) -> Markup | str:
    """Draw a histogram of two sides: bins as a filled shape and a line, levels as pairs of bars.

    Parameters
    ----------
    picture : Picture
    names : sequence of 2 str
        Of the sides.
    what : str
        What it shows, for those who do not see it.
    times : bool, default=False
        Whether the numbers are seconds since 1970.
    """
    if not picture.real:
        return ""
    if picture.labels and not is_ordered(picture.labels):
        return _bars(picture, names, what)
    return _bins(picture, what, times=times)


def _bins(picture: Picture, what: str, *, times: bool) -> Markup:
    top, base = 6, 112
    n = len(picture.real)
    tallest = max(*picture.real, *picture.new, 1e-12)
    step = (WIDTH - 4) / n

    def outline(heights: Sequence[float]) -> str:
        points = []
        for i, height in enumerate(heights):
            y = base - (base - top) * height / tallest
            points += [f"{2 + i * step:.1f},{y:.1f}", f"{2 + (i + 1) * step:.1f},{y:.1f}"]
        return " ".join(points)

    end = f"{WIDTH - 2},{base}"
    ticks = ticks_of(picture, times=times)
    marks = "".join(
        f'<text x="{min(max(2 + place * (WIDTH - 4), 2), WIDTH - 2):.1f}" y="{base + 17}" '
        f'text-anchor="{_anchor(place)}">{_safe(text)}</text>'
        for place, text in ticks
    )
    body = (
        f'<polygon class="real" points="2,{base} {outline(picture.real)} {end}"/>'
        f'<polyline class="new" points="2,{base} {outline(picture.new)} {end}"/>'
        f'<line class="axis" x1="2" x2="{WIDTH - 2}" y1="{base}" y2="{base}"/>{marks}'
    )
    return _svg(body, base + 24, what)


def _anchor(place: float) -> str:
    return {0.0: "start", 1.0: "end"}.get(place, "middle")


def _bars(picture: Picture, names: Sequence[str], what: str) -> Markup:
    room, height = WIDTH - LEFT - 40, 24
    tallest = max(*picture.real, *picture.new, 1e-12)
    parts = []
    for i, (label, real, new) in enumerate(zip(picture.labels, picture.real, picture.new, strict=True)):
        y = 2 + i * height
        title = f"{line(label)}: {names[0]} {real:.1%}, {names[1]} {new:.1%}"
        parts.append(
            f"<g><title>{_safe(title)}</title>"
            f'<text x="{LEFT - 8}" y="{y + 14}" text-anchor="end">{_safe(_cut(label))}</text>'
            f'<rect class="real" x="{LEFT}" y="{y + 1}" width="{room * real / tallest:.1f}" height="9"/>'
            f'<rect class="bar" x="{LEFT}" y="{y + 11}" width="{room * new / tallest:.1f}" height="7"/>'
            f'<text class="faint" x="{LEFT + room * max(real, new) / tallest + 6:.1f}" y="{y + 14}">{new:.0%}</text>'
            "</g>"
        )
    return _svg("".join(parts), 4 + height * len(parts), what)


def heat_map(pairs: Sequence[PairQuality], what: str, most: int = 16) -> Markup | str:
    """Draw by how much the associations of pairs of columns differ: a cell a pair, of the columns that differ most."""
    weight: dict[str, float] = {}
    for pair in pairs:
        for name in (pair.first, pair.second):
            weight[name] = max(weight.get(name, 0.0), pair.difference)
    names = sorted(weight, key=lambda name: -weight[name])[:most]
    order = {pair.first: i for i, pair in enumerate(pairs)} | {pair.second: i for i, pair in enumerate(pairs)}
    names = [name for name in order if name in names]
    if len(names) < 2:
        return ""
    cell = min(34.0, (WIDTH - LEFT) / (len(names) - 1))
    place = {name: i for i, name in enumerate(names)}
    parts = [
        f'<text x="{LEFT - 8}" y="{(i - 1) * cell + cell / 2 + 6:.1f}" text-anchor="end">{_safe(_cut(name))}</text>'
        for name, i in place.items()
        if i
    ]
    bottom = (len(names) - 1) * cell
    for name, i in place.items():
        if i < len(names) - 1:
            x = LEFT + i * cell + cell / 2
            parts.append(
                f'<text x="{x:.1f}" y="{bottom + 14:.1f}" text-anchor="end" '
                f'transform="rotate(-55 {x:.1f} {bottom + 14:.1f})">{_safe(_cut(name))}</text>'
            )
    for pair in pairs:
        if pair.first in place and pair.second in place:
            column, row = sorted((place[pair.first], place[pair.second]))
            title = (
                f"{line(pair.first)} and {line(pair.second)}: {pair.real:.2f} among real rows, {pair.new:.2f} among new"
            )
            full = min(1.0, pair.difference / 0.5)
            parts.append(
                f'<g><title>{_safe(title)}</title><rect class="cell" x="{LEFT + column * cell + 1:.1f}" '
                f'y="{(row - 1) * cell + 1:.1f}" width="{cell - 2:.1f}" height="{cell - 2:.1f}" rx="3" '
                f'style="--full: {0.06 + 0.94 * full:.3f}"/>'
                + (
                    f'<text class="{"on" if full > 0.6 else "faint"} value" x="{LEFT + (column + 0.5) * cell:.1f}" '
                    f'y="{(row - 0.5) * cell + 4:.1f}" text-anchor="middle">{_hundredths(pair.difference)}</text>'
                    if cell >= 22
                    else ""
                )
                + "</g>"
            )
    return _svg("".join(parts), bottom + 14 + 6.4 * max(len(_cut(name)) for name in names[:-1]), what)


def _hundredths(value: float) -> str:
    return f"{value:.2f}".replace("0.", ".") if value < 0.995 else f"{value:.1f}"


def intervals(rows: Sequence[tuple[str, float, float, float]], unit: str, what: str) -> Markup | str:
    """Draw values with their intervals beside zero; a row is a name, the value, and the ends of its interval."""
    if not rows:
        return ""
    furthest = max(max(abs(low), abs(high)) for _, _, low, high in rows) or 1.0
    step = 10 ** math.floor(math.log10(furthest))
    bound = math.ceil(furthest / step) * step
    left = 132
    middle, room = (left + WIDTH - 10) / 2, (WIDTH - 10 - left) / 2
    height, parts = 30, []
    base = height * len(rows) + 4

    def at(value: float) -> float:
        return middle + room * value / bound

    parts.append(f'<line class="zero" x1="{middle}" x2="{middle}" y1="2" y2="{base}"/>')
    for i, (name, value, low, high) in enumerate(rows):
        y = height * i + 17
        kind = "up" if low > 0 else "down" if high < 0 else "even"
        first, _, second = name.partition("\n")
        parts.append(
            f'<g class="{kind}"><title>{_safe(f"{first} {second}: {value:+.1f} ({low:+.1f} to {high:+.1f}) {unit}")}'
            f'</title><text x="{left - 10}" y="{y - 2}" text-anchor="end">{_safe(first)}</text>'
            f'<text class="faint" x="{left - 10}" y="{y + 11}" text-anchor="end">{_safe(second)}</text>'
            f'<line class="whisker" x1="{at(low):.1f}" x2="{at(high):.1f}" y1="{y}" y2="{y}"/>'
            f'<circle cx="{at(value):.1f}" cy="{y}" r="5"/></g>'
        )
    for value, anchor in ((-bound, "start"), (0.0, "middle"), (bound, "end")):
        text = f"{value:+.3g}" if value else f"0 {unit}"
        parts.append(f'<text class="faint" x="{at(value):.1f}" y="{base + 16}" text-anchor="{anchor}">{text}</text>')
    return _svg("".join(parts), base + 22, what)


def scale(value: float, low: float, high: float, marks: Sequence[tuple[float, str]], what: str) -> Markup:
    """Draw a value with its interval on a line from the first to the last of the marks."""
    start, end = marks[0][0], marks[-1][0]

    def at(position: float) -> float:
        return 10 + (WIDTH - 20) * min(max((position - start) / (end - start), 0.0), 1.0)

    parts = [f'<line class="axis" x1="{at(start)}" x2="{at(end)}" y1="16" y2="16"/>']
    for position, text in marks:
        anchor = "start" if position == start else "end" if position == end else "middle"
        parts.append(
            f'<line class="axis" x1="{at(position):.1f}" x2="{at(position):.1f}" y1="11" y2="21"/>'
            f'<text class="faint" x="{at(position):.1f}" y="38" text-anchor="{anchor}">{_safe(text)}</text>'
        )
    parts.append(
        f'<line class="whisker" x1="{at(low):.1f}" x2="{at(high):.1f}" y1="16" y2="16"/>'
        f'<circle cx="{at(value):.1f}" cy="16" r="7"/>'
    )
    return _svg(f'<g class="even">{"".join(parts)}</g>', 44, what)


def _svg(body: str, height: float, what: str) -> Markup:
    from markupsafe import Markup

    return Markup(
        f'<svg class="drawing" viewBox="0 0 {WIDTH} {math.ceil(height)}" role="img" aria-label="{_safe(what)}">'
        f"{body}</svg>"
    )


def _safe(text: object) -> str:
    from markupsafe import escape

    return str(escape(line(text)))


def _cut(text: object) -> str:
    name = short_name(text)
    return name if len(name) <= NAME_LETTERS else f"{name[: NAME_LETTERS - 1]}…"
