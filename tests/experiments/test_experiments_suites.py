"""Suites: each shipped one has the counts of its protocol and runs in small, whole; wrong ones say what is wrong."""

import json
import pickle
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import made_up_sets
import numpy as np
import pandas as pd
import pytest
import yaml

from latentover import cli
from latentover.data import long_tailed_counts
from latentover.experiments import benchmark as benchmark_module
from latentover.experiments import suites as suites_module
from latentover.experiments.recipe import load_recipe, load_recipes, recipe_folder
from latentover.experiments.run import Machine
from latentover.experiments.suites import Generation, is_suite, load_suite, run_suite
from latentover.training import batches_per_epoch

FOLDER = recipe_folder() / "suites"
NAMES = sorted(path.stem for path in FOLDER.glob("*.yaml"))
MACHINE = Machine(device="cpu", precision="float32", verbose=0)

load = cache(lambda name: load_suite(FOLDER / f"{name}.yaml"))


def part_of(name, part):
    return load(name).choose([part]).parts[0]


# ---- the shipped ones ------------------------------------------------------------------------------------------------


def test_the_shipped_suites():
    assert NAMES == ["am_mixup", "digits", "mamix_paper", "rae_paper", "tables"]
    assert all(is_suite(FOLDER / f"{name}.yaml") for name in NAMES)
    assert not is_suite(recipe_folder() / "digits" / "rae.yaml")


CONTROLS = {"class_weights", "class_balanced_batches", "logit_adjustment"}


@pytest.mark.parametrize("name", NAMES)
def test_every_part_has_the_controls_and_a_title_of_its_own(name):
    suite = load(name)
    assert len({part.title for part in suite.parts}) == len(suite.parts)
    for part in suite.parts:
        taken_apart = all("-" in row for row in part.makers)  # variants of one method alone
        assert taken_apart or CONTROLS | {"erm" if "erm" in part.makers else "none"} <= part.makers.keys()


OFFICIAL = {
    "mnist": ([5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949], 10 * [0]),
    "fashion_mnist": (10 * [6000], 10 * [1000]),
    "cifar10": (10 * [5000], 10 * [1000]),
    "cifar100": (100 * [500], 100 * [100]),
    "svhn": (
        [4948, 13861, 10585, 8497, 7458, 6882, 5727, 5595, 5045, 4659],
        [1744, 5099, 4149, 2882, 2523, 2384, 1977, 2019, 1660, 1595],
    ),
    "cinic10": (10 * [9000], 10 * [9000]),
    "tiny_imagenet": (200 * [500], 200 * [50]),
    "celeba": (5 * [9000], 5 * [1000]),
    "imagenet100": (100 * [1300], 100 * [50]),
}
OFFICIAL["mnist"] = (OFFICIAL["mnist"][0], [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009])
"""Training and test images of each class in the real files; of CelebA as many as the paper needs."""
MNIST = [4000, 2000, 1000, 750, 500, 350, 200, 100, 60, 40]
CIFAR10 = [4500, 2000, 1000, 800, 600, 500, 400, 250, 150, 80]
TEST = [1000, 500, 250, 187, 125, 87, 50, 25, 15, 10]
RAE = {
    "mnist": (MNIST, 800, [980, *TEST[1:]]),
    "fashion_mnist": (MNIST, 800, TEST),
    "svhn": (CIFAR10, 800, TEST),
    "cifar10": (CIFAR10, 800, TEST),
    "celeba": ([9000, 4500, 1000, 500, 160], 1000, [1000, 500, 111, 55, 17]),
    "cifar100": (long_tailed_counts(500, 10, 100).tolist(), 80, long_tailed_counts(100, 10, 100).tolist()),
    "imagenet100": (long_tailed_counts(1300, 10, 100).tolist(), 50, long_tailed_counts(50, 10, 100).tolist()),
}
"""Tables 7 to 9 of the RAE paper."""


@pytest.mark.parametrize("name", RAE)
def test_the_counts_of_the_rae_paper(name):
    data, (train, test) = part_of("rae_paper", name).data, OFFICIAL[name]
    counts, balanced, imbalanced = RAE[name]
    assert data.imbalance.class_counts(train).tolist() == counts
    assert data.balanced_test == balanced <= min(test)
    assert data.imbalanced_test.class_counts(test).tolist() == imbalanced
    totals = {"mnist": 9000, "cifar10": 10280, "celeba": 15160, "cifar100": 19573, "imagenet100": 50973}
    assert sum(counts) == totals.get(name, sum(counts))
    if name in ("cifar100", "imagenet100"):
        assert sum(imbalanced) == {"cifar100": 3876, "imagenet100": 1911}[name]
    elif name != "celeba":
        assert part_of("rae_paper", f"{name}_ablation").data == data


def test_the_latent_sizes_of_the_rae_paper():
    sizes = {name: part_of("rae_paper", name).makers["rae"].keywords["changes"] for name in RAE}
    assert {name: changes["method.init_args.latent_dim"] for name, changes in sizes.items()} == {
        **{"mnist": 64, "fashion_mnist": 64, "svhn": 128, "cifar10": 256, "celeba": 256},
        **{"cifar100": 256, "imagenet100": 512},
    }


@pytest.mark.parametrize("name", RAE)
def test_what_has_no_budget_of_its_own_has_20000_batches(name):
    counts = RAE[name][0]
    for row, make in part_of("rae_paper", name).makers.items():
        epochs = make.keywords["changes"].get("method.init_args.max_epochs")
        if epochs is not None:
            n = max(counts) * len(counts) if "sampler" in make.args[0] else sum(counts)
            assert batches_per_epoch(n, 128) * epochs == pytest.approx(20_000, rel=0.025), row


MAMIX_TOTALS = {
    **{"cifar10_lt10": 20431, "cifar10_lt50": 13996, "cifar10_lt100": 12406, "cifar10_lt200": 11203},
    **{"cifar10_lt250": 10875, "cifar10_lt300": 10628, "cifar10_lt300_omega": 10628},
    **{"cifar10_step10": 27500, "cifar10_step50": 25500, "cifar10_step100": 25250},
    **{"cifar100_lt10": 19573, "cifar100_lt50": 12608, "cifar100_lt100": 10847},
    **{"cifar100_step10": 27500, "cifar100_step50": 25500, "cifar100_step100": 25250},
    **{"cinic10_lt10": 36779, "cinic10_lt50": 25197, "cinic10_lt100": 22332, "cinic10_lt200": 20168},
    **{"cinic10_lt250": 19580, "cinic10_lt300": 19135},
    **{"cinic10_step10": 49500, "cinic10_step50": 45900, "cinic10_step100": 45450, "cinic10_step200": 45225},
    **{"svhn_lt10": 4084, "svhn_lt50": 2795, "svhn_lt100": 2478},
    **{"svhn_step10": 5500, "svhn_step50": 5100, "svhn_step100": 5050},
    **{"tiny_imagenet_lt10": 39072, "tiny_imagenet_lt100": 21549},
    **{"tiny_imagenet_step10": 55000, "tiny_imagenet_step100": 50500},
}


def test_the_counts_of_from_smote_to_mixup():
    counts = {
        part.name: part.data.imbalance.class_counts(OFFICIAL[part.data.source][0]) for part in load("mamix_paper").parts
    }
    assert {name: n.sum() for name, n in counts.items()} == MAMIX_TOTALS
    assert counts["svhn_lt100"].tolist() == [10, 1000, 599, 359, 215, 129, 77, 46, 27, 16]
    for part in load("am_mixup").parts:
        assert part.data == part_of("mamix_paper", part.name).data


def test_the_schedules_of_from_smote_to_mixup():
    rates = {}
    for name in ("cifar100_lt100", "cinic10_lt100", "svhn_lt100", "tiny_imagenet_lt100"):
        method = part_of("mamix_paper", name).makers["drw"]().method
        epochs = method.max_epochs
        rates[name] = (method.backbone, epochs, method.drw_start * epochs, method.schedule.at(epochs - 1, epochs))
    assert rates == {
        "cifar100_lt100": ("resnet32", 200, 160, pytest.approx(1e-4)),
        "cinic10_lt100": ("resnet18", 200, 160, pytest.approx(1e-4)),
        "svhn_lt100": ("resnet32", 200, 160, pytest.approx(1e-2)),
        "tiny_imagenet_lt100": ("resnet18", 120, 90, pytest.approx(0.1)),
    }


@pytest.mark.parametrize(
    ("suite", "part", "row", "split", "scores"),
    [
        ("mamix_paper", "cifar10_lt100", "mamix_drw", "test_balanced", {"acsa": 82.29, "sd": {"acsa": 0.60}}),
        ("mamix_paper", "cifar10_lt100", "neighbor_mix_drw", "test_balanced", {"acsa": 80.44, "sd": {"acsa": 0.32}}),
        ("mamix_paper", "cifar10_lt300", "mamix_remix_drw", "test_balanced", {"acsa": 74.87, "sd": {"acsa": 0.56}}),
        ("mamix_paper", "cifar10_step50", "m2m", "test_balanced", {"acsa": 79.12, "sd": {"acsa": 0.21}}),
        ("mamix_paper", "cifar10_lt300_omega", "mamix_drw-omega_8.0", "test_balanced", {"acsa": 73.52}),
        ("mamix_paper", "cifar100_step10", "remix_drw", "test_balanced", {"acsa": 62.47, "sd": {"acsa": 0.35}}),
        ("mamix_paper", "cinic10_lt200", "remix_drw", "test_balanced", {"acsa": 66.46, "sd": {"acsa": 0.51}}),
        ("mamix_paper", "cinic10_step200", "ldam_drw", "test_balanced", {"acsa": 65.47, "sd": {"acsa": 0.63}}),
        ("mamix_paper", "svhn_lt50", "mamix", "test_balanced", {"acsa": 86.75, "sd": {"acsa": 0.37}}),
        ("mamix_paper", "tiny_imagenet_step100", "mamix_drw", "test_balanced", {"acsa": 41.46, "sd": {"acsa": 0.38}}),
        ("rae_paper", "celeba", "dgc", "test_balanced", {"acsa": 67.55, "macro_f1": 65.62, "gm_a": 77.54}),
        ("rae_paper", "imagenet100", "bagan", "test_imbalanced", {"acsa": 15.55, "macro_f1": 14.73, "gm_a": 39.27}),
        ("rae_paper", "svhn", "gamo", "test_imbalanced", {"acsa": 75.18, "macro_f1": 72.77, "gm_a": 86.13}),
        ("rae_paper", "cifar10", "rbo", "test_balanced", {"acsa": 39.17, "macro_f1": 40.37}),
        ("rae_paper", "celeba", "smote", "test_imbalanced", {"acsa": 60.29, "macro_f1": 60.03}),
        ("rae_paper", "celeba_ablation", "rae-no_decoder", "test_balanced", {"acsa": 73.20, "macro_f1": 72.86}),
        ("rae_paper", "mnist_ablation", "rae-latent_dim_128", "test_balanced", {"acsa": 97.53}),
        ("tables", "webpage", "dgc", "test_imbalanced", {"acsa": 88.61, "macro_f1": 90.72, "gm_a": 87.91}),
    ],
)
def test_numbers_stand_where_the_papers_have_them(suite, part, row, split, scores):
    published = part_of(suite, part).makers[row].args[0]["published"][split]
    sd = scores.pop("sd", {})
    assert published.items() >= scores.items()
    assert published.get("sd", {}).items() >= sd.items()


# ---- every part in small ---------------------------------------------------------------------------------------------

SIZES = {"channels": 4, "hidden_units": 8}
SMALL = {
    "RAEClassifier": {**SIZES, "latent_dim": 4, "decoder_channels": 4, "max_steps": 1, "batch_size": 4},
    "DeepClassifier": {**SIZES, "backbone": "auto", "feature_dim": 4, "max_epochs": 1},
    "M2mClassifier": {**SIZES, "backbone": "auto", "feature_dim": 4, "max_epochs": 1, "translation_start": 0},
    "GAMOClassifier": {**SIZES, "feature_dim": 8, "max_steps": 1, "decoder_steps": 1},
    "DGCClassifier": {**SIZES, "latent_dim": 4, "max_steps": 1, "pretraining_steps": 1, "prediction_samples": 1},
    "DeepSMOTE": {**SIZES, "latent_dim": 4, "max_epochs": 1},
    "BAGANSampler": {**SIZES, "latent_dim": 4, "max_epochs": 1, "autoencoder_epochs": 1},
    "MultiClassRBO": {"max_steps": 2},
}
"""Arguments of every class that is trained, for networks that take no time."""


def shrunk(part, rows):
    """Return a part with some of its rows, on a few images, with networks that take no time."""
    data = part.data
    settings = {"evaluation.grid_samples": 0, "evaluation.tsne_points": 0, "seeds": [0]}
    for name in ("imbalance", "imbalanced_test"):
        imbalance = getattr(data, name)
        if imbalance is not None and imbalance.counts is not None:
            settings[f"data.{name}.counts"] = [2 if name == "imbalance" else 1] * len(imbalance.counts)
        elif imbalance is not None:
            settings |= {f"data.{name}.rho": 2 if name == "imbalance" else 1, f"data.{name}.largest": None}
    if data.balanced_test is not None:
        settings["data.balanced_test"] = 2
    makers = {}
    for row in rows:
        make = part.makers[row]
        words = [f"--{key}={text(value)}" for key, value in (settings | small_arguments(make)).items()]
        makers[row] = partial(make.func, *make.args, **{**make.keywords, "overrides": tuple(words)})
    generation = part.generation and Generation(("pixels",), 2)
    return replace(part, makers=makers, generation=generation)


def text(value):
    return value if isinstance(value, str) else json.dumps(value)


def small_arguments(make):
    content, changes = make.args[0], make.keywords["changes"]
    settings = {}
    for key in ("sampler", "method"):
        class_name = content.get(key, {}).get("class_path", "").rpartition(".")[2]
        settings |= {f"{key}.init_args.{name}": value for name, value in SMALL.get(class_name, {}).items()}
    if "stage_sampler" in content["method"].get("init_args", {}):
        inner = "method.init_args.stage_sampler.init_args."
        settings["method.init_args.stage_start"] = 0
        settings |= {inner + name: value for name, value in SMALL["DeepSMOTE"].items()}
    if "method.init_args.encoder" in changes:  # DenseNet
        dense = {"block_config": [1, 1, 1, 1], "num_init_features": 4, "growth_rate": 4, "num_classes": 4}
        settings |= {f"method.init_args.encoder.init_args.{name}": value for name, value in dense.items()}
    return settings


@pytest.fixture(scope="module")
def data_root(tmp_path_factory):
    """All data sets that the suites name, a few images of each class, as they lie on disk."""
    datasets = pytest.importorskip("torchvision.datasets", reason="most named sets are read by torchvision")
    root = tmp_path_factory.mktemp("data")
    with pytest.MonkeyPatch.context() as patch:
        for folder in ("MNIST", "FashionMNIST"):
            made_up_sets.write_mnist(root / folder / "raw", n_train=40, n_test=20)
        ten, twenty = list(range(10)), [label for label in range(20) for _ in range(4)]
        made_up_sets.write_cifar(root / "cifar-10-batches-py", datasets.CIFAR10, patch, "labels", 2 * ten)
        made_up_sets.write_cifar(root / "cifar-100-python", datasets.CIFAR100, patch, "fine_labels", twenty)
        made_up_sets.write_svhn(root, datasets.SVHN, patch, 4 * [10, *range(1, 10)])
        made_up_sets.write_cinic10(root / "CINIC-10", [f"class {n}" for n in range(10)], n=4)
        made_up_sets.write_tiny_imagenet(root / "tiny-imagenet-200", n_classes=10, n_train=4)
        made_up_sets.write_celeba(root / "celeba", [([hair], 0) for hair in made_up_sets.CELEBA_HAIR * 6])
        made_up_sets.write_imagenet100(root / "imagenet100", n_train=2, n_test=2)
        rng = np.random.default_rng(0)
        (root / "tables").mkdir()
        for part in load("tables").parts:
            y = np.repeat([-1, 1], [int(10 * part.data.imbalanced_test.rho), 10])
            table = pd.DataFrame(rng.normal(y[:, None], size=(len(y), 3)), columns=["a", "b", "c"])
            table.assign(target=y).to_csv(root / part.data.source, index=False)
        yield root


SPECIAL = {"celeba": ["dgc"], "cifar100": ["gamo"], "cifar10_ablation": ["rae-no_decoder", "rae-four_components"]}


def rows_in_small(suite, part):
    """Return all rows of the first part, and of the others the first one alone and those that are special there."""
    rows = list(part.makers)
    return rows if part is suite.parts[0] else [rows[0], *(row for row in SPECIAL.get(part.name, []) if row in rows)]


@pytest.mark.parametrize("name", [name for name in NAMES if name != "digits"])  # that one runs in CI as it is
def test_the_first_row_runs_in_small(name, data_root, tmp_path):
    first = load(name).parts[0]
    small = replace(load(name), parts=[shrunk(first, list(first.makers)[:1])])
    (done,) = run_suite(small, replace(MACHINE, data_root=str(data_root)), out=tmp_path)
    assert done.outcome.failures == {}
    assert done.outcome.finished == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in NAMES if name != "digits"])
def test_every_part_runs_in_small(name, data_root, tmp_path):
    suite = load(name)
    small = replace(suite, parts=[shrunk(part, rows_in_small(suite, part)) for part in suite.parts])
    machine = replace(MACHINE, data_root=str(data_root))
    for done in run_suite(small, machine, out=tmp_path):
        assert done.missing is None
        assert done.outcome.failures == {}, {k: failure.traceback for k, failure in done.outcome.failures.items()}
        assert done.outcome.finished == len(done.part.makers)
        assert done.unscored == {}
        for row in done.part.makers:
            metrics = json.loads((tmp_path / done.part.name / row / "seed-0" / "metrics.json").read_text())
            assert metrics["certificate"]["group"] == done.part.name
            assert set(metrics["splits"]) >= {"test_balanced"} | (
                {"test_imbalanced"} if done.part.data.imbalanced_test else set()
            )
    if name == "rae_paper":
        scored = {path.parent.parent.name for path in (tmp_path / "mnist").glob("*/seed-0/generation.json")}
        assert scored == {"rae", "rae_reference_code", "deepsmote", "gamo", "bagan", "dgc"}
        assert not list((tmp_path / "cifar100").glob("*/seed-0/generation.json"))


# ---- running one -----------------------------------------------------------------------------------------------------

TINY = {
    "title": "Tiny",
    "seeds": [0, 1],
    "evaluation": {"grid_samples": 0, "tsne_points": 0},
    "methods": {
        "rae": {
            "title": "RAE",
            "method": {"class_path": "latentover.RAEClassifier", "init_args": SMALL["RAEClassifier"]},
        },
        "plain": {
            "title": "Plain",
            "method": {"class_path": "latentover.DeepClassifier", "init_args": SMALL["DeepClassifier"]},
        },
    },
    "parts": {
        "few": {"data": {"source": "digits", "imbalance": {"profile": "step", "rho": 5, "largest": 20}}},
        "absent": {"data": {"source": "celeba"}, "get": "Ask for them."},
        "more": {
            "title": "More digits",
            "data": {"source": "digits", "imbalance": {"profile": "step", "rho": 2, "largest": 20}},
            "settings": {"data.balanced_test": 3},
            "methods": {"rae": {"method": {"init_args": {"latent_dim": 3}}}},
            "published": {"source": "Somebody 2020", "test_balanced": {"rae": {"acsa": 12.5}}},
        },
    },
}


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write a suite, changed by dotted names, in the folder in which the test runs; `...` removes one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LATENTOVER_DATA", str(tmp_path / "data"))
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)

    def write(**changes):
        content = json.loads(json.dumps(TINY))
        for dotted, value in changes.items():
            *places, last = dotted.split("__")
            inner = content
            for place in places:
                inner = inner.setdefault(place, {})
            if value is ...:
                del inner[last]
            else:
                inner[last] = value
        path = tmp_path / "tiny.yaml"
        path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
        return path

    return write


def test_a_pair_of_method_and_data_is_the_recipe_that_a_file_would_be(write, tmp_path):
    suite = load_suite(write(), ["--method.init_args.dropout", "0.1"])
    assert [part.title for part in suite.parts] == ["few", "absent", "More digits"]
    (recipe,) = suite.parts[2].recipes
    assert (recipe.name, recipe.group, recipe.title, recipe.seeds) == ("rae", "more", "RAE", [0, 1])
    assert (recipe.method.latent_dim, recipe.method.dropout, recipe.data.balanced_test) == (3, 0.1, 3)
    assert recipe.published == {"source": "Somebody 2020", "test_balanced": {"acsa": 12.5}}
    copy = tmp_path / "rae.yaml"
    copy.write_text(recipe.text, encoding="utf-8")
    assert load_recipe(copy).sha256 == recipe.sha256
    assert suite.parts[0].recipes[1].published is None


def test_variants_of_a_part_take_the_place_of_a_methods_own(write):
    own = {"wide": {"method.init_args.channels": 6}, "deep": {"title": "Deep", "method.init_args.latent_dim": 5}}
    path = write(methods__plain__variants={"a": {}}, parts__more__methods={"rae": {"variants": own}, "plain": None})
    path.write_text(
        path.read_text()
        .replace("rae: {acsa", "rae-wide: {acsa")
        .replace("        rae:\n          acsa", "        rae-wide:\n          acsa")
    )
    recipes = load_suite(path).choose(["more"]).parts[0].recipes
    assert [(r.name, r.title) for r in recipes] == [
        ("rae-wide", "RAE: wide"),
        ("rae-deep", "Deep"),
        ("plain-a", "Plain: a"),
    ]
    assert (recipes[0].method.channels, recipes[1].method.latent_dim) == (6, 5)
    assert [r.published is None for r in recipes] == [False, True, True]


def test_a_missing_set_skips_its_part_and_says_how_to_get_it(write, tmp_path, capsys):
    command = ["benchmark", str(write(parts__few__methods=["plain"])), "--quiet", "--device", "cpu", "--seeds", "0"]
    assert cli.main(command) == 1
    out, err = capsys.readouterr()
    how = f"Expected the files of 'celeba' in {tmp_path / 'data' / 'celeba'}"
    assert f"part absent is skipped: {how}" in out
    assert "get it from https://mmlab.ie.cuhk.edu.hk" in err
    assert "Ask for them." in err
    assert "suite tiny: 2 parts done, 1 skipped; 0 runs failed or not scored" in out
    folder = tmp_path / "runs" / "tiny"
    assert sorted(path.name for path in folder.iterdir()) == ["few", "more"]
    assert "RAE" in (folder / "more" / "report.html").read_text(encoding="utf-8")
    assert "Somebody 2020" in (folder / "more" / "report.html").read_text(encoding="utf-8")
    assert cli.main([*command, "--parts", "more"]) == 0
    assert "0 made, 1 finished before" in capsys.readouterr().out


def test_a_process_of_its_own_gets_the_recipe_with_the_run(write, tmp_path, monkeypatch):
    (part,) = load_suite(write()).choose(["more"]).parts
    todo = []
    monkeypatch.setattr(benchmark_module, "_run_all", lambda jobs, *_: todo.extend(jobs) or {})
    benchmark_module.benchmark(part.recipes, MACHINE, out=tmp_path / "out")
    assert [job.name for job in todo] == ["out/rae, seed 0", "out/rae, seed 1"]
    assert pickle.loads(pickle.dumps(todo[0])).recipe.sha256 == part.recipes[0].sha256


def test_scores_of_samples_that_are_there_are_not_made_again(write, tmp_path, monkeypatch, capsys):
    suite = load_suite(write(generation={"features": "pixels", "n": 3})).choose(["few"], ["rae"])
    assert list(suite.parts[0].makers) == ["rae"]
    made = []
    evaluate = suites_module.evaluate_generation
    monkeypatch.setattr(suites_module, "evaluate_generation", lambda *a, **k: made.append(a) or evaluate(*a, **k))
    for expected in (1, 1):
        (done,) = run_suite(suite, MACHINE, out=tmp_path / "out", seeds=[0])
        assert done.unscored == {}
        assert len(made) == expected
    more = replace(suite, parts=[replace(part, generation=Generation(("pixels",), 4)) for part in suite.parts])
    list(run_suite(more, MACHINE, out=tmp_path / "out", seeds=[0]))
    assert len(made) == 2


def test_scores_that_fail_are_told_and_cost_nothing_else(write, tmp_path, capsys):
    path = write(generation={"features": "inception", "n": 3})
    command = ["benchmark", str(path), "--quiet", "--device", "cpu", "--seeds", "0", "--parts", "few"]
    assert cli.main([*command, "--methods", "rae", "--out", "here"]) == 1
    assert {found.name for found in Path("here", "few").iterdir() if found.is_dir()} == {"rae", "results"}
    out, err = capsys.readouterr()
    assert "1 parts done, 0 skipped; 1 runs failed or not scored" in out
    assert "few/rae/seed-0, inception: not scored: FileNotFoundError: Expected the weights of the Inception" in err


# ---- wrong ones ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"part": {}}, r"known keys in a suite, but got 'part'; did you mean 'parts'\?"),
        ({"parts": []}, r"Expected parts to be a mapping from names to data sets, but got \[\]"),
        ({"methods": ...}, r"Expected methods to be a mapping from names to recipes, but got None"),
        ({"seeds": [0, 0]}, r"Expected seeds to be one or more different whole numbers"),
        ({"parts__few__dat": 1}, r"known keys in part few, but got 'dat'; did you mean 'data'\?"),
        ({"parts__few__data": ...}, r"part few: Expected a value for data.source, but got none; add it"),
        (
            {"parts__few__data__sorce": "x"},
            r"part few: Expected known keys in data, but got 'sorce'; did you mean 'source'",
        ),
        ({"parts__few__methods": ["rea"]}, r"known keys in part few: methods, but got 'rea'; did you mean 'rae'\?"),
        ({"parts__few__methods": 3}, r"Expected part few: methods to be a mapping from names to settings, or a list"),
        (
            {"parts__few__settings": {"method.init_args.dropuot": 0.1}},
            r"part few, method rae: Expected known keys in method.init_args, but got method.init_args.dropuot; did you",
        ),
        (
            {"methods__rae__method__class_path": "latentover.RAEClasifier"},
            r"part few, method rae: Expected the class of method .* did you mean 'latentover.RAEClassifier'\?",
        ),
        ({"methods__rae__method": ...}, r"part few, method rae: Expected a value for method, but got none"),
        ({"methods__rae__data": {}}, r"known keys in method rae, but got 'data'"),
        ({"methods__rae": 3}, r"Expected method rae to be a mapping with the key method, or the path of a recipe"),
        ({"parts__a/b": {"data": {}}}, r"Expected the name of a part to be letters, digits"),
        (
            {"parts__more__published__test_balanced__plain": {"acsa": 1}},
            r"known keys in part more: published.test_balanced, but got 'plain'",
        ),
        ({"parts__more__published__test_balnced": {}}, r"part more: published, but got 'test_balnced'; did you mean"),
        (
            {"generation": {"feature": "pixels"}},
            r"known keys in generation, but got 'feature'; did you mean 'features'",
        ),
        (
            {"generation": {"features": "pixel"}},
            r"generation.features to be pixels, .* 'pixel'; did you mean 'pixels'\?",
        ),
        ({"generation": {"features": "pixels", "n": 0}}, r"generation.n to be a whole number of at least 1, but got 0"),
    ],
)
def test_a_wrong_suite_says_what_is_wrong(write, changes, message):
    with pytest.raises(ValueError, match=message) as caught:
        load_suite(write(**changes))
    assert "tiny.yaml: " in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_value_out_of_its_range_is_named_before_anything_is_trained(write, tmp_path):
    path = write(parts__more__methods={"rae": {"method.init_args.dropout": 2}})
    with pytest.raises(ValueError, match=r"part more, method rae: Expected .*dropout to be a number .* but got 2"):
        list(run_suite(load_suite(path), MACHINE, out=tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_a_published_number_without_a_source_is_refused(write):
    suite = load_suite(write(parts__more__published__source=...))
    with pytest.raises(ValueError, match=r"part more, method rae: Expected published.source to say where"):
        _ = suite.parts[2].recipes


def test_a_recipe_that_is_not_there(write):
    with pytest.raises(FileNotFoundError, match=r"Expected method rae of .*tiny.yaml to be a section or the path"):
        load_suite(write(methods__rae="../absent/rae.yaml"))


def test_a_suite_is_no_recipe_and_a_recipe_no_suite(write, capsys):
    path = write()
    with pytest.raises(ValueError, match=r"Expected a recipe, but got a suite of many; `latentover benchmark` runs it"):
        load_recipes(path)
    with pytest.raises(ValueError, match=r"Expected a suite, but got a file without the key 'parts'"):
        load_suite(recipe_folder() / "digits" / "rae.yaml")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["tiny.yaml", "--parts", "fwe"], "Expected a part of the suite tiny, but got 'fwe'; did you mean 'few'?"),
        (["tiny.yaml", "--methods", "plane"], "Expected a method of tiny, but got 'plane'; did you mean 'plain'?"),
        (
            ["configs/digits/rae.yaml", "--parts", "few"],
            "Expected one suite with --parts and --methods, but got 0 suites",
        ),
        (["tiny.yaml", "configs/digits/rae.yaml", "--out", "x"], "Expected one suite, or recipes alone, with --out"),
    ],
)
def test_a_wrong_command_says_what_is_wrong(write, words, message, capsys):
    write()
    assert cli.main(["benchmark", *words]) == 2
    assert message in capsys.readouterr().err
