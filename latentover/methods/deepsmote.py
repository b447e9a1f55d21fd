"""DeepSMOTE: an autoencoder, SMOTE between its latents of one class, and the decoder that turns them into samples.

Encoder and decoder learn to reconstruct; a penalty decodes the latents of samples of one class in another order, so
that the decoder meets within-class variety before SMOTE makes more of it. Neither network is told the label.

Reference
---------
Dablain, Krawczyk and Chawla, "DeepSMOTE: Fusing Deep Learning and SMOTE for Imbalanced Data", IEEE Transactions on
Neural Networks and Learning Systems, 2022. The names of the terms below are those of its Algorithm 1.

Where the authors' code departs from the paper, ``penalty`` has the paper's way as its default:

=============================================  ======================  ===========================================
what                                           ``penalty="paper"``     ``penalty="reference_code"``
=============================================  ======================  ===========================================
what the permuted codes are compared with      the images as they are  the images in the same permutation
who learns from the penalty                    encoder and decoder     the decoder alone
=============================================  ======================  ===========================================

With the code's way the permutation is undone by its target: the penalty is a second reconstruction error, of classes
drawn with equal probability. With the paper's way a code has to be decoded to another image of its class as well, and
the best answer to both terms lies between the image and the mean of its class, nearer to the mean the rarer the class.

Other deviations: networks of the size of the data, those of the class-preserving regularized autoencoder without a
label, with a sigmoid for images in [0, 1] instead of tanh; batch and class subset go through the networks in one pass,
so that a class of one sample can be normalised; the weights of the last step instead of those of the lowest training
loss; a neighbour is never the sample itself, and classes of fewer than six samples have fewer neighbours.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from latentover.estimators import BaseDeepSampler, LatentSpace, PretrainedEncoder, Synthetic, TrainingSet
from latentover.estimators.base import PREDICT_BATCH
from latentover.estimators.parameters import BatchSize, NetworkOrName, Positive, PositiveInt
from latentover.estimators.validation import check_latents
from latentover.mixing import convex_combination
from latentover.mixing.neighbors import nearest_neighbors
from latentover.networks import build_decoder
from latentover.networks.backbones import build_latent_encoder
from latentover.networks.conv import Upsampling
from latentover.networks.layers import images_last, learning
from latentover.training import (
    Batches,
    Losses,
    NaturalBatches,
    Phase,
    Program,
    adam,
    batches_per_epoch,
    parallel,
    rate_over,
)
from latentover.training.schedules import Schedule

LATENT_DIM_IMAGES = 300
LATENT_DIM_TABLES = 32


# ---- Loss terms ------------------------------------------------------------------------------------------------------


def shift_by_one(x: Tensor) -> Tensor:
    """Return rows (k, ...) in the order 1, 2, ..., k - 1, 0: the permutation of Algorithm 1.

    Examples
    --------
    >>> import torch
    >>> shift_by_one(torch.arange(4))
    tensor([1, 2, 3, 0])
    """
    return x.roll(-1, 0)


def reconstruction_loss(decoded: Tensor, images: Tensor) -> Tensor:
    """Return R_L, the mean squared error over all elements of two tensors (k, ...)."""
    return F.mse_loss(decoded, images)


def penalty_loss(decoded: Tensor, images: Tensor, penalty: str = "paper") -> Tensor:
    """Return P_L, the mean squared error of what was decoded from permuted codes.

    Parameters
    ----------
    decoded : Tensor of shape (k, ...)
        What the decoder makes of ``shift_by_one(codes)``.
    images : Tensor of shape (k, ...)
        Of one class, in the order in which they were encoded.
    penalty : {"paper", "reference_code"}
        Whether they are compared as they are or in the permutation of the codes.

    Examples
    --------
    >>> import torch
    >>> images = torch.eye(3)
    >>> perfect = shift_by_one(images)  # from a decoder that makes no error
    >>> [round(penalty_loss(perfect, images, penalty).item(), 4) for penalty in ("paper", "reference_code")]
    [0.6667, 0.0]
    """
    return F.mse_loss(decoded, images if penalty == "paper" else shift_by_one(images))


# ---- Core ------------------------------------------------------------------------------------------------------------


class DeepSMOTENetworks(nn.Module):
    """The networks: encoder and decoder, which do not see the label."""

    def __init__(self, encoder: nn.Module, decoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder

    def encode(self, x: Tensor) -> Tensor:
        """Map inputs (B, ...) to codes (B, m)."""
        return self.encoder(images_last(x))

    def decode(self, z: Tensor) -> Tensor:
        """Map codes (B, m) to outputs (B, ...)."""
        return self.decoder(z, z.new_empty(len(z), 0))


class ClassSubsets(Batches):
    """Row numbers of up to `size` distinct samples of one class, which is drawn uniformly."""

    def __init__(self, labels: Tensor, size: int, generator: torch.Generator) -> None:
        self.classes = [(labels == label).nonzero().squeeze(1) for label in range(int(labels.max()) + 1)]
        self.generator = generator
        self.subsets = {n: labels.new_empty(n) for n in {min(len(rows), size) for rows in self.classes}}
        self.size, self.length = size, 0

    def advance(self) -> int:
        """Draw the next subset, for its class says how large it is, and return its size."""
        device = self.generator.device
        rows = self.classes[int(torch.randint(len(self.classes), (1,), generator=self.generator, device=device))]
        drawn = rows[torch.randperm(len(rows), generator=self.generator, device=device)[: self.size]]
        self.length = len(drawn)
        self.subsets[self.length].copy_(drawn)
        return self.length

    def draw(self) -> Tensor:
        """Return the subset (k,)."""
        return self.subsets[self.length]


class DeepSMOTEProgram(Program):
    """One update a step, of encoder and decoder on T_L = R_L + P_L.

    Parameters
    ----------
    networks : DeepSMOTENetworks
    data : TrainingSet
    settings : DeepSMOTE
    """

    networks: DeepSMOTENetworks

    def __init__(self, networks: DeepSMOTENetworks, data: TrainingSet, settings: "DeepSMOTE") -> None:
        self.data, self.settings = data, settings
        size = settings.batch_size * parallel.n_processes()
        self.batches = NaturalBatches(len(data.labels), size, data.generator)
        self.subsets = ClassSubsets(data.labels, size, data.generator)
        n_steps = settings.max_epochs * batches_per_epoch(len(data.labels), size)
        phase = Phase(
            name="autoencoder",
            draw=self.draw,
            losses=self.losses,
            moves={"autoencoder": {"reconstruction": 1.0, "penalty": 1.0}},
            streams=[self.batches, self.subsets],
        )
        super().__init__(
            networks=networks,
            # One Adam for both networks is the same as one for each.
            optimizers={"autoencoder": adam(learning(networks), settings.learning_rate)},
            phases=[phase],
            n_steps=n_steps,
            rates={"autoencoder": rate_over(settings.schedule, n_steps)},
            compile=settings.compile,
        )
        self.encode, self.decode = self.compiled(networks.encode), self.compiled(networks.decode)

    def draw(self) -> tuple[Tensor, int]:
        """Return inputs (B + k, ...), first a batch and then samples of one class, and the size B."""
        batch, subset = parallel.share(self.batches.draw()), parallel.share(self.subsets.draw())
        return self.data.prepare(self.data.inputs[torch.cat([batch, subset])]), len(batch)

    def losses(self, draws: tuple[Tensor, int]) -> Losses:
        """Return R_L and P_L."""
        x, n = draws
        codes = self.encode(x)
        permuted = shift_by_one(codes[n:] if self.settings.penalty == "paper" else codes[n:].detach())
        decoded = self.decode(torch.cat([codes[:n], permuted])).float()
        return {
            "reconstruction": reconstruction_loss(decoded[:n], x[:n]),
            "penalty": penalty_loss(decoded[n:], x[n:], self.settings.penalty),
        }


# ---- Estimator -------------------------------------------------------------------------------------------------------


@dataclass(kw_only=True, eq=False, repr=False)
class DeepSMOTE(PretrainedEncoder, LatentSpace, BaseDeepSampler):
    """Over-sampler: SMOTE in the latent space of an autoencoder, and its decoder.

    For each new sample a sample of the class is chosen and one of its `k_neighbors` nearest of that class, by the
    Euclidean distance of their codes; what lies on the way from one code to the other, at a uniform place, is decoded.

    Parameters
    ----------
    sampling_strategy : str, float, dict or callable, default="auto"
        As in imbalanced-learn: which classes are brought to how many samples. ``"auto"`` brings every class to the
        size of the largest; a dict gives final totals.
    latent_dim : int, default: 300 for images and 32 for tables
        Length m of the codes. The authors' code has 300 for 28x28 grey images and 600 for 32x32 colour images.
    k_neighbors : int, default=5
        Neighbours of SMOTE. A class of n samples has at most n - 1, and one of a single sample repeats it.
    penalty : {"paper", "reference_code"}, default="paper"
        What the penalty compares, see the top of this module. The paper's draws the samples of a class towards its
        mean, the more so the rarer the class; with the authors' code's they keep the variety of the class.
    encoder : str or nn.Module, default="auto"
        See `latentover.RAEClassifier`.
    encoder_weights, freeze_encoder, encoder_size
        See `latentover.estimators.PretrainedEncoder`.
    channels : int, default=64
        Channels of the encoder's first convolution.
    decoder_channels : int, default: as `channels`
        Channels of the decoder's last but one convolution, where most of the time goes.
    decoder_upsampling : {"resize", "transposed"}, default="resize"
        How the decoder of images makes them larger: it repeats pixels and convolves, or by the transposed convolutions
        of the authors' code, which leave a checkerboard where there are few images.
    hidden_units : int, default: 1024 for images and 512 for tables
        Width of the dense layers.
    batch_size : int, default=100
        Samples of a batch, at least 2, and the most that the penalty takes of a class.
    max_epochs : int, default=200
        Passes over the data.
    learning_rate : float, default=2e-4
        Of Adam.
    schedule : {"constant", "cosine", "one_cycle"}, default="constant"
        Of the learning rate.
    keep_index
        See `latentover.estimators.BaseSampler`.
    small_class, base_selection, clip, constraints
        See `latentover.estimators.BaseGenerator`. A class needs ``k_neighbors + 1`` samples.
    image_shape, channels_last, numbers, categorical_features, identifiers, new_identifiers, missing, device,
    random_state, verbose
        See `latentover.estimators.BaseDataEstimator`.
    precision, checkpoint, checkpoint_every, compile, capture, callbacks
        See `latentover.estimators.BaseDeepEstimator`.

    Attributes
    ----------
    sampling_strategy_, synthetic_mask_, sample_origin_, parents_, mix_weights_, sample_weight_
        See `latentover.estimators.BaseSampler`. The parents are the sample and its neighbour.
    classes_, class_counts_, networks_, history_, device_, diversity_
        See `latentover.estimators.BaseDeepEstimator` and `latentover.estimators.BaseGenerator`. The history's losses
        are ``reconstruction`` (R_L) and ``penalty`` (P_L).

    References
    ----------
    Dablain, Krawczyk and Chawla, "DeepSMOTE: Fusing Deep Learning and SMOTE for Imbalanced Data", IEEE Transactions on
    Neural Networks and Learning Systems, 2022.

    Examples
    --------
    >>> from collections import Counter
    >>> from sklearn.datasets import make_classification
    >>> X, y = make_classification(200, weights=[0.9], flip_y=0, random_state=0)
    >>> sampler = DeepSMOTE(max_epochs=10, hidden_units=32, penalty="reference_code", random_state=0)
    >>> X_resampled, y_resampled = sampler.fit_resample(X, y)
    >>> sorted(Counter(y_resampled.tolist()).items())
    [(0, 181), (1, 181)]
    """

    latent_dim: PositiveInt | None = None
    k_neighbors: PositiveInt = 5
    penalty: Literal["paper", "reference_code"] = "paper"
    encoder: NetworkOrName = "auto"
    channels: PositiveInt = 64
    decoder_channels: PositiveInt | None = None
    decoder_upsampling: Upsampling = "resize"
    hidden_units: PositiveInt | None = None
    batch_size: BatchSize = 100
    max_epochs: PositiveInt = 200
    learning_rate: Positive = 2e-4
    schedule: Schedule = "constant"

    networks_: DeepSMOTENetworks = field(init=False)

    def _rows_needed(self) -> int:
        return self.k_neighbors + 1

    def _build_networks(self) -> DeepSMOTENetworks:
        shape = self.format_.shape
        default_dim = LATENT_DIM_IMAGES if len(shape) == 3 else LATENT_DIM_TABLES
        m = default_dim if self.latent_dim is None else self.latent_dim
        return DeepSMOTENetworks(
            build_latent_encoder(
                shape,
                m,
                self.encoder,
                **self._encoder_options(),
                channels=self.channels,
                hidden_units=self.hidden_units,
                dropout=0.0,
            ),
            build_decoder(
                shape,
                m,
                0,
                channels=self.decoder_channels or self.channels,
                hidden_units=self.hidden_units,
                upsampling=self.decoder_upsampling,
            ),
        )

    def _check_settings(self) -> list[str]:
        return [*super()._check_settings(), *self._encoder_problems("encoder")]

    def _initial_networks(self) -> nn.Module:
        return self._with_weights(self._build_networks(), self.encoder)

    def _program(self, data: TrainingSet) -> DeepSMOTEProgram:
        return DeepSMOTEProgram(self.networks_, data, self)

    def _keep(self, data: TrainingSet, program: Program) -> None:
        latents = self._encoded_inputs(data)
        rows = torch.arange(len(latents), device=data.device)
        if data.sample_weight is not None:  # a row without weight is no parent
            rows = rows[data.sample_weight > 0]
        neighbors = torch.zeros(len(latents), self.k_neighbors, dtype=torch.int64, device=data.device)
        neighbors[rows] = rows[nearest_neighbors(latents[rows], self.k_neighbors, labels=data.labels[rows])]
        class_counts = torch.bincount(data.labels[rows], minlength=data.n_classes)
        # Sampling needs the codes of the training data, by class, and nothing else of it.
        self.tensors_ = {
            "latents": latents.cpu(),
            "labels": data.labels.cpu(),
            "neighbors": neighbors.cpu(),
            "n_neighbors": (class_counts - 1).clamp(1, self.k_neighbors).cpu(),
        }

    def _generate(self, label: int, n: int, generator: torch.Generator) -> Synthetic:
        """Decode what lies between the codes of class `label` and those of their neighbours."""
        base = self._draw_parents(label, n, 1, generator).squeeze(1)
        rank = torch.randint(
            int(self.tensors_["n_neighbors"][label]), (n,), generator=generator, device=generator.device
        )
        rows = torch.stack([base, self.tensors_["neighbors"].to(base.device)[base, rank]], dim=1)
        step = torch.rand(n, 1, generator=generator, device=generator.device)
        weights = torch.cat([1 - step, step], dim=1)
        codes = convex_combination(self.tensors_["latents"].to(rows.device)[rows], weights)
        return Synthetic(self.networks_.decode(codes).float(), rows.cpu().numpy(), weights.cpu().numpy())

    def _encoded(self, batch: Tensor) -> Tensor:
        return self.networks_.encode(batch)

    def decode(self, Z: np.ndarray) -> Any:
        """Return what the decoder makes of codes Z (n, m), in the type and layout of the data."""
        check_is_fitted(self)
        z = torch.from_numpy(check_latents(Z, self.tensors_["latents"].shape[1])).to(self.device_)
        with torch.inference_mode():
            return self.format_.decode(torch.cat([self.networks_.decode(part) for part in z.split(PREDICT_BATCH)]))

    def reconstruct(self, X: Any) -> Any:
        """Return what the decoder makes of the codes of X, in the type and layout of the data."""
        return self.decode(self.encode(X))
