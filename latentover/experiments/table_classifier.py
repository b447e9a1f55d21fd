"""A classifier of numbers on a table with columns of any type: what an advice is tried with."""

import warnings
from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

CLASSIFIERS: dict[str, Callable[[int], Any]] = {
    # Without early stopping, which would set in above 10,000 rows: for the resampled rows only. Leaves of 5 rows, or
    # else nothing could be learned about a class of 10 rows unless it is resampled.
    "boosting": lambda seed: HistGradientBoostingClassifier(
        min_samples_leaf=5, early_stopping=False, random_state=seed
    ),
    "logistic": lambda seed: LogisticRegression(max_iter=2000),
    "forest": lambda seed: RandomForestClassifier(random_state=seed),
}
"""Classifiers by name, each made with a seed."""
_LEVELS = 50
"""Levels of a column that become columns of their own where a classifier needs numbers; rarer ones share one."""
_CODES = 250
"""Levels of a column that gradient boosting tells apart; it allows 255."""


class TableClassifier(ClassifierMixin, BaseEstimator):
    """A classifier of numbers on a frame with columns of any type and with missing values.

    Gradient boosting gets codes of its categories and missing values as they are; any other classifier gets one-hot
    columns, medians for missing numbers, and numbers of mean 0 and variance 1. All of it is learned in `fit`.
    """

    def __init__(self, *, estimator: Any, categories: tuple[int, ...] = ()) -> None:
        self.estimator = estimator
        self.categories = categories

    def fit(self, X: pd.DataFrame, y: Any, sample_weight: Any = None) -> Self:
        """Fit encoder and classifier."""
        self.estimator_ = clone(self.estimator)
        boosting = isinstance(self.estimator_, HistGradientBoostingClassifier)
        categories = list(self.categories)
        numbers = [i for i in range(X.shape[1]) if i not in self.categories]
        if boosting:
            codes = OrdinalEncoder(
                handle_unknown="use_encoded_value",
                unknown_value=np.nan,
                encoded_missing_value=np.nan,
                max_categories=_CODES,
            )
            self.encoder_ = ColumnTransformer([("levels", codes, categories), ("numbers", "passthrough", numbers)])
            self.estimator_.set_params(categorical_features=list(range(len(categories))) or None)
        else:
            levels = OneHotEncoder(
                handle_unknown="infrequent_if_exist", max_categories=_LEVELS, drop="if_binary", sparse_output=False
            )
            scaled = make_pipeline(SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler())
            self.encoder_ = ColumnTransformer([("levels", levels, categories), ("numbers", scaled, numbers)])
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Found unknown categories")
            Z = self.encoder_.fit_transform(_plain(X, self.categories))
            self.estimator_.fit(Z, y, **({} if sample_weight is None else {"sample_weight": sample_weight}))
        self.classes_ = self.estimator_.classes_
        return self

    def _encode(self, X: pd.DataFrame) -> Any:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Found unknown categories")
            return self.encoder_.transform(_plain(X, self.categories))

    def predict_proba(self, X: pd.DataFrame) -> np.ndarray:
        """Return probabilities (n, C)."""
        return self.estimator_.predict_proba(self._encode(X))

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """Return labels (n,)."""
        return self.estimator_.predict(self._encode(X))


def _plain(X: pd.DataFrame, categories: Sequence[int]) -> pd.DataFrame:
    """Return columns of float64, or of text or NaN for categories, called 0, 1, 2, ..."""
    columns = {}
    for i in range(X.shape[1]):
        values = X.iloc[:, i]
        missing = values.isna().to_numpy(dtype=bool)
        if i in categories:
            known = [None if gone else str(value) for value, gone in zip(values.tolist(), missing, strict=True)]
            columns[i] = pd.Series(known, dtype=object).where(~missing, np.nan)
        elif _is_time(values):
            if values.dtype.kind == "M":
                values = pd.to_datetime(values, utc=True).dt.tz_localize(None)
            ticks = values.to_numpy(dtype=f"{values.dtype.kind}8[us]").astype(np.int64)
            columns[i] = pd.Series(np.where(missing, np.nan, ticks.astype(np.float64)))
        else:
            numbers = values.astype(object).where(~missing, np.nan).to_numpy()
            columns[i] = pd.Series(np.asarray(numbers, dtype=np.float64))
    return pd.DataFrame(columns)


def _is_time(values: pd.Series) -> bool:
    return values.dtype.kind in "mM"


def is_category(values: pd.Series) -> bool:
    """Whether a column holds names; numbers, booleans, times and objects that are numbers (decimals) hold none."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        return True
    if _is_time(values) or pd.api.types.is_numeric_dtype(values.dtype):
        return False
    return pd.api.types.infer_dtype(values, skipna=True) not in ("boolean", "decimal", "floating", "integer")
