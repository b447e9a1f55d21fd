"""BAGAN: its losses and Gaussians against a second writing, who learns from what, classes of any size."""

import math

import numpy as np
import pytest
import torch
from interruption import drawn, engine_of, moved, phases_of, resumed
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from torch import nn

from latentover.methods.bagan import (
    BAGANSampler,
    Gaussians,
    class_gaussians,
    discriminator_loss,
    fake_class_probabilities,
    generator_loss,
    n_fakes_per_batch,
)
from latentover.training.capture import recordable
from latentover.training.engine import parameters_of

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

    @pytest.mark.parametrize(
        ("fake_classes", "shares"), [("uniform", [1 / 3] * 3), ("rebalance", [0, 0.4, 0.6])], ids=str
    )
    def test_of_both_updates(self, fake_classes, shares, monkeypatch):
        """Of 20, 8 and 2 samples the shares 2/3 - n / 30 are 0, 0.4 and 0.6."""
        estimator = BAGANSampler(**SMALL, fake_classes=fake_classes)
        engine = engine_of(estimator, *make_data((5,), [20, 8, 2]), monkeypatch)
        (discriminator,), (generator,) = phases_of(engine, "discriminator"), phases_of(engine, "generator")
        for phase, n in ((discriminator, 6), (generator, 22)):
            labels = torch.cat([drawn(engine, phase)[-1] for _ in range(1500 // n)])
            found = torch.bincount(labels, minlength=3) / len(labels)
            np.testing.assert_allclose(found, shares, atol=5 * np.sqrt(0.25 / len(labels)))
            assert [share == 0 for share in found] == [share == 0 for share in shares]


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

    def test_place_noise_sample_by_sample(self):
        gaussians = Gaussians(3, 4)
        gaussians.means.copy_(torch.randn(3, 4))
        gaussians.factors.copy_(torch.randn(3, 4, 4))
        noise, labels = torch.randn(7, 4), torch.tensor([2, 0, 0, 2, 2, 0, 2])
        expected = [gaussians.means[c] + gaussians.factors[c] @ e for c, e in zip(labels, noise, strict=True)]
        torch.testing.assert_close(gaussians.place(noise, labels), torch.stack(expected))
        with recordable():
            torch.testing.assert_close(gaussians.place(noise, labels), torch.stack(expected))

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
    def engine(self, request, monkeypatch):
        """The engine behind the autoencoder's four steps and one of the GAN."""
        engine = engine_of(BAGANSampler(**SMALL), *make_data(request.param), monkeypatch)
        for step in range(5):
            engine.run_step(step)
        return engine

    @staticmethod
    def check(engine, phase, draws, loss, parts):
        """Compare an update with the gradient of a loss that is computed from the same draws."""
        networks = dict(engine.program.networks.named_children())
        losses, found = engine.gradients(phase, draws)
        assert set(losses) == set(found) == {phase.name}
        assert losses[phase.name].item() == pytest.approx(loss.item(), rel=1e-5)
        parameters = list(parameters_of(engine.program.optimizers[phase.name]))
        assert {id(p) for p in parameters} == {id(p) for part in parts for p in networks[part].parameters()}
        gradients = torch.autograd.grad(loss, parameters)
        assert max(gradient.abs().max() for gradient in gradients) > 1e-3
        for one, gradient in zip(found[phase.name], gradients, strict=True):
            torch.testing.assert_close(one, gradient, atol=2e-6, rtol=1e-4)

    @staticmethod
    def entropy(networks, x, label):
        """Of a single input: nothing of the discriminator looks at a batch."""
        logits = networks.class_head(networks.trunk(x[None]))[0]
        return logits.exp().sum().log() - logits[label]

    @staticmethod
    def is_batch(engine, x, labels):
        inputs = engine.program.data.prepare(engine.program.data.inputs)
        rows = [int((inputs == row).flatten(1).all(dim=1).nonzero()) for row in x]
        assert len(set(rows)) == 16
        assert labels.tolist() == engine.program.data.labels[rows].tolist()

    @staticmethod
    def drawn_again(engine, state, n):
        """The latents and classes that `n` samples of the Gaussians are from a state of the generator on."""
        after, gaussians = engine.generator.get_state(), engine.program.networks.gaussians
        engine.generator.set_state(state)
        labels = torch.multinomial(torch.full((3,), 1 / 3).double(), n, replacement=True, generator=engine.generator)
        noise = torch.randn(n, 4, generator=engine.generator)
        assert torch.equal(engine.generator.get_state(), after), "nothing else is drawn"
        z = [gaussians.means[c] + gaussians.factors[c] @ e for c, e in zip(labels, noise, strict=True)]
        return torch.stack(z), labels

    def test_autoencoder(self, engine):
        (phase,), networks = phases_of(engine, "autoencoder"), engine.program.networks
        engine.program.batches.start = len(engine.program.batches.order)  # a whole batch, not the end of an epoch
        x, labels = draws = drawn(engine, phase)
        self.is_batch(engine, x, labels)
        z = torch.stack([networks.encoder_head(networks.trunk(row[None]))[0] for row in x])
        decoded = networks.generator(z, torch.empty(16, 0))
        loss = sum(((y - row) ** 2).sum() for y, row in zip(decoded, x, strict=True)) / x.numel()
        self.check(engine, phase, draws, loss, ("trunk", "encoder_head", "generator"))

    def test_discriminator(self, engine):
        (phase,), networks = phases_of(engine, "discriminator"), engine.program.networks
        engine.program.batches.start = len(engine.program.batches.order)
        engine.program.batches.advance()
        state = engine.generator.get_state()
        x, labels, z, classes = draws = engine.draw(phase)
        self.is_batch(engine, x, labels)
        expected, of_classes = self.drawn_again(engine, state, 6)  # ceil(16 / 3)
        torch.testing.assert_close(z, expected)
        assert torch.equal(classes, of_classes)
        fakes = networks.generator(z, torch.empty(6, 0)).detach()
        entropies = [self.entropy(networks, row, label) for row, label in zip(x, labels, strict=True)]
        entropies += [self.entropy(networks, row, 3) for row in fakes]
        assert len(entropies) == 22
        self.check(engine, phase, draws, sum(entropies) / 22, ("trunk", "class_head"))

    def test_generator(self, engine):
        (phase,), networks = phases_of(engine, "generator"), engine.program.networks
        state = engine.generator.get_state()
        z, labels = draws = drawn(engine, phase)
        expected, of_classes = self.drawn_again(engine, state, 22)
        torch.testing.assert_close(z, expected)
        assert torch.equal(labels, of_classes)
        generated = networks.generator(z, torch.empty(22, 0))
        entropies = [self.entropy(networks, x, label) for x, label in zip(generated, labels, strict=True)]
        self.check(engine, phase, draws, sum(entropies) / 22, ("generator",))

    def test_gaussians_are_those_of_the_latents_without_dropout(self, monkeypatch):
        X, y = make_data()
        engine = engine_of(BAGANSampler(**{**SMALL, "dropout": 0.5}), X, y, monkeypatch)
        networks = engine.program.networks
        assert moved(engine, *phases_of(engine, "gaussians")) == set()
        assert all(network.training for network in networks.modules()), "the training goes on"
        networks.eval()
        with torch.no_grad():
            latents = networks.encoder_head(networks.trunk(torch.from_numpy(X)))
        for label in range(2):
            group = latents[y == label].numpy()
            np.testing.assert_allclose(networks.gaussians.means[label], group.mean(axis=0), atol=1e-6)
            factor = networks.gaussians.factors[label]
            np.testing.assert_allclose(factor @ factor.T, np.cov(group.T), rtol=1e-3, atol=1e-6)

    def test_move_their_own_networks(self, engine):
        found = {
            name: moved(engine, *phases_of(engine, name)) for name in ("autoencoder", "discriminator", "generator")
        }
        assert found == {
            "autoencoder": {"trunk", "encoder_head", "generator"},
            "discriminator": {"trunk", "class_head"},
            "generator": {"generator"},
        }

    def test_each_part_of_the_training_has_a_schedule(self, monkeypatch):
        """Four steps of the autoencoder and four of the GAN."""
        settings = {**SMALL, "learning_rate": 0.01, "generator_learning_rate": 0.02, "schedule": "cosine"}
        engine = engine_of(BAGANSampler(**settings), *make_data(), monkeypatch)
        rates = {}
        for step in (0, 2, 4, 6):
            engine.rates.set(step)
            rates[step] = {name: each.param_groups[0]["lr"] for name, each in engine.program.optimizers.items()}
        assert [rates[step]["autoencoder"] for step in (0, 2)] == pytest.approx([0.01, 0.005])
        assert [rates[step]["discriminator"] for step in (4, 6)] == pytest.approx([0.01, 0.005])
        assert [rates[step]["generator"] for step in (4, 6)] == pytest.approx([0.02, 0.01])

    def test_latents_are_drawn_in_float32_whatever_the_precision(self, monkeypatch):
        engine = engine_of(BAGANSampler(**{**SMALL, "precision": "bfloat16"}), *make_data(), monkeypatch)
        (phase,), networks = phases_of(engine, "generator"), engine.program.networks
        networks.gaussians.factors.copy_(torch.randn(3, 4, 4))
        state = engine.generator.get_state()
        z, _ = drawn(engine, phase)
        torch.testing.assert_close(z, self.drawn_again(engine, state, 22)[0])


def test_order_of_the_training():
    X, y = make_data(counts=[18, 8, 6])
    sampler = BAGANSampler(**SMALL).fit(X, y)
    assert sampler.history_[-1]["step"] == 2 * 2 + 2 * 2
    names = [set(row) - {"step", "seconds"} for row in sampler.history_]
    assert names == [{"autoencoder"}] * 4 + [{"discriminator", "generator"}] * 4


def test_order_of_a_step(monkeypatch):
    program = engine_of(BAGANSampler(**SMALL), *make_data(), monkeypatch).program
    assert program.n_steps == 8
    runs = {phase.name: [step for step in range(8) if phase.runs_in(step)] for phase in program.phases}
    assert list(runs.items()) == [
        ("autoencoder", [0, 1, 2, 3]),
        ("gaussians", [4]),
        ("discriminator", [4, 5, 6, 7]),
        ("generator", [4, 5, 6, 7]),
    ]
    assert [phase.repeat for phase in program.phases if phase.name != "gaussians"] == [1, 1, 1]


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


class TestPublished:
    """Sizes and constants of the authors' code, on images of 32 by 32 pixels and ten classes."""

    @pytest.fixture
    def engine(self, monkeypatch):
        return engine_of(BAGANSampler(device="cpu"), *make_data((3, 32, 32), [31] + [11] * 9), monkeypatch)

    def test_optimizers(self, engine):
        assert set(engine.program.optimizers) == {"autoencoder", "discriminator", "generator"}
        for each in engine.program.optimizers.values():
            group = each.param_groups[0]
            assert (group["lr"], group["betas"]) == (5e-5, (0.5, 0.999))
            assert (group["eps"], group["weight_decay"]) == (1e-8, 0)

    def test_batches(self, engine):
        x, labels, z, _ = drawn(engine, *phases_of(engine, "discriminator"))
        assert (len(x), len(labels), z.shape) == (128, 128, (13, 100))
        assert drawn(engine, *phases_of(engine, "generator"))[0].shape == (141, 100)

    def test_epochs(self, engine):
        first = 150 * math.ceil(130 / 128)
        assert engine.program.n_steps == 2 * first
        (autoencoder,), (generator,) = phases_of(engine, "autoencoder"), phases_of(engine, "generator")
        assert [autoencoder.runs_in(step) for step in (first - 1, first)] == [True, False]
        assert [generator.runs_in(step) for step in (first - 1, first)] == [False, True]

    def test_networks(self, engine):
        networks = engine.program.networks
        convs = [m for m in networks.trunk.modules() if isinstance(m, nn.Conv2d)]
        found = [(m.out_channels, m.kernel_size[0], m.stride[0]) for m in convs]
        assert found == [(32, 3, 2), (64, 3, 1), (128, 3, 2), (256, 3, 1)]
        assert {m.negative_slope for m in networks.trunk.modules() if isinstance(m, nn.LeakyReLU)} == {0.3}
        assert {m.p for m in networks.trunk.modules() if hasattr(m, "p")} == {0.3}
        assert networks.encoder_head.out_features == 100
        assert networks.class_head.out_features == 11
        assert networks.gaussians.factors.shape == (10, 100, 100)
