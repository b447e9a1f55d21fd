"""Runs as ``metrics.json`` tells of them, made up."""

import json


def metrics_of(recipe="rae", seed=0, acsa=0.8, **certificate):
    """Content of a ``metrics.json``: two classes, a balanced and an imbalanced test split."""
    scores = {
        "acsa": acsa,
        "macro_f1": acsa - 0.01,
        "gm_a": None,
        "brier": 0.3,
        "classes": ["cat", "dog"],
        "recall": [acsa + 0.05, acsa - 0.05],
        "precision": [0.5, None],
        "support": [50, 50],
        "confusion": [[40, 10], [10, 40]],
    }
    return {
        "format": 1,
        "split": "test_balanced",
        **scores,
        "splits": {"test_balanced": scores, "test_imbalanced": {**scores, "acsa": acsa - 0.1}},
        "test_reads": 1,
        "train_counts": {"cat": 100, "dog": 10},
        "certificate": {
            "recipe": recipe,
            "title": recipe.upper(),
            "recipe_sha256": f"{recipe}-sha",
            "group": "pets",
            "seed": seed,
            "data": "pets",
            "data_hash": "5eed",
            "code": "c0de",
            "split": "test_balanced",
            "n_train": 110,
            "n_test": 100,
            "weights": "last epoch",
            "fit_seconds": 1.5,
            "precision": "float32",
            "device": "cpu",
            "hardware": "a processor, 2 cores",
            "commit": "abc",
            "python": "3.11.4",
            "versions": {"latentover": "0.1.0", "torch": "2.9.0", "scikit-learn": "1.8.0"},
            "date": "2026-02-03T10:00:00+00:00",
        }
        | certificate,
    }


def write_run(folder, metrics, generation=None):
    """Leave a finished run in a runs folder, as far as the store reads it."""
    certificate = metrics["certificate"]
    place = folder / certificate["recipe"] / f"seed-{certificate['seed']}"
    place.mkdir(parents=True)
    (place / "metrics.json").write_text(json.dumps(metrics), encoding="utf-8")
    if generation:
        (place / "generation.json").write_text(json.dumps(generation), encoding="utf-8")
    return place
