"""Updates that are recorded once and then replayed, as CUDA graphs.

An update of small networks is hundreds of kernels, and to launch them one by one takes the host ten times as long as
the GPU computes. A recording launches them all at once. It is made of an update's kernels and the places in memory
that they read and write: what it reads has to stay where it is, and nothing in it may depend on the host.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

import torch

EAGER_UPDATES = 3
"""Updates of each kind that are made one kernel at a time before it is recorded: optimizers make their state in the
first, and libraries look for their fastest kernels."""
MAX_RECORDINGS = 16
"""Of a phase: kinds of batches beyond these, such as classes of many sizes, are never recorded."""

_recorded = False
"""Whether what runs now may be recorded, whatever its device."""


class CaptureError(RuntimeError):
    """An update cannot be recorded; the message says which and why."""


class Recorder(Protocol):
    """Makes recordings."""

    def place(self) -> AbstractContextManager[object]:
        """Return a context in which updates can be made and recorded."""

    def record(self, update: Callable[[], object], generators: Sequence[torch.Generator]) -> Callable[[], None]:
        """Make the update once, recording it, and return what makes it again.

        The numbers that it draws are new ones each time; `generators` are those that it draws from.
        """


class CudaGraphs:
    """Records on a CUDA device, in a stream of its own, for the usual one cannot be; a recording has its own memory."""

    def __init__(self, device: torch.device) -> None:
        self.stream = torch.cuda.Stream(device)

    @contextmanager
    def place(self) -> Iterator[None]:
        """See `Recorder`."""
        outside = torch.cuda.current_stream(self.stream.device)
        self.stream.wait_stream(outside)
        try:
            with torch.cuda.stream(self.stream):
                yield
        finally:
            outside.wait_stream(self.stream)

    def record(self, update: Callable[[], object], generators: Sequence[torch.Generator]) -> Callable[[], None]:
        """See `Recorder`."""
        graph = torch.cuda.CUDAGraph()
        for generator in generators:
            graph.register_generator_state(generator)
        # Only this thread is watched: another one may be training too.
        try:
            with torch.cuda.graph(graph, stream=self.stream, capture_error_mode="thread_local"):
                update()
        except RuntimeError as error:  # the end of the recording says less than what ended it
            for generator in (*generators, torch.cuda.default_generators[self.stream.device.index]):
                end_recording_of(generator)
            raise CaptureError(str(error.__context__ or error)) from error
        graph.replay()  # recording computes nothing
        return graph.replay


def end_recording_of(generator: torch.Generator) -> None:
    """Let a generator draw on after a recording that failed: torch leaves its state as if it were still recorded.

    It goes on from where it was; its state becomes a copy that no recording knows.
    """
    generator.graphsafe_set_state(generator.clone_state())


def recorder_for(device: torch.device) -> Recorder | None:
    """Return what records on a device, or None where nothing can: elsewhere, and with a torch without such graphs."""
    known = hasattr(torch.cuda.CUDAGraph, "register_generator_state")
    return CudaGraphs(device) if device.type == "cuda" and known else None


@contextmanager
def recordable() -> Iterator[None]:
    """Let code inside take the ways that can be recorded, on the CPU too."""
    global _recorded
    before, _recorded = _recorded, True
    try:
        yield
    finally:
        _recorded = before


def host_may_look(device: torch.device) -> bool:
    """Return whether code may read tensors of that device and go by them.

    On the CPU it may, and saves work by it. On a GPU the host would have to wait, and a recording would go the way of
    the first batch for ever.
    """
    return device.type == "cpu" and not _recorded


def warn_not_captured(phase: str, error: BaseException) -> None:
    """Say that a phase goes on one kernel at a time, and why."""
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0].removesuffix(".")
    warnings.warn(
        f"The {phase} update cannot be recorded as a CUDA graph, so it is made one kernel at a time, which is slower: "
        f"{reason}. A network may not read tensors on the host (.item(), .tolist(), if tensor: ...), send it tensors, "
        "or have shapes that depend on values; capture=False does without.",
        UserWarning,
        stacklevel=2,
    )
