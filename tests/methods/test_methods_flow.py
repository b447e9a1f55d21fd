"""FlowSampler: its path and objective, what it learns of classes, where its samples start, and exact seeds."""

import numpy as np
import pytest
import torch
from interruption import drawn, engine_of, resumed

from latentover import FlowSampler, load, save
from latentover.methods.flow import FlowNetworks, flow_loss, follow, noised
from latentover.networks import ImageFlow, RowFlow

SMALL = {
    "hidden_units": 16,
    "channels": 4,
    "batch_size": 12,
    "max_steps": 6,
    "n_steps": 3,
    "device": "cpu",
    "precision": "float32",
    "random_state": 0,
}
COUNTS = [18, 8, 4]


def make_data(shape=(1, 8, 8), counts=COUNTS):
    rng = np.random.default_rng(0)
    return rng.random((sum(counts), *shape)).astype(np.float32), np.repeat(np.arange(len(counts)), counts)


class TestPath:
    def test_goes_from_the_sample_to_noise_in_a_straight_line(self):
        x, noise = torch.rand(4, 2, 3), torch.randn(4, 2, 3)
        between = noised(x, noise, torch.tensor([0.0, 0.5, 0.9, 1.0]))
        torch.testing.assert_close(between[0], x[0])
        torch.testing.assert_close(between[1], (x[1] + noise[1]) / 2)
        torch.testing.assert_close(between[3], noise[3])

    def test_loss_is_the_squared_distance_to_the_direction_of_that_line(self):
        velocity, x, noise = torch.rand(4, 3), torch.rand(4, 3), torch.randn(4, 3)
        h = 0.5
        slope = (noised(x, noise, torch.full((4,), h)) - noised(x, noise, torch.zeros(4))) / h
        assert flow_loss(velocity, x, noise).item() == pytest.approx(((velocity - slope) ** 2).mean().item(), rel=1e-5)

    @pytest.mark.parametrize(("solver", "order"), [("euler", 1), ("heun", 2)])
    def test_error_of_a_solver_falls_with_its_order(self, solver, order):
        start = torch.tensor([1.0, 0.5], dtype=torch.float64)
        x = torch.tensor([[1.0], [2.0]], dtype=torch.float64)
        exact = x * torch.exp(-0.5 * start**2).unsqueeze(1)  # dx/dt = t x

        def error(n_steps):
            ends = follow(lambda x, t: x * t.unsqueeze(1), x, start, n_steps, solver)
            return (ends - exact).abs().max().item()

        assert error(40) / error(80) == pytest.approx(2**order, rel=0.1)

    def test_guidance_weighs_the_class_against_no_class(self):
        class Known(torch.nn.Module):
            def forward(self, x, t, labels):
                return x * labels.float().unsqueeze(1)  # no class is number 3

        networks, x, t, labels = FlowNetworks(Known(), 3), torch.ones(2, 1), torch.rand(2), torch.tensor([1, 2])
        assert networks.guided(x, t, labels, 1.0).flatten().tolist() == [1, 2]
        assert networks.guided(x, t, labels, 0.0).flatten().tolist() == [3, 3]
        assert networks.guided(x, t, labels, 2.0).flatten().tolist() == [2 * 1 - 3, 2 * 2 - 3]


class TestNetworks:
    @pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (3, 9, 13), (3, 64, 64)])
    def test_velocity_has_the_shape_of_the_image(self, shape):
        network = ImageFlow(shape, 3, channels=4)
        x = torch.rand(2, *shape)
        assert network(x, torch.rand(2), torch.tensor([0, 3])).shape == x.shape

    @pytest.mark.parametrize("network", [RowFlow(5, 3, hidden_units=8), ImageFlow((2, 8, 8), 3, channels=16)])
    def test_starts_at_zero_and_every_parameter_learns(self, network):
        shape = (5,) if isinstance(network, RowFlow) else (2, 8, 8)
        x, t, labels = torch.randn(6, *shape), torch.rand(6), torch.tensor([0, 1, 2, 3, 0, 1])
        assert network(x, t, labels).abs().max() == 0
        before = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
        optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
        for _ in range(4):  # from the last layer, which is zero, gradients reach the others step by step
            optimizer.zero_grad()
            (network(x, t, labels) - x).square().mean().backward()
            optimizer.step()
        still = [name for name, parameter in network.named_parameters() if torch.equal(parameter, before[name])]
        assert not still

    def test_tells_times_and_classes_apart(self):
        torch.manual_seed(0)
        network = RowFlow(2, 2, hidden_units=8)
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter)
        x = torch.ones(4, 2)
        velocities = network(x, torch.tensor([0.1, 0.11, 0.9, 0.1]), torch.tensor([0, 0, 0, 1]))
        assert len(velocities.unique(dim=0)) == 4


class TestUpdate:
    def test_draws_times_noise_and_classes(self, monkeypatch):
        X, y = make_data((5,))
        engine = engine_of(FlowSampler(**{**SMALL, "batch_size": 4000}, label_dropout=0.25), X, y, monkeypatch)
        (phase,) = engine.program.phases
        x, noise, t, labels = drawn(engine, phase)
        assert {tuple(row) for row in x.tolist()} <= {tuple(row) for row in engine.program.data.inputs.tolist()}
        n = len(x)
        # Five standard errors each.
        assert t.mean().item() == pytest.approx(0.5, abs=5 * (1 / 12 / n) ** 0.5)
        assert noise.var().item() == pytest.approx(1, abs=5 * (2 / noise.numel()) ** 0.5)
        expected = np.sqrt(COUNTS) / np.sqrt(COUNTS).sum() * 0.75
        found = np.bincount(labels.numpy(), minlength=4) / n
        assert found == pytest.approx([*expected, 0.25], abs=5 * (0.25 / n) ** 0.5)

    def test_images_are_centred(self, monkeypatch):
        engine = engine_of(FlowSampler(**SMALL), *make_data(), monkeypatch)
        x = drawn(engine, engine.program.phases[0])[0]
        assert -1 <= x.min() < -0.8
        assert 0.8 < x.max() <= 1

    def test_a_row_without_weight_is_not_learned(self, monkeypatch):
        X, y = make_data((5,))
        weights = np.ones(len(y))
        weights[:10] = 0
        engine = engine_of(FlowSampler(**SMALL), X, y, monkeypatch, sample_weight=weights)
        without = engine.program.data.inputs[:10]
        for _ in range(20):
            x = drawn(engine, engine.program.phases[0])[0]
            assert torch.cdist(x, without).min() > 0

    def test_average_forgets_where_it_began(self, monkeypatch):
        engine = engine_of(FlowSampler(**{**SMALL, "max_steps": 200}), *make_data((5,)), monkeypatch)
        assert engine.program.ema == 0.95
        engine = engine_of(FlowSampler(**{**SMALL, "max_steps": 20_000}), *make_data((5,)), monkeypatch)
        assert engine.program.ema == 0.999


class TestGaussians:
    """Two classes of known mean and covariance in the plane."""

    MEANS = np.array([[-2.0, 0.0], [2.0, 3.0]])
    COVARIANCES = np.array([[[1.0, 0.5], [0.5, 1.0]], [[0.3, -0.2], [-0.2, 0.4]]])
    N = 3000

    @pytest.fixture(scope="class")
    @classmethod
    def fitted(cls):
        rng = np.random.default_rng(0)
        counts = [1200, 400]
        X = np.concatenate(
            [rng.multivariate_normal(*each, n) for *each, n in zip(cls.MEANS, cls.COVARIANCES, counts, strict=True)]
        )
        settings = {"hidden_units": 64, "max_steps": 800, "clip": "none", "device": "cpu", "random_state": 0}
        sampler = FlowSampler(**settings, strength=(0.05, 1.0))
        return sampler.fit(X, np.repeat([0, 1], counts)), X

    @pytest.mark.parametrize("label", [0, 1])
    def test_class_has_its_mean_and_covariance(self, fitted, label):
        sampler, X = fitted
        sampler.strength = 1.0
        new, real = sampler.sample(self.N, y=label, random_state=0), X[sampler.tensors_["labels"].numpy() == label]
        spread = np.sqrt(np.diag(self.COVARIANCES[label]))
        # In the class's own deviations: of a small network that was trained for seconds, and of samples.
        assert np.abs((new.mean(axis=0) - real.mean(axis=0)) / spread).max() < 0.15
        difference = np.cov(new.T) - np.cov(real.T)
        assert np.abs(difference / np.outer(spread, spread)).max() < 0.3

    def test_distance_to_the_parent_grows_with_strength(self, fitted):
        sampler, X = fitted
        distances = []
        for strength in (0.05, 0.3, 0.6, 0.9):
            sampler.strength = strength
            new, parents, weights = sampler._sample(1, 1000, seed=0)
            assert parents.shape == weights.shape == (1000, 1)
            assert set(parents[:, 0]) <= set(np.flatnonzero(sampler.tensors_["labels"].numpy() == 1))
            distances.append(np.linalg.norm(new - X[parents[:, 0]], axis=1).mean())
        assert distances == sorted(distances)
        assert distances[0] < 0.15 * distances[-1]

    def test_a_drawn_strength_lies_between_its_ends(self, fitted):
        sampler, X = fitted
        means = []
        for strength in (0.1, (0.1, 0.8), 0.8):
            sampler.strength = strength
            new, parents, _ = sampler._sample(0, 1000, seed=0)
            means.append(np.linalg.norm(new - X[parents[:, 0]], axis=1).mean())
        assert means[0] < means[1] < means[2]


class TestSamples:
    @pytest.mark.parametrize("shape", [(5,), (1, 8, 8)], ids=["table", "images"])
    @pytest.mark.parametrize("strength", [1.0, 0.4, (0.2, 0.6)])
    def test_are_those_of_their_seed(self, shape, strength):
        X, y = make_data(shape)
        one, other = (FlowSampler(**SMALL, strength=strength).fit(X, y) for _ in range(2))
        first = one.sample(5, y=2, random_state=3)
        np.testing.assert_array_equal(first, other.sample(5, y=2, random_state=3))
        assert not np.array_equal(first, one.sample(5, y=2, random_state=4))
        assert first.shape == (5, *shape)
        assert first.dtype == X.dtype

    def test_start_from_rows_only_below_full_strength(self):
        X, y = make_data((5,))
        whole, part = (FlowSampler(**SMALL, strength=strength) for strength in (1.0, 0.5))
        whole.fit_resample(X, y)
        part.fit_resample(X, y)
        assert whole.parents_.shape == (54, 0)
        new = part.synthetic_mask_
        assert (y[part.parents_[new, 0]] == np.repeat([1, 2], [10, 14])).all()
        assert part.mix_weights_[new].tolist() == [[1.0]] * 24

    def test_base_selection_names_the_rows_they_start_from(self):
        X, y = make_data((5,))
        rows = [18, 20, 27]
        sampler = FlowSampler(**SMALL, strength=0.3, base_selection=rows)
        sampler.fit_resample(X, y)
        assert set(sampler.parents_[sampler.synthetic_mask_, 0]) == set(rows)

    def test_less_strength_takes_fewer_steps(self, monkeypatch):
        X, y = make_data((5,))
        sampler = FlowSampler(**{**SMALL, "n_steps": 10}, strength=0.3, solver="euler").fit(X, y)
        calls = []
        velocity = sampler.networks_.velocity.forward
        monkeypatch.setattr(sampler.networks_.velocity, "forward", lambda *a: calls.append(1) or velocity(*a))
        sampler.sample(2, y=0)
        assert len(calls) == 3

    def test_images_come_out_in_pieces_as_many_as_asked(self):
        X, y = make_data()
        new = FlowSampler(**SMALL).fit((X * 255).astype(np.uint8), y).sample(70, y=0, random_state=0)
        assert new.shape == (70, 1, 8, 8)
        assert new.dtype == np.uint8

    def test_of_a_mixed_table_have_its_levels(self):
        import pandas as pd

        rng = np.random.default_rng(0)
        X = pd.DataFrame({"town": rng.choice(["Graz", "Linz"], 30), "size": rng.normal(size=30)})
        new = FlowSampler(**SMALL).fit(X, np.repeat([0, 1], [20, 10])).sample(8, y=1)
        assert list(new) == ["town", "size"]
        assert set(new["town"]) <= {"Graz", "Linz"}


class TestSettings:
    @pytest.mark.parametrize("strength", [0, 1.5, (0.5, 0.2), (0.0, 0.5), "half", True, (0.1, 0.2, 0.3)])
    def test_strength_is_a_share_or_two(self, strength):
        with pytest.raises(
            ValueError, match=r"Expected strength to be a number above 0 and at most 1, or \(low, high\)"
        ):
            FlowSampler(strength=strength).fit(*make_data((5,)))

    def test_no_rows_to_start_from_with_full_strength(self):
        with pytest.raises(ValueError, match="Expected base_selection to be 'random' with strength=1"):
            FlowSampler(base_selection="even").fit(*make_data((5,)))

    @pytest.mark.parametrize("shape", [(5,), (1, 8, 8)], ids=["table", "images"])
    def test_round_trip_through_a_bundle(self, shape, tmp_path):
        fitted = FlowSampler(**SMALL).fit(*make_data(shape))
        save(fitted, tmp_path / "flow")
        found = load(tmp_path / "flow")
        np.testing.assert_array_equal(found.sample(4, y=1, random_state=0), fitted.sample(4, y=1, random_state=0))

    def test_a_bundle_holds_no_row_to_start_from(self, tmp_path):
        with pytest.raises(TypeError, match="an estimator that needs no training rows once it is fitted"):
            save(FlowSampler(**SMALL, strength=0.5).fit(*make_data((5,))), tmp_path / "flow")

    def test_goes_on_where_it_was_interrupted(self, tmp_path, monkeypatch):
        X, y = make_data()
        sampler = FlowSampler(**SMALL)
        whole, gone_on = sampler.fit(X, y), resumed(sampler, X, y, 4, tmp_path / "checkpoint", monkeypatch)
        for name, tensor in whole.networks_.state_dict().items():
            assert torch.equal(tensor, gone_on.networks_.state_dict()[name]), name
