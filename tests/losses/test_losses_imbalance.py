import math

import pytest
import torch
import torch.nn.functional as F

from latentover.losses import (
    DRW,
    LDAMLoss,
    adjusted_logits,
    balanced_softmax_loss,
    class_balanced_weights,
    focal_loss,
    inverse_frequency_weights,
    ldam_margins,
    post_hoc_logits,
)

LONG_TAILED = torch.tensor([5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50])
"""CIFAR-10 of imbalance ratio 100."""
STEP = torch.tensor([5000] * 5 + [50] * 5)
THREE = torch.tensor([5000, 500, 50])


class TestInverseFrequencyWeights:
    def test_gives_every_class_the_same_total_weight(self):
        counts = torch.tensor([500, 30, 7])
        weights = inverse_frequency_weights(counts)
        torch.testing.assert_close(weights * counts, torch.full((3,), 537 / 3))

    def test_is_one_where_nothing_is_imbalanced(self):
        torch.testing.assert_close(inverse_frequency_weights(torch.tensor([9, 9])), torch.ones(2))


class TestAdjustedLogits:
    @pytest.mark.parametrize("tau", [0.0, 0.5, 1.0, 2.0])
    def test_equals_two_loops(self, tau):
        logits, counts = torch.randn(4, 3), [90, 9, 1]
        adjusted = adjusted_logits(logits, torch.tensor(counts), tau)
        for i in range(4):
            for c in range(3):
                expected = logits[i, c].item() + tau * math.log(counts[c] / 100)
                assert adjusted[i, c].item() == pytest.approx(expected, rel=1e-5, abs=1e-6)

    def test_logits_that_know_nothing_are_fair_once_trained(self):
        """Where x says nothing, the best plain logits are equal: the prior is carried by the adjustment."""
        counts = torch.tensor([90, 10])
        labels = torch.repeat_interleave(torch.arange(2), counts)
        logits = torch.zeros(1, 2, requires_grad=True)
        F.cross_entropy(adjusted_logits(logits.expand(100, 2), counts), labels).backward()
        torch.testing.assert_close(logits.grad, torch.zeros(1, 2), atol=1e-6, rtol=0)

    def test_post_hoc_adjustment_takes_the_prior_out_of_a_plain_network(self):
        """The best plain logits are the log joint; adjusted they are the log likelihoods, which ignore the prior."""
        counts, likelihoods = torch.tensor([90, 9, 1]), torch.rand(5, 3).softmax(dim=1)
        plain = (likelihoods * counts / counts.sum()).log()
        torch.testing.assert_close(post_hoc_logits(plain, counts), likelihoods.log(), atol=1e-5, rtol=0)

    @pytest.mark.parametrize("tau", [0.5, 1.0])
    def test_balanced_softmax_equals_a_loop(self, tau):
        logits, labels, counts = torch.randn(4, 3), torch.tensor([0, 2, 1, 2]), [90, 9, 1]
        expected = []
        for row, y in zip(logits.tolist(), labels.tolist(), strict=True):
            scores = [counts[c] ** tau * math.exp(row[c]) for c in range(3)]
            expected.append(-math.log(scores[y] / sum(scores)))
        losses = balanced_softmax_loss(logits, labels, torch.tensor(counts), tau, reduction="none")
        torch.testing.assert_close(losses, torch.tensor(expected))
        w = torch.tensor([0.1, 0.9, 2.0])
        weighted = balanced_softmax_loss(logits, labels, torch.tensor(counts), tau, w, "weighted_mean")
        torch.testing.assert_close(weighted, (w[labels] * torch.tensor(expected)).sum() / w[labels].sum())


class TestClassBalancedWeights:
    @pytest.mark.parametrize(
        ("counts", "beta", "expected"),
        [
            (
                LONG_TAILED,
                0.9999,
                [0.050611, 0.076900, 0.121134, 0.195037, 0.318805, 0.524590, 0.868349, 1.442627, 2.409223, 3.992724],
            ),
            (
                LONG_TAILED,
                0.999,
                [0.181187, 0.189414, 0.215742, 0.272859, 0.378479, 0.560581, 0.868804, 1.386165, 2.258450, 3.688319],
            ),
            (
                LONG_TAILED,
                0.99,
                [0.783832, 0.783832, 0.783832, 0.783848, 0.785034, 0.800201, 0.868159, 1.041415, 1.385429, 1.984417],
            ),
            (
                LONG_TAILED,
                1 - 1e-12,
                [0.040236, 0.067128, 0.112017, 0.186799, 0.311911, 0.519851, 0.867166, 1.447356, 2.423885, 4.023650],
            ),
            (STEP, 0.9999, [0.025034] * 5 + [1.974966] * 5),
            (THREE, 0.9999, [0.034107, 0.275167, 2.690725]),
            (THREE, 0.0, [1.0, 1.0, 1.0]),
        ],
    )
    def test_oracles(self, counts, beta, expected):
        torch.testing.assert_close(class_balanced_weights(counts, beta), torch.tensor(expected), atol=2e-6, rtol=0)

    def test_sum_to_the_number_of_classes(self):
        assert class_balanced_weights(LONG_TAILED, 0.9).sum().item() == pytest.approx(10)

    def test_the_mean_weight_of_a_long_tailed_batch_is_small(self):
        weights = class_balanced_weights(LONG_TAILED)
        assert (weights * LONG_TAILED).sum().item() / LONG_TAILED.sum().item() == pytest.approx(0.170995, abs=1e-6)

    def test_refuses_what_it_cannot_weigh(self):
        with pytest.raises(ValueError, match="Expected beta to be at least 0 and below 1, but got 1"):
            class_balanced_weights(THREE, 1.0)
        with pytest.raises(ValueError, match=r"Expected class_counts to be positive, but got \[3, 0\]"):
            class_balanced_weights(torch.tensor([3, 0]))


class TestDRW:
    def test_weights_from_its_first_epoch_on(self):
        for epoch in range(200):
            weights = DRW().weights(LONG_TAILED, epoch, 200)
            assert torch.equal(weights, class_balanced_weights(LONG_TAILED) if epoch >= 160 else torch.ones(10))

    @pytest.mark.parametrize(("start", "n_epochs", "first"), [(0.8, 200, 160), (250 / 300, 300, 250), (0.75, 120, 90)])
    def test_scales_with_the_training(self, start, n_epochs, first):
        assert DRW(start).first_epoch(n_epochs) == first

    def test_refuses_a_start_after_the_end(self):
        with pytest.raises(ValueError, match=r"Expected start to be a fraction of the training in .*, but got 160"):
            DRW(start=160)


class TestLDAM:
    def test_margin_oracles(self):
        expected = [0.158114, 0.179697, 0.204238, 0.232091, 0.263829, 0.299768, 0.340675, 0.387221, 0.440497, 0.5]
        torch.testing.assert_close(ldam_margins(LONG_TAILED), torch.tensor(expected), atol=1e-6, rtol=0)
        torch.testing.assert_close(ldam_margins(STEP), torch.tensor([0.158114] * 5 + [0.5] * 5), atol=1e-6, rtol=0)

    @pytest.mark.parametrize(
        ("max_margin", "expected"), [(0.5, [10.743438, 23.437596, 9.000247]), (0.0, [6.002476, 15.002476, 0.002476])]
    )
    def test_loss_oracles(self, max_margin, expected):
        cosines = torch.tensor([[0.2, -0.1, 0.4]]).expand(3, 3)
        losses = LDAMLoss(THREE, max_margin, reduction="none")(cosines, torch.arange(3))
        torch.testing.assert_close(losses, torch.tensor(expected), atol=2e-6, rtol=1e-6)

    def test_weights_are_normalised(self):
        cosines, labels, w = torch.randn(5, 3).tanh(), torch.tensor([0, 0, 0, 1, 2]), class_balanced_weights(THREE)
        losses = LDAMLoss(THREE, reduction="none")(cosines, labels)
        expected = (w[labels] * losses).sum() / w[labels].sum()
        torch.testing.assert_close(LDAMLoss(THREE, weight=w)(cosines, labels), expected)


class TestFocalLoss:
    @pytest.mark.parametrize("gamma", [0.5, 2.0])
    def test_equals_a_loop(self, gamma):
        logits, labels = torch.randn(4, 3), torch.tensor([0, 2, 1, 2])
        expected = []
        for row, y in zip(logits.tolist(), labels.tolist(), strict=True):
            p = math.exp(row[y]) / sum(map(math.exp, row))
            expected.append(-((1 - p) ** gamma) * math.log(p))
        losses = focal_loss(logits, labels, gamma, reduction="none")
        torch.testing.assert_close(losses, torch.tensor(expected), atol=1e-6, rtol=1e-4)

    def test_without_gamma_it_is_cross_entropy(self):
        logits, labels, w = torch.randn(4, 3), torch.tensor([0, 2, 1, 2]), torch.tensor([0.2, 1.0, 1.8])
        focal = focal_loss(logits, labels, 0.0, w, "weighted_mean")
        torch.testing.assert_close(focal, F.cross_entropy(logits, labels, weight=w))

    @pytest.mark.parametrize("lead", [-200.0, -20.0, 0.0, 5.0, 12.0, 20.0, 40.0, 200.0])
    @pytest.mark.parametrize("gamma", [0.0, 0.1, 0.5, 0.9, 1.0, 2.0])
    def test_gradients_are_right_however_sure_the_network_is(self, gamma, lead):
        """By the chain rule on paper, in float64; p rounds to 1 in float32 from a lead of 17 on, at 200 in both."""
        logits = torch.tensor([[lead, 0.0, -1.0]], requires_grad=True)
        loss = focal_loss(logits, torch.tensor([0]), gamma)
        loss.backward()
        odds = math.exp(-lead) * (1 + math.exp(-1))
        p, rest, cross_entropy = 1 / (1 + odds), odds / (1 + odds), math.log1p(odds)
        # L = r^g c with r = 1 - p: dr/dx_y = -p r, dc/dx_y = -r; the other logits share -dL/dx_y by their odds.
        slope = -(rest**gamma) * (gamma * p * cross_entropy + rest)
        others = [-slope / (1 + math.exp(-1)), -slope * math.exp(-1) / (1 + math.exp(-1))]
        assert loss.item() == pytest.approx(rest**gamma * cross_entropy, rel=1e-5, abs=1e-37)
        assert logits.grad[0].tolist() == pytest.approx([slope, *others], rel=1e-5, abs=1e-37)
