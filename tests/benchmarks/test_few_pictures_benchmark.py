import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from latentover import DeepClassifier
from latentover.bundle import save
from latentover.estimators.validation import check_parameters

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "few_pictures.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("few_pictures_benchmark", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


class TestCheckerboard:
    def test_of_a_period_of_two_alone(self, script):
        smooth = np.broadcast_to(np.linspace(0, 1, 32), (1, 3, 32, 32))
        noise = 0.1 * np.random.default_rng(0).random((20, 3, 32, 32))
        board = 0.2 * (np.indices((32, 32)).sum(axis=0) % 2)
        columns = 0.2 * (np.indices((32, 32))[1] % 2)
        assert script.checkerboard(smooth + noise) < 0.02
        for pattern in (board, columns):
            assert script.checkerboard(smooth + noise + pattern) == pytest.approx(0.1, abs=0.02)


def test_every_way_is_an_estimator_that_can_be_trained(script, tmp_path):
    for way, make in script.ways(tmp_path, small=True).items():
        check_parameters(make(random_state=0))
        assert way in script.NAMES or way.startswith("variant ")


def made_up(names, counts):
    rng = np.random.default_rng(0)
    y = np.repeat(names, counts)
    return rng.integers(0, 256, (len(y), 3, 8, 8), dtype=np.uint8), y


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_measures_each_way_once_and_writes_the_page(script, tmp_path, monkeypatch, capsys):
    class Few:
        def __init__(self, root):
            pass

        def folder(self, n):
            return made_up(["automobile", "truck"], [20, n])

        def test(self):
            return made_up(["automobile", "truck"], [12, 12])

    small = {"channels": 2, "hidden_units": 4, "latent_dim": 3, "max_steps": 2, "batch_size": 4}
    backbone = DeepClassifier(backbone="resnet", channels=2, max_epochs=1, random_state=0, device="cpu")
    save(backbone.fit(*made_up(["cat", "dog"], [5, 5])), tmp_path / "out" / "backbone")
    begun = {"encoder": "resnet", "encoder_weights": str(tmp_path / "out" / "backbone")}
    makers = {
        way: lambda more=({} if way != "frozen" else begun), **k: script.RAEClassifier(**small, **more, **k)
        for way in script.NAMES
    }
    monkeypatch.setattr(script, "Pictures", Few)
    monkeypatch.setattr(script, "ways", lambda *a, **k: makers)
    monkeypatch.setattr(script, "SCORED", 12)
    monkeypatch.setattr(script, "GRIDS", (10,))
    arguments = ["few_pictures.py", str(tmp_path / "out")]
    for _ in range(2):
        monkeypatch.setattr("sys.argv", arguments)
        script.main()
    assert capsys.readouterr().out.count("acsa") == len(script.NAMES) + 3
    results = json.loads((tmp_path / "out" / "few_pictures.json").read_text())
    assert 0 <= results["10/default/0"]["pixel_recall"] <= 1
    page = tmp_path / "page.md"
    page.write_text(f"before\n{script.BEGIN}\nstale\n{script.END}\nafter\n")
    Path(tmp_path, "images").mkdir()
    monkeypatch.setattr("sys.argv", [*arguments, "--page", str(page)])
    script.main()
    text = page.read_text()
    assert text.startswith("before")
    assert "stale" not in text
    assert "| a backbone, frozen |" in text
    assert "**10 trucks.**" in text
    assert Image.open(tmp_path / "images" / "few_10_default.png").size[0] > 100
