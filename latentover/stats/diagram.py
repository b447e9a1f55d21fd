"""The critical-difference diagram: methods on the line of mean ranks, with bars over those that are not told apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from latentover.stats.ranks import PairwiseTest

__all__ = ["critical_difference_diagram", "draw_diagram", "equal_groups", "size_of_diagram"]

_MIDDLE, _MARGIN, _LINE, _LETTER = 2.88, 1.56, 0.24, 0.085
"""Inches: the line of ranks, the least that stands beside it for names, a line of text, a letter."""


def equal_groups(
    ranks: Mapping[str, float], pairs: Sequence[PairwiseTest], *, alpha: float = 0.05
) -> list[tuple[str, ...]]:
    """Largest runs of neighbours in rank of which no two differ significantly.

    Parameters
    ----------
    ranks : mapping of str to float
        Mean rank of each method.
    pairs : sequence of PairwiseTest
        All pairs, as `shaffer` gives them.
    alpha : float, default=0.05
        Level of the adjusted p-values.

    Returns
    -------
    list of tuple of str
        Names from best to worst, groups of two and more; none is part of another.

    Raises
    ------
    ValueError
        If a pair is missing.

    Examples
    --------
    >>> from latentover.stats import equal_groups, shaffer
    >>> pairs = shaffer([[0.9, 0.89, 0.2]] * 6 + [[0.89, 0.9, 0.2]] * 6, ["a", "b", "c"])
    >>> equal_groups({"a": 1.5, "b": 1.5, "c": 3.0}, pairs)
    [('a', 'b')]
    """
    order = sorted(ranks, key=lambda name: ranks[name])
    adjusted = {frozenset((pair.first, pair.second)): pair.adjusted for pair in pairs}
    missing = [(a, b) for i, a in enumerate(order) for b in order[:i] if frozenset((a, b)) not in adjusted]
    if missing:
        raise ValueError(
            f"Expected *pairs* to hold a test of every two methods of *ranks*, but got none of {missing[0]}; pass all "
            "that `shaffer` returns."
        )
    groups: list[tuple[str, ...]] = []
    end = 0
    for start in range(len(order)):
        stop = start + 1
        while stop < len(order) and all(
            adjusted[frozenset((name, order[stop]))] >= alpha for name in order[start:stop]
        ):
            stop += 1
        if stop - start > 1 and stop > end:
            groups.append(tuple(order[start:stop]))
            end = stop
    return groups


def critical_difference_diagram(
    ranks: Mapping[str, float],
    pairs: Sequence[PairwiseTest],
    *,
    alpha: float = 0.05,
    ink: str = "#1c2430",
    accent: str = "#0b5cad",
) -> Any:
    """Draw the diagram of Demšar with the groups of a post-hoc test; rank 1, the best, is at the left.

    Parameters
    ----------
    ranks : mapping of str to float
        Mean rank of each method, at least two.
    pairs : sequence of PairwiseTest
        All pairs, as `shaffer` gives them.
    alpha : float, default=0.05
        A thick bar joins methods that do not differ at this level.
    ink, accent : str
        Colours of lines and text, and of the bars.

    Returns
    -------
    matplotlib.figure.Figure
        Made without pyplot; save it with ``savefig``.

    Raises
    ------
    ValueError
        If there are fewer than two methods, or a pair is missing.

    References
    ----------
    Demšar, JMLR 7, 2006, figure 1.

    Examples
    --------
    >>> from latentover.stats import critical_difference_diagram, mean_ranks, shaffer
    >>> names, table = ["a", "b", "c"], [[0.9, 0.8, 0.7]] * 8
    >>> figure = critical_difference_diagram(dict(zip(names, mean_ranks(table))), shaffer(table, names))
    >>> figure.savefig("diagram.svg")
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size_of_diagram(ranks, pairs, alpha=alpha))
    FigureCanvasAgg(figure)
    draw_diagram(figure.add_axes((0, 0, 1, 1)), ranks, pairs, alpha=alpha, ink=ink, accent=accent)
    return figure


def size_of_diagram(
    ranks: Mapping[str, float], pairs: Sequence[PairwiseTest], *, alpha: float = 0.05
) -> tuple[float, float]:
    """Return width and height in inches that a diagram fills."""
    depth, half = _depth(ranks, pairs, alpha)
    return _MIDDLE + 2 * _margin(ranks), 0.6 + _LINE * (depth / 0.3 + half)


def _margin(ranks: Mapping[str, float]) -> float:
    return max(_MARGIN, _LETTER * (8 + max(map(len, ranks))))  # a name, its mean rank and a gap


def _depth(ranks: Mapping[str, float], pairs: Sequence[PairwiseTest], alpha: float) -> tuple[float, int]:
    """Return how far below the line of ranks the first name stands, and how many stand at the left."""
    if len(ranks) < 2:
        raise ValueError(f"Expected at least two methods to compare, but got {list(ranks)}.")
    return 0.3 * len(equal_groups(ranks, pairs, alpha=alpha)) + 0.4, (len(ranks) + 1) // 2


def draw_diagram(
    ax: Any,
    ranks: Mapping[str, float],
    pairs: Sequence[PairwiseTest],
    *,
    alpha: float = 0.05,
    ink: str = "#1c2430",
    accent: str = "#0b5cad",
) -> tuple[list[Any], list[Any]]:
    """Draw the diagram on axes that have room for it; see `critical_difference_diagram`.

    Returns
    -------
    (list of Text, list of Line2D)
        The names, the best first, and the bars over groups.
    """
    depth, half = _depth(ranks, pairs, alpha)
    order = sorted(ranks, key=lambda name: ranks[name])
    k = len(order)
    inches = ax.get_window_extent().width / ax.figure.dpi
    margin = min(_margin(ranks), 0.42 * inches)  # where there is little room, names stand nearer to the edge
    beside = (k - 1) * margin / (inches - 2 * margin)
    ax.set(xlim=(1 - beside, k + beside), ylim=(-(depth + 0.3 * half + 0.15), 0.6))
    ax.axis("off")

    ax.plot([1, k], [0, 0], color=ink, linewidth=1)
    for tick in range(1, k + 1):
        ax.plot([tick, tick], [0, 0.1], color=ink, linewidth=1)
        if (tick - 1) % (1 + k // 13) == 0:  # more numbers would run into each other
            ax.text(tick, 0.16, str(tick), ha="center", va="bottom", color=ink, fontsize=10)
    bars, names = [], []
    for position, group in enumerate(equal_groups(ranks, pairs, alpha=alpha)):
        y, beyond = -0.2 - 0.3 * position, 0.02 * (k - 1)
        ends = [ranks[group[0]] - beyond, ranks[group[-1]] + beyond]
        bars += ax.plot(ends, [y, y], color=accent, linewidth=4, solid_capstyle="round")
    for position, name in enumerate(order):
        left = position < half
        y = -(depth + 0.3 * (position if left else k - 1 - position))
        edge = 1 - 0.03 * (k - 1) if left else k + 0.03 * (k - 1)
        ax.plot([ranks[name], ranks[name], edge], [0, y, y], color=ink, linewidth=0.8)
        text = f"{name}  {ranks[name]:.2f}" if left else f"{ranks[name]:.2f}  {name}"
        gap = -0.01 * (k - 1) if left else 0.01 * (k - 1)
        side = "right" if left else "left"
        names.append(ax.text(edge + gap, y, text, ha=side, va="center", color=ink, fontsize=10))
    return names, bars
