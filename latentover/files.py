"""Writing files so that nothing is lost: under a temporary name first, then renamed."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

import latentover


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside `path`; what was written there replaces `path` if nothing was raised."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def replacing_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a new folder beside `path`; with what was put in there it replaces `path` if nothing was raised."""
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    replaced = path.with_name(f".{path.name}.{os.getpid()}.old")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        yield temporary
        if path.exists():
            path.rename(replaced)
        temporary.rename(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(replaced, ignore_errors=True)


def write_whole(path: str | os.PathLike[str], content: bytes) -> Path:
    """Write a file whole or not at all, and return its path."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)
    return Path(path)


def write_text(path: str | os.PathLike[str], text: str) -> Path:
    """Write a text file in UTF-8 whole or not at all."""
    return write_whole(path, text.encode("utf-8"))


def write_json(path: str | os.PathLike[str], value: Any) -> Path:
    """Write a JSON file whole or not at all."""
    return write_text(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def shipped_folder(name: str) -> Path:
    """Return the folder of the shipped ``configs`` or ``models``: inside the wheel, or beside the package."""
    inside = Path(str(files(latentover) / name))
    return inside if inside.is_dir() else inside.parent.parent / name


def check_writable(folder: str | os.PathLike[str]) -> None:
    """Raise PermissionError or NotADirectoryError unless files can be made in `folder`, which is created if need be."""
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        kind = PermissionError if isinstance(error, PermissionError) else NotADirectoryError
        raise kind(
            f"Expected {os.fspath(folder)} to be a folder that can be written to, but {error.strerror or error}; "
            "choose another one."
        ) from error


def read_json(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the mapping in a JSON file, or an empty one if there is no such file or it is damaged."""
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
