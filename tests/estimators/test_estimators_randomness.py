"""One random_state reproduces everything, and nobody else's generators move."""

import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.base import clone

import latentover
from latentover import DeepClassifier, RAEClassifier, RAESampler

TINY = {
    "latent_dim": 4,
    "channels": 4,
    "hidden_units": 8,
    "batch_size": 8,
    "max_steps": 3,
    "critic_steps": 1,
    "device": "cpu",
    "precision": "float32",
}
ESTIMATORS = [
    RAEClassifier(**TINY),
    RAESampler(**TINY),
    DeepClassifier(max_epochs=2, feature_dim=4, channels=4, hidden_units=8, device="cpu", precision="float32"),
    DeepClassifier(max_epochs=2, feature_dim=4, channels=4, hidden_units=8, device="cpu", batches="class_balanced"),
]
EACH = pytest.mark.parametrize("estimator", ESTIMATORS, ids=repr)
SHAPES = pytest.mark.parametrize("shape", [(3,), (1, 8, 8)], ids=["table", "images"])


def make_data(shape, seed=0):
    return np.random.default_rng(seed).random((30, *shape)), np.repeat([0, 1, 2], [16, 7, 7])


def bits(estimator, X, y):
    """Return everything that fitting and using an estimator gives, as bytes."""
    if hasattr(estimator, "fit_resample"):
        arrays = [*estimator.fit_resample(X, y), estimator.mix_weights_, estimator.parents_]
    else:
        arrays = [estimator.fit(X, y).predict_proba(X)]
    weights = [tensor.numpy() for tensor in estimator.networks_.state_dict().values()]
    losses = [np.array([value for name, value in row.items() if name != "seconds"]) for row in estimator.history_]
    return b"".join(np.ascontiguousarray(array).tobytes() for array in [*arrays, *weights, *losses])


@EACH
@SHAPES
class TestOneSeed:
    def test_same_bits(self, estimator, shape):
        X, y = make_data(shape)
        first = bits(clone(estimator).set_params(random_state=4), X, y)
        np.random.seed(99)  # noqa: NPY002 - what others do to the global generators has no influence
        torch.rand(5)
        fitted = clone(estimator).set_params(random_state=4)
        assert bits(fitted, X, y) == first
        assert bits(fitted, X, y) == first, "a second fit of the same object"
        assert bits(fitted.set_params(random_state=5), X, y) != first

    def test_a_generator_is_used_up(self, estimator, shape):
        X, y = make_data(shape)
        state = np.random.RandomState(4)
        first, second = (bits(clone(estimator).set_params(random_state=state), X, y) for _ in range(2))
        assert first != second
        again = clone(estimator).set_params(random_state=np.random.RandomState(4))
        assert bits(again, X, y) == first

    def test_none_is_another_one_each_time(self, estimator, shape):
        X, y = make_data(shape)
        assert bits(clone(estimator), X, y) != bits(clone(estimator), X, y)

    def test_global_generators_stay(self, estimator, shape):
        X, y = make_data(shape)
        ours, theirs = torch.get_rng_state(), np.random.get_state()  # noqa: NPY002
        fitted = clone(estimator).set_params(random_state=0)
        bits(fitted, X, y)
        if hasattr(fitted, "sample"):
            fitted.sample(3, 1, random_state=0)
            fitted.reconstruct(X)
        assert torch.equal(torch.get_rng_state(), ours)
        np.testing.assert_array_equal(np.random.get_state()[1], theirs[1])  # noqa: NPY002
        assert np.random.get_state()[2] == theirs[2]  # noqa: NPY002


@SHAPES
class TestSamples:
    def test_same_seed_same_samples(self, shape):
        sampler = RAESampler(**TINY, random_state=0).fit(*make_data(shape))
        first, again, other = (sampler.sample(6, 1, random_state=seed) for seed in (0, 0, 1))
        assert first.tobytes() == again.tobytes()
        assert not np.array_equal(first, other)
        assert not np.array_equal(sampler.sample(6, 1), sampler.sample(6, 1))

    def test_classes_of_one_size_do_not_share_draws(self, shape):
        X, y = make_data(shape)
        sampler = RAESampler(**TINY, random_state=0)
        _, y_new = sampler.fit_resample(X, y)
        first, second = (np.flatnonzero(sampler.synthetic_mask_ & (y_new == c)) for c in (1, 2))
        assert len(first) == len(second) == 9
        assert not np.array_equal(sampler.parents_[first] - 16, sampler.parents_[second] - 23)
        assert not np.allclose(sampler.mix_weights_[first], sampler.mix_weights_[second])
        assert not np.allclose(sampler.sample(9, 1, random_state=0), sampler.sample(9, 2, random_state=0))

    def test_both_faces_train_the_same_model(self, shape):
        X, y = make_data(shape)
        faces = [face(**TINY, random_state=0).fit(X, y) for face in (RAEClassifier, RAESampler)]
        assert faces[0].encode(X).tobytes() == faces[1].encode(X).tobytes()
        assert faces[0].sample(4, 1, random_state=0).tobytes() == faces[1].sample(4, 1, random_state=0).tobytes()


SCRIPT = """
import hashlib, sys
sys.path.insert(0, {folder!r})
from test_estimators_randomness import ESTIMATORS, bits, make_data
for estimator in ESTIMATORS:
    for shape in ((3,), (1, 8, 8)):
        print(hashlib.sha256(bits(estimator.set_params(random_state=7), *make_data(shape))).hexdigest())
"""


def test_fresh_processes_give_the_same_bits():
    package = str(Path(latentover.__file__).parents[1])
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "PYTHONPATH": package}
    command = [sys.executable, "-c", SCRIPT.format(folder=str(Path(__file__).parent))]
    runs = [
        subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout for _ in range(2)
    ]
    assert runs[0] == runs[1]
    assert len(set(runs[0].split())) == 8


class Terminal(io.StringIO):
    def isatty(self):
        return True


@EACH
def test_silent_unless_asked(estimator, capfd, monkeypatch):
    X, y = make_data((3,))
    clone(estimator).fit(X, y)
    captured = capfd.readouterr()
    assert captured.out == captured.err == ""
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    clone(estimator).fit(X, y)
    assert terminal.getvalue() == ""
    clone(estimator).set_params(verbose=True).fit(X, y)
    assert type(estimator).__name__ in terminal.getvalue()
