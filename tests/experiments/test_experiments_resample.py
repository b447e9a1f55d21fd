"""A balanced copy of a table: its rows as they were, new rows of its types, all of it or nothing."""

import datetime
import decimal
import signal
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from imblearn.over_sampling import SMOTE, RandomOverSampler

from latentover import RAESampler, cli
from latentover.data import rows as rows_module
from latentover.data.imbalance import training_quotas
from latentover.data.rows import open_rows
from latentover.experiments import resample
from latentover.experiments.resample import read_strategy, resample_file, rows_to_add

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

TINY = {"latent_dim": 2, "hidden_units": 4, "max_steps": 2, "batch_size": 4, "device": "cpu"}
N, RARE = 130, 13


class Repeater:
    """An over-sampler whose new rows are rows that it was trained on."""

    sampling_strategy = "auto"

    def set_params(self, **parameters):
        self.parameters = parameters
        return self

    def fit(self, X, y):
        self.X, self.y = X, y
        return self

    def sample(self, n, y, *, random_state=None):
        members = np.flatnonzero(self.y == y)
        rows = np.random.default_rng(random_state).choice(members, n)
        return self.X.iloc[rows].reset_index(drop=True)


class Failing(Repeater):
    """Makes one batch of rows and then fails in one of several ways."""

    def __init__(self, fail):
        self.fail, self.calls = fail, 0

    def sample(self, n, y, *, random_state=None):
        self.calls += 1
        if self.calls == 2:
            self.fail()
        return super().sample(n, y, random_state=random_state)


@pytest.fixture(scope="module")
def table():
    """Columns of many types; `row` numbers the rows."""
    rng = np.random.default_rng(0)
    days = [datetime.date(2024, 1, 1) + datetime.timedelta(days=i) for i in range(N)]
    towns = ["Graz", "Linz", "Wien"]
    label = np.array(["fraud"] * RARE + ["fine"] * (N - RARE))[rng.permutation(N)]
    columns = {
        "row": pa.array(np.arange(N), pa.int32()),
        "amount": pa.array(rng.normal(size=N), pa.float64()),
        "share": pa.array(rng.random(N), pa.float32()),
        "visits": pa.array([None if i % 5 == 0 else i for i in range(N)], pa.int64()),
        "town": pa.array(rng.choice(towns, N).tolist(), pa.string()),
        "kind": pa.array(rng.choice(["a", "b"], N).tolist()).cast(pa.dictionary(pa.int8(), pa.string())),
        "abroad": pa.array(rng.random(N) < 0.3),
        "time": pa.array(pd.date_range("2024", periods=N, tz="Europe/Vienna"), pa.timestamp("us", "Europe/Vienna")),
        "day": pa.array(days, pa.date32()),
        "price": pa.array([decimal.Decimal(i).scaleb(-2) for i in range(N)], pa.decimal128(9, 2)),
        "label": pa.array(label.tolist()).cast(pa.dictionary(pa.int32(), pa.string())),
    }
    schema = pa.schema([pa.field(name, column.type) for name, column in columns.items()], metadata={"from": "here"})
    return pa.table(list(columns.values()), schema=schema)


@pytest.fixture
def path(table, tmp_path):
    pq.write_table(table, tmp_path / "all.parquet", row_group_size=50, compression={"row": "zstd", "town": "gzip"})
    return tmp_path / "all.parquet"


@pytest.fixture
def numbers(tmp_path):
    """A file of two classes of 60 and 9 rows, three numbers and a town."""
    rng = np.random.default_rng(1)
    frame = pd.DataFrame(rng.normal(size=(69, 3)), columns=["a", "b", "c"])
    frame = frame.assign(town=rng.choice(["Graz", "Linz"], 69), y=[0] * 60 + [1] * 9)
    frame.to_parquet(tmp_path / "numbers.parquet")
    return tmp_path / "numbers.parquet"


# ---- Rows ------------------------------------------------------------------------------------------------------------


def test_rows_types_groups_codecs_and_metadata_stay(table, path, tmp_path):
    out = tmp_path / "balanced.parquet"
    resample_file(path, "label", out, sampler=Repeater())
    before, after = pq.ParquetFile(path), pq.ParquetFile(out)
    assert after.schema_arrow.equals(before.schema_arrow, check_metadata=True)
    assert after.read().slice(0, N).equals(table)
    groups = [[f.metadata.row_group(i) for i in range(3)] for f in (before, after)]
    assert [g.num_rows for g in groups[1]] == [g.num_rows for g in groups[0]] == [50, 50, 30]
    codecs = [[[g.column(i).compression for i in range(g.num_columns)] for g in part] for part in groups]
    assert codecs[0] == codecs[1]
    assert {"ZSTD", "GZIP"} < set(codecs[0][0])


def test_new_rows_have_the_values_of_their_class_in_every_type(table, path, tmp_path):
    resample_file(path, "label", tmp_path / "balanced.parquet", sampler=Repeater())
    made = pq.read_table(tmp_path / "balanced.parquet").slice(N)
    assert made.num_rows == N - 2 * RARE
    assert set(made["label"].to_pylist()) == {"fraud"}
    rows = made["row"].to_numpy()
    assert made.to_pylist() == table.take(rows).to_pylist()
    assert len(np.unique(rows)) > RARE / 2
    assert made["visits"].null_count


@pytest.mark.parametrize("batch_rows", [20, 65536])
def test_no_more_than_a_batch_is_in_memory(path, tmp_path, monkeypatch, batch_rows):
    monkeypatch.setattr(rows_module, "MAX_BATCH_ROWS", batch_rows)
    rows = open_rows(path, "label")
    sizes = [batch.num_rows for batch in rows.batches()]
    assert (max(sizes), sum(sizes)) == (min(batch_rows, 50), N)
    resample_file(path, "label", tmp_path / "balanced.parquet", sampler=Repeater())
    made = pq.ParquetFile(tmp_path / "balanced.parquet")
    assert made.read().slice(0, N).equals(pq.read_table(path))
    assert made.metadata.num_rows == 2 * (N - RARE)
    assert max(made.metadata.row_group(i).num_rows for i in range(made.num_row_groups)) <= batch_rows


def test_new_rows_of_small_classes_share_a_row_group(tmp_path):
    label = np.repeat(np.arange(30), [60] + [4] * 29)
    pq.write_table(pa.table({"a": np.arange(len(label)) / 7, "y": label}), tmp_path / "a.parquet")
    resample_file(tmp_path / "a.parquet", "y", tmp_path / "b.parquet", sampler=Repeater())
    made = pq.ParquetFile(tmp_path / "b.parquet")
    assert [made.metadata.row_group(i).num_rows for i in range(made.num_row_groups)] == [len(label), 29 * 56]


def test_a_column_marks_what_is_new(path, tmp_path):
    out = tmp_path / "balanced.parquet"
    resample_file(path, "label", out, sampler=Repeater(), mark="new")
    made = pq.read_table(out)
    assert made.schema.field(-1).equals(pa.field("new", pa.bool_()))
    assert made["new"].to_pylist() == [False] * N + [True] * (N - 2 * RARE)
    assert made.schema.metadata == pq.read_schema(path).metadata


def test_the_index_of_a_frame_is_no_feature(tmp_path):
    frame = pd.DataFrame(
        {"a": np.arange(30) / 3, "y": [0] * 24 + [1] * 6}, index=pd.Index(np.arange(30) + 5, name="id")
    )
    frame.to_parquet(tmp_path / "a.parquet")
    sampler = Repeater()
    account = resample_file(tmp_path / "a.parquet", "y", tmp_path / "b.parquet", sampler=sampler)
    assert (list(sampler.X.columns), account.features) == (["a"], 1)
    made = pd.read_parquet(tmp_path / "b.parquet")
    assert made.index.name == "id"
    pd.testing.assert_frame_equal(made.iloc[:30].reset_index(drop=True), frame.reset_index(drop=True))
    assert made.index[:30].tolist() == frame.index.tolist()
    assert made.index[30:].isna().all()


def test_a_csv_stays_a_csv(tmp_path):
    lines = [f"{i},{'Graz' if i % 3 else 'Linz, old town'},{i / 4},{'yes' if i < 5 else 'no'}" for i in range(40)]
    lines[7] = '7,"Linz ""9""",,no'
    quoted = [line.replace("Linz, old town", '"Linz, old town"') for line in lines]
    (tmp_path / "a.csv").write_text("\n".join(["row,town,part,y", *quoted]) + "\n", encoding="utf-8")
    account = resample_file(tmp_path / "a.csv", "y", tmp_path / "b.csv", sampler=Repeater(), mark="new")
    before, made = pd.read_csv(tmp_path / "a.csv"), pd.read_csv(tmp_path / "b.csv")
    assert account.after == {"no": 35, "yes": 35}
    assert made.pop("new").tolist() == [False] * 40 + [True] * 30
    pd.testing.assert_frame_equal(made.iloc[:40], before)
    pd.testing.assert_frame_equal(
        made.iloc[40:].reset_index(drop=True), before.iloc[made["row"][40:]].reset_index(drop=True)
    )


def test_the_autoencoder_makes_rows_within_what_it_saw(numbers, tmp_path):
    outs = [tmp_path / f"{name}.parquet" for name in "abc"]
    for out, seed in zip(outs, (3, 3, 4), strict=True):
        account = resample_file(numbers, "y", out, sampler=RAESampler(**TINY), seed=seed)
    tables = [pd.read_parquet(out) for out in outs]
    pd.testing.assert_frame_equal(tables[0], tables[1])
    assert not tables[0].equals(tables[2])
    before, made = pd.read_parquet(numbers), tables[0][69:]
    assert account.after == {0: 60, 1: 60}
    assert (made["y"] == 1).all()
    assert set(made["town"]) <= {"Graz", "Linz"}
    for name in "abc":
        assert made[name].between(before[name].min(), before[name].max()).all()


def test_the_autoencoder_makes_every_type(table, path, tmp_path):
    sampler = RAESampler(**TINY, missing="mask")
    resample_file(path, "label", tmp_path / "balanced.parquet", sampler=sampler)
    made = pq.read_table(tmp_path / "balanced.parquet").slice(N)
    assert made.schema.equals(table.schema)
    for name in ("row", "visits"):  # each row has a number of its own: they are identifiers
        new = made[name].to_pylist()
        assert len(set(new)) == len(new)
        assert not set(new) & {None, *table[name].to_pylist()}
    for name in ("amount", "share", "time", "day", "price"):
        seen = [value for value in table[name].to_pylist() if value is not None]
        new = [value for value in made[name].to_pylist() if value is not None]
        assert min(seen) <= min(new)
        assert max(new) <= max(seen)
    for name in ("town", "kind", "abroad"):
        assert set(made[name].to_pylist()) <= set(table[name].to_pylist())


# ---- How many --------------------------------------------------------------------------------------------------------

SIZES = [40, 11, 25]


@pytest.mark.parametrize(
    "strategy", ["auto", "all", "minority", "not majority", "not minority", {0: 40, 1: 30}, {1: 12, 2: 70, 0: 41}]
)
def test_counts_are_imbalanced_learns(strategy):
    y = np.repeat([0, 1, 2], SIZES)
    _, resampled = RandomOverSampler(sampling_strategy=strategy).fit_resample(y[:, None], y)
    assert rows_to_add([0, 1, 2], SIZES, strategy) == (np.bincount(resampled) - SIZES).tolist()


def test_a_share_is_of_the_whole_file_and_not_of_the_training_rows(numbers, tmp_path):
    account = resample_file(
        numbers, "y", tmp_path / "a.parquet", sampler=Repeater(), sampling_strategy=0.5, max_train_rows=12
    )
    assert (account.before, account.after) == ({0: 60, 1: 9}, {0: 60, 1: 30})
    assert account.trained_on == {0: 6, 1: 6}


@pytest.mark.parametrize("as_text", [False, True])
def test_a_dict_names_labels_or_their_text(numbers, tmp_path, as_text):
    totals = {"1": 20} if as_text else {1: 20}
    account = resample_file(numbers, "y", tmp_path / "a.parquet", sampler=Repeater(), sampling_strategy=totals)
    assert account.after == {0: 60, 1: 20}


@given(st.lists(st.integers(1, 500), min_size=2, max_size=20), st.integers(0, 3000))
@settings(max_examples=150, deadline=None, derandomize=True)
def test_the_rarest_classes_are_trained_on_whole(sizes, more):
    bound = 2 * len(sizes) + more
    quotas = training_quotas(sizes, bound)
    assert sum(quotas) == min(sum(sizes), bound)
    cut = [quota for quota, size in zip(quotas, sizes, strict=True) if quota < size]
    # What is cut is cut to one size, up to one row, and nothing that is whole is larger than that.
    assert not cut or max(quotas) - min(cut) <= 1
    assert all(quota >= min(size, 2) for quota, size in zip(quotas, sizes, strict=True))


def test_training_rows_are_a_uniform_sample_of_each_class(tmp_path, monkeypatch):
    monkeypatch.setattr(rows_module, "MAX_BATCH_ROWS", 20)
    labels = np.random.default_rng(0).permutation(np.repeat(["fine", "fraud"], [47, 13]))
    pq.write_table(pa.table({"row": np.arange(60), "label": labels}), tmp_path / "a.parquet")
    rows = open_rows(tmp_path / "a.parquet", "label")
    counts = rows.counts
    assert counts == {"fine": 47, "fraud": 13}
    quotas, times, seen = [12, 5], 200, np.zeros(60)
    for seed in range(times):
        X, codes = resample._draw_rows(rows, quotas, np.random.default_rng(seed))
        assert np.bincount(codes).tolist() == quotas
        assert len(set(X["row"])) == 17
        assert (np.array(["fine", "fraud"])[codes] == labels[X["row"]]).all()
        seen[X["row"]] += 1
    for label, quota in zip(counts, quotas, strict=True):
        p = quota / counts[label]
        assert np.abs(seen[labels == label] - times * p).max() < 5 * np.sqrt(times * p * (1 - p))


# ---- All or nothing --------------------------------------------------------------------------------------------------


def stop():
    raise KeyboardInterrupt


def fail():
    raise RuntimeError("broken")


@pytest.mark.parametrize(("how", "error"), [(stop, KeyboardInterrupt), (fail, RuntimeError)])
def test_what_fails_while_writing_leaves_nothing(path, tmp_path, monkeypatch, how, error):
    monkeypatch.setattr(rows_module, "MAX_BATCH_ROWS", 20)
    with pytest.raises(error):
        resample_file(path, "label", tmp_path / "balanced.parquet", sampler=Failing(how))
    assert [p.name for p in tmp_path.iterdir()] == ["all.parquet"]


def test_a_killed_process_leaves_no_output(path, tmp_path):
    code = f"""
import os, signal, sys
sys.path.insert(0, {str(__file__).rpartition("/")[0]!r})
from test_experiments_resample import Failing, resample_file, rows_module
rows_module.MAX_BATCH_ROWS = 20
kill = lambda: os.kill(os.getpid(), signal.SIGKILL)
resample_file({str(path)!r}, "label", {str(tmp_path / "balanced.parquet")!r}, sampler=Failing(kill))
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == -signal.SIGKILL, result.stderr
    assert not (tmp_path / "balanced.parquet").exists()


# ---- What is said ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"path": "nothing.parquet"}, FileNotFoundError, "Expected a table, but .*nothing.parquet does not exist"),
        (
            {"path": "a.txt"},
            ValueError,
            r"Expected a table that ends in .csv or .parquet, or a folder of .parquet files, but got 'a.txt'",
        ),
        ({"path": "damaged.parquet"}, ValueError, "damaged.parquet to be a readable .parquet file, but got Arrow"),
        ({"out": "b.txt"}, ValueError, "Expected the output to end in .csv or .parquet, but got 'b.txt'"),
        ({"out": "there.parquet"}, FileExistsError, "there.parquet to be a free name, but it exists"),
        ({"out": "a.txt/b.parquet"}, NotADirectoryError, "a.txt to be a folder that can be written to"),
        ({"target": "clas"}, ValueError, "Expected `target` to be a column .*, but got 'clas'; did you mean 'class'?"),
        ({"target": "one"}, ValueError, "Expected at least 2 classes, but got 1 class: 0"),
        ({"target": "gaps"}, ValueError, "Expected column 'gaps' .* to have no missing values, but got 2"),
        ({"target": "a"}, ValueError, "to hold class labels, but got measurements"),
        ({"target": "even"}, ValueError, "Expected sampling_strategy to ask for new rows, but got 'auto'"),
        ({"mark": "a"}, ValueError, "Expected `mark` to be a new column, but .* has 'a'"),
        ({"sampler": SMOTE()}, ValueError, r"sample\(n, y\).* but got SMOTE; .* latentover.ClassicalSampler"),
        ({"sampling_strategy": {"x": 9}}, ValueError, "Expected sampling_strategy to name classes .* but got 'x'"),
        ({"sampling_strategy": {1: 2}}, ValueError, "greater or equal to the original number"),
        ({"sampling_strategy": "more"}, ValueError, "sampling_strategy"),
        ({"max_train_rows": 3}, ValueError, "Expected max_train_rows to be at least 2 for each of the 2 classes"),
        ({"path": "lists.parquet", "target": "y"}, ValueError, "column 'a' holds list<"),
        ({"path": "empty.parquet", "target": "y"}, ValueError, "empty.parquet to have rows, but got none"),
        ({"path": "alone.parquet", "target": "y"}, ValueError, "to have feature columns beside 'y', but got none"),
    ],
)
def test_what_cannot_be_done_is_said(tmp_path, changes, error, message):
    columns = {
        "a": np.arange(20) / 3,
        "class": np.arange(20) // 15,
        "one": np.zeros(20, int),
        "even": np.arange(20) % 2,
    }
    columns["gaps"] = pa.array([None, None, *[1] * 9, *[0] * 9])
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    pq.write_table(pa.table({"a": [[1], [2]], "y": [0, 1]}), tmp_path / "lists.parquet")
    pq.write_table(pa.table({"a": pa.array([], pa.int64()), "y": pa.array([], pa.int64())}), tmp_path / "empty.parquet")
    pq.write_table(pa.table({"y": [0, 1, 1]}), tmp_path / "alone.parquet")
    for name in ("a.txt", "there.parquet", "damaged.parquet"):
        (tmp_path / name).write_text("PAR1 and nothing else")
    before = sorted(tmp_path.iterdir())
    arguments = {"path": "a.parquet", "target": "class", "out": "b.parquet", "sampler": Repeater(), **changes}
    arguments |= {name: tmp_path / arguments[name] for name in ("path", "out")}
    with pytest.raises(error, match=message):
        resample_file(**arguments)
    assert sorted(tmp_path.iterdir()) == before


# ---- The command -----------------------------------------------------------------------------------------------------


def test_the_command_writes_the_file_and_says_what_it_did(capsys, numbers, tmp_path):
    (tmp_path / "rae.yaml").write_text(
        yaml.safe_dump({"class_path": "latentover.RAESampler", "init_args": {"max_steps": 3}})
    )
    out = tmp_path / "balanced.parquet"
    arguments = ["resample", numbers, "--target", "y", "--out", out, "--sampler", tmp_path / "rae.yaml", "--quiet"]
    arguments += ["--sampler.init_args.hidden_units", 4, "--sampler.init_args.max_steps=2", "--max-train-rows", 30]
    arguments += ["--sampling-strategy", "{1: 50}", "--mark", "new", "--seed", 5, "--device", "cpu"]
    status = cli.main([str(argument) for argument in arguments])
    text = capsys.readouterr().out.splitlines()
    assert status == 0
    assert text[:2] == [f"{numbers}: 69 rows, 4 features, 2 classes", "RAESampler trained on 30 rows"]
    assert [line.split() for line in text[3:5]] == [["0", "60", "60", "21"], ["1", "9", "50", "9"]]
    assert text[5] == f"{out}: 110 rows, 41 of them new"
    assert " s to train, " in text[6]
    assert text[6].endswith(" MB of memory at the peak")
    assert pd.read_parquet(out)["new"].sum() == 41


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--sampler", "latentover.RAESamplr"], "did you mean 'latentover.RAESampler'?"),
        (["--sampler", "latentover.RAEClassifier"], "Expected the class of sampler to be a sampler of latentover"),
        (["--sampler", "none.yaml"], "none.yaml is not a file"),
        (["--sampler.init_args.max_step", "3"], "got --sampler.init_args.max_step; did you mean 'max_steps'?"),
        (["--sampler.init_args.random_state", "3"], "the option --seed of the command"),
        (["--sampler.init_args.max_steps", "0"], "max_steps to be a whole number at least 1, but got 0"),
        (["--maks", "new"], "got --maks"),
    ],
)
def test_the_command_refuses_what_it_does_not_know(capsys, numbers, tmp_path, options, message):
    out = tmp_path / "b.parquet"
    assert cli.main(["resample", str(numbers), "--target", "y", "--out", str(out), *options]) == 2
    printed = capsys.readouterr()
    assert message in printed.err
    assert (printed.out, out.exists(), printed.err.count("\n")) == ("", False, 1)


# ---- Strategies of the command line ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "strategy"),
    [
        ("auto", "auto"),
        ("not minority", "not minority"),
        ("0.5", 0.5),
        ("{fraud: 5000, 1: 20}", {"fraud": 5000, "1": 20}),
        ("{no: 10, yes: 5}", {"no": 10, "yes": 5}),
        ("{2020-01-01: 10, 1.50: 3}", {"2020-01-01": 10, "1.50": 3}),
    ],
)
def test_a_strategy_names_labels_as_they_are_written(text, strategy):
    assert read_strategy(text) == strategy


@pytest.mark.parametrize(
    "text", ["{1: ", "2020-01-01", "true", "{1: 10.5}", "{1: true}", "[1]", "{}", "null", "{a: 1, a: 2}", "&a [*a]"]
)
def test_a_strategy_that_is_none_is_one_line(text):
    with pytest.raises(ValueError, match=r"Expected sampling_strategy to be auto, minority, .*, but got .*; quote it"):
        read_strategy(text)


def test_totals_go_to_the_classes_that_were_written():
    assert rows_to_add(["no", "yes"], [9, 3], read_strategy("{yes: 5}")) == [0, 2]
    assert rows_to_add([False, True], [9, 3], read_strategy("{true: 5}")) == [0, 2]
    assert rows_to_add([False, True], [9, 3], read_strategy("{True: 5}")) == [0, 2]


def test_more_rows_than_the_disk_holds_are_refused_before_training(tmp_path):
    pd.DataFrame({"x": np.arange(30), "y": ["a"] * 20 + ["b"] * 10}).to_csv(tmp_path / "in.csv", index=False)
    sampler = Failing(lambda: None)
    with pytest.raises(ValueError, match=r"that fit on the disk, but got 999,999,999,999,990 new ones, .* GB are fr"):
        resample_file(tmp_path / "in.csv", "y", tmp_path / "o.csv", sampler=sampler, sampling_strategy={"b": 10**15})
    assert not hasattr(sampler, "X")
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]
