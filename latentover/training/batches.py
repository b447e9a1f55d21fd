"""Endless streams of batches, as row numbers on the device: no workers, no per-sample Python."""

from collections.abc import Iterator

import torch
from torch import Tensor


def natural_batches(n_samples: int, batch_size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Yield row numbers (B,) epoch after epoch, each epoch in a new order; its last batch may be smaller.

    A last batch of a single row is joined to the one before it, for batch normalisation cannot train on it: with at
    least two rows and a `batch_size` of at least 2 there is no batch of one row.
    """
    while True:
        order = torch.randperm(n_samples, generator=generator, device=generator.device)
        batches = list(order.split(int(batch_size)))
        if len(batches) > 1 and len(batches[-1]) == 1:
            batches[-2:] = [torch.cat(batches[-2:])]
        yield from batches


def batches_per_epoch(n_samples: int, batch_size: int) -> int:
    """Return how many batches of `natural_batches` make an epoch.

    Examples
    --------
    >>> [batches_per_epoch(n, 128) for n in (1, 128, 129, 130, 256)]
    [1, 1, 1, 2, 2]
    """
    left = n_samples % batch_size
    return max(1, n_samples // batch_size + (left > 1))


def class_balanced_batches(labels: Tensor, batch_size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Yield row numbers (B,) in which every class is equally likely, and every row of a class too."""
    for rows in class_tuples(labels, batch_size, 1, generator):
        yield rows.squeeze(1)


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


def class_tuples(
    labels: Tensor, n_tuples: int, size: int, generator: torch.Generator, *, power: float = 0.0
) -> Iterator[Tensor]:
    """Yield row numbers (n_tuples, size): each tuple holds rows of one class, drawn with `class_probabilities`.

    The rows of a tuple are distinct as long as its class has `size` rows; a smaller class repeats rows.

    Parameters
    ----------
    labels : integer Tensor of shape (n,)
        Every class 0..C-1 has at least one row.
    power : float in [0, 1], default=0.0
        0: every class is equally likely.
    """
    counts = torch.bincount(labels)
    starts = counts.cumsum(0) - counts
    by_class = labels.argsort(stable=True)
    probabilities = class_probabilities(counts, power)
    device = labels.device
    while True:
        classes = torch.multinomial(probabilities, n_tuples, replacement=True, generator=generator)
        n = counts[classes].unsqueeze(1)  # (n_tuples, 1)
        # Distinct within a tuple: a random start and then random gaps that together never go once around the class.
        u = torch.rand(n_tuples, size, generator=generator, device=device)
        within = _distinct_positions(u, n)
        yield by_class[starts[classes].unsqueeze(1) + within]


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
