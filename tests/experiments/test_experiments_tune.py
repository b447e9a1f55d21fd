"""Searching: on validation data alone, the same again, and to the end whatever was killed on the way."""

import json
import os
import pickle
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import optuna
import pytest
import torch
import yaml

import latentover
from latentover import cli
from latentover.data import load_splits
from latentover.experiments import jobs as jobs_module
from latentover.experiments import study as study_module
from latentover.experiments import tune as tune_module
from latentover.experiments import tuned as tuned_module
from latentover.experiments.evaluate import score_splits
from latentover.experiments.recipe import load_recipe
from latentover.experiments.run import Machine, untrained
from latentover.experiments.space import Choice, Range, read_space
from latentover.experiments.study import JOURNAL, Trial
from latentover.experiments.tune import STUDIES, tune
from latentover.files import locked

MACHINE = Machine(device="cpu", precision="float32", verbose=0)
RATE, UNITS, NEIGHBOURS = (
    *("method.init_args.learning_rate", "method.init_args.hidden_units"),
    "sampler.init_args.k_neighbors",
)
SPACE = read_space([f"{RATE}=log(1e-4,1e-1)", f"{UNITS}=choice(4,8)"])
SMOTE = {"class_path": "imblearn.over_sampling.SMOTE", "init_args": {"k_neighbors": 2}}
QUICK = {"method.init_args.max_epochs": 6, "method.init_args.batch_size": 32, "data.validation_fraction": 0.3}
READ = {}


@pytest.fixture(autouse=True)
def read_once(monkeypatch):
    """Recipes are read strictly, which takes a third of a second: each once for all tests of this file."""

    def remembered(path, overrides=(), **settings):
        place, words = Path(path), tuple(overrides)
        key = (place.stem, place.resolve().parent.name, place.read_text(), words, str(settings))
        if key not in READ:
            READ[key] = load_recipe(path, overrides, **settings)
        return READ[key]

    for module in (study_module, tune_module, tuned_module):
        monkeypatch.setattr(module, "load_recipe", remembered)
    monkeypatch.setattr(tune_module, "load_recipes", lambda *args, **settings: [remembered(*args, **settings)])


@pytest.fixture
def control(write_recipe):
    return write_recipe(QUICK, name="plain", kind="control")


@pytest.fixture
def smote(write_recipe):
    rows = {"sampler": SMOTE, "data.layout": "rows", "method.init_args.image_shape": [1, 8, 8]}
    return write_recipe({**QUICK, **rows, "title": "SMOTE"}, name="smote", kind="control")


def trials_of(out, name):
    """What a search has written, read by Optuna alone."""
    backend = optuna.storages.journal.JournalFileBackend(str(Path(out) / STUDIES / name / JOURNAL))
    return optuna.load_study(study_name=name, storage=optuna.storages.JournalStorage(backend)).trials


def account(trials):
    return [(trial.number, trial.state.name, trial.params, trial.value) for trial in trials]


# ---- Spaces ----------------------------------------------------------------------------------------------------------


def test_texts_and_files_say_the_same(tmp_path):
    texts = [
        "a=log(1e-4, 1e-2)",
        "b=int(4,64)",
        "c=choice(a, b, null, [1, 2])",
        "d=float(0,1,step=0.25)",
        "e=int(1,9,log)",
    ]
    file = tmp_path / "space.yaml"
    file.write_text(
        "a: {low: 1e-4, high: 0.01, log: true}\nb: int(4, 64)\nc: [a, b, null, [1, 2]]\n"
        "d: {low: 0.0, high: 1, step: 0.25}\ne: {low: 1, high: 9, log: true}\n"
    )
    space = read_space(texts)
    assert read_space([str(file)]) == space
    assert space == {
        "a": Range(1e-4, 1e-2, log=True),
        "b": Range(4, 64, whole=True),
        "c": Choice(('"a"', '"b"', "null", "[1, 2]")),
        "d": Range(0, 1, step=0.25),
        "e": Range(1, 9, whole=True, log=True),
    }
    assert read_space([f"{key}={values}" for key, values in space.items()]) == space
    assert read_space(["a=int(1,9,step=3)"])["a"].corners() == [1, 7]


def test_what_a_space_holds():
    space = read_space(["a=float(0,1,step=0.1)", "b=int(4,64,step=4)", "c=choice(1,true,null)", "d=log(1e-4,1)"])
    inside = {"a": [0, 0.3, 1], "b": [4, 8, 64], "c": [1, True, None], "d": [1e-4, 0.37, 1]}
    outside = {"a": [0.05, -0.1, None, "a"], "b": [6, 68, True], "c": [0, "1", False], "d": [0, 2, None, False]}
    assert all(value in space[key] for key, values in inside.items() for value in values)
    assert not any(value in space[key] for key, values in outside.items() for value in values)


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ("a=lin(0,1)", r"Expected a to be log\(1e-4,1e-2\), .+, but got 'lin\(0,1\)'"),
        ("a=floats(0,1)", "did you mean 'float'?"),
        ("a=0.1", "Expected a to be .+, but got '0.1'; write one of these."),
        ("a=int(0.5,3)", "Expected the range of a to be of whole numbers, but got '0.5'"),
        ("a=log(0,1)", "Expected a to be above 0 on a log scale, but got 0"),
        ("a=float(1,0)", "Expected a to rise from low to high, but got 1 and 0"),
        ("a=float(1)", r"Expected a to be float\(low,high\), but got float\(1\)"),
        ("a=float(0,nan)", "Expected the range of a to be of numbers, but got 'nan'"),
        ("a=log(1,2,step=1)", "Expected a to have log or step, but got both"),
        ("a=float(0,1,stride=1)", "but got 'stride=1'; remove it."),
        ("a=int(0,4,step=9)", "Expected the step of a to be above 0 and to fit in, but got 9"),
        ("a=choice(x)", "Expected at least two different choices of a"),
        ("a=choice(x", "write one of these"),
        ("nowhere.yaml", "Expected a space as KEY=VALUES or a .yaml file, but nowhere.yaml is neither"),
        ({"a": {"low": 1, "hihg": 2}}, "but got 'hihg'; did you mean 'high'?"),
        ({"a": {"low": 1}}, "Expected a to have low and high, but got no high"),
        ({"a": {"low": 1, "high": 2, "log": "yes!"}}, "Expected log of a to be true or false, but got 'yes!'"),
        (["a"], "Expected .+ to be a mapping from dotted keys"),
        ({}, "Expected a space to search, but got none"),
    ],
)
def test_a_space_that_is_none(item, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if not isinstance(item, str):
        Path("space.yaml").write_text(yaml.safe_dump(item))
        item = "space.yaml"
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        read_space([item])


def test_a_key_twice():
    with pytest.raises(ValueError, match="Expected each key of the space once, but got a twice"):
        read_space(["a=int(1,2)", "a=int(1,3)"])


# ---- What is found ---------------------------------------------------------------------------------------------------


class Unread(dict):
    """Test data that nobody may look at."""

    def _refuse(self, *_):
        raise AssertionError("the test data is read")

    __getitem__ = __iter__ = __len__ = items = values = keys = get = _refuse


def test_each_recipe_is_searched_for_itself_on_validation_data_alone(control, smote, tmp_path, monkeypatch):
    read = jobs_module.load_splits

    def guarded(*args, **kwargs):
        splits = read(*args, **kwargs)
        object.__setattr__(splits, "tests", Unread(splits.tests))
        return splits

    monkeypatch.setattr(jobs_module, "load_splits", guarded)
    space = {**SPACE, **read_space([f"{NEIGHBOURS}=int(1,3)"])}
    found = tune([control, smote], space, MACHINE, trials=3, out=tmp_path / "out")

    plain, over = found.searches
    assert [search.finished + search.pruned + search.failed for search in found.searches] == [3, 3]
    trials = {name: trials_of(tmp_path / "out", name) for name in ("plain", "smote")}
    assert all(set(trial.params) == set(SPACE) for trial in trials["plain"][1:]), "it has no sampler"
    assert all(set(trial.params) == set(space) for trial in trials["smote"][1:]), "the classifier's anew, and its own"
    for search in found.searches:
        assert search.value == max(trial.value for trial in trials[search.name])
        assert search.default == trials[search.name][0].value

    page = found.page.read_text()
    assert found.table in page
    assert "the classifier's settings were searched anew for each sampler" in page
    assert re.search(r"^\| SMOTE \| [\d.]+ \| [\d.]+ \| .+ \| 3 / 0 / 0 \|$", found.table, re.MULTILINE)

    best = load_recipe(over.best)
    number = trials["smote"][over.number]
    assert best.method.learning_rate == number.params.get(RATE, best.method.learning_rate)
    splits = load_splits(best.data)
    estimator = untrained(best, 0, MACHINE, splits).fit(splits.X_train, splits.y_train)
    assert score_splits(estimator, splits)["validation"]["acsa"] == over.value
    header = [row for row in over.best.read_text().splitlines() if row.startswith("#")]
    assert f"trial {over.number}: ACSA {over.value:.6g}; the recipe as it was: {over.default:.6g}." in header[0]
    assert f"# Searched: {NEIGHBOURS} in int(1, 3)" in header
    assert any(splits.data_hash in row for row in header)
    assert plain.best != over.best


def test_the_recipe_as_it_is_is_tried_although_it_lies_beyond_the_space(control, tmp_path):
    space = read_space([f"{UNITS}=choice(30,40)", f"{RATE}=log(1e-5,1e-1)"])
    tune([control], space, MACHINE, trials=1, out=tmp_path / "out")
    (first,) = trials_of(tmp_path / "out", "plain")
    assert first.params == {RATE: load_recipe(control).method.learning_rate}
    best = load_recipe(tmp_path / "out" / "plain.yaml")
    assert (best.method.hidden_units, best.sha256) == (8, load_recipe(control).sha256)


def test_more_seeds_count_by_their_mean_and_less_is_better_of_some_metrics(control, tmp_path):
    found = tune([control], SPACE, MACHINE, trials=3, metric="brier", seeds=[1, 2], out=tmp_path / "out")
    trials = trials_of(tmp_path / "out", "plain")
    assert all(len(trial.user_attrs["scores"]) == 2 for trial in trials)
    assert all(trial.value == np.mean(trial.user_attrs["scores"]) for trial in trials)
    assert len({trial.value for trial in trials}) == 3
    assert found.searches[0].value == min(trial.value for trial in trials)


def test_what_is_watched_is_trained_to_the_same_weights(control, tmp_path, monkeypatch):
    made = []
    monkeypatch.setattr(study_module, "untrained", lambda *args: made.append(untrained(*args)) or made[-1])
    tune([control], SPACE, MACHINE, trials=2, out=tmp_path / "out")
    assert all(trial.intermediate_values for trial in trials_of(tmp_path / "out", "plain"))
    recipe = load_recipe(control)
    splits = load_splits(recipe.data)
    plain = untrained(recipe, 0, MACHINE, splits).fit(splits.X_train, splits.y_train)
    weights, others = plain.networks_.state_dict(), made[0].networks_.state_dict()
    assert weights.keys() == others.keys()
    assert all(torch.equal(weights[name], others[name]) for name in weights)


@pytest.fixture
def falling(monkeypatch):
    """Each trial is worse than all before it."""
    numbers = {}

    def score(estimator, splits, metric):
        final = study_module.final_step(estimator)
        return 1 / (1 + numbers.setdefault(id(final), len(numbers)))

    kept = []
    monkeypatch.setattr(study_module, "validation_score", score)
    monkeypatch.setattr(study_module, "untrained", lambda *args: kept.append(untrained(*args)) or kept[-1])


@pytest.mark.parametrize("pruning", [True, False])
def test_a_training_that_does_worse_than_the_others_is_ended_early(pruning, falling, control, tmp_path):
    (search,) = tune([control], SPACE, MACHINE, trials=7, pruning=pruning, out=tmp_path / "out").searches
    assert (search.finished, search.pruned, search.failed) == ((5, 2, 0) if pruning else (7, 0, 0))
    ended = [trial for trial in trials_of(tmp_path / "out", "plain") if trial.state.name == "PRUNED"]
    assert all(study_module.WARM_UP <= trial.last_step < study_module.MARKS for trial in ended)
    page = (tmp_path / "out" / "tune.md").read_text()
    assert ("No training was ended early" in page) is not pruning


def test_trials_that_fail_are_counted_and_told(control, tmp_path, monkeypatch):
    def score(estimator, splits, metric):
        raise ArithmeticError("no | score")

    monkeypatch.setattr(study_module, "validation_score", score)
    (search,) = tune([control], SPACE, MACHINE, trials=2, out=tmp_path / "out").searches
    assert (search.best, search.value, search.failed) == (None, None, 2)
    assert search.failures == dict.fromkeys((0, 1), "ArithmeticError: no | score")
    assert r"- trial 1 failed: ArithmeticError: no \| score" in (tmp_path / "out" / "tune.md").read_text()
    assert not (tmp_path / "out" / "plain.yaml").exists()


# ---- The same again, and on from where it was ------------------------------------------------------------------------


def test_the_same_seed_makes_the_same_trials_in_a_go_or_two(control, tmp_path):
    for out, steps in (("one", [12]), ("two", [2, 12])):
        for n in steps:
            tune([control], SPACE, MACHINE, trials=n, out=tmp_path / out)
    tune([control], SPACE, MACHINE, trials=3, seed=1, out=tmp_path / "other")
    one, two, other = (account(trials_of(tmp_path / out, "plain")) for out in ("one", "two", "other"))
    assert one == two
    assert len({json.dumps(params) for _, _, params, _ in one}) == 12
    assert other[1:] != one[1:3]
    assert (tmp_path / "one" / "plain.yaml").read_bytes() == (tmp_path / "two" / "plain.yaml").read_bytes()


class Killed(BaseException):
    pass


@pytest.mark.parametrize("moment", ["train", "choose", "tell", "half a line"])
def test_an_interrupted_trial_is_run_again_under_its_number(moment, control, tmp_path, monkeypatch):
    tune([control], SPACE, MACHINE, trials=4, out=tmp_path / "whole")
    owner, name = {
        "choose": (Choice, "suggest"),
        "tell": (study_module.Study, "tell"),
    }.get(moment, (study_module.Trial, "_score"))
    calls, function = [], getattr(owner, name)

    def dying(*args, **kwargs):
        calls.append(name)
        if len(calls) == (4 if name == "suggest" else 3):
            raise Killed
        return function(*args, **kwargs)

    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, dying)
        with pytest.raises(Killed):
            tune([control], SPACE, MACHINE, trials=4, out=out)
    states = [trial.state.name for trial in trials_of(out, "plain")]
    assert states == ["COMPLETE", "COMPLETE", "RUNNING"]
    if moment == "half a line":
        with (out / STUDIES / "plain" / JOURNAL).open("a") as file:
            file.write('{"op_code":6,"worker')
    tune([control], SPACE, MACHINE, trials=4, out=out)
    assert account(trials_of(out, "plain")) == account(trials_of(tmp_path / "whole", "plain"))


def test_a_search_that_was_killed_goes_on_to_exactly_as_many_trials(control, tmp_path):
    command = [
        *("tune", str(control), "--space", f"{RATE}=log(1e-4,1e-1)", "--trials", "5", "--no-pruning"),
        *("--device", "cpu", "--quiet", "--out", str(tmp_path / "out"), "--method.init_args.max_epochs", "60"),
    ]
    package = Path(latentover.__file__).parent.parent
    environment = {**os.environ, "PYTHONPATH": str(package), "OMP_NUM_THREADS": "1"}
    journal = tmp_path / "out" / STUDIES / "plain" / JOURNAL
    process = subprocess.Popen([sys.executable, "-m", "latentover.cli", *command], env=environment)
    while not journal.exists() or journal.read_text().count('"scores"') < 2:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL

    before = account(trial for trial in trials_of(tmp_path / "out", "plain") if trial.state.name == "COMPLETE")
    assert 1 <= len(before) < 5
    assert cli.main(command) == 0
    after = account(trials_of(tmp_path / "out", "plain"))
    assert [number for number, *_ in after] == list(range(5))
    assert {state for _, state, *_ in after} == {"COMPLETE"}
    assert after[: len(before)] == before
    assert len({params[RATE] for _, _, params, _ in after}) == 5


def test_nothing_is_trained_where_all_is_there(control, tmp_path, monkeypatch):
    tune([control], SPACE, MACHINE, trials=2, out=tmp_path / "out")
    page = (tmp_path / "out" / "tune.md").read_bytes()
    monkeypatch.setattr(Trial, "run", lambda *_, **__: pytest.fail("is there already"))
    tune([control], SPACE, MACHINE, trials=2, out=tmp_path / "out")
    assert (tmp_path / "out" / "tune.md").read_bytes() == page


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"overrides": ["--method.init_args.dropout=0.3"]}, "recipe_sha256"),
        ({"space": read_space([f"{RATE}=log(1e-4,1)"])}, "space"),
        ({"metric": "gm_c"}, "metric"),
        ({"seeds": [3]}, "seeds"),
        ({"overrides": ["--data.seed=5"]}, "recipe_sha256, data_hash"),
        ({"pruning": False}, "pruning"),
        ({"seed": 9}, "search_seed"),
    ],
    ids=str,
)
def test_a_search_of_something_else_is_refused(change, word, control, tmp_path):
    settings = {"space": read_space([f"{RATE}=log(1e-4,1e-1)"]), "machine": MACHINE, "trials": 1}
    tune([control], **settings, out=tmp_path / "out")
    journal = tmp_path / "out" / STUDIES / "plain" / JOURNAL
    before = journal.read_bytes()
    with pytest.raises(ValueError, match=f"Expected the search in .+ to go on as it began, but its {word} changed"):
        tune([control], **{**settings, **change}, out=tmp_path / "out")
    assert journal.read_bytes() == before


def test_one_process_at_a_time_searches_in_a_folder(control, tmp_path):
    with locked(tmp_path / "out" / STUDIES), pytest.raises(BlockingIOError, match="another process is writing it"):
        tune([control], SPACE, MACHINE, trials=1, out=tmp_path / "out")


# ---- Backends --------------------------------------------------------------------------------------------------------


def test_trials_are_asked_for_one_by_one_and_can_be_run_elsewhere(control, tmp_path):
    log = []

    def two_at_once(tasks, machine, *, wait):
        """Two workers, as it were, which get tasks by pickle."""
        tasks, running = iter(tasks), []
        while True:
            for task in tasks:
                log.append(("asked", task.number))
                running.append(task)
                if len(running) == 2:
                    break
            if not running:
                return
            task = running.pop(0)
            outcome = pickle.loads(pickle.dumps(task)).run(machine, wait=wait)
            log.append(("ended", task.number))
            yield task, outcome

    found = tune([control], SPACE, MACHINE, trials=4, out=tmp_path / "out", backend=two_at_once)
    assert [what for what, _ in log[:4]] == ["asked", "asked", "ended", "asked"]
    assert sorted(number for what, number in log if what == "ended") == [0, 1, 2, 3]
    assert found.searches[0].finished == 4
    names = {f"plain, trial {number}" for number in range(4)}
    assert {Trial(tmp_path, "plain", n, (), (0,), "acsa", pruning=True, data_hash="").name for n in range(4)} == names


def test_several_write_to_a_journal_at_the_same_time(control, tmp_path):
    tune([control], SPACE, MACHINE, trials=1, out=tmp_path / "out")
    folder = tmp_path / "out" / STUDIES / "plain"
    study = optuna.load_study(study_name="plain", storage=study_module._storage(folder))
    trials = [study.ask() for _ in range(4)]

    def report(trial):
        storage = study_module._storage(folder)  # as a process of its own has one
        for mark in range(25):
            storage.set_trial_intermediate_value(trial._trial_id, mark, mark / 25)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(report, trials))
    assert [len(trial.intermediate_values) for trial in trials_of(tmp_path / "out", "plain")[1:]] == [25] * 4


# ---- What is wrong ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("space", "changes", "message"),
    [
        (["method.init_args.learning_rat=log(1e-4,1)"], {}, "did you mean 'learning_rate'?"),
        (["methd.init_args.learning_rate=log(1e-4,1)"], {}, "did you mean 'method'?"),
        (["method.init_args.device=choice(cpu,cuda)"], {}, "which belongs to where it is trained"),
        (["method.init_args.dropout=float(0,1.5)"], {}, r"Expected method.init_args.dropout to be .+, but got 1.5"),
        (["method.init_args.max_epochs=float(1,9)"], {}, "to be a whole number, but got '1.0'"),
        (["method.init_args.loss=choice(ce,ldmm)"], {}, "but got 'ldmm'; did you mean 'ldam'?"),
        (["data.seed=int(0,3)"], {}, "Expected a setting of the method or the sampler, but got data.seed"),
        (["sampler.init_args.k=int(1,3)"], {}, "but got sampler.init_args.k; they have no sampler's settings"),
        ([f"{RATE}=log(1e-4,1)"], {"metric": "asca"}, "Expected the metric to be one of .+; did you mean 'acsa'?"),
        ([f"{RATE}=log(1e-4,1)"], {"trials": 0}, "Expected the number of trials to be at least 1, but got 0"),
        ([f"{RATE}=log(1e-4,1)"], {"seed": -1}, "Expected seeds? to be"),
        (
            [f"{RATE}=log(1e-4,1)"],
            {"overrides": ["--data.validation_fraction=0"]},
            "add --data.validation_fraction 0.2",
        ),
    ],
)
def test_mistakes_are_found_before_anything_is_trained(space, changes, message, control, tmp_path, monkeypatch):
    monkeypatch.setattr(Trial, "run", lambda *_, **__: pytest.fail("is trained"))
    with pytest.raises(ValueError, match=message):
        tune([control], read_space(space), MACHINE, **{"trials": 1, **changes}, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_settings_of_a_sampler_that_no_recipe_has_name_the_nearest(control, smote, tmp_path):
    space = read_space(["sampler.init_args.k_neighbour=int(1,3)"])
    with pytest.raises(ValueError, match=r"did you mean 'sampler.init_args.k_neighbors'\?"):
        tune([control, smote], space, MACHINE, trials=1, out=tmp_path / "out")


def test_a_recipe_without_anything_to_search(control, smote, tmp_path):
    with pytest.raises(ValueError, match=r"plain.yaml has, but it has none of them"):
        tune([smote, control], read_space([f"{NEIGHBOURS}=int(1,3)"]), MACHINE, trials=1, out=tmp_path / "out")


def test_without_optuna_the_message_says_what_to_install():
    code = "import sys; sys.modules['optuna'] = None; from latentover import cli; sys.exit(cli.main(sys.argv[1:]))"
    environment = {**os.environ, "PYTHONPATH": str(Path(latentover.__file__).parent.parent)}
    command = [sys.executable, "-c", code, "tune", "configs/digits/none.yaml", "--space", "a=int(1,2)"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert 'pip install "latentover[tune]"' in done.stderr


# ---- The command -----------------------------------------------------------------------------------------------------


def test_the_command_prints_the_table_and_where_everything_is(control, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    command = ["tune", str(control), "--space", f"{RATE}=log(1e-4,1e-1)", "--trials", "2", "--device", "cpu"]
    assert cli.main(command) == 0
    printed = capsys.readouterr()
    out = Path("runs/tune/recipes")
    assert f"best recipe: {out / 'plain.yaml'}" in printed.out
    assert "| Tiny control | " in printed.out
    assert "[2/2] plain, trial 1: " in printed.err
    assert "[I " not in printed.err, "Optuna is quiet"
    command[command.index("--trials") + 1] = "4"
    assert cli.main([*command, "--jobs", "2"]) == 0
    assert re.search(r"\[2/2\] plain, trial [23]: ", capsys.readouterr().err)

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(Trial, "run", interrupt)
    assert cli.main([*command[:-4], "--trials", "6", "--device", "cpu"]) == 130
    assert "trials that ended are kept, the same command goes on from there" in capsys.readouterr().err
