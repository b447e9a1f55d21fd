"""The terms of a Wasserstein GAN with gradient penalty (Gulrajani et al., 2017), conditioned on the label."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from latentover.losses.targets import as_numbers


def generator_loss(fake_scores: Any) -> Tensor:
    r"""Return :math:`-E[C(\tilde x, y)]`, what the generator minimises; `fake_scores` has shape (B,)."""
    return -as_numbers("fake_scores", fake_scores).mean()


def critic_loss(fake_scores: Any, real_scores: Any, penalty: Any, penalty_weight: float = 10.0) -> Tensor:
    r"""Return :math:`E[C(\tilde x, y)] - E[C(x, y)] + \lambda\,GP`, what the critic minimises.

    Parameters
    ----------
    fake_scores, real_scores : numbers of shape (B,)
    penalty : scalar Tensor
        Of `gradient_penalty`.
    penalty_weight : float
    """
    fake, real = as_numbers("fake_scores", fake_scores), as_numbers("real_scores", real_scores)
    return fake.mean() - real.mean() + penalty_weight * penalty


def gradient_penalty(
    critic: Callable[[Tensor, Tensor], Tensor], real: Tensor, fake: Tensor, onehot: Tensor, coefficients: Tensor
) -> Tensor:
    r"""Return :math:`E[(\|\nabla_{\hat x} C(\hat x, y)\|_2 - 1)^2]` at :math:`\hat x = x + a (\tilde x - x)`.

    Parameters
    ----------
    critic : callable
        Maps inputs (B, ...) and one-hot labels (B, C) to scores (B,); a sample's score depends on that sample alone.
    real, fake : Tensor of shape (B, ...)
    onehot : Tensor of shape (B, C)
    coefficients : Tensor of shape (B,)
        The a, one a sample: uniform in [0, 1] in the paper.

    Returns
    -------
    scalar Tensor
        Differentiable with respect to the critic's parameters; its gradient is finite also where the norm is zero.
    """
    a = coefficients.view(-1, *[1] * (real.dim() - 1))
    between = (real + a * (fake - real)).detach().requires_grad_()
    scores = critic(between, onehot)
    (gradient,) = torch.autograd.grad(scores.sum(), between, create_graph=True)
    norm = (gradient.float().flatten(1).square().sum(dim=1) + 1e-12).sqrt()
    return (norm - 1).square().mean()
