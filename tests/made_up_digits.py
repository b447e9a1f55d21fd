"""A folder of runs as a benchmark leaves it, made up from real digits."""

import json

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier

from latentover.metrics import classification_scores, operating_points
from latentover.report import save_minority_grid

TITLES = {"rae": "RAE", "class_balanced_batches": "Class-balanced batches", "none": "No resampling"}
SKILL = {"rae": 0.12, "class_balanced_batches": 0.2, "none": 0.55}  # noise on the training images
COUNTS = dict(zip("0123456789", [160, 118, 87, 64, 47, 35, 26, 19, 14, 8], strict=True))


class Interpolator:
    """Smallest thing that save_minority_grid takes: points between two real ones of a class."""

    def __init__(self, X, y):
        self.X, self.y = X, y

    def sample(self, n, *, y, random_state):
        rng = np.random.default_rng(random_state)
        own = self.X[self.y == y]
        first, second = own[rng.integers(0, len(own), (2, n))]
        return 0.7 * first + 0.3 * second

    def reconstruct(self, X):
        return 0.9 * X


def imbalanced_digits(seed):
    X, y = load_digits(return_X_y=True)
    rng = np.random.default_rng(seed)
    chosen = {int(c): rng.permutation(np.flatnonzero(y == int(c))) for c in COUNTS}
    train = np.concatenate([chosen[int(c)][:n] for c, n in COUNTS.items()])
    test = np.concatenate([rows[-12:] for rows in chosen.values()])
    return X[train].reshape(-1, 1, 8, 8), y[train], X[test].reshape(-1, 1, 8, 8), y[test]


def scores_of(recipe, seed, X, y, X_test, y_test):
    rng = np.random.default_rng([seed, len(recipe)])
    noisy = X.reshape(len(X), -1) + rng.normal(0, 16 * SKILL[recipe], (len(X), 64))
    model = KNeighborsClassifier(5).fit(noisy, y)
    probability = model.predict_proba(X_test.reshape(len(X_test), -1))
    scores = classification_scores(y_test, probability.argmax(axis=1), probability, classes=np.arange(10))
    return scores, operating_points(y_test, probability, np.arange(10))


def certificate_of(recipe, seed):
    return {
        "recipe": recipe,
        "title": TITLES[recipe],
        "recipe_sha256": f"{len(recipe):064x}",
        "group": "digits",
        "seed": seed,
        "data": "digits",
        "data_hash": "5eed0001",
        "split": "test_balanced",
        "n_train": 578,
        "n_test": 120,
        "weights": "last epoch",
        "fit_seconds": 3.2 + 9.1 * (recipe == "rae") + 0.1 * seed,
        "device": "cpu",
        "hardware": "AMD EPYC 9B14, 2 cores",
        "commit": "abc1234",
        "versions": {"latentover": "0.1.0", "torch": "2.9.0", "scikit-learn": "1.7.2"},
        "date": "2026-02-03T10:00:00+00:00",
    }


def write_history(path, seed):
    rng = np.random.default_rng(seed)
    lines = ["step,seconds,classifier,mixer,decoder,critic,reconstruction"]
    for step in range(0, 2000, 5):
        t = step / 400
        values = [2.3 * np.exp(-t), 0.7 + 0.2 * np.exp(-t), -3 + np.sin(t), 40 * np.exp(-2 * t) + 0.05, 0.4 / (1 + t)]
        cells = [f"{v * (1 + 0.05 * rng.random()):.5f}" for v in values]
        cells[1] = cells[1] if step % 25 == 0 else ""
        lines.append(",".join([str(step), f"{step * 0.01:.2f}", *cells]))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_map(path, seed):
    rng = np.random.default_rng(seed)
    lines = ["x,y,label,kind"]
    for c in range(10):
        centre = 30 * np.array([np.cos(c * 0.628), np.sin(c * 0.628)])
        for kind, n in (("real", 8 + 5 * (9 - c)), ("synthetic", 5 * c)):
            lines += [f"{x:.3f},{y:.3f},{c},{kind}" for x, y in rng.normal(centre, 3.5, (n, 2))]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_bundle(folder, recipe, seed):
    folder.mkdir(parents=True)
    X, y, X_test, y_test = imbalanced_digits(seed)
    some = np.concatenate([np.flatnonzero(y_test == c)[: max(1, 12 - c)] for c in range(10)])
    rows = {"test_balanced": slice(None), "test_imbalanced": some, "validation": slice(None, None, 2)}
    found = {name: scores_of(recipe, seed, X, y, X_test[chosen], y_test[chosen]) for name, chosen in rows.items()}
    splits = {name: scores for name, (scores, _) in found.items()}
    curves = {"format": 1, "splits": {name: points for name, (_, points) in found.items()}}
    (folder / "curves.json").write_text(json.dumps(curves, allow_nan=False), encoding="utf-8")
    balanced = splits["test_balanced"]
    metrics = {"format": 1, "split": "test_balanced", **balanced, "splits": splits, "train_counts": COUNTS}
    metrics["certificate"] = certificate_of(recipe, seed)
    (folder / "metrics.json").write_text(json.dumps(metrics, allow_nan=False), encoding="utf-8")
    (folder / "recipe.yaml").write_text(
        f"data: digits\nmethod:\n  class_path: latentover.methods.{recipe}\n  init_args:\n    latent_dim: 20\n"
        f"evaluation:\n  splits: [test_balanced, test_imbalanced]\nseed: {seed}\n",
        encoding="utf-8",
    )
    write_history(folder / "history.csv", seed)
    if recipe == "rae":
        write_map(folder / "tsne.csv", seed)
        save_minority_grid(Interpolator(X, y), X, y, folder / "samples.png", per_class=4)


@pytest.fixture(scope="session")
def finished_runs(tmp_path_factory):
    """Three recipes, two seeds each; not to be changed by tests."""
    folder = tmp_path_factory.mktemp("runs") / "digits"
    for recipe in TITLES:
        for seed in (0, 1):
            write_bundle(folder / recipe / f"seed-{seed}", recipe, seed)
    return folder
