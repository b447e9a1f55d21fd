"""Draw what the generators make: ``python docs/generator_figures.py`` writes ``docs/images/*_samples.png``.

All come from the shipped recipes on the digits with seed 0, the generators alone; on one core that takes a minute or
two. Names of pictures as arguments draw only those.
"""

import sys
import warnings
from pathlib import Path
from typing import Any

from latentover.data import load_splits
from latentover.experiments.recipe import find_recipes, load_recipe
from latentover.report import save_minority_grid
from latentover.training import CollapseWarning

IMAGES = Path(__file__).parent / "images"
PICTURES: dict[str, tuple[str, dict[str, Any]]] = {
    "deepsmote_samples.png": ("digits_methods/deepsmote", {}),
    "deepsmote_paper_samples.png": ("digits_methods/deepsmote", {"penalty": "paper"}),
    "bagan_samples.png": ("digits_methods/bagan", {}),
    "gamo_samples.png": ("digits_methods/gamo", {}),
    "dgc_samples.png": ("digits_methods/dgc", {}),
    "smote_samples.png": ("digits_methods/adasyn", {"method": "smote"}),
    "amdo_samples.png": ("digits_methods/amdo", {}),
    "ccr_samples.png": ("digits_methods/ccr", {}),
    "rbo_samples.png": ("digits_methods/rbo", {}),
    "smoothed_bootstrap_samples.png": ("digits_methods/smoothed_bootstrap", {}),
}
"""From the name of a picture to its recipe and what is changed in it."""


def main(names: list[str]) -> None:
    """Write these pictures, or all, and say how varied its samples are."""
    for name in names or PICTURES:
        place, changes = PICTURES[name]
        recipe = load_recipe(find_recipes([f"configs/{place}.yaml"])[0])
        splits = load_splits(recipe.data)
        estimator = recipe.estimator(seed=0, device="cpu", precision="float32", verbose=0)
        sampler = (estimator.steps[0][1] if hasattr(estimator, "steps") else estimator).set_params(**changes)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CollapseWarning)
            sampler.fit(splits.X_train, splits.y_train)
        save_minority_grid(sampler, splits.X_train, splits.y_train, IMAGES / name, n_classes=5)
        (IMAGES / name).with_suffix(".npz").unlink()  # the same as arrays, which a report wants
        varied = f"diversity_ {sampler.diversity_.round(2).tolist()}" if hasattr(sampler, "diversity_") else "drawn"
        print(f"{name}: {varied}")


if __name__ == "__main__":
    main(sys.argv[1:])
