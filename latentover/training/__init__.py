"""The training loop and what it stands on: devices, randomness, batches that live on the device, progress."""

from latentover.training.augment import AUGMENTS, augment_images
from latentover.training.batches import (
    batches_per_epoch,
    class_balanced_batches,
    class_probabilities,
    class_tuples,
    natural_batches,
)
from latentover.training.device import autocast, resolve_device, resolve_precision
from latentover.training.loop import Phase, TrainingDiverged, optimizer_step, train
from latentover.training.randomness import draw_seed, seeded
from latentover.training.schedules import SCHEDULES, learning_rate_factor

__all__ = [
    "AUGMENTS",
    "SCHEDULES",
    "Phase",
    "TrainingDiverged",
    "augment_images",
    "autocast",
    "batches_per_epoch",
    "class_balanced_batches",
    "class_probabilities",
    "class_tuples",
    "draw_seed",
    "learning_rate_factor",
    "natural_batches",
    "optimizer_step",
    "resolve_device",
    "resolve_precision",
    "seeded",
    "train",
]
