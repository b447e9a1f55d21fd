"""
What the mixer learns
=====================

The regularized autoencoder does not draw the weights of a mixture: a small
network, the *mixer*, proposes them, and is trained to make mixtures that the
classifier gets wrong, while the encoder learns to keep them right. What does it
come to on thirty samples?
"""

import matplotlib.pyplot as plt
import numpy as np
from latentover import RAESampler
from sklearn.datasets import make_moons

X, y = make_moons(600, noise=0.1, random_state=0)
kept = np.concatenate([np.flatnonzero(y == 0), np.flatnonzero(y == 1)[:30]])
X, y = X[kept], y[kept]

settings = {
    "hidden_units": 64,
    "latent_dim": 2,  # so that the latent space can be looked at
    "learning_rate": 2e-3,
    "max_steps": 300,
    "random_state": 0,
}
learned = RAESampler(alpha="mixer", **settings).fit(X, y)
uniform = RAESampler(alpha="uniform", **settings).fit(X, y)

# %%
# Both classes in the latent space, and where the mixtures of the rare one come
# to lie. The weights say which of the two parents a mixture is nearer to.

figure, axes = plt.subplot_mosaic("ab;cc", figsize=(6.4, 4.8))
for ax, sampler, name in (
    (axes["a"], learned, "the mixer's weights"),
    (axes["b"], uniform, "uniform weights"),
):
    latents = sampler.encode(X)
    X_new, _ = sampler.fit_resample(X, y)
    new = sampler.synthetic_mask_
    parents, weights = sampler.parents_[new], sampler.mix_weights_[new]
    mixed = (latents[parents] * weights[..., None]).sum(axis=1)
    ax.scatter(*latents[y == 0].T, s=4, color="C0", alpha=0.4, linewidths=0)
    ax.scatter(*mixed.T, s=6, color="C1", alpha=0.4, linewidths=0)
    ax.scatter(*latents[y == 1].T, s=24, color="C1", edgecolors="white", lw=0.6)
    ax.set(title=name, xticks=[], yticks=[])
    axes["c"].hist(
        weights.max(axis=1),
        np.linspace(0.5, 1, 26),
        histtype="step",
        lw=1.8,
        label=name,
    )
axes["c"].set(title="how large the larger weight is", yticks=[])
axes["c"].legend(loc="upper left")

# %%
# On so few samples the mixer comes to give nearly all weight to one parent: it
# makes variations of single samples, where uniform weights fill the space
# between. With more samples and steps the weights spread; look at
# ``mix_weights_`` on your data, and try ``alpha="uniform"`` where they do not.
#
# The latents of a class are kept linearly separable from the others, so every
# mixture of them, whatever the weights, stays on its side (proposition 1 on
# :doc:`/methods/theory`). How well that holds, by class, 1 being perfect:

print(learned.latent_separability(X, y))
