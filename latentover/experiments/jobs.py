"""What a backend makes: tasks, of which the run of a recipe with a seed is one, and what can come of them."""

from __future__ import annotations

import warnings
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import torch

from latentover.data import DataConfig, Splits, load_splits
from latentover.experiments.recipe import Recipe
from latentover.experiments.run import Machine, run_recipe
from latentover.runs.folder import Failure, RunFolder
from latentover.training import parallel

_LAST_SPLITS: list[tuple[DataConfig, Splits]] = []
"""The data that this process read last, for the runs of a benchmark share it; empty outside of one."""


@dataclass(frozen=True)
class Busy:
    """Another process does it."""


class Task(Protocol):
    """Something that any process can do; it travels by pickle."""

    @property
    def name(self) -> str:
        """For people; no two tasks that are given to a backend have the same."""

    def run(self, machine: Machine, *, wait: bool) -> dict[str, Any] | Busy:
        """Do it and return what is to be told of it; where another process does it, wait for that or return `Busy`."""


Outcomes = Generator[tuple[Any, "dict[str, Any] | Failure | Busy"], None, None]


class Backend(Protocol):
    """A way to have tasks done."""

    def __call__(self, tasks: Iterable[Any], machine: Machine, *, wait: bool) -> Outcomes:
        """Yield every task once, as it ends, with what came of it: one that fails must not cost the others.

        The next task is taken when there is somebody to do it. A task that another process does is waited for, or
        `Busy` if `wait` is False. Closed before its end, it ends what it has begun, and leaves neither a process nor
        half a folder.
        """


@dataclass(frozen=True, eq=False)
class Job:
    """The run of a recipe with a seed."""

    recipe: Recipe
    seed: int
    place: Path

    @cached_property
    def folder(self) -> RunFolder:
        """Where it is, or is to be."""
        return RunFolder(self.place)

    @property
    def name(self) -> str:
        """For people; no two runs of a benchmark have the same."""
        return f"{self.place.parent.parent.name}/{self.place.parent.name}, seed {self.seed}"

    def run(self, machine: Machine, *, wait: bool) -> dict[str, Any] | Busy:
        """Make it and return its metrics."""
        with naming_warnings(self.name):
            try:
                splits = shared_splits(self.recipe.data, machine)
                return run_recipe(self.recipe, self.seed, self.place, machine, splits, wait=wait)
            except BlockingIOError:
                if wait:
                    raise
                return Busy()

    def __getstate__(self) -> dict[str, Any]:
        return {"recipe": self.recipe, "seed": self.seed, "place": self.place}  # not what was read of the folder


@contextmanager
def naming_warnings(name: str) -> Iterator[None]:
    """Let every warning begin with the name of the run that it comes from."""
    with warnings.catch_warnings():
        show = warnings.showwarning

        def named(message: Any, *others: Any, **more: Any) -> None:
            show(f"{name}: {message}", *others, **more)

        warnings.showwarning = named
        yield


def shared_splits(config: DataConfig, machine: Machine) -> Splits:
    """Return the data of a recipe; what was read last is kept until `forget_splits`."""
    if not _LAST_SPLITS or _LAST_SPLITS[0][0] != config:
        _LAST_SPLITS.clear()
        _LAST_SPLITS.append((config, _read_splits(config, machine)))
    return _LAST_SPLITS[0][1]


def forget_splits() -> None:
    """Let go of the data that was read last."""
    _LAST_SPLITS.clear()


def _read_splits(config: DataConfig, machine: Machine) -> Splits:
    """Read the data; what is to be downloaded is downloaded by the first process, and the others wait for it."""
    first_goes_ahead = machine.download and parallel.n_processes() > 1
    if first_goes_ahead and parallel.rank() > 0:
        torch.distributed.barrier()
    splits = load_splits(config, root=machine.data_root, download=machine.download)
    if first_goes_ahead and parallel.rank() == 0:
        torch.distributed.barrier()
    return splits
