"""The command results: what it prints is what the report would, of current runs alone, and what it writes is safe."""

import json
import re

import pandas as pd
import pytest
import scipy.stats
from made_up_runs import metrics_of, write_run

from latentover import cli
from latentover.experiments.results import blocks, differences, open_results, stored_runs, terminal_text
from latentover.report import compare, comparison_text
from latentover.runs.collection import collect_runs
from latentover.runs.store import append, append_missing, read


def fill(folder, scores, **certificate):
    """Leave finished runs, recipes with a score a seed."""
    for recipe, values in scores.items():
        for seed, acsa in enumerate(values):
            write_run(folder, metrics_of(recipe, seed, acsa, **certificate))
    return folder


@pytest.fixture
def pets(tmp_path):
    return fill(tmp_path / "pets", {"rae": (0.8, 0.81, 0.82), "none": (0.7, 0.72, 0.71)})


@pytest.fixture
def results(capsys):
    """Run the command and return what it prints."""

    def run(*arguments, status=0):
        assert cli.main(["results", *map(str, arguments)]) == status
        said = capsys.readouterr()
        return said.out if status == 0 else said.err

    return run


class TestTables:
    def test_are_the_report_s(self, pets, results):
        runs = collect_runs(pets)
        for split in ("test_balanced", "test_imbalanced"):
            expected = comparison_text(compare(runs, ("acsa", "macro_f1"), split))
            assert expected in results(pets, "--metrics", "acsa", "macro_f1", "--where", f"split={split}")

    def test_runs_are_added_to_the_store_once(self, pets, results):
        assert not (pets / "results").exists()
        first = results(pets)
        files = {path: path.stat() for path in (pets / "results").iterdir()}
        assert len(files) == 6
        assert results(pets) == first == results(pets / "results")
        assert {path: path.stat() for path in (pets / "results").iterdir()} == files

    def test_conditions(self, pets, results):
        text = results(pets, "--where", "recipe=rae", "--where", "split=test_balanced", "--seeds", 0, 2)
        assert re.search(r"RAE +81\.00 ± 1\.41", text)
        assert "NONE" not in text
        assert "imbalanced" not in text
        both = results(pets, "--where", "recipe=rae", "--where", "recipe=none")
        assert {"RAE", "NONE"} <= {*both.split()}

    def test_classes(self, pets, results):
        text = results(pets, "--classes", "--where", "split=test_balanced")
        assert re.search(r"Method +cat \(100\) +dog \(10\)", text)
        assert re.search(r"RAE +86\.0 +76\.0", text)
        assert "Precision of each class" in results(pets, "--classes", "--metrics", "precision")

    def test_many_classes_are_rows(self, tmp_path, results):
        metrics = metrics_of()
        names = [f"class {i}" for i in range(30)]
        scores = {"acsa": 0.5, "classes": names, "recall": [i / 100 for i in range(30)], "support": [1] * 30}
        metrics |= {"splits": {"test_balanced": scores}, "train_counts": dict.fromkeys(names, 5)}
        append(tmp_path, metrics)
        text = results(tmp_path, "--classes")
        assert re.search(r"Class +RAE\n", text)
        assert re.search(r"class 29 \(5\) +29\.0", text)

    def test_runs(self, pets, results):
        text = results(pets, "--runs", "--where", "split=test_balanced", "--metrics", "acsa", "brier")
        assert re.search(r"Method +Seed +ACSA +Brier +Fit s +State", text)
        assert re.search(r"RAE +1 +81\.00 +30\.00 +1\.5 +current", text)
        assert text.count("current") == 6

    def test_scores_of_generated_samples(self, pets, results):
        generated = {
            "features": "pixels",
            "n": 40,
            "k": 5,
            "pooled": {"fid": {"value": 12.5}, "diversity": 0.9, "collapsed": False},
            "classes": {"dog": {"collapsed": True}},
            "memorization": {"copies": 3, "n": 40, "distance_ratio": 0.8, "flagged": True},
        }
        (pets / "rae" / "seed-0" / "generation.json").write_text(json.dumps({"pixels": generated}))
        text = results(pets)
        assert "40 real and 40 generated samples of all classes, features pixels, k = 5" in text
        assert re.search(r"RAE +12\.5 +n/a +n/a +n/a +0\.9 +1", text)
        assert "seed 0 memorizes: 3 of 40 samples are copies" in text
        assert "nearly the same sample again and again of dog" in text

    def test_three_groups_are_compared_over_all(self, tmp_path, results):
        scores = {"rae": (0.8, 0.82), "none": (0.7, 0.7), "smote": (0.75, 0.75)}
        folders = [fill(tmp_path / name, scores, group=name, data_hash=name) for name in ("x", "y", "z")]
        text = results(*folders, "--where", "split=test_balanced")
        assert "Over all data sets, balanced test split" in text
        assert re.search(r"RAE +1\.00 +81\.00 ± 1\.41", text)
        expected = scipy.stats.friedmanchisquare(*[[0.81] * 3, [0.7] * 3, [0.75] * 3])
        assert f"chi-square {expected.statistic:.2f} with 2 degrees of freedom, p = {expected.pvalue:.3f}" in text
        assert "Over all" not in results(*folders[:2])

    def test_groups_of_one_name_stay_apart(self, tmp_path, results):
        folders = [fill(tmp_path / name, {"rae": (score,)}) for name, score in (("a", 0.5), ("b", 0.9))]
        text = results(*folders, "--where", "split=test_balanced", "--metrics", "acsa")
        assert all(f"pets ({folder}), balanced test split" in text for folder in folders)
        assert "50.00" in text
        assert "90.00" in text
        assert "70.00" not in text


class TestStale:
    @pytest.fixture
    def old_and_new(self, tmp_path):
        """Seed 0 was run anew with another recipe; its old run and that of seed 1 are stale."""
        for seed, acsa in ((0, 0.1), (1, 0.2)):
            append(tmp_path, metrics_of("rae", seed, acsa))
        append(tmp_path, metrics_of("rae", 0, 0.8, recipe_sha256="new", date="2026-03-01T10:00:00+00:00"))
        append(tmp_path, metrics_of("none", 0, 0.7))
        return tmp_path

    def test_rows_are_never_averaged_with_current_ones(self, old_and_new, results):
        text = results(old_and_new, "--where", "split=test_balanced")
        assert re.search(r"RAE +80\.00\*", text)
        reason = "made with another recipe than the newest run beside it"
        assert f"\nStale, and left out: RAE, seeds 0, 1 ({reason}).\n" in text

    def test_they_are_marked_where_single_runs_are_shown(self, old_and_new, results):
        text = results(old_and_new, "--runs", "--where", "split=test_balanced", "--metrics", "acsa")
        assert re.search(r"RAE +0 +10\.00 +1\.5 +stale: made with another recipe", text)
        assert re.search(r"RAE +0 +80\.00 +1\.5 +current", text)

    def test_they_are_marked_in_what_is_written(self, old_and_new, results, tmp_path):
        results(old_and_new, "--out", tmp_path / "a.csv")
        frame = pd.read_csv(tmp_path / "a.csv")
        assert set(frame[frame["stale"]]["seed"]) == {0, 1}
        assert not frame[frame["recipe_sha256"] == "new"]["stale"].any()

    def test_they_take_no_part_between_stores_and_over_all(self, old_and_new, results):
        text = results(old_and_new, "--against", old_and_new, "--where", "split=test_balanced")
        assert re.search(r"RAE +80\.00 +80\.00", text)
        assert "10.00" not in text

    def test_nothing_else_is_left(self, old_and_new, results):
        text = results(old_and_new, "--where", "recipe=rae", "--seeds", 1, status=2)
        assert "Expected results of the kind that is asked for" in text


class TestTwoStores:
    def test_exact_differences_with_the_test_of_scipy(self, pets, tmp_path, results):
        other = fill(tmp_path / "other", {"rae": (0.79, 0.78, 0.82), "smote": (0.6,), "none": (0.7, 0.72, 0.71)})
        append_missing(pets), append_missing(other)
        first, second = (stored_runs(read(folder)) for folder in (pets, other))
        found = {one.recipe: one for one in differences(first, second, "test_balanced", "acsa")}
        oracle = scipy.stats.ttest_rel((80, 81, 82), (79, 78, 82))
        assert found["rae"].first == (0.8, 0.81, 0.82)
        assert found["rae"].second == (0.79, 0.78, 0.82)
        assert found["rae"].paired.p_value == pytest.approx(oracle.pvalue)
        assert found["rae"].paired[1:3] == pytest.approx(oracle.confidence_interval(0.95))
        assert found["none"].paired == (0, 0, 0, 1, 3)
        assert "smote" not in found

        text = results(pets, "--against", other, "--where", "split=test_balanced")
        interval = oracle.confidence_interval(0.95)
        row = rf"RAE +81\.00 ± 1\.00 +79\.67 ± 2\.08 +\+1\.33 +{interval.low:.2f} to \+{interval.high:.2f} +0\.27 +3"
        assert re.search(row, text)
        assert re.search(r"NONE .*\+0\.00 +no spread +1\.00 +3", text)
        assert f"Only in {other}: smote (seed 0)." in text

    def test_only_shared_seeds_and_a_single_one(self, tmp_path, results):
        first = fill(tmp_path / "a", {"rae": (0.8, 0.1, 0.2)})
        second = fill(tmp_path / "b", {"rae": (0.7,)}, recipe_sha256="new", data_hash="new")
        text = results(first, "--against", second, "--where", "split=test_balanced")
        assert re.search(r"RAE +80\.00 +70\.00 +\+10\.00 +n/a +n/a +1", text)
        assert f"Only in {first}: rae (seeds 1, 2)." in text
        assert "RAE was made with another recipe and other data in the second." in text

    def test_without_a_common_group(self, pets, tmp_path, results):
        other = fill(tmp_path / "other", {"rae": (0.5,)}, group="cars")
        text = results(pets, "--against", other, status=2)
        assert "a group in common, but got pets and cars" in text


class TestFiles:
    EVIL = "=cmd|' /C calc'!A0"

    @pytest.fixture
    def evil(self, tmp_path):
        folder = tmp_path / "evil"
        metrics = metrics_of(title="50% & co_x {a} \\b $1 #~^ <i> [*", hardware=self.EVIL)
        for scores in metrics["splits"].values():
            scores["classes"] = ["@SUM(A1)", "+1"]
        append(folder, metrics)
        return folder

    def test_formulas_are_defused(self, evil, results, tmp_path):
        out = tmp_path / "a.csv"
        assert results(evil, "--out", out) == f"{out}\n"
        frame = pd.read_csv(out, dtype=str)
        assert set(frame["hardware"]) == {f"'{self.EVIL}"}
        assert {"'@SUM(A1)", "+1"} <= set(frame["label"])

    def test_rows_come_back(self, pets, results, tmp_path):
        results(pets, "--out", tmp_path / "a.csv", "--metrics", "acsa")
        results(pets, "--out", tmp_path / "a.parquet", "--metrics", "acsa")
        whole = read(pets)
        expected = whole[whole["metric"] == "acsa"].reset_index(drop=True)
        pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "a.parquet"), expected, check_dtype=False)
        assert pd.read_csv(tmp_path / "a.csv")["value"].tolist() == expected["value"].tolist()

    def test_latex(self, evil, results, tmp_path):
        results(evil, "--out", tmp_path / "a.tex")
        text = (tmp_path / "a.tex").read_text(encoding="utf-8")
        escaped = (
            r"50\% \& co\_x \{a\} \textbackslash{}b \$1 \#\textasciitilde{}\textasciicircum{} "
            r"\textless{}i\textgreater{} {[}{*}"
        )
        assert f"\n{escaped} & 80.00 & 79.00 & 1 & 1.5 \\\\\n" in text
        assert text.count("\\begin{table}") == text.count("\\end{table}") == 2
        plain = re.sub(r"\\[%&_{}$#]", "", text)
        assert plain.count("{") == plain.count("}")
        for line in plain.splitlines()[1:]:
            assert line.count("&") in (0, 4)
            assert not re.search(r"[#_~^%]", line)

    def test_markdown(self, pets, results, tmp_path):
        results(pets, "--out", tmp_path / "a.md")
        text = (tmp_path / "a.md").read_text(encoding="utf-8")
        assert "## pets, balanced test split" in text
        assert "| RAE | **81.00 ± 1.00** |" in text

    @pytest.mark.parametrize("kind", [[], ["--classes"], ["--runs"], ["--against"]])
    @pytest.mark.parametrize("suffix", [".md", ".tex", ".csv", ".parquet"])
    def test_every_kind_in_every_form(self, pets, results, tmp_path, kind, suffix):
        out = tmp_path / f"a{suffix}"
        results(pets, *kind, *([pets] if kind == ["--against"] else []), "--out", out)
        assert out.stat().st_size > 100


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--metrics", "accuracy"], "Expected metrics of acsa, macro_f1, .*, but got 'accuracy'; choose some of them"),
        (["--metrics", "recall"], "but got 'recall'; add --classes"),
        (["--classes", "--metrics", "acsa"], "but got 'acsa'; leave out --classes"),
        (["--where", "recip=rae"], "Expected a column of the store in 'recip=rae', but got 'recip'; perhaps recipe"),
        (["--where", "rae"], "Expected a condition such as recipe=rae, but got 'rae'; write COLUMN=VALUE"),
        (["--where", "recipe=smote"], "Expected results with recipe 'smote', but there are none; there is none, rae"),
        (["--seeds", "9"], "Expected results with seed '9', but there are none; there is 0, 1, 2"),
        (["--against", "x", "--runs"], "Expected --against without --classes and --runs"),
        (["--out", "a.xlsx"], r"Expected a file that ends in .csv, .md, .tex, .parquet, but got 'a.xlsx'; rename it"),
    ],
)
def test_what_is_refused(pets, results, arguments, message):
    assert re.search(message, results(pets, *arguments, status=2))


def test_a_folder_without_results(tmp_path, results):
    assert "run a benchmark first" in results(tmp_path, status=2)
    assert not any(tmp_path.iterdir())


def test_names_are_printed_on_one_line_without_controls(tmp_path):
    append(tmp_path, metrics_of(title="a\x1b[31m\nb", group="p\nets"))
    text = terminal_text(blocks(open_results([tmp_path])))
    assert "\x1b" not in text
    assert "p ets, balanced test split" in text
