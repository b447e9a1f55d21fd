"""Losses take labels in any form and numbers in any container, and say by its name what does not fit."""

import numpy as np
import pytest
import torch

from latentover.losses import (
    DRW,
    LDAMLoss,
    adjusted_logits,
    balanced_softmax_loss,
    class_balanced_weights,
    critic_loss,
    focal_loss,
    generator_loss,
    inverse_frequency_weights,
    ldam_margins,
    post_hoc_logits,
    reduce_losses,
    soft_cross_entropy,
    softmax_binary_cross_entropy,
)
from latentover.mixing import Mixed

COUNTS = [40, 20, 5]
WEIGHT = [0.5, 1.0, 3.0]
COSINES = torch.rand(6, 3, generator=torch.Generator().manual_seed(0)) * 2 - 1
LABELS = torch.tensor([0, 1, 2, 0, 1, 2])
MIXED = Mixed(torch.zeros(6, 1), LABELS, LABELS.flip(0), torch.tensor([0.9, 0.5, 1.0, 0.0, 0.3, 0.6]))

WEIGHTED = {
    "focal": lambda outputs, labels, **how: focal_loss(outputs, labels, 1.5, **how),
    "balanced softmax": lambda outputs, labels, **how: balanced_softmax_loss(outputs, labels, COUNTS, **how),
    "ldam": lambda outputs, labels, **how: LDAMLoss(COUNTS, **{"reduction": "mean", **how})(outputs, labels),
    "cross-entropy": soft_cross_entropy,
}
LOSSES = {**WEIGHTED, "binary": lambda outputs, labels, **how: softmax_binary_cross_entropy(outputs, labels, **how)}
EACH = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)


@EACH
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_hard_labels_are_soft_ones_of_one_class(loss, reduction):
    soft = torch.nn.functional.one_hot(LABELS, 3)
    found = loss(COSINES, LABELS, reduction=reduction)
    torch.testing.assert_close(loss(COSINES, soft, reduction=reduction), found)
    torch.testing.assert_close(loss(COSINES.numpy(), LABELS.tolist(), reduction=reduction), found)
    torch.testing.assert_close(loss(COSINES.tolist(), LABELS.numpy().astype(np.int16), reduction=reduction), found)


@EACH
def test_a_mixture_is_its_soft_label(loss):
    torch.testing.assert_close(loss(COSINES, MIXED), loss(COSINES, MIXED.soft_labels(3)))


@pytest.mark.parametrize("loss", WEIGHTED.values(), ids=WEIGHTED)
@pytest.mark.parametrize("reduction", ["none", "mean", "weighted_mean"])
def test_a_mixture_is_the_sum_of_what_its_two_labels_cost(loss, reduction):
    first = loss(COSINES, LABELS, weight=WEIGHT, reduction="none")
    second = loss(COSINES, LABELS.flip(0), weight=torch.tensor(WEIGHT), reduction="none")
    share, weights = MIXED.label_weight, torch.tensor(WEIGHT)
    each = share * first + (1 - share) * second
    total = (share * weights[LABELS] + (1 - share) * weights[LABELS.flip(0)]).sum()
    expected = {"none": each, "mean": each.mean(), "weighted_mean": each.sum() / total}[reduction]
    for labels in (MIXED, MIXED.soft_labels(3), MIXED.soft_labels(3).numpy()):
        found = loss(COSINES, labels, weight=np.array(WEIGHT, dtype=np.float32), reduction=reduction)
        torch.testing.assert_close(found, expected)


def test_gradients_reach_the_outputs_from_all_forms():
    for labels in (LABELS, MIXED, MIXED.soft_labels(3)):
        outputs = COSINES.clone().requires_grad_()
        LDAMLoss(COUNTS, weight=WEIGHT)(outputs, labels).backward()
        assert outputs.grad.abs().sum() > 0


@pytest.mark.parametrize("container", [list, np.array, torch.tensor])
def test_class_counts_in_any_container(container):
    counts, tensor = container(COUNTS), torch.tensor(COUNTS)
    for weights in (inverse_frequency_weights, class_balanced_weights, ldam_margins):
        assert torch.equal(weights(counts), weights(tensor))
    for logits in (adjusted_logits, post_hoc_logits):
        assert torch.equal(logits(COSINES.numpy(), counts), logits(COSINES, tensor))
    for epoch in (0, 9):
        assert torch.equal(DRW().weights(counts, epoch, 10), DRW().weights(tensor, epoch, 10))


@EACH
@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 1, 2, 0, 1, 3], r"Expected labels to be class numbers from 0 to 2, for there are 3 outputs, but got 3;"),
        ([0, 1, 2, 0, 1, -1], r"Expected labels to be class numbers from 0 to 2.*got -1;"),
        (
            [0, 1],
            r"Expected labels to be class numbers \(B,\), .*, with B = 6 as many as outputs, but got shape \(2,\)",
        ),
        (LABELS[:, None], r"Expected labels to be .*got shape \(6, 1\); pass class numbers as labels.ravel\(\)"),
        (LABELS.double(), r"Expected labels to be .*, but got class numbers of type float64; pass whole numbers"),
        (torch.ones(6, 3), r"Expected rows of soft labels to sum to 1, but got others"),
        (["a", "b"] * 3, r"Expected labels to be numbers .*but got list that is none"),
        (np.array(["a", "b"] * 3), r"Expected labels to be numbers .*but got ndarray that is none"),
    ],
    ids=lambda value: "" if not isinstance(value, str) else value[:40],
)
def test_labels_that_do_not_fit(loss, labels, message):
    with pytest.raises((ValueError, TypeError), match=message):
        loss(COSINES, labels)


@EACH
def test_outputs_that_are_no_batch(loss):
    with pytest.raises(ValueError, match=r"Expected (logits|cosines) to have shape \(B, C\).*but got shape \(3,\)"):
        loss(COSINES[0], LABELS[:1])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: adjusted_logits(COSINES, [3, 4]),
            r"class_counts to have one number for each of 3 classes, but got .*2",
        ),
        (lambda: focal_loss(COSINES, LABELS, weight=[1, 2]), "weight to have one number for each of 3 classes"),
        (lambda: soft_cross_entropy(COSINES, LABELS, weight=[1, 2]), "weight to have one number for each of 3 classes"),
        (lambda: LDAMLoss(COUNTS, weight=[1, 2]), "weight to have one number for each of 3 classes"),
        (
            lambda: LDAMLoss([3, 4])(COSINES, LABELS),
            r"cosines to have a column for each of 2 classes, but got .*\(6, 3\)",
        ),
        (lambda: inverse_frequency_weights([3, 0]), r"class_counts to be positive, but got \[3, 0\]"),
        (lambda: ldam_margins([[3, 1]]), r"class_counts to have one number for each class, but got shape \(1, 2\)"),
        (lambda: ldam_margins("abc"), r"class_counts to be numbers .*'str'\.$"),
        (lambda: focal_loss(COSINES, ["a"] * 6), r"labels to be numbers .*; number classes with np\.unique"),
        (lambda: generator_loss("abc"), "fake_scores to be numbers"),
        (lambda: DRW(COUNTS), "start to be a fraction of the training"),
    ],
)
def test_what_does_not_fit_is_named(call, message):
    with pytest.raises((ValueError, TypeError), match=f"^Expected {message}"):
        call()


def test_logits_in_place_of_cosines_are_said_to_be_so():
    with pytest.raises(
        ValueError, match=r"Expected cosines to lie in \[-1, 1\], but got 7, as logits .*CosineClassifier"
    ):
        LDAMLoss(COUNTS)(torch.tensor([[7.0, 0.0, -3.0]]), [0])
    LDAMLoss(COUNTS)(torch.tensor([[1.001, 0.0, -1.0]], dtype=torch.bfloat16), [0])


def test_scores_and_losses_in_lists():
    assert generator_loss([1.0, 3.0]).item() == -2
    assert critic_loss([1.0, 3.0], np.array([0.0, 1.0]), 2.0, 10.0).item() == 2 - 0.5 + 20
    assert reduce_losses([1, 3]).item() == 2
    assert reduce_losses([1.0, 3.0], [0.5, 0.5], "weighted_mean").item() == 2
