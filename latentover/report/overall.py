"""Methods over several data sets: mean ranks, and what the tests of `latentover.stats` say about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from latentover.report.comparison import LOWER_IS_BETTER, Row
from latentover.report.findings import p_text, plural
from latentover.report.tables import MAX_CLASSES, SideTable, metric_title, percent
from latentover.stats import FriedmanTest, PairwiseTest, WilcoxonTest, friedman, mean_ranks, shaffer, wilcoxon

__all__ = ["LEAST_DATA_SETS", "Overall", "over_data_sets", "overall_sentences", "overall_table"]

LEAST_DATA_SETS = 3
LEVEL = 0.05


@dataclass(frozen=True)
class Overall:
    """The methods that several data sets have in common, compared by their mean scores.

    Attributes
    ----------
    metric : str
    rows : dict of str to (sequence of Row)
        From a data set's name to the rows of the common methods, in the order of `ranks`.
    ranks : dict of str to float
        From a method's title to its mean rank, 1 best, ascending.
    test : FriedmanTest or WilcoxonTest
        Whether any of the methods differ; Wilcoxon's test for two.
    pairs : list of PairwiseTest
        Every two methods, by Shaffer's procedure; with two methods Wilcoxon's p. Where the test finds no difference,
        no pair is looked for, and all adjusted p-values are 1.
    left_out : tuple of str
        Titles of methods that some data set lacks.
    same_data : tuple of (str, str)
        Names of data sets with the same samples.
    """

    metric: str
    rows: Mapping[str, Sequence[Row]]
    ranks: Mapping[str, float]
    test: FriedmanTest | WilcoxonTest
    pairs: Sequence[PairwiseTest]
    left_out: tuple[str, ...]
    same_data: tuple[tuple[str, str], ...] = ()


def over_data_sets(
    rows: Mapping[str, Sequence[Row]], metric: str = "acsa", data: Mapping[str, str | None] | None = None
) -> Overall | None:
    """Compare methods over data sets.

    Parameters
    ----------
    rows : mapping of str to sequence of Row
        From a data set's name to what `compare` made of its runs. Methods are matched by `Row.recipe`.
    metric : str, default="acsa"
    data : mapping of str to (str or None), optional
        From a data set's name to the hash of its samples, to find those that are no other ones.

    Returns
    -------
    Overall or None
        None for fewer than three data sets, or fewer than two methods that all of them have.

    Examples
    --------
    >>> from latentover.report.comparison import Cell, Row
    >>> def rows(**means):
    ...     return [Row(name, name.upper(), {"acsa": Cell(mean, None, 1)}, 1, None) for name, mean in means.items()]
    >>> found = over_data_sets({"x": rows(a=0.9, b=0.8), "y": rows(a=0.7, b=0.6, c=0.5), "z": rows(a=0.6, b=0.7)})
    >>> found.ranks, found.left_out
    ({'A': 1.3333333333333333, 'B': 1.6666666666666667}, ('C',))
    """
    known = {
        name: {row.recipe: row for row in group if metric in row.cells and row.cells[metric].mean is not None}
        for name, group in rows.items()
    }
    if len(known) < LEAST_DATA_SETS:
        return None
    everything = {recipe: row.title for group in reversed(known.values()) for recipe, row in group.items()}
    common = [recipe for recipe in next(iter(known.values())) if all(recipe in group for group in known.values())]
    if len(common) < 2:
        return None
    names = [_own(recipe, [everything[one] for one in common], everything) for recipe in common]
    scores = np.array(
        [[group[recipe].cells[metric].mean for recipe in common] for group in known.values()], dtype=float
    )
    higher = metric not in LOWER_IS_BETTER
    means = dict(zip(names, mean_ranks(scores, higher_is_better=higher).tolist(), strict=True))
    order = sorted(names, key=lambda name: means[name])
    test, pairs = _tests(scores, names, higher=higher)
    hashes = {name: (data or {}).get(name) for name in known}
    same = [(a, b) for i, a in enumerate(known) for b in list(known)[i + 1 :] if hashes[a] and hashes[a] == hashes[b]]
    return Overall(
        metric,
        {name: [group[common[names.index(title)]] for title in order] for name, group in known.items()},
        {name: means[name] for name in order},
        test,
        pairs,
        tuple(sorted(title for recipe, title in everything.items() if recipe not in common)),
        tuple(same),
    )


def _own(recipe: str, titles: Sequence[str], everything: Mapping[str, str]) -> str:
    """The title of a method, with the name of its recipe where another one has the same title."""
    title = everything[recipe]
    return f"{title} ({recipe})" if titles.count(title) > 1 else title


def _tests(
    scores: NDArray[np.float64], names: Sequence[str], *, higher: bool
) -> tuple[FriedmanTest | WilcoxonTest, list[PairwiseTest]]:
    pairs = shaffer(scores, names, higher_is_better=higher)
    if len(names) == 2:
        test: FriedmanTest | WilcoxonTest = wilcoxon(*scores.T)
        return test, [pair._replace(p_value=test.p_value, adjusted=test.p_value) for pair in pairs]
    test = friedman(scores, higher_is_better=higher)
    return test, pairs if test.p_value < LEVEL else [pair._replace(adjusted=1.0) for pair in pairs]


def overall_table(overall: Overall) -> SideTable:
    """Mean ranks, and the mean score on every data set where these are few."""
    columns, cells = ["Mean rank"], [[f"{rank:.2f}"] for rank in overall.ranks.values()]
    if len(overall.rows) <= MAX_CLASSES:
        columns += [f"{name} (%)" for name in overall.rows]
        for group in overall.rows.values():
            for line, row in zip(cells, group, strict=True):
                line.append(percent(row.cells[overall.metric]))
    caption = f"Mean ranks over {plural(len(overall.rows), 'data set')} by {metric_title(overall.metric)}; 1 is best"
    return SideTable(caption, columns, list(zip(overall.ranks, cells, strict=True)))


def overall_sentences(overall: Overall) -> list[str]:
    """Say what the tests say, and what to keep in mind."""
    test, n, metric = overall.test, len(overall.rows), metric_title(overall.metric)
    by = f"on {n} data sets, each of which counts once, with its mean {metric} over seeds"
    if isinstance(test, WilcoxonTest):
        (pair,) = overall.pairs
        told = _verdict(test.p_value, "the two are not alike", "the order of the two may be chance")
        sentences = [f"Wilcoxon's signed-rank test of {pair.first} and {pair.second} {by}: {told}."]
        if 2 ** (1 - n) >= LEVEL:
            sentences.append(f"With {n} data sets its p cannot be below {2.0 ** (1 - n):.2g}, whatever the scores.")
    else:
        told = _verdict(test.p_value, "the methods are not all alike", "the order of the methods may be chance")
        freedom = len(overall.ranks) - 1
        sentences = [
            f"Friedman's test of {len(overall.ranks)} methods {by}: chi-square {test.statistic:.2f} with {freedom} "
            f"degrees of freedom, {told}."
        ]
        if test.p_value < LEVEL:
            sentences.append(_pairs(overall))
    if overall.left_out:
        sentences.append(f"Left out, for not every data set has them: {', '.join(overall.left_out)}.")
    twice = "have the same samples: they are one data set, counted twice"
    return sentences + [f"{a} and {b} {twice}." for a, b in overall.same_data]


def _verdict(p_value: float, found: str, none: str) -> str:
    return f"{p_text(p_value)}, so {found if p_value < LEVEL else none}"


def _pairs(overall: Overall) -> str:
    """Which pairs differ, the better method first."""
    apart = [pair for pair in overall.pairs if pair.adjusted < LEVEL]
    if not apart:
        return "Shaffer's procedure, which looks at all pairs, tells no two of them apart at the level 0.05."
    texts = []
    for pair in apart:
        better, worse = sorted((pair.first, pair.second), key=lambda name: overall.ranks[name])
        texts.append(f"{better} over {worse} ({p_text(pair.adjusted)})")
    return f"Told apart by Shaffer's procedure, p adjusted for all pairs: {', '.join(texts)}."
