"""Compare recipes: averages over the seeds of their runs."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from latentover.notebook import note, page, table
from latentover.runs.collection import FailedRun, Run
from latentover.runs.reading import number
from latentover.text import line, short_name

__all__ = [
    "DEFAULT_METRICS",
    "LOWER_IS_BETTER",
    "Cell",
    "Row",
    "Rows",
    "compare",
    "mean_cell",
    "published_cells",
    "run_titles",
    "split_title",
]

LOWER_IS_BETTER = frozenset({"ece", "brier"})
DEFAULT_METRICS = ("acsa", "macro_f1", "gm_a", "mauprc_ova")

SPLITS = {"test_balanced": "balanced test", "test_imbalanced": "imbalanced test", "validation": "validation"}


def split_title(split: str) -> str:
    """Name of a split for people: ``"test_balanced"`` is "balanced test"."""
    return SPLITS.get(split) or short_name(split.replace("_", " "))


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
    stale : str
        Why its runs are not current: made with another recipe, other data or other code; empty where they are.
    """

    recipe: str
    title: str
    cells: Mapping[str, Cell]
    n_seeds: int
    fit_seconds: float | None
    published: Mapping[str, Cell] = field(default_factory=dict)
    source: str = ""
    failed: tuple[FailedRun, ...] = ()
    stale: str = ""


class Rows(list[Row]):
    """Recipes in the order of a comparison; a notebook shows them as a table, the best mean of each metric marked."""

    def _repr_html_(self) -> str:
        if not self:
            return page(note("No runs."))
        metrics = list(self[0].cells)
        return page(
            table(
                ("method", "seeds", *metrics, "fit (s)"),
                [
                    (
                        row.title + (f" ({row.stale})" if row.stale else ""),
                        f"{row.n_seeds}" + (f", {len(row.failed)} failed" if row.failed else ""),
                        *(_cell_text(row.cells[metric], metric) for metric in metrics),
                        "" if row.fit_seconds is None else f"{row.fit_seconds:.1f}",
                    )
                    for row in self
                ],
            ),
            note("In percent, but for brier; the mean over seeds ± its standard deviation, * the best mean."),
        )


def _cell_text(cell: Cell, metric: str) -> str:
    if cell.mean is None:
        return "n/a"
    scale, digits = (1, 4) if metric == "brier" else (100, 2)
    spread = "" if cell.sd is None else f" ± {scale * cell.sd:.{digits}f}"
    return f"{scale * cell.mean:.{digits}f}{spread}{' *' if cell.best else ''}"


def compare(
    runs: Sequence[Run],
    metrics: Sequence[str] = DEFAULT_METRICS,
    split: str | None = None,
    *,
    failed: Sequence[FailedRun] = (),
    stale: Sequence[Run] = (),
) -> Rows:
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
    stale : sequence of Run
        Of `latentover.runs.collection.RunsFolder`: each kind of them is a row of its own, without a mark, at the end.

    Returns
    -------
    Rows
        A list of `Row` that notebooks show as a table, by falling mean of ``acsa`` (of the first metric if ``acsa`` is
        not asked for), then by title.

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
    ordered = sorted(rows, key=lambda row: (_rank(row.cells.get(key), key), row.title))
    return Rows(ordered + [_row(group, metrics, split) for group in _kinds(stale)])


def _kinds(stale: Sequence[Run]) -> list[list[Run]]:
    """Return stale runs in groups of the same recipe, data and code."""
    kinds: dict[tuple[Any, ...], list[Run]] = {}
    for run in stale:
        made = (run.certificate.get(key) for key in ("recipe_sha256", "data_hash", "code"))
        kinds.setdefault((run.recipe, *made), []).append(run)
    return list(kinds.values())


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
        stale=group[0].stale,
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
