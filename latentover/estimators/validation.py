"""Checks of parameters, tables and class sizes: name, what was expected, what came, what to do."""

import inspect
import math
import numbers
import warnings
from typing import Any

import numpy as np
import pandas as pd
from torch import nn

from latentover.training import AUGMENTS, SCHEDULES
from latentover.training.device import PRECISIONS

MAX_DENSE_BYTES = 4 * 2**30
"""Sparse tables and one-hot columns that would take more than this when dense are refused."""

# One row a parameter that means the same in every method: lowest value, whether it is included, and the type.
_NUMBERS: dict[str, tuple[float, bool, type]] = {
    "adversarial_every": (1, True, int),
    "batch_size": (2, True, int),  # batch normalisation cannot train on one row
    "channels": (1, True, int),
    "classifier_weight": (0, True, float),
    "critic_steps": (0, True, int),
    "decoder_channels": (1, True, int),
    "dropout": (0, True, float),
    "feature_dim": (1, True, int),
    "gradient_penalty_weight": (0, True, float),
    "hidden_units": (1, True, int),
    "latent_dim": (1, True, int),
    "learning_rate": (0, False, float),
    "max_epochs": (1, True, int),
    "max_steps": (1, True, int),
    "n_components": (1, True, int),
    "reconstruction_weight": (0, True, float),
    "sampling_power": (0, True, float),
    "tau": (0, True, float),
    "verbose": (0, True, int),
    "weight_decay": (0, True, float),
}
# Highest value and whether it is included, for the few that have one.
_HIGHEST: dict[str, tuple[float, bool]] = {"dropout": (1, False), "sampling_power": (1, True)}
_NETWORKS = {"backbone", "encoder"}
_MAY_BE_NONE = {"decoder_channels", "hidden_units", "latent_dim"}
_CHOICES: dict[str, tuple[Any, ...]] = {
    "augment": AUGMENTS,
    "channels_last": (True, False),
    "precision": PRECISIONS,
    "schedule": SCHEDULES,
    "small_class": ("raise", "adapt"),
}


def check_parameters(estimator: Any) -> None:
    """Raise one ValueError that names every parameter out of its range, with what was expected and what came.

    Besides the parameters that all methods share, those of the estimator's own ``_choices`` are checked.
    """
    choices = {**_CHOICES, **estimator._choices}
    problems = []
    for name in inspect.signature(type(estimator).__init__).parameters:
        if name == "self":
            continue
        value = getattr(estimator, name)
        if value is None and name in _MAY_BE_NONE:
            continue
        if name in _NUMBERS:
            problems += _check_number(name, value, *_NUMBERS[name])
        elif name in choices and not any(value is choice or value == choice for choice in choices[name]):
            problems.append(f"{name} to be one of {choices[name]}, but got {value!r}")
        elif name in _NETWORKS and value != "auto" and not isinstance(value, nn.Module):
            problems.append(f"{name} to be 'auto' or an nn.Module, but got {value!r}")
        elif name == "image_shape" and not _is_image_shape(value):
            problems.append(f"image_shape to be (channels, height, width) or None, but got {value!r}")
    if problems:
        raise ValueError("Expected " + "; and ".join(problems) + ".")


def _is_image_shape(value: Any) -> bool:
    if value is None:
        return True
    sides = tuple(value) if isinstance(value, list | tuple) else ()
    return len(sides) == 3 and all(isinstance(side, int | np.integer) and side >= 1 for side in sides)


def _check_number(name: str, value: Any, low: float, inclusive: bool, kind: type) -> list[str]:
    wanted = numbers.Integral if kind is int else numbers.Real
    typed = isinstance(value, wanted) and (name == "verbose" or not isinstance(value, bool)) and math.isfinite(value)
    high, high_inclusive = _HIGHEST.get(name, (math.inf, False))
    if typed and (value >= low if inclusive else value > low) and (value <= high if high_inclusive else value < high):
        return []
    noun = "a whole number" if kind is int else "a number"
    bound = f"{'at least' if inclusive else 'above'} {low:g}"
    if name in _HIGHEST:
        bound += f" and {'at most' if high_inclusive else 'below'} {high:g}"
    return [f"{name} to be {noun} {bound}, but got {value!r}"]


def check_class_sizes(classes: np.ndarray, counts: np.ndarray, small_class: str | None) -> None:
    """Raise ValueError for fewer than two classes, and where `small_class` is "raise" for a class of one sample."""
    if len(classes) < 2:
        raise ValueError(
            f"Expected y to have at least 2 classes, but got 1 class: {classes[0]!r}; there is nothing to balance."
        )
    single = classes[counts == 1]
    if len(single) == 0 or small_class is None:
        return
    names = ", ".join(repr(label) for label in single.tolist())
    if small_class == "raise":
        raise ValueError(
            f"Expected every class to have at least 2 samples, but got 1 of class {names}; collect more, drop the "
            "class, or pass small_class='adapt' to mix its sample with itself."
        )
    warnings.warn(
        f"Class {names} has 1 sample: what is generated for it are variations of that sample.",
        UserWarning,
        stacklevel=4,
    )


def check_dense_size(shape: tuple[int, ...], what: str = "X", itemsize: int = 8) -> None:
    """Raise ValueError if a dense array of `shape` would take more than `MAX_DENSE_BYTES`."""
    size = math.prod(shape) * itemsize
    if size > MAX_DENSE_BYTES:
        raise ValueError(
            f"Expected {what} to take at most {MAX_DENSE_BYTES / 2**30:.3g} GiB as a dense array, but its shape "
            f"{tuple(shape)} would take {size / 2**30:.3g} GiB; the networks need dense rows, so reduce it first, e.g. "
            "with sklearn.decomposition.TruncatedSVD, or group rare categories."
        )


def check_table(X: pd.DataFrame) -> None:
    """Raise ValueError for an empty frame, missing or infinite values, and columns of a type that has no encoding."""
    for count, noun in zip(X.shape, ("sample(s)", "feature(s)"), strict=True):
        if count == 0:
            raise ValueError(f"Expected X to have rows and columns, but got 0 {noun}: its shape is {X.shape}.")
    for i, name in enumerate(X.columns):
        column = X.iloc[:, i]
        if column.isna().any():
            raise ValueError(
                f"Expected X to have no missing values, but column {name!r} contains NaN; impute it first, e.g. with "
                "sklearn.impute.SimpleImputer in a pipeline."
            )
        if pd.api.types.is_datetime64_any_dtype(column.dtype) or pd.api.types.is_timedelta64_dtype(column.dtype):
            raise ValueError(
                f"Expected columns of numbers, booleans or categories, but column {name!r} holds {column.dtype}; turn "
                "it into numbers, e.g. days since a date."
            )
        if pd.api.types.is_complex_dtype(column.dtype):
            raise ValueError(f"Complex data not supported: column {name!r}.")
        if pd.api.types.is_float_dtype(column.dtype) and not np.isfinite(column.to_numpy(dtype=np.float64)).all():
            raise ValueError(
                f"Expected X to be finite, but column {name!r} contains infinity; clip or drop those rows."
            )
