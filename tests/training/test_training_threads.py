"""Threads: what is fitted or sampled beside other threads is what it would be alone, and torch's generators stay."""

import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from joblib import Parallel, delayed
from sklearn.base import clone

from latentover import AMDO, ClassicalSampler, DeepClassifier, DGCClassifier, RAESampler, fit_many
from latentover.training import memory, memory_kept, seeded
from latentover.training.ownership import Ownership, global_generators
from latentover.training.turns import give_turn, in_turns

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(60, 5)), np.repeat([0, 1, 2], [40, 14, 6])
SMALL = {"hidden_units": 8, "device": "cpu", "precision": "float32", "batch_size": 16}
CLASSIFIERS = [DeepClassifier(**SMALL, max_epochs=4, dropout=0.3), DGCClassifier(**SMALL, latent_dim=4, max_steps=4)]
SAMPLERS = [RAESampler(**SMALL, latent_dim=4, max_steps=4, dropout=0.3), ClassicalSampler(), AMDO()]
SEEDS = [0, 1, 0, 2, 0, 3, 0, 4]


def by_threads(function, arguments):
    with ThreadPoolExecutor(len(arguments)) as pool:
        return list(pool.map(function, arguments))


def by_joblib(function, arguments):
    return Parallel(n_jobs=len(arguments), backend="threading")(delayed(function)(each) for each in arguments)


POOLS = pytest.mark.parametrize("pool", [by_threads, by_joblib])


@POOLS
class TestFits:
    @pytest.mark.parametrize("estimator", CLASSIFIERS, ids=lambda estimator: type(estimator).__name__)
    def test_classifiers_are_those_of_one_after_the_other(self, estimator, pool):
        def said(seed):
            return clone(estimator).set_params(random_state=seed).fit(X, Y).decision_function(X)

        alone, before = [said(seed) for seed in SEEDS], torch.get_rng_state()
        together = pool(said, SEEDS)
        assert torch.equal(torch.get_rng_state(), before)
        np.testing.assert_array_equal(together, alone)

    @pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda sampler: type(sampler).__name__)
    def test_new_rows_are_those_of_one_after_the_other(self, sampler, pool):
        def made(seed):
            fitted = clone(sampler).set_params(random_state=seed)
            return fitted.fit_resample(X, Y)[0], fitted.parents_

        alone, before = [made(seed) for seed in SEEDS], torch.get_rng_state()
        together = pool(made, SEEDS)
        assert torch.equal(torch.get_rng_state(), before)
        for one, other in zip(together, alone, strict=True):
            np.testing.assert_array_equal(one[0], other[0])
            np.testing.assert_array_equal(one[1], other[1])


@POOLS
@pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda sampler: type(sampler).__name__)
def test_one_estimator_samples_in_many_threads(sampler, pool):
    """Of several classes at once, whose parents must not be taken for one another."""
    fitted = clone(sampler).set_params(random_state=0).fit(X, Y)
    wanted = [(label, seed) for seed in range(4) for label in (0, 1, 2)]

    def sample(label_and_seed):
        return fitted.sample(1100, label_and_seed[0], random_state=label_and_seed[1])

    alone, before = list(map(sample, wanted)), torch.get_rng_state()
    together = pool(sample, wanted)
    assert torch.equal(torch.get_rng_state(), before)
    np.testing.assert_array_equal(together, alone)


class TestTurnsBesideThreads:
    def test_trainings_in_turns_and_a_pool_of_threads(self):
        """Each kind holds the generators now and then; whoever waits for the other must not wait for ever."""
        estimator = CLASSIFIERS[0]

        def said(seed):
            return clone(estimator).set_params(random_state=seed).fit(X, Y).decision_function(X)

        def said_in_turns(seeds):
            fitted = fit_many([clone(estimator).set_params(random_state=s) for s in seeds], X, Y, at_once=len(seeds))
            return [each.decision_function(X) for each in fitted]

        alone, before = [said(seed) for seed in range(6)], torch.get_rng_state()
        with ThreadPoolExecutor(4) as pool:
            turns = [pool.submit(said_in_turns, [0, 1, 2]), pool.submit(said_in_turns, [3, 4])]
            threads = [pool.submit(said, 5), pool.submit(said, 0)]
            found = [*turns[0].result(60), *turns[1].result(60), threads[0].result(60), threads[1].result(60)]
        assert torch.equal(torch.get_rng_state(), before)
        np.testing.assert_array_equal(found, alone + alone[:1])

    def test_a_task_may_fit_in_threads_of_its_own(self):
        def task():
            give_turn()
            drawn = by_threads(drawn_beside_others, [1, 2])
            give_turn()
            return drawn

        alone = [drawn_beside_others(seed) for seed in (1, 2)]
        assert [outcome for _, outcome in in_turns([task, task])] == [alone, alone]

    def test_turns_inside_of_turns_and_inside_of_a_fit(self):
        def inner():
            with seeded(3):
                give_turn()
                return torch.rand(()).item()

        def outer():
            with seeded(4):
                found = [outcome for _, outcome in in_turns([inner, inner])]
                give_turn()
                return *found, torch.rand(()).item()

        with seeded(3):
            three = torch.rand(()).item()
        with seeded(4):
            four = torch.rand(()).item()
        with seeded(5):
            assert [outcome for _, outcome in in_turns([outer, outer])] == [(three, three, four)] * 2
            assert global_generators.depth == 1
        assert global_generators.depth == 0

    def test_what_an_abandoned_task_held_is_free(self):
        def task():
            with seeded(0):
                for _ in range(9):
                    give_turn()

        turns = in_turns([lambda: give_turn(), task])
        next(turns)
        turns.close()
        assert by_threads(drawn_beside_others, [1]) == [drawn_beside_others(1)]

    def test_an_interrupt_ends_the_tasks_and_leaves_nothing_held(self, monkeypatch):
        """Ctrl-C while a step is being made: it is waited for, then everything is put back."""
        acquire, before = threading.Semaphore.acquire, torch.get_rng_state()

        def task():
            with seeded(0):
                for _ in range(9):
                    give_turn()

        def interrupted(self, *args, **kwargs):
            if threading.current_thread() is threading.main_thread():
                monkeypatch.undo()
                raise KeyboardInterrupt
            return acquire(self, *args, **kwargs)

        monkeypatch.setattr(threading.Semaphore, "acquire", interrupted)
        with pytest.raises(KeyboardInterrupt):
            list(in_turns([task, task]))
        assert torch.equal(torch.get_rng_state(), before)
        assert by_threads(drawn_beside_others, [1]) == [drawn_beside_others(1)]


def drawn_beside_others(seed):
    with seeded(seed):
        return torch.rand(3).tolist()


class TestOwnership:
    def test_is_held_by_one_thread_at_a_time_as_often_as_it_likes(self):
        lock, log = Ownership(), []
        lock.acquire(2)
        other = threading.Thread(target=lambda: (lock.acquire(), log.append(lock.depth), lock.release()))
        other.start()
        lock.release()
        other.join(0.1)
        assert log == []
        assert lock.depth == 1
        lock.release()
        other.join(10)
        assert log == [1]
        assert lock.depth == 0

    @pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
    @pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
    def test_a_forked_process_does_not_wait_for_threads_that_it_has_not(self):
        held, done = threading.Event(), threading.Event()

        def hold():
            with global_generators:
                held.set()
                done.wait(10)

        other = threading.Thread(target=hold)
        other.start()
        held.wait(10)
        child = os.fork()
        if child == 0:
            global_generators.acquire()
            os._exit(7)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        done.set()
        other.join(10)


@pytest.mark.skipif(sys.platform != "linux", reason="does nothing elsewhere")
def test_memory_is_kept_where_one_thread_leaves_as_another_enters(monkeypatch):
    settings, leaving = {}, threading.Event()

    class Library:
        def __init__(self, _):
            pass

        @staticmethod
        def mallopt(setting, value):
            if setting == memory.M_TRIM_THRESHOLD and value < 2**31 - 1:
                leaving.set()
                time.sleep(0.2)
            settings[setting] = value

    def enter_and_leave():
        with memory_kept():
            pass

    monkeypatch.setattr(memory.ctypes, "CDLL", Library)
    other = threading.Thread(target=enter_and_leave)
    other.start()
    leaving.wait(10)
    with memory_kept():
        other.join()
        assert settings[memory.M_TRIM_THRESHOLD] == 2**31 - 1
    assert settings[memory.M_TRIM_THRESHOLD] < 2**31 - 1
