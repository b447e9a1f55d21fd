"""What cannot seed a generator is an error that names random_state, wherever it was given."""

import numpy as np
import pytest

from latentover import DeepClassifier, RAESampler
from latentover.data import stratified_split, subsample
from latentover.metrics.copying import diversity_ratio, memorization, memorization_per_class
from latentover.metrics.distances import frechet_infinity
from latentover.metrics.generation import equal_samples
from latentover.metrics.geometry import linear_separability
from latentover.metrics.intervals import bootstrap_interval
from latentover.report import save_minority_grid
from latentover.seeds import as_generator, as_random_state
from latentover.stats import bayesian_signed_rank
from latentover.training import draw_seed

X = np.random.default_rng(0).normal(size=(40, 3))
Y = np.repeat([0, 1], 20)
IMAGES = np.zeros((40, 1, 8, 8))
TINY = {"hidden_units": 4, "device": "cpu"}
GENERATORS = {
    "as_generator": as_generator,
    "memorization": lambda state: memorization(X, X, X, random_state=state),
    "memorization_per_class": lambda state: memorization_per_class(X, Y, X, Y, random_state=state),
    "equal_samples": lambda state: equal_samples(X, Y, X, Y, random_state=state),
    "bootstrap_interval": lambda state: bootstrap_interval(np.mean, Y, random_state=state),
    "diversity_ratio": lambda state: diversity_ratio(X, X, random_state=state),
    "frechet_infinity": lambda state: frechet_infinity(X, X, random_state=state),
    "stratified_split": lambda state: stratified_split(Y, 0.5, random_state=state),
    "subsample": lambda state: subsample(Y, [10, 5], random_state=state),
}
RANDOM_STATES = {
    "as_random_state": as_random_state,
    "draw_seed": draw_seed,
    "linear_separability": lambda state: linear_separability(X, Y, random_state=state),
    "bayesian_signed_rank": lambda state: bayesian_signed_rank([0.9, 0.8], [0.8, 0.7], random_state=state),
    "save_minority_grid": lambda state: save_minority_grid(None, IMAGES, Y, "grid.png", random_state=state),
    "fit": lambda state: DeepClassifier(max_epochs=1, random_state=state, **TINY).fit(X, Y),
    "fit_resample": lambda state: RAESampler(max_steps=1, random_state=state, **TINY).fit_resample(X, Y),
}


def without_address(state):
    return repr(state).split(" at ")[0]


@pytest.mark.parametrize("state", ["x", 0.5, -1, {}, print], ids=without_address)
@pytest.mark.parametrize("use", GENERATORS)
def test_of_numpys_generators(use, state):
    with pytest.raises(ValueError, match=r"^Expected random_state to be a whole number of at least 0, a Nu.*, but got"):
        GENERATORS[use](state)


@pytest.mark.parametrize(
    "state", ["x", 0.5, -1, 2**32, [1], {}, np.random.default_rng(0)], ids=lambda s: str(s).split(" at ")[0]
)
@pytest.mark.parametrize("use", RANDOM_STATES)
def test_of_scikit_learns(use, state):
    with pytest.raises(ValueError, match=r"^Expected random_state to be a whole number from 0 to .*, but got"):
        RANDOM_STATES[use](state)


def test_of_a_sampler_that_is_fitted():
    sampler = RAESampler(max_steps=1, random_state=0, **TINY).fit(X, Y)
    with pytest.raises(ValueError, match=r"^Expected random_state to be a whole number from 0 to .*, but got 'x'"):
        sampler.sample(3, 1, random_state="x")


def test_the_same_number_draws_the_same():
    assert as_generator(3).random() == np.random.default_rng(3).random()
    assert as_random_state(3).rand() == np.random.RandomState(3).rand()
    own = np.random.default_rng(5)
    assert as_generator(own) is own
