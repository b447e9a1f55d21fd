"""Methods, samplers and mixing rules of somebody's own module in recipes, runs and bundles, where it is trusted."""

import json
import sys

import numpy as np
import pytest

import latentover
from latentover.experiments.evaluate import evaluate_run
from latentover.experiments.generate import generate
from latentover.experiments.recipe import load_recipe
from latentover.experiments.run import run_recipe

PARTS = '''
from dataclasses import dataclass

import numpy as np
import torch
from imblearn.base import BaseSampler
from latentover import DeepClassifier, RAEClassifier
from latentover.mixing import Mixed, MixingRule, Mixup


@dataclass(frozen=True)
class Halfway(MixingRule):
    """Mix each sample with its mirror image in the batch."""

    weight: float = 0.5
    after: Mixup | None = None

    def __call__(self, inputs, labels, class_counts, generator):
        weight = torch.full((len(labels),), self.weight, device=labels.device)
        mixed = torch.lerp(inputs.flip(0), inputs, self.weight)
        return Mixed(mixed, labels, labels.flip(0), weight)


@dataclass(kw_only=True, eq=False, repr=False)
class Mine(DeepClassifier):
    """A classifier with a parameter of its own."""

    sharpness: float = 2.0

    def _logits(self, batch):
        return self.sharpness * super()._logits(batch)


class Generating(RAEClassifier):
    """A classifier that generates."""


class Again(BaseSampler):
    """Repeats the last row."""

    _sampling_type = "over-sampling"
    _parameter_constraints = {}

    def __init__(self, times=3, sampling_strategy="auto"):
        self.times, self.sampling_strategy = times, sampling_strategy

    def _fit_resample(self, X, y):
        rows = [*range(len(X)), *[len(X) - 1] * self.times]
        return X[rows], y[rows]


class Elsewhere:
    pass
'''
RULE = {"class_path": "parts_of_a_test.Halfway", "init_args": {"weight": 0.25}}
READ_BEFORE = "ignore:Expected the test data of .* to be read once"
TRUST = {"trust_modules": ["parts_of_a_test"]}


@pytest.fixture(autouse=True)
def module(tmp_path, monkeypatch):
    """A file of the user's, which is not imported yet."""
    (tmp_path / "parts_of_a_test.py").write_text(PARTS)
    monkeypatch.syspath_prepend(tmp_path)
    yield "parts_of_a_test"
    sys.modules.pop("parts_of_a_test", None)


CASES = {
    "a mixing rule": {"method.init_args.mixing": RULE},
    "a rule by its name alone": {"method.init_args.mixing": "parts_of_a_test.Halfway"},
    "a method": {"method.class_path": "parts_of_a_test.Mine", "method.init_args.sharpness": 3.0},
    "a sampler": {
        "data.layout": "rows",
        "method.init_args.image_shape": [1, 8, 8],
        "sampler": {"class_path": "parts_of_a_test.Again", "init_args": {"times": 5}},
    },
}


@pytest.mark.filterwarnings(READ_BEFORE)
@pytest.mark.parametrize("changes", CASES.values(), ids=CASES)
def test_it_is_trained_saved_and_loaded_where_its_module_is_trusted(changes, write_recipe, machine, tmp_path, module):
    path = write_recipe(changes, kind="control")
    with pytest.raises(ValueError, match=r"--trust-modules names, which runs its code, but got 'parts_of_a_test\."):
        load_recipe(path)
    assert module not in sys.modules
    recipe = load_recipe(path, **TRUST)
    assert load_recipe(path, **TRUST).sha256 == recipe.sha256
    scores = run_recipe(recipe, 0, tmp_path / "out", machine)["splits"]
    del sys.modules[module]

    for loading in (latentover.load, evaluate_run):
        with pytest.raises(
            ValueError, match=r"no other class is trusted, unless trust_modules .*--trust-modules\) names"
        ):
            loading(tmp_path / "out")
    assert module not in sys.modules, "nothing was imported"
    assert evaluate_run(tmp_path / "out", **TRUST) == scores
    loaded = latentover.load(tmp_path / "out", **TRUST)
    names = json.dumps(json.loads((tmp_path / "out" / "config.json").read_text()))
    assert "parts_of_a_test." in names
    if "sampler" in changes:
        assert loaded.steps[0][1].times == 5
    elif "method.class_path" in changes:
        assert (type(loaded).__name__, loaded.sharpness) == ("Mine", 3.0)
    else:
        assert loaded.mixing.weight == (0.25 if changes["method.init_args.mixing"] is RULE else 0.5)


def test_new_samples_of_a_method_of_ones_own(write_recipe, machine, tmp_path):
    recipe = load_recipe(write_recipe({"method.class_path": "parts_of_a_test.Generating"}), **TRUST)
    run_recipe(recipe, 0, tmp_path / "out", machine)
    with pytest.raises(ValueError, match="no other class is trusted"):
        generate(tmp_path / "out", "1", 2, tmp_path / "new.npz")
    generate(tmp_path / "out", "1", 2, tmp_path / "new.npz", **TRUST)
    assert len(np.load(tmp_path / "new.npz")["X"]) == 2


@pytest.mark.parametrize(
    ("changes", "trusted", "message"),
    [
        ({"method.class_path": "parts_of_a_test.Missing"}, "parts_of_a_test", "class of method .*has no attribute"),
        (
            {"method.class_path": "parts_of_a_test.Halfway"},
            "parts_of_a_test",
            "method to be a class of kind BaseClassi",
        ),
        ({"method.class_path": "parts_of_a_test.Mine"}, "parts_of", "to be a classifier of latentover"),
        ({"method.class_path": "no_module.Mine"}, "no_module", "can be imported, but got 'no_module.Mine': No module"),
        ({"method.init_args.mixing": "parts_of_a_test.Mine"}, "parts_of_a_test", "mixing to be a class of kind Mixing"),
        ({"sampler": {"class_path": "parts_of_a_test.Elsewhere"}}, "parts_of_a_test", "class of kind SamplerMixin"),
    ],
)
def test_what_does_not_fit_says_why(changes, trusted, message, write_recipe):
    with pytest.raises(ValueError, match=message):
        load_recipe(write_recipe(changes, kind="control"), trust_modules=[trusted])


@pytest.mark.parametrize("place", ["parameters", "class"])
def test_a_bundle_makes_no_class_of_another_kind_although_its_module_is_trusted(place, write_recipe, machine, tmp_path):
    run_recipe(load_recipe(write_recipe(CASES["a mixing rule"], kind="control"), **TRUST), 0, tmp_path / "out", machine)
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    if place == "class":
        config["estimator"]["class"] = "parts_of_a_test.Elsewhere"
    else:
        config["estimator"]["parameters"]["mixing"]["value"]["class"] = "parts_of_a_test.Elsewhere"
    (tmp_path / "out" / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=r"but got 'parts_of_a_test.Elsewhere'; name another"):
        latentover.load(tmp_path / "out", **TRUST)
