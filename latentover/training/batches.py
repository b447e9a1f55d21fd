"""Endless streams of batches, as row numbers on the device: no workers, no per-sample Python.

A batch comes in two strokes: in `Batches.advance` the host gets ready for it, in `Batches.draw` the device draws it,
which can be recorded and replayed. A stream can be asked for its state and given it back, so that a training goes on
where it was interrupted.
"""

from abc import ABC, abstractmethod
from collections.abc import Hashable
from typing import Any, Self

import torch
from torch import Tensor

Generator = torch.Generator


class Batches(ABC):
    """A stream of batches: an iterator, or its two strokes one by one."""

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Tensor:
        """Return the next batch."""
        self.advance()
        return self.draw().clone()

    def advance(self) -> Hashable:
        """Get ready for the next batch; batches of other shapes return other keys."""
        return None

    @abstractmethod
    def draw(self) -> Tensor:
        """Return the row numbers of the batch; the next one may take the same place in memory."""

    def state_dict(self) -> dict[str, Any]:
        """Return nothing: what comes next is the generator's alone."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:  # noqa: B027
        """Go on from there."""


class NaturalBatches(Batches):
    """Row numbers (B,) epoch after epoch, each epoch in a new order; its last batch may be smaller.

    A last batch of a single row is joined to the one before it, for batch normalisation cannot train on it: with at
    least two rows and a `batch_size` of at least 2 there is no batch of one row.
    """

    def __init__(self, n_samples: int, batch_size: int, generator: Generator) -> None:
        self.n_samples, self.batch_size, self.generator = n_samples, int(batch_size), generator
        self.order = torch.empty(0, dtype=torch.int64, device=generator.device)
        self.start = 0
        self._batches: dict[int, Tensor] = {}
        self.size = 0  # of the present batch

    def advance(self) -> int:
        """Lay out the next batch and return its size."""
        if self.start >= len(self.order):
            self.order = torch.randperm(self.n_samples, generator=self.generator, device=self.generator.device)
            self.start = 0
        end = self.start + self.batch_size
        if self.n_samples - end == 1:
            end += 1
        batch = self.order[self.start : end]
        self.start, self.size = end, len(batch)
        self._batches.setdefault(self.size, torch.empty_like(batch)).copy_(batch)
        return self.size

    def draw(self) -> Tensor:
        """Return the batch."""
        return self._batches[self.size]

    def state_dict(self) -> dict[str, Any]:
        """Return where in which epoch the stream is."""
        return {"order": self.order, "start": self.start}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self.order, self.start = state["order"].to(self.generator.device), state["start"]


def batches_per_epoch(n_samples: int, batch_size: int) -> int:
    """Return how many batches of `NaturalBatches` make an epoch.

    Examples
    --------
    >>> [batches_per_epoch(n, 128) for n in (1, 128, 129, 130, 256)]
    [1, 1, 1, 2, 2]
    """
    left = n_samples % batch_size
    return max(1, n_samples // batch_size + (left > 1))


def class_probabilities(class_counts: Tensor, power: float) -> Tensor:
    r"""Return the probabilities :math:`p_c = n_c^q / \sum_k n_k^q` with which classes are drawn, float64 (C,).

    Parameters
    ----------
    class_counts : integer Tensor of shape (C,)
    power : float in [0, 1]
        The q: 0 draws every class equally often, 1 as often as it occurs, 0.5 is square-root sampling.

    References
    ----------
    Kang et al., "Decoupling Representation and Classifier for Long-Tailed Recognition", ICLR 2020, Eq. 1.

    Examples
    --------
    >>> import torch
    >>> class_probabilities(torch.tensor([90, 10]), 0.5)
    tensor([0.7500, 0.2500], dtype=torch.float64)
    """
    weights = class_counts.double().pow(power)
    return weights / weights.sum()


class ClassTuples(Batches):
    """Row numbers (n_tuples, size): each tuple holds rows of one class, drawn with `class_probabilities`.

    The rows of a tuple are distinct as long as its class has `size` rows; a smaller class repeats rows.

    Parameters
    ----------
    labels : integer Tensor of shape (n,)
        Every class 0..C-1 has at least one row.
    n_tuples, size : int
    generator : torch.Generator
    power : float in [0, 1], default=0.0
        0: every class is equally likely.
    """

    def __init__(self, labels: Tensor, n_tuples: int, size: int, generator: Generator, *, power: float = 0.0) -> None:
        self.n_tuples, self.tuple_size, self.generator = n_tuples, size, generator
        self.counts = torch.bincount(labels)
        self.starts = self.counts.cumsum(0) - self.counts
        self.by_class = labels.argsort(stable=True)
        self.probabilities = class_probabilities(self.counts, power)

    def draw(self) -> Tensor:
        """Return a batch of tuples."""
        classes = torch.multinomial(self.probabilities, self.n_tuples, replacement=True, generator=self.generator)
        return self.rows_of(classes, self.tuple_size)

    def rows_of(self, classes: Tensor, size: int) -> Tensor:
        """Return for each class number (B,) a tuple of rows of that class (B, size)."""
        if size == 0:
            return self.by_class[:0].expand(len(classes), 0)
        # Distinct within a tuple: a random start and then random gaps that together never go once around the class.
        u = torch.rand(len(classes), size, generator=self.generator, device=self.generator.device)
        within = _distinct_positions(u, self.counts[classes].unsqueeze(1))
        return self.by_class[self.starts[classes].unsqueeze(1) + within]


class ClassBatches(ClassTuples):
    """Row numbers (B,): classes drawn with `class_probabilities`, by default all alike, and then a row of the class."""

    @property
    def size(self) -> int:
        """Rows of a batch."""
        return self.n_tuples

    def __init__(self, labels: Tensor, batch_size: int, generator: Generator, *, power: float = 0.0) -> None:
        super().__init__(labels, batch_size, 1, generator, power=power)

    def draw(self) -> Tensor:
        """Return a batch."""
        return super().draw().squeeze(1)


class PairPool(Batches):
    """Row numbers (n_pairs, 2) of same-class pairs from a pool that is drawn anew now and then.

    The pool holds `pairs_per_class` pairs of every class: twice as many rows are drawn, without replacement where the
    class has that many and with replacement otherwise, and the first half is paired with the second. A batch is drawn
    from the pool without replacement, so that classes are balanced on average.

    Parameters
    ----------
    labels : integer Tensor of shape (n,)
    n_pairs : int
        Pairs a batch, at most those of the pool.
    generator : torch.Generator
    pairs_per_class : int, default=200
    lifetime : int, default=25 * 5
        Batches that are drawn from a pool.

    Notes
    -----
    This is how the authors' code of the class-preserving regularized autoencoder draws its batches: the paper draws
    the partners of each training sample afresh. In its cycle of 25 steps a pool serves 125 batches.
    """

    def __init__(
        self,
        labels: Tensor,
        n_pairs: int,
        generator: Generator,
        *,
        pairs_per_class: int = 200,
        lifetime: int = 125,
    ) -> None:
        self.classes = [(labels == label).nonzero().squeeze(1) for label in range(int(labels.max()) + 1)]
        if n_pairs > pairs_per_class * len(self.classes):
            raise ValueError(
                f"Expected batch_size to be at most the {pairs_per_class * len(self.classes)} pairs of the pool, but "
                f"got {n_pairs}; make it smaller or draw tuples."
            )
        self.n_pairs, self.generator = n_pairs, generator
        self.pairs_per_class, self.lifetime = pairs_per_class, lifetime
        self.pool = torch.empty(pairs_per_class * len(self.classes), 2, dtype=torch.int64, device=labels.device)
        self.used = lifetime

    def advance(self) -> None:
        """Draw the pool anew, in its place, once it has served for long enough."""
        if self.used == self.lifetime:
            torch.cat([self._pairs(rows) for rows in self.classes], out=self.pool)
            self.used = 0
        self.used += 1

    def draw(self) -> Tensor:
        """Return a batch of pairs from the pool."""
        order = torch.randperm(len(self.pool), generator=self.generator, device=self.generator.device)
        return self.pool[order[: self.n_pairs]]

    def _pairs(self, rows: Tensor) -> Tensor:
        n, device = 2 * self.pairs_per_class, self.generator.device
        if len(rows) >= n:
            drawn = torch.randperm(len(rows), generator=self.generator, device=device)[:n]
        else:
            drawn = torch.randint(len(rows), (n,), generator=self.generator, device=device)
        return rows[drawn].view(2, -1).t()

    def state_dict(self) -> dict[str, Any]:
        """Return the pool and how many batches were drawn from it."""
        return {"pool": self.pool, "used": self.used}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on with that pool."""
        self.pool.copy_(state["pool"])
        self.used = state["used"]


def _distinct_positions(u: Tensor, n: Tensor) -> Tensor:
    """Map uniforms (B, t) to positions in 0..n-1, uniform over ordered tuples without repetition (Floyd's way).

    The j-th position is drawn among the n - j that are left and shifted past those taken before. Where n < t the
    positions repeat.
    """
    taken: list[Tensor] = []
    for j in range(u.shape[1]):
        left = (n - j).clamp(min=1)
        position = torch.minimum((u[:, j : j + 1] * left).long(), left - 1)
        if taken:
            for previous in torch.cat(taken, dim=1).sort(dim=1).values.split(1, dim=1):
                position = position + ((position >= previous) & (n > j)).long()
        taken.append(position)
    return torch.cat(taken, dim=1) % n
