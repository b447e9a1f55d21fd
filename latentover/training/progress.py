"""How far a training has got, told to whoever asks around it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Listener = Callable[[str, int, int], None]
_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Let every training inside tell at its reports how far it has got.

    Parameters
    ----------
    listener : callable
        Gets what is trained in words, the steps made and those of the whole training.
    """
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def tell(description: str, step: int, n_steps: int) -> None:
    """Say how far a training has got, where somebody listens."""
    listener = _listener.get()
    if listener is not None:
        listener(description, step, n_steps)
