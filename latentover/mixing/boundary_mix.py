"""Boundary mixing: features of rare classes are moved towards the boundary, as far as their own samples lie apart.

Convex mixing within a class ends near to its parents, where a classifier learns nothing new. Here the mixture is the
point on the way to a more frequent class at which the classifier is least certain, within a trust radius: the distance
of the sample to a neighbour of its own class.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor

from latentover.mixing.mixed import Mixed, Partners, Space, as_batch, check_number, mix_inputs
from latentover.mixing.partners import NeighborPartners


@dataclass(frozen=True)
class BoundaryMix(NeighborPartners):
    """Move features of rarer classes towards the nearest ones of a more frequent class, and keep their label.

    Parameters
    ----------
    k_neighbors : int, default=1
        Among how many neighbours of its own class the one is drawn whose distance is the measure.
    neighbor_space : {"inputs", "features"}, default="inputs"
        Where neighbours are searched before training; distances are those of the features as they are now.
    radius : float, default=1.0
        How far a sample is moved at most, in distances to that neighbour, and never beyond the middle of the way.
    steps : int, default=9
        Points on the way that are looked at, the sample itself among them; of these it becomes the one at which the
        entropy of the predicted classes is largest.
    probability : float in [0, 1], default=0.5
        Of each sample to be moved, so that the others are learned where they are.
    space : "features", default="features"

    Examples
    --------
    >>> import torch
    >>> features, labels, counts = torch.tensor([[0.0], [1.0], [9.0]]), torch.tensor([1, 1, 0]), torch.tensor([90, 10])
    >>> own = torch.tensor([[2.0], [0.0], [9.0]]), labels  # neighbours of the same class
    >>> rule, generator = BoundaryMix(probability=1.0), torch.Generator().manual_seed(0)
    >>> rule(features, labels, counts, generator, own, logits=lambda x: torch.cat([x, 10 - x], dim=1)).inputs.T.round()
    tensor([[2., 2., 9.]])
    """

    k_neighbors: int = 1
    radius: float = 1.0
    steps: int = 9
    probability: float = 0.5
    space: Space = field(default="features", kw_only=True)

    same_class: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("radius", self.radius, 0)
        check_number("steps", self.steps, 2, whole=True)
        check_number("probability", self.probability, 0, 1)
        if self.space != "features":
            raise ValueError(
                f"Expected space of BoundaryMix to be 'features', on which the classifier decides, but got "
                f"{self.space!r}; leave it out."
            )

    def __call__(
        self,
        inputs: Any,
        labels: Any,
        class_counts: Any,
        generator: torch.Generator,
        partners: Partners | None = None,
        logits: Callable[[Tensor], Tensor] | None = None,
    ) -> Mixed:
        """Mix a batch.

        Parameters
        ----------
        inputs : Tensor or array of shape (B, d)
            Features.
        labels : whole numbers of shape (B,)
        class_counts : numbers of shape (C,)
        generator : torch.Generator
        partners : (features, labels)
            Of neighbours of the same class, of shapes (B, d) and (B,).
        logits : callable
            Maps features (n, d) to logits (n, C).

        Returns
        -------
        Mixed
            Its partners are the samples of a more frequent class, whose share of the label is 0.
        """
        inputs, labels, class_counts = as_batch(inputs, labels, class_counts)
        own, _, _ = as_batch(*self.given(partners), class_counts)
        if logits is None:
            raise ValueError(
                "Expected logits of BoundaryMix to map features to logits, but got None; pass the classifier."
            )
        with torch.no_grad():
            sizes = class_counts[labels]
            larger = sizes.unsqueeze(0) > sizes.unsqueeze(1)
            distances = torch.cdist(inputs, inputs).masked_fill(~larger, torch.inf)
            rows = distances.argmin(dim=1)
            apart = (inputs - inputs[rows]).norm(dim=1)
            trusted = self.radius * (inputs - own).norm(dim=1)
            furthest = (trusted / apart.clamp(min=torch.finfo(apart.dtype).tiny)).clamp(max=0.5)
            chosen = torch.rand(len(labels), generator=generator, device=labels.device) < self.probability
            furthest = furthest * (chosen & larger.any(dim=1))
            moved = torch.arange(self.steps, device=labels.device).unsqueeze(1) / (self.steps - 1) * furthest
            points = torch.lerp(inputs, inputs[rows], moved.unsqueeze(2))
            log_p = logits(points.flatten(0, 1)).log_softmax(dim=1)
            entropy = -(log_p.exp() * log_p).sum(dim=1).view(self.steps, -1)
            weight = 1 - moved.gather(0, entropy.argmax(dim=0, keepdim=True)).squeeze(0)
        mixed = mix_inputs(inputs, inputs[rows], weight)
        return Mixed(mixed, labels, labels[rows], torch.ones_like(weight), rows)
