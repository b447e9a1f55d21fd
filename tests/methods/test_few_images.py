"""What is done where images are few: encoders with weights, defaults, advice, and stopping without the decoder."""

import json
import re
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import latentover
from latentover import DeepClassifier, DeepSMOTE, LatentOversampler, RAEClassifier, RAESampler
from latentover.estimators import FewImagesWarning
from latentover.methods.rae import RAEProgram

SMALL = {"channels": 4, "hidden_units": 16, "device": "cpu", "random_state": 0}
RAE = {**SMALL, "latent_dim": 6, "batch_size": 8, "max_steps": 2}
rng = np.random.default_rng(0)
X, Y = rng.integers(0, 256, (40, 3, 16, 16), dtype=np.uint8), np.repeat(["car", "truck"], [30, 10])


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory):
    """The bundle of a classifier of three other classes, whose features have another length."""
    classifier = DeepClassifier(backbone="resnet", feature_dim=5, max_epochs=2, **SMALL)
    folder = tmp_path_factory.mktemp("elsewhere") / "run"
    latentover.save(classifier.fit(X[:30], np.repeat([0, 1, 2], 10)), folder)
    torch.save(classifier.networks_.state_dict(), folder.parent / "networks.pth")
    return folder


def encoders():
    return {
        "rae": RAEClassifier(**RAE),
        "rae sampler": RAESampler(**RAE),
        "deepsmote": DeepSMOTE(**SMALL, latent_dim=6, max_epochs=1),
        "classifier": DeepClassifier(**SMALL, feature_dim=6, max_epochs=2),
        "latent oversampler": LatentOversampler(autoencoder=RAESampler(**RAE), device="cpu", random_state=0),
    }


def encoder_of(estimator):
    estimator = getattr(estimator, "autoencoder_", estimator)
    return estimator.networks_.get_submodule("encoder")


def said_of_encoder(estimator, name, **more):
    return estimator.set_params(**{"backbone" if isinstance(estimator, DeepClassifier) else "encoder": name}, **more)


class TestEncodersWithWeights:
    @pytest.mark.parametrize("name", list(encoders()))
    @pytest.mark.parametrize("file", ["run", "networks.pth"])
    def test_a_frozen_one_stays_as_it_was_and_a_bundle_needs_the_file_no_more(self, name, file, elsewhere, tmp_path):
        path = tmp_path / file
        (elsewhere.parent / file).rename(path)
        try:
            fitted = said_of_encoder(encoders()[name], "resnet", encoder_weights=path, freeze_encoder=True).fit(X, Y)
        finally:
            path.rename(elsewhere.parent / file)
        theirs = latentover.load(elsewhere).networks_["encoder"].convolutions.state_dict()
        ours = encoder_of(fitted).network.convolutions.state_dict()
        assert all(torch.equal(ours[key], theirs[key]) for key in theirs if "num_batches" not in key)
        assert encoder_of(fitted).network.dense.out_features == 6
        opened = latentover.load(latentover.save(fitted, tmp_path / "bundle"))
        if hasattr(fitted, "predict_proba"):
            assert (opened.predict_proba(X) == fitted.predict_proba(X)).all()
        else:
            made = [each.sample(3, y="truck", random_state=0) for each in (opened, fitted)]
            assert (made[0] == made[1]).all()

    @pytest.mark.parametrize("name", list(encoders()))
    def test_a_fine_tuned_one_begins_there_and_learns(self, name, elsewhere):
        fitted = said_of_encoder(encoders()[name], "resnet", encoder_weights=str(elsewhere)).fit(X, Y)
        theirs = latentover.load(elsewhere).networks_["encoder"].convolutions[0][0].weight
        moved = (encoder_of(fitted).convolutions[0][0].weight - theirs).abs().max()
        assert 0 < moved < 0.01

    @pytest.mark.parametrize("name", list(encoders()))
    def test_of_torchvision(self, name, tmp_path):
        from torchvision import models

        torch.manual_seed(0)
        whole = models.mobilenet_v3_small(num_classes=9)
        torch.save(whole.state_dict(), tmp_path / "w.pth")
        settings = {"encoder_weights": tmp_path / "w.pth", "freeze_encoder": True, "encoder_size": 32}
        fitted = said_of_encoder(encoders()[name], "mobilenet_v3_small", **settings).fit(X, Y)
        body = next(module.body for module in encoder_of(fitted).modules() if hasattr(module, "body"))
        assert torch.equal(body.features[0][0].weight, whole.features[0][0].weight)
        (tmp_path / "w.pth").unlink()
        opened = latentover.load(latentover.save(fitted, tmp_path / "bundle"))
        made = [
            each.predict_proba(X[:4]) if hasattr(each, "predict_proba") else each.sample(3, y="truck", random_state=0)
            for each in (opened, fitted)
        ]
        assert (made[0] == made[1]).all()

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"encoder": "rasnet"}, r"Expected encoder to be one of .* but got 'rasnet'; torchvision\.models"),
            ({"freeze_encoder": True}, r"encoder_weights to be given with freeze_encoder=True, but got None"),
            ({"encoder_size": 64}, r"encoder_size to be None but for models of torchvision and timm.* but got 64"),
            ({"encoder_weights": 3}, r"encoder_weights to be a path, 'cache' or None, but got 3"),
        ],
    )
    @pytest.mark.parametrize("name", ["rae", "deepsmote", "latent oversampler"])
    def test_says_what_cannot_be(self, name, settings, message):
        with pytest.raises(ValueError, match=message):
            encoders()[name].set_params(**settings).fit(X, Y)

    def test_missing_and_other_weights_are_named_before_a_training(self, elsewhere):
        with pytest.raises(FileNotFoundError, match=r"there is no .*nowhere\.pth; correct the path"):
            RAEClassifier(**RAE, encoder_weights="nowhere.pth").fit(X, Y)
        with pytest.raises(ValueError, match=r"encoder_weights to be those of the encoder, but .*run lacks conv"):
            RAEClassifier(**RAE, encoder_weights=elsewhere).fit(X, Y)  # the default encoder, "conv"

    def test_a_fitted_autoencoder_cannot_be_told_of_its_encoder(self):
        fitted = RAESampler(**RAE).fit(X, Y)
        with pytest.raises(ValueError, match=r"autoencoder to be one that is not fitted yet and has an encoder"):
            LatentOversampler(autoencoder=fitted, encoder="resnet").fit(X, Y)
        with pytest.raises(ValueError, match=r"encoder_weights, freeze_encoder and encoder_size to go with the name"):
            LatentOversampler(encoder=nn.Flatten(), decoder=nn.Unflatten(1, (3, 16, 16)), freeze_encoder=True).fit(X, Y)


class TestDefaults:
    @pytest.mark.parametrize(
        ("shape", "n", "expected"),
        [
            ((3, 8, 8), 2000, ("flip_shift", 50.0, True, 5, True)),
            ((1, 8, 8), 2000, ("shift", 50.0, True, 5, True)),
            ((3, 8, 8), 2001, ("flip_shift_cutout", 0.0, True, 8, False)),
            ((1, 8, 8), 2001, ("shift_cutout", 0.0, True, 8, False)),
            ((3, 8, 8), 200, ("flip_shift", 50.0, True, 5, True)),
            ((3, 8, 8), 199, ("flip_shift", 50.0, True, 5, False)),
            ((5,), 100, ("none", 5.0, True, 5, False)),
        ],
    )
    def test_are_those_of_the_kind_and_number_of_samples(self, shape, n, expected):
        data, labels = np.random.default_rng(0).random((n, *shape)), np.arange(n) % 2
        for model, stops in ((RAEClassifier(**{**RAE, "max_steps": 1}), expected[-1]), (RAESampler(**RAE), False)):
            model.set_params(max_steps=1).fit(data, labels)
            found = model._resolved()
            assert found.adversarial_learning_rate == {50.0: 1e-3, 0.0: 4e-4}.get(expected[1])
            names = ("augment", "reconstruction_weight", "decoder_reconstruction", "adversarial_every")
            assert tuple(getattr(found, name) for name in names) == expected[:-1]
            assert found.early_stopping is stops
            assert ("validation_acsa" in model.history_[-1]) is stops

    def test_what_is_named_stays(self):
        model = RAEClassifier(**RAE, augment="none", early_stopping=False, adversarial_every=1).fit(X, Y)
        found = model._resolved()
        assert (found.augment, found.early_stopping, found.adversarial_every) == ("none", False, 1)

    def test_a_bundle_from_before_has_the_decoder_of_before(self, tmp_path):
        model = RAEClassifier(**RAE, decoder_upsampling="transposed").fit(X, Y)
        folder = latentover.save(model, tmp_path / "old")
        config = json.loads((folder / "config.json").read_text())
        del config["estimator"]["parameters"]["decoder_upsampling"], config["config_sha256"]
        (folder / "config.json").write_text(json.dumps(config))
        opened = latentover.load(folder)
        assert opened.decoder_upsampling == "transposed"
        assert (opened.sample(4, y="truck", random_state=0) == model.sample(4, y="truck", random_state=0)).all()


class TestAdvice:
    def test_says_how_many_there_are_and_what_helps(self):
        with pytest.warns(
            FewImagesWarning, match=re.escape("There are 10 images of class 'truck', 30 of class 'car'")
        ) as caught:
            RAEClassifier(**RAE).fit(X, Y)
        assert "40 in all, too few" in str(caught[0].message)
        assert "encoder_weights=" in str(caught[0].message)

    @pytest.mark.parametrize("which", ["weights", "a module", "a table", "enough"])
    def test_says_nothing_where_there_is_nothing_to_say(self, which, elsewhere):
        model, data, labels = RAEClassifier(**{**RAE, "max_steps": 1}), X, Y
        if which == "weights":
            model.set_params(encoder="resnet", encoder_weights=elsewhere)
        elif which == "a module":
            model.set_params(encoder=nn.Sequential(nn.Flatten(), nn.Linear(768, 6)))
        elif which == "a table":
            data = X[:, 0, 0].astype(float)
        else:
            data, labels = np.repeat(X, 5, axis=0), np.arange(200) % 2
        with warnings.catch_warnings():
            warnings.simplefilter("error", FewImagesWarning)
            model.fit(data, labels)


STOPPING = {**RAE, "max_steps": 12, "early_stopping": True, "n_iter_no_change": 2, "adversarial_every": 1}


class TestStoppingWithADecoder:
    def watched(self, monkeypatch, **settings):
        """Fit with validation scores that are best at the second report; return model and weights by the step."""
        scores, seen = iter([0.5, 0.9] + 20 * [0.6]), []
        monkeypatch.setattr("latentover.estimators.base.validation_acsa", lambda *arguments: next(scores))

        class Watch:
            def on_report(self, estimator, row):
                weights = estimator.networks_.state_dict()
                seen.append({name: tensor.clone() for name, tensor in weights.items()})

        model = RAEClassifier(**{**STOPPING, **settings}, callbacks=Watch()).fit(X, Y)
        return model, seen

    @pytest.mark.parametrize("reconstruction", [True, False])
    @pytest.mark.parametrize("ema", [0.0, 0.9])
    def test_encoder_and_classifier_are_what_was_best_and_the_decoder_learns_on(self, monkeypatch, reconstruction, ema):
        model, seen = self.watched(monkeypatch, decoder_reconstruction=reconstruction, ema=ema)
        assert len(seen) == len(model.history_) == 12
        best, last = seen[1], model.networks_.state_dict()
        for name in best:
            if name.startswith(("encoder.", "classifier.")):
                assert torch.equal(last[name], best[name]), name
        moved = [(last[name] - seen[5][name]).abs().max() for name in best if name.startswith("decoder.dense.0")]
        assert max(moved) > 0
        assert "classifier" in model.history_[2]
        assert ("reconstruction" in model.history_[-1]) is reconstruction

    def test_without_a_decoder_the_training_ends(self, monkeypatch):
        model, seen = self.watched(monkeypatch, decoder=False)
        assert len(seen) == 4
        last = model.networks_.state_dict()
        assert all(torch.equal(last[name], seen[1][name]) for name in last)

    def test_a_training_that_goes_on_from_a_checkpoint_ends_alike(self, monkeypatch, tmp_path):
        whole = self.watched(monkeypatch)[0]
        path = tmp_path / "checkpoint"

        class Interrupt:
            def on_report(self, estimator, row):
                if row["step"] == 8:
                    raise KeyboardInterrupt

        scores = iter([0.5, 0.9] + 20 * [0.6])
        monkeypatch.setattr("latentover.estimators.base.validation_acsa", lambda *arguments: next(scores))
        options = {**STOPPING, "checkpoint": str(path), "checkpoint_every": 1}
        with pytest.raises(KeyboardInterrupt):
            RAEClassifier(**options, callbacks=Interrupt()).fit(X, Y)
        resumed = RAEClassifier(**options).fit(X, Y)
        ours, theirs = whole.networks_.state_dict(), resumed.networks_.state_dict()
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)

    def test_settled_phases_move_the_decoder_alone(self):
        model = RAEClassifier(**STOPPING).fit(X, Y)
        data = model._training_set(X, torch.from_numpy(np.repeat([0, 1], [30, 10])), None, torch.Generator())
        program = RAEProgram(model.networks_.train(), replace(data, validation=None), model)
        before = {phase.name for phase in program.phases if phase.runs_in(0)}
        program.settle()
        after = {phase.name: set(phase.moves) for phase in program.phases if phase.runs_in(0)}
        assert before == {"joint", "decoder", "critic"}
        assert after == {"reconstruction": {"decoder_joint"}, "decoder": {"decoder"}, "critic": {"critic"}}
        assert not program.networks.encoder.training
