from collections import Counter
from itertools import islice

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from latentover.training import ClassBatches, ClassTuples, NaturalBatches, batches_per_epoch


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def labels_of(*counts):
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    return labels[torch.randperm(len(labels), generator=generator(7))]


class TestNaturalBatches:
    @given(st.integers(2, 60), st.integers(2, 20))
    def test_an_epoch_has_every_row_once_and_no_batch_of_one_row(self, n, batch_size):
        stream = NaturalBatches(n, batch_size, generator())
        for _ in range(2):
            epoch = list(islice(stream, batches_per_epoch(n, batch_size)))
            assert sorted(torch.cat(epoch).tolist()) == list(range(n))
            assert all(2 <= len(batch) <= batch_size + 1 for batch in epoch)

    def test_every_epoch_has_a_new_order(self):
        first, second = islice(NaturalBatches(50, 50, generator()), 2)
        assert not torch.equal(first, second)

    def test_same_seed_same_batches(self):
        streams = (NaturalBatches(50, 7, generator(3)) for _ in range(2))
        assert all(torch.equal(a, b) for a, b in islice(zip(*streams, strict=True), 20))


class TestClassBatches:
    def test_classes_are_equally_likely_and_so_are_the_rows_of_a_class(self):
        labels = labels_of(60, 30, 10)
        rows = torch.cat(list(islice(ClassBatches(labels, 100, generator()), 60)))
        assert rows.shape == (6000,)
        assert chisquare(torch.bincount(labels[rows]).numpy()).pvalue > 1e-3
        for c in range(3):
            counts = torch.bincount(rows, minlength=100)[labels == c]
            assert chisquare(counts.numpy()).pvalue > 1e-3

    def test_a_class_of_one_row_is_drawn_too(self):
        rows = next(ClassBatches(torch.tensor([0, 0, 0, 1]), 1000, generator()))
        assert 400 < (rows == 3).sum() < 600


class TestClassTuples:
    @given(st.lists(st.integers(1, 7), min_size=1, max_size=4), st.integers(1, 5), st.integers(0, 1000))
    def test_one_class_a_tuple_and_distinct_members_where_there_are_enough(self, counts, size, seed):
        labels = labels_of(*counts)
        rows = next(ClassTuples(labels, 50, size, generator(seed)))
        assert rows.shape == (50, size)
        assert (labels[rows] == labels[rows[:, :1]]).all()
        for members in rows.tolist():
            assert len(set(members)) == min(size, counts[labels[members[0]]])

    def test_a_class_of_one_sample_repeats_it(self):
        labels = torch.tensor([0, 1, 0])
        rows = next(ClassTuples(labels, 100, 3, generator()))
        assert (rows[labels[rows[:, 0]] == 1] == 1).all()

    def test_classes_are_equally_likely(self):
        labels = labels_of(200, 20, 2)
        rows = torch.cat(list(islice(ClassTuples(labels, 100, 2, generator()), 60)))
        assert chisquare(torch.bincount(labels[rows[:, 0]]).numpy()).pvalue > 1e-3

    @pytest.mark.parametrize(("n", "size"), [(5, 2), (4, 3), (3, 3), (6, 1)])
    def test_uniform_over_ordered_tuples_without_repetition(self, n, size):
        stream = ClassTuples(torch.zeros(n, dtype=torch.int64), 1000, size, generator(1))
        drawn = Counter(tuple(row) for rows in islice(stream, 12) for row in rows.tolist())
        possible = np.prod(range(n - size + 1, n + 1))
        assert len(drawn) == possible
        assert chisquare(list(drawn.values())).pvalue > 1e-3

    def test_leaves_the_global_generator_alone(self):
        before = torch.get_rng_state()
        next(ClassTuples(labels_of(5, 5), 10, 2, generator()))
        next(NaturalBatches(10, 3, generator()))
        assert torch.equal(torch.get_rng_state(), before)
