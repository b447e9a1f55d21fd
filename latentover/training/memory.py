"""Memory that a training frees and takes again in every step."""

import ctypes
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
LARGEST_THRESHOLD = 32 * 2**20
"""Of M_MMAP_THRESHOLD: glibc takes no larger one."""

_entered, _entering = 0, threading.Lock()
"""How often the process is inside: an over-sampler's training is, twice, and threads are beside one another."""


@contextmanager
def memory_kept() -> Iterator[None]:
    """Let this process keep the memory that is freed inside, up to 2 GiB, for what is needed next.

    By its own rules glibc, the C library of most Linux systems, gives large blocks back to the system again and again,
    and the system fills every page with zeros when it hands it out: for networks with a few million weights that was 22
    of the 75 ms of an update on the CPU. Behind the outermost context the next large block that is freed gives all but
    64 MiB back, which is the most that glibc keeps by its rules. With another C library this does nothing.
    """
    global _entered
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is None:
        yield
        return
    with _entering:
        _entered += 1
        mallopt(M_MMAP_THRESHOLD, LARGEST_THRESHOLD)
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
    try:
        yield
    finally:
        with _entering:
            _entered -= 1
            if _entered == 0:
                mallopt(M_TRIM_THRESHOLD, 2 * LARGEST_THRESHOLD)
