"""A small training that the tests start in one process and, by torchrun, in two: ``two_processes.py CASE FOLDER``."""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from torch.nn.modules.batchnorm import _BatchNorm

from latentover import RAEClassifier
from latentover.training import parallel

COMMON = {
    "latent_dim": 4,
    "channels": 4,
    "hidden_units": 16,
    "max_steps": 6,
    "critic_steps": 2,
    "precision": "float32",
    "device": "cpu",
    "random_state": 0,
}
CASES = {
    "plain": {**COMMON, "batch_size": 8},
    "frozen": {**COMMON, "batch_size": 8, "dropout": 0.0, "decoder_reconstruction": True, "augment": "none"},
}


class Frozen(RAEClassifier):
    """Batch normalisation stays at its initial statistics."""

    def _build_networks(self):
        networks = super()._build_networks()
        for module in networks.modules():
            if isinstance(module, _BatchNorm):
                module.eval()
                module.train = lambda mode=True, module=module: module
        return networks


def fit(case, **settings):
    rng = np.random.default_rng(0)
    X, y = rng.random((60, 1, 8, 8)).astype(np.float32), np.repeat([0, 1, 2], [40, 14, 6])
    cls = RAEClassifier if case == "plain" else Frozen
    return cls(**{**CASES[case], **settings}).fit(X, y)


if __name__ == "__main__":
    parallel.start("cpu")
    fitted, out = fit(sys.argv[1]), Path(sys.argv[2])
    torch.save(fitted.networks_.state_dict(), out / f"weights-{parallel.rank()}.pt")
    (out / f"history-{parallel.rank()}.json").write_text(json.dumps(fitted.history_))
    torch.distributed.destroy_process_group()
