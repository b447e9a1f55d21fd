"""The suite for a machine with a GPU: it ends in time, goes on where it was, and no step costs another."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
import yaml

from latentover.experiments.recipe import recipe_folder
from latentover.report import collect_runs, write_report

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu_suite.py"
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="ends groups of processes")


@pytest.fixture(scope="module")
def gpu_suite():
    spec = importlib.util.spec_from_file_location("gpu_suite_benchmark", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.fixture
def suite(gpu_suite, tmp_path):
    """Runs a list of steps, scripts as Python code; `out` is where."""
    out = tmp_path / "results" / "out"

    def write(steps):
        (tmp_path / "lists").mkdir(exist_ok=True)
        listed = []
        for name, content in steps.items():
            if isinstance(content, str):
                script = tmp_path / f"{name}.py"
                script.write_text(
                    f"import os, signal, sys, time\nfrom pathlib import Path\nout = Path(sys.argv[1])\n{content}"
                )
                content = {"script": str(script), "arguments": ["{out}"]}
            listed.append({"name": name, **content})
        (tmp_path / "lists" / "1.yaml").write_text(yaml.safe_dump(listed))
        return ["--out", str(out), "--steps", str(tmp_path / "lists"), "--device", "cpu"]

    def run(steps, *options, budget=60):
        code = gpu_suite.main([*write(steps), "--budget", str(budget), *options])
        return code, {
            name: step["state"] for name, step in json.loads((out / "suite.json").read_text())["steps"].items()
        }

    run.out, run.write, run.lists = out, write, tmp_path / "lists"
    return run


# ---- The shipped steps -----------------------------------------------------------------------------------------------


def test_the_quick_suite_runs_from_a_checkout_and_leaves_what_reports_need(gpu_suite, tmp_path):
    command = [sys.executable, str(SCRIPT), "--quick", "--budget", "900", "--out", str(tmp_path / "out")]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    for _ in range(2):  # the second call finds all done
        result = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
        logs = "\n".join(path.read_text() for path in (tmp_path / "out" / "logs").iterdir())
        assert (result.returncode, result.stderr) == (0, ""), logs
    steps = gpu_suite.read_steps(gpu_suite.STEPS, quick=True)
    assert result.stdout.startswith(f"[0 s] {len(steps)} steps: {len(steps)} done, 0 failed, 0 unfinished.")
    groups = {step.group for step in steps if step.recipes}
    assert groups == {"cifar10_jpeg_lt100_full", "fashion_mnist_full", "fashion_mnist", "fashion_mnist_generator"}
    for group in groups:
        for run in collect_runs(tmp_path / "out" / "runs" / group):
            assert not {"model.safetensors", "config.json"} & {path.name for path in run.path.iterdir()}
        assert write_report(tmp_path / "out" / "runs" / group).stat().st_size > 10_000
    figures = json.loads((tmp_path / "out" / "speed.json").read_text())["figures"]
    assert {"classifier step, eager", "classifier step, plain loop", "cycle of the authors' code, eager"} <= set(
        figures
    )
    assert all(found["ms"] > 0 for found in figures.values())


def test_the_shipped_steps_are_what_they_are_to_be(gpu_suite):
    steps = gpu_suite.read_steps(gpu_suite.STEPS)
    wanted = {}
    for step in steps:
        for file in step.files if step.recipes else []:
            wanted.setdefault(step.group, {}).setdefault(file.name, []).extend(step.seeds)
    assert steps[0].script == "benchmarks/gpu_speed.py"
    trial = ["fashion_mnist_generator", "fashion_mnist_controls"]
    assert list(wanted) == [*trial, "fashion_mnist_full", "cifar10_jpeg_lt100_full", "fashion_mnist", "mnist"]
    papers = {f"{name}.yaml": [0] for name in ("gamo", "dgc", "bagan", "deepsmote")}
    assert wanted["fashion_mnist_full"] == {**papers, "rae_reference_code.yaml": [0]}
    for group, seeds in zip(trial, (range(12), range(3)), strict=True):
        names = sorted(path.name for path in (recipe_folder() / group).iterdir())
        assert wanted[group] == {name: list(seeds) for name in names}
    for group in ("cifar10_jpeg_lt100_full", "fashion_mnist", "mnist"):
        names = sorted(path.name for path in (recipe_folder() / group).iterdir())
        assert wanted[group] == {name: [0, 1, 2] for name in names}


# ---- The clock -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("deaf", ["", "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"])
def test_a_step_is_ended_with_its_processes_when_the_budget_is_over(suite, deaf):
    steps = {
        "endless": f"{deaf}child = os.fork()\n(out / f'{{child}}').write_text(str(os.getpid()))\ntime.sleep(600)",
        "next": "(out / 'next').touch()",
    }
    start = time.monotonic()
    assert suite(steps, budget=6) == (0, {"endless": "unfinished"})
    assert time.monotonic() - start < 6 + 4  # the call itself takes a moment
    assert not (suite.out / "next").exists()
    processes = {int(path.read_text()) for path in suite.out.iterdir() if path.name.isdigit()}
    assert len(processes) == 2
    while any(map(is_running, processes)):  # a process that was killed is gone a moment later
        assert time.monotonic() - start < 30
        time.sleep(0.05)


def is_running(process):
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_a_limit_ends_a_step_alone(suite):
    suite.write({"slow": "time.sleep(600)"})
    script = {"script": str(suite.lists.parent / "slow.py"), "arguments": ["{out}"], "limit": 1}
    assert suite({"slow": script, "next": "(out / 'next').touch()"}) == (0, {"slow": "unfinished", "next": "done"})
    assert (suite.out / "next").exists()


def test_no_step_begins_when_the_time_is_over(suite):
    assert suite({"first": "time.sleep(600)", "second": ""}, budget=1)[1] == {"first": "unfinished"}


# ---- Going on --------------------------------------------------------------------------------------------------------

INTERRUPTED = """
run = out / "runs" / "group" / "recipe"
checkpoint = run / "seed-0.checkpoint"
if checkpoint.exists():
    (out / "went on").write_text(checkpoint.read_text())
    checkpoint.unlink()
else:
    (run / ".seed-0.77.part").mkdir(parents=True)
    (run / ".seed-0.checkpoint.77.part").touch()
    checkpoint.write_text("state")
    (out / "started").touch()
    time.sleep(600)
"""


def test_an_interrupted_run_goes_on_from_its_checkpoint_which_is_kept_beside_the_results(suite):
    aside = suite.out.with_name("out.checkpoints") / "group" / "recipe" / "seed-0.checkpoint"
    assert suite({"run": INTERRUPTED}, budget=6) == (0, {"run": "unfinished"})
    assert aside.read_text() == "state"
    assert list((suite.out / "runs" / "group" / "recipe").iterdir()) == []
    assert suite({"run": INTERRUPTED}) == (0, {"run": "done"})
    assert (suite.out / "went on").read_text() == "state"
    assert not aside.exists()


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGKILL])
def test_the_suite_goes_on_when_it_was_killed(suite, sign):
    command = [sys.executable, str(SCRIPT), *suite.write({"before": "", "run": INTERRUPTED}), "--budget", "120"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        while not (suite.out / "started").exists():
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(sign)
    assert process.returncode != 0
    (suite.lists.parent / "before.py").write_text("raise SystemExit('done once is enough')")
    code, states = suite({"run": INTERRUPTED})
    assert (code, states) == (0, {"before": "done", "run": "done"})
    assert (suite.out / "went on").exists()


RECIPE = {
    "data": {"source": "digits", "imbalance": {"profile": "long_tailed", "rho": 5, "largest": 30}},
    "method": {
        "class_path": "latentover.DeepClassifier",
        "init_args": {"feature_dim": 4, "channels": 4, "hidden_units": 8, "max_epochs": 1},
    },
}


def test_only_runs_that_are_missing_are_made_and_a_failing_one_costs_no_other(suite, tmp_path):
    group = tmp_path / "tiny"
    group.mkdir()
    (group / "a.yaml").write_text(yaml.safe_dump(RECIPE))
    step = {"recipes": [str(group)], "seeds": [0]}
    assert suite({"runs": step}) == (0, {"runs": "done"})
    first = (suite.out / "runs" / "tiny" / "a" / "seed-0" / "metrics.json").stat()
    broken = {**RECIPE, "data": {"source": "mnist"}}
    (group / "b.yaml").write_text(yaml.safe_dump(broken))
    empty = tmp_path / "empty"
    empty.mkdir()
    assert suite({"runs": {**step, "seeds": [0, 1]}}, "--data-root", str(empty)) == (1, {"runs": "failed"})
    assert [(run.recipe, run.seed) for run in collect_runs(suite.out / "runs" / "tiny")] == [("a", 0), ("a", 1)]
    again = (suite.out / "runs" / "tiny" / "a" / "seed-0" / "metrics.json").stat()
    assert (first.st_ino, first.st_mtime_ns) == (again.st_ino, again.st_mtime_ns)
    assert "Expected" in (suite.out / "logs" / "runs.log").read_text()


def test_a_step_that_failed_stops_no_other_and_comes_last_the_next_time(suite):
    note = "with (out / 'order').open('a') as file:\n    file.write('{} ')\n"
    steps = {
        "broken": note.format("broken") + "raise ValueError('broken as it is')",
        "late": note.format("late") + "time.sleep(0 if (out / 'order').read_text().count('late') > 1 else 600)",
        "good": note.format("good"),
    }
    suite.write(steps)
    late = {"script": str(suite.lists.parent / "late.py"), "arguments": ["{out}"], "limit": 1}
    code, states = suite({**steps, "late": late})
    assert (code, states) == (1, {"broken": "failed", "late": "unfinished", "good": "done"})
    assert "broken as it is" in (suite.out / "logs" / "broken.log").read_text()
    code, states = suite({**steps, "late": late})
    assert (code, states) == (1, {"broken": "failed", "late": "done", "good": "done"})
    assert (suite.out / "order").read_text().split() == ["broken", "late", "good", "late", "broken"]


def test_a_changed_script_runs_again(suite):
    for text in ("one", "one", "other"):
        code, states = suite({"step": f"with (out / 'runs.txt').open('a') as file: file.write('{text} ')"})
        assert (code, states) == (0, {"step": "done"})
    assert (suite.out / "runs.txt").read_text() == "one other "


# ---- What it is given ------------------------------------------------------------------------------------------------


def test_wheels_are_there_for_the_steps_and_nowhere_else(suite, tmp_path):
    (tmp_path / "wheels").mkdir()
    with zipfile.ZipFile(tmp_path / "wheels" / "lacking-1.2-py3-none-any.whl", "w") as wheel:
        wheel.writestr("lacking/__init__.py", "VALUE = 42\n")
        wheel.writestr("lacking-1.2.dist-info/METADATA", "Metadata-Version: 2.1\nName: lacking\nVersion: 1.2\n")
    step = "import lacking\nfrom importlib.metadata import version\n"
    step += "(out / 'found').write_text(f'{lacking.VALUE} {version(lacking.__name__)}')"
    assert suite({"step": step}, "--wheels", str(tmp_path / "wheels")) == (0, {"step": "done"})
    assert (suite.out / "found").read_text() == "42 1.2"
    assert importlib.util.find_spec("lacking") is None
    with pytest.raises(SystemExit):
        suite({"step": step}, "--wheels", str(tmp_path))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 3}, r"keys of .*1\.yaml, step 'x' to be of name, recipes, .*, but got 'epochs'"),
        ({"quick": {"epochs": 3}}, "but got 'epochs'"),
        ({"script": "benchmarks/gpu_speed.py"}, "step 'x' to have recipes or a script, but got both or none"),
        ({"recipes": []}, "but got both or none"),
        ({"recipes": ["configs/digits/rea.yaml"]}, r"files of .* to be there, but got .*rea\.yaml"),
        ({"recipes": ["configs/digits", "configs/mnist/none.yaml"]}, "to be of one folder"),
    ],
)
def test_a_list_that_cannot_be_run_is_refused(gpu_suite, suite, changes, message):
    suite.write({"x": {"recipes": ["configs/digits"], **changes}})
    with pytest.raises(ValueError, match=message):
        gpu_suite.read_steps(suite.lists)


def test_two_steps_of_one_name_are_refused(gpu_suite, suite):
    suite.write({"x": {"recipes": ["configs/digits"]}})
    (suite.lists / "2.yaml").write_text((suite.lists / "1.yaml").read_text())
    with pytest.raises(ValueError, match=r"to hold steps with names of their own, but got \['x', 'x'\]"):
        gpu_suite.read_steps(suite.lists)
