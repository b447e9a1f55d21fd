"""The callbacks that are ready for use: with TensorBoard and Optuna, and with stand-ins for MLflow and wandb."""

import sys
from types import SimpleNamespace

import numpy as np
import optuna
import pytest

from latentover import DeepClassifier
from latentover.callbacks import MLflowCallback, OptunaPruningCallback, TensorBoardCallback, WandbCallback

X = np.random.default_rng(0).normal(size=(40, 3)) + np.repeat([0, 1], [28, 12])[:, None]
Y = np.repeat([0, 1], [28, 12])
SMALL = {"batch_size": 8, "hidden_units": 8, "feature_dim": 4, "max_epochs": 3, "device": "cpu", "random_state": 0}
FAIL = SimpleNamespace(on_report=lambda estimator, row: 1 / 0)


def fit(*callbacks, **settings):
    return DeepClassifier(**{**SMALL, **settings}, callbacks=list(callbacks)).fit(X, Y)


class Recorder:
    """A package, or a part of one, that notes what it is called with."""

    def __init__(self, calls, name="", **results):
        self._calls, self._name, self._results = calls, name, results

    def __getattr__(self, name):
        if name in self._results:
            return self._results[name]
        path = f"{self._name}.{name}".lstrip(".")

        def call(*arguments, **keywords):
            self._calls.append((path, arguments, keywords))
            return Recorder(self._calls, path)

        return call


class TestTensorBoard:
    def test_its_files_have_the_curves_and_the_parameters(self, tmp_path):
        pytest.importorskip("tensorboard", reason="tensorboard is not installed")
        accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
        classifier = fit(TensorBoardCallback(tmp_path), early_stopping=True)
        found = accumulator.EventAccumulator(str(tmp_path)).Reload()
        for name in ("classifier", "validation_acsa"):
            points = [(event.step, event.value) for event in found.Scalars(name)]
            expected = [(row["step"], pytest.approx(row[name], rel=1e-6)) for row in classifier.history_]
            assert points == expected
        (text,) = found.Tensors("parameters/text_summary")
        assert b"DeepClassifier\n" in text.tensor_proto.string_val[0]
        assert b"max_epochs = 3\n" in text.tensor_proto.string_val[0]
        assert b"callbacks" not in text.tensor_proto.string_val[0]

    def test_what_was_written_before_a_failure_is_there(self, tmp_path):
        pytest.importorskip("tensorboard", reason="tensorboard is not installed")
        accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
        callback = TensorBoardCallback(tmp_path)
        with pytest.raises(ZeroDivisionError):
            fit(callback, FAIL)
        assert callback._writer is None
        assert len(accumulator.EventAccumulator(str(tmp_path)).Reload().Scalars("classifier")) == 1


class TestMLflow:
    @pytest.fixture
    def calls(self, monkeypatch):
        calls = []
        monkeypatch.setitem(sys.modules, "mlflow", Recorder(calls, active_run=lambda: None))
        return calls

    def test_a_run_of_its_own(self, calls):
        classifier = fit(MLflowCallback())
        names, arguments, keywords = zip(*calls, strict=True)
        assert names == ("start_run", "log_params", *["log_metrics"] * len(classifier.history_), "end_run")
        assert keywords[0] == {"run_name": "DeepClassifier"}
        assert arguments[1][0]["max_epochs"] == "3"
        assert "callbacks" not in arguments[1][0]
        assert [(k["step"], a[0]["classifier"]) for a, k in zip(arguments[2:-1], keywords[2:-1], strict=True)] == [
            (row["step"], row["classifier"]) for row in classifier.history_
        ]
        assert not {"step", "seconds"} & arguments[2][0].keys()
        assert arguments[-1] == ("FINISHED",)

    def test_a_run_that_fails(self, calls):
        with pytest.raises(ZeroDivisionError):
            fit(MLflowCallback("mine"), FAIL)
        assert calls[0][2] == {"run_name": "mine"}
        assert calls[-1][:2] == ("end_run", ("FAILED",))

    def test_the_run_that_is_active_is_used_and_left_open(self, calls, monkeypatch):
        monkeypatch.setitem(sys.modules, "mlflow", Recorder(calls, active_run=lambda: "theirs"))
        fit(MLflowCallback())
        assert {name for name, *_ in calls} == {"log_metrics"}


class TestWandb:
    @pytest.fixture
    def calls(self, monkeypatch):
        calls = []
        config = Recorder(calls, "config")
        opened = Recorder(calls, "run", config=config)
        package = Recorder(calls, run=None, init=lambda **given: calls.append(("init", (), given)) or opened)
        monkeypatch.setitem(sys.modules, "wandb", package)
        return calls

    def test_a_run_of_its_own(self, calls):
        classifier = fit(WandbCallback(project="rare"))
        names, arguments, keywords = zip(*calls, strict=True)
        assert names == ("init", "config.update", *["run.log"] * len(classifier.history_), "run.finish")
        assert keywords[0] == {"name": "DeepClassifier", "project": "rare"}
        assert arguments[1][0]["max_epochs"] == "3"
        rows = [{k: v for k, v in row.items() if k != "seconds"} for row in classifier.history_]
        assert [logged for (logged,) in arguments[2:-1]] == rows
        assert keywords[-1] == {"exit_code": 0}

    def test_a_run_that_fails(self, calls):
        with pytest.raises(ZeroDivisionError):
            fit(WandbCallback(), FAIL)
        assert calls[-1] == ("run.finish", (), {"exit_code": 1})

    def test_the_run_that_is_active_is_used_and_left_open(self, calls, monkeypatch):
        theirs = Recorder(calls, "theirs", config=Recorder(calls, "config"))
        monkeypatch.setitem(sys.modules, "wandb", Recorder(calls, run=theirs))
        fit(WandbCallback())
        assert {name for name, *_ in calls} == {"config.update", "theirs.log"}


class TestOptuna:
    def test_a_trial_has_the_values_and_ends_where_the_pruner_says_so(self):
        histories = []

        def objective(trial):
            classifier = fit(OptunaPruningCallback(trial), early_stopping=True)
            histories.append([(int(row["step"]), row["validation_acsa"]) for row in classifier.history_])
            return histories[-1][-1][1]

        pruner = optuna.pruners.ThresholdPruner(lower=2, n_warmup_steps=6)  # no accuracy is that high
        study = optuna.create_study(direction="maximize", pruner=pruner)
        study.optimize(objective, n_trials=1)
        assert study.trials[0].state == optuna.trial.TrialState.PRUNED
        assert len(study.trials[0].intermediate_values) == 2
        study.pruner = optuna.pruners.NopPruner()
        study.optimize(objective, n_trials=1)
        assert study.trials[1].state == optuna.trial.TrialState.COMPLETE
        assert list(study.trials[1].intermediate_values.items()) == histories[0]

    def test_a_loss_is_a_metric_too(self):
        trial = optuna.create_study().ask()
        classifier = fit(OptunaPruningCallback(trial, metric="classifier"))
        assert len(trial.study.trials[0].intermediate_values) == len(classifier.history_)

    def test_a_metric_that_is_none_names_those_there_are(self):
        trial = optuna.create_study().ask()
        with pytest.raises(
            ValueError, match=r"^Expected metric to be one of the columns classifier.*early_stopping=True"
        ):
            fit(OptunaPruningCallback(trial))


@pytest.mark.parametrize(
    ("callback", "package", "extra"),
    [
        (TensorBoardCallback("logs"), "tensorboard", "tensorboard"),
        (MLflowCallback(), "mlflow", "mlflow"),
        (WandbCallback(), "wandb", "wandb"),
        (OptunaPruningCallback(None), "optuna", "tune"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_package_that_is_missing_is_named_with_its_extra(callback, package, extra, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, package, None)
    for name in [name for name in sys.modules if name.startswith("torch.utils.tensorboard")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(ImportError, match=rf"{package}.*pip install \"latentover\[{extra}\]\"\.$"):
        fit(callback)
