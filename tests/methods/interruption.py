"""Trainings that are stopped, before their first step or within, and go on."""

import pytest
from sklearn.base import clone

from latentover.training import Engine, Phase


class Interrupted(Exception):  # noqa: N818
    pass


def engine_of(estimator, X, y, monkeypatch, **fit):
    """Return the engine of an estimator's `fit`, stopped before its first step; `engine.program` is what it runs."""
    seen = []

    def instead(self):
        seen.append(self)
        raise Interrupted

    with monkeypatch.context() as patch:
        patch.setattr(Engine, "run", instead)
        with pytest.raises(Interrupted):
            estimator.fit(X, y, **fit)
    return seen[0]


def phases_of(engine, name):
    """Return the phases and actions of that name."""
    return [phase for phase in engine.program.phases if phase.name == name]


def drawn(engine, phase):
    """Return what the next update of a phase draws."""
    for stream in phase.streams:
        stream.advance()
    return engine.draw(phase)


def moved(engine, *phases):
    """Return the networks, children of the program's, whose parameters updates of these phases move."""
    networks = engine.program.networks
    before = {name: value.detach().clone() for name, value in networks.named_parameters()}
    for phase in phases:
        if isinstance(phase, Phase):
            engine.update(phase)
        else:
            phase.run()
    after = dict(networks.named_parameters())
    return {name.split(".")[0] for name, value in before.items() if not (value == after[name]).all()}


def resumed(estimator, X, y, step, path, monkeypatch):
    """Return a clone of the estimator whose `fit` died in a step, with a checkpoint behind it, and was called again."""
    run_step = Engine.run_step

    def dying(self, number):
        if number == step:
            raise Interrupted
        run_step(self, number)

    with monkeypatch.context() as patch:
        patch.setattr(Engine, "run_step", dying)
        with pytest.raises(Interrupted):
            clone(estimator).set_params(checkpoint=str(path), checkpoint_every=1).fit(X, y)
    return clone(estimator).set_params(checkpoint=str(path)).fit(X, y)
