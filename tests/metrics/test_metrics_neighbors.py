"""Density, coverage, precision and recall against hand oracles, prdc, brute force and their properties."""

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from prdc import compute_prdc

import latentover.metrics.neighbors as nb
from latentover.metrics import ball_counts, density_coverage, nearest_distances, precision_recall


def brute_force(real, fake, k):
    """Counts from all differences, one pair after the other."""
    real, fake = np.asarray(real, dtype=float), np.asarray(fake, dtype=float)
    among = np.array([[np.square(a - b).sum() for b in real] for a in real])
    np.fill_diagonal(among, np.inf)
    squared_radii = np.sort(among, axis=1)[:, k - 1]
    inside = np.array([[np.square(a - b).sum() for b in fake] for a in real]) < squared_radii[:, None]
    return inside.sum(axis=0), inside.any(axis=1)


def check(real, fake, k):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        counts = ball_counts(real, fake, k)
    containing, covered = brute_force(real, fake, k)
    np.testing.assert_array_equal(counts.containing, containing)
    np.testing.assert_array_equal(counts.covered, covered)


@pytest.fixture(params=[["bfloat16", "float32"], ["float32"], ["float64"]], ids="-".join)
def every_type(request, monkeypatch):
    dtypes = [getattr(torch, name) for name in request.param]
    monkeypatch.setattr(nb, "_product_dtypes", lambda device: list(dtypes))


class TestOracles:
    def test_one_dimension(self):
        real, fake = np.array([[0.0], [1.0], [3.0]]), np.array([[0.5], [2.9]])
        assert density_coverage(real, fake, k=1) == (1.5, 1.0)

    def test_a_fake_outlier(self):
        real, fake = np.array([[0.0], [1.0], [3.0], [7.0]]), np.array([[0.5], [2.9], [20.0]])
        assert density_coverage(real, fake, k=2) == pytest.approx((7 / 6, 1.0))
        assert precision_recall(real, fake, k=2).precision == pytest.approx(2 / 3)

    def test_of_a_set_with_itself(self):
        """Each sample is in its own ball and in those of which it is one of the k - 1 nearest; borders do not count."""
        x = np.random.default_rng(0).normal(size=(200, 8))
        assert density_coverage(x, x, k=4) == (1.0, 1.0)

    def test_the_inequality_is_strict(self):
        assert density_coverage(np.array([[0.0], [1.0]]), np.array([[-1.0]]), k=1) == (0.0, 0.0)


class TestAgainstPrdc:
    @pytest.mark.parametrize(("n", "m", "d", "k"), [(60, 60, 2, 1), (300, 200, 16, 5), (500, 700, 64, 3), (7, 9, 3, 5)])
    def test_all_four(self, n, m, d, k, capsys):
        rng = np.random.default_rng(n)
        real, fake = rng.normal(size=(n, d)), rng.normal(0.2, 0.9, size=(m, d))
        expected = compute_prdc(real, fake, k)
        capsys.readouterr()
        density, coverage = density_coverage(real, fake, k)
        precision, recall = precision_recall(real, fake, k)
        assert (density, coverage) == pytest.approx((expected["density"], expected["coverage"]), abs=1e-9)
        assert (precision, recall) == pytest.approx((expected["precision"], expected["recall"]), abs=1e-9)


@pytest.mark.usefixtures("every_type")
class TestAgainstBruteForce:
    """On data that makes fast products err: they may, the result may not."""

    @given(st.integers(3, 40), st.integers(1, 40), st.integers(1, 12), st.integers(1, 6), st.integers(0, 2**31))
    def test_random(self, n, m, d, k, seed):
        rng = np.random.default_rng(seed)
        check(rng.normal(size=(n, d)), rng.normal(size=(m, d)), min(k, n - 1))

    @given(st.integers(3, 40), st.integers(1, 40), st.integers(1, 5), st.integers(1, 6), st.integers(0, 2**31))
    def test_many_ties_and_duplicates(self, n, m, d, k, seed):
        rng = np.random.default_rng(seed)
        check(rng.integers(0, 3, size=(n, d)), rng.integers(0, 3, size=(m, d)), min(k, n - 1))

    def test_tight_clusters_far_apart(self):
        rng = np.random.default_rng(0)
        centres = 1e3 * rng.normal(size=(4, 10))
        real = centres[rng.integers(0, 4, 150)] + 1e-3 * rng.normal(size=(150, 10))
        fake = centres[rng.integers(0, 4, 100)] + 1e-3 * rng.normal(size=(100, 10))
        check(real, fake, 3)

    def test_outliers_and_a_large_offset(self):
        rng = np.random.default_rng(1)
        real, fake = rng.normal(size=(120, 6)), rng.normal(size=(90, 6))
        real[3] *= 1e9
        fake[5] *= 1e12
        check(real, fake, 5)
        check(real[4:] + 1e6, fake[6:] + 1e6, 5)

    def test_extreme_scales(self):
        rng = np.random.default_rng(2)
        real, fake = rng.normal(size=(60, 4)), rng.normal(size=(50, 4))
        for scale in (1e-120, 1e-30, 1e30, 1e120):
            check(scale * real, scale * fake, 3)

    def test_more_equal_points_than_candidates(self):
        rng = np.random.default_rng(3)
        real = np.concatenate([np.zeros((50, 3)), rng.normal(size=(30, 3))])
        check(real, np.concatenate([np.zeros((5, 3)), rng.normal(size=(20, 3))]), 5)

    def test_float32_features_and_blocks(self, monkeypatch):
        rng = np.random.default_rng(4)
        real, fake = (rng.normal(size=(n, 5)).astype(np.float32) for n in (130, 77))
        monkeypatch.setattr(nb, "_BLOCK", 1000)
        monkeypatch.setattr(nb, "_CHUNK", 64)
        check(real, fake, 4)

    def test_every_fake_in_every_ball(self):
        real = np.random.default_rng(5).normal(size=(70, 3))
        real /= np.linalg.norm(real, axis=1, keepdims=True)
        check(real, 1e-4 * np.random.default_rng(6).normal(size=(300, 3)), 69)


class TestProperties:
    def test_order_translation_and_scale_change_nothing(self):
        rng = np.random.default_rng(0)
        real, fake = rng.normal(size=(200, 6)), rng.normal(size=(150, 6))
        expected = density_coverage(real, fake)
        assert density_coverage(rng.permutation(real), rng.permutation(fake)) == pytest.approx(expected)
        assert density_coverage(8 * real, 8 * fake) == expected  # a power of two is exact
        assert density_coverage(real + 50, fake + 50) == pytest.approx(expected, abs=0.02)

    def test_tensors_are_features_too(self):
        rng = np.random.default_rng(0)
        real, fake = rng.normal(size=(50, 3)), rng.normal(size=(40, 3))
        assert density_coverage(torch.tensor(real), torch.tensor(fake)) == density_coverage(real, fake)

    def test_coverage_falls_as_modes_are_dropped_but_precision_does_not(self):
        rng = np.random.default_rng(1)
        centres = 20 * np.eye(8)
        modes = rng.integers(0, 8, 800)
        real, fake = centres[rng.integers(0, 8, 800)] + rng.normal(size=(800, 8)), rng.normal(size=(800, 8))
        found = [ball_counts(real, (centres[modes] + fake)[modes < kept]) for kept in (8, 6, 4, 2, 1)]
        coverages = [counts.coverage for counts in found]
        assert coverages == sorted(coverages, reverse=True)
        assert coverages[0] > 0.8
        assert coverages[-1] < 0.15
        assert found[-1].precision == pytest.approx(found[0].precision, abs=0.1)

    def test_equal_distributions_have_a_density_of_about_one(self):
        rng = np.random.default_rng(2)
        density, coverage = density_coverage(rng.normal(size=(2000, 5)), rng.normal(size=(2000, 5)))
        assert density == pytest.approx(1, abs=0.05)
        assert coverage == pytest.approx(1 - 2.0**-5, abs=0.02)  # the expected value of Naeem et al., equation 9

    def test_garbage_far_away(self):
        rng = np.random.default_rng(3)
        real = rng.normal(size=(100, 4))
        assert density_coverage(real, real + 100) == (0.0, 0.0)


class TestDuplicatesAndSmallSets:
    def test_repeated_real_samples_have_empty_balls_and_that_is_said(self):
        real = np.repeat([[0.0, 0.0], [5.0, 5.0]], 4, axis=0)
        with pytest.warns(UserWarning, match="8 of 8 real samples are equal to at least 2 others"):
            assert density_coverage(real, real, k=2) == (0.0, 0.0)

    def test_without_duplicates(self):
        rng = np.random.default_rng(0)
        real, fake = rng.normal(size=(60, 3)), rng.normal(size=(60, 3))
        repeated = np.repeat(real, 9, axis=0)
        assert density_coverage(repeated, fake, deduplicate=True) == pytest.approx(density_coverage(real, fake))

    def test_k_is_cut_and_that_is_said(self):
        real, fake = np.array([[0.0], [1.0], [3.0]]), np.array([[0.5], [2.9]])
        with pytest.warns(UserWarning, match=r"\*k\* = 5 is cut to 2: there are only 3 real samples"):
            assert density_coverage(real, fake) == density_coverage(real, fake, k=2)

    def test_a_collapsed_generator_has_no_recall(self):
        real, fake = np.random.default_rng(0).normal(size=(50, 3)), np.zeros((50, 3))
        with pytest.warns(UserWarning, match="50 of 50 fake samples are equal"):
            assert precision_recall(real, fake).recall == 0

    @pytest.mark.parametrize(
        ("real", "fake", "k", "message"),
        [
            (np.zeros((1, 2)), np.zeros((3, 2)), 5, r"\*real\* to be features of shape .* at least 2"),
            (np.zeros((3, 2)), np.zeros((3, 4)), 5, "of one dimension, but got 2 and 4"),
            (np.zeros((3, 2)), np.zeros((3, 2)), 0, r"\*k\* to be at least 1, but got 0"),
            (np.zeros((3, 2)), np.full((3, 2), np.inf), 1, r"\*fake\* to be finite, but got 6"),
        ],
    )
    def test_errors(self, real, fake, k, message):
        with pytest.raises(ValueError, match=message):
            density_coverage(real, fake, k)


class TestNearestDistances:
    @given(st.integers(1, 30), st.integers(1, 30), st.integers(0, 2**31))
    def test_second_writing(self, m, n, seed):
        rng = np.random.default_rng(seed)
        queries, references = rng.normal(size=(m, 3)), rng.normal(size=(n, 3))
        k = int(rng.integers(1, n + 1))
        expected = np.sort(np.linalg.norm(queries[:, None] - references[None], axis=2), axis=1)[:, k - 1]
        np.testing.assert_allclose(nearest_distances(queries, references, k), expected, rtol=1e-12)

    def test_k_error(self):
        with pytest.raises(ValueError, match=r"\*k\* to be in 1\.\.2"):
            nearest_distances(np.zeros((3, 2)), np.zeros((2, 2)), k=3)


def test_types_of_products_are_safe(monkeypatch):
    """Whatever a user set globally, no product is rounded more than the bound says."""
    cpu = torch.device("cpu")
    assert nb._product_dtypes(cpu)[-1] == torch.float32
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert nb._product_dtypes(cpu) == [torch.float64]
    monkeypatch.setattr(torch, "get_float32_matmul_precision", lambda: "medium")
    assert nb._product_dtypes(cpu) == [torch.float64]
