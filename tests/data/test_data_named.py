import hashlib
import os
import pickle
import shutil
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
    md5 = write_pickle(folder / dataset.meta["filename"], {dataset.meta["key"]: ["a", "b", "c"]})
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


@pytest.mark.parametrize(("name", "folder"), [("mnist", "MNIST"), ("fashion_mnist", "FashionMNIST")])
def test_mnist_layout(tmp_path, name, folder):
    written = write_mnist(tmp_path / folder / "raw")
    source = read_named(name, root=tmp_path)
    assert source.X.shape == (12, 1, 28, 28)
    assert source.y.dtype == np.int64
    assert np.array_equal(source.X[:, 0], written["train"][0])
    assert np.array_equal(source.X_test[:, 0], written["t10k"][0])
    assert np.array_equal(source.y_test, written["t10k"][1])


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
    assert source.X[np.arange(3)][:, 0, 0, 0].tolist() == [0, 1, 2]


def test_tiny_imagenet_layout(tmp_path):
    folder = tmp_path / "tiny-imagenet-200"
    for label, wnid in enumerate(["n01", "n02"]):
        save_image(folder / "train" / wnid / "images" / f"{wnid}_0.JPEG", 50 * label, (64, 64), "L" if label else "RGB")
        save_image(folder / "val" / "images" / f"val_{label}.JPEG", 100, (64, 64))
    (folder / "val" / "val_annotations.txt").write_text("val_1.JPEG\tn02\t0\t0\t9\t9\nval_0.JPEG\tn01\t0\t0\t9\t9\n")
    source = read_named("tiny_imagenet", root=tmp_path)
    assert source.X.shape == (2, 3, 64, 64)
    assert source.y.tolist() == [0, 1]
    assert source.y_test.tolist() == [1, 0]
    assert source.X[np.arange(2)][:, :, 0, 0].tolist() == [[0, 0, 0], [50, 50, 50]]


CELEBA_ATTRIBUTES = ["5_o_Clock_Shadow", "Bald", "Black_Hair", "Blond_Hair", "Brown_Hair", "Gray_Hair", "Young"]
CELEBA_HAIR = ["Black_Hair", "Brown_Hair", "Blond_Hair", "Gray_Hair", "Bald"]


def write_celeba(folder, rows):
    """Write the images and lists of CelebA: a row is what is true of an image, and its partition."""
    attributes, partitions = [str(len(rows)), " ".join(CELEBA_ATTRIBUTES)], []
    for number, (true, partition) in enumerate(rows, start=1):
        save_image(folder / "img_align_celeba" / f"{number:06}.jpg", 10 * number, (178, 218))
        marks = [" 1" if name in true else "-1" for name in CELEBA_ATTRIBUTES]
        attributes.append(f"{number:06}.jpg {' '.join(marks)}")
        partitions.append(f"{number:06}.jpg {partition}")
    (folder / "list_attr_celeba.txt").write_text("\n".join(attributes) + "\n")
    (folder / "list_eval_partition.txt").write_text("\n".join(partitions) + "\n")


CELEBA_ROWS = [
    *(([hair, "Young"], 0) for hair in CELEBA_HAIR),
    (["Black_Hair", "Gray_Hair"], 0),  # two kinds of hair, and none: neither is read
    (["Young"], 2),
    (["Bald"], 1),
    *(([hair], 2) for hair in reversed(CELEBA_HAIR)),
]


def test_celeba_has_the_images_of_one_kind_of_hair_in_the_authors_split(tmp_path):
    write_celeba(tmp_path / "celeba", CELEBA_ROWS)
    source = read_named("celeba", root=tmp_path)
    assert (source.X.shape, source.X_test.shape) == ((5, 3, 32, 32), (5, 3, 32, 32))
    assert source.y.tolist() == [0, 1, 2, 3, 4]
    assert source.y_test.tolist() == [4, 3, 2, 1, 0]
    assert source.X[np.arange(5)][:, 0, 0, 0] == pytest.approx([10, 20, 30, 40, 50], abs=2)  # a JPEG is not exact
    assert source.X_test[np.array([4])][0, 0, 0, 0] == pytest.approx(130, abs=2)


def test_celeba_without_the_authors_split_has_all_of_them(tmp_path):
    write_celeba(tmp_path / "celeba", CELEBA_ROWS)
    source = read_named("celeba_unsplit", root=tmp_path)
    assert source.y.tolist() == [0, 1, 2, 3, 4, 4, 4, 3, 2, 1, 0]
    assert source.y_test is None


def test_damaged_celeba(tmp_path):
    folder = tmp_path / "celeba"
    write_celeba(folder, CELEBA_ROWS)
    (folder / "img_align_celeba" / "000003.jpg").unlink()
    with pytest.raises(ValueError, match=r"files of 'celeba' .* lacks 1 of 11 images, '000003.jpg' first; delete them"):
        read_named("celeba", root=tmp_path)
    text = (folder / "list_attr_celeba.txt").read_text()
    (folder / "list_attr_celeba.txt").write_text(text.replace("Bald", "Bold"))
    with pytest.raises(ValueError, match=r"files of 'celeba' .* list_attr_celeba.txt has no attribute 'Bald'"):
        read_named("celeba", root=tmp_path)
    (folder / "list_eval_partition.txt").write_text("000001.jpg 0\n")
    (folder / "list_attr_celeba.txt").write_text(text)
    save_image(folder / "img_align_celeba" / "000003.jpg", 30)
    with pytest.raises(ValueError, match=r"list_eval_partition.txt lacks 10 of 11 images, '000002.jpg' first"):
        read_named("celeba", root=tmp_path)
    (folder / "list_attr_celeba.txt").write_text("")
    with pytest.raises(ValueError, match=r"files of 'celeba_unsplit' in .* to be intact, but got EmptyDataError"):
        read_named("celeba_unsplit", root=tmp_path)


def test_an_image_of_celeba_that_cannot_be_decoded_is_named(tmp_path):
    write_celeba(tmp_path / "celeba", CELEBA_ROWS)
    (tmp_path / "celeba" / "img_align_celeba" / "000002.jpg").write_bytes(b"no image")
    source = read_named("celeba", root=tmp_path)
    with pytest.raises(ValueError, match=r"000002.jpg to be a readable image"):
        source.X[np.arange(5)]


def write_imagenet100(folder, n_train=1, n_test=1, size=(20, 10)):
    """Write classes in another order than that of their names, and one that is not in the list."""
    classes = [f"n{number:08}" for number in range(100, 0, -1)]
    for wnid in [*classes, "n00000000"]:
        value = int(wnid[1:])
        for number in range(n_train):
            save_image(folder / "train" / wnid / f"{wnid}_{number}.JPEG", value, size)
        for number in range(n_test):
            save_image(
                folder / "val" / wnid / f"ILSVRC2012_val_{number}.JPEG", value, size, "L" if value == 7 else "RGB"
            )
    (folder / "classes.txt").write_text("# mine\n" + "".join(f"{wnid} a thing\n" for wnid in classes))
    return classes


def test_imagenet100_takes_the_classes_of_the_list_in_its_order(tmp_path):
    write_imagenet100(tmp_path / "imagenet100", n_train=2)
    source = read_named("imagenet100", root=tmp_path)
    assert (source.X.shape, source.X_test.shape) == ((200, 3, 32, 32), (100, 3, 32, 32))
    assert source.y.tolist() == np.repeat(np.arange(100), 2).tolist()
    assert source.y_test.tolist() == list(range(100))
    assert source.X_test[np.arange(100)][:, 2, 16, 16] == pytest.approx(np.arange(100, 0, -1), abs=2)


def test_damaged_imagenet100(tmp_path):
    folder = tmp_path / "imagenet100"
    classes = write_imagenet100(folder)
    shutil.rmtree(folder / "val" / classes[2])
    with pytest.raises(ValueError, match=r"files of 'imagenet100' .*val lacks the folders of 1 classes .* 'n00000098'"):
        read_named("imagenet100", root=tmp_path)
    (folder / "classes.txt").write_text("\n".join(classes[:99]))
    with pytest.raises(ValueError, match=r"classes.txt names 99 classes in 99 lines, where 100 are needed"):
        read_named("imagenet100", root=tmp_path)
    (folder / "train" / classes[0] / f"{classes[0]}_0.JPEG").unlink()
    (folder / "classes.txt").write_text("\n".join(classes))
    with pytest.raises(
        ValueError, match=r"Expected every class folder of .*train to hold images .* none in 'n00000100'"
    ):
        read_named("imagenet100", root=tmp_path)


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


@pytest.mark.parametrize(
    "name", [name for name, entry in NAMED_SETS.items() if name != "digits" and not entry.homepage]
)
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
