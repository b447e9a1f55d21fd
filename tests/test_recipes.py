"""Every recipe that ships is read, and no generator stands without its controls."""

from functools import cache

import pytest
import yaml

from latentover import DeepClassifier
from latentover.data import load_splits
from latentover.experiments.recipe import find_recipes, load_recipe, load_recipes, recipe_folder

FOLDERS = sorted(
    path for path in recipe_folder().iterdir() if path.is_dir() and path.name not in ("gpu_suite", "suites")
)
"""All but the folders with the steps of benchmarks/gpu_suite.py and with the suites."""
RECIPES = [path for folder in FOLDERS for path in sorted(folder.iterdir())]
CONTROLS = {
    "no resampling": {},
    "class weights": {"reweighting": "class_weights"},
    "class-balanced batches": {"batches": "class_balanced"},
    "logit adjustment": {"loss": "logit_adjusted"},
}
CONTROLS_ELSEWHERE = {f"{name}_{kind}": name for name in ("fashion_mnist", "mnist") for kind in ("full", "ablation")}
CONTROLS_ELSEWHERE |= {"digits_methods": "digits", "digits_generator": "digits"}
CONTROLS_ELSEWHERE |= {"fashion_mnist_generator": "fashion_mnist", "cifar10_jpeg_generator": "cifar10_jpeg_lt100"}
"""Groups on the data of another group, which has the controls."""
PLAIN = {"reweighting": None, "batches": "natural", "loss": "ce"}


read = cache(load_recipes)


def marks_of(folder):
    """Return the marks of what reads a folder: resolving all recipes takes long, and those of one are read quickly."""
    return () if folder.name == "digits" else pytest.mark.slow


each_recipe = pytest.mark.parametrize(
    "path", [pytest.param(path, id=f"{path.parent.name}/{path.name}", marks=marks_of(path.parent)) for path in RECIPES]
)
each_folder = pytest.mark.parametrize(
    "folder", [pytest.param(folder, id=folder.name, marks=marks_of(folder)) for folder in FOLDERS]
)


def test_there_are_recipes():
    assert "digits" in [folder.name for folder in FOLDERS]
    assert all(path.suffix == ".yaml" for path in RECIPES)


@each_recipe
def test_a_shipped_recipe_loads_and_its_resolved_text_is_the_same_recipe(path, tmp_path):
    for recipe in read(path):
        assert recipe.group == path.parent.name
        if recipe.variant is None:
            assert yaml.safe_load(path.read_text(encoding="utf-8"))["title"] == recipe.title
        copy = tmp_path / path.name
        copy.write_text(recipe.text, encoding="utf-8")
        again = load_recipe(copy)
        assert (again.sha256, again.text, again.data) == (recipe.sha256, recipe.text, recipe.data)


@each_recipe
def test_a_shipped_recipe_makes_an_estimator(path):
    for recipe in read(path):
        estimator = recipe.estimator(recipe.seeds[0], device="cpu", precision="float32", verbose=0)
        # The sampler of a stage, or of a head, gets its seed when the classifier is fitted.
        parameters = {name: x for name, x in estimator.get_params().items() if "_sampler__" not in name}
        assert {value for name, value in parameters.items() if name.endswith("random_state")} == {recipe.seeds[0]}


@each_folder
def test_a_group_is_one_comparison(folder):
    recipes = [recipe for path in find_recipes([folder]) for recipe in read(path)]
    titles = [recipe.title for recipe in recipes]
    assert len(set(titles)) == len(titles)
    data = [{**vars(recipe.data), "layout": None} for recipe in recipes]
    assert all(one == data[0] for one in data), "the recipes of a group have the same data"
    assert len({tuple(recipe.seeds) for recipe in recipes}) == 1


@each_folder
def test_a_generator_stands_beside_the_controls(folder):
    recipes = [recipe for path in find_recipes([folder]) for recipe in read(path)]
    if not any(hasattr(step, "sample") for recipe in recipes for step in (recipe.method, recipe.sampler)):
        pytest.skip("no generator in this group")
    if folder.name in CONTROLS_ELSEWHERE:
        recipes = read(find_recipes([recipe_folder() / CONTROLS_ELSEWHERE[folder.name]])[0])
        assert recipes[0].data == read(find_recipes([folder])[0])[0].data
        return
    controls = [
        {name: getattr(recipe.method, name) for name in PLAIN}
        for recipe in recipes
        if type(recipe.method) is DeepClassifier and recipe.sampler is None
    ]
    # Logit adjustment is also one where batches are drawn by the square root of the class sizes.
    controls += [{**control, "batches": "natural"} for control in controls if control["batches"] == "square_root"]
    missing = [name for name, changes in CONTROLS.items() if {**PLAIN, **changes} not in controls]
    assert not missing


@each_folder
def test_the_data_of_a_recipe_is_there_in_the_numbers_that_it_asks_for(folder):
    settings = {repr(recipe.data): recipe.data for path in find_recipes([folder]) for recipe in read(path)}
    for data in settings.values():
        try:
            splits = load_splits(data)
        except (FileNotFoundError, ValueError) as error:
            if isinstance(error, ValueError) and "There is nothing at" not in str(error):  # a folder of images
                raise
            pytest.skip(f"no data: {error}")  # of one set: a group is one comparison
        assert len(splits.y_train) > 0
        assert all(len(y) > 0 for _, y in splits.tests.values())
