"""What is watched while a network learns: one row of numbers, each equal to the function that it is named after."""

import math

import numpy as np
import pytest

from latentover.metrics import geometry_scores, margin_scores
from latentover.metrics.shots import shot_accuracies
from latentover.metrics.tracking import tracked_scores

OUTPUTS = [[2, 1, 0], [0, 3, 1], [1, 1.5, 0.5], [0.2, 0.1, 0.9], [1, 0.2, 0.4]]
LABELS = [0, 1, 0, 2, 2]
COUNTS = [100, 30, 10]


def angles(*values):
    return np.stack([np.cos(values), np.sin(values)], axis=1)


class TestTrackedScores:
    def test_margins_of_a_worked_example(self):
        row = tracked_scores(OUTPUTS, np.eye(5), LABELS, COUNTS)
        # Class margins .25, 2 and .05; only class 0 has more than the mean number of training samples, 46.67.
        assert [row[f"margin_of_{c}"] for c in range(3)] == pytest.approx([0.25, 2, 0.05])
        assert row["margin"] == pytest.approx(2.3 / 3)
        assert row["margin_gap"] == pytest.approx(0.25 - (30 * 2 + 10 * 0.05) / 40)
        assert row["margin_gap_by_support"] == pytest.approx(0.25 - (1 * 2 + 2 * 0.05) / 3)
        assert row["margin_majority_negative"] == pytest.approx(-0.5)
        assert row["margin_majority_nonnegative"] == pytest.approx(1)
        assert row["margin_majority_error_rate"] == 0.5
        assert row["margin_minority_negative"] == pytest.approx(-0.6)
        assert row["margin_minority_nonnegative"] == pytest.approx((2 + 0.7) / 2)
        assert row["margin_minority_error_rate"] == pytest.approx(1 / 3)

    def test_three_readings_of_the_fit(self):
        """Margins 1, 1.5 and 2 of classes of 100, 30 and 10 samples."""
        outputs = np.diag([1, 1.5, 2])
        row = tracked_scores(outputs, np.eye(3), [0, 1, 2], COUNTS)
        assert row["margin_fit_scale"] == pytest.approx(0.287150, abs=1e-6)
        assert row["margin_fit_sum_of_squares"] == pytest.approx(0.00100035, abs=1e-8)
        assert row["margin_fit_root"] == pytest.approx(0.0316282, abs=1e-7)
        assert row["margin_fit_mean"] == pytest.approx(0.000333449, abs=1e-9)

    def test_geometry_of_a_worked_example(self):
        features = angles(0, 0.2, math.pi / 2, 1.8, math.pi, 3.0)
        row = tracked_scores(np.zeros((6, 3)), features, [0, 0, 1, 1, 2, 2], COUNTS)
        assert row["class_alignment"] == pytest.approx(0.0949739, abs=1e-7)
        assert row["class_uniformity"] == pytest.approx(1.564815, abs=1e-6)
        assert row["neighborhood_uniformity"] == pytest.approx(1.326322, abs=1e-6)

    def test_accuracies_equal_a_naive_count(self):
        rng = np.random.default_rng(0)
        outputs, y, counts = rng.normal(size=(60, 4)), np.arange(60) % 4, np.array([500, 60, 60, 5])
        row = tracked_scores(outputs, rng.normal(size=(60, 3)), y, counts)
        found = []
        for c in range(4):
            of_class = [max(range(4), key=row_of.__getitem__) == c for row_of in outputs[y == c].tolist()]
            found.append(sum(of_class) / len(of_class))
            assert row[f"accuracy_of_{c}"] == pytest.approx(found[c])
        assert row["accuracy"] == pytest.approx(sum(found) / 4)
        assert row["accuracy_many"] == pytest.approx(found[0])
        assert row["accuracy_medium"] == pytest.approx((found[1] + found[2]) / 2)
        assert row["accuracy_few"] == pytest.approx(found[3])

    def test_it_is_what_the_functions_of_their_own_say(self):
        rng = np.random.default_rng(0)
        outputs, features, y = rng.normal(size=(30, 3)), rng.normal(size=(30, 5)), np.arange(30) % 3
        row, alone = tracked_scores(outputs, features, y, COUNTS), margin_scores(outputs, y, COUNTS)
        assert row["margin_gap"] == alone["margin_gap"]
        assert row["margin_fit_root"] == alone["margin_fit"]["root"]
        assert {name: row[name] for name in geometry_scores(features, y)} == geometry_scores(features, y)

    def test_what_is_not_defined_is_left_out(self):
        row = tracked_scores([[1.0, 0.0], [2.0, 0.0]], [[1.0], [2.0]], [0, 0], [5, 5])
        assert all(math.isfinite(value) for value in row.values())
        assert not {"margin_gap", "class_uniformity", "accuracy_many", "accuracy_of_1", "margin_of_1"} & row.keys()
        assert (row["accuracy"], row["accuracy_few"]) == (1, 1)


class TestShots:
    def test_boundaries(self):
        """More than 100, 20 to 100, fewer than 20."""
        found = shot_accuracies([0.1, 0.2, 0.4, 0.8], [101, 100, 20, 19])
        assert found == pytest.approx({"many": 0.1, "medium": 0.3, "few": 0.8})

    @pytest.mark.parametrize(("rho", "groups"), [(10, (69, 31, 0)), (50, (41, 41, 18)), (100, (35, 35, 30))])
    def test_groups_of_long_tailed_cifar100(self, rho, groups):
        counts = np.floor(500 * (1 / rho) ** (np.arange(100) / 99) + 1e-9)
        for name, n in zip(("many", "medium", "few"), groups, strict=True):
            one_of_it = [
                not math.isnan(shot_accuracies(np.where(np.arange(100) == c, 1.0, np.nan), counts)[name])
                for c in range(100)
            ]
            assert sum(one_of_it) == n

    def test_empty_groups_and_absent_classes(self):
        found = shot_accuracies([0.5, float("nan")], [500, 500])
        assert found["many"] == 0.5
        assert math.isnan(found["medium"])
        assert math.isnan(found["few"])

    def test_refuses_what_does_not_fit(self):
        with pytest.raises(ValueError, match=r"Expected \*accuracy_per_class\* to have one entry a class"):
            shot_accuracies([0.5], [1, 2])
        with pytest.raises(ValueError, match=r"Expected \*few\* to be at most \*many\*, 10, but got 20"):
            shot_accuracies([0.5], [1], many=10)
