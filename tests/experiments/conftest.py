"""Recipes that train in a moment, and a run of one."""

import copy

import pytest
import yaml

from latentover.experiments.recipe import load_recipe
from latentover.experiments.run import Machine, run_recipe

RAE = {
    "title": "Tiny RAE",
    "data": {"source": "digits", "imbalance": {"profile": "long_tailed", "rho": 5, "largest": 30}},
    "method": {
        "class_path": "latentover.RAEClassifier",
        "init_args": {"latent_dim": 4, "channels": 4, "hidden_units": 8, "max_steps": 2, "batch_size": 8},
    },
    "evaluation": {"grid_samples": 1, "tsne_points": 40},
    "seeds": [0],
}
CONTROL = {
    **RAE,
    "title": "Tiny control",
    "method": {
        "class_path": "latentover.DeepClassifier",
        "init_args": {"feature_dim": 4, "channels": 4, "hidden_units": 8, "max_epochs": 2},
    },
}
MACHINE = Machine(device="cpu", precision="float32", verbose=0)


@pytest.fixture(scope="session")
def machine():
    return MACHINE


@pytest.fixture
def write_recipe(tmp_path):
    """Write a recipe to a file of this test, with some of its values changed by dotted names; `...` removes one."""

    def write(changes=None, name="tiny", kind="rae"):
        content = copy.deepcopy(RAE if kind == "rae" else CONTROL)
        for dotted, value in (changes or {}).items():
            *places, last = dotted.split(".")
            inner = content
            for place in places:
                inner = inner.setdefault(place, {})
            if value is ...:
                del inner[last]
            else:
                inner[last] = copy.deepcopy(value)
        path = tmp_path / "recipes" / f"{name}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
        return path

    return write


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """A recipe and the metrics and folder of its run; not to be changed."""
    path = tmp_path_factory.mktemp("session") / "tiny.yaml"
    path.write_text(yaml.safe_dump(RAE), encoding="utf-8")
    recipe = load_recipe(path)
    folder = path.parent / "runs" / "tiny" / "seed-0"
    return recipe, run_recipe(recipe, 0, folder, MACHINE), folder
