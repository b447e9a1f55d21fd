"""Nearest neighbours in feature space: density, coverage, precision and recall, in memory that does not grow with n^2.

Distances are found in two steps. A matrix product in a fast type (bfloat16 where the processor has it, or float32)
finds, block by block, every pair that can matter, with a bound on its rounding; only those few pairs are then measured
in double precision, by differences. So the result is that of exact distances, at the speed of the fast type.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from latentover.metrics.distances import as_features

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch
    from torch import Tensor

__all__ = [
    "BallCounts",
    "DensityCoverage",
    "PrecisionRecall",
    "ball_counts",
    "density_coverage",
    "nearest_distances",
    "precision_recall",
]

_BLOCK = 2**20  # elements of a block of products: 4 MB in float32
_ROWS = 64  # rows of a block at the least: products of fewer are slow
_CHUNK = 2**17  # elements that are handled at once in float64: 1 MB
_SPARE = 16  # candidates beyond the k nearest
_OPEN = 64  # pairs a row that a product may leave open before a finer type is used


class BallCounts(NamedTuple):
    """How the balls around real samples and the fake samples lie.

    Attributes
    ----------
    containing : ndarray of shape (n_fake,), int64
        Number of real samples' balls that each fake sample is in.
    covered : ndarray of shape (n_real,), bool
        Whether any fake sample is in the ball of each real one.
    k : int
        The neighbour whose distance is the radius.
    """

    containing: NDArray[np.int64]
    covered: NDArray[np.bool_]
    k: int

    @property
    def density(self) -> float:
        """Mean number of balls around a fake sample, over k."""
        return float(self.containing.mean() / self.k)

    @property
    def coverage(self) -> float:
        """Share of real samples with a fake one in their ball."""
        return float(self.covered.mean())

    @property
    def precision(self) -> float:
        """Share of fake samples in any ball."""
        return float((self.containing > 0).mean())


class DensityCoverage(NamedTuple):
    """Density (at least 0, about 1 for equal distributions) and coverage (in [0, 1])."""

    density: float
    coverage: float


class PrecisionRecall(NamedTuple):
    """Precision and recall, both in [0, 1]."""

    precision: float
    recall: float


def density_coverage(
    real: Any, fake: Any, k: int = 5, *, deduplicate: bool = False, device: str | None = None
) -> DensityCoverage:
    r"""Density and coverage of generated samples.

    With R_i the distance from real sample i to its k-th nearest other real sample:
    density is :math:`\frac{1}{kM} \sum_j \#\{i : \|y_j - x_i\| < R_i\}`, coverage the share of real samples i with
    :math:`\min_j \|y_j - x_i\| < R_i`. Distances are Euclidean and the inequality is strict.

    Parameters
    ----------
    real, fake : array-like or Tensor of shape (n_real, d) and (n_fake, d)
        Features.
    k : int, default=5
        Neighbours; cut to n_real - 1, with a warning.
    deduplicate : bool, default=False
        Leave out real samples that repeat an earlier one. More than k equal samples have a ball of radius 0, which
        nothing is in.
    device : str, optional
        Where to compute, such as ``"cuda"``. By default where the features are.

    Returns
    -------
    DensityCoverage

    Raises
    ------
    ValueError
        If features have different dimensions or are not finite, *k* is below 1 or there is one real sample only.

    Warns
    -----
    UserWarning
        If *k* is cut, or balls have radius 0.

    References
    ----------
    Naeem, Oh, Uh, Choi, Yoo: Reliable Fidelity and Diversity Metrics for Generative Models, ICML 2020, section 3.

    Examples
    --------
    >>> import numpy as np
    >>> from latentover.metrics import density_coverage
    >>> density_coverage(np.array([[0.0], [1.0], [3.0]]), np.array([[0.5], [2.9]]), k=1)
    DensityCoverage(density=1.5, coverage=1.0)
    """
    counts = ball_counts(real, fake, k, deduplicate=deduplicate, device=device)
    return DensityCoverage(counts.density, counts.coverage)


def precision_recall(real: Any, fake: Any, k: int = 5, *, device: str | None = None) -> PrecisionRecall:
    """Precision: share of fake samples in any real ball; recall: share of real samples in any fake ball.

    Parameters
    ----------
    real, fake, k, device
        See `density_coverage`.

    Returns
    -------
    PrecisionRecall

    Raises
    ------
    ValueError
        As `density_coverage`; recall needs two fake samples.

    References
    ----------
    Kynkäänniemi, Karras, Laine, Lehtinen, Aila: Improved Precision and Recall Metric for Assessing Generative Models,
    NeurIPS 2019, equation 2; with a strict inequality, so that copies of a single sample are not credited.

    Examples
    --------
    >>> import numpy as np
    >>> from latentover.metrics import precision_recall
    >>> precision_recall(np.array([[0.0], [1.0], [3.0]]), np.array([[0.5], [2.9]]), k=1)
    PrecisionRecall(precision=1.0, recall=1.0)
    """
    precision = ball_counts(real, fake, k, device=device).precision
    return PrecisionRecall(precision, ball_counts(fake, real, k, device=device, names=("fake", "real")).precision)


def ball_counts(
    real: Any,
    fake: Any,
    k: int = 5,
    *,
    deduplicate: bool = False,
    device: str | None = None,
    names: tuple[str, str] = ("real", "fake"),
) -> BallCounts:
    """The counts that density, coverage, precision and their intervals are made of.

    Parameters
    ----------
    real, fake, k, deduplicate, device
        See `density_coverage`.
    names : tuple of str
        What messages call the two sets.

    Returns
    -------
    BallCounts
    """
    centres, points = _tensor(real, names[0], 2, device), _tensor(fake, names[1], 1, device)
    _check_dimensions(centres, points, names)
    if k < 1:
        raise ValueError(f"Expected *k* to be at least 1, but got {k}; the usual number is 5.")
    if deduplicate:
        centres = _tensor(np.unique(centres.cpu().numpy(), axis=0), f"{names[0]} without duplicates", 2, device)
    if k > len(centres) - 1:
        warnings.warn(
            f"*k* = {k} is cut to {len(centres) - 1}: there are only {len(centres)} {names[0]} samples.", stacklevel=3
        )
        k = len(centres) - 1
    points = points.to(centres.device)
    search = _Search(centres, points)
    squared_radii = search.kth_nearest(centres, centres, k, exclude_self=True)
    n_empty = int((squared_radii == 0).sum())
    if n_empty:
        warnings.warn(
            f"{n_empty} of {len(centres)} {names[0]} samples are equal to at least {k} others; their balls have "
            "radius 0 and count as empty. Use *deduplicate* to leave repeated samples out.",
            stacklevel=3,
        )
    containing, covered = search.within(centres, points, squared_radii)
    return BallCounts(containing.cpu().numpy(), covered.cpu().numpy(), k)


def nearest_distances(queries: Any, references: Any, k: int = 1, *, device: str | None = None) -> NDArray[np.float64]:
    """Euclidean distance from each query to its k-th nearest reference.

    Parameters
    ----------
    queries, references : array-like or Tensor of shape (m, d) and (n, d)
        A query that is one of the references finds itself, at distance 0.
    k : int, default=1
        In 1..n.
    device : str, optional
        See `density_coverage`.

    Returns
    -------
    ndarray of shape (m,)

    Raises
    ------
    ValueError
        If features have different dimensions or are not finite, or there are fewer than *k* references.

    Examples
    --------
    >>> import numpy as np
    >>> from latentover.metrics import nearest_distances
    >>> nearest_distances(np.array([[0.0], [5.0]]), np.array([[1.0], [4.0], [9.0]]), k=2).tolist()
    [4.0, 4.0]
    """
    points, others = _tensor(queries, "queries", 1, device), _tensor(references, "references", 1, device)
    _check_dimensions(points, others, ("queries", "references"))
    if not 1 <= k <= len(others):
        raise ValueError(f"Expected *k* to be in 1..{len(others)}, the number of references, but got {k}.")
    points = points.to(others.device)
    search = _Search(others, points)
    return search.kth_nearest(points, others, k).sqrt().cpu().numpy()


def _tensor(features: Any, name: str, at_least: int, device: str | None) -> Tensor:
    import torch

    if isinstance(features, torch.Tensor):
        where = features.device if device is None else torch.device(device)
    else:
        where = torch.device("cpu" if device is None else device)
    return torch.from_numpy(np.ascontiguousarray(as_features(features, name, at_least))).to(where)


def _check_dimensions(first: Tensor, second: Tensor, names: tuple[str, str]) -> None:
    if first.shape[1] != second.shape[1]:
        raise ValueError(
            f"Expected {names[0]} and {names[1]} features of one dimension, but got {first.shape[1]} and "
            f"{second.shape[1]}; use one extractor for both."
        )


class _Search:
    """Two sets of points, and what is asked about them: exact answers, by way of approximate products.

    All points are moved and scaled together, so that no coordinate is above 1. For rows x and columns y a product in a
    fast type gives t, about x.y - |x|^2/2 - |y|^2/2 = -|x - y|^2/2. Vectors are rounded to that type (relative length
    of the rest at most rho, which is measured), sums are accumulated in float32 or better, and t is rounded once more.
    Since 2 |x||y| <= |x|^2 + |y|^2, the error is at most slack (|x|^2 + |y|^2) before that last rounding; it splits
    into a part for the row and one for the column. Pairs that these bounds leave open are measured by differences in
    float64. Where they leave too many open, the next, finer type is used.
    """

    def __init__(self, first: Tensor, second: Tensor) -> None:
        sample = first[:: max(1, len(first) // 1000)].double()
        self.centre = sample.median(dim=0).values  # a mean could be far from all points, where digits are lost
        ends = [end for points in (first, second) for end in (points.amax(dim=0), points.amin(dim=0))]
        self.scale = max(float((end - self.centre).abs().max()) for end in ends) or 1.0
        self.dtypes = _product_dtypes(first.device)
        self.squares = {id(points): self._squares(points) for points in (first, second)}
        self._operands: dict[tuple[int, torch.dtype], tuple[Tensor, float]] = {}
        self._products: dict[tuple[int, int, torch.dtype], _Products] = {}

    def _moved(self, points: Tensor) -> Iterator[tuple[slice, Tensor]]:
        """Yield the points on the common scale in float64, in chunks that stay in the processor's cache."""
        step = max(1, _CHUNK // points.shape[1])
        for start in range(0, len(points), step):
            rows = slice(start, start + step)
            yield rows, (points[rows].double() - self.centre) / self.scale

    def _squares(self, points: Tensor) -> Tensor:
        import torch

        return torch.cat([moved.square().sum(dim=1) for _, moved in self._moved(points)])

    def operand(self, points: Tensor, dtype: torch.dtype) -> tuple[Tensor, float]:
        """Return the points in the type of a product, and rho, the largest relative length of what that rounds off."""
        import torch

        key = (id(points), dtype)
        if key not in self._operands:
            rounded = torch.empty(points.shape, dtype=dtype, device=points.device)
            rests = []
            for rows, moved in self._moved(points):
                rounded[rows] = moved
                rests.append((moved - rounded[rows]).square_().sum(dim=1))
            squares = self.squares[id(points)].clamp(min=1e-300)
            self._operands[key] = rounded, float((torch.cat(rests) / squares).max().sqrt()) + 2.0**-50
        return self._operands[key]

    def products(self, x: Tensor, y: Tensor, dtype: torch.dtype) -> _Products:
        """Return the products of x and y in a type, made once."""
        key = (id(x), id(y), dtype)
        if key not in self._products:
            self._products[key] = _Products(self, x, y, dtype)
        return self._products[key]

    def kth_nearest(self, x: Tensor, y: Tensor, k: int, *, exclude_self: bool = False) -> Tensor:
        """Return the squared distance (len(x),) to the k-th nearest of y; x itself does not count if excluded."""
        import torch

        dtypes = list(self.dtypes)
        result = torch.empty(len(x), dtype=torch.float64, device=x.device)
        step = max(_ROWS, _BLOCK // len(y))
        for start in range(0, len(x), step):
            rows = torch.arange(start, min(start + step, len(x)), device=x.device)
            for dtype in list(dtypes):
                found, sure = self._kth_by_product(self.products(x, y, dtype), rows, k, exclude_self)
                result[rows[sure]] = found[sure]
                if 2 * int(sure.sum()) < len(rows) and dtype is not dtypes[-1]:
                    dtypes.remove(dtype)  # too coarse for this data
                rows = rows[~sure]
            for row in rows.tolist():
                result[row] = self._kth_by_differences(x, y, row, k, exclude_self)
        return result

    def _kth_by_product(self, products: _Products, rows: Tensor, k: int, exclude_self: bool) -> tuple[Tensor, Tensor]:
        """Return squared distances (len(rows),) to the k-th nearest, and which of them are right for sure."""
        import torch

        x, y = products.x, products.y
        n_candidates = min(len(y), k + exclude_self + _SPARE)
        best, candidates = products.block(rows, -0.5 * products.square_x[rows]).topk(n_candidates, dim=1)
        high, low = products.bounds(best, rows[:, None], candidates)
        nearest, farthest = -2 * high, -2 * low
        beyond = nearest[:, -1].clone()  # no point that is not a candidate is nearer than this
        if exclude_self:
            itself = candidates == rows[:, None]
            nearest[itself] = farthest[itself] = torch.inf
        # Surely nearer than the k-th, surely farther, or to be measured.
        at_least = nearest.topk(k, largest=False).values[:, -1:]
        at_most = farthest.topk(k, largest=False).values[:, -1:]
        distances = torch.full_like(nearest, torch.inf).masked_fill_(farthest < at_least, -torch.inf)
        i, j = ((farthest >= at_least) & (nearest <= at_most)).nonzero(as_tuple=True)
        distances[i, j] = _squared_distances(x, y, rows[i], candidates[i, j])
        if exclude_self:
            distances[itself] = torch.inf
        found = distances.topk(k, largest=False).values[:, -1]
        sure = (found <= beyond * self.scale**2) | (found == 0)
        return found, sure | (n_candidates == len(y))

    def _kth_by_differences(self, x: Tensor, y: Tensor, row: int, k: int, exclude_self: bool) -> Tensor:
        import torch

        everything = torch.arange(len(y), device=y.device)
        distances = _squared_distances(x, y, torch.full_like(everything, row), everything)
        if exclude_self:
            distances[row] = torch.inf
        return distances.kthvalue(k).values

    def within(self, x: Tensor, y: Tensor, squared_radii: Tensor) -> tuple[Tensor, Tensor]:
        """Return in how many balls around x each y is (len(y),), and whether each ball holds a y (len(x),)."""
        import torch

        dtypes = list(self.dtypes)
        inside = torch.zeros(len(y), dtype=torch.int64, device=y.device)
        covered = torch.zeros(len(x), dtype=torch.bool, device=x.device)
        step = max(_ROWS, _BLOCK // len(y))
        for start in range(0, len(x), step):
            rows = torch.arange(start, min(start + step, len(x)), device=x.device)
            for dtype in list(dtypes):
                i, j, surely = self._inside_by_product(self.products(x, y, dtype), rows, squared_radii)
                unsure = (~surely).nonzero().flatten()
                if len(unsure) <= _OPEN * len(rows) or dtype is dtypes[-1]:
                    break
                dtypes.remove(dtype)  # too coarse for this data
            surely[unsure] = _squared_distances(x, y, i[unsure], j[unsure]) < squared_radii[i[unsure]]
            inside += torch.bincount(j[surely], minlength=len(y))
            covered[i[surely]] = True
        return inside, covered

    def _inside_by_product(
        self, products: _Products, rows: Tensor, squared_radii: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the pairs (i, j) that can be inside, and which of them are for sure."""
        squares = squared_radii[rows] / self.scale**2
        block = products.block(rows, 0.5 * (squares - products.square_x[rows]))  # (R^2 - |x - y|^2) / 2
        lowest = -products.row_error(rows, squares) * (1 + 4 * products.last_rounding)
        positions, j = (block > lowest.to(block.dtype)[:, None]).nonzero(as_tuple=True)
        _, low = products.bounds(block[positions, j], rows[positions], j, squares[positions])
        return rows[positions], j, low > 0


class _Products:
    """Products of rows of x with all of y in one type, and their bounds."""

    def __init__(self, search: _Search, x: Tensor, y: Tensor, dtype: torch.dtype) -> None:
        import torch

        self.x, self.y = x, y
        self.square_x, self.square_y = search.squares[id(x)], search.squares[id(y)]
        self.left, rho_x = search.operand(x, dtype)
        right, rho_y = search.operand(y, dtype)
        sums = torch.float64 if dtype == torch.float64 else torch.float32
        self.accumulation = (x.shape[1] + 16) * torch.finfo(sums).eps
        self.slack = (rho_x + rho_y + rho_x * rho_y) / 2 + self.accumulation
        self.last_rounding = torch.finfo(dtype).eps / 2 * 1.01
        pieces = _pieces((self.slack - 0.5) * self.square_y, dtype)
        self.right = torch.cat([right, torch.ones_like(pieces), pieces], dim=1).T

    def block(self, rows: Tensor, terms: Tensor) -> Tensor:
        """Return x.y + term - |y|^2/2 (len(rows), len(y)), raised by the column's share of the error."""
        import torch

        pieces = _pieces(terms, self.left.dtype)
        return torch.cat([self.left[rows], pieces, torch.ones_like(pieces)], dim=1) @ self.right

    def row_error(self, rows: Tensor, squared_radii: Tensor | float = 0.0) -> Tensor:
        """Return the row's share of the error."""
        return self.slack * self.square_x[rows] + self.accumulation * squared_radii

    def bounds(self, values: Tensor, rows: Tensor, columns: Tensor, squared_radii: Any = 0.0) -> tuple[Tensor, Tensor]:
        """Return the highest and the lowest number that computed values can stand for, in float64."""
        values = values.double()
        error = self.row_error(rows, squared_radii) + self.last_rounding * values.abs()
        return values + error, values - error - 2 * self.slack * self.square_y[columns]


def _product_dtypes(device: torch.device) -> list[torch.dtype]:
    """Return the types that products are quick and accumulated well in, coarse to fine."""
    import torch

    exact = torch.get_float32_matmul_precision() == "highest"
    if not exact or torch.is_autocast_enabled("cpu") or torch.is_autocast_enabled("cuda"):
        return [torch.float64]  # float32 may be rounded to less inside a product
    capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    quick = capabilities.get("avx512_bf16") or capabilities.get("amx_bf16")
    return [torch.bfloat16, torch.float32] if device.type == "cpu" and quick else [torch.float32]


def _pieces(values: Tensor, dtype: torch.dtype) -> Tensor:
    """Return three numbers of a coarse type (n, 3) for each of a fine one, with that sum."""
    import torch

    pieces, rest = [], values
    for _ in range(3):
        pieces.append(rest.to(dtype))
        rest = rest - pieces[-1].double()
    return torch.stack(pieces, dim=1)


def _squared_distances(x: Tensor, y: Tensor, i: Tensor, j: Tensor) -> Tensor:
    """Return |x_i - y_j|^2 for lists of rows i and j, by differences in float64."""
    import torch

    step = max(1, _CHUNK // x.shape[1])
    parts = [
        (x[a].double() - y[b].double()).square_().sum(dim=1) for a, b in zip(i.split(step), j.split(step), strict=True)
    ]
    return torch.cat(parts)
