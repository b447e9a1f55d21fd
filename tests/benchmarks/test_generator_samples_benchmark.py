import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]


def test_the_picture_has_a_panel_for_each_run(tmp_path, monkeypatch):
    model, sizes = ROOT / "models" / "rae-digits", []
    for runs in ([f"one={model}"], [f"one={model}", f"other={model}"]):
        out = tmp_path / f"{len(runs)}.png"
        monkeypatch.setattr(sys, "argv", ["generator_samples.py", str(out), *runs, "--per-class", "2"])
        runpy.run_path(str(ROOT / "benchmarks" / "generator_samples.py"), run_name="__main__")
        with Image.open(out) as picture:
            sizes.append(picture.size)
            assert len(np.unique(np.asarray(picture.convert("L")))) > 20  # digits, and not an empty page
    assert sizes[1][0] > 1.3 * sizes[0][0]


def test_without_a_title_it_says_what_is_expected(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["generator_samples.py", str(tmp_path / "out.png"), "models/rae-digits"])
    with pytest.raises(SystemExit):
        runpy.run_path(str(ROOT / "benchmarks" / "generator_samples.py"), run_name="__main__")
    assert "expected TITLE=RUN, but got models/rae-digits" in capsys.readouterr().err
