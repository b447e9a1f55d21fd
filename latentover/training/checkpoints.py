"""Where a training stands, as a file: an interrupted fit goes on from it and ends at the same weights."""

import hashlib
import io
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Protocol

import torch

from latentover.files import check_free_file, remove_left_over, write_whole
from latentover.places import as_path

FORMAT = 2
PARTS = ("guide", "sampler", "head", "head_sampler")
"""Trainings within a training, each with a file of its own beside that of the whole."""
_DIGEST_BYTES = hashlib.sha256().digest_size
_keeping = ContextVar("keeping", default=False)


@contextmanager
def keeping() -> Iterator[None]:
    """Let trainings that end inside leave a complete checkpoint, for somebody who removes it when all is done.

    The same training then ends at once where it is started again.
    """
    token = _keeping.set(True)
    try:
        yield
    finally:
        _keeping.reset(token)


def is_keeping() -> bool:
    """Return whether a training that ends here leaves its checkpoint; see `keeping`."""
    return _keeping.get()


class Stateful(Protocol):
    """Anything whose state can be taken and given back: networks, optimizers, streams of batches, generators."""

    def state_dict(self) -> Any:
        """Return the state."""

    def load_state_dict(self, state: Any) -> Any:
        """Take the state back."""


class Checkpoint:
    """The state of a training, written now and then and read when the same training is started again.

    The file is a SHA-256 and what it is the hash of: tensors and plain values alone, read as such (``weights_only``).
    Opening one executes nothing.

    Parameters
    ----------
    path : path
        Of the file; its folder has to be writable.
    every : int
        Steps between two writes.
    fingerprint : str
        Identifies what is trained on what; a file with another one is refused.

    Raises
    ------
    IsADirectoryError, NotADirectoryError, PermissionError
        If no file can be written to `path`.
    """

    def __init__(self, path: str | os.PathLike[str], every: int, fingerprint: str) -> None:
        self.path, self.every, self.fingerprint = as_path(path), every, fingerprint
        self._warned = False
        check_free_file(self.path)

    def part(self, name: str) -> "Checkpoint":
        """Return the checkpoint of a training within this one, one of `PARTS`."""
        return Checkpoint(part_of(self.path, name), self.every, f"{self.fingerprint}, {name}")

    def read(self, parts: Mapping[str, Stateful]) -> dict[str, Any] | None:
        """Give every part its state back and return the loop's own; None where there is no file.

        Raises
        ------
        ValueError
            If the file is damaged or belongs to another training.
        """
        if not self.path.exists():
            return None
        try:
            state = _decoded(self.path.read_bytes())
        except Exception as error:
            raise ValueError(
                f"Expected {self.path} to be a checkpoint, but it cannot be read ({type(error).__name__}); remove it "
                "to train from the start."
            ) from error
        if state["fingerprint"] != self.fingerprint or state["parts"].keys() != parts.keys():
            raise ValueError(
                f"Expected {self.path} to belong to this training, but its parameters, its data or its version are "
                "others; remove it to train from the start, or name another checkpoint."
            )
        for name, part in parts.items():
            part.load_state_dict(state["parts"][name])
        return state["loop"]

    def write(self, loop: dict[str, Any], parts: Mapping[str, Stateful]) -> None:
        """Write the state of all, to a temporary name that then becomes the file.

        A write that fails ends no training: the first time there is a warning, and the file before stays.
        """
        state = {
            "format": FORMAT,
            "fingerprint": self.fingerprint,
            "loop": loop,
            "parts": {name: part.state_dict() for name, part in parts.items()},
        }
        try:
            write_whole(self.path, _encoded(state))
        except OSError as error:
            self._warn("written, and the training goes on without", error)

    def remove(self) -> None:
        """Remove the file and those of its parts, for the training is complete, or warn that it could not be done."""
        try:
            for path in (self.path, *(part_of(self.path, name) for name in PARTS)):
                remove_left_over(path)
                path.unlink(missing_ok=True)
        except OSError as error:
            self._warn("removed", error)

    def _warn(self, what: str, error: OSError) -> None:
        if not self._warned:
            warnings.warn(f"{self.path} could not be {what}: {error}", stacklevel=3)
        self._warned = True


def part_of(path: str | os.PathLike[str], name: str) -> Path:
    """Return where the checkpoint of a training within another one is, one of `PARTS`, given that of the whole."""
    path = as_path(path)
    return path.with_name(f"{path.name}.{name}")


def _encoded(state: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return hashlib.sha256(buffer.getbuffer()).digest() + buffer.getvalue()


def _decoded(content: bytes) -> dict[str, Any]:
    digest, content = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
    if hashlib.sha256(content).digest() != digest:
        raise ValueError("the content has another hash")
    state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    if state["format"] != FORMAT:
        raise ValueError("another format")
    return state
