"""A classifier whose outputs are cosines, which losses with margins need."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class CosineClassifier(nn.Module):
    """Features to the cosines of their angles with one direction a class; no bias.

    Parameters
    ----------
    n_features : int
    n_classes : int
    scale : float, default=1.0
        What the cosines are multiplied with, for losses that take logits.

    Examples
    --------
    >>> import torch
    >>> CosineClassifier(8, 3)(torch.randn(5, 8)).abs().max() <= 1
    tensor(True)
    """

    def __init__(self, n_features: int, n_classes: int, scale: float = 1.0) -> None:
        super().__init__()
        self.scale = scale
        directions = torch.empty(n_classes, n_features).uniform_(-1, 1)
        self.weight = nn.Parameter(F.normalize(directions, dim=1))

    def forward(self, features: Tensor) -> Tensor:
        """Map features (B, d) to scaled cosines (B, C), in float32: roundings are scaled up with them."""
        with torch.autocast(features.device.type, enabled=False):
            cosines = F.linear(F.normalize(features.float(), dim=1), F.normalize(self.weight, dim=1))
            return cosines if self.scale == 1 else self.scale * cosines
