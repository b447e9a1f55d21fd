"""CutMix and CMO: a patch of one image stands in another, and the label goes by the area.

Yun et al., "CutMix: Regularization Strategy to Train Strong Classifiers with Localizable Features", ICCV 2019. Park et
al., "The Majority Can Help the Minority: Context-rich Minority Oversampling for Long-tailed Classification", CVPR 2022.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from latentover.mixing.mixed import check_number
from latentover.mixing.mixup import Mixup
from latentover.mixing.partners import DrawnPartners
from latentover.training.augment import patch_mask

WEIGHTINGS = ("inverse_frequency", "effective_number", "balanced")
EFFECTIVE_BETA = 0.9999


@dataclass(frozen=True)
class CutMix(Mixup):
    r"""Put a patch of a random sample of the batch into each image; labels are mixed by the area.

    The patch has :math:`\sqrt{1 - \lambda}` of either side, its middle lies anywhere in the image, and what would lie
    outside is cut off; the label weight is the share of the image that is left.

    Parameters
    ----------
    alpha : float, default=1.0
        Of the Beta(alpha, alpha) distribution of lambda.
    per_sample : bool, default=False
        Draw a patch and whether there is one for every sample, and not one for the batch.
    probability : float in [0, 1], default=1.0
        Of a patch; the authors' code has 1/2 for CIFAR and 1 for ImageNet.

    References
    ----------
    Yun et al., "CutMix: Regularization Strategy to Train Strong Classifiers with Localizable Features", ICCV 2019.

    Examples
    --------
    >>> import torch
    >>> images, labels, counts = torch.rand(4, 3, 8, 8), torch.tensor([0, 0, 0, 1]), torch.tensor([90, 10])
    >>> CutMix()(images, labels, counts, torch.Generator().manual_seed(0)).inputs.shape
    torch.Size([4, 3, 8, 8])
    """

    probability: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("probability", self.probability, 0, 1)

    def combine(
        self, inputs: Tensor, partner_inputs: Tensor, lam: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Return images (B, ..., h, w) with patches, and the shares (B,) of them that are left.

        Raises
        ------
        ValueError
            For what is no image and no map of features.
        """
        if inputs.dim() < 4:
            raise ValueError(
                f"Expected inputs of {type(self).__name__} to be images (B, c, h, w), but got shape "
                f"{tuple(inputs.shape)}; mix rows and features with Mixup."
            )
        n, (height, width) = len(inputs), inputs.shape[-2:]
        drawn = n if self.per_sample else 1

        def draw(side: int) -> Tensor:
            return torch.randint(side, (drawn,), generator=generator, device=generator.device).expand(n)

        share = (1 - lam).sqrt()
        high, wide = (share * height).long(), (share * width).long()
        top, left = draw(height) - high // 2, draw(width) - wide // 2
        patch = patch_mask(top, left, (high, wide), (height, width))
        if self.probability < 1:
            chosen = torch.rand(drawn, generator=generator, device=generator.device) < self.probability
            patch = patch & chosen.expand(n).view(-1, 1, 1, 1)
        left_over = 1 - patch.float().mean(dim=(1, 2, 3))
        patch = patch.view(n, *[1] * (inputs.dim() - 3), height, width)
        return torch.where(patch, partner_inputs, inputs), left_over


@dataclass(frozen=True)
class CMO(DrawnPartners, CutMix):
    r"""Put a patch of a rare image into each image of a natural batch, which is the rare one's context.

    Parameters
    ----------
    alpha, per_sample, probability
        See `CutMix`. The authors' code has a probability of 1/2.
    weighting : {"inverse_frequency", "effective_number", "balanced"}, default="inverse_frequency"
        How often patches come from a class: in proportion to :math:`1 / n_c`, to the inverse effective number of its
        samples, or from all classes alike, which is what weights of :math:`1 / n_c` for each *sample* come to in the
        authors' code.

    References
    ----------
    Park et al., "The Majority Can Help the Minority: Context-rich Minority Oversampling for Long-tailed
    Classification", CVPR 2022, Algorithm 1.

    Examples
    --------
    >>> import torch
    >>> images, labels, counts = torch.rand(20, 1, 8, 8), torch.arange(20) // 15, torch.tensor([15, 5])
    >>> generator, rule = torch.Generator().manual_seed(0), CMO()
    >>> searched = rule.search(images, labels, lambda: images)  # once, for all training rows
    >>> rare = rule.partner_rows(searched, torch.arange(6), generator)
    >>> rule(images[:6], labels[:6], counts, generator, partners=(images[rare], labels[rare])).inputs.shape
    torch.Size([6, 1, 8, 8])
    """

    weighting: Literal["inverse_frequency", "effective_number", "balanced"] = "inverse_frequency"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.weighting not in WEIGHTINGS:
            raise ValueError(f"Expected weighting to be one of {WEIGHTINGS}, but got {self.weighting!r}.")

    def search(self, inputs: Tensor, labels: Tensor, features: Callable[[], Tensor]) -> Tensor:
        """Return the cumulative probabilities (n,) of the training rows."""
        counts = torch.bincount(labels).double()
        weights = 1 / counts.clamp(min=1)
        if self.weighting == "effective_number":
            weights = 1 / (1 - EFFECTIVE_BETA**counts).clamp(min=1 - EFFECTIVE_BETA)
        if self.weighting == "balanced":
            weights = torch.ones_like(counts)
        cumulative = (weights / counts.clamp(min=1))[labels].cumsum(dim=0)
        return cumulative / cumulative[-1]

    def partner_rows(self, searched: Tensor, rows: Tensor, generator: torch.Generator) -> Tensor:
        """Return for each row of a batch (B,) the number (B,) of a row of the training set, drawn by its weight."""
        drawn = torch.rand(rows.shape, dtype=torch.float64, generator=generator, device=rows.device)
        return torch.searchsorted(searched, drawn, right=True).clamp(max=len(searched) - 1)
