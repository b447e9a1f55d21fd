"""``predict``: the classes of image files, or of the rows of a table."""

import argparse
from typing import Any

from latentover.cli.options import FILE, add_command, add_place, add_run, share
from latentover.cli.terminal import say


def add(commands: Any) -> None:
    """Add the command."""
    command = add_command(
        commands,
        "predict",
        _predict,
        "Predict the classes of image files, or of the rows of a table, by a finished run.",
        [
            "latentover predict runs/photos/rae/seed-0 new_photos -o predictions.csv",
            "latentover predict classifier-fashion-mnist shoe.jpg bag.png",
            "latentover predict runs/fraud/rae/seed-0 may.csv -o predicted.csv --delimiter ';'",
        ],
    )
    add_run(command, "a run folder, or any bundle that classifies (runs/digits/rae/seed-0)")
    add_place(
        command,
        "inputs",
        "files",
        nargs="+",
        metavar="FILE",
        help="images of any size, and folders with images at any depth; for a run on a table, one table",
    )
    share(
        command,
        "out",
        help=".csv (or .parquet for Parquet tables): file, label and a probability for each class; of a table, its "
        "rows with these behind them (default: the first rows are printed)",
    )
    command.add_argument(
        "--skip-unreadable", action="store_true", help="leave images out that cannot be read, and count them"
    )
    share(command, *FILE, "trust-modules", "json")


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
    say(options, str(done), done.to_dict())
    return 0
