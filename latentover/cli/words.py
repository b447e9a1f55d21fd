"""Messages in the language of the command line: what is typed, in place of parameters of Python."""

import argparse
import inspect


def as_options(message: str, options: argparse.Namespace) -> str:
    """Return a message with what a command calls the parameters in it.

    ``missing='impute'`` becomes ``--sampler.init_args.missing impute``, *Expected jobs to be* becomes *Expected --jobs
    to be*, and what is said for Python alone is left out.

    Parameters
    ----------
    message : str
    options : Namespace
        Of the command, with its ``parser``.
    """
    if not any(sign in message for sign in ("=", "(in Python", "Expected ")):
        return message
    from latentover.experiments.wording import as_typed

    flags, trains = _flags(options.parser), getattr(options, "takes_overrides", False)
    parts = ("sampler",) if trains and "sampler" in vars(options) else ("method", "sampler")
    # What says how to train: of the training that is asked for, or of the one before.
    settings = _settings(parts) if trains or "run" in vars(options) else {}
    if settings:
        flags.pop("missing", None)  # a text of the file, and not what becomes of missing values

    def named(name: str) -> str | None:
        return flags.get(name) or settings.get(name)

    return as_typed(message, named)


def _flags(parser: argparse.ArgumentParser) -> dict[str, str]:
    """Return from the names of a command's options to how they are typed."""
    actions = [action for action in parser._actions if action.option_strings]
    flags = {action.dest: next(flag for flag in action.option_strings if flag.startswith("--")) for action in actions}
    return {**flags, "identifiers": flags["id"]} if "id" in flags else flags


def _settings(parts: tuple[str, ...]) -> dict[str, str]:
    """Return from the parameters of all methods and samplers that recipes may set to how these are typed."""
    from imblearn.base import SamplerMixin

    from latentover.estimators import BaseClassifier
    from latentover.experiments.recipe import MACHINE
    from latentover.experiments.strict import known_classes

    kinds = {"method": BaseClassifier, "sampler": SamplerMixin}
    found: dict[str, str] = {}
    for part in reversed(parts):
        for cls in known_classes((kinds[part],), ("latentover",)).values():
            names = inspect.signature(cls).parameters.keys() - MACHINE.keys()
            found |= {name: f"--{part}.init_args.{name}" for name in names}
    return found
