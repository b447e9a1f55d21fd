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

__all__ = [
    "BaseClassifier",
    "BaseDeepEstimator",
    "BaseGenerator",
    "BaseSampler",
    "ImageFormat",
    "Synthetic",
    "TableFormat",
    "TrainingSet",
    "learn_format",
]
