"""The decoder that says how likely rows are: against a second writing, against what it draws, and as it learns."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from latentover.networks import AutoregressiveDecoder
from latentover.networks.autoregressive import CELLS, FREE_CELLS, FREQUENCIES, ScoreHead, cell_edges
from latentover.tables.columns import Part
from latentover.tables.levels import level_rows

THIRDS = ((0.0, 0.2), (0.2, 0.5), (0.5, 1.0))
"""Ties that leave nothing between them: a number of three values."""
NUMBER = Part("number", 1, 1)
MASS = (Part("levels", 2, 2), Part("number", 1, 1, when=1, ties=((0.0, 0.4), (0.4, 1.0))))
"""A number with a point mass, level 0 of its state, and two values besides."""


def levels(n):
    return Part("levels", min(n, 128), n)


def tied(*ties):
    return Part("number", 1, 1, ties=ties)


TABLES = {
    "numbers": [NUMBER, tied((0.3, 0.55)), tied(*THIRDS)],
    "levels": [levels(2), levels(5), levels(200)],
    "mixed": [NUMBER, levels(3), *MASS, tied(*THIRDS), levels(2)],
    "one column": [NUMBER],
    "a state behind other columns": [levels(3), NUMBER, levels(4), Part("number", 1, 1, when=2)],
}
WHERE = [(1, 4), (4, 6), (8, 10), (0, 1), (6, 7), (7, 8)]
"""Where the columns of the mixed one are, in the order in which they are drawn."""
EACH = pytest.mark.parametrize("parts", TABLES.values(), ids=TABLES)


def make(parts, *, latent_dim=3, n_classes=2, seed=0, **settings):
    """Return a decoder whose weights are drawn, so that nothing is zero, in evaluation mode."""
    decoder = AutoregressiveDecoder(parts, latent_dim, n_classes, hidden_units=8, **settings)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.normal_(0, 0.5, generator=generator)
    return decoder.eval()


def rows_of(parts, n, seed=0, *, unknown=0.0):
    """Return encoded rows (n, d) of any values; a share of the levels is unknown."""
    rng, blocks = np.random.default_rng(seed), []
    for part in parts:
        if part.kind == "number":
            blocks.append(rng.normal(size=(n, 1)))
        else:
            found = level_rows(part.n)[rng.integers(part.n, size=n)]
            blocks.append(found * (rng.random((n, 1)) >= unknown))
    return torch.tensor(np.column_stack(blocks), dtype=torch.float32)


def conditions(n, seed=0):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(2, (n,), generator=generator)
    return torch.randn(n, 3, generator=generator), torch.eye(2)[labels]


# ---- A second writing ------------------------------------------------------------------------------------------------


def naive_edges(part):
    """Return edges of the cells as a list: whole ties, and between them as few even cells as are at most 1/128 wide."""
    edges = [0.0]
    for low, high in [*part.ties, (1.0, None)]:
        n = math.ceil(round((low - edges[-1]) * CELLS, 6))
        start = edges[-1]
        edges.extend(start + (low - start) * k / n for k in range(1, n + 1))
        if high is not None:
            edges.append(high)
    return edges


def naive_log_prob(decoder, parts, row, z, onehot):
    """Column by column, cell by cell, for one row, in Python numbers."""
    weights = {name: value.detach().double().numpy() for name, value in decoder.named_parameters()}
    starts = np.cumsum([0, *[part.width for part in parts]])
    order = [i for i, part in enumerate(parts) if part.kind == "levels"]
    order += [i for i, part in enumerate(parts) if part.kind == "number"]
    context = weights["context.weight"] @ np.concatenate([z, onehot]) + weights["context.bias"]
    before, level_of, total = [], {}, 0.0

    def silu(x):
        return x / (1 + np.exp(-x))

    for place, i in enumerate(order):
        part, block = parts[i], row[starts[i] : starts[i + 1]]
        x = silu(sum(before, np.zeros(8)) / math.sqrt(max(place, 1)) + context + weights["start"][place, 0])
        x = silu(x @ weights["weight"][place] + weights["bias"][place, 0])
        own = {name: weights.get(f"columns.{place}.{name}") for name in ("embedding.weight", "embedding.bias")}
        head = "logits" if part.kind == "levels" else "coefficients"
        found = weights[f"columns.{place}.{head}.weight"] @ x + weights[f"columns.{place}.{head}.bias"]
        if part.kind == "levels":
            known = any(value != 0 for value in block)
            cell = max(range(part.n), key=lambda k: float(np.dot(level_rows(part.n)[k], block)))
            level_of[i] = cell if known else None
            logits, adds = list(found), own["embedding.weight"][cell]
        else:
            known = part.when is None or level_of[i - 1] == part.when
            edges, rank = naive_edges(part), stats.norm.cdf(float(block[0]))
            cell = max(k for k in range(len(edges) - 1) if edges[k] <= rank)
            logits = []
            for k in range(len(edges) - 1):
                middle = (edges[k] + edges[k + 1]) / 2
                raised = (
                    [found[m] * math.cos(math.pi * (m + 1) * middle) / (m + 1) for m in range(FREQUENCIES)]
                    if (len(edges) - 1 > FREE_CELLS)
                    else [found[k]]
                )
                logits.append(math.log(edges[k + 1] - edges[k]) + sum(raised))
            if len(edges) - 1 > FREE_CELLS:
                waves = np.array([math.sqrt(2) * math.cos(math.pi * (m + 1) * rank) for m in range(FREQUENCIES)])
                adds = own["embedding.weight"] @ waves + own["embedding.bias"]
            else:
                adds = own["embedding.weight"][cell]
        if known:
            total += logits[cell] - math.log(sum(math.exp(logit) for logit in logits))
            before.append(adds)
    return total


@EACH
@pytest.mark.parametrize("unknown", [0.0, 0.5], ids=["all known", "unknown levels"])
def test_log_prob_is_that_of_a_second_writing(parts, unknown):
    decoder, x, (z, onehot) = make(parts), rows_of(parts, 20, unknown=unknown), conditions(20)
    found = decoder.log_prob(x, z, onehot)
    expected = [
        naive_log_prob(decoder, parts, *(each.double().numpy() for each in row))
        for row in zip(x, z, onehot, strict=True)
    ]
    np.testing.assert_allclose(found.detach(), expected, rtol=1e-4, atol=1e-4)
    assert (found <= 0).all()


# ---- Cells -----------------------------------------------------------------------------------------------------------


class TestCells:
    @pytest.mark.parametrize(
        "ties",
        [
            (),
            ((0.3, 0.55),),
            ((0.0, 0.001), (0.5, 0.75)),
            ((0.1, 0.2), (0.2, 0.3), (0.9, 1.0)),
            THIRDS,
            ((0.0, 1.0),),
            tuple((i / 300, (i + 1) / 300) for i in range(300)),
        ],
        ids=str,
    )
    def test_ties_are_whole_and_what_is_between_them_is_even(self, ties):
        edges = cell_edges(ties).double().numpy()
        assert edges[0] == 0
        assert edges[-1] == 1
        assert (np.diff(edges) > 0).all()
        np.testing.assert_allclose(edges, naive_edges(tied(*ties)), atol=1e-6)
        for low, high in ties:
            assert np.abs(edges - low).min() < 1e-6
            assert np.abs(edges - high).min() < 1e-6
            assert not ((edges > low + 1e-6) & (edges < high - 1e-6)).any()
        inside = {round(float(low), 5) for low, _ in ties}
        widths = [b - a for a, b in pairwise(edges) if round(float(a), 5) not in inside]
        assert all(width < 1 / CELLS + 1e-6 for width in widths)

    def test_without_ties_they_are_of_one_width(self):
        np.testing.assert_allclose(cell_edges([]), np.linspace(0, 1, CELLS + 1))

    def test_every_score_has_one(self):
        score = ScoreHead([(0.3, 0.55)], 4)
        cells, known = score.cells(torch.tensor([[-40.0], [-8.0], [0.0], [8.0], [40.0]]))
        n = len(score.edges) - 1
        assert cells.tolist() == [0, 0, 39, n - 1, n - 1]  # the tie is behind 39 even ones
        assert known.all()

    @pytest.mark.parametrize("u", [0.0, 0.3, 0.999])
    def test_values_lie_in_their_cells(self, u):
        score = ScoreHead([(0.3, 0.55), (0.55, 0.6)], 4)
        cells = torch.arange(len(score.edges) - 1)
        drawn = score.values(cells, torch.full_like(cells, u, dtype=torch.float32))
        assert drawn.isfinite().all()
        ranks = torch.special.ndtr(drawn[:, 0])
        low, high = score.edges[:-1], score.edges[1:]
        torch.testing.assert_close(ranks, low + u * (high - low), atol=2e-6, rtol=0)


# ---- Probabilities ---------------------------------------------------------------------------------------------------


def every_row(decoder, parts):
    """Return a row for each combination of levels and cells; a number that says nothing has one."""
    rows = [[]]
    for i, part in enumerate(parts):
        if part.kind == "levels":
            rows = [[*row, *level_rows(part.n)[k]] for row in rows for k in range(part.n)]
        else:
            edges = naive_edges(part)
            scores = [stats.norm.ppf((a + b) / 2) for a, b in pairwise(edges)]
            width = parts[i - 1].width
            rows = [
                [*row, score]
                for row in rows
                for score in (scores if part.when is None or row[-width:][part.when] == 1 else [0.0])
            ]
    return torch.tensor(np.array(rows), dtype=torch.float32)


class TestProbabilities:
    @pytest.mark.parametrize(
        ("parts", "n"),
        [
            ([levels(3), tied(*THIRDS), levels(2)], 18),
            ([tied(*THIRDS), *MASS], 9),
            ([*MASS, NUMBER], 3 * CELLS),
            ([levels(130), tied(*THIRDS)], 390),
        ],
        ids=str,
    )
    def test_sum_to_one_over_all_rows(self, parts, n):
        decoder = make(parts)
        x = every_row(decoder, parts)
        assert len(x) == n
        for z, onehot in zip(*conditions(3), strict=True):
            logs = decoder.log_prob(x, z.expand(n, -1), onehot.expand(n, -1))
            assert logs.double().exp().sum().item() == pytest.approx(1, abs=1e-4)

    @pytest.mark.parametrize("parts", [[levels(3), tied(*THIRDS), *MASS], [*MASS, levels(2)]], ids=str)
    def test_rows_are_drawn_with_them(self, parts):
        n, decoder = 20_000, make(parts)
        x, (z, onehot) = every_row(decoder, parts), conditions(1)
        expected = decoder.log_prob(x, z.expand(len(x), -1), onehot.expand(len(x), -1)).double().exp().detach().numpy()
        drawn = decoder.sample(z.expand(n, -1), onehot.expand(n, -1), torch.Generator().manual_seed(0))
        number = {tuple(self.cells(decoder, row)): i for i, row in enumerate(x.split(1))}
        counts = np.bincount([number[tuple(self.cells(decoder, row))] for row in drawn.split(1)], minlength=len(x))
        assert expected.min() > 5 / n
        assert stats.chisquare(counts, n * expected / expected.sum()).pvalue > 1e-3

    def cells(self, decoder, row):
        """Return the cells of a row, -1 for a number that says nothing."""
        found = [int(column.cells(row[:, place.where])[0]) for column, place in self.columns(decoder)]
        for i, (_, place) in enumerate(self.columns(decoder)):
            if decoder.states[i] is not None and found[decoder.states[i]] != place.when:
                found[i] = -1
        return found

    @staticmethod
    def columns(decoder):
        return list(zip(decoder.columns, decoder.places, strict=True))

    @pytest.mark.parametrize("parts", [[NUMBER], [tied((0.3, 0.55))]], ids=["even cells", "a tie"])
    def test_numbers_are_spread_evenly_over_their_cells(self, parts):
        decoder, (z, onehot) = make(parts), conditions(1)
        n, x = 20_000, every_row(decoder, parts)
        shares = decoder.log_prob(x, z.expand(len(x), -1), onehot.expand(len(x), -1)).exp().detach().numpy()
        drawn = decoder.sample(z.expand(n, -1), onehot.expand(n, -1), torch.Generator().manual_seed(0))
        ends = np.concatenate([[0], shares.cumsum()])
        ranks = stats.norm.cdf(drawn[:, 0].numpy())
        assert stats.kstest(ranks, lambda u: np.interp(u, naive_edges(parts[0]), ends)).pvalue > 1e-3
        assert stats.kstest(ranks, "uniform").pvalue < 1e-6  # which it is not by itself


class TestDrawing:
    def test_takes_the_generator_that_it_is_given(self):
        decoder, (z, onehot) = make(TABLES["mixed"]), conditions(50)
        one, again, other = (decoder.sample(z, onehot, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
        assert torch.equal(one, again)
        assert not torch.equal(one, other)
        torch.manual_seed(3)
        one = decoder(z, onehot)
        torch.manual_seed(3)
        assert torch.equal(one, decoder(z, onehot))

    def test_rows_are_encoded_as_those_of_the_data(self):
        """One level each, and nothing where a number says nothing."""
        parts = TABLES["mixed"]
        decoder, (z, onehot) = make(parts), conditions(300)
        x = decoder.sample(z, onehot, torch.Generator().manual_seed(0))
        assert x.shape == (300, 10)
        for where in (slice(1, 4), slice(4, 6), slice(8, 10)):
            assert torch.equal(x[:, where].sort(dim=1).values[:, -1], torch.ones(300))
            assert torch.equal(x[:, where].sum(dim=1), torch.ones(300))
        says = x[:, 5] == 1
        assert 0 < says.sum() < 300
        assert torch.equal(x[:, 6] != 0, says)

    def test_alike_rows_differ_by_their_latents_alone(self):
        decoder, (z, onehot) = make(TABLES["mixed"]), conditions(1)
        both = z.expand(40, -1), onehot.expand(40, -1)
        rows = decoder.sample(*both, torch.Generator().manual_seed(0), alike=True)
        assert torch.equal(rows, rows[:1].expand(40, -1))
        assert torch.equal(rows[:1], decoder.sample(z, onehot, torch.Generator().manual_seed(0)))
        assert len(decoder.sample(*both, torch.Generator().manual_seed(0)).unique(dim=0)) > 30

    def test_of_no_row(self):
        decoder, (z, onehot) = make(TABLES["mixed"]), conditions(0)
        assert decoder.sample(z, onehot).shape == (0, 10)
        assert decoder.log_prob(torch.zeros(0, 10), z, onehot).shape == (0,)


# ---- What depends on what --------------------------------------------------------------------------------------------


class TestOrder:
    @EACH
    def test_a_column_depends_on_those_before_it_alone(self, parts):
        """The gradient of its own last layer is that of its own term, which later columns leave as it is."""
        decoder, n = make(parts), 12
        x, other, (z, onehot) = rows_of(parts, n), rows_of(parts, n, seed=1), conditions(n)

        def gradients(x):
            heads = [
                column.logits.weight if hasattr(column, "rows") else column.coefficients.weight
                for column in decoder.columns
            ]
            return torch.autograd.grad(decoder.log_prob(x, z, onehot).sum(), heads)

        before = gradients(x)
        for i, place in enumerate(decoder.places):
            changed = x.clone()
            changed[:, place.where] = other[:, place.where]
            for j, (one, new) in enumerate(zip(before, gradients(changed), strict=True)):
                if j < i:
                    assert torch.equal(one, new)
                else:
                    assert not torch.equal(one, new)

    def test_levels_come_first_and_otherwise_columns_as_they_are(self):
        """Of number, three levels, a state with its number, number, two levels."""
        decoder = make(TABLES["mixed"])
        assert [place.where for place in decoder.places] == [slice(*each) for each in WHERE]
        assert decoder.states == [None, None, None, None, 1, None]


class TestStates:
    PARTS = (NUMBER, *MASS, NUMBER)

    def change(self, state):
        """Return by how much the log probability changes with the number of a state."""
        decoder, x, (z, onehot) = make(self.PARTS), rows_of(self.PARTS, 30), conditions(30)
        x[:, 1:3] = torch.tensor(state)
        x[:, 3] = -1.0
        before = decoder.log_prob(x, z, onehot)
        x[:, 3] = 1.0
        return (decoder.log_prob(x, z, onehot) - before).abs()

    def test_a_number_counts_where_its_state_says_so(self):
        assert self.change([0.0, 1.0]).min() > 1e-3

    def test_the_number_of_a_point_mass_has_no_part(self):
        """Neither in its own likelihood nor in that of later columns."""
        assert self.change([1.0, 0.0]).max() == 0

    def test_nor_has_the_number_of_an_unknown_state(self):
        assert self.change([0.0, 0.0]).max() == 0

    def test_unknown_levels_do_not_count(self):
        for n in (3, 200):
            decoder, (z, onehot) = make([levels(n)]), conditions(4)
            assert torch.equal(decoder.log_prob(torch.zeros(4, min(n, 128)), z, onehot), torch.zeros(4))

    def test_nor_do_later_columns_look_at_them(self):
        """What a column is told of an unknown level is what it is told at the start, nothing."""
        parts = [levels(3), levels(2)]
        decoder, (z, onehot) = make(parts), conditions(6)
        x = rows_of(parts, 6)
        x[:, :3] = 0
        before = decoder.log_prob(x, z, onehot)
        nn.init.normal_(decoder.columns[0].embedding.weight)
        assert torch.equal(decoder.log_prob(x, z, onehot), before)


# ---- Learning --------------------------------------------------------------------------------------------------------


def learned(parts, x, n_steps=500):
    """Return rows that a decoder draws which has learned the rows x of one class, all from one latent."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        decoder = AutoregressiveDecoder(parts, 2, 1, dropout=0.0)
        optimizer = torch.optim.AdamW(decoder.parameters(), 3e-3)
        z, onehot = torch.zeros(len(x), 2), torch.ones(len(x), 1)
        for _ in range(n_steps):
            rows = torch.randint(len(x), (256,))
            loss = -decoder.log_prob(x[rows], z[rows], onehot[rows]).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return decoder.eval().sample(torch.zeros(4000, 2), torch.ones(4000, 1)).numpy()


class TestLearns:
    """What a decoder that returns a mean for each latent, or for the columns before, cannot."""

    def test_two_humps(self):
        """The second number is the first one or its mirror image: its mean is 0 whatever the first one is."""
        rng = np.random.default_rng(0)
        first = rng.normal(size=3000)
        second = np.where(rng.random(3000) < 0.5, first, -first)
        x = torch.tensor(np.column_stack([first, second]), dtype=torch.float32)
        ranks = stats.norm.cdf(learned([NUMBER, NUMBER], x))
        ranks = ranks[np.abs(ranks[:, 0] - 0.5) > 0.25]
        middle = np.abs(ranks[:, 1] - 0.5) < 0.1  # none of the data; all of a mean, a fifth without dependence
        same = (ranks[:, 0] > 0.5) == (ranks[:, 1] > 0.5)
        assert middle.mean() < 0.1
        assert 0.4 < same.mean() < 0.6

    def test_a_value_that_many_rows_have(self):
        """Nine rows in ten of one level, three in ten of the other."""
        rng = np.random.default_rng(0)
        level = rng.integers(2, size=3000)
        tie = rng.random(3000) < np.where(level == 0, 0.9, 0.3)
        share = tie.mean()
        rank = np.where(tie, share / 2, share + (1 - share) * rng.random(3000))
        x = torch.tensor(np.column_stack([np.eye(2)[level], stats.norm.ppf(rank)]), dtype=torch.float32)
        new = learned([levels(2), tied((0.0, share))], x)
        tie = stats.norm.cdf(new[:, 2]) < share
        for value, expected in ((0, 0.9), (1, 0.3)):
            assert tie[new[:, value] == 1].mean() == pytest.approx(expected, abs=0.06)
        assert new[:, 0].mean() == pytest.approx((level == 0).mean(), abs=0.06)

    def test_a_pair_that_hangs_together(self):
        """With its noise: what a mean would leave out."""
        rng = np.random.default_rng(0)
        first = rng.normal(size=3000)
        second = 0.9 * first + math.sqrt(1 - 0.9**2) * rng.normal(size=3000)
        x = torch.tensor(np.column_stack([first, second]), dtype=torch.float32)
        new = learned([NUMBER, NUMBER], x)
        assert np.corrcoef(new.T)[0, 1] == pytest.approx(0.9, abs=0.05)
        assert (new[:, 1] - 0.9 * new[:, 0]).std() == pytest.approx(math.sqrt(1 - 0.9**2), abs=0.1)
        np.testing.assert_allclose(new.std(axis=0), 1, atol=0.1)


# ---- As a module -----------------------------------------------------------------------------------------------------


class TestModule:
    def test_a_new_one_knows_nothing_of_what_hangs_together(self):
        """Levels are as likely as each other, and numbers as their ranks are."""
        decoder = AutoregressiveDecoder([levels(4), tied(*THIRDS)], 3, 2).eval()
        x, (z, onehot) = every_row(decoder, [levels(4), tied(*THIRDS)]), conditions(12)
        expected = torch.tensor([0.2, 0.3, 0.5]).repeat(4) / 4
        torch.testing.assert_close(decoder.log_prob(x, z, onehot).exp(), expected)

    @EACH
    def test_weights_go_from_one_to_the_other(self, parts):
        one, other, (z, onehot) = make(parts), make(parts, seed=1), conditions(10)
        x = rows_of(parts, 10)
        assert not torch.equal(one.log_prob(x, z, onehot), other.log_prob(x, z, onehot))
        other.load_state_dict(one.state_dict())
        assert torch.equal(one.log_prob(x, z, onehot), other.log_prob(x, z, onehot))
        samples = [each.sample(z, onehot, torch.Generator().manual_seed(0)) for each in (one, other)]
        assert torch.equal(*samples)

    @EACH
    def test_shapes_are_known_without_memory(self, parts):
        with torch.device("meta"):
            shapes = make(parts).state_dict()
        real = make(parts).state_dict()
        assert {name: (value.shape, value.dtype) for name, value in shapes.items()} == {
            name: (value.shape, value.dtype) for name, value in real.items()
        }
        assert all(value.is_meta for value in shapes.values())

    def test_dropout_is_of_training_alone(self):
        decoder, (z, onehot) = make([NUMBER, NUMBER], dropout=0.5), conditions(10)
        x = rows_of([NUMBER, NUMBER], 10)
        assert torch.equal(decoder.log_prob(x, z, onehot), decoder.log_prob(x, z, onehot))
        decoder.train()
        assert not torch.equal(decoder.log_prob(x, z, onehot), decoder.log_prob(x, z, onehot))
