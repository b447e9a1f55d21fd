"""DGC: its formulas against a second writing, the reach of its updates, how it predicts and what it generates."""

import numpy as np
import pytest
import torch
from interruption import resumed, training_of
from sklearn.base import clone
from sklearn.datasets import load_digits, make_blobs
from torch.distributions import Normal

from latentover import DGCClassifier, load, save
from latentover.methods import dgc

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
}


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


class TestDiscrepancy:
    @pytest.mark.parametrize(
        ("q", "expected"), [([[0.0, 1.0], [2.0, 0.0]], -0.643822), ([[0.0, 0.0], [1.0, 0.0]], -1.986295)]
    )
    def test_oracles(self, q, expected):
        p = torch.tensor([[0.0, 0.0], [1.0, 0.0]])
        assert dgc.mmd(torch.tensor(q), p).item() == pytest.approx(expected, abs=1e-6)

    def test_a_second_writing(self):
        rng = np.random.default_rng(0)
        n, k = 7, 3
        q, p = rng.normal(size=(n, k)), rng.normal(size=(n, k)) + 0.5
        expected = 0.0
        for s in (0.1, 0.2, 0.5, 1, 2, 5, 10):
            c = 2 * k * s

            def kernel(a, b, c=c):
                return c / (c + ((a - b) ** 2).sum())

            for i in range(n):
                for j in range(n):
                    if i != j:
                        expected += (kernel(q[i], q[j]) + kernel(p[i], p[j])) / (n * (n - 1))
                    expected -= 2 * kernel(q[i], p[j]) / n**2
        assert dgc.mmd(torch.tensor(q), torch.tensor(p)).item() == pytest.approx(expected, rel=1e-4)

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
        training = training_of(
            dgc.DGCTraining, DGCClassifier(**SMALL, classification_reduction=reduction), *blobs, monkeypatch
        )
        z, labels = torch.randn(6, 4), torch.tensor([0, 1, 2, 0, 1, 2])
        logits = training.networks.classifier(z)
        each = torch.logsumexp(logits, dim=1) - logits[torch.arange(6), labels]
        expected = each.sum() if reduction == "sum" else each.sum() / 6
        torch.testing.assert_close(training.classification(z, labels), expected)


class TestPerturbation:
    def test_targets_of_the_published_counts(self):
        expected = [4000, 3200, 2800, 2700, 2600, 2540, 2480, 2440, 2424, 2416]
        assert dgc.posterior_targets(torch.tensor(COUNTS), 0.6).tolist() == pytest.approx(expected)

    def test_repeats(self):
        labels = torch.tensor([0, 1, 0, 9, 1, 0])
        rows = dgc.posterior_repeats(labels, torch.tensor(COUNTS), 0.6)
        found = torch.bincount(rows, minlength=6).tolist()
        # class 0 as it is; class 1: floor(2 * 1.6) = 3; class 9: floor(1 + 0.6 * 3960 / 40) = 60
        assert found == [1, 2, 1, 60, 1, 1]

    def test_a_rate_of_nothing_repeats_nothing(self):
        labels = torch.tensor([0, 1, 0, 9])
        assert dgc.posterior_repeats(labels, torch.tensor(COUNTS), 0.0).sort().values.tolist() == [0, 1, 2, 3]

    def test_a_whole_epoch_has_the_targets(self):
        labels = torch.arange(3).repeat_interleave(torch.tensor([40, 20, 10]))
        rows = dgc.posterior_repeats(labels, torch.tensor([40, 20, 10]), 0.6)
        assert torch.bincount(labels[rows]).tolist() == [40, 32, 28]


class TestUpdates:
    def changed(self, training, update):
        before = {name: value.clone() for name, value in training.networks.named_parameters()}
        update()
        return {
            name.split(".")[0]
            for name, value in training.networks.named_parameters()
            if not torch.equal(before[name], value)
        }

    def test_reach_their_own_networks_alone(self, digits, monkeypatch):
        training = training_of(dgc.DGCTraining, DGCClassifier(**SMALL, channels=4), *digits, monkeypatch)
        encoding = {"encoder", "hidden", "mean", "log_variance"}
        assert self.changed(training, training.update_encoder) == encoding
        assert self.changed(training, training.pretrain) == encoding
        assert self.changed(training, training.update) == {*encoding, "decoder", "classifier"}

    def test_perturbation_moves_the_classifier_once_more(self, blobs, monkeypatch):
        training = training_of(dgc.DGCTraining, DGCClassifier(**SMALL), *blobs, monkeypatch)
        steps = []
        step = dgc.optimizer_step
        monkeypatch.setattr(
            dgc, "optimizer_step", lambda optimizer, *rest: steps.append(optimizer) or step(optimizer, *rest)
        )
        training.update()
        assert steps == [training.optimizers["all"], training.optimizers["classifier"]]
        training.settings.resampling_rate = 0.0
        training.update()
        assert steps[2:] == [training.optimizers["all"]]

    def test_pretraining_ends_when_the_moments_are_near(self, blobs, monkeypatch):
        training = training_of(dgc.DGCTraining, DGCClassifier(**SMALL), *blobs, monkeypatch)
        assert "pretraining" in training.pretrain()
        monkeypatch.setattr(dgc, "PRETRAINED", 1e9)
        assert "pretraining" in training.pretrain()
        assert training.pretrain() == {}

    def test_order_and_number(self, blobs, monkeypatch):
        training = training_of(
            dgc.DGCTraining, DGCClassifier(**{**SMALL, "encoder_steps": 2, "pretraining_steps": 7}), *blobs, monkeypatch
        )
        phases = [(phase.name, phase.repeat, [phase.runs_in(step) for step in range(3)]) for phase in training.phases()]
        assert phases == [
            ("pretraining", 7, [True, False, False]),
            ("encoder", 2, [True] * 3),
            ("all", 1, [True] * 3),
        ]


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
        monkeypatch.setattr(dgc, "mmd", lambda q, p: sizes.append((len(q), len(p))) or mmd(q, p))
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
    model = DGCClassifier(**SMALL, channels=4, precision="bfloat16", max_steps=5, augment="shift").fit(X, y)
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
