"""Bootstrap intervals: that they hold what they should, and how they draw."""

import numpy as np
import pytest
import scipy.stats

from latentover.metrics import acsa, bootstrap_interval, classification_intervals, classification_scores, macro_f1


class TestBootstrap:
    def test_of_a_mean_is_the_normal_interval(self):
        x = np.random.default_rng(0).normal(3, 2, 400)
        value, low, high = bootstrap_interval(np.mean, x, n_resamples=4000, random_state=0)
        half = scipy.stats.norm.ppf(0.975) * x.std() / 20
        assert value == x.mean()
        assert (low, high) == pytest.approx((value - half, value + half), abs=0.1 * half)

    def test_holds_the_truth_about_as_often_as_it_says(self):
        held = []
        for seed in range(200):
            x = np.random.default_rng(seed).normal(size=60)
            _, low, high = bootstrap_interval(np.mean, x, level=0.9, n_resamples=300, random_state=seed)
            held.append(low <= 0 <= high)
        assert abs(np.mean(held) - 0.9) < 4 * (0.9 * 0.1 / 200) ** 0.5

    def test_centred_keeps_the_spread_and_moves_it_to_the_value(self):
        """The largest distance within a set falls when rows repeat: the plain interval lies below the value."""
        x = np.random.default_rng(0).normal(size=50)
        plain = bootstrap_interval(np.ptp, x, random_state=0)
        centred = bootstrap_interval(np.ptp, x, random_state=0, centred=True)
        assert plain.high <= plain.value
        assert centred.low < centred.value < centred.high
        assert centred.high - centred.low == pytest.approx(plain.high - plain.low)

    def test_pairs_stay_pairs(self):
        x = np.arange(20.0)
        found = bootstrap_interval(lambda a, b: float(np.abs(a - b).max()), x, x, paired=True, random_state=0)
        assert found == (0, 0, 0)
        assert bootstrap_interval(lambda a, b: float(np.abs(a - b).max()), x, x, random_state=0).high > 0

    def test_strata_keep_their_sizes(self):
        y = np.repeat([0, 1], [90, 10])
        assert bootstrap_interval(np.mean, y, strata=y, random_state=0) == (0.1, 0.1, 0.1)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"level": 1}, r"\*level\* to be strictly between 0 and 1, but got 1"),
            ({"n_resamples": 1}, r"\*n_resamples\* to be at least 2, but got 1"),
            ({"strata": [0, 1]}, r"of one length, but got lengths \[2, 3\]"),
        ],
    )
    def test_errors(self, options, message):
        with pytest.raises(ValueError, match=message):
            bootstrap_interval(np.mean, [1.0, 2.0, 3.0], **options)


class TestClassification:
    Y_TRUE = np.repeat([0, 1, 2], [60, 20, 10])

    def predictions(self, seed=0):
        rng = np.random.default_rng(seed)
        return np.where(rng.random(90) < 0.8, self.Y_TRUE, rng.integers(0, 3, 90))

    def test_values_are_the_scores(self):
        y_pred = self.predictions()
        scores = classification_scores(self.Y_TRUE, y_pred)
        for name, estimate in classification_intervals(self.Y_TRUE, y_pred, n_resamples=50, random_state=0).items():
            assert estimate.value == scores[name]
            assert estimate.low <= estimate.value <= estimate.high

    @pytest.mark.parametrize("function", [acsa, macro_f1])
    def test_equals_drawing_samples_within_classes(self, function):
        y_pred = self.predictions()
        quick = classification_intervals(self.Y_TRUE, y_pred, n_resamples=3000, random_state=0)[function.__name__]
        plain = bootstrap_interval(
            function, self.Y_TRUE, y_pred, paired=True, strata=self.Y_TRUE, n_resamples=1000, random_state=1
        )
        assert quick == pytest.approx(plain, abs=0.02)

    def test_a_class_that_is_only_predicted(self):
        estimates = classification_intervals([0, 0, 1], [0, 2, 1], n_resamples=20, random_state=0)
        assert estimates["acsa"].value == 0.75
        assert all(np.isfinite(estimate).all() for estimate in estimates.values())
