"""Checks of tables, and warnings that say where in the user's code they come from."""

import math
import sys
import warnings

import numpy as np
import pandas as pd

from latentover.tables.series import missing_values, plain_value

MAX_DENSE_BYTES = 4 * 2**30
"""Sparse tables and one-hot columns that would take more than this when dense are refused."""


def warn_user(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn with the place outside of latentover from which it was called."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_back.f_globals.get("__name__", "").startswith("latentover."):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level + 1)


def check_dense_size(
    shape: tuple[int, ...],
    what: str = "X",
    itemsize: int = 8,
    advice: str = "the networks need dense rows, so reduce it first, e.g. with sklearn.decomposition.TruncatedSVD, or "
    "group rare categories",
) -> None:
    """Raise ValueError if a dense array of `shape` would take more than `MAX_DENSE_BYTES`."""
    size = math.prod(shape) * itemsize
    if size > MAX_DENSE_BYTES:
        raise ValueError(
            f"Expected {what} to take at most {MAX_DENSE_BYTES / 2**30:.3g} GiB as a dense array, but its shape "
            f"{tuple(shape)} would take {size / 2**30:.3g} GiB; {advice}."
        )


def check_table(X: pd.DataFrame | np.ndarray, missing: str = "error") -> None:
    """Raise ValueError for an empty table, infinite values, complex ones, and missing values unless they are allowed.

    Parameters
    ----------
    X : frame or array of shape (n, d)
    missing : {"error", "impute", "mask"}, default="error"
        Only ``"error"`` does not allow missing values.
    """
    for count, noun in zip(X.shape, ("sample(s)", "feature(s)"), strict=True):
        if count == 0:
            raise ValueError(f"Expected X to have rows and columns, but got 0 {noun}: its shape is {X.shape}.")
    if isinstance(X, np.ndarray) and X.dtype.kind in "biuf" and np.isfinite(X).all():
        return
    for i in range(X.shape[1]):
        column = X.iloc[:, i] if isinstance(X, pd.DataFrame) else pd.Series(X[:, i], name=i)
        name, dtype = plain_value(column.name), column.dtype
        if pd.api.types.is_complex_dtype(dtype):
            raise ValueError(f"Complex data not supported: column {name!r}.")
        if missing == "error":
            check_gaps(column)
        if pd.api.types.is_float_dtype(dtype) and np.isinf(column.to_numpy(dtype=np.float64, na_value=np.nan)).any():
            raise ValueError(
                f"Expected X to be finite, but column {name!r} contains infinity; clip or drop those rows."
            )


def check_gaps(column: pd.Series) -> None:
    """Raise ValueError if values of a column are missing."""
    gaps = int(missing_values(column).sum())
    if gaps:
        raise ValueError(
            f"Expected X to have no missing values, but got {gaps} in {len(column)} rows: "
            f"column {plain_value(column.name)!r} contains NaN; impute it first, e.g. with "
            "sklearn.impute.SimpleImputer in a pipeline, or pass missing='impute' or missing='mask'."
        )
