"""What many runs cost beside their trainings: ``python benchmarks/benchmark_speed.py``.

The recipes of ``configs/digits`` are run by ``latentover benchmark`` with ``--jobs 1`` and ``--jobs 2``, as whole
commands and in turn; the overhead of a run is what a command with one process takes beyond start and fits. Then a
report is written of made-up runs: copies of those, under other names. Leave the machine alone meanwhile.
"""

import argparse
import json
import platform
import random
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from latentover.experiments.environment import commit, hardware
from latentover.report import write_report

ROOT = Path(__file__).resolve().parents[1]


def seconds_of(*arguments: str) -> float:
    """Return the seconds that a command takes; it has to succeed."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", "latentover.cli", *arguments], check=True, capture_output=True, cwd=ROOT)
    return time.perf_counter() - start


def benchmark(out: Path, jobs: int, seeds: list[str], recipes: str) -> float:
    return seconds_of(
        *("benchmark", recipes, "--out", str(out), "--jobs", str(jobs), "--device", "cpu", "--quiet", "--seeds", *seeds)
    )


def fit_seconds(out: Path) -> list[float]:
    """Return the seconds of all fits below a runs folder."""
    found = [json.loads(path.read_text()) for path in out.glob("*/seed-*/metrics.json")]
    return [metrics["certificate"]["fit_seconds"] for metrics in found]


def copies(runs: Path, out: Path, n_recipes: int, n_seeds: int) -> None:
    """Write made-up runs: copies of real ones without their weights, with other names and scores."""
    chance, sources = random.Random(0), sorted(path.parent for path in runs.glob("*/seed-*/metrics.json"))
    for i in range(n_recipes):
        for seed in range(n_seeds):
            source, target = sources[(i + seed) % len(sources)], out / f"recipe{i:03}" / f"seed-{seed}"
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("*.safetensors"))
            metrics = json.loads((target / "metrics.json").read_text())
            metrics["certificate"] |= {"recipe": f"recipe{i:03}", "title": f"Recipe {i}", "seed": seed}
            metrics["certificate"]["recipe_sha256"] = f"{i:064x}"
            for scores in (metrics, *metrics["splits"].values()):
                scores["acsa"] = min(1.0, max(0.0, scores["acsa"] + chance.gauss(0, 0.01)))
            (target / "metrics.json").write_text(json.dumps(metrics))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipes", default="configs/digits")
    parser.add_argument("--seeds", nargs="+", default=["0", "1", "2"])
    parser.add_argument("--pairs", type=int, default=2, help="of the two commands (default: 2)")
    parser.add_argument("--report-only", action="store_true", help="time the report alone, on one seed of each recipe")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        if options.report_only:
            benchmark(place / "0-1", 2, options.seeds[:1], options.recipes)
        for pair in range(0 if options.report_only else options.pairs):
            times = {jobs: benchmark(place / f"{pair}-{jobs}", jobs, options.seeds, options.recipes) for jobs in (1, 2)}
            start, fits = seconds_of("data", "list"), fit_seconds(place / f"{pair}-1")
            overhead = (times[1] - start - sum(fits)) / len(fits)
            print(
                f"{len(fits)} runs: {times[1]:.1f} s with --jobs 1, {times[2]:.1f} s with --jobs 2, "
                f"ratio {times[1] / times[2]:.2f}; beyond its fit a run takes {overhead:.2f} s "
                f"(fits {sum(fits):.1f} s, start of the command {start:.1f} s)",
                flush=True,
            )
        for n_recipes, n_seeds in ((100, 5), (10, 50)):
            out = place / f"copies-{n_recipes}"
            copies(place / "0-1", out, n_recipes, n_seeds)
            start = time.perf_counter()
            page = write_report(out)
            print(
                f"report of {n_recipes} recipes with {n_seeds} seeds each: {time.perf_counter() - start:.1f} s, "
                f"{page.stat().st_size / 1e6:.1f} MB",
                flush=True,
            )
    print(f"{hardware()}, Python {platform.python_version()}, commit {commit()}, {datetime.now(UTC):%Y-%m-%d}")


if __name__ == "__main__":
    main()
