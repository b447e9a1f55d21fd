"""SMOTE-Mix and Neighbor-Mix: the two steps that lie between SMOTE and Mixup.

Cheng, Mai and Lin, "From SMOTE to Mixup for Deep Imbalanced Classification", 2023, Section 3.1. The paper leaves open
in which space neighbours are searched and among how many one is drawn; here it is the space that `prepare` is given,
and one of `k_neighbors`.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from latentover.mixing.mixup import Mixup
from latentover.mixing.partners import NeighborPartners


@dataclass(frozen=True)
class NeighborMix(NeighborPartners, Mixup):
    """Mix each sample with one of its nearest neighbours of any class, inputs and labels with one weight.

    Parameters
    ----------
    alpha : float, default=1.0
        Of the Beta(alpha, alpha) distribution of lambda.
    per_sample : bool, default=False
        Draw a lambda for every sample, and not one for the batch.
    k_neighbors : int, default=5
        How many nearest neighbours a partner is drawn from; 1 is always the nearest.
    neighbor_space : {"inputs", "features"}, default="inputs"
        What an estimator calls `prepare` with: the training inputs without augmentation, or what the backbone makes of
        them before training, which says something if it has been trained before.

    References
    ----------
    Cheng, Mai and Lin, "From SMOTE to Mixup for Deep Imbalanced Classification", 2023, Eqs. 9-10.

    Examples
    --------
    >>> import torch
    >>> inputs, labels, counts = torch.rand(20, 5), torch.arange(20) % 2, torch.tensor([10, 10])
    >>> generator = torch.Generator().manual_seed(0)
    >>> rule = NeighborMix(k_neighbors=3)
    >>> neighbors = rule.prepare(inputs, labels)  # once, for all training rows
    >>> rows = torch.tensor([4, 7, 1])  # a batch
    >>> near = rule.partner_rows(neighbors, rows, generator)
    >>> rule(inputs[rows], labels[rows], counts, generator, partners=(inputs[near], labels[near])).inputs.shape
    torch.Size([3, 5])
    """


@dataclass(frozen=True)
class SMOTEMix(NeighborMix):
    """Mix each sample with one of its nearest neighbours of its own class; the label stays hard, as in SMOTE.

    Parameters
    ----------
    alpha : float, default=1.0
        Of the Beta(alpha, alpha) distribution of lambda.
    per_sample : bool, default=False
        Draw a lambda for every sample, and not one for the batch.
    k_neighbors : int, default=5
        How many nearest neighbours a partner is drawn from; 1 is always the nearest. The sample of a class of one is
        its own neighbour.
    neighbor_space : {"inputs", "features"}, default="inputs"
        See `NeighborMix`.

    References
    ----------
    Cheng, Mai and Lin, "From SMOTE to Mixup for Deep Imbalanced Classification", 2023, Eqs. 7-8.

    Examples
    --------
    >>> import torch
    >>> SMOTEMix(k_neighbors=1).prepare(torch.tensor([[0.0], [1.0], [3.0]]), torch.tensor([0, 1, 0])).T
    tensor([[2, 1, 0]])
    """

    same_class: ClassVar[bool] = True

    def label_weight(self, lam: Tensor, labels: Tensor, partners: Tensor, class_counts: Tensor) -> Tensor:
        """Return ones (B,): the mixture has the class of sample i, which is its partner's too."""
        return torch.ones_like(lam)
