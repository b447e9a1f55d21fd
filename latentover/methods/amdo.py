r"""AMDO, adaptive Mahalanobis distance-based over-sampling: new samples on the ellipsoids of their class.

Yang, Kuang, Zhang and Zhang, "AMDO: An Over-Sampling Technique for Multi-Class Imbalanced Problems", IEEE TKDE 2018; it
stands on MDO, Abdi and Hashemi, "To Combat Multi-Class Imbalanced Problems by Means of Over-Sampling Techniques", IEEE
TKDE 2016.

Of each class those samples are kept that have at least `min_class_neighbors` of their own class among their
`k_neighbors` nearest, with weights in proportion to that number. In the principal axes of the kept ones, with variances
:math:`V_j`, sample i with coordinates :math:`t_{ij}` lies on the ellipsoid of all points at its Mahalanobis distance
from the mean,

.. math::
    \sum_j \frac{x_j^2}{V_j} = \alpha_i, \qquad \alpha_i = \sum_j \frac{t_{ij}^2}{V_j}

and a new sample is another point of it.

AMDO adds to MDO a generalised singular value decomposition for columns of mixed types, a partially balanced target and
another synthesis. What of these the paper's abstract does not settle could not be established, and this is not its code
in other words:

- The decomposition is that of PCAmix (Chavent et al., "Multivariate Analysis of Mixed Data", 2014): a one-hot column of
  a category with a share s of the class has weight 1/s, a standardised number weight 1. New rows get the category whose
  column is highest. For numbers and images alone this is principal component analysis.
- `balance` is a fraction of the way to the target size; the paper's own rule for it is unknown.
- ``synthesis="sphere"`` draws a direction uniformly on the sphere in the whitened axes, so that the new sample is on
  the ellipsoid in any dimension. MDO's ``"sequential"`` draws all coordinates but the last from
  :math:`U(-\sqrt{\alpha V_j}, \sqrt{\alpha V_j})` and solves for the last, which has no solution for more than about
  four axes: the sample is then outside of the ellipsoid, in d dimensions at about (d - 1) / 3 times alpha.
- Axes in which the class does not vary are left out, where public implementations of MDO put a floor under their
  variance, which adds noise.
- Where no sample is kept all are; MDO then makes nothing.
"""

from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from latentover.estimators import ImageFormat, Synthetic, TrainingSet
from latentover.estimators.parameters import Interval, PositiveInt
from latentover.methods.resampling import RowSampler, nearest_points

FLAT = 1e-6
"""Axes with less than this share of the largest standard deviation are not of the class."""


class Ellipsoids(NamedTuple):
    """A class of n samples in the principal axes of those that are kept.

    Attributes
    ----------
    mean : Tensor of shape (d,)
    axes : Tensor of shape (r, d)
        From principal coordinates to features.
    variances : Tensor of shape (r,)
    radii : Tensor of shape (n,)
        Squared Mahalanobis distance alpha of each sample, kept or not.
    """

    mean: Tensor
    axes: Tensor
    variances: Tensor
    radii: Tensor


def same_class_neighbors(X: Tensor, others: Tensor, k: int) -> Tensor:
    """Return how many (n,) of the k nearest to each sample of a class are of the class.

    Parameters
    ----------
    X : Tensor of shape (n, d)
        The class.
    others : Tensor of shape (m, d)
        All other samples.
    k : int
    """
    nearest = nearest_points(X, torch.cat([X, others]), k + 1, norm=2.0)
    return ((nearest < len(X)).sum(dim=1) - 1).clamp_min(0)  # each is nearest to itself


def category_weights(X: Tensor, blocks: list[slice]) -> Tensor:
    """Return the weight (d,) of each column of a class (n, d): 1, and in the blocks of one-hot columns 1 / share."""
    weights = X.new_ones(X.shape[1])
    for block in blocks:
        share = X[:, block].mean(dim=0)
        weights[block] = torch.where(share > 0, 1 / share.clamp_min(1 / len(X)), 1)
    return weights


def class_ellipsoids(X: Tensor, kept: Tensor, column_weights: Tensor | None = None) -> Ellipsoids:
    """Return the axes of a class and the radius of each of its samples.

    Parameters
    ----------
    X : Tensor of shape (n, d)
        All samples of the class.
    kept : bool Tensor of shape (n,)
        Those that mean and axes are made of; all, where there is none.
    column_weights : Tensor of shape (d,), optional
        Metric of the columns.

    Examples
    --------
    >>> import torch
    >>> X = torch.tensor([[0.0, 0.0], [2.0, 0.0], [0.0, 1.0], [2.0, 1.0]])
    >>> found = class_ellipsoids(X, kept=torch.ones(4, dtype=torch.bool))
    >>> found.variances, found.radii
    (tensor([1.0000, 0.2500]), tensor([2., 2., 2., 2.]))
    """
    if not kept.any():
        kept = torch.ones_like(kept)
    scale = torch.ones_like(X[0]) if column_weights is None else column_weights.sqrt()
    mean = X[kept].mean(dim=0)
    centred = (X - mean) * scale
    _, lengths, axes = torch.linalg.svd(centred[kept], full_matrices=False)
    # The first length is 0 where all kept samples are the same.
    wide = lengths > FLAT * lengths[0].clamp_min(torch.finfo(X.dtype).tiny)
    variances, axes = lengths[wide] ** 2 / kept.sum(), axes[wide]
    radii = ((centred @ axes.T) ** 2 / variances).sum(dim=1)
    return Ellipsoids(mean, axes / scale, variances, radii)


def on_sphere(radii: Tensor, variances: Tensor, generator: torch.Generator) -> Tensor:
    r"""Return principal coordinates (n, r) with :math:`\sum_j x_j^2 / V_j` = `radii` (n,), in random directions."""
    directions = torch.randn(
        (len(radii), len(variances)), generator=generator, device=radii.device, dtype=variances.dtype
    )
    return torch.nn.functional.normalize(directions, dim=1) * (radii.unsqueeze(1) * variances).sqrt()


def sequential(radii: Tensor, variances: Tensor, generator: torch.Generator) -> Tensor:
    r"""Return principal coordinates (n, r) as MDO draws them: uniform, and the last one solved for with a random sign.

    They are outside of the ellipsoid where those before the last are already.
    """
    bounds = (radii.unsqueeze(1) * variances).sqrt()
    shape, device = bounds.shape, radii.device
    share = torch.rand(shape, generator=generator, device=device, dtype=variances.dtype) * 2 - 1
    sign = torch.randint(2, (len(radii),), generator=generator, device=device) * 2 - 1
    share[:, -1] = sign * (1 - share[:, :-1].square().sum(dim=1)).clamp_min(0).sqrt()
    return share * bounds


SYNTHESES = {"sphere": on_sphere, "sequential": sequential}


def sample_ellipsoids(found: Ellipsoids, radii: Tensor, synthesis: str, generator: torch.Generator) -> Tensor:
    """Return new rows (n, d) on the ellipsoids of these radii (n,); the mean, for a class without variance."""
    if len(found.variances) == 0:
        return found.mean.expand(len(radii), -1)
    return found.mean + SYNTHESES[synthesis](radii, found.variances, generator) @ found.axes


@dataclass(kw_only=True, eq=False, repr=False)
class AMDO(RowSampler):
    """Over-sampler: new samples at the Mahalanobis distances that those of their class have from its mean.

    Parameters
    ----------
    sampling_strategy : str, float, dict or callable, default="auto"
        As in imbalanced-learn: which classes are brought to how many samples.
    k_neighbors : int, default=5
        Nearest neighbours among all samples (K2 of MDO) that say whether a sample lies in its class.
    min_class_neighbors : int, default=2
        So many of them have to be of a sample's own class for it to be kept (K1 of MDO).
    balance : float in (0, 1], default=1.0
        Which part of what `sampling_strategy` adds to each class is added, rounded: below 1 the classes are only
        partially balanced, as AMDO has it. Its own rule for how far is not known.
    synthesis : {"sphere", "sequential"}, default="sphere"
        Where on the ellipsoid a new sample is: anywhere, by a direction that is uniform in the whitened axes; or
        coordinate by coordinate as in MDO, which leaves the ellipsoid in more than about four dimensions.
    keep_index
        See `latentover.estimators.BaseSampler`.
    small_class, base_selection, clip
        See `latentover.estimators.BaseGenerator`. By default samples are drawn in proportion to their neighbours of
        their own class.
    image_shape, channels_last, numbers, categorical_features, identifiers, new_identifiers, missing, device,
    random_state, verbose
        See `latentover.estimators.BaseDataEstimator`.

    Attributes
    ----------
    sampling_strategy_, synthetic_mask_, sample_origin_, parents_, mix_weights_, sample_weight_
        See `latentover.estimators.BaseSampler`. The parent is the sample whose ellipsoid a new one is on.
    classes_, class_counts_, format_, device_
        See `latentover.estimators.BaseDataEstimator`.

    Notes
    -----
    Cost: a search for the neighbours of the classes that get samples, among all; and a singular value decomposition of
    each of them, O(min(n d^2, n^2 d)) for n samples with d features, when its first sample is made.

    Examples
    --------
    >>> from collections import Counter
    >>> from sklearn.datasets import make_classification
    >>> X, y = make_classification(200, weights=[0.9], flip_y=0, random_state=0)
    >>> X_resampled, y_resampled = AMDO(random_state=0).fit_resample(X, y)
    >>> sorted(Counter(y_resampled.tolist()).items())
    [(0, 181), (1, 181)]
    """

    k_neighbors: PositiveInt = 5
    min_class_neighbors: PositiveInt = 2
    balance: Annotated[float, Interval(0, 1, closed="right")] = 1.0
    synthesis: Literal["sphere", "sequential"] = "sphere"

    def _check_settings(self) -> list[str]:
        problems = super()._check_settings()
        if self.min_class_neighbors > self.k_neighbors:
            problems.append(
                f"min_class_neighbors to be at most k_neighbors = {self.k_neighbors}, but got "
                f"{self.min_class_neighbors!r}"
            )
        return problems

    def _train(self, X: Any, y: np.ndarray, sample_weight: np.ndarray | None = None) -> TrainingSet:
        data = super()._train(X, y, sample_weight)
        self.sampling_strategy_ = {c: round(self.balance * n) for c, n in self.sampling_strategy_.items()}
        return data

    def _fit_generator(self, inputs: Tensor, labels: Tensor, generator: torch.Generator) -> None:
        super()._fit_generator(inputs, labels, generator)
        self.tensors_["support"] = torch.zeros(len(labels), device=inputs.device)

    def _class_ellipsoids(self, label: int) -> Ellipsoids:
        """Return the ellipsoids of a class, and put them and their weights into `tensors_` the first time."""
        names = {field: f"{field}_{label}" for field in Ellipsoids._fields}
        if names["mean"] not in self.tensors_:
            own = self.tensors_["labels"] == label
            rows = self._flat(self.tensors_["inputs"])
            support = same_class_neighbors(rows[own], rows[~own], self.k_neighbors)
            support = torch.where(support >= self.min_class_neighbors, support, 0)
            self.tensors_["support"][own] = (support if support.any() else torch.ones_like(support)).float()
            weights = category_weights(rows[own], self._category_blocks())
            found = class_ellipsoids(rows[own], support > 0, weights)
            self.tensors_ |= {names[field]: value for field, value in found._asdict().items()}
        return Ellipsoids(**{field: self.tensors_[name] for field, name in names.items()})

    def _category_blocks(self) -> list[slice]:
        """Return where the one-hot columns of each category are in the encoded rows."""
        if isinstance(self.format_, ImageFormat):
            return []
        return [placed.where for placed in self.format_.parts if 1 < placed.part.n == placed.part.width]

    def _generate(self, label: int, n: int, generator: torch.Generator) -> Synthetic:
        found = self._class_ellipsoids(label)
        rows = self._choose_bases(label, self.tensors_["support"], n, generator)
        members = (self.tensors_["labels"] == label).nonzero().squeeze(1)
        radii = found.radii[torch.searchsorted(members, rows)]
        return self._synthetic(sample_ellipsoids(found, radii, self.synthesis, generator), rows)
