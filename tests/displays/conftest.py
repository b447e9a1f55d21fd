"""Runs to draw, and no figure that is left open."""

import matplotlib
import pytest
from made_up_digits import finished_runs

__all__ = ["finished_runs"]

matplotlib.use("Agg")


@pytest.fixture(autouse=True)
def _closed():
    import matplotlib.pyplot as plt

    yield
    plt.close("all")
