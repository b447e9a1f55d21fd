"""Averages over the classes, one vote a class, and all scores at once.

A class that does not occur in ``y_true`` takes no part in any average.

Three scores go by the name of "geometric mean" in the literature this package reproduces; all are here. The papers on
deep oversampling mostly print ``gm_a``, deep generative classifiers print ``gm_b``, and ``gm_c`` is the geometric mean
in the strict sense, which imbalanced-learn also computes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from latentover.metrics.confusion import (
    confusion_matrix,
    f1_per_class,
    f1s,
    precisions,
    present,
    recall_per_class,
    recalls,
    specificities,
)
from latentover.metrics.labels import class_order
from latentover.metrics.probabilistic import brier, ece, mauprc_ova

__all__ = ["acsa", "classification_scores", "gm_a", "gm_b", "gm_c", "macro_f1", "top1"]


def gm_a_of(matrix: NDArray) -> float:
    return float(np.sqrt(mean_of(recalls(matrix)) * mean_of(specificities(matrix))))


def gm_b_of(matrix: NDArray) -> float:
    return mean_of(np.sqrt(recalls(matrix) * specificities(matrix)))


def gm_c_of(matrix: NDArray, correction: float) -> float:
    recall = recalls(matrix)[present(matrix)]
    recall = np.where(recall == 0, correction, recall)
    if (recall == 0).any():
        return 0.0
    return float(np.exp(np.mean(np.log(recall))))  # by logarithms: a product over 1000 classes underflows


def mean_of(values: NDArray) -> float:
    """Mean without ``nan``; ``nan`` (silently) if there is nothing else."""
    kept = values[~np.isnan(values)]
    return float(kept.mean()) if kept.size else float("nan")


def acsa(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Average class-specific accuracy: the mean recall over the classes in *y_true*.

    Also known as balanced accuracy; equals `top1` on a balanced test set.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n,)
        True and predicted labels.

    Returns
    -------
    float
        In [0, 1]; higher is better.

    Examples
    --------
    >>> from latentover.metrics import acsa
    >>> acsa([0, 0, 0, 0, 1], [0, 0, 0, 1, 1])
    0.875
    """
    return mean_of(recall_per_class(y_true, y_pred))


def macro_f1(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Mean F1 over the classes in *y_true*; not the F1 of mean precision and mean recall.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n,)
        True and predicted labels.

    Returns
    -------
    float
        In [0, 1]; higher is better. A class that is never predicted and never hit counts 0.

    Examples
    --------
    >>> from latentover.metrics import macro_f1
    >>> round(macro_f1([0, 0, 0, 0, 1], [0, 0, 0, 1, 1]), 4)
    0.7619
    """
    return mean_of(f1_per_class(y_true, y_pred))


def top1(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Share of all samples that are predicted right (plain accuracy).

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n,)
        True and predicted labels.

    Returns
    -------
    float
        In [0, 1]; higher is better.

    Examples
    --------
    >>> from latentover.metrics import top1
    >>> top1([0, 0, 0, 0, 1], [0, 0, 0, 1, 1])
    0.8
    """
    matrix = confusion_matrix(y_true, y_pred)
    return float(np.trace(matrix) / matrix.sum())


def gm_a(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    r"""Geometric mean A: :math:`\sqrt{\overline{\mathrm{recall}} \cdot \overline{\mathrm{specificity}}}`.

    The definition behind most printed numbers (regularized autoencoder, DeepSMOTE, GAMO, BAGAN). On a balanced test set
    it is a function of `acsa` alone; with two classes it equals `acsa`.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n,)
        True and predicted labels.

    Returns
    -------
    float
        In [0, 1]; higher is better; ``nan`` if *y_true* holds a single class.

    Examples
    --------
    >>> from latentover.metrics import gm_a
    >>> gm_a([0, 0, 0, 0, 1], [0, 0, 0, 1, 1])
    0.875
    """
    return gm_a_of(confusion_matrix(y_true, y_pred))


def gm_b(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    r"""Geometric mean B: mean over classes of :math:`\sqrt{\mathrm{recall}_c \cdot \mathrm{specificity}_c}`.

    The definition of the deep generative classifier's source. Never above `gm_a`.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n,)
        True and predicted labels.

    Returns
    -------
    float
        In [0, 1]; higher is better; ``nan`` if *y_true* holds a single class.

    Examples
    --------
    >>> from latentover.metrics import gm_b
    >>> round(gm_b([0, 0, 0, 0, 1], [0, 0, 0, 1, 1]), 4)
    0.866
    """
    return gm_b_of(confusion_matrix(y_true, y_pred))


def gm_c(y_true: ArrayLike, y_pred: ArrayLike, *, correction: float = 0.0) -> float:
    r"""Geometric mean C: :math:`(\prod_c \mathrm{recall}_c)^{1/C}`.

    The definition of GAMO's source and of imbalanced-learn. One class that is never found makes it zero.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n,)
        True and predicted labels.
    correction : float, default=0.0
        Put in place of a recall of zero, in [0, 1].

    Returns
    -------
    float
        In [0, 1]; higher is better; with ``correction=0`` never above `acsa`.

    Raises
    ------
    ValueError
        If *correction* is not in [0, 1].

    Examples
    --------
    >>> from latentover.metrics import gm_c
    >>> round(gm_c([0, 0, 0, 0, 1], [0, 0, 0, 1, 1]), 4)
    0.866
    """
    if not 0 <= correction <= 1:
        raise ValueError(f"Expected *correction* to be in [0, 1], but got {correction}; 0 gives the plain definition.")
    return gm_c_of(confusion_matrix(y_true, y_pred), correction)


def classification_scores(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    scores: ArrayLike | None = None,
    classes: ArrayLike | None = None,
) -> dict[str, Any]:
    """All scores of one set of predictions, ready for JSON.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n,)
        True and predicted labels.
    scores : array-like of shape (n, n_classes), optional
        Class probabilities, columns in the order of *classes*.
    classes : array-like of shape (n_classes,), optional
        Order of the classes; see `confusion_matrix`.

    Returns
    -------
    dict
        ``acsa``, ``macro_f1``, ``gm_a``, ``gm_b``, ``gm_c``, ``top1``; ``mauprc_ova``, ``ece``, ``brier`` (``None``
        without *scores*); ``classes`` (as text), ``support``, ``recall``, ``precision``, ``f1`` (lists in the order of
        the classes); ``confusion`` (list of rows). What is not defined is ``None``, never ``nan``.

    Raises
    ------
    ValueError
        If labels or probabilities do not fit together.

    Examples
    --------
    >>> from latentover.metrics import classification_scores
    >>> result = classification_scores([0, 0, 0, 0, 1], [0, 0, 0, 1, 1])
    >>> result["acsa"], result["recall"], result["mauprc_ova"]
    (0.875, [0.75, 1.0], None)
    """
    order = class_order(y_true, y_pred, classes)
    matrix = confusion_matrix(y_true, y_pred, order)
    result: dict[str, Any] = {
        "acsa": _plain(mean_of(recalls(matrix))),
        "macro_f1": _plain(mean_of(f1s(matrix))),
        "gm_a": _plain(gm_a_of(matrix)),
        "gm_b": _plain(gm_b_of(matrix)),
        "gm_c": _plain(gm_c_of(matrix, 0.0)),
        "top1": float(np.trace(matrix) / matrix.sum()),
    }
    for function in (mauprc_ova, ece, brier):
        result[function.__name__] = None if scores is None else function(y_true, scores, order)
    return result | {
        "classes": [str(label) for label in order],
        "support": matrix.sum(axis=1).tolist(),
        "recall": [_plain(value) for value in recalls(matrix)],
        "precision": [_plain(value) for value in precisions(matrix)],
        "f1": [_plain(value) for value in f1s(matrix)],
        "confusion": matrix.tolist(),
    }


def _plain(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
