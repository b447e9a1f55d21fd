import dataclasses

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from latentover.mixing import MAMix, Mixup, Remix, mamix_label_weight, remix_label_weight

LAMBDAS = [0, 0.1, 0.25, 0.5, 0.75, 0.9, 1]
ORACLES = [
    (5000, 50, 0.25, [0, 0.065811, 0.164528, 0.329057, 0.493585, 0.791886, 1]),
    (50, 5000, 0.25, [0, 0.208114, 0.506415, 0.670943, 0.835472, 0.934189, 1]),
    (5000, 50, 0.5, [0, 0.055, 0.1375, 0.275, 0.4125, 0.495, 1]),
    (5000, 50, 1.0, [0, 0.0505, 0.12625, 0.2525, 0.37875, 0.4545, 1]),
    (5000, 2997, 0.25, [0, 0.093995, 0.234986, 0.469973, 0.732937, 0.893175, 1]),
    (70, 70, 0.25, LAMBDAS),
    (5000, 50, 0.0, LAMBDAS),
]
counts = st.integers(1, 10_000)
weights = st.floats(0, 1)


def second_writing(lam, n_i, n_j, omega):
    """Equation 16 letter by letter."""
    eta_i, eta_j = 1 / n_i**omega, 1 / n_j**omega
    if lam >= eta_j / (eta_i + eta_j):
        return 1 - (1 - lam) * 0.5 / (eta_i / (eta_i + eta_j))
    return 0.5 * lam / (eta_j / (eta_i + eta_j))


def double(value):
    return torch.tensor([value], dtype=torch.float64)


class TestMamixLabelWeight:
    @pytest.mark.parametrize(("n_i", "n_j", "omega", "expected"), ORACLES)
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_oracles(self, n_i, n_j, omega, expected, dtype):
        weight = mamix_label_weight(torch.tensor(LAMBDAS, dtype=dtype), n_i, n_j, omega)
        torch.testing.assert_close(weight, torch.tensor(expected, dtype=dtype), atol=1e-6, rtol=0)

    @given(weights, counts, counts, st.sampled_from([0.125, 0.25, 1.0, 2.0]))
    def test_equals_equation_16(self, lam, n_i, n_j, omega):
        assert mamix_label_weight(double(lam), n_i, n_j, omega).item() == pytest.approx(
            second_writing(lam, n_i, n_j, omega), abs=1e-9
        )

    @given(weights, counts, counts)
    def test_both_orders_of_a_pair_share_the_label(self, lam, n_i, n_j):
        lam = double(lam)
        both = mamix_label_weight(lam, n_i, n_j) + mamix_label_weight(1 - lam, n_j, n_i)
        torch.testing.assert_close(both, double(1.0))

    @given(counts, counts, st.sampled_from([0.25, 1.0, 8.0, 100.0]))
    def test_is_exact_at_the_ends(self, n_i, n_j, omega):
        assert mamix_label_weight(torch.tensor([0.0, 1.0]), n_i, n_j, omega).tolist() == [0.0, 1.0]

    @pytest.mark.parametrize("n", [1, 7, 5000])
    def test_the_tie_at_theta_is_one_half(self, n):
        assert mamix_label_weight(torch.tensor([0.5]), n, n).item() == 0.5
        theta = torch.sigmoid(torch.tensor([0.25], dtype=torch.float64) * torch.tensor(4.0).double().log())
        assert mamix_label_weight(theta, 4 * n, n).item() == pytest.approx(0.5, abs=1e-12)

    @given(counts, counts)
    def test_rises_with_the_input_weight_and_favours_the_rarer_class(self, n_i, n_j):
        lam = torch.linspace(0, 1, 41, dtype=torch.float64)
        weight = mamix_label_weight(lam, n_i, n_j)
        assert (weight.diff() > 0).all()
        if n_i < n_j:
            assert (weight >= lam - 1e-12).all()


class TestMAMix:
    def mixed(self, rule, seed=0):
        labels, partners = torch.tensor([0, 1, 0, 1, 2]), torch.tensor([0, 0, 1, 2, 0])
        generator = torch.Generator().manual_seed(seed)
        counts = torch.tensor([90, 40, 10])
        mixed = rule(torch.ones(5, 2), labels, counts, generator, (torch.zeros(5, 2), partners))
        return mixed, mixed.inputs[:, 0], counts[labels], counts[partners]

    def test_weighs_each_pair_by_its_own_counts(self):
        mixed, lam, n_i, n_j = self.mixed(MAMix(omega=0.5, per_sample=True))
        assert lam.unique().numel() == 5
        expected = [second_writing(*pair, 0.5) for pair in zip(lam.tolist(), n_i.tolist(), n_j.tolist(), strict=True)]
        torch.testing.assert_close(mixed.label_weight, torch.tensor(expected))

    def test_without_omega_it_is_mixup(self):
        mixed, plain = self.mixed(MAMix(omega=0.0))[0], self.mixed(Mixup())[0]
        assert torch.equal(mixed.inputs, plain.inputs)
        torch.testing.assert_close(mixed.label_weight, plain.label_weight)

    def test_on_top_of_remix_the_hard_labels_stay_hard(self):
        hard = 0
        for seed in range(20):
            mixed, lam, n_i, n_j = self.mixed(MAMix(per_sample=True, base=Remix(per_sample=True)), seed)
            base = remix_label_weight(lam, n_i, n_j)
            own = mamix_label_weight(lam, n_i, n_j)
            for row in range(5):
                is_hard = base[row] != lam[row]
                hard += int(is_hard)
                assert mixed.label_weight[row] == (base if is_hard else own)[row]
        assert 0 < hard < 100

    def test_refuses_a_base_that_draws_differently(self):
        with pytest.raises(ValueError, match=r"Expected base to have alpha=1.0 and per_sample=True as the rule on top"):
            MAMix(per_sample=True, base=Remix())
        with pytest.raises(ValueError, match="Expected base to be a Remix or None, but got Mixup"):
            MAMix(base=Mixup())

    def test_is_a_value(self):
        """Equal, hashable and made of plain numbers: what recipes, clones and bundles need."""
        rule = MAMix(base=Remix(kappa=4))
        assert rule == MAMix(base=Remix(kappa=4)) != MAMix()
        assert hash(rule) == hash(MAMix(base=Remix(kappa=4)))
        assert dataclasses.asdict(rule) == {
            **(everywhere := {"space": "input", "layers": (0, 1, 2), "alpha": 1.0, "per_sample": False}),
            "omega": 0.25,
            "base": {**everywhere, "kappa": 4, "tau": 0.5},
        }
