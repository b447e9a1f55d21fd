"""Networks, as plain ``nn.Module`` objects that are sized to the data: images of any size from 8x8 up, and tables."""

from latentover.networks.autoencoder import (
    Mixer,
    build_critic,
    build_decoder,
    build_encoder,
    check_input_shape,
    default_hidden_units,
)
from latentover.networks.autoregressive import AutoregressiveDecoder
from latentover.networks.backbones import build_backbone, build_latent_encoder, load_backbone
from latentover.networks.conv import ConvCritic, ConvDecoder, ConvEncoder
from latentover.networks.cosine import CosineClassifier
from latentover.networks.flow import ImageFlow, RowFlow
from latentover.networks.resnet import resnet18, resnet32
from latentover.networks.small_resnet import SmallResNet
from latentover.networks.tabular import TabularCritic, TabularDecoder, TabularEncoder

__all__ = [
    "AutoregressiveDecoder",
    "ConvCritic",
    "ConvDecoder",
    "ConvEncoder",
    "CosineClassifier",
    "ImageFlow",
    "Mixer",
    "RowFlow",
    "SmallResNet",
    "TabularCritic",
    "TabularDecoder",
    "TabularEncoder",
    "build_backbone",
    "build_critic",
    "build_decoder",
    "build_encoder",
    "build_latent_encoder",
    "check_input_shape",
    "default_hidden_units",
    "load_backbone",
    "resnet18",
    "resnet32",
]
