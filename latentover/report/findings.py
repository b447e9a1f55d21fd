"""What the numbers say, in sentences: the key finding, and what to keep in mind when reading the tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from latentover.report.tables import failures, percent
from latentover.runs.collection import Run, RunsFolder, name_of
from latentover.runs.comparison import Row, compare, split_title
from latentover.runs.groups import baseline_of, mean_or_none
from latentover.stats import PairedDifference, paired_difference
from latentover.text import short_name

__all__ = [
    "Tile",
    "cautions",
    "counts_sentence",
    "difference_text",
    "key_finding",
    "key_tiles",
    "p_text",
    "plural",
    "rarest_class",
    "score_sentences",
]

Tile = tuple[str, str]


def plural(n: int, word: str) -> str:
    """Count things: "1 seed", "5 seeds"."""
    return f"{n:,} {word}" if n == 1 else f"{n:,} {word}s"


def _lead(better: Row, worse: Row) -> float | None:
    """Difference of mean ACSA in points."""
    a, b = better.cells["acsa"].mean, worse.cells["acsa"].mean
    return None if a is None or b is None else 100 * (a - b)


def key_finding(runs: Sequence[Run]) -> str:
    """State in one paragraph which recipe has the best mean ACSA, by how much, how sure that is, and what it finds.

    Parameters
    ----------
    runs : sequence of Run
        From `collect_runs`; the primary split of each is used.

    Returns
    -------
    str
        Plain text. Differences come with the interval and the test of `latentover.stats.paired_difference` over shared
        seeds. They do not know that the best of several methods was chosen by the same scores.
    """
    return " ".join(filter(None, [*score_sentences(runs), counts_sentence(runs)]))


def score_sentences(runs: Sequence[Run]) -> list[str]:
    """Say which recipe has the best mean ACSA on each test split, and how sure that is on the primary one."""
    rows = compare(runs, metrics=("acsa",))
    best, where = rows[0], split_title(runs[0].split)
    score = best.cells["acsa"]
    if score.mean is None:
        return [f"No run has an ACSA on the {where} split."]
    value = f"{percent(score)}% over {plural(score.n, 'seed')}"
    if len(rows) == 1:
        sentences = [f"{best.title} reaches a mean ACSA of {value} on the {where} split."]
    else:
        sentences = [f"{best.title} has the best mean ACSA on the {where} split: {value}."]
        sentences += _distances(runs, rows) + [_best_on(runs, split) for split in _test_splits(runs)[1:]]
    return [sentence for sentence in sentences if sentence]


def _test_splits(runs: Sequence[Run]) -> list[str]:
    """Return the primary split, and the other test splits, which have other class shares."""
    return [split for split in runs[0].splits if split == runs[0].split or split.startswith("test")]


def _best_on(runs: Sequence[Run], split: str) -> str:
    scored = [run for run in runs if run.scores(split).get("acsa") is not None]
    if not scored:
        return ""
    best = compare(scored, metrics=("acsa",), split=split)[0]
    return f"On the {split_title(split)} split the best mean is that of {best.title}, {percent(best.cells['acsa'])}%."


class Counts(NamedTuple):
    """What a recipe does about the rarest class on a split, as means over seeds.

    Attributes
    ----------
    found, of : float
        Samples of the class that it finds, and how many there are.
    alarms : float
        Samples of other classes that it takes for this one, in 1,000 of them.
    n : int
        Seeds.
    """

    found: float
    of: float
    alarms: float
    n: int


def rarest_counts(runs: Sequence[Run], recipe: str, split: str) -> Counts | None:
    """Count on the confusion matrices of a recipe's runs; ``None`` where a split has none, or not the class."""
    known = []
    for run in (run for run in runs if run.recipe == recipe):
        rarest, scores = rarest_class(runs[0]), run.scores(split)
        matrix, classes = scores.get("confusion"), scores.get("classes") or []
        if matrix is None or rarest is None or rarest[0] not in classes:
            continue
        c = classes.index(rarest[0])
        of, found = sum(matrix[c]), matrix[c][c]
        others = sum(map(sum, matrix)) - of
        if of and others:
            known.append((found, of, 1000 * (sum(row[c] for row in matrix) - found) / others))
    if not known:
        return None
    found, of, alarms = (sum(column) / len(known) for column in zip(*known, strict=True))
    return Counts(found, of, alarms, len(known))


def counts_sentence(runs: Sequence[Run]) -> str:
    """Say in counts what the best recipe does about the rarest class, on every test split; may be empty."""
    rows = compare(runs, metrics=("acsa",))
    rarest, best, baseline = rarest_class(runs[0]), rows[0], baseline_of(rows)
    if rarest is None or best.cells["acsa"].mean is None:
        return ""
    label, n = short_name(runs[0].class_names([rarest[0]])[0]), plural(rarest[1], "training sample")
    parts = list[str]()
    for split in _test_splits(runs):
        if (own := rarest_counts(runs, best.recipe, split)) is None:
            continue
        base = rarest_counts(runs, baseline.recipe, split) if baseline and baseline is not best else None
        where = f"on the {split_title(split)} split"
        head = f"{where} {_count(own.found)} of {_count(own.of)}"
        if not parts:
            of = f"{_count(own.found)} of the {_count(own.of)} samples of class {label}, the rarest with {n},"
            head = f"{best.title} finds {of} {where}"
        parts.append(head + _compared(own, base, first=not parts))
    if not parts:
        return _recall_sentence(runs, rows)
    over = f" (means over {plural(best.cells['acsa'].n, 'seed')})" if best.cells["acsa"].n > 1 else ""
    return f"{'; '.join(parts)}{over}."


def _compared(own: Counts, base: Counts | None, *, first: bool) -> str:
    per = " per 1,000 samples of other classes" if first else " per 1,000"
    if base is None:
        return f", at {_count(own.alarms)} false alarms{per}"
    more = own.alarms - base.alarms
    alarms = f"{_count(abs(more))} {'more' if more > 0 else 'fewer'}" if abs(more) >= 0.05 else "as many"
    without = " without resampling" if first else ""
    return f" instead of {_count(base.found)}{without}, at {alarms} false alarms{per}"


def _count(value: float) -> str:
    """A count, or the mean of several."""
    return f"{value:,.0f}" if abs(value - round(value)) < 0.05 else f"{value:,.1f}"


def _distances(runs: Sequence[Run], rows: Sequence[Row]) -> list[str]:
    """How far the best recipe is ahead of the second, and of training without resampling, and how sure that is."""
    best, second, baseline = rows[0], rows[1], baseline_of(rows)
    if _lead(best, second) is None:
        return []
    others = [(second, second.title)]
    if baseline is not None and baseline not in (best, second):
        others.append((baseline, "training without resampling"))
    parts = [
        f"{lead:.2f} points ahead of {name}{_certainty(runs, best, other)}"
        for other, name in others
        if (lead := _lead(best, other)) is not None
    ]
    text = f"It is {' and '.join(parts)}"
    if baseline is best:
        text += ": no method in this comparison improves on leaving the data as it is"
    fewest = min(len(_shared_seeds(runs, best, other)) for other, _ in others)
    unsure = f"With {'a single' if fewest else 'no'} shared seed, how much of that is chance cannot be said."
    return [f"{text}.", *([unsure] if fewest < 2 else [])]


def _certainty(runs: Sequence[Run], best: Row, other: Row) -> str:
    """Say in brackets, and behind them, what the seeds that two recipes share say about their difference."""
    first, second = (_acsa_by_seed(runs, row.recipe) for row in (best, other))
    shared = _shared_seeds(runs, best, other)
    if len(shared) < 2:
        return ""
    found = paired_difference([100 * first[seed] for seed in shared], [100 * second[seed] for seed in shared])
    every = len(shared) == len(first) == len(second)
    return f" ({difference_text(found, mean=not every)}{', so the order may be chance' if found.low <= 0 else ''})"


def _shared_seeds(runs: Sequence[Run], best: Row, other: Row) -> list[int]:
    return sorted(_acsa_by_seed(runs, best.recipe).keys() & _acsa_by_seed(runs, other.recipe).keys())


def difference_text(found: PairedDifference, *, mean: bool = False) -> str:
    """Say how sure a difference in points over shared seeds is.

    Parameters
    ----------
    found : PairedDifference
        In points.
    mean : bool, default=False
        Whether the difference itself is said too.

    Examples
    --------
    >>> from latentover.stats import paired_difference
    >>> difference_text(paired_difference([82.0, 81.0, 80.0], [80.0, 80.0, 79.0]))
    '95 % interval over 3 shared seeds: -0.10 to 2.77, p = 0.06'
    >>> difference_text(paired_difference([82.0, 81.0], [80.0, 79.0]))
    '2.00 on each of 2 shared seeds'
    """
    if found.low == found.high:
        return f"{found.mean:.2f} on each of {found.n} shared seeds"
    seeds = f"over {found.n} shared seeds"
    head = f"{found.mean:.2f} {seeds}, 95 % interval" if mean else f"95 % interval {seeds}:"
    return f"{head} {found.low:.2f} to {found.high:.2f}, {p_text(found.p_value)}"


def p_text(p_value: float) -> str:
    """A p-value for people: two decimals, three below 0.01 and near 0.05, and never 0.

    Examples
    --------
    >>> p_text(0.0312), p_text(0.0049), p_text(1e-9), p_text(0.999), p_text(0.0497)
    ('p = 0.03', 'p = 0.005', 'p < 0.001', 'p = 1.00', 'p = 0.050')
    """
    if p_value < 0.001:
        return "p < 0.001"
    return f"p = {p_value:.3f}" if p_value < 0.0095 or 0.045 <= p_value < 0.055 else f"p = {p_value:.2f}"


def _acsa_by_seed(runs: Sequence[Run], recipe: str) -> dict[int, float]:
    values = {run.seed: run.scores().get("acsa") for run in runs if run.recipe == recipe}
    return {seed: value for seed, value in values.items() if value is not None}


def rarest_class(run: Run) -> tuple[str, int] | None:
    """Class with the fewest training samples (the last of several), and their number; ``None`` if not recorded."""
    counts = run.metrics.get("train_counts") or {}
    return min(reversed(counts.items()), key=lambda item: item[1]) if counts else None


def _rarest_recall(runs: Sequence[Run], recipe: str) -> float | None:
    """Mean recall over seeds on the rarest class, in percent."""
    values = []
    for run in (run for run in runs if run.recipe == recipe):
        rarest, scores = rarest_class(run), run.scores()
        if rarest and rarest[0] in scores.get("classes", []):
            values.append(scores["recall"][scores["classes"].index(rarest[0])])
    mean = mean_or_none(values)
    return None if mean is None else 100 * mean


def _recall_sentence(runs: Sequence[Run], rows: Sequence[Row]) -> str:
    """Say how much of the rarest class is found, where runs hold no counts."""
    rarest, recall = rarest_class(runs[0]), _rarest_recall(runs, rows[0].recipe)
    if rarest is None or recall is None:
        return ""
    label, n = short_name(runs[0].class_names([rarest[0]])[0]), plural(rarest[1], "training sample")
    text = f"On the rarest class ({label}, {n}) its recall is {recall:.1f}%"
    baseline = baseline_of(rows)
    without = _rarest_recall(runs, baseline.recipe) if baseline and baseline is not rows[0] else None
    return f"{text}, against {without:.1f}% without resampling." if without is not None else f"{text}."


def key_tiles(runs: Sequence[Run]) -> list[Tile]:
    """The figures at the head of the report.

    Parameters
    ----------
    runs : sequence of Run

    Returns
    -------
    list of (str, str)
        Value and what it is; at most four.
    """
    rows = compare(runs, metrics=("acsa",))
    best, tiles = rows[0], []
    if best.cells["acsa"].mean is not None:
        tiles.append((f"{100 * best.cells['acsa'].mean:.1f}%", f"best mean ACSA: {best.title}"))
        lead = _lead(best, rows[1]) if len(rows) > 1 else None
        if lead is not None:
            tiles.append((f"+{lead:.1f}", f"points ahead of {rows[1].title}"))
    recall = _rarest_recall(runs, best.recipe)
    if recall is not None:
        tiles.append((f"{recall:.1f}%", f"recall of {best.title} on the rarest class"))
    ratio = imbalance_ratio(runs[0])
    if ratio is not None:
        tiles.append((f"{ratio:,.0f} : 1", "imbalance ratio of the training data"))
    return tiles


def imbalance_ratio(run: Run) -> float | None:
    """Samples of the largest class divided by those of the smallest; ``None`` if counts were not recorded."""
    counts = (run.metrics.get("train_counts") or {}).values()
    return max(counts) / min(counts) if counts and min(counts) > 0 else None


def cautions(found: RunsFolder) -> list[str]:
    """What a careful reader should know before comparing rows.

    Parameters
    ----------
    found : RunsFolder
        Files of its runs that could not be read count as far as they have been asked for.

    Returns
    -------
    list of str
        Sentences; empty if all runs finished and are alike in all but recipe and seed.
    """
    runs, sentences = found.runs, [f"{failure}." for failure in failures(found.failed)]
    left_out = {"Left out": found.left_out, "Stale, and in no mean": {name_of(run): run.stale for run in found.stale}}
    for words, reasons in left_out.items():
        by_reason: dict[str, list[str]] = {}
        for name, reason in reasons.items():
            by_reason.setdefault(reason, []).append(name)
        sentences += [f"{words}: {', '.join(names)} ({reason})." for reason, names in by_reason.items()]
    damaged = [f"{run.recipe}/{run.path.name}/{file} {reason}" for run in runs for file, reason in run.damaged.items()]
    if damaged:
        sentences.append(f"Damaged, and what it would show is left out: {'; '.join(damaged)}.")
    seeds = {run.recipe: tuple(r.seed for r in runs if r.recipe == run.recipe) for run in runs}
    if len(set(seeds.values())) > 1:
        sentences.append("The recipes were not all run with the same seeds.")
    if _differ(runs, lambda run: run.split):
        sentences.append("The recipes were not all scored on the same split.")
    for seed in sorted({run.seed for run in runs}):
        alike = [run for run in runs if run.seed == seed]
        if _differ(alike, lambda run: run.certificate.get("data_hash")):
            sentences.append(f"With seed {seed} the recipes did not all see the same data: the hashes differ.")
    if _differ(runs, lambda run: (run.certificate.get("hardware"), run.certificate.get("device"))):
        sentences.append("The runs come from different hardware, so their fit times cannot be compared.")
    if _differ(runs, lambda run: run.certificate.get("commit")):
        sentences.append("The runs come from more than one commit; see their certificates.")
    return sentences


def _differ(runs: Sequence[Run], key: Callable[[Run], Any]) -> bool:
    return len({key(run) for run in runs}) > 1
