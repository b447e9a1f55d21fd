r"""Margins of a classifier, class by class: who is decided how clearly, and whether minorities pay for it.

The margin of a sample is :math:`\gamma(x, y) = f_y - \max_{j \ne y} f_j` on raw outputs: logits, or cosines for a
normalised classifier; outputs on different scales cannot be compared. Class margins are means over validation samples.

A class is a *majority* class if it has more than the mean number of training samples, :math:`n_c > N / C`, and a
*minority* class otherwise. Balanced data has no majority, and no gap.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from latentover.metrics.labels import as_labels, encode

__all__ = [
    "MarginFit",
    "MarginPart",
    "class_margins",
    "majority_classes",
    "margin_decomposition",
    "margin_fit",
    "margin_gap",
    "margin_scores",
    "margins",
]


class MarginPart(NamedTuple):
    """Margins of the samples of a group of classes, split at zero.

    Attributes
    ----------
    negative, nonnegative : float
        Mean margin of the samples that are decided wrong, and of the others (ties count as right); ``nan`` if none.
    error_rate : float
        Share of samples with a negative margin.
    n : int
        Samples.
    """

    negative: float
    nonnegative: float
    error_rate: float
    n: int


class MarginFit(NamedTuple):
    """Least-squares fit of the theoretical to the practical margins.

    Attributes
    ----------
    scale : float
        The factor a; ``nan`` if all margins are 0. A negative one says that the margins point the wrong way.
    sum_of_squares, root, mean : float
        The residual's sum of squares, its root, and its mean over classes: "L2 error" can be any of them.
    """

    scale: float
    sum_of_squares: float
    root: float
    mean: float


def margins(logits: ArrayLike, y: ArrayLike, classes: ArrayLike | None = None) -> NDArray[np.float64]:
    """Margin of each sample: output of its class less the highest other one.

    Parameters
    ----------
    logits : array-like of shape (n, n_classes)
        Raw outputs, at least two classes.
    y : array-like of shape (n,)
        Labels.
    classes : array-like of shape (n_classes,), optional
        The class of each column; by default 0, 1, 2, ...

    Returns
    -------
    ndarray of shape (n,)
        Negative for samples that are decided wrong.

    Raises
    ------
    ValueError
        If the shapes do not fit or outputs are not finite.

    Examples
    --------
    >>> from latentover.metrics import margins
    >>> margins([[2.0, 1.0, 0.0], [1.0, 1.5, 0.5]], [0, 0]).tolist()
    [1.0, -0.5]
    """
    outputs, codes, _ = _outputs_and_codes(logits, y, classes)
    rows = np.arange(len(codes))
    others = outputs.copy()
    others[rows, codes] = -np.inf
    return outputs[rows, codes] - others.max(axis=1)


def class_margins(logits: ArrayLike, y: ArrayLike, classes: ArrayLike | None = None) -> NDArray[np.float64]:
    """Mean margin of each class.

    Parameters
    ----------
    logits, y, classes
        See `margins`; usually of validation samples.

    Returns
    -------
    ndarray of shape (n_classes,)
        ``nan`` for a class without samples.

    Examples
    --------
    >>> from latentover.metrics import class_margins
    >>> class_margins([[2.0, 1.0], [0.0, 3.0], [1.0, 1.5]], [0, 1, 0]).tolist()
    [0.25, 3.0]
    """
    _, codes, n_classes = _outputs_and_codes(logits, y, classes)
    return _mean_by(codes, margins(logits, y, classes), n_classes)


def majority_classes(class_counts: ArrayLike) -> NDArray[np.bool_]:
    """Which classes have more than the mean number of training samples.

    Parameters
    ----------
    class_counts : array-like of shape (n_classes,)

    Returns
    -------
    ndarray of shape (n_classes,), dtype bool

    Examples
    --------
    >>> from latentover.metrics import majority_classes
    >>> majority_classes([100, 30, 10]).tolist()
    [True, False, False]
    """
    counts = _counts(class_counts)
    return counts > counts.mean()


def margin_gap(margin_per_class: ArrayLike, class_counts: ArrayLike, *, weights: ArrayLike | None = None) -> float:
    """Mean margin of the majority classes less that of the minority classes.

    Parameters
    ----------
    margin_per_class : array-like of shape (n_classes,)
        See `class_margins`; classes that are ``nan`` are left out.
    class_counts : array-like of shape (n_classes,)
        Training samples, which say who is majority and, by default, how much a class weighs in its group.
    weights : array-like of shape (n_classes,), optional
        Other weights in place of the training counts: those of the validation split, or ones.

    Returns
    -------
    float
        Positive where majorities are decided more clearly; ``nan`` where a group is empty, as on balanced data.

    Raises
    ------
    ValueError
        If the lengths differ or counts are not positive.

    References
    ----------
    Cheng, Mai, Lin: From SMOTE to Mixup for Deep Imbalanced Classification, 2023, equation 17.

    Examples
    --------
    >>> from latentover.metrics import margin_gap
    >>> margin_gap([0.25, 2.0, 0.05], class_counts=[100, 30, 10])
    -1.2625
    """
    values, counts = np.asarray(margin_per_class, dtype=np.float64), _counts(class_counts)
    shares = counts if weights is None else np.asarray(weights, dtype=np.float64)
    _check_same_length(margin_per_class=values, class_counts=counts, weights=shares)
    majority = majority_classes(counts)
    known = ~np.isnan(values)
    groups = [majority & known, ~majority & known]
    if any(not shares[group].sum() > 0 for group in groups) or not majority.any():
        return float("nan")
    first, second = (float(np.average(values[group], weights=shares[group])) for group in groups)
    return first - second


def margin_decomposition(
    logits: ArrayLike, y: ArrayLike, class_counts: ArrayLike, classes: ArrayLike | None = None
) -> dict[str, MarginPart]:
    """Margins of all majority and all minority samples, split into wrong and right ones.

    Parameters
    ----------
    logits, y, classes
        See `margins`.
    class_counts : array-like of shape (n_classes,)
        Training samples.

    Returns
    -------
    dict
        ``"majority"`` and ``"minority"``.

    Examples
    --------
    >>> from latentover.metrics import margin_decomposition
    >>> parts = margin_decomposition([[2.0, 1.0], [1.0, 1.5], [0.0, 3.0]], [0, 0, 1], class_counts=[90, 10])
    >>> parts["majority"]
    MarginPart(negative=-0.5, nonnegative=1.0, error_rate=0.5, n=2)
    """
    _, codes, n_classes = _outputs_and_codes(logits, y, classes)
    counts = _counts(class_counts)
    if len(counts) != n_classes:
        raise ValueError(f"Expected *class_counts* to have one entry a column, {n_classes}, but got {len(counts)}.")
    values, of_majority = margins(logits, y, classes), majority_classes(counts)[codes]
    return {"majority": _part(values[of_majority]), "minority": _part(values[~of_majority])}


def margin_fit(margin_per_class: ArrayLike, class_counts: ArrayLike) -> MarginFit:
    r"""Fit the theoretically best margins :math:`\tau_c = n_c^{-1/4}` by a multiple of the practical ones.

    :math:`\tau \approx a m` without intercept, :math:`a = \langle \tau, m \rangle / \langle m, m \rangle`.

    Parameters
    ----------
    margin_per_class : array-like of shape (n_classes,)
        See `class_margins`; classes that are ``nan`` are left out.
    class_counts : array-like of shape (n_classes,)
        Training samples.

    Returns
    -------
    MarginFit
        With margins that are all 0 the residual is the theoretical margins themselves.

    References
    ----------
    Cao, Wei, Gaidon, Arechiga, Ma: Learning Imbalanced Datasets with Label-Distribution-Aware Margin Loss,
    NeurIPS 2019, section 3 (the exponent -1/4); Cheng, Mai, Lin, 2023 (the fit).

    Examples
    --------
    >>> from latentover.metrics import margin_fit
    >>> round(margin_fit([1.0, 1.5, 2.0], class_counts=[100, 30, 10]).scale, 6)
    0.28715
    """
    values, counts = np.asarray(margin_per_class, dtype=np.float64), _counts(class_counts)
    _check_same_length(margin_per_class=values, class_counts=counts)
    known = ~np.isnan(values)
    practical, theoretical = values[known], counts[known] ** -0.25
    square = float(practical @ practical)
    scale = float(theoretical @ practical) / square if square > 0 else float("nan")
    residual = theoretical - (scale * practical if square > 0 else 0.0)
    total = float(residual @ residual)
    return MarginFit(scale, total, total**0.5, total / len(residual) if len(residual) else float("nan"))


def margin_scores(
    logits: ArrayLike, y: ArrayLike, class_counts: ArrayLike, classes: ArrayLike | None = None
) -> dict[str, Any]:
    """All of it at once, ready for JSON; cheap enough for once an epoch on validation data.

    Parameters
    ----------
    logits, y, classes
        See `margins`.
    class_counts : array-like of shape (n_classes,)
        Training samples.

    Returns
    -------
    dict
        ``class_margins`` (list), ``margin_gap``, ``margin_gap_validation`` (classes weighted by their samples in *y*),
        ``margin_fit`` and ``margin_decomposition`` (dicts). What is not defined is ``None``, never ``nan``.

    Examples
    --------
    >>> from latentover.metrics import margin_scores
    >>> scores = margin_scores([[2.0, 1.0], [0.0, 3.0]], [0, 1], class_counts=[90, 10])
    >>> scores["class_margins"], scores["margin_gap"]
    ([1.0, 3.0], -2.0)
    """
    _, codes, n_classes = _outputs_and_codes(logits, y, classes)
    per_class = class_margins(logits, y, classes)
    parts = margin_decomposition(logits, y, class_counts, classes)
    validation = np.bincount(codes, minlength=n_classes)
    return {
        "class_margins": [_plain(value) for value in per_class],
        "margin_gap": _plain(margin_gap(per_class, class_counts)),
        "margin_gap_validation": _plain(margin_gap(per_class, class_counts, weights=validation)),
        "margin_fit": {name: _plain(value) for name, value in margin_fit(per_class, class_counts)._asdict().items()},
        "margin_decomposition": {
            group: {name: _plain(value) for name, value in part._asdict().items()} for group, part in parts.items()
        },
    }


def _outputs_and_codes(
    logits: ArrayLike, y: ArrayLike, classes: ArrayLike | None
) -> tuple[NDArray[np.float64], NDArray[np.intp], int]:
    outputs = np.asarray(logits, dtype=np.float64)
    if outputs.ndim != 2 or outputs.shape[1] < 2:
        raise ValueError(
            f"Expected *logits* to be of shape (samples, classes) with two classes or more, but got {outputs.shape}."
        )
    order = np.arange(outputs.shape[1]) if classes is None else as_labels(classes, "classes")
    codes = encode(y, order, "y")
    if outputs.shape != (len(codes), len(order)):
        raise ValueError(
            f"Expected *logits* to be of shape {(len(codes), len(order))} (samples, classes), but got {outputs.shape}."
        )
    if not np.isfinite(outputs).all():
        raise ValueError(
            f"Expected *logits* to be finite, but got {int((~np.isfinite(outputs)).sum())} values that are not; check "
            "the classifier for overflow."
        )
    return outputs, codes, len(order)


def _counts(class_counts: ArrayLike) -> NDArray[np.float64]:
    counts = np.asarray(class_counts, dtype=np.float64)
    if counts.ndim != 1 or not counts.size or not (counts > 0).all():
        raise ValueError(
            f"Expected *class_counts* to be one positive number a class, but got {counts.tolist()}; pass the counts of "
            "the training data."
        )
    return counts


def _check_same_length(**arrays: NDArray) -> None:
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{n} in *{name}*" for name, n in lengths.items())
        raise ValueError(f"Expected one entry a class everywhere, but got {listed}.")


def _mean_by(codes: NDArray, values: NDArray, n_classes: int) -> NDArray[np.float64]:
    n = np.bincount(codes, minlength=n_classes)
    total = np.bincount(codes, weights=values, minlength=n_classes)
    return np.divide(total, n, out=np.full(n_classes, np.nan), where=n > 0)


def _part(values: NDArray) -> MarginPart:
    wrong = values < 0
    negative, nonnegative, error_rate = (
        float(part.mean()) if part.size else float("nan") for part in (values[wrong], values[~wrong], wrong)
    )
    return MarginPart(negative, nonnegative, error_rate, len(values))


def _plain(value: float) -> float | None:
    """Return a number as JSON can hold it; a count stays a whole number."""
    if isinstance(value, int):
        return value
    return None if np.isnan(value) else float(value)
