"""A folder of image files trains through the command line, without a line of code."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from latentover import cli
from latentover.data.named import NAMED_SETS
from latentover.runs.folder import RunFolder

CLASSES = {"airplane": (24, 200, 0, 0), "cat": (12, 0, 200, 0), "ship": (6, 0, 0, 200)}
"""Training images, and a colour that tells the classes apart."""
SHORT = ["--method.init_args.max_epochs=4", "--method.init_args.batch_size=8", "--device=cpu", "--quiet"]


@pytest.fixture(autouse=True)
def folder(monkeypatch, tmp_path):
    """``cifar10-jpeg/{train,test}/<class>/NNNN.jpg`` below a data root, made up."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LATENTOVER_DATA", raising=False)
    rng = np.random.default_rng(0)
    for name, (n, *colour) in CLASSES.items():
        for split, count in (("train", n), ("test", 4)):
            place = tmp_path / "data" / "cifar10-jpeg" / split / name
            place.mkdir(parents=True)
            for i in range(count):
                pixels = np.array(colour) + rng.integers(0, 56, size=(32, 32, 3))
                Image.fromarray(pixels.astype(np.uint8)).save(place / f"{i:04}.jpg")
    return tmp_path / "data" / "cifar10-jpeg"


def test_a_shipped_recipe_trains_on_it_and_a_report_shows_it(folder, capsys):
    data = ["--data-root", "data", "--data.imbalance.rho", "4", "--data.imbalance.largest", "24"]
    assert cli.main(["train", "configs/cifar10_jpeg_lt100/mamix_drw.yaml", *data, *SHORT, "--out", "runs"]) == 0
    run = folder.parents[1] / "runs" / "mamix_drw" / "seed-0"
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["train_counts"] == {"airplane": 24, "cat": 12, "ship": 6}
    assert metrics["classes"] == list(CLASSES)
    assert metrics["support"] == [4, 4, 4]
    with (run / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4
    assert {"classifier", "validation_acsa", "validation_margin_gap", "train_class_alignment"} < rows[-1].keys()
    best, scores = metrics["validation_best"], [float(row["validation_acsa"]) for row in rows]
    assert best["epoch"] == scores.index(max(scores)) + 1
    assert best["validation_acsa"] == max(scores)
    assert best["splits"]["test_balanced"]["support"] == [4, 4, 4]
    assert metrics["certificate"]["weights"] == "last epoch"
    assert cli.main(["report", "runs", "--out", "page.md"]) == 0
    page = (folder.parents[1] / "page.md").read_text()
    assert "## Margins" in page
    assert "ACSA, best on validation (%)" in page
    assert "ACSA" in capsys.readouterr().out


def test_a_folder_is_diagnosed(folder, capsys):
    assert cli.main(["data", "diagnose", str(folder), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["n_train"], found["n_test"], found["sizes"]) == (42, 12, {"32x32": 54})
    assert found["diagnosis"]["classes"] == ["airplane", "cat", "ship"]
    assert cli.main(["data", "diagnose", str(folder), "--target", "kind"]) == 2
    assert "leave --target out for a folder of images" in capsys.readouterr().err
    assert cli.main(["data", "diagnose", "nowhere"]) == 2
    assert "a table or a folder of images, but nowhere does not exist; check" in capsys.readouterr().err
    Path("table.csv").write_text("a,y\n1,no\n2,yes\n", encoding="utf-8")
    with pytest.raises(SystemExit):
        cli.main(["data", "diagnose", "table.csv"])
    assert "--target, the column of the labels of a table" in capsys.readouterr().err


def test_a_recipe_of_somebodys_own_names_the_folder(folder):
    recipe = f"""
data: {{source: {folder}, imbalance: null, image_size: [16, 16]}}
method:
  class_path: latentover.DeepClassifier
  init_args: {{backbone: resnet32, reweighting: drw, standardize: true, learning_rate: 0.01}}
seeds: [3]
"""
    (folder.parents[1] / "mine.yaml").write_text(recipe)
    assert cli.main(["train", "mine.yaml", *SHORT, "--out", "runs"]) == 0
    assert (folder.parents[1] / "runs" / "mine" / "seed-3" / "model.safetensors").is_file()


@pytest.fixture
def photos(tmp_path):
    """``photos/{Training,Testing,Valid}/<class>/N.jpg``, and new ones of other sizes and channels in ``new``."""
    rng = np.random.default_rng(0)

    def save(path, colour, size, mode="RGB"):
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.array(colour) + rng.integers(0, 56, size=(*size, 3))
        Image.fromarray(pixels.astype(np.uint8)).convert(mode).save(path)

    for name, (n, *colour) in CLASSES.items():
        for part, count in (("Training", n // 2), ("Testing", 3), ("Valid", 1)):
            for i in range(count):
                save(tmp_path / "photos" / part / name / f"{i}.jpg", colour, (20, 24))
        save(tmp_path / "new" / f"{name}.png", colour, (9, 40), "RGBA")
        save(tmp_path / "new" / "more" / f"{name}.JPG", colour, (300, 200))
    return tmp_path / "photos"


RECIPE = """
data: {source: photos, image_size: [8, 8]}
method:
  class_path: latentover.RAEClassifier
  init_args: {latent_dim: 4, channels: 4, hidden_units: 16, max_steps: 40, batch_size: 8, learning_rate: 0.003}
evaluation: {grid_samples: 1, tsne_points: 0}
seeds: [0]
"""


def test_photos_are_learned_predicted_and_made(photos, capsys):
    here, run = photos.parent, "runs/mine/seed-0"
    (here / "mine.yaml").write_text(RECIPE)
    assert cli.main(["train", "mine.yaml", "--device=cpu", "--quiet", "--out", "runs"]) == 0
    said = capsys.readouterr().err
    assert said.count("the folder Valid is passed over") == 1
    assert json.loads((here / run / "metrics.json").read_text())["support"] == [3, 3, 3]

    assert cli.main(["predict", run, "new", "--out", "predictions.csv"]) == 0
    assert "predictions.csv: 6 images (" in capsys.readouterr().out
    with (here / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["file", "label", *(f"p_{name}" for name in CLASSES)]
    assert [row["file"] for row in rows][:2] == ["new/airplane.png", "new/cat.png"]
    assert sum(row["label"] in row["file"] for row in rows) >= 5
    assert cli.main(["predict", run, "new"]) == 0
    assert "new/more/ship.JPG" in capsys.readouterr().out

    (here / "new" / "broken.png").write_bytes(b"no image")
    assert cli.main(["predict", run, "new", "--out", "again.csv"]) == 2
    assert "Expected new/broken.png to be a readable image" in capsys.readouterr().err
    assert not (here / "again.csv").exists()
    assert cli.main(["predict", run, "new", "--out", "again.csv", "--skip-unreadable"]) == 0
    assert (here / "again.csv").read_bytes() == (here / "predictions.csv").read_bytes()
    assert "left out 1 that cannot be read: new/broken.png" in capsys.readouterr().out

    assert cli.main(["generate", run, "--class", "ship", "--n", "8", "--out", "made/"]) == 0
    assert len(list((here / "made" / "ship").glob("*.png"))) == 8
    assert cli.main(["generate", run, "--class", "shpi", "--n", "8", "--out", "made/"]) == 2
    assert "one of airplane, cat, ship, but got 'shpi'; did you mean 'ship'?" in capsys.readouterr().err


def test_a_run_remembers_the_names_of_classes(photos, monkeypatch, capsys):
    names = dict(enumerate(["zero", *"123456789"]))
    monkeypatch.setitem(NAMED_SETS, "digits", replace(NAMED_SETS["digits"], class_names=tuple(names.values())))
    data = "source: digits, imbalance: {profile: long_tailed, rho: 5, largest: 30}"
    recipe = RECIPE.replace("source: photos, image_size: [8, 8]", data)
    (photos.parent / "mine.yaml").write_text(recipe.replace("max_steps: 40", "max_steps: 2"))
    assert cli.main(["train", "mine.yaml", "--device=cpu", "--quiet", "--out", "runs"]) == 0
    run = RunFolder(photos.parent / "runs" / "mine" / "seed-0")
    assert run.class_names == {"0": "zero"}
    assert run.metrics["classes"][0] == "0"
    assert "zero: " in (run.path / "README.md").read_text()
    with np.load(run.path / "samples.npz") as panels:
        assert "zero (n=" in " ".join(panels["labels"])
    assert cli.main(["predict", str(run.path), "new", "--out", "p.csv"]) == 0
    assert (photos.parent / "p.csv").read_text().startswith("file,label,p_zero,p_1,p_2,")
