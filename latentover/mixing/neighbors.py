"""Nearest neighbours in chunks on the device, for the rules that mix a sample with one near to it."""

from typing import Any

import torch
from torch import Tensor

CHUNK_ELEMENTS = 2**24
"""Distances that are held at once: 64 MiB of float32."""


def nearest_neighbors(features: Any, k: int, *, labels: Any = None) -> Tensor:
    """Return for each row the k rows nearest to it, itself left out, by Euclidean distance.

    Parameters
    ----------
    features : Tensor or array of shape (n, ...)
        Pixels, table rows or features of a network.
    k : int
    labels : whole numbers of shape (n,), optional
        Where given, only rows of the same class are neighbours.

    Returns
    -------
    integer Tensor of shape (n, k)
        Row numbers, the nearest first. Where there are fewer than k other rows they repeat, and a row that has no other
        is its own neighbour.

    Examples
    --------
    >>> import torch
    >>> rows = torch.tensor([[0.0], [1.0], [1.5], [9.0]])
    >>> nearest_neighbors(rows, 1).T
    tensor([[1, 2, 1, 2]])
    >>> nearest_neighbors(rows, 1, labels=torch.tensor([0, 1, 0, 2])).T
    tensor([[2, 1, 0, 3]])
    """
    flat = torch.as_tensor(features).flatten(1).float()
    if labels is None:
        return _among(flat, k)
    labels = torch.as_tensor(labels, device=flat.device)
    neighbors = torch.empty(len(flat), k, dtype=torch.int64, device=flat.device)
    for label in labels.unique():
        rows = (labels == label).nonzero().squeeze(1)
        neighbors[rows] = rows[_among(flat[rows], k)]
    return neighbors


def _among(rows: Tensor, k: int) -> Tensor:
    n = len(rows)
    if n == 1:
        return torch.zeros(1, k, dtype=torch.int64, device=rows.device)
    nearest = []
    numbers = torch.arange(n, device=rows.device)
    for chunk in numbers.split(max(1, CHUNK_ELEMENTS // n)):
        distances = torch.cdist(rows[chunk], rows)
        distances.scatter_(1, chunk.unsqueeze(1), torch.inf)
        nearest.append(distances.topk(min(k, n - 1), largest=False).indices)
    found = torch.cat(nearest)
    return found[:, torch.arange(k, device=rows.device) % found.shape[1]]
