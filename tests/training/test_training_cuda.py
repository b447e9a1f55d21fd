"""Recording and replaying on a GPU, where there is one."""

import numpy as np
import pytest
import torch
from sklearn.base import clone
from test_training_capture import CLASSIFIER, FITS, TABLE, fit
from torch import nn

from latentover import DeepClassifier, fit_many
from latentover.training import Engine
from latentover.training.engine import Recordings

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
TOLERANCE = 2e-3
"""Of weights after a short training: kernels that add up in another order are as far apart, relative to the largest."""


@pytest.fixture
def replays(monkeypatch):
    """How many recordings were made."""
    made, make = [], Recordings.make

    def counted(self, phase, kind, update):
        losses = make(self, phase, kind, update)
        made.append(len(self._replays))
        return losses

    monkeypatch.setattr(Recordings, "make", counted)
    return made


def assert_close(one, other):
    for name, tensor in one.networks_.state_dict().items():
        if tensor.is_floating_point():
            scale = max(tensor.abs().max().item(), 1e-3)
            torch.testing.assert_close(other.networks_.state_dict()[name], tensor, rtol=0, atol=TOLERANCE * scale)


@pytest.mark.parametrize("name", FITS)
def test_replays_train_as_eager_updates_do(name, replays):
    eager = fit(name, device="cuda", capture=False)
    replayed = fit(name, device="cuda", capture=True)
    assert max(replays) >= 1
    assert_close(eager, replayed)


@pytest.mark.parametrize("name", ["rae's reference code", "classifier, ldam-drw", "gamo on images"])
def test_an_interrupted_training_goes_on(name, monkeypatch, tmp_path):
    whole = fit(name, device="cuda", capture=True)
    run_step, path = Engine.run_step, str(tmp_path / "training")

    def dying(self, step):
        if step == 4 and self.checkpoint is not None:
            raise InterruptedError
        run_step(self, step)

    with monkeypatch.context() as patch:
        patch.setattr(Engine, "run_step", dying)
        with pytest.raises(InterruptedError):
            fit(name, device="cuda", capture=True, checkpoint=path, checkpoint_every=1)
    assert_close(whole, fit(name, device="cuda", capture=True, checkpoint=path))


def test_a_network_that_reads_on_the_host_goes_on_eagerly_and_says_so():
    class Reads(nn.Module):
        def __init__(self):
            super().__init__()
            self.dense = nn.Linear(5, 6)

        def forward(self, x):
            return self.dense(x) * (1 + 0 * x.detach().sum().item())

    estimator = DeepClassifier(**{**CLASSIFIER, "device": "cuda"}, backbone=Reads())
    with pytest.warns(UserWarning, match="cannot be recorded as a CUDA graph"):
        fitted = estimator.fit(*TABLE)
    assert len(fitted.history_) == 4


def test_several_at_once_end_as_alone():
    names = ["rae", "classifier", "gamo", "dgc"]
    estimators = [clone(FITS[name][0]).set_params(device="cuda") for name in names]
    together = fit_many([clone(estimator) for estimator in estimators], *TABLE, at_once=4)
    for estimator, fitted in zip(estimators, together, strict=True):
        alone = clone(estimator).fit(*TABLE)
        np.testing.assert_allclose(fitted.predict_proba(TABLE[0]), alone.predict_proba(TABLE[0]), atol=2e-2)
