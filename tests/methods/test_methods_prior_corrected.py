"""Probabilities after re-sampling mean what they say again; without the correction they do not."""

import numpy as np
import pandas as pd
import pytest
from imblearn.over_sampling import SMOTE, RandomOverSampler
from imblearn.under_sampling import RandomUnderSampler
from sklearn.base import BaseEstimator, clone
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from latentover import ClassicalSampler
from latentover.methods.prior_corrected import PriorCorrectedClassifier
from latentover.metrics import brier


@pytest.fixture(scope="module")
def split():
    X, y = make_classification(6000, n_informative=4, weights=[0.95], class_sep=0.6, random_state=0)
    return train_test_split(X, y, stratify=y, random_state=0)


@pytest.mark.parametrize(
    "sampler", [SMOTE(random_state=0), RandomOverSampler(random_state=0), RandomUnderSampler(random_state=0)]
)
def test_the_mean_probability_of_the_rare_class_is_its_frequency(split, sampler):
    X, X_test, y, y_test = split
    model = PriorCorrectedClassifier(estimator=LogisticRegression(), sampler=clone(sampler)).fit(X, y)
    stated = model.estimator_.predict_proba(X_test)
    corrected = model.predict_proba(X_test)
    assert stated[:, 1].mean() > 4 * y_test.mean()  # what it is there for
    assert corrected[:, 1].mean() == pytest.approx(y_test.mean(), rel=0.1)
    assert brier(y_test, corrected, [0, 1]) < brier(y_test, stated, [0, 1])


def test_counts_and_correction_are_those_of_the_data():
    labels = np.repeat(["no", "yes"], [80, 20])
    X = np.random.default_rng(0).normal(size=(100, 3))
    model = PriorCorrectedClassifier(sampler=SMOTE(sampling_strategy=0.5, random_state=0)).fit(X, labels)
    assert model.classes_.tolist() == ["no", "yes"]
    assert (model.counts_before_.tolist(), model.counts_after_.tolist()) == ([80, 20], [80, 40])
    np.testing.assert_allclose(model.prior_correction_, [0.8 / (2 / 3), 0.2 / (1 / 3)])


@pytest.mark.parametrize("dtype", ["boolean", "bool[pyarrow]"])
def test_labels_of_nullable_types_are_predicted_in_kind(dtype):
    X = np.random.default_rng(0).normal(size=(100, 3)) + 3 * np.repeat([0, 1], [80, 20])[:, None]
    y = pd.Series(np.repeat([False, True], [80, 20]), dtype=dtype)
    model = PriorCorrectedClassifier().fit(X, y)
    assert model.classes_.dtype == bool
    assert set(map(str, model.predict(X).tolist())) == {"False", "True"}


def test_long_numbers_of_nullable_types_are_classes_of_their_own():
    X = np.random.default_rng(0).normal(size=(90, 3))
    model = PriorCorrectedClassifier().fit(X, pd.Series(np.arange(90) % 3 + 2**60, dtype="Int64"))
    assert model.classes_.tolist() == [2**60, 2**60 + 1, 2**60 + 2]
    assert model.counts_before_.tolist() == [30, 30, 30]


@pytest.mark.parametrize("labels", [[0.0, np.nan], [None, "a"], pd.array([0, None], dtype="Int64")], ids=str)
def test_missing_labels_are_refused(labels):
    with pytest.raises(ValueError, match="Expected y to have a label for every sample, but got 1 missing"):
        PriorCorrectedClassifier().fit([[0.0], [1.0]], labels)


@pytest.mark.parametrize(
    ("X", "named"),
    [
        (np.zeros((20, 1, 8, 8)), "X to be data that estimator and sampler understand"),
        ([["red"], ["blue"]] * 10, "X to be data that estimator and sampler understand"),
        (np.zeros((19, 2)), "X and y to be of one length"),
        (3, "X and y to be of one length"),
    ],
    ids=["images", "text", "a row too few", "a number"],
)
def test_data_that_its_parts_do_not_understand_is_named(X, named):
    with pytest.raises((TypeError, ValueError), match=f"^Expected {named}"):
        PriorCorrectedClassifier().fit(X, np.repeat([0, 1], 10))


def test_data_that_its_parts_do_not_understand_is_named_afterwards():
    model = PriorCorrectedClassifier().fit(np.eye(20)[:, :3], np.repeat([0, 1], 10))
    with pytest.raises(ValueError, match="X"):
        model.predict_proba(np.zeros((2, 1, 8, 8)))


def test_works_in_a_grid_search(split):
    X, _, y, _ = split
    model = PriorCorrectedClassifier(estimator=LogisticRegression(), sampler=SMOTE(random_state=0))
    search = GridSearchCV(model, {"sampler__k_neighbors": [3, 5], "estimator__C": [1.0]}, cv=2, scoring="neg_log_loss")
    assert search.fit(X[:800], y[:800]).best_params_["sampler__k_neighbors"] in (3, 5)


@pytest.mark.parametrize(
    ("parameters", "named"),
    [({"estimator": LinearSVC()}, "estimator.*predict_proba"), ({"sampler": LinearSVC()}, "sampler.*fit_resample")],
)
def test_parts_that_do_not_do_are_refused(parameters, named):
    with pytest.raises(TypeError, match=named):
        PriorCorrectedClassifier(**parameters).fit([[0.0], [1.0]], [0, 1])


class TestSampleWeight:
    X, y = make_classification(900, n_informative=4, weights=[0.9], class_sep=0.6, random_state=0)
    weights = np.where(np.arange(900) % 3 == 0, 4.0, 1.0)

    def test_shares_are_those_of_the_weights(self):
        y = np.repeat(["no", "yes"], [80, 20])
        weights = np.where(np.arange(100) < 40, 3.0, 1.0)  # of "no" 160, of "yes" 20
        X = np.random.default_rng(0).normal(size=(100, 3))
        model = PriorCorrectedClassifier().fit(X, y, sample_weight=weights)
        assert model.counts_before_.tolist() == [160, 20]
        assert model.counts_after_.tolist() == [160, 80]  # sixty of "yes" repeated
        np.testing.assert_allclose(model.prior_correction_, [(160 / 180) / (160 / 240), (20 / 180) / (80 / 240)])

    @pytest.mark.parametrize("sampler", [RandomOverSampler(random_state=0), RandomUnderSampler(random_state=0)])
    def test_repeated_samples_keep_their_weight(self, sampler):
        model = PriorCorrectedClassifier(sampler=sampler).fit(self.X, self.y, sample_weight=self.weights)
        theirs = clone(sampler)
        X, y = theirs.fit_resample(self.X, self.y)
        expected = LogisticRegression().fit(X, y, sample_weight=self.weights[theirs.sample_indices_])
        np.testing.assert_array_equal(model.estimator_.coef_, expected.coef_)

    def test_a_sampler_that_takes_weights_gets_them_and_says_those_of_new_samples(self):
        sampler = ClassicalSampler(random_state=0)
        model = PriorCorrectedClassifier(sampler=sampler).fit(self.X, self.y, sample_weight=self.weights)
        ours = clone(sampler)
        X, y = ours.fit_resample(self.X, self.y, sample_weight=self.weights)
        expected = LogisticRegression().fit(X, y, sample_weight=ours.sample_weight_)
        np.testing.assert_array_equal(model.estimator_.coef_, expected.coef_)
        np.testing.assert_allclose(model.counts_after_, [ours.sample_weight_[y == c].sum() for c in (0, 1)])

    def test_the_mean_probability_is_the_weighted_share(self):
        """Rows of the rare class count nine times: half of all that counts is of it."""
        weights = np.where(self.y == 1, (self.y == 0).sum() / (self.y == 1).sum(), 1.0)
        model = PriorCorrectedClassifier(sampler=RandomOverSampler(random_state=0))
        stated = np.average(model.fit(self.X, self.y, weights).predict_proba(self.X)[:, 1], weights=weights)
        assert stated == pytest.approx(0.5, abs=0.02)
        assert model.fit(self.X, self.y).predict_proba(self.X)[:, 1].mean() == pytest.approx(self.y.mean(), abs=0.02)

    def test_equal_weights_change_nothing(self):
        plain, weighted = (
            PriorCorrectedClassifier().fit(self.X, self.y, weights).predict_proba(self.X)
            for weights in (None, np.full(900, 1.0))
        )
        np.testing.assert_allclose(weighted, plain)

    @pytest.mark.parametrize(
        ("parameters", "named"),
        [
            ({"estimator": KNeighborsClassifier()}, "estimator to take sample_weight in fit, but got KNeighbors"),
            ({"estimator": make_pipeline(StandardScaler(), LogisticRegression())}, "estimator to take sample_weight"),
            ({"sampler": SMOTE()}, r"sampler to take sample_weight, or .* but got SMOTE\(\); .* ClassicalSampler"),
        ],
    )
    def test_parts_that_can_do_nothing_with_weights_are_refused(self, parameters, named):
        model = PriorCorrectedClassifier(**parameters)
        with pytest.raises(TypeError, match=f"Expected {named}"):
            model.fit(self.X, self.y, sample_weight=self.weights)
        model.fit(self.X, self.y)

    def test_a_class_whose_samples_are_left_with_no_weight_is_said(self):
        weights = np.where((self.y == 0) & (np.arange(900) > np.flatnonzero(self.y == 0)[0]), 0.0, 1.0)
        model = PriorCorrectedClassifier(sampler=RandomUnderSampler(random_state=1))
        with pytest.raises(ValueError, match=r"every class, but got none of \[0\]"):
            model.fit(self.X, self.y, sample_weight=weights)


class _Dropper(BaseEstimator):
    def fit_resample(self, X, y):
        return X[y == 0], y[y == 0]


def test_a_lost_class_is_said():
    with pytest.raises(ValueError, match=r"every class, but got none of \[1\]"):
        PriorCorrectedClassifier(sampler=_Dropper()).fit(np.eye(4), np.array([0, 0, 1, 1]))
