"""Scores of probabilities against naive writings and scikit-learn."""

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
