"""A run is scored anew from its weights and its data, and says the same."""

import json
import shutil
import sys

import numpy as np
import pytest

import latentover
from latentover.experiments.evaluate import evaluate_run, generator_of, reads_of_test_data, score_splits
from latentover.experiments.recipe import load_recipe
from latentover.experiments.run import run_recipe

READ_BEFORE = "ignore:Expected the test data of .* to be read once:UserWarning"
NETWORK = """
from torch import nn

class Wide(nn.Module):
    def __init__(self, features: int = 8):
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(64, features))

    def forward(self, inputs):
        return self.body(inputs)
"""


@pytest.fixture
def run_copy(tiny, tmp_path):
    """A copy of a run, for evaluating it counts in it how often it was read."""
    return shutil.copytree(tiny[2], tmp_path / "run")


@pytest.mark.filterwarnings(READ_BEFORE)
def test_a_run_is_scored_to_the_bit_as_when_it_was_made(tiny, run_copy):
    assert evaluate_run(run_copy) == tiny[1]["splits"]


def test_reads_of_the_test_data_are_counted_and_warned_of(tiny, run_copy):
    assert reads_of_test_data(run_copy) == 1
    for reads in (2, 3):
        with pytest.warns(UserWarning, match=rf"Expected the test data of .*run to be read once, .* read {reads}; cho"):
            evaluate_run(run_copy)
        assert reads_of_test_data(run_copy) == reads
    metrics = json.loads((run_copy / "metrics.json").read_text(encoding="utf-8"))
    assert metrics == {**tiny[1], "test_reads": 3}


def test_a_run_from_before_the_counting_was_read_once(run_copy):
    metrics = json.loads((run_copy / "metrics.json").read_text(encoding="utf-8"))
    del metrics["test_reads"]
    (run_copy / "metrics.json").write_text(json.dumps(metrics))
    assert reads_of_test_data(run_copy) is None
    with pytest.warns(UserWarning, match="this was read 2"):
        evaluate_run(run_copy)
    assert reads_of_test_data(run_copy) == 2


@pytest.mark.filterwarnings(READ_BEFORE)
def test_a_module_of_ones_own_is_imported_where_it_is_trusted(write_recipe, machine, tmp_path, monkeypatch):
    (tmp_path / "networks_of_a_test.py").write_text(NETWORK)
    monkeypatch.syspath_prepend(tmp_path)
    backbone = {"class_path": "networks_of_a_test.Wide", "init_args": {"features": 6}}
    changes = {"method.init_args.backbone": backbone, "method.init_args.feature_dim": 6}
    recipe = load_recipe(write_recipe(changes, kind="control"), trust_modules=["networks_of_a_test"])
    metrics = run_recipe(recipe, 0, tmp_path / "out", machine)
    monkeypatch.delitem(sys.modules, "networks_of_a_test")
    with pytest.raises(ValueError, match=r"out needs a module of somebody's own; if you trust its code, name it"):
        evaluate_run(tmp_path / "out", trust_modules=["networks"])
    assert "networks_of_a_test" not in sys.modules
    assert evaluate_run(tmp_path / "out", trust_modules=["networks_of_a_test"]) == metrics["splits"]


@pytest.mark.filterwarnings(READ_BEFORE)
def test_a_network_that_recipes_know_needs_no_trust(write_recipe, machine, tmp_path):
    backbone = {"class_path": "torch.nn.Flatten"}
    changes = {"method.init_args.backbone": backbone, "method.init_args.feature_dim": 64}
    metrics = run_recipe(load_recipe(write_recipe(changes, kind="control")), 0, tmp_path / "out", machine)
    assert evaluate_run(tmp_path / "out") == metrics["splits"]


@pytest.mark.filterwarnings(READ_BEFORE)
def test_trusting_modules_changes_nothing_where_there_are_none(tiny, run_copy):
    assert evaluate_run(run_copy, trust_modules=["networks_of_a_test"]) == tiny[1]["splits"]


@pytest.mark.filterwarnings(READ_BEFORE)
def test_every_split_of_the_data_is_scored(write_recipe, machine, tmp_path):
    imbalanced = {"profile": "long_tailed", "rho": 3, "largest": 12}
    changes = {"data.imbalanced_test": imbalanced, "data.validation_fraction": 0}
    metrics = run_recipe(load_recipe(write_recipe(changes, kind="control")), 0, tmp_path / "out", machine)
    assert set(metrics["splits"]) == {"test_balanced", "test_imbalanced"}
    assert evaluate_run(tmp_path / "out") == metrics["splits"]


def test_predictions_are_the_likeliest_class():
    class Oracle:
        classes_ = np.array(["a", "b"])

        def predict_proba(self, X):
            return np.column_stack([1 - X, X])

    class Splits:
        tests = {"test_balanced": (np.array([0.1, 0.8, 0.9, 0.2]), np.array(["a", "b", "a", "a"]))}  # noqa: RUF012
        X_validation = None

    scores = score_splits(Oracle(), Splits())
    assert list(scores) == ["test_balanced"]
    assert scores["test_balanced"]["acsa"] == pytest.approx((2 / 3 + 1) / 2)


@pytest.mark.filterwarnings(READ_BEFORE)
def test_evaluating_an_untrusted_run_imports_nothing_that_it_names(tiny, tmp_path, monkeypatch):
    folder = shutil.copytree(tiny[2], tmp_path / "run")
    (tmp_path / "stranger.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    recipe = (folder / "recipe.yaml").read_text().replace("latentover.RAEClassifier", "stranger.Method")
    (folder / "recipe.yaml").write_text(recipe)
    assert evaluate_run(folder) == tiny[1]["splits"]
    config = json.loads((folder / "config.json").read_text())
    config["estimator"]["class"] = "stranger.Method"
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=r"but got 'stranger.Method'; no other class is trusted"):
        evaluate_run(folder)


@pytest.mark.filterwarnings(READ_BEFORE)
def test_data_that_has_changed_since_is_noticed(write_recipe, machine, tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "points.npz"
    X, y = rng.normal(size=(60, 3)), np.repeat([0, 1], [45, 15])
    np.savez(path, X=X, y=y)
    recipe = load_recipe(write_recipe({"data": {"source": str(path)}}, kind="control"))
    run_recipe(recipe, 0, tmp_path / "out", machine)
    np.savez(path, X=X[::-1], y=y[::-1])
    with pytest.warns(UserWarning, match=r"Expected the data that .*out was trained on .*, but got other data"):
        evaluate_run(tmp_path / "out")


def test_a_bundle_without_a_recipe_cannot_be_evaluated(tiny, tmp_path):
    latentover.save(latentover.load(tiny[2]), tmp_path)
    with pytest.raises(FileNotFoundError, match=r"to be a run with its recipe.yaml, which names the data"):
        evaluate_run(tmp_path)


def test_a_folder_that_is_no_run_cannot_be_evaluated(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"to be a run \(a folder with config.json .*but config.json is missing"
    ):
        evaluate_run(tmp_path)


def test_the_generator_is_the_step_that_samples(tiny):
    model = latentover.load(tiny[2])
    assert generator_of(model) is model
    assert generator_of(latentover.DeepClassifier()) is None
