"""What runs tracked while they learned, and tables beside the comparison: on the page and in documents."""

import csv
import json
import re

import pytest

from latentover.report import collect_runs, compare, write_markdown, write_report
from latentover.report.margins import class_accuracies, gap_points, is_tracked, margin_tables, tracked_curves
from latentover.report.tables import epoch_table, order_table, side_markdown
from latentover.runs.comparison import Cell, Row

GAPS = {"rae": -0.5, "class_balanced_batches": 0.25, "none": 3.0}
TITLES = {"rae": "RAE", "class_balanced_batches": "Class-balanced batches", "none": "No resampling"}


def add_history(run, columns):
    """Put columns, each a function of the row's number, beside those of a run's history; keep its last four rows."""
    path = run / "history.csv"
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))[-4:]
    for i, row in enumerate(rows):
        row |= {name: function(i) for name, function in columns.items()}
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)


def change(path, update):
    metrics = json.loads(path.read_text())
    update(metrics)
    path.write_text(json.dumps(metrics))


@pytest.fixture
def tracked_folder(runs_folder):
    """Three recipes with two seeds; seed 1 has values that are higher by one hundredth."""
    for recipe, gap in GAPS.items():
        for seed in (0, 1):
            columns = {
                "validation_acsa": lambda i: 0.5 + 0.1 * i,
                "train_margin": lambda i: 9,
                "validation_margin": lambda i: 1 + i,
                "validation_margin_gap": lambda i, gap=gap, seed=seed: gap * (i + 1) / 4 + 0.01 * seed,
                "validation_margin_fit_root": lambda i: 0.25,
                "validation_margin_minority_error_rate": lambda i: 0.125,
                "validation_accuracy_few": lambda i: "" if i < 2 else 0.5,
                "validation_class_alignment": lambda i: 0.75,
                **{f"validation_accuracy_of_{c}": lambda i, c=c: (i + c) / 13 for c in range(9)},
            }
            add_history(runs_folder / recipe / f"seed-{seed}", columns)
    return runs_folder


class TestTracked:
    def test_tables_are_means_over_seeds_of_the_last_epoch(self, tracked_folder):
        scores, parts, features = margin_tables(collect_runs(tracked_folder))
        rows = dict(scores.rows)
        assert list(rows) == [TITLES[recipe] for recipe in GAPS], "in the order of the comparison"
        assert [rows[TITLES[recipe]][0] for recipe in GAPS] == ["-0.495", "0.255", "3"]
        few = scores.columns.index("Few (%)")
        assert rows["RAE"][few] == "50.0"
        assert rows["RAE"][few - 1] == "n/a"
        assert dict(parts.rows)["RAE"][-1] == "12.5"
        assert dict(features.rows)["RAE"][0] == "0.75"
        assert all("validation part" in table.caption for table in (scores, parts, features))

    def test_gap_and_accuracy_go_together(self, tracked_folder):
        runs = collect_runs(tracked_folder)
        scores, *_ = margin_tables(runs)
        assert re.fullmatch(r"Rank correlation .* over 6 runs: -0\.\d\d\.", scores.note)
        points = gap_points(runs, "validation")
        first, second = (run.scores()["acsa"] for run in runs if run.recipe == "rae")
        assert points["RAE"] == [(-0.5, first), (-0.49, second)]

    def test_curves_are_means_over_seeds(self, tracked_folder):
        curves = tracked_curves(collect_runs(tracked_folder), "validation")
        steps, values = curves["Margin gap"]["No resampling"]
        assert steps == [1980, 1985, 1990, 1995]
        assert values == pytest.approx([0.755, 1.505, 2.255, 3.005])
        assert [len(curve[0]) for curve in curves["Accuracy, few"].values()] == [2, 2, 2]
        assert "Accuracy, many" not in curves

    def test_accuracies_of_classes(self, tracked_folder):
        runs = [run for run in collect_runs(tracked_folder) if run.recipe == "rae"]
        steps, rows = class_accuracies(runs, "validation", 10)
        assert len(steps) == len(rows) == 4
        assert rows[3][:9] == pytest.approx([(3 + c) / 13 for c in range(9)])
        assert rows[3][9] is None

    def test_they_stand_in_a_section_of_their_own_and_not_among_the_losses(self, tracked_folder):
        page = write_report(tracked_folder).read_text(encoding="utf-8")
        section = page[page.index('id="margins"') : page.index("</section>", page.index('id="margins"'))]
        assert re.findall('data-plot="([a-z]+)"', section) == ["gap", "tracked"] + 3 * ["learned"]
        assert "Rank correlation (Spearman) of margin gap and ACSA" in section
        curves = page[page.index('id="curves"') : page.index("</section>", page.index('id="curves"'))]
        assert "validation acsa" in curves
        assert "margin" not in curves

    def test_columns_of_the_history(self):
        assert is_tracked("train_margin_gap")
        assert is_tracked("validation_accuracy_of_3")
        assert not any(map(is_tracked, ["validation_acsa", "classifier", "translated"]))

    def test_nothing_stands_there_where_nothing_was_tracked(self, runs_folder, tmp_path):
        assert margin_tables(collect_runs(runs_folder)) == []
        assert 'id="margins"' not in write_report(runs_folder).read_text(encoding="utf-8")
        assert "Margins" not in write_markdown(runs_folder, tmp_path / "a.md").read_text(encoding="utf-8")

    def test_training_samples_where_a_run_has_no_validation_part(self, tracked_folder):
        add_history(tracked_folder / "rae" / "seed-0", {"validation_margin": lambda i: ""})
        assert all(
            "a sample of the training data" in table.caption for table in margin_tables(collect_runs(tracked_folder))
        )

    def test_in_documents(self, tracked_folder, tmp_path):
        page = write_markdown(tracked_folder, tmp_path / "a.md").read_text(encoding="utf-8")
        assert "## Margins\n\nA sample's margin is" in page
        assert "| RAE | -0.495 |" in page


class TestEpochs:
    def test_both_epochs_stand_beside_each_other(self, runs_folder, tmp_path):
        for seed, (epoch, acsa) in enumerate([(7, 0.5), (9, 0.6)]):
            best = {"epoch": epoch, "splits": {"test_balanced": {"acsa": acsa}}}
            change(
                runs_folder / "rae" / f"seed-{seed}" / "metrics.json",
                lambda m, best=best: m.update(validation_best=best),
            )
        runs = collect_runs(runs_folder)
        table = epoch_table(runs, "test_balanced")
        last = next(row for row in compare(runs) if row.recipe == "rae").cells["acsa"]
        expected = f"{100 * last.mean:.2f} ± {100 * last.sd:.2f}"
        assert table.rows == [("RAE", [expected, "55.00 ± 7.07", "7, 9"])]
        assert epoch_table(runs, "validation").rows[0][1][1] == "n/a"
        assert epoch_table([run for run in runs if run.recipe == "none"], "test_balanced") is None
        page = write_markdown(runs_folder, tmp_path / "a.md").read_text(encoding="utf-8")
        assert f"| RAE | {expected} | 55.00 ± 7.07 | 7, 9 |" in page
        assert "55.00 ± 7.07" in write_report(runs_folder).read_text(encoding="utf-8")


class TestOrder:
    def rows(self, ours, theirs):
        return [
            Row(
                f"m{i}",
                f"M{i}",
                {"acsa": Cell(a, None, 1)},
                1,
                None,
                {"acsa": Cell(b, 0.005, 0)} if b else {},
                "A paper",
            )
            for i, (a, b) in enumerate(zip(ours, theirs, strict=True))
        ]

    def test_ranks_and_their_correlation(self):
        table = order_table(self.rows([0.5, 0.9, 0.7, 0.6, 0.8], [0.71, 0.82, 0.75, None, 0.85]))
        assert [(title, cells[1], cells[3]) for title, cells in table.rows] == [
            ("M0", "4", "4"),
            ("M1", "1", "2"),
            ("M2", "3", "3"),
            ("M4", "2", "1"),
        ]
        assert table.rows[0][1][2] == "71.00 ± 0.50"
        # 1 - 6 * (0 + 1 + 0 + 1) / (4 * 15)
        assert table.note == "Rank correlation (Spearman) of the two orders, 4 methods: 0.80."

    def test_ties_share_a_rank(self):
        table = order_table(self.rows([0.5, 0.5, 0.7], [0.5, 0.6, 0.7]))
        assert [cells[1] for _, cells in table.rows] == ["2.5", "2.5", "1"]

    def test_two_published_numbers_are_no_order(self):
        assert order_table(self.rows([0.5, 0.6, 0.7], [0.5, 0.6, None])) is None
        assert order_table(self.rows([0.5, 0.6, 0.7], [0.5, 0.6, 0.6])) is None

    def test_as_markdown(self):
        text = side_markdown(order_table(self.rows([0.5, 0.6, 0.7], [0.5, 0.6, 0.7])))
        assert text.splitlines()[2] == "| Method | ACSA (%) | Rank | Published ACSA (%) | Published rank |"
        assert text.splitlines()[4] == "| M0 | 50.00 | 3 | 50.00 ± 0.50 | 3 |"
