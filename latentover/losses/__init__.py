"""Losses, one family a file; pure functions of tensors."""

from latentover.losses.imbalance import adjusted_logits, inverse_frequency_weights
from latentover.losses.wgan_gp import critic_loss, generator_loss, gradient_penalty

__all__ = [
    "adjusted_logits",
    "critic_loss",
    "generator_loss",
    "gradient_penalty",
    "inverse_frequency_weights",
]
