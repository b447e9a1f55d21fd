r"""A decoder of tables that says how likely rows are: column by column, each given those before it.

Larochelle and Murray, "The Neural Autoregressive Distribution Estimator", AISTATS 2011, with a hidden layer more for
each column (Uria, Murray and Larochelle, "A Deep and Tractable Density Estimator", ICML 2014):

.. math::
    p(x \mid z, y) = \prod_i p(x_i \mid h_i), \qquad
    h_i = f_i \Big( V [z, y] + \frac{1}{\sqrt{i}} \sum_{j < i} W_j(x_j) \Big)

A decoder that returns a row for each latent returns a mean: all that the latent does not hold, most of a table's noise,
is lost. This one is sampled, so its rows have all of it.

Levels have a probability each. The score of a number is taken as the rank that it is the normal quantile of, and the
ranks 0 to 1 are divided into cells: one for every value that many rows have, `CELLS` even ones beside them. The log
probability of cell c with middle :math:`u_c` is, up to a constant, the logarithm of its width plus the cosine series
:math:`\sum_k a_k(h) \cos(\pi k u_c) / k`: smooth, so that few rows are enough to learn it, and as
steep as it has to be.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.special import ndtr, ndtri

from latentover.networks.layers import Dropout, linear
from latentover.tables.columns import Part
from latentover.tables.levels import level_rows

CELLS = 128
"""Even cells of the ranks of a number."""
FREE_CELLS = 32
"""A number of at most so many cells has a probability of its own for each of them."""
FREQUENCIES = 16
"""Terms of the cosine series."""
_EDGE = 1e-6
"""Ranks are kept so far from 0 and 1, whose scores are infinite."""


class _Place(NamedTuple):
    """Where a part is in the encoded row, and of which part before it a number depends on which level."""

    where: slice
    state: int | None
    when: int | None


class LevelHead(nn.Module):
    """One of n levels: what it adds to later columns, and its log probabilities.

    Parameters
    ----------
    n : int
    hidden_units : int
    """

    rows: Tensor

    def __init__(self, n: int, hidden_units: int) -> None:
        super().__init__()
        self.register_buffer("rows", torch.tensor(level_rows(n)), persistent=False)
        self.embedding = nn.Embedding(n, hidden_units)
        self.logits = linear(hidden_units, n)

    def cells(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the level (B,) of encoded ones (B, width), and whether it is known (B,): a row of zeros is not."""
        return (x @ self.rows.T).argmax(dim=1), x.any(dim=1)

    def values(self, cells: Tensor, u: Tensor) -> Tensor:
        """Return the encoded levels (B, width)."""
        return self.rows[cells]

    def inputs(self, cells: Tensor, x: Tensor) -> Tensor:
        """Return what the levels add to later columns (B, hidden_units)."""
        return self.embedding(cells)


class ScoreHead(nn.Module):
    """The score of a number: what it adds to later columns, and the log probabilities of its cells.

    Parameters
    ----------
    ties : sequence of (float, float)
        Ranks between which all scores are of one value.
    hidden_units : int
    """

    edges: Tensor
    log_widths: Tensor
    frequencies: Tensor
    series: Tensor

    def __init__(self, ties: Sequence[tuple[float, float]], hidden_units: int) -> None:
        super().__init__()
        edges = cell_edges(ties)
        self.register_buffer("edges", edges, persistent=False)
        self.register_buffer("log_widths", edges.diff().log(), persistent=False)
        middles = (edges[1:] + edges[:-1]) / 2
        frequencies = torch.arange(1, FREQUENCIES + 1)
        self.register_buffer("frequencies", frequencies, persistent=False)
        series = torch.cos(math.pi * frequencies.unsqueeze(1) * middles) / frequencies.unsqueeze(1)
        self.register_buffer("series", series, persistent=False)
        self.free = len(middles) <= FREE_CELLS
        self.coefficients = linear(hidden_units, len(middles) if self.free else FREQUENCIES)
        self.embedding = nn.Embedding(len(middles), hidden_units) if self.free else linear(FREQUENCIES, hidden_units)

    def logits(self, hidden: Tensor) -> Tensor:
        """Return the logits (B, cells)."""
        found = self.coefficients(hidden)
        return self.log_widths + (found if self.free else found @ self.series)

    def cells(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the cell (B,) of scores (B, 1), and that it is known."""
        ranks = ndtr(x[:, 0]).clamp(_EDGE, 1 - _EDGE)
        return torch.searchsorted(self.edges, ranks, right=True) - 1, torch.ones_like(ranks, dtype=torch.bool)

    def values(self, cells: Tensor, u: Tensor) -> Tensor:
        """Return scores (B, 1), at u (B,) of the way through the cells."""
        low, high = self.edges[cells], self.edges[cells + 1]
        return ndtri((low + u * (high - low)).clamp(_EDGE, 1 - _EDGE)).unsqueeze(1)

    def inputs(self, cells: Tensor, x: Tensor) -> Tensor:
        """Return what the scores add to later columns (B, hidden_units)."""
        if self.free:
            return self.embedding(cells)
        return self.embedding(torch.cos(math.pi * self.frequencies * ndtr(x)) * math.sqrt(2))


def cell_edges(ties: Sequence[tuple[float, float]]) -> Tensor:
    """Return the edges (cells + 1,) of the cells of a number: ties, and even ones beside them.

    Examples
    --------
    >>> cell_edges([(0.0, 0.25), (0.25, 1.0)])
    tensor([0.0000, 0.2500, 1.0000])
    """
    edges, end = [0.0], 0.0
    for low, high in [*ties, (1.0, 1.0)]:
        n = math.ceil((low - end) * CELLS - 1e-9)
        edges += [end + (low - end) * (i + 1) / n for i in range(n)]
        end = high
        edges += [high] if high > edges[-1] else []
    edges[-1] = 1.0
    return torch.tensor(edges, dtype=torch.float32)


class AutoregressiveDecoder(nn.Module):
    """Latents with their labels to a distribution of rows.

    Parameters
    ----------
    parts : sequence of `latentover.tables.Part`
        Of the encoded row: levels, and scores of ranks.
    latent_dim, n_classes : int
    hidden_units : int, default=96
        Of each column's layers.
    dropout : float in [0, 1), default=0.2
    """

    before: Tensor
    columns: Any  # heads of levels and scores, in their order

    def __init__(
        self,
        parts: Sequence[Part],
        latent_dim: int,
        n_classes: int,
        *,
        hidden_units: int = 96,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        places, start = [], 0
        for i, part in enumerate(parts):
            places.append(_Place(slice(start, start + part.width), i - 1 if part.when is not None else None, part.when))
            start += part.width
        self.width = start
        # Levels come first: numbers depend on them more sharply than they on numbers.
        order = sorted(range(len(parts)), key=lambda i: parts[i].kind != "levels")
        self.places = [places[i] for i in order]
        self.states = [None if place.state is None else order.index(place.state) for place in self.places]
        self.columns = nn.ModuleList(
            LevelHead(parts[i].n, hidden_units) if parts[i].kind == "levels" else ScoreHead(parts[i].ties, hidden_units)
            for i in order
        )
        d, h = len(order), hidden_units
        # What sums over the columns before each are divided by.
        self.register_buffer("before", torch.arange(d).clamp(min=1).sqrt().view(-1, 1, 1), persistent=False)
        self.context = linear(latent_dim + n_classes, h)
        self.weight = nn.Parameter(torch.randn(d, h, h) / math.sqrt(h))
        self.bias = nn.Parameter(torch.zeros(d, 1, h))
        self.start = nn.Parameter(torch.zeros(d, 1, h))
        self.dropout = Dropout(dropout)
        for column in self.columns:
            head = column.logits if isinstance(column, LevelHead) else column.coefficients
            nn.init.zeros_(head.weight)
            nn.init.zeros_(head.bias)

    def hidden(self, sums: Tensor, context: Tensor, columns: slice) -> Tensor:
        """Return what each column (d, B, h) is predicted from, given the sums (d, B, h) of what is before it."""
        x = self.dropout(F.silu(sums / self.before[columns] + context + self.start[columns]))
        return self.dropout(F.silu(torch.baddbmm(self.bias[columns], x, self.weight[columns])))

    def log_prob(self, x: Tensor, z: Tensor, onehot: Tensor) -> Tensor:
        """Return the log probability (B,) of encoded rows (B, d), given latents (B, m) and labels (B, C).

        Of numbers it is the one of their cells, so that it is never above 0. What is not known does not count.
        """
        cells: list[Tensor] = []
        counts: list[Tensor] = []
        inputs = []
        for column, place, state in zip(self.columns, self.places, self.states, strict=True):
            block = x[:, place.where]
            found, known = column.cells(block)
            if state is not None:
                known = known & counts[state] & (cells[state] == place.when)
            cells.append(found)
            counts.append(known)
            inputs.append(column.inputs(found, block) * known.unsqueeze(1))
        added = torch.stack(inputs)
        hidden = self.hidden(added.cumsum(dim=0) - added, self.context(torch.cat([z, onehot], dim=1)), slice(None))
        total = x.new_zeros(len(x))
        for i, column in enumerate(self.columns):
            chosen = F.cross_entropy(column.logits(hidden[i]).float(), cells[i], reduction="none")
            total = total - chosen * counts[i]
        return total

    @torch.no_grad()
    def sample(
        self, z: Tensor, onehot: Tensor, generator: torch.Generator | None = None, *, alike: bool = False
    ) -> Tensor:
        """Draw an encoded row for each latent (B, m) with its label (B, C): (B, d).

        If `alike`, all are drawn with the same numbers, so that rows differ by their latents and labels alone.
        """
        context = self.context(torch.cat([z, onehot], dim=1))
        sums, rows = torch.zeros_like(context), z.new_zeros(len(z), self.width)
        drawn: list[Tensor] = []
        for i, (column, place, state) in enumerate(zip(self.columns, self.places, self.states, strict=True)):
            hidden = self.hidden(sums.unsqueeze(0), context, slice(i, i + 1))[0]
            u = torch.rand(2, 1 if alike else len(z), generator=generator, device=z.device).expand(2, len(z))
            ends = column.logits(hidden).double().softmax(dim=1).cumsum(dim=1)
            cells = torch.searchsorted(ends, u[0].double().unsqueeze(1) * ends[:, -1:], right=True).squeeze(1)
            cells = cells.clamp(max=ends.shape[1] - 1)
            block = column.values(cells, u[1])
            added = column.inputs(cells, block)
            if state is not None and place.when is not None:
                says = drawn[state].eq(place.when).unsqueeze(1)
                block, added = block * says, added * says
            drawn.append(cells)
            rows[:, place.where] = block
            sums = sums + added
        return rows

    def forward(self, z: Tensor, onehot: Tensor) -> Tensor:
        """Draw an encoded row for each latent, with torch's global generator; see `sample`."""
        return self.sample(z, onehot)
