"""The head of a deep classifier, trained anew on real and generated features of the frozen encoder."""

import numpy as np
import pytest
import torch
from imblearn.over_sampling import SMOTE, RandomOverSampler
from interruption import Interrupted
from sklearn.base import clone

from latentover import DeepClassifier, FlowSampler, SmoothedBootstrapSampler, load, save
from latentover.estimators.resampled import lighter
from latentover.losses import balanced_softmax_loss
from latentover.methods import deep_classifier
from latentover.methods.deep_classifier import Source
from latentover.mixing import Mixup
from latentover.training import Engine

COUNTS = [40, 14, 6]
SMALL = {
    "feature_dim": 4,
    "hidden_units": 8,
    "channels": 4,
    "dropout": 0.0,
    "learning_rate": 1e-3,
    "batch_size": 20,
    "max_epochs": 2,
    "head_epochs": 3,
    "loss": "logit_adjusted",
    "device": "cpu",
    "precision": "float32",
    "random_state": 0,
}
FLOW = FlowSampler(max_steps=3, hidden_units=8, n_steps=2)
SAMPLERS = {"flow": FLOW, "smote": SMOTE(k_neighbors=3), "bootstrap": SmoothedBootstrapSampler()}


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1, 2], COUNTS)
    X = rng.random((60, 1, 8, 8)).astype(np.float32)
    return (X + (np.arange(64).reshape(8, 8) % 3 == y[:, None, None, None])) / 2, y


@pytest.fixture
def made(monkeypatch):
    """The sets of features that heads were trained on."""
    sets, original = [], deep_classifier.resampled

    def spy(*arguments, **settings):
        sets.append(original(*arguments, **settings))
        return sets[-1]

    monkeypatch.setattr(deep_classifier, "resampled", spy)
    return sets


@pytest.mark.parametrize("sampler", SAMPLERS.values(), ids=SAMPLERS)
def test_encoder_stays_and_head_is_new(data, made, sampler):
    plain = DeepClassifier(**SMALL).fit(*data)
    headed = DeepClassifier(**SMALL, head_sampler=sampler).fit(*data)
    for name, tensor in plain.networks_["encoder"].state_dict().items():
        assert torch.equal(tensor, headed.networks_["encoder"].state_dict()[name]), name
    assert not torch.equal(plain.networks_["classifier"].weight, headed.networks_["classifier"].weight)
    (found,) = made
    assert found.class_counts.tolist() == [40, 40, 40]
    np.testing.assert_allclose(found.inputs[:60].numpy(), plain.encode(data[0]), atol=1e-5)
    assert [row["step"] for row in headed.head_history_] == [6, 12, 18]
    assert len(headed.history_) == SMALL["max_epochs"]


def test_loss_is_adjusted_by_the_counts_of_the_set_it_sees(data, monkeypatch):
    seen, label_loss = [], Source.label_loss

    def spy(self, outputs, labels, *weights):
        loss = label_loss(self, outputs, labels, *weights)
        seen.append((len(self.data.labels), outputs.detach(), labels, loss.item()))
        return loss

    monkeypatch.setattr(Source, "label_loss", spy)
    DeepClassifier(**SMALL, head_sampler=RandomOverSampler(sampling_strategy={2: 20})).fit(*data)
    of_head = [each[1:] for each in seen if each[0] == 74]
    assert len(of_head) == 3 * 4
    counts = torch.tensor([40.0, 14.0, 20.0])
    for outputs, labels, loss in of_head:
        assert loss == pytest.approx(balanced_softmax_loss(outputs, labels, counts).item(), rel=1e-5)


def test_head_finds_what_the_features_hold(data):
    """Against an encoder that copies: features are two Gaussians, and the head has to part them in the right place."""

    class Copy(torch.nn.Module):
        def forward(self, x):
            return x[:, :2]

    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], [400, 40])
    X = rng.normal(size=(440, 3)) + 3 * y[:, None]
    settings = {**SMALL, "feature_dim": 2, "backbone": Copy(), "max_epochs": 1, "head_epochs": 20}
    settings |= {"learning_rate": 1e-6, "weight_decay": 0.0}
    before = DeepClassifier(**settings).fit(X, y)
    after = DeepClassifier(**settings, head_sampler=SmoothedBootstrapSampler(), head_learning_rate=0.05).fit(X, y)
    recalls = [[(one.predict(X)[y == c] == c).mean() for c in (0, 1)] for one in (before, after)]
    assert min(recalls[0]) < 0.9 < min(recalls[1])


def test_mixing_early_stopping_and_averages_stay_with_the_network(data, made):
    settings = {"mixing": Mixup(), "early_stopping": True, "final_weights": "last", "ema": 0.9, "augment": "flip_shift"}
    fitted = DeepClassifier(**SMALL, **settings, head_sampler=FLOW).fit(*data)
    (found,) = made
    assert found.class_counts.tolist() == [36] * 3  # of the training part
    assert "validation_acsa" in fitted.history_[0]
    assert "validation_acsa" not in fitted.head_history_[0]
    best = fitted.best_on_validation()
    assert not torch.equal(best.networks_["classifier"].weight, fitted.networks_["classifier"].weight)


def test_bundle_holds_the_new_head(data, tmp_path):
    fitted = DeepClassifier(**SMALL, head_sampler=FLOW, synthetic_weight=0.5).fit(*data)
    found = load(save(fitted, tmp_path / "bundle"))
    assert found.predict_proba(data[0]).tobytes() == fitted.predict_proba(data[0]).tobytes()
    assert found.head_sampler.max_steps == 3


@pytest.mark.parametrize("stop", [2, 5, 7, 12], ids="before update {}".format)
@pytest.mark.parametrize("sampler", [FLOW, SMOTE(k_neighbors=3)], ids=["flow", "smote"])
def test_goes_on_where_it_was_interrupted(data, tmp_path, monkeypatch, sampler, stop):
    """Six updates of the network, three of the flow if there is one, and those of the head."""
    estimator = DeepClassifier(**SMALL, head_sampler=sampler)
    whole, path, n = estimator.fit(*data), tmp_path / "checkpoint", 0
    run_step = Engine.run_step

    def dying(self, number):
        nonlocal n
        n += 1
        if n == stop:
            raise Interrupted
        run_step(self, number)

    with monkeypatch.context() as patch:
        patch.setattr(Engine, "run_step", dying)
        with pytest.raises(Interrupted):
            clone(estimator).set_params(checkpoint=str(path), checkpoint_every=1).fit(*data)
    assert list(tmp_path.iterdir())
    gone_on = clone(estimator).set_params(checkpoint=str(path)).fit(*data)
    for name, tensor in whole.networks_.state_dict().items():
        assert torch.equal(tensor, gone_on.networks_.state_dict()[name]), name
    assert not list(tmp_path.iterdir())


def test_too_many_neighbours_are_an_error_before_the_training(data, monkeypatch):
    monkeypatch.setattr(Engine, "update", lambda *_: pytest.fail("has begun to train"))
    with pytest.raises(ValueError, match=r"Expected head_sampler to have k_neighbors below 6, .* but got 20"):
        DeepClassifier(**SMALL, head_sampler=SMOTE(k_neighbors=20)).fit(*data)
    for sampler in (SMOTE(sampling_strategy={7: 40}), FlowSampler(sampling_strategy={0: 3})):
        with pytest.raises(ValueError, match=r"Expected (head_sampler|sampling_strategy) to be"):
            DeepClassifier(**SMALL, head_sampler=sampler).fit(*data)
    with pytest.raises(ValueError, match="Expected strength to be a number above 0"):
        DeepClassifier(**SMALL, head_sampler=FlowSampler(strength=2)).fit(*data)
    with pytest.raises(ValueError, match="Expected head_sampler to be None or an over-sampler"):
        DeepClassifier(**SMALL, head_sampler="flow").fit(*data)


class TestSyntheticWeight:
    def test_counts_against_the_real_samples_of_the_class_whose_total_stays(self):
        rng = np.random.default_rng(0)
        labels, new, given = np.arange(30) % 3, np.arange(30) >= 12, rng.random(30) + 0.1
        found = lighter(given, new, labels, 0.25)
        for label in range(3):
            own = labels == label
            assert found[own].sum() == pytest.approx(given[own].sum())
            ratios = found[own] / given[own]
            assert ratios[new[own]] == pytest.approx(np.full(6, ratios[0] / 4))

    @pytest.mark.parametrize("sampler", [SMOTE(k_neighbors=3), SmoothedBootstrapSampler()], ids=["imblearn", "ours"])
    @pytest.mark.parametrize("where", ["stage_sampler", "head_sampler"])
    def test_reaches_stage_and_head(self, data, made, sampler, where):
        DeepClassifier(**SMALL, **{where: sampler}, stage_start=0.0, synthetic_weight=0.5).fit(*data)
        weights, (real, new) = made[0].sample_weight, (slice(0, 60), slice(60, None))
        assert weights[real][:40].tolist() == [1.0] * 40  # to whose class nothing was added
        labels = made[0].labels
        for label in (1, 2):
            assert weights[new][labels[new] == label].unique().numpy() * 2 == pytest.approx(
                weights[real][labels[real] == label].unique().numpy()
            )

    def test_of_one_changes_nothing(self, data, made):
        DeepClassifier(**SMALL, head_sampler=SMOTE(k_neighbors=3)).fit(*data)
        assert made[0].sample_weight is None
