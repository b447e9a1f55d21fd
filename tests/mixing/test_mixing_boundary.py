import math

import numpy as np
import pytest
import torch

from latentover.mixing import BoundaryMix

COUNTS = torch.tensor([900, 40, 40])


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def two_classes(n=60, d=2):
    """A frequent class to the left, a rare one to the right, the boundary at 0, and a neighbour for each sample."""
    draws, labels = generator(), (torch.arange(n) % 3 == 0).long()
    x = 0.7 * torch.randn(n, d, generator=draws)
    x[:, 0] += torch.where(labels == 1, 2.0, -2.0)
    own = x + 0.8 * torch.randn(n, d, generator=draws)
    return x, labels, own


def boundary_at_zero(x):
    return torch.stack([-2 * x[:, 0], 2 * x[:, 0], torch.full_like(x[:, 0], -50)], dim=1)


def mix(rule, x, labels, own, counts=COUNTS, logits=boundary_at_zero):
    return rule(x, labels, counts, generator(), (own, labels), logits=logits)


@pytest.mark.parametrize("radius", [0.3, 1.0, 4.0])
def test_rare_samples_come_nearer_to_the_boundary_and_never_beyond_the_radius(radius):
    x, labels, own = two_classes()
    mixed = mix(BoundaryMix(radius=radius, probability=1.0), x, labels, own)
    rare = labels == 1
    assert torch.equal(mixed.inputs[~rare], x[~rare])
    moved, trusted = (mixed.inputs - x).norm(dim=1), radius * (own - x).norm(dim=1)
    assert (moved <= trusted * (1 + 1e-5)).all()
    before, after = x[rare, 0].abs(), mixed.inputs[rare, 0].abs()
    assert (after <= before + 1e-6).all()
    assert (after < before - 1e-3).float().mean() > 0.8
    assert torch.equal(mixed.labels, labels)
    assert torch.equal(mixed.label_weight, torch.ones(60))


def test_equals_a_loop_over_samples_and_points():
    x, labels, own = two_classes()
    labels = torch.where(torch.arange(60) % 6 == 3, 2, labels)
    draws = torch.rand(60, generator=generator())
    network = torch.nn.Linear(2, 3)
    mixed = mix(BoundaryMix(radius=1.5, steps=5, probability=0.6), x, labels, own, logits=network)
    with torch.no_grad():
        for i in range(60):
            larger = [j for j in range(60) if COUNTS[labels[j]] > COUNTS[labels[i]]]
            if not larger or draws[i] >= 0.6:
                assert torch.equal(mixed.inputs[i], x[i])
                continue
            j = min(larger, key=lambda j: float((x[i] - x[j]).norm()))
            assert mixed.partner_rows[i] == j
            furthest = min(0.5, float(1.5 * (own[i] - x[i]).norm() / (x[i] - x[j]).norm()))
            points = [x[i] + k / 4 * furthest * (x[j] - x[i]) for k in range(5)]
            p = [network(point).softmax(dim=0) for point in points]
            entropy = [float(-(row * row.log()).sum()) for row in p]
            torch.testing.assert_close(mixed.inputs[i], points[int(np.argmax(entropy))], rtol=1e-4, atol=1e-5)


def test_the_sample_itself_is_kept_where_it_is_the_least_certain():
    x, labels, own = two_classes()
    mixed = mix(BoundaryMix(probability=1.0), x, labels, own, logits=lambda x: 0.01 * boundary_at_zero(-x.abs() + 9))
    flat = mix(BoundaryMix(probability=1.0), x, labels, own, logits=lambda x: torch.zeros(len(x), 3))
    assert torch.equal(flat.inputs, x)
    assert mixed.inputs.isfinite().all()


@pytest.mark.parametrize("n_rare", [0, 60])
def test_a_batch_of_one_class_stays(n_rare):
    x, _, own = two_classes()
    labels = (torch.arange(60) < n_rare).long()
    mixed = mix(BoundaryMix(probability=1.0), x, labels, own)
    assert torch.equal(mixed.inputs, x)


def test_a_class_of_one_sample_and_one_that_lies_on_its_partner_stay():
    x, labels, own = two_classes()
    own[labels == 1] = x[labels == 1]  # a sample that is its own neighbour
    assert torch.equal(mix(BoundaryMix(probability=1.0), x, labels, own).inputs, x)
    x, labels, own = two_classes()
    x[0] = x[1]
    assert mix(BoundaryMix(probability=1.0), x, labels, own).inputs.isfinite().all()


def test_the_probability_is_that_of_a_move():
    x, labels, own = two_classes(6000)
    mixed = mix(BoundaryMix(probability=0.3), x, labels, own)
    share = (mixed.inputs != x).any(dim=1)[labels == 1].float().mean()
    everyone = mix(BoundaryMix(probability=1.0), x, labels, own)
    possible = (everyone.inputs != x).any(dim=1)[labels == 1].float().mean()
    assert abs(share - 0.3 * possible) < 5 * math.sqrt(0.3 * 0.7 / 2000)


def test_gradients_flow_through_both_samples_but_not_through_the_choice():
    x, labels, own = two_classes()
    x.requires_grad_()
    mixed = mix(BoundaryMix(probability=1.0), x, labels, own)
    (gradient,) = torch.autograd.grad(mixed.inputs.sum(), x)
    weight = ((mixed.inputs - x[mixed.partner_rows]).norm(dim=1) / (x - x[mixed.partner_rows]).norm(dim=1)).detach()
    expected = torch.where(labels == 1, weight, torch.ones(60))
    for i in torch.arange(60)[labels == 1]:
        expected[mixed.partner_rows[i]] += 1 - weight[i]
    torch.testing.assert_close(gradient, expected.unsqueeze(1).expand(-1, 2), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"space": "input"}, "space of BoundaryMix to be 'features', .*but got 'input'"),
        ({"radius": -1}, "radius to be a number of at least 0, but got -1"),
        ({"steps": 1}, "steps to be a whole number of at least 2, but got 1"),
        ({"probability": 2}, "probability to be a number of at least 0 and at most 1, but got 2"),
        ({"k_neighbors": 0}, "k_neighbors to be a whole number of at least 1, but got 0"),
    ],
)
def test_wrong_settings_are_named(settings, message):
    with pytest.raises(ValueError, match=f"^Expected {message}"):
        BoundaryMix(**settings)


def test_it_says_what_it_has_to_be_called_with():
    x, labels, own = two_classes()
    with pytest.raises(ValueError, match=r"^Expected partners of BoundaryMix .*but got None"):
        BoundaryMix()(x, labels, COUNTS, generator(), logits=boundary_at_zero)
    with pytest.raises(ValueError, match=r"^Expected logits of BoundaryMix .*but got None; pass the classifier"):
        BoundaryMix()(x, labels, COUNTS, generator(), (own, labels))
