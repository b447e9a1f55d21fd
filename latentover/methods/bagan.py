"""BAGAN: a GAN that starts from an autoencoder and draws each class from a Gaussian in its latent space.

An autoencoder learns from all classes together, so that the rare ones profit from what the frequent ones teach. Its
decoder becomes the generator and its encoder, but for the last layer, the discriminator's body; each class becomes a
Gaussian of its latents. The discriminator has one output a class and one for what is generated; the generator wants
each of its samples to be taken for the class whose Gaussian it was drawn from.

Reference
---------
Mariani, Scheidegger, Istrate, Bekas and Malossi, "BAGAN: Data Augmentation with Balancing GAN", arXiv:1803.09655, 2018.

Where the method has two ways, ``fake_classes`` has the paper's as its default: generated samples are of all classes
alike, or, with ``"rebalance"``, the more of a class the rarer it is.

Deviations: the generator is the decoder of the class-preserving regularized autoencoder without a label (batch
normalisation, transposed convolutions, a sigmoid for images in [0, 1]) where the authors' has none of it, upsamples and
ends in tanh; a class with no more samples than the latents have dimensions has a singular covariance, which is shrunk
towards that within all classes, so that a class of a single sample has one; autoencoder and GAN may have learning rates
of their own, and a schedule; the last, smaller batch of an epoch is used.
"""

import math
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from latentover.estimators import BaseDeepSampler, Synthetic, TrainingSet
from latentover.estimators.generator import NoBases
from latentover.estimators.parameters import BatchSize, Positive, PositiveInt, ProperFraction
from latentover.networks import build_decoder
from latentover.networks.conv import Upsampling
from latentover.networks.layers import images_last, linear
from latentover.networks.trunk import build_trunk
from latentover.training import (
    Action,
    ClassBatches,
    Losses,
    NaturalBatches,
    Phase,
    Program,
    adam,
    batches_per_epoch,
    full_precision,
    parallel,
    rate_over,
)
from latentover.training.schedules import Schedule

BETAS = (0.5, 0.999)
"""Of Adam, for all networks."""
LATENT_DIM_IMAGES = 100
LATENT_DIM_TABLES = 32


# ---- Loss terms ------------------------------------------------------------------------------------------------------


def autoencoder_loss(decoded: Tensor, images: Tensor) -> Tensor:
    """Return the mean squared error over all elements of two tensors (B, ...)."""
    return F.mse_loss(decoded, images)


def discriminator_loss(logits: Tensor, labels: Tensor, n_fakes: int) -> Tensor:
    """Return the cross-entropy of real samples against their classes and of generated ones against the last output.

    Parameters
    ----------
    logits : Tensor of shape (B + n_fakes, C + 1)
        The real samples first.
    labels : integer Tensor of shape (B,)
        Of the real samples.
    n_fakes : int
    """
    return F.cross_entropy(logits, F.pad(labels, (0, n_fakes), value=logits.shape[1] - 1))


def generator_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the cross-entropy of generated samples (B, C + 1) against the classes (B,) that they were drawn from."""
    return F.cross_entropy(logits, labels)


def n_fakes_per_batch(batch_size: int, n_classes: int) -> int:
    """Return how many generated samples the discriminator sees beside a batch: as many as of a class, rounded up.

    Examples
    --------
    >>> n_fakes_per_batch(128, 10)
    13
    """
    return math.ceil(batch_size / n_classes)


def fake_class_probabilities(class_counts: Tensor, fake_classes: str = "uniform") -> Tensor:
    r"""Return the probabilities (C,) with which the classes of generated samples are drawn, float64.

    Parameters
    ----------
    class_counts : integer Tensor of shape (C,)
    fake_classes : {"uniform", "rebalance"}
        ``"rebalance"`` is proportional to :math:`\max(0, 2 / C - n_c / N)`.

    Examples
    --------
    >>> import torch
    >>> fake_class_probabilities(torch.tensor([80, 15, 5]), "rebalance")
    tensor([0.0000, 0.4559, 0.5441], dtype=torch.float64)
    """
    n_classes = len(class_counts)
    if fake_classes == "uniform":
        return torch.full((n_classes,), 1 / n_classes, dtype=torch.float64, device=class_counts.device)
    wanted = (2 / n_classes - class_counts.double() / class_counts.sum()).clamp(min=0)
    return wanted / wanted.sum()


def class_gaussians(
    latents: Tensor, labels: Tensor, n_classes: int, sample_weight: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    r"""Return the mean of each class and a factor of its unbiased covariance.

    A class of :math:`n_c \leq m` samples has a singular covariance :math:`S_c`, and one of a single sample has none;
    theirs is :math:`(1 - 1 / n_c) S_c + S / n_c` with the pooled covariance S within all classes, which so counts as
    much as one sample.

    Parameters
    ----------
    latents : Tensor of shape (n, m)
    labels : integer Tensor of shape (n,)
        Every class 0..C-1 has at least one sample, of a weight above 0.
    n_classes : int
    sample_weight : Tensor of shape (n,), optional
        With them :math:`n_c` is the effective number of samples, :math:`(\sum w)^2 / \sum w^2`.

    Returns
    -------
    (Tensor, Tensor) of shapes (C, m) and (C, m, m), float32
        Means :math:`\mu_c` and factors :math:`L_c` with :math:`L_c L_c^T = \Sigma_c`, from eigenvalues, which singular
        ones allow.
    """
    latents, labels = latents.detach().double().cpu(), labels.cpu()
    weights = torch.ones(len(latents)) if sample_weight is None else sample_weight.cpu()
    m = latents.shape[1]
    means = torch.empty(n_classes, m, dtype=torch.float64)
    scatters = torch.empty(n_classes, m, m, dtype=torch.float64)
    sizes = torch.empty(n_classes, dtype=torch.float64)
    for label in range(n_classes):
        group, shares = latents[labels == label], weights[labels == label].double()
        sizes[label] = shares.sum().square() / shares.square().sum()
        shares = shares / shares.sum()
        means[label] = shares @ group
        centred = group - means[label]
        scatters[label] = sizes[label] * (centred.T * shares) @ centred
    pooled = scatters.sum(dim=0) / (sizes.sum() - n_classes).clamp(min=1)
    factors = torch.empty_like(scatters)
    for label, size in enumerate(sizes.tolist()):
        covariance = scatters[label] / (size - 1) if size > 1 + 1e-9 else pooled
        if size <= m:
            covariance = torch.lerp(covariance, pooled, 1 / size)
        values, vectors = torch.linalg.eigh(covariance)
        factors[label] = vectors * values.clamp(min=0).sqrt()
    return means.float(), factors.float()


# ---- Core ------------------------------------------------------------------------------------------------------------


class Gaussians(nn.Module):
    """A Gaussian for each class, as buffers: all that is kept of the training data."""

    means: Tensor
    factors: Tensor

    def __init__(self, n_classes: int, latent_dim: int) -> None:
        super().__init__()
        self.register_buffer("means", torch.zeros(n_classes, latent_dim))
        self.register_buffer("factors", torch.zeros(n_classes, latent_dim, latent_dim))

    def learn(self, latents: Tensor, labels: Tensor, sample_weight: Tensor | None) -> None:
        """Take the Gaussians of latents (n, m) with labels (n,) and, where there are any, weights (n,)."""
        means, factors = class_gaussians(latents, labels, len(self.means), sample_weight)
        self.means.copy_(means)
        self.factors.copy_(factors)

    def draw(self, labels: Tensor, generator: torch.Generator) -> Tensor:
        """Return a latent (n, m) for each label (n,)."""
        noise = torch.randn(len(labels), self.means.shape[1], generator=generator, device=generator.device)
        return self.place(noise, labels)

    def place(self, noise: Tensor, labels: Tensor) -> Tensor:
        """Return the latents (n, m) that standard normal noise (n, m) becomes in the Gaussians of the labels (n,)."""
        spread = torch.zeros_like(noise)
        # A factor for each sample would take n * m * m numbers, and which labels there are is not for the host to know.
        with full_precision(noise.device):
            for label, factor in enumerate(self.factors):
                spread = torch.where((labels == label).unsqueeze(1), noise @ factor.T, spread)
        return self.means[labels] + spread


class BAGANNetworks(nn.Module):
    """The networks: trunk with the heads of encoder and discriminator, generator, and the Gaussians between them."""

    def __init__(
        self,
        trunk: nn.Module,
        encoder_head: nn.Module,
        class_head: nn.Module,
        generator: nn.Module,
        gaussians: Gaussians,
    ) -> None:
        super().__init__()
        self.trunk = trunk
        self.encoder_head = encoder_head
        self.class_head = class_head
        self.generator = generator
        self.gaussians = gaussians

    def encode(self, x: Tensor) -> Tensor:
        """Map inputs (B, ...) to latents (B, m)."""
        return self.encoder_head(self.trunk(images_last(x)))

    def classify(self, x: Tensor) -> Tensor:
        """Map inputs (B, ...) to logits (B, C + 1), the last for what is generated."""
        return self.class_head(self.trunk(images_last(x)))

    def generate(self, z: Tensor) -> Tensor:
        """Map latents (B, m) to outputs (B, ...)."""
        return self.generator(z, z.new_empty(len(z), 0))


class BAGANProgram(Program):
    """The updates of a training step: first of the autoencoder, then of the discriminator and the generator.

    Parameters
    ----------
    networks : BAGANNetworks
    data : TrainingSet
    settings : BAGANSampler
    """

    networks: BAGANNetworks

    def __init__(self, networks: BAGANNetworks, data: TrainingSet, settings: "BAGANSampler") -> None:
        self.data, self.settings = data, settings
        size = settings.batch_size * parallel.n_processes()
        self.batches: NaturalBatches | ClassBatches = NaturalBatches(len(data.labels), size, data.generator)
        if settings.batches == "class_balanced":
            self.batches = ClassBatches(data.labels, size, data.generator)
        self.probabilities = fake_class_probabilities(data.class_counts, settings.fake_classes)
        # Batch normalisation of the generator cannot train on one row.
        self.n_fakes = max(2, n_fakes_per_batch(settings.batch_size, data.n_classes))
        steps_per_epoch = batches_per_epoch(len(data.labels), size)
        first, n_adversarial = settings.autoencoder_epochs * steps_per_epoch, settings.max_epochs * steps_per_epoch
        trunk, generator = list(networks.trunk.parameters()), list(networks.generator.parameters())
        lr, adversarial = settings.learning_rate, rate_over(settings.schedule, n_adversarial, start=first)
        super().__init__(
            networks=networks,
            optimizers={
                "autoencoder": adam([*trunk, *networks.encoder_head.parameters(), *generator], lr, BETAS),
                "discriminator": adam([*trunk, *networks.class_head.parameters()], lr, BETAS),
                "generator": adam(generator, settings.generator_learning_rate, BETAS),
            },
            phases=self._phases(first),
            n_steps=first + n_adversarial,
            rates={
                "autoencoder": rate_over(settings.schedule, first),
                "discriminator": adversarial,
                "generator": adversarial,
            },
            compile=settings.compile,
        )
        self.encode, self.classify = self.compiled(networks.encode), self.compiled(networks.classify)
        self.generate = self.compiled(networks.generate)

    def _phases(self, first: int) -> list[Phase | Action]:
        """Return what a step consists of; `first` is the first adversarial one."""

        def adversarial(step: int) -> bool:
            return step >= first

        return [
            Phase(
                name="autoencoder",
                draw=self.draw_batch,
                losses=self.autoencoder_losses,
                moves={"autoencoder": {"autoencoder": 1.0}},
                streams=[self.batches],
                when=lambda step: step < first,
            ),
            Action(name="gaussians", run=self.learn_gaussians, when=lambda step: step == first),
            Phase(
                name="discriminator",
                draw=lambda: (*self.draw_batch(), *self.draw_latents(self.n_fakes)),
                losses=self.discriminator_losses,
                moves={"discriminator": {"discriminator": 1.0}},
                streams=[self.batches],
                when=adversarial,
            ),
            Phase(
                name="generator",
                draw=lambda: self.draw_latents(self.settings.batch_size + self.n_fakes),
                losses=self.generator_losses,
                moves={"generator": {"generator": 1.0}},
                when=adversarial,
            ),
        ]

    def draw_batch(self) -> tuple[Tensor, Tensor]:
        """Return inputs (B, ...) and labels (B,) of the next batch."""
        rows = parallel.share(self.batches.draw())
        return self.data.prepare(self.data.inputs[rows]), self.data.labels[rows]

    def draw_latents(self, n: int) -> tuple[Tensor, Tensor]:
        """Return latents (n, m) of the Gaussians and their classes (n,)."""
        generator, n = self.data.generator, n * parallel.n_processes()
        labels = torch.multinomial(self.probabilities, n, replacement=True, generator=generator)
        return parallel.part(self.networks.gaussians.draw(labels, generator)), parallel.part(labels)

    def autoencoder_losses(self, draws: tuple[Tensor, Tensor]) -> Losses:
        """Return the error of reconstruction of a batch."""
        x, _ = draws
        return {"autoencoder": autoencoder_loss(self.generate(self.encode(x)).float(), x)}

    @torch.no_grad()
    def learn_gaussians(self) -> None:
        """Take the Gaussian of each class from the latents of all samples, without dropout."""
        self.networks.eval()
        latents = self.data.through(self.networks.encode)
        self.networks.gaussians.learn(latents, self.data.labels, self.data.sample_weight)
        self.networks.train()

    def discriminator_losses(self, draws: tuple[Tensor, Tensor, Tensor, Tensor]) -> Losses:
        """Return what the discriminator mistakes of a batch and, beside it, of generated samples."""
        x, labels, z, _ = draws
        with torch.no_grad():
            fakes = self.generate(z).float()
        logits = self.classify(torch.cat([x, fakes])).float()
        return {"discriminator": discriminator_loss(logits, labels, len(fakes))}

    def generator_losses(self, draws: tuple[Tensor, Tensor]) -> Losses:
        """Return what the discriminator takes generated samples for."""
        z, labels = draws
        return {"generator": generator_loss(self.classify(self.generate(z)).float(), labels)}


# ---- Estimator -------------------------------------------------------------------------------------------------------


@dataclass(kw_only=True, eq=False, repr=False)
class BAGANSampler(BaseDeepSampler):
    """Over-sampler: a GAN that starts from an autoencoder and draws each class from a Gaussian of its latents.

    Parameters
    ----------
    sampling_strategy : str, float, dict or callable, default="auto"
        As in imbalanced-learn: which classes are brought to how many samples. ``"auto"`` brings every class to the
        size of the largest; a dict gives final totals.
    latent_dim : int, default: 100 for images and 32 for tables
        Length m of the latents.
    fake_classes : {"uniform", "rebalance"}, default="uniform"
        Of which classes samples are generated in training: of all alike, or the more of a class the rarer it is
        (`fake_class_probabilities`).
    batches : {"natural", "class_balanced"}, default="natural"
        How the real samples of a batch are drawn: in the paper as they occur; class-balanced ones show autoencoder and
        discriminator every class equally often.
    channels : int, default=32
        Channels of the first convolution of encoder and discriminator.
    decoder_channels : int, default: as `channels`
        Channels of the generator's last but one convolution, where most of the time goes.
    decoder_upsampling : {"resize", "transposed"}, default="transposed"
        How the generator of images makes them larger: it repeats pixels and convolves, as the authors' does, or by
        transposed convolutions, whose samples kept their class and their variety a little better on small digits.
    hidden_units : int, default: 1024 for images and 512 for tables
        Width of the generator's dense layers, and for tables of all dense layers.
    dropout : float in [0, 1), default=0.3
        Of encoder and discriminator.
    batch_size : int, default=128
        Real samples of a batch, at least 2.
    max_epochs : int, default=150
        Passes over the data as a GAN: an update of the discriminator and one of the generator for each batch. The
        authors' code has 3 and their example 150.
    autoencoder_epochs : int, default=150
        Passes over the data as an autoencoder, before.
    learning_rate : float, default=5e-5
        Of autoencoder and discriminator, which Adam trains with betas (0.5, 0.999).
    generator_learning_rate : float, default=5e-5
        Of the generator in the GAN. The discriminator's last layer starts at random and has to learn faster than the
        generator, or this unlearns what the autoencoder has taught it: in short trainings with a high `learning_rate`
        a tenth of that.
    schedule : {"constant", "cosine", "one_cycle"}, default="constant"
        Of the learning rates, over each of the two parts of the training.
    keep_index
        See `latentover.estimators.BaseSampler`.
    small_class, base_selection, clip, constraints
        See `latentover.estimators.BaseGenerator`. `base_selection` has to be ``"random"``.
    image_shape, channels_last, numbers, categorical_features, identifiers, new_identifiers, missing, device,
    random_state, verbose
        See `latentover.estimators.BaseDataEstimator`.
    precision, checkpoint, checkpoint_every, compile, capture, callbacks
        See `latentover.estimators.BaseDeepEstimator`.

    Attributes
    ----------
    sampling_strategy_, synthetic_mask_, sample_origin_, parents_, mix_weights_, sample_weight_
        See `latentover.estimators.BaseSampler`. The samples have no parents: `parents_` and `mix_weights_` have no
        columns. Weights given to `fit` or `fit_resample` weigh the samples in the Gaussians.
    classes_, class_counts_, networks_, history_, device_, diversity_
        See `latentover.estimators.BaseDeepEstimator` and `latentover.estimators.BaseGenerator`. The history's losses
        are ``autoencoder`` in the first part of the training, ``discriminator`` and ``generator`` in the second.

    References
    ----------
    Mariani, Scheidegger, Istrate, Bekas and Malossi, "BAGAN: Data Augmentation with Balancing GAN", arXiv:1803.09655,
    2018.

    Examples
    --------
    >>> from collections import Counter
    >>> from sklearn.datasets import make_classification
    >>> X, y = make_classification(200, weights=[0.9], flip_y=0, random_state=0)
    >>> sampler = BAGANSampler(max_epochs=10, hidden_units=32, learning_rate=1e-3, random_state=0)
    >>> X_resampled, y_resampled = sampler.fit_resample(X, y)
    >>> sorted(Counter(y_resampled.tolist()).items())
    [(0, 181), (1, 181)]
    """

    _training_only: ClassVar = ("trunk", "encoder_head", "class_head")

    base_selection: NoBases = "random"
    latent_dim: PositiveInt | None = None
    fake_classes: Literal["uniform", "rebalance"] = "uniform"
    batches: Literal["natural", "class_balanced"] = "natural"
    channels: PositiveInt = 32
    decoder_channels: PositiveInt | None = None
    decoder_upsampling: Upsampling = "transposed"
    hidden_units: PositiveInt | None = None
    dropout: ProperFraction = 0.3
    batch_size: BatchSize = 128
    max_epochs: PositiveInt = 150
    autoencoder_epochs: PositiveInt = 150
    learning_rate: Positive = 5e-5
    generator_learning_rate: Positive = 5e-5
    schedule: Schedule = "constant"

    networks_: BAGANNetworks = field(init=False)

    def _build_networks(self) -> BAGANNetworks:
        shape, n_classes = self.format_.shape, len(self.classes_)
        default_dim = LATENT_DIM_IMAGES if len(shape) == 3 else LATENT_DIM_TABLES
        m = default_dim if self.latent_dim is None else self.latent_dim
        size: dict[str, Any] = {"hidden_units": self.hidden_units}
        trunk = build_trunk(shape, channels=self.channels, dropout=self.dropout, **size)
        return BAGANNetworks(
            trunk,
            encoder_head=linear(trunk.n_features, m),
            class_head=linear(trunk.n_features, n_classes + 1),
            generator=build_decoder(
                shape,
                m,
                0,
                channels=self.decoder_channels or self.channels,
                upsampling=self.decoder_upsampling,
                **size,
            ),
            gaussians=Gaussians(n_classes, m),
        )

    def _program(self, data: TrainingSet) -> BAGANProgram:
        return BAGANProgram(self.networks_, data, self)

    def _generate(self, label: int, n: int, generator: torch.Generator) -> Synthetic:
        """Draw from the Gaussian of class `label` and generate."""
        labels = torch.full((n,), label, device=self.device_)
        outputs = self.networks_.generate(self.networks_.gaussians.draw(labels, generator)).float()
        return Synthetic(outputs, np.empty((n, 0), dtype=np.int64), np.empty((n, 0)))
