"""The confusion matrix and the scores of each class.

Notation: rows of the matrix are true classes, columns predicted ones; TP, FN, FP, TN are counted one class against the
rest. A class of ``classes`` that does not occur in ``y_true`` is ``nan`` in every list.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from latentover.metrics.labels import class_order, encode

__all__ = [
    "confusion_matrix",
    "f1_per_class",
    "f1s",
    "precision_per_class",
    "precisions",
    "present",
    "recall_per_class",
    "recalls",
    "specificities",
    "specificity_per_class",
]


def confusion_matrix(y_true: ArrayLike, y_pred: ArrayLike, classes: ArrayLike | None = None) -> NDArray[np.int64]:
    """Count the samples of each true class (row) by predicted class (column).

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n,)
        True and predicted labels: numbers, booleans or text.
    classes : array-like of shape (n_classes,), optional
        Order of rows and columns; every label has to be in it. By default all labels that occur in either, sorted.

    Returns
    -------
    ndarray of shape (n_classes, n_classes), dtype int64

    Raises
    ------
    ValueError
        If the labels differ in length or kind, are missing, or are not in *classes*.

    Examples
    --------
    >>> from latentover.metrics import confusion_matrix
    >>> confusion_matrix(["cat", "cat", "dog"], ["cat", "dog", "dog"])
    array([[1, 1],
           [0, 1]])
    """
    order = class_order(y_true, y_pred, classes)
    true, pred = encode(y_true, order, "y_true"), encode(y_pred, order, "y_pred")
    n = len(order)
    return np.bincount(true * n + pred, minlength=n * n).reshape(n, n).astype(np.int64)


def _ratio(part: NDArray, whole: NDArray) -> NDArray[np.float64]:
    """Divide; ``nan`` where the whole is zero."""
    return np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)


def present(matrix: NDArray) -> NDArray[np.bool_]:
    """Which classes have samples."""
    return matrix.sum(axis=1) > 0


def recalls(matrix: NDArray) -> NDArray[np.float64]:
    """TP / (TP + FN); ``nan`` for absent classes."""
    return _ratio(np.diag(matrix), matrix.sum(axis=1))


def specificities(matrix: NDArray) -> NDArray[np.float64]:
    """TN / (TN + FP); ``nan`` for absent classes and where all samples are of the class."""
    negatives = matrix.sum() - matrix.sum(axis=1)
    false_positives = matrix.sum(axis=0) - np.diag(matrix)
    return np.where(present(matrix), _ratio(negatives - false_positives, negatives), np.nan)


def precisions(matrix: NDArray) -> NDArray[np.float64]:
    """TP / (TP + FP); 0 for a class that is present but never predicted."""
    return np.where(present(matrix), np.nan_to_num(_ratio(np.diag(matrix), matrix.sum(axis=0))), np.nan)


def f1s(matrix: NDArray) -> NDArray[np.float64]:
    """2 TP / (2 TP + FP + FN): the same as 2pr/(p+r), and 0 where that is 0/0."""
    both = matrix.sum(axis=0) + matrix.sum(axis=1)
    return np.where(present(matrix), _ratio(2 * np.diag(matrix), both), np.nan)


def recall_per_class(y_true: ArrayLike, y_pred: ArrayLike, classes: ArrayLike | None = None) -> NDArray[np.float64]:
    """Share of each class that is found: TP / (TP + FN).

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n,)
        True and predicted labels.
    classes : array-like of shape (n_classes,), optional
        Order of the result; see `confusion_matrix`.

    Returns
    -------
    ndarray of shape (n_classes,)
        In [0, 1]; ``nan`` for a class that is not in *y_true*.

    Examples
    --------
    >>> from latentover.metrics import recall_per_class
    >>> recall_per_class([0, 0, 0, 0, 1], [0, 0, 0, 1, 1])
    array([0.75, 1.  ])
    """
    return recalls(confusion_matrix(y_true, y_pred, classes))


def precision_per_class(y_true: ArrayLike, y_pred: ArrayLike, classes: ArrayLike | None = None) -> NDArray[np.float64]:
    """Share of the predictions of each class that are right: TP / (TP + FP).

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n,)
        True and predicted labels.
    classes : array-like of shape (n_classes,), optional
        Order of the result; see `confusion_matrix`.

    Returns
    -------
    ndarray of shape (n_classes,)
        In [0, 1]; 0 for a class that is never predicted, ``nan`` for one that is not in *y_true*.

    Examples
    --------
    >>> from latentover.metrics import precision_per_class
    >>> precision_per_class([0, 0, 0, 0, 1], [0, 0, 0, 1, 1])
    array([1. , 0.5])
    """
    return precisions(confusion_matrix(y_true, y_pred, classes))


def specificity_per_class(
    y_true: ArrayLike, y_pred: ArrayLike, classes: ArrayLike | None = None
) -> NDArray[np.float64]:
    """Share of the other classes that is kept out of each class: TN / (TN + FP).

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n,)
        True and predicted labels.
    classes : array-like of shape (n_classes,), optional
        Order of the result; see `confusion_matrix`.

    Returns
    -------
    ndarray of shape (n_classes,)
        In [0, 1]; ``nan`` for a class that is not in *y_true*, and where *y_true* holds a single class.

    Examples
    --------
    >>> from latentover.metrics import specificity_per_class
    >>> specificity_per_class([0, 0, 0, 0, 1], [0, 0, 0, 1, 1])
    array([1.  , 0.75])
    """
    return specificities(confusion_matrix(y_true, y_pred, classes))


def f1_per_class(y_true: ArrayLike, y_pred: ArrayLike, classes: ArrayLike | None = None) -> NDArray[np.float64]:
    """Harmonic mean of precision and recall of each class: 2 TP / (2 TP + FP + FN).

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n,)
        True and predicted labels.
    classes : array-like of shape (n_classes,), optional
        Order of the result; see `confusion_matrix`.

    Returns
    -------
    ndarray of shape (n_classes,)
        In [0, 1]; 0 for a class that is never hit, ``nan`` for one that is not in *y_true*.

    Examples
    --------
    >>> from latentover.metrics import f1_per_class
    >>> f1_per_class([0, 0, 0, 0, 1], [0, 0, 0, 1, 1]).round(3)
    array([0.857, 0.667])
    """
    return f1s(confusion_matrix(y_true, y_pred, classes))
