"""A run is one folder that is there when it is complete, and says where its numbers come from."""

import dataclasses
import json
import re
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from imblearn.over_sampling import RandomOverSampler
from imblearn.pipeline import make_pipeline
from PIL import Image

import latentover
from latentover.data import load_splits
from latentover.experiments import run as run_module
from latentover.experiments.benchmark import benchmark
from latentover.experiments.environment import commit, environment, hardware
from latentover.experiments.evaluate import evaluate_run, memorization_of
from latentover.experiments.recipe import load_recipe
from latentover.experiments.run import Machine, is_finished, refresh_labels, run_folder, run_recipe
from latentover.report import write_report
from latentover.runs.folder import RunFolder
from latentover.runs.reading import read_curves

BUNDLE = {
    "README.md",
    "config.json",
    "curves.json",
    "environment.json",
    "history.csv",
    "metrics.json",
    "model.safetensors",
    "recipe.yaml",
    "samples.npz",
    "samples.png",
    "tsne.csv",
}
FRACTIONS = ("acsa", "macro_f1", "gm_a", "gm_b", "gm_c", "mauprc_ova", "ece", "brier", "top1")


def names_in(folder):
    return {path.name for path in folder.iterdir()}


# ---- What a run leaves -----------------------------------------------------------------------------------------------


def test_a_run_of_a_generator_of_images_has_exactly_the_files_of_a_bundle(tiny):
    _, _, folder = tiny
    assert names_in(folder) == BUNDLE
    assert names_in(folder.parent) == {folder.name}


def test_the_recipe_in_a_run_is_the_recipe(tiny):
    recipe, _, folder = tiny
    assert load_recipe(folder / "recipe.yaml").sha256 == recipe.sha256


def test_the_history_has_a_row_a_report(tiny):
    _, _, folder = tiny
    history = pd.read_csv(folder / "history.csv")
    assert history["step"].tolist() == [1, 2]
    assert {"seconds", "classifier", "decoder", "critic"} <= set(history.columns)


def test_the_pictures_are_those_the_recipe_asks_for(tiny):
    _, _, folder = tiny
    with Image.open(folder / "samples.png") as picture:
        assert picture.format == "PNG"
    points = pd.read_csv(folder / "tsne.csv")
    assert list(points.columns) == ["x", "y", "label", "kind"]
    assert points["kind"].value_counts().to_dict() == {"real": 20, "synthetic": 20}
    assert np.isfinite(points[["x", "y"]].to_numpy()).all()


def test_the_curves_belong_to_the_scores(tiny):
    _, metrics, folder = tiny
    curves = read_curves(folder / "curves.json")
    assert curves.keys() == metrics["splits"].keys()
    assert "curves.json" in metrics["files"]
    assert (folder / "curves.json").stat().st_size < 20_000
    for split, points in curves.items():
        scores = metrics["splits"][split]
        assert points["n"] == sum(scores["support"])
        n, sure, right = (np.array(points["reliability"][name]) for name in ("n", "confidence", "accuracy"))
        assert (n * np.abs(sure - right)).sum() / n.sum() == pytest.approx(scores["ece"], abs=1e-3)
        support = dict(zip(scores["classes"], scores["support"], strict=True))
        for one in points["classes"]:
            assert one["found"][0] == one["n"] == support[one["label"]], "the lowest threshold finds all"


def test_the_metrics_are_fractions_on_every_split(tiny):
    _, metrics, folder = tiny
    assert json.loads((folder / "metrics.json").read_text(encoding="utf-8")) == metrics
    assert metrics["format"] == 1
    assert metrics["split"] == "test_balanced"
    assert set(metrics["splits"]) == {"test_balanced", "validation"}
    for scores in metrics["splits"].values():
        for name in FRACTIONS:
            assert 0 <= scores[name] <= 1 or name == "brier"
    primary = metrics["splits"]["test_balanced"]
    assert {name: metrics[name] for name in primary} == primary


def test_the_training_counts_are_those_after_validation_was_held_out(tiny):
    _, metrics, _ = tiny
    counts = list(metrics["train_counts"].values())
    assert list(metrics["train_counts"]) == [str(label) for label in range(10)]
    assert counts == sorted(counts, reverse=True)
    assert (counts[0], counts[-1]) == (27, 5)
    assert sum(counts) == metrics["certificate"]["n_train"]


def test_the_certificate_says_where_the_numbers_come_from(tiny):
    recipe, metrics, folder = tiny
    certificate = metrics["certificate"]
    expected = {
        "recipe": "tiny",
        "title": "Tiny RAE",
        "recipe_sha256": recipe.sha256,
        "group": recipe.group,
        "seed": 0,
        "data": "digits",
        "split": "test_balanced",
        "weights": "last epoch",
        "device": "cpu",
        "precision": "float32",
    }
    assert {name: certificate[name] for name in expected} == expected
    assert set(certificate) - set(expected) == {
        "data_hash",
        "n_train",
        "n_test",
        "fit_seconds",
        "code",
        "hardware",
        "commit",
        "python",
        "versions",
        "date",
    }
    assert re.fullmatch("[0-9a-f]{16}", certificate["data_hash"])
    assert certificate["n_test"] % 10 == 0
    assert certificate["fit_seconds"] > 0
    assert {"latentover", "torch", "scikit-learn", "imbalanced-learn"} <= set(certificate["versions"])
    place = json.loads((folder / "environment.json").read_text(encoding="utf-8"))
    assert place == {name: certificate[name] for name in place}


def test_the_card_tells_a_finder_what_it_is(tiny):
    _, metrics, folder = tiny
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert card.startswith("# Tiny RAE on digits, seed 0\n")
    for words in (
        "**Method**: RAEClassifier",
        "0: 27",
        f"| test_balanced | {100 * metrics['acsa']:.2f} |",
        "no row of the training data",
        "`samples.png` and `samples.npz` do show a few training images",
        metrics["certificate"]["recipe_sha256"][:12],
    ):
        assert words in card


def test_how_near_samples_lie_to_training_rows_is_written_down(tiny):
    _, metrics, folder = tiny
    found = metrics["memorization"]
    rare = {label: n for label, n in metrics["train_counts"].items() if n < max(metrics["train_counts"].values())}
    assert {label: scores["n_train"] for label, scores in found["classes"].items()} == rare
    assert {scores["n"] for scores in found["classes"].values()} == {found["n_samples"]} == {64}
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert (
        f"- **Memorization**: of 64 new samples of each of {len(rare)} classes, 0 in all equal a training row." in card
    )
    ratios = [scores["distance_ratio"] for scores in found["classes"].values()]
    assert f"is, by class, {min(ratios):.2f} to {max(ratios):.2f} of that between training rows" in card


def test_the_card_warns_of_samples_that_are_made_of_the_rows(write_recipe, machine, tmp_path):
    sampler = {"class_path": "latentover.ClassicalSampler", "init_args": {"k_neighbors": 2}}
    for number, changes in enumerate([{}, {"sampler": sampler}]):
        metrics = run_recipe(load_recipe(write_recipe(changes, kind="control")), 0, tmp_path / str(number), machine)
        card = (tmp_path / str(number) / "README.md").read_text(encoding="utf-8")
        assert ("memorization" in metrics) == ("ClassicalSampler makes each sample from the" in card) == bool(changes)


def test_what_learned_from_over_sampled_data_does_not_know_the_rows():
    X, y = np.random.default_rng(0).normal(size=(30, 3)), np.repeat([0, 1], [20, 10])
    settings = {"max_steps": 1, "hidden_units": 8, "device": "cpu"}
    splits = SimpleNamespace(X_train=X, y_train=y)
    after = make_pipeline(RandomOverSampler(), latentover.RAEClassifier(**settings)).fit(X, y)
    assert memorization_of(after, splits) == {}
    assert memorization_of(latentover.RAEClassifier(**settings).fit(X, y), splits)["memorization"]["n_samples"] == 64


def test_a_run_is_loaded_as_what_was_trained(tiny):
    _, metrics, folder = tiny
    model = latentover.load(folder)
    assert isinstance(model, latentover.RAEClassifier)
    assert dict(zip(map(str, model.classes_), model.class_counts_.tolist(), strict=True)) == metrics["train_counts"]


def test_a_run_of_a_control_has_no_pictures(write_recipe, machine, tmp_path):
    recipe = load_recipe(write_recipe(kind="control"))
    run_recipe(recipe, 0, tmp_path / "out", machine)
    assert names_in(tmp_path / "out") == BUNDLE - {"samples.npz", "samples.png", "tsne.csv"}
    assert "samples.png" not in (tmp_path / "out" / "README.md").read_text(encoding="utf-8")


def test_a_run_of_an_autoencoder_without_decoder_has_scores_and_no_samples(write_recipe, machine, tmp_path):
    recipe = load_recipe(write_recipe({"method.init_args.decoder": False}))
    assert 0 <= run_recipe(recipe, 0, tmp_path / "out", machine)["acsa"] <= 1
    assert names_in(tmp_path / "out") == BUNDLE - {"samples.npz", "samples.png", "tsne.csv"}


def test_a_recipe_can_ask_for_no_pictures(write_recipe, machine, tmp_path):
    recipe = load_recipe(write_recipe({"evaluation": {"grid_samples": 0, "tsne_points": 0}}))
    run_recipe(recipe, 0, tmp_path / "out", machine)
    assert names_in(tmp_path / "out") == BUNDLE - {"samples.npz", "samples.png", "tsne.csv"}


def test_a_pipeline_draws_what_its_sampler_generates(write_recipe, machine, tmp_path):
    init_args = {"latent_dim": 4, "channels": 4, "hidden_units": 8, "max_steps": 2}
    sampler = {"class_path": "latentover.RAESampler", "init_args": init_args}
    recipe = load_recipe(write_recipe({"sampler": sampler}, kind="control"))
    metrics = run_recipe(recipe, 0, tmp_path / "out", machine)
    assert names_in(tmp_path / "out") == BUNDLE | {"history_sampler.csv"}
    assert "DeepClassifier after RAESampler" in (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert metrics["train_counts"]["9"] == 5  # before resampling
    columns = [set(pd.read_csv(tmp_path / "out" / name)) for name in ("history_sampler.csv", "history.csv")]
    assert "decoder" in columns[0] - columns[1]


def test_a_sampler_that_is_not_trained_has_no_history(write_recipe, machine, tmp_path):
    sampler = {"class_path": "imblearn.over_sampling.SMOTE", "init_args": {"k_neighbors": 3}}
    changes = {"sampler": sampler, "data.layout": "rows", "method.init_args.image_shape": [1, 8, 8]}
    run_recipe(load_recipe(write_recipe(changes, kind="control")), 0, tmp_path / "out", machine)
    assert names_in(tmp_path / "out") == BUNDLE - {"samples.npz", "samples.png", "tsne.csv"}


def test_a_table_with_categories_runs_from_end_to_end(write_recipe, machine, tmp_path):
    rng = np.random.default_rng(0)
    age = rng.normal(40, 10, 200).round(1)
    frame = pd.DataFrame(
        {"age": age, "town": rng.choice(["Graz", "Linz"], 200), "late": np.where(age > 52, "yes", "no")}
    )
    frame.to_csv(tmp_path / "loans.csv", index=False)
    data = {"source": str(tmp_path / "loans.csv"), "target": "late"}
    recipe = load_recipe(write_recipe({"data": data}))
    metrics = run_recipe(recipe, 0, tmp_path / "out", machine)
    assert names_in(tmp_path / "out") == BUNDLE - {"samples.npz", "samples.png"}
    assert list(metrics["train_counts"]) == ["no", "yes"]
    assert metrics["certificate"]["data"] == "loans"


def test_the_same_recipe_and_seed_give_the_same_numbers(tiny, machine, tmp_path):
    recipe, metrics, folder = tiny
    again = run_recipe(recipe, 0, tmp_path / "again", machine)
    assert again["splits"] == metrics["splits"]
    for name in ("model.safetensors", "samples.png", "tsne.csv", "recipe.yaml"):
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes(), name
    assert run_recipe(recipe, 1, tmp_path / "other", machine)["splits"] != metrics["splits"]


# ---- When a run is there ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", ["score_splits", "write_tsne", "save", "environment"])
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_run_that_fails_leaves_nothing(write_recipe, machine, tmp_path, monkeypatch, step, error):
    def fail(*args, **kwargs):
        raise error("no space left")

    monkeypatch.setattr(run_module, step, fail)
    with pytest.raises(error, match="no space left"):
        run_recipe(load_recipe(write_recipe(kind="control")), 0, tmp_path / "runs" / "seed-0", machine)
    assert not names_in(tmp_path / "runs")


def test_a_run_that_fails_leaves_the_one_before(write_recipe, machine, tmp_path, monkeypatch):
    recipe, folder = load_recipe(write_recipe(kind="control")), tmp_path / "runs" / "seed-0"
    run_recipe(recipe, 0, folder, machine)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    monkeypatch.setattr(run_module, "write_tsne", lambda *args: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run_recipe(recipe, 1, folder, machine)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert names_in(folder.parent) == {"seed-0"}


def test_a_finished_run_is_that_of_its_recipe_and_seed(tiny, write_recipe, tmp_path):
    recipe, _, folder = tiny
    assert is_finished(recipe, 0, RunFolder(folder))
    assert not is_finished(recipe, 1, RunFolder(folder))
    assert is_finished(load_recipe(write_recipe({"title": "Other", "seeds": [0, 5]})), 0, RunFolder(folder))
    assert not is_finished(load_recipe(write_recipe({"method.init_args.max_steps": 3})), 0, RunFolder(folder))
    assert not is_finished(recipe, 0, RunFolder(tmp_path))


def test_a_finished_run_takes_over_the_title_and_the_published_numbers_of_its_recipe(tiny, write_recipe, tmp_path):
    folder = shutil.copytree(tiny[2], tmp_path / "run")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    refresh_labels(tiny[0], RunFolder(folder))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before

    published = {"source": "A paper, Table 1", "test_balanced": {"acsa": 84.79, "sd": {"acsa": 0.15}}}
    recipe = load_recipe(write_recipe({"title": "Renamed", "published": published}))
    assert is_finished(recipe, 0, RunFolder(folder))
    refresh_labels(recipe, RunFolder(folder))
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    assert (metrics["certificate"]["title"], metrics["certificate"]["published"]) == ("Renamed", published)
    assert metrics["splits"] == tiny[1]["splits"]
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert card.startswith("# Renamed on digits, seed 0\n")
    assert "84.79 ± 0.15 ACSA (balanced test, A paper, Table 1)" in " ".join(card.split())
    assert "`samples.png` and `samples.npz` do show" in card
    assert load_recipe(folder / "recipe.yaml").published == published

    refresh_labels(load_recipe(write_recipe()), RunFolder(folder))
    assert "published" not in json.loads((folder / "metrics.json").read_text(encoding="utf-8"))["certificate"]


def test_a_run_whose_files_are_not_those_that_were_written_is_not_finished(tiny, tmp_path):
    recipe, metrics, folder = tiny
    assert set(metrics["files"]) == BUNDLE - {"metrics.json", "recipe.yaml", "README.md"}
    for name in metrics["files"]:
        content = (folder / name).read_bytes()
        for number, damaged in enumerate([None, content[:-1], bytes([content[0] ^ 1]) + content[1:]]):
            copy = shutil.copytree(folder, tmp_path / f"{name}-{number}")
            (copy / name).unlink() if damaged is None else (copy / name).write_bytes(damaged)
            assert not is_finished(recipe, 0, RunFolder(copy)), name


def test_what_can_be_written_again_without_training_is(tiny, tmp_path):
    folder = shutil.copytree(tiny[2], tmp_path / "run")
    for name in ("recipe.yaml", "README.md"):
        (folder / name).unlink()
    assert is_finished(tiny[0], 0, RunFolder(folder))
    refresh_labels(tiny[0], RunFolder(folder))
    for name in ("recipe.yaml", "README.md"):
        assert (folder / name).read_bytes() == (tiny[2] / name).read_bytes()


def test_a_finished_run_is_returned_and_not_made_again(tiny, machine, monkeypatch):
    recipe, metrics, folder = tiny
    monkeypatch.setattr(run_module, "load_splits", lambda *args, **kwargs: pytest.fail("read the data"))
    assert run_recipe(recipe, 0, folder, machine) == metrics
    assert names_in(folder.parent) == {folder.name}


def test_one_process_at_a_time_makes_a_run(write_recipe, machine, tmp_path, monkeypatch):
    """Two benchmarks in one folder: the second waits, and finds what the first has made."""
    recipe, folder, trained = load_recipe(write_recipe(kind="control")), tmp_path / "runs" / "seed-0", []
    save = run_module.save

    def slow(estimator, partial):
        trained.append(partial)
        with pytest.raises(BlockingIOError, match=r"Expected .*seed-0 to be free, but another process is writing it"):
            run_recipe(recipe, 0, folder, machine, wait=False)
        time.sleep(0.3)
        return save(estimator, partial)

    monkeypatch.setattr(run_module, "save", slow)
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda _: run_recipe(recipe, 0, folder, machine), range(2)))
    assert len(trained) == 1
    assert results[0] == results[1]
    assert names_in(folder.parent) == {"seed-0"}


def test_what_killed_processes_have_left_is_removed_before_training(write_recipe, machine, tmp_path, monkeypatch):
    left = tmp_path / "runs" / ".seed-0.0123456789ab.part"
    left.mkdir(parents=True)
    (left / "model.safetensors").write_bytes(b"half")
    (tmp_path / "runs" / ".seed-0.lock").touch()
    monkeypatch.setattr(run_module, "save", lambda *args: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run_recipe(load_recipe(write_recipe(kind="control")), 0, tmp_path / "runs" / "seed-0", machine)
    assert not names_in(tmp_path / "runs")


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"certificate": null}'])
def test_a_run_with_damaged_metrics_is_not_finished(tiny, tmp_path, content):
    (tmp_path / "metrics.json").write_text(content)
    assert not is_finished(tiny[0], 0, RunFolder(tmp_path))


def test_a_run_lies_below_the_group_of_its_recipe(tiny, tmp_path):
    recipe, _, _ = tiny
    assert run_folder(recipe, 3).parts == ("runs", recipe.group, "tiny", "seed-3")
    assert run_folder(recipe, 3, tmp_path) == tmp_path / "tiny" / "seed-3"


@pytest.mark.parametrize("in_the_way", ["runs", "runs/tiny", "runs/tiny/seed-0"])
def test_a_file_in_the_way_is_found_before_training(tiny, machine, tmp_path, monkeypatch, in_the_way):
    path = tmp_path / in_the_way
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("precious")
    monkeypatch.setattr(run_module, "load_splits", lambda *args, **kwargs: pytest.fail("read the data"))
    with pytest.raises(NotADirectoryError, match=r"Expected .* to be a folder .*, but "):
        run_recipe(tiny[0], 0, tmp_path / "runs" / "tiny" / "seed-0", machine)
    assert path.read_text() == "precious"


# ---- The machine -----------------------------------------------------------------------------------------------------


def test_the_machine_is_automatic_by_default():
    assert Machine() == Machine(
        "auto", "auto", data_root=None, download=False, verbose=1, checkpoint_every=None, keep_weights=True
    )


def test_a_run_without_its_weights_is_finished_and_reported(write_recipe, tiny, tmp_path):
    recipe, metrics, whole = tiny
    light = Machine(device="cpu", precision="float32", verbose=0, keep_weights=False)
    folder = tmp_path / "runs" / "tiny" / "seed-0"
    found = run_recipe(recipe, 0, folder, light)
    assert names_in(folder) == BUNDLE - {"config.json", "model.safetensors"}
    assert found["splits"] == metrics["splits"]
    assert is_finished(recipe, 0, RunFolder(folder))
    assert benchmark([write_recipe({"title": "Renamed"})], light, out=tmp_path / "runs").repeated == 1
    for place, has_weights in ((folder, False), (whole, True)):
        card = (place / "README.md").read_text(encoding="utf-8")
        assert ("latentover.load" in card, "weights were not kept" in card) == (has_weights, not has_weights)
    assert "Renamed" in write_report(tmp_path / "runs").read_text(encoding="utf-8")
    with pytest.raises(FileNotFoundError, match=r"config\.json"):
        evaluate_run(folder)


def test_a_run_is_silent_when_it_is_not_to_speak(write_recipe, machine, tmp_path, capfd):
    run_recipe(load_recipe(write_recipe(kind="control")), 0, tmp_path / "out", machine)
    assert capfd.readouterr() == ("", "")


def test_the_environment_names_processor_and_versions(monkeypatch):
    assert re.fullmatch(r".+, \d+ cores", hardware())
    place = environment("cpu")
    assert place["versions"]["latentover"] == latentover.__version__
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", place["date"])
    monkeypatch.setattr("torch.cuda.get_device_name", lambda device: f"GPU {device}")
    assert hardware("cuda:1").endswith(" cores, GPU cuda:1")


def test_the_commit_is_that_of_the_checkout_or_none(monkeypatch, tmp_path):
    assert commit() is None or re.fullmatch(r"[0-9a-f]{10}(\+changes)?", commit())
    monkeypatch.setattr(latentover, "__file__", str(tmp_path / "latentover" / "__init__.py"))
    assert commit() is None


# ---- What it cannot score is said before it is trained ---------------------------------------------------------------


@pytest.fixture
def loans(write_recipe, tmp_path, machine):
    """The recipe of a table with numbers and names, and its splits."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"age": rng.normal(40, 9, 120), "town": rng.choice(["Graz", "Linz"], 120)})
    table.assign(default=np.where(np.arange(120) % 4 == 0, "yes", "no")).to_csv(tmp_path / "loans.csv", index=False)
    data = {"source": str(tmp_path / "loans.csv"), "target": "default"}
    recipe = load_recipe(write_recipe({"data": data}, kind="control"))
    return recipe, load_splits(recipe.data)


def with_test_rows(splits, **changes):
    """Return the splits with other columns in the test rows."""
    tests = {name: (X.assign(**changes), y) for name, (X, y) in splits.tests.items()}
    return dataclasses.replace(splits, tests=tests)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"age": np.nan}, "no missing values, .*column 'age' contains NaN.*rows of test_balanced, which are to be"),
        ({"age": "old"}, "column 'age' to hold numbers, as in fit, .*rows of test_balanced, which are to be scored"),
    ],
    ids=["missing", "text"],
)
def test_rows_that_cannot_be_scored_are_said_before_training(loans, changes, message, tmp_path, machine, monkeypatch):
    recipe, splits = loans
    monkeypatch.setattr(latentover.DeepClassifier, "fit", lambda *_: pytest.fail("trained nevertheless"))
    with pytest.raises(ValueError, match=message):
        run_recipe(recipe, 0, tmp_path / "run", machine, with_test_rows(splits, **changes))
    assert not (tmp_path / "run").exists()


def test_levels_that_only_test_rows_have_are_scored(loans, tmp_path, machine):
    recipe, splits = loans
    with pytest.warns(UserWarning, match="'Eisenstadt' in column 'town'"):
        metrics = run_recipe(recipe, 0, tmp_path / "run", machine, with_test_rows(splits, town="Eisenstadt"))
    assert 0 <= metrics["acsa"] <= 1
