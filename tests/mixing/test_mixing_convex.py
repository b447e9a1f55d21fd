import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from latentover.mixing import convex_combination, cyclic_shifts


def naive_combination(latents, weights):
    mixed = np.zeros((latents.shape[0], latents.shape[2]))
    for b in range(latents.shape[0]):
        for j in range(latents.shape[1]):
            for k in range(latents.shape[2]):
                mixed[b, k] += weights[b, j] * latents[b, j, k]
    return mixed


def random_tuples(seed, b, t, m):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(b, t, m)), rng.dirichlet(np.ones(t), size=b)


class TestConvexCombination:
    def test_worked_example(self):
        mixed = convex_combination(torch.tensor([[[1.0, 0.0], [0.0, 2.0]]]), torch.tensor([[0.3, 0.7]]))
        torch.testing.assert_close(mixed, torch.tensor([[0.3, 1.4]]))

    @given(st.integers(0, 2**16), st.integers(1, 5), st.integers(1, 4), st.integers(1, 6))
    def test_equals_three_loops(self, seed, b, t, m):
        latents, weights = random_tuples(seed, b, t, m)
        mixed = convex_combination(torch.from_numpy(latents), torch.from_numpy(weights))
        np.testing.assert_allclose(mixed.numpy(), naive_combination(latents, weights), atol=1e-12)

    def test_all_weight_on_one_latent_returns_it(self):
        latents = torch.randn(4, 3, 5)
        torch.testing.assert_close(
            convex_combination(latents, torch.eye(3)[[2, 0, 1, 1]]), latents[range(4), [2, 0, 1, 1]]
        )

    def test_lets_gradients_through_to_latents_and_weights(self):
        latents, weights = (torch.from_numpy(part).requires_grad_() for part in random_tuples(0, 3, 2, 4))
        torch.autograd.gradcheck(convex_combination, (latents, weights))

    def test_keeps_the_type_of_the_latents(self):
        latents = torch.ones(2, 2, 3, dtype=torch.bfloat16)
        assert convex_combination(latents, torch.full((2, 2), 0.5)).dtype == torch.bfloat16

    @given(st.integers(0, 2**16), st.integers(2, 4), st.integers(1, 8))
    def test_keeps_the_side_of_a_separating_plane(self, seed, t, m):
        """Proposition 1: a class that a plane separates stays on its side."""
        rng = np.random.default_rng(seed)
        normal, offset = rng.normal(size=m), rng.normal()
        latents = rng.normal(size=(200, t, m))
        side = latents @ normal + offset > 0
        of_one_class = (side == side[:, :1]).all(axis=1)
        weights = rng.dirichlet(np.full(t, 0.5), size=200)
        mixed = convex_combination(torch.from_numpy(latents), torch.from_numpy(weights)).numpy()
        np.testing.assert_array_equal((mixed @ normal + offset > 0)[of_one_class], side[of_one_class, 0])


class TestCyclicShifts:
    @pytest.mark.parametrize("t", [1, 2, 3, 4])
    def test_every_member_stands_once_in_every_place(self, t):
        latents = torch.randn(5, t, 2)
        orders = cyclic_shifts(latents)
        assert orders.shape == (t * 5, t, 2)
        for b in range(5):
            for shift in range(t):
                for place in range(t):
                    assert torch.equal(orders[shift * 5 + b, place], latents[b, (place + shift) % t])

    def test_the_unshifted_tuples_come_first(self):
        latents = torch.randn(3, 2, 4)
        assert torch.equal(cyclic_shifts(latents)[:3], latents)
