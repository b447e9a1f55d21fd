"""The over-sampler's promises: exact counts, originals untouched, provenance, labels in kind, pipelines."""

import pickle
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from imblearn.pipeline import make_pipeline
from plain_sampler import PlainSampler
from sklearn.base import clone
from sklearn.exceptions import DataConversionWarning, NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.utils.validation import check_is_fitted

from latentover import DeepClassifier, RAEClassifier, RAESampler

TINY = {
    "latent_dim": 4,
    "hidden_units": 8,
    "batch_size": 8,
    "max_steps": 1,
    "critic_steps": 1,
    "device": "cpu",
    "random_state": 0,
}
CLASSIFIERS = [
    RAEClassifier(**TINY),
    DeepClassifier(max_epochs=1, feature_dim=4, hidden_units=8, device="cpu", random_state=0),
]


def make_data(*counts, d=3, seed=0):
    y = np.repeat(np.arange(len(counts)), counts)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(y))
    return (rng.normal(size=(len(y), d)) + y[:, None])[order], y[order]


class TestCounts:
    @pytest.mark.parametrize(
        ("strategy", "expected"),
        [
            ("auto", [20, 20, 20]),
            ("not majority", [20, 20, 20]),
            ("all", [20, 20, 20]),
            ("minority", [20, 9, 20]),
            ("not minority", [20, 20, 4]),
            ({1: 15}, [20, 15, 4]),
            ({0: 23, 2: 4}, [23, 9, 4]),
            ({}, [20, 9, 4]),
            (lambda y: {2: 2 * int((y == 2).sum())}, [20, 9, 8]),
        ],
    )
    def test_are_exact(self, strategy, expected):
        X, y = make_data(20, 9, 4)
        X_new, y_new = RAESampler(**TINY, sampling_strategy=strategy).fit_resample(X, y)
        assert np.bincount(y_new).tolist() == expected
        assert len(X_new) == sum(expected)

    @pytest.mark.parametrize("ratio", [0.4, 0.5, 1.0])
    def test_of_a_ratio(self, ratio):
        X, y = make_data(20, 6)
        _, y_new = RAESampler(**TINY, sampling_strategy=ratio).fit_resample(X, y)
        assert np.bincount(y_new).tolist() == [20, int(20 * ratio)]

    @settings(max_examples=15, deadline=None, derandomize=True)
    @given(st.lists(st.tuples(st.integers(2, 12), st.integers(0, 9)), min_size=2, max_size=4))
    def test_of_any_totals(self, counts_and_more):
        X, y = make_data(*(n for n, _ in counts_and_more))
        totals = {c: n + more for c, (n, more) in enumerate(counts_and_more)}
        _, y_new = RAESampler(**TINY, sampling_strategy=totals).fit_resample(X, y)
        assert Counter(y_new.tolist()) == totals

    @pytest.mark.parametrize("strategy", ["majority", {0: 3}, 0.5, 2.0, {9: 30}, [1]])
    def test_what_over_sampling_cannot_do_is_refused(self, strategy):
        with pytest.raises(ValueError, match=r"sampling_strategy|ratio|should be|not present in the data"):
            RAESampler(**TINY, sampling_strategy=strategy).fit_resample(*make_data(20, 9, 4))


@pytest.fixture(scope="module")
def done():
    X, y = make_data(20, 9, 4)
    sampler = RAESampler(**TINY, decoder="adversarial", match_moments=False)
    return sampler, X, y, *sampler.fit_resample(X, y)


class TestProvenance:
    def test_originals_come_first_to_the_bit(self, done):
        _, X, y, X_new, y_new = done
        assert X_new[:33].tobytes() == X.tobytes()
        np.testing.assert_array_equal(y_new[:33], y)

    def test_mask_marks_the_new_rows(self, done):
        sampler, _, _, X_new, _ = done
        assert sampler.synthetic_mask_.dtype == bool
        assert sampler.synthetic_mask_.tolist() == [False] * 33 + [True] * 27
        assert len(X_new) == 60

    def test_parents_belong_to_the_class_and_are_distinct(self, done):
        sampler, _, y, _, y_new = done
        assert sampler.parents_.shape == (60, 2)
        np.testing.assert_array_equal(y[sampler.parents_], np.stack([y_new, y_new], axis=1))
        assert (sampler.parents_[33:, 0] != sampler.parents_[33:, 1]).all()
        np.testing.assert_array_equal(sampler.parents_[:33], np.stack([np.arange(33)] * 2, axis=1))

    def test_weights_are_convex(self, done):
        weights = done[0].mix_weights_
        assert (weights >= 0).all()
        np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-6)

    def test_samples_are_what_parents_and_weights_say(self, done):
        sampler, X, _, X_new, y_new = done
        latents = sampler.encode(X)
        mixed = (latents[sampler.parents_[33:]] * sampler.mix_weights_[33:, :, None]).sum(axis=1)
        np.testing.assert_allclose(sampler.decode(mixed, y_new[33:]), X_new[33:], atol=1e-4)

    def test_nothing_to_do(self):
        X, y = make_data(5, 5)
        sampler = RAESampler(**TINY)
        X_new, y_new = sampler.fit_resample(X, y)
        np.testing.assert_array_equal(X_new, X)
        np.testing.assert_array_equal(y_new, y)
        assert not sampler.synthetic_mask_.any()
        assert len(sampler.parents_) == len(sampler.mix_weights_) == 10


LABELS = {
    "int": np.array([3, 7]),
    "float": np.array([0.0, 1.0]),
    "negative": np.array([-1, 1], dtype=np.int8),
    "str": np.array(["rare", "very rare"]),
    "object": np.array(["rare", "very rare"], dtype=object),
    "bool": np.array([False, True]),
    "series": pd.Series([3, 7], name="target"),
    "category": pd.Series(pd.Categorical(["low", "high"], ["low", "medium", "high"], ordered=True)),
    "Int64": pd.Series([3, 7], dtype="Int64"),
    "string": pd.Series(["a", "b"], dtype="string"),
    "boolean": pd.Series([False, True], dtype="boolean"),
    "long Int64": pd.Series([2**60, 2**60 + 1], dtype="Int64"),
    "long int64 of Arrow": pd.Series([2**60, 2**60 + 1], dtype="int64[pyarrow]"),
    "boolean of Arrow": pd.Series([False, True], dtype="bool[pyarrow]"),
    "category of long Int64": pd.Series([2**60, 2**60 + 1], dtype="Int64").astype("category"),
    "dates": pd.Series(pd.to_datetime(["2024-01-01", "2024-02-01"])),
}


class TestLabels:
    @pytest.mark.parametrize("kind", LABELS)
    def test_come_back_in_kind(self, kind):
        X, numbers = make_data(14, 6)
        y = LABELS[kind].take(numbers)
        X_new, y_new = RAESampler(**TINY).fit_resample(X, y)
        assert type(y_new) is type(y)
        assert y_new.dtype == y.dtype
        assert len(y_new) == len(X_new) == 28
        assert Counter(y_new) == dict.fromkeys(LABELS[kind].tolist(), 14)
        if isinstance(y, pd.Series):
            assert y_new.name == y.name

    @pytest.mark.parametrize("kind", [kind for kind in LABELS if kind != "float"])
    @pytest.mark.parametrize("classifier", CLASSIFIERS, ids=lambda c: type(c).__name__)
    def test_classifiers_predict_in_kind(self, classifier, kind):
        X, numbers = make_data(14, 6)
        y = LABELS[kind].take(numbers)
        fitted = clone(classifier).fit(X, y)
        predicted = fitted.predict(X)
        assert set(map(str, predicted.tolist())) <= set(map(str, np.asarray(LABELS[kind]).tolist()))  # no 0.0 for False
        assert sorted(fitted.class_counts_.tolist()) == [6, 14]

    def test_in_a_frame_of_one_column(self):
        X, numbers = make_data(14, 6)
        y = pd.DataFrame({"id": LABELS["long Int64"].take(numbers)})
        with pytest.warns(DataConversionWarning, match="column-vector"):
            fitted = RAESampler(**TINY).fit(X, y)
        assert fitted.classes_.tolist() == [2**60, 2**60 + 1]

    def test_long_ones_are_three_classes(self):
        X, _ = make_data(14, 6)
        ids = pd.Series(np.arange(20) % 3 + 2**60, dtype="Int64")
        _, y_new = RAESampler(**TINY).fit_resample(X, ids)
        assert sorted(Counter(y_new).items()) == [(2**60, 7), (2**60 + 1, 7), (2**60 + 2, 7)]

    def test_of_a_list(self):
        X, y = make_data(14, 6)
        X_new, y_new = RAESampler(**TINY).fit_resample(X.tolist(), y.tolist())
        assert isinstance(X_new, list)
        assert isinstance(y_new, list)
        assert len(y_new) == 28

    def test_of_bytes_are_refused(self):
        X, y = make_data(14, 6)
        with pytest.raises(TypeError, match="labels represented as bytes"):
            RAESampler(**TINY).fit_resample(X, np.array([b"a", b"b"])[y])

    @pytest.mark.parametrize("kind", LABELS)
    def test_name_the_class_of_a_sample(self, kind):
        X, numbers = make_data(14, 6)
        sampler = RAESampler(**TINY).fit(X, LABELS[kind].take(numbers))
        for label in LABELS[kind]:
            assert sampler.sample(3, label).shape == (3, 3)


class TestTinyClasses:
    """Classes of 1 ... k samples, where the method wants k."""

    @pytest.mark.parametrize("n", [1, 2, 3])
    def test_are_adapted_to(self, n):
        X, y = make_data(20, 8, n)
        sampler = RAESampler(**{**TINY, "n_components": 4})
        message = rf"Expected every class to have at least 4 samples, but got {n} of class 2: what is generated"
        with pytest.warns(UserWarning, match=message) as caught:
            X_new, y_new = sampler.fit_resample(X, y)
        assert [warning.filename for warning in caught if "at least 4" in str(warning.message)] == [__file__]
        assert np.bincount(y_new).tolist() == [20, 20, 20]
        assert np.isfinite(X_new).all()
        assert set(sampler.parents_[y_new == 2].ravel()) == set(np.flatnonzero(y == 2))

    def test_one_warning_names_them_all(self):
        with pytest.warns(UserWarning, match=r"but got 1 of class 'b', 2 of class 'c'") as caught:
            PlainSampler(n_parents=3).fit_resample(np.arange(12.0)[:, None], np.repeat(["a", "b", "c"], [9, 1, 2]))
        assert len(caught) == 1

    def test_or_refused(self):
        message = r"^Expected every class to have at least 2 samples, but got 1 of class 2; .*small_class='adapt'"
        with pytest.raises(ValueError, match=message):
            RAESampler(**TINY, small_class="raise").fit_resample(*make_data(20, 5, 1))

    def test_or_skipped(self):
        X, y = make_data(20, 5, 1)
        sampler = RAESampler(**TINY, small_class="skip")
        with pytest.warns(UserWarning, match=r"1 of class 2: fit_resample adds nothing to such a class"):
            _, y_new = sampler.fit_resample(X, y)
        assert np.bincount(y_new).tolist() == [20, 20, 1]
        assert sampler.sampling_strategy_ == {0: 0, 1: 15, 2: 0} or sampler.sampling_strategy_ == {1: 15, 2: 0}


class TestPipelines:
    def test_cross_validation_resamples_the_training_folds_alone(self):
        X, y = make_data(40, 12)
        pipeline = make_pipeline(RAESampler(**TINY), LogisticRegression())
        scores = cross_validate(pipeline, X, y, cv=3, return_estimator=True, error_score="raise")
        assert len(scores["test_score"]) == 3
        for fitted in scores["estimator"]:
            mask = fitted[0].synthetic_mask_
            assert 34 <= (~mask).sum() <= 35
            assert mask.sum() > 0

    def test_grid_search_over_a_nested_parameter(self):
        pipeline = make_pipeline(RAESampler(**TINY), LogisticRegression())
        grid = {"raesampler__latent_dim": [2, 3], "raesampler__sampling_strategy": ["auto", 0.5]}
        search = GridSearchCV(pipeline, grid, cv=2, error_score="raise").fit(*make_data(40, 12))
        assert len(search.cv_results_["params"]) == 4
        assert search.best_estimator_[0].encode(np.zeros((1, 3))).shape[1] in (2, 3)

    def test_two_stages_of_ours(self):
        X, y = make_data(40, 12)
        pipeline = make_pipeline(RAESampler(**TINY), clone(CLASSIFIERS[1])).fit(X, y)
        assert pipeline[-1].class_counts_.tolist() == [40, 40]
        assert pipeline.predict_proba(X).shape == (52, 2)

    def test_the_sampler_is_no_transformer(self):
        assert not hasattr(RAESampler, "transform")


class TestCloneAndPickle:
    @pytest.mark.parametrize("estimator", [*CLASSIFIERS, RAESampler(**TINY, sampling_strategy={1: 9})], ids=repr)
    def test_a_clone_has_the_parameters_and_nothing_learned(self, estimator):
        fitted = clone(estimator).fit(*make_data(14, 6))
        assert clone(fitted).get_params() == estimator.get_params()
        check_is_fitted(fitted)
        with pytest.raises(NotFittedError):
            check_is_fitted(clone(fitted))

    @pytest.mark.parametrize("classifier", CLASSIFIERS, ids=lambda c: type(c).__name__)
    def test_a_pickle_predicts_the_same_bits(self, classifier):
        X, y = make_data(14, 6)
        fitted = clone(classifier).fit(X, y)
        again = pickle.loads(pickle.dumps(fitted))
        assert again.predict_proba(X).tobytes() == fitted.predict_proba(X).tobytes()

    def test_a_pickle_samples_the_same_bits(self):
        X, y = make_data(14, 6)
        fitted = RAESampler(**TINY).fit(X, y)
        again = pickle.loads(pickle.dumps(fitted))
        assert again.sample(4, 1, random_state=3).tobytes() == fitted.sample(4, 1, random_state=3).tobytes()
        assert again.fit_resample(X, y)[0].tobytes() == fitted.fit_resample(X, y)[0].tobytes()
