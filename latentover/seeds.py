"""What users give as ``random_state``, as NumPy's generators: what cannot seed one is an error that says so."""

from typing import Any

import numpy as np


def as_generator(random_state: Any) -> np.random.Generator:
    """Return NumPy's generator of a whole number, a sequence of such, a Generator or None.

    Raises
    ------
    ValueError
        For anything else.

    Examples
    --------
    >>> int(as_generator(3).integers(100))
    81
    """
    try:
        return np.random.default_rng(random_state)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"Expected random_state to be a whole number of at least 0, a NumPy Generator or None, but got "
            f"{random_state!r}: {error}."
        ) from error


def as_random_state(random_state: Any) -> np.random.RandomState:
    """Return NumPy's RandomState of a whole number, a RandomState or None, as scikit-learn reads them.

    Raises
    ------
    ValueError
        For anything else.

    Examples
    --------
    >>> int(as_random_state(3).randint(100))
    24
    """
    from sklearn.utils import check_random_state

    try:
        return check_random_state(random_state)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"Expected random_state to be a whole number from 0 to 2**32 - 1, a RandomState or None, but got "
            f"{random_state!r}: {error}."
        ) from error
