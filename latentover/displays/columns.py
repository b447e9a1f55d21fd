"""The columns of new rows of a table beside the real ones: histograms of both."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from latentover.displays.base import Display, check_one_each, finish, generator_in, short
from latentover.displays.theme import FONT, Theme
from latentover.metrics.table_quality import table_quality
from latentover.metrics.table_results import ColumnQuality, Picture, worst_first

__all__ = ["ColumnQualityDisplay", "compact", "is_ordered", "ticks_of"]

COLUMNS = 3
MOST_ROWS = 2_000
"""New rows of a class that `from_estimator` draws."""
LEVEL_LETTERS = 14


@dataclass(eq=False, repr=False, kw_only=True)
class ColumnQualityDisplay(Display):
    """How new values of each column are distributed beside the real ones of the same classes, the worst first.

    Real values are filled, new ones a line; of categories there are pairs of bars. The title says the distance of the
    two: Kolmogorov-Smirnov of numbers and times, total variation of categories, and what held-out rows have where there
    are some. Use `from_estimator` or `from_rows` to make one, or ``ColumnQualityDisplay(columns=quality.columns)`` from
    what `latentover.metrics.table_quality` found. There is no ``from_predictions``, for rows are no predictions, and no
    ``from_runs``, for a run keeps no rows: use ``from_estimator(latentover.load(run), X, y)``.

    Parameters
    ----------
    columns : sequence of ColumnQuality
    most : int, default=9
        Columns that are drawn, those that differ most.

    Attributes
    ----------
    ax_ : ndarray of matplotlib Axes
        One a column.
    figure_ : matplotlib Figure
    real_, new_ : list
        Artists of each column: filled and stepped lines, or containers of bars.
    legend_ : matplotlib Legend

    Examples
    --------
    >>> import numpy as np
    >>> from latentover.displays import ColumnQualityDisplay
    >>> rng = np.random.default_rng(0)
    >>> display = ColumnQualityDisplay.from_rows(rng.normal(size=(200, 2)), rng.normal([0, 1], size=(100, 2)))
    >>> [ax.get_title().splitlines()[0] for ax in display.ax_]
    ['1', '0']
    """

    columns: Sequence[ColumnQuality]
    most: int = 9
    real_: list[Any] = field(init=False)
    new_: list[Any] = field(init=False)
    legend_: Any = field(init=False)

    def __post_init__(self) -> None:
        if self.most < 1:
            raise ValueError(f"Expected most to be at least 1, but got {self.most}; 9 fit on a page.")
        if not self._drawn():
            raise ValueError("Expected columns with values, but got none; pass those of `table_quality`.")

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: ArrayLike,
        *,
        X_holdout: Any = None,
        y_holdout: ArrayLike | None = None,
        classes: Sequence[Any] | None = None,
        most: int = 9,
        random_state: int = 0,
        ax: Any = None,
        theme: str | Theme = "light",
    ) -> ColumnQualityDisplay:
        """Draw what a fitted generator of tables makes beside the rows that it learned from.

        Parameters
        ----------
        estimator : fitted sampler, classifier that generates, or pipeline with one
        X : DataFrame or array of shape (n, d)
            The training rows.
        y : array-like of shape (n,)
            Their labels.
        X_holdout, y_holdout : optional
            Rows that it has not seen, which say how far fresh rows are.
        classes : sequence of labels, optional
            Of which rows are drawn; by default all but the largest. A class has as many new rows as real ones, at most
            2,000.
        most : int, default=9
            Columns that are drawn, those that differ most.
        random_state : int, default=0
        ax : matplotlib Axes, or as many as there are columns, optional
            Axes of a grid are divided; by default new ones.
        theme : {"light", "dark"}, default="light"

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.
        TypeError
            If it does not generate.
        ValueError
            If *X* is no table, or the others do not fit to it.
        """
        import pandas as pd

        generator, known = generator_in(estimator), np.asarray(y)
        if len(np.shape(X)) != 2:
            raise ValueError(
                f"Expected X to be a table of shape (n, d), but got shape {np.shape(X)}; images are shown by "
                "SampleGridDisplay."
            )
        check_one_each(X=X, y=known)
        labels, counts = np.unique(known, return_counts=True)
        sizes = dict(zip(labels.tolist(), counts.tolist(), strict=True))
        chosen = sorted(sizes, key=lambda label: -sizes[label])[1:] if classes is None else list(classes)
        unknown = [label for label in chosen if label not in sizes]
        if unknown or not chosen:
            raise ValueError(
                f"Expected classes to be some of {list(sizes)}, but got {unknown[0] if unknown else 'none'!r}; name "
                "classes of y."
            )
        parts, made = [], []
        for label in chosen:
            rows = generator.sample(min(sizes[label], MOST_ROWS), y=label, random_state=random_state)
            columns = X.columns if hasattr(X, "columns") else None
            parts.append(rows if hasattr(rows, "columns") else pd.DataFrame(np.asarray(rows), columns=columns))
            made += [label] * len(rows)
        layout = getattr(generator, "format_", None)
        found = table_quality(
            X,
            pd.concat([pd.DataFrame(part) for part in parts], ignore_index=True),
            X_holdout,
            y_real=known,
            y_new=np.asarray(made),
            y_holdout=y_holdout,
            identifiers=getattr(layout, "identifiers", None) or (),
            effect=None,
            random_state=random_state,
        )
        return cls(columns=found.columns, most=most).plot(ax, theme=theme)

    @classmethod
    def from_rows(
        cls, real: Any, new: Any, holdout: Any = None, *, most: int = 9, ax: Any = None, theme: str | Theme = "light",
        **options: Any,
    ) -> ColumnQualityDisplay:  # fmt: skip
        """Draw new rows beside real ones.

        Parameters
        ----------
        real, new, holdout : table of shape (n, d)
            What a generator was fitted to, what it made, and real rows that it has not seen.
        most, ax, theme
            See `from_estimator`.
        **options
            Of `latentover.metrics.table_quality`, such as ``target`` and ``identifiers``.

        Raises
        ------
        ValueError
            If the tables have other columns, or none.
        """
        found = table_quality(real, new, holdout, **{"effect": None} | options)
        return cls(columns=found.columns, most=most).plot(ax, theme=theme)

    def _drawn(self) -> list[ColumnQuality]:
        return [column for column in worst_first(self.columns) if column.picture.real][: self.most]

    def plot(self, ax: Any = None, *, theme: str | Theme = "light") -> ColumnQualityDisplay:
        """Draw it.

        Parameters
        ----------
        ax : matplotlib Axes, or as many as there are columns, optional
            Axes of a grid are divided; by default new ones.
        theme : {"light", "dark"}, default="light"

        Returns
        -------
        ColumnQualityDisplay
            Itself.
        """
        drawn = self._drawn()
        axes, colours = self._draw_on_many(ax, theme, len(drawn), COLUMNS, (2.9, 2.3))
        self.real_, self.new_ = [], []
        for one, column in zip(axes, drawn, strict=True):
            picture = column.picture
            draw = _bars if picture.labels and not is_ordered(picture.labels) else _bins
            real, new = draw(one, column, colours)
            self.real_.append(real)
            self.new_.append(new)
            usual = "" if column.usual is None or column.usual != column.usual else f" (held out {column.usual:.2f})"
            finish(one, colours, title=f"{short(column.name, 24)}\ndistance {column.distance:.2f}{usual}")
            one.tick_params(labelsize=FONT - 1.5)
            one.title.set_fontsize(FONT - 0.5)
        self.legend_ = _legend(axes[0].figure, colours)
        return self


def _bins(ax: Any, column: ColumnQuality, theme: Theme) -> tuple[Any, Any]:
    picture = column.picture
    edges = np.linspace(0, 1, len(picture.real) + 1)
    real = ax.stairs(picture.real, edges, fill=True, color=theme.faint, alpha=0.45, linewidth=0)
    new = ax.stairs(picture.new, edges, color=theme.colour(1), linewidth=1.5)
    ticks = ticks_of(picture, times=column.kind == "time")
    ax.set(xlim=(0, 1), ylim=(0, None), yticks=[])
    ax.set_xticks([place for place, _ in ticks], [text for _, text in ticks])
    for (place, _), text in zip(ticks, ax.get_xticklabels(), strict=True):
        text.set_horizontalalignment({0.0: "left", 1.0: "right"}.get(place, "center"))
    ax.axhline(0, color=theme.faint, linewidth=0.8, clip_on=False)
    return real, new


def _bars(ax: Any, column: ColumnQuality, theme: Theme) -> tuple[Any, Any]:
    picture = column.picture
    places = np.arange(len(picture.labels), dtype=float)
    real = ax.barh(places - 0.2, picture.real, 0.38, color=theme.faint, alpha=0.45, linewidth=0)
    new = ax.barh(places + 0.2, picture.new, 0.3, color=theme.colour(1), linewidth=0)
    ax.set(ylim=(len(places) - 0.4, -0.6), xticks=[])
    ax.set_yticks(places, [short(label, LEVEL_LETTERS) for label in picture.labels])
    return real, new


def _legend(figure: Any, theme: Theme) -> Any:
    from matplotlib.patches import Patch

    handles = [
        Patch(facecolor=theme.faint, alpha=0.45, label="real"),
        Patch(facecolor="none", edgecolor=theme.colour(1), linewidth=1.5, label="new"),
    ]
    place = "outside upper left" if figure.get_layout_engine() else "upper left"
    return figure.legend(handles=handles, loc=place, ncols=2, frameon=False, fontsize=FONT - 1, labelcolor=theme.ink)


# ---- What stands below a histogram -----------------------------------------------------------------------------------


def ticks_of(picture: Picture, *, times: bool = False) -> list[tuple[float, str]]:
    """Return what is written below a histogram: places from 0 to 1, and the words.

    Parameters
    ----------
    picture : Picture
    times : bool, default=False
        Whether the numbers are seconds since 1970.
    """
    n = len(picture.real)
    if picture.labels:
        return [((i + 0.5) / n, picture.labels[i]) for i in range(0, n, 1 if n == 7 else 6)]
    if _is_whole(picture.edges):
        return [((i + 0.5) / n, compact(picture.edges[i] + 0.5)) for i in sorted({0, n // 2, n - 1})]
    return [(place, _edge(picture, place, times=times)) for place in (0.0, 0.5, 1.0)]


def is_ordered(labels: Sequence[str]) -> bool:
    """Whether these are the hours of a day or the days of a week, which are bins and no bars."""
    return tuple(labels[:3]) in (("0", "1", "2"), ("Mon", "Tue", "Wed")) and len(labels) in (24, 7)


def _is_whole(edges: Sequence[float]) -> bool:
    return all(edge % 1 == 0.5 for edge in edges) and edges[1] - edges[0] == 1


def _edge(picture: Picture, place: float, *, times: bool) -> str:
    low, high = picture.edges[0], picture.edges[-1]
    value = low * (high / low) ** place if picture.logarithmic else low + (high - low) * place
    if times:
        moment = datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=value)
        return f"{moment:%Y-%m-%d}" if high - low > 2 * 86400 else f"{moment:%H:%M}"
    return compact(value)


def compact(value: float) -> str:
    """Return a number in few letters.

    Examples
    --------
    >>> compact(1234567), compact(0.5), compact(-30), compact(1520.4), compact(2e-9)
    ('1.23M', '0.5', '-30', '1,520', '2e-09')
    """
    size = abs(value)
    if size >= 1e15:
        return f"{value:.2g}"
    for unit, name in ((1e12, "T"), (1e9, "B"), (1e6, "M")):
        if size >= unit:
            return f"{value / unit:.3g}{name}"
    return f"{value:,.0f}" if size >= 1000 else f"{value:.3g}"
