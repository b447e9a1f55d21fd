import math

import pytest
import torch
import torch.nn.functional as F

from latentover.losses import reduce_losses, soft_cross_entropy, softmax_binary_cross_entropy


@pytest.fixture
def pair():
    torch.manual_seed(0)
    return torch.randn(6, 3, dtype=torch.float64), torch.rand(6, 3, dtype=torch.float64).softmax(dim=1)


class TestSoftCrossEntropy:
    def test_oracle_of_mixup(self):
        logits, soft = torch.tensor([[1.0, 0.0, -1.0]]), torch.tensor([[0.3, 0.0, 0.7]])
        assert soft_cross_entropy(logits, soft).item() == pytest.approx(1.807606, abs=1e-6)

    def test_oracle_of_a_hard_label(self):
        logits, hard = torch.tensor([[1.0, 0.0, -1.0]]), torch.tensor([[1.0, 0.0, 0.0]])
        assert soft_cross_entropy(logits, hard).item() == pytest.approx(0.407606, abs=1e-6)

    @pytest.mark.parametrize("weight", [None, [0.2, 1.0, 1.8]])
    def test_equals_two_loops(self, pair, weight):
        logits, soft = pair
        w = [1.0] * 3 if weight is None else weight
        expected = []
        for row, target in zip(logits.tolist(), soft.tolist(), strict=True):
            normaliser = math.log(sum(map(math.exp, row)))
            expected.append(sum(w[c] * target[c] * (normaliser - row[c]) for c in range(3)))
        tensor = None if weight is None else torch.tensor(weight, dtype=torch.float64)
        torch.testing.assert_close(soft_cross_entropy(logits, soft, tensor, "none").tolist(), expected)
        assert soft_cross_entropy(logits, soft, tensor).item() == pytest.approx(sum(expected) / 6)
        assert soft_cross_entropy(logits, soft, tensor, "sum").item() == pytest.approx(sum(expected))

    def test_is_the_sum_of_both_samples_weighted_losses(self):
        logits, w, lam = torch.randn(4, 3), torch.tensor([0.1, 0.9, 2.0]), 0.3
        i, j = torch.tensor([0, 1, 2, 0]), torch.tensor([2, 1, 0, 1])
        soft = lam * F.one_hot(i, 3) + (1 - lam) * F.one_hot(j, 3)
        both = lam * w[i] * F.cross_entropy(logits, i, reduction="none")
        both += (1 - lam) * w[j] * F.cross_entropy(logits, j, reduction="none")
        torch.testing.assert_close(soft_cross_entropy(logits, soft, w, "none"), both)

    def test_weighted_mean_of_hard_labels_is_torch_s(self, pair):
        logits, labels = pair[0], torch.tensor([0, 0, 0, 1, 1, 2])
        w = torch.tensor([0.05, 0.9, 2.05], dtype=torch.float64)
        hard = F.one_hot(labels, 3).double()
        expected = F.cross_entropy(logits, labels, weight=w)
        torch.testing.assert_close(soft_cross_entropy(logits, hard, w, "weighted_mean"), expected)
        plain = soft_cross_entropy(logits, hard, w, "mean")
        torch.testing.assert_close(plain, expected * w[labels].mean())

    def test_lets_gradients_through(self, pair):
        logits, soft = pair
        w = torch.tensor([0.2, 1.0, 1.8], dtype=torch.float64)
        for reduction in ("mean", "weighted_mean"):
            torch.autograd.gradcheck(
                lambda x, kind=reduction: soft_cross_entropy(x, soft, w, kind), (logits.requires_grad_(),)
            )


class TestSoftmaxBinaryCrossEntropy:
    def test_oracle(self):
        logits, soft = torch.tensor([[1.0, 0.0, -1.0]]), torch.tensor([[0.3, 0.0, 0.7]])
        assert softmax_binary_cross_entropy(logits, soft).item() == pytest.approx(0.960876, abs=1e-6)

    def test_equals_two_loops(self, pair):
        logits, soft = pair
        expected = []
        for row, target in zip(logits.tolist(), soft.tolist(), strict=True):
            p = [math.exp(score) / sum(map(math.exp, row)) for score in row]
            terms = [t * math.log(q) + (1 - t) * math.log(1 - q) for t, q in zip(target, p, strict=True)]
            expected.append(-sum(terms) / 3)
        losses = softmax_binary_cross_entropy(logits, soft, "none")
        torch.testing.assert_close(losses.tolist(), expected)

    def test_a_sure_mistake_has_a_finite_loss_and_a_gradient(self):
        logits = torch.tensor([[200.0, 0.0, 0.0]], requires_grad=True)
        loss = softmax_binary_cross_entropy(logits, torch.tensor([[0.0, 1.0, 0.0]]))
        (gradient,) = torch.autograd.grad(loss, logits)
        # -log p of class 1 and -log(1 - p) of class 0, both linear in the gap here.
        assert loss.item() == pytest.approx((200 + 200 - math.log(2)) / 3, rel=1e-6)
        torch.testing.assert_close(gradient, torch.tensor([[2 / 3, -1 / 3 - 1 / 6, -1 / 6]]), atol=1e-5, rtol=0)


class TestReduceLosses:
    def test_refuses_an_unknown_reduction(self):
        with pytest.raises(ValueError, match="Expected reduction to be one of"):
            reduce_losses(torch.ones(2), None, "average")

    def test_without_weights_both_means_are_one(self):
        losses = torch.tensor([1.0, 2.0, 6.0])
        assert reduce_losses(losses, None, "weighted_mean").item() == reduce_losses(losses).item() == 3.0
