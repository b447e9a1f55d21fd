import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from imblearn.over_sampling import ADASYN, SMOTE, SVMSMOTE, BorderlineSMOTE, KMeansSMOTE
from scipy.stats import zscore
from sklearn.cluster import KMeans
from sklearn.neighbors import NearestNeighbors

from latentover.methods import classical
from latentover.methods.classical import SAMPLERS, ClassicalSampler, Mixtures, mixtures


def blobs(*counts, d=4, seed=0):
    y = np.repeat(np.arange(len(counts)), counts)
    return np.random.default_rng(seed).normal(size=(len(y), d)) + y[:, None], y


class TestMixtures:
    @pytest.mark.parametrize(
        ("method", "options", "theirs"),
        [
            ("smote", {}, SMOTE(random_state=5)),
            ("borderline_smote", {}, BorderlineSMOTE(random_state=5)),
            ("borderline_smote", {"kind": "borderline-2"}, BorderlineSMOTE(kind="borderline-2", random_state=5)),
            ("svm_smote", {}, SVMSMOTE(random_state=5)),
            ("svm_smote", {"out_step": 0.2}, SVMSMOTE(out_step=0.2, random_state=5)),
        ],
    )
    def test_are_the_samples_of_imbalanced_learn(self, method, options, theirs):
        X, y = blobs(80, 30)
        found, problem = mixtures(X, y, 1, 50, method=method, options=options, seed=5)
        assert problem is None
        np.testing.assert_allclose(found.of(X), theirs.fit_resample(X, y)[0][110:], atol=1e-12)

    @pytest.mark.parametrize(
        ("method", "theirs"),
        [("adasyn", ADASYN(random_state=5)), ("kmeans_smote", KMeansSMOTE(k_neighbors=5, random_state=5))],
    )
    def test_are_among_those_where_imbalanced_learn_makes_others(self, method, theirs):
        X, y = blobs(80, 30, seed=1)
        made = theirs.fit_resample(X, y)[0][110:]
        assert len(made) != 50  # its rounding
        found, problem = mixtures(X, y, 1, 50, method=method, seed=5)
        new = found.of(X)
        assert problem is None
        assert len(new) == 50
        same = np.abs(new[:, None] - made).max(axis=2).min(axis=1) < 1e-6
        assert same.sum() == min(50, len(made))

    def test_parents_and_weights_make_the_samples(self):
        X, y = blobs(60, 20)
        for method in SAMPLERS:
            found, _ = mixtures(X, y, 1, 40, method=method)
            rows, weights = found.rows, found.weights
            assert (y[rows] == 1).all()
            np.testing.assert_allclose(weights.sum(axis=1), 1)
            np.testing.assert_allclose((weights[:, :, None] * X[rows]).sum(axis=1), found.of(X), atol=1e-6)

    @pytest.mark.parametrize("method", SAMPLERS)
    @pytest.mark.parametrize("n_class", [1, 2, 3, 5, 6])
    def test_any_class_size_and_any_total(self, method, n_class):
        X, y = blobs(40, n_class)
        for n in (0, 1, 2, 39):
            found, _ = mixtures(X, y, 1, n, method=method)
            assert len(found) == n
            assert (y[found.rows] == 1).all()
            assert np.isfinite(found.of(X)).all()

    def test_of_one_sample_are_copies(self):
        X, y = blobs(40, 1)
        np.testing.assert_array_equal(mixtures(X, y, 1, 3)[0].of(X), X[[40] * 3])

    def test_weights_choose_parents(self):
        X, y = blobs(60, 20)
        weights = np.where(np.arange(80) % 2, 3.0, 1.0)
        weights[60] = 0
        found, _ = mixtures(X, y, 1, 4000, row_weights=weights)
        rows = found.rows
        assert len(np.unique(found.of(X), axis=0)) == len(found) == 4000
        assert not (rows == 60).any()
        plain = mixtures(X, y, 1, 4000)[0].rows
        assert (rows % 2 == 1).mean() > (plain % 2 == 1).mean() + 0.1

    def test_neighbours_are_within_reach(self):
        X, y = blobs(60, 20)
        own = np.flatnonzero(y == 1)
        distances = np.linalg.norm(X[own][:, None] - X[own], axis=2)
        rank = distances.argsort(axis=1).argsort(axis=1)
        rows = mixtures(X, y, 1, 500, k_neighbors=3)[0].rows
        pairs = np.searchsorted(own, rows)
        assert np.minimum(rank[pairs[:, 0], pairs[:, 1]], rank[pairs[:, 1], pairs[:, 0]]).max() == 3

    def test_oracle(self):
        X = np.array([[0.0, 0.0], [2.0, 4.0]])
        for mixtures_of_two in (
            Mixtures(np.array([[0, 1], [1, 1]]), np.array([[0.75, 0.25], [1.0, 0.0]])),
            Mixtures.of_stand_ins(sp.csr_array(np.array([[0.75, 0.25], [0.0, 1.0]]))),
        ):
            np.testing.assert_allclose(mixtures_of_two.of(X), [[0.5, 1.0], [2.0, 4.0]])


class TestAdasyn:
    def test_counts_follow_the_neighbours_of_other_classes(self):
        # A tight group that is its own company, and a sample amid the other class with four of five neighbours of it.
        rng = np.random.default_rng(0)
        X = np.concatenate([rng.normal(size=(30, 2)), rng.normal(size=(8, 2)) * 0.01 + 20, [[0.0, 0.0]]])
        y = np.repeat([0, 1], [30, 9])
        rows = mixtures(X, y, 1, 21, method="adasyn")[0].rows
        assert (rows == 38).any(axis=1).all()


class Broken(KMeans):
    """A clusterer that cannot work."""

    def __init__(self, error):
        super().__init__()
        self.error = error

    def fit_predict(self, X, y=None, sample_weight=None):
        raise self.error


class TestFallBack:
    def test_no_sample_in_danger(self):
        X, y = blobs(30, 12)
        X[y == 1] += 100
        with pytest.warns(UserWarning, match=r"BorderlineSMOTE finds nothing to go by in class 1, so SMOTE"):
            _, y_new = ClassicalSampler(method="borderline_smote", random_state=0).fit_resample(X, y)
        assert np.bincount(y_new).tolist() == [30, 30]

    @pytest.mark.parametrize(
        ("method", "options"),
        [
            ("svm_smote", {"out_step": 7.0}),
            ("kmeans_smote", {"kmeans_estimator": 0}),
            ("kmeans_smote", {"kmeans_estimator": "k-means"}),
            ("kmeans_smote", {"density_exponent": "high"}),
            ("borderline_smote", {"kind": "borderline-3"}),
        ],
    )
    def test_parameters_that_imbalanced_learn_refuses_are_refused_before_anything_is_learned(self, method, options):
        with pytest.raises(ValueError, match=f"Expected options to be parameters of .*{next(iter(options))}"):
            ClassicalSampler(method=method, options=options).fit(*blobs(30, 12))

    @pytest.mark.parametrize("error", [RuntimeError("no GPU"), ValueError("no GPU"), KeyError("no GPU")])
    def test_an_error_of_a_clusterer_is_the_users_to_see(self, error):
        sampler = ClassicalSampler(method="kmeans_smote", options={"kmeans_estimator": Broken(error)})
        with pytest.raises(type(error), match="no GPU"):
            sampler.fit_resample(*blobs(30, 12))

    @pytest.mark.parametrize("clusterer", [43, KMeans(n_clusters=43)])
    def test_more_clusters_than_rows(self, clusterer):
        sampler = ClassicalSampler(method="kmeans_smote", options={"kmeans_estimator": clusterer})
        with pytest.raises(ValueError, match=r"(?s)Expected options to be .* can cluster these 42 rows.*n_clusters=43"):
            sampler.fit_resample(*blobs(30, 12))

    def test_densities_that_cannot_be_compared(self):
        options = {"kmeans_estimator": 1, "density_exponent": 1e6}
        with pytest.warns(UserWarning, match="density_exponent is out of range"), np.errstate(all="ignore"):
            ClassicalSampler(method="kmeans_smote", options=options, random_state=0).fit_resample(*blobs(30, 12))

    def test_fewer_rows_than_imbalanced_learn_makes_clusters(self):
        """The default is no choice of the user's: as many clusters as there are rows."""
        X, y = blobs(4, 3)
        with pytest.warns(UserWarning, match="No clusters found"):
            _, y_new = ClassicalSampler(method="kmeans_smote", random_state=0).fit_resample(X, y)
        assert np.bincount(y_new).tolist() == [4, 4]

    @pytest.mark.parametrize("clusterer", [3, KMeans(n_clusters=3, random_state=1)])
    def test_a_clusterer_of_the_users_makes_imbalanced_learns_samples(self, clusterer):
        X, y = blobs(80, 30, seed=1)
        theirs = KMeansSMOTE(k_neighbors=5, random_state=5, kmeans_estimator=clusterer).fit_resample(X, y)[0][110:]
        found, problem = mixtures(X, y, 1, 50, method="kmeans_smote", options={"kmeans_estimator": clusterer}, seed=5)
        assert problem is None
        near = np.abs(found.of(X)[:, None] - theirs).max(axis=2).min(axis=1)
        assert (near < 1e-6).sum() == min(50, len(theirs))


class TestSampler:
    def test_images_as_imbalanced_learn_makes_them_but_rounded(self):
        X, y = blobs(40, 12, d=64)
        images = np.clip(X.reshape(-1, 1, 8, 8) * 40 + 100, 0, 255).astype(np.uint8)
        sampler = ClassicalSampler(random_state=0)
        X_new, _ = sampler.fit_resample(images, y)
        assert X_new.shape == (80, 1, 8, 8)
        assert X_new.dtype == np.uint8
        mixed = (images[sampler.parents_[52:]] * sampler.mix_weights_[52:, :, None, None, None]).sum(axis=1)
        assert np.abs(X_new[52:] - mixed).max() <= 0.5 + 1e-3

    def test_no_column_decides_by_its_unit_who_is_near(self):
        X, y = blobs(60, 20)
        one = ClassicalSampler(random_state=0)
        one.fit_resample(X, y)
        other = ClassicalSampler(random_state=0)
        other.fit_resample(X * [1, 1000, 1, 1e-3], y)
        np.testing.assert_array_equal(one.parents_, other.parents_)

    def test_more_rows_than_are_mixed_at_once(self, monkeypatch):
        X, y = blobs(60, 20)
        frame = pd.DataFrame(X, columns=list("abcd")).assign(kind=np.where(X[:, 1] > 1, "high", "low"))
        for data in (X, frame):
            whole, _ = ClassicalSampler(random_state=0).fit_resample(data, y)
            with monkeypatch.context() as patched:
                patched.setattr(classical, "BLOCK_ELEMENTS", 50)
                parts, _ = ClassicalSampler(random_state=0).fit_resample(data, y)
            pd.testing.assert_frame_equal(pd.DataFrame(parts), pd.DataFrame(whole))

    def test_mixed_types(self):
        X, y = blobs(60, 20)
        frame = pd.DataFrame({"size": X[:, 0], "kind": np.where(X[:, 1] > 1, "high", "low"), "n": X[:, 2].astype(int)})
        X_new, _ = ClassicalSampler(random_state=0).fit_resample(frame, y)
        assert X_new.dtypes.equals(frame.dtypes)
        assert set(X_new["kind"]) == {"high", "low"}

    @pytest.mark.filterwarnings("ignore:.*nothing to go by")
    @pytest.mark.parametrize("method", SAMPLERS)
    def test_sample_and_repeat(self, method):
        X, y = blobs(40, 12, 8)
        sampler = ClassicalSampler(method=method, random_state=0).fit(X, y)
        for label in range(3):
            new = sampler.sample(5, label, random_state=1)
            assert new.shape == (5, 4)
            np.testing.assert_array_equal(new, sampler.sample(5, label, random_state=1))
        assert sampler.sample(0, 1).shape == (0, 4)

    def test_smote_starts_from_each_row_as_often_as_from_any_other(self):
        X, y = blobs(100, 7)
        X_new, _ = (sampler := ClassicalSampler(base_selection="even", random_state=0)).fit_resample(X, y)
        rows, weights = sampler.parents_[107:], sampler.mix_weights_[107:]
        assert sorted(np.bincount(rows[:, 0], minlength=107)[100:]) == [13] * 5 + [14] * 2  # of 93
        near = NearestNeighbors(n_neighbors=6).fit(own := zscore(X)[y == 1]).kneighbors(own, return_distance=False)
        assert all(second - 100 in near[first - 100, 1:] for first, second in rows)
        np.testing.assert_allclose(X_new[107:], (X[rows] * weights[:, :, None]).sum(axis=1), atol=1e-5)

    def test_smote_starts_from_the_chosen_rows_alone_and_heeds_weights(self):
        X, y = blobs(100, 12)
        weights = np.ones(112)
        weights[100:104] = 0
        weights[111] = 50
        sampler = ClassicalSampler(base_selection=[101, 105, 107], k_neighbors=7, random_state=0)
        sampler.fit_resample(X, y, sample_weight=weights)
        bases, partners = sampler.parents_[112:].T
        assert np.bincount(bases, minlength=112)[[105, 107]].tolist() == [44, 44]
        assert not np.isin(partners, range(104)).any()
        assert (partners == 111).mean() > 0.8  # the expected share is 50 / 56
        assert (bases != partners).all()

    @pytest.mark.parametrize(
        ("wrong", "message"),
        [
            ({"method": "rose"}, "method to be one of .*, but got 'rose'"),
            ({"options": {"kind": "x"}}, r"options to be None or a dict with keys among \[\] for method='smote'"),
            ({"base_selection": "even", "method": "adasyn"}, "base_selection to be 'random', for method='adasyn' choo"),
            ({"base_selection": "odd"}, "base_selection to be 'random', 'even' or row numbers"),
        ],
    )
    def test_wrong_parameters(self, wrong, message):
        with pytest.raises(ValueError, match=f"Expected {message}"):
            ClassicalSampler(**wrong).fit(*blobs(20, 8))
