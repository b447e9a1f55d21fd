"""What all methods share: data in and out, validation, seeds and devices, and the two base classes."""

from latentover.estimators.base import (
    BaseClassifier,
    BaseDeepEstimator,
    BaseGenerator,
    BaseSampler,
    Synthetic,
    TrainingSet,
)
from latentover.estimators.formats import ImageFormat, TableFormat, learn_format
from latentover.estimators.watch import StoppableTraining, TrainingWatch

__all__ = [
    "BaseClassifier",
    "BaseDeepEstimator",
    "BaseGenerator",
    "BaseSampler",
    "ImageFormat",
    "StoppableTraining",
    "Synthetic",
    "TableFormat",
    "TrainingSet",
    "TrainingWatch",
    "learn_format",
]
