"""What people see: colours where they help, results as words or as JSON, warnings and errors in one line each."""

import argparse
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

_STYLES = {"bold": "1", "error": "1;31", "warning": "33", "good": "32"}


@contextmanager
def coloring(wish: str) -> Iterator[None]:
    """Let colours be as ``--color`` says, also in processes that are started meanwhile; ``auto`` changes nothing."""
    wanted = {"always": {"FORCE_COLOR": "1", "NO_COLOR": None}, "never": {"NO_COLOR": "1", "FORCE_COLOR": None}}
    changes: dict[str, str | None] = wanted.get(wish, {})
    before = {name: os.environ.get(name) for name in changes}
    _set(changes)
    try:
        yield
    finally:
        _set(before)


def _set(values: dict[str, str | None]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def is_colored(stream: TextIO) -> bool:
    """Whether a stream shows colours: a terminal does, unless NO_COLOR is set; FORCE_COLOR has it so everywhere."""
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or (stream.isatty() and os.environ.get("TERM") != "dumb")


def paint(text: str, style: str, stream: TextIO | None = None) -> str:
    """Return text in a style, where the stream (stdout) shows it."""
    return f"\033[{_STYLES[style]}m{text}\033[0m" if is_colored(stream or sys.stdout) else text


def with_heading(text: str) -> str:
    """Return a table with its first line in bold."""
    head, newline, rest = text.partition("\n")
    return paint(head, "bold") + newline + rest


def say(options: argparse.Namespace, text: str, result: Any) -> None:
    """Print what a command found: words, with ``--json`` alone JSON in their place, with ``--json FILE`` both."""
    words(options, text)
    give(options, result)


def words(options: argparse.Namespace, text: str) -> None:
    """Print words, unless JSON takes their place."""
    if options.json != "-":
        print(text)


def give(options: argparse.Namespace, result: Any) -> None:
    """Print the result as JSON, or write it to the file of ``--json``, where that is asked for."""
    if options.json == "-":
        print(as_json(result))
    elif options.json is not None:
        from latentover.files import write_json

        write_json(options.json, result)


def as_json(value: Any) -> str:
    """Return a value as JSON for the terminal."""
    import json

    return json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False)


def check_json(options: argparse.Namespace) -> None:
    """Raise ValueError or OSError unless the file of ``--json`` can be written; before anything is done."""
    path = getattr(options, "json", None)
    if path in (None, "-"):
        return
    if os.path.splitext(path)[1].lower() != ".json":  # noqa: PTH122
        raise ValueError(f"Expected --json to end in .json, or to have no name, but got {path!r}; rename it.")
    from latentover.files import check_free_file

    check_free_file(path)


def say_wrong(text: str, style: str = "error") -> None:
    """Say on stderr what is wrong."""
    print(f"{paint('latentover:', style, sys.stderr)} {text}", file=sys.stderr)


@contextmanager
def saying_warnings(options: argparse.Namespace) -> Iterator[None]:
    """Say warnings for people in one line, without the line of code that they come from; others keep theirs.

    What several runs have to say is said of the first of them, unless everything was asked for.
    """
    said = set[str]()

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        from latentover.cli.words import as_options
        from latentover.experiments.wording import without_run
        from latentover.training import parallel

        if parallel.rank() > 0:
            return
        if issubclass(category, UserWarning) and options.verbosity < 2:
            if (of_any_run := without_run(str(message))) != str(message) and of_any_run in said:
                return
            said.add(of_any_run)
            say_wrong(as_options(str(message), options), "warning")
        else:
            print(warnings.formatwarning(message, category, filename, lineno), end="", file=sys.stderr)

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield
