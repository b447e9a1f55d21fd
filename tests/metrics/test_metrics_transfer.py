"""Coarse-to-fine transfer: a probe that finds fine classes, scored against a second writing and on digits."""

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from latentover import DeepClassifier
from latentover.metrics.transfer import coarse_to_fine
from latentover.mixing import AMMixup


@pytest.fixture
def cloud():
    """Six fine classes of different sizes, two, three and one to a coarse class."""
    rng = np.random.default_rng(0)
    fine = np.repeat(np.arange(6), [60, 20, 40, 30, 10, 40])
    coarse = np.array(["a", "a", "b", "b", "b", "c"])[fine]
    features = rng.normal(size=(6, 3))[fine] + rng.normal(scale=0.8, size=(200, 3))
    order = rng.permutation(200)
    return features[order], fine[order], coarse[order]


def test_equals_a_second_writing(cloud):
    features, fine, coarse = cloud
    found = coarse_to_fine(features[:150], fine[:150], features[150:], fine[150:], coarse[:150])
    scaler = StandardScaler().fit(features[:150])
    probe = LogisticRegression(class_weight="balanced", max_iter=1000)
    probabilities = probe.fit(scaler.transform(features[:150]), fine[:150]).predict_proba(
        scaler.transform(features[150:])
    )
    of = dict(zip(fine.tolist(), coarse.tolist(), strict=True))
    right = {name: {} for name in ("fine", "within", "coarse")}
    for p, label in zip(probabilities, fine[150:].tolist(), strict=True):
        best = max(range(6), key=lambda c: p[c])
        near = max((c for c in range(6) if of[c] == of[label]), key=lambda c: p[c])
        right["fine"].setdefault(label, []).append(best == label)
        right["within"].setdefault(label, []).append(near == label)
        right["coarse"].setdefault(of[label], []).append(of[best] == of[label])
    expected = [np.mean([np.mean(hits) for hits in groups.values()]) for groups in right.values()]
    np.testing.assert_allclose(found, expected)
    assert found.within_coarse > found.fine


def test_features_that_hold_the_coarse_class_alone_are_at_chance():
    rng = np.random.default_rng(0)
    fine = np.arange(800) % 8
    features = np.eye(4)[fine // 2] + rng.normal(scale=0.01, size=(800, 4))
    found = coarse_to_fine(features[:400], fine[:400], features[400:], fine[400:], fine[:400] // 2)
    assert found.coarse == 1
    assert found.within_coarse == pytest.approx(0.5, abs=0.1)
    assert found.fine == pytest.approx(found.within_coarse)


@pytest.mark.parametrize("mixing", [None, AMMixup()])
def test_a_classifier_of_pairs_of_digits_knows_something_of_the_digits(mixing):
    X, fine = load_digits(return_X_y=True)
    coarse = fine // 2
    model = DeepClassifier(mixing=mixing, hidden_units=64, learning_rate=2e-3, max_epochs=8, random_state=0)
    model.fit(X[:900], coarse[:900])
    features, test_features = model.encode(X[:900]), model.encode(X[900:])
    found = coarse_to_fine(features, fine[:900], test_features, fine[900:], coarse[:900])
    assert found.coarse > 0.8
    assert found.within_coarse > 0.75  # 0.5 is chance


def test_refuses_what_does_not_fit():
    features, fine = np.random.default_rng(0).normal(size=(8, 2)), np.arange(8) % 4
    with pytest.raises(ValueError, match="a fine class to lie in one coarse class, but 0 lies in"):
        coarse_to_fine(features, fine, features, fine, np.arange(8) // 4)
    with pytest.raises(ValueError, match=r"Expected \*test_fine\* to hold classes of \*fine\*, but got 7"):
        coarse_to_fine(features, fine, features[:1], [7], fine // 2)
    with pytest.raises(ValueError, match="Expected at least two fine classes"):
        coarse_to_fine(features, np.zeros(8), features, np.zeros(8), np.zeros(8))
    with pytest.raises(ValueError, match="Expected one label a feature vector, but got 8 vectors with 7 fine"):
        coarse_to_fine(features, fine[:7], features, fine, fine // 2)
