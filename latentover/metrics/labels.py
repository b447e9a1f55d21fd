"""Labels to column numbers: the checks that all classification scores share."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["as_labels", "class_order", "encode"]


def as_labels(y: ArrayLike, name: str) -> NDArray:
    """Check one column of labels.

    Parameters
    ----------
    y : array-like of shape (n,)
        Labels: numbers, booleans or text.
    name : str
        What the error message calls it.

    Returns
    -------
    ndarray of shape (n,)

    Raises
    ------
    ValueError
        If it is empty, not one-dimensional, or holds missing labels.
    """
    labels = np.asarray(y)
    if labels.ndim != 1 or labels.size == 0:
        raise ValueError(
            f"Expected *{name}* to be one label a sample, but got shape {labels.shape}; "
            "pass a one-dimensional array with at least one label."
        )
    if labels.dtype.kind == "O":
        missing = np.fromiter((v is None or v != v for v in labels), bool, len(labels))
    else:
        missing = labels != labels
    if missing.any():
        raise ValueError(
            f"Expected *{name}* to be complete, but got {int(missing.sum())} missing labels; drop those samples first."
        )
    return labels


def _is_text(labels: NDArray) -> bool:
    return labels.dtype.kind in "US" or (labels.dtype.kind == "O" and isinstance(labels[0], str))


def _same_kind(**named: NDArray) -> None:
    kinds = {name: "text" if _is_text(labels) else "numbers" for name, labels in named.items()}
    if len(set(kinds.values())) > 1:
        listed = ", ".join(f"*{name}* as {kind}" for name, kind in kinds.items())
        raise ValueError(f"Expected labels to be of one kind, but got {listed}; convert one to the other first.")


def class_order(y_true: ArrayLike, y_pred: ArrayLike, classes: ArrayLike | None = None) -> NDArray:
    """The classes in the order of rows and columns.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n,)
        True and predicted labels.
    classes : array-like of shape (n_classes,), optional
        The order wanted; every label has to be in it. By default all labels that occur in either, sorted.

    Returns
    -------
    ndarray of shape (n_classes,)

    Raises
    ------
    ValueError
        If the two differ in length or kind, or *classes* repeats a class.
    """
    true, pred = as_labels(y_true, "y_true"), as_labels(y_pred, "y_pred")
    if len(true) != len(pred):
        raise ValueError(
            f"Expected *y_pred* to be as long as *y_true* ({len(true)}), but got {len(pred)}; "
            "pass one prediction a sample."
        )
    _same_kind(y_true=true, y_pred=pred)
    if classes is None:
        return np.unique(np.concatenate([true, pred]))
    order = as_labels(classes, "classes")
    _same_kind(y_true=true, classes=order)
    if len(np.unique(order)) != len(order):
        raise ValueError(f"Expected *classes* to be distinct, but got {order.tolist()}; name each class once.")
    return order


def encode(y: ArrayLike, classes: NDArray, name: str) -> NDArray[np.intp]:
    """Replace each label by its position in *classes*.

    Parameters
    ----------
    y : array-like of shape (n,)
        Labels.
    classes : ndarray of shape (n_classes,)
        Distinct labels, in any order.
    name : str
        What the error message calls *y*.

    Returns
    -------
    ndarray of shape (n,), dtype intp
        Values in 0..n_classes-1.

    Raises
    ------
    ValueError
        If a label is not one of *classes*.
    """
    labels = as_labels(y, name)
    _same_kind(**{name: labels, "classes": classes})
    rank = np.argsort(classes)
    place = np.searchsorted(classes[rank], labels).clip(max=len(classes) - 1)
    code = rank[place]
    unknown = labels[classes[code] != labels].tolist()
    if unknown:
        listed = ", ".join(map(repr, classes[:10].tolist())) + (", ..." if len(classes) > 10 else "")
        raise ValueError(
            f"Expected *{name}* to be among the classes [{listed}], but got {unknown[0]!r}; "
            "add it to *classes* or drop those samples."
        )
    return code
