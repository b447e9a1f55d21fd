"""The ways in which weighted losses of a batch become one number."""

from typing import Any, Literal, get_args

import torch
from torch import Tensor

Reduction = Literal["mean", "weighted_mean", "sum", "none"]
REDUCTIONS: tuple[str, ...] = get_args(Reduction)


def reduce_losses(losses: Any, weights: Any = None, reduction: Reduction = "mean") -> Tensor:
    """Return one number for the losses of a batch, each of them times its weight; 0 where no weight is above 0.

    ``"mean"`` divides by the number of samples and ``"weighted_mean"`` by the sum of the weights, as torch does for
    class weights. The two differ by the mean weight of the batch: where weights of mean 1 over classes meet an
    imbalanced batch that is a much smaller step. The long-tailed CIFAR-10 of ratio 100 has 0.17.

    Parameters
    ----------
    losses, weights : numbers of shape (B,)
    reduction : {"mean", "weighted_mean", "sum", "none"}, default="mean"

    Returns
    -------
    scalar Tensor, or Tensor of shape (B,) for ``"none"``

    Examples
    --------
    >>> import torch
    >>> losses, weights = torch.tensor([1.0, 3.0]), torch.tensor([0.1, 0.3])
    >>> [round(reduce_losses(losses, weights, kind).item(), 3) for kind in ("mean", "weighted_mean", "sum")]
    [0.5, 2.5, 1.0]
    """
    if reduction not in REDUCTIONS:
        raise ValueError(f"Expected reduction to be one of {REDUCTIONS}, but got {reduction!r}.")
    losses = torch.as_tensor(losses)
    losses = losses if losses.is_floating_point() else losses.float()
    weights = None if weights is None else torch.as_tensor(weights, device=losses.device)
    weighted = losses if weights is None else losses * weights
    if reduction == "none":
        return weighted
    if reduction == "sum":
        return weighted.sum()
    if reduction == "mean" or weights is None:
        return weighted.mean()
    return weighted.sum() / weights.sum().clamp(min=torch.finfo(weights.dtype).tiny)
