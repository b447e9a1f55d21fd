"""Accuracies of groups of classes: those with many, some and few training samples."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["shot_accuracies"]


def shot_accuracies(
    accuracy_per_class: ArrayLike, class_counts: ArrayLike, *, many: int = 100, few: int = 20
) -> dict[str, float]:
    """Mean accuracy of the classes with many, a medium number and few training samples.

    Parameters
    ----------
    accuracy_per_class : array-like of shape (n_classes,)
        Recalls, in [0, 1]; classes that are ``nan`` are left out.
    class_counts : array-like of shape (n_classes,)
        Training samples of each class.
    many : int, default=100
        A class with more has many.
    few : int, default=20
        A class with fewer has few.

    Returns
    -------
    dict
        ``many``, ``medium`` and ``few``, each a mean with one vote a class; ``nan`` for a group without classes.

    Raises
    ------
    ValueError
        If the lengths differ, or `few` is larger than `many`.

    References
    ----------
    Liu et al., "Large-Scale Long-Tailed Recognition in an Open World", CVPR 2019, section 4.

    Examples
    --------
    >>> from latentover.metrics.shots import shot_accuracies
    >>> shot_accuracies([0.9, 0.75, 0.25, 0.5], class_counts=[101, 100, 20, 19])
    {'many': 0.9, 'medium': 0.5, 'few': 0.5}
    """
    accuracies, counts = np.asarray(accuracy_per_class, dtype=np.float64), np.asarray(class_counts)
    if accuracies.shape != counts.shape:
        raise ValueError(
            f"Expected *accuracy_per_class* to have one entry a class, {counts.shape}, but got {accuracies.shape}."
        )
    if few > many:
        raise ValueError(f"Expected *few* to be at most *many*, {many}, but got {few}.")
    groups = {"many": counts > many, "medium": (counts >= few) & (counts <= many), "few": counts < few}
    found = {name: accuracies[of_group & ~np.isnan(accuracies)] for name, of_group in groups.items()}
    return {name: float(values.mean()) if len(values) else float("nan") for name, values in found.items()}
