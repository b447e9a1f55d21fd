"""A residual network that is trained from scratch on a laptop's CPU: nine layers, pooled early.

Its plan is that of the ResNet-9 of David C. Page ("How to train your ResNet", Myrtle.ai, 2018), narrower: a convolution
before each pooling, and identity blocks only where the image is small. For a second of CPU time it learned more than
residual networks of stride 2.
"""

from torch import Tensor, nn

from latentover.networks.conv import n_stages
from latentover.networks.layers import batch_norm, linear

FEATURE_SCALE = 1 / 8
"""What the maxima are multiplied with: unscaled they are so large that SGD diverges at the rates that suit the rest."""


class SmallResNet(nn.Module):
    """Images to feature vectors.

    ==============  =============================================  ============
    part            layers                                         28x28 grey
    ==============  =============================================  ============
    stem            conv w                                         w x 28 x 28
    first stage     conv 2w, pool, block                           2w x 14 x 14
    stages between  conv 4w, pool                                  4w x 7 x 7
    last stage      conv 8w, pool, block                           8w x 4 x 4
    head            maximum over positions / 8, dense feature_dim  feature_dim
    ==============  =============================================  ============

    Every convolution is 3x3 without bias, followed by batch normalisation and ReLU; a pool is the maximum over 2x2,
    before the normalisation, and rounds sides up; a block adds two such convolutions to its input. Images above 32
    pixels get more stages between, so that at most 4x4 positions remain.

    Parameters
    ----------
    image_shape : (c, h, w)
        Sides of at least 8 pixels.
    feature_dim : int
        Length of the feature vector.
    width : int, default=16
        Channels w of the stem. 28x28 grey images have 419,632 parameters at 16 channels and 64 features; they grow with
        the square of the channels.

    References
    ----------
    He et al., "Deep Residual Learning for Image Recognition", CVPR 2016.

    Examples
    --------
    >>> import torch
    >>> network = SmallResNet((1, 28, 28), 64)
    >>> network(torch.rand(2, 1, 28, 28)).shape
    torch.Size([2, 64])
    >>> sum(parameter.numel() for parameter in network.parameters())
    419632
    """

    def __init__(self, image_shape: tuple[int, int, int], feature_dim: int, *, width: int = 16) -> None:
        super().__init__()
        n_in, height, width_of_image = image_shape
        between = n_stages(height, width_of_image) - 1
        layers: list[nn.Module] = [_convolution(n_in, width)]
        layers += [_convolution(width, 2 * width, pool=True), _Block(2 * width)]
        n_in = 2 * width
        for _ in range(between):
            layers.append(_convolution(n_in, 4 * width, pool=True))
            n_in = 4 * width
        layers += [_convolution(n_in, 8 * width, pool=True), _Block(8 * width)]
        self.convolutions = nn.Sequential(*layers)
        self.dense = linear(8 * width, feature_dim)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (B, c, h, w) in [0, 1] to features (B, feature_dim)."""
        return self.dense(self.convolutions(x).amax(dim=(2, 3)) * FEATURE_SCALE)


class _Block(nn.Module):
    """Adds two convolutions to their input, (B, n, h, w) to (B, n, h, w)."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(_convolution(n, n), _convolution(n, n))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.convolutions(x)


def _convolution(n_in: int, n_out: int, *, pool: bool = False) -> nn.Sequential:
    layer = nn.Conv2d(n_in, n_out, kernel_size=3, padding=1, bias=False)
    nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    # Pooling rounds sides up, so that no pixel is lost and a side of one stays.
    pools = [nn.MaxPool2d(2, ceil_mode=True)] if pool else []
    return nn.Sequential(layer, *pools, batch_norm(n_out, images=True), nn.ReLU())
