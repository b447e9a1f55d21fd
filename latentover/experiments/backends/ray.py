"""On a Ray cluster: tasks go wherever there are free cores and GPUs, and what a lost node did is done again elsewhere.

All nodes have to see the runs folder, as a shared file system or a URL, and the data (``--data-root``), and to have the
same latentover. Where a node is lost a run goes on from its last checkpoint on another one.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, ClassVar

import torch

from latentover.experiments.backends.processes import GRACE, LOSSES
from latentover.experiments.jobs import Busy, Outcomes
from latentover.experiments.run import Machine
from latentover.runs.folder import Failure


@dataclass(frozen=True)
class RayBackend:
    """Does tasks on a Ray cluster; see `latentover.experiments.jobs.Backend`.

    Parameters
    ----------
    address : str, optional
        Of the cluster, as ``ray.init`` takes it: ``"auto"``, ``"10.0.0.1:6379"``, ``"ray://..."``. Without one a
        cluster of this machine alone is started, and ended afterwards.
    cpus : float, default=1
        Cores that a task takes; it computes with so many threads.
    gpus : float, default=0
        GPUs that a task takes; with 0.25 four tasks share one.
    at_most : int, optional
        Tasks at the same time; default: as many as the cluster has cores and GPUs for.

    Raises
    ------
    ImportError
        If Ray is not installed.
    ConnectionError
        If there is no cluster at the address.
    ValueError
        If a number is out of its range, or the cluster never has the cores or GPUs that one task takes.
    """

    is_elsewhere: ClassVar = True
    """Whether the data need not be on this machine."""

    address: str | None = None
    cpus: float = 1.0
    gpus: float = 0.0
    at_most: int | None = None

    def __post_init__(self) -> None:
        for name, low in (("cpus", 0.0), ("gpus", 0.0), ("at_most", 1)):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or value < low):
                raise ValueError(f"Expected {name} to be at least {low:g}, but got {value!r}.")
        if self.gpus > 1 and self.gpus != int(self.gpus):
            raise ValueError(f"Expected gpus to be a part of one GPU or a whole number, but got {self.gpus:g}.")

    def __call__(self, tasks: Iterable[Any], machine: Machine, *, wait: bool) -> Outcomes:
        """Do the tasks on the cluster; see the class."""
        ray = _import_ray()
        with self._connected(ray):
            do = ray.remote(_do).options(
                num_cpus=self.cpus, num_gpus=self.gpus, max_retries=LOSSES - 1, retry_exceptions=False
            )
            waiting, running = iter(tasks), dict[Any, Any]()
            quiet, threads = replace(machine, verbose=0), max(1, int(self.cpus))
            try:
                while True:
                    for task in islice(waiting, max(0, self._room(ray) - len(running))):
                        running[do.remote(task, quiet, threads, wait=wait)] = task
                    if not running:
                        return
                    for reference in ray.wait(list(running), num_returns=1, timeout=1.0)[0]:
                        task = running.pop(reference)
                        yield task, _outcome(ray, reference)
            finally:
                _cancel(ray, list(running))

    @contextmanager
    def _connected(self, ray: Any) -> Iterator[None]:
        """Join the cluster, or start one, unless this process has done so already."""
        if ray.is_initialized():
            yield
            return
        options = {} if self.address else {"include_dashboard": False}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # about variables of the environment that are Ray's own
            try:
                ray.init(self.address or "local", log_to_driver=False, logging_level="error", **options)
            except (ConnectionError, RuntimeError) as error:
                if self.address is None:
                    raise
                raise ConnectionError(
                    f"Expected a Ray cluster at {self.address}, but got: {str(error).rstrip('.')}; start one with "
                    "`ray start --head`; where it asks for a token, as may be from 2.59 on, set RAY_AUTH_MODE=token."
                ) from error
        try:
            yield
        finally:
            ray.shutdown()

    def _room(self, ray: Any) -> int:
        """Return how many tasks the cluster, as it is now, can do at the same time."""
        there = ray.cluster_resources()
        wanted = {"CPU": self.cpus, "GPU": self.gpus}
        fits = [int(there.get(name, 0.0) / n + 1e-9) for name, n in wanted.items() if n > 0]
        room = min(fits, default=1)
        if room < 1:
            raise ValueError(
                f"Expected a cluster that has {self.cpus:g} cores and {self.gpus:g} GPUs for a run, but it has "
                f"{there.get('CPU', 0):g} and {there.get('GPU', 0):g}; ask for fewer, or add nodes."
            )
        return room if self.at_most is None else min(room, self.at_most)


def _import_ray() -> Any:
    try:
        import ray
    except ImportError as error:
        raise ImportError(
            f"Expected Ray to be installed for --backend ray, but got: {error}; pip install 'latentover[ray]'."
        ) from error
    return ray


def _do(task: Any, machine: Machine, threads: int, *, wait: bool) -> tuple[Any, list[tuple[str, type[Warning]]]]:
    """Do a task on a node, and return what came of it and the warnings on the way."""
    torch.set_num_threads(threads)
    told = list[tuple[str, type[Warning]]]()

    def show(message: Any, category: type[Warning], *_: Any, **__: Any) -> None:
        told.append((str(message), next(kind for kind in category.__mro__ if kind.__module__ == "builtins")))

    with warnings.catch_warnings():
        warnings.showwarning = show
        try:
            outcome: dict[str, Any] | Failure | Busy = task.run(machine, wait=wait)
        except Exception as error:
            outcome = Failure.of(error)
    return outcome, told


def _outcome(ray: Any, reference: Any) -> dict[str, Any] | Failure | Busy:
    """Return what came of a task, and show its warnings; a failure where its process was lost too often."""
    try:
        outcome, told = ray.get(reference)
    except ray.exceptions.RayError as error:
        first = next(iter(str(error).strip().splitlines()), type(error).__name__)
        return Failure(f"its process or node was lost {LOSSES} times: {first}", str(error))
    for text, category in told:
        warnings.showwarning(text, category, __file__, 0)
    return outcome


def _cancel(ray: Any, references: list[Any]) -> None:
    """End what is going on, first with a word and then without."""
    for force in (False, True):
        for reference in references:
            ray.cancel(reference, force=force)
        until = time.monotonic() + GRACE
        while references and time.monotonic() < until:
            _, references = ray.wait(references, num_returns=len(references), timeout=0.2)
        if not references:
            return
