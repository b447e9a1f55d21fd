"""New samples of a run as a picture, single images, arrays or a table."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from latentover import DeepClassifier, RAEClassifier, save
from latentover.data.folders import read_folder
from latentover.experiments.generate import SUFFIXES, generate

SMALL = {"latent_dim": 3, "channels": 2, "hidden_units": 4, "max_steps": 1, "batch_size": 4, "random_state": 0}


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_same_seed_gives_the_same_bytes(tiny, tmp_path, suffix):
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        path = tmp_path / name / f"samples{suffix}"
        assert generate(tiny[2], "9", 5, path, seed=seed) == path
        assert [p.name for p in path.parent.iterdir()] == [path.name]
    contents = [(tmp_path / name / f"samples{suffix}").read_bytes() for name in "abc"]
    assert contents[0] == contents[1] != contents[2]


def test_arrays_are_in_the_type_and_layout_of_the_data(tiny, tmp_path):
    with np.load(generate(tiny[2], "9", 5, tmp_path / "a.npz"), allow_pickle=False) as arrays:
        assert (arrays["X"].shape, arrays["X"].dtype) == ((5, 1, 8, 8), np.uint8)
        assert arrays["y"].tolist() == [9] * 5


def test_a_csv_has_the_label_in_its_last_column(tiny, tmp_path):
    table = pd.read_csv(generate(tiny[2], "9", 5, tmp_path / "a.csv"))
    assert table.shape == (5, 65)
    assert table.columns[-1] == "label"
    assert (table["label"] == 9).all()


@pytest.mark.parametrize("layout", ["channels_first", "channels_last", "rows"])
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_a_picture_is_drawn_of_images_of_any_layout_and_range(tmp_path, layout, dtype):
    X, y = load_digits(return_X_y=True)
    X, y = X[:60].reshape(-1, 1, 8, 8).astype(dtype) * (15 if dtype == "uint8" else 1), y[:60]
    options = dict(SMALL)
    if layout == "channels_last":
        X, options["channels_last"] = np.moveaxis(X, 1, -1), True
    if layout == "rows":
        X, options["image_shape"] = X.reshape(len(X), -1), (1, 8, 8)
    save(RAEClassifier(**options).fit(X, y), tmp_path / "bundle")
    with Image.open(generate(tmp_path / "bundle", "3", 4, tmp_path / "a.png")) as picture:
        width, height = picture.size
        pixels = np.asarray(picture.convert("L"))
    assert width == height
    assert pixels.std() > 0


def test_a_table_keeps_its_columns(tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"label": rng.normal(size=40), "town": rng.choice(["Graz", "Linz"], 40)})
    y = np.array(["no"] * 30 + ["yes"] * 10, dtype=object)
    save(RAEClassifier(**SMALL).fit(frame, y), tmp_path / "bundle")
    table = pd.read_csv(generate(tmp_path / "bundle", "yes", 6, tmp_path / "a.csv"))
    assert list(table.columns) == ["label", "town", "label_"]
    assert set(table["town"]) <= {"Graz", "Linz"}
    assert (table["label_"] == "yes").all()
    with pytest.raises(ValueError, match=r"Expected images for a .png, .* write .csv instead"):
        generate(tmp_path / "bundle", "yes", 6, tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"Expected numbers for an .npz, .* write .csv instead"):
        generate(tmp_path / "bundle", "yes", 6, tmp_path / "a.npz")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "bundle"]


def test_what_cannot_be_generated_is_said(tiny, tmp_path):
    (tmp_path / "file").touch()
    for label, n, out, error, message in [
        (
            "9",
            5,
            "a.jpg",
            ValueError,
            "to end in one of .png, .npz, .csv, or a folder, which ends in a slash, but got 'a.jpg'",
        ),
        ("9", 0, "a.csv", ValueError, "Expected n to be at least 1, but got 0"),
        ("eleven", 5, "a.csv", ValueError, "Expected the label to be one of 0, 1, .*, but got 'eleven'"),
        ("9", 5, "file/a.csv", NotADirectoryError, "file to be a folder that can be written to"),
    ]:
        with pytest.raises(error, match=message):
            generate(tiny[2], label, n, tmp_path / out)
    with pytest.raises(FileNotFoundError, match="to be a run"):
        generate(tmp_path / "nothing", "9", 5, tmp_path / "a.csv")


def test_a_run_that_only_classifies_does_not_generate(tmp_path):
    model = DeepClassifier(max_epochs=1, hidden_units=4, feature_dim=2).fit(np.eye(4), [0, 1, 0, 1])
    save(model, tmp_path / "bundle")
    with pytest.raises(ValueError, match=r"Expected a run whose method generates samples, but .* only classifies"):
        generate(tmp_path / "bundle", "1", 5, tmp_path / "a.csv")


@pytest.fixture
def named(tiny, tmp_path):
    """The tiny run, whose class 9 is called "Ankle boot", and class 0 something that is no name of a folder."""
    folder = tmp_path / "run"
    shutil.copytree(tiny[2], folder)
    metrics = json.loads((folder / "metrics.json").read_text())
    metrics["class_names"] = {"0": "T-shirt/top", "9": "Ankle boot"}
    (folder / "metrics.json").write_text(json.dumps(metrics))
    return folder


def test_a_class_goes_by_its_name_or_its_label(named, tmp_path):
    for label, name in (("Ankle boot", "a"), ("9", "b")):
        generate(named, label, 3, tmp_path / f"{name}.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    with pytest.raises(ValueError, match=r"one of T-shirt/top, 1, .*, Ankle boot, but got 'ankle_boots'; did you mean"):
        generate(named, "ankle_boots", 3, tmp_path / "c.npz")


def test_single_images_lie_in_a_folder_named_for_the_class(named, tmp_path):
    made = generate(named, "Ankle boot", 8, f"{tmp_path}/made/", seed=3)
    assert made == tmp_path / "made" / "Ankle boot"
    assert sorted(path.name for path in made.iterdir()) == [f"{i:04}.png" for i in range(1, 9)]
    generate(named, "T-shirt/top", 2, tmp_path / "made")  # the folder is there now
    assert sorted(path.name for path in (tmp_path / "made").iterdir()) == ["Ankle boot", "T-shirt_top"]
    with np.load(generate(named, "9", 8, tmp_path / "a.npz", seed=3)) as arrays:
        expected = arrays["X"]
    source = read_folder(tmp_path / "made")
    assert source.y.tolist() == ["Ankle boot"] * 8 + ["T-shirt_top"] * 2
    assert np.array_equal(source.X[np.arange(8)], expected)
    with pytest.raises(FileExistsError, match="Ankle boot to be free, but there are files in it"):
        generate(named, "9", 8, tmp_path / "made")


def test_single_images_of_a_table_are_refused_and_nothing_is_left(tmp_path):
    save(RAEClassifier(**SMALL).fit(np.random.default_rng(0).random((12, 3)), np.arange(12) % 2), tmp_path / "bundle")
    with pytest.raises(ValueError, match=r"Expected images for a .png"):
        generate(tmp_path / "bundle", "1", 3, f"{tmp_path}/made/")
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]
