"""Predictions of a run for files of images and tables."""

import csv
import io
import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from latentover import DeepClassifier, RAESampler, load, save
from latentover.experiments import predict as predict_module
from latentover.experiments.predict import predict

COLOURS = {"=cat": (200, 20, 20), "dog": (20, 20, 200)}


def classifier():
    return DeepClassifier(max_epochs=30, channels=4, hidden_units=8, learning_rate=0.01, device="cpu", random_state=0)


def photo(path, colour, size=(8, 9), mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(0).integers(0, 30, (size[1], size[0], 3))
    Image.fromarray((np.array(colour) + noise).astype(np.uint8)).convert(mode).save(path)
    return path


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """A bundle of a classifier of 8x9 colour images, whose classes 0 and 1 have names."""
    folder = tmp_path_factory.mktemp("images")
    paths = [photo(folder / f"{i}.png", list(COLOURS.values())[i % 2]) for i in range(12)]
    save(classifier().fit(paths, np.arange(12) % 2), folder / "run")
    metrics = {"format": 1, "acsa": 1.0, "class_names": {"0": "=cat", "1": "dog"}}
    (folder / "run" / "metrics.json").write_text(json.dumps(metrics))
    return folder / "run"


@pytest.fixture
def new(tmp_path, monkeypatch):
    """New photos of all sizes, among other files, in the working folder."""
    monkeypatch.chdir(tmp_path)
    for name, colour in COLOURS.items():
        photo(tmp_path / "new" / f"{name}.jpg", colour, (640, 480))
        photo(tmp_path / "new" / "deep" / f"{name}.png", colour, (9, 30), "RGBA")
    (tmp_path / "new" / "notes.txt").touch()
    (tmp_path / "new" / "deep" / "up").symlink_to("..")
    return tmp_path / "new"


class TestImages:
    def test_of_a_folder_and_of_files(self, images, new):
        photo(new.parent / "=one.bmp", (200, 20, 20), mode="L")
        done = predict(images, ["new", "=one.bmp"], "out/p.csv")
        rows = list(csv.DictReader(io.StringIO((new.parent / "out" / "p.csv").read_text())))
        assert list(rows[0]) == ["file", "label", "p_=cat", "p_dog"]
        files = ["new/=cat.jpg", "new/deep/=cat.png", "new/deep/dog.png", "new/dog.jpg", "'=one.bmp"]
        assert [row["file"] for row in rows] == files
        assert [row["label"] for row in rows[:4]] == ["'=cat", "'=cat", "dog", "dog"]
        estimator = load(images)
        expected = estimator.predict_proba([*files[:4], "=one.bmp"])
        found = [[float(row["p_=cat"]), float(row["p_dog"])] for row in rows]
        np.testing.assert_allclose(found, expected, atol=1e-6)
        assert done.counts.total() == 5
        assert str(done).startswith("out/p.csv: 5 images (dog 3, =cat 2); ")
        assert str(done).endswith("; passed over 1 file of other endings (.txt)")

    def test_batches_change_nothing(self, images, new, monkeypatch):
        predict(images, ["new"], "whole.csv")
        monkeypatch.setattr(predict_module, "MOST_IMAGES", 3)
        predict(images, ["new"], "parts.csv")
        assert (new.parent / "parts.csv").read_bytes() == (new.parent / "whole.csv").read_bytes()

    def test_without_a_place_the_first_are_shown(self, images, new, monkeypatch):
        (new / "z.png").write_text("cannot be read, and is not looked at")
        monkeypatch.setattr(predict_module, "HEAD_ROWS", 2)
        text = str(predict(images, ["new"]))
        assert text.splitlines()[0].split() == ["file", "label", "p_=cat", "p_dog"]
        assert "new/deep/=cat.png" in text
        assert "new/deep/dog.png" not in text
        assert "The first 2 of 5 images" in text

    def test_what_cannot_be_read_is_named_or_left_out_and_counted(self, images, new):
        data = (new / "dog.jpg").read_bytes()
        (new / "cut.jpg").write_bytes(data[: len(data) // 2])
        Image.fromarray(np.zeros((4, 6), dtype=np.uint16)).save(new / "scan.png")
        with pytest.raises(ValueError, match=r"Expected new/cut.jpg to be a readable image.*--skip-unreadable"):
            predict(images, ["new"], "p.csv")
        assert [path.name for path in new.parent.iterdir()] == ["new"]
        done = predict(images, ["new"], "p.csv", skip_unreadable=True)
        assert len(pd.read_csv("p.csv")) == done.counts.total() == 4
        assert "left out 2 that cannot be read: new/cut.jpg, new/scan.png" in str(done)

    def test_none_that_can_be_read(self, images, new):
        (new / "a.png").touch()
        done = predict(images, ["new/a.png"], "p.csv", skip_unreadable=True)
        assert (new.parent / "p.csv").read_text() == "file,label,p_=cat,p_dog\n"
        assert done.counts.total() == 0

    def test_what_is_refused(self, images, new):
        (new.parent / "t.csv").write_text("a,b\n1,2\n")
        (new / "empty").mkdir()
        for inputs, out, error, message in [
            (["nothing"], None, FileNotFoundError, "an image file or a folder of them, but there is no nothing"),
            (["new/empty"], None, ValueError, "Expected images in new/empty, but got none; name"),
            (["t.csv"], None, ValueError, "Expected images, which the run was trained on, but got t.csv"),
            (["new"], "p.parquet", ValueError, "output file to end in .csv, but got 'p.parquet'"),
            (["new"], "new", IsADirectoryError, "to be a file or a free name"),
        ]:
            with pytest.raises(error, match=message):
                predict(images, inputs, out)
        with pytest.raises(FileNotFoundError, match="to be a run"):
            predict("nowhere", ["new"])

    def test_a_run_that_only_generates(self, new):
        sampler = RAESampler(latent_dim=3, channels=2, hidden_units=4, max_steps=1, batch_size=4, device="cpu")
        save(sampler.fit(np.random.default_rng(0).random((12, 3)), np.arange(12) % 2), "sampler")
        with pytest.raises(ValueError, match="a run whose method classifies, but sampler only generates"):
            predict("sampler", ["new"])


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"age": rng.integers(20, 60, 40), "code": np.where(np.arange(40) < 20, "01", "A7")})
    return X, np.where(np.arange(40) < 20, "no", "yes")


@pytest.fixture
def of_table(table, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save(DeepClassifier(max_epochs=3, hidden_units=8, device="cpu", random_state=0).fit(*table), "run")
    return load("run")


class TestTables:
    def test_a_csv_file_keeps_its_cells_and_style(self, of_table, tmp_path):
        lines = ["label;code;note;age", '1,50;01;=1+1;"30"', ';01;"a;b";41', "2,00;01;plain;52"]
        (tmp_path / "t.csv").write_text("\r\n".join(lines) + "\r\n", newline="")
        done = predict("run", ["t.csv"], "p.csv")
        written = (tmp_path / "p.csv").read_bytes().decode().split("\r\n")
        assert written[0] == "label;code;note;age;label_;p_no_;p_yes_"
        rows = list(csv.reader(written[1:4], delimiter=";"))
        assert [row[:4] for row in rows] == [
            ["1,50", "01", "'=1+1", "30"],
            ["", "01", "a;b", "41"],
            ["2,00", "01", "plain", "52"],
        ]
        X = pd.DataFrame({"age": [30, 41, 52], "code": ["01"] * 3})
        np.testing.assert_allclose(np.array([row[5:] for row in rows], float), of_table.predict_proba(X), atol=1e-6)
        assert [row[4] for row in rows] == of_table.predict(X).tolist()
        assert str(done).startswith("p.csv: 3 rows (")

    @pytest.mark.parametrize("suffix", ["parquet", "csv"])
    def test_a_parquet_file_keeps_its_types(self, of_table, table, tmp_path, suffix):
        X = table[0].assign(note=pd.Categorical(["@x", "b"] * 20))
        pq.write_table(pa.Table.from_pandas(X, preserve_index=False), tmp_path / "t.parquet", row_group_size=15)
        predict("run", ["t.parquet"], f"p.{suffix}")
        found = pd.read_parquet("p.parquet") if suffix == "parquet" else pd.read_csv("p.csv", dtype={"code": str})
        assert list(found.columns) == ["age", "code", "note", "label", "p_no", "p_yes"]
        assert found["note"].iloc[0] == ("@x" if suffix == "parquet" else "'@x")
        np.testing.assert_allclose(found[["p_no", "p_yes"]], of_table.predict_proba(table[0]), atol=1e-6)
        assert found["label"].tolist() == of_table.predict(table[0]).tolist()

    def test_rows_without_names(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        X = np.random.default_rng(0).random((20, 3))
        model = DeepClassifier(max_epochs=1, hidden_units=8, device="cpu").fit(X, np.arange(20) % 2)
        save(model, "run")
        pd.DataFrame(X).to_csv("t.csv", index=False)
        predict("run", ["t.csv"], "p.csv")
        np.testing.assert_allclose(pd.read_csv("p.csv")[["p_0", "p_1"]], model.predict_proba(X), atol=1e-5)
        pd.DataFrame(X[:, :2]).to_csv("t.csv", index=False)
        with pytest.raises(ValueError, match=r"to have the 3 columns of the rows that were trained on.* but got 2"):
            predict("run", ["t.csv"], "p.csv")

    def test_the_first_rows_are_shown(self, of_table, table):
        table[0].to_csv("t.csv", index=False)
        text = str(predict("run", ["t.csv"]))
        assert text.splitlines()[0].split() == ["row", "label", "p_no", "p_yes"]
        assert text.splitlines()[10].split()[0] == "10"
        assert "The first 10 rows (" in text

    def test_what_is_refused(self, of_table, table, tmp_path):
        table[0].drop(columns="code").to_csv("t.csv", index=False)
        (tmp_path / "a.png").touch()
        for inputs, out, error, message in [
            (["t.csv"], "p.csv", ValueError, "all columns that were trained on, but got none of the name 'code'"),
            (["t.csv", "t.csv"], None, ValueError, "Expected one table"),
            (["a.png"], None, ValueError, "Expected one table"),
            (["nothing.csv"], None, FileNotFoundError, "nothing.csv"),
            (["t.csv"], "p.parquet", ValueError, "output file to end in .csv, but got 'p.parquet'"),
            (["t.csv"], "t.csv", ValueError, "another output than the table that is read, but got t.csv"),
        ]:
            with pytest.raises(error, match=message):
                predict("run", inputs, out)
        assert not (tmp_path / "p.csv").exists()
