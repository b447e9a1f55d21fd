"""Where a training stands, as a file: an interrupted fit goes on from it and ends at the same weights."""

import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import torch

from latentover.files import check_writable, write_whole

FORMAT = 1


class Stateful(Protocol):
    """Anything whose state can be taken and given back: networks, optimizers, streams of batches, generators."""

    def state_dict(self) -> Any:
        """Return the state."""

    def load_state_dict(self, state: Any) -> Any:
        """Take the state back."""


class Checkpoint:
    """The state of a training, written now and then and read when the same training is started again.

    The file holds tensors and plain values alone and is read as such (``weights_only``): opening one executes nothing.

    Parameters
    ----------
    path : path
        Of the file; its folder has to be writable.
    every : int
        Steps between two writes.
    fingerprint : str
        Identifies what is trained on what; a file with another one is refused.
    """

    def __init__(self, path: str | os.PathLike[str], every: int, fingerprint: str) -> None:
        self.path, self.every, self.fingerprint = Path(path), every, fingerprint
        check_writable(self.path.parent)

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
            state = torch.load(self.path, map_location="cpu", weights_only=True)
            known = state["format"] == FORMAT and state["fingerprint"]
        except Exception as error:
            raise ValueError(
                f"Expected {self.path} to be a checkpoint, but it cannot be read ({type(error).__name__}); remove it "
                "to train from the start."
            ) from error
        if known != self.fingerprint:
            raise ValueError(
                f"Expected {self.path} to belong to this training, but its parameters, its data or its version are "
                "others; remove it to train from the start, or name another checkpoint."
            )
        for name, part in parts.items():
            part.load_state_dict(state["parts"][name])
        return state["loop"]

    def write(self, loop: dict[str, Any], parts: Mapping[str, Stateful]) -> None:
        """Write the state of all, to a temporary name that then becomes the file."""
        state = {
            "format": FORMAT,
            "fingerprint": self.fingerprint,
            "loop": loop,
            "parts": {name: part.state_dict() for name, part in parts.items()},
        }
        buffer = io.BytesIO()
        torch.save(state, buffer)
        write_whole(self.path, buffer.getvalue())

    def remove(self) -> None:
        """Remove the file: the training is complete."""
        self.path.unlink(missing_ok=True)
