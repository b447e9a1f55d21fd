"""A folder of image files trains through the command line, without a line of code."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from latentover import cli

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
