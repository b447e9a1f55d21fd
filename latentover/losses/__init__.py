"""Losses, one family a file; pure functions of tensors, usable in any training loop."""

from latentover.losses.drw import DRW
from latentover.losses.focal import focal_loss
from latentover.losses.imbalance import (
    adjusted_logits,
    balanced_softmax_loss,
    class_balanced_weights,
    inverse_frequency_weights,
    post_hoc_logits,
)
from latentover.losses.latents import (
    ClassMoments,
    GaussianLatents,
    LatentAugmentation,
    VonMisesFisherLatents,
    gaussian_offsets,
    von_mises_fisher_logits,
)
from latentover.losses.ldam import LDAMLoss, ldam_margins
from latentover.losses.reductions import reduce_losses
from latentover.losses.soft import soft_cross_entropy, softmax_binary_cross_entropy
from latentover.losses.targets import as_outputs, reduce_over
from latentover.losses.wgan_gp import critic_loss, generator_loss, gradient_penalty

__all__ = [
    "DRW",
    "ClassMoments",
    "GaussianLatents",
    "LDAMLoss",
    "LatentAugmentation",
    "VonMisesFisherLatents",
    "adjusted_logits",
    "as_outputs",
    "balanced_softmax_loss",
    "class_balanced_weights",
    "critic_loss",
    "focal_loss",
    "gaussian_offsets",
    "generator_loss",
    "gradient_penalty",
    "inverse_frequency_weights",
    "ldam_margins",
    "post_hoc_logits",
    "reduce_losses",
    "reduce_over",
    "soft_cross_entropy",
    "softmax_binary_cross_entropy",
    "von_mises_fisher_logits",
]
