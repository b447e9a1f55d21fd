"""RAE: minority oversampling with a class-preserving regularized autoencoder.

An encoder maps x to z; a linear classifier on z is the final classifier. Latents of one class are mixed convexly and
the mixture has to keep their class. A mixer network proposes the mixing weights and wants the classifier to be wrong.
A label-conditioned decoder, trained against a WGAN-GP critic, keeps the latent space from collapsing to a point per
class, and generates new samples.

Reference
---------
Mondal, Singhal, Tiwary, Singla and AP, "Minority Oversampling for Imbalanced Data via Class-Preserving Regularized
Auto-Encoders", AISTATS 2023. Equation numbers below are this paper's.

Where the authors' code departs from the paper, a parameter has the paper's way as its default:

=============================================  ======================  ===========================================
what                                           parameter               the authors' code
=============================================  ======================  ===========================================
the critic sees the label too                  conditional_critic      True
the decoder learns to be classified right      decoder_classification  True
coefficients of the gradient penalty           penalty_coefficients    "normal"
the mixer's wrong label                        wrong_label             "shuffle"
real and mixed terms of Eq. 6                  loss_reduction          "mean"
their latents come from passes of their own    encoder_passes          "separate"
what the critic calls fake                     critic_fakes            "mixtures_and_reconstructions"
adaptive augmentation                          augment                 "adaptive"
moving average of the weights                  ema                     0.99
pairs from a pool                              batches                 "pool"
activations of the mixer                       mixer_activation        "relu"
the classifier shares the encoder's optimizer  classifier_optimizer    "shared"
betas of the mixer's Adam                      mixer_betas             (0.9, 0.999)
order of the updates                           update_order            "reference_code"
momentum of batch normalisation                batch_norm_momentum     0.01
=============================================  ======================  ===========================================

What is ours: `decoder_reconstruction`, `reconstruct_every` and `adversarial_every` make short trainings possible;
`match_moments` gives generated rows of a table the spread of their class;
`sampling_power`, `loss`, `mixing`, `augment`, `optimizer` and `schedule` are what the strong controls have too.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.manifold import TSNE
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from latentover.estimators import (
    BaseClassifier,
    BaseDeepEstimator,
    BaseDeepSampler,
    BaseGenerator,
    StoppableTraining,
    Synthetic,
    TrainingSet,
    TrainingWatch,
)
from latentover.estimators.base import PREDICT_BATCH
from latentover.estimators.formats import TableFormat
from latentover.estimators.parents import ParentRows
from latentover.estimators.validation import check_latents
from latentover.losses import adjusted_logits, critic_loss, generator_loss, gradient_penalty
from latentover.metrics import linear_separability
from latentover.mixing import MAMix, MixingRule, Mixup, Remix, convex_combination, cyclic_shifts
from latentover.networks import Mixer, build_critic, build_decoder, build_encoder
from latentover.networks.layers import images_last, linear
from latentover.training import (
    ClassTuples,
    PairPool,
    Phase,
    WeightAverage,
    apply_gradients,
    augment_images,
    autocast,
    class_probabilities,
    draw_seed,
    gradient_norm,
    learning_rate_factor,
    make_optimizer,
    optimizer_step,
    parallel,
    seeded,
    set_learning_rate,
    train,
)
from latentover.training.adaptive import AdaptiveAugment
from latentover.training.augment import AUGMENTS, Augment
from latentover.training.loop import History
from latentover.training.optimizers import Optimizer, fused
from latentover.training.schedules import Schedule

DEFAULTS_IMAGES: dict[str, Any] = {
    "latent_dim": 64,
    "hidden_units": 1024,
    "reconstruction_weight": 0.01,
    "decoder_reconstruction": False,
    "adversarial_every": 1,
}
DEFAULTS_TABLES: dict[str, Any] = {
    "latent_dim": 8,
    "hidden_units": 128,
    "reconstruction_weight": 5.0,
    "decoder_reconstruction": True,
    "adversarial_every": 5,
}
"""What parameters that are None stand for: of images the paper's values, of tables what trains well within seconds."""
MATCHED = 4 * PREDICT_BATCH
"""Mixtures of each class, and rows of it at most, whose moments are compared for `match_moments`."""
MAX_COVARIANCES = 2**22
"""Tables whose covariances of all classes together have more entries than this have columns matched one by one."""
REFERENCE_CYCLE = 5
"""In the authors' code every fifth step updates encoder, classifier and mixer; the others the decoder and critic."""


# ---- Loss terms ------------------------------------------------------------------------------------------------------
# Eq. 1 is mixing.convex_combination; Eq. 4 and Eq. 5 are losses.generator_loss and losses.critic_loss.


def other_labels(labels: Tensor, shift: Tensor, n_classes: int) -> Tensor:
    """Return one of the other classes for every label (B,), given draws (B,) from 1..C-1: the j != i of Eq. 3."""
    return (labels + shift) % n_classes


def mixer_loss(mixed_logits: Tensor, wrong_labels: Tensor) -> Tensor:
    """Eq. 3: cross-entropy of mixed latents against classes they do not have.

    Parameters
    ----------
    mixed_logits : Tensor of shape (B, C)
    wrong_labels : integer Tensor of shape (B,)
    """
    return F.cross_entropy(mixed_logits, wrong_labels)


def classifier_loss(real: Tensor, mixed: Tensor, n_components: int, reduction: str = "sum") -> Tensor:
    """Eq. 6: t cross-entropies of real latents and one of their mixture, averaged over the batch.

    Parameters
    ----------
    real : scalar Tensor
        Mean cross-entropy of the t real latents of each tuple.
    mixed : scalar Tensor
        Mean cross-entropy of the t mixtures of each tuple, one for every cyclic order of its members.
    n_components : int
        The t.
    reduction : {"sum", "mean"}
        ``"sum"`` weights real and mixed latents t : 1, as the equation does; ``"mean"``, of the authors' code, is the
        mean over all latents, half of which are mixed.
    """
    return n_components * real + mixed if reduction == "sum" else (real + mixed) / 2


def encoder_loss(
    classification: Tensor, reconstruction: Tensor, classifier_weight: float = 5.0, reconstruction_weight: float = 0.01
) -> Tensor:
    """Eq. 7: the weighted sum of the classifier's loss and the mean absolute error of reconstruction."""
    return classifier_weight * classification + reconstruction_weight * reconstruction


# ---- Core ------------------------------------------------------------------------------------------------------------


class RAENetworks(nn.Module):
    """The networks: encoder E, linear classifier L, mixer M and, unless they are switched off, decoder D and critic."""

    def __init__(
        self,
        encoder: nn.Module,
        classifier: nn.Module,
        mixer: Mixer,
        decoder: nn.Module | None,
        critic: nn.Module | None,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.classifier = classifier
        self.mixer = mixer
        self.decoder = decoder
        self.critic = critic

    def logits(self, x: Tensor) -> Tensor:
        """Map inputs (B, ...) to logits (B, C)."""
        return self.classifier(self.encoder(x)).float()


def drawn_weights(alpha: str | Sequence[float], draw: Any, t: int) -> Tensor:
    """Draw convex weights (n, t) that no mixer proposes.

    Parameters
    ----------
    alpha : "uniform" or t positive numbers
        Uniform on the simplex, or the concentrations of a Dirichlet distribution, for t = 2 of Beta(a, b).
    draw : callable
        Maps a function of a shape to what it draws for this process's part of the batch.
    t : int
    """
    if alpha == "uniform":
        # Exponential draws over their sum are uniform on the simplex.
        draws = -draw(torch.rand, t).clamp(min=1e-12).log()
    else:
        concentrations = torch.tensor([float(a) for a in alpha])

        def gamma(*shape: int, generator: torch.Generator, device: torch.device) -> Tensor:
            return torch._standard_gamma(concentrations.to(device).expand(shape).contiguous(), generator=generator)

        draws = draw(gamma, t).clamp(min=1e-12)
    return draws / draws.sum(dim=1, keepdim=True)


class WeightedTuples(ClassTuples):
    """Tuples as of `ClassTuples`, with the rows of a class drawn in proportion to weights (n,)."""

    def __init__(
        self,
        labels: Tensor,
        weights: Tensor,
        n_tuples: int,
        size: int,
        generator: torch.Generator,
        *,
        power: float = 0.0,
    ) -> None:
        super().__init__(labels, n_tuples, size, generator, power=power)
        self.parents = [ParentRows(rows, weights[rows]) for rows in self.by_class.split(self.counts.tolist())]

    def __next__(self) -> Tensor:
        """Return the next batch of tuples."""
        classes = torch.multinomial(self.probabilities, self.n_tuples, replacement=True, generator=self.generator)
        numbers = torch.bincount(classes, minlength=len(self.counts)).tolist()
        drawn = [rows.draw(n, self.size, self.generator) for rows, n in zip(self.parents, numbers, strict=True) if n]
        return torch.cat(drawn)[classes.argsort().argsort()]  # class by class, and then in the order of `classes`


class RAETraining:
    """The updates of a training step, in the order of Algorithm 1 or of the authors' code."""

    def __init__(self, networks: RAENetworks, data: TrainingSet, settings: "_RAE") -> None:
        self.networks = networks
        self.data = data
        settings = settings._resolved()
        self.settings: Any = settings  # in which no number is None
        self.t = settings.n_components
        n_tuples = settings.batch_size * parallel.n_processes()
        power = settings.sampling_power
        self.batches: ClassTuples | PairPool
        if settings.batches == "pool" and data.sample_weight is not None:
            raise ValueError("Expected batches to be 'tuples' with sample_weight, but got 'pool'; it draws rows alike.")
        if settings.batches == "pool":
            self.batches = PairPool(data.labels, n_tuples, data.generator)
        elif data.sample_weight is None:
            self.batches = ClassTuples(data.labels, n_tuples, self.t, data.generator, power=power)
        else:
            self.batches = WeightedTuples(
                data.labels, data.sample_weight, n_tuples, self.t, data.generator, power=power
            )
        self.class_probabilities = class_probabilities(data.class_counts, power).float()
        self.adaptive = AdaptiveAugment() if settings.augment == "adaptive" else None
        compiled = torch.compile if settings.compile else lambda module: module
        self.encoder = compiled(networks.encoder)
        self.mixer = compiled(networks.mixer)
        self.decoder = compiled(networks.decoder) if networks.decoder is not None else None
        self.averages = {
            name: WeightAverage(network, settings.ema)
            for name, network in networks.named_children()
            if name in ("encoder", "classifier", "decoder")
        }
        self._make_optimizers()

    def _make_optimizers(self) -> None:
        networks, settings, lr = self.networks, self.settings, self.settings.learning_rate
        # A given encoder may be frozen.
        encoder = [p for p in networks.encoder.parameters() if p.requires_grad]
        classifier = list(networks.classifier.parameters())
        self.encoder_parameters = [*encoder, *classifier]
        first = self.encoder_parameters if settings.classifier_optimizer == "shared" else encoder
        self.encoder_optimizers: list[torch.optim.Optimizer] = (
            [make_optimizer(settings.optimizer, first, lr, settings.weight_decay)] if first else []
        )
        first_beta, second_beta = settings.mixer_betas
        adam: dict[str, Any] = {"lr": settings.adversarial_learning_rate or lr, **fused(networks.parameters())}
        gan: dict[str, Any] = {"betas": (0.5, 0.9), **adam}
        if settings.classifier_optimizer == "own":
            self.encoder_optimizers.append(torch.optim.Adam(classifier, **{**gan, "lr": lr}))
        self.mixer_optimizer = torch.optim.Adam(networks.mixer.parameters(), betas=(first_beta, second_beta), **adam)
        if networks.decoder is not None and networks.critic is not None:
            self.decoder_optimizer = torch.optim.Adam(networks.decoder.parameters(), **gan)
            self.decoder_joint_optimizer = torch.optim.Adam(networks.decoder.parameters(), **adam)
            self.critic_optimizer = torch.optim.Adam(networks.critic.parameters(), **gan)

    def parts(self) -> dict[str, Any]:
        """Return all that changes while training, for checkpoints."""
        optimizers = [*self.encoder_optimizers, self.mixer_optimizer]
        if self.networks.decoder is not None:
            optimizers += [self.decoder_optimizer, self.decoder_joint_optimizer, self.critic_optimizer]
        parts: dict[str, Any] = {f"optimizer_{number}": optimizer for number, optimizer in enumerate(optimizers)}
        parts |= {f"average_{name}": average for name, average in self.averages.items()}
        if self.adaptive is not None:
            parts["adaptive"] = self.adaptive
        return {"networks": self.networks, "batches": self.batches, **parts}

    def trained_networks(self) -> RAENetworks:
        """Return what is used after training: the moving averages where there are any, else the networks themselves."""
        average, networks = {name: average.module for name, average in self.averages.items()}, self.networks
        return RAENetworks(
            average["encoder"], average["classifier"], networks.mixer, average.get("decoder"), networks.critic
        )

    def phases(self) -> list[Phase]:
        """Return what a step consists of."""
        settings = self.settings
        reference = settings.update_order == "reference_code"
        cycle = REFERENCE_CYCLE if reference else 1

        def joint(step: int) -> bool:
            return step % cycle == 0 and (step > 0 or not reference)

        def reconstructs(step: int) -> bool:
            return joint(step) and (step // cycle) % settings.reconstruct_every == 0

        def adversarial(step: int) -> bool:
            return not joint(step) if reference else step % settings.adversarial_every == 0

        if self.networks.decoder is None:
            return [Phase("joint", self.update_joint, when=joint)]
        return [
            Phase("joint", lambda: self.update_joint(reconstruct=True), when=reconstructs),
            Phase("joint", self.update_joint, when=lambda step: joint(step) and not reconstructs(step)),
            Phase("decoder", self.update_decoder, when=adversarial),
            Phase("critic", self.update_critic, when=adversarial, repeat=settings.critic_steps),
        ]

    def set_learning_rate(self, progress: float) -> None:
        """Set the learning rate of the encoder and the classifier to where the schedule is at `progress`."""
        rate = self.settings.learning_rate * learning_rate_factor(self.settings.schedule, progress)
        for optimizer in self.encoder_optimizers:
            set_learning_rate(optimizer, rate)

    # -- Batches, draws and passes --

    def batch(self) -> tuple[Tensor, Tensor]:
        """Return inputs (B, t, ...) and labels (B,) of the next tuples."""
        rows = parallel.part(next(self.batches))
        x = self.data.prepare(self.data.inputs[rows.flatten()]).unflatten(0, rows.shape)
        return x, self.data.labels[rows[:, 0]]

    def onehot(self, labels: Tensor) -> Tensor:
        """Return one-hot labels (B, C)."""
        return F.one_hot(labels, self.data.n_classes).float()

    def draw(self, sample: Any, *shape: int, times: int | None = None) -> Tensor:
        """Return draws (times * B, *shape), `times` being t by default, of which all processes draw all."""
        size = (self.t if times is None else times, self.settings.batch_size * parallel.n_processes(), *shape)
        drawn = sample(*size, generator=self.data.generator, device=self.data.device)
        return parallel.part(drawn, dim=1).flatten(0, 1)

    def encode(self, x: Tensor) -> Tensor:
        """Map tuples of inputs (B, t, ...) to latents (B, t, m), in one pass."""
        return self.encoder(images_last(x.flatten(0, 1))).unflatten(0, x.shape[:2])

    def encode_members(self, x: Tensor) -> Tensor:
        """Map tuples of inputs (B, t, ...) to latents (B, t, m), each member in a pass of its own."""
        return torch.stack([self.encoder(images_last(x[:, j])) for j in range(self.t)], dim=1)

    def augment(self, x: Tensor) -> Tensor:
        """Return tuples of inputs (B, t, ...) with each image augmented on its own."""
        if self.adaptive is not None:
            return self.adapt(x.flatten(0, 1)).unflatten(0, x.shape[:2])
        return augment_images(x.flatten(0, 1), self.settings.augment, self.data.generator).unflatten(0, x.shape[:2])

    def adapt(self, x: Tensor) -> Tensor:
        """Return images (n, c, h, w) under the adaptive augmentation, if there is one; critic and decoder see it."""
        return x if self.adaptive is None or x.dim() != 4 else self.adaptive(x, self.data.generator)

    def mix(self, z: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Map latents (B, t, m) with labels (B, C) to the t mixtures of each tuple and their labels (Eq. 1).

        Returns
        -------
        (Tensor, Tensor) of shapes (t * B, m) and (t * B, C)
        """
        orders, targets = cyclic_shifts(z), targets.repeat(self.t, 1)
        if self.settings.alpha == "mixer":
            weights = self.mixer(orders, targets, self.draw(torch.randn, z.shape[2]))
        else:
            weights = drawn_weights(self.settings.alpha, self.draw, self.t)
        return convex_combination(orders, weights), targets

    def adjust(self, logits: Tensor) -> Tensor:
        """Return the logits as the classifier's loss sees them."""
        if self.settings.loss == "ce":
            return logits
        return adjusted_logits(logits, self.class_probabilities, self.settings.tau)

    def wrong_labels(self, labels: Tensor) -> Tensor:
        """Return for labels (t * B,) the classes that the mixer wants to see instead."""
        if self.settings.wrong_label == "shuffle":
            return labels[torch.randperm(len(labels), generator=self.data.generator, device=self.data.device)]
        n_classes = self.data.n_classes
        shift = self.draw(lambda *size, **where: torch.randint(1, n_classes, size, **where))
        return other_labels(labels, shift, n_classes)

    # -- Updates --

    def update_joint(self, *, reconstruct: bool = False) -> dict[str, Tensor]:
        """Update E and L on Eq. 7 (with Eq. 6), M on Eq. 3 and, where it is asked for, D; from one set of passes."""
        settings, networks = self.settings, self.networks
        x, labels = self.batch()
        seen, real_targets = self.augment(x), self.onehot(labels)
        if settings.mixing is not None:
            blend = settings.mixing(seen, labels, self.data.class_counts, self.data.generator)
            seen, real_targets = blend.inputs, blend.soft_labels(self.data.n_classes)
        with autocast(self.data.device, self.data.dtype):
            z = self.encode(seen)
            if settings.encoder_passes == "separate":
                mixed, mixed_targets = self.mix(self.encode_members(x), self.onehot(labels))
            else:  # a tuple that was blended with another shares one soft label, which its mixtures keep
                mixed, mixed_targets = self.mix(z, real_targets)
            flat, targets = z.transpose(0, 1).flatten(0, 1), real_targets.repeat(self.t, 1)
            logits, mixed_logits = networks.classifier(flat).float(), networks.classifier(mixed).float()
            if settings.class_preserving:
                fitted, fitted_mixed = logits, mixed_logits
            else:  # the classifier learns on latents that do not learn from it
                fitted = networks.classifier(flat.detach()).float()
                fitted_mixed = networks.classifier(mixed.detach()).float()
        real_loss = F.cross_entropy(self.adjust(fitted), targets)
        mixed_loss = F.cross_entropy(self.adjust(fitted_mixed), mixed_targets)
        classification = classifier_loss(real_loss, mixed_loss, self.t, settings.loss_reduction)
        losses = {"classifier": classification}
        total, decoder_total = settings.classifier_weight * classification, None
        if reconstruct:
            # The target is the image as it is, or blended as its label is, not the augmented one.
            target = x if settings.mixing is None else seen
            decoder_total, decoded = self._reconstruct(flat, targets, target.transpose(0, 1).flatten(0, 1), losses)
            total = encoder_loss(
                classification, losses["reconstruction"], settings.classifier_weight, settings.reconstruction_weight
            )
            if settings.decoder_classification:
                fakes = self._fakeness(mixed, mixed_targets, decoded, targets)
                losses["decoder_classification"] = fakes
                decoder_total = fakes if decoder_total is None else decoder_total + fakes
        against = None
        if settings.alpha == "mixer":
            against = mixer_loss(mixed_logits, self.wrong_labels(labels.repeat(self.t)))
            losses["mixer"] = against
        self._joint_step(total, against, decoder_total)
        chosen = F.one_hot(logits.argmax(dim=1), self.data.n_classes).amax(dim=0).sum()
        return {**losses, "predicted_classes": chosen}

    def _reconstruct(
        self, flat: Tensor, targets: Tensor, images: Tensor, losses: dict[str, Tensor]
    ) -> tuple[Tensor | None, Tensor]:
        """Add the reconstruction loss; return the decoder's share of it, if it has one, and what was decoded."""
        assert self.decoder is not None
        with autocast(self.data.device, self.data.dtype):
            decoded = self.decoder(flat, targets).float()
        losses["reconstruction"] = (images - decoded).abs().mean()
        learns = self.settings.decoder_reconstruction
        return (self.settings.reconstruction_weight * losses["reconstruction"] if learns else None), decoded

    def _fakeness(self, mixed: Tensor, mixed_targets: Tensor, decoded: Tensor, targets: Tensor) -> Tensor:
        """Return the cross-entropy of what the decoder made, classified by encoder and classifier."""
        assert self.decoder is not None
        with autocast(self.data.device, self.data.dtype):
            generated = self.decoder(mixed, mixed_targets).float()
            fakes = self.adapt(torch.cat([generated, decoded]))
            logits = self.networks.classifier(self.encoder(images_last(fakes))).float()
        return F.cross_entropy(logits, torch.cat([mixed_targets, targets]))

    def _joint_step(self, total: Tensor, against: Tensor | None, decoder_total: Tensor | None) -> None:
        """Give E and L the gradient of Eq. 7, M that of Eq. 3 and D that of its own losses."""
        optimizers: list[torch.optim.Optimizer] = list(self.encoder_optimizers)
        parameters: list[nn.Parameter] = []
        gradients: list[Tensor | None] = []
        # All gradients are taken before any weight moves: they belong to the same passes.
        if decoder_total is not None and self.networks.decoder is not None:
            optimizers.append(self.decoder_joint_optimizer)
            parameters += self.networks.decoder.parameters()
            gradients += torch.autograd.grad(decoder_total, parameters, retain_graph=True)
        if against is not None:
            optimizers.append(self.mixer_optimizer)
            mixer = list(self.networks.mixer.parameters())
            parameters += mixer
            gradients += torch.autograd.grad(against, mixer, retain_graph=True)
        gradients += torch.autograd.grad(total, self.encoder_parameters, allow_unused=True)
        parameters += self.encoder_parameters
        apply_gradients(optimizers, parameters, gradients)
        self.averages["encoder"].update()
        self.averages["classifier"].update()
        if decoder_total is not None:
            self.averages["decoder"].update()

    def update_decoder(self) -> dict[str, Tensor]:
        """Update D on Eq. 4."""
        networks = self.networks
        assert networks.decoder is not None
        assert networks.critic is not None
        latents, onehots, _ = self._adversarial_batch()
        with autocast(self.data.device, self.data.dtype):
            fake = self._fake(latents, onehots)
            scores = networks.critic(fake, torch.cat(onehots)).float()
        loss = generator_loss(scores)
        norm = gradient_norm(optimizer_step(self.decoder_optimizer, loss, networks.decoder.parameters()))
        self.averages["decoder"].update()
        return {"decoder": loss, "decoder_gradient": norm}

    def update_critic(self) -> dict[str, Tensor]:
        """Update the critic on Eq. 5."""
        critic, settings = self.networks.critic, self.settings
        assert critic is not None
        latents, onehots, real = self._adversarial_batch()
        onehot = torch.cat(onehots)
        with autocast(self.data.device, self.data.dtype):
            with torch.no_grad():
                fake = self._fake(latents, onehots)
            both = images_last(torch.cat([fake, real])), torch.cat([onehot, onehots[0]])
            fake_scores, real_scores = critic(*both).float().split([len(fake), len(real)])
            sample = torch.rand if settings.penalty_coefficients == "uniform" else torch.randn
            coefficients = self.draw(sample, times=len(fake) // settings.batch_size)
            penalty = gradient_penalty(
                critic, real.repeat(len(latents), *[1] * (real.dim() - 1)), fake, onehot, coefficients
            )
        loss = critic_loss(fake_scores, real_scores, penalty, settings.gradient_penalty_weight)
        norm = gradient_norm(optimizer_step(self.critic_optimizer, loss, critic.parameters()))
        if self.adaptive is not None:
            self.adaptive.update(real_scores.detach())
        return {"critic": loss, "gradient_penalty": penalty, "critic_gradient": norm}

    def _fake(self, latents: Sequence[Tensor], onehots: Sequence[Tensor]) -> Tensor:
        """Return what the decoder makes of each group of latents, a pass a group."""
        assert self.decoder is not None
        return self.adapt(torch.cat([self.decoder(z, y).float() for z, y in zip(latents, onehots, strict=True)]))

    @torch.no_grad()
    def _adversarial_batch(self) -> tuple[list[Tensor], list[Tensor], Tensor]:
        """Return, of a fresh batch, groups of latents to decode, their labels (one-hot) and real inputs (t * B, ..)."""
        x, labels = self.batch()
        onehot = self.onehot(labels)
        with autocast(self.data.device, self.data.dtype):
            z = self.encode_members(x) if self.settings.encoder_passes == "separate" else self.encode(x)
            mixed, onehots = self.mix(z, onehot)
            real = self.adapt(x.transpose(0, 1).flatten(0, 1))
            if self.settings.critic_fakes == "mixtures":
                return [mixed], [onehots], real
            return [mixed, self.encoder(images_last(real))], [onehots, onehots], real


# ---- Noise of tables -------------------------------------------------------------------------------------------------


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


# ---- Estimators ------------------------------------------------------------------------------------------------------


@dataclass(kw_only=True, eq=False, repr=False)
class _RAE(StoppableTraining, BaseGenerator, BaseDeepEstimator):
    """The trained core that both faces stand on."""

    _choices: ClassVar = {
        "augment": (*AUGMENTS, "adaptive"),
        "batches": ("tuples", "pool"),
        "class_preserving": (True, False),
        "classifier_optimizer": ("own", "shared"),
        "conditional_critic": (True, False),
        "critic_fakes": ("mixtures", "mixtures_and_reconstructions"),
        "decoder": (True, False),
        "decoder_classification": (True, False),
        "decoder_reconstruction": (None, True, False),
        "encoder_passes": ("joint", "separate"),
        "loss": ("ce", "logit_adjusted"),
        "loss_reduction": ("sum", "mean"),
        "match_moments": (True, False),
        "mixer_activation": ("leaky_relu", "relu"),
        "penalty_coefficients": ("uniform", "normal"),
        "update_order": ("algorithm", "reference_code"),
        "wrong_label": ("other", "shuffle"),
    }
    _training_only: ClassVar = ("critic",)

    # Latent space and mixing
    latent_dim: int | None = None
    n_components: int = 2
    alpha: Literal["mixer", "uniform"] | list[float] = "mixer"
    class_preserving: bool = True
    decoder: bool = True
    # Networks
    encoder: nn.Module | Literal["auto", "conv", "resnet"] = "auto"
    channels: int = 64
    decoder_channels: int | None = None
    hidden_units: int | None = None
    dropout: float = 0.4
    batch_norm_momentum: float = 0.1
    mixer_activation: Literal["leaky_relu", "relu"] = "leaky_relu"
    conditional_critic: bool = False
    # Losses
    loss: Literal["ce", "logit_adjusted"] = "ce"
    tau: float = 1.0
    classifier_weight: float = 5.0
    reconstruction_weight: float | None = None
    loss_reduction: Literal["sum", "mean"] = "sum"
    wrong_label: Literal["other", "shuffle"] = "other"
    decoder_reconstruction: bool | None = None
    decoder_classification: bool = False
    critic_fakes: Literal["mixtures", "mixtures_and_reconstructions"] = "mixtures"
    gradient_penalty_weight: float = 10.0
    penalty_coefficients: Literal["uniform", "normal"] = "uniform"
    # Batches
    batches: Literal["tuples", "pool"] = "tuples"
    sampling_power: float = 0.0
    batch_size: int = 64
    augment: Augment | Literal["adaptive"] = "none"
    mixing: MixingRule | None = None
    encoder_passes: Literal["joint", "separate"] = "joint"
    # Updates
    max_steps: int = 1000
    update_order: Literal["algorithm", "reference_code"] = "algorithm"
    critic_steps: int = 5
    adversarial_every: int | None = None
    reconstruct_every: int = 1
    optimizer: Optimizer = "adamw"
    classifier_optimizer: Literal["own", "shared"] = "own"
    mixer_betas: tuple[float, float] | list[float] = (0.5, 0.9)
    learning_rate: float = 2e-4
    adversarial_learning_rate: float | None = None
    weight_decay: float = 1e-3
    schedule: Schedule = "constant"
    ema: float = 0.0
    # Use
    match_moments: bool = True
    average_mirrored: bool = False

    networks_: RAENetworks = field(init=False)

    def _check_settings(self) -> list[str]:
        problems = []
        if not isinstance(self.alpha, str) and len(self.alpha) != self.n_components:
            problems.append(
                f"alpha to be a list of n_components = {self.n_components} concentrations, but got {self.alpha!r}"
            )
        if self.mixing is not None and type(self.mixing) not in (Mixup, Remix, MAMix):
            problems.append(f"mixing to be Mixup, Remix or MAMix, which need no neighbours, but got {self.mixing!r}")
        if self.batches == "pool" and self.n_components != 2:
            problems.append(f"n_components to be 2 with batches='pool', but got {self.n_components}")
        if not self.class_preserving and not self.decoder:
            problems.append("class_preserving or decoder to be True, but got False for both, which trains no encoder")
        if not self.decoder and isinstance(self, BaseDeepSampler):
            problems.append("decoder to be True, for an over-sampler has to generate, but got False")
        return problems

    def _resolved(self) -> Self:
        """Return an estimator of the same parameters, with those that are None as the kind of data has them."""
        defaults = DEFAULTS_TABLES if isinstance(self.format_, TableFormat) else DEFAULTS_IMAGES
        return replace(self, **{name: value for name, value in defaults.items() if getattr(self, name) is None})

    def _build_networks(self) -> RAENetworks:
        shape, n_classes, settings = self.format_.shape, len(self.classes_), self._resolved()
        m, hidden_units = settings.latent_dim, settings.hidden_units
        assert m is not None
        assert hidden_units is not None
        size: dict[str, Any] = {"channels": self.decoder_channels or self.channels, "hidden_units": hidden_units}
        networks = RAENetworks(
            encoder=build_encoder(
                shape,
                m,
                encoder=self.encoder,
                channels=self.channels,
                hidden_units=hidden_units,
                dropout=self.dropout,
            ),
            classifier=linear(m, n_classes),
            mixer=Mixer(
                m,
                n_classes,
                n_components=self.n_components,
                hidden_units=hidden_units,
                dropout=self.dropout,
                activation=self.mixer_activation,
            ),
            decoder=build_decoder(shape, m, n_classes, **size) if self.decoder else None,
            critic=build_critic(shape, n_classes, conditional=self.conditional_critic, **size)
            if self.decoder
            else None,
        )
        for module in networks.modules():
            if isinstance(module, _BatchNorm):
                module.momentum = self.batch_norm_momentum
        return networks

    def _fit_networks(self, data: TrainingSet) -> History:
        training = RAETraining(self.networks_, data, self)
        trained = training.trained_networks()
        watch = TrainingWatch(
            trained, lambda x: trained.logits(images_last(x)), data.validation_batches, self.n_iter_no_change
        )
        history = train(
            training.phases(),
            self.max_steps,
            report_every=max(1, min(100, self.max_steps // 50)),
            on_step=training.set_learning_rate,
            on_report=watch,
            parts={**training.parts(), **watch.parts(), "randomness": data.randomness},
            checkpoint=data.checkpoint,
            verbose=self.verbose,
            description=type(self).__name__,
        )
        watch.stopping.restore()
        self.networks_ = trained.eval()
        with torch.inference_mode():
            batches = data.inputs.split(PREDICT_BATCH)
            latents = torch.cat([self.networks_.encoder(images_last(data.prepare(batch))) for batch in batches])
        # Sampling needs the latents of the training data, by class, and nothing else of it.
        self.tensors_ = {"latents": latents.cpu(), "labels": data.labels.cpu()} if self.decoder else {}
        return history

    def _can_generate(self) -> bool:
        return self.decoder

    def _rows_needed(self) -> int:
        return max(2, self.n_components)

    def _logits(self, batch: Tensor) -> Tensor:
        logits = self.networks_.logits(images_last(batch))
        if self.average_mirrored and batch.dim() == 4:
            return (logits + self.networks_.logits(images_last(batch.flip(-1)))) / 2
        return logits

    def _proposed_weights(self, latents: Tensor, onehot: Tensor, generator: torch.Generator) -> Tensor:
        """Return convex weights (n, t) for latents (n, t, m) of one class a row."""

        def draw(sample: Any, *shape: int) -> Tensor:
            return sample(len(latents), *shape, generator=generator, device=latents.device)

        if self.alpha == "mixer":
            return self.networks_.mixer(latents, onehot, draw(torch.randn, latents.shape[2]))
        return drawn_weights(self.alpha, draw, self.n_components)

    def _generate(self, label: int, n: int, generator: torch.Generator) -> Synthetic:
        """Mix latents of class `label` with the mixer's weights and decode them."""
        assert self.networks_.decoder is not None
        onehot = F.one_hot(torch.full((n,), label, device=self.device_), len(self.classes_)).float()
        rows = self._draw_parents(label, n, self.n_components, generator).cpu()
        z = self.tensors_["latents"][rows].to(self.device_)  # (n, t, m)
        alpha = self._proposed_weights(z, onehot, generator)
        outputs = self.networks_.decoder(convex_combination(z, alpha), onehot)
        if "noise_factors" in self.tensors_:
            mean, factor = (self.tensors_[name][label].to(self.device_) for name in ("noise_means", "noise_factors"))
            draws = torch.randn(outputs.shape, generator=generator, device=self.device_)
            outputs = outputs + mean + (draws @ factor if factor.dim() == 2 else draws * factor)
        return Synthetic(outputs, rows.numpy(), alpha.cpu().numpy())

    def _after_training(self, data: TrainingSet) -> None:
        if self.decoder and self.match_moments and isinstance(self.format_, TableFormat):
            self.tensors_ |= self._noise(data)
        super()._after_training(data)

    def _noise(self, data: TrainingSet) -> dict[str, Tensor]:
        """Return means (C, d) and factors (C, d, d), or (C, d), of the normal noise that decoded mixtures lack."""
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

    def encode(self, X: Any) -> np.ndarray:
        """Return the latents (n, m) of X."""
        check_is_fitted(self)
        X = self._check_input(X, reset=False)
        with torch.inference_mode():
            return torch.cat([self.networks_.encoder(images_last(x)) for x in self._batches(X)]).cpu().numpy()

    def decode(self, Z: np.ndarray, y: Any) -> Any:
        """Return what the decoder makes of latents Z (n, m) with labels y (n,), in the type and layout of the data."""
        check_is_fitted(self)
        labels = torch.from_numpy(self._class_numbers(y))
        Z = check_latents(Z, self.networks_.mixer.latent_dim, len(labels))
        return self._decode(Z, F.one_hot(labels, len(self.classes_)))

    def _decode(self, Z: np.ndarray, onehot: Tensor) -> Any:
        if self.networks_.decoder is None:
            raise ValueError("Expected a model with a decoder, but it was trained with decoder=False; train with it.")
        z = torch.as_tensor(np.asarray(Z), dtype=torch.float32, device=self.device_)
        with torch.inference_mode():
            pairs = zip(z.split(PREDICT_BATCH), onehot.float().to(self.device_).split(PREDICT_BATCH), strict=True)
            return self.format_.decode(torch.cat([self.networks_.decoder(*pair) for pair in pairs]))

    def reconstruct(self, X: Any, y: Any = None) -> Any:
        """Return what the decoder makes of the latents of X, with labels y (n,) or those that are predicted."""
        Z = self.encode(X)
        return self.decode(Z, self._predicted(Z) if y is None else y)

    def _predicted(self, Z: np.ndarray) -> np.ndarray:
        """Return the labels (n,) that the classifier gives to latents (n, m)."""
        with torch.inference_mode():
            logits = self.networks_.classifier(torch.from_numpy(Z).to(self.device_))
        return self.classes_[logits.argmax(dim=1).cpu().numpy()]

    def interpolate(self, x1: Any, x2: Any, n: int, *, y: Any = None) -> Any:
        """Return n samples on the way from one sample to another, straight through the latent space.

        Parameters
        ----------
        x1, x2 : array or frame with one sample each, of shape (1, ...)
        n : int
            At least 2; the first is the reconstruction of `x1`, the last that of `x2`.
        y : two labels, optional
            Of `x1` and `x2`; by default those that are predicted. Where they differ, the decoder's label goes from one
            to the other as the latent does.

        Returns
        -------
        array of shape (n, ...) or frame
        """
        if not isinstance(n, int | np.integer) or n < 2:
            raise ValueError(f"Expected n to be a whole number of at least 2, but got {n!r}.")
        ends = [self.encode(x) for x in (x1, x2)]
        if any(len(end) != 1 for end in ends):
            raise ValueError(f"Expected x1 and x2 to hold one sample each, but got {len(ends[0])} and {len(ends[1])}.")
        Z = np.concatenate(ends)
        labels = torch.from_numpy(self._class_numbers(self._predicted(Z) if y is None else y))
        way = torch.linspace(0, 1, int(n), dtype=torch.float32)
        weights = torch.stack([1 - way, way], dim=1)
        onehot = weights @ F.one_hot(labels, len(self.classes_)).float()
        return self._decode(weights.numpy() @ Z, onehot)

    def mixing_weights(self, *members: Any, y: Any = None, random_state: int | None = None) -> np.ndarray:
        """Return the convex weights (n, t) with which tuples of samples are mixed: what the mixer has learned.

        Parameters
        ----------
        *members : t arrays or frames of n samples each
            Row i of each makes tuple i.
        y : array-like of shape (n,), optional
            The class of each tuple; by default the one that is predicted for its first member.
        random_state : int, RandomState or None
            Of the mixer's noise.
        """
        if len(members) != self.n_components:
            raise ValueError(f"Expected n_components = {self.n_components} members, but got {len(members)}.")
        latents = [self.encode(member) for member in members]
        if len({len(Z) for Z in latents}) > 1:
            raise ValueError(f"Expected members of one length, but got {[len(Z) for Z in latents]}.")
        numbers = torch.from_numpy(self._class_numbers(self._predicted(latents[0]) if y is None else y))
        z = torch.from_numpy(np.stack(latents, axis=1)).to(self.device_)
        onehot = F.one_hot(numbers, len(self.classes_)).float().to(self.device_)
        with seeded(draw_seed(random_state), self.device_) as generator, torch.inference_mode():
            return self._proposed_weights(z, onehot, generator).cpu().numpy()

    def tsne(self, X: Any, *, perplexity: float = 30.0, random_state: int | None = None) -> np.ndarray:
        """Return where t-SNE places the latents of X in the plane (n, 2); by scikit-learn."""
        Z = self.encode(X)
        perplexity = min(perplexity, (len(Z) - 1) / 3)
        return TSNE(perplexity=perplexity, random_state=random_state).fit_transform(Z)

    def latent_separability(self, X: Any, y: Any) -> dict[Any, float]:
        """Return for each class how well a hyperplane parts its latents from all others.

        See `latentover.metrics.linear_separability`: 1 is perfect, 0.5 chance. It is what convex mixing within a class
        needs to keep the class (Proposition 1 of the paper).
        """
        return linear_separability(self.encode(X), y)


@dataclass(kw_only=True, eq=False, repr=False)
class RAEClassifier(_RAE, BaseClassifier):
    """Classifier and generator: a class-preserving regularized autoencoder.

    Defaults are the paper's where it states them, but for those of tables that are named below. A step is one update of
    encoder, classifier and mixer, then one of the decoder and `critic_steps` of the critic.

    Parameters
    ----------
    latent_dim : int, default: 64 for images and 8 for tables
        Length m of the latent vectors. The paper uses 64 for 28x28 grey images, 128 for SVHN, 256 for CIFAR-10.
    n_components : int, default=2
        How many latents t of one class are mixed; 1 mixes nothing, which with ``sampling_power=1`` switches
        oversampling off (row 2 of the paper's Table 4).
    alpha : {"mixer", "uniform"} or t positive numbers, default="mixer"
        Where the mixing weights come from, in training and in sampling: the mixer network, the uniform distribution
        over all convex weights (row 4 of Table 4), or a Dirichlet distribution with these concentrations, for two
        latents Beta(a, b). The mixer looks for mixtures that are hard to classify and often ends at one of the parents;
        drawn weights give samples of more variety.
    class_preserving : bool, default=True
        False keeps the classifier's loss from shaping the latent space (row 1 of Table 4): the linear classifier then
        learns, on real and mixed latents, from an autoencoder that does not learn from it.
    decoder : bool, default=True
        False trains encoder, classifier and mixer alone (row 3 of Table 4); such a model cannot generate.
    encoder : {"auto", "conv", "resnet"} or nn.Module, default="auto"
        ``"conv"`` is the paper's network for images and ``"resnet"`` a small residual one
        (`latentover.networks.SmallResNet`); ``"auto"`` is ``"conv"``, and for tables the paper's dense layers. A module
        has to map inputs (B, c, h, w) in [0, 1], or standardised rows (B, d), to latents (B, latent_dim); a copy of it
        is trained.
    channels : int, default=64
        Channels of the encoder's first convolution.
    decoder_channels : int, default: as `channels`
        Channels of the decoder's last and the critic's first convolution, where most of the time goes.
    hidden_units : int, default: 1024 for images and 128 for tables
        Width of the dense layers; 512 for tables in the paper.
    dropout : float in [0, 1), default=0.4
        Of encoder and mixer.
    batch_norm_momentum : float in (0, 1], default=0.1
        The share of a batch in the running statistics. The authors' code has 0.01, which follows too slowly for
        trainings of some hundred steps.
    mixer_activation : {"leaky_relu", "relu"}, default="leaky_relu"
        The second in the authors' code.
    conditional_critic : bool, default=False
        Whether the critic sees the label too, as in the authors' code.
    loss : {"ce", "logit_adjusted"}, default="ce"
        Of the classifier, Eq. 6; ``"logit_adjusted"`` adds ``tau`` times the log of the probabilities with which
        classes are drawn to the logits in training (Menon et al., ICLR 2021). The paper has ``"ce"``.
    tau : float, default=1.0
        Strength of the logit adjustment.
    classifier_weight : float, default=5.0
        Lambda of the classifier's loss in Eq. 7.
    reconstruction_weight : float, default: 0.01 for images and 5 for tables
        Lambda of the reconstruction in Eq. 7; 0.01 in the paper.
    loss_reduction : {"sum", "mean"}, default="sum"
        Whether the t real latents and the mixture of a tuple count t : 1, as in Eq. 6, or real and mixed latents alike
        and as a mean, as in the authors' code.
    wrong_label : {"other", "shuffle"}, default="other"
        What the mixer wants its mixtures to be taken for (Eq. 3): another class, or, as in the authors' code, the label
        of a random sample of the batch, which now and then is its own.
    decoder_reconstruction : bool, default: False for images and True for tables
        Whether the reconstruction loss trains the decoder too; the paper trains it by the critic alone. With it the
        samples of a short training are pictures rather than noise.
    decoder_classification : bool, default=False
        Whether the decoder also learns that encoder and classifier give its images the right class, as in the authors'
        code.
    critic_fakes : {"mixtures", "mixtures_and_reconstructions"}, default="mixtures"
        What the critic has to tell from real images; the second in the authors' code.
    gradient_penalty_weight : float, default=10.0
        Lambda of Eq. 5.
    penalty_coefficients : {"uniform", "normal"}, default="uniform"
        Where between a real and a fake image the gradient penalty looks: on the segment, or, as in the authors' code,
        at normal coefficients, which lie outside of it two times in three.
    batches : {"tuples", "pool"}, default="tuples"
        Tuples of one class drawn afresh, or the pool of pairs of the authors' code
        (`latentover.training.PairPool`), which does not use `sampling_power`.
    sampling_power : float in [0, 1], default=0.0
        Classes are drawn with probabilities proportional to their sizes to this power: 0 draws all equally often, 1 as
        they occur. Above 0 more of the large classes' variety is seen, and ``loss="logit_adjusted"`` should make up for
        the imbalance that is left.
    batch_size : int, default=64
        Tuples a step, at least 2: a step sees ``n_components * batch_size`` samples. With several processes, of each.
    augment : {"none", "shift", "flip_shift", "shift_cutout", "flip_shift_cutout", "pad_crop_flip", "adaptive"}
        Of the images that encoder and classifier train on, see `latentover.training.augment_images`; the decoder's
        and the critic's targets stay as they are. ``"adaptive"``, of the authors' code, augments what the critic sees
        too, with a probability that follows its scores (`latentover.training.AdaptiveAugment`). Default: "none".
    mixing : Mixup, Remix, MAMix or None, default=None
        Blends each tuple with another one, images and labels, before it is encoded; the mixtures of its latents keep
        the blended label. A training extra that the controls have too.
    encoder_passes : {"joint", "separate"}, default="joint"
        Whether real and mixed latents come from one pass over the augmented images, or, as in the authors' code, the
        mixed ones from passes of their own over the images as they are, one for each place in the tuple.
    max_steps : int, default=1000
        Training steps.
    update_order : {"algorithm", "reference_code"}, default="algorithm"
        Algorithm 1 updates everything in every step. In the authors' code every fifth step updates encoder, classifier,
        mixer (and decoder), the four between it the decoder once and the critic `critic_steps` times.
    critic_steps : int, default=5
        Updates of the critic for each of the decoder.
    adversarial_every : int, default: 1 for images and 5 for tables
        In every how many steps of Algorithm 1 decoder and critic are updated; 1 in the paper.
    reconstruct_every : int, default=1
        In every how many updates of the encoder the reconstruction, and what else trains the decoder there, is
        computed; its weight is small and its cost is not.
    optimizer : {"adamw", "sgd"}, default="adamw"
        Of the encoder; ``"sgd"`` has Nesterov momentum 0.9.
    classifier_optimizer : {"own", "shared"}, default="own"
        Adam with the betas of all but the encoder, or the encoder's optimizer with its weight decay, as in the authors'
        code.
    mixer_betas : (float, float), default=(0.5, 0.9)
        Of the mixer's Adam; (0.9, 0.999) in the authors' code. Decoder and critic have (0.5, 0.9).
    learning_rate : float, default=2e-4
        Of encoder and classifier.
    adversarial_learning_rate : float, default: as `learning_rate`
        Of mixer, decoder and critic, which Adam trains.
    weight_decay : float, default=1e-3
        The fraction by which the weights of the encoder's optimizer shrink in a step at the full learning rate; see
        `latentover.training.make_optimizer`.
    schedule : {"constant", "cosine", "one_cycle"}, default="constant"
        Of the learning rate of encoder and classifier.
    ema : float in [0, 1), default=0.0
        Decay of a moving average of the weights of encoder, classifier and decoder, which is then used in their place;
        0.99 in the authors' code.
    match_moments : bool, default=True
        Of tables: whether normal noise is added to what the decoder makes of mixtures, with the mean and the covariance
        that the samples of the class have beyond those of 4096 mixtures of it (drawn to the pooled ones where the class
        is small, `shrunk`; of very wide tables the variances alone). A decoder returns conditional means: columns that
        the latents do not hold would come out almost constant, and a classifier would learn to tell made rows from real
        ones by them. Neither `decode` nor images have noise, nor does the paper: False is its way.
    average_mirrored : bool, default=False
        Whether predictions are averaged over an image and its mirror image.
    small_class, base_selection, clip
        See `latentover.estimators.BaseGenerator`; a class needs `n_components` samples, at least 2. The latents of a
        smaller one are mixed with themselves.
    early_stopping, validation_fraction, n_iter_no_change
        See `latentover.estimators.StoppableTraining`.
    image_shape, channels_last, categorical_features, missing, device, precision, random_state, verbose, checkpoint,
    checkpoint_every, compile
        See `latentover.estimators.BaseDeepEstimator`.

    Attributes
    ----------
    classes_, class_counts_, networks_, history_, device_, diversity_
        See `latentover.estimators.BaseDeepEstimator` and `latentover.estimators.BaseGenerator`.

    References
    ----------
    Mondal et al., "Minority Oversampling for Imbalanced Data via Class-Preserving Regularized Auto-Encoders",
    AISTATS 2023.

    Examples
    --------
    >>> from sklearn.datasets import make_classification
    >>> X, y = make_classification(200, weights=[0.9], random_state=0)
    >>> classifier = RAEClassifier(max_steps=20, hidden_units=32, random_state=0).fit(X, y)
    >>> classifier.predict(X).shape, classifier.sample(5, y=1).shape
    ((200,), (5, 20))
    """


@dataclass(kw_only=True, eq=False, repr=False)
class RAESampler(_RAE, BaseDeepSampler):
    """Over-sampler: new samples of the rare classes from a class-preserving regularized autoencoder.

    Parameters
    ----------
    sampling_strategy : str, float, dict or callable, default="auto"
        As in imbalanced-learn: which classes are brought to how many samples. ``"auto"`` brings every class to the
        size of the largest; a dict gives final totals.
    keep_index : {"reset", "original"}, default="reset"
        See `latentover.estimators.BaseSampler`.
    latent_dim, n_components, encoder, ...
        See `RAEClassifier`.

    Notes
    -----
    With a `sample_weight` the rows of a class are drawn in proportion to it in training too, and the moments that
    `match_moments` looks at are weighted; how often a class is drawn, and how columns are scaled, does not change.

    Attributes
    ----------
    sampling_strategy_, synthetic_mask_, sample_origin_, parents_, mix_weights_, sample_weight_
        See `latentover.estimators.BaseSampler`.

    Examples
    --------
    >>> from collections import Counter
    >>> from sklearn.datasets import make_classification
    >>> X, y = make_classification(200, weights=[0.9], flip_y=0, random_state=0)
    >>> sampler = RAESampler(max_steps=20, hidden_units=32, random_state=0)
    >>> X_resampled, y_resampled = sampler.fit_resample(X, y)
    >>> sorted(Counter(y_resampled.tolist()).items())
    [(0, 181), (1, 181)]
    """
