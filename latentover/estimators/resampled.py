"""The training set that an over-sampler makes of another one, for a method that trains on it late."""

from dataclasses import replace

import torch
from imblearn.over_sampling.base import BaseOverSampler
from sklearn.base import clone
from torch import Tensor

from latentover.estimators.base import BaseDeepEstimator, TrainingSet
from latentover.estimators.sampler import BaseSampler
from latentover.estimators.validation import naming
from latentover.training import parallel
from latentover.training.checkpoints import keeping, part_of


def with_rows(data: TrainingSet, inputs: Tensor, labels: Tensor) -> TrainingSet:
    """Return a training set with other rows (n, ...), encoded alike, and their class numbers (n,)."""
    labels = labels.to(data.device)
    return replace(
        data,
        inputs=inputs.to(data.device),
        labels=labels,
        class_counts=torch.bincount(labels, minlength=data.n_classes),
        sample_weight=None,
        rows=None,
    )


def resampled(sampler: BaseOverSampler, data: TrainingSet, settings: BaseDeepEstimator) -> TrainingSet:
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
    """
    sampler, own = clone(sampler), isinstance(sampler, BaseSampler)
    seed = int(torch.randint(2**31 - 1, (), generator=data.generator, device=data.device))
    sampler.set_params(**{name: seed for name in sampler.get_params() if name.endswith("random_state")})
    if own:
        shared = {name: getattr(settings, name) for name in ("device", "precision", "verbose", "checkpoint_every")}
        shared["checkpoint"] = None if settings.checkpoint is None else part_of(settings.checkpoint, "sampler")
        shared |= {"image_shape": None, "channels_last": False, "categorical_features": "auto", "missing": "error"}
        known = sampler.get_params(deep=False)
        sampler.set_params(**{name: value for name, value in shared.items() if name in known})
    X = data.inputs if own else data.prepare(data.inputs).flatten(1)
    y = settings.classes_[data.labels.cpu().numpy()]
    # Its checkpoint stays until the whole training is complete.
    with parallel.alone(), keeping(), naming("stage_sampler", "an over-sampler that can work with the training part"):
        X_new, y_new = sampler.fit_resample(X.cpu().numpy(), y)
    inputs = torch.as_tensor(X_new).reshape(-1, *data.inputs.shape[1:])
    if data.inputs.dtype == torch.uint8 and inputs.dtype != torch.uint8:
        inputs = inputs.mul(255).round().clamp(0, 255)
    return with_rows(data, inputs.to(data.inputs.dtype), torch.from_numpy(settings._class_numbers(y_new)))
