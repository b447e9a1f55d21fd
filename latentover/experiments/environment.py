"""Where and with what a run was made: its birth certificate."""

import hashlib
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

import latentover

_SOURCES = (
    *("data", "estimators", "losses", "methods", "metrics", "mixing", "networks", "tables", "training", "seeds.py"),
    *("experiments/evaluate.py", "experiments/run.py"),
)
"""Files and folders of the package that what a run trains and scores depends on."""
_PACKAGES = ("torch", "scikit-learn", "imbalanced-learn", "numpy", "scipy")


def versions() -> dict[str, str]:
    """Return the versions of latentover and of what its numbers depend on."""
    return {"latentover": latentover.__version__, **{name: version(name) for name in _PACKAGES}}


def hardware(device: str = "cpu") -> str:
    """Return the processor's name and the number of cores that this process may use, and the name of a GPU."""
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
        name = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), name)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    gpu = f", {torch.cuda.get_device_name(device)}" if device.startswith("cuda") else ""
    return f"{name}, {cores} cores{gpu}"


def commit() -> str | None:
    """Return the commit of the checkout that the package runs from, marked where files differ from it, or None."""
    folder = Path(latentover.__file__).parent
    if not (folder.parent / ".git").exists():
        return None
    try:
        out = [
            subprocess.run(["git", "-C", str(folder), *command], capture_output=True, text=True, check=True).stdout
            for command in (["rev-parse", "--short=10", "HEAD"], ["status", "--porcelain", "-uno", "--", str(folder)])
        ]
    except (OSError, subprocess.CalledProcessError):
        return None
    return out[0].strip() + ("+changes" if out[1].strip() else "")


@lru_cache(maxsize=1)
def code_version() -> str:
    """Return the version of latentover and a hash of those of its sources that a run's numbers depend on.

    Two runs of one recipe with one seed and the same data have the same scores where this is the same.
    """
    root = Path(latentover.__file__).parent
    digest = hashlib.sha256()
    for place in _SOURCES:
        path = root / place
        for source in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(source.relative_to(root).as_posix().encode() + b"\0" + source.read_bytes())
    return f"{latentover.__version__}+{digest.hexdigest()[:8]}"


def peak_memory() -> int | None:
    """Return the most bytes that this process has had resident so far, or None where the system does not tell."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def environment(device: str) -> dict[str, Any]:
    """Return what a number's certificate says about the machine and the time."""
    return {
        "device": device,
        "hardware": hardware(device),
        "commit": commit(),
        "code": code_version(),
        "python": platform.python_version(),
        "versions": versions(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }
