"""The reliability diagram: how sure a classifier is beside how often it is right."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from latentover.displays.base import (
    Display,
    add_legend,
    as_runs,
    check_fitted,
    distinct,
    finish,
    named,
    split_of,
)
from latentover.displays.theme import MARKERS, Theme
from latentover.metrics.probabilistic import ReliabilityBins, reliability_bins
from latentover.runs.collection import Run
from latentover.runs.comparison import split_title
from latentover.runs.folder import CURVES
from latentover.runs.groups import group_runs, pooled_reliability

__all__ = ["ReliabilityDisplay"]


@dataclass(eq=False, repr=False, kw_only=True)
class ReliabilityDisplay(Display):
    """How often a classifier is right, where it is so sure; below the diagonal it is too sure.

    A mark's area grows with the share of the samples in its bin, and the legend says the expected calibration error.
    Use `from_estimator`, `from_predictions` or `from_runs` to make one.

    Parameters
    ----------
    bins : mapping of str to ReliabilityBins
        Of each method; see `latentover.metrics.reliability_bins`.
    split : str, default=""
        What they are of, for the axis: "balanced test".

    Attributes
    ----------
    ax_, figure_ : Axes and Figure of matplotlib
    lines_ : list of matplotlib Line2D
        One a method.
    marks_ : list of matplotlib PathCollection
        One a method.
    diagonal_ : matplotlib Line2D
    legend_ : matplotlib Legend

    Examples
    --------
    >>> from sklearn.datasets import make_classification
    >>> from sklearn.naive_bayes import GaussianNB
    >>> from latentover.displays import ReliabilityDisplay
    >>> X, y = make_classification(400, weights=[0.9], random_state=0)
    >>> display = ReliabilityDisplay.from_estimator(GaussianNB().fit(X, y), X, y, n_bins=10)
    >>> len(display.lines_)
    1
    """

    bins: Mapping[str, ReliabilityBins]
    split: str = ""
    lines_: list[Any] = field(init=False)
    marks_: list[Any] = field(init=False)
    diagonal_: Any = field(init=False)
    legend_: Any = field(init=False)

    def __post_init__(self) -> None:
        if not self.bins or not all(sum(one.n) for one in self.bins.values()):
            raise ValueError(
                "Expected bins of one method or more with samples, but got none; pass a mapping from names."
            )

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: ArrayLike,
        *,
        n_bins: int = 15,
        name: str | None = None,
        ax: Any = None,
        theme: str | Theme = "light",
    ) -> ReliabilityDisplay:
        """Draw it for a fitted classifier with ``predict_proba``, or for several to compare.

        Parameters
        ----------
        estimator : fitted classifier, or mapping of str to fitted classifier
        X : array-like or frame of n samples
        y : array-like of shape (n,)
            The true labels.
        n_bins : int, default=15
        name : str, optional
            Of a single classifier.
        ax : matplotlib Axes, optional
            By default new ones.
        theme : {"light", "dark"}, default="light"

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If an estimator is not fitted.
        TypeError
            If it has no ``predict_proba``.
        ValueError
            If `X` and `y` do not fit together, or to the classes.
        """
        bins = {}
        for title, model in named(estimator, name, "estimators").items():
            check_fitted(model, "predict_proba")
            bins[title] = reliability_bins(y, model.predict_proba(X), model.classes_, n_bins=n_bins)
        return cls(bins=bins).plot(ax, theme=theme)

    @classmethod
    def from_predictions(
        cls,
        y_true: ArrayLike,
        y_prob: ArrayLike | Mapping[str, ArrayLike],
        *,
        classes: ArrayLike | None = None,
        n_bins: int = 15,
        name: str | None = None,
        ax: Any = None,
        theme: str | Theme = "light",
    ) -> ReliabilityDisplay:
        """Draw it for probabilities, or for several to compare.

        Parameters
        ----------
        y_true : array-like of shape (n,)
        y_prob : array-like of shape (n, n_classes), or mapping of str to such
        classes : array-like of shape (n_classes,), optional
            What the columns are of; by default the sorted labels of `y_true`.
        n_bins, name, ax, theme
            See `from_estimator`.

        Raises
        ------
        ValueError
            If these do not fit together, or are no probabilities.
        """
        columns = np.unique(np.asarray(y_true)) if classes is None else classes
        bins = {}
        for title, table in named(y_prob, name, "y_prob").items():
            if np.ndim(table) != 2:
                raise ValueError(
                    f"Expected y_prob of {title!r} to be of shape (n, n_classes), but got {np.shape(table)}; pass what "
                    "`predict_proba` returns."
                )
            bins[title] = reliability_bins(y_true, table, columns, n_bins=n_bins)
        return cls(bins=bins).plot(ax, theme=theme)

    @classmethod
    def from_runs(
        cls, runs: Any, *, split: str | None = None, ax: Any = None, theme: str | Theme = "light"
    ) -> ReliabilityDisplay:
        """Draw it for finished runs, a method a recipe: the samples of all its seeds together.

        Parameters
        ----------
        runs : path or sequence of Run
            A folder of runs, or what `latentover.report.collect_runs` returns.
        split : str, optional
            Such as ``"test_imbalanced"``; by default the primary one.
        ax, theme
            See `from_estimator`.

        Raises
        ------
        ValueError
            If there are no runs, or none kept its bins (``curves.json``).
        """
        return cls.of_runs(as_runs(runs), split).plot(ax, theme=theme)

    @classmethod
    def of_runs(cls, runs: Sequence[Run], split: str | None = None) -> ReliabilityDisplay:
        """Return the same without drawing it."""
        place, bins = split_of(runs, split), {}
        for group in group_runs(runs):
            kept = [own[place]["reliability"] for run in group.runs if place in (own := run.content(CURVES) or {})]
            if pooled := pooled_reliability(kept):
                n, confidence, accuracy = pooled
                bins[group.title] = ReliabilityBins(n.astype(np.int64), confidence, accuracy)
        if not bins:
            raise ValueError(
                f"Expected runs with {CURVES} that tells of {place!r}, but got none; make them anew, or use "
                "from_estimator."
            )
        return cls(bins=bins, split=split_title(place))

    def plot(self, ax: Any = None, *, theme: str | Theme = "light") -> ReliabilityDisplay:
        """Draw it.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            By default new ones.
        theme : {"light", "dark"}, default="light"

        Returns
        -------
        ReliabilityDisplay
            Itself.
        """
        ax, colours = self._draw_on(ax, theme, (5.2, 4.9 + 0.26 * math.ceil(len(self.bins) / 2)))
        (self.diagonal_,) = ax.plot(
            [0, 100], [0, 100], color=colours.faint, linewidth=1, linestyle=(0, (4, 3)), zorder=1
        )
        self.lines_, self.marks_, names, lowest = [], [], distinct(list(self.bins)), 100.0
        for i, (title, bins) in enumerate(self.bins.items()):
            n, confidence, accuracy = (np.asarray(part, float) for part in bins)
            some = n > 0
            x, y, share = 100 * confidence[some], 100 * accuracy[some], n[some] / n.sum()
            error = float((share * np.abs(x - y)).sum())
            colour = colours.colour(i)
            (line,) = ax.plot(x, y, color=colour, linewidth=1.4, zorder=2)
            marks = ax.scatter(
                x, y, s=14 + 220 * share, marker=MARKERS[i % len(MARKERS)], color=colour, edgecolor=colours.paper,
                linewidth=0.6, zorder=3, clip_on=False,
            )  # fmt: skip
            ax.plot([], [], color=colour, marker=MARKERS[i % len(MARKERS)], markersize=6, linewidth=1.4,
                    label=f"{names[title]}, ECE {error:.1f}")  # fmt: skip
            self.lines_.append(line)
            self.marks_.append(marks)
            lowest = min(lowest, x.min(), y.min())
        low = max(0.0, 10 * math.floor((lowest - 2) / 10))
        of = f" on the {self.split} split" if self.split else ""
        ax.set(xlim=(low, 100), ylim=(low, 100), aspect="equal")
        ax.set(xlabel="Mean confidence in a bin (%)", ylabel=f"Accuracy{of} (%)")
        finish(ax, colours, grid="both")
        ax.tick_params(pad=7)  # so that the first numbers of both axes do not meet
        self.legend_ = add_legend(ax, colours, columns=2)
        return self
