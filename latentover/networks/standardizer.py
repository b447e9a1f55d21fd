"""Images brought to mean 0 and standard deviation 1, channel by channel."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn


class Standardizer(nn.Module):
    """Brings each channel to mean 0 and standard deviation 1."""

    mean: Tensor
    scale: Tensor

    def __init__(self, n_channels: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(n_channels, 1, 1))
        self.register_buffer("scale", torch.ones(n_channels, 1, 1))

    def learn(self, batches: Iterable[Tensor]) -> None:
        """Take mean and standard deviation of images, batches (B, c, h, w) of them."""
        moments, n = torch.zeros(2, *self.mean.shape, dtype=torch.float64, device=self.mean.device), 0
        for batch in batches:
            images = batch.double()
            moments += torch.stack([power.mean((2, 3)).sum(0)[:, None, None] for power in (images, images.square())])
            n += len(batch)
        mean, square = moments / n
        self.mean.copy_(mean)
        scale = (square - mean.square()).clamp(min=0).sqrt()
        self.scale.copy_(torch.where(scale > 1e-6, scale, torch.ones_like(scale)))

    def forward(self, x: Tensor) -> Tensor:
        """Map images (B, c, h, w) to standardised ones."""
        return (x - self.mean) / self.scale
