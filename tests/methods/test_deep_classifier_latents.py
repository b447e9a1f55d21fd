"""Latent augmentation in closed form inside of a classifier's training."""

import numpy as np
import pytest
import torch
from interruption import drawn, engine_of
from torch import nn

from latentover import DeepClassifier, load, save
from latentover.losses import GaussianLatents, VonMisesFisherLatents, gaussian_offsets, von_mises_fisher_logits
from latentover.mixing import AMMixup, Mixup

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(16, 3)).astype(np.float32), np.repeat([0, 1, 2], [9, 4, 3])
COUNTS = torch.tensor([9.0, 4.0, 3.0])
SETTINGS = {
    "feature_dim": 4,
    "max_epochs": 4,
    "batch_size": 16,
    "loss": "logit_adjusted",
    "device": "cpu",
    "precision": "float32",
    "random_state": 0,
}
WEIGHTS = RNG.random(16) + 0.2
EACH = pytest.mark.parametrize(
    "latents", [GaussianLatents(), VonMisesFisherLatents(projection_dim=6)], ids=lambda latents: type(latents).__name__
)


def classifier(**settings):
    backbone = nn.Sequential(nn.Linear(3, 6), nn.Tanh(), nn.Linear(6, 4))
    with torch.no_grad():
        for number, parameter in enumerate(backbone.parameters()):
            parameter.copy_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(number)))
    return DeepClassifier(**{**SETTINGS, "backbone": backbone, **settings})


@pytest.mark.parametrize("mixing", [None, Mixup(alpha=0.4, per_sample=True), Mixup(space="hidden", layers=(1,))])
@pytest.mark.parametrize("nothing", [GaussianLatents(strength=0.0), VonMisesFisherLatents(weight=0.0)])
def test_without_strength_it_is_the_plain_training_to_the_bit(nothing, mixing):
    settings = {"mixing": mixing, "learning_rate": 0.01, "reweighting": "class_weights"}
    plain, other = (classifier(latent_augmentation=each, **settings).fit(X, Y) for each in (None, nothing))
    for name, weight in plain.networks_.state_dict().items():
        assert torch.equal(weight, other.networks_.state_dict()[name]), name
    assert [row["classifier"] for row in plain.history_] == [row["classifier"] for row in other.history_]


@pytest.mark.parametrize("kind", ["linear", "cosine"])
@pytest.mark.parametrize("mixing", [None, Mixup(per_sample=True)])
def test_the_gaussian_loss_and_its_gradient_are_those_of_a_second_writing(mixing, kind, monkeypatch):
    latents = GaussianLatents(strength=0.8, warmup=0.0, borrow=0)
    estimator = classifier(mixing=mixing, latent_augmentation=latents, classifier=kind, ldam_scale=5.0)
    engine = engine_of(estimator, X, Y, monkeypatch, sample_weight=WEIGHTS)
    (phase,), program = engine.program.phases, engine.program
    program.before_step(0)
    draws = drawn(engine, phase)
    losses, gradients = engine.gradients(phase, draws)
    networks, mixed = program.networks, draws.mixed
    inputs = draws.inputs if mixed is None else mixed.inputs
    features, weight = networks["encoder"](inputs), networks["classifier"].weight
    bias = 0.0
    if kind == "cosine":
        features, weight = nn.functional.normalize(features, dim=1), 5 * nn.functional.normalize(weight, dim=1)
    else:
        bias = networks["classifier"].bias
    if mixed is None:
        parts = [(draws.labels, torch.ones(16), draws.weights)]
        shares, owners = draws.weights, draws.labels
    else:
        first, second = draws.pair_weights
        parts = [(mixed.labels, mixed.label_weight, first), (mixed.partners, 1 - mixed.label_weight, second)]
        shares = (2 * mixed.label_weight - 1).abs()
        shares = shares * torch.where(mixed.label_weight >= 0.5, first, second)
        owners = torch.where(mixed.label_weight >= 0.5, mixed.labels, mixed.partners)
    covariances = torch.zeros(3, 4, 4)
    for c in range(3):
        of_class, w = features[owners == c].detach(), shares[owners == c]
        apart = of_class - (w[:, None] * of_class).sum(0) / w.sum()
        covariances[c] = (w[:, None, None] * apart[:, :, None] * apart[:, None, :]).sum(0) / w.sum()
    total = norm = 0.0
    for labels, share, sample_weight in parts:
        for i in range(16):
            y = labels[i]
            row = features[i] @ weight.T + bias + (COUNTS / 16).log()
            row = torch.stack(
                [row[j] + 0.4 * (weight[j] - weight[y]) @ covariances[y] @ (weight[j] - weight[y]) for j in range(3)]
            )
            total = total - share[i] * sample_weight[i] * row.log_softmax(dim=0)[y]
            norm = norm + share[i] * sample_weight[i]
    expected = total / norm
    torch.testing.assert_close(losses["classifier"], expected)
    theirs = torch.autograd.grad(expected, list(networks.parameters()))
    for ours, other in zip(gradients["networks"], theirs, strict=True):
        torch.testing.assert_close(ours, other, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("mixing", [None, Mixup(per_sample=True)])
def test_the_directions_loss_stands_beside_the_other(mixing, monkeypatch):
    latents = VonMisesFisherLatents(weight=0.7, temperature=0.5, projection_dim=6)
    engine = engine_of(classifier(mixing=mixing, latent_augmentation=latents), X, Y, monkeypatch)
    (phase,), program = engine.program.phases, engine.program
    assert phase.moves == {"networks": {"classifier": 1.0, "latents": 0.7}}
    draws = drawn(engine, phase)
    losses, _ = engine.gradients(phase, draws)
    networks, mixed = program.networks, draws.mixed
    inputs = draws.inputs if mixed is None else mixed.inputs
    z = nn.functional.normalize(networks["projection"](networks["encoder"](inputs)), dim=1)
    logits = von_mises_fisher_logits(z, program.latents.moments.means, 0.5) + (COUNTS / 16).log()
    log_p = logits.log_softmax(dim=1)
    if mixed is None:
        expected = -log_p[torch.arange(16), draws.labels].mean()
        means = torch.stack([z[draws.labels == c].mean(dim=0) for c in range(3)])
        torch.testing.assert_close(program.latents.moments.means, means.detach())
    else:
        expected = -(mixed.soft_labels(3) * log_p).sum(dim=1).mean()
    torch.testing.assert_close(losses["latents"], expected)


@EACH
@pytest.mark.parametrize("mixing", [Mixup(), AMMixup(), Mixup(space="hidden", layers=(1,))])
def test_moments_are_those_of_clean_features_where_there_are_any(latents, mixing, monkeypatch):
    settings = {"mixing": mixing, "latent_augmentation": latents, "bn_clean_forward": True}
    engine = engine_of(classifier(**settings), X, Y, monkeypatch)
    (phase,), program = engine.program.phases, engine.program
    draws = drawn(engine, phase)
    engine.gradients(phase, draws)
    with torch.no_grad():
        features = program.networks["encoder"](draws.inputs)
        if isinstance(latents, VonMisesFisherLatents):
            features = nn.functional.normalize(program.networks["projection"](features), dim=1)
    expected = torch.stack([features[draws.labels == c].mean(dim=0) for c in range(3)])
    torch.testing.assert_close(program.latents.moments.means, expected)


@EACH
def test_survives_a_bundle(latents, tmp_path):
    fitted = DeepClassifier(**SETTINGS, hidden_units=8, latent_augmentation=latents).fit(X, Y)
    save(fitted, tmp_path / "bundle")
    again = load(tmp_path / "bundle")
    assert again.latent_augmentation == latents
    np.testing.assert_array_equal(again.predict_proba(X), fitted.predict_proba(X))


def test_cosines_of_margins_have_no_gaussian_latents():
    with pytest.raises(ValueError, match=r"^Expected latent_augmentation to go with logits, .*take loss='logit_adj"):
        classifier(latent_augmentation=GaussianLatents(), loss="ldam").fit(X, Y)
    fitted = classifier(latent_augmentation=VonMisesFisherLatents(projection_dim=6), loss="ldam").fit(X, Y)
    assert np.isfinite([row["latents"] for row in fitted.history_]).all()


def test_another_value_is_refused():
    with pytest.raises(ValueError, match=r"^Expected latent_augmentation to be None, GaussianLatents\(\) or .*got 0.5"):
        classifier(latent_augmentation=0.5).fit(X, Y)


def test_the_bound_widens_the_margins_of_a_class_that_varies_along_the_difference():
    """With a covariance the classifier has to keep further from a class's points where they vary: offsets are >= 0."""
    offsets = gaussian_offsets(torch.eye(3), torch.eye(3).expand(3, 3, 3), 1.0)
    assert torch.equal(offsets, 1.0 - torch.eye(3))
