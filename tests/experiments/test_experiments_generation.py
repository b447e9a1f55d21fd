"""Scores of generated samples, of runs and of anybody's images."""

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits

from latentover import DeepClassifier, RAEClassifier, load, save
from latentover.experiments.generation import (
    classifier_features,
    evaluate_folders,
    evaluate_generation,
    find_features,
    generation_text,
    read_images,
)
from latentover.files import write_text

QUICK = {"n_resamples": 0}
DATA = "data:\n  source: digits\n  imbalance: {profile: long_tailed, rho: 5, largest: 60}\n  validation_fraction: 0\n"
METHOD = "method:\n  class_path: latentover.RAEClassifier\n"


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return (X.reshape(-1, 1, 8, 8) * 15).astype(np.uint8), y


@pytest.fixture(scope="module")
def run(tmp_path_factory, digits):
    """A finished run of a few steps."""
    X, y = digits
    folder = tmp_path_factory.mktemp("runs") / "rae" / "seed-0"
    save(RAEClassifier(max_steps=3, channels=4, hidden_units=8, random_state=0, device="cpu").fit(X, y), folder)
    write_text(folder / "recipe.yaml", DATA + METHOD)
    return folder


@pytest.fixture(scope="module")
def bundle(tmp_path_factory, digits):
    X, y = digits
    folder = tmp_path_factory.mktemp("bundles") / "classifier-small"
    model = DeepClassifier(max_epochs=1, channels=4, hidden_units=8, feature_dim=5, random_state=0, device="cpu")
    save(model.fit(X, y), folder)
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory, digits):
    """Real and generated digits 0 to 2, ten and eight of each, one folder a class."""
    X, y = digits
    root = tmp_path_factory.mktemp("images")
    for label in range(3):
        images = X[y == label][:18, 0]
        for kind, some in (("real", images[:10]), ("fake", images[10:])):
            (root / kind / str(label)).mkdir(parents=True)
            for i, image in enumerate(some):
                Image.fromarray(image).save(root / kind / str(label) / f"{i}.png")
    return root / "real", root / "fake"


@pytest.fixture(scope="module")
def result(run):
    return evaluate_generation(run, "pixels", n=20, **QUICK)


class TestRun:
    def test_scores_as_many_of_each_class(self, result):
        assert result["n"] == 200
        assert list(result["classes"]) == [str(label) for label in range(10)]
        assert {scores["n"] for scores in result["classes"].values()} == {20}

    def test_carries_its_certificate(self, result, run):
        assert result["features"] == "pixels"
        assert result["source"] == str(run)
        assert result["environment"]["versions"]["latentover"]
        json.dumps(result, allow_nan=False)

    def test_is_the_same_again(self, result, run):
        assert evaluate_generation(run, "pixels", n=20, **QUICK)["pooled"] == result["pooled"]

    def test_looks_for_memorization(self, result):
        assert result["memorization"]["n"] == 200

    def test_default_n_is_that_of_the_test_split(self, run):
        found = evaluate_generation(run, "pixels", **QUICK)
        assert found["n"] == 10 * next(iter(found["classes"].values()))["n"]

    def test_more_than_there_are(self, run):
        with pytest.raises(ValueError, match="at least 500 real samples of class 0"):
            evaluate_generation(run, n=500)

    def test_a_classifier_generates_nothing(self, bundle, tmp_path):
        run = shutil.copytree(bundle, tmp_path / "run")
        rng = np.random.default_rng(0)
        np.savez(tmp_path / "images.npz", X=rng.integers(0, 256, (40, 1, 8, 8), dtype=np.uint8), y=np.arange(40) % 2)
        text = f"data:\n  source: {tmp_path / 'images.npz'}\n  validation_fraction: 0\n"
        write_text(run / "recipe.yaml", text + METHOD)
        with pytest.raises(ValueError, match="only classifies"):
            evaluate_generation(run)

    def test_a_bundle_without_a_recipe_names_no_data(self, bundle):
        with pytest.raises(FileNotFoundError, match=r"to be a run with its recipe\.yaml"):
            evaluate_generation(bundle)

    def test_a_table(self, tmp_path):
        rng = np.random.default_rng(0)
        X, y = rng.normal(size=(80, 3)), np.repeat([0, 1], [60, 20])
        save(RAEClassifier(max_steps=2, hidden_units=8, random_state=0, device="cpu").fit(X, y), tmp_path / "run")
        np.savez(tmp_path / "table.npz", X=X, y=y)
        text = f"data:\n  source: {tmp_path / 'table.npz'}\n  validation_fraction: 0\n"
        write_text(tmp_path / "run" / "recipe.yaml", text + METHOD)
        found = evaluate_generation(tmp_path / "run", **QUICK)
        with pytest.raises(ValueError, match=r"features of a table to be rows, .* but got 'classifier:nope'"):
            evaluate_generation(tmp_path / "run", "classifier:nope", **QUICK)
        assert (found["features"], found["dimension"]) == ("rows", 3)


class TestFolders:
    def test_of_classes(self, folders):
        found = evaluate_folders(*folders, **QUICK)
        assert found["n"] == 24
        assert set(found["classes"]) == {"0", "1", "2"}

    def test_of_a_folder_with_itself(self, folders):
        found = evaluate_folders(folders[0], folders[0], smallest_class=5, **QUICK)
        assert found["pooled"]["fid"]["value"] == pytest.approx(0, abs=1e-9)
        assert (found["pooled"]["density"]["value"], found["pooled"]["coverage"]["value"]) == (1, 1)
        assert all(scores["diversity"] == pytest.approx(1) for scores in found["classes"].values())

    def test_pixels_are_those_of_the_files(self, folders, digits):
        ((X, y),) = read_images(folders[0])
        for label in range(3):
            expected = digits[0][digits[1] == label][:10]
            np.testing.assert_array_equal(X[y == str(label)], expected)

    def test_flat_folders_and_arrays_are_pooled(self, folders, tmp_path, digits):
        np.save(tmp_path / "digits.npy", digits[0][:50])
        found = evaluate_folders(folders[0] / "1", tmp_path / "digits.npy", n=10, **QUICK)
        assert found["n"] == 10
        assert found["classes"] == {}

    def test_arrays_with_labels(self, folders, tmp_path, digits):
        X, y = digits
        np.savez(tmp_path / "digits.npz", X=X[:200], y=y[:200].astype(str))
        found = evaluate_folders(folders[0], tmp_path / "digits.npz", **QUICK)
        assert set(found["classes"]) == {"0", "1", "2"}
        assert any("classes that only one side has are left out: ['3'," in note for note in found["notes"])

    @pytest.mark.parametrize(
        ("make", "error", "message"),
        [
            (lambda path: path / "missing", FileNotFoundError, "but there is no"),
            (lambda path: path, ValueError, "to hold images"),
            (lambda path: np.save(path / "x.npy", np.zeros((3, 8, 8))) or path / "x.npy", ValueError, "float64 of"),
            (lambda path: np.savez(path / "x.npz", Z=1) or path / "x.npz", ValueError, "to hold images X, but got Z"),
            (
                lambda path: np.save(path / "y.npy", np.zeros((3, 9, 8), np.uint8)) or path / "y.npy",
                ValueError,
                "one sh",
            ),
        ],
    )
    def test_errors(self, folders, tmp_path, make, error, message):
        with pytest.raises(error, match=message):
            evaluate_folders(folders[0], make(tmp_path))


class TestFeatures:
    def test_of_a_classifier_are_what_its_last_layer_sees(self, bundle, digits):
        extractor, said = classifier_features(str(bundle))
        found = extractor(digits[0][:7])
        assert found.shape == (7, 5)
        assert len(said["sha256"]) == 64
        model = load(bundle)
        logits = torch.nn.functional.linear(torch.from_numpy(found), *model.networks_.classifier.parameters())
        np.testing.assert_allclose(logits.detach(), model.decision_function(digits[0][:7]), atol=1e-4)

    def test_a_shipped_classifier_by_its_name(self, bundle, monkeypatch):
        monkeypatch.setattr("latentover.bundle.shipped_folder", lambda name: bundle.parent)
        extractor, said = find_features("classifier:small")
        assert extractor.name == said["name"] == "classifier:small"

    def test_images_of_another_size(self, bundle):
        with pytest.raises(ValueError, match=r"of shape \(1, 8, 8\) .* but got \(3, 8, 8\)"):
            classifier_features(str(bundle))[0](np.zeros((2, 3, 8, 8), np.uint8))

    def test_unknown(self):
        with pytest.raises(ValueError, match="pixels, inception or classifier:<bundle>, but got 'vgg'"):
            find_features("vgg")
        with pytest.raises(FileNotFoundError, match="nothing"):
            find_features("classifier:nothing")


class TestText:
    def test_says_features_and_n(self, folders):
        result = evaluate_folders(*folders, n_resamples=10)
        text = generation_text([result])
        assert "n = 24 real and 24 generated samples, k = 5" in text
        assert "FID[pixels]" in text
        assert f"{result['pooled']['kid']['value']:.3g} (" in text
        table = text.splitlines()[2:7]
        assert len({line.index("FID[pixels]") for line in table[:1]} | {line.index("n/a") for line in table[2:]}) == 1
        assert "note: no Fréchet distance of classes of fewer than 50 samples: 0 (8), 1 (8), 2 (8)." in text

    def test_refuses_what_cannot_be_compared(self, folders):
        one, other = (evaluate_folders(*folders, n=n, **QUICK) for n in (8, 7))
        with pytest.raises(ValueError, match="the same n, but got 24, 21"):
            generation_text([one, other])
