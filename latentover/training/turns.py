"""Several trainings in one process, a step each in turn.

On a GPU the kernels of small networks leave most of it idle, and those of several trainings fit beside one another:
each training has a thread and a stream of its own, and one of them at a time has its turn to launch a step. What a task
holds of torch's global generators it holds for the thread that gives the turns: it is laid down with a turn, and taken
up again with the next one.
"""

import threading
import warnings
from collections.abc import Callable, Generator, Sequence
from typing import Any

import torch

from latentover.training.ownership import act_for, actor, global_generators

MOST_AT_ONCE = 8
"""Trainings that run at once on a GPU at most: with seven small ones it is busy, and each more only waits longer."""
SETTLED = 40
"""Steps after which a training has recorded its updates, and takes the memory that it takes."""
MARGIN = 1.5
"""So many times the memory that a training takes on average has to be free for one more."""
_here = threading.local()
_n_turns = 0


class Abandoned(BaseException):
    """Ends a training whose process does not want its turns any more."""


def give_turn() -> None:
    """Let the other trainings of this process make a step; nothing happens where there is none."""
    turn: _Turn | None = getattr(_here, "turn", None)
    if turn is not None:
        turn.give()


def in_turns(
    tasks: Sequence[Callable[[], Any]], at_once: int | Callable[[int], bool] | None = None
) -> Generator[tuple[int, Any], None, None]:
    """Run tasks that call `give_turn` now and then; yield the number of each as it ends, and its result or exception.

    Each draws from torch's global generators as if it ran alone, and one that fails stops no other. Where the caller
    stops asking, those that have not ended are ended where they gave their turn away.

    Parameters
    ----------
    tasks : sequence of callable
    at_once : int or callable, optional
        How many run at the same time; or what says of the number that is running whether one more may begin. By default
        all do.
    """
    limit = len(tasks) if at_once is None else at_once
    may_begin = limit if callable(limit) else (lambda running: running < limit)
    waiting, running = list(enumerate(tasks)), dict[int, _Turn]()
    try:
        while waiting or running:
            if waiting and (not running or may_begin(len(running))):
                number, task = waiting.pop(0)
                running[number] = _Turn(task)
                if waiting and not callable(limit):
                    continue
            for number, turn in list(running.items()):
                if not turn.take():
                    del running[number]
                    yield number, turn.outcome
    finally:
        for turn in running.values():
            turn.abandon()


class AsMemoryAllows:
    """Says whether one more training may begin on a CUDA device: whether its memory holds one more of the kind.

    Parameters
    ----------
    device : torch.device
    """

    def __init__(self, device: torch.device) -> None:
        self.device, self.asked = device, 0

    def __call__(self, running: int) -> bool:
        """Return whether one more may begin; asked once in every round of steps."""
        self.asked += 1
        if running >= MOST_AT_ONCE or self.asked < SETTLED:
            return False
        free, _ = torch.cuda.mem_get_info(self.device)
        if free < MARGIN * torch.cuda.memory_reserved(self.device) / running:
            return False
        self.asked = 0
        return True


def sharing() -> int:
    """Return how many trainings share this process by turns: 1 where one runs alone."""
    return max(_n_turns, 1)


class _Turn:
    """A task in a thread of its own that runs only while it has its turn."""

    def __init__(self, task: Callable[[], Any]) -> None:
        self.task = task
        self.outcome: Any = None
        self.ended = self.abandoned = False
        self.held, self.giver = 0, 0  # how often it holds the global generators, and for which thread
        self.mine, self.back = threading.Semaphore(0), threading.Semaphore(0)
        with global_generators:
            self.surroundings = _Surroundings()
            _count(1)
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def take(self) -> bool:
        """Let the task run until it gives its turn away; return False if it has ended."""
        self.giver, before = actor(), global_generators.depth
        with global_generators:
            outside = _Surroundings()
            self.surroundings.enter()
            global_generators.acquire(self.held)
        self.mine.release()
        try:
            self.back.acquire()
        except BaseException:  # Ctrl-C: nothing is put back before the step has ended
            self.back.acquire()
            raise
        finally:
            with global_generators:
                self.held = global_generators.depth - before - 1
                self.surroundings = _Surroundings()
                outside.enter()
                if self.ended:
                    self.thread.join()
                    _count(-1)
            global_generators.release(self.held)
        return not self.ended

    def abandon(self) -> None:
        """End the task where it gave its turn away."""
        self.abandoned = True
        while self.take():
            pass

    def give(self) -> None:
        """Let the others run, until it is this one's turn again."""
        self.back.release()
        self._await()
        if self.abandoned:
            raise Abandoned

    def _await(self) -> None:
        self.mine.acquire()
        act_for(self.giver)

    def _run(self) -> None:
        self._await()
        _here.turn = self
        try:
            if not self.abandoned:
                self.outcome = self.task()
        except BaseException as error:
            self.outcome = error
        self.ended = True
        self.back.release()


def _count(change: int) -> None:
    global _n_turns
    _n_turns += change


class _Surroundings:
    """What a task may change for the whole process and put back when it ends: global generators, and warnings."""

    def __init__(self) -> None:
        self.generators = [torch.default_generator.get_state()]
        if torch.cuda.is_initialized():
            self.generators += torch.cuda.get_rng_state_all()
        self.filters, self.show = list(warnings.filters), warnings.showwarning

    def enter(self) -> None:
        """Let the process have them."""
        torch.default_generator.set_state(self.generators[0])
        for number, state in enumerate(self.generators[1:]):
            torch.cuda.set_rng_state(state, number)
        if self.filters != list(warnings.filters):
            warnings.filters = self.filters
            with warnings.catch_warnings():  # whose end tells Python that they are others
                pass
        warnings.showwarning = self.show
