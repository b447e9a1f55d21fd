"""Bodies of classifiers and encoders by name: our own networks, and those of torchvision and timm, with weights."""

import os
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from latentover.networks.autoencoder import ENCODERS, build_encoder, check_input_shape
from latentover.networks.conv import ConvEncoder
from latentover.networks.layers import linear
from latentover.networks.pretrained import CACHE, Frozen, fit_weights, is_bundle, read_weights
from latentover.networks.resnet import resnet18, resnet32
from latentover.networks.small_resnet import SmallResNet
from latentover.networks.tabular import TabularEncoder

RESNETS = {"resnet32": (resnet32, 64), "resnet18": (resnet18, 512)}
"""From the name to the network and the length of its features."""
OURS = (*ENCODERS, *RESNETS)
TIMM, TORCHVISION = "timm/", "torchvision/"
Weights = str | os.PathLike[str] | None
"""A path, ``"cache"`` or nothing."""


def build_backbone(
    shape: tuple[int, ...],
    backbone: nn.Module | str,
    *,
    feature_dim: int = 64,
    weights: Weights = None,
    image_size: int | None = None,
    freeze: bool = False,
    **size: Any,
) -> tuple[nn.Module, int]:
    """Return a network from inputs of `shape`, (d,) or (c, h, w), to features, and the length of these.

    Parameters
    ----------
    shape : tuple of int
    backbone : nn.Module or str
        Features of ``"auto"``, ``"conv"``, ``"resnet"`` and of a module have length `feature_dim`, see `build_encoder`.
        ``"resnet32"`` and ``"resnet18"`` are those of `latentover.networks.resnet`; any other name is a classification
        model of torchvision, ``"timm/<name>"`` a model of timm, both without the last layer; ``"torchvision/<name>"``
        is torchvision's where we have a network of that name.
    feature_dim : int, default=64
    weights : path or "cache", optional
        What the network is going to be given by `load_backbone`; nothing is read here. With weights from a file or the
        cache the models of torchvision and timm see images as they did in their training, of their size and
        standardised by the channels' published means and deviations. Otherwise, and with weights of a bundle, they see
        them as they are.
    image_size : int, optional
        Side in pixels that images are brought to for a model of torchvision or timm.
    freeze : bool, default=False
        Whether the network keeps its weights and running statistics. The last dense layer of ``"auto"``, ``"conv"`` and
        ``"resnet"``, which makes the features, learns all the same.
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
        network = build_encoder(shape, feature_dim, encoder=backbone, **size)
        return Frozen(network, _last_layer(network)) if freeze else network, feature_dim
    if len(shape) != 3:
        raise ValueError(
            f"Expected backbone to be 'auto' or an nn.Module for rows of length {shape[0]}, but got {backbone!r}, "
            "which is for images; pass image_shape if the rows are images."
        )
    if backbone in RESNETS:
        build, length = RESNETS[backbone]
        network = build(shape[0])
    else:
        network, length = _published(shape, backbone, weights, image_size)
    return Frozen(network) if freeze else network, length


def build_latent_encoder(
    shape: tuple[int, ...], latent_dim: int, encoder: nn.Module | str, *, freeze: bool = False, **options: Any
) -> nn.Module:
    """Return an encoder to latents of `latent_dim`: a `build_backbone`, with a dense layer behind one of other length.

    That layer learns, also where the backbone is frozen.

    Examples
    --------
    >>> import torch
    >>> encoder = build_latent_encoder((3, 32, 32), 7, "resnet32", freeze=True)
    >>> encoder(torch.rand(2, 3, 32, 32)).shape
    torch.Size([2, 7])
    >>> [name for name, weight in encoder.named_parameters() if weight.requires_grad]
    ['head.weight', 'head.bias']
    """
    backbone, length = build_backbone(shape, encoder, feature_dim=latent_dim, freeze=freeze, **options)
    if not isinstance(encoder, str) or encoder in ENCODERS:
        return backbone
    return nn.Sequential(OrderedDict(backbone=backbone, head=linear(length, latent_dim)))


def load_backbone(network: nn.Module, backbone: nn.Module | str, weights: str | os.PathLike[str]) -> None:
    """Give what `build_backbone` or `build_latent_encoder` returned the weights of a file, a bundle or the cache.

    Of a model of torchvision or timm the last layer is left out, whatever classes it knew; of our own networks too
    where it has another length.

    Raises
    ------
    FileNotFoundError
        If there is no such file, and if the cache does not have it; nothing is ever fetched.
    ValueError
        If they are of another network.
    """
    path = _cached(backbone) if os.fspath(weights) == CACHE else Path(weights)
    given = read_weights(path)
    network = getattr(network, "backbone", network) if isinstance(backbone, str) else network
    network = network.network if isinstance(network, Frozen) else network
    if isinstance(network, _Published):
        fit_weights(network.body, given, path, dropped=network.dropped)
    else:
        fit_weights(network, given, path, head=_last_layer(network))


def _last_layer(network: nn.Module) -> str:
    """Return the name of the dense layer that makes the features of one of our own networks; empty for others."""
    if isinstance(network, SmallResNet):
        return "dense"
    if isinstance(network, ConvEncoder | TabularEncoder):
        return [name for name, module in network.named_modules() if isinstance(module, nn.Linear)][-1]
    return ""


def is_published(backbone: nn.Module | str) -> bool:
    """Return whether it names a model of torchvision or timm."""
    return isinstance(backbone, str) and backbone not in OURS


def unknown_backbone(backbone: nn.Module | str, parameter: str = "backbone") -> str | None:
    """Return what is wrong with the name of a backbone, as "backbone to be ..., but got ..."; None if nothing is."""
    if not is_published(backbone):
        return None
    assert isinstance(backbone, str)
    try:
        if _library(backbone).knows(backbone):
            return None
    except _CannotImportError as error:
        return f"{parameter} to be one of {OURS} or an nn.Module, but got {backbone!r}: {error}"
    return (
        f"{parameter} to be one of {OURS}, the name of a classification model of torchvision, one of timm "
        f"('timm/<name>') or an nn.Module, but got {backbone!r}; torchvision.models.list_models() and "
        "timm.list_models() list their names"
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
    if isinstance(network, Frozen):
        return network_stages(network.network)
    if isinstance(network, nn.Sequential):
        return list(network)
    if isinstance(network, ConvEncoder):
        return [*_in_fours(network.convolutions), network.dense]
    if isinstance(network, TabularEncoder):
        return _in_fours(network.layers)
    if isinstance(network, _Published) and all(hasattr(network.body, f"layer{i}") for i in (1, 2, 3, 4)):
        body: Any = network.body
        stem = nn.Sequential(network.entry, body.conv1, body.bn1, body.relu, body.maxpool, body.layer1)
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


# ---- Models of torchvision and timm ----------------------------------------------------------------------------------


class _CannotImportError(Exception):
    """The library of a model is missing, or does not go with this torch."""


class _Input(NamedTuple):
    """How a model saw images in its training: the side in pixels, and the channels' means and deviations."""

    side: int
    mean: Sequence[float]
    std: Sequence[float]


class _Entry(nn.Module):
    """Images as a published model takes them: three channels, its size, standardised."""

    def __init__(self, size: int | None, seen: _Input | None) -> None:
        super().__init__()
        self.mean: Tensor
        self.std: Tensor
        self.size, self.standardizes = size, seen is not None
        if seen is not None:
            self.register_buffer("mean", torch.tensor(seen.mean)[:, None, None])
            self.register_buffer("std", torch.tensor(seen.std)[:, None, None])

    def forward(self, x: Tensor) -> Tensor:
        if self.size is not None and x.shape[-2:] != (self.size, self.size):
            smaller = max(x.shape[-2:]) > self.size
            x = F.interpolate(x, (self.size, self.size), mode="bilinear", antialias=smaller)
        x = (x - self.mean) / self.std if self.standardizes else x
        return x if x.shape[1] == 3 else x.expand(-1, 3, -1, -1)


class _Published(nn.Module):
    """A model of torchvision or timm without its last layer, for images of one or three channels.

    Attributes
    ----------
    dropped : tuple of str
        Layers of the whole model that are not there.
    """

    def __init__(self, body: nn.Module, entry: _Entry, dropped: tuple[str, ...]) -> None:
        super().__init__()
        self.entry, self.body, self.dropped = entry, body, dropped

    def forward(self, x: Tensor) -> Tensor:
        return self.body(self.entry(x))


class _OfTorchvision:
    name = "torchvision"

    @staticmethod
    def models() -> Any:
        try:
            from torchvision import models
        except Exception as error:  # RuntimeError too, from one that was built for another torch
            raise _CannotImportError(
                f"torchvision cannot be imported ({_reason(error)}); install the one that belongs to your torch"
            ) from error
        return models

    def knows(self, backbone: str) -> bool:
        models = self.models()
        return backbone.removeprefix(TORCHVISION) in models.list_models(module=models)

    def build(self, backbone: str) -> tuple[nn.Module, tuple[str, ...], int]:
        """Return the model without its last layer, the names of layers that are gone, the length of its features."""
        body = self.models().get_model(backbone.removeprefix(TORCHVISION), weights=None)
        layers = [(path, module) for path, module in body.named_modules() if isinstance(module, nn.Linear)]
        if not layers:
            raise ValueError(_headless(backbone))
        path, last = layers[-1]
        parent, _, attribute = path.rpartition(".")
        setattr(body.get_submodule(parent), attribute, nn.Identity())
        gone = [path]
        if hasattr(body, "aux_logits"):  # second classifiers, which have nothing to do with the features
            body.aux_logits = False
            for name in ("aux1", "aux2", "AuxLogits"):
                if hasattr(body, name):
                    setattr(body, name, None)
                    gone.append(name)
        return body, tuple(gone), last.in_features

    def seen(self, backbone: str) -> _Input:
        transforms = self._published(backbone).transforms()
        return _Input(transforms.crop_size[0], transforms.mean, transforms.std)

    def _published(self, backbone: str) -> Any:
        return self.models().get_model_weights(backbone.removeprefix(TORCHVISION)).DEFAULT

    def cached(self, backbone: str) -> tuple[list[Path], str]:
        """Return where published weights would lie, and where they come from."""
        url = self._published(backbone).url
        return [_hub() / url.rpartition("/")[2]], url


class _OfTimm:
    name = "timm"

    @staticmethod
    def timm() -> Any:
        try:
            import timm
        except Exception as error:
            raise _CannotImportError(
                f"timm cannot be imported ({_reason(error)}); pip install 'latentover[timm]'"
            ) from error
        return timm

    def knows(self, backbone: str) -> bool:
        return self.timm().is_model(backbone.removeprefix(TIMM))

    def build(self, backbone: str) -> tuple[nn.Module, tuple[str, ...], int]:
        """Return the model without its last layer, the names of layers that are gone, the length of its features."""
        body = self.timm().create_model(backbone.removeprefix(TIMM), pretrained=False, num_classes=0)
        last = body.pretrained_cfg.get("classifier") or ()
        return body, (last,) if isinstance(last, str) else tuple(last), body.head_hidden_size

    def seen(self, backbone: str) -> _Input:
        published = self._published(backbone)
        return _Input(published.input_size[-1], published.mean, published.std)

    def _published(self, backbone: str) -> Any:
        return self.timm().get_pretrained_cfg(backbone.removeprefix(TIMM), allow_unregistered=True)

    def cached(self, backbone: str) -> tuple[list[Path], str]:
        """Return where published weights would lie, and where they come from."""
        published, places = self._published(backbone), []
        if published.hf_hub_id:
            from huggingface_hub import try_to_load_from_cache

            files = (published.hf_hub_filename or "model.safetensors", "model.safetensors", "pytorch_model.bin")
            found = (try_to_load_from_cache(published.hf_hub_id, file) for file in files)
            places = [Path(path) for path in found if isinstance(path, str)]
        if published.url:
            places.append(_hub() / published.url.rpartition("/")[2])
        return places, f"https://huggingface.co/{published.hf_hub_id}" if published.hf_hub_id else published.url


def _library(backbone: str) -> _OfTorchvision | _OfTimm:
    return _OfTimm() if backbone.startswith(TIMM) else _OfTorchvision()


def _hub() -> Path:
    return Path(torch.hub.get_dir()) / "checkpoints"


def _cached(backbone: nn.Module | str) -> Path:
    """Return the file of published weights, if somebody has fetched it before."""
    if not is_published(backbone):
        name = backbone if isinstance(backbone, str) else type(backbone).__name__
        raise ValueError(
            "Expected encoder_weights to be a path for a network that nobody publishes weights of, but got 'cache' for "
            f"{name!r}; name a model of torchvision or timm."
        )
    assert isinstance(backbone, str)
    places, origin = _library(backbone).cached(backbone)
    found = [place for place in places if place.is_file()]
    if not found:
        where = " or ".join(map(str, places)) or "the cache of Hugging Face"
        raise FileNotFoundError(
            f"Expected the weights of {backbone} in {where}, but they are not there, and nothing is fetched unasked; "
            f"get them from {origin} and put them there, or pass encoder_weights=<path of the file>."
        )
    return found[0]


def _published(
    shape: tuple[int, ...], backbone: str, weights: Weights, image_size: int | None
) -> tuple[nn.Module, int]:
    if problem := unknown_backbone(backbone):
        raise ValueError(f"Expected {problem}.")
    library = _library(backbone)
    name = f"{library.name}'s {backbone.removeprefix(TIMM).removeprefix(TORCHVISION)}"
    if shape[0] not in (1, 3):
        raise ValueError(
            f"Expected images of 1 or 3 channels for {name}, but got {shape[0]}; pass an nn.Module that takes them."
        )
    body, dropped, length = library.build(backbone)
    seen = None if weights is None or is_bundle(weights) else library.seen(backbone)
    size = seen.side if image_size is None and seen is not None else image_size
    network = _Published(body, _Entry(size, seen), dropped)
    try:
        with torch.no_grad():
            produced = tuple(network.eval()(torch.zeros(2, *shape)).shape)
    except (RuntimeError, AssertionError, ValueError) as error:
        raise ValueError(
            f"Expected images that {name} can take, but those of shape {shape} are not: {_reason(error)}; "
            "pass encoder_size=224, to which they are brought then, or 'resnet18', which takes any from 8x8 up."
        ) from error
    if produced != (2, length):
        raise ValueError(_headless(backbone))
    return network.train(), length


def _reason(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].removesuffix(".")


def _headless(backbone: str) -> str:
    return f"Expected a backbone that ends in a linear layer, but {backbone} does not; choose another."
