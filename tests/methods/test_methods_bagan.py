"""BAGAN: its losses and Gaussians against a second writing, who learns from what, classes of any size."""

import copy

import numpy as np
import pytest
import torch
from interruption import resumed
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from latentover.estimators import TrainingSet
from latentover.methods.bagan import (
    BAGANSampler,
    BAGANTraining,
    class_gaussians,
    discriminator_loss,
    fake_class_probabilities,
    generator_loss,
    n_fakes_per_batch,
)

SMALL = {
    "latent_dim": 4,
    "channels": 2,
    "decoder_channels": 4,
    "hidden_units": 16,
    "dropout": 0.0,
    "batch_size": 16,
    "autoencoder_epochs": 2,
    "max_epochs": 2,
    "device": "cpu",
    "precision": "float32",
    "random_state": 0,
}
COUNTS = [18, 8, 4]
PROTOCOL = [4000, 2000, 1000, 750, 500, 350, 200, 100, 60, 40]
PARTS = ("trunk", "encoder_head", "class_head", "generator")


def make_data(shape=(1, 8, 8), counts=COUNTS):
    rng = np.random.default_rng(0)
    return rng.random((sum(counts), *shape)).astype(np.float32), np.repeat(np.arange(len(counts)), counts)


class TestDraws:
    def test_as_many_fakes_as_of_a_class(self):
        assert n_fakes_per_batch(128, 10) == 13
        assert 128 + n_fakes_per_batch(128, 10) == 141  # what the generator learns from

    def test_of_all_classes_alike(self):
        np.testing.assert_allclose(fake_class_probabilities(torch.tensor(PROTOCOL)), 0.1)

    def test_rebalancing_on_the_published_protocol(self):
        probabilities = fake_class_probabilities(torch.tensor(PROTOCOL), "rebalance")
        expected = [0, 0, 0.070175, 0.092105, 0.114035, 0.127193, 0.140351, 0.149123, 0.152632, 0.154386]
        np.testing.assert_allclose(probabilities, expected, atol=5e-7)
        assert probabilities.sum().item() == pytest.approx(1)


class TestGaussians:
    def test_are_mean_and_unbiased_covariance(self):
        latents = torch.randn(90, 5) @ torch.randn(5, 5)
        labels = torch.arange(90) % 3
        means, factors = class_gaussians(latents, labels, 3)
        for label in range(3):
            group = latents[labels == label].numpy()
            np.testing.assert_allclose(means[label], group.mean(axis=0), atol=1e-5)
            np.testing.assert_allclose(factors[label] @ factors[label].T, np.cov(group.T), rtol=1e-4, atol=1e-4)

    @pytest.mark.parametrize("n", [1, 2, 5])
    def test_of_few_samples_lean_on_what_all_classes_have(self, n):
        latents = torch.randn(60 + n, 8, dtype=torch.float64)
        labels = torch.tensor([0] * 40 + [1] * 20 + [2] * n)
        means, factors = class_gaussians(latents, labels, 3)
        scatter = sum(
            (len(group) - 1) * np.cov(group.T) for label in range(3) if len(group := latents[labels == label]) > 1
        )
        own = np.cov(latents[60:].T) if n > 1 else 0
        expected = (1 - 1 / n) * own + scatter / (57 + n) / n
        np.testing.assert_allclose(factors[2] @ factors[2].T, expected, atol=1e-5)
        np.testing.assert_allclose(means[2], latents[60:].mean(dim=0), atol=1e-6)

    def test_of_single_samples_alone_are_points(self):
        _, factors = class_gaussians(torch.randn(2, 3), torch.tensor([0, 1]), 2)
        assert (factors == 0).all()

    def test_weights_are_repetitions_for_the_mean_and_zero_leaves_a_sample_out(self):
        latents, labels = torch.randn(30, 2), torch.arange(30) % 2
        weights = torch.ones(30)
        weights[[4, 9]] = 0
        found = class_gaussians(latents, labels, 2, weights)
        expected = class_gaussians(latents[weights > 0], labels[weights > 0], 2)
        for one, other in zip(found, expected, strict=True):
            torch.testing.assert_close(one.abs(), other.abs(), atol=1e-5, rtol=1e-4)  # eigenvectors have no sign
        means, _ = class_gaussians(latents, labels, 2, 1 + weights)
        twice = torch.cat([latents, latents[weights > 0]])
        again, _ = class_gaussians(twice, torch.cat([labels, labels[weights > 0]]), 2)
        torch.testing.assert_close(means, again)

    def test_draws_have_these_moments(self):
        sampler = BAGANSampler(**SMALL).fit(*make_data((5,), [40, 30]))
        gaussians = sampler.networks_.gaussians
        labels = torch.arange(40000) % 2
        z = gaussians.draw(labels, torch.Generator().manual_seed(0))
        for label in range(2):
            covariance = (gaussians.factors[label] @ gaussians.factors[label].T).numpy()
            spread = np.sqrt(np.diag(covariance).max())
            drawn = z[labels == label].numpy()
            np.testing.assert_allclose(drawn.mean(axis=0), gaussians.means[label], atol=5 * spread / np.sqrt(20000))
            np.testing.assert_allclose(np.cov(drawn.T), covariance, atol=10 * spread**2 / np.sqrt(20000))


class TestLosses:
    def test_discriminator(self):
        logits, labels = torch.randn(7, 4), torch.tensor([0, 2, 1, 1, 0])
        log_probabilities = logits - logits.exp().sum(dim=1, keepdim=True).log()
        by_hand = -sum(log_probabilities[i, c] for i, c in enumerate([0, 2, 1, 1, 0, 3, 3])) / 7
        torch.testing.assert_close(discriminator_loss(logits, labels, 2), by_hand)

    def test_generator(self):
        logits = torch.randn(3, 4)
        log_probabilities = logits - logits.exp().sum(dim=1, keepdim=True).log()
        by_hand = -(log_probabilities[0, 2] + log_probabilities[1, 0] + log_probabilities[2, 1]) / 3
        torch.testing.assert_close(generator_loss(logits, torch.tensor([2, 0, 1])), by_hand)


class TestUpdates:
    """Each update against gradients that are written out a second time."""

    @pytest.fixture(params=[(1, 8, 8), (5,)], ids=["images", "table"])
    def training(self, request):
        X, y = make_data(request.param)
        estimator = BAGANSampler(**SMALL).fit(X, y)
        data = TrainingSet(
            inputs=estimator.format_.encode(X),
            labels=torch.from_numpy(y),
            class_counts=torch.tensor(COUNTS),
            prepare=estimator.format_.network_input,
            dtype=torch.float32,
            generator=torch.Generator().manual_seed(1),
        )
        training = BAGANTraining(copy.deepcopy(estimator.networks_).train(), data, estimator)
        training.optimizers = {name: torch.optim.SGD(p, lr=1.0) for name, p in training.parameters.items()}
        return training

    @staticmethod
    def check(training, update, loss_of, moved):
        """Compare an update with the gradient of a loss that is computed from the same draws."""
        state = training.data.generator.get_state()
        networks = training.networks
        written = loss_of(copy.deepcopy(networks), training)
        training.data.generator.set_state(state)
        before = {part: [p.detach().clone() for p in getattr(networks, part).parameters()] for part in PARTS}
        update()
        for part in PARTS:
            if part in moved:
                gradients = torch.autograd.grad(
                    written[0], list(getattr(written[1], part).parameters()), retain_graph=True
                )
            else:
                gradients = [torch.zeros_like(p) for p in before[part]]
            for old, new, gradient in zip(before[part], getattr(networks, part).parameters(), gradients, strict=True):
                torch.testing.assert_close(new.detach(), old - gradient, atol=2e-6, rtol=1e-4)

    @staticmethod
    def batch(training):
        rows = torch.randperm(30, generator=training.data.generator)[:16]
        return training.data.prepare(training.data.inputs)[rows], training.data.labels[rows]

    @staticmethod
    def drawn(networks, training, n):
        generator = training.data.generator
        labels = torch.multinomial(torch.full((3,), 1 / 3).double(), n, replacement=True, generator=generator)
        noise = torch.randn(n, 4, generator=generator)
        z = [
            networks.gaussians.means[c] + networks.gaussians.factors[c] @ e for c, e in zip(labels, noise, strict=True)
        ]
        return torch.stack(z), labels

    def test_autoencoder(self, training):
        def loss_of(networks, training):
            x, _ = self.batch(training)
            z = networks.encoder_head(networks.trunk(x))
            return (networks.generator(z, torch.empty(16, 0)) - x).square().mean(), networks

        self.check(training, training.update_autoencoder, loss_of, ("trunk", "encoder_head", "generator"))

    def test_discriminator(self, training):
        def loss_of(networks, training):
            x, labels = self.batch(training)
            z, _ = self.drawn(networks, training, 6)  # ceil(16 / 3)
            fakes = networks.generator(z, torch.empty(6, 0)).detach()
            real, fake = (networks.class_head(networks.trunk(part)).log_softmax(dim=1) for part in (x, fakes))
            return -(real[torch.arange(16), labels].sum() + fake[:, 3].sum()) / 22, networks

        self.check(training, training.update_discriminator, loss_of, ("trunk", "class_head"))

    def test_generator(self, training):
        def loss_of(networks, training):
            z, labels = self.drawn(networks, training, 22)
            logits = networks.class_head(networks.trunk(networks.generator(z, torch.empty(22, 0))))
            return -logits.log_softmax(dim=1)[torch.arange(22), labels].mean(), networks

        self.check(training, training.update_generator, loss_of, ("generator",))


def test_order_of_the_training():
    X, y = make_data(counts=[18, 8, 6])
    sampler = BAGANSampler(**SMALL).fit(X, y)
    assert sampler.history_[-1]["step"] == 2 * 2 + 2 * 2
    names = [set(row) - {"step", "seconds"} for row in sampler.history_]
    assert names == [{"autoencoder"}] * 4 + [{"discriminator", "generator"}] * 4


class TestClasses:
    def test_of_any_size_get_the_exact_number(self):
        X, y = make_data((6,), [20, 1, 2, 3, 5])
        sampler = BAGANSampler(**SMALL)
        with pytest.warns(UserWarning, match="1 of class 1"):
            X_new, y_new = sampler.fit_resample(X, y)
        assert np.bincount(y_new).tolist() == [20] * 5
        assert np.isfinite(X_new).all()
        assert len(np.unique(X_new[y_new == 1], axis=0)) > 10, "a single sample gets variations"
        assert sampler.parents_.shape == sampler.mix_weights_.shape == (100, 0)

    def test_are_found_by_name_and_the_largest_is_not_the_first(self):
        X, _ = make_data(counts=[30])
        y = np.array(["b"] * 4 + ["c"] * 8 + ["a"] * 18)
        _, y_new = BAGANSampler(**SMALL).fit_resample(X, y)
        assert dict(zip(*np.unique(y_new, return_counts=True), strict=True)) == {"a": 18, "b": 18, "c": 18}

    def test_weights_reach_the_gaussians(self):
        X, y = make_data((6,), [20, 10])
        weights = np.ones(30)
        weights[[21, 25]] = 0
        plain, weighted = BAGANSampler(**SMALL).fit(X, y), BAGANSampler(**SMALL).fit(X, y, sample_weight=weights)
        means = [sampler.networks_.gaussians.means for sampler in (plain, weighted)]
        torch.testing.assert_close(means[0][0], means[1][0])
        assert not torch.allclose(means[0][1], means[1][1])


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 9, 13), (2, 33, 47)], ids=str)
def test_any_size_and_channels(shape):
    X, y = make_data(shape, [8, 4])
    sampler = BAGANSampler(**{**SMALL, "autoencoder_epochs": 1, "max_epochs": 1})
    X_new, _ = sampler.fit_resample((X * 255).astype(np.uint8), y)
    assert X_new.shape == (16, *shape)
    assert X_new.dtype == np.uint8


def test_bfloat16_trains_finite_weights():
    fitted = BAGANSampler(**{**SMALL, "precision": "bfloat16"}).fit(*make_data())
    assert all(torch.isfinite(tensor).all() for tensor in fitted.networks_.state_dict().values())
    assert fitted.sample(3, 2, random_state=0).dtype == np.float32


@pytest.mark.parametrize("step", [1, 4, 5])
def test_resumes_bit_equal(step, tmp_path, monkeypatch):
    """Within the autoencoder, where the Gaussians are learned, and within the GAN."""
    X, y = make_data()
    sampler = BAGANSampler(**{**SMALL, "dropout": 0.3}, schedule="cosine")
    whole = clone(sampler).fit(X, y)
    again = resumed(sampler, X, y, step, tmp_path / "run.checkpoint", monkeypatch)
    for name, tensor in whole.networks_.state_dict().items():
        assert torch.equal(tensor, again.networks_.state_dict()[name]), name
    assert whole.sample(5, 2, random_state=0).tobytes() == again.sample(5, 2, random_state=0).tobytes()


def test_nothing_of_the_training_data_is_kept_but_the_gaussians():
    sampler = BAGANSampler(**SMALL).fit(*make_data())
    weights, tensors = sampler._fitted_tensors()
    assert {name.split(".")[0] for name in weights} == {"generator", "gaussians"}
    assert tensors == {}


class TestIdea:
    """On digits of 8x8 pixels, the rarest class with 12 of them."""

    def test_samples_keep_their_class_and_are_no_copies_of_each_other(self):
        X, y = load_digits(n_class=4, return_X_y=True)
        X = X.reshape(-1, 1, 8, 8).astype(np.float32)
        kept = np.concatenate([np.flatnonzero(y == c)[:n] for c, n in enumerate([120, 60, 25, 12])])
        rest = np.setdiff1d(np.arange(len(y)), kept)
        settings = {"latent_dim": 16, "channels": 8, "decoder_channels": 16, "hidden_units": 64, "batch_size": 64}
        settings |= {"autoencoder_epochs": 40, "max_epochs": 20, "schedule": "cosine", "batches": "class_balanced"}
        settings |= {"learning_rate": 2e-3, "generator_learning_rate": 2e-4}
        sampler = BAGANSampler(**{**SMALL, **settings}).fit(X[kept], y[kept])
        judge = LogisticRegression(max_iter=1000).fit(X[rest].reshape(len(rest), -1), y[rest])
        for label in range(4):
            samples = sampler.sample(50, y=label, random_state=0)
            assert (judge.predict(samples.reshape(50, -1)) == label).mean() > 0.9
        assert sampler.diversity_.min() > 0.3
