import json

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
    assert page.count("### ") == len({run["certificate"]["recipe"] for run in metrics})


def test_same_runs_give_the_same_bytes(runs_folder, tmp_path):
    first = write_markdown(runs_folder, tmp_path / "a.md").read_bytes()
    assert write_markdown(runs_folder, tmp_path / "b.md").read_bytes() == first


def test_folder_without_runs_is_refused_and_nothing_written(tmp_path):
    with pytest.raises((FileNotFoundError, ValueError), match="Expected"):
        write_markdown(tmp_path, tmp_path / "page.md")
    assert not (tmp_path / "page.md").exists()
