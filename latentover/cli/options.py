"""Options that several commands share: spelled, named and described in one place."""

import argparse
import difflib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

EXAMPLES = "examples:"


class Parser(argparse.ArgumentParser):
    """argparse's, whose errors name the nearest known word."""

    def error(self, message: str) -> NoReturn:
        """End with the usage, what is wrong and what may have been meant."""
        found = re.search(r"invalid choice: '([^']*)' \(choose from (.*)\)", message)
        if found:
            message += _hint(found[1], re.findall(r"[\w.-]+", found[2]))
        elif found := re.search(r"unrecognized arguments: (--[\w-]+)", message):
            message += _hint(found[1], self._option_string_actions)
        super().error(message)


def _hint(word: str, known: Any) -> str:
    nearest = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {nearest[0]}?" if nearest else ""


def nearest_option(parser: argparse.ArgumentParser, word: str) -> str | None:
    """Return the option of a command that is most like a word, or None."""
    nearest = difflib.get_close_matches(word, list(parser._option_string_actions), n=1, cutoff=0.75)
    return nearest[0] if nearest else None


def add_command(
    commands: Any,
    name: str,
    function: Callable[[argparse.Namespace], int],
    text: str,
    examples: Sequence[str],
    epilog: str = "",
) -> Parser:
    """Return the parser of a new command.

    Parameters
    ----------
    commands : action of ``add_subparsers``
    name : str
    function : callable
        From the options to the exit status.
    text : str
        What it does, a sentence.
    examples : sequence of str
        Whole commands, which stand below the help and which a test parses.
    epilog : str
        Words before the examples.
    """
    listed = "\n".join([EXAMPLES, *(f"  {example}" for example in examples)])
    command: Parser = commands.add_parser(
        name,
        help=text,
        description=text,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"{epilog}\n{listed}" if epilog else listed,
    )
    command.set_defaults(command=function, stopped=None, parser=command)
    add_common(command, default=argparse.SUPPRESS)
    return command


def add_common(parser: argparse.ArgumentParser, **kwargs: Any) -> None:
    """Add what every command has; it may stand before the command too."""
    group = parser.add_argument_group("what is said")
    default = kwargs.get("default", 1)
    for flags, level, text in (
        (("-q", "--quiet"), 0, "only results, warnings and errors"),
        (("-v", "--verbose"), 2, "more: losses of trainings, and where warnings and errors come from"),
    ):
        group.add_argument(*flags, dest="verbosity", action="store_const", const=level, default=default, help=text)
    group.add_argument(
        "--color",
        choices=("auto", "always", "never"),
        default=kwargs.get("default", "auto"),
        help="auto (default): on a terminal, unless NO_COLOR is set",
    )
    group.add_argument("--traceback", action="store_true", help="show where an error comes from", **kwargs)


# ---- Types -----------------------------------------------------------------------------------------------------------


def comma_separated(text: str) -> tuple[str, ...]:
    """Return the names in ``a,b``."""
    return tuple(filter(None, text.split(",")))


class _Names(argparse.Action):
    """Names after each other, with spaces or commas; the option may be repeated."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        known = getattr(namespace, self.dest) or []
        setattr(namespace, self.dest, [*known, *(name for value in values for name in comma_separated(value))])


# ---- The options -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Shared:
    """An option that several commands have.

    Attributes
    ----------
    flags : tuple of str
    settings : dict
        Of ``add_argument``; without ``help`` where each command says what it is there.
    complete : str or None
        What its value may be, for completion; see `latentover.cli.completion`.
    """

    flags: tuple[str, ...]
    settings: dict[str, Any] = field(default_factory=dict)
    complete: str | None = None


SHARED: dict[str, Shared] = {
    "out": Shared(("-o", "--out"), {"metavar": "PATH"}, "files"),
    "json": Shared(
        ("--json",),
        {
            "metavar": "FILE",
            "nargs": "?",
            "const": "-",
            "help": "the result as JSON: into this .json file, or without a name on the terminal in place of words",
        },
        "files",
    ),
    "seed": Shared(("--seed",), {"type": int, "metavar": "N"}),
    "seeds": Shared(("--seeds",), {"type": int, "nargs": "+", "metavar": "N"}),
    "n": Shared(("--n",), {"type": int, "metavar": "N"}),
    "methods": Shared(("--methods",), {"nargs": "+", "action": _Names, "metavar": "NAME"}),
    "report": Shared(
        ("--report",), {"metavar": "PAGE", "help": "also say how good the new rows are, on a page (.html)"}, "files"
    ),
    "target": Shared(("--target",), {"metavar": "COLUMN", "help": "name of the label column"}),
    "data-root": Shared(
        ("--data-root",),
        {
            "metavar": "FOLDER",
            "help": "folder of the named data sets (default: $LATENTOVER_DATA, else the cache folder)",
        },
        "files",
    ),
    "download": Shared(("--download",), {"action": "store_true", "help": "download a named data set that is missing"}),
    "trust-modules": Shared(
        ("--trust-modules",),
        {
            "type": comma_separated,
            "default": (),
            "metavar": "NAME,...",
            "help": "modules of your own whose classes (methods, samplers, mixing rules, networks) may be named; "
            "importing them runs their code",
        },
    ),
    "device": Shared(
        ("--device",),
        {"default": "auto", "metavar": "NAME", "help": "auto, cpu, cuda, cuda:1, ... (default: auto)"},
        "devices",
    ),
    "precision": Shared(
        ("--precision",),
        {"default": "auto", "metavar": "NAME", "help": "auto, float32 or bfloat16 (default: auto)"},
        "precisions",
    ),
    "encoding": Shared(
        ("--encoding",),
        {"metavar": "NAME", "help": "of a .csv file: utf-8 (default), latin-1, cp1252, utf-16, ..."},
    ),
    "delimiter": Shared(
        ("--delimiter",),
        {"metavar": "TEXT", "help": "of a .csv file, such as ';' or tab (default: what its first rows show)"},
    ),
    "drop": Shared(
        ("--drop",),
        {
            "nargs": "+",
            "action": "extend",
            "default": [],
            "metavar": "COLUMN",
            "help": "columns that are not learned from, and missing in new rows",
        },
    ),
    "id": Shared(
        ("--id",),
        {
            "nargs": "+",
            "action": "extend",
            "default": [],
            "metavar": "COLUMN",
            "help": "identifiers beside those that are found: columns whose values name single rows or persons",
        },
    ),
    "missing": Shared(
        ("--missing",),
        {
            "nargs": "+",
            "action": "extend",
            "default": [],
            "metavar": "TEXT",
            "help": "text of a .csv file that means missing, beside blank cells, and NA and its kin among numbers and "
            "dates",
        },
    ),
    "parse-dates": Shared(
        ("--parse-dates",),
        {
            "nargs": "+",
            "action": "extend",
            "metavar": "COLUMN",
            "help": "columns of a .csv file that are dates, as NAME or NAME=%%d/%%m/%%Y; auto (default): those in ISO "
            "8601 or another form that says which number is the day; none",
        },
    ),
}

DATA = ("data-root", "download")
FILE = ("encoding", "delimiter")
TABLE = (*FILE, "drop", "id", "missing", "parse-dates")


def share(command: Any, *names: str, **changes: Any) -> None:
    """Add shared options to a command, with what this command says of them."""
    for name in names:
        shared = SHARED[name]
        action = command.add_argument(*shared.flags, **{**shared.settings, **changes})
        action.complete = shared.complete


def add_place(command: Any, name: str, complete: str, **settings: Any) -> None:
    """Add a positional argument, or an option of this command alone, whose values are completed."""
    command.add_argument(name, **settings).complete = complete


def add_run(command: Any, text: str, **settings: Any) -> None:
    """Add the run that a command is about."""
    text += ", or the name of a shipped model (rae-digits)"
    add_place(command, "run", "runs", metavar="RUN", help=text, **settings)


def table_options(options: argparse.Namespace) -> Any:
    """Return how a table is read."""
    from latentover.data.tables import TableOptions

    dates = options.parse_dates or ["auto"]
    return TableOptions(
        encoding=options.encoding,
        delimiter=options.delimiter,
        missing=options.missing,
        parse_dates=dates[0] if dates in (["auto"], ["none"]) else dates,
        drop=options.drop,
    )


def machine(options: argparse.Namespace) -> Any:
    """Return what an experiment runs on."""
    from latentover.experiments.run import Machine

    return Machine(
        device=options.device,
        precision=options.precision,
        data_root=options.data_root,
        download=options.download,
        verbose=options.verbosity,
        checkpoint_every=getattr(options, "checkpoint_every", None) or None,
    )
