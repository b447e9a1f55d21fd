"""Which rows of a class its new samples are made from."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from latentover.training.batches import ClassTuples, _distinct_positions

_REDRAWS = 20
"""How often partners that repeat a row of their tuple are drawn again where rows have weights."""


def are_bases(value: Any) -> bool:
    """Whether a value of `base_selection` says which rows new samples start from."""
    if isinstance(value, str):
        return value in ("random", "even")
    rows = np.asarray(value) if isinstance(value, list | tuple | np.ndarray) else np.empty(0)
    return rows.ndim == 1 and rows.dtype.kind in "iu" and len(rows) > 0 and rows.min() >= 0


class ParentRows:
    """Draws tuples of rows of one class: a base, and partners that are other rows as long as the class has them.

    Parameters
    ----------
    rows : integer Tensor of shape (m,)
        The rows of the class.
    weights : Tensor of shape (m,), optional
        Bases and partners are drawn in proportion to these; one of them is above 0.
    bases : integer Tensor of shape (b,), optional
        Positions in `rows` of those that may be bases, each of them as often as any other, up to one; without it every
        base is drawn at random.
    """

    def __init__(self, rows: Tensor, weights: Tensor | None = None, bases: Tensor | None = None) -> None:
        self.rows, self.bases = rows, bases
        self.cumulative = None if weights is None else weights.double().cumsum(0)
        self.left = rows.new_empty(0)

    def draw(self, n: int, size: int, generator: torch.Generator) -> Tensor:
        """Return the next n tuples (n, size) of rows, the base first."""
        if self.bases is None and self.cumulative is None:
            u = torch.rand(n, size, generator=generator, device=generator.device)
            return self.rows[_distinct_positions(u, torch.full((n, 1), len(self.rows), device=u.device))]
        first = self._positions(n, generator) if self.bases is None else self._even(self.bases, n, generator)
        if self.cumulative is None:
            u = torch.rand(n, size, generator=generator, device=generator.device, dtype=torch.float64)
            u[:, 0] = (first + 0.5) / len(self.rows)
            return self.rows[_distinct_positions(u, torch.full_like(first, len(self.rows)).unsqueeze(1))]
        drawn = torch.cat([first.unsqueeze(1), self._positions(n * (size - 1), generator).view(n, size - 1)], dim=1)
        for _ in range(_REDRAWS):
            repeated = (drawn.unsqueeze(2) == drawn.unsqueeze(1)).tril(-1).any(dim=2)
            if not repeated.any():
                break
            drawn[repeated] = self._positions(int(repeated.sum()), generator)
        return self.rows[drawn]

    def _positions(self, n: int, generator: torch.Generator) -> Tensor:
        """Return n positions, drawn in proportion to the weights."""
        assert self.cumulative is not None
        u = torch.rand(n, generator=generator, device=generator.device, dtype=torch.float64)
        # To the right: a row of weight 0 takes no width and is never met.
        found = torch.searchsorted(self.cumulative, u * self.cumulative[-1], right=True)
        return found.clamp(max=len(self.rows) - 1)

    def _even(self, bases: Tensor, n: int, generator: torch.Generator) -> Tensor:
        """Return the next n bases of a stream that goes through all of them, again and again in a new order."""
        rounds = max(0, math.ceil((n - len(self.left)) / len(bases)))
        u = torch.rand(rounds, len(bases), generator=generator, device=generator.device)
        stream = torch.cat([self.left, bases[u.argsort(dim=1)].flatten()])
        self.left = stream[n:]
        return stream[:n]


def even_bases(rows: Tensor, weights: Tensor | None, chosen: Sequence[int] | None) -> Tensor:
    """Return the positions in `rows` of the chosen ones, or of all; never of those without a weight.

    Parameters
    ----------
    rows : integer Tensor of shape (m,)
    weights : Tensor of shape (m,), optional
    chosen : sequence of int, optional
        Row numbers, also of other classes.
    """
    may = torch.ones(len(rows), dtype=torch.bool, device=rows.device) if weights is None else weights > 0
    if chosen is not None:
        may &= torch.isin(rows, torch.as_tensor(chosen, device=rows.device))
    return may.nonzero().squeeze(1)


class WeightedTuples(ClassTuples):
    """Tuples as of `ClassTuples`, with the rows of a class drawn in proportion to weights (n,)."""

    def __init__(
        self,
        labels: Tensor,
        weights: Tensor,
        n_tuples: int,
        size: int,
        generator: torch.Generator,
        *,
        power: float = 0.0,
    ) -> None:
        super().__init__(labels, n_tuples, size, generator, power=power)
        self.parents = [ParentRows(rows, weights[rows]) for rows in self.by_class.split(self.counts.tolist())]
        self.tuples = labels.new_empty(n_tuples, size)

    def advance(self) -> None:
        """Draw the next tuples: how many are of which class is for the host to know."""
        classes = torch.multinomial(self.probabilities, self.n_tuples, replacement=True, generator=self.generator)
        numbers = torch.bincount(classes, minlength=len(self.counts)).tolist()
        drawn = [
            rows.draw(n, self.tuple_size, self.generator) for rows, n in zip(self.parents, numbers, strict=True) if n
        ]
        # Class by class, and then in the order of `classes`.
        self.tuples.copy_(torch.cat(drawn)[classes.argsort().argsort()])

    def draw(self) -> Tensor:
        """Return the tuples."""
        return self.tuples
