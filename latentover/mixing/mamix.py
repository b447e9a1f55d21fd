"""MAMix, margin-aware Mixup: the label of a mixture turns where the margins of its two classes should meet.

Cheng, Mai and Lin, "From SMOTE to Mixup for Deep Imbalanced Classification", 2023.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from latentover.mixing.mixed import check_number
from latentover.mixing.mixup import Mixup
from latentover.mixing.remix import Remix


def mamix_label_weight(lam: Tensor, n_i: Tensor | int, n_j: Tensor | int, omega: float = 0.25) -> Tensor:
    r"""Return the label weight of sample i for its input weight `lam`.

    Piecewise linear through (0, 0), :math:`(\theta, 1/2)` and (1, 1):

    .. math::
        \lambda_y = 1 - \dfrac{1 - \lambda_x}{2 (1 - \theta)} \quad \mathrm{where} \ \lambda_x \geq \theta
        \lambda_y = \dfrac{\lambda_x}{2 \theta} \quad \mathrm{where} \ \lambda_x < \theta
        \theta = \dfrac{\eta_j}{\eta_i + \eta_j}, \quad \eta_c = n_c^{-\omega}

    so that the rarer class gets more of the label than it has of the input.

    Parameters
    ----------
    lam : Tensor of shape (B,)
        Input weight of sample i, in [0, 1].
    n_i, n_j : Tensor of shape (B,), or int
        Training samples of the two classes, positive.
    omega : float, default=0.25
        How fast the wanted margin falls with the class size; 0 is Mixup.

    Returns
    -------
    Tensor of shape (B,)

    References
    ----------
    Cheng, Mai and Lin, "From SMOTE to Mixup for Deep Imbalanced Classification", 2023, Eq. 16.

    Examples
    --------
    >>> import torch
    >>> mamix_label_weight(torch.tensor([0.0, 0.25, 0.5, 1.0]), 5000, 50)
    tensor([0.0000, 0.1645, 0.3291, 1.0000])
    """
    lam = torch.as_tensor(lam)
    n_i, n_j = (torch.as_tensor(n, device=lam.device).to(lam.dtype) for n in (n_i, n_j))
    # As a sigmoid theta is exactly 1/2 for equal counts, and 1 - theta keeps its digits where theta is near 1.
    log_ratio = omega * (n_i / n_j).log()
    tiny = torch.finfo(lam.dtype).tiny
    theta, rest = log_ratio.sigmoid().clamp(min=tiny), (-log_ratio).sigmoid().clamp(min=tiny)
    return torch.where(lam >= theta, 1 - 0.5 * (1 - lam) / rest, 0.5 * lam / theta)


@dataclass(frozen=True)
class MAMix(Mixup):
    """Mixup whose label weights respect the margins that the class sizes ask for.

    Parameters
    ----------
    alpha : float, default=1.0
        Of the Beta(alpha, alpha) distribution of lambda.
    per_sample : bool, default=False
        Draw a lambda for every sample, and not one for the batch.
    omega : float, default=0.25
        See `mamix_label_weight`.
    base : Remix, optional
        MAMix on top of Remix: where `base` makes a label hard it stays hard, and MAMix weighs the others. Its `alpha`
        and `per_sample` have to be those of this rule.

    References
    ----------
    Cheng, Mai and Lin, "From SMOTE to Mixup for Deep Imbalanced Classification", 2023, Algorithm 1. Its Table 2 has a
    "MAMix-Remix" that is not defined there; `base` is our reading of it.

    Examples
    --------
    >>> import torch
    >>> labels, counts = torch.tensor([0, 0, 1, 1]), torch.tensor([90, 10])
    >>> rule = MAMix(base=Remix())
    >>> rule(torch.rand(4, 5), labels, counts, torch.Generator().manual_seed(0)).inputs.shape
    torch.Size([4, 5])
    """

    omega: float = 0.25
    base: Remix | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("omega", self.omega, 0)
        if self.base is None:
            return
        if not isinstance(self.base, Remix):
            raise ValueError(f"Expected base to be a Remix or None, but got {self.base!r}; MAMix alone has base=None.")
        if (self.base.alpha, self.base.per_sample) != (self.alpha, self.per_sample):
            raise ValueError(
                f"Expected base to have alpha={self.alpha} and per_sample={self.per_sample} as the rule on top of it, "
                f"but got {self.base!r}; there is one lambda for both."
            )

    def label_weight(self, lam: Tensor, labels: Tensor, partners: Tensor, class_counts: Tensor) -> Tensor:
        """Return the label weight (B,) of sample i, for its input weight `lam` (B,) and both classes (B,)."""
        weight = mamix_label_weight(lam, class_counts[labels], class_counts[partners], self.omega)
        if self.base is None:
            return weight
        base = self.base.label_weight(lam, labels, partners, class_counts)
        return torch.where(base == lam, weight, base)
