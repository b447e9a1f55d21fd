"""What the user's data came in, and how rows and labels go back into the same kind of container."""

import base64
import io
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
import scipy.sparse as sp

from latentover.data.pictures import are_pictures

ContainerKind = Literal["array", "list", "pictures", "sparse", "pandas", "polars"]

_POLARS_NUMBERS = {"Boolean", "Float16", "Float32", "Float64"} | {
    f"{u}Int{b}" for u in ("", "U") for b in (8, 16, 32, 64)
}
_POLARS_TIMES = {"Date", "Datetime", "Duration"}
_POLARS_NAMES = {"Categorical", "Enum", "String"}


@dataclass(frozen=True)
class Container:
    """An array, list, sparse matrix, pandas or polars frame or series, and the way back into one of that kind.

    Attributes
    ----------
    kind : {"array", "list", "pictures", "sparse", "pandas", "polars"}
        Pictures are a list of paths and images of Pillow.
    native : object
        The user's own, as it came.

    Examples
    --------
    >>> import pandas as pd
    >>> X = pd.DataFrame({"age": [20, 41]}, index=["Ann", "Bob"])
    >>> container = Container.of(X)
    >>> container.kind, container.append(pd.DataFrame({"age": [30]}))["age"].tolist()
    ('pandas', [20, 41, 30])
    """

    kind: ContainerKind
    native: Any

    @classmethod
    def of(cls, data: Any) -> "Container":
        """Return the container of `data`; anything that is none of them counts as an array.

        Raises
        ------
        TypeError
            For a polars LazyFrame and for tables of pyarrow.
        """
        if isinstance(data, pd.DataFrame | pd.Series):
            return cls("pandas", data)
        if sp.issparse(data):
            return cls("sparse", data)
        if isinstance(data, list | tuple):
            return cls("list", data)
        if type(data).__module__.split(".")[0] == "polars":
            if type(data).__name__ == "LazyFrame":
                raise TypeError("Expected a polars DataFrame or Series, but got a LazyFrame; call .collect() first.")
            return cls("polars", data)
        if type(data).__module__.split(".")[0] == "pyarrow":
            raise TypeError(
                "Expected an array, a list, a sparse matrix, or a pandas or polars frame, but got a pyarrow "
                f"{type(data).__name__}; call .to_pandas(types_mapper=pandas.ArrowDtype), which keeps its types."
            )
        return cls("array", data)

    @classmethod
    def of_samples(cls, X: Any) -> "Container":
        """Return the container of samples: as `of`, but texts in a list are paths of images."""
        return cls("pictures", list(X)) if are_pictures(X) else cls.of(X)

    @property
    def index(self) -> pd.Index | None:
        """The index of a pandas frame or series; None of anything else."""
        return self.native.index if self.kind == "pandas" else None

    @property
    def frame(self) -> Any:
        """The data in a kind that formats understand: polars as pandas, a list as an array, anything else as it is.

        Pictures are rows without columns: pixels are not read here.

        Raises
        ------
        ValueError
            If a polars column has a type without an encoding, or the rows of a list differ in length.
        """
        if self.kind == "pictures":
            return np.empty((len(self.native), 0))
        if self.kind == "list":
            try:
                return np.asarray(self.native)
            except ValueError as error:
                raise ValueError(f"Expected X to hold rows of one length, but got a ragged list: {error}.") from error
        if self.kind != "polars":
            return self.native
        if not hasattr(self.native, "columns"):
            return _polars_to_pandas(self.native)
        columns = {name: _polars_to_pandas(self.native[name]) for name in self.native.columns}
        return pd.DataFrame(columns, index=range(len(self.native)))

    def restore(self, rows: Any) -> Any:
        """Return rows, an array or a pandas frame or series, in the user's kind, with its names and types.

        Parameters
        ----------
        rows : array, sparse matrix, or pandas frame or series of n rows
            With the user's columns in their order.

        Returns
        -------
        object of `kind`
            With a new index, where there is one.
        """
        if self.kind == "sparse":
            return type(self.native)(rows)
        if self.kind == "pictures":
            return _into_pictures(np.asarray(rows))
        if self.kind == "list":
            return np.asarray(rows).tolist()
        if self.kind == "pandas":
            return _into_pandas(rows, self.native)
        if self.kind == "polars":
            return _into_polars(rows, self.native)
        return np.asarray(rows)

    def append(self, rows: Any) -> Any:
        """Return the user's own rows, untouched, and after them `rows`, in the user's kind and with a new index.

        Parameters
        ----------
        rows : array, sparse matrix, or pandas frame or series of n rows
        """
        new = self.restore(rows)
        if self.kind in ("list", "pictures"):
            return [*self.native, *new]
        if self.kind == "pandas":
            return pd.concat([self.native, new], ignore_index=True)
        if self.kind == "sparse":
            return type(self.native)(sp.vstack([self.native, new], format=self.native.format))
        if self.kind == "polars":
            return self.native.clone().extend(new) if len(new) else self.native.clone()
        return np.concatenate([np.asarray(self.native), new])

    def without_rows(self) -> "Container":
        """Return the same container without a row: what a fitted estimator may keep to `restore` with."""
        return Container(self.kind, self.native[:0])

    @property
    def polars_types(self) -> str | None:
        """Names and types of a polars frame as text: an Arrow file without a row, in base64; None of anything else."""
        if self.kind != "polars":
            return None
        self.native[:0].write_ipc(file := io.BytesIO())
        return base64.b64encode(file.getvalue()).decode("ascii")

    @classmethod
    def of_polars_types(cls, types: str) -> "Container":
        """Return the container without a row that had these `polars_types`.

        Raises
        ------
        ImportError
            If polars is not installed.
        """
        try:
            import polars as pl
        except ImportError as error:
            raise ImportError(
                "Expected polars to be installed, which the estimator was trained with; run pip install "
                '"latentover[polars]".'
            ) from error
        return cls("polars", pl.read_ipc(io.BytesIO(base64.b64decode(types))))


def _into_pandas(rows: Any, like: Any) -> Any:
    """Return rows as a pandas frame or series with the names and types of another."""
    if isinstance(like, pd.Series):
        values = rows.array if isinstance(rows, pd.Series) else np.asarray(rows)
        return pd.Series(values, name=like.name).astype(like.dtype)
    frame = rows.reset_index(drop=True) if isinstance(rows, pd.DataFrame) else pd.DataFrame(rows)
    frame = frame.set_axis(range(frame.shape[1]), axis=1)  # names may be there twice
    types = {i: dtype for i, dtype in enumerate(like.dtypes) if not (_is_whole(dtype) and frame[i].isna().any())}
    return frame.astype(types).set_axis(like.columns, axis=1)


def _is_whole(dtype: Any) -> bool:
    """Whether a type has whole numbers and none that is missing: such a column stays one of pandas' nullable type."""
    return isinstance(dtype, np.dtype) and dtype.kind in "iu"


def _into_pictures(rows: np.ndarray) -> list[Any]:
    """Return uint8 images (n, c, h, w) or (n, h, w, c) as images of Pillow."""
    from PIL import Image

    last = rows if rows.shape[-1] in (1, 3) else np.moveaxis(rows, 1, -1)
    return [Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image) for image in np.ascontiguousarray(last)]


def _polars_to_pandas(series: Any) -> pd.Series:
    """Return a polars series in the pandas type that loses nothing of it."""
    kind = series.dtype.base_type().__name__
    if kind in _POLARS_NUMBERS and not series.null_count():
        return pd.Series(series.to_numpy(), name=series.name)
    if kind in _POLARS_NUMBERS | _POLARS_TIMES:
        arguments = {"use_pyarrow_extension_array": True}
    elif kind in _POLARS_NAMES:
        arguments = {}
    else:
        raise ValueError(
            f"Expected columns of numbers, booleans, text, categories or dates, but column {series.name!r} holds "
            f"polars' {series.dtype}; cast it to one of them."
        )
    return series.to_pandas(**arguments)


def _into_polars(rows: Any, like: Any) -> Any:
    """Return rows as a polars frame or series with the names and types of another."""
    import polars as pl

    if isinstance(like, pl.Series):
        return _polars_series(like.name, rows, like.dtype)
    frame = rows if isinstance(rows, pd.DataFrame) else pd.DataFrame(rows)
    columns = [_polars_series(name, frame.iloc[:, i], dtype) for i, (name, dtype) in enumerate(like.schema.items())]
    return pl.DataFrame(columns)


def _polars_series(name: str, values: Any, dtype: Any) -> Any:
    import polars as pl

    if isinstance(values, pd.Series) and not isinstance(values.dtype, np.dtype):
        return pl.from_pandas(values, nan_to_null=False).cast(dtype).alias(name)
    return pl.Series(name, np.asarray(values)).cast(dtype)
