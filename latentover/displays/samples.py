"""Real and synthetic images of the rarest classes, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from latentover.displays.base import Display, as_runs, finish, generator_in, names_of, short
from latentover.displays.theme import FONT, Theme
from latentover.runs.folder import PANELS
from latentover.runs.groups import first_content, group_runs
from latentover.seeds import as_random_state

if TYPE_CHECKING:
    from numpy.random import RandomState

__all__ = ["SampleGridDisplay", "laid_out", "panels_of_methods"]

TILE = 0.42
"""Inches of a tile's width."""
GAP = 0.7
"""Tiles between panels."""


@dataclass(eq=False, repr=False, kw_only=True)
class SampleGridDisplay(Display):
    """Images of the rarest classes in panels: real, reconstructed, synthetic, and the real one nearest to each.

    The last panel shows at a glance whether the samples are new or copies. Use `from_estimator` or `from_runs` to make
    one. There is no ``from_predictions``: images are no predictions; give those that you have as *panels*.

    Parameters
    ----------
    panels : mapping of str to array-like of shape (n_classes, k, channels, height, width)
        Title to images, from left to right; uint8 or float in [0, 1], 1 or 3 channels. All have the same classes and
        image size; ``k`` may differ. An image that is ``nan`` throughout leaves an empty place.
    row_labels : sequence of n_classes str
        Of the rows, such as ``"9 (n=40)"``.

    Attributes
    ----------
    ax_, figure_ : Axes and Figure of matplotlib
    images_ : list of matplotlib AxesImage
        One a panel.
    titles_ : list of matplotlib Text
        One a panel.

    Examples
    --------
    >>> import numpy as np
    >>> from latentover.displays import SampleGridDisplay
    >>> real = np.random.default_rng(0).random((2, 4, 1, 8, 8))
    >>> panels = {"Real": real, "Darker": real / 2}
    >>> display = SampleGridDisplay(panels=panels, row_labels=["8 (n=60)", "9 (n=40)"]).plot()
    >>> [title.get_text() for title in display.titles_]
    ['Real', 'Darker']
    """

    panels: Mapping[str, ArrayLike]
    row_labels: Sequence[str]
    images_: list[Any] = field(init=False)
    titles_: list[Any] = field(init=False)

    def __post_init__(self) -> None:
        if not self.panels:
            raise ValueError("Expected panels of images, but got none; pass a mapping from titles.")
        arrays = {str(title): np.asarray(images) for title, images in self.panels.items()}
        n = len(self.row_labels)
        for title, array in arrays.items():
            if array.ndim != 5 or len(array) != n or array.shape[2] not in (1, 3) or not array.size:
                raise ValueError(
                    f"Expected panels[{title!r}] to be images of shape ({n} classes, k, 1 or 3 channels, height, "
                    f"width), but got {array.shape}; pass one row of images for each of *row_labels*."
                )
            if array.dtype != np.uint8 and (np.nanmin(array) < -1e-6 or np.nanmax(array) > 1 + 1e-6):
                raise ValueError(
                    f"Expected panels[{title!r}] to be uint8 or in [0, 1], but got {array.dtype} in "
                    f"[{np.nanmin(array):.4g}, {np.nanmax(array):.4g}]; rescale it."
                )
        sizes = {array.shape[3:] for array in arrays.values()}
        if len(sizes) > 1:
            raise ValueError(f"Expected panels of one image size, but got {sorted(sizes)}; resize them first.")
        self.panels = arrays

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike,
        y: ArrayLike,
        *,
        per_class: int = 4,
        n_classes: int = 10,
        random_state: int | RandomState | None = 0,
        class_names: Mapping[Any, str] | Sequence[str] | None = None,
        ax: Any = None,
        theme: str | Theme = "light",
    ) -> SampleGridDisplay:
        """Draw what a fitted generator makes of the smallest classes.

        Parameters
        ----------
        estimator : fitted sampler, classifier that generates, or pipeline with one
            Has ``sample(n, y=c, random_state=...)``, which returns images in the layout of *X*, and may have
            ``reconstruct(X)``; without it that panel is left out.
        X : array-like of shape (n, channels, height, width)
            The training images: uint8, or float of any range. 1 or 3 channels.
        y : array-like of shape (n,)
            Their labels.
        per_class : int, default=4
            Images a class and panel. A class with fewer real images shows those it has.
        n_classes : int, default=10
            How many classes, the smallest ones; they are shown by rising count.
        random_state : int, RandomState or None, default=0
            Picks the real images and is handed to ``sample``.
        class_names : mapping of label to str or sequence of str, optional
            What people call the classes.
        ax : matplotlib Axes, optional
            By default new ones.
        theme : {"light", "dark"}, default="light"

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.
        TypeError
            If it does not generate.
        ValueError
            If *X* holds no images, or the others are not as described.
        """
        found = cls.of_estimator(
            generator_in(estimator), X, y, per_class=per_class, n_classes=n_classes, random_state=random_state,
            class_names=class_names,
        )  # fmt: skip
        return found.plot(ax, theme=theme)

    @classmethod
    def of_estimator(
        cls,
        estimator: Any,
        X: ArrayLike,
        y: ArrayLike,
        *,
        per_class: int = 4,
        n_classes: int = 10,
        random_state: int | RandomState | None = 0,
        class_names: Mapping[Any, str] | Sequence[str] | None = None,
    ) -> SampleGridDisplay:
        """Return the same without drawing it."""
        X, y = np.asarray(X), np.asarray(y)
        _check_data(X, y, per_class, n_classes)
        rng = as_random_state(random_state)
        limits = _limits(X)
        labels, counts = np.unique(y, return_counts=True)
        names = names_of(labels.tolist(), class_names)
        order = np.argsort(counts, kind="stable")[:n_classes]
        rows = []
        for label in labels[order]:
            row = _class_row(estimator, X[y == label], label, per_class, rng)
            rows.append({title: _unit(images, limits, per_class) for title, images in row.items()})
        panels = {title: np.stack([row[title] for row in rows]) for title in rows[0]}
        return cls(panels=panels, row_labels=[f"{names[i]} (n={counts[i]})" for i in order])

    @classmethod
    def from_runs(
        cls, runs: Any, *, per_class: int | None = None, ax: Any = None, theme: str | Theme = "light"
    ) -> SampleGridDisplay:
        """Draw what finished runs made: of one recipe all panels, of several their samples beside the real images.

        Parameters
        ----------
        runs : path or sequence of Run
            A folder of runs, the folder of one, or what `latentover.report.collect_runs` returns.
        per_class : int, optional
            Images a class and panel at most; by default all that are kept.
        ax, theme
            See `from_estimator`.

        Raises
        ------
        ValueError
            If there are no runs, or none kept its samples (``samples.npz``).
        """
        groups = group_runs(as_runs(runs))
        found = {group.title: own for group in groups if (own := first_content(group, PANELS)[1]) is not None}
        if not found:
            raise ValueError(
                f"Expected runs of images that generate and kept their samples ({PANELS}), but got none; use "
                "from_estimator."
            )
        panels, labels = next(iter(found.values()))
        if len(found) > 1:
            together = panels_of_methods(found, per_class)
            panels = together if len(together) > 2 else panels
        panels = {title: images[:, :per_class].astype(np.float32) for title, images in panels.items()}
        return cls(panels=panels, row_labels=labels).plot(ax, theme=theme)

    def plot(self, ax: Any = None, *, theme: str | Theme = "light") -> SampleGridDisplay:
        """Draw it.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            By default new ones, as large as the images need.
        theme : {"light", "dark"}, default="light"

        Returns
        -------
        SampleGridDisplay
            Itself.
        """
        arrays = {title: np.asarray(images) for title, images in self.panels.items()}
        first = next(iter(arrays.values()))
        n, height, width = len(first), *first.shape[3:]
        tall = (height + _room(first)) / (width + _room(first))
        lefts, left = [], 0.0
        for title, images in arrays.items():
            lefts.append(left)
            left += max(images.shape[1], 0.2 * len(title)) + GAP
        labels = [short(label) for label in self.row_labels]
        size = (TILE * left + 0.09 * max(map(len, labels)) + 0.3, TILE * tall * n + 0.6)
        ax, colours = self._draw_on(ax, theme, size)
        self.images_, self.titles_ = [], []
        for (title, images), start in zip(arrays.items(), lefts, strict=True):
            picture = laid_out(images)
            end = start + images.shape[1]
            grey = {"cmap": "gray", "vmin": 0, "vmax": 255}
            colour = picture if picture.shape[2] > 2 else np.repeat(picture[..., [0, 1]], [3, 1], axis=2)
            self.images_.append(ax.imshow(colour, extent=(start, end, n * tall, 0), interpolation="nearest", **grey))
            self.titles_.append(
                ax.text(start, -0.18, short(title), color=colours.ink, fontsize=FONT, ha="left", va="bottom")
            )
        ax.set(xlim=(0, left - GAP), ylim=(n * tall, 0), aspect="equal", xticks=[])
        ax.set_yticks([tall * (row + 0.5 * height / (height + _room(first))) for row in range(n)], labels)
        finish(ax, colours)
        return self


# ---- Panels ----------------------------------------------------------------------------------------------------------


def laid_out(images: NDArray) -> NDArray[np.uint8]:
    """Lay the images of a panel out as pixels, with a little room behind and below each.

    Parameters
    ----------
    images : ndarray of shape (n_classes, k, channels, height, width)
        uint8, or float in [0, 1], where an image that is ``nan`` throughout leaves an empty place.

    Returns
    -------
    ndarray of shape (n_classes * (height + room), k * (width + room), channels + 1)
        The last channel says what is seen: room and empty places are transparent.
    """
    n, k, channels, height, width = images.shape
    room = _room(images)
    pixels = np.zeros((n, k, channels + 1, height + room, width + room), np.uint8)
    whole = images.dtype == np.uint8
    pixels[:, :, :channels, :height, :width] = images if whole else np.rint(255 * np.nan_to_num(images))
    pixels[:, :, channels, :height, :width] = 255 * ~np.isnan(images).all(axis=(2, 3, 4))[:, :, None, None]
    return pixels.transpose(0, 3, 1, 4, 2).reshape(n * (height + room), k * (width + room), channels + 1)


def _room(images: NDArray) -> int:
    return max(1, min(images.shape[3:]) // 10)


def panels_of_methods(
    grids: Mapping[str, tuple[Mapping[str, ArrayLike], Sequence[str]]], per_class: int | None = 3
) -> dict[str, NDArray]:
    """Return the real images of the first method, and what each that has the same classes made of them.

    Parameters
    ----------
    grids : mapping of str to (panels, row labels)
        Title of the method to its panels, with "Real" and "Synthetic" among them.
    per_class : int or None, default=3
        Images a class and method, at most.
    """
    _, labels = next(iter(grids.values()), ({}, []))
    panels: dict[str, NDArray] = {}
    for title, (of_method, row_labels) in grids.items():
        real, synthetic = (np.asarray(of_method[name])[:, :per_class] for name in ("Real", "Synthetic"))
        panels.setdefault("Real", real)
        if list(row_labels) == list(labels) and synthetic.shape[2:] == panels["Real"].shape[2:]:
            panels[title] = synthetic
    return panels


def _check_data(X: NDArray, y: NDArray, per_class: int, n_classes: int) -> None:
    if X.ndim != 4 or X.shape[1] not in (1, 3) or X.size == 0:
        raise ValueError(
            f"Expected *X* to be images of shape (n, 1 or 3 channels, height, width), but got {X.shape}; "
            + ("put the channels second." if X.ndim != 2 else "new rows of a table are shown by ColumnQualityDisplay.")
        )
    if y.shape != (len(X),):
        raise ValueError(f"Expected *y* to be of shape ({len(X)},), but got {y.shape}; pass one label an image.")
    for name, value in (("per_class", per_class), ("n_classes", n_classes)):
        if value < 1:
            raise ValueError(f"Expected *{name}* to be at least 1, but got {value}; the default is a good start.")


def _class_row(estimator: Any, real: NDArray, label: Any, per_class: int, rng: RandomState) -> dict[str, NDArray]:
    """Images of one class for each panel, in the range of the data."""
    chosen = real[rng.permutation(len(real))[:per_class]]
    row = {"Real": chosen}
    if hasattr(estimator, "reconstruct"):
        row["Reconstruction"] = _images_like(estimator.reconstruct(chosen), chosen.shape, "estimator.reconstruct(X)")
    drawn = estimator.sample(per_class, y=label, random_state=int(rng.randint(2**31 - 1)))
    row["Synthetic"] = _images_like(drawn, (per_class, *real.shape[1:]), "estimator.sample(n, y=c)")
    row["Nearest real"] = real[_nearest(row["Synthetic"], real)]
    return row


def _images_like(images: ArrayLike, shape: tuple[int, ...], name: str) -> NDArray:
    array = np.asarray(images)
    if array.shape != shape:
        raise ValueError(
            f"Expected *{name}* to be images of shape {shape}, but got {array.shape}; return them in the layout of X."
        )
    return array


def _nearest(images: NDArray, real: NDArray) -> NDArray[np.intp]:
    """Index of the real image with the smallest Euclidean pixel distance to each image."""
    flat = real.reshape(len(real), -1).astype(np.float64)
    return np.array([np.argmin(((flat - image.ravel()) ** 2).sum(axis=1)) for image in images])


def _limits(X: NDArray) -> tuple[float, float]:
    """What is shown black and white: 0..255 for uint8, 0..1 for floats within it, else the range of the data."""
    if X.dtype == np.uint8:
        return 0.0, 255.0
    low, high = float(X.min()), float(X.max())
    if X.dtype.kind == "f" and low >= 0 and high <= 1:
        return 0.0, 1.0
    return low, max(high, low + 1e-12)


def _unit(images: NDArray, limits: tuple[float, float], per_class: int) -> NDArray[np.float64]:
    """Scale to [0, 1], clip, and fill up with empty places to *per_class* images."""
    low, high = limits
    unit = ((images.astype(np.float64) - low) / (high - low)).clip(0, 1)
    empty = np.full((per_class - len(unit), *unit.shape[1:]), np.nan)
    return np.concatenate([unit, empty])
