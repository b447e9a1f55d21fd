"""The command line: parse, call, print.

Nothing heavy is imported before a command is known, so that ``--help`` answers at once.
"""

import argparse
import os
import signal
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn, TextIO

from latentover import __version__

_OVERRIDES = """\
Any setting of a recipe can be overridden with a dotted option, for example
  --method.init_args.latent_dim 32  --data.imbalance.rho 50
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit status: 0 done, 1 some runs failed, 2 bad input."""
    parser = _parser()
    options, overrides = parser.parse_known_args(arguments)
    if overrides and not getattr(options, "takes_overrides", False):
        parser.error(f"unrecognized arguments: {' '.join(overrides)}")
    options.overrides = overrides
    before = _trace(options)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            return options.command(options)
    except (ValueError, TypeError, OSError, ImportError, RuntimeError, MemoryError, ArithmeticError) as error:
        if options.traceback:
            raise
        print(f"latentover: {' '.join(str(error).split()) or type(error).__name__}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        if arguments is None:  # this process ends now, and a second Ctrl-C is not to spoil that
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        print(f"latentover: stopped{_what_is_left(options, before)}", file=sys.stderr)
        return 130


def _trace(options: argparse.Namespace) -> tuple[int, int] | None:
    """Return what changes when a file is written to ``--out``; None without a file there."""
    try:
        found = Path(options.out or "").stat() if hasattr(options, "out") else None
    except OSError:
        return None
    return None if found is None else (found.st_ino, found.st_mtime_ns)


def _what_is_left(options: argparse.Namespace, before: tuple[int, int] | None) -> str:
    """Return what is true of the files of a command that was stopped."""
    if options.stopped is not None:
        return f"; {options.stopped}"
    out = getattr(options, "out", None)
    if out is None:
        return ""
    if _trace(options) != before:
        return f"; {out} is written, and complete"
    return f"; nothing was written, {out} {'does not exist' if before is None else 'is as it was'}"


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Say a warning for people without the line of code that it comes from; others keep theirs."""
    from latentover.training import parallel

    if parallel.rank() > 0:
        return
    if issubclass(category, UserWarning):
        print(f"latentover: {message}", file=sys.stderr)
    else:
        print(warnings.formatwarning(message, category, filename, lineno), end="", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="latentover",
        allow_abbrev=False,
        description="Fair classifiers and new samples of the rare classes, from imbalanced data.",
    )
    parser.add_argument("--version", action="version", version=f"latentover {__version__}")
    _add_traceback(parser)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_train(commands)
    _add_evaluate(commands)
    _add_generate(commands)
    _add_predict(commands)
    _add_resample(commands)
    _add_benchmark(commands)
    _add_tune(commands)
    _add_report(commands)
    _add_results(commands)
    _add_data(commands)
    return parser


def _add(commands: Any, name: str, function: Any, text: str, **kwargs: Any) -> argparse.ArgumentParser:
    command = commands.add_parser(
        name,
        help=text,
        description=text,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        **kwargs,
    )
    command.set_defaults(command=function, stopped=None)
    _add_traceback(command, default=argparse.SUPPRESS)
    return command


def _add_traceback(parser: argparse.ArgumentParser, **kwargs: Any) -> None:
    parser.add_argument("--traceback", action="store_true", help="show where an error comes from", **kwargs)


def _add_data_options(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--data-root", help="folder of the named data sets (default: $LATENTOVER_DATA, else the cache folder)"
    )
    command.add_argument("--download", action="store_true", help="download a named data set that is missing")


def _add_trust(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--trust-modules",
        type=lambda names: tuple(filter(None, names.split(","))),
        default=(),
        metavar="NAME,...",
        help="modules of your own whose classes (methods, samplers, mixing rules, networks) may be named; "
        "importing them runs their code",
    )


def _add_machine_options(command: argparse.ArgumentParser) -> None:
    _add_data_options(command)
    _add_trust(command)
    command.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, ... (default: auto)")
    command.add_argument("--precision", default="auto", help="auto, float32 or bfloat16 (default: auto)")
    command.add_argument(
        "--checkpoint-every",
        type=int,
        default=1000,
        metavar="N",
        help="keep a checkpoint every N training steps, from which the same command goes on; 0: none (default: 1000)",
    )
    command.add_argument("--retry-failed", action="store_true", help="try runs again that failed before")
    command.add_argument("--quiet", action="store_true", help="say nothing about progress")
    command.set_defaults(stopped="finished runs are kept, the same command goes on from there")


def _add_file_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--encoding", help="of a .csv file: utf-8 (default), latin-1, cp1252, utf-16, ...")
    command.add_argument("--delimiter", help="of a .csv file, such as ';' or tab (default: what its first rows show)")


def _add_table_options(command: argparse.ArgumentParser) -> None:
    _add_file_options(command)
    command.add_argument(
        "--drop",
        nargs="+",
        action="extend",
        default=[],
        metavar="COLUMN",
        help="columns that are not learned from, and missing in new rows",
    )
    command.add_argument(
        "--id",
        nargs="+",
        action="extend",
        default=[],
        metavar="COLUMN",
        help="identifiers beside those that are found: columns whose values name single rows or persons",
    )
    command.add_argument(
        "--missing",
        nargs="+",
        action="extend",
        default=[],
        metavar="TEXT",
        help="text of a .csv file that means missing, beside blank cells, and NA and its kin among numbers and dates",
    )
    command.add_argument(
        "--parse-dates",
        nargs="+",
        action="extend",
        metavar="COLUMN",
        help="columns of a .csv file that are dates, as NAME or NAME=%%d/%%m/%%Y; auto (default): those in ISO 8601 or "
        "another form that says which number is the day; none",
    )


def _table_options(options: argparse.Namespace) -> Any:
    from latentover.data.tables import TableOptions

    dates = options.parse_dates or ["auto"]
    return TableOptions(
        encoding=options.encoding,
        delimiter=options.delimiter,
        missing=options.missing,
        parse_dates=dates[0] if dates in (["auto"], ["none"]) else dates,
        drop=options.drop,
    )


def _machine(options: argparse.Namespace) -> Any:
    from latentover.experiments.run import Machine

    return Machine(
        device=options.device,
        precision=options.precision,
        data_root=options.data_root,
        download=options.download,
        verbose=0 if options.quiet else 1,
        checkpoint_every=getattr(options, "checkpoint_every", None) or None,
    )


# ---- train and benchmark ---------------------------------------------------------------------------------------------


def _add_train(commands: Any) -> None:
    command = _add(commands, "train", _train, "Train a recipe and write one run folder a seed.", epilog=_OVERRIDES)
    command.add_argument("recipe", help="a recipe, of yours or shipped (configs/digits/rae.yaml)")
    command.add_argument("--out", help="runs folder (default: runs/<folder of the recipe>)")
    command.add_argument("--seed", type=int, help="this seed only (default: those of the recipe)")
    command.add_argument("--print_config", action="store_true", help="print the resolved recipe and stop")
    _add_machine_options(command)
    command.set_defaults(takes_overrides=True)


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
    return _run_and_compare(options, report=False)


def _add_benchmark(commands: Any) -> None:
    command = _add(
        commands,
        "benchmark",
        _benchmark,
        "Train many recipes, skip runs that are finished, and compare them in a report.",
        epilog=_OVERRIDES,
    )
    command.add_argument(
        "recipes",
        nargs="+",
        help="recipes, folders of them, or suites, yours or shipped (configs/digits, configs/suites/digits.yaml)",
    )
    command.add_argument(
        "--out", help="runs folder (default: runs/<folder of the recipes>; of a suite's parts runs/<suite>/<part>)"
    )
    command.add_argument("--parts", nargs="+", metavar="NAME", help="of a suite, these parts alone")
    command.add_argument("--methods", nargs="+", metavar="NAME", help="of a suite, these methods alone")
    _add_backend(command)
    command.add_argument(
        "--at-once",
        type=lambda text: text if text == "auto" else int(text),
        default=1,
        metavar="N",
        help="runs that one process trains interleaved on a GPU; auto: as many as memory allows (default: 1)",
    )
    command.add_argument("--seeds", type=int, nargs="+", help="instead of the recipes' own")
    command.add_argument("--list", action="store_true", help="list the runs with their numbers and states, and stop")
    command.add_argument(
        "--only",
        type=_part,
        metavar="I/N",
        help="make the runs number I, I + N, I + 2N ... alone, counted from 0: a part for each job of a scheduler",
    )
    _add_machine_options(command)
    command.set_defaults(takes_overrides=True)


def _add_backend(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--jobs",
        type=int,
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
        "--ray-address", help="of the cluster: auto, HOST:PORT, ray://... (default: one of this machine is started)"
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
    number, _, parts = text.partition("/")
    return int(number), int(parts)


def _backend(options: argparse.Namespace) -> Any:
    """Return the backend that is asked for."""
    if options.backend == "processes":
        from latentover.experiments.benchmark import choose_backend

        if options.ray_address:
            raise ValueError("Expected --ray-address with --backend ray, but got it without; add --backend ray.")
        return choose_backend(_machine(options), 1 if options.jobs is None else options.jobs, options.at_once)
    from latentover.experiments.backends.ray import RayBackend

    return RayBackend(options.ray_address, options.cpus_per_run, options.gpus_per_run, options.jobs)


def _benchmark(options: argparse.Namespace) -> int:
    _start_server(options)
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
    statuses = [_run_and_compare(options, report=options.only is None)] if options.recipes else []
    return max([*statuses, *(_run_suite(suite, options) for suite in suites)])


def _start_server(options: argparse.Namespace) -> None:
    """Let a process begin to import what workers need, while this one does so too."""
    if (options.jobs or 1) > 1 and options.backend == "processes":
        from latentover.experiments.backends.server import start_server

        start_server()


def _list_runs(options: argparse.Namespace, suites: Sequence[Any]) -> int:
    from latentover.experiments.benchmark import list_runs
    from latentover.experiments.suites import part_folder

    how: dict[str, Any] = {"seeds": options.seeds, "only": options.only}
    how_read = {"overrides": options.overrides, "trust_modules": options.trust_modules}
    rows = list_runs(options.recipes, _machine(options), out=options.out, **how, **how_read)
    for suite in suites:
        for part in suite.parts:
            if why := part.missing(options.data_root, download=options.download):
                print(f"part {part.name} would be skipped: {why}")
            else:
                out = part_folder(suite, part, options.out)
                rows += list_runs(part.recipes, _machine(options), out=out, **how)
    width = max((len(row.job.name) for row in rows), default=0)
    for row in rows:
        print(f"{row.number:>5}  {row.job.name:<{width}}  {row.state}")
    return 0


def _run_suite(suite: Any, options: argparse.Namespace) -> int:
    """Run a suite part by part, compare the runs of each, and say at the end what is not done."""
    from latentover.experiments.suites import run_suite
    from latentover.training import parallel

    how = {name: getattr(options, name) for name in ("seeds", "trust_modules", "only", "retry_failed")}
    parts, undone = 0, list[str]()
    for done in run_suite(suite, _machine(options), out=options.out, backend=_backend(options), **how):
        if done.outcome is not None:
            parts += 1
            undone += [f"{name}: failed (see above)" for name in done.outcome.failures]
            undone += [f"{name}: not scored: {why}" for name, why in done.unscored.items()]
            _tell(done.outcome, options, report=options.only is None)
        elif parallel.rank() == 0:
            undone.append(f"part {done.part.name}: skipped: {done.missing}")
            print(f"\n{done.folder}\npart {done.part.name} is skipped: {done.missing}")
    if parallel.rank() == 0:
        skipped = len(suite.parts) - parts
        runs = len(undone) - skipped
        print(f"\nsuite {suite.name}: {parts} parts done, {skipped} skipped; {runs} runs failed or not scored")
        for line in undone:
            print(f"latentover: {line}", file=sys.stderr)
    return 1 if undone else 0


def _run_and_compare(options: argparse.Namespace, *, report: bool) -> int:
    from latentover.experiments.benchmark import benchmark
    from latentover.experiments.recipe import find_recipes

    outcome = benchmark(
        find_recipes(options.recipes),
        _machine(options),
        out=options.out,
        backend=_backend(options),
        seeds=options.seeds,
        overrides=options.overrides,
        trust_modules=options.trust_modules,
        only=options.only,
        retry_failed=options.retry_failed,
    )
    return _tell(outcome, options, report=report)


def _tell(outcome: Any, options: argparse.Namespace, *, report: bool) -> int:
    """Print what a benchmark did, compare the runs of each folder, and return the exit status."""
    from latentover.training import parallel

    if parallel.rank() > 0:  # the first process speaks for all
        return 1 if outcome.failures else 0
    print(f"runs: {outcome.finished} made, {outcome.repeated} finished before, {len(outcome.failures)} failed")
    for folder in outcome.folders:
        _print_comparison(folder, report=report)
    if outcome.failures:
        print(f"latentover: failed: {'; '.join(outcome.failures)} (see above)", file=sys.stderr)
    if options.traceback:
        for failure in outcome.failures.values():
            print(failure.traceback, file=sys.stderr)
    return 1 if outcome.failures else 0


def _print_comparison(folder: Path, *, report: bool) -> None:
    from latentover.report import compare, comparison_text, write_report
    from latentover.runs.collection import read_finished

    print(f"\n{folder}")
    found = read_finished(folder)
    print(comparison_text(compare(found.runs, failed=found.failed, stale=found.stale)))
    if report:
        print(f"\nreport: {write_report(folder)}")


# ---- tune ------------------------------------------------------------------------------------------------------------


def _add_tune(commands: Any) -> None:
    command = _add(
        commands,
        "tune",
        _tune,
        "Search recipes for better settings on validation data, each recipe for itself with the same budget.",
        epilog=_OVERRIDES,
    )
    command.add_argument("recipes", nargs="+", help="recipes or folders of them, yours or shipped (configs/digits)")
    command.add_argument(
        "--space",
        action="append",
        required=True,
        metavar="KEY=VALUES",
        help="what to search: method.init_args.learning_rate=log(1e-4,1e-2), float(0,1), int(4,64) or "
        "choice(a,b,null); or a .yaml file from such keys to such values; may be repeated",
    )
    command.add_argument("--trials", type=int, default=50, metavar="N", help="of each recipe (default: 50)")
    command.add_argument(
        "--metric",
        default="acsa",
        help="acsa, macro_f1, gm_a, gm_b, gm_c, top1, mauprc_ova, ece or brier (default: acsa)",
    )
    command.add_argument("--seeds", type=int, nargs="+", help="of each trial's trainings (default: the recipe's first)")
    command.add_argument("--seed", type=int, default=0, help="of the search (default: 0)")
    command.add_argument("--no-pruning", action="store_true", help="end no training early")
    command.add_argument("--out", help="folder of the best recipes (default: runs/tune/<folder of the recipes>)")
    _add_backend(command)
    _add_data_options(command)
    _add_trust(command)
    command.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, ... (default: auto)")
    command.add_argument("--precision", default="auto", help="auto, float32 or bfloat16 (default: auto)")
    command.add_argument("--quiet", action="store_true", help="say nothing about progress")
    command.set_defaults(
        takes_overrides=True,
        at_once=1,
        checkpoint_every=None,
        stopped="trials that ended are kept, the same command goes on from there",
    )


def _tune(options: argparse.Namespace) -> int:
    _start_server(options)
    from latentover.experiments.recipe import find_recipes
    from latentover.experiments.space import read_space
    from latentover.experiments.tune import tune

    tuned = tune(
        find_recipes(options.recipes),
        read_space(options.space),
        _machine(options),
        trials=options.trials,
        metric=options.metric,
        seeds=options.seeds,
        seed=options.seed,
        pruning=not options.no_pruning,
        out=options.out,
        overrides=options.overrides,
        trust_modules=options.trust_modules,
        backend=_backend(options),
    )
    print(f"{tuned.table}\n\nreport: {tuned.page}")
    for search in tuned.searches:
        if search.best is not None:
            print(f"best recipe: {search.best}")
    without = [search.name for search in tuned.searches if search.best is None]
    if without:
        print(f"latentover: no trial ran to its end: {', '.join(without)} (see the report)", file=sys.stderr)
    return 1 if without else 0


# ---- what is done with runs ------------------------------------------------------------------------------------------


def _add_evaluate(commands: Any) -> None:
    command = _add(
        commands,
        "evaluate",
        _evaluate,
        "Score a finished run anew on every split of its data; or, with --features or --real and --fake, generated "
        "samples against real ones.",
    )
    command.add_argument("run", nargs="?", help="a run folder (runs/digits/rae/seed-0)")
    command.add_argument("--out", help="also write the scores to this JSON file")
    command.add_argument(
        "--features", help="score generated samples: pixels, inception, or classifier:<bundle> (classifier:digits)"
    )
    command.add_argument("--n", type=int, help="real and generated samples, of each class where there are classes")
    command.add_argument("--real", help="folder, .npy or .npz of real images, instead of a run")
    command.add_argument("--fake", help="folder, .npy or .npz of generated images")
    command.add_argument(
        "--image-size", type=int, nargs=2, metavar=("HEIGHT", "WIDTH"), help="resize the images of folders"
    )
    _add_trust(command)
    _add_data_options(command)


def _evaluate(options: argparse.Namespace) -> int:
    if (options.run is None) == (options.real is None) or (options.real is None) != (options.fake is None):
        raise ValueError("Expected a run, or --real and --fake together; give one of the two.")
    if options.features or options.real:
        return _evaluate_generation(options)
    from latentover.experiments.evaluate import evaluate_run, reads_of_test_data
    from latentover.files import check_free_file, write_json

    if options.out:
        check_free_file(options.out)
    scores = evaluate_run(
        options.run, root=options.data_root, download=options.download, trust_modules=options.trust_modules
    )
    names = ("acsa", "macro_f1", "gm_a", "gm_b", "gm_c", "mauprc_ova", "ece", "brier")
    print(f"{'split':<16}" + "".join(f"{name:>12}" for name in names))
    for split, values in scores.items():
        cells = (f"{values[name]:12.4f}" if values[name] is not None else f"{'':>12}" for name in names)
        print(f"{split:<16}" + "".join(cells))
    print(f"\nreads of the test data: {reads_of_test_data(options.run)}")
    if options.out:
        write_json(options.out, scores)
    return 0


def _evaluate_generation(options: argparse.Namespace) -> int:
    from latentover.experiments.generation import (
        evaluate_folders,
        evaluate_generation,
        generation_text,
        record_generation,
    )
    from latentover.files import check_free_file, write_json

    if options.out:
        check_free_file(options.out)
    features = options.features or "pixels"
    if options.real:
        result = evaluate_folders(
            options.real, options.fake, features, n=options.n, image_size=options.image_size, download=options.download
        )
    else:
        result = evaluate_generation(
            options.run,
            features,
            n=options.n,
            root=options.data_root,
            download=options.download,
            trust_modules=options.trust_modules,
        )
        if os.access(options.run, os.W_OK):
            record_generation(options.run, result)
    print(generation_text([result]))
    if options.out:
        write_json(options.out, result)
    return 0


def _add_generate(commands: Any) -> None:
    command = _add(commands, "generate", _generate, "Write new samples of one class of a finished run.")
    command.add_argument("run", help="a run folder whose method generates (runs/digits/rae/seed-0)")
    command.add_argument("--label", "--class", required=True, help="class to sample, by its name or label")
    command.add_argument("--n", type=int, default=64, help="how many (default: 64)")
    command.add_argument(
        "--out",
        required=True,
        help=".png for a grid of images, .npz for arrays, .csv for a table; a folder (it is there, or ends in a slash) "
        "for single images in it, <class>/0001.png",
    )
    command.add_argument("--seed", type=int, default=0, help="the same seed gives the same file (default: 0)")
    command.add_argument("--real", metavar="TABLE", help="the table that the run was trained on, for --report")
    command.add_argument("--target", metavar="COLUMN", help="name of the label column of --real")
    command.add_argument("--holdout", metavar="TABLE", help="rows like those of --real that the run has not seen")
    _add_trust(command)
    _add_table_options(command)
    _add_quality(command)


def _generate(options: argparse.Namespace) -> int:
    from latentover.experiments.generate import generate

    how = {"seed": options.seed, "trust_modules": options.trust_modules}
    if not (options.report or options.json):
        if options.real or options.holdout or options.target:
            raise ValueError("Expected --report or --json beside --real, --target and --holdout; say where to write.")
        print(generate(options.run, options.label, options.n, options.out, **how))
        return 0
    from latentover.experiments.quality import QualityFiles, generated_quality, read_real

    files = QualityFiles(options.report, options.json)
    files.check(options.out)
    real = read_real(options.real, options.target, options.holdout, _table_options(options), identifiers=options.id)
    print(generate(options.run, options.label, options.n, options.out, **how))
    quality = generated_quality(options.run, options.label, options.n, real, **how)
    files.write(quality, f"New rows of {options.label}", [str(options.run)])
    print(f"\n{quality}")
    return 0


def _add_predict(commands: Any) -> None:
    command = _add(
        commands,
        "predict",
        _predict,
        "Predict the classes of image files, or of the rows of a table, by a finished run.",
    )
    command.add_argument("run", help="a run folder, or any bundle that classifies (runs/digits/rae/seed-0)")
    command.add_argument(
        "inputs",
        nargs="+",
        metavar="FILE",
        help="images of any size, and folders with images at any depth; for a run on a table, one table",
    )
    command.add_argument(
        "--out",
        help=".csv (or .parquet for Parquet tables): file, label and a probability for each class; of a table, its "
        "rows with these behind them (default: the first rows are printed)",
    )
    command.add_argument(
        "--skip-unreadable", action="store_true", help="leave images out that cannot be read, and count them"
    )
    _add_file_options(command)
    _add_trust(command)


def _predict(options: argparse.Namespace) -> int:
    from latentover.experiments.predict import predict

    done = predict(
        options.run,
        options.inputs,
        options.out,
        skip_unreadable=options.skip_unreadable,
        encoding=options.encoding,
        delimiter=options.delimiter,
        trust_modules=options.trust_modules,
    )
    print(done)
    return 0


def _add_quality(command: argparse.ArgumentParser) -> None:
    command.add_argument("--report", metavar="PAGE", help="also say how good the new rows are, on a page (.html)")
    command.add_argument("--json", metavar="FILE", help="the same as JSON")


def _add_resample(commands: Any) -> None:
    command = _add(
        commands,
        "resample",
        _resample,
        "Write a balanced copy of a table of any size: its rows, then new ones of the rare classes.",
        epilog="Any setting of the sampler can be overridden, for example --sampler.init_args.max_steps 3000",
    )
    command.add_argument("table", help="a .csv or .parquet file, or a folder of .parquet files; it is read as a stream")
    command.add_argument("--target", required=True, help="name of the label column")
    command.add_argument("--out", required=True, help="a new .csv or .parquet file")
    command.add_argument(
        "--sampler",
        help="class path, or a YAML file with class_path and init_args (default: latentover.RAESampler, for tables)",
    )
    command.add_argument(
        "--sampling-strategy",
        help="as in imbalanced-learn: auto, minority, 0.5, or totals as {fraud: 5000} (default: the sampler's, auto)",
    )
    command.add_argument("--seed", type=int, default=0, help="the same seed gives the same rows (default: 0)")
    command.add_argument(
        "--max-train-rows",
        type=int,
        default=100_000,
        metavar="N",
        help="train on at most so many rows, of the rarest classes on all (default: 100000)",
    )
    command.add_argument("--mark", metavar="COLUMN", help="add a column that is true in new rows")
    _add_table_options(command)
    command.add_argument(
        "--new-identifiers",
        choices=("fresh", "missing"),
        help="new rows have new values of the same form as identifiers, or none (default: fresh)",
    )
    command.add_argument(
        "--constraints",
        action="append",
        metavar="TEXT",
        help="what is kept between columns beside what is found, such as 'fee = round(0.015 * amount, 2)', "
        "'opened <= closed' or 'country -> currency'; none: nothing that is found; may be repeated",
    )
    _add_quality(command)
    _add_trust(command)
    command.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, ... (default: auto)")
    command.add_argument("--quiet", action="store_true", help="say nothing about progress")
    command.set_defaults(takes_overrides=True)


def _resample(options: argparse.Namespace) -> int:
    from latentover.experiments.quality import QualityFiles
    from latentover.experiments.recipe import load_sampler
    from latentover.experiments.resample import DEFAULT_SAMPLER, read_constraints, read_strategy, resample_file

    sampler = load_sampler(options.sampler or DEFAULT_SAMPLER, options.overrides, trust_modules=options.trust_modules)
    machine = {"device": options.device, "verbose": 0 if options.quiet else 1}
    sampler.set_params(**{name: value for name, value in machine.items() if name in sampler.get_params()})
    account = resample_file(
        options.table,
        options.target,
        options.out,
        sampler=sampler,
        sampling_strategy=None if options.sampling_strategy is None else read_strategy(options.sampling_strategy),
        seed=options.seed,
        max_train_rows=options.max_train_rows,
        mark=options.mark,
        options=_table_options(options),
        identifiers=options.id,
        new_identifiers=options.new_identifiers,
        constraints=read_constraints(options.constraints),
        quality=QualityFiles(options.report, options.json),
    )
    print(account)
    return 0


def _add_report(commands: Any) -> None:
    command = _add(commands, "report", _report, "Compare the finished runs of a folder, or of each of several.")
    command.add_argument("runs", nargs="+", help="runs folders (runs/digits); each becomes a part of the page")
    command.add_argument(
        "--out", help="page to write: .html, or .md for tables alone (default, for one folder: <runs>/report.html)"
    )
    command.add_argument("--title", help="title of the page (default: the names of the folders)")


def _report(options: argparse.Namespace) -> int:
    from latentover.files import check_free_file
    from latentover.report import write_markdown, write_report

    if options.out is not None:
        check_free_file(options.out)
    markdown = options.out is not None and Path(options.out).suffix == ".md"
    print((write_markdown if markdown else write_report)(options.runs, options.out, title=options.title))
    return 0


def _add_results(commands: Any) -> None:
    command = _add(
        commands,
        "results",
        _results,
        "Print the results of finished runs from their stores; the store of a runs folder is its folder results.",
    )
    command.add_argument("places", nargs="+", metavar="PLACE", help="runs folders (runs/digits) or stores")
    command.add_argument(
        "--where",
        action="append",
        default=[],
        metavar="COLUMN=VALUE",
        help="keep what has this value (recipe=rae, split=test_balanced); may be repeated: on one column any has to "
        "hold, on several all",
    )
    command.add_argument("--metrics", nargs="+", default=[], metavar="NAME", help="scores to show (acsa macro_f1)")
    command.add_argument("--seeds", type=int, nargs="+", help="keep runs with these seeds")
    command.add_argument("--classes", action="store_true", help="scores of each class: recall, or those of --metrics")
    command.add_argument(
        "--runs", action="store_true", help="a row a run, stale ones marked, instead of a row a recipe"
    )
    command.add_argument(
        "--against", metavar="PLACE", help="compare with another store, recipe by recipe over the seeds that both have"
    )
    command.add_argument("--out", help="write to this file: .csv or .parquet for rows, .md or .tex for tables")


def _results(options: argparse.Namespace) -> int:
    from latentover.experiments.results import against, blocks, check_out, open_results, terminal_text, write_results

    if options.against and (options.classes or options.runs):
        raise ValueError("Expected --against without --classes and --runs; leave those out.")
    if options.out:
        check_out(options.out)
    kept = {name: getattr(options, name) for name in ("where", "seeds", "metrics", "classes", "runs")}
    results = open_results(options.places, **kept)
    found = against(results, open_results([options.against], **kept)) if options.against else blocks(results)
    print(write_results(options.out, results, found) if options.out else terminal_text(found))
    return 0


def _add_labelled_table(command: Any) -> None:
    command.add_argument("table", help="a .csv or .parquet file, or a folder of .parquet files")
    command.add_argument("--target", required=True, help="name of the label column")
    _add_table_options(command)


def _add_data(commands: Any) -> None:
    text = "What data sets there are."
    data = commands.add_parser("data", help=text, description=text, allow_abbrev=False)
    actions = data.add_subparsers(metavar="ACTION", required=True)
    command = _add(actions, "list", _data_list, "List the named data sets and whether they are here.")
    command.add_argument("--data-root", help="folder of the named data sets")
    command = _add(
        actions,
        "diagnose",
        _data_diagnose,
        "Say what usually helps, how imbalanced a table is, and how it would be treated.",
    )
    _add_labelled_table(command)
    command = _add(
        actions,
        "advise",
        _data_advise,
        "Compare, on the table itself, what may help with unequal classes, and say what to do first.",
    )
    _add_labelled_table(command)
    command.add_argument(
        "--goal",
        default="balanced_accuracy",
        help="balanced_accuracy, macro_f1, average_precision, roc_auc or brier (default: balanced_accuracy)",
    )
    command.add_argument("--classifier", default="boosting", help="boosting, logistic or forest (default: boosting)")
    command.add_argument(
        "--methods",
        type=lambda names: tuple(filter(None, names.split(","))),
        metavar="NAME,...",
        help="of none, threshold, prior, class_weights, random, smote, bootstrap, rae, balanced_forest (default: all)",
    )
    command.add_argument("--folds", type=int, default=5, help="of the cross-validation (default: 5)")
    command.add_argument("--repeats", type=int, default=1, help="of the cross-validation (default: 1)")
    command.add_argument(
        "--max-rows",
        type=int,
        default=20_000,
        metavar="N",
        help="use at most so many rows, of the rarest classes all (default: 20000)",
    )
    command.add_argument("--seed", type=int, default=0, help="the same seed gives the same answer (default: 0)")
    command.add_argument("--json", metavar="FILE", help="also write all scores to this JSON file")
    command.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, ... (default: auto)")
    command.add_argument("--quiet", action="store_true", help="say nothing about progress")


def _data_advise(options: argparse.Namespace) -> int:
    from latentover.data.tables import read_table
    from latentover.experiments.advise import advise
    from latentover.files import check_free_file, write_json

    if options.json:
        check_free_file(options.json)
    source = read_table(options.table, options.target, _table_options(options), identifiers=options.id)
    found = advise(
        source.X,
        source.y,
        identifiers=source.identifiers,
        goal=options.goal,
        classifier=options.classifier,
        methods=options.methods,
        folds=options.folds,
        repeats=options.repeats,
        max_rows=options.max_rows,
        random_state=options.seed,
        device=options.device,
        verbose=0 if options.quiet else 1,
    )
    print(found)
    if options.json:
        write_json(options.json, found.to_dict())
    return 0


def _data_diagnose(options: argparse.Namespace) -> int:
    from latentover.data.tables import read_table
    from latentover.estimators.describe import describe_plan

    source = read_table(options.table, options.target, _table_options(options), identifiers=options.id)
    print(describe_plan(source.X, source.y, identifiers=source.identifiers))
    return 0


def _data_list(options: argparse.Namespace) -> int:
    from latentover.data import list_named

    rows = list_named(options.data_root)
    print(f"{'name':<15}{'classes':>8}  {'shape':<14}{'train':>8}{'test':>8}  here  looked for in")
    for row in rows:
        shape = "x".join(map(str, row.shape))
        print(
            f"{row.name:<15}{row.classes:>8}  {shape:<14}{row.train_size:>8}{row.test_size:>8}  "
            f"{'yes ' if row.present else 'no  '}  {row.folder}"
        )
    return 0


def run() -> NoReturn:
    """Run one command and end this process with the exit status."""
    status = main()
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        from latentover.training import parallel

        parallel.end(status)
    sys.exit(status)


if __name__ == "__main__":
    run()
