"""Pairs of processes that train together and end, ``ending.py FOLDER``: forked, so that each costs a moment.

Prints a line of JSON for each pair: what process 0 had written when process 1 was gone, and both exit codes.
"""

import atexit
import gc
import json
import os
import socket
import sys
import time
import traceback
from pathlib import Path

import torch

from latentover.training import parallel

CASES = {"well": [0, 0], "failed": [0, 3]}
"""What the two processes end with."""


def work(rank, port, case, file):
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "GLOO_SOCKET_IFNAME": "lo"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    parallel.start("cpu")
    atexit.register(lambda: file.with_suffix(f".{rank}").touch())
    for _ in range(3 if rank == 1 or case == "well" else 4):  # the fourth waits for one that does not come
        weights = torch.ones(1000, requires_grad=True)
        weights.square().sum().backward()
        parallel.average([weights.grad, torch.ones(3)])
    if rank == 0:
        time.sleep(0.2)
        file.write_text("written", encoding="utf-8")
    parallel.end(CASES[case][rank])


def forked(*arguments):
    process = os.fork()
    if process == 0:
        try:
            work(*arguments)
        except BaseException:
            traceback.print_exc()
        os._exit(99)
    return process


def pair(case, file):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    first, second = (forked(rank, port, case, file) for rank in (0, 1))
    codes = [os.waitstatus_to_exitcode(os.waitpid(second, 0)[1])]
    written = file.read_text(encoding="utf-8") if file.exists() else None
    if codes[0] != 0:
        os.kill(first, 15)  # as torchrun does
    codes.insert(0, os.waitstatus_to_exitcode(os.waitpid(first, 0)[1]))
    handlers = [file.with_suffix(f".{rank}").exists() for rank in (0, 1)]
    return {"case": case, "written": written, "codes": codes, "handlers": handlers}


if __name__ == "__main__":
    gc.freeze()
    for number, case in enumerate(["well"] * 30 + ["failed"]):
        sys.stdout.write(json.dumps(pair(case, Path(sys.argv[1]) / str(number))) + "\n")
        sys.stdout.flush()
