"""
Decision boundaries: ERM, re-weighting, Mixup, MAMix
====================================================

Sixteen samples stand against six hundred. Where does a network draw the line,
and who gets the ground between? All four are one class,
:class:`latentover.DeepClassifier`, with other settings.
"""

import matplotlib.pyplot as plt
import numpy as np
from latentover import DeepClassifier
from latentover.metrics import recall_per_class
from latentover.mixing import MAMix, Mixup
from sklearn.datasets import make_moons

X, y = make_moons(1200, noise=0.22, random_state=0)
rare = np.flatnonzero(y == 1)
kept = np.concatenate([np.flatnonzero(y == 0), rare[:16]])
X_test, y_test = make_moons(4000, noise=0.22, random_state=1)

settings = {
    "hidden_units": 64,
    "max_epochs": 60,
    "learning_rate": 3e-3,
    "dropout": 0.0,
    "random_state": 0,
}
methods = {
    "ERM": DeepClassifier(**settings),
    "DRW": DeepClassifier(reweighting="drw", drw_start=0.5, **settings),
    "Mixup + DRW": DeepClassifier(
        mixing=Mixup(), reweighting="drw", drw_start=0.5, **settings
    ),
    "MAMix + DRW": DeepClassifier(
        mixing=MAMix(omega=0.25), reweighting="drw", drw_start=0.5, **settings
    ),
}

# %%
# Red ground is called the rare class; the dark line is the decision.

axis_x, axis_y = np.linspace(-1.8, 2.8, 160), np.linspace(-1.4, 1.9, 120)
grid = np.stack(np.meshgrid(axis_x, axis_y), axis=-1).reshape(-1, 2)
figure, axes = plt.subplots(2, 2, figsize=(6.4, 5))
for ax, (name, model) in zip(axes.flat, methods.items(), strict=True):
    model.fit(X[kept], y[kept])
    ground = model.predict_proba(grid)[:, 1].reshape(120, 160)
    ax.contourf(
        axis_x,
        axis_y,
        ground,
        levels=20,
        cmap="RdBu_r",
        vmin=0,
        vmax=1,
        alpha=0.6,
    )
    ax.contour(axis_x, axis_y, ground, levels=[0.5], colors="#1c2430")
    ax.scatter(
        *X[kept][y[kept] == 0].T, s=3, color="C0", alpha=0.5, linewidths=0
    )
    ax.scatter(*X[kept][y[kept] == 1].T, s=24, color="C1", edgecolors="white")
    recall = recall_per_class(y_test, model.predict(X_test))
    ax.set_title(f"{name}: {recall[0]:.0%}, {recall[1]:.0%}", loc="center")
    ax.set(xticks=[], yticks=[], xlim=(-1.8, 2.8), ylim=(-1.4, 1.9))

# %%
# The titles have the recall of both classes on balanced test data. Without help
# the frequent class takes nearly everything that could be either. Deferred
# re-weighting (DRW) gives ground back late in the training; mixing smooths the
# line, and MAMix moves the place where a mixture's label turns towards the
# frequent class.
