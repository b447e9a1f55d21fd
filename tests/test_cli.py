"""The commands: results on stdout, the rest on stderr, one clear message for an error."""

import csv
import json
import re
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

import latentover
from latentover import cli
from latentover.experiments import jobs as jobs_module

COMMANDS = [
    [],
    ["train"],
    ["evaluate"],
    ["generate"],
    ["predict"],
    ["resample"],
    ["benchmark"],
    ["report"],
    ["results"],
    ["data"],
    ["data", "list"],
    ["data", "diagnose"],
    ["data", "advise"],
    ["methods"],
    ["models"],
    ["tune"],
    ["completion"],
]
HEAVY = [
    "torch",
    "sklearn",
    "imblearn",
    "numpy",
    "pandas",
    "scipy",
    "jsonargparse",
    "matplotlib",
    "torchvision",
    "tqdm",
]
DATA = {"source": "digits", "imbalance": {"profile": "long_tailed", "rho": 5, "largest": 30}}
RAE = {
    "title": "Tiny RAE",
    "data": DATA,
    "method": {
        "class_path": "latentover.RAEClassifier",
        "init_args": {"latent_dim": 4, "channels": 4, "hidden_units": 8, "max_steps": 2, "batch_size": 8},
    },
    "evaluation": {"grid_samples": 1, "tsne_points": 40},
    "seeds": [0, 1],
}
CONTROL = {
    **RAE,
    "title": "Tiny control",
    "method": {
        "class_path": "latentover.DeepClassifier",
        "init_args": {"feature_dim": 4, "channels": 4, "hidden_units": 8, "max_epochs": 2},
    },
}
MISSING = {**CONTROL, "title": "Tiny without data", "data": {"source": "cifar10"}}


@pytest.fixture(autouse=True)
def on_the_cpu(monkeypatch, tmp_path):
    """In a folder of its own, with an empty data root, and not on a GPU."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LATENTOVER_DATA", str(tmp_path / "data"))
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)


@pytest.fixture(scope="module")
def recipes(tmp_path_factory):
    """A folder with two recipes."""
    folder = tmp_path_factory.mktemp("recipes") / "tiny"
    folder.mkdir()
    for name, content in (("control", CONTROL), ("rae", RAE)):
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def finished(recipes, tmp_path_factory):
    """A runs folder with the four runs of these recipes, made by one benchmark; not to be changed."""
    out = tmp_path_factory.mktemp("finished") / "runs"
    assert cli.main(["benchmark", str(recipes), "--out", str(out), "--device", "cpu", "--quiet"]) == 0
    return out


def run(capsys, *arguments):
    """Return exit status, stdout and stderr of a command."""
    try:
        status = cli.main([str(argument) for argument in arguments])
    except SystemExit as exit_:
        status = exit_.code
    return status, *capsys.readouterr()


def assert_refused(capsys, message, *arguments):
    """The command ends with status 2, nothing on stdout and one line on stderr."""
    status, out, err = run(capsys, *arguments)
    assert (status, out) == (2, "")
    assert re.fullmatch(rf"latentover: .*{message}.*\n", err), err


def in_a_process(code_or_module, *arguments):
    package = Path(latentover.__file__).parent.parent
    return subprocess.run(
        [sys.executable, *code_or_module, *map(str, arguments)],
        env={"PYTHONPATH": str(package), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


# ---- Help ------------------------------------------------------------------------------------------------------------


def test_help_imports_nothing_heavy():
    code = f"""
import contextlib, io, sys
from latentover import cli
for command in {COMMANDS!r}:
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.suppress(SystemExit):
        cli.main([*command, "--help"])
    assert "usage: latentover" in out.getvalue(), command
print(sorted(set({HEAVY!r}) & set(sys.modules)))
"""
    result = in_a_process(["-c", code])
    assert (result.stdout, result.stderr) == ("[]\n", "")


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_says_what_a_command_does(capsys, command):
    status, out, err = run(capsys, *command, "--help")
    assert (status, err) == (0, "")
    assert "usage: " + " ".join(["latentover", *command]) in out
    if command in (["train"], ["benchmark"]):
        assert "--method.init_args.latent_dim 32" in out


def test_the_version_is_the_packages(capsys):
    assert run(capsys, "--version") == (0, f"latentover {latentover.__version__}\n", "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["trian"], "invalid choice: 'trian'"),
        (["data"], "the following arguments are required: ACTION"),
        (["report", "runs", "--heading", "x"], "unrecognized arguments: --heading x"),
        (["evaluate", "run", "--devise", "cpu"], "unrecognized arguments: --devise cpu"),
        (["generate", "run", "--label", "9"], "the following arguments are required: -o/--out"),
        (["benchmark", "digits", "--jobs", "two"], "argument --jobs: invalid int value: 'two'"),
    ],
)
def test_wrong_usage_is_status_2(capsys, arguments, message):
    status, out, err = run(capsys, *arguments)
    assert (status, out) == (2, "")
    assert message in err


# ---- train -----------------------------------------------------------------------------------------------------------


def test_train_makes_the_runs_of_a_recipe_and_compares_them(capsys, recipes, tmp_path):
    status, out, err = run(capsys, "train", recipes / "control.yaml")
    assert status == 0
    assert out.startswith("runs: 2 made, 0 finished before, 0 failed\n\nruns/tiny\nMethod")
    assert re.search(r"^Tiny control +\d+\.\d\d ± \d+\.\d\d", out, re.MULTILINE)
    assert "report" not in out
    lines = [line for line in err.splitlines() if " steps in " not in line]  # those of the fit
    assert len(lines) == 2
    for line in lines:
        assert re.fullmatch(r"\[\d/2\] tiny/control, seed \d: \d+\.\d\d ACSA, \d+\.\d s to fit", line)
    assert sorted(p.name for p in (tmp_path / "runs" / "tiny" / "control").iterdir()) == ["seed-0", "seed-1"]


def test_train_takes_a_seed_and_overrides(capsys, recipes, tmp_path):
    options = ["--seed", 7, "--out", "mine", "--quiet", "--method.init_args.max_epochs", "1", "--data.imbalance.rho=4"]
    status, out, err = run(capsys, "train", recipes / "control.yaml", *options)
    assert (status, err) == (0, "")
    assert out.startswith("runs: 1 made")
    (folder,) = (tmp_path / "mine" / "control").iterdir()
    assert folder.name == "seed-7"
    content = yaml.safe_load((folder / "recipe.yaml").read_text(encoding="utf-8"))
    assert content["method"]["init_args"]["max_epochs"] == 1
    assert content["data"]["imbalance"]["rho"] == 4
    certificate = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))["certificate"]
    assert (certificate["seed"], certificate["device"]) == (7, "cpu")


def test_a_negative_number_can_be_an_override(capsys, recipes):
    arguments = ["train", recipes / "control.yaml", "--method.init_args.tau", "-1.5"]
    assert_refused(capsys, r"tau to be a number at least 0, but got -1\.5", *arguments)


def test_print_config_is_the_resolved_recipe(capsys, recipes, tmp_path):
    options = ["--print-config", "--method.init_args.latent_dim", "32", "--seeds", "[4]"]
    status, out, err = run(capsys, "train", recipes / "rae.yaml", *options)
    assert (status, err) == (0, "")
    content = yaml.safe_load(out)
    assert (content["method"]["init_args"]["latent_dim"], content["seeds"]) == (32, [4])
    (tmp_path / "again.yaml").write_text(out, encoding="utf-8")
    assert run(capsys, "train", "again.yaml", "--print-config") == (0, out, "")
    assert not (tmp_path / "runs").exists()


def test_shipped_recipes_are_found_from_anywhere(capsys):
    status, out, _ = run(capsys, "train", "configs/digits/rae.yaml", "--print-config")
    assert status == 0
    assert yaml.safe_load(out)["method"]["class_path"] == "latentover.RAEClassifier"


# ---- benchmark -------------------------------------------------------------------------------------------------------


def test_benchmark_repeats_no_finished_run_and_shows_the_table_and_the_report(capsys, recipes, finished):
    before = {path: path.stat().st_mtime_ns for path in finished.glob("*/*/*")}
    status, out, err = run(capsys, "benchmark", recipes, "--out", finished)
    assert (status, err) == (0, "")
    assert out.startswith(f"runs: 0 made, 4 finished before, 0 failed\n\n{finished}\nMethod")
    assert re.search(r"^Tiny RAE +\d", out, re.MULTILINE)
    assert out.endswith(f"\nreport: {finished / 'report.html'}\n")
    assert "Tiny control" in (finished / "report.html").read_text(encoding="utf-8")
    assert {path: path.stat().st_mtime_ns for path in finished.glob("*/*/*")} == before


def test_benchmark_in_processes_makes_the_same_runs_and_goes_on_after_a_failure(capsys, recipes, finished, tmp_path):
    (tmp_path / "missing.yaml").write_text(yaml.safe_dump(MISSING), encoding="utf-8")
    arguments = ["benchmark", recipes / "rae.yaml", "missing.yaml", "--out", "runs", "--seeds", 0, "--jobs", 2]
    status, out, err = run(capsys, *arguments, "--device", "cpu")
    assert status == 1
    assert out.startswith("runs: 1 made, 0 finished before, 1 failed\n\nruns\nMethod")
    warned = "latentover: runs/rae, seed 0: "
    lines = [line for line in err.splitlines() if not line.startswith(warned)]
    assert len(lines) < len(err.splitlines())
    missing, made = sorted(lines[:2], key=lambda line: " s to fit" in line)
    assert re.match(
        r"\[\d/2\] runs/missing, seed 0: failed: FileNotFoundError: Expected the files of 'cifar10'", missing
    )
    assert re.fullmatch(r"\[\d/2\] runs/rae, seed 0: \d+\.\d\d ACSA, \d+\.\d s to fit", made)
    assert lines[2:] == ["latentover: failed: runs/missing, seed 0 (see above)"]
    weights = [folder / "rae" / "seed-0" / "model.safetensors" for folder in (finished, tmp_path / "runs")]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["missing", "rae", "report.html", "results"]


def test_a_recipe_that_fails_stops_no_other_and_says_how_to_get_its_data(capsys, recipes, tmp_path):
    (tmp_path / "missing.yaml").write_text(yaml.safe_dump(MISSING), encoding="utf-8")
    arguments = ["benchmark", "missing.yaml", recipes / "control.yaml", "--seeds", 0, "--out", "runs"]
    status, out, err = run(capsys, *arguments)
    assert status == 1
    assert "Tiny control" in out
    assert "Traceback" not in err
    first, *_, last = err.splitlines()
    assert first.startswith(
        "[1/2] runs/missing, seed 0: failed: FileNotFoundError: Expected the files of 'cifar10' in "
    )
    assert str(tmp_path / "data") in first
    for way in ("--download", "--data-root", "LATENTOVER_DATA"):
        assert way in first
    assert last == "latentover: failed: runs/missing, seed 0 (see above)"
    status, out, err = run(capsys, *arguments, "--traceback", "--quiet")
    assert (status, out.splitlines()[0]) == (1, "runs: 0 made, 1 finished before, 1 failed")
    assert "Traceback (most recent call last)" in err
    assert "read_named" in err


def test_data_that_no_run_finds_is_said_once_and_before_all(capsys, recipes, tmp_path):
    (tmp_path / "missing.yaml").write_text(yaml.safe_dump(MISSING), encoding="utf-8")
    assert_refused(
        capsys, "Expected the files of 'cifar10' in elsewhere", "benchmark", "missing.yaml", "--data-root", "elsewhere"
    )
    for more in ([], ["--jobs", 2]):
        message = "Expected data.source to be one of .*, but got 'digist'; did you mean 'digits'"
        assert_refused(capsys, message, "benchmark", recipes, "--data.source", "digist", *more)
    assert not list(tmp_path.rglob("failure.json")), "it is looked for anew the next time"


def test_recipes_are_held_against_their_data_before_the_first_run(capsys, tmp_path, monkeypatch):
    """A mistake that holds for all seeds is found once, costs no training, and is looked for anew the next time."""
    made = []
    monkeypatch.setattr(jobs_module, "run_recipe", lambda *arguments, **_: made.append(1) or pytest.fail("trains"))
    table = "age,town,y\n" + "".join(f"{i},Graz,{i % 2}\n" for i in range(40)).replace("7,", ",", 1)
    (tmp_path / "rows.csv").write_text(table, encoding="utf-8")
    recipe = {**CONTROL, "data": {"source": "rows.csv", "target": "y"}, "seeds": [0, 1]}
    (tmp_path / "table.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    for _ in range(2):
        assert_refused(
            capsys, "--method.init_args.missing impute or --method.init_args.missing mask", "train", "table.yaml"
        )
    assert not made


def test_an_interrupt_says_that_finished_runs_are_kept(capsys, recipes, monkeypatch, tmp_path):
    def stop(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(jobs_module, "run_recipe", stop)
    status, out, err = run(capsys, "benchmark", recipes, "--out", "runs")
    assert (status, out) == (130, "")
    assert err == "latentover: stopped; finished runs are kept, the same command goes on from there\n"


# ---- What is done with runs ------------------------------------------------------------------------------------------


def test_evaluate_gives_the_scores_of_the_run_to_the_bit_and_counts(capsys, finished, tmp_path):
    folder = shutil.copytree(finished / "rae" / "seed-0", tmp_path / "copy")
    status, out, err = run(capsys, "evaluate", folder, "--out", "scores.json")
    assert status == 0
    assert re.fullmatch(
        r"latentover: Expected the test data of .*copy to be read once, but this was read 2; choose .*\n", err
    )
    assert out.endswith("\n\nreads of the test data: 2\n")
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    assert json.loads((tmp_path / "scores.json").read_text(encoding="utf-8")) == metrics["splits"]
    rows = [line.split() for line in out.splitlines()]
    assert rows[0][:3] == ["split", "acsa", "macro_f1"]
    assert [row[0] for row in rows[1:3]] == ["test_balanced", "validation"]
    assert rows[1][1] == f"{metrics['acsa']:.4f}"


@pytest.mark.parametrize("suffix", [".png", ".npz", ".csv"])
def test_generate_writes_the_same_bytes_for_the_same_seed(capsys, finished, tmp_path, suffix):
    contents = []
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        out = tmp_path / f"{name}{suffix}"
        arguments = ["--label", 9, "--n", 4, "--seed", seed, "--out", out]
        assert run(capsys, "generate", finished / "rae" / "seed-0", *arguments) == (0, f"{out}\n", "")
        contents.append(out.read_bytes())
    assert contents[0] == contents[1] != contents[2]
    if suffix == ".png":
        assert Image.open(out).format == "PNG"
    elif suffix == ".npz":
        assert np.load(out)["X"].shape == (4, 1, 8, 8)
    else:
        with out.open(newline="") as file:
            assert [row["label"] for row in csv.DictReader(file)] == ["9"] * 4


def test_report_writes_a_page(capsys, finished, tmp_path):
    assert run(capsys, "report", finished, "--out", "page.html") == (0, "page.html\n", "")
    assert (tmp_path / "page.html").read_text(encoding="utf-8").lstrip().startswith("<!doctype html>")


def test_report_has_the_title_that_it_is_given(capsys, finished, tmp_path):
    for page in ("page.html", "page.md"):
        assert run(capsys, "report", finished, "--out", page, "--title", "Fraud <2026>")[0] == 0
    assert "<h1>Fraud &lt;2026&gt;</h1>" in (tmp_path / "page.html").read_text(encoding="utf-8")
    assert (tmp_path / "page.md").read_text(encoding="utf-8").startswith("# Fraud &lt;2026>\n\n## ")


def test_report_of_several_folders_needs_a_name_and_has_a_part_for_each(capsys, finished, tmp_path):
    other = shutil.copytree(finished, tmp_path / "other")
    assert run(capsys, "report", finished, other, "--out", "page.md") == (0, "page.md\n", "")
    text = (tmp_path / "page.md").read_text(encoding="utf-8")
    assert [line for line in text.splitlines() if line.startswith("## ")] == [
        f"## Tiny ({finished})",
        f"## Tiny ({other})",
    ]
    assert run(capsys, "report", finished, other, "--out", "page.html")[0] == 0
    assert_refused(capsys, "Expected a path for the page on several runs folders", "report", finished, other)
    assert_refused(capsys, "nowhere is not a folder", "report", finished, "nowhere", "--out", "new.md")
    assert not (tmp_path / "new.md").exists()


def test_a_recipe_with_variants_is_printed_trained_and_compared(capsys, tmp_path):
    variants = {"few": {"title": "Few"}, "more": {"method.init_args.max_epochs": 3}}
    recipe = {**CONTROL, "seeds": [0], "variants": variants}
    (tmp_path / "ablation.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    options = ["--method.init_args.feature_dim", 5]
    status, out, err = run(capsys, "train", "ablation.yaml", "--print-config", *options)
    assert (status, err) == (0, "")
    assert re.findall("^--- # (.*)", out, re.MULTILINE) == ["ablation-few", "ablation-more"]
    few, more = yaml.safe_load_all(out)
    assert [(one["title"], one["method"]["init_args"]["max_epochs"]) for one in (few, more)] == [
        ("Few", 2),
        ("Tiny control: more", 3),
    ]
    assert {one["method"]["init_args"]["feature_dim"] for one in (few, more)} == {5}
    for command in ("train", "benchmark"):
        status, out, _ = run(capsys, command, "ablation.yaml", *options, "--out", "runs", "--quiet")
        assert (status, out.splitlines()[0]) == (
            0,
            f"runs: {2 * (command == 'train')} made, {2 * (command == 'benchmark')} finished before, 0 failed",
        )
        assert re.search(r"^Tiny control: more +\d", out, re.MULTILINE)
    recipe["variants"]["more"]["method.init_args.max_epoch"] = 4
    (tmp_path / "ablation.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    assert_refused(capsys, "ablation.yaml, variant more: .*did you mean 'max_epochs'", "benchmark", "ablation.yaml")


def test_data_list_says_what_there_is_and_where_it_is_looked_for(capsys, tmp_path):
    status, out, err = run(capsys, "data", "list")
    assert (status, err) == (0, "")
    rows = {line.split()[0]: line for line in out.splitlines()}
    assert {"name", "digits", "mnist", "fashion_mnist", "cifar10"} <= set(rows)
    assert " yes " in rows["digits"]
    assert " no " in rows["mnist"]
    assert str(tmp_path / "data") in rows["mnist"]
    assert "elsewhere" in run(capsys, "data", "list", "--data-root", "elsewhere")[1]


def test_results_of_commands_on_runs_are_json_too(capsys, recipes, finished, tmp_path):
    folder = shutil.copytree(finished, tmp_path / "copy")
    command = ["benchmark", recipes, "--out", folder, "--quiet", "--json"]
    status, out, _ = run(capsys, *command)
    told = json.loads(out)
    assert (status, told["made"], told["finished_before"], told["not_done"]) == (0, 0, 4, {})
    rows = told["folders"][str(folder)]["rows"]
    assert {row["recipe"]: row["n_seeds"] for row in rows} == {"control": 2, "rae": 2}
    metrics = [json.loads((folder / "rae" / f"seed-{seed}" / "metrics.json").read_text()) for seed in (0, 1)]
    (mean,) = (row["scores"]["acsa"]["mean"] for row in rows if row["recipe"] == "rae")
    assert mean == pytest.approx(sum(one["acsa"] for one in metrics) / 2)
    listed = json.loads(run(capsys, *command[:-1], "--list", "--json")[1])
    assert [(row["number"], row["state"]) for row in listed] == [(n, "finished") for n in range(4)]
    assert json.loads(run(capsys, "report", folder, "--json")[1]) == {"report": str(folder / "report.html")}
    stored = json.loads(run(capsys, "results", folder, "--metrics", "acsa", "--where", "recipe=rae", "--json")[1])
    balanced = {row["seed"]: row["value"] for row in stored if row["split"] == "test_balanced"}
    assert balanced == pytest.approx({seed: one["acsa"] for seed, one in enumerate(metrics)})


# ---- Errors ----------------------------------------------------------------------------------------------------------


def test_an_error_is_one_line_and_status_2(capsys, recipes, finished, tmp_path):
    (tmp_path / "file").touch()
    control, run_ = recipes / "control.yaml", finished / "control" / "seed-0"
    for message, *arguments in [
        ("did you mean 'configs/digits/rae.yaml'", "train", "digits/raee.yaml"),
        (
            r"control.yaml: Expected .* method.init_args, .*did you mean",
            "train",
            control,
            "--method.init_args.dropot=1",
        ),
        (
            "Expected an option of the command or a setting of the recipe, but got --devise; did you mean --device\\?",
            "train",
            control,
            "--devise=1",
        ),
        ("that is the option --device of the command", "benchmark", recipes, "--method.init_args.device", "cpu"),
        ("Expected --jobs to be at least 1, but got 0", "benchmark", recipes, "--jobs", 0),
        ("Expected --seeds to be one or more different", "benchmark", recipes, "--seeds", 1, 1),
        ("Expected seeds to be one or more different", "train", control, "--seed", -1),
        ("Expected --device to be .*, but got 'gpu'; a GPU is 'cuda'", "train", control, "--device", "gpu"),
        ("Expected --precision to be .*, but got 'half'", "train", control, "--precision", "half"),
        ("file.* to be a folder that can be written to", "train", control, "--out", "file/below"),
        ("nowhere to be a run .*config.json is missing", "evaluate", "nowhere"),
        ("file to be a folder that can be written to", "evaluate", run_, "--out", "file/scores.json"),
        ("but .* only classifies", "generate", run_, "--label", 9, "--out", "a.csv"),
        ("or a folder, which ends in a slash, but got 'a.gif'", "generate", run_, "--label", 9, "--out", "a.gif"),
        ("nowhere is not a folder", "report", "nowhere"),
    ]:
        assert_refused(capsys, message, *arguments)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]


def test_a_warning_is_one_line_for_people(capsys, monkeypatch):
    def warn(options):
        warnings.warn("Expected more.", UserWarning, stacklevel=1)
        warnings.warn("Old.", DeprecationWarning, stacklevel=1)
        return 0

    monkeypatch.setattr(cli.data, "list_data", warn)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        status, out, err = run(capsys, "data", "list")
    assert (status, out, err.splitlines()[0]) == (0, "", "latentover: Expected more.")
    assert re.search(r"test_cli.py:\d+: DeprecationWarning: Old\.", err)


def test_what_several_runs_warn_of_is_said_once(capsys, monkeypatch):
    def warn(options):
        for text in ("a/b, seed 0: Few.", "a/c, seed 1: Few.", "a/c, seed 1: Fewer.", "No run.", "No run."):
            warnings.warn(text, UserWarning, stacklevel=1)
        return 0

    monkeypatch.setattr(cli.data, "list_data", warn)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        assert run(capsys, "data", "list")[2].splitlines() == [
            "latentover: a/b, seed 0: Few.",
            "latentover: a/c, seed 1: Fewer.",
            "latentover: No run.",
            "latentover: No run.",
        ]
        assert run(capsys, "data", "list", "-v")[2].count("UserWarning: ") == 5, "everything, where that is asked for"


def test_traceback_shows_where_an_error_comes_from(recipes):
    for arguments in (["--traceback", "evaluate", "nowhere"], ["evaluate", "nowhere", "--traceback"]):
        with pytest.raises(FileNotFoundError, match="nowhere to be a run"):
            cli.main(arguments)


def test_a_process_ends_with_the_message_and_the_status(tmp_path):
    result = in_a_process(["-m", "latentover.cli"], "report", tmp_path / "nowhere")
    assert (result.returncode, result.stdout) == (2, "")
    assert re.fullmatch(r"latentover: Expected \*folder\* to be a folder with runs .*\n", result.stderr)


def test_report_writes_tables_where_the_page_ends_in_md(capsys, finished, tmp_path):
    assert run(capsys, "report", finished, "--out", "page.md") == (0, "page.md\n", "")
    assert "| Method |" in (tmp_path / "page.md").read_text(encoding="utf-8")


class TestEvaluateGeneration:
    def test_two_folders_that_somebody_else_made(self, tmp_path, capsys):
        rng = np.random.default_rng(0)
        for name in ("real", "fake"):
            np.savez(tmp_path / f"{name}.npz", X=rng.integers(0, 256, (40, 1, 8, 8), dtype=np.uint8))
        out = tmp_path / "scores.json"
        arguments = [
            "evaluate",
            "--real",
            str(tmp_path / "real.npz"),
            "--fake",
            str(tmp_path / "fake.npz"),
            "--n",
            "30",
        ]
        assert cli.main([*arguments, "--out", str(out)]) == 0
        printed = capsys.readouterr().out
        assert "features pixels (64 dimensions), n = 30 real and 30 generated" in printed
        scores = json.loads(out.read_text())
        assert scores["n"] == 30
        assert scores["pooled"]["fid"] is not None

    @pytest.mark.parametrize("arguments", [[], ["--real", "a"], ["run", "--real", "a", "--fake", "b"], ["--fake", "b"]])
    def test_one_thing_is_to_be_evaluated(self, arguments, capsys):
        assert cli.main(["evaluate", *arguments]) == 2
        assert "Expected a run, or --real and --fake together" in capsys.readouterr().err


# ---- Folders in place of files, and modules of one's own -------------------------------------------------------------


def test_a_folder_for_the_scores_is_refused_before_test_data_is_read(capsys, finished, monkeypatch, tmp_path):
    monkeypatch.setattr("latentover.experiments.evaluate.load_splits", lambda *a, **k: pytest.fail("read the data"))
    before = (finished / "rae" / "seed-0" / "metrics.json").read_bytes()
    message = "Expected .* to be a file or a free name, but it is a folder; choose another name"
    for more in ([], ["--features", "pixels"]):
        assert_refused(capsys, message, "evaluate", finished / "rae" / "seed-0", "--out", tmp_path, *more)
    assert_refused(capsys, message, "report", finished, "--out", tmp_path)
    assert (finished / "rae" / "seed-0" / "metrics.json").read_bytes() == before


def test_modules_that_the_command_names_are_trusted(capsys, recipes, tmp_path, monkeypatch):
    (tmp_path / "modules_of_a_test.py").write_text("from torch import nn\nclass Wide(nn.Flatten):\n    pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    backbone = {"class_path": "modules_of_a_test.Wide"}
    arguments = {**CONTROL["method"]["init_args"], "backbone": backbone, "feature_dim": 64}
    method = {**CONTROL["method"], "init_args": arguments}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({**CONTROL, "method": method}), encoding="utf-8")
    message = "Expected method.init_args.backbone to be a network of .*--trust-modules names"
    for command in (["train", "mine.yaml", "--print-config"], ["benchmark", "mine.yaml"]):
        assert_refused(capsys, message, *command)
        assert_refused(capsys, message, *command, "--trust-modules", "other")
    assert "modules_of_a_test" not in sys.modules
    trust = ["--trust-modules", "other,modules_of_a_test"]
    status, out, _ = run(capsys, "train", "mine.yaml", "--print-config", *trust)
    assert (status, "modules_of_a_test.Wide" in out) == (0, True)
    status, out, err = run(capsys, "train", "mine.yaml", "--out", "runs", "--seed", 0, "--quiet", *trust)
    assert (status, out.splitlines()[0]) == (0, "runs: 1 made, 0 finished before, 0 failed"), err
    assert_refused(capsys, "needs a module of somebody's own; if you trust", "evaluate", "runs/mine/seed-0")
    status, out, _ = run(capsys, "evaluate", "runs/mine/seed-0", *trust)
    assert (status, "test_balanced" in out) == (0, True)


def test_errors_of_several_lines_are_one(capsys, monkeypatch):
    def fail(*args, **kwargs):
        raise MemoryError("no\n  memory")

    monkeypatch.setattr("latentover.experiments.generate.generate", fail)
    assert_refused(capsys, "no memory", "generate", "run", "--label", "1", "--out", "a.npz")
