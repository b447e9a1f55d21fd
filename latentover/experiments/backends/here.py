"""In this process: one task after the other, or some interleaved."""

from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import Any

from latentover.experiments.jobs import Busy, Outcomes, forget_splits
from latentover.experiments.run import Machine
from latentover.runs.folder import Failure
from latentover.training import in_turns, parallel


def run_here(tasks: Iterable[Any], machine: Machine, *, wait: bool) -> Outcomes:
    """Do the tasks in this process, one after the other; see `latentover.experiments.jobs.Backend`."""
    try:
        for task in tasks:
            outcome: dict[str, Any] | Failure | Busy
            try:
                outcome = task.run(machine, wait=wait)
            except Exception as error:
                if parallel.n_processes() > 1:  # the others wait for this process; torchrun ends them with it
                    raise
                outcome = Failure.of(error)
            yield task, outcome
    finally:
        forget_splits()


def run_in_turns(tasks: Iterable[Any], machine: Machine, *, wait: bool, limit: int | Callable[[int], bool]) -> Outcomes:
    """Do the tasks in this process, some at the same time, a step of each training in turn; see `Backend`.

    Where it waits for others it makes one after the other: it is not to keep a run from them meanwhile.
    """
    quiet, todo = replace(machine, verbose=0), list(tasks)
    calls = [partial(task.run, quiet, wait=wait) for task in todo]
    with closing(in_turns(calls, 1 if wait else limit)) as turns:
        try:
            for number, outcome in turns:
                if isinstance(outcome, BaseException) and not isinstance(outcome, Exception):
                    raise outcome
                yield todo[number], Failure.of(outcome) if isinstance(outcome, Exception) else outcome
        finally:
            forget_splits()
