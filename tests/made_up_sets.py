"""Writers of named data sets in small: made-up images in the files and folders in which the real ones come."""

import hashlib
import pickle
import struct

import numpy as np
from PIL import Image

CELEBA_ATTRIBUTES = ["5_o_Clock_Shadow", "Bald", "Black_Hair", "Blond_Hair", "Brown_Hair", "Gray_Hair", "Young"]
CELEBA_HAIR = ["Black_Hair", "Brown_Hair", "Blond_Hair", "Gray_Hair", "Bald"]
"""In the order of their labels."""


def save_image(path, value, size=(32, 32), mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, value if mode == "L" else (value, value, value)).save(path)


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


def write_cifar(folder, dataset, monkeypatch, label_key, labels=(0, 1, 2)):
    """Write batches of an image for each label, and tell torchvision their checksums."""
    rng = np.random.default_rng(0)
    batches = {}
    for attribute in ("train_list", "test_list"):
        entries = []
        for name, _ in getattr(dataset, attribute):
            images = rng.integers(0, 256, (len(labels), 3072), dtype=np.uint8)
            batches[name] = {"data": images, label_key: list(labels)}
            entries.append([name, write_pickle(folder / name, batches[name])])
        monkeypatch.setattr(dataset, attribute, entries)
    md5 = write_pickle(folder / dataset.meta["filename"], {dataset.meta["key"]: ["a", "b", "sweet_pepper"]})
    monkeypatch.setattr(dataset, "meta", {**dataset.meta, "md5": md5})
    return batches


def write_svhn(root, dataset, monkeypatch, labels=(10, 1, 2, 9, 10)):
    """Write both splits, with 10 for the digit 0 as the real files have it, and tell torchvision their checksums."""
    from scipy.io import savemat

    images = np.random.default_rng(0).integers(0, 256, (32, 32, 3, len(labels)), dtype=np.uint8)
    splits = {}
    for split in ("train", "test"):
        path = root / f"{split}_32x32.mat"
        savemat(path, {"X": images, "y": np.array(labels)[:, None]})
        splits[split] = ["", path.name, hashlib.md5(path.read_bytes()).hexdigest()]
    monkeypatch.setattr(dataset, "split_list", splits)
    return images


def write_cinic10(folder, names=("airplane", "automobile", "truck"), n=1):
    for part in ("train", "valid", "test"):
        for label, name in enumerate(names):
            for number in range(n):
                save_image(folder / part / name / f"{number}.png", label)


def write_tiny_imagenet(folder, n_classes, n_train=1):
    """Write classes whose last images are grey, and one image of each for validation, the last class first."""
    wnids, lines = [f"n{number:02}" for number in range(1, n_classes + 1)], []
    for label, wnid in enumerate(wnids):
        for number in range(n_train):
            path = folder / "train" / wnid / "images" / f"{wnid}_{number}.JPEG"
            save_image(path, 50 * label % 256, (64, 64), "L" if label else "RGB")
        save_image(folder / "val" / "images" / f"val_{label}.JPEG", 100, (64, 64))
        lines.insert(0, f"val_{label}.JPEG\t{wnid}\t0\t0\t9\t9\n")
    (folder / "val" / "val_annotations.txt").write_text("".join(lines))


def write_celeba(folder, rows):
    """Write images and lists: a row is what is true of an image, and its partition."""
    attributes, partitions = [str(len(rows)), " ".join(CELEBA_ATTRIBUTES)], []
    for number, (true, partition) in enumerate(rows, start=1):
        save_image(folder / "img_align_celeba" / f"{number:06}.jpg", 10 * number % 256, (178, 218))
        marks = [" 1" if name in true else "-1" for name in CELEBA_ATTRIBUTES]
        attributes.append(f"{number:06}.jpg {' '.join(marks)}")
        partitions.append(f"{number:06}.jpg {partition}")
    (folder / "list_attr_celeba.txt").write_text("\n".join(attributes) + "\n")
    (folder / "list_eval_partition.txt").write_text("\n".join(partitions) + "\n")


def write_imagenet100(folder, n_train=1, n_test=1, size=(20, 10)):
    """Write a list of classes in another order than that of their names, and a class that is not in it."""
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
