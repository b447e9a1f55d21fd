"""Deep classifiers for imbalanced data, composed of small parts: loss, re-weighting, batches.

With its defaults this is plain empirical risk minimisation. Its other settings are the controls that every generator
has to beat: class weights, class-balanced batches and logit adjustment (Menon et al., ICLR 2021), on the same encoder
and with the same optimizer as the autoencoder they stand beside.
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from latentover.estimators import BaseClassifier, TrainingSet
from latentover.losses import adjusted_logits, inverse_frequency_weights
from latentover.networks import build_encoder
from latentover.networks.layers import images_last, linear
from latentover.training import (
    Phase,
    augment_images,
    autocast,
    batches_per_epoch,
    class_balanced_batches,
    learning_rate_factor,
    natural_batches,
    optimizer_step,
    train,
)
from latentover.training.augment import Augment
from latentover.training.loop import History
from latentover.training.schedules import Schedule


@dataclass(kw_only=True, eq=False, repr=False)
class DeepClassifier(BaseClassifier):
    """A network with a linear classifier, trained with cross-entropy and, where asked for, against the imbalance.

    Parameters
    ----------
    backbone : nn.Module or "auto", default="auto"
        ``"auto"`` is the encoder of `RAEClassifier` for images or tables. A module has to map inputs (B, c, h, w) in
        [0, 1], or standardised rows (B, d), to features (B, feature_dim); a copy of it is trained.
    loss : {"ce", "logit_adjusted"}, default="ce"
        ``"logit_adjusted"`` adds ``tau * log(prior)`` to the logits in training.
    tau : float, default=1.0
        Strength of the logit adjustment.
    reweighting : {None, "class_weights"}, default=None
        ``"class_weights"`` weights each class by N / (C n_c), so that all classes have the same total weight.
    batches : {"natural", "class_balanced"}, default="natural"
        ``"class_balanced"`` draws every class with the same probability.
    feature_dim : int, default=64
        Length of the backbone's output.
    channels : int, default=64
        Channels of the first convolution of the ``"auto"`` backbone.
    hidden_units : int, default: 1024 for images and 512 for tables
        Width of the dense layers of the ``"auto"`` backbone.
    dropout : float in [0, 1), default=0.4
        Of the ``"auto"`` backbone.
    max_epochs : int, default=20
        Each has as many steps as all rows make batches, whatever the kind of batches.
    batch_size : int, default=128
        At least 2.
    learning_rate : float, default=2e-4
        Of AdamW.
    weight_decay : float, default=1e-3
        The fraction by which the weights shrink in a step at the full learning rate.
    schedule : {"constant", "cosine", "one_cycle"}, default="constant"
        Of the learning rate.
    augment : {"none", "shift", "flip_shift"}, default="none"
        Of training images, see `latentover.training.augment_images`; tables stay as they are.
    image_shape, channels_last, device, precision, random_state, verbose
        See `RAEClassifier`.

    Attributes
    ----------
    classes_, class_counts_, networks_, history_, device_
        See `latentover.estimators.BaseDeepEstimator`.

    Examples
    --------
    >>> from sklearn.datasets import make_classification
    >>> X, y = make_classification(200, weights=[0.9], random_state=0)
    >>> control = DeepClassifier(batches="class_balanced", max_epochs=5, hidden_units=32, random_state=0).fit(X, y)
    >>> control.predict_proba(X).shape
    (200, 2)
    """

    _choices: ClassVar = {
        "loss": ("ce", "logit_adjusted"),
        "reweighting": (None, "class_weights"),
        "batches": ("natural", "class_balanced"),
    }
    backbone: nn.Module | Literal["auto"] = "auto"
    loss: Literal["ce", "logit_adjusted"] = "ce"
    tau: float = 1.0
    reweighting: Literal["class_weights"] | None = None
    batches: Literal["natural", "class_balanced"] = "natural"
    feature_dim: int = 64
    channels: int = 64
    hidden_units: int | None = None
    dropout: float = 0.4
    max_epochs: int = 20
    batch_size: int = 128
    learning_rate: float = 2e-4
    weight_decay: float = 1e-3
    schedule: Schedule = "constant"
    augment: Augment = "none"

    networks_: nn.ModuleDict = field(init=False)

    def _build_networks(self) -> nn.Module:
        encoder = build_encoder(
            self.format_.shape,
            self.feature_dim,
            encoder=self.backbone,
            channels=self.channels,
            hidden_units=self.hidden_units,
            dropout=self.dropout,
        )
        return nn.ModuleDict({"encoder": encoder, "classifier": linear(self.feature_dim, len(self.classes_))})

    def _fit_networks(self, data: TrainingSet) -> History:
        parameters = [p for p in self.networks_.parameters() if p.requires_grad]  # a given backbone may be frozen
        fused: dict[str, Any] = {"fused": True} if data.device.type in ("cpu", "cuda") else {}
        optimizer = torch.optim.AdamW(
            parameters, lr=self.learning_rate, weight_decay=self.weight_decay / self.learning_rate, **fused
        )
        if self.batches == "class_balanced":
            batches = class_balanced_batches(data.labels, self.batch_size, data.generator)
        else:
            batches = natural_batches(len(data.labels), self.batch_size, data.generator)
        weights = inverse_frequency_weights(data.class_counts) if self.reweighting == "class_weights" else None

        def update() -> dict[str, Tensor]:
            rows = next(batches)
            inputs = augment_images(data.prepare(data.inputs[rows]), self.augment, data.generator)
            with autocast(data.device, data.dtype):
                logits = self._logits(inputs)
            if self.loss == "logit_adjusted":
                logits = adjusted_logits(logits, data.class_counts, self.tau)
            loss = F.cross_entropy(logits, data.labels[rows], weight=weights)
            optimizer_step(optimizer, loss, parameters)
            return {"classifier": loss}

        def set_learning_rate(progress: float) -> None:
            for group in optimizer.param_groups:
                group["lr"] = self.learning_rate * learning_rate_factor(self.schedule, progress)

        steps_per_epoch = batches_per_epoch(len(data.labels), self.batch_size)
        return train(
            [Phase("classifier", update)],
            self.max_epochs * steps_per_epoch,
            report_every=steps_per_epoch,
            on_step=set_learning_rate,
            verbose=self.verbose,
            description=type(self).__name__,
        )

    def _logits(self, batch: Tensor) -> Tensor:
        return self.networks_["classifier"](self.networks_["encoder"](images_last(batch))).float()
