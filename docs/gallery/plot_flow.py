"""
A flow: from noise, or from a sample part of the way
====================================================

A class-conditional rectified flow draws new rows of the rare moon from noise,
or takes a real one part of the way to noise and brings it back.
"""

import matplotlib.pyplot as plt
from latentover import FlowSampler
from sklearn.datasets import make_moons

X, y = make_moons((400, 40), noise=0.08, random_state=0)
settings = {"max_steps": 800, "hidden_units": 64, "random_state": 0}

# %%
# ``strength`` is how much of a new sample is noise at the start.

figure, axes = plt.subplots(1, 3, figsize=(6.4, 2.6), sharex=True, sharey=True)
for ax, strength in zip(axes, (0.2, 0.5, 1.0), strict=True):
    sampler = FlowSampler(strength=strength, **settings).fit(X, y)
    new = sampler.sample(150, y=1, random_state=0)
    ax.scatter(*X[y == 0].T, s=5, color="0.8")
    ax.scatter(*new.T, s=8, color="C0", label="new")
    ax.scatter(*X[y == 1].T, s=14, color="C1", label="real")
    title = "from noise" if strength == 1 else f"strength {strength}"
    ax.set(title=title, xticks=[], yticks=[])
axes[0].legend(loc="lower left")

# %%
# With a small strength new rows lie around those that they started from, and
# ``parents_`` names these; from noise the flow draws the whole moon.
