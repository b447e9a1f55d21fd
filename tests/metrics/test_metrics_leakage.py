"""Leakage is found where samples were mixed before the split, and not where they were mixed after it."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from imblearn.over_sampling import SMOTE, RandomOverSampler
from imblearn.pipeline import make_pipeline
from sklearn.model_selection import StratifiedKFold, cross_val_score, train_test_split
from sklearn.neighbors import KNeighborsClassifier

from latentover import BAGANSampler, ClassicalSampler, MultiClassCCR, RAESampler
from latentover.metrics import check_leakage

SEEDS = range(4)


def make_data(seed, d, n=800):
    rng = np.random.default_rng(seed)
    y = (rng.random(n) < 0.08).astype(int)
    return rng.normal(size=(n, d)) + 0.5 * y[:, None], y


def over_sampled_before(seed, d, sampler):
    X, _ = sampler.fit_resample(*make_data(seed, d))
    return train_test_split(X, test_size=0.3, random_state=seed)


def over_sampled_after(seed, d, sampler):
    X, y = make_data(seed, d)
    X_train, X_test, y_train, _ = train_test_split(X, y, test_size=0.3, stratify=y, random_state=seed)
    return sampler.fit_resample(X_train, y_train)[0], X_test


class TestOverSampling:
    @pytest.mark.parametrize("seed", SEEDS)
    @pytest.mark.parametrize("d", [5, 20, 60])
    def test_before_the_split_is_found(self, d, seed):
        found = check_leakage(*over_sampled_before(seed, d, SMOTE(random_state=0)))
        assert found.flagged
        assert found.near_copies > found.expected
        assert found.copies == 0

    @pytest.mark.parametrize("seed", SEEDS)
    @pytest.mark.parametrize("d", [1, 2, 5, 20, 60])
    def test_after_the_split_is_not(self, d, seed):
        assert not check_leakage(*over_sampled_after(seed, d, SMOTE(random_state=0))).flagged

    @pytest.mark.parametrize("seed", SEEDS)
    def test_of_real_test_rows_is_found(self, seed):
        X, y = make_data(seed, 10)
        X_resampled, _ = SMOTE(random_state=0).fit_resample(X, y)
        tests = np.random.default_rng(seed).permutation(len(X))[:240]
        found = check_leakage(np.delete(X_resampled, tests, axis=0), X[tests])
        assert found.flagged
        # Only rare rows have synthetic ones near them: 8 % of all, more than half of those that are named.
        assert np.mean(y[tests[found.rows]]) > 0.5

    def test_by_repetition_gives_copies(self):
        train, test = over_sampled_before(0, 5, RandomOverSampler(random_state=0))
        found = check_leakage(train, test)
        known = {row.tobytes() for row in train}
        assert found.rows.tolist() == [i for i, row in enumerate(test) if row.tobytes() in known]
        assert (found.copies, found.near_copies, found.flagged) == (len(found.rows), 0, True)

    def test_of_a_frame(self):
        train, test = over_sampled_before(1, 6, SMOTE(random_state=0))
        frames = [pd.DataFrame(X).assign(town=np.where(X[:, 0] > 0, "Graz", "Linz")) for X in (train, test)]
        assert check_leakage(*frames).flagged
        frames[1]["town"] = frames[1]["town"].astype("category")
        assert check_leakage(*frames).flagged


SAMPLERS = [
    ClassicalSampler(random_state=0),
    RAESampler(max_steps=2, hidden_units=64, latent_dim=8, clip="none", device="cpu", random_state=0),
    BAGANSampler(max_epochs=1, autoencoder_epochs=1, hidden_units=8, latent_dim=2, device="cpu", random_state=0),
]
"""Made from rows, from latents of rows, and from a distribution: the last ones have no parents."""


@pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda sampler: type(sampler).__name__)
class TestSampler:
    """What a sampler made is followed to its parents, whatever the distances."""

    def test_over_sampled_and_then_split(self, sampler):
        X, y = make_data(0, 2, n=200)
        X_new, _ = sampler.fit_resample(X, y)
        train, test = train_test_split(np.arange(len(X_new)), test_size=0.3, random_state=0)
        found = check_leakage(X_new[train], X_new[test], sampler=sampler, X_resampled=X_new)
        made, parents = sampler.synthetic_mask_, sampler.parents_
        assert found.flagged
        assert found.fitted_to == (~made[test]).sum()
        assert found.synthetic == made[test].sum()
        assert found.children == np.isin(parents[train][made[train]], test).any(axis=1).sum()
        assert (found.children > 0) == (parents.shape[1] > 0)
        assert found.rows.tolist() == list(range(len(test)))
        assert "split first, then over-sample" in str(found)

    def test_over_sampled_and_then_tested_on_some_of_it(self, sampler):
        X, y = make_data(0, 2, n=200)
        X_new, _ = sampler.fit_resample(X, y)
        found = check_leakage(np.delete(X_new, np.arange(50), axis=0), X[:50], sampler=sampler, X_resampled=X_new)
        assert (found.flagged, found.fitted_to, found.synthetic) == (True, 50, 0)

    @pytest.mark.parametrize("frame", [False, True])
    def test_split_and_then_over_sampled(self, sampler, frame):
        X, y = make_data(0, 3, n=200)
        X = pd.DataFrame(X, columns=list("abc")) if frame else X
        X_train, X_test, y_train, _ = train_test_split(X, y, test_size=0.3, stratify=y, random_state=0)
        X_new, _ = sampler.fit_resample(X_train, y_train)
        found = check_leakage(X_new, X_test, sampler=sampler)
        assert not found.flagged
        assert (found.fitted_to, found.children, found.synthetic) == (0, 0, 0)


def test_a_sampler_that_moves_and_removes_rows_is_followed():
    X, y = make_data(0, 3, n=200)
    sampler = MultiClassCCR(energy=0.5, random_state=0)
    X_new, _ = sampler.fit_resample(X, y)
    train, test = train_test_split(np.arange(len(X_new)), test_size=0.3, random_state=0)
    found = check_leakage(X_new[train], X_new[test], sampler=sampler, X_resampled=X_new)
    assert found.fitted_to == (~sampler.synthetic_mask_[test]).sum()


def test_a_sampler_has_to_know_the_parents_and_the_data():
    X, y = make_data(0, 3, n=200)
    with pytest.raises(TypeError, match=r"after fit_resample, but got SMOTE\(\) without synthetic_mask_"):
        check_leakage(X, X[:9], sampler=SMOTE())
    with pytest.raises(TypeError, match="without synthetic_mask_, sample_origin_, parents_"):
        check_leakage(X, X[:9], sampler=ClassicalSampler().fit(X, y))
    sampler = ClassicalSampler()
    X_new, _ = sampler.fit_resample(X, y)
    with pytest.raises(ValueError, match=rf"X_resampled to be the {len(X_new)} rows .* but got 20; where it was split"):
        check_leakage(X_new[:20], X_new[20:], sampler=sampler)
    with pytest.raises(ValueError, match=r"sampler to be the one that made X_resampled, but got None"):
        check_leakage(X, X[:9], X_resampled=X_new)


class TestNoise:
    """Labels that have nothing to do with the data, as on the page on leakage."""

    def test_over_sampling_before_the_split_finds_signal_and_in_a_pipeline_none(self, capsys):
        page = (Path(__file__).parents[2] / "docs" / "guide" / "leakage.md").read_text(encoding="utf-8")
        code = re.search(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)[1]
        found = {}
        exec(compile(code, "leakage.md", "exec"), found)
        assert found["leaky"] >= 0.7
        assert found["honest"] == pytest.approx(0.5, abs=0.06)
        printed = capsys.readouterr().out.strip()
        assert f"# {printed}\n" in code  # the page says what its code says

    def test_a_deep_sampler_in_a_pipeline_finds_none(self):
        X, y = np.random.default_rng(0).normal(size=(1000, 10)), np.repeat([0, 1], [900, 100])
        sampler = RAESampler(max_steps=5, hidden_units=16, device="cpu", random_state=0)
        folds = StratifiedKFold(5, shuffle=True, random_state=0)
        model = make_pipeline(sampler, KNeighborsClassifier(3))
        score = cross_val_score(model, X, y, cv=folds, scoring="balanced_accuracy").mean()
        assert score == pytest.approx(0.5, abs=0.06)


class TestResult:
    def test_does_not_depend_on_units(self):
        train, test = over_sampled_before(2, 5, SMOTE(random_state=0))
        units = np.array([1e-3, 1, 1e4, 3, 1e6])
        first, second = check_leakage(train, test), check_leakage(train * units, test * units)
        assert first.rows.tolist() == second.rows.tolist()
        assert first[:4] == second[:4]

    def test_by_hand(self):
        test = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [10.0, 10.0]])
        train = np.array([[0.5, 0.0], [5.0, 4.0], [30.0, -30.0], [10.0, 10.0]])
        found = check_leakage(train, test)
        assert (found.copies, found.near_copies, found.expected, found.n) == (1, 1, 0, 4)
        assert found.rows.tolist() == [0, 3]
        assert found.p_value == 0.5  # one against none, as a coin

    def test_of_images(self):
        rng = np.random.default_rng(0)
        train, test = (rng.integers(0, 256, size=(n, 1, 8, 8), dtype=np.uint8) for n in (40, 12))
        assert not check_leakage(train, test).flagged
        train[7] = test[3]
        assert check_leakage(train, test).rows.tolist() == [3]

    def test_says_it_in_words(self):
        rng = np.random.default_rng(0)
        train = rng.normal(size=(50, 3))
        assert str(check_leakage(train, train[:9])).startswith("Test samples stand in the training data: of 9 test")

    @pytest.mark.parametrize(
        ("train", "test", "message"),
        [
            (np.zeros((9, 2)), np.zeros((9, 3)), "one shape"),
            (np.zeros((9, 2)), np.zeros((9, 2)), "at least 4 different"),
            (np.full((9, 2), np.nan), np.eye(9)[:, :2], "X_train.* finite"),
            (pd.DataFrame({"a": [1]}), pd.DataFrame({"b": [1]}), "the columns of"),
        ],
    )
    def test_of_data_that_does_not_do(self, train, test, message):
        with pytest.raises(ValueError, match=message):
            check_leakage(train, test)
