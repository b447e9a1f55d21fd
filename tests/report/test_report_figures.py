"""Figures: drawn in both themes, deterministic, without global state."""

import io
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from PIL import Image

from latentover.report import figures
from latentover.report.theme import DARK, LIGHT

CLASSES = [str(i) for i in range(10)]
COUNTS = list(range(200, 100, -10))


def recall(**changes):
    return figures.recall_figure(
        **{"recalls": {"A": [0.5] * 10, "B": [0.9] * 9 + [None]}, "classes": CLASSES, "counts": COUNTS} | changes
    )


def curves(**changes):
    steps = list(range(1000))
    lines = {"critic": [(steps, np.exp(-np.arange(1000.0)))], "decoder_loss": [(steps, steps), ([3], [0.5])]}
    return figures.curves_figure(**{"curves": lines, "title": "RAE"} | changes)


def tsne(n_classes=10, **changes):
    labels = [f"class {i % n_classes}" for i in range(120)]
    rng = np.random.default_rng(0)
    points = {"x": rng.normal(size=120), "y": rng.normal(size=120), "labels": labels}
    return figures.tsne_figure(**points | {"kinds": ["real", "synthetic"] * 60, "title": "RAE"} | changes)


def confusion(n=4, **changes):
    matrix = np.eye(n) * 9 + 1
    return figures.confusion_figure(
        **{"confusion": matrix, "classes": [f"name {i}" for i in range(n)], "title": "RAE"} | changes
    )


def tracked(**changes):
    panels = {"Margin gap": {"ERM": ([1, 2, 3], [0.5, 1, 2])}, "Fit": {"DRW": ([1, 2], [1, 2]), "ERM": ([1], [3])}}
    return figures.tracked_figure(**{"panels": panels, "titles": ["DRW", "None", "ERM"]} | changes)


def gap(**changes):
    points = {"ERM": [(3.0, 0.7), (2.5, 0.72)], "DRW": [(-0.5, 0.8)]}
    return figures.gap_figure(**{"points": points, "titles": ["DRW", "ERM"]} | changes)


def class_accuracy(n_classes=10, **changes):
    rows = [[step * c / (3 * n_classes) for c in range(n_classes)] for step in range(4)]
    names = [f"class {c}" for c in range(n_classes)]
    settings = {"steps": [10, 20, 30, 40], "accuracies": rows, "classes": names, "counts": range(n_classes, 0, -1)}
    return figures.class_accuracy_figure(**settings | {"title": "ERM"} | changes)


ALL = [recall, curves, tsne, confusion, tracked, gap, class_accuracy]


@pytest.mark.parametrize("draw", ALL)
class TestEveryFigure:
    def test_two_readable_pictures(self, draw):
        picture = draw()
        for content in (picture.light, picture.dark):
            if picture.mime == "image/svg+xml":
                root = ElementTree.fromstring(content)
                assert float(root.get("width").removesuffix("pt")) == pytest.approx(4.2 * 72, rel=0.01)
            else:
                image = Image.open(io.BytesIO(content))
                assert image.width == 840
                assert image.getpixel((2, 2))[3] == 0, "transparent background"
        assert picture.light != picture.dark
        assert len(picture.alt) > 20

    def test_same_bytes_again(self, draw):
        first, second = draw(), draw()
        assert (first.light, first.dark) == (second.light, second.dark)
        assert b"<dc:date>" not in first.light

    def test_no_global_state(self, draw):
        from matplotlib import _pylab_helpers, rcParams

        settings, figures_open = dict(rcParams), list(_pylab_helpers.Gcf.figs)
        draw()
        assert dict(rcParams) == settings
        assert list(_pylab_helpers.Gcf.figs) == figures_open

    def test_colours_follow_the_theme(self, draw):
        picture = draw()
        if picture.mime == "image/svg+xml":
            assert LIGHT.ink in picture.light.decode()
            assert DARK.ink in picture.dark.decode()
            assert LIGHT.ink not in picture.dark.decode()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", ["$x_", "_hidden", "<b>&\"'", "a" * 80, "$5 and $6"])
def test_any_name_can_be_drawn(name):
    """A dollar is no formula, and an underscore hides nothing."""
    plain = recall(recalls={"x": [1.0]}, classes=["a"], counts=[3])
    drawn = recall(recalls={name: [1.0]}, classes=[name], counts=[3])
    assert len(drawn.light) > len(plain.light)
    confusion(n=2, classes=[name, "other"])
    tsne(labels=[name, "other"] * 60)


class TestRecall:
    def test_many_classes_are_grouped(self, monkeypatch):
        n = 100
        labels, table = figures._rows_of_classes(
            {"A": list(np.linspace(1, 0, n))}, [f"c{i}" for i in range(n)], list(range(n, 0, -1))
        )
        assert len(labels) == table.shape[1] == 12
        assert labels[0] == ("Classes 1 to 9", "n = 100 to 92")
        assert table[0, 0] == pytest.approx(np.linspace(1, 0, n)[:9].mean())

    def test_order_is_by_falling_count(self):
        labels, table = figures._rows_of_classes({"A": [0.1, None, 0.3]}, ["x", "y", "z"], [5, 50, 20])
        assert labels == [("y", "n = 50"), ("z", "n = 20"), ("x", "n = 5")]
        np.testing.assert_array_equal(table, [[np.nan, 0.3, 0.1]])

    def test_errors(self):
        with pytest.raises(ValueError, match=r"Expected \*recalls\* to be one method or more"):
            recall(recalls={})
        with pytest.raises(ValueError, match=r"Expected \*recalls\['A'\]\*, .* of one length, but got 2, 10 and 10"):
            recall(recalls={"A": [0.1, 0.2]})


class TestCurves:
    def test_long_curves_are_thinned_by_averages(self):
        x, y = figures._thin(range(12_000), np.tile([0.0, 1.0], 6000))
        assert len(x) == figures.MAX_POINTS
        np.testing.assert_allclose(y, 0.5)
        np.testing.assert_allclose(np.diff(x), 40)

    def test_scale(self):
        assert figures._spans_magnitudes([([0, 1], [1, 100])])
        assert not figures._spans_magnitudes([([0, 1], [1, 10])])
        assert not figures._spans_magnitudes([([0, 1], [-1, 100])])

    def test_error(self):
        with pytest.raises(ValueError, match=r"Expected \*curves\* to be one loss or more"):
            curves(curves={})


class TestMap:
    @pytest.mark.parametrize("n_classes", [1, 12, 13, 60])
    def test_any_number_of_classes(self, n_classes):
        assert f"of {n_classes} classes" in tsne(n_classes).alt

    def test_classes_in_order_of_value(self):
        assert sorted(["10", "9", "b", "a"], key=figures._natural) == ["9", "10", "a", "b"]

    def test_errors(self):
        with pytest.raises(ValueError, match=r"Expected \*x\*, .* of one length above 0, but got \(2,\)"):
            tsne(x=[1, 2])
        with pytest.raises(ValueError, match=r"Expected \*kinds\* to be 'real' or 'synthetic', but got 'fake'"):
            tsne(kinds=["real", "fake"] * 60)


class TestConfusion:
    def test_more_classes_draw_no_numbers(self):
        assert len(confusion(12).light) > len(confusion(13).light)

    def test_class_without_samples(self):
        confusion(confusion=np.diag([3, 0, 0, 1]))

    def test_error(self):
        with pytest.raises(ValueError, match=r"Expected \*confusion\* to be of shape \(4, 4\), but got \(3, 4\)"):
            confusion(confusion=np.ones((3, 4)))


def test_what_was_tracked_names_its_methods_and_its_end():
    assert tracked().alt == "What was tracked during training under DRW, ERM: margin gap, fit."
    assert gap(points={"ERM": [(3.0, 0.7)]}) is None
    assert class_accuracy().alt.startswith("Accuracy of each class during the training of ERM, at its end class 0 0%,")
    assert class_accuracy(30).alt.count("Classes ") == 12
    with pytest.raises(ValueError, match=r"Expected \*panels\* to be one score or more"):
        tracked(panels={})
    with pytest.raises(ValueError, match=r"Expected \*accuracies\* to hold one row of 10 values for each of 4 reports"):
        class_accuracy(accuracies=[[0.5] * 9] * 4)
