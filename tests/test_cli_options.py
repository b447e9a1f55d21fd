"""All commands alike: options that several have are one, every help has examples, and completion knows them all."""

import argparse
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from imblearn.base import SamplerMixin
from typed_commands import check_parses

import latentover
from latentover import cli
from latentover.cli import completion
from latentover.cli.options import EXAMPLES, SHARED
from latentover.data.diagnosis import few_images
from latentover.estimators import BaseClassifier
from latentover.experiments.catalogue import list_methods, list_models
from latentover.experiments.recipe import load_recipe
from latentover.experiments.strict import known_classes
from latentover.experiments.wording import as_typed, of_steps

OF_THE_COMMAND = {"-o", "--out", "--seed", "--seeds", "--n", "--methods", "--real"}
"""Options that are spelled alike everywhere, and whose help says what they are of that command."""


def commands(parser=None, name="latentover"):
    """Yield the full name and the parser of each command."""
    parser = parser or cli.make_parser()
    subparsers = completion._subparsers(parser)
    if subparsers is None:
        yield name, parser
        return
    for word, inner in subparsers.choices.items():
        yield from commands(inner, f"{name} {word}")


def by_option():
    """Return from each spelling of an option to the commands that have it, and what it is there."""
    found = {}
    for name, parser in commands():
        for action in parser._actions:
            for flag in action.option_strings:
                found.setdefault(flag, {})[name] = action
    return found


@pytest.mark.parametrize("flag", sorted(flag for flag, places in by_option().items() if len(places) > 1))
def test_an_option_of_several_commands_is_the_same_in_all(flag):
    actions = list(by_option()[flag].values())
    for what in ("option_strings", "dest", "metavar", "nargs", "type", "choices", "const"):
        values = [getattr(action, what) for action in actions]
        if flag == "--real" and what == "metavar":
            continue  # a table, or a folder of images
        assert all(value == values[0] for value in values), (what, values)
    if flag not in OF_THE_COMMAND:
        assert len({action.help for action in actions}) == 1


def test_what_takes_a_value_says_what_by_one_word_in_capitals():
    for name, parser in commands():
        for action in parser._actions:
            if action.nargs == 0 or action.choices or action.help == argparse.SUPPRESS:
                continue
            shown = action.metavar if isinstance(action.metavar, tuple) else (action.metavar,)
            for word in shown:
                assert re.fullmatch(r"[A-Z]+(,\.\.\.|=[A-Z]+|/[A-Z]+)?", word or ""), (name, action.dest, word)


@pytest.mark.parametrize("name", [name for name, _ in commands()])
def test_every_command_has_the_common_options(name):
    flags = dict(commands())[name]._option_string_actions
    assert {"-h", "-q", "--quiet", "-v", "--verbose", "--color", "--traceback"} <= flags.keys()
    assert name == "latentover completion" or "--json" in flags
    assert ("-o" in flags) == ("--out" in flags)


def test_a_shared_option_is_defined_once():
    flags = [flag for shared in SHARED.values() for flag in shared.flags]
    assert len(set(flags)) == len(flags)
    for flag, places in by_option().items():
        if len(places) == len(dict(commands())) or flag in ("-h", "--help"):
            continue
        assert len(places) == 1 or flag in flags or flag in ("--real", *BACKEND), flag


BACKEND = ("--jobs", "--backend", "--ray-address", "--cpus-per-run", "--gpus-per-run")
"""Of `add_backend`, which two commands call; and of `_add_machine`."""
BACKEND += ("--checkpoint-every", "--retry-failed")


def examples(parser):
    return [line.strip() for line in parser.epilog.partition(EXAMPLES)[2].splitlines() if line.strip()]


@pytest.mark.parametrize("name", [name for name, _ in commands()])
def test_the_examples_of_a_help_are_commands(name):
    found = examples(dict(commands())[name])
    assert 2 <= len(found) <= 3
    for example in found:
        assert example.startswith(f"{name} ") or example == name
        check_parses(example)


# ---- Words, JSON, colours --------------------------------------------------------------------------------------------


def run(capsys, *arguments):
    try:
        status = cli.main([str(argument) for argument in arguments])
    except SystemExit as stop:
        status = stop.code
    return status, *capsys.readouterr()


def test_json_takes_the_place_of_words_or_goes_to_a_file(capsys, tmp_path):
    status, out, _ = run(capsys, "data", "list", "--json")
    assert status == 0
    rows = {row["name"]: row for row in json.loads(out)}
    assert rows["digits"]["classes"] == 10
    assert rows["cifar10"]["shape"] == [3, 32, 32]
    status, words, _ = run(capsys, "data", "list", "--json", tmp_path / "sets.json")
    assert words.startswith("name ")
    assert json.loads((tmp_path / "sets.json").read_text()) == json.loads(out)
    status, out, err = run(capsys, "data", "list", "--json", tmp_path / "sets.txt")
    assert (status, out) == (2, "")
    assert "Expected --json to end in .json" in err


class Terminal:
    """A stream that is one, or says so."""

    def __init__(self, *, is_one):
        self.is_one, self.written = is_one, ""

    def isatty(self):
        return self.is_one

    def write(self, text):
        self.written += text

    def flush(self):
        pass


@pytest.mark.parametrize(
    ("is_terminal", "environment", "wish", "colored"),
    [
        (True, {}, "auto", True),
        (False, {}, "auto", False),
        (True, {"NO_COLOR": "1"}, "auto", False),
        (True, {"TERM": "dumb"}, "auto", False),
        (False, {"FORCE_COLOR": "1"}, "auto", True),
        (True, {}, "never", False),
        (False, {"NO_COLOR": "1"}, "always", True),
    ],
)
def test_colours_are_for_terminals(monkeypatch, is_terminal, environment, wish, colored):
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, Terminal(is_one=is_terminal))
    assert cli.main(["data", "list", "--color", wish]) == 0
    assert ("\033[" in sys.stdout.written) == colored
    assert cli.main(["--color", wish, "report", "nowhere"]) == 2
    assert ("\033[1;31mlatentover:\033[0m Expected" in sys.stderr.written) == colored


@pytest.mark.parametrize(
    ("command", "meant"),
    [
        (["trian"], "did you mean train?"),
        (["data", "diagnoze"], "did you mean diagnose?"),
        (["predict", "run", "file", "--skip-unreadble"], "did you mean --skip-unreadable?"),
        (["train", "configs/digits/rae.yaml", "--devise", "cpu"], "did you mean --device?"),
    ],
)
def test_a_slip_is_said(capsys, command, meant):
    status, out, err = run(capsys, *command)
    assert (status, out) == (2, "")
    assert err.strip().endswith(meant)


def test_verbose_says_where_an_error_comes_from(capsys):
    assert re.search(r"^\w+Error at .*\.py:\d+\nlatentover: ", run(capsys, "-v", "report", "nowhere")[2])
    assert run(capsys, "report", "nowhere")[2].startswith("latentover: ")


# ---- Words of the command line ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "typed"),
    [
        ("pass missing='impute' or drop them.", "pass --method.init_args.missing impute or drop them."),
        ("pass small_class='adapt'.", "pass --method.init_args.small_class adapt."),
        ("with early_stopping=True and n=3", "with --method.init_args.early_stopping true and n=3"),
        ("say by identifiers=[...] which", "say by --method.init_args.identifiers ... which"),
        ("Expected missing to be one", "Expected method.init_args.missing to be one"),
        ("Expected `source` to be one", "Expected data.source to be one"),
        ("Expected X to be numbers", "Expected X to be numbers"),
        ("fetch it by --download (in Python: download=True), or", "fetch it by --download, or"),
        ("np.unique(y, return_inverse=True)", "np.unique(y, return_inverse=True)"),
        ("X.reshape(missing='impute')", "X.reshape(missing='impute')"),
        ("--method.init_args.missing impute", "--method.init_args.missing impute"),
    ],
)
def test_parameters_become_settings(message, typed):
    named = of_steps({"method": latentover.DeepClassifier()})
    if "early_stopping" in message or "small_class" in message:
        named = of_steps({"sampler": None, "method": latentover.RAEClassifier()})
    assert as_typed(message, named) == typed


def test_advice_on_few_images_can_be_typed():
    (advice,) = few_images(["car", "truck"], [400, 36])
    typed = as_typed(advice, of_steps({"method": latentover.RAEClassifier()}))
    assert "=" in advice
    assert "=" not in typed
    assert "begin with one that has seen other images, --method.init_args.encoder resnet18 or another name" in typed


def test_the_first_step_that_has_a_parameter_is_named():
    steps = {"sampler": latentover.RAESampler(), "method": latentover.DeepClassifier()}
    assert of_steps(steps)("missing") == "--sampler.init_args.missing"
    assert of_steps(steps)("max_epochs") == "--method.init_args.max_epochs"
    assert of_steps(steps)("nothing") is None


def test_a_recipe_says_which_setting_is_wrong(tmp_path):
    recipe = tmp_path / "r.yaml"
    recipe.write_text("data: {source: digits}\nmethod: {class_path: latentover.RAEClassifier, init_args: {ema: 2}}\n")
    with pytest.raises(ValueError, match=r"r\.yaml: Expected method\.init_args\.ema to be a number .*, but got 2"):
        load_recipe(recipe)


@pytest.fixture
def table(tmp_path):
    """A table with a gap in a column of numbers."""
    rows = "".join(f"{'' if i == 7 else i},{i % 5},{'yes' if i % 4 == 0 else 'no'}\n" for i in range(40))
    (tmp_path / "rows.csv").write_text(f"age,visits,y\n{rows}")
    return tmp_path / "rows.csv"


def test_resample_speaks_of_its_own_options(capsys, table, tmp_path):
    command = ["resample", table, "--target", "y", "-o", tmp_path / "out.csv", "-q", "--device", "cpu"]
    status, out, err = run(capsys, *command)
    assert (status, out) == (2, "")
    assert "--sampler.init_args.missing impute or --sampler.init_args.missing mask" in err
    assert "missing='" not in err
    err = run(capsys, *command, "--sampler.init_args.max_steps", "0")[2]
    assert "Expected sampler.init_args.max_steps to be a whole number at least 1, but got 0" in err
    for option, value, message in [
        ("--seed", "-1", "Expected --seed to be a whole number from 0 to"),
        ("--target", "z", "Expected --target to be a column of"),
        ("--sampling-strategy", "7", "Expected --sampling-strategy to be one that adds samples"),
        ("--max-train-rows", "0", "Expected --max-train-rows to be at least 2"),
    ]:
        assert message in run(capsys, *command, option, value)[2]


def test_other_commands_speak_of_theirs(capsys, table, tmp_path):
    recipe = tmp_path / "r.yaml"
    recipe.write_text(f"data: {{source: {table}, target: y}}\nmethod: latentover.DeepClassifier\n")
    for command, message in [
        (["data", "advise", table, "--target", "y", "--folds", "1"], "Expected --folds to be"),
        (["data", "diagnose", table, "--target", "z"], "Expected --target to be"),
        (["train", recipe, "--data.target", "z"], "Expected data.target to be"),
        (["train", recipe, "--checkpoint-every", "-3"], "Expected --checkpoint-every to be"),
        (["benchmark", recipe, "--jobs", "2", "--at-once", "2"], "Expected --jobs to be 1 beside --at-once 2, but got"),
        (["train", recipe, "--evaluation.grid_samples", "-1"], "Expected evaluation.grid_samples to be"),
        (["train", recipe], "--method.init_args.missing impute or --method.init_args.missing mask"),
        (["generate", "rae-digits", "--class", "9", "-o", tmp_path / "a.npz", "--n", "0"], "Expected --n to be"),
    ]:
        status, out, err = run(capsys, *command)
        assert (status, out) == (2, "")
        assert message in err


# ---- What there is by name -------------------------------------------------------------------------------------------


def test_methods_lists_all_that_recipes_may_name():
    found = {kind: {entry.name for entry in list_methods() if entry.kind == kind} for kind in ("classifier", "sampler")}
    assert found["sampler"] == set(known_classes((SamplerMixin,), ("latentover",)))
    assert found["classifier"] >= set(known_classes((BaseClassifier,), ("latentover",)))
    for entry in list_methods():
        module, _, name = entry.name.rpartition(".")
        assert hasattr(sys.modules[module], name)
        assert not entry.text.startswith("Return")
        assert len(entry.text) > 20
        assert "\n" not in entry.text


def test_methods_prints_a_line_each(capsys):
    status, out, _ = run(capsys, "methods", "--kind", "mixing-rule")
    assert status == 0
    head, *lines = out.splitlines()
    assert head.split() == ["mixing", "rules", "data"]
    assert any(re.match(r"latentover\.mixing\.Remix +tensors +Mixup whose", line) for line in lines)
    assert "RAESampler" not in out
    assert len(json.loads(run(capsys, "methods", "--json")[1])) == len(list_methods())


def test_models_are_the_shipped_ones_and_take_the_place_of_a_run(capsys, tmp_path):
    models = {model.name: model for model in list_models()}
    assert (models["rae-digits"].generates, models["classifier-digits"].generates) == (True, False)
    assert models["rae-fashion-mnist"].shape == [1, 28, 28]
    status, out, _ = run(capsys, "models")
    assert re.search(r"^rae-fashion-mnist +RAEClassifier +fashion_mnist +10 +1x28x28 +91\.39 ", out, re.MULTILINE)
    command = ["rae-digits", "--class", "9", "--n", "3", "-o", f"{tmp_path}/made/"]
    status, out, err = run(capsys, "generate", *command, "--json")
    assert status == 0, err
    assert json.loads(out) == {"out": str(tmp_path / "made" / "9"), "class": "9", "n": 3, "seed": 0}
    status, out, err = run(capsys, "predict", "classifier-digits", tmp_path / "made", "--json")
    assert status == 0, err
    found = json.loads(out)
    assert (found["what"], sum(found["counts"].values()), len(found["head"])) == ("images", 3, 3)
    assert set(found["head"][0]) >= {"file", "label", "p_9"}


def test_a_model_that_is_not_there_is_guessed(capsys, tmp_path):
    error = run(capsys, "generate", "rae-fashion-mnits", "--class", "9", "-o", tmp_path / "a.png")[2]
    assert "did you mean the shipped model rae-fashion-mnist?" in error


# ---- Completion ------------------------------------------------------------------------------------------------------


def offered(*words):
    """What may stand for the last of these words."""
    return completion.complete(cli.make_parser(), words, len(words) - 1)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a.yaml").touch()
    (tmp_path / "mine" / "notes.txt").touch()
    return tmp_path


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["tr"], {"train"}),
        (["data", ""], {"list", "diagnose", "advise"}),
        (["predict", "--skip"], {"--skip-unreadable"}),
        (["train", "--data"], {"--data-root"}),
        (["train", "mine/"], {"mine/a.yaml"}),
        (["train", "configs/digits/ra"], {"configs/digits/rae.yaml"}),
        (["benchmark", "mine/a.yaml", "configs/phot"], {"configs/photos/"}),
        (["generate", "rae-f"], {"rae-fashion-mnist"}),
        (["--quiet", "generate", "rae-d"], {"rae-digits"}),
        (["train", "r.yaml", "--device", "cu"], {"cuda"}),
        (["train", "--method.class_path", "latentover.RAE"], {"latentover.RAEClassifier"}),
        (["resample", "t.csv", "--sampler", "latentover.Deep"], {"latentover.DeepSMOTE"}),
        (["train", "r.yaml", "--color", ""], {"auto", "always", "never"}),
        (["completion", ""], {"bash", "zsh", "fish"}),
        (["resample", "t.csv", "--out", ""], set()),
        (["results", "mi"], {"mine/"}),
    ],
)
def test_a_word_is_completed(folder, words, expected):
    assert set(offered(*words)) == expected


def test_all_samplers_and_classifiers_are_offered():
    assert set(offered("resample", "t.csv", "--sampler", "")) == set(known_classes((SamplerMixin,), ("latentover",)))
    assert set(offered("train", "--method.class_path", "")) >= set(known_classes((BaseClassifier,), ("latentover",)))


def test_completion_looks_at_nothing_heavy():
    code = """
import sys
from latentover import cli
cli.main(["completion", "--words", "2", "latentover", "train", "configs/di"])
print(sorted({"torch", "numpy", "sklearn", "pandas"} & set(sys.modules)))
"""
    environment = {"PYTHONPATH": str(Path(latentover.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert "configs/digits/" in done.stdout.splitlines()
    assert done.stdout.endswith("[]\n")


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash here")
def test_bash_completes_by_the_script(folder, capsys):
    assert cli.main(["completion", "bash"]) == 0
    (folder / "script").write_text(capsys.readouterr().out)
    called = f'latentover() {{ "{sys.executable}" -m latentover.cli "$@"; }}\nsource ./script\n'
    for line, number, expected in [
        ("latentover mod", 1, ["models"]),
        ("latentover train mine/", 2, ["mine/a.yaml"]),
        ("latentover generate rae-digits --cla", 3, ["--class"]),
    ]:
        code = f'{called}COMP_WORDS=({line}); COMP_CWORD={number}; _latentover; printf "%s\\n" "${{COMPREPLY[@]}}"'
        environment = {"PYTHONPATH": str(Path(latentover.__file__).parents[1]), "PATH": "/usr/bin:/bin"}
        done = subprocess.run(["bash", "-c", code], capture_output=True, text=True, env=environment, check=False)
        assert done.stdout.splitlines() == expected, done.stderr


@pytest.mark.skipif(shutil.which("fish") is None, reason="there is no fish here")
def test_fish_completes_by_the_script(folder, capsys):
    assert cli.main(["completion", "fish"]) == 0
    (folder / "script").write_text(capsys.readouterr().out)
    called = f'function latentover; "{sys.executable}" -m latentover.cli $argv; end; source ./script'
    environment = {
        "PYTHONPATH": str(Path(latentover.__file__).parents[1]),
        "PATH": "/usr/bin:/bin",
        "HOME": str(folder),
    }
    for line, expected in [("latentover train mine/", ["mine/a.yaml"]), ("latentover generate rae-d", ["rae-digits"])]:
        code = f'{called}; complete -C "{line}"'
        done = subprocess.run(["fish", "-c", code], capture_output=True, text=True, env=environment, check=False)
        assert done.stdout.splitlines() == expected, done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_a_shell_is_one(shell, capsys, tmp_path):
    assert cli.main(["completion", shell]) == 0
    script = tmp_path / "script"
    script.write_text(capsys.readouterr().out)
    assert "latentover completion --words" in script.read_text()
    if shutil.which(shell):
        subprocess.run([shell, "-n", str(script)], check=True)


def test_a_shell_has_to_be_named(capsys):
    assert "choose bash, zsh or fish" in run(capsys, "completion")[2]
