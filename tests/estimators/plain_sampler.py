"""The cheapest over-sampler there can be: new rows lie between two rows of their class. It has no networks."""

from dataclasses import dataclass

import numpy as np
import torch

from latentover.estimators import BaseSampler, NoBases, PositiveInt, Synthetic


@dataclass(kw_only=True, eq=False, repr=False)
class PlainSampler(BaseSampler):
    n_parents: PositiveInt = 2

    def _rows_needed(self):
        return self.n_parents

    def _generate(self, label, n, generator):
        rows = self._draw_parents(label, n, self.n_parents, generator)
        weights = torch.rand(n, self.n_parents, generator=generator, device=generator.device).add(1e-3)
        weights /= weights.sum(dim=1, keepdim=True)
        parents = self.format_.network_input(self.tensors_["inputs"][rows.flatten()])
        parents = parents.reshape(n, self.n_parents, -1)
        outputs = (weights.unsqueeze(2) * parents).sum(dim=1).reshape(n, *self.format_.shape)
        return Synthetic(outputs, rows.cpu().numpy(), weights.cpu().numpy())


@dataclass(kw_only=True, eq=False, repr=False)
class NormalSampler(BaseSampler):
    """New rows are drawn from a normal distribution: they have no parents."""

    base_selection: NoBases = "random"

    def _fit_generator(self, inputs, labels, generator):
        rows = self.format_.network_input(inputs).flatten(1)
        self.tensors_ = {"means": torch.stack([rows[labels == c].mean(dim=0) for c in range(int(labels.max()) + 1)])}

    def _generate(self, label, n, generator):
        mean = self.tensors_["means"][label]
        noise = torch.randn(n, len(mean), generator=generator, device=generator.device)
        return Synthetic((mean + 0.1 * noise).reshape(n, *self.format_.shape), *(np.empty((n, 0)) for _ in range(2)))
