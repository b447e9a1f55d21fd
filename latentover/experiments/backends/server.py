"""A process that imports what all workers need, which are then copies of it; nothing heavy is imported here."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_all_start_methods, get_context
from typing import Any

_PRELOADED = ["latentover.experiments.jobs", "latentover.methods"]


def start_server() -> Any:
    """Return the context in which workers are begun; where the system can copy processes, its server is at work."""
    if "forkserver" not in get_all_start_methods():
        return get_context("spawn")
    from multiprocessing import forkserver

    context = get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    with undisturbed():
        forkserver.ensure_running()
    return context


@contextmanager
def undisturbed() -> Iterator[None]:
    """Ignore Ctrl-C; processes that are begun meanwhile do so from their first moment."""
    if threading.current_thread() is not threading.main_thread():  # only that one hears it
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before or signal.SIG_DFL)
