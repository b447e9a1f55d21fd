"""Geometry of features: how tight classes are, how far apart, and whether a hyperplane parts them.

Alignment and uniformity look at directions: features are scaled to length 1 first, and a vector of zeros stays zero.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import scipy.special
from numpy.typing import ArrayLike, NDArray

from latentover.metrics.distances import as_features
from latentover.metrics.labels import as_labels
from latentover.seeds import as_random_state

__all__ = [
    "alignment",
    "class_alignment",
    "class_uniformity",
    "geometry_scores",
    "linear_separability",
    "neighborhood_uniformity",
    "uniformity",
]

_CHUNK = 2**21  # elements of a block of products: 16 MB in float64
_FOLDS = 5


def alignment(first: ArrayLike, second: ArrayLike, *, alpha: float = 2.0) -> float:
    r"""Mean distance of positive pairs, :math:`\mathrm{mean}_i \|u_i - v_i\|^\alpha`.

    Parameters
    ----------
    first, second : array-like of shape (n, d)
        Features of the two halves of each pair: two views of a sample, or two samples of a class.
    alpha : float, default=2.0

    Returns
    -------
    float
        In [0, 2^alpha]; lower is better.

    Raises
    ------
    ValueError
        If the shapes differ or values are not finite.

    References
    ----------
    Wang, Isola: Understanding Contrastive Representation Learning through Alignment and Uniformity on the
    Hypersphere, ICML 2020, section 4.1.

    Examples
    --------
    >>> import math
    >>> from latentover.metrics import alignment
    >>> round(alignment([[1.0, 0.0]], [[math.cos(0.1), math.sin(0.1)]]), 8)
    0.00999167
    """
    u, v = _directions(first, "first", at_least=1), _directions(second, "second", at_least=1)
    if u.shape != v.shape:
        raise ValueError(f"Expected pairs of features of one shape, but got {u.shape} and {v.shape}.")
    return float(np.mean(np.linalg.norm(u - v, axis=1) ** alpha))


def uniformity(features: ArrayLike, *, t: float = 2.0) -> float:
    r"""How evenly features fill the sphere: :math:`\log \mathrm{mean}_{i < j} \exp(-t \|u_i - u_j\|^2)`.

    Parameters
    ----------
    features : array-like of shape (n, d)
        At least two.
    t : float, default=2.0

    Returns
    -------
    float
        In [-4 t, 0]; lower is more uniform.

    References
    ----------
    Wang, Isola, ICML 2020, section 4.1; see `alignment`.

    Examples
    --------
    >>> from latentover.metrics import uniformity
    >>> round(uniformity([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]]), 6)
    -4.396349
    """
    u = _directions(features, "features")
    n, sums = len(u), []
    for start, squares in _squared_distances(u, u):
        squares[np.arange(len(squares)), start + np.arange(len(squares))] = np.inf  # not with itself
        sums.append(scipy.special.logsumexp(-t * squares))
    return float(scipy.special.logsumexp(sums) - np.log(n * (n - 1)))


def class_alignment(features: ArrayLike, y: ArrayLike) -> float:
    r"""Mean over classes of the mean distance within a class, pairs of a sample with itself included.

    :math:`\frac{1}{C} \sum_c |F_c|^{-2} \sum_{u, v \in F_c} \|u - v\|_2`

    Parameters
    ----------
    features : array-like of shape (n, d)
    y : array-like of shape (n,)
        Labels; every class has one vote, and one of a single sample contributes 0.

    Returns
    -------
    float
        In [0, 2]; lower is tighter. Near 0 the classes have collapsed to points.

    References
    ----------
    Li, Cao, Yuan, Fan, Yang, Feris, Indyk, Katabi: Targeted Supervised Contrastive Learning for Long-Tailed
    Recognition, CVPR 2022, which gives these measures their long-tailed form.

    Examples
    --------
    >>> from latentover.metrics import class_alignment
    >>> class_alignment([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]], ["a", "a", "b"])
    0.5
    """
    u, codes, n_classes = _by_class(features, y)
    means = []
    for c in range(n_classes):
        own = u[codes == c]
        means.append(sum(np.sqrt(squares).sum() for _, squares in _squared_distances(own, own)) / len(own) ** 2)
    return float(np.mean(means))


def class_uniformity(features: ArrayLike, y: ArrayLike) -> float:
    r"""Mean distance between the normalised means of two classes, :math:`\frac{1}{C(C-1)} \sum \|\mu_c - \mu_{c'}\|`.

    Parameters
    ----------
    features, y
        See `class_alignment`; at least two classes.

    Returns
    -------
    float
        In [0, 2]; higher is better spread.

    Raises
    ------
    ValueError
        If there is one class only.

    Examples
    --------
    >>> from latentover.metrics import class_uniformity
    >>> class_uniformity([[1.0, 0.0], [-1.0, 0.0]], [0, 1])
    2.0
    """
    between = _between_means(features, y)
    return float(between[~np.eye(len(between), dtype=bool)].mean())


def neighborhood_uniformity(features: ArrayLike, y: ArrayLike, *, k: int | None = None) -> float:
    """Mean distance from the mean of a class to its k nearest ones of other classes.

    Parameters
    ----------
    features, y
        See `class_alignment`; at least two classes.
    k : int, optional
        In 1..C-1. By default a tenth of the classes, at least one.

    Returns
    -------
    float
        In [0, 2]; higher is better spread.

    Raises
    ------
    ValueError
        If there is one class only or *k* is out of range.

    Examples
    --------
    >>> from latentover.metrics import neighborhood_uniformity
    >>> round(neighborhood_uniformity([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]], [0, 1, 2]), 6)
    1.414214
    """
    between = _between_means(features, y)
    n_classes = len(between)
    if k is None:
        k = max(1, n_classes // 10)
    if not 1 <= k <= n_classes - 1:
        raise ValueError(f"Expected *k* to be in 1..{n_classes - 1}, the number of other classes, but got {k}.")
    np.fill_diagonal(between, np.inf)
    return float(np.sort(between, axis=1)[:, :k].mean())


def geometry_scores(features: ArrayLike, y: ArrayLike) -> dict[str, float | None]:
    """All of them at once, ready for JSON; cheap enough for once an epoch on validation data.

    Parameters
    ----------
    features : array-like of shape (n, d)
        What the last linear layer sees.
    y : array-like of shape (n,)

    Returns
    -------
    dict
        ``class_alignment``, ``class_uniformity``, ``neighborhood_uniformity`` (``None`` with one class) and
        ``uniformity`` (``None`` with one sample).

    Examples
    --------
    >>> from latentover.metrics import geometry_scores
    >>> scores = geometry_scores([[1.0, 0.0], [1.0, 0.0], [-1.0, 0.0]], [0, 0, 1])
    >>> scores["class_alignment"], scores["class_uniformity"]
    (0.0, 2.0)
    """
    several = len(np.unique(as_labels(y, "y"))) > 1
    return {
        "class_alignment": class_alignment(features, y),
        "class_uniformity": class_uniformity(features, y) if several else None,
        "neighborhood_uniformity": neighborhood_uniformity(features, y) if several else None,
        "uniformity": uniformity(features) if len(np.asarray(y)) > 1 else None,
    }


def linear_separability(features: ArrayLike, y: ArrayLike, *, random_state: Any = 0) -> dict[Any, float]:
    """How well a hyperplane parts each class from all others, on samples that it was not fitted to.

    A logistic regression of the class against the rest, both sides weighted alike, on standardised features; its
    balanced accuracy is cross-validated with five folds, fewer for classes of fewer samples.

    Parameters
    ----------
    features : array-like of shape (n, d)
        For example the latents of an autoencoder.
    y : array-like of shape (n,)
        Labels of at least two classes.
    random_state : int, RandomState or None, default=0
        Of the folds.

    Returns
    -------
    dict of label to float
        In [0, 1]: 1 is perfect and 0.5 is chance; ``nan`` for a class of a single sample, or all others of one.

    Raises
    ------
    ValueError
        If features and labels differ in length or there is one class only.

    Examples
    --------
    >>> import numpy as np
    >>> from latentover.metrics import linear_separability
    >>> rng = np.random.default_rng(0)
    >>> y = np.repeat(["left", "right"], 50)
    >>> linear_separability(rng.normal(size=(100, 2)) + 20 * (y == "right")[:, None], y)
    {'left': 1.0, 'right': 1.0}
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    array, labels = as_features(features, "features"), as_labels(y, "y")
    _check_lengths(array, labels)
    as_random_state(random_state)  # refused here, by its name
    classes = np.unique(labels)
    if len(classes) < 2:
        raise ValueError(f"Expected at least two classes to part, but got {classes.tolist()} alone.")
    model = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=1000))
    found = {}
    for label in classes:
        own = labels == label
        n_folds = min(_FOLDS, int(own.sum()), int((~own).sum()))
        if n_folds < 2:
            found[label.item()] = float("nan")
            continue
        folds = StratifiedKFold(n_folds, shuffle=True, random_state=random_state)
        with warnings.catch_warnings():
            # Perfectly separable classes have no finite optimum; where the search stops is good enough to predict.
            warnings.simplefilter("ignore", ConvergenceWarning)
            predicted = cross_val_predict(model, array, own, cv=folds)
        found[label.item()] = float((predicted[own].mean() + (~predicted[~own]).mean()) / 2)
    return found


def _directions(features: ArrayLike, name: str, at_least: int = 2) -> NDArray:
    array = as_features(features, name, at_least).astype(np.float64)
    return array / np.maximum(np.linalg.norm(array, axis=1, keepdims=True), np.finfo(np.float64).tiny)


def _by_class(features: ArrayLike, y: ArrayLike) -> tuple[NDArray, NDArray, int]:
    u, labels = _directions(features, "features", at_least=1), as_labels(y, "y")
    _check_lengths(u, labels)
    classes, codes = np.unique(labels, return_inverse=True)
    return u, codes, len(classes)


def _check_lengths(features: NDArray, labels: NDArray) -> None:
    if len(features) != len(labels):
        raise ValueError(
            f"Expected one label a feature vector, but got {len(features)} vectors and {len(labels)} labels."
        )


def _between_means(features: ArrayLike, y: ArrayLike) -> NDArray:
    u, codes, n_classes = _by_class(features, y)
    if n_classes < 2:
        raise ValueError("Expected at least two classes, but got one; there is nothing between classes.")
    means = _directions(np.stack([u[codes == c].mean(axis=0) for c in range(n_classes)]), "class means")
    return np.linalg.norm(means[:, None] - means[None], axis=2)


def _squared_distances(u: NDArray, v: NDArray) -> Any:
    """Yield the first row of each block and the squared distances (rows, len(v)) of unit vectors (or zeros)."""
    step = max(1, _CHUNK // len(v))
    lengths = np.square(v).sum(axis=1)
    for start in range(0, len(u), step):
        rows = u[start : start + step]
        squares = np.square(rows).sum(axis=1)[:, None] + lengths - 2 * (rows @ v.T)
        yield start, squares.clip(min=0, out=squares)
