"""All that a machine with a GPU is wanted for, in one command that ends in time and goes on where it was.

Run with ``python benchmarks/gpu_suite.py --budget 480 --out FOLDER`` from a checkout; the package need not be
installed, and ``--wheels`` names a folder with wheels of what the machine lacks. The steps are those of
``configs/gpu_suite``, the most valuable first: recipes, whose runs are made without their weights, and scripts. Each
runs in a process of its own, which is ended when its time is over; what is there then is complete, and the same command
goes on from it. A step that fails stops no other, and is tried again after the others by the next call.

What it leaves in the folder is a few megabytes: ``runs/<group>/<recipe>/seed-<s>``, of which ``latentover report``
makes pages on any machine, the files of the scripts, ``suite.json`` with what became of each step, and the logs. The
checkpoints of interrupted runs are put aside, by default in a folder beside it.
"""

import argparse
import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
STEPS = ROOT / "configs" / "gpu_suite"
GRACE = 5.0
"""Seconds that a process has to end by itself; half of what is kept of the budget for the end."""
CHECKPOINT_EVERY = 2000
CHECKPOINTS = "seed-*.checkpoint*"
DONE, FAILED, UNFINISHED = "done", "failed", "unfinished"


# ---- The steps -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Step:
    """What is to be done, as a list in ``configs/gpu_suite`` has it: recipes, or a script.

    Attributes
    ----------
    name : str
    recipes : list of str
        Recipes of one folder, or the folder; they run in this order, as many at once as the GPU holds.
    seeds : list of int or None
        Instead of the recipes' own.
    overrides : list of str
        Of settings of the recipes, as on the command line.
    script : str or None
        A Python file of the checkout.
    arguments : list of str
        Of the script; ``{out}`` stands for the folder of the results and ``{device}`` for the device.
    limit : float or None
        Seconds after which the step is ended and the next one begins.
    """

    name: str
    recipes: Sequence[str] = ()
    seeds: Sequence[int] | None = None
    overrides: Sequence[str] = ()
    script: str | None = None
    arguments: Sequence[str] = ()
    limit: float | None = None

    @property
    def files(self) -> list[Path]:
        """What the step reads: its recipes or its script."""
        places = [ROOT / place for place in (*self.recipes, *filter(None, [self.script]))]
        return [file for place in places for file in (sorted(place.glob("*.yaml")) if place.is_dir() else [place])]

    @property
    def fingerprint(self) -> str:
        """Changes with the step and with the files that it reads."""
        digest = hashlib.sha256(json.dumps(asdict(self)).encode())
        for file in self.files:
            digest.update(file.read_bytes())
        return digest.hexdigest()

    @property
    def group(self) -> str:
        """The folder of its runs: that of its recipes."""
        return self.files[0].parent.name


def read_steps(folder: Path, *, quick: bool = False) -> list[Step]:
    """Return the steps of all lists in a folder, in their order; raise ValueError for one that cannot be run.

    Parameters
    ----------
    folder : Path
        Its ``.yaml`` files hold lists of mappings with the fields of `Step` and, under ``quick``, those that change
        for a trial, or null for a step that is none of a trial.
    quick : bool
        Whether they change.
    """
    import yaml

    known = [field.name for field in fields(Step)]
    steps: list[Step] = []
    for path in sorted(folder.glob("*.yaml")):
        for content in yaml.safe_load(path.read_text(encoding="utf-8")):
            where = f"{path}, step {content.get('name')!r}"
            changes = content.pop("quick", {})
            unknown = [key for key in (*content, *(changes or {})) if key not in known]
            if unknown:
                raise ValueError(
                    f"Expected keys of {where} to be of {', '.join(known)}, quick, but got {unknown[0]!r}."
                )
            if quick and changes is None:
                continue
            step = replace(Step(**content), **changes) if quick else Step(**content)
            if (not step.recipes) == (step.script is None):
                raise ValueError(f"Expected {where} to have recipes or a script, but got both or none of them.")
            missing = [str(file) for file in step.files if not file.is_file()]
            if missing or not step.files:
                raise ValueError(f"Expected the files of {where} to be there, but got {missing or step.recipes}.")
            if step.recipes and len({file.parent for file in step.files}) > 1:
                raise ValueError(f"Expected the recipes of {where} to be of one folder, but got {step.recipes}.")
            steps.append(step)
    names = [step.name for step in steps]
    if not steps or len(set(names)) < len(names):
        raise ValueError(f"Expected {folder} to hold steps with names of their own, but got {names}.")
    return steps


def several_at_once(device: str, at_once: int | str = "auto") -> dict[str, Any]:
    """Return the arguments with which `latentover.experiments.benchmark.benchmark` trains several runs on one GPU."""
    from latentover.training import resolve_device

    return {"at_once": at_once} if resolve_device(device).type == "cuda" else {}


def make_runs(step: Step, options: argparse.Namespace) -> bool:
    """Make the runs of a step, in this process, and return whether all are there."""
    from latentover.experiments.benchmark import benchmark
    from latentover.experiments.recipe import find_recipes
    from latentover.experiments.run import Machine

    machine = Machine(
        device=options.device,
        data_root=options.data_root,
        checkpoint_every=CHECKPOINT_EVERY,
        keep_weights=False,
    )
    outcome = benchmark(
        find_recipes(step.files),
        machine,
        out=options.out / "runs" / step.group,
        seeds=step.seeds,
        overrides=step.overrides,
        **several_at_once(options.device),
    )
    for name, failure in outcome.failures.items():
        print(f"{failure.traceback}\n{name}: {failure.message}", flush=True)
    return not outcome.failures


# ---- The clock -------------------------------------------------------------------------------------------------------


class Suite:
    """The steps, what has become of them, and the processes that they run in.

    Parameters
    ----------
    options : argparse.Namespace
        Of `main`.
    steps : list of Step
    wheels : Path
        A folder with packages for the processes.
    """

    def __init__(self, options: argparse.Namespace, steps: Sequence[Step], wheels: Path) -> None:
        self.options, self.steps, self.out, self.wheels = options, steps, options.out, wheels
        self.start = time.monotonic()
        self.reserve = min(2 * GRACE, options.budget / 4)
        self.account = self.out / "suite.json"
        self.states: dict[str, dict[str, Any]] = {}
        with contextlib.suppress(OSError, ValueError):
            self.states = json.loads(self.account.read_text(encoding="utf-8"))["steps"]

    def left(self) -> float:
        """Return the seconds for steps that are left of the budget."""
        return self.start + self.options.budget - self.reserve - time.monotonic()

    def todo(self) -> list[Step]:
        """Return the steps that are not done, those that failed before at the end."""
        states = {step.name: self.state_of(step) for step in self.steps}
        todo = [step for step in self.steps if states[step.name] != DONE]
        return sorted(todo, key=lambda step: states[step.name] == FAILED)

    def state_of(self, step: Step) -> str:
        """Return what has become of a step as it is now."""
        known = self.states.get(step.name, {})
        return known["state"] if known.get("fingerprint") == step.fingerprint else UNFINISHED

    def run(self) -> None:
        """Run steps until all were tried or the time is over."""
        for step in self.todo():
            if self.left() <= 0:
                self.say(f"{step.name} and what comes after it wait for the next call")
                return
            before = time.monotonic()
            code = self.run_step(step)
            state = {None: UNFINISHED, 0: DONE}.get(code, FAILED)
            self.record(step, state, time.monotonic() - before)

    def run_step(self, step: Step) -> int | None:
        """Run a step in a process and return its exit status, or None where its time was over."""
        if step.script is None:
            command = [__file__, *self.options.given, "--step", step.name]
        else:
            words = {"out": self.out, "device": self.options.device}
            command = [str(ROOT / step.script), *(argument.format(**words) for argument in step.arguments)]
        seconds = self.left() if step.limit is None else min(self.left(), step.limit)
        (self.out / "logs").mkdir(exist_ok=True)
        with (self.out / "logs" / f"{step.name}.log").open("ab") as log:
            child = subprocess.Popen(
                [sys.executable, *command],
                cwd=ROOT,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                process_group=0,
            )
            try:
                return child.wait(timeout=seconds)
            except subprocess.TimeoutExpired:
                return None
            finally:
                end(child, self.reserve / 2)
                for litter in (self.out / "runs").glob("*/*/.seed-*"):  # of a process that was ended while it wrote
                    shutil.rmtree(litter) if litter.is_dir() else litter.unlink()

    def environment(self) -> dict[str, str]:
        """Return the environment of the processes: with the checkout, the wheels and the data."""
        path = [str(ROOT), str(self.wheels), *filter(None, [os.environ.get("PYTHONPATH")])]
        root = {} if self.options.data_root is None else {"LATENTOVER_DATA": str(self.options.data_root)}
        return {**os.environ, **root, "PYTHONPATH": os.pathsep.join(path), "PYTHONUNBUFFERED": "1"}

    def record(self, step: Step, state: str, seconds: float) -> None:
        """Write down what has become of a step, whole or not at all."""
        spent = self.states.get(step.name, {}).get("seconds", 0) + seconds
        self.states[step.name] = {"state": state, "seconds": round(spent, 1), "fingerprint": step.fingerprint}
        partial = self.account.with_suffix(".part")
        partial.write_text(json.dumps({"steps": self.states}, indent=1) + "\n", encoding="utf-8")
        partial.replace(self.account)
        see = f", see logs/{step.name}.log" if state == FAILED else ""
        self.say(f"{step.name}: {state} after {seconds:.0f} s{see}")

    def say(self, text: str) -> None:
        print(f"[{time.monotonic() - self.start:.0f} s] {text}", flush=True)


def end(child: subprocess.Popen, seconds: float) -> None:
    """End a process and those that it started: gently first, and after some seconds for good."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, sign)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(timeout=seconds)


@contextlib.contextmanager
def checkpoints_aside(runs: Path, aside: Path) -> Iterator[None]:
    """Bring the checkpoints of interrupted runs back, and put those that are left in the end aside."""
    move(aside, runs)
    try:
        yield
    finally:
        move(runs, aside)


def move(source: Path, target: Path) -> None:
    """Move all checkpoints below a folder to the same places below another one."""
    for path in sorted(source.glob(f"*/*/{CHECKPOINTS}")):
        place = target / path.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(path, place)


# ---- The command -----------------------------------------------------------------------------------------------------


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--budget", type=float, required=True, metavar="SECONDS", help="after which all has ended")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="of the results; goes on with them")
    parser.add_argument("--data-root", type=Path, help="folder of the named data sets")
    parser.add_argument("--device", help="auto, cpu, cuda, ... (default: auto, and cpu with --quick)")
    parser.add_argument("--wheels", type=Path, metavar="FOLDER", help="wheels of packages that this machine lacks")
    parser.add_argument("--checkpoints", type=Path, metavar="FOLDER", help="default: beside --out")
    parser.add_argument("--steps", type=Path, default=STEPS, metavar="FOLDER", help="lists of steps (default: ours)")
    parser.add_argument("--quick", action="store_true", help="tiny data and trainings: whether it runs at all")
    parser.add_argument("--step", help="only the recipes of this step, in this process and without a clock")
    options = parser.parse_args(arguments)
    if options.budget <= 0:
        parser.error(f"expected --budget to be positive, but got {options.budget}")
    if options.wheels is not None and not any(options.wheels.glob("*.whl")):
        parser.error(f"expected --wheels to hold wheels (*.whl), but got {options.wheels}")
    options.device = options.device or ("cpu" if options.quick else "auto")
    for name in ("out", "data_root", "checkpoints", "steps"):
        path = getattr(options, name)
        setattr(options, name, None if path is None else path.resolve())
    options.checkpoints = options.checkpoints or options.out.with_name(f"{options.out.name}.checkpoints")
    given = {"out": options.out, "data-root": options.data_root, "device": options.device, "steps": options.steps}
    options.given = ["--budget", str(options.budget), *(["--quick"] if options.quick else [])]
    options.given += [f"--{name}={value}" for name, value in given.items() if value is not None]
    return options


@contextlib.contextmanager
def unpacked(wheels: Path | None) -> Iterator[Path]:
    """Yield a folder with the content of wheels, from which Python imports it: nothing else is needed to use them."""
    with tempfile.TemporaryDirectory() as target:
        for wheel in sorted(wheels.glob("*.whl")) if wheels is not None else []:
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(target)
        sys.path.append(target)
        try:
            yield Path(target)
        finally:
            sys.path.remove(target)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the suite and return the exit status: 0, or 1 where a step has failed."""
    options = parse(sys.argv[1:] if arguments is None else arguments)
    if options.step is not None:
        steps = {step.name: step for step in read_steps(options.steps, quick=options.quick)}
        return 0 if make_runs(steps[options.step], options) else 1
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # ends the processes too
    try:
        with unpacked(options.wheels) as wheels:
            steps = read_steps(options.steps, quick=options.quick)
            options.out.mkdir(parents=True, exist_ok=True)
            suite = Suite(options, steps, wheels)
            with checkpoints_aside(options.out / "runs", options.checkpoints):
                suite.run()
    finally:
        signal.signal(signal.SIGTERM, before)
    states = [suite.state_of(step) for step in steps]
    counts = ", ".join(f"{states.count(state)} {state}" for state in (DONE, FAILED, UNFINISHED))
    suite.say(f"{len(steps)} steps: {counts}. Pages: latentover report {options.out}/runs/GROUP --out PAGE.md")
    return 1 if FAILED in states else 0


if __name__ == "__main__":
    sys.exit(main())
