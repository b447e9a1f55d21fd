"""Mixup: train on convex combinations of two samples and, with the same weight, of their labels.

Zhang et al., "mixup: Beyond Empirical Risk Minimization", ICLR 2018.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from latentover.mixing.mixed import (
    Mixed,
    MixingRule,
    Partners,
    as_batch,
    check_number,
    draw_mixing_weights,
    mix_inputs,
)


def mixup_label_weight(lam: Tensor) -> Tensor:
    r"""Return the label weight of sample i for its input weight `lam` (B,): the same, :math:`\lambda_y = \lambda_x`."""
    return lam


@dataclass(frozen=True)
class Mixup(MixingRule):
    r"""Mix each sample of a batch with a random one: :math:`\tilde x = \lambda x_i + (1 - \lambda) x_j`, labels alike.

    Parameters
    ----------
    alpha : float, default=1.0
        Of the Beta(alpha, alpha) distribution of lambda.
    per_sample : bool, default=False
        Draw a lambda for every sample, and not one for the batch.

    References
    ----------
    Zhang et al., "mixup: Beyond Empirical Risk Minimization", ICLR 2018.

    Examples
    --------
    >>> import torch
    >>> inputs, labels, counts = torch.rand(4, 3, 8, 8), torch.tensor([0, 0, 0, 1]), torch.tensor([90, 10])
    >>> mixed = Mixup()(inputs, labels, counts, torch.Generator().manual_seed(0))
    >>> mixed.inputs.shape, mixed.soft_labels(2).shape
    (torch.Size([4, 3, 8, 8]), torch.Size([4, 2]))
    """

    alpha: float = 1.0
    per_sample: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("alpha", self.alpha, 0, above=True)

    def label_weight(self, lam: Tensor, labels: Tensor, partners: Tensor, class_counts: Tensor) -> Tensor:
        """Return the label weight (B,) of sample i, for its input weight `lam` (B,) and both classes (B,)."""
        return mixup_label_weight(lam)

    def combine(
        self, inputs: Tensor, partner_inputs: Tensor, lam: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Return mixed inputs (B, ...) for input weights `lam` (B,), and the weights that they came to have."""
        return mix_inputs(inputs, partner_inputs, lam), lam

    def __call__(
        self,
        inputs: Any,
        labels: Any,
        class_counts: Any,
        generator: torch.Generator,
        partners: Partners | None = None,
    ) -> Mixed:
        """Mix a batch.

        Parameters
        ----------
        inputs : Tensor or array of shape (B, ...)
            Normalised and augmented.
        labels : whole numbers of shape (B,)
        class_counts : numbers of shape (C,)
            Training samples of each class.
        generator : torch.Generator
            On the device of the inputs; the only source of randomness.
        partners : (inputs, labels), default: the batch in a random order
            The samples j, of shapes (B, ...) and (B,).

        Returns
        -------
        Mixed
        """
        inputs, labels, class_counts = as_batch(inputs, labels, class_counts)
        rows = None
        if partners is None:  # a sample may be its own partner
            rows = torch.randperm(len(labels), generator=generator, device=labels.device)
            partners = inputs[rows], labels[rows]
        partner_inputs, partner_labels, _ = as_batch(*partners, class_counts)
        lam = draw_mixing_weights(self.alpha, len(labels), generator, per_sample=self.per_sample)
        mixed, lam = self.combine(inputs, partner_inputs, lam, generator)
        weight = self.label_weight(lam, labels, partner_labels, class_counts)
        return Mixed(mixed, labels, partner_labels, weight, rows)
