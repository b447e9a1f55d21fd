"""Deep classifiers for imbalanced data, composed of small parts: network, mixing, loss, class weights, schedule.

With its defaults this is plain empirical risk minimisation. Its settings are two families:

- the controls that every generator has to beat: class weights, class-balanced batches and logit adjustment (Menon et
  al., ICLR 2021), on the same encoder and with the same optimizer as the autoencoder they stand beside;
- the methods of Cheng, Mai and Lin, "From SMOTE to Mixup for Deep Imbalanced Classification", 2023 (Algorithm 1): any
  rule of `latentover.mixing`, LDAM (Cao et al., NeurIPS 2019), the effective number of samples (Cui et al., CVPR
  2019), deferred re-weighting, residual networks and their schedule.

Where that paper and its authors' code differ there is a parameter, with the paper's way as its default: the code runs
every clean batch through the network before the mixed one, which moves the statistics of batch normalisation
(`bn_clean_forward`). Both divide the weighted losses of a batch by its size; the default here is PyTorch's division by
the sum of the weights, a much larger step once rare classes are weighted (`loss_reduction`).
"""

import copy
import math
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal, Self

import torch
import torch.nn.functional as F
from imblearn.over_sampling.base import BaseOverSampler
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from latentover.estimators import BaseClassifier, LatentSpace, PretrainedEncoder, StoppableTraining, TrainingSet
from latentover.estimators.base import PREDICT_BATCH, BaseDataEstimator
from latentover.estimators.labels import check_strategy
from latentover.estimators.parameters import (
    BatchSize,
    Expected,
    Fraction,
    Mixing,
    NetworkOrName,
    NonNegative,
    Positive,
    PositiveInt,
    ProperFraction,
)
from latentover.estimators.resampled import resampled, with_rows
from latentover.estimators.validation import check_parameters, naming
from latentover.estimators.watch import spread_rows
from latentover.losses import (
    DRW,
    GaussianLatents,
    LatentAugmentation,
    LDAMLoss,
    VonMisesFisherLatents,
    adjusted_logits,
    balanced_softmax_loss,
    class_balanced_weights,
    focal_loss,
    inverse_frequency_weights,
    reduce_losses,
    softmax_binary_cross_entropy,
)
from latentover.losses.latents import RunningDirections, RunningGaussians
from latentover.losses.reductions import Reduction
from latentover.metrics.tracking import tracked_scores
from latentover.mixing import AMMixup, BoundaryMix, DrawnPartners, Mixed, MixingRule
from latentover.networks.backbones import build_backbone, hidden_stages, run_stages
from latentover.networks.cosine import CosineClassifier
from latentover.networks.layers import evaluating, images_last, learning, linear
from latentover.networks.standardizer import Standardizer
from latentover.training import (
    Action,
    ClassBatches,
    Engine,
    Losses,
    NaturalBatches,
    Phase,
    Program,
    augment_images,
    batches_per_epoch,
    class_probabilities,
    make_optimizer,
    parallel,
    rate_over,
)
from latentover.training.accuracy import TrainingAccuracy, right_share
from latentover.training.augment import Augment
from latentover.training.checkpoints import is_keeping, keeping
from latentover.training.engine import History
from latentover.training.optimizers import Optimizer
from latentover.training.schedules import Schedule
from latentover.training.step_decay import StepDecay

SAMPLING_POWERS = {"natural": 1.0, "square_root": 0.5, "class_balanced": 0.0}
"""Kinds of batches: classes are drawn in proportion to their size to this power."""
_OF_THE_WHOLE_NETWORK = {
    "mixing": None,
    "latent_augmentation": None,
    "bn_clean_forward": False,
    "augment": "none",
    "stage_sampler": None,
    "ema": 0.0,
    "track": False,
    "compile": False,
}
"""What a head that is trained on features does without."""
TRACKED_ROWS = 1000
"""Training samples, and validation samples, that are looked at for the history: as many of every class as fit in."""
Loss = Literal["ce", "bce", "focal", "ldam", "logit_adjusted", "balanced_softmax"]
Criterion = Callable[[Tensor, Tensor], Tensor]
"""From outputs (B, C) and class numbers (B,) to losses (B,)."""
Pair = tuple[Tensor, Tensor]
"""Weights (B,) of samples i and of their partners j."""


# ---- Losses of a batch -----------------------------------------------------------------------------------------------


def pair_loss(
    criterion: Criterion,
    outputs: Tensor,
    mixed: Mixed,
    weight: Tensor | None,
    reduction: Reduction = "weighted_mean",
    sample_weight: Pair | None = None,
) -> Tensor:
    r"""Return the loss of mixed samples, :math:`\lambda_y w_i L(f, y_i) + (1 - \lambda_y) w_j L(f, y_j)` a sample.

    Parameters
    ----------
    criterion : callable
    outputs : Tensor of shape (B, C)
    mixed : Mixed
    weight : Tensor of shape (C,), optional
        Class weights, which the weights of samples i and j multiply.
    reduction : {"weighted_mean", "mean"}
        ``"mean"`` divides by B, ``"weighted_mean"`` by the sum of :math:`\lambda_y w_i + (1 - \lambda_y) w_j`, of
        which several processes take the mean.
    sample_weight : two Tensors of shape (B,), optional
        Of samples i and of samples j.

    Returns
    -------
    scalar Tensor
        0 for no sample at all.
    """
    first, second = mixed.label_weight, 1 - mixed.label_weight
    if weight is not None:
        first, second = first * weight[mixed.labels], second * weight[mixed.partners]
    if sample_weight is not None:
        first, second = first * sample_weight[0], second * sample_weight[1]
    total = (first * criterion(outputs, mixed.labels) + second * criterion(outputs, mixed.partners)).sum()
    return total / (parallel.mean_total(first + second) if reduction == "weighted_mean" else max(len(outputs), 1))


def label_loss(
    criterion: Criterion,
    outputs: Tensor,
    labels: Tensor,
    weight: Tensor | None,
    reduction: Reduction = "weighted_mean",
    sample_weight: Tensor | None = None,
) -> Tensor:
    """Return the loss of samples with plain labels (B,) and weights of their own; see `pair_loss`."""
    losses, weights = criterion(outputs, labels), sample_weight
    if weight is not None:
        weights = weight[labels] if weights is None else weight[labels] * weights
    return reduce_losses(losses, weights, "mean") if reduction == "mean" else parallel.weighted_mean(losses, weights)


# ---- The estimator ---------------------------------------------------------------------------------------------------


@dataclass(kw_only=True, eq=False, repr=False)
class DeepClassifier(PretrainedEncoder, StoppableTraining, LatentSpace, BaseClassifier):
    """A network with a linear classifier, trained with a loss, mixing and class weights of choice.

    Parameters
    ----------
    backbone : nn.Module or str, default="auto"
        ``"auto"`` is the RAE paper's encoder for images (``"conv"``) or tables; ``"resnet"`` a small and fast
        residual network; ``"resnet32"`` and ``"resnet18"`` those of the long-tailed benchmarks, with features of length
        64 and 512; any other name a classification model of torchvision, and ``"timm/<name>"`` a model of timm (the
        extra ``timm``), without trained weights unless `encoder_weights` says so. A module has to map inputs
        (B, c, h, w) in [0, 1], or standardised rows (B, d), to features (B, feature_dim); a copy of it is trained.
    encoder_weights, freeze_encoder, encoder_size
        Of the backbone, see `latentover.estimators.PretrainedEncoder`.
    mixing : rule of `latentover.mixing`, optional
        `Mixup`, `Remix`, `MAMix`, `SMOTEMix`, `NeighborMix`, `ManifoldMixup`, `AMMixup`, `CutMix`, `CMO`,
        `BoundaryMix`. Neighbours are searched once, before training.
    loss : {"ce", "bce", "focal", "ldam", "logit_adjusted", "balanced_softmax"}, default="ce"
        Cross-entropy; the binary one over softmax probabilities that manifold mixup was published with; the focal loss;
        margins on the cosines of a classifier without bias; ``tau * log(prior)`` added to the logits in training, and
        the same with tau = 1.
    tau : float, default=1.0
        Strength of the logit adjustment.
    focal_gamma : float, default=2.0
        Of the focal loss; 0 is cross-entropy.
    latent_augmentation : GaussianLatents or VonMisesFisherLatents of `latentover.losses`, optional
        The loss as if infinitely many latents were drawn around each class's features, whose moments are followed:
        inside `loss`, other than ``"ldam"``, or beside it. With mixing they are those of mixed samples, unless the rule
        mixes features or `bn_clean_forward` has clean ones at hand.
    ldam_margin, ldam_scale : float, default=0.5 and 30.0
        Margin of the rarest class, and what cosines are multiplied with, also those of ``classifier="cosine"``; see
        `latentover.losses.LDAMLoss`. The scale is not learned: log priors are added to scaled cosines, and a scale that
        grows would take their weight from them.
    reweighting : {None, "class_weights", "effective_number", "drw"}, default=None
        ``"class_weights"`` weights each class by N / (C n_c), so that all classes have the same total weight;
        ``"effective_number"`` by the inverse effective number of its samples; ``"drw"`` does that too, but only from
        `drw_start` on.
    effective_beta : float in [0, 1), default=0.9999
        See `latentover.losses.class_balanced_weights`.
    drw_start : float in [0, 1], default=0.8
        Fraction of the epochs after which ``"drw"`` weights; 160 of 200.
    loss_reduction : {"weighted_mean", "mean"}, default="weighted_mean"
        Whether a batch's weighted losses are divided by the sum of their weights, which are those of classes times
        `sample_weight`, or by the size of the batch.
    batches : {"natural", "square_root", "class_balanced"}, default="natural"
        ``"class_balanced"`` draws every class with the same probability, ``"square_root"`` in proportion to the root of
        its size. ``loss="logit_adjusted"`` adjusts for the probabilities with which classes are drawn.
    stage_sampler : over-sampler of latentover or imbalanced-learn, optional
        Makes the training set of a last stage, once, before the training: the samples of the training part and its own
        beside them, on which the network then trains like on any others. It sees images in [0, 1] or as uint8, and
        rows of a table encoded as the network sees them. A clone is used, with this estimator's device and a seed from
        its `random_state`.
    stage_start : float in [0, 1), default=0.8
        Fraction of the epochs after which the stage begins; 160 of 200. Class weights, margins, priors and the class
        counts that mixing rules go by are those of its training set from then on.
    stage_augment : {"none", "shift", "flip_shift", ...}, default="none"
        What `augment` is in the stage.
    synthetic_weight : float in [0, 1], default=1.0
        What a new sample counts against a real one of its class, in the stage and for the head; each class keeps its
        total.
    head_sampler : over-sampler of latentover or imbalanced-learn, optional
        After the training the encoder is frozen, the features of the training part are over-sampled by a clone of this,
        and the linear classifier is trained anew on real and new features, with the same loss, batches and class
        weights as before, after the counts of this set, without mixing; the weights of its last epoch are used.
    head_epochs : int, default=10
        Passes over that set.
    head_learning_rate : float, default: as `learning_rate`
        The schedule begins anew with it.
    feature_dim : int, default=64
        Length of the output of ``"auto"``, ``"conv"``, ``"resnet"`` and of a module.
    channels : int, default=64
        Channels of the first convolution of ``"auto"``, ``"conv"`` and ``"resnet"``.
    hidden_units : int, default: 1024 for images and 512 for tables
        Width of the dense layers of ``"auto"`` and ``"conv"``.
    dropout : float in [0, 1), default=0.4
        Of ``"auto"`` and ``"conv"``.
    classifier : {"linear", "cosine"}, default="linear"
        Logits are linear in the features, or cosines of their angles with one direction a class times `ldam_scale`, so
        that no class gains by longer weights. ``loss="ldam"`` has cosines whatever is said here.
    classifier_bias : bool, default=True
        Whether the linear classifier has a bias, which those of the long-tailed benchmarks have not.
    standardize : bool, default=False
        Whether each channel of images is brought to mean 0 and standard deviation 1 of the training images. Tables
        always are.
    bn_clean_forward : bool, default=False
        Whether, before each mixed batch, the clean one passes through the network too, without a gradient, so that
        batch normalisation keeps statistics of both. Doubles the forward passes.
    max_epochs : int, default=20
        Each has as many steps as all rows make batches, whatever the kind of batches and in a stage too.
    batch_size : int, default=128
        At least 2.
    optimizer : {"adamw", "sgd"}, default="adamw"
        ``"sgd"`` has momentum 0.9.
    nesterov : bool, default=True
        Whether the momentum is Nesterov's, which the long-tailed benchmarks do not use.
    learning_rate : float, default=2e-4
    weight_decay : float, default=1e-3
        The fraction by which the weights shrink in a step at the full learning rate. For SGD that is the learning rate
        times the usual L2 strength.
    schedule : {"constant", "cosine", "one_cycle"} or StepDecay, default="constant"
        Of the learning rate; a `latentover.training.step_decay.StepDecay` has a warm-up and milestones.
    ema : float in [0, 1), default=0.0
        Decay of a moving average of the weights, which is then used in their place. Running statistics of batch
        normalisation are averaged with them; they are those of the averaged weights only while these hardly move, so
        1 / (1 - ema) should be a few percent of the steps.
    augment : {"none", "shift", "flip_shift", ...}, default="none"
        Of training images, see `latentover.training.augment_images`; tables stay as they are.
    average_mirrored : bool, default=False
        Whether predictions are averaged over an image and its mirror image.
    early_stopping, validation_fraction, n_iter_no_change
        See `latentover.estimators.StoppableTraining`; a report is an epoch.
    final_weights : {"best", "last"}, default="best"
        With `early_stopping`: ``"best"`` stops where nothing is gained any more and uses the weights that scored best
        on the validation part. ``"last"`` trains for all epochs and uses the weights of the last one;
        `best_on_validation` gives the others, so that both can be reported.
    track : bool, default=False
        Whether each row of `history_` says what papers on imbalanced classification look at: margins, margin gap and
        its parts, fit to the theoretical margins, alignment and uniformity of the features, accuracies of classes with
        many and few samples and of every class, under the names of `latentover.metrics.tracking.tracked_scores` with
        ``train_`` and ``validation_`` before them. Of up to 1000 training samples, without augmentation, and as many of
        the validation part if there is one.
    image_shape, channels_last, numbers, categorical_features, identifiers, new_identifiers, missing, device,
    random_state, verbose
        See `latentover.estimators.BaseDataEstimator`.
    precision, checkpoint, checkpoint_every, compile, capture, callbacks
        See `latentover.estimators.BaseDeepEstimator`.

    Attributes
    ----------
    head_history_ : list of dict
        Of the head's training, where there was a `head_sampler`.
    classes_, class_counts_, networks_, history_, device_
        See `latentover.estimators.BaseDeepEstimator`. With ``loss="ldam"`` logits are cosines times `ldam_scale`, and
        tracked margins are those of the cosines.

    Notes
    -----
    Started by ``torchrun``, every process draws the same batches, `batch_size` times their number in size, and takes
    its part of each; a last batch that cannot be divided begins anew with its first rows. Rules that mix behind a stage
    of the network, and the translations of M2m, find partners within the part.

    Examples
    --------
    >>> from sklearn.datasets import make_classification
    >>> from latentover.mixing import MAMix
    >>> X, y = make_classification(200, weights=[0.9], random_state=0)
    >>> small = {"max_epochs": 5, "hidden_units": 32, "random_state": 0}
    >>> control = DeepClassifier(batches="class_balanced", **small).fit(X, y)
    >>> control.predict_proba(X).shape
    (200, 2)
    >>> mixed = DeepClassifier(mixing=MAMix(), reweighting="drw", **small).fit(X, y)
    >>> len(mixed.history_)
    5
    """

    # Network
    backbone: NetworkOrName = "auto"
    feature_dim: PositiveInt = 64
    channels: PositiveInt = 64
    hidden_units: PositiveInt | None = None
    dropout: ProperFraction = 0.4
    classifier: Literal["linear", "cosine"] = "linear"
    classifier_bias: bool = True
    standardize: bool = False
    # Loss
    mixing: Mixing = None
    loss: Loss = "ce"
    tau: NonNegative = 1.0
    focal_gamma: NonNegative = 2.0
    latent_augmentation: Annotated[
        LatentAugmentation | None, Expected("None, GaussianLatents() or VonMisesFisherLatents() of latentover.losses")
    ] = None
    ldam_margin: NonNegative = 0.5
    ldam_scale: Positive = 30.0
    reweighting: Literal["class_weights", "effective_number", "drw"] | None = None
    effective_beta: ProperFraction = 0.9999
    drw_start: Fraction = 0.8
    loss_reduction: Literal["weighted_mean", "mean"] = "weighted_mean"
    # Batches
    batches: Literal["natural", "square_root", "class_balanced"] = "natural"
    batch_size: BatchSize = 128
    augment: Augment = "none"
    bn_clean_forward: bool = False
    # Stage
    stage_sampler: Annotated[BaseOverSampler | None, Expected("None or an over-sampler such as DeepSMOTE()")] = None
    stage_start: ProperFraction = 0.8
    stage_augment: Augment = "none"
    synthetic_weight: Fraction = 1.0
    # Head
    head_sampler: Annotated[BaseOverSampler | None, Expected("None or an over-sampler such as FlowSampler()")] = None
    head_epochs: PositiveInt = 10
    head_learning_rate: Positive | None = None
    # Updates
    max_epochs: PositiveInt = 20
    optimizer: Optimizer = "adamw"
    nesterov: bool = True
    learning_rate: Positive = 2e-4
    weight_decay: NonNegative = 1e-3
    schedule: Schedule | StepDecay = "constant"
    ema: ProperFraction = 0.0
    # Use
    average_mirrored: bool = False
    final_weights: Literal["best", "last"] = "best"
    track: bool = False

    networks_: nn.ModuleDict = field(init=False)
    head_history_: History = field(init=False)
    _best_weights: dict[str, Tensor] = field(init=False)

    def _check_settings(self) -> list[str]:
        problems = super()._check_settings()
        problems += self._encoder_problems("backbone")
        if self.loss == "ldam" and isinstance(self.latent_augmentation, GaussianLatents):
            problems.append(
                f"latent_augmentation to go with logits, but got {self.latent_augmentation!r} with loss='ldam', whose "
                "outputs are cosines; take loss='logit_adjusted' and classifier='cosine'"
            )
        for sampler in (self.stage_sampler, self.head_sampler):
            if isinstance(sampler, BaseDataEstimator):
                check_parameters(sampler)
        if self.stage_sampler is not None and self._stage_epoch() >= self.max_epochs:
            problems.append(
                f"stage_start to leave an epoch of max_epochs={self.max_epochs} to the stage, but got "
                f"{self.stage_start!r}"
            )
        return problems

    def _stage_epoch(self) -> int:
        """Return the first epoch of the stage, counted from 0."""
        return int(self.stage_start * self.max_epochs + 0.5)

    def _build_networks(self) -> nn.ModuleDict:
        backbone, feature_dim = build_backbone(
            self.format_.shape,
            self.backbone,
            feature_dim=self.feature_dim,
            **self._encoder_options(),
            channels=self.channels,
            hidden_units=self.hidden_units,
            dropout=self.dropout,
        )
        n_classes = len(self.classes_)
        classifier: nn.Module
        if self.loss == "ldam":
            classifier = CosineClassifier(feature_dim, n_classes)  # its loss scales them
        elif self.classifier == "cosine":
            classifier = CosineClassifier(feature_dim, n_classes, self.ldam_scale)
        elif self.classifier_bias:
            classifier = linear(feature_dim, n_classes)
        else:
            classifier = nn.Linear(feature_dim, n_classes, bias=False)
        networks = nn.ModuleDict({"encoder": backbone, "classifier": classifier})
        if self.standardize and len(self.format_.shape) == 3:
            networks["standardizer"] = Standardizer(self.format_.shape[0])
        if isinstance(self.latent_augmentation, VonMisesFisherLatents):
            networks["projection"] = nn.Sequential(
                linear(feature_dim, feature_dim),
                nn.ReLU(),
                linear(feature_dim, self.latent_augmentation.projection_dim),
            )
        return networks

    def _initial_networks(self) -> nn.ModuleDict:
        return self._with_weights(self._build_networks(), self.backbone)

    def _program(self, data: TrainingSet) -> "ClassifierProgram":
        self._learn_standardizer(self.networks_, data)
        return ClassifierProgram(self, self.networks_, data)

    def _learn(self, data: TrainingSet) -> None:
        if self.head_sampler is None:
            super()._learn(data)
            return
        self._check_head_sampler(data)
        with keeping():  # until the head is trained too
            super()._learn(data)
        if data.checkpoint is not None and parallel.rank() == 0 and not is_keeping():
            data.checkpoint.remove()

    def _check_head_sampler(self, data: TrainingSet) -> None:
        """Raise ValueError, before anything is trained, for classes that are not there or too small for neighbours."""
        wanted = getattr(self.head_sampler, "sampling_strategy", "auto")
        with naming("head_sampler", "an over-sampler that can work with the training part"):
            check_strategy(wanted, self.classes_[data.labels.cpu().numpy()])
        k = getattr(self.head_sampler, "k_neighbors", None)
        smallest = int(data.class_counts.min())
        if not isinstance(self.head_sampler, BaseDataEstimator) and isinstance(k, int) and k >= smallest:
            raise ValueError(
                f"Expected head_sampler to have k_neighbors below {smallest}, the samples of the smallest class in the "
                f"training part, but got {k}; lower it, or pass a sampler of latentover, which makes do with fewer."
            )

    def _keep(self, data: TrainingSet, program: Program) -> None:
        super()._keep(data, program)
        if self.head_sampler is not None:
            self._train_head(data)

    def _train_head(self, data: TrainingSet) -> None:
        """Train the linear classifier anew, on the features of real samples and what the sampler makes of them."""
        rate = self.learning_rate if self.head_learning_rate is None else self.head_learning_rate
        of_features = replace(
            data,
            inputs=self._encoded_inputs(data),
            prepare=lambda batch: batch,
            dtype=torch.float32,
            validation=None,
            checkpoint=None if data.checkpoint is None else data.checkpoint.part("head"),
        )
        made = resampled(
            self.head_sampler,
            of_features,
            self,
            name="head_sampler",
            part="head_sampler",
            synthetic_weight=self.synthetic_weight,
        )
        settings = copy.copy(self)  # the same loss and batches, on features
        changed = {
            "max_epochs": self.head_epochs,
            "learning_rate": rate,
            "weight_decay": self.weight_decay * rate / self.learning_rate,  # of the same strength
        }
        for name, value in {**_OF_THE_WHOLE_NETWORK, **changed}.items():
            setattr(settings, name, value)
        networks = nn.ModuleDict({"encoder": nn.Identity(), "classifier": self._build_networks()["classifier"]})
        program = ClassifierProgram(settings, networks.to(data.device).train(), made)
        self.head_history_ = self._engine(program, made, description=f"{type(self).__name__}, head").run()
        self.networks_["classifier"] = networks["classifier"].eval()

    def _patience(self) -> int | None:
        return None if self.final_weights == "last" else super()._patience()

    def _trained(self, engine: Engine) -> None:
        """Keep the weights that were best on the validation part beside those of the last epoch."""
        last = self.final_weights == "last"
        self._best_weights = {name: weight.cpu() for name, weight in engine.best_weights.items()} if last else {}

    @property
    def best_epoch_(self) -> int:
        """The epoch, counted from 1, after which the score on the validation part was highest; the first of several.

        Raises
        ------
        AttributeError
            Without a validation part.
        """
        scores = [row.get("validation_acsa", -math.inf) for row in getattr(self, "history_", [])]
        if not scores or max(scores) == -math.inf:
            raise AttributeError("Expected a classifier fitted with early_stopping=True; fit one.")
        return scores.index(max(scores)) + 1

    def best_on_validation(self) -> Self:
        """Return a copy with the weights that scored best on the validation part, of epoch `best_epoch_`.

        A bundle holds the weights that are used alone.

        Raises
        ------
        ValueError
            If it was not fitted with ``early_stopping=True`` and ``final_weights="last"``.
        """
        check_is_fitted(self)
        weights = getattr(self, "_best_weights", None)
        if not weights:
            raise ValueError(
                "Expected a classifier that kept its best weights beside the last ones, but this one did not; fit it "
                "with early_stopping=True and final_weights='last'."
            )
        best = copy.copy(self)
        best.networks_ = copy.deepcopy(self.networks_)
        best.networks_.load_state_dict(weights)
        return best

    def _encoded(self, batch: Tensor) -> Tensor:
        """Return features (B, d): what the linear classifier sees."""
        return self._features(self.networks_, batch)

    @staticmethod
    def _learn_standardizer(networks: nn.ModuleDict, data: TrainingSet) -> None:
        """Give the networks the channels' means and deviations, where they standardise."""
        if "standardizer" in networks:
            standardizer = networks["standardizer"]
            assert isinstance(standardizer, Standardizer)
            standardizer.learn(data.batches())

    def _logits(self, batch: Tensor) -> Tensor:
        logits = self._outputs(self.networks_, batch)
        if self.average_mirrored and batch.dim() == 4:
            logits = (logits + self._outputs(self.networks_, batch.flip(-1))) / 2
        return logits * (self.ldam_scale if self.loss == "ldam" else 1)

    @staticmethod
    def _features(networks: nn.ModuleDict, batch: Tensor) -> Tensor:
        """Map network inputs (B, ...) to features (B, d)."""
        batch = networks["standardizer"](batch) if "standardizer" in networks else batch
        return networks["encoder"](images_last(batch))

    @classmethod
    def _outputs(cls, networks: nn.ModuleDict, batch: Tensor) -> Tensor:
        """Map network inputs (B, ...) to logits, or cosines, (B, C)."""
        return networks["classifier"](cls._features(networks, batch)).float()

    def _criterion(self, class_counts: Tensor) -> Criterion:
        """Return the loss of each sample, without class weights."""
        n_classes = len(class_counts)
        if self.loss == "ldam":
            return LDAMLoss(class_counts, self.ldam_margin, self.ldam_scale, reduction="none")
        if self.loss == "focal":
            return lambda logits, labels: focal_loss(logits, labels, self.focal_gamma, reduction="none")
        if self.loss == "bce":
            return lambda logits, labels: softmax_binary_cross_entropy(logits, F.one_hot(labels, n_classes), "none")
        if self.loss in ("logit_adjusted", "balanced_softmax"):
            adjusted = self._adjustment(class_counts)
            return lambda logits, labels: F.cross_entropy(adjusted(logits), labels, reduction="none")
        return lambda logits, labels: F.cross_entropy(logits, labels, reduction="none")

    def _adjustment(self, class_counts: Tensor) -> Callable[[Tensor], Tensor]:
        """Return what makes of outputs (B, C) the logits that the loss goes by: adds log priors, or scales cosines."""
        if self.loss in ("logit_adjusted", "balanced_softmax"):
            priors = class_probabilities(class_counts, SAMPLING_POWERS[self.batches])
            tau = self.tau if self.loss == "logit_adjusted" else 1.0
            return lambda outputs: adjusted_logits(outputs, priors, tau)
        scale = self.ldam_scale if self.loss == "ldam" else 1.0
        return lambda outputs: outputs * scale

    def _class_weights(self, class_counts: Tensor, epoch: int) -> Tensor | None:
        """Return the class weights (C,) in an epoch, counted from 0."""
        if self.reweighting == "class_weights":
            return inverse_frequency_weights(class_counts)
        if self.reweighting == "effective_number":
            return class_balanced_weights(class_counts, self.effective_beta)
        if self.reweighting == "drw":
            return DRW(self.drw_start, self.effective_beta).weights(class_counts, epoch, self.max_epochs)
        return None


@dataclass(frozen=True)
class Draws:
    """What an update draws, for this process's part of a batch.

    Attributes
    ----------
    inputs : Tensor of shape (B, ...)
        Augmented and standardised, not mixed.
    labels : integer Tensor of shape (B,)
    mixed : Mixed or None
        The batch, where the rule mixes inputs.
    near : (Tensor, Tensor) or None
        Inputs and labels of the neighbours that a rule mixes hidden activations with.
    weights : Tensor of shape (B,) or None
        Of the samples, where they have any.
    pair_weights : (Tensor, Tensor) or None
        Of the samples that are mixed and of their partners; with `near` alone, of the batch and of these.
    """

    inputs: Tensor
    labels: Tensor
    mixed: Mixed | None = None
    near: tuple[Tensor, Tensor] | None = None
    weights: Tensor | None = None
    pair_weights: Pair | None = None


class ClassifierProgram(Program):
    """The training of one network for a `DeepClassifier`: one update a step, from one source of batches or another.

    Parameters
    ----------
    settings : DeepClassifier
    networks : nn.ModuleDict
        Of `DeepClassifier._build_networks`, on the device.
    data : TrainingSet
    """

    networks: nn.ModuleDict

    def __init__(self, settings: DeepClassifier, networks: nn.ModuleDict, data: TrainingSet) -> None:
        self.settings, self.networks, self.data = settings, networks, data
        self.epoch = -1  # before the first
        self.batch_size = settings.batch_size * parallel.n_processes()
        self.steps_per_epoch = batches_per_epoch(len(data.labels), self.batch_size)
        n_steps = settings.max_epochs * self.steps_per_epoch
        self.accuracy = TrainingAccuracy(data.device)
        augmentation, self.latents = settings.latent_augmentation, None
        if augmentation is not None:
            n_features = networks.get_parameter("classifier.weight").shape[1]
            self.latents = augmentation.start(n_features, data.class_counts)
        self.source, self.stage = Source(self, data, settings.augment), None
        if settings.stage_sampler is not None:
            # A checkpoint holds the set that was made before it.
            made_before = data.checkpoint is not None and data.checkpoint.path.exists()
            weight = settings.synthetic_weight
            made = data if made_before else resampled(settings.stage_sampler, data, settings, synthetic_weight=weight)
            self.stage = Stage(self, made, settings.stage_augment)
        rule = settings.mixing
        hidden = rule is not None and rule.space == "hidden"
        self.stages = hidden_stages(networks["encoder"], rule.layers) if hidden and rule is not None else []
        super().__init__(
            networks=networks,
            optimizers={
                "networks": make_optimizer(
                    settings.optimizer,
                    learning(networks),
                    settings.learning_rate,
                    settings.weight_decay,
                    nesterov=settings.nesterov,
                )
            },
            phases=self._phases(),
            n_steps=n_steps,
            report_every=self.steps_per_epoch,
            rates={"networks": rate_over(settings.schedule, n_steps, steps_per_epoch=self.steps_per_epoch)},
            ema=settings.ema,
            averaged=("encoder", "classifier"),
            state={"accuracy": self.accuracy} | ({} if self.latents is None else {"latents": self.latents}),
            compile=settings.compile,
        )
        self.encoder = self.compiled(networks["encoder"])

    def _phases(self) -> list[Phase | Action]:
        """Return what a step consists of."""
        if self.stage is None:
            return [self._phase(self.source)]
        first = self.first_step(self.settings._stage_epoch())
        return [
            self._phase(self.source, when=lambda step: step < first),
            self._phase(self.stage, when=lambda step: step >= first),
        ]

    def _phase(self, source: "Source", *, when: Callable[[int], bool] | None = None) -> Phase:
        """Return the update on batches of a source."""
        return Phase(
            name="classifier",
            draw=lambda: self.draw(source),
            losses=lambda draws: self.losses(draws, source),
            moves={"networks": {"classifier": 1.0, **self._beside()}},
            streams=[source],
            when=when,
            after=lambda losses: self.accuracy.update(losses, source.batches.size),
        )

    def _beside(self) -> dict[str, float]:
        """Return the weights of losses beside the classifier's."""
        rule = self.settings.latent_augmentation
        return {"latents": rule.weight} if isinstance(rule, VonMisesFisherLatents) else {}

    def first_step(self, epoch: int) -> int:
        """Return the first step of an epoch, both counted from 0."""
        return epoch * self.steps_per_epoch

    def before_step(self, step: int) -> None:
        """Take the class weights of the epoch, and begin to count the accuracy anew."""
        if step // self.steps_per_epoch != self.epoch:
            self.epoch = step // self.steps_per_epoch
            for source in (self.source, self.stage):
                if source is not None:
                    source.start_epoch(self.epoch)
        if step % self.steps_per_epoch == 0:
            self.accuracy.end_epoch()
        if self.latents is not None:
            self.latents.start_step(step / self.n_steps)

    def report(self, row: dict[str, float]) -> None:
        """Add what is tracked."""
        if self.settings.track:
            row.update(self.tracked())

    # -- Draws --

    def draw(self, source: "Source") -> Draws:
        """Return what an update draws; inputs are mixed before the batch of all processes is divided."""
        rows = parallel.divisible(source.batches.draw())
        inputs, labels = self.inputs(rows, source), source.data.labels[rows]
        weights = source.data.weights_of(rows)
        rule, near, mixed, pair_weights = self.settings.mixing, None, None, None
        if isinstance(rule, DrawnPartners):
            assert source.neighbors is not None
            partners = rule.partner_rows(source.neighbors, rows, self.data.generator)
            near = (self.inputs(partners, source), source.data.labels[partners])
            pair_weights = _pair(weights, source.data.weights_of(partners))
        if rule is not None and rule.space == "input":
            whole = self.mix(rule, inputs, labels, source, near)
            mixed = Mixed(*(parallel.part(x) for x in (whole.inputs, whole.labels, whole.partners, whole.label_weight)))
            near, pair_weights = None, pair_weights or partner_weights(rule, whole, weights)
        if near is not None:
            near = (parallel.part(near[0]), parallel.part(near[1]))
        if pair_weights is not None:
            pair_weights = (parallel.part(pair_weights[0]), parallel.part(pair_weights[1]))
        weights = None if weights is None else parallel.part(weights)
        return Draws(parallel.part(inputs), parallel.part(labels), mixed, near, weights, pair_weights)

    def inputs(self, rows: Tensor, source: "Source") -> Tensor:
        """Return the inputs of a source's rows (B,), augmented and standardised, as the encoder takes them."""
        data = source.data
        return self.standardized(augment_images(data.prepare(data.inputs[rows]), source.augment, data.generator))

    def mix(
        self,
        rule: MixingRule,
        inputs: Tensor,
        labels: Tensor,
        source: "Source",
        near: tuple[Tensor, Tensor] | None = None,
    ) -> Mixed:
        """Return inputs, activations or features (B, ...) as the rule mixes them."""
        more: dict[str, Any] = {} if near is None else {"partners": near}
        if isinstance(rule, AMMixup):
            more["accuracy"] = self.accuracy.of_last_epoch
        if isinstance(rule, BoundaryMix):
            more["logits"] = lambda features: source.adjusted(self.classify(features))
        return rule(inputs, labels, source.data.class_counts, self.data.generator, **more)

    # -- Losses --

    def losses(self, draws: Draws, source: "Source") -> Losses:
        """Return the loss of a batch that the rule mixes where it wants to.

        A rule that mixes behind a stage of the network draws there, and from this process's part alone.
        """
        rule = self.settings.mixing
        if rule is None:
            features = self.features(draws.inputs)
            self.follow(features, draws.labels, draws.weights)
            loss = source.label_loss(self.classify(features), draws.labels, draws.weights)
            return {"classifier": loss, **self.latent_losses(features, draws.labels, draws.weights, source)}
        losses: dict[str, Tensor] = {}
        known: tuple[Tensor, Tensor, Tensor | None] | None = None
        if self.settings.bn_clean_forward and rule.space != "features":
            with torch.no_grad():
                known = self.features(draws.inputs), draws.labels, draws.weights
                losses["accuracy"] = right_share(self.classify(known[0]), draws.labels)
        clean = None
        if rule.space == "input":
            assert draws.mixed is not None
            mixed, features = draws.mixed, self.features(draws.mixed.inputs)
        elif rule.space == "hidden":
            before, behind = self.stages[: source.layer], self.stages[source.layer :]
            mixed = self._mixed_behind(lambda x: run_stages(before, x), rule, draws, source)[0]
            features = run_stages(behind, mixed.inputs)
        else:
            mixed, plain = self._mixed_behind(self.features, rule, draws, source)
            clean, features = self.classify(plain), mixed.inputs
            known = plain, draws.labels, draws.weights
        weights = draws.pair_weights or partner_weights(rule, mixed, draws.weights)
        self.follow(*(known or (features, mixed, weights)))
        loss = source.pair_loss(self.classify(features), mixed, weights)
        losses |= self.latent_losses(features, mixed, weights, source)
        if isinstance(rule, AMMixup):
            clean = self.outputs(draws.inputs) if clean is None else clean
            losses["accuracy"] = right_share(clean, draws.labels)
            loss = rule.clean_weight * source.label_loss(clean, draws.labels, draws.weights) + loss
        return {"classifier": loss, **losses}

    def _mixed_behind(
        self, network: Callable[[Tensor], Tensor], rule: MixingRule, draws: Draws, source: "Source"
    ) -> tuple[Mixed, Tensor]:
        """Return what the rule makes of a network's outputs, and these outputs (B, ...), not mixed."""
        if draws.near is None:
            hidden, near = network(draws.inputs), None
        else:  # one pass for a batch and its neighbours
            hidden, behind = network(torch.cat([draws.inputs, draws.near[0]])).split(len(draws.inputs))
            near = (behind.float(), draws.near[1]) if rule.space == "features" else (behind, draws.near[1])
        mixable = hidden.float() if rule.space == "features" else hidden
        return self.mix(rule, mixable, draws.labels, source, near), hidden

    def standardized(self, inputs: Tensor) -> Tensor:
        """Return inputs (B, ...) as the encoder takes them."""
        return images_last(self.networks["standardizer"](inputs) if "standardizer" in self.networks else inputs)

    def features(self, inputs: Tensor) -> Tensor:
        """Map what `inputs` returns to features (B, d)."""
        return self.encoder(images_last(inputs))

    def outputs(self, inputs: Tensor) -> Tensor:
        """Map what `inputs` returns to logits, or cosines, (B, C)."""
        return self.classify(self.features(inputs))

    def classify(self, features: Tensor) -> Tensor:
        """Map features (B, d) to logits, or cosines, (B, C) in float32."""
        return self.networks["classifier"](features).float()

    # -- Latent augmentation --

    def follow(self, features: Tensor, labels: Tensor | Mixed, weights: Any) -> None:
        """Take features (B, d) into the moments of their classes, where there are any."""
        if self.latents is not None:
            with torch.no_grad():
                self.latents.update(self._placed(features), labels, weights)

    def _placed(self, features: Tensor) -> Tensor:
        """Return features (B, d) as their moments are taken: projected, or as the last layer multiplies them."""
        if isinstance(self.latents, RunningDirections):
            return F.normalize(self.networks["projection"](features).float(), dim=1)
        cosine = isinstance(self.networks["classifier"], CosineClassifier)
        return F.normalize(features.float(), dim=1) if cosine else features.float()

    def latent_losses(
        self, features: Tensor, labels: Tensor | Mixed, weights: Any, source: "Source"
    ) -> dict[str, Tensor]:
        """Return the losses beside the classifier's for features (B, d) with labels (B,), or mixed."""
        if not isinstance(self.latents, RunningDirections):
            return {}
        logits = self.latents.logits(self._placed(features))
        if isinstance(labels, Mixed):
            return {"latents": source.pair_loss(logits, labels, weights, source.latent_criterion)}
        return {"latents": source.label_loss(logits, labels, weights, source.latent_criterion)}

    def latent_offsets(self) -> Tensor | None:
        """Return what is added to the logits of samples of each class (C, C), by Gaussians around their features."""
        if not isinstance(self.latents, RunningGaussians):
            return None
        classifier = self.networks["classifier"]
        if isinstance(classifier, CosineClassifier):
            return self.latents.offsets(classifier.scale * F.normalize(classifier.weight, dim=1))
        return self.latents.offsets(self.networks.get_parameter("classifier.weight"))

    @torch.no_grad()
    def tracked(self) -> dict[str, float]:
        """Return what the history tells of the networks as they are, on training and on validation samples."""
        parallel.average_buffers(self.networks)
        parts = {"train": (self.data.inputs, self.data.labels), "validation": self.data.validation}
        found: dict[str, float] = {}
        counts = self.data.class_counts.cpu().numpy()
        self.networks.eval()
        for name, part in parts.items():
            if part is not None:
                rows = spread_rows(part[1], TRACKED_ROWS)
                batches = (self.data.prepare(batch) for batch in part[0][rows].split(PREDICT_BATCH))
                features = torch.cat([self.settings._features(self.networks, batch) for batch in batches]).float()
                outputs, labels = self.classify(features), part[1][rows]
                scores = tracked_scores(outputs.cpu().numpy(), features.cpu().numpy(), labels.cpu().numpy(), counts)
                found |= {f"{name}_{key}": value for key, value in scores.items()}
        self.networks.train()
        return found


def partner_weights(rule: MixingRule, mixed: Mixed, weights: Tensor | None) -> Pair | None:
    """Return the weights of samples and of their partners in the batch, where samples (B,) have any."""
    if weights is None:
        return None
    if mixed.partner_rows is None:
        raise ValueError(
            f"Expected mixing to say which samples it mixes (Mixed.partner_rows) where there is a sample_weight, but "
            f"{rule!r} does not; let it return them, or pass no sample_weight."
        )
    return weights, weights[mixed.partner_rows]


def _pair(first: Tensor | None, second: Tensor | None) -> Pair | None:
    return None if first is None or second is None else (first, second)


class Source:
    """What batches are drawn from: a training set, the stream of its rows, neighbours, what follows from its counts.

    Parameters
    ----------
    program : ClassifierProgram
    data : TrainingSet
    augment : str
        Of its images.
    """

    def __init__(self, program: ClassifierProgram, data: TrainingSet, augment: str) -> None:
        self.program, self.augment = program, augment
        self.neighbors: Tensor | None = None
        self._take(data)
        rule = program.settings.mixing
        if isinstance(rule, DrawnPartners):
            encoder = evaluating(program.networks["encoder"])
            self.neighbors = rule.search(
                data.inputs, data.labels, lambda: data.through(lambda batch: encoder(program.standardized(batch)))
            )
        # Behind which layer a batch is mixed is for the host to know: it draws on its own.
        self.layer, self._layers = 0, torch.Generator()
        if rule is not None and rule.space == "hidden":
            seed = torch.randint(2**62, (), generator=data.generator, device=data.device)
            self._layers.manual_seed(int(seed))

    def _take(self, data: TrainingSet) -> None:
        """Draw from this training set."""
        program, settings = self.program, self.program.settings
        self.data, self.batches = data, stream(data, program)
        plain, self.adjusted = settings._criterion(data.class_counts), settings._adjustment(data.class_counts)
        self.criterion = plain
        if isinstance(program.latents, RunningGaussians):

            def augmented(logits: Tensor, labels: Tensor) -> Tensor:
                return plain(logits + program.latent_offsets()[labels], labels)  # type: ignore[index]

            self.criterion = augmented
        priors = class_probabilities(data.class_counts, SAMPLING_POWERS[settings.batches])
        self.latent_criterion: Criterion = lambda logits, labels: balanced_softmax_loss(
            logits, labels, priors, reduction="none"
        )
        self.class_weights = settings._class_weights(data.class_counts, 0)

    def start_epoch(self, epoch: int) -> None:
        """Take the class weights of an epoch, counted from 0, where those before were."""
        weights = self.program.settings._class_weights(self.data.class_counts, epoch)
        if self.class_weights is not None and weights is not None:
            self.class_weights.copy_(weights)

    def label_loss(
        self, outputs: Tensor, labels: Tensor, weights: Tensor | None = None, criterion: Criterion | None = None
    ) -> Tensor:
        """Return the weighted loss of samples with plain labels (B,) and weights of their own."""
        reduction = self.program.settings.loss_reduction
        return label_loss(criterion or self.criterion, outputs, labels, self.class_weights, reduction, weights)

    def pair_loss(
        self, outputs: Tensor, mixed: Mixed, weights: Pair | None = None, criterion: Criterion | None = None
    ) -> Tensor:
        """Return the weighted loss of mixed samples."""
        reduction = self.program.settings.loss_reduction
        return pair_loss(criterion or self.criterion, outputs, mixed, self.class_weights, reduction, weights)

    def advance(self) -> Hashable:
        """Get ready for the next batch, and draw the layer behind which it is mixed."""
        rule = self.program.settings.mixing
        if rule is not None and rule.space == "hidden":
            self.layer = rule.draw_layer(self._layers)
        return self.batches.advance(), self.layer

    def state_dict(self) -> dict[str, Any]:
        """Return where the stream is."""
        return {"batches": self.batches.state_dict(), "layers": self._layers.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self.batches.load_state_dict(state["batches"])
        self._layers.set_state(state["layers"])


class Stage(Source):
    """The source of a later stage, whose training set was made for it: a checkpoint holds that too."""

    def state_dict(self) -> dict[str, Any]:
        """Return the training set, its neighbours, and where its stream is."""
        tensors = {name: getattr(self.data, name) for name in ("inputs", "labels", "sample_weight")}
        return {**tensors, "neighbors": self.neighbors, **super().state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take the place of what was made before."""
        self._take(with_rows(self.data, state["inputs"], state["labels"], state["sample_weight"]))
        if state["neighbors"] is not None:
            self.neighbors = state["neighbors"].to(self.data.device)
        super().load_state_dict(state)


def stream(data: TrainingSet, program: ClassifierProgram) -> NaturalBatches | ClassBatches:
    """Return the batches of all processes."""
    power = SAMPLING_POWERS[program.settings.batches]
    if power < 1:
        return ClassBatches(data.labels, program.batch_size, data.generator, power=power)
    return NaturalBatches(len(data.labels), program.batch_size, data.generator)
