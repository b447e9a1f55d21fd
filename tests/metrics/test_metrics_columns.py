"""Distances of columns and associations of pairs, against second writings."""

import numpy as np
import pytest
from scipy import stats
from scipy.stats.contingency import association

from latentover.metrics import correlation_ratio, cramers_v, kolmogorov_smirnov, spearman, total_variation

rng = np.random.default_rng(0)


def with_missing(values, every=7):
    values = np.asarray(values, dtype=float).copy()
    values[::every] = np.nan
    return values


@pytest.mark.parametrize("decimals", [0, 6])  # with ties and without
def test_kolmogorov_smirnov_is_scipys(decimals):
    a, b = rng.normal(size=80).round(decimals), rng.normal(0.4, 2, size=130).round(decimals)
    assert kolmogorov_smirnov(a, b) == pytest.approx(stats.ks_2samp(a, b).statistic)
    known = with_missing(a)
    assert kolmogorov_smirnov(known, b) == pytest.approx(stats.ks_2samp(known[~np.isnan(known)], b).statistic)


def test_total_variation_is_what_changes_hands():
    a, b = rng.integers(0, 5, 60), rng.integers(1, 7, 90)
    levels = set(a.tolist()) | set(b.tolist())
    by_hand = sum(abs((a == level).mean() - (b == level).mean()) for level in levels) / 2
    assert total_variation(a, b) == pytest.approx(by_hand)
    assert total_variation([0, 0], [1, 1]) == 1


def test_spearman_is_scipys_over_rows_that_have_both():
    a = rng.normal(size=100).round(1)
    b = with_missing(a + rng.normal(size=100))
    keep = ~np.isnan(b)
    assert spearman(a, b) == pytest.approx(stats.spearmanr(a[keep], b[keep]).statistic)


def test_cramers_v_is_that_of_many_rows_and_zero_for_few_independent_ones():
    a = rng.integers(0, 3, 40_000)
    b = np.where(rng.random(40_000) < 0.4, a, rng.integers(0, 3, 40_000))
    table = np.array([[((a == i) & (b == j)).sum() for j in range(3)] for i in range(3)])
    assert cramers_v(a, b) == pytest.approx(association(table, method="cramer"), abs=0.003)
    # Of 60 independent rows with 6 levels each, uncorrected values are about 0.3.
    found = [cramers_v(rng.integers(0, 6, 60), rng.integers(0, 6, 60)) for _ in range(40)]
    assert np.mean(found) < 0.15


def test_cramers_v_by_bergsmas_formula():
    a, b = rng.integers(0, 3, 50), rng.integers(0, 4, 50)
    table = np.array([[((a == i) & (b == j)).sum() for j in range(4)] for i in range(3)])
    n, (r, k) = table.sum(), table.shape
    phi2 = max(0, stats.chi2_contingency(table, correction=False).statistic / n - (k - 1) * (r - 1) / (n - 1))
    most = min(k - (k - 1) ** 2 / (n - 1), r - (r - 1) ** 2 / (n - 1)) - 1
    assert cramers_v(a, b) == pytest.approx((phi2 / most) ** 0.5)


def test_correlation_ratio_is_that_of_an_analysis_of_variance_of_ranks():
    levels, numbers = rng.integers(0, 4, 90), rng.lognormal(size=90)
    numbers += levels
    ranks = stats.rankdata(numbers)
    within = sum(((ranks[levels == c] - ranks[levels == c].mean()) ** 2).sum() for c in range(4))
    total = ((ranks - ranks.mean()) ** 2).sum()
    assert correlation_ratio(levels, numbers) == pytest.approx((1 - 89 / 86 * within / total) ** 0.5)


def test_weights_count_as_repeated_rows():
    x, y, codes = rng.normal(size=40), rng.normal(size=40), rng.integers(0, 3, 40)
    times = rng.integers(1, 4, 40)
    other = rng.normal(size=30)
    long = {name: np.repeat(values, times) for name, values in {"x": x, "y": y, "codes": codes}.items()}
    assert kolmogorov_smirnov(x, other, real_weights=times) == pytest.approx(kolmogorov_smirnov(long["x"], other))
    assert total_variation(codes, [0, 1], real_weights=times) == pytest.approx(total_variation(long["codes"], [0, 1]))
    assert spearman(x, y, weights=times) == pytest.approx(spearman(long["x"], long["y"]))


@pytest.mark.parametrize("score", [spearman, cramers_v, correlation_ratio])
def test_constant_columns_have_no_association(score):
    assert np.isnan(score([1] * 10, list(range(10)))) or score is correlation_ratio
    assert np.isnan(score([1] * 10, [2] * 10))
    with pytest.raises(ValueError, match="columns of one length"):
        score([1, 2], [1, 2, 3])


def test_a_side_without_values_has_no_distance():
    assert np.isnan(kolmogorov_smirnov([np.nan], [1.0]))
    assert np.isnan(total_variation([np.nan], [1.0]))
