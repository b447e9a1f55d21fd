"""A thousand malformed recipes and as many command lines: each ends in one line that says what is wrong, at once."""

import copy
import importlib
import json
import re
import time

import numpy as np
import pandas as pd
import pytest
import yaml

from latentover import cli
from latentover.experiments.recipe import load_recipes

N_INPUTS = 1000
SECONDS = 1.0
RECIPE = {
    "title": "Tiny",
    "data": {"source": "digits", "imbalance": {"profile": "long_tailed", "rho": 5, "largest": 30}, "seed": 0},
    "sampler": {"class_path": "latentover.AMDO", "init_args": {"k_neighbors": 3}},
    "method": {
        "class_path": "latentover.DeepClassifier",
        "init_args": {
            "max_epochs": 20,
            "learning_rate": 0.1,
            "mixing": {"class_path": "latentover.mixing.Mixup", "init_args": {"alpha": 0.4}},
            "schedule": {"factor": 0.1},
        },
    },
    "evaluation": {"grid_samples": 1},
    "seeds": [0, 1],
}
PLACES = [
    *("data.source", "data.imbalance", "data.imbalance.profile", "data.imbalance.rho", "data.seed", "evaluation"),
    *("sampler.class_path", "sampler.init_args", "sampler.init_args.k_neighbors", "method", "method.class_path"),
    *("method.init_args", "method.init_args.max_epochs", "method.init_args.learning_rate", "method.init_args.mixing"),
    *("method.init_args.mixing.class_path", "method.init_args.mixing.init_args.alpha", "method.init_args.schedule"),
    *("evaluation.grid_samples", "seeds", "data"),
]
WRONG = [
    *([], [[]], {"a": 1}, "x y", -3, True, float("nan"), {"class_path": "os.system"}, {"class_path": 3}, "os.system"),
    *(
        {"class_path": "subprocess.Popen", "init_args": {"args": "ls"}},
        "10**40",
        {1: 2},
        [None],
        "{class_path: os.system}",
    ),
]


def at(content, dotted):
    """Return the mapping that holds a dotted place, and the last name."""
    *places, last = dotted.split(".")
    for place in places:
        content = content[place]
    return content, last


def wrong_value(rng):
    content, place = copy.deepcopy(RECIPE), PLACES[int(rng.integers(len(PLACES)))]
    inner, last = at(content, place)
    value = WRONG[int(rng.integers(len(WRONG)))]
    inner[last] = copy.deepcopy([value] if place == "data.source" else value)  # any text may be the name of a file
    return yaml.safe_dump(content)


def unknown_key(rng):
    content, place = (
        copy.deepcopy(RECIPE),
        ["data", "data.imbalance", "method.init_args", "evaluation"][rng.integers(4)],
    )
    inner, last = at(content, place)
    inner[last]["".join(rng.choice(list("xyz_3 .é"), 5))] = 1
    return yaml.safe_dump(content, allow_unicode=True)


def missing_key(rng):
    content = copy.deepcopy(RECIPE)
    inner, last = at(
        content, ["data", "data.source", "method", "method.class_path", "data.imbalance.profile"][rng.integers(5)]
    )
    del inner[last]
    if last == "profile":
        inner["rho"] = "x"
    return yaml.safe_dump(content)


def twice(rng):
    lines = yaml.safe_dump(RECIPE).splitlines()
    number = rng.choice([i for i, line in enumerate(lines) if not line.endswith(":") and ":" in line])
    return "\n".join([*lines[:number], lines[number], *lines[number:]])


def cut(rng):
    text = json.dumps(RECIPE)
    return text[: int(rng.integers(1, len(text)))]


def noise(rng):
    return "".join(map(chr, rng.integers(1, 0x2FF, int(rng.integers(1, 60)))))


def loop(rng):
    depth = int(rng.integers(1, 30))
    return "data: &a " + "[" * depth + "*a" + "]" * depth


MALFORMED = [wrong_value, wrong_value, unknown_key, missing_key, twice, cut, noise, loop]


def test_two_malformed_recipes_of_each_kind_are_one_line_each(tmp_path):
    malformed_recipes(2 * len(MALFORMED), tmp_path)


def test_a_thousand_malformed_recipes_are_one_line_each(tmp_path):
    malformed_recipes(N_INPUTS, tmp_path)


def malformed_recipes(n, folder):
    """Each ends in one line."""
    rng, path = np.random.default_rng(0), folder / "recipe.yaml"
    for number in range(n):
        text = MALFORMED[number % len(MALFORMED)](rng)
        path.write_text(text, encoding="utf-8")
        seconds = []
        while not seconds or (min(seconds) >= SECONDS and len(seconds) < 3):  # other processes may have been in the way
            start = time.process_time()
            with pytest.raises(ValueError, match=re.escape(str(path)) + "[:,] .*[Ee]xpected") as raised:
                load_recipes(path)
            seconds.append(time.process_time() - start)
        assert min(seconds) < SECONDS, text
        assert "\n" not in str(raised.value), text


NUMBERS = ["-1", "0", "1e9", "x", "", "99999999999999999999", "nan", "1.5", "{", "[1", "true", "2020-01-01"]
STRATEGIES = [
    *("{1: ", "2020-01-01", "true", "{1: 10.5}", "[1]", "{fraud: {a: 1}}", "!!python/name:os.system", "&a [*a]"),
    *("{nobody: 3}", "{a: 1000000000000000}", "-1", "nan", "minorty", "{a: 1, a: 2}", "null", "{}", "{a: 3}", "0.1"),
]


def command_lines(rng, folder):
    """Return one malformed command line."""
    table, recipe, missing = folder / "table.csv", folder / "tiny.yaml", folder / "missing"
    resample = ["resample", table, "--target", "y", "--out", folder / "out.csv"]
    dotted = [f"--{PLACES[rng.integers(len(PLACES))]}.wrong{rng.integers(9)}", rng.choice(NUMBERS)]
    lines = [
        [*resample, "--sampler", "latentover.AMDO", "--sampling-strategy", rng.choice(STRATEGIES)],
        [*resample, "--sampler", ["os.system", "x", "{", missing, recipe, folder][rng.integers(6)]],
        [*resample, "--sampler", "latentover.AMDO", "--max-train-rows", "3"],
        [*resample, "--sampler", "latentover.AMDO", "--sampler.init_args.clip", "{class_path: os.system}"],
        [*resample, "--seed", ["-1", "4294967296", "x"][rng.integers(3)]],
        ["resample", [missing, folder, recipe][rng.integers(3)], "--target", "y", "--out", folder / "out.csv"],
        ["resample", table, "--target", "nobody", "--out", folder / "out.csv"],
        ["resample", table, "--target", "y", "--out", [folder, folder / "out.txt", table / "a.csv"][rng.integers(3)]],
        ["train", recipe, *dotted],
        ["train", recipe, "--print_config", "--method.init_args.clip", "{class_path: subprocess.Popen}"],
        ["train", [missing, folder / "noise.yaml"][rng.integers(2)], "--print_config"],
        ["train", recipe, "--seed", ["-1", "x", "1.5", "4294967296"][rng.integers(4)]],
        ["train", recipe, "--device", ["gpu", "cuda:99", ""][rng.integers(3)]],
        ["benchmark", recipe, "--jobs", ["0", "-1", "x"][rng.integers(3)]],
        ["benchmark", missing],
        ["generate", missing, "--label", "1", "--out", folder / "a.csv"],
        ["generate", "models/rae-digits", "--label", "9", "--n", "1000000000", "--out", folder / "a.npz"],
        ["generate", "models/rae-digits", "--label", ["x", "", "10"][rng.integers(3)], "--out", folder / "a.npz"],
        [
            "generate",
            "models/rae-digits",
            "--label",
            "9",
            "--n",
            str(rng.choice(NUMBERS)) + "x",
            "--out",
            folder / "a.npz",
        ],
        ["generate", "models/rae-digits", "--label", "9", "--out", folder / "a.txt"],
        ["generate", "models/rae-digits", "--label", "9", "--seed", "-1", "--out", folder / "a.npz"],
        ["evaluate", missing],
        ["evaluate", "models/rae-digits", "--out", folder],
        ["evaluate", "models/rae-digits", "--features", ["x", "classifier:x", "inception2"][rng.integers(3)]],
        ["evaluate", "models/rae-digits", "--features", "pixels", "--n", ["0", "-1", "1000000000"][rng.integers(3)]],
        ["evaluate", "--real", missing, "--fake", missing],
        ["evaluate"],
        ["report", missing],
        ["report", folder, "--out", folder],
        ["data", "diagnose", [missing, table, folder / "twice.csv"][rng.integers(3)], "--target", "nobody"],
        ["data", "diagnose", folder / "twice.csv", "--target", "y"],
        [noise(rng).lstrip("-") or "x"],
    ]
    return [str(word) for word in lines[rng.integers(len(lines))]]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    rng = np.random.default_rng(0)
    pd.DataFrame({"x": rng.normal(size=30), "y": ["a"] * 20 + ["b"] * 10}).to_csv(tmp_path / "table.csv", index=False)
    (tmp_path / "twice.csv").write_text("x,y,y\n1,a,b\n2,b,a\n", encoding="utf-8")
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(RECIPE), encoding="utf-8")
    (tmp_path / "noise.yaml").write_bytes(bytes(rng.integers(0, 256, 200).tolist()))
    return tmp_path


def test_a_thousand_malformed_command_lines_are_one_line_each(folder, capsys, monkeypatch):
    monkeypatch.setattr("latentover.experiments.jobs.run_recipe", lambda *args, **kwargs: pytest.fail("trained"))
    before, rng = sorted(folder.iterdir()), np.random.default_rng(0)
    for name in ("experiments.resample", "methods.rae"):  # imports are paid once
        importlib.import_module(f"latentover.{name}")
    for _ in range(N_INPUTS):
        arguments = command_lines(rng, folder)
        start = time.process_time()
        try:
            status = cli.main(arguments)
        except SystemExit as error:  # argparse's own
            status = error.code
        seconds = time.process_time() - start
        out, err = capsys.readouterr()
        assert (status, out) == (2, ""), arguments
        *usage, line, end = err.split("\n")
        assert (line.startswith("latentover"), end) == (True, ""), (arguments, err)
        assert not usage or usage[0].startswith("usage: "), (arguments, err)
        assert "Traceback" not in err
        assert seconds < SECONDS, arguments
    assert sorted(folder.iterdir()) == before
