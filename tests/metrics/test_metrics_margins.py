"""Margins against hand oracles and naive writings."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from latentover.metrics import (
    class_margins,
    majority_classes,
    margin_decomposition,
    margin_fit,
    margin_gap,
    margin_scores,
    margins,
)

OUTPUTS = np.array([[2, 1, 0], [0, 3, 1], [1, 1.5, 0.5], [0.2, 0.1, 0.9], [1, 0.2, 0.4]])
LABELS = [0, 1, 0, 2, 2]
COUNTS = [100, 30, 10]
LONG_TAILED = [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]


class TestOracles:
    def test_margins(self):
        np.testing.assert_allclose(margins(OUTPUTS, LABELS), [1, 2, -0.5, 0.7, -0.6])
        np.testing.assert_allclose(class_margins(OUTPUTS, LABELS), [0.25, 2.0, 0.05])

    def test_gap(self):
        assert margin_gap([0.25, 2.0, 0.05], COUNTS) == pytest.approx(-1.2625)

    def test_gap_with_weights_of_the_validation_split(self):
        assert margin_gap([0.25, 2.0, 0.05], COUNTS, weights=[1, 1, 1]) == pytest.approx(0.25 - (2.0 + 0.05) / 2)

    def test_majority_of_the_long_tailed_cifar(self):
        assert majority_classes(LONG_TAILED).tolist() == [True] * 3 + [False] * 7

    def test_fit(self):
        fit = margin_fit([1, 1.5, 2], COUNTS)
        assert fit.scale == pytest.approx(0.287150, abs=1e-6)
        assert fit.sum_of_squares == pytest.approx(0.00100035, abs=1e-8)
        assert fit.root == pytest.approx(0.0316282, abs=1e-7)
        assert fit.mean == pytest.approx(0.000333449, abs=1e-9)

    def test_fit_of_no_margin_is_bounded_by_the_theoretical_ones(self):
        fit = margin_fit(np.zeros(10), LONG_TAILED)
        assert math.isnan(fit.scale)
        assert fit.sum_of_squares == pytest.approx(0.578342, abs=1e-6)
        assert fit.root == pytest.approx(0.760, abs=1e-3)

    def test_decomposition(self):
        parts = margin_decomposition(OUTPUTS, LABELS, COUNTS)
        assert parts["majority"] == pytest.approx((-0.5, 1.0, 0.5, 2))
        assert parts["minority"] == pytest.approx((-0.6, (2 + 0.7) / 2, 1 / 3, 3))


@st.composite
def predictions(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    n_classes, n = draw(st.integers(2, 6)), draw(st.integers(1, 40))
    return rng.normal(size=(n, n_classes)), rng.integers(0, n_classes, n), rng.integers(1, 500, n_classes)


class TestProperties:
    @given(predictions())
    def test_a_margin_is_negative_where_the_prediction_is_wrong(self, case):
        logits, y, _ = case
        np.testing.assert_array_equal(margins(logits, y) < 0, logits.argmax(axis=1) != y)

    @given(predictions(), st.floats(-50, 50), st.floats(0.1, 10))
    def test_a_shift_changes_nothing_and_a_factor_scales(self, case, shift, factor):
        logits, y, counts = case
        np.testing.assert_allclose(margins(factor * logits + shift, y), factor * margins(logits, y), atol=1e-9)
        gap = margin_gap(class_margins(logits, y), counts)
        if not math.isnan(gap):
            assert margin_gap(class_margins(factor * logits, y), counts) == pytest.approx(factor * gap)
        fit, scaled = (
            margin_fit(class_margins(logits, y), counts),
            margin_fit(class_margins(factor * logits, y), counts),
        )
        assert scaled.sum_of_squares == pytest.approx(fit.sum_of_squares)
        assert scaled.scale == pytest.approx(fit.scale / factor)

    @given(predictions())
    def test_gap_and_fit_written_again(self, case):
        logits, y, counts = case
        means = {c: np.mean([m for m, t in zip(margins(logits, y), y, strict=True) if t == c]) for c in set(y.tolist())}
        groups = {True: [], False: []}
        for c, mean in means.items():
            groups[bool(counts[c] > sum(counts) / len(counts))].append((counts[c], mean))
        if groups[True] and groups[False]:
            average = {key: sum(n * m for n, m in rows) / sum(n for n, _ in rows) for key, rows in groups.items()}
            expected = average[True] - average[False]
            assert margin_gap(class_margins(logits, y), counts) == pytest.approx(expected)
        else:
            assert math.isnan(margin_gap(class_margins(logits, y), counts))
        tau, m = np.array([counts[c] ** -0.25 for c in means]), np.array(list(means.values()))
        residual = np.linalg.lstsq(m[:, None], tau, rcond=None)[1]
        if len(means) > 1:
            assert margin_fit(class_margins(logits, y), counts).sum_of_squares == pytest.approx(residual[0])

    @given(predictions())
    def test_all_at_once(self, case):
        logits, y, counts = case
        scores = json.loads(json.dumps(margin_scores(logits, y, counts), allow_nan=False))
        parts = scores["margin_decomposition"]
        assert parts["majority"]["n"] + parts["minority"]["n"] == len(y)
        wrong = sum(part["n"] * (part["error_rate"] or 0) for part in parts.values())
        assert wrong == pytest.approx((logits.argmax(axis=1) != y).sum())


class TestEdges:
    def test_balanced_data_has_no_gap(self):
        assert math.isnan(margin_gap([1.0, 2.0], [50, 50]))
        assert margin_scores(OUTPUTS, LABELS, [10, 10, 10])["margin_gap"] is None

    def test_ties_count_as_right(self):
        parts = margin_decomposition([[1.0, 1.0]], [0], [9, 1])
        assert parts["majority"].error_rate == 0

    def test_labels_of_any_kind(self):
        order = ["c", "a", "b"]
        np.testing.assert_allclose(
            margins(OUTPUTS, [order[label] for label in LABELS], order), margins(OUTPUTS, LABELS)
        )

    def test_a_class_without_samples(self):
        assert class_margins(OUTPUTS[:2], LABELS[:2]).tolist()[:2] == [1, 2]
        assert math.isnan(class_margins(OUTPUTS[:2], LABELS[:2])[2])

    def test_margins_that_point_the_wrong_way(self):
        assert margin_fit([-1.0, -2.0], [9, 1]).scale < 0

    @pytest.mark.parametrize(
        ("call", "message"),
        [
            (lambda: margins([[1.0], [2.0]], [0, 0]), r"two classes or more, but got \(2, 1\)"),
            (lambda: margins(OUTPUTS, LABELS[:3]), r"of shape \(3, 3\) .* but got \(5, 3\)"),
            (lambda: margins([[np.inf, 0.0]], [0]), "to be finite, but got 1"),
            (lambda: margin_gap([1.0], [1, 2]), r"but got 1 in \*margin_per_class\*, 2 in \*class_counts\*"),
            (lambda: margin_fit([1.0, 1.0], [0, 2]), r"one positive number a class, but got \[0.0, 2.0\]"),
            (lambda: margin_decomposition(OUTPUTS, LABELS, [1, 2]), "one entry a column, 3, but got 2"),
        ],
    )
    def test_errors(self, call, message):
        with pytest.raises(ValueError, match=message):
            call()
