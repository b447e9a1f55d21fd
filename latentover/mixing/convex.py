"""Convex combination of same-class latents, the oversampling of the class-preserving regularized autoencoder."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


def convex_combination(latents: Any, weights: Any) -> Tensor:
    r"""Mix t latents of one class: :math:`z' = \sum_{j=1}^{t} \alpha_j z_j`.

    Parameters
    ----------
    latents : Tensor or array of shape (B, t, m)
    weights : Tensor or array of shape (B, t)
        Non-negative, rows sum to 1.

    Returns
    -------
    Tensor of shape (B, m)

    References
    ----------
    Mondal et al., "Minority Oversampling for Imbalanced Data via Class-Preserving Regularized Auto-Encoders",
    AISTATS 2023, Eq. 1.

    Examples
    --------
    >>> import torch
    >>> convex_combination(torch.tensor([[[1.0, 0.0], [0.0, 2.0]]]), torch.tensor([[0.3, 0.7]]))
    tensor([[0.3000, 1.4000]])
    """
    latents = torch.as_tensor(latents)
    return torch.einsum("bt,btm->bm", torch.as_tensor(weights, device=latents.device).to(latents.dtype), latents)


def cyclic_shifts(latents: Tensor) -> Tensor:
    """Return every tuple in all its t cyclic orders, so that each member stands once in each place.

    Parameters
    ----------
    latents : Tensor of shape (B, t, m)

    Returns
    -------
    Tensor of shape (t * B, t, m)
        The unshifted tuples first.
    """
    return torch.cat([latents.roll(-shift, dims=1) for shift in range(latents.shape[1])])


def drawn_weights(alpha: str | Sequence[float], draw: Any, t: int) -> Tensor:
    """Draw convex weights (n, t).

    Parameters
    ----------
    alpha : "uniform" or t positive numbers
        Uniform on the simplex, or the concentrations of a Dirichlet distribution, for t = 2 of Beta(a, b).
    draw : callable
        Maps a function of a shape, a generator and a device, and the last sides of the shape, to what it draws.
    t : int
    """
    if alpha == "uniform":
        # Exponential draws over their sum are uniform on the simplex.
        draws = -draw(torch.rand, t).clamp(min=1e-12).log()
    else:

        def gamma(*shape: int, generator: torch.Generator, device: torch.device) -> Tensor:
            # Filled in one by one on the device: a tensor of numbers would have to be sent there.
            concentrations = torch.stack([torch.full(shape[:-1], float(a), device=device) for a in alpha], dim=-1)
            return torch._standard_gamma(concentrations, generator=generator)

        draws = draw(gamma, t).clamp(min=1e-12)
    return draws / draws.sum(dim=1, keepdim=True)
