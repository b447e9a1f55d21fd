"""The common part of BAGAN's encoder and discriminator: no batch normalisation, dropout behind every layer."""

import math

import torch.nn.functional as F
from torch import Tensor, nn

from latentover.networks.autoencoder import check_input_shape, default_hidden_units
from latentover.networks.conv import n_stages
from latentover.networks.layers import Dropout, linear

TRUNK_LEAK = 0.3


class SameConv(nn.Conv2d):
    """A 3x3 convolution of stride 1 or 2, padded as TensorFlow's ``"same"``: a side becomes ceil(side / stride).

    With stride 2 an even side is padded behind it alone, so that the kernels lie on the same pixels as there.
    """

    def __init__(self, n_in: int, n_out: int, *, stride: int) -> None:
        super().__init__(n_in, n_out, kernel_size=3, stride=stride, padding=int(stride == 1))
        nn.init.xavier_uniform_(self.weight)
        assert self.bias is not None
        nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, n_in, h, w) to (B, n_out, ceil(h / stride), ceil(w / stride))."""
        if self.stride[0] == 2:
            height, width = x.shape[-2:]
            x = F.pad(x, (width % 2, 1, height % 2, 1))
        return super().forward(x)


class ConvTrunk(nn.Module):
    """Images to flat features: pairs of convolutions, of stride 2 and 1, until no side is above 8 pixels.

    Parameters
    ----------
    image_shape : (c, h, w)
    channels : int
        Of the first convolution; the next three have 2, 4 and 8 times as many, and all further ones 8 times.
    dropout : float in [0, 1)
    """

    def __init__(self, image_shape: tuple[int, int, int], *, channels: int = 32, dropout: float = 0.3) -> None:
        super().__init__()
        n_in, height, width = image_shape
        n_pairs = n_stages(height, width)
        layers: list[nn.Module] = []
        for number in range(2 * n_pairs):
            n_out = channels * 2 ** min(number, 3)
            stride = 2 - number % 2
            layers += [SameConv(n_in, n_out, stride=stride), nn.LeakyReLU(TRUNK_LEAK), Dropout(dropout)]
            n_in = n_out
        self.layers = nn.Sequential(*layers, nn.Flatten())
        self.n_features = n_in * math.ceil(height / 2**n_pairs) * math.ceil(width / 2**n_pairs)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (B, c, h, w) in [0, 1] to features (B, n_features)."""
        return self.layers(2 * x - 1)


class TabularTrunk(nn.Module):
    """Standardised rows to features: dense layers of `hidden_units` and half of it."""

    def __init__(self, n_inputs: int, *, hidden_units: int = 512, dropout: float = 0.3) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        n_in = n_inputs
        for n_out in (hidden_units, max(hidden_units // 2, 1)):
            layers += [linear(n_in, n_out), nn.LeakyReLU(TRUNK_LEAK), Dropout(dropout)]
            n_in = n_out
        self.layers = nn.Sequential(*layers)
        self.n_features = n_in

    def forward(self, x: Tensor) -> Tensor:
        """Map rows (B, d) to features (B, n_features)."""
        return self.layers(x)


def build_trunk(
    shape: tuple[int, ...], *, channels: int = 32, hidden_units: int | None = None, dropout: float = 0.3
) -> ConvTrunk | TabularTrunk:
    """Return a trunk for inputs of `shape`, (d,) or (c, h, w); the attribute `n_features` says what comes out.

    Examples
    --------
    >>> build_trunk((1, 28, 28)).n_features  # 256 channels of 7x7
    12544
    """
    check_input_shape(shape)
    if len(shape) == 3:
        return ConvTrunk(shape, channels=channels, dropout=dropout)
    return TabularTrunk(shape[0], hidden_units=default_hidden_units(shape, hidden_units), dropout=dropout)
