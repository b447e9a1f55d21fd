"""The report: all runs of a group on one self-contained page."""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from latentover.displays.recall import rows_of_classes
from latentover.displays.theme import DARK, LIGHT
from latentover.files import write_whole
from latentover.places import as_path
from latentover.report.figures import ranks_figure
from latentover.report.findings import (
    cautions,
    counts_sentence,
    imbalance_ratio,
    key_tiles,
    plural,
    score_sentences,
)
from latentover.report.generation import generation_tables
from latentover.report.margins import PARTS, margin_tables, tracked_part
from latentover.report.overall import overall_sentences, overall_table
from latentover.report.panels import final_losses, json_for_html, panel_data
from latentover.report.samples import native_panels, png_bytes, side_by_side
from latentover.report.tables import (
    NONE,
    calibration_table,
    difference_table,
    epoch_table,
    failures,
    metric_title,
    order_table,
    percent,
    published_sources,
    published_texts,
    seconds,
)
from latentover.runs.collection import Run, RunsFolder, read_finished
from latentover.runs.comparison import DEFAULT_METRICS, compare, split_title
from latentover.runs.folder import MAP, PANELS, PICTURE, RECIPE
from latentover.runs.groups import Group, by_class, class_order, first_content, group_runs, mean_or_none
from latentover.runs.overall import Overall, over_data_sets
from latentover.runs.reading import Png
from latentover.text import line, short_name

__all__ = ["Comparison", "over_comparisons", "read_comparisons", "write_report"]

MORE_METRICS = ("top1", "gm_b", "gm_c")
MAX_MATRIX = 30
"""Classes of a confusion matrix that is shown; of more, the `MAX_MISTAKES` most frequent mistakes are listed."""
MAX_MISTAKES = 20
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


def write_report(
    runs_folder: str | Path | Sequence[str | Path], path: str | Path | None = None, *, title: str | None = None
) -> Path:
    """Write one page with the comparison, figures, samples and birth certificates of all runs in a folder.

    The page needs no network: styles, images, recipes and the one script that draws the panels are inside. Without
    scripts all tables are there. It fits phones, dark mode and paper. Panels for which there is no data are left out;
    so are those whose file is damaged, which is named.

    Parameters
    ----------
    runs_folder : str or Path, or sequence of them
        One folder a recipe, and in it one folder a seed; see `collect_runs`. Several folders become parts of the page,
        each with its own comparison; three and more with two methods in common begin with a comparison over all.
    path : str or Path, optional
        By default ``report.html`` in *runs_folder*, if that is one. The file appears only when it is complete.
    title : str, optional
        Of the page; by default the names of the folders.

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
    script = _script()
    page = template("report.html.j2").render(
        title=", ".join(one.title for one in comparisons) if title is None else line(title, 120),
        single=single,
        overall=_overall(comparisons),
        parts=parts,
        data=Markup(json_for_html([part["panels"] for part in parts])),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii"),
        light=LIGHT,
        dark=DARK,
    )
    return write_whole(path or comparisons[0].folder / "report.html", page.encode("utf-8"))


def _script() -> str:
    """Return the page's script; its hash in the page's policy is all that lets it run."""
    text = resources.files("latentover.report").joinpath("report.js").read_text(encoding="utf-8")
    return f"\n{text}"


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
    return _environment().get_template(name)


@cache
def _environment() -> Any:
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
    environment.globals |= {"plural": plural, "contents": _contents}
    return environment


def _context(comparison: Comparison, prefix: str) -> dict[str, Any]:
    """What the page says of one folder; `prefix` stands before its anchors."""
    runs, failed = comparison.runs, comparison.found.failed
    groups, splits = group_runs(runs), _splits(runs)
    panels = panel_data(runs, groups, splits)
    context: dict[str, Any] = {
        "prefix": prefix,
        "title": comparison.title,
        "lead": counts_sentence(runs),
        "finding": " ".join(score_sentences(runs)),
        "tiles": key_tiles(runs),
        "facts": _facts(runs, groups) + ([f"{len(failed)} failed"] if failed else []),
        "data": _data_panel(runs[0]),
        "tables": [{"prefix": prefix, **_table(comparison.found, groups, split)} for split in splits],
        "failed": failed,
        "recalls": _each_split(splits, lambda split: _recalls(groups, split)),
        "calibration": _each_split(splits, lambda split: calibration_table(_scored(runs, split), split)),
        "samples": _samples(groups),
        "generation": generation_tables(runs),
        "margins": _margins(runs, groups),
        "losses": final_losses(groups),
        "maps": [(group, points) for group in groups if (points := first_content(group, MAP)[1]) and points.labels],
        "confusions": _each_split(splits, lambda split: _confusions(groups, split)),
        "certificates": [_certificate(group) for group in groups],
        "panels": panels,
        "thresholds": any(split["points"] for split in panels["splits"]),
    }
    return context | {"cautions": cautions(comparison.found)}  # the last: by now the damaged files are known


SECTIONS = {
    "finding": "Finding",
    "comparison": "Comparison",
    "classes": "Classes",
    "thresholds": "Thresholds",
    "calibration": "Calibration",
    "margins": "Margins",
    "generation": "Quality of samples",
    "samples": "Samples",
    "maps": "Maps",
    "curves": "Curves",
    "confusions": "Confusions",
    "certificates": "Certificates",
}


def _contents(part: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return anchors and names of the sections that a folder has."""
    always = {"finding", "comparison", "certificates"}
    there = {
        "classes": part["data"] or part["recalls"],
        "curves": part["losses"],
        **{name: part[name] for name in SECTIONS if name in part and name not in always},
    }
    return [(f"{part['prefix']}{name}", words) for name, words in SECTIONS.items() if name in always or there.get(name)]


def _scored(runs: Sequence[Run], split: str) -> list[Run]:
    return [run for run in runs if run.scores(split)]


def _each_split(splits: Sequence[str], find: Callable[[str], Any]) -> list[tuple[str, str, Any]]:
    """Return a split's key, its name for people and what was found for it, where there is something."""
    return [(split, split_title(split), found) for split in splits if (found := find(split))]


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
    scored, stale = _scored(found.runs, split), _scored(found.stale, split)
    index = {group.row.recipe: group.index for group in groups}
    rows = compare(scored, scored_metrics(scored, split), split, failed=found.failed, stale=stale)
    main = [row for row in rows if row.n_seeds and not row.stale]
    more = compare(scored, scored_metrics(scored, split, MORE_METRICS), split)
    order = [row.recipe for row in main]
    return {
        "key": split,
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
            table for table in (difference_table(scored, split), order_table(main), epoch_table(scored, split)) if table
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


def _recalls(groups: Sequence[Group], split: str) -> dict[str, Any] | None:
    """Mean recall over seeds of each class, the rarest first; recipes that saw other classes are left out."""
    order = class_order(groups, split)
    counts = groups[0].runs[0].metrics.get("train_counts") or {}
    if not order or any(label not in counts for label in order):
        return None
    rows = []
    for group in groups:
        found = by_class(group, split, order, "recall")
        if found is not None:
            rows.append((group, [mean_or_none(values) for values in found]))
    if not rows:
        return None
    table = np.array([[math.nan if value is None else value for value in values] for _, values in rows], float)
    labels, table = rows_of_classes(table, order, [counts[label] for label in order])
    low, high = (float(find(table)) for find in (np.nanmin, np.nanmax)) if not np.isnan(table).all() else (0.0, 1.0)
    room = max(high - low, 1e-9)
    cells = [[None if math.isnan(v) else (f"{100 * v:.1f}", f"{(v - low) / room:.2f}") for v in row] for row in table]
    return {
        "columns": labels[::-1],
        "rows": [(group, values[::-1]) for (group, _), values in zip(rows, cells, strict=True)],
    }


def _margins(runs: Sequence[Run], groups: Sequence[Group]) -> dict[str, Any] | None:
    """What was tracked during training, methods in the order of the report."""
    part = tracked_part(runs)
    if part is None:
        return None
    return {"part": PARTS[part], "tables": margin_tables([run for group in groups for run in group.runs])}


def _confusions(groups: Sequence[Group], split: str) -> list[dict[str, Any]]:
    """Sums over seeds: matrices in percent of each true class, or the most frequent mistakes where they are large."""
    found = []
    for group in groups:
        classes = group.runs[0].scores(split).get("classes")
        alike = [run.scores(split) for run in group.runs if run.scores(split).get("classes") == classes]
        matrices = [scores["confusion"] for scores in alike if scores.get("confusion")]
        if classes and matrices:
            total = np.sum(matrices, axis=0)
            names = [short_name(name) for name in group.runs[0].class_names(classes)]
            small = len(classes) <= MAX_MATRIX
            found.append(
                {
                    "group": group,
                    "classes": names,
                    "long": max(map(len, names)) > 3,
                    "rows": _matrix(total, names) if small else None,
                    "mistakes": None if small else _mistakes(total, names),
                }
            )
    return found


def _matrix(total: NDArray[Any], names: Sequence[str]) -> list[tuple[str, int, list[tuple[int, int]]]]:
    """Return for each true class its name, its samples, and for each predicted one samples and percent."""
    rows = zip(names, total.tolist(), strict=True)
    return [(name, sum(row), [(n, round(100 * n / (sum(row) or 1))) for n in row]) for name, row in rows]


def _mistakes(total: NDArray[Any], names: Sequence[str]) -> list[tuple[str, str, int, str]]:
    wrong = total * (1 - np.eye(len(total), dtype=int))
    order = np.argsort(-wrong, axis=None, kind="stable")[:MAX_MISTAKES]
    places = [divmod(int(place), len(total)) for place in order]
    return [
        (names[i], names[j], int(wrong[i, j]), f"{100 * wrong[i, j] / total[i].sum():.1f}")
        for i, j in places
        if wrong[i, j]
    ]


def _samples(groups: Sequence[Group]) -> list[dict[str, Any]]:
    """Return what each generator made, as panels; as the picture that the run drew where its arrays are not there."""
    found = []
    for group in groups:
        run, panels = first_content(group, PANELS)
        if run is not None:
            found.append({"group": group, "seed": run.seed, "png": None, **native_panels(*panels)})
            continue
        run, png = first_content(group, PICTURE)
        if run is not None:
            found.append({"group": group, "seed": run.seed, "png": png})
    return found


def samples_together(runs: Sequence[Run]) -> Png | None:
    """One picture of what all methods made of the same classes."""
    panels = {group.title: first_content(group, PANELS)[1] for group in group_runs(runs)}
    picture = side_by_side({title: found for title, found in panels.items() if found is not None})
    return Png(png_bytes(picture), picture.width, picture.height) if picture else None


def _certificate(group: Group) -> dict[str, Any]:
    """One line a field: a single value if all seeds share it, else one value a seed."""
    run, recipe = first_content(group, RECIPE)
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
