"""Seeds that two methods share: Student's interval and test of the differences, exact where there is no spread."""

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from latentover.stats import paired_difference

scores = st.lists(st.tuples(*[st.floats(0, 1).map(lambda x: round(x, 4))] * 2), min_size=2, max_size=12)


@given(scores, st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_scipy_agrees(pairs, level):
    first, second = np.array(pairs).T
    differences = first - second
    if np.ptp(differences) < 1e-6:
        return
    found = paired_difference(first, second, level=level)
    oracle = scipy.stats.ttest_rel(first, second)
    assert found.mean == pytest.approx(differences.mean(), abs=1e-12)
    assert (found.low, found.high) == pytest.approx(oracle.confidence_interval(level), abs=1e-9)
    assert found.p_value == pytest.approx(oracle.pvalue, abs=1e-9)
    assert found.n == len(pairs)


def test_two_pairs_by_hand():
    found = paired_difference([0.5, 0.7], [0.4, 0.4])  # differences 0.1 and 0.3: mean 0.2, standard error 0.1
    assert found.mean == pytest.approx(0.2)
    assert found.high - found.mean == pytest.approx(12.706204736 * 0.1)  # Student's t, one degree of freedom
    assert found.p_value == pytest.approx(2 * (0.5 - np.arctan(2) / np.pi))  # of Cauchy's distribution


@given(scores)
def test_the_second_against_the_first_is_the_mirror_image(pairs):
    first, second = np.array(pairs).T
    one, other = paired_difference(first, second), paired_difference(second, first)
    assert (other.mean, other.low, other.high) == (-one.mean, -one.high, -one.low)
    assert other.p_value == one.p_value


@given(scores)
def test_the_interval_holds_zero_where_p_is_above_its_level(pairs):
    first, second = np.array(pairs).T
    found = paired_difference(first, second)
    if abs(found.p_value - 0.05) > 1e-9:
        assert (found.low <= 0 <= found.high) == (found.p_value > 0.05)


@pytest.mark.parametrize("n", [2, 3, 7, 10])
def test_differences_without_spread_are_exact(n):
    assert paired_difference([0.1] * n, [0.0] * n) == (0.1, 0.1, 0.1, 0.0, n)  # the mean of three 0.1 is rounded
    assert paired_difference([0.3] * n, [0.3] * n) == (0, 0, 0, 1, n)


def test_what_rounding_alone_makes_is_no_difference():
    assert 0.1 + 0.2 != 0.3
    assert paired_difference([0.1 + 0.2, 0.7], [0.3, 0.7]) == (0, 0, 0, 1, 2)


@pytest.mark.parametrize(
    ("first", "second", "level", "message"),
    [
        ([0.5], [0.4], 0.95, r"two or more seeds, but got shapes \(1,\)"),
        ([0.5, 0.6], [0.4], 0.95, "two or more seeds"),
        ([0.5, np.nan], [0.4, 0.5], 0.95, "1 missing values"),
        ([0.5, 0.6], [0.4, 0.5], 95, r"level.* to be in \(0, 1\), but got 95"),
    ],
)
def test_what_is_refused(first, second, level, message):
    with pytest.raises(ValueError, match=message):
        paired_difference(first, second, level=level)
