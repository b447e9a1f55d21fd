"""From an empty folder with the page on images alone: what it says one types, typed; and its notebook, run."""

import ast
import csv
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_docs import BLOCK
from typed_commands import split

from latentover import cli

PAGE = Path(__file__).parent.parent / "docs" / "guide" / "images.md"
SECTION = "## From a folder of photos to a page"
CLASSES = {"cat": (250, 200, 90, 40), "dog": (120, 60, 60, 60), "truck": (30, 30, 80, 200)}
"""Photos, and a colour."""
FASTER = [
    "--method.init_args.max_steps",
    "3",
    "--method.init_args.channels",
    "4",
    "--method.init_args.hidden_units",
    "16",
]
FASTER += ["--evaluation.tsne_points", "60", "--device", "cpu"]
"""What the test trains for seconds with; all else is as the page has it."""

pytestmark = pytest.mark.skipif(not PAGE.parents[1].is_dir(), reason="the pages are not beside these tests")


def shown(language):
    """Return the first block of the section in a language."""
    section = PAGE.read_text(encoding="utf-8").partition(SECTION)[2]
    return next(code for _, name, code in BLOCK.findall(section) if name == language)


def save(path, size, colour, rng):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.array(colour) + rng.integers(-30, 30, size=(*size, 3))
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path, quality=80)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder that is empty but for 400 photos in class folders, and 50 new ones."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LATENTOVER_DATA", raising=False)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    rng = np.random.default_rng(0)
    sizes = [(40, 30), (32, 32), (61, 80), (90, 45)]
    for name, (n, *colour) in CLASSES.items():
        for i in range(n):
            save(tmp_path / "photos" / name / f"IMG_{i:04}.JPG", sizes[i % 4], colour, rng)
    for i in range(50):
        save(tmp_path / "new_photos" / f"{i:02}.jpg", sizes[i % 3], list(CLASSES.values())[i % 3][1:], rng)
    return tmp_path


def check_made(folder):
    """All is there that the page promises."""
    with (folder / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 50
    assert list(rows[0]) == ["file", "label", "p_cat", "p_dog", "p_truck"]
    assert rows[0]["file"] == "new_photos/00.jpg"
    assert all(abs(sum(float(row[f"p_{name}"]) for name in CLASSES) - 1) < 1e-3 for row in rows)
    made = sorted((folder / "made" / "cat").iterdir())
    assert len(made) == 64
    assert {Image.open(path).size for path in made} == {(32, 32)}
    assert [path.name for path in (folder / "public").iterdir()] == ["index.html"]
    page = (folder / "public" / "index.html").read_text(encoding="utf-8")
    assert "<h1>Our photos</h1>" in page
    assert not re.search(r"(src|href)=[\"']?https?:", page), "one file, that opens without a network"
    assert (folder / "runs" / "photos" / "report.html").is_file()


def test_each_step_is_one_command_and_no_code(folder, capsys):
    commands = shown("bash").splitlines()
    assert [split(command)[1] for command in commands] == ["train", "report", "predict", "generate", "report"]
    for command in commands:
        program, *words = split(command)
        assert program == "latentover"
        status = cli.main([*words, *(FASTER if words[0] == "train" else [])])
        assert status == 0, capsys.readouterr().err
    assert "predictions.csv: 50 images (" in capsys.readouterr().out
    check_made(folder)


def test_the_same_in_a_notebook_of_twelve_statements(folder):
    code = shown("python")
    assert len(ast.parse(code).body) <= 12
    faster = code.replace('"--data.source", "photos"]', f'"--data.source", "photos", *{FASTER[:-2]}]')
    assert faster != code
    exec(compile(faster, PAGE.name, "exec"), {"__name__": "__notebook__"})
    check_made(folder)
