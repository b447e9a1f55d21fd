"""The training loop: steps made of named phases, losses read once per report, progress on stderr."""

import math
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

History = list[dict[str, float]]


class TrainingDiverged(RuntimeError):  # noqa: N818
    """A loss became NaN or infinite; the message names it."""


@dataclass(frozen=True)
class Phase:
    """One kind of update within a training step.

    Attributes
    ----------
    name : str
    update : callable
        Draws its own batch, updates its parameters once and returns its losses as scalars on the device.
    every : int
        Runs in the steps that are divisible by it.
    repeat : int
        How often in a row.
    """

    name: str
    update: Callable[[], Mapping[str, Tensor]]
    every: int = 1
    repeat: int = 1


def optimizer_step(
    optimizer: torch.optim.Optimizer, loss: Tensor, parameters: Iterable[nn.Parameter], *, retain_graph: bool = False
) -> None:
    """Update `parameters`, those of `optimizer`, along the gradient of `loss`, and touch nobody else's gradients."""
    parameters = list(parameters)
    gradients = torch.autograd.grad(loss, parameters, retain_graph=retain_graph, allow_unused=True)
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient
    optimizer.step()
    for parameter in parameters:
        parameter.grad = None


def train(
    phases: Sequence[Phase],
    n_steps: int,
    *,
    report_every: int = 100,
    on_step: Callable[[float], None] | None = None,
    verbose: int = 0,
    description: str = "fit",
) -> History:
    """Run `n_steps` steps of `phases` in their order and return the history.

    Parameters
    ----------
    phases : sequence of Phase
    n_steps : int
    report_every : int
        Steps between two rows of the history; the only moments at which losses are read from the device.
    on_step : callable, optional
        Called before each step with the fraction of steps done, in [0, 1): learning-rate schedules live there.
    verbose : {0, 1}
        0 prints nothing; 1 shows a progress bar on stderr.
    description : str
        Stands before the bar.

    Returns
    -------
    list of dict
        One row a report: ``step``, ``seconds`` since the start, and each loss averaged since the row before.

    Raises
    ------
    TrainingDiverged
        If a loss is NaN or infinite at a report.
    """
    history: History = []
    sums: dict[str, Tensor] = {}
    counts: dict[str, int] = {}
    start = time.perf_counter()
    disable = None if verbose else True  # None: no bar where stderr is not a terminal
    with tqdm(
        total=n_steps, desc=description, disable=disable, file=sys.stderr, leave=False, dynamic_ncols=True
    ) as bar:
        for step in range(n_steps):
            if on_step is not None:
                on_step(step / n_steps)
            for phase in phases:
                if step % phase.every:
                    continue
                for _ in range(phase.repeat):
                    for name, value in phase.update().items():
                        sums[name] = sums[name] + value.detach() if name in sums else value.detach()
                        counts[name] = counts.get(name, 0) + 1
            if (step + 1) % report_every == 0 or step + 1 == n_steps:
                row = {name: sums[name].item() / counts[name] for name in sums}
                _check_finite(row, step + 1)
                history.append({"step": step + 1, "seconds": time.perf_counter() - start, **row})
                sums, counts = {}, {}
                bar.set_postfix({name: f"{value:.3g}" for name, value in row.items()}, refresh=False)
            bar.update()
    return history


def _check_finite(row: Mapping[str, float], step: int) -> None:
    for name, value in row.items():
        if not math.isfinite(value):
            raise TrainingDiverged(
                f"The {name} loss became {value} before step {step}. Lower the learning rate, train in "
                "precision='float32', or look for extreme values in the data."
            )
