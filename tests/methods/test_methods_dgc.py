"""DGC: its formulas against a second writing, the reach of its updates, how it predicts and what it generates."""

import numpy as np
import pytest
import torch
from interruption import drawn, engine_of, moved, phases_of, resumed
from sklearn.base import clone
from sklearn.datasets import load_digits, make_blobs
from torch.distributions import Normal

from latentover import DGCClassifier, load, save
from latentover.methods import dgc
from latentover.training.capture import recordable
from latentover.training.engine import parameters_of

COUNTS = [4000, 2000, 1000, 750, 500, 350, 200, 100, 60, 40]
SMALL = {
    "latent_dim": 4,
    "feature_dim": 16,
    "hidden_units": 32,
    "batch_size": 16,
    "prediction_samples": 3,
    "pretraining_steps": 3,
    "learning_rate": 3e-3,
    "random_state": 0,
    "device": "cpu",
    "precision": "float32",
}
SCALES = (0.1, 0.2, 0.5, 1, 2, 5, 10)
ENCODING = {"encoder", "hidden", "mean", "log_variance"}


@pytest.fixture(scope="module")
def blobs():
    X, y = make_blobs([80, 30, 12], centers=[[0, 0, 0, 5], [5, 0, 0, 0], [0, 5, 0, 0]], random_state=0)
    return X.astype(np.float32), np.array(["b", "c", "a"])[y]


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    kept = np.concatenate([np.flatnonzero(y == label)[:n] for label, n in ((0, 30), (1, 15), (2, 8))])
    return (X[kept].reshape(-1, 1, 8, 8) * 15).astype(np.uint8), y[kept]


@pytest.fixture(scope="module")
def fitted(blobs):
    return DGCClassifier(**SMALL, max_steps=250).fit(*blobs)


def started(estimator, X, y, monkeypatch):
    """Return the engine of an estimator's `fit`, some steps into the training."""
    engine = engine_of(estimator, X, y, monkeypatch)
    for step in range(3):
        engine.run_step(step)
    return engine


def naive_mmd(q, p):
    """The discrepancy, pair by pair."""
    (n, k), total = q.shape, 0.0
    for s in SCALES:
        c = 2 * k * s
        for i in range(n):
            for j in range(n):
                if i != j:
                    total = total + c / (c + ((q[i] - q[j]) ** 2).sum()) / (n * (n - 1))
                    total = total + c / (c + ((p[i] - p[j]) ** 2).sum()) / (n * (n - 1))
                total = total - 2 * c / (c + ((q[i] - p[j]) ** 2).sum()) / n**2
    return total


class TestDiscrepancy:
    @pytest.mark.parametrize(
        ("q", "expected"), [([[0.0, 1.0], [2.0, 0.0]], -0.643822), ([[0.0, 0.0], [1.0, 0.0]], -1.986295)]
    )
    def test_oracles(self, q, expected):
        p = torch.tensor([[0.0, 0.0], [1.0, 0.0]])
        assert dgc.mmd(torch.tensor(q), p).item() == pytest.approx(expected, abs=1e-6)

    def test_a_second_writing(self):
        rng = np.random.default_rng(0)
        q, p = rng.normal(size=(7, 3)), rng.normal(size=(7, 3)) + 0.5
        assert dgc.mmd(torch.tensor(q), torch.tensor(p)).item() == pytest.approx(naive_mmd(q, p), rel=1e-4)

    def test_it_tells_the_prior_from_others(self):
        generator = torch.Generator().manual_seed(0)
        prior, same, far, narrow = (
            scale * torch.randn(300, 4, generator=generator) + shift
            for scale, shift in ((1, 0), (1, 0), (1, 1), (0.3, 0))
        )
        assert abs(dgc.mmd(same, prior).item()) < 0.05
        assert dgc.mmd(far, prior).item() > 0.3
        assert dgc.mmd(narrow, prior).item() > 0.3

    def test_in_half_precision_it_is_computed_in_float32(self):
        z = torch.randn(20, 4, generator=torch.Generator().manual_seed(0)).bfloat16()
        assert dgc.mmd(z, z.flip(0)).dtype == torch.float32


class TestLosses:
    def test_reconstruction_is_half_the_squared_error_of_a_sample(self):
        x, y = torch.rand(3, 1, 4, 4), torch.rand(3, 1, 4, 4)
        expected = -(Normal(y, 1.0).log_prob(x) + 0.5 * np.log(2 * np.pi)).sum(dim=(1, 2, 3))
        torch.testing.assert_close(dgc.reconstruction_loss(x, y), expected)

    def test_moments_of_whitened_latents_cost_nothing(self):
        z = torch.randn(50, 3, generator=torch.Generator().manual_seed(0)).double()
        z = z - z.mean(dim=0)
        white = z @ torch.linalg.inv(torch.linalg.cholesky(z.t() @ z / 49)).t()
        assert dgc.moments_loss(white.float()).item() == pytest.approx(0, abs=1e-6)
        assert dgc.moments_loss(white.float() + 1).item() == pytest.approx(1, abs=1e-3)
        assert dgc.moments_loss(2 * white.float()).item() == pytest.approx(3 * 3**2 / 9, abs=1e-3)

    def test_bound_is_the_log_of_the_mean(self):
        rng = np.random.default_rng(0)
        r, k = rng.random((5, 4, 3)), rng.random((5, 4, 3))
        expected = np.log(np.mean(np.exp(-r - k), axis=0))
        found = dgc.label_bounds(torch.tensor(r), torch.tensor(k))
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6)

    def test_bound_of_improbable_samples_is_finite(self):
        assert torch.isfinite(dgc.label_bounds(torch.full((3, 1, 2), 1e4), torch.zeros(3, 1, 2))).all()

    @pytest.mark.parametrize("reduction", ["mean", "sum"])
    def test_classification_is_a_mean_or_a_sum(self, blobs, monkeypatch, reduction):
        engine = engine_of(DGCClassifier(**SMALL, classification_reduction=reduction), *blobs, monkeypatch)
        z, labels = torch.randn(6, 4), torch.tensor([0, 1, 2, 0, 1, 2])
        logits = engine.program.networks.classifier(z)
        each = torch.logsumexp(logits, dim=1) - logits[torch.arange(6), labels]
        expected = each.sum() if reduction == "sum" else each.sum() / 6
        torch.testing.assert_close(engine.program.classification(z, labels), expected)

    def test_log_variances_are_bounded(self, blobs, monkeypatch):
        networks = engine_of(DGCClassifier(**SMALL), *blobs, monkeypatch).program.networks
        for bias, bound in ((1e3, 50.0), (-1e3, -50.0), (20.0, None)):
            torch.nn.init.constant_(networks.log_variance.bias, bias)
            _, found = networks.posterior(torch.randn(5, 16), torch.tensor([0, 1, 2, 0, 1]))
            assert (found == bound).all() if bound else (found.abs() < 50).all()


class TestPerturbation:
    def test_targets_of_the_published_counts(self):
        expected = [4000, 3200, 2800, 2700, 2600, 2540, 2480, 2440, 2424, 2416]
        assert dgc.posterior_targets(torch.tensor(COUNTS), 0.6).tolist() == pytest.approx(expected)

    def test_repeats(self):
        labels = torch.tensor([0, 1, 0, 9, 1, 0])
        # class 0 as it is; class 1: floor(2 * 1.6) = 3; class 9: floor(1 + 0.6 * 3960 / 40) = 60
        assert dgc.posterior_repeats(labels, torch.tensor(COUNTS), 0.6).tolist() == [1, 2, 1, 60, 1, 1]

    def test_a_rate_of_nothing_repeats_nothing(self):
        labels = torch.tensor([0, 1, 0, 9])
        assert dgc.posterior_repeats(labels, torch.tensor(COUNTS), 0.0).tolist() == [1, 1, 1, 1]

    def test_a_whole_epoch_has_the_targets(self):
        labels = torch.arange(3).repeat_interleave(torch.tensor([40, 20, 10]))
        repeats = dgc.posterior_repeats(labels, torch.tensor([40, 20, 10]), 0.6)
        assert torch.bincount(labels.repeat_interleave(repeats)).tolist() == [40, 32, 28]

    @pytest.mark.parametrize("rate", [0.0, 0.35, 0.6, 1.0])
    def test_rows_of_a_class_take_turns(self, rate):
        generator = torch.Generator().manual_seed(0)
        for size in (1, 2, 7, 100):
            labels = torch.randint(10, (size,), generator=generator)
            expected = [0] * size
            for label, n in enumerate(COUNTS):
                members = [row for row in range(size) if labels[row] == label]
                for i in range(int(len(members) * (1 + rate * (4000 - n) / n) + 1e-9)):
                    expected[members[i % len(members)]] += 1
            found = dgc.posterior_repeats(labels, torch.tensor(COUNTS), rate)
            assert found.tolist() == expected

    @pytest.mark.parametrize(("rate", "most"), [(0.0, 1), (0.6, 61), (1.0, 100)])
    def test_no_row_is_drawn_more_often_than_the_most(self, rate, most):
        """0.6 * 3960 / 40 + 1 = 60.4: of three rows of the rarest class, which are drawn 181 times, one is 61 times."""
        counts = torch.tensor(COUNTS)
        assert dgc.most_repeats(counts, rate) == most
        batches = [torch.full((n,), label) for n in range(1, 30) for label in range(10)]
        assert max(dgc.posterior_repeats(labels, counts, rate).max().item() for labels in batches) == most

    @pytest.mark.parametrize("reduction", ["mean", "sum"])
    def test_draws_of_fixed_shape_weigh_what_is_drawn(self, blobs, monkeypatch, reduction):
        engine = started(DGCClassifier(**SMALL, classification_reduction=reduction), *blobs, monkeypatch)
        program, (phase,) = engine.program, phases_of(engine, "perturbation")
        mean, log_variance, labels = program.posteriors[program.batches.size]
        log_variance.fill_(-50.0)  # what is drawn are the means, up to 1e-4
        repeats = dgc.posterior_repeats(labels, program.data.class_counts, 0.6)
        assert repeats.min() == 1 < repeats.max() < program.most_repeats
        z, of, counts = drawn(engine, phase)
        assert counts.tolist() == [1] * int(repeats.sum())
        with recordable():
            padded = drawn(engine, phase)
            masked = phase.losses(padded)["perturbation"]
        assert [len(part) for part in padded] == [len(labels) * program.most_repeats] * 3
        assert padded[2].sum() == repeats.sum()
        kept = padded[2].bool()
        assert set(padded[2].tolist()) == {0, 1}
        for points, own in ((z, of), (padded[0][kept], padded[1][kept])):
            nearest = torch.cdist(points, mean).argmin(dim=1)
            torch.testing.assert_close(points, mean[nearest], atol=1e-3, rtol=0)
            assert torch.equal(labels[nearest], own)
            assert torch.bincount(nearest, minlength=len(labels)).tolist() == repeats.tolist()
        each = [-program.networks.classifier(x).log_softmax(0)[c] for x, c in zip(z, of, strict=True)]
        loss = sum(each) if reduction == "sum" else sum(each) / len(each)
        torch.testing.assert_close(phase.losses((z, of, counts))["perturbation"], loss)
        each = [
            -program.networks.classifier(x).log_softmax(0)[c]
            for x, c in zip(padded[0][kept], padded[1][kept], strict=True)
        ]
        torch.testing.assert_close(masked, sum(each) if reduction == "sum" else sum(each) / len(each))

    def test_draws_have_the_spread_of_the_posteriors(self, blobs, monkeypatch):
        engine = started(DGCClassifier(**SMALL), *blobs, monkeypatch)
        program, (phase,) = engine.program, phases_of(engine, "perturbation")
        mean, log_variance, _ = program.posteriors[program.batches.size]
        mean.zero_()
        log_variance.fill_(np.log(9.0))
        z = torch.cat([drawn(engine, phase)[0] for _ in range(50)])
        assert z.mean().item() == pytest.approx(0, abs=5 * 3 / np.sqrt(z.numel()))
        assert z.std().item() == pytest.approx(3, abs=5 * 3 / np.sqrt(2 * z.numel()))


class TestUpdates:
    def test_reach_their_own_networks_alone(self, digits, monkeypatch):
        engine = engine_of(DGCClassifier(**SMALL, channels=4), *digits, monkeypatch)
        assert moved(engine, *phases_of(engine, "encoder")) == ENCODING
        assert moved(engine, *phases_of(engine, "pretraining")) == ENCODING
        assert moved(engine, *phases_of(engine, "all")) == {*ENCODING, "decoder", "classifier"}

    def test_perturbation_moves_the_classifier_once_more(self, blobs, monkeypatch):
        engine = engine_of(DGCClassifier(**SMALL), *blobs, monkeypatch)
        engine.update(*phases_of(engine, "all"))
        assert moved(engine, *phases_of(engine, "perturbation")) == {"classifier"}
        engine = engine_of(DGCClassifier(**SMALL, resampling_rate=0.0), *blobs, monkeypatch)
        assert phases_of(engine, "perturbation") == []

    @pytest.mark.parametrize(("near_enough", "updates"), [(0.0, 3), (1e9, 1)])
    def test_pretraining_ends_when_the_moments_are_near(self, blobs, monkeypatch, near_enough, updates):
        engine = engine_of(DGCClassifier(**SMALL), *blobs, monkeypatch)
        monkeypatch.setattr(dgc, "PRETRAINED", near_enough)
        found, loss = [], dgc.moments_loss
        monkeypatch.setattr(dgc, "moments_loss", lambda z, weights: found.append(z) or loss(z, weights))
        engine.run_step(0)
        engine.run_step(1)
        assert len(found) == updates

    def test_order_and_number(self, blobs, monkeypatch):
        settings = {**SMALL, "encoder_steps": 2, "pretraining_steps": 7}
        engine = engine_of(DGCClassifier(**settings), *blobs, monkeypatch)
        found = [
            (phase.name, phase.repeat, [phase.runs_in(step) for step in range(3)]) for phase in engine.program.phases
        ]
        assert found == [
            ("pretraining", 7, [True, False, False]),
            ("encoder", 2, [True] * 3),
            ("all", 1, [True] * 3),
            ("perturbation", 1, [True] * 3),
        ]

    def test_the_schedule_leaves_the_pretraining_alone(self, blobs, monkeypatch):
        engine = engine_of(DGCClassifier(**SMALL, max_steps=10, schedule="cosine"), *blobs, monkeypatch)
        engine.rates.set(5)
        rates = {name: each.param_groups[0]["lr"] for name, each in engine.program.optimizers.items()}
        assert rates == pytest.approx({"pretraining": 1e-3, "encoder": 1.5e-3, "all": 1.5e-3, "classifier": 1.5e-3})


class TestSecondWriting:
    """Each update against gradients that are written out again, sample by sample and some steps into the training."""

    @staticmethod
    def latents(networks, x, labels, noise):
        """The encoder's batch goes through it together, for it may normalise it."""
        found = []
        for features, label, e in zip(networks.encoder(x), labels, noise, strict=True):
            row = torch.cat([features, torch.eye(3)[label]])
            hidden = networks.hidden.weight @ row + networks.hidden.bias
            mean, log_variance = (
                layer.weight @ hidden + layer.bias for layer in (networks.mean, networks.log_variance)
            )
            found.append(mean + e * (1e-8 + log_variance.exp()) ** 0.5)
        return torch.stack(found)

    @staticmethod
    def entropy(networks, z, label):
        logits = networks.classifier.weight @ z + networks.classifier.bias
        return logits.exp().sum().log() - logits[label]

    @staticmethod
    def follows(engine, phase, draws, optimizer, loss, networks):
        losses, found = engine.gradients(phase, draws)
        assert set(found) == {optimizer}
        parameters = list(parameters_of(engine.program.optimizers[optimizer]))
        own = dict(engine.program.networks.named_children())
        assert {id(p) for p in parameters} == {id(p) for name in networks for p in own[name].parameters()}
        expected = torch.autograd.grad(loss, parameters)
        assert max(gradient.abs().max() for gradient in expected) > 1e-3
        for one, other in zip(found[optimizer], expected, strict=True):
            torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)
        return losses

    @pytest.mark.parametrize("name", ["all", "encoder"])
    @pytest.mark.parametrize(("data", "reduction"), [("blobs", "sum"), ("digits", "mean")])
    def test_objective(self, request, monkeypatch, data, name, reduction):
        settings = {**SMALL, "channels": 4, "mmd_weight": 3.0, "classification_reduction": reduction}
        engine = started(DGCClassifier(**settings), *request.getfixturevalue(data), monkeypatch)
        (phase,), networks = phases_of(engine, name), engine.program.networks
        draws = drawn(engine, phase)
        assert draws.noise.shape == draws.prior.shape == (16, 4)
        z = self.latents(networks, draws.x, draws.labels, draws.noise)
        decoded = networks.decoder(z, torch.zeros(16, 0))
        errors = [((x - y) ** 2).sum() / 2 for x, y in zip(draws.x, decoded, strict=True)]
        entropies = [self.entropy(networks, row, label) for row, label in zip(z, draws.labels, strict=True)]
        terms = {
            "reconstruction": sum(errors) / 16,
            "mmd": naive_mmd(z, draws.prior),
            "classifier": sum(entropies) if reduction == "sum" else sum(entropies) / 16,
        }
        loss = terms["reconstruction"] + 3 * terms["mmd"] + terms["classifier"]
        networks_moved = ENCODING if name == "encoder" else {*ENCODING, "decoder", "classifier"}
        losses = self.follows(engine, phase, draws, name, loss, networks_moved)
        assert losses.keys() == terms.keys()
        for term, value in terms.items():
            assert losses[term].item() == pytest.approx(value.item(), rel=1e-4)

    @pytest.mark.parametrize("data", ["blobs", "digits"])
    def test_pretraining(self, request, monkeypatch, data):
        engine = started(DGCClassifier(**SMALL, channels=4), *request.getfixturevalue(data), monkeypatch)
        (phase,), networks = phases_of(engine, "pretraining"), engine.program.networks
        x, labels, noise, _ = draws = drawn(engine, phase)
        assert len(x) == len(labels) == len(noise) == len(engine.program.data.labels)
        z = self.latents(networks, x, labels, noise)
        n, k = z.shape
        mean = sum(z) / n
        covariance = sum(torch.outer(row - mean, row - mean) for row in z) / (n - 1)
        loss = (mean**2).sum() / k + ((covariance - torch.eye(k)) ** 2).sum() / k**2
        losses = self.follows(engine, phase, draws, "pretraining", loss, ENCODING)
        assert losses["pretraining"].item() == pytest.approx(loss.item(), rel=1e-4)

    @pytest.mark.parametrize("reduction", ["mean", "sum"])
    @pytest.mark.parametrize("recorded", [False, True])
    def test_perturbation(self, blobs, monkeypatch, reduction, recorded):
        engine = started(DGCClassifier(**SMALL, classification_reduction=reduction), *blobs, monkeypatch)
        (phase,), networks = phases_of(engine, "perturbation"), engine.program.networks
        with recordable() if recorded else monkeypatch.context():
            z, labels, counts = draws = drawn(engine, phase)
            entropies = [
                self.entropy(networks, row, label) for row, label, n in zip(z, labels, counts, strict=True) if n > 0
            ]
            loss = sum(entropies) if reduction == "sum" else sum(entropies) / len(entropies)
            losses = self.follows(engine, phase, draws, "classifier", loss, {"classifier"})
        assert losses["perturbation"].item() == pytest.approx(loss.item(), rel=1e-4)

    def test_the_posteriors_are_those_of_the_update_before(self, blobs, monkeypatch):
        """Of its draws, as the encoder was before it moved."""
        engine = started(DGCClassifier(**SMALL), *blobs, monkeypatch)
        (phase,), program = phases_of(engine, "all"), engine.program
        draws = drawn(engine, phase)
        with torch.no_grad():
            expected = (*program.networks.posterior(program.networks.encoder(draws.x), draws.labels), draws.labels)
        engine.gradients(phase, draws)
        places = program.posteriors[16]
        for one, other in zip(places, expected, strict=True):
            torch.testing.assert_close(one, other)
        for name in ("encoder", "all"):
            engine.update(*phases_of(engine, name))
        assert all(one is other for one, other in zip(places, program.posteriors[16], strict=True))


class TestPrediction:
    def test_rare_classes_are_found(self, fitted, blobs):
        X, y = blobs
        recalls = [(fitted.predict(X)[y == label] == label).mean() for label in "abc"]
        assert min(recalls) > 0.85

    def test_probabilities_sum_to_one(self, fitted, blobs):
        np.testing.assert_allclose(fitted.predict_proba(blobs[0]).sum(axis=1), 1)

    def test_a_second_writing(self, fitted, blobs):
        """Each label is tried in turn: encode x with it, draw, decode, classify."""
        networks, tensors = fitted.networks_, fitted.tensors_
        x = fitted.format_.network_input(fitted.format_.encode(blobs[0][:4]))
        expected = np.zeros((4, 3))
        with torch.no_grad():
            for row in range(4):
                features = networks.encoder(x[row : row + 1])
                for label in range(3):
                    mean, log_variance = networks.posterior(features, torch.tensor([label]))
                    terms = []
                    for noise in tensors["prediction_noise"]:
                        z = mean + noise * torch.sqrt(1e-8 + log_variance.exp())
                        error = ((x[row] - networks.decode(z)[0]) ** 2).sum() / 2
                        log_p = torch.log_softmax(networks.classifier(z), dim=1)[0, label]
                        terms.append(np.exp(-error.item() + log_p.item()))
                    expected[row, label] = np.log(np.mean(terms)) - tensors["discrepancies"][label].item()
        np.testing.assert_allclose(fitted.decision_function(blobs[0][:4]), expected, rtol=1e-3, atol=1e-3)

    def test_the_discrepancy_enters_as_it_is_told(self, fitted, blobs):
        X = blobs[0][:5]
        model = clone(fitted).set_params(max_steps=5).fit(*blobs)
        scores = {}
        for sign in ("subtract", "add", "none"):
            model.prediction_mmd = sign
            scores[sign] = model.decision_function(X)
        discrepancies = model.tensors_["discrepancies"].numpy()[None]
        np.testing.assert_allclose(scores["none"] - scores["subtract"], discrepancies.repeat(5, 0), atol=1e-4)
        np.testing.assert_allclose(scores["add"] - scores["none"], discrepancies.repeat(5, 0), atol=1e-4)

    def test_the_discrepancy_is_of_a_sample_of_bounded_size(self, blobs, monkeypatch):
        sizes = []
        mmd = dgc.mmd
        monkeypatch.setattr(dgc, "mmd", lambda q, p, weights: sizes.append((len(q), len(p))) or mmd(q, p, weights))
        X, y = (np.tile(a.T, 5).T for a in blobs)  # 610 rows
        DGCClassifier(**SMALL, max_steps=2).fit(X, y)
        assert sizes == [(16, 16)] * 4 + [(dgc.MMD_SAMPLES, dgc.MMD_SAMPLES)] * 3  # two updates of a step, three labels

    def test_rows_do_not_depend_on_one_another(self, fitted, blobs):
        X = blobs[0][::10]
        alone = np.concatenate([fitted.decision_function(x[None]) for x in X])
        np.testing.assert_allclose(alone, fitted.decision_function(X), rtol=1e-4, atol=1e-4)


class TestSamples:
    def test_come_from_the_posteriors_of_their_class(self, fitted, blobs):
        X, y = blobs
        for label in "abc":
            made = fitted.sample(200, y=label, random_state=0)
            own = np.linalg.norm(made.mean(axis=0) - X[y == label].mean(axis=0))
            others = [
                np.linalg.norm(made.mean(axis=0) - X[y == other].mean(axis=0)) for other in "abc" if other != label
            ]
            assert own < min(others)

    def test_are_decoded_draws_of_their_parents(self, fitted):
        generator = torch.Generator().manual_seed(0)
        with torch.inference_mode():
            synthetic = fitted._generate(2, 40, generator)
            rows = torch.from_numpy(synthetic.parents[:, 0])
            noise = np.inf
            mean = fitted.networks_.decode(fitted.tensors_["mean"][rows])
            noise = (synthetic.outputs - mean).abs().mean()
            apart = (mean[:, None] - mean[None]).abs().mean()
        assert (fitted.tensors_["labels"][rows] == 2).all()
        assert noise < apart

    def test_pictures(self, digits):
        X, y = digits
        model = DGCClassifier(**{**SMALL, "latent_dim": 8}, channels=8, max_steps=80).fit(X, y)
        made = model.sample(6, y=2, random_state=0)
        assert made.shape == (6, 1, 8, 8)
        assert made.dtype == np.uint8
        means = np.stack([X[y == label].mean(axis=0) for label in range(3)])
        distances = ((model.sample(30, y=2, random_state=0).mean(axis=0)[None] - means) ** 2).sum(axis=(1, 2, 3))
        assert distances.argmin() == 2


def test_a_class_of_one_sample(blobs):
    X, y = blobs
    X, y = np.vstack([X, [[9.0, 9.0, 9.0, 9.0]]]), np.append(y, "d")
    with pytest.warns(UserWarning, match="1 of class 'd'"):
        model = DGCClassifier(**SMALL, max_steps=3).fit(X, y)
    assert model.sample(4, y="d").shape == (4, 4)


def test_trains_in_bfloat16_and_predicts_in_float32(digits):
    X, y = digits
    model = DGCClassifier(**{**SMALL, "precision": "bfloat16"}, channels=4, max_steps=5, augment="shift").fit(X, y)
    assert all(parameter.dtype == torch.float32 for parameter in model.networks_.parameters())
    assert np.isfinite(model.predict_proba(X)).all()


@pytest.mark.parametrize("encoder", ["resnet", torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 16))])
def test_any_encoder(digits, encoder):
    X, y = digits
    assert DGCClassifier(**SMALL, channels=4, encoder=encoder, max_steps=2).fit(X, y).predict(X).shape == y.shape


@pytest.mark.parametrize("step", [1, 4])
def test_resumes_bit_equal(digits, tmp_path, monkeypatch, step):
    X, y = digits
    estimator = DGCClassifier(**SMALL, channels=4, max_steps=7, schedule="one_cycle")
    whole = clone(estimator).fit(X, y)
    again = resumed(estimator, X, y, step, tmp_path / "run.checkpoint", monkeypatch)
    for key, tensor in whole.networks_.state_dict().items():
        assert torch.equal(tensor, again.networks_.state_dict()[key]), key
    np.testing.assert_array_equal(whole.predict_proba(X), again.predict_proba(X))


def test_a_bundle_predicts_and_generates_the_same(fitted, blobs, tmp_path):
    again = load(save(fitted, tmp_path))
    np.testing.assert_array_equal(again.predict_proba(blobs[0]), fitted.predict_proba(blobs[0]))
    np.testing.assert_array_equal(again.sample(5, y="a", random_state=0), fitted.sample(5, y="a", random_state=0))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"prediction_mmd": "plus"}, "prediction_mmd to be one of"),
        ({"classification_reduction": "max"}, "classification_reduction to be one of"),
        ({"prediction_samples": 0}, "prediction_samples to be a whole number at least 1"),
        ({"resampling_rate": 1.5}, "resampling_rate to be a number from 0 to 1"),
        ({"mmd_weight": -1}, "mmd_weight to be a number at least 0"),
    ],
)
def test_wrong_settings_are_said_before_training(blobs, settings, message):
    with pytest.raises(ValueError, match=f"Expected .*{message}"):
        DGCClassifier(**{**SMALL, **settings}).fit(*blobs)


class TestPublished:
    """Constants of the paper and of the authors' code."""

    @pytest.fixture
    def engine(self, monkeypatch):
        X, y = load_digits(return_X_y=True)
        return engine_of(DGCClassifier(device="cpu"), X[:1200], y[:1200], monkeypatch)

    def test_optimizers(self, engine):
        groups = {name: each.param_groups[0] for name, each in engine.program.optimizers.items()}
        rates = {"pretraining": 1e-3, "encoder": 2e-4, "all": 2e-4, "classifier": 2e-4}
        assert {name: group["lr"] for name, group in groups.items()} == rates
        for group in groups.values():
            assert (group["betas"], group["eps"], group["weight_decay"]) == ((0.5, 0.999), 1e-8, 0)

    def test_draws(self, engine):
        draws = drawn(engine, *phases_of(engine, "all"))
        assert (len(draws.x), draws.noise.shape, draws.prior.shape) == (100, (100, 64), (100, 64))
        pretraining = drawn(engine, *phases_of(engine, "pretraining"))
        assert [len(part) for part in pretraining[:3]] == [1000] * 3
        assert len(pretraining[0].unique(dim=0)) == 1000

    def test_pretraining_and_weights(self, engine):
        (pretraining,), (encoder,) = phases_of(engine, "pretraining"), phases_of(engine, "encoder")
        assert (pretraining.repeat, encoder.repeat) == (200, 1)
        assert [pretraining.until({"pretraining": torch.tensor(loss)}) for loss in (0.101, 0.099)] == [False, True]
        (everything,) = phases_of(engine, "all")
        weights = {"reconstruction": 1.0, "mmd": 1.0, "classifier": 1.0}
        assert dict(everything.moves["all"]) == dict(encoder.moves["encoder"]) == weights

    def test_kernels_and_samples(self, engine):
        assert dgc.KERNEL_SCALES == SCALES
        assert (engine.program.settings.resampling_rate, engine.program.settings.prediction_samples) == (0.6, 10)
        assert [
            module.out_features for module in (engine.program.networks.mean, engine.program.networks.log_variance)
        ] == [
            64,
            64,
        ]
