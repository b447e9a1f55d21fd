"""Networks of the generative adversarial minority oversampling, but for its generator.

Mullick, Datta and Das, "Generative Adversarial Minority Oversampling", ICCV 2019, and its authors' code.
"""

import math
from itertools import pairwise

from torch import Tensor, nn

from latentover.networks.autoencoder import build_encoder
from latentover.networks.conv import n_stages
from latentover.networks.layers import doubling_conv, linear, with_label

LEAK = 0.1
VAE_HIDDEN, VAE_LATENT = 128, 100


def dense_layers(*sizes: int) -> nn.Sequential:
    """Return dense layers of these sizes with leaky ReLUs between them."""
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise(sizes[:-1]):
        layers += [linear(n_in, n_out), nn.LeakyReLU(LEAK)]
    return nn.Sequential(*layers, linear(sizes[-2], sizes[-1]))


class ConvExtractor(nn.Module):
    """Images in [-1, 1] to features in [-1, 1]: 5x5 convolutions with average pooling, then a dense layer and tanh."""

    def __init__(self, image_shape: tuple[int, int, int], feature_dim: int, *, channels: int = 32) -> None:
        super().__init__()
        n_in, height, width = image_shape
        stages = n_stages(height, width)
        if min(height, width) < 2**stages:
            raise ValueError(
                f"Expected images for GAMO's convolutions to have a shorter side of at least {2**stages} pixels where "
                f"the longer one is halved {stages} times, but got {height}x{width}; resize them, or pass an nn.Module "
                "as extractor."
            )
        layers: list[nn.Module] = []
        for _ in range(stages):
            conv = nn.Conv2d(n_in, channels, kernel_size=5, padding=2)
            nn.init.xavier_uniform_(conv.weight)
            assert conv.bias is not None
            nn.init.zeros_(conv.bias)
            layers += [conv, nn.LeakyReLU(LEAK), nn.AvgPool2d(2)]
            n_in, height, width = channels, height // 2, width // 2
        self.layers = nn.Sequential(*layers, nn.Flatten(), linear(n_in * height * width, feature_dim), nn.Tanh())

    def forward(self, x: Tensor) -> Tensor:
        """Map images (B, c, h, w) to features (B, d)."""
        return self.layers(x)


def build_extractor(shape: tuple[int, ...], extractor: nn.Module | str, feature_dim: int, channels: int) -> nn.Module:
    """Return the network from inputs to the features that are mixed; for ``"none"`` these are the inputs, flattened.

    Raises
    ------
    ValueError
        For convolutions on a table, and a module that does not fit.
    """
    images = len(shape) == 3
    if extractor == "none" or (extractor == "auto" and not images):
        return nn.Flatten()
    if images and extractor in ("auto", "conv"):
        return ConvExtractor(shape, feature_dim, channels=channels)  # type: ignore[arg-type]
    if extractor == "dense":
        return nn.Sequential(nn.Flatten(), linear(math.prod(shape), feature_dim), nn.Tanh())
    network = build_encoder(shape, feature_dim, encoder=extractor, channels=channels)
    return network if isinstance(extractor, nn.Module) else nn.Sequential(network, nn.Tanh())


class Discriminator(nn.Module):
    """Features with their label to a score in [0, 1]."""

    def __init__(self, n_features: int, n_classes: int, hidden_units: int) -> None:
        super().__init__()
        self.layers = dense_layers(n_features + n_classes, hidden_units, max(hidden_units // 2, 1), 1)

    def forward(self, features: Tensor, onehot: Tensor) -> Tensor:
        """Map features (B, d) and one-hot labels (B, C) to scores (B,)."""
        return self.layers(with_label(features, onehot)).squeeze(1).sigmoid()


class FeatureVAE(nn.Module):
    """GAMO2PIX: a variational autoencoder from features to the images, or rows, that they belong to.

    Parameters
    ----------
    feature_dim : int
    shape : (d,) or (c, h, w)
    channels : int
        Of the transposed convolutions.
    """

    def __init__(self, feature_dim: int, shape: tuple[int, ...], *, channels: int = 32) -> None:
        super().__init__()
        self.shape = shape
        self.hidden = nn.Sequential(linear(feature_dim, VAE_HIDDEN), nn.Tanh())
        self.mean, self.log_deviation = linear(VAE_HIDDEN, VAE_LATENT), linear(VAE_HIDDEN, VAE_LATENT)
        if len(shape) == 1:
            self.decoder = dense_layers(VAE_LATENT, VAE_HIDDEN, shape[0])
            return
        stages = n_stages(*shape[1:])
        grid = (channels, *(math.ceil(side / 2**stages) for side in shape[1:]))
        layers: list[nn.Module] = [linear(VAE_LATENT, math.prod(grid)), nn.LeakyReLU(LEAK), nn.Unflatten(1, grid)]
        for _ in range(stages):
            layers += [doubling_conv(channels, channels), nn.LeakyReLU(LEAK)]
        # TensorFlow's "same" of an even kernel: one pixel before and two behind.
        last = nn.Conv2d(channels, shape[0], kernel_size=4)
        self.decoder = nn.Sequential(*layers, nn.ZeroPad2d((1, 2, 1, 2)), last, nn.Tanh())

    def posterior(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Map features (B, d) to mean and log deviation (B, k) of the latents."""
        hidden = self.hidden(features)
        return self.mean(hidden), self.log_deviation(hidden)

    def decode(self, z: Tensor) -> Tensor:
        """Map latents (B, k) to images (B, c, h, w) in [-1, 1] or rows (B, d)."""
        x = self.decoder(z)
        # Halving rounds odd sides up, so doubling can overshoot by a few pixels.
        return x[..., : self.shape[1], : self.shape[2]] if x.dim() == 4 else x
