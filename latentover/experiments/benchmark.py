"""Many runs: every recipe with every seed, each run once, with progress, and an account of what failed."""

import os
import signal
import sys
import time
import traceback
from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from dataclasses import dataclass, replace
from multiprocessing import active_children, get_context
from pathlib import Path
from typing import Any

import torch
from tqdm.auto import tqdm

from latentover.data import DataConfig, Splits, load_splits
from latentover.experiments.recipe import Recipe, check_seeds, load_recipe, load_recipes
from latentover.experiments.run import (
    Machine,
    check_run_folder,
    is_finished,
    refresh_labels,
    run_folder,
    run_recipe,
)
from latentover.training import parallel

Outcomes = Generator[tuple["Job", "dict[str, Any] | Failure"], None, None]

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
    trust_modules: tuple[str, ...] = ()

    def load(self) -> Recipe:
        """Read the recipe, in the process that runs it."""
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
        message = f"{type(error).__name__}: {error}"
        if isinstance(error, BrokenProcessPool):
            message = "its process was killed, perhaps for want of memory; try again with fewer --jobs"
        return cls(message, "".join(traceback.format_exception(error)))


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
    recipes: Iterable[Path],
    machine: Machine,
    *,
    out: str | os.PathLike[str] | None = None,
    jobs: int = 1,
    seeds: Sequence[int] | None = None,
    overrides: Sequence[str] = (),
    trust_modules: Sequence[str] = (),
) -> Outcome:
    """Run every recipe, or its variants, with each of its seeds, except those that are finished already.

    Where ``torchrun`` started this process, all processes train each run together, and the first one alone writes.

    Parameters
    ----------
    recipes : iterable of Path
        All are read before anything is trained: a mistake in the last costs no training.
    machine : Machine
    out : path, optional
        Runs folder; by default ``runs/<group>``.
    jobs : int, default=1
        Processes that share the cores.
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
    parallel.start()
    if jobs > 1 and parallel.n_processes() > 1:
        raise ValueError(
            f"Expected jobs to be 1 where torchrun starts the processes, but got {jobs}; choose one of the two."
        )
    machine.check()
    if parallel.rank() > 0:
        machine = replace(machine, verbose=0)
    trusted = tuple(trust_modules)
    resolved = [(path, recipe) for path in recipes for recipe in load_recipes(path, overrides, trust_modules=trusted)]
    todo, done = _plan(resolved, out, seeds, tuple(overrides), trusted)
    for job in todo:
        check_run_folder(job.folder)
    by_file = {(path, recipe.variant): recipe for path, recipe in resolved}
    if parallel.rank() == 0:
        for job in done:
            refresh_labels(by_file[job.recipe_path, job.variant], job.folder)
    failures = _run_all(todo, machine, jobs)
    made = [job for job in todo if job.name not in failures]
    folders = dict.fromkeys(job.folder.parent.parent for job in [*done, *made])
    return Outcome(list(folders), len(made), len(done), failures)


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
            job = Job(path, recipe.variant, overrides, seed, run_folder(recipe, seed, out), trust_modules)
            if owners.setdefault(job.folder, path) != path:
                raise ValueError(
                    f"Expected recipes that write to different folders, but {owners[job.folder]} and {path} both write "
                    f"to {job.folder}; rename one, or run them with different --out."
                )
            (done if is_finished(recipe, seed, job.folder) else todo).append(job)
    return todo, done


def _run_all(todo: Sequence[Job], machine: Machine, jobs: int) -> dict[str, Failure]:
    """Run everything, telling on stderr how it goes, and return the runs that failed."""
    failures: dict[str, Failure] = {}
    if not todo:
        return failures
    disable = None if machine.verbose else True  # None: no bar where stderr is not a terminal
    start = time.perf_counter()
    outcomes = _run_here(todo, machine) if jobs == 1 else _run_in_processes(todo, machine, jobs)
    with (
        closing(outcomes),
        tqdm(total=len(todo), unit="run", desc="runs", file=sys.stderr, disable=disable, dynamic_ncols=True) as bar,
    ):
        if jobs == 1:
            bar.set_postfix_str(todo[0].name)
        for number, (job, outcome) in enumerate(outcomes, start=1):
            line = f"[{number}/{len(todo)}] {job.name}: "
            if isinstance(outcome, Failure):
                same = any(outcome.message == failure.message for failure in failures.values())
                tqdm.write(line + ("failed as above" if same else f"failed: {outcome.message}"), file=sys.stderr)
                failures[job.name] = outcome
            elif machine.verbose and bar.disable:
                seconds = outcome["certificate"]["fit_seconds"]
                left = _time_left(time.perf_counter() - start, number, len(todo))
                tqdm.write(f"{line}{100 * outcome['acsa']:.2f} ACSA, {seconds:.1f} s to fit{left}", file=sys.stderr)
            if jobs == 1 and number < len(todo):
                bar.set_postfix_str(todo[number].name, refresh=False)
            bar.update()
    return failures


def _time_left(seconds: float, done: int, total: int) -> str:
    """Return the end of a line of progress: how long the other runs will take if they are like those before."""
    minutes = seconds / done * (total - done) / 60
    if minutes < 1:
        return ""
    return f", about {minutes:.0f} min left" if minutes < 120 else f", about {minutes / 60:.0f} h left"


def _run_here(todo: Sequence[Job], machine: Machine) -> Outcomes:
    """Yield each run with its metrics, or with its failure: one failed run must not cost the others."""
    try:
        for job in todo:
            outcome: dict[str, Any] | Failure
            try:
                outcome = _run(job, machine)
            except Exception as error:
                if parallel.n_processes() > 1:  # the others wait for this process; torchrun ends them with it
                    raise
                outcome = Failure.of(error)
            yield job, outcome
    finally:
        _LAST_SPLITS.clear()


def _run_in_processes(todo: Sequence[Job], machine: Machine, jobs: int) -> Outcomes:
    """Yield as `_run_here`, in the order in which the runs end."""
    quiet = replace(machine, verbose=0)
    threads = max(1, torch.get_num_threads() // jobs)
    others = set(active_children())
    with ProcessPoolExecutor(min(jobs, len(todo)), get_context("spawn"), _start_process, (threads,)) as pool:
        try:
            futures = {pool.submit(_run_in_process, job, quiet): job for job in todo}
            for future in as_completed(futures):
                error = future.exception()
                if error is not None and not isinstance(error, Exception):
                    raise error
                yield futures[future], future.result() if error is None else Failure.of(error)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in set(active_children()) - others:
                process.terminate()
            raise


def _start_process(threads: int) -> None:
    """Prepare a process of the pool: Ctrl-C is for its parent to answer, and being ended leaves no half a folder."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    torch.set_num_threads(threads)


def _run_in_process(job: Job, machine: Machine) -> dict[str, Any]:
    try:
        return _run(job, machine)
    except SystemExit:  # without this the process would go on with the next run
        os._exit(1)


def _run(job: Job, machine: Machine) -> dict[str, Any]:
    recipe = job.load()
    return run_recipe(recipe, job.seed, job.folder, machine, _splits(recipe.data, machine))


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
