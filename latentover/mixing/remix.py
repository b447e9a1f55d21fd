"""Remix: mix inputs as Mixup does, but leave the label of a mixture to the class that is much rarer.

Chou et al., "Remix: Rebalanced Mixup", ECCV Workshops 2020.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from latentover.mixing.mixed import check_number
from latentover.mixing.mixup import Mixup


def remix_label_weight(
    lam: Tensor, n_i: Tensor | int, n_j: Tensor | int, kappa: float = 3.0, tau: float = 0.5
) -> Tensor:
    r"""Return the label weight of sample i for its input weight `lam`.

    .. math::
        \lambda_y = 0 \quad \mathrm{where} \ n_i / n_j \geq \kappa \ \mathrm{and} \ \lambda_x < \tau
        \lambda_y = 1 \quad \mathrm{where} \ n_i / n_j \leq 1 / \kappa \ \mathrm{and} \ 1 - \lambda_x < \tau
        \lambda_y = \lambda_x \quad \mathrm{otherwise}

    Parameters
    ----------
    lam : Tensor of shape (B,)
        Input weight of sample i, in [0, 1].
    n_i, n_j : integer Tensor of shape (B,), or int
        Training samples of the two classes.
    kappa : float, default=3.0
        How many times larger the larger class has to be, at least 1.
    tau : float, default=0.5
        Below which input weight the larger class loses its share of the label, in [0, 1].

    Returns
    -------
    Tensor of shape (B,)

    References
    ----------
    Chou et al., "Remix: Rebalanced Mixup", ECCV Workshops 2020.

    Examples
    --------
    >>> import torch
    >>> remix_label_weight(torch.tensor([0.3, 0.5, 0.7]), 5000, 50)
    tensor([0.0000, 0.5000, 0.7000])
    """
    lam = torch.as_tensor(lam)
    n_i, n_j = torch.as_tensor(n_i, device=lam.device), torch.as_tensor(n_j, device=lam.device)
    # Products instead of ratios: with whole numbers a ratio of exactly kappa is found exactly.
    weight = torch.where((kappa * n_i <= n_j) & (1 - lam < tau), torch.ones_like(lam), lam)
    return torch.where((n_i >= kappa * n_j) & (lam < tau), torch.zeros_like(lam), weight)


@dataclass(frozen=True)
class Remix(Mixup):
    """Mixup whose labels are hard where one class is much larger and does not dominate the input.

    Parameters
    ----------
    alpha : float, default=1.0
        Of the Beta(alpha, alpha) distribution of lambda.
    per_sample : bool, default=False
        Draw a lambda for every sample, and not one for the batch.
    kappa, tau : float, default=3.0 and 0.5
        See `remix_label_weight`.

    References
    ----------
    Chou et al., "Remix: Rebalanced Mixup", ECCV Workshops 2020.

    Examples
    --------
    >>> import torch
    >>> labels, counts = torch.tensor([0, 0, 1, 1]), torch.tensor([90, 10])
    >>> Remix()(torch.rand(4, 5), labels, counts, torch.Generator().manual_seed(0)).inputs.shape
    torch.Size([4, 5])
    """

    kappa: float = 3.0
    tau: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("kappa", self.kappa, 1)
        check_number("tau", self.tau, 0, 1)

    def label_weight(self, lam: Tensor, labels: Tensor, partners: Tensor, class_counts: Tensor) -> Tensor:
        """Return the label weight (B,) of sample i, for its input weight `lam` (B,) and both classes (B,)."""
        return remix_label_weight(lam, class_counts[labels], class_counts[partners], self.kappa, self.tau)
