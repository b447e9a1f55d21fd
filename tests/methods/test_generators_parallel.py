"""Generators in two processes on the CPU: one model, to the bit, that learned from both parts of each batch."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from generator_processes import CASES, data
from sklearn.base import clone

import latentover
from latentover import DeepClassifier, M2mClassifier
from latentover.estimators.base import BaseDeepEstimator

SCRIPT = Path(__file__).with_name("generator_processes.py")


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    folder = tmp_path_factory.mktemp("processes")
    environment = {**os.environ, "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "--master_addr", "127.0.0.1"]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command += ["--master_port", str(port), str(SCRIPT), str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.mark.parametrize("name", CASES)
def test_parameters_and_losses_are_equal_to_the_bit(out, name):
    one, other = (torch.load(out / f"{name}-weights-{rank}.pt", weights_only=True) for rank in range(2))
    assert one.keys() == other.keys()
    for key, tensor in one.items():
        assert torch.equal(tensor, other[key]), key
    rows, same = (json.loads((out / f"{name}-history-{rank}.json").read_text()) for rank in range(2))
    for row, other in zip(rows, same, strict=True):
        assert {k: v for k, v in row.items() if k != "seconds"} == {k: v for k, v in other.items() if k != "seconds"}


def test_every_deep_method_trains_in_two_processes():
    """Here, or in the tests of the deep classifiers."""
    public = {getattr(latentover, name) for name in latentover.__all__}
    deep = {cls for cls in public if isinstance(cls, type) and issubclass(cls, BaseDeepEstimator)}
    assert deep == {type(estimator) for estimator in CASES.values()} | {DeepClassifier, M2mClassifier}


@pytest.mark.parametrize("name", CASES)
def test_an_epoch_of_two_is_half_as_long(out, name):
    """Both see other samples: a batch of two processes is that of one with the double batch."""
    alone = clone(CASES[name]).set_params(batch_size=16).fit(*data()).history_
    rows = json.loads((out / f"{name}-history-0.json").read_text())
    assert [row["step"] for row in rows] == [row["step"] for row in alone]
    row, single = rows[0], clone(CASES[name]).fit(*data()).history_[0]
    assert any(row[loss] != single[loss] for loss in row.keys() & single.keys() - {"step", "seconds"})
