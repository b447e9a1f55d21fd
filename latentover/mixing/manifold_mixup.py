"""Manifold mixup: Mixup of the activations behind a layer that is drawn anew for each batch.

Verma et al., "Manifold Mixup: Better Representations by Interpolating Hidden States", ICML 2019.
"""

from dataclasses import dataclass, field

from latentover.mixing.mixed import Space
from latentover.mixing.mixup import Mixup


@dataclass(frozen=True)
class ManifoldMixup(Mixup):
    """Mixup applied to hidden activations.

    Parameters
    ----------
    alpha : float, default=2.0
        Of the Beta(alpha, alpha) distribution of lambda.
    per_sample : bool, default=False
        Draw a lambda for every sample, and not one for the batch.
    space : {"input", "hidden", "features"}, default="hidden"
    layers : tuple of int, default=(0, 1, 2)
        Behind which stages of the network mixing may happen: 0 is the input, 1 behind the first stage.

    References
    ----------
    Verma et al., "Manifold Mixup: Better Representations by Interpolating Hidden States", ICML 2019.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> network = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 2))
    >>> inputs, labels, counts = torch.rand(6, 5), torch.arange(6) % 2, torch.tensor([90, 10])
    >>> rule, generator = ManifoldMixup(), torch.Generator().manual_seed(0)
    >>> layer = rule.draw_layer(generator)
    >>> mixed = rule(network[:layer](inputs), labels, counts, generator)
    >>> network[layer:](mixed.inputs).shape
    torch.Size([6, 2])
    """

    alpha: float = 2.0
    space: Space = field(default="hidden", kw_only=True)
