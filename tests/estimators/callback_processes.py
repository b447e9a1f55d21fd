"""Fits with callbacks that the tests start by torchrun in two processes: ``... FOLDER``."""

import json
import sys
from pathlib import Path

import numpy as np
import torch

from latentover import DeepClassifier
from latentover.training import Callback, parallel


class Ending(Callback):
    """Notes where it is called, and ends the training at its second report."""

    def __init__(self, error=None):
        self.calls, self.error = [], error

    def on_fit_begin(self, estimator, n_steps):
        self.calls.append("begin")

    def on_report(self, estimator, row):
        self.calls.append(row["step"])
        if len(self.calls) == 3 and self.error is not None:
            raise self.error
        return len(self.calls) == 3

    def on_fit_end(self, estimator):
        self.calls.append("end")


if __name__ == "__main__":
    parallel.start("cpu")
    X, y = np.random.default_rng(0).normal(size=(48, 3)), np.repeat([0, 1], [32, 16])
    small = {"batch_size": 8, "hidden_units": 4, "max_epochs": 5, "device": "cpu", "random_state": 0}
    ending, failing = Ending(), Ending(LookupError("enough"))
    history = DeepClassifier(**small, callbacks=ending).fit(X, y).history_
    message = None
    try:
        DeepClassifier(**small, callbacks=failing).fit(X, y)
    except (LookupError, RuntimeError) as error:
        message = repr(error)
    found = {"rows": len(history), "calls": ending.calls, "failing": failing.calls, "message": message}
    (Path(sys.argv[1]) / f"{parallel.rank()}.json").write_text(json.dumps(found))
    torch.distributed.destroy_process_group()
