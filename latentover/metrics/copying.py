"""Does a generator repeat its training data, or always the same sample? Copies, neighbours, diversity.

All of it works on features; give pixels (rows of images) to look for exact copies.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from latentover.metrics.distances import as_features
from latentover.metrics.labels import as_labels
from latentover.metrics.neighbors import nearest_distances
from latentover.seeds import as_generator

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "COLLAPSED_BELOW",
    "COPIED_BELOW",
    "ClassMemorization",
    "ColumnCopies",
    "Memorization",
    "column_copies",
    "diversity_per_class",
    "diversity_ratio",
    "exact_copies",
    "memorization",
    "memorization_per_class",
]

COPIED_BELOW = 0.2
"""A `Memorization` is flagged below this distance ratio: nearer to training data than interpolation brings samples."""
COLLAPSED_BELOW = 0.3
"""A class is taken for collapsed where its samples are less diverse than real ones by this factor."""

_DIVERSITY_SAMPLES = 1000
_ROUNDING = 1e-5
"""Two samples are the same where their distance is below this share of their length: float32 knows no better."""
_NEAREST = 0.05
"""Share of the training samples of a class that lie nearer to another one than the distance that is compared with."""
_NAMES_ROWS = 0.5
"""A column of which more values occur once than this share tells rows apart; if it holds text, no copy is chance."""
_BY_CHANCE = 0.05
"""In other columns so many copies beyond what is usual are not flagged."""


class Memorization(NamedTuple):
    """How near generated samples are to the training data, measured by samples that were held out.

    Attributes
    ----------
    copies : int
        Generated samples that equal a training sample.
    distance_ratio : float
        Median distance of generated samples to their nearest training sample, over the same of held-out samples:
        about 1 for new samples, near 0 for copies; ``nan`` if held-out samples are themselves copies.
    nearer_to_training : float
        Share of generated samples that are nearer to the training than to the held-out data, with as many of each:
        about 0.5 for new samples, near 1 for copies.
    n : int
        Generated samples.
    flagged : bool
        Any copies, or a distance ratio below `COPIED_BELOW`.
    """

    copies: int
    distance_ratio: float
    nearer_to_training: float
    n: int
    flagged: bool


class ClassMemorization(NamedTuple):
    """How near the generated samples of a class are to the training data, measured by the class's training samples.

    Attributes
    ----------
    copies : float
        Share of generated samples that equal a training sample, but for rounding.
    twins : float
        Share of the class's training samples that equal another training sample; of data with few different values
        new samples do so too.
    nearer : float
        Share of generated samples that are nearer to a training sample than 95 % of the class's training samples are to
        their nearest other one: about 0.05 for new samples.
    distance_ratio : float
        Median distance of generated samples to their nearest training sample, over the same of the class's training
        samples to their nearest other one: about 1 for new samples, near 0 for copies; ``nan`` where the latter is 0.
    n : int
        Generated samples.
    n_train : int
        Training samples of the class.
    flagged : bool
        Copies that twins do not explain (more than twice their share), or a distance ratio below `COPIED_BELOW`.
    """

    copies: float
    twins: float
    nearer: float
    distance_ratio: float
    n: int
    n_train: int
    flagged: bool


class ColumnCopies(NamedTuple):
    """How many new values of a column are somebody's: they equal a value that one training row alone has.

    Attributes
    ----------
    copied : float
        Share of the new values, missing ones left out, that equal a value which occurs exactly once in training.
    usual : float
        The share that an independent row would have: of the training rows, those whose value exactly one other training
        row has (what each row is to all others). Cents and rare towns meet by chance, account numbers do not.
    unique : float
        Share of the training values that occur exactly once.
    distinct : int
        Different unique values that were copied.
    n : int
        New values that are not missing.
    flagged : bool
        More than twice what is usual, in columns that do not tell rows apart by text by more than one in twenty.
    """

    copied: float
    usual: float
    unique: float
    distinct: int
    n: int
    flagged: bool


def column_copies(
    train: pd.DataFrame, new: pd.DataFrame, *, like: NDArray[np.bool_] | None = None
) -> dict[Any, ColumnCopies]:
    """Count for each column of a table the new values that equal a value which occurs once in the training rows.

    Whole rows need not be copied to give persons away: a new row may carry one customer's account number and another's
    amount.

    Parameters
    ----------
    train : DataFrame of shape (n_train, d)
        All that the generator was trained on, of every class.
    new : DataFrame of shape (n_new, d)
        With the columns of `train`, in any order.
    like : ndarray of bool of shape (n_train,), optional
        Training rows of the classes that the new rows are of, by which ``usual`` is measured too; the larger counts.

    Returns
    -------
    dict of column to ColumnCopies
        In the order of `train`.

    Raises
    ------
    ValueError
        If `new` lacks a column or a side has no row.

    Examples
    --------
    >>> import pandas as pd
    >>> from latentover.metrics import column_copies
    >>> train = pd.DataFrame({"iban": [f"AT{i}" for i in range(50)], "town": ["Graz", "Linz"] * 25})
    >>> new = pd.DataFrame({"iban": ["AT3", "AT3", "AT7", "DE1"], "town": ["Graz"] * 4})
    >>> found = column_copies(train, new)
    >>> found["iban"].copied, found["iban"].distinct, found["iban"].flagged, found["town"].copied
    (0.75, 2, True, 0.0)
    """
    if not len(train) or not len(new):
        raise ValueError(f"Expected rows on both sides, but got {len(train)} in *train* and {len(new)} in *new*.")
    missing = [column for column in train.columns if column not in new.columns]
    if missing:
        raise ValueError(f"Expected *new* to have the columns of *train*, but got none named {missing[0]!r}; add it.")
    return {column: _copies_of(train[column], new[column], like) for column in train.columns}


def _copies_of(train: pd.Series, new: pd.Series, like: NDArray[np.bool_] | None) -> ColumnCopies:
    codes = common_codes([train, new])
    first, second = codes[0], codes[1][codes[1] >= 0]
    times = np.bincount(first[first >= 0], minlength=max(codes[0].max(), codes[1].max(), 0) + 1)
    of_rows = np.where(first >= 0, times[first], 0)
    copies = second[times[second] == 1]
    known = max(int((first >= 0).sum()), 1)
    usual = float((of_rows == 2).sum()) / known
    if like is not None and (n_like := int((of_rows[like] > 0).sum())):
        usual = max(usual, float((of_rows[like] == 2).sum()) / n_like)
    unique = float((of_rows == 1).sum()) / known
    copied = len(copies) / max(len(second), 1)
    chance = 0.0 if unique > _NAMES_ROWS and _is_words(train) else _BY_CHANCE
    return ColumnCopies(
        copied=copied,
        usual=usual,
        unique=unique,
        distinct=len(np.unique(copies)),
        n=len(second),
        flagged=copied > 2 * usual + chance,
    )


def _is_words(values: pd.Series) -> bool:
    """Whether a column holds neither numbers nor times."""
    import pandas as pd

    known = values.dropna()
    kinds = known.map(type).nunique() if known.dtype == object else 1
    return kinds > 1 or pd.api.types.infer_dtype(known, skipna=True) in ("string", "bytes", "mixed", "categorical")


def common_codes(parts: Sequence[pd.Series]) -> list[NDArray[np.intp]]:
    """Number the values of columns that belong together, equal ones alike; -1 is missing.

    Numbers are equal by value, whatever their types; whole numbers keep all their digits.
    """
    import pandas as pd

    plain = [part.astype(part.cat.categories.dtype) if isinstance(part.dtype, pd.CategoricalDtype) else part
             for part in parts]  # fmt: skip
    if len({part.dtype for part in plain}) > 1:
        plain = [part.astype(object) for part in plain]
    codes, _ = pd.factorize(pd.concat(plain, ignore_index=True))
    return np.split(codes, np.cumsum([len(part) for part in plain])[:-1])


def row_copies(train: pd.DataFrame, new: pd.DataFrame) -> NDArray[np.bool_]:
    """Which new rows equal a training row in every column of `train`; missing values are equal to each other."""
    codes = [np.concatenate(common_codes([train[column], new[column]])) for column in train.columns]
    rows = np.stack(codes, axis=1)
    return exact_copies(rows[: len(train)], rows[len(train) :])


def exact_copies(train: ArrayLike, fake: ArrayLike) -> NDArray[np.bool_]:
    """Which generated samples equal a training sample in every value.

    Parameters
    ----------
    train, fake : array-like of shape (n_train, ...) and (n_fake, ...)
        Images or rows of one shape a sample.

    Returns
    -------
    ndarray of shape (n_fake,), dtype bool

    Raises
    ------
    ValueError
        If samples have different shapes.

    Examples
    --------
    >>> from latentover.metrics import exact_copies
    >>> exact_copies([[1, 2], [3, 4]], [[3, 4], [2, 1]]).tolist()
    [True, False]
    """
    first, second = np.asarray(train), np.asarray(fake)
    if first.shape[1:] != second.shape[1:]:
        raise ValueError(
            f"Expected samples of one shape, but got {first.shape[1:]} in *train* and {second.shape[1:]} in *fake*."
        )
    common = np.result_type(first, second)
    return np.isin(_as_bytes(second, common), _as_bytes(first, common))


def memorization(train: ArrayLike, held_out: ArrayLike, fake: ArrayLike, *, random_state: Any = 0) -> Memorization:
    """Compare distances to the training data of generated samples and of real samples that were held out.

    Parameters
    ----------
    train : array-like of shape (n_train, d)
        What the generator was trained on.
    held_out : array-like of shape (n_held_out, d)
        Real samples of the same distribution that it has not seen.
    fake : array-like of shape (n_fake, d)
    random_state : int, numpy Generator or None, default=0
        Of the subsets of equal size for `Memorization.nearer_to_training`.

    Returns
    -------
    Memorization

    Raises
    ------
    ValueError
        If features have different dimensions or are not finite, or a set is empty.

    Notes
    -----
    A sample mixed from two neighbours lies between them, nearer to both than a new sample would: at random places
    between neighbours, as SMOTE puts it, the nearer one is at about a quarter of their distance. So low ratios are
    expected of interpolating methods, and only still lower ones are flagged.

    References
    ----------
    The ratio of distances is used for synthetic tables as "distance to closest record"; the share is the statistic of
    Meehan, Chaudhuri, Dasgupta: A Non-Parametric Test to Detect Data-Copying in Generative Models, AISTATS 2020, for
    single samples.

    Examples
    --------
    >>> import numpy as np
    >>> from latentover.metrics import memorization
    >>> rng = np.random.default_rng(0)
    >>> train, held_out, new = (rng.normal(size=(100, 4)) for _ in range(3))
    >>> memorization(train, held_out, new).flagged, memorization(train, held_out, train[:50]).copies
    (False, 50)
    """
    known = as_features(train, "train", at_least=1)
    unseen, made = as_features(held_out, "held_out", at_least=1), as_features(fake, "fake", at_least=1)
    to_training, usual = nearest_distances(made, known), float(np.median(nearest_distances(unseen, known)))
    ratio = float(np.median(to_training) / usual) if usual > 0 else float("nan")
    rng = as_generator(random_state)
    n = min(len(known), len(unseen))
    near, far = (nearest_distances(made, array[rng.permutation(len(array))[:n]]) for array in (known, unseen))
    nearer = float(np.mean((near < far) + 0.5 * (near == far)))
    copies = int(exact_copies(known, made).sum())
    return Memorization(copies, ratio, nearer, len(made), bool(copies or ratio < COPIED_BELOW))


def memorization_per_class(
    train: ArrayLike, y_train: ArrayLike, fake: ArrayLike, y_fake: ArrayLike, *, random_state: Any = 0
) -> dict[Any, ClassMemorization]:
    """Compare distances to the training data of generated samples and of the training samples of their class.

    No data has to be held out: what a training sample is to all the others, a new sample is to all of them.

    Parameters
    ----------
    train : array-like of shape (n_train, d)
        All that the generator was trained on, at least two samples.
    y_train : array-like of shape (n_train,)
    fake : array-like of shape (n_fake, d)
    y_fake : array-like of shape (n_fake,)
        Classes of *y_train*.
    random_state : int, numpy Generator or None, default=0
        Of the training samples that are looked at, where a class has more than 1000.

    Returns
    -------
    dict of label to ClassMemorization
        Of every class of *y_fake*.

    Raises
    ------
    ValueError
        If features have different dimensions or are not finite, there are too few, or a class has no training sample.

    Examples
    --------
    >>> import numpy as np
    >>> from latentover.metrics import memorization_per_class
    >>> rng = np.random.default_rng(0)
    >>> train, y = rng.normal(size=(200, 4)), np.repeat(["a", "b"], 100)
    >>> fake = np.concatenate([rng.normal(size=(100, 4)), train[150:]])  # of "a" new ones, of "b" copies
    >>> found = memorization_per_class(train, y, fake, np.repeat(["a", "b"], [100, 50]))
    >>> found["a"].copies, found["a"].flagged, found["b"].copies, found["b"].flagged
    (0.0, False, 1.0, True)
    """
    known, made = as_features(train, "train"), as_features(fake, "fake", at_least=1)
    labels, made_labels = as_labels(y_train, "y_train"), as_labels(y_fake, "y_fake")
    if (len(labels), len(made_labels)) != (len(known), len(made)):
        raise ValueError(
            f"Expected one label a sample, but got {len(labels)} for {len(known)} training and {len(made_labels)} for "
            f"{len(made)} generated samples."
        )
    rng = as_generator(random_state)
    own_rows = {}
    for label in np.unique(made_labels).tolist():
        rows = np.flatnonzero(labels == label)
        if not len(rows):
            raise ValueError(
                f"Expected *y_train* to hold the classes of *y_fake*, but got no training sample of class {label!r}; "
                "pass all training data."
            )
        own_rows[label] = rng.permutation(rows)[:_DIVERSITY_SAMPLES]
    looked_at = np.concatenate(list(own_rows.values()))
    # The nearest training sample of a training sample is itself.
    distances = nearest_distances(made, known), nearest_distances(known[looked_at], known, k=2)
    copied, twin = (
        far <= _ROUNDING * np.linalg.norm(samples, axis=1)
        for far, samples in zip(distances, (made, known[looked_at]), strict=True)
    )
    found, start = {}, 0
    for label, rows in own_rows.items():
        own, others = slice(start, start + len(rows)), made_labels == label
        start = own.stop
        to_training, usual = distances[0][others], distances[1][own]
        copies, twins, middle = copied[others].mean(), twin[own].mean(), np.median(usual)
        ratio = float(np.median(to_training) / middle) if middle > 0 else float("nan")
        found[label] = ClassMemorization(
            copies=float(copies),
            twins=float(twins),
            nearer=float(np.mean(to_training < np.quantile(usual, _NEAREST))),
            distance_ratio=ratio,
            n=len(to_training),
            n_train=int((labels == label).sum()),
            flagged=bool(copies > 2 * twins or ratio < COPIED_BELOW),
        )
    return found


def diversity_ratio(real: ArrayLike, fake: ArrayLike, *, random_state: Any = 0) -> float:
    """Mean distance between two generated samples, over that between two real ones.

    Parameters
    ----------
    real, fake : array-like of shape (n, d)
        Features, usually of one class; at least two each. Of more than 1000 a random 1000 are looked at.
    random_state : int, numpy Generator or None, default=0

    Returns
    -------
    float
        About 1 for equal distributions, 0 for a generator that repeats itself; below `COLLAPSED_BELOW` take it for
        collapsed. ``nan`` if the real samples are all equal.

    Examples
    --------
    >>> from latentover.metrics import diversity_ratio
    >>> diversity_ratio([[0.0], [1.0], [2.0]], [[0.0], [0.5], [1.0]])
    0.5
    """
    rng = as_generator(random_state)
    spreads = [_mean_distance(as_features(x, name), rng) for x, name in ((real, "real"), (fake, "fake"))]
    return spreads[1] / spreads[0] if spreads[0] > 0 else float("nan")


def diversity_per_class(
    real: ArrayLike, y_real: ArrayLike, fake: ArrayLike, y_fake: ArrayLike, *, random_state: Any = 0
) -> dict[Any, float]:
    """`diversity_ratio` of every class of *y_fake*.

    Parameters
    ----------
    real, fake : array-like of shape (n, d)
    y_real, y_fake : array-like of shape (n,)
    random_state : int or None, default=0

    Returns
    -------
    dict of label to float
        ``nan`` for a class with fewer than two samples of either kind.

    Examples
    --------
    >>> from latentover.metrics import diversity_per_class
    >>> real, fake = [[0.0], [2.0], [5.0], [7.0]], [[0.0], [2.0], [6.0], [6.0]]
    >>> diversity_per_class(real, ["a", "a", "b", "b"], fake, ["a", "a", "b", "b"])
    {'a': 1.0, 'b': 0.0}
    """
    first, second = as_features(real, "real"), as_features(fake, "fake")
    labels, made = as_labels(y_real, "y_real"), as_labels(y_fake, "y_fake")
    found = {}
    for label in np.unique(made).tolist():
        own, others = first[labels == label], second[made == label]
        enough = min(len(own), len(others)) > 1
        found[label] = diversity_ratio(own, others, random_state=random_state) if enough else float("nan")
    return found


def _as_bytes(samples: NDArray, dtype: np.dtype) -> NDArray:
    rows = samples.astype(dtype).reshape(len(samples), -1)
    rows = np.ascontiguousarray(rows + np.zeros(1, dtype) if dtype.kind == "f" else rows)  # -0.0 becomes 0.0
    return rows.view(np.dtype((np.void, rows.itemsize * rows.shape[1])))[:, 0]


def _mean_distance(features: NDArray, rng: np.random.Generator) -> float:
    from scipy.spatial.distance import pdist

    return float(pdist(features[rng.permutation(len(features))[:_DIVERSITY_SAMPLES]].astype(np.float64)).mean())
