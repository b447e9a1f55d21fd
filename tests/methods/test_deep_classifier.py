import math
from typing import ClassVar

import numpy as np
import pytest
import torch
from interruption import drawn, engine_of
from torch import nn

from latentover import DeepClassifier, load, save
from latentover.mixing import CMO, AMMixup, MAMix, ManifoldMixup, Mixup, NeighborMix, Remix, SMOTEMix
from latentover.training import Engine, batches_per_epoch
from latentover.training.step_decay import StepDecay

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


COUNTS = [28, 8, 4]


def encoded(fitted, X):
    return fitted.format_.encode(X)


def outputs_in_training(fitted, inputs):
    """What the networks give with the statistics of this batch."""
    with torch.no_grad():
        return fitted._outputs(fitted.networks_.train(), inputs).double()


def naive_loss(row, label, loss, tau=1.0):
    """The loss of one sample, from a list of outputs."""
    row = list(row)
    if loss in ("logit_adjusted", "balanced_softmax"):
        row = [value + tau * math.log(n / 40) for value, n in zip(row, COUNTS, strict=True)]
    if loss == "ldam":
        margins = [0.5 * (n / 4) ** -0.25 for n in COUNTS]
        row = [30 * (value - margins[c] * (c == label)) for c, value in enumerate(row)]
    total = sum(map(math.exp, row))
    p = [math.exp(value) / total for value in row]
    if loss == "focal":
        return -((1 - p[label]) ** 2) * math.log(p[label])
    if loss == "bce":
        return -sum(math.log(q if c == label else 1 - q) for c, q in enumerate(p)) / 3
    return -math.log(p[label])


def naive_weights(reweighting):
    if reweighting == "class_weights":
        return [40 / (3 * n) for n in COUNTS]
    if reweighting == "effective_number":
        inverse = [(1 - 0.9999) / (1 - 0.9999**n) for n in COUNTS]
        return [3 * value / sum(inverse) for value in inverse]
    return [1.0] * 3


class TestLosses:
    @pytest.mark.parametrize("loss_reduction", ["weighted_mean", "mean"])
    @pytest.mark.parametrize("reweighting", [None, "class_weights", "effective_number"])
    @pytest.mark.parametrize(
        ("loss", "tau"),
        [
            ("ce", 1.0),
            ("bce", 1.0),
            ("focal", 1.0),
            ("ldam", 1.0),
            ("logit_adjusted", 1.0),
            ("logit_adjusted", 0.5),
            ("balanced_softmax", 0.5),
        ],
    )
    def test_equals_a_naive_writing(self, data, reweighting, loss, tau, loss_reduction):
        X, y = data
        settings = {"loss": loss, "tau": tau, "reweighting": reweighting, "loss_reduction": loss_reduction}
        fitted = DeepClassifier(**STILL, **settings).fit(X, y)
        weights, total, total_weight = naive_weights(reweighting), 0.0, 0.0
        for row, label in zip(outputs_in_training(fitted, encoded(fitted, X)).tolist(), y, strict=True):
            total += weights[label] * naive_loss(row, label, loss, 1.0 if loss == "balanced_softmax" else tau)
            total_weight += weights[label]
        divisor = 40 if loss_reduction == "mean" else total_weight
        assert fitted.history_[-1]["classifier"] == pytest.approx(total / divisor, rel=1e-4)

    def test_predictions_are_made_of_plain_logits(self, data):
        X, y = data
        plain, adjusted = (DeepClassifier(**STILL, loss=loss).fit(X, y) for loss in ("ce", "logit_adjusted"))
        np.testing.assert_allclose(plain.predict_proba(X), adjusted.predict_proba(X), atol=1e-6)

    def test_logits_of_a_margin_classifier_are_scaled_cosines(self, data):
        X, y = data
        fitted = DeepClassifier(**STILL, loss="ldam", ldam_scale=8.0).fit(X, y)
        with torch.no_grad():
            features = fitted.networks_["encoder"](encoded(fitted, X)).numpy()
        directions = fitted.networks_["classifier"].weight.detach().numpy()
        dots = features @ directions.T
        cosines = dots / np.linalg.norm(features, axis=1, keepdims=True) / np.linalg.norm(directions, axis=1)
        np.testing.assert_allclose(fitted.decision_function(X), 8 * cosines, atol=1e-5)

    @pytest.mark.parametrize("loss", ["ce", "focal", "logit_adjusted"])
    def test_a_cosine_classifier_gives_every_loss_scaled_cosines(self, data, loss):
        X, y = data
        fitted = DeepClassifier(**STILL, loss=loss, classifier="cosine", ldam_scale=12.0).fit(X, y)
        with torch.no_grad():
            features = fitted.networks_["encoder"](encoded(fitted, X)).numpy()
        directions = fitted.networks_["classifier"].weight.detach().numpy()
        features, directions = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (features, directions))
        np.testing.assert_allclose(fitted.decision_function(X), 12 * features @ directions.T, atol=1e-5)
        rows = outputs_in_training(fitted, encoded(fitted, X)).tolist()
        expected = np.mean([naive_loss(row, label, loss) for row, label in zip(rows, y, strict=True)])
        assert fitted.history_[-1]["classifier"] == pytest.approx(expected, rel=1e-4)

    def test_margins_are_cosines_whatever_the_classifier(self, data):
        X, y = data
        linear, cosine = (
            DeepClassifier(**STILL, loss="ldam", classifier=kind).fit(X, y) for kind in ("linear", "cosine")
        )
        np.testing.assert_array_equal(linear.decision_function(X), cosine.decision_function(X))

    def test_a_cosine_classifier_survives_a_bundle(self, data, tmp_path):
        X, y = data
        fitted = DeepClassifier(**STILL, classifier="cosine", ldam_scale=7.0).fit(X, y)
        save(fitted, tmp_path / "bundle")
        np.testing.assert_array_equal(load(tmp_path / "bundle").predict_proba(X), fitted.predict_proba(X))

    def test_deferred_weights_begin_with_their_epoch(self, data):
        X, y = data
        settings = {**STILL, "max_epochs": 5, "loss_reduction": "mean"}
        deferred, none, at_once = (
            [row["classifier"] for row in DeepClassifier(**settings, **extra).fit(X, y).history_]
            for extra in ({"reweighting": "drw", "drw_start": 0.6}, {}, {"reweighting": "effective_number"})
        )
        assert deferred[:3] == pytest.approx(none[:3])
        assert deferred[3:] == pytest.approx(at_once[3:])
        assert abs(none[0] - at_once[0]) > 1e-3


class Recording(Mixup):
    """Mixup that keeps what it returned."""

    def __call__(self, *arguments, **keywords):
        object.__setattr__(self, "returned", super().__call__(*arguments, **keywords))
        return self.returned


class TestMixing:
    @pytest.mark.parametrize("loss_reduction", ["weighted_mean", "mean"])
    @pytest.mark.parametrize("reweighting", [None, "class_weights"])
    @pytest.mark.parametrize("loss", ["ce", "bce", "ldam"])
    def test_the_loss_of_a_mixture_is_that_of_its_two_labels(self, data, loss, reweighting, loss_reduction):
        rule = Recording(per_sample=True)
        settings = {"loss": loss, "reweighting": reweighting, "loss_reduction": loss_reduction}
        fitted = DeepClassifier(**STILL, mixing=rule, **settings).fit(*data)
        mixed, weights = rule.returned, naive_weights(reweighting)
        rows = outputs_in_training(fitted, mixed.inputs).tolist()
        total = total_weight = 0.0
        for row, *pair, lam in zip(rows, mixed.labels, mixed.partners, mixed.label_weight.tolist(), strict=True):
            for label, share in zip(pair, (lam, 1 - lam), strict=True):
                total += share * weights[label] * naive_loss(row, label, loss)
                total_weight += share * weights[label]
        divisor = 40 if loss_reduction == "mean" else total_weight
        assert fitted.history_[-1]["classifier"] == pytest.approx(total / divisor, rel=1e-4)

    @pytest.mark.parametrize("clean_forward", [False, True])
    def test_the_clean_batch_may_move_the_statistics_of_batch_normalisation(self, data, clean_forward):
        X, y = data
        rule, backbone = Recording(), nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 4))
        fitted = DeepClassifier(**STILL, backbone=backbone, mixing=rule, bn_clean_forward=clean_forward).fit(X, y)
        # The statistics of a first batch normalisation are those of the inputs themselves.
        mean = 0.1 * rule.returned.inputs.var(dim=0)
        ones = torch.ones(3)
        if clean_forward:
            expected = mean + 0.9 * (0.1 * encoded(fitted, X).var(dim=0) + 0.9 * ones)
        else:
            expected = mean + 0.9 * ones
        torch.testing.assert_close(fitted.networks_["encoder"][0].running_var, expected)

    def test_partners_of_neighbour_rules_are_neighbours(self, data, monkeypatch):
        X, y = data
        seen = []

        class Spy(SMOTEMix):
            def __call__(self, inputs, labels, class_counts, generator, partners=None):
                seen.append((inputs, labels, *partners))
                return super().__call__(inputs, labels, class_counts, generator, partners)

        DeepClassifier(**STILL, mixing=Spy(k_neighbors=1)).fit(X, y)
        inputs, labels, partner_inputs, partner_labels = seen[0]
        assert torch.equal(labels, partner_labels)
        for i in range(40):
            distances = (inputs - inputs[i]).norm(dim=1)
            distances[(labels != labels[i]) | (torch.arange(40) == i)] = torch.inf
            nearest = inputs[distances.argmin()]
            torch.testing.assert_close(partner_inputs[i], nearest)

    def test_neighbours_may_be_those_of_the_features(self, data):
        """A backbone that swaps near and far: its neighbours are others than those of the inputs."""
        X, y = data
        backbone = nn.Linear(3, 4, bias=False)
        with torch.no_grad():
            backbone.weight.copy_(torch.tensor([[100.0, 0, 0], [0, 0, 0], [0, 0, 0], [0, 0, 0.01]]))
        seen = []

        class Spy(NeighborMix):
            def prepare(self, features, labels):
                seen.append(features)
                return super().prepare(features, labels)

        settings = {**STILL, "backbone": backbone}
        for space in ("inputs", "features"):
            DeepClassifier(**settings, mixing=Spy(neighbor_space=space)).fit(X, y)
        inputs, features = seen
        assert inputs.shape == (40, 3)
        torch.testing.assert_close(features, inputs @ backbone.weight.T)

    def test_manifold_mixup_mixes_behind_the_drawn_layer(self, data):
        X, y = data
        shapes = set()

        class Spy(ManifoldMixup):
            def __call__(self, inputs, *arguments, **keywords):
                shapes.add(inputs.shape[1])
                return super().__call__(inputs, *arguments, **keywords)

        backbone = nn.Sequential(nn.Linear(3, 7), nn.Linear(7, 9), nn.Linear(9, 4))
        DeepClassifier(**{**STILL, "max_epochs": 30}, backbone=backbone, mixing=Spy(layers=(0, 2, 3))).fit(X, y)
        assert shapes == {3, 9, 4}

    def test_manifold_mixup_needs_the_stages_that_it_names(self, data):
        class Unknown(nn.Module):
            def forward(self, x):
                return x

        settings = {**STILL, "feature_dim": 3, "backbone": Unknown()}
        with pytest.raises(ValueError, match=r"stages to mix between, but those of Unknown are .*layers="):
            DeepClassifier(**settings, mixing=ManifoldMixup()).fit(*data)
        DeepClassifier(**settings, mixing=ManifoldMixup(layers=(0,))).fit(*data)
        with pytest.raises(ValueError, match="Expected layers to be at most 3, the stages"):
            DeepClassifier(**STILL, mixing=ManifoldMixup(layers=(4,))).fit(*data)

    def test_midpoint_mixup_follows_the_accuracy_of_the_epoch_before(self, data):
        X, y = data
        accuracies = []

        class Spy(AMMixup):
            def __call__(self, *arguments, accuracy):
                accuracies.append(accuracy.item())
                return super().__call__(*arguments, accuracy=accuracy)

        fitted = DeepClassifier(**{**STILL, "max_epochs": 3}, mixing=Spy()).fit(X, y)
        right = (outputs_in_training(fitted, encoded(fitted, X)).argmax(dim=1).numpy() == y).mean()
        assert accuracies == pytest.approx([0.0, right, right])

    def test_midpoint_mixup_before_anything_is_learned_counts_every_sample_twice(self, data):
        plain, mixed, alone = (
            DeepClassifier(**STILL, mixing=rule).fit(*data).history_[0]["classifier"]
            for rule in (None, AMMixup(), AMMixup(clean_weight=0.0))
        )
        assert mixed == pytest.approx(2 * plain, rel=1e-5)
        assert alone == pytest.approx(plain, rel=1e-5)

    @pytest.mark.parametrize(
        "rule", [Mixup(), Remix(), MAMix(base=Remix()), SMOTEMix(), NeighborMix(), ManifoldMixup(), AMMixup()]
    )
    def test_the_same_seed_trains_the_same_network(self, data, rule):
        settings = {**STILL, "learning_rate": 0.01, "max_epochs": 3, "batch_size": 16, "dropout": 0.2}
        first, second, other = (
            DeepClassifier(**{**settings, "random_state": seed}, mixing=rule).fit(*data).decision_function(data[0])
            for seed in (0, 0, 1)
        )
        np.testing.assert_array_equal(first, second)
        assert not np.allclose(first, other)

    def test_mixed_training_still_learns(self, data):
        X, y = np.random.default_rng(0).normal(size=(300, 4)), np.repeat([0, 1, 2], [200, 70, 30])
        X[np.arange(300), y] += 4
        settings = {**STILL, "learning_rate": 5e-3, "batch_size": 32, "max_epochs": 12}
        for rule in (MAMix(), SMOTEMix(), ManifoldMixup(), AMMixup()):
            fitted = DeepClassifier(**settings, mixing=rule, reweighting="drw").fit(X, y)
            recalls = [(fitted.predict(X)[y == c] == c).mean() for c in range(3)]
            assert np.mean(recalls) > 0.85

    def test_refuses_what_is_no_rule(self, data):
        with pytest.raises(ValueError, match=r"Expected mixing to be None or a rule of .*, but got 'mixup'"):
            DeepClassifier(**STILL, mixing="mixup").fit(*data)


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

    @pytest.mark.parametrize("schedule", [StepDecay(), StepDecay(0.05, (0.5, 0.75), 0.1)])
    def test_steps_fall_between_epochs(self, schedule, monkeypatch):
        used = []

        def spy(self, phase):
            used.append(self.program.optimizers["networks"].param_groups[0]["lr"])
            return update(self, phase)

        update = Engine.update
        monkeypatch.setattr(Engine, "update", spy)
        X, y = np.random.default_rng(0).normal(size=(6, 3)), np.array([0, 0, 0, 1, 1, 1])
        settings = {**STILL, "batch_size": 2, "max_epochs": 200, "learning_rate": 1e-6}
        DeepClassifier(**settings, backbone=nn.Linear(3, 4), schedule=schedule).fit(X, y)
        expected = [1e-6 * schedule.at(epoch, 200) for epoch in range(200) for _ in range(3)]
        assert used == pytest.approx(expected)


class TestOptimizer:
    @pytest.mark.parametrize("nesterov", [False, True])
    def test_sgd_equals_a_second_writing(self, data, nesterov):
        """Two steps on the same batch, of a network without anything random."""
        X, y = data
        settings = {**STILL, "learning_rate": 0.1, "weight_decay": 0.01, "max_epochs": 2, "classifier_bias": False}
        backbone = nn.Linear(3, 4, bias=False)
        fitted = [
            DeepClassifier(
                **{**settings, "learning_rate": lr, "weight_decay": lr / 10, "max_epochs": epochs},
                optimizer="sgd",
                nesterov=nesterov,
                backbone=backbone,
            ).fit(X, y)
            for lr, epochs in ((1e-20, 1), (0.1, 2))
        ]
        inputs, labels = encoded(fitted[0], X), torch.from_numpy(y)
        weights = [fitted[0].networks_[name].weight.detach() for name in ("encoder", "classifier")]
        momenta = [torch.zeros_like(weight) for weight in weights]
        for _ in range(2):
            weights = [weight.detach().requires_grad_() for weight in weights]
            loss = torch.nn.functional.cross_entropy(inputs @ weights[0].T @ weights[1].T, labels)
            gradients = [g + 0.1 * w.detach() for g, w in zip(torch.autograd.grad(loss, weights), weights, strict=True)]
            momenta = [0.9 * m + g for m, g in zip(momenta, gradients, strict=True)]
            steps = [g + 0.9 * m if nesterov else m for m, g in zip(momenta, gradients, strict=True)]
            weights = [weight - 0.1 * step for weight, step in zip(weights, steps, strict=True)]
        for name, expected in zip(("encoder", "classifier"), weights, strict=True):
            torch.testing.assert_close(fitted[1].networks_[name].weight, expected, atol=1e-5, rtol=1e-4)


class TestImages:
    def images(self):
        rng = np.random.default_rng(0)
        y = np.repeat([0, 1], [24, 8])
        X = (rng.random((32, 3, 9, 8)) * 100).astype(np.uint8)
        X[y == 1, 1] += 100
        return X, y

    @pytest.mark.parametrize("backbone", ["resnet32", "conv"])
    def test_named_networks_fit_small_images(self, backbone):
        X, y = self.images()
        settings = {**STILL, "learning_rate": 2e-3, "batch_size": 8, "max_epochs": 6, "channels": 8}
        settings |= {"augment": "pad_crop_flip", "standardize": True}
        losses = [row["classifier"] for row in DeepClassifier(**settings, backbone=backbone).fit(X, y).history_]
        assert losses[-1] < losses[0] / 2

    def test_standardised_channels_have_mean_0_and_deviation_1(self):
        X, y = self.images()
        seen = []

        class Spy(nn.Module):
            def forward(self, x):
                seen.append(x.detach())
                return x.mean((2, 3))

        fitted = DeepClassifier(**{**STILL, "feature_dim": 3}, backbone=Spy(), standardize=True).fit(X, y)
        (batch,) = [x for x in seen if len(x) == 32]
        torch.testing.assert_close(batch.mean((0, 2, 3)), torch.zeros(3), atol=1e-4, rtol=0)
        torch.testing.assert_close(batch.square().mean((0, 2, 3)), torch.ones(3), atol=1e-4, rtol=0)
        fitted.networks_["encoder"] = nn.Flatten()
        fitted.networks_["classifier"] = nn.Identity()
        expected = (X / 255 - (X / 255).mean((0, 2, 3), keepdims=True)) / (X / 255).std((0, 2, 3), keepdims=True)
        np.testing.assert_allclose(
            fitted._logits(torch.from_numpy(X) / 255).numpy(), expected.reshape(32, -1), atol=1e-4
        )

    def test_a_classifier_without_bias(self):
        fitted = DeepClassifier(**STILL, backbone="resnet32", classifier_bias=False).fit(*self.images())
        assert [name for name, _ in fitted.networks_["classifier"].named_parameters()] == ["weight"]
        assert fitted.networks_["classifier"].weight.shape == (2, 64)


class TestCheckpoint:
    @pytest.mark.parametrize("stop", [7, 10])
    @pytest.mark.parametrize(
        "settings", [{"mixing": AMMixup()}, {"mixing": SMOTEMix(), "reweighting": "drw", "schedule": StepDecay()}]
    )
    def test_an_interrupted_training_ends_at_the_same_weights(self, data, settings, stop, tmp_path, monkeypatch):
        small = {**STILL, "learning_rate": 0.01, "max_epochs": 5, "batch_size": 8, "dropout": 0.2}
        small |= {"checkpoint": str(tmp_path / "training"), "checkpoint_every": 5, **settings}
        whole = DeepClassifier(**small).fit(*data)
        update, steps = Engine.update, []

        def interrupted(self, phase):
            steps.append(0)
            if len(steps) > stop:
                raise InterruptedError
            return update(self, phase)

        monkeypatch.setattr(Engine, "update", interrupted)
        with pytest.raises(InterruptedError):
            DeepClassifier(**small).fit(*data)
        monkeypatch.undo()
        resumed = DeepClassifier(**small).fit(*data)
        np.testing.assert_array_equal(resumed.decision_function(data[0]), whole.decision_function(data[0]))
        assert [row["classifier"] for row in resumed.history_] == [row["classifier"] for row in whole.history_]


class TestEarlyStopping:
    def test_uses_the_epoch_that_scored_best(self, data):
        X, y = np.random.default_rng(0).normal(size=(200, 4)), np.repeat([0, 1], [150, 50])
        X[y == 1, 0] += 2
        settings = {**STILL, "learning_rate": 0.02, "batch_size": 32, "max_epochs": 60, "mixing": MAMix()}
        fitted = DeepClassifier(**settings, early_stopping=True, n_iter_no_change=4).fit(X, y)
        scores = [row["validation_acsa"] for row in fitted.history_]
        assert len(scores) == scores.index(max(scores)) + 1 + 4 < 60
        assert fitted.class_counts_.tolist() == [150, 50]


class TestBundle:
    @pytest.mark.parametrize("rule", [MAMix(omega=0.5, base=Remix(kappa=2)), ManifoldMixup(layers=(0, 1)), AMMixup()])
    def test_rules_and_schedules_come_back(self, data, rule, tmp_path):
        fitted = DeepClassifier(**STILL, mixing=rule, schedule=StepDecay(factor=0.1)).fit(*data)
        again = load(save(fitted, tmp_path))
        assert (again.mixing, again.schedule) == (rule, StepDecay(factor=0.1))
        np.testing.assert_array_equal(again.decision_function(data[0]), fitted.decision_function(data[0]))

    def test_no_other_class_is_looked_up(self, data, tmp_path):
        save(DeepClassifier(**STILL, mixing=Mixup()).fit(*data), tmp_path)
        config = tmp_path / "config.json"
        for other in ("latentover.mixing.MixingRule", "latentover.mixing.convex_combination", "os.system", "Mixup"):
            config.write_text(config.read_text().replace("latentover.mixing.Mixup", other))
            with pytest.raises(ValueError, match=r"Expected mixing to be a class of latentover.mixing or .*, but got"):
                load(tmp_path)
            config.write_text(config.read_text().replace(other, "latentover.mixing.Mixup"))


def test_weights_shrink_by_the_weight_decay_in_a_step(data):
    """Whatever the learning rate, which is next to nothing here."""
    settings = {**STILL, "max_epochs": 2}
    plain, decayed = (
        DeepClassifier(**{**settings, "weight_decay": decay}).fit(*data).networks_.parameters() for decay in (0.0, 0.1)
    )
    for old, new in zip(plain, decayed, strict=True):
        torch.testing.assert_close(new, 0.81 * old)


class Watching(Mixup):
    """A rule that remembers the shapes that it was called with."""

    seen: ClassVar[list] = []

    def __call__(self, inputs, *arguments, **keywords):
        self.seen.append(tuple(inputs.shape))
        return super().__call__(inputs, *arguments, **keywords)


class TestSpaces:
    """`space` says what a rule is called with, whatever its class."""

    @pytest.mark.parametrize(
        ("space", "shapes"), [("input", {(8, 3)}), ("features", {(8, 4)}), ("hidden", {(8, 3), (8, 6), (8, 4)})]
    )
    def test_the_rule_is_called_with_what_it_asks_for(self, space, shapes):
        Watching.seen.clear()
        backbone = nn.Sequential(nn.Linear(3, 6), nn.Linear(6, 4))
        settings = {**STILL, "batch_size": 8, "max_epochs": 12, "feature_dim": 4, "backbone": backbone}
        X, y = np.random.default_rng(0).normal(size=(32, 3)), np.repeat([0, 1], [24, 8])
        DeepClassifier(**settings, mixing=Watching(space=space)).fit(X, y)
        assert set(Watching.seen) == shapes

    @pytest.mark.parametrize("cls", [Mixup, Remix, MAMix, NeighborMix, SMOTEMix, AMMixup], ids=lambda cls: cls.__name__)
    @pytest.mark.parametrize("space", ["input", "hidden", "features"])
    def test_the_gradient_is_that_of_a_second_writing(self, cls, space, monkeypatch):
        """The rule applied to what comes out behind the stage, and what is left of the network on the mixture."""
        X, y = np.random.default_rng(0).normal(size=(16, 3)).astype(np.float32), np.repeat([0, 1], [12, 4])
        backbone = nn.Sequential(nn.Linear(3, 6), nn.Tanh(), nn.Linear(6, 4))
        rule = cls(space=space, layers=(2,))
        settings = {**STILL, "batch_size": 16, "feature_dim": 4, "backbone": backbone, "mixing": rule}
        engine = engine_of(DeepClassifier(**settings, reweighting="class_weights"), X, y, monkeypatch)
        (phase,), program = engine.program.phases, engine.program
        draws = drawn(engine, phase)
        generator, state = program.data.generator, program.data.generator.get_state()
        losses, gradients = engine.gradients(phase, draws)
        encoder, classifier = program.networks["encoder"], program.networks["classifier"]
        before, behind = {
            "input": (nn.Identity(), encoder),
            "hidden": (encoder[:2], encoder[2:]),
            "features": (encoder, nn.Identity()),
        }[space]
        if space == "input":
            mixed = draws.mixed
        else:
            generator.set_state(state)  # the rule draws where it mixes
            more = {} if draws.near is None else {"partners": (before(draws.near[0]), draws.near[1])}
            mixed = rule(before(draws.inputs), draws.labels, program.data.class_counts, generator, **more)
        logits = classifier(behind(mixed.inputs))
        weights = torch.tensor([16 / 24, 16 / 8])
        total, norm = 0.0, 0.0
        for i in range(len(logits)):
            first, second = mixed.labels[i], mixed.partners[i]
            share = mixed.label_weight[i]
            log_p = logits[i].log_softmax(dim=0)
            total = total - share * weights[first] * log_p[first] - (1 - share) * weights[second] * log_p[second]
            norm = norm + share * weights[first] + (1 - share) * weights[second]
        expected = total / norm
        if cls is AMMixup:
            clean = classifier(encoder(draws.inputs)).log_softmax(dim=1)[torch.arange(16), draws.labels]
            expected = expected - (weights[draws.labels] * clean).sum() / weights[draws.labels].sum()
        torch.testing.assert_close(losses["classifier"], expected)
        theirs = torch.autograd.grad(expected, list(program.networks.parameters()))
        for ours, other in zip(gradients["networks"], theirs, strict=True):
            torch.testing.assert_close(ours, other, rtol=1e-4, atol=1e-6)


def test_the_moving_average_is_used(data):
    """With almost no decay it is the network itself, with almost one the network after its first update."""
    settings = {**STILL, "learning_rate": 0.05, "max_epochs": 8}
    plain, quick, slow = (DeepClassifier(**settings, ema=ema).fit(*data) for ema in (0.0, 1e-6, 0.999999))
    first = DeepClassifier(**{**settings, "max_epochs": 1}).fit(*data)
    for name, weight in plain.networks_.named_parameters():
        torch.testing.assert_close(quick.networks_.get_parameter(name), weight, rtol=1e-3, atol=1e-4)
    moved = [
        (slow.networks_.get_parameter(name) - plain.networks_.get_parameter(name)).abs().max().item()
        for name, _ in plain.networks_.named_parameters()
    ]
    assert max(moved) > 0.01
    assert [row["classifier"] for row in slow.history_] == [row["classifier"] for row in plain.history_]
    assert first.history_[0]["classifier"] == plain.history_[0]["classifier"]


def test_a_network_sees_rare_patches_on_natural_images_and_their_weights(monkeypatch):
    images = np.zeros((40, 1, 8, 8), dtype=np.float32)
    y = np.repeat([0, 1], [36, 4])
    images += np.arange(1, 41, dtype=np.float32).reshape(-1, 1, 1, 1) / 64  # an image is known by its pixels
    weights = np.arange(1, 41, dtype=np.float64)
    rule = CMO(per_sample=True)
    settings = {"hidden_units": 8, "channels": 4, "batch_size": 20, "device": "cpu", "random_state": 0}
    engine = engine_of(DeepClassifier(mixing=rule, **settings), images, y, monkeypatch, sample_weight=weights)
    (phase,), data = engine.program.phases, engine.program.data
    partners = []
    for _ in range(30):
        draws = drawn(engine, phase)
        own = (draws.inputs[:, 0, 0, 0] * 64).round().long() - 1
        for i, image in enumerate(draws.mixed.inputs[:, 0]):
            there = set((image.flatten() * 64).round().long().sub(1).tolist())
            other = there - {own[i].item()}
            assert len(other) <= 1
            share = (image * 64).round().long().sub(1).eq(own[i]).float().mean()
            if other:
                assert draws.mixed.label_weight[i] == pytest.approx(share.item(), abs=1e-6)
                assert data.labels[other.pop()] == draws.mixed.partners[i]
        mine, theirs = draws.pair_weights
        torch.testing.assert_close(mine / mine.sum(), (own + 1.0) / (own + 1.0).sum())
        assert len(set((theirs / theirs.min()).tolist())) > 1
        partners += draws.mixed.partners.tolist()
    assert 0.8 < np.mean(partners) <= 1  # 9 of 10 patches are of the class of 4
