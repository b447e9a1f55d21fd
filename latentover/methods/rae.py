"""RAE: minority oversampling with a class-preserving regularized autoencoder.

An encoder maps x to z; a linear classifier on z is the final classifier. Latents of one class are mixed convexly and
the mixture has to keep their class. A mixer network proposes the mixing weights and wants the classifier to be wrong.
A label-conditioned decoder, trained against a label-conditioned WGAN-GP critic, keeps the latent space from
collapsing to a point per class, and generates new samples.

Reference
---------
Mondal, Singhal, Tiwary, Singla and AP, "Minority Oversampling for Imbalanced Data via Class-Preserving Regularized
Auto-Encoders", AISTATS 2023. Equation numbers below are this paper's.

Deviations
----------
- The critic sees the label, as in the authors' code; the paper's Table 17 shows x only.
- Tuples of one class are drawn with every class equally likely. Algorithm 1 runs over the data and draws the other
  members of the tuple; the authors' code balances the classes, which is what makes it oversampling.
- In the paper the decoder learns from the critic alone. With ``decoder_reconstruction=True`` the reconstruction
  loss, which otherwise trains the encoder only, trains the decoder too: after a short training its samples are
  pictures rather than noise.
- ``adversarial_every`` spreads the critic and decoder updates out; 1 is the paper's Algorithm 1.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from latentover.estimators import BaseClassifier, BaseGenerator, BaseSampler, Synthetic, TrainingSet
from latentover.estimators.base import PREDICT_BATCH
from latentover.losses import adjusted_logits, critic_loss, generator_loss, gradient_penalty
from latentover.mixing import convex_combination, cyclic_shifts
from latentover.networks import Mixer, build_critic, build_decoder, build_encoder, default_hidden_units
from latentover.networks.layers import images_last, linear
from latentover.training import (
    Phase,
    augment_images,
    autocast,
    class_probabilities,
    class_tuples,
    learning_rate_factor,
    optimizer_step,
    train,
)
from latentover.training.augment import Augment
from latentover.training.loop import History
from latentover.training.schedules import Schedule

LATENT_DIM_IMAGES = 64
LATENT_DIM_TABLES = 8


# ---- Loss terms ------------------------------------------------------------------------------------------------------
# Eq. 1 is mixing.convex_combination; Eq. 4 and Eq. 5 are losses.generator_loss and losses.critic_loss.


def other_labels(labels: Tensor, n_classes: int, generator: torch.Generator) -> Tensor:
    """Draw for every label, uniformly, one of the other classes: the j != i of Eq. 3."""
    shift = torch.randint(1, n_classes, labels.shape, generator=generator, device=labels.device)
    return (labels + shift) % n_classes


def mixer_loss(mixed_logits: Tensor, wrong_labels: Tensor) -> Tensor:
    """Eq. 3: cross-entropy of mixed latents against classes they do not have.

    Parameters
    ----------
    mixed_logits : Tensor of shape (B, C)
    wrong_labels : integer Tensor of shape (B,)
    """
    return F.cross_entropy(mixed_logits, wrong_labels)


def classifier_loss(logits: Tensor, mixed_logits: Tensor, labels: Tensor, n_components: int) -> Tensor:
    """Eq. 6: t cross-entropies of real latents and one of their mixture, averaged over the batch.

    Parameters
    ----------
    logits : Tensor of shape (t * B, C)
        Of the t real latents of each of B tuples.
    mixed_logits : Tensor of shape (t * B, C)
        Of the t mixtures of each tuple, one for every cyclic order of its members.
    labels : integer Tensor of shape (t * B,)
    n_components : int
        The t.
    """
    return n_components * F.cross_entropy(logits, labels) + F.cross_entropy(mixed_logits, labels)


def encoder_loss(
    classification: Tensor, reconstruction: Tensor, classifier_weight: float = 5.0, reconstruction_weight: float = 0.01
) -> Tensor:
    """Eq. 7: the weighted sum of the classifier's loss and the mean absolute error of reconstruction."""
    return classifier_weight * classification + reconstruction_weight * reconstruction


# ---- Core ------------------------------------------------------------------------------------------------------------


class RAENetworks(nn.Module):
    """The five networks: encoder E, linear classifier L, mixer M, decoder D and critic."""

    def __init__(self, encoder: nn.Module, classifier: nn.Module, mixer: Mixer, decoder: nn.Module, critic: nn.Module):
        super().__init__()
        self.encoder = encoder
        self.classifier = classifier
        self.mixer = mixer
        self.decoder = decoder
        self.critic = critic

    def logits(self, x: Tensor) -> Tensor:
        """Map inputs (B, ...) to logits (B, C)."""
        return self.classifier(self.encoder(x)).float()

    def mixing_weights(self, latents: Tensor, onehot: Tensor, alpha: str, generator: torch.Generator) -> Tensor:
        """Map latents (B, t, m) of one class a row to weights (B, t): the mixer's with fresh noise, or uniform ones."""
        if alpha == "uniform":
            # Exponential draws over their sum are uniform on the simplex.
            draws = -torch.rand(latents.shape[:2], generator=generator, device=latents.device).clamp(min=1e-12).log()
            return draws / draws.sum(dim=1, keepdim=True)
        noise = torch.randn(len(latents), latents.shape[2], generator=generator, device=latents.device)
        return self.mixer(latents, onehot, noise)


class RAETraining:
    """The updates of a training step, in the order of Algorithm 1."""

    def __init__(self, networks: RAENetworks, data: TrainingSet, settings: "_RAE") -> None:
        self.networks = networks
        self.data = data
        self.settings = settings
        self.t = settings.n_components
        power = settings.sampling_power
        self.batches = class_tuples(data.labels, settings.batch_size, self.t, data.generator, power=power)
        self.class_probabilities = class_probabilities(data.class_counts, power).float()
        parameters = [*networks.encoder.parameters(), *networks.classifier.parameters()]
        self.encoder_parameters = [p for p in parameters if p.requires_grad]  # a given encoder may be frozen
        lr = settings.learning_rate
        fused: dict[str, Any] = {"fused": True} if data.device.type in ("cpu", "cuda") else {}
        # Decoupled weight decay as a fraction of the weights a step, whatever the learning rate (see `weight_decay`).
        self.encoder_optimizer = torch.optim.AdamW(
            self.encoder_parameters, lr=lr, weight_decay=settings.weight_decay / lr, **fused
        )
        adversarial: dict[str, Any] = {"lr": lr, "betas": (0.5, 0.9), **fused}
        self.mixer_optimizer = torch.optim.Adam(networks.mixer.parameters(), **adversarial)
        self.decoder_optimizer = torch.optim.Adam(networks.decoder.parameters(), **adversarial)
        self.critic_optimizer = torch.optim.Adam(networks.critic.parameters(), **adversarial)
        self.reconstruction_optimizer = torch.optim.Adam(networks.decoder.parameters(), lr=lr, **fused)

    def phases(self) -> list[Phase]:
        """Return what a step consists of."""
        every = self.settings.adversarial_every
        return [
            Phase("joint", self.update_classifier_encoder_mixer),
            Phase("decoder", self.update_decoder, every=every),
            Phase("critic", self.update_critic, every=every, repeat=self.settings.critic_steps),
        ]

    def set_learning_rate(self, progress: float) -> None:
        """Set the learning rate of the encoder and the classifier to where the schedule is at `progress`."""
        factor = learning_rate_factor(self.settings.schedule, progress)
        for group in self.encoder_optimizer.param_groups:
            group["lr"] = self.settings.learning_rate * factor

    def batch(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return inputs (B, t, ...), labels (B,) and one-hot labels (B, C) of the next tuples."""
        rows = next(self.batches)
        labels = self.data.labels[rows[:, 0]]
        x = self.data.prepare(self.data.inputs[rows.flatten()]).unflatten(0, rows.shape)
        return x, labels, F.one_hot(labels, self.data.n_classes).float()

    def encode(self, x: Tensor) -> Tensor:
        """Map tuples of inputs (B, t, ...) to latents (B, t, m)."""
        return self.networks.encoder(images_last(x.flatten(0, 1))).unflatten(0, x.shape[:2])

    def augment(self, x: Tensor) -> Tensor:
        """Return tuples of inputs (B, t, ...) with each image augmented on its own."""
        return augment_images(x.flatten(0, 1), self.settings.augment, self.data.generator).unflatten(0, x.shape[:2])

    def mix(self, z: Tensor, onehot: Tensor) -> tuple[Tensor, Tensor]:
        """Map latents (B, t, m) to the t mixtures of each tuple (t * B, m) and their one-hot labels (Eq. 1)."""
        orders = cyclic_shifts(z)
        onehot = onehot.repeat(self.t, 1)
        weights = self.networks.mixing_weights(orders, onehot, self.settings.alpha, self.data.generator)
        return convex_combination(orders, weights), onehot

    def adjust(self, logits: Tensor) -> Tensor:
        """Return the logits as the classifier's loss sees them."""
        if self.settings.loss == "ce":
            return logits
        return adjusted_logits(logits, self.class_probabilities, self.settings.tau)

    def update_classifier_encoder_mixer(self) -> dict[str, Tensor]:
        """Update E and L on Eq. 7 (with Eq. 6) and M on Eq. 3, from one forward pass."""
        networks, settings = self.networks, self.settings
        x, labels, onehot = self.batch()
        all_labels = labels.repeat(self.t)
        with autocast(self.data.device, self.data.dtype):
            z = self.encode(self.augment(x))
            mixed, all_onehot = self.mix(z, onehot)
            flat = z.transpose(0, 1).flatten(0, 1)  # (t * B, m), in the order of all_labels
            logits = networks.classifier(flat).float()
            mixed_logits = networks.classifier(mixed).float()
            decoded = networks.decoder(flat, all_onehot).float()
        reconstruction = (x.transpose(0, 1).flatten(0, 1) - decoded).abs().mean()
        classification = classifier_loss(self.adjust(logits), self.adjust(mixed_logits), all_labels, self.t)
        against = mixer_loss(mixed_logits, other_labels(all_labels, self.data.n_classes, self.data.generator))
        total = encoder_loss(classification, reconstruction, settings.classifier_weight, settings.reconstruction_weight)
        self._joint_step(total, against)
        losses = {"classifier": classification, "reconstruction": reconstruction}
        return {**losses, "mixer": against} if settings.alpha == "mixer" else losses

    def _joint_step(self, total: Tensor, against: Tensor) -> None:
        """Give E and L the gradient of Eq. 7, M that of Eq. 3 and, if asked for, D that of the reconstruction."""
        optimizers: list[torch.optim.Optimizer] = [self.encoder_optimizer]
        parameters: list[nn.Parameter] = []
        gradients: list[Tensor] = []
        # All gradients are taken before any weight moves: they belong to the same forward pass.
        if self.settings.alpha == "mixer":
            optimizers.append(self.mixer_optimizer)
            parameters += self.networks.mixer.parameters()
            gradients += torch.autograd.grad(against, parameters, retain_graph=True)
        targets = list(self.encoder_parameters)
        if self.settings.decoder_reconstruction:
            optimizers.append(self.reconstruction_optimizer)
            targets += self.networks.decoder.parameters()
        gradients += torch.autograd.grad(total, targets, allow_unused=True)
        parameters += targets
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient
        for optimizer in optimizers:
            optimizer.step()
        for parameter in parameters:
            parameter.grad = None

    def update_decoder(self) -> dict[str, Tensor]:
        """Update D on Eq. 4."""
        mixed, onehot, _ = self._mixed_batch()
        with autocast(self.data.device, self.data.dtype):
            scores = self.networks.critic(self.networks.decoder(mixed, onehot), onehot).float()
        loss = generator_loss(scores)
        optimizer_step(self.decoder_optimizer, loss, self.networks.decoder.parameters())
        return {"decoder": loss}

    def update_critic(self) -> dict[str, Tensor]:
        """Update the critic on Eq. 5."""
        critic = self.networks.critic
        mixed, onehot, real = self._mixed_batch()
        with autocast(self.data.device, self.data.dtype):
            with torch.no_grad():
                fake = self.networks.decoder(mixed, onehot).float()
            fake_scores, real_scores = critic(fake, onehot).float(), critic(images_last(real), onehot).float()
        coefficients = torch.rand(len(real), generator=self.data.generator, device=self.data.device)
        penalty = gradient_penalty(critic, real, fake, onehot, coefficients)  # float32: squares of small numbers
        loss = critic_loss(fake_scores, real_scores, penalty, self.settings.gradient_penalty_weight)
        optimizer_step(self.critic_optimizer, loss, critic.parameters())
        return {"critic": loss, "gradient_penalty": penalty}

    @torch.no_grad()
    def _mixed_batch(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return mixtures (t * B, m), their one-hot labels and the real inputs (t * B, ...) of a fresh batch."""
        x, _, onehot = self.batch()
        with autocast(self.data.device, self.data.dtype):
            mixed, all_onehot = self.mix(self.encode(x), onehot)
        return mixed, all_onehot, x.transpose(0, 1).flatten(0, 1)


# ---- Estimators ------------------------------------------------------------------------------------------------------


@dataclass(kw_only=True, eq=False, repr=False)
class _RAE(BaseGenerator):
    """The trained core that both faces stand on."""

    _choices: ClassVar = {
        "alpha": ("mixer", "uniform"),
        "loss": ("ce", "logit_adjusted"),
        "decoder_reconstruction": (True, False),
    }
    _training_only: ClassVar = ("critic",)

    latent_dim: int | None = None
    n_components: int = 2
    alpha: Literal["mixer", "uniform"] = "mixer"
    encoder: nn.Module | Literal["auto"] = "auto"
    channels: int = 64
    decoder_channels: int | None = None
    hidden_units: int | None = None
    dropout: float = 0.4
    loss: Literal["ce", "logit_adjusted"] = "ce"
    tau: float = 1.0
    sampling_power: float = 0.0
    classifier_weight: float = 5.0
    reconstruction_weight: float = 0.01
    decoder_reconstruction: bool = False
    gradient_penalty_weight: float = 10.0
    critic_steps: int = 5
    adversarial_every: int = 1
    max_steps: int = 1000
    batch_size: int = 64
    learning_rate: float = 2e-4
    weight_decay: float = 1e-3
    schedule: Schedule = "constant"
    augment: Augment = "none"
    small_class: Literal["raise", "adapt"] = "raise"

    networks_: RAENetworks = field(init=False)

    def _build_networks(self) -> RAENetworks:
        shape, n_classes = self.format_.shape, len(self.classes_)
        default_dim = LATENT_DIM_IMAGES if len(shape) == 3 else LATENT_DIM_TABLES
        m = default_dim if self.latent_dim is None else self.latent_dim
        size: dict[str, Any] = {"channels": self.decoder_channels or self.channels, "hidden_units": self.hidden_units}
        return RAENetworks(
            encoder=build_encoder(
                shape,
                m,
                encoder=self.encoder,
                channels=self.channels,
                hidden_units=self.hidden_units,
                dropout=self.dropout,
            ),
            classifier=linear(m, n_classes),
            mixer=Mixer(
                m,
                n_classes,
                n_components=self.n_components,
                hidden_units=default_hidden_units(shape, self.hidden_units),
                dropout=self.dropout,
            ),
            decoder=build_decoder(shape, m, n_classes, **size),
            critic=build_critic(shape, n_classes, **size),
        )

    def _fit_networks(self, data: TrainingSet) -> History:
        training = RAETraining(self.networks_, data, self)
        history = train(
            training.phases(),
            self.max_steps,
            report_every=max(1, min(100, self.max_steps // 50)),
            on_step=training.set_learning_rate,
            verbose=self.verbose,
            description=type(self).__name__,
        )
        self.networks_.eval()
        with torch.inference_mode():
            batches = data.inputs.split(PREDICT_BATCH)
            latents = torch.cat([self.networks_.encoder(data.prepare(batch)) for batch in batches])
        # Sampling needs the latents of the training data, by class, and nothing else of it.
        self.tensors_ = {"latents": latents.cpu(), "labels": data.labels.cpu()}
        return history

    def _generate(self, label: int, n: int, generator: torch.Generator) -> Synthetic:
        """Mix latents of class `label` with the mixer's weights and decode them."""
        members = (self.tensors_["labels"] == label).nonzero().squeeze(1).to(self.device_)
        latents = self.tensors_["latents"].to(self.device_)
        onehot = F.one_hot(torch.tensor([label], device=self.device_), len(self.classes_)).float()
        tuples: Iterator[Tensor] = class_tuples(
            torch.zeros_like(members), min(max(n, 1), PREDICT_BATCH), self.n_components, generator
        )
        outputs, parents, weights = [], [], []
        for start in range(0, n, PREDICT_BATCH):
            count = min(PREDICT_BATCH, n - start)
            rows = members[next(tuples)[:count]]
            z = latents[rows]  # (count, t, m)
            alpha = self.networks_.mixing_weights(z, onehot.expand(count, -1), self.alpha, generator)
            outputs.append(self.networks_.decoder(convex_combination(z, alpha), onehot.expand(count, -1)))
            parents.append(rows.cpu().numpy())
            weights.append(alpha.cpu().numpy())
        if not outputs:
            t = self.n_components
            empty = torch.empty(0, *self.format_.shape)
            return Synthetic(empty, np.empty((0, t), dtype=np.int64), np.empty((0, t)))
        return Synthetic(torch.cat(outputs), np.concatenate(parents), np.concatenate(weights))

    def encode(self, X: Any) -> np.ndarray:
        """Return the latents (n, m) of X."""
        check_is_fitted(self)
        X = self._check_input(X, reset=False)
        with torch.inference_mode():
            return torch.cat([self.networks_.encoder(batch) for batch in self._batches(X)]).cpu().numpy()

    def decode(self, Z: np.ndarray, y: Any) -> Any:
        """Return what the decoder makes of latents Z (n, m) with labels y (n,), in the type and layout of the data."""
        check_is_fitted(self)
        z = torch.as_tensor(np.asarray(Z), dtype=torch.float32, device=self.device_)
        labels = torch.from_numpy(self._class_numbers(y)).to(self.device_)
        m = self.networks_.mixer.latent_dim
        if z.shape != (len(labels), m):
            raise ValueError(
                f"Expected Z to hold a latent of length {m} for each of the {len(labels)} labels, but got an array of "
                f"shape {tuple(z.shape)}."
            )
        onehot = F.one_hot(labels, len(self.classes_)).float()
        with torch.inference_mode():
            pairs = zip(z.split(PREDICT_BATCH), onehot.split(PREDICT_BATCH), strict=True)
            return self.format_.decode(torch.cat([self.networks_.decoder(*pair) for pair in pairs]))

    def reconstruct(self, X: Any, y: Any = None) -> Any:
        """Return what the decoder makes of the latents of X, with labels y (n,) or those that are predicted."""
        Z = self.encode(X)
        if y is None:
            with torch.inference_mode():
                logits = self.networks_.classifier(torch.from_numpy(Z).to(self.device_))
            y = self.classes_[logits.argmax(dim=1).cpu().numpy()]
        return self.decode(Z, y)


@dataclass(kw_only=True, eq=False, repr=False)
class RAEClassifier(_RAE, BaseClassifier):
    """Classifier and generator: a class-preserving regularized autoencoder.

    Defaults are the paper's where it states them. A step is one update of encoder, classifier and mixer, then one of
    the decoder and `critic_steps` of the critic.

    Parameters
    ----------
    latent_dim : int, default: 64 for images and 8 for tables
        Length m of the latent vectors. The paper uses 64 for 28x28 grey images, 128 for SVHN, 256 for CIFAR-10.
    n_components : int, default=2
        How many latents t of one class are mixed; 1 mixes nothing.
    alpha : {"mixer", "uniform"}, default="mixer"
        Where the mixing weights come from, in training and in sampling: the mixer network, or the uniform distribution
        over all convex weights (row 4 of the paper's Table 4). The mixer looks for mixtures that are hard to classify
        and often ends at one of the parents; uniform weights give samples of more variety.
    encoder : nn.Module or "auto", default="auto"
        ``"auto"`` is the paper's network for images or tables. A module has to map inputs (B, c, h, w) in [0, 1], or
        standardised rows (B, d), to latents (B, latent_dim); a copy of it is trained.
    channels : int, default=64
        Channels of the encoder's first convolution.
    decoder_channels : int, default: as `channels`
        Channels of the decoder's last and the critic's first convolution, where most of the time goes.
    hidden_units : int, default: 1024 for images and 512 for tables
        Width of the dense layers.
    dropout : float in [0, 1), default=0.4
        Of encoder and mixer.
    loss : {"ce", "logit_adjusted"}, default="ce"
        Of the classifier, Eq. 6; ``"logit_adjusted"`` adds ``tau`` times the log of the probabilities with which
        classes are drawn to the logits in training (Menon et al., ICLR 2021). The paper has ``"ce"``.
    tau : float, default=1.0
        Strength of the logit adjustment.
    sampling_power : float in [0, 1], default=0.0
        Classes are drawn with probabilities proportional to their sizes to this power: 0 draws all equally often, 1 as
        they occur. Above 0 more of the large classes' variety is seen, and ``loss="logit_adjusted"`` should make up for
        the imbalance that is left.
    classifier_weight, reconstruction_weight : float, default=5.0 and 0.01
        The lambdas of Eq. 7.
    decoder_reconstruction : bool, default=False
        Whether the reconstruction loss trains the decoder too; the paper trains it by the critic alone.
    gradient_penalty_weight : float, default=10.0
        Lambda of Eq. 5.
    critic_steps : int, default=5
        Updates of the critic for each of the decoder.
    adversarial_every : int, default=1
        In every how many steps decoder and critic are updated.
    max_steps : int, default=1000
        Training steps.
    batch_size : int, default=64
        Tuples a step, at least 2: a step sees ``n_components * batch_size`` samples.
    learning_rate : float, default=2e-4
        Of all optimizers.
    weight_decay : float, default=1e-3
        The fraction by which encoder and classifier weights shrink in a step at the full learning rate.
    schedule : {"constant", "cosine", "one_cycle"}, default="constant"
        Of the learning rate of encoder and classifier.
    augment : {"none", "shift", "flip_shift"}, default="none"
        Of the images that encoder and classifier train on, see `latentover.training.augment_images`; the decoder's
        and the critic's targets stay as they are.
    small_class : {"raise", "adapt"}, default="raise"
        What happens to a class with one sample: an error, or it is mixed with itself and a warning names it.
    image_shape : (c, h, w), optional
        Says that the rows of a two-dimensional X are images.
    channels_last : bool, default=False
        Whether images come as (n, h, w, c).
    device : str, default="auto"
        ``"auto"`` is CUDA where there is one, otherwise the CPU.
    precision : {"auto", "float32", "bfloat16"}, default="auto"
        Of the training passes; ``"auto"`` is bfloat16 for images where the hardware computes in it.
    random_state : int, RandomState or None
        The same integer gives the same model on the same machine; the global generators stay untouched.
    verbose : {0, 1}, default=0
        1 shows a progress bar.

    Attributes
    ----------
    classes_, class_counts_, networks_, history_, device_
        See `latentover.estimators.BaseDeepEstimator`.

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

    def _logits(self, batch: Tensor) -> Tensor:
        return self.networks_.logits(images_last(batch))


@dataclass(kw_only=True, eq=False, repr=False)
class RAESampler(_RAE, BaseSampler):
    """Over-sampler: new samples of the rare classes from a class-preserving regularized autoencoder.

    Parameters
    ----------
    sampling_strategy : str, float, dict or callable, default="auto"
        As in imbalanced-learn: which classes are brought to how many samples. ``"auto"`` brings every class to the
        size of the largest; a dict gives final totals.
    latent_dim, n_components, encoder, ...
        See `RAEClassifier`.

    Attributes
    ----------
    sampling_strategy_, synthetic_mask_, parents_, mix_weights_
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
