"""Files and folders are written whole or not at all."""

import json

import pytest

from latentover.files import check_writable, read_json, replacing, replacing_folder, write_json, write_text, write_whole


def test_a_file_is_replaced_when_its_content_is_complete(tmp_path):
    path = tmp_path / "new" / "a.bin"
    assert write_whole(path, b"one") == path
    write_whole(path, b"two")
    assert path.read_bytes() == b"two"
    assert [p.name for p in path.parent.iterdir()] == ["a.bin"]


def test_a_file_that_fails_leaves_the_old_one_and_nothing_else(tmp_path):
    path = write_text(tmp_path / "a.txt", "old")
    with pytest.raises(UnicodeEncodeError), replacing(path) as temporary:
        (temporary.write_bytes(b"half"), "größte".encode("ascii"))
    assert path.read_text(encoding="utf-8") == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("there_before", [True, False])
def test_a_folder_is_replaced_as_a_whole(tmp_path, there_before):
    folder = tmp_path / "runs" / "seed-0"
    if there_before:
        folder.mkdir(parents=True)
        (folder / "old.txt").touch()
    with replacing_folder(folder) as temporary:
        (temporary / "new.txt").touch()
        assert folder.exists() == there_before
    assert [p.name for p in folder.iterdir()] == ["new.txt"]
    assert [p.name for p in folder.parent.iterdir()] == ["seed-0"]


@pytest.mark.parametrize("there_before", [True, False])
def test_a_folder_that_fails_leaves_the_old_one_and_nothing_else(tmp_path, there_before):
    folder = tmp_path / "runs" / "seed-0"
    if there_before:
        folder.mkdir(parents=True)
        (folder / "old.txt").touch()
    with pytest.raises(UnicodeEncodeError), replacing_folder(folder) as temporary:
        (temporary / "new.txt").write_text("größte", encoding="ascii")
    assert [p.name for p in folder.parent.iterdir()] == (["seed-0"] if there_before else [])
    if there_before:
        assert [p.name for p in folder.iterdir()] == ["old.txt"]


def test_text_is_utf_8(tmp_path):
    assert write_text(tmp_path / "a.txt", "größte").read_bytes() == "größte".encode()


def test_json_round_trip(tmp_path):
    value = {"label": "größte", "n": [1, 2.5, None, True]}
    path = write_json(tmp_path / "a.json", value)
    assert read_json(path) == value
    assert "größte" in path.read_text(encoding="utf-8")


def test_json_has_no_nan(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"acsa": float("nan")})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", [None, "", "{", "[1]", "\x00"])
def test_read_json_takes_what_is_no_mapping_for_nothing(tmp_path, content):
    path = tmp_path / "a.json"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    assert read_json(path) == {}
    assert json.loads(write_json(path, {}).read_text(encoding="utf-8")) == {}


def test_check_writable_makes_the_folder(tmp_path):
    check_writable(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()
    assert not list((tmp_path / "a" / "b").iterdir())


@pytest.mark.parametrize("below", ["", "inner", "inner/most"])
def test_check_writable_names_a_folder_that_is_none(tmp_path, below):
    (tmp_path / "file").touch()
    with pytest.raises(
        NotADirectoryError, match=r"Expected .*file.* to be a folder that can be written to, but .*; ch"
    ):
        check_writable(tmp_path / "file" / below)
