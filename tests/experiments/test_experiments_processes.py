"""Processes that ``torchrun`` started train one run together, and the first one alone writes and speaks."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

import latentover
from latentover.experiments.benchmark import benchmark
from latentover.experiments.run import Machine
from latentover.training import parallel

RECIPE = {
    "data": {"source": "digits", "imbalance": {"profile": "long_tailed", "rho": 5, "largest": 30}},
    "method": {
        "class_path": "latentover.DeepClassifier",
        "init_args": {"feature_dim": 4, "channels": 4, "hidden_units": 8, "max_epochs": 2, "batch_size": 16},
    },
    "evaluation": {"grid_samples": 0, "tsne_points": 0},
    "seeds": [0, 1],
}


@pytest.mark.skipif(not torch.distributed.is_available(), reason="torch was built without torch.distributed")
def test_two_processes_make_each_run_once(tmp_path):
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(RECIPE), encoding="utf-8")
    package = Path(latentover.__file__).parent.parent
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    command = ["-m", "latentover.cli", "train", "tiny.yaml", "--device", "cpu", "--out", "runs"]
    result = subprocess.run(
        [sys.executable, *torchrun, *command],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(package), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("runs: 2 made, 0 finished before, 0 failed\n") == 1
    assert result.stderr.count(" s to fit") == 2
    assert sorted(path.name for path in (tmp_path / "runs" / "tiny").iterdir()) == ["seed-0", "seed-1"]
    for seed in (0, 1):
        metrics = json.loads((tmp_path / "runs" / "tiny" / f"seed-{seed}" / "metrics.json").read_text(encoding="utf-8"))
        assert (metrics["certificate"]["seed"], metrics["certificate"]["processes"]) == (seed, 2)


def test_jobs_and_torchrun_exclude_each_other(monkeypatch, tmp_path):
    monkeypatch.setattr(parallel, "n_processes", lambda: 2)
    devices = []
    monkeypatch.setattr(parallel, "start", devices.append)
    with pytest.raises(ValueError, match="Expected one run after the other where torchrun starts the processes"):
        benchmark([], Machine(device="cpu"), out=tmp_path, jobs=2)
    assert devices == ["cpu"]
