"""Balanced batches and on-the-fly items: exact counts, no decoding for labels, the same with any number of workers."""

import traceback
import tracemalloc
from collections import Counter

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch.utils.data import ConcatDataset, DataLoader, Dataset, IterableDataset, Subset, TensorDataset, random_split
from torchvision.datasets import ImageFolder

from latentover import RAESampler
from latentover.data.torch_datasets import (
    ClassBalancedBatchSampler,
    OversampledDataset,
    balanced_loader,
    dataset_labels,
)

LABELS = [0] * 12 + [1] * 5 + [2] * 2


class Undecodable(Dataset):
    """A data set that must not be looked into."""

    def __init__(self, **attributes):
        self.__dict__.update(attributes)

    def __len__(self):
        return len(LABELS)

    def __getitem__(self, index):
        raise AssertionError("an item was decoded")


class Merged(Dataset):
    """Three kinds of animals of which items name two, as torchvision's data sets do it; decodes what it is told to."""

    def __init__(self, target_transform=None, *, inside=None, targets=LABELS):
        self.targets, self.target_transform, self.inside = targets, target_transform, inside

    def __len__(self):
        return len(self.targets)

    def __getitem__(self, index):
        label = int(self.targets[index])
        for change in (self.target_transform, self.inside):
            label = label if change is None else change(label)
        return torch.full((3,), float(index)), label


def pet_or_not(label):
    return min(label, 1)


class Endless(IterableDataset):
    def __iter__(self):
        return iter(int, 1)


def tensors(labels=LABELS, d=3):
    y = torch.tensor(labels)
    return TensorDataset(torch.arange(len(y)).float()[:, None].expand(-1, d).contiguous(), y)


def noise(label, n, seed):
    return -1 - torch.rand(n, 3, generator=torch.Generator().manual_seed(seed)) - label


def everything(loader):
    batches = list(loader)
    return torch.cat([x for x, _ in batches]), torch.cat([y for _, y in batches])


class TestLabels:
    @pytest.mark.parametrize("name", ["targets", "labels"])
    @pytest.mark.parametrize("kind", [list, np.array, torch.tensor])
    def test_are_read_without_decoding(self, name, kind):
        assert dataset_labels(Undecodable(**{name: kind(LABELS)})).tolist() == LABELS

    def test_of_a_tensor_data_set_are_its_last_tensor(self):
        assert dataset_labels(tensors()).tolist() == LABELS

    def test_of_subsets_of_subsets(self):
        inner = Subset(Undecodable(targets=LABELS), [18, 3, 13, 0])
        assert dataset_labels(Subset(inner, [2, 0])).tolist() == [1, 2]

    def test_of_a_random_split(self):
        part, rest = random_split(Undecodable(targets=LABELS), [10, 9])
        both = np.concatenate([dataset_labels(part), dataset_labels(rest)])
        assert Counter(both.tolist()) == Counter(LABELS)
        assert dataset_labels(part).tolist() == [LABELS[i] for i in part.indices]

    def test_of_concatenated_data_sets(self):
        both = ConcatDataset([tensors(), Undecodable(labels=LABELS)])
        assert dataset_labels(both).tolist() == LABELS + LABELS

    def test_may_be_given(self):
        assert dataset_labels(Undecodable(), LABELS).tolist() == LABELS

    @pytest.mark.parametrize("kind", [list, np.array, torch.tensor])
    def test_follow_a_target_transform(self, kind):
        dataset = Undecodable(targets=kind(LABELS), target_transform=lambda label: ["dog", "cat", "cat"][label])
        assert dataset_labels(dataset).tolist() == ["dog"] * 12 + ["cat"] * 7
        assert dataset_labels(Subset(dataset, [18, 0])).tolist() == ["cat", "dog"]

    @pytest.mark.parametrize("make", [torch.tensor, np.int64, np.array], ids=["tensor", "scalar", "array"])
    def test_that_a_target_transform_makes_numbers_of_any_kind(self, make):
        dataset = Undecodable(targets=LABELS, target_transform=lambda label: make(pet_or_not(label)))
        assert dataset_labels(dataset).tolist() == [pet_or_not(label) for label in LABELS]

    def test_of_a_folder_of_images_with_merged_classes(self, folder):
        dataset = ImageFolder(folder, target_transform=lambda label: 1 - label)
        assert dataset_labels(dataset).tolist() == [label for _, label in dataset] == [1] * 5 + [0] * 2

    @pytest.mark.parametrize("kind", ["tensor", "array", "items"])
    def test_are_a_copy(self, kind):
        own = torch.tensor(LABELS) if kind != "array" else np.array(LABELS)
        dataset = TensorDataset(torch.zeros(19, 1), own) if kind == "items" else Undecodable(targets=own)
        found, given = dataset_labels(dataset), dataset_labels(Undecodable(), own)
        own[:] = 7
        assert found.tolist() == given.tolist() == LABELS

    def test_that_are_missing_outside_of_a_subset_do_not_matter(self):
        dataset = Undecodable(targets=[np.nan, *LABELS[1:]])
        assert dataset_labels(Subset(dataset, [1, 18])).tolist() == [0, 2]

    @pytest.mark.parametrize("dtype", ["Int64", "int64[pyarrow]", "boolean"])
    def test_of_nullable_types(self, dtype):
        labels = pd.Series(LABELS).clip(upper=1).astype(dtype)
        found = dataset_labels(Undecodable(), labels)
        assert found.dtype.kind == ("b" if dtype == "boolean" else "i")
        assert found.tolist() == labels.tolist()
        huge = 2**60 + pd.Series(LABELS, dtype="Int64")
        assert dataset_labels(Undecodable(), huge).tolist() == huge.tolist()

    def test_of_a_folder_of_images(self, folder):
        assert dataset_labels(ImageFolder(folder)).tolist() == [0] * 5 + [1] * 2

    @pytest.mark.parametrize(
        ("dataset", "labels", "kind", "message"),
        [
            (Undecodable(), None, ValueError, "targets or labels, but got Undecodable"),
            (Undecodable(targets=LABELS[1:]), None, ValueError, "each of the 19 items, but got shape"),
            (Undecodable(), np.eye(19), ValueError, "each of the 19 items, but got shape"),
            (Endless(), None, TypeError, "map-style torch Dataset"),
            (
                Undecodable(targets=[np.nan, *LABELS[1:]]),
                None,
                ValueError,
                "labels to have no missing values, but got 1",
            ),
            (tensors([float("nan"), *LABELS[1:]]), None, ValueError, "labels to have no missing values, but got 1"),
            (Undecodable(), [None, *LABELS[1:]], ValueError, "labels to have no missing values, but got 1"),
            (Undecodable(), pd.Series(LABELS, dtype="Int64").mask(np.arange(19) == 3), ValueError, "at position 3"),
            (
                Undecodable(targets=torch.linspace(0, 1, 19)),
                None,
                ValueError,
                "labels to hold class labels, but got meas",
            ),
            (
                Undecodable(targets=LABELS, target_transform=len),
                None,
                ValueError,
                "target_transform to take a label .* 0,",
            ),
            (
                Undecodable(targets=LABELS, target_transform=lambda label: [0, 1]),
                None,
                ValueError,
                r"got shape \(19, 2\)",
            ),
        ],
    )
    def test_that_are_not_there_are_asked_for(self, dataset, labels, kind, message):
        with pytest.raises(kind, match=message):
            dataset_labels(dataset, labels)


def balanced_of_tensors(**options):
    return balanced_loader(tensors(), 4, generate=noise, **options)


@pytest.fixture
def folder(tmp_path):
    for name, n in (("cat", 5), ("dog", 2)):
        (tmp_path / name).mkdir()
        for i in range(n):
            Image.new("L", (8, 8), color=10 * i).save(tmp_path / name / f"{i}.png")
    return tmp_path


class TestBalancedBatches:
    @settings(max_examples=200, deadline=None, derandomize=True)
    @given(st.lists(st.integers(1, 30), min_size=1, max_size=6), st.integers(1, 40), st.integers(0, 3))
    def test_guarantees(self, sizes, batch_size, seed):
        labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
        sampler = ClassBalancedBatchSampler(labels, batch_size, random_state=seed)
        batches = list(sampler)
        assert len(batches) == len(sampler)
        assert all(len(batch) == batch_size for batch in batches[:-1])
        for batch in batches:
            counts = np.bincount(labels[batch], minlength=len(sizes))
            assert counts.max() - counts.min() <= 1
        seen = np.bincount(np.concatenate(batches), minlength=len(labels))
        for label, size in enumerate(sizes):
            own = seen[labels == label]
            assert own.sum() == max(sizes)
            assert own.max() - own.min() <= 1
            if size == max(sizes):
                assert (own == 1).all()

    def test_differ_from_pass_to_pass_and_repeat_with_the_seed(self):
        first, again = (ClassBalancedBatchSampler(LABELS, 4, random_state=5) for _ in range(2))
        passes = [list(first), list(first)]
        assert passes[0] != passes[1]
        assert passes == [list(again), list(again)]
        again.epoch = 1
        assert list(again) == passes[1]
        assert list(ClassBalancedBatchSampler(LABELS, 4, random_state=6)) != passes[0]

    def test_take_labels_of_any_kind(self):
        names = np.array(["a", "b", "c"])[LABELS]
        assert list(ClassBalancedBatchSampler(names, 4)) == list(ClassBalancedBatchSampler(LABELS, 4))

    @pytest.mark.parametrize("batch_size", [0, -1, 2.5, True, None])
    def test_of_an_impossible_size(self, batch_size):
        with pytest.raises(ValueError, match="batch_size"):
            ClassBalancedBatchSampler(LABELS, batch_size)

    @pytest.mark.parametrize("random_state", ["x", -1, None, 0.5, True])
    def test_of_an_impossible_random_state(self, random_state):
        for make in (lambda **seed: ClassBalancedBatchSampler(LABELS, 4, **seed), balanced_of_tensors):
            with pytest.raises(ValueError, match=r"^Expected random_state to be a whole number of at least 0, but got"):
                make(random_state=random_state)

    @pytest.mark.parametrize("labels", [[], [[0, 1]], [0, np.nan, 1]])
    def test_of_impossible_labels(self, labels):
        with pytest.raises(ValueError, match="labels"):
            ClassBalancedBatchSampler(labels, 4)


class TestOversampledDataset:
    def test_has_the_real_items_first_and_exact_counts(self):
        dataset = OversampledDataset(tensors(), noise)
        assert len(dataset) == 36
        assert dataset.n_synthetic == {1: 7, 2: 10}
        x, y = everything(DataLoader(dataset, batch_size=5))
        assert torch.equal(x[:19], tensors()[:][0])
        assert y.tolist() == dataset.targets.tolist() == LABELS + [1] * 7 + [2] * 10
        assert x[:, 0].ceil()[19:].tolist() == [-2] * 7 + [-3] * 10  # made for their class

    @pytest.mark.parametrize(("strategy", "expected"), [({2: 9}, {2: 7}), ("minority", {2: 10}), ({}, {})])
    def test_follows_the_sampling_strategy(self, strategy, expected):
        assert OversampledDataset(tensors(), noise, sampling_strategy=strategy).n_synthetic == expected

    def test_reads_labels_of_what_it_does_not_decode(self):
        assert len(OversampledDataset(Undecodable(targets=LABELS), noise)) == 36

    def test_indices(self):
        dataset = OversampledDataset(tensors(), noise)
        assert torch.equal(dataset[-1][0], dataset[35][0])
        assert not torch.equal(dataset[34][0], dataset[35][0])
        for index in (36, -37):
            with pytest.raises(IndexError):
                dataset[index]

    def test_an_epoch_brings_new_items_and_repeats_them(self):
        dataset = OversampledDataset(tensors(), noise)
        first = dataset[30][0]
        dataset.set_epoch(1)
        assert not torch.equal(dataset[30][0], first)
        dataset.set_epoch(0)
        assert torch.equal(dataset[30][0], first)
        assert not torch.equal(OversampledDataset(tensors(), noise, random_state=1)[30][0], first)

    def test_generated_beforehand_items_stay(self):
        calls = []
        dataset = OversampledDataset(tensors(), lambda *of: calls.append(of) or noise(*of), on_the_fly=False)
        first, last = dataset[19][0], dataset[35][0]
        dataset.set_epoch(3)
        assert torch.equal(torch.stack([dataset[19][0], dataset[35][0]]), torch.stack([first, last]))
        assert sorted(label for label, _, _ in calls) == [1, 2]
        x, _ = everything(DataLoader(dataset, batch_size=8))
        assert len(x[19:].unique(dim=0)) == 17

    def test_memory_does_not_grow_with_the_number_of_synthetic_items(self):
        tracemalloc.start()
        dataset = OversampledDataset(tensors(), noise, sampling_strategy={0: 10**9, 1: 10**9, 2: 10**9})
        assert len(dataset) == 3 * 10**9
        batches = iter(balanced_loader(tensors(), 6, generate=noise))
        items = dataset.__getitems__([5, 10**9, 2 * 10**9, 3 * 10**9 - 1])
        next(batches)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert [int(y) for _, y in items] == [0, 0, 1, 2]
        assert peak < 2 * 2**20

    def test_with_a_fitted_sampler_of_images(self, folder):
        from torchvision.transforms import Compose, Grayscale, PILToTensor

        dataset = ImageFolder(folder, transform=Compose([Grayscale(), PILToTensor()]))
        X = np.stack([x.numpy() for x, _ in dataset])
        sampler = RAESampler(max_steps=1, batch_size=4, channels=4, hidden_units=8, device="cpu", random_state=0)
        sampler.fit(X, dataset.targets)
        x, y = next(iter(DataLoader(OversampledDataset(dataset, sampler), batch_size=10)))
        assert (x.dtype, x.shape, y.tolist()) == (torch.uint8, (10, 1, 8, 8), [0] * 5 + [1] * 5)

    @pytest.mark.parametrize(
        ("dataset", "options", "message"),
        [
            (tensors(d=2), {}, "float32 of shape"),
            (TensorDataset(torch.zeros(19, 3, dtype=torch.uint8), torch.tensor(LABELS)), {}, "uint8 of shape"),
            (tensors(), {"transform": lambda x: x.numpy()}, "but got ndarray"),
            (
                tensors(),
                {"labels": [2 - label for label in LABELS]},
                "labels that the data set says, 2 for item 0, but got 0",
            ),
            (TensorDataset(torch.zeros(19, 3), torch.zeros(19), torch.tensor(LABELS)), {}, "pairs"),
        ],
    )
    def test_items_that_would_not_fit_in_a_batch_are_refused(self, dataset, options, message):
        with pytest.raises(ValueError, match=message):
            OversampledDataset(dataset, noise, **options)[-1]

    def test_a_sampler_of_other_classes_is_refused(self):
        sampler = RAESampler(max_steps=1, batch_size=4, hidden_units=8, device="cpu", random_state=0)
        sampler.fit(np.random.default_rng(0).normal(size=(19, 3)), np.array(["a", "b", "c"])[LABELS])
        with pytest.raises(ValueError, match=r"\[1, 2\], but got a sampler of \['a', 'b', 'c'\]"):
            OversampledDataset(tensors(), sampler)

    def test_labels_outlive_workers_that_were_given_the_data(self):
        labels = torch.arange(10_000) % 4 // 3
        dataset = OversampledDataset(TensorDataset(torch.zeros(10_000, 3), labels), noise)
        before = dataset.targets.tolist()
        next(iter(DataLoader(dataset, batch_size=4, num_workers=1, multiprocessing_context="spawn")))
        torch.full((10_000,), 77)  # what may come to lie where the labels were
        assert dataset.targets.tolist() == before == labels.tolist() + [1] * 5000

    def test_what_is_kept_is_a_copy(self):
        made = torch.ones(10, 3)
        dataset = OversampledDataset(tensors(), lambda label, n, seed: made[:n], on_the_fly=False)
        made.zero_()
        assert dataset[-1][0].tolist() == [1, 1, 1]

    def test_a_label_that_one_item_alone_does_not_have_is_found(self):
        dataset = OversampledDataset(Merged(inside=pet_or_not), noise)
        assert dataset[16][1] == 1
        with pytest.raises(ValueError, match=r"labels that the data set says, 2 for item 17, but got 1; .*labels="):
            dataset[17]

    def test_what_generates_nothing_is_refused(self):
        with pytest.raises(TypeError, match="generate"):
            OversampledDataset(tensors(), 3)


class TestBalancedLoader:
    def test_repeats_rare_items(self):
        loader = balanced_loader(tensors(), 6)
        x, y = everything(loader)
        assert len(loader) == 6
        assert y.bincount().tolist() == [12, 12, 12]
        assert Counter(x[y == 2, 0].tolist()) == {17.0: 6, 18.0: 6}
        assert sorted(x[y == 0, 0].tolist()) == list(range(12))

    def test_fills_up_with_synthetic_items(self):
        loader = balanced_loader(tensors(), 6, generate=noise)
        x, y = everything(loader)
        real = x[:, 0] >= 0
        assert len(loader) == 6
        assert y.bincount().tolist() == [12, 12, 12]
        assert sorted(x[real, 0].tolist()) == list(range(19))  # every real item once
        assert y[~real].bincount().tolist() == [0, 7, 10]
        new = everything(loader)[0]
        assert not set(x[~real, 0].tolist()) & set(new[:, 0].tolist())  # synthetic ones are new in every pass

    def test_mixes_real_and_synthetic_items_evenly(self):
        labels = [0] * 4000 + [1] * 1000
        rows = torch.tensor(
            [row for batch in balanced_loader(tensors(labels), 100, generate=noise).batch_sampler for row in batch]
        )
        places = (((rows >= 4000) & (rows < 5000)).nonzero().squeeze(1)).float() / len(rows)
        # 1000 real items at uniform places among the 4000 of their class: a mean of 0.5 within 4 standard errors.
        assert abs(places.mean() - 0.5) < 4 * (1 / 12 * 0.75 / 1000) ** 0.5
        assert len(places) == 1000

    @pytest.mark.parametrize("generate", [None, noise])
    def test_is_the_same_with_any_number_of_workers(self, generate):
        def passes(**options):
            loader = balanced_loader(tensors(), 6, generate=generate, random_state=3, **options)
            return torch.cat([everything(loader)[0] for _ in range(2)])

        alone = passes()
        assert torch.equal(passes(), alone)
        assert torch.equal(passes(num_workers=2, persistent_workers=True), alone)

    def test_with_workers_and_a_fitted_sampler(self):
        dataset = tensors()
        sampler = RAESampler(max_steps=1, batch_size=4, hidden_units=8, device="cpu", random_state=0)
        sampler.fit(*(tensor.numpy() for tensor in dataset.tensors))
        alone = everything(balanced_loader(dataset, 6, generate=sampler))
        both = everything(balanced_loader(dataset, 6, generate=sampler, num_workers=2))
        assert all(map(torch.equal, alone, both))

    def test_of_a_subset(self):
        subset = Subset(tensors(), [0, 1, 2, 3, 12, 13])
        x, y = everything(balanced_loader(subset, 4))
        assert y.tolist().count(0) == y.tolist().count(1) == 4
        assert set(x[:, 0].tolist()) == {0, 1, 2, 3, 12, 13}

    def test_of_classes_that_a_target_transform_merges(self):
        labels = [0] * 80 + [1] * 30 + [2] * 10
        _, y = everything(balanced_loader(Merged(pet_or_not, targets=labels), 16))
        assert y.bincount().tolist() == [80, 80]
        filled = balanced_loader(Merged(pet_or_not, targets=labels), 16, generate=noise)
        assert everything(filled)[1].bincount().tolist() == [80, 80]

    @pytest.mark.parametrize("workers", [0, 1])
    def test_of_classes_that_items_alone_merge(self, workers):
        told = r"labels that the data set says, 2 for item 1[78], but got 1; .*labels="
        with pytest.raises(ValueError, match=told) as caught:
            list(balanced_loader(Merged(inside=pet_or_not), 6, num_workers=workers))
        # An iterator that torch's frames keep in a cycle would later wait 5 s for its worker, in whichever test.
        traceback.clear_frames(caught.tb)

    def test_by_other_labels_than_the_items_have(self):
        site = [0] * 10 + [1] * 9
        x, y = everything(balanced_loader(Merged(), 5, labels=site))
        assert (x[:, 0] >= 10).sum() == (x[:, 0] < 10).sum() == 10
        assert set(y.tolist()) == {0, 1, 2}

    def test_of_items_that_are_no_pairs(self):
        three = TensorDataset(torch.arange(19), torch.zeros(19), torch.tensor(LABELS))
        assert torch.cat([y for _, _, y in balanced_loader(three, 6)]).bincount().tolist() == [12, 12, 12]

    def test_leaves_the_global_generators_alone(self):
        states = [lambda: torch.get_rng_state().tolist(), lambda: np.random.get_state()[1].tolist()]  # noqa: NPY002
        before = [state() for state in states]
        dataset = OversampledDataset(tensors(), noise)
        [dataset[i] for i in range(36)]
        list(ClassBalancedBatchSampler(LABELS, 4))
        assert [state() for state in states] == before
