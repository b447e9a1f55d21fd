"""The plan says what training then does: width, treatment, memory; refused columns before they are an error."""

import json

import numpy as np
import pandas as pd
import pytest
from imblearn.over_sampling import SMOTE
from torch import nn

from latentover import DeepClassifier, RAESampler
from latentover.estimators import learn_format
from latentover.estimators.describe import describe_plan

FRAME = pd.DataFrame(
    {
        "amount": [1.5, 2.0, 7.0, 3.0],
        "visits": [1, 2, 3, 4],
        "town": pd.Categorical(["Graz", "Linz"] * 2),
        "since": pd.to_datetime(["2024-01-01", "2024-02-01", "2024-03-01", "2024-04-01"]),
        "year": [2024] * 4,
        "name": ["Ann", "Bob", "Cem", "Dan"],
        "active": [True, False, True, True],
    }
)


STARTS = ("What usually helps", "treatment", "1 : ratio")


def treatments(plan):
    return {column.name: column.treatment for column in plan.columns}


def test_of_a_frame():
    plan = describe_plan(FRAME)
    assert treatments(plan) == {
        "amount": "number",
        "visits": "number",
        "town": "category",
        "since": "date",
        "year": "constant",
        "name": "identifier",
        "active": "category",
    }
    known = learn_format(FRAME)
    assert plan.encoded_shape == known.shape
    assert plan.encoded_bytes == known.encode(FRAME).nbytes
    assert any("Identifiers" in note and "'name'" in note for note in plan.notes)
    assert any("Constant" in note and "'year'" in note for note in plan.notes)


def test_what_training_would_refuse_is_said_without_an_error():
    broken = FRAME.assign(amount=[1.0, np.nan, np.inf, 2.0], visits=[1.0, None, 2.0, 3.0])
    plan = describe_plan(broken)
    assert treatments(plan)["amount"] == treatments(plan)["visits"] == "refused"
    assert [column.missing for column in plan.columns][:2] == [1, 1]
    assert sum("column 'visits'" in note for note in plan.notes) == 1
    filled = describe_plan(broken, estimator=RAESampler(missing="impute"))
    assert (treatments(filled)["amount"], treatments(filled)["visits"]) == ("refused", "number")


def test_columns_that_are_named_categories():
    plan = describe_plan(FRAME, estimator=RAESampler(categorical_features=["visits"]))
    assert [(c.treatment, c.levels) for c in plan.columns if c.name == "visits"] == [("category", 4)]
    array = describe_plan(np.arange(12.0).reshape(4, 3), estimator=RAESampler(categorical_features=[1]))
    assert [column.width for column in array.columns] == [1, 4, 1]


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_of_images(dtype):
    X = np.random.default_rng(0).integers(0, 255, size=(6, 3, 8, 9)).astype(dtype)
    plan = describe_plan(X)
    assert (plan.kind, plan.encoded_shape) == ("images", (3, 8, 9))
    assert plan.encoded_bytes == learn_format(X).encode(X).nbytes


def test_a_trial_measures_networks_and_time():
    X, y = np.random.default_rng(0).normal(size=(60, 4)), np.repeat([0, 1], [50, 10])
    sampler = RAESampler(hidden_units=8, latent_dim=4, batch_size=8, max_steps=100, device="cpu")
    plan = describe_plan(X, y, estimator=sampler)
    networks = sampler.set_params(max_steps=1).fit(X, y).networks_
    assert plan.network_bytes == 4 * sum(tensor.nbytes for tensor in networks.state_dict().values())
    assert 0 < plan.seconds < 600
    assert plan.diagnosis.counts == [50, 10]
    assert "imbalance ratio 5.0" in str(plan)


def test_a_trial_is_made_with_few_rows_that_have_every_class(monkeypatch):
    seen = []

    def fit(self, X, y):
        seen.append((len(X), np.bincount(y).tolist()))
        self.networks_ = nn.Identity()
        return self

    monkeypatch.setattr(DeepClassifier, "fit", fit)
    y = np.repeat([0, 1], [9998, 2])
    describe_plan(np.zeros((10000, 2)), y, estimator=DeepClassifier())
    assert seen == [(2000, [1998, 2])] * 3


def test_estimators_without_steps_have_no_estimate():
    plan = describe_plan(np.eye(4), [0, 0, 0, 1], estimator=SMOTE())
    assert (plan.seconds, plan.network_bytes) == (None, None)


def test_much_memory_is_said():
    plan = describe_plan(np.broadcast_to(np.float32(1), (600_000, 1)))
    assert not any("more than" in note for note in plan.notes)
    images = np.broadcast_to(np.uint8(1), (3_000_000, 1, 28, 28))
    assert any("2.19 GiB is more than 2 GiB" in note for note in describe_plan(images).notes)


def test_to_dict_is_json():
    plan = describe_plan(FRAME, ["a", "a", "a", "b"])
    assert json.loads(json.dumps(plan.to_dict()))["diagnosis"]["counts"] == [3, 1]


def test_what_usually_helps_is_said_before_the_columns():
    lines = str(describe_plan(FRAME, ["a", "a", "a", "b"])).splitlines()
    steps, columns, sizes = (next(i for i, line in enumerate(lines) if word in line) for word in STARTS)
    assert steps == 0 < columns < sizes
    assert str(describe_plan(FRAME)).startswith("column")


def test_many_columns_are_not_all_printed():
    text = str(describe_plan(np.random.default_rng(0).normal(size=(3, 100))))
    assert "... and 60 columns more" in text


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        (np.zeros(4), None, "X to be a table"),
        (np.zeros((0, 3)), None, "X to be a table"),
        (np.eye(3), [0, 1], "y to hold"),
    ],
)
def test_what_is_no_data(X, y, message):
    with pytest.raises(ValueError, match=message):
        describe_plan(X, y)
