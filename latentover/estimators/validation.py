"""Checks of parameters, tables and class sizes: name, what was expected, what came, what to do."""

import inspect
import math
import numbers
import os
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd
from torch import nn

from latentover.estimators.columns import missing_values, plain_value
from latentover.mixing import MixingRule
from latentover.networks.autoencoder import ENCODERS
from latentover.training import AUGMENTS, OPTIMIZERS, SCHEDULES
from latentover.training.device import PRECISIONS
from latentover.training.step_decay import StepDecay

MAX_DENSE_BYTES = 4 * 2**30
"""Sparse tables and one-hot columns that would take more than this when dense are refused."""

MAX_PIXEL = 1e37
"""Images with larger values are refused: in float32, where the networks compute, their range would be infinite."""

NumberRange = tuple[float, bool, type]
"""Lowest value of a parameter, whether it is included, and int or float."""

# One row a parameter that means the same in every method.
_NUMBERS: dict[str, NumberRange] = {
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
    "stage_start": (1, False),
    "translation_start": (1, True),
    "validation_fraction": (1, False),
}
_NETWORKS = {"encoder"}
_MAY_BE_NONE = {
    "adversarial_every",
    "adversarial_learning_rate",
    "decoder_channels",
    "hidden_units",
    "latent_dim",
    "reconstruction_weight",
}
_CHOICES: dict[str, tuple[Any, ...]] = {
    "augment": AUGMENTS,
    "average_mirrored": (True, False),
    "channels_last": (True, False),
    "compile": (True, False),
    "early_stopping": (True, False),
    "keep_index": ("reset", "original"),
    "missing": ("error", "impute", "mask"),
    "optimizer": OPTIMIZERS,
    "precision": PRECISIONS,
    "schedule": SCHEDULES,
    "small_class": ("adapt", "raise", "skip"),
}


def check_parameters(estimator: Any) -> None:
    """Raise one ValueError that names every parameter out of its range, with what was expected and what came.

    Besides the parameters that all methods share, those of the estimator's own ``_choices`` and ``_numbers`` are
    checked.
    """
    choices = {**_CHOICES, **estimator._choices}
    ranges = {**_NUMBERS, **estimator._numbers}
    problems = []
    for name in inspect.signature(type(estimator).__init__).parameters:
        if name == "self":
            continue
        value = getattr(estimator, name)
        if value is None and name in _MAY_BE_NONE:
            continue
        if name in ranges:
            problems += _check_number(name, value, *ranges[name])
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
        elif name == "base_selection":
            problems += _check_base_selection(value, estimator._has_bases)
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


def _check_base_selection(value: Any, has_bases: bool) -> list[str]:
    if isinstance(value, str) and value == "random":
        return []
    if not has_bases:
        return [f"base_selection to be 'random', for new samples are not made from chosen rows here, but got {value!r}"]
    if isinstance(value, str) and value == "even":
        return []
    if isinstance(value, list | tuple | np.ndarray):
        rows = np.asarray(value)
        if rows.ndim == 1 and rows.dtype.kind in "iu" and len(rows) > 0 and rows.min() >= 0:
            return []
    return [f"base_selection to be 'random', 'even' or row numbers of X, 0 or more, but got {value!r}"]


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


@contextmanager
def naming(argument: str, expected: str) -> Iterator[None]:
    """Let no error pass that does not say which argument of the user's it is about."""
    try:
        yield
    except (TypeError, ValueError, OverflowError) as error:
        if re.search(rf"^Expected \w+ to |\b{argument}\b", str(error)):
            raise
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"Expected {argument} to be {expected}. {error}") from error


def warn_user(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn with the place outside of latentover from which it was called."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_back.f_globals.get("__name__", "").startswith("latentover."):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level + 1)


def check_class_count(classes: np.ndarray) -> None:
    """Raise ValueError for fewer than two classes."""
    if len(classes) < 2:
        raise ValueError(
            f"Expected y to have at least 2 classes, but got 1 class: {classes[0]!r}; there is nothing to balance."
        )


def check_class_sizes(classes: np.ndarray, counts: np.ndarray, needed: int, small_class: str) -> None:
    """Warn of classes with fewer than `needed` samples, or raise ValueError where `small_class` is "raise"."""
    small = counts < needed
    if not small.any():
        return
    sizes = [f"{count} of class {label!r}" for label, count in zip(classes[small].tolist(), counts[small], strict=True)]
    if small_class == "raise":
        raise ValueError(
            f"Expected every class to have at least {needed} samples, but got {', '.join(sizes)}; collect more, drop "
            "the class, or pass small_class='adapt' to make new samples from what there is."
        )
    what = {
        "adapt": "what is generated for such a class varies only what there is",
        "skip": "fit_resample adds nothing to such a class",
    }[small_class]
    warn_user(f"Expected every class to have at least {needed} samples, but got {', '.join(sizes)}: {what}.")


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


def check_request(what: str, n: int, shape: tuple[int, ...]) -> None:
    """Raise ValueError if `n` new samples of `shape` would take more memory than this machine has.

    Counted are 8 bytes for each number of a table, and one for each of an image.
    """
    size = n * math.prod(shape) * (8 if len(shape) == 1 else 1)
    memory = total_memory()
    if size > memory:
        raise ValueError(
            f"Expected {what} to ask for samples that fit into memory, but got {n:,}, which take at least "
            f"{size / 2**30:,.0f} GiB where there are {memory / 2**30:,.0f}; ask for fewer at a time."
        )


def total_memory() -> int:
    """Return how many bytes of memory this machine has; 64 GiB where the system does not tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return 64 * 2**30


def check_latents(Z: Any, length: int, n: int | None = None) -> np.ndarray:
    """Return latents as float32 (n, length); raise ValueError for another shape and unless they are finite numbers."""
    if np.ndim(Z) != 2 or np.shape(Z)[1] != length or n not in (None, len(Z)):
        wanted = f"codes of length {length}" if n is None else f"a latent of length {length} for each of the {n} labels"
        raise ValueError(f"Expected Z to hold {wanted}, but got an array of shape {np.shape(Z)}.")
    latents = np.asarray(Z)
    if latents.dtype.kind not in "biuf" or not np.isfinite(latents).all():
        raise ValueError(
            "Expected Z to hold finite numbers, but got others (NaN, infinity or text); drop those rows, or pass what "
            "`encode` gave."
        )
    return latents.astype(np.float32)


def check_plain_numbers(X: Any) -> None:
    """Raise ValueError for text, dates and durations in an array or list, which scikit-learn reads as numbers."""
    values = np.asarray(X)
    if values.dtype.kind in "mM":
        raise ValueError(f"Expected X to hold numbers, but got {values.dtype}; pass a frame for columns of that type.")
    if values.dtype.kind in "US" or (values.dtype == object and any(isinstance(x, str | bytes) for x in values.flat)):
        raise ValueError("Expected X to hold numbers, but got text in it; pass a frame for columns of text.")


def check_images(X: np.ndarray) -> None:
    """Raise ValueError for missing values, and for values whose differences float32 cannot hold."""
    largest = float(np.abs(X).max()) if X.dtype.kind == "f" else 0.0
    if math.isnan(largest):
        raise ValueError("Expected images X to have no missing values, but X contains NaN; drop those images.")
    if not largest <= MAX_PIXEL:
        raise ValueError(f"Expected images X to have values within +-{MAX_PIXEL:g}, but got {largest:g}; rescale them.")


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
        gaps = int(missing_values(column).sum()) if missing == "error" else 0
        if gaps:
            raise ValueError(
                f"Expected X to have no missing values, but got {gaps} in {len(column)} rows: "
                f"column {name!r} contains NaN; impute it first, e.g. with sklearn.impute.SimpleImputer in a pipeline, "
                "or pass missing='impute' or missing='mask'."
            )
        if pd.api.types.is_float_dtype(dtype) and np.isinf(column.to_numpy(dtype=np.float64, na_value=np.nan)).any():
            raise ValueError(
                f"Expected X to be finite, but column {name!r} contains infinity; clip or drop those rows."
            )
