"""Draw the pictures of the displays: ``python docs/display_figures.py`` writes ``docs/images/display_*.png``.

From the shipped models of scikit-learn's digits and a made-up table; seconds on two cores. Names as arguments
draw only those.
"""

import sys
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import numpy as np
import pandas as pd
from latentover import SmoothedBootstrapSampler, load
from latentover.data import load_splits
from latentover.displays import (
    ColumnQualityDisplay,
    CriticalDifferenceDisplay,
    HistoryDisplay,
    LatentMapDisplay,
    RecallByClassDisplay,
    ReliabilityDisplay,
    SampleGridDisplay,
)
from latentover.experiments.recipe import load_recipe
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB

MODELS = Path(__file__).parent.parent / "models"
IMAGES = Path(__file__).parent / "images"


def rows(n: int, seed: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Return a made-up table of loans, of which one in ten fails."""
    random = np.random.default_rng(seed)
    failed = random.random(n) < 0.1
    frame = pd.DataFrame(
        {
            "income": np.exp(random.normal(10.2 - 0.5 * failed, 0.5, n)).round(
                -2
            ),
            "age": random.integers(20, 70, n) - 5 * failed,
            "loans": random.poisson(1 + failed, n),
            "job": random.choice(
                ["clerk", "teacher", "nurse", "none"], n, p=[0.4, 0.3, 0.2, 0.1]
            ),
            "region": random.choice(["north", "south", "east"], n),
            "score": random.normal(600 - 60 * failed, 60, n).round(),
        }
    )
    return frame, np.where(failed, "failed", "paid")


def main(names: list[str]) -> None:
    """Write these pictures, or all."""
    IMAGES.mkdir(exist_ok=True)
    for name in names or [
        name.removeprefix("draw_")
        for name in globals()
        if name.startswith("draw_")
    ]:
        path = IMAGES / f"display_{name}.png"
        globals()[f"draw_{name}"]().figure_.savefig(
            path, dpi=110, metadata={"Software": None}
        )
        print(f"{path.name}: {path.stat().st_size // 1024} kB")


def digits() -> Any:
    """Return the long-tailed digits that the shipped models learned from, and the RAE."""
    splits = load_splits(
        load_recipe(MODELS / "rae-digits" / "recipe.yaml").data
    )
    return splits, load(MODELS / "rae-digits")


def flat(images: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), -1) / images.max()


def draw_recall() -> Any:
    splits, rae = digits()
    X_test, y_test = splits.tests["test_balanced"]
    plain, weighted = (
        LogisticRegression(max_iter=300, class_weight=weight)
        for weight in (None, "balanced")
    )
    for model in (plain, weighted):
        model.fit(flat(splits.X_train), splits.y_train)
    predictions = {
        "RAE": rae.predict(X_test),
        "Logistic regression": plain.predict(flat(X_test)),
        "with class weights": weighted.predict(flat(X_test)),
    }
    return RecallByClassDisplay.from_predictions(
        y_test, predictions, y_train=splits.y_train
    )


def draw_reliability() -> Any:
    splits, rae = digits()
    X_test, y_test = splits.tests["test_balanced"]
    train = flat(splits.X_train), splits.y_train
    probabilities = {
        "RAE": rae.predict_proba(X_test),
        "Logistic regression": LogisticRegression(max_iter=300)
        .fit(*train)
        .predict_proba(flat(X_test)),
        "Naive Bayes": GaussianNB(var_smoothing=1e-2)
        .fit(*train)
        .predict_proba(flat(X_test)),
    }
    return ReliabilityDisplay.from_predictions(y_test, probabilities, n_bins=10)


def draw_samples() -> Any:
    splits, rae = digits()
    return SampleGridDisplay.from_estimator(
        rae, splits.X_train, splits.y_train, n_classes=5
    )


def draw_latents() -> Any:
    splits, rae = digits()
    return LatentMapDisplay.from_estimator(
        rae, splits.X_train, splits.y_train, n_points=600
    )


def draw_history() -> Any:
    losses = [
        "classifier",
        "reconstruction",
        "decoder",
        "critic",
        "gradient_penalty",
        "critic_gradient",
    ]
    return HistoryDisplay.from_runs(MODELS / "rae-digits", losses=losses)


def draw_ranks() -> Any:
    names = ["No resampling", "Class weights", "SMOTE", "RAE", "DeepSMOTE"]
    table = np.random.default_rng(3).normal(
        [0.86, 0.88, 0.87, 0.905, 0.90], 0.012, size=(14, 5)
    )
    return CriticalDifferenceDisplay.from_scores(
        pd.DataFrame(table, columns=names)
    )


def draw_columns() -> Any:
    X, y = rows(3000, 0)
    X_holdout, y_holdout = rows(3000, 1)
    sampler = SmoothedBootstrapSampler(random_state=0).fit(X, y)
    return ColumnQualityDisplay.from_estimator(
        sampler, X, y, X_holdout=X_holdout, y_holdout=y_holdout
    )


if __name__ == "__main__":
    main(sys.argv[1:])
