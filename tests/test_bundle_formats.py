"""Bundles that were written once keep opening, and predict what they predicted then."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import latentover

FIXTURES = Path(__file__).parent / "fixtures"
EXPECTED = json.loads((FIXTURES / "expected.json").read_text(encoding="utf-8"))


def test_a_classifier_of_format_2_predicts_what_it_did():
    model = latentover.load(FIXTURES / "images-format-2")
    ramp = np.linspace(0, 1, 3 * 64, dtype="float32").reshape(3, 1, 8, 8)
    np.testing.assert_allclose(model.predict_proba(ramp), EXPECTED["probabilities"], atol=1e-5)


def test_an_autoencoder_of_format_3_predicts_and_encodes_what_it_did():
    model = latentover.load(FIXTURES / "images-format-3")
    ramp = np.linspace(0, 1, 3 * 64, dtype="float32").reshape(3, 1, 8, 8)
    np.testing.assert_allclose(model.predict_proba(ramp), EXPECTED["probabilities of format 3"], atol=1e-5)
    np.testing.assert_allclose(model.encode(ramp), EXPECTED["encoded of format 3"], atol=1e-4)
    assert model.sample(4, y=2, random_state=0).shape == (4, 1, 8, 8)


@pytest.mark.parametrize("name", ["table-format-2", "table-format-3"])
def test_a_sampler_encodes_what_it_did_and_samples(name):
    sampler = latentover.load(FIXTURES / name)
    frame = pd.DataFrame(EXPECTED["rows"])
    np.testing.assert_allclose(sampler.encode(frame), EXPECTED["encoded"], atol=1e-4)
    new = sampler.sample(20, y="yes", random_state=0)
    assert list(new.columns) == ["amount", "visits", "town"]
    assert set(new["town"]) <= {"Graz", "Linz"}
    assert new["visits"].between(0, 4).all()
    assert (new["amount"] == new["amount"].round(2)).all()


@pytest.mark.parametrize("name", ["images-format-2", "table-format-2", "images-format-3", "table-format-3"])
def test_the_fixture_is_of_the_format_in_its_name(name):
    """A new format gets fixtures of its own beside these, which stay."""
    config = json.loads((FIXTURES / name / "config.json").read_text(encoding="utf-8"))
    assert config["format"] == int(name[-1])
