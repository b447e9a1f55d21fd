"""The scripts on tables: their data, their arithmetic, and that every part runs."""

import importlib.util
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def load(name):
    spec = importlib.util.spec_from_file_location(f"{name}_benchmark", BENCHMARKS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def speed():
    return load("tabular_speed")


@pytest.fixture(scope="module")
def growth():
    return load("tabular_growth")


@pytest.fixture(scope="module")
def table(speed):
    return speed.make_table(400)


# ---- Speed -----------------------------------------------------------------------------------------------------------


def test_the_test_rows_are_others_of_the_same_origin(speed, table):
    assert table.X.shape == table.X_test.shape == (400, speed.FEATURES)
    assert table.X.dtype == np.float32
    shares = [labels.mean() for labels in (table.y, table.y_test)]
    assert shares == pytest.approx([speed.SHARE] * 2, abs=0.02)
    assert not {row.tobytes() for row in table.X} & {row.tobytes() for row in table.X_test}


def test_smote_is_the_same_work_on_both_sides(speed, table):
    ours, theirs = (speed.resample(sampler, table) for sampler in speed.smote_samplers())
    assert ours.X.shape == theirs.X.shape
    assert np.array_equal(ours.y, theirs.y)
    assert ours.seconds > 0 < theirs.seconds
    line = speed.compare_smote(400, 1)
    assert (line.count("|"), line.endswith("| at most 1.2 |")) == (6, True)


def test_the_rae_has_a_line(speed):
    line = speed.measure_rae(400, 1)
    assert line.count("|") == 6
    assert line.count("ACSA ") == 3


class CTGAN:
    """Makes rows of both classes in turn, which tell their class."""

    def __init__(self, epochs):
        self.epochs = epochs

    def fit(self, frame, discrete_columns):
        assert discrete_columns == ["y"]
        self.columns = frame.columns

    def sample(self, n, condition_column, condition_value):
        assert (condition_column, condition_value) == ("y", 1)
        y = np.arange(n) % 2
        return pd.DataFrame(np.repeat(y[:, None], len(self.columns), axis=1), columns=self.columns)


def test_of_ctgan_the_rows_of_the_rare_class_are_kept(speed, table, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "ctgan", types.SimpleNamespace(CTGAN=CTGAN))
    monkeypatch.setattr("importlib.metadata.version", lambda name: "0.0")

    def run(command, **options):
        assert command[:3] == ["python-of-its-own", speed.__file__, "--ctgan-child"]
        speed.main(command[2:])
        return types.SimpleNamespace(stdout=capsys.readouterr().out)

    monkeypatch.setattr(speed.subprocess, "run", run)
    resampled, version = speed.run_ctgan(table, "python-of-its-own", 2)
    assert version == "0.0"
    assert np.bincount(resampled.y).tolist() == [(table.y == 0).sum()] * 2
    assert np.array_equal(resampled.X[:400], table.X)
    assert (resampled.X[400:] == 1).all()


# ---- Growth ----------------------------------------------------------------------------------------------------------


def test_the_exponent_of_a_power_is_found(growth):
    sizes = np.array([10, 100, 1000])
    assert growth.exponent(sizes, 3 * sizes**1.5) == pytest.approx(1.5)
    rows = [{"fit": n, "generate": n**2, "fit_memory": 7, "generate_memory": 5 * n} for n in sizes.tolist()]
    last = growth.growth_table(sizes.tolist(), {"SMOTE": rows}).splitlines()[-1]
    assert last == "| exponent | 1.00 | 2.00 | 1.00 |"


@pytest.mark.parametrize("name", ["RAE", "SMOTE"])
def test_a_measurement_has_times_and_memory(growth, name):
    found = growth.measure_growth(name, 400, 1)
    assert set(found) == {"fit", "generate", "fit_memory", "generate_memory"}
    assert found["fit"] > 0 < found["generate"]


def test_the_peak_is_that_of_the_work_alone():
    code = f"""
import sys; sys.path.insert(0, {str(BENCHMARKS)!r})
import numpy as np, tabular_growth as growth
np.ones(50_000_000).sum()  # 400 MB before it
_, _, small = growth.measured(lambda: np.ones(1000))
result, seconds, large = growth.measured(lambda: np.ones(10_000_000).sum())
print(result, seconds, small, large)
"""
    # In a process of its own, as the script's measurements: here other tests' memory is freed at any time.
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    result, seconds, small, large = map(float, done.stdout.split())
    assert (result, seconds > 0) == (1e7, True)
    assert 79 < large < 120
    assert small < 20


def test_a_file_is_written_and_resampled(growth, tmp_path):
    assert growth.write_file(300, str(tmp_path))["megabytes"] > 0
    told = growth.measure_file(300, str(tmp_path), 1)
    assert set(told) == {"peak", "count", "draw", "train", "write"}
    assert (tmp_path / "balanced.parquet").is_file()


def test_the_picture_is_the_same_for_the_same_numbers(growth, tmp_path):
    rows = [{"fit": n / 7, "generate": n / 3} for n in (10, 100)]
    for name in "ab":
        growth.draw([10, 100], {"RAE": rows}, tmp_path / f"{name}.svg")
    pictures = [(tmp_path / f"{name}.svg").read_bytes() for name in "ab"]
    assert pictures[0] == pictures[1]
    assert pictures[0].startswith(b"<?xml")
