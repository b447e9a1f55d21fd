"""Stopping early: parameters, rows that are set aside, their score; rows that are tracked; observers of a training."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Annotated, Any

import torch
from torch import Tensor, nn

from latentover.estimators.parameters import Interval, PositiveInt
from latentover.metrics import acsa


@dataclass(kw_only=True, eq=False, repr=False)
class StoppableTraining:
    """Parameters of estimators that can stop early.

    Parameters
    ----------
    early_stopping : bool, default=False
        Whether part of the training data is set aside, scored by ACSA at every report, and training stops when the
        score has not risen for long; the weights that scored best are used.
    validation_fraction : float in (0, 1), default=0.1
        The part of every class that is set aside, rounded up; a class with fewer than 4 samples gives none.
    n_iter_no_change : int, default=10
        Reports without a rise after which training stops; a fit has about 50.
    """

    early_stopping: bool = False
    validation_fraction: Annotated[float, Interval(0, 1, closed="neither")] = 0.1
    n_iter_no_change: PositiveInt = 10

    def _patience(self) -> int | None:
        """Return after how many reports without a rise training stops and takes the best weights; None for never."""
        return self.n_iter_no_change


def validation_rows(labels: Tensor, fraction: float, generator: torch.Generator) -> Tensor:
    """Return the rows that are set aside, sorted: of each class the `fraction`, rounded up, or none of a tiny one."""
    rows = []
    for label in range(int(labels.max()) + 1):
        members = (labels == label).nonzero().squeeze(1)
        if len(members) >= 4:
            order = torch.randperm(len(members), generator=generator, device=labels.device)
            rows.append(members[order[: min(math.ceil(fraction * len(members)), len(members) - 2)]])
    if not rows:
        raise ValueError(
            "Expected a class of at least 4 samples to set some aside for validation, but there is none; pass "
            "early_stopping=False."
        )
    return torch.cat(rows).sort().values


@torch.no_grad()
def validation_acsa(
    networks: nn.Module, logits: Callable[[Tensor], Tensor], batches: Iterator[tuple[Tensor, Tensor]]
) -> float:
    """Return the average class-specific accuracy of networks in evaluation mode, which they are in inside alone.

    Parameters
    ----------
    networks : nn.Module
    logits : callable
        Of these networks, from inputs (B, ...) to logits (B, C).
    batches : iterator of (inputs, labels)
    """
    predicted, labels = [], []
    with _evaluating(networks):
        for inputs, truth in batches:
            predicted.append(logits(inputs).argmax(dim=1))
            labels.append(truth)
    return float(acsa(torch.cat(labels).cpu().numpy(), torch.cat(predicted).cpu().numpy()))


@contextmanager
def _evaluating(networks: nn.Module) -> Iterator[None]:
    """Have networks in evaluation mode, and each of their modules in its own again afterwards."""
    modes = {module: module.training for module in networks.modules()}
    networks.eval()
    yield
    for module, mode in modes.items():
        module.training = mode


def spread_rows(labels: Tensor, n: int) -> Tensor:
    """Return about n rows of labels (N,), sorted: as many of every class as fit in, evenly spaced; at least two each.

    Examples
    --------
    >>> import torch
    >>> spread_rows(torch.tensor([0, 0, 0, 0, 0, 1, 1, 1]), 4)
    tensor([0, 2, 5, 6])
    """
    classes = labels.unique()
    size = max(2, n // len(classes))
    rows = []
    for label in classes:
        members = (labels == label).nonzero().squeeze(1)
        if len(members) > size:
            members = members[torch.arange(size, device=labels.device) * len(members) // size]
        rows.append(members)
    return torch.cat(rows).sort().values


# ---- Observers -------------------------------------------------------------------------------------------------------

_observed: ContextVar[tuple[object, Callable[[int, int], None]] | None] = ContextVar("observed", default=None)


@contextmanager
def observing(estimator: object, observer: Callable[[int, int], None]) -> Iterator[None]:
    """Let somebody look at an estimator at every report of its training, if that is inside.

    Parameters
    ----------
    estimator : estimator
        This object alone: not those that are trained within it or before it. One without a training of networks, or
        whose predictions need more than these, is never looked at.
    observer : callable
        Gets the steps made and those of the whole training. Meanwhile the estimator predicts with the weights that it
        has, and that changes nothing about its training; an exception ends that.
    """
    token = _observed.set((estimator, observer))
    try:
        yield
    finally:
        _observed.reset(token)


def observer_of(estimator: object) -> dict[str, Any]:
    """Return what the engine is told of the observer of an estimator; empty where there is none."""
    observed = _observed.get()
    if observed is None or observed[0] is not estimator:
        return {}
    look = observed[1]

    def observe(networks: nn.Module, step: int, n_steps: int) -> None:
        with _evaluating(networks):
            look(step, n_steps)

    return {"observe": observe}
