"""GAMO: its formulas against a second writing, the order and the reach of its updates, and what it generates."""

from collections import Counter

import numpy as np
import pytest
import torch
from interruption import drawn, engine_of, moved, phases_of, resumed
from scipy.optimize import linprog
from sklearn.base import clone
from sklearn.datasets import load_digits, make_blobs
from torch import nn

from latentover import GAMOClassifier, GAMOSampler, load, save
from latentover.methods import gamo
from latentover.training.capture import recordable
from latentover.training.engine import parameters_of

COUNTS = [40, 60, 100, 200, 350, 500, 750, 1000, 2000, 4000]
TABLE = {
    "hidden_units": 32,
    "batch_size": 16,
    "noise_dim": 8,
    "learning_rate": 2e-3,
    "random_state": 0,
    "device": "cpu",
    "precision": "float32",
}
IMAGES = {**TABLE, "feature_dim": 16, "channels": 4, "decoder_steps": 4}


@pytest.fixture(scope="module")
def blobs():
    X, y = make_blobs([70, 30, 12], centers=[[0, 0, 0, 5], [5, 0, 0, 0], [0, 5, 0, 0]], random_state=0)
    return X.astype(np.float32), np.array(["b", "c", "a"])[y]  # the names are not in the order of the sizes


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    kept = np.concatenate([np.flatnonzero(y == label)[:n] for label, n in ((0, 30), (1, 15), (2, 8))])
    return (X[kept].reshape(-1, 1, 8, 8) * 15).astype(np.uint8), y[kept]


def in_the_game(estimator, X, y, monkeypatch):
    """Return the engine of an estimator's `fit`, some steps into the game, and its phases by what they are."""
    engine = engine_of(estimator, X, y, monkeypatch)
    for step in range(3):
        engine.run_step(step)
    return engine


def with_features(estimator, X, y, monkeypatch):
    """Return the engine of an estimator's `fit` before its first step, the features being learned."""
    engine = engine_of(estimator, X, y, monkeypatch)
    engine.program.learn_features()
    return engine


def follows(engine, phase, draws, written):
    """Compare an update's gradients with those of losses that are written out again, and return its losses.

    `written` has for each optimizer the loss and the networks that it moves.
    """
    losses, found = engine.gradients(phase, draws)
    assert set(found) == set(written)
    for name, (loss, *networks) in written.items():
        parameters = list(parameters_of(engine.program.optimizers[name]))
        assert {id(p) for p in parameters} == {id(p) for network in networks for p in network.parameters()}
        expected = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
        assert [gradient is None for gradient in found[name]] == [gradient is None for gradient in expected]
        pairs = [pair for pair in zip(found[name], expected, strict=True) if pair[1] is not None]
        assert max(gradient.abs().max() for _, gradient in pairs) > 1e-4
        for one, other in pairs:
            torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-4)
    return losses


def linears(network):
    return [module for module in network.modules() if isinstance(module, nn.Linear)]


def sizes(network):
    return [(layer.in_features, layer.out_features) for layer in linears(network)]


class TestLabels:
    def test_probabilities_of_the_published_counts(self):
        expected = [0.127742, 0.127097, 0.125806, 0.122581, 0.117742, 0.112903, 0.104839, 0.096774, 0.064516, 0]
        assert gamo.fake_label_probabilities(torch.tensor(COUNTS)).tolist() == pytest.approx(expected, abs=1e-6)

    def test_the_largest_are_sampled_as_often_as_the_others_on_average(self):
        p = gamo.fake_label_probabilities(torch.tensor([100, 10, 100, 60]), largest=True)
        assert p.tolist() == pytest.approx([65 / 260, 90 / 260, 65 / 260, 40 / 260])

    def test_of_classes_of_one_size_none_is_rare(self):
        assert gamo.fake_label_probabilities(torch.tensor([7, 7])).tolist() == [0, 0]
        assert gamo.fake_label_probabilities(torch.tensor([7, 7]), largest=True).tolist() == [0.5, 0.5]

    def test_the_classifier_never_sees_a_fake_of_the_largest_class(self, blobs, monkeypatch):
        engine = with_features(GAMOClassifier(**TABLE), *blobs, monkeypatch)
        (fake,) = phases_of(engine, "fake")
        seen = sum(drawn(engine, fake)[0][1] for _ in range(30)).sum(dim=0)
        assert seen.sum() == 30 * 16
        assert seen.tolist()[1] == 0  # "b"
        # "a" lacks 58 and "c" 40 of the 70 samples of "b"
        assert (seen / seen.sum())[[0, 2]].tolist() == pytest.approx([58 / 98, 40 / 98], abs=0.08)

    def test_the_discriminator_does(self, blobs, monkeypatch):
        engine = with_features(GAMOClassifier(**TABLE), *blobs, monkeypatch)
        (fake,) = phases_of(engine, "fake")
        seen = sum(drawn(engine, fake)[1][1] for _ in range(30)).sum(dim=0)
        # as often as "a" and "c" on average: 49 of 58 + 40 + 49
        assert (seen / seen.sum()).tolist() == pytest.approx([58 / 147, 49 / 147, 40 / 147], abs=0.08)


class TestLosses:
    logits = torch.tensor([[2.0, 0.0, -1.0], [0.5, 0.5, 3.0]])
    onehot = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])

    def probabilities(self):
        e = np.exp(self.logits.numpy())
        return e / e.sum(axis=1, keepdims=True)

    def test_classifier(self):
        expected = np.mean((self.probabilities() - self.onehot.numpy()) ** 2)
        assert gamo.classifier_loss(self.logits, self.onehot).item() == pytest.approx(expected, rel=1e-6)

    def test_mistaking(self):
        expected = np.mean((self.probabilities() - (1 - self.onehot.numpy())) ** 2)
        assert gamo.mistaking_loss(self.logits, self.onehot).item() == pytest.approx(expected, rel=1e-6)

    def test_the_best_mistake_is_spread_evenly_over_the_other_classes(self):
        logits = torch.zeros(1, 4, requires_grad=True)
        optimizer = torch.optim.Adam([logits], lr=0.1)
        for _ in range(300):
            optimizer.zero_grad()
            gamo.mistaking_loss(logits, torch.tensor([[0.0, 1.0, 0.0, 0.0]])).backward()
            optimizer.step()
        assert logits.softmax(dim=1)[0].tolist() == pytest.approx([1 / 3, 0, 1 / 3, 1 / 3], abs=5e-3)

    def test_discriminator_and_passing(self):
        scores, noise = torch.tensor([0.2, 0.9]), torch.tensor([0.1, 0.05])
        real = ((0.2 - 0.9) ** 2 + (0.9 - 0.95) ** 2) / 2
        fake = ((0.2 - 0.1) ** 2 + (0.9 - 0.05) ** 2) / 2
        assert gamo.discriminator_loss(scores, noise, real=True).item() == pytest.approx(real)
        assert gamo.discriminator_loss(scores, noise, real=False).item() == pytest.approx(fake)
        assert gamo.passing_loss(scores).item() == pytest.approx((0.8**2 + 0.1**2) / 2)

    @pytest.mark.parametrize("kl", ["consistent", "reference_code"])
    def test_vae(self, kl):
        x, y = torch.rand(3, 1, 4, 4), torch.rand(3, 1, 4, 4)
        mean, s = torch.randn(3, 5), 0.5 * torch.randn(3, 5)
        deviation = s.exp() if kl == "consistent" else (s / 2).exp()
        prior = torch.distributions.Normal(0.0, 1.0)
        divergence = torch.distributions.kl_divergence(torch.distributions.Normal(mean, deviation), prior).sum() / 3
        expected = 16 * torch.nn.functional.mse_loss(x, y) + divergence
        assert gamo.vae_loss(x, y, mean, s, kl).item() == pytest.approx(expected.item(), rel=1e-5)


class TestUpdates:
    def test_reach_their_own_networks_alone(self, digits, monkeypatch):
        engine = engine_of(GAMOClassifier(**IMAGES), *digits, monkeypatch)
        assert moved(engine, *phases_of(engine, "extractor")) == {"extractor"}
        assert moved(engine, *phases_of(engine, "features")) == set()
        assert moved(engine, *phases_of(engine, "real")) == {"classifier", "discriminator"}
        assert moved(engine, *phases_of(engine, "fake")) == {"classifier", "discriminator"}
        for phase in phases_of(engine, "generator"):
            assert moved(engine, phase) == {"generator"}
        assert moved(engine, *phases_of(engine, "decoders")) == {"decoders"}

    def test_the_schedule_spans_the_game_and_leaves_the_decoders_alone(self, digits, monkeypatch):
        settings = {**IMAGES, "max_steps": 12, "decoder_steps": 4, "learning_rate": 0.01, "schedule": "cosine"}
        engine = engine_of(GAMOClassifier(**settings), *digits, monkeypatch)
        assert engine.program.n_steps == 16
        rates = {}
        for step in (0, 6, 12, 15):  # of 16, the last 4 for the decoders
            engine.rates.set(step)
            rates[step] = {name: x.param_groups[0]["lr"] for name, x in engine.program.optimizers.items()}
        for name in ("extractor", "generator", "classifier", "discriminator"):
            assert [rates[step][name] for step in rates] == pytest.approx([0.01, 0.005, 0, 0])
        assert {rates[step]["decoders"] for step in rates} == {GAMOClassifier().decoder_learning_rate}

    def test_order_and_number(self, digits, monkeypatch):
        """53 samples make 4 batches of 16: an epoch of the extractor before every 4 batches of the game."""
        engine = engine_of(GAMOClassifier(**IMAGES, max_steps=10), *digits, monkeypatch)
        phases = engine.program.phases
        assert [phase.name for phase in phases] == [
            "extractor", "features", "real", "fake", *["generator"] * 6, "decoders",
        ]  # fmt: skip
        assert all(phase.runs_in(6) for phase in phases_of(engine, "features")), "features that are not there yet"
        engine.program.learn_features()
        runs = {phase.name: [step for step in range(14) if phase.runs_in(step)] for phase in phases}
        assert runs["extractor"] == runs["features"] == [0, 4, 8]
        assert [phase.repeat for phase in phases if phase.name != "features"] == [4, *[1] * 9]
        assert runs["real"] == runs["fake"] == list(range(10))
        assert all([phase.runs_in(step) for step in (0, 9, 10)] == [True, True, False] for phase in phases[2:10])
        assert runs["decoders"] == [10, 11, 12, 13]

    def test_of_the_generator_are_two_a_class(self, blobs, monkeypatch):
        losses = ["generator_mistaking", "generator_passing"]
        for updates, names, n in (("per_class", losses * 3, 6), ("joint", losses, 18)):  # ceil(16 / 3)
            engine = with_features(GAMOClassifier(**TABLE, generator_updates=updates), *blobs, monkeypatch)
            phases = phases_of(engine, "generator")
            assert [drawn(engine, phase).shape for phase in phases] == [(n, 8)] * len(names)
            assert [dict(phase.moves) for phase in phases] == [{"generator": {name: 1.0}} for name in names]
            assert [set(phase.losses(drawn(engine, phase))) for phase in phases] == [{name} for name in names]

    def test_of_one_class_leave_the_other_heads(self, blobs, monkeypatch):
        engine = with_features(GAMOClassifier(**TABLE), *blobs, monkeypatch)
        heads = engine.program.networks.generator.heads
        before = [head.weight.detach().clone() for head in heads]
        for phase in phases_of(engine, "generator")[2:4]:
            engine.update(phase)
        assert [torch.equal(old, head.weight) for old, head in zip(before, heads, strict=True)] == [True, False, True]

    def test_fakes_do_not_move_the_running_statistics(self, blobs, monkeypatch):
        engine = with_features(GAMOClassifier(**TABLE), *blobs, monkeypatch)
        generator = engine.program.networks.generator
        before = [buffer.clone() for buffer in generator.buffers()]
        for name in ("real", "fake"):
            engine.update(*phases_of(engine, name))
        assert all(torch.equal(a, b) for a, b in zip(before, generator.buffers(), strict=True))
        assert generator.training

    def test_features_stand_still_during_a_pass(self, digits, monkeypatch):
        engine = engine_of(GAMOClassifier(**IMAGES), *digits, monkeypatch)
        program = engine.program
        (extractor,), (learn,) = phases_of(engine, "extractor"), phases_of(engine, "features")
        learn.run()
        place, features = program.features, program.features.clone()
        for phase in [*phases_of(engine, "real"), *phases_of(engine, "fake"), *phases_of(engine, "generator")]:
            engine.update(phase)
        assert torch.equal(program.features, features)
        engine.update(extractor)
        learn.run()
        assert program.features is place, "updates that were recorded find them where they were"
        assert not torch.equal(program.features, features)
        networks, data = program.networks, program.data
        with torch.no_grad():
            expected = networks.extractor.eval()(2 * data.prepare(data.inputs) - 1)
        torch.testing.assert_close(program.features, expected)
        for label, points in enumerate(program.points):
            assert torch.equal(points.features, program.features[data.labels == label])

    def test_decoders_have_a_rate_of_their_own(self, digits, monkeypatch):
        estimator = GAMOClassifier(**IMAGES, decoder_learning_rate=7e-3)
        engine = engine_of(estimator, *digits, monkeypatch)
        rates = {name: optimizer.param_groups[0]["lr"] for name, optimizer in engine.program.optimizers.items()}
        assert rates == {
            **dict.fromkeys(["extractor", "generator", "classifier", "discriminator"], 2e-3),
            "decoders": 7e-3,
        }

    def test_classes_of_one_size_have_no_fakes(self, monkeypatch):
        X, y = make_blobs([10, 10], n_features=3, random_state=0)
        engine = with_features(GAMOClassifier(**TABLE), X, y, monkeypatch)
        (fake,) = phases_of(engine, "fake")
        assert set(fake.losses(drawn(engine, fake))) == {"discriminator_fake"}
        assert moved(engine, fake) == {"discriminator"}


class Naive:
    """The networks and the losses of the game, point by point and layer by layer."""

    def __init__(self, engine):
        self.program, self.networks = engine.program, engine.program.networks
        self.n_classes = engine.program.data.n_classes

    @staticmethod
    def dense(network, x):
        *hidden, last = linears(network)
        for layer in hidden:
            x = layer.weight @ x + layer.bias
            x = torch.stack([value if value > 0 else 0.1 * value for value in x])
        return last.weight @ x + last.bias

    def onehot(self, label):
        return torch.eye(self.n_classes)[label]

    def probabilities(self, point):
        exponentials = self.dense(self.networks.classifier, point).exp()
        return exponentials / exponentials.sum()

    def classified(self, points, targets):
        """The error of the classifier's probabilities."""
        errors = [
            (p - t) ** 2
            for point, target in zip(points, targets, strict=True)
            for p, t in zip(self.probabilities(point), target, strict=True)
        ]
        return sum(errors) / len(errors)

    def scored(self, points, onehot, targets):
        """The error of the discriminator's scores."""
        errors = []
        for point, label, target in zip(points, onehot, targets, strict=True):
            score = self.dense(self.networks.discriminator, torch.cat([point, label]))[0]
            errors.append((1 / (1 + (-score).exp()) - target) ** 2)
        return sum(errors) / len(errors)

    def embedded(self, noise, labels, *, running=False):
        """The generator's trunk, with the statistics of the batch or the running ones."""
        first, _, norm, second, _, second_norm = self.networks.generator.trunk
        rows = [torch.cat([e, self.onehot(label)]) for e, label in zip(noise, labels, strict=True)]
        for layer, norms in ((first, norm), (second, second_norm)):
            rows = [(layer.weight @ row + layer.bias).clamp(min=0) for row in rows]
            mean = norms.running_mean if running else sum(rows) / len(rows)
            variance = norms.running_var if running else sum((row - mean) ** 2 for row in rows) / len(rows)
            rows = [(row - mean) / (variance + 1e-3).sqrt() * norms.weight + norms.bias for row in rows]
        return rows

    def points(self, noise, labels, **statistics):
        """Convex combinations of all training points of a class."""
        made = []
        for row, label in zip(self.embedded(noise, labels, **statistics), labels, strict=True):
            head = self.networks.generator.heads[label]
            exponentials = (head.weight @ row + head.bias).exp()
            members = self.program.features[self.program.data.labels == label]
            made.append(sum(w * x for w, x in zip(exponentials / exponentials.sum(), members, strict=True)))
        return made


class TestSecondWriting:
    """Each update against gradients that are written out again, some steps into the game."""

    @pytest.fixture(params=["blobs", "digits"])
    def engine(self, request, monkeypatch):
        settings = TABLE if request.param == "blobs" else IMAGES
        return in_the_game(GAMOClassifier(**settings), *request.getfixturevalue(request.param), monkeypatch)

    def test_extractor(self, digits, monkeypatch):
        engine = in_the_game(GAMOClassifier(**IMAGES), *digits, monkeypatch)
        (phase,), networks = phases_of(engine, "extractor"), engine.program.networks
        x, onehot, _ = draws = drawn(engine, phase)
        assert x.shape == (16, 1, 8, 8)
        assert 0 <= x.min() < x.max() <= 1
        loss = Naive(engine).classified(networks.extractor(2 * x - 1), onehot)
        losses = follows(engine, phase, draws, {"extractor": (loss, networks.extractor)})
        assert losses["extractor"].item() == pytest.approx(loss.item(), rel=1e-5)

    def test_real(self, engine):
        (phase,), networks, naive = phases_of(engine, "real"), engine.program.networks, Naive(engine)
        features, onehot, noise, _ = draws = drawn(engine, phase)
        for row, label in zip(features, onehot, strict=True):
            (place,) = (engine.program.features == row).all(dim=1).nonzero()
            assert label.tolist() == naive.onehot(engine.program.data.labels[place[0]]).tolist()
        assert 0 <= noise.min() < noise.max() < 0.1
        classified = naive.classified(features, onehot)
        scored = naive.scored(features, onehot, [1 - e for e in noise])
        written = {"classifier": (classified, networks.classifier), "discriminator": (scored, networks.discriminator)}
        losses = follows(engine, phase, draws, written)
        assert losses["classifier"].item() == pytest.approx(classified.item(), rel=1e-5)
        assert losses["discriminator"].item() == pytest.approx(scored.item(), rel=1e-5)

    def test_fake(self, engine):
        (phase,), networks, naive = phases_of(engine, "fake"), engine.program.networks, Naive(engine)
        state = engine.generator.get_state()
        (points, onehot), (others, labels), noise = draws = drawn(engine, phase)
        after = engine.generator.get_state()
        engine.generator.set_state(state)
        for found, of_class, probabilities in (
            (points, onehot, engine.program.fake_probabilities),
            (others, labels, engine.program.sampled_probabilities),
        ):  # the generator stands still, and so do its running statistics
            wanted = torch.multinomial(probabilities, 16, replacement=True, generator=engine.generator)
            e = torch.randn(16, 8, generator=engine.generator)
            assert of_class.argmax(dim=1).tolist() == wanted.tolist()
            torch.testing.assert_close(found, torch.stack(naive.points(e, wanted, running=True)), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(noise, 0.1 * torch.rand(16, generator=engine.generator))
        assert torch.equal(engine.generator.get_state(), after)
        classified, scored = naive.classified(points, onehot), naive.scored(others, labels, noise)
        written = {"classifier": (classified, networks.classifier), "discriminator": (scored, networks.discriminator)}
        losses = follows(engine, phase, draws, written)
        assert losses["classifier_fake"].item() == pytest.approx(classified.item(), rel=1e-5)
        assert losses["discriminator_fake"].item() == pytest.approx(scored.item(), rel=1e-5)

    @pytest.mark.parametrize("updates", ["per_class", "joint"])
    def test_generator(self, blobs, monkeypatch, updates):
        engine = in_the_game(GAMOClassifier(**TABLE, generator_updates=updates), *blobs, monkeypatch)
        naive, generator = Naive(engine), engine.program.networks.generator
        phases = phases_of(engine, "generator")
        groups = [[0] * 6 + [1] * 6 + [2] * 6] if updates == "joint" else [[0] * 6, [1] * 6, [2] * 6]
        for mistaking, passing, labels in zip(phases[::2], phases[1::2], groups, strict=True):
            onehot = [naive.onehot(label) for label in labels]
            noise = drawn(engine, mistaking)
            loss = naive.classified(naive.points(noise, labels), [1 - row for row in onehot])
            losses = follows(engine, mistaking, noise, {"generator": (loss, generator)})
            assert losses["generator_mistaking"].item() == pytest.approx(loss.item(), rel=1e-5)
            noise = drawn(engine, passing)
            loss = naive.scored(naive.points(noise, labels), onehot, [1.0] * len(labels))
            losses = follows(engine, passing, noise, {"generator": (loss, generator)})
            assert losses["generator_passing"].item() == pytest.approx(loss.item(), rel=1e-5)

    @pytest.mark.parametrize("kl", ["consistent", "reference_code"])
    def test_decoders(self, digits, monkeypatch, kl):
        engine = in_the_game(GAMOClassifier(**IMAGES, decoder_kl=kl), *digits, monkeypatch)
        (phase,), program = phases_of(engine, "decoders"), engine.program
        draws = drawn(engine, phase)
        images, terms = 2 * program.data.prepare(program.data.inputs) - 1, []
        for label, (vae, (rows, noise)) in enumerate(zip(program.networks.decoders, draws, strict=True)):
            assert (program.data.labels[rows] == label).all()
            assert len(rows) == 16
            total = 0.0
            for row, e in zip(rows, noise, strict=True):
                hidden = (vae.hidden[0].weight @ program.features[row] + vae.hidden[0].bias).tanh()
                mean, s = (layer.weight @ hidden + layer.bias for layer in (vae.mean, vae.log_deviation))
                decoded = vae.decoder((mean + e * s.exp())[None])[0]
                variance = (2 * s).exp() if kl == "consistent" else s.exp()
                total = total + ((decoded - images[row]) ** 2).sum()
                total = total + 0.5 * (mean**2 + variance - 1 - variance.log()).sum()
            terms.append(total / 16)
        losses = follows(engine, phase, draws, {"decoders": (sum(terms), program.networks.decoders)})
        assert losses["decoder"].item() == pytest.approx(sum(terms).item() / 3, rel=1e-5), "their mean is reported"


class TestConvexGenerator:
    def test_weights_are_convex(self):
        generator = gamo.ConvexGenerator([3, 50, 1], noise_dim=4, hidden_units=16).eval()
        embedded = generator.embed(torch.randn(20, 4), torch.arange(20) % 3)
        for label, n in enumerate([3, 50, 1]):
            weights = generator.weights(embedded, label, torch.zeros(n))
            assert weights.shape == (20, n)
            assert weights.min() >= 0
            torch.testing.assert_close(weights.sum(dim=1), torch.ones(20))

    def test_a_mixed_batch_is_its_classes_one_by_one(self):
        generator = gamo.ConvexGenerator([5, 7], noise_dim=4, hidden_units=16).eval()
        points = [gamo.ClassPoints.of(torch.randn(n, 3), None) for n in (5, 7)]
        noise, labels = torch.randn(6, 4), torch.tensor([0, 1, 1, 0, 1, 0])
        together = generator(noise, labels, points)
        for i in range(6):
            alone = generator(noise[i : i + 1], labels[i : i + 1], points)
            torch.testing.assert_close(together[i : i + 1], alone)

    @pytest.mark.parametrize("labels", [[0, 2, 2, 0, 2], [1, 0, 2, 1, 1]])
    def test_ways_that_can_be_recorded_make_the_same_points(self, labels):
        generator = gamo.ConvexGenerator([5, 7, 1], noise_dim=4, hidden_units=16)
        weights = [None, torch.tensor([1.0, 0.0, 2.0, 1.0, 0.5, 1.0, 3.0]), None]
        points = [gamo.ClassPoints.of(torch.randn(n, 3), w) for n, w in zip((5, 7, 1), weights, strict=True)]
        noise, labels = torch.randn(5, 4), torch.tensor(labels)
        for mode in (True, False):
            generator.train(mode)
            made = generator(noise, labels, points)
            with recordable():
                again = generator(noise, labels, points)
            torch.testing.assert_close(again, made)
            expected = [
                generator.weights(generator.embed(noise, labels)[i : i + 1], c, points[c].log_prior)[0]
                @ points[c].features
                for i, c in enumerate(labels.tolist())
            ]
            torch.testing.assert_close(again, torch.stack(expected))

    def test_points_class_by_class_are_those_of_their_labels(self):
        generator = gamo.ConvexGenerator([5, 7, 2], noise_dim=4, hidden_units=16)
        points = [gamo.ClassPoints.of(torch.randn(n, 3), None) for n in (5, 7, 2)]
        noise = torch.randn(6, 4)
        made = generator.by_class(noise, (2, 0), points)
        torch.testing.assert_close(made, generator(noise, torch.tensor([2, 2, 2, 0, 0, 0]), points))

    def test_samples_lie_in_the_convex_hull_of_their_class(self, blobs):
        X, y = blobs
        sampler = GAMOSampler(**TABLE, max_steps=20)
        X_new, y_new = sampler.fit_resample(X, y)
        assert Counter(y_new) == {"a": 70, "b": 70, "c": 70}
        for x, label in zip(X_new[len(X) :: 5], y_new[len(X) :: 5], strict=True):
            own = X[y == label].astype(float)
            # Is there w >= 0 with sum 1 and own.T @ w = x, up to float32?
            conditions = np.vstack([own.T, np.ones(len(own))])
            wanted = np.append(x.astype(float), 1.0)
            slack = 1e-4
            found = linprog(
                np.zeros(len(own)),
                A_ub=np.vstack([conditions, -conditions]),
                b_ub=np.concatenate([wanted + slack, slack - wanted]),
            )
            assert found.success, (x, label)

    def test_recorded_parents_are_of_the_class_and_carry_the_largest_weights(self, blobs):
        X, y = blobs
        sampler = GAMOSampler(**TABLE, max_steps=5)
        _, y_new = sampler.fit_resample(X, y)
        parents, weights = sampler.parents_[len(X) :], sampler.mix_weights_[len(X) :]
        assert parents.shape == weights.shape == (98, gamo.N_PARENTS)
        assert (y[parents] == y_new[len(X) :, None]).all()
        assert (np.diff(weights, axis=1) <= 0).all()
        np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-5)

    def test_sample_weights_multiply_the_convex_weights(self):
        generator = gamo.ConvexGenerator([4], noise_dim=2, hidden_units=8).eval()
        embedded = generator.embed(torch.randn(6, 2), torch.zeros(6, dtype=torch.int64))
        plain, weighted = (
            generator.weights(embedded, 0, gamo.ClassPoints.of(torch.zeros(4, 3), weight).log_prior)
            for weight in (None, torch.tensor([1.0, 3.0, 0.0, 2.0]))
        )
        expected = plain * torch.tensor([1.0, 3.0, 0.0, 2.0])
        torch.testing.assert_close(weighted, expected / expected.sum(dim=1, keepdim=True))

    def test_a_sample_of_weight_zero_is_in_no_combination(self, blobs):
        X, y = blobs
        weight = np.ones(len(X))
        left_out = np.flatnonzero(y == "a")[2:]
        weight[left_out] = 0
        sampler = GAMOSampler(**TABLE, max_steps=3)
        sampler.fit_resample(X, y, sample_weight=weight)
        used = sampler.parents_[len(X) :][sampler.mix_weights_[len(X) :] > 0]
        assert not np.isin(left_out, used).any()
        first, second = X[y == "a"][:2].astype(float)
        for x in sampler.sample(5, y="a"):  # on the segment between the two that have a weight
            share = (x - second) @ (first - second) / ((first - second) @ (first - second))
            np.testing.assert_allclose(x, share * first + (1 - share) * second, atol=1e-4)

    def test_a_class_of_one_sample_is_that_sample(self):
        X, y = make_blobs([20, 9], n_features=3, random_state=0)
        X, y = np.vstack([X, [[7.0, 8.0, 9.0]]]), np.append(y, 2)
        with pytest.warns(UserWarning, match="1 of class 2"):
            made = GAMOClassifier(**TABLE, max_steps=3).fit(X, y).sample(4, y=2)
        np.testing.assert_allclose(made, [[7.0, 8.0, 9.0]] * 4, rtol=1e-5)

    def test_large_classes_are_sampled_part_by_part(self, blobs, monkeypatch):
        model = GAMOClassifier(**TABLE, max_steps=3).fit(*blobs)
        whole = model.sample(50, y="b", random_state=0)
        monkeypatch.setattr(gamo, "MAX_WEIGHTS", 70 * 7)  # 7 samples a part
        sizes = []
        weights = gamo.ConvexGenerator.weights
        monkeypatch.setattr(
            gamo.ConvexGenerator,
            "weights",
            lambda self, g, *rest: sizes.append(len(g)) or weights(self, g, *rest),
        )
        np.testing.assert_allclose(model.sample(50, y="b", random_state=0), whole, rtol=1e-5, atol=1e-5)
        assert sizes == [7] * 7 + [1]


class TestIdea:
    def test_classes_are_found_whatever_their_names_and_sizes(self, blobs):
        X, y = blobs
        model = GAMOClassifier(**TABLE, max_steps=150).fit(X, y)
        recalls = [(model.predict(X)[y == label] == label).mean() for label in "abc"]
        assert min(recalls) > 0.9

    def test_digits_are_decoded_to_digits(self, digits):
        X, y = digits
        settings = {**IMAGES, "channels": 16, "feature_dim": 64, "max_steps": 40, "decoder_steps": 80}
        settings["decoder_learning_rate"] = 2e-3
        model = GAMOClassifier(**settings).fit(X, y)
        means = np.stack([X[y == label].mean(axis=0) for label in range(3)])
        for label in range(3):
            made = model.sample(20, y=label, random_state=0)
            assert made.shape == (20, 1, 8, 8)
            assert made.dtype == np.uint8
            distances = ((made.mean(axis=0)[None] - means) ** 2).sum(axis=(1, 2, 3))
            assert distances.argmin() == label


@pytest.mark.parametrize("extractor", ["none", "conv", "dense", "resnet"])
def test_every_extractor_trains_and_generates(digits, extractor):
    model = GAMOSampler(**IMAGES, extractor=extractor, max_steps=3).fit(*digits)
    assert model.sample(2, y=2).shape == (2, 1, 8, 8)


def test_odd_sizes_larger_images_and_colours():
    rng = np.random.default_rng(0)
    X, y = rng.random((20, 3, 35, 9)).astype(np.float32), np.repeat([0, 1], [14, 6])
    made = GAMOClassifier(**IMAGES, max_steps=2).fit(X, y).sample(3, y=1)
    assert made.shape == (3, 3, 35, 9)
    assert 0 <= made.min() <= made.max() <= 1


def test_a_module_of_ones_own_extracts(digits):
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 16))
    model = GAMOClassifier(**IMAGES, extractor=module, max_steps=3).fit(*digits)
    assert not torch.equal(model.networks_.extractor[1].weight, module[1].weight), "a copy is trained"


def test_trains_in_bfloat16_and_predicts_in_float32(digits):
    X, y = digits
    model = GAMOClassifier(**{**IMAGES, "precision": "bfloat16"}, max_steps=5, augment="shift").fit(X, y)
    assert all(parameter.dtype == torch.float32 for parameter in model.networks_.parameters())
    assert np.isfinite(model.predict_proba(X)).all()


@pytest.mark.parametrize("extractor", ["conv", "none"])
@pytest.mark.parametrize("step", [2, 6, 9])
def test_resumes_bit_equal(digits, tmp_path, monkeypatch, extractor, step):
    X, y = digits
    estimator = GAMOClassifier(**{**IMAGES, "extractor": extractor, "max_steps": 8 if extractor == "conv" else 11})
    whole = clone(estimator).fit(X, y)
    again = resumed(estimator, X, y, step, tmp_path / "run.checkpoint", monkeypatch)
    for key, tensor in whole.networks_.state_dict().items():
        assert torch.equal(tensor, again.networks_.state_dict()[key]), key
    np.testing.assert_array_equal(whole.sample(3, y=1, random_state=0), again.sample(3, y=1, random_state=0))


class TestBundle:
    def test_features_are_kept_and_generate_the_same(self, digits, tmp_path):
        X, y = digits
        model = GAMOClassifier(**IMAGES, max_steps=3).fit(X, y)
        again = load(save(model, tmp_path))
        np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
        assert again.sample(5, y=2, random_state=0).tobytes() == model.sample(5, y=2, random_state=0).tobytes()
        assert again.networks_.discriminator is None

    def test_training_rows_are_not_and_their_want_is_said(self, blobs, tmp_path):
        X, y = blobs
        model = GAMOClassifier(**TABLE, max_steps=3).fit(X, y)
        again = load(save(model, tmp_path))
        np.testing.assert_array_equal(again.predict(X), model.predict(X))
        with pytest.raises(
            ValueError, match=r"Expected the training rows.*fit it again, or save one with an extractor"
        ):
            again.sample(2, y="a")
        assert again.fit(X, y).sample(2, y="a").shape == (2, 4)
        assert model.sample(2, y="a").shape == (2, 4), "saving takes nothing from the model"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"extractor": "vgg"}, "extractor to be one of"),
        ({"noise_dim": 0}, "noise_dim to be a whole number at least 1"),
        ({"decoder_steps": -1}, "decoder_steps to be a whole number at least 0"),
        ({"generator_updates": "all"}, "generator_updates to be one of"),
        ({"decoder_steps": 0, "extractor": "dense"}, "decoder_steps to be at least 1"),
    ],
)
def test_wrong_settings_are_said_before_training(blobs, settings, message):
    with pytest.raises(ValueError, match=f"Expected .*{message}"):
        GAMOSampler(**{**TABLE, **settings}).fit(*blobs)


def test_without_decoders_it_classifies_and_says_that_it_cannot_generate(digits):
    X, y = digits
    model = GAMOClassifier(**{**IMAGES, "decoder_steps": 0}, max_steps=3).fit(X, y)
    assert model.predict(X).shape == y.shape
    with pytest.raises(ValueError, match="decoder"):
        model.sample(2, y=1)


class TestPublished:
    """Sizes and constants of the authors' code."""

    @pytest.fixture
    def engine(self, monkeypatch):
        X, y = load_digits(return_X_y=True)
        return with_features(GAMOClassifier(device="cpu"), X[:400].reshape(-1, 1, 8, 8), y[:400], monkeypatch)

    def test_networks(self, engine):
        networks, counts = engine.program.networks, engine.program.data.class_counts.tolist()
        assert sizes(networks.classifier) == [(512, 256), (256, 128), (128, 10)]
        assert sizes(networks.discriminator) == [(522, 256), (256, 128), (128, 1)]
        assert sizes(networks.generator.trunk) == [(110, 256), (256, 64)]
        assert sizes(networks.generator.heads) == [(64, n) for n in counts]
        norms = [module for module in networks.generator.modules() if isinstance(module, nn.BatchNorm1d)]
        assert [(norm.momentum, norm.eps) for norm in norms] == [(0.1, 1e-3)] * 2
        slopes = {m.negative_slope for m in networks.modules() if isinstance(m, nn.LeakyReLU)}
        assert slopes == {0.1}

    def test_extractor_and_decoders_of_28_by_28_pixels(self):
        extractor = gamo.build_extractor((1, 28, 28), "auto", GAMOClassifier().feature_dim, GAMOClassifier().channels)
        convs = [m for m in extractor.modules() if isinstance(m, nn.Conv2d)]
        assert [(m.out_channels, m.kernel_size, m.padding) for m in convs] == [(32, (5, 5), (2, 2))] * 2
        assert [m.kernel_size for m in extractor.modules() if isinstance(m, nn.AvgPool2d)] == [2, 2]
        assert sizes(extractor) == [(7 * 7 * 32, 512)]
        vae = gamo.FeatureVAE(512, (1, 28, 28))
        assert sizes(vae) == [(512, 128), (128, 100), (128, 100), (100, 7 * 7 * 32)]
        convs = [m for m in vae.modules() if isinstance(m, nn.ConvTranspose2d | nn.Conv2d)]
        assert [(m.out_channels, m.kernel_size, m.stride) for m in convs] == [
            (32, (4, 4), (2, 2)),
            (32, (4, 4), (2, 2)),
            (1, (4, 4), (1, 1)),
        ]

    def test_optimizers(self, engine):
        groups = {name: each.param_groups[0] for name, each in engine.program.optimizers.items()}
        assert set(groups) == {"extractor", "generator", "classifier", "discriminator", "decoders"}
        for group in groups.values():
            assert (group["lr"], group["betas"], group["eps"]) == (2e-4, (0.5, 0.999), 1e-8)
            assert group["weight_decay"] == 0

    def test_batches(self, engine):
        real, fake = (drawn(engine, *phases_of(engine, name)) for name in ("real", "fake"))
        assert [len(part) for part in real[:3]] == [32] * 3
        assert [len(part[0]) for part in fake[:2]] == [32] * 2
        assert len(drawn(engine, *phases_of(engine, "extractor"))[0]) == 32
        noise = [drawn(engine, phase).shape for phase in phases_of(engine, "generator")]
        assert noise == [(4, 100)] * 20, "ceil(32 / 10) points, twice for each of ten classes"
        assert [(len(rows), e.shape) for rows, e in drawn(engine, *phases_of(engine, "decoders"))] == [
            (32, (32, 100))
        ] * 10


@pytest.mark.parametrize("shape", [(1, 8, 1000), (3, 1000, 8), (1, 9, 257)])
@pytest.mark.parametrize("cls", [GAMOClassifier, GAMOSampler])
def test_images_that_its_pooling_would_make_vanish_are_refused(cls, shape):
    X, y = np.random.default_rng(0).random((12, *shape)), np.repeat([0, 1], 6)
    sides = "x".join(map(str, shape[1:]))
    with pytest.raises(ValueError, match=rf"shorter side of at least \d+ pixels .*, but got {sides}; resize them"):
        cls(max_steps=1, channels=2).fit(X, y)
