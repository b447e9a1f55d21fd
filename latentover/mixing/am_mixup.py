"""Asymptotic midpoint mixup: features move towards the midpoint of two classes as training gets on, labels do not.

"Asymptotic Midpoint Mixup for Margin Balancing and Moderate Broadening", 2024, arXiv 2401.14696. Written from a summary
of it: features of two classes are mixed with one weight that falls from 1 to about 1/2 as the training accuracy rises,
and the mixture has the label of the sample that it is nearer to. The form of the schedule (its Equation 6), the weight
of the clean loss and the choice of partners are our reading.
"""

from dataclasses import dataclass, field
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from latentover.mixing.mixed import Mixed, MixingRule, Space, as_batch, check_number, mix_inputs


def am_mixup_rate(accuracy: Tensor | float, beta: float = 0.67) -> Tensor:
    r"""Return the feature weight of sample i, :math:`\lambda = e^{-\beta a}`.

    Parameters
    ----------
    accuracy : Tensor of any shape, or float
        Training accuracy a in [0, 1].
    beta : float, default=0.67
        ln 2 ends at exactly 1/2, the midpoint; the default at 0.512.

    Returns
    -------
    Tensor of the shape of `accuracy`

    Examples
    --------
    >>> import torch
    >>> am_mixup_rate(torch.tensor([0.0, 0.5, 1.0]))
    tensor([1.0000, 0.7153, 0.5117])
    """
    accuracy = torch.as_tensor(accuracy)
    # In float64, so that the midpoint is met exactly and not missed by a rounding.
    return (-beta * accuracy.double()).exp().to(accuracy.dtype)


@dataclass(frozen=True)
class AMMixup(MixingRule):
    """Mix features of each sample with those of another class, and keep the label of the nearer of the two.

    Parameters
    ----------
    beta : float, default=0.67
        See `am_mixup_rate`.
    partner : {"random", "center"}, default="random"
        A random sample of another class in the batch, or the centre of its class in the batch.
    class_balanced_partners : bool, default=False
        Draw the partner's class first, so that a batch's few rare samples are partners as often as the others.
    clean_weight : float, default=1.0
        Of the loss of the features that are not mixed, beside that of the mixed ones; 0 trains on mixtures alone.

    Examples
    --------
    >>> import torch
    >>> features, labels, counts = torch.rand(4, 5), torch.tensor([0, 0, 0, 1]), torch.tensor([90, 10])
    >>> mixed = AMMixup()(features, labels, counts, torch.Generator().manual_seed(0), accuracy=0.5)
    >>> mixed.partners, mixed.label_weight
    (tensor([1, 1, 1, 0]), tensor([1., 1., 1., 1.]))
    """

    beta: float = 0.67
    partner: Literal["random", "center"] = "random"
    class_balanced_partners: bool = False
    clean_weight: float = 1.0

    space: Space = field(default="features", kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("beta", self.beta, 0)
        check_number("clean_weight", self.clean_weight, 0)
        if self.partner not in ("random", "center"):
            raise ValueError(f"Expected partner to be 'random' or 'center', but got {self.partner!r}.")

    def __call__(
        self,
        inputs: Tensor,
        labels: Tensor,
        class_counts: Tensor,
        generator: torch.Generator,
        *,
        accuracy: Tensor | float = 0.0,
    ) -> Mixed:
        """Mix a batch of features.

        Parameters
        ----------
        inputs : Tensor of shape (B, ...)
            Features of an encoder; gradients flow through both samples of a mixture.
        labels : integer Tensor of shape (B,)
        class_counts : Tensor of shape (C,)
        generator : torch.Generator
        accuracy : float or scalar Tensor, default=0.0
            Training accuracy so far, in [0, 1]; 0 mixes nothing.

        Returns
        -------
        Mixed
            In a batch of a single class each sample is its own partner.
        """
        inputs, labels, class_counts = as_batch(inputs, labels, class_counts)
        others = (labels.unsqueeze(1) != labels).float()  # (B, B)
        alone = (others.sum(dim=1, keepdim=True) == 0).float()
        others = others + alone * torch.eye(len(labels), device=labels.device)
        n_classes = len(class_counts)
        if self.class_balanced_partners:
            others = others / F.one_hot(labels, n_classes).sum(dim=0)[labels]
        rows = torch.multinomial(others, 1, generator=generator).squeeze(1)
        partners = labels[rows]
        if self.partner == "center":
            partner_inputs = class_centers(inputs, labels, n_classes)[partners]
        else:
            partner_inputs = inputs[rows]
        weight = am_mixup_rate(torch.as_tensor(accuracy, device=inputs.device), self.beta).expand(len(labels))
        return Mixed(mix_inputs(inputs, partner_inputs, weight), labels, partners, (weight >= 0.5).float(), rows)


def class_centers(features: Tensor, labels: Tensor, n_classes: int) -> Tensor:
    """Return the mean features (n_classes, ...) of each class in a batch; zeros for a class that is not in it."""
    onehot = F.one_hot(labels, n_classes).to(features.dtype)
    sums = onehot.T @ features.flatten(1)
    return (sums / onehot.sum(dim=0).clamp(min=1).unsqueeze(1)).unflatten(1, features.shape[1:])
