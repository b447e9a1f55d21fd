from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from latentover.mixing import Remix, remix_label_weight

ORACLES = [
    (5000, 50, 0.3, 0),
    (5000, 50, 0.5, 0.5),
    (5000, 50, 0.7, 0.7),
    (50, 5000, 0.7, 1),
    (50, 5000, 0.5, 0.5),
    (50, 5000, 0.3, 0.3),
    (300, 100, 0.49, 0),
    (299, 100, 0.49, 0.49),
    (100, 300, 0.51, 1),
]


def second_writing(lam, n_i, n_j, kappa, tau):
    """The three cases as the paper writes them, in exact arithmetic."""
    ratio = Fraction(n_i, n_j)
    if ratio >= kappa and lam < tau:
        return 0
    if ratio <= Fraction(1, kappa) and 1 - lam < tau:
        return 1
    return lam


class TestRemixLabelWeight:
    @pytest.mark.parametrize(("n_i", "n_j", "lam", "expected"), ORACLES)
    def test_oracles(self, n_i, n_j, lam, expected):
        weight = remix_label_weight(torch.tensor([lam]), n_i, n_j)
        assert weight.item() == pytest.approx(expected, abs=1e-7)
        of_tensors = remix_label_weight(torch.tensor([lam]), torch.tensor([n_i]), torch.tensor([n_j]))
        assert torch.equal(of_tensors, weight)

    @given(
        st.integers(0, 64).map(lambda n: Fraction(n, 64)),
        st.integers(1, 6000),
        st.integers(1, 6000),
        st.integers(1, 5),
        st.sampled_from([Fraction(1, 4), Fraction(1, 2), Fraction(3, 4)]),
    )
    def test_equals_the_cases_of_the_paper(self, lam, n_i, n_j, kappa, tau):
        weight = remix_label_weight(torch.tensor([float(lam)]), n_i, n_j, kappa, float(tau))
        assert weight.item() == float(second_writing(lam, n_i, n_j, kappa, tau))

    @given(st.integers(1, 2000), st.integers(2, 7), st.floats(0, 1))
    def test_a_ratio_of_exactly_kappa_counts(self, n, kappa, lam):
        lam = torch.tensor([lam])
        weight = remix_label_weight(lam, kappa * n, n, kappa)
        assert weight.item() == (0 if lam.item() < 0.5 else lam.item())

    @given(st.floats(0, 1, width=32), st.integers(1, 99), st.integers(1, 99))
    def test_both_orders_of_a_pair_share_the_label(self, lam, n_i, n_j):
        lam = torch.tensor([lam], dtype=torch.float64)
        both = remix_label_weight(lam, n_i, n_j) + remix_label_weight(1 - lam, n_j, n_i)
        torch.testing.assert_close(both, torch.ones(1, dtype=torch.float64))


class TestRemix:
    def test_weighs_each_pair_by_its_own_counts(self):
        labels = torch.tensor([0, 1, 0, 1])
        partners = (torch.zeros(4, 2), torch.tensor([0, 0, 1, 1]))
        for seed in range(5):
            generator = torch.Generator().manual_seed(seed)
            mixed = Remix()(torch.ones(4, 2), labels, torch.tensor([90, 10]), generator, partners)
            lam = mixed.inputs[:, 0]
            expected = [
                float(second_writing(Fraction(weight), n_i, n_j, 3, Fraction(1, 2)))
                for weight, n_i, n_j in zip(lam.tolist(), (90, 10, 90, 10), (90, 90, 10, 10), strict=True)
            ]
            assert mixed.label_weight.tolist() == expected

    def test_refuses_parameters_out_of_range(self):
        with pytest.raises(ValueError, match=r"Expected kappa to be a number of at least 1, but got 0.5"):
            Remix(kappa=0.5)
        with pytest.raises(ValueError, match="Expected tau to be a number of at least 0 and at most 1, but got 2"):
            Remix(tau=2)
