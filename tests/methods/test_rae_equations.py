"""The loss terms against a second, naive writing of the paper's equations."""

import math

import pytest
import torch
from scipy.stats import chisquare

from latentover.methods.rae import classifier_loss, encoder_objective, mixer_loss, other_labels
from latentover.training import weighted_sum


def naive_cross_entropy(logits, labels):
    total = 0.0
    for row, label in zip(logits.tolist(), labels.tolist(), strict=True):
        total -= math.log(math.exp(row[label]) / sum(math.exp(value) for value in row))
    return total / len(labels)


@pytest.fixture
def batch():
    torch.manual_seed(0)
    return torch.randn(6, 4), torch.randn(6, 4), torch.tensor([0, 1, 3, 3, 2, 0])


class TestMixerLoss:
    def test_equation_3(self, batch):
        mixed, _, wrong = batch
        assert mixer_loss(mixed, wrong).item() == pytest.approx(naive_cross_entropy(mixed, wrong), rel=1e-5)

    def test_falls_when_the_classifier_is_wrong(self):
        sure = torch.tensor([[9.0, 0.0]])
        assert mixer_loss(sure, torch.tensor([0])) < mixer_loss(sure, torch.tensor([1]))


class TestClassifierLoss:
    @pytest.mark.parametrize("t", [1, 2, 3])
    def test_equation_6_counts_every_real_latent_and_one_mixture(self, batch, t):
        """Summed over the t members of each tuple; the t mixtures of a tuple share one weight."""
        logits, mixed, labels = batch
        n_tuples = 6 // t
        expected = 0.0
        for b in range(n_tuples):
            for j in range(t):
                row = slice(j * n_tuples + b, j * n_tuples + b + 1)
                expected += naive_cross_entropy(logits[row], labels[row])
                expected += naive_cross_entropy(mixed[row], labels[row]) / t
        expected /= n_tuples
        real, mixtures = (torch.tensor(naive_cross_entropy(rows, labels)) for rows in (logits, mixed))
        assert classifier_loss(real, mixtures, t).item() == pytest.approx(expected, rel=1e-5)

    def test_the_mean_of_the_authors_code_counts_all_latents_alike(self, batch):
        logits, mixed, labels = batch
        expected = naive_cross_entropy(torch.cat([logits, mixed]), torch.cat([labels, labels]))
        real, mixtures = (torch.tensor(naive_cross_entropy(rows, labels)) for rows in (logits, mixed))
        assert classifier_loss(real, mixtures, 2, "mean").item() == pytest.approx(expected, rel=1e-5)


class TestEncoderLoss:
    def test_equation_7_with_the_weights_of_the_paper(self):
        losses = {"classifier": torch.tensor(2.0), "reconstruction": torch.tensor(3.0), "mixer": torch.tensor(7.0)}
        assert weighted_sum(losses, encoder_objective()).item() == pytest.approx(5 * 2 + 0.01 * 3)
        assert weighted_sum(losses, encoder_objective(1.0, 0.5)).item() == pytest.approx(3.5)


class TestOtherLabels:
    @pytest.mark.parametrize("n_classes", [2, 3, 10])
    def test_never_the_label_and_uniform_over_the_others(self, n_classes):
        labels = torch.arange(n_classes).repeat(2000)
        shift = torch.randint(1, n_classes, labels.shape, generator=torch.Generator().manual_seed(0))
        others = other_labels(labels, shift, n_classes)
        assert others.min() >= 0
        assert others.max() < n_classes
        assert (others != labels).all()
        for c in range(n_classes):
            counts = torch.bincount(others[labels == c], minlength=n_classes)
            counts = counts[torch.arange(n_classes) != c]
            assert n_classes == 2 or chisquare(counts.numpy()).pvalue > 1e-3 / n_classes
