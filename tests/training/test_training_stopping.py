import numpy as np
import pytest
import torch
from sklearn.datasets import make_classification
from torch import nn

from latentover import DeepClassifier, RAEClassifier
from latentover.estimators.watch import validation_rows
from latentover.metrics import acsa
from latentover.training import ConstantPrediction, EarlyStopping, TrainingDiverged, diversity_ratio


class TestEarlyStopping:
    def test_stops_after_its_patience_and_restores_the_best(self):
        network = nn.Linear(1, 1, bias=False)
        stopping, answers = EarlyStopping(network, 2), []
        for score in (0.5, 0.7, 0.6, 0.7):
            network.weight.data.fill_(score * 10)
            answers.append(stopping.update(score))
        assert answers == [False, False, False, True]
        stopping.restore()
        assert network.weight.item() == pytest.approx(7.0)

    def test_of_an_estimator_uses_the_weights_that_scored_best(self):
        X, y = make_classification(300, weights=[0.8], flip_y=0.3, random_state=0)
        model = DeepClassifier(
            early_stopping=True,
            max_epochs=40,
            n_iter_no_change=4,
            hidden_units=32,
            learning_rate=1e-2,
            device="cpu",
            random_state=0,
        ).fit(X, y)
        scores = [row["validation_acsa"] for row in model.history_]
        assert len(scores) < 40
        assert len(scores) == int(np.argmax(scores)) + 1 + 4
        # The rows that were set aside, drawn once more by the same device.
        from latentover.training import draw_seed, seeded

        with seeded(draw_seed(0)) as generator:
            aside = validation_rows(torch.from_numpy(y), 0.1, generator).numpy()
        assert acsa(y[aside], model.predict(X[aside])) == pytest.approx(max(scores))

    def test_validation_rows_are_taken_from_every_class_that_can_spare_some(self):
        labels = torch.tensor([0] * 95 + [1] * 11 + [2] * 4 + [3] * 3)
        rows = validation_rows(labels, 0.1, torch.Generator().manual_seed(0))
        assert torch.bincount(labels[rows], minlength=4).tolist() == [10, 2, 1, 0]
        assert rows.unique().numel() == len(rows)

    def test_without_a_class_that_can_spare_one(self):
        with pytest.raises(ValueError, match="Expected a class of at least 4 samples"):
            validation_rows(torch.tensor([0, 0, 1]), 0.5, torch.Generator())


class TestConstantPrediction:
    def test_raises_after_long_and_names_since_when(self):
        watch = ConstantPrediction(reports=3, steps=20)
        for step in (10, 20):
            watch.update(step, 1.0)
        watch.update(30, 2.5)  # learns again
        for step in (40, 50):
            watch.update(step, 1.0)
        with pytest.raises(TrainingDiverged, match="into one class since step 40"):
            watch.update(60, 1.0)

    def test_of_an_estimator_that_cannot_learn(self):
        X, y = np.zeros((60, 4)), np.repeat([0, 1], [50, 10])
        with pytest.raises(TrainingDiverged, match="put every sample into one class"):
            RAEClassifier(
                max_steps=400, hidden_units=8, batch_size=8, adversarial_every=400, reconstruct_every=400, dropout=0.0
            ).fit(X, y)


def test_diversity_ratio():
    real = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    assert diversity_ratio(real, real) == pytest.approx(1)
    assert diversity_ratio(real, 0.25 * real + 7) == pytest.approx(0.25, rel=1e-5)
    assert diversity_ratio(real, real[:1].expand(9, 3)) == 0
    assert np.isnan(diversity_ratio(torch.ones(4, 2), real[:, :2]))
