"""Do test samples, or near copies of them, stand in the training data? Over-sampling before the split brings that."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from latentover.metrics.copying import exact_copies
from latentover.metrics.distances import as_features
from latentover.metrics.neighbors import nearest_distances
from latentover.notebook import note, page, table

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
        Any copies, a `p_value` below `SIGNIFICANT`, or any of the following.
    fitted_to : int
        Test samples that the sampler was fitted to; this and the rest need a sampler to be passed, and are 0 without.
    children : int
        Synthetic training samples with such a test sample as a parent.
    synthetic : int
        Test samples that are synthetic.
    """

    copies: int
    near_copies: int
    expected: int
    p_value: float
    rows: NDArray[np.intp]
    n: int
    flagged: bool
    fitted_to: int = 0
    children: int = 0
    synthetic: int = 0

    def __str__(self) -> str:
        verdict = "Test samples stand in the training data" if self.flagged else "No sign of leakage"
        text = (
            f"{verdict}: of {self.n} test samples {self.copies} are copies of training samples, and {self.near_copies} "
            f"nearly so ({self.expected} by chance, p = {self.p_value:.2g})."
        )
        if self.fitted_to or self.synthetic:
            text += (
                f" The sampler was fitted to {self.fitted_to} of them, which are parents of {self.children} synthetic "
                f"training samples, and made {self.synthetic} of them itself: split first, then over-sample the "
                "training part."
            )
        return text

    def _repr_html_(self) -> str:
        counts = (
            ("test samples", self.n),
            ("copies of training samples", self.copies),
            ("near copies", self.near_copies),
            ("near copies by chance", self.expected),
        )
        rows = [(name, f"{count:,}") for name, count in counts]
        return page(note(self), table(("", "samples"), rows))


def check_leakage(X_train: Any, X_test: Any, *, sampler: Any = None, X_resampled: Any = None) -> Leakage:
    """Look for test samples in the training data, as copies or as parents of synthetic samples.

    Over-sampling before the split lets synthetic training samples grow from test samples: many lie much nearer to them
    than independent samples do. Pass the training data as the classifier gets it, after over-sampling. A sampler of
    latentover knows the parents of what it made, so with it nothing has to be guessed.

    Parameters
    ----------
    X_train : array of shape (n_train, ...) or pandas frame
    X_test : array of shape (n_test, ...) or pandas frame
        At least 4 different samples of the same columns or shape. Columns are divided by their standard deviation;
        those of frames that hold no numbers become one column a value.
    sampler : sampler of latentover, optional
        The one whose `fit_resample` the training data comes from.
    X_resampled : array of shape (n_resampled, ...) or pandas frame, optional
        What it returned, where that was split into training and test data afterwards; by default that is `X_train`.
        Rows are recognised by their values.

    Returns
    -------
    Leakage

    Raises
    ------
    ValueError
        If they have different shapes or columns, values are missing or infinite, there are too few test samples, or
        `X_resampled` is not what the sampler returned last.
    TypeError
        If `sampler` does not say where its samples come from.

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

    Over-sampled first and split then, which is wrong:

    >>> from latentover import ClassicalSampler
    >>> sampler = ClassicalSampler(random_state=0)
    >>> X, y = sampler.fit_resample(train, np.repeat([0, 1], [350, 50]))
    >>> found = check_leakage(X[::2], X[1::2], sampler=sampler, X_resampled=X)
    >>> found.flagged, found.fitted_to, found.children, found.synthetic
    (True, 200, 105, 150)
    """
    if sampler is None and X_resampled is not None:
        raise ValueError("Expected sampler to be the one that made X_resampled, but got None; pass both, or none.")
    train, test, *more = _as_numbers(X_train, X_test, *([] if X_resampled is None else [X_resampled]))
    traced = None if sampler is None else _traced(sampler, more[0] if more else train, train, test)
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
    found = copied | near[where]
    if traced is not None:
        found |= traced.fitted_to | traced.synthetic
    fitted_to, children, synthetic = (0, 0, 0) if traced is None else (int(part.sum()) for part in traced)
    count, copies = int(near.sum()), int(copied.sum())
    p_value = _at_least(count, count + expected)
    return Leakage(
        copies=copies,
        near_copies=count,
        expected=expected,
        p_value=p_value,
        rows=np.flatnonzero(found),
        n=len(test),
        flagged=copies > 0 or p_value < SIGNIFICANT or fitted_to > 0 or synthetic > 0,
        fitted_to=fitted_to,
        children=children,
        synthetic=synthetic,
    )


class _Traced(NamedTuple):
    """Which test samples the sampler was fitted to, which training samples they are parents of, which test it made."""

    fitted_to: NDArray[np.bool_]
    children: NDArray[np.bool_]
    synthetic: NDArray[np.bool_]


def _traced(sampler: Any, resampled: NDArray, train: NDArray, test: NDArray) -> _Traced:
    """Find training and test samples among the resampled ones, and follow them to their parents."""
    lacking = [name for name in ("synthetic_mask_", "sample_origin_", "parents_") if not hasattr(sampler, name)]
    if lacking:
        raise TypeError(
            f"Expected sampler to be a sampler of latentover after fit_resample, but got {sampler!r} without "
            f"{', '.join(lacking)}; leave it out to compare the data alone."
        )
    made, origin, parents = (
        np.asarray(part) for part in (sampler.synthetic_mask_, sampler.sample_origin_, sampler.parents_)
    )
    if len(resampled) != len(made):
        raise ValueError(
            f"Expected X_resampled to be the {len(made)} rows of the sampler's last fit_resample, but got "
            f"{len(resampled)}; where it was split into training and test data, pass the whole as X_resampled."
        )
    names, number = np.unique(np.concatenate([resampled, train, test]), axis=0, return_inverse=True)
    of_resampled, of_train, of_test = np.split(number.reshape(-1), [len(resampled), len(resampled) + len(train)])

    def whether(rows: NDArray, found: NDArray) -> NDArray[np.bool_]:
        """Say of samples whether a resampled row with the same values is among some."""
        values = np.zeros(len(names), dtype=bool)
        values[of_resampled[found]] = True
        return values[rows]

    seen = np.zeros(1 + max(origin.max(), parents.max(initial=0)), dtype=bool)
    seen[origin[~made & np.isin(of_resampled, of_test)]] = True
    children = made & seen[parents].any(axis=1)
    return _Traced(
        fitted_to=whether(of_test, ~made), children=whether(of_train, children), synthetic=whether(of_test, made)
    )


def _as_numbers(X_train: Any, X_test: Any, *X_resampled: Any) -> list[NDArray]:
    """Return all of them as floating-point rows (n, d)."""
    named = dict(zip(("X_train", "X_test", "X_resampled"), (X_train, X_test, *X_resampled), strict=False))
    if all(hasattr(part, "iloc") for part in named.values()):
        import pandas as pd

        for name, part in named.items():
            if list(part.columns) != list(X_train.columns):
                raise ValueError(
                    f"Expected *{name}* to have the columns of *X_train*, {list(X_train.columns)}, but got "
                    f"{list(part.columns)}."
                )
        parts = [part.astype(object).infer_objects() for part in named.values()]
        joined = pd.get_dummies(pd.concat(parts, ignore_index=True)).to_numpy(dtype=np.float64)
        arrays = np.split(joined, np.cumsum([len(part) for part in parts])[:-1])
    else:
        arrays = [np.asarray(part) for part in named.values()]
        for name, part in zip(named, arrays, strict=True):
            if part.shape[1:] != arrays[0].shape[1:]:
                raise ValueError(
                    f"Expected samples of one shape, but got {arrays[0].shape[1:]} in *X_train* and {part.shape[1:]} "
                    f"in *{name}*."
                )
        arrays = [part.reshape(len(part), -1) for part in arrays]
    return [as_features(part, name, at_least=1) for name, part in zip(named, arrays, strict=True)]


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
