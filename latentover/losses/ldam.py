"""Label-distribution-aware margins: rare classes are learned with a larger margin.

Cao et al., "Learning Imbalanced Datasets with Label-Distribution-Aware Margin Loss", NeurIPS 2019.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from latentover.losses.soft import Reduction, reduce_losses


def ldam_margins(class_counts: Tensor, max_margin: float = 0.5) -> Tensor:
    r"""Return the margins (C,) :math:`m_c \propto n_c^{-1/4}` whose largest is `max_margin`.

    Examples
    --------
    >>> import torch
    >>> ldam_margins(torch.tensor([5000, 500, 50]))
    tensor([0.1581, 0.2812, 0.5000])
    """
    margins = class_counts.float() ** -0.25
    return max_margin * margins / margins.max()


class LDAMLoss(nn.Module):
    r"""Cross-entropy of scaled cosines, the true class's cosine lowered by its margin.

    .. math::
        L = -\log \frac{e^{s (\cos_y - m_y)}}{e^{s (\cos_y - m_y)} + \sum_{c \ne y} e^{s \cos_c}}

    Parameters
    ----------
    class_counts : Tensor of shape (C,)
        Training samples of each class.
    max_margin : float, default=0.5
        Margin of the rarest class, on cosines.
    scale : float, default=30.0
        The s.
    weight : Tensor of shape (C,), optional
        Class weights; may also be given with each call.
    reduction : {"weighted_mean", "mean", "sum", "none"}, default="weighted_mean"
        See `latentover.losses.reduce_losses`.

    References
    ----------
    Cao et al., "Learning Imbalanced Datasets with Label-Distribution-Aware Margin Loss", NeurIPS 2019, Eqs. 10-13.

    Examples
    --------
    >>> import torch
    >>> loss = LDAMLoss(torch.tensor([5000, 500, 50]))
    >>> loss(torch.tensor([[0.2, -0.1, 0.4]]), torch.tensor([2]))
    tensor(9.0002)
    """

    margins: Tensor
    weight: Tensor | None

    def __init__(
        self,
        class_counts: Tensor,
        max_margin: float = 0.5,
        scale: float = 30.0,
        *,
        weight: Tensor | None = None,
        reduction: Reduction = "weighted_mean",
    ) -> None:
        super().__init__()
        self.register_buffer("margins", ldam_margins(class_counts, max_margin))
        self.register_buffer("weight", weight)
        self.scale = scale
        self.reduction: Reduction = reduction

    def forward(self, cosines: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of cosines (B, C), as of a `CosineClassifier`, and class numbers (B,)."""
        with_margin = cosines - F.one_hot(labels, cosines.shape[1]) * self.margins[labels].unsqueeze(1)
        losses = F.cross_entropy(self.scale * with_margin, labels, reduction="none")
        return reduce_losses(losses, None if self.weight is None else self.weight[labels], self.reduction)
