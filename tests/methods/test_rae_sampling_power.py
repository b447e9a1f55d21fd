"""How often classes are drawn, and the logit adjustment that goes with it."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from latentover import RAEClassifier
from latentover.methods.rae import RAEProgram
from latentover.training import ClassTuples, class_probabilities

COUNTS = [160, 40, 10]
LABELS = np.repeat([0, 1, 2], COUNTS)


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_classes_are_drawn_in_proportion_to_their_size_to_the_power(power):
    expected = np.array(COUNTS) ** power / (np.array(COUNTS) ** power).sum()
    np.testing.assert_allclose(class_probabilities(torch.tensor(COUNTS), power), expected)
    batches = ClassTuples(torch.from_numpy(LABELS), 5000, 2, torch.Generator().manual_seed(0), power=power)
    drawn = np.bincount(LABELS[next(batches)[:, 0].numpy()], minlength=3) / 5000
    np.testing.assert_allclose(drawn, expected, atol=4 * np.sqrt(0.25 / 5000))


def test_logits_are_adjusted_by_the_log_of_those_probabilities():
    X = np.random.default_rng(0).normal(size=(len(LABELS), 4))
    model = RAEClassifier(
        sampling_power=0.5, loss="logit_adjusted", tau=2.0, max_steps=1, hidden_units=8, batch_size=8, device="cpu"
    ).fit(X, LABELS)
    logits, label = torch.randn(7, 3), torch.tensor([0, 1, 2, 0, 1, 2, 0])
    training = RAEProgram.__new__(RAEProgram)
    training.settings = model
    training.class_probabilities = class_probabilities(torch.tensor(COUNTS), 0.5).float()
    priors = np.sqrt(COUNTS) / np.sqrt(COUNTS).sum()
    written_out = [
        -np.log(priors[y] ** 2 * np.exp(f[y]) / sum(priors[c] ** 2 * np.exp(f[c]) for c in range(3)))
        for f, y in zip(logits.double().numpy(), label.numpy(), strict=True)
    ]
    torch.testing.assert_close(
        F.cross_entropy(training.adjust(logits), label).double(),
        torch.tensor(np.mean(written_out)),
        rtol=1e-5,
        atol=1e-6,
    )
    model.set_params(loss="ce")
    assert training.adjust(logits) is logits


def test_power_above_one_is_refused():
    with pytest.raises(ValueError, match=r"sampling_power to be a number at least 0 and at most 1, but got 1\.5"):
        RAEClassifier(sampling_power=1.5).fit(np.eye(4), [0, 0, 1, 1])
