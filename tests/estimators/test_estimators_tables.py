"""Tables: columns of any type come out in kind, and their values stay within what was seen."""

import json

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from pandas.testing import assert_frame_equal
from sklearn.model_selection import cross_val_score

from latentover import DeepClassifier, RAEClassifier, RAESampler
from latentover.estimators import TableFormat, learn_format
from latentover.estimators.formats import format_from_dict

TINY = {
    "latent_dim": 4,
    "hidden_units": 8,
    "batch_size": 8,
    "max_steps": 2,
    "critic_steps": 1,
    "device": "cpu",
    "random_state": 0,
}
Y = np.repeat([0, 1], [28, 12])


def mixed_frame(n=40):
    rng = np.random.default_rng(0)
    sizes = pd.CategoricalDtype(["small", "medium", "large", "never seen"], ordered=True)
    return pd.DataFrame(
        {
            "float": rng.normal(size=n),
            "float32": rng.normal(5, 9, size=n).astype(np.float32),
            "int": rng.integers(-3, 4, n),
            "int8": rng.integers(-3, 4, n).astype(np.int8),
            "bool": rng.random(n) < 0.5,
            "category": pd.Categorical(rng.choice(["red", "green", "blue"], n)),
            "ordered": pd.Categorical(rng.choice(["small", "medium", "large"], n), dtype=sizes),
            "numbers as category": pd.Categorical(rng.choice([10, 20, 30], n)),
            "text": rng.choice(["yes", "no"], n),
            "string": pd.array(rng.choice(["a", "b"], n), dtype="string"),
            "object": pd.Series(rng.choice(["x", "y"], n), dtype=object),
            "numbers as object": pd.Series(rng.integers(0, 5, n), dtype=object),
            "Int64": pd.array(rng.integers(0, 9, n), dtype="Int64"),
            "Float32": pd.array(rng.random(n), dtype="Float32"),
            "boolean": pd.array(rng.random(n) < 0.5, dtype="boolean"),
            "constant": 0.1,
            "constant int": 7,
            "constant text": "same",
        }
    )


@pytest.fixture(scope="module")
def frame():
    return mixed_frame()


@pytest.fixture(scope="module")
def resampled(frame):
    sampler = RAESampler(**TINY)
    X_new, y_new = sampler.fit_resample(frame, pd.Series(Y, name="target"))
    return sampler, X_new, y_new


class TestFrames:
    def test_columns_and_types_are_kept(self, frame, resampled):
        _, X_new, y_new = resampled
        assert X_new.columns.equals(frame.columns)
        assert X_new.dtypes.equals(frame.dtypes)
        assert X_new.index.equals(pd.RangeIndex(56))
        assert y_new.index.equals(X_new.index)
        assert y_new.name == "target"

    def test_originals_come_first_and_unchanged(self, frame, resampled):
        assert_frame_equal(resampled[1][:40], frame)

    @pytest.mark.parametrize("name", mixed_frame().columns)
    def test_new_values_are_valid(self, frame, resampled, name):
        new, old = resampled[1][name][40:], frame[name]
        assert not new.isna().any()
        if name in ("int", "int8", "Int64", "numbers as object"):
            assert all(isinstance(value, int) for value in new.tolist())
            assert new.between(old.min(), old.max()).all()
        elif not pd.api.types.is_float_dtype(old.dtype):
            assert set(new) <= set(old)
        if name.startswith("constant"):
            assert (new == old[0]).all()

    def test_sample_returns_a_frame(self, frame, resampled):
        for n in (0, 1, 6):
            sample = resampled[0].sample(n, y=1, random_state=0)
            assert len(sample) == n
            assert sample.dtypes.equals(frame.dtypes)
            assert sample.columns.equals(frame.columns)

    def test_reconstruct_returns_a_frame(self, frame, resampled):
        assert resampled[0].reconstruct(frame).dtypes.equals(frame.dtypes)

    def test_classifiers_learn_from_a_category(self):
        rng = np.random.default_rng(0)
        X = pd.DataFrame({"noise": rng.normal(size=200), "colour": rng.choice(["red", "blue"], 200)})
        y = np.where(X["colour"] == "red", "warm", "cold")
        settings = {"dropout": 0.0, "hidden_units": 16, "learning_rate": 0.01, "device": "cpu", "random_state": 0}
        assert DeepClassifier(**settings, max_epochs=20).fit(X, y).score(X, y) == 1

    def test_names_that_are_no_strings(self):
        X = pd.DataFrame(np.random.default_rng(0).normal(size=(40, 2)), columns=[0, 5])
        sampler = RAESampler(**TINY)
        assert sampler.fit_resample(X, Y)[0].columns.tolist() == sampler.sample(2, y=0).columns.tolist() == [0, 5]

    def test_numbers_give_the_same_model_as_an_array(self):
        X = np.random.default_rng(0).normal(size=(40, 3))
        frame = pd.DataFrame(X, columns=["a", "b", "c"])
        np.testing.assert_allclose(
            RAESampler(**TINY).fit_resample(frame, Y)[0], RAESampler(**TINY).fit_resample(X, Y)[0]
        )

    def test_predicts_on_an_array_of_the_same_numbers(self):
        frame = pd.DataFrame(np.random.default_rng(0).normal(size=(40, 3)), columns=["a", "b", "c"])
        classifier = RAEClassifier(**TINY).fit(frame, Y)
        with pytest.warns(UserWarning, match="does not have valid feature names"):
            probabilities = classifier.predict_proba(frame.to_numpy())
        np.testing.assert_allclose(probabilities, classifier.predict_proba(frame))

    def test_an_unseen_category_is_a_warning(self, frame, resampled):
        other = frame.assign(text="perhaps")
        with pytest.warns(UserWarning, match=r"known in fit, but got 'perhaps' in column 'text'"):
            assert np.isfinite(resampled[0].encode(other)).all()

    def test_cross_validation_with_a_level_that_one_fold_alone_has(self):
        rng = np.random.default_rng(0)
        town = np.where(np.arange(60) == 3, "Eisenstadt", rng.choice(["Graz", "Linz"], 60))
        X = pd.DataFrame({"x": rng.normal(size=60), "town": town})
        classifier = DeepClassifier(max_epochs=1, hidden_units=8, device="cpu", random_state=0)
        with pytest.warns(UserWarning, match="'Eisenstadt' in column 'town'"):
            scores = cross_val_score(classifier, X, np.arange(60) % 2, cv=3, error_score="raise")
        assert np.isfinite(scores).all()

    def test_text_where_there_were_numbers_is_refused(self, frame, resampled):
        with pytest.raises(ValueError, match=r"Expected column 'float' to hold numbers, as in fit, but got type"):
            resampled[0].encode(frame.assign(float="much"))

    def test_other_columns_are_refused(self, frame, resampled):
        with pytest.raises(ValueError, match="feature names should match"):
            resampled[0].encode(frame[frame.columns[::-1]])

    def test_too_many_categories_are_refused_with_their_size(self, monkeypatch):
        monkeypatch.setattr("latentover.tables.checks.MAX_DENSE_BYTES", 10_000)
        X = pd.DataFrame({"name": [f"person {i // 2}" for i in range(120)]})
        with pytest.raises(ValueError, match=r"encoded columns to take at most .*\(120, 60\) would take 2\.68e-05 GiB"):
            RAESampler(**TINY).fit_resample(X, np.arange(120) % 3 // 2)


@pytest.fixture(scope="module")
def holes():
    X = mixed_frame().drop(columns=["int", "int8", "bool", "constant int"])
    return X.mask(np.random.default_rng(1).random(X.shape) < 0.2)


class TestMissing:
    @pytest.mark.parametrize("missing", ["impute", "mask"])
    def test_rows_come_back_as_they_were(self, holes, missing):
        sampler = RAESampler(**TINY, missing=missing)
        X_new, _ = sampler.fit_resample(holes, Y)
        assert_frame_equal(X_new[:40], holes)
        assert X_new.dtypes.equals(holes.dtypes)
        assert np.isfinite(sampler.encode(holes)).all()
        if missing == "impute":
            assert not X_new[40:].isna().any().any()

    def test_are_generated_for_the_class_that_has_them(self):
        rng = np.random.default_rng(0)
        y = np.arange(200) % 2
        X = pd.DataFrame({"a": np.where(y == 1, np.nan, rng.normal(size=200)), "b": rng.normal(size=200)})
        settings = {**TINY, "hidden_units": 32, "batch_size": 64, "max_steps": 150, "learning_rate": 0.01}
        sampler = RAESampler(**settings, missing="mask").fit(X, y)
        never, always = (sampler.sample(100, y=label, random_state=0) for label in (0, 1))
        assert always["a"].isna().mean() > never["a"].isna().mean() + 0.5
        assert not never["b"].isna().any()
        assert not always["b"].isna().any()

    @pytest.mark.parametrize("missing", ["impute", "mask"])
    def test_in_images_are_refused_in_every_mode(self, missing):
        X = np.zeros((40, 1, 8, 8))
        X[0, 0, 3, 3] = np.nan
        with pytest.raises(ValueError, match="Expected images X to have no missing values"):
            RAESampler(**TINY, missing=missing).fit(X, Y)

    @pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
    def test_in_arrays(self, dtype):
        X = np.random.default_rng(0).normal(size=(40, 3)).astype(dtype)
        X[::5, 1] = np.nan
        X_new, _ = RAESampler(**TINY, missing="mask").fit_resample(X, Y)
        assert X_new.dtype == X.dtype
        assert X_new[:40].tobytes() == X.tobytes()
        with pytest.raises(ValueError, match="NaN"):
            RAESampler(**TINY).fit_resample(X, Y)

    def test_classifiers_predict_where_values_are_missing(self, holes):
        for missing in ("impute", "mask"):
            classifier = DeepClassifier(max_epochs=1, hidden_units=8, device="cpu", random_state=0, missing=missing)
            assert np.isfinite(classifier.fit(holes, Y).predict_proba(holes)).all()

    def test_the_tag_says_whether_they_may_be_there(self):
        for missing, allowed in (("error", False), ("impute", True), ("mask", True)):
            assert RAESampler(missing=missing).__sklearn_tags__().input_tags.allow_nan is allowed


class TestOtherFrames:
    def test_polars_in_polars_out(self, frame):
        pl = pytest.importorskip("polars")
        X = pl.from_pandas(frame.drop(columns=["numbers as category", "numbers as object"]))
        X = X.with_columns(
            pl.Series("when", pd.date_range("2024", periods=40)), pl.col("category").cast(pl.Categorical)
        )
        y = pl.Series("target", Y)
        sampler = RAESampler(**TINY)
        X_new, y_new = sampler.fit_resample(X, y)
        assert X_new.schema == X.schema
        assert X_new[:40].equals(X)
        assert y_new.name == "target"
        assert y_new.value_counts()["count"].to_list() == [28, 28]
        assert sampler.sample(3, y=1).schema == X.schema
        assert X_new["when"].is_between(X["when"].min(), X["when"].max()).all()

    def test_sparse_columns_beside_text(self):
        rng = np.random.default_rng(0)
        X = pd.DataFrame(
            {
                "count": pd.arrays.SparseArray(rng.poisson(0.5, 40)),
                "share": pd.arrays.SparseArray(np.where(rng.random(40) < 0.5, 0.0, rng.random(40))),
                "flag": pd.arrays.SparseArray(rng.random(40) < 0.2),
                "town": rng.choice(["Graz", "Linz"], 40),
            }
        )
        sampler = RAESampler(**TINY)
        X_new, _ = sampler.fit_resample(X, Y)
        assert X_new.dtypes.equals(X.dtypes)
        assert_frame_equal(X_new[:40], X)
        assert set(X_new["town"]) == {"Graz", "Linz"}
        assert set(X_new["flag"]) <= {False, True}
        assert X_new["count"][40:].between(0, X["count"].max()).all()
        dense = X.astype({"count": "int64", "share": "float64", "flag": "bool"})
        classifier = DeepClassifier(max_epochs=1, hidden_units=8, device="cpu", random_state=0).fit(X, Y)
        np.testing.assert_array_equal(classifier.predict_proba(X), classifier.predict_proba(dense))

    def test_sparse_columns_of_text(self):
        town = pd.Series(np.where(np.arange(40) % 7 == 0, "Linz", "Graz"), dtype=object)
        X = pd.DataFrame({"town": town.astype(pd.SparseDtype(object, "Graz")), "x": np.arange(40.0)})
        X_new, _ = RAESampler(**TINY).fit_resample(X, Y)
        assert set(X_new["town"]) == {"Graz", "Linz"}

    def test_sparse_columns_that_are_too_many_when_dense(self, monkeypatch):
        monkeypatch.setattr("latentover.tables.checks.MAX_DENSE_BYTES", 1000)
        X = pd.DataFrame(
            {"x": pd.arrays.SparseArray(np.zeros(40)), "town": "Graz", "n": pd.arrays.SparseArray([0] * 40)}
        )
        X["m"] = X["n"]
        with pytest.raises(ValueError, match=r"X to take at most .* its shape \(40, 4\) would take"):
            RAESampler(**TINY).fit(X, Y)

    def test_types_that_arrow_backs(self, frame):
        X = frame.drop(columns=["numbers as category", "numbers as object", "category", "ordered"])
        X = X.assign(when=pd.date_range("2024", periods=40, tz="Europe/Vienna")).convert_dtypes(dtype_backend="pyarrow")
        X_new, _ = RAESampler(**TINY).fit_resample(X, Y)
        assert all(isinstance(dtype, pd.ArrowDtype) for dtype in X.dtypes)
        assert X_new.dtypes.equals(X.dtypes)
        assert_frame_equal(X_new[:40], X)

    def test_dates_and_durations(self):
        dates = pd.date_range("2024-01-01", periods=40)
        X = pd.DataFrame({"day": dates, "zoned": dates.tz_localize("Europe/Vienna"), "lasted": dates - dates[3]})
        X_new, _ = RAESampler(**TINY).fit_resample(X, Y)
        assert X_new.dtypes.equals(X.dtypes)
        for name in X:
            assert X_new[name].between(X[name].min(), X[name].max()).all()
        assert (X_new["day"] == X_new["day"].dt.normalize()).all()

    def test_numbers_named_as_categories(self):
        X = pd.DataFrame({"code": [10, 20, 40, 80] * 10, "x": np.random.default_rng(0).normal(size=40)})
        X_new, _ = RAESampler(**TINY, categorical_features=["code"]).fit_resample(X, Y)
        assert set(X_new["code"]) == {10, 20, 40, 80}
        assert X_new.dtypes.equals(X.dtypes)

    def test_clipped_as_wanted(self):
        X = np.random.default_rng(0).normal(size=(40, 2))
        X_new, _ = RAESampler(**TINY, clip={1: (5, 6)}).fit_resample(X, Y)
        assert (X_new[:40] == X).all()
        assert (X_new[40:, 1] == 5).all(), "the nearest that is allowed"
        assert (np.abs(X_new[40:, 0]) < 4).all()


class TestFormat:
    def test_encoding_is_standardised_numbers_and_one_hot_columns(self):
        X = pd.DataFrame({"a": [1.0, 2.0, 6.0, 7.0], "b": ["u", "w", "u", "w"]})
        encoded = learn_format(X).encode(X).numpy()
        a = np.array([1, 2, 6, 7])
        np.testing.assert_allclose(encoded[:, 0], (a - a.mean()) / a.std(), rtol=1e-6)
        assert encoded[:, 1:].tolist() == [[1, 0], [0, 1], [1, 0], [0, 1]]

    def test_inverts_itself(self, frame):
        known = learn_format(frame)
        back = known.decode(known.encode(frame))
        for name in frame:
            if pd.api.types.is_float_dtype(frame[name].dtype):
                np.testing.assert_allclose(back[name].to_numpy(float), frame[name].to_numpy(float), atol=1e-4)
            else:
                pd.testing.assert_series_equal(back[name], frame[name])

    def test_survives_json(self, frame):
        known = learn_format(frame)
        restored = format_from_dict(json.loads(json.dumps(known.to_dict())))
        assert restored == known
        assert_frame_equal(restored.decode(known.encode(frame)), known.decode(known.encode(frame)))

    def test_whole_numbers_are_rounded_and_clipped_to_those_seen(self):
        X = np.array([[0], [10]])
        known = learn_format(X)
        outputs = torch.tensor([[-9.0], [-0.49], [0.0], [0.33], [9.0]])  # mean 5, deviation 5
        assert known.decode(outputs).ravel().tolist() == [0, 3, 5, 7, 10]

    def test_numbers_stay_within_the_range_that_was_seen(self):
        amounts = pd.DataFrame({"amount": [0.01, 3.0, 40.0]})
        decoded = learn_format(amounts, image_shape=None, channels_last=False).decode(
            torch.tensor([[-9.0], [0.0], [9.0]])
        )
        np.testing.assert_allclose(decoded["amount"], [0.01, np.mean([0.01, 3.0, 40.0]), 40.0], rtol=1e-6)

    def test_the_most_likely_level_is_taken(self):
        known = learn_format(pd.DataFrame({"a": ["u", "v", "w"] * 2}))
        assert known.decode(torch.tensor([[0.1, 0.3, 0.2], [2.0, -1.0, 1.9]]))["a"].tolist() == ["v", "u"]


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "int64", "float16", "float32", "float64", "bool"])
class TestArrays:
    def test_type_is_kept(self, dtype):
        X = (10 * np.random.default_rng(0).random((40, 3)) - 5 * (dtype[0] != "u")).astype(dtype)
        sampler = RAESampler(**TINY)
        X_new, _ = sampler.fit_resample(X, Y)
        assert X_new.dtype == sampler.sample(2, y=0).dtype == X.dtype
        assert np.array_equal(X_new[:40], X)
        if X.dtype.kind in "iu":
            assert (X_new >= X.min(axis=0)).all()
            assert (X_new <= X.max(axis=0)).all()

    def test_a_constant_column_stays_constant(self, dtype):
        X = np.random.default_rng(0).normal(size=(40, 3)).astype(dtype)
        X[:, 1] = np.array([0.1, 3]).astype(dtype)[int(X.dtype.kind in "iu")]
        X_new, _ = RAESampler(**TINY).fit_resample(X, Y)
        assert (X_new[:, 1] == X[0, 1]).all()


def test_constant_columns_stay_the_same_to_the_bit():
    """Although a mean of equal numbers is not always that number."""
    rng = np.random.default_rng(0)
    constants = rng.random(50)
    X = np.column_stack([rng.normal(size=40), np.tile(constants, (40, 1))])
    assert (X[:, 1:].mean(axis=0) != constants).any()
    X_new, _ = RAESampler(**TINY).fit_resample(X, Y)
    assert (X_new[:, 1:] == constants).all()


class TestSparse:
    @pytest.mark.parametrize("kind", [sp.csr_matrix, sp.csc_matrix, sp.csr_array, sp.csc_array])
    def test_comes_back_sparse(self, kind):
        X = kind(sp.random(40, 5, density=0.4, random_state=0))
        X_new, _ = RAESampler(**TINY).fit_resample(X, Y)
        assert X_new.format == X.format
        np.testing.assert_array_equal(X_new[:40].toarray(), X.toarray())
        np.testing.assert_allclose(X_new.toarray(), RAESampler(**TINY).fit_resample(X.toarray(), Y)[0])

    def test_frames_of_sparse_columns(self):
        X = pd.DataFrame.sparse.from_spmatrix(sp.random(40, 5, density=0.4, random_state=0))
        X.columns = list("abcde")
        X_new, _ = RAESampler(**TINY).fit_resample(X, Y)
        assert X_new.dtypes.equals(X.dtypes)

    def test_images_in_sparse_rows(self):
        X = sp.csr_matrix(np.eye(64)[np.arange(40)])
        assert RAEClassifier(**TINY, channels=4, image_shape=(1, 8, 8)).fit(X, Y).predict(X).shape == (40,)

    @pytest.mark.parametrize("estimator", [RAEClassifier(**TINY), RAESampler(**TINY)])
    def test_too_large_to_be_dense_is_refused_with_its_size(self, estimator):
        X = sp.csr_matrix((40, 10**9))
        with pytest.raises(
            ValueError, match=r"at most 4 GiB as a dense array, but its shape \(40, 1000000000\) would take 298 GiB"
        ):
            estimator.fit(X, Y)


def test_a_format_knows_no_row_of_the_data(frame):
    known = learn_format(frame)
    assert isinstance(known, TableFormat)
    of_more_rows = learn_format(mixed_frame(2000))
    assert len(json.dumps(known.to_dict())) == pytest.approx(len(json.dumps(of_more_rows.to_dict())), abs=50)
