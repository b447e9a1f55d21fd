"""Where runs lie: a local path, or a URL of any file system that fsspec knows (``s3://bucket/runs``).

A URL becomes a `upath.UPath`, which has the methods of a path. What differs is here: such a store has no locks and
takes whole files alone.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

HEARTBEAT = 15.0
"""Seconds after which somebody who holds a claim says so again."""
EXPIRY = 4 * HEARTBEAT
"""Seconds after which a claim of which nothing was heard is nobody's."""
SETTLING = 0.5
"""Seconds after which two that claim the same at once see who was last, and thus has it."""


def as_path(place: str | os.PathLike[str] | Any) -> Path:
    """Return a place as something with the methods of a path.

    Parameters
    ----------
    place : str or path
        A local path, or a URL with a protocol of fsspec. Keys and addresses of a service are fsspec's to know: from
        its configuration (``~/.config/fsspec``) or from the environment.

    Raises
    ------
    ImportError
        For a URL, if universal_pathlib or the package of its protocol is not installed.

    Examples
    --------
    >>> as_path("runs/digits").name
    'digits'
    """
    if isinstance(place, str) and "://" in place:
        try:
            from upath import UPath

            return UPath(place)  # type: ignore[return-value]
        except ImportError as error:
            raise ImportError(
                f"Expected universal_pathlib, and the package for its protocol, to reach {place}, but got: {error}; "
                "install them with pip install 'latentover[remote]'."
            ) from error
    return Path(place) if isinstance(place, str | os.PathLike) else place


def is_local(path: Path | Any) -> bool:
    """Return whether a path is one of this machine's file system, and not behind a URL.

    Examples
    --------
    >>> is_local(as_path("runs"))
    True
    """
    return isinstance(path, Path)


def lock_of(path: Any) -> Any:
    """Return the file beside a path that stands for its lock, or at a URL for the claim on it."""
    return path.with_name(f".{path.name}.lock")


@contextmanager
def uploading(path: Any) -> Iterator[Path]:
    """Yield a local temporary file whose content then becomes the file at a URL, whole or not at all."""
    with tempfile.TemporaryDirectory() as folder:
        temporary = Path(folder) / (path.name or "file")
        temporary.touch()
        yield temporary
        part = path.with_name(f".{path.name}.{secrets.token_hex(6)}.part")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.fs.put_file(str(temporary), part.path)
        path.fs.mv(part.path, path.path)


@contextmanager
def claimed(path: Any, *, wait: bool) -> Iterator[None]:
    """Hold what lies at a URL for oneself: a file beside it says who has it, and is written anew every few seconds.

    Raises
    ------
    BlockingIOError
        Naming who has it, if `wait` is False.
    """
    claim, token = lock_of(path), secrets.token_hex(8)
    path.parent.mkdir(parents=True, exist_ok=True)
    while (holder := _take(claim, token)) is not None:
        if not wait:
            raise BlockingIOError(
                f"Expected {path} to be free, but process {holder.get('pid')} on {holder.get('host')} is writing it; "
                "wait for that, or choose another one."
            )
        time.sleep(1.0)
    done = threading.Event()
    thread = threading.Thread(target=_keep_alive, args=(claim, token, done), daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        with suppress(OSError):
            claim.unlink()


def _take(claim: Any, token: str) -> dict[str, Any] | None:
    """Write one's own claim and return None, or return whose there is."""
    found = _read(claim)
    if found and time.time() - float(found.get("time", 0)) < EXPIRY:
        return found
    _write(claim, token)
    time.sleep(SETTLING)
    found = _read(claim)
    return None if found.get("token") == token else found or {}


def _keep_alive(claim: Any, token: str, done: threading.Event) -> None:
    while not done.wait(HEARTBEAT):
        with suppress(OSError):
            _write(claim, token)


def _write(claim: Any, token: str) -> None:
    content = {"host": socket.gethostname(), "pid": os.getpid(), "time": time.time(), "token": token}
    claim.write_text(json.dumps(content), encoding="utf-8")


def _read(claim: Any) -> dict[str, Any]:
    try:
        content = json.loads(claim.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
