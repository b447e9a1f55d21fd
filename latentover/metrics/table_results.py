"""What `latentover.metrics.table_quality` found, printed as a short table, as a frame, as JSON-able values."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from latentover.metrics.copying import ColumnCopies
from latentover.metrics.judge import JudgeScore, plain_estimate
from latentover.metrics.resampling_effect import ResamplingEffect
from latentover.metrics.table_verdicts import Verdict, are_copies, could_be_real, does_help, known_or_zero
from latentover.notebook import heading, items, page, table

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ColumnQuality", "Nearness", "PairQuality", "Picture", "PointMass", "TableQuality"]


_HEAD = ("column", "kind", "distance", "usual", "missing: real, new")
_BROKEN = "new rows that break a dependency"
SHOWN = 40
"""Columns in a notebook."""


class Picture(NamedTuple):
    """A histogram of both sides.

    Attributes
    ----------
    labels : tuple of str
        Of bars; empty for bins of numbers.
    edges : tuple of float
        Of bins, one more than there are; the outer ones hold what lies beyond. Empty for bars.
    real, new : tuple of float
        Shares, which sum to 1.
    logarithmic : bool
        Whether the bins are of equal width on a logarithmic axis.
    """

    labels: tuple[str, ...]
    edges: tuple[float, ...]
    real: tuple[float, ...]
    new: tuple[float, ...]
    logarithmic: bool = False


class PointMass(NamedTuple):
    """A value that many rows have, and its share of the real and the new values."""

    value: str
    real: float
    new: float


@dataclass(frozen=True)
class ColumnQuality:
    """How the new values of a column are distributed beside the real ones of the same classes.

    Attributes
    ----------
    name : str
        "opened, hour" is the hour of a column "opened".
    kind : {"number", "time", "levels"}
    distance : float
        Kolmogorov-Smirnov distance of numbers and times, total variation of levels; ``nan`` without values.
    usual : float or None
        The same of held-out rows, which is what chance does; None without such rows.
    missing_real, missing_new : float
        Shares of missing values.
    finer : float
        Share of new numbers with more decimals than any real one has, where real ones have 6 at most: cents with 15
        digits, fractional counts.
    points : tuple of PointMass
        The most frequent values: of numbers those with 2 % of either side.
    picture : Picture
    """

    name: str
    kind: Literal["number", "time", "levels"]
    distance: float
    usual: float | None
    missing_real: float
    missing_new: float
    finer: float
    points: tuple[PointMass, ...]
    picture: Picture


class PairQuality(NamedTuple):
    """How two columns hang together.

    Attributes
    ----------
    first, second : str
    kind : {"spearman", "cramers_v", "correlation_ratio"}
        Of two numbers, two levels, and one of each.
    real, new : float
        The association among real and among new rows; 0 where a column is constant.
    usual : float or None
        The difference between held-out and real rows, which is what chance does.
    """

    first: str
    second: str
    kind: str
    real: float
    new: float
    usual: float | None

    @property
    def difference(self) -> float:
        """By how much they differ, in [0, 2]."""
        return abs(self.real - self.new)


class Nearness(NamedTuple):
    """How near new rows are to the real ones of their classes, and held-out rows beside them.

    Rows are points: numbers standardised, levels at the distance of one standard deviation.

    Attributes
    ----------
    median, low : float
        Median and 5 % quantile of the distance from new rows to the nearest real row (closest record).
    usual_median, usual_low : float or None
        The same of held-out rows; None without such rows.
    nearer_than_usual : float or None
        Share of new rows that are nearer to a real row than half of the held-out ones are: about 0.5 for fresh rows.
    nearer_to_real : float or None
        Share of new rows that are nearer to the real than to the held-out rows, with as many of each: about 0.5 for
        fresh rows, 1 for copies.
    density, coverage : float
        See `latentover.metrics.density_coverage`.
    usual_density, usual_coverage : float or None
        Of held-out rows.
    n_real, n : int
        Real rows, and new and held-out ones each, that were compared.
    picture : Picture or None
        Of the distances of held-out rows (as ``real``) and new ones; None without held-out rows.
    """

    median: float
    low: float
    usual_median: float | None
    usual_low: float | None
    nearer_than_usual: float | None
    nearer_to_real: float | None
    density: float
    coverage: float
    usual_density: float | None
    usual_coverage: float | None
    n_real: int
    n: int
    picture: Picture | None = None


@dataclass(frozen=True, repr=False)
class TableQuality:
    """How good new rows of a table are; `print` shows it in short.

    Attributes
    ----------
    classes : tuple of str
        Of the new rows; empty without labels.
    n_real, n_new, n_holdout : int
        Real rows of these classes, new rows, and held-out rows of these classes; 0 without such.
    columns : tuple of ColumnQuality
    pairs : tuple of PairQuality
        Those with the largest difference first.
    judge : JudgeScore
    nearness : Nearness or None
        None where a side has fewer than 2 rows.
    copied_rows, usual_copied_rows : float
        Shares of new rows that equal a real row but for identifiers, and of rows that do so by nature: held-out ones,
        or without those real ones that have a twin.
    copies : dict of str to ColumnCopies
        Of every column, identifiers and text first, then by falling share.
    identifiers : tuple of str
        Columns that only tell rows apart, named or found, which take part in `copies` alone.
    violations : dict of str to float
        Share of new rows that break a dependency.
    usual_violations : dict of str to float
        Of real rows, where that could be asked.
    effect : ResamplingEffect or None
    effect_reason : str
        Why there is none, otherwise empty.
    notes : tuple of str
    """

    classes: tuple[str, ...]
    n_real: int
    n_new: int
    n_holdout: int
    columns: tuple[ColumnQuality, ...]
    pairs: tuple[PairQuality, ...]
    judge: JudgeScore
    nearness: Nearness | None
    copied_rows: float
    usual_copied_rows: float
    copies: Mapping[str, ColumnCopies]
    identifiers: tuple[str, ...]
    violations: Mapping[str, float]
    usual_violations: Mapping[str, float]
    effect: ResamplingEffect | None
    effect_reason: str
    notes: tuple[str, ...]

    @property
    def verdicts(self) -> tuple[Verdict, Verdict, Verdict]:
        """Could the rows be real? Are they copies? Do they help at the natural class ratio?"""
        return could_be_real(self), are_copies(self), does_help(self)

    def to_frame(self) -> pd.DataFrame:
        """Return a row a column: kind, distances, missing values and copies."""
        import pandas as pd

        copies = {name: found._asdict() for name, found in self.copies.items()}
        rows = {
            column.name: {
                "kind": column.kind,
                "distance": column.distance,
                "usual_distance": column.usual,
                "missing_real": column.missing_real,
                "missing_new": column.missing_new,
                "finer": column.finer,
            }
            for column in self.columns
        }
        names = [*rows, *(name for name in copies if name not in rows)]
        table = []
        for name in names:
            found = copies.get(name, {})
            row = rows.get(name, {"kind": "identifier"})
            table.append({**row, "copied": found.get("copied"), "usual_copied": found.get("usual"),
                          "copies_flagged": found.get("flagged")})  # fmt: skip
        return pd.DataFrame(table, index=pd.Index(names, name="column"))

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as JSON-able values, with None for what is not defined."""
        return {
            "classes": list(self.classes),
            "n_real": self.n_real,
            "n_new": self.n_new,
            "n_holdout": self.n_holdout,
            "verdicts": [verdict._asdict() for verdict in self.verdicts],
            "judge": {**self.judge._asdict(), "auc": plain_estimate(self.judge.auc)},
            "columns": [plain(vars(column)) for column in self.columns],
            "pairs": [plain({**pair._asdict(), "difference": pair.difference}) for pair in self.pairs],
            "nearness": None if self.nearness is None else plain(self.nearness),
            "copied_rows": self.copied_rows,
            "usual_copied_rows": self.usual_copied_rows,
            "copies": {name: found._asdict() for name, found in self.copies.items()},
            "identifiers": list(self.identifiers),
            "violations": dict(self.violations),
            "usual_violations": dict(self.usual_violations),
            "effect": None if self.effect is None else self.effect.to_dict(),
            "effect_reason": self.effect_reason,
            "notes": list(self.notes),
        }  # fmt: skip

    def __repr__(self) -> str:
        lines = [self._sizes(), ""]
        for verdict in self.verdicts:
            lines += [verdict.question, textwrap.fill(verdict.answer, 100, initial_indent="  ", subsequent_indent="  ")]
        worst = worst_first(self.columns)[:8]
        if worst:
            width = max(len(column.name) for column in worst)
            lines.append("")
            for name, kind, distance, usual, missing in [_HEAD, *map(_cells, worst)]:
                lines.append(f"{name:<{width}}  {kind:<7}{distance:>9}{usual:>8}{missing:>20}")
        if self.violations:
            lines += ["", _BROKEN]
            lines += [f"  {share:>7.2%}  {text}" for text, share in self.violations.items()]
        if self.effect is not None:
            lines += ["", repr(self.effect)]
        notes = [textwrap.fill(note, 100) for note in self.notes]
        return "\n".join([*lines, *(["", *notes] if notes else [])])

    def _sizes(self) -> str:
        of = f" of {', '.join(self.classes[:8])}" if self.classes else ""
        return f"{self.n_new:,} new rows{of} beside {self.n_real:,} real and {self.n_holdout:,} held-out ones"

    def _repr_html_(self) -> str:
        answers = [(found.question, found.answer) for found in self.verdicts]
        parts = [heading(self._sizes()), table(("question", "answer"), answers, words=2)]
        if worst := worst_first(self.columns)[:SHOWN]:
            parts.append(table(_HEAD, map(_cells, worst), words=2, more=len(self.columns) - SHOWN))
        if self.violations:
            parts.append(table(("dependency", _BROKEN), [(t, f"{share:.2%}") for t, share in self.violations.items()]))
        if self.effect is not None:
            parts.append(self.effect._repr_html_())
        return page(*parts, items(self.notes))


def _cells(column: ColumnQuality) -> tuple[str, ...]:
    usual = "" if column.usual is None else f"{column.usual:.3f}"
    missing = f"{column.missing_real:.1%}, {column.missing_new:.1%}"
    return column.name, column.kind, f"{column.distance:.3f}", usual, missing


def worst_first(columns: Iterable[ColumnQuality]) -> list[ColumnQuality]:
    """Return columns by falling distance of new from real values."""
    return sorted(columns, key=lambda column: -known_or_zero(column.distance))


def plain(value: Any) -> Any:
    """Return values as JSON knows them, tuples with names as objects, and None for what is not defined."""
    if hasattr(value, "_asdict"):
        value = value._asdict()
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    return None if isinstance(value, float) and value != value else value
