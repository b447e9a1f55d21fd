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
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar, Literal, get_args

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
from latentover.estimators.generator import NoBases
from latentover.estimators.parameters import BatchSize, Network, NonNegativeInt, Positive, PositiveInt
from latentover.networks.gamo import VAE_LATENT, Discriminator, FeatureVAE, build_extractor, dense_layers
from latentover.networks.layers import batch_norm, images_last, linear, with_label
from latentover.training import (
    Action,
    Losses,
    NaturalBatches,
    Phase,
    Program,
    adam,
    augment_images,
    batches_per_epoch,
    full_precision,
    host_may_look,
    parallel,
    rate_over,
)
from latentover.training.augment import Augment
from latentover.training.schedules import Schedule

BETAS = (0.5, 0.999)
"""Of Adam, for all networks."""
LABEL_NOISE = 0.1
"""The discriminator's targets lie up to this far from 0 and 1."""
N_PARENTS = 5
"""Every point of a class is a parent; so many, those of the largest weights, are recorded."""
MAX_WEIGHTS = 2**22
"""Convex weights that are held at once while sampling: 16 MiB."""
ExtractorName = Literal["auto", "none", "conv", "dense", "resnet"]
EXTRACTORS: tuple[str, ...] = get_args(ExtractorName)


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


def classifier_loss(logits: Tensor, onehot: Tensor, weights: Tensor | None = None) -> Tensor:
    """Mean squared error between class probabilities and one-hot labels, both (B, C): of real and of fake points.

    Real points may have weights (B,), which their mean is weighted by.
    """
    errors = F.mse_loss(logits.softmax(dim=1), onehot, reduction="mean" if weights is None else "none")
    return errors if weights is None else parallel.weighted_mean(errors.mean(dim=1), weights)


def discriminator_loss(scores: Tensor, noise: Tensor, *, real: bool, weights: Tensor | None = None) -> Tensor:
    """Mean squared error of scores (B,): against 1 - noise for real, noise for fake points; noise (B,) in [0, 0.1)."""
    errors = F.mse_loss(scores, 1 - noise if real else noise, reduction="mean" if weights is None else "none")
    return errors if weights is None else parallel.weighted_mean(errors, weights)


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
        :math:`-\frac{1}{2} \sum (1 + 2s - m^2 - e^{2s})`, or, as in the authors' code, :math:`s` in place of
        :math:`2s`.
    """
    log_variance = 2 * log_deviation if kl == "consistent" else log_deviation
    divergence = -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum(dim=1).mean()
    return (x - reconstructed).square().flatten(1).sum(dim=1).mean() + divergence


# ---- Networks --------------------------------------------------------------------------------------------------------


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

    def forward(self, noise: Tensor, labels: Tensor, points: Sequence["ClassPoints"]) -> Tensor:
        """Return a generated point (B, d) for noise (B, k) and labels (B,), from the points of each class."""
        embedded = self.embed(noise, labels)
        fakes = embedded.new_zeros(len(labels), points[0].features.shape[1])
        if host_may_look(labels.device):
            for label in labels.unique().tolist():
                rows = labels == label
                fakes[rows] = self.point(embedded[rows], label, points[label])
            return fakes
        for label, of_class in enumerate(points):  # a point of every class for everyone, of which one is taken
            fakes = torch.where((labels == label).unsqueeze(1), self.point(embedded, label, of_class), fakes)
        return fakes

    def by_class(self, noise: Tensor, labels: Sequence[int], points: Sequence["ClassPoints"]) -> Tensor:
        """Return generated points (B, d) for noise (B, k), an equal number of each of the given classes in turn."""
        n = len(noise) // len(labels)
        embedded = self.embed(noise, class_by_class(labels, n, noise.device)).split(n)
        return torch.cat([self.point(part, label, points[label]) for part, label in zip(embedded, labels, strict=True)])

    def point(self, embedded: Tensor, label: int, points: "ClassPoints") -> Tensor:
        """Map embedded noise (B, q) to points (B, d) of class `label`."""
        return self.weights(embedded, label, points.log_prior) @ points.features


def class_by_class(labels: Sequence[int], n: int, device: torch.device) -> Tensor:
    """Return each class number n times (n * len(labels),), made on the device."""
    return torch.cat([torch.full((n,), label, device=device) for label in labels])


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


def _integers(high: int, *size: int, **place: Any) -> Tensor:
    """Return `torch.randint` below `high` of this size, as `torch.randn` takes it."""
    return torch.randint(high, size, **place)


def centred(x: Tensor) -> Tensor:
    """Return images (B, c, h, w) in [0, 1] as in [-1, 1]; rows as they are."""
    return 2 * x - 1 if x.dim() == 4 else x


def uncentred(x: Tensor) -> Tensor:
    """Undo `centred`."""
    return (x + 1) / 2 if x.dim() == 4 else x


# ---- Core ------------------------------------------------------------------------------------------------------------


class GAMOProgram(Program):
    """The updates of a training step: the game, and when it is over the decoders.

    Parameters
    ----------
    networks : GAMONetworks
    data : TrainingSet
    settings : GAMOClassifier or GAMOSampler
    """

    networks: GAMONetworks

    def __init__(self, networks: GAMONetworks, data: TrainingSet, settings: "_GAMO") -> None:
        self.data, self.settings = data, settings
        n, size = len(data.labels), settings.batch_size * parallel.n_processes()
        self.members = [(data.labels == label).nonzero().squeeze(1) for label in range(data.n_classes)]
        self.onehot = F.one_hot(data.labels, data.n_classes).float()
        self.fake_probabilities = fake_label_probabilities(data.class_counts)
        self.sampled_probabilities = fake_label_probabilities(data.class_counts, largest=True)
        self.balanced = bool(self.fake_probabilities.sum() == 0)
        self.pass_steps = batches_per_epoch(n, size)
        self.batches = NaturalBatches(n, size, data.generator)
        self.extractor_batches = NaturalBatches(n, size, data.generator)
        joint = settings.generator_updates == "joint"
        # With all classes at once every class has its share; batch normalisation needs two rows.
        self.fakes_per_class = max(math.ceil(settings.batch_size / data.n_classes), 1 if joint else 2)
        self.features: Tensor | None = None
        self.points: list[ClassPoints] = []
        adams: dict[str, torch.optim.Optimizer] = {
            name: adam(module.parameters(), settings.learning_rate, BETAS)
            for name, module in networks.named_children()
            if name != "decoders" and any(parameter.requires_grad for parameter in module.parameters())
        }
        rates = dict.fromkeys(adams, rate_over(settings.schedule, settings.max_steps))
        decoder_steps = 0
        if networks.decoders is not None:
            decoder_steps = settings.decoder_steps
            adams["decoders"] = adam(networks.decoders.parameters(), settings.decoder_learning_rate, BETAS)
        super().__init__(
            networks=networks,
            optimizers=adams,
            phases=self._phases(learns_features="extractor" in adams, decodes=decoder_steps > 0),
            n_steps=settings.max_steps + decoder_steps,
            rates=rates,
            compile=settings.compile,
        )
        self.extractor = self.compiled(networks.extractor)

    def _phases(self, *, learns_features: bool, decodes: bool) -> list[Phase | Action]:
        """Return what a step consists of: a batch of the game, or once it is over an update of every decoder."""
        game_over = self.settings.max_steps

        def new_pass(step: int) -> bool:
            return learns_features and step < game_over and step % self.pass_steps == 0

        def playing(step: int) -> bool:
            return step < game_over

        of_the_game: dict[str, Any] = {"when": playing, "full_precision": True}
        phases: list[Phase | Action] = []
        if learns_features:
            extractor = Phase(
                name="extractor",
                draw=self.draw_extractor,
                losses=self.extractor_losses,
                moves={"extractor": {"extractor": 1.0}},
                streams=[self.extractor_batches],
                repeat=self.pass_steps,
                when=new_pass,
            )
            phases.append(extractor)
        phases += [
            # Also where the training goes on within a pass: features follow from the networks.
            Action(name="features", run=self.learn_features, when=lambda step: new_pass(step) or self.features is None),
            Phase(
                name="real",
                draw=self.draw_real,
                losses=self.real_losses,
                moves={"classifier": {"classifier": 1.0}, "discriminator": {"discriminator": 1.0}},
                streams=[self.batches],
                **of_the_game,
            ),
            Phase(
                name="fake",
                draw=self.draw_fakes,
                losses=self.fake_losses,
                moves={
                    **({} if self.balanced else {"classifier": {"classifier_fake": 1.0}}),
                    "discriminator": {"discriminator_fake": 1.0},
                },
                **of_the_game,
            ),
        ]
        classes = range(self.data.n_classes)
        joint = self.settings.generator_updates == "joint"
        for labels in [tuple(classes)] if joint else [(label,) for label in classes]:
            for loss, losses in (("mistaking", self.mistaking_losses), ("passing", self.passing_losses)):
                update = Phase(
                    name="generator",
                    draw=partial(self.draw_noise, self.fakes_per_class * len(labels)),
                    losses=partial(losses, labels=labels),
                    moves={"generator": {f"generator_{loss}": 1.0}},
                    **of_the_game,
                )
                phases.append(update)
        if decodes:
            decoders = Phase(
                name="decoders",
                draw=self.draw_decoders,
                losses=self.decoder_losses,
                moves={"decoders": {"decoder": float(len(classes))}},  # the sum of their losses
                when=lambda step: step >= game_over,
            )
            phases.append(decoders)
        return phases

    @torch.no_grad()
    def learn_features(self) -> None:
        """Take the features of all training samples (n, d), as the extractor is since its last update."""
        self.networks.extractor.eval()
        features = self.data.through(self.networks.features)
        self.networks.extractor.train()
        weights = self.data.sample_weight
        if self.features is None:
            self.features = features
            self.points = [
                ClassPoints.of(features[rows], None if weights is None else weights[rows]) for rows in self.members
            ]
        self.features.copy_(features)
        for rows, points in zip(self.members, self.points, strict=True):
            points.features.copy_(features[rows])

    # -- Draws --

    def draw_extractor(self) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return a real batch of inputs (B, ...), augmented, its one-hot labels (B, C) and its weights (B,)."""
        rows = parallel.share(self.extractor_batches.draw())
        x = augment_images(self.data.prepare(self.data.inputs[rows]), self.settings.augment, self.data.generator)
        return x, self.onehot[rows], self.data.weights_of(rows)

    def draw_real(self) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        """Return a real batch of features (B, d), its one-hot labels (B, C), noise (B,) on the targets and weights."""
        assert self.features is not None
        rows = parallel.share(self.batches.draw())
        return self.features[rows], self.onehot[rows], self.label_noise(len(rows)), self.data.weights_of(rows)

    def draw_fakes(self) -> tuple[tuple[Tensor, Tensor] | None, tuple[Tensor, Tensor], Tensor]:
        """Return generated batches for classifier, if any class is rare, and discriminator, and noise (B,)."""
        for_classifier = None if self.balanced else self.fakes(self.fake_probabilities)
        return for_classifier, self.fakes(self.sampled_probabilities), self.label_noise(self.settings.batch_size)

    def fakes(self, probabilities: Tensor) -> tuple[Tensor, Tensor]:
        """Return a batch of generated points (B, d) and their one-hot labels (B, C); the generator stands still."""
        generator, n = self.networks.generator, self.settings.batch_size
        n_drawn = n * parallel.n_processes()
        labels = torch.multinomial(probabilities, n_drawn, replacement=True, generator=self.data.generator)
        labels, noise = parallel.part(labels), self.draw_noise(n)
        generator.eval()
        generated = generator(noise, labels, self.points)
        generator.train()
        return generated, F.one_hot(labels, self.data.n_classes).float()

    def draw_noise(self, n: int) -> Tensor:
        """Return noise (n, k) for the generator."""
        return parallel.draws(torch.randn, n, self.networks.generator.noise_dim, generator=self.data.generator)

    def label_noise(self, n: int) -> Tensor:
        """Return how far the discriminator's targets (n,) are from 0 and 1."""
        return LABEL_NOISE * parallel.draws(torch.rand, n, generator=self.data.generator)

    def draw_decoders(self) -> list[tuple[Tensor, Tensor]]:
        """Return rows (B,) of each class and noise (B, l) for its decoder."""
        drawn = []
        for members in self.members:
            n, generator = self.settings.batch_size, self.data.generator
            places = parallel.draws(partial(_integers, len(members)), n, generator=generator)
            drawn.append((members[places], parallel.draws(torch.randn, n, VAE_LATENT, generator=generator)))
        return drawn

    # -- Losses --

    def extractor_losses(self, draws: tuple[Tensor, Tensor, Tensor | None]) -> Losses:
        """Return the loss of a real batch through the classifier as it is."""
        x, onehot, weights = draws
        features = self.extractor(images_last(centred(x)))
        with full_precision(x.device):
            logits = self.networks.classifier(features.float())
        return {"extractor": classifier_loss(logits, onehot, weights)}

    def real_losses(self, draws: tuple[Tensor, Tensor, Tensor, Tensor | None]) -> Losses:
        """Return the losses of classifier and discriminator on a real batch."""
        features, onehot, noise, weights = draws
        scores = self.networks.discriminator(features, onehot)
        return {
            "classifier": classifier_loss(self.networks.classifier(features), onehot, weights),
            "discriminator": discriminator_loss(scores, noise, real=True, weights=weights),
        }

    def fake_losses(self, draws: tuple[tuple[Tensor, Tensor] | None, tuple[Tensor, Tensor], Tensor]) -> Losses:
        """Return the losses of classifier and discriminator on generated batches, one each."""
        for_classifier, (points, onehot), noise = draws
        scores = self.networks.discriminator(points, onehot)
        losses = {"discriminator_fake": discriminator_loss(scores, noise, real=False)}
        if for_classifier is not None:
            points, onehot = for_classifier
            losses["classifier_fake"] = classifier_loss(self.networks.classifier(points), onehot)
        return losses

    def mistaking_losses(self, noise: Tensor, labels: Sequence[int]) -> Losses:
        """Return the generator's loss against the classifier, on an equal number of points of the given classes."""
        points, onehot = self._generated(noise, labels)
        return {"generator_mistaking": mistaking_loss(self.networks.classifier(points), onehot)}

    def passing_losses(self, noise: Tensor, labels: Sequence[int]) -> Losses:
        """Return the generator's loss against the discriminator, on an equal number of points of the given classes."""
        points, onehot = self._generated(noise, labels)
        return {"generator_passing": passing_loss(self.networks.discriminator(points, onehot))}

    def _generated(self, noise: Tensor, labels: Sequence[int]) -> tuple[Tensor, Tensor]:
        points = self.networks.generator.by_class(noise, labels, self.points)
        numbers = class_by_class(labels, len(noise) // len(labels), noise.device)
        return points, F.one_hot(numbers, self.data.n_classes).float()

    def decoder_losses(self, draws: list[tuple[Tensor, Tensor]]) -> Losses:
        """Return the mean of the losses of all decoders, each on samples of its class."""
        assert self.features is not None
        assert self.networks.decoders is not None
        losses = []
        for vae, (rows, noise) in zip(self.networks.decoders, draws, strict=True):
            assert isinstance(vae, FeatureVAE)
            with full_precision(noise.device):
                mean, log_deviation = vae.posterior(self.features[rows])
            reconstructed = vae.decode(mean + log_deviation.exp() * noise).float()
            x = centred(self.data.prepare(self.data.inputs[rows]))
            losses.append(vae_loss(x, reconstructed, mean, log_deviation, self.settings.decoder_kl))
        return {"decoder": torch.stack(losses).mean()}


# ---- Estimators ------------------------------------------------------------------------------------------------------


@dataclass(kw_only=True, eq=False, repr=False)
class _GAMO(BaseGenerator, BaseDeepEstimator):
    """The trained core that both faces stand on."""

    _training_only: ClassVar = ("discriminator",)

    base_selection: NoBases = "random"
    # Networks
    extractor: Network | ExtractorName = "auto"
    feature_dim: PositiveInt = 512
    channels: PositiveInt = 32
    hidden_units: PositiveInt = 256
    noise_dim: PositiveInt = 100
    # The game
    max_steps: PositiveInt = 5000
    batch_size: BatchSize = 32
    generator_updates: Literal["per_class", "joint"] = "per_class"
    augment: Augment = "none"
    learning_rate: Positive = 2e-4
    schedule: Schedule = "constant"
    # Decoders
    decoder_steps: NonNegativeInt = 1000
    decoder_learning_rate: Positive = 2e-4
    decoder_kl: Literal["consistent", "reference_code"] = "consistent"

    networks_: GAMONetworks = field(init=False)

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

    def _program(self, data: TrainingSet) -> GAMOProgram:
        return GAMOProgram(self.networks_, data, self)

    def _keep(self, data: TrainingSet, program: Program) -> None:
        assert isinstance(program, GAMOProgram)
        if program.features is None:  # where nothing was left to train
            program.learn_features()
        assert program.features is not None
        self.tensors_ = {"points": program.features.cpu(), "labels": data.labels.cpu()}
        if data.sample_weight is not None:
            self.tensors_["sample_weight"] = data.sample_weight.cpu()

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
    small_class, clip, constraints
        See `latentover.estimators.BaseGenerator`. A class of one sample generates that sample.
    base_selection
        Has to be ``"random"``: all samples of a class are parents of each new one.
    image_shape, channels_last, numbers, categorical_features, identifiers, new_identifiers, missing, device,
    precision, random_state, verbose, checkpoint, checkpoint_every, compile, capture,
    callbacks
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

    A `sample_weight` multiplies the losses of real samples in extractor, classifier and discriminator, and the convex
    weights of their points; what a decoder learns from is drawn without it.

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
        recorded, with these weights divided by their sum. A sample's own weight multiplies its convex weight, and its
        losses as a real one.

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
