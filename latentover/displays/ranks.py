"""The critical-difference diagram of methods over data sets."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from latentover.displays.base import Display, as_runs, distinct, new_figure
from latentover.displays.theme import Theme, as_theme
from latentover.metrics.classification import acsa
from latentover.runs.comparison import compare
from latentover.runs.overall import LEAST_DATA_SETS, over_data_sets, test_methods
from latentover.stats import PairwiseTest, equal_groups, mean_ranks
from latentover.stats.diagram import draw_diagram, size_of_diagram

__all__ = ["CriticalDifferenceDisplay"]


@dataclass(eq=False, repr=False, kw_only=True)
class CriticalDifferenceDisplay(Display):
    """Methods on the line of their mean ranks over data sets; bars join those that are not told apart.

    Use `from_scores`, `from_predictions` or `from_runs` to make one. There is no ``from_estimator``: an estimator is
    fitted to one data set, and these are tests over several; fit one for each and pass what they predict.

    Parameters
    ----------
    ranks : mapping of str to float
        Mean rank of each method, at least two; 1 is the best.
    pairs : sequence of PairwiseTest
        All pairs, as `latentover.stats.shaffer` gives them.
    alpha : float, default=0.05
        A bar joins methods that do not differ at this level.

    Attributes
    ----------
    ax_, figure_ : Axes and Figure of matplotlib
    groups_ : list of tuple of str
        The methods that are not told apart.
    names_ : list of matplotlib Text
        One a method, the best first.
    bars_ : list of matplotlib Line2D
        One a group.

    References
    ----------
    Demšar, JMLR 7, 2006, figure 1.

    Examples
    --------
    >>> from latentover.displays import CriticalDifferenceDisplay
    >>> scores = {f"set {i}": {"RAE": 0.9, "SMOTE": 0.8 + 0.001 * i, "none": 0.7} for i in range(8)}
    >>> display = CriticalDifferenceDisplay.from_scores(scores)
    >>> display.ranks
    {'RAE': 1.0, 'SMOTE': 2.0, 'none': 3.0}
    """

    ranks: Mapping[str, float]
    pairs: Sequence[PairwiseTest]
    alpha: float = 0.05
    groups_: list[tuple[str, ...]] = field(init=False)
    names_: list[Any] = field(init=False)
    bars_: list[Any] = field(init=False)

    def __post_init__(self) -> None:
        size_of_diagram(self.ranks, self.pairs, alpha=self.alpha)  # an error where something is missing

    @classmethod
    def from_scores(
        cls,
        scores: Any,
        *,
        higher_is_better: bool = True,
        alpha: float = 0.05,
        ax: Any = None,
        theme: str | Theme = "light",
    ) -> CriticalDifferenceDisplay:
        """Draw the diagram of a table of scores.

        Friedman's test looks for any difference, Shaffer's procedure then for the pairs that differ; of two methods
        Wilcoxon's test decides.

        Parameters
        ----------
        scores : DataFrame, or mapping of str to mapping of str to float
            A row a data set, a column a method; or from data sets to methods to scores.
        higher_is_better : bool, default=True
        alpha : float, default=0.05
        ax : matplotlib Axes, optional
            By default new ones, as large as the names need.
        theme : {"light", "dark"}, default="light"

        Raises
        ------
        ValueError
            For fewer than 3 data sets or 2 methods, or where a score is missing.
        """
        import pandas as pd

        if not isinstance(scores, Mapping | pd.DataFrame):
            raise ValueError(
                f"Expected scores to be a frame with a row a data set, or a mapping of data sets to scores of methods, "
                f"but got {type(scores).__name__}; name data sets and methods."
            )
        table = scores if isinstance(scores, pd.DataFrame) else pd.DataFrame.from_dict(dict(scores), orient="index")
        names, values = [str(name) for name in table.columns], table.to_numpy(float)
        if len(table) < LEAST_DATA_SETS or len(names) < 2:
            raise ValueError(
                f"Expected scores of at least {LEAST_DATA_SETS} data sets and 2 methods, but got {len(table)} and "
                f"{len(names)}; with fewer nothing can be said about methods in general."
            )
        if np.isnan(values).any():
            row, column = np.argwhere(np.isnan(values))[0]
            raise ValueError(
                f"Expected a score of each method on each data set, but got none of {names[column]!r} on "
                f"{str(table.index[row])!r}; leave one of them out."
            )
        _, pairs = test_methods(values, names, higher=higher_is_better)
        ranks = dict(zip(names, mean_ranks(values, higher_is_better=higher_is_better).tolist(), strict=True))
        order = sorted(names, key=lambda name: ranks[name])
        return cls(ranks={name: ranks[name] for name in order}, pairs=pairs, alpha=alpha).plot(ax, theme=theme)

    @classmethod
    def from_predictions(
        cls,
        y_true: Mapping[str, ArrayLike],
        y_pred: Mapping[str, Mapping[str, ArrayLike]],
        *,
        metric: Callable[[Any, Any], float] = acsa,
        higher_is_better: bool = True,
        alpha: float = 0.05,
        ax: Any = None,
        theme: str | Theme = "light",
    ) -> CriticalDifferenceDisplay:
        """Draw the diagram of predictions on several data sets.

        Parameters
        ----------
        y_true : mapping of str to array-like of shape (n,)
            From a data set's name to its true labels.
        y_pred : mapping of str to mapping of str to array-like of shape (n,)
            From a method to data sets to predicted labels.
        metric : callable, default=`latentover.metrics.acsa`
            Of true and predicted labels.
        higher_is_better, alpha, ax, theme
            See `from_scores`.

        Raises
        ------
        ValueError
            As `from_scores`, or if a method has no predictions on a data set.
        """
        if not all(isinstance(one, Mapping) for one in (y_true, y_pred, *getattr(y_pred, "values", list)())):
            raise ValueError(
                "Expected y_true as a mapping from data sets, and y_pred from methods to data sets to labels, but got "
                f"{type(y_true).__name__} and {type(y_pred).__name__}; the diagram is one over several data sets."
            )
        for method, own in y_pred.items():
            if missing := [data for data in y_true if data not in own]:
                raise ValueError(
                    f"Expected y_pred[{method!r}] to hold predictions on each data set of y_true, but got none on "
                    f"{missing[0]!r}; add them, or leave the data set out."
                )
        scores = {
            data: {method: metric(known, own[data]) for method, own in y_pred.items()} for data, known in y_true.items()
        }
        return cls.from_scores(scores, higher_is_better=higher_is_better, alpha=alpha, ax=ax, theme=theme)

    @classmethod
    def from_runs(
        cls,
        runs: Mapping[str, Any] | Sequence[Any],
        *,
        metric: str = "acsa",
        alpha: float = 0.05,
        ax: Any = None,
        theme: str | Theme = "light",
    ) -> CriticalDifferenceDisplay:
        """Draw the diagram of the methods that several runs folders have in common, each folder a data set.

        Parameters
        ----------
        runs : sequence of path, or mapping of str to (path or sequence of Run)
            At least three folders of runs; what they are called does not matter to the diagram.
        metric : str, default="acsa"
            A key of ``metrics.json``, of which the mean over seeds is ranked.
        alpha, ax, theme
            See `from_scores`.

        Raises
        ------
        ValueError
            If there are fewer than 3 data sets, or fewer than 2 methods that all of them have.
        """
        if isinstance(runs, str | os.PathLike):
            runs = [runs]
        folders = runs if isinstance(runs, Mapping) else {str(i): Path(one) for i, one in enumerate(runs)}
        rows = {str(name): compare(as_runs(one), metrics=(metric,)) for name, one in folders.items()}
        found = over_data_sets(rows, metric)
        if found is None:
            n_methods = len({row.recipe for one in rows.values() for row in one})
            raise ValueError(
                f"Expected runs on at least {LEAST_DATA_SETS} data sets, with 2 methods or more that all of them have, "
                f"but got {len(rows)} data sets with {n_methods} methods; pass one folder of runs a data set."
            )
        return cls(ranks=found.ranks, pairs=found.pairs, alpha=alpha).plot(ax, theme=theme)

    @property
    def size(self) -> tuple[float, float]:
        """Width and height in inches that it fills."""
        return size_of_diagram(*self._shown(), alpha=self.alpha)

    def _shown(self) -> tuple[dict[str, float], list[PairwiseTest]]:
        """Return ranks and pairs with names that are short enough."""
        names = distinct(list(self.ranks))
        pairs = [pair._replace(first=names[pair.first], second=names[pair.second]) for pair in self.pairs]
        return {names[name]: rank for name, rank in self.ranks.items()}, pairs

    def plot(self, ax: Any = None, *, theme: str | Theme = "light") -> CriticalDifferenceDisplay:
        """Draw it.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            By default new ones, as large as the names need.
        theme : {"light", "dark"}, default="light"

        Returns
        -------
        CriticalDifferenceDisplay
            Itself.
        """
        if ax is None:
            ax = new_figure(self.size, as_theme(theme), layout=None).add_axes((0, 0, 1, 1))
        ax, colours = self._draw_on(ax, theme, self.size)
        ranks, pairs = self._shown()
        self.names_, self.bars_ = draw_diagram(
            ax, ranks, pairs, alpha=self.alpha, ink=colours.ink, accent=colours.accent
        )
        self.groups_ = equal_groups(self.ranks, self.pairs, alpha=self.alpha)
        return self
