"""Folds share training rows: the interval is wider than that of the plain t-test, by what the paper says."""

import numpy as np
import pytest
import scipy.stats

from latentover.stats import corrected_resampled_t

RNG = np.random.default_rng(0)
FIRST, SECOND = RNG.normal(0.8, 0.05, 10), RNG.normal(0.75, 0.05, 10)


def test_a_second_writing():
    found = corrected_resampled_t(FIRST, SECOND, test_share=0.1)
    differences = [x - y for x, y in zip(FIRST, SECOND, strict=True)]
    mean = sum(differences) / 10
    variance = sum((d - mean) ** 2 for d in differences) / 9
    t = mean / ((1 / 10 + 10 / 90) * variance) ** 0.5  # of 100 rows 10 are tested on, 90 trained on
    assert found.difference == pytest.approx(mean)
    assert found.p_value == pytest.approx(2 * (1 - scipy.stats.t.cdf(abs(t), 9)))
    assert found.n_folds == 10


def test_without_shared_rows_it_is_the_plain_paired_test():
    found = corrected_resampled_t(FIRST, SECOND, test_share=1e-12)
    plain = scipy.stats.ttest_rel(FIRST, SECOND)
    assert found.p_value == pytest.approx(plain.pvalue)
    assert found[1:3] == pytest.approx(plain.confidence_interval(0.95))


@pytest.mark.parametrize("level", [0.5, 0.95, 0.99])
def test_the_interval_has_zero_in_it_where_p_is_above_its_level(level):
    for shift in np.linspace(-0.2, 0.2, 41):
        found = corrected_resampled_t(FIRST + shift, SECOND, test_share=0.2, level=level)
        assert (found.low <= 0 <= found.high) == (found.p_value >= 1 - level)


def test_the_second_against_the_first_is_the_mirror_image():
    one, other = (corrected_resampled_t(a, b, test_share=0.2) for a, b in ((FIRST, SECOND), (SECOND, FIRST)))
    assert (other.difference, other.low, other.high) == pytest.approx((-one.difference, -one.high, -one.low))
    assert other.p_value == one.p_value


def test_differences_without_spread():
    assert corrected_resampled_t(FIRST, FIRST, test_share=0.2)[:4] == (0, 0, 0, 1)
    assert corrected_resampled_t([1, 2, 3], [0, 1, 2], test_share=0.2)[:4] == (1, 1, 1, 0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1.0], [2.0], 0.2), "two or more folds"),
        (([1.0, 2.0], [1.0], 0.2), "two or more folds"),
        (([1.0, np.nan], [1.0, 2.0], 0.2), "scores.* to be complete"),
        (([1.0, 2.0], [1.0, 2.0], 1.0), r"test_share.* to be in \(0, 1\), but got 1.0"),
    ],
)
def test_what_is_refused(arguments, message):
    first, second, share = arguments
    with pytest.raises(ValueError, match=message):
        corrected_resampled_t(first, second, test_share=share)
    with pytest.raises(ValueError, match="level"):
        corrected_resampled_t(FIRST, SECOND, test_share=0.2, level=95)
