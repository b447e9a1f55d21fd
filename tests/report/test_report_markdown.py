import json
import re
import shutil

import pytest

from latentover.report import write_markdown


def test_page_has_a_table_for_each_split_and_the_certificates(runs_folder, tmp_path):
    path = write_markdown(runs_folder, tmp_path / "digits.md")
    page = path.read_text(encoding="utf-8")

    metrics = [json.loads(file.read_text()) for file in runs_folder.glob("*/seed-*/metrics.json")]
    for split in metrics[0]["splits"]:
        assert f"## {split.removeprefix('test_').capitalize()}" in page
    for run in metrics:
        assert run["certificate"]["recipe_sha256"] in page
        assert f"{100 * run['acsa']:.2f}%" in page
    before, certificates = page.split("<details>\n<summary>Certificates of all numbers above</summary>\n\n")
    assert before.endswith("## Where the numbers come from\n\n")
    assert certificates.endswith("\n\n</details>\n")
    assert len(re.findall(r"^\*\*.*\*\*$", certificates, re.MULTILINE)) == len(
        {run["certificate"]["recipe"] for run in metrics}
    )


def test_several_folders_are_sections_one_level_lower(runs_folder, tmp_path):
    single = write_markdown(runs_folder, tmp_path / "one.md").read_text(encoding="utf-8")
    other = shutil.copytree(runs_folder, tmp_path / "mnist")
    for file in other.glob("*/seed-*/metrics.json"):
        metrics = json.loads(file.read_text())
        metrics["certificate"]["group"] = "mnist"
        file.write_text(json.dumps(metrics))
    page = write_markdown([runs_folder, other], tmp_path / "both.md").read_text(encoding="utf-8")
    assert page.startswith("# Digits, MNIST\n\n## Digits\n\nRAE has the best")
    head, digits, mnist = re.split("^## ", page, flags=re.MULTILINE)
    assert head.strip() == "# Digits, MNIST"
    assert re.sub("^#(?=#)", "", f"## {digits}", flags=re.MULTILINE).strip() == single.strip()
    assert digits.replace("Digits", "MNIST", 1).strip() == mnist.strip()


def test_samples_of_several_methods_are_shown_side_by_side(runs_folder, tmp_path):
    assert "side by side" not in write_markdown(runs_folder, tmp_path / "one.md").read_text(encoding="utf-8")
    (source,) = runs_folder.glob("rae/seed-0/samples.npz")
    other = next(path for path in runs_folder.iterdir() if path.is_dir() and path.name != "rae")
    shutil.copy(source, other / "seed-0")
    page = write_markdown(runs_folder, tmp_path / "two.md").read_text(encoding="utf-8")
    (name,) = re.findall(r"!\[Real images and those that each method made\]\((.*)\)", page)
    assert name == f"two_{runs_folder.name}_samples.png"
    assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


def test_published_numbers_are_shown_on_their_split_alone(runs_folder, tmp_path):
    published = {"source": "A paper, Table 1", "test_imbalanced": {"acsa": 84.79, "sd": {"acsa": 0.15}}}
    for file in runs_folder.glob("rae/seed-*/metrics.json"):
        metrics = json.loads(file.read_text())
        metrics["certificate"]["published"] = published
        file.write_text(json.dumps(metrics))
    page = write_markdown(runs_folder, tmp_path / "a.md").read_text(encoding="utf-8")
    sections = {part.split(" ")[0]: part for part in page.split("\n## ")[1:]}
    assert "| 84.79 ± 0.15 ACSA |" in sections["Imbalanced"]
    assert "\nPublished numbers: A paper, Table 1.\n" in sections["Imbalanced"]
    assert "Published" not in sections["Balanced"] + sections["Validation"]


def test_calibration_stands_beside_the_accuracy_on_every_split(runs_folder, tmp_path):
    page = write_markdown(runs_folder, tmp_path / "a.md").read_text(encoding="utf-8")
    assert page.count("| Method | ACSA (%) | ECE (%) | Brier |") == 3
    assert page.count("ECE: how far") == 1


def test_same_runs_give_the_same_bytes(runs_folder, tmp_path):
    first = write_markdown(runs_folder, tmp_path / "a.md").read_bytes()
    assert write_markdown(runs_folder, tmp_path / "b.md").read_bytes() == first


def test_folder_without_runs_is_refused_and_nothing_written(tmp_path):
    with pytest.raises((FileNotFoundError, ValueError), match="Expected"):
        write_markdown(tmp_path, tmp_path / "page.md")
    assert not (tmp_path / "page.md").exists()
