"""Is one method better than another? Tests over data sets or seeds, and the picture of their answer.

Scores come as a table with one row a block (a data set, or a data set and a seed) and one column a method.
``friedman`` asks whether there is any difference, ``shaffer`` which pairs differ, ``bayesian_signed_rank`` how probable
it is that one of two is better by more than a region of practical equivalence. Seeds of one data set are not
independent data sets: what they show holds for that data set. ``paired_difference`` compares two methods over the seeds
of one data set, ``corrected_resampled_t`` over its folds.
"""

from latentover.stats.bayesian import SignedRankPosterior, bayesian_signed_rank
from latentover.stats.diagram import critical_difference_diagram, equal_groups
from latentover.stats.paired import PairedDifference, paired_difference
from latentover.stats.ranks import (
    FriedmanTest,
    PairwiseTest,
    WilcoxonTest,
    friedman,
    holm,
    mean_ranks,
    shaffer,
    shaffer_factors,
    true_hypotheses,
    wilcoxon,
)
from latentover.stats.resampled import ResampledTTest, corrected_resampled_t

__all__ = [
    "FriedmanTest",
    "PairedDifference",
    "PairwiseTest",
    "ResampledTTest",
    "SignedRankPosterior",
    "WilcoxonTest",
    "bayesian_signed_rank",
    "corrected_resampled_t",
    "critical_difference_diagram",
    "equal_groups",
    "friedman",
    "holm",
    "mean_ranks",
    "paired_difference",
    "shaffer",
    "shaffer_factors",
    "true_hypotheses",
    "wilcoxon",
]
