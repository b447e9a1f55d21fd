"""Learning-rate schedules, as a factor on the learning rate; schedules are data, not arithmetic in a loop."""

import math
from typing import Literal, get_args

Schedule = Literal["constant", "cosine", "one_cycle"]
SCHEDULES: tuple[str, ...] = get_args(Schedule)
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
