"""Containers: what comes in as pandas, polars, a sparse matrix, a list or an array goes out as one."""

import datetime

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from pandas.testing import assert_frame_equal, assert_series_equal

from latentover.estimators import learn_format
from latentover.estimators.containers import Container

pl = pytest.importorskip("polars")

N = 12
WHOLE = [pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt16, pl.UInt32, pl.UInt64]
POLARS = {str(kind): pl.Series([i % 7 for i in range(N)], dtype=kind) for kind in WHOLE}
POLARS |= {str(kind): pl.Series([i / 4 for i in range(N)], dtype=kind) for kind in (pl.Float32, pl.Float64)}
POLARS |= {
    "Boolean": pl.Series([i % 3 == 0 for i in range(N)]),
    "String": pl.Series(list("abcabcabcabc")),
    "Categorical": pl.Series(list("abcabcabcabc"), dtype=pl.Categorical),
    "Enum": pl.Series(list("abcabcabcabc"), dtype=pl.Enum(["c", "b", "a", "never"])),
    "Date": pl.Series([datetime.date(2024, 1, 1 + i) for i in range(N)]),
    "Datetime": pl.Series([datetime.datetime(2024, 1, 1, i) for i in range(N)], dtype=pl.Datetime("ms")),
    "Zoned": pl.Series([datetime.datetime(2024, 1, 1, i) for i in range(N)]).dt.replace_time_zone("Europe/Vienna"),
    "Duration": pl.Series([datetime.timedelta(hours=i) for i in range(N)], dtype=pl.Duration("us")),
}
HOLES = pl.Series([i == 5 for i in range(N)])


def with_holes(column):
    return pl.select(pl.when(~HOLES).then(column)).to_series()


def resampled(X, missing="error"):
    """What goes in and comes back, and what it is when rows are added."""
    container = Container.of(X)
    known = learn_format(container.frame, missing=missing)
    rows = known.decode(known.encode(container.frame))
    return container.restore(rows), container.append(rows)


class TestPolars:
    @pytest.mark.parametrize("holes", [False, True], ids=["complete", "with nulls"])
    @pytest.mark.parametrize("name", POLARS)
    def test_columns_of_each_type(self, name, holes):
        X = pl.DataFrame({"a": with_holes(POLARS[name]) if holes else POLARS[name]})
        restored, appended = resampled(X, missing="mask")
        assert restored.schema == appended.schema == X.schema
        if name.startswith("Float"):
            assert restored["a"].null_count() == X["a"].null_count()
            assert (restored["a"] - X["a"]).abs().max() < 1e-6
        else:
            assert restored.equals(X)
        assert len(appended) == 2 * N
        assert appended[:N].equals(X)
        assert appended[N:].equals(restored)

    def test_frames_of_all_types(self):
        X = pl.DataFrame(POLARS)
        restored, appended = resampled(X)
        assert restored.schema == appended.schema == X.schema
        assert restored.select(pl.exclude(pl.Float32, pl.Float64)).equals(X.select(pl.exclude(pl.Float32, pl.Float64)))

    def test_nan_and_null_of_the_user_stay_what_they_are(self):
        X = pl.DataFrame({"a": [1.0, float("nan"), None, 4.0]})
        restored, appended = resampled(X, missing="mask")
        assert appended[:4].equals(X)
        assert restored["a"].is_finite().to_list() in ([True, None, None, True], [True, False, False, True])

    def test_series(self):
        for y in (pl.Series("target", [0, 1, 1], dtype=pl.Int16), pl.Series("target", ["u", "v", "v"])):
            container = Container.of(y)
            assert isinstance(container.frame, pd.Series)
            assert container.frame.tolist() == y.to_list()
            new = container.append(np.array(y.to_list())[[1, 1]])
            assert new.dtype == y.dtype
            assert new.name == "target"
            assert new.to_list() == [*y, y[1], y[1]]
        assert len(y) == 3, "the user's own is untouched"

    def test_types_without_an_encoding_are_refused_by_name(self):
        for values in ([[1], [2]], [{"a": 1}, {"a": 2}], [b"u", b"v"], [datetime.time(1), datetime.time(2)]):
            X = pl.DataFrame({"fine": [1, 2], "odd": values})
            with pytest.raises(ValueError, match=r"Expected columns of numbers, .*but column 'odd' holds polars' \w+"):
                _ = Container.of(X).frame

    def test_lazy_frames_are_refused(self):
        with pytest.raises(TypeError, match=r"but got a LazyFrame; call \.collect\(\) first"):
            Container.of(pl.LazyFrame({"a": [1]}))

    def test_tables_of_pyarrow_are_refused(self):
        pa = pytest.importorskip("pyarrow")
        with pytest.raises(TypeError, match=r"but got a pyarrow Table; call \.to_pandas"):
            Container.of(pa.table({"a": [1.0]}))

    def test_restores_without_the_rows(self):
        X = pl.DataFrame(POLARS)
        container = Container.of(X).without_rows()
        assert len(container.native) == 0
        assert container.restore(Container.of(X).frame).equals(X)


class TestPandas:
    def test_frames_keep_names_types_and_their_own_rows(self):
        X = pd.DataFrame(
            {
                "a": [1.5, np.nan],
                "b": pd.Categorical(["u", "v"], ["v", "u", "w"]),
                "c": pd.array([1, None], dtype="Int8"),
            },
            index=["first", "second"],
        ).rename_axis(columns="names")
        container = Container.of(X)
        assert container.frame is X
        assert container.index.tolist() == ["first", "second"]
        new = container.append(X[:1])
        assert new.index.equals(pd.RangeIndex(3))
        assert_frame_equal(new[:2], X.reset_index(drop=True))
        assert_frame_equal(new[2:].reset_index(drop=True), X[:1].reset_index(drop=True))

    def test_arrays_become_frames(self):
        X = pd.DataFrame({"a": np.array([1, 2], dtype=np.float32), "b": [True, False]})
        assert_frame_equal(Container.of(X).restore(np.array([[1.0, 1.0], [2.0, 0.0]])), X)

    def test_names_that_are_there_twice(self):
        X = pd.DataFrame([[1.5, 2], [3.5, 4]], columns=["a", "a"]).astype(np.float32)
        assert_frame_equal(Container.of(X).restore(X.to_numpy(dtype=float)), X)

    def test_sparse_columns(self):
        X = pd.DataFrame.sparse.from_spmatrix(sp.eye(3, format="csr"), columns=list("abc"))
        new = Container.of(X).append(np.eye(3))
        assert new.dtypes.equals(X.dtypes)
        np.testing.assert_array_equal(new, np.vstack([np.eye(3)] * 2))

    @pytest.mark.parametrize("dtype", ["int8", "category", "string", "boolean", "object"])
    def test_series(self, dtype):
        y = pd.Series([1, 0, 1], index=[7, 8, 9], name="target")
        y = y.map({0: "no", 1: "yes"}).astype(dtype) if dtype in ("category", "string", "object") else y.astype(dtype)
        new = Container.of(y).append(y.to_numpy()[:2])
        assert_series_equal(new, pd.concat([y, y[:2]], ignore_index=True))


class TestArrays:
    @pytest.mark.parametrize("kind", [sp.csr_matrix, sp.csc_matrix, sp.csr_array, sp.csc_array, sp.coo_array])
    def test_sparse(self, kind):
        X = kind(sp.random(5, 4, density=0.5, random_state=0, dtype=np.float32))
        new = Container.of(X).append(np.eye(4, dtype=np.float32))
        assert type(new) is type(X)
        assert new.dtype == X.dtype
        np.testing.assert_array_equal(new.toarray(), np.vstack([X.toarray(), np.eye(4)]))

    def test_lists(self):
        container = Container.of([[1, 2], [3, 4]])
        assert isinstance(container.frame, np.ndarray)
        assert container.append(np.array([[5, 6]])) == [[1, 2], [3, 4], [5, 6]]
        assert Container.of(["a", "b"]).append(np.array(["a"])) == ["a", "b", "a"]
        assert container.index is None

    def test_ragged_lists_are_refused(self):
        with pytest.raises(ValueError, match="Expected X to hold rows of one length, but got a ragged list"):
            _ = Container.of([[1, 2], [3]]).frame

    @pytest.mark.parametrize("shape", [(3,), (3, 2), (3, 1, 4, 4)])
    def test_arrays_of_any_rank(self, shape):
        X = np.random.default_rng(0).random(shape).astype(np.float16)
        container = Container.of(X)
        assert container.frame is X
        new = container.append(X[:2])
        assert new.dtype == X.dtype
        np.testing.assert_array_equal(new, np.concatenate([X, X[:2]]))
