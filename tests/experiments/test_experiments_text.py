"""Names from data and recipes in what a run leaves: the card and the tables."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator

from latentover.experiments.card import model_card
from latentover.experiments.evaluate import write_tsne
from latentover.experiments.generate import _write_table
from latentover.experiments.recipe import Evaluation
from latentover.runs.reading import read_map

EVIL = "# <script>x</script> | [a](b) _c_\n# d"


def test_the_card_shows_names_as_they_are(tiny):
    recipe, metrics, _ = tiny
    counts = {f"{EVIL}{label}": n for label, n in metrics["train_counts"].items()}
    certificate = metrics["certificate"] | {"data": EVIL, "hardware": EVIL, "recipe": "a`b"}
    changed = metrics | {"train_counts": counts, "certificate": certificate, "memorization": None}
    published = {"source": EVIL, "test_balanced": {"acsa": 80.0}}
    card = model_card(replace(recipe, title=EVIL, published=published), changed)
    shown = r"\# &lt;script>x&lt;/script> \| \[a\](b) \_c\_ \# d"
    assert card.count(shown) == card.count("script>x") == len(counts) + 5  # title, data twice, hardware, source
    assert card.startswith(f"# {shown} on {shown}, seed 0\n")
    assert sum(line.startswith("#") for line in card.splitlines()) == 1
    assert "Recipe `` a`b `` (SHA-256" in " ".join(card.split())


def test_a_class_of_ten_thousand_letters_is_cut_on_the_card(tiny):
    recipe, metrics, _ = tiny
    card = model_card(recipe, metrics | {"train_counts": {"a" * 10_000: 3}})
    assert "a" * 100 not in card


class Generator(BaseEstimator):
    classes_ = np.array(["+cmd|' /C calc'!A0", "=1+1", "plain"], dtype=object)

    def fit(self, X, y):
        return self

    def __sklearn_is_fitted__(self):
        return True

    def sample(self, n, *, y, random_state):
        return np.random.default_rng(len(y)).normal(size=(n, 2))

    def encode(self, X):
        return X


def test_a_map_holds_no_formula_and_the_report_reads_the_labels_back(tmp_path):
    labels = np.repeat(Generator.classes_, 10)

    class Splits:
        X_train, y_train, class_names = np.random.default_rng(0).normal(size=(30, 2)), labels, {}

    assert write_tsne(Generator(), Splits(), Evaluation(tsne_points=60), tmp_path / "tsne.csv")
    text = (tmp_path / "tsne.csv").read_text(encoding="utf-8")
    assert ",=1+1" not in text
    assert ",+cmd" not in text
    assert {*read_map(tmp_path / "tsne.csv").labels} == {*Generator.classes_}


def test_a_table_of_samples_holds_no_formula_and_says_what_differs(tmp_path):
    table = pd.DataFrame(
        {"=a": [1.5, -2.0], "day": pd.to_datetime(["2026-01-01", "2026-01-02"]), "text": ["@x", "-1"], "n": [-1, 2]}
    )
    with pytest.warns(UserWarning, match="in =a, text, label some begin like formulas, which a spreadsheet"):
        _write_table(table, "label", "=1+1", tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_text().splitlines() == [
        "'=a,day,text,n,label",
        "1.5,2026-01-01,'@x,-1,'=1+1",
        "-2.0,2026-01-02,-1,2,'=1+1",
    ]


@pytest.mark.filterwarnings("error")
def test_a_table_without_formulas_is_written_as_it_is(tmp_path):
    table = pd.DataFrame({"a": pd.Categorical(["+", "-"]), "b": [True, False], 3: [None, "x"]})
    _write_table(table, "label", "+", tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_text() == "a,b,3,label\n+,True,,+\n-,False,x,+\n"
