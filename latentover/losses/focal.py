"""The focal loss: samples that are already classified well count for less.

Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017.
"""

import torch
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
    # By the log odds s against the class, log p = -softplus(s) and log(1 - p) = logsigmoid(s). A power of 1 - p itself
    # would have no derivative where p rounds to 1 and gamma is below 1.
    own = F.one_hot(labels, logits.shape[1]).bool()
    against = logits.masked_fill(own, -torch.inf).logsumexp(dim=1) - logits.gather(1, labels.unsqueeze(1)).squeeze(1)
    losses = (gamma * F.logsigmoid(against)).exp() * F.softplus(against)
    return reduce_losses(losses, None if weight is None else weight[labels], reduction)
