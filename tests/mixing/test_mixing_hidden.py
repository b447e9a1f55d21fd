"""Rules that mix hidden activations: manifold mixup and asymptotic midpoint mixup."""

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from latentover.mixing import (
    AMMixup,
    MAMix,
    ManifoldMixup,
    Mixup,
    NeighborMix,
    Remix,
    SMOTEMix,
    am_mixup_rate,
    class_centers,
)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


class TestManifoldMixup:
    def test_draws_its_layers_evenly(self):
        draw = generator()
        drawn = [ManifoldMixup(layers=(0, 2)).draw_layer(draw) for _ in range(400)]
        assert set(drawn) == {0, 2}
        assert abs(drawn.count(0) - 200) < 5 * 10  # five standard deviations

    def test_mixes_any_activations(self):
        hidden, labels = torch.randn(6, 4, 2, 2), torch.arange(6) % 2
        mixed = ManifoldMixup()(hidden, labels, torch.tensor([3, 3]), generator())
        assert mixed.inputs.shape == hidden.shape
        torch.testing.assert_close(mixed.inputs.sum(), hidden.sum())  # one lambda, partners a permutation

    @pytest.mark.parametrize("layers", [(), (-1,), (0.5,)])
    def test_refuses_other_layers(self, layers):
        with pytest.raises(ValueError, match="Expected layers to be whole numbers of at least 0, but got"):
            ManifoldMixup(layers=layers)


class TestAMMixupRate:
    def test_oracles(self):
        accuracies = torch.tensor([0, 0.25, 0.5, 0.75, 0.9, 1])
        expected = torch.tensor([1, 0.845777, 0.715338, 0.605016, 0.547168, 0.511709])
        torch.testing.assert_close(am_mixup_rate(accuracies), expected, atol=1e-6, rtol=0)

    @given(st.floats(0, 1), st.floats(0, 3))
    def test_equals_the_exponential(self, accuracy, beta):
        assert am_mixup_rate(accuracy, beta).item() == pytest.approx(math.exp(-beta * accuracy), rel=1e-6)

    def test_meets_the_midpoint_exactly(self):
        assert am_mixup_rate(1.0, math.log(2)).item() == 0.5


class TestAMMixup:
    labels = torch.tensor([0, 0, 0, 0, 1, 2])
    counts = torch.tensor([400, 100, 100])

    def features(self):
        return torch.randn(6, 3, generator=generator(1), dtype=torch.float64)

    @given(st.integers(0, 2**16), st.booleans())
    def test_partners_are_of_other_classes(self, seed, class_balanced):
        rule = AMMixup(class_balanced_partners=class_balanced)
        mixed = rule(self.features(), self.labels, self.counts, generator(seed), accuracy=1.0)
        assert (mixed.partners != mixed.labels).all()

    def test_mixes_with_a_sample_and_keeps_the_label(self):
        features = self.features()
        mixed = AMMixup()(features, self.labels, self.counts, generator(), accuracy=0.5)
        lam = math.exp(-0.67 * 0.5)
        partner = (mixed.inputs - lam * features) / (1 - lam)
        distances = torch.cdist(partner, features)
        assert (distances.min(dim=1).values < 1e-6).all()
        assert torch.equal(self.labels[distances.argmin(dim=1)], mixed.partners)
        assert torch.equal(mixed.soft_labels(3), torch.eye(3)[self.labels])

    def test_mixes_with_the_centre_of_a_class(self):
        features = self.features()
        mixed = AMMixup(partner="center")(features, self.labels, self.counts, generator(), accuracy=0.5)
        lam = math.exp(-0.67 * 0.5)
        for i in range(6):
            center = features[self.labels == mixed.partners[i]].mean(dim=0)
            torch.testing.assert_close(mixed.inputs[i], lam * features[i] + (1 - lam) * center)

    def test_mixes_nothing_before_anything_is_learned(self):
        features = self.features()
        assert torch.equal(AMMixup()(features, self.labels, self.counts, generator()).inputs, features)

    def test_the_label_goes_over_below_one_half(self):
        arguments = self.features(), self.labels, self.counts
        at_half = AMMixup(beta=math.log(2))(*arguments, generator(), accuracy=1.0)
        assert (at_half.label_weight == 1).all()
        below = AMMixup(beta=0.8)(*arguments, generator(), accuracy=1.0)
        assert (below.label_weight == 0).all()

    def test_class_balanced_partners_find_the_rare_ones(self):
        labels = torch.tensor([0] * 2 + [1] * 40 + [2])
        features, draw = torch.randn(43, 2), generator()

        def share(rule):
            partners = [rule(features, labels, self.counts, draw, accuracy=1.0).partners[:2] for _ in range(200)]
            return (torch.cat(partners) == 2).float().mean().item()

        # 400 draws each: one in 41 samples, or one of two classes; five standard deviations.
        assert share(AMMixup()) == pytest.approx(1 / 41, abs=5 * (1 / 41 / 400) ** 0.5)
        assert share(AMMixup(class_balanced_partners=True)) == pytest.approx(0.5, abs=5 * 0.5 / 20)

    @pytest.mark.parametrize("partner", ["random", "center"])
    def test_a_batch_of_one_class_has_partners_in_itself(self, partner):
        """Each sample itself, or the centre of the class, so that a batch is always as large as it was."""
        features = self.features()[:4]
        mixed = AMMixup(partner=partner)(features, self.labels[:4], self.counts, generator(), accuracy=0.5)
        lam = math.exp(-0.67 * 0.5)
        partners = features if partner == "random" else features.mean(dim=0).expand_as(features)
        torch.testing.assert_close(mixed.inputs, lam * features + (1 - lam) * partners)
        assert torch.equal(mixed.soft_labels(3), torch.eye(3)[[0] * 4])

    def test_gradients_flow_through_both_samples(self):
        features = self.features().requires_grad_()
        mixed = AMMixup()(features, self.labels, self.counts, generator(), accuracy=1.0)
        (gradient,) = torch.autograd.grad(mixed.inputs.sum(), features)
        lam = math.exp(-0.67)
        # Each of a row's mixtures as sample i gives lam, and each as partner the rest.
        times = ((gradient[:, 0] - lam) / (1 - lam)).round()
        torch.testing.assert_close(gradient[:, 0], lam + times * (1 - lam))
        assert times.sum() == 6

    def test_refuses_other_parameters(self):
        with pytest.raises(ValueError, match="Expected partner to be 'random' or 'center', but got 'mean'"):
            AMMixup(partner="mean")
        with pytest.raises(ValueError, match="Expected beta to be a number of at least 0, but got -1"):
            AMMixup(beta=-1)


class TestClassCenters:
    def test_equals_a_loop(self):
        features, labels = torch.randn(8, 2, 3), torch.tensor([0, 3, 3, 0, 0, 3, 1, 1])
        centers = class_centers(features, labels, 4)
        assert torch.equal(centers[2], torch.zeros(2, 3))
        for c in (0, 1, 3):
            torch.testing.assert_close(centers[c], features[labels == c].mean(dim=0))


class TestSpaces:
    RULES = (Mixup(), Remix(), MAMix(), NeighborMix(), SMOTEMix(), ManifoldMixup(), AMMixup())

    @pytest.mark.parametrize("rule", RULES, ids=lambda rule: type(rule).__name__)
    @pytest.mark.parametrize("space", ["input", "hidden", "features"])
    def test_every_rule_can_be_told_where_to_mix(self, rule, space):
        assert replace(rule, space=space).space == space

    def test_the_defaults_are_those_of_the_papers(self):
        assert [rule.space for rule in self.RULES] == ["input"] * 5 + ["hidden", "features"]

    def test_a_subclass_may_say_it_as_a_class_attribute(self):
        class OfFeatures(Mixup):
            space = "features"

        @dataclass(frozen=True)
        class OfHidden(Mixup):
            space: ClassVar = "hidden"

        assert OfFeatures().space == "features"
        assert OfFeatures(space="hidden").space == "hidden"
        assert OfHidden().space == "hidden"

    def test_no_other_space(self):
        with pytest.raises(ValueError, match=r"Expected space to be one of .*, but got 'inputs'"):
            Mixup(space="inputs")
