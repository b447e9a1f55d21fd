"""Cross-entropy with soft targets."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from latentover.losses.reductions import Reduction, reduce_losses
from latentover.losses.targets import as_class_values, as_outputs, as_soft_labels


def soft_cross_entropy(logits: Any, soft_labels: Any, weight: Any = None, reduction: Reduction = "mean") -> Tensor:
    r"""Return the cross-entropy :math:`-\sum_c w_c\, t_c \log p_c` of logits and soft labels t.

    For a mixed label it is the sum of the two samples' cross-entropies, each times its label weight and the weight of
    its class.

    Parameters
    ----------
    logits : Tensor of shape (B, C)
    soft_labels : numbers of shape (B, C), Mixed, or integers of shape (B,)
        Rows sum to 1; see `latentover.losses.reduce_over`.
    weight : numbers of shape (C,), optional
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
    logits = as_outputs("logits", logits)
    soft = as_soft_labels(soft_labels, logits)
    targets = soft if weight is None else soft * as_class_values("weight", weight, logits.shape[1], logits.device)
    losses = -(targets * logits.log_softmax(dim=1)).sum(dim=1)
    if weight is None or reduction != "weighted_mean":
        return reduce_losses(losses, None, reduction)
    return losses.sum() / targets.sum()


def softmax_binary_cross_entropy(logits: Any, soft_labels: Any, reduction: Reduction = "mean") -> Tensor:
    r"""Return the binary cross-entropy of softmax probabilities and soft labels, averaged over the classes.

    Manifold mixup was published with this loss in place of the categorical cross-entropy.

    Parameters
    ----------
    logits : Tensor of shape (B, C)
    soft_labels : numbers of shape (B, C), Mixed, or integers of shape (B,)
        See `latentover.losses.reduce_over`.
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
    logits = as_outputs("logits", logits)
    soft_labels, log_p = as_soft_labels(soft_labels, logits), logits.log_softmax(dim=1)
    # log(1 - p) of the largest p, which may round to 1, from the other logits; of the others, which are at most 1/2, as
    # it stands.
    top = F.one_hot(logits.argmax(dim=1), logits.shape[1]).bool()
    others = logits.masked_fill(top, -torch.inf).logsumexp(dim=1) - logits.logsumexp(dim=1)
    log_rest = torch.where(top, others.unsqueeze(1), (-log_p.exp().masked_fill(top, 0)).log1p())
    return reduce_losses(-(soft_labels * log_p + (1 - soft_labels) * log_rest).mean(dim=1), None, reduction)
