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

    Examples
    --------
    >>> import torch
    >>> CosineClassifier(8, 3)(torch.randn(5, 8)).abs().max() <= 1
    tensor(True)
    """

    def __init__(self, n_features: int, n_classes: int) -> None:
        super().__init__()
        directions = torch.empty(n_classes, n_features).uniform_(-1, 1)
        self.weight = nn.Parameter(F.normalize(directions, dim=1))

    def forward(self, features: Tensor) -> Tensor:
        """Map features (B, d) to cosines (B, C), in float32: losses scale them up, and with them their roundings."""
        with torch.autocast(features.device.type, enabled=False):
            return F.linear(F.normalize(features.float(), dim=1), F.normalize(self.weight, dim=1))
