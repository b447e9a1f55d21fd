"""All scores of generated samples at once: pooled and class by class, with what they depend on written beside them."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from latentover.metrics.copying import COLLAPSED_BELOW, diversity_ratio, memorization
from latentover.metrics.distances import as_features, frechet_distance, frechet_infinity, kid
from latentover.metrics.intervals import Estimate, bootstrap_interval
from latentover.metrics.labels import as_labels
from latentover.metrics.neighbors import ball_counts
from latentover.seeds import as_generator

__all__ = ["check_comparable", "equal_samples", "generation_scores"]

_SMALLEST_CLASS = 50  # below it a Fréchet distance says nothing
_RESAMPLED_DIMENSION = 512  # above it a Fréchet distance takes too long to repeat a hundred times
_SMALLEST_LINE = 32


def generation_scores(
    real: ArrayLike,
    fake: ArrayLike,
    y_real: ArrayLike | None = None,
    y_fake: ArrayLike | None = None,
    *,
    features: str,
    train: ArrayLike | None = None,
    k: int = 5,
    level: float = 0.95,
    n_resamples: int = 100,
    smallest_class: int = _SMALLEST_CLASS,
    random_state: int | None = 0,
) -> dict[str, Any]:
    """Score generated samples against as many real ones.

    Parameters
    ----------
    real, fake : array-like of shape (n, d)
        Features of real samples that the generator was not trained on, and of generated ones: as many of each, in all
        and in every class (`equal_samples`), for all of these scores move with n.
    y_real, y_fake : array-like of shape (n,), optional
        Their classes; without, everything is pooled.
    features : str
        Name of the extractor.
    train : array-like of shape (n_train, d), optional
        Features of the training data, to look for memorization.
    k : int, default=5
        Neighbours of density, coverage, precision and recall.
    level : float, default=0.95
        Of the intervals.
    n_resamples : int, default=100
        Bootstrap resamples of Fréchet distances (up to 512 dimensions), density and coverage; 0 leaves intervals out.
    smallest_class : int, default=50
        Classes with fewer samples get no Fréchet distance.
    random_state : int or None, default=0

    Returns
    -------
    dict
        Ready for JSON: ``features``, ``dimension``, ``n`` (of each kind), ``k``, ``level``, ``pooled``, ``classes``
        (from the class as text to the same scores), ``memorization`` (``None`` without *train*), and ``notes``, the
        warnings as sentences. The scores are ``n``; ``fid``, ``kid``, ``density``, ``coverage`` (each with ``value``,
        ``low``, ``high``); ``fid_infinity``, ``precision``, ``recall``, ``diversity``, ``collapsed``. What is not
        defined is ``None``.

        The interval of ``fid`` shows how the value would vary with other samples, not its bias; that of ``density``
        is over generated samples for these real ones, that of ``coverage`` the other way round.

    Raises
    ------
    ValueError
        If the numbers of samples differ, only one kind has labels, or features do not fit together.

    Examples
    --------
    >>> import numpy as np
    >>> from latentover.metrics import generation_scores
    >>> rng = np.random.default_rng(0)
    >>> scores = generation_scores(rng.normal(size=(80, 2)), rng.normal(size=(80, 2)), features="rows", n_resamples=20)
    >>> scores["n"], scores["features"], scores["pooled"]["fid"]["value"] < 0.2
    (80, 'rows', True)
    """
    first, second = as_features(real, "real"), as_features(fake, "fake")
    labels, made = _labels(first, second, y_real, y_fake)
    _check_equal(len(first), len(second), "samples")
    options: dict[str, Any] = {
        "k": k,
        "level": level,
        "n_resamples": n_resamples,
        "smallest_class": smallest_class,
        "random_state": random_state,
    }
    classes: dict[str, Any] = {}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        pooled = _scores(first, second, **{**options, "smallest_class": 2})
        pooled_notes = [str(warning.message) for warning in caught]
    notes = list(dict.fromkeys(pooled_notes))
    for label in np.unique(labels) if labels is not None and made is not None else ():
        own, others = first[labels == label], second[made == label]
        _check_equal(len(own), len(others), f"samples of class {label}")
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            classes[str(label)] = _scores(own, others, **options)
            notes += [f"class {label}: {message}" for message in dict.fromkeys(str(w.message) for w in caught)]
    small = [f"{label} ({scores['n']})" for label, scores in classes.items() if scores["fid"] is None]
    if small:
        notes.append(f"no Fréchet distance of classes of fewer than {smallest_class} samples: {', '.join(small)}.")
    known = None
    if train is not None:
        found = memorization(train, first, second, random_state=random_state)
        known = {name: _plain(value) for name, value in found._asdict().items()}
        if found.flagged:
            notes.append(
                f"memorization: {found.copies} of {found.n} generated samples equal a training sample; the distance to "
                f"the training data is {found.distance_ratio:.2f} of that of held-out samples."
            )
    notes += [f"class {label}: collapsed, see diversity." for label, value in classes.items() if value["collapsed"]]
    return {
        "features": features,
        "dimension": first.shape[1],
        "n": len(first),
        "k": k,
        "level": level,
        "pooled": pooled,
        "classes": classes,
        "memorization": known,
        "notes": notes,
    }


def equal_samples(
    X_real: Any,
    y_real: ArrayLike,
    X_fake: Any,
    y_fake: ArrayLike,
    *,
    n: int | None = None,
    random_state: Any = 0,
) -> tuple[Any, NDArray, Any, NDArray]:
    """Draw as many real as generated samples of every class that both have.

    Parameters
    ----------
    X_real, X_fake : array of shape (n, ...)
    y_real, y_fake : array-like of shape (n,)
    n : int, optional
        Samples of each class. By default as many as the smaller of the two sets has of that class.
    random_state : int, numpy Generator or None, default=0

    Returns
    -------
    X_real, y_real, X_fake, y_fake : arrays

    Raises
    ------
    ValueError
        If there is no common class, or a class has fewer than *n* samples.

    Examples
    --------
    >>> import numpy as np
    >>> from latentover.metrics import equal_samples
    >>> _, y, _, made = equal_samples(np.zeros((3, 1)), [0, 0, 1], np.ones((5, 1)), [0, 1, 1, 1, 1])
    >>> y.tolist(), made.tolist()
    ([0, 1], [0, 1])
    """
    labels, made = as_labels(y_real, "y_real"), as_labels(y_fake, "y_fake")
    common = np.intersect1d(labels, made)
    if not len(common):
        raise ValueError(
            f"Expected real and generated samples to share classes, but got {np.unique(labels).tolist()} and "
            f"{np.unique(made).tolist()}; give them the same names."
        )
    rng = as_generator(random_state)
    chosen: list[list[NDArray]] = [[], []]
    for label in common:
        members = [np.flatnonzero(codes == label) for codes in (labels, made)]
        size = min(map(len, members)) if n is None else n
        for kind, rows, picked in zip(("real", "generated"), members, chosen, strict=True):
            if len(rows) < size:
                raise ValueError(
                    f"Expected at least {size} {kind} samples of class {label}, but got {len(rows)}; ask for fewer."
                )
            picked.append(np.sort(rng.permutation(rows)[:size]))
    first, second = (np.concatenate(rows) for rows in chosen)
    return X_real[first], labels[first], X_fake[second], made[second]


def check_comparable(results: Sequence[dict[str, Any]]) -> None:
    """Raise ValueError unless results of `generation_scores` may stand in one table.

    Features, n, k and the classes with their n have to be the same.

    Examples
    --------
    >>> from latentover.metrics import check_comparable
    >>> check_comparable([{"features": "pixels", "n": 800, "k": 5, "classes": {}}] * 2)
    """
    for key in ("features", "n", "k"):
        values = list(dict.fromkeys(result[key] for result in results))
        if len(values) > 1:
            raise ValueError(
                f"Expected results with the same {key}, but got {', '.join(map(str, values))}: their scores cannot be "
                "compared; score all of them alike."
            )
    sizes = [{label: scores["n"] for label, scores in result["classes"].items()} for result in results]
    if any(size != sizes[0] for size in sizes):
        raise ValueError(
            f"Expected results with as many samples of each class, but got {sizes}: their scores cannot be compared; "
            "score all of them alike."
        )


def _scores(
    real: NDArray,
    fake: NDArray,
    *,
    k: int,
    level: float,
    n_resamples: int,
    smallest_class: int,
    random_state: int | None,
) -> dict[str, Any]:
    n, d = real.shape
    resample: dict[str, Any] = {"level": level, "n_resamples": n_resamples, "random_state": random_state}
    spread = n_resamples > 1
    fid = limit = None
    if n >= smallest_class:
        value = frechet_distance(real, fake)  # warns, once; its resamples would warn again
        fid = Estimate(value, math.nan, math.nan)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if spread and d <= _RESAMPLED_DIMENSION:
                fid = bootstrap_interval(frechet_distance, real, fake, centred=True, **resample)
        if n >= max(_SMALLEST_LINE, 4 * d):
            limit = frechet_infinity(real, fake, random_state=random_state).value
    counts = ball_counts(real, fake, k)
    recall = ball_counts(fake, real, k, names=("generated", "real")).precision
    parts = {"density": counts.containing / counts.k, "coverage": counts.covered.astype(float)}
    estimates: dict[str, Any] = {
        name: bootstrap_interval(np.mean, values, **resample)
        if spread
        else Estimate(float(values.mean()), math.nan, math.nan)
        for name, values in parts.items()
    }
    diversity = diversity_ratio(real, fake, random_state=random_state)
    return {
        "n": n,
        "fid": None if fid is None else _estimate(fid),
        "fid_infinity": limit,
        "kid": _estimate(kid(real, fake, level=level)),
        **{name: _estimate(estimate) for name, estimate in estimates.items()},
        "precision": counts.precision,
        "recall": recall,
        "diversity": _plain(diversity),
        "collapsed": bool(diversity < COLLAPSED_BELOW),
    }


def _labels(
    real: NDArray, fake: NDArray, y_real: ArrayLike | None, y_fake: ArrayLike | None
) -> tuple[NDArray | None, NDArray | None]:
    if y_real is None and y_fake is None:
        return None, None
    if y_real is None or y_fake is None:
        raise ValueError("Expected labels of real and generated samples, but got those of one; give both or none.")
    labels, made = as_labels(y_real, "y_real"), as_labels(y_fake, "y_fake")
    if len(labels) != len(real) or len(made) != len(fake):
        raise ValueError(
            f"Expected one label a sample, but got {len(labels)} for {len(real)} real and {len(made)} for {len(fake)} "
            "generated samples."
        )
    return labels, made


def _check_equal(n_real: int, n_fake: int, what: str) -> None:
    if n_real != n_fake:
        raise ValueError(
            f"Expected as many real as generated {what}, but got {n_real} and {n_fake}: the scores depend on n; draw "
            "equal numbers with `equal_samples`."
        )


def _estimate(estimate: Estimate) -> dict[str, float | None]:
    return {name: _plain(value) for name, value in estimate._asdict().items()}


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value
