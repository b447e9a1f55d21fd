"""Samples of tables: they vary as their class does, they help a classifier, and weights of rows are heeded."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.datasets import make_classification
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import train_test_split

import latentover
from latentover import RAEClassifier, RAESampler
from latentover.estimators import moments as moments_module
from latentover.estimators.moments import moments, noise_factors, shrunk
from latentover.estimators.parents import WeightedTuples

SMALL = {"max_steps": 60, "hidden_units": 32, "adversarial_every": 20, "device": "cpu", "random_state": 0}
SMALL |= {"decoder_reconstruction": True, "reconstruction_weight": 5.0, "learning_rate": 1e-3}
MATCHED = {**SMALL, "decoder": "adversarial", "numbers": "standard"}
"""The decoder that returns a row for each latent, to which `match_moments` adds noise."""
EACH = pytest.mark.parametrize("settings", [SMALL, MATCHED], ids=["autoregressive", "adversarial"])


@pytest.fixture(scope="module")
def table():
    """Ten columns that tell the classes apart, five that repeat them, fifteen of noise: more than 8 latents hold."""
    X, y = make_classification(
        6000,
        30,
        n_informative=10,
        n_redundant=5,
        n_clusters_per_class=3,
        weights=[0.93],
        flip_y=0.01,
        random_state=11,
    )
    return train_test_split(X.astype(np.float32), y, train_size=0.5, stratify=y, random_state=0)


@pytest.fixture(scope="module")
def resampled(table):
    X, _, y, _ = table
    return {match: RAESampler(**MATCHED, match_moments=match).fit_resample(X, y) for match in (True, False)}


def spread(table, resampled):
    """Return for each column the standard deviation of the new rows over that of their class's rows."""
    X, _, y, _ = table
    return resampled[0][len(X) :].std(axis=0) / X[y == 1].std(axis=0)


class TestSamples:
    def test_vary_as_their_class_does(self, table, resampled):
        assert np.abs(spread(table, resampled[True]) - 1).max() < 0.1
        assert spread(table, resampled[False]).min() < 0.5  # what would be missing

    def test_have_the_correlations_and_means_of_their_class(self, table, resampled):
        X, _, y, _ = table
        new, real = resampled[True][0][len(X) :], X[y == 1]
        assert np.abs(np.corrcoef(new.T) - np.corrcoef(real.T)).max() < 0.15
        assert np.abs((new.mean(axis=0) - real.mean(axis=0)) / real.std(axis=0)).max() < 0.15

    def test_help_a_classifier(self, table, resampled):
        X, X_test, y, y_test = table

        def score(X, y):
            boosting = HistGradientBoostingClassifier(max_iter=50, early_stopping=False, random_state=0)
            return balanced_accuracy_score(y_test, boosting.fit(X, y).predict(X_test))

        matched, plain, nothing = score(*resampled[True]), score(*resampled[False]), score(X, y)
        assert matched > nothing + 0.05
        assert matched > plain + 0.05

    def test_stay_within_what_was_seen(self, table, resampled):
        X, _, _, _ = table
        new = resampled[True][0][len(X) :]
        assert (new >= X.min(axis=0)).all()
        assert (new <= X.max(axis=0)).all()

    @EACH
    def test_keep_how_often_a_rare_level_occurs(self, settings):
        rng = np.random.default_rng(0)
        y = np.repeat([0, 1], [400, 200])
        frame = pd.DataFrame(
            {"x": rng.normal(size=600) + y, "level": np.where(rng.random(600) < 0.15, "rare", "usual")}
        )
        sampler = RAESampler(**settings, latent_dim=1).fit(frame, y)
        share = (sampler.sample(2000, y=1, random_state=0)["level"] == "rare").mean()
        assert abs(share - (frame["level"][y == 1] == "rare").mean()) < 0.08

    @EACH
    def test_of_a_single_row_differ_from_it_and_from_each_other(self, table, settings):
        X, _, y, _ = table
        kept = np.r_[np.flatnonzero(y == 0), np.flatnonzero(y == 1)[:1]]
        with pytest.warns(UserWarning, match="class 1"):
            sampler = RAESampler(**settings).fit(X[kept], y[kept])
        samples = sampler.sample(50, y=1, random_state=0)
        assert len(np.unique(samples, axis=0)) == 50
        assert (samples.std(axis=0) > 0.1 * X.std(axis=0)).all()

    def test_of_wide_tables_are_matched_column_by_column(self, table, resampled, monkeypatch):
        X, _, y, _ = table
        monkeypatch.setattr(moments_module, "MAX_COVARIANCES", 1000)
        sampler = RAESampler(**MATCHED)
        assert np.abs(spread(table, sampler.fit_resample(X, y)) - 1).max() < 0.1
        assert sampler.tensors_["noise_factors"].shape == (2, 30)

    def test_of_images_have_no_noise(self):
        X = np.random.default_rng(0).random((30, 1, 8, 8))
        y = np.repeat([0, 1], [20, 10])
        options = {**SMALL, "max_steps": 2, "channels": 4, "hidden_units": 8}
        one, other = (RAESampler(**options, match_moments=match).fit(X, y) for match in (True, False))
        assert one.tensors_.keys() == {"latents", "labels"}
        np.testing.assert_array_equal(one.sample(5, y=1, random_state=0), other.sample(5, y=1, random_state=0))

    @EACH
    def test_reconstructions_are_always_the_same(self, table, settings):
        X, _, y, _ = table
        model = RAEClassifier(**{**settings, "max_steps": 2}).fit(X, y)
        np.testing.assert_array_equal(model.reconstruct(X[:5]), model.reconstruct(X[:5]))

    def test_reconstructions_have_no_noise(self, table):
        X, _, y, _ = table
        settings = {**MATCHED, "max_steps": 2}
        one, other = (RAEClassifier(**settings, match_moments=match).fit(X, y) for match in (True, False))
        np.testing.assert_array_equal(one.reconstruct(X[:5]), other.reconstruct(X[:5]))

    @EACH
    def test_are_the_same_after_saving(self, table, tmp_path, settings):
        X, _, y, _ = table
        sampler = RAESampler(**{**settings, "max_steps": 2}).fit(X, y)
        latentover.save(sampler, tmp_path / "bundle")
        again = latentover.load(tmp_path / "bundle")
        np.testing.assert_array_equal(again.sample(5, y=1, random_state=0), sampler.sample(5, y=1, random_state=0))


class TestNoise:
    @pytest.mark.parametrize("weighted", [False, True])
    def test_moments(self, weighted):
        rng = np.random.default_rng(0)
        x, weights = rng.normal(size=(50, 4)) @ rng.normal(size=(4, 4)), rng.random(50) if weighted else None
        given = None if weights is None else torch.from_numpy(weights)
        mean, covariance = moments(torch.from_numpy(x), given)
        np.testing.assert_allclose(mean, np.average(x, axis=0, weights=weights))
        np.testing.assert_allclose(covariance, np.cov(x.T, aweights=weights, ddof=0))
        np.testing.assert_allclose(moments(torch.from_numpy(x), given, full=False)[1], np.diag(covariance))

    def test_shrunk(self):
        values, counts = torch.tensor([[2.0, 0.0], [8.0, 4.0]]), torch.tensor([30, 10])
        pooled = torch.tensor([3.5, 1.0])
        torch.testing.assert_close(shrunk(values, counts, 0), values)
        torch.testing.assert_close(shrunk(values, counts, 10)[1], (values[1] + pooled) / 2)  # as many as its samples
        torch.testing.assert_close(shrunk(values, counts, 1e9), pooled.expand(2, 2))
        matrices = values.unsqueeze(2).expand(2, 2, 3)
        torch.testing.assert_close(shrunk(matrices, counts, 5)[..., 1], shrunk(values, counts, 5))

    def test_factors_have_the_positive_part_of_a_covariance(self):
        vectors = torch.linalg.qr(torch.randn(4, 4, generator=torch.Generator().manual_seed(0)))[0]
        values = torch.tensor([3.0, 0.5, 0.0, -2.0])
        factors = noise_factors((vectors * values @ vectors.T).unsqueeze(0))[0]
        torch.testing.assert_close(factors.T @ factors, vectors * values.clamp(min=0) @ vectors.T, atol=1e-5, rtol=0)
        torch.testing.assert_close(noise_factors(torch.tensor([[4.0, -1.0]])), torch.tensor([[2.0, 0.0]]))


class TestWeights:
    def test_rows_are_drawn_in_proportion_to_them(self):
        labels = torch.tensor([0, 1, 0, 1, 0, 1, 0])
        weights = torch.tensor([1.0, 0.0, 2.0, 5.0, 3.0, 5.0, 0.0], dtype=torch.float64)
        batches = WeightedTuples(labels, weights, 4000, 1, torch.Generator().manual_seed(0))
        rows = torch.bincount(next(batches).flatten(), minlength=7) / 4000
        expected = torch.tensor([1 / 12, 0, 2 / 12, 1 / 4, 3 / 12, 1 / 4, 0])
        torch.testing.assert_close(rows, expected, atol=0.03, rtol=0)
        assert rows[1] == rows[6] == 0

    def test_a_tuple_is_of_one_class_and_of_different_rows(self):
        labels = torch.tensor([0] * 6 + [1] * 3)
        drawn = next(WeightedTuples(labels, torch.ones(9), 500, 2, torch.Generator().manual_seed(0)))
        assert (labels[drawn[:, 0]] == labels[drawn[:, 1]]).all()
        assert (drawn[:, 0] != drawn[:, 1]).all()
        first = labels[drawn[:, 0]].float()
        assert abs(first[:250].mean() - first[250:].mean()) < 0.2  # and the classes come in no order

    @EACH
    def test_nothing_is_learned_from_rows_without_one(self, table, settings):
        X, _, y, _ = table
        astray = np.arange(len(X)) % 3 == 0
        moved = np.where(astray[:, None], X.max(), X).astype(np.float32)
        sampler = RAESampler(**{**settings, "max_steps": 200})
        sampler.fit(moved, y, sample_weight=(~astray).astype(float))
        samples, real = sampler.sample(500, y=1, random_state=0), X[(y == 1) & ~astray]
        assert np.abs((samples.mean(axis=0) - real.mean(axis=0)) / real.std(axis=0)).max() < 0.4
        assert np.abs(samples.std(axis=0) / real.std(axis=0) - 1).max() < 0.3

    def test_a_pool_does_not_take_them(self, table):
        X, _, y, _ = table
        with pytest.raises(ValueError, match="Expected batches to be 'tuples' with sample_weight, but got 'pool'"):
            RAESampler(**SMALL, batches="pool").fit(X, y, sample_weight=np.ones(len(y)))
