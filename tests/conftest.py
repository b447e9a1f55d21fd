"""What all tests share: one thread a process, for the networks are small and several processes share the cores; and
which tests are slow."""

import gc
import os
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "agg")

SLOW = tuple(Path(__file__).with_name("slow.txt").read_text(encoding="utf-8").splitlines())
"""Beginnings of the names of tests that take long: plain ``pytest`` leaves them out, ``pytest -m ""`` runs all."""

QUIET = (
    "latentover.training.CollapseWarning",  # most tests train for a few steps
    "latentover.estimators.FewImagesWarning",  # on a few images
)


def pytest_configure(config):
    if getattr(config.option, "dist", "no") != "no" and not hasattr(config, "workerinput"):
        return  # a process that starts the others, which would wait for it
    import torch

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))  # a plugin may have imported torch before
    for warning in QUIET:
        config.addinivalue_line("filterwarnings", f"ignore::{warning}")
    # Waiting for the disk guards against a loss of power, which no test has; what a killed process leaves is the same.
    os.fsync = lambda handle: None


def pytest_collection_modifyitems(items):
    for item in items:
        if item.nodeid.startswith(SLOW):
            item.add_marker(pytest.mark.slow)


def pytest_collection_finish():
    gc.freeze()  # modules and tests stay: looking through them for garbage again and again takes a while
