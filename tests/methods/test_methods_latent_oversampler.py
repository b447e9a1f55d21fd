"""Any over-sampler on latents: its own samples, decoded; exact counts; parents where they are known."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from imblearn.over_sampling import ADASYN, SMOTE, SVMSMOTE, BorderlineSMOTE, KMeansSMOTE, RandomOverSampler
from imblearn.pipeline import make_pipeline
from imblearn.under_sampling import RandomUnderSampler
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler
from torch import nn

from latentover import DeepClassifier, DeepSMOTE, RAEClassifier, RAESampler
from latentover.methods.latent_oversampler import LatentOversampler

TINY = {"max_steps": 1, "latent_dim": 4, "hidden_units": 8, "channels": 4, "batch_size": 8, "device": "cpu"}
IDENTITY = {"encoder": nn.Identity(), "decoder": nn.Identity()}
SAMPLERS = [SMOTE(), ADASYN(), BorderlineSMOTE(), SVMSMOTE(), KMeansSMOTE(cluster_balance_threshold=0.0)]


def make_data(*counts, d=3, seed=0):
    y = np.repeat(np.arange(len(counts)), counts)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(y))
    return (rng.normal(size=(len(y), d)) + y[:, None])[order], y[order]


def tiny(**parameters):
    return LatentOversampler(autoencoder=RAESampler(**TINY, random_state=0), random_state=0, device="cpu", **parameters)


class TestWithTheIdentity:
    """Without networks what is left is the over-sampler itself, on standardised rows."""

    @pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda sampler: type(sampler).__name__)
    def test_new_rows_are_the_mixtures_that_they_are_said_to_be(self, sampler):
        X, y = make_data(40, 15)
        ours = LatentOversampler(sampler=sampler, **IDENTITY, random_state=0, clip="none")
        X_new, y_new = ours.fit_resample(X, y)
        assert np.bincount(y_new).tolist() == [40, 40]
        mixed = np.einsum("nt,ntd->nd", ours.mix_weights_, X[ours.parents_])
        np.testing.assert_allclose(X_new, mixed, atol=1e-5)
        assert np.mean(y[ours.parents_[55:, 0]]) > 0.5

    def test_smote_mixes_with_the_nearest_of_the_class(self):
        X, y = make_data(40, 15)
        ours = LatentOversampler(sampler=SMOTE(k_neighbors=3), **IDENTITY, random_state=0)
        ours.fit_resample(X, y)
        members = np.flatnonzero(y == 1)
        Z = StandardScaler().fit_transform(X)[members]
        neighbors = members[NearestNeighbors(n_neighbors=3).fit(Z).kneighbors()[1]]
        allowed = {(row, other) for row, others in zip(members, neighbors, strict=True) for other in others}
        pairs = [tuple(pair) for pair in ours.parents_[55:].tolist()]
        assert all(pair in allowed or pair[::-1] in allowed for pair in pairs)
        assert len(set(pairs)) > 10

    def test_a_sampler_that_finds_nothing_says_so(self):
        X = np.random.default_rng(0).normal(size=(50, 3))
        y = np.repeat([0, 1], [40, 10])
        with pytest.warns(UserWarning, match="BorderlineSMOTE finds nothing to go by in class 1"):
            LatentOversampler(sampler=BorderlineSMOTE(), **IDENTITY).fit_resample(X + 100 * y[:, None], y)

    def test_repeated_rows_are_named(self):
        X, y = make_data(20, 6)
        ours = LatentOversampler(sampler=RandomOverSampler(), **IDENTITY, random_state=0)
        X_new, _ = ours.fit_resample(X, y)
        assert ours.parents_.shape == (40, 1)
        np.testing.assert_allclose(X_new, X[ours.parents_[:, 0]], atol=1e-6)

    @settings(max_examples=25, deadline=None, derandomize=True)
    @given(
        st.lists(st.tuples(st.integers(1, 12), st.integers(0, 9)), min_size=2, max_size=4),
        st.sampled_from([*SAMPLERS, RandomOverSampler(), SMOTE(k_neighbors=NearestNeighbors(n_neighbors=4))]),
    )
    @pytest.mark.filterwarnings("ignore")
    def test_counts_are_exact_for_classes_of_any_size(self, counts_and_more, sampler):
        X, y = make_data(*(n for n, _ in counts_and_more))
        totals = {c: n + more for c, (n, more) in enumerate(counts_and_more)}
        X_new, y_new = LatentOversampler(sampler=sampler, **IDENTITY, sampling_strategy=totals).fit_resample(X, y)
        assert np.bincount(y_new).tolist() == list(totals.values())
        np.testing.assert_array_equal(X_new[: len(X)], X)


class TestAutoencoder:
    def test_is_trained_on_the_data_where_it_is_not_fitted(self):
        X, y = make_data(30, 10)
        autoencoder = RAESampler(**TINY)
        ours = LatentOversampler(autoencoder=autoencoder, random_state=0).fit(X, y)
        assert not hasattr(autoencoder, "classes_")
        np.testing.assert_allclose(ours.tensors_["latents"], ours.autoencoder_.encode(X), atol=1e-5)
        assert np.array_equal(ours.sample(5, y=1, random_state=0), clone(ours).fit(X, y).sample(5, y=1, random_state=0))

    @pytest.mark.parametrize("wrap", [lambda fitted: fitted, FrozenEstimator])
    def test_is_used_as_it_is_where_it_is_fitted(self, wrap):
        X, y = make_data(30, 10)
        fitted = RAEClassifier(**TINY, decoder="adversarial", random_state=0).fit(*make_data(50, 50, seed=1))
        ours = LatentOversampler(sampler=RandomOverSampler(), autoencoder=wrap(fitted), random_state=0)
        X_new, y_new = ours.fit_resample(X, y)
        expected = fitted.decode(fitted.encode(X[ours.parents_[40:, 0]]), y_new[40:])
        clipped = expected.clip(X.min(axis=0), X.max(axis=0))  # to the range of what is over-sampled
        np.testing.assert_allclose(X_new[40:], clipped, atol=1e-5)

    def test_that_is_frozen_survives_a_clone(self):
        fitted = RAESampler(**TINY, random_state=0).fit(*make_data(50, 50))
        frozen = clone(LatentOversampler(autoencoder=FrozenEstimator(fitted)))
        assert frozen.fit(*make_data(30, 10)).autoencoder_.estimator is fitted
        thawed = clone(LatentOversampler(autoencoder=fitted))
        assert thawed.fit(*make_data(30, 10)).autoencoder_ is not fitted

    def test_has_to_know_the_classes(self):
        fitted = RAESampler(**TINY).fit(*make_data(20, 20))
        with pytest.raises(ValueError, match=r"\[0, 1\], but got \[2\] too"):
            LatentOversampler(autoencoder=fitted).fit(*make_data(20, 10, 5))

    def test_of_images_gives_images(self):
        X, y = np.random.default_rng(0).integers(0, 256, size=(26, 1, 8, 8), dtype=np.uint8), [0] * 20 + [1] * 6
        X_new, _ = tiny().fit_resample(X, y)
        assert (X_new.dtype, X_new.shape) == (np.uint8, (40, 1, 8, 8))
        np.testing.assert_array_equal(X_new[:26], X)

    def test_of_a_frame_gives_a_frame(self):
        X, y = make_data(20, 8)
        frame = pd.DataFrame(X, columns=list("abc")).assign(town=pd.Categorical(np.where(X[:, 0] > 0, "Graz", "Linz")))
        X_new, _ = tiny().fit_resample(frame, np.array(["no", "yes"])[y])
        assert (X_new.dtypes == frame.dtypes).all()
        assert set(X_new["town"]) <= {"Graz", "Linz"}

    def test_that_was_trained_by_default_makes_do_with_missing_values(self):
        X, y = make_data(20, 8)
        X[3, 1] = np.nan
        ours = tiny(missing="impute")
        X_new, _ = ours.fit_resample(X, y)
        assert np.isnan(X_new).sum() == 1

    def test_may_decode_without_labels(self):
        X, y = make_data(20, 8)
        autoencoder = DeepSMOTE(max_epochs=1, hidden_units=8, latent_dim=4, device="cpu", random_state=0)
        ours = LatentOversampler(sampler=RandomOverSampler(), autoencoder=autoencoder, random_state=0)
        X_new, _ = ours.fit_resample(X, y)
        expected = ours.autoencoder_.reconstruct(X[ours.parents_[28:, 0]])
        np.testing.assert_allclose(X_new[28:], expected.clip(X.min(axis=0), X.max(axis=0)), atol=1e-4)

    @pytest.mark.parametrize("wrap", [lambda fitted: fitted, FrozenEstimator])
    def test_that_draws_its_rows_draws_all_of_them_anew(self, wrap):
        """In every batch, for every class, by every seed."""
        X, y = make_data(50, 50, 50)
        fitted = RAESampler(**TINY, random_state=0).fit(X, y)
        fitted.networks_.decoder.context.weight.data.zero_()  # rows differ by what is drawn alone
        wanted = dict.fromkeys(range(3), 60)
        ours, other = (
            LatentOversampler(autoencoder=wrap(fitted), random_state=seed, clip="none", sampling_strategy=wanted)
            for seed in (0, 1)
        )
        new = np.concatenate([each.fit_resample(X, y)[0][150:] for each in (ours, other)])
        assert len(np.unique(new, axis=0)) == 60
        rows = np.concatenate([ours.sample(1500, y=label, random_state=0) for label in (1, 2)])
        assert len(np.unique(rows, axis=0)) == 3000
        np.testing.assert_array_equal(rows[:1500], ours.sample(1500, y=1, random_state=0))

    def test_is_told_what_the_data_is(self):
        images = np.random.default_rng(0).integers(0, 256, size=(26, 8, 9, 3), dtype=np.uint8)
        ours = tiny(channels_last=True)
        assert ours.fit_resample(images, [0] * 20 + [1] * 6)[0].shape == (40, 8, 9, 3)
        assert ours.autoencoder_.channels_last
        assert not ours.autoencoder.channels_last
        X, y = make_data(20, 8)
        X[:, 0] = X[:, 0].round()
        X_new, _ = tiny(categorical_features=[0]).fit_resample(X, y)
        assert set(X_new[:, 0]) <= set(X[:, 0])
        X[3, 1] = np.nan
        assert np.isnan(tiny(missing="mask").fit_resample(X, y)[0]).sum() >= 1

    def test_warns_once_of_a_tiny_class(self):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            tiny(sampler=SMOTE()).fit_resample(*make_data(20, 9, 1))
        said = [str(warning.message) for warning in caught if "every class to have" in str(warning.message)]
        assert len(said) == 1
        assert "1 of class 2" in said[0]


class Flat(nn.Module):
    def forward(self, x):
        return x.flatten(1)


class TestNetworks:
    def test_of_the_user(self):
        X = np.random.default_rng(0).integers(0, 256, size=(26, 2, 8, 9), dtype=np.uint8)
        y = [0] * 20 + [1] * 6
        decoder = nn.Unflatten(1, (2, 8, 9))
        ours = LatentOversampler(sampler=RandomOverSampler(), encoder=Flat(), decoder=decoder, random_state=0)
        X_new, _ = ours.fit_resample(X, y)
        assert ours.latent_dim_ == 144
        np.testing.assert_array_equal(X_new, X[ours.parents_[:, 0]])

    def test_are_copied_and_put_into_evaluation_mode(self):
        encoder = nn.Sequential(nn.BatchNorm1d(3), nn.Dropout(0.5))
        before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
        ours = LatentOversampler(encoder=encoder, decoder=nn.Identity()).fit(*make_data(20, 8))
        assert encoder.training
        assert all(torch.equal(before[name], tensor) for name, tensor in encoder.state_dict().items())
        assert not ours.networks_["encoder"].training

    @pytest.mark.parametrize(
        ("encoder", "decoder", "message"),
        [
            (nn.Unflatten(1, (3, 1)), nn.Identity(), r"latents of shape \(28, m\), but got shape \(28, 3, 1\)"),
            (nn.Identity(), nn.Linear(3, 5), r"samples of shape \(3,\), but got shape \(5,\)"),
            (nn.Threshold(9.0, float("nan")), nn.Identity(), "not finite"),
        ],
    )
    def test_that_do_not_fit_are_refused(self, encoder, decoder, message):
        with pytest.raises(ValueError, match=message):
            LatentOversampler(encoder=encoder, decoder=decoder).fit(*make_data(20, 8))


class TestUse:
    def test_in_a_grid_search_over_samplers(self):
        X, y = make_data(40, 16)
        pipeline = make_pipeline(tiny(sampler=SMOTE()), LogisticRegression())
        grid = {"latentoversampler__sampler": [SMOTE(), ADASYN()], "latentoversampler__autoencoder__latent_dim": [2, 3]}
        assert len(GridSearchCV(pipeline, grid, cv=2, error_score="raise").fit(X, y).cv_results_["params"]) == 4

    def test_pickled_it_samples_the_same(self):
        ours = tiny().fit(*make_data(20, 8))
        again = pickle.loads(pickle.dumps(ours))
        assert np.array_equal(ours.sample(3, y=1, random_state=1), again.sample(3, y=1, random_state=1))

    def test_many_samples(self):
        ours = LatentOversampler(**IDENTITY, random_state=0).fit(*make_data(40, 16))
        assert ours.sample(3000, y=1, random_state=0).shape == (3000, 3)
        assert ours.sample(0, y=1).shape == (0, 3)

    @pytest.mark.parametrize(
        ("parameters", "message"),
        [
            ({"sampler": RandomUnderSampler()}, "sampler to be an over-sampler"),
            ({"sampler": SMOTE}, "sampler to be an over-sampler"),
            ({"sampler": SMOTE(sampling_strategy=0.5)}, "sampling_strategy to be 'auto'.* but got 0.5"),
            ({"encoder": nn.Identity()}, "encoder and decoder to be two nn.Modules, but got Identity and 'auto'"),
            ({"encoder": "conv"}, "for rows of length 3, but got 'conv', which is for images"),
            ({**IDENTITY, "autoencoder": RAESampler()}, "either encoder and decoder or autoencoder"),
            ({"autoencoder": DeepClassifier()}, "autoencoder .* without encode and decode|without decode"),
            ({"base_selection": "even"}, "base_selection"),
        ],
    )
    def test_settings_that_do_not_go_together(self, parameters, message):
        with pytest.raises(ValueError, match=message):
            LatentOversampler(**parameters).fit(*make_data(20, 8))
