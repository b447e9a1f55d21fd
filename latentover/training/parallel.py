"""Several processes that train one model: each takes its part of every batch, and gradients are averaged.

``torchrun`` starts the processes. All draw the same random numbers for the batch of all and take their part of it, so
that two processes see what one with the double batch would see. Gradients are averaged in one flattened all-reduce a
phase before its optimizer steps: `torch.nn.parallel.DistributedDataParallel` does not see those that come from
`torch.autograd.grad`, which several losses on one graph and gradient penalties need.
"""

import atexit
import contextlib
import os
import sys
from collections.abc import Sequence
from datetime import timedelta
from typing import NoReturn

import torch
import torch.distributed as dist
from torch import Tensor, nn

_LONGEST_WAIT = timedelta(days=7)
"""For the process that scores and writes."""


def start() -> None:
    """Join the process group where ``torchrun`` started this process and nobody has done so."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not dist.is_initialized():
        cuda = torch.cuda.is_available()
        if cuda:
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        dist.init_process_group("nccl" if cuda else "gloo")
        atexit.register(leave)


def leave() -> None:
    """Leave the process group; a process that ends within it may be aborted by the group's own threads."""
    if dist.is_initialized():
        dist.destroy_process_group()


def end(status: int) -> NoReturn:
    """End this process, one of several, with an exit status.

    If all went well it waits until the others have got here, so that none ends while another still writes; after a
    failure it does not, for they may wait for it. Handlers of `atexit` run, but the interpreter is not taken apart:
    threads of torch that are in the middle of something then would abort the process after all its work was done, and
    ``torchrun`` would end the others.
    """
    if status == 0 and dist.is_initialized():
        store = dist.distributed_c10d._get_default_store()
        with contextlib.suppress(RuntimeError):  # the store has gone with the process that has it: that one got here
            store.set(f"latentover/ended/{dist.get_rank()}", "")
            store.wait([f"latentover/ended/{rank}" for rank in range(dist.get_world_size())], _LONGEST_WAIT)
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def n_processes() -> int:
    """Return how many processes train this model together: 1 unless there is a process group."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Return the number of this process among them, from 0."""
    return dist.get_rank() if n_processes() > 1 else 0


def part(x: Tensor, dim: int = 0) -> Tensor:
    """Return this process's part of what all processes drew alike; its length has to be divisible by their number."""
    n = n_processes()
    return x if n == 1 else x.chunk(n, dim)[rank()]


def average(tensors: Sequence[Tensor]) -> None:
    """Replace each tensor, in place, by its mean over all processes."""
    n = n_processes()
    if n == 1 or not tensors:
        return
    flat = torch.cat([tensor.reshape(-1).float() for tensor in tensors])
    dist.all_reduce(flat)
    flat /= n
    for tensor, mean in zip(tensors, flat.split([tensor.numel() for tensor in tensors]), strict=True):
        tensor.copy_(mean.view_as(tensor))


def average_buffers(module: nn.Module) -> None:
    """Give all processes the mean of their running statistics; their parameters are equal already."""
    average([buffer for buffer in module.buffers() if buffer.is_floating_point()])
