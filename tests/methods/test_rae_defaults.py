"""What parameters of the RAE that are left open stand for with many images."""

import ast
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

import latentover
from latentover import RAEClassifier, RAESampler
from latentover.data.diagnosis import FEW_IMAGES
from latentover.mixing import CMO
from latentover.networks import SmallResNet
from latentover.networks.autoencoder import StyledEncoder

SMALL = {"channels": 4, "decoder_channels": 4, "hidden_units": 8, "batch_size": 4, "random_state": 0, "device": "cpu"}
rng = np.random.default_rng(0)
MANY = rng.random((FEW_IMAGES + 1, 1, 8, 8), dtype=np.float32)
LABELS = np.arange(len(MANY)) % 3
PAGE = Path(__file__).parents[2] / "docs" / "methods" / "rae.md"


def fitted(cls=RAEClassifier, **settings):
    return cls(**{**SMALL, "max_steps": 2, **settings}).fit(MANY, LABELS)


def found(**settings):
    return fitted(**settings)._resolved()


def the_long_form():
    """Return what the page says that the defaults for many images are."""
    text = PAGE.read_text(encoding="utf-8")
    call = re.search(r"\nRAEClassifier\(\n.*?\n\)\n", text[text.index("### Many images") :], re.DOTALL)[0].strip()
    values = {}
    for keyword in ast.parse(call, mode="eval").body.keywords:
        values[keyword.arg] = eval(compile(ast.Expression(keyword.value), "page", "eval"), {"CMO": CMO})
    return values


def settled(**settings):
    """Return the parameters of a model of many images, without those of the machine."""
    model = fitted().set_params(**dict.fromkeys(("channels", "decoder_channels", "hidden_units")))
    return model.set_params(max_steps=1000, **settings)._resolved().get_params(deep=False)


def test_the_page_says_all_that_differs_from_the_paper():
    said, short, paper = the_long_form(), settled(), settled(encoder="conv")
    assert said.pop("ema") == pytest.approx(short.pop("ema"), abs=5e-4)
    assert {name: value for name, value in short.items() if value != paper[name]} == said


def test_the_long_form_trains_the_same():
    short, long = fitted(max_steps=20), fitted(**{**the_long_form(), **SMALL, "ema": 1 - 1 / 1.2, "max_steps": 20})
    for (name, one), (_, other) in zip(
        short.networks_.state_dict().items(), long.networks_.state_dict().items(), strict=True
    ):
        assert torch.equal(one, other), name


@pytest.mark.parametrize("cls", [RAEClassifier, RAESampler])
def test_are_a_residual_network_with_a_style(cls):
    model = fitted(cls)
    assert isinstance(model.networks_.encoder, StyledEncoder)
    assert isinstance(model.networks_.encoder.features, SmallResNet)
    assert model.encode(MANY[:2]).shape == (2, 128)
    assert model.sample(3, y=1, random_state=0).shape == (3, 1, 8, 8)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"optimizer": "adamw"}, {"learning_rate": 2e-4, "schedule": "constant", "classifier_optimizer": "own"}),
        ({"classifier_optimizer": "own"}, {"optimizer": "adamw", "learning_rate": 2e-4, "weight_decay": 1e-3}),
        ({"optimizer": "sgd"}, {"learning_rate": 0.4, "schedule": "one_cycle", "classifier_optimizer": "shared"}),
        ({"learning_rate": 0.1}, {"learning_rate": 0.1, "optimizer": "sgd"}),
        ({"mixing": None}, {"mixing": None, "loss": "logit_adjusted"}),
        ({"loss": "ce"}, {"loss": "ce", "sampling_power": 0.5}),
        ({"n_components": 1}, {"borrow": 0.0}),
        ({"style_dim": 0}, {"style_dim": 0, "reconstruction_weight": 0.01}),
        ({"decoder": False}, {"style_dim": 0, "reconstruction_weight": 0.0, "encoder": "resnet"}),
        ({"ema": 0.5}, {"ema": 0.5}),
        ({"max_steps": 20}, {"ema": pytest.approx(1 - 1 / 1.2)}),
        ({"max_steps": 10}, {"ema": 0.0}),
    ],
    ids=str,
)
def test_what_is_named_stays_and_the_rest_goes_with_it(settings, expected):
    settled = found(**settings)
    assert {name: getattr(settled, name) for name in expected} == expected


@pytest.mark.parametrize("settings", [{"encoder": "conv"}, {"encoder": "resnet"}, {"class_preserving": False}], ids=str)
def test_a_named_encoder_has_the_papers_settings(settings):
    settled = found(**settings)
    paper = {"loss": "ce", "alpha": "mixer", "optimizer": "adamw", "mixing": None, "style_dim": 0, "ema": 0.0}
    assert {name: getattr(settled, name) for name in paper} == paper
    assert settled.reconstruction_weight == 0.01


def test_few_images_have_no_style():
    model = RAEClassifier(**SMALL, max_steps=2, early_stopping=False)
    with pytest.warns(UserWarning, match="too few"):
        model.fit(MANY[:60], LABELS[:60])
    assert model._resolved().style_dim == 0
    assert model._resolved().loss == "ce"


def test_a_bundle_from_before_has_the_network_of_before(tmp_path):
    model = fitted(encoder="conv")
    settled = model._resolved()
    folder = latentover.save(model, tmp_path / "old")
    config = json.loads((folder / "config.json").read_text())
    parameters = config["estimator"]["parameters"]
    for name, value in parameters.items():  # which were never open then
        if value is None and isinstance(getattr(settled, name), int | float | str):
            parameters[name] = getattr(settled, name)
    parameters |= {"encoder": "auto", "mixing": None}
    config["format"] = 2
    del config["config_sha256"]
    (folder / "config.json").write_text(json.dumps(config))
    opened = latentover.load(folder)
    assert opened.encoder == "conv"
    assert np.array_equal(opened.predict_proba(MANY[:5]), model.predict_proba(MANY[:5]))
