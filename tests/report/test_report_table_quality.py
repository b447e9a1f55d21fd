"""The page on new rows: what it says, that it fits phones, and that names stay words."""

import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from latentover.displays.columns import compact
from latentover.metrics import table_quality
from latentover.metrics.table_results import PairQuality, Picture
from latentover.report import write_table_quality
from latentover.report.drawings import heat_map, histogram, intervals, scale

EVIL = '<img src=x onerror="alert(1)">&$\\u202e{{ 7 * 7 }}'


def draw(n, seed):
    rng = np.random.default_rng(seed)
    y = np.repeat(["no", "yes"], [n - n // 4, n // 4])
    return pd.DataFrame(
        {
            EVIL: rng.normal(size=n) + (y == "yes"),
            "town": rng.choice([EVIL, "Graz", "=1+1"], n),
            "when": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 9000, n), "h"),
            "iban": [f"AT{seed}{i:05d}" for i in range(n)],
            "n": rng.poisson(3, n),
            "y": y,
        }
    )


@pytest.fixture(scope="module")
def result():
    new = draw(400, 2)
    return table_quality(
        draw(400, 0), new[new["y"] == "yes"], draw(400, 1), target="y", dependencies={f"{EVIL} = n": 0.3, "n >= 0": 0.0}
    )


@pytest.fixture(scope="module")
def page(result, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "quality.html"
    assert write_table_quality(result, path, title=EVIL, facts=[EVIL]) == path
    return path.read_text("utf-8")


class Tags(HTMLParser):
    VOID = ("meta", "link", "br", "img", "i")

    def __init__(self, text):
        super().__init__()
        self.open, self.seen, self.text = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag not in ("meta", "link", "br", "img"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style",):
            self.text.append(data)


def test_answers_the_three_questions_first(page, result):
    text = re.sub(r"\s+", " ", " ".join(Tags(page).text))
    places = [text.index(verdict.question) for verdict in result.verdicts]
    assert places == sorted(places)
    assert places[-1] < text.index("A trained judge says how far")
    for verdict in result.verdicts:
        assert re.sub(r"\s+", " ", verdict.answer.split(":")[0]) in text


def test_is_whole_and_holds_nothing_that_runs_or_loads(page):
    tags = Tags(page)
    assert tags.open == []
    assert not [tag for tag, _ in tags.seen if tag in ("script", "img", "iframe", "object")]
    assert not [attrs for _, attrs in tags.seen if any(name.startswith("on") for name in attrs)]
    assert not re.search(r'(?:src|href)="(?!data:)', page)
    assert "49" not in re.findall(r"<h1>(.*?)</h1>", page)[0]  # no template within a name
    assert "default-src 'none'" in page


def test_names_are_words(page):
    text = " ".join(Tags(page).text)
    assert '<img src=x onerror="alert(1)">' in text
    assert "\u202e" not in page


def test_shows_a_picture_of_every_column_and_says_what_it_shows(page, result):
    drawings = [attrs for tag, attrs in Tags(page).seen if tag == "svg"]
    assert len(drawings) == len(result.columns) + 4  # judge, pairs, distances, effect
    assert all(attrs["aria-label"] and attrs["viewbox"].startswith("0 0 340 ") for attrs in drawings)


def test_the_same_result_gives_the_same_bytes_and_nothing_is_left_of_a_failure(result, tmp_path, page):
    write_table_quality(result, tmp_path / "again.html", title=EVIL, facts=[EVIL])
    assert (tmp_path / "again.html").read_text("utf-8") == page
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder"):
        write_table_quality(result, tmp_path / "folder")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again.html", "folder"]


def test_of_little_data_and_without_anything_held_out(tmp_path):
    rows = pd.DataFrame({"a": [1.0, 2.0, np.nan], "b": ["x", "y", "x"]})
    page = write_table_quality(table_quality(rows, rows), tmp_path / "quality.html").read_text("utf-8")
    text = " ".join(Tags(page).text)
    assert "too few to judge" in text
    assert "100% of the new rows equal a real row" in text
    assert "Not known" in text


def test_many_columns_are_folded_and_the_page_stays_small(tmp_path):
    rng = np.random.default_rng(0)
    wide = [pd.DataFrame(rng.normal(size=(60, 120))) for _ in range(3)]
    path = write_table_quality(table_quality(*wide), tmp_path / "quality.html")
    assert "60 more columns" in path.read_text("utf-8")
    assert "48 columns that differ less are not drawn" in path.read_text("utf-8")
    assert path.stat().st_size < 400_000


class TestDrawings:
    def test_bars_are_as_long_as_their_shares(self):
        text = histogram(Picture(("a", "b"), (), (0.75, 0.25), (0.5, 0.5)), ("real", "new"), "x")
        widths = [float(width) for width in re.findall(r'class="(?:real|bar)"[^>]*width="([\d.]+)"', text)]
        assert widths[0] / widths[2] == pytest.approx(3, abs=0.01)
        assert widths[1] == widths[3]

    def test_bins_reach_as_high_as_their_shares(self):
        text = histogram(Picture((), (0.0, 1.0, 2.0), (0.8, 0.2), (0.4, 0.6)), ("real", "new"), "x")
        (points,) = re.findall(r'class="new" points="([^"]+)"', text)
        heights = [112 - float(pair.split(",")[1]) for pair in points.split()]
        assert heights[3] / heights[1] == pytest.approx(1.5, abs=0.01)
        assert re.findall(r">([^<]+)</text>", text) == ["0", "1", "2"]

    def test_axes_of_times_and_of_magnitudes(self):
        days = Picture((), (0.0, 86400.0 * 10), (1.0,), (1.0,))
        assert "1970-01-11" in histogram(days, ("real", "new"), "x", times=True)
        magnitudes = Picture((), (1.0, 10.0, 100.0), (0.5, 0.5), (0.5, 0.5), logarithmic=True)
        assert re.findall(r">([^<]+)</text>", histogram(magnitudes, ("real", "new"), "x")) == ["1", "10", "100"]

    def test_a_cell_a_pair_the_darker_the_larger(self):
        pairs = [PairQuality("a", "b", "spearman", 0.9, 0.1, None), PairQuality("a", "c", "spearman", 0.1, 0.1, None)]
        full = [float(value) for value in re.findall(r"--full: ([\d.]+)", heat_map(pairs, "x"))]
        assert full == [1.0, 0.06]
        assert heat_map([], "x") == ""

    def test_intervals_and_scales_lie_where_their_values_do(self):
        text = intervals([("a\nb", 2.0, 1.0, 3.0), ("c\nd", -1.0, -2.0, 0.5)], "points", "x")
        assert re.findall(r'<g class="(\w+)">', text) == ["up", "even"]
        places = [float(value) for value in re.findall(r'<circle cx="([\d.]+)"', text)]
        zero = float(re.findall(r'class="zero" x1="([\d.]+)"', text)[0])
        assert places[0] > zero > places[1]
        assert float(re.findall(r'<circle cx="([\d.]+)"', scale(0.75, 0.7, 0.8, [(0.5, "a"), (1, "b")], "x"))[0]) == 170

    def test_numbers_in_few_letters(self):
        assert [compact(value) for value in (0, 999.5, 1e6, -2.5e9, 1e300)] == ["0", "1e+03", "1M", "-2.5B", "1e+300"]
