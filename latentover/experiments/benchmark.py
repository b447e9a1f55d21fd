"""Many runs: every recipe with every seed, each run once, with progress, and an account of what failed."""

import os
import signal
import sys
import threading
import time
import traceback
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection
from multiprocessing.connection import wait as await_any
from pathlib import Path
from typing import Any, Literal, Protocol

import torch
from tqdm.auto import tqdm

from latentover.data import DataConfig, Splits, load_splits
from latentover.estimators.together import limit_at_once
from latentover.experiments.recipe import Recipe, check_seeds, load_recipe, load_recipes
from latentover.experiments.run import (
    Machine,
    check_run_folder,
    is_finished,
    refresh_labels,
    remove_checkpoints,
    run_folder,
    run_recipe,
)
from latentover.files import write_json
from latentover.report.runs import FAILURE_FILE
from latentover.training import in_turns, parallel

Outcomes = Generator[tuple["Job", "dict[str, Any] | Failure | Busy"], None, None]

GRACE = 3.0
"""Seconds that a process gets to end by itself, and to remove what it has half written."""

_LAST_SPLITS: list[tuple[DataConfig, Splits]] = []
"""The data that this process read last, for the runs of a benchmark share it; empty outside of one."""


@dataclass(frozen=True)
class Job:
    """One run that a benchmark asks for."""

    recipe_path: Path
    variant: str | None
    overrides: tuple[str, ...]
    seed: int
    folder: Path
    title: str
    recipe_sha256: str
    trust_modules: tuple[str, ...] = ()
    recipe: Recipe | None = None
    """Where it is of no file, but was put together."""

    def load(self) -> Recipe:
        """Read the recipe, in the process that runs it."""
        if self.recipe is not None:
            return self.recipe
        return load_recipe(self.recipe_path, self.overrides, variant=self.variant, trust_modules=self.trust_modules)

    @property
    def name(self) -> str:
        """For people; no two runs of a benchmark have the same."""
        return f"{self.folder.parent.parent.name}/{self.folder.parent.name}, seed {self.seed}"


@dataclass(frozen=True)
class Failure:
    """Why and where a run failed, as text: an exception would keep the run's tensors alive."""

    message: str
    traceback: str

    @classmethod
    def of(cls, error: Exception) -> "Failure":
        """Return what is to be said of an exception."""
        return cls(f"{type(error).__name__}: {error}", "".join(traceback.format_exception(error)))

    @classmethod
    def of_process(cls, exit_code: int | None) -> "Failure":
        """Return what is to be said of a process that ended in the middle of a run."""
        if exit_code == -9:  # SIGKILL, which Windows has no name for
            return cls("its process was killed, perhaps for want of memory; try again with fewer --jobs", "")
        how = f"ended with exit code {exit_code}"
        if exit_code is not None and exit_code < 0:
            how = f"was ended by signal {-exit_code} ({signal.strsignal(-exit_code)})"
        return cls(f"its process {how} before the run was finished; what it wrote on stderr may say why", "")


@dataclass(frozen=True)
class Busy:
    """Another process makes the run."""


class Backend(Protocol):
    """A way to make runs."""

    def __call__(self, todo: Sequence[Job], machine: Machine, *, wait: bool) -> Outcomes:
        """Yield every run once, as it ends, with its metrics or its failure: a failed run must not cost the others.

        A run that another process makes is waited for, or `Busy` if `wait` is False.
        Closed before its end, it ends what it has begun, and leaves neither a process nor half a folder.
        """


@dataclass(frozen=True)
class Outcome:
    """What a benchmark did.

    Attributes
    ----------
    folders : list of Path
        The runs folders that hold a finished run, one a group.
    finished : int
        Runs made now.
    repeated : int
        Runs that were there already.
    failures : dict of str to Failure
        From the name of a run that failed to its message and traceback.
    """

    folders: list[Path]
    finished: int
    repeated: int
    failures: dict[str, Failure]


def benchmark(
    recipes: Iterable[Path | Recipe],
    machine: Machine,
    *,
    out: str | os.PathLike[str] | None = None,
    jobs: int = 1,
    at_once: int | Literal["auto"] = 1,
    seeds: Sequence[int] | None = None,
    overrides: Sequence[str] = (),
    trust_modules: Sequence[str] = (),
) -> Outcome:
    """Run every recipe, or its variants, with each of its seeds, except those that are finished already.

    Where ``torchrun`` started this process, all processes train each run together, and the first one alone writes.

    Parameters
    ----------
    recipes : iterable of Path or Recipe
        All are read before anything is trained: a mistake in the last costs no training. Recipes that were put
        together, as those of a suite, have their overrides already.
    machine : Machine
    out : path, optional
        Runs folder; by default ``runs/<group>``.
    jobs : int, default=1
        Processes that share the cores.
    at_once : int or "auto", default=1
        Runs that this process trains interleaved, step by step, so that they share a GPU; ``"auto"`` is as many as its
        memory allows. On the CPU nothing is gained, and ``"auto"`` is 1.
    seeds : sequence of int, optional
        Instead of the recipes' own.
    overrides : sequence of str
        Dotted overrides for every recipe.
    trust_modules : sequence of str
        Modules whose networks the recipes may name too; importing them runs their code.

    Raises
    ------
    FileNotFoundError, ValueError
        If a recipe, the machine or a number is not as expected; nothing has been trained then.
    PermissionError, NotADirectoryError
        If a run could not be written; nothing has been trained then.
    """
    if jobs < 1:
        raise ValueError(f"Expected jobs to be at least 1, but got {jobs}; 1 runs one after the other.")
    if seeds is not None:
        check_seeds(seeds)
    parallel.start(machine.device)
    limit = limit_at_once(at_once, machine.device)
    for name, value in (("jobs", jobs), ("at_once", at_once)):
        if value != 1 and parallel.n_processes() > 1:
            raise ValueError(
                f"Expected {name} to be 1 where torchrun starts the processes, but got {value}; choose one of the two."
            )
    if jobs > 1 and at_once != 1:
        raise ValueError(f"Expected jobs or at_once to be 1, but got {jobs} and {at_once!r}; choose one of the two.")
    machine.check()
    if parallel.rank() > 0:
        machine = replace(machine, verbose=0)
    trusted = tuple(trust_modules)
    given = list(recipes)
    resolved = [pair for one in given for pair in _read(one, overrides, trusted)]
    todo, done = _plan(resolved, out, seeds, tuple(overrides), trusted)
    for job in todo:
        check_run_folder(job.folder)
    by_file = {(path, recipe.variant): recipe for path, recipe in resolved}
    todo = _with_composed(todo, [one for one in given if isinstance(one, Recipe)])
    if parallel.rank() == 0:
        for job in done:
            refresh_labels(by_file[job.recipe_path, job.variant], job.folder)
            remove_checkpoints(job.folder)  # of a process that was killed when the run was just finished
            (job.folder / FAILURE_FILE).unlink(missing_ok=True)  # of another recipe that was tried in between
    backend: Backend = _run_here
    if jobs > 1:
        backend = partial(_run_in_processes, jobs=jobs)
    elif limit != 1:
        backend = partial(_run_in_turns, limit=limit)
    failures = _run_all(todo, machine, backend)
    made = [job for job in todo if job.name not in failures]
    folders = dict.fromkeys(job.folder.parent.parent for job in [*done, *made])
    return Outcome(list(folders), len(made), len(done), failures)


def _read(given: Path | Recipe, overrides: Sequence[str], trusted: tuple[str, ...]) -> list[tuple[Path, Recipe]]:
    """Return recipes with their files, or what stands for those."""
    if isinstance(given, Recipe):
        return [(_path(given), given)]
    return [(given, recipe) for recipe in load_recipes(given, overrides, trust_modules=trusted)]


def _with_composed(todo: Sequence[Job], composed: Sequence[Recipe]) -> list[Job]:
    """Return the runs with their recipes, where those are of no file that a process could read."""
    own = {(_path(recipe), recipe.variant): recipe for recipe in composed}
    return [replace(job, recipe=own.get((job.recipe_path, job.variant))) for job in todo]


def _path(recipe: Recipe) -> Path:
    return Path("(composed)", recipe.group, recipe.name)


def _plan(
    recipes: Sequence[tuple[Path, Recipe]],
    out: str | os.PathLike[str] | None,
    seeds: Sequence[int] | None,
    overrides: tuple[str, ...],
    trust_modules: tuple[str, ...],
) -> tuple[list[Job], list[Job]]:
    """Return the runs that are to be made and those that are there; raise ValueError if two share a folder."""
    todo, done, owners = list[Job](), list[Job](), dict[Path, Path]()
    for path, recipe in recipes:
        for seed in recipe.seeds if seeds is None else seeds:
            folder = run_folder(recipe, seed, out)
            job = Job(path, recipe.variant, overrides, seed, folder, recipe.title, recipe.sha256, trust_modules)
            if owners.setdefault(job.folder, path) != path:
                raise ValueError(
                    f"Expected recipes that write to different folders, but {owners[job.folder]} and {path} both write "
                    f"to {job.folder}; rename one, or run them with different --out."
                )
            (done if is_finished(recipe, seed, job.folder) else todo).append(job)
    return todo, done


def _run_all(todo: Sequence[Job], machine: Machine, backend: Backend) -> dict[str, Failure]:
    """Run everything, telling on stderr how it goes, and return the runs that failed."""
    failures: dict[str, Failure] = {}
    if not todo:
        return failures
    disable = None if machine.verbose else True  # None: no bar where stderr is not a terminal
    start = time.perf_counter()
    in_order = backend is _run_here
    outcomes = _shared(todo, machine, backend)
    with (
        closing(outcomes),
        tqdm(total=len(todo), unit="run", desc="runs", file=sys.stderr, disable=disable, dynamic_ncols=True) as bar,
    ):
        if in_order:
            bar.set_postfix_str(todo[0].name)
        for number, (job, outcome) in enumerate(outcomes, start=1):
            line = f"[{number}/{len(todo)}] {job.name}: "
            if isinstance(outcome, Failure):
                same = any(outcome.message == failure.message for failure in failures.values())
                tqdm.write(line + ("failed as above" if same else f"failed: {outcome.message}"), file=sys.stderr)
                failures[job.name] = outcome
                _record(job, outcome)
            elif machine.verbose and bar.disable:
                seconds = outcome["certificate"]["fit_seconds"]
                left = _time_left(time.perf_counter() - start, number, len(todo))
                tqdm.write(f"{line}{100 * outcome['acsa']:.2f} ACSA, {seconds:.1f} s to fit{left}", file=sys.stderr)
            if in_order and number < len(todo):
                bar.set_postfix_str(todo[number].name, refresh=False)
            bar.update()
    return failures


def _shared(
    todo: Sequence[Job], machine: Machine, backend: Backend
) -> Generator[tuple[Job, dict[str, Any] | Failure], None, None]:
    """Yield what comes of each run; those that another process makes come last, and only then are they waited for."""
    # Of processes that train together the first one alone would know that a run is another's.
    for wait_for_others in (False, True) if parallel.n_processes() == 1 else (True,):
        left = []
        with closing(backend(todo, machine, wait=wait_for_others)) as outcomes:
            for job, outcome in outcomes:
                if isinstance(outcome, Busy):
                    left.append(job)
                else:
                    yield job, outcome
        todo = left


def _time_left(seconds: float, done: int, total: int) -> str:
    """Return the end of a line of progress: how long the other runs will take if they are like those before."""
    minutes = seconds / done * (total - done) / 60
    if minutes < 1:
        return ""
    return f", about {minutes:.0f} min left" if minutes < 120 else f", about {minutes / 60:.0f} h left"


def _record(job: Job, failure: Failure) -> None:
    """Leave word of a failure in the run's folder, where the report finds it; the next success replaces the folder."""
    account = {
        "format": 1,
        "title": job.title,
        "seed": job.seed,
        "recipe_sha256": job.recipe_sha256,
        "message": _storable(failure.message),
        "traceback": _storable(failure.traceback),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    with suppress(OSError):  # it has been said, and a full disk is not to end the other runs
        write_json(job.folder / FAILURE_FILE, account)


def _storable(text: str) -> str:
    """Return a text that UTF-8 can hold: paths may have bytes that are none."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


# ---- Ways to make runs -----------------------------------------------------------------------------------------------


def _run_here(todo: Sequence[Job], machine: Machine, *, wait: bool) -> Outcomes:
    """Make the runs in this process, one after the other; see `Backend`."""
    try:
        for job in todo:
            outcome: dict[str, Any] | Failure | Busy
            try:
                outcome = _run(job, machine, wait=wait)
            except Exception as error:
                if parallel.n_processes() > 1:  # the others wait for this process; torchrun ends them with it
                    raise
                outcome = Failure.of(error)
            yield job, outcome
    finally:
        _LAST_SPLITS.clear()


def _run_in_turns(todo: Sequence[Job], machine: Machine, *, wait: bool, limit: int | Callable[[int], bool]) -> Outcomes:
    """Make the runs in this process, some at the same time, a step of each in turn; see `Backend`.

    Where it waits for others it makes one after the other: it is not to keep a run from them meanwhile.
    """
    quiet = replace(machine, verbose=0)
    tasks = [partial(_run, job, quiet, wait=wait) for job in todo]
    with closing(in_turns(tasks, 1 if wait else limit)) as turns:
        try:
            for number, outcome in turns:
                if isinstance(outcome, BaseException) and not isinstance(outcome, Exception):
                    raise outcome
                yield todo[number], Failure.of(outcome) if isinstance(outcome, Exception) else outcome
        finally:
            _LAST_SPLITS.clear()


def _run_in_processes(todo: Sequence[Job], machine: Machine, *, wait: bool, jobs: int) -> Outcomes:
    """Make the runs in processes of their own, some at the same time; see `Backend`.

    A process that is killed fails the run that it was making, and another one takes its place.
    """
    quiet = replace(machine, verbose=0)
    threads = max(1, torch.get_num_threads() // jobs)
    waiting, workers, idle = deque(todo), list[_Worker](), list[_Worker]()
    try:
        while waiting or workers:
            while waiting and len(workers) < jobs:
                workers.append(_Worker(quiet, threads, wait=wait))
                workers[-1].take(waiting.popleft())
            await_any([worker.connection for worker in workers], timeout=1.0)
            for worker in list(workers):
                outcome = worker.outcome()
                if outcome is None:
                    continue
                job = worker.job
                if waiting and worker.take(waiting[0]):
                    waiting.popleft()
                else:
                    worker.connection.close()  # which ends the process
                    workers.remove(worker)
                    idle.append(worker)
                yield job, outcome
    finally:
        with _undisturbed():
            _end(workers, idle)


class _Worker:
    """The process of one `_work`, seen from outside."""

    job: Job

    def __init__(self, machine: Machine, threads: int, *, wait: bool) -> None:
        context = get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(theirs, machine, threads, wait))
        with _undisturbed():  # the new process does not hear Ctrl-C either: it is for this one to answer
            self.process.start()
        theirs.close()

    def take(self, job: Job) -> bool:
        """Hand over a run and say whether there is a process to make it."""
        self.job = job
        try:
            self.connection.send(job)
        except OSError:
            return False
        return True

    def outcome(self) -> dict[str, Any] | Failure | Busy | None:
        """Return how the run ended, None while it goes on; show the warnings that came."""
        alive = self.process.is_alive()  # asked first: what a process sends before it ends is not lost
        try:
            while self.connection.poll():
                message = self.connection.recv()
                if not isinstance(message, _Warned):
                    return message
                warnings.showwarning(message.text, message.category, message.filename, message.lineno)
        except (EOFError, OSError):
            self.process.join(GRACE)
            alive = False
        return None if alive else Failure.of_process(self.process.exitcode)


def _end(busy: Sequence[_Worker], idle: Sequence[_Worker]) -> None:
    """End processes, first with a word and then without."""
    for worker in busy:
        worker.process.terminate()
    until = time.monotonic() + GRACE
    for worker in [*busy, *idle]:
        worker.process.join(max(0.0, until - time.monotonic()))
        worker.process.kill()
        worker.process.join()


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Ignore Ctrl-C; processes that are begun meanwhile do so from their first moment."""
    if threading.current_thread() is not threading.main_thread():  # only that one hears it
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before or signal.SIG_DFL)


@dataclass(frozen=True)
class _Warned:
    """A warning on its way from a process to the one that shows it."""

    text: str
    category: type[Warning]
    filename: str
    lineno: int


def _work(connection: Connection, machine: Machine, threads: int, wait: bool) -> None:
    """Make the runs that come through a connection, and send back what came of them, until it is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _leave)
    threading.Thread(target=_end_with_parent, daemon=True).start()
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
            job = connection.recv()
            try:
                outcome: dict[str, Any] | Failure | Busy = _run(job, machine, wait=wait)
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


def _run(job: Job, machine: Machine, *, wait: bool) -> dict[str, Any] | Busy:
    with naming_warnings(job.name):
        recipe = job.load()
        try:
            return run_recipe(recipe, job.seed, job.folder, machine, _splits(recipe.data, machine), wait=wait)
        except BlockingIOError:
            if wait:
                raise
            return Busy()


@contextmanager
def naming_warnings(name: str) -> Iterator[None]:
    """Let every warning begin with the name of the run that it comes from."""
    with warnings.catch_warnings():
        show = warnings.showwarning

        def named(message: Any, *others: Any, **more: Any) -> None:
            show(f"{name}: {message}", *others, **more)

        warnings.showwarning = named
        yield


def _splits(config: DataConfig, machine: Machine) -> Splits:
    if not _LAST_SPLITS or _LAST_SPLITS[0][0] != config:
        _LAST_SPLITS.clear()
        _LAST_SPLITS.append((config, _read_splits(config, machine)))
    return _LAST_SPLITS[0][1]


def _read_splits(config: DataConfig, machine: Machine) -> Splits:
    """Read the data; what is to be downloaded is downloaded by the first process, and the others wait for it."""
    first_goes_ahead = machine.download and parallel.n_processes() > 1
    if first_goes_ahead and parallel.rank() > 0:
        torch.distributed.barrier()
    splits = load_splits(config, root=machine.data_root, download=machine.download)
    if first_goes_ahead and parallel.rank() == 0:
        torch.distributed.barrier()
    return splits
