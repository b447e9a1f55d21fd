"""Tables for the terminal and for documents."""

from dataclasses import replace
from pathlib import Path

import pytest

from latentover.report import Cell, Row, comparison_markdown, comparison_text
from latentover.report.html import _data_panel
from latentover.report.tables import calibration_table, published_sources, recall_table, seconds
from latentover.runs.collection import Run

ROWS = [
    Row("rae", "RAE", {"acsa": Cell(0.84789, 0.00151, 5, best=True), "mauprc_ova": Cell(1.0, 0.0, 5)}, 5, 12.34),
    Row("none", "No | resampling", {"acsa": Cell(0.0712, None, 1), "mauprc_ova": Cell(None, None, 0)}, 1, None),
]


class TestText:
    def test_aligned(self):
        lines = comparison_text(ROWS).splitlines()
        assert lines[0].split() == ["Method", "ACSA", "mAUPRC", "Seeds", "Fit", "s"]
        assert "84.79 ± 0.15*" in lines[2]
        assert "100.00 ± 0.00" in lines[2]
        assert lines[2].index("84.79") + len("84.79") == lines[3].index("7.12") + len("7.12")
        assert all(len(line) == len(lines[1]) for line in lines[2:4])
        assert lines[3].split()[-4:] == ["7.12", "n/a", "1", "n/a"]

    def test_single_row_has_no_mark(self):
        text = comparison_text(ROWS[:1])
        assert "*" not in text
        assert "84.79 ± 0.15" in text

    def test_plain_text(self):
        assert "\x1b" not in comparison_text(ROWS)


PAPER = {"macro_f1": Cell(0.843, None, 0), "acsa": Cell(0.8479, 0.0015, 0)}
PUBLISHED = [replace(ROWS[0], published=PAPER, source="Mondal et al. 2023, Table 1"), ROWS[1]]


class TestPublished:
    def test_markdown_has_a_column_and_names_the_source(self):
        assert comparison_markdown(PUBLISHED).splitlines() == [
            "| Method | ACSA (%) | mAUPRC (%) | Published (%) | Seeds | Fit (s) |",
            "|:--|--:|--:|--:|--:|--:|",
            "| RAE | **84.79 ± 0.15** | 100.00 ± 0.00 | 84.79 ± 0.15 ACSA, 84.30 Macro-F1 | 5 | 12.3 |",
            "| No \\| resampling | 7.12 | n/a |  | 1 | n/a |",
            "",
            "Published numbers: Mondal et al. 2023, Table 1.",
        ]

    def test_a_source_for_each_row_where_they_differ(self):
        both = [PUBLISHED[0], replace(ROWS[1], title="GAMO", published=PAPER, source="Another")]
        assert published_sources(both) == "Published numbers: RAE: Mondal et al. 2023, Table 1; GAMO: Another."
        assert published_sources(ROWS) == ""

    def test_the_terminal_shows_our_numbers_alone(self):
        assert comparison_text(PUBLISHED) == comparison_text(ROWS)


class TestMarkdown:
    def test_table(self):
        assert comparison_markdown(ROWS).splitlines() == [
            "| Method | ACSA (%) | mAUPRC (%) | Seeds | Fit (s) |",
            "|:--|--:|--:|--:|--:|",
            "| RAE | **84.79 ± 0.15** | 100.00 ± 0.00 | 5 | 12.3 |",
            "| No \\| resampling | 7.12 | n/a | 1 | n/a |",
        ]

    def test_single_row_has_no_bold(self):
        assert "**" not in comparison_markdown(ROWS[:1])


@pytest.mark.parametrize("function", [comparison_text, comparison_markdown])
def test_no_rows(function):
    with pytest.raises(ValueError, match=r"Expected \*rows\* to be one row or more, but got none; make them"):
        function([])


@pytest.mark.parametrize(
    ("value", "text"), [(None, "n/a"), (0.123, "0.12"), (9.06, "9.1"), (99.94, "99.9"), (1204.4, "1,204")]
)
def test_seconds(value, text):
    assert seconds(value) == text


class TestRecall:
    def run(self, recipe, seed, recall, counts, classes=("a", "b")):
        scores = {"classes": list(classes), "recall": recall, "acsa": sum(recall) / len(recall)}
        metrics = {"split": "test", **scores, "splits": {"test": scores}, "train_counts": counts}
        return Run(Path(recipe) / f"seed-{seed}", recipe, seed, metrics)

    def test_means_over_seeds_with_the_largest_class_first(self):
        counts = {"a": 40, "b": 4000}
        runs = [self.run("rae", seed, [0.5 + seed / 10, 0.9], counts) for seed in (0, 1)]
        runs += [self.run("none", 0, [0.25, 1.0], counts)]
        table = recall_table(runs, "test")
        assert table.columns == ["b (4,000)", "a (40)"]
        assert dict(table.rows) == {"rae": ["90.0", "55.0"], "none": ["100.0", "25.0"]}

    def test_classes_go_by_their_names(self):
        run = self.run("rae", 0, [0.5, 0.9], {"0": 40, "9": 4000}, classes=("0", "9"))
        run.metrics["class_names"] = {"9": "Ankle boot"}
        assert recall_table([run], "test").columns == ["Ankle boot (4,000)", "0 (40)"]
        assert _data_panel(run)["smallest"] == ("0", 40)
        assert [name for name, *_ in _data_panel(run)["bars"]] == ["Ankle boot", "0"]

    def test_not_for_many_classes(self):
        classes = [str(i) for i in range(13)]
        assert recall_table([self.run("rae", 0, [0.5] * 13, {}, classes)], "test") is None


class TestCalibration:
    def run(self, recipe, seed, **scores):
        splits = {"test_balanced": {"acsa": 0.9, **scores}, "validation": {"acsa": 0.8, "ece": 0.5, "brier": 1.0}}
        metrics = {"split": "test_balanced", **splits["test_balanced"], "splits": splits}
        return Run(Path(f"{recipe}/seed-{seed}"), recipe, seed, metrics)

    def test_mean_and_standard_deviation_over_seeds(self):
        runs = [self.run("a", 0, ece=0.1, brier=0.25), self.run("a", 1, ece=0.2, brier=0.35)]
        table = calibration_table(runs, "test_balanced")
        assert table.rows == [("a", ["90.00 ± 0.00", "15.00 ± 7.07", "0.300 ± 0.071"])]
        assert list(table.columns) == ["ACSA (%)", "ECE (%)", "Brier"]
        assert "PriorCorrectedClassifier" in table.note

    def test_the_note_stands_at_the_first_table_alone(self):
        runs = [self.run("a", 0, ece=0.1, brier=0.25)]
        assert calibration_table(runs, "validation").note == ""
        assert calibration_table(runs, "validation").rows == [("a", ["80.00", "50.00", "1.000"])]

    def test_methods_without_probabilities_are_left_out(self):
        runs = [self.run("a", 0, ece=None, brier=None), self.run("b", 0, ece=0.1, brier=0.25)]
        assert [title for title, _ in calibration_table(runs, "test_balanced").rows] == ["b"]
        assert calibration_table(runs[:1], "test_balanced") is None
