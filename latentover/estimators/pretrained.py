"""Encoders that come with weights: the parameters that say which, and what is read before a training."""

import os
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeVar

import numpy as np
from torch import nn

from latentover.data.diagnosis import few_images
from latentover.estimators.formats import Format, ImageFormat
from latentover.estimators.parameters import Expected, PositiveInt
from latentover.networks.backbones import is_published, load_backbone, unknown_backbone
from latentover.tables.checks import warn_user

Networks = TypeVar("Networks", bound=nn.Module)


class FewImagesWarning(UserWarning):
    """There are too few images to learn from them alone."""


@dataclass(kw_only=True, eq=False, repr=False)
class PretrainedEncoder:
    """Parameters of estimators whose encoder may have learned from other images before.

    Parameters
    ----------
    encoder_weights : path or "cache", optional
        What the encoder begins with: a state dict of torch (``.pt``, ``.pth``, ``.bin``, ``.ckpt``), a ``.safetensors``
        file, or the folder of a bundle, such as a run of `DeepClassifier` on other images, whose encoder it is.
        ``"cache"`` are the published weights of a model of torchvision or timm, where they lie on this machine already;
        nothing is ever fetched. Layers that told the classes of those images apart are left out. Bundles hold the
        weights, and need the file no more.
    freeze_encoder : bool, default=False
        Whether the encoder keeps these weights, and its running statistics too. Its last dense layer, which makes the
        latents, learns all the same.
    encoder_size : int, optional
        Side in pixels that images are brought to for a model of torchvision or timm. By default, and with weights that
        are not of a bundle, the one that it was published for, mostly 224; a smaller one, such as 64, costs less and
        still does well for small images. Models that were given no weights see images as they are.
    """

    encoder_weights: Annotated[str | os.PathLike[str] | None, Expected("a path, 'cache' or None")] = None
    freeze_encoder: bool = False
    encoder_size: PositiveInt | None = None

    classes_: np.ndarray = field(init=False)
    class_counts_: np.ndarray = field(init=False)
    format_: Format = field(init=False)

    def _encoder_problems(self, parameter: str) -> list[str]:
        """Return what is wrong with the encoder, which is the parameter of that name."""
        encoder: Any = getattr(self, parameter)
        problems = [problem] if (problem := unknown_backbone(encoder, parameter)) else []
        if self.freeze_encoder and self.encoder_weights is None and not isinstance(encoder, nn.Module):
            problems.append(
                "encoder_weights to be given with freeze_encoder=True, but got None: nothing was learned yet"
            )
        if self.encoder_size is not None and not is_published(encoder):
            problems.append(
                f"encoder_size to be None but for models of torchvision and timm, which {parameter} names, but got "
                f"{self.encoder_size!r}"
            )
        return problems

    def _encoder_options(self) -> dict[str, Any]:
        """Return how a backbone is built."""
        return {"weights": self.encoder_weights, "image_size": self.encoder_size, "freeze": self.freeze_encoder}

    def _with_weights(self, networks: Networks, encoder: nn.Module | str, part: str = "encoder") -> Networks:
        """Return networks of which a part, the encoder, has the weights that it begins with.

        Warns
        -----
        FewImagesWarning
            If there are few images and no weights.
        """
        if self.encoder_weights is not None:
            load_backbone(networks.get_submodule(part), encoder, self.encoder_weights)
        elif isinstance(self.format_, ImageFormat) and not isinstance(encoder, nn.Module):
            for advice in few_images(self.classes_.tolist(), self.class_counts_.tolist()):
                warn_user(advice, FewImagesWarning)
        return networks
