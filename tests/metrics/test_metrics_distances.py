"""Distances of feature sets against hand oracles, pytorch-fid, second writings and their properties."""

import pickle
import warnings

import numpy as np
import pytest
import scipy.linalg
from hypothesis import given
from hypothesis import strategies as st
from pytorch_fid.fid_score import calculate_frechet_distance
from scipy.ndimage import gaussian_filter
from sklearn.datasets import load_digits

from latentover.metrics import FeatureStatistics, frechet_distance, frechet_infinity, kid

pytestmark = pytest.mark.filterwarnings("ignore:The Fréchet distance of")


def features(n, d, seed=0, shift=0.0, rank=None):
    """Correlated features whose variances fall like a network's."""
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(99).normal(size=(rank or d, d)) * (0.97 ** np.arange(d))
    return rng.normal(size=(n, rank or d)) @ mixing + shift


def reference(real, fake):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SciPy announces the end of an argument that pytorch-fid passes
        try:
            return calculate_frechet_distance(
                real.mean(axis=0), np.cov(real, rowvar=False), fake.mean(axis=0), np.cov(fake, rowvar=False)
            )
        except TypeError:
            pytest.skip("SciPy 1.18 took away an argument of sqrtm that pytorch-fid passes")


@pytest.fixture(scope="module")
def halves():
    """Digits as pixels: half of them, the other half, and its labels."""
    X, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(X))
    real, other = order[:898], order[898:]
    return X[real], X[other], y[other]


class TestFrechet:
    def test_by_hand(self):
        """N((0, 0), diag(1, 4)) and N((1, 2), diag(9, 1)): 5 + (1 - 3)^2 + (2 - 1)^2 = 10."""
        signs = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]]) * np.sqrt(3 / 4)  # unbiased variance 1
        assert frechet_distance(signs * [1, 2], signs * [3, 1] + [1, 2]) == pytest.approx(10)

    @pytest.mark.parametrize(
        ("n", "d"),
        [(40, 64), (200, 64), (20_000, 64), (40, 512), (300, 512), (2000, 512)],
    )
    def test_equals_pytorch_fid(self, n, d):
        real, fake = features(n, d), features(n, d, seed=1, shift=0.1) * 1.1
        assert frechet_distance(real, fake) == pytest.approx(reference(real, fake), rel=1e-4)

    @pytest.mark.slow
    @pytest.mark.parametrize(("n", "d"), [(20_000, 512), (4096, 2048)])
    def test_equals_pytorch_fid_at_full_size(self, n, d):
        self.test_equals_pytorch_fid(n, d)

    def test_singular_covariances_against_the_eigenvalues_of_the_product(self):
        real, fake = features(500, 40, rank=7), features(500, 40, seed=1, rank=9)
        first, second = np.cov(real, rowvar=False), np.cov(fake, rowvar=False)
        root = scipy.linalg.eigh(first)
        half = (root[1] * np.sqrt(root[0].clip(min=0))) @ root[1].T
        overlap = np.sqrt(np.linalg.eigvalsh(half @ second @ half).clip(min=0)).sum()
        shift = real.mean(axis=0) - fake.mean(axis=0)
        expected = shift @ shift + np.trace(first) + np.trace(second) - 2 * overlap
        assert frechet_distance(real, fake) == pytest.approx(expected, rel=1e-6)

    @pytest.mark.parametrize(("n", "d"), [(2, 1), (2, 5), (40, 512), (513, 512), (600, 64)])
    def test_of_a_set_with_itself_in_any_order_is_zero(self, n, d):
        x = features(n, d)
        scale = np.trace(np.atleast_2d(np.cov(x, rowvar=False)))
        assert 0 <= frechet_distance(x, x[::-1]) < 1e-9 * scale

    @given(st.integers(2, 30), st.integers(2, 30), st.integers(1, 20), st.integers(0, 2**31))
    def test_is_real_and_at_least_zero_whatever_the_sizes(self, n, m, d, seed):
        rng = np.random.default_rng(seed)
        real, fake = rng.normal(size=(n, d)), rng.integers(-1, 2, size=(m, d)).astype(float)  # many constant columns
        value = frechet_distance(real, fake)
        assert isinstance(value, float)
        assert value >= 0
        assert value == pytest.approx(frechet_distance(fake, real), rel=1e-7, abs=1e-9)

    @given(st.integers(0, 2**31), st.floats(0.01, 100))
    def test_translation_scaling_and_rotation(self, seed, factor):
        rng = np.random.default_rng(seed)
        real, fake = rng.normal(size=(60, 5)), rng.normal(0.5, 2, size=(50, 5))
        value, turn = frechet_distance(real, fake), np.linalg.qr(rng.normal(size=(5, 5)))[0]
        assert frechet_distance(real + 1000, fake + 1000) == pytest.approx(value)
        assert frechet_distance(factor * real, factor * fake) == pytest.approx(factor**2 * value)
        assert frechet_distance(real @ turn, fake @ turn) == pytest.approx(value)

    def test_grows_with_a_shift_by_its_square(self):
        x = features(300, 10)
        assert frechet_distance(x, x + np.eye(10)[0] * 3) == pytest.approx(9)

    def test_constant_sets(self):
        assert frechet_distance(np.zeros((3, 4)), np.ones((5, 4))) == pytest.approx(4)

    def test_float32_is_summed_in_float64(self):
        x = (features(500, 8) + 1e4).astype(np.float32)
        y = (features(500, 8, seed=1) + 1e4).astype(np.float32)
        assert frechet_distance(x, y) == pytest.approx(frechet_distance(x.astype(float), y.astype(float)), rel=1e-9)

    def test_warning_of_few_samples(self):
        with pytest.warns(UserWarning, match=r"of 99 vectors of dimension 50 is mostly bias"):
            frechet_distance(features(100, 50), features(99, 50))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            frechet_distance(features(100, 50), features(100, 50))

    @pytest.mark.parametrize(
        ("real", "fake", "message"),
        [
            (np.zeros((1, 3)), np.zeros((5, 3)), r"\*real\* to be features of shape .* got shape \(1, 3\)"),
            (np.zeros((4, 3)), np.zeros(5), r"\*fake\* to be features of shape .* got shape \(5,\)"),
            (np.zeros((4, 3)), np.zeros((4, 2)), "of one dimension, but got 3 and 2"),
            (np.full((4, 3), np.nan), np.zeros((4, 3)), r"\*real\* to be finite, but got 12"),
        ],
    )
    def test_errors(self, real, fake, message):
        with pytest.raises(ValueError, match=message):
            frechet_distance(real, fake)


class TestFeatureStatistics:
    @given(st.lists(st.integers(1, 20), min_size=2, max_size=6), st.integers(0, 2**31), st.floats(-1e6, 1e6))
    def test_batches_in_any_order_and_merged_are_the_whole(self, sizes, seed, offset):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=(sum(sizes) + 2, 4)) + offset
        batches = np.split(x, np.cumsum(sizes))
        order = rng.permutation(len(batches))
        first, second = FeatureStatistics(4), FeatureStatistics(4)
        for position in order:
            (first if position % 2 else second).update(batches[position])
        merged = pickle.loads(pickle.dumps(first)).merge(second)
        assert merged.n == len(x)
        np.testing.assert_allclose(merged.mean, x.mean(axis=0), rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(merged.covariance, np.cov(x, rowvar=False), rtol=1e-6, atol=1e-9)

    def test_distance_of_statistics_is_that_of_the_features(self):
        x, y = features(200, 16), features(150, 16, seed=1, shift=1)
        statistics = FeatureStatistics(16).update(x[:7]).update(x[7:])
        assert frechet_distance(statistics, y) == pytest.approx(frechet_distance(x, y), rel=1e-9)

    def test_merging_an_empty_one_changes_nothing(self):
        x = features(20, 3)
        merged = FeatureStatistics(3).merge(FeatureStatistics(3)).merge(FeatureStatistics(3).update(x))
        np.testing.assert_allclose(merged.covariance, np.cov(x, rowvar=False))

    def test_errors(self):
        with pytest.raises(ValueError, match="of dimension 3, but got 4"):
            FeatureStatistics(3).update(np.zeros((2, 4)))
        with pytest.raises(ValueError, match="at least 2 feature vectors for a covariance, but got 1"):
            _ = FeatureStatistics(3).update(np.zeros((1, 3))).covariance


class TestInfinity:
    def test_is_nearer_to_the_truth_than_any_finite_sample(self):
        """Truth: 1 for a shift by 1 in one of 16 dimensions."""
        raw, limit = [], []
        for seed in range(5):
            rng = np.random.default_rng(seed)
            real, fake = rng.normal(size=(600, 16)), rng.normal(size=(600, 16))
            fake[:, 0] += 1
            raw.append(frechet_distance(real, fake))
            limit.append(frechet_infinity(real, fake, n_draws=2, random_state=seed).value)
        assert abs(np.mean(limit) - 1) < 0.5 * abs(np.mean(raw) - 1)

    def test_line_is_the_least_squares_one_of_the_distances_it_reports(self):
        found = frechet_infinity(features(200, 5), features(300, 5, seed=1), n_sizes=4, random_state=0)
        assert found.sizes == (50, 100, 150, 200)
        design = np.column_stack([np.ones(4), 1 / np.array(found.sizes)])
        expected, *_ = np.linalg.lstsq(design, np.array(found.distances), rcond=None)
        assert (found.value, found.slope) == pytest.approx(tuple(expected))
        assert found.slope > 0

    def test_is_reproducible(self):
        x, y = features(100, 5), features(100, 5, seed=1)
        assert frechet_infinity(x, y, random_state=3) == frechet_infinity(x, y, random_state=3)

    def test_warning_and_errors(self):
        with pytest.warns(UserWarning, match="subset of 10 vectors has fewer than the 20 dimensions"):
            frechet_infinity(features(40, 20), features(40, 20))
        with pytest.raises(ValueError, match="at least 32"):
            frechet_infinity(features(31, 2), features(40, 2))
        with pytest.raises(ValueError, match=r"\*n_sizes\* to be at least 2, but got 1"):
            frechet_infinity(features(40, 2), features(40, 2), n_sizes=1)


class TestKid:
    def test_second_writing(self):
        x, y = features(30, 4), features(25, 4, seed=1, shift=0.3)

        def kernel(a, b):
            return (sum(p * q for p, q in zip(a, b, strict=True)) / 4 + 1) ** 3

        among_x = np.mean([kernel(a, b) for i, a in enumerate(x) for j, b in enumerate(x) if i != j])
        among_y = np.mean([kernel(a, b) for i, a in enumerate(y) for j, b in enumerate(y) if i != j])
        between = np.mean([kernel(a, b) for a in x for b in y])
        assert kid(x, y).value == pytest.approx(among_x + among_y - 2 * between)

    def test_chunks_change_nothing(self, monkeypatch):
        x, y = features(50, 4), features(40, 4, seed=1)
        whole = kid(x, y)
        monkeypatch.setattr("latentover.metrics.distances._CHUNK", 123)
        assert kid(x, y) == pytest.approx(whole)

    def test_has_no_bias_and_its_interval_holds_the_truth(self):
        """Equal distributions: the mean over repetitions is 0, and about 95 of 100 intervals hold 0, or more."""
        values = [kid(features(40, 4, seed=2 * i), features(40, 4, seed=2 * i + 1)) for i in range(200)]
        means = np.array([value.value for value in values])
        assert abs(means.mean()) < 3 * means.std() / np.sqrt(len(means))
        assert np.mean([value.low <= 0 <= value.high for value in values]) > 0.92

    def test_interval_of_different_distributions(self):
        """The truth is the mean over many repetitions, which has no bias."""
        values = [kid(features(60, 3, seed=2 * i), features(60, 3, seed=2 * i + 1, shift=0.8)) for i in range(300)]
        truth = np.mean([value.value for value in values])
        held = np.mean([value.low <= truth <= value.high for value in values])
        assert 0.88 < held < 0.99

    def test_errors(self):
        with pytest.raises(ValueError, match="of one dimension, but got 3 and 2"):
            kid(np.zeros((4, 3)), np.zeros((4, 2)))
        with pytest.raises(ValueError, match=r"\*level\* to be strictly between 0 and 1, but got 95"):
            kid(np.zeros((4, 3)), np.zeros((4, 3)), level=95)


class TestOnRealImages:
    """Digits as pixels: what makes images worse raises the distance."""

    def test_rises_with_noise(self, halves):
        real, fake, _ = halves
        rng = np.random.default_rng(0)
        values = [frechet_distance(real, fake + scale * rng.normal(size=fake.shape)) for scale in (0, 1, 2, 4)]
        assert values == sorted(values)
        assert values[-1] > 5 * values[0]

    def test_rises_with_blur(self, halves):
        real, fake, _ = halves
        images = fake.reshape(-1, 8, 8)
        values = [
            frechet_distance(real, gaussian_filter(images, (0, s, s)).reshape(len(fake), -1)) for s in (0.01, 0.5, 1, 2)
        ]
        assert values == sorted(values)
        assert values[-1] > 5 * values[0]

    def test_rises_with_dropped_classes(self, halves):
        real, fake, y = halves
        values = [frechet_distance(real, fake[y >= dropped]) for dropped in (0, 2, 5, 8)]
        assert values == sorted(values)
