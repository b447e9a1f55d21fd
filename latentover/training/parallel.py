"""Several processes that train one model: each takes its part of every batch, and gradients are averaged.

``torchrun`` starts the processes. All draw the same random numbers for the batch of all and take their part of it, so
that two processes see what one with the double batch would see. Gradients are averaged in one flattened all-reduce a
phase before its optimizer steps: `torch.nn.parallel.DistributedDataParallel` does not see those that come from
`torch.autograd.grad`, which several losses on one graph and gradient penalties need.
"""

import atexit
import contextlib
import math
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import NoReturn

import torch
import torch.distributed as dist
from torch import Tensor, nn

from latentover.training.device import resolve_device

_LONGEST_WAIT = timedelta(days=7)
"""For the process that scores and writes."""


_alone = False
"""Whether this process trains on its own although there is a group."""


def start(device: str = "auto") -> None:
    """Join the process group where ``torchrun`` started this process and nobody has done so.

    Parameters
    ----------
    device : str, default="auto"
        What is going to be trained on, as for an estimator. On CUDA each process takes a GPU of its own.

    Raises
    ------
    ValueError
        If this machine has fewer GPUs than processes, if `device` is one GPU of several, or if there is no such device.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) < 2 or dist.is_initialized():
        return
    resolved = resolve_device(device)
    if resolved.type == "cuda":
        n, n_gpus = int(os.environ.get("LOCAL_WORLD_SIZE", "1")), torch.cuda.device_count()
        if n > n_gpus:
            raise ValueError(
                f"Expected at most {n_gpus} processes on a machine with as many GPUs, but got {n}; start fewer, or "
                "train with --device cpu."
            )
        if resolved.index is not None:
            raise ValueError(
                f"Expected device to be 'cuda' where each of {n} processes takes a GPU of its own, but got {device!r}."
            )
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    dist.init_process_group("nccl" if resolved.type == "cuda" else "gloo")
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
    return 1 if _alone else _group_size()


def rank() -> int:
    """Return the number of this process among all that there are, from 0."""
    return dist.get_rank() if _group_size() > 1 else 0


def _group_size() -> int:
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def weighted_mean(losses: Tensor, weights: Tensor | None) -> Tensor:
    """Return the mean of losses (B,), each times its weight; 0 where no weight is above 0.

    It is divided by the sum of the weights that processes have on average, so that the mean over them is that of the
    whole batch.
    """
    return losses.mean() if weights is None else (losses * weights).sum() / mean_total(weights)


def mean_total(weights: Tensor) -> Tensor:
    """Return the mean over all processes of the sum of weights (B,), for something to be divided by."""
    total = weights.detach().sum()
    average([total])
    return total.clamp(min=torch.finfo(total.dtype).tiny)


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Let each process train on its own inside, and end at the same: what a training makes for itself on the way."""
    global _alone
    before, _alone = _alone, True
    try:
        yield
    finally:
        _alone = before


def wait_for_all() -> None:
    """Wait until all processes have got here."""
    if n_processes() > 1:
        dist.barrier()


def part(x: Tensor, dim: int = 0) -> Tensor:
    """Return this process's part of what all processes drew alike; its length has to be divisible by their number."""
    n = n_processes()
    return x if n == 1 else x.chunk(n, dim)[rank()]


def draws(sample: Callable[..., Tensor], n: int, *shape: int, generator: torch.Generator) -> Tensor:
    """Return this process's n of the rows (n, *shape) that all processes draw alike.

    Parameters
    ----------
    sample : callable
        Such as `torch.randn`.
    """
    return part(sample(n * n_processes(), *shape, generator=generator, device=generator.device))


def divisible(rows: Tensor) -> Tensor:
    """Return a batch of all processes (B, ...) that can be divided among them, into parts of at least two rows.

    Where it cannot be it begins anew with its first rows; batch normalisation needs two.
    """
    n = n_processes()
    if n == 1:
        return rows
    size = n * max(2, math.ceil(len(rows) / n))
    return rows[torch.arange(size, device=rows.device) % len(rows)]


def share(rows: Tensor) -> Tensor:
    """Return this process's part of a batch of all (B, ...); see `divisible`."""
    return part(divisible(rows))


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


def of_the_first(value: int, device: torch.device) -> int:
    """Return, in all processes there are, what the first of them says; it is sent from the device of the training."""
    if _group_size() == 1:
        return value
    sent = torch.tensor(value, device=device)
    dist.broadcast(sent, 0)
    return int(sent)


def average_buffers(module: nn.Module) -> None:
    """Give all processes the mean of their running statistics; their parameters are equal already."""
    average([buffer for buffer in module.buffers() if buffer.is_floating_point()])
