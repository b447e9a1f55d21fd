"""Scores of imbalanced classification: pure functions of arrays.

Every average runs over the classes that occur in ``y_true``, one vote a class, so that rare classes count as much as
common ones. ``classification_scores`` gives all of them at once, ready for JSON.
"""

from latentover.metrics.classification import acsa, classification_scores, gm_a, gm_b, gm_c, macro_f1, top1
from latentover.metrics.confusion import (
    confusion_matrix,
    f1_per_class,
    precision_per_class,
    recall_per_class,
    specificity_per_class,
)
from latentover.metrics.probabilistic import brier, ece, mauprc_ova

__all__ = [
    "acsa",
    "brier",
    "classification_scores",
    "confusion_matrix",
    "ece",
    "f1_per_class",
    "gm_a",
    "gm_b",
    "gm_c",
    "macro_f1",
    "mauprc_ova",
    "precision_per_class",
    "recall_per_class",
    "specificity_per_class",
    "top1",
]
