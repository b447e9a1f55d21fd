"""From the arguments of the process to one command, and from what it raises to a message and an exit status."""

import argparse
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from latentover import __version__
from latentover.cli import (
    catalogue,
    completion,
    data,
    evaluate,
    generate,
    predict,
    report,
    resample,
    train,
    tune,
)
from latentover.cli.options import Parser, add_common, nearest_option
from latentover.cli.terminal import check_json, coloring, say_wrong, saying_warnings

_ERRORS = (ValueError, TypeError, OSError, ImportError, RuntimeError, MemoryError, ArithmeticError)
_SECTIONS = ("data", "sampler", "method", "evaluation", "title", "seeds", "published")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit status: 0 done, 1 some runs failed, 2 bad input."""
    parser = make_parser()
    options, overrides = parser.parse_known_args(arguments)
    if overrides and not getattr(options, "takes_overrides", False):
        options.parser.error(f"unrecognized arguments: {' '.join(overrides)}")
    options.overrides = overrides
    before = _trace(options)
    with coloring(options.color):
        try:
            with saying_warnings(options):
                _check_overrides(options)
                check_json(options)
                return options.command(options)
        except _ERRORS as error:
            if options.traceback:
                raise
            _say_error(error, options)
            return 2
        except KeyboardInterrupt:
            if arguments is None:  # this process ends now, and a second Ctrl-C is not to spoil that
                signal.signal(signal.SIGINT, signal.SIG_IGN)
            say_wrong(f"stopped{_what_is_left(options, before)}")
            return 130


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = Parser(
        prog="latentover",
        allow_abbrev=False,
        description="Fair classifiers and new samples of the rare classes, from imbalanced data.",
    )
    parser.add_argument("--version", action="version", version=f"latentover {__version__}")
    add_common(parser)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for part in (train, evaluate, generate, predict, resample, tune, report, data, catalogue, completion):
        part.add(commands)
    return parser


def _check_overrides(options: argparse.Namespace) -> None:
    """Raise ValueError for what is neither an option nor a setting of a recipe, but much like an option."""
    for word in options.overrides:
        name = word.partition("=")[0]
        nearest = nearest_option(options.parser, name)
        if word.startswith("--") and name[2:].split(".")[0] not in _SECTIONS and nearest:
            raise ValueError(
                f"Expected an option of the command or a setting of the recipe, but got {name}; did you mean {nearest}?"
            )


def _say_error(error: BaseException, options: argparse.Namespace) -> None:
    from latentover.cli.words import as_options

    if options.verbosity > 1:
        at = traceback.extract_tb(error.__traceback__)[-1]
        print(f"{type(error).__name__} at {at.filename}:{at.lineno}", file=sys.stderr)
    say_wrong(as_options(" ".join(str(error).split()), options) or type(error).__name__)


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


def run() -> NoReturn:
    """Run one command and end this process with the exit status."""
    status = main()
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        from latentover.training import parallel

        parallel.end(status)
    sys.exit(status)
