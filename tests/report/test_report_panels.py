"""The numbers from which the page's script draws, and what reading them costs."""

import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from latentover.displays.recall import rows_of_classes
from latentover.metrics import operating_points
from latentover.report import collect_runs, write_markdown, write_report
from latentover.report.panels import (
    ALL_CURVE_POINTS,
    final_losses,
    json_for_html,
    panel_data,
)
from latentover.report.samples import native_panels
from latentover.report.tables import difference_table
from latentover.runs import reading
from latentover.runs.groups import group_runs


def panels_of(folder):
    runs = collect_runs(folder)
    return panel_data(runs, group_runs(runs), runs[0].splits)


def test_each_file_of_a_run_is_read_once(finished_runs, tmp_path, monkeypatch):
    read, original = Counter(), reading._bytes
    monkeypatch.setattr(reading, "_bytes", lambda path, limit: (read.update([Path(path)]), original(path, limit))[1])
    write_report(finished_runs, tmp_path / "page.html")
    assert set(read.values()) == {1}
    names = Counter(path.name for path in read)
    assert names["metrics.json"] == names["history.csv"] == names["curves.json"] == 6
    assert names["tsne.csv"] == names["samples.npz"] == 1, "that of one seed is shown"
    assert names["samples.png"] == 0, "its arrays are there"
    read.clear()
    write_markdown(finished_runs, tmp_path / "page.md")
    assert set(read.values()) == {1}


def test_nothing_is_drawn_in_python(finished_runs, tmp_path, monkeypatch):
    monkeypatch.setattr("matplotlib.figure.Figure.savefig", lambda *_, **__: pytest.fail("a figure was drawn"))
    write_report(finished_runs, tmp_path / "page.html")


def test_scores_and_differences(finished_runs):
    part = panels_of(finished_runs)
    runs = collect_runs(finished_runs)
    titles = [method["title"] for method in part["methods"]]
    assert part["baseline"] == titles.index("No resampling")
    acsa = part["splits"][0]["metrics"][0]
    assert acsa["id"] == "acsa"
    for title, values in zip(titles, acsa["values"], strict=True):
        assert values == pytest.approx([100 * r.scores()["acsa"] for r in runs if r.title == title], abs=1e-3)
    differences = dict(zip(titles, acsa["differences"], strict=True))
    assert differences["No resampling"] is None
    mean, low, high, p = differences["RAE"]
    own, base = (np.mean(acsa["values"][titles.index(title)]) for title in ("RAE", "No resampling"))
    assert mean == pytest.approx(own - base, abs=2e-3)
    assert low <= mean <= high
    assert 0 <= p <= 1


def test_the_table_of_differences_says_the_same(finished_runs):
    runs = collect_runs(finished_runs)
    table = difference_table(runs, "test_balanced")
    assert table.caption.startswith("Differences to No resampling")
    assert [title for title, _ in table.rows] == ["RAE", "Class-balanced batches"]
    p, adjusted = (float(table.rows[0][1][i]) for i in (2, 3))
    assert p <= adjusted <= min(1, 2 * p) + 1e-3
    assert difference_table([run for run in runs if run.recipe != "none"], "test_balanced") is None
    assert difference_table([run for run in runs if run.seed == 0], "test_balanced") is None


def test_classes_fall_by_training_count(finished_runs):
    split = panels_of(finished_runs)["splits"][0]
    assert split["classes"] == list("0123456789")
    assert split["counts"] == sorted(split["counts"], reverse=True)
    runs = [run for run in collect_runs(finished_runs) if run.recipe == "rae"]
    place = next(i for i, group in enumerate(group_runs(collect_runs(finished_runs))) if group.row.recipe == "rae")
    expected = [round(100 * run.scores("test_balanced")["recall"][9], 2) for run in runs]
    assert split["recall"][place][9] == expected


def test_many_classes_are_averaged_in_groups():
    n = 100
    labels, table = rows_of_classes(np.linspace(1, 0, n)[None], [f"c{i}" for i in range(n)], list(range(n, 0, -1)))
    assert len(labels) == table.shape[1] == 12
    assert labels[0] == ("Classes 1 to 9", "100 to 92")
    assert table[0, 0] == pytest.approx(np.linspace(1, 0, n)[:9].mean())
    labels, table = rows_of_classes(np.array([[0.1, np.nan, 0.3]]), ["x", "y", "z"], [5, 50, 20])
    assert labels == [("y", "50"), ("z", "20"), ("x", "5")]
    np.testing.assert_array_equal(table, [[np.nan, 0.3, 0.1]])


def test_counts_of_all_seeds_are_added(finished_runs):
    points = panels_of(finished_runs)["splits"][0]["points"]
    groups = group_runs(collect_runs(finished_runs))
    assert points["classes"] == list(range(10))
    for group, curves in zip(groups, points["curves"], strict=True):
        assert all(curve["n"] == 24 and curve["others"] == 216 for curve in curves)
        for curve in curves:
            assert curve["t"] == sorted(curve["t"])
            assert curve["found"] == sorted(curve["found"], reverse=True)
        lowest = sum(
            one["found"][0]
            for run in group.runs
            for one in run.content("curves.json")["test_balanced"]["classes"]
            if one["label"] == "9"
        )
        assert curves[9]["found"][0] == lowest
    assert sum(n for n, _, _ in points["reliability"][0]) == 240


def test_pooled_counts_against_a_second_writing(tmp_path, finished_runs):
    folder = shutil.copytree(finished_runs, tmp_path / "runs")
    rng = np.random.default_rng(0)
    tables = []
    for seed in (0, 1):
        y, p = rng.integers(0, 2, 60), rng.random(60).round(2)
        tables.append((y, p))
        split = operating_points(y, np.column_stack([1 - p, p]), [0, 1])
        for one in split["classes"]:
            one["label"] = "98"[int(one["label"])]
        text = json.dumps({"format": 1, "splits": {"test_balanced": split}})
        (folder / "rae" / f"seed-{seed}" / "curves.json").write_text(text)
    part = panels_of(folder)
    place = [method["title"] for method in part["methods"]].index("RAE")
    points = part["splits"][0]["points"]
    curve = points["curves"][place][points["classes"].index(8)]
    for t, found in zip(curve["t"], curve["found"], strict=True):
        # A seed's own thresholds are those of its hits, so what is found is exact at every one of them.
        assert found == sum(int(((y == 1) & (p >= t - 1e-9)).sum()) for y, p in tables)


def test_curves_are_whole_numbers_within_their_panel(finished_runs):
    curves = panels_of(finished_runs)["curves"]
    assert [len(one["panels"]) for one in curves] == [5, 5, 5]
    panel = next(panel for panel in curves[0]["panels"] if panel["title"] == "Decoder")
    assert not panel["log"]
    assert next(panel for panel in curves[0]["panels"] if panel["title"] == "Critic")["log"]
    for _, x, y in panel["lines"]:
        assert len(x) == len(y) == 300
        assert min(x) >= 0
        assert max(y) <= 999
    lowest = min(value for run in collect_runs(finished_runs) for value in run.history()["decoder"][1])
    assert panel["y"][0] == pytest.approx(lowest, abs=0.2)


def test_curves_are_thinned_where_there_are_many(finished_runs, monkeypatch):
    monkeypatch.setattr("latentover.report.panels.ALL_CURVE_POINTS", 3000)
    lines = [line for one in panels_of(finished_runs)["curves"] for panel in one["panels"] for line in panel["lines"]]
    assert {len(x) for _, x, _ in lines} == {3000 // 30, 80}, "one loss was written 80 times"
    assert ALL_CURVE_POINTS > 100_000


def test_values_at_the_ends_of_float32_have_a_level(runs_folder):
    path = runs_folder / "rae" / "seed-0" / "history.csv"
    path.write_text("step,critic,same\n0,-3.4e38,2\n1,3.4e38,2\n", encoding="utf-8")
    (runs_folder / "rae" / "seed-1" / "history.csv").unlink()
    part = panels_of(runs_folder)
    place = [method["title"] for method in part["methods"]].index("RAE")
    panels = next(one for one in part["curves"] if one["method"] == place)["panels"]
    assert [panel["lines"][0][2] for panel in panels] == [[0, 999], [0, 0]]
    json_for_html(part)


def test_first_and_last_values(finished_runs):
    groups = group_runs(collect_runs(finished_runs))
    (_, lines), *_ = final_losses(groups)
    name, first, last = lines[0]
    assert name == "classifier"
    expected = [np.mean([run.history()["classifier"][1][at] for run in groups[0].runs]) for at in (0, -1)]
    assert [float(first), float(last)] == pytest.approx(expected, rel=0.01)


def test_maps(finished_runs):
    (one,) = panels_of(finished_runs)["maps"]
    assert one["classes"] == list("0123456789")
    assert len(one["x"]) == len(one["y"]) == len(one["class"]) == sum(one["n"])
    assert sum(code < 0 for code in one["class"]) == one["n"][1]
    assert min(one["x"] + one["y"]) >= 0
    assert max(one["x"] + one["y"]) <= 999


def test_json_ends_no_script():
    text = json_for_html({"a": "</script><!--<script>&\u2028"})
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text) == {"a": "</script><!--<script>&\u2028"}
    with pytest.raises(ValueError, match="JSON"):
        json_for_html(float("nan"))


@pytest.mark.parametrize("channels", [1, 3])
def test_samples_keep_their_pixels(channels):
    import io

    from PIL import Image

    images = np.linspace(0, 1, 2 * 3 * channels * 4 * 5).reshape(2, 3, channels, 4, 5).astype(np.float16)
    images[1, 2] = np.nan
    found = native_panels({"Nearest real": images, "Synthetic": images, "Real": images}, ["a", "b" * 99])
    assert list(found["panels"]) == ["Real", "Synthetic", "Nearest real"]
    assert found["labels"][0] == "a"
    assert len(found["labels"][1]) <= 24
    png = found["panels"]["Real"]
    pixels = np.asarray(Image.open(io.BytesIO(png.content)))
    assert pixels.shape == (10, 18, channels + 1)
    assert (png.height, png.width) == pixels.shape[:2]
    expected = np.rint(255 * images[0, 1].astype(float)).transpose(1, 2, 0)
    np.testing.assert_allclose(pixels[:4, 6:11, :channels], expected, atol=1)
    assert (pixels[:4, 5, -1] == 0).all(), "room between images"
    assert (pixels[5:9, 12:17, -1] == 0).all(), "an empty place"
    assert (pixels[:4, :5, -1] == 255).all()


def test_classes_have_the_names_that_people_call_them(runs_folder, tmp_path):
    names = {str(label): f"thing {label}" for label in range(10)}
    for path in runs_folder.glob("*/seed-*/metrics.json"):
        metrics = json.loads(path.read_text(encoding="utf-8"))
        path.write_text(json.dumps({**metrics, "class_names": names}), encoding="utf-8")
    page = write_report(runs_folder, tmp_path / "page.html").read_text(encoding="utf-8")
    assert page.count("thing 9") > 4
    assert "the rarest class (9" not in page
    assert "samples of class 9" not in page
