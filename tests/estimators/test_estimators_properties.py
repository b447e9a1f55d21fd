"""Whatever the classes, the strategy, the type and the shape: counts are exact, and what comes in goes out in kind."""

import warnings
from collections import Counter

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_sampler import PlainSampler

from latentover import RAESampler

DEEP = {"max_steps": 1, "hidden_units": 8, "latent_dim": 4, "channels": 4, "batch_size": 8, "critic_steps": 1}
SAMPLERS = {"plain": PlainSampler(device="cpu"), "deep": RAESampler(**DEEP, device="cpu")}
EXAMPLES = {"plain": 500, "deep": 25}
EACH = pytest.mark.parametrize("name", SAMPLERS)
LABELS = [np.array([3, 7, -1, 0]), np.array(["b", "a", "d", "c"]), np.array([0.0, 1.0, 2.0, 3.0])]
INTEGERS = ["uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64"]
DTYPES = [*INTEGERS, "float16", "float32", "float64", "bool"]


def resample(name, X, y, **parameters):
    sampler = SAMPLERS[name]
    for parameter, value in {**{"image_shape": None, "channels_last": False}, **parameters}.items():
        setattr(sampler, parameter, value)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # tiny classes, and too little training
        return sampler, *sampler.fit_resample(X, y)


@st.composite
def strategies(draw):
    """Return class sizes, a strategy of any form, and what the totals have to be."""
    sizes = draw(st.lists(st.integers(1, 12), min_size=2, max_size=4))
    sizes[draw(st.integers(0, len(sizes) - 1))] += 12  # one class is the largest
    largest, smallest = max(sizes), min(sizes)
    form = draw(
        st.sampled_from(["auto", "all", "not majority", "minority", "not minority", "dict", "callable", "ratio"])
    )
    if form == "ratio":
        sizes = [largest, smallest]
        share = draw(st.floats((smallest + 1) / largest, 1))
        return sizes, share, None
    if form in ("dict", "callable"):
        chosen = draw(st.lists(st.integers(0, len(sizes) - 1), unique=True))
        totals = {label: sizes[label] + draw(st.integers(0, 9)) for label in chosen}
        return sizes, (form, totals), [totals.get(label, size) for label, size in enumerate(sizes)]
    first_smallest = sizes.index(smallest)
    grown = {
        "minority": [largest if i == first_smallest else n for i, n in enumerate(sizes)],
        "not minority": [n if i == first_smallest else largest for i, n in enumerate(sizes)],
    }
    return sizes, form, grown.get(form, [largest] * len(sizes))


@EACH
def test_counts_are_exact(name):
    @settings(max_examples=EXAMPLES[name], deadline=None, derandomize=True, database=None)
    @given(strategies(), st.sampled_from(LABELS), st.integers(0, 99))
    def check(case, labels, seed):
        sizes, strategy, expected = case
        # The smallest class of several is the first in the order of their labels.
        labels = np.sort(labels)
        numbers = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
        X, y = np.random.default_rng(seed).normal(size=(len(numbers), 2)), labels[numbers]
        if isinstance(strategy, tuple):
            form, totals = strategy
            named = {labels[label].item(): n for label, n in totals.items()}
            strategy = named if form == "dict" else lambda y: named
        sampler, X_new, y_new = resample(name, X, y, sampling_strategy=strategy, random_state=seed)
        counts = Counter(y_new.tolist())
        if expected is None:  # a ratio of the larger class, rounded down
            assert counts[labels[0]] == sizes[0]
            assert 0 <= strategy * sizes[0] - counts[labels[1]] < 1 + 1e-9
        else:
            assert [counts[label] for label in labels[: len(sizes)]] == expected
        assert len(X_new) == len(y_new) == len(sampler.synthetic_mask_) == len(sampler.parents_)
        assert X_new[: len(y)].tobytes() == X.tobytes()
        assert y_new[: len(y)].tobytes() == y.tobytes()
        assert sampler.synthetic_mask_.sum() == len(X_new) - len(X) == sum(sampler.sampling_strategy_.values())

    check()


@st.composite
def data(draw):
    """Return X of any type, rank and container, and the settings that it needs."""
    dtype, seed = draw(st.sampled_from(DTYPES)), draw(st.integers(0, 99))
    layout = draw(st.sampled_from(["table", "channels_first", "channels_last", "rows", "frame", "sparse", "list"]))
    rng = np.random.default_rng(seed)
    size = (12, draw(st.integers(1, 4))) if layout in ("table", "frame", "sparse", "list") else None
    c, h, w = draw(st.integers(1, 3)), draw(st.integers(8, 10)), draw(st.integers(8, 10))
    size = size or {"channels_first": (12, c, h, w), "channels_last": (12, h, w, c), "rows": (12, c * h * w)}[layout]
    if dtype == "bool":
        X = rng.random(size) < 0.5
    elif dtype in INTEGERS:
        X = rng.integers(np.iinfo(dtype).min // 2, min(np.iinfo(dtype).max, 2**62) // 2, size).astype(dtype)
    else:
        X = (rng.normal(size=size) * draw(st.sampled_from([1e-3, 1.0, 1e3]))).astype(dtype)
    if layout == "frame":
        return pd.DataFrame(X, columns=[f"c{i}" for i in range(size[1])]), {}
    if layout == "sparse":
        return sp.csr_array(X.astype("float32" if dtype == "float16" else dtype)), {}
    if layout == "list":
        return X.tolist(), {}
    return X, {"rows": {"image_shape": (c, h, w)}, "channels_last": {"channels_last": True}}.get(layout, {})


@EACH
def test_what_comes_in_goes_out_in_kind(name):
    y = np.repeat([0, 1], [8, 4])

    @settings(max_examples=EXAMPLES[name], deadline=None, derandomize=True, database=None)
    @given(data())
    def check(case):
        X, parameters = case
        _, X_new, y_new = resample(name, X, y, sampling_strategy="auto", random_state=0, **parameters)
        assert type(X_new) is type(X)
        assert np.bincount(y_new).tolist() == [8, 8]
        before, after = (x.toarray() if sp.issparse(x) else np.asarray(x) for x in (X, X_new))
        if isinstance(X, pd.DataFrame):
            assert X_new.dtypes.equals(X.dtypes)
            assert X_new.columns.equals(X.columns)
        assert after.dtype == before.dtype
        assert after.shape == (16, *before.shape[1:])
        np.testing.assert_array_equal(after[:12], before)
        # In the range that was seen: of each column of a table, of all the pixels of images. Exact up to the rounding
        # of the networks' float32.
        axis = None if before.ndim == 4 or parameters else 0
        low, high = before.min(axis=axis).astype("float64"), before.max(axis=axis).astype("float64")
        if before.ndim == 4 or parameters:
            low, high = usual_range(before, low, high)
        slack = 1e-6 * np.maximum(np.abs(low), np.abs(high))
        assert (after.astype("float64") >= low - slack).all()
        assert (after.astype("float64") <= high + slack).all()

    check()


def usual_range(images, low, high):
    """Return the range that pixels may have: the usual one around those that were seen."""
    if images.dtype == np.uint8:
        return 0, 255
    for usual in ((0, 1), (-1, 1)):
        if images.dtype.kind in "fb" and usual[0] <= low and high <= usual[1]:
            return usual
    return low, high


@EACH
def test_tiny_classes_reach_their_totals(name):
    @settings(max_examples=EXAMPLES[name] // 5, deadline=None, derandomize=True, database=None)
    @given(st.integers(1, 4), st.integers(0, 9), st.sampled_from(["random", "even"]))
    def check(n, more, base_selection):
        X, y = np.random.default_rng(n).normal(size=(9 + n, 2)), np.repeat(["large", "tiny"], [9, n])
        totals = {"large": 9, "tiny": n + more}
        parameters = {"sampling_strategy": totals, "base_selection": base_selection, "random_state": 0}
        sampler, X_new, y_new = resample(name, X, y, **parameters)
        sampler.base_selection = "random"
        assert Counter(y_new.tolist()) == totals
        assert np.isfinite(X_new).all()
        assert set(sampler.parents_[9 + n :].ravel()) <= set(range(9, 9 + n))

    check()
