"""The methods, one file each, readable beside its paper."""

from latentover.methods.amdo import AMDO
from latentover.methods.bagan import BAGANSampler
from latentover.methods.ccr import MultiClassCCR
from latentover.methods.classical import ClassicalSampler
from latentover.methods.decisions import PriorAdjustedClassifier, TunedDecisionClassifier
from latentover.methods.deep_classifier import DeepClassifier
from latentover.methods.deepsmote import DeepSMOTE
from latentover.methods.dgc import DGCClassifier
from latentover.methods.filtered import FilteredSampler
from latentover.methods.flow import FlowSampler
from latentover.methods.gamo import GAMOClassifier, GAMOSampler
from latentover.methods.latent_oversampler import LatentOversampler
from latentover.methods.m2m import M2mClassifier
from latentover.methods.prior_corrected import PriorCorrectedClassifier
from latentover.methods.rae import RAEClassifier, RAESampler
from latentover.methods.rbo import MultiClassRBO
from latentover.methods.smoothed_bootstrap import SmoothedBootstrapSampler

__all__ = [
    "AMDO",
    "BAGANSampler",
    "ClassicalSampler",
    "DGCClassifier",
    "DeepClassifier",
    "DeepSMOTE",
    "FilteredSampler",
    "FlowSampler",
    "GAMOClassifier",
    "GAMOSampler",
    "LatentOversampler",
    "M2mClassifier",
    "MultiClassCCR",
    "MultiClassRBO",
    "PriorAdjustedClassifier",
    "PriorCorrectedClassifier",
    "RAEClassifier",
    "RAESampler",
    "SmoothedBootstrapSampler",
    "TunedDecisionClassifier",
]
