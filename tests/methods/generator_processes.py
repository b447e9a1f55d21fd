"""Small trainings of the generators that the tests start by torchrun in two processes: ``... FOLDER``."""

import json
import sys
from pathlib import Path

import numpy as np
import torch

from latentover import (
    BAGANSampler,
    DeepSMOTE,
    DGCClassifier,
    FlowSampler,
    GAMOClassifier,
    GAMOSampler,
    RAEClassifier,
    RAESampler,
)
from latentover.training import parallel

SMALL = {"hidden_units": 8, "batch_size": 8, "device": "cpu", "precision": "float32", "random_state": 0}
CASES = {
    "deepsmote": DeepSMOTE(**SMALL, max_epochs=3, latent_dim=4),
    "flow": FlowSampler(**SMALL, max_steps=5, n_steps=2),
    "bagan": BAGANSampler(**SMALL, max_epochs=2, autoencoder_epochs=2, latent_dim=4),
    "gamo": GAMOClassifier(**SMALL, max_steps=5, extractor="dense", feature_dim=6, decoder_steps=2),
    "gamo_sampler": GAMOSampler(**SMALL, max_steps=5, extractor="dense", feature_dim=6, decoder_steps=2),
    "rae_table": RAESampler(**SMALL, max_steps=6, latent_dim=4),
    "rae_adversarial": RAEClassifier(**SMALL, max_steps=6, latent_dim=4, decoder="adversarial"),
    "dgc": DGCClassifier(**SMALL, max_steps=5, latent_dim=4, feature_dim=6, pretraining_steps=3),
}


def data():
    rng = np.random.default_rng(0)
    return rng.normal(size=(61, 5)), np.repeat([0, 1, 2], [40, 14, 7])


if __name__ == "__main__":
    parallel.start("cpu")
    for name, estimator in CASES.items():
        fitted, out = estimator.fit(*data()), Path(sys.argv[1])
        torch.save(fitted.networks_.state_dict(), out / f"{name}-weights-{parallel.rank()}.pt")
        (out / f"{name}-history-{parallel.rank()}.json").write_text(json.dumps(fitted.history_))
    torch.distributed.destroy_process_group()
