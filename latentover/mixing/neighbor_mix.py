"""SMOTE-Mix and Neighbor-Mix: the two steps that lie between SMOTE and Mixup.

Cheng, Mai and Lin, "From SMOTE to Mixup for Deep Imbalanced Classification", 2023, Section 3.1. The paper leaves open
in which space neighbours are searched and among how many one is drawn; here it is the space that `prepare` is given,
and one of `k_neighbors`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from latentover.mixing.mixed import Mixed, Partners, check_number
from latentover.mixing.mixup import Mixup
from latentover.mixing.neighbors import nearest_neighbors


@dataclass(frozen=True)
class NeighborMix(Mixup):
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

    k_neighbors: int = 5
    neighbor_space: Literal["inputs", "features"] = "inputs"

    same_class: ClassVar[bool] = False
    """Whether neighbours are searched in the sample's own class alone."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("k_neighbors", self.k_neighbors, 1, whole=True)
        if self.neighbor_space not in ("inputs", "features"):
            raise ValueError(f"Expected neighbor_space to be 'inputs' or 'features', but got {self.neighbor_space!r}.")

    def prepare(self, features: Tensor, labels: Tensor) -> Tensor:
        """Return the neighbours (n, k_neighbors) of all training rows, to be searched once.

        Parameters
        ----------
        features : Tensor of shape (n, ...)
            Pixels without augmentation, table rows or features of a network.
        labels : integer Tensor of shape (n,)
        """
        return nearest_neighbors(features, self.k_neighbors, labels=labels if self.same_class else None)

    def search(self, inputs: Tensor, labels: Tensor, features: Callable[[], Tensor]) -> Tensor:
        """Return the neighbours (n, k_neighbors) in the space that `neighbor_space` names.

        Parameters
        ----------
        inputs : Tensor of shape (n, ...)
            Raw ones, for distances are compared with one another alone.
        labels : integer Tensor of shape (n,)
        features : callable
            Returns what a network makes of them (n, d).
        """
        return self.prepare(features() if self.neighbor_space == "features" else inputs, labels)

    def partner_rows(self, neighbors: Tensor, rows: Tensor, generator: torch.Generator) -> Tensor:
        """Return for each row of a batch (B,) the number (B,) of a random one of its `neighbors` (n, k)."""
        column = torch.randint(neighbors.shape[1], rows.shape, generator=generator, device=rows.device)
        return neighbors[rows, column]

    def __call__(
        self,
        inputs: Tensor,
        labels: Tensor,
        class_counts: Tensor,
        generator: torch.Generator,
        partners: Partners | None = None,
    ) -> Mixed:
        """Mix a batch with its `partners`: inputs (B, ...) and labels (B,) of `partner_rows`. See `Mixup`."""
        if partners is None:
            raise ValueError(
                f"Expected partners of {type(self).__name__} to be inputs and labels of neighbours, but got None; "
                "search them once with prepare and draw a batch's with partner_rows."
            )
        return super().__call__(inputs, labels, class_counts, generator, partners)


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
