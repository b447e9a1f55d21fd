"""Trainings that are stopped, before their first step or within, and go on."""

import sys

import pytest
from sklearn.base import clone

from latentover.training import loop


class Interrupted(Exception):  # noqa: N818
    pass


def training_of(training, estimator, X, y, monkeypatch):
    """Return what an estimator's `fit` makes of the class `training`, stopped before its first step."""
    seen, build = [], training.__init__

    def instead(phases, *_, **__):
        raise Interrupted

    def remember(self, *arguments):
        build(self, *arguments)
        seen.append(self)

    monkeypatch.setattr(sys.modules[training.__module__], "train", instead)
    monkeypatch.setattr(training, "__init__", remember)
    with pytest.raises(Interrupted):
        estimator.fit(X, y)
    return seen[0]


def resumed(estimator, X, y, step, path, monkeypatch):
    """Return a clone of the estimator whose `fit` died in a step, with a checkpoint behind it, and was called again."""
    runs_in = loop.Phase.runs_in

    def dying(self, number):
        if number == step:
            raise Interrupted
        return runs_in(self, number)

    with monkeypatch.context() as patch:
        patch.setattr(loop.Phase, "runs_in", dying)
        with pytest.raises(Interrupted):
            clone(estimator).set_params(checkpoint=str(path), checkpoint_every=1).fit(X, y)
    return clone(estimator).set_params(checkpoint=str(path)).fit(X, y)
