"""
M2m: rare samples that are translated from frequent ones
========================================================

A second network, the guide, is asked in which direction a frequent sample
would become a rare one, and the sample is moved there.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch
from latentover import DeepClassifier, M2mClassifier
from latentover.methods.m2m import translate
from latentover.metrics import recall_per_class
from sklearn.datasets import make_moons

X, y = make_moons((600, 16), noise=0.22, random_state=0)
X = X.astype("float32")
X_test, y_test = make_moons(4000, noise=0.22, random_state=1)

settings = {
    "numbers": "standard",
    "hidden_units": 64,
    "max_epochs": 60,
    "learning_rate": 3e-3,
    "dropout": 0.0,
    "random_state": 0,
}
plain = DeepClassifier(**settings).fit(X, y)
late = {"translation_start": 0.5, "acceptance_beta": 0.99, **settings}
m2m = M2mClassifier(confidence=0.7, **late).fit(X, y)
# The control asks for more than the guide gives: batches are balanced alone.
balanced = M2mClassifier(confidence=1.0, **late).fit(X, y)
for model in (balanced, m2m):
    rows = [row for row in model.history_ if "translated" in row]
    share = np.nanmean([row["translated"] for row in rows])
    print(f"{share:.0%} of a batch are translations")

# %%
# What a translation does, by the function itself: ten steps from frequent
# points towards what the guide takes for the rare class.


def guide(x):
    """From encoded rows to logits."""
    return plain.networks_["classifier"](plain.networks_["encoder"](x))


start = plain.format_.encode(X[y == 0][:60])
zeros = torch.zeros(60, dtype=torch.long)
moved = translate(guide, guide, start, zeros, 1 + zeros, value_range=None)
ends = plain.format_.decode(moved)
sure = guide(moved).softmax(1)[:, 1].detach().numpy() > 0.7

# %%
# Red ground is called the rare class; the dark line is the decision.

axis_x, axis_y = np.linspace(-1.8, 2.8, 160), np.linspace(-1.4, 1.9, 120)
grid = np.stack(np.meshgrid(axis_x, axis_y), axis=-1).reshape(-1, 2)
models = {"ERM": plain, "Balanced batches": balanced, "M2m": m2m}
figure, axes = plt.subplots(2, 2, figsize=(6.4, 5))
axes = axes.ravel()
for ax, (name, model) in zip(axes[[0, 2, 3]], models.items(), strict=True):
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
    recall = recall_per_class(y_test, model.predict(X_test))
    ax.set_title(f"{name}: {recall[0]:.0%}, {recall[1]:.0%}", loc="center")
for ax in axes:
    ax.scatter(*X[y == 0].T, s=3, color="C0", alpha=0.5, linewidths=0)
    ax.scatter(*X[y == 1].T, s=24, color="C1", edgecolors="white")
    ax.set(xticks=[], yticks=[], xlim=(-1.8, 2.8), ylim=(-1.4, 1.9))
for a, b, good in zip(X[y == 0][:60], ends, sure, strict=True):
    axes[1].annotate(
        "",
        b,
        a,
        arrowprops={
            "arrowstyle": "->",
            "color": "#1c2430" if good else "#aab2bd",
            "lw": 0.7,
        },
    )
axes[1].set_title("Translations, dark where taken", loc="center")

# %%
# The titles have the recall of the frequent and of the rare class on balanced
# test data. A translation is taken where the guide is sure of its new class;
# the others stay what they were. Most of the gain is that of the balanced
# batches, which M2m has from its first translation on; look at this control
# before you believe in the translations.
