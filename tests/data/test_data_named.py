import os
import shutil
import sys

import numpy as np
import pytest
from made_up_sets import (
    CELEBA_HAIR,
    save_image,
    write_celeba,
    write_cifar,
    write_cinic10,
    write_imagenet100,
    write_mnist,
    write_pickle,
    write_svhn,
    write_tiny_imagenet,
)

from latentover.data import data_root, list_named
from latentover.data.named import NAMED_SETS, read_named


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
    images = write_svhn(tmp_path, datasets.SVHN, monkeypatch)
    source = read_named("svhn", root=tmp_path)
    assert source.X.shape == (5, 3, 32, 32)
    assert np.array_equal(source.X, images.transpose(3, 2, 0, 1))
    assert source.y.tolist() == [0, 1, 2, 9, 0]  # the file writes 10 for the digit 0


def test_cinic10_layout(tmp_path):
    write_cinic10(tmp_path / "CINIC-10")
    source = read_named("cinic10", root=tmp_path)
    assert source.X.shape == (3, 3, 32, 32)
    assert source.y.tolist() == source.y_test.tolist() == [0, 1, 2]
    assert source.class_names == {0: "airplane", 1: "automobile", 2: "truck"}
    assert source.X[np.arange(3)][:, 0, 0, 0].tolist() == [0, 1, 2]


def test_tiny_imagenet_layout(tmp_path):
    write_tiny_imagenet(tmp_path / "tiny-imagenet-200", n_classes=2)
    (tmp_path / "tiny-imagenet-200" / "words.txt").write_text("n01\tgoldfish, Carassius auratus\nn07\tcrane\n")
    source = read_named("tiny_imagenet", root=tmp_path)
    assert source.class_names == {0: "goldfish", 1: "n02"}
    assert source.X.shape == (2, 3, 64, 64)
    assert source.y.tolist() == [0, 1]
    assert source.y_test.tolist() == [1, 0]
    assert source.X[np.arange(2)][:, :, 0, 0].tolist() == [[0, 0, 0], [50, 50, 50]]


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
