"""Programs and the engine that runs them, and what they stand on: devices, randomness, batches, optimizers."""

from latentover.training.adaptive import AdaptiveAugment, augment_chain
from latentover.training.augment import AUGMENTS, augment_images
from latentover.training.averaging import WeightAverage
from latentover.training.batches import (
    Batches,
    ClassBatches,
    ClassTuples,
    NaturalBatches,
    PairPool,
    batches_per_epoch,
    class_probabilities,
)
from latentover.training.callbacks import Callback
from latentover.training.capture import host_may_look
from latentover.training.checkpoints import Checkpoint
from latentover.training.device import autocast, full_precision, resolve_device, resolve_precision
from latentover.training.engine import Engine, apply_gradients, gradient_norm, weighted_sum
from latentover.training.memory import memory_kept
from latentover.training.optimizers import adam, make_optimizer
from latentover.training.policies import rand_augment, trivial_augment
from latentover.training.program import Action, Losses, Objective, Phase, Program
from latentover.training.randomness import Randomness, draw_seed, seeded
from latentover.training.schedules import SCHEDULES, learning_rate_factor, rate_over
from latentover.training.step_decay import StepDecay
from latentover.training.stopping import (
    COLLAPSED,
    CollapseWarning,
    ConstantPrediction,
    EarlyStopping,
    TrainingDiverged,
    diversity_ratio,
)
from latentover.training.turns import in_turns

__all__ = [
    "AUGMENTS",
    "COLLAPSED",
    "SCHEDULES",
    "Action",
    "AdaptiveAugment",
    "Batches",
    "Callback",
    "Checkpoint",
    "ClassBatches",
    "ClassTuples",
    "CollapseWarning",
    "ConstantPrediction",
    "EarlyStopping",
    "Engine",
    "Losses",
    "NaturalBatches",
    "Objective",
    "PairPool",
    "Phase",
    "Program",
    "Randomness",
    "StepDecay",
    "TrainingDiverged",
    "WeightAverage",
    "adam",
    "apply_gradients",
    "augment_chain",
    "augment_images",
    "autocast",
    "batches_per_epoch",
    "class_probabilities",
    "diversity_ratio",
    "draw_seed",
    "full_precision",
    "gradient_norm",
    "host_may_look",
    "in_turns",
    "learning_rate_factor",
    "make_optimizer",
    "memory_kept",
    "rand_augment",
    "rate_over",
    "resolve_device",
    "resolve_precision",
    "seeded",
    "trivial_augment",
    "weighted_sum",
]
