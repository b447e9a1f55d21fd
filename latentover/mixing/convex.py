"""Convex combination of same-class latents, the oversampling of the class-preserving regularized autoencoder."""

import torch
from torch import Tensor


def convex_combination(latents: Tensor, weights: Tensor) -> Tensor:
    r"""Mix t latents of one class: :math:`z' = \sum_{j=1}^{t} \alpha_j z_j`.

    Parameters
    ----------
    latents : Tensor of shape (B, t, m)
    weights : Tensor of shape (B, t)
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
    return torch.einsum("bt,btm->bm", weights.to(latents.dtype), latents)


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
