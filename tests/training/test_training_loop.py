import io

import pytest
import torch
from torch import nn

from latentover.training import Phase, TrainingDiverged, apply_gradients, gradient_norm, optimizer_step, train


class Terminal(io.StringIO):
    def isatty(self):
        return True


def logged(log, name, value=0.0):
    def update():
        log.append(name)
        return {name: torch.tensor(value)}

    return update


class TestTrain:
    def test_phases_run_in_their_order_intervals_and_repeats(self):
        log = []
        phases = [
            Phase("a", logged(log, "a")),
            Phase("b", logged(log, "b"), every=2),
            Phase("c", logged(log, "c"), every=3, repeat=2),
        ]
        train(phases, 5)
        assert "".join(log) == "abcc" + "a" + "ab" + "acc" + "ab"

    def test_a_phase_may_repeat_zero_times(self):
        log = []
        history = train([Phase("a", logged(log, "a")), Phase("b", logged(log, "b"), repeat=0)], 3)
        assert log == ["a"] * 3
        assert set(history[0]) == {"step", "seconds", "a"}

    def test_history_holds_means_since_the_row_before(self):
        values = iter([1.0, 2.0, 3.0, 4.0, 5.0])
        history = train([Phase("a", lambda: {"loss": torch.tensor(next(values))})], 5, report_every=2)
        assert [row["step"] for row in history] == [2, 4, 5]
        assert [row["loss"] for row in history] == [1.5, 3.5, 5.0]
        seconds = [row["seconds"] for row in history]
        assert seconds == sorted(seconds)
        assert seconds[0] >= 0

    def test_a_rare_phase_is_averaged_over_its_own_updates(self):
        values = iter([1.0, 5.0])
        phases = [Phase("a", logged([], "a")), Phase("b", lambda: {"b": torch.tensor(next(values))}, every=3)]
        (row,) = train(phases, 4)
        assert row["b"] == 3.0

    def test_on_step_gets_the_fraction_done(self):
        seen = []
        train([], 4, on_step=seen.append)
        assert seen == [0, 0.25, 0.5, 0.75]

    @pytest.mark.parametrize("value", [float("nan"), float("inf")])
    def test_a_loss_that_is_not_finite_is_named(self, value):
        with pytest.raises(TrainingDiverged, match=r"The critic loss became (nan|inf) before step 2\. Lower the learn"):
            train([Phase("critic", logged([], "critic", value))], 9, report_every=2)

    def test_lines_instead_of_a_bar_where_there_is_no_terminal(self, capsys):
        train([Phase("a", logged([], "a", 2.0))], 30, report_every=1, verbose=1, description="Toy")
        captured = capsys.readouterr()
        lines = captured.err.splitlines()
        assert captured.out == ""
        assert [line.split(" steps")[0] for line in lines] == [f"Toy: {step}/30" for step in range(3, 31, 3)]
        assert lines[-1].endswith("0 s left, a 2")

    def test_a_bar_on_a_terminal_alone_and_only_if_asked(self, capsys, monkeypatch):
        train([Phase("a", logged([], "a"))], 3, verbose=0, description="Toy")
        captured = capsys.readouterr()
        assert captured.out == captured.err == ""
        terminal = Terminal()
        monkeypatch.setattr("sys.stderr", terminal)
        train([Phase("a", logged([], "a"))], 3, description="Toy")
        assert terminal.getvalue() == ""
        train([Phase("a", logged([], "a"))], 3, verbose=1, description="Toy")
        assert "Toy" in terminal.getvalue()
        assert capsys.readouterr().out == ""


class TestOptimizerStep:
    def test_updates_along_the_gradient_and_touches_nothing_else(self):
        ours, theirs = nn.Linear(2, 1), nn.Linear(2, 1)
        theirs.weight.grad = torch.full((1, 2), 7.0)
        x, before = torch.randn(4, 2), ours.weight.detach().clone()
        optimizer_step(torch.optim.SGD(ours.parameters(), lr=0.1), (ours(x) + theirs(x)).mean(), ours.parameters())
        torch.testing.assert_close(ours.weight, before - 0.1 * x.mean(dim=0))
        assert (theirs.weight.grad == 7).all()
        assert theirs.bias.grad is None
        assert ours.weight.grad is None

    def test_returns_the_gradients_of_what_has_influence(self):
        used, idle = nn.Linear(2, 1), nn.Linear(2, 1)
        parameters = [*used.parameters(), *idle.parameters()]
        gradients = optimizer_step(torch.optim.SGD(parameters), used(torch.tensor([[2.0, 6.0]])).sum() * 2, parameters)
        assert [gradient.tolist() for gradient in gradients] == [[[4.0, 12.0]], [2.0]]
        assert gradient_norm(gradients).item() == pytest.approx((4**2 + 12**2 + 2**2) ** 0.5)

    def test_parameters_without_influence_stay(self):
        used, idle = nn.Linear(2, 1), nn.Linear(2, 1)
        before = idle.weight.detach().clone()
        parameters = [*used.parameters(), *idle.parameters()]
        optimizer_step(torch.optim.SGD(parameters, lr=0.1), used(torch.ones(1, 2)).sum(), parameters)
        assert torch.equal(idle.weight, before)

    def test_a_gradient_may_lie_in_memory_in_another_way_than_its_parameter(self):
        """As those of a gradient penalty do: fused optimizers look at the memory alone."""
        parameter = nn.Parameter(torch.zeros(4, 3, 2, 2).to(memory_format=torch.channels_last))
        gradient = torch.arange(48.0).view(4, 3, 2, 2) - 20
        assert parameter.stride() != gradient.stride()
        apply_gradients([torch.optim.SGD([parameter], lr=1.0, fused=True)], [parameter], [gradient])
        torch.testing.assert_close(parameter.detach(), -gradient)
