import os
import subprocess
import sys

import pytest

FAULTS = """
import contextlib, ctypes, mmap, resource, sys
import torch
from torch import nn
from latentover.training import Engine, Phase, Program, adam, memory_kept

PR_SET_THP_DISABLE = 41  # a fault is a page of 4 KiB, and not one of 2 MiB where the system likes
ctypes.CDLL(None).prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
mmap.mmap(-1, 2**20).write(bytes(2**20))
if resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before < 256:
    sys.exit("uncounted")

inside = {"train": None, "memory_kept": memory_kept(), "neither": contextlib.nullcontext()}[sys.argv[1]]
faults = []

def update():
    blocks = [torch.zeros(2**22) for _ in range(6)]  # 16 MiB each
    del blocks
    faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
    return {"loss": torch.zeros(())}

if inside is None:
    network = nn.Linear(1, 1)
    losses = lambda _: {"loss": network.weight.sum()}
    phase = Phase(name="only", draw=update, losses=losses, moves={"all": {"loss": 1.0}})
    program = Program(
        networks=network, optimizers={"all": adam(network.parameters(), 1e-3)}, phases=[phase], n_steps=30
    )
    Engine(program, torch.Generator()).run()
else:
    with inside:
        if sys.argv[1] == "memory_kept":
            with memory_kept():  # whose end does not end the other
                pass
        for _ in range(30):
            update()
print(faults[-1] - faults[-9])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="counts the page faults of glibc's allocation")
def test_a_training_takes_its_own_memory_again():
    # With a threshold that does not move large blocks always come from the system and go back to it; by itself glibc
    # may keep them, according to what lies above them.
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": str(2**17)}
    faults = {}
    for inside in ("train", "memory_kept", "neither"):
        command = [sys.executable, "-c", FAULTS, inside]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.stderr.strip() == "uncounted":
            pytest.skip("this system does not count page faults")
        assert done.returncode == 0, done.stderr
        faults[inside] = int(done.stdout)
    assert faults["neither"] > 8 * 6 * 2**24 / 4096 / 2  # at least half of the pages of 8 steps are handed out again
    assert faults["memory_kept"] < faults["neither"] / 10
    assert faults["train"] < faults["neither"] / 10
