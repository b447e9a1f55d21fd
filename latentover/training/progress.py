"""How far a training has got: one line to look at, and what is told to whoever asks around it."""

import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from importlib.util import find_spec
from typing import Any

VALIDATION = "validation_acsa"
Listener = Callable[[str, int, int, str], None]
_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)


# ---- Looked at -------------------------------------------------------------------------------------------------------


def progress_bar(total: int, description: str, *, unit: str = "step", initial: int = 0, shown: bool = True) -> Any:
    """Return a bar on one line of stderr, with the time left; disabled where nobody sees it move.

    Parameters
    ----------
    total : int
        Of steps, trials or whatever is counted.
    description : str
        Stands before the bar.
    unit : str, default="step"
    initial : int, default=0
        Those that were made before.
    shown : bool, default=True
        Whether it is wanted at all.

    Returns
    -------
    tqdm.tqdm
        That of the notebook in a notebook.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # without ipywidgets a notebook gets the bar of a terminal
        from tqdm.auto import tqdm
    return tqdm(
        total=total,
        initial=initial,
        desc=description,
        unit=unit,
        disable=not (shown and is_seen()),
        file=sys.stderr,
        leave=False,
        dynamic_ncols=True,
        bar_format="{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} {unit}s, {remaining} left{postfix}",
    )


def is_seen(*, widgets: bool = False) -> bool:
    """Whether what is written to stderr is seen as it moves: on a terminal or in a notebook.

    Parameters
    ----------
    widgets : bool, default=False
        Whether a notebook needs ipywidgets for it.
    """
    return sys.stderr.isatty() or (_in_notebook() and not (widgets and find_spec("ipywidgets") is None))


def _in_notebook() -> bool:
    """Whether this is the kernel of a notebook; IPython in a terminal is a terminal."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return "IPKernelApp" in getattr(shell, "config", ())


def score_text(losses: Mapping[str, float], best: float | None = None, *, everything: bool = False) -> str:
    """Return what is said of a row of the history: the score that matters, or all.

    Parameters
    ----------
    losses : mapping of str to float
        In their order, and `VALIDATION` where there is one.
    best : float, optional
        The best score on validation data so far.
    everything : bool, default=False
        Whether all losses are said. Otherwise it is the score on validation data, or without one the first loss.

    Examples
    --------
    >>> score_text({"classifier": 0.1234, "critic": 3.0})
    'classifier 0.123'
    >>> score_text({"classifier": 0.1234, "validation_acsa": 0.8125}, best=0.85)
    'validation ACSA 81.2% (best 85.0%)'
    >>> score_text({"classifier": 0.1234, "validation_acsa": 0.8125}, best=0.8125, everything=True)
    'validation ACSA 81.2%, classifier 0.123'
    """
    others = [f"{name} {value:.3g}" for name, value in losses.items() if name != VALIDATION]
    if VALIDATION not in losses:
        return ", ".join(others if everything else others[:1])
    score = losses[VALIDATION]
    beside = f" (best {best:.1%})" if best is not None and best > score else ""
    return ", ".join([f"validation ACSA {score:.1%}{beside}", *(others if everything else [])])


# ---- Told ------------------------------------------------------------------------------------------------------------


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Let every training inside tell at its reports how far it has got.

    Parameters
    ----------
    listener : callable
        Gets what is trained in words, the steps made and those of the whole training, and the score that matters.
    """
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def tell(description: str, step: int, n_steps: int, score: str) -> None:
    """Say how far a training has got, where somebody listens."""
    listener = _listener.get()
    if listener is not None:
        listener(description, step, n_steps, score)
