"""What new rows do to classifiers at the natural class ratio: scores against scikit-learn's, and known outcomes."""

import numpy as np
import pandas as pd
import pytest
from imblearn.over_sampling import SMOTE, RandomOverSampler
from imblearn.under_sampling import RandomUnderSampler
from sklearn.metrics import average_precision_score, balanced_accuracy_score

from latentover import ClassicalSampler
from latentover.metrics import resampling_effect
from latentover.metrics.resampling_effect import _Curve, _scores, best_threshold, effect_of_folds

rng = np.random.default_rng(0)


def blobs(n, seed, *, rare=0.1, distance=1.5):
    random = np.random.default_rng(seed)
    y = (random.random(n) < rare).astype(int)
    return random.normal(size=(n, 3)) + distance * y[:, None], y


@pytest.mark.parametrize("decimals", [1, 8])
def test_average_precision_is_scikit_learns_with_weights_too(decimals):
    hit, score, w = rng.random(200) < 0.2, rng.random(200).round(decimals), rng.uniform(0.5, 3, 200)
    assert _Curve(hit, score).average_precision(w) == pytest.approx(
        average_precision_score(hit, score, sample_weight=w)
    )


@pytest.mark.parametrize("decimals", [1, 8])
def test_the_best_threshold_is_the_best_of_all(decimals):
    hit = rng.random(150) < 0.2
    score = np.clip(rng.normal(0.3 + 0.3 * hit, 0.2), 0, 1).round(decimals)
    best = max(balanced_accuracy_score(hit, score >= t) for t in [*np.unique(score), 2])  # all that differ
    assert balanced_accuracy_score(hit, score >= best_threshold(hit, score)) == pytest.approx(best)


def test_scores_by_hand():
    y, w = np.array([0, 0, 0, 0, 1, 1]), np.array([10.0, 10, 10, 10, 1, 1])
    predicted = np.array([0, 0, 0, 1, 1, 0])
    p = np.array([[0.9, 0.1]] * 3 + [[0.2, 0.8]] * 2 + [[0.6, 0.4]])
    scores = _scores(y, w, p, predicted, [_Curve(y == 1, p[:, 1])], np.array([1]), 2)
    assert scores.balanced_accuracy == pytest.approx((0.75 + 0.5) / 2)
    assert scores.recall == 0.5
    assert scores.precision == pytest.approx(1 / 11)
    assert scores.false_alarms == pytest.approx(1000 * 10 / 42)
    assert scores.brier == pytest.approx((30 * 0.02 + 10 * 1.28 + 0.08 + 0.72) / 42)


@pytest.mark.parametrize("sampler", [SMOTE(random_state=0), ClassicalSampler(random_state=0)])
def test_a_sampler_is_fitted_in_each_fold_and_every_row_is_scored_once(sampler):
    X, y = blobs(600, 0)
    effect = resampling_effect(X, y, sampler)
    assert (effect.n_test, effect.n_train, effect.folds) == (600, 1200, 3)
    assert effect.n_new == 2 * int((y == 0).sum() - (y == 1).sum())
    frame = effect.to_frame().set_index(["classifier", "new_rows", "tuned"])
    # Over-sampling moves probabilities: recall rises and precision falls at the usual threshold.
    assert frame.loc[("logistic", True, False), "recall"] > frame.loc[("logistic", False, False), "recall"]
    assert frame.loc[("logistic", True, False), "brier"] > frame.loc[("logistic", False, False), "brier"]
    # What a tuned threshold does alike, it does without new rows too.
    assert abs(effect.differences["logistic"]["tuned_balanced_accuracy"].value) < 0.05
    assert "Logistic regression" in repr(effect)
    assert effect.to_dict()["differences"]["logistic"]["auprc"]["low"] < 0.05


def test_good_rows_help_and_wrong_ones_harm():
    (X, y), (T, t) = blobs(2000, 1, rare=0.02, distance=1.2), blobs(4000, 2, rare=0.1, distance=1.2)
    more = np.random.default_rng(3).normal(size=(400, 3)) + 1.2
    parts = [(pd.DataFrame(X), y), (pd.DataFrame(more), np.ones(400, int)), (pd.DataFrame(T), t)]
    good = effect_of_folds([parts]).differences["boosting"]["auprc"]
    assert good.low > 0
    parts[1] = (pd.DataFrame(more - 2.4), np.ones(400, int))
    assert effect_of_folds([parts]).differences["boosting"]["auprc"].high < 0


def test_several_classes_and_names_of_classes():
    random = np.random.default_rng(0)
    y = np.repeat(["a", "b", "c"], [300, 40, 20])
    X = random.normal(size=(360, 2)) + 3 * np.unique(y, return_inverse=True)[1][:, None]
    effect = resampling_effect(X, y, RandomOverSampler(random_state=0))
    assert effect.classes == ("a", "b", "c")
    assert effect.rare == ("b", "c")
    for row in effect.rows:
        assert row.scores.recall == pytest.approx(row.scores.balanced_accuracy)
        assert 0.5 < row.scores.balanced_accuracy <= 1


def test_too_few_rows_to_tune_still_give_scores():
    X, y = blobs(60, 0)
    y[:] = 0
    y[:4] = 1
    X[:4] += 5
    parts = [(pd.DataFrame(X[2:]), y[2:]), (pd.DataFrame(X[:4]), y[:4]), (pd.DataFrame(X), y)]
    effect = effect_of_folds([parts])
    assert not any(row.tuned for row in effect.rows)
    assert len(effect.rows) == 4


def test_what_cannot_be_compared_is_refused():
    X, y = blobs(100, 0)
    with pytest.raises(ValueError, match="at least 2 classes of at least 3 rows"):
        resampling_effect(X, np.zeros(100, int), SMOTE())
    with pytest.raises(ValueError, match="RandomUnderSampler, which leaves rows out"):
        resampling_effect(X, y, RandomUnderSampler())
    with pytest.raises(ValueError, match="a label a row"):
        resampling_effect(X, y[:-1], SMOTE())
