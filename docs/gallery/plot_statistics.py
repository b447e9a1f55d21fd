"""
Statistics over folders of runs
===============================

Is one method better than another, or was it luck? A benchmark of four methods
on eight tables is made here, with real trainings; then Friedman's test, all
pairs by Shaffer's procedure, and the critical-difference diagram.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from latentover.experiments.benchmark import benchmark
from latentover.experiments.recipe import load_recipe
from latentover.experiments.run import Machine
from latentover.report import collect_runs, compare
from latentover.stats import (
    critical_difference_diagram,
    friedman,
    mean_ranks,
    shaffer,
)
from sklearn.datasets import make_classification

# %%
# Eight tables, and a recipe for each method. ``latentover benchmark`` does the
# same from YAML files in a folder.

methods = {
    "none": "{}",
    "class weights": "{reweighting: class_weights}",
    "logit adjustment": "{loss: logit_adjusted}",
    "balanced batches": "{batches: class_balanced}",
}
home = Path(tempfile.mkdtemp())
for number in range(8):
    X, y = make_classification(
        700,
        8,
        n_informative=5,
        weights=[0.9],
        class_sep=0.8,
        random_state=number,
    )
    place = home / f"table-{number}"
    place.mkdir(exist_ok=True)
    table = pd.DataFrame(X).add_prefix("x").assign(rare=y)
    table.to_csv(f"{place}.csv", index=False)
    for name, settings in methods.items():
        (place / f"{name.replace(' ', '_')}.yaml").write_text(
            f"title: {name}\n"
            f"data: {{source: {place}.csv, target: rare}}\n"
            "method:\n  class_path: latentover.DeepClassifier\n"
            f"  init_args: {settings}\n"
            "seeds: [0]\n"
        )

# %%
# A run of each. Runs that are there are not repeated.

scores = []
for number in range(8):
    files = sorted((home / f"table-{number}").glob("*.yaml"))
    overrides = ["--method.init_args.hidden_units", "64"]
    recipes = [load_recipe(file, overrides) for file in files]
    runs = home / "runs" / f"table-{number}"
    benchmark(recipes, Machine(verbose=0, keep_weights=False), out=runs)
    rows = compare(collect_runs(runs), metrics=["acsa"])
    scores.append({row.title: row.cells["acsa"].mean for row in rows})
table = pd.DataFrame(scores)
print(table.round(3))

# %%
print(friedman(table).p_value)
for pair in shaffer(table.to_numpy(), list(table)):
    print(f"{pair.first} - {pair.second}: p = {pair.adjusted:.3f}")

# %%
# Methods stand at their mean rank; a bar joins those of which no two differ.

ranks = dict(zip(table, mean_ranks(np.asarray(table)), strict=True))
diagram = critical_difference_diagram(
    ranks, shaffer(table.to_numpy(), list(table))
)
diagram.set_layout_engine("none")  # it places everything itself
diagram.savefig(home / "diagram.png", dpi=200)

picture = plt.imread(home / "diagram.png")
height, width = picture.shape[:2]
figure, ax = plt.subplots(figsize=(6.4, 6.4 * height / width))
ax.imshow(picture)
ax.axis("off")
