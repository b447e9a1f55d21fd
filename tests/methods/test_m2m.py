import numpy as np
import pytest
import torch
import torch.nn.functional as F
from interruption import drawn, engine_of, moved, phases_of
from torch import nn

from latentover import M2mClassifier
from latentover.methods import m2m
from latentover.methods.m2m import M2mProgram, acceptance_probability, ball_noise, keep_probability, translate
from latentover.mixing import Mixup
from latentover.training.capture import recordable
from latentover.training.engine import parameters_of

COUNTS = torch.tensor([5000, 500, 50])
SMALL = {
    "feature_dim": 4,
    "hidden_units": 16,
    "dropout": 0.0,
    "learning_rate": 5e-3,
    "max_epochs": 5,
    "batch_size": 50,
    "device": "cpu",
    "precision": "float32",
    "random_state": 0,
}
EAGER = {**SMALL, "max_epochs": 20, "acceptance_beta": 0.9, "translation_step_size": 0.3, "translation_steps": 20}
"""Standardised rows are farther apart than images, and the classes here are small."""


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1, 2], [300, 60, 12])
    X = rng.normal(size=(372, 4))
    X[np.arange(372), y] += 3
    return X, y


class TestProbabilities:
    def test_oracles(self):
        torch.testing.assert_close(keep_probability(COUNTS), torch.tensor([1.0, 0.1, 0.01]))
        for beta, expected in ((0.999, [0.988916, 0.992934, 0.362515]), (0.9999, [0.362386, 0.390444, 0.044005])):
            seeds, targets = COUNTS[[0, 0, 1]], COUNTS[[1, 2, 2]]
            accepted = acceptance_probability(seeds, targets, beta)
            torch.testing.assert_close(accepted, torch.tensor(expected), atol=1e-6, rtol=0)

    def test_nothing_is_translated_to_a_larger_class(self):
        assert acceptance_probability(COUNTS[1:], COUNTS[:-1]).tolist() == [0.0, 0.0]
        assert acceptance_probability(COUNTS, COUNTS).tolist() == [0.0, 0.0, 0.0]


class TestTranslate:
    def networks(self):
        torch.manual_seed(0)
        return [nn.Sequential(nn.Flatten(), nn.Linear(12, 3)).double() for _ in range(2)]

    @pytest.mark.parametrize("value_range", [(0.0, 1.0), None])
    def test_equals_a_loop_over_the_images(self, value_range):
        guide, model = self.networks()
        inputs = torch.rand(5, 3, 2, 2, dtype=torch.float64)
        seeds, targets = torch.tensor([0, 0, 1, 0, 1]), torch.tensor([2, 1, 2, 2, 0])
        moved = translate(guide, model, inputs, seeds, targets, n_steps=4, step_size=0.2, value_range=value_range)
        for i in range(5):
            x = inputs[i : i + 1].clone()
            for _ in range(4):
                x = x.detach().requires_grad_()
                probability = guide(x).softmax(dim=1)[0, targets[i]]
                (gradient,) = torch.autograd.grad(-probability.log() + 0.5 * model(x)[0, seeds[i]], x)
                x = x - 0.2 * gradient / gradient.norm()
                x = x.clamp(0, 1) if value_range else x
            # The loss of a batch weighs both terms by 1/B, so that the direction is that of each image alone.
            torch.testing.assert_close(moved[i : i + 1], x.detach(), atol=1e-8, rtol=0)

    def test_the_guide_becomes_surer(self):
        guide, model = self.networks()
        inputs, targets = torch.rand(20, 3, 2, 2, dtype=torch.float64), torch.randint(3, (20,))
        before = F.cross_entropy(guide(inputs), targets)
        moved = translate(guide, model, inputs, targets, targets, repulsion=0.0)
        assert F.cross_entropy(guide(moved), targets) < before
        assert ((moved >= 0) & (moved <= 1)).all()
        assert not moved.requires_grad
        assert all(parameter.grad is None for parameter in [*guide.parameters(), *model.parameters()])

    def test_noise_has_its_length_for_each_image(self):
        noise = ball_noise(torch.zeros(4, 3, 8, 8), 0.5, torch.Generator().manual_seed(0))
        torch.testing.assert_close(noise.flatten(1).norm(dim=1), torch.full((4,), 0.5))

    def test_noise_of_the_reference_code_has_its_length_for_each_channel_of_the_batch(self):
        noise = ball_noise(torch.zeros(128, 3, 32, 32), 0.5, torch.Generator().manual_seed(0), "reference_code")
        torch.testing.assert_close(noise.square().sum(dim=(0, 2, 3)).sqrt(), torch.full((3,), 0.5))
        each = noise.flatten(1).norm(dim=1)
        torch.testing.assert_close(each, torch.full((128,), 0.5 * (3 / 128) ** 0.5), rtol=0.05, atol=0)
        assert 0.5 / each.mean().item() == pytest.approx(6.53, abs=0.01)

    def test_noise_of_the_reference_code_is_not_stretched(self):
        """One column of a few samples is shorter than the radius; no column of a table is longer."""
        few = ball_noise(torch.zeros(2, 3), 5.0, torch.Generator().manual_seed(0), "reference_code")
        drawn = torch.rand(2, 3, generator=torch.Generator().manual_seed(0)) - 0.5
        torch.testing.assert_close(few, drawn)
        many = ball_noise(torch.zeros(1000, 2), 0.5, torch.Generator().manual_seed(0), "reference_code")
        torch.testing.assert_close(many.norm(dim=0), torch.full((2,), 0.5))


def translating(X, y, monkeypatch, **settings):
    """Return the engine of a training whose guide is the trained network itself, stopped before its first step."""
    settings = {**SMALL, "guide": "reference_code", **settings}
    return engine_of(M2mClassifier(**settings), X, y, monkeypatch)


def seed_numbers(inputs, replaced):
    """Return from which row each row was made, where translations hardly move anything."""
    return torch.cdist(replaced, inputs).argmin(dim=1)


class TestWhatIsTranslated:
    """The guide takes everything for everything and translations stay where they start: what is left are the draws."""

    BETA = 0.998
    COUNTS = (600, 200, 4)

    @pytest.fixture(params=[False, True], ids=["looking", "recordable"])
    def way(self, request, monkeypatch):
        with recordable() if request.param else monkeypatch.context():
            yield

    @pytest.fixture
    def program(self, monkeypatch):
        y = np.repeat([0, 1, 2], self.COUNTS)
        X = np.random.default_rng(0).normal(size=(len(y), 4))
        small = {"noise_radius": 1e-6, "translation_step_size": 1e-6, "translation_steps": 1}
        engine = translating(X, y, monkeypatch, acceptance_beta=self.BETA, confidence=0.0, **small)
        return engine.program

    def translations(self, program, labels, rounds):
        """Return the labels, the numbers of the rows themselves and those of the rows they were made from."""
        found = []
        for _ in range(rounds):
            inputs = torch.randn(len(labels), 4)
            with torch.no_grad():
                replaced, share, _ = program.translated(inputs, labels)
            seeds, changed = seed_numbers(inputs, replaced), (replaced != inputs).any(dim=1)
            assert torch.equal(changed, seeds != torch.arange(len(labels)))
            assert changed.sum().item() == pytest.approx(share.item() * len(labels))
            found.append(seeds)
        return torch.stack(found)

    def chance(self, seed, target):
        return 1 - self.BETA ** max(self.COUNTS[seed] - self.COUNTS[target], 0)

    def test_share_is_that_of_the_probabilities(self, program, way):
        """A slot of class k is open with 1 - n_k / n_max, takes b with p_b / sum p, and that with p_b once more."""
        labels = torch.tensor([0, 1, 2] * 60)
        seeds = self.translations(program, labels, rounds=60)
        changed = seeds != torch.arange(len(labels))
        for target, larger in ((0, ()), (1, (0,)), (2, (0, 1))):
            slots = changed[:, labels == target]
            chances = [self.chance(seed, target) for seed in larger]
            taken = sum(p**2 for p in chances) / sum(chances) if chances else 0.0
            expected = (1 - self.COUNTS[target] / 600) * taken
            spread = np.sqrt(expected * (1 - expected) / slots.numel())
            assert slots.float().mean().item() == pytest.approx(expected, abs=5 * spread)

    def test_seeds_are_of_larger_classes_in_the_shares_of_their_probabilities(self, program, way):
        labels = torch.tensor([0, 1, 2] * 60)
        seeds = self.translations(program, labels, rounds=60)
        changed = seeds != torch.arange(len(labels))
        targets, sources = labels.expand_as(seeds)[changed], labels[seeds[changed]]
        assert (sources < targets).all()
        first, second = self.chance(0, 2) ** 2, self.chance(1, 2) ** 2
        found = sources[targets == 2] == 0
        expected = first / (first + second)
        spread = np.sqrt(expected * (1 - expected) / len(found))
        assert found.float().mean().item() == pytest.approx(expected, abs=5 * spread)
        times = torch.bincount(seeds[changed], minlength=len(labels))[labels == 0].float()
        assert times.min() > 0, "each row of the largest class"

    def test_with_every_slot_open_the_share_is_the_acceptance(self, monkeypatch, way):
        """Of two classes, one of them three samples: its slots are open with 0.9985 and taken with 0.632."""
        y = np.repeat([0, 1], [2000, 3])
        X = np.random.default_rng(0).normal(size=(2003, 4))
        settings = {"acceptance_beta": 0.9995, "confidence": 0.0, "translation_steps": 1}
        program = translating(X, y, monkeypatch, **settings).program
        labels, taken = torch.tensor([0] * 20 + [1] * 380), []
        for _ in range(20):
            with torch.no_grad():
                taken.append(program.translated(torch.randn(400, 4), labels)[1].item() * 400 / 380)
        expected = (1 - 3 / 2000) * (1 - 0.9995**1997)
        spread = np.sqrt(expected * (1 - expected) / (20 * 380))
        assert np.mean(taken) == pytest.approx(expected, abs=5 * spread)

    @pytest.mark.parametrize("labels", [[2] * 9, [1] * 9, [0] * 9, [1, 1, 1, 0, 0]], ids=str)
    def test_a_slot_without_a_larger_class_in_the_batch_stays(self, program, way, labels):
        labels = torch.tensor(labels)
        seeds = self.translations(program, labels, rounds=40)
        largest = labels == labels.min()
        assert (seeds == torch.arange(len(labels)))[:, largest].all()
        assert bool((seeds != torch.arange(len(labels))).any()) == bool((~largest).any())

    def test_a_batch_may_have_slots_of_both_kinds(self, program, way):
        """The largest class is missing: the middle one stays, and the rare one is made from it."""
        labels = torch.tensor([1, 2] * 50)
        seeds = self.translations(program, labels, rounds=40)
        changed = seeds != torch.arange(100)
        assert not changed[:, labels == 1].any()
        expected = (1 - 4 / 600) * self.chance(1, 2)
        assert changed[:, labels == 2].float().mean().item() == pytest.approx(
            expected, abs=5 * np.sqrt(expected * (1 - expected) / 2000)
        )

    @pytest.mark.parametrize("shape", [(4,), (1, 8, 8)], ids=str)
    def test_both_ways_make_the_same_batch(self, shape, monkeypatch):
        """Translations are far, some are not sure enough, and what is drawn does not depend on the way."""
        y = np.repeat([0, 1, 2], [300, 60, 12])
        X = np.random.default_rng(0).random((len(y), *shape)).astype(np.float32)
        engine = translating(X, y, monkeypatch, acceptance_beta=0.99, confidence=0.34, channels=4)
        labels = torch.tensor([0, 1, 2] * 12)
        inputs = torch.from_numpy(X[: len(labels)])
        state, found = engine.generator.get_state(), []
        for context in (monkeypatch.context(), recordable()):
            engine.generator.set_state(state)
            with context, torch.no_grad():
                found.append((*engine.program.translated(inputs, labels), engine.generator.get_state()))
            assert engine.program.networks.training
        (first, share, origins, after), (second, other_share, other_origins, other_after) = found
        torch.testing.assert_close(first, second, atol=1e-5, rtol=1e-4)
        assert share == other_share
        assert torch.equal(origins, other_origins)
        assert torch.equal(after, other_after)
        changed = (first != inputs).flatten(1).any(dim=1)
        assert 0 < changed.sum() < (labels > 0).sum()


class TestUpdate:
    def test_comes_in_the_last_part_of_the_training(self, table, monkeypatch):
        """372 samples make 8 batches of 50: from epoch 3 of 5 on, step 24."""
        program = translating(*table, monkeypatch, translation_start=0.6).program
        ordinary, translated = program.phases
        assert program.n_steps == 40
        assert [step for step in range(40) if ordinary.runs_in(step)] == list(range(24))
        assert [step for step in range(40) if translated.runs_in(step)] == list(range(24, 40))

    def test_follows_the_cross_entropy_of_what_is_drawn(self, table, monkeypatch):
        engine = translating(*table, monkeypatch, acceptance_beta=0.9, confidence=0.0, translation_start=0.0)
        for step in range(4):
            engine.run_step(step)
        networks, phase = engine.program.networks, phases_of(engine, "classifier")[1]
        inputs, labels, share, _ = draws = drawn(engine, phase)
        assert torch.bincount(labels, minlength=3).min() > 5, "classes are balanced"
        data = engine.program.data
        known = (inputs[:, None] == data.prepare(data.inputs)[None]).all(dim=2).any(dim=1)
        assert (~known).float().mean() == share > 0.2
        assert (labels[~known] > 0).all()
        losses, found = engine.gradients(phase, draws)
        logits = networks["classifier"](networks["encoder"](inputs))
        loss = sum(row.exp().sum().log() - row[label] for row, label in zip(logits, labels, strict=True)) / 50
        assert losses["classifier"].item() == pytest.approx(loss.item(), rel=1e-5)
        assert losses["translated"] == share
        parameters = list(parameters_of(engine.program.optimizers["networks"]))
        assert {id(p) for p in parameters} == {id(p) for p in networks.parameters()}
        for one, other in zip(found["networks"], torch.autograd.grad(loss, parameters), strict=True):
            torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-4)

    def test_moves_the_network_and_never_the_guide(self, table, monkeypatch):
        guide = M2mClassifier(**SMALL, guide="reference_code").fit(*table).networks_
        before = {name: value.clone() for name, value in guide.state_dict().items()}
        monkeypatch.setattr(M2mClassifier, "_trained_guide", lambda self, data: guide)
        engine = translating(*table, monkeypatch, guide="own", acceptance_beta=0.9, confidence=0.0)
        assert moved(engine, phases_of(engine, "classifier")[1]) == {"encoder", "classifier"}
        assert all(torch.equal(value, before[name]) for name, value in guide.state_dict().items())

    def test_statistics_are_those_of_the_drawn_batch_alone(self, table, monkeypatch):
        """Neither translating nor asking the guide, here the network itself, moves what it normalises with."""
        engine = translating(*table, monkeypatch, acceptance_beta=0.9, confidence=0.0)
        networks = engine.program.networks
        before = [buffer.clone() for buffer in networks.buffers()]
        assert before
        _, _, share, _ = drawn(engine, phases_of(engine, "classifier")[1])
        assert share > 0
        assert all(torch.equal(a, b) for a, b in zip(before, networks.buffers(), strict=True))


class TestPublished:
    """Constants of the authors' script, as they arrive where they are used."""

    @pytest.fixture
    def engine(self, monkeypatch):
        """1200 images of 3 by 8 by 8 pixels."""
        y = np.repeat([0, 1], [1100, 100])
        X = np.random.default_rng(0).random((1200, 3, 8, 8)).astype(np.float32)
        return engine_of(M2mClassifier(device="cpu", guide="reference_code", channels=4), X, y, monkeypatch)

    def test_translation(self, engine, monkeypatch):
        seen = []

        def spy(guide, model, inputs, seeds, targets, **settings):
            seen.append((inputs, settings))
            return inputs

        monkeypatch.setattr(m2m, "translate", spy)
        radii = []
        noise = m2m.ball_noise
        monkeypatch.setattr(m2m, "ball_noise", lambda x, radius, *how: radii.append(radius) or noise(x, radius, *how))
        drawn(engine, phases_of(engine, "classifier")[1])
        ((inputs, settings),) = seen
        assert settings == {"n_steps": 10, "step_size": 0.1, "repulsion": 0.5, "value_range": (0.0, 1.0)}
        assert radii == [0.5]
        assert 0 <= inputs.min() <= inputs.max() <= 1

    @pytest.mark.parametrize(("probability", "taken"), [(0.895, False), (0.905, True)])
    def test_acceptance_and_confidence(self, engine, monkeypatch, probability, taken):
        """From 1100 samples to 100 a translation is accepted with 1 - 0.999 ** 1000 = 0.632, if the guide is sure."""
        program = engine.program
        logit = float(np.log(probability / (1 - probability)))
        monkeypatch.setattr(
            M2mClassifier, "_outputs", lambda self, networks, x: torch.tensor([0.0, logit]).repeat(len(x), 1)
        )
        monkeypatch.setattr(m2m, "translate", lambda guide, model, inputs, *labels, **settings: inputs)
        labels, shares = torch.tensor([0] * 100 + [1] * 900), []
        for _ in range(4):
            shares.append(program.translated(torch.rand(1000, 3, 8, 8), labels)[1].item() / 0.9)
        expected = (1 - 100 / 1100) * (1 - 0.999**1000) if taken else 0.0
        spread = np.sqrt(expected * (1 - expected) / 3600)
        assert np.mean(shares) == pytest.approx(expected, abs=5 * spread)

    def test_translations_begin_at_four_fifths_of_the_epochs(self, engine):
        program = engine.program
        first = min(step for step in range(program.n_steps) if program.phases[1].runs_in(step))
        assert first == 0.8 * program.n_steps  # epoch 160 of 200


class TestM2mClassifier:
    def test_translates_late_and_only_there(self, table):
        fitted = M2mClassifier(**EAGER, translation_start=0.6).fit(*table)
        assert ["translated" in row for row in fitted.history_] == [False] * 12 + [True] * 8
        # At most the two smaller classes, of which a balanced batch has two thirds.
        assert all(0 < row["translated"] < 0.8 for row in fitted.history_[12:])
        assert len(fitted.guide_history_) == 20
        assert set(fitted.networks_.keys()) == {"encoder", "classifier"}

    def test_replaces_rare_samples_by_what_the_guide_takes_for_them(self, table, monkeypatch):
        X, y = table
        seen = []

        def spy(self, inputs, labels):
            before = self.networks.training
            replaced, share, origins = translated(self, inputs, labels)
            sure = self.settings._outputs(self.guide, replaced).softmax(dim=1).gather(1, labels.unsqueeze(1))
            changed = (replaced != inputs).any(dim=1)
            seen.append((changed, labels, sure.squeeze(1).detach(), share, before == self.networks.training))
            return replaced, share, origins

        translated = M2mProgram.translated
        monkeypatch.setattr(M2mProgram, "translated", spy)
        M2mClassifier(**EAGER).fit(X, y)
        changed, labels, sure, share, mode_kept = zip(*seen, strict=True)
        assert all(mode_kept)
        for one_changed, one_share in zip(changed, share, strict=True):
            assert one_changed.float().mean().item() == pytest.approx(one_share.item())
        changed, labels, sure = map(torch.cat, (changed, labels, sure))
        assert changed.sum() > 20
        assert (sure[changed] >= 0.9 - 1e-5).all()
        shares = [changed[labels == c].float().mean().item() for c in range(3)]
        assert shares[0] == 0 < min(shares[1:])

    @pytest.mark.parametrize("beta", [0.9, 0.99])
    def test_as_many_are_translated_as_the_acceptance_probability_lets(self, table, beta):
        """A balanced batch is half rare, 2/3 of that may be replaced, and 1 - beta^(60 - 20) of those are."""
        rows = np.r_[:60, 300:320]
        settings = {**SMALL, "batch_size": 40, "max_epochs": 60, "acceptance_beta": beta, "translation_steps": 1}
        fitted = M2mClassifier(**settings, confidence=0.0, translation_start=0.0, guide="reference_code").fit(
            table[0][rows], table[1][rows]
        )
        expected, n = 1 / 2 * 2 / 3 * (1 - beta**40), 60 * 80
        found = np.mean([row["translated"] for row in fitted.history_])
        assert found == pytest.approx(expected, abs=4 * np.sqrt(expected * (1 - expected) / n))

    def test_a_batch_without_slots_stays_as_it_is(self, table):
        """Balanced data: every sample is kept, and nothing may be translated."""
        X, y = table[0][:60], np.repeat([0, 1, 2], 20)
        fitted = M2mClassifier(**SMALL, translation_start=0.0).fit(X, y)
        assert [row["translated"] for row in fitted.history_] == [0.0] * 5

    def test_a_guide_that_is_never_sure_changes_nothing(self, table):
        fitted = M2mClassifier(**SMALL, confidence=1.0, translation_steps=1, guide="reference_code").fit(*table)
        assert fitted.history_[-1]["translated"] == 0
        assert not hasattr(fitted, "guide_history_")

    def test_images_stay_in_their_range(self, monkeypatch):
        rng = np.random.default_rng(0)
        y = np.repeat([0, 1], [40, 8])
        X = rng.integers(0, 256, size=(48, 1, 8, 8), dtype=np.uint8)
        ranges = []

        def spy(self, inputs, labels):
            replaced, share, origins = translated(self, inputs, labels)
            ranges.append((replaced.min().item(), replaced.max().item()))
            return replaced, share, origins

        translated = M2mProgram.translated
        monkeypatch.setattr(M2mProgram, "translated", spy)
        settings = {**SMALL, "batch_size": 16, "channels": 4, "confidence": 0.0, "augment": "pad_crop_flip"}
        fitted = M2mClassifier(**settings, standardize=True, loss="ldam").fit(X, y)
        assert all(low >= 0 and high <= 1 for low, high in ranges)
        assert fitted.predict(X).shape == (48,)

    def test_the_same_seed_trains_the_same_network(self, table):
        first, second = (M2mClassifier(**SMALL).fit(*table).decision_function(table[0]) for _ in range(2))
        np.testing.assert_array_equal(first, second)

    def test_the_noise_of_the_reference_code_is_what_a_training_starts_from(self, table, monkeypatch):
        asked = []

        def spy(like, radius, generator, norm):
            asked.append((radius, norm))
            return ball_noise(like, radius, generator, norm)

        monkeypatch.setattr("latentover.methods.m2m.ball_noise", spy)
        M2mClassifier(**SMALL, noise_radius=0.25, noise_norm="reference_code").fit(*table)
        assert asked
        assert set(asked) == {(0.25, "reference_code")}

    def test_refuses_what_does_not_go_together(self, table):
        with pytest.raises(ValueError, match="Expected mixing to be None, for M2m makes its own samples"):
            M2mClassifier(**SMALL, mixing=Mixup()).fit(*table)
        with pytest.raises(ValueError, match="Expected batches to be 'natural' before the translations begin"):
            M2mClassifier(**SMALL, batches="class_balanced").fit(*table)
        with pytest.raises(ValueError, match="confidence to be a number at least 0 and at most 1, but got 2"):
            M2mClassifier(**SMALL, confidence=2).fit(*table)
        with pytest.raises(ValueError, match=r"noise_norm to be .*'reference_code'.*, but got 'batch'"):
            M2mClassifier(**SMALL, noise_norm="batch").fit(*table)
