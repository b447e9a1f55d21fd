"""``methods`` and ``models``: what there is by name."""

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from latentover.cli.options import add_command, share
from latentover.cli.terminal import say, with_heading


def add(commands: Any) -> None:
    """Add both commands."""
    command = add_command(
        commands,
        "methods",
        _methods,
        "List the classifiers, samplers, mixing rules and losses by name, and which data they take.",
        ["latentover methods", "latentover methods --kind sampler", "latentover methods --json"],
    )
    command.add_argument(
        "--kind", choices=("classifier", "sampler", "mixing-rule", "loss"), help="these alone (default: all)"
    )
    share(command, "json")
    command = add_command(
        commands,
        "models",
        _models,
        "List the trained models that ship with latentover; their names take the place of a run.",
        ["latentover models", "latentover models --json"],
    )
    share(command, "json")


def _methods(options: argparse.Namespace) -> int:
    from latentover.experiments.catalogue import list_methods

    wanted = None if options.kind is None else options.kind.replace("-", " ")
    entries = [entry for entry in list_methods() if wanted in (None, entry.kind)]
    parts = []
    for kind in dict.fromkeys(entry.kind for entry in entries):
        of_kind = [entry for entry in entries if entry.kind == kind]
        rows = [(entry.name, entry.data, entry.text) for entry in of_kind]
        parts.append(_table([(_plural(kind), "data", ""), *rows]))
    say(options, "\n\n".join(parts), [asdict(entry) for entry in entries])
    return 0


def _plural(kind: str) -> str:
    return f"{kind}es" if kind.endswith("s") else f"{kind}s"


def _models(options: argparse.Namespace) -> int:
    from latentover.experiments.catalogue import list_models

    models = list_models()
    rows = [("model", "method", "data", "classes", "sample", "ACSA", "MB", "does")]
    for model in models:
        rows.append(
            (
                model.name,
                model.method.removeprefix("latentover."),
                model.data,
                str(model.classes),
                "x".join(map(str, model.shape)),
                f"{100 * model.scores['acsa']:.2f}",
                f"{model.bytes / 1e6:.1f}",
                "generate, predict" if model.generates else "predict",
            )
        )
    say(options, _table(rows), [asdict(model) for model in models])
    return 0


def _table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows below each other, in columns of one width."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return with_heading("\n".join(lines))
