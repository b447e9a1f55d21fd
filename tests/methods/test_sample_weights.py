"""Weights of samples in the training of every classifier: against second writings in plain loops."""

import numpy as np
import pytest
import torch
from imblearn.over_sampling import SMOTE, RandomOverSampler
from interruption import drawn, engine_of, phases_of
from sklearn.base import clone
from torch import nn

from latentover import ClassicalSampler, DeepClassifier, DGCClassifier, GAMOClassifier, M2mClassifier, RAEClassifier
from latentover.methods import dgc
from latentover.mixing import AMMixup, MAMix, Mixed, Mixup, NeighborMix, Remix, SMOTEMix

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(16, 3)).astype(np.float32), np.repeat([0, 1], [12, 4])
WEIGHTS = RNG.random(16) * 3
WEIGHTS[[2, 13]] = 0
SMALL = {"hidden_units": 8, "batch_size": 16, "device": "cpu", "precision": "float32", "random_state": 0}
DEEP = {**SMALL, "max_epochs": 3, "feature_dim": 4, "dropout": 0.0}
CLASSIFIERS = [
    DeepClassifier(**DEEP, loss_reduction="mean"),
    DeepClassifier(**DEEP, mixing=Remix(), reweighting="class_weights"),
    M2mClassifier(**DEEP, translation_start=0.4, confidence=0.0),
    RAEClassifier(**SMALL, latent_dim=4, max_steps=5, dropout=0.0, match_moments=False),
    GAMOClassifier(**SMALL, max_steps=5),
    DGCClassifier(**SMALL, latent_dim=4, max_steps=5, pretraining_steps=3),
]
EACH = pytest.mark.parametrize("classifier", CLASSIFIERS, ids=lambda each: type(each).__name__)
LOSS_WEIGHTS = pytest.mark.parametrize(
    "classifier", [each for each in CLASSIFIERS if not isinstance(each, RAEClassifier)], ids=lambda c: type(c).__name__
)


def backbone():
    return nn.Sequential(nn.Linear(3, 6), nn.Tanh(), nn.Linear(6, 4))


def assert_gradients(engine, phase, draws, expected, optimizer="networks", loss="classifier"):
    losses, gradients = engine.gradients(phase, draws)
    torch.testing.assert_close(losses[loss], expected)
    parameters = engine._parameters[optimizer]
    theirs = torch.autograd.grad(expected, parameters, allow_unused=True)
    assert any(gradient is not None for gradient in theirs)
    for ours, other in zip(gradients[optimizer], theirs, strict=True):
        torch.testing.assert_close(ours, other, rtol=1e-4, atol=1e-6)


def of_rows(engine, inputs):
    """Return the weights of these inputs (B, d), known by their values."""
    data = engine.program.data
    found = (inputs[:, None] == data.prepare(data.inputs)[None]).all(dim=2)
    assert (found.sum(dim=1) == 1).all()
    return torch.tensor(WEIGHTS / WEIGHTS.mean()).float()[found.int().argmax(dim=1)]


class TestDeepClassifier:
    @pytest.mark.parametrize("reduction", ["weighted_mean", "mean"])
    @pytest.mark.parametrize("reweighting", [None, "class_weights"])
    @pytest.mark.parametrize("loss", ["ce", "focal", "logit_adjusted"])
    def test_the_gradient_is_that_of_a_second_writing(self, loss, reweighting, reduction, monkeypatch):
        settings = {**DEEP, "backbone": backbone(), "loss": loss, "reweighting": reweighting}
        estimator = DeepClassifier(**settings, loss_reduction=reduction)
        engine = engine_of(estimator, X, Y, monkeypatch, sample_weight=WEIGHTS)
        (phase,), networks = engine.program.phases, engine.program.networks
        draws = drawn(engine, phase)
        weights = of_rows(engine, draws.inputs)
        logits = networks["classifier"](networks["encoder"](draws.inputs))
        if loss == "logit_adjusted":
            logits = logits + torch.tensor([12 / 16, 4 / 16]).log()
        total, norm = 0.0, 0.0
        for row, label, weight in zip(logits, draws.labels, weights, strict=True):
            p = row.exp()[label] / row.exp().sum()
            each = weight * ([16 / 24, 16 / 8][label] if reweighting else 1)
            total = total - each * (1 - p) ** (2 if loss == "focal" else 0) * p.log()
            norm = norm + each
        assert_gradients(engine, phase, draws, total / (norm if reduction == "weighted_mean" else 16))

    @pytest.mark.parametrize("cls", [Mixup, Remix, MAMix, NeighborMix, SMOTEMix, AMMixup], ids=lambda cls: cls.__name__)
    @pytest.mark.parametrize("space", ["input", "hidden", "features"])
    def test_each_half_of_a_mixture_has_the_weight_of_its_own_sample(self, cls, space, monkeypatch):
        rule = cls(space=space, layers=(2,))
        estimator = DeepClassifier(**DEEP, backbone=backbone(), mixing=rule, reweighting="class_weights")
        engine = engine_of(estimator, X, Y, monkeypatch, sample_weight=WEIGHTS)
        (phase,), program = engine.program.phases, engine.program
        networks, generator, mixes = program.networks, program.data.generator, []
        call = cls.__call__

        def spy(self, inputs, labels, *arguments, **partners):
            mixes.append((inputs, partners.get("partners"), call(self, inputs, labels, *arguments, **partners)))
            return mixes[-1][2]

        monkeypatch.setattr(cls, "__call__", spy)
        draws = drawn(engine, phase)
        state = generator.get_state()
        engine.gradients(phase, draws)
        (hidden, near, mixed), *_ = mixes
        encoder, classifier = networks["encoder"], networks["classifier"]
        behind = {"input": encoder, "hidden": encoder[2:], "features": nn.Identity()}[space]
        # Which sample a partner is shows in the inputs: the mixture is on the way to it.
        own = of_rows(engine, draws.inputs)
        if near is None:
            lam = (mixed.inputs - hidden[mixed.partner_rows]).norm(dim=1)
            lam = lam / (hidden - hidden[mixed.partner_rows]).norm(dim=1).clamp(min=1e-9)
            on_the_way = torch.lerp(hidden[mixed.partner_rows], hidden, lam.unsqueeze(1))
            torch.testing.assert_close(mixed.inputs, on_the_way, rtol=1e-4, atol=1e-5)
            theirs = own[mixed.partner_rows]
        else:
            theirs = of_rows(engine, near[0] if space == "input" else draws.near[0])
        generator.set_state(state)
        with torch.enable_grad():
            before = {"input": nn.Identity(), "hidden": encoder[:2], "features": encoder}[space]
            if space != "input":
                more = {} if draws.near is None else {"partners": (before(draws.near[0]), draws.near[1])}
                mixed = call(rule, before(draws.inputs), draws.labels, program.data.class_counts, generator, **more)
            logits, counts = classifier(behind(mixed.inputs)), [16 / 24, 16 / 8]
            total, norm = 0.0, 0.0
            for i in range(16):
                for label, share, weight in (
                    (mixed.labels[i], mixed.label_weight[i], own[i]),
                    (mixed.partners[i], 1 - mixed.label_weight[i], theirs[i]),
                ):
                    total = total - share * counts[label] * weight * logits[i].log_softmax(dim=0)[label]
                    norm = norm + share * counts[label] * weight
            expected = total / norm
            if cls is AMMixup:
                clean = classifier(encoder(draws.inputs)).log_softmax(dim=1)[torch.arange(16), draws.labels]
                each = torch.tensor(counts)[draws.labels] * own
                expected = expected - (each * clean).sum() / each.sum()
        generator.set_state(state)
        assert_gradients(engine, phase, draws, expected)

    def test_a_sample_of_weight_zero_is_not_there(self, monkeypatch):
        """The gradient is that of the batch without it."""
        estimator = DeepClassifier(**DEEP, backbone=backbone())
        engine = engine_of(estimator, X, Y, monkeypatch, sample_weight=(WEIGHTS > 0) * 1.7)
        (phase,), networks = engine.program.phases, engine.program.networks
        draws = drawn(engine, phase)
        kept = of_rows(engine, draws.inputs) > 0
        assert kept.sum() == 14
        logits = networks["classifier"](networks["encoder"](draws.inputs[kept]))
        assert_gradients(engine, phase, draws, nn.functional.cross_entropy(logits, draws.labels[kept]))

    def test_a_batch_of_weights_of_zero_alone_changes_nothing(self, monkeypatch):
        estimator = DeepClassifier(**{**DEEP, "batch_size": 2}, backbone=backbone())
        weights = np.zeros(16)
        weights[[0, 12]] = 1
        engine = engine_of(estimator, X, Y, monkeypatch, sample_weight=weights)
        (phase,) = engine.program.phases
        draws = next(each for each in (drawn(engine, phase) for _ in range(8)) if not each.weights.any())
        losses, gradients = engine.gradients(phase, draws)
        assert losses["classifier"] == 0
        assert not any(gradient.any() for gradient in gradients["networks"])

    def test_a_rule_that_does_not_say_whom_it_mixes_is_refused(self):
        class Silent(Mixup):
            def __call__(self, *arguments, **partners):
                mixed = super().__call__(*arguments, **partners)
                return Mixed(mixed.inputs, mixed.labels, mixed.partners, mixed.label_weight)

        with pytest.raises(ValueError, match=r"Expected mixing to say which samples it mixes \(Mixed.partner_rows\)"):
            DeepClassifier(**DEEP, mixing=Silent()).fit(X, Y, sample_weight=WEIGHTS)

    @pytest.mark.parametrize("sampler", [ClassicalSampler(k_neighbors=2), RandomOverSampler()], ids=["ours", "repeats"])
    def test_what_a_stage_is_made_of_has_weights_too(self, sampler, monkeypatch):
        estimator = DeepClassifier(**DEEP, stage_sampler=sampler, stage_start=0.5)
        engine = engine_of(estimator, X, Y, monkeypatch, sample_weight=WEIGHTS)
        data = engine.program.stage.data
        assert len(data.inputs) == len(data.sample_weight) == 24
        np.testing.assert_allclose(data.sample_weight[:16], WEIGHTS)
        rare = engine.program.data.inputs[12:], torch.tensor(WEIGHTS[12:])
        for row, weight in zip(data.inputs[16:], data.sample_weight[16:], strict=True):
            near = (rare[0] - row).square().sum(dim=1).sqrt()
            if isinstance(sampler, RandomOverSampler):
                assert weight == rare[1][near.argmin()]
            else:
                assert rare[1][rare[1] > 0].min() <= weight <= rare[1].max()

    def test_a_sampler_of_a_stage_that_cannot_have_weights_is_refused(self):
        with pytest.raises(TypeError, match="Expected stage_sampler to take sample_weight, or to repeat samples"):
            DeepClassifier(**DEEP, stage_sampler=SMOTE(k_neighbors=2)).fit(X, Y, sample_weight=WEIGHTS)


def test_a_translation_of_m2m_has_the_weight_of_where_it_starts(monkeypatch):
    settings = {**DEEP, "translation_start": 0.0, "confidence": 0.0, "acceptance_beta": 0.5, "guide": "reference_code"}
    estimator = M2mClassifier(**settings, backbone=backbone(), translation_step_size=1e-6, noise_radius=1e-6)
    engine = engine_of(estimator, X, Y, monkeypatch, sample_weight=WEIGHTS)
    phase, networks = phases_of(engine, "classifier")[1], engine.program.networks
    inputs, labels, share, weights = draws = drawn(engine, phase)
    assert share > 0.1, "some are translated"
    data = engine.program.data
    # So small a step and so little noise leave it where it starts.
    start = torch.cdist(inputs, data.prepare(data.inputs)).argmin(dim=1)
    torch.testing.assert_close(weights, torch.tensor(WEIGHTS / WEIGHTS.mean()).float()[start])
    assert (data.labels[start] != labels).float().mean() == share
    logits = networks["classifier"](networks["encoder"](inputs))
    total = 0.0
    for row, label, weight in zip(logits, labels, weights, strict=True):
        total = total - weight * row.log_softmax(dim=0)[label]
    assert_gradients(engine, phase, draws, total / weights.sum())


class TestGAMO:
    def test_real_samples_count_by_their_weights(self, monkeypatch):
        estimator = GAMOClassifier(**SMALL, max_steps=2, extractor="none")
        engine = engine_of(estimator, X, Y, monkeypatch, sample_weight=WEIGHTS)
        (phase,), networks = phases_of(engine, "real"), engine.program.networks
        engine.program.learn_features()
        features, onehot, noise, _ = draws = drawn(engine, phase)
        weights, logits = of_rows(engine, features), networks.classifier(features)
        classified, total = 0.0, weights.sum()
        for i, weight in enumerate(weights):
            p = logits[i].exp() / logits[i].exp().sum()
            classified = classified + weight * sum((p[c] - onehot[i, c]) ** 2 for c in range(2)) / 2
        assert_gradients(engine, phase, draws, classified / total, "classifier")
        scores = networks.discriminator(features, onehot)
        scored = sum(w * (s - 1 + e) ** 2 for w, s, e in zip(weights, scores, noise, strict=True))
        assert_gradients(engine, phase, draws, scored / total, "discriminator", "discriminator")

    def test_and_so_does_the_extractor(self, monkeypatch):
        estimator = GAMOClassifier(**SMALL, max_steps=2, extractor="dense", feature_dim=5)
        engine = engine_of(estimator, X, Y, monkeypatch, sample_weight=WEIGHTS)
        (phase,), networks = phases_of(engine, "extractor"), engine.program.networks
        x, onehot, _ = draws = drawn(engine, phase)
        weights = of_rows(engine, x)
        p = networks.classifier(networks.extractor(x)).softmax(dim=1)
        errors = [((row - target) ** 2).mean() for row, target in zip(p, onehot, strict=True)]
        expected = sum(weight * error for weight, error in zip(weights, errors, strict=True)) / weights.sum()
        assert_gradients(engine, phase, draws, expected, "extractor", "extractor")


class TestDGC:
    def naive_mmd(self, q, p, weights):
        share, n = weights / weights.sum(), len(q)
        total, pairs = 0.0, sum(share[i] * share[j] for i in range(n) for j in range(n) if i != j)
        for scale in (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0):
            c = 2 * q.shape[1] * scale

            def kernel(a, b, c=c):
                return c / (c + (a - b).square().sum())

            for i in range(n):
                for j in range(n):
                    if i != j:
                        total = total + share[i] * share[j] * kernel(q[i], q[j]) / pairs
                        total = total + kernel(p[i], p[j]) / (n * (n - 1))
                    total = total - 2 * share[i] * kernel(q[i], p[j]) / n
        return total

    def test_the_discrepancy_is_that_of_a_second_writing(self):
        q, p = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0))
        weights = torch.tensor([0.0, 2.0, 1.0, 0.5, 3.0])
        torch.testing.assert_close(dgc.mmd(q, p, weights), self.naive_mmd(q, p, weights))
        torch.testing.assert_close(dgc.mmd(q, p, torch.full((5,), 2.5)), dgc.mmd(q, p))

    def test_the_moments_are_those_of_a_second_writing(self):
        z = torch.randn(6, 2, generator=torch.Generator().manual_seed(0))
        weights = torch.tensor([0.0, 2.0, 1.0, 0.5, 3.0, 1.0])
        share = weights / weights.sum()
        mean = sum(s * row for s, row in zip(share, z, strict=True))
        covariance = sum(s * torch.outer(row - mean, row - mean) for s, row in zip(share, z, strict=True))
        covariance = covariance / (1 - (share**2).sum())
        expected = (mean**2).mean() + ((covariance - torch.eye(2)) ** 2).mean()
        torch.testing.assert_close(dgc.moments_loss(z, weights), expected)
        torch.testing.assert_close(dgc.moments_loss(z, torch.full((6,), 2.5)), dgc.moments_loss(z))

    @pytest.mark.parametrize("reduction", ["mean", "sum"])
    def test_the_objective_counts_samples_by_their_weights(self, reduction, monkeypatch):
        estimator = DGCClassifier(**SMALL, latent_dim=4, max_steps=2, classification_reduction=reduction)
        engine = engine_of(estimator, X, Y, monkeypatch, sample_weight=WEIGHTS)
        (phase,), networks = phases_of(engine, "all"), engine.program.networks
        draws = drawn(engine, phase)
        weights = of_rows(engine, draws.x)
        mean, log_variance = networks.posterior(networks.encoder(draws.x), draws.labels)
        z = mean + draws.noise * (1e-8 + log_variance.exp()).sqrt()
        decoded, logits = networks.decode(z), networks.classifier(z)
        errors, entropies = 0.0, 0.0
        for i, weight in enumerate(weights):
            errors = errors + weight * (draws.x[i] - decoded[i]).square().sum() / 2
            entropies = entropies - weight * logits[i].log_softmax(dim=0)[draws.labels[i]]
        expected = errors / weights.sum() + self.naive_mmd(z, draws.prior, weights)
        expected = expected + (entropies if reduction == "sum" else entropies / weights.sum())
        losses, gradients = engine.gradients(phase, draws)
        torch.testing.assert_close(losses["reconstruction"] + losses["mmd"] + losses["classifier"], expected)
        theirs = torch.autograd.grad(expected, engine._parameters["all"])
        for ours, other in zip(gradients["all"], theirs, strict=True):
            torch.testing.assert_close(ours, other, rtol=1e-3, atol=1e-5)

    def test_so_does_the_perturbation(self, monkeypatch):
        estimator = DGCClassifier(**SMALL, latent_dim=4, max_steps=2)
        engine = engine_of(estimator, X, Y, monkeypatch, sample_weight=WEIGHTS)
        (whole,), (phase,) = phases_of(engine, "all"), phases_of(engine, "perturbation")
        draws = drawn(engine, whole)
        engine.gradients(whole, draws)  # which remembers the posteriors
        z, labels, counts = perturbed = drawn(engine, phase)
        repeats = dgc.posterior_repeats(draws.labels, engine.program.data.class_counts, 0.6)
        torch.testing.assert_close(counts, of_rows(engine, draws.x).repeat_interleave(repeats))
        log_p = engine.program.networks.classifier(z).log_softmax(dim=1)
        total = -sum(weight * row[label] for weight, row, label in zip(counts, log_p, labels, strict=True))
        assert_gradients(engine, phase, perturbed, total / counts.sum(), "classifier", "perturbation")

    def test_new_samples_start_from_rows_that_count(self):
        fitted = DGCClassifier(**SMALL, latent_dim=4, max_steps=2).fit(X, Y, sample_weight=WEIGHTS)
        drawn_from = fitted._generate(0, 500, torch.Generator().manual_seed(0)).parents
        assert set(np.unique(drawn_from)) == set(np.flatnonzero((Y == 0) & (WEIGHTS > 0)))


def test_tuples_of_the_autoencoder_are_drawn_in_proportion_to_weights(monkeypatch):
    estimator = RAEClassifier(**{**SMALL, "batch_size": 4000}, latent_dim=4, n_components=1)
    engine = engine_of(estimator, X, Y, monkeypatch, sample_weight=WEIGHTS)
    rows = next(iter(engine.program.batches)).flatten()
    shares = np.bincount(rows.numpy(), minlength=16) / len(rows)
    expected = np.where(Y == 0, WEIGHTS / WEIGHTS[Y == 0].sum(), WEIGHTS / WEIGHTS[Y == 1].sum()) / 2
    np.testing.assert_allclose(shares, expected, atol=5 * 0.5 / np.sqrt(4000))
    assert not shares[WEIGHTS == 0].any()


@LOSS_WEIGHTS
def test_equal_weights_change_nothing(classifier):
    plain, weighted = clone(classifier).fit(X, Y), clone(classifier).fit(X, Y, sample_weight=np.full(16, 3.7))
    np.testing.assert_allclose(weighted.decision_function(X), plain.decision_function(X), rtol=1e-3, atol=1e-5)


@EACH
def test_other_weights_change_something(classifier):
    plain, weighted = clone(classifier).fit(X, Y), clone(classifier).fit(X, Y, sample_weight=WEIGHTS)
    assert not np.allclose(weighted.decision_function(X), plain.decision_function(X), rtol=1e-3, atol=1e-5)


@EACH
@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (-WEIGHTS, "Expected sample_weight to be finite and 0 or more"),
        (np.where(WEIGHTS > 1, np.nan, 1.0), "Expected sample_weight to be finite and 0 or more"),
        (WEIGHTS[1:], r"Expected sample_weight to have shape \(16,\), a weight for each sample, but got \(15,\)"),
        (
            WEIGHTS[:, None],
            r"Expected sample_weight to have shape \(16,\), a weight for each sample, but got \(16, 1\)",
        ),
        (np.repeat([1.0, 0.0], [12, 4]), "above 0 somewhere in every class, but got weights of zero alone in class 1"),
        (["heavy"] * 16, "Expected sample_weight to hold numbers"),
    ],
)
def test_refuses_weights_that_are_none(classifier, weights, message):
    classifier = clone(classifier)
    with pytest.raises(ValueError, match=message):
        classifier.fit(X, Y, sample_weight=weights)
    assert not hasattr(classifier, "networks_")
