"""Draw the pictures of the displays: ``python docs/display_figures.py`` writes ``docs/images/display_*.png``.

Small trainings on scikit-learn's digits and a made-up table; seconds on two cores. Names as arguments draw only those.
"""

import sys
import warnings
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import numpy as np
import pandas as pd
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB

from latentover import RAEClassifier, SmoothedBootstrapSampler
from latentover.data import subsample
from latentover.displays import (
    ColumnQualityDisplay,
    CriticalDifferenceDisplay,
    HistoryDisplay,
    LatentMapDisplay,
    RecallByClassDisplay,
    ReliabilityDisplay,
    SampleGridDisplay,
)
from latentover.training import CollapseWarning

IMAGES = Path(__file__).parent / "images"
COUNTS = [100, 78, 60, 46, 36, 28, 22, 17, 13, 10]


def digits() -> tuple[np.ndarray, ...]:
    """Return long-tailed training images (n, 1, 8, 8) with labels, and a balanced test part."""
    images, labels = load_digits(return_X_y=True)
    images = (images / 16).reshape(-1, 1, 8, 8).astype(np.float32)
    train = subsample(labels[:1200], COUNTS, random_state=0)
    return images[train], labels[train], images[1200:], labels[1200:]


def rows(n: int, seed: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Return a made-up table of loans, of which one in ten fails."""
    random = np.random.default_rng(seed)
    failed = random.random(n) < 0.1
    frame = pd.DataFrame(
        {
            "income": np.exp(random.normal(10.2 - 0.5 * failed, 0.5, n)).round(-2),
            "age": random.integers(20, 70, n) - 5 * failed,
            "loans": random.poisson(1 + failed, n),
            "job": random.choice(["clerk", "teacher", "nurse", "none"], n, p=[0.4, 0.3, 0.2, 0.1]),
            "region": random.choice(["north", "south", "east"], n),
            "score": random.normal(600 - 60 * failed, 60, n).round(),
        }
    )
    return frame, np.where(failed, "failed", "paid")


def main(names: list[str]) -> None:
    """Write these pictures, or all."""
    IMAGES.mkdir(exist_ok=True)
    X, y, X_test, y_test = digits()
    warnings.simplefilter("ignore", CollapseWarning)
    wanted = names or [name.removeprefix("draw_") for name in globals() if name.startswith("draw_")]
    rae = RAEClassifier(max_steps=400, early_stopping=True, random_state=0, device="cpu").fit(X, y)
    for name in wanted:
        display = globals()[f"draw_{name}"](rae, X, y, X_test, y_test)
        path = IMAGES / f"display_{name}.png"
        display.figure_.savefig(path, dpi=110, metadata={"Software": None})
        print(f"{path.name}: {path.stat().st_size // 1024} kB")


def flat(images: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), -1)


def draw_recall(rae: Any, X: np.ndarray, y: np.ndarray, X_test: np.ndarray, y_test: np.ndarray) -> Any:
    plain = LogisticRegression(max_iter=500).fit(flat(X), y)
    weighted = LogisticRegression(max_iter=500, class_weight="balanced").fit(flat(X), y)
    predictions = {
        "No resampling": plain.predict(flat(X_test)),
        "Class weights": weighted.predict(flat(X_test)),
        "RAE": rae.predict(X_test),
    }
    return RecallByClassDisplay.from_predictions(y_test, predictions, y_train=y)


def draw_reliability(rae: Any, X: np.ndarray, y: np.ndarray, X_test: np.ndarray, y_test: np.ndarray) -> Any:
    probabilities = {
        "Naive Bayes": GaussianNB(var_smoothing=1e-2).fit(flat(X), y).predict_proba(flat(X_test)),
        "Logistic regression": LogisticRegression(max_iter=500).fit(flat(X), y).predict_proba(flat(X_test)),
        "RAE": rae.predict_proba(X_test),
    }
    return ReliabilityDisplay.from_predictions(y_test, probabilities, n_bins=10)


def draw_samples(rae: Any, X: np.ndarray, y: np.ndarray, X_test: np.ndarray, y_test: np.ndarray) -> Any:
    return SampleGridDisplay.from_estimator(rae, X, y, n_classes=5)


def draw_latents(rae: Any, X: np.ndarray, y: np.ndarray, X_test: np.ndarray, y_test: np.ndarray) -> Any:
    return LatentMapDisplay.from_estimator(rae, X, y, n_points=600)


def draw_history(rae: Any, X: np.ndarray, y: np.ndarray, X_test: np.ndarray, y_test: np.ndarray) -> Any:
    seeds = {f"seed {seed}": RAEClassifier(max_steps=400, early_stopping=True, random_state=seed, device="cpu")
             for seed in (1, 2)}  # fmt: skip
    return HistoryDisplay.from_estimator({"seed 0": rae, **{name: each.fit(X, y) for name, each in seeds.items()}})


def draw_ranks(*_: Any) -> Any:
    names = ["No resampling", "Class weights", "SMOTE", "RAE", "DeepSMOTE"]
    table = np.random.default_rng(3).normal([0.86, 0.88, 0.87, 0.905, 0.90], 0.012, size=(14, 5))
    return CriticalDifferenceDisplay.from_scores(pd.DataFrame(table, columns=names))


def draw_columns(*_: Any) -> Any:
    X, y = rows(3000, 0)
    X_holdout, y_holdout = rows(3000, 1)
    sampler = SmoothedBootstrapSampler(random_state=0).fit(X, y)
    return ColumnQualityDisplay.from_estimator(sampler, X, y, X_holdout=X_holdout, y_holdout=y_holdout)


if __name__ == "__main__":
    main(sys.argv[1:])
