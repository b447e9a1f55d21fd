"""Coarse-to-fine transfer: what features that were learned from coarse labels know of the fine ones.

A network that draws all samples of a class together forgets how they differ (intra-class collapse); one that keeps some
breadth can still tell a coarse class's fine ones apart. A linear probe on frozen features measures it.
"""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from latentover.metrics.classification import acsa
from latentover.metrics.distances import as_features
from latentover.metrics.labels import as_labels

__all__ = ["CoarseToFine", "coarse_to_fine"]


class CoarseToFine(NamedTuple):
    """How well a linear probe finds fine classes.

    Attributes
    ----------
    fine : float
        Average class-specific accuracy over the fine classes.
    within_coarse : float
        The same where the probe may only choose among the fine classes of the true coarse one: chance is the mean over
        fine classes of 1 over their number in the coarse class, and what the coarse labels taught is no help.
    coarse : float
        Average class-specific accuracy of the coarse classes that the probe's fine ones belong to.
    """

    fine: float
    within_coarse: float
    coarse: float


def coarse_to_fine(
    features: ArrayLike,
    fine: ArrayLike,
    test_features: ArrayLike,
    test_fine: ArrayLike,
    coarse: ArrayLike,
) -> CoarseToFine:
    """Score a linear probe for fine classes on features that were learned from coarse ones.

    The probe is a multinomial logistic regression (L2 penalty, C = 1) on standardised features, with class weights, so
    that it is fair to fine classes of different sizes.

    Parameters
    ----------
    features : array-like of shape (n, d)
        Of training samples, from a network that never saw fine labels, such as
        ``DeepClassifier().fit(X, coarse).encode(X)``.
    fine : array-like of shape (n,)
        Fine labels of these samples; at least two classes.
    test_features : array-like of shape (n_test, d)
    test_fine : array-like of shape (n_test,)
        Classes that are in `fine` too.
    coarse : array-like of shape (n,)
        Coarse labels of the training samples. A fine class lies in one coarse class.

    Returns
    -------
    CoarseToFine

    Raises
    ------
    ValueError
        If lengths differ, there is one fine class only, a fine class lies in two coarse ones, or the test samples have
        a class that the training samples have not.

    References
    ----------
    "Asymptotic Midpoint Mixup for Margin Balancing and Moderate Broadening", arXiv 2401.14696, evaluates on this kind
    of transfer; the probe here is a standard one, for its details are not in the material that this was written from.

    Examples
    --------
    >>> import numpy as np
    >>> from latentover.metrics.transfer import coarse_to_fine
    >>> rng = np.random.default_rng(0)
    >>> fine = np.arange(200) % 4
    >>> kept = np.stack([fine // 2, fine % 2], axis=1) + rng.normal(scale=0.1, size=(200, 2))
    >>> collapsed = kept * [1, 0]  # nothing is left of how the fine classes of a coarse one differ
    >>> coarse_to_fine(kept[:100], fine[:100], kept[100:], fine[100:], fine[:100] // 2)
    CoarseToFine(fine=1.0, within_coarse=1.0, coarse=1.0)
    >>> coarse_to_fine(collapsed[:100], fine[:100], collapsed[100:], fine[100:], fine[:100] // 2).within_coarse < 0.7
    True
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    train, test = as_features(features, "features"), as_features(test_features, "test_features", at_least=1)
    y, y_test, groups = as_labels(fine, "fine"), as_labels(test_fine, "test_fine"), as_labels(coarse, "coarse")
    if not len(train) == len(y) == len(groups) or len(test) != len(y_test):
        raise ValueError(
            "Expected one label a feature vector, but got "
            f"{len(train)} vectors with {len(y)} fine and {len(groups)} coarse labels, and {len(test)} test vectors "
            f"with {len(y_test)} labels."
        )
    classes = np.unique(y)
    coarse_of = _coarse_classes(classes, y, groups)
    if len(classes) < 2:
        raise ValueError(f"Expected at least two fine classes, but got {classes.tolist()} alone.")
    if unknown := sorted(set(y_test.tolist()) - set(classes.tolist())):
        raise ValueError(f"Expected *test_fine* to hold classes of *fine*, but got {unknown[0]!r}.")
    probe: Any = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=1000))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # where the search stops is good enough to predict
        probe.fit(train, y)
    scores = probe.decision_function(test)
    scores = np.stack([-scores, scores], axis=1) if scores.ndim == 1 else scores
    true = coarse_of[np.searchsorted(classes, y_test)]
    among = np.where(coarse_of[None] == true[:, None], scores, -np.inf)
    found = scores.argmax(axis=1)
    return CoarseToFine(
        fine=acsa(y_test, classes[found]),
        within_coarse=acsa(y_test, classes[among.argmax(axis=1)]),
        coarse=acsa(true, coarse_of[found]),
    )


def _coarse_classes(classes: NDArray, fine: NDArray, coarse: NDArray) -> NDArray:
    """Return the coarse class of each fine one."""
    found = []
    for label in classes:
        groups = np.unique(coarse[fine == label])
        if len(groups) > 1:
            raise ValueError(
                f"Expected a fine class to lie in one coarse class, but {label.item()!r} lies in {groups.tolist()}."
            )
        found.append(groups[0])
    return np.array(found)
