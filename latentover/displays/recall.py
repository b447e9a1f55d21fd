"""Recall of each class: which method finds the rare ones, on an axis that shows differences."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from latentover.displays.base import (
    Display,
    add_legend,
    as_runs,
    check_fitted,
    check_one_each,
    distinct,
    finish,
    named,
    names_of,
    short,
    split_of,
)
from latentover.displays.theme import MARKERS, Theme
from latentover.metrics.confusion import recall_per_class
from latentover.metrics.labels import as_labels
from latentover.runs.collection import Run
from latentover.runs.comparison import split_title
from latentover.runs.groups import by_class, class_order, group_runs
from latentover.text import short_name

__all__ = ["RecallByClassDisplay", "rows_of_classes"]

MAX_CLASSES = 24
"""Classes shown one by one; more are averaged in groups of equal size."""
CLASS_GROUPS = 12
LEAST_WIDTH = 10.0
"""Points between the ends of the axis: a difference smaller than a twentieth of that is none to look at."""


@dataclass(eq=False, repr=False, kw_only=True)
class RecallByClassDisplay(Display):
    """Recall of each class, the rarest at the top, of one method or several: a dumbbell a class.

    Use `from_estimator`, `from_predictions` or `from_runs` to make one.

    Parameters
    ----------
    recalls : mapping of str to array-like of shape (n_runs, n_classes) or (n_classes,)
        Of each method, in [0, 1]; ``nan`` where a class has no sample. Of several runs the mean is drawn, and a thin
        line from the lowest to the highest.
    classes : sequence of n_classes str
        What the classes are called.
    counts : sequence of n_classes int, optional
        Samples of each class, by which classes are ordered. By default they stay in their order.
    of : str, default=""
        What is counted, for the axis: "training samples".
    split : str, default=""
        What recall is of, for the axis: "balanced test".

    Attributes
    ----------
    ax_, figure_ : Axes and Figure of matplotlib
    dots_ : list of matplotlib PathCollection
        One a method.
    spans_ : matplotlib LineCollection or None
        From the worst to the best method of each class; None for a single one.
    ranges_ : list of matplotlib LineCollection
        Of each method with several runs, from the lowest to the highest.
    legend_ : matplotlib Legend

    Examples
    --------
    >>> from sklearn.datasets import make_classification
    >>> from sklearn.linear_model import LogisticRegression
    >>> from latentover.displays import RecallByClassDisplay
    >>> X, y = make_classification(400, weights=[0.9], random_state=0)
    >>> plain, weighted = LogisticRegression(), LogisticRegression(class_weight="balanced")
    >>> models = {"plain": plain.fit(X, y), "weighted": weighted.fit(X, y)}
    >>> display = RecallByClassDisplay.from_estimator(models, X, y)
    >>> display.figure_.savefig("recall.png")
    """

    recalls: Mapping[str, ArrayLike]
    classes: Sequence[str]
    counts: Sequence[int] | None = None
    of: str = ""
    split: str = ""
    dots_: list[Any] = field(init=False)
    spans_: Any = field(init=False)
    ranges_: list[Any] = field(init=False)
    legend_: Any = field(init=False)

    def __post_init__(self) -> None:
        n = len(self.classes)
        if not self.recalls:
            raise ValueError("Expected recalls of one method or more, but got none; pass a mapping from names.")
        tables = {name: np.atleast_2d(np.asarray(table, float)) for name, table in self.recalls.items()}
        for name, table in tables.items():
            if table.ndim != 2 or table.shape[1] != n or not n or not len(table):
                raise ValueError(
                    f"Expected recalls[{name!r}] to be of shape (n_runs, {n} classes), but got "
                    f"{np.shape(self.recalls[name])}; pass a value for each of *classes*."
                )
            known = table[~np.isnan(table)]
            if ((known < 0) | (known > 1)).any():
                raise ValueError(
                    f"Expected recalls[{name!r}] to be in [0, 1], but got {known.max():g}; divide percent by 100."
                )
        if self.counts is not None and len(self.counts) != n:
            raise ValueError(
                f"Expected counts to hold the samples of each of {n} classes, but got {len(self.counts)}; pass all."
            )
        self.recalls = tables

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: ArrayLike,
        *,
        y_train: ArrayLike | None = None,
        class_names: Mapping[Any, str] | Sequence[str] | None = None,
        name: str | None = None,
        ax: Any = None,
        theme: str | Theme = "light",
    ) -> RecallByClassDisplay:
        """Draw the recall of a fitted classifier, or of several to compare.

        Parameters
        ----------
        estimator : fitted classifier, or mapping of str to fitted classifier
        X : array-like or frame of n samples
        y : array-like of shape (n,)
            The true labels.
        y_train : array-like, optional
            Labels of the training data: they give the order of the classes and the counts beside their names; by
            default those of `y` do.
        class_names : mapping of label to str or sequence of str, optional
            What people call the classes; a sequence is in the order of the sorted labels.
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
            If it cannot predict.
        ValueError
            If `X`, `y` and the names do not fit together.
        """
        predictions = {}
        for title, model in named(estimator, name, "estimators").items():
            check_fitted(model, "predict")
            predictions[title] = model.predict(X)
        return cls.from_predictions(y, predictions, y_train=y_train, class_names=class_names, ax=ax, theme=theme)

    @classmethod
    def from_predictions(
        cls,
        y_true: ArrayLike,
        y_pred: ArrayLike | Mapping[str, ArrayLike],
        *,
        y_train: ArrayLike | None = None,
        class_names: Mapping[Any, str] | Sequence[str] | None = None,
        name: str | None = None,
        ax: Any = None,
        theme: str | Theme = "light",
    ) -> RecallByClassDisplay:
        """Draw the recall of predictions, or of several to compare.

        Parameters
        ----------
        y_true : array-like of shape (n,)
        y_pred : array-like of shape (n,), or mapping of str to such
            Predicted labels, not probabilities.
        y_train, class_names, name, ax, theme
            See `from_estimator`.

        Raises
        ------
        ValueError
            If lengths differ, or labels are missing.
        """
        known, methods = as_labels(y_true, "y_true"), named(y_pred, name, "y_pred")
        for title, labels in methods.items():
            if np.ndim(labels) != 1:
                raise ValueError(
                    f"Expected y_pred of {title!r} to be one label a sample, but got shape {np.shape(labels)}; pass "
                    "what `predict` returns."
                )
            check_one_each(y_true=known, y_pred=labels)
        classes = np.unique(known)
        every = {title: np.union1d(classes, np.asarray(labels)) for title, labels in methods.items()}
        recalls = {
            title: recall_per_class(known, labels, every[title])[np.isin(every[title], classes)]
            for title, labels in methods.items()
        }
        counted = known if y_train is None else as_labels(y_train, "y_train")
        display = cls(
            recalls=recalls,
            classes=names_of(classes.tolist(), class_names),
            counts=[int((counted == label).sum()) for label in classes],
            of="samples" if y_train is None else "training samples",
        )
        return display.plot(ax, theme=theme)

    @classmethod
    def from_runs(
        cls, runs: Any, *, split: str | None = None, ax: Any = None, theme: str | Theme = "light"
    ) -> RecallByClassDisplay:
        """Draw the recall of finished runs, a method a recipe: the mean and the range over its seeds.

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
            If there are no runs, or they have no such split or no recalls of the same classes.
        """
        return cls.of_runs(as_runs(runs), split).plot(ax, theme=theme)

    @classmethod
    def of_runs(cls, runs: Sequence[Run], split: str | None = None) -> RecallByClassDisplay:
        """Return the same without drawing it."""
        place = split_of(runs, split)
        groups = group_runs([run for run in runs if run.scores(place)])
        order = class_order(groups, place) or sorted(groups[0].runs[0].scores(place).get("classes") or [])
        found = {group.title: table for group in groups if (table := by_class(group, place, order, "recall"))}
        if not found:
            raise ValueError(f"Expected runs with recalls of the same classes on {place!r}, but got none; score them.")
        counts = groups[0].runs[0].metrics.get("train_counts") or {}
        return cls(
            recalls={title: np.array(table, float).T for title, table in found.items()},  # None becomes nan
            classes=[short_name(name) for name in groups[0].runs[0].class_names(order)],
            counts=[counts[label] for label in order] if all(label in counts for label in order) else None,
            of="training samples",
            split=split_title(place),
        )

    def plot(self, ax: Any = None, *, theme: str | Theme = "light") -> RecallByClassDisplay:
        """Draw it.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            By default new ones, as high as there are classes.
        theme : {"light", "dark"}, default="light"

        Returns
        -------
        RecallByClassDisplay
            Itself.
        """
        labels, means, ranges = self._rows()
        n = len(labels)
        extra = 0.26 * math.ceil(len(means) / 2)
        ax, colours = self._draw_on(ax, theme, (6.4, 1.0 + extra + (0.27 if n > 3 else 0.4) * n))
        y = np.arange(n, dtype=float)
        values = np.array(list(means.values()))
        self.spans_ = None
        if len(values) > 1:
            low, high = _ends(values)
            self.spans_ = ax.hlines(y, low, high, color=colours.rule, linewidth=5, zorder=1, capstyle="round")
        self.dots_, self.ranges_ = [], []
        shifts = np.linspace(-0.16, 0.16, len(means)) if len(means) > 1 else [0.0]
        names = distinct(list(means))
        for i, (title, mean) in enumerate(means.items()):
            colour = colours.colour(i)
            if ranges[title] is not None:
                self.ranges_.append(
                    ax.hlines(y + shifts[i], *ranges[title], color=colour, linewidth=1.2, alpha=0.7, zorder=2)
                )
            dots = ax.scatter(
                mean,
                y + shifts[i],
                s=46,
                marker=MARKERS[i % len(MARKERS)],
                color=colour,
                edgecolor=colours.paper,
                linewidth=0.6,
                zorder=3,
                label=f"{names[title]}, mean {np.nanmean(mean):.1f}" if not np.isnan(mean).all() else names[title],
            )
            self.dots_.append(dots)
        everything = np.concatenate([values.ravel(), *(np.ravel(r) for r in ranges.values() if r is not None)])
        ax.set(xlim=_limits(everything), ylim=(-0.6, n - 0.4), yticks=y, xlabel=self._axis())
        ax.set_yticklabels(labels)
        finish(ax, colours, grid="x")
        self.legend_ = add_legend(ax, colours, columns=2)
        return self

    def _axis(self) -> str:
        of = f" on the {self.split} split" if self.split else ""
        beside = f"; n: {self.of}" if self.counts is not None and self.of else ""
        return f"Recall{of} (%){beside}"

    def _rows(self) -> tuple[list[str], dict[str, NDArray], dict[str, Any]]:
        """Return labels, and in percent means and ranges over runs, the rarest class last, at the top."""
        counts = self.counts if self.counts is not None else range(len(self.classes), 0, -1)
        means, ranges, labels = {}, {}, list[tuple[str, str]]()
        for title, table in self.recalls.items():
            labels, ordered = rows_of_classes(np.asarray(table), self.classes, list(counts))
            known = ~np.isnan(ordered)
            total = np.where(known, ordered, 0).sum(axis=0)
            n = known.sum(axis=0)
            means[title] = 100 * np.divide(total, n, out=np.full(len(n), np.nan), where=n > 0)
            ranges[title] = None if len(ordered) == 1 else tuple(100 * end for end in _ends(ordered))
        texts = [
            f"{short(name, 22)} (n={count})" if self.counts is not None else short(name, 22) for name, count in labels
        ]
        return texts, means, ranges


def _ends(table: NDArray) -> tuple[NDArray, NDArray]:
    """Return the lowest and highest value of each column that are known."""
    low, high = np.fmin.reduce(table, axis=0), np.fmax.reduce(table, axis=0)
    return low, high


def _limits(values: NDArray) -> tuple[float, float]:
    """Return ends of the axis that show differences, within what a recall can be."""
    known = values[~np.isnan(values)]
    if not len(known):
        return 0.0, 100.0
    low, high = float(known.min()), float(known.max())
    middle, half = (low + high) / 2, max((high - low) / 2, LEAST_WIDTH / 2)
    room = 0.12 * half
    low, high = middle - half - room, middle + half + room
    return max(low, -1.5), min(high, 101.5)


def rows_of_classes(
    table: NDArray[np.float64], classes: Sequence[str], counts: Sequence[int]
) -> tuple[list[tuple[str, str]], NDArray[np.float64]]:
    """Order the columns of a table by falling training count, and average neighbours where there are many.

    Parameters
    ----------
    table : ndarray of shape (n, n_classes)
        ``nan`` where a value is not known.
    classes : sequence of n_classes str
    counts : sequence of n_classes int

    Returns
    -------
    (list of (str, str), ndarray of shape (n, columns))
        Name and count of each column, as words, and the values.
    """
    order = np.argsort(-np.asarray(counts), kind="stable")
    table = table[:, order]
    if len(classes) <= MAX_CLASSES:
        return [(short_name(classes[i]), f"{counts[i]:,}") for i in order], table
    groups = np.array_split(np.arange(len(classes)), CLASS_GROUPS)
    labels = [
        (f"Classes {group[0] + 1} to {group[-1] + 1}", f"{counts[order[group[0]]]:,} to {counts[order[group[-1]]]:,}")
        for group in groups
    ]
    return labels, np.stack([_nanmean(table[:, group]) for group in groups], axis=1)


def _nanmean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    known = ~np.isnan(values)
    total, n = np.where(known, values, 0).sum(axis=1), known.sum(axis=1)
    return np.divide(total, n, out=np.full(len(values), np.nan), where=n > 0)
