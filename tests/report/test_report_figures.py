"""Figures: drawn in both themes, deterministic, without global state."""

import io
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from PIL import Image

from latentover.report import figures
from latentover.report.theme import DARK, LIGHT
from latentover.stats import shaffer


def tsne(n_classes=10, **changes):
    labels = [f"class {i % n_classes}" for i in range(120)]
    rng = np.random.default_rng(0)
    points = {"x": rng.normal(size=120), "y": rng.normal(size=120), "labels": labels}
    return figures.tsne_figure(**points | {"kinds": ["real", "synthetic"] * 60, "title": "RAE"} | changes)


def ranks(names=("RAE", "SMOTE", "None")):
    order = {name: 1.0 + i for i, name in enumerate(names)}
    scores = np.arange(15.0).reshape(5, 3)[:, ::-1]
    return figures.ranks_figure(order, shaffer(scores, list(names)))


ALL = [tsne, ranks]


@pytest.mark.parametrize("draw", ALL)
class TestEveryFigure:
    def test_two_readable_pictures(self, draw):
        picture = draw()
        for content in (picture.light, picture.dark):
            if picture.mime == "image/svg+xml":
                root = ElementTree.fromstring(content)
                assert float(root.get("width").removesuffix("pt")) > 300
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
    tsne(labels=[name, "other"] * 60)
    ranks((name, "other", "none"))


class TestMap:
    @pytest.mark.parametrize("n_classes", [1, 12, 13, 60])
    def test_any_number_of_classes(self, n_classes):
        assert f"of {n_classes} classes" in tsne(n_classes).alt

    def test_errors(self):
        with pytest.raises(ValueError, match=r"Expected \*x\*, .* of one length above 0, but got \(2,\)"):
            tsne(x=[1, 2])
        with pytest.raises(ValueError, match=r"Expected \*kinds\* to be 'real' or 'synthetic', but got 'fake'"):
            tsne(kinds=["real", "fake"] * 60)
