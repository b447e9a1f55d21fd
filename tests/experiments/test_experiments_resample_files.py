"""Files come back untouched: the rows of a CSV file byte for byte, new ones in its style, at any size and encoding."""

import datetime
import io
import re

import numpy as np
import pandas as pd
import pytest

from latentover import RAESampler, SmoothedBootstrapSampler, cli
from latentover.data import TableOptions, delimited
from latentover.data import rows as rows_module
from latentover.data.rows import CsvRows
from latentover.data.tables import read_table
from latentover.experiments.resample import read_constraints, resample_file

N, RARE, TOTAL = 24, 5, 12


class Repeater:
    """An over-sampler whose new rows are rows that it was trained on."""

    sampling_strategy = "auto"

    def get_params(self, deep=True):
        return {}

    def set_params(self, **parameters):
        self.parameters = parameters
        return self

    def fit(self, X, y):
        self.X, self.y = X, y
        return self

    def sample(self, n, y, *, random_state=None):
        members = np.flatnonzero(self.y == y)
        return self.X.iloc[members[np.arange(n) % len(members)]].reset_index(drop=True)


class KnowsIdentifiers(Repeater):
    def get_params(self, deep=True):
        return {"identifiers": "auto"}


def csv_of(values, *, labels=("no", "yes"), delimiter=",", line_end="\n", final=True, header="row,v,y"):
    """Return a file of `N` rows, whose first `RARE` ones are of the rare class."""
    lines = [header.replace(",", delimiter)]
    lines += [delimiter.join([str(i), values[i % len(values)], labels[i < RARE]]) for i in range(N)]
    return line_end.join(lines) + (line_end if final else "")


def resampled(folder, content, *, out="b.csv", **options):
    """Write a file, balance it with rows like its own, and return the bytes before and after, and the sampler."""
    raw = content if isinstance(content, bytes) else content.encode()
    (folder / "a.csv").write_bytes(raw)
    sampler = options.pop("sampler", None) or Repeater()
    resample_file(folder / "a.csv", "y", folder / out, sampler=sampler, **options)
    return raw, (folder / out).read_bytes(), sampler


# ---- The bytes of the rows -------------------------------------------------------------------------------------------

NASTY = {
    "leading zeros": ["007", "042", "100"],
    "a leading zero among numbers": ["1", "2", "03"],
    "phone numbers": ["+43 664 123", "+431234", "+43"],
    "signs": ["+1", "-2", "3"],
    "hexadecimal": ["0x1F", "0xFF", "0x00"],
    "exponents": ["1e5", "2E-3", "1.0e+2"],
    "accounts beyond 2^53": ["9007199254740993", "9007199254740995", "123456789012345678"],
    "accounts beyond 2^63": ["9223372036854775809", "18446744073709551617", "99999999999999999999999"],
    "decimals with zeros": ["1.00", "2.50", "3.10"],
    "many decimals": ["0.1000000000000000055", "0.30000000000000004", "1.5"],
    "no digit before the point": [".5", "-.25", "3."],
    "spaces around numbers": [" 1", "2 ", " 3 "],
    "NA as text": ["NA", "Graz", "Linz"],
    "NA among numbers": ["NA", "1", "2"],
    "blank cells": ["", "1", ""],
    "blank cells among text": ["", "Graz", ""],
    "None": ["None", "mild", "severe"],
    "booleans": ["TRUE", "FALSE", "TRUE"],
    "words": ["yes", "no", "on"],
    "quotes": ['"a"', '"b,c"', '"d ""e"""'],
    "quotes around some": ['"a"', "b", '"1"'],
    "quotes around numbers": ['"1"', '"2"', '"3"'],
    "quotes inside": ['5" pipe', 'a"b"', "'c'"],
    "empty quotes": ['""', "1", "2"],
    "line ends inside": ['"a\nb"', '"c\r\nd"', '"e\rf"'],
    "dates": ["2024-01-31", "2024-02-29", "1999-12-31"],
    "dates of here": ["31.01.2024", "1.2.2024", "05.05.2024"],
    "dates and zones": ["2024-01-31T10:00:00+01:00", "2024-07-01T10:00:00+02:00", "2024-07-01T10:00:00Z"],
    "formulas": ["=1+1", "@x", "-y"],
    "other letters": ["Größe", "漢字", "🙂"],
    "infinite": ["inf", "-inf", "1"],
    "percent": ["5%", "7.5%", "10%"],
}


@pytest.mark.parametrize("name", NASTY)
@pytest.mark.parametrize(("line_end", "final"), [("\n", True), ("\r\n", True), ("\n", False), ("\r\n", False)])
def test_the_rows_of_a_csv_file_come_back_byte_for_byte(tmp_path, name, line_end, final):
    content = csv_of(NASTY[name], line_end=line_end, final=final)
    before, after, _ = resampled(tmp_path, content)
    ending = b"" if final else line_end.encode()
    assert after.startswith(before + ending)
    new = after[len(before + ending) :]
    assert new.endswith(line_end.encode()) == final
    lines = content.removesuffix(line_end).split(line_end)[1:] if "inside" not in name else None
    if lines:  # what was drawn from a file is written as it stood in it, but for notations of one number
        made = new.decode().removesuffix(line_end).split(line_end)
        assert len(made) == N - 2 * RARE
        for line in made:
            assert line.endswith(",yes")
            if name in UNCHANGED:
                assert line == lines[int(line.split(",")[0])]


UNCHANGED = {
    *("leading zeros", "a leading zero among numbers", "phone numbers", "signs", "hexadecimal", "accounts beyond 2^53"),
    *("accounts beyond 2^63", "decimals with zeros", "NA as text", "NA among numbers", "blank cells", "None"),
    *("blank cells among text", "booleans", "words", "quotes around numbers", "dates", "formulas", "other letters"),
    *("percent", "quotes"),
}


@pytest.mark.parametrize("labels", [("1", "01"), ("00", "01"), ("1.0", "0.0"), ("TRUE", "FALSE"), ("no", "None"),
                                    ("no", "NA"), ("2024-01-01", "2024-02-01"), ("on", "off"), ("1e5", "1"),
                                    ("null", "yes"), ('"a,b"', '"c"')])  # fmt: skip
def test_new_rows_have_the_label_as_the_file_writes_it(tmp_path, labels):
    before, after, _ = resampled(tmp_path, csv_of(["1.5", "2.5"], labels=labels))
    made = after[len(before) :].decode().splitlines()
    quoted = labels[1].strip('"') if labels[1] == '"c"' and not labels[0].startswith('"') else labels[1]
    assert {line.split(",", 2)[2] for line in made} == {quoted}


@pytest.mark.parametrize("final", [True, False])
@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "latin-1", "cp1252", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]
)
@pytest.mark.parametrize("mark", [None, "neu"])
def test_encodings_and_their_marks_stay(tmp_path, encoding, final, mark):
    content = csv_of(["kühl", "heiß", "süß"], header="Größe,v,y", line_end="\r\n", final=final)
    raw = content.encode(encoding)
    given = None if encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-32") else encoding
    before, after, _ = resampled(tmp_path, raw, options=TableOptions(encoding=given), mark=mark)
    text = after.decode(encoding)
    made = text.removesuffix("\r\n").split("\r\n")
    assert text.endswith("\r\n") == final
    assert len(made) == 1 + 2 * (N - RARE)
    if mark is None:
        assert after.startswith(before)
    else:
        lines = content.removesuffix("\r\n").split("\r\n")
        assert made[: N + 1] == [f"{lines[0]},neu", *(f"{line},false" for line in lines[1:])]
        assert all(line.endswith(",yes,true") for line in made[N + 1 :])
    assert {re.split(",", line)[1] for line in made[N + 1 :]} == {"kühl", "heiß", "süß"}


def test_a_marked_file_has_its_quotes_and_blank_lines(tmp_path):
    content = '"row";"v";"y"\n"0";"a;\nb";"yes"\n\n' + "".join(f'"{i}";"c";"no"\n' for i in range(1, 4))
    _, after, _ = resampled(tmp_path, content, mark="new", sampling_strategy={"yes": 2})
    assert after.decode() == (
        '"row";"v";"y";"new"\n"0";"a;\nb";"yes";false\n\n'
        + "".join(f'"{i}";"c";"no";false\n' for i in range(1, 4))
        + '"0";"a;\nb";"yes";true\n'
    )


def test_a_file_of_several_blocks_and_a_cell_that_is_longer_than_one(tmp_path, monkeypatch):
    monkeypatch.setattr(delimited, "BLOCK_BYTES", 64)
    long = '"' + "line\n" * 200 + 'with ""quotes"", and more"'
    content = csv_of(["a", long, '"b\nc"'])
    before, after, sampler = resampled(tmp_path, content)
    assert after.startswith(before)
    frame = pd.read_csv(io.BytesIO(after), lineterminator="\n")
    assert frame["v"].iloc[N:].tolist() == [
        ["a", long[1:-1].replace('""', '"'), "b\nc"][i % 3] for i in frame["row"][N:]
    ]
    assert sampler.X["v"].str.len().max() == len(long) - 4


def test_a_quoted_cell_across_the_border_of_8_mib(tmp_path):
    cell = '"' + ("x" * 999 + "\n") * 9000 + '"'
    lines = ["row,v,y", f"0,{cell},yes", *(f"{i},b,{'yes' if i < 3 else 'no'}" for i in range(1, 20))]
    before, after, sampler = resampled(tmp_path, "\n".join(lines) + "\n", sampling_strategy={"yes": 4})
    assert after[: len(before)] == before
    assert sampler.X["v"].str.len().max() == 9_000_000


@pytest.mark.parametrize(
    ("last", "kind"), [("0.5", "f"), ("many", "O"), ("007", "O"), ("", "Int64"), ("1e5", "f"), ("2024-01-01", "O")]
)
@pytest.mark.parametrize("place", [0, -2, -1])
def test_one_cell_decides_wherever_it_stands(tmp_path, monkeypatch, last, kind, place):
    monkeypatch.setattr(delimited, "BLOCK_BYTES", 50)
    values = ["1"] * N
    values[place] = last
    before, after, sampler = resampled(tmp_path, csv_of(values))
    assert after.startswith(before)
    dtype = sampler.X["v"].dtype
    assert dtype == "Int64" if kind == "Int64" else (dtype.kind == kind or (kind == "O" and dtype == "str"))


# ---- New rows in the style of the file -------------------------------------------------------------------------------


def test_new_rows_have_the_style_of_the_file(tmp_path):
    rng = np.random.default_rng(0)
    lines = ['"id";"Betrag";"Anzahl";"wann";"Uhrzeit";"ok";"Ort";"y"']
    for i in range(60):
        day = datetime.date(2024, 1, 1) + datetime.timedelta(days=int(rng.integers(300)))
        amount = f"{rng.gamma(2) * 1000:,.2f}".translate(str.maketrans(",.", ".,"))
        lines.append(
            f"{i:05d};{amount};{rng.integers(9)};{day:%d.%m.%Y};{day:%Y-%m-%d}T10:{rng.integers(60):02d}:00Z;"
            f'{"WAHR" if i % 3 else "FALSCH"};"Graz; Süd";{"ja" if i < 8 else "nein"}'
        )
    content = "\r\n".join(lines) + "\r\n"
    sampler = RAESampler(latent_dim=2, hidden_units=4, max_steps=2, batch_size=4, device="cpu")
    before, after, _ = resampled(tmp_path, content, sampler=sampler, options=TableOptions(drop=["id"]))
    made = after[len(before) :].decode().removesuffix("\r\n").split("\r\n")
    assert len(made) == 60 - 2 * 8
    pattern = (
        r";-?(\d{1,3}(\.\d{3})*),\d\d;\d;\d\d\.\d\d\.2024;2024-\d\d-\d\dT\d\d:\d\d:\d\dZ;(WAHR|FALSCH);"
        r'"Graz; Süd";ja'
    )
    assert [line for line in made if not re.fullmatch(pattern, line)] == []


def test_a_column_that_is_left_out_or_blank_is_missing_in_new_rows(tmp_path):
    content = csv_of(["1", "2"], header="row,v,y").replace("\n", ",,x\n").replace(",,x\n", ",empty,name\n", 1)
    before, after, sampler = resampled(tmp_path, content, options=TableOptions(drop=["row,name"]))
    assert list(sampler.X) == ["v"]
    assert set(after[len(before) :].decode().splitlines()) == {",1,yes,,", ",2,yes,,"}


def test_missing_cells_of_new_rows_are_written_as_in_the_file(tmp_path):
    for gap, options in (("NA", {}), ("", {}), ("?", {"missing": ["?"]}), ('"NULL"', {})):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        before, after, sampler = resampled(folder, csv_of(["1.5", gap]), options=TableOptions(**options))
        assert sampler.X["v"].isna().any()
        assert f",{gap},yes" in after[len(before) :].decode()


# ---- Identifiers -----------------------------------------------------------------------------------------------------


def test_identifiers_are_text_and_given_to_the_sampler(tmp_path):
    _, _, sampler = resampled(tmp_path, csv_of(["1", "2"]), sampler=KnowsIdentifiers(), identifiers=["row"])
    assert sampler.parameters["identifiers"] == ["row"]
    assert set(sampler.X["row"]) <= {str(i) for i in range(N)}


def test_a_sampler_without_identifiers_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"Expected a sampler that knows identifiers, but got Repeater; .* \(--drop\)"):
        resampled(tmp_path, csv_of(["1", "2"]), identifiers=["row"])
    with pytest.raises(
        ValueError, match=r"Expected `identifiers` to be a column of .*, but got 'rov'; did you mean 'ro"
    ):
        resampled(tmp_path, csv_of(["1", "2"]), identifiers=["rov"], sampler=KnowsIdentifiers())


def payments(n=400, rare=40, seed=0):
    """Return rows with two columns that name them, and a fee and a currency that follow from others."""
    rng = np.random.default_rng(seed)
    country = rng.choice(["DE", "AT", "US"], n)
    frame = pd.DataFrame(
        {
            "id": np.arange(n) + 1,
            "iban": [f"DE{rng.integers(10**10, 10**11)}{rng.integers(10**8, 10**9)}" for _ in range(n)],
            "agent": rng.permutation(np.arange(n) // 2 + 10_000),
            "country": country,
            "currency": np.where(country == "US", "USD", "EUR"),
            "amount": rng.lognormal(4, 1, n).round(2),
            "y": np.where(np.arange(n) % (n // rare) == 0, "yes", "no"),
        }
    )
    return frame.assign(fee=(0.015 * frame["amount"]).round(2))


def resampled_payments(folder, frame, suffix="csv", **options):
    """Return the new rows of a balanced copy, and the account."""
    path, out = folder / f"a.{suffix}", folder / f"b.{suffix}"
    for file in (path, out):
        file.unlink(missing_ok=True)
    frame.to_csv(path, index=False) if suffix == "csv" else frame.to_parquet(path)
    sampler = options.pop("sampler", None) or SmoothedBootstrapSampler()
    account = resample_file(path, "y", out, sampler=sampler, **options)
    text = dict.fromkeys(("iban", "agent"), str)
    made = pd.read_csv(out, dtype=text) if suffix == "csv" else pd.read_parquet(out)
    return made[len(frame) :], account


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize("max_train_rows", [100_000, 60])
def test_no_new_row_has_an_identifier_of_the_file_or_of_another_new_row(tmp_path, monkeypatch, suffix, max_train_rows):
    monkeypatch.setattr(CsvRows, "batch_rows", 50)
    monkeypatch.setattr(rows_module, "MAX_BATCH_ROWS", 50)
    frame = payments()
    new, account = resampled_payments(tmp_path, frame, suffix, max_train_rows=max_train_rows)
    assert account.identifiers == ["id", "iban"]
    assert len(new) == 320
    for name in ("id", "iban"):
        assert new[name].notna().all()
        assert new[name].is_unique
        assert not set(new[name]) & set(frame[name])
    assert new["iban"].str.fullmatch("DE[0-9]{20}").all()


def test_identifiers_that_are_named_are_such_beside_those_that_are_found(tmp_path):
    frame = payments()
    new, account = resampled_payments(tmp_path, frame, identifiers=["agent"])
    assert account.identifiers == ["id", "iban", "agent"]
    assert not set(new["agent"]) & set(frame["agent"].astype(str))
    own = SmoothedBootstrapSampler(identifiers=["iban"])  # of which the user says that it is the only one
    _, account = resampled_payments(tmp_path, frame.drop(columns="id"), sampler=own, identifiers=["agent"])
    assert account.identifiers == ["iban", "agent"]


def test_new_rows_have_no_identifiers_where_none_are_wanted(tmp_path):
    new, account = resampled_payments(tmp_path, payments(), new_identifiers="missing")
    assert new[["id", "iban"]].isna().to_numpy().all()
    assert new.drop(columns=["id", "iban"]).notna().to_numpy().all()
    assert "identifiers, not learned: id, iban" in str(account)


def test_a_column_that_is_dropped_is_no_identifier(tmp_path):
    new, account = resampled_payments(
        tmp_path, payments(), identifiers=["iban,agent"], options=TableOptions(drop=["iban"])
    )
    assert (account.dropped, account.identifiers) == (["iban"], ["id", "agent"])
    assert new["iban"].isna().all()


# ---- What is kept ----------------------------------------------------------------------------------------------------


def broken(new):
    fees = ((new["fee"] - (0.015 * new["amount"]).round(2)).abs() > 1e-9).mean()
    return fees, (np.where(new["country"] == "US", "USD", "EUR") != new["currency"]).mean()


def test_what_holds_exactly_is_kept_and_said(tmp_path):
    new, account = resampled_payments(tmp_path, payments())
    assert broken(new) == (0, 0)
    assert set(account.kept) == {"fee = round(0.015 * amount, 2)", "currency follows from country"}
    assert "kept in new rows: " in str(account)


@pytest.mark.parametrize(
    ("texts", "kept"),
    [
        (["none"], []),
        (["none", "country -> currency"], ["currency follows from country"]),
        (["amount <= 200"], ["amount <= 200", "currency follows from country", "fee = round(0.015 * amount, 2)"]),
    ],
)
def test_the_user_says_what_is_kept(tmp_path, texts, kept):
    frame = payments()
    frame["amount"] = frame["amount"].clip(upper=200)
    frame["fee"] = (0.015 * frame["amount"]).round(2)
    sampler = SmoothedBootstrapSampler(clip="none")
    new, account = resampled_payments(tmp_path, frame, sampler=sampler, constraints=read_constraints(texts))
    assert sorted(account.kept) == kept
    fees, currencies = broken(new)
    assert (fees == 0) == any("fee" in text for text in kept)
    assert currencies == 0  # a level comes with the one that decides it, from one row
    assert (new["amount"] <= 200).all() == any("amount <=" in text for text in kept)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"constraints": ["fee = 2 * amount"]}, "fee"),
        ({"constraints": ["fee = 2 * amout"]}, "amout"),
        ({"constraints": ["none"], "sampler": "repeater"}, "Expected a sampler that knows constraints, but got Repea"),
        ({"new_identifiers": "missing", "sampler": "repeater"}, "sampler that knows new_identifiers, but got Repeater"),
        ({"new_identifiers": "old"}, "new_identifiers to be .*, but got 'old'"),
    ],
)
def test_what_cannot_be_kept_is_said_and_nothing_is_left(tmp_path, settings, message):
    if "sampler" in settings:
        settings = {**settings, "sampler": Repeater()}
    with pytest.raises(ValueError, match=message):
        resampled_payments(tmp_path, payments(), **settings)
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]


def test_the_command_takes_all_of_it(tmp_path, capsys):
    frame = payments()
    frame.to_csv(tmp_path / "a.csv", index=False)
    arguments = ["resample", tmp_path / "a.csv", "--target", "y", "--out", tmp_path / "b.csv", "--id", "agent"]
    arguments += ["--new-identifiers", "missing", "--constraints", "none", "--constraints", "country -> currency"]
    arguments += ["--sampler", "latentover.SmoothedBootstrapSampler", "--quiet"]
    assert cli.main([str(argument) for argument in arguments]) == 0
    text = capsys.readouterr().out
    assert "identifiers, not learned: id, iban, agent" in text
    assert "kept in new rows: currency follows from country" in text
    new = pd.read_csv(tmp_path / "b.csv")[len(frame) :]
    assert new[["id", "iban", "agent"]].isna().to_numpy().all()


# ---- Other formats ---------------------------------------------------------------------------------------------------


def test_a_csv_file_becomes_a_parquet_file_with_values_of_types(tmp_path):
    pq = pytest.importorskip("pyarrow.parquet")
    content = csv_of(["2024-01-31", "2024-02-01", ""]).replace("row", "n")
    resampled(tmp_path, content, out="b.parquet", mark="new")
    table = pq.read_table(tmp_path / "b.parquet")
    assert [str(field.type) for field in table.schema] == ["int64", "timestamp[us]", "string", "bool"]
    assert table["v"].to_pylist()[:3] == [datetime.datetime(2024, 1, 31), datetime.datetime(2024, 2, 1), None]
    assert table["n"].to_pylist()[:N] == list(range(N))
    assert table["y"].to_pylist()[N:] == ["yes"] * (N - 2 * RARE)
    assert table["new"].to_pylist() == [False] * N + [True] * (N - 2 * RARE)


def test_a_parquet_file_becomes_a_csv_file(tmp_path):
    frame = pd.DataFrame(
        {"a": np.arange(30) / 4, "town": pd.Categorical(["Graz", "Linz"] * 15), "y": [0] * 25 + [1] * 5}
    )
    frame.to_parquet(tmp_path / "a.parquet")
    resample_file(tmp_path / "a.parquet", "y", tmp_path / "b.csv", sampler=Repeater())
    made = pd.read_csv(tmp_path / "b.csv")
    pd.testing.assert_frame_equal(made[:30].astype({"town": "category"}), frame)
    assert made["y"].value_counts().to_dict() == {0: 25, 1: 25}


# ---- Folders of Parquet files ----------------------------------------------------------------------------------------


@pytest.fixture
def parts(tmp_path):
    """Frames of a table that lies in several files."""
    rng = np.random.default_rng(0)
    return [
        pd.DataFrame({"a": rng.normal(size=20), "n": np.arange(20) + 20 * i, "y": ["no"] * 17 + ["yes"] * 3})
        for i in range(3)
    ]


def test_a_plain_folder_is_one_table(tmp_path, parts):
    folder = tmp_path / "table"
    folder.mkdir()
    for i, part in enumerate(parts):
        part.to_parquet(folder / f"part-{i}.parquet")
    (folder / "_SUCCESS").touch()
    (folder / "_delta_log").mkdir()
    (folder / "_delta_log" / "checkpoint.parquet").touch()
    account = resample_file(folder, "y", tmp_path / "b.parquet", sampler=Repeater())
    assert account.after == {"no": 51, "yes": 51}
    made = pd.read_parquet(tmp_path / "b.parquet")
    pd.testing.assert_frame_equal(made[:60], pd.concat(parts, ignore_index=True))


@pytest.mark.parametrize(
    ("values", "kind"),
    [(["2022", "2023", "2024"], "int64"), (["01", "02", "10"], "str"), (["a%20b", "c", "d"], "str"),
     (["1", "2", "__HIVE_DEFAULT_PARTITION__"], "int64")],
)  # fmt: skip
def test_the_folders_of_a_partitioned_table_are_a_column(tmp_path, parts, values, kind):
    for value, part in zip(values, parts, strict=True):
        folder = tmp_path / "table" / f"key={value}" / "country=AT"
        folder.mkdir(parents=True)
        part.to_parquet(folder / "0.parquet")
    resample_file(tmp_path / "table", "y", tmp_path / "b.parquet", sampler=Repeater())
    made = pd.read_parquet(tmp_path / "b.parquet")
    meant = [None if v.startswith("__") else int(v) if kind == "int64" else v.replace("%20", " ") for v in values]
    order = np.argsort([f"key={value}" for value in values])
    expected = pd.Series(np.repeat(np.array(meant, dtype=object)[order], 20).tolist())
    assert (
        made["key"][:60].astype(object).where(made["key"][:60].notna(), None).tolist()
        == expected.astype(object).where(expected.notna(), None).tolist()
    )
    assert set(made["country"]) == {"AT"}
    source = read_table(tmp_path / "table", "y")
    assert list(source.X) == ["a", "n", "key", "country"]
    assert source.X["key"].dtype == (kind if None not in meant else "Int64")


def test_files_of_a_folder_may_differ_in_width_and_columns(tmp_path, parts):
    folder = tmp_path / "table"
    folder.mkdir()
    parts[0].astype({"n": "int32"}).to_parquet(folder / "0.parquet")
    parts[1].to_parquet(folder / "1.parquet")
    parts[2].drop(columns="a").to_parquet(folder / "2.parquet")
    X = read_table(folder, "y").X
    assert X["n"].tolist() == list(range(60))
    assert X["a"].isna().sum() == 20
    parts[1].assign(n="x").to_parquet(folder / "1.parquet")
    with pytest.raises(ValueError, match=r"table to be a readable .parquet file, but got Arrow.*n"):
        read_table(folder, "y")


def test_options_of_csv_files_are_refused_for_parquet(tmp_path, parts):
    parts[0].to_parquet(tmp_path / "a.parquet")
    for options in ({"encoding": "latin-1"}, {"delimiter": ";"}, {"missing": ["?"]}, {"parse_dates": ["n"]}):
        with pytest.raises(ValueError, match=f"Expected `{next(iter(options))}` to be left out for .*a.parquet"):
            read_table(tmp_path / "a.parquet", "y", TableOptions(**options))


# ---- One reader ------------------------------------------------------------------------------------------------------


def test_train_and_resample_read_alike(tmp_path, monkeypatch):
    monkeypatch.setattr(delimited, "BLOCK_BYTES", 40)
    content = csv_of(["1,5", "2,25", ""], delimiter=";").replace("row", "Größe").encode("cp1252")
    options = TableOptions(encoding="cp1252", missing=["?"])
    _, _, sampler = resampled(tmp_path, content, options=options)
    source = read_table(tmp_path / "a.csv", "y", options)
    assert sampler.X.dtypes.to_dict() == source.X.dtypes.to_dict()
    assert source.X["v"].tolist()[:2] == [1.5, 2.25]
    assert source.y.tolist() == ["yes"] * RARE + ["no"] * (N - RARE)


# ---- Labels of a strategy --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("labels", "key"),
    [
        (("no", "yes"), "yes"), (("yes", "no"), "no"), (("off", "on"), "on"), (("on", "off"), "off"),
        (("1", "01"), "01"), (("02", "01"), "01"), (("0.0", "1.0"), "1.0"), (("0", "1"), "1"), (("x", "null"), "null"),
        (("x", "~"), "~"), (("2024-01-01", "2024-02-01"), "2024-02-01"), (("FALSE", "TRUE"), "TRUE"),
        (("false", "true"), "true"), (("1e5", "1e6"), "1e6"), (("x", "12:30"), "12:30"), (("x", "0x1F"), "0x1F"),
        (("x", "1_000"), "1_000"), (("x", "None"), "None"), (("x", "NA"), "NA"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("where", ["option", "setting", "file"])
def test_the_command_takes_labels_as_the_file_writes_them(tmp_path, capsys, labels, key, where):
    (tmp_path / "a.csv").write_text(csv_of(["1.5", "2.5"], labels=labels), encoding="utf-8")
    arguments = ["resample", "a.csv", "--target", "y", "--out", "b.csv", "--sampler", "latentover.ClassicalSampler"]
    text = f"{{{key}: {TOTAL}}}"
    if where == "setting" and labels == ("1", "01"):
        text = f'{{"{key}": {TOTAL}}}'  # which of the two 01 is cannot be told from what YAML makes of it
    if where == "option":
        arguments += ["--sampling-strategy", text]
    elif where == "setting":
        arguments += ["--sampler.init_args.sampling_strategy", text]
    else:
        (tmp_path / "s.yaml").write_text(
            f"class_path: latentover.ClassicalSampler\ninit_args:\n  sampling_strategy: {text}\n", encoding="utf-8"
        )
        arguments[-1] = "s.yaml"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        assert cli.main([*arguments, "--device", "cpu", "--quiet"]) == 0, capsys.readouterr().err
    made = (tmp_path / "b.csv").read_text(encoding="utf-8").splitlines()
    assert sum(line.endswith(f",{key}") for line in made) == TOTAL


# ---- Ctrl-C ----------------------------------------------------------------------------------------------------------


def test_a_stopped_command_says_what_is_true_of_it(tmp_path, capsys, monkeypatch):
    (tmp_path / "a.csv").write_text(csv_of(["1.5", "2.5"]), encoding="utf-8")
    monkeypatch.chdir(tmp_path)

    def stop(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(RAESampler, "fit", stop)
    assert cli.main(["resample", "a.csv", "--target", "y", "--out", "b.csv"]) == 130
    assert capsys.readouterr().err == "latentover: stopped; nothing was written, b.csv does not exist\n"
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]
    monkeypatch.setattr("latentover.experiments.generate.generate", stop)
    (tmp_path / "old.csv").touch()
    assert cli.main(["generate", "run", "--label", "y", "--out", "old.csv"]) == 130
    assert capsys.readouterr().err == "latentover: stopped; nothing was written, old.csv is as it was\n"

    def write_and_stop(*args, **kwargs):
        (tmp_path / "old.csv").write_text("x")
        stop()

    monkeypatch.setattr("latentover.experiments.generate.generate", write_and_stop)
    assert cli.main(["generate", "run", "--label", "y", "--out", "old.csv"]) == 130
    assert capsys.readouterr().err == "latentover: stopped; old.csv is written, and complete\n"
    monkeypatch.setattr("latentover.data.tables.read_table", stop)
    assert cli.main(["data", "diagnose", "a.csv", "--target", "y"]) == 130
    assert capsys.readouterr().err == "latentover: stopped\n"


# ---- The options of the commands -------------------------------------------------------------------------------------


def test_the_options_of_both_commands(tmp_path, capsys, monkeypatch):
    lines = [
        "wann|v|text|y",
        *(f"{1 + i % 28:02d}/{1 + i % 12:02d}/2024|{i}|t{i % 3}|{'ja' if i < 6 else '-'}" for i in range(30)),
    ]
    (tmp_path / "a.csv").write_text("\n".join(lines).replace("|7|", "|x|"), encoding="utf-16")
    monkeypatch.chdir(tmp_path)
    options = ["a.csv", "--target", "y", "--encoding", "utf-16", "--delimiter", "|", "--drop", "text", "--missing", "x"]
    options += ["--parse-dates", "wann=%d/%m/%Y"]
    assert cli.main(["data", "diagnose", *options]) == 0
    printed = capsys.readouterr().out
    assert "ja " in printed
    assert not re.search(r"^text", printed, re.MULTILINE)
    assert re.search(r"^wann .*date", printed, re.MULTILINE)
    settings = ["--sampler.init_args.max_steps", "2", "--sampler.init_args.missing", "impute", "--device", "cpu"]
    assert cli.main(["resample", *options, "--out", "b.csv", *settings, "--quiet"]) == 0
    printed = capsys.readouterr().out
    assert "not learned, missing in new rows: text" in printed
    made = (tmp_path / "b.csv").read_text(encoding="utf-16").splitlines()
    assert all(re.fullmatch(r"\d\d/\d\d/2024\|\d+\|\|ja", line) for line in made[31:])
    assert len(made) == 31 + 18


# ---- Recipes read the same way ---------------------------------------------------------------------------------------


RECIPE = """
data:
  source: a.csv
  target: Klasse
  validation_fraction: 0
  table: {delimiter: ;, encoding: cp1252, drop: [Nummer], missing: [unbekannt]}
sampler:
  class_path: SAMPLER
  init_args: {sampling_strategy: {yes: 60}}
method:
  class_path: latentover.RAEClassifier
  init_args: {latent_dim: 2, hidden_units: 4, max_steps: 2, batch_size: 4, missing: impute}
seeds: [0]
"""


@pytest.mark.parametrize("sampler", ["latentover.RAESampler", "imblearn.over_sampling.RandomOverSampler", None])
def test_a_recipe_reads_a_table_as_the_commands_do_and_what_is_generated_has_its_columns(
    tmp_path, monkeypatch, capsys, sampler
):
    rng = np.random.default_rng(0)
    lines = ["Nummer;Größe;Ort;wann;Klasse"]
    for i in range(120):
        size = "unbekannt" if i == 50 else f"{rng.normal():.2f}".replace(".", ",")
        day = datetime.date(2024, 1, 1) + datetime.timedelta(days=i)
        lines.append(f"{i:04d};{size};{['Köln', 'None'][i % 2]};{day:%d.%m.%Y};{['no', 'yes'][i < 20]}")
    (tmp_path / "a.csv").write_text("\n".join(lines), encoding="cp1252")
    recipe = RECIPE.replace("SAMPLER", sampler or "")
    if sampler is None:
        recipe = recipe[: recipe.index("sampler:")] + recipe[recipe.index("method:") :]
    if sampler == "latentover.RAESampler":
        recipe = recipe.replace(
            "{sampling_strategy: {yes: 60}}",
            "{sampling_strategy: {yes: 60}, max_steps: 2, hidden_units: 4, missing: impute}",
        )
    (tmp_path / "r.yaml").write_text(recipe, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert cli.main(["train", "r.yaml", "--out", "runs", "--device", "cpu", "--quiet"]) == 0, capsys.readouterr().err
    made = ["generate", "runs/r/seed-0", "--label", "yes", "--n", "5", "--out", "new.csv"]
    assert cli.main(made) == 0, capsys.readouterr().err
    frame = pd.read_csv("new.csv", keep_default_na=False)
    assert list(frame) == ["Größe", "Ort", "wann", "Klasse"]
    assert set(frame["Klasse"]) == {"yes"}
    assert set(frame["Ort"]) <= {"Köln", "None"}
    assert pd.to_datetime(frame["wann"]).between("2024-01-01", "2024-12-31").all()
    assert pd.to_numeric(frame["Größe"]).abs().max() < 10


def test_what_a_bundle_cannot_hold_is_refused_before_training(tmp_path, monkeypatch, capsys):
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    values = [{"in": i} for i in range(40)]
    pq.write_table(
        pa.table({"a": values, "b": np.arange(40.0), "Klasse": ["no"] * 30 + ["yes"] * 10}), tmp_path / "a.parquet"
    )
    recipe = RECIPE[: RECIPE.index("sampler:")] + RECIPE[RECIPE.index("method:") :]
    recipe = recipe.replace("a.csv", "a.parquet").replace(
        "{delimiter: ;, encoding: cp1252, drop: [Nummer], missing: [unbekannt]}", "null"
    )
    (tmp_path / "r.yaml").write_text(recipe, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("latentover.RAEClassifier.fit", lambda *args, **kwargs: pytest.fail("was trained"))
    assert cli.main(["train", "r.yaml", "--out", "runs", "--device", "cpu", "--quiet"]) == 2
    assert "column 'a' holds struct" in capsys.readouterr().err
