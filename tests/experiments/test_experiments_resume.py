"""A run that was killed goes on with the same command and ends at the same weights."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml

import latentover
from latentover import cli
from latentover.experiments import run as run_module
from latentover.experiments.benchmark import benchmark
from latentover.experiments.recipe import load_recipe
from latentover.experiments.run import Machine, run_recipe
from latentover.files import locked
from latentover.runs.folder import RunFolder
from latentover.training import Engine
from latentover.training.checkpoints import Checkpoint

RECIPE = {
    "data": {"source": "digits", "imbalance": {"profile": "long_tailed", "rho": 5, "largest": 30}},
    "method": {
        "class_path": "latentover.RAEClassifier",
        "init_args": {"latent_dim": 4, "channels": 4, "hidden_units": 8, "max_steps": 30, "batch_size": 8},
    },
    "evaluation": {"grid_samples": 0, "tsne_points": 0},
    "seeds": [0],
}
CLASSIFIER = {"feature_dim": 4, "channels": 4, "hidden_units": 8, "max_epochs": 1}
PIPELINE = {
    **RECIPE,
    "sampler": {
        "class_path": "latentover.RAESampler",
        "init_args": {**RECIPE["method"]["init_args"], "max_steps": 2},
    },
    "method": {"class_path": "latentover.DeepClassifier", "init_args": CLASSIFIER},
}
GUIDED = {**RECIPE, "method": {"class_path": "latentover.M2mClassifier", "init_args": CLASSIFIER}}
MACHINE = Machine(device="cpu", verbose=0, checkpoint_every=1000)


def test_a_run_that_was_killed_goes_on_with_the_same_command_to_the_same_weights(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("tiny.yaml").write_text(yaml.safe_dump(RECIPE), encoding="utf-8")
    command = ["train", "tiny.yaml", "--device", "cpu", "--out", "runs", "--quiet", "--checkpoint-every", "3"]
    runs = tmp_path / "runs" / "tiny"
    file = runs / "seed-0.checkpoint"

    package = Path(latentover.__file__).parent.parent
    # With as many threads as here: sums of other parts round differently.
    environment = {**os.environ, "PYTHONPATH": str(package), "OMP_NUM_THREADS": str(torch.get_num_threads())}
    process = subprocess.Popen([sys.executable, "-m", "latentover.cli", *command], env=environment)
    while not file.exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (runs / "seed-0").exists()

    assert cli.main([*command, "--method.init_args.max_steps", "20"]) == 1
    assert "to belong to this training, but" in capsys.readouterr().err  # another one does not go on from it
    assert file.is_file()

    assert cli.main(command) == 0
    assert capsys.readouterr().out.startswith("runs: 1 made, 0 finished before, 0 failed\n")
    assert {path.name for path in runs.iterdir()} == {"seed-0"}

    run_recipe(load_recipe("tiny.yaml"), 0, "whole", Machine(device="cpu", verbose=0))
    for name in ("model.safetensors", "config.json"):
        assert (runs / "seed-0" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name
    resumed, whole = (pd.read_csv(folder / "history.csv") for folder in (runs / "seed-0", tmp_path / "whole"))
    assert resumed.drop(columns="seconds").equals(whole.drop(columns="seconds"))


def test_each_step_of_a_pipeline_keeps_a_checkpoint_of_its_own(tmp_path, monkeypatch):
    (tmp_path / "two.yaml").write_text(yaml.safe_dump(PIPELINE))
    written = set()
    write = Checkpoint.write
    monkeypatch.setattr(Checkpoint, "write", lambda self, *args: written.add(self.path.name) or write(self, *args))
    machine = Machine(device="cpu", verbose=0, checkpoint_every=1)
    run_recipe(load_recipe(tmp_path / "two.yaml"), 0, tmp_path / "runs" / "seed-0", machine)
    assert written == {"seed-0.raesampler.checkpoint", "seed-0.deepclassifier.checkpoint"}
    assert {path.name for path in (tmp_path / "runs").iterdir()} == {"seed-0"}  # removed where they were complete


# ---- Trained, but not written yet ------------------------------------------------------------------------------------


class Killed(BaseException):
    pass


def kill(*_, **__):
    raise Killed


@pytest.fixture
def read(tmp_path):
    def read(content):
        (tmp_path / "two.yaml").write_text(yaml.safe_dump(content))
        return load_recipe(tmp_path / "two.yaml")

    return read


def assert_same_runs(one, other):
    """All that is known of two runs is the same, but for dates and seconds."""
    assert {path.name for path in one.iterdir()} == {path.name for path in other.iterdir()}
    for name in ("model.safetensors", "config.json", "recipe.yaml"):
        assert (one / name).read_bytes() == (other / name).read_bytes(), name
    metrics, others = (json.loads((folder / "metrics.json").read_text()) for folder in (one, other))
    for name in metrics.keys() - {"certificate", "files"}:
        assert metrics[name] == others[name], name
    for name in ("history.csv", "history_sampler.csv"):
        if (one / name).exists():
            assert (
                pd.read_csv(one / name)
                .drop(columns="seconds")
                .equals(pd.read_csv(other / name).drop(columns="seconds"))
            )


@pytest.mark.parametrize("content", [RECIPE, PIPELINE, GUIDED], ids=["one step", "pipeline", "guide"])
@pytest.mark.parametrize("moment", ["score_splits", "write_tsne", "save", "model_card"])
def test_a_run_that_is_killed_after_its_training_is_not_trained_again(read, moment, content, tmp_path, monkeypatch):
    recipe, folder = read(content), tmp_path / "runs" / "seed-0"
    run_recipe(recipe, 0, tmp_path / "whole", MACHINE)
    with monkeypatch.context() as patch:
        patch.setattr(run_module, moment, kill)
        with pytest.raises(Killed):
            run_recipe(recipe, 0, folder, MACHINE)
    assert not folder.exists()
    with monkeypatch.context() as patch:
        patch.setattr(Engine, "run_step", lambda *_: pytest.fail("is trained already"))
        metrics = run_recipe(recipe, 0, folder, MACHINE)
    assert_same_runs(folder, tmp_path / "whole")
    history = pd.concat(map(pd.read_csv, folder.glob("history*.csv")))
    assert metrics["certificate"]["fit_seconds"] >= round(history.groupby(level=0)["seconds"].max().max(), 2)
    assert [path.name for path in folder.parent.iterdir()] == ["seed-0"], "removed when all is written"


def test_a_pipeline_that_is_killed_in_its_classifier_does_not_train_its_sampler_again(read, tmp_path, monkeypatch):
    recipe, folder = read(PIPELINE), tmp_path / "runs" / "seed-0"
    run_recipe(recipe, 0, tmp_path / "whole", MACHINE)
    run_step, steps = Engine.run_step, []

    def dying(self, number):
        steps.append((self.description, number))
        if steps[-1] == ("DeepClassifier", 1) and steps.count(steps[-1]) == 1:
            raise Killed
        run_step(self, number)

    monkeypatch.setattr(Engine, "run_step", dying)
    with pytest.raises(Killed):
        run_recipe(recipe, 0, folder, MACHINE)
    assert [path.name for path in folder.parent.iterdir()] == ["seed-0.raesampler.checkpoint"]
    run_recipe(recipe, 0, folder, MACHINE)
    assert [steps.count((name, 0)) for name in ("RAESampler", "DeepClassifier")] == [1, 2]
    assert_same_runs(folder, tmp_path / "whole")
    assert [path.name for path in folder.parent.iterdir()] == ["seed-0"]


def test_seconds_of_a_fit_are_those_before_an_interruption_too(read, tmp_path, monkeypatch):
    recipe, run_step = read(RECIPE), Engine.run_step

    def slow(self, number):
        time.sleep(0.5 if number == 0 else 0)
        run_step(self, number)

    with monkeypatch.context() as patch:
        patch.setattr(Engine, "run_step", slow)
        patch.setattr(run_module, "score_splits", kill)
        with pytest.raises(Killed):
            run_recipe(recipe, 0, tmp_path / "seed-0", MACHINE)
    monkeypatch.setattr(Engine, "_train", kill)
    assert run_recipe(recipe, 0, tmp_path / "seed-0", MACHINE)["certificate"]["fit_seconds"] >= 0.5


@pytest.mark.parametrize("again", ["run_recipe", "benchmark"])
def test_a_checkpoint_that_a_finished_run_has_left_is_removed_and_a_newer_one_is_not(
    again, read, tmp_path, monkeypatch
):
    recipe, folder = read(PIPELINE), tmp_path / "runs" / "two" / "seed-0"

    def make():
        if again == "benchmark":
            assert benchmark([tmp_path / "two.yaml"], MACHINE, out=tmp_path / "runs").failures == {}
        else:
            run_recipe(recipe, 0, folder, MACHINE)

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "remove_checkpoints", kill)
        with pytest.raises(Killed):
            run_recipe(recipe, 0, folder, MACHINE)
    assert len(list(folder.parent.glob("seed-0.*.checkpoint"))) == 2
    other = folder.with_name("seed-01.checkpoint")
    other.touch()
    os.utime(other, (0, 0))
    newer = folder.with_name("seed-0.checkpoint")
    newer.write_text("of a recipe that has been changed since")
    make()
    assert {path.name for path in folder.parent.iterdir()} == {"seed-0", newer.name, other.name}


@pytest.mark.parametrize("again", ["run_recipe", "benchmark"])
def test_what_a_process_killed_at_the_very_end_of_a_run_has_left_is_removed_and_what_it_lacks_is_made(
    again, read, tmp_path, monkeypatch
):
    recipe, out = read(RECIPE), tmp_path / "runs"
    folder = out / recipe.name / "seed-0"
    run_recipe(recipe, 0, folder, MACHINE)
    [stored] = (out / "results").iterdir()
    before = stored.read_bytes()
    stored.unlink()
    (folder.parent / ".seed-0.lock").touch()
    half = folder.parent / f".seed-0.{'ab' * 6}.part"
    half.mkdir()
    (half / "metrics.json").touch()
    other = folder.parent / ".seed-01.lock"
    other.touch()

    monkeypatch.setattr(Engine, "_train", kill)
    if again == "benchmark":
        done = benchmark([tmp_path / f"{recipe.name}.yaml"], MACHINE, out=out)
        assert (done.finished, done.repeated, done.failures) == (0, 1, {})
    else:
        run_recipe(recipe, 0, folder, MACHINE)
    assert {path.name for path in folder.parent.iterdir()} == {"seed-0", other.name}
    assert stored.read_bytes() == before


def test_the_lock_of_a_finished_run_is_left_to_the_one_that_has_it(read, tmp_path):
    recipe, out = read(RECIPE), tmp_path / "runs"
    folder = out / recipe.name / "seed-0"
    run_recipe(recipe, 0, folder, MACHINE)
    with locked(folder):
        assert benchmark([tmp_path / f"{recipe.name}.yaml"], MACHINE, out=out).repeated == 1
        assert (folder.parent / ".seed-0.lock").exists()
    assert not (folder.parent / ".seed-0.lock").exists()
