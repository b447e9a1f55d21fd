"""The focal loss: samples that are already classified well count for less.

Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from latentover.losses.reductions import Reduction
from latentover.losses.targets import as_outputs, reduce_over


def focal_loss(
    logits: Any,
    labels: Any,
    gamma: float = 2.0,
    weight: Any = None,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Return :math:`-w_y (1 - p_y)^\gamma \log p_y`, over the softmax of the logits.

    Parameters
    ----------
    logits : Tensor of shape (B, C)
    labels : integers of shape (B,), numbers of shape (B, C), or Mixed
        See `latentover.losses.reduce_over`.
    gamma : float, default=2.0
        0 is cross-entropy.
    weight : numbers of shape (C,), optional
        Class weights.
    reduction : {"mean", "weighted_mean", "sum", "none"}, default="mean"
        See `latentover.losses.reduce_losses`.

    References
    ----------
    Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017, Eq. 5, for several classes.

    Examples
    --------
    >>> import torch
    >>> focal_loss(torch.zeros(1, 2), torch.tensor([0]))  # 0.5 ** 2 * log 2
    tensor(0.1733)
    """
    logits = as_outputs("logits", logits)

    def losses(known: Tensor) -> Tensor:
        # By the log odds s against the class, log p = -softplus(s) and log(1 - p) = logsigmoid(s). A power of 1 - p
        # itself would have no derivative where p rounds to 1 and gamma is below 1.
        own = F.one_hot(known, logits.shape[1]).bool()
        against = logits.masked_fill(own, -torch.inf).logsumexp(dim=1) - logits.gather(1, known.unsqueeze(1)).squeeze(1)
        return (gamma * F.logsigmoid(against)).exp() * F.softplus(against)

    return reduce_over(losses, logits, labels, weight, reduction)
