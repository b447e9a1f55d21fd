"""In processes of their own, some at the same time, each on cores of its own."""

import os
import signal
import sys
import threading
import time
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import pairwise
from multiprocessing import parent_process
from multiprocessing.connection import Connection
from multiprocessing.connection import wait as await_any
from typing import Any

import torch

from latentover.experiments.backends.server import start_server, undisturbed
from latentover.experiments.jobs import Busy, Outcomes
from latentover.experiments.run import Machine
from latentover.runs.folder import Failure

GRACE = 3.0
"""Seconds that a process gets to end by itself, and to remove what it has half written."""
LOSSES = 5
"""How often the process of a task may be killed while it is at it before the task counts as failed."""
STILLBORN = 50
"""How often it may be killed before it has begun."""


def run_in_processes(tasks: Iterable[Any], machine: Machine, *, wait: bool, jobs: int) -> Outcomes:
    """Do the tasks in so many processes of their own; see `latentover.experiments.jobs.Backend`.

    The task of a process that is killed is begun again by another one, which takes its place: a run goes on from its
    checkpoint. A task whose process was killed `LOSSES` times has failed, and so has one that ends its process.
    """
    crew = _Crew(replace(machine, verbose=0), jobs, wait=wait)
    waiting, again, losses, stillborn = iter(tasks), list[Any](), Counter[str](), Counter[str]()
    try:
        while True:
            while crew.has_room:
                task = again.pop() if again else next(waiting, None)
                if task is None:
                    break
                crew.give(task)
            if not crew.busy:
                return
            for task, outcome in crew.ended():
                if isinstance(outcome, _Lost):
                    losses[task.name] += outcome.begun
                    stillborn[task.name] += not outcome.begun
                    if outcome.is_signal and losses[task.name] < LOSSES and stillborn[task.name] < STILLBORN:
                        again.append(task)
                        continue
                    outcome = outcome.failure(losses[task.name])
                yield task, outcome
    finally:
        with undisturbed():
            crew.end()


@dataclass(frozen=True)
class _Lost:
    """A process has ended in the middle of a task, or before it began with it."""

    exit_code: int | None
    begun: bool

    @property
    def is_signal(self) -> bool:
        """Whether somebody else ended it: a signal, or the end of the process that it is a copy of."""
        return self.exit_code is None or self.exit_code < 0 or self.exit_code == 255

    def failure(self, times: int) -> Failure:
        """Return what is to be said of it."""
        often = f" {times} times" if times > 1 else ""
        if self.exit_code == -9:  # SIGKILL, which Windows has no name for
            return Failure(f"its process was killed{often}, perhaps for want of memory; try again with fewer --jobs")
        how = f"ended with exit code {self.exit_code}"
        if self.exit_code is not None and self.exit_code < 0:
            how = f"was ended by signal {-self.exit_code} ({signal.strsignal(-self.exit_code)}){often}"
        return Failure(f"its process {how} before the run was finished; what it wrote on stderr may say why")


class _Crew:
    """Processes, each with cores of its own, and the tasks that they are at."""

    def __init__(self, machine: Machine, size: int, *, wait: bool) -> None:
        self.machine, self.wait = machine, wait
        self.threads = max(1, torch.get_num_threads() // size)
        self.free = _shares_of_cores(size)
        self.busy, self.idle, self.gone = list[_Worker](), list[_Worker](), list[_Worker]()

    @property
    def has_room(self) -> bool:
        """Whether there is somebody to take a task."""
        return bool(self.idle or self.free)

    def give(self, task: Any) -> None:
        """Hand a task to a process that has none, or to a new one."""
        while self.idle:
            worker = self.idle.pop()
            if worker.take(task):
                self.busy.append(worker)
                return
            self._let_go(worker)
        worker = _Worker(self.machine, self.threads, self.free.pop(), wait=self.wait)
        worker.take(task)
        self.busy.append(worker)

    def ended(self) -> Iterator[tuple[Any, dict[str, Any] | Failure | Busy | _Lost]]:
        """Wait a moment, and yield the tasks that have ended with what came of them."""
        await_any([worker.connection for worker in self.busy], timeout=1.0)
        for worker in list(self.busy):
            outcome = worker.outcome()
            if outcome is None:
                continue
            self.busy.remove(worker)
            if isinstance(outcome, _Lost):
                self._let_go(worker)
            else:
                self.idle.append(worker)
            yield worker.task, outcome

    def _let_go(self, worker: "_Worker") -> None:
        worker.connection.close()  # which ends the process
        self.free.append(worker.cores)
        self.gone.append(worker)

    def end(self) -> None:
        """End all processes, first with a word and then without."""
        for worker in self.idle:
            worker.connection.close()
        for worker in self.busy:
            worker.process.terminate()
        until = time.monotonic() + GRACE
        for worker in [*self.busy, *self.idle, *self.gone]:
            worker.process.join(max(0.0, until - time.monotonic()))
            worker.process.kill()
            worker.process.join()


def _shares_of_cores(n: int) -> list[list[int]]:
    """Return for each of n processes the cores that it is to keep to; nothing where there are fewer, or none known."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if len(cores) < n:
        return [[] for _ in range(n)]
    bounds = [i * len(cores) // n for i in range(n + 1)]
    return [cores[low:high] for low, high in pairwise(bounds)]


class _Worker:
    """The process of one `_work`, seen from outside."""

    task: Any

    def __init__(self, machine: Machine, threads: int, cores: list[int], *, wait: bool) -> None:
        self.cores, self.begun = cores, False
        context = start_server()
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(theirs, machine, threads, cores, wait))
        with undisturbed():  # the new process does not hear Ctrl-C either: it is for this one to answer
            self.process.start()
        theirs.close()

    def take(self, task: Any) -> bool:
        """Hand over a task and say whether there is a process to do it."""
        self.task, self.begun = task, False
        try:
            self.connection.send(task)
        except OSError:
            return False
        return True

    def outcome(self) -> dict[str, Any] | Failure | Busy | _Lost | None:
        """Return how the task ended, None while it goes on; show the warnings that came."""
        alive = self.process.is_alive()  # asked first: what a process sends before it ends is not lost
        try:
            while self.connection.poll():
                message = self.connection.recv()
                if isinstance(message, _Warned):
                    warnings.showwarning(message.text, message.category, message.filename, message.lineno)
                elif isinstance(message, _Begun):
                    self.begun = True
                else:
                    return message
        except (EOFError, OSError):
            self.process.join(GRACE)
            alive = False
        return None if alive else _Lost(self.process.exitcode, self.begun)


@dataclass(frozen=True)
class _Begun:
    """A process begins with its task."""


@dataclass(frozen=True)
class _Warned:
    """A warning on its way from a process to the one that shows it."""

    text: str
    category: type[Warning]
    filename: str
    lineno: int


def _work(connection: Connection, machine: Machine, threads: int, cores: Sequence[int], wait: bool) -> None:
    """Do the tasks that come through a connection, and send back what came of them, until it is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _leave)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if cores:
        with suppress(OSError):
            os.sched_setaffinity(0, cores)
    torch.set_num_threads(threads)
    sending = threading.Lock()

    def send(message: Any) -> None:
        with sending:
            connection.send(message)

    def show(
        message: Any, category: type[Warning], filename: str, lineno: int, file: Any = None, line: Any = None
    ) -> None:
        # A class of somebody's own may be unknown to the other process.
        known = next(kind for kind in category.__mro__ if kind.__module__ == "builtins")
        send(_Warned(str(message), known, filename, lineno))

    warnings.showwarning = show
    with suppress(EOFError, OSError):  # nobody is there any more
        while True:
            task = connection.recv()
            send(_Begun())
            try:
                outcome: dict[str, Any] | Failure | Busy = task.run(machine, wait=wait)
            except Exception as error:
                outcome = Failure.of(error)
            send(outcome)


def _leave(*_: Any) -> None:
    """Answer SIGTERM with an exception, so that no half a folder is left, and a second one not at all."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(1)


def _end_with_parent() -> None:
    """End this process soon after its parent has ended, in whatever way it did."""
    parent = parent_process()
    if parent is not None:
        await_any([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(GRACE)
        os._exit(1)
