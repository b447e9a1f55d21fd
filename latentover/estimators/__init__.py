"""What all methods share: data in and out, validation, seeds and devices, and the base classes."""

from latentover.estimators.base import BaseClassifier, BaseDataEstimator, BaseDeepEstimator, TrainingSet
from latentover.estimators.formats import ImageFormat, TableFormat, learn_format
from latentover.estimators.generator import BaseGenerator, Synthetic
from latentover.estimators.memorization import MemorizationReport
from latentover.estimators.sampler import BaseDeepSampler, BaseSampler
from latentover.estimators.watch import StoppableTraining, TrainingWatch

__all__ = [
    "BaseClassifier",
    "BaseDataEstimator",
    "BaseDeepEstimator",
    "BaseDeepSampler",
    "BaseGenerator",
    "BaseSampler",
    "ImageFormat",
    "MemorizationReport",
    "StoppableTraining",
    "Synthetic",
    "TableFormat",
    "TrainingSet",
    "TrainingWatch",
    "learn_format",
]
