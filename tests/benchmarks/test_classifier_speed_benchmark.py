"""The speed script's plain loop mixes labels as the package does, and the script prints a table."""

import importlib.util
import re
import sys
from pathlib import Path

import pytest
import torch

from latentover.mixing import mamix_label_weight

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "classifier_speed.py"


@pytest.fixture(scope="module")
def classifier_speed():
    pytest.importorskip("torchvision")
    spec = importlib.util.spec_from_file_location("classifier_speed_benchmark", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    n_threads = torch.get_num_threads()
    yield module
    torch.set_num_threads(n_threads)  # the script sets its own
    del sys.modules[spec.name]


@pytest.mark.parametrize("lam", [0.0, 0.3, 0.75, 1.0])
def test_label_weights_of_the_plain_loop(classifier_speed, lam):
    counts = torch.tensor(classifier_speed.COUNTS)
    labels, partners = (grid.flatten() for grid in torch.meshgrid(*[torch.arange(10)] * 2, indexing="ij"))
    found = classifier_speed.plain_label_weights(lam, labels, partners, counts.numpy())
    expected = mamix_label_weight(torch.tensor(lam), counts[labels], counts[partners])
    torch.testing.assert_close(found, expected, check_dtype=False)


def test_images_are_long_tailed(classifier_speed):
    X, y = classifier_speed.long_tailed_images(2000)
    assert X.shape == (2000, 3, 32, 32)
    assert 0.35 < (y == 0).mean() < 0.45
    assert 2 <= (y == 9).sum() < 40


def test_it_prints_a_table_and_the_machine(classifier_speed, capsys):
    classifier_speed.main(["--images", "130", "--epochs", "1", "--threads", "1"])
    first, _, head, _, *rows = capsys.readouterr().out.splitlines()
    assert re.match(r"\d{4}-\d\d-\d\d, .*torch .*, cpu, 1 threads; ours in ", first)
    assert head == "| training epoch | images/s | times the plain loop |"
    assert [row.split("|")[1].strip().split(",")[0] for row in rows] == [
        "plain loop",
        "DeepClassifier",
        "network alone",
        "network alone",
    ]
    assert float(rows[0].split("|")[3]) == 1
