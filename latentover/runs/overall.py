"""Methods over several data sets: mean ranks, and what the tests of `latentover.stats` say about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from latentover.runs.comparison import LOWER_IS_BETTER, Row
from latentover.stats import FriedmanTest, PairwiseTest, WilcoxonTest, friedman, mean_ranks, shaffer, wilcoxon

__all__ = ["LEAST_DATA_SETS", "LEVEL", "Overall", "over_data_sets", "test_methods"]

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
    >>> from latentover.runs.comparison import Cell, Row
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
    test, pairs = test_methods(scores, names, higher=higher)
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


def test_methods(
    scores: NDArray[np.float64], names: Sequence[str], *, higher: bool
) -> tuple[FriedmanTest | WilcoxonTest, list[PairwiseTest]]:
    """Test whether any methods differ, and which two of them where they do; see `Overall`.

    Parameters
    ----------
    scores : ndarray of shape (n_data_sets, n_methods)
    names : sequence of n_methods str
    higher : bool
        Whether more is better.
    """
    pairs = shaffer(scores, names, higher_is_better=higher)
    if len(names) == 2:
        test: FriedmanTest | WilcoxonTest = wilcoxon(*scores.T)
        return test, [pair._replace(p_value=test.p_value, adjusted=test.p_value) for pair in pairs]
    test = friedman(scores, higher_is_better=higher)
    return test, pairs if test.p_value < LEVEL else [pair._replace(adjusted=1.0) for pair in pairs]
