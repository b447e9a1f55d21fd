"""Many runs: every recipe with every seed, each run once, with progress, and a report at the end."""

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

from tqdm.auto import tqdm

from latentover.experiments.recipe import Recipe, load_recipe
from latentover.experiments.run import Machine, is_finished, run_folder, run_recipe
from latentover.files import check_writable


@dataclass(frozen=True)
class Job:
    """One run that a benchmark asks for."""

    recipe_path: Path
    overrides: tuple[str, ...]
    seed: int
    folder: Path

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.recipe_path.stem}, seed {self.seed}"


@dataclass(frozen=True)
class Outcome:
    """What a benchmark did.

    Attributes
    ----------
    folders : list of Path
        The runs folders, one a group.
    finished : int
        Runs made now.
    repeated : int
        Runs that were there already.
    failures : dict
        From the name of a run that failed to its message.
    """

    folders: list[Path]
    finished: int
    repeated: int
    failures: dict[str, str]


def benchmark(
    recipes: Iterable[Path],
    machine: Machine,
    *,
    out: str | os.PathLike[str] | None = None,
    jobs: int = 1,
    seeds: Sequence[int] | None = None,
    overrides: Sequence[str] = (),
) -> Outcome:
    """Run every recipe with each of its seeds, except those that are finished already.

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
    """
    if jobs < 1:
        raise ValueError(f"Expected jobs to be at least 1, but got {jobs}.")
    loaded = [(path, load_recipe(path, overrides)) for path in recipes]
    todo, repeated, folders = [], 0, []
    for path, recipe in loaded:
        for seed in recipe.seeds if seeds is None else seeds:
            folder = run_folder(recipe, seed, out)
            folders.append(folder.parent.parent)
            if is_finished(recipe, seed, folder):
                repeated += 1
            else:
                todo.append(Job(path, tuple(overrides), seed, folder))
    folders = list(dict.fromkeys(folders))
    for folder in folders:
        check_writable(folder)
    failures = _run_all(todo, machine, jobs)
    return Outcome(folders, len(todo) - len(failures), repeated, failures)


def _run_all(todo: Sequence[Job], machine: Machine, jobs: int) -> dict[str, str]:
    failures: dict[str, str] = {}
    with tqdm(total=len(todo), unit="run", desc="runs", file=sys.stderr, disable=machine.verbose < 1) as bar:

        def note(job: Job, work: Callable[[], object]) -> None:
            try:
                work()
            except Exception as error:  # one failed run must not cost the others; it is reported at the end
                failures[job.name] = f"{type(error).__name__}: {error}"
                bar.write(f"{job.name} failed: {failures[job.name]}", file=sys.stderr)
            bar.update()

        if jobs == 1:
            for job in todo:
                bar.set_postfix_str(job.name)
                note(job, lambda job=job: _run(job, machine))  # type: ignore[misc]
        else:
            quiet = replace(machine, verbose=0)
            threads = max(1, (os.cpu_count() or 1) // jobs)
            with ProcessPoolExecutor(jobs, get_context("spawn"), _set_threads, (threads,)) as pool:
                futures = {pool.submit(_run, job, quiet): job for job in todo}
                for future in as_completed(futures):
                    bar.set_postfix_str(futures[future].name)
                    note(futures[future], future.result)
    return failures


def _set_threads(threads: int) -> None:
    import torch

    torch.set_num_threads(threads)


def _run(job: Job, machine: Machine) -> None:
    recipe: Recipe = load_recipe(job.recipe_path, job.overrides)
    run_recipe(recipe, job.seed, job.folder, machine)
