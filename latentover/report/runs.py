"""Read a folder of runs and average over seeds."""

from __future__ import annotations

import csv
import json
import math
import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

__all__ = [
    "LOWER_IS_BETTER",
    "Cell",
    "Row",
    "Run",
    "collect_runs",
    "compare",
    "mean_cell",
    "run_titles",
    "unfinished_runs",
]

FORMAT = 1
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
    """

    path: Path
    recipe: str
    seed: int
    metrics: Mapping[str, Any] = field(repr=False)

    @property
    def certificate(self) -> Mapping[str, Any]:
        """Where the numbers come from: recipe, data, hardware, versions."""
        return self.metrics.get("certificate") or {}

    @property
    def title(self) -> str:
        """Name for people, such as "Class-balanced batches"."""
        return str(self.certificate.get("title") or self.recipe)

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

    def history(self, name: str = "history.csv") -> dict[str, tuple[list[float], list[float]]]:
        """Read ``history.csv``, or that of another step of a pipeline.

        Parameters
        ----------
        name : str
            Such as ``"history_sampler.csv"``.

        Returns
        -------
        dict of str to (list of float, list of float)
            For each loss or metric the steps at which it was written and its values; empty cells and columns left out.
        """
        path = self.path / name
        curves: dict[str, tuple[list[float], list[float]]] = {}
        if not path.is_file():
            return curves
        with path.open(newline="", encoding="utf-8") as file:
            for number, line in enumerate(csv.DictReader(file)):
                step = _number(line.get("step"), default=float(number))
                for column, text in line.items():
                    value = _number(text)
                    if column and column not in ("step", "seconds") and math.isfinite(value):
                        steps, values = curves.setdefault(column, ([], []))
                        steps.append(step)
                        values.append(value)
        return curves


def _number(text: object, default: float = math.nan) -> float:
    try:
        return float(text)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return default


def _bundles(folder: Path) -> list[tuple[Path, int]]:
    """All ``<recipe>/seed-<s>`` folders with their seeds, in order of recipe and seed."""
    found = []
    for path in folder.glob("*/seed-*"):
        match = _SEED_FOLDER.fullmatch(path.name)
        if match and path.is_dir():
            found.append((path, int(match[1])))
    return sorted(found, key=lambda item: (item[0].parent.name, item[1]))


def _read_metrics(path: Path) -> dict[str, Any]:
    try:
        metrics = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(
            f"Expected *{path}* to be JSON, but got: {error}; run this recipe and seed again, or remove its folder."
        ) from error
    got = metrics.get("format") if isinstance(metrics, dict) else type(metrics).__name__
    if got != FORMAT:
        raise ValueError(
            f"Expected *{path}* to be of format {FORMAT}, but got {got!r}; "
            "read it with the version of latentover that wrote it, or run it again."
        )
    return metrics


def collect_runs(folder: str | Path) -> list[Run]:
    """Read all finished runs under a folder.

    Parameters
    ----------
    folder : str or Path
        Holds one folder a recipe, and in it one folder a seed: ``<folder>/<recipe>/seed-<s>/metrics.json``.

    Returns
    -------
    list of Run
        In order of recipe and seed. Bundles without ``metrics.json`` are left out; see `unfinished_runs`.

    Raises
    ------
    ValueError
        If the folder holds no finished run, or a ``metrics.json`` cannot be read.

    Examples
    --------
    >>> from latentover.report import collect_runs
    >>> collect_runs("/no/such/folder")
    Traceback (most recent call last):
        ...
    ValueError: Expected *folder* to be a folder with runs (<recipe>/seed-<s>/metrics.json), but /no/such/folder ...
    """
    folder = Path(folder)
    bundles = [(path, seed) for path, seed in _bundles(folder) if (path / "metrics.json").is_file()]
    if not bundles:
        problem = "holds no finished run" if folder.is_dir() else "is not a folder"
        raise ValueError(
            f"Expected *folder* to be a folder with runs (<recipe>/seed-<s>/metrics.json), but {folder} {problem}; "
            "run a recipe or a benchmark first and pass the folder it writes to."
        )
    return [Run(path, path.parent.name, seed, _read_metrics(path / "metrics.json")) for path, seed in bundles]


def unfinished_runs(folder: str | Path) -> list[str]:
    """Bundles without ``metrics.json``: runs that failed, or that are still going.

    Parameters
    ----------
    folder : str or Path
        As for `collect_runs`.

    Returns
    -------
    list of str
        Their paths inside the folder, such as ``"gamo/seed-3"``.
    """
    bundles = _bundles(Path(folder))
    return [f"{path.parent.name}/{path.name}" for path, _ in bundles if not (path / "metrics.json").is_file()]


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
    """

    recipe: str
    title: str
    cells: Mapping[str, Cell]
    n_seeds: int
    fit_seconds: float | None
    published: Mapping[str, Cell] = field(default_factory=dict)
    source: str = ""


def compare(runs: Sequence[Run], metrics: Sequence[str] = DEFAULT_METRICS, split: str | None = None) -> list[Row]:
    """Average every recipe over its seeds.

    Parameters
    ----------
    runs : sequence of Run
        From `collect_runs`.
    metrics : sequence of str, default=("acsa", "macro_f1", "gm_a", "mauprc_ova")
        Keys of ``metrics.json``. The best mean of each is flagged: the highest, for ``ece`` and ``brier`` the lowest.
    split : str, optional
        Such as ``"test_imbalanced"``; by default the primary split of each run.

    Returns
    -------
    list of Row
        By falling mean of ``acsa`` (of the first metric if ``acsa`` is not asked for), then by title.

    Raises
    ------
    ValueError
        If there are no runs, or none has the split or one of the metrics.
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
    rows = _tell_apart([_row(group, metrics, split) for group in by_recipe.values()])
    rows = _flag_best(rows, metrics)
    key = "acsa" if "acsa" in metrics or not metrics else metrics[0]
    return sorted(rows, key=lambda row: (_rank(row.cells.get(key), key), row.title))


def run_titles(runs: Sequence[Run]) -> dict[str, str]:
    """Names for people of the runs' recipes, by recipe in the order of the comparison."""
    return {row.recipe: row.title for row in compare(runs, metrics=("acsa",))}


def _row(group: Sequence[Run], metrics: Sequence[str], split: str | None) -> Row:
    seconds = [s for run in group if math.isfinite(s := _number(run.certificate.get("fit_seconds")))]
    published: Mapping[str, Any] = next((p for run in group if (p := run.certificate.get("published"))), {})
    cells = published_cells(published, split or group[0].split)
    return Row(
        recipe=group[0].recipe,
        title=group[0].title,
        cells={metric: mean_cell([run.scores(split).get(metric) for run in group]) for metric in metrics},
        n_seeds=len(group),
        fit_seconds=statistics.fmean(seconds) if seconds else None,
        published=cells,
        source=str(published.get("source", "")) if cells else "",
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
