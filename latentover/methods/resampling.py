"""What AMDO, MC-CCR and MC-RBO share: neighbours, spreading samples over rows, and the frame of the latter two.

Every class in turn is set against a joint majority of the larger ones: Krawczyk, Koziarski and Wozniak, "Radial-Based
Oversampling for Multiclass Imbalanced Data Classification", IEEE TNNLS 2020; Koziarski, Wozniak and Krawczyk, "Combined
Cleaning and Resampling Algorithm for Multi-Class Imbalanced Data with Label Noise", Knowledge-Based Systems 2020.

Classes are taken from the largest to the smallest. The joint majority of the i-th holds as many samples of each of the
i classes before it, all of which have been brought to the size of the largest by then.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from latentover.estimators import BaseSampler, ImageFormat, Synthetic

CHUNK_ELEMENTS = 2**24
"""Distances that are held at once: 64 MiB of float32."""


class UnitRange(NamedTuple):
    """Features scaled to [0, 1] by the range that the training data has in each.

    Attributes
    ----------
    low, span : Tensor of shape (d,)
        The span of a constant feature is 0: whatever happens in the scaled space, it stays constant.
    """

    low: Tensor
    span: Tensor

    @classmethod
    def of(cls, rows: Tensor) -> "UnitRange":
        """Return the ranges of rows (n, d)."""
        low = rows.amin(dim=0)
        return cls(low, rows.amax(dim=0) - low)

    def scale(self, rows: Tensor) -> Tensor:
        """Return rows (n, d) in [0, 1]."""
        return (rows - self.low) / torch.where(self.span == 0, torch.ones_like(self.span), self.span)

    def unscale(self, rows: Tensor) -> Tensor:
        """Return scaled rows (n, d) as they were."""
        return rows * self.span + self.low


class JointMajority(NamedTuple):
    """What a class is told apart from.

    Attributes
    ----------
    points : Tensor of shape (m, d)
    places : integer Tensor of shape (m, 2)
        Number of the pool, and the row in it, of each point.
    """

    points: Tensor
    places: Tensor


def by_size(class_counts: Tensor) -> list[int]:
    """Return class numbers from the largest to the smallest, equal ones in their own order."""
    return torch.argsort(class_counts, descending=True, stable=True).tolist()


def joint_majority(
    pools: list[Tensor], n_largest: int, generator: torch.Generator, *, replacement: bool
) -> JointMajority:
    """Draw equally many points of every pool, ``n_largest // len(pools)`` and at least one.

    Parameters
    ----------
    pools : list of Tensor of shape (n_i, d)
        The classes.
    n_largest : int
        Samples of the largest class.
    generator : torch.Generator
    replacement : bool
        Whether a point may be drawn again, as in MC-RBO. Without, a pool gives no more points than it has.

    Returns
    -------
    JointMajority
    """
    wanted = max(1, n_largest // len(pools))
    points, places = [], []
    for number, pool in enumerate(pools):
        n, device = len(pool), pool.device
        if replacement:
            rows = torch.randint(n, (wanted,), generator=generator, device=device)
        else:
            rows = torch.randperm(n, generator=generator, device=device)[:wanted]
        points.append(pool[rows])
        places.append(torch.stack([torch.full_like(rows, number), rows], dim=1))
    return JointMajority(torch.cat(points), torch.cat(places))


def rows_at_once(n_columns: int) -> int:
    """Return how many rows of a matrix with that many columns `CHUNK_ELEMENTS` are, at least 1."""
    return max(1, CHUNK_ELEMENTS // max(1, n_columns))


def nearest_points(rows: Tensor, points: Tensor, k: int, norm: float) -> Tensor:
    """Return the numbers (n, min(k, m)) of the `points` (m, d) nearest to each of `rows` (n, d), the nearest first."""
    k = min(k, len(points))
    return torch.cat(
        [
            torch.cdist(chunk, points, p=norm).topk(k, largest=False).indices
            for chunk in rows.split(rows_at_once(len(points)))
        ]
    )


def spread_rows(weights: Tensor, n: int, offset: Tensor | float) -> Tensor:
    r"""Return n row numbers, each row as often as its share of the weights says, up to rounding.

    Row i comes :math:`n w_i / \sum_j w_j` times, rounded down or up; over a uniform offset that is its mean, and the
    total is n whatever the weights (systematic sampling).

    Parameters
    ----------
    weights : Tensor of shape (m,)
        Not negative, and not all 0.
    n : int
    offset : float in [0, 1)

    Returns
    -------
    integer Tensor of shape (n,)
        Ascending.

    Examples
    --------
    >>> import torch
    >>> spread_rows(1 / torch.tensor([0.25, 0.5, 1.0]), 20, offset=0.5).bincount()
    tensor([11,  6,  3])
    """
    ends = weights.double().cumsum(0)
    ticks = (torch.arange(n, dtype=torch.float64, device=weights.device) + offset) / max(n, 1) * ends[-1]
    return torch.searchsorted(ends, ticks, right=True).clamp_max(len(weights) - 1)


@dataclass(kw_only=True, eq=False, repr=False)
class RowSampler(BaseSampler):
    """A sampler that makes each new row from one training row, all of them as vectors of one length."""

    def _flat(self, inputs: Tensor) -> Tensor:
        """Return encoded inputs (n, ...) as float32 rows (n, d)."""
        return self.format_.network_input(inputs).flatten(1)

    def _choose_bases(self, label: int, weights: Tensor | None, n: int, generator: torch.Generator) -> Tensor:
        """Return the training rows (n,) that the next n samples of a class are made from.

        By default as the method wants it, in proportion to its `weights` of all training rows, times the user's; as
        `base_selection` says where it says something.
        """
        if weights is None or not self._bases_are_random():
            return self._draw_parents(label, n, 1, generator).squeeze(1)
        rows = (self.tensors_["labels"] == label).nonzero().squeeze(1)
        chances = weights[rows].double()
        if "sample_weight" in self.tensors_:
            given = self.tensors_["sample_weight"].to(chances.device)[rows]
            chances = chances * given if (chances * given > 0).any() else given
        offset = torch.rand((), generator=generator, dtype=torch.float64, device=generator.device)
        return rows[spread_rows(chances, n, offset)]

    def _synthetic(self, new: Tensor, rows: Tensor) -> Synthetic:
        """Return new rows (n, d) in the format's shape, made from one training row (n,) each."""
        outputs = new.unflatten(1, self.format_.shape)
        if isinstance(self.format_, ImageFormat):
            outputs = outputs.clamp(0, 1)
        parents = rows.cpu().numpy()[:, None]
        return Synthetic(outputs, parents, np.ones(parents.shape))
