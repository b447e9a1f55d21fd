"""Checks of labels, weights and sampling strategies."""

import numbers
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from imblearn.utils import check_sampling_strategy
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import column_or_1d

from latentover.estimators.containers import Container
from latentover.estimators.validation import naming


def check_labels(y: Any, *, one_hot: bool = True) -> tuple[np.ndarray, bool]:
    """Return labels (n,), and whether y was one-hot.

    Parameters
    ----------
    y : array-like of shape (n,), (n, 1) or one-hot (n, C)
        For one-hot rows the labels are column numbers.
    one_hot : bool, default=True
        Whether one-hot rows are labels.

    Raises
    ------
    ValueError
        Unless there is one label a sample, all are known, and they are classes and no measurements.
    """
    if y is None:
        raise ValueError("Expected y to be labels: the estimator requires y to be passed, but the target y is None.")
    with naming("y", "labels of one type, a label for each sample"):
        return _checked_labels(Container.of(y).frame if type(y).__module__.startswith("polars") else y, one_hot)


def _checked_labels(y: Any, one_hot: bool) -> tuple[np.ndarray, bool]:
    missing = np.asarray(pd.isna(y if hasattr(y, "shape") else np.asarray(y, dtype=object)))
    if missing.any():
        raise ValueError(
            f"Expected y to have a label for every sample, but got {missing.sum()} missing (NaN or None); drop those "
            "rows."
        )
    y = without_nullable(y)
    if isinstance(y, list | tuple) and len({isinstance(label, str | bytes) for label in y}) > 1:
        raise ValueError("Expected y to hold labels of one type, but got text and others; NumPy would make all text.")
    kind = type_of_target(y, input_name="y")
    if kind == "multilabel-indicator" and one_hot:
        rows = np.asarray(y)
        if not (rows.sum(axis=1) == 1).all():
            raise ValueError(
                "Multilabel and multioutput targets are not supported: expected one label a sample, but a row of y "
                "does not have one 1."
            )
        return rows.argmax(axis=1), True
    if kind == "multilabel-indicator" and (np.asarray(y).sum(axis=1) == 1).all():
        raise ValueError(
            f"Expected y to have a label for each sample, but got one-hot rows of shape {np.shape(y)}; pass the "
            "numbers of their columns, y.argmax(axis=1)."
        )
    if kind.endswith(("indicator", "multioutput")):
        raise ValueError("Multilabel and multioutput targets are not supported: expected one label a sample in y.")
    if kind not in ("binary", "multiclass"):
        check_classification_targets(y)  # raises with scikit-learn's words
    labels = column_or_1d(y, warn=True)
    if labels.dtype == object:
        np.unique(labels)  # labels that cannot be compared cannot be sorted
    return labels, False


def without_nullable(y: Any) -> Any:
    """Return labels of pandas' nullable types, NumPy's or Arrow's, without missing ones, in the NumPy type inside.

    scikit-learn would make float64 of them, in which booleans are numbers and long numbers the same. Anything else
    comes back as it is.
    """
    if isinstance(y, pd.DataFrame):
        number_types = {name: _number_type(dtype) for name, dtype in y.dtypes.items()}
        return y.astype({name: dtype for name, dtype in number_types.items() if dtype is not None})
    number_type = _number_type(getattr(y, "dtype", None))
    return y if number_type is None else y.astype(number_type)


def _number_type(dtype: Any) -> np.dtype | None:
    """Return the NumPy type of the numbers or booleans of a type that has NA; None of any other type."""
    inside = getattr(dtype, "numpy_dtype", None)
    return inside if isinstance(inside, np.dtype) and inside.kind in "biuf" else None


def check_strategy(sampling_strategy: Any, y: np.ndarray) -> dict[Any, int]:
    """Return how many samples of which class an over-sampler adds, as imbalanced-learn reads the strategy.

    Parameters
    ----------
    sampling_strategy : str, float, dict or callable
    y : ndarray of shape (n,)

    Raises
    ------
    ValueError, TypeError
        For a strategy that over-sampling cannot follow.
    """
    wanted = sampling_strategy(y) if callable(sampling_strategy) else sampling_strategy
    known = "'auto', 'all', 'minority', 'not minority', 'not majority', a ratio, a dict or a callable that returns one"
    if callable(sampling_strategy) and not isinstance(wanted, Mapping):
        raise ValueError(f"Expected sampling_strategy to return a dict, but got {_short(wanted)}; return final totals.")
    if isinstance(wanted, bool) or not isinstance(wanted, str | Mapping | numbers.Real):
        raise ValueError(f"Expected sampling_strategy to be {known}, but got {_short(wanted)}.")
    if isinstance(wanted, Mapping):
        wanted = dict(wanted)
        for label, total in wanted.items():
            if isinstance(total, bool | np.bool_) or not isinstance(total, numbers.Integral):
                raise ValueError(
                    f"Expected sampling_strategy to have a whole number of samples for each class, but got {total!r} "
                    f"for class {label!r}; a dict gives final totals."
                )
    try:
        added = check_sampling_strategy(wanted, y, "over-sampling")
    except (TypeError, ValueError, OverflowError) as error:
        if "more than 1 class" in str(error):
            raise
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"Expected sampling_strategy to be one that adds samples to y, but got {error}") from error
    return {label: int(count) for label, count in added.items()}


def check_sample_weight(sample_weight: Any, y: np.ndarray) -> np.ndarray | None:
    """Return weights as float64 (n,), or None as it is.

    Raises
    ------
    ValueError
        Unless there is a finite weight of 0 or more for each label, and one above 0 in every class.
    """
    if sample_weight is None:
        return None
    try:
        weights = np.asarray(sample_weight, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"Expected sample_weight to hold numbers, but got {sample_weight!r}: {error}.") from error
    if weights.shape != y.shape:
        raise ValueError(
            f"Expected sample_weight to have shape {y.shape}, a weight for each sample, but got {weights.shape}."
        )
    if not (np.isfinite(weights) & (weights >= 0)).all():
        raise ValueError("Expected sample_weight to be finite and 0 or more, but got others; drop those rows.")
    for label in np.unique(y).tolist():
        if not weights[y == label].any():
            raise ValueError(
                "Expected sample_weight to be above 0 somewhere in every class, but got weights of zero alone in class "
                f"{label!r}; drop that class."
            )
    return weights


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 200 else text[:200] + "..."
