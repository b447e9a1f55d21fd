"""What papers on imbalanced classification watch while a network learns, as one flat row of numbers an epoch."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from latentover.metrics.confusion import confusion_matrix, recalls
from latentover.metrics.geometry import geometry_scores
from latentover.metrics.margin_analysis import margin_scores
from latentover.metrics.shots import shot_accuracies

__all__ = ["tracked_scores"]


def tracked_scores(outputs: ArrayLike, features: ArrayLike, y: ArrayLike, class_counts: ArrayLike) -> dict[str, float]:
    """Margins, geometry of the features and accuracies of a classifier on some samples.

    Parameters
    ----------
    outputs : array-like of shape (n, n_classes)
        Logits, or cosines: margins of outputs on different scales cannot be compared.
    features : array-like of shape (n, d)
        What the last linear layer sees.
    y : integer array-like of shape (n,)
        Class numbers 0..n_classes-1; not every class has to be there.
    class_counts : array-like of shape (n_classes,)
        Training samples of each class.

    Returns
    -------
    dict of str to float
        What is not defined is left out.

        - ``margin``, the mean over classes of `class_margins`; ``margin_gap`` with classes weighted by training
          samples and ``margin_gap_by_support`` by their samples in *y*; see `margin_gap`;
        - ``margin_fit_`` and ``scale``, ``sum_of_squares``, ``root``, ``mean``; see `margin_fit`;
        - ``margin_majority_`` and ``margin_minority_`` and ``negative``, ``nonnegative``, ``error_rate``; see
          `margin_decomposition`;
        - ``class_alignment``, ``class_uniformity``, ``neighborhood_uniformity``, ``uniformity``; see `geometry_scores`;
        - ``accuracy``, the mean over classes, and those of the classes with ``accuracy_many``, ``accuracy_medium`` and
          ``accuracy_few`` training samples; see `shot_accuracies`;
        - ``accuracy_of_0``, ``margin_of_0`` and so on, of each class.

    Raises
    ------
    ValueError
        If the shapes do not fit or values are not finite.

    Examples
    --------
    >>> from latentover.metrics.tracking import tracked_scores
    >>> scores = tracked_scores(
    ...     outputs=[[2.0, 1.0], [1.0, 1.5], [0.0, 3.0]], features=[[1.0], [1.0], [-1.0]], y=[0, 0, 1],
    ...     class_counts=[90, 10],
    ... )
    >>> scores["margin_gap"], scores["accuracy_of_0"], scores["class_uniformity"]
    (-2.75, 0.5, 2.0)
    """
    scores = np.asarray(outputs, dtype=np.float64)
    found = margin_scores(scores, y, class_counts)
    classes = np.arange(scores.shape[1])
    accuracies = recalls(confusion_matrix(np.asarray(y), scores.argmax(axis=1), classes))
    per_class = found["class_margins"]
    known = [value for value in per_class if value is not None]
    row: dict[str, Any] = {
        "margin": float(np.mean(known)),
        "margin_gap": found["margin_gap"],
        "margin_gap_by_support": found["margin_gap_validation"],
        **{f"margin_fit_{name}": value for name, value in found["margin_fit"].items()},
        **{
            f"margin_{group}_{name}": part[name]
            for group, part in found["margin_decomposition"].items()
            for name in ("negative", "nonnegative", "error_rate")
        },
        **geometry_scores(features, y),
        "accuracy": float(np.nanmean(accuracies)),
        **{f"accuracy_{group}": value for group, value in shot_accuracies(accuracies, class_counts).items()},
        **{f"accuracy_of_{c}": value for c, value in enumerate(accuracies.tolist())},
        **{f"margin_of_{c}": value for c, value in enumerate(per_class)},
    }
    return {name: float(value) for name, value in row.items() if value is not None and not math.isnan(value)}
