"""A fit that was interrupted ends at the weights of one that was not."""

import errno
import functools
import re
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from latentover import (
    BAGANSampler,
    DeepClassifier,
    DeepSMOTE,
    DGCClassifier,
    FlowSampler,
    GAMOClassifier,
    M2mClassifier,
    RAEClassifier,
)
from latentover.mixing import Mixup
from latentover.training import Engine, checkpoints
from latentover.training.checkpoints import keeping

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
STAGED = {**SMALL, "feature_dim": 4, "batch_size": 16, "max_epochs": 3}
METHODS = {
    "M2m with a guide of its own": M2mClassifier(**STAGED, guide="own", early_stopping=True, final_weights="last"),
    "moving averages": DeepClassifier(**STAGED, ema=0.9),
    "a stage on what a sampler makes": DeepClassifier(
        **STAGED, stage_sampler=DeepSMOTE(latent_dim=4, max_epochs=1, channels=4, hidden_units=8, k_neighbors=2)
    ),
    "a head on what a sampler makes": DeepClassifier(
        **STAGED, head_sampler=FlowSampler(max_steps=3, hidden_units=8, n_steps=2), head_epochs=2
    ),
    "DeepSMOTE": DeepSMOTE(**SMALL, latent_dim=4, max_epochs=2, k_neighbors=2),
    "flow": FlowSampler(**SMALL, max_steps=6, batch_size=8, n_steps=2),
    "BAGAN": BAGANSampler(**SMALL, latent_dim=4, batch_size=8, max_epochs=1, autoencoder_epochs=1),
    "GAMO": GAMOClassifier(**SMALL, feature_dim=4, noise_dim=4, batch_size=8, max_steps=6, decoder_steps=3),
    "DGC": DGCClassifier(**SMALL, latent_dim=4, feature_dim=8, batch_size=8, max_steps=4, pretraining_steps=2),
}
EACH = pytest.mark.parametrize("name", FITS)


class Interrupted(Exception):  # noqa: N818
    pass


def fit(name, **settings):
    from sklearn.base import clone

    return clone((FITS | METHODS)[name]).set_params(**settings).fit(X, Y)


@functools.cache
def without_interruption(name):
    """What all tests of a training compare with, and none changes."""
    return fit(name)


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
    whole = without_interruption(name)
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


# ---- Trainings that are complete -------------------------------------------------------------------------------------


def assert_same(one, other):
    assert without_seconds(one.history_) == without_seconds(other.history_)
    tensors, others = (
        {**each.networks_.state_dict(), **each.tensors_, **getattr(each, "_best_weights", {})} for each in (one, other)
    )
    assert tensors.keys() == others.keys()
    for key, tensor in tensors.items():
        assert torch.equal(tensor, others[key]), key


@pytest.mark.parametrize("name", FITS | METHODS)
def test_a_complete_one_is_kept_where_that_is_asked_for_and_nothing_is_trained_again(name, tmp_path, monkeypatch):
    path = tmp_path / "run.checkpoint"
    whole = without_interruption(name)
    with keeping():
        assert_same(fit(name, checkpoint=str(path)), whole)
    assert path.is_file()
    with monkeypatch.context() as patch:
        patch.setattr(Engine, "run_step", lambda *_: pytest.fail("is trained already"))
        with keeping():
            assert_same(fit(name, checkpoint=str(path)), whole)
        assert path.is_file()
        again = fit(name, checkpoint=str(path))
    assert_same(again, whole)
    assert list(tmp_path.iterdir()) == [], "removed by a fit of which nobody asks to keep it"


def test_a_guide_is_not_trained_again(tmp_path, monkeypatch):
    """Nor before the first checkpoint of the training that it guides."""
    name, path, run_step, steps = "M2m with a guide of its own", tmp_path / "run.checkpoint", Engine.run_step, []

    def dying(self, number):
        steps.append((self.description, number))
        if steps[-1] == ("M2mClassifier", 2) and steps.count(steps[-1]) == 1:
            raise Interrupted
        run_step(self, number)

    whole = without_interruption(name)
    monkeypatch.setattr(Engine, "run_step", dying)
    with pytest.raises(Interrupted):
        fit(name, checkpoint=str(path))
    assert [each.name for each in tmp_path.iterdir()] == ["run.checkpoint.guide"]
    assert_same(fit(name, checkpoint=str(path)), whole)
    assert steps.count(("M2mClassifier, guide", 0)) == 1
    assert list(tmp_path.iterdir()) == []


# ---- Files that are damaged, or cannot be written --------------------------------------------------------------------


def test_a_bit_that_has_flipped_is_found(tmp_path, monkeypatch):
    path = interrupted(tmp_path, monkeypatch)
    content = path.read_bytes()
    bits = np.random.default_rng(0).choice(8 * len(content), 200, replace=False)
    for bit in (0, 8 * len(content) - 1, *bits.tolist()):
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=f"^Expected {re.escape(str(path))} to be a checkpoint, but it cannot be"):
            fit("paper", checkpoint=str(path))
    path.write_bytes(content)
    assert_same(fit("paper", checkpoint=str(path)), without_interruption("paper"))


@pytest.mark.parametrize("n_bytes", [0, 1, 32, 33, 1000, -1])
def test_a_part_of_a_file_is_refused_and_kept(n_bytes, tmp_path, monkeypatch):
    path = interrupted(tmp_path, monkeypatch)
    part = path.read_bytes()[:n_bytes]
    path.write_bytes(part)
    with pytest.raises(ValueError, match=r"run.checkpoint to be a checkpoint, but it cannot be read .*; remove it to"):
        fit("paper", checkpoint=str(path))
    assert path.read_bytes() == part


def test_another_file_is_refused_and_kept(tmp_path):
    path = tmp_path / "run.checkpoint"
    torch.save({"format": 1, "fingerprint": "", "loop": {}, "parts": {}}, path)
    content = path.read_bytes()
    with pytest.raises(ValueError, match="to be a checkpoint, but it cannot be read"):
        fit("paper", checkpoint=str(path))
    assert path.read_bytes() == content


def test_a_folder_in_its_place_is_refused_before_training(tmp_path, monkeypatch):
    path = tmp_path / "run.checkpoint"
    path.mkdir()
    monkeypatch.setattr(Engine, "run_step", lambda *_: pytest.fail("trained"))
    with pytest.raises(IsADirectoryError, match=r"run.checkpoint to be a file or a free name, but it is a folder"):
        fit("paper", checkpoint=str(path))


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES, errno.EIO])
def test_a_write_that_fails_warns_once_and_ends_no_training(code, tmp_path, monkeypatch):
    def failing(path, content):
        raise OSError(code, "cannot be written")

    whole, path = without_interruption("paper"), tmp_path / "run.checkpoint"
    monkeypatch.setattr(checkpoints, "write_whole", failing)
    with warnings.catch_warnings(record=True) as caught, keeping():
        warnings.simplefilter("always")
        trained = fit("paper", checkpoint=str(path), checkpoint_every=2)
    texts = [str(each.message) for each in caught if "checkpoint" in str(each.message)]
    assert len(texts) == 1
    assert re.fullmatch(
        f"{re.escape(str(path))} could not be written, and the training goes on .*: .*written", texts[0]
    )
    assert_same(trained, whole)


def test_a_write_that_fails_leaves_the_one_before(tmp_path, monkeypatch):
    write, writes = checkpoints.write_whole, []

    def failing(path, content):
        writes.append(path)
        if len(writes) > 1:
            raise OSError(errno.ENOSPC, "no space left")
        write(path, content)

    path = tmp_path / "run.checkpoint"
    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "write_whole", failing)
        interrupt(patch, 8)
        with pytest.warns(UserWarning, match="no space left"), pytest.raises(Interrupted):
            fit("paper", checkpoint=str(path), checkpoint_every=2)
    assert len(writes) == 4
    assert_same(fit("paper", checkpoint=str(path)), without_interruption("paper"))


def test_a_file_that_cannot_be_removed_ends_no_training(tmp_path, monkeypatch):
    def failing(self, missing_ok=False):
        raise PermissionError(errno.EACCES, "not yours")

    whole, path = without_interruption("paper"), tmp_path / "run.checkpoint"
    monkeypatch.setattr(Path, "unlink", failing)
    with pytest.warns(UserWarning, match=r"run.checkpoint could not be removed: .*not yours"):
        trained = fit("paper", checkpoint=str(path))
    assert_same(trained, whole)


def test_a_folder_that_is_not_there_is_made_or_refused_before_training(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises((NotADirectoryError, PermissionError)):
        fit("paper", checkpoint=str(blocked / "run.checkpoint"))
