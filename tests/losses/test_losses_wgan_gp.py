import numpy as np
import pytest
import torch
from torch import nn

from latentover.losses import critic_loss, generator_loss, gradient_penalty


@pytest.fixture
def batch():
    torch.manual_seed(0)
    onehot = torch.eye(3)[[0, 2, 1, 1, 0]]
    return torch.randn(5, 2, 3, 3), torch.randn(5, 2, 3, 3), onehot, torch.rand(5)


class TestGeneratorLoss:
    def test_is_minus_the_mean_score(self):
        assert generator_loss(torch.tensor([1.0, 2.0, 6.0])).item() == -3


class TestCriticLoss:
    def test_by_hand(self):
        fake, real, penalty = torch.tensor([1.0, 3.0]), torch.tensor([5.0, 9.0]), torch.tensor(0.5)
        assert critic_loss(fake, real, penalty).item() == 2 - 7 + 10 * 0.5
        assert critic_loss(fake, real, penalty, 2.0).item() == 2 - 7 + 2 * 0.5


class TestGradientPenalty:
    def test_of_a_linear_critic_with_slope_three_is_four(self, batch):
        real, fake, onehot, a = batch
        w = torch.randn(18)
        w *= 3 / w.norm()
        penalty = gradient_penalty(lambda x, _: x.flatten(1) @ w, real, fake, onehot, a)
        assert penalty.item() == pytest.approx(4, rel=1e-5)
        zero = torch.zeros(5)
        assert critic_loss(zero, zero, penalty).item() == pytest.approx(40, rel=1e-5)

    def test_equals_finite_differences_sample_by_sample(self, batch):
        real, fake, onehot, a = (part.double() for part in batch)
        network = nn.Sequential(nn.Linear(18 + 3, 7), nn.Tanh(), nn.Linear(7, 1)).double()

        def critic(x, label):
            return network(torch.cat([x.flatten(1), label], dim=1)).squeeze(1)

        expected = []
        for i in range(5):
            between = real[i] + a[i] * (fake[i] - real[i])
            slopes, h = [], 1e-5
            for k in range(18):
                step = torch.zeros(18, dtype=torch.float64)
                step[k] = h
                step = step.view(1, 2, 3, 3)
                up, down = (
                    critic(between[None] + step, onehot[i : i + 1]),
                    critic(between[None] - step, onehot[i : i + 1]),
                )
                slopes.append((up - down).item() / (2 * h))
            expected.append((np.linalg.norm(slopes) - 1) ** 2)
        penalty = gradient_penalty(critic, real, fake, onehot, a)
        assert penalty.item() == pytest.approx(np.mean(expected), rel=1e-5)

    def test_is_taken_between_real_and_fake(self, batch):
        real, fake, onehot, _ = batch
        seen = []

        def critic(x, _):
            seen.append(x.detach())
            return x.flatten(1).sum(dim=1)

        a = torch.tensor([0.0, 1.0, 0.5, 0.0, 1.0])
        gradient_penalty(critic, real, fake, onehot, a)
        torch.testing.assert_close(seen[0][[0, 3]], real[[0, 3]])
        torch.testing.assert_close(seen[0][[1, 4]], fake[[1, 4]])
        torch.testing.assert_close(seen[0][2], (real[2] + fake[2]) / 2)

    def test_gradient_is_finite_where_the_slope_is_zero(self, batch):
        real, fake, onehot, a = batch
        w = torch.zeros(18, requires_grad=True)
        penalty = gradient_penalty(lambda x, _: x.flatten(1) @ w, real, fake, onehot, a)
        (gradient,) = torch.autograd.grad(penalty, w)
        assert torch.isfinite(gradient).all()
        assert penalty.item() == pytest.approx(1, abs=1e-4)

    def test_trains_the_critic_alone(self, batch):
        real, fake, onehot, a = batch
        real.requires_grad_()
        fake.requires_grad_()
        w = torch.full((18,), 0.1, requires_grad=True)
        gradient_penalty(lambda x, _: (x.flatten(1) @ w) ** 2, real, fake, onehot, a).backward()
        assert w.grad.abs().sum() > 0
        assert real.grad is None
        assert fake.grad is None

    def test_of_rows(self):
        x = torch.randn(4, 6)
        penalty = gradient_penalty(lambda rows, _: rows[:, 0], x, x, torch.eye(4), torch.zeros(4))
        assert penalty.item() == pytest.approx(0, abs=1e-6)
