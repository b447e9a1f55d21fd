"""
Minority grids: look at what was made
=====================================

A row a class, the rarest ones: real images, their reconstructions, new samples,
and the training images nearest to these. If samples equal their neighbours, the
generator repeats what it has seen.
"""

import tempfile
from pathlib import Path

import latentover
import matplotlib.pyplot as plt
import numpy as np
from latentover.data import load_splits
from latentover.experiments.recipe import find_recipes, load_recipe
from latentover.report import save_minority_grid

recipe = load_recipe(find_recipes(["configs/digits/rae.yaml"])[0])
splits = load_splits(recipe.data)
X, y = splits.X_train, splits.y_train
model = latentover.load("models/rae-digits")

grid = Path(tempfile.mkdtemp(), "grid.png")
save_minority_grid(model, X, y, grid, n_classes=5)

figure, ax = plt.subplots(figsize=(6.4, 2.2))
ax.imshow(plt.imread(grid), interpolation="nearest")
ax.axis("off")

# %%
# The same as numbers: how many of the new images equal a training image, and
# how the distances to the nearest one compare with those between real images.

from latentover.metrics import memorization_per_class

new = {label: model.sample(60, y=label, random_state=0) for label in (7, 8, 9)}
made = np.concatenate(list(new.values())).reshape(180, -1)
labels = np.repeat(list(new), 60)
print(memorization_per_class(X.reshape(len(X), -1), y, made, labels))
