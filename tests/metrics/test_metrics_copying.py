"""Copies, neighbours and diversity: that a cheat is found and an honest generator is not accused."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from latentover.metrics import (
    diversity_per_class,
    diversity_ratio,
    exact_copies,
    memorization,
    memorization_per_class,
)


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


class TestMemorizationPerClass:
    @given(st.integers(0, 2**31), st.sampled_from(["float32", "float64"]))
    def test_naive(self, seed, dtype):
        rng = np.random.default_rng(seed)
        train, fake = rng.normal(size=(30, 3)).astype(dtype), rng.normal(size=(12, 3)).astype(dtype)
        y, made = rng.permutation(np.repeat([0, 1, 2], [20, 6, 4])), rng.permutation(np.repeat([1, 2], 6))
        train[1], fake[0] = train[0], train[5]
        found = memorization_per_class(train, y, fake, made)
        assert list(found) == [1, 2]
        for label in (1, 2):

            def far(a, b):
                return np.linalg.norm(a[:, None].astype(float) - b, axis=2)

            to_training = far(fake[made == label], train).min(axis=1)
            usual = np.sort(far(train[y == label], train), axis=1)[:, 1]
            ratio = np.median(to_training) / np.median(usual) if np.median(usual) else float("nan")
            np.testing.assert_allclose(found[label].distance_ratio, ratio, rtol=1e-5)
            assert found[label].copies == np.mean(to_training == 0)
            assert found[label].twins == np.mean(usual == 0)
            assert found[label].nearer == np.mean(to_training < np.quantile(usual, 0.05))
            assert (found[label].n, found[label].n_train) == (6, (y == label).sum())

    def test_new_samples_copies_and_mixtures(self):
        rng = np.random.default_rng(0)
        train, new = rng.normal(size=(900, 6)), rng.normal(size=(300, 6))
        y = np.repeat(["new", "copied", "mixed"], 300)
        own = train[600:]
        nearest = np.square(own[:, None] - own).sum(axis=2).argsort(axis=1)[:, 1]
        mixed = own + rng.random((300, 1)) * (own[nearest] - own)
        found = memorization_per_class(train, y, np.concatenate([new, train[300:600], mixed]), y)
        assert found["new"].distance_ratio == pytest.approx(1, abs=0.1)
        assert found["new"].nearer == pytest.approx(0.05, abs=0.04)
        assert not found["new"].flagged
        assert (found["copied"].copies, found["copied"].distance_ratio, found["copied"].flagged) == (1, 0, True)
        assert found["mixed"].copies == 0
        assert found["mixed"].nearer > 0.5

    def test_copies_that_were_rounded_on_their_way_are_copies(self):
        train = np.random.default_rng(0).normal(size=(40, 5))
        fake = train[:8].astype(np.float32).astype(np.float64)
        assert memorization_per_class(train, np.zeros(40), fake, np.zeros(8))[0.0].copies == 1

    def test_where_rows_repeat_by_nature_repeated_samples_are_no_copies(self):
        rng = np.random.default_rng(0)
        train, fake = rng.integers(0, 3, (400, 2)), rng.integers(0, 3, (100, 2))
        found = memorization_per_class(train, np.zeros(400), fake, np.zeros(100))[0.0]
        assert found.copies == found.twins == 1
        assert not found.flagged
        assert math.isnan(found.distance_ratio)

    def test_of_data_that_does_not_do(self):
        X = np.random.default_rng(0).normal(size=(9, 2))
        with pytest.raises(ValueError, match="no training sample of class 3"):
            memorization_per_class(X, np.zeros(9), X, np.full(9, 3))
        with pytest.raises(ValueError, match="one label a sample, but got 8 for 9"):
            memorization_per_class(X, np.zeros(8), X, np.zeros(9))


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
        assert diversity_per_class(real, y.astype(object), fake, y.astype(object)) == pytest.approx(found, nan_ok=True)
