"""Results in notebooks: what HTML says is what is printed, every word of others stays a word."""

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_up_runs import metrics_of, write_run

from latentover import SmoothedBootstrapSampler, advise, check_leakage, describe_plan, diagnose
from latentover.experiments.benchmark import Outcome, Plan
from latentover.experiments.predict import Predicted
from latentover.experiments.tune import Tuned
from latentover.experiments.tuned import Search
from latentover.metrics import resampling_effect, table_quality
from latentover.report import collect_runs, compare
from latentover.runs.folder import Failure

EVIL = '<img src=x onerror="alert(1)">&'


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.words, self.styles = [], [], [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.open.append(tag)
        self.styles.append(dict(attrs).get("style", ""))
        assert {name for name, _ in attrs} <= {"style", "class"}

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join(self.words)


def rows(n=240, seed=0):
    rng = np.random.default_rng(seed)
    y = np.repeat([EVIL, "rare"], [n - 40, 40])
    X = pd.DataFrame({EVIL: rng.normal(size=n) + (y == "rare"), "town": rng.choice(["Graz", EVIL], n)})
    return X, y


def diagnosis():
    return diagnose([EVIL] * 90 + ["rare"] * 4)


def plan():
    return describe_plan(*rows())


def quality():
    X, y = rows()
    return table_quality(X, rows(seed=1)[0][200:], y_real=y, y_new=np.repeat("rare", 40), effect=None)


def effect():
    return resampling_effect(*rows(), SmoothedBootstrapSampler(random_state=0))


def advice():
    return advise(*rows(), methods=["none", "class_weights"], folds=3, classifier="logistic")


def outcome():
    return Outcome([Path("runs/a")], 3, 2, {f"{EVIL}/seed-0": Failure(EVIL, "")})


def planned():
    return Plan([], [], {})


def compared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    for recipe, acsa in (("rae", 0.8), ("none", 0.7)):
        write_run(folder, metrics_of(recipe, 0, acsa, title=EVIL + recipe))
    return compare(collect_runs(folder), ["acsa", "brier"])


def memorization():
    X, y = rows()
    sampler = SmoothedBootstrapSampler(random_state=0).fit(X, y)
    return sampler.memorization_report(X, y, n_samples=20)


def leakage():
    X = np.random.default_rng(0).normal(size=(60, 3))
    return check_leakage(X[:40], X[35:])


def tuned():
    numbers = {"best": None, "value": 0.9, "default": 0.8, "settings": {"a": EVIL}, "number": 1, "finished": 4}
    found = Search(name="a", title=EVIL, **numbers, pruned=0, failed=1, failures={}, data_hash="", n_validation=9)
    return Tuned([found], Path("tuned.md"), "")


def predicted():
    said = Predicted("images", None, total=2)
    said.counts.update({EVIL: 2})
    said.head = pd.DataFrame({"file": [EVIL, "b"], "label": ["x", "y"], "p": [0.25, 0.75]})
    return said


RESULTS = [diagnosis, plan, quality, effect, advice, outcome, planned, memorization, leakage, tuned, predicted]


@pytest.mark.parametrize("make", RESULTS)
def test_every_result_is_html_that_is_closed_and_holds_no_markup_of_others(make):
    page = Page(make()._repr_html_())
    assert {*page.tags} <= {"div", "p", "table", "thead", "tbody", "tr", "th", "td", "ol", "ul", "li"}
    styles = " ".join(page.styles)
    assert not re.search(r"(?<![-\w])color:(?! inherit)", styles), "words have the colour of the page, light or dark"
    assert "url(" not in styles


@pytest.mark.parametrize("make", [diagnosis, plan, effect, advice, memorization])
def test_the_numbers_are_those_that_are_printed(make):
    result = make()
    printed, shown = str(result), Page(result._repr_html_()).text
    numbers = set(re.findall(r"\d[\d,.]*\d", printed))
    assert len(numbers) > 3
    assert numbers <= set(re.findall(r"\d[\d,.]*\d", shown))


def test_names_of_others_are_words(tmp_path_factory):
    for result in (diagnosis(), plan(), outcome(), tuned(), predicted(), compared(tmp_path_factory)):
        assert EVIL in Page(result._repr_html_()).text


def test_a_comparison_marks_the_best_and_is_still_a_list(tmp_path_factory):
    found = compared(tmp_path_factory)
    assert isinstance(found, list)
    text = Page(found._repr_html_()).text
    assert "80.00 *" in text
    assert "70.00" in text
    assert "70.00 *" not in text
    assert "0.3000 *" in text


def test_many_rows_are_cut_and_that_is_said():
    page = Page(diagnose([f"c{i}" for i in range(100) for _ in range(2)])._repr_html_())
    assert page.tags.count("tr") == 41
    assert "and 60 more" in page.text


def test_the_advised_method_stands_out():
    advised = advice()
    text = advised._repr_html_()
    marked = re.search(r'<tr style="background: rgba[^>]*>(.*?)</tr>', text)[1]
    title = {"none": "no resampling", "class_weights": "class weights"}[advised.method]
    assert title in marked
    assert text.count("background: rgba") == 1
