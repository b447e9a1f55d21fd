"""GAMO: generative adversarial minority oversampling.

Three networks play against each other. The convex generator makes a point of a class as a convex combination of all
training points of that class; the classifier wants its class recognised, the generator wants it mistaken, and the
conditional discriminator keeps it where points of the class are. So the rare classes get points near the borders that
the classifier draws, and the classifier is the result. GAMO2PIX, one variational autoencoder a class, turns generated
features into pictures.

Reference
---------
Mullick, Datta and Das, "Generative Adversarial Minority Oversampling", ICCV 2019. All losses are least squares.

Where the authors' code departs from the paper, and where this file departs from both:

=================================================  ==================================================================
what                                               here
=================================================  ==================================================================
features                                           pixels (``extractor="none"``) or a convolutional network; tables mix
                                                   their rows, or the features of a dense layer (``"dense"``)
classes are renumbered by size                     no: what is rare comes from the counts alone
the largest class is never generated               never for the classifier's training; generator and discriminator
                                                   learn it too, as often as the others on average, so that it can
                                                   be sampled
generator updates of each class in turn, of        ``generator_updates="per_class"``; ``"joint"`` updates on all classes
ceil(B / C) points                                 at once, which many classes need. At least two points a class, for
                                                   batch normalisation
KL divergence of GAMO2PIX                          consistent; the authors' code draws with s as a log deviation and
                                                   computes with s as a log variance (``decoder_kl="reference_code"``)
25,000 batches, 25,000 updates of each decoder     `max_steps`, `decoder_steps`
augmentation                                       none in the paper; `augment` is what the controls have too
=================================================  ==================================================================

The extractor learns as in the authors' code: one epoch through the classifier, which stands still, before every pass of
the game over the data, and the features stay as they are during that pass.
"""

import math
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, ClassVar, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from latentover.estimators import (
    BaseClassifier,
    BaseDeepEstimator,
    BaseDeepSampler,
    BaseGenerator,
    ImageFormat,
    Synthetic,
    TrainingSet,
)
from latentover.estimators.base import PREDICT_BATCH
from latentover.networks import build_encoder
from latentover.networks.conv import n_stages
from latentover.networks.layers import batch_norm, doubling_conv, images_last, linear, with_label
from latentover.training import (
    NaturalBatches,
    Phase,
    augment_images,
    autocast,
    batches_per_epoch,
    learning_rate_factor,
    optimizer_step,
    set_learning_rate,
    train,
)
from latentover.training.augment import Augment
from latentover.training.loop import History
from latentover.training.optimizers import fused
from latentover.training.schedules import Schedule

LEAK = 0.1
LABEL_NOISE = 0.1
"""The discriminator's targets lie up to this far from 0 and 1."""
N_PARENTS = 5
"""Every point of a class is a parent; so many, those of the largest weights, are recorded."""
MAX_WEIGHTS = 2**22
"""Convex weights that are held at once while sampling: 16 MiB."""
VAE_HIDDEN, VAE_LATENT = 128, 100
EXTRACTORS = ("auto", "none", "conv", "dense", "resnet")


# ---- Labels and loss terms -------------------------------------------------------------------------------------------


def fake_label_probabilities(class_counts: Tensor, *, largest: bool = False) -> Tensor:
    r"""Return how likely each class is among the generated points, :math:`p_i \propto n_{max} - n_i`, float64 (C,).

    Parameters
    ----------
    class_counts : integer Tensor of shape (C,)
    largest : bool, default=False
        Whether the largest classes, which the paper never generates, are as likely as the others are on average.

    Returns
    -------
    Tensor of shape (C,)
        All zero where all classes are of one size and `largest` is False.

    Examples
    --------
    >>> import torch
    >>> fake_label_probabilities(torch.tensor([10, 4, 8]))
    tensor([0.0000, 0.7500, 0.2500], dtype=torch.float64)
    """
    missing = (class_counts.max() - class_counts).double()
    if largest:
        average = missing[missing > 0].mean() if bool((missing > 0).any()) else torch.ones_like(missing[0])
        missing = missing.where(missing > 0, average)
    return missing / missing.sum().clamp(min=1)


def classifier_loss(logits: Tensor, onehot: Tensor) -> Tensor:
    """Mean squared error between class probabilities and one-hot labels, both (B, C): of real and of fake points."""
    return F.mse_loss(logits.softmax(dim=1), onehot)


def discriminator_loss(scores: Tensor, noise: Tensor, *, real: bool) -> Tensor:
    """Mean squared error of scores (B,): against 1 - noise for real, noise for fake points; noise (B,) in [0, 0.1)."""
    return F.mse_loss(scores, 1 - noise if real else noise)


def mistaking_loss(logits: Tensor, onehot: Tensor) -> Tensor:
    """The generator's loss against the classifier: probabilities against 1 - onehot, both (B, C).

    The target has C - 1 ones, which no softmax reaches: it pushes mass off the class and spreads it evenly.
    """
    return F.mse_loss(logits.softmax(dim=1), 1 - onehot)


def passing_loss(scores: Tensor) -> Tensor:
    """The generator's loss against the discriminator: its fakes (B,) shall score 1."""
    return F.mse_loss(scores, torch.ones_like(scores))


def vae_loss(x: Tensor, reconstructed: Tensor, mean: Tensor, log_deviation: Tensor, kl: str = "consistent") -> Tensor:
    r"""GAMO2PIX: squared error summed over an image, and the KL divergence to N(0, I) summed over the latents.

    Parameters
    ----------
    x, reconstructed : Tensor of shape (B, ...)
    mean, log_deviation : Tensor of shape (B, k)
        :math:`m` and :math:`s` of the posterior :math:`N(m, e^{2s})`.
    kl : {"consistent", "reference_code"}
        :math:`-\tfrac12 \sum (1 + 2s - m^2 - e^{2s})`, or, as in the authors' code, :math:`s` in place of :math:`2s`.
    """
    log_variance = 2 * log_deviation if kl == "consistent" else log_deviation
    divergence = -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum(dim=1).mean()
    return (x - reconstructed).square().flatten(1).sum(dim=1).mean() + divergence


# ---- Networks --------------------------------------------------------------------------------------------------------


def dense_layers(*sizes: int) -> nn.Sequential:
    """Return dense layers of these sizes with leaky ReLUs between them."""
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise(sizes[:-1]):
        layers += [linear(n_in, n_out), nn.LeakyReLU(LEAK)]
    return nn.Sequential(*layers, linear(sizes[-2], sizes[-1]))


class ConvExtractor(nn.Module):
    """Images in [-1, 1] to features in [-1, 1]: 5x5 convolutions with average pooling, then a dense layer and tanh."""

    def __init__(self, image_shape: tuple[int, int, int], feature_dim: int, *, channels: int = 32) -> None:
        super().__init__()
        n_in, height, width = image_shape
        stages = n_stages(height, width)
        if min(height, width) < 2**stages:
            raise ValueError(
                f"Expected images for GAMO's convolutions to have a shorter side of at least {2**stages} pixels where "
                f"the longer one is halved {stages} times, but got {height}x{width}; resize them, or pass an nn.Module "
                "as extractor."
            )
        layers: list[nn.Module] = []
        for _ in range(stages):
            conv = nn.Conv2d(n_in, channels, kernel_size=5, padding=2)
            nn.init.xavier_uniform_(conv.weight)
            assert conv.bias is not None
            nn.init.zeros_(conv.bias)
            layers += [conv, nn.LeakyReLU(LEAK), nn.AvgPool2d(2)]
            n_in, height, width = channels, height // 2, width // 2
        self.layers = nn.Sequential(*layers, nn.Flatten(), linear(n_in * height * width, feature_dim), nn.Tanh())

    def forward(self, x: Tensor) -> Tensor:
        """Map images (B, c, h, w) to features (B, d)."""
        return self.layers(x)


def build_extractor(shape: tuple[int, ...], extractor: nn.Module | str, feature_dim: int, channels: int) -> nn.Module:
    """Return the network from inputs to the features that are mixed; for ``"none"`` these are the inputs, flattened.

    Raises
    ------
    ValueError
        For convolutions on a table, and a module that does not fit.
    """
    images = len(shape) == 3
    if extractor == "none" or (extractor == "auto" and not images):
        return nn.Flatten()
    if images and extractor in ("auto", "conv"):
        return ConvExtractor(shape, feature_dim, channels=channels)  # type: ignore[arg-type]
    if extractor == "dense":
        return nn.Sequential(nn.Flatten(), linear(math.prod(shape), feature_dim), nn.Tanh())
    network = build_encoder(shape, feature_dim, encoder=extractor, channels=channels)
    return network if isinstance(extractor, nn.Module) else nn.Sequential(network, nn.Tanh())


class ConvexGenerator(nn.Module):
    """Noise and a label to convex weights over all points of the class: a shared trunk and a softmax layer a class.

    Parameters
    ----------
    class_counts : sequence of int
        How many points each class has.
    noise_dim : int
    hidden_units : int
        Of the trunk's first layer; its second has a quarter of them.
    """

    def __init__(self, class_counts: Any, *, noise_dim: int, hidden_units: int) -> None:
        super().__init__()
        self.noise_dim, self.n_classes = noise_dim, len(class_counts)
        narrow = max(hidden_units // 4, 1)
        self.trunk = nn.Sequential(
            linear(noise_dim + self.n_classes, hidden_units),
            nn.ReLU(),
            batch_norm(hidden_units),
            linear(hidden_units, narrow),
            nn.ReLU(),
            batch_norm(narrow),
        )
        self.heads = nn.ModuleList(linear(narrow, int(n)) for n in class_counts)

    def embed(self, noise: Tensor, labels: Tensor) -> Tensor:
        """Map noise (B, k) and labels (B,) to what the heads look at (B, q)."""
        return self.trunk(with_label(noise, F.one_hot(labels, self.n_classes)))

    def weights(self, embedded: Tensor, label: int, log_prior: Tensor) -> Tensor:
        """Map embedded noise (B, q) to convex weights (B, n_c) over the points of class `label`.

        Each weight is multiplied by the prior (n_c,) of its point, all ones unless samples are weighted, before they
        are made to sum to 1.
        """
        return (self.heads[label](embedded) + log_prior).softmax(dim=1)

    def forward(self, noise: Tensor, labels: Tensor, points: list["ClassPoints"]) -> Tensor:
        """Return a generated point (B, d) for noise (B, k) and labels (B,), from the points of each class."""
        embedded = self.embed(noise, labels)
        fakes = embedded.new_empty(len(labels), points[0].features.shape[1])
        for label in labels.unique().tolist():
            rows = labels == label
            fakes[rows] = self.weights(embedded[rows], label, points[label].log_prior) @ points[label].features
        return fakes


@dataclass(frozen=True)
class ClassPoints:
    """What the points of one class are made from.

    Attributes
    ----------
    features : Tensor of shape (n_c, d)
    log_prior : Tensor of shape (n_c,)
        Log of the samples' weights, which multiply the convex weights; zeros where they have none.
    """

    features: Tensor
    log_prior: Tensor

    @classmethod
    def of(cls, features: Tensor, sample_weight: Tensor | None) -> "ClassPoints":
        """Return the points of a class; a sample of weight 0 is in no combination, unless all of the class are."""
        weighted = sample_weight is not None and bool(sample_weight.sum() > 0)
        prior = sample_weight.float().log() if weighted and sample_weight is not None else torch.zeros(len(features))
        return cls(features, prior.to(features.device))


class Discriminator(nn.Module):
    """Features with their label to a score in [0, 1]."""

    def __init__(self, n_features: int, n_classes: int, hidden_units: int) -> None:
        super().__init__()
        self.layers = dense_layers(n_features + n_classes, hidden_units, max(hidden_units // 2, 1), 1)

    def forward(self, features: Tensor, onehot: Tensor) -> Tensor:
        """Map features (B, d) and one-hot labels (B, C) to scores (B,)."""
        return self.layers(with_label(features, onehot)).squeeze(1).sigmoid()


class FeatureVAE(nn.Module):
    """GAMO2PIX: a variational autoencoder from features to the images, or rows, that they belong to.

    Parameters
    ----------
    feature_dim : int
    shape : (d,) or (c, h, w)
    channels : int
        Of the transposed convolutions.
    """

    def __init__(self, feature_dim: int, shape: tuple[int, ...], *, channels: int = 32) -> None:
        super().__init__()
        self.shape = shape
        self.hidden = nn.Sequential(linear(feature_dim, VAE_HIDDEN), nn.Tanh())
        self.mean, self.log_deviation = linear(VAE_HIDDEN, VAE_LATENT), linear(VAE_HIDDEN, VAE_LATENT)
        if len(shape) == 1:
            self.decoder = dense_layers(VAE_LATENT, VAE_HIDDEN, shape[0])
            return
        stages = n_stages(*shape[1:])
        grid = (channels, *(math.ceil(side / 2**stages) for side in shape[1:]))
        layers: list[nn.Module] = [linear(VAE_LATENT, math.prod(grid)), nn.LeakyReLU(LEAK), nn.Unflatten(1, grid)]
        for _ in range(stages):
            layers += [doubling_conv(channels, channels), nn.LeakyReLU(LEAK)]
        # TensorFlow's "same" of an even kernel: one pixel before and two behind.
        last = nn.Conv2d(channels, shape[0], kernel_size=4)
        self.decoder = nn.Sequential(*layers, nn.ZeroPad2d((1, 2, 1, 2)), last, nn.Tanh())

    def posterior(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Map features (B, d) to mean and log deviation (B, k) of the latents."""
        hidden = self.hidden(features)
        return self.mean(hidden), self.log_deviation(hidden)

    def decode(self, z: Tensor) -> Tensor:
        """Map latents (B, k) to images (B, c, h, w) in [-1, 1] or rows (B, d)."""
        x = self.decoder(z)
        # Halving rounds odd sides up, so doubling can overshoot by a few pixels.
        return x[..., : self.shape[1], : self.shape[2]] if x.dim() == 4 else x


class GAMONetworks(nn.Module):
    """Extractor, convex generator, classifier, discriminator and, where they are wanted, a decoder a class."""

    def __init__(
        self,
        extractor: nn.Module,
        generator: ConvexGenerator,
        classifier: nn.Module,
        discriminator: Discriminator,
        decoders: nn.ModuleList | None,
    ) -> None:
        super().__init__()
        self.extractor = extractor
        self.generator = generator
        self.classifier = classifier
        self.discriminator = discriminator
        self.decoders = decoders

    def features(self, x: Tensor) -> Tensor:
        """Map inputs (B, ...) to the features (B, d) that are mixed; images from [0, 1] to [-1, 1] first."""
        return self.extractor(images_last(centred(x))).float()

    def logits(self, x: Tensor) -> Tensor:
        """Map inputs (B, ...) to logits (B, C)."""
        return self.classifier(self.features(x))


def centred(x: Tensor) -> Tensor:
    """Return images (B, c, h, w) in [0, 1] as in [-1, 1]; rows as they are."""
    return 2 * x - 1 if x.dim() == 4 else x


def uncentred(x: Tensor) -> Tensor:
    """Undo `centred`."""
    return (x + 1) / 2 if x.dim() == 4 else x


# ---- Core ------------------------------------------------------------------------------------------------------------


class GAMOTraining:
    """The updates of a training step: the game, and when it is over the decoders."""

    def __init__(self, networks: GAMONetworks, data: TrainingSet, settings: "_GAMO") -> None:
        self.networks, self.data, self.settings = networks, data, settings
        n, size = len(data.labels), settings.batch_size
        self.members = [(data.labels == label).nonzero().squeeze(1) for label in range(data.n_classes)]
        self.onehot = F.one_hot(data.labels, data.n_classes).float()
        self.fake_probabilities = fake_label_probabilities(data.class_counts)
        self.sampled_probabilities = fake_label_probabilities(data.class_counts, largest=True)
        self.balanced = bool(self.fake_probabilities.sum() == 0)
        self.pass_steps = batches_per_epoch(n, size)
        self.batches = NaturalBatches(n, size, data.generator)
        self.extractor_batches = NaturalBatches(n, size, data.generator)
        # With all classes at once every class has its share; batch normalisation needs two rows.
        self.fakes_per_class = max(math.ceil(size / data.n_classes), 1 if settings.generator_updates == "joint" else 2)
        # A given extractor may be frozen, and flattening learns nothing.
        self.extractor_parameters = [p for p in networks.extractor.parameters() if p.requires_grad]
        self.extractor = torch.compile(networks.extractor) if settings.compile else networks.extractor
        adam: dict[str, Any] = {"lr": settings.learning_rate, "betas": (0.5, 0.999), **fused(networks.parameters())}
        self.optimizers = {
            name: torch.optim.Adam(module.parameters(), **adam)
            for name, module in networks.named_children()
            if name not in ("extractor", "decoders")
        }
        if networks.decoders is not None:
            its_own = {**adam, "lr": settings.decoder_learning_rate}
            self.optimizers["decoders"] = torch.optim.Adam(networks.decoders.parameters(), **its_own)
        if self.extractor_parameters:
            self.optimizers["extractor"] = torch.optim.Adam(self.extractor_parameters, **adam)
        self._features: Tensor | None = None
        self._points: list[ClassPoints] = []

    def parts(self) -> dict[str, Any]:
        """Return all that changes while training, for checkpoints; features follow from the networks."""
        optimizers = {f"optimizer_{name}": optimizer for name, optimizer in self.optimizers.items()}
        streams = {"batches": self.batches, "extractor_batches": self.extractor_batches}
        return {"networks": self.networks, **optimizers, **streams, "randomness": self.data.randomness}

    def phases(self) -> list[Phase]:
        """Return what a step consists of: a batch of the game, or once it is over an update of every decoder."""
        game_over = self.settings.max_steps

        def new_pass(step: int) -> bool:
            return step < game_over and step % self.pass_steps == 0

        def playing(step: int) -> bool:
            return step < game_over

        phases = [Phase("players", self.update_players, when=playing)]
        phases.append(Phase("generator", self.update_generator, when=playing))
        if self.extractor_parameters:
            phases.insert(0, Phase("extractor", self.update_extractor, repeat=self.pass_steps, when=new_pass))
        if self.networks.decoders is not None:
            phases.append(Phase("decoders", self.update_decoders, when=lambda step: step >= game_over))
        return phases

    def set_learning_rates(self, progress: float) -> None:
        """Set the learning rates of the game to where their schedule is; the decoders, trained after it, have none."""
        settings, n_after = self.settings, self.settings.decoder_steps if self.networks.decoders is not None else 0
        part = min(progress * (settings.max_steps + n_after) / settings.max_steps, 1.0)
        for name, optimizer in self.optimizers.items():
            if name != "decoders":
                set_learning_rate(optimizer, settings.learning_rate * learning_rate_factor(settings.schedule, part))

    # -- Features, points and fakes --

    @torch.no_grad()
    def features(self) -> Tensor:
        """Return the features of all training samples (n, d), as the extractor is since its last update."""
        if self._features is None:
            self.networks.extractor.eval()
            batches = self.data.inputs.split(PREDICT_BATCH)
            self._features = torch.cat([self.networks.features(self.data.prepare(batch)) for batch in batches])
            weights = self.data.sample_weight
            self._points = [
                ClassPoints.of(self._features[rows], None if weights is None else weights[rows])
                for rows in self.members
            ]
            self.networks.extractor.train()
        return self._features

    def points(self) -> list[ClassPoints]:
        """Return what the points of each class are made from."""
        self.features()
        return self._points

    def draw_noise(self, n: int) -> Tensor:
        """Return noise (n, k) for the generator."""
        size = (n, self.networks.generator.noise_dim)
        return torch.randn(size, generator=self.data.generator, device=self.data.device)

    def label_noise(self, n: int) -> Tensor:
        """Return how far the discriminator's targets (n,) are from 0 and 1."""
        return LABEL_NOISE * torch.rand(n, generator=self.data.generator, device=self.data.device)

    @torch.no_grad()
    def fakes(self, probabilities: Tensor) -> tuple[Tensor, Tensor]:
        """Return a batch of generated points (B, d) and their one-hot labels (B, C); the generator stands still."""
        n = self.settings.batch_size
        labels = torch.multinomial(probabilities, n, replacement=True, generator=self.data.generator)
        generator = self.networks.generator
        generator.eval()
        generated = generator(self.draw_noise(n), labels, self.points())
        generator.train()
        return generated, F.one_hot(labels, self.data.n_classes).float()

    # -- Updates --

    def update_extractor(self) -> dict[str, Tensor]:
        """Update the extractor on a real batch, through the classifier as it is."""
        rows = next(self.extractor_batches)
        x = augment_images(self.data.prepare(self.data.inputs[rows]), self.settings.augment, self.data.generator)
        with autocast(self.data.device, self.data.dtype):
            features = self.extractor(images_last(centred(x)))
        loss = classifier_loss(self.networks.classifier(features.float()), self.onehot[rows])
        optimizer_step(self.optimizers["extractor"], loss, self.extractor_parameters)
        self._features = None
        return {"extractor": loss}

    def update_players(self) -> dict[str, Tensor]:
        """Update classifier and discriminator on a real batch, then on a generated one."""
        rows = next(self.batches)
        real, onehot = self.features()[rows], self.onehot[rows]
        losses = {
            "classifier": self._update_classifier(real, onehot),
            "discriminator": self._update_discriminator(real, onehot, real=True),
        }
        if not self.balanced:
            losses["classifier_fake"] = self._update_classifier(*self.fakes(self.fake_probabilities))
        fake = self.fakes(self.sampled_probabilities)
        losses["discriminator_fake"] = self._update_discriminator(*fake, real=False)
        return losses

    def _update_classifier(self, features: Tensor, onehot: Tensor) -> Tensor:
        loss = classifier_loss(self.networks.classifier(features), onehot)
        optimizer_step(self.optimizers["classifier"], loss, self.networks.classifier.parameters())
        return loss

    def _update_discriminator(self, features: Tensor, onehot: Tensor, *, real: bool) -> Tensor:
        scores = self.networks.discriminator(features, onehot)
        loss = discriminator_loss(scores, self.label_noise(len(scores)), real=real)
        optimizer_step(self.optimizers["discriminator"], loss, self.networks.discriminator.parameters())
        return loss

    def update_generator(self) -> dict[str, Tensor]:
        """Update the generator against the classifier and then against the discriminator, class by class or at once."""
        n, n_classes, device = self.fakes_per_class, self.data.n_classes, self.data.device
        if self.settings.generator_updates == "joint":
            labels = torch.arange(n_classes, device=device).repeat_interleave(n)
            return self._update_generator(labels, list(self.networks.generator.parameters()))
        trunk = list(self.networks.generator.trunk.parameters())
        losses = [
            self._update_generator(torch.full((n,), label, device=device), [*trunk, *head.parameters()])
            for label, head in enumerate(self.networks.generator.heads)
        ]
        return {name: torch.stack([each[name] for each in losses]).mean() for name in losses[0]}

    def _update_generator(self, labels: Tensor, parameters: list[nn.Parameter]) -> dict[str, Tensor]:
        networks, optimizer = self.networks, self.optimizers["generator"]
        onehot = F.one_hot(labels, self.data.n_classes).float()
        fake = networks.generator(self.draw_noise(len(labels)), labels, self.points())
        mistaking = mistaking_loss(networks.classifier(fake), onehot)
        optimizer_step(optimizer, mistaking, parameters)
        fake = networks.generator(self.draw_noise(len(labels)), labels, self.points())
        passing = passing_loss(networks.discriminator(fake, onehot))
        optimizer_step(optimizer, passing, parameters)
        return {"generator_mistaking": mistaking.detach(), "generator_passing": passing.detach()}

    def update_decoders(self) -> dict[str, Tensor]:
        """Update the decoder of every class on samples of that class."""
        decoders, n = self.networks.decoders, self.settings.batch_size
        assert decoders is not None
        losses = []
        for vae, members in zip(decoders, self.members, strict=True):
            assert isinstance(vae, FeatureVAE)
            chosen = torch.randint(len(members), (n,), generator=self.data.generator, device=self.data.device)
            rows = members[chosen]
            mean, log_deviation = vae.posterior(self.features()[rows])
            noise = torch.randn(mean.shape, generator=self.data.generator, device=self.data.device)
            with autocast(self.data.device, self.data.dtype):
                reconstructed = vae.decode(mean + log_deviation.exp() * noise).float()
            x = centred(self.data.prepare(self.data.inputs[rows]))
            losses.append(vae_loss(x, reconstructed, mean, log_deviation, self.settings.decoder_kl))
        optimizer_step(self.optimizers["decoders"], torch.stack(losses).sum(), decoders.parameters())
        return {"decoder": torch.stack(losses).detach().mean()}


# ---- Estimators ------------------------------------------------------------------------------------------------------


@dataclass(kw_only=True, eq=False, repr=False)
class _GAMO(BaseGenerator, BaseDeepEstimator):
    """The trained core that both faces stand on."""

    _choices: ClassVar = {
        "generator_updates": ("per_class", "joint"),
        "decoder_kl": ("consistent", "reference_code"),
    }
    _numbers: ClassVar = {
        "decoder_learning_rate": (0, False, float),
        "decoder_steps": (0, True, int),
        "noise_dim": (1, True, int),
    }
    _training_only: ClassVar = ("discriminator",)
    _has_bases: ClassVar = False

    # Networks
    extractor: nn.Module | Literal["auto", "none", "conv", "dense", "resnet"] = "auto"
    feature_dim: int = 512
    channels: int = 32
    hidden_units: int = 256
    noise_dim: int = 100
    # The game
    max_steps: int = 5000
    batch_size: int = 32
    generator_updates: Literal["per_class", "joint"] = "per_class"
    augment: Augment = "none"
    learning_rate: float = 2e-4
    schedule: Schedule = "constant"
    # Decoders
    decoder_steps: int = 1000
    decoder_learning_rate: float = 2e-4
    decoder_kl: Literal["consistent", "reference_code"] = "consistent"

    networks_: GAMONetworks = field(init=False)

    def _check_settings(self) -> list[str]:
        if isinstance(self.extractor, nn.Module) or self.extractor in EXTRACTORS:
            return []
        return [f"extractor to be one of {EXTRACTORS} or an nn.Module, but got {self.extractor!r}"]

    def _mixes_inputs(self) -> bool:
        """Whether points are the training rows themselves rather than features of them."""
        return self.extractor == "none" or (self.extractor == "auto" and not isinstance(self.format_, ImageFormat))

    def _build_networks(self) -> GAMONetworks:
        shape, n_classes = self.format_.shape, len(self.classes_)
        raw = self._mixes_inputs()
        n_features, units = math.prod(shape) if raw else self.feature_dim, self.hidden_units
        decoders = None
        if not raw and self.decoder_steps > 0:
            vaes = (FeatureVAE(n_features, shape, channels=self.channels) for _ in range(n_classes))
            decoders = nn.ModuleList(vaes)
        return GAMONetworks(
            extractor=build_extractor(shape, self.extractor, self.feature_dim, self.channels),
            generator=ConvexGenerator(self.class_counts_, noise_dim=self.noise_dim, hidden_units=units),
            classifier=dense_layers(n_features, units, max(units // 2, 1), n_classes),
            discriminator=Discriminator(n_features, n_classes, units),
            decoders=decoders,
        )

    def _fit_networks(self, data: TrainingSet) -> History:
        training = GAMOTraining(self.networks_, data, self)
        n_steps = self.max_steps + (self.decoder_steps if self.networks_.decoders is not None else 0)
        history = train(
            training.phases(),
            n_steps,
            report_every=max(1, min(100, n_steps // 50)),
            parts=training.parts(),
            checkpoint=data.checkpoint,
            verbose=self.verbose,
            description=type(self).__name__,
            on_step=training.set_learning_rates,
        )
        self.tensors_ = {"points": training.features().cpu(), "labels": data.labels.cpu()}
        if data.sample_weight is not None:
            self.tensors_["sample_weight"] = data.sample_weight.cpu()
        return history

    def _logits(self, batch: Tensor) -> Tensor:
        return self.networks_.logits(batch)

    def _can_generate(self) -> bool:
        return self._mixes_inputs() or self.networks_.decoders is not None

    def _fitted_tensors(self) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        weights, tensors = super()._fitted_tensors()
        if self._mixes_inputs():  # the points are training rows, which no bundle holds
            tensors.pop("points", None)
        return weights, tensors

    def _generate(self, label: int, n: int, generator: torch.Generator) -> Synthetic:
        """Mix the points of class `label` with the generator's weights and, if they are features, decode them."""
        if "points" not in self.tensors_:
            raise ValueError(
                "Expected the training rows, which extractor='none' mixes, but this estimator was loaded from a "
                "bundle, and a bundle holds no training row; fit it again, or save one with an extractor "
                f"({', '.join(map(repr, EXTRACTORS[2:]))})."
            )
        rows = (self.tensors_["labels"] == label).nonzero().squeeze(1)
        sample_weight = self.tensors_["sample_weight"][rows] if "sample_weight" in self.tensors_ else None
        points = ClassPoints.of(self.tensors_["points"][rows].to(self.device_), sample_weight)
        noise = torch.randn(n, self.noise_dim, generator=generator, device=self.device_)
        labels = torch.full((n,), label, device=self.device_)
        network = self.networks_.generator
        outputs, parents, shares = [], [], []
        for part in network.embed(noise, labels).split(max(1, MAX_WEIGHTS // len(rows))):
            weights = network.weights(part, label, points.log_prior)
            outputs.append(weights @ points.features)
            top = weights.topk(min(N_PARENTS, len(rows)), dim=1)
            missing = (0, N_PARENTS - top.indices.shape[1])  # of a class with few points: its first, with no weight
            parents.append(rows[F.pad(top.indices, missing).cpu()].numpy())
            shares.append(F.pad(top.values / top.values.sum(dim=1, keepdim=True), missing).cpu().numpy())
        fakes = torch.cat(outputs)
        if self.networks_.decoders is None:
            x = fakes.unflatten(1, self.format_.shape)
        else:
            vae = self.networks_.decoders[label]
            assert isinstance(vae, FeatureVAE)
            mean, log_deviation = vae.posterior(fakes)
            x = vae.decode(
                mean + log_deviation.exp() * torch.randn(mean.shape, generator=generator, device=self.device_)
            )
        return Synthetic(uncentred(x), np.concatenate(parents), np.concatenate(shares))


@dataclass(kw_only=True, eq=False, repr=False)
class GAMOClassifier(_GAMO, BaseClassifier):
    """Classifier and generator: generative adversarial minority oversampling.

    Networks and optimizers are those of the authors' code. A step is one batch of real points and one of generated ones
    for classifier and discriminator each, and two updates of the generator for every class.

    Parameters
    ----------
    extractor : {"auto", "none", "conv", "dense", "resnet"} or nn.Module, default="auto"
        From inputs to the features that are mixed and classified. ``"conv"`` is the paper's for images: 5x5
        convolutions with average pooling and a dense layer with tanh; ``"none"`` mixes the inputs themselves, pixels or
        the columns of a table; ``"dense"`` is a dense layer with tanh; ``"resnet"`` a small residual network.
        ``"auto"`` is ``"conv"`` for images and ``"none"`` for tables. A module has to map inputs (B, c, h, w) in
        [-1, 1], or standardised rows (B, d), to features (B, feature_dim); a copy of it is trained.
    feature_dim : int, default=512
        Length of the features.
    channels : int, default=32
        Channels of the convolutions of extractor and decoders.
    hidden_units : int, default=256
        Width of the first dense layer of generator, discriminator and classifier; the second has a half of it, that of
        the generator a quarter.
    noise_dim : int, default=100
        Length of the generator's noise.
    max_steps : int, default=5000
        Batches of the game; 25,000 in the authors' code.
    batch_size : int, default=32
    generator_updates : {"per_class", "joint"}, default="per_class"
        Whether the generator is updated for one class after the other, or for all at once, which costs little where
        there are many classes.
    augment : {"none", "shift", "flip_shift", ...}, default="none"
        Of the images that the extractor trains on, see `latentover.training.augment_images`.
    learning_rate : float, default=2e-4
        Of all networks but the decoders; Adam's first beta is 0.5.
    schedule : {"constant", "cosine", "one_cycle"}, default="constant"
        Of that learning rate.
    decoder_steps : int, default=1000
        Updates of each decoder after the game, 25,000 in the authors' code; 0 trains none, and such a model generates
        only where it mixes the inputs themselves.
    decoder_learning_rate : float, default=2e-4
        With so few updates as the default a higher one, such as 1e-3, gives sharper samples.
    decoder_kl : {"consistent", "reference_code"}, default="consistent"
        See `vae_loss`.
    small_class, clip
        See `latentover.estimators.BaseGenerator`. A class of one sample generates that sample.
    base_selection
        Has to be ``"random"``: all samples of a class are parents of each new one.
    image_shape, channels_last, categorical_features, missing, device, precision, random_state, verbose, checkpoint,
    checkpoint_every, compile
        See `latentover.estimators.BaseDeepEstimator`; ``compile`` compiles the extractor.

    Attributes
    ----------
    classes_, class_counts_, networks_, history_, device_, diversity_
        See `latentover.estimators.BaseDeepEstimator` and `latentover.estimators.BaseGenerator`.

    Notes
    -----
    Memory: the points of n training samples take ``4 n d`` bytes, the generator ``4 n (hidden_units / 4 + 1)``, thrice
    that while training; a batch needs convex weights over the points of its classes. Sampling holds 16 MiB of weights
    at once, whatever the class's size.

    A saved model holds features of the training data, as that of `RAEClassifier` holds latents. Without an extractor
    the points are the training rows: they are left out, the loaded model predicts the same and cannot generate.

    References
    ----------
    Mullick, Datta and Das, "Generative Adversarial Minority Oversampling", ICCV 2019.

    Examples
    --------
    >>> from sklearn.datasets import make_classification
    >>> X, y = make_classification(200, weights=[0.9], random_state=0)
    >>> classifier = GAMOClassifier(max_steps=20, hidden_units=32, random_state=0).fit(X, y)
    >>> classifier.predict(X).shape, classifier.sample(5, y=1).shape
    ((200,), (5, 20))
    """


@dataclass(kw_only=True, eq=False, repr=False)
class GAMOSampler(_GAMO, BaseDeepSampler):
    """Over-sampler: convex combinations of all points of a class, by generative adversarial minority oversampling.

    Parameters
    ----------
    sampling_strategy : str, float, dict or callable, default="auto"
        As in imbalanced-learn: which classes are brought to how many samples. ``"auto"`` brings every class to the
        size of the largest; a dict gives final totals.
    keep_index
        See `latentover.estimators.BaseSampler`.
    extractor, feature_dim, max_steps, decoder_steps, ...
        See `GAMOClassifier`.

    Attributes
    ----------
    sampling_strategy_, synthetic_mask_, sample_origin_, parents_, mix_weights_, sample_weight_
        See `latentover.estimators.BaseSampler`. All points of a class are parents; the five of the largest weights are
        recorded, with these weights divided by their sum. A sample's own weight multiplies its convex weight.

    Examples
    --------
    >>> from collections import Counter
    >>> from sklearn.datasets import make_classification
    >>> X, y = make_classification(200, weights=[0.9], flip_y=0, random_state=0)
    >>> sampler = GAMOSampler(max_steps=20, hidden_units=32, random_state=0)
    >>> X_resampled, y_resampled = sampler.fit_resample(X, y)
    >>> sorted(Counter(y_resampled.tolist()).items())
    [(0, 181), (1, 181)]
    """

    def _check_settings(self) -> list[str]:
        problems = super()._check_settings()
        if self.decoder_steps == 0 and self.extractor not in ("auto", "none"):
            problems.append("decoder_steps to be at least 1, for an over-sampler has to generate, but got 0")
        return problems
