"""The command line: parse, call, print.

A file a command, or a group of commands: each says its options in ``add`` and imports what it needs when it is called,
so that ``--help`` and completion answer at once. What several commands share is said once, in `options`.
"""

from latentover.cli.app import main, make_parser, run

__all__ = ["main", "make_parser", "run"]
