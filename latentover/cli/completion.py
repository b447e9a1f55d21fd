"""``completion``: what the shell offers at a TAB.

The script of a shell is a few lines that ask this command what may come next, so that the answer is always that of the
installed version and of the folder one is in: commands and options from the parsers themselves, recipes, models, runs
and methods from where they are. (shtab writes what is known when a script is made, and knows no files of ours;
argcomplete has to be started by every Python that could be completed.)
"""

import argparse
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from latentover.cli.options import add_command

_BASH = """\
_latentover() {
    local IFS=$'\\n' COMP_WORDBREAKS=${COMP_WORDBREAKS//[:=]/}
    COMPREPLY=($(latentover completion --words "$COMP_CWORD" "${COMP_WORDS[@]}" 2>/dev/null))
    [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == */ ]] && compopt -o nospace
}
complete -o default -F _latentover latentover
"""
_ZSH = """\
#compdef latentover
_latentover() {
    local -a found
    found=("${(@f)$(latentover completion --words $((CURRENT - 1)) "${words[@]}" 2>/dev/null)}")
    if [[ -n $found[1] ]]; then
        compadd -S '' -- ${(M)found:#*/}
        compadd -- ${found:#*/}
    else
        _files
    fi
}
compdef _latentover latentover
"""
_FISH = """\
function __latentover_words
    set -l before (commandline -opc)
    latentover completion --words (count $before) $before (commandline -ct) 2>/dev/null
end
complete -c latentover -f -a '(__latentover_words)'
complete -c latentover -n 'test -z "$(__latentover_words)"' -F
"""
SCRIPTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}


def add(commands: Any) -> None:
    """Add the command."""
    command = add_command(
        commands,
        "completion",
        _completion,
        "Print the script that lets a shell complete commands, options, recipes, models and methods.",
        [
            "latentover completion bash >> ~/.bashrc",
            "latentover completion zsh >> ~/.zshrc",
            "latentover completion fish > ~/.config/fish/completions/latentover.fish",
        ],
    )
    command.add_argument("shell", nargs="?", choices=SCRIPTS, metavar="SHELL", help="bash, zsh or fish")
    # What the scripts ask: the number of the word to complete, and all words of the line.
    command.add_argument("--words", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)


def _completion(options: argparse.Namespace) -> int:
    if options.words:
        from latentover.cli.app import make_parser

        number, *line = options.words
        for word in complete(make_parser(), line[1:], int(number) - 1):
            print(word)
        return 0
    if options.shell is None:
        raise ValueError("Expected a shell, but got none; choose bash, zsh or fish.")
    print(SCRIPTS[options.shell], end="")
    return 0


def complete(parser: argparse.ArgumentParser, words: Sequence[str], number: int) -> list[str]:
    """Return what a word of a line may become; nothing where that is the name of any file.

    Parameters
    ----------
    parser : ArgumentParser
        Of all commands.
    words : sequence of str
        Those after ``latentover``.
    number : int
        Of the word to complete, which may be a new one behind the last.
    """
    word = words[number] if number < len(words) else ""
    before = list(words[:number])
    parser, before = _command(parser, before)
    if word.startswith("-"):
        flags = {flag for action in parser._actions if action.help != argparse.SUPPRESS for flag in _flags(action)}
        return sorted(flag for flag in flags if flag.startswith(word))
    action = _expected(parser, before)
    return [] if action is None else sorted({one for one in _values(action, word) if one.startswith(word)})


def _flags(action: argparse.Action) -> list[str]:
    """Return how an option is offered: spelled out."""
    return [flag for flag in action.option_strings if flag.startswith("--") and "_" not in flag]


def _command(parser: argparse.ArgumentParser, words: list[str]) -> tuple[argparse.ArgumentParser, list[str]]:
    """Return the parser of the command that words name, and the words behind it."""
    for number, word in enumerate(words):
        commands = _subparsers(parser)
        if commands is not None and word in commands.choices:
            return _command(commands.choices[word], words[number + 1 :])
    return parser, words


def _subparsers(parser: argparse.ArgumentParser) -> Any:
    return next((action for action in parser._actions if isinstance(action, argparse._SubParsersAction)), None)


def _expected(parser: argparse.ArgumentParser, before: Sequence[str]) -> argparse.Action | None:
    """Return the option whose value comes next, else the positional argument that does."""
    places = [action for action in parser._actions if not action.option_strings]
    open_: argparse.Action | None = None
    filled = 0
    for word in before:
        option = parser._option_string_actions.get(word.partition("=")[0])
        if word.startswith("-"):
            takes = option is not None and option.nargs != 0 and "=" not in word
            open_ = option if takes else _setting(word)
        elif open_ is not None:
            open_ = open_ if open_.nargs in ("+", "*") else None
        else:
            filled += 1
    if open_ is not None:
        return open_
    many = [action for action in places if action.nargs in ("+", "*")]
    return places[filled] if filled < len(places) else (many[-1] if many else None)


def _setting(word: str) -> argparse.Action | None:
    """Return what a setting of a recipe takes, as an option."""
    if "." not in word or "=" in word:
        return None
    action = argparse.Action([word], word)
    kind = {"--method.class_path": "classifiers", "--sampler.class_path": "samplers"}.get(word, "files")
    action.complete = kind  # type: ignore[attr-defined]
    return action


def _values(action: argparse.Action, word: str) -> Iterable[str]:
    if isinstance(action, argparse._SubParsersAction) or action.choices:
        return action.choices or ()
    kind = getattr(action, "complete", None)
    return _KINDS[kind](word) if kind in _KINDS else ()


# ---- What there is ---------------------------------------------------------------------------------------------------


def _recipes(word: str) -> list[str]:
    """Return recipes and folders that begin with a word: here, and among the shipped ones."""
    from latentover.files import shipped_folder

    shipped = shipped_folder("configs")
    found = _paths(word, lambda path: path.suffix in (".yaml", ".yml"))
    for folder in [shipped, *(path for path in shipped.iterdir() if path.is_dir())]:
        name = "configs" / folder.relative_to(shipped)
        found.append(f"{name}/")
        found += [str(name / path.name) for path in folder.glob("*.yaml")]
    deepest = word.count("/")
    return [one for one in found if one.rstrip("/").count("/") <= deepest]


def _paths(word: str, wanted: Callable[[Path], bool]) -> list[str]:
    """Return folders, with a slash, and wanted files that begin with a word."""
    folder, _ = os.path.split(word)
    try:
        entries = sorted(Path(folder or ".").iterdir())
    except OSError:
        return []
    found = []
    for path in entries:
        if not path.name.startswith("."):
            shown = os.path.join(folder, path.name)  # noqa: PTH118
            found += [f"{shown}/"] if path.is_dir() else [shown] if wanted(path) else []
    return found


def _models(word: str) -> list[str]:
    from latentover.files import shipped_folder

    return [path.name for path in shipped_folder("models").iterdir() if path.is_dir()]


def _runs(word: str) -> list[str]:
    return [*_models(word), *_paths(word, lambda path: False)]


def _classes(ending: str, *, has: bool) -> Callable[[str], list[str]]:
    """Return classes of latentover by how their names end: to look at them would take seconds."""

    def found(word: str) -> list[str]:
        import latentover

        # The front door's pictures are no methods.
        names = [name for name in latentover.__all__ if name[0].isupper() and not name.endswith("Display")]
        return [f"latentover.{name}" for name in names if name.endswith(ending) == has]

    return found


_KINDS: dict[str | None, Callable[[str], list[str]]] = {
    "recipes": _recipes,
    "runs": _runs,
    "classifiers": _classes("Classifier", has=True),
    "samplers": _classes("Classifier", has=False),
    "devices": lambda word: ["auto", "cpu", "cuda"],
    "precisions": lambda word: ["auto", "bfloat16", "float32"],
}
