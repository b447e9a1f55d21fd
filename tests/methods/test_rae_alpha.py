"""Where the mixing weights come from."""

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.datasets import make_classification

from latentover import RAEClassifier, RAESampler

SMALL = {"max_steps": 5, "hidden_units": 16, "batch_size": 16, "random_state": 0, "device": "cpu"}


@pytest.fixture(scope="module")
def table():
    return make_classification(120, n_informative=5, weights=[0.8], flip_y=0, random_state=0)


@pytest.mark.parametrize("n_components", [2, 3])
def test_uniform_weights_are_uniform_on_the_simplex(table, n_components):
    model = RAEClassifier(alpha="uniform", n_components=n_components, **SMALL).fit(*table)
    latents = torch.zeros(4000, n_components, 8)
    generator = torch.Generator().manual_seed(0)
    weights = model.networks_.mixing_weights(latents, torch.zeros(4000, 2), "uniform", generator).numpy()
    np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-5)
    # A coordinate of the uniform distribution on the simplex of t weights is Beta(1, t - 1).
    assert stats.kstest(weights[:, 0], stats.beta(1, n_components - 1).cdf).pvalue > 1e-3


def test_uniform_weights_leave_the_mixer_untrained(table):
    before, after = (
        RAEClassifier(alpha="uniform", **{**SMALL, "max_steps": steps}).fit(*table).networks_.mixer for steps in (1, 5)
    )
    for one, other in zip(before.parameters(), after.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_losses_name_the_mixer_only_where_it_is_trained(table):
    assert "mixer" in RAEClassifier(**SMALL).fit(*table).history_[-1]
    assert "mixer" not in RAEClassifier(alpha="uniform", **SMALL).fit(*table).history_[-1]


def test_uniform_samples_lie_between_their_parents(table):
    sampler = RAESampler(alpha="uniform", **SMALL)
    sampler.fit_resample(*table)
    largest = sampler.mix_weights_[sampler.synthetic_mask_].max(axis=1)
    assert 0.65 < np.median(largest) < 0.85  # 3/4 for two uniform weights
