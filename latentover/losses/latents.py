"""Latent augmentation in closed form: a loss as if infinitely many latents were drawn around each class's features.

Nothing is drawn. Means and covariances of each class's features are followed while a network trains, and what the drawn
latents would cost on average is a formula:

- `GaussianLatents`, after Wang et al., "Implicit Semantic Data Augmentation for Deep Networks", NeurIPS 2019, with the
  covariances of rare classes shrunk to those of frequent classes near to them (Li et al., "MetaSAug: Meta Semantic
  Augmentation for Long-Tailed Visual Recognition", CVPR 2021, learn them; Yang et al., "Free Lunch for Few-Shot
  Learning: Distribution Calibration", ICLR 2021, borrow them);
- `VonMisesFisherLatents`, after Du et al., "Probabilistic Contrastive Learning for Long-Tailed Visual Recognition",
  TPAMI 2024.

How far a rare class's covariance is shrunk, and what a mixture tells of its two classes, are choices of ours.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from latentover.mixing.mixed import Mixed, check_number
from latentover.training import parallel

LARGEST_CONCENTRATION = 1e5
"""Of a von Mises-Fisher distribution: one that a single direction would make infinite."""
_OLVER_FROM = 20
"""Order of a Bessel function from which four terms of its expansion leave an error below 1e-8."""


# ---- Moments ---------------------------------------------------------------------------------------------------------


class ClassMoments:
    """Numbers, means and covariances of the features of each class, of all batches so far and in their places.

    Parameters
    ----------
    n_features : int
    horizon : Tensor of shape (C,)
        How many samples of each class count at most, those before being forgotten little by little; infinity forgets
        nothing.
    covariances : bool, default=True
        Whether covariances are followed beside means.

    Attributes
    ----------
    counts : Tensor of shape (C,)
    means : Tensor of shape (C, d)
    covariances : Tensor of shape (C, d, d) or None
        Divided by the number of samples.

    Examples
    --------
    >>> import torch
    >>> moments = ClassMoments(1, torch.full((2,), torch.inf))
    >>> moments.update(torch.tensor([[1.0], [3.0], [5.0]]), torch.tensor([0, 0, 1]))
    >>> moments.update(torch.tensor([[8.0]]), torch.tensor([0]))
    >>> moments.means.T, moments.covariances.flatten()
    (tensor([[4., 5.]]), tensor([8.6667, 0.0000]))
    """

    def __init__(self, n_features: int, horizon: Tensor, *, covariances: bool = True) -> None:
        n, device = len(horizon), horizon.device
        self.horizon = horizon
        self.counts, self.means = torch.zeros(n, device=device), torch.zeros(n, n_features, device=device)
        self.covariances = torch.zeros(n, n_features, n_features, device=device) if covariances else None

    @torch.no_grad()
    def update(self, features: Tensor, labels: Tensor, weights: Tensor | None = None) -> None:
        """Take in a batch: features (B, d) of classes (B,), each counted as often as its weight (B,) says.

        Several processes take in what all of them have.
        """
        features = features.detach().to(self.means.dtype)
        share = torch.zeros(len(features), len(self.counts), dtype=self.means.dtype, device=features.device)
        ones = torch.ones_like(share[:, 0]) if weights is None else weights.detach().to(share.dtype)
        share.scatter_(1, labels.unsqueeze(1), ones.unsqueeze(1))
        with torch.autocast(features.device.type, enabled=False):
            number, total = share.sum(dim=0), share.T @ features
            parallel.average([number, total])
            at_least = torch.finfo(number.dtype).tiny
            mean = total / number.clamp(min=at_least).unsqueeze(1)
            number = number * parallel.n_processes()
            before = torch.minimum(self.counts, self.horizon)
            gain = (number / (before + number).clamp(min=at_least)).unsqueeze(1)  # 0 leaves a class as it was
            step = mean - self.means
            if self.covariances is not None:
                apart = features - mean[labels]
                scatter = torch.einsum("bci,bj->cij", share.unsqueeze(2) * apart.unsqueeze(1), apart)
                parallel.average([scatter])
                within = scatter * (parallel.n_processes() / number.clamp(min=at_least)).view(-1, 1, 1)
                between = (1 - gain).unsqueeze(2) * step.unsqueeze(2) * step.unsqueeze(1)
                self.covariances.add_(gain.unsqueeze(2) * (within + between - self.covariances))
            self.means.add_(gain * step)
            self.counts.copy_(before + number)

    def update_mixed(self, features: Tensor, mixed: Mixed, weights: tuple[Tensor, Tensor] | None = None) -> None:
        """Take in features (B, d) of mixed samples, whose halves may have weights (B,) and (B,) of their own.

        One of label weight w counts for the class that has more of it as a sample of weight abs(2 w - 1): one half of
        each says nothing of either.
        """
        more = 2 * mixed.label_weight - 1
        own = 1 if weights is None else torch.where(more >= 0, weights[0], weights[1])
        self.update(features, torch.where(more >= 0, mixed.labels, mixed.partners), more.abs() * own)

    def state_dict(self) -> dict[str, Any]:
        """Return the moments."""
        return {"counts": self.counts, "means": self.means, "covariances": self.covariances}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self.counts.copy_(state["counts"])
        self.means.copy_(state["means"])
        if self.covariances is not None:
            self.covariances.copy_(state["covariances"])


# ---- What a training takes -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LatentAugmentation(ABC):
    """What both kinds are: how long they remember, and what a training keeps of them.

    Parameters
    ----------
    memory : float, default=5.0
        Epochs that moments reach back, in samples of each class; features of long ago are another network's.
    """

    memory: float = 5.0

    def __post_init__(self) -> None:
        check_number("memory", self.memory, 0, above=True)

    @abstractmethod
    def start(self, n_features: int, class_counts: Tensor) -> "RunningLatents":
        """Return what a training keeps of it.

        Parameters
        ----------
        n_features : int
            Length of what moments are taken of.
        class_counts : Tensor of shape (C,)
            Training samples of each class.
        """

    def moments(self, n_features: int, class_counts: Tensor, *, covariances: bool) -> ClassMoments:
        """Return moments that reach back as far as `memory` says."""
        return ClassMoments(n_features, (self.memory * class_counts).float(), covariances=covariances)


class RunningLatents:
    """Moments in a training; a checkpoint holds them."""

    def __init__(self, moments: ClassMoments) -> None:
        self.moments = moments

    def start_step(self, progress: float) -> None:
        """Get ready for a step, `progress` in [0, 1) being the part of the training that is over."""

    def update(self, features: Tensor, labels: Tensor | Mixed, weights: Any = None) -> None:
        """Take in the features (B, d) of a batch with plain labels (B,), or mixed, and weights for either."""
        if isinstance(labels, Mixed):
            self.moments.update_mixed(features, labels, weights)
        else:
            self.moments.update(features, labels, weights)

    def state_dict(self) -> dict[str, Any]:
        """Return the moments."""
        return self.moments.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self.moments.load_state_dict(state)


# ---- Gaussian --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class GaussianLatents(LatentAugmentation):
    r"""The expected loss of latents that are drawn from a Gaussian around each feature, or what it is below.

    For a feature f of class y, latents from :math:`N(f, \lambda \Sigma_y)` have an expected cross-entropy of at most

    .. math::
        \log \sum_j \pi_j^\tau \exp(\delta_j^T f + b_j - b_y + \frac{\lambda}{2} \delta_j^T \Sigma_y \delta_j)
        - \tau \log \pi_y, \quad \delta_j = w_j - w_y

    (Jensen's inequality and the moment-generating function of a Gaussian): the loss of logits to which the last term is
    added.

    Parameters
    ----------
    memory : float, default=5.0
        Epochs that moments reach back, in samples of each class; features of long ago are another network's.
    strength : float, default=0.5
        The :math:`\lambda`; 0 is the plain loss.
    warmup : float in [0, 1], default=1.0
        Fraction of the training over which the strength rises from 0, for early covariances say little.
    borrow : int, default=2
        From how many of the nearest more frequent classes (by the means) a class borrows: its covariance is
        :math:`(n_c \Sigma_c + d\, \bar\Sigma) / (n_c + d)` with d features and their mean :math:`\bar\Sigma`. 0 borrows
        nothing.

    References
    ----------
    Wang et al., "Implicit Semantic Data Augmentation for Deep Networks", NeurIPS 2019, Eq. 6.
    """

    strength: float = 0.5
    warmup: float = 1.0
    borrow: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("strength", self.strength, 0)
        check_number("warmup", self.warmup, 0, 1)
        check_number("borrow", self.borrow, 0, whole=True)

    def start(self, n_features: int, class_counts: Tensor) -> "RunningGaussians":
        """See `LatentAugmentation`."""
        return RunningGaussians(self, n_features, class_counts)


class RunningGaussians(RunningLatents):
    """`GaussianLatents` in a training."""

    def __init__(self, rule: GaussianLatents, n_features: int, class_counts: Tensor) -> None:
        super().__init__(rule.moments(n_features, class_counts, covariances=True))
        self.rule = rule
        self.strength = torch.zeros((), device=class_counts.device)
        counts = class_counts.float()
        self.more_frequent = counts.unsqueeze(0) > counts.unsqueeze(1)  # [c, k]: k is larger than c
        self.shrinkage = n_features / (counts + n_features) * self.more_frequent.any(dim=1)

    def start_step(self, progress: float) -> None:
        """Set the strength of a step, where it was."""
        warmup = self.rule.warmup
        self.strength.fill_(self.rule.strength * (min(1.0, progress / warmup) if warmup > 0 else 1.0))

    @torch.no_grad()
    def covariances(self) -> Tensor:
        """Return the covariances (C, d, d), those of rarer classes shrunk to those of more frequent ones."""
        own = self.moments.covariances
        assert own is not None
        n_near = min(self.rule.borrow, len(own) - 1)
        if n_near == 0:
            return own
        distances = torch.cdist(self.moments.means, self.moments.means).masked_fill(~self.more_frequent, torch.inf)
        near = distances.topk(n_near, largest=False).indices
        chosen = torch.zeros_like(distances).scatter_(1, near, 1) * self.more_frequent
        chosen = chosen / chosen.sum(dim=1, keepdim=True).clamp(min=1)
        shrinkage = self.shrinkage.view(-1, 1, 1)
        with torch.autocast(own.device.type, enabled=False):
            return torch.lerp(own, (chosen @ own.flatten(1)).view_as(own), shrinkage)

    def offsets(self, weights: Tensor) -> Tensor:
        """Return what is added to the logits (C,) of samples of each class (C, C).

        Parameters
        ----------
        weights : Tensor of shape (C, d)
            Of the linear classifier; gradients flow through them.
        """
        return gaussian_offsets(weights, self.covariances(), self.strength)


def gaussian_offsets(weights: Tensor, covariances: Tensor, strength: Tensor | float) -> Tensor:
    r"""Return :math:`\frac{\lambda}{2} (w_j - w_y)^T \Sigma_y (w_j - w_y)` in row y and column j, (C, C).

    Parameters
    ----------
    weights : Tensor of shape (C, d)
    covariances : Tensor of shape (C, d, d)
    strength : scalar

    Examples
    --------
    >>> import torch
    >>> gaussian_offsets(torch.tensor([[0.0], [2.0]]), torch.tensor([[[1.0]], [[3.0]]]), 0.5)
    tensor([[0., 1.],
            [3., 0.]])
    """
    with torch.autocast(weights.device.type, enabled=False):
        apart = weights.unsqueeze(0) - weights.unsqueeze(1)
        return strength / 2 * ((apart @ covariances.to(apart.dtype)) * apart).sum(dim=2)


# ---- Von Mises-Fisher ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class VonMisesFisherLatents(LatentAugmentation):
    r"""The expected contrastive loss of infinitely many latents that each class has on the unit sphere.

    A projection of the features is brought to length 1. Each class is a von Mises-Fisher distribution there, of mean
    direction :math:`\mu_j` and concentration :math:`\kappa_j`, and a projection z of class y costs

    .. math::
        -\log \frac{\pi_y E_y}{\sum_j \pi_j E_j}, \quad
        E_j = \mathbb{E}\, e^{z^T v_j / t} = \frac{C(\kappa_j)}{C(\| \kappa_j \mu_j + z / t \|)}

    beside the loss of the classifier, C being the distribution's normalising constant and :math:`\pi` the probabilities
    with which classes are drawn.

    Parameters
    ----------
    memory : float, default=5.0
        Epochs that moments reach back, in samples of each class; features of long ago are another network's.
    weight : float, default=1.0
        Of this loss beside the other; 0 trains as without.
    temperature : float, default=0.1
        The t.
    projection_dim : int, default=128
        Length of the projections, at least 2.

    References
    ----------
    Du et al., "Probabilistic Contrastive Learning for Long-Tailed Visual Recognition", TPAMI 2024. A class's
    concentration is R (p - R²) / (1 - R²) for a mean of length R (Sra, 2012).
    """

    weight: float = 1.0
    temperature: float = 0.1
    projection_dim: int = 128

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("weight", self.weight, 0)
        check_number("temperature", self.temperature, 0, above=True)
        check_number("projection_dim", self.projection_dim, 2, whole=True)

    def start(self, n_features: int, class_counts: Tensor) -> "RunningDirections":
        """See `LatentAugmentation`; the number of features is not asked for, but that of the projections taken."""
        return RunningDirections(self, class_counts)


class RunningDirections(RunningLatents):
    """`VonMisesFisherLatents` in a training."""

    def __init__(self, rule: VonMisesFisherLatents, class_counts: Tensor) -> None:
        super().__init__(rule.moments(rule.projection_dim, class_counts, covariances=False))
        self.rule = rule

    def logits(self, projections: Tensor) -> Tensor:
        """Return the logarithms of the expectations (B, C) for projections (B, p) of length 1."""
        return von_mises_fisher_logits(projections, self.moments.means, self.rule.temperature)


def von_mises_fisher_logits(projections: Tensor, means: Tensor, temperature: float) -> Tensor:
    r"""Return :math:`\log \mathbb{E} \exp(z^T v_j / t)`, v being drawn from the distribution of each class.

    Parameters
    ----------
    projections : Tensor of shape (B, p)
        The z, of length 1.
    means : Tensor of shape (C, p)
        Means of directions of length 1, which are shorter than 1; gradients do not flow through them.
    temperature : float

    Returns
    -------
    Tensor of shape (B, C)
        In the type of the projections; float64 within.

    Examples
    --------
    >>> import torch
    >>> z, means = torch.tensor([[1.0, 0.0, 0.0]]), torch.tensor([[0.9, 0.0, 0.0], [0.0, 0.9, 0.0], [0.0, 0.0, 0.0]])
    >>> von_mises_fisher_logits(z, means, 1.0)
    tensor([[0.9080, 0.0435, 0.1614]])
    """
    z, means = projections.double(), means.detach().double()
    p = z.shape[1]
    squared = means.square().sum(dim=1)
    length = squared.sqrt()
    concentration = length * (p - squared) / (1 - squared).clamp(min=1 / LARGEST_CONCENTRATION)
    concentration = concentration.clamp(max=LARGEST_CONCENTRATION)
    # The cosine of a class that has no direction yet counts for nothing: its concentration is 0.
    directions = means / length.clamp(min=torch.finfo(means.dtype).tiny).unsqueeze(1)
    with torch.autocast(projections.device.type, enabled=False):
        cosines = z @ directions.T
    own = concentration.square()
    tilted = own + 2 * concentration * cosines / temperature + (z.square().sum(dim=1, keepdim=True) / temperature**2)
    order = p / 2 - 1
    found = log_bessel(tilted.clamp(min=0), order) - log_bessel(own, order)
    return found.to(projections.dtype)


def log_bessel(squared: Tensor, order: float) -> Tensor:
    r"""Return :math:`\log\left(\Gamma(\nu + 1) (2 / x)^\nu I_\nu(x)\right)` of the modified Bessel function, 0 at 0.

    Large orders are those of Olver's expansion (Abramowitz and Stegun, 9.7.7), smaller ones come from two of them by
    the recurrence, downwards, in which all terms are positive. Neither overflows, and both are smooth at 0.

    Parameters
    ----------
    squared : Tensor
        :math:`x^2`, at least 0, float64.
    order : float
        The :math:`\nu`, at least 0.

    Returns
    -------
    Tensor of the shape of `squared`

    Examples
    --------
    >>> import torch
    >>> log_bessel(torch.tensor([1.0, 4.0, 1e8], dtype=torch.float64), 0.5)  # of sinh(x) / x
    tensor([1.6144e-01, 5.9522e-01, 9.9901e+03], dtype=torch.float64)
    """
    steps = max(0, math.ceil(_OLVER_FROM - order))
    upper, above = _olver(squared, order + steps), _olver(squared, order + steps + 1)
    for step in range(steps):
        k = order + steps - step
        ratio = (above - upper).exp()
        upper, above = upper + (squared / (4 * k * (k + 1)) * ratio).log1p(), upper
    return upper


def _olver(squared: Tensor, order: float) -> Tensor:
    """Return `log_bessel` of a large order."""
    root = (squared + order**2).sqrt()
    t = order / root
    t2 = t.square()
    series = 1 + t / order * (3 - 5 * t2) / 24
    series = series + t2 / order**2 * (81 - 462 * t2 + 385 * t2**2) / 1152
    series = series + t2 * t / order**3 * (30375 - 369603 * t2 + 765765 * t2**2 - 425425 * t2**3) / 414720
    fourth = 4465125 - 94121676 * t2 + 349922430 * t2**2 - 446185740 * t2**3 + 185910725 * t2**4
    series = series + t2**2 / order**4 * fourth / 39813120
    constant = math.lgamma(order + 1) + order * math.log(2) - 0.5 * math.log(2 * math.pi)
    return constant + root - order * (order + root).log() - 0.5 * root.log() + series.log()
