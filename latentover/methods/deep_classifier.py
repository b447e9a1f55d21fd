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
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
import torch.nn.functional as F
from imblearn.over_sampling.base import BaseOverSampler
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from latentover.estimators import BaseClassifier, BaseSampler, StoppableTraining, TrainingSet, TrainingWatch
from latentover.estimators.base import PREDICT_BATCH, BaseDataEstimator
from latentover.estimators.validation import check_parameters, naming
from latentover.losses import (
    DRW,
    LDAMLoss,
    balanced_softmax_loss,
    class_balanced_weights,
    focal_loss,
    inverse_frequency_weights,
    reduce_losses,
    softmax_binary_cross_entropy,
)
from latentover.losses.soft import Reduction
from latentover.metrics.tracking import tracked_scores
from latentover.mixing import AMMixup, ManifoldMixup, Mixed, MixingRule, NeighborMix
from latentover.networks.backbones import build_backbone, network_stages, unknown_backbone
from latentover.networks.cosine import CosineClassifier
from latentover.networks.layers import images_last, linear
from latentover.training import (
    ClassBatches,
    NaturalBatches,
    Phase,
    augment_images,
    autocast,
    batches_per_epoch,
    class_probabilities,
    learning_rate_factor,
    make_optimizer,
    optimizer_step,
    parallel,
    set_learning_rate,
    train,
)
from latentover.training.augment import AUGMENTS, Augment
from latentover.training.loop import History
from latentover.training.optimizers import Optimizer
from latentover.training.schedules import Schedule
from latentover.training.step_decay import StepDecay

SAMPLING_POWERS = {"natural": 1.0, "square_root": 0.5, "class_balanced": 0.0}
"""Kinds of batches: classes are drawn in proportion to their size to this power."""
TRACKED_ROWS = 1000
"""Training samples, and validation samples, that are looked at for the history: as many of every class as fit in."""
Loss = Literal["ce", "bce", "focal", "ldam", "logit_adjusted", "balanced_softmax"]
Criterion = Callable[[Tensor, Tensor], Tensor]
"""From outputs (B, C) and class numbers (B,) to losses (B,)."""


# ---- Losses of a batch -----------------------------------------------------------------------------------------------


def pair_loss(
    criterion: Criterion, outputs: Tensor, mixed: Mixed, weight: Tensor | None, reduction: Reduction = "weighted_mean"
) -> Tensor:
    r"""Return the loss of mixed samples, :math:`\lambda_y w_i L(f, y_i) + (1 - \lambda_y) w_j L(f, y_j)` a sample.

    Parameters
    ----------
    criterion : callable
    outputs : Tensor of shape (B, C)
    mixed : Mixed
    weight : Tensor of shape (C,), optional
        Class weights.
    reduction : {"weighted_mean", "mean"}
        ``"mean"`` divides by B, ``"weighted_mean"`` by the sum of :math:`\lambda_y w_i + (1 - \lambda_y) w_j`, of
        which several processes take the mean.

    Returns
    -------
    scalar Tensor
        0 for no sample at all.
    """
    first, second = mixed.label_weight, 1 - mixed.label_weight
    if weight is not None:
        first, second = first * weight[mixed.labels], second * weight[mixed.partners]
    total = (first * criterion(outputs, mixed.labels) + second * criterion(outputs, mixed.partners)).sum()
    return total / (
        _mean_of_processes((first + second).sum()) if reduction == "weighted_mean" else max(len(outputs), 1)
    )


def label_loss(
    criterion: Criterion, outputs: Tensor, labels: Tensor, weight: Tensor | None, reduction: Reduction = "weighted_mean"
) -> Tensor:
    """Return the loss of samples with plain labels (B,); see `pair_loss`."""
    losses = criterion(outputs, labels)
    if weight is None or reduction == "mean":
        return reduce_losses(losses, None if weight is None else weight[labels], "mean")
    weights = weight[labels]
    return (losses * weights).sum() / _mean_of_processes(weights.sum())


def _mean_of_processes(total_weight: Tensor) -> Tensor:
    """Return the mean of a sum of weights over all processes, so that their mean loss is that of the whole batch."""
    total_weight = total_weight.detach().clone()
    parallel.average([total_weight])
    return total_weight.clamp(min=torch.finfo(total_weight.dtype).tiny)


# ---- The estimator ---------------------------------------------------------------------------------------------------


@dataclass(kw_only=True, eq=False, repr=False)
class DeepClassifier(StoppableTraining, BaseClassifier):
    """A network with a linear classifier, trained with a loss, mixing and class weights of choice.

    Parameters
    ----------
    backbone : nn.Module or str, default="auto"
        ``"auto"`` is the encoder of `RAEClassifier` for images (``"conv"``) or tables; ``"resnet"`` a small and fast
        residual network; ``"resnet32"`` and ``"resnet18"`` those of the long-tailed benchmarks, with features of length
        64 and 512; any other name a classification model of torchvision without trained weights. A module has to map
        inputs (B, c, h, w) in [0, 1], or standardised rows (B, d), to features (B, feature_dim); a copy of it is
        trained.
    mixing : rule of `latentover.mixing`, optional
        `Mixup`, `Remix`, `MAMix`, `SMOTEMix`, `NeighborMix`, `ManifoldMixup`, `AMMixup`. Neighbours are searched once,
        before training.
    loss : {"ce", "bce", "focal", "ldam", "logit_adjusted", "balanced_softmax"}, default="ce"
        Cross-entropy; the binary one over softmax probabilities that manifold mixup was published with; the focal loss;
        margins on the cosines of a classifier without bias; ``tau * log(prior)`` added to the logits in training, and
        the same with tau = 1.
    tau : float, default=1.0
        Strength of the logit adjustment.
    focal_gamma : float, default=2.0
        Of the focal loss; 0 is cross-entropy.
    ldam_margin, ldam_scale : float, default=0.5 and 30.0
        Margin of the rarest class, and what cosines are multiplied with; see `latentover.losses.LDAMLoss`.
    reweighting : {None, "class_weights", "effective_number", "drw"}, default=None
        ``"class_weights"`` weights each class by N / (C n_c), so that all classes have the same total weight;
        ``"effective_number"`` by the inverse effective number of its samples; ``"drw"`` does that too, but only from
        `drw_start` on.
    effective_beta : float in [0, 1), default=0.9999
        See `latentover.losses.class_balanced_weights`.
    drw_start : float in [0, 1], default=0.8
        Fraction of the epochs after which ``"drw"`` weights; 160 of 200.
    loss_reduction : {"weighted_mean", "mean"}, default="weighted_mean"
        Whether a batch's weighted losses are divided by the sum of their weights or by the size of the batch.
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
    feature_dim : int, default=64
        Length of the output of ``"auto"``, ``"conv"``, ``"resnet"`` and of a module.
    channels : int, default=64
        Channels of the first convolution of ``"auto"``, ``"conv"`` and ``"resnet"``.
    hidden_units : int, default: 1024 for images and 512 for tables
        Width of the dense layers of ``"auto"`` and ``"conv"``.
    dropout : float in [0, 1), default=0.4
        Of ``"auto"`` and ``"conv"``.
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
    image_shape, channels_last, categorical_features, missing, device, random_state, verbose
        See `latentover.estimators.BaseDataEstimator`.
    precision, checkpoint, checkpoint_every, compile
        See `latentover.estimators.BaseDeepEstimator`.

    Attributes
    ----------
    classes_, class_counts_, networks_, history_, device_
        See `latentover.estimators.BaseDeepEstimator`. With ``loss="ldam"`` logits are cosines times `ldam_scale`, and
        tracked margins are those of the cosines.

    Notes
    -----
    Started by ``torchrun``, every process draws the same batches, `batch_size` times their number in size, and takes
    its part of each; a last batch that cannot be divided begins anew with its first rows. `ManifoldMixup`, `AMMixup`
    and the translations of M2m find partners within the part.

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

    _choices: ClassVar = {
        "loss": ("ce", "bce", "focal", "ldam", "logit_adjusted", "balanced_softmax"),
        "reweighting": (None, "class_weights", "effective_number", "drw"),
        "loss_reduction": ("weighted_mean", "mean"),
        "batches": tuple(SAMPLING_POWERS),
        "classifier_bias": (True, False),
        "standardize": (True, False),
        "bn_clean_forward": (True, False),
        "final_weights": ("best", "last"),
        "nesterov": (True, False),
        "track": (True, False),
        "stage_augment": AUGMENTS,
    }
    _numbers: ClassVar = {"stage_start": (0, True, float)}

    # Network
    backbone: nn.Module | str = "auto"
    feature_dim: int = 64
    channels: int = 64
    hidden_units: int | None = None
    dropout: float = 0.4
    classifier_bias: bool = True
    standardize: bool = False
    # Loss
    mixing: MixingRule | None = None
    loss: Loss = "ce"
    tau: float = 1.0
    focal_gamma: float = 2.0
    ldam_margin: float = 0.5
    ldam_scale: float = 30.0
    reweighting: Literal["class_weights", "effective_number", "drw"] | None = None
    effective_beta: float = 0.9999
    drw_start: float = 0.8
    loss_reduction: Literal["weighted_mean", "mean"] = "weighted_mean"
    # Batches
    batches: Literal["natural", "square_root", "class_balanced"] = "natural"
    batch_size: int = 128
    augment: Augment = "none"
    bn_clean_forward: bool = False
    # Stage
    stage_sampler: BaseOverSampler | None = None
    stage_start: float = 0.8
    stage_augment: Augment = "none"
    # Updates
    max_epochs: int = 20
    optimizer: Optimizer = "adamw"
    nesterov: bool = True
    learning_rate: float = 2e-4
    weight_decay: float = 1e-3
    schedule: Schedule | StepDecay = "constant"
    # Use
    average_mirrored: bool = False
    final_weights: Literal["best", "last"] = "best"
    track: bool = False

    networks_: nn.ModuleDict = field(init=False)
    _best_weights: dict[str, Tensor] = field(init=False)

    def _check_settings(self) -> list[str]:
        problems, sampler = super()._check_settings(), self.stage_sampler
        if problem := unknown_backbone(self.backbone):
            problems.append(problem)
        if sampler is None:
            return problems
        if not isinstance(sampler, BaseOverSampler):
            problems.append(f"stage_sampler to be None or an over-sampler such as DeepSMOTE(), but got {sampler!r}")
        elif isinstance(sampler, BaseDataEstimator):
            check_parameters(sampler)
        if self._stage_epoch() >= self.max_epochs:
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
            channels=self.channels,
            hidden_units=self.hidden_units,
            dropout=self.dropout,
        )
        n_classes = len(self.classes_)
        classifier: nn.Module
        if self.loss == "ldam":
            classifier = CosineClassifier(feature_dim, n_classes)
        elif self.classifier_bias:
            classifier = linear(feature_dim, n_classes)
        else:
            classifier = nn.Linear(feature_dim, n_classes, bias=False)
        networks = nn.ModuleDict({"encoder": backbone, "classifier": classifier})
        if self.standardize and len(self.format_.shape) == 3:
            networks["standardizer"] = _Standardizer(self.format_.shape[0])
        return networks

    def _fit_networks(self, data: TrainingSet) -> History:
        self._learn_standardizer(self.networks_, data)
        return self._run(ClassifierTraining(self, self.networks_, data))

    def _run(self, training: "ClassifierTraining") -> History:
        """Train, and keep the weights that were best on the validation part beside those of the last epoch."""
        history = training.run(description=type(self).__name__)
        self._best_weights = training.best_weights
        return history

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

    def encode(self, X: Any) -> np.ndarray:
        """Return the features (n, d) of X: what the linear classifier sees.

        Parameters
        ----------
        X : as in `fit`

        Examples
        --------
        >>> from sklearn.datasets import load_digits
        >>> X, y = load_digits(return_X_y=True)
        >>> DeepClassifier(max_epochs=1, hidden_units=32, random_state=0).fit(X, y).encode(X[:5]).shape
        (5, 64)
        """
        check_is_fitted(self)
        X = self._check_input(X, reset=False)
        with torch.inference_mode():
            return torch.cat([self._features(self.networks_, x) for x in self._batches(X)]).cpu().numpy()

    @staticmethod
    def _learn_standardizer(networks: nn.ModuleDict, data: TrainingSet) -> None:
        """Give the networks the channels' means and deviations, where they standardise."""
        if "standardizer" in networks:
            standardizer = networks["standardizer"]
            assert isinstance(standardizer, _Standardizer)
            standardizer.learn(data)

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
            tau = self.tau if self.loss == "logit_adjusted" else 1.0
            priors = class_probabilities(class_counts, SAMPLING_POWERS[self.batches])
            return lambda logits, labels: balanced_softmax_loss(logits, labels, priors, tau, reduction="none")
        return lambda logits, labels: F.cross_entropy(logits, labels, reduction="none")

    def _class_weights(self, class_counts: Tensor, epoch: int) -> Tensor | None:
        """Return the class weights (C,) in an epoch, counted from 0."""
        if self.reweighting == "class_weights":
            return inverse_frequency_weights(class_counts)
        if self.reweighting == "effective_number":
            return class_balanced_weights(class_counts, self.effective_beta)
        if self.reweighting == "drw":
            return DRW(self.drw_start, self.effective_beta).weights(class_counts, epoch, self.max_epochs)
        return None


class ClassifierTraining:
    """The training of one network for a `DeepClassifier`.

    Parameters
    ----------
    settings : DeepClassifier
    networks : nn.ModuleDict
        Of `DeepClassifier._build_networks`, on the device.
    data : TrainingSet
    """

    def __init__(self, settings: DeepClassifier, networks: nn.ModuleDict, data: TrainingSet) -> None:
        self.settings, self.networks, self.data = settings, networks, data
        self.n_epochs, self.epoch = settings.max_epochs, -1  # before the first
        self.augment: str = settings.augment
        self.batch_size = settings.batch_size * parallel.n_processes()
        self.steps_per_epoch = batches_per_epoch(len(data.labels), self.batch_size)
        # A given backbone may be frozen.
        self.parameters = [parameter for parameter in networks.parameters() if parameter.requires_grad]
        self.optimizer = make_optimizer(
            settings.optimizer,
            self.parameters,
            settings.learning_rate,
            settings.weight_decay,
            nesterov=settings.nesterov,
        )
        self.criterion: Criterion
        self.class_weights: Tensor | None
        self.accuracy = _TrainingAccuracy(data.device)
        self.source = Source(self, data)
        self.stage: Stage | None = None
        if settings.stage_sampler is not None:
            # A checkpoint holds the set that was made before it.
            made_before = data.checkpoint is not None and data.checkpoint.path.exists()
            self.stage = Stage(self, data if made_before else resampled(settings.stage_sampler, data, settings))
        self.stages: list[nn.Module] = []
        if isinstance(settings.mixing, ManifoldMixup):
            self.stages = hidden_stages(networks["encoder"], settings.mixing)
        self.encoder = torch.compile(networks["encoder"]) if settings.compile else networks["encoder"]
        self.best_weights: dict[str, Tensor] = {}

    def run(self, *, description: str) -> History:
        """Train for all epochs and return the history."""
        last = self.settings.final_weights == "last"
        patience = self.n_epochs + 1 if last else self.settings.n_iter_no_change
        watch = TrainingWatch(self.networks, self._logits, self.data.validation_batches, patience)

        tracked = _Rows()

        def look(row: dict[str, float]) -> bool:
            stop = watch(row)
            if self.settings.track:
                tracked.rows.append(self.tracked())
            return stop

        history = train(
            [Phase("classifier", self.update)],
            self.n_epochs * self.steps_per_epoch,
            report_every=self.steps_per_epoch,
            on_step=self.set_epoch,
            on_report=look,
            parts={**self.parts(), **watch.parts(), "tracked": tracked},
            checkpoint=self.data.checkpoint,
            verbose=self.settings.verbose,
            description=description,
        )
        for row, scores in zip(history, tracked.rows, strict=False):
            row |= scores  # not before: lines of progress are made of the rows
        if last:
            self.best_weights = {name: weight.cpu() for name, weight in watch.stopping.best_weights.items()}
        else:
            watch.stopping.restore()
        return history

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

    def parts(self) -> dict[str, Any]:
        """Return all that changes while training, for checkpoints."""
        return {
            "networks": self.networks,
            "optimizer": self.optimizer,
            "batches": self.source.batches,
            **({} if self.stage is None else {"stage": self.stage}),
            "accuracy": self.accuracy,
            "randomness": self.data.randomness,
        }

    def set_epoch(self, progress: float) -> None:
        """Take learning rate and class weights of the epoch that holds this fraction of the training."""
        step = round(progress * self.n_epochs * self.steps_per_epoch)
        epoch = step // self.steps_per_epoch
        schedule = self.settings.schedule
        if isinstance(schedule, StepDecay):
            factor = schedule.at(epoch, self.n_epochs)
        else:
            factor = learning_rate_factor(schedule, progress)
        set_learning_rate(self.optimizer, self.settings.learning_rate * factor)
        if epoch != self.epoch:
            self.epoch = epoch
            self.start_epoch()
        if step % self.steps_per_epoch == 0:
            self.accuracy.end_epoch()

    def start_epoch(self) -> None:
        """Get ready for `epoch`, counted from 0; where a method in stages takes another `source` of batches.

        Called again for an epoch that goes on from a checkpoint.
        """
        if self.stage is not None and self.epoch >= self.settings._stage_epoch():
            self.source, self.augment = self.stage, self.settings.stage_augment
        self.criterion = self.settings._criterion(self.source.data.class_counts)
        self.class_weights = self.settings._class_weights(self.source.data.class_counts, self.epoch)

    def next_rows(self, batches: NaturalBatches | ClassBatches) -> Tensor:
        """Return the rows of the next batch of all processes, which can be divided among them."""
        rows, n = next(batches), parallel.n_processes()
        if n == 1:
            return rows
        size = n * max(2, math.ceil(len(rows) / n))  # at least 2 each, for batch normalisation
        return rows[torch.arange(size, device=rows.device) % len(rows)]

    def own_generator(self) -> torch.Generator:
        """Return a generator for what this process draws alone, after which the shared one stays in step.

        How much is drawn may depend on the process's part of the batch.
        """
        shared = self.data.generator
        if parallel.n_processes() == 1:
            return shared
        seed = int(torch.randint(2**62, (), generator=shared, device=shared.device))
        return torch.Generator(shared.device).manual_seed(seed + parallel.rank())

    def update(self) -> dict[str, Tensor]:
        """Take one step along the gradient of a batch."""
        rows = self.next_rows(self.source.batches)
        inputs, labels = self.inputs(rows), self.source.data.labels[rows]
        rule = self.settings.mixing
        with autocast(self.data.device, self.data.dtype):
            if rule is None:
                loss = self.label_loss(self.outputs(parallel.part(inputs)), parallel.part(labels))
            else:
                if self.settings.bn_clean_forward and rule.space != "features":
                    with torch.no_grad():
                        self.accuracy.update(self.outputs(parallel.part(inputs)), parallel.part(labels))
                loss = self.mixed_loss(rule, rows, inputs, labels)
        optimizer_step(self.optimizer, loss, self.parameters)
        return {"classifier": loss}

    def mixed_loss(self, rule: MixingRule, rows: Tensor, inputs: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of a process's part of a batch that the rule mixes where it wants to.

        Inputs are mixed before the batch is divided, what comes out of the network after that.
        """
        counts, generator = self.source.data.class_counts, self.data.generator
        if isinstance(rule, AMMixup):
            inputs, labels = parallel.part(inputs), parallel.part(labels)
            features = self.encoder(inputs)
            clean = self.classify(features)
            accuracy = self.accuracy.of_last_epoch
            mixed = rule(features.float(), labels, counts, self.own_generator(), accuracy=accuracy)
            loss = rule.clean_weight * self.label_loss(clean, labels)
            self.accuracy.update(clean, labels)
            return loss + self.pair_loss(self.classify(mixed.inputs), mixed)
        if isinstance(rule, ManifoldMixup):
            inputs, labels = parallel.part(inputs), parallel.part(labels)
            layer = rule.draw_layer(generator)
            mixed = rule(_run(self.stages[:layer], inputs), labels, counts, generator)
            return self.pair_loss(self.classify(_run(self.stages[layer:], mixed.inputs)), mixed)
        if isinstance(rule, NeighborMix):
            assert self.source.neighbors is not None
            near = rule.partner_rows(self.source.neighbors, rows, generator)
            mixed = rule(inputs, labels, counts, generator, (self.inputs(near), self.source.data.labels[near]))
        else:
            mixed = rule(inputs, labels, counts, generator)
        mixed = Mixed(*(parallel.part(x) for x in (mixed.inputs, mixed.labels, mixed.partners, mixed.label_weight)))
        return self.pair_loss(self.outputs(mixed.inputs), mixed)

    def inputs(self, rows: Tensor) -> Tensor:
        """Return the inputs of the source's rows (B,), augmented and standardised, as the encoder takes them."""
        data = self.source.data
        inputs = augment_images(data.prepare(data.inputs[rows]), self.augment, data.generator)
        return self.standardized(inputs)

    def standardized(self, inputs: Tensor) -> Tensor:
        """Return inputs (B, ...) as the encoder takes them."""
        return images_last(self.networks["standardizer"](inputs) if "standardizer" in self.networks else inputs)

    @torch.no_grad()
    def features(self, data: TrainingSet) -> Tensor:
        """Return what the encoder makes of all inputs (n, d), without augmentation, in evaluation mode."""
        self.networks.eval()
        batches = (data.prepare(batch) for batch in data.inputs.split(PREDICT_BATCH))
        features = torch.cat([self.networks["encoder"](self.standardized(batch)) for batch in batches])
        self.networks.train()
        return features

    def outputs(self, inputs: Tensor) -> Tensor:
        """Map what `inputs` returns to logits, or cosines, (B, C)."""
        return self.classify(self.encoder(images_last(inputs)))

    def classify(self, features: Tensor) -> Tensor:
        """Map features (B, d) to logits, or cosines, (B, C) in float32."""
        return self.networks["classifier"](features).float()

    def label_loss(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Return the weighted loss of samples with plain labels (B,)."""
        return label_loss(self.criterion, outputs, labels, self.class_weights, self.settings.loss_reduction)

    def pair_loss(self, outputs: Tensor, mixed: Mixed) -> Tensor:
        """Return the weighted loss of mixed samples."""
        return pair_loss(self.criterion, outputs, mixed, self.class_weights, self.settings.loss_reduction)

    def _logits(self, batch: Tensor) -> Tensor:
        return self.settings._outputs(self.networks, batch)


class Source:
    """What batches are drawn from: a training set, the stream of its rows, and neighbours for rules that mix with them.

    Parameters
    ----------
    training : ClassifierTraining
    data : TrainingSet
    """

    def __init__(self, training: ClassifierTraining, data: TrainingSet) -> None:
        self.training, self.data, self.batches = training, data, stream(data, training)
        self.neighbors: Tensor | None = None
        rule = training.settings.mixing
        if isinstance(rule, NeighborMix):
            # Raw images: distances are compared with one another alone.
            places = training.features(data) if rule.neighbor_space == "features" else data.inputs
            self.neighbors = rule.prepare(places, data.labels)


class Stage(Source):
    """The source of a later stage, whose training set was made for it: a checkpoint holds that too."""

    def state_dict(self) -> dict[str, Any]:
        """Return the training set, its neighbours, and where its stream is."""
        tensors = {"inputs": self.data.inputs, "labels": self.data.labels, "neighbors": self.neighbors}
        return {**tensors, "batches": self.batches.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take the place of what was made before."""
        self.data = with_rows(self.data, state["inputs"], state["labels"])
        if state["neighbors"] is not None:
            self.neighbors = state["neighbors"].to(self.data.device)
        self.batches = stream(self.data, self.training)
        self.batches.load_state_dict(state["batches"])


def stream(data: TrainingSet, training: ClassifierTraining) -> NaturalBatches | ClassBatches:
    """Return the batches of all processes."""
    power = SAMPLING_POWERS[training.settings.batches]
    if power < 1:
        return ClassBatches(data.labels, training.batch_size, data.generator, power=power)
    return NaturalBatches(len(data.labels), training.batch_size, data.generator)


def with_rows(data: TrainingSet, inputs: Tensor, labels: Tensor) -> TrainingSet:
    """Return a training set with other rows (n, ...), encoded alike, and their class numbers (n,)."""
    labels = labels.to(data.device)
    return replace(
        data,
        inputs=inputs.to(data.device),
        labels=labels,
        class_counts=torch.bincount(labels, minlength=data.n_classes),
        sample_weight=None,
        rows=None,
    )


def resampled(sampler: BaseOverSampler, data: TrainingSet, settings: DeepClassifier) -> TrainingSet:
    """Return the training set that a clone of an over-sampler makes of another one.

    The sampler sees the encoded rows: images (n, c, h, w) in [0, 1] or as uint8, standardised rows of a table. One of
    imbalanced-learn sees images as rows of numbers in [0, 1].

    Parameters
    ----------
    sampler : over-sampler
    data : TrainingSet
        Its generator gives the seed.
    settings : DeepClassifier
        Says where and how loudly the sampler is trained.
    """
    sampler, own = clone(sampler), isinstance(sampler, BaseSampler)
    seed = int(torch.randint(2**31 - 1, (), generator=data.generator, device=data.device))
    sampler.set_params(**{name: seed for name in sampler.get_params() if name.endswith("random_state")})
    if own:
        shared = {name: getattr(settings, name) for name in ("device", "precision", "verbose", "checkpoint_every")}
        shared["checkpoint"] = None if settings.checkpoint is None else f"{settings.checkpoint}.sampler"
        shared |= {"image_shape": None, "channels_last": False, "categorical_features": "auto", "missing": "error"}
        known = sampler.get_params(deep=False)
        sampler.set_params(**{name: value for name, value in shared.items() if name in known})
    X = data.inputs if own else data.prepare(data.inputs).flatten(1)
    y = settings.classes_[data.labels.cpu().numpy()]
    with naming("stage_sampler", "an over-sampler that can work with the training part"):
        X_new, y_new = sampler.fit_resample(X.cpu().numpy(), y)
    inputs = torch.as_tensor(X_new).reshape(-1, *data.inputs.shape[1:])
    if data.inputs.dtype == torch.uint8 and inputs.dtype != torch.uint8:
        inputs = inputs.mul(255).round().clamp(0, 255)
    return with_rows(data, inputs.to(data.inputs.dtype), torch.from_numpy(settings._class_numbers(y_new)))


def spread_rows(labels: Tensor, n: int) -> Tensor:
    """Return about n rows of labels (N,), sorted: as many of every class as fit in, evenly spaced; at least two each.

    Examples
    --------
    >>> import torch
    >>> spread_rows(torch.tensor([0, 0, 0, 0, 0, 1, 1, 1]), 4)
    tensor([0, 2, 5, 6])
    """
    classes = labels.unique()
    size = max(2, n // len(classes))
    rows = []
    for label in classes:
        members = (labels == label).nonzero().squeeze(1)
        if len(members) > size:
            members = members[torch.arange(size, device=labels.device) * len(members) // size]
        rows.append(members)
    return torch.cat(rows).sort().values


def hidden_stages(encoder: nn.Module, rule: ManifoldMixup) -> list[nn.Module]:
    """Return the stages of an encoder between which `rule` mixes.

    Raises
    ------
    ValueError
        If the encoder has no known stages, or fewer than the rule asks for.
    """
    stages = network_stages(encoder)
    if stages is None and set(rule.layers) == {0}:
        return [encoder]
    if stages is None:
        raise ValueError(
            f"Expected a backbone with stages to mix between, but those of {type(encoder).__name__} are not known; "
            "give an nn.Sequential, or ManifoldMixup(layers=(0,)), which mixes the inputs."
        )
    if max(rule.layers) > len(stages):
        raise ValueError(
            f"Expected layers of ManifoldMixup to be at most {len(stages)}, the stages of the backbone, but got "
            f"{rule.layers!r}."
        )
    return stages


def _run(stages: list[nn.Module], x: Tensor) -> Tensor:
    for stage in stages:
        x = stage(x)
    return x


class _Standardizer(nn.Module):
    """Brings each channel to mean 0 and standard deviation 1."""

    mean: Tensor
    scale: Tensor

    def __init__(self, n_channels: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(n_channels, 1, 1))
        self.register_buffer("scale", torch.ones(n_channels, 1, 1))

    def learn(self, data: TrainingSet) -> None:
        """Take mean and standard deviation of the training images."""
        moments = torch.zeros(2, *self.mean.shape, dtype=torch.float64, device=data.device)
        for batch in data.inputs.split(PREDICT_BATCH):
            images = data.prepare(batch).double()
            moments += torch.stack([power.mean((2, 3)).sum(0)[:, None, None] for power in (images, images.square())])
        mean, square = moments / len(data.inputs)
        self.mean.copy_(mean)
        scale = (square - mean.square()).clamp(min=0).sqrt()
        self.scale.copy_(torch.where(scale > 1e-6, scale, torch.ones_like(scale)))

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.scale


class _Rows:
    """Rows of numbers that checkpoints keep."""

    def __init__(self) -> None:
        self.rows: History = []

    def state_dict(self) -> dict[str, History]:
        """Return them."""
        return {"rows": self.rows}

    def load_state_dict(self, state: dict[str, History]) -> None:
        """Go on from there."""
        self.rows = state["rows"]


class _TrainingAccuracy:
    """The share of training samples that were classified rightly in the epoch before, kept on the device."""

    def __init__(self, device: torch.device) -> None:
        self.counts = torch.zeros(2, device=device)
        self.of_last_epoch = torch.zeros((), device=device)

    def update(self, outputs: Tensor, labels: Tensor) -> None:
        """Count a batch of outputs (B, C)."""
        right = (outputs.detach().argmax(dim=1) == labels).sum()
        self.counts += torch.stack([right, torch.full_like(right, len(labels))])

    def end_epoch(self) -> None:
        """Begin to count anew."""
        parallel.average([self.counts])
        self.of_last_epoch = self.counts[0] / self.counts[1].clamp(min=1)
        self.counts = torch.zeros_like(self.counts)

    def state_dict(self) -> dict[str, Tensor]:
        """Return what has been counted."""
        return {"counts": self.counts, "of_last_epoch": self.of_last_epoch}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on counting from there."""
        self.counts = state["counts"].to(self.counts.device)
        self.of_last_epoch = state["of_last_epoch"].to(self.counts.device)
