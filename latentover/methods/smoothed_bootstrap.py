r"""Smoothed bootstrap: rows of a class drawn again, with normal noise in the directions in which the class varies.

Silverman and Young, "The bootstrap: To smooth or not to smooth?", Biometrika 1987; the bandwidth is the rule of
Silverman, "Density Estimation for Statistics and Data Analysis", 1986, section 4.3.2.

A class of n rows has mean :math:`\mu` and covariance :math:`\Sigma`. A new row is made from one of its rows x, drawn at
random,

.. math::
    \tilde{x} = \mu + \frac{(x - \mu) + h \varepsilon}{\sqrt{1 + h^2}}, \qquad \varepsilon \sim N(0, \Sigma)

This is a draw from a kernel density estimate, shrunk to the mean so that new rows have the mean and the covariance of
the class at any bandwidth h: 0 draws copies, and for a large h a normal distribution remains.

Numbers get noise. Levels (categories, point masses, missing values) stay those of the row x, or, with `level_rate`
above 0, each column that has some comes now and then from another row near it: the discrete side of a kernel (Aitchison
and Aitken, "Multivariate Binary Discrimination by the Kernel Method", Biometrika 1976) with the chances of the
neighbourhood.
"""

import math
from dataclasses import dataclass
from itertools import groupby
from typing import Annotated, Literal, NamedTuple

import torch
from torch import Tensor

from latentover.estimators import Synthetic
from latentover.estimators.formats import Format
from latentover.estimators.parameters import Expected, Fraction, NonNegative, PositiveInt
from latentover.methods.resampling import RowSampler, nearest_points
from latentover.tables.format import Numbers, TableFormat


class Cloud(NamedTuple):
    """What the numbers of a class with r independent directions do.

    Attributes
    ----------
    mean : Tensor of shape (d,)
    factor : Tensor of shape (r, d)
        Standard normal rows times this have the covariance of the class.
    bandwidth : Tensor of shape ()
    """

    mean: Tensor
    factor: Tensor
    bandwidth: Tensor


def silverman_factor(n: float, d: int) -> float:
    """Return the bandwidth, in standard deviations, that suits n rows of a normal distribution in d dimensions.

    Examples
    --------
    >>> round(silverman_factor(100, 1), 3), round(silverman_factor(100, 8), 3)
    (0.422, 0.631)
    """
    return float((4 / ((d + 2) * n)) ** (1 / (d + 4)))


def class_cloud(
    X: Tensor, weights: Tensor | None = None, bandwidth: float | None = None, known: Tensor | None = None
) -> Cloud:
    """Return mean, covariance and bandwidth of the numbers of a class.

    Parameters
    ----------
    X : Tensor of shape (n, d)
    weights : Tensor of shape (n,), optional
        Not negative, one of them above 0.
    bandwidth : float, optional
        By default that of Silverman's rule, for the columns that vary and as many rows as the weights are worth,
        :math:`(sum w)^2 / sum w^2`.
    known : bool Tensor of shape (n, d), optional
        Where a number says something. Means and variances are of those; the correlation of two columns is the smaller,
        the fewer rows have both.
    """
    known = torch.ones_like(X, dtype=torch.bool) if known is None else known
    weights = X.new_ones(len(X)) if weights is None else weights.to(X)
    shares = weights.unsqueeze(1) * known
    shares = shares / shares.sum(dim=0).clamp_min(torch.finfo(X.dtype).tiny)
    mean = (shares * X).sum(dim=0)
    # Of A with the covariance A^T A, the triangle has the same product and as few rows as there are directions.
    factor = torch.linalg.qr(shares.sqrt() * (X - mean), mode="r").R
    if bandwidth is None:
        least, most = X.masked_fill(~known, math.inf).amin(dim=0), X.masked_fill(~known, -math.inf).amax(dim=0)
        varying = int((most > least).sum())
        bandwidth = silverman_factor(float(weights.sum() ** 2 / weights.square().sum()), varying)
    return Cloud(mean, factor, X.new_tensor(bandwidth))


def smoothed(bases: Tensor, cloud: Cloud, generator: torch.Generator) -> Tensor:
    """Return new numbers (n, d), one row near each of `bases` (n, d)."""
    draws = torch.randn((len(bases), len(cloud.factor)), generator=generator, device=bases.device, dtype=bases.dtype)
    share = (1 + cloud.bandwidth**2).rsqrt()
    return torch.lerp(cloud.mean, bases, share) + share * cloud.bandwidth * (draws @ cloud.factor)


class Layout(NamedTuple):
    """Where numbers and levels are in an encoded row.

    Attributes
    ----------
    numbers : bool Tensor of shape (width,)
    columns : list of slice
        The columns of the table that have levels.
    states : list of (slice, slice)
        Of each column of numbers with states, such as a point mass or a missing value: the states, and the column.
    """

    numbers: Tensor
    columns: list[slice]
    states: list[tuple[slice, slice]]

    @classmethod
    def of(cls, format_: Format) -> "Layout":
        """Return that of the rows of a format; images are numbers."""
        numbers = torch.ones(format_.shape, dtype=torch.bool).flatten()
        columns, states = [], []
        parts = format_.parts if isinstance(format_, TableFormat) else []
        for _, group in groupby(parts, key=lambda placed: placed.column):
            placed = list(group)
            column, has_levels = slice(placed[0].where.start, placed[-1].where.stop), False
            for part in placed:
                if part.part.kind == "levels":
                    numbers[part.where], has_levels = False, True
            columns += [column] if has_levels else []
            if placed[0].part.kind == "levels" and len(placed) > 1:
                states.append((placed[0].where, column))
        return cls(numbers, columns, states)

    def known(self, X: Tensor) -> Tensor:
        """Return where the entries of encoded rows (n, width) say something.

        In a state that has no number of its own, a point mass say, all rows have the same one.
        """
        known = torch.ones_like(X, dtype=torch.bool)
        for where, column in self.states:
            states, numbers = X[:, where].argmax(dim=1), X[:, column]
            for state in states.unique():
                rows = states == state
                known[rows, column] = (numbers[rows] != numbers[rows][0]).any(dim=0)
        return known


@dataclass(kw_only=True, eq=False, repr=False)
class SmoothedBootstrapSampler(RowSampler):
    """Over-sampler: rows of the class drawn again, with noise that leaves its mean and covariance as they are.

    Parameters
    ----------
    sampling_strategy : str, float, dict or callable, default="auto"
        As in imbalanced-learn: which classes are brought to how many samples.
    bandwidth : "silverman" or float of at least 0, default="silverman"
        Standard deviation of the noise over that of the class, before both are shrunk: 0 draws copies, a large one
        normal rows. Silverman's rule goes by the number of rows of the class and of columns of numbers that vary in it.
    level_rate : float in [0, 1], default=0.0
        How likely each column that has levels is taken from another row of the class, one of the `k_neighbors` nearest.
    k_neighbors : int, default=5
        Of each row, within its class.
    keep_index
        See `latentover.estimators.BaseSampler`.
    small_class, base_selection, clip
        See `latentover.estimators.BaseGenerator`. A class of one sample gets copies.
    numbers : {"scores", "standard"}, default="scores"
        As in `latentover.estimators.BaseDataEstimator`: mean and covariance that are kept are those of normal scores,
        or of the numbers themselves.
    image_shape, channels_last, categorical_features, identifiers, new_identifiers, missing, device, random_state,
    verbose
        See `latentover.estimators.BaseDataEstimator`.

    Attributes
    ----------
    sampling_strategy_, synthetic_mask_, sample_origin_, parents_, mix_weights_, sample_weight_
        See `latentover.estimators.BaseSampler`. The parent is the row that noise was added to; rows that lend it a
        level are not named.
    classes_, class_counts_, format_, device_
        See `latentover.estimators.BaseDataEstimator`.

    Notes
    -----
    Cost: a QR decomposition of each class that gets samples, O(min(n d^2, n^2 d)) for n samples with d features; with
    `level_rate` above 0 a search for neighbours within it.

    Examples
    --------
    >>> from collections import Counter
    >>> from sklearn.datasets import make_classification
    >>> X, y = make_classification(200, weights=[0.9], flip_y=0, random_state=0)
    >>> X_resampled, y_resampled = SmoothedBootstrapSampler(random_state=0).fit_resample(X, y)
    >>> sorted(Counter(y_resampled.tolist()).items())
    [(0, 181), (1, 181)]
    """

    bandwidth: Annotated[Literal["silverman"] | NonNegative, Expected("'silverman' or a number at least 0")] = (
        "silverman"
    )
    level_rate: Fraction = 0.0
    k_neighbors: PositiveInt = 5
    numbers: Numbers = "scores"

    def _generate(self, label: int, n: int, generator: torch.Generator) -> Synthetic:
        rows = self._choose_bases(label, None, n, generator)
        layout = Layout.of(self.format_)
        new = self._flat(self.tensors_["inputs"][rows])
        if self.level_rate > 0:
            lenders = self._lenders(label, rows, len(layout.columns), generator)
            for column, lender in zip(layout.columns, lenders, strict=True):
                new[:, column] = self._flat(self.tensors_["inputs"][lender])[:, column]
        numbers = layout.numbers.to(new.device)
        new[:, numbers] = smoothed(new[:, numbers], self._cloud(label, layout), generator)
        return self._synthetic(new, rows)

    def _members(self, label: int) -> Tensor:
        """Return the training rows (m,) of a class that may be parents."""
        own = self.tensors_["labels"] == label
        if "sample_weight" in self.tensors_:
            own &= self.tensors_["sample_weight"].to(own.device) > 0
        return own.nonzero().squeeze(1)

    def _cloud(self, label: int, layout: Layout) -> Cloud:
        """Return what the numbers of a class do, and put it into `tensors_` the first time."""
        names = {field: f"{field}_{label}" for field in Cloud._fields}
        if names["mean"] not in self.tensors_:
            members = self._members(label)
            rows = self._flat(self.tensors_["inputs"][members])
            weights = self.tensors_.get("sample_weight")
            numbers = layout.numbers.to(rows.device)
            found = class_cloud(
                rows[:, numbers],
                None if weights is None else weights.to(rows.device)[members],
                None if self.bandwidth == "silverman" else float(self.bandwidth),
                layout.known(rows)[:, numbers],
            )
            self.tensors_ |= {names[field]: value for field, value in found._asdict().items()}
        return Cloud(**{field: self.tensors_[name] for field, name in names.items()})

    def _lenders(self, label: int, rows: Tensor, n_columns: int, generator: torch.Generator) -> Tensor:
        """Return the rows (n_columns, n) that each column of levels of the next samples is taken from."""
        members = self._members(label)
        name = f"neighbors_{label}"
        if name not in self.tensors_:
            own = self._flat(self.tensors_["inputs"][members])
            nearest = nearest_points(own, own, self.k_neighbors + 1, norm=2.0)
            self.tensors_[name] = members[nearest[:, min(1, len(own) - 1) :]]  # but itself, unless it is alone
        near = self.tensors_[name][torch.searchsorted(members, rows)]
        shape, device = (len(rows), n_columns), rows.device
        chosen = near.gather(1, torch.randint(near.shape[1], shape, generator=generator, device=device))
        lent = torch.rand(shape, generator=generator, device=device) < self.level_rate
        return torch.where(lent, chosen, rows.unsqueeze(1)).T
