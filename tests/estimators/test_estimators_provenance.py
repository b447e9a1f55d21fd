"""Where every resampled row is from, which rows new ones are made of, and what they weigh."""

from collections import Counter

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import sklearn
from imblearn.pipeline import Pipeline
from plain_sampler import NormalSampler, PlainSampler
from sklearn.datasets import make_blobs
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import get_scorer
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_validate

from latentover import RAESampler, save

DEEP = {"max_steps": 1, "hidden_units": 8, "latent_dim": 4, "batch_size": 8, "device": "cpu", "random_state": 0}
SAMPLERS = [
    PlainSampler(random_state=0, device="cpu"),
    NormalSampler(random_state=0, device="cpu"),
    RAESampler(**DEEP),
    RAESampler(**DEEP, early_stopping=True, validation_fraction=0.3),
]
EACH = pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda s: repr(s)[:40])
X, Y = make_blobs([30, 12, 6], 3, random_state=0)
FRAME = pd.DataFrame(X, columns=["a", "b", "c"])


def fresh(sampler, **changed):
    return sklearn.clone(sampler).set_params(**changed)


@EACH
def test_every_row_has_its_origin(sampler):
    sampler = fresh(sampler)
    X_new, y_new = sampler.fit_resample(X, Y)
    n = len(Y)
    assert len(X_new) == len(y_new) == len(sampler.sample_origin_) == len(sampler.sample_weight_) == 90
    np.testing.assert_array_equal(sampler.sample_origin_, [*range(n), *[-1] * (90 - n)])
    np.testing.assert_array_equal(sampler.synthetic_mask_, sampler.sample_origin_ == -1)
    np.testing.assert_array_equal(X_new[:n], X)
    assert sampler.parents_.shape == sampler.mix_weights_.shape
    assert sampler.parents_.dtype.kind == "i"
    # Row numbers of X, also where early stopping has set rows aside.
    for column in sampler.parents_.T:
        np.testing.assert_array_equal(Y[column], y_new)


def test_mixtures_are_of_their_parents():
    sampler = fresh(SAMPLERS[0])
    X_new, _ = sampler.fit_resample(X, Y)
    np.testing.assert_allclose((X[sampler.parents_] * sampler.mix_weights_[..., None]).sum(axis=1), X_new, atol=1e-4)


class TestBases:
    @pytest.mark.parametrize("sampler", [SAMPLERS[0], SAMPLERS[2]], ids=["plain", "deep"])
    def test_even_uses_each_as_often_as_any_other(self, sampler):
        sampler = fresh(sampler, base_selection="even", sampling_strategy={0: 33, 1: 3000, 2: 20})
        _, y_new = sampler.fit_resample(X, Y)  # class 1 in several batches
        for label, members, added in ((0, 30, 3), (1, 12, 2988), (2, 6, 14)):
            new = sampler.synthetic_mask_ & (y_new == label)
            uses = np.bincount(sampler.parents_[new, 0], minlength=len(Y))[label == Y]
            assert set(uses) <= {added // members, -(-added // members)}
            assert uses.sum() == added
            assert (sampler.parents_[new, 0] != sampler.parents_[new, 1]).all()

    def test_chosen_rows_alone_are_bases(self):
        chosen = [*np.flatnonzero(Y == 1)[:4], *np.flatnonzero(Y == 2)[:1]]
        for base_selection in (chosen, np.array(chosen), tuple(map(int, chosen))):
            sampler = fresh(SAMPLERS[0], base_selection=base_selection)
            sampler.fit_resample(X, Y)
            uses = Counter(sampler.parents_[sampler.synthetic_mask_, 0].tolist())
            assert set(uses) == set(chosen)
            assert sorted(uses[row] for row in chosen[:4]) == [4, 4, 5, 5]
            assert uses[chosen[4]] == 24

    def test_chosen_rows_are_those_of_the_user_where_some_were_set_aside(self):
        chosen = np.flatnonzero(Y == 1)
        sampler = fresh(SAMPLERS[3], base_selection=chosen, sampling_strategy={1: 40})
        sampler.fit_resample(X, Y)
        assert set(sampler.parents_[48:, 0]) < set(chosen), "the others were set aside"

    def test_a_class_without_a_base_is_an_error(self):
        with pytest.raises(ValueError, match=r"base_selection to name rows of every class that is generated.*class 2"):
            fresh(SAMPLERS[0], base_selection=np.flatnonzero(Y == 1)).fit_resample(X, Y)

    def test_row_numbers_beyond_the_data_are_an_error(self):
        with pytest.raises(ValueError, match="base_selection to be row numbers of X, below 48, but got 48"):
            fresh(SAMPLERS[0], base_selection=[3, 48]).fit_resample(X, Y)

    def test_methods_without_bases_say_so(self):
        with pytest.raises(ValueError, match="base_selection to be 'random', for new samples are not made from chosen"):
            fresh(SAMPLERS[1], base_selection="even").fit_resample(X, Y)


class TestWeights:
    def test_parents_are_drawn_in_proportion_to_them(self):
        y = np.repeat([0, 1], [4000, 4])
        x = np.random.default_rng(0).random((4004, 2))
        weights = np.concatenate([np.ones(4000), [0, 1, 2, 7]])
        sampler = PlainSampler(n_parents=1, random_state=0)
        sampler.fit_resample(x, y, sample_weight=weights)
        uses = np.bincount(sampler.parents_[4004:, 0] - 4000, minlength=4)
        assert uses[0] == 0
        # Three standard deviations of a binomial count of 3996.
        for used, share in zip(uses[1:], (0.1, 0.2, 0.7), strict=True):
            assert abs(used - 3996 * share) < 3 * np.sqrt(3996 * share * (1 - share))

    @pytest.mark.parametrize("base_selection", ["random", "even"])
    def test_partners_are_other_rows_with_a_weight(self, base_selection):
        weights = np.ones(len(Y))
        weights[np.flatnonzero(Y == 2)[:3]] = 0
        sampler = fresh(SAMPLERS[0], base_selection=base_selection)
        _, y_new = sampler.fit_resample(X, Y, sample_weight=weights)
        parents = sampler.parents_[48:][y_new[48:] == 2]
        assert set(parents.ravel()) == set(np.flatnonzero(Y == 2)[3:])
        assert (parents[:, 0] != parents[:, 1]).all()

    @EACH
    def test_of_the_resampled_rows(self, sampler):
        weights = np.random.default_rng(0).random(len(Y)) + 0.1
        sampler = fresh(sampler)
        _, y_new = sampler.fit_resample(X, Y, sample_weight=pd.Series(weights))
        np.testing.assert_array_equal(sampler.sample_weight_[:48], weights)
        new = sampler.sample_weight_[48:]
        if sampler.parents_.shape[1] == 0:
            np.testing.assert_allclose(new, [weights[label == Y].mean() for label in y_new[48:]])
        else:
            np.testing.assert_allclose(new, (weights[sampler.parents_] * sampler.mix_weights_).sum(axis=1)[48:])
        sampler.fit_resample(X, Y)
        assert (sampler.sample_weight_ == 1).all()

    @pytest.mark.parametrize(
        ("weights", "message"),
        [
            (np.ones(47), r"shape \(48,\), a weight for each sample, but got \(47,\)"),
            (np.ones((48, 1)), r"shape \(48,\), a weight for each sample, but got \(48, 1\)"),
            (np.where(Y == 1, np.nan, 1), "finite and 0 or more"),
            (-np.ones(48), "finite and 0 or more"),
            (np.where(Y == 1, 0, 1), "above 0 somewhere in every class, but got weights of zero alone in class 1"),
            (["heavy"] * 48, "to hold numbers"),
        ],
    )
    def test_impossible_ones(self, weights, message):
        with pytest.raises(ValueError, match=f"^Expected sample_weight .*{message}"):
            fresh(SAMPLERS[0]).fit_resample(X, Y, sample_weight=weights)

    def test_are_routed_through_a_pipeline(self):
        weights = np.where(np.arange(len(Y)) % 2, 1.0, 0.0)
        with sklearn.config_context(enable_metadata_routing=True):
            sampler = fresh(SAMPLERS[0]).set_fit_resample_request(sample_weight=True)
            assert "sample_weight" in sampler.get_metadata_routing().fit_resample.requests
            model = LogisticRegression().set_fit_request(sample_weight=False)
            pipeline = Pipeline([("sampler", sampler), ("model", model)])
            pipeline.fit(X, Y, sample_weight=weights)
        assert (pipeline["sampler"].parents_[48:] % 2 == 1).all()

    def test_are_routed_through_cross_validation_and_a_search(self):
        weights = np.where(np.arange(len(Y)) % 2, 1.0, 0.0)
        with sklearn.config_context(enable_metadata_routing=True):
            sampler = fresh(SAMPLERS[0]).set_fit_resample_request(sample_weight=True)
            model = LogisticRegression().set_fit_request(sample_weight=False)
            pipeline = Pipeline([("sampler", sampler), ("model", model)])
            splits = StratifiedKFold(3)
            scorer = get_scorer("balanced_accuracy").set_score_request(sample_weight=True)
            settings = {"cv": splits, "scoring": scorer, "error_score": "raise"}
            found = cross_validate(pipeline, X, Y, params={"sample_weight": weights}, return_estimator=True, **settings)
            for fitted, (train, _) in zip(found["estimator"], splits.split(X, Y), strict=True):
                new = fitted["sampler"].synthetic_mask_
                assert (weights[train][fitted["sampler"].parents_[new]] == 1).all()
            search = GridSearchCV(pipeline, {"sampler__random_state": [0, 1]}, **settings)
            search.fit(X, Y, sample_weight=weights)
        assert (search.best_estimator_["sampler"].parents_[48:] % 2 == 1).all()


class TestIndex:
    def test_is_new(self):
        X_new, y_new = fresh(SAMPLERS[0]).fit_resample(FRAME.set_axis(range(5, 53)), pd.Series(Y, range(5, 53)))
        assert X_new.index.equals(pd.RangeIndex(90))
        assert y_new.index.equals(X_new.index)

    @pytest.mark.parametrize(
        ("index", "new"),
        [
            (pd.RangeIndex(10, 58, name="row"), list(range(58, 100))),
            (pd.Index(np.random.default_rng(0).permutation(48) * 3, name="row"), list(range(142, 184))),
            (pd.Index([f"r{i}" for i in range(48)], name="row"), [f"synthetic_{i}" for i in range(42)]),
            (pd.date_range("2024", periods=48, name="row"), [f"synthetic_{i}" for i in range(42)]),
            (pd.Index(range(208, 256), dtype="uint8", name="row"), list(range(256, 298))),
            (pd.Index([*range(2**64 - 48, 2**64)], dtype="uint64", name="row"), list(range(2**64, 2**64 + 42))),
            (pd.Index([None] * 47 + [7], dtype="Int64", name="row"), list(range(8, 50))),
            (pd.interval_range(0, 48, name="row"), [f"synthetic_{i}" for i in range(42)]),
        ],
        ids=["range", "numbers", "text", "dates", "small numbers", "large numbers", "missing", "intervals"],
    )
    def test_is_kept(self, index, new):
        sampler = fresh(SAMPLERS[0], keep_index="original")
        X_new, y_new = sampler.fit_resample(FRAME.set_axis(index), pd.Series(Y, index, name="target"))
        assert X_new.index[:48].tolist() == index.tolist()
        assert X_new.index[48:].tolist() == new
        assert X_new.index.name == "row"
        assert y_new.index.equals(X_new.index)
        pd.testing.assert_frame_equal(X_new[:48], FRAME.set_axis(X_new.index[:48]))

    def test_of_several_levels_is_kept(self):
        index = pd.MultiIndex.from_product([range(12), ["a", "b"], pd.date_range("2024", periods=2)])
        index = index.set_names(["patient", "eye", "day"])
        X_new, _ = fresh(SAMPLERS[0], keep_index="original").fit_resample(FRAME.set_axis(index), Y)
        assert X_new.index[:48].tolist() == index.tolist()
        assert X_new.index[48:].tolist() == [(12 + i, f"synthetic_{i}", f"synthetic_{i}") for i in range(42)]
        assert X_new.index.names == ["patient", "eye", "day"]

    def test_is_as_it_was_where_nothing_is_added(self):
        index = pd.Index([2**64 - 1 - i for i in range(48)], dtype="uint64", name="row")
        sampler = fresh(SAMPLERS[0], keep_index="original", sampling_strategy={})
        X_new, _ = sampler.fit_resample(FRAME.set_axis(index), Y)
        assert X_new.index.identical(index)

    def test_of_the_labels_alone(self):
        X_new, y_new = fresh(SAMPLERS[0], keep_index="original").fit_resample(X, pd.Series(Y, range(5, 53)))
        assert isinstance(X_new, np.ndarray)
        assert y_new.index.tolist() == list(range(5, 95))

    def test_of_arrays_is_none(self):
        X_new, _ = fresh(SAMPLERS[0], keep_index="original").fit_resample(X, Y)
        assert isinstance(X_new, np.ndarray)


class TestToFrame:
    def test_has_rows_labels_and_provenance_side_by_side(self):
        sampler = fresh(SAMPLERS[0], keep_index="original")
        index = [f"r{i}" for i in range(48)]
        resampled = sampler.fit_resample(FRAME.set_axis(index), pd.Series(Y, index, name="kind"))
        frame = sampler.to_frame(*resampled)
        names = ["a", "b", "c", "kind", "synthetic", "origin", "parent_0", "parent_1"]
        assert frame.columns.tolist() == [*names, "mix_weight_0", "mix_weight_1", "sample_weight"]
        assert not frame.isna().any().any()
        assert frame.index.equals(resampled[0].index)
        pd.testing.assert_frame_equal(frame[["a", "b", "c"]], resampled[0])
        last = frame.iloc[-1]
        assert (last["synthetic"], last["origin"], last["kind"]) == (True, -1, 2)
        assert Y[last["parent_0"]] == Y[last["parent_1"]] == 2

    @pytest.mark.parametrize("container", [np.asarray, sp.csr_matrix, np.ndarray.tolist], ids=["array", "csr", "list"])
    def test_of_other_containers(self, container):
        sampler = fresh(SAMPLERS[1])
        frame = sampler.to_frame(*sampler.fit_resample(container(X), Y))
        assert frame.columns.tolist() == ["x0", "x1", "x2", "target", "synthetic", "origin", "sample_weight"]
        np.testing.assert_array_equal(frame[["x0", "x1", "x2"]].to_numpy()[:48], X)

    def test_of_images_has_no_pixels(self):
        images = np.random.default_rng(0).random((48, 1, 8, 8))
        sampler = fresh(SAMPLERS[1])
        assert sampler.to_frame(*sampler.fit_resample(images, Y)).columns[0] == "target"

    def test_of_something_else(self):
        sampler = fresh(SAMPLERS[0])
        resampled = sampler.fit_resample(FRAME, Y)
        with pytest.raises(ValueError, match="to be the 90 rows of the last fit_resample, but got 48 and 48 rows"):
            sampler.to_frame(FRAME, Y)
        with pytest.raises(ValueError, match=r"to have other columns than \['origin'\]"):
            sampler.to_frame(resampled[0].rename(columns={"a": "origin"}), resampled[1])


class TestOneHotLabels:
    @pytest.mark.parametrize("kind", [np.asarray, pd.DataFrame], ids=["array", "frame"])
    def test_come_back_one_hot(self, kind):
        y_new = fresh(SAMPLERS[0]).fit_resample(X, kind(np.eye(3, dtype=np.int64)[Y]))[1]
        assert type(y_new) is type(kind(np.eye(3)))
        rows = np.asarray(y_new)
        assert rows.dtype == np.int64
        assert rows.sum(axis=0).tolist() == [30, 30, 30]
        assert (rows.sum(axis=1) == 1).all()

    def test_with_two_ones_are_refused(self):
        y = np.eye(3)[Y]
        y[0] = [1, 1, 0]
        with pytest.raises(ValueError, match="a row of y does not have one 1"):
            fresh(SAMPLERS[0]).fit_resample(X, y)

    def test_of_a_column_come_back_in_one(self):
        assert fresh(SAMPLERS[0]).fit_resample(X, Y[:, None])[1].shape == (90,)


class TestPolars:
    pl = pytest.importorskip("polars")

    def test_comes_back_as_polars(self):
        pl = self.pl
        frame = pl.DataFrame({"a": X[:, 0], "n": np.arange(48), "town": ["Graz", "Linz", "Wien"] * 16})
        target = pl.Series("kind", ["xyz"[label] for label in Y])
        sampler = fresh(SAMPLERS[0])
        X_new, y_new = sampler.fit_resample(frame, target)
        assert X_new.schema == frame.schema
        assert X_new[:48].equals(frame)
        assert y_new.dtype == target.dtype
        assert y_new.value_counts().sort("kind")["count"].to_list() == [30, 30, 30]
        assert sampler.sample(5, "z").schema == frame.schema
        assert sampler.to_frame(X_new, y_new).shape == (90, 11)

    def test_of_deep_samplers(self):
        pl = self.pl
        sampler = fresh(SAMPLERS[2])
        X_new, _ = sampler.fit_resample(pl.DataFrame(X, schema=["a", "b", "c"]), pl.Series(Y))
        assert X_new.shape == (90, 3)
        assert sampler.encode(X_new).shape == (90, 4)


def test_bundles_of_rows_are_refused(tmp_path):
    with pytest.raises(TypeError, match="PlainSampler, which makes new rows from them, and a bundle holds none"):
        save(fresh(SAMPLERS[0]).fit(X, Y), tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()
