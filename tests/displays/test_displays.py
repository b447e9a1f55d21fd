"""What every display has in common: where it draws, what it hands back, and that it can be read."""

import json

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure
from sklearn.datasets import make_classification
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier

import latentover
from latentover import RAEClassifier, SmoothedBootstrapSampler, displays
from latentover.displays import (
    ColumnQualityDisplay,
    CriticalDifferenceDisplay,
    HistoryDisplay,
    LatentMapDisplay,
    RecallByClassDisplay,
    ReliabilityDisplay,
    SampleGridDisplay,
)
from latentover.displays.theme import DARK, LIGHT
from latentover.metrics import ReliabilityBins

SCORES = {f"set {i}": {"RAE": 0.9 + 0.001 * i, "SMOTE": 0.8, "none": 0.7 - 0.001 * i} for i in range(8)}


def recall():
    return RecallByClassDisplay(
        recalls={"RAE": [0.9, 0.8, 0.7], "none": [0.95, 0.7, 0.2]}, classes=["a", "b", "c"], counts=[90, 40, 3]
    )


def reliability():
    bins = ReliabilityBins(np.array([0, 3, 9]), np.array([0.0, 0.6, 0.9]), np.array([0.0, 0.5, 1.0]))
    return ReliabilityDisplay(bins={"RAE": bins, "none": bins})


def samples():
    images = np.random.default_rng(0).random((3, 4, 3, 6, 5))
    return SampleGridDisplay(panels={"Real": images, "Synthetic": images[:, :2]}, row_labels=["a", "b", "c"])


def latents():
    x, y = np.random.default_rng(0).normal(size=(2, 40))
    return LatentMapDisplay(x=x, y=y, labels=["ab"[i % 2] for i in range(40)], kinds=["real", "synthetic"] * 20)


def history():
    curve = (np.arange(1, 9), np.geomspace(1, 0.001, 8))
    return HistoryDisplay(curves={"critic": {"RAE": [curve, curve], "other": [curve]}, "decoder": {"RAE": [curve]}})


def ranks():
    return CriticalDifferenceDisplay.from_scores(SCORES)


def columns():
    rng = np.random.default_rng(0)
    return ColumnQualityDisplay.from_rows(rng.normal(size=(80, 4)), rng.normal(size=(60, 4)))


EVERY = [recall, reliability, samples, latents, history, ranks, columns]
MANY = [history, columns]


def test_each_display_is_here_and_at_the_top():
    assert {type(make()).__name__ for make in EVERY} == {*displays.__all__}
    assert all(getattr(latentover, name) is getattr(displays, name) for name in displays.__all__)


@pytest.mark.parametrize("make", EVERY)
class TestEveryDisplay:
    def test_draws_on_a_figure_of_its_own_and_returns_itself(self, make):
        display = make()
        assert display.plot() is display
        assert display.figure_.number in plt.get_fignums()
        assert all(ax.figure is display.figure_ for ax in np.ravel(display.ax_))

    def test_draws_where_it_is_told_to_without_pyplot(self, make):
        display, figure = make(), Figure(figsize=(9, 6))
        plt.close("all")
        ax = figure.subplots(1, 2)[1]
        display.plot(ax)
        assert plt.get_fignums() == []
        assert display.figure_ is figure
        if make not in MANY:
            assert display.ax_ is ax

    def test_again_elsewhere(self, make):
        display = make()
        first = display.plot().figure_
        assert display.plot().figure_ is not first

    def test_themes(self, make):
        display = make()
        for name, theme in (("light", LIGHT), ("dark", DARK)):
            display.plot(theme=name)
            ax = np.ravel(display.ax_)[0]
            words = [*ax.texts, *ax.get_xticklabels(), *ax.get_yticklabels(), *_legend_texts(display.figure_)]
            inks = {_hex(word.get_color()) for word in words}
            assert theme.ink in inks
            assert {"light": "#ffffff"}.get(name, DARK.paper) == _hex(display.figure_.get_facecolor())
        with pytest.raises(ValueError, match="Expected theme to be one of 'light', 'dark', but got 'grey'; name one"):
            display.plot(theme="grey")

    def test_words_do_not_overlap_or_leave_the_picture(self, make):
        figure = make().plot().figure_
        figure.canvas.draw()
        width, height = figure.get_size_inches() * figure.dpi
        boxes = [box for ax in figure.axes for box in _words(ax)]
        boxes += [text.get_window_extent() for text in _legend_texts(figure)]
        assert len(boxes) > 3
        for i, box in enumerate(boxes):
            assert box.x0 > -2
            assert box.y0 > -2
            assert box.x1 < width + 2
            assert box.y1 < height + 2
            assert not any(_meet(box, other) for other in boxes[:i])

    def test_ax_that_is_none(self, make):
        with pytest.raises(ValueError, match=r"Expected ax to be .* but got str"):
            make().plot("here")

    @pytest.mark.filterwarnings("error")
    def test_can_be_written(self, make, tmp_path):
        for ending in ("png", "svg", "pdf"):
            make().plot().figure_.savefig(tmp_path / f"picture.{ending}")
            assert (tmp_path / f"picture.{ending}").stat().st_size > 1000


def _hex(colour):
    from matplotlib.colors import to_hex

    return to_hex(colour)


def _legend_texts(figure):
    legends = [*figure.legends, *(legend for ax in figure.axes if (legend := ax.get_legend()))]
    return [text for legend in legends for text in legend.get_texts()]


def _words(ax):
    """Return where words stand that are seen: labels of ticks outside of the axis are not."""
    words = [*ax.texts, ax.title, ax.xaxis.label, ax.yaxis.label] if ax.axison else [*ax.texts]
    for axis, (low, high) in ((ax.xaxis, ax.get_xlim()), (ax.yaxis, ax.get_ylim())):
        ticks = axis.get_major_ticks() if ax.axison else []
        words += [tick.label1 for tick in ticks if min(low, high) <= tick.get_loc() <= max(low, high)]
    return [word.get_window_extent() for word in words if word.get_text() and word.get_visible()]


def _meet(first, second):
    return (
        min(first.x1, second.x1) - max(first.x0, second.x0) > 2
        and min(first.y1, second.y1) - max(first.y0, second.y0) > 2
    )


@pytest.mark.parametrize("make", MANY)
def test_small_drawings_take_axes_one_each(make):
    display, figure = make(), Figure()
    axes = figure.subplots(2, 2)
    display.plot(axes)
    assert list(display.ax_) == list(axes.ravel()[: len(display.ax_)])
    with pytest.raises(ValueError, match=r"Expected ax to be at least \d axes, one a drawing, but got 1; pass more"):
        display.plot([axes[0, 0]])
    with pytest.raises(ValueError, match="Expected ax to be axes of a grid, made by ``subplots``"):
        display.plot(Figure().add_axes((0, 0, 1, 1)))


class TestRefusals:
    X, y = make_classification(80, random_state=0)

    @pytest.mark.parametrize("cls", [RecallByClassDisplay, ReliabilityDisplay])
    def test_an_estimator_that_is_not_fitted(self, cls):
        with pytest.raises(NotFittedError):
            cls.from_estimator(LogisticRegression(), self.X, self.y)
        with pytest.raises(TypeError, match="but got the class LogisticRegression; make one and fit it"):
            cls.from_estimator(LogisticRegression, self.X, self.y)
        with pytest.raises(TypeError, match="Expected a fitted estimator, but got int; pass one that has `fit`"):
            cls.from_estimator(3, self.X, self.y)

    @pytest.mark.parametrize("cls", [SampleGridDisplay, LatentMapDisplay, ColumnQualityDisplay])
    def test_a_generator_that_is_not_fitted_or_is_none(self, cls):
        with pytest.raises(NotFittedError):
            cls.from_estimator(SmoothedBootstrapSampler(), self.X, self.y)
        with pytest.raises(TypeError, match=r"Expected an estimator that generates, .* but got LogisticRegression"):
            cls.from_estimator(LogisticRegression().fit(self.X, self.y), self.X, self.y)

    def test_an_estimator_without_a_history(self):
        with pytest.raises(TypeError, match="a history of its training, but LogisticRegression has none"):
            HistoryDisplay.from_estimator(LogisticRegression().fit(self.X, self.y))

    def test_tables_where_images_are_needed_and_the_reverse(self):
        sampler = SmoothedBootstrapSampler(random_state=0).fit(self.X, self.y)
        with pytest.raises(ValueError, match=r"but got \(80, 20\); new rows of a table are shown by ColumnQuality"):
            SampleGridDisplay.from_estimator(sampler, self.X, self.y)
        with pytest.raises(ValueError, match=r"a table .* but got shape \(2, 1, 8, 8\); images are shown by Sample"):
            ColumnQualityDisplay.from_estimator(sampler, np.zeros((2, 1, 8, 8)), [0, 1])

    def test_no_latents(self):
        sampler = SmoothedBootstrapSampler(random_state=0).fit(self.X, self.y)
        with pytest.raises(TypeError, match="with latents, such as RAESampler, but SmoothedBootstrapSampler has none"):
            LatentMapDisplay.from_estimator(sampler, self.X, self.y)

    def test_no_probabilities(self):
        class Decides(DecisionTreeClassifier):
            predict_proba = property()

        with pytest.raises(TypeError, match="with predict_proba, but Decides has none"):
            ReliabilityDisplay.from_estimator(Decides().fit(self.X, self.y), self.X, self.y)

    @pytest.mark.parametrize("cls", [RecallByClassDisplay, ReliabilityDisplay])
    def test_no_names(self, cls):
        with pytest.raises(ValueError, match="Expected estimators as a mapping from names to one or more, but got n"):
            cls.from_estimator({}, self.X, self.y)
        with pytest.raises(ValueError, match="but got 1 and name='b'; name each in it"):
            cls.from_estimator({"a": LogisticRegression().fit(self.X, self.y)}, self.X, self.y, name="b")

    @pytest.mark.parametrize(
        "cls", [RecallByClassDisplay, ReliabilityDisplay, SampleGridDisplay, LatentMapDisplay, HistoryDisplay]
    )
    def test_no_runs(self, cls, tmp_path):
        with pytest.raises(ValueError, match=r"Expected runs to be a folder of runs, or what .* but got none"):
            cls.from_runs([])
        with pytest.raises(ValueError, match="but got int; name the folder"):
            cls.from_runs([3])
        with pytest.raises(ValueError, match="holds no finished run"):
            cls.from_runs(tmp_path)


def test_an_estimator_with_latents_and_a_history_is_drawn_by_all(finished_runs):
    images = np.random.default_rng(0).random((60, 1, 8, 8)).astype(np.float32)
    y = np.repeat([0, 1, 2], [40, 14, 6])
    rae = RAEClassifier(max_steps=3, device="cpu", random_state=0).fit(images, y)
    assert set(RecallByClassDisplay.from_estimator(rae, images, y).recalls) == {"RAEClassifier"}
    assert ReliabilityDisplay.from_estimator(rae, images, y).bins["RAEClassifier"].n.sum() == 60
    grid = SampleGridDisplay.from_estimator(rae, images, y, per_class=2, class_names=["x", "y", "z"])
    assert grid.row_labels == ["z (n=6)", "y (n=14)", "x (n=40)"]
    assert list(grid.panels) == ["Real", "Reconstruction", "Synthetic", "Nearest real"]
    points = LatentMapDisplay.from_estimator(rae, images, y, n_points=30, class_names={2: "z"})
    assert sorted(set(points.labels)) == ["0", "1", "z"]
    assert points.kinds.count("synthetic") == points.kinds.count("real") == 15
    again = LatentMapDisplay.from_estimator(rae, images, y, n_points=30)
    np.testing.assert_array_equal(points.x, again.x)
    drawn = HistoryDisplay.from_estimator(rae)
    assert "predicted_classes" not in drawn.curves
    assert {"classifier", "critic"} <= set(drawn.curves)


def test_a_run_of_another_name_is_read_by_its_folder(finished_runs, tmp_path):
    import shutil

    alone = shutil.copytree(finished_runs / "rae" / "seed-1", tmp_path / "model")
    display = RecallByClassDisplay.from_runs(alone)
    expected = json.loads((alone / "metrics.json").read_text())["recall"]
    np.testing.assert_allclose(display.recalls["RAE"], [expected])
