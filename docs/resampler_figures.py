"""Draw what the resamplers make in the plane: ``python docs/resampler_figures.py`` writes ``docs/images/*.png``."""

from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse, Polygon
from theory_figures import BLUE, FAINT, IMAGES, INK, ORANGE, RULE, panels, save

from latentover.methods.amdo import AMDO, class_ellipsoids, same_class_neighbors
from latentover.methods.ccr import MultiClassCCR
from latentover.methods.classical import SAMPLERS, ClassicalSampler
from latentover.methods.rbo import MultiClassRBO, potential
from latentover.methods.smoothed_bootstrap import SmoothedBootstrapSampler, class_cloud

LIMITS = {"xlim": (-0.08, 1.08), "ylim": (-0.08, 1.08), "xticks": [], "yticks": []}
TITLES = {
    "smote": "SMOTE",
    "adasyn": "ADASYN",
    "borderline_smote": "Borderline-SMOTE",
    "svm_smote": "SVM-SMOTE",
    "kmeans_smote": "KMeans-SMOTE",
}


def main() -> None:
    """Write every picture of the resamplers' pages."""
    IMAGES.mkdir(exist_ok=True)
    X, y = scene()
    draw_classical(X, y, IMAGES / "classical.png")
    draw_amdo(X, y, IMAGES / "amdo.png")
    draw_ccr(X, y, IMAGES / "ccr.png")
    draw_rbo(X, y, IMAGES / "rbo.png")
    draw_smoothed_bootstrap(X, y, IMAGES / "smoothed_bootstrap.png")


def scene() -> tuple[np.ndarray, np.ndarray]:
    """Return 70 samples of a large class around and 14 of a rare one, two of them astray; features from 0 to 1."""
    random = np.random.default_rng(3)
    angle = random.uniform(-0.4, 3.6, 70)
    large = np.stack([np.cos(angle), np.sin(angle)], axis=1) * random.normal(1.3, 0.25, (70, 1))
    rare = random.normal(size=(12, 2)) @ np.array([[0.5, 0.12], [0.0, 0.22]])
    X = np.concatenate([large, rare, [[1.15, 0.75], [-0.3, 1.2]]])
    return (X - X.min(axis=0)) / np.ptp(X, axis=0), np.repeat([0, 1], [70, 14])


def draw_classical(X: np.ndarray, y: np.ndarray, path: Path) -> None:
    """The five methods beside each other."""
    figure = Figure(figsize=(8.6, 2.35))
    FigureCanvasAgg(figure)
    for ax, method in zip(figure.subplots(1, len(SAMPLERS)), SAMPLERS, strict=True):
        options = {"kmeans_estimator": 4} if method == "kmeans_smote" else None
        sampler = ClassicalSampler(method=method, k_neighbors=3, options=options, random_state=0)
        X_new, _ = sampler.fit_resample(X, y)
        ax.set_title(TITLES[method], fontsize=9.5, color=INK)
        points(ax, X, y, X_new[len(X) :])
    legend(figure)
    figure.subplots_adjust(bottom=0.14, top=0.9, left=0.01, right=0.99, wspace=0.06)
    save(figure, path)


def draw_amdo(X: np.ndarray, y: np.ndarray, path: Path) -> None:
    """The ellipses through the samples that are kept, and new samples on them."""
    figure, (left, right) = panels("Ellipses of the kept samples", "New samples")
    rows = [torch.from_numpy(X[y == label]) for label in (1, 0)]
    kept = same_class_neighbors(*rows, k=5) >= 2
    found = class_ellipsoids(rows[0], kept)
    tilt = float(np.degrees(np.arctan2(*found.axes[0].numpy()[::-1])))
    for radius in found.radii[kept].tolist():
        width, height = 2 * np.sqrt(radius * found.variances.numpy())
        left.add_patch(Ellipse(found.mean.tolist(), width, height, angle=tilt, fill=False, edgecolor=RULE))
    points(left, X, y)
    out = rows[0][~kept].numpy()
    left.scatter(*out.T, marker="x", s=60, linewidths=1.2, color=INK, label="not kept")
    X_new, _ = AMDO(random_state=0, clip="none").fit_resample(X, y)
    points(right, X, y, X_new[len(X) :])
    finish(figure, path)


def draw_ccr(X: np.ndarray, y: np.ndarray, path: Path) -> None:
    """The spheres of the L1 norm with the samples that they push out, and new samples in them."""
    sampler = MultiClassCCR(energy=0.25, cleaning="translate", random_state=0, clip="none")
    X_new, _ = sampler.fit_resample(X, y)
    figure, (left, right) = panels("Spheres, and whom they push", "Cleaned, with new samples")
    for centre, radius in zip(X[y == 1], sampler.radii_[y == 1], strict=True):
        corners = centre + radius * np.array([[1, 0], [0, 1], [-1, 0], [0, -1]])
        left.add_patch(Polygon(corners, facecolor="#fdf0e6", edgecolor=RULE, zorder=0))
    for old, new in zip(X, X_new[: len(X)], strict=True):
        if (old != new).any():
            left.annotate("", new, old, arrowprops={"arrowstyle": "->", "color": BLUE, "lw": 0.9, "shrinkA": 0})
    points(left, X, y)
    points(right, X_new[: len(X)], y, X_new[len(X) :])
    finish(figure, path)


def draw_rbo(X: np.ndarray, y: np.ndarray, path: Path) -> None:
    """The potential with the walks over it, and new samples at their ends."""
    gamma = 0.15
    sampler = MultiClassRBO(gamma=gamma, step_size=0.01, max_steps=200, random_state=0, clip="none")
    X_new, _ = sampler.fit_resample(X, y)
    figure, (left, right) = panels("Walks to a potential of 0", "New samples")
    axis = np.linspace(-0.08, 1.08, 120)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 1, 2)
    distances = torch.from_numpy(np.abs(grid - X).sum(axis=2))
    heights = potential(distances, torch.from_numpy(np.where(y == 1, -1.0, 1.0)), gamma).reshape(120, 120)
    left.contourf(axis, axis, heights, levels=np.linspace(-4, 4, 17), cmap="PuOr_r", alpha=0.35, extend="both")
    left.contour(axis, axis, heights, levels=[0.0], colors=[FAINT], linewidths=0.8)
    for row in range(len(X), len(X_new), 2):
        start, end = X[sampler.parents_[row, 0]], X_new[row]
        left.annotate(
            "", end, start, arrowprops={"arrowstyle": "->", "color": INK, "lw": 0.7, "shrinkA": 0, "shrinkB": 0}
        )
    points(left, X, y)
    points(right, X, y, X_new[len(X) :])
    finish(figure, path)


def draw_smoothed_bootstrap(X: np.ndarray, y: np.ndarray, path: Path) -> None:
    """The ellipses of the noise, around where the samples of the class are drawn to, and new samples."""
    figure, (left, right) = panels("Samples, drawn to the mean, and noise", "New samples")
    rare = X[y == 1]
    mean, factor, bandwidth = (value.numpy() for value in class_cloud(torch.from_numpy(rare)))
    share = 1 / np.sqrt(1 + bandwidth**2)
    variances, axes = np.linalg.eigh(factor.T @ factor)
    width, height = 2 * share * bandwidth * np.sqrt(variances)
    tilt = float(np.degrees(np.arctan2(*axes[::-1, 0])))
    for x in rare:
        centre = mean + share * (x - mean)
        left.add_patch(Ellipse(centre.tolist(), width, height, angle=tilt, fill=False, edgecolor=RULE))
        left.annotate(
            "", centre, x, arrowprops={"arrowstyle": "->", "color": INK, "lw": 0.7, "shrinkA": 0, "shrinkB": 0}
        )
    points(left, X, y)
    X_new, _ = SmoothedBootstrapSampler(random_state=0, clip="none").fit_resample(X, y)
    points(right, X, y, X_new[len(X) :])
    finish(figure, path)


def points(ax: Axes, X: np.ndarray, y: np.ndarray, new: np.ndarray | None = None) -> None:
    """Draw the samples of both classes, and those that were made."""
    ax.set(**LIMITS)
    if new is not None:
        ax.scatter(*new.T, s=9, color=ORANGE, alpha=0.55, linewidths=0)
    for label, colour in enumerate((BLUE, ORANGE)):
        ax.scatter(*X[y == label].T, s=20, color=colour, edgecolors="white", linewidths=0.5)
    for spine in ax.spines.values():
        spine.set_color(RULE)


def legend(figure: Figure) -> None:
    """Say what the marks are."""
    ax = figure.axes[0]
    for size, colour, text in ((20, BLUE, "large class"), (20, ORANGE, "rare class"), (7, ORANGE, "new")):
        ax.scatter([], [], s=size, color=colour, label=text)
    figure.legend(loc="lower center", ncols=4, frameon=False, fontsize=8.5, labelcolor=FAINT)


def finish(figure: Figure, path: Path) -> None:
    """Write a figure of two panels with its legend."""
    legend(figure)
    figure.subplots_adjust(bottom=0.1, top=0.9, left=0.02, right=0.98, wspace=0.05)
    save(figure, path)


if __name__ == "__main__":
    main()
