"""``resample``: a balanced copy of a table."""

import argparse
from typing import Any

from latentover.cli.options import TABLE, add_command, add_place, share, table_options
from latentover.cli.terminal import as_json


def add(commands: Any) -> None:
    """Add the command."""
    command = add_command(
        commands,
        "resample",
        _resample,
        "Write a balanced copy of a table of any size: its rows, then new ones of the rare classes.",
        [
            "latentover resample fraud.csv --target fraud -o balanced.csv --report quality.html",
            "latentover resample loans.parquet --target default -o even.parquet --sampler latentover.ClassicalSampler",
            "latentover resample fraud.csv --target fraud -o balanced.csv --sampler.init_args.missing impute",
        ],
        epilog="Any setting of the sampler can be overridden, for example --sampler.init_args.max_steps 3000\n",
    )
    add_place(
        command,
        "table",
        "files",
        metavar="TABLE",
        help="a .csv or .parquet file, or a folder of .parquet files; it is read as a stream",
    )
    share(command, "target", required=True)
    share(command, "out", required=True, help="a new .csv or .parquet file")
    add_place(
        command,
        "--sampler",
        "samplers",
        metavar="CLASS",
        help="class path, or a YAML file with class_path and init_args (default: latentover.RAESampler, for tables)",
    )
    command.add_argument(
        "--sampling-strategy",
        metavar="TEXT",
        help="as in imbalanced-learn: auto, minority, 0.5, or totals as {fraud: 5000} (default: the sampler's, auto)",
    )
    share(command, "seed", default=0, help="the same seed gives the same rows (default: 0)")
    command.add_argument(
        "--max-train-rows",
        type=int,
        default=100_000,
        metavar="N",
        help="train on at most so many rows, of the rarest classes on all (default: 100000)",
    )
    command.add_argument("--mark", metavar="COLUMN", help="add a column that is true in new rows")
    share(command, *TABLE)
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
    share(command, "report", "json", "trust-modules", "device")
    command.set_defaults(takes_overrides=True)


def _resample(options: argparse.Namespace) -> int:
    from latentover.experiments.quality import QualityFiles
    from latentover.experiments.recipe import load_sampler
    from latentover.experiments.resample import DEFAULT_SAMPLER, read_constraints, read_strategy, resample_file

    sampler = load_sampler(options.sampler or DEFAULT_SAMPLER, options.overrides, trust_modules=options.trust_modules)
    machine = {"device": options.device, "verbose": options.verbosity}
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
        options=table_options(options),
        identifiers=options.id,
        new_identifiers=options.new_identifiers,
        constraints=read_constraints(options.constraints),
        quality=QualityFiles(options.report, options.json),
    )
    quality = account.quality
    print(as_json(quality.to_dict()) if options.json == "-" and quality is not None else account)
    return 0
