"""Scores of probabilities against naive writings and scikit-learn."""

import json

import numpy as np
import pytest
import sklearn.metrics as skm
from hypothesis import given
from hypothesis import strategies as st

import latentover.metrics as lm


@st.composite
def scored(draw):
    n_classes, n = draw(st.integers(2, 6)), draw(st.integers(6, 50))
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    y = np.concatenate([np.arange(n_classes), rng.integers(0, n_classes, n)])
    scores = rng.dirichlet(np.ones(n_classes), len(y))
    if draw(st.booleans()):  # many ties, as from a forest
        scores = np.round(scores * 4)
        scores = (scores + 1e-9) / (scores + 1e-9).sum(axis=1, keepdims=True)
    return y, scores, np.arange(n_classes)


class TestMauprc:
    @given(scored())
    def test_mean_of_average_precision(self, case):
        y, scores, classes = case
        expected = np.mean([skm.average_precision_score(y == c, scores[:, c]) for c in classes])
        assert lm.mauprc_ova(y, scores, classes) == pytest.approx(expected)

    def test_by_hand(self):
        """Class 1 hits at ranks 1 and 3: 1/2 * 1 + 1/2 * 2/3; class 0 likewise from below."""
        y, score = [1, 0, 1, 0], np.array([0.9, 0.8, 0.7, 0.1])
        expected = ((1 + 2 / 3) / 2 + (1 + 2 / 3) / 2) / 2
        assert lm.mauprc_ova(y, np.column_stack([1 - score, score]), [0, 1]) == pytest.approx(expected)

    def test_absent_class_is_skipped(self):
        y, scores = np.array([0, 0, 1]), np.array([[0.8, 0.1, 0.1], [0.3, 0.5, 0.2], [0.2, 0.7, 0.1]])
        both = [skm.average_precision_score(y == c, scores[:, c]) for c in (0, 1)]
        assert lm.mauprc_ova(y, scores, [0, 1, 2]) == pytest.approx(np.mean(both))

    def test_takes_logits_and_any_order_of_columns(self):
        y, scores = ["b", "a", "b"], np.array([[-3.0, 4.0], [9.0, -1.0], [0.5, 0.2]])
        assert lm.mauprc_ova(y, scores, ["a", "b"]) == pytest.approx(lm.mauprc_ova(y, scores[:, ::-1], ["b", "a"]))
        assert lm.mauprc_ova(y, scores, ["a", "b"]) == 1.0


class TestEce:
    @given(scored(), st.integers(1, 20))
    def test_bin_by_bin(self, case, n_bins):
        y, scores, classes = case
        confidence, hit = scores.max(axis=1), scores.argmax(axis=1) == y
        total = 0.0
        for b in range(1, n_bins + 1):
            inside = [i for i, p in enumerate(confidence) if b - 1 < p * n_bins <= b]
            if inside:
                total += len(inside) / len(y) * abs(hit[inside].mean() - confidence[inside].mean())
        assert lm.ece(y, scores, classes, n_bins=n_bins) == pytest.approx(total)

    def test_perfect_and_confidently_wrong(self):
        sure = np.eye(2)[[0, 1, 0]]
        assert lm.ece([0, 1, 0], sure, [0, 1]) == 0
        assert lm.ece([1, 0, 1], sure, [0, 1]) == 1

    def test_calibrated_by_construction(self):
        scores = np.tile([0.75, 0.25], (4, 1))
        assert lm.ece([0, 0, 0, 1], scores, [0, 1]) == pytest.approx(0)

    def test_n_bins_error(self):
        with pytest.raises(ValueError, match=r"Expected \*n_bins\* to be at least 1, but got 0"):
            lm.ece([0], [[1.0, 0.0]], [0, 1], n_bins=0)


class TestReliabilityBins:
    @given(scored(), st.integers(1, 20))
    def test_they_are_what_ece_sums_up(self, case, n_bins):
        y, scores, classes = case
        bins = lm.reliability_bins(y, scores, classes, n_bins=n_bins)
        assert bins.n.sum() == len(y)
        assert len(bins.n) == len(bins.confidence) == len(bins.accuracy) == n_bins
        gap = (bins.n * np.abs(bins.accuracy - bins.confidence)).sum() / len(y)
        assert lm.ece(y, scores, classes, n_bins=n_bins) == pytest.approx(gap)


class TestOperatingPoints:
    @given(scored())
    def test_counts_one_by_one(self, case):
        y, scores, classes = case
        points = lm.operating_points(y, scores, classes)
        assert points["n"] == len(y)
        names = [str(c) for c in classes]
        assert {one["label"] for one in points["classes"]} == {str(c) for c in np.unique(y)}
        for one in points["classes"]:
            c = names.index(one["label"])
            hit, score = np.asarray(y) == classes[c], scores[:, c]
            assert one["n"] == hit.sum()
            assert one["thresholds"] == sorted(set(one["thresholds"]))
            assert one["found"][0] == one["n"]
            for t, found, false in zip(one["thresholds"], one["found"], one["false"], strict=True):
                near = np.abs(score - t) < 2e-4  # thresholds are rounded down to four digits
                for side, count in ((hit, found), (~hit, false)):
                    at_least = ((score >= t) & side).sum()
                    assert at_least - (near & side).sum() <= count <= at_least + (near & side).sum()

    def test_the_rarest_class_comes_first_and_thresholds_are_few(self):
        rng = np.random.default_rng(0)
        y = rng.choice(3, 5000, p=[0.9, 0.08, 0.02])
        scores = rng.dirichlet([1, 1, 1], 5000)
        points = lm.operating_points(y, scores, [0, 1, 2])
        assert [one["label"] for one in points["classes"]] == ["2", "1", "0"]
        assert all(len(one["thresholds"]) <= 101 for one in points["classes"])
        many = lm.operating_points(rng.integers(0, 100, 5000), rng.dirichlet(np.ones(100), 5000), np.arange(100))
        assert len(many["classes"]) == 24
        assert len(json.dumps(many)) < 15_000

    def test_small_probabilities_keep_their_digits(self):
        scores = np.array([[1 - p, p] for p in (1e-7, 2e-5, 3.14e-3, 0.2)])
        one = next(c for c in lm.operating_points([1, 0, 1, 0], scores, [0, 1])["classes"] if c["label"] == "1")
        assert one["thresholds"] == [1e-7, 3.1e-3]
        assert one["false"] == [2, 1]

    def test_errors_are_those_of_the_other_scores(self):
        with pytest.raises(ValueError, match=r"Expected \*scores\* to be probabilities"):
            lm.operating_points([0, 1], [[2.0, 0.0], [0.0, 1.0]], [0, 1])


class TestBrier:
    @given(scored())
    def test_second_writing(self, case):
        y, scores, classes = case
        naive = [sum((p - (c == t)) ** 2 for c, p in enumerate(row)) for t, row in zip(y, scores, strict=True)]
        assert lm.brier(y, scores, classes) == pytest.approx(sum(naive) / len(y))

    @given(scored())
    def test_binary_is_twice_scikit_learn(self, case):
        y, scores, _ = case
        positive = scores[:, 1] / (scores[:, 0] + scores[:, 1] + 1e-12)
        truth = (y == 1).astype(int)
        expected = 2 * skm.brier_score_loss(truth, positive)
        assert lm.brier(truth, np.column_stack([1 - positive, positive]), [0, 1]) == pytest.approx(expected)

    def test_bounds(self):
        assert lm.brier([0, 1], np.eye(2), [0, 1]) == 0
        assert lm.brier([1, 0], np.eye(2), [0, 1]) == 2


class TestErrors:
    @pytest.mark.parametrize("function", [lm.ece, lm.brier])
    def test_not_probabilities(self, function):
        with pytest.raises(ValueError, match=r"Expected \*scores\* to be probabilities .* predict_proba"):
            function([0, 1], [[2.0, -1.0], [0.5, 0.5]], [0, 1])
        with pytest.raises(ValueError, match=r"off by 0\.4"):
            function([0, 1], [[0.3, 0.3], [0.5, 0.5]], [0, 1])

    @pytest.mark.parametrize("function", [lm.mauprc_ova, lm.ece, lm.brier])
    def test_shape(self, function):
        with pytest.raises(ValueError, match=r"Expected \*scores\* to be of shape \(2, 3\) .* but got \(2, 2\)"):
            function([0, 1], np.eye(2), [0, 1, 2])

    def test_not_finite(self):
        with pytest.raises(ValueError, match=r"Expected \*scores\* to be finite, but got 1 values"):
            lm.mauprc_ova([0, 1], [[np.nan, 1.0], [0.5, 0.5]], [0, 1])

    def test_label_without_column(self):
        with pytest.raises(
            ValueError, match=r"Expected \*y_true\* to be among the classes \[0, 1\], but got 2; add it"
        ):
            lm.mauprc_ova([0, 2], np.eye(2), [0, 1])


class TestPriorCorrection:
    @given(st.integers(0, 2**31), st.integers(2, 5))
    def test_is_what_bayes_says_for_the_other_prior(self, seed, n_classes):
        rng = np.random.default_rng(seed)
        likelihood = rng.dirichlet(np.ones(7), size=n_classes)  # p(x | c) of 7 values of x
        before, after = rng.integers(1, 1000, size=(2, n_classes))

        def posterior(counts):
            joint = likelihood.T * counts
            return joint / joint.sum(axis=1, keepdims=True)

        np.testing.assert_allclose(lm.prior_correction(posterior(after), before, after), posterior(before), atol=1e-12)

    def test_shares_do_as_well_as_counts(self):
        scores = np.array([[0.3, 0.7], [0.9, 0.1]])
        first = lm.prior_correction(scores, [90, 10], [90, 90])
        np.testing.assert_allclose(lm.prior_correction(scores, [0.9, 0.1], [0.5, 0.5]), first)
        np.testing.assert_allclose(lm.prior_correction(scores, [3, 3], [8, 8]), scores)

    @pytest.mark.parametrize(
        ("scores", "before", "after", "message"),
        [
            ([[0.5, 0.5]], [1, 2, 3], [1, 1], "counts_before.* to be 2 positive numbers"),
            ([[0.5, 0.5]], [1, 2], [0, 1], "counts_after.* to be 2 positive numbers"),
            ([[0.5, 0.9]], [1, 2], [1, 1], "to be probabilities"),
            ([0.5, 0.5], [1, 2], [1, 1], r"shape \(samples, classes\)"),
            ([[np.nan, 0.5]], [1, 2], [1, 1], "finite"),
        ],
    )
    def test_of_what_does_not_fit(self, scores, before, after, message):
        with pytest.raises(ValueError, match=message):
            lm.prior_correction(scores, before, after)
