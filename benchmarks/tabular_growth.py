"""How time and memory of over-sampling a table grow with its rows, and what memory some large jobs take.

Run with ``python benchmarks/tabular_growth.py`` (about an hour on 2 cores), or with ``--quick`` for small sizes. Every
measurement is made in a process of its own, on Linux. Writes ``docs/images/tabular_growth.svg`` and prints tables.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "images" / "tabular_growth.svg"
SIZES = (10_000, 31_623, 100_000, 316_228, 1_000_000)
QUICK_SIZES = (500, 1000, 2000)
FEATURES = 30
SHARE = 0.05
"""Of the rare class, which is brought to the size of the other one."""
STEPS = 300
MOST = 1.1
"""The largest exponent that passes for linear."""


def make_rows(n_rows: int, n_features: int = FEATURES) -> tuple[np.ndarray, np.ndarray]:
    """Return correlated rows (float32) and labels of two classes that overlap."""
    rng = np.random.default_rng(0)
    y = (rng.random(n_rows) < SHARE).astype(np.int64)
    X = rng.standard_normal((n_rows, n_features), dtype=np.float32)
    X[:, 1:] += 0.5 * X[:, :-1]
    X[:, ::3] += y[:, None]
    return X, y


def samplers(steps: int) -> dict[str, Any]:
    from latentover import RAESampler
    from latentover.methods.classical import ClassicalSampler

    return {
        "RAE": RAESampler(max_steps=steps, random_state=0),
        "SMOTE": ClassicalSampler(method="smote", random_state=0),
    }


# ---- One measurement, in a process of its own ------------------------------------------------------------------------


def memory(what: str) -> int:
    """Return VmRSS, the bytes resident now, or VmHWM, the most since `forget_peak`."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(what))


def forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")


def measured(work: Callable[[], Any]) -> tuple[Any, float, float]:
    """Return what some work returns, its seconds, and by how many megabytes the memory has grown at its peak."""
    forget_peak()
    before, start = memory("VmRSS"), time.perf_counter()
    result = work()
    return result, time.perf_counter() - start, (memory("VmHWM") - before) / 1e6


def measure_growth(name: str, n_rows: int, steps: int) -> dict[str, float]:
    """Measure the fit, and the generation of as many rows as equal classes need."""
    sampler = samplers(steps)[name]
    samplers(1)[name].fit_resample(*make_rows(300))  # imports and threads come first
    X, y = make_rows(n_rows)
    missing = int(n_rows - 2 * y.sum())
    _, fit, fit_memory = measured(lambda: sampler.fit(X, y))
    _, generate, generate_memory = measured(lambda: sampler.sample(missing, y=1, random_state=0))
    return {"fit": fit, "generate": generate, "fit_memory": fit_memory, "generate_memory": generate_memory}


def measure_memory(n_rows: int, n_features: int, n_new: int, steps: int) -> dict[str, float]:
    """Measure the memory of a fit above that of the data, and of making rows above that of what they take."""
    samplers(1)["RAE"].fit_resample(*make_rows(300))
    sampler = samplers(steps)["RAE"]
    X, y = make_rows(n_rows, n_features)
    _, _, fit = measured(lambda: sampler.fit(X, y))
    new, _, generate = measured(lambda: sampler.sample(n_new, y=1, random_state=0))
    return {"data": X.nbytes / 1e6, "fit": fit, "new": new.nbytes / 1e6, "generate": generate}


def measure_file(n_rows: int, folder: str, steps: int) -> dict[str, float]:
    """Measure the command `resample` from the start of its process; the file is written by another one."""
    from latentover.experiments.recipe import load_sampler
    from latentover.experiments.resample import DEFAULT_SAMPLER, resample_file

    sampler = load_sampler(DEFAULT_SAMPLER, ["--sampler.init_args.max_steps", str(steps)])
    path = Path(folder) / "rows.parquet"
    account = resample_file(path, "y", Path(folder) / "balanced.parquet", sampler=sampler)
    assert sum(account.before.values()) == n_rows
    assert account.peak_bytes is not None
    return {"peak": account.peak_bytes / 1e6, **account.seconds}


def write_file(n_rows: int, folder: str) -> dict[str, float]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    X, y = make_rows(n_rows)
    columns = {f"x{i}": X[:, i].astype(np.float64) for i in range(FEATURES)}
    pq.write_table(pa.table({**columns, "y": y}), Path(folder) / "rows.parquet")
    return {"megabytes": (Path(folder) / "rows.parquet").stat().st_size / 1e6}


JOBS: dict[str, Callable[..., dict[str, float]]] = {
    job.__name__: job for job in (measure_growth, measure_memory, measure_file, write_file)
}


def in_a_process(job: Callable[..., dict[str, float]], *arguments: Any) -> dict[str, float]:
    command = [sys.executable, __file__, "--child", json.dumps([job.__name__, *arguments])]
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(result.stdout.splitlines()[-1])


# ---- What is made of them --------------------------------------------------------------------------------------------


def exponent(sizes: Sequence[int], values: Sequence[float]) -> float:
    """Return the b of a * n**b that fits best on logarithmic axes."""
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


def growth_table(sizes: Sequence[int], found: Mapping[str, Sequence[Mapping[str, float]]]) -> str:
    lines = ["| rows | " + " | ".join(f"{name}: fit | generate | peak" for name in found) + " |"]
    lines.append("|--:|" + "--:|--:|--:|" * len(found))
    for i, size in enumerate(sizes):
        cells = [
            f"{row['fit']:.2f} s | {row['generate']:.2f} s | {max(row['fit_memory'], row['generate_memory']):,.0f} MB"
            for row in (rows[i] for rows in found.values())
        ]
        lines.append(f"| {size:,} | " + " | ".join(cells) + " |")
    fitted = []
    for rows in found.values():
        fit, generate = ([row[part] for row in rows] for part in ("fit", "generate"))
        peak = [max(row["fit_memory"], row["generate_memory"], 1e-3) for row in rows]
        fitted += [f"{exponent(sizes, values):.2f}" for values in (fit, generate, peak)]
    return "\n".join([*lines, "| exponent | " + " | ".join(fitted) + " |"])


def draw(sizes: Sequence[int], found: Mapping[str, Sequence[Mapping[str, float]]], path: Path) -> None:
    """Draw the seconds over the rows, both on logarithmic axes, with their exponents."""
    from matplotlib import rc_context

    from latentover.displays.theme import LIGHT, MARKERS, new_axes, style

    figure, axes = new_axes(3.4)
    ax = axes[0, 0]
    lines = [(name, part) for name in found for part in ("fit", "generate")]
    for index, (name, part) in enumerate(lines):
        seconds = [row[part] for row in found[name]]
        label = f"{name}, {part}: $n^{{{exponent(sizes, seconds):.2f}}}$"
        ax.plot(sizes, seconds, marker=MARKERS[index], color=LIGHT.colour(index), markersize=4, label=label)
    ax.set(xscale="log", yscale="log", xlabel="rows n", ylabel="seconds")
    style(ax, LIGHT, grid="y")
    ax.legend(frameon=False, fontsize=9, labelcolor=LIGHT.ink)
    path.parent.mkdir(parents=True, exist_ok=True)
    with rc_context({"svg.hashsalt": "latentover", "svg.fonttype": "path"}):
        figure.savefig(path, facecolor="white", metadata={"Date": None, "Creator": None})


def memory_table(*, quick: bool) -> str:
    n_rows, n_features, n_new, n_file = (2000, 5, 1500, 3000) if quick else (200_000, 50, 100_000, 1_000_000)
    steps = 2 if quick else STEPS
    found = in_a_process(measure_memory, n_rows, n_features, n_new, steps)
    lines = [
        "| what | memory at the peak | target |\n|:--|--:|--:|",
        f"| `RAESampler.fit` on {n_rows:,} x {n_features} float32, {found['data']:,.0f} MB, above the data "
        f"| {found['fit']:,.0f} MB | at most 1,000 MB |",
        f"| `sample({n_new:,})`, which returns {found['new']:,.0f} MB, with these | {found['generate']:,.0f} MB | |",
    ]
    with tempfile.TemporaryDirectory() as folder:
        size = in_a_process(write_file, n_file, folder)["megabytes"]
        told = in_a_process(measure_file, n_file, folder, steps)
    seconds = sum(value for part, value in told.items() if part != "peak")
    lines.append(
        f"| `latentover resample`, {n_file:,} x {FEATURES}, {size:,.0f} MB Parquet: {seconds:.0f} s; the whole process "
        f"| {told['peak']:,.0f} MB | below 2,000 MB |"
    )
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small sizes and few steps")
    parser.add_argument("--parts", nargs="+", choices=("growth", "memory"), default=["growth", "memory"])
    parser.add_argument("--methods", nargs="+", choices=("RAE", "SMOTE"), default=["RAE", "SMOTE"])
    parser.add_argument("--sizes", nargs="+", type=int, help="numbers of rows")
    parser.add_argument("--picture", type=Path, default=PICTURE)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.child:
        warnings.simplefilter("ignore")
        name, *rest = json.loads(options.child)
        print(json.dumps(JOBS[name](*rest)))
        return
    import torch

    from latentover.experiments.environment import commit, hardware, versions

    installed = ", ".join(f"{name} {number}" for name, number in versions().items())
    print(f"{datetime.now(UTC):%Y-%m-%d}, {hardware()}, {torch.get_num_threads()} threads; {installed}; {commit()}\n")
    if "growth" in options.parts:
        sizes = options.sizes or (QUICK_SIZES if options.quick else SIZES)
        steps = 2 if options.quick else STEPS
        found = {name: [in_a_process(measure_growth, name, n, steps) for n in sizes] for name in options.methods}
        print(growth_table(sizes, found), flush=True)
        draw(sizes, found, options.picture)
        times = {name: [row["fit"] + row["generate"] for row in rows] for name, rows in found.items()}
        worst = {name: exponent(sizes, seconds) for name, seconds in times.items()}
        said = ", ".join(f"{name} {value:.2f}" for name, value in worst.items())
        print(f"\nexponents of fit and generation together: {said}; linear is at most {MOST}\n{options.picture}\n")
    if "memory" in options.parts:
        print(memory_table(quick=options.quick), flush=True)


if __name__ == "__main__":
    main()
