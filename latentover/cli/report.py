"""``report`` and ``results``: what finished runs say, as a page or as tables."""

import argparse
from pathlib import Path
from typing import Any

from latentover.cli.options import add_command, add_place, share
from latentover.cli.terminal import say


def add(commands: Any) -> None:
    """Add both commands."""
    _add_report(commands)
    _add_results(commands)


def _add_report(commands: Any) -> None:
    command = add_command(
        commands,
        "report",
        _report,
        "Compare the finished runs of a folder, or of each of several, on one page that opens offline.",
        [
            "latentover report runs/digits",
            'latentover report runs/photos -o public/index.html --title "Our photos"',
            "latentover report runs/digits runs/mnist -o comparison.md",
        ],
    )
    add_place(
        command,
        "runs",
        "runs",
        nargs="+",
        metavar="RUNS",
        help="runs folders (runs/digits); each becomes a part of the page",
    )
    share(
        command,
        "out",
        help="page to write: .html, or .md for tables alone (default, for one folder: <runs>/report.html)",
    )
    command.add_argument("--title", metavar="TEXT", help="title of the page (default: the names of the folders)")
    share(command, "json")


def _report(options: argparse.Namespace) -> int:
    from latentover.files import check_free_file
    from latentover.report import write_markdown, write_report

    if options.out is not None:
        check_free_file(options.out)
    markdown = options.out is not None and Path(options.out).suffix == ".md"
    page = (write_markdown if markdown else write_report)(options.runs, options.out, title=options.title)
    say(options, str(page), {"report": str(page)})
    return 0


def _add_results(commands: Any) -> None:
    command = add_command(
        commands,
        "results",
        _results,
        "Print the results of finished runs from their stores; the store of a runs folder is its folder results.",
        [
            "latentover results runs/digits",
            "latentover results runs/digits --where recipe=rae --metrics acsa macro_f1 --classes",
            "latentover results runs/digits --against runs/before -o difference.md",
        ],
    )
    add_place(command, "places", "runs", nargs="+", metavar="PLACE", help="runs folders (runs/digits) or stores")
    command.add_argument(
        "--where",
        action="append",
        default=[],
        metavar="COLUMN=VALUE",
        help="keep what has this value (recipe=rae, split=test_balanced); may be repeated: on one column any has to "
        "hold, on several all",
    )
    command.add_argument("--metrics", nargs="+", default=[], metavar="NAME", help="scores to show (acsa macro_f1)")
    share(command, "seeds", help="keep runs with these seeds")
    command.add_argument("--classes", action="store_true", help="scores of each class: recall, or those of --metrics")
    command.add_argument(
        "--runs", action="store_true", help="a row a run, stale ones marked, instead of a row a recipe"
    )
    command.add_argument(
        "--against", metavar="PLACE", help="compare with another store, recipe by recipe over the seeds that both have"
    )
    share(command, "out", help="write to this file: .csv or .parquet for rows, .md or .tex for tables")
    share(command, "json")


def _results(options: argparse.Namespace) -> int:
    from latentover.experiments.results import (
        against,
        blocks,
        check_out,
        open_results,
        rows_of,
        terminal_text,
        write_results,
    )

    if options.against and (options.classes or options.runs):
        raise ValueError("Expected --against without --classes and --runs; leave those out.")
    if options.out:
        check_out(options.out)
    kept = {name: getattr(options, name) for name in ("where", "seeds", "metrics", "classes", "runs")}
    results = open_results(options.places, **kept)
    found = against(results, open_results([options.against], **kept)) if options.against else blocks(results)
    text = str(write_results(options.out, results, found)) if options.out else terminal_text(found)
    say(options, text, rows_of(results) if options.json else None)
    return 0
