"""Imbalance profiles: how many samples every class keeps, and which ones.

The two formula profiles are those of the long-tailed recognition papers (Cui et al., "Class-balanced loss based on
effective number of samples", CVPR 2019; Cao et al., "Learning imbalanced datasets with label-distribution-aware
margin loss", NeurIPS 2019). ``rho`` is the imbalance ratio: size of the largest class over size of the smallest.
"""

import bisect
import difflib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from latentover.seeds import as_generator

Profile = Literal["counts", "long_tailed", "step"]
Seed = int | Sequence[int] | np.random.Generator | None

# A power that should be a whole number comes out of floating arithmetic within this relative distance of it.
_ROUNDING = 1e-9


def long_tailed_counts(n_max: int, rho: float, n_classes: int) -> NDArray[np.int64]:
    r"""Class sizes that fall geometrically from ``n_max`` to ``n_max / rho``.

    .. math:: n_i = \lfloor n_{max} \, (1/\rho)^{i / (C - 1)} \rfloor, \quad i = 0, \dots, C - 1

    Parameters
    ----------
    n_max : int
        Samples of the first (largest) class, at least 1.
    rho : float
        Imbalance ratio, at least 1 (1: balanced).
    n_classes : int
        Number of classes C, at least 2.

    Returns
    -------
    ndarray of shape (n_classes,), int64
        Samples of every class, largest first. Small ``n_max`` and large ``rho`` can give classes of zero samples.

    Raises
    ------
    ValueError
        If an argument is outside its range.

    Examples
    --------
    >>> from latentover.data import long_tailed_counts
    >>> long_tailed_counts(5000, rho=100, n_classes=10)
    array([5000, 2997, 1796, 1077,  645,  387,  232,  139,   83,   50])
    """
    _check_profile_arguments(n_max, rho, n_classes)
    exponents = np.arange(n_classes) / (n_classes - 1)
    return _floor(n_max * float(rho) ** -exponents)


def step_counts(n_max: int, rho: float, n_classes: int, mu: float = 0.5) -> NDArray[np.int64]:
    r"""Class sizes with one step: large classes of ``n_max``, then small ones of ``n_max / rho``.

    The last ``mu * n_classes`` classes, rounded half up, are small, so that no class is lost when ``n_classes`` is odd.

    Parameters
    ----------
    n_max : int
        Samples of every large class, at least 1.
    rho : float
        Imbalance ratio, at least 1 (1: balanced).
    n_classes : int
        Number of classes, at least 2.
    mu : float, default=0.5
        Fraction of the classes that are small, strictly between 0 and 1.

    Returns
    -------
    ndarray of shape (n_classes,), int64
        Samples of every class, large ones first.

    Raises
    ------
    ValueError
        If an argument is outside its range, or ``mu`` leaves no large or no small class.

    Examples
    --------
    >>> from latentover.data import step_counts
    >>> step_counts(5000, rho=100, n_classes=5)
    array([5000, 5000,   50,   50,   50])
    """
    _check_profile_arguments(n_max, rho, n_classes)
    n_small = math.floor(mu * n_classes + 0.5)
    if not 1 <= n_small < n_classes:
        raise ValueError(
            f"Expected `mu` to leave at least one large and one small class of {n_classes}, but got {mu!r}, which "
            f"makes {n_small} of them small; choose `mu` between {1 / n_classes:.3g} and {1 - 1 / n_classes:.3g}."
        )
    counts = np.full(n_classes, n_max, dtype=np.int64)
    counts[n_classes - n_small :] = _floor(np.array(n_max / rho))
    return counts


@dataclass(frozen=True)
class Imbalance:
    """How many samples of every class are kept.

    Parameters
    ----------
    profile : {"counts", "long_tailed", "step"}
        ``"counts"``: the numbers in ``counts``. ``"long_tailed"``: :func:`long_tailed_counts`. ``"step"``:
        :func:`step_counts`.
    counts : list of int, optional
        Samples of every class; for ``"counts"`` only.
    rho : float, optional
        Imbalance ratio; for the formula profiles only.
    mu : float, default=0.5
        Fraction of small classes; for ``"step"`` only.
    largest : int, optional
        Samples of the largest class; for the formula profiles only. None: the largest number for which the data has
        enough samples of every class.
    class_order : list of int, optional
        Permutation of 0..C-1: entry ``i`` is the position, among the sorted class labels, of the class that gets the
        ``i``-th count of the profile. ``[1, 2, 3, 4, 5, 6, 7, 8, 9, 0]`` makes digit 1 the largest class and digit 0
        the smallest. None: the order of the sorted labels.

    Raises
    ------
    ValueError
        If a field is missing for the profile, does not belong to it, or is outside its range.

    Examples
    --------
    >>> from latentover.data import Imbalance
    >>> Imbalance("long_tailed", rho=10).class_counts([5000, 5000, 5000])
    array([5000, 1581,  500])
    >>> Imbalance("counts", counts=[40, 9, 3], class_order=[2, 1, 0]).class_counts([50, 50, 50])
    array([ 3,  9, 40])
    """

    profile: Profile
    counts: list[int] | None = None
    rho: float | None = None
    mu: float = 0.5
    largest: int | None = None
    class_order: list[int] | None = None

    def __post_init__(self) -> None:
        if self.profile not in get_args(Profile):
            raise ValueError(_unknown_profile(self.profile))
        if self.profile == "counts":
            self._check_fields(needed="counts", unused=("rho", "largest"))
            assert self.counts is not None
            for count in self.counts:
                _check_at_least_one("every entry of `counts`", count)
        else:
            self._check_fields(needed="rho", unused=("counts",))
            _check_rho(self.rho)
            if self.largest is not None:
                _check_at_least_one("`largest`", self.largest)
        if self.profile != "step" and self.mu != 0.5:
            raise ValueError(f"Expected `mu` to be given with profile='step' only, but got profile={self.profile!r}.")
        if not 0 < self.mu < 1:
            raise ValueError(f"Expected `mu` to be a fraction strictly between 0 and 1, but got {self.mu!r}.")

    def class_counts(self, available: ArrayLike, classes: ArrayLike | None = None) -> NDArray[np.int64]:
        """Samples to keep of every class, in the order of the sorted class labels.

        Parameters
        ----------
        available : array-like of shape (n_classes,)
            Samples there are of every class.
        classes : array-like of shape (n_classes,), optional
            Class labels, for the messages; None: the positions 0..C-1.

        Returns
        -------
        ndarray of shape (n_classes,), int64
            At least 1 and at most ``available`` in every place.

        Raises
        ------
        ValueError
            If the number of classes does not fit, a class would be left without a sample, or more samples of a class
            are asked for than there are.
        """
        available = np.asarray(available, dtype=np.int64)
        names = np.arange(len(available)) if classes is None else np.asarray(classes)
        order = self._order(len(available))
        counts = np.empty_like(available)
        counts[order] = self._profile_counts(available[order])
        _check_counts(counts, available, names)
        return counts

    def _check_fields(self, needed: str, unused: tuple[str, ...]) -> None:
        if getattr(self, needed) is None:
            raise ValueError(f"Expected `{needed}` to be given with profile={self.profile!r}, but got None.")
        for name in unused:
            if getattr(self, name) is not None:
                raise ValueError(
                    f"Expected `{name}` to be left out with profile={self.profile!r}, which does not use it, but got "
                    f"{getattr(self, name)!r}."
                )

    def _order(self, n_classes: int) -> NDArray[np.int64]:
        if self.class_order is None:
            return np.arange(n_classes)
        if sorted(self.class_order) != list(range(n_classes)):
            raise ValueError(
                f"Expected `class_order` to hold every number from 0 to {n_classes - 1} once (the data has {n_classes} "
                f"classes), but got {list(self.class_order)}."
            )
        return np.asarray(self.class_order, dtype=np.int64)

    def _profile_counts(self, available: NDArray[np.int64]) -> NDArray[np.int64]:
        """Counts in the order of the profile; ``available`` is in that order too."""
        n_classes = len(available)
        if self.counts is not None:
            if len(self.counts) != n_classes:
                raise ValueError(
                    f"Expected `counts` to hold one number for each of the {n_classes} classes of the data, but got "
                    f"{len(self.counts)} numbers."
                )
            return np.asarray(self.counts, dtype=np.int64)
        if self.largest is not None:
            return self._formula(self.largest, n_classes)
        return self._formula(self._largest_fitting(available), n_classes)

    def _largest_fitting(self, available: NDArray[np.int64]) -> int:
        """The largest first count for which no class needs more than there is; at least 1."""

        def needs_too_much(n_max: int) -> bool:
            return bool((self._formula(n_max, len(available)) > available).any())

        # Counts grow with n_max, so the first n_max that needs too much is found by bisection (False < True).
        n_fitting = bisect.bisect_right(range(1, int(available.max()) + 1), 0, key=needs_too_much)
        return max(n_fitting, 1)

    def _formula(self, n_max: int, n_classes: int) -> NDArray[np.int64]:
        assert self.rho is not None
        if self.profile == "step":
            return step_counts(n_max, self.rho, n_classes, self.mu)
        return long_tailed_counts(n_max, self.rho, n_classes)


def subsample(y: ArrayLike, counts: ArrayLike, random_state: Seed = None) -> NDArray[np.intp]:
    """Draw ``counts[c]`` samples of every class without replacement.

    One generator serves all classes, one draw after the other. A class is shuffled whole and its first samples are
    kept, so with the same seed a smaller count keeps a subset of what a larger count keeps, whatever the other
    classes' counts.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
        Class labels.
    counts : array-like of shape (n_classes,)
        Samples to keep of every class, in the order of the sorted class labels.
    random_state : int, sequence of int, numpy Generator or None, default=None
        What ``numpy.random.default_rng`` accepts.

    Returns
    -------
    ndarray of shape (sum(counts),)
        Indices into ``y``, ascending.

    Raises
    ------
    ValueError
        If ``counts`` does not have one entry a class, or asks for no sample of a class or for more than there are.

    Examples
    --------
    >>> import numpy as np
    >>> from latentover.data import subsample
    >>> y = np.array(["cat"] * 5 + ["dog"] * 5)
    >>> kept = subsample(y, counts=[4, 2], random_state=0)
    >>> np.unique(y[kept], return_counts=True)[1]
    array([4, 2])
    """
    y = np.asarray(y)
    classes, inverse, available = np.unique(y, return_inverse=True, return_counts=True)
    counts = np.asarray(counts)
    if counts.shape != classes.shape:
        raise ValueError(
            f"Expected `counts` to hold one number for each of the {len(classes)} classes in `y`, but got an array of "
            f"shape {counts.shape}."
        )
    _check_counts(counts, available, classes)
    rng = as_generator(random_state)
    shuffled = (rng.permutation(np.flatnonzero(inverse == position)) for position in range(len(classes)))
    kept = [indices[:count] for indices, count in zip(shuffled, counts, strict=True)]
    return np.sort(np.concatenate(kept))


def _floor(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Floor that takes 99.99999999999 for the 100 it stands for."""
    nearest = np.rint(values)
    is_whole = np.abs(values - nearest) <= _ROUNDING * np.maximum(np.abs(values), 1)
    return np.where(is_whole, nearest, np.floor(values)).astype(np.int64)


def _check_counts(counts: NDArray[np.int64], available: NDArray[np.int64], classes: NDArray) -> None:
    for name, count, there_are in zip(classes.tolist(), counts.tolist(), available.tolist(), strict=True):
        if count > there_are:
            raise ValueError(
                f"Expected at most as many samples as there are of every class, but got {count} asked for of class "
                f"{name!r}, which has {there_are}; ask for {there_are} or fewer."
            )
        if count < 1:
            raise ValueError(
                f"Expected at least 1 sample of every class, but got {count} asked for of class {name!r}, which has "
                f"{there_are}; raise the count, or lower `rho`."
            )


def _check_profile_arguments(n_max: int, rho: float, n_classes: int) -> None:
    _check_at_least_one("`n_max`", n_max)
    _check_rho(rho)
    if not isinstance(n_classes, Integral) or n_classes < 2:
        raise ValueError(f"Expected `n_classes` to be an integer of at least 2, but got {n_classes!r}.")


def _check_at_least_one(name: str, value: object) -> None:
    if not isinstance(value, Integral) or isinstance(value, bool) or value < 1:
        raise ValueError(f"Expected {name} to be an integer of at least 1, but got {value!r}.")


def _check_rho(rho: object) -> None:
    if not isinstance(rho, Real) or not math.isfinite(rho) or rho < 1:
        raise ValueError(f"Expected `rho` to be a number of at least 1 (largest class over smallest), but got {rho!r}.")


def _unknown_profile(profile: object) -> str:
    nearest = difflib.get_close_matches(str(profile), get_args(Profile), n=1)
    hint = f"; did you mean {nearest[0]!r}?" if nearest else "."
    return f"Expected `profile` to be one of {', '.join(map(repr, get_args(Profile)))}, but got {profile!r}{hint}"


def training_quotas(sizes: Sequence[int], max_rows: int) -> list[int]:
    """Return how many rows of each class to train on: the rarest classes whole, of the others equally many.

    Parameters
    ----------
    sizes : sequence of C int
    max_rows : int
        The sum of the result is at most this.

    Raises
    ------
    ValueError
        If that leaves fewer than two rows for a class that has them.

    Examples
    --------
    >>> from latentover.data.imbalance import training_quotas
    >>> training_quotas([900, 60, 5], 205)
    [140, 60, 5]
    """
    if max_rows < 2 * len(sizes):
        raise ValueError(
            f"Expected max_train_rows to be at least 2 for each of the {len(sizes)} classes, but got {max_rows}; train "
            "on more rows."
        )
    quotas, left = [0] * len(sizes), max_rows
    for rank, code in enumerate(np.argsort(sizes, kind="stable").tolist()):
        quotas[code] = min(sizes[code], left // (len(sizes) - rank))
        left -= quotas[code]
    return quotas
