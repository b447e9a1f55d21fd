"""The quality of what the commands write: measured on rows that were held out, without touching the file."""

import json

import numpy as np
import pandas as pd
import pytest

from latentover import ClassicalSampler, RAESampler, cli, save
from latentover.experiments.quality import QualityFiles, quality_sample, sampler_quality
from latentover.experiments.resample import resample_file

TINY = ["--sampler", "latentover.ClassicalSampler", "--quiet"]


def draw(n, seed):
    rng = np.random.default_rng(seed)
    y = np.where(rng.random(n) < 0.2, "yes", "no")
    return pd.DataFrame(
        {
            "amount": rng.exponential(20 + 20 * (y == "yes")).round(2),
            "town": rng.choice(["Graz", "Linz", "<b>Wien</b>"], n),
            "iban": [f"AT{number:010d}" for number in rng.integers(0, 10**9, n)],
            "fraud": y,
        }
    )


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "all.csv"
    draw(600, 0).drop(columns="iban").to_csv(path, index=False)
    return path


def test_resample_writes_page_and_json_and_the_same_file(table, tmp_path, capsys):
    command = ["resample", str(table), "--target", "fraud", *TINY, "--out"]
    assert cli.main([*command, str(tmp_path / "plain.csv")]) == 0
    files = [str(tmp_path / "q.html"), str(tmp_path / "q.json")]
    capsys.readouterr()
    assert cli.main([*command, str(tmp_path / "out.csv"), "--report", files[0], "--json", files[1]]) == 0
    assert "Could the rows be real?" in capsys.readouterr().out
    assert (tmp_path / "out.csv").read_bytes() == (tmp_path / "plain.csv").read_bytes()
    found = json.loads((tmp_path / "q.json").read_text())
    real = pd.read_csv(table)
    rare = int((real["fraud"] == "yes").sum())
    assert found["classes"] == ["yes"]
    assert found["n_real"] + found["n_holdout"] == rare
    assert found["effect"]["n_test"] == len(real)
    assert found["effect"]["folds"] == 3
    assert "two thirds of 600 rows" in found["notes"][0]
    page = (tmp_path / "q.html").read_text("utf-8")
    assert "all.csv" in page
    assert "&lt;b&gt;Wien" in page
    assert "<b>Wien" not in page


@pytest.mark.parametrize("repeats", [True, False], ids=["repeats identifiers", "makes new ones"])
def test_held_out_rows_are_none_that_the_sampler_has_seen(repeats):
    frame = draw(300, 0)
    seen = []

    class Watched(ClassicalSampler):
        def fit(self, X, y):
            seen.append(set(X["iban"]))
            return super().fit(X, y)

        def sample(self, n, y, *, random_state=None):
            assert len(seen[-1]) == 200
            new = super().sample(n, y, random_state=random_state)
            return new.assign(iban=np.resize(sorted(seen[-1]), n)) if repeats else new

    X, y = frame.drop(columns="fraud"), frame["fraud"].to_numpy()
    counts = frame["fraud"].value_counts().to_dict()
    added = {"yes": counts["no"] - counts["yes"], "no": 0}
    found = sampler_quality(Watched(random_state=0), quality_sample(X, y, counts, added))
    assert len(seen) == 3
    assert seen[0] | seen[1] | seen[2] == set(X["iban"])
    assert found.identifiers == ("iban",)
    assert found.copies["iban"].flagged == repeats
    assert ("iban" in found.verdicts[1].answer) == repeats
    assert found.verdicts[1].grade == "poor" or not repeats


def test_what_the_sampler_found_in_all_rows_is_known_of_a_part_of_them(recwarn):
    frame = draw(300, 0).drop(columns="iban")
    rng = np.random.default_rng(0)
    frame["case"] = rng.choice(
        2500, 300, replace=False
    )  # of a part of the rows they would not look like numbers of rows
    frame["double"] = 2 * frame["amount"]
    X, y = frame.drop(columns="fraud"), frame["fraud"].to_numpy()
    sampler = ClassicalSampler(random_state=0).fit(X, y)
    assert len(recwarn) == 1
    counts = frame["fraud"].value_counts().to_dict()
    found = sampler_quality(sampler, quality_sample(X, y, counts, {"yes": 100, "no": 0}))
    assert len(recwarn) == 1
    assert found.identifiers == ("case",)
    assert set(found.violations) == {"double = 2 * amount"} or set(found.violations) == {"amount = 0.5 * double"}
    assert set(found.violations.values()) == {0}


def test_classes_of_the_whole_table_weigh_what_they_are_there():
    frame = draw(600, 0)
    X, y = frame.drop(columns=["fraud", "iban"]), frame["fraud"].to_numpy()
    sampler = ClassicalSampler(random_state=0)
    here = {label: int((y == label).sum()) for label in ("no", "yes")}
    even = sampler_quality(sampler, quality_sample(X, y, here, {"yes": 100, "no": 0}))
    rare = sampler_quality(sampler, quality_sample(X, y, {"no": 10**6, "yes": 1000}, {"yes": 10**5, "no": 0}))
    assert rare.effect.rows[0].scores.auprc < even.effect.rows[0].scores.auprc / 3


def test_rare_classes_are_kept_whole_and_tiny_ones_left_out():
    y = np.repeat(["a", "b", "c"], [40_000, 500, 3])
    X = pd.DataFrame({"n": np.arange(len(y))})
    sample = quality_sample(X, y, {"a": 40_000, "b": 500, "c": 3}, {"a": 0, "b": 1, "c": 1})
    assert (sample.y == "b").sum() == 500
    assert len(sample.y) == 20_000
    assert sample.left_out == ("c",)


class TestBeforeTraining:
    """What cannot be done is said before anything is trained or written."""

    def refused(self, capsys, *arguments):
        assert cli.main([*map(str, arguments)]) == 2
        return capsys.readouterr().err

    def test_files(self, table, tmp_path, capsys):
        command = ["resample", table, "--target", "fraud", *TINY, "--out", tmp_path / "out.csv"]
        assert "--report to end in .html" in self.refused(capsys, *command, "--report", tmp_path / "q.pdf")
        assert "--json to end in .json" in self.refused(capsys, *command, "--json", tmp_path / "q.html")
        (tmp_path / "folder.html").mkdir()
        assert "folder.html" in self.refused(capsys, *command, "--report", tmp_path / "folder.html")
        assert not (tmp_path / "out.csv").exists()

    def test_too_few_rows(self, tmp_path, capsys):
        path = tmp_path / "few.csv"
        pd.DataFrame({"a": range(24), "y": ["no"] * 20 + ["yes"] * 4}).to_csv(path, index=False)
        command = ["resample", path, "--target", "y", *TINY, "--out", tmp_path / "out.csv"]
        error = self.refused(capsys, *command, "--json", tmp_path / "q.json")
        assert "at least 2 classes of 6 rows or more" in error
        assert not (tmp_path / "out.csv").exists()

    def test_generate_needs_real_rows(self, tmp_path, capsys):
        command = ["generate", tmp_path, "--label", "yes", "--out", tmp_path / "new.csv"]
        assert "Expected --real" in self.refused(capsys, *command, "--report", tmp_path / "q.html")
        assert "say where to write" in self.refused(capsys, *command, "--real", "all.csv")
        error = self.refused(capsys, *command, "--json", tmp_path / "q.json", "--real", "all.csv")
        assert "Expected --target to name the label column of all.csv" in error


def test_what_fails_afterwards_leaves_the_resampled_file(table, tmp_path, monkeypatch):
    monkeypatch.setattr("latentover.experiments.resample.sampler_quality", lambda *_, **__: 1 / 0)
    files = QualityFiles(json=tmp_path / "q.json")
    with pytest.raises(RuntimeError, match=r"ZeroDivisionError.* is complete: .*out\.csv"):
        resample_file(table, "fraud", tmp_path / "out.csv", sampler=ClassicalSampler(), quality=files)
    assert len(pd.read_csv(tmp_path / "out.csv")) > 600
    assert not (tmp_path / "q.json").exists()


def test_generate_compares_with_the_tables_that_are_named(tmp_path, capsys):
    train = draw(300, 0)
    train.to_csv(tmp_path / "train.csv", index=False)
    draw(300, 1).to_csv(tmp_path / "unseen.csv", index=False)
    train = train.drop(columns="iban")
    settings = {"max_steps": 5, "hidden_units": 8, "latent_dim": 4, "batch_size": 16, "device": "cpu"}
    sampler = RAESampler(**settings, random_state=0).fit(train.drop(columns="fraud"), train["fraud"])
    save(sampler, tmp_path / "bundle")
    command = ["generate", tmp_path / "bundle", "--label", "yes", "--n", 90, "--out", tmp_path / "new.csv"]
    command += ["--real", tmp_path / "train.csv", "--target", "fraud", "--json", tmp_path / "q.json"]
    command += ["--holdout", tmp_path / "unseen.csv", "--report", tmp_path / "q.html", "--drop", "iban"]
    assert cli.main([*map(str, command)]) == 0
    found = json.loads((tmp_path / "q.json").read_text())
    assert found["n_new"] == 90
    assert {column["name"] for column in found["columns"]} == {"amount", "town"}
    assert found["n_real"] == int((train["fraud"] == "yes").sum())
    assert found["n_holdout"] > 30
    assert found["effect"] is not None
    written = pd.read_csv(tmp_path / "new.csv")["amount"]
    (amount,) = [column for column in found["columns"] if column["name"] == "amount"]
    assert amount["finer"] == pytest.approx((written != written.round(2)).mean(), abs=0.02)
    assert "New rows of yes" in (tmp_path / "q.html").read_text("utf-8")
