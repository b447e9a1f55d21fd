import hashlib
import os
import pickle
import struct
import sys

import numpy as np
import pytest
from PIL import Image

from latentover.data import data_root, list_named
from latentover.data.named import NAMED_SETS, read_named


def write_idx(path, array):
    """Write a uint8 array in the format of the MNIST files."""
    path.parent.mkdir(parents=True, exist_ok=True)
    header = struct.pack(">HBB", 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    path.write_bytes(header + array.astype(np.uint8).tobytes())


def write_mnist(raw, n_train=12, n_test=4):
    rng = np.random.default_rng(0)
    written = {}
    for part, n in {"train": n_train, "t10k": n_test}.items():
        images, labels = rng.integers(0, 256, (n, 28, 28), dtype=np.uint8), np.arange(n, dtype=np.uint8) % 10
        write_idx(raw / f"{part}-images-idx3-ubyte", images)
        write_idx(raw / f"{part}-labels-idx1-ubyte", labels)
        written[part] = images, labels
    return written


def write_pickle(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(content))
    return hashlib.md5(path.read_bytes()).hexdigest()


def write_cifar(folder, dataset, monkeypatch, label_key):
    """Write tiny batches, and tell torchvision their checksums."""
    rng = np.random.default_rng(0)
    batches = {}
    for attribute in ("train_list", "test_list"):
        entries = []
        for name, _ in getattr(dataset, attribute):
            batches[name] = {"data": rng.integers(0, 256, (3, 3072), dtype=np.uint8), label_key: [0, 1, 2]}
            entries.append([name, write_pickle(folder / name, batches[name])])
        monkeypatch.setattr(dataset, attribute, entries)
    md5 = write_pickle(folder / dataset.meta["filename"], {dataset.meta["key"]: ["a", "b", "sweet_pepper"]})
    monkeypatch.setattr(dataset, "meta", {**dataset.meta, "md5": md5})
    return batches


def save_image(path, value, size=(32, 32), mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, value if mode == "L" else (value, value, value)).save(path)


def test_digits():
    source = read_named("digits")
    assert source.X.shape == (1797, 1, 8, 8)
    assert source.X.dtype == np.uint8
    assert source.y.dtype == np.int64
    assert len(np.unique(source.X)) == 17
    assert (source.X.min(), source.X.max()) == (0, 255)
    assert source.y_test is None
    assert source.class_names == {digit: str(digit) for digit in range(10)}


@pytest.mark.parametrize(("name", "folder"), [("mnist", "MNIST"), ("fashion_mnist", "FashionMNIST")])
def test_mnist_layout(tmp_path, name, folder):
    written = write_mnist(tmp_path / folder / "raw")
    source = read_named(name, root=tmp_path)
    assert source.X.shape == (12, 1, 28, 28)
    assert source.y.dtype == np.int64
    assert np.array_equal(source.X[:, 0], written["train"][0])
    assert np.array_equal(source.X_test[:, 0], written["t10k"][0])
    assert np.array_equal(source.y_test, written["t10k"][1])
    assert source.class_names[9] == {"mnist": "9", "fashion_mnist": "Ankle boot"}[name]


@pytest.mark.parametrize(
    ("name", "class_name", "label_key", "n_train"),
    [("cifar10", "CIFAR10", "labels", 15), ("cifar100", "CIFAR100", "fine_labels", 3)],
)
def test_cifar_layout(tmp_path, monkeypatch, name, class_name, label_key, n_train):
    datasets = pytest.importorskip("torchvision.datasets", reason="CIFAR is read by torchvision")
    batches = write_cifar(tmp_path / NAMED_SETS[name].folder, getattr(datasets, class_name), monkeypatch, label_key)
    source = read_named(name, root=tmp_path)
    assert source.X.shape == (n_train, 3, 32, 32)
    assert source.X_test.shape == (3, 3, 32, 32)
    assert source.y.tolist() == [0, 1, 2] * (n_train // 3)
    assert source.class_names == {0: "a", 1: "b", 2: "sweet pepper"}
    first = next(iter(batches.values()))["data"]
    assert np.array_equal(source.X[0], first[0].reshape(3, 32, 32))


def test_damaged_cifar(tmp_path):
    pytest.importorskip("torchvision.datasets", reason="CIFAR is read by torchvision")
    for file in NAMED_SETS["cifar100"].files:
        write_pickle(tmp_path / "cifar-100-python" / file, {})
    with pytest.raises(ValueError, match=r"files of 'cifar100' in .* to be intact, but got RuntimeError"):
        read_named("cifar100", root=tmp_path)


def test_damaged_mnist(tmp_path):
    write_mnist(tmp_path / "MNIST" / "raw")
    path = tmp_path / "MNIST" / "raw" / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"files of 'mnist' in .* to be intact"):
        read_named("mnist", root=tmp_path)


def test_svhn_layout(tmp_path, monkeypatch):
    datasets = pytest.importorskip("torchvision.datasets", reason="SVHN is read by torchvision")
    from scipy.io import savemat

    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (32, 32, 3, 5), dtype=np.uint8)
    splits = {}
    for split in ("train", "test"):
        path = tmp_path / f"{split}_32x32.mat"
        savemat(path, {"X": images, "y": np.array([[10], [1], [2], [9], [10]])})
        splits[split] = ["", path.name, hashlib.md5(path.read_bytes()).hexdigest()]
    monkeypatch.setattr(datasets.SVHN, "split_list", splits)
    source = read_named("svhn", root=tmp_path)
    assert source.X.shape == (5, 3, 32, 32)
    assert np.array_equal(source.X, images.transpose(3, 2, 0, 1))
    assert source.y.tolist() == [0, 1, 2, 9, 0]  # the file writes 10 for the digit 0


def test_cinic10_layout(tmp_path):
    for part in ("train", "valid", "test"):
        for label, name in enumerate(["airplane", "automobile", "truck"]):
            save_image(tmp_path / "CINIC-10" / part / name / "1.png", label)
    source = read_named("cinic10", root=tmp_path)
    assert source.X.shape == (3, 3, 32, 32)
    assert source.y.tolist() == source.y_test.tolist() == [0, 1, 2]
    assert source.class_names == {0: "airplane", 1: "automobile", 2: "truck"}
    assert source.X[np.arange(3)][:, 0, 0, 0].tolist() == [0, 1, 2]


def test_tiny_imagenet_layout(tmp_path):
    folder = tmp_path / "tiny-imagenet-200"
    for label, wnid in enumerate(["n01", "n02"]):
        save_image(folder / "train" / wnid / "images" / f"{wnid}_0.JPEG", 50 * label, (64, 64), "L" if label else "RGB")
        save_image(folder / "val" / "images" / f"val_{label}.JPEG", 100, (64, 64))
    (folder / "val" / "val_annotations.txt").write_text("val_1.JPEG\tn02\t0\t0\t9\t9\nval_0.JPEG\tn01\t0\t0\t9\t9\n")
    (folder / "words.txt").write_text("n01\tgoldfish, Carassius auratus\nn07\tcrane\n")
    source = read_named("tiny_imagenet", root=tmp_path)
    assert source.class_names == {0: "goldfish", 1: "n02"}
    assert source.X.shape == (2, 3, 64, 64)
    assert source.y.tolist() == [0, 1]
    assert source.y_test.tolist() == [1, 0]
    assert source.X[np.arange(2)][:, :, 0, 0].tolist() == [[0, 0, 0], [50, 50, 50]]


@pytest.mark.parametrize("name", [name for name in NAMED_SETS if name != "digits"])
def test_missing_set_says_what_to_do(tmp_path, name):
    with pytest.raises(
        FileNotFoundError, match=r"--data-root .* or the environment variable LATENTOVER_DATA"
    ) as caught:
        read_named(name, root=tmp_path)
    message = str(caught.value)
    assert str(tmp_path / NAMED_SETS[name].folder) in message
    assert ("get it from http" in message) or ("pass --download" in message)


def test_set_without_download(tmp_path):
    with pytest.raises(FileNotFoundError, match="get it from https://doi"):
        read_named("cinic10", root=tmp_path, download=True)


def test_download_is_asked_of_torchvision(tmp_path, monkeypatch):
    datasets = pytest.importorskip("torchvision.datasets", reason="MNIST is read by torchvision")
    asked = []

    def download(dataset):
        asked.append(dataset.root)
        write_mnist(tmp_path / "MNIST" / "raw")

    monkeypatch.setattr(datasets.MNIST, "download", download)
    assert read_named("mnist", root=tmp_path, download=True).X.shape == (12, 1, 28, 28)
    assert asked


def test_without_torchvision(tmp_path, monkeypatch):
    write_mnist(tmp_path / "MNIST" / "raw")
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(ImportError, match=r"Expected torchvision to read this data set.* or use a folder of images"):
        read_named("mnist", root=tmp_path)


def test_data_root(tmp_path, monkeypatch):
    monkeypatch.setenv("LATENTOVER_DATA", str(tmp_path))
    assert data_root() == tmp_path
    assert data_root("elsewhere").name == "elsewhere"
    monkeypatch.delenv("LATENTOVER_DATA")
    assert "latentover" in str(data_root())


def test_list_named(tmp_path):
    write_mnist(tmp_path / "MNIST" / "raw")
    rows = {row.name: row for row in list_named(tmp_path)}
    assert set(rows) == set(NAMED_SETS)
    assert [name for name, row in rows.items() if row.present] == ["digits", "mnist"]
    assert rows["mnist"].folder == str(tmp_path / "MNIST" / "raw")
    assert rows["tiny_imagenet"][:5] == ("tiny_imagenet", 200, (3, 64, 64), 100000, 10000)


@pytest.mark.parametrize("name", [name for name in NAMED_SETS if name not in ("digits", "cinic10", "tiny_imagenet")])
def test_the_real_set(name):
    root = os.environ.get("LATENTOVER_DATA")
    if not root:
        pytest.skip("LATENTOVER_DATA is not set")
    entry = NAMED_SETS[name]
    if not entry.is_present(data_root()):
        pytest.skip(f"{name} is not in {root}")
    source = read_named(name)
    assert source.X.shape == (entry.train_size, *entry.shape)
    assert source.X_test.shape == (entry.test_size, *entry.shape)
    assert np.array_equal(np.unique(source.y), np.arange(entry.classes))
