"""Every public estimator, found by crawling the package, passes scikit-learn's and imbalanced-learn's own checks."""

import inspect
import sys
from pathlib import Path
from types import ModuleType

import imblearn.utils.estimator_checks as imblearn_checks
import numpy as np
import pytest
import sklearn.utils.estimator_checks as sklearn_checks
from sklearn.base import BaseEstimator, is_classifier
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils.validation import has_fit_parameter

import latentover
from latentover.estimators import BaseSampler

FEWEST = {
    "max_steps": 2,
    "max_epochs": 1,
    "batch_size": 16,
    "hidden_units": 8,
    "channels": 4,
    "latent_dim": 4,
    "feature_dim": 4,
    "critic_steps": 1,
    "decoder_steps": 2,
    "autoencoder_epochs": 1,
    "pretraining_steps": 2,
}
"""What an estimator gets that has no line below: as little training as its constructor allows."""

ENOUGH = {
    "RAEClassifier": {
        "max_steps": 60,
        "batch_size": 32,
        "hidden_units": 32,
        "latent_dim": 8,
        "dropout": 0.0,
        "learning_rate": 0.01,
        "adversarial_every": 60,
        "critic_steps": 1,
    },
    "DeepClassifier": {
        "max_epochs": 20,
        "batch_size": 32,
        "hidden_units": 32,
        "feature_dim": 8,
        "dropout": 0.0,
        "learning_rate": 0.01,
    },
}
ENOUGH["M2mClassifier"] = ENOUGH["DeepClassifier"]
ENOUGH["GAMOClassifier"] = {"max_steps": 20, "batch_size": 32, "hidden_units": 16, "learning_rate": 0.02}
ENOUGH["DGCClassifier"] = ENOUGH["GAMOClassifier"]
ENOUGH["Plain"] = {"max_steps": 200}
# The check that the most probable class is named is one that a tuned decision is there to fail, unless its classifier
# is sure of every row.
ENOUGH["TunedDecisionClassifier"] = {"estimator": DecisionTreeClassifier(random_state=0)}
ENOUGH["FilteredSampler"] = {
    "sampler": latentover.FlowSampler(max_steps=2, batch_size=16, hidden_units=8, channels=4, n_steps=2),
    "classifier": DecisionTreeClassifier(random_state=0),
}
"""Classifiers train for longer: scikit-learn checks that they classify well."""

WEIGHTS_ARE_DRAWN_BY = (
    "asks that a row of weight 3 and three rows of weight 1 give one model, but what is drawn from these, bases of new "
    "samples or batches, are other rows"
)
EXPECTED_FAILURES = {
    "check_sample_weight_equivalence_on_dense_data": WEIGHTS_ARE_DRAWN_BY,
    "check_sample_weight_equivalence_on_sparse_data": WEIGHTS_ARE_DRAWN_BY,
}
"""The checks that cannot pass, and why. It shall stay as short as it is."""


def public_estimators():
    names = (name for name in latentover.__all__ if inspect.isclass(getattr(latentover, name)))
    classes = [getattr(latentover, name) for name in sorted(names)]
    return [cls for cls in classes if issubclass(cls, BaseEstimator)]


CONTRIBUTING = Path(__file__).parents[2] / "CONTRIBUTING.md"


def method_as_it_is_taught():
    """Return the class that CONTRIBUTING.md shows how to write, in a list; none where that page is not there."""
    if not CONTRIBUTING.is_file():
        return []
    code = CONTRIBUTING.read_text().split("```python\n")[1].split("```")[0]
    module = sys.modules.setdefault("contributed", ModuleType("contributed"))  # where pickles look for it
    exec(compile(code, CONTRIBUTING.name, "exec"), vars(module))
    return [module.Plain]


def small(cls):
    known = inspect.signature(cls).parameters
    wanted = {**FEWEST, **ENOUGH.get(cls.__name__, {}), "device": "cpu", "random_state": 0}
    if "autoencoder" in known:
        wanted["autoencoder"] = small(latentover.RAESampler)
    return cls(**{name: value for name, value in wanted.items() if name in known})


def expected_failures(estimator):
    draws = not isinstance(estimator, latentover.PriorAdjustedClassifier)  # which is exact
    weighs = has_fit_parameter(estimator, "sample_weight") and is_classifier(estimator)
    return EXPECTED_FAILURES if weighs and draws else {}


@sklearn_checks.parametrize_with_checks(
    [small(cls) for cls in [*public_estimators(), *method_as_it_is_taught()]], expected_failed_checks=expected_failures
)
def test_passes_the_checks_of_scikit_learn(estimator, check):
    check(estimator)


@imblearn_checks.parametrize_with_checks([small(cls) for cls in public_estimators()])
def test_passes_the_checks_of_imbalanced_learn(estimator, check):
    check(estimator)


def test_the_crawl_finds_the_estimators():
    classes = public_estimators()
    assert {"RAEClassifier", "RAESampler", "DeepClassifier"} <= {cls.__name__ for cls in classes}
    samplers = {cls for cls in classes if hasattr(cls, "fit_resample")}
    assert samplers == {cls for cls in classes if issubclass(cls, BaseSampler)}, "the contract is that of one base"


@pytest.mark.skipif(not CONTRIBUTING.is_file(), reason="CONTRIBUTING.md is not beside these tests")
def test_the_method_of_the_guide_is_tried_too():
    assert [cls.__name__ for cls in method_as_it_is_taught()] == ["Plain"]


def test_the_list_of_excuses_does_not_grow():
    assert len(set(EXPECTED_FAILURES.values())) == 1


@pytest.mark.parametrize("cls", [cls for cls in public_estimators() if hasattr(cls, "decision_function")])
@pytest.mark.parametrize("shape", [(20,), (1, 8, 8)], ids=["table", "images"])
def test_what_is_said_of_a_row_is_the_same_bits_whatever_comes_with_it(cls, shape):
    """Of a single row, and of rows at other places of another batch."""
    rng = np.random.default_rng(0)
    X, y = rng.random((150, *shape)).astype(np.float32), np.arange(150) % 2
    classifier = small(cls).fit(X, y)
    whole = classifier.decision_function(X)
    one_by_one = np.concatenate([classifier.decision_function(row[None]) for row in X[::7]])
    np.testing.assert_array_equal(one_by_one, whole[::7])
    np.testing.assert_array_equal(classifier.decision_function(X[5:]), whole[5:])
    if hasattr(classifier, "encode"):
        np.testing.assert_array_equal(classifier.encode(X[:1]), classifier.encode(X)[:1])


@pytest.mark.parametrize("cls", public_estimators(), ids=lambda cls: cls.__name__)
def test_short_representation_names_only_what_was_set(cls):
    assert repr(cls()) == f"{cls.__name__}()"
