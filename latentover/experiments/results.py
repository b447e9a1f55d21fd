"""Tables from the stores of results: recipes, classes, single runs, two stores against each other, all data sets."""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from latentover.files import check_free_file, replacing, write_text
from latentover.report.findings import p_text
from latentover.report.generation import generation_tables
from latentover.report.html import scored_metrics
from latentover.report.overall import overall_sentences, overall_table
from latentover.report.tables import (
    MAX_CLASSES,
    NONE,
    SideTable,
    comparison_latex,
    comparison_markdown,
    comparison_text,
    metric_title,
    percent,
    recall_table,
    seconds,
    side_latex,
    side_markdown,
    side_text,
)
from latentover.runs.collection import Run
from latentover.runs.comparison import DEFAULT_METRICS, Row, compare, mean_cell, split_title
from latentover.runs.folder import GENERATION
from latentover.runs.overall import over_data_sets
from latentover.runs.reading import PER_CLASS
from latentover.runs.store import ALL_CLASSES, GENERATED, MEMORIZATION, STORE, TRAIN, append_missing, read
from latentover.stats import PairedDifference, paired_difference
from latentover.text import guarded, line, markdown, short_name

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "SUFFIXES",
    "Block",
    "Difference",
    "Results",
    "StoredRun",
    "against",
    "blocks",
    "check_out",
    "differences",
    "latex_page",
    "markdown_page",
    "open_results",
    "rows_of",
    "stored_runs",
    "terminal_text",
    "write_results",
]

SUFFIXES = (".csv", ".md", ".tex", ".parquet")


# ---- Reading ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Results:
    """Rows of stores, and which of them are asked for.

    Parameters
    ----------
    frame : DataFrame
        From `latentover.runs.store.read`.
    shown : DataFrame
        The same, and how many samples of each class its runs were trained on, which tables say.
    metrics : sequence of str
        Scores over all classes, or with *classes* of each; empty for the usual ones.
    classes : bool, default=False
        Whether tables show the scores of each class.
    runs : bool, default=False
        Whether tables have a row a run, stale ones too, instead of a row a recipe.
    """

    frame: pd.DataFrame = field(repr=False)
    shown: pd.DataFrame = field(repr=False)
    metrics: Sequence[str] = ()
    classes: bool = False
    runs: bool = False

    def __post_init__(self) -> None:
        known = PER_CLASS if self.classes else ALL_CLASSES
        for metric in self.metrics:
            if metric not in known:
                elsewhere = metric in (ALL_CLASSES if self.classes else PER_CLASS)
                hint = f"{'leave out' if self.classes else 'add'} --classes" if elsewhere else "choose some of them"
                raise ValueError(f"Expected metrics of {', '.join(known)}, but got {metric!r}; {hint}.")


def open_results(
    places: Sequence[str | os.PathLike[str]],
    *,
    where: Sequence[str] = (),
    seeds: Sequence[int] | None = None,
    metrics: Sequence[str] = (),
    classes: bool = False,
    runs: bool = False,
) -> Results:
    """Read stores, after finished runs that they lack were added to them, and keep what is asked for.

    Parameters
    ----------
    places : sequence of path
        Runs folders, or stores. A store that cannot be written to is read as it is.
    where : sequence of str
        Conditions such as ``"recipe=rae"``: the column has this value. Of several on one column one has to hold.
    seeds : sequence of int, optional
    metrics, classes, runs
        See `Results`.

    Raises
    ------
    ValueError
        If a place has no results, a condition or a metric is unknown, or nothing is left.
    """
    for folder in map(Path, places):
        if folder.is_dir() and os.access(folder, os.W_OK):
            append_missing(folder)
    everything = read(places)
    chosen = _select(everything, where, seeds)
    beside = everything[(everything["split"] == TRAIN) & everything["file"].isin(chosen["file"])]
    return Results(chosen, everything.loc[chosen.index.union(beside.index)], metrics, classes, runs)


def _select(frame: pd.DataFrame, where: Sequence[str], seeds: Sequence[int] | None) -> pd.DataFrame:
    wanted: dict[str, list[str]] = {}
    for condition in where:
        column, equals, value = condition.partition("=")
        if not equals:
            raise ValueError(f"Expected a condition such as recipe=rae, but got {condition!r}; write COLUMN=VALUE.")
        if column not in frame.columns:
            near = difflib.get_close_matches(column, frame.columns, 1)
            hint = f"perhaps {near[0]}" if near else f"columns are {', '.join(frame.columns)}"
            raise ValueError(f"Expected a column of the store in {condition!r}, but got {column!r}; {hint}.")
        wanted.setdefault(column, []).append(value)
    if seeds is not None:
        wanted["seed"] = [*map(str, seeds)]
    for column, values in wanted.items():
        kept = frame[frame[column].astype(str).isin(values)]
        if kept.empty:
            known = sorted({short_name(value) for value in frame[column].dropna().astype(str).unique()})
            raise ValueError(
                f"Expected results with {column} {' or '.join(map(repr, values))}, but there are none; there is "
                f"{line(', '.join(known[:20])) or 'nothing'}."
            )
        frame = kept
    return frame


@dataclass(frozen=True)
class StoredRun(Run):
    """A run as its rows in a store tell of it."""

    stale_reason: str = ""

    def content(self, file: str) -> Any:
        """The scores of generated samples; a store has no other files."""
        return self.metrics["generation"] if file == GENERATION else None


class _Cell(NamedTuple):
    """What a row of a store says, missing values as None."""

    run: str
    store: str
    file: str
    recipe: str
    title: str
    seed: int
    recipe_sha256: str | None
    data_hash: str | None
    fit_seconds: float | None
    split: str
    label: str | None
    metric: str
    value: float
    features: str | None
    n: int | None
    k: int | None
    stale_reason: str


def stored_runs(frame: pd.DataFrame) -> list[StoredRun]:
    """Return the runs of a group, as the report takes them, so that both say the same of them.

    Parameters
    ----------
    frame : DataFrame
        Rows of one group of `latentover.runs.store.read`.
    """
    columns = [frame[name].astype(object).where(frame[name].notna(), None).tolist() for name in _Cell._fields]
    runs: dict[str, list[_Cell]] = {}
    for cells in zip(*columns, strict=True):
        runs.setdefault(cells[0], []).append(_Cell(*cells))
    return [_run(rows) for rows in runs.values()]


def _run(rows: Sequence[_Cell]) -> StoredRun:
    own = [row for row in rows if row.split != GENERATED] or rows  # scores of samples are stale while a run is not
    first, splits = own[0], dict[str, list[_Cell]]()
    for row in own:
        if row.split not in (TRAIN, GENERATED):
            splits.setdefault(row.split, []).append(row)
    metrics = {
        "split": next(iter(splits), ""),
        "splits": {split: _scores(group) for split, group in splits.items()},
        "train_counts": {row.label: int(row.value) for row in own if row.split == TRAIN},
        "certificate": {name: getattr(first, name) for name in ("title", "recipe_sha256", "data_hash", "fit_seconds")},
        "generation": _generated([row for row in rows if row.split == GENERATED and not row.stale_reason]),
    }
    path = Path(first.store) / first.file
    return StoredRun(path, first.recipe, int(first.seed), metrics, stale_reason=first.stale_reason)


def _scores(rows: Sequence[_Cell]) -> dict[str, Any]:
    """Scores of a split as ``metrics.json`` has them."""
    scores: dict[str, Any] = {"acsa": None}  # by which rows are ordered, where it is there
    single: dict[str, dict[str, float]] = {}
    for row in rows:
        if row.label is None:
            scores[row.metric] = row.value
        else:
            single.setdefault(row.metric, {})[row.label] = row.value
    classes = [*dict.fromkeys(label for values in single.values() for label in values)]
    return scores | {"classes": classes} | {name: [v.get(label) for label in classes] for name, v in single.items()}


def _generated(rows: Sequence[_Cell]) -> list[dict[str, Any]]:
    """Results of `latentover.metrics.generation_scores`, as far as the report shows them."""
    results: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in rows:
        result = results.setdefault(
            (row.features, row.n, row.k),
            {"features": row.features, "n": row.n, "k": row.k, "pooled": {}, "memorization": {}, "classes": {}},
        )
        name = row.metric.removeprefix(MEMORIZATION)
        if row.label is not None:
            result["classes"].setdefault(row.label, {})[name] = row.value
        elif name == row.metric:
            result["pooled"][name] = row.value
        else:
            result["memorization"][name] = int(row.value) if name in ("copies", "n") else row.value
    return [*results.values()]


# ---- Tables ----------------------------------------------------------------------------------------------------------


class Block(NamedTuple):
    """A heading, a table (rows of a comparison, or one that is ready) and sentences for below."""

    heading: str
    table: Sequence[Row] | SideTable
    notes: Sequence[str]


def _groups(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The rows of each group of each store, by a name that no two share."""
    by_place = frame.assign(group=frame["group"].fillna("")).groupby(["store", "group"], sort=False)
    found: list[tuple[Any, pd.DataFrame]] = [(key, rows) for key, rows in by_place]
    names = [short_name(group or _folder(store).name) for (store, group), _ in found]
    return {
        f"{name} ({_folder(store)})" if names.count(name) > 1 else name: rows
        for name, ((store, _), rows) in zip(names, found, strict=True)
    }


def _folder(store: str) -> Path:
    """The runs folder of a store."""
    return Path(store).parent if Path(store).name == STORE else Path(store)


def blocks(results: Results) -> list[Block]:
    """Return the tables of what is asked for: one a group and split, and one a split over all groups."""
    groups = {name: stored_runs(rows) for name, rows in _groups(results.shown).items()}
    found = list[Block]()
    for name, runs in groups.items():
        current = [run for run in runs if not run.stale_reason]
        for split in dict.fromkeys(split for run in runs for split in run.metrics["splits"]):
            found += _group_blocks(f"{name}, {split_title(split)} split", runs, current, split, results)
        if not results.metrics and not results.classes:
            found += [_generation_block(name, table) for table in generation_tables(current)]
    if not results.runs and not results.classes:
        found += _overall_blocks(groups, results)
    if not found:
        raise ValueError(
            "Expected results of the kind that is asked for, but there are none; ask for fewer conditions."
        )
    return found


def _group_blocks(
    heading: str, runs: Sequence[StoredRun], current: Sequence[StoredRun], split: str, results: Results
) -> list[Block]:
    """The tables of a group on a split."""
    if results.runs:
        scored = [run for run in runs if run.scores(split)]
        return [Block(heading, _run_table(scored, split, results.metrics or DEFAULT_METRICS), [])]
    scored = [run for run in current if run.scores(split)]
    notes = _stale_notes(runs)
    if not scored:
        return []
    if results.classes:
        tables = [recall_table(scored, split, metric, 10**6) for metric in results.metrics or ("recall",)]
        return [Block(heading, _narrow(table), notes) for table in tables if table]
    metrics = scored_metrics(scored, split, results.metrics or DEFAULT_METRICS)
    return [Block(heading, compare(scored, metrics, split), notes)] if metrics else []


def _stale_notes(runs: Sequence[StoredRun]) -> list[str]:
    """Which runs are left out, a sentence a recipe and reason."""
    seeds: dict[tuple[str, str], list[str]] = {}
    for run in runs:
        if run.stale_reason:
            seeds.setdefault((run.title, run.stale_reason), []).append(str(run.seed))
    return [
        f"Stale, and left out: {title}, {'seed' if len(known) == 1 else 'seeds'} {', '.join(known)} ({reason})."
        for (title, reason), known in seeds.items()
    ]


def _narrow(table: SideTable) -> SideTable:
    """A table with a row a class where there are many."""
    if len(table.columns) <= MAX_CLASSES:
        return table
    lines = zip(*(cells for _, cells in table.rows), strict=True)
    rows = [(label, [*cells]) for label, cells in zip(table.columns, lines, strict=True)]
    return SideTable(table.caption, [title for title, _ in table.rows], rows, table.note, head="Class")


def _run_table(runs: Sequence[StoredRun], split: str, metrics: Sequence[str]) -> SideTable:
    """A row a run."""
    shown = [metric for metric in metrics if any(run.scores(split).get(metric) is not None for run in runs)]
    rows = []
    for run in runs:
        scores = [percent(mean_cell([run.scores(split).get(metric)])) for metric in shown]
        fit = run.certificate["fit_seconds"]
        stale = f"stale: {run.stale_reason}" if run.stale_reason else "current"
        rows.append((run.title, [str(run.seed), *scores, seconds(fit), stale]))
    return SideTable("Single runs, in percent", ["Seed", *map(metric_title, shown), "Fit s", "State"], rows)


def _generation_block(name: str, table: Any) -> Block:
    rows = [(row.title, [*row.cells, str(row.seeds)]) for row in table.rows]
    return Block(f"{name}, generated samples", SideTable(table.caption, [*table.columns, "Seeds"], rows), table.flags)


def _overall_blocks(groups: Mapping[str, Sequence[StoredRun]], results: Results) -> list[Block]:
    """Over the groups that were scored on a split, for each split and the first metric."""
    metric = results.metrics[0] if results.metrics else "acsa"
    current = {name: [run for run in runs if not run.stale_reason] for name, runs in groups.items()}
    found = []
    for split in dict.fromkeys(split for runs in current.values() for run in runs for split in run.metrics["splits"]):
        scored = {
            name: [run for run in runs if run.scores(split).get(metric) is not None] for name, runs in current.items()
        }
        rows = {name: compare(runs, [metric], split) for name, runs in scored.items() if runs}
        hashes = {name: runs[0].certificate["data_hash"] for name, runs in scored.items() if runs}
        if overall := over_data_sets(rows, metric, hashes):
            heading = f"Over all data sets, {split_title(split)} split"
            found.append(Block(heading, overall_table(overall), overall_sentences(overall)))
    return found


# ---- Two stores ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Difference:
    """One recipe in two stores, over the seeds that both have.

    Attributes
    ----------
    recipe, title : str
    seeds : tuple of int
        Of both.
    first, second : tuple of float
        Scores with these seeds, in [0, 1].
    paired : PairedDifference or None
        In points, the first less the second; None for a single seed.
    other : tuple of str
        In what the runs of the two stores differ: "recipe", "data".
    """

    recipe: str
    title: str
    seeds: tuple[int, ...]
    first: tuple[float, ...]
    second: tuple[float, ...]
    paired: PairedDifference | None
    other: tuple[str, ...]


def differences(first: Sequence[Run], second: Sequence[Run], split: str, metric: str) -> list[Difference]:
    """Compare the recipes that two sets of runs have in common, over the seeds that both have.

    Parameters
    ----------
    first, second : sequence of Run
        Of each recipe and seed at most one.
    split, metric : str

    Returns
    -------
    list of Difference
        In the order of the first.
    """
    found = []
    for recipe in dict.fromkeys(run.recipe for run in first):
        sides = [
            {run.seed: run for run in runs if run.recipe == recipe and run.scores(split).get(metric) is not None}
            for runs in (first, second)
        ]
        seeds = tuple(sorted(sides[0].keys() & sides[1].keys()))
        if not seeds:
            continue
        values = [tuple(float(side[seed].scores(split)[metric]) for seed in seeds) for side in sides]
        points = [[100 * value for value in one] for one in values]
        pairs = [(sides[0][seed].certificate, sides[1][seed].certificate) for seed in seeds]
        names = {"recipe": "recipe_sha256", "data": "data_hash"}
        other = tuple(name for name, key in names.items() if any(a.get(key) != b.get(key) for a, b in pairs))
        title = sides[0][seeds[0]].title
        paired = paired_difference(*points) if len(seeds) > 1 else None
        found.append(Difference(recipe, title, seeds, values[0], values[1], paired, other))
    return found


def against(first: Results, second: Results) -> list[Block]:
    """Compare two stores: a table a group, split and metric, with what is only in one of them.

    Parameters
    ----------
    first, second : Results
        The runs that are stale take no part.

    Returns
    -------
    list of Block

    Raises
    ------
    ValueError
        If they have no group in common.
    """
    sides = [
        {name: [run for run in stored_runs(rows) if not run.stale_reason] for name, rows in _groups(one.shown).items()}
        for one in (first, second)
    ]
    common = [name for name in sides[0] if name in sides[1]]
    if not common:
        raise ValueError(
            f"Expected stores with a group in common, but got {', '.join(sides[0])} and {', '.join(sides[1])}; compare "
            "runs of the same recipes."
        )
    names = [", ".join(dict.fromkeys(str(_folder(store)) for store in one.frame["store"])) for one in (first, second)]
    found = list[Block]()
    for group in common:
        mine, theirs = sides[0][group], sides[1][group]
        alone = _alone(mine, theirs, names[0]) + _alone(theirs, mine, names[1])
        for split in dict.fromkeys(split for run in mine for split in run.metrics["splits"]):
            for metric in first.metrics or ("acsa",):
                compared = differences(mine, theirs, split, metric)
                table = _difference_table(compared, metric, names)
                notes = [*alone, *_other_notes(compared)]
                found.append(Block(f"{group}, {split_title(split)} split", table, notes))
    return found


def _alone(mine: Sequence[Run], theirs: Sequence[Run], name: str) -> list[str]:
    """What runs only one store has."""
    missing = {(run.recipe, run.seed) for run in mine} - {(run.recipe, run.seed) for run in theirs}
    seeds: dict[str, list[str]] = {}
    for recipe, seed in sorted(missing):
        seeds.setdefault(recipe, []).append(str(seed))
    texts = [
        f"{short_name(recipe)} ({'seed' if len(s) == 1 else 'seeds'} {', '.join(s)})" for recipe, s in seeds.items()
    ]
    return [f"Only in {name}: {', '.join(texts)}."] if texts else []


def _other_notes(compared: Sequence[Difference]) -> list[str]:
    texts = {"recipe": "another recipe", "data": "other data"}
    return [
        f"{one.title} was made with {' and '.join(texts[name] for name in one.other)} in the second."
        for one in compared
        if one.other
    ]


def _difference_table(compared: Sequence[Difference], metric: str, names: Sequence[str]) -> SideTable:
    rows = []
    for one in compared:
        cells = [percent(mean_cell(values)) for values in (one.first, one.second)]
        mean = 100 * (one.first[0] - one.second[0]) if one.paired is None else one.paired.mean
        rows.append((one.title, [*cells, f"{mean:+.2f}", *_certainty(one.paired), str(len(one.seeds))]))
    caption = f"{metric_title(metric)} in percent over shared seeds: {names[0]} (first) and {names[1]} (second)"
    return SideTable(caption, ["First", "Second", "Difference", "95 % interval", "p", "Seeds"], rows)


def _certainty(paired: PairedDifference | None) -> list[str]:
    """The interval and p of a difference; none without spread, which a test cannot speak of."""
    if paired is None:
        return [NONE, NONE]
    if paired.low == paired.high:
        return ["no spread", NONE if paired.mean else "1.00"]
    return [f"{paired.low:+.2f} to {paired.high:+.2f}", p_text(paired.p_value).removeprefix("p ").removeprefix("= ")]


# ---- Printing and writing --------------------------------------------------------------------------------------------


def terminal_text(found: Iterable[Block]) -> str:
    """Return tables for a terminal."""
    parts = []
    for heading, table, notes in found:
        shown = side_text(table) if isinstance(table, SideTable) else comparison_text(table)
        parts.append("\n".join([heading, "=" * len(heading), shown, *([""] if notes else []), *notes]))
    return "\n\n".join(parts)


def markdown_page(found: Iterable[Block]) -> str:
    """Return tables as a Markdown page."""
    parts = []
    for heading, table, notes in found:
        shown = side_markdown(table) if isinstance(table, SideTable) else comparison_markdown(table)
        parts += [f"## {markdown(heading)}", shown, *map(markdown, notes)]
    return "\n\n".join(parts) + "\n"


def latex_page(found: Iterable[Block]) -> str:
    """Return tables for a LaTeX document, without its preamble."""
    parts = ["% These tables need \\usepackage{booktabs}."]
    for heading, table, notes in found:
        if isinstance(table, SideTable):
            note = " ".join(filter(None, [table.note, *notes]))
            parts.append(side_latex(replace(table, caption=f"{heading}. {table.caption}", note=note)))
        else:
            legend = "Percent, mean ± standard deviation over seeds."
            parts.append(comparison_latex(table, " ".join([f"{heading}.", legend, *notes])))
    return "\n\n".join(parts) + "\n"


def check_out(path: str | os.PathLike[str]) -> None:
    """Raise ValueError, IsADirectoryError or as `check_writable` unless `write_results` can write to a path."""
    if Path(path).suffix.lower() not in SUFFIXES:
        raise ValueError(f"Expected a file that ends in {', '.join(SUFFIXES)}, but got {Path(path).name!r}; rename it.")
    check_free_file(path)


def write_results(path: str | os.PathLike[str], results: Results, found: Sequence[Block]) -> Path:
    """Write what was found to a file, whole or not at all.

    Parameters
    ----------
    path : path
        ``.csv`` or ``.parquet``: the rows of the stores, stale ones marked. ``.md`` or ``.tex``: the tables. In a
        ``.csv`` an apostrophe stands before texts that a spreadsheet program would compute.
    results : Results
    found : sequence of Block

    Raises
    ------
    ValueError
        If the name ends in something else.
    """
    check_out(path)
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix == ".md":
        return write_text(path, markdown_page(found))
    if suffix == ".tex":
        return write_text(path, latex_page(found))
    frame = _asked(results)
    if suffix == ".csv":
        return write_text(path, _safe(frame).to_csv(index=False))
    with replacing(path) as temporary:
        pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), temporary)
    return path


def rows_of(results: Results) -> list[dict[str, Any]]:
    """Return the rows of the stores that are asked for as JSON-able values, missing ones as None."""
    frame = _asked(results).astype(object)
    return json.loads(frame.where(frame.notna(), None).to_json(orient="records", date_format="iso"))


def _asked(results: Results) -> pd.DataFrame:
    """Return the rows that are asked for."""
    return results.frame[results.frame["metric"].isin(results.metrics)] if results.metrics else results.frame


def _safe(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows without texts that a spreadsheet program would compute."""
    texts = frame.select_dtypes(exclude=["number", "bool", "datetime"])
    guards = {name: texts[name].map(guarded, na_action="ignore") for name in texts.columns}
    return frame.assign(**guards)
