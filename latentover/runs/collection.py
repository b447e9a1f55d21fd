"""All runs below a folder: which are finished, failed or neither, and which belong together."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from latentover.places import as_path
from latentover.runs.folder import HISTORY, RunFolder
from latentover.runs.reading import Curve
from latentover.runs.stale import Made, stale
from latentover.text import line, short_name

__all__ = [
    "FailedRun",
    "Run",
    "RunsFolder",
    "collect_runs",
    "failed_runs",
    "name_of",
    "read_finished",
    "read_folder",
    "unfinished_runs",
]


@dataclass(frozen=True)
class Run:
    """One finished run: one recipe with one seed.

    Parameters
    ----------
    path : Path
        The bundle, ``<runs folder>/<recipe>/seed-<s>``.
    recipe : str
        Name of the recipe's folder; runs with the same one are averaged.
    seed : int
    metrics : dict
        ``metrics.json`` as it is.
    stale : str
        Why its scores are those of another recipe, other data or other code than the newest ones; empty if they are
        not.
    """

    path: Path
    recipe: str
    seed: int
    metrics: Mapping[str, Any] = field(repr=False)
    stale: str = ""

    @cached_property
    def folder(self) -> RunFolder:
        """Its files."""
        return RunFolder(self.path)

    @property
    def damaged(self) -> dict[str, str]:
        """The files that could not be read so far, by name, and what is wrong with them."""
        return self.folder.damaged

    def content(self, file: str) -> Any:
        """What one of the files of `latentover.runs.folder.READERS` holds; ``None`` if it is missing or damaged."""
        return self.folder.content(file)

    @property
    def certificate(self) -> Mapping[str, Any]:
        """Where the numbers come from: recipe, data, hardware, versions."""
        return self.metrics.get("certificate") or {}

    def class_names(self, labels: Iterable[str]) -> list[str]:
        """What people call the classes with these labels: the labels, where the run knows no names."""
        names = self.metrics.get("class_names") or {}
        return [names.get(label, label) for label in labels]

    @property
    def title(self) -> str:
        """Name for people, such as "Class-balanced batches"."""
        return short_name(self.certificate.get("title") or self.recipe)

    @property
    def split(self) -> str:
        """The split that the scores at the top level of ``metrics.json`` belong to."""
        return str(self.metrics.get("split", ""))

    @property
    def splits(self) -> list[str]:
        """All splits that were scored, the primary one first."""
        others = self.metrics.get("splits") or {}
        return [self.split, *(name for name in others if name != self.split)]

    def scores(self, split: str | None = None) -> Mapping[str, Any]:
        """Scores on a split; empty if it was not scored.

        Parameters
        ----------
        split : str, optional
            By default the primary split.
        """
        named = (self.metrics.get("splits") or {}).get(split or self.split)
        if named is None and split in (None, self.split):
            return self.metrics
        return named or {}

    def history(self, file: str = HISTORY) -> dict[str, Curve]:
        """Read ``history.csv``, or that of another step of a pipeline.

        Parameters
        ----------
        file : str
            Such as ``"history_sampler.csv"``.

        Returns
        -------
        dict of str to (list of float, list of float)
            For each loss or metric the steps at which it was written and its values; empty cells and columns left out.
        """
        return self.content(file) or {}


@dataclass(frozen=True)
class FailedRun:
    """One run that ended with an error.

    Parameters
    ----------
    path, recipe, seed
        As of a `Run`.
    title : str
        Name of the recipe for people.
    message : str
        The error, on one line.
    traceback : str
        Where it came from; may be empty.
    """

    path: Path
    recipe: str
    seed: int
    title: str
    message: str
    traceback: str = field(repr=False)


@dataclass(frozen=True)
class RunsFolder:
    """What a folder of runs holds.

    Parameters
    ----------
    path : Path
    runs : list of Run
        Finished and current, in order of recipe and seed; those of a recipe were made alike, with the same recipe and
        data, and all with the same code.
    failed : list of FailedRun
        In the same order.
    stale : list of Run
        Finished runs of another recipe, other data or other code than the newest; each says so.
    left_out : dict of str to str
        The other runs, such as ``"gamo/seed-3"``, and why they are left out.
    """

    path: Path
    runs: list[Run]
    failed: list[FailedRun]
    stale: list[Run]
    left_out: dict[str, str]


UNFINISHED = "did not finish"


def read_folder(folder: str | Path) -> RunsFolder:
    """Read all that is to be said of the runs in a folder.

    Parameters
    ----------
    folder : str or Path
        Holds one folder a recipe, and in it one folder a seed: ``<folder>/<recipe>/seed-<s>/metrics.json``.

    Warns
    -----
    UserWarning
        If runs are left out: those whose ``metrics.json`` is damaged, and failures of another recipe.
    """
    runs, failed, left_out, made = list[Run](), list[FailedRun](), dict[str, str](), list[Made]()
    for one, seed in run_folders(as_path(folder)):
        if one.failure is not None:
            failed.append(_failed_run(one, seed))
            if sha256 := one.failure.recipe_sha256:  # a damaged record is still one of a failure
                made.append(Made(one.path, "", one.recipe, sha256, None, None, one.failure.date, failed=True))
        elif one.state == "unfinished":
            left_out[one.name] = UNFINISHED
        elif one.metrics is None:
            left_out[one.name] = f"its metrics.json {one.damaged['metrics.json']}"
        else:
            runs.append(Run(one.path, one.recipe, seed, one.metrics))
            recipe, data, code, date = map(one.certificate.get, ("recipe_sha256", "data_hash", "code", "date"))
            made.append(Made(one.path, "", one.recipe, recipe, data, code, str(date or "")))

    reasons = stale(made)
    left_out |= {name_of(run): reasons[run.path] for run in failed if run.path in reasons}
    told = [f"{run} ({reason})" for run, reason in sorted(left_out.items()) if reason != UNFINISHED]
    if told:
        warnings.warn(f"Expected runs that can be compared in {folder}, but left out {'; '.join(told)}.", stacklevel=1)
    return RunsFolder(
        as_path(folder),
        [run for run in runs if run.path not in reasons],
        [run for run in failed if run.path not in reasons],
        [replace(run, stale=reasons[run.path]) for run in runs if run.path in reasons],
        dict(sorted(left_out.items())),
    )


def name_of(run: Run | FailedRun) -> str:
    """Return its folder inside the runs folder, such as ``"gamo/seed-3"``."""
    return f"{run.recipe}/{run.path.name}"


def _failed_run(folder: RunFolder, seed: int) -> FailedRun:
    failure = folder.failure
    assert failure is not None
    title = short_name(failure.title or folder.recipe)
    return FailedRun(folder.path, folder.recipe, seed, title, failure.message, failure.traceback)


def run_folders(folder: Path) -> list[tuple[RunFolder, int]]:
    """All ``<recipe>/seed-<s>`` folders with their seeds, in order of recipe and seed."""
    found = [RunFolder(path) for path in folder.glob("*/seed-*") if path.is_dir()]
    known = [(run, run.seed) for run in found if run.seed is not None]
    return sorted(known, key=lambda item: (item[0].recipe, item[1]))


def collect_runs(folder: str | Path) -> list[Run]:
    """Read all finished runs under a folder that can be compared.

    Parameters
    ----------
    folder : str or Path
        Holds one folder a recipe, and in it one folder a seed: ``<folder>/<recipe>/seed-<s>/metrics.json``.

    Returns
    -------
    list of Run
        In order of recipe and seed. Stale ones, made with another recipe, other data or other code than the newest,
        are left out, as are those that `failed_runs` and `unfinished_runs` name.

    Raises
    ------
    ValueError
        If the folder holds no such run.

    Warns
    -----
    UserWarning
        If finished runs are left out: damaged and stale ones.

    Examples
    --------
    >>> from latentover.report import collect_runs
    >>> collect_runs("/no/such/folder")
    Traceback (most recent call last):
        ...
    ValueError: Expected *folder* to be a folder with runs (<recipe>/seed-<s>/metrics.json), but /no/such/folder ...
    """
    found = read_finished(folder)
    if found.stale:
        told = "; ".join(f"{name_of(run)} ({run.stale})" for run in found.stale)
        warnings.warn(f"Expected runs that can be compared in {folder}, but left out {told}.", stacklevel=2)
    return found.runs


def read_finished(folder: str | Path) -> RunsFolder:
    """Read a folder as `read_folder` does; raise ValueError if it holds no run that can be compared."""
    found = read_folder(folder)
    if found.runs:
        return found
    problem = "holds no finished run" if found.path.is_dir() else "is not a folder"
    reasons = [f"{name_of(run)} failed: {run.message}" for run in found.failed]
    reasons += [f"{name_of(run)}: {run.stale}" for run in found.stale]
    reasons += [f"{run}: {reason}" for run, reason in found.left_out.items()]
    if reasons:
        problem += f" ({line('; '.join(reasons))})"
    raise ValueError(
        f"Expected *folder* to be a folder with runs (<recipe>/seed-<s>/metrics.json), but {folder} {problem}; "
        "run a recipe or a benchmark first and pass the folder it writes to."
    )


def failed_runs(folder: str | Path) -> list[FailedRun]:
    """Runs that ended with an error, as a benchmark wrote it to their folders.

    Parameters
    ----------
    folder : str or Path
        As for `collect_runs`.

    Returns
    -------
    list of FailedRun
        In order of recipe and seed.
    """
    return read_folder(folder).failed


def unfinished_runs(folder: str | Path) -> list[str]:
    """Folders of runs with neither scores nor an error: runs that were stopped, or that are still going.

    Parameters
    ----------
    folder : str or Path
        As for `collect_runs`.

    Returns
    -------
    list of str
        Their paths inside the folder, such as ``"gamo/seed-3"``.
    """
    return [run for run, reason in read_folder(folder).left_out.items() if reason == UNFINISHED]
