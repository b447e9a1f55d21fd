"""Every public estimator, found by crawling the package, passes scikit-learn's and imbalanced-learn's own checks."""

import inspect

import imblearn.utils.estimator_checks as imblearn_checks
import pytest
import sklearn.utils.estimator_checks as sklearn_checks
from sklearn.base import BaseEstimator

import latentover

FEWEST = {
    "max_steps": 2,
    "max_epochs": 1,
    "batch_size": 16,
    "hidden_units": 8,
    "channels": 4,
    "latent_dim": 4,
    "feature_dim": 4,
    "critic_steps": 1,
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
"""Classifiers train for longer: scikit-learn checks that they classify well."""

EXPECTED_FAILURES: dict[str, dict[str, str]] = {}
"""By class name: the checks that cannot pass, and why. It shall stay as short as it is."""


def public_estimators():
    names = (name for name in latentover.__all__ if inspect.isclass(getattr(latentover, name)))
    classes = [getattr(latentover, name) for name in sorted(names)]
    return [cls for cls in classes if issubclass(cls, BaseEstimator)]


def small(cls):
    known = inspect.signature(cls).parameters
    wanted = {**FEWEST, **ENOUGH.get(cls.__name__, {}), "device": "cpu", "random_state": 0}
    return cls(**{name: value for name, value in wanted.items() if name in known})


def expected_failures(estimator):
    return EXPECTED_FAILURES.get(type(estimator).__name__, {})


@sklearn_checks.parametrize_with_checks(
    [small(cls) for cls in public_estimators()], expected_failed_checks=expected_failures
)
def test_passes_the_checks_of_scikit_learn(estimator, check):
    check(estimator)


@imblearn_checks.parametrize_with_checks(
    [small(cls) for cls in public_estimators()], expected_failed_checks=expected_failures
)
def test_passes_the_checks_of_imbalanced_learn(estimator, check):
    check(estimator)


def test_the_crawl_finds_the_estimators():
    assert {"RAEClassifier", "RAESampler", "DeepClassifier"} <= {cls.__name__ for cls in public_estimators()}


def test_nothing_is_excused_beyond_what_is_known():
    assert sum(len(checks) for checks in EXPECTED_FAILURES.values()) <= 0


@pytest.mark.parametrize("cls", public_estimators(), ids=lambda cls: cls.__name__)
def test_short_representation_names_only_what_was_set(cls):
    assert repr(cls()) == f"{cls.__name__}()"
