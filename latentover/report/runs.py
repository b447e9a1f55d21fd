"""Read a folder of runs and average over seeds."""

from __future__ import annotations

import math
import re
import statistics
import warnings
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from latentover.report.reading import (
    Curve,
    attempt,
    number,
    read_generation,
    read_history,
    read_map,
    read_metrics,
    read_object,
    read_panels,
    read_png,
    read_text,
)
from latentover.report.text import line, short_name

__all__ = [
    "FAILURE_FILE",
    "LOWER_IS_BETTER",
    "Cell",
    "FailedRun",
    "Row",
    "Run",
    "RunsFolder",
    "collect_runs",
    "compare",
    "failed_runs",
    "mean_cell",
    "read_folder",
    "run_folders",
    "run_titles",
    "unfinished_runs",
]

FAILURE_FILE = "failure.json"
"""In the folder of a run that failed: why, where, when and of which recipe."""
GENERATION_FILE = "generation.json"
"""In a run's folder: from the name of a feature extractor to the result of `latentover.metrics.generation_scores`."""
READERS: Mapping[str, Callable[[Path], Any]] = {
    "history.csv": read_history,
    "history_sampler.csv": read_history,
    "tsne.csv": read_map,
    "samples.png": read_png,
    "samples.npz": read_panels,
    "recipe.yaml": read_text,
    GENERATION_FILE: read_generation,
}
"""Of the files beside ``metrics.json``; what is drawn from one is left out where it is missing or damaged."""
LOWER_IS_BETTER = frozenset({"ece", "brier"})
DEFAULT_METRICS = ("acsa", "macro_f1", "gm_a", "mauprc_ova")
_SEED_FOLDER = re.compile(r"seed-(\d+)")


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

    Attributes
    ----------
    damaged : dict of str to str
        The files that could not be read so far, by name, and what is wrong with them.
    """

    path: Path
    recipe: str
    seed: int
    metrics: Mapping[str, Any] = field(repr=False)
    damaged: dict[str, str] = field(default_factory=dict, init=False, repr=False, compare=False)
    _contents: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def content(self, file: str) -> Any:
        """What one of the files of `READERS` holds; ``None`` if it is missing or damaged."""
        if file not in self._contents:
            path = self.path / file
            found, reason = attempt(READERS[file], path) if path.exists() else (None, "")
            self._contents[file] = found
            if reason:
                self.damaged[file] = reason
        return self._contents[file]

    @property
    def certificate(self) -> Mapping[str, Any]:
        """Where the numbers come from: recipe, data, hardware, versions."""
        return self.metrics.get("certificate") or {}

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

    def history(self, file: str = "history.csv") -> dict[str, Curve]:
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
        Finished, in order of recipe and seed; those of a recipe were made alike, with the same recipe and data.
    failed : list of FailedRun
        In the same order.
    left_out : dict of str to str
        The other runs, such as ``"gamo/seed-3"``, and why they are left out.
    """

    path: Path
    runs: list[Run]
    failed: list[FailedRun]
    left_out: dict[str, str]


UNFINISHED = "did not finish"
OTHER_RECIPE = "made with another recipe than the newest run beside it"
OTHER_DATA = "made with other data than the newest run beside it"


def read_folder(folder: str | Path) -> RunsFolder:
    """Read all that is to be said of the runs in a folder.

    Parameters
    ----------
    folder : str or Path
        Holds one folder a recipe, and in it one folder a seed: ``<folder>/<recipe>/seed-<s>/metrics.json``.

    Warns
    -----
    UserWarning
        If finished runs are left out: those whose ``metrics.json`` is damaged, and those that were made with another
        recipe or other data than the newest run of the same name.
    """
    runs, failed, left_out = list[Run](), list[FailedRun](), dict[str, str]()
    made: dict[Path, tuple[str, str]] = {}  # when a run was made, and the hash of its recipe
    for path, seed in run_folders(Path(folder)):
        if (path / FAILURE_FILE).is_file():
            account = attempt(read_object, path / FAILURE_FILE)[0] or {}
            failed.append(_failed_run(path, seed, account))
            if account.get("recipe_sha256"):  # a damaged record is still one of a failure
                made[path] = str(account.get("date") or ""), str(account["recipe_sha256"])
        elif not (path / "metrics.json").is_file():
            left_out[_name(path)] = UNFINISHED
        else:
            metrics, reason = attempt(read_metrics, path / "metrics.json")
            if metrics is None:
                left_out[_name(path)] = f"its metrics.json {reason}"
                continue
            run = Run(path, path.parent.name, seed, metrics)
            runs.append(run)
            made[path] = str(run.certificate.get("date") or ""), str(run.certificate.get("recipe_sha256"))

    entries: list[Run | FailedRun] = [*runs, *(run for run in failed if run.path in made)]
    current = _newest(entries, lambda one: made[one.path][1], lambda one: made[one.path][0])
    left_out |= {_name(one.path): OTHER_RECIPE for one in entries if one.path not in current}
    runs = [run for run in runs if run.path in current]
    alike = _newest(runs, lambda run: run.certificate.get("data_hash"), lambda run: made[run.path][0])
    left_out |= {_name(run.path): OTHER_DATA for run in runs if run.path not in alike}

    told = [f"{run} ({reason})" for run, reason in sorted(left_out.items()) if reason != UNFINISHED]
    if told:
        warnings.warn(f"Expected runs that can be compared in {folder}, but left out {'; '.join(told)}.", stacklevel=1)
    return RunsFolder(
        Path(folder),
        [run for run in runs if run.path in alike],
        [run for run in failed if run.path in current or run.path not in made],
        dict(sorted(left_out.items())),
    )


T = TypeVar("T", Run, FailedRun, Run | FailedRun)


def _name(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def _failed_run(path: Path, seed: int, account: Mapping[str, Any]) -> FailedRun:
    title, message, traceback = (
        text if isinstance(text := account.get(key), str) else "" for key in ("title", "message", "traceback")
    )
    return FailedRun(
        path,
        path.parent.name,
        seed,
        short_name(title or path.parent.name),
        line(message or f"its {FAILURE_FILE} does not say why"),
        traceback[-20_000:].strip(),
    )


def _newest(runs: Sequence[T], kind: Callable[[T], Hashable], date: Callable[[T], str]) -> set[Path]:
    """Return of each recipe the folders of the runs that are of the same kind as its newest one."""
    kept: set[Path] = set()
    for recipe in {run.recipe for run in runs}:
        kinds: dict[Hashable, list[T]] = {}
        for run in runs:
            if run.recipe == recipe:
                kinds.setdefault(kind(run), []).append(run)
        kept |= {run.path for run in max(kinds.values(), key=lambda group: (max(map(date, group)), len(group)))}
    return kept


def run_folders(folder: Path) -> list[tuple[Path, int]]:
    """All ``<recipe>/seed-<s>`` folders with their seeds, in order of recipe and seed."""
    found = []
    for path in folder.glob("*/seed-*"):
        match = _SEED_FOLDER.fullmatch(path.name)
        if match and path.is_dir():
            found.append((path, int(match[1])))
    return sorted(found, key=lambda item: (item[0].parent.name, item[1]))


def collect_runs(folder: str | Path) -> list[Run]:
    """Read all finished runs under a folder that can be compared.

    Parameters
    ----------
    folder : str or Path
        Holds one folder a recipe, and in it one folder a seed: ``<folder>/<recipe>/seed-<s>/metrics.json``.

    Returns
    -------
    list of Run
        In order of recipe and seed. Others are left out; see `failed_runs` and `unfinished_runs`.

    Raises
    ------
    ValueError
        If the folder holds no such run.

    Warns
    -----
    UserWarning
        If finished runs are left out: damaged ones, and those that were made with another recipe or other data than
        the newest run of the same name.

    Examples
    --------
    >>> from latentover.report import collect_runs
    >>> collect_runs("/no/such/folder")
    Traceback (most recent call last):
        ...
    ValueError: Expected *folder* to be a folder with runs (<recipe>/seed-<s>/metrics.json), but /no/such/folder ...
    """
    return read_finished(folder).runs


def read_finished(folder: str | Path) -> RunsFolder:
    """Read a folder as `read_folder` does; raise ValueError if it holds no run that can be compared."""
    found = read_folder(folder)
    if found.runs:
        return found
    problem = "holds no finished run" if found.path.is_dir() else "is not a folder"
    reasons = [f"{_name(run.path)} failed: {run.message}" for run in found.failed]
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


@dataclass(frozen=True)
class Cell:
    """One score of one recipe over its seeds.

    Parameters
    ----------
    mean : float or None
        ``None`` if no run has the score.
    sd : float or None
        Standard deviation over seeds (n - 1 in the denominator); ``None`` for fewer than two.
    n : int
        How many seeds have the score.
    best : bool
        Whether no other recipe has a better mean.
    """

    mean: float | None
    sd: float | None
    n: int
    best: bool = False


@dataclass(frozen=True)
class Row:
    """One recipe in a comparison.

    Parameters
    ----------
    recipe, title : str
        Folder name, and name for people.
    cells : dict of str to Cell
        One for each metric, in the order asked for.
    n_seeds : int
    fit_seconds : float or None
        Mean over seeds.
    published : dict of str to Cell
        What a paper reports on the same split, by metric; its seeds are not ours, so ``n`` is 0.
    source : str
        The paper and its table.
    failed : tuple of FailedRun
        Its runs that ended with an error; where all did, ``n_seeds`` is 0 and no cell has a mean.
    """

    recipe: str
    title: str
    cells: Mapping[str, Cell]
    n_seeds: int
    fit_seconds: float | None
    published: Mapping[str, Cell] = field(default_factory=dict)
    source: str = ""
    failed: tuple[FailedRun, ...] = ()


def compare(
    runs: Sequence[Run],
    metrics: Sequence[str] = DEFAULT_METRICS,
    split: str | None = None,
    *,
    failed: Sequence[FailedRun] = (),
) -> list[Row]:
    """Average every recipe over its seeds.

    Parameters
    ----------
    runs : sequence of Run
        From `collect_runs`.
    metrics : sequence of str, default=("acsa", "macro_f1", "gm_a", "mauprc_ova")
        Keys of ``metrics.json``. The best mean of each is flagged: the highest, for ``ece`` and ``brier`` the lowest.
    split : str, optional
        Such as ``"test_imbalanced"``; by default the primary split of each run.
    failed : sequence of FailedRun
        From `failed_runs`; a recipe of which every run failed is a row too.

    Returns
    -------
    list of Row
        By falling mean of ``acsa`` (of the first metric if ``acsa`` is not asked for), then by title.

    Raises
    ------
    ValueError
        If there are no runs, runs of one name were made with different recipes or data, or none has the split or one
        of the metrics.
    """
    if not runs:
        raise ValueError("Expected *runs* to be one run or more, but got none; read them with collect_runs.")
    known = sorted({name for run in runs for name in run.splits})
    if split is not None and split not in known:
        raise ValueError(f"Expected *split* to be one of {known}, but got {split!r}; choose one that was scored.")
    for metric in metrics:
        if not any(metric in run.scores(split) for run in runs):
            raise ValueError(
                f"Expected *metrics* to be scores of these runs, but got {metric!r}, which none has; "
                "see the keys of metrics.json."
            )
    by_recipe: dict[str, list[Run]] = {}
    for run in runs:
        by_recipe.setdefault(run.recipe, []).append(run)
    for recipe, group in by_recipe.items():
        if len({(run.certificate.get("recipe_sha256"), run.certificate.get("data_hash")) for run in group}) > 1:
            raise ValueError(
                f"Expected runs of {recipe!r} that were made with the same recipe and data, but the hashes in their "
                "certificates differ; an average over both would be of neither, compare one of them."
            )
    rows = [_row(group, metrics, split) for group in by_recipe.values()]
    failures: dict[str, list[FailedRun]] = {}
    for failure in failed:
        failures.setdefault(failure.recipe, []).append(failure)
    rows = [replace(row, failed=tuple(failures.pop(row.recipe, ()))) for row in rows]
    nothing = {metric: mean_cell([]) for metric in metrics}
    rows += [Row(r, group[0].title, nothing, 0, None, failed=tuple(group)) for r, group in failures.items()]
    rows = _tell_apart(rows)
    rows = _flag_best(rows, metrics)
    key = "acsa" if "acsa" in metrics or not metrics else metrics[0]
    return sorted(rows, key=lambda row: (_rank(row.cells.get(key), key), row.title))


def run_titles(runs: Sequence[Run]) -> dict[str, str]:
    """Names for people of the runs' recipes, by recipe in the order of the comparison."""
    return {row.recipe: row.title for row in compare(runs, metrics=("acsa",))}


def _row(group: Sequence[Run], metrics: Sequence[str], split: str | None) -> Row:
    seconds = [s for run in group if math.isfinite(s := number(run.certificate.get("fit_seconds")))]
    published: Mapping[str, Any] = next((p for run in group if (p := run.certificate.get("published"))), {})
    cells = published_cells(published, split or group[0].split)
    return Row(
        recipe=group[0].recipe,
        title=group[0].title,
        cells={metric: mean_cell([run.scores(split).get(metric) for run in group]) for metric in metrics},
        n_seeds=len(group),
        fit_seconds=statistics.fmean(seconds) if seconds else None,
        published=cells,
        source=line(published.get("source", "")) if cells else "",
    )


def published_cells(published: Mapping[str, Any], split: str) -> dict[str, Cell]:
    """What a recipe quotes from a paper for a split, by metric; empty if nothing.

    Examples
    --------
    >>> published_cells({"source": "A paper", "test_balanced": {"acsa": 80, "sd": {"acsa": 0.5}}}, "test_balanced")
    {'acsa': Cell(mean=0.8, sd=0.005, n=0, best=False)}
    """
    scores = dict(published.get(split) or {})
    sd = scores.pop("sd", None) or {}
    return {name: Cell(value / 100, sd[name] / 100 if name in sd else None, n=0) for name, value in scores.items()}


def _tell_apart(rows: Sequence[Row]) -> list[Row]:
    """Add the folder to titles that two recipes share."""
    titles = [row.title for row in rows]
    return [replace(r, title=f"{r.title} ({r.recipe})") if titles.count(r.title) > 1 else r for r in rows]


def mean_cell(values: Sequence[float | None]) -> Cell:
    """Mean and standard deviation of the values that are known."""
    known = [value for value in values if value is not None]
    return Cell(
        mean=statistics.fmean(known) if known else None,
        sd=statistics.stdev(known) if len(known) > 1 else None,
        n=len(known),
    )


def _rank(cell: Cell | None, metric: str) -> float:
    """The smaller, the better; recipes without the score come last."""
    if cell is None or cell.mean is None:
        return math.inf
    return cell.mean if metric in LOWER_IS_BETTER else -cell.mean


def _flag_best(rows: Sequence[Row], metrics: Sequence[str]) -> list[Row]:
    best = {metric: min(_rank(row.cells[metric], metric) for row in rows) for metric in metrics}
    flagged = []
    for row in rows:
        cells = {
            name: replace(cell, best=cell.mean is not None and math.isclose(_rank(cell, name), best[name]))
            for name, cell in row.cells.items()
        }
        flagged.append(replace(row, cells=cells))
    return flagged
