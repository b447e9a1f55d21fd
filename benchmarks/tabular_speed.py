"""Over-sampling of a table, side by side in one run: SMOTE here and in imbalanced-learn, the RAE, and CTGAN.

Run with ``python benchmarks/tabular_speed.py`` for SMOTE and the RAE (some minutes), with ``--parts ctgan`` for the
comparison with CTGAN (hours on a CPU), or with ``--quick`` for small sizes. CTGAN is installed from PyPI into a virtual
environment of its own, or found by ``--ctgan-python``.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

FEATURES = 30
SHARE = 0.05
"""Of the rare class."""
ROUNDS = 50
"""How often CTGAN is asked for rows of the rare class: it makes rows of the other one too."""


class Table(NamedTuple):
    """Training rows, and test rows of the same origin; the rare class is 1."""

    X: np.ndarray
    y: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray


class Resampled(NamedTuple):
    """What came of the training rows, and after how many seconds."""

    X: np.ndarray
    y: np.ndarray
    seconds: float


def make_table(n_rows: int, seed: int = 0) -> Table:
    """Return `n_rows` training rows (float32) and as many test rows, at most 20,000."""
    from sklearn.datasets import make_classification
    from sklearn.model_selection import train_test_split

    n_test = min(n_rows, 20_000)
    X, y = make_classification(
        n_rows + n_test,
        FEATURES,
        n_informative=10,
        n_redundant=5,
        n_clusters_per_class=3,
        weights=[1 - SHARE],
        flip_y=0.01,
        random_state=seed,
    )
    parts = train_test_split(X.astype(np.float32), y, train_size=n_rows, stratify=y, random_state=seed)
    return Table(parts[0], parts[2], parts[1], parts[3])


def resample(sampler: Any, table: Table) -> Resampled:
    start = time.perf_counter()
    X, y = sampler.fit_resample(table.X, table.y)
    return Resampled(X, y, time.perf_counter() - start)


def downstream_acsa(resampled: Resampled, table: Table) -> float:
    """Return the average class-specific accuracy, in percent, of gradient boosting trained on what was resampled."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    from latentover.metrics import acsa

    model = HistGradientBoostingClassifier(early_stopping=False, random_state=0).fit(resampled.X, resampled.y)
    return 100 * acsa(table.y_test, model.predict(table.X_test))


# ---- SMOTE -----------------------------------------------------------------------------------------------------------


def smote_samplers() -> tuple[Any, Any]:
    """Return ours and imbalanced-learn's."""
    from imblearn.over_sampling import SMOTE

    from latentover.methods.classical import ClassicalSampler

    return ClassicalSampler(method="smote", k_neighbors=5, random_state=0), SMOTE(k_neighbors=5, random_state=0)


def compare_smote(n_rows: int, repeats: int) -> str:
    """Return a line of the table; the two take turns, so that both meet the same state of the machine."""
    table, times = make_table(n_rows), ([], [])
    for sampler in smote_samplers():
        resample(sampler, make_table(500))  # imports and threads come first
    for _ in range(repeats):
        for sampler, seconds in zip(smote_samplers(), times, strict=True):
            seconds.append(resample(sampler, table).seconds)
    ratios = [ours / theirs for ours, theirs in zip(*times, strict=True)]
    ours, theirs = map(statistics.median, times)
    return (
        f"| SMOTE, {n_rows:,} x {FEATURES} | {ours:.2f} s | imbalanced-learn: {theirs:.2f} s "
        f"| ours / peer: {ours / theirs:.2f} ({min(ratios):.2f} to {max(ratios):.2f}) | at most 1.2 |"
    )


# ---- The RAE ---------------------------------------------------------------------------------------------------------


def rae_sampler(steps: int | None) -> Any:
    """Return the over-sampler with its defaults, but for so many training steps where they are given."""
    from latentover import RAESampler

    return RAESampler(random_state=0, **({} if steps is None else {"max_steps": steps}))


def measure_rae(n_rows: int, steps: int | None) -> str:
    """Return a line of the table; what no resampling and SMOTE give stands beside it."""
    table = make_table(n_rows)
    resample(rae_sampler(1), make_table(500))  # imports and threads come first
    resampled, (_, smote) = resample(rae_sampler(steps), table), smote_samplers()
    ours, theirs, plain = (
        downstream_acsa(rows, table)
        for rows in (resampled, resample(smote, table), Resampled(table.X, table.y, seconds=0.0))
    )
    return (
        f"| RAE, {n_rows:,} x {FEATURES} | {resampled.seconds:.1f} s, ACSA {ours:.2f} | imbalanced-learn's SMOTE: "
        f"ACSA {theirs:.2f}; no resampling: ACSA {plain:.2f} | | at most 30 s |"
    )


# ---- CTGAN -----------------------------------------------------------------------------------------------------------


def ctgan_python(given: str | None) -> str:
    """Return the interpreter of an environment that has CTGAN; make one unless it is given."""
    if given is not None:
        return given
    folder = Path(tempfile.gettempdir()) / "latentover_ctgan"
    python = folder / "bin" / "python"
    if not python.is_file():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", "ctgan"], check=True)
    return str(python)


def run_ctgan(table: Table, python: str, epochs: int) -> tuple[Resampled, str]:
    """Return what CTGAN makes of the table in a process of its own, and its version."""
    with tempfile.TemporaryDirectory() as folder:
        rows, made = Path(folder) / "rows.npz", Path(folder) / "made.npz"
        np.savez(rows, X=table.X, y=table.y)
        command = [python, __file__, "--ctgan-child", str(rows), str(made), "--epochs", str(epochs)]
        result = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        told = json.loads(result.stdout.splitlines()[-1])
        with np.load(made) as arrays:
            X = np.concatenate([table.X, arrays["X"]])
    y = np.concatenate([table.y, np.ones(len(X) - len(table.y), dtype=table.y.dtype)])
    return Resampled(X, y, told["seconds"]), told["version"]


def ctgan_child(rows: str, made: str, epochs: int) -> None:
    """Train CTGAN on all rows with the class as a discrete column, and keep the rows of the rare class that it makes.

    Runs where latentover is not installed.
    """
    from importlib.metadata import version

    import pandas as pd
    import torch
    from ctgan import CTGAN

    with np.load(rows) as arrays:
        X, y = arrays["X"], arrays["y"]
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002 - what CTGAN draws from
    frame = pd.DataFrame(X, columns=[f"x{i}" for i in range(X.shape[1])]).assign(y=y)
    missing = int((y == 0).sum() - (y == 1).sum())
    start = time.perf_counter()
    model = CTGAN(epochs=epochs)
    model.fit(frame, discrete_columns=["y"])
    kept: list[Any] = []
    for _ in range(ROUNDS):
        made_rows = model.sample(missing, condition_column="y", condition_value=1)
        kept.append(made_rows[made_rows["y"] == 1].drop(columns="y").to_numpy(np.float32))
        if sum(map(len, kept)) >= missing:
            break
    seconds = time.perf_counter() - start
    np.savez(made, X=np.concatenate(kept)[:missing])
    print(json.dumps({"seconds": seconds, "version": version("ctgan")}))


def compare_ctgan(n_rows: int, python: str, epochs: int, steps: int | None) -> str:
    """Return a line of the table."""
    table = make_table(n_rows)
    peer, version = run_ctgan(table, python, epochs)
    ours = resample(rae_sampler(steps), table)
    return (
        f"| RAE, {n_rows:,} x {FEATURES} | {ours.seconds:.1f} s, ACSA {downstream_acsa(ours, table):.2f} "
        f"| CTGAN {version}, {epochs} epochs: {peer.seconds:.1f} s, ACSA {downstream_acsa(peer, table):.2f}, "
        f"{len(peer.y) - n_rows:,} new rows | peer / ours: {peer.seconds / ours.seconds:.1f} "
        "| at least 10, with at least its ACSA |"
    )


# ---- The script ------------------------------------------------------------------------------------------------------


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=("smote", "rae", "ctgan"), default=["smote", "rae"])
    parser.add_argument("--quick", action="store_true", help="small sizes and few steps")
    parser.add_argument("--repeats", type=int, default=5, help="of SMOTE")
    parser.add_argument("--epochs", type=int, default=300, help="of CTGAN")
    parser.add_argument("--ctgan-python", help="interpreter of an environment with ctgan (default: one is made)")
    parser.add_argument("--ctgan-child", nargs=2, metavar=("ROWS", "MADE"), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.ctgan_child:
        ctgan_child(*options.ctgan_child, options.epochs)
        return
    import torch

    from latentover.experiments.environment import commit, hardware, versions

    installed = ", ".join(f"{name} {number}" for name, number in versions().items())
    print(f"{datetime.now(UTC):%Y-%m-%d}, {hardware()}, {torch.get_num_threads()} threads; {installed}; {commit()}\n")
    print("| what | ours | peer | ratio | target |\n|---|---|---|---|---|", flush=True)
    n_rows, steps = (2000, 3) if options.quick else (20_000, None)
    if "smote" in options.parts:
        print(compare_smote(n_rows if options.quick else 200_000, options.repeats), flush=True)
    if "rae" in options.parts:
        print(measure_rae(n_rows, steps), flush=True)
    if "ctgan" in options.parts:
        python = ctgan_python(options.ctgan_python)
        print(compare_ctgan(n_rows, python, options.epochs, steps), flush=True)


if __name__ == "__main__":
    main()
