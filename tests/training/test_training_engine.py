"""The engine on small programs whose every update is known."""

import io
import re
import sys
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from latentover.training import (
    Action,
    Engine,
    NaturalBatches,
    Phase,
    Program,
    TrainingDiverged,
    WeightAverage,
    apply_gradients,
    gradient_norm,
    progress,
    rate_over,
)
from latentover.training.averaging import with_children


class Terminal(io.StringIO):
    def isatty(self):
        return True


def toy(phases=(), n_steps=5, *, network=None, optimizers=None, **program):
    """Return a program of one network w, a number, and SGD with a rate of 1."""
    network = nn.Linear(1, 1, bias=False) if network is None else network
    optimizers = {"w": torch.optim.SGD(network.parameters(), lr=1.0)} if optimizers is None else optimizers
    return Program(networks=network, optimizers=optimizers, phases=phases, n_steps=n_steps, **program)


def engine(program, **settings):
    return Engine(program, torch.Generator().manual_seed(0), **settings)


def logged(log, name, value=0.0, **phase):
    """Return a phase that moves nothing, reports `value`, a number or an iterator, and writes its name into a log."""

    def draw():
        log.append(name)
        return torch.tensor(next(value) if hasattr(value, "__next__") else value)

    return Phase(name=name, draw=draw, losses=lambda drawn: {name: drawn}, moves={}, **phase)


class TestSteps:
    def test_phases_run_in_their_order_intervals_and_repeats(self):
        log = []
        phases = [logged(log, "a"), logged(log, "b", every=2), logged(log, "c", every=3, repeat=2)]
        engine(toy(phases)).run()
        assert "".join(log) == "abcc" + "a" + "ab" + "acc" + "ab"

    def test_a_phase_may_repeat_zero_times(self):
        log = []
        history = engine(toy([logged(log, "a"), logged(log, "b", repeat=0)], 3)).run()
        assert log == ["a"] * 3
        assert set(history[0]) == {"step", "seconds", "a"}

    def test_actions_come_in_their_place(self):
        log = []
        act = Action(name="look", run=lambda: log.append("!"), when=lambda step: step == 1)
        engine(toy([logged(log, "a"), act, logged(log, "b")], 3)).run()
        assert "".join(log) == "ab" + "a!b" + "ab"

    def test_a_phase_with_an_end_stops_repeating_there(self):
        values = iter([3.0, 2.0, 1.0, 0.5])
        log = []
        phase = logged(log, "a", values, repeat=9, when=lambda step: step == 0, until=lambda x: x["a"].item() < 1.5)
        history = engine(toy([phase], 2)).run()
        assert log == ["a"] * 3
        assert history[0]["a"] == 2.0

    def test_streams_advance_before_each_update(self):
        batches = NaturalBatches(6, 4, torch.Generator().manual_seed(0))
        sizes = []
        phase = Phase(
            name="a",
            draw=lambda: sizes.append(len(batches.draw())),
            losses=lambda _: {"a": torch.zeros(())},
            moves={},
            streams=[batches],
        )
        engine(toy([phase], 4)).run()
        assert sizes == [4, 2, 4, 2]

    def test_before_step_gets_each_step(self):
        seen = []

        class Watching(Program):
            def before_step(self, step):
                seen.append(step)

        network = nn.Linear(1, 1)
        engine(Watching(networks=network, optimizers={}, phases=[], n_steps=4)).run()
        assert seen == [0, 1, 2, 3]


class TestUpdates:
    def test_each_optimizer_follows_its_weighted_sum_of_losses_from_the_same_passes(self):
        """Neither sees the other's step: both gradients belong to where the parameters were."""
        network = nn.ParameterDict({"a": torch.tensor(2.0), "b": torch.tensor(3.0)})
        optimizers = {name: torch.optim.SGD([network[name]], lr=0.1) for name in ("a", "b")}
        phase = Phase(
            name="both",
            draw=lambda: 5.0,
            losses=lambda x: {"product": network["a"] * network["b"] * x, "square": network["a"] ** 2},
            moves={"a": {"product": 1.0, "square": 10.0}, "b": {"product": -2.0}},
        )
        made = engine(toy([phase], 1, network=network, optimizers=optimizers))
        made.run()
        assert network["a"].item() == pytest.approx(2 - 0.1 * (15 + 10 * 4))
        assert network["b"].item() == pytest.approx(3 + 0.1 * 2 * 10)

    def test_gradients_are_those_of_the_update(self):
        network = nn.Linear(2, 1)
        phase = Phase(
            name="a", draw=lambda: torch.tensor([[1.0, 2.0]]), losses=lambda x: {"a": network(x).sum()},
            moves={"w": {"a": 3.0}},
        )  # fmt: skip
        made = engine(toy([phase], network=network))
        losses, gradients = made.gradients(phase, made.draw(phase))
        assert [gradient.tolist() for gradient in gradients["w"]] == [[[3.0, 6.0]], [3.0]]
        assert losses["a"].item() == pytest.approx(network(torch.tensor([[1.0, 2.0]])).item())
        assert network.weight.grad is None

    def test_touches_nobody_elses_gradients_and_leaves_none(self):
        theirs = nn.Linear(1, 1)
        theirs.weight.grad = torch.full((1, 1), 7.0)
        network = nn.Linear(1, 1, bias=False)
        phase = Phase(
            name="a",
            draw=lambda: torch.ones(1, 1),
            losses=lambda x: {"a": (network(x) + theirs(x)).mean()},
            moves={"w": {"a": 1.0}},
        )
        before = network.weight.item()
        engine(toy([phase], 1, network=network)).run()
        assert network.weight.item() == pytest.approx(before - 1)
        assert (theirs.weight.grad == 7).all()
        assert theirs.bias.grad is None
        assert network.weight.grad is None

    def test_parameters_without_influence_stay_and_so_does_their_momentum(self):
        network = nn.Linear(1, 1)
        optimizer = torch.optim.Adam(network.parameters(), lr=0.1)
        phase = Phase(
            name="a", draw=lambda: None, losses=lambda _: {"a": network.weight.sum()}, moves={"w": {"a": 1.0}}
        )
        before = network.bias.item()
        engine(toy([phase], 3, network=network, optimizers={"w": optimizer})).run()
        assert network.bias.item() == before
        assert list(optimizer.state) == [network.weight]

    def test_the_draws_carry_no_gradient(self):
        network = nn.Linear(1, 1, bias=False)
        seen = []
        phase = Phase(
            name="a",
            draw=lambda: network(torch.ones(1, 1)),
            losses=lambda x: seen.append(x.requires_grad) or {"a": network.weight.sum()},
            moves={"w": {"a": 1.0}},
        )
        engine(toy([phase], 1, network=network)).run()
        assert seen == [False]

    def test_after_comes_after_the_step(self):
        network = nn.Linear(1, 1, bias=False)
        seen = []
        phase = Phase(
            name="a",
            draw=lambda: None,
            losses=lambda _: {"a": network.weight.sum()},
            moves={"w": {"a": 1.0}},
            after=lambda losses: seen.append(losses["a"].item() - network.weight.item()),
        )
        engine(toy([phase], 1, network=network)).run()
        assert seen == pytest.approx([1.0])

    def test_rates_follow_their_schedules(self):
        network = nn.Linear(1, 1, bias=False)
        network.weight.data.fill_(0.0)
        phase = Phase(name="a", draw=lambda: None, losses=lambda _: {"a": network.weight.sum()}, moves={"w": {"a": 1}})
        program = toy([phase], 4, network=network, rates={"w": rate_over("cosine", 4)})
        engine(program).run()
        assert network.weight.item() == pytest.approx(-sum([1, 0.8535534, 0.5, 0.1464466]))

    def test_in_the_precision_of_the_training_but_for_phases_that_need_more(self):
        network, seen = nn.Linear(4, 4), []
        phases = [
            Phase(
                name=name,
                draw=lambda: torch.ones(2, 4),
                losses=lambda x: seen.append(network(x).dtype) or {"a": network(x).float().mean()},
                moves={"w": {"a": 1.0}},
                full_precision=full,
            )
            for name, full in (("half", False), ("full", True))
        ]
        engine(toy(phases, 1, network=network), dtype=torch.bfloat16).run()
        assert seen == [torch.bfloat16, torch.float32]

    def test_a_gradient_may_lie_in_memory_in_another_way_than_its_parameter(self):
        """As those of a gradient penalty do: fused optimizers look at the memory alone."""
        parameter = nn.Parameter(torch.zeros(4, 3, 2, 2).to(memory_format=torch.channels_last))
        gradient = torch.arange(48.0).view(4, 3, 2, 2) - 20
        assert parameter.stride() != gradient.stride()
        apply_gradients(torch.optim.SGD([parameter], lr=1.0, fused=True), [parameter], [gradient])
        torch.testing.assert_close(parameter.detach(), -gradient)

    def test_the_norm_of_the_gradient_is_reported_where_it_is_asked_for(self):
        network = nn.Linear(2, 1)
        phase = Phase(
            name="a",
            draw=lambda: torch.tensor([[2.0, 6.0]]),
            losses=lambda x: {"loss": 2 * network(x).sum()},
            moves={"w": {"loss": 1.0}},
            gradient_norm=True,
        )
        (row,) = engine(toy([phase], 1, network=network)).run()
        assert row["a_gradient"] == pytest.approx((4**2 + 12**2 + 2**2) ** 0.5)
        assert gradient_norm([torch.tensor([3.0]), torch.tensor([[4.0]])]).item() == pytest.approx(5.0)


class TestHistory:
    def test_holds_means_since_the_row_before(self):
        phase = logged([], "loss", iter([1.0, 2.0, 3.0, 4.0, 5.0]))
        history = engine(toy([phase], report_every=2)).run()
        assert [row["step"] for row in history] == [2, 4, 5]
        assert [row["loss"] for row in history] == [1.5, 3.5, 5.0]
        seconds = [row["seconds"] for row in history]
        assert seconds == sorted(seconds)
        assert seconds[0] >= 0

    def test_a_rare_phase_is_averaged_over_its_own_updates(self):
        (row,) = engine(toy([logged([], "a"), logged([], "b", iter([1.0, 5.0]), every=3)], 4, report_every=4)).run()
        assert row["b"] == 3.0

    def test_has_a_loss_in_the_rows_alone_in_which_it_was_computed(self):
        phases = [logged([], "a"), logged([], "b", when=lambda step: step == 0)]
        history = engine(toy(phases, 3, report_every=1)).run()
        assert ["b" in row for row in history] == [True, False, False]

    def test_a_phase_may_keep_its_losses_to_itself(self):
        (row,) = engine(toy([logged([], "a", reports=False), logged([], "b")], 1)).run()
        assert set(row) == {"step", "seconds", "b"}

    @pytest.mark.parametrize(("n_steps", "rows"), [(1, 1), (49, 49), (500, 50), (20_000, 200)])
    def test_a_fiftieth_of_the_training_is_a_row_and_at_most_100_steps(self, n_steps, rows):
        assert len(engine(toy([], n_steps)).run()) == rows

    @pytest.mark.parametrize("value", [float("nan"), float("inf")])
    def test_a_loss_that_is_not_finite_is_named(self, value):
        with pytest.raises(TrainingDiverged, match=r"The critic loss became (nan|inf) before step 2\. Lower the learn"):
            engine(toy([logged([], "critic", value)], 9, report_every=2)).run()

    def test_predicting_one_class_alone_for_long_is_named(self):
        with pytest.raises(TrainingDiverged, match="into one class since step 20"):
            engine(toy([logged([], "predicted_classes", 1.0)], 400, report_every=20)).run()

    def test_lines_instead_of_a_bar_where_there_is_no_terminal(self, capsys):
        program = toy([logged([], "a", 2.0)], 30, report_every=1)
        engine(program, verbose=1, description="Toy").run()
        captured = capsys.readouterr()
        lines = captured.err.splitlines()
        assert captured.out == ""
        assert [line.split(" steps")[0] for line in lines] == [f"Toy: {step}/30" for step in range(3, 31, 3)]
        assert lines[-1].endswith("0 s left, a 2")

    def test_a_bar_on_a_terminal_alone_and_only_if_asked(self, capsys, monkeypatch):
        engine(toy([logged([], "a")], 3), verbose=0, description="Toy").run()
        captured = capsys.readouterr()
        assert captured.out == captured.err == ""
        terminal = Terminal()
        monkeypatch.setattr("sys.stderr", terminal)
        engine(toy([logged([], "a")], 3), description="Toy").run()
        assert terminal.getvalue() == ""
        engine(toy([logged([], "a")], 3), verbose=1, description="Toy").run()
        assert "Toy" in terminal.getvalue()
        assert capsys.readouterr().out == ""

    def test_one_line_with_the_score_that_matters_and_all_losses_if_asked(self, capsys):
        phases = [logged([], "classifier", 0.25), logged([], "critic", -3.0)]
        scores = iter([0.5, 0.9, 0.75])
        for verbose, expected in ((1, "classifier 0.25"), (2, "classifier 0.25, critic -3")):
            engine(toy(phases, 1), verbose=verbose, description="Toy").run()
            assert capsys.readouterr().err.splitlines() == [f"Toy: 1/1 steps in 0 s, 0 s left, {expected}"]
        engine(toy(phases, 3, report_every=1), verbose=1, score=lambda _: next(scores), description="Toy").run()
        said = [line.split("left, ")[1] for line in capsys.readouterr().err.splitlines()]
        assert said == ["validation ACSA 50.0%", "validation ACSA 90.0%", "validation ACSA 75.0% (best 90.0%)"]

    def test_the_bar_says_the_time_left_and_the_score(self, monkeypatch):
        terminal = Terminal()
        monkeypatch.setattr("sys.stderr", terminal)
        engine(toy([logged([], "a", 2.0), logged([], "b")], 3, report_every=1), verbose=1, description="Toy").run()
        shown = terminal.getvalue()
        assert re.search(r"Toy: +\d+%\|.*\| \d/3 steps, [\d:?]+ left", shown)
        assert "b " not in shown

    @pytest.mark.parametrize("widgets", [True, False])
    def test_in_a_notebook_there_is_a_bar_although_it_is_no_terminal(self, monkeypatch, widgets):
        shell = SimpleNamespace(config={"IPKernelApp": {}})
        monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
        monkeypatch.setattr(progress, "find_spec", lambda name: object() if widgets else None)
        written = io.StringIO()
        monkeypatch.setattr("sys.stderr", written)
        engine(toy([logged([], "a")], 3), verbose=0, description="Toy").run()
        assert written.getvalue() == ""
        engine(toy([logged([], "a")], 3), verbose=1, description="Toy").run()
        assert "Toy:" in written.getvalue()
        assert "\n" not in written.getvalue().strip(), "one line"
        assert progress.is_seen()
        assert progress.is_seen(widgets=True) is widgets
        shell.config = {"TerminalIPythonApp": {}}
        assert not progress.is_seen()

    def test_whoever_listens_is_told_the_score(self):
        told = []
        with progress.listening(lambda *said: told.append(said)):
            engine(toy([logged([], "a", 2.0)], 2, report_every=1), description="Toy").run()
        assert told == [("Toy", 1, 2, "a 2"), ("Toy", 2, 2, "a 2")]


class TestScore:
    def rising(self, scores, **settings):
        network = nn.Linear(1, 1, bias=False)
        network.weight.data.fill_(0.0)
        phase = Phase(name="a", draw=lambda: None, losses=lambda _: {"a": -network.weight.sum()}, moves={"w": {"a": 1}})
        scores = iter(scores)
        program = toy([phase], 6, network=network, report_every=1)
        made = engine(program, score=lambda _: next(scores), **settings)
        return made, made.run(), network

    def test_stops_after_its_patience_with_the_weights_that_scored_best(self):
        _, history, network = self.rising([0.2, 0.9, 0.1, 0.3, 0.9, 1.0], patience=2)
        assert [row["validation_acsa"] for row in history] == [0.2, 0.9, 0.1, 0.3]
        assert network.weight.item() == 2.0  # one a step

    def test_without_patience_it_ends_at_the_last_and_knows_the_best(self):
        made, history, network = self.rising([0.2, 0.9, 0.1, 0.3, 0.9, 0.4])
        assert len(history) == 6
        assert network.weight.item() == 6.0
        assert made.best_weights["weight"].item() == 2.0


class TestMovingAverage:
    def test_is_used_in_place_of_the_networks_and_moves_after_each_update_of_them(self):
        networks = nn.ModuleDict({"a": nn.Linear(1, 1, bias=False), "b": nn.Linear(1, 1, bias=False)})
        for network in networks.values():
            network.weight.data.fill_(0.0)
        optimizers = {name: torch.optim.SGD(networks[name].parameters(), lr=1.0) for name in ("a", "b")}
        phases = [
            Phase(
                name=name,
                draw=lambda: None,
                losses=lambda _, name=name: {name: -networks[name].weight.sum()},
                moves={name: {name: 1.0}},
                repeat=repeat,
            )
            for name, repeat in (("a", 2), ("b", 1))
        ]
        program = toy(phases, 1, network=networks, optimizers=optimizers, ema=0.75, averaged=("a", "b"))
        made = engine(program)
        made.run()
        assert networks["a"].weight.item() == 2.0
        assert made.trained["a"].weight.item() == pytest.approx(0.75 * 1 + 0.25 * 2)
        assert made.trained["b"].weight.item() == 1.0  # one update, taken as it is
        assert made.trained["a"] is not networks["a"]

    def test_without_a_decay_the_networks_themselves_are_used(self):
        network = nn.ModuleDict({"a": nn.Linear(1, 1)})
        assert engine(toy(network=network, averaged=("a",))).trained is network

    def test_follows_weights_and_running_statistics_in_their_place(self):
        network = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
        average = WeightAverage(network, 0.9)
        places = [tensor.data_ptr() for tensor in average.module.state_dict().values()]
        snapshots = []
        for _ in range(3):
            network(torch.randn(4, 2))
            with torch.no_grad():
                network[0].weight.add_(1)
            average.update()
            snapshots.append({name: value.clone() for name, value in network.state_dict().items()})
        for name, value in average.module.state_dict().items():
            expected = snapshots[0][name]
            for snapshot in snapshots[1:]:
                expected = 0.9 * expected + 0.1 * snapshot[name] if value.is_floating_point() else snapshot[name]
            torch.testing.assert_close(value, expected, msg=name)
        assert places == [tensor.data_ptr() for tensor in average.module.state_dict().values()]

    def test_state_travels(self):
        network = nn.Linear(1, 1)
        one, other = WeightAverage(network, 0.5), WeightAverage(network, 0.5)
        one.update()
        with torch.no_grad():
            network.weight.add_(1)
        other.load_state_dict(one.state_dict())
        for average in (one, other):
            average.update()
        torch.testing.assert_close(one.module.weight, other.module.weight)
        torch.testing.assert_close(one.module.weight, network.weight - 0.5)

    def test_children_are_exchanged_without_touching_the_network(self):
        network = nn.ModuleDict({"a": nn.Linear(1, 1), "b": nn.Linear(1, 1)})
        other = nn.Linear(1, 1)
        exchanged = with_children(network, {"a": other})
        assert exchanged["a"] is other
        assert exchanged["b"] is network["b"]
        assert network["a"] is not other
