"""The training loop and what it stands on: devices, randomness, batches that live on the device, progress."""

from latentover.training.adaptive import AdaptiveAugment, augment_chain
from latentover.training.augment import AUGMENTS, augment_images
from latentover.training.averaging import WeightAverage
from latentover.training.batches import (
    ClassBatches,
    ClassTuples,
    NaturalBatches,
    PairPool,
    batches_per_epoch,
    class_probabilities,
)
from latentover.training.checkpoints import Checkpoint
from latentover.training.device import autocast, resolve_device, resolve_precision
from latentover.training.loop import Phase, TrainingDiverged, apply_gradients, gradient_norm, optimizer_step, train
from latentover.training.memory import memory_kept
from latentover.training.optimizers import OPTIMIZERS, make_optimizer, set_learning_rate
from latentover.training.randomness import Randomness, draw_seed, seeded
from latentover.training.schedules import SCHEDULES, learning_rate_factor
from latentover.training.step_decay import StepDecay
from latentover.training.stopping import (
    COLLAPSED,
    CollapseWarning,
    ConstantPrediction,
    EarlyStopping,
    diversity_ratio,
)

__all__ = [
    "AUGMENTS",
    "COLLAPSED",
    "OPTIMIZERS",
    "SCHEDULES",
    "AdaptiveAugment",
    "Checkpoint",
    "ClassBatches",
    "ClassTuples",
    "CollapseWarning",
    "ConstantPrediction",
    "EarlyStopping",
    "NaturalBatches",
    "PairPool",
    "Phase",
    "Randomness",
    "StepDecay",
    "TrainingDiverged",
    "WeightAverage",
    "apply_gradients",
    "augment_chain",
    "augment_images",
    "autocast",
    "batches_per_epoch",
    "class_probabilities",
    "diversity_ratio",
    "draw_seed",
    "gradient_norm",
    "learning_rate_factor",
    "make_optimizer",
    "memory_kept",
    "optimizer_step",
    "resolve_device",
    "resolve_precision",
    "seeded",
    "set_learning_rate",
    "train",
]
