"""One view of all runs of a benchmark, whoever makes them: live on a terminal or in a notebook, lines elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from latentover.experiments.jobs import Job
from latentover.runs.folder import Failure
from latentover.training.progress import is_seen

LOOK_SECONDS = 1.0
"""Between two looks at how far the runs have got."""
SHOWN = 12
"""Runs that are shown at the same time; the others are counted."""


class Board:
    """Tells on stderr how a benchmark goes; used as a context.

    Parameters
    ----------
    jobs : sequence of Job
        What is to be made.
    verbose : {0, 1, 2}
        0 tells of failures alone. 1 shows, on a terminal or in a notebook, all runs that are being made with their
        steps and scores and how long the rest will take, and elsewhere a line a finished run; 2 is the same here.
    """

    def __init__(self, jobs: Sequence[Job], verbose: int) -> None:
        self.jobs, self.verbose = {job.name: job for job in jobs}, verbose
        self.total, self.number, self.start = len(jobs), 0, time.perf_counter()
        self.messages = set[str]()
        self.live = _Live(self.total) if verbose and is_seen(widgets=True) else None

    @property
    def is_live(self) -> bool:
        """Whether there is a terminal or a notebook, so that trainings need not speak for themselves."""
        return self.live is not None

    def __enter__(self) -> Board:
        if self.live:
            self.live.begin(self.jobs)
        return self

    def __exit__(self, *_: Any) -> None:
        if self.live:
            self.live.end()

    def ended(self, job: Job, outcome: dict[str, Any] | Failure) -> None:
        """Tell that a run has ended, and how."""
        self.number += 1
        del self.jobs[job.name]
        line = f"[{self.number}/{self.total}] {job.name}: "
        if isinstance(outcome, Failure):
            same = outcome.message in self.messages
            self.messages.add(outcome.message)
            self._say(line + ("failed as above" if same else f"failed: {outcome.message}"))
        elif self.verbose and not self.live:
            seconds = outcome["certificate"]["fit_seconds"]
            left = time_left(time.perf_counter() - self.start, self.number, self.total)
            self._say(f"{line}{100 * outcome['acsa']:.2f} ACSA, {seconds:.1f} s to fit{left and f', {left}'}")
        if self.live:
            self.live.ended(job.name, failed=isinstance(outcome, Failure))

    def _say(self, text: str) -> None:
        if self.live:
            self.live.progress.console.print(text, markup=False, highlight=False)
        else:
            print(text, file=sys.stderr, flush=True)  # noqa: T201


def tell_failed_before(failures: Mapping[str, Failure]) -> None:
    """Tell of runs that are not tried again, with the reason for which they failed."""
    for name, failure in failures.items():
        print(f"{name}: {failure.message}", file=sys.stderr, flush=True)  # noqa: T201


def time_left(seconds: float, done: float, total: int) -> str:
    """Return how long the other runs will take if they are like those before; empty for less than a minute."""
    minutes = seconds / done * (total - done) / 60 if done else 0
    if minutes < 1:
        return ""
    return f"about {minutes:.0f} min left" if minutes < 120 else f"about {minutes / 60:.0f} h left"


class _Live:
    """Bars of the runs that are being made, below one for all; a thread looks how far they have got."""

    def __init__(self, total: int) -> None:
        self.progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[count]}", markup=False),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            console=Console(stderr=True),
            transient=False,
        )
        self.all = self.progress.add_task("runs", total=total, count=f"0/{total}", note="")
        self.total, self.n_ended, self.n_failed = total, 0, 0
        self.rows, self.shares = dict[str, TaskID](), dict[str, float]()
        self.start, self.done, self.lock = time.perf_counter(), threading.Event(), threading.Lock()

    def begin(self, jobs: dict[str, Job]) -> None:
        self.progress.start()
        self.thread = threading.Thread(target=self._look, args=(jobs,), daemon=True)
        self.thread.start()

    def end(self) -> None:
        self.done.set()
        self.thread.join()
        for row in self.rows.values():
            self.progress.remove_task(row)
        self.progress.stop()

    def ended(self, name: str, *, failed: bool) -> None:
        with self.lock:
            self.n_ended, self.n_failed = self.n_ended + 1, self.n_failed + failed
            self._remove(name)
            self._count()

    def _look(self, jobs: dict[str, Job]) -> None:
        while not self.done.wait(LOOK_SECONDS):
            for name, job in list(jobs.items()):
                found = job.folder.progress()
                with self.lock:
                    if found is None or name not in jobs:
                        self._remove(name)
                        continue
                    self.shares[name] = found.step / max(1, found.n_steps)
                    if name not in self.rows and len(self.rows) < SHOWN:
                        self.rows[name] = self.progress.add_task(name, total=found.n_steps, count="", note="")
                    if name in self.rows:
                        count, note = (
                            f"{found.step:,}/{found.n_steps:,} steps",
                            ", ".join(filter(None, (f"{found.phase} {found.elsewhere()}".strip(), found.score))),
                        )
                        self.progress.update(
                            self.rows[name], total=found.n_steps, completed=found.step, count=count, note=note
                        )
            with self.lock:
                self._count()

    def _remove(self, name: str) -> None:
        self.shares.pop(name, None)
        row = self.rows.pop(name, None)
        if row is not None:
            self.progress.remove_task(row)

    def _count(self) -> None:
        """Say how many runs there are, and how long the rest will take; half a run counts as half of one."""
        left = time_left(time.perf_counter() - self.start, self.n_ended + sum(self.shares.values()), self.total)
        hidden = len(self.shares) - len(self.rows)
        notes = (left, f"{self.n_failed} failed" if self.n_failed else "", f"{hidden} more at work" if hidden else "")
        count = f"{self.n_ended}/{self.total}"
        self.progress.update(self.all, completed=self.n_ended, count=count, note=", ".join(filter(None, notes)))
