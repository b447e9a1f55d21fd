import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from latentover import M2mClassifier
from latentover.methods.m2m import M2mTraining, acceptance_probability, ball_noise, keep_probability, translate
from latentover.mixing import Mixup

COUNTS = torch.tensor([5000, 500, 50])
SMALL = {
    "feature_dim": 4,
    "hidden_units": 16,
    "dropout": 0.0,
    "learning_rate": 5e-3,
    "max_epochs": 5,
    "batch_size": 50,
    "device": "cpu",
    "precision": "float32",
    "random_state": 0,
}
EAGER = {**SMALL, "max_epochs": 20, "acceptance_beta": 0.9, "translation_step_size": 0.3, "translation_steps": 20}
"""Standardised rows are farther apart than images, and the classes here are small."""


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1, 2], [300, 60, 12])
    X = rng.normal(size=(372, 4))
    X[np.arange(372), y] += 3
    return X, y


class TestProbabilities:
    def test_oracles(self):
        torch.testing.assert_close(keep_probability(COUNTS), torch.tensor([1.0, 0.1, 0.01]))
        for beta, expected in ((0.999, [0.988916, 0.992934, 0.362515]), (0.9999, [0.362386, 0.390444, 0.044005])):
            seeds, targets = COUNTS[[0, 0, 1]], COUNTS[[1, 2, 2]]
            accepted = acceptance_probability(seeds, targets, beta)
            torch.testing.assert_close(accepted, torch.tensor(expected), atol=1e-6, rtol=0)

    def test_nothing_is_translated_to_a_larger_class(self):
        assert acceptance_probability(COUNTS[1:], COUNTS[:-1]).tolist() == [0.0, 0.0]
        assert acceptance_probability(COUNTS, COUNTS).tolist() == [0.0, 0.0, 0.0]


class TestTranslate:
    def networks(self):
        torch.manual_seed(0)
        return [nn.Sequential(nn.Flatten(), nn.Linear(12, 3)).double() for _ in range(2)]

    @pytest.mark.parametrize("value_range", [(0.0, 1.0), None])
    def test_equals_a_loop_over_the_images(self, value_range):
        guide, model = self.networks()
        inputs = torch.rand(5, 3, 2, 2, dtype=torch.float64)
        seeds, targets = torch.tensor([0, 0, 1, 0, 1]), torch.tensor([2, 1, 2, 2, 0])
        moved = translate(guide, model, inputs, seeds, targets, n_steps=4, step_size=0.2, value_range=value_range)
        for i in range(5):
            x = inputs[i : i + 1].clone()
            for _ in range(4):
                x = x.detach().requires_grad_()
                probability = guide(x).softmax(dim=1)[0, targets[i]]
                (gradient,) = torch.autograd.grad(-probability.log() + 0.5 * model(x)[0, seeds[i]], x)
                x = x - 0.2 * gradient / gradient.norm()
                x = x.clamp(0, 1) if value_range else x
            # The loss of a batch weighs both terms by 1/B, so that the direction is that of each image alone.
            torch.testing.assert_close(moved[i : i + 1], x.detach(), atol=1e-8, rtol=0)

    def test_the_guide_becomes_surer(self):
        guide, model = self.networks()
        inputs, targets = torch.rand(20, 3, 2, 2, dtype=torch.float64), torch.randint(3, (20,))
        before = F.cross_entropy(guide(inputs), targets)
        moved = translate(guide, model, inputs, targets, targets, repulsion=0.0)
        assert F.cross_entropy(guide(moved), targets) < before
        assert ((moved >= 0) & (moved <= 1)).all()
        assert not moved.requires_grad
        assert all(parameter.grad is None for parameter in [*guide.parameters(), *model.parameters()])

    def test_noise_has_its_length_for_each_image(self):
        noise = ball_noise(torch.zeros(4, 3, 8, 8), 0.5, torch.Generator().manual_seed(0))
        torch.testing.assert_close(noise.flatten(1).norm(dim=1), torch.full((4,), 0.5))

    def test_noise_of_the_reference_code_has_its_length_for_each_channel_of_the_batch(self):
        noise = ball_noise(torch.zeros(128, 3, 32, 32), 0.5, torch.Generator().manual_seed(0), "reference_code")
        torch.testing.assert_close(noise.square().sum(dim=(0, 2, 3)).sqrt(), torch.full((3,), 0.5))
        each = noise.flatten(1).norm(dim=1)
        torch.testing.assert_close(each, torch.full((128,), 0.5 * (3 / 128) ** 0.5), rtol=0.05, atol=0)
        assert 0.5 / each.mean().item() == pytest.approx(6.53, abs=0.01)

    def test_noise_of_the_reference_code_is_not_stretched(self):
        """One column of a few samples is shorter than the radius; no column of a table is longer."""
        few = ball_noise(torch.zeros(2, 3), 5.0, torch.Generator().manual_seed(0), "reference_code")
        drawn = torch.rand(2, 3, generator=torch.Generator().manual_seed(0)) - 0.5
        torch.testing.assert_close(few, drawn)
        many = ball_noise(torch.zeros(1000, 2), 0.5, torch.Generator().manual_seed(0), "reference_code")
        torch.testing.assert_close(many.norm(dim=0), torch.full((2,), 0.5))


class TestM2mClassifier:
    def test_translates_late_and_only_there(self, table):
        fitted = M2mClassifier(**EAGER, translation_start=0.6).fit(*table)
        assert ["translated" in row for row in fitted.history_] == [False] * 12 + [True] * 8
        # At most the two smaller classes, of which a balanced batch has two thirds.
        assert all(0 < row["translated"] < 0.8 for row in fitted.history_[12:])
        assert len(fitted.guide_history_) == 20
        assert set(fitted.networks_.keys()) == {"encoder", "classifier"}

    def test_replaces_rare_samples_by_what_the_guide_takes_for_them(self, table, monkeypatch):
        X, y = table
        seen = []

        def spy(self, inputs, labels):
            before = self.networks.training
            replaced, share = translated(self, inputs, labels)
            sure = self.settings._outputs(self.guide, replaced).softmax(dim=1).gather(1, labels.unsqueeze(1))
            changed = (replaced != inputs).any(dim=1)
            seen.append((changed, labels, sure.squeeze(1).detach(), share, before == self.networks.training))
            return replaced, share

        translated = M2mTraining.translated
        monkeypatch.setattr(M2mTraining, "translated", spy)
        M2mClassifier(**EAGER).fit(X, y)
        changed, labels, sure, share, mode_kept = zip(*seen, strict=True)
        assert all(mode_kept)
        for one_changed, one_share in zip(changed, share, strict=True):
            assert one_changed.float().mean().item() == pytest.approx(one_share.item())
        changed, labels, sure = map(torch.cat, (changed, labels, sure))
        assert changed.sum() > 20
        assert (sure[changed] >= 0.9 - 1e-5).all()
        shares = [changed[labels == c].float().mean().item() for c in range(3)]
        assert shares[0] == 0 < min(shares[1:])

    def test_a_batch_without_slots_stays_as_it_is(self, table):
        """Balanced data: every sample is kept, and nothing may be translated."""
        X, y = table[0][:60], np.repeat([0, 1, 2], 20)
        fitted = M2mClassifier(**SMALL, translation_start=0.0).fit(X, y)
        assert [row["translated"] for row in fitted.history_] == [0.0] * 5

    def test_a_guide_that_is_never_sure_changes_nothing(self, table):
        fitted = M2mClassifier(**SMALL, confidence=1.0, translation_steps=1, guide="reference_code").fit(*table)
        assert fitted.history_[-1]["translated"] == 0
        assert not hasattr(fitted, "guide_history_")

    def test_images_stay_in_their_range(self, monkeypatch):
        rng = np.random.default_rng(0)
        y = np.repeat([0, 1], [40, 8])
        X = rng.integers(0, 256, size=(48, 1, 8, 8), dtype=np.uint8)
        ranges = []

        def spy(self, inputs, labels):
            replaced, share = translated(self, inputs, labels)
            ranges.append((replaced.min().item(), replaced.max().item()))
            return replaced, share

        translated = M2mTraining.translated
        monkeypatch.setattr(M2mTraining, "translated", spy)
        settings = {**SMALL, "batch_size": 16, "channels": 4, "confidence": 0.0, "augment": "pad_crop_flip"}
        fitted = M2mClassifier(**settings, standardize=True, loss="ldam").fit(X, y)
        assert all(low >= 0 and high <= 1 for low, high in ranges)
        assert fitted.predict(X).shape == (48,)

    def test_the_same_seed_trains_the_same_network(self, table):
        first, second = (M2mClassifier(**SMALL).fit(*table).decision_function(table[0]) for _ in range(2))
        np.testing.assert_array_equal(first, second)

    def test_the_noise_of_the_reference_code_is_what_a_training_starts_from(self, table, monkeypatch):
        asked = []

        def spy(like, radius, generator, norm):
            asked.append((radius, norm))
            return ball_noise(like, radius, generator, norm)

        monkeypatch.setattr("latentover.methods.m2m.ball_noise", spy)
        M2mClassifier(**SMALL, noise_radius=0.25, noise_norm="reference_code").fit(*table)
        assert asked
        assert set(asked) == {(0.25, "reference_code")}

    def test_refuses_what_does_not_go_together(self, table):
        with pytest.raises(ValueError, match="Expected mixing to be None, for M2m makes its own samples"):
            M2mClassifier(**SMALL, mixing=Mixup()).fit(*table)
        with pytest.raises(ValueError, match="Expected batches to be 'natural' before the translations begin"):
            M2mClassifier(**SMALL, batches="class_balanced").fit(*table)
        with pytest.raises(ValueError, match="confidence to be a number at least 0 and at most 1, but got 2"):
            M2mClassifier(**SMALL, confidence=2).fit(*table)
        with pytest.raises(ValueError, match=r"noise_norm to be .*'reference_code'.*, but got 'batch'"):
            M2mClassifier(**SMALL, noise_norm="batch").fit(*table)
