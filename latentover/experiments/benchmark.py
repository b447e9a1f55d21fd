"""Many runs: every recipe with every seed, each made once, with progress, and an account of what failed."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from latentover import notebook
from latentover.data import DataConfig
from latentover.data.reading import missing_source
from latentover.estimators.together import limit_at_once
from latentover.experiments.backends.here import run_here, run_in_turns
from latentover.experiments.backends.processes import run_in_processes
from latentover.experiments.environment import code_version
from latentover.experiments.jobs import Backend, Busy, Job, Outcomes, forget_splits, shared_splits
from latentover.experiments.progress import Board, tell_failed_before
from latentover.experiments.recipe import Recipe, check_seeds, load_recipes
from latentover.experiments.run import Machine, is_finished, refresh_labels, run_folder, untrained
from latentover.experiments.wording import as_typed, of_steps
from latentover.runs.folder import Failure
from latentover.runs.store import append_missing
from latentover.training import parallel

SHOWN = 40
"""Runs in a notebook."""


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
        From the name of a run that failed, now or before, to its message and traceback.
    """

    folders: list[Path]
    finished: int
    repeated: int
    failures: dict[str, Failure]

    def _repr_html_(self) -> str:
        told = f"{self.finished:,} runs made, {self.repeated:,} were there already, {len(self.failures):,} failed."
        failed = [(name, failure.message) for name, failure in self.failures.items()]
        parts = [notebook.note(told), notebook.items(self.folders)]
        if failed:
            parts.append(notebook.table(("failed", "why"), failed[:SHOWN], words=2, more=len(failed) - SHOWN))
        return notebook.page(*parts)


@dataclass(frozen=True)
class Plan:
    """The runs that recipes ask for, and what is known of them before anything is trained.

    Attributes
    ----------
    jobs : list of Job
        All, in the order of recipes and seeds.
    done : list of Job
        Finished: the same recipe, data and code.
    failed : dict of str to Failure
        From the names of those that failed before, and are not to be tried again, to why.
    """

    jobs: list[Job]
    done: list[Job]
    failed: dict[str, Failure]

    @property
    def todo(self) -> list[Job]:
        """The others."""
        return [job for job in self.jobs if job not in self.done and job.name not in self.failed]

    def _repr_html_(self) -> str:
        done = {job.name for job in self.done}
        states = [
            (job.name, "failed before" if job.name in self.failed else "finished" if job.name in done else "to be made")
            for job in self.jobs
        ]
        told = f"{len(states):,} runs: {len(self.todo):,} to be made."
        table = notebook.table(("run", "state"), states[:SHOWN], words=2, more=len(states) - SHOWN)
        return notebook.page(notebook.note(told), table)


def benchmark(
    recipes: Iterable[Path | Recipe],
    machine: Machine,
    *,
    out: str | os.PathLike[str] | None = None,
    jobs: int = 1,
    at_once: int | Literal["auto"] = 1,
    backend: Backend | None = None,
    seeds: Sequence[int] | None = None,
    overrides: Sequence[str] = (),
    trust_modules: Sequence[str] = (),
    only: tuple[int, int] | None = None,
    retry_failed: bool = False,
    refuse: bool = True,
) -> Outcome:
    """Make the run of every recipe, or its variants, with each of its seeds, except those that are finished already.

    A run is its resolved recipe, its data and the code that makes it: where one of them has changed it is made anew.
    Where ``torchrun`` started this process, all processes train each run together, and the first one alone writes.

    Parameters
    ----------
    recipes : iterable of Path or Recipe
        All are read before anything is trained: a mistake in the last costs no training. Recipes that were put
        together, as those of a suite, have their overrides already.
    machine : Machine
    out : path or URL, optional
        Runs folder; by default ``runs/<group>``.
    jobs : int, default=1
        Processes that share the cores.
    at_once : int or "auto", default=1
        Runs that this process trains interleaved, step by step, so that they share a GPU; ``"auto"`` is as many as its
        memory allows. On the CPU nothing is gained, and ``"auto"`` is 1.
    backend : Backend, optional
        Another way to make runs, such as `latentover.experiments.backends.ray.RayBackend`, in place of `jobs` and
        `at_once`.
    seeds : sequence of int, optional
        Instead of the recipes' own.
    overrides : sequence of str
        Dotted overrides for every recipe.
    trust_modules : sequence of str
        Modules whose networks the recipes may name too; importing them runs their code.
    only : (int, int), optional
        Of all runs, counted from 0 in the order of recipes and seeds, make number i, i + n, i + 2 n ...: a part for
        each job of a scheduler.
    retry_failed : bool, default=False
        Whether runs that failed before are tried again; a run whose recipe or code has changed is in any case.
    refuse : bool, default=True
        Whether an error is raised where no run at all can be made, each for the same reason, such as data that is not
        there; otherwise each of them has failed.

    Raises
    ------
    FileNotFoundError, ValueError
        If a recipe, the machine, a number or the data of all is not as expected; nothing has been trained then.
    PermissionError, NotADirectoryError
        If a run could not be written; nothing has been trained then.
    """
    if seeds is not None:
        check_seeds(seeds)
    parallel.start(machine.device)
    backend = backend or choose_backend(machine, jobs, at_once)
    if backend is not run_here and parallel.n_processes() > 1:
        raise ValueError(
            "Expected one run after the other where torchrun starts the processes, which train each run together, but "
            "got jobs, at_once or another backend; leave that out."
        )
    machine.check()
    if parallel.rank() > 0:
        machine = replace(machine, verbose=0)
    loaded = read_recipes(recipes, overrides, trust_modules)
    made = plan(loaded, machine, out=out, seeds=seeds, only=only, retry_failed=retry_failed)
    todo = made.todo
    for job in todo:
        job.folder.check()
    if parallel.rank() == 0:
        _tidy(made)
        tell_failed_before(made.failed)
    unfit = {} if getattr(backend, "is_elsewhere", False) else _unfit(todo, machine)
    if refuse and len(unfit) == len(made.jobs) and len(set(map(str, unfit.values()))) == 1:
        forget_splits()
        raise next(iter(unfit.values()))
    if backend is not run_here:
        forget_splits()  # others make the runs, and read the data
    failures = {**made.failed, **_run_all(todo, machine, backend, unfit)}
    forget_splits()
    finished = [job for job in todo if job.name not in failures]
    folders = dict.fromkeys(job.place.parent.parent for job in [*made.done, *finished])
    return Outcome(list(folders), len(finished), len(made.done), failures)


def choose_backend(machine: Machine, jobs: int = 1, at_once: int | Literal["auto"] = 1) -> Backend:
    """Return the way to have tasks done on this machine that the numbers ask for; parameters as for `benchmark`."""
    if jobs < 1:
        raise ValueError(f"Expected jobs to be at least 1, but got {jobs}; 1 runs one after the other.")
    limit = limit_at_once(at_once, machine.device)
    if jobs > 1 and at_once != 1:
        raise ValueError(f"Expected jobs to be 1 beside at_once={at_once!r}, but got {jobs}; choose one of the two.")
    if jobs > 1:
        return partial(run_in_processes, jobs=jobs)
    return run_here if limit == 1 else partial(run_in_turns, limit=limit)


def read_recipes(
    recipes: Iterable[Path | Recipe], overrides: Sequence[str] = (), trust_modules: Sequence[str] = ()
) -> list[tuple[Path | None, Recipe]]:
    """Return each recipe with the file that it was read from, and what was read already as it is."""
    found: list[tuple[Path | None, Recipe]] = []
    for one in recipes:
        if isinstance(one, Recipe):
            found.append((None, one))
        else:
            found += [(one, recipe) for recipe in load_recipes(one, overrides, trust_modules=tuple(trust_modules))]
    return found


def plan(
    recipes: Sequence[tuple[Path | None, Recipe]],
    machine: Machine,
    *,
    out: str | os.PathLike[str] | None = None,
    seeds: Sequence[int] | None = None,
    only: tuple[int, int] | None = None,
    retry_failed: bool = False,
) -> Plan:
    """Return the runs that recipes ask for; parameters as for `benchmark`.

    Raises
    ------
    ValueError
        If two recipes share a folder, or `only` is no part.
    """
    jobs = _jobs(recipes, out, seeds)
    if only is not None:
        number, parts = only
        if not 0 <= number < parts:
            raise ValueError(f"Expected a part i/n with 0 <= i < n, but got {number}/{parts}; the first is 0/{parts}.")
        jobs = jobs[number::parts]
    done = [job for job in jobs if is_finished(job.recipe, job.seed, job.folder) and _is_of_its_data(job, machine)]
    left = [] if retry_failed else [job for job in jobs if job not in done]
    return Plan(jobs, done, {job.name: why for job in left if (why := _failed_before(job)) is not None})


@dataclass(frozen=True)
class ListedRun:
    """A run that recipes ask for, its number among all, and how it stands in words."""

    number: int
    job: Job
    state: str


def list_runs(
    recipes: Iterable[Path | Recipe],
    machine: Machine,
    *,
    out: str | os.PathLike[str] | None = None,
    seeds: Sequence[int] | None = None,
    overrides: Sequence[str] = (),
    trust_modules: Sequence[str] = (),
    only: tuple[int, int] | None = None,
) -> list[ListedRun]:
    """Return the runs that recipes ask for, without making any; parameters and errors as for `benchmark`."""
    loaded = read_recipes(recipes, overrides, trust_modules)
    made = plan(loaded, machine, out=out, seeds=seeds, only=only)
    first, step = only or (0, 1)
    return [ListedRun(first + i * step, job, _state(job, made)) for i, job in enumerate(made.jobs)]


def _state(job: Job, made: Plan) -> str:
    if job in made.done:
        return "finished"
    if job.name in made.failed:
        return made.failed[job.name].message
    told = job.folder.progress()
    if told is not None:
        return f"at work, step {told.step} of {told.n_steps}: process {told.pid} on {told.host}"
    if job.folder.checkpoint().exists():
        return "interrupted, goes on from its checkpoint"
    return "stale: of another recipe, data or code" if job.folder.state == "finished" else "not begun"


def _jobs(
    recipes: Sequence[tuple[Path | None, Recipe]], out: str | os.PathLike[str] | None, seeds: Sequence[int] | None
) -> list[Job]:
    jobs, owners = list[Job](), dict[Path, Any]()
    for path, recipe in recipes:
        for seed in recipe.seeds if seeds is None else seeds:
            place = run_folder(recipe, seed, out)
            owner = path or id(recipe)
            if owners.setdefault(place, owner) != owner:
                raise ValueError(
                    f"Expected recipes that write to different folders, but {owners[place]} and {path} both write to "
                    f"{place}; rename one, or run them with different --out."
                )
            jobs.append(Job(recipe, seed, place))
    return jobs


def _is_of_its_data(job: Job, machine: Machine) -> bool:
    """Whether a finished run was made with the data that is there; where none is, it is not to be made anew."""
    try:
        splits = shared_splits(job.recipe.data, machine)
    except (FileNotFoundError, ImportError):
        return True
    return job.folder.certificate.get("data_hash") == splits.data_hash


def _failed_before(job: Job) -> Failure | None:
    """Return why this very run failed before, or None."""
    failure = job.folder.failure
    if failure is None or (failure.recipe_sha256, failure.code) != (job.recipe.sha256, code_version()):
        return None
    how = "--retry-failed (in Python retry_failed=True) tries it again"
    return replace(failure, message=f"failed before: {failure.message.rstrip('.')}; {how}")


def _unfit(todo: Sequence[Job], machine: Machine) -> dict[str, Exception]:
    """Return what would end every run of a recipe, whatever its seed, by the names of the runs.

    Each set of data is looked for once. The first one, whose runs come first, is read, and every recipe on it is held
    against it; others are read when it is their turn.
    """
    looked: list[tuple[DataConfig, Exception | None]] = []
    found: dict[str, Exception] = {}
    known: dict[Path, Exception | None] = {}
    for job in todo:
        recipe = job.recipe
        if job.place.parent not in known:
            first = not looked
            error = next((error for config, error in looked if config == recipe.data), None)
            if all(config != recipe.data for config, _ in looked):
                error = _error_of(partial(_look, recipe.data, machine, read=first))
                looked.append((recipe.data, error))
            if error is None and recipe.data == looked[0][0]:
                error = _error_of(partial(_prepare, job, machine))
            known[job.place.parent] = error
        if (error := known[job.place.parent]) is not None:
            found[job.name] = error
    return found


def _error_of(check: Callable[[], Any]) -> Exception | None:
    """Return what a check raises of what users can mend."""
    try:
        check()
    except (OSError, ValueError, TypeError, ImportError) as error:
        return error
    return None


def _look(config: DataConfig, machine: Machine, *, read: bool) -> None:
    """Read data, or only look whether it is there."""
    if read:
        shared_splits(config, machine)
    elif why := missing_source(config.source, root=machine.data_root, download=machine.download):
        raise FileNotFoundError(why)


def _prepare(job: Job, machine: Machine) -> None:
    """Raise what a run raises of its data before it trains."""
    untrained(job.recipe, job.seed, machine, shared_splits(job.recipe.data, machine))


def _tidy(made: Plan) -> None:
    """Bring what lies beside finished runs up to date: labels, what killed processes left, the store."""
    for job in made.done:
        refresh_labels(job.recipe, job.folder)
        job.folder.tidy()
        job.folder.forget_failure()  # of another recipe that was tried in between
    for folder in {job.place.parent.parent: None for job in made.done}:
        append_missing(folder)


def _run_all(
    todo: Sequence[Job], machine: Machine, backend: Backend, unfit: Mapping[str, Exception]
) -> dict[str, Failure]:
    """Make everything but what cannot be made, telling on stderr how it goes, and return the runs that failed."""
    failures: dict[str, Failure] = {}
    if not todo:
        return failures
    with Board(todo, machine.verbose) as board:
        quiet = replace(machine, verbose=0) if board.is_live else machine
        for job in (job for job in todo if job.name in unfit):
            failures[job.name] = _typed(job, Failure.of(unfit[job.name]))
            _record(job, failures[job.name], code="")  # looked for anew the next time, for it costs no training
            board.ended(job, failures[job.name])
        with closing(_shared([job for job in todo if job.name not in unfit], quiet, backend)) as outcomes:
            for job, outcome in outcomes:
                if isinstance(outcome, Failure):
                    failures[job.name] = outcome = _typed(job, outcome)
                    _record(job, outcome, code_version())
                board.ended(job, outcome)  # type: ignore[arg-type]  # none is `Busy` any more
    return failures


def _typed(job: Job, failure: Failure) -> Failure:
    """Return a failure in the words of the recipe."""
    return replace(failure, message=as_typed(failure.message, of_steps(job.recipe.steps)))


def _record(job: Job, failure: Failure, code: str) -> None:
    """Leave word of a failure in the folder of the run."""
    job.folder.record_failure(replace(failure, title=job.recipe.title, recipe_sha256=job.recipe.sha256, code=code))


def _shared(todo: Sequence[Job], machine: Machine, backend: Backend) -> Outcomes:
    """Yield what comes of each run; those that another process makes come last, and only then are they waited for."""
    # Of processes that train together the first one alone would know that a run is another's.
    for wait_for_others in (False, True) if parallel.n_processes() == 1 else (True,):
        if not todo:
            return
        left = []
        order = _LongestFirst(todo)
        tasks = todo if backend is run_here else order
        with closing(backend(tasks, machine, wait=wait_for_others)) as outcomes:
            for job, outcome in outcomes:
                order.ended(job)
                if isinstance(outcome, Busy):
                    left.append(job)
                else:
                    yield job, outcome
        todo = left


class _LongestFirst:
    """Runs for workers to take: first one of each recipe, then those that take longest, as far as that is known.

    So no worker is left alone with a long run at the end. A run takes as long as those of its recipe did, and at least
    as long as one of them has been going on.
    """

    def __init__(self, todo: Sequence[Job]) -> None:
        self.left = list(todo)
        self.begun, self.took = dict[str, tuple[Path, float]](), dict[Path, float]()

    def __iter__(self) -> Iterator[Job]:
        return self

    def __next__(self) -> Job:
        if not self.left:
            raise StopIteration
        now, recipes = time.monotonic(), dict[Path, float]()
        for recipe, start in self.begun.values():
            recipes[recipe] = max(recipes.get(recipe, 0.0), now - start)
        recipes |= self.took
        job = max(self.left, key=lambda job: recipes.get(job.place.parent, math.inf))  # the first of those alike
        self.left.remove(job)
        self.begun[job.name] = job.place.parent, now
        return job

    def ended(self, job: Job) -> None:
        """Take note of how long a run took."""
        if job.name in self.begun:
            recipe, start = self.begun.pop(job.name)
            self.took[recipe] = time.monotonic() - start
