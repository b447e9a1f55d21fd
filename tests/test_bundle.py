"""A fitted estimator as a folder: it predicts the same to the bit, holds no code and no data, and trusts nobody."""

import datetime
import errno
import hashlib
import inspect
import json
import resource
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from decimal import Decimal
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from imblearn.over_sampling import SMOTE, SVMSMOTE, RandomOverSampler
from imblearn.pipeline import Pipeline, make_pipeline
from safetensors.torch import load_file, save_file
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler
from torch import nn

import latentover
from latentover import AMDO, ClassicalSampler, DeepClassifier, DeepSMOTE, LatentOversampler, RAEClassifier, RAESampler
from latentover.bundle import FORMAT, check_storable, find_bundle, find_class, is_whole, load, save
from latentover.estimators import BaseDataEstimator

FILES = ["config.json", "model.safetensors"]
RAE = {"latent_dim": 3, "channels": 2, "hidden_units": 4, "max_steps": 2, "batch_size": 4}
DEEP = {"feature_dim": 3, "channels": 2, "hidden_units": 4, "max_epochs": 1}
COMMON = {"random_state": 0, "device": "cpu", "precision": "float32"}


def rae(**options):
    return RAEClassifier(**{**RAE, **COMMON, **options})


def sampler(**options):
    return RAESampler(**{**RAE, **COMMON, **options})


def deep(**options):
    return DeepClassifier(**{**DEEP, **COMMON, **options})


class Encoder(nn.Module):
    """A network of the user's own, with weights that two layers share."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(64, 64)
        self.second = nn.Linear(64, 64)
        self.second.weight = self.first.weight
        self.last = nn.Linear(64, 3)

    def forward(self, x):
        return self.last(self.second(self.first(x.flatten(1)).relu()).relu())


@pytest.fixture(scope="module")
def images():
    X, y = load_digits(return_X_y=True)
    kept = np.concatenate([np.flatnonzero(y == label)[:n] for label, n in ((0, 30), (1, 15), (2, 8))])
    return (X[kept].reshape(-1, 1, 8, 8) * 15).astype(np.uint8), y[kept]


@pytest.fixture(scope="module")
def rows(images):
    X, y = images
    return X.reshape(len(X), -1).astype(np.float64), y


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(0)
    X = pd.DataFrame(
        {
            "age": rng.integers(18, 90, 60),
            "income": rng.normal(3000, 500, 60),
            "town": pd.Categorical(rng.choice(["Graz", "Linz", "Wien"], 60), ["Wien", "Linz", "Graz", "Bregenz"]),
            "member": rng.random(60) < 0.5,
        }
    )
    return X, np.array(["no"] * 45 + ["yes"] * 15, dtype=object)


@pytest.fixture(scope="module")
def fitted(images):
    return rae().fit(*images)


@pytest.fixture
def bundle(fitted, tmp_path):
    return save(fitted, tmp_path / "bundle")


def change_config(folder, change):
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    change(config)
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")


def latent(autoencoder=None, first=None, **options):
    first = SMOTE(k_neighbors=3) if first is None else first
    autoencoder = sampler() if autoencoder is None else autoencoder
    return LatentOversampler(sampler=first, autoencoder=autoencoder, random_state=0, device="cpu", **options)


def bytes_of(X):
    return X.to_numpy().tolist() if isinstance(X, pd.DataFrame) else X.tobytes()


# ---- There and back --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["images", "rows", "frame"])
@pytest.mark.parametrize("make", [rae, deep], ids=["RAEClassifier", "DeepClassifier"])
def test_a_classifier_predicts_the_same_to_the_bit(request, tmp_path, kind, make):
    X, y = request.getfixturevalue(kind)
    before = make().fit(X, y)
    after = load(save(before, tmp_path / "bundle"))
    assert type(after) is type(before)
    assert after.get_params() == before.get_params()
    assert after.predict_proba(X).tobytes() == before.predict_proba(X).tobytes()
    assert after.decision_function(X).tobytes() == before.decision_function(X).tobytes()
    assert after.predict(X).tolist() == before.predict(X).tolist()
    assert after.predict(X).dtype == before.predict(X).dtype
    assert (after.classes_.tolist(), after.classes_.dtype) == (before.classes_.tolist(), before.classes_.dtype)
    assert after.class_counts_.tolist() == before.class_counts_.tolist()
    assert after.n_features_in_ == before.n_features_in_
    assert getattr(after, "feature_names_in_", np.array([])).tolist() == (list(X) if kind == "frame" else [])
    assert after.device_ == torch.device("cpu")


@pytest.mark.parametrize("kind", ["images", "rows", "frame"])
@pytest.mark.parametrize("make", [rae, sampler, latent], ids=["RAEClassifier", "RAESampler", "LatentOversampler"])
def test_a_generator_samples_the_same_to_the_bit(request, tmp_path, kind, make):
    X, y = request.getfixturevalue(kind)
    before = make().fit(X, y)
    after = load(save(before, tmp_path / "bundle"))
    for label in before.classes_:
        samples = [model.sample(7, y=label, random_state=3) for model in (before, after)]
        assert bytes_of(samples[0]) == bytes_of(samples[1])
        assert type(samples[0]) is type(samples[1])
    if kind == "frame":
        assert samples[1].dtypes.tolist() == samples[0].dtypes.tolist()
        assert list(samples[1]["town"].cat.categories) == list(X["town"].cat.categories)
    if make is not latent:
        assert after.encode(X).tobytes() == before.encode(X).tobytes()


@pytest.mark.parametrize(
    "labels",
    [
        *(["a", "b", "c"], [True, False], [-1, 7], [1.0, 2.0], np.array(["x", 3], dtype=object), ["\ud800", "b"]),
        np.array(["2024-01-01", "2024-02-01"], dtype="M8[ns]"),
        np.array(["2024-01-01", "2024-02-01"], dtype="M8[us]"),
        np.array(["2024-01-01", "2024-02-01"], dtype="M8[D]"),
        np.array([1, 60], dtype="m8[m]"),
        np.array([2**63, 2**63 + 1], dtype=np.uint64),
    ],
    ids=str,
)
def test_labels_come_back_as_they_are(rows, tmp_path, labels):
    X, y = rows
    y = np.asarray(labels)[y % len(labels)]
    if y.dtype == object:
        y = y.astype(str).astype(object)
    before = deep().fit(X, y)
    after = load(save(before, tmp_path / "bundle"))
    assert after.predict(X).tolist() == before.predict(X).tolist()
    assert after.classes_.dtype == before.classes_.dtype


@pytest.mark.parametrize(
    "names",
    [
        pd.to_datetime(["2024-01-01", "2024-01-02"]),
        pd.MultiIndex.from_product([["sales"], pd.period_range("2024-01", periods=2, freq="M")]),
        pd.Index([0.5, np.nan]),
    ],
    ids=["dates", "several levels", "not a number"],
)
def test_names_of_columns_come_back_as_they_are(rows, tmp_path, names):
    X = pd.DataFrame(rows[0][:, :2], columns=names)
    before = sampler().fit(X, rows[1])
    new = load(save(before, tmp_path / "bundle")).sample(4, y=1, random_state=0)
    pd.testing.assert_frame_equal(new, before.sample(4, y=1, random_state=0))
    assert new.columns.equals(names)


def test_levels_of_any_type_come_back_as_they_are(rows, tmp_path):
    X, y = rows
    X = pd.DataFrame(
        {
            "band": pd.cut(X[:, 20], 3),
            "month": pd.PeriodIndex(["2024-01", "2024-02", "2024-03"], freq="M")[y],
            "day": np.array([datetime.date(2024, 1, 1), datetime.date(2024, 1, 2)], dtype=object)[y % 2],
            "price": pd.Categorical(np.array([Decimal("0.10"), Decimal("0.20")], dtype=object)[y % 2]),
        }
    )
    before = sampler().fit(X, y)
    after = load(save(before, tmp_path / "bundle"))
    new = after.sample(20, y=1, random_state=0)
    pd.testing.assert_frame_equal(new, before.sample(20, y=1, random_state=0))
    assert new.dtypes.equals(X.dtypes)
    assert after.encode(X).tobytes() == before.encode(X).tobytes()


def test_parameters_that_name_labels_and_columns_of_any_type_come_back(rows, tmp_path):
    dates = np.array(["2024-01-01", "2024-02-01"], dtype="M8[D]")
    X = pd.DataFrame(rows[0][:, 20:22], columns=pd.date_range("2024-01-01", periods=2))
    settings = {
        "sampling_strategy": {dates[1]: 40},
        "categorical_features": [X.columns[1]],
        "clip": {X.columns[0]: (0, np.inf)},
    }
    before = sampler(**settings).fit(X, dates[rows[1] % 2])
    assert load(save(before, tmp_path / "bundle")).get_params() == before.get_params()


def test_a_generator_trained_with_polars_makes_polars(tmp_path):
    pl = pytest.importorskip("polars")
    X = pl.DataFrame(
        {"size": [1.0, 2.5, 3.0, 4.0] * 5, "kind": ["a", "b", "b", "a"] * 5, "n": pl.Series(range(20), dtype=pl.Int16)},
        schema_overrides={"kind": pl.Enum(["a", "b", "c"])},
    )
    sampler = RAESampler(max_steps=2, hidden_units=8, device="cpu", random_state=0).fit(X, [0, 1] * 10)
    new = load(save(sampler, tmp_path)).sample(7, 1, random_state=0)
    assert new.schema == X.schema
    assert new.equals(sampler.sample(7, 1, random_state=0))


@pytest.mark.parametrize("layout", ["channels_last", "rows"])
def test_other_layouts_of_images_come_back(images, tmp_path, layout):
    X, y = images
    options = {"channels_last": True} if layout == "channels_last" else {"image_shape": (1, 8, 8)}
    X = np.moveaxis(X, 1, -1) if layout == "channels_last" else X.reshape(len(X), -1)
    before = rae(**options).fit(X, y)
    after = load(save(before, tmp_path / "bundle"))
    assert after.image_shape == before.image_shape
    assert after.predict_proba(X).tobytes() == before.predict_proba(X).tobytes()
    assert after.sample(2, y=0, random_state=0).shape == (2, *X.shape[1:])


@pytest.mark.parametrize("first", [SMOTE(k_neighbors=3, random_state=0), sampler()], ids=["SMOTE", "RAESampler"])
def test_a_pipeline_predicts_the_same_to_the_bit(rows, tmp_path, first):
    X, y = rows
    before = make_pipeline(first, deep()).fit(X, y)
    after = load(save(before, tmp_path / "bundle"))
    assert isinstance(after, Pipeline)
    assert [name for name, _ in after.steps] == [name for name, _ in before.steps]
    assert after.predict_proba(X).tobytes() == before.predict_proba(X).tobytes()
    assert after.steps[0][1].get_params() == before.steps[0][1].get_params()
    if isinstance(first, RAESampler):
        ours = [model.steps[0][1].sample(3, y=2, random_state=1).tobytes() for model in (before, after)]
        assert ours[0] == ours[1]


DEEPSMOTE = {"max_epochs": 1, "latent_dim": 3, "hidden_units": 4, "channels": 2, "device": "cpu"}
LATENT = {
    "trained": lambda X, y: latent(),
    "by default": lambda X, y: LatentOversampler(random_state=0, device="cpu"),
    "fitted": lambda X, y: latent(rae().fit(X, y)),
    "frozen": lambda X, y: latent(FrozenEstimator(sampler().fit(X, y))),
    "another": lambda X, y: latent(DeepSMOTE(**DEEPSMOTE, random_state=0).fit(X, y), AMDO()),
}


@pytest.mark.parametrize("kind", LATENT)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_latent_over_sampler_is_kept_with_its_autoencoder(rows, tmp_path, kind, monkeypatch):
    X, y = rows
    monkeypatch.setattr("latentover.methods.latent_oversampler.RAESampler", partial(RAESampler, **RAE))  # the default
    before = LATENT[kind](X, y)
    resampled = before.fit(X, y).sample(7, y=2, random_state=3)
    after = load(save(before, tmp_path / "bundle"))
    assert sorted(path.name for path in (tmp_path / "bundle").iterdir()) == FILES
    assert not holds_a_training_row(tmp_path / "bundle", X, before.format_)
    assert after.sample(7, y=2, random_state=3).tobytes() == resampled.tobytes()
    assert type(after.sampler) is type(before.sampler)
    assert type(after.autoencoder) is type(before.autoencoder)
    first, second = (one.fit_resample(X, y)[0] for one in (before, after))
    assert first.tobytes() == second.tobytes(), "what was fitted is used again, what was not is trained again"


def test_a_latent_over_sampler_goes_before_a_classifier(rows, tmp_path):
    X, y = rows
    before = make_pipeline(latent(), deep()).fit(X, y)
    after = load(save(before, tmp_path / "bundle"))
    assert after.predict_proba(X).tobytes() == before.predict_proba(X).tobytes()
    samples = [model.steps[0][1].sample(3, y=2, random_state=1).tobytes() for model in (before, after)]
    assert samples[0] == samples[1]


class First(nn.Module):
    """The first columns, and what is made of them by repetition: no row comes back."""

    def forward(self, x):
        return x[:, :8]


class Repeated(nn.Module):
    def forward(self, z):
        return z.repeat(1, 8)


def test_networks_that_shorten_are_given_again_and_others_are_refused(rows, tmp_path):
    X, y = rows
    own = {"encoder": First(), "decoder": Repeated()}
    before = LatentOversampler(**own, random_state=0).fit(X, y)
    after = load(save(before, tmp_path / "bundle"), **own)
    assert not holds_a_training_row(tmp_path / "bundle", X, before.format_)
    assert after.sample(7, y=2, random_state=3).tobytes() == before.sample(7, y=2, random_state=3).tobytes()
    keeping = LatentOversampler(encoder=nn.Identity(), decoder=nn.Identity(), random_state=0)
    with pytest.raises(TypeError, match=r"no training rows once it is fitted, but got LatentOversampler, which makes"):
        save(keeping.fit(X, y), tmp_path / "rows")
    assert not (tmp_path / "rows").exists()
    pipeline = make_pipeline(keeping, deep()).fit(X, y)
    loaded = load(save(pipeline, tmp_path / "pipeline"), encoder=nn.Identity(), decoder=nn.Identity())
    assert not holds_a_training_row(tmp_path / "pipeline", X, keeping.format_)
    assert loaded.predict_proba(X).tobytes() == pipeline.predict_proba(X).tobytes()
    with pytest.raises(NotFittedError):
        loaded.steps[0][1].sample(1, y=2)


def test_a_loaded_estimator_can_be_fitted_and_saved_again(bundle, images, tmp_path):
    model = load(bundle)
    save(model, tmp_path / "again")
    for name in FILES:
        assert (tmp_path / "again" / name).read_bytes() == (bundle / name).read_bytes()
    assert model.fit(*images).predict_proba(images[0]).tobytes() == load(bundle).predict_proba(images[0]).tobytes()


def test_parameters_of_every_kind_come_back(rows, tmp_path):
    X, y = rows
    strategy = {0: 40, np.int64(2): np.int64(30)}
    before = sampler(sampling_strategy=strategy, learning_rate=np.float32(0.5), random_state=np.int64(3)).fit(X, y)
    after = load(save(before, tmp_path / "bundle"))
    assert after.sampling_strategy == {0: 40, 2: 30}
    assert (after.learning_rate, after.random_state) == (0.5, 3)
    assert after.fit_resample(X, y)[1].tolist().count(2) == 30


def test_a_state_of_random_numbers_is_not_stored(rows, tmp_path):
    model = deep(random_state=np.random.RandomState(0)).fit(*rows)
    assert load(save(model, tmp_path / "bundle")).random_state is None


# ---- What is in it ---------------------------------------------------------------------------------------------------


def test_a_bundle_is_two_files_and_neither_is_a_pickle(bundle):
    assert sorted(path.name for path in bundle.iterdir()) == FILES
    config = json.loads((bundle / "config.json").read_text(encoding="utf-8"))
    assert set(config) == {"format", "latentover", "sha256", "tensors", "estimator", "config_sha256"}
    assert (config["format"], config["latentover"]) == (FORMAT, latentover.__version__)
    weights = (bundle / "model.safetensors").read_bytes()
    assert config["sha256"] == hashlib.sha256(weights).hexdigest()
    assert not weights.startswith((b"\x80", b"PK"))
    assert set(load_file(bundle / "model.safetensors"))


def test_the_critic_is_not_stored(bundle, fitted):
    assert fitted.networks_.critic is not None
    names = {name.split(".")[0] for name in load_file(bundle / "model.safetensors")}
    assert names == {
        "networks/encoder",
        "networks/classifier",
        "networks/mixer",
        "networks/decoder",
        "tensors/latents",
        "tensors/labels",
    }
    assert load(bundle).networks_.critic is None


def holds_a_training_row(folder, X, layout):
    """Whether a row, as it came or as it was encoded, is in a file of the bundle in any of the usual types."""
    content = b"".join(path.read_bytes() for path in folder.iterdir())
    frame = isinstance(X, pd.DataFrame)
    encoded = layout.encode(X)
    numbers = X.select_dtypes("number").to_numpy(dtype=float) if frame else np.asarray(X)
    forms = [numbers, encoded.numpy(), layout.network_input(encoded).numpy()]
    if numbers.ndim == 4:
        forms += [form.transpose(0, 2, 3, 1) for form in forms]  # as channels-last tensors lie in memory
    for form in forms:
        for dtype in ("<i8", "<f4", "<f8") if frame else ("u1", "<i4", "<i8", "<f2", "<f4", "<f8"):
            table = form.astype(dtype).reshape(len(form), -1)
            if any(row.tobytes() in content for row in table if len(np.unique(row)) > 1):
                return True
    return False


@pytest.mark.parametrize("kind", ["images", "rows", "frame"])
@pytest.mark.parametrize(
    "make",
    [rae, sampler, deep, lambda: make_pipeline(sampler(), deep())],
    ids=["RAEClassifier", "RAESampler", "DeepClassifier", "pipeline"],
)
def test_no_training_row_is_in_a_bundle(request, tmp_path, kind, make):
    X, y = request.getfixturevalue(kind)
    model = make().fit(X, y)
    layout = (model.steps[-1][1] if isinstance(model, Pipeline) else model).format_
    save(model, tmp_path)
    assert not holds_a_training_row(tmp_path, X, layout)


@pytest.mark.parametrize("kind", ["images", "rows", "frame"])
@pytest.mark.parametrize("as_is", [True, False])
def test_the_search_for_training_rows_finds_one(request, tmp_path, kind, as_is):
    X, y = request.getfixturevalue(kind)
    model = deep().fit(X, y)
    row = model.format_.encode(X)[3:4]
    model.tensors_ = {"stolen": row if as_is else model.format_.network_input(row).double()}
    assert holds_a_training_row(save(model, tmp_path), X, model.format_)


def test_no_cell_of_a_table_is_in_a_config_but_its_extremes(frame, tmp_path):
    X, y = frame
    content = (save(rae().fit(X, y), tmp_path) / "config.json").read_text(encoding="utf-8")
    extremes = {X["income"].min(), X["income"].max()}  # what samples are clipped to
    assert not [income for income in X["income"] if repr(income) in content and income not in extremes]


FEWEST = {"max_steps": 1, "max_epochs": 1, "autoencoder_epochs": 1, "decoder_steps": 2, "pretraining_steps": 1}
MADE_OF_ROWS = {
    "AMDO",
    "ClassicalSampler",
    "FilteredSampler",
    "MultiClassCCR",
    "MultiClassRBO",
    "SmoothedBootstrapSampler",
}


def every_estimator():
    classes = (getattr(latentover, name) for name in sorted(latentover.__all__))
    for cls in classes:
        if isinstance(cls, type) and issubclass(cls, BaseDataEstimator):
            known = inspect.signature(cls).parameters
            settings = {**RAE, **DEEP, **FEWEST, "random_state": 0, "device": "cpu"}
            settings |= {"autoencoder": sampler()} if "autoencoder" in known else {}
            settings |= {"sampler": ClassicalSampler()} if "classifier" in known else {}
            yield cls(**{name: value for name, value in settings.items() if name in known})


@pytest.mark.parametrize("kind", ["images", "rows"])
@pytest.mark.parametrize("estimator", list(every_estimator()), ids=lambda estimator: type(estimator).__name__)
def test_every_public_estimator_is_kept_without_a_row_or_says_why_not(request, tmp_path, kind, estimator):
    X, y = request.getfixturevalue(kind)
    before = clone(estimator).fit(X, y)
    if type(before).__name__ in MADE_OF_ROWS:
        with pytest.raises(TypeError, match="an estimator that needs no training rows once it is fitted, but got "):
            save(before, tmp_path / "bundle")
        return
    after = load(save(before, tmp_path / "bundle"))
    assert not holds_a_training_row(tmp_path / "bundle", X, before.format_)
    if hasattr(before, "predict_proba"):
        assert after.predict_proba(X).tobytes() == before.predict_proba(X).tobytes()
    if not hasattr(before, "sample"):
        return
    if getattr(before, "_mixes_inputs", bool)():  # of the rows themselves
        with pytest.raises(ValueError, match=r"Expected the training rows, which .* mixes"):
            after.sample(3, y=2, random_state=0)
    else:
        samples = [one.sample(3, y=2, random_state=0) for one in (before, after)]
        assert samples[0].tobytes() == samples[1].tobytes()


# ---- Where it is written ---------------------------------------------------------------------------------------------


def test_a_bundle_is_replaced_and_what_else_is_there_stays(bundle, rows):
    (bundle / "notes.txt").write_text("mine")
    assert save(deep().fit(*rows), str(bundle)) == bundle
    assert isinstance(load(bundle), DeepClassifier)
    assert sorted(path.name for path in bundle.iterdir()) == [*FILES, "notes.txt"]


def test_a_folder_is_made_and_a_file_in_its_place_is_an_error(fitted, tmp_path):
    save(fitted, tmp_path / "a" / "b")
    (tmp_path / "file").touch()
    for place in ("file", "file/below"):
        with pytest.raises(NotADirectoryError, match=r"Expected .*file.* to be a folder that can be written to"):
            save(fitted, tmp_path / place)


# ---- What cannot be saved --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "estimator",
    [rae(), sampler(), deep(), latent(), make_pipeline(SMOTE(), deep()), make_pipeline(sampler(), deep())],
    ids=lambda estimator: type(estimator).__name__,
)
def test_what_is_not_fitted_is_not_saved(estimator, tmp_path):
    with pytest.raises(NotFittedError, match="is not fitted yet"):
        save(estimator, tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def of_this_function():
    class Stranger(DeepClassifier):
        pass

    return Stranger()


@pytest.mark.parametrize(
    ("estimator", "message"),
    [
        (LogisticRegression(), "Expected an estimator of latentover, or .* ends in one, but got LogisticRegression;"),
        (SMOTE(), "ends in one, but got SMOTE;"),
        (make_pipeline(SMOTE(), LogisticRegression()), "but got LogisticRegression at its end;"),
        (
            make_pipeline(StandardScaler(), deep()),
            "imbalanced-learn's samplers, but got StandardScaler of sklearn.*no code",
        ),
        (of_this_function(), r"but got test_bundle.of_this_function.*Stranger; a bundle holds no code .* of its own\."),
        (sampler(sampling_strategy=len), "parameter sampling_strategy of RAESampler to be writable as JSON, but got <"),
        (
            make_pipeline(SMOTE(k_neighbors=NearestNeighbors()), deep()),
            r"parameter k_neighbors of SMOTE to be writable as JSON, but got NearestNeighbors\(\)",
        ),
        (make_pipeline(SVMSMOTE(svm_estimator=LogisticRegression()), deep()), "parameter svm_estimator of SVMSMOTE"),
        (latent(first=SMOTE(k_neighbors=NearestNeighbors())), "parameter sampler of LatentOversampler to be writable"),
        (latent(FrozenEstimator(StandardScaler())), "parameter autoencoder of LatentOversampler to be writable"),
        (
            ClassicalSampler(),
            "needs no training rows once it is fitted, but got ClassicalSampler, which makes new rows",
        ),
        ("text", "but got str;"),
    ],
    ids=str,
)
def test_what_a_bundle_cannot_hold_is_said_before_training(estimator, message, tmp_path):
    with pytest.raises(TypeError, match=message):
        check_storable(estimator)
    with pytest.raises(TypeError, match=message):
        save(estimator, tmp_path / "bundle")


# ---- What cannot be opened -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(bundle, name):
    (bundle / name).unlink()
    with pytest.raises(FileNotFoundError, match=rf"Expected .*bundle to be a run .*, but {name} is missing; copy"):
        load(bundle)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"Expected .*nowhere to be a run .*, but config.json is missing"):
        load(tmp_path / "nowhere")


@pytest.mark.parametrize("damage", [lambda b: b[:-10], lambda b: b[:50] + bytes([b[50] ^ 1]) + b[51:], lambda b: b""])
def test_damaged_weights_are_found(bundle, damage):
    path = bundle / "model.safetensors"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(
        ValueError, match=r"safetensors to be the file that was saved, but it is damaged .*; copy it again"
    ):
        load(bundle)


@pytest.mark.parametrize("content", [b"", b"\x80\x04\x95 not tensors", b"\xff" * 100])
def test_weights_that_are_no_safetensors_are_found(bundle, content):
    (bundle / "model.safetensors").write_bytes(content)
    change_config(bundle, lambda config: config.update(sha256=hashlib.sha256(content).hexdigest()))
    with pytest.raises(ValueError, match="to be a safetensors file, but it is not"):
        load(bundle)


@pytest.mark.parametrize("keep", [0, 1, 100, -5])
def test_a_config_cut_short_is_found(bundle, keep):
    path = bundle / "config.json"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"config.json to be JSON, but it is damaged: .*; copy it again"):
        load(bundle)


def test_a_config_that_is_no_text_is_found(bundle):
    (bundle / "config.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=r"config.json to be JSON, but it is damaged"):
        load(bundle)


@pytest.mark.parametrize(
    "content", ["[]", "3", "{}", '{"format": 1}', '{"format": "1", "sha256": "", "estimator": {}}']
)
def test_a_config_of_something_else_is_found(bundle, content):
    (bundle / "config.json").write_text(content)
    with pytest.raises(ValueError, match=r"config.json to describe an estimator, but it lacks the keys of a bundle"):
        load(bundle)


@pytest.mark.parametrize(
    "change",
    [
        lambda estimator: estimator.pop("class"),
        lambda estimator: estimator.pop("parameters"),
        lambda estimator: estimator.pop("state"),
        lambda estimator: estimator["state"].pop("format"),
        lambda estimator: estimator["parameters"].update(of_another_version=1),
        lambda estimator: estimator["parameters"].update(latent_dim=7),
        lambda estimator: estimator.update(parameters=[1]),
        lambda estimator: estimator.update({"class": "imblearn.pipeline.Pipeline"}),
    ],
)
def test_a_description_that_does_not_fit_is_found(bundle, change):
    change_config(bundle, lambda config: change(config["estimator"]))
    with pytest.raises(
        ValueError, match=r"Expected .*config.json and model.safetensors to describe a fitted estimator, but"
    ):
        load(bundle)


def test_weights_of_another_estimator_are_found(bundle):
    tensors = load_file(bundle / "model.safetensors")
    del tensors["networks/classifier.weight"]
    save_file(tensors, bundle / "model.safetensors")
    sha256 = hashlib.sha256((bundle / "model.safetensors").read_bytes()).hexdigest()
    change_config(bundle, lambda config: config.update(sha256=sha256))
    with pytest.raises(ValueError, match=r"to describe a fitted estimator, but .*; copy the folder again"):
        load(bundle)


def test_a_newer_format_asks_for_an_upgrade(bundle):
    change_config(bundle, lambda config: config.update(format=FORMAT + 1))
    with pytest.raises(
        ValueError, match=rf"Expected a bundle of format {FORMAT} or older, but .* {FORMAT + 1}; upgrade"
    ):
        load(bundle)


UNTRUSTED = [
    "os.system",
    "builtins.eval",
    "latentover.bundle.load",
    "latentover.load",
    "latentover.save",
    "latentover.data",
    "latentover.os",
    "latentover.methods.rae.RAEClassifier",
    "latentover.BaseDeepEstimator",
    "imblearn.pipeline._x",
    "imblearn.pipeline.make_pipeline",
    "imblearn.pipeline.pipeline.Pipeline",
    "imblearn.over_sampling._smote.base.SMOTE",
    "imblearn._config.SMOTE",
    "imblearn.nowhere.SMOTE",
    "imblearn.base.os.system",
    "imblearn",
    "sklearn.linear_model.LogisticRegression",
    "torch.nn.Linear",
    "stranger.Method",
    "RAEClassifier",
    "",
    ".",
    None,
    3,
    ["latentover.RAEClassifier"],
]


@pytest.mark.parametrize("path", UNTRUSTED, ids=repr)
def test_an_untrusted_class_is_neither_imported_nor_made(bundle, path, tmp_path, monkeypatch):
    (tmp_path / "stranger.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    change_config(bundle, lambda config: config["estimator"].update({"class": path}))
    with pytest.raises(
        ValueError, match=r"Expected the public path of an estimator of .*, but got .*; no other class is"
    ):
        load(bundle)


def test_an_untrusted_step_of_a_pipeline_is_not_made(rows, tmp_path):
    folder = save(make_pipeline(SMOTE(k_neighbors=3), deep()).fit(*rows), tmp_path)
    change_config(folder, lambda config: config["estimator"]["steps"][0][1].update({"class": "os.system"}))
    with pytest.raises(ValueError, match=r"but got 'os.system'; no other class is trusted"):
        load(folder)


@pytest.mark.parametrize("cls", [RAEClassifier, RAESampler, DeepClassifier, SMOTE, RandomOverSampler, Pipeline])
def test_a_trusted_class_is_found_by_its_public_path(cls):
    module = "latentover" if cls.__module__.startswith("latentover") else ".".join(cls.__module__.split(".")[:2])
    assert find_class(f"{module}.{cls.__name__}") is cls


# ---- Modules of the user's own ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("make", "name"), [(rae, "encoder"), (deep, "backbone")])
def test_a_module_of_ones_own_is_given_again(images, tmp_path, make, name):
    X, y = images
    before = make(**{name: Encoder()}).fit(X, y)
    folder = save(before, tmp_path / "bundle")
    after = load(folder, **{name: Encoder()})
    assert after.predict_proba(X).tobytes() == before.predict_proba(X).tobytes()
    message = rf"Expected a module for parameter {name}, .* call load\(folder, {name}=...\) with a test_bundle.Encoder"
    with pytest.raises(ValueError, match=message):
        load(folder)
    with pytest.raises(ValueError, match="fitted estimator with the modules that were given, but RuntimeError"):
        load(folder, **{name: nn.Sequential(nn.Flatten(), nn.Linear(64, 3))})


def test_a_module_in_a_pipeline_is_given_again(rows, tmp_path):
    X, y = rows
    before = make_pipeline(SMOTE(k_neighbors=3, random_state=0), deep(backbone=Encoder())).fit(X, y)
    after = load(save(before, tmp_path / "bundle"), backbone=Encoder())
    assert after.predict_proba(X).tobytes() == before.predict_proba(X).tobytes()


def test_a_module_that_nothing_asked_for_is_an_error(bundle):
    with pytest.raises(
        ValueError, match=r"Expected modules for parameters that hold one in .*, but got backbone; leave"
    ):
        load(bundle, backbone=Encoder())


def test_a_bundle_can_be_moved(bundle, tmp_path, images):
    moved = shutil.move(bundle, tmp_path / "elsewhere")
    assert load(moved).predict(images[0]).shape == (len(images[0]),)


def test_a_shipped_model_is_found_from_anywhere(bundle, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("latentover.bundle.shipped_folder", lambda name: bundle.parent)
    assert find_bundle(Path("models") / bundle.name) == bundle
    (tmp_path / "models" / bundle.name).mkdir(parents=True)
    assert find_bundle(Path("models") / bundle.name) == Path("models") / bundle.name  # what is here goes first


# ---- Faults ----------------------------------------------------------------------------------------------------------


def rehash(folder, change=lambda config: None):
    """Change the configuration as somebody would who knows how its hashes are made."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    change(config)
    config["sha256"] = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    config.pop("config_sha256")
    config["config_sha256"] = hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")


@pytest.mark.parametrize("name", FILES)
def test_a_bit_that_flips_is_found(bundle, fitted, images, name):
    content = (bundle / name).read_bytes()
    expected = fitted.predict_proba(images[0]).tobytes()
    for place in np.random.default_rng(0).integers(8 * len(content), size=40).tolist():
        flipped = bytearray(content)
        flipped[place // 8] ^= 1 << place % 8
        (bundle / name).write_bytes(flipped)
        loaded = None
        with suppress(ValueError):
            loaded = load(bundle)
        if loaded is not None:  # white space, or a key that nothing is read from
            assert name == "config.json"
            assert loaded.predict_proba(images[0]).tobytes() == expected
            assert loaded.get_params() == fitted.get_params()


def test_a_changed_number_in_the_configuration_is_found(bundle):
    change_config(bundle, lambda config: config["estimator"]["parameters"].update(learning_rate=0.5))
    with pytest.raises(ValueError, match=r"config.json to be the file that was saved, but it is damaged"):
        load(bundle)


@pytest.mark.parametrize(("name", "value"), [("hidden_units", 2**20), ("latent_dim", 2**20), ("channels", 2**18)])
def test_a_size_that_was_changed_takes_no_memory(bundle, name, value):
    rehash(bundle, lambda config: config["estimator"]["parameters"].update({name: value}))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ValueError, match=r"to describe a fitted estimator, but RuntimeError: Expected the weights"):
        load(bundle)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kB


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("tensors/latents"), "tensors/latents is missing"),
        (lambda t: t.update({"tensors/more": torch.zeros(2)}), "tensors/more is missing, too many"),
        (lambda t: t.update({"tensors/latents": t["tensors/latents"].repeat(2, 1)}), "tensors/latents is missing, too"),
        (lambda t: t.update({"tensors/latents": t["tensors/latents"].double()}), "or of another type or shape"),
        (lambda t: t["tensors/latents"].fill_(float("nan")), "tensors/latents has values that are not finite"),
        (lambda t: t["networks/classifier.bias"].fill_(float("inf")), "classifier.bias has values that are not finite"),
        (lambda t: t["tensors/labels"].fill_(9), "tensor labels to hold class numbers below 3, but got others"),
    ],
)
def test_tensors_that_are_not_those_that_were_saved_are_found(bundle, change, message):
    tensors = load_file(bundle / "model.safetensors")
    change(tensors)
    save_file(tensors, bundle / "model.safetensors")
    rehash(bundle)
    with pytest.raises(ValueError, match=message):
        load(bundle)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(format=0), "lacks the keys of a bundle"),
        (lambda c: c.update(format=-3), "lacks the keys of a bundle"),
        (lambda c: c.update(format=True), "lacks the keys of a bundle"),
        (
            lambda c: c["estimator"]["state"].update(classes_dtype="<U250000000"),
            "labels of numbers, text or dates",
        ),
        (
            lambda c: c["estimator"]["state"].update(classes_dtype="V1000000000"),
            "labels of numbers, text or dates",
        ),
        (lambda c: c["estimator"]["state"].update(classes_dtype="nonsense"), "to describe a fitted estimator"),
        (lambda c: c["estimator"]["state"].update(classes=5), "to describe a fitted estimator"),
        (
            lambda c: c["estimator"]["parameters"].update(checkpoint="/etc/x"),
            "no checkpoint in a bundle, but got '/",
        ),
        (lambda c: c["estimator"]["parameters"].update(max_steps="many"), "max_steps to be a whole number at least 1"),
        (lambda c: c["estimator"]["state"]["format"].update(shape=[1, 2**20, 2**20]), "Expected"),
        (lambda c: c["estimator"]["state"].update(format=[]), "to describe a fitted estimator"),
    ],
)
def test_what_was_planted_in_a_configuration_is_one_value_error(bundle, change, message):
    rehash(bundle, change)
    with pytest.raises(ValueError, match=message):
        load(bundle)


def test_the_file_of_a_checkpoint_is_no_part_of_a_bundle(images, tmp_path):
    model = rae(checkpoint=str(tmp_path / "a.checkpoint")).fit(*images)
    assert load(save(model, tmp_path / "bundle")).checkpoint is None
    assert model.checkpoint == str(tmp_path / "a.checkpoint")


SAVING = """
import os, signal, sys
from pathlib import Path
import latentover
from latentover import files
first, second = (latentover.load(folder) for folder in sys.argv[1:3])
def dying(function, after):
    calls = 0
    def call(*args, **kwargs):
        nonlocal calls
        calls += 1
        if calls > after:
            os._exit(9)
        return function(*args, **kwargs)
    return call
for after in range(100):
    folder = Path(sys.argv[3], str(after))
    latentover.save(first, folder)
    if os.fork() == 0:
        die = dying(lambda function, *args, **kwargs: function(*args, **kwargs), after)
        for owner, names in ((Path, ("rename", "replace", "touch", "unlink", "write_bytes")), (files, ("_sync",))):
            for name in names:
                setattr(owner, name, (lambda f: lambda *a, **k: die(f, *a, **k))(getattr(owner, name)))
        latentover.save(second, folder)
        os._exit(0)
    if os.waitstatus_to_exitcode(os.wait()[1]) == 0:
        print(after)
        break
"""


def test_a_save_that_is_cut_short_leaves_the_old_bundle_or_the_new_one(fitted, images, tmp_path):
    """Killed at each of its calls of the system in turn."""
    other = rae(random_state=1, hidden_units=5).fit(*images)
    folders = [save(model, tmp_path / name) for name, model in (("first", fitted), ("second", other))]
    environment = {"PYTHONPATH": str(Path(latentover.__file__).parent.parent), "PATH": "/usr/bin:/bin"}
    arguments = [*folders, tmp_path]
    result = subprocess.run(
        [sys.executable, "-c", SAVING, *map(str, arguments)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    moments = int(result.stdout)
    assert moments >= 8
    expected = [model.predict_proba(images[0]).tobytes() for model in (fitted, other)]
    found = []
    for moment in range(moments + 1):
        folder = tmp_path / str(moment)
        found.append(expected.index(load(folder).predict_proba(images[0]).tobytes()))
        assert is_whole(folder)
        save(load(folder), folder)
        assert load(folder).predict_proba(images[0]).tobytes() == expected[found[-1]]
        assert sorted(path.name for path in folder.iterdir()) == FILES
    assert found == sorted(found)
    assert {0, 1} == set(found)


@pytest.mark.parametrize("fault", ["full disk", "labels", "columns"])
def test_a_save_that_fails_leaves_the_old_bundle(bundle, fitted, images, frame, tmp_path, monkeypatch, fault):
    before = {path.name: path.read_bytes() for path in bundle.iterdir()}
    model = deep().fit(*frame)
    if fault == "labels":
        model.classes_ = np.array([1j, 2j], dtype=object)
    elif fault == "columns":
        model.feature_names_in_ = np.array([1j * i for i in range(4)], dtype=object)
    else:

        def full(path, content):
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(Path, "write_bytes", full)
    kind, message = {
        "full disk": (OSError, "Expected space for .*, but got"),
        "labels": (ValueError, "Expected y to hold labels that can be stored, but got a complex"),
        "columns": (TypeError, "which JSON can hold, but got others: .*complex"),
    }[fault]
    with pytest.raises(kind, match=message):
        save(model, bundle)
    assert {path.name: path.read_bytes() for path in bundle.iterdir()} == before
    with pytest.raises(kind, match=message):
        save(model, tmp_path / "new")
    if fault != "full disk":
        assert not (tmp_path / "new").exists()


def test_what_else_lies_in_the_folder_stays(bundle, fitted):
    (bundle / "notes").mkdir()
    (bundle / "notes" / "mine.txt").write_text("mine")
    save(fitted, bundle)
    assert (bundle / "notes" / "mine.txt").read_text() == "mine"
    assert sorted(path.name for path in bundle.iterdir()) == [*FILES, "notes"]


def test_many_saves_into_one_folder_are_one_of_them(fitted, images, tmp_path):
    models = [fitted, rae(random_state=1).fit(*images)]
    expected = {model.predict_proba(images[0]).tobytes() for model in models}
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: save(models[number % 2], tmp_path / "a"), range(12)))
    assert load(tmp_path / "a").predict_proba(images[0]).tobytes() in expected
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == FILES
