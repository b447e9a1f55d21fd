"""Time and memory of density and coverage beside prdc, and time of the Fréchet distance beside pytorch-fid.

Run with ``python benchmarks/metrics_speed.py`` (some minutes on 2 cores), or with ``--quick`` for small sizes. Every
line runs in a process of its own, on the same random features; memory is what the process grows by at its peak.
"""

import argparse
import contextlib
import io
import json
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import numpy as np

PAGE = 4096


def features(n: int, d: int, seed: int) -> np.ndarray:
    """Correlated features with falling variances, as those of a network are."""
    rng = np.random.default_rng(seed)
    scales = 1.0 / np.sqrt(1 + np.arange(d) / 32)
    return (rng.normal(size=(n, d)) * scales + 0.1 * seed * scales).astype(np.float64)


def our_density_coverage(real: np.ndarray, fake: np.ndarray) -> list[float]:
    from latentover.metrics import density_coverage

    return list(density_coverage(real, fake, 5))


def prdc(real: np.ndarray, fake: np.ndarray) -> list[float]:
    from prdc import compute_prdc

    with contextlib.redirect_stdout(io.StringIO()):
        found = compute_prdc(real, fake, 5)
    return [float(found["density"]), float(found["coverage"])]


def our_frechet(real: np.ndarray, fake: np.ndarray) -> list[float]:
    from latentover.metrics import frechet_distance

    return [frechet_distance(real, fake)]


def pytorch_fid(real: np.ndarray, fake: np.ndarray) -> list[float]:
    from pytorch_fid.fid_score import calculate_frechet_distance

    statistics = [(x.mean(axis=0), np.cov(x, rowvar=False)) for x in (real, fake)]
    return [float(calculate_frechet_distance(*statistics[0], *statistics[1]))]


FUNCTIONS = {function.__name__: function for function in (our_density_coverage, prdc, our_frechet, pytorch_fid)}


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


def measure(name: str, n: int, d: int) -> None:
    """Print seconds, megabytes and values of one function as JSON; the body of a child process."""
    function, real, fake = FUNCTIONS[name], features(n, d, 0), features(n, d, 1)
    warnings.simplefilter("ignore")
    function(real[:50], fake[:50])  # imports and threads come first
    before, peak, done = resident(), [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.002):
            peak[0] = max(peak[0], resident())

    watcher = threading.Thread(target=watch)
    watcher.start()
    start = time.perf_counter()
    values = function(real, fake)
    seconds = time.perf_counter() - start
    done.set()
    watcher.join()
    print(json.dumps({"seconds": seconds, "megabytes": max(0, peak[0] - before) / 1e6, "values": values}))


def run(name: str, n: int, d: int) -> dict:
    command = [sys.executable, __file__, "--child", name, str(n), str(d)]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1])


def compare(ours: str, theirs: str | None, n: int, d: int) -> None:
    names = [name for name in (ours, theirs) if name]
    found = [run(name, n, d) for name in names]
    for name, result in zip(names, found, strict=True):
        values = "  ".join(f"{value:.9g}" for value in result["values"])
        print(f"{n:>7} x {d:<6}{name:<22}{result['seconds']:>9.2f} s{result['megabytes']:>9.0f} MB   {values}")
    if theirs:
        mine, other = found
        gap = max(abs(a - b) / max(abs(b), 1e-12) for a, b in zip(mine["values"], other["values"], strict=True))
        faster, less = other["seconds"] / mine["seconds"], mine["megabytes"] / max(other["megabytes"], 1e-9)
        print(f"{'':>16}{faster:.1f} x faster, {less:.2f} x the memory, values {gap:.1e} apart")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--child", nargs=3, metavar=("NAME", "N", "D"))
    options = parser.parse_args()
    if options.child:
        name, n, d = options.child
        measure(name, int(n), int(d))
        return
    import torch

    from latentover.experiments.environment import hardware

    print(f"torch {torch.__version__}, {hardware()}, {torch.get_num_threads()} threads, float64 features")
    print(f"{'n x d':<16}{'':<22}{'time':>11}{'extra memory':>12}   values")
    if options.quick:
        compare("our_density_coverage", "prdc", 2000, 64)
        compare("our_frechet", "pytorch_fid", 600, 256)
        return
    compare("our_density_coverage", "prdc", 10_000, 512)
    compare("our_density_coverage", None, 50_000, 64)
    compare("our_frechet", "pytorch_fid", 20_000, 512)
    compare("our_frechet", "pytorch_fid", 4096, 2048)


if __name__ == "__main__":
    main()
