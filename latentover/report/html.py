"""The report: all runs of a group on one self-contained page."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from latentover.files import write_whole
from latentover.places import as_path
from latentover.report.comparison import DEFAULT_METRICS, Row, compare
from latentover.report.figures import (
    class_accuracy_figure,
    confusion_figure,
    curves_figure,
    gap_figure,
    ranks_figure,
    recall_figure,
    tracked_figure,
    tsne_figure,
)
from latentover.report.findings import (
    cautions,
    imbalance_ratio,
    key_finding,
    key_tiles,
    plural,
    split_title,
)
from latentover.report.generation import generation_tables
from latentover.report.margins import (
    PARTS,
    class_accuracies,
    gap_points,
    is_tracked,
    margin_tables,
    tracked_curves,
    tracked_part,
)
from latentover.report.overall import Overall, over_data_sets, overall_sentences, overall_table
from latentover.report.samples import png_bytes, side_by_side
from latentover.report.tables import (
    NONE,
    calibration_table,
    epoch_table,
    failures,
    metric_title,
    order_table,
    percent,
    published_sources,
    published_texts,
    seconds,
)
from latentover.report.theme import DARK, LIGHT, Picture
from latentover.runs.collection import Run, RunsFolder, read_finished
from latentover.runs.reading import Curve, Png
from latentover.text import line, short_name

__all__ = ["Comparison", "over_comparisons", "read_comparisons", "write_report"]

MORE_METRICS = ("top1", "gm_b", "gm_c")
MAX_CURVES = 24
"""Losses of a recipe that are drawn, the first ones."""
CERTIFICATE = {
    "data": "Data",
    "data_hash": "Data hash",
    "n_train": "Training samples",
    "n_test": "Test samples",
    "split": "Split",
    "weights": "Weights",
    "fit_seconds": "Fit time",
    "device": "Device",
    "hardware": "Hardware",
    "commit": "Commit",
    "recipe_sha256": "Recipe SHA-256",
    "versions": "Versions",
    "date": "Date",
}
NAMES = {
    "mnist": "MNIST",
    "fashion_mnist": "Fashion-MNIST",
    "svhn": "SVHN",
    "cifar10": "CIFAR-10",
    "cifar100": "CIFAR-100",
    "celeba": "CelebA",
    "cifar10_jpeg": "CIFAR-10 as JPEG files",
    "cifar10_jpeg_lt100": "CIFAR-10 as JPEG files, long-tailed",
    "cifar10_jpeg_lt100_full": "CIFAR-10 as JPEG files, long-tailed, 200 epochs",
}


@dataclass(frozen=True)
class Group:
    """The runs of one recipe, with its place in the order of the report (which also gives its colour)."""

    index: int
    row: Row
    runs: Sequence[Run]

    @property
    def title(self) -> str:
        """Name for people."""
        return self.row.title


@dataclass(frozen=True)
class Comparison:
    """The runs of a folder, which are compared with each other."""

    found: RunsFolder
    title: str

    @property
    def folder(self) -> Path:
        """Where they lie."""
        return self.found.path

    @property
    def runs(self) -> list[Run]:
        """Those that finished."""
        return self.found.runs


def read_comparisons(folders: str | Path | Sequence[str | Path]) -> list[Comparison]:
    """Read the finished runs of one folder or several; titles that two share are told apart by the folder.

    Raises
    ------
    ValueError
        If there is no folder, or one holds no finished run.
    """
    listed = folders if isinstance(folders, list | tuple) else [folders]
    paths = [as_path(folder) for folder in listed]
    if not paths:
        raise ValueError("Expected one runs folder or more, but got none; name a folder that a benchmark wrote to.")
    finished = [read_finished(path) for path in dict.fromkeys(paths)]
    titles = [_group_title(found) for found in finished]
    return [
        Comparison(found, f"{title} ({found.path})" if titles.count(title) > 1 else title)
        for title, found in zip(titles, finished, strict=True)
    ]


def write_report(runs_folder: str | Path | Sequence[str | Path], path: str | Path | None = None) -> Path:
    """Write one page with the comparison, figures, samples and birth certificates of all runs in a folder.

    The page needs no network and no scripts: styles, images and recipes are inside. It fits phones, dark mode and
    paper. Panels for which there is no data are left out; so are those whose file is damaged, which is named.

    Parameters
    ----------
    runs_folder : str or Path, or sequence of them
        One folder a recipe, and in it one folder a seed; see `collect_runs`. Several folders become parts of the page,
        each with its own comparison; three and more with two methods in common begin with a comparison over all.
    path : str or Path, optional
        By default ``report.html`` in *runs_folder*, if that is one. The file appears only when it is complete.

    Returns
    -------
    Path
        The file written. The same runs give the same bytes.

    Raises
    ------
    ValueError
        If a folder holds no finished run, or several folders come without a *path*.
    """
    comparisons = read_comparisons(runs_folder)
    if path is None and len(comparisons) > 1:
        raise ValueError("Expected a path for the page on several runs folders, but got none; name a .html file.")
    single = len(comparisons) == 1
    parts = [_context(one, "" if single else f"part-{i}-") for i, one in enumerate(comparisons, start=1)]
    page = template("report.html.j2").render(
        title=", ".join(one.title for one in comparisons),
        single=single,
        overall=_overall(comparisons),
        parts=parts,
        light=LIGHT,
        dark=DARK,
    )
    return write_whole(path or comparisons[0].folder / "report.html", page.encode("utf-8"))


def over_comparisons(comparisons: Sequence[Comparison]) -> Overall | None:
    """Compare the methods that all folders have, each folder as a data set; None where there are too few."""
    return over_data_sets(
        {one.title: compare(one.runs, metrics=("acsa",)) for one in comparisons},
        data={one.title: one.runs[0].certificate.get("data_hash") for one in comparisons},
    )


def _overall(comparisons: Sequence[Comparison]) -> dict[str, Any] | None:
    overall = over_comparisons(comparisons)
    if overall is None:
        return None
    return {
        "sentences": overall_sentences(overall),
        "table": overall_table(overall),
        "diagram": ranks_figure(overall.ranks, overall.pairs),
    }


def template(name: str) -> Any:
    """Return a template of this folder: what it is given are words, not HTML, unless they say otherwise."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("latentover.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": percent,
        "seconds": seconds,
        "uri": _data_uri,
        "metric": metric_title,
        "published": published_texts,
    }
    environment.globals |= {"plural": plural}
    return environment.get_template(name)


def _context(comparison: Comparison, prefix: str) -> dict[str, Any]:
    """What the page says of one folder; `prefix` stands before its anchors."""
    runs, failed = comparison.runs, comparison.found.failed
    groups = _groups(runs)
    context = {
        "prefix": prefix,
        "title": comparison.title,
        "finding": key_finding(runs),
        "tiles": key_tiles(runs),
        "facts": _facts(runs, groups) + ([f"{len(failed)} failed"] if failed else []),
        "data": _data_panel(runs[0]),
        "tables": [{"prefix": prefix, **_table(comparison.found, groups, split)} for split in _splits(runs)],
        "failed": failed,
        "recall": _recall_panel(groups),
        "samples": _samples(groups),
        "samples_together": samples_together(runs),
        "generation": generation_tables(runs),
        "margins": _margins(runs, groups),
        "curves": _each(groups, _curves),
        "maps": _each(groups, _map),
        "confusions": _each(groups, _confusion),
        "certificates": [_certificate(group) for group in groups],
    }
    return context | {"cautions": cautions(comparison.found)}  # the last: by now the damaged files are known


def _groups(runs: Sequence[Run]) -> list[Group]:
    rows = compare(runs, metrics=("acsa",))
    return [Group(i, row, [run for run in runs if run.recipe == row.recipe]) for i, row in enumerate(rows)]


def _group_title(found: RunsFolder) -> str:
    name = short_name(found.runs[0].certificate.get("group") or found.path.resolve().name)
    words = name.replace("_", " ")
    return NAMES.get(name, words[:1].upper() + words[1:])


def _facts(runs: Sequence[Run], groups: Sequence[Group]) -> list[str]:
    """The line under the title."""
    dates = [str(run.certificate["date"])[:10] for run in runs if run.certificate.get("date")]
    hardware = {line(run.certificate["hardware"]) for run in runs if run.certificate.get("hardware")}
    facts = [plural(len(groups), "method"), plural(len({run.seed for run in runs}), "seed"), plural(len(runs), "run")]
    return facts + sorted(dates)[-1:] + sorted(hardware) * (len(hardware) == 1)


def _splits(runs: Sequence[Run]) -> list[str]:
    """Splits in the order in which they were first met: the primary one of the first run leads."""
    return list(dict.fromkeys(split for run in runs for split in run.splits))


def _data_panel(run: Run) -> dict[str, Any] | None:
    counts = run.metrics.get("train_counts") or {}
    if not counts:
        return None
    order = sorted(counts, key=lambda label: -counts[label])
    falling = [(short_name(name), counts[label]) for label, name in zip(order, run.class_names(order), strict=True)]
    return {
        "name": short_name(run.certificate.get("data") or ""),
        "bars": [(label, n, 100 * n / max(1, falling[0][1])) for label, n in falling],
        "total": sum(counts.values()),
        "ratio": imbalance_ratio(run),
        "largest": falling[0],
        "smallest": falling[-1],
    }


def _table(found: RunsFolder, groups: Sequence[Group], split: str) -> dict[str, Any]:
    """One comparison table: main scores, the rest for those who unfold it, and the ACSA of each seed as dots."""
    scored = [run for run in found.runs if run.scores(split)]
    stale = [run for run in found.stale if run.scores(split)]
    index = {group.row.recipe: group.index for group in groups}
    rows = compare(scored, scored_metrics(scored, split), split, failed=found.failed, stale=stale)
    main = [row for row in rows if row.n_seeds and not row.stale]
    more = compare(scored, scored_metrics(scored, split, MORE_METRICS), split)
    order = [row.recipe for row in main]
    return {
        "split": split_title(split),
        "samples": sorted({sum(run.scores(split).get("support") or [0]) for run in scored}),
        "rows": main,
        "failed": [(row.title, failures(row.failed, named=False)) for row in rows if not row.n_seeds],
        "stale": [row for row in rows if row.stale],
        "more": sorted(more, key=lambda row: order.index(row.recipe)),
        "metrics": list(main[0].cells),
        "more_metrics": list(more[0].cells),
        "index": index,
        "sources": published_sources(main),
        "dots": _dots(scored, split),
        "beside": [
            table
            for table in (order_table(main), epoch_table(scored, split), calibration_table(scored, split))
            if table
        ],
        "mark": len(main) > 1,
    }


def scored_metrics(runs: Sequence[Run], split: str, metrics: Sequence[str] = DEFAULT_METRICS) -> list[str]:
    """The metrics that some run has on a split."""
    return [metric for metric in metrics if any(run.scores(split).get(metric) is not None for run in runs)]


def _dots(runs: Sequence[Run], split: str) -> dict[str, Any]:
    """Places of the seeds' ACSA between a common lowest and highest value, in percent of the width."""
    values: dict[str, list[float]] = {}
    for run in runs:
        if run.scores(split).get("acsa") is not None:
            values.setdefault(run.recipe, []).append(100 * run.scores(split)["acsa"])
    everything = [value for group in values.values() for value in group]
    if len(everything) < 2 or max(everything) - min(everything) < 1e-9:
        return {}
    low, high = min(everything), max(everything)
    places = {
        recipe: [(round(4 + 92 * (value - low) / (high - low), 2), f"{value:.2f}") for value in group]
        for recipe, group in values.items()
    }
    return {"low": f"{low:.1f}", "high": f"{high:.1f}", "places": places}


def _recall_panel(groups: Sequence[Group]) -> Picture | None:
    """Mean recall over seeds of each class; recipes that saw other classes than the first one are left out."""
    first = groups[0].runs[0]
    classes, counts = first.scores().get("classes"), first.metrics.get("train_counts") or {}
    if not classes or any(label not in counts for label in classes):
        return None
    recalls = {}
    for group in groups:
        alike = [run.scores() for run in group.runs if run.scores().get("classes") == classes]
        lists = [scores["recall"] for scores in alike if scores.get("recall")]
        if lists:
            recalls[group.title] = [_mean(column) for column in zip(*lists, strict=True)]
    return recall_figure(recalls, classes, [counts[label] for label in classes]) if recalls else None


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _each(groups: Sequence[Group], draw: Any) -> list[tuple[Group, Picture]]:
    drawn = [(group, draw(group)) for group in groups]
    return [(group, picture) for group, picture in drawn if picture is not None]


def _margins(runs: Sequence[Run], groups: Sequence[Group]) -> dict[str, Any] | None:
    """What was tracked during training, methods in the order of the report."""
    part = tracked_part(runs)
    if part is None:
        return None
    ordered = [run for group in groups for run in group.runs]
    titles = [group.title for group in groups]
    return {
        "part": PARTS[part],
        "tables": margin_tables(ordered),
        "gap": gap_figure(gap_points(ordered, part), titles),
        "curves": tracked_figure(tracked_curves(ordered, part), titles),
        "classes": _each(groups, lambda group: _class_accuracies(group, part)),
    }


def _class_accuracies(group: Group, part: str) -> Picture | None:
    counts = group.runs[0].metrics.get("train_counts") or {}
    steps, accuracies = class_accuracies(group.runs, part, len(counts))
    if not steps:
        return None
    return class_accuracy_figure(steps, accuracies, list(counts), list(counts.values()), group.title)


def _curves(group: Group) -> Picture | None:
    curves: dict[str, list[Curve]] = {}
    for run in group.runs:
        for name, curve in run.history().items():
            if not is_tracked(name):
                curves.setdefault(line(name, 40), []).append(curve)
        for name, curve in run.history("history_sampler.csv").items():
            curves.setdefault(f"sampler: {line(name, 40)}", []).append(curve)
    shown = dict(list(curves.items())[:MAX_CURVES])
    return curves_figure(shown, group.title, group.index) if curves else None


def _map(group: Group) -> Picture | None:
    _, points = _first(group, "tsne.csv")
    if not points or not points.labels:
        return None
    return tsne_figure(points.x, points.y, points.labels, points.kinds, group.title)


def _confusion(group: Group) -> Picture | None:
    """Sum over seeds."""
    classes = group.runs[0].scores().get("classes")
    alike = [run.scores() for run in group.runs if run.scores().get("classes") == classes]
    matrices = [scores["confusion"] for scores in alike if scores.get("confusion")]
    if not classes or not matrices:
        return None
    return confusion_figure(np.sum(matrices, axis=0), classes, group.title)


def _first(group: Group, file: str) -> tuple[Run | None, Any]:
    """The first run of a recipe with a file that can be read, and what it holds."""
    for run in group.runs:
        found = run.content(file)
        if found is not None:
            return run, found
    return None, None


def _samples(groups: Sequence[Group]) -> list[dict[str, Any]]:
    found = [(group, *_first(group, "samples.png")) for group in groups]
    return [{"group": group, "png": png, "seed": run.seed} for group, run, png in found if run]


def samples_together(runs: Sequence[Run]) -> Png | None:
    """One picture of what all methods made of the same classes."""
    panels = {group.title: _first(group, "samples.npz")[1] for group in _groups(runs)}
    picture = side_by_side({title: found for title, found in panels.items() if found is not None})
    return Png(png_bytes(picture), picture.width, picture.height) if picture else None


def _certificate(group: Group) -> dict[str, Any]:
    """One line a field: a single value if all seeds share it, else one value a seed."""
    run, recipe = _first(group, "recipe.yaml")
    return {
        "group": group,
        "seeds": [run.seed for run in group.runs],
        "lines": certificate_lines(group.runs),
        "recipe": recipe,
        "recipe_seed": run.seed if run else None,
    }


def certificate_lines(runs: Sequence[Run]) -> list[tuple[str, list[str]]]:
    """Each field of the birth certificates of a recipe's runs, with one value if all share it, else one a run."""
    lines = [("ACSA", [percent_or_none(run.scores().get("acsa")) for run in runs])]
    lines += [(label, [_field(run.certificate, key) for run in runs]) for key, label in CERTIFICATE.items()]
    lines += [("Reads of the test data", [_field(run.metrics, "test_reads") for run in runs])]
    return [(label, values[:1] if len(set(values)) == 1 else values) for label, values in lines]


def percent_or_none(value: float | None) -> str:
    """A share in percent with two decimals, or "n/a"."""
    return NONE if value is None else f"{100 * value:.2f}%"


def _field(certificate: Mapping[str, Any], key: str) -> str:
    value = certificate.get(key)
    if value is None or value == "":
        return "not recorded"
    if isinstance(value, Mapping):
        return ", ".join(f"{short_name(package)} {short_name(version)}" for package, version in value.items())
    if key == "fit_seconds":
        return f"{seconds(float(value))} s"
    if key == "split":
        return split_title(str(value))
    if key == "device" and certificate.get("processes", 1) > 1:
        return f"{line(value)}, {certificate['processes']} processes"
    return f"{value:,}" if isinstance(value, int) else line(value)


def _data_uri(content: bytes, mime: str) -> str:
    return f"data:{mime};base64,{base64.b64encode(content).decode('ascii')}"
