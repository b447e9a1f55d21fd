"""The terms of a Wasserstein GAN with gradient penalty (Gulrajani et al., 2017), conditioned on the label."""

from collections.abc import Callable

import torch
from torch import Tensor


def generator_loss(fake_scores: Tensor) -> Tensor:
    r"""Return :math:`-E[C(\tilde x, y)]`, what the generator minimises; `fake_scores` has shape (B,)."""
    return -fake_scores.mean()


def critic_loss(fake_scores: Tensor, real_scores: Tensor, penalty: Tensor, penalty_weight: float = 10.0) -> Tensor:
    r"""Return :math:`E[C(\tilde x, y)] - E[C(x, y)] + \lambda\,GP`, what the critic minimises.

    Parameters
    ----------
    fake_scores, real_scores : Tensor of shape (B,)
    penalty : scalar Tensor
        Of `gradient_penalty`.
    penalty_weight : float
    """
    return fake_scores.mean() - real_scores.mean() + penalty_weight * penalty


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
