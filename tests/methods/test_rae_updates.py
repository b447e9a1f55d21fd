"""Who learns from what: each update against gradients that are written out a second time, in plain loops."""

import copy
import math

import numpy as np
import pytest
import torch
from scipy.stats import beta, kstest
from torch import nn

from latentover import RAEClassifier
from latentover.estimators import TrainingSet
from latentover.methods.rae import RAETraining, drawn_weights
from latentover.mixing import Mixup

PARTS = ("encoder", "classifier", "mixer", "decoder", "critic")
SETTINGS = {
    "latent_dim": 4,
    "channels": 4,
    "hidden_units": 16,
    "dropout": 0.0,
    "batch_size": 5,
    "max_steps": 3,
    "device": "cpu",
    "precision": "float32",
    "random_state": 0,
    "conditional_critic": True,
    "reconstruction_weight": 0.01,
    "decoder_reconstruction": False,
    "adversarial_every": 1,
}


def make_training(shape, **settings):
    """Return the core in the middle of a training, with optimizers that step by minus the gradient."""
    rng = np.random.default_rng(0)
    X, y = rng.random((30, *shape)), np.repeat([0, 1, 2], [18, 8, 4])
    estimator = RAEClassifier(**{**SETTINGS, **settings}).fit(X, y)
    networks = copy.deepcopy(estimator.networks_).train()
    data = TrainingSet(
        inputs=estimator.format_.encode(X),
        labels=torch.from_numpy(y),
        class_counts=torch.tensor([18, 8, 4]),
        prepare=estimator.format_.network_input,
        dtype=torch.float32,
        generator=torch.Generator().manual_seed(1),
    )
    training = RAETraining(networks, data, estimator)
    training.encoder_optimizers = [torch.optim.SGD(training.encoder_parameters, lr=1.0)]
    for name in ("mixer", "decoder", "critic"):
        optimizer = torch.optim.SGD(getattr(networks, name).parameters(), lr=1.0)
        setattr(training, f"{name}_optimizer", optimizer)
    training.decoder_joint_optimizer = torch.optim.SGD(networks.decoder.parameters(), lr=1.0)
    return training


def parameters_of(networks, *parts):
    return [parameter for part in parts for parameter in getattr(networks, part).parameters()]


def steps_of(training, update):
    """Return by how much an update moves each part's parameters."""
    before = {part: [p.detach().clone() for p in parameters_of(training.networks, part)] for part in PARTS}
    update()
    return {
        part: [p.detach() - old for p, old in zip(parameters_of(training.networks, part), before[part], strict=True)]
        for part in PARTS
    }


class Naive:
    """The same batch and the same draws, and the equations on them tuple by tuple."""

    def __init__(self, training):
        self.settings = training.settings
        self.networks, self.t, generator = training.networks, training.t, training.data.generator
        state = generator.get_state()
        self.x, self.labels = training.batch()
        n, t, n_classes = len(self.x), self.t, training.data.n_classes
        uniform = self.settings.alpha == "uniform"
        if uniform:
            self.draws = torch.rand(t * n, t, generator=generator)
        else:
            self.noise = torch.randn(t * n, SETTINGS["latent_dim"], generator=generator)
        after_noise = generator.get_state()
        self.shift = torch.randint(1, n_classes, (t * n,), generator=generator)
        generator.set_state(after_noise)
        self.order = torch.randperm(t * n, generator=generator)
        generator.set_state(after_noise)
        groups = 1 if self.settings.critic_fakes == "mixtures" else 2
        sample = torch.rand if self.settings.penalty_coefficients == "uniform" else torch.randn
        self.coefficients = sample(groups * t * n, generator=generator)
        generator.set_state(state)  # the update under test draws the same again
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
        self.alpha = self.uniform_weights() if uniform else self.proposed_weights()

    def uniform_weights(self):
        exponentials = torch.tensor([[-math.log(u) for u in row] for row in self.draws.tolist()])
        return exponentials / exponentials.sum(dim=1, keepdim=True)

    def proposed_weights(self):
        inputs = [
            torch.cat([*latents, noise, label])
            for latents, noise, label in zip(self.places, self.noise, self.onehot, strict=True)
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
        labels = self.labels.repeat(self.t)
        if self.settings.wrong_label == "shuffle":
            wrong = labels[self.order]
        else:
            wrong = (labels + self.shift) % self.onehot.shape[1]
        return self.negative_log_probability(self.mixed(self.alpha), wrong)

    def fakes(self):
        """What the critic is to tell from real inputs, and their labels."""
        decode = self.networks.decoder
        fakes = [decode(self.mixed(self.alpha).detach(), self.onehot)]
        if self.settings.critic_fakes != "mixtures":
            fakes.append(decode(self.networks.encoder(self.real).detach(), self.onehot))
        return torch.cat(fakes), torch.cat([self.onehot] * len(fakes))


def assert_steps(steps, gradients):
    for step, gradient in zip(steps, gradients, strict=True):
        torch.testing.assert_close(step, -gradient, rtol=1e-3, atol=2e-5)


def assert_unmoved(steps):
    assert all((step == 0).all() for step in steps)


CASES = pytest.mark.parametrize(("shape", "t"), [((6,), 2), ((6,), 3), ((6,), 1), ((1, 8, 9), 2)], ids=str)


@CASES
class TestJointUpdate:
    def test_encoder_and_classifier_follow_equation_7_and_the_mixer_equation_3(self, shape, t):
        training = make_training(shape, n_components=t)
        naive = Naive(training)
        ours, theirs = (
            parameters_of(training.networks, "encoder", "classifier"),
            parameters_of(training.networks, "mixer"),
        )
        expected = torch.autograd.grad(naive.equation_7(naive.alpha), ours, retain_graph=True)
        against = torch.autograd.grad(naive.equation_3(), theirs)
        steps = steps_of(training, lambda: training.update_joint(reconstruct=True))
        assert_steps([*steps["encoder"], *steps["classifier"]], expected)
        assert_steps(steps["mixer"], against)
        assert_unmoved([*steps["decoder"], *steps["critic"]])

    def test_the_losses_it_reports(self, shape, t):
        training = make_training(shape, n_components=t)
        naive = Naive(training)
        total, against = naive.equation_7(naive.alpha), naive.equation_3()
        reported = training.update_joint(reconstruct=True)
        assert set(reported) == {"classifier", "mixer", "reconstruction", "predicted_classes"}
        sum_of_parts = 5 * reported["classifier"] + 0.01 * reported["reconstruction"]
        torch.testing.assert_close(sum_of_parts, total, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(reported["mixer"], against, rtol=1e-4, atol=1e-5)

    def test_with_decoder_reconstruction_the_decoder_follows_its_error(self, shape, t):
        training = make_training(shape, n_components=t, decoder_reconstruction=True)
        naive = Naive(training)
        decoder = parameters_of(training.networks, "decoder")
        expected = torch.autograd.grad(0.01 * naive.mean_absolute_error(), decoder)
        steps = steps_of(training, lambda: training.update_joint(reconstruct=True))
        assert any(step.abs().max() > 0 for step in steps["decoder"])
        assert_steps(steps["decoder"], expected)
        assert_unmoved(steps["critic"])


@CASES
class TestUniformWeights:
    def test_the_encoder_follows_equation_7_and_the_mixer_rests(self, shape, t):
        training = make_training(shape, n_components=t, alpha="uniform")
        naive = Naive(training)
        ours = parameters_of(training.networks, "encoder", "classifier")
        expected = torch.autograd.grad(naive.equation_7(naive.alpha), ours)
        steps = steps_of(training, lambda: training.update_joint(reconstruct=True))
        assert_steps([*steps["encoder"], *steps["classifier"]], expected)
        assert_unmoved([*steps["mixer"], *steps["decoder"], *steps["critic"]])

    def test_weights_are_uniform_on_the_simplex(self, shape, t):
        training = make_training(shape, n_components=t, alpha="uniform")
        weights = drawn_weights("uniform", lambda sample, t: sample(4000, t, generator=training.data.generator), t)
        torch.testing.assert_close(weights.sum(dim=1), torch.ones(4000))
        for j in range(t if t > 1 else 0):
            assert kstest(weights[:, j].numpy(), beta(1, t - 1).cdf).pvalue > 1e-3

    def test_the_mixer_has_no_loss_to_report(self, shape, t):
        training = make_training(shape, n_components=t, alpha="uniform")
        assert "mixer" not in training.update_joint(reconstruct=True)


def test_the_encoder_learns_through_the_mixing_weights_too():
    """Without that path the gradient would be another: the tests above can tell."""
    training = make_training((6,))
    naive = Naive(training)
    encoder = parameters_of(training.networks, "encoder")
    cut = torch.autograd.grad(naive.equation_7(naive.alpha.detach()), encoder)
    steps = steps_of(training, lambda: training.update_joint(reconstruct=True))
    assert max((step + gradient).abs().max() for step, gradient in zip(steps["encoder"], cut, strict=True)) > 1e-3


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
    training = make_training(shape, n_components=t, **{switch: SWITCHES[switch]})
    naive = Naive(training)
    ours = parameters_of(training.networks, "encoder", "classifier")
    expected = torch.autograd.grad(naive.equation_7(naive.alpha), ours, retain_graph=True)
    against = torch.autograd.grad(naive.equation_3(), parameters_of(training.networks, "mixer"))
    steps = steps_of(training, lambda: training.update_joint(reconstruct=True))
    assert_steps([*steps["encoder"], *steps["classifier"]], expected)
    assert_steps(steps["mixer"], against)


@pytest.mark.parametrize("shape", [(6,), (1, 8, 9)], ids=str)
def test_decoder_classification_trains_the_decoder_through_encoder_and_classifier(shape):
    training = make_training(shape, decoder_classification=True)
    naive, networks = Naive(training), training.networks
    labels = naive.labels.repeat(2)
    generated = networks.decoder(naive.mixed(naive.alpha), naive.onehot)
    decoded = networks.decoder(naive.z.flatten(0, 1), naive.onehot)
    z = networks.encoder(torch.cat([generated, decoded]))
    expected = torch.autograd.grad(
        naive.negative_log_probability(z, torch.cat([labels, labels])), parameters_of(networks, "decoder")
    )
    others = torch.autograd.grad(Naive(training).equation_7(Naive(training).alpha), parameters_of(networks, "encoder"))
    steps = steps_of(training, lambda: training.update_joint(reconstruct=True))
    assert_steps(steps["decoder"], expected)
    assert_steps(steps["encoder"], others)  # the encoder learns nothing from it


class TestClassPreservation:
    def test_without_it_the_encoder_follows_the_reconstruction_alone(self):
        training = make_training((6,), class_preserving=False)
        naive, networks = Naive(training), training.networks
        encoder = torch.autograd.grad(
            0.01 * naive.mean_absolute_error(), parameters_of(networks, "encoder"), retain_graph=True
        )
        classifier = torch.autograd.grad(
            5 * naive.equation_6(naive.alpha), parameters_of(networks, "classifier"), retain_graph=True
        )
        steps = steps_of(training, lambda: training.update_joint(reconstruct=True))
        assert_steps(steps["encoder"], encoder)
        assert_steps(steps["classifier"], classifier)


def test_without_reconstruction_the_encoder_follows_equation_6_alone():
    training = make_training((6,))
    naive = Naive(training)
    ours = parameters_of(training.networks, "encoder", "classifier")
    expected = torch.autograd.grad(5 * naive.equation_6(naive.alpha), ours)
    steps = steps_of(training, training.update_joint)
    assert_steps([*steps["encoder"], *steps["classifier"]], expected)
    assert_unmoved(steps["decoder"])


def test_blended_tuples_keep_one_soft_label_through_the_mixture():
    """With `mixing`, image j of tuple b is blended with image j of another tuple, all with one weight and label."""
    training = make_training((6,), mixing=Mixup(alpha=1.0), alpha="uniform", reconstruction_weight=0.0)
    generator, networks = training.data.generator, training.networks
    state = generator.get_state()
    x, labels = training.batch()
    blend = training.settings.mixing(x, labels, training.data.class_counts, generator)
    draws = torch.rand(2 * len(x), 2, generator=generator)
    generator.set_state(state)
    share = blend.label_weight[0].item()  # one for the batch
    z = networks.encoder(blend.inputs.transpose(0, 1).flatten(0, 1)).view(2, len(x), -1)
    weights = -draws.log() / (-draws.log()).sum(dim=1, keepdim=True)
    losses = []
    for k in range(2 * len(x)):
        first, b = divmod(k, len(x))
        mixture = weights[k, 0] * z[first, b] + weights[k, 1] * z[1 - first, b]
        for latent, weight in ((z[first, b], 2.0), (mixture, 1.0)):
            log_p = networks.classifier(latent).log_softmax(dim=0)
            loss = -share * log_p[blend.labels[b]] - (1 - share) * log_p[blend.partners[b]]
            losses.append(weight * loss / (2 * len(x)))
    expected = torch.autograd.grad(5 * torch.stack(losses).sum(), parameters_of(networks, "encoder", "classifier"))
    steps = steps_of(training, training.update_joint)
    assert_steps([*steps["encoder"], *steps["classifier"]], expected)


@CASES
@pytest.mark.parametrize("switches", [{}, SWITCHES], ids=["paper", "reference_code"])
class TestAdversarialUpdates:
    def test_the_decoder_follows_equation_4_alone(self, shape, t, switches):
        training = make_training(shape, n_components=t, **switches)
        naive, networks = Naive(training), training.networks
        fake, onehot = naive.fakes()
        loss = -networks.critic(fake, onehot).sum() / len(fake)
        expected = torch.autograd.grad(loss, parameters_of(networks, "decoder"))
        steps = steps_of(training, training.update_decoder)
        assert_steps(steps["decoder"], expected)
        for part in ("encoder", "classifier", "mixer", "critic"):
            assert_unmoved(steps[part])

    def test_the_critic_follows_equation_5_alone(self, shape, t, switches):
        training = make_training(shape, n_components=t, **switches)
        naive, networks = Naive(training), training.networks
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
        steps = steps_of(training, training.update_critic)
        assert_steps(
            steps["critic"],
            [torch.zeros_like(s) if g is None else g for s, g in zip(steps["critic"], expected, strict=True)],
        )
        for part in ("encoder", "classifier", "mixer", "decoder"):
            assert_unmoved(steps[part])


class TestCritic:
    @pytest.mark.parametrize("shape", [(6,), (1, 8, 9)], ids=str)
    @pytest.mark.parametrize("conditional", [True, False])
    def test_sees_the_label_only_if_it_is_conditional(self, shape, conditional):
        critic = make_training(shape, conditional_critic=conditional).networks.critic
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
        log = []

        def logged(name, letter):
            update = getattr(RAETraining, f"update_{name}")

            def wrapped(self, **how):
                log.append(letter.lower() if name == "joint" and not how.get("reconstruct") else letter)
                return update(self, **how)

            monkeypatch.setattr(RAETraining, f"update_{name}", wrapped)

        for letter, name in zip("JDC", ("joint", "decoder", "critic"), strict=True):
            logged(name, letter)
        settings = {**SETTINGS, "max_steps": 5, **settings}
        RAEClassifier(**settings).fit(np.random.default_rng(0).random((20, 3)), [0] * 14 + [1] * 6)
        assert "".join(log) == expected

    def test_the_schedule_of_the_authors_code_makes_as_many_updates_as_they_say(self):
        """100,001 steps: 80,001 of the decoder, 400,005 of the critic, 20,000 of the encoder."""
        training = make_training((6,), update_order="reference_code")
        counts = dict.fromkeys(("joint", "decoder", "critic"), 0)
        for phase in training.phases():
            counts[phase.name] += phase.repeat * sum(phase.runs_in(step) for step in range(100_001))
        assert counts == {"joint": 20_000, "decoder": 80_001, "critic": 400_005}

    def test_each_update_draws_a_fresh_batch(self):
        training = make_training((6,))
        batches = [training.batch()[0] for _ in range(3)]
        assert not torch.equal(batches[0], batches[1])
        assert not torch.equal(batches[1], batches[2])

    def test_the_schedule_moves_the_encoder_alone(self):
        training = make_training((6,), schedule="cosine", learning_rate=0.02)
        others = (training.mixer_optimizer, training.decoder_optimizer, training.critic_optimizer)
        before = [optimizer.param_groups[0]["lr"] for optimizer in others]
        training.set_learning_rate(0.5)
        for optimizer in training.encoder_optimizers:
            assert optimizer.param_groups[0]["lr"] == pytest.approx(0.01)
        assert [optimizer.param_groups[0]["lr"] for optimizer in others] == before

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
