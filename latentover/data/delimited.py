"""CSV files as they lie on the disk: encoding, separator, line ends, and where each cell begins and ends.

A file is read as a stream of blocks of whole records, in UTF-8 whatever its own encoding is. A quote opens a cell only
at its beginning; in one that is open, separators and line ends are text, and two quotes are one.
"""

import codecs
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from latentover.data.cells import MOST_DIGITS, PlainNumbers, quote

BLOCK_BYTES = 8 * 2**20
"""How much of a file is looked at at a time; more where a record is longer."""
MAX_RECORD_BYTES = 2**29
SAMPLE_BYTES = 2**18
SAMPLE_RECORDS = 100
DELIMITERS = (",", ";", "\t", "|")
_QUOTE = ord('"')
_MARKS = (  # the longer first
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


@dataclass(frozen=True)
class Block:
    """Some records, all with the same number of cells.

    Attributes
    ----------
    data : bytes
        Of the file, in UTF-8: these records, and blank lines.
    starts, ends : ndarray of shape (n, columns)
        Where in `data` each cell begins and ends, with its quotes.
    """

    data: bytes
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.starts)

    @cached_property
    def _ascii(self) -> str | None:
        """The data as text, if each letter of it is a byte."""
        return self.data.decode("ascii") if self.data.isascii() else None

    def quoted(self, column: int) -> NDArray[np.bool_]:
        """Return which cells (n,) of a column have quotes."""
        array = np.frombuffer(self.data, np.uint8)
        at, there = self.starts[:, column], self.ends[:, column] > self.starts[:, column]
        return there & (array[np.minimum(at, len(array) - 1)] == _QUOTE)

    def lengths(self, column: int) -> NDArray[np.int64]:
        """Return the bytes (n,) of the cells of a column without quotes around them."""
        lengths = self.ends[:, column] - self.starts[:, column]
        return lengths - np.where(self.quoted(column), np.minimum(lengths, 2), 0)

    def cells(self, column: int, rows: NDArray[np.intp] | slice = slice(None)) -> list[str]:
        """Return the texts of the cells of a column, of all rows or of some."""
        pairs = zip(self.starts[rows, column].tolist(), self.ends[rows, column].tolist(), strict=True)
        if self._ascii is not None:
            texts = [self._ascii[start:end] for start, end in pairs]
        else:
            texts = [self.data[start:end].decode() for start, end in pairs]
        for i in np.flatnonzero(self.quoted(column)[rows]).tolist():
            texts[i] = _unquoted(texts[i])
        return texts

    def plain_numbers(self, column: int) -> PlainNumbers | None:
        """Return what the cells of a column are if each of them is a plain number or blank, and else None."""
        starts, ends = self.starts[:, column], self.ends[:, column]
        there = ends > starts
        starts, ends = starts[there], ends[there]
        array = np.frombuffer(self.data, np.uint8)
        minus = array[starts] == ord("-") if len(starts) else np.zeros(0, dtype=bool)
        n_others = self._others[ends] - self._others[starts]
        at = np.searchsorted(self._points, starts)
        n_points = np.searchsorted(self._points, ends) - at
        n_digits = ends - starts - n_others
        pointed = n_points == 1
        if not ((n_others == minus + n_points) & (n_points <= 1) & (n_digits >= 1)).all():
            return None
        first = np.minimum(starts + minus, len(array) - 1)
        zero = array[first] == ord("0")
        before = n_digits.copy()
        before[pointed] = (self._points[at[pointed]] - starts[pointed]) - minus[pointed]
        if (zero & (before > 1)).any() or (before[~pointed] > MOST_DIGITS).any():
            return None
        return PlainNumbers(pointed, before, n_digits - before, zero)

    @cached_property
    def _others(self) -> NDArray[np.int32]:
        """How many bytes before each are no digits."""
        array = np.frombuffer(self.data, np.uint8)
        return np.concatenate([[0], np.cumsum((array < ord("0")) | (array > ord("9")), dtype=np.int32)]).astype(
            np.int32
        )

    @cached_property
    def _points(self) -> NDArray[np.intp]:
        """Where the points are."""
        return np.flatnonzero(np.frombuffer(self.data, np.uint8) == ord("."))


def _unquoted(cell: str) -> str:
    """Return the text of a cell that begins with a quote."""
    end = 1
    while (end := cell.find('"', end)) >= 0 and cell[end : end + 2] == '""':
        end += 2
    return cell[1:end].replace('""', '"') + cell[end + 1 :] if end >= 0 else cell[1:]


@dataclass(frozen=True)
class Delimited:
    """A CSV file: how it is written.

    Attributes
    ----------
    path : Path
    encoding : str
        Without the mark at the beginning.
    mark : bytes
        The byte order mark that the file begins with, or none.
    delimiter, line_end : str
    header : list of str
        Names of the columns.
    quoted : bool
        Whether all names have quotes.
    """

    path: Path
    encoding: str
    mark: bytes
    delimiter: str
    line_end: str
    header: list[str]
    quoted: bool

    @classmethod
    def open(cls, path: Path, encoding: str | None = None, delimiter: str | None = None) -> "Delimited":
        """Look at the beginning of a file.

        Parameters
        ----------
        path : Path
        encoding : str, optional
            As Python names it; default: UTF-8, or what the byte order mark says.
        delimiter : str, optional
            One character; default: the one of ``,;|`` and tab that cuts the first records into equally many cells.

        Raises
        ------
        ValueError
            If the file cannot be decoded, or has no header.
        """
        encoding, mark = _encoding(path, encoding)
        if delimiter is not None:
            delimiter = {"\\t": "\t", "tab": "\t"}.get(delimiter, delimiter)
            if len(delimiter) != 1 or not delimiter.isascii() or delimiter in '"\r\n':
                raise ValueError(
                    f"Expected delimiter to be one character such as ';' or tab, but got {delimiter!r}; name what "
                    f"stands between the cells of {path}."
                )
        sample = b""
        for piece in _utf8(path, encoding, len(mark)):
            sample += piece
            if len(sample) > SAMPLE_BYTES:
                break
        whole, sample = len(sample) <= SAMPLE_BYTES, sample[:SAMPLE_BYTES]
        newline = b"\n" if b"\n" in sample else b"\r"
        if whole and sample:
            sample += newline
        line_end = _line_end(sample)
        delimiter = delimiter or _sniffed(sample, newline[0])
        shape = cls(path, encoding, mark, delimiter, line_end, [], quoted=False)
        for block in shape._blocks(columns=None):
            names = [block.cells(i)[0] for i in range(block.starts.shape[1])]
            quoted = all(bool(block.quoted(i)[0]) for i in range(len(names)))
            return cls(path, encoding, mark, delimiter, line_end, names, quoted)
        raise shape.unreadable("no header, for the file is empty", "write the names of the columns into its first line")

    def unreadable(self, problem: str, advice: str) -> ValueError:
        """Return an error that names the file, its encoding and its separator."""
        return ValueError(
            f"Expected {self.path} to be a readable .csv file, but got {problem} (encoding {self.encoding}, separator "
            f"{self.delimiter!r}); {advice}."
        )

    def blocks(self) -> Iterator[Block]:
        """Yield the records below the header."""
        above = 1  # the header
        for block in self._blocks(columns=len(self.header)):
            skipped = min(above, len(block))
            above -= skipped
            yield Block(block.data, block.starts[skipped:], block.ends[skipped:])

    def _blocks(self, columns: int | None) -> Iterator[Block]:
        """Yield the records with the header, of which a number of cells is expected, or as many as in the first one."""
        newline, line = ord(self.line_end[-1]), 1
        for data, marks in self._whole_records(newline):
            block = self._checked(data, marks, newline, columns, line)
            if len(block):
                columns = block.starts.shape[1]
            if columns is not None:
                yield block
            line += data.count(bytes([newline]))

    def _whole_records(self, newline: int) -> Iterator[tuple[bytes, NDArray[np.int64]]]:
        """Yield the content in pieces that end where a record does, with the marks in them."""
        pieces: list[bytes] = []
        size = wanted = 0
        for piece in _utf8(self.path, self.encoding, len(self.mark)):
            pieces.append(piece)
            size += len(piece)
            if size < wanted:
                continue
            data = b"".join(pieces)
            if b"\0" in piece:
                raise self.unreadable("bytes that are zero", "name its encoding, for example utf-16-le")
            marks = _marks(data, ord(self.delimiter), newline)
            lasts = np.flatnonzero(np.frombuffer(data, np.uint8)[marks] == newline)
            end = int(marks[lasts[-1]]) + 1 if len(lasts) else 0
            if end:
                yield data[:end], marks[: lasts[-1] + 1]
            pieces, size = [data[end:]], len(data) - end
            wanted = 0 if end else 2 * size  # a record that is longer than what was read: each time twice as much
            if size > MAX_RECORD_BYTES:
                raise self._unclosed()
        if data := b"".join(pieces):
            data += bytes([newline])
            marks = _marks(data, ord(self.delimiter), newline)
            if not len(marks) or marks[-1] != len(data) - 1:
                raise self._unclosed()
            yield data, marks

    def _unclosed(self) -> ValueError:
        return self.unreadable(
            "a quote that opens a cell and never closes", "close it, or name the separator if it is another one"
        )

    def _checked(self, data: bytes, marks: NDArray[np.int64], newline: int, columns: int | None, line: int) -> Block:
        """Return the records in `data` without blank lines; raise ValueError for one with another number of cells."""
        array = np.frombuffer(data, np.uint8)
        lasts = np.flatnonzero(array[marks] == newline)
        counts = np.diff(lasts, prepend=-1)
        starts, ends = np.concatenate([[0], marks[:-1] + 1]), marks.copy()
        if newline == 10:  # what stands before it in files of other systems belongs to the line's end
            last = ends[lasts]
            ends[lasts] -= (last > starts[lasts]) & (array[last - 1] == 13)
        odd = np.flatnonzero(counts != (counts[0] if columns is None else columns))
        if columns is None or len(odd):
            ones = np.flatnonzero(counts == 1)
            blank = np.zeros(len(counts), dtype=bool)
            blank[ones] = [not data[starts[lasts[i]] : ends[lasts[i]]].strip() for i in ones]
            if columns is None:
                columns = int(next((n for n, empty in zip(counts, blank, strict=True) if not empty), 1))
            for i in np.flatnonzero((counts != columns) & ~blank):
                at = line + data[: starts[lasts[i] - counts[i] + 1]].count(bytes([newline]))
                raise self.unreadable(
                    f"{counts[i]} cells in line {at} where the header has {columns}",
                    "name its separator, or correct the line",
                )
            kept = np.repeat(~blank, counts)
            starts, ends = starts[kept], ends[kept]
        return Block(data, starts.reshape(-1, columns), ends.reshape(-1, columns))

    # ---- Writing -----------------------------------------------------------------------------------------------------

    def written(self, text: str | None, *, quoted: bool = False, gap: str = "") -> str:
        """Return a cell; with quotes where they are needed or asked for."""
        if text is None:
            return gap
        needed = self.delimiter in text or '"' in text or "\n" in text or "\r" in text
        return quote(text) if needed or quoted or not text else text

    def copy_to(self, out: Path, mark: str | None = None) -> bool:
        """Write the file as it is, or with a column that is false, and say whether its last line has an end.

        Parameters
        ----------
        out : Path
        mark : str, optional
            Name of the column.
        """
        last = self.line_end[-1].encode(self.encoding)
        with self.path.open("rb") as source:
            source.seek(-min(len(last), self.path.stat().st_size), 2)
            ended = source.read() == last
        if mark is None:
            shutil.copyfile(self.path, out)
            return ended
        addition = f"{self.delimiter}{self.written(mark, quoted=self.quoted)}".encode()
        waiting: bytes | None = None
        with out.open("wb") as file:
            file.write(self.mark)
            for block in self._blocks(columns=len(self.header)):
                places = block.ends[:, -1].tolist()
                parts, start = [], 0
                for place in places:
                    parts += [block.data[start:place], addition]
                    start, addition = place, f"{self.delimiter}false".encode()
                parts.append(block.data[start:])
                if waiting is not None:
                    file.write(waiting)
                waiting = b"".join(parts).decode().encode(self.encoding)
            if waiting is not None:
                file.write(waiting if ended else waiting[: -len(last)])
        return ended

    def append(self, out: Path, lines: Iterable[str], *, ended: bool) -> None:
        """Write lines, without their ends, below the others; the last one has an end if that of the file had one."""
        with out.open("ab") as file:
            separator = "" if ended else self.line_end
            for line in lines:
                file.write((separator + line).encode(self.encoding))
                separator = self.line_end
            if ended:
                file.write(separator.encode(self.encoding))

    def lines(self, columns: Sequence[Sequence[str]]) -> str:
        """Return rows of cells, given by column, as lines; the last one without its end."""
        return self.line_end.join(map(self.delimiter.join, zip(*columns, strict=True)))


def _encoding(path: Path, given: str | None) -> tuple[str, bytes]:
    """Return the encoding of a file without its byte order mark, and the mark."""
    name = None
    if given is not None:
        try:
            name = codecs.lookup(given).name.replace("utf-8-sig", "utf-8")
            "a".encode(name)
        except LookupError as error:
            raise ValueError(
                f"Expected encoding to be one that Python knows, such as utf-8, latin-1, cp1252 or utf-16, but got "
                f"{given!r}; name that of {path}."
            ) from error
    with path.open("rb") as file:
        beginning = file.read(4)
    for mark, encoding in _MARKS:
        if beginning.startswith(mark) and (name is None or encoding.startswith(name)):
            return encoding, mark
    if name in ("utf-16", "utf-32"):
        name += "-le"
    return name or "utf-8", b""


def _utf8(path: Path, encoding: str, skip: int) -> Iterator[bytes]:
    """Yield the content of a text file in UTF-8."""
    decoder, line, held = codecs.getincrementaldecoder(encoding)(), 1, b""
    with path.open("rb") as file:
        file.seek(skip)
        while True:
            raw = file.read(BLOCK_BYTES)
            held = decoder.getstate()[0]
            try:
                piece = decoder.decode(raw, final=not raw)
            except UnicodeDecodeError as error:
                ahead = (held + raw)[: error.start]
                at = line + len(re.findall("\r\n|\n|\r", ahead.decode(encoding, errors="ignore")))
                raise ValueError(
                    f"Expected {path} to be a readable .csv file, but got byte 0x{error.object[error.start]:02x} in "
                    f"line {at}, which is none of encoding {encoding}; name its encoding, for example cp1252, latin-1 "
                    "or utf-16."
                ) from error
            if piece:
                line += piece.count("\n")
                yield piece.encode()
            if not raw:
                return


def _line_end(sample: bytes) -> str:
    """Return the end of the first line that has one outside of a cell in quotes."""
    if b"\n" not in sample:
        return "\r" if b"\r" in sample[:-1] else "\n"
    marks = _marks(sample, 10, 10)
    at = int(marks[0]) if len(marks) else sample.index(b"\n")
    return "\r\n" if sample[:at].endswith(b"\r") else "\n"


def _sniffed(sample: bytes, newline: int) -> str:
    """Return the separator that cuts the first records into equally many cells, most of them if several do."""
    best = (0, 0, DELIMITERS[0])
    for delimiter in DELIMITERS:
        marks = _marks(sample, ord(delimiter), newline)
        lasts = np.flatnonzero(np.frombuffer(sample, np.uint8)[marks] == newline)
        counts = np.diff(lasts, prepend=-1)[: SAMPLE_RECORDS + 1]
        if not len(counts):
            continue
        starts = np.concatenate([[0], marks[:-1] + 1])[lasts[: len(counts)]]
        full = [
            n for n, start, end in zip(counts, starts, marks[lasts], strict=False) if n > 1 or sample[start:end].strip()
        ]
        if full and full[0] > 1:
            found = (int(len(set(full)) == 1), int(full[0]), delimiter)
            best = max(best, found, key=lambda candidate: candidate[:2])
    return best[2]


def _marks(data: bytes, delimiter: int, newline: int) -> NDArray[np.int64]:
    """Return where in `data`, which begins with a record, the separators and line ends outside of quotes are."""
    array = np.frombuffer(data, np.uint8)
    marks = np.flatnonzero((array == delimiter) | (array == newline))
    quotes = np.flatnonzero(array == _QUOTE)
    if not len(quotes):
        return marks
    before = array[quotes[::2] - 1]
    begins = (quotes[::2] == 0) | (before == delimiter) | (before == newline) | (before == _QUOTE)
    if begins.all():  # each quote opens a cell, closes it or is the half of one: those before a mark say where it is
        return marks[np.searchsorted(quotes, marks) % 2 == 0]
    return _marks_one_by_one(data, delimiter, newline)


def _marks_one_by_one(data: bytes, delimiter: int, newline: int) -> NDArray[np.int64]:
    """Return what `_marks` does where quotes stand inside of cells without quotes, in which they are text."""
    stops = re.escape(bytes({delimiter, newline}))
    cell = re.compile(rb'"[^"]*+(?:""[^"]*+)*+"[^%b]*+|(?!")[^%b]*+' % (stops, stops))
    marks, at = [], 0
    while (found := cell.match(data, at)) and found.end() < len(data):
        marks.append(found.end())
        at = found.end() + 1
    return np.array(marks, dtype=np.int64)
