"""Which kind a column is, and what is learned of it."""

from typing import Any, Literal

import numpy as np
import pandas as pd

from latentover.tables.checks import check_gaps
from latentover.tables.columns import Column, present
from latentover.tables.identifiers import Identifier, NewIdentifiers, is_free_text
from latentover.tables.levels import Levels
from latentover.tables.numbers import Bounds, Number
from latentover.tables.series import KINDS_OF_VALUES, dtype_name, inferred, is_time, plain_value
from latentover.tables.times import Time

Missing = Literal["error", "impute", "mask"]


def learn_column(
    values: pd.Series,
    *,
    categorical: bool,
    identifier: bool = False,
    new_identifiers: NewIdentifiers = "fresh",
    missing: Missing = "impute",
    bounds: Bounds | None = None,
    scores: bool = False,
    stepped: bool = False,
    weights: np.ndarray | None = None,
) -> Column:
    """Learn a column.

    Parameters
    ----------
    values : Series of shape (n,)
    categorical : bool
        Whether the values are levels, even if they are numbers.
    identifier : bool, default=False
        Whether they name rows, whatever they are.
    new_identifiers : {"fresh", "missing"}, default="fresh"
        What new rows have then.
    missing : {"error", "impute", "mask"}, default="impute"
        Whether missing values, where there are some, are an error, become the median or most frequent level, or a
        state. Identifiers may be missing.
    bounds : (low, high), optional
        What generated numbers are clipped to, None for an open side; by default the range of `values`. Dates and
        durations stay within the range of `values` always.
    scores : bool, default=False
        Whether numbers and times are encoded by quantiles, with point masses and a calendar, or by mean and scale.
    stepped : bool, default=False
        Whether steps of numbers are looked for.
    weights : ndarray of shape (n,), optional
        How many rows each row stands for; for quantiles.

    Raises
    ------
    ValueError
        If no value is there, a type has no encoding, numbers are too large to be squared, or text is free.
    """
    name, dtype = plain_value(values.name), dtype_name(values.dtype, plain_value(values.name))
    if identifier:
        return Identifier.learn(values, dtype, new="missing" if is_free_text(values) else new_identifiers)
    if missing == "error":
        check_gaps(values)
    mask = missing == "mask"
    seen = inferred(present(values)[0])
    kind = pd.api.types.infer_dtype(seen) if seen.dtype == object else seen.dtype.name
    if kind.startswith(("bytes", "complex", "decimal")) or "binary" in kind:
        raise ValueError(
            f"Expected column {name!r} to hold {KINDS_OF_VALUES}, but got {kind} values; turn it into one of them."
        )
    if categorical:
        if is_free_text(values):
            raise ValueError(
                f"Expected column {name!r} to hold {KINDS_OF_VALUES}, but got free text, of which no levels can be "
                "learned; drop it, encode it as numbers yourself, or name it in identifiers to have it missing in new "
                "rows."
            )
        return Levels.learn(values, dtype, missing=mask)
    if is_time(seen.dtype):
        return Time.learn(values, dtype, scores=scores, missing=mask, weights=weights)
    settings: dict[str, Any] = {"scores": scores, "stepped": stepped, "missing": mask}
    return Number.learn(values, dtype, bounds=bounds, weights=weights, **settings)
