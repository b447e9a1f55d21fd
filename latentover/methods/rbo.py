r"""MC-RBO, radial-based oversampling: new samples walk from a rare one to where no class prevails.

Krawczyk, Koziarski and Wozniak, "Radial-Based Oversampling for Multiclass Imbalanced Data Classification", IEEE TNNLS
2020; the binary RBO is Koziarski, Krawczyk and Wozniak, Neurocomputing 2019.

Features are scaled to [0, 1]. A sample of a class and those of the larger classes give each point a potential

.. math::
    \Phi(x) = \sum_{i \in \text{larger}} e^{-(\|x - x_i\|_1 / \gamma)^2}
            - \sum_{j \in \text{class}} e^{-(\|x - x_j\|_1 / \gamma)^2}

A new sample starts at a random one of its class, itself among the k nearest points that the sum is taken over. It tries
steps along one feature at a time, drawn from a shuffled list of all 2d without putting back, and takes those that bring
:math:`|\Phi|` down; a step that is taken refills the list, but for the way back. It ends when the list is used up or
after so many trials, and its last place alone is the sample.

The distances follow a step in one feature by that feature alone, so a trial costs k operations and not k d, for all new
samples at once.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from latentover.estimators import Synthetic
from latentover.estimators.parameters import Positive, PositiveInt
from latentover.methods.resampling import (
    RowSampler,
    UnitRange,
    by_size,
    joint_majority,
    nearest_points,
    rows_at_once,
)


def potential(distances: Tensor, signs: Tensor, gamma: float) -> Tensor:
    r"""Return :math:`\Phi` (n,), the sum of radial basis functions.

    Parameters
    ----------
    distances : Tensor of shape (n, k)
        L1, from n points to k samples each.
    signs : Tensor of shape (n, k) or (k,)
        1 for samples of the larger classes, -1 for those of the class itself.
    gamma : float
        Width.

    Examples
    --------
    >>> import torch
    >>> potential(torch.tensor([[0.02, 0.05, 0.03]]), torch.tensor([1, 1, -1]), gamma=0.05)
    tensor([0.5223])
    """
    return (signs * torch.exp(-((distances / gamma) ** 2))).sum(dim=-1)


def walk(
    starts: Tensor,
    points: Tensor,
    neighbors: Tensor,
    signs: Tensor,
    *,
    gamma: float,
    step_size: float,
    max_steps: int,
    generator: torch.Generator,
) -> Tensor:
    r"""Return where walks down :math:`|\Phi|` end, (n, d).

    Parameters
    ----------
    starts : Tensor of shape (n, d)
    points : Tensor of shape (m, d)
        Samples of the class and of the larger ones.
    neighbors : integer Tensor of shape (n, k)
        The numbers of the points that each walk's potential is made of, from start to end.
    signs : Tensor of shape (m,)
        1 for points of the larger classes, -1 for those of the class itself.
    gamma : float
        Width of the radial basis functions.
    step_size : float
        Of a step, in one feature.
    max_steps : int
        Trials.
    generator : torch.Generator
    """
    pieces = zip(*(part.split(rows_at_once(8 * starts.shape[1])) for part in (starts, neighbors)), strict=True)
    return torch.cat([_walk(x, near, points, signs, gamma, step_size, max_steps, generator) for x, near in pieces])


def _walk(
    starts: Tensor,
    neighbors: Tensor,
    points: Tensor,
    signs: Tensor,
    gamma: float,
    step_size: float,
    max_steps: int,
    generator: torch.Generator,
) -> Tensor:
    (n, d), device = starts.shape, starts.device
    x = starts.to(torch.float64, copy=True)
    distances = torch.stack([(points[column] - x).abs().sum(dim=1) for column in neighbors.T], dim=1)
    signs = signs[neighbors].double()
    height = potential(distances, signs, gamma).abs()
    walks = torch.arange(n, device=device)
    # Move 2 j is a step up in feature j, 2 j + 1 one down. Each walk has its list of moves in an order that is drawn as
    # it goes; `place` is where in it a move is, and the first `used` are gone.
    moves = torch.arange(2 * d, dtype=torch.int32, device=device).repeat(n, 1)
    place = moves.clone()
    used = torch.zeros(n, dtype=torch.int64, device=device)

    def swap(first: Tensor, second: Tensor, rows: Tensor) -> None:
        one, other = moves[rows, first], moves[rows, second]
        moves[rows, first], moves[rows, second] = other, one
        place[rows, one.long()], place[rows, other.long()] = second.int(), first.int()

    for _ in range(max_steps):
        share = torch.rand(n, generator=generator, dtype=torch.float64, device=device)
        drawn = (used + (share * (2 * d - used)).long()).clamp_max(2 * d - 1)
        swap(used.clamp_max(2 * d - 1), drawn, walks)
        move = moves[walks, used.clamp_max(2 * d - 1)].long()
        feature = move // 2
        here = x[walks, feature]
        there = here + step_size * (1 - 2 * (move % 2))
        anchors = points[neighbors, feature.unsqueeze(1)]
        moved = distances + (anchors - there.unsqueeze(1)).abs() - (anchors - here.unsqueeze(1)).abs()
        lower = potential(moved, signs, gamma).abs()
        better = ((lower < height) & (used < 2 * d)).nonzero().squeeze(1)
        x[better, feature[better]] = there[better]
        distances[better], height[better] = moved[better], lower[better]
        used += 1
        if len(better):
            way_back = place[better, move[better] ^ 1].long()
            swap(torch.zeros_like(way_back), way_back, better)
            used[better] = 1
        if (used >= 2 * d).all():
            break
    return x.to(starts.dtype)


# ---- Classes ---------------------------------------------------------------------------------------------------------


class Surroundings(NamedTuple):
    """What gives the new samples of a class, or of all, their potential.

    Attributes
    ----------
    points : Tensor of shape (m, d)
    signs : Tensor of shape (m,)
        1 for points of other classes, -1 for those of the class itself, 0 for none.
    neighbors : integer Tensor of shape (n, k)
        Numbers of the points near to each sample.
    """

    points: Tensor
    signs: Tensor
    neighbors: Tensor


def surroundings(X: Tensor, majority: Tensor, n_neighbors: int) -> Surroundings:
    """Find the nearest neighbours of the samples (n, d) of a class, and itself, amid a majority (m, d)."""
    points = torch.cat([X, majority])
    used, neighbors = nearest_points(X, points, n_neighbors + 1, norm=1.0).unique(return_inverse=True)
    return Surroundings(points[used], torch.where(used < len(X), -1.0, 1.0), neighbors)


def class_surroundings(
    X: Tensor,
    labels: Tensor,
    *,
    n_neighbors: int,
    gamma: float,
    step_size: float,
    max_steps: int,
    generator: torch.Generator,
) -> Surroundings:
    """Return the surroundings of all samples: amid the larger classes, and for the largest class amid all others.

    Parameters
    ----------
    X : Tensor of shape (n, d)
        Scaled to [0, 1].
    labels : integer Tensor of shape (n,)
        0..C-1.
    n_neighbors, gamma, step_size, max_steps
        See `MultiClassRBO`.
    generator : torch.Generator
    """
    counts = torch.bincount(labels)
    largest, *others = by_size(counts)
    n_largest = int(counts[largest])
    pools = [X[labels == largest]]
    # One table for all classes; its first point stands where there are fewer than k.
    points, signs = [X.new_zeros(1, X.shape[1])], [X.new_zeros(1)]
    neighbors = torch.zeros(len(X), n_neighbors + 1, dtype=torch.int64, device=X.device)

    def keep(own: Tensor, found: Surroundings) -> None:
        neighbors[own, : found.neighbors.shape[1]] = found.neighbors + sum(map(len, points))
        points.append(found.points)
        signs.append(found.signs)

    for label in others:
        own = labels == label
        majority = joint_majority(pools, n_largest, generator, replacement=True).points
        found = surroundings(X[own], majority, n_neighbors)
        keep(own.nonzero().squeeze(1), found)
        chosen = torch.randint(len(found.neighbors), (n_largest - len(X[own]),), generator=generator, device=X.device)
        new = walk(
            X[own][chosen],
            found.points,
            found.neighbors[chosen],
            found.signs,
            gamma=gamma,
            step_size=step_size,
            max_steps=max_steps,
            generator=generator,
        )
        pools.append(torch.cat([X[own], new]))
    majority = joint_majority(pools[1:], n_largest, generator, replacement=True).points
    keep((labels == largest).nonzero().squeeze(1), surroundings(pools[0], majority, n_neighbors))
    return Surroundings(torch.cat(points), torch.cat(signs), neighbors)


# ---- The estimator ---------------------------------------------------------------------------------------------------


@dataclass(kw_only=True, eq=False, repr=False)
class MultiClassRBO(RowSampler):
    """Over-sampler: new samples that walk from one of their class towards where no class prevails.

    Parameters
    ----------
    sampling_strategy : str, float, dict or callable, default="auto"
        As in imbalanced-learn: which classes are brought to how many samples.
    gamma : float, default=0.05
        Width of the radial basis functions, in units of L1 distance between samples whose features are scaled to
        [0, 1].
    per_feature : bool, default=False
        Whether `gamma` is that of each feature, and is multiplied by their number: L1 distances grow with it, and a
        width for a table makes every image stand alone. The default is the authors' code.
    step_size : float, default=0.001
        Of a step, in one feature.
    max_steps : int, default=500
        Steps that are tried for a new sample.
    n_neighbors : int, default=25
        Nearest samples, besides the one that a walk starts from, that the potential is made of.
    keep_index
        See `latentover.estimators.BaseSampler`.
    small_class, base_selection, clip
        See `latentover.estimators.BaseGenerator`.
    image_shape, channels_last, numbers, categorical_features, identifiers, new_identifiers, missing, device,
    random_state, verbose
        See `latentover.estimators.BaseDataEstimator`.

    Attributes
    ----------
    sampling_strategy_, synthetic_mask_, sample_origin_, parents_, mix_weights_, sample_weight_
        See `latentover.estimators.BaseSampler`. The parent is the sample where the walk began.
    classes_, class_counts_, format_, device_
        See `latentover.estimators.BaseDataEstimator`.

    Notes
    -----
    Cost: the L1 distances as in `MultiClassCCR`; and for each new sample `max_steps` trials of `n_neighbors` operations
    each, whatever the number of features. All classes are brought to the size of the largest while fitting, so a fit
    costs as much as the samples themselves.

    A sample alone has a potential of -1 from itself, so its walks lead away from it, as in the authors' code.

    Examples
    --------
    >>> from collections import Counter
    >>> from sklearn.datasets import make_classification
    >>> X, y = make_classification(200, weights=[0.9], flip_y=0, random_state=0)
    >>> X_resampled, y_resampled = MultiClassRBO(max_steps=50, random_state=0).fit_resample(X, y)
    >>> sorted(Counter(y_resampled.tolist()).items())
    [(0, 181), (1, 181)]
    """

    gamma: Positive = 0.05
    per_feature: bool = False
    step_size: Positive = 0.001
    max_steps: PositiveInt = 500
    n_neighbors: PositiveInt = 25

    def _rows_needed(self) -> int:
        return 1

    def _fit_generator(self, inputs: Tensor, labels: Tensor, generator: torch.Generator) -> None:
        super()._fit_generator(inputs, labels, generator)
        rows = self._flat(inputs)
        unit = UnitRange.of(rows)
        found = class_surroundings(
            unit.scale(rows), labels, n_neighbors=self.n_neighbors, generator=generator, **self._steps(rows.shape[1])
        )
        self.tensors_ |= {"low": unit.low, "span": unit.span, **found._asdict()}

    def _steps(self, n_features: int) -> dict[str, Any]:
        gamma = self.gamma * n_features if self.per_feature else self.gamma
        return {"gamma": gamma, "step_size": self.step_size, "max_steps": self.max_steps}

    def _generate(self, label: int, n: int, generator: torch.Generator) -> Synthetic:
        unit = UnitRange(self.tensors_["low"], self.tensors_["span"])
        rows = self._choose_bases(label, None, n, generator)
        starts = unit.scale(self._flat(self.tensors_["inputs"][rows]))
        ends = walk(
            starts,
            self.tensors_["points"],
            self.tensors_["neighbors"][rows],
            self.tensors_["signs"],
            generator=generator,
            **self._steps(starts.shape[1]),
        )
        return self._synthetic(unit.unscale(ends), rows)
