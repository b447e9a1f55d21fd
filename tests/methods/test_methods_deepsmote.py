"""DeepSMOTE: its penalty and who learns from it, where its samples lie, what it does with classes of any size."""

import warnings

import numpy as np
import pytest
import torch
from interruption import drawn, engine_of, moved, resumed
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from torch import nn

from latentover.methods.deepsmote import ClassSubsets, DeepSMOTE, penalty_loss, shift_by_one
from latentover.training import CollapseWarning
from latentover.training.engine import parameters_of

SMALL = {
    "latent_dim": 4,
    "channels": 4,
    "hidden_units": 16,
    "batch_size": 16,
    "max_epochs": 2,
    "device": "cpu",
    "precision": "float32",
    "random_state": 0,
}
COUNTS = [18, 8, 6]


def make_data(shape=(1, 8, 8), counts=COUNTS):
    rng = np.random.default_rng(0)
    return rng.random((sum(counts), *shape)).astype(np.float32), np.repeat(np.arange(len(counts)), counts)


class TestPenalty:
    def test_of_the_code_is_a_reconstruction_error_whatever_the_permutation(self):
        fitted = DeepSMOTE(**SMALL).fit(*make_data())
        x = torch.rand(7, 1, 8, 8)
        with torch.no_grad():
            codes = fitted.networks_.encode(x)
            plain = (fitted.networks_.decode(codes) - x).square().mean()
            permuted = penalty_loss(fitted.networks_.decode(shift_by_one(codes)), x, "reference_code")
        torch.testing.assert_close(permuted, plain)

    def test_of_the_paper_compares_with_the_image_before(self):
        decoded, x = torch.rand(5, 2, 3, 3), torch.rand(5, 2, 3, 3)
        by_hand = sum((decoded[i] - x[i]).square().sum().item() for i in range(5)) / x.numel()
        assert penalty_loss(decoded, x, "paper").item() == pytest.approx(by_hand)
        by_hand = sum((decoded[i] - x[(i + 1) % 5]).square().sum().item() for i in range(5)) / x.numel()
        assert penalty_loss(decoded, x, "reference_code").item() == pytest.approx(by_hand)


class TestUpdate:
    """Against gradients that are written out a second time: who learns from what."""

    @pytest.fixture(params=["paper", "reference_code"])
    def penalty(self, request):
        return request.param

    @pytest.fixture(params=[(1, 8, 8), (5,)], ids=["images", "table"])
    def engine(self, request, penalty, monkeypatch):
        """The engine of a training after two steps, which are an epoch."""
        engine = engine_of(DeepSMOTE(**SMALL, penalty=penalty), *make_data(request.param), monkeypatch)
        for step in range(2):
            engine.run_step(step)
        return engine

    def test_draws_a_batch_and_samples_of_one_class(self, engine):
        data, (phase,) = engine.program.data, engine.program.phases
        state = engine.generator.get_state()
        x, n = drawn(engine, phase)
        after = engine.generator.get_state()
        engine.generator.set_state(state)
        batch = torch.randperm(32, generator=engine.generator)[:16]
        members = (data.labels == int(torch.randint(3, (1,), generator=engine.generator))).nonzero().squeeze(1)
        subset = members[torch.randperm(len(members), generator=engine.generator)][:16]
        assert torch.equal(engine.generator.get_state(), after)
        assert n == 16
        assert torch.equal(x, data.prepare(data.inputs)[torch.cat([batch, subset])])

    def test_moves_along_the_gradient_of_both_losses(self, engine, penalty):
        networks, (phase,) = engine.program.networks, engine.program.phases
        for _ in range(3):  # subsets of several classes, and so of several sizes
            x, n = draws = drawn(engine, phase)
            losses, found = engine.gradients(phase, draws)
            reconstruction, second, expected = self.gradients(networks, x, n, penalty)
            assert set(losses) == {"reconstruction", "penalty"}
            assert losses["reconstruction"].item() == pytest.approx(reconstruction, rel=1e-5)
            assert losses["penalty"].item() == pytest.approx(second, rel=1e-5)
            assert set(found) == {"autoencoder"}
            parameters = list(parameters_of(engine.program.optimizers["autoencoder"]))
            own = [*networks.encoder.parameters(), *networks.decoder.parameters()]
            assert [id(p) for p in parameters] == [id(p) for p in own]
            assert max(gradient.abs().max() for gradient in expected) > 1e-3
            for one, gradient in zip(found["autoencoder"], expected, strict=True):
                torch.testing.assert_close(one, gradient, atol=2e-6, rtol=1e-4)

    @staticmethod
    def gradients(networks, x, n, penalty):
        """The two losses, image by image, and the gradients of encoder and decoder."""
        k = len(x) - n
        codes = networks.encoder(x)
        order = [*range(n), *(n + (i + 1) % k for i in range(k))]
        target = range(len(x)) if penalty == "paper" else order

        def losses_of(codes):
            decoded = networks.decoder(torch.stack([codes[i] for i in order]), torch.empty(len(order), 0))
            errors = [((decoded[i] - x[target[i]]) ** 2).mean() for i in range(len(x))]
            return sum(errors[:n]) / n, sum(errors[n:]) / k

        first, second = losses_of(codes)
        encoder, decoder = list(networks.encoder.parameters()), list(networks.decoder.parameters())
        of_decoder = torch.autograd.grad(first + second, decoder, retain_graph=True)
        if penalty == "paper":
            return first.item(), second.item(), [*torch.autograd.grad(first + second, encoder), *of_decoder]
        # The codes are constants for the penalty; the reconstruction still shares the decoder's batch statistics.
        parts = codes.detach().requires_grad_()
        (of_codes,) = torch.autograd.grad(sum(losses_of(parts)), parts)
        of_codes[n:] = 0
        return first.item(), second.item(), [*torch.autograd.grad(codes, encoder, of_codes), *of_decoder]

    def test_moves_both_networks(self, engine):
        assert moved(engine, *engine.program.phases) == {"encoder", "decoder"}

    def test_every_step_is_one_update(self, engine):
        (phase,) = engine.program.phases
        assert engine.program.n_steps == 4  # two epochs of 32 samples
        assert (phase.repeat, [phase.runs_in(step) for step in range(4)]) == (1, [True] * 4)
        assert phase.moves == {"autoencoder": {"reconstruction": 1.0, "penalty": 1.0}}

    def test_a_frozen_encoder_stays(self):
        encoder = nn.Sequential(nn.Flatten(), nn.Linear(64, 4)).requires_grad_(requires_grad=False)
        fitted = DeepSMOTE(**SMALL, encoder=encoder).fit(*make_data())
        torch.testing.assert_close(fitted.networks_.encoder[1].weight, encoder[1].weight)


def test_subsets_are_distinct_samples_of_one_class_and_classes_equally_likely():
    labels = torch.from_numpy(np.repeat([0, 1, 2], COUNTS))
    subsets = ClassSubsets(labels, 7, torch.Generator().manual_seed(0))
    drawn = [next(subsets) for _ in range(600)]
    assert all(len(rows.unique()) == len(rows) for rows in drawn)
    assert all(len(labels[rows].unique()) == 1 for rows in drawn)
    classes = [int(labels[rows[0]]) for rows in drawn]
    assert {label: len(drawn[classes.index(label)]) for label in range(3)} == {0: 7, 1: 7, 2: 6}
    share = np.bincount(classes) / 600
    np.testing.assert_allclose(share, 1 / 3, atol=5 * np.sqrt(2 / 9 / 600))


def test_subsets_of_one_size_are_one_kind_and_lie_in_one_place():
    labels = torch.from_numpy(np.repeat([0, 1, 2], COUNTS))
    subsets, places = ClassSubsets(labels, 7, torch.Generator().manual_seed(0)), {}
    for _ in range(30):
        size = subsets.advance()
        rows = subsets.draw()
        assert len(rows) == size
        assert places.setdefault(size, rows) is rows, "updates that were recorded find them where they were"
    assert set(places) == {6, 7}


class TestSamples:
    def test_are_decoded_from_between_a_code_and_one_of_its_nearest(self):
        X, y = make_data((6,), [40, 15, 9])
        sampler = DeepSMOTE(**SMALL)
        X_new, y_new = sampler.fit_resample(X, y)
        made = sampler.synthetic_mask_
        parents, weights = sampler.parents_[made], sampler.mix_weights_[made]
        assert (y[parents] == y_new[made][:, None]).all()
        assert (parents[:, 0] != parents[:, 1]).all()
        Z = sampler.encode(X)
        codes = (weights[:, :, None] * Z[parents]).sum(axis=1)
        np.testing.assert_allclose(sampler.decode(codes), X_new[made], atol=1e-5)
        for base, other in parents:
            same = np.flatnonzero((y == y[base]) & (np.arange(len(y)) != base))
            distances = np.linalg.norm(Z[same] - Z[base], axis=1)
            assert other in same[np.argsort(distances)[:5]]
        np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-6)
        assert 0 <= weights.min() < weights.max() <= 1

    def test_ranks_and_steps_are_uniform(self):
        X, y = make_data((6,), [30, 4])
        sampler = DeepSMOTE(**SMALL, small_class="adapt", sampling_strategy={1: 3004})
        with pytest.warns(UserWarning, match="4 of class 1"):
            sampler.fit_resample(X, y)
        made = sampler.synthetic_mask_
        pairs, counts = np.unique(sampler.parents_[made], axis=0, return_counts=True)
        assert len(pairs) == 12  # each of four rows with each of three others
        np.testing.assert_allclose(counts, 250, atol=5 * np.sqrt(250))
        assert sampler.mix_weights_[made][:, 1].mean() == pytest.approx(0.5, abs=0.03)

    def test_a_row_without_weight_is_no_parent(self):
        X, y = make_data((6,), [30, 9])
        weights = np.ones(39)
        weights[[30, 33, 34]] = 0
        sampler = DeepSMOTE(**SMALL)
        sampler.fit_resample(X, y, sample_weight=weights)
        assert set(np.unique(sampler.parents_[sampler.synthetic_mask_])) == {31, 32, 35, 36, 37, 38}


@pytest.mark.parametrize(
    ("counts", "total"),
    [
        ([4000, 2000, 1000, 750, 500, 350, 200, 100, 60, 40], 31000),
        ([4500, 2000, 1000, 800, 600, 500, 400, 250, 150, 80], 34720),
    ],
)
def test_as_many_are_made_as_on_the_published_protocols(counts, total):
    X, y = make_data((2,), counts)
    sampler = DeepSMOTE(**{**SMALL, "batch_size": 2000, "max_epochs": 1})
    _, y_new = sampler.fit_resample(X, y)
    assert sampler.synthetic_mask_.sum() == total
    assert np.bincount(y_new).tolist() == [counts[0]] * 10
    assert np.bincount(y_new[sampler.synthetic_mask_]).tolist() == [counts[0] - n for n in counts]


class TestClasses:
    def test_of_any_size_get_the_exact_number(self):
        X, y = make_data((6,), [20, 1, 2, 3, 4, 5, 6])
        sampler = DeepSMOTE(**SMALL, small_class="adapt")
        with pytest.warns(UserWarning, match="1 of class 1"):
            X_new, y_new = sampler.fit_resample(X, y)
        assert np.bincount(y_new).tolist() == [20] * 7
        assert np.isfinite(X_new).all()
        of_single = sampler.parents_[(y_new == 1) & sampler.synthetic_mask_]
        assert (of_single == 20).all(), "a single sample repeats itself"

    def test_are_found_by_name_and_the_largest_is_not_the_first_row(self):
        X, _ = make_data(counts=[30])
        y = np.array(["b"] * 4 + ["c"] * 8 + ["a"] * 18)
        X_new, y_new = DeepSMOTE(**SMALL, k_neighbors=3).fit_resample(X, y)
        assert dict(zip(*np.unique(y_new, return_counts=True), strict=True)) == {"a": 18, "b": 18, "c": 18}
        np.testing.assert_array_equal(X_new[:30], X)


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 9, 13), (2, 33, 47), (1, 64, 64)], ids=str)
def test_any_size_and_channels(shape):
    X, y = make_data(shape, [8, 4])
    sampler = DeepSMOTE(**{**SMALL, "max_epochs": 1, "k_neighbors": 2})
    images = (X * 255).astype(np.uint8)
    X_new, _ = sampler.fit_resample(images, y)
    assert X_new.shape == (16, *shape)
    assert X_new.dtype == np.uint8
    assert sampler.reconstruct(images[:3]).shape == (3, *shape)


def test_bfloat16_trains_finite_weights():
    fitted = DeepSMOTE(**{**SMALL, "precision": "bfloat16"}).fit(*make_data())
    assert all(torch.isfinite(tensor).all() for tensor in fitted.networks_.state_dict().values())
    assert fitted.sample(3, 2, random_state=0).dtype == np.float32


@pytest.mark.parametrize("step", [1, 3])
def test_resumes_bit_equal(step, tmp_path, monkeypatch):
    X, y = make_data()
    sampler = DeepSMOTE(**SMALL, schedule="cosine")
    whole = clone(sampler).fit(X, y)
    again = resumed(sampler, X, y, step, tmp_path / "run.checkpoint", monkeypatch)
    for name, tensor in whole.networks_.state_dict().items():
        assert torch.equal(tensor, again.networks_.state_dict()[name]), name
    assert whole.sample(5, 2, random_state=0).tobytes() == again.sample(5, 2, random_state=0).tobytes()


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(n_class=4, return_X_y=True)
    X = X.reshape(-1, 1, 8, 8).astype(np.float32)
    kept = np.concatenate([np.flatnonzero(y == c)[:n] for c, n in enumerate([120, 60, 25, 12])])
    rest = np.setdiff1d(np.arange(len(y)), kept)
    return X[kept], y[kept], X[rest], y[rest]


@pytest.fixture(scope="module")
def on_digits(digits):
    settings = {**SMALL, "latent_dim": 16, "channels": 16, "hidden_units": 64, "batch_size": 64, "max_epochs": 40}
    settings |= {"learning_rate": 5e-3, "schedule": "one_cycle"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CollapseWarning)
        return {p: DeepSMOTE(**settings, penalty=p).fit(*digits[:2]) for p in ("paper", "reference_code")}


class TestIdea:
    """On digits of 8x8 pixels, the rarest class with 12 of them."""

    def test_samples_keep_their_class(self, on_digits, digits):
        X, y = digits[2:]
        judge = LogisticRegression(max_iter=1000).fit(X.reshape(len(X), -1), y)
        for label in range(4):
            samples = on_digits["reference_code"].sample(50, y=label, random_state=0)
            assert (judge.predict(samples.reshape(50, -1)) == label).mean() > 0.9

    def test_the_papers_penalty_draws_a_rare_class_to_its_mean_and_the_codes_does_not(self, on_digits):
        paper, code = on_digits["paper"], on_digits["reference_code"]
        assert paper.diversity_[3] < paper.diversity_[2] < paper.diversity_[1]
        assert code.diversity_[3] > 3 * paper.diversity_[3]
        assert code.history_[-1]["penalty"] < 0.5 * paper.history_[-1]["penalty"]


class TestPublished:
    """Constants of the paper and of the authors' code, on images of 28 by 28 pixels."""

    @pytest.fixture
    def engine(self, monkeypatch):
        return engine_of(DeepSMOTE(device="cpu"), *make_data((1, 28, 28), [130, 120]), monkeypatch)

    def test_optimizers(self, engine):
        groups = [group for each in engine.program.optimizers.values() for group in each.param_groups]
        for group in groups:
            assert (group["lr"], group["betas"]) == (2e-4, (0.9, 0.999))
            assert (group["eps"], group["weight_decay"]) == (1e-8, 0)
        moved = {id(parameter) for group in groups for parameter in group["params"]}
        assert moved == {id(parameter) for parameter in engine.program.networks.parameters()}

    def test_batches_and_epochs(self, engine):
        x, n = drawn(engine, *engine.program.phases)
        assert (len(x), n) == (200, 100)
        assert engine.program.n_steps == 200 * 3

    def test_latents_and_neighbours(self, engine):
        x = torch.rand(2, 1, 28, 28)
        assert engine.program.networks.encode(x).shape == (2, 300)
        assert engine.program.settings.k_neighbors == 5
        # by the formula of the mini-batch, not the configured and unused lambda of 0.01
        assert engine.program.phases[0].moves["autoencoder"] == {"reconstruction": 1.0, "penalty": 1.0}
