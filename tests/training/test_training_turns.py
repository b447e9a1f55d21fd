"""Several trainings in one process end as they would alone."""

import time
from itertools import pairwise

import numpy as np
import pytest
import torch
from sklearn.base import clone

from latentover import DeepClassifier, GAMOClassifier, RAEClassifier, fit_many
from latentover.estimators.together import limit_at_once
from latentover.training.turns import AsMemoryAllows, give_turn, in_turns

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(60, 5)), np.repeat([0, 1, 2], [40, 14, 6])
SMALL = {"hidden_units": 8, "device": "cpu", "precision": "float32", "batch_size": 16, "dropout": 0.3}
ESTIMATORS = [
    RAEClassifier(**SMALL, latent_dim=4, max_steps=9, random_state=0),
    RAEClassifier(**SMALL, latent_dim=4, max_steps=5, random_state=1),
    DeepClassifier(**SMALL, max_epochs=3, random_state=0),
    GAMOClassifier(**{k: v for k, v in SMALL.items() if k != "dropout"}, max_steps=4, random_state=0),
]


def counting(log, name, n, result=None):
    def task():
        for step in range(n):
            log.append(f"{name}{step}")
            give_turn()
        return name if result is None else result()

    return task


def fail():
    raise RuntimeError("failed")


class TestTurns:
    def test_a_step_each_in_turn(self):
        log = []
        ended = list(in_turns([counting(log, "a", 3), counting(log, "b", 1), counting(log, "c", 2)]))
        assert log == ["a0", "b0", "c0", "a1", "c1", "a2"]
        assert ended == [(1, "b"), (2, "c"), (0, "a")]

    def test_so_many_at_once(self):
        log = []
        list(in_turns([counting(log, name, 2) for name in "abc"], 2))
        assert log == ["a0", "b0", "a1", "b1", "c0", "c1"]

    def test_as_something_allows(self):
        log, asked = [], []

        def allows(running):
            asked.append(running)
            return len(asked) > 2 and running < 2

        list(in_turns([counting(log, name, 4) for name in "abc"], allows))
        assert log[:5] == ["a0", "a1", "a2", "a3", "b0"]
        assert len(log) == 12
        assert max(asked) == 2

    def test_one_that_fails_stops_no_other(self):
        log = []
        ended = dict(in_turns([counting(log, "a", 1, fail), counting(log, "b", 3)]))
        assert isinstance(ended[0], RuntimeError)
        assert ended[1] == "b"
        assert log[-1] == "b2"

    def test_who_stops_asking_ends_the_others_where_they_are(self):
        log, cleaned = [], []

        def task():
            try:
                for step in range(100):
                    log.append(step)
                    give_turn()
            finally:
                cleaned.append(True)

        turns = in_turns([counting([], "a", 2), task])
        assert next(turns) == (0, "a")
        turns.close()
        assert cleaned == [True]
        assert len(log) < 100

    def test_each_draws_as_if_it_ran_alone(self):
        def drawing():
            drawn = []
            torch.manual_seed(5)
            for _ in range(3):
                drawn.append(torch.rand(()).item())
                give_turn()
            return drawn

        before = torch.get_rng_state()
        alone = drawing()
        torch.set_rng_state(before)
        assert [outcome for _, outcome in in_turns([drawing, drawing])] == [alone, alone]
        assert torch.equal(torch.get_rng_state(), before)

    def test_to_give_a_turn_outside_of_them_does_nothing(self):
        start = time.perf_counter()
        give_turn()
        assert time.perf_counter() - start < 1

    def test_of_none(self):
        assert list(in_turns([])) == []


class TestFitMany:
    def test_each_ends_as_it_would_alone(self):
        together = fit_many([clone(estimator) for estimator in ESTIMATORS], X, Y, at_once=3)
        for estimator, fitted in zip(ESTIMATORS, together, strict=True):
            alone = clone(estimator).fit(X, Y)
            for name, tensor in alone.networks_.state_dict().items():
                assert torch.equal(tensor, fitted.networks_.state_dict()[name]), name
            np.testing.assert_array_equal(fitted.predict_proba(X), alone.predict_proba(X))

    def test_trainings_are_interleaved(self, monkeypatch):
        from latentover.training import Engine

        run_step, log = Engine.run_step, []
        monkeypatch.setattr(Engine, "run_step", lambda self, step: log.append(id(self)) or run_step(self, step))
        fit_many([clone(ESTIMATORS[1]), clone(ESTIMATORS[1])], X, Y, at_once=2)
        assert len(log) == 10
        assert all(one != other for one, other in pairwise(log))

    def test_on_the_cpu_one_after_the_other_unless_told(self):
        assert limit_at_once("auto", "cpu") == 1
        assert limit_at_once(4, "cpu") == 4

    def test_errors_come_when_all_others_are_fitted(self):
        bad, good = DeepClassifier(**SMALL, learning_rate=-1), clone(ESTIMATORS[2])
        with pytest.raises(ExceptionGroup, match="1 of 2 estimators could not be fitted") as caught:
            fit_many([bad, good], X, Y, at_once=2)
        assert "learning_rate" in str(caught.value.exceptions[0])
        assert "in estimator 0, DeepClassifier" in caught.value.exceptions[0].__notes__[0]
        assert good.predict(X).shape == Y.shape

    @pytest.mark.parametrize("at_once", [0, -1, 1.5, True, "all"])
    def test_refuses_other_numbers(self, at_once):
        with pytest.raises(ValueError, match="Expected at_once to be 'auto' or a whole number of at least 1, but got"):
            fit_many(ESTIMATORS, X, Y, at_once=at_once)


class TestMemory:
    def test_one_more_begins_when_the_others_have_settled_and_memory_holds_it(self, monkeypatch):
        memory = {"free": 10.0, "reserved": 4.0}
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (memory["free"], 20.0))
        monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: memory["reserved"])
        allows = AsMemoryAllows(torch.device("cuda"))
        assert [allows(1) for _ in range(40)] == [False] * 39 + [True]
        memory.update(free=3.0, reserved=4.0)  # two take 2 each: one and a half of that is free
        assert [allows(2) for _ in range(40)][-1] is True
        memory.update(free=2.9)
        assert not any(allows(2) for _ in range(80))
        memory.update(free=99.0)
        assert not any(allows(8) for _ in range(80))
