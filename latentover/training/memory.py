"""Memory that a training frees and takes again in every step."""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
LARGEST_THRESHOLD = 32 * 2**20
"""Of M_MMAP_THRESHOLD: glibc takes no larger one."""


@contextmanager
def memory_kept() -> Iterator[None]:
    """Let this process keep the memory that is freed inside, up to 2 GiB, for what is needed next.

    By its own rules glibc, the C library of most Linux systems, gives large blocks back to the system again and again,
    and the system fills every page with zeros when it hands it out: for networks with a few million weights that is a
    third of a training on the CPU. Afterwards up to 64 MiB are kept, the most by glibc's rules. With another C library
    this does nothing.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is None:
        yield
        return
    mallopt(M_MMAP_THRESHOLD, LARGEST_THRESHOLD)
    mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
    try:
        yield
    finally:
        mallopt(M_TRIM_THRESHOLD, 2 * LARGEST_THRESHOLD)
