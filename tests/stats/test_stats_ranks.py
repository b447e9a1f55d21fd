"""Tests on ranks against published sequences, scipy, and what must hold."""

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from latentover.stats import friedman, holm, mean_ranks, shaffer, shaffer_factors, true_hypotheses, wilcoxon


@st.composite
def tables(draw, least=3):
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    shape = draw(st.integers(2, 12)), draw(st.integers(least, 6))
    return rng.integers(0, 4, shape) / 4 if draw(st.booleans()) else rng.normal(size=shape)


class TestShafferSequences:
    @pytest.mark.parametrize(
        ("k", "numbers", "factors"),
        [
            (2, (0, 1), (1,)),
            (3, (0, 1, 3), (3, 1, 1)),
            (4, (0, 1, 2, 3, 6), (6, 3, 3, 3, 2, 1)),
            (5, (0, 1, 2, 3, 4, 6, 10), (10, 6, 6, 6, 6, 4, 4, 3, 2, 1)),
            (6, (0, 1, 2, 3, 4, 6, 7, 10, 15), (15, 10, 10, 10, 10, 10, 7, 7, 7, 6, 4, 4, 3, 2, 1)),
        ],
    )
    def test_published(self, k, numbers, factors):
        assert true_hypotheses(k) == numbers
        assert shaffer_factors(k) == factors

    def test_numbers_by_counting_equal_pairs_of_every_partition(self):
        def partitions(n, largest):
            if n == 0:
                yield []
            for part in range(min(n, largest), 0, -1):
                for rest in partitions(n - part, part):
                    yield [part, *rest]

        for k in range(2, 11):
            expected = {sum(part * (part - 1) // 2 for part in parts) for parts in partitions(k, k)}
            assert true_hypotheses(k) == tuple(sorted(expected))


class TestShaffer:
    def test_largest_possible_difference_of_five_methods_on_fourteen_blocks(self):
        """|z| cannot exceed 6.693, so p not be below 2.2e-11: an arithmetic check of published p-values."""
        pairs = shaffer(np.tile([5.0, 4, 3, 2, 1], (14, 1)))
        assert abs(pairs[0].z) == pytest.approx(6.693, abs=1e-3)
        assert pairs[0].p_value == pytest.approx(2.2e-11, rel=0.02)

    @given(tables(least=2))
    def test_written_again(self, table):
        n, k = table.shape
        ranks = np.mean([scipy.stats.rankdata(-row) for row in table], axis=0)
        pairs = shaffer(table)
        m = len(pairs)
        assert m == k * (k - 1) // 2
        for pair in pairs:
            z = (ranks[int(pair.first)] - ranks[int(pair.second)]) / (k * (k + 1) / (6 * n)) ** 0.5
            assert pair.z == pytest.approx(z)
            assert pair.p_value == pytest.approx(scipy.stats.norm.sf(abs(z)) * 2)
        p_values = [pair.p_value for pair in pairs]
        assert (np.diff(p_values) >= -1e-12).all()
        for i, pair in enumerate(pairs):
            assert pair.adjusted == pytest.approx(
                min(1, max(shaffer_factors(k)[j] * p_values[j] for j in range(i + 1)))
            )

    @given(tables(least=2))
    def test_rejects_at_least_what_holm_rejects(self, table):
        pairs = shaffer(table)
        assert (np.array([pair.adjusted for pair in pairs]) <= holm([pair.p_value for pair in pairs]) + 1e-12).all()

    def test_methods_that_are_all_alike(self):
        assert {pair.adjusted for pair in shaffer(np.ones((5, 4)))} == {1.0}

    def test_family_wise_error_of_equal_methods(self):
        """With nothing to find, at least one false finding in at most 5 of 100 comparisons, within three errors."""
        rng = np.random.default_rng(0)
        false = [shaffer(rng.normal(size=(20, 5)))[0].adjusted < 0.05 for _ in range(500)]
        assert np.mean(false) < 0.05 + 3 * (0.05 * 0.95 / 500) ** 0.5

    def test_errors(self):
        with pytest.raises(ValueError, match="2 different names, one a column, but got"):
            shaffer(np.ones((3, 2)), ["a", "a"])
        with pytest.raises(ValueError, match=r"at least 2 columns, one a method, but got shape \(3,\)"):
            shaffer(np.ones(3))
        with pytest.raises(ValueError, match="complete, but got 1 missing"):
            shaffer([[1.0, np.nan]])


class TestFriedman:
    @given(tables())
    def test_equals_scipy(self, table):
        if np.ptp(table, axis=1).max() == 0:
            return
        expected = scipy.stats.friedmanchisquare(*table.T)
        found = friedman(table)
        assert found.statistic == pytest.approx(expected.statistic)
        assert found.p_value == pytest.approx(expected.pvalue)
        np.testing.assert_allclose(found.mean_ranks, mean_ranks(table))

    def test_all_ties(self):
        assert friedman(np.ones((4, 3)))[:2] == (0.0, 1.0)

    @given(tables())
    def test_direction_turns_the_ranks_and_keeps_the_statistic(self, table):
        up, down = friedman(table), friedman(table, higher_is_better=False)
        assert up.statistic == pytest.approx(down.statistic)
        np.testing.assert_allclose(np.add(up.mean_ranks, down.mean_ranks), table.shape[1] + 1)

    def test_two_methods_error(self):
        with pytest.raises(ValueError, match="at least 3 columns"):
            friedman(np.ones((4, 2)))


class TestHolm:
    def test_by_hand(self):
        np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])

    @given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
    def test_order_smallest_and_range(self, p_values):
        adjusted, p = holm(p_values), np.array(p_values)
        assert (adjusted >= p).all()
        assert adjusted.min() == pytest.approx(min(1, len(p) * p.min()))
        assert adjusted.max() <= 1
        assert (np.diff(adjusted[np.argsort(p)]) >= 0).all()

    def test_error(self):
        with pytest.raises(ValueError, match=r"numbers in \[0, 1\], but got \[1.5\]"):
            holm([1.5])


class TestWilcoxon:
    def test_equals_scipy_and_counts_differences(self):
        rng = np.random.default_rng(0)
        x, y = rng.normal(size=15), rng.normal(size=15)
        y[3] = x[3]
        found, expected = wilcoxon(x, y), scipy.stats.wilcoxon(x, y)
        assert found == (expected.statistic, expected.pvalue, 14)

    def test_all_ties(self):
        assert wilcoxon([1.0, 2.0], [1.0, 2.0]) == (0.0, 1.0, 0)

    @pytest.mark.parametrize(("n", "smallest"), [(3, 0.25), (5, 0.0625), (8, 2 / 2**8)])
    def test_few_blocks_cannot_show_much(self, n, smallest):
        assert wilcoxon(np.arange(n) + 1.0, np.zeros(n)).p_value == pytest.approx(smallest)

    def test_error(self):
        with pytest.raises(ValueError, match=r"got shapes \(2,\) and \(3,\)"):
            wilcoxon([1, 2], [1, 2, 3])
