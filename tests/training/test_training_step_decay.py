import pytest

from latentover.training.step_decay import StepDecay


class TestStepDecay:
    def test_oracles_of_200_epochs(self):
        epochs = [0, 4, 5, 159, 160, 179, 180, 199]
        expected = [0.02, 0.1, 0.1, 0.1, 1e-3, 1e-3, 1e-5, 1e-5]
        assert [0.1 * StepDecay().at(epoch, 200) for epoch in epochs] == pytest.approx(expected)

    def test_oracles_of_300_epochs(self):
        schedule = StepDecay(warmup=5 / 300, milestones=(150 / 300, 250 / 300), factor=0.1)
        epochs = [0, 4, 149, 150, 249, 250, 299]
        expected = [0.02, 0.1, 0.1, 0.01, 0.01, 0.001, 0.001]
        assert [0.1 * schedule.at(epoch, 300) for epoch in epochs] == pytest.approx(expected)

    @pytest.mark.parametrize("n_epochs", [1, 2, 7, 20, 120])
    def test_any_number_of_epochs_rises_once_and_then_falls(self, n_epochs):
        factors = [StepDecay(milestones=(0.5, 0.75)).at(epoch, n_epochs) for epoch in range(n_epochs)]
        top = factors.index(max(factors))
        assert factors == sorted(factors[:top]) + sorted(factors[top:], reverse=True)
        assert max(factors) == 1.0

    @pytest.mark.parametrize(
        "wrong", [{"warmup": 5}, {"milestones": (160, 180)}, {"milestones": (0.9, 0.8)}, {"factor": 0.0}]
    )
    def test_refuses_epochs_for_fractions(self, wrong):
        with pytest.raises(ValueError, match=r"Expected (warmup and milestones|factor) to be"):
            StepDecay(**wrong)
