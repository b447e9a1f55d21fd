"""
A map of the latent space
=========================

Where do new images lie, seen from the encoder? A t-SNE map of real digits and
of images that the model has made and encoded again.
"""

import latentover
import matplotlib.pyplot as plt
import numpy as np
from latentover.data import load_splits
from latentover.experiments.recipe import find_recipes, load_recipe
from sklearn.manifold import TSNE

# %%
# The model ships with the project: a regularized autoencoder, trained on digits
# of which the largest class has 133 images and the smallest 6.

model = latentover.load("models/rae-digits")
recipe = load_recipe(find_recipes(["configs/digits/rae.yaml"])[0])
splits = load_splits(recipe.data)
X, y = splits.X_train, splits.y_train
classes, counts = np.unique(y, return_counts=True)
rare = classes[np.argsort(counts)[:5]]

made = {label: model.sample(30, y=label, random_state=0) for label in rare}
images = np.concatenate([X, *made.values()])
points = TSNE(random_state=0, perplexity=25).fit_transform(model.encode(images))
real, new = points[: len(X)], points[len(X) :].reshape(len(rare), 30, 2)

# %%
# Dots are real, rings are new. The five rare classes have their colours.

figure, ax = plt.subplots(figsize=(6.4, 4.6))
others = ~np.isin(y, rare)
ax.scatter(*real[others].T, s=6, color="0.8", label="other classes")
for number, (label, ring) in enumerate(zip(rare, new, strict=True)):
    color = f"C{number}"
    n = (y == label).sum()
    ax.scatter(
        *ring.T, s=26, facecolors="none", edgecolors=color, lw=0.9, alpha=0.7
    )
    ax.scatter(
        *real[y == label].T, s=26, color=color, label=f"{label} (n = {n})"
    )
ax.set(xticks=[], yticks=[])
ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))

# %%
# New images fall where their class is, and spread. A map shows neighbourhoods
# and no distances: for numbers see
# :func:`latentover.metrics.generation_scores`.

print(model.latent_separability(X, y))
