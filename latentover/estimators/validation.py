"""Checks of parameters, tables and class sizes: name, what was expected, what came, what to do."""

import math
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from sklearn.utils.validation import has_fit_parameter
from torch import Tensor

from latentover.estimators.parameters import wrong_parameters
from latentover.tables.checks import warn_user

MAX_PIXEL = 1e37
"""Images with larger values are refused: in float32, where the networks compute, their range would be infinite."""


def check_parameters(estimator: Any) -> None:
    """Raise one ValueError that names every parameter out of its range, with what was expected and what came.

    What a parameter may be stands in the annotation of its field, see `latentover.estimators.parameters`; where all are
    in their ranges the estimator looks whether they go together.
    """
    problems = wrong_parameters(estimator) or estimator._check_settings()
    if problems:
        raise ValueError("Expected " + "; and ".join(problems) + ".")


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


def check_class_count(classes: np.ndarray) -> None:
    """Raise ValueError for fewer than two classes."""
    if len(classes) == 0:
        raise ValueError("Expected X and y to have rows, but got none.")
    if len(classes) == 1:
        raise ValueError(
            f"Expected y to have at least 2 classes, but got 1 class: {classes.tolist()[0]!r}; there is nothing to "
            "balance."
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


@contextmanager
def naming_values(*, images: bool) -> Iterator[None]:
    """Say of missing and infinite values in an array what can be done with them, in place of scikit-learn's advice."""
    rows = "images" if images else "rows"
    try:
        yield
    except ValueError as error:
        if "contains NaN" in str(error):
            advice = "" if images else "pass missing='impute' or missing='mask', or "
            raise ValueError(
                f"Expected X to have no missing values, but X contains NaN; {advice}drop those {rows}."
            ) from error
        if "contains infinity" in str(error):
            raise ValueError(
                f"Expected X to be finite, but X contains infinity or a value too large; clip or drop those {rows}."
            ) from error
        raise


def warn_of_transparency(images: Tensor) -> None:
    """Warn of encoded images (n, c, h, w) with a fourth channel that is at its largest everywhere, as in most RGBA."""
    if images.shape[1] == 4 and bool((images[:, 3] == images.max()).all()):
        warn_user(
            "Expected channels that say something of the images, but got four of which the last is at its largest "
            "everywhere, as in RGBA images without transparency; drop it, for example with X[:, :3] (X[..., :3] with "
            "channels_last)."
        )


def check_method(name: str, part: Any, method: str) -> None:
    """Raise TypeError unless a part, of that parameter's name, has a method."""
    if not hasattr(part, method):
        raise TypeError(f"Expected {name} to have {method}, but got {part!r}; pass one that has it.")


def check_takes_weights(estimator: Any, weights: np.ndarray | None) -> None:
    """Raise TypeError where there are weights and an estimator takes none in ``fit``."""
    if weights is not None and not has_fit_parameter(estimator, "sample_weight"):
        raise TypeError(
            f"Expected estimator to take sample_weight in fit, but got {estimator!r}; pass one that does, or no "
            "sample_weight."
        )
