"""What the cells of a CSV column are, learned from all of their text, and how new ones are written alike.

A column is of the first of these kinds that every cell of it fits: booleans, whole numbers, numbers, dates; and else it
is text. What a number could not give back, such as the zeros of 007 or the plus of +43, makes a column text.
"""

import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

WORDS = frozenset(
    ["NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "NAN", "-nan", "-NaN", "NaT", "NULL", "Null", "null"]
)
"""They mean missing among numbers, dates and booleans; in a column of text they are text."""
MOST_DECIMALS = 15
"""With more of them a number is written as it is, or else two that differ could be written alike."""

MOST_DIGITS = 18
"""Of whole numbers: more of them are a number of an account rather, and text."""

_WHOLE = r" *-?(?:0|[1-9][0-9]{0,17}) *"
_EXPONENT = r"(?:[eE][-+]?[0-9]+)?"
_PLAIN = rf"-?(?:(?:0|[1-9][0-9]{{0,17}})(?:P[0-9]*)?|[1-9][0-9]*P[0-9]*|P[0-9]+){_EXPONENT}|-?(?:inf|Infinity)"
_GROUPED = r"-?(?:[1-9][0-9]{0,2}(?:G[0-9]{3})+|0|[1-9][0-9]{0,17})(?:P[0-9]*)?"
"""Patterns of numbers; P and G stand for what is before the decimals and between thousands."""
_ZONE = r"(?:Z|[+-][0-9]{2}(?::?[0-9]{2})?)"
_ISO = rf"[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}(?:[T ][0-9]{{2}}:[0-9]{{2}}(?::[0-9]{{2}}(?:\.[0-9]{{1,9}})?)?{_ZONE}?)?"
_DATES = (
    *("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y"),
    *("%d %b %Y", "%d-%b-%Y", "%b %d, %Y", "%d %B %Y", "%B %d, %Y", "%d. %B %Y"),
)
_CLOCKS = ("", " %H:%M", " %H:%M:%S", "T%H:%M:%S", " %I:%M %p", " %I:%M:%S %p")
_COMPACT = ("%Y%m%d", "%Y%m%d%H%M%S")
"""Forms that are whole numbers too: dates only where somebody says so."""


_TEXT = pd.Series(["text"]).dtype
"""The type that pandas itself gives to text, which depends on its version."""


# ---- Kinds of cells --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cells(ABC):
    """The cells of one column.

    Attributes
    ----------
    missing : frozenset of str
        Texts that mean missing; an empty one always does.
    gaps : bool
        Whether any cell of the file is missing.
    gap : str
        How new rows write a missing value, with its quotes if it has any: as the file mostly does.
    quoted : bool
        Whether the file has quotes around every value.
    """

    missing: frozenset[str] = frozenset()
    gaps: bool = False
    gap: str = ""
    quoted: bool = False

    arrow = "string"
    """Name of the type that such a column has in a Parquet file."""

    def parse(self, cells: Sequence[str]) -> pd.Series:
        """Return values for texts (n,), missing ones where a text means that."""
        text = pd.Series(list(cells), dtype=object)
        missing = text.isin(self.missing | {""})
        return self._values(text.mask(missing, None) if missing.any() else text)

    @abstractmethod
    def _values(self, text: pd.Series) -> pd.Series:
        """Return the values of texts (n,), None where one is missing; in the same type for any rows of the file."""

    def write(self, values: pd.Series) -> list[str | None]:
        """Return texts for values (n,), None for missing ones."""
        written: NDArray[Any] = np.full(len(values), None, dtype=object)
        there = values.notna().to_numpy()
        written[there] = list(self._texts(values[there]))
        return written.tolist()

    @abstractmethod
    def _texts(self, values: pd.Series) -> Iterator[str]:
        """Yield the texts of values (n,), none of them missing."""


@dataclass(frozen=True)
class Blank(Cells):
    """No value at all: nothing to learn."""

    def _values(self, text: pd.Series) -> pd.Series:
        return text

    def _texts(self, values: pd.Series) -> Iterator[str]:
        return map(str, values)


@dataclass(frozen=True)
class Text(Cells):
    """Text as it is."""

    def _values(self, text: pd.Series) -> pd.Series:
        return text.astype(_TEXT)

    def _texts(self, values: pd.Series) -> Iterator[str]:
        return map(str, values)


@dataclass(frozen=True)
class Boolean(Cells):
    """Two words for true and false, in the file's letters."""

    true: str = "true"
    false: str = "false"

    arrow = "bool"

    def _values(self, text: pd.Series) -> pd.Series:
        values = text.map(lambda word: None if word is None else word.lower() == "true")
        return values.astype("boolean" if self.gaps else bool)

    def _texts(self, values: pd.Series) -> Iterator[str]:
        return (self.true if value else self.false for value in values)


@dataclass(frozen=True)
class Whole(Cells):
    """Whole numbers of at most 18 digits."""

    arrow = "int64"

    def _values(self, text: pd.Series) -> pd.Series:
        if not self.gaps:
            return text.astype("int64")
        return pd.Series(pd.array([pd.NA if t is None else int(t) for t in text], dtype="Int64"))

    def _texts(self, values: pd.Series) -> Iterator[str]:
        return map(str, values.astype("int64").tolist())


@dataclass(frozen=True)
class Number(Cells):
    """Numbers.

    Attributes
    ----------
    point, group : str
        What stands before the decimals, and between thousands.
    decimals : (int, int) or None
        Fewest and most decimals in the file; None if numbers are written as precisely as they are.
    short : bool
        Whether whole ones are written without a point.
    """

    point: str = "."
    group: str = ""
    decimals: tuple[int, int] | None = None
    short: bool = False

    arrow = "float64"

    def _values(self, text: pd.Series) -> pd.Series:
        if self.group:
            text = text.str.replace(self.group, "", regex=False)
        if self.point != ".":
            text = text.str.replace(self.point, ".", regex=False)
        return text.astype("float64")  # each by itself: pandas' readers lose the last digit

    def _texts(self, values: pd.Series) -> Iterator[str]:
        numbers = values.astype("float64").to_numpy()
        texts: Iterator[str]
        if self.decimals is None:
            texts = map(repr, numbers.tolist())
            if self.short:
                texts = (text.removesuffix(".0") for text in texts)
        else:
            fewest, most = self.decimals
            form = f"{{:{',' if self.group else ''}.{most}f}}".format
            texts = map(form, (np.round(numbers, most) + 0.0).tolist())  # without the sign of a zero
            if fewest < most:
                texts = (_without_zeros(text, most - fewest) for text in texts)
        if (self.point, self.group) in ((".", ""), (".", ",")):
            return texts
        letters = str.maketrans({".": self.point, ",": self.group})
        return (text.translate(letters) for text in texts)


def _without_zeros(text: str, most: int) -> str:
    """Return a number without up to so many zeros at its end, nor with a point there."""
    zeros = min(most, len(text) - len(text.rstrip("0")))
    return (text[:-zeros] if zeros else text).removesuffix(".")


@dataclass(frozen=True)
class Time(Cells):
    """Dates, with a time of the day or without.

    Attributes
    ----------
    form : str
        As for `datetime.strptime`, up to the seconds.
    iso : bool
        Whether they are in the form of ISO 8601, of which the parts may differ from row to row.
    digits : int
        Of the fraction of a second.
    zone : str
        ``Z`` or an offset, as the file writes it; empty if there is none.
    padded : bool
        Whether days, months and hours of one digit have a zero in front.
    """

    form: str = "%Y-%m-%d"
    iso: bool = True
    digits: int = 0
    zone: str = ""
    padded: bool = True

    @property
    def arrow(self) -> str:  # type: ignore[override]
        """Name of the type that such a column has in a Parquet file."""
        return "timestamp[us, tz=UTC]" if self.zone else "timestamp[us]"

    def _values(self, text: pd.Series) -> pd.Series:
        return _as_times(text, self.form, self.iso, zoned=bool(self.zone))

    def _texts(self, values: pd.Series) -> Iterator[str]:
        if self.zone:
            offset = "+00:00" if self.zone == "Z" else self.zone
            values = values.dt.tz_convert(pd.Timestamp(f"2000-01-01T00:00:00{offset}").tz)
        texts = iter(values.dt.strftime(self.form + (".%f" if self.digits else "")).tolist())
        if self.digits:
            texts = (text[: len(text) - 6 + self.digits].ljust(len(text) - 6 + self.digits, "0") for text in texts)
        if not self.padded:
            texts = (_UNPADDED.sub("", text) for text in texts)
        return (text + self.zone for text in texts)


_UNPADDED = re.compile(r"(?<![0-9:.])0(?=[0-9])|(?<=\.)0(?=[0-9]\.)")
"""The zero in front of a day, a month or an hour; minutes and seconds keep theirs."""


def _as_times(text: pd.Series, form: str, iso: bool, *, zoned: bool, errors: str = "raise") -> pd.Series:
    kwargs: dict[str, Any] = {"format": "ISO8601" if iso else form, "utc": zoned, "errors": errors}
    return pd.to_datetime(text, **kwargs)


@dataclass(frozen=True)
class PlainNumbers:
    """Cells that are all digits with a sign and a point at the most, or blank, told from their bytes alone.

    Attributes
    ----------
    pointed : ndarray of bool, shape (n,)
        Of those that are not blank: which have a point.
    before, after : ndarray of int, shape (n,)
        How many digits stand before the point, or in all, and after it.
    zero : ndarray of bool, shape (n,)
        Which begin with a zero.
    """

    pointed: NDArray[np.bool_]
    before: NDArray[np.int64]
    after: NDArray[np.int64]
    zero: NDArray[np.bool_]


# ---- Learning which --------------------------------------------------------------------------------------------------


class Survey:
    """Looks at the cells of a column, block by block, and says in the end what they are.

    Parameters
    ----------
    missing : collection of str
        Texts that mean missing in every column, beside the empty one.
    delimiter : str
        Of the file: where it is a comma, the comma in "1,234" is between thousands.
    dates : bool or str
        Whether dates are looked for: in forms that say which number is the day; ``"any"``, in compact forms too, and
        nothing but dates is expected; or a form as for `datetime.strptime`.
    text : bool
        Whether the column is text whatever is in it.
    """

    def __init__(
        self, *, missing: Sequence[str] = (), delimiter: str = ",", dates: bool | str = True, text: bool = False
    ) -> None:
        self.missing, self.dates = frozenset(missing), dates
        self.quoted, self.n_values, self.example = True, 0, ""
        self.gaps: Counter[tuple[str, bool]] = Counter()
        points = [(".", ""), (".", ","), (",", ""), (",", ".")] if delimiter == "," else []
        points = points or [(".", ""), (",", ""), (",", "."), (".", ",")]
        self.learners: list[_Learner] = [_Booleans(), _Wholes(), *(_Numbers(*pair) for pair in points)]
        if text or isinstance(dates, str):
            self.learners = []
        self.sought = dates and not text

    def look(
        self,
        cells: Callable[[], list[str]],
        lengths: NDArray[Any],
        quoted: NDArray[Any],
        plain: Callable[[], PlainNumbers | None] = lambda: None,
    ) -> None:
        """Look at the cells of some rows.

        Parameters
        ----------
        cells : callable
            Returns their texts, without quotes; not called once the column is known to be text.
        lengths, quoted : ndarray of shape (n,)
            How long the texts are, and which have quotes.
        plain : callable
            Returns what they are if all are plain numbers or blank: the quick way, as there are millions of them.
        """
        if not (self.learners or self.sought or self.missing):
            self._count_gaps("", lengths == 0, quoted)
            self._count_values(lengths > 0, quoted)
            return
        quick = None if self.missing or isinstance(self.dates, str) or quoted.any() else plain()
        if quick is not None:
            self._count_gaps("", lengths == 0, quoted)
            self._count_values(lengths > 0, quoted)
            if len(quick.pointed):
                self.sought = False
                self.learners = [learner for learner in self.learners if learner.fits_plain(quick)]
            return
        series = pd.Series(cells(), dtype=str)
        is_gap = series.isin(self.missing | {""}).to_numpy()
        is_word = series.isin(WORDS).to_numpy() & ~is_gap
        for token in series[is_gap | is_word].unique():
            self._count_gaps(token, (series == token).to_numpy(), quoted)
        self._count_values(~(is_gap | is_word), quoted)
        values = series[~(is_gap | is_word)]
        if len(values):
            self._narrow(values)

    def _count_gaps(self, token: str, where: NDArray[Any], quoted: NDArray[Any]) -> None:
        n, with_quotes = int(where.sum()), int((where & quoted).sum())
        self.gaps.update({(token, True): with_quotes, (token, False): n - with_quotes})

    def _count_values(self, where: NDArray[Any], quoted: NDArray[Any]) -> None:
        self.n_values += int(where.sum())
        self.quoted = self.quoted and bool(quoted[where].all())

    def _narrow(self, values: pd.Series) -> None:
        """Keep of what the column may be what fits these values."""
        if self.sought:
            self.example = values.iloc[0]
            self.learners += _date_learners(self.example, self.dates)
            self.sought = False
        wholes = [learner for learner in self.learners if isinstance(learner, _Wholes) and learner.fits(values)]
        kept: list[_Learner] = []
        for learner in self.learners:
            if wholes and isinstance(learner, _Numbers):
                learner.see_wholes()
                kept.append(learner)
            elif learner in wholes or (not isinstance(learner, _Wholes) and learner.fits(values)):
                kept.append(learner)
            elif isinstance(self.dates, str):
                self.example = learner.odd_one(values)
        self.learners = kept

    def cells(self) -> Cells:
        """Return what the cells are.

        Raises
        ------
        ValueError
            If they had to be dates and are none, or it is open which of two numbers is the day; the message goes on
            from "Expected column ... to hold dates".
        """
        found = self._kind()
        is_text = isinstance(found, Text)
        missing = self.missing if is_text else self.missing | WORDS
        gaps = [(token, n) for token, n in self.gaps.most_common() if n and (token[0] in missing or not token[0])]
        gap = ""
        if gaps:
            token, with_quotes = gaps[0][0]
            gap = quote(token) if with_quotes else token
        return replace(found, missing=missing, gaps=bool(gaps), gap=gap, quoted=self.quoted and self.n_values > 0)

    def _kind(self) -> Cells:
        if not self.n_values:
            return Blank()
        dates = [learner for learner in self.learners if isinstance(learner, _Dates)]
        if len({learner.form.replace("%B", "%b") for learner in dates}) == 1:  # May is short and long
            dates = dates[:1]
        if isinstance(self.dates, str):
            if not dates:
                raise ValueError(f"of one form, but got {self.example!r} in a form of its own; leave it out")
            if len(dates) > 1:
                forms = " or ".join(learner.form for learner in dates)
                raise ValueError(f"of one form, but {self.example!r} and all others may be {forms}; say which")
        others = [learner for learner in self.learners if not isinstance(learner, _Dates)]
        if others:
            return others[0].learned()
        return dates[0].learned() if len(dates) == 1 else Text()


class _Learner(ABC):
    """One kind that the cells may be of."""

    @abstractmethod
    def fits(self, values: pd.Series) -> bool:
        """Whether values (n,) may be of this kind."""

    @abstractmethod
    def learned(self) -> Cells:
        """Return the kind as it was seen."""

    def fits_plain(self, numbers: PlainNumbers) -> bool:
        """Whether plain numbers may be of this kind."""
        return False

    def odd_one(self, values: pd.Series) -> str:
        """Return a value that does not fit."""
        return next((value for value in values if not self.fits(pd.Series([value], dtype=str))), values.iloc[0])


class _Booleans(_Learner):
    _WORDS = ("true", "True", "TRUE", "false", "False", "FALSE")

    def __init__(self) -> None:
        self.seen: Counter[str] = Counter()

    def fits(self, values: pd.Series) -> bool:
        if values.iloc[0] not in self._WORDS or not values.isin(self._WORDS).all():
            return False
        self.seen.update(values.tolist())
        return True

    def learned(self) -> Cells:
        words = [word for word, _ in self.seen.most_common()]
        true = next((word for word in words if word.lower() == "true"), None)
        false = next((word for word in words if word.lower() == "false"), None)
        place = self._WORDS.index(true or false or "true") % 3
        return Boolean(true=true or self._WORDS[place], false=false or self._WORDS[place + 3])


class _Wholes(_Learner):
    def fits(self, values: pd.Series) -> bool:
        return bool(values.str.fullmatch(_WHOLE).all())

    def fits_plain(self, numbers: PlainNumbers) -> bool:
        return not numbers.pointed.any()

    def learned(self) -> Cells:
        return Whole()


class _Numbers(_Learner):
    def __init__(self, point: str, group: str) -> None:
        self.point, self.group = point, group
        pattern = (_GROUPED if group else _PLAIN).replace("P", re.escape(point)).replace("G", re.escape(group))
        self.pattern = rf" *(?:{pattern}) *"
        self.fewest, self.most, self.exact, self.short = MOST_DECIMALS, 0, False, False

    def see_wholes(self) -> None:
        self.fewest, self.short = 0, True

    def fits(self, values: pd.Series) -> bool:
        if not re.fullmatch(self.pattern, values.iloc[0]) or not values.str.fullmatch(self.pattern).all():
            return False
        if not (self.exact and self.short):
            self._see_decimals(values.str.strip())
        return True

    def fits_plain(self, numbers: PlainNumbers) -> bool:
        if self.point == ".":
            self.fewest, self.most = (
                min(self.fewest, int(numbers.after.min())),
                max(self.most, int(numbers.after.max())),
            )
            self.short = self.short or not numbers.pointed.all()
            self.exact = self.exact or self.most > MOST_DECIMALS
            return True
        grouped = (numbers.after == 3) & (numbers.before >= 1) & (numbers.before <= 3) & ~numbers.zero
        self.see_wholes()
        return bool((~numbers.pointed | (grouped & (self.group == "."))).all())

    def _see_decimals(self, values: pd.Series) -> None:
        at = values.str.find(self.point)
        decimals = (values.str.len() - at - 1).where(at >= 0, 0)
        self.fewest, self.most = min(self.fewest, int(decimals.min())), max(self.most, int(decimals.max()))
        self.short = self.short or bool((at < 0).any())
        self.exact = self.exact or self.most > MOST_DECIMALS or bool(values.str.contains("[eEf]").any())

    def learned(self) -> Cells:
        decimals = None if self.exact else (self.fewest, self.most)
        return Number(point=self.point, group=self.group, decimals=decimals, short=self.short)


class _Dates(_Learner):
    def __init__(self, form: str, *, iso: bool = False, zoned: bool = False) -> None:
        self.form, self.iso, self.zoned = form, iso, zoned
        self.longest, self.padded = "", True
        self.zones: Counter[str] = Counter()

    def fits(self, values: pd.Series) -> bool:
        values = values.drop_duplicates()
        if self.iso:
            if not values.str.fullmatch(_ISO).all():
                return False
            zones = values.str.slice(10).str.extract(rf"({_ZONE})$", expand=False)
            if bool(zones.notna().all()) != self.zoned or bool(zones.notna().any()) != self.zoned:
                return False
            self.zones.update(zones.dropna().tolist())
        try:
            times = _as_times(values, self.form, self.iso, zoned=self.zoned, errors="coerce")
        except (ValueError, OverflowError):  # of years that pandas does not know
            return False
        if times.isna().any():
            return False
        self.longest = max([self.longest, values.iloc[int(values.str.len().to_numpy().argmax())]], key=len)
        self.padded = self.padded and not values.str.contains(r"(?<![0-9])[0-9](?![0-9])", regex=True).any()
        return True

    def learned(self) -> Cells:
        if not self.iso:
            return Time(form=self.form, iso=False, padded=self.padded)
        zone = self.zones.most_common(1)[0][0] if self.zones else ""
        clock = re.sub(rf"{_ZONE}$", "", self.longest[10:])
        seconds, _, fraction = clock.partition(".")
        form = "%Y-%m-%d" + (f"{seconds[0]}%H:%M" if seconds else "") + (":%S" if len(seconds) > 6 else "")
        return Time(form=form, iso=True, digits=min(len(fraction), 6), zone=zone)


def _date_learners(example: str, dates: bool | str) -> list[_Learner]:
    """Return the forms of dates that a first value has."""
    if isinstance(dates, str) and dates != "any":
        return [_Dates(dates)]
    if re.fullmatch(_ISO, example):
        zoned = re.search(rf"{_ZONE}$", example[10:]) is not None
        return [_Dates("", iso=True, zoned=zoned)]
    found: list[_Learner] = []
    if not re.search("[0-9]", example):
        return found
    forms = [date + clock for date in _DATES for clock in _CLOCKS]
    for form in [*forms, *(_COMPACT if dates == "any" else ())]:
        try:
            datetime.strptime(example, form)
        except ValueError:
            continue
        if form in _COMPACT and len(example) != (8 if form == _COMPACT[0] else 14):
            continue
        found.append(_Dates(form))
    return found


def quote(text: str) -> str:
    """Return a text in quotes, those inside twice."""
    return '"' + text.replace('"', '""') + '"'
