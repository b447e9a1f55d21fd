"""What the history tells when asked, and the two sets of weights that a validation part gives."""

import numpy as np
import pytest
import torch

from latentover import DeepClassifier, M2mClassifier, load, save
from latentover.estimators.watch import spread_rows
from latentover.metrics.tracking import tracked_scores
from latentover.mixing import AMMixup, MAMix
from latentover.training import Engine

SMALL = {
    "feature_dim": 4,
    "hidden_units": 8,
    "dropout": 0.2,
    "learning_rate": 0.01,
    "max_epochs": 4,
    "batch_size": 32,
    "device": "cpu",
    "random_state": 0,
}
HALVES = {**SMALL, "max_epochs": 30, "early_stopping": True, "validation_fraction": 0.3, "final_weights": "last"}


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1, 2], [120, 60, 24])
    X = rng.normal(size=(204, 4))
    X[np.arange(204), y] += 1.5
    return X, np.array(["rust", "scratch", "dent"])[y]


class TestTracking:
    @pytest.mark.parametrize("settings", [{}, {"loss": "ldam", "ldam_scale": 8.0}, {"mixing": AMMixup()}])
    def test_the_last_row_is_of_the_fitted_networks(self, data, settings):
        X, y = data
        fitted = DeepClassifier(**SMALL, track=True, **settings).fit(X, y)
        outputs, numbers = fitted.decision_function(X), np.searchsorted(fitted.classes_, y)
        outputs = outputs / 8 if "loss" in settings else outputs  # cosines
        expected = tracked_scores(outputs, fitted.encode(X), numbers, fitted.class_counts_)
        assert {"margin_gap", "class_alignment", "accuracy_medium", "margin_of_2"} < expected.keys()
        for name, value in expected.items():
            assert fitted.history_[-1][f"train_{name}"] == pytest.approx(value, abs=1e-4), name
        assert len({row["train_margin"] for row in fitted.history_}) == 4

    def test_nothing_else_changes(self, data):
        X, y = data
        settings = {**SMALL, "mixing": MAMix(), "early_stopping": True}
        plain, tracked = (DeepClassifier(**settings, track=track).fit(X, y) for track in (False, True))
        np.testing.assert_array_equal(plain.decision_function(X), tracked.decision_function(X))
        for before, after in zip(plain.history_, tracked.history_, strict=True):
            assert {name: after[name] for name in before if name != "seconds"} == {
                name: value for name, value in before.items() if name != "seconds"
            }
            assert len(after) > len(before)

    def test_the_validation_part_scores_as_early_stopping_does(self, data):
        fitted = DeepClassifier(**HALVES, track=True).fit(*data)
        for row in fitted.history_:
            assert row["validation_accuracy"] == pytest.approx(row["validation_acsa"])

    def test_lines_of_progress_stay_short(self, data, capsys):
        DeepClassifier(**SMALL, track=True, verbose=1).fit(*data)
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) >= 4
        assert not any("margin" in line for line in lines)

    def test_an_interrupted_training_has_the_same_history(self, data, tmp_path, monkeypatch):
        settings = {**SMALL, "track": True, "checkpoint": str(tmp_path / "training"), "checkpoint_every": 8}
        whole = DeepClassifier(**settings).fit(*data)
        update, steps = Engine.update, []

        def interrupted(self, phase):
            steps.append(0)
            if len(steps) > 18:
                raise InterruptedError
            return update(self, phase)

        monkeypatch.setattr(Engine, "update", interrupted)
        with pytest.raises(InterruptedError):
            DeepClassifier(**settings).fit(*data)
        monkeypatch.undo()
        resumed = DeepClassifier(**settings).fit(*data)
        names = whole.history_[0].keys() - {"seconds"}
        assert [{name: row[name] for name in names} for row in resumed.history_] == [
            {name: row[name] for name in names} for row in whole.history_
        ]

    def test_of_m2m_but_not_of_its_guide(self, data):
        fitted = M2mClassifier(**SMALL, track=True).fit(*data)
        assert "train_margin_gap" in fitted.history_[-1]
        assert "train_margin_gap" not in fitted.guide_history_[-1]

    def test_rows_are_spread_over_classes_and_within_them(self):
        labels = torch.tensor([0] * 50 + [1] * 3 + [0] * 50 + [2] * 10)
        rows = spread_rows(labels, 15)
        assert torch.bincount(labels[rows]).tolist() == [5, 3, 5]
        assert rows[labels[rows] == 0].tolist() == [0, 20, 40, 63, 83]
        assert torch.equal(spread_rows(labels, 1000), torch.arange(113))


class TestBestOnValidation:
    def test_both_sets_of_weights_are_those_of_their_epochs(self, data):
        """A training that ends with the best epoch has its weights, for nothing here depends on how long it lasts."""
        X, y = data
        long = DeepClassifier(**HALVES).fit(X, y)
        scores = [row["validation_acsa"] for row in long.history_]
        assert len(scores) == 30
        assert 1 < long.best_epoch_ == scores.index(max(scores)) + 1 < 30
        short = DeepClassifier(**{**HALVES, "max_epochs": long.best_epoch_}).fit(X, y)
        best = long.best_on_validation()
        np.testing.assert_array_equal(best.decision_function(X), short.decision_function(X))
        assert not np.allclose(best.decision_function(X), long.decision_function(X))
        stopped = DeepClassifier(**{**HALVES, "final_weights": "best", "n_iter_no_change": 30}).fit(X, y)
        np.testing.assert_array_equal(best.decision_function(X), stopped.decision_function(X))
        assert stopped.best_epoch_ == long.best_epoch_

    def test_they_are_not_kept_without_being_asked_for_and_not_in_bundles(self, data, tmp_path):
        X, y = data
        for settings in ({}, {"early_stopping": True}):
            with pytest.raises(ValueError, match=r"Expected a classifier that kept its best .*final_weights='last'"):
                DeepClassifier(**SMALL, **settings).fit(X, y).best_on_validation()
        with pytest.raises(AttributeError, match="Expected a classifier fitted with early_stopping=True"):
            _ = DeepClassifier(**SMALL).fit(X, y).best_epoch_
        fitted = DeepClassifier(**HALVES).fit(X, y)
        again = load(save(fitted, tmp_path))
        np.testing.assert_array_equal(again.decision_function(X), fitted.decision_function(X))
        with pytest.raises(ValueError, match="Expected a classifier that kept its best weights"):
            again.best_on_validation()

    def test_a_later_fit_forgets_them(self, data):
        fitted = DeepClassifier(**HALVES).fit(*data)
        fitted.set_params(early_stopping=False).fit(*data)
        with pytest.raises(ValueError, match="kept its best weights"):
            fitted.best_on_validation()


def test_features_are_what_the_linear_classifier_sees(data):
    X, y = data
    fitted = DeepClassifier(**SMALL).fit(X, y)
    linear = fitted.networks_["classifier"]
    with torch.no_grad():
        logits = fitted.encode(X) @ linear.weight.numpy().T + linear.bias.numpy()
    np.testing.assert_allclose(logits, fitted.decision_function(X), atol=1e-5)
