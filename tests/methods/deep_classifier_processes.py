"""A small training that the tests start in one process and, by torchrun, in two: ``... CASE FOLDER``."""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn

from latentover import DeepClassifier, DeepSMOTE, FlowSampler, M2mClassifier
from latentover.losses import GaussianLatents, VonMisesFisherLatents
from latentover.mixing import CMO, AMMixup, MAMix, ManifoldMixup, SMOTEMix
from latentover.training import parallel

COMMON = {
    "dropout": 0.0,
    "feature_dim": 4,
    "hidden_units": 8,
    "learning_rate": 0.01,
    "max_epochs": 4,
    "batch_size": 8,
    "precision": "float32",
    "device": "cpu",
    "random_state": 0,
}
WEIGHTED = {"reweighting": "class_weights", "batches": "class_balanced"}
EQUAL = {
    "plain": {"augment": "flip_shift"},
    "weighted": {**WEIGHTED, "loss_reduction": "weighted_mean"},
    "mamix": {"mixing": MAMix(per_sample=True), **WEIGHTED},
    "sample_weight": {"mixing": MAMix(per_sample=True), "reweighting": "class_weights", "weights": True},
    "smote_mix": {"mixing": SMOTEMix(), "bn_clean_forward": True, "augment": "pad_crop_flip"},
    "gaussian_latents": {
        "mixing": CMO(per_sample=True, weighting="balanced"),
        "latent_augmentation": GaussianLatents(warmup=0.25),
        "loss": "logit_adjusted",
        "weights": True,
    },
    "directions": {"latent_augmentation": VonMisesFisherLatents(projection_dim=5), "augment": "flip_shift_trivial"},
    "stage": {"stage_sampler": DeepSMOTE(latent_dim=4, channels=4, hidden_units=16, max_epochs=2), "stage_start": 0.5},
    "head": {"head_sampler": FlowSampler(max_steps=3, hidden_units=8), "head_epochs": 2, "synthetic_weight": 0.5},
}
"""Settings with which two processes learn what one with the double batch learns."""
OWN = {
    "am_mixup": {"mixing": AMMixup(), "reweighting": "class_weights", "track": True, "early_stopping": True},
    "manifold_mixup": {"mixing": ManifoldMixup(layers=(0, 1)), "backbone": "norm"},
    "m2m": {"translation_start": 0.25, "confidence": 0.0},
    "uneven": {"n_samples": 63},
}
"""Settings with which a process does something within its part of a batch."""
CASES = {**EQUAL, **OWN}


def fit(case, **settings):
    settings = {**COMMON, **CASES[case], **settings}
    n, weighted = settings.pop("n_samples", 64), settings.pop("weights", False)
    y = np.repeat([0, 1, 2], [n - 24, 17, 7])
    X = np.random.default_rng(0).random((n, 1, 8, 8)).astype(np.float32)
    X += np.arange(64).reshape(8, 8) % 3 == y[:, None, None, None]
    X /= 2
    torch.manual_seed(0)
    backbone = nn.Sequential(nn.Flatten(), nn.Linear(64, 4))  # without batch normalisation
    if settings.get("backbone") == "norm":
        backbone = nn.Sequential(nn.Sequential(nn.Flatten(), nn.Linear(64, 6)), nn.BatchNorm1d(6), nn.Linear(6, 4))
    method = M2mClassifier if case == "m2m" else DeepClassifier
    weights = np.random.default_rng(1).random(n) * 3 if weighted else None
    return method(**{**settings, "backbone": backbone}).fit(X, y, sample_weight=weights)


if __name__ == "__main__":
    parallel.start("cpu")
    for case in sys.argv[2:]:
        fitted, out = fit(case), Path(sys.argv[1])
        torch.save(fitted.networks_.state_dict(), out / f"{case}-weights-{parallel.rank()}.pt")
        (out / f"{case}-history-{parallel.rank()}.json").write_text(json.dumps(fitted.history_))
    torch.distributed.destroy_process_group()
