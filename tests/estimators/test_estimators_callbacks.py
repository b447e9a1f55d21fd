"""Callbacks look at an estimator while it is trained, may end that, and change nothing about it."""

import copy
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from imblearn.pipeline import make_pipeline
from sklearn.base import clone
from sklearn.model_selection import cross_validate

import latentover
from latentover import (
    BAGANSampler,
    DeepClassifier,
    DeepSMOTE,
    DGCClassifier,
    GAMOClassifier,
    M2mClassifier,
    RAEClassifier,
    RAESampler,
)
from latentover.training import Callback

SMALL = {"channels": 4, "hidden_units": 8, "batch_size": 8, "random_state": 0, "device": "cpu"}
DEEP = {**SMALL, "feature_dim": 4, "max_epochs": 3}
PREDICTING = [
    DeepClassifier(**DEEP, dropout=0.5, schedule="one_cycle"),
    DeepClassifier(**DEEP, dropout=0.5, early_stopping=True, n_iter_no_change=2),
    M2mClassifier(**DEEP),
    RAEClassifier(**SMALL, latent_dim=4, max_steps=6, dropout=0.5, average_mirrored=True, ema=0.9),
    GAMOClassifier(**SMALL, feature_dim=8, max_steps=4, decoder_steps=0),
]
OTHERS = [
    RAESampler(**SMALL, latent_dim=4, max_steps=4),
    DGCClassifier(**SMALL, max_steps=2, pretraining_steps=0),
    DeepSMOTE(**SMALL, latent_dim=4, max_epochs=2),
    BAGANSampler(**SMALL, latent_dim=4, max_epochs=1, autoencoder_epochs=1),
]


def name_of(estimator):
    return type(estimator).__name__


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1, 2], [12, 9, 6])
    return np.clip(rng.random((27, 1, 8, 8)) + y[:, None, None, None] / 3, 0, 1).astype(np.float32), y


@pytest.fixture(scope="module")
def table(images):
    return images[0].reshape(27, -1), images[1]


class Seen(Callback):
    """Notes all that it is told; `answer` is what `on_report` returns."""

    def __init__(self, answer=None):
        self.answer, self.calls, self.rows = answer, [], []
        self.lock = threading.Lock()  # which cannot be copied

    def on_fit_begin(self, estimator, n_steps):
        self.calls.append(("begin", estimator, n_steps))

    def on_report(self, estimator, row):
        self.calls.append(("report", estimator, row["step"]))
        self.rows.append(row)
        return self.answer

    def on_fit_end(self, estimator):
        self.calls.append(("end", estimator, hasattr(estimator, "history_")))

    def on_fit_error(self, estimator, error):
        self.calls.append(("error", estimator, error))


class Predicting:
    """A callback that derives from nothing and has one hook; it draws from the global generator too."""

    def __init__(self, X):
        self.X, self.seen = X, []

    def on_report(self, estimator, row):
        modes = [module.training for module in estimator.networks_.modules()]
        self.seen.append((row["step"], estimator.predict_proba(self.X), modes))
        row.clear()
        torch.rand(3)


def assert_equally_trained(one, other):
    weights, others = one.networks_.state_dict(), other.networks_.state_dict()
    assert weights.keys() == others.keys()
    assert all(torch.equal(weights[name], others[name]) for name in weights)
    first, second = ([{k: v for k, v in row.items() if k != "seconds"} for row in e.history_] for e in (one, other))
    assert first == second


@pytest.mark.parametrize("estimator", PREDICTING, ids=name_of)
def test_the_training_is_the_same_to_the_bit_and_the_predictions_are_those_of_the_moment(estimator, images):
    X, y = images
    plain, look = clone(estimator).fit(X, y), Predicting(X)
    before = torch.random.get_rng_state()
    estimator = clone(estimator).set_params(callbacks=look).fit(X, y)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert_equally_trained(estimator, plain)
    assert [step for step, *_ in look.seen] == [row["step"] for row in estimator.history_]
    assert not any(any(modes) for *_, modes in look.seen), "dropout and batch statistics are off"
    assert len({probabilities.tobytes() for _, probabilities, _ in look.seen}) > 1, "it learns"
    if not getattr(estimator, "early_stopping", False):
        np.testing.assert_array_equal(look.seen[-1][1], estimator.predict_proba(X))


@pytest.mark.parametrize("estimator", [PREDICTING[1], *OTHERS], ids=name_of)
def test_every_deep_estimator_tells_of_begin_rows_and_end(estimator, images):
    seen, other = Seen(), Seen()
    estimator = clone(estimator).set_params(callbacks=[seen, other]).fit(*images)
    kinds, told, values = zip(*seen.calls, strict=True)
    assert kinds == ("begin", *["report"] * len(estimator.history_), "end")
    assert set(map(id, told)) == {id(estimator)}
    assert values[0] >= estimator.history_[-1]["step"]
    assert values[-1] is True, "it is fitted"
    assert seen.rows == estimator.history_
    assert ("validation_acsa" in seen.rows[0]) is bool(getattr(estimator, "early_stopping", False))
    assert other.calls == seen.calls
    if not isinstance(estimator, DGCClassifier | BAGANSampler):
        assert values[0] == values[-2] or getattr(estimator, "early_stopping", False)


class TestEnding:
    def test_true_ends_the_training_with_its_weights_and_history(self, images):
        seen = Seen(answer=np.True_)
        stopped = DeepClassifier(**DEEP, callbacks=[seen, Predicting(images[0])]).fit(*images)
        assert [row["step"] for row in stopped.history_] == [4], "of the first epoch"
        assert [kind for kind, *_ in seen.calls] == ["begin", "report", "end"]
        assert stopped.predict(images[0]).shape == (27,)
        assert not any(module.training for module in stopped.networks_.modules())

    def test_the_weights_are_those_of_the_steps_that_were_made(self, images):
        plain, look = DeepClassifier(**DEEP, callbacks=Predicting(images[0])), Predicting(images[0])
        plain.fit(*images)
        stopped = DeepClassifier(**DEEP, callbacks=[look, Seen(answer=True)]).fit(*images)
        np.testing.assert_array_equal(stopped.predict_proba(images[0]), plain.callbacks.seen[0][1])

    def test_what_is_neither_true_nor_false_ends_nothing(self, images):
        assert len(DeepClassifier(**DEEP, callbacks=Seen(answer=3)).fit(*images).history_) > 1

    def test_its_checkpoint_is_removed(self, images, tmp_path):
        path = tmp_path / "fit.checkpoint"
        DeepClassifier(**DEEP, callbacks=Seen(answer=True), checkpoint=str(path), checkpoint_every=1).fit(*images)
        assert not path.exists()

    def test_an_exception_is_raised_by_fit_and_told_to_all(self, images):
        class Enough:
            def on_report(self, estimator, row):
                raise LookupError("enough")

        seen = Seen()
        estimator = DeepClassifier(**DEEP, callbacks=[seen, Enough()])
        with pytest.raises(LookupError, match="enough") as raised:
            estimator.fit(*images)
        assert not hasattr(estimator, "history_")
        assert [kind for kind, *_ in seen.calls] == ["begin", "report", "error"]
        assert seen.calls[-1][2] is raised.value

    def test_a_training_goes_on_from_its_checkpoint_with_other_callbacks(self, images, tmp_path):
        class Interrupted(Callback):
            def on_report(self, estimator, row):
                if row["step"] == 8:
                    raise KeyboardInterrupt

        kept = {**DEEP, "checkpoint": str(tmp_path / "kept"), "checkpoint_every": 3}
        with pytest.raises(KeyboardInterrupt):
            DeepClassifier(**kept, callbacks=Interrupted()).fit(*images)
        seen = Seen()
        resumed = DeepClassifier(**kept, callbacks=seen).fit(*images)
        assert [row["step"] for row in seen.rows] == [8, 12]
        assert_equally_trained(resumed, DeepClassifier(**DEEP).fit(*images))


class TestWhoIsTold:
    def test_only_of_the_estimator_that_has_them(self, table):
        classifier = DeepClassifier(**DEEP, image_shape=(1, 8, 8), callbacks=(seen := Seen()))
        sampler = RAESampler(**SMALL, latent_dim=4, max_steps=20, image_shape=(1, 8, 8))
        make_pipeline(sampler, classifier).fit(*table)
        assert {id(told) for _, told, _ in seen.calls} == {id(classifier)}

    def test_of_the_classifier_and_not_of_its_guide(self, images):
        classifier = M2mClassifier(**DEEP, guide="own", callbacks=(seen := Seen())).fit(*images)
        assert seen.rows == classifier.history_

    def test_clones_share_a_callback(self, table):
        seen = Seen()
        estimator = DeepClassifier(**DEEP, callbacks=[seen])
        assert clone(estimator).callbacks[0] is estimator.get_params()["callbacks"][0] is seen
        cross_validate(estimator, *table, cv=3)
        assert [kind for kind, *_ in seen.calls].count("end") == 3

    def test_others_are_copied(self, table):
        look = Predicting(table[0])
        clone(DeepClassifier(**DEEP, callbacks=look)).fit(*table)
        assert look.seen == []


class TestTheyAreNoneOfWhatIsLearned:
    def test_a_bundle_does_without(self, table, tmp_path):
        fitted = DeepClassifier(**DEEP, callbacks=Seen()).fit(*table)
        latentover.save(fitted, tmp_path)
        assert json.loads((tmp_path / "config.json").read_text())["estimator"]["parameters"]["callbacks"] is None
        loaded = latentover.load(tmp_path)
        assert loaded.callbacks is None
        np.testing.assert_array_equal(loaded.predict_proba(table[0]), fitted.predict_proba(table[0]))

    @pytest.mark.parametrize(
        "wrong",
        [3, "tensorboard", Seen, [Seen(), 3], print, {"on_report": print}],
        ids=["number", "text", "class", "list", "function", "mapping"],
    )
    def test_what_is_none_is_refused(self, wrong, table):
        with pytest.raises(ValueError, match=r"^Expected callbacks to be None, a callback .*, but got "):
            DeepClassifier(**DEEP, callbacks=wrong).fit(*table)

    def test_the_base_class_does_nothing(self, table):
        assert_equally_trained(
            DeepClassifier(**DEEP, callbacks=Callback()).fit(*table), DeepClassifier(**DEEP).fit(*table)
        )


def test_the_copy_of_a_fitted_estimator_has_what_it_had(table):
    fitted = DeepClassifier(**DEEP, callbacks=[Predicting(table[0])]).fit(*table)
    assert len(copy.deepcopy(fitted).callbacks[0].seen) == len(fitted.history_)


def test_of_two_processes_the_first_one_calls_and_both_end(tmp_path):
    script = Path(__file__).with_name("callback_processes.py")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", str(script)]
    environment = {**os.environ, "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*command, str(tmp_path)], env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-3000:]
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2))
    assert first["rows"] == second["rows"] == 2
    assert first["calls"] == ["begin", *first["calls"][1:3], "end"]
    assert first["message"] == "LookupError('enough')"
    assert (second["calls"], second["failing"]) == ([], [])
    assert "in the first process" in second["message"]
