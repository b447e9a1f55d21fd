"""Figures: drawn in both themes, deterministic, without global state."""

import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from latentover.displays import CriticalDifferenceDisplay
from latentover.displays.theme import DARK, LIGHT
from latentover.report import figures
from latentover.stats import shaffer


def ranks(names=("RAE", "SMOTE", "None")):
    order = {name: 1.0 + i for i, name in enumerate(names)}
    scores = np.arange(15.0).reshape(5, 3)[:, ::-1]
    return figures.ranks_figure(order, shaffer(scores, list(names)))


class TestRanks:
    def test_two_readable_pictures(self):
        picture = ranks()
        for content in (picture.light, picture.dark):
            root = ElementTree.fromstring(content)
            assert float(root.get("width").removesuffix("pt")) > 300
        assert picture.alt.startswith("Critical-difference diagram. Mean ranks: RAE 1.00, SMOTE 2.00, None 3.00.")

    def test_same_bytes_again(self):
        first, second = ranks(), ranks()
        assert (first.light, first.dark) == (second.light, second.dark)
        assert b"<dc:date>" not in first.light

    def test_no_global_state(self):
        from matplotlib import _pylab_helpers, rcParams

        settings, figures_open = dict(rcParams), list(_pylab_helpers.Gcf.figs)
        ranks()
        assert dict(rcParams) == settings
        assert list(_pylab_helpers.Gcf.figs) == figures_open

    def test_colours_follow_the_theme(self):
        picture = ranks()
        assert LIGHT.ink in picture.light.decode()
        assert DARK.ink in picture.dark.decode()
        assert LIGHT.ink not in picture.dark.decode()

    def test_is_what_the_display_draws(self, monkeypatch):
        """One drawing: without the display there is none."""
        monkeypatch.setattr(CriticalDifferenceDisplay, "plot", lambda *_, **__: pytest.fail("drawn by the display"))
        with pytest.raises(pytest.fail.Exception, match="drawn by the display"):
            ranks()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", ["$x_", "_hidden", "<b>&\"'", "a" * 80, "$5 and $6"])
def test_any_name_can_be_drawn(name):
    """A dollar is no formula, and an underscore hides nothing."""
    ranks((name, "other", "none"))
