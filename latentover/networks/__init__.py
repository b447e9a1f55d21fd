"""Networks, as plain ``nn.Module`` objects that are sized to the data: images of any size from 8x8 up, and tables."""

from latentover.networks.autoencoder import (
    Mixer,
    build_critic,
    build_decoder,
    build_encoder,
    check_input_shape,
    default_hidden_units,
)
from latentover.networks.conv import ConvCritic, ConvDecoder, ConvEncoder
from latentover.networks.tabular import TabularCritic, TabularDecoder, TabularEncoder

__all__ = [
    "ConvCritic",
    "ConvDecoder",
    "ConvEncoder",
    "Mixer",
    "TabularCritic",
    "TabularDecoder",
    "TabularEncoder",
    "build_critic",
    "build_decoder",
    "build_encoder",
    "check_input_shape",
    "default_hidden_units",
]
