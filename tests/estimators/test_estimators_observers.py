"""Somebody who looks at an estimator while it is trained changes nothing about the training."""

import numpy as np
import pytest
import torch
from imblearn.pipeline import make_pipeline

from latentover import DeepClassifier, DGCClassifier, GAMOClassifier, M2mClassifier, RAEClassifier, RAESampler
from latentover.estimators.watch import observing

SMALL = {"channels": 4, "hidden_units": 8, "batch_size": 8, "random_state": 0, "device": "cpu"}
DEEP = {**SMALL, "feature_dim": 4, "max_epochs": 3}
SEEN = [
    DeepClassifier(**DEEP, dropout=0.5, schedule="one_cycle"),
    DeepClassifier(**DEEP, dropout=0.5, early_stopping=True, n_iter_no_change=2),
    M2mClassifier(**DEEP),
    RAEClassifier(**SMALL, latent_dim=4, max_steps=6, dropout=0.5, average_mirrored=True, ema=0.9),
    GAMOClassifier(**SMALL, feature_dim=8, max_steps=4, decoder_steps=0),
]


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1, 2], [12, 9, 6])
    return np.clip(rng.random((27, 1, 8, 8)) + y[:, None, None, None] / 3, 0, 1).astype(np.float32), y


@pytest.mark.parametrize("estimator", SEEN, ids=lambda estimator: type(estimator).__name__)
def test_the_training_is_the_same_to_the_bit_and_the_predictions_are_those_of_the_moment(estimator, images):
    X, y = images
    plain = estimator.__class__(**estimator.get_params()).fit(X, y)
    seen = []

    def look(step, n_steps):
        modes = [module.training for module in estimator.networks_.modules()]
        seen.append((step, n_steps, estimator.predict_proba(X), modes))

    before = torch.random.get_rng_state()
    with observing(estimator, look):
        estimator.fit(X, y)
    assert torch.equal(torch.random.get_rng_state(), before)

    weights, others = estimator.networks_.state_dict(), plain.networks_.state_dict()
    assert weights.keys() == others.keys()
    assert all(torch.equal(weights[name], others[name]) for name in weights)
    history = [{k: v for k, v in row.items() if k != "seconds"} for row in estimator.history_]
    assert history == [{k: v for k, v in row.items() if k != "seconds"} for row in plain.history_]

    assert [step for step, *_ in seen] == [row["step"] for row in history]
    assert len({n_steps for _, n_steps, *_ in seen}) == 1
    assert not any(any(modes) for *_, modes in seen), "dropout and batch statistics are off"
    assert len({probabilities.tobytes() for *_, probabilities, _ in seen}) > 1, "it learns"
    if not getattr(estimator, "early_stopping", False):
        assert seen[-1][0] == seen[-1][1]
        np.testing.assert_array_equal(seen[-1][2], estimator.predict_proba(X))


def test_only_the_estimator_that_was_named_is_looked_at(images):
    X, y = images
    classifier = DeepClassifier(**DEEP, image_shape=(1, 8, 8))
    sampler = RAESampler(**SMALL, latent_dim=4, max_steps=20, image_shape=(1, 8, 8))
    steps = []
    with observing(classifier, lambda step, n_steps: steps.append(n_steps)):
        make_pipeline(sampler, classifier).fit(X.reshape(27, -1), y)
    assert set(steps) == {classifier.history_[-1]["step"]}
    DeepClassifier(**DEEP, image_shape=(1, 8, 8)).fit(X, y)
    assert len(steps) == len(classifier.history_)


def test_one_whose_predictions_need_more_than_networks_is_not_looked_at(images):
    estimator = DGCClassifier(**SMALL, max_steps=2, pretraining_steps=0)
    with observing(estimator, lambda *_: pytest.fail("cannot predict yet")):
        estimator.fit(*images)


def test_an_exception_of_the_observer_ends_the_training(images):
    estimator = DeepClassifier(**DEEP)

    def enough(step, n_steps):
        raise LookupError(step)

    with observing(estimator, enough), pytest.raises(LookupError):
        estimator.fit(*images)
    assert not hasattr(estimator, "history_")
