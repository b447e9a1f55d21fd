"""Other decisions by the same probabilities: against brute force, and worth what they promise."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict, train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from latentover import PriorAdjustedClassifier, TunedDecisionClassifier
from latentover.methods.decisions import tuned_offsets

BOTH = pytest.mark.parametrize("cls", [PriorAdjustedClassifier, TunedDecisionClassifier], ids=lambda c: c.__name__)


def per_class(y, decided, weights):
    """Return of each class the weight of rows that are named right, of all that are named so, and of its rows."""
    weights = np.ones(len(y)) if weights is None else weights
    labels = range(y.max() + 1)
    return np.array(
        [[weights[rows].sum() for rows in ((y == c) & (decided == c), decided == c, y == c)] for c in labels]
    ).T


def balanced_accuracy(y, decided, weights=None):
    hit, _, actual = per_class(y, decided, weights)
    return (hit / actual).mean()


def macro_f1(y, decided, weights=None):
    hit, named, actual = per_class(y, decided, weights)
    precision, recall = hit / np.where(named == 0, 1, named), hit / actual
    return (2 * precision * recall / np.where(hit == 0, 1, precision + recall)).mean()


def log_geometric_mean(y, decided, weights=None):
    hit, _, actual = per_class(y, decided, weights)
    return np.log(np.maximum(hit / actual, 1e-15)).mean()


METRICS = {"balanced_accuracy": balanced_accuracy, "macro_f1": macro_f1, "geometric_mean": log_geometric_mean}
EACH = pytest.mark.parametrize("metric", METRICS)


def rows(shares, n=4000):
    """Return rows around a centre of each class, for which logistic regression is the true model."""
    rng = np.random.default_rng(0)
    y = rng.choice(len(shares), size=n, p=shares)
    centres = np.array([[0.0, 0.0], [1.5, 0.0], [0.0, 1.5]])
    return rng.normal(size=(n, 2)) + centres[y], y


def two_classes():
    return rows([0.95, 0.05])


def three_classes():
    return rows([0.9, 0.07, 0.03])


class TestBoth:
    @BOTH
    @pytest.mark.parametrize("data", [two_classes, three_classes], ids=lambda data: data.__name__)
    def test_rare_classes_are_found_and_probabilities_stay(self, cls, data):
        X, X_test, y, y_test = train_test_split(*data(), stratify=data()[1], random_state=0)
        model, plain = cls(estimator=LogisticRegression()).fit(X, y), LogisticRegression().fit(X, y)
        np.testing.assert_array_equal(model.predict_proba(X_test), plain.predict_proba(X_test))
        theirs, ours = (balanced_accuracy_score(y_test, each.predict(X_test)) for each in (plain, model))
        assert ours > theirs + 0.05

    @BOTH
    def test_weights_go_to_the_classifier(self, cls):
        X, y = two_classes()
        weights = np.random.default_rng(0).random(len(y))
        model = cls(estimator=LogisticRegression()).fit(X, y, sample_weight=weights)
        np.testing.assert_array_equal(model.estimator_.coef_, LogisticRegression().fit(X, y, weights).coef_)

    @BOTH
    def test_frames_and_labels_of_text(self, cls):
        X, y = three_classes()
        names = np.array(["ok", "fault", "fire"])[y]
        frame = pd.DataFrame(X).add_prefix("c")
        model = cls(estimator=make_pipeline(StandardScaler(), LogisticRegression())).fit(frame, pd.Series(names))
        assert model.classes_.tolist() == ["fault", "fire", "ok"]
        assert set(model.predict(frame)) == set(names)
        assert model.feature_names_in_.tolist() == list(frame.columns)

    @BOTH
    @pytest.mark.parametrize(
        ("estimator", "y", "weights", "error", "message"),
        [
            (LinearSVC(), [0, 1] * 5, None, TypeError, "estimator to have predict_proba, but got LinearSVC"),
            (KNeighborsClassifier(), [0, 1] * 5, np.ones(10), TypeError, "estimator to take sample_weight in fit"),
            (None, [0] * 10, None, ValueError, "y to have at least 2 classes, but got 1 class: 0"),
            (None, [0, 1] * 4, None, ValueError, "X and y to be of one length"),
            (None, [0, 1] * 4 + [None, 1], None, ValueError, "a label for every sample, but got 1 missing"),
        ],
    )
    def test_what_is_refused(self, cls, estimator, y, weights, error, message):
        with pytest.raises(error, match=message):
            cls(estimator=estimator).fit(np.eye(10)[:, :3], y, sample_weight=weights)


class TestPriorAdjusted:
    @pytest.mark.parametrize("tau", [0.0, 0.5, 1.0])
    def test_is_the_largest_probability_over_share(self, tau):
        X, y = three_classes()
        model = PriorAdjustedClassifier(estimator=LogisticRegression(), tau=tau).fit(X, y)
        shares = [(y == label).mean() for label in range(3)]
        np.testing.assert_allclose(model.class_shares_, shares)
        expected = [max(range(3), key=lambda c: row[c] / shares[c] ** tau) for row in model.predict_proba(X)]
        assert model.predict(X).tolist() == expected
        if tau == 0:
            assert expected == model.estimator_.predict(X).tolist()

    def test_shares_are_those_of_the_weights(self):
        y = np.repeat(["no", "yes"], [80, 20])
        X = np.random.default_rng(0).normal(size=(100, 3))
        model = PriorAdjustedClassifier().fit(X, y, sample_weight=np.where(y == "yes", 4.0, 1.0))
        assert model.class_shares_.tolist() == [0.5, 0.5]

    @pytest.mark.parametrize("tau", [-0.1, np.inf, np.nan, "1", True])
    def test_a_tau_that_is_none(self, tau):
        with pytest.raises(ValueError, match="Expected tau to be a finite number at least 0, but got"):
            PriorAdjustedClassifier(tau=tau).fit(np.eye(4), [0, 0, 1, 1])


@st.composite
def scored_rows(draw, n_classes):
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    n = draw(st.integers(n_classes, 25))
    numbers = np.append(np.arange(n_classes), rng.integers(n_classes, size=n - n_classes))
    scores = rng.normal(size=(n, n_classes)) + np.eye(n_classes)[numbers]
    if draw(st.booleans()):
        scores = np.round(scores)  # rows that are alike
    return scores, numbers, rng.integers(1, 4, size=n).astype(float) if draw(st.booleans()) else None


class TestTunedOffsets:
    @EACH
    @settings(max_examples=40, deadline=None)
    @given(data=st.data())
    def test_of_two_classes_no_threshold_is_better(self, metric, data):
        scores, numbers, weights = data.draw(scored_rows(2))
        offsets, best = tuned_offsets(scores, numbers, weights, metric)
        differences = np.sort(scores[:, 0] - scores[:, 1])
        between = (differences[1:] + differences[:-1]) / 2
        every = [METRICS[metric](numbers, (scores[:, 1] - scores[:, 0] > -cut).astype(int), weights)
                 for cut in [*-between, -differences[0] + 1, -differences[-1] - 1]]  # fmt: skip
        decided = (scores + offsets).argmax(axis=1)
        assert METRICS[metric](numbers, decided, weights) == pytest.approx(best)
        assert best >= max(every) - 1e-9
        assert offsets[0] == 0

    @EACH
    @settings(max_examples=40, deadline=None)
    @given(data=st.data())
    def test_of_three_classes_no_other_offset_of_one_class_is_better(self, metric, data):
        scores, numbers, weights = data.draw(scored_rows(3))
        offsets, best = tuned_offsets(scores, numbers, weights, metric)

        def score(offsets):
            return METRICS[metric](numbers, (scores + offsets).argmax(axis=1), weights)

        assert score(offsets) == pytest.approx(best)
        for label, shift in product(range(3), np.linspace(-6, 6, 41) + 0.01):
            assert score(offsets + shift * np.eye(3)[label]) <= best + 1e-9
        assert best >= score(np.zeros(3)) - 1e-9

    def test_a_decision_that_cannot_be_better_stays(self):
        scores = np.log([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8]])
        assert tuned_offsets(scores, np.array([0, 0, 1]))[0].tolist() == [0, 0]


class TestTunedDecision:
    @EACH
    def test_is_tuned_on_rows_that_were_held_out(self, metric):
        X, y = three_classes()
        model = TunedDecisionClassifier(estimator=LogisticRegression(), metric=metric, cv=4, random_state=3).fit(X, y)
        folds = StratifiedKFold(4, shuffle=True, random_state=3)
        held_out = cross_val_predict(LogisticRegression(), X, y, cv=folds, method="predict_proba")
        offsets, best = tuned_offsets(np.log(held_out), y, metric=metric)
        np.testing.assert_allclose(model.offsets_, offsets)
        assert model.best_score_ == best
        expected = (np.log(model.estimator_.predict_proba(X)) + offsets).argmax(axis=1)
        np.testing.assert_array_equal(model.predict(X), expected)

    def test_the_threshold_that_the_documentation_names(self):
        X, y = two_classes()
        model = TunedDecisionClassifier(random_state=0).fit(X, y)
        threshold = 1 / (1 + np.exp(model.offsets_[1]))
        np.testing.assert_array_equal(model.predict(X), model.predict_proba(X)[:, 1] > threshold)

    def test_the_same_seed_tunes_alike(self):
        X, y = two_classes()
        model = TunedDecisionClassifier(random_state=1)
        assert clone(model).fit(X, y).offsets_[1] == clone(model).fit(X, y).offsets_[1]

    def test_folds_are_as_many_as_the_smallest_class_allows(self):
        X, y = np.random.default_rng(0).normal(size=(42, 2)), np.repeat([0, 1], [40, 2])
        assert np.isfinite(TunedDecisionClassifier(random_state=0).fit(X, y).offsets_).all()

    def test_a_class_of_one_is_refused(self):
        with pytest.raises(ValueError, match=r"at least 2 samples, .* 1 sample of class 'b'; .* PriorAdjusted"):
            TunedDecisionClassifier().fit(np.eye(5), ["a"] * 4 + ["b"])

    @pytest.mark.parametrize(
        ("parameters", "message"),
        [
            ({"metric": "accuracy"}, "metric to be one of .*'balanced_accuracy'.*, but got 'accuracy'"),
            ({"cv": 1}, "cv to be a whole number at least 2, but got 1"),
            ({"cv": 2.5}, "cv to be a whole number at least 2, but got 2.5"),
        ],
    )
    def test_parameters_that_are_refused(self, parameters, message):
        with pytest.raises(ValueError, match=f"Expected {message}"):
            TunedDecisionClassifier(**parameters).fit(np.eye(4), [0, 0, 1, 1])
