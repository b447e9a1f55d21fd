"""
Two moons and rings by every sampler
====================================

What does each over-sampler make of a rare class that is curved? Two toy sets
answer at a glance: a moon with 25 samples inside a moon of 300, and a ring of
25 around a disc of 300.
"""

# sphinx_gallery_thumbnail_number = 1
import matplotlib.pyplot as plt
import numpy as np
from latentover import (
    AMDO,
    ClassicalSampler,
    DeepSMOTE,
    MultiClassCCR,
    MultiClassRBO,
    RAESampler,
    SmoothedBootstrapSampler,
)
from sklearn.datasets import make_circles, make_moons


def rare_class(X, y, rare):
    """Return a set in which the class ``rare`` keeps 25 samples, as class 1."""
    kept = [np.flatnonzero(y != rare), np.flatnonzero(y == rare)[:25]]
    return X[np.concatenate(kept)], np.repeat(
        [0, 1], [len(rows) for rows in kept]
    )


moons = rare_class(*make_moons(600, noise=0.1, random_state=0), rare=1)
rings = rare_class(
    *make_circles(600, noise=0.06, factor=0.35, random_state=0), rare=0
)

# %%
# All samplers have the same two methods, ``fit_resample`` and ``sample``. Those
# with networks get a few seconds.

small = {"hidden_units": 64, "random_state": 0}
samplers = {
    "SMOTE": ClassicalSampler(random_state=0),
    "Borderline-SMOTE": ClassicalSampler(
        method="borderline_smote", random_state=0
    ),
    "ADASYN": ClassicalSampler(method="adasyn", random_state=0),
    "Smoothed bootstrap": SmoothedBootstrapSampler(random_state=0),
    "AMDO": AMDO(random_state=0),
    "MC-CCR": MultiClassCCR(random_state=0),
    "MC-RBO": MultiClassRBO(random_state=0),
    "DeepSMOTE": DeepSMOTE(
        penalty="reference_code", max_epochs=150, learning_rate=2e-3, **small
    ),
    "RAE": RAESampler(max_steps=300, learning_rate=2e-3, **small),
}


def show(X, y):
    """Draw what every sampler makes of a set."""
    _, axes = plt.subplots(3, 3, figsize=(6.4, 6))
    middle, half = (X.max(0) + X.min(0)) / 2, 0.62 * np.ptp(X, axis=0)
    limits = np.stack([middle - half, middle + half], axis=1)
    for ax, (name, sampler) in zip(axes.flat, samplers.items(), strict=True):
        X_new, _ = sampler.fit_resample(X, y)
        new = X_new[len(X) :]
        ax.scatter(*X[y == 0].T, s=5, color="C0", alpha=0.35, linewidths=0)
        ax.scatter(*new.T, s=7, color="C1", alpha=0.45, linewidths=0)
        ax.scatter(*X[y == 1].T, s=22, color="C1", edgecolors="white", lw=0.6)
        ax.set(xticks=[], yticks=[], xlim=limits[0], ylim=limits[1])
        ax.set_title(name, loc="center", fontsize=12)
        ax.spines[:].set_visible(False)


show(*moons)

# %%
# The same with rings:

show(*rings)

# %%
# Blue is the frequent class; large orange points are the 25 rare samples, small
# ones are new. The straight lines of SMOTE cut corners where the class bends.
# Ellipsoids and clouds fill what lies between, as AMDO and the smoothed
# bootstrap must where the class has no middle. What is right for a table is
# shown by the scores of a classifier on it (:func:`latentover.advise`), not by
# the picture.
