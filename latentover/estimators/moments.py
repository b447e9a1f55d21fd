"""Generated rows of a table with the mean and the spread of their class.

A decoder returns conditional means: columns that the latents do not hold come out almost constant, and a classifier
learns to tell made rows from real ones by them. Normal noise makes up for what is missing.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from latentover.estimators.base import PREDICT_BATCH, TrainingSet
from latentover.estimators.generator import BaseGenerator
from latentover.estimators.parents import ParentRows
from latentover.tables import TableFormat

MATCHED = 4 * PREDICT_BATCH
"""Generated rows of each class, and training rows of it at most, whose moments are compared."""
MAX_COVARIANCES = 2**22
"""Tables whose covariances of all classes together have more entries than this have columns matched one by one."""


def moments(x: Tensor, weights: Tensor | None = None, *, full: bool = True) -> tuple[Tensor, Tensor]:
    """Return mean (d,) and covariance (d, d) of rows (n, d), or with ``full=False`` their variances (d,).

    Parameters
    ----------
    x : Tensor of shape (n, d)
    weights : Tensor of shape (n,), optional
        Not negative, one of them above 0; without them all rows count alike.
    """
    weights = torch.ones(len(x), device=x.device) if weights is None else weights
    shares = (weights / weights.sum()).unsqueeze(1)
    mean = (shares * x).sum(dim=0)
    centred = x - mean
    return mean, centred.T @ (shares * centred) if full else (shares * centred.square()).sum(dim=0)


def shrunk(values: Tensor, class_counts: Tensor, pseudo_count: float) -> Tensor:
    """Draw what was found in each class (C, ...) to the mean over all samples, the more the smaller the class is.

    Parameters
    ----------
    values : Tensor of shape (C, ...)
    class_counts : Tensor of shape (C,)
    pseudo_count : float
        A class of so many samples is drawn half of the way.
    """
    counts = class_counts.to(values.dtype).view(-1, *[1] * (values.dim() - 1))
    pooled = (counts * values).sum(dim=0) / counts.sum()
    return (counts * values + pseudo_count * pooled) / (counts + pseudo_count)


def noise_factors(covariances: Tensor) -> Tensor:
    """Return factors F of covariances (C, d, d): standard normal rows times F have the positive part of each.

    Of variances (C, d) the standard deviations.
    """
    if covariances.dim() == 2:
        return covariances.clamp(min=0).sqrt()
    values, vectors = torch.linalg.eigh(covariances.double())
    return (vectors * values.clamp(min=0).sqrt().unsqueeze(1)).mT.to(covariances.dtype)


@dataclass(kw_only=True, eq=False, repr=False)
class MatchedMoments(BaseGenerator):
    """A generator that can give rows of a table the spread of their class; a method passes them to `_with_noise`.

    Parameters
    ----------
    match_moments : bool, default=True
        Of tables: whether normal noise is added to what the decoder makes, with the mean and the covariance that the
        samples of the class have beyond those of 4096 generated ones (drawn to the pooled ones where the class is
        small, `shrunk`; of very wide tables the variances alone). Images have no noise.
    """

    match_moments: bool = True

    def _with_noise(self, outputs: Tensor, label: int, generator: torch.Generator) -> Tensor:
        """Return generated rows (n, d) of class number `label` with the noise that they lack; others as they are."""
        if "noise_factors" not in self.tensors_:
            return outputs
        mean, factor = (self.tensors_[name][label].to(self.device_) for name in ("noise_means", "noise_factors"))
        draws = torch.randn(outputs.shape, generator=generator, device=self.device_)
        return outputs + mean + (draws @ factor if factor.dim() == 2 else draws * factor)

    def _after_training(self, data: TrainingSet) -> None:
        if self._lacks_noise() and self.match_moments and isinstance(self.format_, TableFormat):
            self.tensors_ |= self._noise(data)
        super()._after_training(data)

    def _lacks_noise(self) -> bool:
        """Whether the decoder returns means."""
        return self._can_generate()

    def _noise(self, data: TrainingSet) -> dict[str, Tensor]:
        """Return means (C, d) and factors (C, d, d), or (C, d), of the normal noise that generated rows lack."""
        d = data.inputs.shape[1]
        full = data.n_classes * d**2 <= MAX_COVARIANCES
        means, covariances = [], []
        for label in range(data.n_classes):
            members = (data.labels == label).nonzero().squeeze(1)
            weights = None if data.sample_weight is None else data.sample_weight[members].float()
            self._parents = (label, ParentRows(members, weights))  # any of them, whatever base_selection says
            with torch.inference_mode():
                batches = range(MATCHED // PREDICT_BATCH)
                made = torch.cat([self._generate(label, PREDICT_BATCH, data.generator).outputs for _ in batches])
            chosen = torch.randperm(len(members), generator=data.generator, device=data.device)[:MATCHED]
            real = data.prepare(data.inputs[members[chosen]])
            (mean, covariance), (mean_made, covariance_made) = (
                moments(real, None if weights is None else weights[chosen], full=full),
                moments(made, full=full),
            )
            means.append(mean - mean_made)
            covariances.append(covariance - covariance_made)
        self._parents = None
        return {
            "noise_means": shrunk(torch.stack(means), data.class_counts, d).cpu(),
            "noise_factors": noise_factors(shrunk(torch.stack(covariances), data.class_counts, d)).cpu(),
        }
