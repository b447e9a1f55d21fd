r"""FlowSampler: a conditional flow from noise to samples, and from a sample noised part of the way back to a new one.

A network learns the velocity at which noise becomes data along straight lines; new samples of a class follow it from
noise, or from a real sample that was mixed with noise.

References
----------
Lipman, Chen, Ben-Hamu, Nickel and Le, "Flow Matching for Generative Modeling", ICLR 2023; Liu, Gong and Liu, "Flow
Straight and Fast: Learning to Generate and Transfer Data with Rectified Flow", ICLR 2023: the same objective for
straight lines. Ho and Salimans, "Classifier-Free Diffusion Guidance", arXiv:2207.12598, 2022. Meng et al., "SDEdit:
Guided Image Synthesis and Editing with Stochastic Differential Equations", ICLR 2022: the start from a noised sample,
which Liang, Bhardwaj and Zhou, "Diffusion Curriculum: Synthetic-to-Real Data Curriculum via Image-Guided Diffusion",
ICCV 2025, use for rare classes.

Deviations: time runs from 1, noise, to 0, data, so that `strength` is the time at which a sample starts; classes are
drawn in proportion to a power of their size; the network is small, of the size of the data.
"""

import math
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from latentover.estimators import BaseDeepSampler, Synthetic, TrainingSet
from latentover.estimators.parameters import (
    BatchSize,
    Expected,
    Fraction,
    Interval,
    NonNegative,
    Positive,
    PositiveInt,
    ProperFraction,
)
from latentover.estimators.parents import WeightedTuples
from latentover.networks import ImageFlow, RowFlow
from latentover.training import ClassTuples, Losses, Phase, Program, adam, augment_images, parallel, rate_over
from latentover.training.augment import Augment
from latentover.training.device import autocast, resolve_precision
from latentover.training.schedules import Schedule

CPU_BATCH = 64
"""Images that go through the network at once on the CPU, where more take memory and no less time."""
LEAST_UPDATES = 10
"""How many times a training is at least as long as the memory of its moving average."""


# ---- The flow --------------------------------------------------------------------------------------------------------


def noised(x: Tensor, noise: Tensor, t: Tensor) -> Tensor:
    r"""Return :math:`x_t = (1 - t) x + t \epsilon`: samples (B, ...) on their way to noise at times (B,).

    Examples
    --------
    >>> import torch
    >>> noised(torch.ones(3, 2), torch.zeros(3, 2), torch.tensor([0.0, 0.25, 1.0]))[:, 0]
    tensor([1.0000, 0.7500, 0.0000])
    """
    t = t.view(-1, *[1] * (x.dim() - 1))
    return (1 - t) * x + t * noise


def flow_loss(velocity: Tensor, x: Tensor, noise: Tensor) -> Tensor:
    r"""Return :math:`\| v_\theta(x_t, t, y) - (\epsilon - x) \|^2`, the mean over all elements of tensors (B, ...)."""
    return (velocity - (noise - x)).square().mean()


def follow(velocity: Any, x: Tensor, start: Tensor, n_steps: int, solver: str = "heun") -> Tensor:
    r"""Return where samples come out at time 0 that are at x (B, ...) at the times `start` (B,).

    Parameters
    ----------
    velocity : callable
        From samples (B, ...) and times (B,) to velocities (B, ...).
    x : Tensor of shape (B, ...)
    start : Tensor of shape (B,)
    n_steps : int
        All of one length for each sample.
    solver : {"euler", "heun"}
        ``"euler"`` goes along the velocity where a step begins, ``"heun"`` along the mean of that and the one where it
        would end: an error of second order for twice the evaluations.

    Examples
    --------
    >>> import torch
    >>> ends = follow(lambda x, t: x, torch.ones(1, 1), torch.ones(1), n_steps=100)
    >>> round(ends.item(), 4), round(torch.tensor(-1.0).exp().item(), 4)
    (0.3679, 0.3679)
    """
    step = start / n_steps
    wide = step.view(-1, *[1] * (x.dim() - 1))
    for number in range(n_steps):
        t = start - number * step
        first = velocity(x, t)
        if solver == "heun":
            first = (first + velocity(x - wide * first, t - step)) / 2
        x = x - wide * first
    return x


# ---- Core ------------------------------------------------------------------------------------------------------------


class FlowNetworks(nn.Module):
    """The network: the velocity of samples in the range that noise has.

    Parameters
    ----------
    velocity : nn.Module
        From noisy samples (B, ...), times (B,) and class numbers (B,), of which the last is no class, to velocities.
    n_classes : int
    """

    def __init__(self, velocity: nn.Module, n_classes: int) -> None:
        super().__init__()
        self.velocity, self.n_classes = velocity, n_classes

    def guided(self, x: Tensor, t: Tensor, labels: Tensor, guidance: float) -> Tensor:
        """Return velocities (B, ...) that point away from what belongs to no class, the more so the more guidance."""
        if guidance == 1:
            return self.velocity(x, t, labels).float()
        nobody = torch.full_like(labels, self.n_classes)
        both = self.velocity(torch.cat([x, x]), torch.cat([t, t]), torch.cat([labels, nobody])).float()
        of_class, of_all = both.chunk(2)
        return of_all + guidance * (of_class - of_all)


class FlowProgram(Program):
    """One update a step, of the velocity.

    Parameters
    ----------
    networks : FlowNetworks
    data : TrainingSet
    settings : FlowSampler
    """

    networks: FlowNetworks

    def __init__(self, networks: FlowNetworks, data: TrainingSet, settings: "FlowSampler") -> None:
        self.data, self.settings = data, settings
        size, power = settings.batch_size * parallel.n_processes(), settings.sampling_power
        weights = data.sample_weight
        self.batches = (
            ClassTuples(data.labels, size, 1, data.generator, power=power)
            if weights is None
            else WeightedTuples(data.labels, weights, size, 1, data.generator, power=power)
        )
        n_steps = settings.max_steps
        phase = Phase(
            name="flow", draw=self.draw, losses=self.losses, moves={"flow": {"flow": 1.0}}, streams=[self.batches]
        )
        super().__init__(
            networks=networks,
            optimizers={"flow": adam(networks.parameters(), settings.learning_rate)},
            phases=[phase],
            n_steps=n_steps,
            rates={"flow": rate_over(settings.schedule, n_steps)},
            # The first weights are taken as they are, and have to be forgotten.
            ema=min(settings.ema, max(0.0, 1 - LEAST_UPDATES / n_steps)),
            averaged=("velocity",),
            compile=settings.compile,
        )
        self.velocity = self.compiled(networks.velocity)

    def draw(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return samples and noise (B, ...), times (B,), and class numbers (B,) of which some are kept back."""
        generator, settings = self.data.generator, self.settings
        rows = parallel.share(self.batches.draw().squeeze(1))
        x = augment_images(self.data.prepare(self.data.inputs[rows]), settings.augment, generator)
        x = settings._centred(x)
        noise = parallel.draws(torch.randn, *x.shape, generator=generator)
        t, chance = (parallel.draws(torch.rand, len(rows), generator=generator) for _ in range(2))
        labels = self.data.labels[rows].masked_fill(chance < settings.label_dropout, self.networks.n_classes)
        return x, noise, t, labels

    def losses(self, draws: tuple[Tensor, Tensor, Tensor, Tensor]) -> Losses:
        """Return the squared error of the velocity."""
        x, noise, t, labels = draws
        return {"flow": flow_loss(self.velocity(noised(x, noise, t), t, labels).float(), x, noise)}


# ---- Estimator -------------------------------------------------------------------------------------------------------


Strength = Annotated[float, Interval(0, 1, closed="right")]
"""A time at which samples may start."""


def in_order(value: Any) -> bool:
    """Whether a value of `strength` is one, or two of them in order."""
    return not isinstance(value, list | tuple) or value[0] <= value[1]


@dataclass(kw_only=True, eq=False, repr=False)
class FlowSampler(BaseDeepSampler):
    """Over-sampler: a class-conditional rectified flow, of images, of rows of a table or of latents.

    Parameters
    ----------
    sampling_strategy : str, float, dict or callable, default="auto"
        As in imbalanced-learn: which classes are brought to how many samples. ``"auto"`` brings every class to the
        size of the largest; a dict gives final totals.
    strength : float in (0, 1], or (low, high), default=1.0
        How much of a new sample is new. At 1 it comes from noise alone. Below, a real sample of the class, which
        `parents_` then names, is mixed with this share of noise and brought back: near to it for a small strength, and
        further away the larger it is. Of a pair each new sample draws its own between the two.
    guidance : float, default=1.0
        Weight of classifier-free guidance: 1 is the class as it was learned, more is a purer class with less variety,
        for twice the evaluations; 0 forgets the class.
    label_dropout : float in [0, 1], default=0.1
        Share of the training samples whose class is kept back, so that the network learns what guidance needs.
    n_steps : int, default=25
        Of the way from noise to a sample; a sample that starts nearer takes as many fewer.
    solver : {"euler", "heun"}, default="heun"
        Of these steps; ``"heun"`` evaluates the network twice in each and is more exact for the same work.
    sampling_power : float in [0, 1], default=0.5
        Training batches draw classes in proportion to their size to this power: 0 draws all alike, in which a flow
        learns the few samples of a rare class by heart sooner; 1 as often as they occur.
    channels : int, default=32
        Of the U-Net for images, at full resolution.
    hidden_units : int, default=256
        Width of the residual network for rows.
    dropout : float in [0, 1), default=0.0
    augment : {"none", "flip", "shift", "flip_shift", ...}, default="none"
        Of training images, see `latentover.training.augment_images`; new ones look like that too.
    batch_size : int, default=256
        At least 2.
    max_steps : int, default=2000
        Updates.
    learning_rate : float, default=1e-3
        Of Adam.
    schedule : {"constant", "cosine", "one_cycle"}, default="one_cycle"
        Of the learning rate.
    ema : float in [0, 1), default=0.999
        Decay of the moving average of the weights, which is what generates; less where it would reach back over more
        than a tenth of the training.
    keep_index
        See `latentover.estimators.BaseSampler`.
    small_class, base_selection, clip, constraints
        See `latentover.estimators.BaseGenerator`. With ``strength=1`` no sample starts from a row, and `base_selection`
        has to be ``"random"``.
    image_shape, channels_last, numbers, categorical_features, identifiers, new_identifiers, missing, device,
    random_state, verbose
        See `latentover.estimators.BaseDataEstimator`.
    precision, checkpoint, checkpoint_every, compile, capture, callbacks
        See `latentover.estimators.BaseDeepEstimator`. Images are generated in the precision of the training too.

    Attributes
    ----------
    sampling_strategy_, synthetic_mask_, sample_origin_, parents_, mix_weights_, sample_weight_
        See `latentover.estimators.BaseSampler`. The parent is the real sample that a new one started from; with
        ``strength=1`` there is none, and `parents_` and `mix_weights_` have no columns. Rows are drawn for training,
        within their class, in proportion to weights given to `fit` or `fit_resample`.
    classes_, class_counts_, networks_, history_, device_, diversity_
        See `latentover.estimators.BaseDeepEstimator` and `latentover.estimators.BaseGenerator`. The history's loss is
        ``flow``.

    References
    ----------
    Lipman et al., "Flow Matching for Generative Modeling", ICLR 2023; Liu, Gong and Liu, "Flow Straight and Fast",
    ICLR 2023; Meng et al., "SDEdit", ICLR 2022.

    Examples
    --------
    >>> from collections import Counter
    >>> from sklearn.datasets import make_classification
    >>> X, y = make_classification(200, weights=[0.9], flip_y=0, random_state=0)
    >>> sampler = FlowSampler(max_steps=20, hidden_units=32, random_state=0)
    >>> X_resampled, y_resampled = sampler.fit_resample(X, y)
    >>> sorted(Counter(y_resampled.tolist()).items())
    [(0, 181), (1, 181)]
    >>> sampler.parents_.shape
    (362, 0)
    >>> sampler.set_params(strength=0.3).fit_resample(X, y)[0].shape, sampler.parents_.shape
    ((362, 20), (362, 1))
    """

    strength: Annotated[
        Strength | tuple[Strength, Strength],
        Expected("a number above 0 and at most 1, or (low, high) of two such, in order", in_order),
    ] = 1.0
    guidance: NonNegative = 1.0
    label_dropout: Fraction = 0.1
    n_steps: PositiveInt = 25
    solver: Literal["euler", "heun"] = "heun"
    sampling_power: Fraction = 0.5
    channels: PositiveInt = 32
    hidden_units: PositiveInt = 256
    dropout: ProperFraction = 0.0
    augment: Augment = "none"
    batch_size: BatchSize = 256
    max_steps: PositiveInt = 2000
    learning_rate: Positive = 1e-3
    schedule: Schedule = "one_cycle"
    ema: ProperFraction = 0.999

    networks_: FlowNetworks = field(init=False)

    def _check_settings(self) -> list[str]:
        problems = super()._check_settings()
        if not self._starts_from_rows() and not self._bases_are_random():
            problems.append(
                f"base_selection to be 'random' with strength=1, which starts from no row, but got "
                f"{self.base_selection!r}"
            )
        return problems

    def _strengths(self) -> tuple[float, float]:
        """Return the least and the largest strength."""
        low, high = self.strength if isinstance(self.strength, list | tuple) else (self.strength, self.strength)
        return float(low), float(high)

    def _starts_from_rows(self) -> bool:
        return self._strengths()[0] < 1

    def _build_networks(self) -> FlowNetworks:
        shape, n_classes = self.format_.shape, len(self.classes_)
        velocity = (
            ImageFlow(shape, n_classes, channels=self.channels, dropout=self.dropout)
            if len(shape) == 3
            else RowFlow(shape[0], n_classes, hidden_units=self.hidden_units, dropout=self.dropout)
        )
        return FlowNetworks(velocity, n_classes)

    def _program(self, data: TrainingSet) -> FlowProgram:
        return FlowProgram(self.networks_, data, self)

    def _keep(self, data: TrainingSet, program: Program) -> None:
        if self._starts_from_rows():
            inputs = data.inputs.cpu()
            if inputs.dtype == torch.uint8 and data.device.type == "cpu":
                inputs = inputs.clone()  # the memory is the user's own, who may change it
            self.tensors_ = {"inputs": inputs, "labels": data.labels.cpu()}

    def _centred(self, x: Tensor) -> Tensor:
        """Return network inputs (B, ...) in about the range that noise has: images in [-1, 1], rows as they are."""
        return 2 * x - 1 if x.dim() == 4 else x

    def _generate(self, label: int, n: int, generator: torch.Generator) -> Synthetic:
        """Follow the flow of class `label` from noise, or from its samples mixed with noise, to time 0."""
        images, device = len(self.format_.shape) == 3, generator.device
        low, high = self._strengths()
        x = noise = torch.randn(n, *self.format_.shape, generator=generator, device=device)
        start = low + (high - low) * torch.rand(n, generator=generator, device=device)
        rows = np.empty((n, 0), dtype=np.int64)
        if self._starts_from_rows():
            bases = self._draw_parents(label, n, 1, generator).squeeze(1).cpu()
            real = self.format_.network_input(self.tensors_["inputs"][bases].to(device))
            x, rows = noised(self._centred(real), noise, start), bases.numpy()[:, None]
        labels, n_steps = torch.full((n,), label, device=device), max(1, math.ceil(self.n_steps * high))
        size = CPU_BATCH if images and device.type == "cpu" else n
        with autocast(device, resolve_precision(self.precision, device, images=images)):
            parts = [
                follow(
                    lambda x, t, labels=own: self.networks_.guided(x, t, labels, self.guidance),
                    part,
                    times,
                    n_steps,
                    self.solver,
                )
                for part, times, own in zip(x.split(size), start.split(size), labels.split(size), strict=True)
            ]
        new = torch.cat(parts)
        return Synthetic(((new + 1) / 2).clamp(0, 1) if images else new, rows, np.ones(rows.shape))
