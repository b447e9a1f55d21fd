"""The store: whole files that nothing changes, read by anything that reads Parquet, and honest about what is stale."""

import json
import os
import random
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from made_up_runs import metrics_of

import latentover
from latentover.runs.store import FORMAT, SCHEMA, append, append_missing, read

FOLDERS = [Path(latentover.__file__).parents[1], Path(__file__).parents[1]]
"""Of the package, and of what these tests share."""
GENERATION = {
    "features": "pixels",
    "n": 40,
    "k": 5,
    "pooled": {"n": 40, "fid": {"value": 12.5, "low": 11.0, "high": 14.0}, "diversity": 0.9, "collapsed": False},
    "classes": {"dog": {"n": 20, "fid": None, "diversity": 0.4, "collapsed": True}},
    "memorization": {"copies": 3, "n": 40, "distance_ratio": 0.8, "flagged": True},
    "environment": {"date": "2026-02-04T10:00:00+00:00"},
}


def only(frame, **cells):
    """Return the value of the one row with these cells."""
    for name, cell in cells.items():
        frame = frame[frame[name].isna() if cell is None else frame[name] == cell]
    (value,) = frame["value"]
    return value


class TestRows:
    def test_every_score_is_a_row_and_what_has_no_value_has_none(self, tmp_path):
        (path,) = append(tmp_path, metrics_of(acsa=0.8))
        frame = read(tmp_path)
        assert only(frame, split="test_balanced", metric="acsa", label=None) == 0.8
        assert only(frame, split="test_imbalanced", metric="acsa", label=None) == pytest.approx(0.7)
        assert only(frame, split="test_balanced", metric="recall", label="dog") == pytest.approx(0.75)
        assert only(frame, split="train", metric="support", label="dog") == 10
        assert set(frame[frame["label"].isna()]["metric"]) == {"acsa", "macro_f1", "brier"}  # gm_a is None
        assert list(frame[frame["metric"] == "precision"]["label"].unique()) == ["cat"]
        assert len(frame) == 2 * (3 + 2 + 1 + 2) + 2
        assert path.parent == tmp_path / "results"

    def test_every_row_carries_the_certificate(self, tmp_path):
        append(tmp_path, metrics_of("rae", 7))
        said = metrics_of("rae", 7)["certificate"]
        for row in read(tmp_path).to_dict("records"):
            for name in ("recipe", "group", "seed", "recipe_sha256", "data", "data_hash", "code", "commit", "hardware"):
                assert row[name] == said[name]
            for name in ("device", "precision", "python", "weights", "fit_seconds", "n_train", "n_test", "title"):
                assert row[name] == said[name]
            assert (row["torch"], row["scikit_learn"]) == ("2.9.0", "1.8.0")
            assert pd.isna(row["numpy"])  # not in this certificate
            assert row["date"] == pd.Timestamp("2026-02-03 10:00")
            assert row["test_reads"] == 1
            assert row["run"] in row["file"]

    def test_moments_are_in_utc(self, tmp_path):
        append(tmp_path, metrics_of(date="2026-02-03T12:30:00+02:00"))
        assert (read(tmp_path)["date"] == pd.Timestamp("2026-02-03 10:30")).all()

    def test_scores_of_generated_samples(self, tmp_path):
        paths = append(tmp_path, metrics_of(), [GENERATION])
        frame = read(tmp_path)
        generated = frame[frame["split"] == "generated"]
        assert only(generated, metric="fid", label=None) == 12.5
        assert only(generated, metric="collapsed", label="dog") == 1
        assert only(generated, metric="memorization_copies") == 3
        assert set(generated["features"]) == {"pixels"}
        assert set(generated["n"]) == {40}
        assert frame[frame["split"] != "generated"]["features"].isna().all()
        assert len(paths) == 2

    def test_names_of_any_length_and_in_any_script(self, tmp_path):
        recipes = ["è" * 120 + tail for tail in "ab"]
        for recipe in recipes:
            append(tmp_path, metrics_of(recipe))
        assert set(read(tmp_path)["recipe"]) == set(recipes)

    def test_a_run_without_a_name_is_refused(self, tmp_path):
        with pytest.raises(ValueError, match="name the recipe and the seed, but got None and None"):
            append(tmp_path, {"acsa": 0.5})


class TestFiles:
    def test_the_same_run_is_the_same_file_and_is_not_touched(self, tmp_path):
        (path,) = append(tmp_path, metrics_of())
        before = path.stat()
        assert append(tmp_path, metrics_of(acsa=0.1)) == [path]
        assert path.stat() == before
        assert only(read(tmp_path), split="test_balanced", metric="acsa", label=None) == 0.8

    @pytest.mark.parametrize("key", ["recipe_sha256", "data_hash", "code", "group"])
    def test_another_identity_is_another_file(self, tmp_path, key):
        first, second = append(tmp_path, metrics_of()) + append(tmp_path, metrics_of(**{key: "other"}))
        assert first != second
        assert first.name.startswith("rae-seed-0-")

    def test_one_schema_with_its_format(self, tmp_path):
        files = append(tmp_path, metrics_of()) + append(
            tmp_path, metrics_of("none", code=None, versions={}), [GENERATION]
        )
        for file in files:
            schema = pq.read_schema(file)
            assert schema.equals(SCHEMA)
            assert schema.metadata[b"latentover_results"] == str(FORMAT).encode()

    def test_missing_runs_are_added_once(self, made_up_runs):
        kept = append(made_up_runs, metrics_of("rae", 0))[0]
        assert len(append_missing(made_up_runs)) == 5
        assert append_missing(made_up_runs) == []
        assert kept.exists()
        assert read(made_up_runs).groupby(["recipe", "seed"]).ngroups == 6

    def test_results_that_come_later_are_added(self, made_up_runs):
        append_missing(made_up_runs)
        place = made_up_runs / "rae" / "seed-0" / "generation.json"
        place.write_text(json.dumps({"pixels": GENERATION}))
        (added,) = append_missing(made_up_runs)
        assert "generated" in added.name

    def test_runs_that_are_damaged_or_failed_are_left_out(self, made_up_runs):
        (made_up_runs / "rae" / "seed-0" / "metrics.json").write_text("{")
        (made_up_runs / "rae" / "seed-1" / "failure.json").write_text("{}")
        assert len(append_missing(made_up_runs)) == 4

    def test_a_store_is_read_by_its_own_path_too(self, made_up_runs):
        append_missing(made_up_runs)
        pd.testing.assert_frame_equal(read(made_up_runs), read(made_up_runs / "results"))


class TestDamage:
    @pytest.fixture
    def store(self, made_up_runs):
        append_missing(made_up_runs)
        return made_up_runs / "results"

    @pytest.mark.parametrize("cut", [0, 1, 4, 100, -1, -8])
    def test_a_cut_file_is_named_and_the_others_are_read(self, store, cut):
        victim = next(store.glob("none-seed-1-*"))
        victim.write_bytes(victim.read_bytes()[:cut])
        with pytest.warns(UserWarning, match=rf"left out {victim.name} .*delete what is damaged"):
            frame = read(store)
        assert sorted(frame[frame["recipe"] == "none"]["seed"].unique()) == [0, 2]
        victim.unlink()
        assert append_missing(store.parent) == [victim]

    def test_any_flipped_byte_is_survived(self, store):
        victim = next(store.glob("none-seed-1-*"))
        for other in {*store.glob("*.parquet")} - {victim, next(store.glob("rae-seed-1-*"))}:
            other.unlink()
        whole, rng = victim.read_bytes(), random.Random(0)
        for _ in range(60):
            broken = bytearray(whole)
            broken[rng.randrange(len(broken))] ^= 1 << rng.randrange(8)
            victim.write_bytes(broken)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                assert set(read(store)["recipe"]) >= {"rae"}

    def test_another_format_is_refused(self, store):
        victim = next(store.glob("none-seed-1-*"))
        table = pq.read_table(victim)
        pq.write_table(table.replace_schema_metadata({"latentover_results": "2"}), victim)
        with pytest.warns(UserWarning, match=r"is of format 2 and not 1: another version of latentover reads it"):
            read(store)
        pq.write_table(pa.table({"a": [1]}), victim)
        with pytest.warns(UserWarning, match=r"is of format no and not 1"):
            read(store)
        pq.write_table(table.drop(["value"]), victim)
        with pytest.warns(UserWarning, match=r"has other columns than its format says"):
            read(store)

    def test_nothing_to_read(self, store, tmp_path):
        with pytest.raises(ValueError, match="to be a runs folder or a store of results, but it holds none"):
            read(tmp_path / "nowhere")
        for file in store.glob("*.parquet"):
            file.write_bytes(b"PAR1")
        with pytest.raises(ValueError, match=r"holds none that can be read: none-seed-0.*run a benchmark first"):
            read(store)

    def test_a_process_that_is_killed_leaves_a_store_that_can_be_read(self, tmp_path):
        for after in (0.003, 0.02):
            process = subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name("crashing_store.py")), str(tmp_path)],
                env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, FOLDERS))},
                stdout=subprocess.PIPE,
            )
            assert process.stdout.readline()  # it is at work
            time.sleep(after)
            process.send_signal(signal.SIGKILL)
            said = [0, *map(int, process.stdout.read().split())]
            process.wait()
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                frame = read(tmp_path)
            assert set(said) <= set(frame["seed"])  # what was said to be there is there, and whole
            assert (frame.groupby("seed").size() == len(frame) / frame["seed"].nunique()).all()
        append(tmp_path, metrics_of(seed=10**6))
        assert 10**6 in set(read(tmp_path)["seed"])


class TestStale:
    def stale(self, folder):
        frame = read(folder).drop_duplicates("run")
        return {(row.recipe, row.seed, row.date.hour): row.stale_reason for row in frame.itertuples() if row.stale}

    def at(self, hour, recipe="rae", seed=0, **certificate):
        return metrics_of(recipe, seed, date=f"2026-02-03T{hour:02d}:00:00+00:00", **certificate)

    def test_nothing_is_among_runs_that_are_alike(self, made_up_runs):
        append_missing(made_up_runs)
        assert self.stale(made_up_runs) == {}

    def test_what_was_made_with_another_recipe_or_other_data(self, tmp_path):
        append(tmp_path, self.at(1, seed=0))
        append(tmp_path, self.at(1, seed=1))
        append(tmp_path, self.at(2, seed=0, recipe_sha256="new"))
        append(tmp_path, self.at(3, "none", data_hash="old"))
        append(tmp_path, self.at(4, "none"))
        assert self.stale(tmp_path) == {
            ("rae", 0, 1): "made with another recipe than the newest run beside it",
            ("rae", 1, 1): "made with another recipe than the newest run beside it",
            ("none", 0, 3): "made with other data than the newest run beside it",
        }

    def test_what_was_made_with_other_code_than_the_newest_of_all(self, tmp_path):
        append(tmp_path, self.at(1, "rae"))
        append(tmp_path, self.at(1, "older", code=None))
        append(tmp_path, self.at(2, "none", code="new"))
        assert self.stale(tmp_path) == {
            ("rae", 0, 1): "made with another version of the code than the newest run",
            ("older", 0, 1): "made with another version of the code than the newest run",
        }

    def test_the_order_of_writing_does_not_count(self, tmp_path):
        append(tmp_path, self.at(5, recipe_sha256="new"))
        append(tmp_path, self.at(4))
        assert list(self.stale(tmp_path)) == [("rae", 0, 4)]

    def test_groups_and_stores_do_not_touch_each_other(self, tmp_path):
        for place, hour, group, code in (("a", 1, "x", "1"), ("a", 2, "y", "2"), ("b", 3, "x", "3")):
            append(tmp_path / place, self.at(hour, group=group, code=code))
        frame = read([tmp_path / "a", tmp_path / "b"])
        assert not frame["stale"].any()
        assert frame["store"].nunique() == 2

    def test_samples_that_were_scored_anew(self, tmp_path):
        newer = {**GENERATION, "n": 20, "environment": {"date": "2026-02-05T10:00:00+00:00"}}
        other = {**GENERATION, "features": "inception"}
        append(tmp_path, metrics_of(), [newer, GENERATION, other])
        frame = read(tmp_path)
        assert not frame[frame["split"] != "generated"]["stale"].any()
        stale = frame[frame["stale"]]
        assert set(zip(stale["features"], stale["n"], strict=True)) == {("pixels", 40)}
        assert set(stale["stale_reason"]) == {"scored anew with the same features"}


class TestOtherReaders:
    @pytest.fixture
    def store(self, made_up_runs):
        append_missing(made_up_runs)
        return made_up_runs / "results"

    def test_pandas(self, store):
        frame = pd.read_parquet(store)
        assert frame[(frame["metric"] == "acsa") & (frame["split"] == "test_balanced")][
            "value"
        ].mean() == pytest.approx(0.76)

    def test_polars(self, store):
        polars = pytest.importorskip("polars")
        rows = polars.scan_parquet(store / "*.parquet").filter(metric="acsa", split="test_balanced")
        assert rows.select("value").mean().collect().item() == pytest.approx(0.76)

    def test_duckdb(self, store):
        duckdb = pytest.importorskip("duckdb")
        rows = f"'{store}/*.parquet' WHERE metric = 'acsa' AND split = 'test_balanced'"
        ((mean, date),) = duckdb.sql(f"SELECT avg(value), max(date) FROM {rows}").fetchall()
        assert mean == pytest.approx(0.76)
        assert date.isoformat() == "2026-02-03T10:00:00"

    def test_not_even_while_a_file_is_written(self, store):
        (store / ".rae-seed-9-0123.parquet.00112233.part").write_bytes(b"PAR1")
        self.test_pandas(store)
        self.test_polars(store)
        self.test_duckdb(store)
