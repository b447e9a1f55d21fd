"""FilteredSampler: who passes, who is taken where too few do, what is said of it, and what it is given."""

import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.spatial.distance import cdist
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression

from latentover import (
    ClassicalSampler,
    DeepClassifier,
    FilteredSampler,
    FlowSampler,
    SmoothedBootstrapSampler,
    load,
    save,
)
from latentover.methods.filtered import beyond, nearest_distance

ALL = {"probability": (0.0, 1.0), "distance": (0.0, 1e9)}


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], [200, 40])
    return rng.normal(size=(240, 2)) + 2 * y[:, None], y


def make(**settings):
    wide = SmoothedBootstrapSampler(bandwidth=2.0, numbers="standard", clip="none")
    settings = {"sampler": wide, "classifier": LogisticRegression(), "clip": "none", **settings}
    return FilteredSampler(**settings, device="cpu", random_state=0)


def test_distances_are_those_to_the_nearest():
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(50, 3)).astype(np.float32), rng.normal(size=(20, 3)).astype(np.float32)
    found = nearest_distance(torch.from_numpy(one), torch.from_numpy(other))
    np.testing.assert_allclose(found.numpy(), cdist(one, other).min(axis=1), rtol=1e-5)
    among = cdist(one, one) + np.diag([np.inf] * 50)
    found = nearest_distance(torch.from_numpy(one), torch.from_numpy(one), others=True)
    np.testing.assert_allclose(found.numpy(), among.min(axis=1), rtol=1e-5)


@pytest.mark.parametrize(
    ("band", "expected"), [((0, 1), [0, 0, 0.5]), ((0.5, 1), [0.25, 0, 0.5]), ((2, 3), [1.75, 1.0, 0.5])]
)
def test_how_far_outside(band, expected):
    assert beyond(np.array([0.25, 1.0, 1.5]), band) == pytest.approx(expected)


class TestWhatPasses:
    @staticmethod
    def places(sampler, X, y, new):
        """Probability and distance of new rows of class 1, a second time."""
        scale = X.std(axis=0)
        real, new = (X[y == 1] - X.mean(axis=0)) / scale, (new - X.mean(axis=0)) / scale
        unit = np.median((cdist(real, real) + np.diag([np.inf] * len(real))).min(axis=1))
        return sampler.classifier_.predict_proba(new)[:, 1], cdist(new, real).min(axis=1) / unit

    def test_lies_in_both_bands(self, table):
        X, y = table
        sampler = make(probability=(0.4, 0.9), distance=(0.5, 2.0), candidates=12)
        X_new, _ = sampler.fit_resample(X, y)
        report = sampler.report_.loc[1]
        assert report["kept"] == 160
        assert 160 <= report["passed"] < report["candidates"] == 160 * 12
        probabilities, distances = self.places(sampler, X, y, X_new[240:])
        assert 0.4 - 1e-6 <= probabilities.min() <= probabilities.max() <= 0.9 + 1e-6
        assert 0.5 - 1e-4 <= distances.min() <= distances.max() <= 2.0 + 1e-4

    def test_is_counted_for_each_band(self, table):
        X, y = table
        sampler = make(probability=(0.4, 0.9), distance=(0.5, 2.0), candidates=3)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            sampler.fit(X, y).sample(100, 1, random_state=0)
        everything = make(**ALL, candidates=3)
        assert len(everything.fit(X, y).sample(100, 1, random_state=0)) == 100
        report = everything.report_.loc[1]
        assert (report["passed"], report["by_probability"], report["by_distance"]) == (300, 300, 300)
        narrow = sampler.report_.loc[1]
        assert narrow["passed"] <= min(narrow["by_probability"], narrow["by_distance"])
        assert narrow["probability"] == pytest.approx(report["probability"])
        assert narrow["distance"] == pytest.approx(report["distance"])

    def test_where_too_few_do_the_nearest_are_taken_and_a_warning_counts(self, table):
        X, y = table
        sampler = make(probability=(0.0, 1.0), distance=(50.0, 60.0), candidates=4)
        with pytest.warns(UserWarning, match=r"but got 0 of 640 for 160 of class 1; those nearest") as caught:
            X_new, _ = sampler.fit_resample(X, y)
        assert sum("bands" in str(each.message) for each in caught) == 1
        everything = make(**ALL, candidates=1)
        far = self.places(sampler, X, y, X_new[240:])[1]
        usual = self.places(sampler, X, y, everything.fit_resample(X, y)[0][240:])[1]
        assert np.median(far) > np.quantile(usual, 0.75), "the farthest quarter of them"

    def test_nothing_is_said_where_enough_do(self, table):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            make(**ALL).fit_resample(*table)

    def test_parents_are_those_of_the_sampler(self, table):
        X, y = table
        sampler = FilteredSampler(
            sampler=ClassicalSampler(), classifier=LogisticRegression(), **ALL, clip="none", random_state=0
        )
        X_new, _ = sampler.fit_resample(X, y)
        rows, weights = sampler.parents_[240:], sampler.mix_weights_[240:]
        np.testing.assert_allclose(X_new[240:], (X[rows] * weights[..., None]).sum(axis=1), atol=1e-5)


class TestClassifier:
    def test_a_fitted_one_is_used_as_it_is(self, table):
        X, y = table
        fitted = LogisticRegression().fit(np.zeros((2, 2)), [0, 1])
        sampler = make(classifier=fitted, **ALL).fit(X, y)
        assert sampler.classifier_ is fitted
        trained = make(classifier=FrozenEstimator(fitted), **ALL).fit(X, y)
        assert trained.classifier_.estimator is fitted

    def test_one_that_does_not_know_a_class_is_an_error(self, table):
        fitted = LogisticRegression().fit(np.eye(2), [0, 7])
        with pytest.raises(ValueError, match=r"Expected classifier to know the classes of y, .* there are \[1\] too"):
            make(classifier=fitted).fit(*table)

    def test_measures_in_its_features(self):
        rng = np.random.default_rng(0)
        y = np.repeat([0, 1], [30, 12])
        X = (rng.random((42, 1, 8, 8)) / 2 + y[:, None, None, None] / 2).astype(np.float32)
        small = {"channels": 4, "hidden_units": 8, "feature_dim": 4, "max_epochs": 2, "batch_size": 16}
        sampler = FilteredSampler(
            sampler=FlowSampler(max_steps=3, channels=4, n_steps=2, batch_size=16),
            classifier=DeepClassifier(**small),
            candidates=2,
            device="cpu",
            random_state=0,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            X_new, _ = sampler.fit_resample(X, y)
        assert X_new.shape == (60, 1, 8, 8)
        real = sampler.classifier_.encode(X[y == 1])
        unit = np.median((cdist(real, real) + np.diag([np.inf] * 12)).min(axis=1))
        new = sampler.sampler_._sample(1, 36, 5)[0]
        found = nearest_distance(sampler._features(new), sampler._references[1].features).numpy()
        np.testing.assert_allclose(found, cdist(sampler.classifier_.encode(new), real).min(axis=1), rtol=1e-3)
        assert sampler._references[1].unit == pytest.approx(unit, rel=1e-4)


class TestSettings:
    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"probability": (0.9, 0.1)}, r"Expected probability to be \(low, high\) in \[0, 1\], in order"),
            ({"probability": (0.5, 2)}, "Expected probability to be"),
            ({"distance": (-1, 2)}, "Expected distance to be"),
            ({"candidates": 0}, "Expected candidates to be a whole number at least 1"),
            ({"sampler": "smote"}, "Expected sampler to be None or an over-sampler of latentover"),
            ({"sampler": FlowSampler(strength=3)}, "Expected strength to be"),
            ({"classifier": ClassicalSampler()}, "Expected classifier to have predict_proba"),
            ({"base_selection": "even"}, "Expected base_selection to be 'random'"),
        ],
    )
    def test_errors(self, table, settings, message):
        with pytest.raises(ValueError, match=message):
            make(**settings).fit(*table)

    def test_one_seed_one_result(self, table):
        first, other = (make(**ALL).fit_resample(*table)[0] for _ in range(2))
        np.testing.assert_array_equal(first, other)
        sampler = make(**ALL).fit(*table)
        np.testing.assert_array_equal(sampler.sample(5, 1, random_state=3), sampler.sample(5, 1, random_state=3))

    def test_a_class_of_one_row_is_measured_as_the_others(self):
        rng = np.random.default_rng(0)
        X, y = rng.normal(size=(31, 2)), np.repeat([0, 1, 2], [20, 10, 1])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            sampler = make(**ALL).fit(X, y)
        units = [sampler._references[number].unit for number in range(3)]
        assert units[2] == pytest.approx(np.median(units[:2]))

    def test_frames_keep_their_columns(self):
        rng = np.random.default_rng(0)
        X = pd.DataFrame({"town": rng.choice(["Graz", "Linz"], 40), "size": rng.normal(size=40)})
        sampler = FilteredSampler(
            sampler=SmoothedBootstrapSampler(), classifier=LogisticRegression(), **ALL, random_state=0
        )
        X_new, _ = sampler.fit_resample(X, np.repeat(["a", "b"], [30, 10]))
        assert list(X_new) == ["town", "size"]
        assert X_new.index.tolist() == list(range(60))
        assert sampler.report_.index.tolist() == ["b"]

    def test_serves_a_stage_and_its_bundle(self, table, tmp_path):
        small = {"hidden_units": 8, "feature_dim": 4, "max_epochs": 2, "device": "cpu", "random_state": 0}
        stage = make(**ALL).set_params(random_state=None)
        fitted = DeepClassifier(**small, stage_sampler=stage, stage_start=0.0, synthetic_weight=0.5).fit(*table)
        assert len(fitted.history_) == 2
        assert fitted.history_[-1]["step"] == 2 * 2  # as many batches of 128 as 240 rows make
        with pytest.raises(TypeError, match="to be writable"):
            save(fitted, tmp_path)  # its classifier is scikit-learn's
        stage.classifier = None
        fitted.stage_sampler = stage
        found = load(save(fitted, tmp_path / "bundle"))
        assert found.predict_proba(table[0]).tobytes() == fitted.predict_proba(table[0]).tobytes()
        assert found.stage_sampler.probability == (0.0, 1.0)
