"""
A folder of photos of your own
==============================

A folder for each class is all that is needed: a recipe of six lines trains on
it, and the run predicts new files and makes new images. The "photos" here are
small drawings, so that the example needs no data.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image, ImageDraw

rng = np.random.default_rng(0)
home = Path(tempfile.mkdtemp())


def drawing(shape):
    """Return a bright shape at a random place, 16 pixels wide."""
    image = Image.new("L", (16, 16), int(rng.integers(0, 60)))
    left, top, size = *rng.integers(1, 5, 2), rng.integers(8, 11)
    box = [int(side) for side in (left, top, left + size, top + size)]
    draw = ImageDraw.Draw(image)
    brightness = int(rng.integers(150, 256))
    (draw.ellipse if shape == "round" else draw.rectangle)(box, brightness)
    return image


for shape, n in {"square": 150, "round": 25}.items():
    folder = home / "photos" / shape
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(n):
        drawing(shape).save(folder / f"{number}.png")

# %%
# The recipe. ``latentover train photos.yaml`` would do the same as the next
# lines.

recipe_file = home / "photos.yaml"
recipe_file.write_text(
    f"""
data: {{source: {home}/photos, image_size: [16, 16], test_fraction: 0.2}}
method:
  class_path: latentover.RAEClassifier
  init_args:
    max_steps: 150
    batch_size: 32
    channels: 8
    hidden_units: 64
    learning_rate: 1e-3
    adversarial_every: 5
    decoder_reconstruction: true
"""
)

from latentover.experiments.recipe import load_recipe
from latentover.experiments.run import Machine, run_recipe

run = home / "run"
recipe = load_recipe(recipe_file)
scores = run_recipe(recipe, seed=0, folder=run, machine=Machine(verbose=0))
print(sorted(file.name for file in run.iterdir()))

# %%
# A run is a folder with weights, scores, and a picture of the rare class: real
# drawings, reconstructions, new ones, and the real ones nearest to these.

figure, ax = plt.subplots(figsize=(6.4, 1.6))
ax.imshow(plt.imread(run / "samples.png"), interpolation="nearest")
ax.axis("off")

# %%
# New photos of any size are predicted from files.

import latentover

model = latentover.load(run)
new = []
for number, shape in enumerate(["round", "square", "round", "square"]):
    new.append(home / f"new-{number}-{shape}.png")
    drawing(shape).resize((60, 60)).save(new[-1])
for file, label in zip(new, model.predict(new), strict=True):
    print(file.name, label)
