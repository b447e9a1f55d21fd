"""
How each resampler works
========================

The same two classes, and what five resamplers do inside: whom they mix, whom
they push, and where they look. Seventy samples of a large class lie around
fourteen of a rare one, two of them astray.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch
from latentover import (
    AMDO,
    ClassicalSampler,
    MultiClassCCR,
    MultiClassRBO,
    SmoothedBootstrapSampler,
)
from latentover.methods.amdo import class_ellipsoids, same_class_neighbors
from latentover.methods.rbo import potential
from latentover.methods.smoothed_bootstrap import class_cloud
from matplotlib.patches import Ellipse, Polygon

rng = np.random.default_rng(3)
angle = rng.uniform(-0.4, 3.6, 70)
large = np.stack([np.cos(angle), np.sin(angle)], 1) * rng.normal(
    1.3, 0.25, (70, 1)
)
rare = rng.normal(size=(12, 2)) @ np.array([[0.5, 0.12], [0.0, 0.22]])
X = np.concatenate([large, rare, [[1.15, 0.75], [-0.3, 1.2]]])
X, y = (X - X.min(axis=0)) / np.ptp(X, axis=0), np.repeat([0, 1], [70, 14])


def points(ax, X, y, new=()):
    """Draw the samples of both classes, and those that were made."""
    limits = {
        "xlim": (-0.08, 1.08),
        "ylim": (-0.08, 1.08),
        "xticks": [],
        "yticks": [],
    }
    ax.set(**limits)
    if len(new):
        ax.scatter(*new.T, s=9, color="C1", alpha=0.55, linewidths=0)
    for label in (0, 1):
        ax.scatter(
            *X[y == label].T,
            s=20,
            color=f"C{label}",
            edgecolors="white",
            linewidths=0.5,
        )
    ax.spines[:].set_visible(True)


def legend(figure):
    """Say what the marks are."""
    ax = figure.axes[0]
    for size, color, text in (
        (20, "C0", "large class"),
        (20, "C1", "rare class"),
        (7, "C1", "new"),
    ):
        ax.scatter([], [], s=size, color=color, label=text)
    figure.legend(loc="outside lower center", ncols=4)


def panels(*titles):
    """Return a figure of two panels."""
    figure, axes = plt.subplots(1, len(titles), figsize=(6.4, 3.1))
    for ax, title in zip(axes, titles, strict=True):
        ax.set_title(title)
    return figure, axes


arrow = {"arrowstyle": "->", "lw": 0.8, "shrinkA": 0, "shrinkB": 0}

# %%
# SMOTE and its family
# --------------------
# All mix a sample with a neighbour; they differ in which samples they start
# from.

figure, axes = plt.subplots(2, 3, figsize=(6.4, 4.4))
axes[1, 2].remove()
for ax, (method, title) in zip(
    axes.flat[:5],
    {
        "smote": "SMOTE",
        "adasyn": "ADASYN",
        "borderline_smote": "Borderline-SMOTE",
        "svm_smote": "SVM-SMOTE",
        "kmeans_smote": "KMeans-SMOTE",
    }.items(),
    strict=True,
):
    options = {"kmeans_estimator": 4} if method == "kmeans_smote" else None
    sampler = ClassicalSampler(
        method=method, k_neighbors=3, options=options, random_state=0
    )
    X_new, _ = sampler.fit_resample(X, y)
    ax.set_title(title, loc="center")
    points(ax, X, y, X_new[len(X) :])
legend(figure)

# %%
# AMDO
# ----
# A new sample keeps the Mahalanobis distance of an old one, elsewhere on the
# ellipse. Samples amid the other class have no say.

figure, (left, right) = panels("Ellipses of the kept samples", "New samples")
rows = [torch.from_numpy(X[y == label]) for label in (1, 0)]
kept = same_class_neighbors(*rows, k=5) >= 2
found = class_ellipsoids(rows[0], kept)
tilt = float(np.degrees(np.arctan2(*found.axes[0].numpy()[::-1])))
for radius in found.radii[kept].tolist():
    width, height = 2 * np.sqrt(radius * found.variances.numpy())
    left.add_patch(
        Ellipse(
            found.mean.tolist(),
            width,
            height,
            angle=tilt,
            fill=False,
            edgecolor="0.85",
        )
    )
points(left, X, y)
left.scatter(
    *rows[0][~kept].numpy().T, marker="x", s=60, color="k", label="not kept"
)
X_new, _ = AMDO(random_state=0, clip="none").fit_resample(X, y)
points(right, X, y, X_new[len(X) :])
legend(figure)

# %%
# MC-CCR
# ------
# Each rare sample has energy for a sphere; who stands in it is pushed out.

sampler = MultiClassCCR(
    energy=0.25, cleaning="translate", random_state=0, clip="none"
)
X_new, _ = sampler.fit_resample(X, y)
figure, (left, right) = panels(
    "Spheres, and whom they push", "Cleaned, with new samples"
)
for centre, radius in zip(X[y == 1], sampler.radii_[y == 1], strict=True):
    corners = centre + radius * np.array([[1, 0], [0, 1], [-1, 0], [0, -1]])
    left.add_patch(
        Polygon(corners, facecolor="#fdf0e6", edgecolor="0.85", zorder=0)
    )
for old, new in zip(X, X_new[: len(X)], strict=True):
    if (old != new).any():
        left.annotate("", new, old, arrowprops=arrow | {"color": "C0"})
points(left, X, y)
points(right, X_new[: len(X)], y, X_new[len(X) :])
legend(figure)

# %%
# MC-RBO
# ------
# New samples walk to where neither class dominates: to a potential of 0.

gamma = 0.15
sampler = MultiClassRBO(
    gamma=gamma, step_size=0.01, max_steps=200, random_state=0, clip="none"
)
X_new, _ = sampler.fit_resample(X, y)
figure, (left, right) = panels("Walks to a potential of 0", "New samples")
axis = np.linspace(-0.08, 1.08, 120)
grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 1, 2)
distances = torch.from_numpy(np.abs(grid - X).sum(axis=2))
signs = torch.from_numpy(np.where(y == 1, -1.0, 1.0))
heights = potential(distances, signs, gamma).reshape(120, 120)
levels = np.linspace(-4, 4, 17)
left.contourf(
    axis, axis, heights, levels=levels, cmap="PuOr_r", alpha=0.35, extend="both"
)
left.contour(axis, axis, heights, levels=[0.0], colors=["0.4"], linewidths=0.8)
for row in range(len(X), len(X_new), 2):
    start, end = X[sampler.parents_[row, 0]], X_new[row]
    left.annotate("", end, start, arrowprops=arrow | {"color": "#1c2430"})
points(left, X, y)
points(right, X, y, X_new[len(X) :])
legend(figure)

# %%
# Smoothed bootstrap
# ------------------
# Samples are drawn again, drawn a little towards their mean and given noise, so
# that mean and covariance of the class stay what they are.

figure, (left, right) = panels(
    "Samples, drawn to the mean, and noise", "New samples"
)
rare = X[y == 1]
mean, factor, bandwidth = (
    v.numpy() for v in class_cloud(torch.from_numpy(rare))
)
share = 1 / np.sqrt(1 + bandwidth**2)
variances, axes = np.linalg.eigh(factor.T @ factor)
width, height = 2 * share * bandwidth * np.sqrt(variances)
tilt = float(np.degrees(np.arctan2(*axes[::-1, 0])))
for x in rare:
    centre = mean + share * (x - mean)
    left.add_patch(
        Ellipse(centre, width, height, angle=tilt, fill=False, edgecolor="0.85")
    )
    left.annotate("", centre, x, arrowprops=arrow | {"color": "#1c2430"})
points(left, X, y)
X_new, _ = SmoothedBootstrapSampler(random_state=0, clip="none").fit_resample(
    X, y
)
points(right, X, y, X_new[len(X) :])
legend(figure)
