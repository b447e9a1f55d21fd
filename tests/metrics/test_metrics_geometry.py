"""Alignment, uniformity and separability against hand oracles and naive writings."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import latentover.metrics.geometry as geometry
from latentover.metrics import (
    alignment,
    class_alignment,
    class_uniformity,
    geometry_scores,
    linear_separability,
    neighborhood_uniformity,
    uniformity,
)


def at_angles(*angles):
    return np.array([[math.cos(angle), math.sin(angle)] for angle in angles])


CLASSES = at_angles(0, 0.2, math.pi / 2, 1.8, math.pi, 3.0), [0, 0, 1, 1, 2, 2]


class TestOracles:
    def test_alignment_of_a_pair(self):
        assert alignment(at_angles(0), at_angles(0.1)) == pytest.approx(0.00999167, abs=1e-8)

    def test_uniformity_of_three_points(self):
        assert uniformity(at_angles(0, math.pi / 2, math.pi)) == pytest.approx(-4.396349, abs=1e-6)

    def test_three_classes_of_two_vectors(self):
        features, y = CLASSES
        assert class_alignment(features, y) == pytest.approx(0.0949739, abs=1e-7)
        assert class_uniformity(features, y) == pytest.approx(1.564815, abs=1e-6)
        assert neighborhood_uniformity(features, y, k=1) == pytest.approx(1.326322, abs=1e-6)


@st.composite
def labelled(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    n_classes = draw(st.integers(2, 5))
    y = np.concatenate([np.arange(n_classes), rng.integers(0, n_classes, draw(st.integers(0, 20)))])
    return rng.normal(size=(len(y), 3)), y


class TestSecondWriting:
    @given(labelled())
    def test_all(self, case):
        features, y = case
        u = [x / math.dist(x, [0, 0, 0]) for x in features]
        groups = {c: [v for v, label in zip(u, y, strict=True) if label == c] for c in set(y.tolist())}
        within = [sum(math.dist(a, b) for a in own for b in own) / len(own) ** 2 for own in groups.values()]
        assert class_alignment(features, y) == pytest.approx(sum(within) / len(within), abs=1e-7)

        means = {c: np.mean(own, axis=0) / np.linalg.norm(np.mean(own, axis=0)) for c, own in groups.items()}
        between = {c: sorted(math.dist(means[c], means[d]) for d in means if d != c) for c in means}
        assert class_uniformity(features, y) == pytest.approx(np.mean(list(between.values())))
        k = len(means) - 1
        for neighbours in (1, k):
            expected = np.mean([row[:neighbours] for row in between.values()])
            assert neighborhood_uniformity(features, y, k=neighbours) == pytest.approx(expected)

        pairs = [math.exp(-3 * math.dist(a, b) ** 2) for i, a in enumerate(u) for b in u[:i]]
        assert uniformity(features, t=3) == pytest.approx(math.log(sum(pairs) / len(pairs)), abs=1e-9)

    @given(labelled(), st.floats(0.01, 100))
    def test_length_and_rotation_of_features_do_not_matter(self, case, factor):
        features, y = case
        turn = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
        assert geometry_scores(factor * features @ turn, y) == pytest.approx(geometry_scores(features, y), abs=1e-6)


class TestEdges:
    def test_chunks_change_nothing(self, monkeypatch):
        features, y = np.random.default_rng(0).normal(size=(60, 3)), np.arange(60) % 3
        expected = geometry_scores(features, y)
        monkeypatch.setattr(geometry, "_CHUNK", 50)
        assert geometry_scores(features, y) == pytest.approx(expected)

    def test_a_class_of_one_sample_contributes_zero(self):
        assert class_alignment(at_angles(0, math.pi, 1), ["a", "a", "b"]) == pytest.approx(0.5)

    def test_a_vector_of_zeros_is_no_direction(self):
        assert alignment([[0.0, 0.0]], [[3.0, 0.0]]) == 1
        assert np.isfinite(uniformity([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0]]))

    def test_far_points_do_not_underflow(self):
        assert uniformity(at_angles(0, math.pi), t=1000) == pytest.approx(-4000)

    def test_one_class(self):
        scores = geometry_scores(at_angles(0, 1), [7, 7])
        assert scores["class_uniformity"] is None
        assert scores["uniformity"] is not None

    def test_default_k_is_a_tenth_of_the_classes(self):
        features, y = np.random.default_rng(0).normal(size=(30, 4)), np.arange(30)
        assert neighborhood_uniformity(features, y) == neighborhood_uniformity(features, y, k=3)

    @pytest.mark.parametrize(
        ("call", "message"),
        [
            (lambda: alignment(np.ones((2, 3)), np.ones((2, 2))), r"of one shape, but got \(2, 3\) and \(2, 2\)"),
            (lambda: class_alignment(np.ones((2, 3)), [0]), "one label a feature vector, but got 2 vectors and 1"),
            (lambda: class_uniformity(np.ones((2, 3)), [0, 0]), "at least two classes, but got one"),
            (lambda: neighborhood_uniformity(np.ones((2, 3)), [0, 1], k=2), r"\*k\* to be in 1\.\.1"),
            (lambda: linear_separability(np.ones((2, 3)), [0, 0]), r"two classes to part, but got \[0\] alone"),
        ],
    )
    def test_errors(self, call, message):
        with pytest.raises(ValueError, match=message):
            call()


class TestSeparability:
    def test_separable_ring_and_noise(self):
        """A far class is parted, one that surrounds another is not, and labels without meaning are chance."""
        rng = np.random.default_rng(0)
        angles = rng.uniform(0, 2 * math.pi, 200)
        ring = 5 * np.column_stack([np.cos(angles), np.sin(angles)]) + 0.1 * rng.normal(size=(200, 2))
        features = np.concatenate([ring, 0.1 * rng.normal(size=(200, 2)), rng.normal([50, 0], size=(200, 2))])
        found = linear_separability(features, np.repeat(["ring", "centre", "far"], 200))
        assert list(found) == ["centre", "far", "ring"]
        assert found["far"] == 1
        assert found["centre"] < 0.85
        chance = linear_separability(rng.normal(size=(600, 2)), rng.integers(0, 3, 600))
        assert all(value == pytest.approx(0.5, abs=0.1) for value in chance.values())

    def test_rare_classes_count_as_much(self):
        """Always saying "rest" is right for 99 of 100 samples, and scores 0.5."""
        rng = np.random.default_rng(1)
        y = np.repeat([0, 1], [990, 10])
        assert linear_separability(rng.normal(size=(1000, 2)), y)[1] < 0.75
        assert linear_separability(rng.normal(size=(1000, 2)) + 8 * y[:, None], y)[1] > 0.98

    def test_a_single_sample_cannot_be_held_out(self):
        found = linear_separability(np.random.default_rng(0).normal(size=(21, 2)), [0] * 10 + [1] * 10 + [2])
        assert math.isnan(found[2])
        assert 0 <= found[0] <= 1
