"""Two processes on the CPU: equal parameters, and the losses of one process with the double batch."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from latentover import RAEClassifier, cli
from latentover.training import parallel

SCRIPT = Path(__file__).with_name("two_processes.py")
sys.path.insert(0, str(SCRIPT.parent))
from two_processes import CASES, fit  # noqa: E402


@pytest.fixture(scope="module")
def two(request, tmp_path_factory):
    """What each of two processes ended at."""
    out = tmp_path_factory.mktemp("processes")
    environment = {**os.environ, "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "--master_addr", "127.0.0.1"]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command += ["--master_port", str(port), str(SCRIPT), request.param, str(out)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-3000:]
    weights = [torch.load(out / f"weights-{rank}.pt", weights_only=True) for rank in range(2)]
    history = [json.loads((out / f"history-{rank}.json").read_text()) for rank in range(2)]
    return request.param, weights, history


@pytest.mark.parametrize("two", CASES, indirect=True)
def test_parameters_are_equal_to_the_bit(two):
    _, (one, other), _ = two
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name]), name


@pytest.mark.parametrize("two", ["frozen"], indirect=True)
def test_losses_are_those_of_one_process_with_the_double_batch(two):
    """With batch normalisation frozen and without dropout; with them each process sees statistics of its own."""
    name, _, (history, same) = two
    single = fit(name, batch_size=2 * CASES[name]["batch_size"]).history_
    assert [row["step"] for row in history] == [row["step"] for row in single]
    for ours, theirs, others in zip(history, single, same, strict=True):
        for key in ours.keys() - {"step", "seconds", "predicted_classes"}:
            assert ours[key] == others[key]
            np.testing.assert_allclose(ours[key], theirs[key], rtol=1e-4, atol=1e-4, err_msg=key)


def test_processes_end_together_and_in_order(tmp_path):
    """Thirty times: no abort in the end, and none is gone before the first one has written."""
    script = SCRIPT.with_name("ending.py")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path)], env=environment, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr[-3000:]
    *well, failed = map(json.loads, done.stdout.splitlines())
    assert len(well) == 30
    expected = {"case": "well", "written": "written", "codes": [0, 0], "handlers": [True, True]}
    assert [pair for pair in well if pair != expected] == [], done.stderr[-3000:]
    # A failure waits for nobody.
    assert (failed["written"], failed["codes"][1]) == (None, 3)
    assert failed["handlers"][1]


def test_the_command_ends_its_process_in_that_way(monkeypatch):
    """Under torchrun alone: one process by itself is nobody's to wait for."""
    ended = []
    monkeypatch.setattr("sys.argv", ["latentover", "data", "list"])
    monkeypatch.setattr(parallel, "end", ended.append)
    for world_size, expected in (("1", []), ("2", [0])):
        monkeypatch.setenv("WORLD_SIZE", world_size)
        with pytest.raises(SystemExit, match="0"):
            cli.run()
        assert ended == expected


def test_compiled_networks_learn_the_same(monkeypatch):
    """The wiring of `compile`; the compiler itself is torch's."""
    compiled = []
    monkeypatch.setattr(torch, "compile", lambda module: compiled.append(module) or module)
    X, y = np.random.default_rng(0).random((40, 4)), np.repeat([0, 1], [30, 10])
    settings = {"hidden_units": 8, "max_steps": 3, "device": "cpu", "random_state": 0}
    one, other = (RAEClassifier(**settings, compile=choice).fit(X, y) for choice in (True, False))
    assert len(compiled) == 3  # encoder, mixer and decoder; a gradient penalty cannot be compiled
    np.testing.assert_array_equal(one.predict_proba(X), other.predict_proba(X))


@pytest.fixture
def machine(monkeypatch):
    """A process of torchrun's on a machine that seems to have GPUs; `calls` are what it does to them and the group."""
    calls = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "set_device", lambda number: calls.append(f"GPU {number}"))
    monkeypatch.setattr(torch.distributed, "init_process_group", calls.append)
    monkeypatch.setattr(torch, "empty", lambda *size, device: None)  # asks whether the device is there
    monkeypatch.setattr(parallel.atexit, "register", lambda function: None)

    def start(device, *, gpus, processes, rank):
        monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
        for name, value in {"WORLD_SIZE": processes, "LOCAL_WORLD_SIZE": processes, "LOCAL_RANK": rank}.items():
            monkeypatch.setenv(name, str(value))
        parallel.start(device)
        return calls

    start.calls = calls
    return start


@pytest.mark.parametrize(
    ("device", "gpus", "expected"),
    [("auto", 2, ["GPU 1", "nccl"]), ("cuda", 3, ["GPU 1", "nccl"]), ("cpu", 2, ["gloo"]), ("cpu", 1, ["gloo"])],
)
def test_the_device_decides_how_processes_talk(machine, device, gpus, expected):
    assert machine(device, gpus=gpus, processes=2, rank=1) == expected


@pytest.mark.parametrize("rank", [0, 2])
def test_more_processes_than_gpus_are_refused_by_all(machine, rank):
    message = (
        r"^Expected at most 2 processes on a machine with as many GPUs, but got 3; start fewer, or train with --dev"
    )
    with pytest.raises(ValueError, match=message):
        machine("auto", gpus=2, processes=3, rank=rank)
    assert machine.calls == []


def test_processes_cannot_share_a_gpu(machine):
    with pytest.raises(ValueError, match=r"Expected device to be 'cuda' where each of 2 processes .* got 'cuda:0'"):
        machine("cuda:0", gpus=2, processes=2, rank=0)
    assert machine.calls == []


def test_one_process_joins_nothing(machine):
    assert machine("cuda", gpus=0, processes=1, rank=0) == []
