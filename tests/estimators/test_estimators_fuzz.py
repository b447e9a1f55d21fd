"""A thousand malformed inputs at every sampler and classifier: each is a clear error at once, that changes nothing."""

import copy
import inspect
import time
from functools import partial

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from plain_sampler import PlainSampler
from sklearn.base import ClassifierMixin, clone
from test_estimators_contract import public_estimators, small

from latentover import DeepClassifier

N_INPUTS = 1000
SECONDS = 1.0

Y = np.repeat([0, 1], [14, 6])
FLOATS = ["float16", "float32", "float64"]


def table(rng, n=20):
    return rng.normal(size=(n, int(rng.integers(1, 6)))).astype(rng.choice(FLOATS))


def images(rng, n=20):
    return rng.random((n, int(rng.integers(1, 4)), *rng.integers(8, 12, 2))).astype(rng.choice(FLOATS))


def frame(rng, n=20):
    return pd.DataFrame({"a": rng.normal(size=n), "n": rng.integers(0, 9, n), "town": rng.choice(["Graz", "Linz"], n)})


def some(rng):
    return [table, images, frame][int(rng.integers(3))](rng)


def spoiled(X, value, rng):
    """Return X with the value somewhere."""
    if isinstance(X, pd.DataFrame):
        X = X.astype({"a": type(value) if isinstance(value, str) else float})
        X.loc[int(rng.integers(len(X))), "a"] = value
        return X
    X = X.copy()
    X.flat[int(rng.integers(X.size))] = value
    return X


# Each maps a generator to (X, y), and is about the argument that is named first.


def wrong_rank(rng):
    shape = [(), (20,), (20, 3, 8), (20, 1, 8, 8, 2)][int(rng.integers(4))]
    return rng.random(shape), Y


def ragged(rng):
    rows = table(rng).tolist()
    rows[int(rng.integers(20))] = rows[0][:-1] if rng.random() < 0.5 else [*rows[0], [1.0]]
    return rows, Y


def objects(rng):
    junk = [{}, [1], object(), "red", b"red", print, 1j, "1.5"][int(rng.integers(8))]
    X = table(rng).astype(object)
    X[int(rng.integers(20)), 0] = junk
    return (X if rng.random() < 0.5 or isinstance(junk, list) else X.tolist()), Y


def not_finite(rng):
    return spoiled(some(rng), [np.nan, np.inf, -np.inf][int(rng.integers(3))], rng), Y


def not_finite_sparse(rng):
    return sp.csr_matrix(spoiled(table(rng).astype("float64"), [np.nan, np.inf][int(rng.integers(2))], rng)), Y


def huge(rng):
    X = [table, frame][int(rng.integers(2))](rng)
    X = X.astype("float64") if isinstance(X, np.ndarray) else X
    return spoiled(X, float(rng.choice([1e300, -1e300, 1.7e308])), rng), Y


def huge_pixels(rng):
    return spoiled(images(rng).astype("float64"), float(rng.choice([1e38, -1e300, 1e39])), rng), Y


def huge_integers(rng):
    return [[10**400, 1], *[[1, 2]] * 19], Y


def too_large_when_dense(rng):
    return sp.csr_matrix((20, int(rng.integers(10**8, 10**9)))), Y


def without_columns(rng):
    empty = [np.empty((20, 0)), pd.DataFrame(index=range(20)), sp.csr_matrix((20, 0)), np.empty((20, 1, 8, 0))]
    return [*empty, [[]] * 20][int(rng.integers(5))], Y


def without_rows(rng):
    return some(rng)[:0], Y[:0]


def columns_of_one_name(rng):
    return pd.concat([frame(rng), frame(rng)], axis=1), Y


def columns_of_mixed_names(rng):
    return frame(rng).rename(columns={"n": int(rng.integers(9))}), Y


def columns_of_no_encoding(rng):
    junk = [[[1]] * 20, [{"a": 1}] * 20, np.full(20, 1j), [object() for _ in range(20)]][int(rng.integers(4))]
    return frame(rng).assign(junk=junk), Y


def no_container(rng):
    return [None, "X", 3, 2.5, {"a": [1.0] * 20}, {1, 2}, (x for x in range(20)), print, b"X"][int(rng.integers(9))], Y


def other_types(rng):
    dtypes = ["U3", "S3", "M8[D]", "m8[s]", "complex128"]
    return np.ones((20, 2)).astype("int64").astype(rng.choice(dtypes)), Y


def one_row(rng):
    return some(rng)[:1], Y[:1]


def one_class(rng):
    return some(rng), np.full(20, [0, 1, -3][int(rng.integers(3))])


def other_length(rng):
    return some(rng), [Y[:-1], np.append(Y, 1), Y[:0], Y[:1]][int(rng.integers(4))]


def mixed_labels(rng):
    y = Y.astype(object)
    y[int(rng.integers(20))] = ["one", b"one", (1, 2), 0.5, {}, [1]][int(rng.integers(6))]
    return some(rng), y if rng.random() < 0.5 else list(y)


def missing_labels(rng):
    gaps = [
        np.where(np.arange(20) == 3, np.nan, Y),
        np.where(np.arange(20) == 3, None, Y),
        pd.Series(Y, dtype="Int64").mask(np.arange(20) == 3),
        pd.Series(Y).map({0: "a", 1: "b"}).astype("category").mask(np.arange(20) == 3),
        [None] * 20,
    ]
    return some(rng), gaps[int(rng.integers(5))]


def no_labels(rng):
    junk = [None, "y", 3, {0: 1}, print, rng.normal(size=20), rng.random((20, 3)), np.zeros((20, 2, 2)), Y * 1j]
    return some(rng), junk[int(rng.integers(len(junk)))]


def several_labels(rng):
    y = rng.integers(0, 2, (20, 3))
    y[0] = 1
    return some(rng), [y, rng.integers(0, 4, (20, 2)), [[0, 1], [1]] * 10][int(rng.integers(3))]


X_INPUTS = [
    *(wrong_rank, ragged, objects, not_finite, not_finite_sparse, huge, huge_pixels, huge_integers),
    *(too_large_when_dense, without_columns, without_rows, columns_of_one_name, columns_of_mixed_names),
    *(columns_of_no_encoding, no_container, other_types),
]
# Of numbers that are only huge a fitted classifier knows that they are far away.
X_INPUTS_AFTERWARDS = [make for make in X_INPUTS if make is not huge]
Y_INPUTS = [one_row, one_class, other_length, mixed_labels, missing_labels, no_labels, several_labels]
STRATEGIES = [
    *({0: 13}, {1: 2}, {2: 30}, {"1": 30}, {1: -3}, {1: 20.5}, {1: "many"}, {1: None}, {1: True}, {1: np.nan}),
    *({None: 3}, {(0, 1): 20}, {1: [20]}, "majority", "equal", "", 0, 0.0, -0.5, 1.5, np.nan, np.inf, 0.2, True, None),
    *([1], [], (), {1}, object(), 1j, b"auto", lambda y: None, lambda y: 3, lambda y: {7: 9}, lambda y: {1: 1}),
]


def malformed(rng):
    """Return X, y, a sampling strategy, which argument is wrong and how."""
    kind = int(rng.integers(3))
    if kind == 2:
        strategy = STRATEGIES[int(rng.integers(len(STRATEGIES)))]
        return some(rng), Y, strategy, "sampling_strategy", "strategy"
    make = [X_INPUTS, Y_INPUTS][kind][int(rng.integers(len([X_INPUTS, Y_INPUTS][kind])))]
    return *make(rng), "auto", "Xy"[kind], make.__name__


def bits(data):
    """Return what would be other if the data had been changed."""
    if isinstance(data, pd.DataFrame | pd.Series):
        return repr(data.to_numpy(dtype=object).tolist()), [axis.tolist() for axis in data.axes]
    if sp.issparse(data):
        return data.data.tobytes()
    return data.tobytes() if isinstance(data, np.ndarray) and data.dtype != object else repr(data)


def samplers():
    public = [small(cls) for cls in public_estimators() if hasattr(cls, "fit_resample")]
    return [PlainSampler(device="cpu"), *public]


def classifiers():
    public = [small(cls) for cls in public_estimators() if issubclass(cls, ClassifierMixin)]
    for classifier in public:
        parts = {"estimator": small(DeepClassifier), "sampler": PlainSampler(device="cpu")}
        # Of parts that know all of these kinds of data.
        classifier.set_params(
            **{name: part for name, part in parts.items() if name in classifier.get_params(deep=False)}
        )
    return public


def outcome_of(tried, use, argument, *data):
    """Use the estimator; return what is wrong with how it took malformed data, "" for an error that names it."""
    before = [bits(part) for part in data]
    learned = getattr(tried, "networks_", None), getattr(tried, "tensors_", None), getattr(tried, "estimator_", None)
    start = time.perf_counter()
    try:
        use()
    except (TypeError, ValueError) as error:
        outcome = "" if argument in words(error) else f"no {argument} in {type(error).__name__}: {error}"
    except Exception as error:
        outcome = f"{type(error).__name__}: {error}"
    else:
        outcome = "passed"
    if time.perf_counter() - start > SECONDS:
        outcome += f" after {time.perf_counter() - start:.1f} s"
    if [bits(part) for part in data] != before:
        outcome += ", data changed"
    after = getattr(tried, "networks_", None), getattr(tried, "tensors_", None), getattr(tried, "estimator_", None)
    if any(new is not old for new, old in zip(after, learned, strict=True)):
        outcome += ", learned something"
    return outcome[:300]


def faults(outcomes):
    return [(number, *outcome) for number, outcome in enumerate(outcomes) if outcome[-1]]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("sampler", samplers(), ids=lambda sampler: type(sampler).__name__)
def test_malformed_input(sampler):
    rng = np.random.default_rng(0)
    outcomes = []
    for _ in range(N_INPUTS):
        X, y, strategy, argument, how = malformed(rng)
        tried = copy.copy(sampler).set_params(sampling_strategy=strategy)
        outcomes.append((how, outcome_of(tried, partial(tried.fit_resample, X, y), argument, X, y)))
    assert not faults(outcomes), f"{len(faults(outcomes))} of {N_INPUTS}: {faults(outcomes)[:20]}"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("classifier", classifiers(), ids=lambda classifier: type(classifier).__name__)
def test_malformed_input_of_classifiers(classifier):
    rng = np.random.default_rng(0)
    fitted = [clone(classifier).fit(make(np.random.default_rng(1)), Y) for make in (table, images, frame)]
    outcomes = []
    for _ in range(N_INPUTS):
        kind = int(rng.integers(3))
        makes = [X_INPUTS, Y_INPUTS, X_INPUTS_AFTERWARDS][kind]
        make = makes[int(rng.integers(len(makes)))]
        X, y = make(rng)
        tried = fitted[int(rng.integers(len(fitted)))] if kind == 2 else copy.copy(classifier)
        use = partial(tried.predict_proba, X) if kind == 2 else partial(tried.fit, X, y)
        outcomes.append((make.__name__, kind, outcome_of(tried, use, "XyX"[kind], X, y)))
    assert not faults(outcomes), f"{len(faults(outcomes))} of {N_INPUTS}: {faults(outcomes)[:20]}"


def words(error):
    return "".join(c if c.isalnum() or c == "_" else " " for c in str(error)).split()


def test_the_malformed_inputs_are_as_many_kinds_as_they_say():
    rng = np.random.default_rng(0)
    kinds = {malformed(rng)[4] for _ in range(N_INPUTS)}
    assert kinds == {make.__name__ for make in [*X_INPUTS, *Y_INPUTS]} | {"strategy"}
    assert all(inspect.getsource(make) for make in X_INPUTS)


def test_good_input_is_none_of_them():
    rng = np.random.default_rng(0)
    for make in (table, images, frame):
        PlainSampler(device="cpu").fit_resample(make(rng), Y)
