"""What every estimator with an encoder offers: the latents of samples, and a look at them."""

from typing import Any

import numpy as np
import torch
from sklearn.manifold import TSNE
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from latentover.estimators.base import BaseDeepEstimator, TrainingSet
from latentover.metrics import linear_separability


class LatentSpace(BaseDeepEstimator):
    """An estimator whose networks map samples to latent vectors; a method adds `_encoded`."""

    def _encoded(self, batch: Tensor) -> Tensor:
        """Map network inputs (B, ...) to latents (B, m)."""
        raise TypeError(f"{type(self).__name__} has to define _encoded.")

    @torch.inference_mode()
    def _encoded_inputs(self, data: TrainingSet) -> Tensor:
        """Return the latents (n, m) of all training samples."""
        return data.through(self._encoded).float()

    def encode(self, X: Any) -> np.ndarray:
        """Return the latents (n, m) of X.

        Parameters
        ----------
        X : as in `fit`
        """
        check_is_fitted(self)
        X = self._check_input(X, reset=False)
        with torch.inference_mode():
            return self._outputs_of(self._encoded, X).cpu().numpy()

    def tsne(self, X: Any, *, perplexity: float = 30.0, random_state: int | None = None) -> np.ndarray:
        """Return where t-SNE places the latents of X in the plane (n, 2); by scikit-learn."""
        Z = self.encode(X)
        perplexity = min(perplexity, (len(Z) - 1) / 3)
        return TSNE(perplexity=perplexity, random_state=random_state).fit_transform(Z)

    def latent_separability(self, X: Any, y: Any) -> dict[Any, float]:
        """Return for each class how well a hyperplane parts its latents from all others.

        See `latentover.metrics.linear_separability`: 1 is perfect, 0.5 chance. It is what convex mixing within a class
        needs to keep the class (Proposition 1 of Mondal et al., AISTATS 2023).
        """
        return linear_separability(self.encode(X), y)
