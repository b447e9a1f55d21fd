"""The parts of an autoencoder for whatever shape the data has: one builder a part, and the mixer network."""

import copy
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from latentover.networks.conv import MIN_SIDE, ConvCritic, ConvDecoder, ConvEncoder, Upsampling
from latentover.networks.layers import LEAK, Dropout, batch_norm, linear
from latentover.networks.small_resnet import SmallResNet
from latentover.networks.tabular import TabularCritic, TabularDecoder, TabularEncoder

EncoderName = Literal["auto", "conv", "resnet"]
ENCODERS: tuple[str, ...] = get_args(EncoderName)
HIDDEN_UNITS_IMAGES = 1024
HIDDEN_UNITS_TABLES = 512


def check_input_shape(shape: tuple[int, ...]) -> None:
    """Raise ValueError unless `shape` is (d,) or (c, h, w) with sides of at least 8 pixels."""
    if len(shape) == 1 and shape[0] >= 1:
        return
    if len(shape) == 3 and shape[0] >= 1 and min(shape[1:]) >= MIN_SIDE:
        return
    raise ValueError(
        f"Expected rows of shape (d,) or images of shape (c, h, w) with sides of at least {MIN_SIDE} pixels, but got "
        f"{shape}; for images with their channels last pass channels_last=True, and pad smaller ones."
    )


def default_hidden_units(shape: tuple[int, ...], hidden_units: int | None) -> int:
    """Return `hidden_units`, or where it is None the papers' width for that kind of data."""
    if hidden_units is not None:
        return hidden_units
    return HIDDEN_UNITS_IMAGES if len(shape) == 3 else HIDDEN_UNITS_TABLES


def build_encoder(
    shape: tuple[int, ...],
    latent_dim: int,
    *,
    encoder: nn.Module | str = "auto",
    channels: int = 64,
    hidden_units: int | None = None,
    dropout: float = 0.4,
) -> nn.Module:
    """Return an encoder from inputs of `shape`, (d,) or (c, h, w), to latents of `latent_dim`.

    Parameters
    ----------
    encoder : {"auto", "conv", "resnet"} or nn.Module
        ``"auto"`` is ``"conv"`` for images and dense layers for tables. A module of the user's is copied and its
        output shape is checked.

    Raises
    ------
    ValueError
        For convolutions on a table, and a module that does not fit.
    """
    check_input_shape(shape)
    if isinstance(encoder, nn.Module):
        return _checked_copy(encoder, shape, latent_dim)
    if encoder not in ENCODERS:
        raise ValueError(f"Expected encoder to be one of {ENCODERS} or an nn.Module, but got {encoder!r}.")
    units = default_hidden_units(shape, hidden_units)
    if len(shape) == 3 and encoder == "resnet":
        return SmallResNet(shape, latent_dim, width=channels)
    if len(shape) == 3:
        return ConvEncoder(shape, latent_dim, channels=channels, hidden_units=units, dropout=dropout)
    if encoder != "auto":
        raise ValueError(
            f"Expected encoder to be 'auto' or an nn.Module for rows of length {shape[0]}, but got {encoder!r}, which "
            "is for images; pass image_shape if the rows are images."
        )
    return TabularEncoder(shape[0], latent_dim, hidden_units=units, dropout=dropout)


class StyledEncoder(nn.Module):
    """Two encoders side by side: one for what says the class, one for how a sample of it looks.

    Parameters
    ----------
    features, style : nn.Module
        From inputs (B, ...) to (B, m) and (B, s).
    """

    def __init__(self, features: nn.Module, style: nn.Module) -> None:
        super().__init__()
        self.features, self.style = features, style

    def forward(self, x: Tensor) -> Tensor:
        """Map inputs (B, ...) to latents (B, m + s), the features first."""
        return torch.cat([self.features(x), self.style(x)], dim=1)


class LeadingClassifier(nn.Module):
    """A linear classifier of the first m numbers of a latent: of its features, and not of its style."""

    def __init__(self, n_features: int, n_classes: int) -> None:
        super().__init__()
        self.n_features = n_features
        self.linear = linear(n_features, n_classes)

    def forward(self, z: Tensor) -> Tensor:
        """Map latents (B, m + s) to logits (B, C)."""
        return self.linear(z[:, : self.n_features])


def build_decoder(
    shape: tuple[int, ...],
    latent_dim: int,
    n_classes: int,
    *,
    channels: int = 64,
    hidden_units: int | None = None,
    upsampling: Upsampling = "resize",
) -> nn.Module:
    """Return a label-conditioned decoder from latents of `latent_dim` to outputs of `shape`; see `ConvDecoder`."""
    check_input_shape(shape)
    units = default_hidden_units(shape, hidden_units)
    if len(shape) == 3:
        return ConvDecoder(shape, latent_dim, n_classes, channels=channels, hidden_units=units, upsampling=upsampling)
    return TabularDecoder(shape[0], latent_dim, n_classes, hidden_units=units)


def build_critic(
    shape: tuple[int, ...],
    n_classes: int,
    *,
    channels: int = 64,
    hidden_units: int | None = None,
    conditional: bool = True,
) -> nn.Module:
    """Return a critic of inputs of `shape`, label-conditioned unless told otherwise."""
    check_input_shape(shape)
    units = default_hidden_units(shape, hidden_units)
    if len(shape) == 3:
        return ConvCritic(shape, n_classes, channels=channels, hidden_units=units, conditional=conditional)
    return TabularCritic(shape[0], n_classes, hidden_units=units, conditional=conditional)


def _checked_copy(encoder: nn.Module, shape: tuple[int, ...], latent_dim: int) -> nn.Module:
    encoder = copy.deepcopy(encoder).cpu()
    with torch.no_grad():
        produced = tuple(encoder.eval()(torch.zeros(2, *shape)).shape)
    if produced != (2, latent_dim):
        raise ValueError(
            f"Expected encoder to map inputs {(2, *shape)} to latents {(2, latent_dim)}, but it gave {produced}; set "
            "latent_dim (feature_dim of a DeepClassifier) to the length of its output or add a linear layer."
        )
    return encoder.train()


class Mixer(nn.Module):
    """Proposes the convex weights with which same-class latents are mixed.

    Four dense layers on the latents, noise and the one-hot label; a softmax makes the weights positive and sum to 1.

    Parameters
    ----------
    latent_dim : int
        Length m of a latent, and of the noise.
    n_classes : int
    n_components : int
        How many latents t are mixed.
    hidden_units : int
    dropout : float in [0, 1)
    activation : {"leaky_relu", "relu"}
        Of the dense layers; the paper has the first, with slope 0.2, and its authors' code the second.
    """

    def __init__(
        self,
        latent_dim: int,
        n_classes: int,
        *,
        n_components: int = 2,
        hidden_units: int = 1024,
        dropout: float = 0.4,
        activation: str = "leaky_relu",
    ) -> None:
        super().__init__()
        self.latent_dim = latent_dim
        layers: list[nn.Module] = []
        n_in = (n_components + 1) * latent_dim + n_classes
        for _ in range(4):
            bent = nn.LeakyReLU(LEAK) if activation == "leaky_relu" else nn.ReLU()
            layers += [linear(n_in, hidden_units), batch_norm(hidden_units), bent, Dropout(dropout)]
            n_in = hidden_units
        self.layers = nn.Sequential(*layers, linear(n_in, n_components))

    def forward(self, latents: Tensor, onehot: Tensor, noise: Tensor) -> Tensor:
        """Map latents (B, t, m), labels (B, C) and noise (B, m) to weights (B, t) whose rows sum to 1."""
        inputs = torch.cat([latents.flatten(1), noise.to(latents.dtype), onehot.to(latents.dtype)], dim=1)
        return self.layers(inputs).float().softmax(dim=1)
