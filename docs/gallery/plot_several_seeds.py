"""
Several seeds at once
=====================

One seed is an anecdote. :func:`latentover.fit_many` fits any estimators to the
same data; on a GPU their steps are interleaved, so that seven take little
longer than two.
"""

import matplotlib.pyplot as plt
import numpy as np
from latentover import DeepClassifier, fit_many
from latentover.data import Imbalance, subsample
from latentover.metrics import acsa
from latentover.stats import paired_difference
from sklearn.datasets import load_digits

X, y = load_digits(return_X_y=True)
X = X.reshape(-1, 1, 8, 8)
counts = Imbalance("long_tailed", rho=30).class_counts(np.bincount(y))
train = subsample(y, counts, random_state=0)
test = np.setdiff1d(np.arange(len(y)), train)

seeds = range(5)
small = {"channels": 8, "hidden_units": 64, "learning_rate": 2e-3}
settings = {
    "plain": {},
    "class weights": {"reweighting": "class_weights"},
    "logit adjustment": {"loss": "logit_adjusted"},
}
scores = {}
for name, changes in settings.items():
    models = [
        DeepClassifier(random_state=seed, **small, **changes) for seed in seeds
    ]
    fit_many(models, X[train], y[train])
    scores[name] = [acsa(y[test], model.predict(X[test])) for model in models]

# %%
# A dot is a seed; grey lines join what the same seed gave with each method.

figure, ax = plt.subplots(figsize=(6.4, 3.2))
for values in zip(*scores.values(), strict=True):
    ax.plot(range(len(scores)), values, color="0.8", linewidth=1, zorder=0)
for place, values in enumerate(scores.values()):
    ax.scatter([place] * len(values), values, s=30, color=f"C{place}")
    ax.hlines(
        np.mean(values), place - 0.15, place + 0.15, color=f"C{place}", lw=3
    )
ax.set_xticks(range(len(scores)), list(scores))
ax.set(ylabel="ACSA, mean recall of the classes", xlim=(-0.5, 2.5))

# %%
# Is one better? The difference over the same seeds, with its interval:

print(paired_difference(scores["logit adjustment"], scores["plain"]))
