"""Who learns from what: each update against gradients that are written out a second time, in plain loops."""

import copy
from typing import ClassVar

import numpy as np
import pytest
import torch
from scipy.stats import beta, kstest
from torch import nn

from latentover import RAEClassifier
from latentover.estimators import TrainingSet
from latentover.methods.rae import RAEProgram
from latentover.mixing import AMMixup, ManifoldMixup, Mixup, NeighborMix, SMOTEMix, drawn_weights
from latentover.training import Engine
from latentover.training.engine import parameters_of as optimized

PARTS = ("encoder", "classifier", "mixer", "decoder", "critic")
SETTINGS = {
    "latent_dim": 4,
    "channels": 4,
    "hidden_units": 16,
    "dropout": 0.0,
    "batch_size": 5,
    "max_steps": 1,
    "device": "cpu",
    "precision": "float32",
    "random_state": 0,
    "conditional_critic": True,
    "numbers": "standard",
    "decoder": "adversarial",
    "reconstruction_weight": 0.01,
    "decoder_reconstruction": False,
    "adversarial_every": 1,
    "augment": "none",
    "early_stopping": False,
}
"""The paper's ways; what the default of tables is and does is in test_rae_autoregressive.py."""


FITTED = {}


def fitted(X, y, **settings):
    """The same estimator for the same settings and samples of one shape, fitted once."""
    key = repr((X.shape, settings))
    if key not in FITTED:
        FITTED[key] = RAEClassifier(**{**SETTINGS, **settings}).fit(X, y)
    return FITTED[key]


class Training:
    """The core in the middle of a training, and the gradients along which an update would step."""

    def __init__(self, shape, **settings):
        rng = np.random.default_rng(0)
        X, y = rng.random((30, *shape)), np.repeat([0, 1, 2], [18, 8, 4])
        estimator = fitted(X, y, **settings)
        self.networks = copy.deepcopy(estimator.networks_).train()
        self.data = TrainingSet(
            inputs=estimator.format_.encode(X),
            labels=torch.from_numpy(y),
            class_counts=torch.tensor([18, 8, 4]),
            prepare=estimator.format_.network_input,
            dtype=torch.float32,
            generator=torch.Generator().manual_seed(1),
        )
        self.program = RAEProgram(self.networks, self.data, estimator)
        self.settings, self.t = self.program.settings, self.program.t
        self.engine = Engine(self.program, self.data.generator)
        self.joint, *_ = (phase for phase in self.program.phases if phase.name == "joint")
        self.plain_joint = [phase for phase in self.program.phases if phase.name == "joint"][-1]
        self.decoder, self.critic = (
            next((phase for phase in self.program.phases if phase.name == name), None) for name in ("decoder", "critic")
        )

    def draw(self, phase):
        """Return what the next update of a phase draws."""
        for stream in phase.streams:
            stream.advance()
        return self.engine.draw(phase)

    def losses(self, phase, draws):
        return self.engine.gradients(phase, draws)[0]

    def gradients(self, phase, draws):
        """Return for each part the gradients that its parameters follow in an update; 0 where they stay."""
        _, found = self.engine.gradients(phase, draws)
        gradients = {
            id(parameter): gradient
            for name, each in found.items()
            for parameter, gradient in zip(optimized(self.program.optimizers[name]), each, strict=True)
        }
        return {
            part: [
                torch.zeros_like(p) if gradients.get(id(p)) is None else gradients[id(p)]
                for p in parameters_of(self.networks, part)
            ]
            for part in PARTS
        }


def parameters_of(networks, *parts):
    found = [getattr(networks, part) for part in parts]
    return [parameter for network in found if network is not None for parameter in network.parameters()]


class Naive:
    """The equations on what an update draws, tuple by tuple."""

    def __init__(self, training, draws):
        self.settings = training.settings
        self.networks, self.t = training.networks, training.t
        self.x, self.labels, self.mixing, self.wrong = draws.x, draws.labels, draws.mixing, draws.wrong
        self.coefficients = draws.coefficients
        n, t, n_classes = len(self.x), self.t, training.data.n_classes
        self.onehot = torch.stack([torch.eye(n_classes)[label] for label in self.labels.tolist() * t])

        self.real = torch.cat([self.x[:, j] for j in range(t)])
        self.z = self.networks.encoder(self.real).view(t, n, -1)  # member, tuple, latent
        members = self.z
        if self.settings.encoder_passes == "separate":
            members = torch.stack([self.networks.encoder(self.x[:, j]) for j in range(t)])
        places = []
        for shift in range(t):
            for b in range(n):
                places.append([members[(place + shift) % t, b] for place in range(t)])
        self.places = places
        self.alpha = self.mixing if self.settings.alpha == "uniform" else self.proposed_weights()

    def proposed_weights(self):
        inputs = [
            torch.cat([*latents, noise, label])
            for latents, noise, label in zip(self.places, self.mixing, self.onehot, strict=True)
        ]
        exponentials = self.networks.mixer.layers(torch.stack(inputs)).exp()
        return exponentials / exponentials.sum(dim=1, keepdim=True)

    def mixed(self, alpha):
        return torch.stack(
            [
                sum(a * z for a, z in zip(row, latents, strict=True))
                for row, latents in zip(alpha, self.places, strict=True)
            ]
        )

    def negative_log_probability(self, z, labels):
        logits = z @ self.networks.classifier.weight.t() + self.networks.classifier.bias
        rows = [-(row[label].exp() / row.exp().sum()).log() for row, label in zip(logits, labels.tolist(), strict=True)]
        return torch.stack(rows).mean()

    def mean_absolute_error(self):
        decoded = self.networks.decoder(self.z.flatten(0, 1), self.onehot)
        return (self.real - decoded).abs().sum() / self.real.numel()

    def equation_6(self, alpha):
        labels = self.labels.repeat(self.t)
        real = self.negative_log_probability(self.z.flatten(0, 1), labels)
        mixed = self.negative_log_probability(self.mixed(alpha), labels)
        if self.settings.loss_reduction == "mean":  # over all 2 * t * B latents
            return 0.5 * real + 0.5 * mixed
        return self.t * real + mixed

    def equation_7(self, alpha):
        return 5 * self.equation_6(alpha) + 0.01 * self.mean_absolute_error()

    def equation_3(self):
        return self.negative_log_probability(self.mixed(self.alpha), self.wrong)

    def fakes(self):
        """What the critic is to tell from real inputs, and their labels."""
        decode = self.networks.decoder
        fakes = [decode(self.mixed(self.alpha).detach(), self.onehot)]
        if self.settings.critic_fakes != "mixtures":
            fakes.append(decode(self.networks.encoder(self.real).detach(), self.onehot))
        return torch.cat(fakes), torch.cat([self.onehot] * len(fakes))


def assert_close(found, expected):
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=2e-5)


def assert_unmoved(gradients):
    assert all((gradient == 0).all() for gradient in gradients)


CASES = pytest.mark.parametrize(("shape", "t"), [((6,), 2), ((6,), 3), ((6,), 1), ((1, 8, 9), 2)], ids=str)


@CASES
class TestJointUpdate:
    def test_encoder_and_classifier_follow_equation_7_and_the_mixer_equation_3(self, shape, t):
        training = Training(shape, n_components=t)
        draws = training.draw(training.joint)
        naive = Naive(training, draws)
        ours, theirs = (
            parameters_of(training.networks, "encoder", "classifier"),
            parameters_of(training.networks, "mixer"),
        )
        expected = torch.autograd.grad(naive.equation_7(naive.alpha), ours, retain_graph=True)
        against = torch.autograd.grad(naive.equation_3(), theirs)
        found = training.gradients(training.joint, draws)
        assert_close([*found["encoder"], *found["classifier"]], expected)
        assert_close(found["mixer"], against)
        assert_unmoved([*found["decoder"], *found["critic"]])

    def test_the_losses_it_reports(self, shape, t):
        training = Training(shape, n_components=t)
        draws = training.draw(training.joint)
        naive = Naive(training, draws)
        total, against = naive.equation_7(naive.alpha), naive.equation_3()
        reported = training.losses(training.joint, draws)
        assert set(reported) == {"classifier", "mixer", "reconstruction", "predicted_classes"}
        sum_of_parts = 5 * reported["classifier"] + 0.01 * reported["reconstruction"]
        torch.testing.assert_close(sum_of_parts, total, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(reported["mixer"], against, rtol=1e-4, atol=1e-5)

    def test_with_decoder_reconstruction_the_decoder_follows_its_error(self, shape, t):
        training = Training(shape, n_components=t, decoder_reconstruction=True)
        draws = training.draw(training.joint)
        naive = Naive(training, draws)
        decoder = parameters_of(training.networks, "decoder")
        expected = torch.autograd.grad(0.01 * naive.mean_absolute_error(), decoder)
        found = training.gradients(training.joint, draws)
        assert any(gradient.abs().max() > 0 for gradient in found["decoder"])
        assert_close(found["decoder"], expected)
        assert_unmoved(found["critic"])


@CASES
class TestUniformWeights:
    def test_the_encoder_follows_equation_7_and_the_mixer_rests(self, shape, t):
        training = Training(shape, n_components=t, alpha="uniform")
        draws = training.draw(training.joint)
        naive = Naive(training, draws)
        ours = parameters_of(training.networks, "encoder", "classifier")
        expected = torch.autograd.grad(naive.equation_7(naive.alpha), ours)
        found = training.gradients(training.joint, draws)
        assert_close([*found["encoder"], *found["classifier"]], expected)
        assert_unmoved([*found["mixer"], *found["decoder"], *found["critic"]])

    def test_weights_are_uniform_on_the_simplex(self, shape, t):
        training = Training(shape, n_components=t, alpha="uniform")
        weights = drawn_weights("uniform", lambda sample, t: sample(4000, t, generator=training.data.generator), t)
        torch.testing.assert_close(weights.sum(dim=1), torch.ones(4000))
        for j in range(t if t > 1 else 0):
            assert kstest(weights[:, j].numpy(), beta(1, t - 1).cdf).pvalue > 1e-3

    def test_the_mixer_has_no_loss_to_report(self, shape, t):
        training = Training(shape, n_components=t, alpha="uniform")
        assert "mixer" not in training.losses(training.joint, training.draw(training.joint))
        assert "mixer" not in training.joint.moves


def test_the_encoder_learns_through_the_mixing_weights_too():
    """Without that path the gradient would be another: the tests above can tell."""
    training = Training((6,))
    draws = training.draw(training.joint)
    naive = Naive(training, draws)
    encoder = parameters_of(training.networks, "encoder")
    cut = torch.autograd.grad(naive.equation_7(naive.alpha.detach()), encoder)
    found = training.gradients(training.joint, draws)
    assert max((ours - theirs).abs().max() for ours, theirs in zip(found["encoder"], cut, strict=True)) > 1e-3


SWITCHES = {
    "loss_reduction": "mean",
    "wrong_label": "shuffle",
    "encoder_passes": "separate",
    "critic_fakes": "mixtures_and_reconstructions",
    "penalty_coefficients": "normal",
}


@CASES
@pytest.mark.parametrize("switch", SWITCHES)
def test_joint_update_with_a_switch_of_the_authors_code(shape, t, switch):
    training = Training(shape, n_components=t, **{switch: SWITCHES[switch]})
    draws = training.draw(training.joint)
    naive = Naive(training, draws)
    ours = parameters_of(training.networks, "encoder", "classifier")
    expected = torch.autograd.grad(naive.equation_7(naive.alpha), ours, retain_graph=True)
    against = torch.autograd.grad(naive.equation_3(), parameters_of(training.networks, "mixer"))
    found = training.gradients(training.joint, draws)
    assert_close([*found["encoder"], *found["classifier"]], expected)
    assert_close(found["mixer"], against)


@pytest.mark.parametrize("shape", [(6,), (1, 8, 9)], ids=str)
def test_decoder_classification_trains_the_decoder_through_encoder_and_classifier(shape):
    training = Training(shape, decoder_classification=True)
    draws = training.draw(training.joint)
    naive, networks = Naive(training, draws), training.networks
    labels = naive.labels.repeat(2)
    generated = networks.decoder(naive.mixed(naive.alpha), naive.onehot)
    decoded = networks.decoder(naive.z.flatten(0, 1), naive.onehot)
    z = networks.encoder(torch.cat([generated, decoded]))
    expected = torch.autograd.grad(
        naive.negative_log_probability(z, torch.cat([labels, labels])), parameters_of(networks, "decoder")
    )
    naive = Naive(training, draws)
    others = torch.autograd.grad(naive.equation_7(naive.alpha), parameters_of(networks, "encoder"))
    found = training.gradients(training.joint, draws)
    assert_close(found["decoder"], expected)
    assert_close(found["encoder"], others)  # the encoder learns nothing from it


class TestClassPreservation:
    def test_without_it_the_encoder_follows_the_reconstruction_alone(self):
        training = Training((6,), class_preserving=False)
        draws = training.draw(training.joint)
        naive, networks = Naive(training, draws), training.networks
        encoder = torch.autograd.grad(
            0.01 * naive.mean_absolute_error(), parameters_of(networks, "encoder"), retain_graph=True
        )
        classifier = torch.autograd.grad(
            5 * naive.equation_6(naive.alpha), parameters_of(networks, "classifier"), retain_graph=True
        )
        found = training.gradients(training.joint, draws)
        assert_close(found["encoder"], encoder)
        assert_close(found["classifier"], classifier)


def test_without_reconstruction_the_encoder_follows_equation_6_alone():
    training = Training((6,))
    draws = training.draw(training.joint)
    naive = Naive(training, draws)
    ours = parameters_of(training.networks, "encoder", "classifier")
    expected = torch.autograd.grad(5 * naive.equation_6(naive.alpha), ours)
    found = training.gradients(training.plain_joint, draws)
    assert_close([*found["encoder"], *found["classifier"]], expected)
    assert_unmoved(found["decoder"])


def assert_follows_the_blend(training, draws, blended, weight, partners):
    """The gradient of E and L for tuples blended with one weight and label, in plain loops."""
    networks, n = training.networks, len(draws.x)
    share = weight.item()
    torch.testing.assert_close(draws.seen, blended)
    z = networks.encoder(blended.transpose(0, 1).flatten(0, 1)).view(2, n, -1)
    losses = []
    for k in range(2 * n):
        first, b = divmod(k, n)
        mixture = draws.mixing[k, 0] * z[first, b] + draws.mixing[k, 1] * z[1 - first, b]
        for latent, weight in ((z[first, b], 2.0), (mixture, 1.0)):
            log_p = networks.classifier(latent).log_softmax(dim=0)
            loss = -share * log_p[draws.labels[b]] - (1 - share) * log_p[partners[b]]
            losses.append(weight * loss / (2 * n))
    expected = torch.autograd.grad(5 * torch.stack(losses).sum(), parameters_of(networks, "encoder", "classifier"))
    found = training.gradients(training.plain_joint, draws)
    assert_close([*found["encoder"], *found["classifier"]], expected)


class TestMixing:
    SETTINGS: ClassVar = {"alpha": "uniform", "reconstruction_weight": 0.0}

    def test_blended_tuples_keep_one_soft_label_through_the_mixture(self):
        """Image j of tuple b is blended with image j of another tuple, all with one weight and label."""
        training = Training((6,), mixing=Mixup(alpha=1.0), **self.SETTINGS)
        generator = training.data.generator
        state = generator.get_state()
        _, x, labels = training.program.batch()
        order = torch.randperm(len(x), generator=generator)
        weight = torch.rand(1, generator=generator)
        generator.set_state(state)
        draws = training.draw(training.plain_joint)
        assert_follows_the_blend(training, draws, weight * x + (1 - weight) * x[order], weight, labels[order])

    def test_each_member_with_a_neighbour_of_its_own_class(self):
        training = Training((6,), mixing=SMOTEMix(k_neighbors=1), **self.SETTINGS)
        data, draws = training.data, training.draw(training.plain_joint)
        for b in range(len(draws.x)):
            for j in range(2):
                distances = (data.inputs - draws.x[b, j]).norm(dim=1)
                others = distances + 1e9 * ((data.labels != draws.labels[b]) | (distances < 1e-6))
                near = data.inputs[others.argmin()]
                way = (draws.seen[b, j] - near) @ (draws.x[b, j] - near) / (draws.x[b, j] - near).square().sum()
                torch.testing.assert_close(draws.seen[b, j], way * draws.x[b, j] + (1 - way) * near)
                assert draws.targets[b].tolist() == torch.eye(3)[draws.labels[b]].tolist()

    def test_with_neighbours_of_any_class_a_tuple_is_blended_with_one_class(self):
        """The first member with its neighbour, the other one with a sample of the class of that neighbour."""
        training = Training((6,), mixing=NeighborMix(k_neighbors=1), **self.SETTINGS)
        data, draws = training.data, training.draw(training.plain_joint)
        for b in range(len(draws.x)):
            distances = (data.inputs - draws.x[b, 0]).norm(dim=1)
            near = (distances + 1e9 * (distances < 1e-6)).argmin()
            own, share = draws.labels[b], draws.targets[b, draws.labels[b]]
            expected = torch.zeros(3)
            if data.labels[near] == own:
                expected[own] = 1
            else:
                expected[own], expected[data.labels[near]] = share, 1 - share
            torch.testing.assert_close(draws.targets[b], expected)
            if data.labels[near] != own:
                torch.testing.assert_close(draws.seen[b, 0], share * draws.x[b, 0] + (1 - share) * data.inputs[near])
                partner = (draws.seen[b, 1] - share * draws.x[b, 1]) / (1 - share)
                row = (data.inputs - partner).norm(dim=1).argmin()
                assert data.labels[row] == data.labels[near]
                torch.testing.assert_close(partner, data.inputs[row], rtol=1e-3, atol=1e-3)

    @pytest.mark.parametrize("rule", [Mixup(space="features"), ManifoldMixup(), AMMixup()], ids=str)
    def test_rules_that_mix_elsewhere_are_refused(self, rule):
        with pytest.raises(ValueError, match="Expected mixing to be a rule that mixes inputs, but got"):
            RAEClassifier(mixing=rule).fit(np.random.default_rng(0).random((20, 3)), [0] * 14 + [1] * 6)


class TestWrongLabels:
    def test_are_of_another_class_each_as_likely(self):
        training = Training((6,))
        drawn = torch.stack([torch.stack([d.labels.repeat(2), d.wrong]) for d in self.draws(training, 400)])
        own, wrong = drawn.transpose(0, 1).flatten(1)
        assert (own != wrong).all()
        for label in range(3):
            shares = torch.bincount(wrong[own == label], minlength=3) / (own == label).sum()
            others = torch.tensor([float(k != label) / 2 for k in range(3)])
            torch.testing.assert_close(shares, others, rtol=0, atol=0.06)

    def test_of_the_authors_code_are_those_of_the_batch_in_another_order(self):
        training = Training((6,), wrong_label="shuffle")
        draws = self.draws(training, 20)
        for d in draws:
            assert d.wrong.sort().values.tolist() == d.labels.repeat(2).sort().values.tolist()
        assert any((d.wrong != d.labels.repeat(2)).any() for d in draws)

    def draws(self, training, n):
        return [training.draw(training.joint) for _ in range(n)]


@CASES
@pytest.mark.parametrize("switches", [{}, SWITCHES], ids=["paper", "reference_code"])
class TestAdversarialUpdates:
    def test_the_decoder_follows_equation_4_alone(self, shape, t, switches):
        training = Training(shape, n_components=t, **switches)
        draws = training.draw(training.decoder)
        naive, networks = Naive(training, draws), training.networks
        fake, onehot = naive.fakes()
        loss = -networks.critic(fake, onehot).sum() / len(fake)
        expected = torch.autograd.grad(loss, parameters_of(networks, "decoder"))
        found = training.gradients(training.decoder, draws)
        assert_close(found["decoder"], expected)
        for part in ("encoder", "classifier", "mixer", "critic"):
            assert_unmoved(found[part])

    def test_the_critic_follows_equation_5_alone(self, shape, t, switches):
        training = Training(shape, n_components=t, **switches)
        draws = training.draw(training.critic)
        naive, networks = Naive(training, draws), training.networks
        critic = networks.critic
        fake, onehot = (tensor.detach() for tensor in naive.fakes())
        real = naive.real.repeat(len(fake) // len(naive.real), *[1] * len(shape))
        penalties = []
        for k in range(len(real)):
            between = (naive.coefficients[k] * fake[k] + (1 - naive.coefficients[k]) * real[k])[None].requires_grad_()
            (slope,) = torch.autograd.grad(critic(between, onehot[k : k + 1]).sum(), between, create_graph=True)
            penalties.append((slope.square().sum().sqrt() - 1) ** 2)
        loss = critic(fake, onehot).mean() - critic(real, onehot).mean() + 10 * torch.stack(penalties).mean()
        expected = torch.autograd.grad(loss, parameters_of(networks, "critic"), allow_unused=True)
        found = training.gradients(training.critic, draws)
        assert_close(
            found["critic"],
            [torch.zeros_like(s) if g is None else g for s, g in zip(found["critic"], expected, strict=True)],
        )
        for part in ("encoder", "classifier", "mixer", "decoder"):
            assert_unmoved(found[part])


class TestCritic:
    @pytest.mark.parametrize("shape", [(6,), (1, 8, 9)], ids=str)
    @pytest.mark.parametrize("conditional", [True, False])
    def test_sees_the_label_only_if_it_is_conditional(self, shape, conditional):
        critic = Training(shape, conditional_critic=conditional).networks.critic
        x = torch.rand(4, *shape)
        one, other = (critic(x, torch.eye(3)[[label] * 4]) for label in (0, 1))
        assert torch.equal(one, other) != conditional


class TestPhases:
    @pytest.mark.parametrize(
        ("settings", "expected"),
        [
            ({"critic_steps": 2}, "JDCC" * 5),
            ({"critic_steps": 1, "adversarial_every": 3}, "JDCJJJDCJ"),
            ({"critic_steps": 5, "adversarial_every": 10}, "JDCCCCCJJJJ"),
            ({"critic_steps": 0, "adversarial_every": 2}, "JDJJDJJD"),
            ({"critic_steps": 1, "reconstruct_every": 2}, "JDCjDC" * 2 + "JDC"),
            ({"decoder": False}, "j" * 5),
            ({"update_order": "reference_code", "max_steps": 11}, "DCCCCC" * 5 + "J" + "DCCCCC" * 4 + "J"),
            (
                {"update_order": "reference_code", "max_steps": 11, "reconstruct_every": 2},
                "DCCCCC" * 5 + "j" + "DCCCCC" * 4 + "J",
            ),
        ],
        ids=str,
    )
    def test_order_and_intervals(self, monkeypatch, settings, expected):
        log, update = [], Engine.update

        def logged(self, phase):
            reconstructs = "reconstruction" in phase.moves.get("encoder", {})
            log.append({"joint": "J" if reconstructs else "j", "decoder": "D", "critic": "C"}[phase.name])
            return update(self, phase)

        monkeypatch.setattr(Engine, "update", logged)
        settings = {**SETTINGS, "max_steps": 5, **settings}
        RAEClassifier(**settings).fit(np.random.default_rng(0).random((20, 3)), [0] * 14 + [1] * 6)
        assert "".join(log) == expected

    def test_the_schedule_of_the_authors_code_makes_as_many_updates_as_they_say(self):
        """100,001 steps: 80,001 of the decoder, 400,005 of the critic, 20,000 of the encoder."""
        training = Training((6,), update_order="reference_code")
        counts = dict.fromkeys(("joint", "decoder", "critic"), 0)
        for phase in training.program.phases:
            counts[phase.name] += phase.repeat * sum(phase.runs_in(step) for step in range(100_001))
        assert counts == {"joint": 20_000, "decoder": 80_001, "critic": 400_005}

    def test_each_update_draws_a_fresh_batch(self):
        training = Training((6,))
        batches = [training.draw(training.decoder).x for _ in range(3)]
        assert not torch.equal(batches[0], batches[1])
        assert not torch.equal(batches[1], batches[2])

    def test_the_schedule_moves_the_encoder_and_the_classifier_alone(self):
        training = Training((6,), schedule="cosine", learning_rate=0.02, max_steps=8)
        rates = {}
        for step in (0, 4):
            training.engine.rates.set(step)
            for name, optimizer in training.program.optimizers.items():
                rates.setdefault(name, []).append(optimizer.param_groups[0]["lr"])
        learners = {"encoder": [0.02, 0.01], "classifier": [0.02, 0.01]}
        assert {name: pytest.approx(values) for name, values in rates.items()} == {
            **{name: [0.02, 0.02] for name in ("mixer", "decoder", "decoder_joint", "critic")},
            **learners,
        }

    @pytest.mark.parametrize(
        ("settings", "expected"),
        [
            (
                {},
                {
                    "encoder": (torch.optim.AdamW, (0.9, 0.999)),
                    "classifier": (torch.optim.Adam, (0.5, 0.9)),
                    "mixer": (torch.optim.Adam, (0.5, 0.9)),
                    "decoder": (torch.optim.Adam, (0.5, 0.9)),
                    "decoder_joint": (torch.optim.Adam, (0.9, 0.999)),
                    "critic": (torch.optim.Adam, (0.5, 0.9)),
                },
            ),
            (
                {"classifier_optimizer": "shared", "mixer_betas": (0.9, 0.999)},
                {
                    "encoder": (torch.optim.AdamW, (0.9, 0.999)),
                    "mixer": (torch.optim.Adam, (0.9, 0.999)),
                    "decoder": (torch.optim.Adam, (0.5, 0.9)),
                    "decoder_joint": (torch.optim.Adam, (0.9, 0.999)),
                    "critic": (torch.optim.Adam, (0.5, 0.9)),
                },
            ),
        ],
        ids=["paper", "authors' code"],
    )
    def test_optimizers_are_the_published_ones(self, settings, expected):
        training = Training((6,), **settings)
        optimizers = training.program.optimizers
        assert {name: (type(o), tuple(o.param_groups[0]["betas"])) for name, o in optimizers.items()} == expected
        assert {o.param_groups[0]["lr"] for o in optimizers.values()} == {2e-4}
        # A fraction of 1e-3 a step at the full rate, of the encoder alone.
        decays = {name: o.param_groups[0]["weight_decay"] for name, o in optimizers.items()}
        assert decays == {**dict.fromkeys(expected, 0), "encoder": pytest.approx(1e-3 / 2e-4)}

    @pytest.mark.parametrize(("classifier_optimizer", "shrinks"), [("own", 1), ("shared", 0.81)])
    def test_weights_shrink_by_the_weight_decay_in_a_step(self, classifier_optimizer, shrinks):
        """Whatever the learning rate, which is next to nothing here."""
        X, y = np.random.default_rng(0).random((20, 3)), [0] * 14 + [1] * 6
        settings = {**SETTINGS, "learning_rate": 1e-12, "max_steps": 2, "classifier_optimizer": classifier_optimizer}
        plain, decayed = (RAEClassifier(**settings, weight_decay=decay).fit(X, y) for decay in (0.0, 0.1))
        for part, factor in (("encoder", 0.81), ("classifier", shrinks), ("mixer", 1), ("decoder", 1), ("critic", 1)):
            old, new = (parameters_of(fitted.networks_, part) for fitted in (plain, decayed))
            for a, b in zip(old, new, strict=True):
                torch.testing.assert_close(b, factor * a, rtol=1e-4, atol=1e-6)


class TestEncoderOfTheUsers:
    def test_a_frozen_one_stays_as_it_is(self):
        encoder = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 4))
        encoder[0].requires_grad_(requires_grad=False)
        X, y = np.random.default_rng(0).random((20, 3)), [0] * 14 + [1] * 6
        fitted = RAEClassifier(**SETTINGS, encoder=encoder).fit(X, y)
        assert torch.equal(fitted.networks_.encoder[0].weight, encoder[0].weight)
        assert not torch.equal(fitted.networks_.encoder[2].weight, encoder[2].weight)


def test_the_target_of_reconstruction_is_the_image_as_it_is():
    """The encoder sees the augmented image, which the decoder is not to make."""
    training = Training((1, 8, 9), augment="flip_shift", decoder_reconstruction=True)
    draws = training.draw(training.joint)
    assert not torch.equal(draws.seen, draws.x)
    z = training.networks.encoder(draws.seen.transpose(0, 1).flatten(0, 1))
    onehot = torch.eye(3)[draws.labels.repeat(2)]
    decoded = training.networks.decoder(z, onehot)
    expected = (draws.x.transpose(0, 1).flatten(0, 1) - decoded).abs().mean()
    torch.testing.assert_close(training.losses(training.joint, draws)["reconstruction"], expected)


class TestMovingAverage:
    def test_every_part_that_is_used_is_averaged(self, monkeypatch):
        """After three updates, from the weights behind each of them: d (d a + (1 - d) b) + (1 - d) c."""
        seen, decay = [], 0.7
        run_step = Engine.run_step

        def remembering(self, step):
            run_step(self, step)
            seen.append({name: value.clone() for name, value in self.program.networks.state_dict().items()})

        monkeypatch.setattr(Engine, "run_step", remembering)
        X, y = np.random.default_rng(0).random((20, 3)), [0] * 14 + [1] * 6
        settings = {**SETTINGS, "decoder_reconstruction": True, "critic_steps": 0, "adversarial_every": 9}
        # Without an adversarial update each step moves every part once, and the first the decoder twice.
        fitted = RAEClassifier(**{**settings, "max_steps": 3}, ema=decay).fit(X, y)
        for part in ("encoder", "classifier"):
            for name, value in getattr(fitted.networks_, part).named_parameters():
                first, second, third = (each[f"{part}.{name}"] for each in seen)
                expected = decay * (decay * first + (1 - decay) * second) + (1 - decay) * third
                torch.testing.assert_close(value.detach(), expected, msg=f"{part}.{name}")
                assert not torch.equal(value, third)
        for part in ("decoder",):
            moved = [
                not torch.equal(value, seen[-1][f"{part}.{name}"])
                for name, value in getattr(fitted.networks_, part).named_parameters()
            ]
            assert all(moved)
