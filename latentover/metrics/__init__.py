"""Scores, as functions of arrays: classification, generated samples, margins, geometry of features, calibration.

Every average over classes gives one vote a class, so that rare classes count as much as common ones.
``classification_scores`` and ``generation_scores`` give all scores at once, ready for JSON. Importing this package
imports numpy and scipy; torch is imported where neighbours are searched and networks run.
"""

from latentover.metrics.classification import acsa, classification_scores, gm_a, gm_b, gm_c, macro_f1, top1
from latentover.metrics.columns import correlation_ratio, cramers_v, kolmogorov_smirnov, spearman, total_variation
from latentover.metrics.confusion import (
    confusion_matrix,
    f1_per_class,
    precision_per_class,
    recall_per_class,
    specificity_per_class,
)
from latentover.metrics.copying import (
    ClassMemorization,
    ColumnCopies,
    Memorization,
    column_copies,
    diversity_per_class,
    diversity_ratio,
    exact_copies,
    memorization,
    memorization_per_class,
)
from latentover.metrics.distances import Extrapolation, FeatureStatistics, frechet_distance, frechet_infinity, kid
from latentover.metrics.features import (
    FeatureExtractor,
    as_extractor,
    callable_features,
    inception_features,
    module_features,
    pixel_features,
    unit_images,
)
from latentover.metrics.generation import check_comparable, equal_samples, generation_scores
from latentover.metrics.geometry import (
    alignment,
    class_alignment,
    class_uniformity,
    geometry_scores,
    linear_separability,
    neighborhood_uniformity,
    uniformity,
)
from latentover.metrics.intervals import Estimate, bootstrap_interval, classification_intervals
from latentover.metrics.judge import JudgeScore
from latentover.metrics.leakage import Leakage, check_leakage
from latentover.metrics.margin_analysis import (
    MarginFit,
    MarginPart,
    class_margins,
    majority_classes,
    margin_decomposition,
    margin_fit,
    margin_gap,
    margin_scores,
    margins,
)
from latentover.metrics.neighbors import (
    BallCounts,
    DensityCoverage,
    PrecisionRecall,
    ball_counts,
    density_coverage,
    nearest_distances,
    precision_recall,
)
from latentover.metrics.probabilistic import (
    ReliabilityBins,
    brier,
    ece,
    mauprc_ova,
    operating_points,
    prior_correction,
    reliability_bins,
)
from latentover.metrics.resampling_effect import ResamplingEffect, resampling_effect
from latentover.metrics.shots import shot_accuracies
from latentover.metrics.table_quality import table_quality
from latentover.metrics.table_results import TableQuality
from latentover.metrics.tracking import tracked_scores
from latentover.metrics.transfer import CoarseToFine, coarse_to_fine

__all__ = [
    "BallCounts",
    "ClassMemorization",
    "CoarseToFine",
    "ColumnCopies",
    "DensityCoverage",
    "Estimate",
    "Extrapolation",
    "FeatureExtractor",
    "FeatureStatistics",
    "JudgeScore",
    "Leakage",
    "MarginFit",
    "MarginPart",
    "Memorization",
    "PrecisionRecall",
    "ReliabilityBins",
    "ResamplingEffect",
    "TableQuality",
    "acsa",
    "alignment",
    "as_extractor",
    "ball_counts",
    "bootstrap_interval",
    "brier",
    "callable_features",
    "check_comparable",
    "check_leakage",
    "class_alignment",
    "class_margins",
    "class_uniformity",
    "classification_intervals",
    "classification_scores",
    "coarse_to_fine",
    "column_copies",
    "confusion_matrix",
    "correlation_ratio",
    "cramers_v",
    "density_coverage",
    "diversity_per_class",
    "diversity_ratio",
    "ece",
    "equal_samples",
    "exact_copies",
    "f1_per_class",
    "frechet_distance",
    "frechet_infinity",
    "generation_scores",
    "geometry_scores",
    "gm_a",
    "gm_b",
    "gm_c",
    "inception_features",
    "kid",
    "kolmogorov_smirnov",
    "linear_separability",
    "macro_f1",
    "majority_classes",
    "margin_decomposition",
    "margin_fit",
    "margin_gap",
    "margin_scores",
    "margins",
    "mauprc_ova",
    "memorization",
    "memorization_per_class",
    "module_features",
    "nearest_distances",
    "neighborhood_uniformity",
    "operating_points",
    "pixel_features",
    "precision_per_class",
    "precision_recall",
    "prior_correction",
    "recall_per_class",
    "reliability_bins",
    "resampling_effect",
    "shot_accuracies",
    "spearman",
    "specificity_per_class",
    "table_quality",
    "top1",
    "total_variation",
    "tracked_scores",
    "uniformity",
    "unit_images",
]
