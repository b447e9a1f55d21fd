"""Velocity fields: networks from a noisy sample, its time and its class to the direction in which it moves.

A U-Net (Ronneberger et al., MICCAI 2015) of residual blocks with group normalisation, as diffusion models have it (Ho
et al., NeurIPS 2020; Dhariwal and Nichol, NeurIPS 2021), for images of any size from 8x8 up, and a residual network of
dense layers for rows. Both begin at a velocity of zero.
"""

import math
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from latentover.networks.autoencoder import check_input_shape
from latentover.networks.layers import Dropout, images_last

BLOCKS = 2
"""Residual blocks of each resolution on the way down, and on the way up."""
ROW_BLOCKS = 4
COARSEST = 8
"""Images are halved until no side is longer."""
GROUPS = 8
_FREQUENCIES = 32
_TIME_SCALE = 1000.0
Layer = TypeVar("Layer", nn.Linear, nn.Conv2d)


class Condition(nn.Module):
    """Time in [0, 1] and class number to a vector (B, width): what the network is told besides the noisy sample.

    Class number `n_classes` stands for no class, which classifier-free guidance asks for.

    Parameters
    ----------
    n_classes, width : int
    """

    frequencies: Tensor

    def __init__(self, n_classes: int, width: int) -> None:
        super().__init__()
        steps = torch.arange(_FREQUENCIES) / (_FREQUENCIES - 1)
        self.register_buffer("frequencies", torch.exp(-math.log(_TIME_SCALE) * steps) * _TIME_SCALE, persistent=False)
        self.time = nn.Sequential(nn.Linear(2 * _FREQUENCIES, width), nn.SiLU(), nn.Linear(width, width))
        self.label = nn.Embedding(n_classes + 1, width)

    def forward(self, t: Tensor, labels: Tensor) -> Tensor:
        """Map times (B,) and class numbers (B,) to vectors (B, width), bent."""
        angles = t.float().unsqueeze(1) * self.frequencies
        waves = torch.cat([angles.sin(), angles.cos()], dim=1)
        embedded = self.time(waves)
        return F.silu(embedded + self.label(labels).to(embedded.dtype))


class RowFlow(nn.Module):
    """The velocity of rows (B, d): dense residual blocks that are scaled and shifted by time and class.

    Parameters
    ----------
    n_features, n_classes : int
    hidden_units : int, default=256
    dropout : float in [0, 1), default=0.0

    Examples
    --------
    >>> import torch
    >>> network = RowFlow(5, 3)
    >>> network(torch.randn(4, 5), torch.rand(4), torch.tensor([0, 1, 2, 3])).shape
    torch.Size([4, 5])
    """

    def __init__(self, n_features: int, n_classes: int, *, hidden_units: int = 256, dropout: float = 0.0) -> None:
        super().__init__()
        self.condition = Condition(n_classes, hidden_units)
        self.first = nn.Linear(n_features, hidden_units)
        self.blocks = nn.ModuleList(_RowBlock(hidden_units, dropout) for _ in range(ROW_BLOCKS))
        self.last = nn.Sequential(nn.LayerNorm(hidden_units), nn.SiLU(), _zeroed(nn.Linear(hidden_units, n_features)))

    def forward(self, x: Tensor, t: Tensor, labels: Tensor) -> Tensor:
        """Map noisy rows (B, d), times (B,) and class numbers (B,) to velocities (B, d)."""
        condition = self.condition(t, labels)
        hidden = self.first(x)
        for block in self.blocks:
            hidden = block(hidden, condition)
        return self.last(hidden)


class _RowBlock(nn.Module):
    """Adds two dense layers to their input, (B, n) to (B, n)."""

    def __init__(self, n: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(n, elementwise_affine=False)
        self.modulation = nn.Linear(n, 2 * n)
        self.layers = nn.Sequential(nn.SiLU(), nn.Linear(n, n), nn.SiLU(), Dropout(dropout), _zeroed(nn.Linear(n, n)))

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        scale, shift = self.modulation(condition).chunk(2, dim=1)
        return x + self.layers(self.norm(x) * (1 + scale) + shift)


class ImageFlow(nn.Module):
    """The velocity of images (B, c, h, w): a U-Net with attention at its coarsest resolution.

    The channels double once; images of 28x28 are seen at 28, 14 and 7 pixels a side, with 1, 2 and 2 times `channels`.

    Parameters
    ----------
    image_shape : (c, h, w)
        Sides of at least 8 pixels.
    n_classes : int
    channels : int, default=32
    dropout : float in [0, 1), default=0.0

    Examples
    --------
    >>> import torch
    >>> network = ImageFlow((1, 28, 28), 10, channels=8)
    >>> network(torch.rand(2, 1, 28, 28), torch.rand(2), torch.tensor([3, 10])).shape
    torch.Size([2, 1, 28, 28])
    """

    def __init__(
        self, image_shape: tuple[int, int, int], n_classes: int, *, channels: int = 32, dropout: float = 0.0
    ) -> None:
        super().__init__()
        check_input_shape(image_shape)
        n_in, *sides = image_shape
        halvings = max(1, math.ceil(math.log2(max(sides) / COARSEST)))
        widths = [channels, *[2 * channels] * halvings]
        told = 4 * channels
        self.condition = Condition(n_classes, told)
        self.first = nn.Conv2d(n_in, channels, kernel_size=3, padding=1)
        self.down, self.shrink, self.up, self.grow = (nn.ModuleList() for _ in range(4))
        n, kept = channels, [channels]
        for level, width in enumerate(widths):
            for _ in range(BLOCKS):
                self.down.append(_Block(n, width, told, dropout))
                n = width
                kept.append(n)
            if level < halvings:
                self.shrink.append(nn.Conv2d(n, n, kernel_size=3, stride=2, padding=1))
                kept.append(n)
        self.middle = nn.ModuleList([_Block(n, n, told, dropout), _Block(n, n, told, dropout)])
        self.attention = _Attention(n)
        for level, width in reversed([*enumerate(widths)]):
            for _ in range(BLOCKS + 1):
                self.up.append(_Block(n + kept.pop(), width, told, dropout))
                n = width
            if level > 0:
                self.grow.append(nn.Conv2d(n, widths[level - 1], kernel_size=3, padding=1))
                n = widths[level - 1]
        self.last = nn.Sequential(_Norm(n), nn.SiLU(), _zeroed(nn.Conv2d(n, n_in, kernel_size=3, padding=1)))

    def forward(self, x: Tensor, t: Tensor, labels: Tensor) -> Tensor:
        """Map noisy images (B, c, h, w), times (B,) and class numbers (B,) to velocities (B, c, h, w)."""
        condition = self.condition(t, labels)
        hidden = self.first(images_last(x))
        kept = [hidden]
        for level in range(len(self.shrink) + 1):
            for block in self.down[BLOCKS * level : BLOCKS * (level + 1)]:
                hidden = block(hidden, condition)
                kept.append(hidden)
            if level < len(self.shrink):
                hidden = self.shrink[level](hidden)
                kept.append(hidden)
        hidden = self.middle[1](self.attention(self.middle[0](hidden, condition)), condition)
        for level in range(len(self.grow) + 1):
            for block in self.up[(BLOCKS + 1) * level : (BLOCKS + 1) * (level + 1)]:
                hidden = block(torch.cat([hidden, kept.pop()], dim=1), condition)
            if level < len(self.grow):  # to the side that the next one kept, which may be odd
                hidden = self.grow[level](F.interpolate(hidden, size=kept[-1].shape[-2:], mode="nearest"))
        return self.last(hidden)


class _Block(nn.Module):
    """Adds two convolutions, the second scaled and shifted by the condition: (B, n_in, h, w) to (B, n_out, h, w)."""

    def __init__(self, n_in: int, n_out: int, n_condition: int, dropout: float) -> None:
        super().__init__()
        self.before = nn.Sequential(_Norm(n_in), nn.SiLU(), nn.Conv2d(n_in, n_out, kernel_size=3, padding=1))
        self.modulation = nn.Linear(n_condition, 2 * n_out)
        self.norm = _Norm(n_out)
        convolution = _zeroed(nn.Conv2d(n_out, n_out, kernel_size=3, padding=1))
        self.behind = nn.Sequential(nn.SiLU(), Dropout(dropout), convolution)
        self.shortcut = nn.Identity() if n_in == n_out else nn.Conv2d(n_in, n_out, kernel_size=1)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        scale, shift = self.modulation(condition)[:, :, None, None].chunk(2, dim=1)
        hidden = self.norm(self.before(x)) * (1 + scale) + shift
        return self.shortcut(x) + self.behind(hidden)


class _Attention(nn.Module):
    """Adds what every position takes from all others, (B, n, h, w) to (B, n, h, w)."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.norm = _Norm(n)
        self.queries_keys_values = nn.Conv2d(n, 3 * n, kernel_size=1)
        self.out = _zeroed(nn.Conv2d(n, n, kernel_size=1))

    def forward(self, x: Tensor) -> Tensor:
        rows = self.queries_keys_values(self.norm(x)).flatten(2).transpose(1, 2).unsqueeze(1)  # (B, 1, h w, 3 n)
        taken = F.scaled_dot_product_attention(*rows.chunk(3, dim=-1))
        return x + self.out(taken.squeeze(1).transpose(1, 2).unflatten(2, x.shape[-2:]))


class _Norm(nn.GroupNorm):
    """Group normalisation in the precision that its input has: its sums are taken in float32 anyway."""

    def __init__(self, n: int) -> None:
        super().__init__(math.gcd(GROUPS, n), n)

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            return F.group_norm(x, self.num_groups, self.weight.to(x.dtype), self.bias.to(x.dtype), self.eps)


def _zeroed(layer: Layer) -> Layer:
    """Return a layer whose outputs are zero until it learns."""
    nn.init.zeros_(layer.weight)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer
