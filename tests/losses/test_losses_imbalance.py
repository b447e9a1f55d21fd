import math

import pytest
import torch
import torch.nn.functional as F

from latentover.losses import adjusted_logits, inverse_frequency_weights


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
