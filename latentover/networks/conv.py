"""The image networks of the class-preserving regularized autoencoder (its paper's Tables 15-18).

The published sizes (28x28 and 32x32) use two stages of stride 2; larger images get more, so that at most 8x8 positions
remain, and any side from 8 pixels up works.
"""

import math
from typing import Literal

from torch import Tensor, nn

from latentover.networks.layers import (
    LEAK,
    Dropout,
    Flatten,
    HalvingConv,
    LeakyReLU,
    ResizingConv,
    batch_norm,
    doubling_conv,
    linear,
    with_label,
)

MIN_SIDE = 8
Upsampling = Literal["resize", "transposed"]


def n_stages(height: int, width: int) -> int:
    """Return how often an image is halved: 2 up to 32 pixels, then once more for every doubling."""
    return max(2, math.ceil(math.log2(max(height, width) / MIN_SIDE)))


def stage_channels(n: int, channels: int) -> list[int]:
    """Return the channels behind each of n stages: they double from stage to stage, up to four times the first."""
    return [channels * 2 ** min(i, 2) for i in range(n)]


def _remaining(side: int, stages: int) -> int:
    return math.ceil(side / 2**stages)


class ConvEncoder(nn.Module):
    """Images to latent vectors, without the label.

    Parameters
    ----------
    image_shape : (c, h, w)
    latent_dim : int
        Length m of the latent vector.
    channels : int
        Channels of the first convolution; the second has twice as many.
    hidden_units : int
        Width of the dense layer before the latent one.
    dropout : float in [0, 1)
        Active in every training-mode pass.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        latent_dim: int,
        *,
        channels: int = 64,
        hidden_units: int = 1024,
        dropout: float = 0.4,
    ) -> None:
        super().__init__()
        n_in, height, width = image_shape
        stages = n_stages(height, width)
        layers: list[nn.Module] = []
        for n_out in stage_channels(stages, channels):
            layers += [
                HalvingConv(n_in, n_out),
                batch_norm(n_out, images=True),
                nn.LeakyReLU(LEAK),
                Dropout(dropout),
            ]
            n_in = n_out
        n_flat = n_in * _remaining(height, stages) * _remaining(width, stages)
        self.convolutions = nn.Sequential(*layers)
        self.dense = nn.Sequential(
            Flatten(),
            linear(n_flat, hidden_units),
            batch_norm(hidden_units),
            nn.LeakyReLU(LEAK),
            Dropout(dropout),
            linear(hidden_units, latent_dim),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map images (B, c, h, w) in [0, 1] to latents (B, m)."""
        return self.dense(self.convolutions(x))


class ConvDecoder(nn.Module):
    """Latent vectors with their label to images in [0, 1]; parameters as in `ConvEncoder`.

    Parameters
    ----------
    upsampling : {"resize", "transposed"}
        How a stage doubles the sides: pixels are repeated and convolved, which leaves no checkerboard, or by the
        paper's transposed convolution.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        latent_dim: int,
        n_classes: int,
        *,
        channels: int = 64,
        hidden_units: int = 1024,
        upsampling: Upsampling = "resize",
    ) -> None:
        super().__init__()
        n_out, self.height, self.width = image_shape
        stages = n_stages(self.height, self.width)
        first = 2 * channels
        self.grid = (first, _remaining(self.height, stages), _remaining(self.width, stages))
        n_flat = math.prod(self.grid)
        self.dense = nn.Sequential(
            linear(latent_dim + n_classes, hidden_units),
            batch_norm(hidden_units),
            nn.ReLU(),
            linear(hidden_units, n_flat),
            batch_norm(n_flat),
            nn.ReLU(),
        )
        doubling = ResizingConv if upsampling == "resize" else doubling_conv
        layers: list[nn.Module] = []
        for stage in range(stages):
            n_stage = channels if stage == stages - 1 else first
            layers += [doubling(first, n_stage), batch_norm(n_stage, images=True), nn.ReLU()]
        last = nn.Conv2d(channels, n_out, kernel_size=3, padding=1)
        nn.init.xavier_uniform_(last.weight)
        assert last.bias is not None
        nn.init.zeros_(last.bias)
        self.convolutions = nn.Sequential(*layers, last, nn.Sigmoid())

    def forward(self, z: Tensor, onehot: Tensor) -> Tensor:
        """Map latents (B, m) and one-hot labels (B, C) to images (B, c, h, w) in [0, 1]."""
        x = self.dense(with_label(z, onehot)).unflatten(1, self.grid)
        # Halving rounds odd sides up, so doubling can overshoot by a few pixels.
        return self.convolutions(x)[..., : self.height, : self.width]


class ConvCritic(nn.Module):
    """Images with their label to a score; without batch normalisation, which a gradient penalty forbids.

    Unless it is `conditional` it does not look at the label.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        n_classes: int,
        *,
        channels: int = 64,
        hidden_units: int = 1024,
        conditional: bool = True,
    ) -> None:
        super().__init__()
        self.n_labels = n_classes if conditional else 0
        n_in, height, width = image_shape
        stages = n_stages(height, width)
        layers: list[nn.Module] = []
        for n_out in stage_channels(stages, channels):
            layers += [HalvingConv(n_in, n_out), LeakyReLU()]
            n_in = n_out
        n_flat = n_in * _remaining(height, stages) * _remaining(width, stages)
        self.convolutions = nn.Sequential(*layers, Flatten())
        self.dense = nn.Sequential(linear(n_flat + self.n_labels, hidden_units), LeakyReLU(), linear(hidden_units, 1))

    def forward(self, x: Tensor, onehot: Tensor) -> Tensor:
        """Map images (B, c, h, w) and one-hot labels (B, C) to scores (B,)."""
        return self.dense(with_label(self.convolutions(x), onehot[:, : self.n_labels])).squeeze(1)
