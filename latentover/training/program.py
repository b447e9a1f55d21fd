"""What a method's training is: its networks, its optimizers and the phases of a step.

A program says what is drawn, which losses follow from it and which parameters each loss moves; everything else is the
engine's (`latentover.training.engine`), the same for every method. So a program reads beside its paper, and what the
engine can do, every program can.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor, nn

from latentover.training.checkpoints import Stateful

Losses = Mapping[str, Tensor]
"""Scalars on the device, by the names that the history has for them."""
Objective = Mapping[str, float]
"""A weighted sum of losses: from their names to their weights."""
AnyCallable = TypeVar("AnyCallable", bound=Callable[..., Any])


class Stream(Protocol):
    """What a phase draws its batches from."""

    def advance(self) -> Hashable:
        """Let the host get ready for the next batch; batches of other shapes return other keys."""

    def state_dict(self) -> Any:
        """Return where the stream is."""

    def load_state_dict(self, state: Any) -> Any:
        """Go on from there."""


@dataclass(frozen=True, kw_only=True)
class Phase:
    """One kind of update within a training step.

    `draw`, `losses` and `after` may be recorded once and replayed many times: they read nothing back to the host, their
    shapes depend on nothing but what `streams` return from ``advance``, and what they change they change in place.

    Attributes
    ----------
    name : str
    draw : callable
        Returns what is random about an update, rows and numbers, on the device; no gradient is recorded in it.
    losses : callable
        From these draws to named scalars, a pure function of the networks and the draws. What it remembers of its
        passes for a later phase, as networks do running statistics, it lays where that phase finds it in each update.
    moves : mapping of str to Objective
        From the name of an optimizer to what its parameters are moved to lower. All gradients of an update belong to
        the same passes: they are taken before any parameter moves.
    streams : sequence of Stream
        Advanced before each update, on the host.
    every : int
        Runs in the steps that are divisible by it.
    repeat : int
        How often in a row.
    when : callable, optional
        Says of a step, counted from 0, whether the phase runs in it; instead of `every`.
    until : callable, optional
        Says of the losses of an update whether the phase is done for good. It reads them, so that such a phase is
        never recorded.
    after : callable, optional
        Takes the losses once the parameters have moved, for what follows from them without a gradient.
    full_precision : bool
        Whether the passes are made in float32 whatever the precision of the training.
    gradient_norm : bool
        Whether the norm of the gradient is reported too, as ``<name>_gradient``.
    reports : bool
        Whether the history has the losses.
    """

    name: str
    draw: Callable[[], Any]
    losses: Callable[[Any], Losses]
    moves: Mapping[str, Objective]
    streams: Sequence[Stream] = ()
    every: int = 1
    repeat: int = 1
    when: Callable[[int], bool] | None = None
    until: Callable[[Losses], bool] | None = None
    after: Callable[[Losses], None] | None = None
    full_precision: bool = False
    gradient_norm: bool = False
    reports: bool = True

    def runs_in(self, step: int) -> bool:
        """Return whether the phase runs in that step, counted from 0."""
        return step % self.every == 0 if self.when is None else self.when(step)


@dataclass(frozen=True, kw_only=True)
class Action:
    """Something that is done between updates, once and by the host, such as a look at all training samples.

    What phases read of its results stays where it is in memory.

    Attributes
    ----------
    name : str
    run : callable
    when : callable
        Says of a step, counted from 0, whether the action comes in it.
    """

    name: str
    run: Callable[[], None]
    when: Callable[[int], bool]

    def runs_in(self, step: int) -> bool:
        """Return whether the action comes in that step, counted from 0."""
        return self.when(step)


@dataclass(kw_only=True, eq=False)
class Program:
    """A method's training.

    A method with more than a phase or two derives from it and fills the fields in its constructor.

    Attributes
    ----------
    networks : nn.Module
        All that is trained, on its device.
    optimizers : dict of str to torch.optim.Optimizer
        By the names that `Phase.moves` has; each with its learning rate at the height of the schedule.
    phases : sequence of Phase or Action
        What a step consists of, in order.
    n_steps : int
    report_every : int, optional
        Steps between two rows of the history; by default a fiftieth of the training and at most 100.
    rates : dict of str to callable
        For optimizers whose learning rate changes: from a step, counted from 0, to the factor on it.
    ema : float in [0, 1)
        Decay of a moving average of `averaged`, used in their place after the training; 0 averages nothing. An average
        moves after each update of its network's parameters.
    averaged : sequence of str
        Children of `networks`.
    settles : sequence of str
        Children of `networks` whose training may end before that of the others: where nothing is gained any more they
        get their best weights and `settle` is called, and the training goes on. Empty: it ends then.
    state : dict of str to Stateful
        What changes while training besides networks, optimizers, averages and the streams of the phases.
    compile : bool
        Whether what `compiled` is given runs through `torch.compile`.
    """

    networks: nn.Module
    optimizers: dict[str, torch.optim.Optimizer]
    phases: Sequence[Phase | Action]
    n_steps: int
    report_every: int | None = None
    rates: dict[str, Callable[[int], float]] = field(default_factory=dict)
    ema: float = 0.0
    averaged: Sequence[str] = ()
    settles: Sequence[str] = ()
    state: dict[str, Stateful] = field(default_factory=dict)
    compile: bool = False

    def before_step(self, step: int) -> None:
        """Get ready for a step, on the host; also for the first one after an interruption."""

    def settle(self) -> None:
        """Train on without what has got its best weights."""

    def variant(self) -> Hashable:
        """Return what the host has decided that updates depend on besides the shapes of their batches.

        What was recorded under one variant is not replayed under another.
        """
        return None

    def report(self, row: dict[str, float]) -> None:
        """Add to a new row of the history."""

    def compiled(self, function: AnyCallable) -> AnyCallable:
        """Return a network, or a function of networks, as it is to be called."""
        return torch.compile(function) if self.compile else function  # type: ignore[return-value]
