"""The training loop: steps made of named phases, losses read once per report, progress on stderr, checkpoints."""

import math
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from latentover.training import parallel
from latentover.training.checkpoints import Checkpoint, Stateful
from latentover.training.memory import memory_kept

History = list[dict[str, float]]
LINES = 10
"""Lines of progress that a training writes where there is no terminal for a bar."""


class TrainingDiverged(RuntimeError):  # noqa: N818
    """A loss became NaN or infinite, or the classifier predicts one class alone; the message names it."""


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
    when : callable, optional
        Says of a step, counted from 0, whether the phase runs in it; instead of `every`.
    """

    name: str
    update: Callable[[], Mapping[str, Tensor]]
    every: int = 1
    repeat: int = 1
    when: Callable[[int], bool] | None = None

    def runs_in(self, step: int) -> bool:
        """Return whether the phase runs in that step, counted from 0."""
        return step % self.every == 0 if self.when is None else self.when(step)


def apply_gradients(
    optimizers: Sequence[torch.optim.Optimizer], parameters: Sequence[nn.Parameter], gradients: Sequence[Tensor | None]
) -> list[Tensor]:
    """Step the optimizers along the gradients, averaged over all processes, and return those that there are.

    The parameters are those of the optimizers; where a gradient is None the parameter stays.
    """
    present = [gradient for gradient in gradients if gradient is not None]
    parallel.average(present)
    for parameter, gradient in zip(parameters, gradients, strict=True):
        # Fused optimizers read both as they lie in memory, and a double backward may return other strides.
        if gradient is not None and gradient.stride() != parameter.stride():
            gradient = torch.empty_like(parameter).copy_(gradient)
        parameter.grad = gradient
    for optimizer in optimizers:
        optimizer.step()
    for parameter in parameters:
        parameter.grad = None
    return present


def optimizer_step(optimizer: torch.optim.Optimizer, loss: Tensor, parameters: Iterable[nn.Parameter]) -> list[Tensor]:
    """Update `parameters`, those of `optimizer`, along the gradient of `loss`, and touch nobody else's gradients.

    Returns
    -------
    list of Tensor
        The gradients of the parameters that the loss depends on, averaged over all processes.
    """
    parameters = list(parameters)
    return apply_gradients([optimizer], parameters, torch.autograd.grad(loss, parameters, allow_unused=True))


def gradient_norm(gradients: list[Tensor]) -> Tensor:
    """Return the norm of the vector that all these gradients make."""
    return torch.stack([norm.float() for norm in torch._foreach_norm(gradients)]).norm()


def train(
    phases: Sequence[Phase],
    n_steps: int,
    *,
    report_every: int = 100,
    on_step: Callable[[float], None] | None = None,
    on_report: Callable[[dict[str, float]], bool] | None = None,
    parts: Mapping[str, Stateful] | None = None,
    checkpoint: Checkpoint | None = None,
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
    on_report : callable, optional
        Called with each new row of the history, which it may add to; training ends where it returns True.
    parts : mapping of str to Stateful, optional
        All that changes while training: networks, optimizers, batches, randomness. With a checkpoint they are stored.
    checkpoint : Checkpoint, optional
        Training goes on from it where it is there; it is written every ``checkpoint.every`` steps, and removed at the
        end.
    verbose : {0, 1}
        0 prints nothing; 1 shows a progress bar on stderr, or `LINES` lines where that is no terminal.
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
    parts = parts or {}
    loop = (checkpoint and checkpoint.read(parts)) or {
        "step": 0,
        "seconds": 0.0,
        "history": [],
        "sums": {},
        "counts": {},
    }
    history: History = loop["history"]
    sums: dict[str, Tensor] = loop["sums"]
    counts: dict[str, int] = loop["counts"]
    start = time.perf_counter() - loop["seconds"]
    speak = bool(verbose) and parallel.rank() == 0
    bar_hidden = None if speak else True  # None: no bar where stderr is not a terminal
    lines_every = max(report_every, math.ceil(n_steps / LINES))
    progress = tqdm(
        total=n_steps,
        initial=loop["step"],
        desc=description,
        disable=bar_hidden,
        file=sys.stderr,
        leave=False,
        dynamic_ncols=True,
    )
    with progress as bar, memory_kept():
        for step in range(loop["step"], n_steps):
            if on_step is not None:
                on_step(step / n_steps)
            for phase in phases:
                for _ in range(phase.repeat if phase.runs_in(step) else 0):
                    for name, value in phase.update().items():
                        value = value.detach().float()
                        sums[name] = sums[name].to(value.device) + value if name in sums else value
                        counts[name] = counts.get(name, 0) + 1
            done, stop = step + 1, False
            if done % report_every == 0 or done == n_steps:
                row = _row(done, time.perf_counter() - start, sums, counts)
                sums, counts = {}, {}
                stop = on_report is not None and on_report(row)
                history.append(row)
                bar.set_postfix({k: f"{v:.3g}" for k, v in row.items() if k not in ("step", "seconds")}, refresh=False)
                if speak and bar.disable and (done % lines_every < report_every or done == n_steps or stop):
                    print(_line(description, row, n_steps), file=sys.stderr, flush=True)  # noqa: T201
            bar.update()
            if stop:
                break
            if checkpoint is not None and done % checkpoint.every == 0 and done < n_steps and parallel.rank() == 0:
                seconds = time.perf_counter() - start
                loop = {"step": done, "seconds": seconds, "history": history, "sums": sums, "counts": counts}
                checkpoint.write(loop, parts)
    if checkpoint is not None and parallel.rank() == 0:
        checkpoint.remove()
    return history


def _row(step: int, seconds: float, sums: Mapping[str, Tensor], counts: Mapping[str, int]) -> dict[str, float]:
    """Return a row of the history: means over all updates and all processes."""
    means = {name: total / counts[name] for name, total in sums.items()}
    parallel.average(list(means.values()))
    row = {name: mean.item() for name, mean in means.items()}
    _check_finite(row, step)
    return {"step": step, "seconds": seconds, **row}


def _line(description: str, row: Mapping[str, Any], n_steps: int) -> str:
    step, seconds = int(row["step"]), row["seconds"]
    losses = ", ".join(f"{name} {value:.3g}" for name, value in row.items() if name not in ("step", "seconds"))
    left = seconds / step * (n_steps - step)
    return f"{description}: {step}/{n_steps} steps in {seconds:.0f} s, {left:.0f} s left, {losses}"


def _check_finite(row: Mapping[str, float], step: int) -> None:
    for name, value in row.items():
        if not math.isfinite(value):
            raise TrainingDiverged(
                f"The {name} loss became {value} before step {step}. Lower the learning rate, train in "
                "precision='float32', or look for extreme values in the data."
            )
