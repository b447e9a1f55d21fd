"""Three questions about generated rows of a table, answered in a sentence or two."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from latentover.metrics.copying import COPIED_BELOW
from latentover.metrics.resampling_effect import CLASSIFIERS

if TYPE_CHECKING:
    from latentover.metrics.table_results import TableQuality

__all__ = ["Verdict", "are_copies", "could_be_real", "does_help", "known_or_zero"]

Grade = Literal["good", "fair", "poor", "unknown"]

ALIKE, NEARLY, APART = 0.55, 0.65, 0.80
"""AUC of the judge up to which rows can hardly be told apart, are close, or are told apart often."""
BROKEN, IMPOSSIBLE = 0.005, 0.05
"""Share of rows with a broken dependency that is spoken of, and that is poor whatever the judge says."""
FAR, OTHERWISE = 0.1, 0.2
"""A distance of columns and a difference of associations are spoken of where they are so much beyond what is usual."""
CLOSE_RATIO, CLOSE_SHARE = 0.6, 0.75
"""Rows lie close to training rows below this ratio of distances or above this share that is nearer to them."""
MOSTLY = 0.5
_PARTS = 4


class Verdict(NamedTuple):
    """A question about the rows, its answer in a sentence or two, and how good that is.

    Attributes
    ----------
    question, answer : str
    grade : {"good", "fair", "poor", "unknown"}
    """

    question: str
    answer: str
    grade: Literal["good", "fair", "poor", "unknown"]


def could_be_real(quality: TableQuality) -> Verdict:
    """Say by the judge, broken dependencies, columns and pairs whether the rows could be real ones."""
    broken = {text: share for text, share in quality.violations.items() if share > BROKEN}
    off = sorted(
        (column for column in quality.columns if known_or_zero(column.distance) > FAR + (column.usual or 0)),
        key=lambda column: -column.distance,
    )
    more = []
    if broken:
        text, share = max(broken.items(), key=lambda item: item[1])
        rest = f" {len(broken) - 1} more {'is' if len(broken) == 2 else 'are'} broken." if len(broken) > 1 else ""
        more.append(f"{percent(share)} of them break the dependency {text}.{rest}")
    if off:
        names = ", ".join(f"{column.name} ({column.distance:.2f})" for column in off[:_PARTS])
        more.append(f"Furthest from the real values: {names}.")
    finer = sorted((c for c in quality.columns if c.finer > BROKEN), key=lambda column: -column.finer)
    if finer:
        names = ", ".join(f"{column.name} ({percent(column.finer)})" for column in finer[:_PARTS])
        more.append(f"Numbers finer than any real one: {names}.")
    for pair in quality.pairs[:1]:
        if pair.difference > OTHERWISE + (pair.usual or 0):
            more.append(
                f"{pair.first} and {pair.second} hang together differently: {pair.real:.2f} among real rows, "
                f"{pair.new:.2f} among new ones."
            )
    impossible = bool(broken) and max(broken.values()) > IMPOSSIBLE
    judge = quality.judge
    grade: Grade
    if judge.auc is None:
        said, grade = f"No judge could say: {judge.reason}", "poor" if impossible or off else "unknown"
    else:
        value, low, high = judge.auc
        if low <= 0.5 or value <= ALIKE:
            said, grade = "a trained judge can hardly tell them from real rows", "good"
        elif value <= NEARLY:
            said, grade = "a trained judge tells them from real rows a little better than chance", "fair"
        elif value <= APART:
            said, grade = "a trained judge often tells them from real rows", "fair"
        else:
            said, grade = "a trained judge tells them from real rows", "poor"
        first = "Many could not" if impossible else {"good": "Yes", "fair": "Not all of them", "poor": "No"}[grade]
        grade = "poor" if impossible else grade
        said = f"{first}: {said} (AUC {value:.2f}, {low:.2f} to {high:.2f}; 0.5 is ideal; {judge.n:,} rows a side)."
        if not judge.held_out:
            said += " These real rows were learned from, so that copies would pass."
    return Verdict("Could the rows be real?", " ".join([said, *more]), grade)


def are_copies(quality: TableQuality) -> Verdict:
    """Say by equal rows, unique values and distances whether the rows give training rows away."""
    flagged = {name: found for name, found in quality.copies.items() if found.flagged}
    rows = quality.copied_rows > 2 * quality.usual_copied_rows
    near, grade = quality.nearness, "poor" if rows or flagged else "good"
    parts = []
    if rows:
        usual = f", where {percent(quality.usual_copied_rows)} would be usual" if quality.usual_copied_rows else ""
        parts.append(f"{percent(quality.copied_rows)} of the new rows equal a real row{usual}.")
    if flagged:
        names = ", ".join(f"{name} ({percent(found.copied)})" for name, found in list(flagged.items())[:_PARTS])
        rest = f" and {len(flagged) - _PARTS} more" if len(flagged) > _PARTS else ""
        parts.append(f"New rows carry values that a single real row has: {names}{rest}.")
    if not parts:
        parts.append("No row, and no value that a single row has, is repeated beyond chance.")
    if near is not None and near.usual_median is not None and near.nearer_to_real is not None:
        nearer = f"{near.nearer_to_real:.0%} of them lie nearer to training rows than to unseen ones (fresh rows: 50%)"
        ratio = near.median / near.usual_median if near.usual_median > 0 else float("nan")
        if ratio == ratio:
            nearer += f", {ratio:.2f} times as far from the nearest as unseen rows do"
        parts.append(f"{nearer}.")
        if ratio < COPIED_BELOW:
            grade = "poor"
        elif grade == "good" and (ratio < CLOSE_RATIO or near.nearer_to_real > CLOSE_SHARE):
            grade = "fair"
    said = {"good": "No.", "fair": "No, but they lie close to training rows.", "poor": "In part."}[grade]
    if rows and quality.copied_rows > MOSTLY:
        said = "Yes."
    return Verdict("Are they copies?", " ".join([said, *parts]), grade)  # type: ignore[arg-type]


def does_help(quality: TableQuality) -> Verdict:
    """Say by the differences of scores on real rows, with their intervals, what the rows do to classifiers."""
    question, effect = "Do they help at the natural class ratio?", quality.effect
    if effect is None:
        return Verdict(question, f"Not known. {quality.effect_reason}", "unknown")
    parts, signs, helped = [], [], 0
    for name, scores in effect.differences.items():
        words = []
        for score, title in (("auprc", "average precision"), ("tuned_balanced_accuracy", "balanced accuracy")):
            value, low, high = scores[score]
            signs.append(1 if low > 0 else -1 if high < 0 else 0)
            sure = "" if signs[-1] else ", which may be chance"
            words.append(f"{title} {signed(100 * value)} points ({signed(100 * low)} to {signed(100 * high)}{sure})")
        parts.append(f"{CLASSIFIERS[name]}: {', '.join(words)}.")
        helped += 1 in signs[-len(words) :]
    grade: Grade
    if 1 in signs and -1 in signs:
        said, grade = "Some scores rise and others fall", "fair"
    elif 0 < helped < len(parts):  # of several intervals one is soon beyond chance
        said, grade = "In part", "fair"
    elif helped:
        said, grade = "Yes", "good"
    else:
        said, grade = ("No, and some scores fall", "poor") if -1 in signs else ("Not beyond chance", "fair")
    tuned = "a tuned threshold with and without them" if any(row.tuned for row in effect.rows) else "usual thresholds"
    return Verdict(question, f"{said}: {effect.n_test:,} real rows, {tuned}. {' '.join(parts)}", grade)


def percent(share: float) -> str:
    """Return a share in percent: 45%, 2.0%, under 0.1%."""
    return f"{share:.0%}" if share >= 0.1 else f"{share:.1%}" if share >= 0.001 else "under 0.1%"


def signed(value: float) -> str:
    """Return a number with its sign and one decimal."""
    return f"{round(value, 1) + 0.0:+.1f}".replace("-", "\u2212")  # adding 0 makes -0 none


def known_or_zero(value: float) -> float:
    """Return a score, and 0 for one that is not defined."""
    return 0.0 if value != value else float(value)
