import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from latentover.mixing import Mixed, Mixup, draw_mixing_weights, mix_inputs, mixup_label_weight


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def batch(n=12, seed=0):
    """Inputs that name their sample: input i is i in every pixel."""
    labels = torch.randint(3, (n,), generator=generator(seed))
    return torch.arange(float(n)).view(n, 1, 1, 1).expand(n, 2, 8, 8), labels, torch.tensor([90, 30, 10])


class TestDrawMixingWeights:
    @pytest.mark.parametrize("alpha", [0.2, 1, 2.0])
    def test_follow_the_beta_distribution(self, alpha):
        weights = draw_mixing_weights(alpha, 4000, generator(), per_sample=True)
        assert stats.kstest(weights.double().numpy(), stats.beta(alpha, alpha).cdf).pvalue > 1e-3

    @pytest.mark.parametrize("alpha", [1.0, 0.4])
    def test_one_for_the_batch_or_one_a_sample(self, alpha):
        assert draw_mixing_weights(alpha, 50, generator()).unique().numel() == 1
        assert draw_mixing_weights(alpha, 50, generator(), per_sample=True).unique().numel() > 40

    def test_is_defined_for_very_small_alpha(self):
        weights = draw_mixing_weights(1e-4, 1000, generator(), per_sample=True)
        assert weights.isfinite().all()
        assert ((weights >= 0) & (weights <= 1)).all()


class TestMixInputs:
    @given(st.integers(0, 2**16), st.integers(1, 5))
    def test_equals_a_loop(self, seed, n):
        rng = np.random.default_rng(seed)
        first, second, weight = rng.normal(size=(n, 2, 3)), rng.normal(size=(n, 2, 3)), rng.uniform(size=n)
        mixed = mix_inputs(*map(torch.from_numpy, (first, second, weight))).numpy()
        for i in range(n):
            np.testing.assert_allclose(mixed[i], weight[i] * first[i] + (1 - weight[i]) * second[i], atol=1e-12)

    def test_is_exact_at_the_ends(self):
        first, second = torch.rand(2, 5, 7) * torch.logspace(-6, 6, 7)
        assert torch.equal(mix_inputs(first, second, torch.ones(5)), first)
        assert torch.equal(mix_inputs(first, second, torch.zeros(5)), second)


class TestMixed:
    @given(st.integers(0, 2**16))
    def test_soft_labels_equal_a_loop(self, seed):
        rng = np.random.default_rng(seed)
        labels, partners, weight = rng.integers(4, size=6), rng.integers(4, size=6), rng.uniform(size=6)
        mixed = Mixed(torch.zeros(6, 1), *map(torch.from_numpy, (labels, partners, weight)))
        expected = np.zeros((6, 4))
        for i in range(6):
            expected[i, labels[i]] += weight[i]
            expected[i, partners[i]] += 1 - weight[i]
        np.testing.assert_allclose(mixed.soft_labels(4).numpy(), expected, atol=1e-12)

    def test_a_pair_of_one_class_has_a_hard_label(self):
        one = torch.tensor([1])
        assert Mixed(torch.zeros(1, 1), one, one, torch.tensor([0.3])).soft_labels(2).tolist() == [[0.0, 1.0]]


class TestMixup:
    @pytest.mark.parametrize("per_sample", [False, True])
    @pytest.mark.parametrize("alpha", [1.0, 0.4])
    def test_inputs_and_labels_are_mixed_with_one_weight(self, alpha, per_sample):
        inputs, labels, counts = batch()
        inputs = inputs.double()
        mixed = Mixup(alpha, per_sample)(inputs, labels, counts, generator(3))
        value = mixed.inputs[:, 0, 0, 0]
        assert torch.equal(mixed.inputs, value.view(-1, 1, 1, 1).expand_as(inputs))
        assert torch.equal(mixed.labels, labels)
        # The partner's number can be solved for, must be whole, and must be a permutation of the batch.
        own, weight = torch.arange(12.0).double(), mixed.label_weight.double()
        partner = (value - weight * own) / (1 - weight)
        rows = partner.round().long()
        torch.testing.assert_close(partner, rows.double(), atol=1e-6, rtol=0)
        assert sorted(rows.tolist()) == list(range(12))
        assert torch.equal(mixed.partners, labels[rows])

    def test_mixes_with_given_partners(self):
        inputs, labels, counts = batch(4)
        mixed = Mixup()(inputs, labels, counts, generator(), partners=(inputs + 100, labels.flip(0)))
        expected = inputs + 100 * (1 - mixed.label_weight).view(-1, 1, 1, 1)
        torch.testing.assert_close(mixed.inputs, expected)
        assert torch.equal(mixed.partners, labels.flip(0))

    def test_randomness_comes_from_the_generator_alone(self):
        arguments = batch()
        torch.manual_seed(0)
        first = Mixup()(*arguments, generator(5))
        torch.manual_seed(1)
        second = Mixup()(*arguments, generator(5))
        assert torch.equal(first.inputs, second.inputs)
        assert not torch.equal(first.inputs, Mixup()(*arguments, generator(6)).inputs)

    def test_label_weight_is_the_input_weight(self):
        lam = torch.linspace(0, 1, 11)
        assert torch.equal(mixup_label_weight(lam), lam)

    @pytest.mark.parametrize("alpha", [0, -1.0, float("nan"), float("inf"), "1", True])
    def test_refuses_other_alphas(self, alpha):
        with pytest.raises(ValueError, match="Expected alpha to be a number above 0, but got"):
            Mixup(alpha=alpha)
