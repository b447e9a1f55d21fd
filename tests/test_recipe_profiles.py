"""The profiles of the long-tailed benchmarks are overrides of one set of recipes, and shorter schedules quote them."""

import numpy as np
import pytest

from latentover.data import long_tailed_counts, step_counts
from latentover.experiments.recipe import find_recipes, load_recipe, recipe_folder
from latentover.training import batches_per_epoch

MAMIX = recipe_folder() / "cifar10_lt100" / "mamix_drw.yaml"
RHOS = (10, 50, 100, 200, 250, 300)
SVHN_ORDER = [1, 2, 3, 4, 5, 6, 7, 8, 9, 0]
SETS = {
    "cifar10": ([5000] * 10, []),
    "cifar100": ([500] * 100, []),
    "cinic10": ([9000] * 10, ["--method.init_args.backbone=resnet18"]),
    "svhn": (
        [4948, 13861, 10585, 8497, 7458, 6882, 5727, 5595, 5045, 4659],
        ["--data.imbalance.largest=1000", f"--data.imbalance.class_order={SVHN_ORDER}"],
    ),
    "tiny_imagenet": ([500] * 200, ["--method.init_args.backbone=resnet18"]),
}
"""Images of each class in the training files, and the overrides that a data set needs."""
LONG_TAILED = {
    ("cifar10", 10): "5000 3871 2997 2320 1796 1391 1077 834 645 500",
    ("cifar10", 50): "5000 3237 2096 1357 878 568 368 238 154 100",
    ("cifar10", 100): "5000 2997 1796 1077 645 387 232 139 83 50",
    ("cifar10", 200): "5000 2775 1540 854 474 263 146 81 45 25",
    ("cifar10", 250): "5000 2707 1465 793 429 232 125 68 36 20",
    ("cifar10", 300): "5000 2652 1407 746 396 210 111 59 31 16",
    ("cinic10", 100): "9000 5395 3234 1938 1162 696 417 250 150 90",
    ("cinic10", 200): "9000 4995 2772 1538 854 474 263 146 81 45",
    ("svhn", 100): "10 1000 599 359 215 129 77 46 27 16",  # digit 1 is the most frequent, 0 the rarest
}
TOTALS = {
    ("cifar10", 10): 20431,
    ("cifar10", 100): 12406,
    ("cifar100", 10): 19573,
    ("cifar100", 50): 12608,
    ("cifar100", 100): 10847,
    ("cinic10", 10): 36779,
    ("cinic10", 50): 25197,
    ("cinic10", 250): 19580,
    ("cinic10", 300): 19135,
    ("svhn", 10): 4084,
    ("svhn", 50): 2795,
    ("tiny_imagenet", 10): 39072,
    ("tiny_imagenet", 100): 21549,
}


def counts_of(name, profile, rho):
    available, overrides = SETS[name]
    recipe = load_recipe(
        MAMIX,
        [f"--data.source={name}", f"--data.imbalance.profile={profile}", f"--data.imbalance.rho={rho}", *overrides],
    )
    assert recipe.data.source == name
    return recipe.data.imbalance.class_counts(available)


@pytest.mark.parametrize("rho", RHOS)
@pytest.mark.parametrize("name", SETS)
def test_long_tailed_profiles(name, rho):
    available, _ = SETS[name]
    counts = counts_of(name, "long_tailed", rho)
    largest = 1000 if name == "svhn" else max(available)
    assert sorted(counts) == sorted(long_tailed_counts(largest, rho, len(available)))
    if (name, rho) in LONG_TAILED:
        assert counts.tolist() == [int(n) for n in LONG_TAILED[name, rho].split()]
    if (name, rho) in TOTALS:
        assert counts.sum() == TOTALS[name, rho]


@pytest.mark.parametrize("rho", RHOS)
@pytest.mark.parametrize("name", SETS)
def test_step_profiles(name, rho):
    available, _ = SETS[name]
    counts = counts_of(name, "step", rho)
    largest = 1000 if name == "svhn" else max(available)
    assert sorted(counts) == sorted(step_counts(largest, rho, len(available)))
    rare = [0, 6, 7, 8, 9] if name == "svhn" else range(len(available) // 2, len(available))
    assert np.flatnonzero(counts == counts.min()).tolist() == list(rare)


def test_the_other_schedule_of_the_paper_is_an_override():
    schedule = '{"warmup": 0.0167, "milestones": [0.5, 0.8333], "factor": 0.1}'
    settings = ["--method.init_args.max_epochs=300", f"--method.init_args.schedule={schedule}"]
    schedule = load_recipe(MAMIX, settings).method.schedule
    rates = [schedule.at(epoch, 300) for epoch in (0, 4, 5, 149, 150, 249, 250, 299)]
    assert rates == pytest.approx([0.2, 1, 1, 1, 0.1, 0.1, 0.01, 0.01])


def test_the_full_schedule_on_jpeg_files_is_that_of_the_paper_on_another_set():
    full, paper = (
        {path.stem: load_recipe(path) for path in find_recipes([recipe_folder() / folder])}
        for folder in ("cifar10_jpeg_lt100_full", "cifar10_lt100")
    )
    assert full.keys() == paper.keys()
    for name, recipe in full.items():
        source = ["--data.source=cifar10-jpeg"]
        assert recipe.sha256 == load_recipe(recipe_folder() / "cifar10_lt100" / f"{name}.yaml", source).sha256
        assert recipe.seeds == [0, 1, 2]
        assert (recipe.published is None) == (paper[name].published is None)
        if recipe.published:
            assert recipe.published["test_balanced"] == paper[name].published["test_balanced"]
            assert "another data set than these JPEG files" in recipe.published["source"]


def test_every_row_of_the_papers_tables_on_cifar10_of_ratio_100_is_there():
    """Cheng, Mai and Lin 2023, the first column of Table 9 and Table 1: mean and standard deviation of five seeds."""
    table_9 = {
        "erm": (71.23, 0.51),
        "mixup": (74.03, 0.96),
        "remix": (75.18, 0.26),
        "mamix": (74.74, 0.76),
        "ldam": (74.01, 0.68),
        "drw": (75.08, 0.61),
        "m2m": (76.15, 0.72),
        "deepsmote": (76.66, 0.57),
        "ldam_drw": (77.75, 0.39),
        "mixup_drw": (82.11, 0.57),
        "remix_drw": (81.82, 0.14),
        "mamix_drw": (82.29, 0.60),
    }
    table_1 = {"smote": (72.68, 1.41), "smote_mix_drw": (77.46, 0.64), "neighbor_mix_drw": (80.44, 0.32)}
    recipes = {path.stem: load_recipe(path) for path in find_recipes([MAMIX.parent])}
    scores = {name: recipe.published["test_balanced"] for name, recipe in recipes.items() if recipe.published}
    assert {name: (row["acsa"], row["sd"]["acsa"]) for name, row in scores.items()} == table_9 | table_1
    assert all("Table 1 " in recipes[name].published["source"] for name in table_1)


def test_smote_on_the_pixels_has_as_many_batches_as_the_others():
    smote, erm = (load_recipe(MAMIX.with_name(f"{name}.yaml")).method for name in ("smote", "erm"))
    steps = batches_per_epoch(TOTALS["cifar10", 100], erm.batch_size) * erm.max_epochs
    assert batches_per_epoch(10 * 5000, smote.batch_size) * smote.max_epochs == pytest.approx(steps, rel=0.01)


def test_a_shorter_schedule_quotes_the_paper_and_says_that_its_data_is_another():
    ours, paper = (
        {path.stem: load_recipe(path) for path in find_recipes([recipe_folder() / folder])}
        for folder in ("cifar10_jpeg_lt100", "cifar10_lt100")
    )
    quoted = {name: recipe.published for name, recipe in ours.items() if recipe.published}
    assert quoted.keys() == {"erm", "drw", "ldam_drw", "mixup_drw", "remix_drw", "mamix_drw"}
    for name, published in quoted.items():
        assert published["test_balanced"] == paper[name].published["test_balanced"]
        assert "another data set than these JPEG files" in published["source"]
    for name, recipe in ours.items():
        method = recipe.method
        assert (method.early_stopping, method.final_weights, method.track) == (True, "last", True)
        for parameter in ("mixing", "loss", "reweighting", "batches", "backbone", "batch_size", "drw_start"):
            assert getattr(method, parameter) == getattr(paper[name].method, parameter), (name, parameter)
