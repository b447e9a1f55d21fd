"""A map of the latent space: where synthetic samples lie among the real ones."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from latentover.displays.base import Display, add_legend, as_runs, check_one_each, finish, generator_in, short
from latentover.displays.theme import Theme
from latentover.runs.folder import MAP
from latentover.runs.groups import first_content, group_runs
from latentover.seeds import as_random_state
from latentover.text import natural

__all__ = ["LatentMapDisplay"]

MAX_LEGEND = 20
KINDS = ("real", "synthetic")


@dataclass(eq=False, repr=False, kw_only=True)
class LatentMapDisplay(Display):
    """Latents in the plane: real samples as points, synthetic ones as crosses, one colour a class.

    Use `from_estimator` or `from_runs` to make one. There is no ``from_predictions``: what has no latents has no place
    on the map; give places that you have, by any projection, as *x* and *y*.

    Parameters
    ----------
    x, y : array-like of shape (n,)
        Places.
    labels : array-like of shape (n,)
        Class of each point, or what people call it.
    kinds : array-like of n {"real", "synthetic"}

    Attributes
    ----------
    ax_, figure_ : Axes and Figure of matplotlib
    real_, synthetic_ : matplotlib PathCollection
    legend_ : matplotlib Legend or None
        None for more classes than a legend has room for.

    Examples
    --------
    >>> import numpy as np
    >>> from latentover.displays import LatentMapDisplay
    >>> x, y = np.random.default_rng(0).normal(size=(2, 6))
    >>> display = LatentMapDisplay(x=x, y=y, labels=list("aabbab"), kinds=["real", "synthetic"] * 3).plot()
    >>> len(display.real_.get_offsets())
    3
    """

    x: ArrayLike
    y: ArrayLike
    labels: ArrayLike
    kinds: ArrayLike
    real_: Any = field(init=False)
    synthetic_: Any = field(init=False)
    legend_: Any = field(init=False)

    def __post_init__(self) -> None:
        check_one_each(x=self.x, y=self.y, labels=self.labels, kinds=self.kinds)
        unknown = sorted({str(kind) for kind in np.asarray(self.kinds).tolist()} - {*KINDS})
        if unknown:
            raise ValueError(f"Expected kinds to be 'real' or 'synthetic', but got {unknown[0]!r}; rename it.")

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: ArrayLike,
        *,
        n_points: int = 1000,
        random_state: Any = 0,
        class_names: Mapping[Any, str] | None = None,
        ax: Any = None,
        theme: str | Theme = "light",
    ) -> LatentMapDisplay:
        """Draw where t-SNE places latents of real samples and of what a fitted generator makes.

        Parameters
        ----------
        estimator : fitted sampler or classifier with ``encode`` and ``sample``, or pipeline with one
        X : images or table of n samples
            The training data.
        y : array-like of shape (n,)
            Their labels.
        n_points : int, default=1000
            On the map, about: half of them real, half synthetic, each class with the same share.
        random_state : int, RandomState or None, default=0
        class_names : mapping of label to str, optional
        ax : matplotlib Axes, optional
            By default new ones.
        theme : {"light", "dark"}, default="light"

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.
        TypeError
            If it has no latents or does not generate.
        ValueError
            If `X` and `y` do not fit together.
        """
        found = cls.of_estimator(estimator, X, y, n_points=n_points, random_state=random_state, class_names=class_names)
        return found.plot(ax, theme=theme)

    @classmethod
    def of_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: ArrayLike,
        *,
        n_points: int = 1000,
        random_state: Any = 0,
        class_names: Mapping[Any, str] | None = None,
    ) -> LatentMapDisplay:
        """Return the same without drawing it."""
        from sklearn.manifold import TSNE

        generator = generator_in(estimator)
        if not hasattr(generator, "encode"):
            raise TypeError(
                f"Expected an estimator with latents, such as RAESampler, but {type(generator).__name__} has none; "
                "give places of your own to LatentMapDisplay(x=, y=, labels=, kinds=)."
            )
        known = np.asarray(y)
        check_one_each(X=X, y=known)
        if n_points < 1:
            raise ValueError(f"Expected n_points to be at least 1, but got {n_points}; 1000 are a good map.")
        state = as_random_state(random_state)
        seed = int(random_state) if isinstance(random_state, int | np.integer) else int(state.randint(2**31 - 1))
        share = max(2, n_points // (2 * len(generator.classes_)))
        rng = np.random.default_rng(seed)
        names = class_names or {}
        latents, labels, kinds = [], list[str](), list[str]()
        for label in generator.classes_:
            rows = np.flatnonzero(known == label)
            if not len(rows):
                continue
            real = _rows(X, np.sort(rng.permutation(rows)[:share]))
            for kind, samples in (("real", real), ("synthetic", generator.sample(share, y=label, random_state=seed))):
                latents.append(np.asarray(generator.encode(samples)))
                labels += [str(names.get(label, label))] * len(latents[-1])
                kinds += [kind] * len(latents[-1])
        if not latents:
            raise ValueError(
                "Expected y to hold classes that the estimator knows, but got none; pass its training data."
            )
        Z = np.concatenate(latents)
        places = TSNE(perplexity=min(30.0, (len(Z) - 1) / 3), random_state=seed).fit_transform(Z)
        return cls(x=places[:, 0], y=places[:, 1], labels=labels, kinds=kinds)

    @classmethod
    def from_runs(cls, runs: Any, *, ax: Any = None, theme: str | Theme = "light") -> LatentMapDisplay:
        """Draw the map that a finished run kept: of several the first that has one, the best method first.

        Parameters
        ----------
        runs : path or sequence of Run
            The folder of a run, a folder of runs, or what `latentover.report.collect_runs` returns.
        ax, theme
            See `from_estimator`.

        Raises
        ------
        ValueError
            If there are no runs, or none kept a map (``tsne.csv``).
        """
        for group in group_runs(as_runs(runs)):
            points = first_content(group, MAP)[1]
            if points is not None and points.labels:
                return cls(x=points.x, y=points.y, labels=points.labels, kinds=points.kinds).plot(ax, theme=theme)
        raise ValueError(
            f"Expected runs of a method with latents that kept a map ({MAP}), but got none; make one anew."
        )

    def plot(self, ax: Any = None, *, theme: str | Theme = "light") -> LatentMapDisplay:
        """Draw it.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            By default new ones.
        theme : {"light", "dark"}, default="light"

        Returns
        -------
        LatentMapDisplay
            Itself.
        """
        from matplotlib.colors import to_rgba_array

        x, y = np.asarray(self.x, float), np.asarray(self.y, float)
        labels, made = [str(label) for label in np.asarray(self.labels).tolist()], np.asarray(self.kinds) == "synthetic"
        classes = sorted(set(labels), key=natural)
        places = {label: code for code, label in enumerate(classes)}
        codes = np.array([places[label] for label in labels])
        legend = len(classes) <= MAX_LEGEND
        columns = 4 if max(map(len, classes)) < 10 else 3
        lines = math.ceil((len(classes) + 2) / columns) if legend else 0
        ax, theme = self._draw_on(ax, theme, (5.4, 4.8 + 0.22 * lines))
        colours = to_rgba_array(_class_colours(len(classes), theme))
        size = float(np.clip(9000 / len(x), 6, 24))
        self.synthetic_ = ax.scatter(
            x[made], y[made], s=size * 1.3, marker="x", color=colours[codes[made]], linewidth=0.8, alpha=0.75
        )
        self.real_ = ax.scatter(x[~made], y[~made], s=size, color=colours[codes[~made]], linewidth=0)
        for name, colour in zip(classes if legend else [], colours, strict=False):
            ax.scatter([], [], s=26, color=colour, linewidth=0, label=short(name, 16))
        for marker, text in (("o", "real"), ("x", "synthetic")):
            ax.scatter([], [], s=26, color=theme.faint, marker=marker, linewidth=1, label=text)
        finish(ax, theme)
        ax.set(xticks=[], yticks=[], aspect="equal", adjustable="datalim")
        self.legend_ = add_legend(ax, theme, columns=columns)
        return self


def _class_colours(n: int, theme: Theme) -> list[Any]:
    """The palette while it lasts; with more classes, neighbours in the order get similar colours."""
    if n <= len(theme.colours):
        return [theme.colour(i) for i in range(n)]
    from matplotlib import colormaps

    return [colormaps["turbo"](v) for v in np.linspace(0.05, 0.95, n)]


def _rows(X: Any, rows: NDArray[np.intp]) -> Any:
    return X.iloc[rows] if hasattr(X, "iloc") else X[rows] if hasattr(X, "shape") else np.asarray(X)[rows]
