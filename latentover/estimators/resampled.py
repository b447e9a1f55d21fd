"""The training set that an over-sampler makes of another one, for a method that trains on it late."""

import inspect
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from imblearn.over_sampling.base import BaseOverSampler
from sklearn.base import clone
from sklearn.utils import get_tags
from torch import Tensor

from latentover.estimators.base import BaseDeepEstimator, TrainingSet
from latentover.estimators.sampler import BaseSampler
from latentover.estimators.validation import naming
from latentover.training import parallel
from latentover.training.checkpoints import keeping, part_of


def fit_resample(
    sampler: Any, X: Any, y: Any, sample_weight: np.ndarray | None, *, name: str = "sampler"
) -> tuple[Any, Any, np.ndarray | None]:
    """Return what a sampler, called `name` by the user, makes of X, y and the rows' weights, if there are any.

    Raises
    ------
    TypeError
        If there are weights and the sampler neither takes them nor repeats rows.
    """
    if sample_weight is None:
        return *sampler.fit_resample(X, y), None
    if "sample_weight" in inspect.signature(sampler.fit_resample).parameters:
        return *sampler.fit_resample(X, y, sample_weight=sample_weight), sampler.sample_weight_
    tags = getattr(get_tags(sampler), "sampler_tags", None)
    if tags is None or not tags.sample_indices:
        raise TypeError(
            f"Expected {name} to take sample_weight, or to repeat samples and say which (sample_indices_), but got "
            f"{sampler!r}; pass one of latentover, such as ClassicalSampler for SMOTE, or no sample_weight."
        )
    return *sampler.fit_resample(X, y), sample_weight[sampler.sample_indices_]


def with_rows(data: TrainingSet, inputs: Tensor, labels: Tensor, sample_weight: Tensor | None = None) -> TrainingSet:
    """Return a training set with other rows (n, ...), encoded alike, and their class numbers and weights (n,)."""
    labels = labels.to(data.device)
    return replace(
        data,
        inputs=inputs.to(data.device),
        labels=labels,
        class_counts=torch.bincount(labels, minlength=data.n_classes),
        sample_weight=None if sample_weight is None else sample_weight.to(data.device),
        rows=None,
    )


def lighter(
    weights: np.ndarray | None, new: np.ndarray, labels: np.ndarray, synthetic_weight: float
) -> np.ndarray | None:
    """Return weights (n,) in which a new row counts `synthetic_weight` times what it did, against the real ones.

    Each class keeps its total, so that what follows from class counts stays right.

    Parameters
    ----------
    weights : ndarray of shape (n,), optional
        All 1 by default.
    new : bool ndarray of shape (n,)
    labels : integer ndarray of shape (n,)
    synthetic_weight : float in [0, 1]

    Examples
    --------
    >>> lighter(None, np.array([False, False, False, True]), np.array([0, 0, 1, 1]), 0.25)
    array([1. , 1. , 1.6, 0.4])
    """
    if synthetic_weight == 1:
        return weights
    before = np.ones(len(labels)) if weights is None else weights
    after = np.where(new, synthetic_weight, 1.0) * before
    wanted, found = (np.bincount(labels, each) for each in (before, after))
    scale: np.ndarray = np.divide(wanted, found, out=np.ones_like(wanted), where=found > 0)
    return after * scale[labels]


def resampled(
    sampler: BaseOverSampler,
    data: TrainingSet,
    settings: BaseDeepEstimator,
    *,
    name: str = "stage_sampler",
    part: str = "sampler",
    synthetic_weight: float = 1.0,
) -> TrainingSet:
    """Return the training set that a clone of an over-sampler makes of another one.

    The sampler sees the encoded rows: images (n, c, h, w) in [0, 1] or as uint8, standardised rows of a table. One of
    imbalanced-learn sees images as rows of numbers in [0, 1].

    Parameters
    ----------
    sampler : over-sampler
    data : TrainingSet
        Its generator gives the seed.
    settings : estimator
        Says where and how loudly the sampler is trained.
    name : str, default="stage_sampler"
        What the user calls the sampler.
    part : str, default="sampler"
        The name of its checkpoint, one of `latentover.training.checkpoints.PARTS`.
    synthetic_weight : float in [0, 1], default=1.0
        See `lighter`.
    """
    sampler, own = clone(sampler), isinstance(sampler, BaseSampler)
    seed = int(torch.randint(2**31 - 1, (), generator=data.generator, device=data.device))
    sampler.set_params(**{name: seed for name in sampler.get_params() if name.endswith("random_state")})
    if own:
        shared = {name: getattr(settings, name) for name in ("device", "precision", "verbose", "checkpoint_every")}
        shared["checkpoint"] = None if settings.checkpoint is None else part_of(settings.checkpoint, part)
        shared |= {"image_shape": None, "channels_last": False, "categorical_features": "auto", "missing": "error"}
        known = sampler.get_params(deep=False)
        sampler.set_params(**{name: value for name, value in shared.items() if name in known})
    X = data.inputs if own else data.prepare(data.inputs).flatten(1)
    y = settings.classes_[data.labels.cpu().numpy()]
    # Its checkpoint stays until the whole training is complete.
    with parallel.alone(), keeping(), naming(name, "an over-sampler that can work with the training part"):
        weights = None if data.sample_weight is None else data.sample_weight.cpu().numpy()
        X_new, y_new, weights = fit_resample(sampler, X.cpu().numpy(), y, weights, name=name)
    inputs = torch.as_tensor(X_new).reshape(-1, *data.inputs.shape[1:])
    if data.inputs.dtype == torch.uint8 and inputs.dtype != torch.uint8:
        inputs = inputs.mul(255).round().clamp(0, 255)
    numbers = settings._class_numbers(y_new)
    new = sampler.synthetic_mask_ if own else np.arange(len(numbers)) >= len(y)
    weights = lighter(weights, new, numbers, synthetic_weight)
    labels, inputs = torch.from_numpy(numbers), inputs.to(data.inputs.dtype)
    return with_rows(data, inputs, labels, None if weights is None else torch.from_numpy(weights))
