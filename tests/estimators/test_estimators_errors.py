"""Bad input is refused before anything is trained, and the message says what was expected, what came and what to do."""

import inspect
import warnings
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from torch import nn

from latentover import AMDO, DeepClassifier, DeepSMOTE, RAEClassifier, RAESampler
from latentover.estimators import FewImagesWarning
from latentover.mixing import NeighborMix
from latentover.training import TrainingDiverged

TINY = {
    "latent_dim": 4,
    "channels": 4,
    "hidden_units": 8,
    "batch_size": 8,
    "max_steps": 2,
    "critic_steps": 1,
    "device": "cpu",
    "random_state": 0,
}
ESTIMATORS = [
    RAEClassifier(**TINY),
    RAESampler(**TINY),
    DeepClassifier(max_epochs=1, feature_dim=4, channels=4, hidden_units=8, device="cpu", random_state=0),
]
EACH = pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda e: type(e).__name__)
X = np.random.default_rng(0).random((20, 4))
Y = np.repeat([0, 1], [14, 6])
IMAGES = np.random.default_rng(0).random((20, 1, 8, 9))


@EACH
class TestData:
    @pytest.mark.parametrize(
        ("data", "labels", "message"),
        [
            (X, np.zeros(20), r"[Gg]ot 1 class"),
            (X, Y[:-1], r"inconsistent numbers: 20 samples and 19 labels"),
            (IMAGES, Y[:-1], r"inconsistent numbers: 20 samples and 19 labels"),
            (
                IMAGES[:, 0],
                Y,
                r"images \(n, channels, height, width\), but got an array of shape \(20, 8, 9\); add a chan",
            ),
            (IMAGES[:, :, :7], Y, r"sides of at least 8 pixels, but got \(1, 7, 9\)"),
            (np.moveaxis(IMAGES, 1, -1), Y, r"got \(8, 9, 1\); for images with their channels last pass channels_last"),
            (np.where(X > 0.9, np.nan, X), Y, "contains NaN"),
            (np.where(X > 0.9, np.inf, X), Y, "contains infinity"),
            (np.where(IMAGES > 0.9, np.nan, IMAGES), Y, "contains NaN"),
            (X[0], Y, "Expected 2D array, got 1D array instead"),
            (X[:0], Y[:0], r"0 sample\(s\)"),
            (X[:, :0], Y, r"0 feature\(s\)"),
            (X, X[:, 0], "Unknown label type"),
            (pd.DataFrame({"a": [1.0, None] * 10}), Y, r"column 'a' contains NaN; impute it first"),
            (pd.DataFrame({"a": [1.0, -np.inf] * 10}), Y, r"column 'a' contains infinity; clip"),
            (pd.DataFrame({"a": ["u", None] * 10}), Y, r"column 'a' contains NaN"),
            (pd.DataFrame({"a": pd.array([1, None] * 10, dtype="Int64")}), Y, r"column 'a' contains NaN"),
            (
                pd.DataFrame(X, columns=list("abca")),
                Y,
                r"a name of its own for each column, but got 'a' twice",
            ),
            (np.where(IMAGES > 0.9, 1e38, IMAGES), Y, r"images X to have values within \+-1e\+37, but got 1e\+38"),
            (pd.DataFrame({"a": X[:, 0] + 1j}), Y, "Complex data not supported"),
            (pd.DataFrame(index=range(20)), Y, r"0 feature\(s\)"),
            (
                np.array([["red", 1.0], ["blue", 2.0]] * 10, dtype=object),
                Y,
                "got text in it; pass a frame for columns of",
            ),
            ([["red", 1.0], ["blue", 2.0]] * 10, Y, "got text in it; pass a frame for columns of text"),
            (np.array([["1.5", b"2"]] * 20, dtype=object), Y, "got text in it; pass a frame for columns of text"),
            (np.full((20, 1), np.datetime64("2024-01-01")), Y, "numbers, but got datetime64.*; pass a frame"),
            (pd.DataFrame({"a": [Fraction(1, 2), Fraction(1, 3)] * 10}), Y, "column 'a' to be .* got a Fraction, 1/3"),
            (pd.DataFrame({Fraction(1, 2): X[:, 0]}), Y, "names of columns .* got a Fraction, 1/2"),
        ],
    )
    def test_is_refused(self, estimator, data, labels, message):
        fitted = clone(estimator)
        with pytest.raises(ValueError, match=message):
            fitted.fit(data, labels)
        assert not hasattr(fitted, "networks_"), "trained nevertheless"

    def test_of_the_wrong_image_shape(self, estimator):
        rows = IMAGES.reshape(20, -1)
        with pytest.raises(ValueError, match=r"channels \* height \* width = 72, .*but got \(1, 8, 8\)"):
            clone(estimator).set_params(image_shape=(1, 8, 8)).fit(rows, Y)
        with pytest.raises(ValueError, match=r"that of X, \(1, 8, 9\), but got \(1, 9, 8\).*leave it out"):
            clone(estimator).set_params(image_shape=(1, 9, 8)).fit(IMAGES, Y)

    def test_of_another_size_at_prediction(self, estimator):
        use = "encode" if hasattr(estimator, "encode") else "predict"
        fitted = clone(estimator).fit(IMAGES, Y)
        for wrong in (IMAGES[..., :8], IMAGES.repeat(2, axis=2)):
            with pytest.raises(ValueError, match=r"samples of shape \(1, 8, 9\), as in fit, but got"):
                getattr(fitted, use)(wrong)
        fitted = clone(estimator).fit(X, Y)
        with pytest.raises(ValueError, match=r"X has 3 features, but .* is expecting 4"):
            getattr(fitted, use)(X[:, :3])

    def test_a_class_of_one_sample(self, estimator):
        y = np.array([0] * 14 + [1] * 5 + [2])
        if not hasattr(estimator, "small_class"):
            assert clone(estimator).fit(X, y).class_counts_.tolist() == [14, 5, 1]
            return
        with pytest.raises(ValueError, match=r"at least 2 samples, but got 1 of class 2; .*small_class='adapt'"):
            clone(estimator).set_params(small_class="raise").fit(X, y)
        with pytest.warns(UserWarning, match=r"at least 2 samples, but got 1 of class 2: "):
            fitted = clone(estimator).fit(X, y)
        assert fitted.sample(3, 2).shape == (3, 4)


BAD = {
    "alpha": ["beta", 0.5, [1, 0], [2, "2"], [1.0, 1.0, 1.0]],
    "adversarial_every": [0, 1.5],
    "augment": ["rotate", None],
    "batch_size": [1, 0, 2.5, "8"],
    "borrow": [-0.1, "much"],
    "channels": [0],
    "channels_last": ["yes", None],
    "classifier_weight": [-1, float("nan")],
    "critic_steps": [-1],
    "decoder_channels": [0, 2.0],
    "decoder_reconstruction": ["no"],
    "dropout": [1, -0.1, "half"],
    "style_dim": [-1, 1.5],
    "head_epochs": [0],
    "head_learning_rate": [0],
    "head_sampler": ["smote"],
    "synthetic_weight": [-0.1, 1.5],
    "latent_augmentation": ["gaussian"],
    "classifier": ["quadratic"],
    "decoder_upsampling": ["bilinear", None],
    "encoder": ["vgg", None, 3],
    "encoder_size": [0, 1.5],
    "encoder_weights": [3, False],
    "freeze_encoder": ["yes", None],
    "gradient_penalty_weight": [-1],
    "hidden_units": [0],
    "image_shape": [(8, 9), (1, 0, 9), 72, (1.0, 8, 9)],
    "latent_dim": [0, True],
    "match_moments": ["yes", None],
    "learning_rate": [0, -1e-3, float("inf"), "1e-3"],
    "max_steps": [0, 10.5],
    "n_components": [0, "2"],
    "precision": ["half", None, 16],
    "reconstruction_weight": [-0.1],
    "sampling_power": [-0.1, 1.5],
    "schedule": ["linear", 3],
    "small_class": ["ignore", None],
    "base_selection": ["first", None, [], [-1, 2], [0.5], [[1, 2]], 3],
    "categorical_features": ["all", [0.5], ["colour"], [9], [True]],
    "constraints": ["all", None, 3, ["a <= b", 3]],
    "clip": ["seen", 3, (1, 0), (0, 1, 2), {9: (0, 1)}],
    "keep_index": ["drop", True],
    "missing": ["drop", None],
    "identifiers": ["row", 3],
    "new_identifiers": ["new", None],
    "numbers": ["score", None],
    "verbose": [-1, "yes"],
    "weight_decay": [-1],
    "backbone": ["resnet18000", None],
    "loss": ["mse", 3],
    "tau": [-1],
    "reweighting": ["inverse", 1],
    "batches": ["random"],
    "feature_dim": [0],
    "max_epochs": [0],
    "acceptance_beta": [1, -0.1],
    "adversarial_learning_rate": [0, "fast"],
    "average_mirrored": ["yes"],
    "batch_norm_momentum": [0, 1.5],
    "bn_clean_forward": ["no"],
    "checkpoint": [3],
    "checkpoint_every": [0],
    "class_preserving": ["no"],
    "classifier_bias": ["no"],
    "classifier_optimizer": ["both"],
    "callbacks": ["tensorboard", [3]],
    "capture": ["yes", None],
    "compile": ["yes"],
    "conditional_critic": ["yes"],
    "confidence": [2, -0.1],
    "critic_fakes": ["all"],
    "decoder": ["no"],
    "decoder_classification": ["no"],
    "drw_start": [1.5, -1],
    "early_stopping": ["yes"],
    "effective_beta": [1, -0.1],
    "ema": [1, -0.1],
    "encoder_passes": ["three"],
    "final_weights": ["first"],
    "focal_gamma": [-1],
    "guide": ["best"],
    "ldam_margin": [-0.1],
    "ldam_scale": [0],
    "loss_reduction": ["max"],
    "mixer_activation": ["tanh"],
    "mixer_betas": [0.5, [0.5], [0.5, 1.0]],
    "mixing": ["mixup", 0.5],
    "n_iter_no_change": [0],
    "nesterov": ["yes"],
    "noise_radius": [-1],
    "optimizer": ["adam"],
    "penalty_coefficients": ["beta"],
    "reconstruct_every": [0],
    "repulsion": [-1],
    "stage_augment": ["rotate", None],
    "stage_sampler": ["smote", 3],
    "stage_start": [1, -0.1],
    "standardize": ["yes"],
    "track": ["margins"],
    "translation_start": [1.5],
    "translation_step_size": [0],
    "translation_steps": [0],
    "update_order": ["paper"],
    "validation_fraction": [0, 1],
    "wrong_label": ["random"],
}
NOT_RANGED = {"device", "random_state", "sampling_strategy"}


class TestSettingsThatDoNotGoTogether:
    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            (
                {"alpha": [2.0, 2.0], "n_components": 3},
                r"alpha to be a list of n_components = 3 concentrations, but got",
            ),
            ({"batches": "pool", "n_components": 3}, r"n_components to be 2 with batches='pool', but got 3"),
            ({"class_preserving": False, "decoder": False}, r"class_preserving or decoder to be True"),
            ({"mixing": NeighborMix(space="hidden")}, r"mixing to be a rule that mixes inputs, but got NeighborMix"),
        ],
        ids=str,
    )
    def test_is_refused(self, settings, message):
        with pytest.raises(ValueError, match=f"^Expected {message}"):
            RAEClassifier(**TINY, **settings).fit(X, Y)

    def test_a_sampler_without_a_decoder(self):
        with pytest.raises(ValueError, match="decoder to be True, for an over-sampler has to generate"):
            RAESampler(**TINY, decoder=False).fit_resample(X, Y)

    def test_a_pool_smaller_than_a_batch(self):
        with pytest.raises(ValueError, match="batch_size to be at most the 400 pairs of the pool, but got 500"):
            RAEClassifier(**{**TINY, "batch_size": 500}, batches="pool").fit(X, Y)


class TestParameters:
    @pytest.mark.parametrize(
        ("name", "value"), [(name, value) for name, values in BAD.items() for value in values], ids=str
    )
    def test_out_of_range(self, name, value):
        for estimator in ESTIMATORS:
            if name not in estimator.get_params():
                continue
            fitted = clone(estimator).set_params(**{name: value})
            with pytest.raises(ValueError, match=rf"^Expected {name} to .*, but got "):
                fitted.fit(X, Y)
            assert not hasattr(fitted, "networks_")

    @EACH
    def test_every_parameter_has_a_range_that_is_tested(self, estimator):
        assert set(inspect.signature(type(estimator)).parameters) <= BAD.keys() | NOT_RANGED

    @EACH
    def test_all_problems_are_in_one_message(self, estimator):
        bad = {"learning_rate": -1, "batch_size": 0, "schedule": "linear", "dropout": 2, "precision": "half"}
        with pytest.raises(ValueError, match="Expected") as raised:
            clone(estimator).set_params(**bad).fit(X, Y)
        message = str(raised.value)
        assert all(f"{name} to be" in message and repr(value) in message for name, value in bad.items())
        assert message.count("; and ") == 4

    @EACH
    def test_numpy_numbers_are_numbers(self, estimator):
        parameters = {name: value for name, value in estimator.get_params().items() if type(value) in (int, float)}
        numbers = {name: np.asarray(value)[()] for name, value in parameters.items() if name != "random_state"}
        assert isinstance(numbers["batch_size"], np.int64)
        for data in (X, IMAGES):
            clone(estimator).set_params(**numbers).fit(data, Y)

    @EACH
    @pytest.mark.parametrize("device", ["gpu", "cuda:77", None])
    def test_unknown_device(self, estimator, device):
        with pytest.raises(ValueError, match=r"Expected device to be 'auto', 'cpu' or .*, but got"):
            clone(estimator).set_params(device=device).fit(X, Y)

    @EACH
    def test_impossible_random_state(self, estimator):
        with pytest.raises(ValueError, match="cannot be used to seed"):
            clone(estimator).set_params(random_state="lucky").fit(X, Y)


@pytest.fixture(scope="module")
def fitted():
    return RAESampler(**TINY).fit(X, Y)


class TestSample:
    @pytest.mark.parametrize("label", [2, -1, "0", None, 0.5])
    def test_unknown_class(self, fitted, label):
        with pytest.raises(ValueError, match=r"Expected y to be one of the classes \[0, 1\], but got "):
            fitted.sample(2, label)

    def test_more_than_one_class(self, fitted):
        with pytest.raises(ValueError, match=r"Expected y to be one class, but got \[0, 1\]; call sample once"):
            fitted.sample(2, [0, 1])

    @pytest.mark.parametrize("n", [-1, 2.0, "2", None, True])
    def test_not_a_number_of_samples(self, fitted, n):
        with pytest.raises(ValueError, match=r"Expected n to be a number of samples, 0 or more, but got"):
            fitted.sample(n, 0)

    @pytest.mark.parametrize("n", [0, 1, np.int64(5), 1500])
    def test_any_number_of_samples(self, fitted, n):
        assert fitted.sample(n, 1).shape == (n, 4)

    @pytest.mark.parametrize("use", ["sample", "encode", "decode", "reconstruct"])
    def test_before_fit(self, use):
        arguments = {"sample": (2, 0), "encode": (X,), "decode": (X, Y), "reconstruct": (X,)}[use]
        with pytest.raises(NotFittedError):
            getattr(RAESampler(), use)(*arguments)


class Nowhere(nn.Module):
    """An encoder whose latents are not finite."""

    def forward(self, x):
        return torch.full((len(x), 4), float("nan"))


class TestDivergence:
    @pytest.mark.parametrize(
        "estimator", [RAEClassifier(**TINY, encoder=Nowhere()), RAESampler(**TINY, encoder=Nowhere())]
    )
    def test_names_the_loss(self, estimator):
        with pytest.raises(
            TrainingDiverged, match=r"The classifier loss became nan before step 1\. Lower the learning"
        ):
            estimator.fit(X, Y)

    def test_of_an_absurd_learning_rate(self):
        estimator = RAEClassifier(**{**TINY, "learning_rate": 1e30, "max_steps": 10, "weight_decay": 0.0})
        with pytest.raises(TrainingDiverged, match=r"The \w+ loss became (nan|inf|-inf) before step \d+\."):
            estimator.fit(X, Y)

    def test_of_one_loss_alone(self, monkeypatch):
        monkeypatch.setattr("latentover.methods.rae.generator_loss", lambda scores: scores.mean() * float("inf"))
        with pytest.raises(TrainingDiverged, match="The decoder loss became"):
            RAEClassifier(**TINY, decoder="adversarial").fit(X, Y)

    def test_of_a_deep_classifier(self):
        with pytest.raises(TrainingDiverged, match="The classifier loss became nan"):
            DeepClassifier(backbone=Nowhere(), feature_dim=4, max_epochs=1, device="cpu").fit(X, Y)


class TestRequestsBeyondReason:
    @pytest.mark.parametrize("cls", [AMDO, RAESampler])
    @pytest.mark.parametrize("strategy", [{1: 10**12}, {0: 14, 1: 10**15}, {1: 10**30}])
    def test_totals_that_no_memory_holds(self, cls, strategy, monkeypatch):
        monkeypatch.setattr(cls, "_train", lambda *args: pytest.fail("trained"))
        with pytest.raises(ValueError, match="Expected sampling_strategy to "):
            cls(sampling_strategy=strategy).fit_resample(X, Y)

    def test_the_limit_is_the_memory_of_the_machine(self, monkeypatch):
        monkeypatch.setattr("latentover.estimators.validation.total_memory", lambda: 10 * 4 * 8)
        assert len(AMDO(sampling_strategy={1: 16}).fit_resample(X, Y)[0]) == 30
        with pytest.raises(ValueError, match=r"fit into memory, but got 11, which take at least 0 GiB .*; ask for"):
            AMDO(sampling_strategy={1: 17}).fit_resample(X, Y)
        sampler = AMDO().fit(X, Y)
        assert len(sampler.sample(10, 1)) == 10
        with pytest.raises(ValueError, match="Expected n to ask for samples that fit into memory, but got 11"):
            sampler.sample(11, 1)

    def test_samples_that_no_memory_holds(self):
        sampler = AMDO().fit(X, Y)
        with pytest.raises(ValueError, match="Expected n to ask for samples that fit into memory, but got 1,000,000"):
            sampler.sample(10**12, 1)


class TestLatents:
    @pytest.mark.parametrize("wrong", [np.nan, np.inf, "text", None])
    @pytest.mark.parametrize("cls", [RAESampler, RAEClassifier, DeepSMOTE])
    def test_that_are_not_finite_are_not_decoded(self, cls, wrong):
        settings = {"max_epochs": 1} if cls is DeepSMOTE else {"max_steps": 2}
        model = cls(**settings, latent_dim=4, hidden_units=8, device="cpu").fit(X, Y)
        Z = model.encode(X)[:3].astype(object if isinstance(wrong, str | None) else np.float64)
        labels = [] if cls is DeepSMOTE else [[0, 0, 1]]
        assert np.isfinite(model.decode(model.encode(X)[:3], *labels)).all()
        Z[1, 2] = wrong
        with pytest.raises(ValueError, match="Expected Z to hold finite numbers, but got others"):
            model.decode(Z, *labels)


class TestHints:
    """What is often got wrong, and what the message says to do."""

    @pytest.mark.parametrize(
        ("X", "settings", "message"),
        [
            (
                np.full((20, 3), np.nan),
                {},
                "no missing values, but X contains NaN; pass missing='impute' or missing='mask'",
            ),
            (np.full((20, 3), -np.inf), {}, "X to be finite, but X contains infinity or .*; clip or drop those rows"),
            (np.full((20, 1, 8, 8), np.nan), {}, "no missing values, but X contains NaN; drop those images"),
            (np.full((20, 64), np.inf), {"image_shape": (1, 8, 8)}, "contains infinity .*; clip or drop those images"),
            (
                IMAGES[:, 0, 0],
                {"mixing": "mamix"},
                r"mixing to be .*: .*AMMixup\(\), .*Remix\(\).*, but got 'mamix' \(did you mean MAMix\(\)\?\)",
            ),
            (IMAGES[:, 0, 0], {"mixing": "am_mixup"}, r"but got 'am_mixup' \(did you mean AMMixup\(\)\?\)"),
            (IMAGES[:, 0, 0], {"mixing": "nothing"}, "but got 'nothing'"),
            (
                IMAGES[:, 0, 0],
                {"loss": "Logit-Adjusted"},
                r"but got 'Logit-Adjusted' \(did you mean logit_adjusted\?\)",
            ),
            (IMAGES[:, 0, 0], {"mixing": NeighborMix}, r"mixing to be .*, but got <class .* mean NeighborMix\(\)\?\)"),
            (IMAGES[:, 0, 0], {"device": "gpu"}, "device to be .*, but got 'gpu'; a GPU is 'cuda'"),
            (IMAGES[:, 0, 0], {"device": "GPU:0"}, "device to be .*, but got 'GPU:0'; a GPU is 'cuda'"),
            (IMAGES[:, 0, 0], {"device": "tpu9"}, "device to be .* such as 'cuda:0', but got 'tpu9'"),
        ],
    )
    def test_of_a_fit(self, X, settings, message):
        rows = np.arange(len(X))
        with pytest.raises(ValueError, match=f"^Expected .*{message}") as raised:
            DeepClassifier(**{"device": "cpu", **settings}).fit(X, rows % 2)
        assert str(raised.value).endswith(".")

    def test_of_one_hot_labels(self):
        with pytest.raises(
            ValueError, match=r"^Expected y to have a label for each sample, but got one-hot rows of .*argmax"
        ):
            DeepClassifier(device="cpu").fit(np.zeros((6, 3)), np.eye(3, dtype=int)[[0, 1, 2] * 2])
        with pytest.raises(ValueError, match="Multilabel and multioutput targets are not supported"):
            DeepClassifier(device="cpu").fit(np.zeros((6, 3)), np.ones((6, 3), dtype=int))

    def test_of_images_with_a_channel_of_transparency(self):
        images = np.random.default_rng(0).random((20, 4, 8, 8))
        small = {"max_epochs": 1, "channels": 4, "hidden_units": 4, "feature_dim": 4, "device": "cpu"}
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.simplefilter("ignore", FewImagesWarning)
            DeepClassifier(**small).fit(images, np.arange(20) % 2)
        images[:, 3] = 1
        for X, how in ((images, {}), (np.moveaxis(images, 1, -1), {"channels_last": True})):
            with pytest.warns(UserWarning, match=r"the last is at its largest everywhere, as in RGBA .* X\[:, :3\]"):
                DeepClassifier(**small, **how).fit(X, np.arange(20) % 2)
