"""A run that was killed goes on with the same command and ends at the same weights."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import torch
import yaml

import latentover
from latentover import cli
from latentover.experiments.recipe import load_recipe
from latentover.experiments.run import Machine, run_recipe
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
    sampler = {"class_path": "latentover.RAESampler", "init_args": {**RECIPE["method"]["init_args"], "max_steps": 2}}
    method = {
        "class_path": "latentover.DeepClassifier",
        "init_args": {"feature_dim": 4, "channels": 4, "hidden_units": 8, "max_epochs": 1},
    }
    (tmp_path / "two.yaml").write_text(yaml.safe_dump({**RECIPE, "sampler": sampler, "method": method}))
    written = set()
    write = Checkpoint.write
    monkeypatch.setattr(Checkpoint, "write", lambda self, *args: written.add(self.path.name) or write(self, *args))
    machine = Machine(device="cpu", verbose=0, checkpoint_every=1)
    run_recipe(load_recipe(tmp_path / "two.yaml"), 0, tmp_path / "runs" / "seed-0", machine)
    assert written == {"seed-0.raesampler.checkpoint", "seed-0.deepclassifier.checkpoint"}
    assert {path.name for path in (tmp_path / "runs").iterdir()} == {"seed-0"}  # removed where they were complete
