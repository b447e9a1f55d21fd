"""Distances between two sets of feature vectors: Fréchet distance and kernel distance.

Features are rows of numbers, (n, d), from any extractor; the name of the extractor belongs to every value. The
Fréchet distance is biased: it falls with n, in first order like 1/n, and so values at different n are not comparable.
`frechet_infinity` estimates the limit; `kid` has no bias.
"""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple, Self

import numpy as np
import scipy.linalg
import scipy.stats
from numpy.typing import ArrayLike, NDArray

from latentover.metrics.intervals import Estimate, check_level
from latentover.seeds import as_generator

__all__ = ["Extrapolation", "FeatureStatistics", "as_features", "frechet_distance", "frechet_infinity", "kid"]

_ACCURACY = 1e-10  # relative, of the trace of a root
_CHUNK = 2**22  # elements of a block of kernel values: 32 MB in float64


def as_features(features: Any, name: str, at_least: int = 2) -> NDArray:
    """Return features as a floating-point array (n, d), or say what is wrong with them.

    Parameters
    ----------
    features : array-like or Tensor of shape (n, d)
    name : str
        What the error message calls them.
    at_least : int, default=2
        Smallest n.

    Raises
    ------
    ValueError
        If they have another shape, too few rows, or values that are not finite.
    """
    if hasattr(features, "detach"):
        features = features.detach().cpu()
        features = (features if str(features.dtype) != "torch.bfloat16" else features.float()).numpy()
    array = np.asarray(features)
    if array.dtype not in (np.float32, np.float64):
        array = array.astype(np.float64)
    if array.ndim != 2 or len(array) < at_least or array.shape[1] == 0:
        raise ValueError(
            f"Expected *{name}* to be features of shape (n, d) with n of at least {at_least}, but got shape "
            f"{array.shape}; pass one row of numbers a sample."
        )
    if not np.isfinite(array).all():
        raise ValueError(
            f"Expected *{name}* to be finite, but got {int((~np.isfinite(array)).sum())} values that are not; check "
            "the feature extractor and its input."
        )
    return array


class FeatureStatistics:
    """Number, mean and covariance of feature vectors that come in batches: constant memory, any order, mergeable.

    Parameters
    ----------
    dimension : int
        Length d of a feature vector.

    Attributes
    ----------
    n : int
        Vectors seen.
    mean : ndarray of shape (d,), float64
    scatter : ndarray of shape (d, d), float64
        Sum over the vectors of (x - mean)(x - mean)^T.

    Notes
    -----
    Batches are merged by the pairwise update of Chan, Golub and LeVeque (1983), which does not lose digits when means
    are large. Objects pickle, so that processes can each fill one and merge them in the end.

    Examples
    --------
    >>> import numpy as np
    >>> from latentover.metrics import FeatureStatistics, frechet_distance
    >>> x = np.random.default_rng(0).normal(size=(100, 3))
    >>> first, second = FeatureStatistics(3).update(x[:30]), FeatureStatistics(3).update(x[30:])
    >>> merged = first.merge(second)
    >>> merged.n, round(frechet_distance(merged, x), 9)
    (100, 0.0)
    """

    def __init__(self, dimension: int) -> None:
        self.n = 0
        self.mean = np.zeros(dimension)
        self.scatter = np.zeros((dimension, dimension))

    @property
    def dimension(self) -> int:
        """Length of a feature vector."""
        return len(self.mean)

    @property
    def covariance(self) -> NDArray[np.float64]:
        """Unbiased covariance (d, d).

        Raises
        ------
        ValueError
            With fewer than two vectors.
        """
        if self.n < 2:
            raise ValueError(f"Expected at least 2 feature vectors for a covariance, but got {self.n}; add more.")
        return self.scatter / (self.n - 1)

    def update(self, features: ArrayLike) -> Self:
        """Add a batch (n, d), n of at least 1, and return self."""
        batch = as_features(features, "features", at_least=1).astype(np.float64)
        self._check_dimension(batch.shape[1])
        mean = batch.mean(axis=0)
        centred = batch - mean
        self._add(len(batch), mean, centred.T @ centred)
        return self

    def merge(self, other: FeatureStatistics) -> Self:
        """Add all that another one has seen, and return self."""
        self._check_dimension(other.dimension)
        if other.n:
            self._add(other.n, other.mean, other.scatter)
        return self

    def _add(self, n: int, mean: NDArray, scatter: NDArray) -> None:
        total = self.n + n
        shift = mean - self.mean
        self.scatter = self.scatter + scatter + np.outer(shift, shift) * (self.n * n / total)
        self.mean = self.mean + shift * (n / total)
        self.n = total

    def _check_dimension(self, dimension: int) -> None:
        if dimension != self.dimension:
            raise ValueError(
                f"Expected features of dimension {self.dimension}, but got {dimension}; use one extractor for all."
            )


def frechet_distance(real: Any, fake: Any) -> float:
    r"""Squared Fréchet distance of two Gaussians fitted to features: FID, if the features are Inception's.

    :math:`\|\mu_1 - \mu_2\|^2 + \mathrm{tr}(\Sigma_1 + \Sigma_2 - 2 (\Sigma_1 \Sigma_2)^{1/2})` with unbiased
    covariances.

    Parameters
    ----------
    real, fake : array-like of shape (n, d), or FeatureStatistics
        At least two vectors each; the two n may differ, but values are comparable at equal n alone.

    Returns
    -------
    float
        At least 0, and 0 for identical sets up to rounding; in units of the features squared.

    Raises
    ------
    ValueError
        If features have different dimensions, are not finite, or are fewer than two.

    Warns
    -----
    UserWarning
        If n is below twice the dimension: the value is then mostly bias.

    Notes
    -----
    The trace of the matrix root is the sum of the singular values of :math:`F_1 F_2^\top` where
    :math:`\Sigma_i = F_i^\top F_i`: the roots of the eigenvalues of its product with its own transpose where these
    keep ten digits, otherwise from a singular value decomposition. For F serve the centred data itself where there are
    fewer vectors than dimensions, a Cholesky factor where the covariance has one, and otherwise the root from its
    symmetric eigendecomposition with eigenvalues clipped at 0. So nothing is complex, and all is in float64.

    References
    ----------
    Heusel, Ramsauer, Unterthiner, Nessler, Hochreiter: GANs Trained by a Two Time-Scale Update Rule Converge to a
    Local Nash Equilibrium, NeurIPS 2017, equation 6.

    Examples
    --------
    >>> import numpy as np
    >>> from latentover.metrics import frechet_distance
    >>> x = np.array([[0.0, 0.0], [2.0, 0.0], [0.0, 2.0], [2.0, 2.0]])
    >>> frechet_distance(x, x + [3.0, 4.0])  # doctest: +ELLIPSIS
    25.0...
    """
    first, second = _gaussian(real, "real"), _gaussian(fake, "fake")
    if first.dimension != second.dimension:
        raise ValueError(
            f"Expected real and fake features of one dimension, but got {first.dimension} and {second.dimension}; use "
            "one extractor for both."
        )
    smaller = min(first.n, second.n)
    if smaller < 2 * first.dimension:
        warnings.warn(
            f"The Fréchet distance of {smaller} vectors of dimension {first.dimension} is mostly bias; use 2 x "
            f"{first.dimension} = {2 * first.dimension} or more, features of fewer dimensions, or `kid`.",
            stacklevel=2,
        )
    return _distance(first, second)


class _Gaussian(NamedTuple):
    """A fitted Gaussian; `factor` F (r, d) with F^T F its covariance, `trace` that of the covariance."""

    n: int
    mean: NDArray
    factor: NDArray
    trace: float

    @property
    def dimension(self) -> int:
        return len(self.mean)


def _gaussian(features: Any, name: str) -> _Gaussian:
    if isinstance(features, FeatureStatistics):
        covariance = features.covariance
        return _Gaussian(features.n, features.mean, _root(covariance), float(np.trace(covariance)))
    array = as_features(features, name)
    n, d = array.shape
    mean = array.mean(axis=0, dtype=np.float64)
    centred = array - mean
    trace = float(np.square(centred).sum() / (n - 1))
    if n <= d:
        return _Gaussian(n, mean, centred / np.sqrt(n - 1), trace)
    return _Gaussian(n, mean, _root(centred.T @ centred / (n - 1)), trace)


def _root(covariance: NDArray) -> NDArray:
    """Return F with F^T F the covariance."""
    try:
        return np.linalg.cholesky(covariance).T
    except np.linalg.LinAlgError:
        values, vectors = np.linalg.eigh(covariance)
        return np.sqrt(values.clip(min=0))[:, None] * vectors.T


def _distance(first: _Gaussian, second: _Gaussian) -> float:
    overlap = _sum_of_singular_values(first.factor @ second.factor.T)
    shift = first.mean - second.mean
    return max(0.0, float(shift @ shift + first.trace + second.trace - 2 * overlap))


def _sum_of_singular_values(matrix: NDArray) -> float:
    squares = matrix @ matrix.T if len(matrix) <= matrix.shape[1] else matrix.T @ matrix
    values = np.linalg.eigvalsh(squares)
    # Squaring is four times faster, but costs the small ones their digits: only where they keep enough.
    rounding = 8 * np.finfo(np.float64).eps * values[-1]
    if values[0] > 0 and rounding * (0.5 / np.sqrt(values)).sum() < _ACCURACY * np.sqrt(values).sum():
        return float(np.sqrt(values).sum())
    try:
        return float(np.linalg.svd(matrix, compute_uv=False).sum())
    except np.linalg.LinAlgError:  # the divide-and-conquer driver can fail to converge; the plain one does not
        return float(scipy.linalg.svd(matrix, compute_uv=False, lapack_driver="gesvd").sum())


class Extrapolation(NamedTuple):
    """A distance at an infinite number of samples.

    Attributes
    ----------
    value : float
        Where the fitted line meets 1/n = 0; can be slightly negative when the truth is about 0.
    slope : float
        Of the line over 1/n: value + slope / n is the expected distance at n.
    sizes : tuple of int
    distances : tuple of float
        The mean distance at each size.
    """

    value: float
    slope: float
    sizes: tuple[int, ...]
    distances: tuple[float, ...]


def frechet_infinity(
    real: ArrayLike, fake: ArrayLike, *, n_sizes: int = 8, n_draws: int = 1, random_state: Any = None
) -> Extrapolation:
    """Fréchet distance extrapolated to infinitely many samples: the value that n does not bias.

    Distances of random subsets of equal size of both sets, from a quarter of the samples to all, are fitted with a
    line over 1/n, which is the leading term of the bias.

    Parameters
    ----------
    real, fake : array-like of shape (n, d)
        At least 32 each. The larger set is cut to the smaller one's n.
    n_sizes : int, default=8
        Subset sizes, evenly spaced; at least 2.
    n_draws : int, default=1
        Subsets averaged at each size.
    random_state : int, numpy Generator or None

    Returns
    -------
    Extrapolation

    Raises
    ------
    ValueError
        If there are fewer than 32 samples or *n_sizes* is below 2.

    Warns
    -----
    UserWarning
        If a quarter of the samples is fewer than the dimension: the bias is not yet a line there.

    References
    ----------
    Chong, Forsyth: Effectively Unbiased FID and Inception Score and Where to Find Them, CVPR 2020, section 3.

    Examples
    --------
    >>> import numpy as np
    >>> from latentover.metrics import frechet_distance, frechet_infinity
    >>> rng = np.random.default_rng(0)
    >>> real, fake = rng.normal(size=(400, 10)), rng.normal(size=(400, 10))  # of one distribution: the truth is 0
    >>> abs(frechet_infinity(real, fake, random_state=0).value) < frechet_distance(real, fake)
    True
    """
    first, second = as_features(real, "real", at_least=32), as_features(fake, "fake", at_least=32)
    if n_sizes < 2:
        raise ValueError(f"Expected *n_sizes* to be at least 2, but got {n_sizes}; a line needs two points.")
    n = min(len(first), len(second))
    sizes = np.unique(np.linspace(n / 4, n, n_sizes).round().astype(int))
    if sizes[0] < first.shape[1]:
        warnings.warn(
            f"The smallest subset of {sizes[0]} vectors has fewer than the {first.shape[1]} dimensions: the "
            "extrapolation is rough; use more samples or features of fewer dimensions.",
            stacklevel=2,
        )
    rng = as_generator(random_state)
    distances = []
    for size in sizes:
        drawn = [[array[rng.permutation(len(array))[:size]] for array in (first, second)] for _ in range(n_draws)]
        distances.append(float(np.mean([_distance(_gaussian(a, "real"), _gaussian(b, "fake")) for a, b in drawn])))
    slope, value = np.polyfit(1 / sizes, distances, 1)
    return Extrapolation(float(value), float(slope), tuple(sizes.tolist()), tuple(distances))


def kid(real: ArrayLike, fake: ArrayLike, *, degree: int = 3, level: float = 0.95) -> Estimate:
    r"""Kernel distance: unbiased squared maximum mean discrepancy with the kernel :math:`(x \cdot y / d + 1)^3`.

    Over all pairs of all samples, not the mean over random subsets that some packages print; both estimate the same.

    Parameters
    ----------
    real, fake : array-like of shape (n, d)
        At least two each.
    degree : int, default=3
        Of the polynomial kernel.
    level : float, default=0.95
        Of the interval, in (0, 1).

    Returns
    -------
    Estimate
        Expected value 0 for equal distributions whatever the n, so single values can be negative. The interval is the
        normal one with the jackknife's variance, wide rather than narrow where the distributions are equal.

    Raises
    ------
    ValueError
        If features have different dimensions, are not finite, or are fewer than two.

    References
    ----------
    Bińkowski, Sutherland, Arbel, Gretton: Demystifying MMD GANs, ICLR 2018, section 4.
    Gretton, Borgwardt, Rasch, Schölkopf, Smola: A Kernel Two-Sample Test, JMLR 13, 2012, equation 3.

    Examples
    --------
    >>> import numpy as np
    >>> from latentover.metrics import kid
    >>> rng = np.random.default_rng(0)
    >>> far = kid(rng.normal(size=(200, 8)), rng.normal(1.0, size=(200, 8)))
    >>> bool(0 < far.low < far.value < far.high)
    True
    """
    check_level(level)
    x, y = as_features(real, "real").astype(np.float64), as_features(fake, "fake").astype(np.float64)
    if x.shape[1] != y.shape[1]:
        raise ValueError(
            f"Expected real and fake features of one dimension, but got {x.shape[1]} and {y.shape[1]}; use one "
            "extractor for both."
        )
    n, m = len(x), len(y)
    among_x = _kernel_row_sums(x, x, degree) - _kernel(np.square(x).sum(axis=1), x.shape[1], degree)
    among_y = _kernel_row_sums(y, y, degree) - _kernel(np.square(y).sum(axis=1), y.shape[1], degree)
    x_to_y, y_to_x = _kernel_row_sums(x, y, degree), _kernel_row_sums(y, x, degree)
    # How much each sample pulls the value: its mean kernel value among its own less that to the others.
    pull_x, pull_y = among_x / (n - 1) - x_to_y / m, among_y / (m - 1) - y_to_x / n
    value = float(pull_x.mean() + pull_y.mean())
    error = np.sqrt(4 * (pull_x.var(ddof=1) / n + pull_y.var(ddof=1) / m))
    half = float(scipy.stats.norm.ppf((1 + level) / 2) * error)
    return Estimate(value, value - half, value + half)


def _kernel(products: NDArray, dimension: int, degree: int) -> NDArray:
    return (products / dimension + 1) ** degree


def _kernel_row_sums(a: NDArray, b: NDArray, degree: int) -> NDArray:
    """Sum over all rows of b of the kernel with each row of a, in chunks of a."""
    step = max(1, _CHUNK // len(b))
    parts = [_kernel(a[start : start + step] @ b.T, a.shape[1], degree).sum(axis=1) for start in range(0, len(a), step)]
    return np.concatenate(parts)
