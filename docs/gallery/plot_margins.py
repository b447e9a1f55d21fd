"""
Margins: which classes are safe
===============================

A margin is how far the right class's output is above the best wrong one. Plain
training leaves rare classes with small or negative margins on new data; margins
and weights that know the class sizes shift them.
"""

import matplotlib.pyplot as plt
import numpy as np
from latentover import DeepClassifier
from latentover.data import Imbalance, subsample
from latentover.metrics import class_margins, margin_gap
from sklearn.datasets import load_digits

X, y = load_digits(return_X_y=True)
X = X.reshape(-1, 1, 8, 8)
counts = Imbalance("long_tailed", rho=30, largest=150).class_counts(
    np.bincount(y)
)
train = subsample(y, counts, random_state=0)
test = np.setdiff1d(np.arange(len(y)), train)

settings = {
    "channels": 8,
    "hidden_units": 64,
    "max_epochs": 30,
    "learning_rate": 2e-3,
    "random_state": 0,
}
methods = {
    "plain": DeepClassifier(**settings),
    "deferred re-weighting": DeepClassifier(reweighting="drw", **settings),
    "logit adjustment": DeepClassifier(loss="logit_adjusted", **settings),
}

# %%
# Margins of log-probabilities on test images, averaged over each class.

figure, ax = plt.subplots(figsize=(6.4, 3.4))
for number, (name, model) in enumerate(methods.items()):
    model.fit(X[train], y[train])
    outputs = np.log(model.predict_proba(X[test]).clip(1e-9))
    margins = class_margins(outputs, y[test], model.classes_)
    gap = margin_gap(margins, counts)
    ax.plot(margins, "o-", color=f"C{number}", label=f"{name} (gap {gap:.1f})")
ax.axhline(0, color="0.6", linewidth=1)
ax.text(-0.4, -0.15, "wrong below", va="top", color="0.4")
labels = [f"{c}\n{n}" for c, n in enumerate(counts)]
ax.set_xticks(range(10), labels)
ax.set(xlabel="class, and its training images", ylabel="mean margin")
ax.legend()

# %%
# The *gap* is the mean margin of the majority classes less that of the others.
# ``track=True`` writes it into ``history_`` while a network learns, and
# :class:`latentover.losses.LDAMLoss` asks for larger margins where classes are
# rare.
