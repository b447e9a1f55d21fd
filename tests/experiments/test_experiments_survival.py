"""A grid of runs whose workers and driver are killed again and again ends as if nothing had happened."""

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

import latentover
from latentover.experiments.benchmark import benchmark
from latentover.experiments.run import Machine
from latentover.report import collect_runs, compare
from latentover.runs.store import read

N_SEEDS, N_KILLS = 20, 20
MACHINE = Machine(device="cpu", precision="float32", verbose=0, checkpoint_every=5)
OPTIONS = ("--device", "cpu", "--precision", "float32", "--checkpoint-every", "5", "--quiet")
QUICK = {"evaluation.tsne_points": 0, "evaluation.grid_samples": 0, "seeds": list(range(N_SEEDS))}
SECONDS = 400.0
MADE_AT = ("date", "scored", "fit_seconds", "store", "file")
"""Columns of the store that say when a run was made and how long that took."""

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="no list of children")


@pytest.fixture
def grid(write_recipe):
    """Two recipes, an RAE and a control, with twenty seeds each."""
    return [
        write_recipe({**QUICK, "method.init_args.max_steps": 30}, name="rae"),
        write_recipe({**QUICK, "method.init_args.max_epochs": 6}, name="control", kind="control"),
    ]


def start(recipes, out, *options):
    command = [sys.executable, "-m", "latentover.cli", "benchmark", *map(str, recipes), "--out", str(out)]
    environment = {**os.environ, "PYTHONPATH": str(Path(latentover.__file__).parent.parent), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [*command, *OPTIONS, *options],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def workers(pid):
    """Grandchildren of the driver: its server copies itself."""
    found = []
    with suppress(OSError):
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            found += map(int, Path(f"/proc/{child}/task/{child}/children").read_text().split())
    return found


def scores(out):
    """The rows of the store in one order, but for when they were made."""
    frame = read(out).drop(columns=list(MADE_AT))
    return frame.sort_values(["recipe", "seed", "split", "label", "metric"]).reset_index(drop=True)


def test_forty_runs_survive_twenty_kills_of_workers_and_two_of_the_driver(grid, tmp_path):
    calm, torn = tmp_path / "calm", tmp_path / "torn"
    quiet = start(grid, calm, "--jobs", "2")
    said, _ = quiet.communicate(timeout=SECONDS)
    assert quiet.returncode == 0, said

    chance, until = random.Random(0), time.monotonic() + SECONDS
    kills, drivers, made, process = 0, 0, -1, start(grid, torn, "--jobs", "2")
    try:
        while process.poll() is None and time.monotonic() < until:
            time.sleep(chance.uniform(0.05, 0.4))
            living, finished = workers(process.pid), len(list((torn / "results").glob("*.parquet")))
            # One run more at least before the next kill, which takes the oldest: however slow the machine, none is hit
            # so often in a row that it is given up.
            if kills < N_KILLS and living and finished > made:
                os.kill(min(living), signal.SIGKILL)
                kills, made = kills + 1, finished
                if kills in (N_KILLS // 3, 2 * N_KILLS // 3):
                    process.kill()
                    process.wait()
                    drivers += 1
                    process = start(grid, torn, "--jobs", "2")
        said, _ = process.communicate(timeout=SECONDS)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 0, said
    assert (kills, drivers) == (N_KILLS, 2)

    assert scores(torn).equals(scores(calm))
    runs, files = collect_runs(torn), list((torn / "results").glob("*.parquet"))
    assert len(runs) == len(files) == 2 * N_SEEDS  # none lost, none made twice
    for row, other in zip(compare(runs), compare(collect_runs(calm)), strict=True):
        assert (row.recipe, row.cells) == (other.recipe, other.cells)
    left = {path.name for folder in ("rae", "control") for path in (torn / folder).iterdir()}
    assert left == {f"seed-{seed}" for seed in range(N_SEEDS)}  # no checkpoint, no lock, nothing half written


def test_parts_of_a_grid_make_each_run_once(grid, tmp_path):
    out = tmp_path / "out"
    made = [benchmark(grid, MACHINE, out=out, seeds=[0, 1, 2], only=(part, 4)).finished for part in range(4)]
    assert made == [2, 2, 1, 1]
    again = benchmark(grid, MACHINE, out=out, seeds=[0, 1, 2])
    assert (again.finished, again.repeated) == (0, 6)
    with pytest.raises(ValueError, match=r"Expected a part i/n with 0 <= i < n, but got 4/4"):
        benchmark(grid, MACHINE, out=out, only=(4, 4))


def test_other_data_or_code_is_another_run(grid, tmp_path, monkeypatch):
    out = tmp_path / "out"
    assert benchmark(grid[:1], MACHINE, out=out, seeds=[0]).finished == 1
    monkeypatch.setattr("latentover.experiments.run.code_version", lambda: "9.9.9+other")
    monkeypatch.setattr("latentover.experiments.environment.code_version", lambda: "9.9.9+other")
    assert benchmark(grid[:1], MACHINE, out=out, seeds=[0]).finished == 1
    assert sorted(read(out)["stale"].unique()) == [False, True]
    frame = read(out)
    assert set(frame.loc[~frame["stale"], "code"]) == {"9.9.9+other"}
