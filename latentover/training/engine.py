"""The engine under every training: it makes the updates that a program declares, and all that comes with them.

Gradients and their mean over processes, optimizer steps, learning rates, moving averages, precision, recording and
replaying on a GPU, history and progress, checkpoints, early stopping, and the watch over losses and predictions.
"""

import math
import sys
import time
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Literal

import torch
from torch import Tensor, nn

from latentover.training import capture as capturing
from latentover.training import parallel
from latentover.training.averaging import WeightAverage, with_children
from latentover.training.checkpoints import Checkpoint, Stateful, is_keeping
from latentover.training.device import autocast
from latentover.training.memory import memory_kept
from latentover.training.optimizers import LearningRates
from latentover.training.program import Losses, Objective, Phase, Program, Stream
from latentover.training.progress import VALIDATION, progress_bar, score_text, tell
from latentover.training.randomness import Randomness
from latentover.training.stopping import ConstantPrediction, EarlyStopping, TrainingDiverged
from latentover.training.turns import give_turn

History = list[dict[str, float]]
Capture = bool | Literal["auto"]
Gradients = dict[str, list[Tensor | None]]
"""For each optimizer the gradient of each of its parameters; None where the objective does not depend on it."""
LINES = 10
"""Lines of progress that a training writes where there is no terminal for a bar."""


class Engine:
    """Runs a program.

    Parameters
    ----------
    program : Program
    generator : torch.Generator
        What the program draws from, on the device of its networks.
    dtype : torch.dtype, default=torch.float32
        Of the passes.
    capture : {"auto", True, False}, default="auto"
        Whether updates are recorded as CUDA graphs and replayed. ``"auto"`` does so on CUDA and says where an update
        cannot be; with True that is an error.
    score : callable, optional
        Maps the networks, as they would be used if the training stopped now, to what is to be high. With it each row of
        the history has a ``validation_acsa``, and the networks end at the weights that scored best.
    patience : int, optional
        Rows without a better score after which the training stops; by default it runs to its end, and the networks
        keep their last weights.
    observe : callable, optional
        Called at every report with the networks, as `score` gets them, and the new row of the history. It only looks;
        where it returns True the training stops, and an exception that it raises ends it.
    checkpoint : Checkpoint, optional
        The training goes on from it where it is there; it is written every ``checkpoint.every`` steps, and at
        the end it is removed, or left complete where `checkpoints.keeping` says so.
    verbose : {0, 1, 2}
        0 prints nothing; 1 shows a progress bar on stderr with the score that matters, or `LINES` lines where that is
        neither a terminal nor a notebook; 2 says all losses.
    description : str
        Stands before the bar.

    Attributes
    ----------
    trained : nn.Module
        The networks as they are to be used: with their moving averages, where there are any.
    best_weights : dict of str to Tensor
        Of `trained`, at the best score so far; empty without `score`.
    history : list of dict
        One row a report: ``step``, ``seconds`` since the start, and each loss averaged since the row before.

    Raises
    ------
    ValueError
        If updates cannot be recorded although `capture` is True.
    """

    def __init__(
        self,
        program: Program,
        generator: torch.Generator,
        *,
        dtype: torch.dtype = torch.float32,
        capture: Capture = "auto",
        score: Callable[[nn.Module], float] | None = None,
        patience: int | None = None,
        observe: Callable[[nn.Module, dict[str, float]], bool] | None = None,
        checkpoint: Checkpoint | None = None,
        verbose: int = 0,
        description: str = "fit",
    ) -> None:
        self.program, self.generator, self.dtype = program, generator, dtype
        self.checkpoint, self.verbose, self.description = checkpoint, verbose, description
        self.recordings = Recordings.of(capture, generator)
        self.averages = {
            name: WeightAverage(program.networks.get_submodule(name), program.ema)
            for name in (program.averaged if program.ema > 0 else ())
        }
        averaged = {name: average.module for name, average in self.averages.items()}
        self.trained = with_children(program.networks, averaged)
        self.rates = LearningRates(program.optimizers, program.rates, as_tensors=self.recordings is not None)
        self._parameters = {name: list(parameters_of(each)) for name, each in program.optimizers.items()}
        self._moved_by = {name: self._optimizers_of(name) for name in self.averages}
        self._reported: dict[int, tuple[str, ...]] = {}
        self._score, self._patience, self._observe = score, patience, observe
        self._stopping, self._constant = EarlyStopping(self.trained, patience), ConstantPrediction()
        self.history: History = []
        self._step, self._seconds = 0, 0.0
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}

    @property
    def best_weights(self) -> dict[str, Tensor]:
        """See the class."""
        return self._stopping.best_weights

    # -- Updates --

    def update(self, phase: Phase) -> Losses | None:
        """Make an update of a phase; None, in place of its losses, where it was replayed."""
        kind = tuple([stream.advance() for stream in phase.streams])
        losses = None
        if self.recordings is None or phase.until is not None:
            losses = self._make(phase)
        else:
            losses = self.recordings.make(phase, (self.program.variant(), kind), lambda: self._make(phase))
        for name in self._reported[id(phase)]:
            self._counts[name] = self._counts.get(name, 0) + 1
        return losses

    def draw(self, phase: Phase) -> Any:
        """Return what a phase draws for an update, its streams having been advanced."""
        with torch.no_grad(), self._precision(phase):
            return phase.draw()

    def gradients(self, phase: Phase, draws: Any) -> tuple[Losses, Gradients]:
        """Return the losses of a phase for what was drawn, and the gradients along which its optimizers would step."""
        with self._precision(phase):
            losses = phase.losses(draws)
        names_of: dict[tuple[tuple[str, float], ...], list[str]] = {}
        for name, objective in phase.moves.items():
            names_of.setdefault(tuple(objective.items()), []).append(name)
        found: Gradients = {}
        for number, (terms, names) in enumerate(names_of.items(), start=1):
            parameters = [parameter for name in names for parameter in self._parameters[name]]
            gradients = iter(
                torch.autograd.grad(
                    weighted_sum(losses, dict(terms)),
                    parameters,
                    retain_graph=number < len(names_of),
                    allow_unused=True,
                )
            )
            found |= {name: [next(gradients) for _ in self._parameters[name]] for name in names}
        return losses, found

    def _make(self, phase: Phase) -> Losses:
        """Make an update and add its losses to those of the next report."""
        losses, gradients = self.gradients(phase, self.draw(phase))
        present = [gradient for each in gradients.values() for gradient in each if gradient is not None]
        parallel.average(present)
        for name, each in gradients.items():
            apply_gradients(self.program.optimizers[name], self._parameters[name], each)
        losses = {name: value.detach() for name, value in losses.items()}
        if phase.gradient_norm:
            losses[f"{phase.name}_gradient"] = gradient_norm(present)
        for name, average in self.averages.items():
            if not self._moved_by[name].isdisjoint(phase.moves):
                average.update()
        with torch.no_grad():
            if phase.after is not None:
                phase.after(losses)
            reported = losses if phase.reports else {}
            for name, value in reported.items():
                if name not in self._sums:
                    self._sums[name] = torch.zeros((), device=value.device)
                self._sums[name].add_(value)
        self._reported[id(phase)] = tuple(reported)
        return losses

    def _optimizers_of(self, network: str) -> set[str]:
        """Return the names of the optimizers that have parameters of a network."""
        own = {id(parameter) for parameter in self.program.networks.get_submodule(network).parameters()}
        return {name for name, each in self._parameters.items() if any(id(parameter) in own for parameter in each)}

    def _precision(self, phase: Phase) -> AbstractContextManager[object]:
        return autocast(self.generator.device, torch.float32 if phase.full_precision else self.dtype)

    # -- The training --

    def run(self) -> History:
        """Train from the start, or from where the checkpoint is, to the end, and return the history.

        Raises
        ------
        TrainingDiverged
            If a loss is NaN or infinite at a report, or a classifier predicts one class alone for long.
        ValueError
            If the checkpoint is damaged or belongs to another training.
        RuntimeError
            With ``capture=True``, if an update cannot be recorded.
        """
        if not self._resume():
            self._train()
        if self._patience is not None:
            self._stopping.restore()
        if self.checkpoint is not None and parallel.rank() == 0 and not is_keeping():
            self.checkpoint.remove()
        return self.history

    def _train(self) -> None:
        """Make the steps that are left."""
        n_steps = self.program.n_steps
        report_every = self.program.report_every or max(1, min(100, n_steps // 50))
        start = time.perf_counter() - self._seconds
        with self._progress() as bar, memory_kept(), self._place():
            for step in range(self._step, n_steps):
                self.run_step(step)
                self._step, stop = step + 1, False
                if self._step % report_every == 0 or self._step == n_steps:
                    stop = self._report(time.perf_counter() - start, bar, report_every)
                bar.update()
                if stop:
                    break
                if self.checkpoint is not None and self._step % self.checkpoint.every == 0 and self._step < n_steps:
                    self._seconds = time.perf_counter() - start
                    self._keep()
                give_turn()
        if self.checkpoint is not None and is_keeping():
            self._seconds = time.perf_counter() - start
            parallel.average_buffers(self.trained)  # one process writes what is to be that of all
            self._keep(complete=True)

    def run_step(self, step: int) -> None:
        """Make the updates of a step, counted from 0."""
        self.rates.set(step)
        self.program.before_step(step)
        for phase in self.program.phases:
            if not phase.runs_in(step):
                continue
            if not isinstance(phase, Phase):
                phase.run()
                continue
            for _ in range(phase.repeat):
                losses = self.update(phase)
                if phase.until is not None and losses is not None and phase.until(losses):
                    break

    @contextmanager
    def _place(self) -> Iterator[None]:
        """Compute in a stream of its own where updates are recorded: the usual one cannot be."""
        if self.recordings is None:
            yield
            return
        with self.recordings.place():
            yield

    def _report(self, seconds: float, bar: Any, report_every: int) -> bool:
        """Add a row to the history and return whether to stop."""
        row = {"step": self._step, "seconds": seconds, **self.means()}
        shown = {name: value for name, value in row.items() if name not in ("step", "seconds")}
        if "predicted_classes" in row:
            self._constant.update(self._step, row["predicted_classes"])
        stop = False
        if self._score is not None:
            parallel.average_buffers(self.trained)
            row[VALIDATION] = shown[VALIDATION] = self._score(self.trained)
            stop = self._stopping.update(row[VALIDATION])
            if stop and self.program.settles:
                self._stopping.settle(self.program.settles, self.program.networks)
                self.program.settle()
                stop = False
        self.program.report(row)
        self.history.append(row)
        said = score_text(shown, self._stopping.best_score)
        tell(self.description, self._step, self.program.n_steps, said)
        if self._observe is not None:
            stop = self._observe(self.trained, row) or stop
        if self.verbose > 1:
            said = score_text(shown, self._stopping.best_score, everything=True)
        bar.set_postfix_str(said, refresh=False)
        n_steps = self.program.n_steps
        lines_every = max(report_every, math.ceil(n_steps / LINES))
        last = self._step == n_steps or stop
        if self._speaks and bar.disable and (self._step % lines_every < report_every or last):
            print(_line(self.description, self._step, n_steps, seconds, said), file=sys.stderr, flush=True)  # noqa: T201
        return stop

    def means(self) -> dict[str, float]:
        """Return each loss, averaged over all updates since the last report and all processes; begin to add anew."""
        means = {name: self._sums[name] / count for name, count in self._counts.items()}
        parallel.average(list(means.values()))
        row = {name: mean.item() for name, mean in means.items()}
        for name, value in row.items():
            self._sums[name].zero_()
            if not math.isfinite(value):
                raise TrainingDiverged(
                    f"The {name} loss became {value} before step {self._step}. Lower the learning rate, train in "
                    "precision='float32', or look for extreme values in the data."
                )
        self._counts = {}
        return row

    @property
    def _speaks(self) -> bool:
        return bool(self.verbose) and parallel.rank() == 0

    def _progress(self) -> Any:
        return progress_bar(self.program.n_steps, self.description, initial=self._step, shown=self._speaks)

    # -- Checkpoints --

    def _parts(self) -> dict[str, Stateful]:
        """Return all that changes while training."""
        streams: dict[int, Stream] = {}
        for phase in self.program.phases:
            streams |= {id(stream): stream for stream in getattr(phase, "streams", ())}
        return {
            "networks": self.program.networks,
            **{f"optimizer_{name}": optimizer for name, optimizer in self.program.optimizers.items()},
            **{f"average_{name}": average for name, average in self.averages.items()},
            **{f"stream_{number}": stream for number, stream in enumerate(streams.values())},
            **self.program.state,
            "stopping": self._stopping,
            "constant": self._constant,
            "randomness": Randomness(self.generator),
        }

    def _resume(self) -> bool:
        """Go on from the checkpoint, if there is one, and return whether the training is complete."""
        state = self.checkpoint.read(self._parts()) if self.checkpoint is not None else None
        if self.checkpoint is not None:
            parallel.wait_for_all()  # before anybody goes on to write or remove what another has not read yet
        if state is None:
            return False
        self._step, self._seconds, self.history = state["step"], state["seconds"], state["history"]
        self._sums = {name: value.to(self.generator.device) for name, value in state["sums"].items()}
        self._counts = state["counts"]
        if self._stopping.settled:
            self.program.settle()
        self.rates.install()
        return state["complete"]

    def _keep(self, *, complete: bool = False) -> None:
        if self.checkpoint is None or parallel.rank() > 0:
            return
        loop = {"step": self._step, "seconds": self._seconds, "history": self.history, "complete": complete}
        self.checkpoint.write({**loop, "sums": self._sums, "counts": self._counts}, self._parts())


# ---- Recording ---------------------------------------------------------------------------------------------------


class Recordings:
    """The updates of a training that were recorded, and those that are to be.

    Parameters
    ----------
    recorder : Recorder
    generator : torch.Generator
        What updates draw from.
    demanded : bool
        Whether an update that cannot be recorded is an error.
    """

    def __init__(self, recorder: capturing.Recorder, generator: torch.Generator, *, demanded: bool) -> None:
        self.recorder, self.generator, self.demanded = recorder, generator, demanded
        self._replays: dict[tuple[int, Hashable], Callable[[], None]] = {}
        self._seen: dict[tuple[int, Hashable], int] = {}
        self._never: set[int] = set()

    @classmethod
    def of(cls, capture: Capture, generator: torch.Generator) -> "Recordings | None":
        """Return them, or None where nothing is to be recorded.

        Raises
        ------
        ValueError
            If recording was demanded and is not possible.
        """
        recorder = capturing.recorder_for(generator.device) if capture is not False else None
        if recorder is not None and parallel.n_processes() == 1:
            return cls(recorder, generator, demanded=capture is True)
        if capture is True:
            raise ValueError(
                "Expected capture to be 'auto' or False where updates cannot be recorded, which needs CUDA and one "
                f"process, but got True on {generator.device} with {parallel.n_processes()} process(es)."
            )
        return None

    def place(self) -> AbstractContextManager[object]:
        """Return a context in which updates can be recorded."""
        return self.recorder.place()

    def make(self, phase: Phase, kind: Hashable, update: Callable[[], Losses]) -> Losses | None:
        """Make an update of that kind: one kernel at a time by `update`, or replayed, and then there are no losses."""
        key = (id(phase), kind)
        if key in self._replays:
            self._replays[key]()
            return None
        seen = self._seen[key] = self._seen.get(key, 0) + 1
        recorded = sum(known == id(phase) for known, _ in self._replays)
        with capturing.recordable():
            if seen <= capturing.EAGER_UPDATES or recorded >= capturing.MAX_RECORDINGS or id(phase) in self._never:
                return update()
            try:
                self._replays[key] = self.recorder.record(update, [self.generator])
            except RuntimeError as error:
                if self.demanded:
                    raise capturing.CaptureError(
                        f"Expected updates that can be recorded, with capture=True, but the {phase.name} update "
                        f"cannot: {str(error).removesuffix('.')}; pass capture='auto' to make it one kernel at a time."
                    ) from error
                capturing.warn_not_captured(phase.name, error)
                self._never.add(id(phase))
                return update()
        return None


# ---- Gradients -------------------------------------------------------------------------------------------------------


def parameters_of(optimizer: torch.optim.Optimizer) -> Iterable[nn.Parameter]:
    """Return the parameters that an optimizer moves."""
    return (parameter for group in optimizer.param_groups for parameter in group["params"])


def apply_gradients(
    optimizer: torch.optim.Optimizer, parameters: Iterable[nn.Parameter], gradients: Iterable[Tensor | None]
) -> None:
    """Step an optimizer along the gradients of its parameters; where one is None the parameter stays.

    Nobody else's gradients are touched, and none is left behind.
    """
    parameters = list(parameters)
    for parameter, gradient in zip(parameters, gradients, strict=True):
        # Fused optimizers read both as they lie in memory, and a double backward may return other strides.
        if gradient is not None and gradient.stride() != parameter.stride():
            gradient = torch.empty_like(parameter).copy_(gradient)
        parameter.grad = gradient
    optimizer.step()
    for parameter in parameters:
        parameter.grad = None


def gradient_norm(gradients: Iterable[Tensor]) -> Tensor:
    """Return the norm of the vector that all these gradients make."""
    return torch.stack([norm.float() for norm in torch._foreach_norm(list(gradients))]).norm()


def weighted_sum(losses: Losses, objective: Objective) -> Tensor:
    """Return the weighted sum of losses that an objective is."""
    terms = [losses[name] if weight == 1 else weight * losses[name] for name, weight in objective.items()]
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


def _line(description: str, step: int, n_steps: int, seconds: float, said: str) -> str:
    left = seconds / step * (n_steps - step)
    return f"{description}: {step}/{n_steps} steps in {seconds:.0f} s, {left:.0f} s left{said and ', '}{said}"
