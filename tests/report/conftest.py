"""Runs to report on."""

import json
import re

import pytest
from made_up_digits import finished_runs

__all__ = ["finished_runs"]


@pytest.fixture
def runs_folder(finished_runs, tmp_path):
    """A copy to change."""
    import shutil

    return shutil.copytree(finished_runs, tmp_path / "digits")


@pytest.fixture(scope="session")
def numbers_of():
    """Return a function that reads the numbers from which the script of a page draws: one mapping a folder."""

    def read(page):
        (text,) = re.findall(r'<script type="application/json" id="numbers">(.*?)</script>', page, re.DOTALL)
        return json.loads(text)

    return read
