"""``train`` and ``benchmark``: recipes become runs, and runs are compared."""

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from latentover.cli.options import DATA, add_command, add_place, machine, share
from latentover.cli.terminal import give, paint, say_wrong, with_heading, words

OVERRIDES = """\
Any setting of a recipe can be overridden with a dotted option, for example
  --method.init_args.latent_dim 32  --data.imbalance.rho 50
"""


def add(commands: Any) -> None:
    """Add both commands."""
    _add_train(commands)
    _add_benchmark(commands)


def _add_machine(command: argparse.ArgumentParser) -> None:
    share(command, *DATA, "trust-modules", "device", "precision")
    command.add_argument(
        "--checkpoint-every",
        type=int,
        default=1000,
        metavar="N",
        help="keep a checkpoint every N training steps, from which the same command goes on; 0: none (default: 1000)",
    )
    command.add_argument("--retry-failed", action="store_true", help="try runs again that failed before")
    command.set_defaults(takes_overrides=True, stopped="finished runs are kept, the same command goes on from there")


def _add_train(commands: Any) -> None:
    command = add_command(
        commands,
        "train",
        _train,
        "Train a recipe and write one run folder a seed.",
        [
            "latentover train configs/digits/rae.yaml --seed 0",
            "latentover train configs/photos/rae.yaml --data.source my_photos -o runs/mine",
            "latentover train configs/digits/rae.yaml --print-config",
        ],
        epilog=OVERRIDES,
    )
    add_place(
        command, "recipe", "recipes", metavar="RECIPE", help="a recipe, of yours or shipped (configs/digits/rae.yaml)"
    )
    share(command, "out", help="runs folder (default: runs/<folder of the recipe>)")
    share(command, "seed", help="this seed only (default: those of the recipe)")
    command.add_argument("--print-config", action="store_true", help="print the resolved recipe and stop")
    command.add_argument("--print_config", action="store_true", dest="print_config", help=argparse.SUPPRESS)
    _add_machine(command)
    share(command, "json")


def _train(options: argparse.Namespace) -> int:
    from latentover.experiments.recipe import find_recipes, load_recipes

    if options.print_config:
        path = find_recipes([options.recipe])[0]
        recipes = load_recipes(path, options.overrides, trust_modules=options.trust_modules)
        heads = [f"--- # {recipe.name}\n" if recipe.variant else "" for recipe in recipes]
        print("".join(head + recipe.text for head, recipe in zip(heads, recipes, strict=True)), end="")
        return 0
    options.recipes, options.jobs, options.at_once = [options.recipe], 1, 1
    options.backend, options.ray_address, options.only, options.list = "processes", None, None, False
    options.seeds = None if options.seed is None else [options.seed]
    account = _Account(options, report=False)
    _run(options, account)
    return account.end()


def _add_benchmark(commands: Any) -> None:
    command = add_command(
        commands,
        "benchmark",
        _benchmark,
        "Train many recipes, skip runs that are finished, and compare them in a report.",
        [
            "latentover benchmark configs/digits",
            "latentover benchmark configs/photos --data.source my_photos",
            "latentover benchmark configs/suites/digits.yaml --methods rae none --seeds 0 1 --jobs 2",
        ],
        epilog=OVERRIDES,
    )
    add_place(
        command,
        "recipes",
        "recipes",
        nargs="+",
        metavar="RECIPE",
        help="recipes, folders of them, or suites, yours or shipped (configs/digits, configs/suites/digits.yaml)",
    )
    text = "runs folder (default: runs/<folder of the recipes>; of a suite's parts runs/<suite>/<part>)"
    share(command, "out", help=text)
    command.add_argument("--parts", nargs="+", metavar="NAME", help="of a suite, these parts alone")
    share(command, "methods", help="of a suite, these methods alone")
    add_backend(command)
    command.add_argument(
        "--at-once",
        type=_how_many,
        default=1,
        metavar="N",
        help="runs that one process trains interleaved on a GPU; auto: as many as memory allows (default: 1)",
    )
    share(command, "seeds", help="instead of the recipes' own")
    command.add_argument("--list", action="store_true", help="list the runs with their numbers and states, and stop")
    command.add_argument(
        "--only",
        type=_part,
        metavar="I/N",
        help="make the runs number I, I + N, I + 2N ... alone, counted from 0: a part for each job of a scheduler",
    )
    _add_machine(command)
    share(command, "json")


def add_backend(command: argparse.ArgumentParser) -> None:
    """Add where runs, or the trials of a search, are made."""
    command.add_argument(
        "--jobs",
        type=int,
        metavar="N",
        help="processes that share the cores (default: 1); with --backend ray runs at the same time (default: as many "
        "as there are cores or GPUs for)",
    )
    command.add_argument(
        "--backend",
        choices=("processes", "ray"),
        default="processes",
        help="processes of this machine (default), or a Ray cluster",
    )
    command.add_argument(
        "--ray-address",
        metavar="ADDRESS",
        help="of the cluster: auto, HOST:PORT, ray://... (default: one of this machine is started)",
    )
    command.add_argument(
        "--cpus-per-run", type=float, default=1.0, metavar="N", help="cores that a run takes on Ray (default: 1)"
    )
    command.add_argument(
        "--gpus-per-run",
        type=float,
        default=0.0,
        metavar="N",
        help="GPUs that a run takes on Ray; 0.25 lets four share one (default: 0)",
    )


def _part(text: str) -> tuple[int, int]:
    if not re.fullmatch(r"\d+/\d+", text):
        raise argparse.ArgumentTypeError(f"expected I/N such as 0/4, but got {text!r}")
    number, _, parts = text.partition("/")
    return int(number), int(parts)


def _how_many(text: str) -> int | str:
    if text != "auto" and not re.fullmatch(r"-?\d+", text):
        raise argparse.ArgumentTypeError(f"expected a whole number or auto, but got {text!r}")
    return text if text == "auto" else int(text)


def backend(options: argparse.Namespace) -> Any:
    """Return the backend that is asked for."""
    if options.backend == "processes":
        from latentover.experiments.benchmark import choose_backend

        if options.ray_address:
            raise ValueError("Expected --ray-address with --backend ray, but got it without; add --backend ray.")
        return choose_backend(machine(options), 1 if options.jobs is None else options.jobs, options.at_once)
    from latentover.experiments.backends.ray import RayBackend

    return RayBackend(options.ray_address, options.cpus_per_run, options.gpus_per_run, options.jobs)


def _benchmark(options: argparse.Namespace) -> int:
    begin_server(options)
    from latentover.experiments.recipe import find_recipes
    from latentover.experiments.suites import is_suite, load_suite

    paths = find_recipes(options.recipes)
    found = [path for path in paths if is_suite(path)]
    options.recipes = [path for path in paths if path not in found]
    if options.out and found and len(paths) > 1:
        raise ValueError(
            f"Expected one suite, or recipes alone, with --out, but got {len(found)} of {len(paths)} files that are "
            "suites; give them one by one."
        )
    if (options.parts or options.methods) and (len(found), len(paths)) != (1, 1):
        raise ValueError(
            f"Expected one suite with --parts and --methods, but got {len(found)} suites among {len(paths)} files; "
            "name the suite alone."
        )
    suites = [load_suite(path, options.overrides, trust_modules=options.trust_modules) for path in found]
    suites = [suite.choose(options.parts, options.methods) for suite in suites]
    if options.list:
        return _list_runs(options, suites)
    account = _Account(options, report=options.only is None)
    if options.recipes:
        _run(options, account)
    for suite in suites:
        _run_suite(suite, options, account)
    return account.end()


def begin_server(options: argparse.Namespace) -> None:
    """Let a process begin to import what workers need, while this one does so too."""
    if (options.jobs or 1) > 1 and options.backend == "processes":
        from latentover.experiments.backends.server import start_server

        start_server()


def _list_runs(options: argparse.Namespace, suites: Sequence[Any]) -> int:
    from latentover.experiments.benchmark import list_runs
    from latentover.experiments.suites import part_folder

    how: dict[str, Any] = {"seeds": options.seeds, "only": options.only}
    how_read = {"overrides": options.overrides, "trust_modules": options.trust_modules}
    rows = list_runs(options.recipes, machine(options), out=options.out, **how, **how_read)
    for suite in suites:
        for part in suite.parts:
            if why := part.missing(options.data_root, download=options.download):
                words(options, f"part {part.name} would be skipped: {why}")
            else:
                out = part_folder(suite, part, options.out)
                rows += list_runs(part.recipes, machine(options), out=out, **how)
    width = max((len(row.job.name) for row in rows), default=0)
    for row in rows:
        words(options, f"{row.number:>5}  {row.job.name:<{width}}  {row.state}")
    give(options, [{"number": row.number, "run": row.job.name, "state": row.state} for row in rows])
    return 0


def _run(options: argparse.Namespace, account: "_Account") -> None:
    """Make the runs of recipes."""
    from latentover.experiments.benchmark import benchmark
    from latentover.experiments.recipe import find_recipes

    outcome = benchmark(
        find_recipes(options.recipes),
        machine(options),
        out=options.out,
        backend=backend(options),
        seeds=options.seeds,
        overrides=options.overrides,
        trust_modules=options.trust_modules,
        only=options.only,
        retry_failed=options.retry_failed,
    )
    account.add(outcome)


def _run_suite(suite: Any, options: argparse.Namespace, account: "_Account") -> None:
    """Run a suite part by part, compare the runs of each, and say at the end what is not done."""
    from latentover.experiments.suites import run_suite

    how = {name: getattr(options, name) for name in ("seeds", "trust_modules", "only", "retry_failed")}
    parts, undone = 0, list[str]()
    for done in run_suite(suite, machine(options), out=options.out, backend=backend(options), **how):
        if done.outcome is not None:
            parts += 1
            undone += [f"{name}: failed (see above)" for name in done.outcome.failures]
            undone += [f"{name}: not scored: {why}" for name, why in done.unscored.items()]
            account.add(done.outcome)
            account.undone |= done.unscored
        else:
            undone.append(f"part {done.part.name}: skipped: {done.missing}")
            account.undone[f"part {done.part.name}"] = f"skipped: {done.missing}"
            account.say(f"\n{done.folder}\npart {done.part.name} is skipped: {done.missing}")
    skipped = len(suite.parts) - parts
    runs = len(undone) - skipped
    account.say(f"\nsuite {suite.name}: {parts} parts done, {skipped} skipped; {runs} runs failed or not scored")
    account.say_undone(undone)


class _Account:
    """What is made, told in words as it goes, and at the end as JSON."""

    def __init__(self, options: argparse.Namespace, *, report: bool) -> None:
        self.options, self.report = options, report
        self.made, self.before = 0, 0
        self.undone, self.folders = dict[str, str](), dict[str, Any]()

    @property
    def speaks(self) -> bool:
        """Whether this is the first process, which speaks for all; they find one another after the beginning."""
        from latentover.training import parallel

        return parallel.rank() == 0

    def say(self, text: str) -> None:
        """Say something on stdout."""
        if self.speaks:
            words(self.options, text)

    def say_undone(self, undone: Sequence[str]) -> None:
        """Say on stderr what is not done."""
        for line in undone if self.speaks else ():
            say_wrong(line)

    def add(self, outcome: Any) -> None:
        """Tell what a benchmark did, and compare the runs of each folder."""
        self.made, self.before = self.made + outcome.finished, self.before + outcome.repeated
        self.undone |= {name: failure.message for name, failure in outcome.failures.items()}
        failed = f"{len(outcome.failures)} failed"
        failed = paint(failed, "error") if outcome.failures else failed
        self.say(f"runs: {outcome.finished} made, {outcome.repeated} finished before, {failed}")
        for folder in outcome.folders if self.speaks else ():
            self.folders[str(folder)] = self._compared(folder)
        if outcome.failures:
            self.say_undone([f"failed: {'; '.join(outcome.failures)} (see above)"])
        if self.options.traceback and self.speaks:
            for failure in outcome.failures.values():
                print(failure.traceback, file=sys.stderr)

    def _compared(self, folder: Path) -> dict[str, Any]:
        from latentover.report import compare, comparison_text, write_report
        from latentover.runs.collection import read_finished

        found = read_finished(folder)
        rows = compare(found.runs, failed=found.failed, stale=found.stale)
        self.say(f"\n{folder}\n{with_heading(comparison_text(rows))}")
        result: dict[str, Any] = {"rows": [_as_result(row) for row in rows]}
        if self.report:
            result["report"] = str(write_report(folder))
            self.say(f"\nreport: {result['report']}")
        return result

    def end(self) -> int:
        """Give all of it as JSON where that is asked for, and return the exit status."""
        if self.speaks:
            counts = {"made": self.made, "finished_before": self.before}
            give(self.options, {**counts, "not_done": self.undone, "folders": self.folders})
        return 1 if self.undone else 0


def _as_result(row: Any) -> dict[str, Any]:
    """Return a row of a comparison as JSON-able values."""
    scores = {name: {"mean": cell.mean, "sd": cell.sd, "n": cell.n} for name, cell in row.cells.items()}
    facts = {name: getattr(row, name) for name in ("recipe", "title", "n_seeds", "fit_seconds", "stale")}
    return {**facts, "scores": scores}
