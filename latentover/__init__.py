"""latentover: fair classifiers and new samples of the rare classes, from imbalanced data.

Names are loaded when they are first used: ``import latentover`` alone imports neither torch nor matplotlib.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=[
        "callbacks",
        "data",
        "displays",
        "losses",
        "metrics",
        "mixing",
        "networks",
        "report",
        "stats",
        "training",
    ],
    submod_attrs={
        "bundle": ["load", "save"],
        "data.diagnosis": ["diagnose"],
        "displays": [
            "ColumnQualityDisplay",
            "CriticalDifferenceDisplay",
            "HistoryDisplay",
            "LatentMapDisplay",
            "RecallByClassDisplay",
            "ReliabilityDisplay",
            "SampleGridDisplay",
        ],
        "estimators.describe": ["describe_plan"],
        "estimators.together": ["fit_many"],
        "experiments.advise": ["advise"],
        "metrics.leakage": ["check_leakage"],
        "methods": [
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
        ],
    },
)
