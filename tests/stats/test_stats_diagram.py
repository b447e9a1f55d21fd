"""The critical-difference diagram: its groups, and that everything is on it."""

import io

import numpy as np
import pytest

from latentover.stats import PairwiseTest, critical_difference_diagram, equal_groups, mean_ranks, shaffer

NAMES = ["RAE", "SMOTE", "none", "class weights", "GAMO"]


def made_up(adjusted):
    return [PairwiseTest(a, b, 0.0, 0.0, p) for (a, b), p in adjusted.items()]


def compared(seed=0, n=25):
    table = np.random.default_rng(seed).normal([1.5, 1.4, 0.0, 0.6, 0.5], size=(n, 5))
    return dict(zip(NAMES, mean_ranks(table).tolist(), strict=True)), shaffer(table, NAMES)


class TestGroups:
    def test_overlapping(self):
        pairs = made_up(
            {("a", "b"): 0.5, ("b", "c"): 0.3, ("a", "c"): 0.01, ("c", "d"): 1, ("b", "d"): 0, ("a", "d"): 0}
        )
        assert equal_groups({"c": 3, "a": 1, "d": 4, "b": 2}, pairs) == [("a", "b"), ("b", "c"), ("c", "d")]

    def test_none_and_all(self):
        ranks, names = {"a": 1, "b": 2, "c": 3}, [("a", "b"), ("b", "c"), ("a", "c")]
        assert equal_groups(ranks, made_up(dict.fromkeys(names, 0.01))) == []
        assert equal_groups(ranks, made_up(dict.fromkeys(names, 0.05))) == [("a", "b", "c")]

    def test_no_group_holds_a_pair_that_differs_and_no_equal_pair_is_left_out(self):
        for seed in range(10):
            ranks, pairs = compared(seed)
            groups = [set(group) for group in equal_groups(ranks, pairs)]
            for pair in pairs:
                together = any({pair.first, pair.second} <= group for group in groups)
                assert together == (pair.adjusted >= 0.05)

    def test_a_missing_pair(self):
        with pytest.raises(ValueError, match="a test of every two methods"):
            equal_groups({"a": 1, "b": 2}, [])


class TestDiagram:
    def test_every_method_its_rank_and_every_group_are_drawn(self):
        ranks, pairs = compared()
        figure = critical_difference_diagram(ranks, pairs, accent="#ff0000")
        (ax,) = figure.axes
        texts = [text.get_text() for text in ax.texts]
        for name, rank in ranks.items():
            assert any(name in text and f"{rank:.2f}" in text for text in texts)
        bars = [line for line in ax.lines if line.get_color() == "#ff0000"]
        assert len(bars) == len(equal_groups(ranks, pairs)) > 0

    @pytest.mark.parametrize("name", ["RAE", "Class-balanced batches, residual network, 200 epochs"])
    def test_texts_do_not_overlap_or_leave_the_picture(self, name):
        ranks, pairs = compared()
        ranks = {name if one == "RAE" else one: rank for one, rank in ranks.items()}
        pairs = [
            pair._replace(**{side: name for side in ("first", "second") if pair._asdict()[side] == "RAE"})
            for pair in pairs
        ]
        figure = critical_difference_diagram(ranks, pairs)
        figure.canvas.draw()
        boxes = [text.get_window_extent() for text in figure.axes[0].texts]
        width, height = figure.get_size_inches() * figure.dpi
        for i, box in enumerate(boxes):
            assert box.x0 >= 0
            assert box.y0 >= 0
            assert box.x1 <= width
            assert box.y1 <= height
            assert not any(box.overlaps(other) for other in boxes[:i])

    def test_is_written(self):
        buffer = io.BytesIO()
        critical_difference_diagram(*compared()).savefig(buffer, format="svg")
        assert b"<svg" in buffer.getvalue()

    def test_one_method(self):
        with pytest.raises(ValueError, match=r"two methods to compare, but got \['a'\]"):
            critical_difference_diagram({"a": 1.0}, [])
