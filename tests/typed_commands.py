"""Commands as pages and helps show them, for tests."""

import re
import shlex

from latentover import cli

_SETTING = re.compile(r"--(data|method|sampler|evaluation|seeds|title|published)\b")
_SHELL = re.compile(r"\d?>>?|\||&&|<")


def split(command):
    """Return the words of a command as a shell gives them to it, without redirections; a variable is 0."""
    words = shlex.split(re.sub(r"\$\{?\w+\}?", "0", command), comments=True)
    return words[: next((number for number, word in enumerate(words) if _SHELL.fullmatch(word)), len(words))]


def check_parses(command):
    """Parse a command as `main` does; what is no option has to be a setting of a recipe."""
    words = split(command)
    options, overrides = cli.make_parser().parse_known_args(words[words.index("latentover") + 1 :])
    assert not overrides or options.takes_overrides, command
    for word in overrides:
        assert not word.startswith("-") or _SETTING.match(word), command
