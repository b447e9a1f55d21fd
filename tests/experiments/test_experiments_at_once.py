"""Several runs in one process, a step of each in turn: the same folders as from separate runs."""

import json
import warnings
from itertools import pairwise

import numpy as np
import pytest
from safetensors.numpy import load_file

from latentover import RAEClassifier
from latentover.experiments.benchmark import benchmark
from latentover.training import Engine, in_turns
from latentover.training.turns import give_turn


def weights(folder):
    return load_file(folder / "model.safetensors")


class TestAtOnce:
    def test_runs_are_those_that_are_made_alone(self, write_recipe, machine, tmp_path):
        recipes = [write_recipe({"seeds": [0, 1]}, name="a"), write_recipe(name="b", kind="control")]
        alone, together = tmp_path / "alone", tmp_path / "together"
        benchmark(recipes, machine, out=alone)
        outcome = benchmark(recipes, machine, out=together, at_once=3)
        assert (outcome.finished, outcome.failures) == (3, {})
        for run in ("a/seed-0", "a/seed-1", "b/seed-0"):
            one, other = weights(alone / run), weights(together / run)
            assert one.keys() == other.keys()
            for name in one:
                np.testing.assert_array_equal(one[name], other[name])
            scores = [json.loads((out / run / "metrics.json").read_text()) for out in (alone, together)]
            assert scores[0]["acsa"] == scores[1]["acsa"]
            assert scores[1]["certificate"]["at_once"] >= 2
            assert "at_once" not in scores[0]["certificate"]

    def test_steps_are_interleaved(self, write_recipe, machine, tmp_path, monkeypatch):
        run_step, log = Engine.run_step, []
        monkeypatch.setattr(Engine, "run_step", lambda self, step: log.append(id(self)) or run_step(self, step))
        benchmark([write_recipe({"seeds": [0, 1]})], machine, out=tmp_path / "out", at_once=2)
        changes = sum(one != other for one, other in pairwise(log))
        assert changes > len(log) / 2

    def test_a_run_that_fails_stops_no_other(self, write_recipe, machine, tmp_path, monkeypatch):
        fit = RAEClassifier.fit

        def failing(self, X, y):
            if self.random_state == 1:
                raise RuntimeError("out of memory")
            return fit(self, X, y)

        monkeypatch.setattr(RAEClassifier, "fit", failing)
        outcome = benchmark([write_recipe({"seeds": [0, 1, 2]})], machine, out=tmp_path / "out", at_once="auto")
        assert outcome.finished == 2
        (failure,) = outcome.failures.values()
        assert failure.message == "RuntimeError: out of memory"
        outcome = benchmark([write_recipe({"seeds": [0, 1, 2]})], machine, out=tmp_path / "more", at_once=3)
        assert outcome.finished == 2

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"at_once": 0}, "Expected at_once to be 'auto' or a whole number of at least 1, but got 0"),
            ({"at_once": 2, "jobs": 2}, "Expected jobs to be 1 beside at_once=2, but got 2; choose one of the two"),
        ],
    )
    def test_refuses_numbers_that_do_not_go_together(self, write_recipe, machine, tmp_path, settings, message):
        with pytest.raises(ValueError, match=message):
            benchmark([write_recipe()], machine, out=tmp_path / "out", **settings)


def test_each_task_has_its_own_warnings():
    """Filters that a task sets while it has its turn are its own, however the tasks end."""
    shown = []

    def task(name, n):
        def run():
            with warnings.catch_warnings():
                warnings.simplefilter("error" if name == "strict" else "ignore")
                for _ in range(n):
                    give_turn()
                    try:
                        warnings.warn(name, UserWarning, stacklevel=1)
                    except UserWarning:
                        shown.append(name)

        return run

    before = list(warnings.filters)
    assert [number for number, _ in in_turns([task("strict", 2), task("lax", 4), task("strict", 3)])] == [0, 2, 1]
    assert shown == ["strict"] * 5
    assert list(warnings.filters) == before
