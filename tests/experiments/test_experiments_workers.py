"""Processes of a benchmark: one that is killed costs its run, and none outlives the benchmark."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from contextlib import suppress
from multiprocessing import active_children
from pathlib import Path

import pytest

import latentover
from latentover.experiments import jobs as jobs_module
from latentover.experiments.backends import processes as processes_module
from latentover.experiments.backends.processes import _Lost
from latentover.experiments.benchmark import benchmark
from latentover.experiments.jobs import naming_warnings
from latentover.experiments.run import Machine
from latentover.report import failed_runs, write_report
from latentover.runs.folder import FAILURE

MACHINE = Machine(device="cpu", precision="float32", verbose=0)
QUICK = {"evaluation.tsne_points": 0, "evaluation.grid_samples": 0}
ENDLESS = {**QUICK, "method.init_args.max_steps": 10**7}
SECONDS = 240.0  # on a machine with much else to do

proc = pytest.mark.skipif(not Path(f"/proc/self/task/{os.getpid()}/children").exists(), reason="no list of children")


def wait_for(condition):
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        if found := condition():
            return found
        time.sleep(0.02)
    raise AssertionError("waited in vain")


def children(pid):
    """The workers of a benchmark: the processes that its server has begun."""
    found = []
    with suppress(OSError):
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            if b"forkserver" in Path(f"/proc/{child}/cmdline").read_bytes():
                found += map(int, Path(f"/proc/{child}/task/{child}/children").read_text().split())
    return found


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def hear_all():
    """Hear Ctrl-C, which is ignored where these tests run in the background, and SIGHUP, below nohup."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


@pytest.fixture
def start(tmp_path):
    """Start a command in a process group of its own; whatever is left of it is killed in the end."""
    started = []

    def start(*arguments):
        package = Path(latentover.__file__).parent.parent
        started.append(
            subprocess.Popen(
                [sys.executable, "-m", "latentover.cli", *map(str, arguments), "--device", "cpu"],
                cwd=tmp_path,
                env={**os.environ, "PYTHONPATH": str(package), "OMP_NUM_THREADS": "1"},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
                preexec_fn=hear_all,
            )
        )
        return started[-1]

    yield start
    for process in started:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def test_a_worker_that_dies_is_replaced_and_one_that_leaves_costs_its_run(write_recipe, tmp_path, monkeypatch, capsys):
    """One is killed from outside, and its run made by another; code of somebody's own ends another's process."""
    (tmp_path / "leaving.py").write_text(
        "import os\nfrom torch import nn\n\n\nclass Net(nn.Module):\n    def __init__(self, code: int = 3):\n"
        "        super().__init__()\n        self.code = code\n\n"
        "    def forward(self, x):\n        os._exit(self.code)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    network = {"method.init_args.backbone": {"class_path": "leaving.Net"}, "method.init_args.channels": ...}
    bad = write_recipe({**QUICK, **network, "method.init_args.hidden_units": ...}, name="bad", kind="control")
    good, out = write_recipe({**QUICK, "seeds": list(range(6))}), tmp_path / "out"

    def kill_one():
        wait_for(lambda: list(out.glob("*/*/metrics.json")))
        active_children()[0].kill()

    killer = threading.Thread(target=kill_one)
    killer.start()
    with pytest.warns(UserWarning, match=r"^out/tiny, seed \d: What is generated"):
        outcome = benchmark([good, bad], MACHINE, out=out, jobs=2, trust_modules=["leaving"])
    killer.join()
    assert not active_children()
    left = outcome.failures.pop("out/bad, seed 0")
    assert (outcome.finished, outcome.failures) == (6, {})
    assert left.message == (
        "its process ended with exit code 3 before the run was finished; what it wrote on stderr may say why"
    )
    assert "out/bad, seed 0: failed: its process ended with exit code 3" in capsys.readouterr().err
    assert [(run.recipe, run.message) for run in failed_runs(out)] == [("bad", left.message)]

    again = benchmark([good, bad], MACHINE, out=out, jobs=2, trust_modules=["leaving"])
    assert (again.finished, again.repeated) == (0, 6)
    how = "--retry-failed (in Python retry_failed=True) tries it again"
    assert again.failures["out/bad, seed 0"].message == f"failed before: {left.message}; {how}"
    assert f"out/bad, seed 0: failed before: {left.message}; --retry-failed" in capsys.readouterr().err


def test_a_run_whose_process_is_killed_again_and_again_has_failed(write_recipe, tmp_path, monkeypatch):
    (tmp_path / "killed.py").write_text(
        "import os, signal\nfrom torch import nn\n\n\nclass Net(nn.Module):\n"
        "    def forward(self, x):\n        os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    network = {"method.init_args.backbone": {"class_path": "killed.Net"}, "method.init_args.channels": ...}
    bad = write_recipe({**QUICK, **network, "method.init_args.hidden_units": ...}, kind="control")
    outcome = benchmark([bad], MACHINE, out=tmp_path / "out", jobs=2, trust_modules=["killed"])
    assert outcome.failures["out/tiny, seed 0"].message == (
        "its process was killed 5 times, perhaps for want of memory; try again with fewer --jobs"
    )


def test_a_run_that_failed_is_tried_again_on_request_or_where_it_is_another(write_recipe, tmp_path, monkeypatch):
    out, made = tmp_path / "out", []
    recipe = write_recipe(QUICK, kind="control")
    with monkeypatch.context() as patch:
        patch.setattr(jobs_module, "run_recipe", lambda *_, **__: made.append(1) or [][0])
        for options in ({}, {}, {"retry_failed": True}, {"overrides": ["--method.init_args.max_epochs", "1"]}):
            assert len(benchmark([recipe], MACHINE, out=out, **options).failures) == 1
    assert len(made) == 3
    assert benchmark([recipe], MACHINE, out=out).finished == 1  # of another recipe is what failed last
    assert failed_runs(out) == []


def test_a_process_that_was_killed_is_no_riddle():
    assert _Lost(-9, begun=True).failure(5).message == (
        "its process was killed 5 times, perhaps for want of memory; try again with fewer --jobs"
    )
    ended = _Lost(-11, begun=True).failure(5).message
    assert "was ended by signal 11 (Segmentation fault) 5 times before the run was finished" in ended


@proc
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_workers_end_with_the_benchmark(write_recipe, tmp_path, start, number):
    recipe = write_recipe({**ENDLESS, "seeds": [0, 1, 2]})
    process = start("benchmark", recipe, "--out", "out", "--jobs", 2, "--checkpoint-every", 1)
    wait_for(lambda: len(list(tmp_path.glob("out/tiny/*.checkpoint"))) == 2)  # both are in the middle of a training
    workers = children(process.pid)
    assert len(workers) == 2
    process.send_signal(number)
    assert process.wait(30) == -number
    killed = time.monotonic()
    wait_for(lambda: not any(map(is_running, workers)))
    assert time.monotonic() - killed < 5 * processes_module.GRACE
    assert not list(tmp_path.glob("out/tiny/.*.part*"))


@proc
@pytest.mark.parametrize(("jobs", "moment"), [(1, "training"), (2, "training"), (2, "starting")])
def test_ctrl_c_twice_ends_quietly(write_recipe, tmp_path, start, jobs, moment):
    recipe = write_recipe({**ENDLESS, "seeds": [0, 1, 2]})
    process = start("benchmark", recipe, "--out", "out", "--jobs", jobs, "--checkpoint-every", 1, "--quiet")
    if moment == "training":
        wait_for(lambda: len(list(tmp_path.glob("out/tiny/*.checkpoint"))) == jobs)
    else:  # the folder is made when the runs are about to begin
        wait_for(lambda: (tmp_path / "out" / "tiny").exists() and len(children(process.pid)) == jobs)
    workers = children(process.pid)
    for _ in range(2):
        os.killpg(process.pid, signal.SIGINT)
        time.sleep(0.15)
    _, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 130
    *before, last = err.splitlines()
    assert last == "latentover: stopped; finished runs are kept, the same command goes on from there"
    assert all("images" in line for line in before)  # that there are few of them
    wait_for(lambda: not any(map(is_running, workers)))


# ---- Two benchmarks --------------------------------------------------------------------------------------------------

LOGGING = """import os
import time
from pathlib import Path

from torch import nn

from latentover.experiments import run


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(64, 4)

    def forward(self, x):
        return self.linear(x.flatten(1))


def logged(recipe, seed, folder, *others):
    benchmark = os.getpgid(0)
    with open("log", "a") as log:
        print(seed, benchmark, file=log, flush=True)
    until = time.monotonic() + 60
    while seed == 0 and len(Path("log").read_text().splitlines()) < 5:  # until all others are made, or begun
        if time.monotonic() > until:
            raise TimeoutError("the others waited")
        time.sleep(0.02)
    return made(recipe, seed, folder, *others)


made, run._made = run._made, logged
"""


@pytest.mark.skipif(os.name != "posix", reason="no groups of processes")
@pytest.mark.parametrize("options", [(), ("--at-once", 2), ("--jobs", 2)], ids=["one", "turns", "jobs"])
def test_two_benchmarks_on_one_folder_share_the_work(write_recipe, tmp_path, start, options):
    """The first run lasts until all others are made, or begun: nobody waits for it while there is more to do."""
    (tmp_path / "logging_net.py").write_text(LOGGING)
    changes = {"method.init_args.backbone": {"class_path": "logging_net.Net"}, "seeds": list(range(5))}
    changes |= {"method.init_args.channels": ..., "method.init_args.hidden_units": ...}
    recipe = write_recipe({**QUICK, **changes}, kind="control")
    processes = [
        start("benchmark", recipe, "--out", "out", "--trust-modules", "logging_net", *options) for _ in range(2)
    ]
    said = [process.communicate(timeout=SECONDS) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    assert all(out.startswith("runs: 5 made, 0 finished before, 0 failed\n") for out, _ in said), said
    made = [line.split() for line in (tmp_path / "log").read_text().splitlines()]
    assert sorted(seed for seed, _ in made) == ["0", "1", "2", "3", "4"]
    if "--jobs" not in options:  # the one that has begun the first run makes no other
        assert {int(benchmark) for _, benchmark in made} == {process.pid for process in processes}
    assert {path.name for path in (tmp_path / "out" / "tiny").iterdir()} == {f"seed-{seed}" for seed in range(5)}


# ---- Warnings --------------------------------------------------------------------------------------------------------


def test_warnings_of_the_data_are_said_once(write_recipe, tmp_path):
    rows = "\n".join(f"{i % 7},{i % 5},{'abc'[i % 2]}" for i in range(60))
    (tmp_path / "table.csv").write_text(f"x,y,label\n{rows}\n1,1,c\n")
    data = {"source": str(tmp_path / "table.csv"), "target": "label"}
    changes = {**QUICK, "data": data, "method.init_args.channels": ...}
    recipe = write_recipe(changes, name="rare", kind="control")
    with pytest.warns(UserWarning, match="goes without them") as caught:
        benchmark([recipe], MACHINE, out=tmp_path / "out")
    (text,) = [str(warning.message) for warning in caught if "goes without them" in str(warning.message)]
    # The data is looked at before the first run, once for all that have it.
    assert text == "The test data has no samples of ['c']: the balanced test split goes without them."


def test_a_named_warning_keeps_its_class_and_the_caller_s_filters():
    class Own(UserWarning):
        pass

    with pytest.warns(Own, match=r"^out/a, seed 3: careful$"), naming_warnings("out/a, seed 3"):
        warnings.warn("careful", Own, stacklevel=1)
    with warnings.catch_warnings(), naming_warnings("a"):
        warnings.simplefilter("error", Own)
        with pytest.raises(Own, match=r"^careful$"):
            warnings.warn("careful", Own, stacklevel=1)


# ---- What is left of a failure ---------------------------------------------------------------------------------------


@pytest.fixture
def broken(monkeypatch):
    def run_recipe(*_, **__):
        raise RuntimeError("lost \udcff its way")

    monkeypatch.setattr(jobs_module, "run_recipe", run_recipe)


@pytest.mark.usefixtures("broken")
def test_a_failure_is_recorded_whole_in_the_folder_of_its_run(write_recipe, tmp_path):
    out = tmp_path / "out"
    benchmark([write_recipe({"seeds": [4]})], MACHINE, out=out)
    folder = out / "tiny" / "seed-4"
    assert [path.name for path in folder.iterdir()] == [FAILURE]
    account = json.loads((folder / FAILURE).read_text(encoding="utf-8"))
    assert account["message"] == "RuntimeError: lost \\udcff its way"
    assert account["traceback"].startswith("Traceback")
    assert (account["title"], account["seed"], len(account["recipe_sha256"])) == ("Tiny RAE", 4, 64)


def test_a_failure_of_another_recipe_is_forgotten_when_the_old_one_is_asked_for_again(
    write_recipe, tmp_path, monkeypatch
):
    out, old = tmp_path / "out", write_recipe(QUICK)
    benchmark([old], MACHINE, out=out)
    with monkeypatch.context() as patch:
        patch.setattr(jobs_module, "run_recipe", lambda *_, **__: [][0])
        other = benchmark([old], MACHINE, out=out, overrides=["--method.init_args.max_steps", "3"])
    assert other.failures["out/tiny, seed 0"].message == "IndexError: list index out of range"
    assert len(failed_runs(out)) == 1
    assert benchmark([old], MACHINE, out=out).repeated == 1
    assert failed_runs(out) == []
    assert "1 failed" not in write_report(out).read_text(encoding="utf-8")


@pytest.mark.usefixtures("broken")
def test_a_failure_that_cannot_be_recorded_does_not_end_the_other_runs(write_recipe, tmp_path, monkeypatch):
    def full(*_):
        raise OSError("no space left")

    monkeypatch.setattr("latentover.runs.folder.write_json", full)
    assert len(benchmark([write_recipe({"seeds": [0, 1]})], MACHINE, out=tmp_path / "out").failures) == 2
