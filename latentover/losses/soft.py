"""Cross-entropy with soft targets, and the two ways in which weighted losses of a batch become one number."""

from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

Reduction = Literal["mean", "weighted_mean", "sum", "none"]
REDUCTIONS: tuple[str, ...] = get_args(Reduction)


def reduce_losses(losses: Tensor, weights: Tensor | None = None, reduction: Reduction = "mean") -> Tensor:
    """Return one number for the losses of a batch, each of them times its weight; 0 where no weight is above 0.

    ``"mean"`` divides by the number of samples and ``"weighted_mean"`` by the sum of the weights, as torch does for
    class weights. The two differ by the mean weight of the batch: where weights of mean 1 over classes meet an
    imbalanced batch that is a much smaller step. The long-tailed CIFAR-10 of ratio 100 has 0.17.

    Parameters
    ----------
    losses, weights : Tensor of shape (B,)
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
    weighted = losses if weights is None else losses * weights
    if reduction == "none":
        return weighted
    if reduction == "sum":
        return weighted.sum()
    if reduction == "mean" or weights is None:
        return weighted.mean()
    return weighted.sum() / weights.sum().clamp(min=torch.finfo(weights.dtype).tiny)


def soft_cross_entropy(
    logits: Tensor, soft_labels: Tensor, weight: Tensor | None = None, reduction: Reduction = "mean"
) -> Tensor:
    r"""Return the cross-entropy :math:`-\sum_c w_c\, t_c \log p_c` of logits and soft labels t.

    For a mixed label it is the sum of the two samples' cross-entropies, each times its label weight and the weight of
    its class.

    Parameters
    ----------
    logits, soft_labels : Tensor of shape (B, C)
        Rows of `soft_labels` sum to 1.
    weight : Tensor of shape (C,), optional
        Class weights :math:`w_c`.
    reduction : {"mean", "weighted_mean", "sum", "none"}, default="mean"
        See `reduce_losses`; the weight of a sample is :math:`\sum_c w_c t_c`.

    Returns
    -------
    scalar Tensor, or Tensor of shape (B,) for ``"none"``

    Examples
    --------
    >>> import torch
    >>> soft_cross_entropy(torch.tensor([[1.0, 0.0, -1.0]]), torch.tensor([[0.3, 0.0, 0.7]]))
    tensor(1.8076)
    """
    targets = soft_labels if weight is None else soft_labels * weight
    losses = -(targets * logits.log_softmax(dim=1)).sum(dim=1)
    if weight is None or reduction != "weighted_mean":
        return reduce_losses(losses, None, reduction)
    return losses.sum() / targets.sum()


def softmax_binary_cross_entropy(logits: Tensor, soft_labels: Tensor, reduction: Reduction = "mean") -> Tensor:
    r"""Return the binary cross-entropy of softmax probabilities and soft labels, averaged over the classes.

    Manifold mixup was published with this loss in place of the categorical cross-entropy.

    Parameters
    ----------
    logits, soft_labels : Tensor of shape (B, C)
    reduction : {"mean", "weighted_mean", "sum", "none"}, default="mean"
        Over samples, see `reduce_losses`.

    References
    ----------
    Verma et al., "Manifold Mixup: Better Representations by Interpolating Hidden States", ICML 2019.

    Examples
    --------
    >>> import torch
    >>> softmax_binary_cross_entropy(torch.tensor([[1.0, 0.0, -1.0]]), torch.tensor([[0.3, 0.0, 0.7]]))
    tensor(0.9609)
    """
    log_p = logits.log_softmax(dim=1)
    # log(1 - p) of the largest p, which may round to 1, from the other logits; of the others, which are at most 1/2, as
    # it stands.
    top = F.one_hot(logits.argmax(dim=1), logits.shape[1]).bool()
    others = logits.masked_fill(top, -torch.inf).logsumexp(dim=1) - logits.logsumexp(dim=1)
    log_rest = torch.where(top, others.unsqueeze(1), (-log_p.exp().masked_fill(top, 0)).log1p())
    return reduce_losses(-(soft_labels * log_p + (1 - soft_labels) * log_rest).mean(dim=1), None, reduction)
