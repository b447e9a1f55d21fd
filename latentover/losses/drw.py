"""Deferred re-weighting: learn features from the data as they are, then weight the classes.

Cao et al., "Learning Imbalanced Datasets with Label-Distribution-Aware Margin Loss", NeurIPS 2019.
"""

from dataclasses import dataclass
from numbers import Real
from typing import Any

import torch
from torch import Tensor

from latentover.losses.imbalance import class_balanced_weights
from latentover.losses.targets import as_class_values


@dataclass(frozen=True)
class DRW:
    """Class weights as a function of the training's progress: none at first, then those of effective numbers.

    Parameters
    ----------
    start : float, default=0.8
        Fraction of the training after which classes are weighted; 160 of 200 epochs in the paper's schedule.
    beta : float, default=0.9999
        See `class_balanced_weights`.

    References
    ----------
    Cao et al., NeurIPS 2019, Algorithm 1.

    Examples
    --------
    >>> import torch
    >>> schedule, counts = DRW(), torch.tensor([5000, 500, 50])
    >>> schedule.weights(counts, epoch=159, n_epochs=200)
    tensor([1., 1., 1.])
    >>> schedule.weights(counts, epoch=160, n_epochs=200)
    tensor([0.0341, 0.2752, 2.6907])
    """

    start: float = 0.8
    beta: float = 0.9999

    def __post_init__(self) -> None:
        if not isinstance(self.start, Real) or not 0 <= self.start <= 1:
            raise ValueError(f"Expected start to be a fraction of the training in [0, 1], but got {self.start!r}.")
        if not isinstance(self.beta, Real) or not 0 <= self.beta < 1:
            raise ValueError(f"Expected beta to be at least 0 and below 1, but got {self.beta!r}; 0 weights nothing.")

    def first_epoch(self, n_epochs: int) -> int:
        """Return the first weighted epoch, counted from 0, of a training of `n_epochs`."""
        return int(self.start * n_epochs + 0.5)

    def weights(self, class_counts: Any, epoch: int, n_epochs: int) -> Tensor:
        """Return the class weights (C,) of an epoch, counted from 0."""
        class_counts = as_class_values("class_counts", class_counts)
        if epoch < self.first_epoch(n_epochs):
            return torch.ones(len(class_counts), device=class_counts.device)
        return class_balanced_weights(class_counts, self.beta)
