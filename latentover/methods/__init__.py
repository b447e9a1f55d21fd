"""The methods, one file each, readable beside its paper."""

from latentover.methods.deep_classifier import DeepClassifier
from latentover.methods.m2m import M2mClassifier
from latentover.methods.rae import RAEClassifier, RAESampler

__all__ = ["DeepClassifier", "M2mClassifier", "RAEClassifier", "RAESampler"]
