"""A latent with a style beside the features, and variety that is borrowed from other classes."""

import numpy as np
import pytest
import torch
from sklearn.datasets import make_blobs

from latentover import RAEClassifier, RAESampler
from latentover.bundle import load, save
from latentover.estimators import TrainingSet
from latentover.methods.rae import RAEProgram
from latentover.training import Engine
from latentover.training.engine import parameters_of

SMALL = {"latent_dim": 4, "channels": 4, "hidden_units": 16, "dropout": 0.0, "batch_size": 6, "max_steps": 3}
SMALL |= {"device": "cpu", "precision": "float32", "random_state": 0, "alpha": "uniform"}


@pytest.fixture(scope="module")
def images():
    X = np.random.default_rng(0).integers(0, 256, size=(30, 1, 8, 8), dtype=np.uint8)
    return X, np.repeat([0, 1, 2], [18, 8, 4])


class Updates:
    """A fitted classifier's program, and which of its networks each update moves."""

    def __init__(self, images, **settings):
        X, y = images
        self.fitted = RAEClassifier(**{**SMALL, **settings}).fit(X, y)
        self.networks = self.fitted.networks_.train()
        data = TrainingSet(
            inputs=self.fitted.format_.encode(X),
            labels=torch.from_numpy(y),
            class_counts=torch.tensor([18, 8, 4]),
            prepare=self.fitted.format_.network_input,
            dtype=torch.float32,
            generator=torch.Generator().manual_seed(1),
        )
        self.program = RAEProgram(self.networks, data, self.fitted)
        self.engine = Engine(self.program, data.generator)
        self.phases = {phase.name: phase for phase in reversed(self.program.phases)}

    def draws(self, name):
        for stream in self.phases[name].streams:
            stream.advance()
        return self.engine.draw(self.phases[name])

    def moved(self, name):
        """Return the parameters that an update moves by a gradient that is not zero."""
        _, found = self.engine.gradients(self.phases[name], self.draws(name))
        pairs = (
            pair
            for key, each in found.items()
            for pair in zip(parameters_of(self.program.optimizers[key]), each, strict=True)
        )
        return {id(parameter) for parameter, gradient in pairs if gradient is not None and gradient.abs().max() > 0}


def ids(network):
    return {id(parameter) for parameter in network.parameters()}


class TestStyle:
    def test_the_classifier_sees_the_features_alone(self, images):
        updates = Updates(images, style_dim=3)
        Z = torch.randn(5, 7)
        other = torch.cat([Z[:, :4], torch.randn(5, 3)], dim=1)
        classifier = updates.networks.classifier.eval()
        assert torch.equal(classifier(Z), classifier(other))
        assert not torch.equal(classifier(Z), classifier(Z.flip(1)))

    @pytest.mark.parametrize("weight", [0.0, 0.5])
    def test_style_and_decoder_learn_to_reconstruct_and_features_if_they_are_to(self, images, weight):
        settings = {"reconstruction_weight": weight, "classifier_weight": 0.0, "decoder_reconstruction": True}
        updates = Updates(images, style_dim=3, **settings)
        moved = updates.moved("joint")
        assert ids(updates.networks.style) & moved
        assert ids(updates.networks.decoder) & moved
        assert bool(ids(updates.networks.features) & moved) == (weight > 0)

    def test_style_does_not_learn_to_classify(self, images):
        updates = Updates(images, style_dim=3, reconstruction_weight=0.0, reconstruct_every=10**6)
        updates.phases["joint"] = [phase for phase in updates.program.phases if phase.name == "joint"][-1]
        moved = updates.moved("joint")
        assert ids(updates.networks.features) & moved
        assert not ids(updates.networks.style) & moved

    def test_style_keeps_images_as_they_are_whatever_the_classifier_learns_from(self, images):
        updates = Updates(images, style_dim=3, augment="flip_shift")
        draws = updates.draws("joint")
        losses = updates.engine.gradients(updates.phases["joint"], draws)[0]
        networks, t = updates.networks, updates.program.t
        flat = torch.cat([draws.x[:, j] for j in range(t)])
        latents = torch.cat([networks.features(flat), networks.style(flat)], dim=1)
        onehot = torch.eye(3)[draws.labels.repeat(t)]
        expected = (networks.decoder(latents, onehot) - flat).abs().mean()
        torch.testing.assert_close(losses["reconstruction"], expected, rtol=1e-4, atol=1e-5)

    def test_latents_hold_both_and_come_back(self, images, tmp_path):
        X, y = images
        fitted = RAEClassifier(style_dim=3, **SMALL).fit(X, y)
        Z = fitted.encode(X)
        assert Z.shape == (30, 7)
        assert fitted.decode(Z, y).shape == X.shape
        save(fitted, tmp_path / "bundle")
        again = load(tmp_path / "bundle")
        np.testing.assert_array_equal(again.encode(X), Z)
        np.testing.assert_array_equal(again.sample(4, y=2, random_state=0), fitted.sample(4, y=2, random_state=0))

    def test_of_tables_too(self):
        X, y = make_blobs([60, 12], centers=[[0, 0], [5, 5]], random_state=0)
        sampler = RAESampler(style_dim=2, borrow=0.5, max_steps=5, hidden_units=16, random_state=0).fit(X, y)
        assert sampler.encode(X).shape == (72, 10)
        assert sampler.sample(3, y=1, random_state=0).shape == (3, 2)


class TestBorrow:
    def test_mixtures_move_as_two_members_of_the_next_tuple_differ(self, images):
        updates = Updates(images, borrow=0.3)
        z = torch.randn(6, 2, 4)
        weights = torch.rand(12, 1)
        weights = torch.cat([weights, 1 - weights], dim=1)
        mixed, targets = updates.program.mix(z, torch.eye(6), weights)
        for order in range(2):
            for b in range(6):
                row, members = order * 6 + b, [z[b, order], z[b, 1 - order]]
                other = z[b - 1]
                expected = weights[row, 0] * members[0] + weights[row, 1] * members[1]
                expected = expected + 0.3 * (other[0] - other[1]) / 2**0.5
                torch.testing.assert_close(mixed[row], expected)
        assert torch.equal(targets, torch.eye(6).repeat(2, 1))

    def test_new_latents_have_the_spread_of_their_class_and_of_others(self):
        """A class of one place, beside one that is wide along an axis, becomes wide along that axis."""
        rng = np.random.default_rng(0)
        X = np.concatenate([rng.normal(size=(400, 2)) * [3, 0], np.full((5, 2), 9.0)])
        y = np.repeat([0, 1], [400, 5])
        settings = {"decoder": "adversarial", "numbers": "standard", "max_steps": 2, "hidden_units": 8, "device": "cpu"}
        fitted = RAESampler(borrow=0.5, alpha="uniform", random_state=0, **settings).fit(X, y)
        fitted.tensors_["latents"] = torch.from_numpy(X).float()
        drawn = fitted._borrowed(4000, torch.Generator().manual_seed(0)).numpy()
        # 400 of 405 rows lie in the wide class; a difference over the root of two has the variance of one row.
        np.testing.assert_allclose(drawn.var(axis=0), [X[:400, 0].var() * 400 / 405, 0], rtol=0.1, atol=1e-12)

    def test_partners_are_of_the_same_class(self):
        X, y = make_blobs([50, 7, 3], centers=[[0, 0], [100, 0], [0, 100]], cluster_std=0.1, random_state=0)
        order = np.random.default_rng(0).permutation(60)
        fitted = RAESampler(max_steps=2, hidden_units=8, random_state=0, device="cpu").fit(X[order], y[order])
        fitted.tensors_["latents"] = torch.from_numpy(X[order]).float()
        assert fitted._borrowed(2000, torch.Generator().manual_seed(0)).abs().max() < 1

    def test_needs_two_members(self, images):
        with pytest.raises(ValueError, match=r"Expected n_components to be at least 2 with borrow=0\.1, but got 1"):
            RAEClassifier(borrow=0.1, n_components=1).fit(*images)
