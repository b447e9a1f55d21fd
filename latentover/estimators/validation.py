"""Checks of parameters, tables and class sizes: name, what was expected, what came, what to do."""

import inspect
import math
import numbers
import os
import warnings
from typing import Any

import numpy as np
import pandas as pd
from torch import nn

from latentover.mixing import MixingRule
from latentover.networks.autoencoder import ENCODERS
from latentover.training import AUGMENTS, OPTIMIZERS, SCHEDULES
from latentover.training.device import PRECISIONS
from latentover.training.step_decay import StepDecay

MAX_DENSE_BYTES = 4 * 2**30
"""Sparse tables and one-hot columns that would take more than this when dense are refused."""

# One row a parameter that means the same in every method: lowest value, whether it is included, and the type.
_NUMBERS: dict[str, tuple[float, bool, type]] = {
    "acceptance_beta": (0, True, float),
    "adversarial_every": (1, True, int),
    "adversarial_learning_rate": (0, False, float),
    "batch_norm_momentum": (0, False, float),
    "batch_size": (2, True, int),  # batch normalisation cannot train on one row
    "channels": (1, True, int),
    "checkpoint_every": (1, True, int),
    "classifier_weight": (0, True, float),
    "confidence": (0, True, float),
    "critic_steps": (0, True, int),
    "decoder_channels": (1, True, int),
    "dropout": (0, True, float),
    "drw_start": (0, True, float),
    "effective_beta": (0, True, float),
    "ema": (0, True, float),
    "feature_dim": (1, True, int),
    "focal_gamma": (0, True, float),
    "gradient_penalty_weight": (0, True, float),
    "hidden_units": (1, True, int),
    "latent_dim": (1, True, int),
    "ldam_margin": (0, True, float),
    "ldam_scale": (0, False, float),
    "learning_rate": (0, False, float),
    "max_epochs": (1, True, int),
    "max_steps": (1, True, int),
    "n_components": (1, True, int),
    "n_iter_no_change": (1, True, int),
    "noise_radius": (0, True, float),
    "reconstruct_every": (1, True, int),
    "reconstruction_weight": (0, True, float),
    "repulsion": (0, True, float),
    "sampling_power": (0, True, float),
    "tau": (0, True, float),
    "translation_start": (0, True, float),
    "translation_step_size": (0, False, float),
    "translation_steps": (1, True, int),
    "validation_fraction": (0, False, float),
    "verbose": (0, True, int),
    "weight_decay": (0, True, float),
}
# Highest value and whether it is included, for the few that have one.
_HIGHEST: dict[str, tuple[float, bool]] = {
    "acceptance_beta": (1, False),
    "batch_norm_momentum": (1, True),
    "confidence": (1, True),
    "dropout": (1, False),
    "drw_start": (1, True),
    "effective_beta": (1, False),
    "ema": (1, False),
    "sampling_power": (1, True),
    "translation_start": (1, True),
    "validation_fraction": (1, False),
}
_NETWORKS = {"encoder"}
_MAY_BE_NONE = {"adversarial_learning_rate", "decoder_channels", "hidden_units", "latent_dim"}
_CHOICES: dict[str, tuple[Any, ...]] = {
    "augment": AUGMENTS,
    "average_mirrored": (True, False),
    "channels_last": (True, False),
    "compile": (True, False),
    "early_stopping": (True, False),
    "optimizer": OPTIMIZERS,
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
        elif name == "schedule" and isinstance(value, StepDecay):
            continue
        elif name in choices and not any(value is choice or value == choice for choice in choices[name]):
            problems.append(f"{name} to be one of {choices[name]}, but got {value!r}")
        elif name in _NETWORKS and value not in ENCODERS and not isinstance(value, nn.Module):
            problems.append(f"{name} to be one of {ENCODERS} or an nn.Module, but got {value!r}")
        elif name == "backbone" and not isinstance(value, str | nn.Module):
            problems.append(f"backbone to be the name of a network or an nn.Module, but got {value!r}")
        elif name == "alpha" and not _is_alpha(value):
            problems.append(f"alpha to be 'mixer', 'uniform' or a list of positive numbers, but got {value!r}")
        elif name == "mixer_betas" and not _are_betas(value):
            problems.append(f"mixer_betas to be two numbers in [0, 1), but got {value!r}")
        elif name == "mixing" and not (value is None or isinstance(value, MixingRule)):
            problems.append(f"mixing to be None or a rule of latentover.mixing, but got {value!r}")
        elif name == "checkpoint" and not (value is None or isinstance(value, str | os.PathLike)):
            problems.append(f"checkpoint to be the path of a file or None, but got {value!r}")
        elif name == "image_shape" and not _is_image_shape(value):
            problems.append(f"image_shape to be (channels, height, width) or None, but got {value!r}")
    if not problems:
        problems = estimator._check_settings()
    if problems:
        raise ValueError("Expected " + "; and ".join(problems) + ".")


def _are_numbers(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(
        isinstance(item, numbers.Real) and math.isfinite(item) for item in value
    )


def _is_alpha(value: Any) -> bool:
    return value in ("mixer", "uniform") if isinstance(value, str) else _are_numbers(value) and min(value) > 0


def _are_betas(value: Any) -> bool:
    return _are_numbers(value) and len(value) == 2 and all(0 <= beta < 1 for beta in value)


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
