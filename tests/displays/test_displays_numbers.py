"""That each display draws the right numbers, and in the right places."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import recall_score

from latentover.displays import (
    ColumnQualityDisplay,
    CriticalDifferenceDisplay,
    HistoryDisplay,
    LatentMapDisplay,
    RecallByClassDisplay,
    ReliabilityDisplay,
    SampleGridDisplay,
)
from latentover.displays.samples import laid_out
from latentover.metrics import acsa, ece, table_quality
from latentover.metrics.table_results import worst_first
from latentover.report import collect_runs, image_grid
from latentover.stats import equal_groups, mean_ranks, shaffer


class TestRecall:
    def predicted(self, seed=0, n=200):
        rng = np.random.default_rng(seed)
        y = rng.choice(list("abc"), n, p=[0.7, 0.25, 0.05])
        return y, np.where(rng.random(n) < 0.7, y, rng.choice(list("abc"), n))

    def test_dots_stand_at_the_recall_of_each_class_the_rarest_at_the_top(self):
        y, first = self.predicted()
        second = np.roll(first, 1)
        display = RecallByClassDisplay.from_predictions(y, {"first": first, "second": second})
        for dots, labels in zip(display.dots_, (first, second), strict=True):
            found = dict(zip("abc", 100 * recall_score(y, labels, average=None), strict=True))
            x, height = np.asarray(dots.get_offsets()).T
            assert x == pytest.approx([found[label] for label in "abc"])
            assert height[0] < height[1] < height[2]
        ticks = [text.get_text() for text in display.ax_.get_yticklabels()]
        assert ticks == [f"{label} (n={(y == label).sum()})" for label in "abc"]

    def test_spans_go_from_the_worst_to_the_best(self):
        display = RecallByClassDisplay(recalls={"x": [0.2, 0.9], "y": [0.4, 0.8], "z": [0.3, 0.85]}, classes=["a", "b"])
        segments = display.plot().spans_.get_segments()
        np.testing.assert_allclose(np.array(segments)[:, :, 0], [[20, 40], [80, 90]])
        assert RecallByClassDisplay(recalls={"x": [0.2, 0.9]}, classes=["a", "b"]).plot().spans_ is None

    def test_training_counts_give_the_order(self):
        y, labels = self.predicted()
        y_train = np.repeat(list("abc"), [5, 50, 20])
        display = RecallByClassDisplay.from_predictions(y, labels, y_train=y_train, class_names={"a": "Ape"})
        assert [text.get_text() for text in display.ax_.get_yticklabels()] == ["b (n=50)", "c (n=20)", "Ape (n=5)"]
        assert "training samples" in display.ax_.get_xlabel()

    def test_the_axis_shows_differences(self):
        def ends(*recalls):
            return RecallByClassDisplay(recalls={"x": recalls}, classes=list("abc")).plot().ax_.get_xlim()

        low, high = ends(0.90, 0.95, 1.0)
        assert 80 < low < 90
        assert 100 < high < 102
        low, high = ends(0.5, 0.5, 0.5)
        assert high - low > 10, "equal recalls are no large difference"
        low, high = ends(0.0, 0.5, 1.0)
        assert (low, high) == (-1.5, 101.5)

    def test_seeds_of_runs_have_a_mean_and_a_range(self, finished_runs):
        display = RecallByClassDisplay.from_runs(finished_runs)
        assert set(display.recalls) == {"RAE", "Class-balanced batches", "No resampling"}
        paths = sorted(finished_runs.glob("rae/seed-*/metrics.json"))
        seeds = np.array([json.loads(path.read_text())["recall"] for path in paths])
        np.testing.assert_allclose(display.recalls["RAE"], seeds)
        place = list(display.recalls).index("RAE")
        np.testing.assert_allclose(display.dots_[place].get_offsets()[:, 0], 100 * seeds.mean(axis=0))
        segments = np.array(display.ranges_[place].get_segments())[:, :, 0]
        np.testing.assert_allclose(segments, 100 * np.stack([seeds.min(axis=0), seeds.max(axis=0)], axis=1))
        assert "balanced test" in display.ax_.get_xlabel()

    def test_another_split_and_runs_as_they_were_read(self, finished_runs):
        runs = [run for run in collect_runs(finished_runs) if run.recipe == "none"]
        display = RecallByClassDisplay.from_runs(runs, split="test_imbalanced")
        expected = [run.scores("test_imbalanced")["recall"] for run in runs]
        np.testing.assert_allclose(display.recalls["No resampling"], expected)
        with pytest.raises(ValueError, match=r"Expected split to be one of \['test_balanced', .* but got 'nowhere'"):
            RecallByClassDisplay.from_runs(runs, split="nowhere")

    def test_many_classes_are_averaged(self):
        recalls = np.linspace(1, 0, 100)
        display = RecallByClassDisplay(recalls={"x": recalls}, classes=[f"c{i}" for i in range(100)]).plot()
        assert len(display.dots_[0].get_offsets()) == 12
        assert display.dots_[0].get_offsets()[0, 0] == pytest.approx(100 * recalls[:9].mean())

    def test_a_class_that_is_predicted_and_not_there(self):
        display = RecallByClassDisplay.from_predictions([0, 0, 1], [0, 2, 1])
        assert list(display.classes) == ["0", "1"]
        np.testing.assert_allclose(display.recalls["Predictions"], [[0.5, 1.0]])

    def test_errors(self):
        with pytest.raises(ValueError, match=r"Expected y_true, y_pred to be of one length above 0, but got y_true"):
            RecallByClassDisplay.from_predictions([0, 1], [0])
        with pytest.raises(ValueError, match=r"one label a sample, but got shape \(2, 2\); pass what `predict` ret"):
            RecallByClassDisplay.from_predictions([0, 1], np.zeros((2, 2)))
        with pytest.raises(ValueError, match=r"in \[0, 1\], but got 90; divide percent by 100"):
            RecallByClassDisplay(recalls={"a": [90, 80]}, classes=["x", "y"])
        with pytest.raises(ValueError, match=r"of shape \(n_runs, 2 classes\), but got \(3,\)"):
            RecallByClassDisplay(recalls={"a": [0.9, 0.8, 0.7]}, classes=["x", "y"])
        with pytest.raises(ValueError, match="a name for each of 2 classes, but got 1"):
            RecallByClassDisplay.from_predictions([0, 1], [0, 1], class_names=["x"])


class TestReliability:
    def probabilities(self, n=500, seed=0):
        rng = np.random.default_rng(seed)
        table = rng.dirichlet([1, 1, 1], n)
        return rng.integers(0, 3, n), table

    def test_the_line_goes_through_the_bins(self):
        y, table = self.probabilities()
        display = ReliabilityDisplay.from_predictions(y, {"x": table}, n_bins=10)
        sure, right = table.max(axis=1), table.argmax(axis=1) == y
        bins = np.ceil(10 * sure).astype(int)
        expected = [(100 * sure[bins == b].mean(), 100 * right[bins == b].mean()) for b in np.unique(bins)]
        np.testing.assert_allclose(display.lines_[0].get_xydata(), expected)
        (text,) = [text.get_text() for text in display.legend_.get_texts()]
        assert text == f"x, ECE {100 * ece(y, table, [0, 1, 2], n_bins=10):.1f}"

    def test_marks_grow_with_the_samples(self):
        y, table = self.probabilities()
        display = ReliabilityDisplay.from_predictions(y, table)
        n = display.bins["Predictions"].n
        sizes = display.marks_[0].get_sizes()
        assert np.argmax(sizes) == np.argmax(n[n > 0])

    def test_of_all_seeds_together(self, finished_runs):
        display = ReliabilityDisplay.from_runs(finished_runs)
        files = [json.loads(path.read_text()) for path in sorted(finished_runs.glob("none/seed-*/curves.json"))]
        own = [one["splits"]["test_balanced"]["reliability"] for one in files]
        total = np.sum([one["n"] for one in own], axis=0)
        right = np.sum([np.array(one["n"]) * one["accuracy"] for one in own], axis=0)
        np.testing.assert_array_equal(display.bins["No resampling"].n, total)
        np.testing.assert_allclose(display.bins["No resampling"].accuracy, right / np.maximum(total, 1))

    def test_errors(self):
        with pytest.raises(ValueError, match=r"of shape \(n, n_classes\), but got \(2,\); pass what `predict_proba`"):
            ReliabilityDisplay.from_predictions([0, 1], [0.2, 0.8])
        with pytest.raises(ValueError, match="Expected"):
            ReliabilityDisplay.from_predictions([0, 1], [[20, 80], [10, 90]])


class TestSamples:
    def test_pixels_stand_where_they_belong(self):
        images = np.zeros((2, 3, 1, 4, 4), np.uint8)
        images[1, 2, 0, 0, 3] = 200
        picture = laid_out(images)
        assert picture.shape == (2 * 5, 3 * 5, 2)
        assert picture[5, 2 * 5 + 3, 0] == 200
        assert picture[..., 0].sum() == 200
        assert (picture[4, :, 1] == 0).all(), "between rows nothing is seen"

    def test_an_empty_place_is_not_seen(self):
        images = np.full((1, 2, 3, 4, 4), 0.5)
        images[0, 1] = np.nan
        picture = laid_out(images)
        assert picture[0, 0].tolist() == [128, 128, 128, 255]
        assert picture[0, 5, 3] == 0
        SampleGridDisplay(panels={"Real": images}, row_labels=["a"]).plot()

    def test_several_methods_beside_the_real_ones(self, finished_runs, tmp_path):
        import shutil

        folder = shutil.copytree(finished_runs, tmp_path / "digits")
        shutil.copy(folder / "rae/seed-0/samples.npz", folder / "none/seed-0/samples.npz")
        display = SampleGridDisplay.from_runs(folder, per_class=2)
        assert list(display.panels) == ["Real", "RAE", "No resampling"]
        assert display.panels["RAE"].shape[1] == 2
        alone = SampleGridDisplay.from_runs(finished_runs)
        assert list(alone.panels) == ["Real", "Reconstruction", "Synthetic", "Nearest real"]
        with np.load(finished_runs / "rae/seed-0/samples.npz") as kept:
            np.testing.assert_array_equal(alone.panels["Synthetic"], kept["Synthetic"].astype(np.float32))
            assert list(alone.row_labels) == kept["labels"].tolist()

    def test_no_run_with_samples(self, finished_runs):
        with pytest.raises(ValueError, match=r"kept their samples \(samples.npz\), but got none"):
            SampleGridDisplay.from_runs(finished_runs / "none" / "seed-0")

    def test_errors(self):
        with pytest.raises(ValueError, match=r"panels\['Real'\] to be images of shape \(1 classes, k, .* got \(2, 3"):
            SampleGridDisplay(panels={"Real": np.zeros((2, 3, 1, 4, 4))}, row_labels=["a"])
        with pytest.raises(ValueError, match=r"uint8 or in \[0, 1\], but got float64 in \[0, 255\]; rescale it"):
            SampleGridDisplay(panels={"Real": np.array([0.0, 255.0]).reshape(1, 2, 1, 1, 1)}, row_labels=["a"])
        assert image_grid(np.zeros((1, 1, 8, 8)), 1).size


class TestLatents:
    def test_points_and_crosses(self):
        kinds = ["real", "synthetic", "synthetic", "real"]
        display = LatentMapDisplay(x=[0, 1, 2, 3], y=[4, 5, 6, 7], labels=[10, 9, 9, 10], kinds=kinds).plot()
        assert display.real_.get_offsets().tolist() == [[0, 4], [3, 7]]
        assert display.synthetic_.get_offsets().tolist() == [[1, 5], [2, 6]]
        assert [text.get_text() for text in display.legend_.get_texts()] == ["9", "10", "real", "synthetic"]

    def test_a_class_has_one_colour(self):
        display = LatentMapDisplay(x=[0, 1, 2], y=[0, 1, 2], labels=["a", "b", "a"], kinds=["real"] * 2 + ["synthetic"])
        display.plot()
        first, second = display.real_.get_facecolors()
        assert display.synthetic_.get_edgecolors()[0][:3] == pytest.approx(first[:3])
        assert first.tolist() != second.tolist()

    @pytest.mark.parametrize(("n", "legend"), [(1, True), (12, True), (13, True), (60, False)])
    def test_any_number_of_classes(self, n, legend):
        labels = [f"class {i}" for i in range(n)]
        display = LatentMapDisplay(x=range(n), y=range(n), labels=labels, kinds=["real"] * n).plot()
        assert (display.legend_ is not None and len(display.legend_.get_texts()) == n + 2) is legend
        assert len({tuple(colour) for colour in display.real_.get_facecolors()}) == n

    def test_of_a_run(self, finished_runs):
        display = LatentMapDisplay.from_runs(finished_runs)
        table = pd.read_csv(finished_runs / "rae/seed-0/tsne.csv")
        np.testing.assert_allclose(display.x, table["x"])
        assert list(display.kinds) == table["kind"].tolist()
        with pytest.raises(ValueError, match=r"kept a map \(tsne.csv\), but got none"):
            LatentMapDisplay.from_runs(finished_runs / "none" / "seed-0")

    def test_errors(self):
        with pytest.raises(ValueError, match=r"Expected x, y, labels, kinds to be of one length above 0, but got x"):
            LatentMapDisplay(x=[1], y=[1, 2], labels=["a"], kinds=["real"])
        with pytest.raises(ValueError, match="Expected kinds to be 'real' or 'synthetic', but got 'fake'; rename it"):
            LatentMapDisplay(x=[1], y=[1], labels=["a"], kinds=["fake"])


class TestHistory:
    ROWS = tuple({"step": s, "seconds": 0.1 * s, "critic": 10.0**-s, "predicted_classes": 3.0} for s in range(1, 5))

    def test_rows_become_curves(self):
        rows = [*self.ROWS, {"step": 5, "validation_acsa": 0.5}]
        display = HistoryDisplay.from_history(rows)
        assert list(display.curves) == ["validation_acsa", "critic"], "the score that matters first"
        (line,) = display.lines_["critic"]
        np.testing.assert_allclose(line.get_xydata(), [[s, 10.0**-s] for s in range(1, 5)])
        assert [ax.get_yscale() for ax in display.ax_] == ["linear", "log"]

    def test_a_frame_with_gaps(self):
        frame = pd.DataFrame({"step": [1, 2, 3], "mixer": [0.5, np.nan, 0.7]})
        (line,) = HistoryDisplay.from_history(frame).lines_["mixer"]
        assert line.get_xydata().tolist() == [[1, 0.5], [3, 0.7]]

    def test_of_runs_a_colour_a_recipe_and_a_line_a_seed(self, finished_runs):
        display = HistoryDisplay.from_runs(finished_runs, losses=["mixer"])
        lines = display.lines_["mixer"]
        assert len(lines) == 6
        assert len({line.get_color() for line in lines}) == 3
        assert len(display.legend_.get_texts()) == 3
        table = pd.read_csv(finished_runs / "none/seed-1/history.csv").dropna(subset=["mixer"])
        assert any(np.array_equal(line.get_ydata(), table["mixer"]) for line in lines)

    def test_errors(self):
        with pytest.raises(ValueError, match=r"Expected losses to be a list of some of \['critic'.*, but got 'mixer'"):
            HistoryDisplay.from_history(self.ROWS, losses=["mixer"])
        with pytest.raises(ValueError, match="but got 'critic'; name them"):
            HistoryDisplay.from_history(self.ROWS, losses="critic")
        with pytest.raises(ValueError, match=r"Expected the history of .* to hold rows with a step, but got none"):
            HistoryDisplay.from_history({"a": []})
        with pytest.raises(ValueError, match=r"'a' of 'b' to be steps and as many values, but got shapes \(1,\) and"):
            HistoryDisplay(curves={"a": {"b": [([1], [1, 2])]}})


class TestRanks:
    def table(self):
        return pd.DataFrame(
            np.random.default_rng(0).normal([1.5, 1.4, 0.0, 0.6], size=(20, 4)),
            columns=["RAE", "SMOTE", "none", "GAMO"],
        )

    def test_ranks_and_groups_are_those_of_the_tests(self):
        table = self.table()
        display = CriticalDifferenceDisplay.from_scores(table)
        expected = dict(zip(table.columns, mean_ranks(table.to_numpy()), strict=True))
        assert dict(display.ranks) == pytest.approx(expected)
        groups = equal_groups(expected, shaffer(table.to_numpy(), list(table.columns)))
        assert display.groups_ == groups
        assert len(display.bars_) == len(groups) > 0
        assert [text.get_text().split("  ")[0] for text in display.names_[:2]] == sorted(expected, key=expected.get)[:2]

    def test_low_is_good_where_it_is(self):
        table = self.table()
        assert dict(CriticalDifferenceDisplay.from_scores(-table, higher_is_better=False).ranks) == pytest.approx(
            dict(CriticalDifferenceDisplay.from_scores(table).ranks)
        )

    def test_of_predictions(self):
        rng = np.random.default_rng(0)
        y = {f"set {i}": rng.integers(0, 3, 90) for i in range(6)}
        noisy = {name: {d: np.where(rng.random(90) < p, v, 0) for d, v in y.items()} for name, p in
                 (("good", 0.9), ("bad", 0.3))}  # fmt: skip
        display = CriticalDifferenceDisplay.from_predictions(y, noisy)
        scores = {d: {name: acsa(v, noisy[name][d]) for name in noisy} for d, v in y.items()}
        assert dict(display.ranks) == dict(CriticalDifferenceDisplay.from_scores(scores).ranks)

    def test_of_runs(self, finished_runs):
        one = collect_runs(finished_runs)
        display = CriticalDifferenceDisplay.from_runs({"a": one, "b": finished_runs, "c": one})
        means = {title: np.mean([r.scores()["acsa"] for r in one if r.title == title]) for title in
                 {run.title for run in one}}  # fmt: skip
        assert list(display.ranks) == sorted(means, key=lambda title: -means[title])

    def test_errors(self, finished_runs):
        table = self.table()
        with pytest.raises(ValueError, match="at least 3 data sets and 2 methods, but got 2 and 4; with fewer nothing"):
            CriticalDifferenceDisplay.from_scores(table[:2])
        table.loc[4, "SMOTE"] = np.nan
        with pytest.raises(ValueError, match="on each data set, but got none of 'SMOTE' on '4'; leave one of them out"):
            CriticalDifferenceDisplay.from_scores(table)
        with pytest.raises(ValueError, match=r"a frame with a row a data set, or a mapping .* but got list"):
            CriticalDifferenceDisplay.from_scores([[1, 2]])
        with pytest.raises(ValueError, match=r"Expected y_true as a mapping from data sets, .* but got list and list"):
            CriticalDifferenceDisplay.from_predictions([0, 1], [0, 1])
        with pytest.raises(ValueError, match="but got none on 'b'; add them"):
            CriticalDifferenceDisplay.from_predictions({"a": [0], "b": [0]}, {"x": {"a": [0]}})
        with pytest.raises(ValueError, match=r"on at least 3 data sets, .* but got 1 data sets with 3 methods"):
            CriticalDifferenceDisplay.from_runs(finished_runs)


class TestColumns:
    def rows(self, seed, n=300, shift=0.0):
        rng = np.random.default_rng(seed)
        return pd.DataFrame(
            {
                "wide": rng.normal(shift, 1, n),
                "town": rng.choice(["Graz", "Linz", "Wien"], n),
                "when": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 9000, n), "h"),
            }
        )

    def test_the_worst_first_with_its_shares(self):
        real, new = self.rows(0), self.rows(1, shift=2.0)
        found = table_quality(real, new, effect=None)
        display = ColumnQualityDisplay(columns=found.columns, most=3).plot()
        titles = [ax.get_title().splitlines() for ax in display.ax_]
        assert [title[0] for title in titles] == [column.name for column in worst_first(found.columns)][:3]
        assert titles[0][0] == "wide"
        worst = worst_first(found.columns)[0]
        assert titles[0][1] == f"distance {worst.distance:.2f}"
        np.testing.assert_allclose(display.new_[0].get_data().values, worst.picture.new)
        np.testing.assert_allclose(display.real_[0].get_data().values, worst.picture.real)

    def test_categories_are_bars(self):
        display = ColumnQualityDisplay.from_rows(self.rows(0)[["town"]], self.rows(1)[["town"]], self.rows(2)[["town"]])
        widths = {text.get_text(): bar.get_width() for text, bar in
                  zip(display.ax_[0].get_yticklabels(), display.new_[0], strict=True)}  # fmt: skip
        assert widths == pytest.approx(self.rows(1)["town"].value_counts(normalize=True).to_dict())
        assert "held out" in display.ax_[0].get_title()

    def test_of_an_estimator_the_rare_classes(self):
        from latentover import SmoothedBootstrapSampler

        X = self.rows(0)[["wide", "town"]]
        y = np.repeat(["no", "yes"], [250, 50])
        sampler = SmoothedBootstrapSampler(random_state=0).fit(X, y)
        display = ColumnQualityDisplay.from_estimator(sampler, X, y)
        assert {column.name for column in display.columns} == {"wide", "town"}
        made = sampler.sample(50, y="yes", random_state=0)
        expected = table_quality(X, made, y_real=y, y_new=np.repeat("yes", 50), effect=None, random_state=0)
        assert [c.distance for c in display.columns] == [c.distance for c in expected.columns]

    def test_errors(self):
        with pytest.raises(ValueError, match="Expected columns with values, but got none"):
            ColumnQualityDisplay(columns=[])
        with pytest.raises(ValueError, match="Expected most to be at least 1, but got 0"):
            ColumnQualityDisplay.from_rows(self.rows(0), self.rows(1), most=0)
