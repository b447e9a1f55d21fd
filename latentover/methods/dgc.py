"""DGC: a deep generative classifier for imbalanced data.

A sample and its label are explained by one latent vector: an encoder that sees both gives its distribution q(z | x, y),
a decoder and a linear classifier give x and y back from it, and the latents of all samples together are held near the
prior N(0, I). To classify a sample, every label is tried: the encoder is given each of them, and the label wins under
which the latent explains sample and label best. The rare classes' posteriors are drawn from more often while the
classifier learns, and drawing from them and decoding gives new samples.

Reference
---------
Wang, Lyu and Jing, "Deep Generative Model for Robust Imbalance Classification", CVPR 2020.

Where the authors' code departs from the paper, and where this file departs from both:

==================================================  =================================================================
what                                                here
==================================================  =================================================================
cross-entropy of a batch                            its mean, ``classification_reduction="mean"``; the code has the
                                                    sum, so that its weight grows with the batch
sign of the MMD in the prediction                   minus, ``prediction_mmd="subtract"``, as in the bound; the code
                                                    adds it (``"add"``)
MMD of the prediction, over the predicted batch     over a sample of the training data, once: a prediction does not
                                                    depend on which rows come with it
fresh noise at every prediction                     one noise for all, drawn in `fit`: the same rows, the same answer
an encoder of its own for each data set             any encoder, that of the controls by default
a step on the encoder alone before each (MNIST)     `encoder_steps`
==================================================  =================================================================
"""

import math
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from latentover.estimators import BaseClassifier, BaseGenerator, Synthetic, TrainingSet
from latentover.estimators.base import PREDICT_BATCH
from latentover.estimators.parameters import (
    BatchSize,
    Expected,
    Fraction,
    Network,
    NonNegative,
    NonNegativeInt,
    Positive,
    PositiveInt,
)
from latentover.networks import build_decoder, build_encoder, default_hidden_units
from latentover.networks.autoencoder import EncoderName
from latentover.networks.conv import Upsampling
from latentover.networks.layers import images_last, linear, with_label
from latentover.training import (
    ClassBatches,
    Losses,
    NaturalBatches,
    Phase,
    Program,
    adam,
    augment_images,
    full_precision,
    host_may_look,
    parallel,
    rate_over,
)
from latentover.training.augment import Augment
from latentover.training.schedules import Schedule

BETAS = (0.5, 0.999)
"""Of Adam, for all networks."""
KERNEL_SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
"""Of the inverse multiquadratic kernels, times 2k."""
LOG_VARIANCE_BOUND = 50.0
MOMENT_SAMPLES = 1000
"""Samples whose latents are matched with the prior in pretraining; fewer where there are not as many."""
MMD_SAMPLES = 250
"""Training samples, drawn class by class alike, over which the MMD of the prediction is computed: C times the distances
of so many pairs."""
PRETRAINED = 0.1
"""Loss at which the encoder's moments are near enough to the prior's."""


# ---- Loss terms ------------------------------------------------------------------------------------------------------


def mmd(q: Tensor, p: Tensor, weights: Tensor | None = None) -> Tensor:
    r"""Return the squared maximum mean discrepancy of two samples under inverse multiquadratic kernels.

    With :math:`k_C(a, b) = C / (C + \|a - b\|^2)`, summed over :math:`C = 2ks`, :math:`s \in \{0.1, \ldots, 10\}`:
    :math:`\sum_{i \ne j} \frac{k(q_i, q_j) + k(p_i, p_j)}{n(n - 1)} - \frac{2}{n^2} \sum_{i, j} k(q_i, p_j)`.

    Where the :math:`q_i` have weights, which are brought to sum to 1, :math:`w_i w_j / (1 - \sum_l w_l^2)` stands for
    :math:`1 / (n (n - 1))` before their pairs, and :math:`w_i / n` for :math:`1 / n^2`.

    Parameters
    ----------
    q, p : Tensor of shape (n, k)
    weights : Tensor of shape (n,), optional

    Returns
    -------
    scalar Tensor
        In float32. An unbiased estimate, below zero for two samples alike.

    Examples
    --------
    >>> import torch
    >>> mmd(torch.tensor([[0.0, 1.0], [2.0, 0.0]]), torch.tensor([[0.0, 0.0], [1.0, 0.0]]))
    tensor(-0.6438)
    """
    q, p = q.float(), p.float()
    n, k = q.shape
    with full_precision(q.device):
        within = squared_distances(q, q), squared_distances(p, p)
        between = squared_distances(q, p)
    total = q.new_zeros(())
    if weights is not None:
        shares, pairs = _shares(weights)
        column, products = shares.unsqueeze(1), shares.unsqueeze(1) * shares
        for scale in KERNEL_SCALES:
            c = 2 * k * scale
            own, of_prior = (c / (c + d) for d in within)
            total = total + ((products * own).sum() - shares.square().sum()) / pairs
            total = total + (of_prior.sum() - n) / max(n * (n - 1), 1) - 2 * (column * (c / (c + between))).sum() / n
        return total
    for scale in KERNEL_SCALES:
        c = 2 * k * scale
        same = sum((c / (c + d)).sum() - n for d in within)  # without the n pairs of a point with itself
        total = total + same / max(n * (n - 1), 1) - 2 * (c / (c + between)).sum() / n**2
    return total


def _shares(weights: Tensor) -> tuple[Tensor, Tensor]:
    """Return weights (n,) that sum to 1, and the sum of the products of all pairs of them."""
    tiny = torch.finfo(weights.dtype).tiny
    weights = weights / weights.sum().clamp(min=tiny)
    return weights, (1 - weights.square().sum()).clamp(min=torch.finfo(weights.dtype).eps)


def squared_distances(a: Tensor, b: Tensor) -> Tensor:
    """Return the squared distances (n, m) of points (n, k) and (m, k), 0 for a point and itself."""
    squares = a.square().sum(dim=1)[:, None] + b.square().sum(dim=1) - 2 * a @ b.t()
    if a is b:
        squares = squares - torch.diag(squares.diagonal())
    return squares.clamp(min=0)


def reconstruction_loss(x: Tensor, reconstructed: Tensor) -> Tensor:
    """Return half the squared error, summed over a sample, for each of them: (B, ...) to (B,)."""
    return 0.5 * (x - reconstructed).square().flatten(1).sum(dim=1)


def moments_loss(z: Tensor, weights: Tensor | None = None) -> Tensor:
    """Return how far mean and covariance of latents (n, k) are from 0 and I: mean squared differences, added.

    With weights (n,) they are weighted mean and covariance, without bias where these do not depend on the latents.
    """
    if weights is None:
        mean = z.mean(dim=0)
    else:
        shares, pairs = _shares(weights)
        mean = (shares.unsqueeze(1) * z).sum(dim=0)
    centred = z - mean
    with full_precision(z.device):
        if weights is None:
            covariance = centred.t() @ centred / max(len(z) - 1, 1)
        else:
            covariance = (centred * shares.unsqueeze(1)).t() @ centred / pairs
    identity = torch.eye(z.shape[1], device=z.device)
    return mean.square().mean() + (covariance - identity).square().mean()


def posterior_targets(class_counts: Tensor, rate: float) -> Tensor:
    r"""Return how many posterior samples each class shall count, :math:`n_c + r (n_{max} - n_c)`, float64 (C,).

    Examples
    --------
    >>> import torch
    >>> posterior_targets(torch.tensor([4000, 2000, 40]), 0.6)
    tensor([4000., 3200., 2416.], dtype=torch.float64)
    """
    counts = class_counts.double()
    return counts + rate * (counts.max() - counts)


def posterior_repeats(labels: Tensor, class_counts: Tensor, rate: float) -> Tensor:
    """Return how often each row of a batch with labels (B,) is drawn from (B,), integers.

    A class with m_c rows in the batch gets the floor of m_c times its target over its size, its rows taking turns.
    """
    ratios = posterior_targets(class_counts, rate) / class_counts.clamp(min=1)
    same = labels.unsqueeze(1) == labels
    members, place = same.sum(dim=1), same.tril(-1).sum(dim=1)  # m_c, and the row's number among them
    wanted = (members * ratios[labels] + 1e-9).floor().long()  # 1.6 is not exact in binary
    return (wanted - place + members - 1).clamp(min=0) // members


def most_repeats(class_counts: Tensor, rate: float) -> int:
    """Return the highest number that `posterior_repeats` returns for a row of any batch."""
    ratios = posterior_targets(class_counts, rate) / class_counts.clamp(min=1)
    return math.ceil(ratios.max().item() - 1e-9)


def label_bounds(reconstruction: Tensor, classification: Tensor) -> Tensor:
    r"""Return :math:`\log \frac1S \sum_s \exp(-R_s - K_s)` of S latents drawn under each label.

    Parameters
    ----------
    reconstruction, classification : Tensor of shape (S, B, C)
        Half squared error R, and cross-entropy K of the label that was tried.

    Returns
    -------
    Tensor of shape (B, C)
    """
    return torch.logsumexp(-reconstruction - classification, dim=0) - torch.log(
        torch.tensor(float(len(reconstruction)), device=reconstruction.device)
    )


# ---- Core ------------------------------------------------------------------------------------------------------------


class DGCNetworks(nn.Module):
    """Encoder of inputs, posterior of these features and a label, decoder and linear classifier of the latents."""

    def __init__(
        self, encoder: nn.Module, decoder: nn.Module, feature_dim: int, latent_dim: int, n_classes: int, units: int
    ) -> None:
        super().__init__()
        self.n_classes, self.latent_dim = n_classes, latent_dim
        self.encoder = encoder
        self.hidden = linear(feature_dim + n_classes, units)
        self.mean, self.log_variance = linear(units, latent_dim), linear(units, latent_dim)
        self.decoder = decoder
        self.classifier = linear(latent_dim, n_classes)

    def posterior(self, features: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Map features (B, d) and labels (B,) to mean and log variance (B, k) of the latents, in float32."""
        hidden = self.hidden(with_label(features, F.one_hot(labels, self.n_classes)))
        log_variance = self.log_variance(hidden).float()
        return self.mean(hidden).float(), log_variance.clamp(-LOG_VARIANCE_BOUND, LOG_VARIANCE_BOUND)

    def decode(self, z: Tensor) -> Tensor:
        """Map latents (B, k) to samples (B, ...): the decoder sees no label."""
        return self.decoder(z, z.new_zeros(len(z), 0))

    def encoding_parameters(self) -> list[nn.Parameter]:
        """Return the weights of q(z | x, y); a given encoder may be frozen."""
        modules = (self.encoder, self.hidden, self.mean, self.log_variance)
        return [p for module in modules for p in module.parameters() if p.requires_grad]


def draw_latents(mean: Tensor, log_variance: Tensor, noise: Tensor) -> Tensor:
    """Return latents (B, k) of posteriors (B, k) for standard normal noise (B, k)."""
    return mean + noise * (1e-8 + log_variance.exp()).sqrt()


@dataclass(frozen=True)
class Draws:
    """What an update draws.

    Attributes
    ----------
    x : Tensor of shape (B, ...)
        Inputs, augmented.
    labels : integer Tensor of shape (B,)
    noise, prior : Tensor of shape (B, k)
        Of the posteriors, and a sample of the prior.
    weights : Tensor of shape (B,) or None
        Of the samples, where they have any.
    """

    x: Tensor
    labels: Tensor
    noise: Tensor
    prior: Tensor
    weights: Tensor | None = None


class DGCProgram(Program):
    """The updates of a training step; the first one begins with the pretraining of the encoder.

    Parameters
    ----------
    networks : DGCNetworks
    data : TrainingSet
    settings : DGCClassifier
    """

    networks: DGCNetworks

    def __init__(self, networks: DGCNetworks, data: TrainingSet, settings: "DGCClassifier") -> None:
        self.data, self.settings = data, settings
        self.batches = NaturalBatches(len(data.labels), settings.batch_size * parallel.n_processes(), data.generator)
        self.most_repeats = most_repeats(data.class_counts, settings.resampling_rate)
        # Posteriors of the batch that all networks learned from last, for the classifier: by the size of the batch.
        self.posteriors: dict[int, tuple[Tensor, ...]] = {}
        encoding, lr = networks.encoding_parameters(), settings.learning_rate
        names = ("encoder", "all", "classifier")
        super().__init__(
            networks=networks,
            optimizers={
                "pretraining": adam(encoding, settings.pretraining_learning_rate, BETAS),
                "encoder": adam(encoding, lr, BETAS),
                "all": adam(networks.parameters(), lr, BETAS),
                "classifier": adam(networks.classifier.parameters(), lr, BETAS),
            },
            phases=self._phases(),
            n_steps=settings.max_steps,
            rates=dict.fromkeys(names, rate_over(settings.schedule, settings.max_steps)),
            compile=settings.compile,
        )
        self.encoder = self.compiled(networks.encoder)

    def _phases(self) -> list[Phase]:
        settings = self.settings
        objective = {"reconstruction": 1.0, "mmd": settings.mmd_weight, "classifier": 1.0}
        phases = [
            Phase(
                name="pretraining",
                draw=self.draw_pretraining,
                losses=self.pretraining_losses,
                moves={"pretraining": {"pretraining": 1.0}},
                repeat=settings.pretraining_steps,
                when=lambda step: step == 0,
                until=lambda losses: losses["pretraining"].item() < PRETRAINED,
            ),
            Phase(
                name="encoder",
                draw=self.draw,
                losses=self.losses,
                moves={"encoder": objective},
                streams=[self.batches],
                repeat=settings.encoder_steps,
                reports=False,
            ),
            Phase(
                name="all",
                draw=self.draw,
                losses=lambda draws: self.losses(draws, remember=True),
                moves={"all": objective},
                streams=[self.batches],
            ),
        ]
        if settings.resampling_rate > 0:
            perturbation = Phase(
                name="perturbation",
                draw=self.draw_perturbation,
                losses=self.perturbation_losses,
                moves={"classifier": {"perturbation": 1.0}},
            )
            phases.append(perturbation)
        return phases

    def variant(self) -> int:
        """Return the size of the batch, which the perturbation takes from the phase before it."""
        return self.batches.size

    # -- Draws --

    def draw(self) -> Draws:
        """Return what an update on the whole objective draws."""
        rows = parallel.share(self.batches.draw())
        x = augment_images(self.data.prepare(self.data.inputs[rows]), self.settings.augment, self.data.generator)
        noise, prior = (self.draw_noise(len(rows)) for _ in range(2))
        return Draws(x, self.data.labels[rows], noise, prior, self.data.weights_of(rows))

    def draw_noise(self, n: int) -> Tensor:
        """Return standard normal noise (n, k)."""
        return parallel.draws(torch.randn, n, self.networks.latent_dim, generator=self.data.generator)

    def draw_pretraining(self) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        """Return inputs (n, ...), labels (n,) of a sample of the training data, noise (n, k) and weights (n,)."""
        n = len(self.data.labels)
        rows = torch.randperm(n, generator=self.data.generator, device=self.data.device)[:MOMENT_SAMPLES]
        noise = torch.randn(len(rows), self.networks.latent_dim, generator=self.data.generator, device=self.data.device)
        return self.data.prepare(self.data.inputs[rows]), self.data.labels[rows], noise, self.data.weights_of(rows)

    def draw_perturbation(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return draws (n, k) from the posteriors of a batch, their labels (n,), and how much each counts (n,)."""
        mean, log_variance, labels, *weights = self.posteriors[self.batches.size]
        repeats = posterior_repeats(labels, self.data.class_counts, self.settings.resampling_rate)
        rows = torch.arange(len(labels), device=labels.device)
        if host_may_look(labels.device):
            rows = rows.repeat_interleave(repeats)
            counts = torch.ones_like(rows)
        else:  # each as often as any may be, and those too many do not count
            copies = torch.arange(self.most_repeats, device=labels.device).unsqueeze(1)
            counts = (copies < repeats).flatten()
            rows = rows.repeat(self.most_repeats)
        if weights:
            counts = counts * weights[0][rows]
        noise = torch.randn(len(rows), mean.shape[1], generator=self.data.generator, device=self.data.device)
        return draw_latents(mean[rows], log_variance[rows], noise), labels[rows], counts

    # -- Losses --

    def encode(self, x: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log variance (B, k) of the latents."""
        return self.networks.posterior(self.encoder(images_last(x)), labels)

    def losses(self, draws: Draws, *, remember: bool = False) -> Losses:
        """Return the terms of the objective; `remember` keeps the posteriors for the perturbation."""
        mean, log_variance = self.encode(draws.x, draws.labels)
        z = draw_latents(mean, log_variance, draws.noise)
        if remember:
            weights = () if draws.weights is None else (draws.weights,)
            self._remember(mean.detach(), log_variance.detach(), draws.labels, *weights)
        errors = reconstruction_loss(draws.x, self.networks.decode(z).float())
        return {
            "reconstruction": parallel.weighted_mean(errors, draws.weights),
            "mmd": mmd(z, draws.prior, draws.weights),
            "classifier": self.classification(z, draws.labels, draws.weights),
        }

    def _remember(self, *posteriors: Tensor) -> None:
        """Lay posteriors where the perturbation finds them, always in the same place."""
        size = self.batches.size
        if size not in self.posteriors:
            self.posteriors[size] = tuple(torch.empty_like(tensor) for tensor in posteriors)
        for place, tensor in zip(self.posteriors[size], posteriors, strict=True):
            place.copy_(tensor)

    def classification(self, z: Tensor, labels: Tensor, counts: Tensor | None = None) -> Tensor:
        """Return the cross-entropy of latents (n, k), as a mean or a sum, each times how much it counts (n,)."""
        reduction = self.settings.classification_reduction
        with full_precision(z.device):
            logits = self.networks.classifier(z)
        if counts is None:
            return F.cross_entropy(logits, labels, reduction=reduction)
        total = (F.cross_entropy(logits, labels, reduction="none") * counts).sum()
        return total if reduction == "sum" else total / counts.sum().clamp(min=torch.finfo(total.dtype).tiny)

    def pretraining_losses(self, draws: tuple[Tensor, Tensor, Tensor, Tensor | None]) -> Losses:
        """Return how far mean and covariance of the latents are from those of the prior."""
        x, labels, noise, weights = draws
        mean, log_variance = self.encode(x, labels)
        return {"pretraining": moments_loss(draw_latents(mean, log_variance, noise), weights)}

    def perturbation_losses(self, draws: tuple[Tensor, Tensor, Tensor]) -> Losses:
        """Return the classifier's loss of more draws from the posteriors of the smaller classes."""
        return {"perturbation": self.classification(*draws)}


# ---- Estimator -------------------------------------------------------------------------------------------------------


@dataclass(kw_only=True, eq=False, repr=False)
class DGCClassifier(BaseGenerator, BaseClassifier):
    """Classifier and generator: a deep generative classifier.

    Parameters
    ----------
    latent_dim : int, default=64
        Length k of the latent vectors.
    encoder : {"auto", "conv", "resnet"} or nn.Module, default="auto"
        From inputs to the features that, with the label, give the posterior; see `RAEClassifier`. A module has to map
        to features of length `feature_dim`.
    feature_dim : int, default=256
    channels : int, default=64
        Channels of the encoder's first convolution.
    decoder_channels : int, default: as `channels`
        Channels of the decoder's last convolution, where most of the time of training and all of that of predicting
        goes.
    decoder_upsampling : {"resize", "transposed"}, default="resize"
        How the decoder of images makes them larger: it repeats pixels and convolves, or by the transposed convolutions
        of older versions, which leave a checkerboard where there are few images.
    hidden_units : int, default: 1024 for images and 512 for tables
        Width of the dense layers.
    mmd_weight : float, default=1.0
        The lambda before the discrepancy of latents and prior; 1 in the authors' code, chosen from 1 and 10 in the
        paper.
    classification_reduction : {"mean", "sum"}, default="mean"
        Of the cross-entropy over a batch; the second in the authors' code.
    prediction_mmd : {"subtract", "add", "none"}, default="subtract"
        How the discrepancy that belongs to a label enters its score; the second in the authors' code.
    prediction_samples : int, default=10
        Latents S that are drawn for each label; predicting n rows decodes n S C latents.
    resampling_rate : float in [0, 1], default=0.6
        How far the counts of the smaller classes are brought towards that of the largest when the classifier learns
        from draws of their posteriors; 0 switches this off.
    pretraining_steps : int, default=200
        At most so many updates bring the latents' mean and covariance near the prior's before training.
    pretraining_learning_rate : float, default=1e-3
    encoder_steps : int, default=1
        Updates of the encoder alone before each of everything; 1 in the authors' code for MNIST and 0 for CelebA.
    max_steps : int, default=1000
    batch_size : int, default=100
    augment : {"none", "shift", "flip_shift", ...}, default="none"
        Of training images, see `latentover.training.augment_images`; what is augmented is also what is reconstructed.
    learning_rate : float, default=2e-4
        The authors' code has 1e-5 for MNIST and 5e-5 for CelebA, with up to 4500 steps.
    schedule : {"constant", "cosine", "one_cycle"}, default="constant"
    small_class, base_selection, clip, constraints
        See `latentover.estimators.BaseGenerator`.
    image_shape, channels_last, numbers, categorical_features, identifiers, new_identifiers, missing, device,
    precision, random_state, verbose, checkpoint, checkpoint_every, compile, capture,
    callbacks
        See `latentover.estimators.BaseDeepEstimator`.

    Attributes
    ----------
    classes_, class_counts_, networks_, history_, device_, diversity_
        See `latentover.estimators.BaseDeepEstimator` and `latentover.estimators.BaseGenerator`.

    Notes
    -----
    A `sample_weight` multiplies each sample's terms of the objective, its share in the moments of the pretraining and
    in the discrepancy, and its draws in the perturbation; new samples start from rows in proportion to it.

    References
    ----------
    Wang, Lyu and Jing, "Deep Generative Model for Robust Imbalance Classification", CVPR 2020.

    Examples
    --------
    >>> from sklearn.datasets import make_classification
    >>> X, y = make_classification(200, weights=[0.9], random_state=0)
    >>> classifier = DGCClassifier(max_steps=20, hidden_units=32, random_state=0).fit(X, y)
    >>> classifier.predict(X).shape, classifier.sample(5, y=1).shape
    ((200,), (5, 20))
    """

    # Networks
    latent_dim: PositiveInt = 64
    encoder: EncoderName | Network = "auto"
    feature_dim: PositiveInt = 256
    channels: PositiveInt = 64
    decoder_channels: PositiveInt | None = None
    decoder_upsampling: Upsampling = "resize"
    hidden_units: PositiveInt | None = None
    # Losses
    mmd_weight: NonNegative = 1.0
    classification_reduction: Literal["mean", "sum"] = "mean"
    resampling_rate: Annotated[Fraction, Expected("a number from 0 to 1")] = 0.6
    # Prediction
    prediction_mmd: Literal["subtract", "add", "none"] = "subtract"
    prediction_samples: PositiveInt = 10
    # Updates
    max_steps: PositiveInt = 1000
    batch_size: BatchSize = 100
    augment: Augment = "none"
    learning_rate: Positive = 2e-4
    schedule: Schedule = "constant"
    encoder_steps: NonNegativeInt = 1
    pretraining_steps: NonNegativeInt = 200
    pretraining_learning_rate: Positive = 1e-3

    networks_: DGCNetworks = field(init=False)

    predicts_while_trained: ClassVar = False
    """Noise and discrepancies, by which labels are scored, are drawn in the end."""

    def _build_networks(self) -> DGCNetworks:
        shape = self.format_.shape
        units = default_hidden_units(shape, self.hidden_units)
        encoder = build_encoder(
            shape,
            self.feature_dim,
            encoder=self.encoder,
            channels=self.channels,
            hidden_units=units,
            dropout=0.0,
        )
        decoder_channels = self.decoder_channels or self.channels
        return DGCNetworks(
            encoder=encoder,
            decoder=build_decoder(
                shape,
                self.latent_dim,
                0,
                channels=decoder_channels,
                hidden_units=units,
                upsampling=self.decoder_upsampling,
            ),
            feature_dim=self.feature_dim,
            latent_dim=self.latent_dim,
            n_classes=len(self.classes_),
            units=units,
        )

    def _program(self, data: TrainingSet) -> DGCProgram:
        return DGCProgram(self.networks_, data, self)

    def _keep(self, data: TrainingSet, program: Program) -> None:
        noise = torch.randn(self.prediction_samples, self.latent_dim, generator=data.generator, device=data.device)
        with torch.inference_mode():
            mean, log_variance = self._posteriors(data)
            discrepancies = self._discrepancies(data)
        # Sampling needs the posteriors of the training data, and nothing else of it.
        tensors = {"mean": mean, "log_variance": log_variance, "labels": data.labels}
        tensors |= {"prediction_noise": noise, "discrepancies": discrepancies}
        self.tensors_ = {name: tensor.cpu() for name, tensor in tensors.items()}

    def _posteriors(self, data: TrainingSet) -> tuple[Tensor, Tensor]:
        """Return mean and log variance (n, k) of all training samples under their labels."""
        parts = zip(data.inputs.split(PREDICT_BATCH), data.labels.split(PREDICT_BATCH), strict=True)
        networks = self.networks_
        found = [networks.posterior(networks.encoder(images_last(data.prepare(x))), y) for x, y in parts]
        mean, log_variance = zip(*found, strict=True)
        return torch.cat(mean), torch.cat(log_variance)

    def _discrepancies(self, data: TrainingSet) -> Tensor:
        """Return for each label (C,) the MMD of prior and latents of training samples that are given this label."""
        rows = next(ClassBatches(data.labels, MMD_SAMPLES, data.generator))
        features = self.networks_.encoder(images_last(data.prepare(data.inputs[rows])))
        noise, prior = (
            torch.randn(len(rows), self.latent_dim, generator=data.generator, device=data.device) for _ in range(2)
        )
        labels = torch.ones(len(rows), dtype=torch.int64, device=data.device)
        latents = (draw_latents(*self.networks_.posterior(features, c * labels), noise) for c in range(data.n_classes))
        return torch.stack([mmd(z, prior, data.weights_of(rows)) for z in latents])

    def _logits(self, batch: Tensor) -> Tensor:
        """Return the score (B, C) of every label that is tried."""
        networks, noise = self.networks_, self.tensors_["prediction_noise"].to(self.device_)
        features = networks.encoder(images_last(batch))
        scores = []
        for label in range(len(self.classes_)):
            labels = torch.full((len(batch),), label, device=self.device_)
            mean, log_variance = networks.posterior(features, labels)
            errors, entropies = [], []
            for drawn in noise:
                z = draw_latents(mean, log_variance, drawn)
                errors.append(reconstruction_loss(batch, networks.decode(z)))
                entropies.append(F.cross_entropy(networks.classifier(z), labels, reduction="none"))
            scores.append(label_bounds(torch.stack(errors)[..., None], torch.stack(entropies)[..., None]))
        sign = {"subtract": -1.0, "add": 1.0, "none": 0.0}[self.prediction_mmd]
        return torch.cat(scores, dim=1) + sign * self.mmd_weight * self.tensors_["discrepancies"].to(self.device_)

    def _generate(self, label: int, n: int, generator: torch.Generator) -> Synthetic:
        """Draw from the posteriors of training samples of class `label` and decode."""
        rows = self._draw_parents(label, n, 1, generator).squeeze(1).cpu()
        mean, log_variance = (self.tensors_[name][rows].to(self.device_) for name in ("mean", "log_variance"))
        noise = torch.randn(mean.shape, generator=generator, device=self.device_)
        outputs = self.networks_.decode(draw_latents(mean, log_variance, noise))
        return Synthetic(outputs, rows[:, None].numpy(), np.ones((n, 1)))
