"""A fit that was interrupted ends at the weights of one that was not."""

import numpy as np
import pytest
import torch

from latentover import DeepClassifier, RAEClassifier
from latentover.mixing import Mixup
from latentover.training import Engine

RNG = np.random.default_rng(0)
X, Y = RNG.random((60, 1, 8, 8)).astype(np.float32), np.repeat([0, 1, 2], [40, 14, 6])
SMALL = {"channels": 4, "hidden_units": 16, "device": "cpu", "random_state": 0}
RAE = {"latent_dim": 4, "batch_size": 8, "max_steps": 12, "critic_steps": 2, **SMALL}
FITS = {
    "paper": RAEClassifier(**RAE),
    "authors' code": RAEClassifier(
        **RAE,
        augment="adaptive",
        batches="pool",
        ema=0.9,
        update_order="reference_code",
        encoder_passes="separate",
        critic_fakes="mixtures_and_reconstructions",
        decoder_classification=True,
        classifier_optimizer="shared",
    ),
    "early stopping": RAEClassifier(**RAE, early_stopping=True, n_iter_no_change=20, mixing=Mixup(), optimizer="sgd"),
    "classifier": DeepClassifier(**SMALL, feature_dim=4, batch_size=16, max_epochs=3, early_stopping=True),
}
EACH = pytest.mark.parametrize("name", FITS)


class Interrupted(Exception):  # noqa: N818
    pass


def fit(name, **settings):
    from sklearn.base import clone

    return clone(FITS[name]).set_params(**settings).fit(X, Y)


def interrupt(monkeypatch, step):
    """Let the training die just before that step."""
    run_step = Engine.run_step

    def dying(self, number):
        if number == step:
            raise Interrupted
        run_step(self, number)

    monkeypatch.setattr(Engine, "run_step", dying)


def without_seconds(history):
    return [{name: value for name, value in row.items() if name != "seconds"} for row in history]


@EACH
@pytest.mark.parametrize("step", [1, 5, 8])
def test_resumes_bit_equal(name, step, tmp_path, monkeypatch):
    whole = fit(name)
    path = tmp_path / "run.checkpoint"
    with monkeypatch.context() as patch:
        interrupt(patch, step)
        with pytest.raises(Interrupted):
            fit(name, checkpoint=str(path), checkpoint_every=1)
    assert path.exists()
    resumed = fit(name, checkpoint=str(path), checkpoint_every=3)
    assert not path.exists(), "removed when complete"
    assert [p.name for p in tmp_path.iterdir()] == []
    assert without_seconds(resumed.history_) == without_seconds(whole.history_)
    for key, tensor in whole.networks_.state_dict().items():
        assert torch.equal(tensor, resumed.networks_.state_dict()[key]), key
    np.testing.assert_array_equal(whole.predict_proba(X), resumed.predict_proba(X))


def interrupted(tmp_path, monkeypatch):
    path = tmp_path / "run.checkpoint"
    with monkeypatch.context() as patch:
        interrupt(patch, 3)
        with pytest.raises(Interrupted):
            fit("paper", checkpoint=str(path), checkpoint_every=2)
    return path


@pytest.mark.parametrize("change", [{"latent_dim": 5}, {"random_state": 1}, {"learning_rate": 1e-3}], ids=str)
def test_a_checkpoint_of_another_training_is_refused_and_kept(change, tmp_path, monkeypatch):
    path = interrupted(tmp_path, monkeypatch)
    with pytest.raises(ValueError, match=r"run.checkpoint to belong to this training, but .*; remove it to train from"):
        fit("paper", checkpoint=str(path), **change)
    assert path.exists()


def test_other_data_is_another_training(tmp_path, monkeypatch):
    path = interrupted(tmp_path, monkeypatch)
    with pytest.raises(ValueError, match="its data"):
        RAEClassifier(**RAE, checkpoint=str(path)).fit(X[::-1].copy(), Y)


def test_a_damaged_file_is_refused(tmp_path):
    path = tmp_path / "run.checkpoint"
    path.write_bytes(b"no checkpoint")
    with pytest.raises(ValueError, match="to be a checkpoint, but it cannot be read"):
        fit("paper", checkpoint=str(path))
    assert path.read_bytes() == b"no checkpoint"


def test_a_folder_that_is_not_there_is_made_or_refused_before_training(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises((NotADirectoryError, PermissionError)):
        fit("paper", checkpoint=str(blocked / "run.checkpoint"))
