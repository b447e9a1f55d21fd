"""Bodies of classifiers by name: the encoder of the autoencoder, residual networks, and those of torchvision."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from latentover.networks.autoencoder import ENCODERS, build_encoder, check_input_shape
from latentover.networks.conv import ConvEncoder
from latentover.networks.resnet import resnet18, resnet32
from latentover.networks.tabular import TabularEncoder

RESNETS = {"resnet32": (resnet32, 64), "resnet18": (resnet18, 512)}
"""From the name to the network and the length of its features."""


def build_backbone(
    shape: tuple[int, ...], backbone: nn.Module | str, *, feature_dim: int = 64, **size: Any
) -> tuple[nn.Module, int]:
    """Return a network from inputs of `shape`, (d,) or (c, h, w), to features, and the length of these.

    Parameters
    ----------
    shape : tuple of int
    backbone : nn.Module or str
        Features of ``"auto"``, ``"conv"``, ``"resnet"`` and of a module have length `feature_dim`, see `build_encoder`.
        ``"resnet32"`` and ``"resnet18"`` are those of `latentover.networks.resnet`; any other name is a classification
        model of torchvision without its last layer and without trained weights.
    feature_dim : int, default=64
    **size
        Of `build_encoder`: channels, hidden_units, dropout.

    Raises
    ------
    ValueError
        For an unknown name, a network for images on a table, and images that do not fit it.

    Examples
    --------
    >>> network, feature_dim = build_backbone((3, 32, 32), "resnet32")
    >>> feature_dim
    64
    """
    check_input_shape(shape)
    if not isinstance(backbone, str) or backbone in ENCODERS:
        return build_encoder(shape, feature_dim, encoder=backbone, **size), feature_dim
    if len(shape) != 3:
        raise ValueError(
            f"Expected backbone to be 'auto' or an nn.Module for rows of length {shape[0]}, but got {backbone!r}, "
            "which is for images; pass image_shape if the rows are images."
        )
    if backbone in RESNETS:
        build, length = RESNETS[backbone]
        return build(shape[0]), length
    return _of_torchvision(shape, backbone)


def unknown_backbone(backbone: nn.Module | str) -> str | None:
    """Return what is wrong with the name of a backbone, as "backbone to be ..., but got ..."; None if nothing is."""
    if not isinstance(backbone, str) or backbone in (*ENCODERS, *RESNETS):
        return None
    from torchvision import models

    if backbone in models.list_models(module=models):
        return None
    return (
        f"backbone to be one of {(*ENCODERS, *RESNETS)}, the name of a classification model of torchvision or an "
        f"nn.Module, but got {backbone!r}; torchvision.models.list_models() lists its names"
    )


def network_stages(network: nn.Module) -> list[nn.Module] | None:
    """Return the parts that a network runs one after the other, or None where that is not known.

    Known are an ``nn.Sequential``, whose parts are its modules, this package's ``"conv"`` and table
    encoders, and torchvision's residual networks.

    Examples
    --------
    >>> len(network_stages(resnet32()))  # three stages and the pooling
    4
    """
    if isinstance(network, nn.Sequential):
        return list(network)
    if isinstance(network, ConvEncoder):
        return [*_in_fours(network.convolutions), network.dense]
    if isinstance(network, TabularEncoder):
        return _in_fours(network.layers)
    if isinstance(network, _Torchvision) and all(hasattr(network.body, f"layer{i}") for i in (1, 2, 3, 4)):
        body: Any = network.body
        stem = nn.Sequential(network.channels, body.conv1, body.bn1, body.relu, body.maxpool, body.layer1)
        return [stem, body.layer2, body.layer3, nn.Sequential(body.layer4, body.avgpool, nn.Flatten())]
    return None


def hidden_stages(encoder: nn.Module, layers: Sequence[int]) -> list[nn.Module]:
    """Return the stages of an encoder behind which something is to happen.

    Parameters
    ----------
    encoder : nn.Module
    layers : sequence of int
        Behind which of them; 0 is the input.

    Raises
    ------
    ValueError
        If the encoder has no known stages, or fewer than `layers` asks for.
    """
    stages = network_stages(encoder)
    if stages is None and set(layers) == {0}:
        return [encoder]
    if stages is None:
        raise ValueError(
            f"Expected a backbone with stages to mix between, but those of {type(encoder).__name__} are not known; "
            "give an nn.Sequential, or layers=(0,), which mixes the inputs."
        )
    if max(layers) > len(stages):
        raise ValueError(
            f"Expected layers to be at most {len(stages)}, the stages of the backbone, but got {tuple(layers)!r}."
        )
    return stages


def run_stages(stages: Sequence[nn.Module], x: Tensor) -> Tensor:
    """Pass x (B, ...) through stages, one after the other."""
    for stage in stages:
        x = stage(x)
    return x


def _in_fours(layers: nn.Module) -> list[nn.Module]:
    """Cut layers into stages of convolution or dense layer, normalisation, activation and dropout."""
    assert isinstance(layers, nn.Sequential)
    return [layers[start : start + 4] for start in range(0, len(layers), 4)]


class _Torchvision(nn.Module):
    """A model of torchvision without its last layer, for images of one or three channels."""

    def __init__(self, body: nn.Module, n_channels: int) -> None:
        super().__init__()
        self.channels = _ThreeChannels() if n_channels == 1 else nn.Identity()
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        return self.body(self.channels(x))


class _ThreeChannels(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.expand(-1, 3, -1, -1)


def _of_torchvision(shape: tuple[int, ...], name: str) -> tuple[nn.Module, int]:
    from torchvision import models

    if problem := unknown_backbone(name):
        raise ValueError(f"Expected {problem}.")
    if shape[0] not in (1, 3):
        raise ValueError(
            f"Expected images of 1 or 3 channels for torchvision's {name}, but got {shape[0]}; pass an nn.Module that "
            "takes them."
        )
    body = models.get_model(name, weights=None)
    path, last = [(path, module) for path, module in body.named_modules() if isinstance(module, nn.Linear)][-1]
    parent, _, attribute = path.rpartition(".")
    setattr(body.get_submodule(parent), attribute, nn.Identity())
    if hasattr(body, "aux_logits"):
        body.aux_logits = False  # its second classifiers have nothing to do with the features
    network = _Torchvision(body, shape[0])
    try:
        with torch.no_grad():
            produced = tuple(network.eval()(torch.zeros(2, *shape)).shape)
    except (RuntimeError, AssertionError, ValueError) as error:
        raise ValueError(
            f"Expected images that torchvision's {name} can take, but those of shape {shape} are not: "
            f"{str(error).splitlines()[0]}; pass 'resnet18', which takes any from 8x8 up, or resize them."
        ) from error
    if produced != (2, last.in_features):
        raise ValueError(f"Expected torchvision's {name} to end in a linear layer, but it does not; choose another.")
    return network.train(), last.in_features
