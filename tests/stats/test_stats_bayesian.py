"""The Bayesian signed-rank test against a second writing, and its degenerate cases."""

import sys

import numpy as np
import pytest

from latentover.stats import bayesian_signed_rank

pytest.importorskip("baycomp")


def second_writing(x, y, rope, n_samples, seed):
    """Shares of draws of Dirichlet weights in which each region has the largest weighted share of pairs."""
    d = np.concatenate([[0.0], np.asarray(y) - np.asarray(x)])
    sums = d[:, None] + d[None]
    weights = np.random.default_rng(seed).dirichlet([0.5] + [1.0] * len(x), n_samples)

    def step(values):
        return np.where(values == 0, 0.5, values > 0)

    right = np.einsum("si,ij,sj->s", weights, step(sums - 2 * rope), weights)
    left = np.einsum("si,ij,sj->s", weights, step(-sums - 2 * rope), weights)
    winner = np.argmax(np.stack([left, 1 - left - right, right]), axis=0)
    return np.bincount(winner, minlength=3) / n_samples


class TestAgainstASecondWriting:
    @pytest.mark.parametrize("rope", [0.01, 0.05, 0.3])
    def test_probabilities(self, rope):
        rng = np.random.default_rng(1)
        x, y = rng.normal(0.8, 0.1, 12), rng.normal(0.83, 0.1, 12)
        found = bayesian_signed_rank(x, y, rope=rope, n_samples=4000)
        expected = second_writing(x, y, rope, 4000, seed=5)
        # Two samples of 4000: four standard errors of a difference of shares.
        np.testing.assert_allclose(found[:3], expected, atol=4 * (0.5 / 4000) ** 0.5)

    def test_swapping_the_methods_swaps_the_probabilities(self):
        rng = np.random.default_rng(2)
        x, y = rng.normal(size=10), rng.normal(0.5, size=10)
        one, other = (bayesian_signed_rank(*pair, rope=0.1, n_samples=4000) for pair in ((x, y), (y, x)))
        np.testing.assert_allclose(one[:3], other[2::-1], atol=4 * (0.5 / 4000) ** 0.5)

    def test_is_reproducible_and_sums_to_one(self):
        x, y = np.arange(5.0), np.arange(5.0)[::-1]
        found = bayesian_signed_rank(x, y, rope=1, n_samples=500)
        assert found == bayesian_signed_rank(x, y, rope=1, n_samples=500)
        assert sum(found[:3]) == pytest.approx(1)


class TestDegenerateCases:
    def test_a_win_in_every_block_is_certainty_without_a_rope_and_that_is_said(self):
        found = bayesian_signed_rank([0.5, 0.6, 0.7], [0.5001, 0.6001, 0.7001], n_samples=1000)
        assert found[:3] == (0.0, 0.0, 1.0)
        assert "however small the lead" in found.note

    def test_with_a_rope_a_small_lead_is_equivalence(self):
        found = bayesian_signed_rank([0.5, 0.6, 0.7], [0.5001, 0.6001, 0.7001], rope=0.01, n_samples=1000)
        assert found.equivalent > 0.95
        assert found.note == ""

    def test_all_ties_are_half_and_half(self):
        found = bayesian_signed_rank([0.5] * 6, [0.5] * 6)
        assert found[:3] == (0.5, 0.0, 0.5)
        assert (found.n_ties, found.n_blocks) == (6, 6)
        assert "all blocks are ties" in found.note

    def test_all_ties_with_a_rope_are_equivalent(self):
        assert bayesian_signed_rank([0.5] * 6, [0.5] * 6, rope=0.01, n_samples=200).equivalent == 1


class TestErrors:
    def test_input(self):
        with pytest.raises(ValueError, match=r"got shapes \(2,\) and \(3,\)"):
            bayesian_signed_rank([1, 2], [1, 2, 3])
        with pytest.raises(ValueError, match=r"\*rope\* to be 0 or more, but got -1"):
            bayesian_signed_rank([1.0, 2], [1, 3], rope=-1)

    def test_without_baycomp(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "baycomp", None)
        with pytest.raises(ImportError, match=r'pip install "latentover\[stats\]"'):
            bayesian_signed_rank([1.0, 2], [1, 3])
