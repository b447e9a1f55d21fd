"""Mixing takes arrays and lists as it takes tensors, and names what does not fit."""

import numpy as np
import pytest
import torch

from latentover.mixing import (
    CMO,
    AMMixup,
    BoundaryMix,
    CutMix,
    DrawnPartners,
    MAMix,
    ManifoldMixup,
    Mixup,
    NeighborMix,
    Remix,
    SMOTEMix,
    convex_combination,
    mamix_label_weight,
    nearest_neighbors,
    remix_label_weight,
)

INPUTS = torch.rand(6, 3, 4, 4, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([0, 1, 0, 1, 0, 1])
COUNTS = torch.tensor([90, 10])
RULES = [
    BoundaryMix(),
    CMO(),
    CutMix(),
    AMMixup(),
    MAMix(),
    ManifoldMixup(),
    Mixup(),
    NeighborMix(),
    Remix(),
    SMOTEMix(),
]
EACH = pytest.mark.parametrize("rule", RULES, ids=lambda rule: type(rule).__name__)


def mix(rule, inputs=INPUTS, labels=LABELS, counts=COUNTS):
    near = {"partners": (inputs, labels)} if isinstance(rule, DrawnPartners) else {}
    if isinstance(rule, BoundaryMix):
        near["logits"] = lambda features: features[:, :2]
        inputs = torch.as_tensor(inputs).flatten(1)
        near["partners"] = (inputs, labels)
    return rule(inputs, labels, counts, torch.Generator().manual_seed(0), **near)


@EACH
def test_arrays_and_lists_are_mixed_as_tensors_are(rule):
    expected = mix(rule)
    arrays = mix(rule, INPUTS.numpy(), LABELS.numpy().astype(np.uint8), COUNTS.numpy())
    lists = mix(rule, INPUTS.tolist(), LABELS.tolist(), COUNTS.tolist())
    for found in (arrays, lists):
        assert torch.equal(found.inputs, expected.inputs)
        assert torch.equal(found.soft_labels(2), expected.soft_labels(2))


@EACH
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"labels": LABELS[:3]}, r"labels to be a class number for each of 6 inputs, but got shape \(3,\)"),
        ({"labels": LABELS.double()}, r"labels to be a class number .*of float64; pass whole numbers"),
        (
            {"labels": LABELS + 1},
            "labels to be class numbers from 0 to 1, for there are 2 class_counts, but got .* to 2",
        ),
        ({"counts": COUNTS * torch.tensor([1, 0])}, "class_counts to be positive .*but got 0 for class 1; pass"),
        ({"labels": LABELS - 1}, "labels to be class numbers from 0 to 1, .*but got some from -1"),
        ({"counts": [[90, 10]]}, r"class_counts to have one number for each class, but got shape \(1, 2\)"),
    ],
)
def test_what_does_not_fit_is_named(rule, wrong, message):
    with pytest.raises(ValueError, match=f"^Expected {message}"):
        mix(rule, **wrong)


def test_functions_take_arrays():
    lam = np.array([0.0, 0.3, 0.6], dtype=np.float32)
    for function in (mamix_label_weight, remix_label_weight):
        expected = function(torch.tensor(lam), torch.tensor([90, 90, 10]), 10)
        assert torch.equal(function(lam, np.array([90, 90, 10]), 10), expected)
    found = nearest_neighbors(INPUTS.numpy(), 2, labels=LABELS.numpy())
    assert torch.equal(found, nearest_neighbors(INPUTS, 2, labels=LABELS))
    weights = np.full((6, 1), 1.0)
    rows = INPUTS.flatten(1)
    assert torch.equal(convex_combination(rows[:, None].numpy(), weights), rows)
