import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from latentover.data import DataConfig, Imbalance, load_splits, stratified_split

RAE_TRAIN = [4000, 2000, 1000, 750, 500, 350, 200, 100, 60, 40]
RAE_TEST = [1000, 500, 250, 187, 125, 87, 50, 25, 15, 10]


def write_npz(path, n_per_class=(60, 40, 20), test_per_class=None, shape=(1, 4, 4)):
    """Every sample carries its own number in its first two pixels, so that splits can be compared."""
    arrays = {}
    start = 0
    for suffix, sizes in (("", n_per_class), ("_test", test_per_class)):
        if sizes is None:
            continue
        y = np.repeat(np.arange(len(sizes)), sizes)
        X = np.zeros((len(y), *shape), dtype=np.uint8)
        numbers = start + np.arange(len(y))
        X[:, 0, 0, 0], X[:, 0, 0, 1] = numbers // 256, numbers % 256
        arrays |= {f"X{suffix}": X, f"y{suffix}": y}
        start += len(y)
    np.savez(path, **arrays)
    return str(path)


def numbers_of(X):
    flat = X.reshape(len(X), -1).astype(int)
    return (256 * flat[:, 0] + flat[:, 1]).tolist()


def counts_of(y):
    return np.unique(y, return_counts=True)[1].tolist()


@pytest.fixture
def source(tmp_path):
    return write_npz(tmp_path / "set.npz")


@pytest.fixture
def source_with_test(tmp_path):
    return write_npz(tmp_path / "set.npz", test_per_class=(30, 20, 25))


def test_splits_are_disjoint_and_sized(source):
    config = DataConfig(source, imbalance=Imbalance("counts", counts=[40, 20, 10]), validation_fraction=0.2)
    splits = load_splits(config)
    assert counts_of(splits.y_train) == [32, 16, 8]
    assert counts_of(splits.y_validation) == [8, 4, 2]
    X_test, y_test = splits.tests["test_balanced"]
    assert counts_of(y_test) == [4, 4, 4]  # the smallest class gives a fifth of 20
    train, validation, test = (numbers_of(X) for X in (splits.X_train, splits.X_validation, X_test))
    assert len({*train, *validation, *test}) == len(train) + len(validation) + len(test)
    assert splits.name == "set"
    assert splits.image_shape == (1, 4, 4)


def test_samples_keep_their_labels_and_order(source):
    splits = load_splits(DataConfig(source))
    y = np.repeat([0, 1, 2], [60, 40, 20])
    numbers = numbers_of(splits.X_train)
    assert numbers == sorted(numbers)
    assert np.array_equal(splits.y_train, y[numbers])
    X_test, y_test = splits.tests["test_balanced"]
    assert np.array_equal(y_test, y[numbers_of(X_test)])


def test_own_test_split_is_used(source_with_test):
    config = DataConfig(
        source_with_test, balanced_test=15, imbalanced_test=Imbalance("counts", counts=[30, 10, 5]), test_fraction=0.9
    )
    splits = load_splits(config)
    assert len(splits.y_train) + len(splits.y_validation) == 120
    assert list(splits.tests) == ["test_balanced", "test_imbalanced"]
    assert counts_of(splits.tests["test_balanced"][1]) == [15, 15, 15]
    assert counts_of(splits.tests["test_imbalanced"][1]) == [30, 10, 5]
    for X_test, _ in splits.tests.values():
        assert min(numbers_of(X_test)) >= 120


def test_balanced_test_takes_what_the_smallest_class_has(source_with_test):
    assert counts_of(load_splits(DataConfig(source_with_test)).tests["test_balanced"][1]) == [20, 20, 20]


def test_no_validation(source):
    splits = load_splits(DataConfig(source, validation_fraction=0))
    assert splits.X_validation is None
    assert splits.y_validation is None
    assert counts_of(splits.y_train) == [48, 32, 16]


def test_same_config_same_splits(source):
    first, second = load_splits(DataConfig(source)), load_splits(DataConfig(source))
    assert np.array_equal(first.X_train, second.X_train)
    assert first.data_hash == second.data_hash
    assert len(first.data_hash) == 16


def test_seed_changes_samples_not_counts(source):
    config = DataConfig(source, imbalance=Imbalance("long_tailed", rho=4), balanced_test=3)
    first, second = load_splits(config), load_splits(replace(config, seed=1))
    assert counts_of(first.y_train) == counts_of(second.y_train)
    assert numbers_of(first.X_train) != numbers_of(second.X_train)
    assert first.data_hash != second.data_hash


def test_draws_do_not_disturb_each_other(source_with_test):
    config = DataConfig(source_with_test, balanced_test=10)
    changed = replace(config, imbalance=Imbalance("long_tailed", rho=4), validation_fraction=0.3)
    first, second = (load_splits(c).tests["test_balanced"][0] for c in (config, changed))
    assert np.array_equal(first, second)
    both = load_splits(replace(config, imbalanced_test=Imbalance("counts", counts=[10, 10, 10]))).tests
    assert np.array_equal(both["test_balanced"][0], first)
    assert not np.array_equal(both["test_balanced"][0], both["test_imbalanced"][0])


def test_hash_is_of_the_data_whatever_its_layout(source):
    rows = load_splits(DataConfig(source, layout="rows"))
    assert rows.X_train.shape[1:] == (16,)
    assert rows.image_shape == (1, 4, 4)
    images = load_splits(DataConfig(source))
    assert np.array_equal(images.X_train.reshape(len(images.X_train), -1), rows.X_train)
    assert rows.data_hash == images.data_hash
    fewer = load_splits(DataConfig(source, imbalance=Imbalance("long_tailed", rho=2)))
    assert fewer.data_hash != images.data_hash


def test_loading_leaves_global_generators_alone(source):
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    load_splits(DataConfig(source))
    assert np.array_equal(before, np.random.get_state()[1])  # noqa: NPY002


def test_class_of_one_sample_stays_in_training(tmp_path):
    source = write_npz(tmp_path / "set.npz", (20, 10, 1))
    with pytest.warns(UserWarning, match=r"no samples of \[2\]: the balanced test split goes without"):
        splits = load_splits(DataConfig(source))
    assert counts_of(splits.y_train)[-1] == 1
    assert counts_of(splits.tests["test_balanced"][1]) == [2, 2]
    with pytest.raises(ValueError, match=r"test data of every class .* but got none of \[2\]"):
        load_splits(DataConfig(source, balanced_test=1))


def test_nothing_left_for_validation(tmp_path):
    source = write_npz(tmp_path / "set.npz", test_per_class=(2, 2, 2))
    splits = load_splits(DataConfig(source, imbalance=Imbalance("counts", counts=[1, 1, 1]), layout="rows"))
    assert splits.X_train.shape == (3, 16)
    assert splits.X_validation.shape == (0, 16)


def test_digits_example():
    splits = load_splits(DataConfig("digits", imbalance=Imbalance("step", rho=10, largest=100), layout="rows"))
    assert splits.X_train.shape[1] == 64
    assert splits.X_train.dtype == np.uint8
    assert counts_of(splits.y_train) == [90] * 5 + [9] * 5


def test_table(tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"size": rng.random(60), "town": rng.choice(["Graz", "Linz"], 60), "kind": np.repeat(["a", "b"], [40, 20])}
    )
    frame.loc[3, "size"] = np.nan
    frame.to_csv(tmp_path / "t.csv", index=False)
    config = DataConfig(str(tmp_path / "t.csv"), target="kind", imbalance=Imbalance("counts", counts=[20, 8]))
    splits = load_splits(config)
    assert list(splits.X_train.columns) == ["size", "town"]
    assert counts_of(splits.y_train) == [18, 7]
    assert splits.X_train.index.tolist() == list(range(25))
    assert splits.image_shape is None
    frame["town"] = frame["town"].str.upper()
    frame.to_csv(tmp_path / "t.csv", index=False)
    assert load_splits(config).data_hash != splits.data_hash


def test_folder_with_size(tmp_path):
    for name, n in {"cat": 20, "dog": 10}.items():
        (tmp_path / name).mkdir()
        for number in range(n):
            Image.new("L", (8 + number, 9), number).save(tmp_path / name / f"{number}.png")
    splits = load_splits(DataConfig(str(tmp_path), image_size=[12, 10]))
    assert splits.X_train.shape == (21, 1, 12, 10)  # 20 and 10 without a fifth, then without a tenth
    assert np.unique(splits.y_train).tolist() == ["cat", "dog"]


def test_path_below_the_data_root(tmp_path):
    write_npz(tmp_path / "set.npz")
    assert load_splits(DataConfig("set.npz"), root=tmp_path).name == "set"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "Fashion-MNIST",
            "one of digits, mnist, .* or a path to a folder of images or .parquet files, .npz, .csv or .parquet, but",
        ),
        ("Fashion-MNIST", r"did you mean 'fashion_mnist'\?"),
        ("cifar", "did you mean 'cifar10"),
        ("notes.txt", r"but got .*notes\.txt; convert it to one of these formats"),
        ("lost.csv", r"but got 'lost\.csv'; There is nothing at lost\.csv or .*lost\.csv"),
    ],
)
def test_unknown_source(tmp_path, name, message):
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(ValueError, match=message):
        load_splits(DataConfig(name), root=tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"source": "digits", "target": "y"},
            "`target` to be left out with source 'digits', but got 'y'; it is used for",
        ),
        ({"source": "digits", "image_size": [8, 8]}, "`image_size` to be left out with source 'digits'"),
        ({"source": "set.npz", "target": "y"}, "`target` to be left out"),
        (
            {"source": "set.npz", "balanced_test": 21},
            "`balanced_test` does not fit the data. .* got 21 .* class 1, which has 20",
        ),
        (
            {"source": "set.npz", "imbalance": Imbalance("counts", counts=[61, 1, 1])},
            "`imbalance` does not fit the data. .* got 61 asked for of class 0, which has 60",
        ),
        (
            {"source": "set.npz", "imbalanced_test": Imbalance("counts", counts=[1, 1])},
            "`imbalanced_test` does not fit the data. .* each of the 3 classes",
        ),
    ],
)
def test_what_does_not_fit(tmp_path, arguments, message):
    write_npz(tmp_path / "set.npz", test_per_class=(30, 20, 25))
    with pytest.raises(ValueError, match=message):
        load_splits(DataConfig(**arguments), root=tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"balanced_test": 0}, "Expected `balanced_test` to be an integer of at least 1, but got 0"),
        ({"seed": -1}, "Expected `seed` to be an integer of at least 0"),
        ({"test_fraction": 0.0}, "Expected `test_fraction` to be strictly between 0 and 1"),
        ({"validation_fraction": 1.0}, "Expected `validation_fraction` to be at least 0 and below 1"),
        ({"layout": "flat"}, "Expected `layout` to be 'images' or 'rows', but got 'flat'"),
        ({"image_size": [32]}, r"Expected `image_size` to be \[height, width\]"),
        ({"image_size": [32, 0]}, "Expected `image_size` to be an integer of at least 1"),
    ],
)
def test_config_fields(arguments, message):
    with pytest.raises(ValueError, match=message):
        DataConfig("digits", **arguments)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"y": [0, 0, 0, 0]}, r"at least two classes in 'd', but got \[0\]"),
        ({"y": []}, r"at least two classes in 'd', but got \[\]"),
        ({"y": [0, 1, 0, 1], "y_test": [0, 2]}, r"classes of the training data only, but got \[2\] besides"),
        ({"y": [0, 1, 2, 3]}, "at least one test sample, but got none"),
    ],
)
def test_classes_that_make_no_task(tmp_path, arrays, message):
    samples = {name.replace("y", "X"): np.ones((len(y), 2)) for name, y in arrays.items()}
    np.savez(tmp_path / "d.npz", **samples, **arrays)
    with pytest.raises(ValueError, match=message):
        load_splits(DataConfig(str(tmp_path / "d.npz")))


def test_config_from_yaml():
    jsonargparse = pytest.importorskip("jsonargparse")
    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    parser.add_argument("--data", type=DataConfig)
    text = "data: {source: mnist, seed: 3, imbalance: {profile: long_tailed, rho: 100, class_order: [1, 0]}}"
    instantiate = getattr(parser, "instantiate", None) or parser.instantiate_classes  # the name before version 4.49
    config = instantiate(parser.parse_string(text)).data
    assert config == DataConfig("mnist", seed=3, imbalance=Imbalance("long_tailed", rho=100, class_order=[1, 0]))


def test_stratified_split():
    y = np.repeat(list("abcd"), [100, 25, 2, 1])
    kept, held_out = stratified_split(y, 0.1, random_state=0)
    assert np.array_equal(np.sort(np.concatenate([kept, held_out])), np.arange(128))
    assert counts_of(y[kept]) == [90, 22, 1, 1]
    assert counts_of(y[held_out]) == [10, 3, 1]
    assert counts_of(y[stratified_split(y, 0.999, random_state=0)[0]]) == [1, 1, 1, 1]


def test_import_is_light():
    heavy = ("torch", "torchvision", "pandas", "sklearn", "PIL")
    code = f"import sys, latentover.data; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def _real_data(folder):
    root = os.environ.get("LATENTOVER_DATA")
    if not root:
        pytest.skip("LATENTOVER_DATA is not set")
    if not (Path(root) / folder).is_dir():
        pytest.skip(f"{folder} is not in {root}")


def test_rae_protocol_on_fashion_mnist():
    _real_data("FashionMNIST/raw")
    config = DataConfig(
        "fashion_mnist",
        imbalance=Imbalance("counts", counts=RAE_TRAIN),
        balanced_test=800,
        imbalanced_test=Imbalance("counts", counts=RAE_TEST),
        validation_fraction=0,
    )
    splits = load_splits(config)
    assert counts_of(splits.y_train) == RAE_TRAIN
    assert len(splits.tests["test_balanced"][1]) == 8000
    assert len(splits.tests["test_imbalanced"][1]) == 2249


def test_rae_protocol_on_mnist_has_980_zeros():
    _real_data("MNIST/raw")
    config = DataConfig(
        "mnist",
        imbalance=Imbalance("counts", counts=RAE_TRAIN),
        balanced_test=800,
        imbalanced_test=Imbalance("counts", counts=RAE_TEST),
    )
    with pytest.raises(ValueError, match=r"`imbalanced_test` .* got 1000 asked for of class 0, which has 980"):
        load_splits(config)
    config = replace(config, imbalanced_test=Imbalance("counts", counts=[980, *RAE_TEST[1:]]))
    assert len(load_splits(config).tests["test_imbalanced"][1]) == 2229


def test_real_folder_reads_what_it_keeps():
    _real_data("cifar10-jpeg")
    config = DataConfig("cifar10-jpeg", imbalance=Imbalance("long_tailed", rho=100, largest=200), balanced_test=5)
    splits = load_splits(config)
    assert splits.X_train.shape[1:] == (3, 32, 32)
    assert np.unique(splits.y_train).tolist()[:2] == ["airplane", "automobile"]
    assert splits.tests["test_balanced"][0].shape == (50, 3, 32, 32)
