"""Writing files so that nothing is lost: under a temporary name first, then renamed.

Temporary files and folders are locked by the process that writes them, and the system lets go of a lock when its
process ends, however it ends. So what lies there unlocked was left by a process that was killed, and the next one that
writes to the same place removes it. A path may be a URL too (`latentover.places`): what is written there is made in a
local file first, and claims take the place of locks.
"""

import ctypes
import errno
import glob
import hashlib
import json
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from importlib.resources import files
from pathlib import Path
from typing import Any

import latentover
from latentover.places import as_path, claimed, is_local, lock_of, uploading

_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_EXCHANGE = 2
"""Linux's flag by which two names swap what they name, in one step."""
_POLL_SECONDS = 0.1
_TOKEN_BYTES = 6


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside `path`; what was written there replaces `path` if nothing was raised.

    Raises
    ------
    OSError
        Naming `path`, if there is no space for it.
    """
    path = as_path(path)
    if not is_local(path):
        with uploading(path) as temporary:
            yield temporary
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_left_over(path)
    with _temporary(path, lambda temporary: temporary.touch(exist_ok=False)) as temporary:
        try:
            with _naming(path, temporary):
                yield temporary
                _sync(temporary)
                temporary.replace(path)
                _sync_folder(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def replacing_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a new folder beside `path`; with what was put in there it replaces `path` if nothing was raised.

    Where the system can swap two names in one step, as Linux can, there is a whole folder at `path` at every moment.

    Raises
    ------
    OSError
        Naming `path`, if there is no space for it.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_left_over(path)
    with _temporary(path, Path.mkdir) as temporary:
        try:
            with _naming(path, temporary):
                yield temporary
                for file in filter(Path.is_file, temporary.rglob("*")):
                    _sync(file)
                _swap(temporary, path)
                _sync_folder(path.parent)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _swap(new: Path, path: Path) -> None:
    """Bring the folder `new` to `path`; what was there is at `new` then, or gone."""
    try:
        new.rename(path)  # a free name or an empty folder
        return
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.EACCES, errno.EPERM):
            raise
    if _exchange(new, path):
        return
    old = new.with_suffix(".old")
    path.rename(old)
    new.rename(path)
    shutil.rmtree(old, ignore_errors=True)


def _exchange(first: Path, second: Path) -> bool:
    """Swap two names in one step, and say whether this system could."""
    swap = getattr(ctypes.CDLL(None), "renameat2", None) if os.name == "posix" else None
    here = -100  # AT_FDCWD: relative paths are relative to the working folder
    return swap is not None and swap(here, os.fsencode(first), here, os.fsencode(second), _EXCHANGE) == 0


# ---- Locks and what was left over ------------------------------------------------------------------------------------


@contextmanager
def locked(path: str | os.PathLike[str], *, wait: bool = True) -> Iterator[None]:
    """Keep all other processes, and threads, that ask for it from having the lock of `path` at the same time.

    It is a file beside `path` that is locked, ``.<name>.lock``. Where a file system knows no locks nothing is kept.

    Parameters
    ----------
    path : path
        A file or a folder that need not exist; its parent is made.
    wait : bool, default=True
        Whether to wait for the lock.

    Raises
    ------
    BlockingIOError
        If another has the lock, and `wait` is False.
    """
    path = as_path(path)
    if not is_local(path):
        with claimed(path, wait=wait):
            yield
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = lock_of(path)
    while True:
        handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
        taken = _lock(handle)
        if taken is not False and _is_at(handle, lock):
            break
        os.close(handle)  # of another, or removed by the one that had it
        if taken is False and not wait:
            raise BlockingIOError(
                f"Expected {path} to be free, but another process is writing it; wait for that, or choose another one."
            )
        if taken is False:
            time.sleep(_POLL_SECONDS)
    try:
        yield
    finally:
        with suppress(OSError):
            lock.unlink()
        os.close(handle)


def remove_left_over(path: str | os.PathLike[str]) -> None:
    """Remove what processes that were killed have left beside `path`, and put back what one had moved away."""
    path = as_path(path)
    if not is_local(path):
        return
    name, token = glob.escape(path.name), "[0-9a-f]" * 2 * _TOKEN_BYTES
    for old in path.parent.glob(f".{name}.{token}.old"):
        if not path.exists():
            with suppress(OSError):
                old.rename(path)
        shutil.rmtree(old, ignore_errors=True)
    for part in path.parent.glob(f".{name}.{token}.part"):
        with suppress(OSError), _opened(part) as handle:
            if handle is not None and _lock(handle):
                shutil.rmtree(part) if part.is_dir() else part.unlink()


@contextmanager
def _temporary(path: Path, make: Callable[[Path], None]) -> Iterator[Path]:
    """Make something with a name of its own beside `path`, and hold its lock."""
    with ExitStack() as stack:
        while True:
            temporary = path.with_name(f".{path.name}.{secrets.token_hex(_TOKEN_BYTES)}.part")
            make(temporary)
            try:
                handle = stack.enter_context(_opened(temporary))
            except FileNotFoundError:
                continue  # another process found it before it was locked, and took it for one that was left over
            if handle is None or (_lock(handle) is not False and _is_at(handle, temporary)):
                break
        yield temporary


@contextmanager
def _opened(path: Path) -> Iterator[int | None]:
    """Open a file or a folder to lock it; None on Windows, where what is open cannot be moved."""
    if os.name != "posix":
        yield None
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        yield handle
    finally:
        os.close(handle)


def _lock(handle: int) -> bool | None:
    """Lock what is open, and say whether it is ours now; None where there are no locks."""
    try:
        import fcntl
    except ImportError:  # on Windows
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _is_at(handle: int, path: Path) -> bool:
    """Whether an open file is still the one at `path`."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sync_folder(folder: Path) -> None:
    if os.name == "posix":
        with suppress(OSError):
            _sync(folder)


@contextmanager
def _naming(path: Path, temporary: Path) -> Iterator[None]:
    """Let no error about want of space pass that does not name the file."""
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_SPACE:
            raise
        text = str(error).replace(str(temporary), str(path))
        if not text.startswith("Expected "):
            text = f"Expected space for {path}, but got: {error.strerror or error}; make some, or choose another place."
        named = OSError(text)
        named.errno = error.errno
        raise named from error


# ---- Files -----------------------------------------------------------------------------------------------------------


def write_whole(path: str | os.PathLike[str], content: bytes) -> Path:
    """Write a file whole or not at all, and return its path."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)
    return as_path(path)


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


def sha256_of(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a file."""
    with as_path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_free_file(path: str | os.PathLike[str]) -> None:
    """Raise IsADirectoryError, or as `check_writable`, unless a file can be written to `path`."""
    path = as_path(path)
    if path.is_dir():
        raise IsADirectoryError(
            f"Expected {path} to be a file or a free name, but it is a folder; choose another name."
        )
    check_writable(path.parent)


def check_writable(folder: str | os.PathLike[str]) -> None:
    """Raise PermissionError or NotADirectoryError unless files can be made in `folder`, which is created if need be."""
    folder = as_path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if is_local(folder):
            with tempfile.TemporaryFile(dir=folder):
                pass
    except OSError as error:
        kind = PermissionError if isinstance(error, PermissionError) else NotADirectoryError
        raise kind(
            f"Expected {folder} to be a folder that can be written to, but {error.strerror or error}; "
            "choose another one."
        ) from error


def read_json(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the mapping in a JSON file, or an empty one if there is no such file or it is damaged."""
    try:
        content = json.loads(as_path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
