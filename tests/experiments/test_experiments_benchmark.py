"""Many runs: each once, whatever happens to the others, with progress that fits where it is read."""

import io
import re
import sys

import pytest

from latentover.experiments import jobs as jobs_module
from latentover.experiments import progress as progress_module
from latentover.experiments.benchmark import Outcome, benchmark
from latentover.experiments.environment import code_version
from latentover.experiments.run import Machine
from latentover.runs.folder import RunFolder

RUNS = r"\[\d/\d\] out/\w+, seed \d: "


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def trained(monkeypatch):
    """Names of the runs that are made; making one writes only what says that it is finished."""
    made = []

    def run_recipe(recipe, seed, folder, machine, splits, *, wait):
        made.append(f"{recipe.name} {seed}")
        if recipe.title == "broken":
            raise RuntimeError("the classifier loss became nan")
        if recipe.title == "stopped":
            raise KeyboardInterrupt
        certificate = {"recipe_sha256": recipe.sha256, "seed": seed, "fit_seconds": 1.25, "code": code_version()}
        certificate |= {"data_hash": getattr(splits, "data_hash", None), "recipe": recipe.name}
        metrics = {"format": 1, "acsa": 0.5, "certificate": certificate, "files": {}}
        RunFolder(folder).check()
        folder.mkdir(exist_ok=True)
        (folder / "metrics.json").write_text(str(metrics).replace("'", '"'))
        return metrics

    monkeypatch.setattr(jobs_module, "run_recipe", run_recipe)
    monkeypatch.setattr("latentover.experiments.benchmark.refresh_labels", lambda recipe, folder: None)
    return made


def test_every_recipe_runs_with_every_seed_once(write_recipe, machine, tmp_path, trained):
    recipes = [write_recipe({"seeds": [0, 1]}, name="a"), write_recipe({"seeds": [3]}, name="b", kind="control")]
    out = tmp_path / "out"
    assert benchmark(recipes, machine, out=out) == Outcome([out], finished=3, repeated=0, failures={})
    assert trained == ["a 0", "a 1", "b 3"]
    assert benchmark(recipes, machine, out=out) == Outcome([out], finished=0, repeated=3, failures={})
    assert benchmark(recipes, machine, out=out, seeds=[1, 2]).finished == 3
    assert trained[3:] == ["a 2", "b 1", "b 2"]


def test_a_changed_recipe_runs_again(write_recipe, machine, tmp_path, trained):
    out = tmp_path / "out"
    for changes in ({}, {"title": "Renamed"}, {"method.init_args.max_steps": 3}):
        benchmark([write_recipe(changes)], machine, out=out)
    assert trained == ["tiny 0", "tiny 0"]
    benchmark([write_recipe()], machine, out=out, overrides=["--method.init_args.max_steps", "3"])
    assert len(trained) == 2


def test_a_recipe_with_variants_runs_each_of_them_and_nothing_else(write_recipe, machine, tmp_path, trained):
    variants = {"paper": {}, "wide": {"method.init_args.latent_dim": 6, "seeds": [0, 1]}}
    recipes = [write_recipe({"variants": variants}, name="ablation"), write_recipe(name="tiny")]
    assert benchmark(recipes, machine, out=tmp_path / "out").finished == 4
    assert trained == ["ablation-paper 0", "ablation-wide 0", "ablation-wide 1", "tiny 0"]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["ablation-paper", "ablation-wide", "tiny"]
    write_recipe({"variants": {**variants, "wide": {"method.init_args.latent_dim": 7}}}, name="ablation")
    assert benchmark(recipes, machine, out=tmp_path / "out").repeated == 2
    assert trained[4:] == ["ablation-wide 0"]
    benchmark(recipes, machine, out=tmp_path / "out", overrides=["--method.init_args.latent_dim", "5"])
    assert trained[5:] == ["ablation-paper 0", "ablation-wide 0", "tiny 0"]


def test_a_variant_that_would_write_where_another_recipe_does_is_refused(write_recipe, machine, tmp_path, trained):
    recipes = [write_recipe({"variants": {"b": {}}}, name="a"), write_recipe(name="a-b")]
    with pytest.raises(ValueError, match=r"to different folders, but .*a.yaml and .*a-b.yaml both write to .*a-b/seed"):
        benchmark(recipes, machine, out=tmp_path / "out")
    assert not trained


def test_the_failure_of_a_variant_names_it(write_recipe, machine, tmp_path, trained, capsys):
    recipe = write_recipe({"variants": {"good": {}, "bad": {"title": "broken"}}}, name="a")
    outcome = benchmark([recipe], machine, out=tmp_path / "out")
    assert (outcome.finished, list(outcome.failures)) == (1, ["out/a-bad, seed 0"])
    assert "[2/2] out/a-bad, seed 0: failed: RuntimeError" in capsys.readouterr().err


def test_runs_lie_below_runs_and_the_group(write_recipe, machine, tmp_path, trained, monkeypatch):
    monkeypatch.chdir(tmp_path)
    outcome = benchmark([write_recipe()], machine)
    assert [folder.as_posix() for folder in outcome.folders] == ["runs/recipes"]
    assert (tmp_path / "runs" / "recipes" / "tiny" / "seed-0" / "metrics.json").is_file()


def test_a_run_that_fails_does_not_stop_the_others(write_recipe, machine, tmp_path, trained, capsys):
    recipes = [write_recipe({"title": "broken", "seeds": [0, 1]}, name="a"), write_recipe(name="b")]
    outcome = benchmark(recipes, machine, out=tmp_path / "out")
    assert trained == ["a 0", "a 1", "b 0"]
    assert (outcome.finished, outcome.repeated) == (1, 0)
    assert list(outcome.failures) == ["out/a, seed 0", "out/a, seed 1"]
    failure = outcome.failures["out/a, seed 0"]
    assert failure.message == "RuntimeError: the classifier loss became nan"
    assert "Traceback" in failure.traceback
    assert capsys.readouterr().err.splitlines() == [
        "[1/3] out/a, seed 0: failed: RuntimeError: the classifier loss became nan",
        "[2/3] out/a, seed 1: failed as above",
    ]


def test_runs_of_one_name_in_two_groups_are_told_apart(write_recipe, machine, tmp_path, trained, monkeypatch):
    monkeypatch.chdir(tmp_path)
    broken = write_recipe({"title": "broken"}).rename(tmp_path / "tiny.yaml")
    outcome = benchmark([broken, write_recipe()], machine)
    assert list(outcome.failures) == [f"{tmp_path.name}/tiny, seed 0"]
    assert [folder.name for folder in outcome.folders] == ["recipes"]  # the one that has a finished run


def test_two_recipes_that_would_write_to_one_folder_are_refused(write_recipe, machine, tmp_path, trained):
    other = write_recipe().rename(tmp_path / "tiny.yaml")
    with pytest.raises(
        ValueError, match=r"to different folders, but .* both write to .*seed-0; rename one, or run them"
    ):
        benchmark([other, write_recipe()], machine, out=tmp_path / "out")
    assert not trained


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"jobs": 0}, "Expected jobs to be at least 1, but got 0"),
        ({"seeds": []}, r"Expected seeds to be one or more different whole numbers of at least 0, but got \[\]"),
        ({"seeds": [-1]}, r"but got \[-1\]"),
        ({"seeds": [0, 0]}, r"but got \[0, 0\]"),
        ({"machine": Machine(device="cuda:99")}, "Expected device to be .*, but got 'cuda:99'"),
        ({"machine": Machine(precision="half")}, "Expected precision to be .*, but got 'half'"),
        (
            {"machine": Machine(checkpoint_every=0)},
            "Expected checkpoint_every to be at least 1 training step, but got 0",
        ),
    ],
)
def test_wrong_numbers_are_found_before_training(write_recipe, machine, tmp_path, trained, options, message):
    options = {"machine": machine, **options}
    with pytest.raises(ValueError, match=message):
        benchmark([write_recipe()], out=tmp_path / "out", **options)
    assert not trained


def test_a_mistake_in_the_last_recipe_costs_no_training(write_recipe, machine, tmp_path, trained):
    with pytest.raises(ValueError, match="did you mean 'latent_dim'"):
        benchmark([write_recipe(), write_recipe({"method.init_args.latentdim": 3}, name="b")], machine, out=tmp_path)
    assert not trained


def test_a_folder_that_cannot_be_written_costs_no_training(write_recipe, machine, tmp_path, trained):
    (tmp_path / "out" / "b").mkdir(parents=True)
    (tmp_path / "out" / "b" / "seed-0").touch()
    with pytest.raises(NotADirectoryError, match=r"Expected .*seed-0 to be a folder or a free name, but it is a file"):
        benchmark([write_recipe(), write_recipe(name="b")], machine, out=tmp_path / "out")
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match=r"file.* to be a folder that can be written to"):
        benchmark([write_recipe()], machine, out=tmp_path / "file" / "below")
    assert not trained


def test_the_data_is_read_once_and_not_kept(write_recipe, machine, tmp_path, trained, monkeypatch):
    read, load = [], jobs_module.load_splits
    monkeypatch.setattr(
        jobs_module, "load_splits", lambda config, **kwargs: (read.append(config.source), load(config, **kwargs))[1]
    )
    recipes = [
        write_recipe({"seeds": [0, 1]}),
        write_recipe(name="b", kind="control"),
        write_recipe({"data.seed": 1}, name="c"),
    ]
    for out in ("first", "second"):
        benchmark(recipes, machine, out=tmp_path / out)
        assert read == ["digits", "digits"]
        read.clear()


def test_an_interrupt_is_passed_on_and_finished_runs_stay(write_recipe, machine, tmp_path, trained):
    recipes = [write_recipe(name="a"), write_recipe({"title": "stopped"}, name="b"), write_recipe(name="c")]
    with pytest.raises(KeyboardInterrupt):
        benchmark(recipes, machine, out=tmp_path / "out")
    assert trained == ["a 0", "b 0"]
    assert benchmark(recipes[:1], machine, out=tmp_path / "out").repeated == 1
    assert not jobs_module._LAST_SPLITS


# ---- Progress --------------------------------------------------------------------------------------------------------


def test_a_log_has_a_line_a_run_and_no_bars(write_recipe, tmp_path, capsys):
    recipes = [write_recipe({"evaluation.tsne_points": 0}), write_recipe(name="b", kind="control")]
    benchmark(recipes, Machine(device="cpu", precision="float32"), out=tmp_path / "out")
    out, err = capsys.readouterr()
    assert out == ""
    assert "\r" not in err
    lines = [line for line in err.splitlines() if line.startswith("[")]  # the others are those of the fit
    assert len(lines) == 2
    assert all(re.fullmatch(rf"{RUNS}\d+\.\d\d ACSA, \d+\.\d s to fit", line) for line in lines)


def test_a_log_of_long_runs_says_how_much_is_left(write_recipe, tmp_path, trained, monkeypatch, capsys):
    clock = iter([0, 90, 180, 7380, 7400])  # seconds at the start and after each run
    monkeypatch.setattr(progress_module.time, "perf_counter", lambda: next(clock))
    benchmark([write_recipe({"seeds": [0, 1, 2, 3]})], Machine(device="cpu"), out=tmp_path / "out")
    ends = [line.partition(" s to fit")[2] for line in capsys.readouterr().err.splitlines()]
    assert ends == [", about 4 min left", ", about 3 min left", ", about 41 min left", ""]


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_terminal_shows_all_runs_with_their_steps(write_recipe, tmp_path, monkeypatch, jobs):
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(progress_module, "LOOK_SECONDS", 0.05)
    changes = {"evaluation.tsne_points": 0, "seeds": [0, 1], "method.init_args.max_steps": 1500 // jobs}
    machine = Machine(device="cpu", precision="float32", checkpoint_every=20)
    benchmark([write_recipe(changes)], machine, out=tmp_path / "out", jobs=jobs)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.getvalue())
    assert re.search(r"runs +\S+ 0/2 ", text)
    assert re.search(r"runs +\S+ 2/2 ", text)
    assert re.search(r"out/tiny, seed [01] \S+ [\d,]+/[\d,]+ steps .*RAEClassifier", text)
    assert "RAEClassifier:" not in text  # no bar of the training itself
    assert not re.search(RUNS, text)


def test_quiet_is_silent_but_for_failures(write_recipe, machine, tmp_path, trained, monkeypatch):
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    benchmark([write_recipe()], machine, out=tmp_path / "out")
    assert terminal.getvalue() == ""
    benchmark([write_recipe({"title": "broken"}, name="b")], machine, out=tmp_path / "out")
    assert "[1/1] out/b, seed 0: failed: RuntimeError" in terminal.getvalue()


def test_workers_take_one_run_of_each_recipe_first_and_then_the_longest(write_recipe, machine, tmp_path, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("latentover.experiments.benchmark.time.monotonic", lambda: clock[0])
    took = {"long": 10.0, "short": 1.0, "middle": 3.0}
    taken = []

    def backend(tasks, machine, *, wait):
        """Two workers on a clock of our own; the next task is taken when one is free."""
        waiting, running = iter(tasks), []
        while True:
            while len(running) < 2 and (task := next(waiting, None)) is not None:
                taken.append(f"{task.recipe.name} {task.seed}")
                running.append((clock[0] + took[task.recipe.name], len(taken), task))
            if not running:
                return
            running.sort()
            clock[0], _, task = running.pop(0)
            yield task, {"acsa": 0.5, "certificate": {"fit_seconds": 1.0}}

    recipes = [write_recipe({"seeds": [0, 1, 2]}, name=name) for name in took]
    assert benchmark(recipes, machine, out=tmp_path / "out", backend=backend).finished == 9
    assert taken[:2] == ["long 0", "short 0"]
    assert taken[2] == "middle 0"  # of no recipe that was seen yet
    assert taken[3:5] == ["long 1", "long 2"]  # one has been going on for longer than all others took
    assert taken[5:] == ["middle 1", "middle 2", "short 1", "short 2"]
