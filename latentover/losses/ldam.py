"""Label-distribution-aware margins: rare classes are learned with a larger margin.

Cao et al., "Learning Imbalanced Datasets with Label-Distribution-Aware Margin Loss", NeurIPS 2019.
"""

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from latentover.losses.reductions import Reduction
from latentover.losses.targets import as_class_values, as_outputs, reduce_over
from latentover.training.capture import host_may_look

ROUNDING = 0.01
"""By which a cosine of low precision may lie outside of [-1, 1]."""


def ldam_margins(class_counts: Any, max_margin: float = 0.5) -> Tensor:
    r"""Return the margins (C,) :math:`m_c \propto n_c^{-1/4}` whose largest is `max_margin`.

    Examples
    --------
    >>> import torch
    >>> ldam_margins(torch.tensor([5000, 500, 50]))
    tensor([0.1581, 0.2812, 0.5000])
    """
    margins = as_class_values("class_counts", class_counts, positive=True).float() ** -0.25
    return max_margin * margins / margins.max()


class LDAMLoss(nn.Module):
    r"""Cross-entropy of scaled cosines, the true class's cosine lowered by its margin.

    .. math::
        L = -\log \frac{e^{s (\cos_y - m_y)}}{e^{s (\cos_y - m_y)} + \sum_{c \ne y} e^{s \cos_c}}

    Parameters
    ----------
    class_counts : numbers of shape (C,)
        Training samples of each class.
    max_margin : float, default=0.5
        Margin of the rarest class, on cosines.
    scale : float, default=30.0
        The s.
    weight : numbers of shape (C,), optional
        Class weights.
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
        class_counts: Any,
        max_margin: float = 0.5,
        scale: float = 30.0,
        *,
        weight: Any = None,
        reduction: Reduction = "weighted_mean",
    ) -> None:
        super().__init__()
        self.register_buffer("margins", ldam_margins(class_counts, max_margin))
        self.register_buffer("weight", None if weight is None else as_class_values("weight", weight, len(self.margins)))
        self.scale = scale
        self.reduction: Reduction = reduction

    def forward(self, cosines: Any, labels: Any) -> Tensor:
        """Return the loss of cosines (B, C), as of a `CosineClassifier`, and labels as `reduce_over` takes them.

        Raises
        ------
        ValueError
            For outputs that are no cosines, where the host may look at them.
        """
        cosines = as_outputs("cosines", cosines)
        if cosines.shape[1] != len(self.margins):
            raise ValueError(
                f"Expected cosines to have a column for each of {len(self.margins)} classes, but got shape "
                f"{tuple(cosines.shape)}; pass the class_counts of as many classes as there are outputs."
            )
        if host_may_look(cosines.device) and len(cosines) > 0:
            largest = float(cosines.detach().abs().max())
            if largest > 1 + ROUNDING:
                raise ValueError(
                    f"Expected cosines to lie in [-1, 1], but got {largest:.3g}, as logits have it; let the last "
                    "layer be a latentover.networks.CosineClassifier, whose outputs are cosines."
                )

        def losses(known: Tensor) -> Tensor:
            with_margin = cosines - F.one_hot(known, cosines.shape[1]) * self.margins[known].unsqueeze(1)
            return F.cross_entropy(self.scale * with_margin, known, reduction="none")

        return reduce_over(losses, cosines, labels, self.weight, self.reduction)
