"""``data``: which sets there are, how imbalanced a table is, and what may help."""

import argparse
from pathlib import Path
from typing import Any

from latentover.cli.options import TABLE, add_command, add_place, share, table_options
from latentover.cli.terminal import paint, say, with_heading

TABLE_FILE = "a .csv or .parquet file, or a folder of .parquet files"


def add(commands: Any) -> None:
    """Add the group with its three actions."""
    text = "What data sets there are, and what a table is like."
    data = commands.add_parser("data", help=text, description=text, allow_abbrev=False)
    data.set_defaults(parser=data)
    actions = data.add_subparsers(title="actions", metavar="ACTION", required=True)
    command = add_command(
        actions,
        "list",
        list_data,
        "List the named data sets and whether they are here.",
        ["latentover data list", "latentover data list --data-root /shared/data --json"],
    )
    share(command, "data-root", "json")
    command = add_command(
        actions,
        "diagnose",
        _diagnose,
        "Say what usually helps, how imbalanced a table or a folder of images is, and how it would be treated.",
        [
            "latentover data diagnose photos/",
            "latentover data diagnose fraud.csv --target fraud",
            "latentover data diagnose loans.csv --target default --delimiter ';' --encoding cp1252 --id customer",
        ],
    )
    text = f"{TABLE_FILE}; or a folder with a folder of images for each class, which has no --target"
    add_place(command, "table", "files", metavar="TABLE", help=text)
    share(command, "target", *TABLE, "json")
    _add_advise(actions)


def _add_advise(actions: Any) -> None:
    command = add_command(
        actions,
        "advise",
        _advise,
        "Compare, on the table itself, what may help with unequal classes, and say what to do first.",
        [
            "latentover data advise fraud.csv --target fraud",
            "latentover data advise fraud.csv --target fraud --methods none threshold smote --goal average_precision "
            "--json advice.json",
        ],
    )
    add_place(command, "table", "files", metavar="TABLE", help=TABLE_FILE)
    share(command, "target", required=True)
    share(command, *TABLE)
    command.add_argument(
        "--goal",
        metavar="NAME",
        default="balanced_accuracy",
        help="balanced_accuracy, macro_f1, average_precision, roc_auc or brier (default: balanced_accuracy)",
    )
    command.add_argument(
        "--classifier", metavar="NAME", default="boosting", help="boosting, logistic or forest (default: boosting)"
    )
    share(
        command,
        "methods",
        help="of none, threshold, prior, class_weights, random, smote, bootstrap, rae, balanced_forest (default: all)",
    )
    command.add_argument("--folds", type=int, metavar="N", default=5, help="of the cross-validation (default: 5)")
    command.add_argument("--repeats", type=int, metavar="N", default=1, help="of the cross-validation (default: 1)")
    command.add_argument(
        "--max-rows",
        type=int,
        default=20_000,
        metavar="N",
        help="use at most so many rows, of the rarest classes all (default: 20000)",
    )
    share(command, "seed", default=0, help="the same seed gives the same answer (default: 0)")
    share(command, "json", "device")


def _advise(options: argparse.Namespace) -> int:
    from latentover.data.tables import read_table
    from latentover.experiments.advise import advise

    source = read_table(options.table, options.target, table_options(options), identifiers=options.id)
    found = advise(
        source.X,
        source.y,
        identifiers=source.identifiers,
        goal=options.goal,
        classifier=options.classifier,
        methods=None if options.methods is None else tuple(options.methods),
        folds=options.folds,
        repeats=options.repeats,
        max_rows=options.max_rows,
        random_state=options.seed,
        device=options.device,
        verbose=min(options.verbosity, 1),
    )
    say(options, str(found), found.to_dict())
    return 0


def _diagnose(options: argparse.Namespace) -> int:
    from latentover.data.tables import is_table, read_table

    found: Any
    if not Path(options.table).exists():
        raise FileNotFoundError(
            f"Expected a table or a folder of images, but {options.table} does not exist; check how it is spelled."
        )
    if Path(options.table).is_dir() and not is_table(options.table):
        from latentover.data.folders import describe_folder

        given = [name for name in ("target", *TABLE) if getattr(options, name.replace("-", "_"))]
        if given:
            raise ValueError(
                f"Expected {options.table} to be a table with --{given[0]}, but got a folder without a .parquet file; "
                f"leave --{given[0]} out for a folder of images."
            )
        found = describe_folder(options.table)
        say(options, str(found), found.to_dict())
        return 0
    if options.target is None:
        options.parser.error("the following arguments are required: --target, the column of the labels of a table")

    from latentover.estimators.describe import describe_plan

    source = read_table(options.table, options.target, table_options(options), identifiers=options.id)
    found = describe_plan(source.X, source.y, identifiers=source.identifiers)
    say(options, str(found), found.to_dict())
    return 0


def list_data(options: argparse.Namespace) -> int:
    """Print the named data sets."""
    from latentover.data import list_named

    rows = list_named(options.data_root)
    lines = [f"{'name':<15}{'classes':>8}  {'shape':<14}{'train':>8}{'test':>8}  here  looked for in"]
    for row in rows:
        shape = "x".join(map(str, row.shape))
        here = paint("yes ", "good") if row.present else "no  "
        lines.append(
            f"{row.name:<15}{row.classes:>8}  {shape:<14}{row.train_size:>8}{row.test_size:>8}  {here}  {row.folder}"
        )
    say(options, with_heading("\n".join(lines)), [row._asdict() for row in rows])
    return 0
