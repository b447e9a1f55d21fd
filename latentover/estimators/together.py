"""Several estimators fitted at once, in one process and on one device."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal

import torch

from latentover.training import in_turns, resolve_device
from latentover.training.turns import AsMemoryAllows


def limit_at_once(at_once: int | Literal["auto"], device: str | torch.device) -> int | Callable[[int], bool]:
    """Return how many trainings run at once, or what says whether one more may begin.

    Parameters
    ----------
    at_once : int or "auto"
        ``"auto"`` is as many as memory allows on CUDA, and one after the other elsewhere, where nothing is gained.
    device : str or torch.device

    Raises
    ------
    ValueError
        If it is neither ``"auto"`` nor a whole number of at least 1, or this machine has no such device.
    """
    device = resolve_device(device)
    if at_once == "auto":
        return AsMemoryAllows(device) if device.type == "cuda" else 1
    if not isinstance(at_once, int) or isinstance(at_once, bool) or at_once < 1:
        raise ValueError(f"Expected at_once to be 'auto' or a whole number of at least 1, but got {at_once!r}.")
    return at_once


def fit_many(
    estimators: Sequence[Any], X: Any, y: Any, *, at_once: int | Literal["auto"] = "auto", **fit: Any
) -> list[Any]:
    """Fit estimators to the same data, their trainings interleaved step by step on one device.

    On a GPU the kernels of one small network leave most of it idle; seven trainings at once take little longer than
    two. Each ends at the weights at which it would end alone. On the CPU nothing is gained.

    Parameters
    ----------
    estimators : sequence of estimators
        Of any methods and settings, such as clones of one with other seeds; all for one device. Each is fitted itself.
    X, y
        See their ``fit``.
    at_once : int or "auto", default="auto"
        How many train at the same time; ``"auto"`` is as many as memory allows on CUDA and 1 elsewhere.
    **fit
        Further arguments of every ``fit``, such as ``sample_weight``.

    Returns
    -------
    list of estimators
        The same ones, fitted.

    Raises
    ------
    ExceptionGroup
        With the errors of those that failed, when all others are fitted.

    Examples
    --------
    >>> from sklearn.datasets import make_classification
    >>> from latentover import DeepClassifier
    >>> X, y = make_classification(200, weights=[0.9], random_state=0)
    >>> seeds = [DeepClassifier(max_epochs=2, hidden_units=32, random_state=seed) for seed in range(3)]
    >>> [classifier.predict_proba(X).shape for classifier in fit_many(seeds, X, y, at_once=3)]
    [(200, 2), (200, 2), (200, 2)]
    """
    estimators = list(estimators)
    device = getattr(estimators[0], "device", "cpu") if estimators else "cpu"
    tasks = [partial(estimator.fit, X, y, **fit) for estimator in estimators]
    errors = []
    for number, outcome in in_turns(tasks, limit_at_once(at_once, device)):
        if isinstance(outcome, Exception):
            outcome.add_note(f"in estimator {number}, {estimators[number]!r}")
            errors.append(outcome)
        elif isinstance(outcome, BaseException):
            raise outcome
    if errors:
        raise ExceptionGroup(f"{len(errors)} of {len(estimators)} estimators could not be fitted", errors)
    return estimators
