"""Where cells begin and end, at any size of the blocks; which encoding and which separator."""

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latentover.data import delimited
from latentover.data.delimited import Delimited


def cells_of(file):
    return [
        [block.cells(i)[row] for i in range(len(file.header))] for block in file.blocks() for row in range(len(block))
    ]


CELL = st.text(alphabet='ab1,;"\n\r é漢', max_size=6)


@given(
    st.lists(st.tuples(CELL, CELL, CELL), max_size=12),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
    st.integers(1, 30),
)
@settings(max_examples=150, deadline=None, derandomize=True)
def test_what_the_csv_module_writes_is_read_in_blocks_of_any_size(
    tmp_path_factory, rows, line_end, quoting, block_bytes
):
    """The module of the standard library is the second opinion; it leaves a lone carriage return without quotes."""
    rows = [[cell.replace("\r", "") if quoting == csv.QUOTE_MINIMAL else cell for cell in row] for row in rows]
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator=line_end, quoting=quoting).writerows([("x", "y", "z"), *rows])
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    path.write_bytes(text.getvalue().encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(delimited, "BLOCK_BYTES", block_bytes)
        file = Delimited.open(path, delimiter=",")
        assert (file.header, file.line_end) == (["x", "y", "z"], line_end)
        assert cells_of(file) == rows


@pytest.mark.parametrize("block_bytes", [1, 7, 2**20])
@pytest.mark.parametrize(
    ("line", "cells"),
    [
        ('5" pipe,x,1', ['5" pipe', "x", "1"]),
        ('a"b"c,"d,e",1', ['a"b"c', "d,e", "1"]),
        ('"a"b,c,1', ["ab", "c", "1"]),
        ('"say ""hi""",x,""', ['say "hi"', "x", ""]),
        ('"""",x,1', ['"', "x", "1"]),
        ("it's,x\ty,1", ["it's", "x\ty", "1"]),
        (" a ,b , 1", [" a ", "b ", " 1"]),
    ],
)
def test_quotes_open_a_cell_only_at_its_beginning(tmp_path, monkeypatch, line, cells, block_bytes):
    monkeypatch.setattr(delimited, "BLOCK_BYTES", block_bytes)
    path = tmp_path / "a.csv"
    path.write_text(f"x,y,z\n{line}\n1,2,3\n", encoding="utf-8")
    assert cells_of(Delimited.open(path)) == [cells, ["1", "2", "3"]]
    assert next(iter(csv.reader([line]))) == cells


@pytest.mark.parametrize(
    ("content", "delimiter"),
    [
        ("a,b\n1,2\n", ","),
        ("a;b\n1,5;2,5\n", ";"),
        ("a\tb\n1,5\t2\n", "\t"),
        ("a|b\n1|2\n", "|"),
        ("a,b;c\n1,2;3\n4,5;6\n", ","),
        ('"a;b",c\n"1;2",3\n', ","),
        ("a;b;c\n1,2;3,4;5,6\n7;8;9\n", ";"),
        ("a,b", ","),
    ],
)
def test_the_separator_is_found(tmp_path, content, delimiter):
    (tmp_path / "a.csv").write_text(content, encoding="utf-8")
    assert Delimited.open(tmp_path / "a.csv").delimiter == delimiter


@pytest.mark.parametrize(
    ("encoding", "given", "named"),
    [
        ("utf-8", None, "utf-8"),
        ("utf-8-sig", None, "utf-8"),
        ("utf-8-sig", "utf-8-sig", "utf-8"),
        ("utf-8-sig", "utf-8", "utf-8"),
        ("utf-8", "utf-8-sig", "utf-8"),
        ("latin-1", "latin-1", "iso8859-1"),
        ("cp1252", "cp1252", "cp1252"),
        ("utf-16", "utf-16", "utf-16-le"),
        ("utf-16", None, "utf-16-le"),
        ("utf-16-be", "utf-16-be", "utf-16-be"),
        ("utf-32", "utf-32", "utf-32-le"),
    ],
)
@pytest.mark.parametrize("block_bytes", [3, 2**20])
def test_encodings(tmp_path, monkeypatch, encoding, given, named, block_bytes):
    monkeypatch.setattr(delimited, "BLOCK_BYTES", block_bytes)
    (tmp_path / "a.csv").write_text("Größe,y\nkühl,1\nheiß,2\n", encoding=encoding)
    file = Delimited.open(tmp_path / "a.csv", given)
    assert (file.header, file.encoding) == (["Größe", "y"], named)
    assert cells_of(file) == [["kühl", "1"], ["heiß", "2"]]


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        (b"", {}, r"a\.csv to be a readable \.csv file, but got no header"),
        (b"\n\n", {}, "but got no header"),
        (
            "a,b\n1,2\nkühl,3\n".encode("cp1252"),
            {},
            "byte 0xfc in line 3, which is none of encoding utf-8; name its enc",
        ),
        (b"a,b\n1,2\n1,2,3\n", {}, r"got 3 cells in line 3 where the header has 2 \(encoding utf-8, separator ','\)"),
        (b"a,b\n1,2\n\n1\n", {}, "got 1 cells in line 4 where the header has 2"),
        (b'a,b\n"1\n2",3\n4\n', {}, "got 1 cells in line 4"),
        (b"a;b\n1;2\n", {"delimiter": ","}, "Expected"),
        (b'a,b\n1,"2\n3,4\n', {}, "a quote that opens a cell and never closes"),
        ("a,b\n1,2\n".encode("utf-16-le"), {}, "bytes that are zero .*; name its encoding, for example utf-16-le"),
        (b"a,b\n1,2\n", {"encoding": "utf-9"}, "Expected encoding to be one that Python knows, .* but got 'utf-9'"),
        (b"a,b\n1,2\n", {"encoding": "base64"}, "Expected encoding to be one that Python knows, .* but got 'base64'"),
        (b"a,b\n1,2\n", {"delimiter": "ab"}, "Expected delimiter to be one character such as ';' or tab, but got 'ab'"),
        (b"a,b\n1,2\n", {"delimiter": '"'}, "Expected delimiter to be one character"),
    ],
)
@pytest.mark.parametrize("block_bytes", [5, 2**20])
def test_what_cannot_be_read_is_said_with_encoding_and_separator(
    tmp_path, monkeypatch, content, options, message, block_bytes
):
    monkeypatch.setattr(delimited, "BLOCK_BYTES", block_bytes)
    (tmp_path / "a.csv").write_bytes(content)
    if message == "Expected":
        assert Delimited.open(tmp_path / "a.csv", **options).header == ["a;b"]
        return
    with pytest.raises(ValueError, match=message):
        cells_of(Delimited.open(tmp_path / "a.csv", **options))


def test_line_ends(tmp_path):
    for line_end in ("\n", "\r\n", "\r"):
        (tmp_path / "a.csv").write_bytes(line_end.join(["a,b", "1,2", "", '"3,",4']).encode())
        file = Delimited.open(tmp_path / "a.csv")
        assert (file.line_end, cells_of(file)) == (line_end, [["1", "2"], ["3,", "4"]])
