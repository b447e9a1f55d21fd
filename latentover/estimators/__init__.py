"""What all methods share: data in and out, validation, seeds and devices, and the base classes."""

from latentover.estimators.base import BaseClassifier, BaseDataEstimator, BaseDeepEstimator, TrainingSet
from latentover.estimators.formats import ImageFormat, learn_format
from latentover.estimators.generator import BaseGenerator, NoBases, Synthetic
from latentover.estimators.latent import LatentSpace
from latentover.estimators.memorization import MemorizationReport
from latentover.estimators.moments import MatchedMoments
from latentover.estimators.parameters import (
    BatchSize,
    Expected,
    Fraction,
    Interval,
    Network,
    NonNegative,
    NonNegativeInt,
    Positive,
    PositiveInt,
    ProperFraction,
)
from latentover.estimators.pretrained import FewImagesWarning, PretrainedEncoder
from latentover.estimators.sampler import BaseDeepSampler, BaseSampler
from latentover.estimators.together import fit_many
from latentover.estimators.watch import StoppableTraining
from latentover.tables import TableFormat

__all__ = [
    "BaseClassifier",
    "BaseDataEstimator",
    "BaseDeepEstimator",
    "BaseDeepSampler",
    "BaseGenerator",
    "BaseSampler",
    "BatchSize",
    "Expected",
    "FewImagesWarning",
    "Fraction",
    "ImageFormat",
    "Interval",
    "LatentSpace",
    "MatchedMoments",
    "MemorizationReport",
    "Network",
    "NoBases",
    "NonNegative",
    "NonNegativeInt",
    "Positive",
    "PositiveInt",
    "PretrainedEncoder",
    "ProperFraction",
    "StoppableTraining",
    "Synthetic",
    "TableFormat",
    "TrainingSet",
    "fit_many",
    "learn_format",
]
