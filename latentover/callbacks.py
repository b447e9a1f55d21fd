"""Callbacks that are ready for use: curves in TensorBoard, MLflow and Weights & Biases, and Optuna's pruning.

Each imports its package when a training begins, and says how to install it where it is missing.
"""

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from latentover.training import Callback

__all__ = ["MLflowCallback", "OptunaPruningCallback", "TensorBoardCallback", "WandbCallback"]

_LONGEST = 500
"""Characters of a parameter that are logged: what MLflow takes."""


class TensorBoardCallback(Callback):
    """Writes parameters and curves of a training for TensorBoard, with `torch.utils.tensorboard`.

    Needs ``pip install "latentover[tensorboard]"``.

    Parameters
    ----------
    folder : path, optional
        Where the files lie, one a training; use a folder for each that is to be a curve of its own. By default it is a
        new one below ``runs``, with the time in its name, as torch names it.
    """

    def __init__(self, folder: str | os.PathLike[str] | None = None) -> None:
        self.folder = folder
        self._writer: Any = None

    def on_fit_begin(self, estimator: Any, n_steps: int) -> None:
        """Open a file and write the parameters."""
        with _brought_by("tensorboard"):
            from torch.utils.tensorboard import SummaryWriter
        self._writer = SummaryWriter(None if self.folder is None else os.fspath(self.folder))
        lines = [f"    {name} = {value}" for name, value in _parameters(estimator).items()]
        self._writer.add_text("parameters", "\n".join([f"    {type(estimator).__name__}", *lines]))

    def on_report(self, estimator: Any, row: dict[str, float]) -> None:
        """Write a point of each curve."""
        for name, value in _curves(row).items():
            self._writer.add_scalar(name, value, int(row["step"]))
        self._writer.flush()

    def on_fit_end(self, estimator: Any) -> None:
        """Close the file."""
        self._close()

    def on_fit_error(self, estimator: Any, error: BaseException) -> None:
        """Close the file."""
        self._close()

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._writer = None


class MLflowCallback(Callback):
    """Logs a training to MLflow: to the run that is active, or else to a new one, with the estimator's parameters.

    Needs ``pip install "latentover[mlflow]"``. A new run ends with the training, as failed where that failed.

    Parameters
    ----------
    name : str, optional
        Of a new run; by default that of the estimator's class.
    """

    def __init__(self, name: str | None = None) -> None:
        self.name = name
        self._mlflow: Any = None
        self._own = False

    def on_fit_begin(self, estimator: Any, n_steps: int) -> None:
        """Begin a run, where none is active, and log the parameters to it."""
        with _brought_by("mlflow"):
            import mlflow
        self._mlflow, self._own = mlflow, mlflow.active_run() is None
        if self._own:
            self._mlflow.start_run(run_name=self.name or type(estimator).__name__)
            self._mlflow.log_params(_parameters(estimator))  # of another run they may be there already, and others

    def on_report(self, estimator: Any, row: dict[str, float]) -> None:
        """Log a point of each curve."""
        self._mlflow.log_metrics(_curves(row), step=int(row["step"]))

    def on_fit_end(self, estimator: Any) -> None:
        """End the run, if it is the callback's own."""
        self._end("FINISHED")

    def on_fit_error(self, estimator: Any, error: BaseException) -> None:
        """End the run as failed, if it is the callback's own."""
        self._end("FAILED")

    def _end(self, status: str) -> None:
        if self._own:
            self._mlflow.end_run(status)
        self._own = False


class WandbCallback(Callback):
    """Logs a training to Weights & Biases: to the run that is active, or else to a new one.

    Needs ``pip install "latentover[wandb]"``. A new run ends with the training, as failed where that failed. The steps
    of the training are a curve of their own, ``step``, against which the others can be drawn.

    Parameters
    ----------
    **init : Any
        Arguments of ``wandb.init`` for a new run, such as ``project="rare"`` and ``mode="offline"``.
    """

    def __init__(self, **init: Any) -> None:
        self.init = init
        self._run: Any = None
        self._own = False

    def on_fit_begin(self, estimator: Any, n_steps: int) -> None:
        """Begin a run, where none is active, and log the parameters."""
        with _brought_by("wandb"):
            import wandb
        self._own = wandb.run is None
        self._run = wandb.init(**{"name": type(estimator).__name__, **self.init}) if self._own else wandb.run
        self._run.config.update(_parameters(estimator), allow_val_change=True)

    def on_report(self, estimator: Any, row: dict[str, float]) -> None:
        """Log a point of each curve."""
        self._run.log({"step": int(row["step"]), **_curves(row)})

    def on_fit_end(self, estimator: Any) -> None:
        """End the run, if it is the callback's own."""
        self._finish(0)

    def on_fit_error(self, estimator: Any, error: BaseException) -> None:
        """End the run as failed, if it is the callback's own."""
        self._finish(1)

    def _finish(self, exit_code: int) -> None:
        if self._own:
            self._run.finish(exit_code=exit_code)
        self._run, self._own = None, False


class OptunaPruningCallback(Callback):
    """Tells a trial of Optuna how a training goes, and ends it with ``optuna.TrialPruned`` where the pruner says so.

    Needs ``pip install "latentover[tune]"``. One training a trial: Optuna keeps one value a step.

    Parameters
    ----------
    trial : optuna.trial.Trial
    metric : str, default="validation_acsa"
        A column of the history; ``"validation_acsa"`` is there with ``early_stopping=True``. The direction of the study
        says whether high is good.

    Raises
    ------
    ValueError
        In `fit`, if the history has no such column.
    """

    def __init__(self, trial: Any, metric: str = "validation_acsa") -> None:
        self.trial, self.metric = trial, metric

    def on_report(self, estimator: Any, row: dict[str, float]) -> None:
        """Report a value and raise ``optuna.TrialPruned`` if it is too bad to go on."""
        with _brought_by("tune"):
            import optuna
        if self.metric not in row:
            raise ValueError(
                f"Expected metric to be one of the columns {', '.join(_curves(row))} of the history, but got "
                f"{self.metric!r}; validation_acsa is one with early_stopping=True."
            )
        step = int(row["step"])
        self.trial.report(row[self.metric], step)
        if self.trial.should_prune():
            raise optuna.TrialPruned(
                f"The trial was pruned at step {step}, with a {self.metric} of {row[self.metric]:g}."
            )


@contextmanager
def _brought_by(extra: str) -> Iterator[None]:
    """Let an ImportError inside say which extra of the project brings the package."""
    try:
        yield
    except ImportError as error:
        raise ImportError(
            f"Expected the package of the callback to be installed, but importing it failed ({error}); pip install "
            f'"latentover[{extra}]".'
        ) from error


def _curves(row: dict[str, float]) -> dict[str, float]:
    """Return what is drawn of a row of the history: the finite numbers, without step and seconds."""
    return {name: value for name, value in row.items() if name not in ("step", "seconds") and math.isfinite(value)}


def _parameters(estimator: Any) -> dict[str, str]:
    """Return the parameters of an estimator as short text."""
    parameters = estimator.get_params(deep=False)
    return {name: str(value)[:_LONGEST] for name, value in parameters.items() if name != "callbacks"}
