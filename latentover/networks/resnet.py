"""ResNet-32 and ResNet-18 for small images, as the long-tailed benchmarks use them.

He et al., "Deep Residual Learning for Image Recognition", CVPR 2016: Section 4.2 for ResNet-32; ResNet-18 has a stem
for small images, a 3x3 convolution of stride 1 without pooling. Each is a plain ``nn.Sequential`` of its stages, so
that a slice of it is the part of the network up to a hidden layer.
"""

from collections import OrderedDict
from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn

Shortcut = Callable[[int, int, int], nn.Module]
"""From channels in, channels out and stride to the module beside a block's convolutions."""


def resnet32(n_channels: int = 3) -> nn.Sequential:
    """Return the body of a ResNet-32: images (B, n_channels, h, w) of any size from 8x8 up to features (B, 64).

    Three stages of five blocks with 16, 32 and 64 channels; shortcuts have no parameters.

    Examples
    --------
    >>> import torch
    >>> body = resnet32()
    >>> body(torch.rand(2, 3, 32, 32)).shape
    torch.Size([2, 64])
    >>> body[:1](torch.rand(2, 3, 32, 32)).shape  # behind the first stage
    torch.Size([2, 16, 32, 32])
    """
    return _resnet(n_channels, widths=(16, 32, 64), blocks=5, shortcut=_PaddedShortcut)


def resnet18(n_channels: int = 3) -> nn.Sequential:
    """Return the body of a ResNet-18: images (B, n_channels, h, w) of any size from 8x8 up to features (B, 512).

    Four stages of two blocks with 64, 128, 256 and 512 channels; shortcuts that change the shape are 1x1 convolutions.

    Examples
    --------
    >>> import torch
    >>> resnet18(1)(torch.rand(2, 1, 28, 28)).shape
    torch.Size([2, 512])
    """
    return _resnet(n_channels, widths=(64, 128, 256, 512), blocks=2, shortcut=_projection)


def _resnet(n_channels: int, *, widths: tuple[int, ...], blocks: int, shortcut: Shortcut) -> nn.Sequential:
    n_in = widths[0]
    stem = [_conv3x3(n_channels, n_in), nn.BatchNorm2d(n_in), nn.ReLU()]
    stages: OrderedDict[str, nn.Module] = OrderedDict()
    for number, width in enumerate(widths):
        layers: list[nn.Module] = [] if number else stem
        for block in range(blocks):
            stride = 2 if number and block == 0 else 1
            layers.append(BasicBlock(n_in, width, stride, shortcut))
            n_in = width
        stages[f"stage{number + 1}"] = nn.Sequential(*layers)
    stages["pool"] = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return nn.Sequential(stages)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut.

    Parameters
    ----------
    n_in, n_out : int
        Channels.
    stride : int
        Of the first convolution.
    shortcut : callable
        Makes the shortcut where the shape changes; elsewhere it is the identity.
    """

    def __init__(self, n_in: int, n_out: int, stride: int, shortcut: Shortcut) -> None:
        super().__init__()
        self.conv1, self.norm1 = _conv3x3(n_in, n_out, stride), nn.BatchNorm2d(n_out)
        self.conv2, self.norm2 = _conv3x3(n_out, n_out), nn.BatchNorm2d(n_out)
        same = stride == 1 and n_in == n_out
        self.shortcut = nn.Identity() if same else shortcut(n_in, n_out, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, n_in, h, w) to (B, n_out, ceil(h / stride), ceil(w / stride))."""
        hidden = F.relu(self.norm1(self.conv1(x)))
        return F.relu(self.norm2(self.conv2(hidden)) + self.shortcut(x))


class _PaddedShortcut(nn.Module):
    """Every second pixel, and channels of zeros on both sides (option A of the paper)."""

    def __init__(self, n_in: int, n_out: int, stride: int) -> None:
        super().__init__()
        self.stride, self.before = stride, (n_out - n_in) // 2
        self.after = n_out - n_in - self.before

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.before, self.after))


def _projection(n_in: int, n_out: int, stride: int) -> nn.Module:
    convolution = nn.Conv2d(n_in, n_out, kernel_size=1, stride=stride, bias=False)
    nn.init.kaiming_normal_(convolution.weight)
    return nn.Sequential(convolution, nn.BatchNorm2d(n_out))


def _conv3x3(n_in: int, n_out: int, stride: int = 1) -> nn.Conv2d:
    layer = nn.Conv2d(n_in, n_out, kernel_size=3, stride=stride, padding=1, bias=False)
    nn.init.kaiming_normal_(layer.weight)
    return layer
