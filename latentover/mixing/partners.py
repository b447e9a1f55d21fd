"""What the rules share whose partners are drawn from the whole training set, and not from the batch."""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from latentover.mixing.mixed import Mixed, MixingRule, Partners, check_number
from latentover.mixing.neighbors import nearest_neighbors


@dataclass(frozen=True)
class DrawnPartners(MixingRule):
    """A rule that is called with partners: rows of the training set which it draws for the rows of a batch."""

    same_class: ClassVar[bool] = False
    """Whether a partner is always of the sample's own class."""

    @abstractmethod
    def search(self, inputs: Tensor, labels: Tensor, features: Callable[[], Tensor]) -> Tensor:
        """Return what `partner_rows` draws from, a tensor with an entry for each training row, to be made once.

        Parameters
        ----------
        inputs : Tensor of shape (n, ...)
            Raw ones, for distances are compared with one another alone.
        labels : integer Tensor of shape (n,)
        features : callable
            Returns what a network makes of them (n, d).
        """

    @abstractmethod
    def partner_rows(self, searched: Tensor, rows: Tensor, generator: torch.Generator) -> Tensor:
        """Return the number of a partner (B,) for each row of a batch (B,); `searched` is what `search` returned."""

    def __call__(
        self,
        inputs: Tensor,
        labels: Tensor,
        class_counts: Tensor,
        generator: torch.Generator,
        partners: Partners | None = None,
    ) -> Mixed:
        """Mix a batch with its `partners`: inputs (B, ...) and labels (B,) of `partner_rows`. See `Mixup`."""
        return super().__call__(inputs, labels, class_counts, generator, self.given(partners))  # type: ignore

    def given(self, partners: Partners | None) -> Partners:
        """Return the partners, which there have to be."""
        if partners is None:
            raise ValueError(
                f"Expected partners of {type(self).__name__} to be inputs and labels of the training rows that it "
                "draws, but got None; call search once for all rows, and partner_rows for those of a batch."
            )
        return partners


@dataclass(frozen=True)
class NeighborPartners(DrawnPartners):
    """A rule whose partners are near samples, searched once. See `NeighborMix` for the parameters."""

    k_neighbors: int = 5
    neighbor_space: Literal["inputs", "features"] = "inputs"

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
        """Return the neighbours (n, k_neighbors) in the space that `neighbor_space` names."""
        return self.prepare(features() if self.neighbor_space == "features" else inputs, labels)

    def partner_rows(self, searched: Tensor, rows: Tensor, generator: torch.Generator) -> Tensor:
        """Return for each row of a batch (B,) the number (B,) of a random one of its neighbours (n, k)."""
        column = torch.randint(searched.shape[1], rows.shape, generator=generator, device=rows.device)
        return searched[rows, column]
