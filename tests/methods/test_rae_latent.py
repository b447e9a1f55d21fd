"""The latent space as a tool, and what can be switched off."""

import numpy as np
import pytest
import torch
from sklearn.datasets import make_blobs

from latentover import RAEClassifier, RAESampler

SMALL = {"max_steps": 150, "hidden_units": 32, "batch_size": 32, "learning_rate": 3e-3, "dropout": 0.0}
SMALL |= {"adversarial_every": 50, "decoder_reconstruction": True, "reconstruction_weight": 5.0, "random_state": 0}


@pytest.fixture(scope="module")
def blobs():
    X, y = make_blobs([80, 30, 15], centers=[[0, 0, 0, 6], [6, 0, 0, 0], [0, 6, 0, 0]], random_state=0)
    return X, np.array(["a", "b", "c"])[y]


@pytest.fixture(scope="module", params=["autoregressive", "adversarial"])
def fitted(blobs, request):
    return RAEClassifier(latent_dim=4, device="cpu", decoder=request.param, **SMALL).fit(*blobs)


class TestInterpolate:
    def test_goes_from_one_reconstruction_to_the_other(self, fitted, blobs):
        X, _ = blobs
        way = fitted.interpolate(X[:1], X[-1:], 5)
        assert way.shape == (5, 4)
        ends = [fitted.reconstruct(row) for row in (X[:1], X[-1:])]
        np.testing.assert_allclose(way[[0, -1]], np.concatenate(ends), atol=1e-5)

    def test_steps_are_equal_in_the_latent_space(self, fitted, blobs, monkeypatch):
        X, y = blobs
        same = X[y == "a"][:2]
        seen = []
        monkeypatch.setattr(RAEClassifier, "_decode", lambda self, Z, onehot, **_: seen.append((Z, onehot)))
        fitted.interpolate(same[:1], same[1:], 4, y=["a", "a"])
        ((Z, onehot),) = seen
        ends = fitted.encode(same)
        np.testing.assert_allclose(Z, ends[0] + np.linspace(0, 1, 4)[:, None] * (ends[1] - ends[0]), atol=1e-5)
        assert torch.equal(onehot, torch.tensor([[1.0, 0.0, 0.0]] * 4))

    @pytest.mark.parametrize(("n", "rows", "message"), [(1, 1, "n to be a whole number of at least 2"), (3, 2, "one")])
    def test_bad_input(self, fitted, blobs, n, rows, message):
        with pytest.raises(ValueError, match=f"Expected .*{message}"):
            fitted.interpolate(blobs[0][:rows], blobs[0][:1], n)


class TestMixingWeights:
    def test_are_convex_and_those_of_the_mixer(self, fitted, blobs):
        X, _ = blobs
        weights = fitted.mixing_weights(X[:6], X[6:12], random_state=0)
        assert weights.shape == (6, 2)
        assert weights.min() >= 0
        np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-5)
        np.testing.assert_array_equal(weights, fitted.mixing_weights(X[:6], X[6:12], random_state=0))
        assert not np.array_equal(weights, fitted.mixing_weights(X[:6], X[6:12], random_state=1))  # its noise

    def test_wrong_members(self, fitted, blobs):
        X, _ = blobs
        with pytest.raises(ValueError, match="n_components = 2 members, but got 1"):
            fitted.mixing_weights(X[:3])
        with pytest.raises(ValueError, match=r"members of one length, but got \[3, 2\]"):
            fitted.mixing_weights(X[:3], X[:2])


def test_tsne_has_a_place_for_every_row(fitted, blobs):
    X, _ = blobs
    places = fitted.tsne(X[:20], random_state=0)
    assert places.shape == (20, 2)
    np.testing.assert_array_equal(places, fitted.tsne(X[:20], random_state=0))


def test_separable_classes_have_separable_latents(fitted, blobs):
    X, y = blobs
    scores = fitted.latent_separability(X, y)
    assert set(scores) == {"a", "b", "c"}
    assert min(scores.values()) > 0.95
    shuffled = fitted.latent_separability(X, np.random.default_rng(0).permutation(y))
    assert max(shuffled.values()) < 0.7


class TestSwitchedOff:
    def test_without_a_decoder_it_classifies_and_says_that_it_cannot_generate(self, blobs):
        X, y = blobs
        model = RAEClassifier(latent_dim=4, device="cpu", decoder=False, **SMALL).fit(X, y)
        assert (model.predict(X) == y).mean() > 0.95
        assert not any(name.startswith(("decoder", "critic")) for name, _ in model.networks_.named_parameters())
        for call in (lambda: model.sample(2, y="a"), lambda: model.decode(np.zeros((1, 4)), ["a"])):
            with pytest.raises(ValueError, match="decoder"):
                call()

    def test_without_class_preservation_the_classifier_still_learns(self, blobs):
        X, y = blobs
        model = RAEClassifier(latent_dim=4, device="cpu", class_preserving=False, **SMALL).fit(X, y)
        assert (model.predict(X) == y).mean() > 0.9

    def test_without_oversampling(self, blobs):
        X, y = blobs
        model = RAEClassifier(latent_dim=4, device="cpu", n_components=1, sampling_power=1.0, **SMALL).fit(X, y)
        assert (model.predict(X) == y).mean() > 0.95
        assert model.sample(3, y="c").shape == (3, 4)


class TestMovingAverage:
    def test_its_weights_are_the_ones_that_are_used(self, blobs):
        X, y = blobs
        settings = {"latent_dim": 4, "device": "cpu", **SMALL, "max_steps": 20}
        live, averaged = (RAEClassifier(ema=ema, **settings).fit(X, y) for ema in (0.0, 0.9))
        one, other = (model.networks_.encoder.layers[0].weight for model in (live, averaged))
        assert not torch.equal(one, other)
        assert (one - other).abs().max() < 0.2  # it follows

    def test_follows_the_oracle(self):
        """0.99^k e0 + (1 - 0.99^k) w after k further updates towards constant weights w."""
        from latentover.training import WeightAverage

        network = torch.nn.Linear(1, 1, bias=False)
        torch.nn.init.constant_(network.weight, 3.0)
        average = WeightAverage(network, 0.99)
        average.update()
        torch.nn.init.constant_(network.weight, 5.0)
        for _ in range(40):
            average.update()
        assert average.module.weight.item() == pytest.approx(0.99**40 * 3 + (1 - 0.99**40) * 5, rel=1e-4)


class TestDiversity:
    def test_a_generator_that_makes_one_sample_is_named(self, blobs):
        X, y = blobs
        settings = {**SMALL, "latent_dim": 4, "device": "cpu", "max_steps": 1, "learning_rate": 1e-9}
        settings |= {"decoder": "adversarial"}
        with pytest.warns(match="generated for classes 'a', 'b', 'c' has less than 30%"):
            model = RAESampler(**settings, match_moments=False).fit(X, y)
        assert model.diversity_.shape == (3,)
        assert (model.diversity_ < 0.3).all()
        matched = RAESampler(**settings).fit(X, y)  # its noise gives what the decoder lacks
        assert matched.diversity_ == pytest.approx(np.ones(3), abs=0.3)

    def test_a_trained_one_has_the_variety_of_the_data(self, blobs):
        X, y = blobs
        sampler = RAESampler(latent_dim=4, device="cpu", alpha="uniform", **{**SMALL, "max_steps": 400}).fit(X, y)
        assert (sampler.diversity_ > 0.3).all()
        assert (sampler.diversity_ < 1.5).all()


def test_samples_come_in_batches(fitted):
    """More than one batch of samples: same count, no repetition of the first batch."""
    samples = fitted.sample(2500, y="a", random_state=0)
    assert samples.shape == (2500, 4)
    assert not np.array_equal(samples[:1024], samples[1024:2048])
