"""GAMO: its formulas against a second writing, the order and the reach of its updates, and what it generates."""

from collections import Counter

import numpy as np
import pytest
import torch
from interruption import resumed, training_of
from scipy.optimize import linprog
from sklearn.base import clone
from sklearn.datasets import load_digits, make_blobs

from latentover import GAMOClassifier, GAMOSampler, load, save
from latentover.methods import gamo

COUNTS = [40, 60, 100, 200, 350, 500, 750, 1000, 2000, 4000]
TABLE = {
    "hidden_units": 32,
    "batch_size": 16,
    "noise_dim": 8,
    "learning_rate": 2e-3,
    "random_state": 0,
    "device": "cpu",
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


def weights_of(module):
    return [parameter.detach().clone() for parameter in module.parameters()]


def changed(training, update):
    """Return the names of the networks whose weights an update changes."""
    networks = dict(training.networks.named_children())
    before = {name: weights_of(network) for name, network in networks.items()}
    update()
    after = {name: weights_of(network) for name, network in networks.items()}
    return {
        name for name in networks if any(not torch.equal(a, b) for a, b in zip(before[name], after[name], strict=True))
    }


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
        training = training_of(gamo.GAMOTraining, GAMOClassifier(**TABLE), *blobs, monkeypatch)
        seen = sum(training.fakes(training.fake_probabilities)[1] for _ in range(30)).sum(dim=0)
        assert seen.tolist()[1] == 0  # "b"
        # "a" lacks 58 and "c" 40 of the 70 samples of "b"
        assert (seen / seen.sum())[[0, 2]].tolist() == pytest.approx([58 / 98, 40 / 98], abs=0.08)

    def test_the_discriminator_does(self, blobs, monkeypatch):
        training = training_of(gamo.GAMOTraining, GAMOClassifier(**TABLE), *blobs, monkeypatch)
        seen = sum(training.fakes(training.sampled_probabilities)[1] for _ in range(10)).sum(dim=0)
        assert (seen > 0).all()


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
        training = training_of(gamo.GAMOTraining, GAMOClassifier(**IMAGES), *digits, monkeypatch)
        assert changed(training, training.update_extractor) == {"extractor"}
        assert changed(training, training.update_players) == {"classifier", "discriminator"}
        assert changed(training, training.update_generator) == {"generator"}
        assert changed(training, training.update_decoders) == {"decoders"}

    def test_the_schedule_spans_the_game_and_leaves_the_decoders_alone(self, digits, monkeypatch):
        settings = {**IMAGES, "max_steps": 12, "decoder_steps": 4, "learning_rate": 0.01, "schedule": "cosine"}
        training = training_of(gamo.GAMOTraining, GAMOClassifier(**settings), *digits, monkeypatch)
        rates = {}
        for step in (0, 6, 12, 15):  # of 16, the last 4 for the decoders
            training.set_learning_rates(step / 16)
            rates[step] = {name: x.param_groups[0]["lr"] for name, x in training.optimizers.items()}
        for name in ("extractor", "generator", "classifier", "discriminator"):
            assert [rates[step][name] for step in rates] == pytest.approx([0.01, 0.005, 0, 0])
        assert {rates[step]["decoders"] for step in rates} == {GAMOClassifier().decoder_learning_rate}

    def test_order_and_number(self, digits, monkeypatch):
        """53 samples make 4 batches of 16: an epoch of the extractor before every 4 batches of the game."""
        training = training_of(gamo.GAMOTraining, GAMOClassifier(**IMAGES, max_steps=10), *digits, monkeypatch)
        runs = {phase.name: [step for step in range(14) if phase.runs_in(step)] for phase in training.phases()}
        assert list(runs) == ["extractor", "players", "generator", "decoders"]
        assert runs["extractor"] == [0, 4, 8]
        assert training.phases()[0].repeat == 4
        assert runs["players"] == runs["generator"] == list(range(10))
        assert runs["decoders"] == [10, 11, 12, 13]

    def test_of_the_generator_are_two_a_class(self, blobs, monkeypatch):
        training = training_of(gamo.GAMOTraining, GAMOClassifier(**TABLE), *blobs, monkeypatch)
        batches = []
        update = training._update_generator

        def remember(labels, parameters):
            batches.append(labels.tolist())
            return update(labels, parameters)

        training._update_generator = remember
        training.update_generator()
        assert batches == [[0] * 6, [1] * 6, [2] * 6]  # ceil(16 / 3)
        batches.clear()
        training.settings.generator_updates = "joint"
        training.update_generator()
        assert batches == [[0] * 6 + [1] * 6 + [2] * 6]

    def test_of_one_class_leave_the_other_heads(self, blobs, monkeypatch):
        training = training_of(gamo.GAMOTraining, GAMOClassifier(**TABLE), *blobs, monkeypatch)
        generator = training.networks.generator
        before = [weights_of(head) for head in generator.heads]
        training._update_generator(
            torch.full((4,), 1), [*generator.trunk.parameters(), *generator.heads[1].parameters()]
        )
        same = [
            all(torch.equal(a, b) for a, b in zip(old, weights_of(head), strict=True))
            for old, head in zip(before, generator.heads, strict=True)
        ]
        assert same == [True, False, True]

    def test_fakes_do_not_move_the_running_statistics(self, blobs, monkeypatch):
        training = training_of(gamo.GAMOTraining, GAMOClassifier(**TABLE), *blobs, monkeypatch)
        before = [buffer.clone() for buffer in training.networks.generator.buffers()]
        training.update_players()
        assert all(torch.equal(a, b) for a, b in zip(before, training.networks.generator.buffers(), strict=True))
        assert training.networks.generator.training

    def test_features_stand_still_during_a_pass(self, digits, monkeypatch):
        training = training_of(gamo.GAMOTraining, GAMOClassifier(**IMAGES), *digits, monkeypatch)
        training.update_extractor()
        features = training.features()
        training.update_players()
        training.update_generator()
        assert training.features() is features
        training.update_extractor()
        assert not torch.equal(training.features(), features)

    def test_decoders_have_a_rate_of_their_own(self, digits, monkeypatch):
        estimator = GAMOClassifier(**IMAGES, decoder_learning_rate=7e-3)
        training = training_of(gamo.GAMOTraining, estimator, *digits, monkeypatch)
        rates = {name: optimizer.param_groups[0]["lr"] for name, optimizer in training.optimizers.items()}
        assert rates == {
            **dict.fromkeys(["extractor", "generator", "classifier", "discriminator"], 2e-3),
            "decoders": 7e-3,
        }

    def test_classes_of_one_size_have_no_fakes(self, monkeypatch):
        X, y = make_blobs([10, 10], n_features=3, random_state=0)
        training = training_of(gamo.GAMOTraining, GAMOClassifier(**TABLE), X, y, monkeypatch)
        assert "classifier_fake" not in training.update_players()


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
    model = GAMOClassifier(**IMAGES, precision="bfloat16", max_steps=5, augment="shift").fit(X, y)
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


@pytest.mark.parametrize("shape", [(1, 8, 1000), (3, 1000, 8), (1, 9, 257)])
@pytest.mark.parametrize("cls", [GAMOClassifier, GAMOSampler])
def test_images_that_its_pooling_would_make_vanish_are_refused(cls, shape):
    X, y = np.random.default_rng(0).random((12, *shape)), np.repeat([0, 1], 6)
    sides = "x".join(map(str, shape[1:]))
    with pytest.raises(ValueError, match=rf"shorter side of at least \d+ pixels .*, but got {sides}; resize them"):
        cls(max_steps=1, channels=2).fit(X, y)
