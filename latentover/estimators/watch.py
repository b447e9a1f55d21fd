"""Stopping early: parameters, rows that are set aside, their score; rows that are tracked; callbacks of a training."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import torch
from torch import Tensor, nn

from latentover.estimators.parameters import Interval, PositiveInt
from latentover.metrics import acsa
from latentover.training import Randomness, parallel
from latentover.training.callbacks import as_callbacks


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

    def _stops_early(self) -> bool:
        """Return whether rows are set aside and scored."""
        return self.early_stopping

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
    try:
        yield
    finally:
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


# ---- Callbacks -------------------------------------------------------------------------------------------------------


class Told:
    """Tells the callbacks of an estimator of its training, in the first of several processes alone.

    Parameters
    ----------
    estimator : BaseDeepEstimator
    generator : torch.Generator
        What the training draws from.
    """

    def __init__(self, estimator: Any, generator: torch.Generator) -> None:
        self.estimator, self.callbacks = estimator, as_callbacks(estimator.callbacks)
        self.device, self._randomness = generator.device, Randomness(generator)

    @contextmanager
    def of_a_fit(self, n_steps: int) -> Iterator[None]:
        """Tell that the training inside begins, and how it ends."""
        try:
            self._tell("on_fit_begin", n_steps)
            yield
            self._tell("on_fit_end")
        except BaseException as error:
            if parallel.rank() == 0:  # nothing is agreed upon: the others may be anywhere
                self._call("on_fit_error", error)
            raise

    def report(self, networks: nn.Module, row: dict[str, float]) -> bool:
        """Tell of a new row, the networks being in evaluation mode, and return whether the training is to stop."""
        if not self.callbacks:
            return False
        with _evaluating(networks):
            return self._tell("on_report", row)

    def _tell(self, hook: str, *arguments: Any) -> bool:
        """Return, in all processes, whether a callback said True; raise in all where one raised."""
        if not self.callbacks:
            return False
        error, verdict = None, 0
        if parallel.rank() == 0:
            try:
                verdict = int(self._call(hook, *arguments))
            except BaseException as caught:
                error, verdict = caught, -1
        verdict = parallel.of_the_first(verdict, self.device)
        if error is not None:
            raise error
        if verdict < 0:
            raise RuntimeError("A callback has ended the training in the first process, whose message says why.")
        return bool(verdict)

    def _call(self, hook: str, *arguments: Any) -> bool:
        """Call a hook of each callback that has it, without a trace in the randomness of the training."""
        before = self._randomness.state_dict()
        try:
            known = [getattr(callback, hook) for callback in self.callbacks if hasattr(callback, hook)]
            # Each gets a row of its own, for the history has the row too.
            copies = [[dict(a) if isinstance(a, dict) else a for a in arguments] for _ in known]
            answers = [call(self.estimator, *own) for call, own in zip(known, copies, strict=True)]
        finally:
            now = self._randomness.state_dict()
            if not all(torch.equal(before[name], now[name]) for name in before):
                self._randomness.load_state_dict(before)
        return any(isinstance(answer, bool | np.bool_) and answer for answer in answers)
