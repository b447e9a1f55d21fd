"""All scores of generated samples at once: what is in them, and what is refused."""

import json

import numpy as np
import pytest

from latentover.metrics import (
    check_comparable,
    density_coverage,
    diversity_ratio,
    equal_samples,
    frechet_distance,
    generation_scores,
    kid,
    precision_recall,
)


def two_classes(n=120, seed=0, d=4):
    rng = np.random.default_rng(seed)
    y = np.repeat(["many", "few"], [n, n // 2])
    return rng.normal(size=(len(y), d)) + 6 * (y == "few")[:, None], y


@pytest.fixture(scope="module")
def scores():
    (real, y_real), (fake, y_fake) = two_classes(), two_classes(seed=1)
    return generation_scores(real, fake, y_real, y_fake, features="rows", train=two_classes(seed=2)[0], n_resamples=20)


class TestContent:
    def test_is_what_the_functions_say(self, scores):
        (real, y), (fake, _) = two_classes(), two_classes(seed=1)
        for block, rows in (("pooled", slice(None)), ("many", y == "many"), ("few", y == "few")):
            found = scores["pooled"] if block == "pooled" else scores["classes"][block]
            pair = real[rows], fake[rows]
            assert found["n"] == len(pair[0])
            assert found["fid"]["value"] == pytest.approx(frechet_distance(*pair))
            assert found["kid"]["value"] == pytest.approx(kid(*pair).value)
            assert (found["density"]["value"], found["coverage"]["value"]) == pytest.approx(density_coverage(*pair))
            assert (found["precision"], found["recall"]) == pytest.approx(precision_recall(*pair))
            assert found["diversity"] == pytest.approx(diversity_ratio(*pair))

    def test_says_what_it_depends_on(self, scores):
        assert (scores["features"], scores["n"], scores["k"], scores["dimension"]) == ("rows", 180, 5, 4)

    def test_intervals_hold_their_values(self, scores):
        for block in (scores["pooled"], *scores["classes"].values()):
            for name in ("fid", "kid", "density", "coverage"):
                assert block[name]["low"] <= block[name]["value"] <= block[name]["high"]

    def test_of_one_distribution_nothing_is_flagged(self, scores):
        assert not scores["memorization"]["flagged"]
        assert scores["notes"] == []

    def test_is_json_and_the_same_again(self, scores):
        (real, y_real), (fake, y_fake) = two_classes(), two_classes(seed=1)
        train = two_classes(seed=2)[0]
        again = generation_scores(real, fake, y_real, y_fake, features="rows", train=train, n_resamples=20)
        assert json.dumps(again, allow_nan=False) == json.dumps(scores, allow_nan=False)

    def test_without_labels_or_intervals(self):
        real, fake = two_classes()[0], two_classes(seed=1)[0]
        found = generation_scores(real, fake, features="rows", n_resamples=0)
        assert found["classes"] == {}
        assert found["memorization"] is None
        assert found["pooled"]["fid"]["low"] is None


class TestFlags:
    def test_a_constant_generator_and_copies(self):
        (real, y), (train, _) = two_classes(), two_classes(seed=2)
        fake = train.copy()
        fake[y == "few"] = fake[y == "few"][0]
        found = generation_scores(real, fake, y, y, features="rows", train=train, n_resamples=0)
        assert found["classes"]["few"]["collapsed"]
        assert not found["classes"]["many"]["collapsed"]
        assert found["memorization"]["copies"] == 180
        text = " ".join(found["notes"])
        assert "class few: collapsed" in text
        assert "180 of 180 generated samples equal a training sample" in text

    def test_small_classes_and_many_dimensions_are_said(self):
        (real, y), (fake, _) = two_classes(n=60, d=40), two_classes(n=60, d=40, seed=1)
        found = generation_scores(real, fake, y, y, features="rows", n_resamples=0)
        assert found["classes"]["few"]["fid"] is None
        text = " ".join(found["notes"])
        assert "no Fréchet distance of classes of fewer than 50 samples: few (30)." in text
        assert "class many: The Fréchet distance of 60 vectors of dimension 40 is mostly bias" in text


class TestEqualNumbers:
    def test_are_enforced(self):
        (real, y), (fake, made) = two_classes(), two_classes(seed=1)
        with pytest.raises(ValueError, match="as many real as generated samples, but got 180 and 179"):
            generation_scores(real, fake[1:], y, made[1:], features="rows")
        with pytest.raises(ValueError, match="samples of class few, but got 60 and 59"):
            generation_scores(real, fake, y, np.where(np.arange(180) == 179, "many", made), features="rows")

    def test_labels_of_one_kind_alone(self):
        (real, y), (fake, _) = two_classes(), two_classes(seed=1)
        with pytest.raises(ValueError, match="give both or none"):
            generation_scores(real, fake, y, features="rows")

    def test_drawing(self):
        (real, y), (fake, made) = two_classes(), two_classes(n=80, seed=1)
        X, labels, X_made, labels_made = equal_samples(real, y, fake, made)
        assert np.unique(labels, return_counts=True)[1].tolist() == [40, 80]
        np.testing.assert_array_equal(labels, labels_made)
        assert {tuple(row) for row in X} <= {tuple(row) for row in real}
        assert len({tuple(row) for row in X_made}) == 120  # without replacement
        assert len(equal_samples(real, y, fake, made, n=7)[0]) == 14

    def test_drawing_errors(self):
        real, y = two_classes()
        with pytest.raises(ValueError, match="at least 61 real samples of class few, but got 60"):
            equal_samples(real, y, real, y, n=61)
        with pytest.raises(ValueError, match=r"to share classes, but got \['few', 'many'\] and \['other'\]"):
            equal_samples(real, y, real[:3], ["other"] * 3)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"features": "pixels"}, "the same features, but got rows, pixels"),
            ({"n": 100}, "the same n, but got 180, 100"),
            ({"k": 3}, "the same k, but got 5, 3"),
            ({"classes": {}}, "as many samples of each class"),
        ],
    )
    def test_results_that_cannot_be_compared(self, scores, change, message):
        check_comparable([scores, dict(scores)])
        with pytest.raises(ValueError, match=message):
            check_comparable([scores, {**scores, **change}])
