import sys

import numpy as np
import pandas as pd
import pytest

from latentover.data.reading import open_source
from latentover.data.source import class_number
from latentover.data.tables import TableOptions, is_table, read_npz, read_table


@pytest.fixture
def frame():
    return pd.DataFrame(
        {
            "age": [31, 48, 22, 57],
            "income": [1.5, None, 0.5, 2.0],
            "town": pd.Categorical(["Graz", "Linz", "Graz", "Wien"]),
            "default": ["no", "yes", "no", "yes"],
        }
    )


def test_csv(tmp_path, frame):
    path = tmp_path / "loans.CSV"
    frame.to_csv(path, index=False)
    source = read_table(path, "default")
    assert source.name == "loans"
    assert list(source.X.columns) == ["age", "income", "town"]
    assert source.X["income"].isna().sum() == 1  # features are the estimator's business
    assert source.y.tolist() == ["no", "yes", "no", "yes"]
    assert source.y.dtype.kind == "U"
    assert source.image_shape is None


def test_parquet_keeps_dtypes(tmp_path, frame):
    path = tmp_path / "loans.parquet"
    frame.to_parquet(path)
    source = read_table(path, "default")
    pd.testing.assert_frame_equal(source.X, frame.drop(columns="default"))


@pytest.mark.parametrize(
    ("column", "kind"),
    [([0, 1, 1, 0], "i"), ([True, False, True, False], "b"), ([1.0, 2.0, 1.0, 3.0], "f")],
)
def test_label_types(tmp_path, frame, column, kind):
    frame.assign(label=column).to_csv(tmp_path / "t.csv", index=False)
    source = read_table(tmp_path / "t.csv", "label")
    assert source.y.dtype.kind == kind
    assert source.y.tolist() == column


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (None, r"Expected `target` to name the label column of .*t\.csv, but got None; choose from \['age'"),
        (
            "Defualt",
            r"but got 'Defualt'; did you mean 'default'\? The columns are \['age', 'income', 'town', 'default'\]",
        ),
        ("zzz", r"but got 'zzz'; The columns are"),
        ("income", r"'income' of .* no missing values, but got 1 \(the first in data row 2\)"),
    ],
)
def test_target_errors(tmp_path, frame, target, message):
    frame.to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(ValueError, match=message):
        read_table(tmp_path / "t.csv", target)


def test_measurements_are_no_labels(tmp_path, frame):
    frame.assign(size=[0.5, 1.0, 2.0, 3.0]).to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(ValueError, match=r"to hold class labels, but got measurements such as 0.5"):
        read_table(tmp_path / "t.csv", "size")


def test_labels_are_of_a_plain_type(tmp_path):
    pd.DataFrame({"a": [1, 2], "y": [b"1", b"2"]}).to_parquet(tmp_path / "t.parquet")
    with pytest.raises(ValueError, match=r"labels of one plain type .* but got \['bytes'\]"):
        read_table(tmp_path / "t.parquet", "y")


def test_table_without_features(tmp_path):
    (tmp_path / "t.csv").write_text("y\n0\n1\n")
    with pytest.raises(ValueError, match="to have feature columns beside 'y', but got none"):
        read_table(tmp_path / "t.csv", "y")


@pytest.mark.parametrize(
    ("name", "content"),
    [("t.csv", b""), ("t.csv", b"a,b\n1,2\n1,2,3,4\n"), ("t.csv", b"\xff\x00a,b"), ("t.parquet", b"PAR1 no")],
)
def test_unreadable_table(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=rf"Expected .*{name} to be a readable .* file, but got"):
        read_table(tmp_path / name, "a")


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"Expected a table, but .*nowhere.csv does not exist; name a .csv"):
        read_table(tmp_path / "nowhere.csv", "y")
    with pytest.raises(FileNotFoundError, match=r"Expected a data file, but got .*nowhere"):
        read_npz(tmp_path / "nowhere.npz")


# --- npz ---


@pytest.mark.parametrize(
    ("shape", "stored"),
    [((4, 7), (4, 7)), ((4, 9, 8), (4, 1, 9, 8)), ((4, 3, 9, 8), (4, 3, 9, 8))],
)
def test_npz_shapes(tmp_path, shape, stored):
    X = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    np.savez(tmp_path / "d.npz", X=X, y=[0, 1, 0, 1])
    source = read_npz(tmp_path / "d.npz")
    assert source.X.shape == stored
    assert source.X.dtype == np.float32
    assert source.image_shape == (stored[1:] if len(stored) == 4 else None)
    assert source.y_test is None


def test_npz_with_test_split(tmp_path):
    np.savez(tmp_path / "d.npz", X=np.ones((4, 2)), y=list("abab"), X_test=np.zeros((2, 2)), y_test=list("ab"))
    source = read_npz(tmp_path / "d.npz")
    assert source.y_test.tolist() == ["a", "b"]
    assert source.X_test.sum() == 0


X, Y = np.ones((4, 2)), np.array([0, 1, 0, 1])


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": X, "y": Y}, r"arrays `X` and `y`, but got \['images', 'y'\] without `X`"),
        ({"X": X}, "without `y`"),
        ({"X": X, "y": Y[:3]}, "`X` and `y` of .* to have one length, but got 4 and 3"),
        ({"X": X, "y": Y, "X_test": X}, "Expected `y_test` beside `X_test`"),
        ({"X": X, "y": Y, "y_test": Y}, "Expected `X_test` beside `y_test`"),
        ({"X": X, "y": Y, "X_test": X[:, :1], "y_test": Y}, r"samples of shape \(2,\) as `X` has, but got \(1,\)"),
        ({"X": X, "y": np.array(["a", 1, None, 2], dtype=object)}, "Python objects, which is not unpickled"),
        ({"X": X.astype(str), "y": Y}, "`X` of .* to hold numbers, but got dtype <U"),
        ({"X": X[0], "y": Y}, r"rows \(n, features\) or images .* but got shape \(2,\)"),
        ({"X": np.ones((4, 8, 8, 3)), "y": Y}, r"looks like channels last; save X.transpose\(0, 3, 1, 2\)"),
        ({"X": X, "y": Y[:, None]}, r"`y` of .* to be one-dimensional, but got shape \(4, 1\)"),
        ({"X": X, "y": [0, 1, np.nan, 1]}, r"no missing values, but got 1 \(the first at position 2\)"),
    ],
)
def test_npz_errors(tmp_path, arrays, message):
    np.savez(tmp_path / "d.npz", **arrays)
    with pytest.raises(ValueError, match=message):
        read_npz(tmp_path / "d.npz")


@pytest.mark.parametrize("damage", ["cut", "text", "flipped"])
def test_damaged_npz(tmp_path, damage):
    path = tmp_path / "d.npz"
    np.savez_compressed(path, X=np.random.default_rng(0).random((50, 20)), y=np.arange(50) % 2)
    content = bytearray(path.read_bytes())
    if damage == "flipped":
        content[200:400] = bytes(200)
    path.write_bytes({"cut": content[:300], "text": b"no archive", "flipped": content}[damage])
    with pytest.raises(ValueError, match=r"Expected .*d\.npz to be an intact \.npz file, but got"):
        read_npz(path)


def test_objects_are_never_unpickled(tmp_path):
    class Trap:
        def __reduce__(self):
            return (sys.exit, ("unpickled",))

    np.savez(tmp_path / "d.npz", X=X, y=np.array([Trap(), 1, 2, 3], dtype=object))
    with pytest.raises(ValueError, match="not unpickled"):
        read_npz(tmp_path / "d.npz")


@pytest.mark.parametrize("header", ["x,y,y", "y,x,y", "x,x,y"])
def test_a_header_with_a_name_twice_is_refused(tmp_path, header):
    """pandas calls the second one y.1 and would learn from it."""
    path = tmp_path / "twice.csv"
    path.write_text(f"{header}\n1,2,3\n4,5,6\n", encoding="utf-8")
    name = "x" if header.startswith("x,x") else "y"
    with pytest.raises(ValueError, match=f"Expected columns of different names in .*twice.csv, but got '{name}' twice"):
        read_table(path, "y")


def test_names_that_look_like_those_of_pandas_are_names(tmp_path):
    (tmp_path / "a.csv").write_text("y,y.1,x\n1,2,3\n4,5,6\n", encoding="utf-8")
    assert list(read_table(tmp_path / "a.csv", "y").X) == ["y.1", "x"]


# --- labels that somebody means ---


@pytest.mark.parametrize(
    ("key", "labels", "spellings", "number"),
    [
        ("yes", ["no", "yes"], None, 1),
        (True, ["no", "yes"], None, 1),
        (False, ["no", "yes"], None, 0),
        (1, ["01", "02"], None, 0),
        (1, ["01", "1"], None, None),
        (None, ["null", "x"], None, 0),
        (1.0, [0, 1], None, 1),
        ("1", [0, 1], None, 1),
        ("1.0", [0.0, 1.0], None, 1),
        ("1", [0.0, 1.0], [{"0"}, {"1"}], 1),
        ("TRUE", [False, True], [{"FALSE"}, {"TRUE"}], 1),
        ("true", [False, True], None, 1),
        (True, [False, True], None, 1),
        (1, [False, True], None, None),
        (True, [0, 1], None, None),
        ("maybe", ["no", "yes"], None, None),
    ],
)
def test_which_label_is_meant(key, labels, spellings, number):
    assert class_number(key, labels, spellings) == number


# --- options ---


def test_options_are_those_of_tables():
    with pytest.raises(ValueError, match=r"Expected `parse_dates` to be 'auto', 'none' or a list .*, but got 'when'"):
        TableOptions(parse_dates="when")
    with pytest.raises(ValueError, match=r"Expected `table` to be left out with source 'digits', .* tables"):
        open_source("digits", table=TableOptions())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"drop": ["towm"]}, "Expected `drop` to be a column of .*, but got 'towm'; did you mean 'town'?"),
        ({"drop": ["default"]}, "Expected `drop` to name features, but got the label column 'default'; remove it"),
        ({"drop": ["age", "income,town"]}, "to have feature columns beside 'default', but got none"),
        ({"parse_dates": ["whem"]}, "Expected `parse_dates` to be a column of .*, but got 'whem'"),
        ({"parse_dates": ["town"]}, r"Expected column 'town' of .* to hold dates of one form, but got 'Graz'"),
    ],
)
def test_columns_that_are_not_there(tmp_path, frame, options, message):
    frame.to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(ValueError, match=message):
        read_table(tmp_path / "t.csv", "default", TableOptions(**options))


def test_a_folder_is_of_images_or_of_tables(tmp_path, frame):
    (tmp_path / "table" / "year=2024").mkdir(parents=True)
    frame.to_parquet(tmp_path / "table" / "year=2024" / "0.parquet")
    (tmp_path / "table" / ".crc").touch()
    assert list(open_source(str(tmp_path / "table"), "default").X) == ["age", "income", "town", "year"]
    (tmp_path / "images" / "a").mkdir(parents=True)
    (tmp_path / "images" / "a" / "0.png").touch()
    assert not is_table(tmp_path / "images")
    assert not is_table(tmp_path / "nothing")
