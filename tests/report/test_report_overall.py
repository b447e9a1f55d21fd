"""Over all data sets: ranks and tests are those of `latentover.stats`, said in words that hold no more."""

import json
import re
import shutil

import numpy as np
import pytest

from latentover.report import write_markdown, write_report
from latentover.report.overall import overall_sentences, overall_table
from latentover.runs.comparison import Cell, Row
from latentover.runs.overall import over_data_sets
from latentover.stats import friedman, mean_ranks, shaffer, wilcoxon


def rows(titles=None, metric="acsa", **means):
    return [
        Row(name, (titles or {}).get(name, name.upper()), {metric: Cell(mean, None, 3)}, 3, None)
        for name, mean in means.items()
    ]


def made_up(n, k=4, spread=0.02, seed=0):
    scores = np.random.default_rng(seed).normal(np.linspace(0.6, 0.9, k), spread, (n, k))
    return scores, {f"set {i}": rows(**dict(zip("abcd", line, strict=False))) for i, line in enumerate(scores)}


def test_ranks_and_tests_are_those_of_the_statistics():
    scores, groups = made_up(6)
    found = over_data_sets(groups)
    ranks = dict(zip("ABCD", mean_ranks(scores), strict=True))
    assert found.ranks == ranks
    assert list(found.ranks) == sorted(ranks, key=ranks.get)
    assert found.test == friedman(scores)
    assert found.pairs == shaffer(scores, list("ABCD"))
    text = " ".join(overall_sentences(found))
    assert f"chi-square {friedman(scores).statistic:.2f} with 3 degrees of freedom, p < 0.001" in text
    assert "D over A (p < 0.001)" in text
    assert "A over D" not in text


def test_of_two_methods_it_is_wilcoxon():
    scores, groups = made_up(3, k=2)
    found = over_data_sets(groups)
    assert found.test == wilcoxon(*scores.T)
    assert {pair.adjusted for pair in found.pairs} == {found.test.p_value} == {0.25}
    text = " ".join(overall_sentences(found))
    assert "p = 0.25, so the order of the two may be chance" in text
    assert "With 3 data sets its p cannot be below 0.25, whatever the scores." in text


def test_without_a_difference_no_pair_is_looked_for():
    _, groups = made_up(5, spread=10.0, seed=1)
    found = over_data_sets(groups)
    assert found.test.p_value > 0.05
    assert {pair.adjusted for pair in found.pairs} == {1.0}
    text = " ".join(overall_sentences(found))
    assert "the order of the methods may be chance" in text
    assert "Shaffer" not in text


def test_lower_is_better_where_it_is():
    groups = {str(i): rows(metric="brier", a=0.1, b=0.2, c=0.3) for i in range(3)}
    assert over_data_sets(groups, "brier").ranks == {"A": 1, "B": 2, "C": 3}


def test_methods_that_a_data_set_lacks_are_named():
    groups = {"x": rows(a=0.9, b=0.8), "y": rows(a=0.9, b=0.8, c=0.1), "z": rows(a=0.9, b=0.8, d=None)}
    found = over_data_sets(groups, data={"x": "1", "y": "2", "z": "1"})
    assert found.left_out == ("C",)
    assert overall_sentences(found)[-2:] == [
        "Left out, for not every data set has them: C.",
        "x and z have the same samples: they are one data set, counted twice.",
    ]


def test_methods_of_one_title_stay_apart():
    groups = {str(i): rows({"a": "RAE", "b": "RAE"}, a=0.9, b=0.8) for i in range(3)}
    assert over_data_sets(groups).ranks == {"RAE (a)": 1, "RAE (b)": 2}


@pytest.mark.parametrize(
    "groups",
    [
        {"x": rows(a=0.9, b=0.8), "y": rows(a=0.9, b=0.8)},
        {"x": rows(a=0.9, b=0.8), "y": rows(a=0.9, b=0.8), "z": rows(a=0.9)},
        {"x": rows(a=0.9, b=0.8), "y": rows(a=0.9, b=0.8), "z": rows(a=0.9, b=None)},
    ],
)
def test_too_little_to_compare(groups):
    assert over_data_sets(groups) is None


def test_the_table_keeps_each_score_in_its_row():
    table = overall_table(over_data_sets({"x": rows(a=0.1, b=0.9), "y": rows(b=0.8, a=0.2), "z": rows(a=0.3, b=0.7)}))
    assert table.columns == ["Mean rank", "x (%)", "y (%)", "z (%)"]
    assert table.rows == [("B", ["1.00", "90.00", "80.00", "70.00"]), ("A", ["2.00", "10.00", "20.00", "30.00"])]


@pytest.fixture(scope="module")
def three_folders(finished_runs, tmp_path_factory):
    folders = []
    for name in ("x", "y", "z"):
        folder = shutil.copytree(finished_runs, tmp_path_factory.mktemp("three") / name)
        for file in folder.glob("*/seed-*/metrics.json"):
            metrics = json.loads(file.read_text())
            metrics["certificate"] |= {"group": f"set_{name}", "data_hash": name}
            file.write_text(json.dumps(metrics))
        for picture in folder.glob("*/seed-*/*.[nt]*[vz]"):  # maps and samples, which take time to draw
            picture.unlink()
        folders.append(folder)
    return folders


def test_the_pages_begin_with_it(three_folders, tmp_path):
    page = write_markdown(three_folders, tmp_path / "all.md").read_text(encoding="utf-8")
    heads = re.findall(r"^##? (.*)$", page, re.MULTILINE)
    assert heads == ["Set x, Set y, Set z", "Over all data sets", "Set x", "Set y", "Set z"]
    assert "| RAE | 1.00 |" in page
    assert "Friedman's test of 3 methods on 3 data sets" in page
    html = write_report(three_folders, tmp_path / "all.html").read_text(encoding="utf-8")
    assert html.index('id="overall"') < html.index('id="part-1-top"')
    assert 'href="#overall"' in html
    assert "Critical-difference diagram. Mean ranks: RAE 1.00" in html
    assert "Friedman&#39;s test of 3 methods on 3 data sets" in html


def test_two_folders_have_none(three_folders, tmp_path):
    assert "Over all" not in write_markdown(three_folders[:2], tmp_path / "all.md").read_text(encoding="utf-8")
