"""Files and folders are written whole or not at all."""

import errno
import json
import os
import re
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import latentover
from latentover.files import (
    check_free_file,
    check_writable,
    locked,
    read_json,
    remove_left_over,
    replacing,
    replacing_folder,
    sha256_of,
    write_json,
    write_text,
    write_whole,
)


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


# ---- Faults ----------------------------------------------------------------------------------------------------------

KILLED = """
import os, signal, sys
from pathlib import Path
from latentover import files
operation, after = sys.argv[2], int(sys.argv[3])
calls = 0
def dying(function):
    def call(*args, **kwargs):
        global calls
        calls += 1
        if calls > after:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **kwargs)
    return call
for owner, names in ((Path, ("mkdir", "rename", "replace", "touch", "unlink", "write_bytes")),
                     (files, ("_exchange", "_sync")), (os, ("open", "fsync"))):
    for name in names:
        setattr(owner, name, dying(getattr(owner, name)))
if operation == "file":
    files.write_whole(sys.argv[1], b"new")
else:
    with files.replacing_folder(sys.argv[1]) as folder:
        (folder / "a.txt").write_bytes(b"new")
print("done")
"""


def killed(path, operation, after):
    """Replace `path` in a process that is killed at its next call of the system after so many; say if it was."""
    result = subprocess.run(
        [sys.executable, "-c", KILLED, str(path), operation, str(after)],
        env={"PYTHONPATH": str(Path(latentover.__file__).parent.parent), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode in (0, -signal.SIGKILL), result.stderr
    return result.returncode != 0


@pytest.mark.skipif(sys.platform != "linux", reason="swaps two names in one step")
@pytest.mark.parametrize("operation", ["file", "folder"])
def test_a_kill_at_any_moment_leaves_the_old_or_the_new_one_and_the_next_write_cleans_up(tmp_path, operation):
    path = tmp_path / "a"
    content = path if operation == "file" else path / "a.txt"
    content.parent.mkdir(exist_ok=True)
    content.write_bytes(b"old")
    after, seen = 0, set()
    while killed(path, operation, after):
        seen.add(content.read_bytes())
        content.write_bytes(b"old")
        after += 1
    assert after >= 5
    assert seen == {b"old", b"new"} if operation == "folder" else seen >= {b"old"}
    assert content.read_bytes() == b"new"
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_what_another_writes_at_the_same_time_is_not_taken_for_left_over(tmp_path):
    for writing in (replacing, replacing_folder):
        path = tmp_path / writing.__name__
        with writing(path) as first, writing(path) as second:
            assert first != second
            for place in (first, second):
                (place / "a" if place.is_dir() else place).write_text(place.name)
        assert (path / "a" if path.is_dir() else path).read_text() == first.name
        assert [p.name for p in tmp_path.glob(f".{path.name}*")] == []


@pytest.mark.parametrize("operation", ["file", "folder"])
def test_many_processes_with_one_number_write_to_one_place(tmp_path, monkeypatch, operation):
    """As in two containers, where every first process has the number 1; threads stand for the processes."""
    monkeypatch.setattr("os.getpid", lambda: 1)
    path = tmp_path / "a"

    def write(number):
        for _ in range(25):
            if operation == "file":
                write_whole(path, b"%d" % number)
            else:
                with replacing_folder(path) as folder:
                    for name in "xy":
                        (folder / name).write_bytes(b"%d" % number)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    contents = [path.read_bytes()] if operation == "file" else [(path / name).read_bytes() for name in "xy"]
    assert len(set(contents)) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_where_names_cannot_be_swapped_a_folder_that_was_moved_away_comes_back(tmp_path, monkeypatch):
    monkeypatch.setattr("latentover.files._exchange", lambda first, second: False)
    folder = tmp_path / "a"
    for text in ("old", "new"):
        with replacing_folder(folder) as temporary:
            (temporary / "a.txt").write_text(text)
    assert (folder / "a.txt").read_text() == "new"
    folder.rename(tmp_path / ".a.0123456789ab.old")  # a kill between the two renames
    remove_left_over(folder)
    assert (folder / "a.txt").read_text() == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_left_over_is_what_is_called_so(tmp_path):
    names = [".a.b.0123456789ab.part", ".a.notes.part", ".b.0123456789ab.part", "a.0123456789ab.part"]
    for name in [*names, ".a.0123456789ab.part"]:
        (tmp_path / name).touch()
    (tmp_path / ".a.ba9876543210.part").mkdir()
    write_text(tmp_path / "a", "new")
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([*names, "a"])


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_names_the_file(tmp_path, monkeypatch, code):
    write_text(tmp_path / "a.txt", "old")

    def full(path, content):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(Path, "write_bytes", full)
    message = f"Expected space for {tmp_path / 'a.txt'}, but got: {os.strerror(code)}; make some"
    with pytest.raises(OSError, match=re.escape(message)) as raised:
        write_text(tmp_path / "a.txt", "new")
    assert raised.value.errno == code
    message = f"Expected space for {tmp_path / 'run' / 'b.json'}, but got: {os.strerror(code)}; make some"
    with pytest.raises(OSError, match=re.escape(message)), replacing_folder(tmp_path / "run") as folder:
        write_json(folder / "b.json", {})
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "old"


def test_other_errors_pass_as_they_are(tmp_path):
    for writing in (replacing, replacing_folder):
        with pytest.raises(FileNotFoundError, match="mine"), writing(tmp_path / "a"):
            raise FileNotFoundError("mine")
    assert not list(tmp_path.iterdir())


def test_one_has_the_lock_and_it_leaves_nothing(tmp_path):
    path = tmp_path / "runs" / "seed-0"
    order = []

    def other():
        with locked(path):
            order.append("second")

    with ThreadPoolExecutor(1) as pool:
        with locked(path):
            waiting = pool.submit(other)
            with locked(path.with_name("seed-1")):
                pass
            with pytest.raises(BlockingIOError, match=r"Expected .*seed-0 to be free"), locked(path, wait=False):
                pass
            order.append("first")
        waiting.result(timeout=60)
    assert order == ["first", "second"]
    assert not list(path.parent.iterdir())


def test_a_killed_process_has_no_lock(tmp_path):
    code = f"""
import os, signal
from latentover.files import locked
with locked({str(tmp_path / "a")!r}):
    os.kill(os.getpid(), signal.SIGKILL)
"""
    environment = {"PYTHONPATH": str(Path(latentover.__file__).parent.parent), "PATH": "/usr/bin:/bin"}
    result = subprocess.run([sys.executable, "-c", code], env=environment, timeout=60, check=False)
    assert result.returncode == -signal.SIGKILL
    assert [p.name for p in tmp_path.iterdir()] == [".a.lock"]
    with locked(tmp_path / "a", wait=False):
        pass
    assert not list(tmp_path.iterdir())


def test_the_lock_counts_what_many_do(tmp_path):
    path = tmp_path / "count"
    path.write_text("0")

    def count(_):
        for _ in range(20):
            with locked(path):
                path.write_text(str(int(path.read_text()) + 1))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(count, range(4)))
    assert path.read_text() == "80"


@pytest.mark.parametrize("below", ["", "."])
def test_a_folder_is_no_place_for_a_file(tmp_path, below):
    with pytest.raises(IsADirectoryError, match=r"Expected .* to be a file or a free name, but it is a folder"):
        check_free_file(tmp_path / below)
    check_free_file(tmp_path / "new" / "a.json")
    assert (tmp_path / "new").is_dir()


def test_the_hash_of_a_file(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256_of(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
