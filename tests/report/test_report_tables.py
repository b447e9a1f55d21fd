"""Tables for the terminal and for documents."""

import pytest

from latentover.report import Cell, Row, comparison_markdown, comparison_text
from latentover.report.tables import seconds

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
