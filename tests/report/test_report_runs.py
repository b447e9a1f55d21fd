"""Reading runs and averaging over seeds."""

import json
import statistics

import pytest

from latentover.report import collect_runs, compare, unfinished_runs


def edit(path, change):
    metrics = json.loads(path.read_text(encoding="utf-8"))
    change(metrics)
    path.write_text(json.dumps(metrics), encoding="utf-8")


class TestCollect:
    def test_order_and_names(self, finished_runs):
        runs = collect_runs(str(finished_runs))
        names = [(run.recipe, run.seed) for run in runs]
        assert names == sorted(names)
        assert len(names) == 6
        assert runs[0].title == "Class-balanced batches"
        assert runs[0].splits == ["test_balanced", "test_imbalanced", "validation"]

    def test_seeds_in_order_of_number(self, runs_folder):
        (runs_folder / "rae" / "seed-1").rename(runs_folder / "rae" / "seed-10")
        (runs_folder / "rae" / "seed-0").rename(runs_folder / "rae" / "seed-9")
        assert [run.seed for run in collect_runs(runs_folder) if run.recipe == "rae"] == [9, 10]

    def test_unfinished_are_left_out_and_named(self, runs_folder):
        (runs_folder / "rae" / "seed-1" / "metrics.json").unlink()
        (runs_folder / "gamo" / "seed-0").mkdir(parents=True)
        (runs_folder / "gamo" / "seed-0.tmp").mkdir()
        (runs_folder / "notes").mkdir()
        assert len(collect_runs(runs_folder)) == 5
        assert unfinished_runs(runs_folder) == ["gamo/seed-0", "rae/seed-1"]

    def test_no_title_falls_back_to_the_folder(self, runs_folder):
        for seed in (0, 1):
            edit(runs_folder / "none" / f"seed-{seed}" / "metrics.json", lambda m: m.pop("certificate"))
        assert collect_runs(runs_folder)[2].title == "none"

    def test_empty_folder(self, tmp_path):
        with pytest.raises(ValueError, match=r"Expected \*folder\* to be a folder with runs .* holds no finished run"):
            collect_runs(tmp_path)

    def test_missing_folder(self, tmp_path):
        with pytest.raises(ValueError, match=r"Expected \*folder\* .*nowhere is not a folder; run a recipe"):
            collect_runs(tmp_path / "nowhere")


class TestRun:
    def test_scores_of_a_split(self, finished_runs):
        run = collect_runs(finished_runs)[0]
        assert run.scores()["acsa"] == run.metrics["acsa"]
        assert run.scores("validation") == run.metrics["splits"]["validation"]
        assert run.scores("nothing") == {}

    def test_history_skips_empty_cells(self, runs_folder):
        path = runs_folder / "rae" / "seed-0" / "history.csv"
        path.write_text("step,seconds,a,b\n0,0.1,1.0,\n5,0.2,nan,7\n10,0.3,3,8\n", encoding="utf-8")
        run = next(run for run in collect_runs(runs_folder) if run.recipe == "rae")
        assert run.history() == {"a": ([0, 10], [1, 3]), "b": ([5, 10], [7, 8])}

    def test_history_of_the_sampler(self, runs_folder):
        path = runs_folder / "rae" / "seed-0" / "history_sampler.csv"
        path.write_text("step,seconds,decoder\n1,0.1,2\n", encoding="utf-8")
        run = next(run for run in collect_runs(runs_folder) if run.recipe == "rae")
        assert run.history("history_sampler.csv") == {"decoder": ([1], [2])}

    def test_no_history(self, runs_folder):
        (runs_folder / "rae" / "seed-0" / "history.csv").unlink()
        run = next(run for run in collect_runs(runs_folder) if run.recipe == "rae")
        assert run.history() == {}


class TestCompare:
    def test_mean_sd_seeds_seconds(self, finished_runs):
        runs = collect_runs(finished_runs)
        row = next(row for row in compare(runs) if row.recipe == "rae")
        values = [run.metrics["macro_f1"] for run in runs if run.recipe == "rae"]
        cell = row.cells["macro_f1"]
        assert cell.mean == pytest.approx(sum(values) / 2)
        assert cell.sd == pytest.approx(abs(values[0] - values[1]) / 2**0.5)
        assert row.n_seeds == cell.n == 2
        assert row.fit_seconds == pytest.approx(12.35)

    def test_falling_acsa_and_best(self, finished_runs):
        rows = compare(collect_runs(finished_runs))
        assert [row.title for row in rows] == ["RAE", "Class-balanced batches", "No resampling"]
        means = [row.cells["acsa"].mean for row in rows]
        assert means == sorted(means, reverse=True)
        assert [row.cells["acsa"].best for row in rows] == [True, False, False]

    def test_lower_is_better_for_calibration(self, finished_runs):
        rows = compare(collect_runs(finished_runs), metrics=("ece", "brier"))
        for metric in ("ece", "brier"):
            means = [row.cells[metric].mean for row in rows]
            assert [row.cells[metric].best for row in rows] == [mean == min(means) for mean in means]
        assert [row.cells["ece"].mean for row in rows] == sorted(row.cells["ece"].mean for row in rows)

    def test_split(self, finished_runs):
        runs = collect_runs(finished_runs)
        row = compare(runs, split="test_imbalanced")[0]
        own = [r.metrics["splits"]["test_imbalanced"]["acsa"] for r in runs if r.recipe == row.recipe]
        assert row.cells["acsa"].mean == pytest.approx(statistics.fmean(own))

    def test_published_numbers_stand_on_their_split(self, runs_folder):
        scores = {"acsa": 84.79, "gm_a": 91.3, "sd": {"acsa": 0.15}}
        published = {"source": "A paper", "test_imbalanced": scores}
        edit(runs_folder / "rae" / "seed-1" / "metrics.json", lambda m: m["certificate"].update(published=published))
        runs = collect_runs(runs_folder)
        rows = {row.recipe: row for row in compare(runs, split="test_imbalanced")}
        assert rows["rae"].source == "A paper"
        assert rows["rae"].published["acsa"].mean == pytest.approx(0.8479)
        assert rows["rae"].published["acsa"].sd == pytest.approx(0.0015)
        assert rows["rae"].published["gm_a"].sd is None
        assert (rows["none"].published, rows["none"].source) == ({}, "")
        for split in (None, "validation"):
            assert all((row.published, row.source) == ({}, "") for row in compare(runs, split=split))

    def test_one_seed_has_no_sd(self, runs_folder):
        (runs_folder / "rae" / "seed-1" / "metrics.json").unlink()
        rows = {row.recipe: row for row in compare(collect_runs(runs_folder))}
        assert rows["rae"].cells["acsa"].sd is None
        assert rows["none"].cells["acsa"].sd is not None

    def test_missing_scores_come_last_and_are_never_best(self, runs_folder):
        for seed in (0, 1):
            edit(runs_folder / "rae" / f"seed-{seed}" / "metrics.json", lambda m: m["splits"].pop("validation"))
        row = compare(collect_runs(runs_folder), split="validation")[-1]
        assert row.recipe == "rae"
        assert row.cells["acsa"].mean is None
        assert not row.cells["acsa"].best

    def test_equal_titles_are_told_apart(self, runs_folder):
        for seed in (0, 1):
            edit(runs_folder / "none" / f"seed-{seed}" / "metrics.json", lambda m: m["certificate"].update(title="RAE"))
        titles = {row.title for row in compare(collect_runs(runs_folder))}
        assert titles == {"RAE (rae)", "RAE (none)", "Class-balanced batches"}

    def test_errors(self, finished_runs):
        runs = collect_runs(finished_runs)
        with pytest.raises(ValueError, match=r"Expected \*runs\* to be one run or more"):
            compare([])
        with pytest.raises(ValueError, match=r"Expected \*split\* to be one of \['test_balanced', .* but got 'test'"):
            compare(runs, split="test")
        with pytest.raises(ValueError, match=r"Expected \*metrics\* to be scores of these runs, but got 'acas'"):
            compare(runs, metrics=("acas",))
