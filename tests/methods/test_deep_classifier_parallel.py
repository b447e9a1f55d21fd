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

SCRIPT = Path(__file__).with_name("deep_classifier_processes.py")
sys.path.insert(0, str(SCRIPT.parent))
from deep_classifier_processes import CASES, COMMON, EQUAL, fit  # noqa: E402


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What each of two processes ended at, in every case."""
    out = tmp_path_factory.mktemp("processes")
    environment = {**os.environ, "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "--master_addr", "127.0.0.1"]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command += ["--master_port", str(port), str(SCRIPT), str(out), *CASES]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-3000:]
    return out


def of_both(folder, case):
    weights = [torch.load(folder / f"{case}-weights-{rank}.pt", weights_only=True) for rank in range(2)]
    return weights, [json.loads((folder / f"{case}-history-{rank}.json").read_text()) for rank in range(2)]


@pytest.mark.parametrize("case", CASES)
def test_parameters_are_equal_to_the_bit(folder, case):
    (one, other), (history, same) = of_both(folder, case)
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name]), name
    for row, others in zip(history, same, strict=True):
        assert {name: row[name] for name in row if name != "seconds"} == {
            name: others[name] for name in others if name != "seconds"
        }


@pytest.mark.parametrize("case", EQUAL)
def test_weights_and_losses_are_those_of_one_process_with_the_double_batch(folder, case):
    """Batch normalisation apart, which takes its statistics from a process's part; there is none in these cases."""
    (weights, _), (history, _) = of_both(folder, case)
    single = fit(case, batch_size=2 * COMMON["batch_size"])
    assert [row["step"] for row in history] == [row["step"] for row in single.history_]
    for ours, theirs in zip(history, single.history_, strict=True):
        np.testing.assert_allclose(ours["classifier"], theirs["classifier"], rtol=1e-5)
    for name, tensor in single.networks_.state_dict().items():
        torch.testing.assert_close(weights[name], tensor, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("case", sorted(CASES.keys() - EQUAL.keys()))
def test_losses_fall(folder, case):
    _, (history, _) = of_both(folder, case)
    assert [row["step"] for row in history] == [4, 8, 12, 16]
    assert history[-1]["classifier"] < history[0]["classifier"]


def test_what_a_process_does_within_its_part_is_done(folder):
    assert max(row.get("translated", 0) for row in of_both(folder, "m2m")[1][0]) > 0
    tracked = of_both(folder, "am_mixup")[1][0][-1]
    assert tracked["validation_accuracy"] == pytest.approx(tracked["validation_acsa"])
