"""When a training ends before its last step: nothing is gained any more, or something has gone wrong."""

import copy
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn


class TrainingDiverged(RuntimeError):  # noqa: N818
    """A loss became NaN or infinite, or the classifier predicts one class alone; the message names it."""


class EarlyStopping:
    """Keeps the weights that scored best and says when the score has not risen for long.

    Parameters
    ----------
    networks : nn.Module
        What is scored, restored to its best at the end.
    patience : int, optional
        Scores without a rise after which to stop; by default never.
    """

    def __init__(self, networks: nn.Module, patience: int | None = None) -> None:
        self.networks, self.patience = networks, math.inf if patience is None else patience
        self.best_score = -float("inf")
        self.best_weights: dict[str, Tensor] = {}
        self.waited, self.settled = 0, False

    def update(self, score: float) -> bool:
        """Take the score of the present weights and return whether to stop."""
        if self.settled:
            return False
        if score > self.best_score:
            self.best_score, self.waited = score, 0
            self.best_weights = copy.deepcopy(self.networks.state_dict())
        else:
            self.waited += 1
        return self.waited >= self.patience

    def restore(self) -> None:
        """Give the networks the weights that scored best, unless some of them have learned on."""
        if self.best_weights and not self.settled:
            self.networks.load_state_dict(self.best_weights)

    def settle(self, parts: Sequence[str], *others: nn.Module) -> None:
        """Give some children of the networks, here and in others, the weights that scored best, and score no more."""
        self.settled = True
        best = {name: tensor for name, tensor in self.best_weights.items() if name.split(".")[0] in parts}
        for networks in (self.networks, *others):
            networks.load_state_dict(best, strict=False)

    def state_dict(self) -> dict[str, Any]:
        """Return the best weights, their score and how long ago they were."""
        return {
            "score": self.best_score,
            "weights": self.best_weights,
            "waited": self.waited,
            "settled": self.settled,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self.best_score, self.best_weights, self.waited = state["score"], state["weights"], state["waited"]
        self.settled = state["settled"]


class ConstantPrediction:
    """Raises once a classifier has put every sample of every batch into one class for long.

    Parameters
    ----------
    reports : int, default=10
        In that many reports in a row.
    steps : int, default=200
        And for at least that many steps.
    """

    def __init__(self, reports: int = 10, steps: int = 200) -> None:
        self.reports, self.steps = reports, steps
        self.count, self.first_step = 0, 0

    def update(self, step: int, predicted_classes: float) -> None:
        """Take the mean number of different classes that were predicted in a batch since the report before.

        Raises
        ------
        TrainingDiverged
        """
        if predicted_classes > 1:
            self.count = 0
            return
        self.first_step = step if self.count == 0 else self.first_step
        self.count += 1
        if self.count >= self.reports and step - self.first_step >= self.steps:
            raise TrainingDiverged(
                f"The classifier has put every sample into one class since step {self.first_step}: its loss does not "
                "fall any more. Lower the learning rate, or look for labels that have nothing to do with the data."
            )

    def state_dict(self) -> dict[str, Any]:
        """Return since when."""
        return {"count": self.count, "first_step": self.first_step}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self.count, self.first_step = state["count"], state["first_step"]


class CollapseWarning(UserWarning):
    """What is generated for a class has far less variety than the class."""


COLLAPSED = 0.3
"""Diversity ratio below which a generator is said to have collapsed."""


def diversity_ratio(real: Tensor, generated: Tensor) -> float:
    """Return the mean distance between two generated samples over that between two real ones.

    Parameters
    ----------
    real, generated : Tensor of shape (n, ...)
        At least two samples each; near 1 is as it should be, 0 is a single sample again and again.

    Returns
    -------
    float
        NaN where the real samples are all the same.
    """
    spread = [torch.pdist(x.flatten(1).float()).mean().item() for x in (generated, real)]
    return spread[0] / spread[1] if spread[1] > 0 else float("nan")
