"""Classification scores against worked examples, second writings, scikit-learn and imbalanced-learn."""

import json
import math

import numpy as np
import pytest
import sklearn.metrics as skm
from hypothesis import given, settings
from hypothesis import strategies as st
from imblearn.metrics import geometric_mean_score, sensitivity_specificity_support

import latentover.metrics as lm

EXAMPLE = np.array([[50, 5, 5], [3, 15, 2], [1, 1, 8]])


def from_matrix(matrix, names=None):
    """Labels whose confusion matrix is the one given."""
    matrix = np.asarray(matrix)
    names = np.arange(len(matrix)) if names is None else np.asarray(names)
    true, pred = np.nonzero(np.ones_like(matrix))
    return np.repeat(names[true], matrix.ravel()), np.repeat(names[pred], matrix.ravel())


@st.composite
def predictions(draw, min_classes=2):
    n_classes = draw(st.integers(min_classes, 6))
    n = draw(st.integers(n_classes, 60))
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    y_true = np.concatenate([np.arange(n_classes), rng.integers(0, n_classes, n - n_classes)])
    y_pred = np.where(rng.random(n) < 0.6, y_true, rng.integers(0, n_classes, n))
    return y_true, y_pred


class TestWorkedExample:
    """Protocol document, section 6.1: rows (50, 5, 5), (3, 15, 2), (1, 1, 8)."""

    y_true, y_pred = from_matrix(EXAMPLE)

    def test_confusion_matrix(self):
        np.testing.assert_array_equal(lm.confusion_matrix(self.y_true, self.y_pred), EXAMPLE)

    @pytest.mark.parametrize(
        ("function", "expected"),
        [
            (lm.recall_per_class, [0.833333, 0.75, 0.8]),
            (lm.precision_per_class, [0.925926, 0.714286, 0.533333]),
            (lm.specificity_per_class, [0.866667, 0.914286, 0.9125]),
            (lm.f1_per_class, [0.877193, 0.731707, 0.64]),
            (lm.acsa, 0.794444),
            (lm.macro_f1, 0.749633),
            (lm.top1, 0.811111),
            (lm.gm_a, 0.844551),
            (lm.gm_b, 0.844105),
            (lm.gm_c, 0.793701),
        ],
    )
    def test_scores(self, function, expected):
        np.testing.assert_allclose(function(self.y_true, self.y_pred), expected, atol=5e-7)


class TestAgainstOtherLibraries:
    @given(predictions())
    def test_acsa_is_balanced_accuracy(self, labels):
        assert lm.acsa(*labels) == pytest.approx(skm.balanced_accuracy_score(*labels))

    @given(predictions())
    def test_macro_f1_over_the_true_classes(self, labels):
        expected = skm.f1_score(*labels, average="macro", labels=np.unique(labels[0]), zero_division=0)
        assert lm.macro_f1(*labels) == pytest.approx(expected)

    @given(predictions(), st.sampled_from([0.0, 0.001, 0.5]))
    def test_gm_c_is_the_geometric_mean_of_imblearn(self, labels, correction):
        expected = geometric_mean_score(*labels, average="multiclass", correction=correction)
        assert lm.gm_c(*labels, correction=correction) == pytest.approx(expected)

    @given(predictions())
    def test_recall_and_specificity(self, labels):
        recall, specificity, _ = sensitivity_specificity_support(*labels)
        np.testing.assert_allclose(lm.recall_per_class(*labels), recall)
        np.testing.assert_allclose(lm.specificity_per_class(*labels), specificity)
        np.testing.assert_allclose(
            lm.precision_per_class(*labels), skm.precision_score(*labels, average=None, zero_division=0)
        )

    @given(predictions())
    def test_confusion_matrix_and_top1(self, labels):
        np.testing.assert_array_equal(lm.confusion_matrix(*labels), skm.confusion_matrix(*labels))
        assert lm.top1(*labels) == pytest.approx(skm.accuracy_score(*labels))


class TestSecondWriting:
    @staticmethod
    def counts(y_true, y_pred):
        for c in sorted(set(y_true)):
            pairs = list(zip(y_true == c, y_pred == c, strict=True))
            yield tuple(pairs.count(cell) for cell in [(True, True), (True, False), (False, True), (False, False)])

    @given(predictions())
    def test_three_geometric_means_by_counting(self, labels):
        recall, specificity = zip(
            *((tp / (tp + fn), tn / (tn + fp)) for tp, fn, fp, tn in self.counts(*labels)), strict=True
        )
        n = len(recall)
        assert lm.gm_a(*labels) == pytest.approx(math.sqrt(sum(recall) / n * sum(specificity) / n))
        assert lm.gm_b(*labels) == pytest.approx(
            sum(math.sqrt(r * s) for r, s in zip(recall, specificity, strict=True)) / n
        )
        assert lm.gm_c(*labels) == pytest.approx(math.prod(recall) ** (1 / n))

    @given(predictions())
    def test_order_of_the_means(self, labels):
        assert lm.gm_b(*labels) <= lm.gm_a(*labels) + 1e-12
        assert lm.gm_c(*labels) <= lm.acsa(*labels) + 1e-12

    @given(st.lists(st.integers(0, 5), min_size=6, max_size=6), st.integers(3, 6))
    def test_on_a_balanced_set_gm_a_is_a_function_of_acsa(self, hits, n_classes):
        matrix = np.zeros((n_classes, n_classes), int)
        for c in range(n_classes):
            matrix[c, c] = hits[c]
            matrix[c, (c + 1) % n_classes] = 5 - hits[c]
        labels = from_matrix(matrix)
        a = lm.acsa(*labels)
        assert a == pytest.approx(lm.top1(*labels))
        assert lm.gm_a(*labels) == pytest.approx(math.sqrt(a * (1 - (1 - a) / (n_classes - 1))))

    def test_printed_row_of_the_rae_paper(self):
        """CIFAR-10: a mean recall of .5794 on a balanced set goes with GM .7432."""
        matrix = np.full((10, 10), 4206)
        np.fill_diagonal(matrix, 9 * 5794)
        assert lm.gm_a(*from_matrix(matrix)) == pytest.approx(0.7432, abs=5e-5)

    def test_many_classes_do_not_underflow(self):
        matrix = np.diag(np.ones(500, int)) + np.roll(np.diag(np.full(500, 9)), 1, axis=1)
        assert lm.gm_c(*from_matrix(matrix)) == pytest.approx(0.1)


class TestEdges:
    def test_class_never_predicted_and_never_hit_counts_zero(self):
        assert lm.macro_f1([0, 0, 1], [0, 0, 0]) == pytest.approx(0.4)
        assert lm.precision_per_class([0, 0, 1], [0, 0, 0])[1] == 0

    def test_classes_absent_from_the_truth_take_no_part(self):
        y_true, y_pred = [0, 0, 1, 1], [0, 2, 1, 1]
        assert lm.acsa(y_true, y_pred) == 0.75
        assert lm.macro_f1(y_true, y_pred) == pytest.approx((2 / 3 + 1) / 2)
        assert lm.gm_c(y_true, y_pred) == pytest.approx(math.sqrt(0.5))
        assert np.isnan(lm.recall_per_class(y_true, y_pred)[2])
        assert np.isnan(lm.precision_per_class(y_true, y_pred)[2])
        assert np.isnan(lm.specificity_per_class(y_true, y_pred)[2])

    @pytest.mark.filterwarnings("error")
    def test_single_class_leaves_specificity_undefined(self):
        result = lm.classification_scores(["a", "a"], ["a", "a"])
        assert result["acsa"] == result["gm_c"] == 1.0
        assert result["gm_a"] is None
        assert result["gm_b"] is None
        assert math.isnan(lm.gm_a(["a"], ["a"]))

    def test_classes_fix_the_order(self):
        matrix = lm.confusion_matrix(["b", "a", "a"], ["b", "b", "a"], classes=["z", "b", "a"])
        np.testing.assert_array_equal(matrix, [[0, 0, 0], [0, 1, 0], [0, 1, 1]])

    @pytest.mark.parametrize("kind", [list, np.array, lambda v: np.array(v, dtype=object)])
    def test_text_labels_in_any_container(self, kind):
        assert lm.acsa(kind(["hot", "cold", "cold"]), ["hot", "cold", "hot"]) == 0.75

    def test_pandas_and_boolean_labels(self):
        pd = pytest.importorskip("pandas")
        y_true, y_pred = pd.Series(["b", "a", "a"], dtype="category"), pd.Series(["b", "b", "a"], index=[7, 8, 9])
        assert lm.acsa(y_true, y_pred) == 0.75
        assert lm.acsa([True, False, False], [True, True, False]) == 0.75


class TestScoresOfEverything:
    y_true = np.array(["cat", "dog", "cat", "emu"])
    y_pred = np.array(["cat", "dog", "dog", "cat"])
    scores = np.array([[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.3, 0.4, 0.3], [0.5, 0.25, 0.25]])

    def test_values_agree_with_the_functions(self):
        result = lm.classification_scores(self.y_true, self.y_pred, self.scores, classes=["cat", "dog", "emu"])
        for name in ("acsa", "macro_f1", "gm_a", "gm_b", "gm_c", "top1"):
            assert result[name] == pytest.approx(getattr(lm, name)(self.y_true, self.y_pred)), name
        for name in ("mauprc_ova", "ece", "brier"):
            assert result[name] == pytest.approx(getattr(lm, name)(self.y_true, self.scores, ["cat", "dog", "emu"]))
        assert result["classes"] == ["cat", "dog", "emu"]
        assert result["support"] == [2, 1, 1]
        assert result["recall"] == [0.5, 1.0, 0.0]
        assert result["confusion"] == [[1, 1, 0], [0, 1, 0], [1, 0, 0]]

    def test_json_round_trip_with_an_absent_class(self):
        result = lm.classification_scores([0, 1], [0, 2], classes=[2, 1, 0])
        assert json.loads(json.dumps(result, allow_nan=False)) == result
        assert result["recall"] == [None, 0.0, 1.0]
        assert result["classes"] == ["2", "1", "0"]
        assert result["mauprc_ova"] is result["ece"] is result["brier"] is None

    @settings(max_examples=30)
    @given(predictions())
    def test_always_valid_json(self, labels):
        json.dumps(lm.classification_scores(*labels), allow_nan=False)


class TestErrors:
    def test_lengths(self):
        with pytest.raises(ValueError, match=r"Expected \*y_pred\* to be as long as \*y_true\* \(2\), but got 1"):
            lm.acsa([0, 1], [0])

    @pytest.mark.parametrize("bad", [[], [[0, 1]], 3])
    def test_shape(self, bad):
        with pytest.raises(ValueError, match=r"Expected \*y_true\* to be one label a sample, but got shape"):
            lm.acsa(bad, [0])

    @pytest.mark.parametrize("bad", [[0.0, float("nan")], np.array([None, "a"], dtype=object)])
    def test_missing_labels(self, bad):
        with pytest.raises(ValueError, match=r"Expected \*y_true\* to be complete, but got 1 missing"):
            lm.acsa(bad, bad)

    def test_mixed_kinds(self):
        with pytest.raises(ValueError, match=r"of one kind, but got \*y_true\* as numbers, \*y_pred\* as text"):
            lm.acsa([0, 1], ["0", "1"])

    def test_unknown_class(self):
        with pytest.raises(
            ValueError, match=r"Expected \*y_pred\* to be among the classes \[0, 1\], but got 7; add it"
        ):
            lm.confusion_matrix([0, 1], [0, 7], classes=[0, 1])

    def test_repeated_class(self):
        with pytest.raises(ValueError, match=r"Expected \*classes\* to be distinct"):
            lm.confusion_matrix([0, 1], [0, 1], classes=[0, 1, 1])

    @pytest.mark.parametrize("bad", [-0.1, 1.5])
    def test_correction(self, bad):
        with pytest.raises(ValueError, match=r"Expected \*correction\* to be in \[0, 1\], but got"):
            lm.gm_c([0], [0], correction=bad)
