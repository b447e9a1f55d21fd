"""The curves of a training in small multiples: each loss and score on an axis of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from latentover.displays.base import Display, as_runs, check_fitted, distinct, finish, named, short
from latentover.displays.theme import FONT, Theme
from latentover.runs.groups import group_runs, is_tracked, losses_of

__all__ = ["HistoryDisplay", "is_logarithmic"]

LOG_RATIO = 50.0
"""A positive loss that spans more than this is drawn on a logarithmic axis."""
MAX_PANELS = 12
ASIDE = {"predicted_classes"}
"""Of a history, what is watched and no loss."""
COLUMNS = 3


@dataclass(eq=False, repr=False, kw_only=True)
class HistoryDisplay(Display):
    """Losses and scores over the steps of a training, a small drawing each, of one method or several.

    Use `from_estimator` or `from_runs` to make one. There is no ``from_predictions``: predictions have no history.

    Parameters
    ----------
    curves : mapping of str to mapping of str to sequence of (steps, values)
        From the name of a loss or score to the curves of each method, one a seed.

    Attributes
    ----------
    ax_ : ndarray of matplotlib Axes
        One a loss.
    figure_ : matplotlib Figure
    lines_ : dict of str to list of matplotlib Line2D
        Of each loss.
    legend_ : matplotlib Legend or None
        None for a single method.

    Examples
    --------
    >>> from latentover.displays import HistoryDisplay
    >>> history = [{"step": step, "classifier": 1 / step, "critic": -step} for step in range(1, 9)]
    >>> display = HistoryDisplay.from_history(history, name="RAE")
    >>> [ax.get_title() for ax in display.ax_]
    ['Classifier', 'Critic']
    """

    curves: Mapping[str, Mapping[str, Sequence[tuple[ArrayLike, ArrayLike]]]]
    lines_: dict[str, list[Any]] = field(init=False)
    legend_: Any = field(init=False)

    def __post_init__(self) -> None:
        if not self.curves or not all(self.curves.values()):
            raise ValueError("Expected curves of one loss or more, but got none; pass a mapping from their names.")
        for name, methods in self.curves.items():
            for title, seeds in methods.items():
                for steps, values in seeds:
                    if np.ndim(steps) != 1 or np.shape(steps) != np.shape(values) or not np.size(steps):
                        raise ValueError(
                            f"Expected the curve {name!r} of {title!r} to be steps and as many values, but got shapes "
                            f"{np.shape(steps)} and {np.shape(values)}; pass one value a step."
                        )

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        losses: Sequence[str] | None = None,
        name: str | None = None,
        ax: Any = None,
        theme: str | Theme = "light",
    ) -> HistoryDisplay:
        """Draw the history of a fitted estimator, or of several to compare.

        Parameters
        ----------
        estimator : fitted estimator with ``history_``, pipeline that ends in one, or mapping of str to such
        losses : sequence of str, optional
            The columns of ``history_`` to draw; by default the first 12, ``validation_acsa`` before the losses, without
            what ``track=True`` adds.
        name : str, optional
            Of a single estimator.
        ax : matplotlib Axes, or as many as there are losses, optional
            Axes of a grid are divided; by default new ones.
        theme : {"light", "dark"}, default="light"

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If an estimator is not fitted.
        TypeError
            If it keeps no history.
        ValueError
            If no history has one of the losses.
        """
        histories: dict[str, Any] = {}
        for title, model in named(estimator, name, "estimators").items():
            check_fitted(model)
            steps = [step for _, step in model.steps] if hasattr(model, "steps") else [model]
            found = [step.history_ for step in steps if getattr(step, "history_", None)]
            if not found:
                raise TypeError(
                    f"Expected an estimator with a history of its training, but {type(model).__name__} has none; pass "
                    "one with networks."
                )
            histories[title] = found[-1]
        return cls.from_history(histories, losses=losses, ax=ax, theme=theme)

    @classmethod
    def from_history(
        cls,
        history: Any,
        *,
        losses: Sequence[str] | None = None,
        name: str | None = None,
        ax: Any = None,
        theme: str | Theme = "light",
    ) -> HistoryDisplay:
        """Draw rows as ``history_`` holds them, or a frame of them such as ``history.csv``.

        Parameters
        ----------
        history : list of dict or DataFrame, or mapping of str to such
            With a ``step`` in each row; what a row lacks is left out.
        losses, name, ax, theme
            See `from_estimator`.

        Raises
        ------
        ValueError
            If there are no rows, rows have no step, or none has one of the losses.
        """
        curves: dict[str, dict[str, list[Any]]] = {}
        for title, rows in named(history, name, "histories").items():
            rows = rows.to_dict("records") if hasattr(rows, "to_dict") else list(rows)
            if not rows or not all(isinstance(row, Mapping) and "step" in row for row in rows):
                raise ValueError(
                    f"Expected the history of {title!r} to hold rows with a step, but got "
                    f"{str(rows[0])[:60] if rows else 'none'}; pass `history_` of a fitted estimator."
                )
            columns = dict.fromkeys(key for row in rows for key in row if key not in ("step", "seconds"))
            for column in columns:
                known = [(row["step"], row[column]) for row in rows if row.get(column) is not None]
                known = [(step, value) for step, value in known if value == value]
                if known and (losses is not None or not is_tracked(column)):
                    curves.setdefault(column, {})[title] = [tuple(map(list, zip(*known, strict=True)))]
        return cls(curves=_chosen(curves, losses)).plot(ax, theme=theme)

    @classmethod
    def from_runs(
        cls, runs: Any, *, losses: Sequence[str] | None = None, ax: Any = None, theme: str | Theme = "light"
    ) -> HistoryDisplay:
        """Draw the history of finished runs: a colour a recipe, a line a seed.

        Parameters
        ----------
        runs : path or sequence of Run
            A folder of runs, the folder of one, or what `latentover.report.collect_runs` returns.
        losses, ax, theme
            See `from_estimator`.

        Raises
        ------
        ValueError
            If there are no runs, or none has a history or one of the losses.
        """
        curves: dict[str, dict[str, list[Any]]] = {}
        for group in group_runs(as_runs(runs)):
            for column, seeds in losses_of(group).items():
                curves.setdefault(column, {})[group.title] = list(seeds.values())
        if not curves:
            raise ValueError("Expected runs of methods with a history, but got none; pass some with networks.")
        return cls(curves=_chosen(curves, losses)).plot(ax, theme=theme)

    def plot(self, ax: Any = None, *, theme: str | Theme = "light") -> HistoryDisplay:
        """Draw it.

        Parameters
        ----------
        ax : matplotlib Axes, or as many as there are losses, optional
            Axes of a grid are divided; by default new ones.
        theme : {"light", "dark"}, default="light"

        Returns
        -------
        HistoryDisplay
            Itself.
        """
        axes, colours = self._draw_on_many(ax, theme, len(self.curves), COLUMNS, (2.9, 2.2))
        methods = list(dict.fromkeys(title for panel in self.curves.values() for title in panel))
        places, names = {title: i for i, title in enumerate(methods)}, distinct(methods)
        handles: dict[str, Any] = {}
        self.lines_ = {}
        for one, (column, panel) in zip(axes, self.curves.items(), strict=True):
            self.lines_[column] = []
            for title, seeds in panel.items():
                for steps, values in seeds:
                    alpha = 1.0 if len(seeds) == 1 else 0.7
                    marker = "o" if len(np.asarray(steps)) == 1 else None
                    (line,) = one.plot(
                        steps, values, color=colours.colour(places[title]), linewidth=1.3, alpha=alpha, marker=marker
                    )
                    self.lines_[column].append(line)
                    handles.setdefault(title, line)
            values = np.concatenate([np.asarray(v, float) for seeds in panel.values() for _, v in seeds])
            if is_logarithmic(values):
                one.set_yscale("log")
            finish(one, colours, title=_title(column), grid="y")
            one.tick_params(labelsize=FONT - 1.5)
            one.locator_params(axis="x", nbins=4)
            one.xaxis.set_major_formatter(_thousands)
        axes[-1].set_xlabel("Step")
        self.legend_ = None
        if len(methods) > 1:
            self.legend_ = axes[0].figure.legend(
                [handles[title] for title in methods], [names[title] for title in methods], frameon=False,
                loc="outside upper left" if axes[0].figure.get_layout_engine() else "upper left",
                ncols=min(4, len(methods)), fontsize=FONT - 1, labelcolor=colours.ink,
            )  # fmt: skip
        return self


def is_logarithmic(values: NDArray[np.float64]) -> bool:
    """Whether values are to be shown on a logarithmic axis: positive ones that span decades."""
    return bool(values.min() > 0 and values.max() / values.min() > LOG_RATIO)


def _thousands(value: float, _: int) -> str:
    return f"{value:,.0f}" if value == round(value) else f"{value:g}"


def _title(column: str) -> str:
    words = "validation ACSA" if column == "validation_acsa" else column.replace("_", " ")
    return short(words[:1].upper() + words[1:], 26)


def _chosen(
    curves: Mapping[str, Mapping[str, Sequence[Any]]], losses: Sequence[str] | None
) -> dict[str, Mapping[str, Sequence[Any]]]:
    if losses is None:
        ordered = sorted((name for name in curves if name not in ASIDE), key=lambda name: name != "validation_acsa")
        return {name: curves[name] for name in ordered[:MAX_PANELS]}
    unknown = [name for name in losses if name not in curves]
    if unknown or isinstance(losses, str) or not losses:
        got = losses if isinstance(losses, str) or not losses else unknown[0]
        raise ValueError(f"Expected losses to be a list of some of {list(curves)}, but got {got!r}; name them.")
    return {name: curves[name] for name in losses}
