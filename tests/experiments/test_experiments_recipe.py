"""Recipes are read strictly: what is wrong is said in one line that names the way out."""

import json
import re
import shutil
import sys
import time

import pytest
import yaml

from latentover import DeepClassifier, RAEClassifier, RAESampler
from latentover.experiments.recipe import (
    check_seeds,
    find_recipes,
    load_data_config,
    load_recipe,
    load_recipes,
    load_sampler,
    recipe_folder,
)

SMOTE = {"class_path": "imblearn.over_sampling.SMOTE", "init_args": {"k_neighbors": 3}}
PUBLISHED = {
    "source": "Mondal et al. 2023, Table 1",
    "test_balanced": {"acsa": 84.79, "macro_f1": 84, "sd": {"acsa": 0.15}},
}
CLASSIFIER = (
    r"Expected the class of method to be a classifier of latentover \(.*latentover.RAEClassifier\), or of .*, but got "
)


def assert_refused(path, message, overrides=()):
    """Loading fails with one line that begins with the file and then matches."""
    with pytest.raises(ValueError, match=message) as raised:
        load_recipe(path, overrides)
    text = str(raised.value)
    assert text.startswith(f"{path}: ")
    assert "\n" not in text
    return text


# ---- What a recipe says ----------------------------------------------------------------------------------------------


def test_a_recipe_is_data_and_an_estimator(write_recipe):
    recipe = load_recipe(write_recipe({"seeds": [3, 4]}))
    assert (recipe.name, recipe.group, recipe.title, recipe.seeds) == ("tiny", "recipes", "Tiny RAE", [3, 4])
    assert (recipe.data.source, recipe.data.imbalance.rho) == ("digits", 5)
    assert isinstance(recipe.method, RAEClassifier)
    assert recipe.method.max_steps == 2
    estimator = recipe.estimator(3, device="cpu", precision="float32", verbose=0)
    assert estimator is not recipe.method
    assert (estimator.random_state, estimator.device, estimator.precision) == (3, "cpu", "float32")


def test_a_recipe_with_a_sampler_is_a_pipeline(write_recipe):
    sampler = {"class_path": "latentover.RAESampler", "init_args": {"max_steps": 2}}
    recipe = load_recipe(write_recipe({"sampler": sampler}, kind="control"))
    sampler, classifier = (step for _, step in recipe.estimator(7, device="cpu").steps)
    assert isinstance(sampler, RAESampler)
    assert isinstance(classifier, DeepClassifier)
    assert (sampler.random_state, classifier.random_state, sampler.device, classifier.device) == (7, 7, "cpu", "cpu")


def test_a_sampler_of_imbalanced_learn_takes_the_seed_and_what_it_has_of_the_machine(write_recipe):
    recipe = load_recipe(write_recipe({"sampler": SMOTE, "data.layout": "rows"}, kind="control"))
    (_, smote), _ = recipe.estimator(7, device="cpu", verbose=0).steps
    assert (smote.k_neighbors, smote.random_state) == (3, 7)


def test_the_title_is_the_file_name_where_there_is_none(write_recipe):
    assert load_recipe(write_recipe({"title": ...}, name="my_method")).title == "my method"


def test_defaults_are_the_constructors(write_recipe):
    recipe = load_recipe(write_recipe({"evaluation": ..., "seeds": ..., "method": "latentover.DeepClassifier"}))
    assert (recipe.seeds, recipe.evaluation.grid_samples, recipe.evaluation.tsne_points) == ([0, 1, 2], 4, 600)
    machine = ("device", "precision", "random_state", "verbose")
    defaults = {k: v for k, v in DeepClassifier().get_params().items() if k not in machine}
    assert {k: v for k, v in recipe.method.get_params().items() if k not in machine} == defaults


@pytest.mark.parametrize("text", ["2e-4", "2E-4", "0.0002", "2.0e-4", ".2e-3"])
def test_scientific_notation_is_a_number(write_recipe, text):
    path = write_recipe({"method.init_args.learning_rate": 0.5})
    path.write_text(path.read_text().replace("learning_rate: 0.5", f"learning_rate: {text}"))
    recipe = load_recipe(path)
    assert recipe.method.learning_rate == 2e-4
    assert yaml.safe_load(recipe.text)["method"]["init_args"]["learning_rate"] == 2e-4


@pytest.mark.parametrize("rate", [1e-5, 1e-7, 3e-300, 0.1])
def test_the_resolved_text_is_the_same_recipe(write_recipe, tmp_path, rate):
    recipe = load_recipe(write_recipe({"method.init_args.learning_rate": rate, "title": "größer: 5"}))
    copy = tmp_path / "recipe.yaml"
    copy.write_text(recipe.text, encoding="utf-8")
    again = load_recipe(copy)
    assert (again.sha256, again.text, again.title) == (recipe.sha256, recipe.text, recipe.title)
    assert again.method.learning_rate == rate


def test_the_resolved_text_has_every_setting_but_those_of_the_machine(write_recipe):
    sampler = {"class_path": "latentover.RAESampler", "init_args": {"sampling_strategy": {0: 100, 1: 50}}}
    content = yaml.safe_load(load_recipe(write_recipe({"sampler": sampler})).text)
    assert list(content) == ["title", "data", "sampler", "method", "evaluation", "seeds"]
    assert content["data"]["validation_fraction"] == 0.1
    for part in ("sampler", "method"):
        names = content[part]["init_args"].keys()
        assert {"weight_decay", "schedule"} <= names
        assert not names & {"device", "precision", "random_state", "verbose"}
    assert content["sampler"]["init_args"]["sampling_strategy"] == {0: 100, 1: 50}


def test_the_hash_names_what_is_trained(write_recipe):
    def sha256(changes=None, overrides=()):
        return load_recipe(write_recipe(changes), overrides).sha256

    plain = sha256()
    assert re.fullmatch("[0-9a-f]{64}", plain)
    for same in (
        {},
        {"title": "Another"},
        {"seeds": [5, 6]},
        {"method.init_args.tau": 1.0},
        {"published": PUBLISHED},
    ):
        assert sha256(same) == plain
    changes = [
        {"method.init_args.max_steps": 3},
        {"data.imbalance.rho": 6},
        {"data.seed": 1},
        {"sampler": {"class_path": "latentover.RAESampler"}},
        {"evaluation.grid_samples": 2},
    ]
    assert len({plain, *map(sha256, changes)}) == 1 + len(changes)
    assert sha256(overrides=["--method.init_args.max_steps", "3"]) == sha256(changes[0])


# ---- What is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dotted", "place", "nearest"),
    [
        ("methd", "a recipe", "method"),
        ("data.sorce", "data", "source"),
        ("data.imbalance.roh", "data.imbalance", "rho"),
        ("data.imbalanced_test.profil", "data.imbalanced_test", "profile"),
        ("evaluation.grid_sample", "evaluation", "grid_samples"),
        ("method.init_arg", "method", "init_args"),
        ("method.latent_dim", "method", "init_args.latent_dim"),
        ("method.init_args.latnt_dim", "method.init_args", "latent_dim"),
        ("sampler.init_args.k_neighbours", "sampler.init_args", "k_neighbors"),
    ],
)
def test_an_unknown_key_names_the_nearest_known_one(write_recipe, dotted, place, nearest):
    key = dotted.split(".")[-1]
    base = {"sampler": SMOTE}
    assert_refused(
        write_recipe({**base, dotted: 3}),
        re.escape(f"Expected known keys in {place}, but got {key!r}; did you mean {nearest!r}?") + "$",
    )
    place = "an option of the command or a setting of the recipe" if place == "a recipe" else f"known keys in {place}"
    assert_refused(
        write_recipe(base),
        re.escape(f"Expected {place}, but got --{dotted}; did you mean {nearest!r}?") + "$",
        [f"--{dotted}", "3"],
    )


def test_an_unknown_key_like_no_other_lists_the_known_ones(write_recipe):
    known = "title, data, sampler, method, evaluation, seeds, published"
    assert_refused(write_recipe({"xyz": 3}), f"in a recipe, but got 'xyz'; known are {known}, variants.$")
    assert_refused(write_recipe(), f"but got --xyz; known are {known}.$", ["--xyz=3"])
    path = write_recipe()
    path.write_text(path.read_text() + "\n3: 3\n")
    assert_refused(path, "in a recipe, but got 3; known")


@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("device", "--device"),
        ("precision", "--precision"),
        ("random_state", "--seed"),
        ("verbose", "--quiet"),
        ("checkpoint", "--checkpoint-every"),
        ("checkpoint_every", "--checkpoint-every"),
    ],
)
@pytest.mark.parametrize("place", ["", "method.init_args", "sampler.init_args"])
def test_what_belongs_to_the_machine_is_an_option_of_the_command(write_recipe, name, option, place):
    dotted = f"{place}.{name}".lstrip(".")
    sampler = {"sampler": {"class_path": "latentover.RAESampler", "init_args": {}}}
    message = (
        f"Expected {place or 'a recipe'} to say what is trained, but got .*{name}.*; that is .*the option {option} "
    )
    message = message if name == "random_state" else message.replace(".*the option", "the option")
    assert_refused(write_recipe({**sampler, dotted: 1}), message)
    assert_refused(write_recipe(sampler), message, [f"--{dotted}", "1"])


@pytest.mark.parametrize("name", ["callbacks", "capture", "compile"])
def test_what_is_a_constructors_alone_says_so(write_recipe, name):
    message = f"to say what is trained, but got '{name}', which .*; that is a constructor's, in Python."
    assert_refused(write_recipe({f"method.init_args.{name}": 1}), message)


@pytest.mark.parametrize(
    ("class_path", "hint"),
    [
        ("latentover.RAEClasifier", r"; did you mean 'latentover.RAEClassifier'\?"),
        ("RAEClassifier", r"; did you mean 'latentover.RAEClassifier'\?"),
        ("latentover.methods.rae.RAEClassifier", r"; did you mean 'latentover.RAEClassifier'\?"),
        ("latentover.RAESampler", ""),
        ("latentover.bundle.load", ""),
        ("sklearn.linear_model.LogisticRegression", ""),
        ("imblearn.ensemble.BalancedRandomForestClassifier", ""),
        ("os.system", r"\."),
        (3, r"\."),
        ([1], r"\."),
    ],
)
def test_an_unknown_method_names_the_nearest_known_one(write_recipe, class_path, hint):
    changes = {"method": {"class_path": class_path, "init_args": {}}}
    assert_refused(write_recipe(changes), CLASSIFIER + re.escape(repr(class_path)) + hint)
    if isinstance(class_path, str):
        for option in ("--method", "--method.class_path"):
            assert_refused(write_recipe(), CLASSIFIER, [option, class_path])


def test_an_unknown_sampler_names_the_nearest_known_one(write_recipe):
    assert_refused(
        write_recipe({"sampler": "imblearn.over_sampling.SMOTEE"}),
        r"Expected the class of sampler to be a sampler of latentover \(latentover.AMDO, .*SmoothedBootstrapSampler\) "
        r"or of imbalanced-learn, or of a module that --trust-modules names, which runs its code, "
        r"but got 'imblearn.over_sampling.SMOTEE'; did you mean 'imblearn.over_sampling.SMOTE'\?",
    )


def test_a_class_of_the_users_own_is_not_imported(write_recipe, tmp_path, monkeypatch):
    (tmp_path / "stranger.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    assert_refused(write_recipe({"method": {"class_path": "stranger.Method"}}), CLASSIFIER + "'stranger.Method'")


@pytest.mark.parametrize(
    ("dotted", "value", "message"),
    [
        ("method.init_args.latent_dim", "x", "method.init_args.latent_dim to be a whole number or null, but got 'x'"),
        ("method.init_args.latent_dim", 1.5, "method.init_args.latent_dim to be a whole number or null, but got '1.5'"),
        ("method.init_args.dropout", [1], "method.init_args.dropout to be a number or null, but got"),
        ("method.init_args.decoder_classification", "maybe", ".*decoder_classification to be true or false, but got"),
        (
            "method.init_args.schedule",
            "one_cycl",
            r".*schedule to be 'constant' or .* or 'one_cycle' or null, but got 'one_cycl'; did you mean 'one_cycle'\?",
        ),
        ("method.init_args.latent_dim", -3, "method.init_args.latent_dim to be a whole number at least 1, but got -3"),
        ("method.init_args", [1], r"method.init_args to be a mapping .*, but got \[1\]"),
        ("method", {"init_args": {}}, "method to have a class_path, but got"),
        ("method", ..., "a value for method, but got none; add it"),
        ("data", ..., "a value for data.source, but got none; add it"),
        ("data", None, "a value for data.source, but got none; add it"),
        ("data.source", ..., "a value for data.source, but got none; add it"),
        ("data", "digits", "data to be a mapping with keys like source, but got 'digits'"),
        ("data.test_fraction", "x", "data.test_fraction to be a number, but got 'x'"),
        ("data.test_fraction", 2, "`test_fraction` to be strictly between 0 and 1, but got 2"),
        ("data.layout", "row", r"data.layout to be 'images' or 'rows', but got 'row'; did you mean 'rows'\?"),
        ("data.imbalance.profile", "long", "data.imbalance.profile to be 'counts' or 'long_tailed' or 'step' .*'long'"),
        ("data.imbalance.rho", 0.5, "`rho` to be a number of at least 1 .*, but got 0.5"),
        ("evaluation.grid_samples", "x", "evaluation.grid_samples to be a whole number, but got 'x'"),
        ("evaluation.grid_samples", -1, "evaluation.grid_samples to be from 0 to 1000, but got -1"),
        ("evaluation", 3, "evaluation to be a mapping with keys like grid_samples, but got 3"),
        ("title", 3, "title to be text or null, but got '3'"),
        ("seeds", "abc", "seeds to be a list, but got 'abc'"),
        ("seeds", 3, "seeds to be a list, but got '3'"),
        ("seeds", [0.5], "seeds to be a whole number, but got '0.5'"),
        ("seeds", [], r"seeds to be one or more different whole numbers of at least 0, but got \[\]"),
        ("seeds", [0, -1], r"seeds to be one or more different whole numbers of at least 0, but got \[0, -1\]"),
        ("seeds", [1, 1], r"seeds to be one or more different whole numbers of at least 0, but got \[1, 1\]"),
    ],
)
def test_a_wrong_value_says_what_was_expected(write_recipe, dotted, value, message):
    text = assert_refused(write_recipe({dotted: value}), "Expected " + message.replace(" .*'", ".*'"))
    assert len(text.split("Expected")) == 2


NETWORKS = "a network of torch.nn, torchvision.models, torchvision.ops or latentover.networks, or of a module that "


@pytest.mark.parametrize(
    ("class_path", "trusted", "why"),
    [
        ("no_such_file.Wide", [], f"{NETWORKS}--trust-modules names, which runs its code, but got 'no_such_file.Wide'"),
        (
            "no_such_file.Wide",
            ["no_such_file"],
            "a class that can be imported, but got .*: No module named 'no_such_file'",
        ),
        ("no_such_file.a.Wide", ["no_such_file"], "a class that can be imported, but got .*: No module named"),
        ("no_such_file_.Wide", ["no_such_file"], NETWORKS),
        ("torch.nn.Linnear", [], rf"{NETWORKS}.*, but got 'torch.nn.Linnear'; did you mean 'torch.nn.Linear'\?"),
        ("torch.nn.Flatten", [], "a module that can be made, but got 'torch.nn.Flatten': Option 'features' is not acc"),
        ("torch.nn.functional.relu", [], NETWORKS),
        ("latentover.DeepClassifier", [], NETWORKS),
        ("torch.optim.Adam", ["torch"], "a class of kind Module, but got 'torch.optim.Adam'"),
    ],
)
def test_a_module_that_cannot_be_made_says_why(write_recipe, class_path, trusted, why):
    backbone = {"class_path": class_path, "init_args": {"features": 3}}
    path = write_recipe({"method.init_args.backbone": backbone}, kind="control")
    with pytest.raises(ValueError, match=f"{path}: Expected method.init_args.backbone to be {why}"):
        load_recipe(path, trust_modules=trusted)


# ---- What a recipe may build -----------------------------------------------------------------------------------------


@pytest.fixture
def stranger(tmp_path, monkeypatch):
    """A module of somebody's own that says so in a file when it is imported, and when its class is made."""
    (tmp_path / "stranger.py").write_text(
        f"""
from pathlib import Path
from torch import nn
trace = Path({str(tmp_path / "trace")!r})
trace.write_text("imported")
class Runner:
    def __init__(self, command: str = ""):
        trace.write_text("made")
class Network(nn.Flatten):
    def __init__(self, features: int = 64, other: Runner | None = None):
        super().__init__()
        trace.write_text("made")
def call(*args):
    trace.write_text("called")
"""
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path / "trace"
    sys.modules.pop("stranger", None)


RUNNER = {"class_path": "stranger.Runner", "init_args": {"command": "ls"}}
NETWORK = {"class_path": "stranger.Network"}
TRANSFORMER = {"class_path": "torch.nn.TransformerEncoderLayer", "init_args": {"d_model": 8, "nhead": 2}}


def transformer(**arguments):
    return {**TRANSFORMER, "init_args": {**TRANSFORMER["init_args"], **arguments}}


STRANGE = [
    ("clip", RUNNER, "rae"),
    ("clip", {"a": RUNNER}, "rae"),
    ("clip", [RUNNER], "rae"),
    ("clip", "{class_path: stranger.Runner}", "rae"),
    ("clip", ' {"class_path":"stranger.Runner"}', "rae"),
    ("clip", '{\t"class_path": "stranger.Runner"}', "rae"),
    ("clip", "{class_path: 1, class_path: stranger.Runner}", "rae"),
    ("base_selection", RUNNER, "rae"),
    ("categorical_features", RUNNER, "rae"),
    ("latent_dim", RUNNER, "rae"),
    ("alpha", [RUNNER], "rae"),
    ("encoder", NETWORK, "rae"),
    ("encoder", "stranger.Network", "rae"),
    ("mixing", RUNNER, "rae"),
    ("mixing", "stranger.Runner", "rae"),
    ("mixing", {"class_path": "latentover.mixing.Mixup", "init_args": {"alpha": RUNNER}}, "rae"),
    ("mixing", {"class_path": "latentover.mixing.Mixup", "dict_kwargs": {"alpha": RUNNER}}, "rae"),
    ("backbone", NETWORK, "control"),
    ("backbone", "stranger.Network", "control"),
    ("backbone", transformer(activation="stranger.call"), "control"),
    ("backbone", transformer(activation=RUNNER), "control"),
    ("backbone", transformer(device=RUNNER), "control"),
    ("backbone", {"class_path": "torchvision.ops.MLP", "init_args": {"norm_layer": "stranger.call"}}, "control"),
    ("schedule", RUNNER, "control"),
    ("schedule", {"factor": RUNNER}, "control"),
    ("stage_sampler", RUNNER, "control"),
    ("stage_sampler", {"class_path": "imblearn.over_sampling.SMOTE", "init_args": {"k_neighbors": RUNNER}}, "control"),
    (
        "stage_sampler",
        {"class_path": "latentover.ClassicalSampler", "init_args": {"options": {"svm_estimator": RUNNER}}},
        "control",
    ),
]


@pytest.mark.parametrize(("name", "value", "kind"), STRANGE)
def test_a_recipe_imports_and_makes_nothing_that_it_may_not(write_recipe, stranger, name, value, kind):
    text = value if isinstance(value, str) else json.dumps(value)
    dotted = f"method.init_args.{name}"
    assert_refused(write_recipe({dotted: value}, kind=kind), f"Expected {dotted}.* to ")
    assert_refused(write_recipe(kind=kind), f"Expected {dotted}.* to ", [f"--{dotted}", text])
    with pytest.raises(ValueError, match=f", variant x: Expected {dotted}.* to "):
        load_recipes(write_recipe({"variants": {"x": {dotted: value}}}, kind=kind))
    assert not stranger.exists()


@pytest.mark.parametrize(
    "overrides",
    [
        ["--method.init_args.clip.class_path", "stranger.Runner"],
        ["--method.init_args.clip.class_path=stranger.Runner", "--method.init_args.clip.init_args.command=ls"],
        ["--method.init_args.mixing.class_path", "stranger.Runner"],
        ["--method.init_args.encoder.init_args.activation", "stranger.call"],
        ["--data", "{class_path: stranger.Runner}"],
        ["--data.imbalance", "{class_path: stranger.Runner}"],
        ["--data.source", "{class_path: stranger.Runner}"],
        ["--evaluation", "{class_path: stranger.Runner}"],
        ["--method", "{class_path: stranger.Runner}"],
        ["--sampler", "{class_path: imblearn.over_sampling.SMOTE, init_args: {k_neighbors: {class_path: stranger.A}}}"],
        ["--method.init_args", "{clip: {class_path: stranger.Runner}}"],
        ["--sampler=latentover.RAESampler", "--sampler.init_args.clip", "{class_path: stranger.Runner}"],
    ],
)
def test_an_override_imports_and_makes_nothing_that_it_may_not(write_recipe, stranger, overrides):
    assert_refused(write_recipe(), "Expected ", overrides)
    assert not stranger.exists()


def test_a_file_of_a_sampler_imports_and_makes_nothing_that_it_may_not(stranger, tmp_path):
    for name, value in [("clip", RUNNER), ("encoder", NETWORK), ("sampling_strategy", "{class_path: stranger.Runner}")]:
        sampler = {"class_path": "latentover.RAESampler", "init_args": {name: value}}
        path = tmp_path / "evil.yaml"
        path.write_text(yaml.safe_dump(sampler), encoding="utf-8")
        with pytest.raises(ValueError, match=rf"evil.yaml: Expected sampler.init_args.{name} to be"):
            load_sampler(str(path))
        with pytest.raises(ValueError, match=rf"Expected sampler.init_args.{name} to be"):
            load_sampler("latentover.RAESampler", [f"--sampler.init_args.{name}", yaml.safe_dump(value)])
    assert not stranger.exists()


def test_networks_of_modules_that_are_trusted_are_made(write_recipe, stranger):
    path = write_recipe({"method.init_args.backbone": {**NETWORK, "init_args": {"features": 3}}}, kind="control")
    recipe = load_recipe(path, trust_modules=["stranger"])
    assert type(recipe.method.backbone).__name__ == "Network"
    assert load_recipes(path, trust_modules=["stranger"])[0].sha256 == recipe.sha256
    for more in (RUNNER, {"class_path": "collections.Counter"}):
        path = write_recipe({"method.init_args.backbone": {**NETWORK, "init_args": {"other": more}}}, kind="control")
        if more is not RUNNER:  # of a module that nobody trusts
            with pytest.raises(ValueError, match=r"but got 'collections.Counter'"):
                load_recipe(path, trust_modules=["stranger"])
        else:
            assert load_recipe(path, trust_modules=["stranger"]).method.backbone


RESNET = {"image_shape": [1, 8, 8], "feature_dim": 4}


@pytest.mark.parametrize(
    ("name", "value", "type_name"),
    [
        ("mixing", {"class_path": "latentover.mixing.Mixup", "init_args": {"alpha": 0.4}}, "Mixup"),
        ("mixing", "latentover.mixing.Remix", "Remix"),
        ("mixing", {"class_path": "Remix"}, "Remix"),
        ("schedule", {"factor": 0.1}, "StepDecay"),
        ("schedule", {"class_path": "latentover.training.StepDecay", "init_args": {"factor": 0.1}}, "StepDecay"),
        ("backbone", {"class_path": "torch.nn.Flatten", "init_args": {"start_dim": 1}}, "Flatten"),
        (
            "backbone",
            {"class_path": "torchvision.ops.MLP", "init_args": {"in_channels": 3, "hidden_channels": [4]}},
            "MLP",
        ),
        ("backbone", {"class_path": "latentover.networks.SmallResNet", "init_args": RESNET}, "SmallResNet"),
        ("backbone", "resnet32", "str"),
        ("stage_sampler", {"class_path": "imblearn.over_sampling.SMOTE", "init_args": {"k_neighbors": 3}}, "SMOTE"),
        ("stage_sampler", "latentover.AMDO", "AMDO"),
    ],
)
def test_what_a_recipe_may_build_it_can_build_again(write_recipe, tmp_path, name, value, type_name):
    changes = {f"method.init_args.{name}": value, "method.init_args.max_epochs": 20}
    recipe = load_recipe(write_recipe(changes, kind="control"))
    assert type(getattr(recipe.method, name)).__name__ == type_name
    (tmp_path / "recipe.yaml").write_text(recipe.text, encoding="utf-8")
    assert load_recipe(tmp_path / "recipe.yaml").sha256 == recipe.sha256


def test_a_sampler_in_a_sampler_is_one_that_is_expected(write_recipe):
    smote = {"class_path": "imblearn.over_sampling.SMOTE", "init_args": {"k_neighbors": 2}}
    both = {"class_path": "imblearn.combine.SMOTEENN", "init_args": {"smote": smote}}
    assert load_recipe(write_recipe({"sampler": both}, kind="control")).sampler.smote.k_neighbors == 2
    both["init_args"] = {"sampling_strategy": smote}
    assert_refused(write_recipe({"sampler": both}), "Expected sampler.init_args.sampling_strategy to be a value")
    both["init_args"] = {"enn": smote}
    assert_refused(write_recipe({"sampler": both}), "Expected sampler.init_args.enn to be one of .*EditedNearest")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("mixing", "latentover.mixing.Mixxup", r"one of .*latentover.mixing.Remix, .*; did you mean 'latentover.mix"),
        ("mixing", {"class_path": "Mixup2"}, r"one of .*latentover.mixing.AMMixup, .*, but got 'Mixup2'"),
        ("mixing", "foo", r"one of .*latentover.mixing.AMMixup, .*, but got 'foo'"),
        ("stage_sampler", "imblearn.over_sampling.SMOT", r".*; did you mean 'imblearn.over_sampling.SMOTE'"),
        ("stage_sampler", "imblearn.under_sampling.TomekLinks", r"one of latentover.AMDO, .*, but got 'imblearn.under"),
        ("schedule", {"class_path": "latentover.training.Step"}, "one of latentover.training.StepDecay, or .*, but"),
    ],
)
def test_an_unknown_class_of_a_parameter_says_which_are_known(write_recipe, name, value, message):
    path = write_recipe({f"method.init_args.{name}": value}, kind="control")
    assert_refused(path, f"Expected method.init_args.{name} to be {message}")


# ---- What is read strictly -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("data: {source: digits}\ndata: {source: mnist}", "to be YAML, but it is not: the key 'data' is there twice"),
        ("data: {source: digits, seed: 1, seed: 2}", "the key 'seed' is there twice in .*line 1, column 7"),
        ("a: &a [*a]", "Expected the recipe to end, but got an alias that leads into itself"),
        ("a: &a {b: {c: *a}}", "Expected the recipe to end, but got an alias that leads into itself"),
        (
            "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n"
            + "\n".join(f"{x}: &{x} [{', '.join([f'*{y}'] * 10)}]" for y, x in zip("abcdefg", "bcdefgh", strict=True)),
            "Expected the recipe to have at most 20,000 values, but got more",
        ),
        ("a: " + "[" * 5000, "Expected the recipe to be YAML of at most 50 levels"),
        ("- " * 5000, "Expected the recipe to be YAML of at most 50 levels"),
        ("a: " + "x" * 100_001, "Expected the recipe to have at most 100,000 characters"),
        ("? [1, 2]\n: 3", "Expected known keys in a recipe, but got|unhashable"),
    ],
)
def test_yaml_that_says_a_thing_twice_or_has_no_end(tmp_path, content, message):
    path = tmp_path / "bad.yaml"
    path.write_text(content, encoding="utf-8")
    start = time.perf_counter()
    assert_refused(path, message)
    with pytest.raises(ValueError, match=message.replace("known keys in a recipe", "")):
        load_sampler(str(path))
    assert time.perf_counter() - start < 5


def test_an_alias_is_what_it_stands_for(write_recipe):
    path = write_recipe()
    path.write_text(path.read_text() + "imbalance: &i {profile: long_tailed, rho: 7}\n")
    text = path.read_text().replace("imbalance: &i {profile: long_tailed, rho: 7}\n", "")
    path.write_text(text.replace("largest: 30", "largest: &n 30").replace("tsne_points: 40", "tsne_points: *n"))
    assert load_recipe(path).evaluation.tsne_points == 30


@pytest.mark.parametrize(("seed", "fails"), [(2**32 - 1, False), (2**32, True), (10**30, True)])
def test_seeds_are_those_that_numpy_takes(write_recipe, seed, fails):
    path = write_recipe({"seeds": [0, seed]})
    if fails:
        assert_refused(path, f"Expected seeds to be at most 4294967295, but got {seed}; give for example 0 1 2")
    else:
        assert load_recipe(path).seeds == [0, seed]


@pytest.mark.parametrize("name", ["foo", "resnet-18", "fasterrcnn_resnet50_fpn"])
def test_a_backbone_that_nobody_knows_fails_at_reading(write_recipe, name):
    path = write_recipe({"method.init_args.backbone": name}, kind="control")
    assert_refused(path, rf"backbone to be one of \('auto', .*torchvision.*, but got '{name}'")


@pytest.mark.parametrize(("name", "most"), [("grid_samples", 1000), ("tsne_points", 100_000)])
def test_pictures_that_no_one_can_look_at_are_refused_before_training(write_recipe, name, most):
    assert getattr(load_recipe(write_recipe({f"evaluation.{name}": most})).evaluation, name) == most
    path = write_recipe({f"evaluation.{name}": most + 1})
    assert_refused(path, f"Expected evaluation.{name} to be from 0 to {most}, but got {most + 1}")


@pytest.mark.parametrize("value", ["x", "-3"])
def test_a_wrong_override_says_what_was_expected(write_recipe, value):
    for overrides in (["--method.init_args.latent_dim", value], [f"--method.init_args.latent_dim={value}"]):
        assert_refused(write_recipe(), f"latent_dim to be a whole number .*, but got '?{value}", overrides)


def test_every_parameter_out_of_range_is_named_at_once(write_recipe):
    changes = {"method.init_args.latent_dim": 0, "method.init_args.max_steps": 0}
    assert_refused(
        write_recipe(changes),
        r"init_args\.latent_dim to be .*, but got 0; and method\.init_args\.max_steps to be .*, but got 0",
    )


def test_overrides_need_a_name_and_a_value(write_recipe):
    assert_refused(write_recipe(), "Expected overrides like --method.* 32, but got 'stray' without a name", ["stray"])
    assert_refused(write_recipe(), "but got '--' without a name", ["--", "3"])
    assert_refused(write_recipe(), "Expected a value after --data.seed, but there is none", ["--data.seed"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("title: [", "Expected the recipe to be YAML, but it is not: while parsing"),
        ("a: b: c", "Expected the recipe to be YAML, but it is not: mapping values are not allowed here"),
        ("!!python/object/apply:os.system [ls]", "Expected the recipe to be YAML, but it is not: could not determine"),
        ("- 1\n- 2", r"Expected the recipe to be a mapping with the keys title, data, .*, but got \[1, 2\]"),
        ("", "Expected the recipe to be a mapping with the keys title, data, .*, but got None"),
        ("just words", "Expected the recipe to be a mapping .*, but got 'just words'"),
    ],
)
def test_a_file_that_is_no_recipe(tmp_path, content, message):
    path = tmp_path / "bad.yaml"
    path.write_text(content, encoding="utf-8")
    assert_refused(path, message)


def test_bytes_that_are_no_text(tmp_path):
    (tmp_path / "bad.yaml").write_bytes(b"\x89PNG\xff\xfe")
    assert_refused(tmp_path / "bad.yaml", "Expected the recipe to be YAML, but it is not")


def test_a_file_that_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"Expected a recipe, but .*no.yaml is not a file"):
        load_recipe(tmp_path / "no.yaml")


# ---- Overrides -------------------------------------------------------------------------------------------------------


def test_overrides_go_before_the_recipe(write_recipe):
    recipe = load_recipe(
        write_recipe(),
        [
            "--method.init_args.latent_dim",
            "32",
            "--data.imbalance.rho=50",
            "--method.init_args.learning_rate",
            "1e-5",
            "--seeds",
            "[1,2]",
            "--title=Other",
            "--evaluation.tsne_points",
            "0",
        ],
    )
    assert (recipe.method.latent_dim, recipe.data.imbalance.rho, recipe.method.learning_rate) == (32, 50, 1e-5)
    assert (recipe.seeds, recipe.title, recipe.evaluation.tsne_points) == ([1, 2], "Other", 0)
    assert recipe.data.imbalance.largest == 30  # what is beside an override stays


def test_an_override_can_remove(write_recipe):
    recipe = load_recipe(write_recipe({"sampler": SMOTE}), ["--sampler", "null", "--data.imbalance", "null"])
    assert recipe.sampler is None
    assert recipe.data.imbalance is None


def test_an_override_can_change_the_method(write_recipe):
    recipe = load_recipe(
        write_recipe(kind="control"),
        ["--method", "latentover.RAEClassifier", "--method.init_args.n_components", "3"],
    )
    assert isinstance(recipe.method, RAEClassifier)
    assert recipe.method.n_components == 3


# ---- Published numbers -----------------------------------------------------------------------------------------------


def test_published_numbers_are_kept_as_they_are(write_recipe, tmp_path):
    recipe = load_recipe(write_recipe({"published": PUBLISHED}))
    assert recipe.published == PUBLISHED
    copy = tmp_path / "recipe.yaml"
    copy.write_text(recipe.text, encoding="utf-8")
    assert load_recipe(copy).published == PUBLISHED
    assert load_recipe(write_recipe()).published is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"test_balanced.gm": 91.3}, "known keys in published.test_balanced, but got 'gm'; did you mean 'gm_[abc]'"),
        ({"test_balanced.sd.acas": 1}, "known keys in published.test_balanced.sd, but got 'acas'; did you mean 'acsa'"),
        (
            {"test_balance": {"acsa": 1}},
            "known keys in published, but got 'test_balance'; did you mean 'test_balanced'",
        ),
        ({"acsa": 84.79}, r"known keys in published, but got 'acsa'; did you mean 'test_balanced.acsa'\?"),
        ({"test_balanced": 84.79}, "published.test_balanced to be a mapping with keys like acsa, but got 84.79"),
        ({"source": ...}, "published.source to say where the numbers are from, but got None; name paper and table"),
        ({"source": " "}, "published.source to say where the numbers are from, but got ' '"),
        ({"test_balanced": ...}, "published to have numbers for test_balanced or test_imbalanced, but got none"),
        ({"test_balanced.acsa": "84.79"}, "published.test_balanced.acsa to be a percentage .*, but got '84.79'"),
        ({"test_balanced.acsa": 847.9}, "published.test_balanced.acsa to be a percentage from 0 to 100, but got 847.9"),
        ({"test_balanced.sd.acsa": -1}, "published.test_balanced.sd.acsa to be a percentage .*, but got -1"),
        (
            {"test_balanced.acsa": ...},
            "published.test_balanced.sd to belong to metrics beside it, but got 'acsa' alone",
        ),
    ],
)
def test_wrong_published_numbers_are_refused(write_recipe, changes, message):
    changes = {f"published.{dotted}": value for dotted, value in changes.items()}
    assert_refused(write_recipe({"published": PUBLISHED, **changes}), "Expected " + message)


# ---- Variants --------------------------------------------------------------------------------------------------------


def test_variants_are_recipes_in_their_order_with_their_settings(write_recipe):
    variants = {
        "plain": None,
        "wide": {"title": "Wide", "method.init_args.latent_dim": 6, "method.init_args.learning_rate": "2e-4"},
        "a.smaller_rho": {"data": {"imbalance": {"rho": 3}}, "seeds": [4], "published": PUBLISHED},
    }
    path = write_recipe({"variants": variants}, name="ablation")
    plain, wide, smaller = load_recipes(path)
    assert [r.name for r in (plain, wide, smaller)] == ["ablation-plain", "ablation-wide", "ablation-a.smaller_rho"]
    assert [r.title for r in (plain, wide, smaller)] == ["Tiny RAE: plain", "Wide", "Tiny RAE: a.smaller rho"]
    assert (plain.seeds, smaller.seeds, plain.published, smaller.published) == ([0], [4], None, PUBLISHED)
    assert (wide.method.latent_dim, wide.method.learning_rate, wide.method.max_steps) == (6, 2e-4, 2)
    assert (plain.data.imbalance.rho, smaller.data.imbalance.rho, smaller.data.imbalance.largest) == (5, 3, 30)
    assert plain.sha256 == load_recipe(write_recipe()).sha256
    assert wide.sha256 == load_recipe(write_recipe(), ["--method.init_args.latent_dim=6", LEARNING_RATE]).sha256
    assert load_recipe(path, variant="wide").text == wide.text
    assert "variants" not in yaml.safe_load(wide.text)


LEARNING_RATE = "--method.init_args.learning_rate=2e-4"


def test_a_variant_can_be_another_method_after_a_sampler(write_recipe):
    changes = {
        "sampler": SMOTE,
        "data.layout": "rows",
        "method": {"class_path": "latentover.DeepClassifier", "init_args": {"image_shape": [1, 8, 8]}},
    }
    (recipe,) = load_recipes(write_recipe({"variants": {"smote": changes}}))
    assert isinstance(recipe.method, DeepClassifier)
    assert (recipe.sampler.k_neighbors, recipe.method.image_shape) == (3, (1, 8, 8))
    assert recipe.method.hidden_units == 8  # what both methods have stays
    (recipe,) = load_recipes(write_recipe({"sampler": SMOTE, "variants": {"alone": {"sampler": None}}}))
    assert recipe.sampler is None


def test_a_recipe_of_variants_needs_no_method_of_its_own(write_recipe):
    variants = {"rae": {"method": {"class_path": "latentover.RAEClassifier", "init_args": {"latent_dim": 7}}}}
    (recipe,) = load_recipes(write_recipe({"method": ..., "variants": variants}))
    assert recipe.method.latent_dim == 7


def test_overrides_go_before_variants(write_recipe):
    path = write_recipe({"variants": {"a": {"method.init_args.latent_dim": 6}, "b": {}}})
    recipes = load_recipes(path, ["--method.init_args.latent_dim", "9", "--title", "Mine"])
    assert [(recipe.method.latent_dim, recipe.title) for recipe in recipes] == [(9, "Mine")] * 2


def test_a_recipe_without_variants_is_all_that_its_file_holds(write_recipe):
    path = write_recipe()
    assert [recipe.sha256 for recipe in load_recipes(path)] == [load_recipe(path).sha256]


@pytest.mark.parametrize(
    ("variants", "message"),
    [
        (
            {"good": {}, "x": {"method.init_args.latnt_dim": 3}},
            ", variant x: .*but got method.init_args.latnt_dim; did",
        ),
        ({"x": {"method": {"init_args": {"latnt_dim": 3}}}}, ", variant x: .*did you mean 'latent_dim'"),
        ({"x": {"latent_dim": 3}}, ", variant x: .*but got latent_dim"),
        (
            {"x": {"method.init_args.latent_dim": "x"}},
            ", variant x: .*latent_dim to be a whole number or null, but got",
        ),
        ({"x": {"method.init_args.latent_dim": 0}}, ", variant x: .*latent_dim to be .* at least 1, but got 0"),
        ({"x": {"method.init_args.device": "cpu"}}, ", variant x: .*that is the option --device of the command"),
        ({"x": {"method.class_path": "os.system"}}, ", variant x: Expected the class of method"),
        ({"x": {"seeds": [1, 1]}}, ", variant x: Expected seeds to be"),
        ({"x": {"published": {"source": "a", "test_balanced": {"acs": 1}}}}, ", variant x: .*did you mean 'acsa'"),
        ({"x": {"variants": {}}}, ", variant x: Expected an option .*but got variants"),
        ({"x": 3}, ": Expected variant x to be a mapping from dotted settings to values, but got 3"),
        ({"a/b": {}}, ": Expected the name of a variant to be letters, .*but got 'a/b'"),
        ({"..": {}}, ": Expected the name of a variant to be letters, .*but got '..'"),
        ([1], r": Expected variants to be a mapping from names to dotted settings, but got \[1\]"),
        ({}, ": Expected variants to be a mapping from names to dotted settings, but got {}"),
    ],
)
def test_what_is_wrong_with_a_variant_names_it(write_recipe, variants, message):
    path = write_recipe({"variants": variants})
    with pytest.raises(ValueError, match=message) as raised:
        load_recipes(path)
    assert re.match(re.escape(str(path)) + "[:,]", str(raised.value))
    assert "\n" not in str(raised.value)


def test_one_recipe_of_a_file_with_variants_has_to_be_chosen(write_recipe):
    path = write_recipe({"variants": {"small": {}, "large": {}}})
    assert_refused(path, "Expected one recipe, but the file has the variants small, large; choose one")
    with pytest.raises(ValueError, match=r"Expected a variant of the recipe, but got 'smal'; did you mean 'small'\?"):
        load_recipe(path, variant="smal")


def test_variants_are_no_option_of_the_command(write_recipe):
    assert_refused(write_recipe(), "Expected an option of the command .*, but got --variants", ["--variants", "{}"])


def test_reading_variants_makes_no_object_but_those_of_the_recipe(write_recipe):
    stranger = {"class_path": "collections.Counter", "init_args": {}}
    with pytest.raises(ValueError, match="variant x: Expected the class of sampler to be"):
        load_recipes(write_recipe({"variants": {"x": {"sampler": stranger}}}))
    assert_refused(write_recipe({"published": stranger}), "Expected known keys in published, but got 'class_path'")


def test_published_numbers_belong_to_one_variant(write_recipe):
    message = "Expected published numbers inside the variant that they belong to, but got them for all"
    assert_refused(write_recipe({"variants": {"a": {}}, "published": PUBLISHED}), message)


# ---- Finding recipes -------------------------------------------------------------------------------------------------


def test_files_and_folders_are_found_once_each(write_recipe, tmp_path, monkeypatch):
    b, a = write_recipe(name="b"), write_recipe(name="a")
    assert find_recipes([b.parent]) == [a, b]
    assert find_recipes([b, b.parent, a]) == [b, a]
    monkeypatch.chdir(tmp_path)
    assert [path.name for path in find_recipes(["recipes/b.yaml", b])] == ["b.yaml"]


@pytest.mark.parametrize("place", ["configs/digits/rae.yaml", "digits/rae.yaml"])
def test_shipped_recipes_are_found_from_anywhere(tmp_path, monkeypatch, place):
    monkeypatch.chdir(tmp_path)
    assert find_recipes([place]) == [recipe_folder() / "digits" / "rae.yaml"]


def test_a_folder_of_ones_own_goes_before_a_shipped_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits").mkdir()
    (tmp_path / "digits" / "mine.yaml").touch()
    assert [path.name for path in find_recipes(["digits"])] == ["mine.yaml"]


@pytest.mark.parametrize(
    ("place", "nearest"),
    [("configs/digit", "configs/digits"), ("digits/raee.yaml", "configs/digits/rae.yaml"), ("digts", "configs/digits")],
)
def test_a_place_that_is_missing_names_the_nearest_shipped_one(tmp_path, monkeypatch, place, nearest):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match=re.escape(f"did you mean {nearest!r}?") + "$"):
        find_recipes([place])


def test_a_place_like_no_other(tmp_path):
    message = r"Expected a recipe or a folder of recipes, but .*zzz does not exist here nor among the shipped ones\.$"
    with pytest.raises(FileNotFoundError, match=message):
        find_recipes([tmp_path / "zzz"])


def test_an_empty_folder_is_an_error_that_names_the_folders_in_it(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"to hold recipes \(\*.yaml\), but it holds none\.$"):
        find_recipes([tmp_path])
    with pytest.raises(FileNotFoundError, match=r"holds none; name one of its folders: .*digits"):
        find_recipes([recipe_folder()])


def test_recipes_lie_beside_the_package_in_a_checkout_and_inside_it_when_installed(tmp_path, monkeypatch):
    assert (recipe_folder() / "digits").is_dir()
    package = tmp_path / "site-packages" / "latentover"
    package.mkdir(parents=True)
    monkeypatch.setattr("latentover.files.files", lambda _: package)
    assert recipe_folder() == package.parent / "configs"
    (package / "configs").mkdir()
    assert recipe_folder() == package / "configs"
    shutil.rmtree(package)


# ---- Parts -----------------------------------------------------------------------------------------------------------


def test_the_data_of_a_recipe_is_read_without_its_method(write_recipe):
    path = write_recipe({"method.class_path": "os.system"})
    assert load_data_config(path) == load_recipe(write_recipe()).data
    for changes, message in [
        ({"data.sorce": 1}, "known keys in data, but got 'sorce'; did you mean 'source'"),
        ({"data.imbalance.roh": 1}, "rho|roh"),
        ({"data": ...}, "data"),
    ]:
        with pytest.raises(ValueError, match=message):
            load_data_config(write_recipe(changes))


def test_seeds_are_checked():
    check_seeds([0, 1])
    with pytest.raises(ValueError, match=r"Expected seeds to be .*, but got \[-1\]; give for example 0 1 2"):
        check_seeds([-1])
