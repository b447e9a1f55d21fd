"""What all displays share: where they draw, in which colours, and how they read what they are given."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from latentover.displays.theme import FONT, Theme, as_theme, style
from latentover.places import as_path
from latentover.runs.collection import Run, collect_runs
from latentover.runs.folder import RunFolder
from latentover.text import line

__all__ = ["Display"]

NAME_LETTERS = 28
"""Of a method or a class beside a drawing."""


@dataclass(eq=False, repr=False, kw_only=True)
class Display:
    """A drawing that knows its numbers, as the displays of scikit-learn are.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Where it was drawn last.
    figure_ : matplotlib Figure
        With `ax_` on it; ``figure_.savefig("picture.png")`` writes it.
    """

    ax_: Any = field(init=False)
    figure_: Any = field(init=False)

    def _draw_on(self, ax: Any, theme: str | Theme, size: tuple[float, float]) -> tuple[Any, Theme]:
        """Return the axes, new ones of that size in inches where there are none, and the colours."""
        colours = as_theme(theme)
        if ax is None:
            ax = new_figure(size, colours).subplots()
        elif not hasattr(ax, "get_subplotspec"):
            raise ValueError(
                f"Expected ax to be axes of matplotlib, but got {type(ax).__name__}; leave it out for new."
            )
        self.ax_, self.figure_ = ax, ax.figure
        return ax, colours

    def _draw_on_many(
        self, ax: Any, theme: str | Theme, n: int, columns: int, size: tuple[float, float]
    ) -> tuple[NDArray[Any], Theme]:
        """Return axes for n small drawings: new ones of that size each, parts of given ones, or as many as given."""
        colours = as_theme(theme)
        columns = max(1, min(columns, n))
        rows = math.ceil(n / columns)
        if isinstance(ax, np.ndarray | list | tuple):
            axes = np.asarray(ax, dtype=object).ravel()
            if len(axes) < n:
                raise ValueError(f"Expected ax to be at least {n} axes, one a drawing, but got {len(axes)}; pass more.")
            self.ax_, self.figure_ = axes[:n], axes[0].figure
            return axes[:n], colours
        if n == 1 or ax is None:
            figure = None if ax is not None else new_figure((size[0] * columns, size[1] * rows), colours)
            axes = np.array([ax]) if figure is None else figure.subplots(rows, columns, squeeze=False).ravel()
        else:
            place = ax.get_subplotspec() if hasattr(ax, "get_subplotspec") else None
            if place is None:
                raise ValueError(
                    f"Expected ax to be axes of a grid, made by ``subplots``, or {n} axes, but got {type(ax).__name__} "
                    "without a place in one; pass such, or leave it out for new ones."
                )
            ax.set_axis_off()
            axes = np.array([ax.figure.add_subplot(cell) for cell in place.subgridspec(rows, columns)])
        for spare in axes[n:]:
            spare.remove()
        self.ax_, self.figure_ = axes[:n], axes[0].figure
        return axes[:n], colours


def new_figure(size: tuple[float, float], theme: Theme, layout: str | None = "constrained") -> Any:
    """Make a figure by pyplot, which shows it in notebooks."""
    import matplotlib.pyplot as plt

    return plt.figure(figsize=size, layout=layout, facecolor=theme.paper)


def finish(ax: Any, theme: Theme, *, title: str | None = None, grid: str | None = None) -> None:
    """Give axes the style of all drawings."""
    style(ax, theme, grid)
    if title:
        ax.set_title(title, color=theme.ink, fontsize=FONT)


def add_legend(ax: Any, theme: Theme, columns: int = 3) -> Any:
    """Put the names above the axes, where they hide nothing."""
    handles, labels = ax.get_legend_handles_labels()
    if not handles:
        return None
    return ax.legend(
        handles,
        labels,
        loc="lower left",
        bbox_to_anchor=(0.0, 1.0),
        borderaxespad=0.3,
        ncols=min(columns, len(labels)),
        frameon=False,
        fontsize=FONT - 1,
        labelcolor=theme.ink,
        handletextpad=0.4,
        columnspacing=1.4,
    )


def short(text: object, letters: int = NAME_LETTERS) -> str:
    """Cut to length and make safe for matplotlib, to which a dollar starts a formula and "_" hides a legend entry."""
    text = line(text)
    text = text if len(text) <= letters else text[: letters - 1] + "…"
    return (" " if text.startswith("_") else "") + text.replace("$", r"\$")


def distinct(names: Sequence[str], letters: int = NAME_LETTERS) -> dict[str, str]:
    """Return short names that stay different: those that would be cut to the same get their number before them."""
    cut = {name: short(name, letters) for name in names}
    texts = list(cut.values())
    return {name: f"{i}. {text}" if texts.count(text) > 1 else text for i, (name, text) in enumerate(cut.items(), 1)}


# ---- What they are given ---------------------------------------------------------------------------------------------


def named(value: Any, name: str | None, kind: str) -> dict[str, Any]:
    """Return what has names as a dict, and one thing alone by its name.

    Parameters
    ----------
    value : object or mapping of str to object
    name : str or None
        Of a single thing; by default that of its class.
    kind : str
        What is named, for the error.
    """
    if not isinstance(value, Mapping):
        return {name or ("Predictions" if isinstance(value, ArrayTypes) else type(value).__name__): value}
    if not value or name is not None:
        got = f"{len(value)} and name={name!r}" if value else "none"
        raise ValueError(f"Expected {kind} as a mapping from names to one or more, but got {got}; name each in it.")
    return {str(key): each for key, each in value.items()}


ArrayTypes = (np.ndarray, list, tuple)


def check_fitted(estimator: Any, *verbs: str) -> None:
    """Raise an error for what is not fitted, or has none of the methods.

    Raises
    ------
    sklearn.exceptions.NotFittedError
        If it is not fitted.
    TypeError
        If it is no estimator, or lacks the methods.
    """
    from sklearn.utils.validation import check_is_fitted

    kind = type(estimator).__name__
    missing = [verb for verb in verbs if not hasattr(estimator, verb)]
    if isinstance(estimator, type):
        raise TypeError(f"Expected a fitted estimator, but got the class {estimator.__name__}; make one and fit it.")
    if not hasattr(estimator, "fit"):
        raise TypeError(f"Expected a fitted estimator, but got {kind}; pass one that has `fit`.")
    check_is_fitted(estimator)
    if missing:
        raise TypeError(f"Expected an estimator with {missing[0]}, but {kind} has none; pass one that does.")


def final_step(estimator: Any) -> Any:
    """Return the last step of a pipeline, or the estimator itself."""
    return estimator.steps[-1][1] if hasattr(estimator, "steps") else estimator


def generator_in(estimator: Any) -> Any:
    """Return the part that generates: the estimator itself, or a step of a pipeline; raise TypeError without one."""
    steps = [step for _, step in estimator.steps] if hasattr(estimator, "steps") else [estimator]
    for step in steps:
        if hasattr(step, "sample"):
            check_fitted(step)
            return step
    raise TypeError(
        f"Expected an estimator that generates, with sample(n, y=c), but got {type(estimator).__name__}; pass a fitted "
        "sampler, or a classifier that also generates."
    )


def as_runs(runs: Any) -> list[Run]:
    """Return finished runs: those given, those below a runs folder, or the one that a folder holds.

    Raises
    ------
    ValueError
        If there are none, or what is given are neither runs nor a folder.
    """
    if isinstance(runs, str | os.PathLike):
        path = as_path(runs)
        alone = RunFolder(path)
        if alone.state == "finished" and alone.metrics is not None:
            made = alone.certificate
            return [Run(path, made.get("recipe") or alone.recipe, made.get("seed") or alone.seed or 0, alone.metrics)]
        return collect_runs(path)
    found = [runs] if isinstance(runs, Run) else list(runs) if isinstance(runs, Sequence) else [runs]
    others = [type(run).__name__ for run in found if not isinstance(run, Run | str | Path)]
    if others or not found:
        raise ValueError(
            f"Expected runs to be a folder of runs, or what `latentover.report.collect_runs` returns, but got "
            f"{others[0] if others else 'none'}; name the folder that a benchmark wrote to."
        )
    return [one for run in found for one in ([run] if isinstance(run, Run) else as_runs(run))]


def split_of(runs: Sequence[Run], split: str | None) -> str:
    """Return the split to look at: the primary one of the first run, or the one that was asked for.

    Raises
    ------
    ValueError
        If no run was scored on it.
    """
    known = list(dict.fromkeys(name for run in runs for name in run.splits))
    if split is not None and split not in known:
        raise ValueError(f"Expected split to be one of {known}, but got {split!r}; choose one that was scored.")
    return split or runs[0].split


def names_of(classes: Sequence[Any], class_names: Mapping[Any, str] | Sequence[str] | None) -> list[str]:
    """Return what people call classes; a sequence of names is in the order of the classes.

    Raises
    ------
    ValueError
        If there are other numbers of them.
    """
    if class_names is None:
        return [str(label) for label in classes]
    if isinstance(class_names, Mapping):
        return [str(class_names.get(label, label)) for label in classes]
    if len(class_names) != len(classes):
        raise ValueError(
            f"Expected class_names to hold a name for each of {len(classes)} classes, but got {len(class_names)}; pass "
            "one each, in the order of the sorted labels, or a mapping from labels."
        )
    return [str(name) for name in class_names]


def check_one_each(**columns: ArrayLike) -> None:
    """Raise ValueError where arguments are not of one length above 0."""
    shapes = {name: np.shape(values) for name, values in columns.items()}
    lengths = {shape[0] if shape else 0 for shape in shapes.values()}
    if len(lengths) > 1 or 0 in lengths:
        got = " and ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise ValueError(f"Expected {', '.join(shapes)} to be of one length above 0, but got {got}; pass one a sample.")
