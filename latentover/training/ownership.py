"""What the whole process has one of, and one thread at a time may hold: torch's global generators."""

import os
import threading

_acting = threading.local()


def actor() -> int:
    """Return the thread that this one acts for: itself, or the one that `act_for` named."""
    return getattr(_acting, "thread", None) or threading.get_ident()


def act_for(thread: int) -> None:
    """From now on, let this thread hold what that one holds, which waits for it meanwhile."""
    _acting.thread = thread


class Ownership:
    """A re-entrant lock of an `actor`, who can lay down all of it at once and take it up again.

    Attributes
    ----------
    depth : int
        How often the present actor holds it.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._owner: int | None = None
        self._depth = 0
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forked)

    @property
    def depth(self) -> int:
        """See the class."""
        return self._depth if self._owner == actor() else 0

    def acquire(self, times: int = 1) -> None:
        """Wait until no other actor holds it, and hold it so many times more."""
        me = actor()
        with self._changed:
            self._changed.wait_for(lambda: self._owner in (None, me))
            self._depth += times
            self._owner = me if self._depth else None

    def release(self, times: int = 1) -> None:
        """Hold it so many times less."""
        with self._changed:
            self._depth -= times
            if self._depth == 0:
                self._owner = None
                self._changed.notify()

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()

    def _forked(self) -> None:
        """Forget, in a process of one thread, what others held when it was forked."""
        mine, self._changed = self.depth, threading.Condition()
        self._owner, self._depth = (actor() if mine else None), mine


global_generators = Ownership()
"""Of torch's global generators: a fit has them, or a sampling, and those in other threads wait."""
