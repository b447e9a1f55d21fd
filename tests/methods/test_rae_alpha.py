"""Where the mixing weights come from."""

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.datasets import make_classification

from latentover import RAEClassifier, RAESampler
from latentover.methods.rae import drawn_weights

SMALL = {"max_steps": 5, "hidden_units": 16, "batch_size": 16, "random_state": 0, "device": "cpu"}


@pytest.fixture(scope="module")
def table():
    return make_classification(120, n_informative=5, weights=[0.8], flip_y=0, random_state=0)


def draw(sample, *shape):
    return sample(4000, *shape, generator=torch.Generator().manual_seed(0), device=torch.device("cpu"))


@pytest.mark.parametrize("alpha", ["uniform", [2.0, 2.0], [0.5, 3.0], [1.0, 2.0, 4.0]], ids=str)
def test_drawn_weights_have_the_distribution_that_was_asked_for(alpha):
    concentrations = [1.0, 1.0] if alpha == "uniform" else alpha
    weights = drawn_weights(alpha, draw, len(concentrations)).numpy()
    np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-5)
    # A coordinate of a Dirichlet distribution is Beta(a_j, the sum of the others).
    for j, a in enumerate(concentrations):
        assert stats.kstest(weights[:, j], stats.beta(a, sum(concentrations) - a).cdf).pvalue > 1e-3


def test_samples_are_mixed_with_the_same_distribution_as_in_training(table):
    sampler = RAESampler(alpha=[50.0, 50.0], **SMALL)
    sampler.fit_resample(*table)
    weights = sampler.mix_weights_[sampler.synthetic_mask_]
    assert np.abs(weights - 0.5).max() < 0.25  # 5 standard deviations of Beta(50, 50)


def test_uniform_weights_leave_the_mixer_untrained(table):
    before, after = (
        RAEClassifier(alpha="uniform", **{**SMALL, "max_steps": steps}).fit(*table).networks_.mixer for steps in (1, 5)
    )
    for one, other in zip(before.parameters(), after.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_losses_name_the_mixer_only_where_it_is_trained(table):
    assert "mixer" in RAEClassifier(alpha="mixer", **SMALL).fit(*table).history_[-1]
    assert "mixer" not in RAEClassifier(alpha="uniform", **SMALL).fit(*table).history_[-1]


def test_uniform_samples_lie_between_their_parents(table):
    sampler = RAESampler(alpha="uniform", **SMALL)
    sampler.fit_resample(*table)
    largest = sampler.mix_weights_[sampler.synthetic_mask_].max(axis=1)
    assert 0.65 < np.median(largest) < 0.85  # 3/4 for two uniform weights
