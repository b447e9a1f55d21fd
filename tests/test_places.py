"""Runs behind a URL: made, gone on with, read and kept from others as in a folder."""

import contextlib
import json
import sys
import threading
import uuid
from pathlib import Path

import pytest

from latentover import places
from latentover.experiments.benchmark import benchmark
from latentover.experiments.recipe import load_recipe
from latentover.experiments.run import Machine, run_recipe
from latentover.files import check_free_file, locked, read_json, replacing, sha256_of, write_json
from latentover.places import as_path, is_local
from latentover.report import collect_runs, write_report
from latentover.runs.folder import RunFolder
from latentover.runs.store import read

pytest.importorskip("upath", reason="universal_pathlib is not installed: pip install 'latentover[remote]'")

MACHINE = Machine(device="cpu", precision="float32", verbose=0, checkpoint_every=2)
RECIPE = """
data: {source: digits, imbalance: {profile: long_tailed, rho: 5, largest: 30}}
method:
  class_path: latentover.RAEClassifier
  init_args: {latent_dim: 4, channels: 4, hidden_units: 8, max_steps: 6, batch_size: 8}
evaluation: {grid_samples: 1, tsne_points: 40}
seeds: [0, 1]
"""


@pytest.fixture
def url():
    return f"memory://{uuid.uuid4().hex}"


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "recipes" / "tiny.yaml"
    path.parent.mkdir()
    path.write_text(RECIPE)
    return path


def test_local_paths_stay_paths(tmp_path):
    for place in (str(tmp_path), tmp_path):
        assert as_path(place) == tmp_path
        assert is_local(as_path(place))
    assert not is_local(as_path("memory://a/b"))


def test_files_are_written_whole_or_not_at_all(url):
    path = as_path(f"{url}/a/b.json")
    write_json(path, {"a": 1})
    assert read_json(path) == {"a": 1}
    with contextlib.suppress(KeyError), replacing(path) as temporary:
        temporary.write_text("half")
        raise KeyError
    assert [found.name for found in path.parent.iterdir()] == ["b.json"]
    assert sha256_of(path) == sha256_of(path)
    check_free_file(path)
    with pytest.raises(IsADirectoryError):
        check_free_file(path.parent)


def test_what_is_claimed_is_kept_from_others_until_nothing_is_heard(url, monkeypatch):
    monkeypatch.setattr(places, "SETTLING", 0.05)
    place = f"{url}/seed-0"
    with (
        locked(place),
        pytest.raises(BlockingIOError, match=r"Expected .*seed-0 to be free, but process \d+ on \S+ is writing it"),
    ):
        locked(place, wait=False).__enter__()
    with locked(place, wait=False):
        pass  # it was given back
    claim = as_path(f"{url}/.seed-0.lock")
    claim.write_text(json.dumps({"host": "gone", "pid": 1, "time": 0, "token": "x"}))
    with locked(place, wait=False):
        pass
    assert not claim.exists()


def test_a_claim_is_renewed_and_of_two_at_once_one_has_it(url, monkeypatch):
    monkeypatch.setattr(places, "SETTLING", 0.2)
    monkeypatch.setattr(places, "HEARTBEAT", 0.05)
    had, at_once, claim = [], [], as_path(f"{url}/.a.lock")

    def hold():
        with locked(f"{url}/a"):
            had.append(1)
            at_once.append(len(had) - had.count(0))
            first = json.loads(claim.read_text())["time"]
            threading.Event().wait(0.3)
            assert json.loads(claim.read_text())["time"] > first
            had.append(0)
            had.remove(1)

    threads = [threading.Thread(target=hold) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert at_once == [1, 1]


def test_a_benchmark_behind_a_url_is_that_of_a_folder(url, recipe, tmp_path):
    out = f"{url}/runs"
    assert benchmark([recipe], MACHINE, out=out).finished == 2
    assert benchmark([recipe], MACHINE, out=tmp_path / "runs").finished == 2
    assert benchmark([recipe], MACHINE, out=out).repeated == 2
    here, there = collect_runs(tmp_path / "runs"), collect_runs(out)
    for one, other in zip(here, there, strict=True):
        for file in ("history.csv", "samples.png", "samples.npz"):
            assert one.folder.has(file)
            assert other.folder.has(file)
        assert {**one.metrics["splits"]} == {**other.metrics["splits"]}
    metrics = ["split", "label", "metric", "value", "seed"]
    assert read(out)[metrics].equals(read(tmp_path / "runs")[metrics])
    page = write_report(out, tmp_path / "page.html").read_text(encoding="utf-8")
    assert "Damaged" not in page
    assert write_report(out).exists()
    left = {path.name for path in as_path(f"{out}/tiny").iterdir()}
    assert left == {"seed-0", "seed-1"}


def test_an_interrupted_run_goes_on_from_its_checkpoint_there(url, recipe, monkeypatch):
    loaded, place = load_recipe(recipe), as_path(f"{url}/runs/tiny/seed-0")
    with monkeypatch.context() as patch:
        patch.setattr("latentover.experiments.run.score_splits", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run_recipe(loaded, 0, place, MACHINE)
    assert RunFolder(place).state == "free"
    assert RunFolder(place).checkpoint().exists()
    with monkeypatch.context() as patch:
        patch.setattr("latentover.training.engine.Engine.update", lambda *_: pytest.fail("trained again"))
        run_recipe(loaded, 0, place, MACHINE)
    assert RunFolder(place).state == "finished"
    assert not RunFolder(place).checkpoint().exists()


def test_a_replaced_run_is_never_half_the_old_one(url, recipe, monkeypatch):
    place = as_path(f"{url}/runs/tiny/seed-0")
    run_recipe(load_recipe(recipe), 0, place, MACHINE)
    other = load_recipe(recipe, ["--method.init_args.max_steps", "4"])
    monkeypatch.setattr(type(place), "write_bytes", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run_recipe(other, 0, place, Machine(device="cpu", precision="float32", verbose=0))
    assert RunFolder(place).state == "unfinished"


def test_without_the_package_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "upath", None)
    with pytest.raises(ImportError, match=r"pip install 'latentover\[remote\]'"):
        as_path("s3://bucket/runs")
    assert as_path("runs") == Path("runs")
