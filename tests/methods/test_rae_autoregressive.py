"""The RAE of tables whose decoder says how likely rows are: its loss, who moves when, and that all else works on it."""

import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from interruption import drawn, engine_of, moved, phases_of, resumed
from sklearn.base import clone
from torch import nn

import latentover
from latentover import LatentOversampler, RAEClassifier, RAESampler, fit_many
from latentover.mixing import SMOTEMix
from latentover.networks import AutoregressiveDecoder
from latentover.training import Engine

RNG = np.random.default_rng(0)
SETTINGS = {
    "latent_dim": 4,
    "hidden_units": 16,
    "dropout": 0.0,
    "batch_size": 5,
    "max_steps": 8,
    "device": "cpu",
    "precision": "float32",
    "random_state": 0,
    "alpha": "mixer",
    "reconstruction_weight": 0.7,
}
X, Y = RNG.normal(size=(60, 4)), np.repeat([0, 1, 2], [40, 14, 6])
FRAME = pd.DataFrame(
    {
        "amount": np.where(RNG.random(60) < 0.3, 0.0, RNG.lognormal(size=60)),
        "town": RNG.choice(["Graz", "Linz", "Wels"], 60),
        "size": RNG.normal(size=60).round(2),
    }
)
LABELS = np.array(["usual", "rare", "rarest"])[Y]
WEIGHTS = RNG.random(60) + 0.1


def assert_same(one, other):
    for name, value in one.networks_.state_dict().items():
        assert torch.equal(value, other.networks_.state_dict()[name]), name


def engine(monkeypatch, X=X, y=Y, *, fit=(), **settings):
    """Return an engine before its first step, whose networks are as if they had learned and drop nothing."""
    engine = engine_of(RAEClassifier(**{**SETTINGS, **settings}), X, y, monkeypatch, **dict(fit))
    networks = engine.program.networks.train()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in networks.decoder.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
        for module in networks.modules():
            if isinstance(module, nn.BatchNorm1d):
                module.running_mean.normal_(generator=generator)
    networks.decoder.dropout.p = 0.0
    return engine


# ---- The loss --------------------------------------------------------------------------------------------------------


def naive_loss(networks, draws, n_classes, alpha):
    """Row by row and member by member: - 1/t sum_i log D(x_i | sum_j alpha_j E(x_j), y), a column of the row."""
    n, t = draws.x.shape[:2]
    onehot, weights, terms = torch.eye(n_classes)[draws.labels], draws.mixing, []
    networks.encoder.eval()
    z = [[networks.encoder(draws.x[b, j][None])[0] for j in range(t)] for b in range(n)]
    networks.encoder.train()
    if alpha == "mixer":
        inputs = torch.stack([torch.cat([*z[b], draws.mixing[b], onehot[b]]) for b in range(n)])
        networks.mixer.eval()
        exponentials = networks.mixer.layers(inputs).exp()
        networks.mixer.train()
        weights = (exponentials / exponentials.sum(dim=1, keepdim=True)).detach()
    for b in range(n):
        mixture = sum(weights[b, j] * z[b][j] for j in range(t))
        for j in range(t):
            log = networks.decoder.log_prob(draws.x[b, j][None], mixture[None], onehot[b][None])
            terms.append(-log[0] / t)
    return sum(terms) / n / len(networks.decoder.columns)


@pytest.mark.parametrize("t", [2, 3])
@pytest.mark.parametrize("alpha", ["mixer", "uniform", "dirichlet"])
@pytest.mark.parametrize("frame", [False, True], ids=["numbers", "mixed columns"])
class TestLoss:
    def engine(self, monkeypatch, t, alpha, frame):
        alpha = [0.5, 2.0, 1.0][:t] if alpha == "dirichlet" else alpha
        return engine(monkeypatch, *((FRAME, LABELS) if frame else (X, Y)), n_components=t, alpha=alpha), alpha

    def test_is_that_of_a_second_writing(self, monkeypatch, t, alpha, frame):
        trained, alpha = self.engine(monkeypatch, t, alpha, frame)
        (phase,) = phases_of(trained, "decoder")
        draws = drawn(trained, phase)
        assert draws.x.shape[1] == t
        assert draws.mixing.shape == (len(draws.x), 4 if alpha == "mixer" else t)
        networks = trained.program.networks
        expected = naive_loss(networks, draws, 3, alpha)
        losses, found = trained.gradients(phase, draws)
        assert set(losses) == {"reconstruction"}
        torch.testing.assert_close(losses["reconstruction"], expected, rtol=1e-4, atol=1e-5)
        assert set(found) == {"decoder", "encoder"}
        for name, factor in (("decoder", 1.0), ("encoder", 0.7)):
            parameters = list(getattr(networks, name).parameters())
            theirs = torch.autograd.grad(factor * expected, parameters, retain_graph=True, allow_unused=True)
            assert sum(gradient is not None and gradient.abs().max() > 0 for gradient in theirs) > 3
            for ours, other in zip(found[name], theirs, strict=True):
                if other is None:
                    assert ours is None
                else:
                    torch.testing.assert_close(ours, other, rtol=1e-3, atol=2e-5)

    def test_tuples_are_of_one_class_and_weights_convex(self, monkeypatch, t, alpha, frame):
        trained, alpha = self.engine(monkeypatch, t, alpha, frame)
        (phase,) = phases_of(trained, "decoder")
        draws, data = drawn(trained, phase), trained.program.data
        for b in range(len(draws.x)):
            for j in range(t):
                same = (data.inputs == draws.x[b, j]).all(dim=1)
                assert draws.labels[b] in data.labels[same]
        if alpha != "mixer":
            assert (draws.mixing >= 0).all()
            torch.testing.assert_close(draws.mixing.sum(dim=1), torch.ones(len(draws.x)))


# ---- Who moves when --------------------------------------------------------------------------------------------------


class TestPhases:
    def test_the_first_moves_all_but_the_decoder_and_the_second_it_and_the_encoder(self, monkeypatch):
        trained = engine(monkeypatch)
        assert [phase.name for phase in trained.program.phases] == ["joint", "decoder"]
        joint, decoder = trained.program.phases
        assert moved(trained, joint) == {"encoder", "classifier", "mixer"}
        assert moved(trained, decoder) == {"encoder", "decoder"}

    def test_a_frozen_encoder_stays_as_it_is(self, monkeypatch):
        encoder = nn.Linear(4, 4).requires_grad_(requires_grad=False)
        trained = engine(monkeypatch, encoder=encoder)
        joint, decoder = trained.program.phases
        assert moved(trained, joint) == {"classifier", "mixer"}
        assert moved(trained, decoder) == {"decoder"}

    def test_without_class_preservation_the_encoder_learns_from_the_decoder_alone(self, monkeypatch):
        trained = engine(monkeypatch, class_preserving=False)
        joint, decoder = trained.program.phases
        _, found = trained.gradients(joint, drawn(trained, joint))
        assert all(gradient is None or not gradient.any() for gradient in found["encoder"])
        assert moved(trained, decoder) == {"encoder", "decoder"}

    def test_drawn_weights_leave_the_mixer_as_it_is(self, monkeypatch):
        trained = engine(monkeypatch, alpha="uniform")
        assert moved(trained, *trained.program.phases) == {"encoder", "classifier", "decoder"}

    @pytest.mark.parametrize(
        ("settings", "expected"),
        [
            ({}, "JDJDJDJD"),
            ({"adversarial_every": 3, "critic_steps": 2, "reconstruct_every": 2}, "JDJDJDJD"),  # of the other decoder
            ({"update_order": "reference_code", "max_steps": 11}, "DDDDDJDDDDDJD"),
            ({"decoder": False}, "JJJJ"),
        ],
        ids=str,
    )
    def test_both_in_every_step(self, monkeypatch, settings, expected):
        log, update = [], Engine.update

        def logged(self, phase):
            log.append(phase.name[0].upper())
            return update(self, phase)

        monkeypatch.setattr(Engine, "update", logged)
        RAEClassifier(**{**SETTINGS, "max_steps": 4, **settings}).fit(X, Y)
        assert "".join(log) == expected

    def test_optimizers_and_their_rates(self, monkeypatch):
        trained = engine(monkeypatch, max_steps=100, learning_rate=2e-4)
        optimizers = trained.program.optimizers
        assert {name: type(each) for name, each in optimizers.items()} == {
            "encoder": torch.optim.AdamW,
            "classifier": torch.optim.Adam,
            "mixer": torch.optim.Adam,
            "decoder": torch.optim.AdamW,
        }
        rates = {name: [] for name in optimizers}
        for step in range(100):
            trained.rates.set(step)
            for name, each in optimizers.items():
                rates[name].append(each.param_groups[0]["lr"])
        assert all(set(rates[name]) == {2e-4} for name in ("encoder", "classifier", "mixer"))
        top = int(np.argmax(rates["decoder"]))
        assert (np.diff(rates["decoder"])[:top] > 0).all()  # one cycle, up and down
        assert (np.diff(rates["decoder"])[top:] < 0).all()

    @pytest.mark.parametrize(("rate", "highest"), [(None, 3e-3), (1e-3, 1e-3)])
    def test_the_decoder_has_a_rate_of_its_own(self, monkeypatch, rate, highest):
        trained = engine(monkeypatch, max_steps=1000, adversarial_learning_rate=rate)
        found = []
        for step in range(1000):
            trained.rates.set(step)
            found.append(trained.program.optimizers["decoder"].param_groups[0]["lr"])
        assert max(found) == pytest.approx(highest, rel=1e-3)

    def test_its_average_is_what_is_used(self):
        live, averaged = (RAESampler(**SETTINGS, ema=ema).fit(X, Y) for ema in (0.0, 0.9))
        one, other = (dict(each.networks_.decoder.named_parameters()) for each in (live, averaged))
        for name in ("weight", "bias", "context.weight", "columns.0.coefficients.weight"):
            assert not torch.equal(one[name], other[name])

    def test_weights_of_rows_are_heeded(self, monkeypatch):
        """A row without one is in no tuple of the decoder."""
        weights = np.where(np.arange(60) % 2, WEIGHTS, 0.0)
        trained = engine(monkeypatch, fit={"sample_weight": weights})
        (phase,) = phases_of(trained, "decoder")
        data = trained.program.data
        seen = torch.cat([drawn(trained, phase).x.flatten(0, 1) for _ in range(20)])
        rows = (seen[:, None] == data.inputs[None]).all(dim=2).any(dim=0)
        assert not rows[torch.from_numpy(weights == 0)].any()
        assert rows.sum() > 25

    def test_history(self):
        row = RAEClassifier(**SETTINGS).fit(X, Y).history_[-1]
        assert {"classifier", "mixer", "reconstruction", "decoder_gradient", "predicted_classes"} <= set(row)
        assert not {"critic", "gradient_penalty", "decoder"} & set(row)


# ---- As the other estimators -----------------------------------------------------------------------------------------


class TestDefault:
    @pytest.mark.parametrize(
        ("settings", "autoregressive"),
        [
            ({}, True),
            ({"decoder": "autoregressive"}, True),
            ({"numbers": "standard"}, False),
            ({"decoder": "adversarial"}, False),
            ({"decoder": "adversarial", "numbers": "standard"}, False),
        ],
        ids=str,
    )
    def test_of_tables(self, settings, autoregressive):
        fitted = RAESampler(**{**SETTINGS, **settings}).fit(X, Y)
        assert isinstance(fitted.networks_.decoder, AutoregressiveDecoder) == autoregressive
        assert (fitted.networks_.critic is None) == autoregressive
        assert ("noise_factors" in fitted.tensors_) != autoregressive

    def test_of_images_is_the_paper_s(self):
        images = np.random.default_rng(0).random((60, 1, 8, 8))
        fitted = RAESampler(**SETTINGS, channels=4).fit(images, Y)
        assert not isinstance(fitted.networks_.decoder, AutoregressiveDecoder)
        assert fitted.networks_.critic is not None


class TestErrors:
    @pytest.mark.parametrize("cls", [RAEClassifier, RAESampler])
    def test_images_have_no_such_decoder(self, cls):
        images = np.random.default_rng(0).random((60, 1, 8, 8))
        with pytest.raises(ValueError, match="Expected decoder to be True or 'adversarial' for images, but got 'auto"):
            cls(**SETTINGS, channels=4, decoder="autoregressive").fit(images, Y)

    @pytest.mark.parametrize("cls", [RAEClassifier, RAESampler])
    def test_standardised_numbers_do_not_suit_it(self, cls):
        with pytest.raises(
            ValueError, match="numbers to be 'scores' with decoder='autoregressive', but got 'standard'"
        ):
            cls(**SETTINGS, decoder="autoregressive", numbers="standard").fit(X, Y)

    def test_there_are_no_others(self):
        with pytest.raises(ValueError, match=r"Expected decoder to be .*'adversarial'.*, but got 'mean'"):
            RAESampler(**SETTINGS, decoder="mean").fit(X, Y)


CASES = pytest.mark.parametrize(
    ("data", "settings"),
    [
        ((X, Y), {}),
        ((FRAME, LABELS), {"n_components": 3, "alpha": "uniform"}),
        ((FRAME, LABELS), {"ema": 0.9, "mixing": SMOTEMix(k_neighbors=2)}),
    ],
    ids=["numbers", "frame, three members", "frame, blended and averaged"],
)


class TestTraining:
    @CASES
    @pytest.mark.parametrize("step", [1, 5])
    def test_one_that_was_interrupted_goes_on_to_the_bit(self, data, settings, step, tmp_path, monkeypatch):
        sampler = RAESampler(**{**SETTINGS, **settings})
        whole = clone(sampler).fit(*data)
        again = resumed(sampler, *data, step, tmp_path / "training", monkeypatch)
        assert_same(whole, again)
        one, other = (pd.DataFrame(each.sample(20, y=data[1][-1], random_state=0)) for each in (whole, again))
        pd.testing.assert_frame_equal(one, other)

    def test_several_at_once_end_as_each_alone(self):
        samplers = [
            RAESampler(**{**SETTINGS, "random_state": 0}),
            RAESampler(**{**SETTINGS, "random_state": 1, "max_steps": 5, "alpha": "uniform"}),
            RAEClassifier(**SETTINGS, decoder="adversarial"),
        ]
        for together, sampler in zip(fit_many(samplers, FRAME, LABELS, at_once=3), samplers, strict=True):
            assert_same(together, clone(sampler).fit(FRAME, LABELS))

    def test_of_several_classes(self):
        counts = {"rare": 20, "rarest": 30}
        sampler = RAESampler(**SETTINGS, sampling_strategy=counts)
        new, labels = sampler.fit_resample(FRAME, LABELS)
        assert pd.Series(labels).value_counts().to_dict() == {"usual": 40, **counts}
        assert (new.dtypes == FRAME.dtypes).all()
        pd.testing.assert_frame_equal(new.iloc[:60], FRAME)
        assert set(new["town"]) == {"Graz", "Linz", "Wels"}
        weights = sampler.mix_weights_[sampler.synthetic_mask_]
        np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-5)
        for label in counts:
            parents = sampler.parents_[sampler.synthetic_mask_ & (labels == label)]
            assert (LABELS[parents] == label).all()

    def test_with_weights(self):
        sampler = RAESampler(**SETTINGS)
        sampler.fit_resample(X, Y, sample_weight=np.where(np.arange(60) % 2, WEIGHTS, 0.0))
        assert (sampler.parents_[60:] % 2 == 1).all()


# ---- A fitted one ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fitted():
    return RAEClassifier(**SETTINGS).fit(FRAME, LABELS)


class TestFitted:
    def test_bundles_and_pickles_draw_the_same(self, fitted, tmp_path):
        latentover.save(fitted, tmp_path / "bundle")
        for again in (latentover.load(tmp_path / "bundle"), pickle.loads(pickle.dumps(fitted))):
            for label in fitted.classes_:
                pd.testing.assert_frame_equal(
                    again.sample(50, y=label, random_state=0), fitted.sample(50, y=label, random_state=0)
                )
            pd.testing.assert_frame_equal(again.reconstruct(FRAME), fitted.reconstruct(FRAME))
            np.testing.assert_array_equal(again.predict_proba(FRAME), fitted.predict_proba(FRAME))

    def test_decode(self, fitted):
        Z = fitted.encode(FRAME)
        rows = fitted.decode(Z, LABELS)
        assert (rows.dtypes == FRAME.dtypes).all()
        pd.testing.assert_frame_equal(rows, fitted.decode(Z, LABELS))
        pd.testing.assert_frame_equal(rows, fitted.reconstruct(FRAME, LABELS))
        pd.testing.assert_frame_equal(rows, fitted.decode(Z, LABELS, random_state=0))
        assert not rows.equals(fitted.decode(Z, LABELS, random_state=1))

    def test_rows_of_one_latent_differ(self, fitted):
        """It is a distribution that the latent says."""
        rows = fitted.decode(np.repeat(fitted.encode(FRAME[:1]), 200, axis=0), LABELS[:1].repeat(200))
        assert len(rows.drop_duplicates()) > 100
        assert set(rows["town"]) == {"Graz", "Linz", "Wels"}

    def test_interpolate(self, fitted):
        way = fitted.interpolate(FRAME[:1], FRAME[-1:], 6)
        assert way.shape == (6, 3)
        for place, row in ((0, FRAME[:1]), (5, FRAME[-1:])):
            pd.testing.assert_frame_equal(way[place : place + 1].reset_index(drop=True), fitted.reconstruct(row))
        still = fitted.interpolate(FRAME[:1], FRAME[:1], 5)
        assert len(still.drop_duplicates()) == 1

    def test_mixing_weights(self, fitted):
        weights = fitted.mixing_weights(FRAME[:6], FRAME[6:12], random_state=0)
        assert weights.shape == (6, 2)
        np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-5)

    def test_in_a_latent_oversampler(self, fitted):
        sampler = LatentOversampler(autoencoder=fitted, random_state=0)
        new, labels = sampler.fit_resample(FRAME, LABELS)
        assert pd.Series(labels).value_counts().to_dict() == {"usual": 40, "rare": 40, "rarest": 40}
        assert (new.dtypes == FRAME.dtypes).all()
        assert len(new[60:].drop_duplicates()) > 30

    def test_a_seed_says_what_is_drawn(self, fitted):
        one, again, other = (fitted.sample(50, y="rare", random_state=seed) for seed in (0, 0, 1))
        pd.testing.assert_frame_equal(one, again)
        assert not one.equals(other)
        torch.manual_seed(5)
        pd.testing.assert_frame_equal(one, fitted.sample(50, y="rare", random_state=0))

    def test_batches_of_samples_do_not_repeat_each_other(self, fitted):
        rows = fitted.sample(2500, y="rare", random_state=0).reset_index(drop=True)
        assert not rows[:1024].equals(rows[1024:2048].reset_index(drop=True))


@pytest.mark.parametrize("alpha", ["uniform", "mixer"])
def test_rows_are_distributed_as_those_of_their_class(alpha):
    """Means, spreads, a correlation, the share of a point mass and of a level, which differ between the classes.

    The mixer prefers rows that look like those of the other class, which are not to be drawn more often for that.
    """
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], [1500, 500])
    first = rng.normal(size=2000) + y
    slope = np.where(y == 1, -0.9, 0.9)
    frame = pd.DataFrame(
        {
            "first": first,
            "second": slope * first + 0.4 * rng.normal(size=2000),
            "amount": np.where(rng.random(2000) < 0.5 - 0.3 * y, 0.0, rng.lognormal(size=2000)),
            "town": np.where(rng.random(2000) < 0.2 + 0.5 * y, "Graz", "Linz"),
        }
    )
    sampler = RAESampler(alpha=alpha, max_steps=500, device="cpu", random_state=0).fit(frame, y)
    for label in (0, 1):
        new, real = sampler.sample(2000, y=label, random_state=0), frame[y == label]
        for name in ("first", "second"):
            assert new[name].mean() == pytest.approx(real[name].mean(), abs=0.2 * real[name].std())
            assert new[name].std() == pytest.approx(real[name].std(), rel=0.2)
        correlation = new[["first", "second"]].corr().iloc[0, 1]
        assert correlation * np.sign(slope[y == label][0]) > 0.6  # 0.9 and -0.9 in the data
        assert (new["amount"] == 0).mean() == pytest.approx((real["amount"] == 0).mean(), abs=0.08)
        assert (new["town"] == "Graz").mean() == pytest.approx((real["town"] == "Graz").mean(), abs=0.08)
