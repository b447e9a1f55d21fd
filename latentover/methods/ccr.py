r"""MC-CCR, combined cleaning and resampling: spheres around rare samples that grow until their energy is spent.

Koziarski, Wozniak and Krawczyk, "Combined Cleaning and Resampling Algorithm for Multi-Class Imbalanced Data with Label
Noise", Knowledge-Based Systems 2020; the binary CCR is Koziarski and Wozniak, AMCS 2017.

Features are scaled to [0, 1]. Around each sample of a class grows a sphere of the L1 norm. Growing by
:math:`\Delta r` costs :math:`(k + 1) \Delta r` of its energy e, with k samples of the larger classes inside already:
with distances :math:`d_1 \leq d_2 \leq \ldots` to them it ends at

.. math::
    r = d_k + \frac{e - c_k}{k + 1}, \qquad c_k = \sum_{j=1}^{k} j (d_j - d_{j-1}) < e

The samples of the larger classes inside are pushed to its surface (or removed, or left alone), and new samples are
drawn inside, the more the smaller the sphere is: there the class is in danger.

New samples of all but the smallest class belong to a larger class too: the spheres of the smaller ones clean them like
originals.

Deviations: the default leaves the larger classes as they are, because an over-sampler returns the originals untouched;
``cleaning="translate"`` is the paper. In training, a class meets new samples of the larger ones that are drawn for this
alone; those that are returned are drawn anew, and cleaned by the same spheres. New samples are counted out exactly
(`spread_rows`), where rounding makes the authors' totals differ. The energy is spent on all samples inside when these
are all there are, as in the authors' code: :math:`r = d_n + (e - c_n) / n`. Constant features stay constant.
"""

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from latentover.estimators import Synthetic, TableFormat
from latentover.estimators.parameters import Interval, Positive
from latentover.methods.resampling import (
    RowSampler,
    UnitRange,
    by_size,
    joint_majority,
    rows_at_once,
    spread_rows,
)

COINCIDENT = 1e-20
"""Samples of two classes closer than this are parted in a random direction."""
_REDRAWS = 20
"""How often new samples inside a sphere of a smaller class are drawn again where such are left out."""


# ---- Spheres ---------------------------------------------------------------------------------------------------------


def sphere_radii(distances: Tensor, energy: float) -> Tensor:
    """Return the radii (n,) of spheres whose energy is spent on growing.

    Parameters
    ----------
    distances : Tensor of shape (n, m)
        From each of n samples to m samples of the larger classes, in any order.
    energy : float
        Positive.

    Examples
    --------
    >>> import torch
    >>> sphere_radii(torch.tensor([[2.0, 0.1, 0.4]]), energy=0.25)  # 0.1, and half of the remaining 0.15
    tensor([0.1750])
    """
    n, m = distances.shape
    if m == 0:
        return distances.new_full((n,), energy)
    ordered = distances.sort(dim=1).values
    steps = ordered.diff(dim=1, prepend=ordered.new_zeros(n, 1))
    costs = (steps * torch.arange(1, m + 1, device=distances.device)).cumsum(dim=1)
    inside = (costs < energy).sum(dim=1)
    zero = ordered.new_zeros(n, 1)
    reached = torch.cat([zero, ordered], dim=1).gather(1, inside.unsqueeze(1)).squeeze(1)
    spent = torch.cat([zero, costs], dim=1).gather(1, inside.unsqueeze(1)).squeeze(1)
    return reached + (energy - spent) / (inside + 1).clamp_max(m)


def sphere_noise(radii: Tensor, dimension: int, norm: float, generator: torch.Generator) -> Tensor:
    """Return one step (n, d) for each radius (n,), no longer than it in the norm.

    The direction is uniform in the cube and the length uniform in [0, r], as in the authors' code: not uniform in the
    ball.
    """
    shape = (len(radii), dimension)
    direction = torch.rand(shape, generator=generator, device=radii.device, dtype=radii.dtype) * 2 - 1
    length = torch.rand((len(radii), 1), generator=generator, device=radii.device, dtype=radii.dtype)
    direction /= direction.norm(p=norm, dim=1, keepdim=True).clamp_min(torch.finfo(radii.dtype).tiny)
    return direction * length * radii.unsqueeze(1)


class Cleaning(NamedTuple):
    """The spheres of a class, and what they do to the larger ones.

    Attributes
    ----------
    radii : Tensor of shape (n,)
    inside : bool Tensor of shape (m,)
        Which samples of the larger classes are in a sphere.
    shift : Tensor of shape (m, d)
        By how much those are pushed, by all spheres together.
    """

    radii: Tensor
    inside: Tensor
    shift: Tensor


def clean(
    minority: Tensor,
    majority: Tensor,
    energy: float,
    norm: float,
    generator: torch.Generator,
    *,
    push: bool = True,
    radii: Tensor | None = None,
) -> Cleaning:
    """Grow a sphere around each row of `minority` (n, d) amid `majority` (m, d).

    Parameters
    ----------
    minority, majority : Tensor of shape (n, d) and (m, d)
        Scaled to [0, 1].
    energy : float
    norm : float
        The p of the distances.
    generator : torch.Generator
        Parts coincident samples.
    push : bool, default=True
        Whether the shift is wanted; without, it is 0.
    radii : Tensor of shape (n,), optional
        Of spheres that have grown already, amid others.
    """
    m, grown = len(majority), []
    inside = torch.zeros(m, dtype=torch.bool, device=majority.device)
    weights, pulls = majority.new_zeros(m), torch.zeros_like(majority)
    at_once = rows_at_once(m)
    for number, chunk in enumerate(minority.split(at_once)):
        distances = torch.cdist(chunk, majority, p=norm)
        radius = sphere_radii(distances, energy) if radii is None else radii.split(at_once)[number]
        grown.append(radius)
        overlap = (radius.unsqueeze(1) - distances).clamp_min(0)
        inside |= (overlap > 0).any(dim=0)
        if not push:
            continue
        # Pushing x_j from distance d to the surface, along x_j - x_i, moves it by (r - d) / d of that.
        twins = distances < COINCIDENT
        strength = overlap.masked_fill(twins, 0) / distances.masked_fill(twins, 1)
        weights += strength.sum(dim=0)
        pulls += strength.T @ chunk
        if twins.any():  # no direction of their own
            i, j = twins.nonzero().unbind(1)
            pulls.index_add_(0, j, -_random_push(radius[i], majority.shape[1], norm, generator))
    return Cleaning(torch.cat(grown), inside, weights.unsqueeze(1) * majority - pulls)


def _random_push(radii: Tensor, dimension: int, norm: float, generator: torch.Generator) -> Tensor:
    """Return steps (n, d) from the centre of spheres to their surface, in random diagonal directions."""
    shape, device = (len(radii), dimension), radii.device
    size = torch.rand(shape, generator=generator, device=device, dtype=radii.dtype) + 1
    sign = torch.randint(2, shape, generator=generator, device=device) * 2 - 1
    return torch.nn.functional.normalize(size * sign, p=norm) * radii.unsqueeze(1)


def sample_spheres(centres: Tensor, radii: Tensor, n: int, norm: float, generator: torch.Generator) -> Tensor:
    """Return n new rows (n, d) in spheres with those centres (m, d) and radii (m,); small spheres get more."""
    offset = torch.rand((), generator=generator, device=radii.device, dtype=torch.float64)
    chosen = spread_rows(1 / radii, n, offset)
    return centres[chosen] + sphere_noise(radii[chosen], centres.shape[1], norm, generator)


# ---- Classes ---------------------------------------------------------------------------------------------------------


class Cleaned(NamedTuple):
    """What MC-CCR learns of all classes.

    Attributes
    ----------
    radii : Tensor of shape (n,)
        Of the sphere around each training sample.
    points : Tensor of shape (n, d)
        The training samples after cleaning.
    removed : bool Tensor of shape (n,)
    met : Tensor of shape (C, C)
        Which share of the samples of each class, in columns, the spheres of each class, in rows, have cleaned.
    remaining : Tensor of shape (C,)
        Which share of each class is left of as many samples as the largest has.
    """

    radii: Tensor
    points: Tensor
    removed: Tensor
    met: Tensor
    remaining: Tensor


def clean_classes(
    X: Tensor, labels: Tensor, energy: float, norm: float, cleaning: str, generator: torch.Generator
) -> Cleaned:
    """Grow the spheres of each class, from the largest to the smallest, amid the larger ones.

    Those of the largest class, which nothing but `sample` asks for, grow amid all others.

    Parameters
    ----------
    X : Tensor of shape (n, d)
        Scaled to [0, 1].
    labels : integer Tensor of shape (n,)
        0..C-1.
    energy, norm : float
    cleaning : {"ignore", "translate", "remove"}
    generator : torch.Generator
    """
    counts = torch.bincount(labels)
    largest, *others = order = by_size(counts)
    n_largest = int(counts[largest])
    radii, met, remaining = X.new_empty(len(X)), X.new_zeros(len(counts), len(counts)), X.new_zeros(len(counts))
    # Each class with its new samples, and which training row each point is, or -1.
    pools, origins = [X[labels == largest]], [(labels == largest).nonzero().squeeze(1)]
    for label in others:
        rows = (labels == label).nonzero().squeeze(1)
        majority = joint_majority(pools, n_largest, generator, replacement=False)
        found = clean(X[rows], majority.points, energy, norm, generator, push=cleaning == "translate")
        radii[rows] = found.radii
        for number, pool in enumerate(pools):
            here = majority.places[:, 0] == number
            place = majority.places[here, 1]
            met[label, order[number]] = len(place) / len(pool)
            if cleaning == "translate":
                pools[number] = pool.index_add(0, place, found.shift[here])
            elif cleaning == "remove":
                kept = torch.ones(len(pool), dtype=torch.bool, device=X.device)
                kept[place[found.inside[here]]] = False
                if kept.any():  # a class does not vanish
                    pools[number], origins[number] = pool[kept], origins[number][kept]
        new = sample_spheres(X[rows], found.radii, n_largest - len(rows), norm, generator)
        pools.append(torch.cat([X[rows], new]))
        origins.append(torch.cat([rows, rows.new_full((len(new),), -1)]))
    own = labels == largest
    majority = joint_majority(pools[1:], n_largest, generator, replacement=False)
    radii[own] = clean(X[own], majority.points, energy, norm, generator, push=False).radii

    points, removed = X.clone(), torch.ones(len(X), dtype=torch.bool, device=X.device)
    for label, pool, origin in zip(order, pools, origins, strict=True):
        remaining[label] = len(pool) / n_largest
        points[origin[origin >= 0]] = pool[origin >= 0]
        removed[origin[origin >= 0]] = False
    return Cleaned(radii, points, removed, met, remaining)


# ---- The estimator ---------------------------------------------------------------------------------------------------


@dataclass(kw_only=True, eq=False, repr=False)
class MultiClassCCR(RowSampler):
    """Over-sampler: new samples in spheres around those of the rare classes, and a cleaning of the larger ones.

    Parameters
    ----------
    sampling_strategy : str, float, dict or callable, default="auto"
        As in imbalanced-learn: which classes are brought to how many samples.
    energy : float, default=0.25
        What a sphere grows on, in units of distance between samples whose features are scaled to [0, 1].
    per_feature : bool, default=False
        Whether `energy` is that of each feature, and is multiplied by their number: L1 distances grow with it, and an
        energy for a table reaches no other class in images. The default is the authors' code.
    norm : float, default=1.0
        The p, at least 1, of the norm of distances and spheres.
    cleaning : {"ignore", "translate", "remove"}, default="ignore"
        What happens to samples of larger classes inside a sphere: nothing, so that the original rows come back
        untouched; or as in the paper, they are pushed to its surface, and `fit_resample` returns them there; or they
        are left out of what it returns. New samples of larger classes are pushed, or left out, too: with ``"remove"``
        every class loses the share that the spheres took of it, and classes are not of one size.
    keep_index
        See `latentover.estimators.BaseSampler`.
    small_class, base_selection, clip
        See `latentover.estimators.BaseGenerator`. By default a sample gets new ones in proportion to 1 / r.
    image_shape, channels_last, numbers, categorical_features, identifiers, new_identifiers, missing, device,
    random_state, verbose
        See `latentover.estimators.BaseDataEstimator`.

    Attributes
    ----------
    sampling_strategy_, synthetic_mask_, sample_origin_, parents_, mix_weights_, sample_weight_
        See `latentover.estimators.BaseSampler`. The parent is the centre of the sphere that a sample was drawn in. Of
        rows that were pushed, ``sample_origin_`` tells which row they were.
    radii_ : ndarray of shape (n,)
        Of the sphere around each training sample, amid the larger classes; of the largest class amid all others.
    classes_, class_counts_, format_, device_
        See `latentover.estimators.BaseDataEstimator`.

    Notes
    -----
    Cost: for each class the L1 distances of its samples to as many as the largest class has, O(n_min n_max d), in
    chunks; and all classes at the size of the largest in memory while fitting.

    Examples
    --------
    >>> from collections import Counter
    >>> from sklearn.datasets import make_classification
    >>> X, y = make_classification(200, weights=[0.9], flip_y=0, random_state=0)
    >>> sampler = MultiClassCCR(energy=0.5, cleaning="translate", random_state=0)
    >>> X_resampled, y_resampled = sampler.fit_resample(X, y)
    >>> sorted(Counter(y_resampled.tolist()).items())
    [(0, 181), (1, 181)]
    """

    energy: Positive = 0.25
    per_feature: bool = False
    norm: Annotated[float, Interval(1)] = 1.0
    cleaning: Literal["ignore", "translate", "remove"] = "ignore"

    radii_: np.ndarray = field(init=False)

    def _rows_needed(self) -> int:
        return 1

    def _fit_generator(self, inputs: Tensor, labels: Tensor, generator: torch.Generator) -> None:
        super()._fit_generator(inputs, labels, generator)
        rows = self._flat(inputs)
        unit = UnitRange.of(rows)
        energy = self.energy * rows.shape[1] if self.per_feature else self.energy
        scaled = unit.scale(rows)
        found = clean_classes(scaled, labels, energy, self.norm, self.cleaning, generator)
        self.tensors_ |= {"low": unit.low, "span": unit.span, "radii": found.radii}
        if self.cleaning != "ignore":
            moved = (found.points != scaled).any(dim=1).nonzero().squeeze(1)
            self.tensors_ |= {"removed": found.removed, "moved": moved, "points": unit.unscale(found.points[moved])}
            self.tensors_ |= {"met": found.met, "remaining": found.remaining}
        self.radii_ = found.radii.cpu().numpy()

    def _generate(self, label: int, n: int, generator: torch.Generator) -> Synthetic:
        unit = UnitRange(self.tensors_["low"], self.tensors_["span"])
        new, rows = self._drawn(label, n, unit, generator)
        if self.cleaning != "ignore":
            new, inside = self._cleaned(label, new, unit, generator)
            for _ in range(_REDRAWS if self.cleaning == "remove" else 0):
                again = inside.nonzero().squeeze(1)
                if len(again) == 0:
                    break
                new[again], rows[again] = self._drawn(label, len(again), unit, generator)
                inside[again] = self._cleaned(label, new[again], unit, generator)[1]
        return self._synthetic(unit.unscale(new), rows)

    def _drawn(self, label: int, n: int, unit: UnitRange, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return new scaled rows (n, d) in spheres of a class, and the training rows (n,) at their centres."""
        radii = self.tensors_["radii"]
        rows = self._choose_bases(label, 1 / radii, n, generator)
        centres = unit.scale(self._flat(self.tensors_["inputs"][rows]))
        return centres + sphere_noise(radii[rows], centres.shape[1], self.norm, generator), rows

    def _cleaned(self, label: int, new: Tensor, unit: UnitRange, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return where the spheres of the smaller classes push new rows (n, d), and whether (n,) one is inside."""
        inside = torch.zeros(len(new), dtype=torch.bool, device=new.device)
        for other in by_size(torch.from_numpy(self.class_counts_)):
            share = self.tensors_["met"][other, label]
            if share == 0:
                continue
            met = (torch.rand(len(new), generator=generator, device=new.device) < share).nonzero().squeeze(1)
            own = self.tensors_["labels"] == other
            centres, radii = unit.scale(self._flat(self.tensors_["inputs"][own])), self.tensors_["radii"][own]
            push = self.cleaning == "translate"
            found = clean(centres, new[met], self.energy, self.norm, generator, push=push, radii=radii)
            inside[met] |= found.inside
            new = new.index_add(0, met, found.shift)
        return new, inside

    def _n_new(self, label: int, n: int) -> int:
        n = super()._n_new(label, n)
        if self.cleaning != "remove" or n == 0:
            return n
        # The class with its new samples, without the share that was removed, is what is kept and new ones.
        own = self.tensors_["labels"] == label
        left = round((int(own.sum()) + n) * float(self.tensors_["remaining"][label]))
        return max(0, left - int((own & ~self.tensors_["removed"]).sum()))

    def _kept_rows(self) -> tuple[np.ndarray | None, Any]:
        kept = None if self.cleaning != "remove" else (~self.tensors_["removed"]).nonzero().squeeze(1).cpu().numpy()
        return kept, None

    def _resample(self, X: Any, y: np.ndarray, sample_weight: np.ndarray | None) -> tuple[Any, Any, np.ndarray]:
        originals, new_X, new_y = super()._resample(X, y, sample_weight)
        if self.cleaning == "translate":
            pushed = self._synthetic(self.tensors_["points"], self.tensors_["moved"])
            rows, moved = pushed.parents[:, 0], self.format_.decode(pushed.outputs)
            if isinstance(self.format_, TableFormat) and self.format_.identifiers:
                moved = self.format_.with_identifiers_of(moved, X.iloc[rows])
            originals = _replaced(X, rows, moved)
        elif self.cleaning == "remove":
            rows = self.sample_origin_[~self.synthetic_mask_]
            originals = X.iloc[rows] if isinstance(X, pd.DataFrame) else X[rows]
        return originals, new_X, new_y


def _replaced(X: Any, rows: np.ndarray, new: Any) -> Any:
    """Return an array or frame (n, ...) with others in the place of some `rows` (m,)."""
    if not isinstance(X, pd.DataFrame):
        X = X.copy()
        X[rows] = new
        return X
    order = np.arange(len(X))
    order[rows] = len(X) + np.arange(len(rows))
    return pd.concat([X, new], ignore_index=True).iloc[order].reset_index(drop=True)
