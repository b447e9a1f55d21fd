"""What the method is for: fair classification and samples that keep their class, on a few digits of 8x8 pixels."""

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import train_test_split

from latentover import RAEClassifier, RAESampler

SETTINGS = {
    "latent_dim": 16,
    "channels": 8,
    "hidden_units": 64,
    "dropout": 0.2,
    "learning_rate": 1e-3,
    "batch_size": 32,
    "max_steps": 150,
    "adversarial_every": 10,
    "critic_steps": 1,
    "decoder_reconstruction": True,
    "reconstruction_weight": 1.0,
    "device": "cpu",
    "precision": "float32",
    "random_state": 0,
}


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(n_class=4, return_X_y=True)
    X = X.reshape(-1, 1, 8, 8).astype(np.float32)
    train, test = train_test_split(np.arange(len(y)), test_size=0.4, stratify=y, random_state=0)
    kept = np.concatenate([train[y[train] == c][:n] for c, n in enumerate([100, 40, 15, 10])])
    return X[kept], y[kept], X[test], y[test]


@pytest.fixture(scope="module")
def fitted(digits):
    X, y, _, _ = digits
    return RAEClassifier(**SETTINGS).fit(X, y)


class TestClassifier:
    def test_is_fair_to_the_rare_classes(self, fitted, digits):
        _, _, X_test, y_test = digits
        assert balanced_accuracy_score(y_test, fitted.predict(X_test)) > 0.85  # chance is 0.25

    def test_probabilities_logits_and_labels_agree(self, fitted, digits):
        X = digits[2]
        probabilities, logits = fitted.predict_proba(X), fitted.decision_function(X)
        np.testing.assert_allclose(probabilities.sum(axis=1), 1)
        np.testing.assert_allclose(np.diff(np.log(probabilities)), np.diff(logits), atol=1e-6)
        np.testing.assert_array_equal(fitted.classes_[logits.argmax(axis=1)], fitted.predict(X))

    def test_history(self, fitted):
        rows = pd.DataFrame(fitted.history_)
        assert rows["step"].iloc[-1] == SETTINGS["max_steps"]
        assert {"seconds", "classifier", "mixer", "reconstruction", "decoder", "critic", "gradient_penalty"} <= set(
            rows
        )
        assert rows["classifier"].iloc[-1] < rows["classifier"].iloc[0]


class TestSamples:
    def test_keep_their_class(self, fitted, digits):
        X_test, y_test = digits[2:]
        judge = LogisticRegression(max_iter=1000).fit(X_test.reshape(len(X_test), -1), y_test)
        for label in range(4):
            samples = fitted.sample(50, y=label, random_state=0)
            assert samples.shape == (50, 1, 8, 8)
            assert (judge.predict(samples.reshape(50, -1)) == label).mean() > 0.8

    def test_differ_from_each_other(self, fitted):
        assert fitted.sample(20, y=3, random_state=0).std(axis=0).max() > 0.1

    def test_the_sampler_brings_every_class_to_the_largest(self, digits):
        X, y, X_test, y_test = digits
        X_new, y_new = RAESampler(**SETTINGS).fit_resample(X, y)
        assert np.bincount(y_new).tolist() == [100] * 4
        judge = LogisticRegression(max_iter=1000).fit(X_test.reshape(len(X_test), -1), y_test)
        new = X_new[len(X) :].reshape(-1, 64)
        assert (judge.predict(new) == y_new[len(X) :]).mean() > 0.8


class TestAutoencoder:
    def test_shapes(self, fitted, digits):
        X, y = digits[:2]
        latents = fitted.encode(X)
        assert latents.shape == (len(X), 16)
        assert fitted.decode(latents, y).shape == X.shape
        assert fitted.reconstruct(X).shape == fitted.reconstruct(X, y).shape == X.shape
        np.testing.assert_array_equal(fitted.reconstruct(X, y), fitted.decode(latents, y))

    def test_reconstructions_are_nearer_than_the_mean_picture(self, fitted, digits):
        X, y = digits[:2]
        error = np.abs(fitted.reconstruct(X, y) - X).mean()
        assert error < 0.8 * np.abs(X - X.mean(axis=0)).mean()

    def test_the_predicted_labels_are_used_unless_given(self, fitted, digits):
        X = digits[2][:50]
        np.testing.assert_array_equal(fitted.reconstruct(X), fitted.reconstruct(X, fitted.predict(X)))

    def test_decode_in_many_batches(self, fitted):
        rng = np.random.default_rng(0)
        Z, y = rng.normal(size=(2500, 16)), rng.integers(4, size=2500)
        decoded = fitted.decode(Z, y)
        np.testing.assert_allclose(decoded[1500:1510], fitted.decode(Z[1500:1510], y[1500:1510]), atol=1e-4)

    def test_labels_that_fit_has_not_seen_are_refused(self, fitted):
        with pytest.raises(ValueError, match=r"Expected y to be one of the classes \[0, 1, 2, 3\], but got 7"):
            fitted.decode(np.zeros((2, 16)), [0, 7])
        with pytest.raises(
            ValueError, match=r"Expected Z to hold a latent of length 16 for each of the 3 labels.*\(2, 16\)"
        ):
            fitted.decode(np.zeros((2, 16)), [0, 1, 2])


class TestComponents:
    @pytest.mark.parametrize("t", [1, 2, 3, 4])
    def test_any_number_of_parents(self, digits, t):
        X, y = digits[:2]
        sampler = RAESampler(**{**SETTINGS, "max_steps": 2, "n_components": t})
        sampler.fit_resample(X, y)
        assert sampler.parents_.shape == sampler.mix_weights_.shape == (400, t)
