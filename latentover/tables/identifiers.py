"""Columns that name rows: nothing of them is learned but the form, and new rows get new names or none.

What is taken for an identifier by itself, in a frame, stands at `is_identifier`; what for free text at `is_free_text`.
"""

import math
import re
from dataclasses import dataclass
from typing import Any, ClassVar, Literal
from uuid import UUID

import numpy as np
import pandas as pd

from latentover.tables.columns import Column, Part
from latentover.tables.series import inferred, missing_values, plain_value
from latentover.tables.values import from_json

NewIdentifiers = Literal["fresh", "missing"]

_CLASSES = {
    "9": "0123456789",
    "h": "0123456789abcdef",
    "H": "0123456789ABCDEF",
    "a": "abcdefghijklmnopqrstuvwxyz",
    "A": "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "x": "0123456789abcdefghijklmnopqrstuvwxyz",
    "X": "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "*": "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ",
}
_MANY = 20
"""Rows that have to share a character, a length or a domain for it to be part of the form."""
_LENGTHS = 20
"""Lengths that a form has at the most: the most frequent ones."""
_SHARED = 0.95
"""Share of the rows of a length that have to have a character in its place for it to be part of the form."""
_RARE = 1e-3
"""Without the training column at hand, the chance that any new value is one of it is at most about this."""
_LONGEST = 64

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[A-Za-z]{2,}")
_PERSONAL = re.compile(
    r"[^@\s]+@[^@\s]+\.[A-Za-z]{2,}"  # e-mail
    r"|\{?[0-9a-fA-F]{8}-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}\}?"  # UUID
    r"|(?=.*[0-9])[0-9a-fA-F]{16,128}"  # hashes
    r"|[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]){11,30}"  # IBAN
    r"|\+?[0-9][0-9 ()/.-]{8,20}[0-9]"  # telephone, card and account numbers
    r"|(?:[0-9]{1,3}\.){3}[0-9]{1,3}"  # addresses in the internet
)
_DIGITS = {f"={digit}" for digit in _CLASSES["9"]}
_NAMED = {"id", "ids", "uuid", "guid", "key", "pk", "rowid", "rownum", "iban", "serial", "ref", "reference", "unnamed"}
_NAMED_LOOSELY = _NAMED | {
    *("account", "acct", "card", "code", "ean", "hash", "idx", "imei", "index", "isbn", "no", "nr", "num", "number"),
    *("phone", "pin", "ssn", "tel", "telephone", "token", "transaction", "trans", "txn"),
}


@dataclass(frozen=True)
class Identifier(Column):
    """Names of rows: no encoded column, and in new rows fresh values of the same form, or missing ones.

    Attributes
    ----------
    new : {"fresh", "missing"}
        What new rows get. A column of pandas' category type has missing values always.
    form : dict
        Of text the lengths that many rows have and, by place, a class of characters, or the character that many rows
        share; of e-mail the domains that many rows share; of whole numbers the digits, if all have as many, and a power
        of ten above all.
    rows : int
        A power of ten that is at least the number of rows.
    """

    new: NewIdentifiers = "fresh"
    form: Any = None
    rows: int = 1

    kind: ClassVar[str] = "identifier"

    @classmethod
    def learn(cls, values: pd.Series, dtype: str, *, new: NewIdentifiers = "fresh") -> "Identifier":
        """Learn the form of a column of identifiers (n,)."""
        seen = inferred(values[~missing_values(values)])
        rows = 10 ** math.ceil(math.log10(max(len(seen), 1)))
        return cls(plain_value(values.name), dtype, new=new, form=_learn_form(seen), rows=rows)

    @property
    def parts(self) -> tuple[Part, ...]:
        """It has none."""
        return ()

    def encode(self, values: pd.Series) -> np.ndarray:
        """Return no columns (n, 0)."""
        return np.empty((len(values), 0), dtype=np.float32)

    def decode(self, block: np.ndarray) -> pd.Series:
        """Return missing values in the user's type; whole numbers of NumPy's types become pandas' nullable ones."""
        return self._typed([None] * len(block))

    def fresh(self, n: int, generator: np.random.Generator, taken: pd.Series | None = None) -> pd.Series:
        """Return n different values of the form that are none of the training column's.

        Parameters
        ----------
        n : int
        generator : numpy Generator
        taken : Series, optional
            The training column, which is looked at for this alone. Without it the values are fresh where the form has
            so many that none of them is likely to have been there (a chance of 1 in 1,000), and missing otherwise.
            Whole numbers that had more and fewer digits then lie above all that there were.

        Returns
        -------
        Series of shape (n,)
            Missing values where the form has too few, or `new` says so.
        """
        known = None if taken is None else {_plain(value) for value in taken[~missing_values(taken)]}
        made = None
        if n and self.new == "fresh" and self.form is not None and self.dtype != "category":
            make = _fresh_numbers if self.form["kind"] == "integer" else _fresh_texts
            made = make(self, n, generator, known)
        return self._typed([None] * n if made is None else made)

    def _typed(self, values: list[Any]) -> pd.Series:
        """Return values in the user's type, whole numbers in its nullable kind where some are missing."""
        dtype = pd.api.types.pandas_dtype(self.dtype)
        if isinstance(dtype, np.dtype) and dtype.kind in "iu" and any(value is None for value in values):
            dtype = pd.api.types.pandas_dtype(dtype.name.replace("int", "Int").replace("u", "U"))
        if isinstance(dtype, np.dtype) and dtype.kind == "f":
            values = [np.nan if value is None else value for value in values]
        return pd.Series(values, dtype=object).astype(dtype)

    def describe(self) -> str:
        """Return in words what becomes of the column."""
        what = "fresh values of the same form" if self.new == "fresh" and self.form is not None else "missing values"
        return f"identifier, not learned; new rows have {what}"

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> "Identifier":
        """Return the column that `to_dict` described."""
        return cls(**{**state, "name": from_json(state["name"])})


# ---- Forms -----------------------------------------------------------------------------------------------------------


def _plain(value: Any) -> Any:
    """Return a value as forms make it: whole numbers as int, UUIDs as text."""
    if isinstance(value, UUID):
        return str(value)
    value = plain_value(value)
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _learn_form(seen: pd.Series) -> dict[str, Any] | None:
    """Return the form of identifiers, or None for one of which no fresh values can be made."""
    values = [_plain(value) for value in seen.astype(object)]
    if not values:
        return None
    if all(isinstance(value, int) and not isinstance(value, bool) for value in values):
        if min(values) < 0:
            return None
        digits = {len(str(value)) for value in values}
        largest = max(len(str(value)) for value in values)
        return {"kind": "integer", "digits": digits.pop() if len(digits) == 1 else None, "bound": 10**largest}
    if not all(isinstance(value, str) for value in values):
        return None
    if sum(bool(_EMAIL.fullmatch(value)) for value in values) >= _SHARED * len(values):
        counts = pd.Series([value.rpartition("@")[2].lower() for value in values]).value_counts()
        domains = counts.index[counts >= max(_MANY, 0.01 * len(values))].tolist()
        return {"kind": "email", "domains": domains[:_LENGTHS] or ["example.org"]}
    lengths = pd.Series([min(len(value), _LONGEST) for value in values]).value_counts()
    common = lengths[lengths >= _MANY].head(_LENGTHS)
    if common.empty:
        length = max(int(np.median(lengths.index.repeat(lengths))), 1)
        patterns = [(1.0, [_class_of("".join(values))] * length)]
    else:
        patterns = []
        for length, count in zip(common.index.tolist(), common.tolist(), strict=True):
            rows = [value for value in values if min(len(value), _LONGEST) == length]
            patterns.append((round(count / common.sum(), 3), [_place(column) for column in zip(*rows, strict=False)]))
    uuid = isinstance(seen.iloc[0], UUID)
    return {"kind": "uuid" if uuid else "text", "shares": [p[0] for p in patterns], "places": [p[1] for p in patterns]}


def _place(characters: tuple[str, ...]) -> str:
    """Return what stands in one place: the character that nearly all rows share, or the name of a class."""
    counts = pd.Series(characters).value_counts()
    if counts.iloc[0] >= max(_SHARED * len(characters), _MANY):
        return f"={counts.index[0]}"
    return _class_of("".join(characters))


def _class_of(characters: str) -> str:
    """Return the first class that nearly all of some characters are in."""
    for name, members in _CLASSES.items():
        if sum(map(characters.count, members)) >= _SHARED * len(characters):
            return name
    return "*"


def _spaces(places: list[list[str]]) -> np.ndarray:
    """Return how many texts there are of each pattern."""
    return np.array([math.prod(float(len(_CLASSES[p])) for p in place if p[0] != "=") for place in places])


def _fresh_texts(
    column: Identifier, n: int, generator: np.random.Generator, known: set[Any] | None
) -> list[Any] | None:
    form = column.form
    if form["kind"] == "email":
        places = [["x"] * 10 + [f"={c}" for c in f"@{domain}"] for domain in form["domains"]]
        shares = np.full(len(places), 1 / len(places))
    else:
        places, shares = form["places"], np.array(form["shares"]) / sum(form["shares"])
    wanted = n * column.rows / _RARE if known is None else 2.0 * (n + len(known))
    enough = _spaces(places) >= wanted
    if not enough.any():  # TX-0000123: zeros that all rows had are digits
        places = [["9" if p in _DIGITS else p for p in place] for place in places]
        enough = _spaces(places) >= wanted
    if not enough.any():
        return None
    shares = np.where(enough, shares, 0)
    made: dict[str, None] = {}
    known = known or set()
    while len(made) < n:
        for number, count in enumerate(generator.multinomial(n - len(made), shares / shares.sum())):
            columns = [
                [place[1]] * count
                if place[0] == "="
                else np.array(list(_CLASSES[place]))[generator.integers(len(_CLASSES[place]), size=count)].tolist()
                for place in places[number]
            ]
            made |= dict.fromkeys(text for text in map("".join, zip(*columns, strict=True)) if text not in known)
    texts = np.array(list(made), dtype=object)[generator.permutation(len(made))].tolist()
    return [UUID(text) for text in texts] if form["kind"] == "uuid" else texts


def _fresh_numbers(
    column: Identifier, n: int, generator: np.random.Generator, known: set[Any] | None
) -> list[Any] | None:
    digits, bound = column.form["digits"], column.form["bound"]
    low, high = (10 ** (digits - 1) if digits > 1 else 0, bound) if digits else (0, bound)
    if known is None:
        enough = bool(digits) and high - low >= n * column.rows / _RARE
    else:
        enough = high - low >= 2 * (n + len(known))
    if not enough:
        if digits and known is None:
            return None
        low, high = bound, bound * 10
        while high - low < 2 * n:
            high *= 10
    dtype: Any = pd.api.types.pandas_dtype(column.dtype)
    dtype = getattr(dtype, "numpy_dtype", dtype)
    most = np.iinfo(dtype).max if getattr(dtype, "kind", "O") in "iu" else 2**53
    if high - 1 > min(most, 2**63 - 1):
        return None
    made: dict[int, None] = {}
    while len(made) < n:
        drawn = generator.integers(low, high, size=n - len(made)).tolist()
        made |= dict.fromkeys(value for value in drawn if known is None or value not in known)
    return list(made)


# ---- What is one -----------------------------------------------------------------------------------------------------


def is_identifier(values: pd.Series) -> bool:
    """Whether a column of a frame is taken for an identifier.

    Text, also as pandas' categories, is one if 4 in 5 of its values stand in one row alone; or if 9 in 10 look like
    e-mail, UUIDs, hashes of 16 digits or more, IBANs, telephone or account numbers (of 10 digits or more) or internet
    addresses, and there are more than 20 of them and more than one for 10 rows. What reads as decimal numbers is text
    as any other.

    Whole numbers, none negative, are one only if

    - no two rows share one, there are at least 50 rows, and the numbers lie so close that of draws at random 10 pairs
      or more would have been the same (row numbers; a part of the numbers of a longer list); or
    - 98 in 100 are different, and the column's name says so: a word of it is id, uuid, guid, key, pk, rowid, iban,
      serial, ref, reference or unnamed; or
    - 98 in 100 are different, all have the same number of digits, 6 or more, and a word of the name is account, card,
      code, ean, hash, idx, imei, index, isbn, no, nr, num, number, phone, pin, ssn, tel, token, transaction, ...

    So amounts in cents, populations and prices are measurements, though each row has its own; and floats always are.
    """
    seen = values[~missing_values(values)]
    if len(seen) == 0:
        return False
    kind = _text_or_integer(seen)
    if kind == "text":
        texts = seen.astype(object)
        counts = texts.value_counts()
        if (counts == 1).sum() >= 0.8 * len(seen):
            return True
        if len(counts) <= max(20, 0.1 * len(seen)):
            return False
        looks = sum(bool(_PERSONAL.fullmatch(str(text).strip())) for text in counts.index)
        return looks >= 0.9 * len(counts)
    if kind == "integer":
        return _is_numbering(seen)
    return False


def _text_or_integer(seen: pd.Series) -> str:
    dtype = inferred(seen).dtype
    if isinstance(dtype, pd.CategoricalDtype):
        dtype = inferred(seen.astype(object)).dtype
        return "text" if _is_text(seen.astype(object), dtype) else "other"
    if pd.api.types.is_bool_dtype(dtype):
        return "other"
    if pd.api.types.is_integer_dtype(dtype):
        return "integer"
    return "text" if _is_text(seen, dtype) else "other"


def _is_text(seen: pd.Series, dtype: Any) -> bool:
    if not pd.api.types.is_object_dtype(dtype):
        return pd.api.types.is_string_dtype(dtype)
    return all(isinstance(value, str | bytes | UUID) for value in seen)


def _is_numbering(seen: pd.Series) -> bool:
    numbers = seen.to_numpy(dtype=np.float64, na_value=np.nan)
    low, high, n = float(numbers.min()), float(numbers.max()), len(numbers)
    if low < 0 or n < 2:
        return False
    different = seen.nunique()
    if different == n and n >= 50 and n * n / (2 * (high - low + 1)) >= 10:
        return True
    words = name_words(seen.name)
    if different < 0.98 * n or n < 5:
        return False
    digits = len(str(int(low)))
    return bool(words & _NAMED) or (digits == len(str(int(high))) >= 6 and bool(words & _NAMED_LOOSELY))


def name_words(name: Any) -> set[str]:
    """Return the words of a column's name in lower case: those of "customerID" and "Customer-Id" are alike."""
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", str(name))
    return {word.lower() for word in re.split(r"[^A-Za-z]+", apart) if word}


def is_free_text(values: pd.Series) -> bool:
    """Whether a column holds sentences: half of its texts differ, and they have 5 words or more on average."""
    seen = values[~missing_values(values)]
    if len(seen) == 0 or _text_or_integer(seen) != "text":
        return False
    texts = [str(text) for text in seen.astype(object).unique()]
    if 2 * len(texts) < len(seen) or len(texts) < 10:
        return False
    if sum(bool(_PERSONAL.fullmatch(text.strip())) for text in texts) >= 0.5 * len(texts):
        return False
    return sum(len(text.split()) for text in texts) >= 5 * len(texts)
