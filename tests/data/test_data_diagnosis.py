"""What labels allow, counted; and advice only where it follows."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from imblearn.over_sampling import SMOTE
from sklearn.model_selection import StratifiedKFold

from latentover.data.diagnosis import diagnose


def labels_of(*counts):
    return np.repeat(np.arange(len(counts)), counts)


@given(st.lists(st.integers(1, 60), min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_counts(counts, random):
    y = labels_of(*counts).tolist()
    random.shuffle(y)
    found = diagnose(y)
    assert dict(zip(found.classes, found.counts, strict=True)) == dict(enumerate(counts))
    assert found.counts == sorted(counts, reverse=True)
    assert found.ratio == max(counts) / min(counts)
    assert found.n_new == sum(max(counts) - n for n in counts)


@pytest.mark.parametrize("smallest", [5, 6, 7, 9, 12, 40])
def test_what_stays_in_a_fold_is_what_scikit_learn_leaves(smallest):
    y = labels_of(100, smallest)
    kept = [int((y[train] == 1).sum()) for train, _ in StratifiedKFold(5).split(y, y)]
    assert diagnose(y).smallest_in_fold == min(kept)


@pytest.mark.parametrize("smallest", [3, 5, 6, 9])
def test_feasible_neighbours_are_those_that_smote_accepts(smallest):
    y = labels_of(30, smallest)
    X, k = np.random.default_rng(0).normal(size=(len(y), 2)), diagnose(y).max_neighbors
    SMOTE(k_neighbors=k).fit_resample(X, y)
    with pytest.raises(ValueError, match="n_neighbors"):
        SMOTE(k_neighbors=k + 1).fit_resample(X, y)


@pytest.mark.parametrize(
    ("counts", "notes"),
    [
        ((100, 90), []),
        ((100, 1), ["A single sample of class 1", "SMOTE .* needs 6 samples; class 1 has fewer", "Fewer than 30"]),
        ((100, 4), ["leaves the smallest class out of some folds; it allows 4", "needs 6 samples", "Fewer than 30"]),
        ((100, 7), ["keeps 5 samples for training, fewer than the 6", "Fewer than 30 samples in class 1"]),
        ((100, 12, 9), ["Fewer than 30 samples in 2 classes \\(1, 2\\)"]),
        ((100, 40), []),
        ((3,), ["There is 1 class, 0"]),
    ],
)
def test_notes(counts, notes):
    found = diagnose(labels_of(*counts)).notes
    found = [note for note in found if not note.startswith("The classes are nearly balanced")]
    assert len(found) == len(notes)
    for note, expected in zip(found, notes, strict=True):
        assert re.search(expected, note)


@pytest.mark.parametrize(("counts", "said"), [((100, 90), True), ((100, 60), False)])
def test_nearly_balanced_classes_are_called_so(counts, said):
    assert any("little to add" in note for note in diagnose(labels_of(*counts)).notes) == said


@pytest.mark.parametrize(
    "y",
    [
        ["no"] * 6 + ["yes"] * 2,
        np.array(["no"] * 6 + ["yes"] * 2),
        pd.Series(["no"] * 6 + ["yes"] * 2, dtype="category"),
        pd.Series(["no"] * 6 + ["yes"] * 2, dtype="string"),
    ],
)
def test_labels_of_any_type(y):
    found = diagnose(y)
    assert (found.classes, found.counts) == (["no", "yes"], [6, 2])


def test_nullable_and_boolean_columns():
    assert diagnose(pd.Series([1, 1, 0], dtype="Int64")).classes == [1, 0]
    assert diagnose(pd.Series([True, False, True])).counts == [2, 1]


def test_to_dict_is_json_and_the_table_has_a_line_a_class():
    found = diagnose(labels_of(1756, 111))
    assert json.loads(json.dumps(found.to_dict()))["counts"] == [1756, 111]
    lines = found.sizes_text().splitlines()
    assert lines[2].split() == ["1", "111", "5.95%", "15.8", "1,645"]
    assert "imbalance ratio 15.8" in str(found)


@pytest.mark.parametrize("y", [[], [0.5, 1.0], [[0, 1]], [1, "a", None], [1.0, np.nan]])
def test_what_is_no_column_of_labels(y):
    with pytest.raises(ValueError, match="y"):
        diagnose(y)


def test_what_helps_stands_first_and_in_order():
    lines = str(diagnose(["ok"] * 95 + ["fault"] * 5)).splitlines()
    assert [re.sub(r"\W.*", "", line[3:]) for line in lines[1:5]] == ["Measure", "Decide", "Weigh", "Resample"]
    assert "'ok' is 95.0% accurate" in lines[1]
    assert "'fault' above 5.00% is enough" in lines[2]
    assert "latentover data advise" in lines[5]
    assert lines[6:8] == ["", "class    samples    share  1 : ratio     to add"]
    of_images = str(diagnose(["ok"] * 95 + ["fault"] * 5, images=True)).splitlines()
    assert "logit_adjusted" in of_images[3]
    assert "latentover benchmark configs/photos" in of_images[5]


def test_a_threshold_is_named_for_two_classes_alone():
    assert "is enough" not in str(diagnose(labels_of(100, 20, 5)))


@pytest.mark.parametrize("counts", [(100,), (100, 80), (10, 10, 10)])
def test_balanced_classes_need_no_steps(counts):
    found = diagnose(labels_of(*counts))
    assert found.steps == []
    assert str(found) == found.sizes_text()
