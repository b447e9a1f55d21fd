"""Learning-rate schedules, as a factor on the learning rate; schedules are data, not arithmetic in a loop."""

import math
from collections.abc import Callable
from typing import Literal, get_args

from latentover.training.step_decay import StepDecay

Schedule = Literal["constant", "cosine", "one_cycle"]
SCHEDULES: tuple[str, ...] = get_args(Schedule)
"""Names of the schedules of a learning rate."""
WARMUP = 0.2


def learning_rate_factor(schedule: str, progress: float) -> float:
    """Return the factor on the learning rate after the fraction `progress` in [0, 1] of all steps.

    ``"constant"`` is 1 throughout, ``"cosine"`` falls from 1 to 0, and ``"one_cycle"`` rises from 0.04 to 1 over the
    first fifth and then falls to 0, both along a cosine.

    Examples
    --------
    >>> [round(learning_rate_factor("one_cycle", p), 2) for p in (0, 0.2, 0.6, 1)]
    [0.04, 1.0, 0.5, 0.0]
    """
    if schedule == "constant":
        return 1.0
    if schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * progress))
    if schedule == "one_cycle":
        if progress < WARMUP:
            return 0.04 + 0.96 * 0.5 * (1 - math.cos(math.pi * progress / WARMUP))
        return 0.5 * (1 + math.cos(math.pi * (progress - WARMUP) / (1 - WARMUP)))
    raise ValueError(f"Expected the schedule to be one of {SCHEDULES}, but got {schedule!r}.")


def rate_over(
    schedule: str | StepDecay, n_steps: int, *, start: int = 0, steps_per_epoch: int = 1
) -> Callable[[int], float]:
    """Return the factor on the learning rate as a function of the step, counted from 0.

    Parameters
    ----------
    schedule : {"constant", "cosine", "one_cycle"} or StepDecay
        A `StepDecay` changes between epochs, the others between steps.
    n_steps : int
        Over which the schedule runs; behind them the factor stays at its end, before them at its start.
    start : int, default=0
        The first of them.
    steps_per_epoch : int, default=1

    Examples
    --------
    >>> rate = rate_over("cosine", 4, start=2)
    >>> [round(rate(step), 2) for step in range(8)]
    [1.0, 1.0, 1.0, 0.85, 0.5, 0.15, 0.0, 0.0]
    """

    def factor(step: int) -> float:
        done = min(max(step - start, 0), n_steps)
        if isinstance(schedule, StepDecay):
            return schedule.at(done // steps_per_epoch, n_steps // steps_per_epoch)
        return learning_rate_factor(schedule, done / n_steps)

    return factor
