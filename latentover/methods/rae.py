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

The decoder of the paper, and ours of images, returns a row for each latent and learns from the critic. Of tables that
is a conditional mean, to which no critic adds what is missing within seconds. So the default of tables is
``decoder="autoregressive"`` (`latentover.networks.AutoregressiveDecoder`): D says how likely rows are, given a mixture
of latents, and learns from all members of the tuple alike,

    L_D = - 1/t sum_i log D(x_i | sum_j alpha_j E(x_j), y).

Its rows are drawn. Latents are mixed in training as they are in sampling, so that rows of a well-trained decoder are
distributed as those of the class, whatever the encoder keeps and however the mixer mixes: a member of a tuple, taken at
random, is one of the class. There is no critic then.

What is ours besides: `decoder_reconstruction`, `reconstruct_every` and `adversarial_every` make short trainings
possible; `match_moments` gives generated rows of a table the spread of their class;
`sampling_power`, `loss`, `mixing`, `augment`, `optimizer` and `schedule` are what the strong controls have too.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from latentover.data.diagnosis import ENOUGH_IMAGES, FEW_IMAGES
from latentover.estimators import (
    BaseClassifier,
    BaseDeepSampler,
    BaseGenerator,
    LatentSpace,
    MatchedMoments,
    PretrainedEncoder,
    StoppableTraining,
    Synthetic,
    TrainingSet,
)
from latentover.estimators.base import PREDICT_BATCH
from latentover.estimators.formats import Format
from latentover.estimators.parameters import (
    BatchSize,
    Expected,
    Fraction,
    Interval,
    Mixing,
    NetworkOrName,
    NonNegative,
    NonNegativeInt,
    Positive,
    PositiveInt,
    ProperFraction,
)
from latentover.estimators.parents import WeightedTuples
from latentover.estimators.validation import check_latents
from latentover.losses import adjusted_logits, critic_loss, generator_loss, gradient_penalty
from latentover.mixing import CMO, DrawnPartners, Mixed, MixingRule, convex_combination, cyclic_shifts, drawn_weights
from latentover.networks import AutoregressiveDecoder, Mixer, build_critic, build_decoder
from latentover.networks.autoencoder import LeadingClassifier, StyledEncoder, build_encoder
from latentover.networks.backbones import build_latent_encoder
from latentover.networks.conv import Upsampling
from latentover.networks.layers import evaluating, images_last, learning, linear
from latentover.tables import TableFormat
from latentover.tables.format import Numbers
from latentover.training import (
    ClassTuples,
    Losses,
    Objective,
    PairPool,
    Phase,
    Program,
    adam,
    augment_images,
    class_probabilities,
    draw_seed,
    make_optimizer,
    parallel,
    rate_over,
    seeded,
)
from latentover.training.adaptive import DRAWS_PER_IMAGE, AdaptiveAugment, positive_share
from latentover.training.augment import Augment
from latentover.training.optimizers import Optimizer
from latentover.training.schedules import Schedule

PAPER: dict[str, Any] = {
    "latent_dim": 64,
    "style_dim": 0,
    "alpha": "mixer",
    "borrow": 0.0,
    "channels": 64,
    "hidden_units": 1024,
    "dropout": 0.4,
    "conditional_critic": False,
    "loss": "ce",
    "classifier_weight": 5.0,
    "reconstruction_weight": 0.01,
    "loss_reduction": "sum",
    "decoder_reconstruction": False,
    "sampling_power": 0.0,
    "augment": "none",
    "mixing": None,
    "adversarial_every": 1,
    "optimizer": "adamw",
    "classifier_optimizer": "own",
    "learning_rate": 2e-4,
    "weight_decay": 1e-3,
    "schedule": "constant",
    "ema": 0.0,
    "early_stopping": False,
}
"""What parameters left open stand for where an encoder of images is named: the paper's values, but for upsampling."""
DEFAULTS_FEW_IMAGES: dict[str, Any] = {
    **PAPER,
    "reconstruction_weight": 50.0,
    "decoder_reconstruction": True,
    "adversarial_every": 5,
    "adversarial_learning_rate": 1e-3,
}
"""Of up to `FEW_IMAGES` images: a critic alone teaches a decoder noise there, and the latents have to keep pictures."""
DEFAULTS_IMAGES: dict[str, Any] = {
    **PAPER,
    "encoder": "resnet",
    "style_dim": 64,
    "alpha": "uniform",
    "borrow": 0.3,
    "channels": 16,
    "decoder_channels": 32,
    "hidden_units": 256,
    "dropout": 0.2,
    "conditional_critic": True,
    "loss": "logit_adjusted",
    "classifier_weight": 1.0,
    "reconstruction_weight": 0.0,  # the features are the classifier's, and the style keeps how images look
    "loss_reduction": "mean",
    "decoder_reconstruction": True,
    "sampling_power": 0.5,
    "mixing": CMO(weighting="balanced", probability=0.5),
    "adversarial_every": 8,
    "adversarial_learning_rate": 4e-4,
}
SGD: dict[str, Any] = {
    "optimizer": "sgd",
    "classifier_optimizer": "shared",
    "learning_rate": 0.4,
    "weight_decay": 2e-4,
    "schedule": "one_cycle",
}
"""Of more images, whose encoder is not named: the best classifier and generator in one that was found. The optimizer's
settings go together: with another one those of the paper are taken."""
AVERAGED_SHARE = 0.06
"""Of the steps, over which weights are averaged there."""
DECODER_RATE = 3e-3
DECODER_DECAY = 3e-5
"""Of an autoregressive decoder: the highest learning rate, and the fraction by which weights shrink in a step then."""
DECODER_DROPOUT = 0.3
DECODER_POWER = 0.75
"""It sees classes in proportion to their sizes to this power: how columns hang together is alike in all of them."""
DECODER_BATCH = 128
DECODER_SMALLEST_BATCH = 16
ROWS_PER_DECODER_BATCH = 64
"""Tuples in a batch of it, the smallest one, and the rows that there are for each: few rows are not seen more often."""
DEFAULTS_TABLES: dict[str, Any] = {
    **PAPER,
    "latent_dim": 8,
    "hidden_units": 128,
    "reconstruction_weight": 5.0,
    "decoder_reconstruction": True,
    "adversarial_every": 5,
}
"""Of tables: what trains well within seconds."""
GAN_BETAS = (0.5, 0.9)
"""Of Adam, for all but the encoder."""
REFERENCE_CYCLE = 5
"""In the authors' code every fifth step updates encoder, classifier and mixer; the others the decoder and critic."""


# ---- Loss terms ------------------------------------------------------------------------------------------------------
# Eq. 1 is mixing.convex_combination; Eq. 4 and Eq. 5 are losses.generator_loss and losses.critic_loss.


def other_labels(labels: Tensor, shift: Tensor, n_classes: int) -> Tensor:
    """Return one of the other classes for every label (B,), given draws (B,) from 1..C-1: the j != i of Eq. 3."""
    return (labels + shift) % n_classes


def differences(z: Tensor) -> Tensor:
    """Return how two members of each tuple of latents (B, t, m) differ, with the spread of one: (B, m)."""
    return (z[:, 0] - z[:, 1]) / 2**0.5


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


def encoder_objective(classifier_weight: float = 5.0, reconstruction_weight: float = 0.01) -> Objective:
    """Eq. 7: the weighted sum of the classifier's loss and the mean absolute error of reconstruction."""
    return {"classifier": classifier_weight, "reconstruction": reconstruction_weight}


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
        return self.classifier(self.features(images_last(x))).float()

    @property
    def features(self) -> nn.Module:
        """The part of the encoder that the classifier sees: all of it, unless there is a style beside it."""
        return self.encoder.features if isinstance(self.encoder, StyledEncoder) else self.encoder

    @property
    def style(self) -> nn.Module | None:
        """The part of the encoder that keeps how a sample looks, if there is one."""
        return self.encoder.style if isinstance(self.encoder, StyledEncoder) else None


@dataclass(frozen=True)
class Draws:
    """What an update draws; what it does not need is None.

    Attributes
    ----------
    x : Tensor of shape (B, t, ...)
        Tuples of inputs of one class each.
    labels : integer Tensor of shape (B,)
    mixing : Tensor of shape (t * B, m) or (t * B, t)
        The mixer's noise, or the mixing weights that are drawn in its place.
    seen : Tensor of shape (B, t, ...)
        The inputs as encoder and classifier learn them: augmented, and blended with those of other tuples.
    targets : Tensor of shape (B, C)
        Labels of `seen`, one-hot or blended.
    wrong : integer Tensor of shape (t * B,)
        The classes that the mixer wants its mixtures to be taken for.
    real_augmentation, fake_augmentation : Tensor of shape (n, 12)
        For real inputs and for those that the decoder makes, under the adaptive augmentation.
    coefficients : Tensor of shape (n,)
        Where between a real and a generated input the gradient penalty looks.
    """

    x: Tensor
    labels: Tensor
    mixing: Tensor
    seen: Tensor | None = None
    targets: Tensor | None = None
    wrong: Tensor | None = None
    real_augmentation: Tensor | None = None
    fake_augmentation: Tensor | None = None
    coefficients: Tensor | None = None


class RAEProgram(Program):
    """The updates of a training step, in the order of Algorithm 1 or of the authors' code.

    Parameters
    ----------
    networks : RAENetworks
    data : TrainingSet
    estimator : RAEClassifier or RAESampler
    """

    networks: RAENetworks

    def __init__(self, networks: RAENetworks, data: TrainingSet, estimator: "_RAE") -> None:
        settings: Any = estimator._resolved()  # in which no number is None
        self.data, self.settings, self.settled = data, settings, False
        self.t = settings.n_components
        self.autoregressive = settings.decoder == "autoregressive"
        self.decoder_batches = self._decoder_batches() if self.autoregressive else None
        self.groups = 1 if settings.critic_fakes == "mixtures" else 2  # of latents that the critic sees decoded
        self.batches = self._batches()
        rule = settings.mixing
        self.same_class = ClassTuples(data.labels, 1, 1, data.generator)
        self.neighbors: Tensor | None = None
        if isinstance(rule, DrawnPartners):
            self.neighbors = rule.search(data.inputs, data.labels, lambda: data.through(evaluating(networks.encoder)))
        self.class_probabilities = class_probabilities(data.class_counts, settings.sampling_power).float()
        self.adaptive = AdaptiveAugment().to(data.device) if settings.augment == "adaptive" else None
        optimizers, rate = self._optimizers(networks), rate_over(settings.schedule, settings.max_steps)
        rates: dict[str, Callable[[int], float]] = {}
        rates |= {name: rate for name in ("encoder", "classifier") if name in optimizers}
        if self.autoregressive:
            rates["decoder"] = rate_over("one_cycle", settings.max_steps)
        super().__init__(
            networks=networks,
            optimizers=optimizers,
            phases=self._phases([name for name in ("encoder", "classifier") if name in optimizers]),
            n_steps=settings.max_steps,
            rates=rates,
            ema=settings.ema,
            settles=("encoder", "classifier") if settings.decoder == "adversarial" else (),
            averaged=("encoder", "classifier", *(["decoder"] if settings.decoder else [])),
            state={} if self.adaptive is None else {"adaptive": self.adaptive},
            compile=settings.compile,
        )
        self.encoder, self.mixer = self.compiled(networks.encoder), self.compiled(networks.mixer)
        self.decoder = None if networks.decoder is None else self.compiled(networks.decoder)

    def _batches(self) -> ClassTuples | PairPool:
        settings, data = self.settings, self.data
        n_tuples = settings.batch_size * parallel.n_processes()
        if settings.batches == "pool":
            if data.sample_weight is not None:
                raise ValueError(
                    "Expected batches to be 'tuples' with sample_weight, but got 'pool'; it draws rows alike."
                )
            return PairPool(data.labels, n_tuples, data.generator)
        if data.sample_weight is None:
            return ClassTuples(data.labels, n_tuples, self.t, data.generator, power=settings.sampling_power)
        return WeightedTuples(
            data.labels, data.sample_weight, n_tuples, self.t, data.generator, power=settings.sampling_power
        )

    def _decoder_batches(self) -> ClassTuples:
        """Return the tuples that an autoregressive decoder learns from: more of them than the classifier's."""
        data, n = self.data, len(self.data.labels)
        size = min(DECODER_BATCH, max(DECODER_SMALLEST_BATCH, n // ROWS_PER_DECODER_BATCH)) * parallel.n_processes()
        if data.sample_weight is None:
            return ClassTuples(data.labels, size, self.t, data.generator, power=DECODER_POWER)
        return WeightedTuples(data.labels, data.sample_weight, size, self.t, data.generator, power=DECODER_POWER)

    def _optimizers(self, networks: RAENetworks) -> dict[str, torch.optim.Optimizer]:
        settings, lr = self.settings, self.settings.learning_rate
        encoder, classifier = learning(networks.features), list(networks.classifier.parameters())
        own = settings.classifier_optimizer == "own"
        first = encoder if own else [*encoder, *classifier]
        optimizers: dict[str, torch.optim.Optimizer] = {}
        if first:
            optimizers["encoder"] = make_optimizer(settings.optimizer, first, lr, settings.weight_decay)
        if own:
            optimizers["classifier"] = adam(classifier, lr, GAN_BETAS)
        other_lr = settings.adversarial_learning_rate or lr
        optimizers["mixer"] = adam(
            networks.mixer.parameters(), other_lr, (settings.mixer_betas[0], settings.mixer_betas[1])
        )
        if networks.style is not None:
            optimizers["style"] = adam(networks.style.parameters(), other_lr)
        if self.autoregressive and networks.decoder is not None:
            decoder_lr = settings.adversarial_learning_rate or DECODER_RATE
            optimizers["decoder"] = make_optimizer("adamw", networks.decoder.parameters(), decoder_lr, DECODER_DECAY)
        elif networks.decoder is not None and networks.critic is not None:
            optimizers["decoder"] = adam(networks.decoder.parameters(), other_lr, GAN_BETAS)
            optimizers["decoder_joint"] = adam(networks.decoder.parameters(), other_lr)
            optimizers["critic"] = adam(networks.critic.parameters(), other_lr, GAN_BETAS)
        return optimizers

    def _phases(self, learners: Sequence[str]) -> list[Phase]:
        """Return what a step consists of; `learners` are the optimizers of E and L."""
        settings = self.settings
        reference = settings.update_order == "reference_code"
        cycle = REFERENCE_CYCLE if reference else 1

        def together(step: int) -> bool:
            return step % cycle == 0 and (step > 0 or not reference)

        def joint(step: int) -> bool:
            return together(step) and not self.settled

        def reconstructs(step: int) -> bool:
            return (
                bool(settings.decoder)
                and not self.autoregressive
                and together(step)
                and (step // cycle) % settings.reconstruct_every == 0
            )

        def adversarial(step: int) -> bool:
            return not together(step) if reference else step % settings.adversarial_every == 0

        equation_6 = {"classifier": settings.classifier_weight}
        equation_7 = encoder_objective(settings.classifier_weight, settings.reconstruction_weight)
        mixer = {"mixer": {"mixer": 1.0}} if settings.alpha == "mixer" else {}
        weight = 1.0 if settings.style_dim else settings.reconstruction_weight  # the features' own says nothing of D
        decoder = {"reconstruction": weight} if settings.decoder_reconstruction else {}
        decoder |= {"decoder_classification": 1.0} if settings.decoder_classification else {}
        phases = [
            Phase(
                name="joint",
                draw=self.draw_joint,
                losses=self.joint_losses,
                moves={**dict.fromkeys(learners, equation_6), **mixer},
                streams=[self.batches],
                when=lambda step: joint(step) and not reconstructs(step),
            )
        ]
        if not settings.decoder:
            return phases
        if self.autoregressive:
            assert self.decoder_batches is not None
            regularised: dict[str, Objective] = {"encoder": {"reconstruction": settings.reconstruction_weight}}
            styled: dict[str, Objective] = {"style": {"reconstruction": 1.0}} if settings.style_dim else {}
            return [
                *phases,
                Phase(
                    name="decoder",
                    draw=self.draw_members,
                    losses=self.likelihood_losses,
                    moves={
                        "decoder": {"reconstruction": 1.0},
                        **(regularised if "encoder" in learners else {}),
                        **styled,
                    },
                    streams=[self.decoder_batches],
                    gradient_norm=True,
                ),
            ]
        with_decoder = Phase(
            name="joint",
            draw=lambda: self.draw_joint(reconstruct=True),
            losses=lambda draws: self.joint_losses(draws, reconstruct=True),
            moves={
                **dict.fromkeys(learners, equation_7),
                **mixer,
                **({"decoder_joint": decoder} if decoder else {}),
                **({"style": {"reconstruction": 1.0}} if settings.style_dim else {}),
            },
            streams=[self.batches],
            when=lambda step: joint(step) and reconstructs(step),
        )
        alone = Phase(
            name="reconstruction",
            draw=lambda: self.draw_joint(reconstruct=True),
            losses=lambda draws: self.joint_losses(draws, reconstruct=True),
            moves={"decoder_joint": decoder},
            streams=[self.batches],
            when=lambda step: self.settled and reconstructs(step),
        )
        return [
            with_decoder,
            *([alone] if decoder else []),
            *phases,
            Phase(
                name="decoder",
                draw=self.draw_adversarial,
                losses=self.decoder_losses,
                moves={"decoder": {"decoder": 1.0}},  # Eq. 4
                streams=[self.batches],
                when=adversarial,
                gradient_norm=True,
            ),
            Phase(
                name="critic",
                draw=lambda: self.draw_adversarial(penalty=True),
                losses=self.critic_losses,
                moves={"critic": {"critic": 1.0}},  # Eq. 5
                streams=[self.batches],
                when=adversarial,
                repeat=settings.critic_steps,
                gradient_norm=True,
                after=None if self.adaptive is None else self.adapt_further,
            ),
        ]

    def settle(self) -> None:
        """Let E and L be as they were at their best from here on; D learns to decode these latents."""
        self.settled = True
        self.networks.encoder.eval()

    def variant(self) -> bool:
        """Return whether E and L learn no more."""
        return self.settled

    # -- Draws --

    def draw_joint(self, *, reconstruct: bool = False) -> Draws:
        """Return what an update of E, L and M draws."""
        settings = self.settings
        rows, x, labels = self.batch()
        seen, targets = self.augment(x), self.onehot(labels)
        if settings.mixing is not None:
            blend = self.blended(settings.mixing, seen, labels, rows)
            seen, targets = blend.inputs, blend.soft_labels(self.data.n_classes)
        return Draws(
            x,
            labels,
            self.draw_mixing(),
            seen=seen,
            targets=targets,
            fake_augmentation=self.augmentation(2) if reconstruct and settings.decoder_classification else None,
            wrong=self.wrong_labels(labels.repeat(self.t)) if settings.alpha == "mixer" else None,
        )

    def draw_adversarial(self, *, penalty: bool = False) -> Draws:
        """Return what an update of D or, with a gradient penalty, of the critic draws."""
        _, x, labels = self.batch()
        sample = torch.rand if self.settings.penalty_coefficients == "uniform" else torch.randn
        return Draws(
            x,
            labels,
            self.draw_mixing(),
            real_augmentation=self.augmentation(1),
            fake_augmentation=self.augmentation(self.groups),
            coefficients=self.draw(sample, times=self.groups * self.t) if penalty else None,
        )

    def draw_members(self) -> Draws:
        """Return what an update of an autoregressive D draws."""
        assert self.decoder_batches is not None
        rows = parallel.part(self.decoder_batches.draw())
        mixing = self.draw_mixing(n_tuples=self.decoder_batches.n_tuples, times=1)
        return Draws(self.inputs(rows), self.data.labels[rows[:, 0]], mixing)

    def batch(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return the rows (B, t), inputs (B, t, ...) and labels (B,) of a batch of tuples."""
        rows = parallel.part(self.batches.draw())
        return rows, self.inputs(rows), self.data.labels[rows[:, 0]]

    def inputs(self, rows: Tensor) -> Tensor:
        """Return the inputs (B, t, ...) of rows (B, t)."""
        return self.data.prepare(self.data.inputs[rows.flatten()]).unflatten(0, rows.shape)

    def blended(self, rule: MixingRule, seen: Tensor, labels: Tensor, rows: Tensor) -> Mixed:
        """Return tuples of inputs (B, t, ...) blended with other tuples, member by member, as the rule does.

        A rule that draws partners from all rows blends each tuple with those of its members; where these may be of
        other classes, with the partner of its first member and others of that one's class.
        """
        counts, generator = self.data.class_counts, self.data.generator
        if not isinstance(rule, DrawnPartners):
            return rule(seen, labels, counts, generator)
        assert self.neighbors is not None
        near = rule.partner_rows(self.neighbors, rows.flatten(), generator).view_as(rows)
        if not rule.same_class:
            same = self.same_class.rows_of(self.data.labels[near[:, 0]], self.t - 1)
            near = torch.cat([near[:, :1], same], dim=1)
        return rule(seen, labels, counts, generator, (self.augment(self.inputs(near)), self.data.labels[near[:, 0]]))

    def draw(self, sample: Any, *shape: int, times: int | None = None, n_tuples: int | None = None) -> Tensor:
        """Return draws (times * B, *shape), `times` being t by default, of which all processes draw all."""
        n_tuples = self.settings.batch_size * parallel.n_processes() if n_tuples is None else n_tuples
        size = (self.t if times is None else times, n_tuples, *shape)
        drawn = sample(*size, generator=self.data.generator, device=self.data.device)
        return parallel.part(drawn, dim=1).flatten(0, 1)

    def draw_mixing(self, **size: int) -> Tensor:
        """Return the mixer's noise (t * B, m), or the mixing weights (t * B, t) that are drawn in its place."""
        draw: Any = partial(self.draw, **size)
        if self.settings.alpha == "mixer":
            return draw(torch.randn, self.networks.mixer.latent_dim)
        return drawn_weights(self.settings.alpha, draw, self.t)

    def augmentation(self, groups: int) -> Tensor | None:
        """Return draws for the adaptive augmentation of g * t * B inputs."""
        if not self.adapts:
            return None
        return self.draw(torch.rand, DRAWS_PER_IMAGE + 1, times=groups * self.t)

    @property
    def adapts(self) -> bool:
        """Whether the critic sees images under the adaptive augmentation."""
        return self.adaptive is not None and self.data.inputs.dim() == 4

    def augment(self, x: Tensor) -> Tensor:
        """Return tuples of inputs (B, t, ...) with each image augmented on its own."""
        flat = x.flatten(0, 1)
        if self.adaptive is None:
            seen = augment_images(flat, self.settings.augment, self.data.generator)
        else:
            seen = self.adaptive(flat, self.data.generator) if self.adapts else flat
        return seen.unflatten(0, x.shape[:2])

    def wrong_labels(self, labels: Tensor) -> Tensor:
        """Return for labels (t * B,) the classes that the mixer wants to see instead."""
        if self.settings.wrong_label == "shuffle":
            return labels[torch.randperm(len(labels), generator=self.data.generator, device=self.data.device)]
        n_classes = self.data.n_classes
        shift = self.draw(lambda *size, **where: torch.randint(1, n_classes, size, **where))
        return other_labels(labels, shift, n_classes)

    # -- Passes --

    def onehot(self, labels: Tensor) -> Tensor:
        """Return one-hot labels (B, C)."""
        return F.one_hot(labels, self.data.n_classes).float()

    def encode(self, x: Tensor) -> Tensor:
        """Map tuples of inputs (B, t, ...) to latents (B, t, m), in one pass."""
        return self.encoder(images_last(x.flatten(0, 1))).unflatten(0, x.shape[:2])

    def encode_members(self, x: Tensor) -> Tensor:
        """Map tuples of inputs (B, t, ...) to latents (B, t, m), each member in a pass of its own."""
        return torch.stack([self.encoder(images_last(x[:, j])) for j in range(self.t)], dim=1)

    def mix(self, z: Tensor, targets: Tensor, drawn: Tensor) -> tuple[Tensor, Tensor]:
        """Map latents (B, t, m) with labels (B, C) to the t mixtures of each tuple and their labels (Eq. 1).

        Returns
        -------
        (Tensor, Tensor) of shapes (t * B, m) and (t * B, C)
        """
        orders, targets = cyclic_shifts(z), targets.repeat(self.t, 1)
        weights = self.mixer(orders, targets, drawn) if self.settings.alpha == "mixer" else drawn
        return convex_combination(orders, weights) + self.borrowed(z).repeat(self.t, 1), targets

    def borrowed(self, z: Tensor) -> Tensor:
        """Return what is added to the mixtures of tuples of latents (B, t, m): how members of another tuple differ."""
        if self.settings.borrow == 0:
            return torch.zeros_like(z[:, 0])
        # The tuples of a batch are drawn one by one, so that the next one is any.
        return self.settings.borrow * differences(z.detach()).roll(1, 0)

    def adapt(self, x: Tensor, drawn: Tensor | None) -> Tensor:
        """Return images (n, c, h, w) under the adaptive augmentation, if there is one."""
        return x if self.adaptive is None or drawn is None else self.adaptive.augmented(x, drawn)

    def adapt_further(self, losses: Losses) -> None:
        """Let the adaptive augmentation follow the critic."""
        assert self.adaptive is not None
        self.adaptive.update(losses["critic_positive"])

    def adjust(self, logits: Tensor) -> Tensor:
        """Return the logits as the classifier's loss sees them."""
        if self.settings.loss == "ce":
            return logits
        return adjusted_logits(logits, self.class_probabilities, self.settings.tau)

    # -- Losses --

    def joint_losses(self, draws: Draws, *, reconstruct: bool = False) -> Losses:
        """Return the terms of Eq. 7 (with Eq. 6), Eq. 3 and, where it is asked for, what D learns from them."""
        settings, networks = self.settings, self.networks
        assert draws.seen is not None
        assert draws.targets is not None
        z = self.encode(draws.seen)
        if settings.encoder_passes == "separate":
            mixed, mixed_targets = self.mix(self.encode_members(draws.x), self.onehot(draws.labels), draws.mixing)
        else:  # a tuple that was blended with another shares one soft label, which its mixtures keep
            mixed, mixed_targets = self.mix(z, draws.targets, draws.mixing)
        flat, targets = z.transpose(0, 1).flatten(0, 1), draws.targets.repeat(self.t, 1)
        logits, mixed_logits = networks.classifier(flat).float(), networks.classifier(mixed).float()
        fitted, fitted_mixed = logits, mixed_logits
        if not settings.class_preserving:  # the classifier learns on latents that do not learn from it
            fitted = networks.classifier(flat.detach()).float()
            fitted_mixed = networks.classifier(mixed.detach()).float()
        losses = {
            "classifier": classifier_loss(
                F.cross_entropy(self.adjust(fitted), targets),
                F.cross_entropy(self.adjust(fitted_mixed), mixed_targets),
                self.t,
                settings.loss_reduction,
            )
        }
        if reconstruct:
            assert self.decoder is not None
            # The target is the image as it is, or blended as its label is, not the augmented one.
            target, coded = draws.x if settings.mixing is None else draws.seen, flat
            if networks.style is not None:  # which keeps images as they are, not how the classifier learns them
                target, targets = draws.x, self.onehot(draws.labels).repeat(self.t, 1)
                coded = self.encode(draws.x).transpose(0, 1).flatten(0, 1)
            decoded = self.decoder(coded, targets).float()
            losses["reconstruction"] = (target.transpose(0, 1).flatten(0, 1) - decoded).abs().mean()
            if settings.decoder_classification:
                generated = self.decoder(mixed, mixed_targets).float()
                fakes = self.adapt(torch.cat([generated, decoded]), draws.fake_augmentation)
                losses["decoder_classification"] = F.cross_entropy(
                    networks.classifier(self.encoder(images_last(fakes))).float(), torch.cat([mixed_targets, targets])
                )
        if draws.wrong is not None:
            losses["mixer"] = mixer_loss(mixed_logits, draws.wrong)
        chosen = F.one_hot(logits.argmax(dim=1), self.data.n_classes).amax(dim=0).sum()
        return {**losses, "predicted_classes": chosen}

    def likelihood_losses(self, draws: Draws) -> Losses:
        """Return how unlikely the members of tuples are, given the mixture of all of them, a column of the row."""
        decoder = self.networks.decoder
        assert isinstance(decoder, AutoregressiveDecoder)
        # The encoder's statistics as in sampling: classes have other shares here than in the classifier's batches. With
        # dropout the latents say less, and D learns what goes beyond the two rows.
        encode, onehot = evaluating(self.networks.encoder, dropout=True), self.onehot(draws.labels)
        z = encode(draws.x.flatten(0, 1)).unflatten(0, draws.x.shape[:2])
        weights = draws.mixing
        if self.settings.alpha == "mixer":
            weights = evaluating(self.networks.mixer)(z, onehot, draws.mixing).detach()
        mixed = convex_combination(z, weights) + self.borrowed(z)
        logs = decoder.log_prob(
            draws.x.flatten(0, 1), mixed.repeat_interleave(self.t, dim=0), onehot.repeat_interleave(self.t, dim=0)
        )
        # All members alike: by their weights, those that the mixer prefers would be drawn more often than they occur.
        return {"reconstruction": -logs.mean() / len(decoder.columns)}

    def decoder_losses(self, draws: Draws) -> Losses:
        """Return Eq. 4."""
        assert self.networks.critic is not None
        latents, onehots, _ = self.latents(draws)
        fake = self.fakes(latents, onehots, draws)
        return {"decoder": generator_loss(self.networks.critic(fake, torch.cat(onehots)).float())}

    def critic_losses(self, draws: Draws) -> Losses:
        """Return Eq. 5 and its gradient penalty."""
        critic = self.networks.critic
        assert critic is not None
        assert draws.coefficients is not None
        latents, onehots, real = self.latents(draws)
        with torch.no_grad():
            fake = self.fakes(latents, onehots, draws)
        onehot = torch.cat(onehots)
        both = images_last(torch.cat([fake, real])), torch.cat([onehot, onehots[0]])
        fake_scores, real_scores = critic(*both).float().split([len(fake), len(real)])
        repeated = real.repeat(self.groups, *[1] * (real.dim() - 1))
        penalty = gradient_penalty(critic, repeated, fake, onehot, draws.coefficients)
        losses = {
            "critic": critic_loss(fake_scores, real_scores, penalty, self.settings.gradient_penalty_weight),
            "gradient_penalty": penalty,
        }
        if self.adaptive is not None:
            losses["critic_positive"] = positive_share(real_scores.detach())
        return losses

    @torch.no_grad()
    def latents(self, draws: Draws) -> tuple[list[Tensor], list[Tensor], Tensor]:
        """Return groups of latents to decode, their labels (one-hot) and real inputs (t * B, ...)."""
        x, onehot = draws.x, self.onehot(draws.labels)
        z = self.encode_members(x) if self.settings.encoder_passes == "separate" else self.encode(x)
        mixed, onehots = self.mix(z, onehot, draws.mixing)
        real = self.adapt(x.transpose(0, 1).flatten(0, 1), draws.real_augmentation)
        if self.groups == 1:
            return [mixed], [onehots], real
        return [mixed, self.encoder(images_last(real))], [onehots, onehots], real

    def fakes(self, latents: Sequence[Tensor], onehots: Sequence[Tensor], draws: Draws) -> Tensor:
        """Return what the decoder makes of each group of latents, a pass a group."""
        assert self.decoder is not None
        decoded = [self.decoder(z, y).float() for z, y in zip(latents, onehots, strict=True)]
        return self.adapt(torch.cat(decoded), draws.fake_augmentation)


# ---- Estimators ------------------------------------------------------------------------------------------------------


@dataclass(kw_only=True, eq=False, repr=False)
class _RAE(PretrainedEncoder, StoppableTraining, MatchedMoments, LatentSpace, BaseGenerator):
    """The trained core that both faces stand on."""

    _training_only: ClassVar = ("critic",)

    numbers: Numbers = "scores"
    early_stopping: bool | None = None  # type: ignore[assignment]
    # Latent space and mixing
    latent_dim: PositiveInt | None = None
    n_components: PositiveInt = 2
    alpha: Annotated[
        Literal["mixer", "uniform"] | list[Positive] | None,
        Expected("'mixer', 'uniform' or a list of positive numbers"),
    ] = None
    borrow: NonNegative | None = None
    class_preserving: bool = True
    decoder: Literal[True, False, "adversarial", "autoregressive"] = True
    # Networks
    encoder: NetworkOrName = "auto"
    style_dim: NonNegativeInt | None = None
    channels: PositiveInt | None = None
    decoder_channels: PositiveInt | None = None
    decoder_upsampling: Upsampling = "resize"
    hidden_units: PositiveInt | None = None
    dropout: ProperFraction | None = None
    batch_norm_momentum: Annotated[float, Interval(0, 1, closed="right")] = 0.1
    mixer_activation: Literal["leaky_relu", "relu"] = "leaky_relu"
    conditional_critic: bool | None = None
    # Losses
    loss: Literal["ce", "logit_adjusted"] | None = None
    tau: NonNegative = 1.0
    classifier_weight: NonNegative | None = None
    reconstruction_weight: NonNegative | None = None
    loss_reduction: Literal["sum", "mean"] | None = None
    wrong_label: Literal["other", "shuffle"] = "other"
    decoder_reconstruction: bool | None = None
    decoder_classification: bool = False
    critic_fakes: Literal["mixtures", "mixtures_and_reconstructions"] = "mixtures"
    gradient_penalty_weight: NonNegative = 10.0
    penalty_coefficients: Literal["uniform", "normal"] = "uniform"
    # Batches
    batches: Literal["tuples", "pool"] = "tuples"
    sampling_power: Fraction | None = None
    batch_size: BatchSize = 64
    augment: Literal["adaptive", "auto"] | Augment = "auto"
    mixing: Literal["auto"] | Mixing = "auto"
    encoder_passes: Literal["joint", "separate"] = "joint"
    # Updates
    max_steps: PositiveInt = 1000
    update_order: Literal["algorithm", "reference_code"] = "algorithm"
    critic_steps: NonNegativeInt = 5
    adversarial_every: PositiveInt | None = None
    reconstruct_every: PositiveInt = 1
    optimizer: Optimizer | None = None
    classifier_optimizer: Literal["own", "shared"] | None = None
    mixer_betas: Annotated[tuple[ProperFraction, ProperFraction], Expected("two numbers in [0, 1)")] = (0.5, 0.9)
    learning_rate: Positive | None = None
    adversarial_learning_rate: Positive | None = None
    weight_decay: NonNegative | None = None
    schedule: Schedule | None = None
    ema: ProperFraction | None = None
    # Use
    average_mirrored: bool = False

    networks_: RAENetworks = field(init=False)

    def _check_settings(self) -> list[str]:
        problems = self._encoder_problems("encoder")
        if not isinstance(self.alpha, str | None) and len(self.alpha) != self.n_components:
            problems.append(
                f"alpha to be a list of n_components = {self.n_components} concentrations, but got {self.alpha!r}"
            )
        if isinstance(self.mixing, MixingRule) and self.mixing.space != "input":
            problems.append(f"mixing to be a rule that mixes inputs, but got {self.mixing!r}")
        if self.batches == "pool" and self.n_components != 2:
            problems.append(f"n_components to be 2 with batches='pool', but got {self.n_components}")
        if self.borrow and self.n_components < 2:
            problems.append(f"n_components to be at least 2 with borrow={self.borrow!r}, but got {self.n_components}")
        if not self.class_preserving and not self.decoder:
            problems.append("class_preserving or decoder to be True, but got False for both, which trains no encoder")
        if not self.decoder and isinstance(self, BaseDeepSampler):
            problems.append("decoder to be True, for an over-sampler has to generate, but got False")
        if self.decoder == "autoregressive" and self.numbers != "scores":
            problems.append(f"numbers to be 'scores' with decoder='autoregressive', but got {self.numbers!r}")
        return problems

    def _learn_format(self, X: Any, **settings: Any) -> Format:
        learned = super()._learn_format(X, **settings)
        if self.decoder == "autoregressive" and not isinstance(learned, TableFormat):
            raise ValueError(
                "Expected decoder to be True or 'adversarial' for images, but got 'autoregressive', a table's."
            )
        return learned

    def _resolved(self) -> Self:
        """Return an estimator of the same parameters, with those left open as kind and number of samples have them."""
        changed = {name: value for name, value in self._defaults().items() if getattr(self, name) in (None, "auto")}
        if self.mixing is None:  # which is no rule, and not an open one
            del changed["mixing"]
        if self.decoder is True:
            changed["decoder"] = "autoregressive" if self._autoregressive() else "adversarial"
        return replace(self, **changed)

    def _autoregressive(self) -> bool:
        """Return whether the decoder draws, column by column."""
        drawn = self.decoder is True and isinstance(self.format_, TableFormat) and self.numbers == "scores"
        return drawn or self.decoder == "autoregressive"

    def _defaults(self) -> dict[str, Any]:
        """Return what parameters that are left open stand for."""
        if isinstance(self.format_, TableFormat):
            return {**DEFAULTS_TABLES, "alpha": "uniform" if self._autoregressive() else "mixer"}
        photographs = self.format_.shape[0] > 1  # in which left and right mean nothing
        if self.class_counts_.sum() <= FEW_IMAGES:
            return {
                **DEFAULTS_FEW_IMAGES,
                "augment": "flip_shift" if photographs else "shift",
                "early_stopping": not isinstance(self, BaseDeepSampler) and self._enough_to_judge(),
            }
        if self.encoder != "auto" or not self.class_preserving:
            return PAPER
        defaults = {
            **DEFAULTS_IMAGES,
            "augment": "flip_shift_cutout" if photographs else "shift_cutout",
            "ema": max(0.0, 1 - 1 / (AVERAGED_SHARE * self.max_steps)),
        }
        if self.optimizer in (None, "sgd") and self.classifier_optimizer in (None, "shared"):
            defaults |= SGD
        if not self.decoder:
            defaults["style_dim"] = 0
        elif self.style_dim == 0:  # then the decoder has the features alone to draw from
            defaults["reconstruction_weight"] = PAPER["reconstruction_weight"]
        if self.n_components < 2:
            defaults["borrow"] = 0.0
        return defaults

    def _enough_to_judge(self) -> bool:
        """Return whether as many of each class can be set aside as say more than chance: ten, by default."""
        return bool(self.class_counts_.min() >= ENOUGH_IMAGES)

    def _build_networks(self) -> RAENetworks:
        shape, n_classes = self.format_.shape, len(self.classes_)
        settings: Any = self._resolved()  # in which no number is None
        m, hidden_units = settings.latent_dim, settings.hidden_units
        size: dict[str, Any] = {
            "channels": settings.decoder_channels or settings.channels,
            "hidden_units": hidden_units,
        }
        adversarial = settings.decoder == "adversarial"
        encoder = build_latent_encoder(
            shape,
            m,
            settings.encoder,
            **self._encoder_options(),
            channels=settings.channels,
            hidden_units=hidden_units,
            dropout=settings.dropout,
        )
        classifier: nn.Module = linear(m, n_classes)
        if settings.style_dim:
            # Of the decoder's kind and size, for it is the decoder that it serves; dropout would blur what it keeps.
            encoder = StyledEncoder(encoder, build_encoder(shape, settings.style_dim, dropout=0.0, **size))
            classifier, m = LeadingClassifier(m, n_classes), m + settings.style_dim
        networks = RAENetworks(
            encoder=encoder,
            classifier=classifier,
            mixer=Mixer(
                m,
                n_classes,
                n_components=settings.n_components,
                hidden_units=hidden_units,
                dropout=settings.dropout,
                activation=settings.mixer_activation,
            ),
            decoder=build_decoder(shape, m, n_classes, upsampling=settings.decoder_upsampling, **size)
            if adversarial
            else None,
            critic=build_critic(shape, n_classes, conditional=settings.conditional_critic, **size)
            if adversarial
            else None,
        )
        if settings.decoder == "autoregressive":
            assert isinstance(self.format_, TableFormat)
            networks.decoder = AutoregressiveDecoder(
                [placed.part for placed in self.format_.parts], m, n_classes, dropout=DECODER_DROPOUT
            )
        for module in networks.modules():
            if isinstance(module, _BatchNorm):
                module.momentum = settings.batch_norm_momentum
        return networks

    def _initial_networks(self) -> nn.Module:
        settings = self._resolved()
        part = "encoder.features" if settings.style_dim else "encoder"
        return self._with_weights(self._build_networks(), settings.encoder, part)

    def _program(self, data: TrainingSet) -> RAEProgram:
        return RAEProgram(self.networks_, data, self)

    def _keep(self, data: TrainingSet, program: Program) -> None:
        # Sampling needs the latents of the training data, by class, and nothing else of it.
        if self.decoder:
            self.tensors_ = {"latents": self._encoded_inputs(data).cpu(), "labels": data.labels.cpu()}

    def _stops_early(self) -> bool:
        return bool(self._resolved().early_stopping)

    def _can_generate(self) -> bool:
        return bool(self.decoder)

    def _lacks_noise(self) -> bool:
        return self._can_generate() and self._resolved().decoder == "adversarial"

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

        alpha: Any = self._resolved().alpha
        if alpha == "mixer":
            return self.networks_.mixer(latents, onehot, draw(torch.randn, latents.shape[2]))
        return drawn_weights(alpha, draw, self.n_components)

    def _generate(self, label: int, n: int, generator: torch.Generator) -> Synthetic:
        """Mix latents of class `label` with the mixer's weights and decode them."""
        assert self.networks_.decoder is not None
        onehot = F.one_hot(torch.full((n,), label, device=self.device_), len(self.classes_)).float()
        rows = self._draw_parents(label, n, self.n_components, generator).cpu()
        z = self.tensors_["latents"][rows].to(self.device_)  # (n, t, m)
        alpha = self._proposed_weights(z, onehot, generator)
        mixed = convex_combination(z, alpha)
        if borrow := self._resolved().borrow:
            mixed = mixed + borrow * self._borrowed(n, generator)
        if isinstance(self.networks_.decoder, AutoregressiveDecoder):
            outputs = self.networks_.decoder.sample(mixed, onehot, generator)
            return Synthetic(outputs, rows.numpy(), alpha.cpu().numpy())
        outputs = self.networks_.decoder(mixed, onehot)
        return Synthetic(self._with_noise(outputs, label, generator), rows.numpy(), alpha.cpu().numpy())

    def _borrowed(self, n: int, generator: torch.Generator) -> Tensor:
        """Return differences (n, m) between two training samples of one class, whichever it is."""
        labels = self.tensors_["labels"]
        order, counts = labels.argsort(stable=True), torch.bincount(labels)
        first = torch.randint(len(labels), (n,), generator=generator, device=generator.device).cpu()
        places = torch.rand(n, generator=generator, device=generator.device).cpu()
        own = counts[labels[first]]
        behind = (counts.cumsum(0) - counts)[labels[first]] + (places * own).long().clamp(max=own - 1)
        pairs = torch.stack([first, order[behind]], dim=1)
        return differences(self.tensors_["latents"][pairs].to(self.device_))

    def _encoded(self, batch: Tensor) -> Tensor:
        return self.networks_.encoder(images_last(batch))

    def decode(self, Z: np.ndarray, y: Any, *, random_state: Any = 0) -> Any:
        """Return what the decoder makes of latents Z (n, m) with labels y (n,), in the type and layout of the data.

        An autoregressive decoder draws a row for each, by `random_state`; others do not look at it.
        """
        check_is_fitted(self)
        labels = torch.from_numpy(self._class_numbers(y))
        Z = check_latents(Z, self.networks_.mixer.latent_dim, len(labels))
        return self._decode(Z, F.one_hot(labels, len(self.classes_)), random_state)

    def _decode(self, Z: np.ndarray, onehot: Tensor, random_state: Any = 0, *, alike: bool = False) -> Any:
        decoder = self.networks_.decoder
        if decoder is None:
            raise ValueError("Expected a model with a decoder, but it was trained with decoder=False; train with it.")
        z = torch.as_tensor(np.asarray(Z), dtype=torch.float32, device=self.device_)
        with seeded(draw_seed(random_state), self.device_) as generator, torch.inference_mode():
            decode: Any = decoder
            if isinstance(decoder, AutoregressiveDecoder):
                decode = partial(decoder.sample, generator=generator, alike=alike)
            pairs = zip(z.split(PREDICT_BATCH), onehot.float().to(self.device_).split(PREDICT_BATCH), strict=True)
            outputs = torch.cat([decode(*pair) for pair in pairs])
        return self._in_rows(outputs, onehot.argmax(dim=1).numpy(force=True))

    def reconstruct(self, X: Any, y: Any = None) -> Any:
        """Return what the decoder makes of the latents of X, with labels y (n,) or those that are predicted.

        An autoregressive decoder draws: what comes is like the row in what the latent holds.
        """
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
            At least 2; the first is the reconstruction of `x1`, the last that of `x2`. An autoregressive decoder draws
            all of them with the same numbers, so that they differ by their latents alone.
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
        return self._decode(weights.numpy() @ Z, onehot, alike=True)

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


@dataclass(kw_only=True, eq=False, repr=False)
class RAEClassifier(_RAE, BaseClassifier):
    """Classifier and generator: a class-preserving regularized autoencoder.

    What is left open, as None or ``"auto"``, follows the kind and number of samples. *Many images*, more than 2,000
    whose encoder is not named, have the best classifier and generator in one that was found here, a small residual
    network with a style beside its features. With ``encoder="conv"``, or another that is named, all is the paper's;
    few images and tables have the paper's values but for those that are named below. A step is one update of encoder,
    classifier and mixer, then one of the decoder and `critic_steps` of the critic.

    Parameters
    ----------
    latent_dim : int, default: 64 for images and 8 for tables
        Length m of the latent vectors. The paper uses 64 for 28x28 grey images, 128 for SVHN, 256 for CIFAR-10.
    n_components : int, default=2
        How many latents t of one class are mixed; 1 mixes nothing, which with ``sampling_power=1`` switches
        oversampling off (row 2 of the paper's Table 4).
    alpha : {"mixer", "uniform", None} or t positive numbers, default: ``"mixer"``, or ``"uniform"`` as below
        Where the mixing weights come from, in training and in sampling: the mixer network, the uniform distribution
        over all convex weights (row 4 of Table 4), or a Dirichlet distribution with these concentrations, for two
        latents Beta(a, b). Left open it is ``"uniform"`` with an autoregressive decoder and for many images, and
        otherwise the paper's ``"mixer"``. The mixer looks for mixtures that are hard to classify and often ends at one
        of the parents, which an autoregressive decoder would repeat; drawn weights give samples of more variety.
    borrow : float, default: 0.3 for many images, else 0
        How much variety mixtures take from other classes, in training and in sampling: so many times the difference
        between two samples of one class, whichever it is, is added to a mixture of latents of any other. Between 40
        images of a class lies less than the class holds, and what differs within classes is alike in many (the
        delta-encoder of Schwartz et al., NeurIPS 2018; feature transfer learning of Yin et al., CVPR 2019). Ours.
    class_preserving : bool, default=True
        False keeps the classifier's loss from shaping the latent space (row 1 of Table 4): the linear classifier then
        learns, on real and mixed latents, from an autoencoder that does not learn from it.
    decoder : bool or {"adversarial", "autoregressive"}, default=True
        False trains encoder, classifier and mixer alone (row 3 of Table 4); such a model cannot generate. True is
        ``"autoregressive"`` for tables with ``numbers="scores"``, and otherwise the paper's ``"adversarial"``, which
        learns from the critic and returns a row for each latent. The other one is drawn from, column by column; the
        parameters of critic and reconstruction say nothing to it, but for `reconstruction_weight`.
    encoder : str or nn.Module, default="auto"
        ``"conv"`` is the paper's network for images and ``"resnet"`` a small residual one
        (`latentover.networks.SmallResNet`); ``"auto"`` is the second for many images, with what is best for it wherever
        a parameter is left open, the first for few images and with ``class_preserving=False``, and for tables the
        paper's dense layers. Other names are backbones, behind which a dense layer makes the latents: ``"resnet32"``,
        ``"resnet18"``, models of torchvision, and ``"timm/<name>"``, see `DeepClassifier`. A module has to map inputs
        (B, c, h, w) in [0, 1], or standardised rows (B, d), to latents (B, latent_dim); a copy of it is trained.
    encoder_weights, freeze_encoder, encoder_size
        See `latentover.estimators.PretrainedEncoder`.
    style_dim : int, default: 64 for many images, else 0
        Length of a second part of the latent, with an encoder of its own that learns from the reconstruction alone: how
        a sample looks, which the classifier does not see. Then the first part is free to be what a classifier wants
        (``reconstruction_weight=0`` leaves it to the classifier) and the decoder still draws what it was shown. Both
        parts are mixed. Ours; 0 is the paper's one latent for both.
    channels : int, default: 64, and 16 for many images
        Channels of the encoder's first convolution.
    decoder_channels : int, default: as `channels`, and 32 for many images
        Channels of the decoder's last and the critic's first convolution, where most of the time goes.
    decoder_upsampling : {"resize", "transposed"}, default="resize"
        How the decoder of images makes them larger: it repeats pixels and convolves, or by the transposed convolutions
        of the paper, which leave a checkerboard where there are few images.
    hidden_units : int, default: 1024 for images, 256 for many, 128 for tables
        Width of the dense layers; 512 for tables in the paper.
    dropout : float in [0, 1), default: 0.4, and 0.2 for many images
        Of encoder and mixer.
    batch_norm_momentum : float in (0, 1], default=0.1
        The share of a batch in the running statistics. The authors' code has 0.01, which follows too slowly for
        trainings of some hundred steps.
    mixer_activation : {"leaky_relu", "relu"}, default="leaky_relu"
        The second in the authors' code.
    conditional_critic : bool, default: True for many images, else False
        Whether the critic sees the label too, as in the authors' code.
    loss : {"ce", "logit_adjusted", None}, default: the second for many images
        Of the classifier, Eq. 6; ``"logit_adjusted"`` adds ``tau`` times the log of the probabilities with which
        classes are drawn to the logits in training (Menon et al., ICLR 2021). The paper has ``"ce"``.
    tau : float, default=1.0
        Strength of the logit adjustment.
    classifier_weight : float, default: 5, and 1 for many images
        Lambda of the classifier's loss in Eq. 7.
    reconstruction_weight : float, default: 0.01 for images, 50 for up to 2,000 of them, 0 with a style, 5 for tables
        Lambda of the reconstruction in Eq. 7; 0.01 in the paper. The latents of few images, which are soon told apart,
        would otherwise hold nothing that they could be decoded from. It is 0 for many images, unless ``style_dim=0``.
    loss_reduction : {"sum", "mean", None}, default: the second for many images
        Whether the t real latents and the mixture of a tuple count t : 1, as in Eq. 6, or real and mixed latents alike
        and as a mean, as in the authors' code.
    wrong_label : {"other", "shuffle"}, default="other"
        What the mixer wants its mixtures to be taken for (Eq. 3): another class, or, as in the authors' code, the label
        of a random sample of the batch, which now and then is its own.
    decoder_reconstruction : bool, default: True, and False for more than 2,000 images whose encoder is named
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
    sampling_power : float in [0, 1], default: 0.5 for many images, else 0
        Classes are drawn with probabilities proportional to their sizes to this power: 0 draws all equally often, 1 as
        they occur. Above 0 more of the large classes' variety is seen, and ``loss="logit_adjusted"`` should make up for
        the imbalance that is left.
    batch_size : int, default=64
        Tuples a step, at least 2: a step sees ``n_components * batch_size`` samples. With several processes, of each.
    augment : {"auto", "none", "shift", "flip_shift", ..., "adaptive"}, default="auto"
        Of the images that encoder and classifier train on, see `latentover.training.augment_images`; the decoder's
        and the critic's targets stay as they are. ``"adaptive"``, of the authors' code, augments what the critic sees
        too, with a probability that follows its scores (`latentover.training.AdaptiveAugment`). With ``"auto"`` images
        are shifted, those of several channels mirrored too, for in photographs left and right mean nothing; more than
        2,000 of them lose a square besides, or stay as they are, as the paper's do, where their encoder is named. Name
        ``"shift"`` where mirror images mean something else.
    mixing : rule of `latentover.mixing` that mixes inputs, None or "auto", default="auto"
        Blends each tuple with another one, images and labels, before it is encoded; the mixtures of its latents keep
        the blended label. `SMOTEMix` blends each member with a neighbour of its own class, `NeighborMix` the tuple with
        one of the class of a neighbour. A training extra that the controls have too. ``"auto"`` is `CMO`, patches of
        all classes alike in half of the steps, for many images, else None.
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
    adversarial_every : int, default: 5, and 8 for more than 2,000 images, or 1 where their encoder is named
        In every how many steps of Algorithm 1 decoder and critic are updated; 1 in the paper.
    reconstruct_every : int, default=1
        In every how many updates of the encoder the reconstruction, and what else trains the decoder there, is
        computed; its weight is small and its cost is not.
    optimizer : {"adamw", "sgd", None}, default: the first, and the second for many images
        Of the encoder; ``"sgd"`` has Nesterov momentum 0.9. Its settings go together: where this or
        `classifier_optimizer` is given another value than is best, all that are left open are the paper's.
    classifier_optimizer : {"own", "shared", None}, default: the first, and the second with that ``"sgd"``
        Adam with the betas of all but the encoder, or the encoder's optimizer with its weight decay, as in the authors'
        code.
    mixer_betas : (float, float), default=(0.5, 0.9)
        Of the mixer's Adam; (0.9, 0.999) in the authors' code. Decoder and critic have (0.5, 0.9).
    learning_rate : float, default: 2e-4, and 0.4 with that ``"sgd"``
        Of encoder and classifier.
    adversarial_learning_rate : float, default: as `learning_rate`, 1e-3 for up to 2,000 images, 4e-4 for more
        Of mixer, decoder and critic, which Adam trains. An autoregressive decoder has AdamW and one cycle up to this
        rate, by default 3e-3.
    weight_decay : float, default: 1e-3, and 2e-4 with that ``"sgd"``
        The fraction by which the weights of the encoder's optimizer shrink in a step at the full learning rate; see
        `latentover.training.make_optimizer`.
    schedule : {"constant", "cosine", "one_cycle", None}, default: the first, or the last with that ``"sgd"``
        Of the learning rate of encoder and classifier.
    ema : float in [0, 1), default: over 6 % of the steps for many images, else 0
        Decay of a moving average of the weights of encoder, classifier and decoder, which is then used in their place;
        0.99 in the authors' code.
    match_moments : bool, default=True
        Of tables with ``decoder="adversarial"``: whether normal noise is added to what the decoder makes of mixtures,
        with the mean and the covariance that the samples of the class have beyond those of 4096 mixtures of it (drawn
        to the pooled ones where the class is small, `shrunk`; of very wide tables the variances alone). A decoder that
        returns conditional means makes columns that the latents do not hold almost constant, and a classifier would
        learn to tell made rows from real ones by them. Neither `decode` nor images have noise, nor does the paper:
        False is its way.
    average_mirrored : bool, default=False
        Whether predictions are averaged over an image and its mirror image.
    small_class, base_selection, clip, constraints
        See `latentover.estimators.BaseGenerator`; a class needs `n_components` samples, at least 2. The latents of a
        smaller one are mixed with themselves.
    early_stopping : bool, default: True for a classifier of up to 2,000 images, 100 or more of every class
        See `latentover.estimators.StoppableTraining`. Where nothing is gained any more encoder and classifier go back
        to their best weights; an adversarial decoder, which learns for longer, learns from these latents to the end.
    validation_fraction, n_iter_no_change
        See `latentover.estimators.StoppableTraining`.
    image_shape, channels_last, numbers, categorical_features, identifiers, new_identifiers, missing, device,
    precision, random_state, verbose, checkpoint, checkpoint_every, compile, capture,
    callbacks
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
