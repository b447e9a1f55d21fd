"""Do test samples, or near copies of them, stand in the training data? Over-sampling before the split brings that."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from latentover.metrics.copying import exact_copies
from latentover.metrics.distances import as_features
from latentover.metrics.neighbors import nearest_distances

__all__ = ["NEAR", "SIGNIFICANT", "Leakage", "check_leakage"]

NEAR = 0.1
"""A test sample is nearly a copy below this share of its distance to the nearest other test sample."""
SIGNIFICANT = 0.01
"""More near copies than chance has are flagged below this probability."""


class Leakage(NamedTuple):
    """What of the test data was found in the training data.

    Attributes
    ----------
    copies : int
        Test samples that equal a training sample in every value.
    near_copies : int
        Other test samples, each counted once, that are nearer to a training sample than `NEAR` times the distance to
        their nearest neighbour in the test data.
    expected : int
        How many near copies chance gives: the same count for places between test samples, where no sample is.
    p_value : float
        Probability of as many near copies or more, were the two counts alike.
    rows : ndarray of int
        Row numbers of copies and near copies in the test data.
    n : int
        Test samples.
    flagged : bool
        Any copies, or a `p_value` below `SIGNIFICANT`.
    """

    copies: int
    near_copies: int
    expected: int
    p_value: float
    rows: NDArray[np.intp]
    n: int
    flagged: bool

    def __str__(self) -> str:
        verdict = "Test samples stand in the training data" if self.flagged else "No sign of leakage"
        return (
            f"{verdict}: of {self.n} test samples {self.copies} are copies of training samples, and {self.near_copies} "
            f"nearly so ({self.expected} by chance, p = {self.p_value:.2g})."
        )


def check_leakage(X_train: Any, X_test: Any) -> Leakage:
    """Look for test samples in the training data, as copies or as parents of synthetic samples.

    Over-sampling before the split lets synthetic training samples grow from test samples: many lie much nearer to them
    than independent samples do. Pass the training data as the classifier gets it, after over-sampling.

    Parameters
    ----------
    X_train : array of shape (n_train, ...) or pandas frame
    X_test : array of shape (n_test, ...) or pandas frame
        At least 4 different samples of the same columns or shape. Columns are divided by their standard deviation;
        those of frames that hold no numbers become one column a value.

    Returns
    -------
    Leakage

    Raises
    ------
    ValueError
        If the two have different shapes or columns, values are missing or infinite, or there are too few test samples.

    Notes
    -----
    How near independent samples come to each other depends on density and dimension. It is measured where no sample can
    have leaked: at the centroid of each test sample and its two nearest neighbours, with the sample's own distance as
    the unit. In data of one or two dimensions near copies are frequent by chance and the check sees only copies; above
    it finds interpolations too, but not a generator whose samples keep their distance.

    A copy is flagged even where the data holds duplicates by nature: it lifts the score all the same.

    Examples
    --------
    >>> import numpy as np
    >>> from latentover.metrics import check_leakage
    >>> rng = np.random.default_rng(0)
    >>> train, test = rng.normal(size=(400, 5)), rng.normal(size=(100, 5))
    >>> print(check_leakage(train, test))
    No sign of leakage: of 100 test samples 0 are copies of training samples, and 0 nearly so (0 by chance, p = 1).
    >>> check_leakage(np.concatenate([train, test[:3]]), test).rows.tolist()
    [0, 1, 2]
    """
    train, test = _as_numbers(X_train, X_test)
    copied = exact_copies(train, test)
    train, test = _scaled(train, test)
    places, where = np.unique(test, axis=0, return_inverse=True)
    if len(places) < 4:
        raise ValueError(
            f"Expected *X_test* to hold at least 4 different samples, but got {len(places)}; pass the whole test data."
        )
    gaps, centroids = _gaps_and_centroids(places)
    where = where.reshape(-1)  # the sample in `places` that each row is
    near = nearest_distances(places, train) < NEAR * gaps
    near[where[copied]] = False
    expected = int((nearest_distances(centroids, train) < NEAR * gaps).sum())
    count, copies = int(near.sum()), int(copied.sum())
    p_value = _at_least(count, count + expected)
    return Leakage(
        copies=copies,
        near_copies=count,
        expected=expected,
        p_value=p_value,
        rows=np.flatnonzero(copied | near[where]),
        n=len(test),
        flagged=copies > 0 or p_value < SIGNIFICANT,
    )


def _as_numbers(X_train: Any, X_test: Any) -> tuple[NDArray, NDArray]:
    """Return both as float64 rows (n, d)."""
    if hasattr(X_train, "iloc") and hasattr(X_test, "iloc"):
        import pandas as pd

        if list(X_train.columns) != list(X_test.columns):
            raise ValueError(
                f"Expected *X_test* to have the columns of *X_train*, {list(X_train.columns)}, but got "
                f"{list(X_test.columns)}."
            )
        parts = [part.astype(object).infer_objects() for part in (X_train, X_test)]
        both = pd.get_dummies(pd.concat(parts, ignore_index=True)).to_numpy(dtype=np.float64)
        first, second = np.split(both, [len(X_train)])
    else:
        first, second = np.asarray(X_train), np.asarray(X_test)
        if first.shape[1:] != second.shape[1:]:
            raise ValueError(
                f"Expected samples of one shape, but got {first.shape[1:]} in *X_train* and {second.shape[1:]} in "
                "*X_test*."
            )
        first, second = first.reshape(len(first), -1), second.reshape(len(second), -1)
    return as_features(first, "X_train", at_least=1), as_features(second, "X_test", at_least=1)


def _scaled(train: NDArray, test: NDArray) -> tuple[NDArray, NDArray]:
    scale = np.concatenate([train, test]).std(axis=0, dtype=np.float64)
    scale[scale == 0] = 1
    return train / scale, test / scale


def _gaps_and_centroids(places: NDArray) -> tuple[NDArray, NDArray]:
    """Return for different samples the distance to the nearest, and the centroid of each and its two nearest."""
    from sklearn.neighbors import NearestNeighbors

    distances, neighbors = NearestNeighbors(n_neighbors=2).fit(places).kneighbors()
    return distances[:, 0], (places + places[neighbors].sum(axis=1)) / 3


def _at_least(count: int, trials: int) -> float:
    """Return the probability of at least `count` heads in `trials` throws of a fair coin."""
    from scipy.stats import binom

    return float(binom.sf(count - 1, trials, 0.5))
