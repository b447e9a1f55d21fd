"""The methods, one file each, readable beside its paper."""

from latentover.methods.deep_classifier import DeepClassifier
from latentover.methods.rae import RAEClassifier, RAESampler

__all__ = ["DeepClassifier", "RAEClassifier", "RAESampler"]
