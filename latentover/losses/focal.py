"""The focal loss: samples that are already classified well count for less.

Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017.
"""

import torch.nn.functional as F
from torch import Tensor

from latentover.losses.soft import Reduction, reduce_losses


def focal_loss(
    logits: Tensor,
    labels: Tensor,
    gamma: float = 2.0,
    weight: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Return :math:`-w_y (1 - p_y)^\gamma \log p_y`, over the softmax of the logits.

    Parameters
    ----------
    logits : Tensor of shape (B, C)
    labels : integer Tensor of shape (B,)
    gamma : float, default=2.0
        0 is cross-entropy.
    weight : Tensor of shape (C,), optional
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
    cross_entropy = F.cross_entropy(logits, labels, reduction="none")
    # 1 - p as -expm1(log p): the gradient stays right where p rounds to 1.
    losses = (-(-cross_entropy).expm1()).clamp(min=0) ** gamma * cross_entropy
    return reduce_losses(losses, None if weight is None else weight[labels], reduction)
