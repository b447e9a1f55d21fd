import math

import numpy as np
import pytest
import torch
from torch import nn

from latentover import DeepClassifier
from latentover.training import batches_per_epoch

STILL = {
    "feature_dim": 4,
    "hidden_units": 8,
    "dropout": 0.0,
    "learning_rate": 1e-20,
    "weight_decay": 0.0,
    "max_epochs": 1,
    "batch_size": 40,
    "device": "cpu",
    "precision": "float32",
    "random_state": 0,
}
"""One batch of everything, and steps too small to change a weight: the loss is that of the networks as they are."""


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    return rng.normal(size=(40, 3)), np.repeat([0, 1, 2], [28, 8, 4])


class TestLosses:
    @pytest.mark.parametrize("reweighting", [None, "class_weights"])
    @pytest.mark.parametrize(("loss", "tau"), [("ce", 1.0), ("logit_adjusted", 1.0), ("logit_adjusted", 0.5)])
    def test_equals_a_naive_writing(self, data, reweighting, loss, tau):
        X, y = data
        fitted = DeepClassifier(**STILL, loss=loss, tau=tau, reweighting=reweighting).fit(X, y)
        networks = fitted.networks_.train()
        with torch.no_grad():
            logits = networks["classifier"](networks["encoder"](fitted.format_.encode(X))).tolist()
        counts, total, total_weight = [28, 8, 4], 0.0, 0.0
        for row, label in zip(logits, y, strict=True):
            if loss == "logit_adjusted":
                row = [value + tau * math.log(n / 40) for value, n in zip(row, counts, strict=True)]
            weight = 40 / (3 * counts[label]) if reweighting else 1.0
            total -= weight * math.log(math.exp(row[label]) / sum(map(math.exp, row)))
            total_weight += weight
        assert fitted.history_[-1]["classifier"] == pytest.approx(total / total_weight, rel=1e-4)

    def test_predictions_are_made_of_plain_logits(self, data):
        X, y = data
        plain, adjusted = (DeepClassifier(**STILL, loss=loss).fit(X, y) for loss in ("ce", "logit_adjusted"))
        np.testing.assert_allclose(plain.predict_proba(X), adjusted.predict_proba(X), atol=1e-6)


class TestBatches:
    @pytest.mark.parametrize(("n", "batch_size"), [(40, 40), (41, 40), (42, 40), (41, 8), (40, 7), (3, 2)])
    @pytest.mark.parametrize("batches", ["natural", "class_balanced"])
    def test_an_epoch_is_as_many_steps_as_all_rows_make(self, n, batch_size, batches):
        X, y = np.random.default_rng(0).normal(size=(n, 3)), np.arange(n) % 3 // 2
        settings = {**STILL, "batch_size": batch_size, "max_epochs": 3, "batches": batches}
        steps = [row["step"] for row in DeepClassifier(**settings).fit(X, y).history_]
        per_epoch = batches_per_epoch(n, batch_size)
        assert steps == [per_epoch, 2 * per_epoch, 3 * per_epoch]

    @pytest.mark.parametrize(
        "control", [{"batches": "class_balanced"}, {"loss": "logit_adjusted"}, {"reweighting": "class_weights"}]
    )
    def test_controls_find_more_of_the_rare_class(self, control):
        rng = np.random.default_rng(0)
        y = np.repeat([0, 1], [570, 30])
        X = rng.normal(size=(600, 4)) + 1.2 * y[:, None] * [1, 0, 0, 0]
        settings = {**STILL, "learning_rate": 5e-3, "batch_size": 64, "max_epochs": 10}
        found = [
            (DeepClassifier(**settings, **extra).fit(X, y).predict(X)[y == 1] == 1).mean() for extra in ({}, control)
        ]
        assert found[1] > found[0] + 0.2


class TestBackbone:
    def test_a_module_is_copied_and_trained(self, data):
        X, y = data
        backbone = nn.Linear(3, 4)
        before = backbone.weight.detach().clone()
        settings = {**STILL, "learning_rate": 0.01}
        fitted = DeepClassifier(**settings, backbone=backbone).fit(X, y)
        assert fitted.backbone is backbone
        assert torch.equal(backbone.weight, before)
        assert not torch.equal(fitted.networks_["encoder"].weight, before)

    def test_a_frozen_module_stays_as_it_is(self, data):
        X, y = data
        backbone = nn.Linear(3, 4).requires_grad_(requires_grad=False)
        fitted = DeepClassifier(**{**STILL, "learning_rate": 0.01}, backbone=backbone).fit(X, y)
        assert torch.equal(fitted.networks_["encoder"].weight, backbone.weight)

    def test_wrong_length_of_its_output(self, data):
        with pytest.raises(ValueError, match=r"latents \(2, 4\), but it gave \(2, 5\)"):
            DeepClassifier(**STILL, backbone=nn.Linear(3, 5)).fit(*data)


class TestSchedule:
    def test_moves_the_weights_less(self, data):
        """A falling learning rate ends nearer to where it started, with the same batches."""
        X, y = data
        settings = {**STILL, "learning_rate": 0.01, "max_epochs": 20}
        start = DeepClassifier(**STILL).fit(X, y).networks_["classifier"].weight
        ends = [
            DeepClassifier(**settings, schedule=schedule).fit(X, y).networks_["classifier"].weight
            for schedule in ("constant", "cosine", "one_cycle")
        ]
        distances = [(end - start).norm().item() for end in ends]
        assert distances[0] > 1.2 * max(distances[1:])


def test_weights_shrink_by_the_weight_decay_in_a_step(data):
    """Whatever the learning rate, which is next to nothing here."""
    settings = {**STILL, "max_epochs": 2}
    plain, decayed = (
        DeepClassifier(**{**settings, "weight_decay": decay}).fit(*data).networks_.parameters() for decay in (0.0, 0.1)
    )
    for old, new in zip(plain, decayed, strict=True):
        torch.testing.assert_close(new, 0.81 * old)
