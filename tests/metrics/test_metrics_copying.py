"""Copies, neighbours and diversity: that a cheat is found and an honest generator is not accused."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from latentover.metrics import diversity_per_class, diversity_ratio, exact_copies, memorization


class TestExactCopies:
    @given(st.integers(0, 2**31), st.sampled_from(["uint8", "float32", "float64", "bool"]))
    def test_naive(self, seed, dtype):
        rng = np.random.default_rng(seed)
        train, fake = rng.integers(0, 2, (6, 1, 2, 2)).astype(dtype), rng.integers(0, 2, (9, 1, 2, 2)).astype(dtype)
        expected = [any((x == y).all() for y in train) for x in fake]
        assert exact_copies(train, fake).tolist() == expected

    def test_types_may_differ_and_zero_has_no_sign(self):
        assert exact_copies(np.array([[0.0, 1.0]]), np.array([[-0.0, 1.0]], dtype=np.float32)).all()
        assert exact_copies(np.array([[0, 200]], dtype=np.uint8), np.array([[0.0, 200.0]])).all()

    def test_shape_error(self):
        with pytest.raises(ValueError, match=r"of one shape, but got \(2,\) in \*train\* and \(3,\) in \*fake\*"):
            exact_copies(np.zeros((4, 2)), np.zeros((4, 3)))


class TestMemorization:
    @pytest.fixture
    def sets(self):
        rng = np.random.default_rng(0)
        return tuple(rng.normal(size=(300, 6)) for _ in range(3))

    def test_new_samples(self, sets):
        train, held_out, new = sets
        found = memorization(train, held_out, new)
        assert found.copies == 0
        assert found.distance_ratio == pytest.approx(1, abs=0.1)
        assert found.nearer_to_training == pytest.approx(0.5, abs=4 * 0.5 / 300**0.5)
        assert not found.flagged

    def test_copies(self, sets):
        train, held_out, _ = sets
        found = memorization(train, held_out, train[:100])
        assert found[:4] == (100, 0.0, 1.0, 100)
        assert found.flagged

    def test_copies_with_a_little_noise(self, sets):
        train, held_out, _ = sets
        found = memorization(train, held_out, train + 0.01 * np.random.default_rng(1).normal(size=train.shape))
        assert found.copies == 0
        assert found.distance_ratio < 0.1
        assert found.flagged

    def test_mixtures_of_neighbours_are_nearer_than_new_samples_but_no_copies(self, sets):
        """At a random place between two neighbours the nearer one is at a quarter of their distance, on average."""
        train, held_out, _ = sets
        nearest = np.square(train[:, None] - train).sum(axis=2).argsort(axis=1)[:, 1]
        share = np.random.default_rng(0).random((len(train), 1))
        found = memorization(train, held_out, train + share * (train[nearest] - train))
        assert found.distance_ratio == pytest.approx(0.25, abs=0.05)
        assert not found.flagged

    def test_held_out_data_that_is_itself_a_copy_gives_no_ratio(self, sets):
        train, _, new = sets
        assert math.isnan(memorization(train, train, new).distance_ratio)


class TestDiversity:
    def test_by_hand(self):
        """Mean of 1, 1, 2 and of 2, 2, 4."""
        assert diversity_ratio([[0.0], [1.0], [2.0]], [[0.0], [2.0], [4.0]]) == 2

    def test_a_constant_generator(self):
        assert diversity_ratio(np.random.default_rng(0).normal(size=(50, 3)), np.ones((50, 3))) == 0

    def test_equal_distributions_of_more_samples_than_are_looked_at(self):
        rng = np.random.default_rng(0)
        assert diversity_ratio(rng.normal(size=(3000, 4)), rng.normal(size=(2000, 4))) == pytest.approx(1, abs=0.03)

    def test_per_class(self):
        rng = np.random.default_rng(0)
        y = np.repeat(["a", "b", "c"], [50, 50, 1])
        real, fake = rng.normal(size=(101, 3)), rng.normal(size=(101, 3))
        fake[y == "b"] *= 0.1
        found = diversity_per_class(real, y, fake, y)
        assert found["a"] == pytest.approx(1, abs=0.15)
        assert found["b"] == pytest.approx(0.1, abs=0.02)
        assert math.isnan(found["c"])
