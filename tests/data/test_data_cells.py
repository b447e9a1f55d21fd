"""What the cells of a column are, and that what is written again is what was read."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latentover.data.cells import Blank, Boolean, Number, Survey, Text, Time, Whole
from latentover.data.delimited import Block


def learned(cells, *, quick=False, **options):
    """Return what a survey makes of cells that come in two blocks, by their texts alone or by their bytes too."""
    survey = Survey(**options)
    for part in (cells[:2], cells[2:]):
        if part:
            data = "\n".join(part).encode() + b"\n"
            ends = np.cumsum([len(cell.encode()) + 1 for cell in part])[:, None] - 1
            block = Block(data, np.concatenate([[[0]], ends[:-1] + 1]), ends)
            plain = (lambda block=block: block.plain_numbers(0)) if quick else (lambda: None)
            survey.look(lambda part=part: part, block.lengths(0), np.zeros(len(part), dtype=bool), plain)
    return survey.cells()


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["1", "20", "-3", "0"], Whole),
        (["1", "20", "3.5"], Number),
        (["1e5", "2.5E-3", "-.5", "3."], Number),
        (["inf", "1.5", "-inf"], Number),
        (["007", "042", "100"], Text),
        (["1", "2", "03"], Text),
        (["00.5", "1.5", "2"], Text),
        (["+43 1", "+431", "+43"], Text),
        (["+1", "2", "3"], Text),
        (["0x1F", "0x10", "0xA0"], Text),
        (["1234567890123456789", "1", "2"], Text),
        (["1_000", "2", "3"], Text),
        (["1", "2", "None"], Text),
        (["None", "mild", "severe"], Text),
        (["1", "2", "3", "many"], Text),
        (["true", "false", "true"], Boolean),
        (["TRUE", "FALSE", "maybe"], Text),
        (["yes", "no", "yes"], Text),
        (["2024-01-31", "2024-02-01", "1999-12-31"], Time),
        (["2024-01-31", "2024-02-30", "x"], Text),
        (["31.01.2024", "1.2.2024", "05.05.2024"], Time),
        (["31/01/2024", "01/02/2024", "05/05/2024"], Time),
        (["01/02/2024", "03/04/2024", "05/06/2024"], Text),
        (["01/31/2024", "31/01/2024", "05/06/2024"], Text),
        (["20240131", "20240201", "20240301"], Whole),
        (["", "", ""], Blank),
        (["NA", "", "null"], Blank),
        (["1.2.3.4", "10.0.0.1", "8.8.8.8"], Text),
    ],
)
def test_a_column_is_of_the_first_kind_that_all_of_it_fits(cells, kind):
    found = learned(cells)
    assert type(found) is kind
    assert learned(cells, quick=True) == found
    if kind is not Blank:
        values = found.parse(cells)
        assert len(values) == len(cells)
        assert not values.isna().any()


@pytest.mark.parametrize(
    "cells",
    [
        ["1", "-20", "0", "999999999999999999"],
        ["1.50", "20.00", "-0.25"],
        ["1.5", "20.25", "3"],
        ["1.5", "20.25", "3.0"],
        ["0.1", "0.7", "123456.3"],
        ["1e-07", "2.5", "0.30000000000000004"],
        ["0.12345678901234566", "3", "2.5"],
        ["True", "False", "True"],
        ["TRUE", "FALSE", "FALSE"],
        ["2024-01-31", "1999-12-31", "1700-01-01"],
        ["2024-01-31T10:00:05", "1999-12-31T00:00:00", "2024-02-29T23:59:59"],
        ["2024-01-31 10:00", "1999-12-31 00:00", "2024-02-29 23:59"],
        ["2024-01-31 10:00:00.125", "1999-12-31 00:00:00.000", "2024-02-29 23:59:59.999"],
        ["2024-01-31T10:00:05Z", "1999-12-31T00:00:00Z", "2024-02-29T23:59:59Z"],
        ["2024-01-31T10:00:05+01:00", "1999-12-31T00:00:00+01:00", "2024-02-29T23:59:59+01:00"],
        ["31.01.2024", "01.02.2024", "05.05.2024"],
        ["1/31/2024 9:05", "12/1/2024 10:00", "2/3/2024 0:30"],
        ["31-Jan-2024", "01-Feb-2024", "05-May-2024"],
        ["Jan 31, 2024", "Feb 01, 2024", "May 05, 2024"],
        ["2024/01/31", "2024/02/01", "2024/05/05"],
        ["007", "+43", "0x1F", "1e5"],
        ["Graz", "NA", "None", " x "],
    ],
)
def test_values_are_written_as_they_stood(cells):
    found = learned(cells)
    assert found.write(found.parse(cells)) == cells
    assert type(found) is not Text or not all(cell[-1].isdigit() for cell in cells) or cells[0] == "007"


@pytest.mark.parametrize(
    ("cells", "delimiter", "values"),
    [
        (["1,5", "20,25", "-3"], ";", [1.5, 20.25, -3]),
        (["1.234,50", "2,00", "1.000.000,25"], ";", [1234.5, 2, 1000000.25]),
        (["1,234.50", "2.00", "1,000,000.25"], ",", [1234.5, 2, 1000000.25]),
        (["1,234", "12,345", "999"], ",", [1234, 12345, 999]),
        (["1,234", "12,345", "999"], ";", [1.234, 12.345, 999]),
        (["1,5", "20,25", "3"], ",", [1.5, 20.25, 3]),
        (["1.5", "20.25", "3"], ";", [1.5, 20.25, 3]),
        (["1,5", "20,25", "3"], "\t", [1.5, 20.25, 3]),
    ],
)
def test_decimals_and_thousands_are_those_of_the_file(cells, delimiter, values):
    found = learned(cells, delimiter=delimiter)
    assert found.parse(cells).tolist() == values
    assert found.write(found.parse(cells)) == cells


def test_new_values_have_the_decimals_of_the_file():
    values = pd.Series([1.23456, 2.0, -0.001, 1234.5])
    assert learned(["1.50", "20.00"]).write(values) == ["1.23", "2.00", "0.00", "1234.50"]
    assert learned(["1.5", "20.25", "3"]).write(values) == ["1.23", "2", "0", "1234.5"]
    assert learned(["1.5", "20.25", "3.0"]).write(values) == ["1.23", "2.0", "0.0", "1234.5"]
    assert learned(["1,5", "2.000,25"], delimiter=";").write(values) == ["1,23", "2,0", "0,0", "1.234,5"]


@pytest.mark.parametrize(
    ("cells", "options", "missing", "gap"),
    [
        (["1", "", "3"], {}, [False, True, False], ""),
        (["1", "NA", "3"], {}, [False, True, False], "NA"),
        (["1.5", "nan", "", "nan"], {}, [False, True, True, True], "nan"),
        (["2024-01-31", "NULL", "2024-02-01"], {}, [False, True, False], "NULL"),
        (["true", "null", "false"], {}, [False, True, False], "null"),
        (["Graz", "NA", "Linz"], {}, [False, False, False], ""),
        (["Graz", "NA", "Linz"], {"missing": ["NA"]}, [False, True, False], "NA"),
        (["1", "None", "3"], {"missing": ["None"]}, [False, True, False], "None"),
        (["1", "-999", "3"], {"missing": ["-999"]}, [False, True, False], "-999"),
        (["Graz", "?", "", "?"], {"missing": ["?", "-"]}, [False, True, True, True], "?"),
    ],
)
def test_what_is_missing(cells, options, missing, gap):
    found = learned(cells, **options)
    values = found.parse(cells)
    assert values.isna().tolist() == missing
    assert found.gap == gap
    assert found.write(values) == [None if gone else cell for gone, cell in zip(missing, cells, strict=True)]


def test_a_type_is_that_of_the_whole_file():
    assert learned(["1", "", "3"]).parse(["1", "3"]).dtype == "Int64"
    assert learned(["true", "", "false"]).parse(["true"]).dtype == "boolean"
    assert learned(["a", "", "b"]).parse([""]).dtype == pd.Series(["a"]).dtype
    assert learned(["1", "3"]).parse(["1"]).dtype == "int64"


def test_dates_that_are_named():
    assert learned(["20240131", "20240201"], dates="any").parse(["20240131"])[0] == pd.Timestamp(2024, 1, 31)
    found = learned(["01/02/2024", "03/04/2024"], dates="%d/%m/%Y")
    assert found.parse(["01/02/2024"])[0] == pd.Timestamp(2024, 2, 1)
    assert type(learned(["2024-01-31", "2024-02-01"], dates=False)) is Text
    with pytest.raises(ValueError, match=r"of one form, but '01/02/2024' .* may be %d/%m/%Y or %m/%d/%Y; say which"):
        learned(["01/02/2024", "03/04/2024"], dates="any")
    with pytest.raises(ValueError, match="of one form, but got 'soon'"):
        learned(["2024-01-31", "2024-02-01", "soon"], dates="any")
    with pytest.raises(ValueError, match="of one form, but got '31/12/2024'"):
        learned(["01/02/2024", "03/04/2024", "31/12/2024"], dates="%m/%d/%Y")


def test_an_identifier_is_text_whatever_it_looks_like():
    assert learned(["1", "2"], text=True).parse(["1", "2"]).tolist() == ["1", "2"]


@given(
    st.lists(st.one_of(st.integers(-(10**18) + 1, 10**18 - 1), st.decimals(-1000, 1000, places=3).map(str)), min_size=1)
)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_numbers_are_never_changed(values):
    cells = [str(value) for value in values if str(value) not in ("-0.000",)]
    found = learned(cells)
    if cells and not any(len(cell.strip("-")) > 15 for cell in cells):
        assert [float(text) for text in found.write(found.parse(cells))] == [float(cell) for cell in cells]


CELL = st.one_of(
    st.just(""),
    st.integers(-2000, 10**19).map(str),
    st.decimals(-3000, 3000, places=3).map(str),
    st.text("0123456789.,-e ", min_size=1, max_size=6),
)


@given(st.lists(CELL, min_size=1, max_size=6), st.sampled_from([",", ";"]))
@settings(max_examples=400, deadline=None, derandomize=True)
def test_the_quick_way_finds_what_the_texts_say(cells, delimiter):
    assert learned(cells, quick=True, delimiter=delimiter) == learned(cells, delimiter=delimiter)
