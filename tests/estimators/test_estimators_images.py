"""Images of any type, range and layout: what comes in goes out in kind."""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from latentover import ClassicalSampler, DeepClassifier, RAEClassifier, RAESampler
from latentover.estimators import ImageFormat, learn_format

TINY = {
    "latent_dim": 4,
    "channels": 4,
    "hidden_units": 8,
    "batch_size": 8,
    "max_steps": 2,
    "critic_steps": 1,
    "device": "cpu",
    "precision": "float32",
    "random_state": 0,
}
KINDS = {
    "uint8": (np.uint8, 0, 255),
    "float32 in 0..1": (np.float32, 0, 1),
    "float64 in -1..1": (np.float64, -1, 1),
    "float32 in 0..255": (np.float32, 0, 255),
    "float16 in 0..1": (np.float16, 0, 1),
    "int16": (np.int16, -1000, 3000),
    "int64 in 0..16": (np.int64, 0, 16),
    "float64 far from zero": (np.float64, 1e6, 1e6 + 50),
}
LAYOUTS = ("channels_first", "channels_last", "rows")
Y = np.repeat([0, 1], [14, 6])


def images(kind, shape=(3, 9, 8), n=20):
    dtype, low, high = KINDS[kind]
    X = low + (high - low) * np.random.default_rng(0).random((n, *shape))
    X.flat[:2] = low, high  # so that the observed range is the whole one
    return X.astype(dtype)


def arranged(X, layout):
    """Return X in a layout, and the parameters that say so."""
    if layout == "rows":
        return X.reshape(len(X), -1), {"image_shape": X.shape[1:]}
    if layout == "channels_last":
        return np.moveaxis(X, 1, -1), {"channels_last": True}
    return X, {}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("layout", LAYOUTS)
class TestRoundTrip:
    def test_format_inverts_itself(self, kind, layout):
        X, how = arranged(images(kind), layout)
        known = learn_format(X, **{"image_shape": None, "channels_last": False, **how})
        assert known.shape == (3, 9, 8)
        inputs = known.network_input(known.encode(X))
        assert inputs.dtype == torch.float32
        assert inputs.shape == (20, 3, 9, 8)
        assert inputs.min() >= 0
        assert inputs.max() <= 1
        back = known.decode(inputs)
        assert back.dtype == X.dtype
        assert back.shape == X.shape
        np.testing.assert_allclose(back.astype(float), X.astype(float), atol=1e-3 * (known.high - known.low))
        if X.dtype.kind in "ui":
            np.testing.assert_array_equal(back, X)

    def test_format_survives_json(self, kind, layout):
        from latentover.estimators.formats import format_from_dict

        X, how = arranged(images(kind), layout)
        known = learn_format(X, **how)
        assert format_from_dict(known.to_dict()) == known

    def test_estimators_keep_type_layout_and_range(self, kind, layout):
        X, how = arranged(images(kind), layout)
        sampler = RAESampler(**TINY, **how)
        X_new, y_new = sampler.fit_resample(X, Y)
        assert X_new.dtype == X.dtype
        assert X_new.shape == (28, *X.shape[1:])
        assert np.array_equal(X_new[:20], X)
        assert np.bincount(y_new).tolist() == [14, 14]
        made = [X_new[20:], sampler.sample(3, y=1), sampler.reconstruct(X[:3])]
        for part in made:
            assert part.dtype == X.dtype
            assert part.shape[1:] == X.shape[1:]
            assert part.min() >= X.min()
            assert part.max() <= X.max()
        assert sampler.encode(X).shape == (20, 4)


class TestLayoutsAgree:
    def test_same_model_whatever_the_layout(self):
        X = images("uint8")
        probabilities = []
        for layout in LAYOUTS:
            arr, how = arranged(X, layout)
            probabilities.append(RAEClassifier(**TINY, **how).fit(arr, Y).predict_proba(arr))
        np.testing.assert_allclose(probabilities[1], probabilities[0], atol=1e-5)
        np.testing.assert_allclose(probabilities[2], probabilities[0], atol=1e-5)

    def test_rows_of_a_frame_are_images_too(self):
        rows, how = arranged(images("uint8"), "rows")
        frame = pd.DataFrame(rows, columns=[f"pixel{i}" for i in range(rows.shape[1])])
        sampler = RAESampler(**TINY, **how)
        X_new, _ = sampler.fit_resample(frame, Y)
        assert isinstance(sampler.format_, ImageFormat)
        assert (X_new.dtypes == np.uint8).all()
        assert X_new.columns.tolist() == frame.columns.tolist()
        pd.testing.assert_frame_equal(X_new[:20], frame)

    def test_uint8_stays_uint8_in_memory(self):
        X = images("uint8")
        assert learn_format(X).encode(X).dtype == torch.uint8

    @pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 32), (5, 9, 11), (1, 33, 8)], ids=str)
    def test_any_size(self, shape):
        X = images("float32 in 0..1", shape)
        X_new, _ = RAESampler(**TINY).fit_resample(X, Y)
        assert X_new.shape == (28, *shape)
        DeepClassifier(max_epochs=1, channels=4, hidden_units=8, device="cpu").fit(X, Y).predict(X)


class TestRanges:
    @pytest.mark.parametrize(
        ("X", "expected"),
        [
            (np.full((1, 1, 8, 8), 7, dtype=np.uint8), (0, 255)),
            (np.linspace(0.2, 0.7, 64).reshape(1, 1, 8, 8), (0, 1)),
            (np.linspace(-0.2, 0.7, 64).reshape(1, 1, 8, 8), (-1, 1)),
            (np.linspace(-3, 9, 64).reshape(1, 1, 8, 8), (-3, 9)),
            (np.arange(64).reshape(1, 1, 8, 8), (0, 63)),
            (np.zeros((1, 1, 8, 8), dtype=np.int16), (0, 1)),
            (np.full((1, 1, 8, 8), 5.0), (5, 6)),
        ],
    )
    def test_the_usual_one_or_else_the_observed_one(self, X, expected):
        known = learn_format(X)
        assert (known.low, known.high) == expected

    @given(hnp.arrays(np.float32, (2, 1, 8, 8), elements=st.floats(-0.5, 1.5, width=32)))
    def test_uint8_is_rounded_and_clipped(self, outputs):
        known = ImageFormat(shape=(1, 8, 8), layout="channels_first", dtype="uint8", low=0.0, high=255.0)
        expected = [[min(max(round(float(v) * 255), 0), 255) for v in image.ravel()] for image in outputs]
        decoded = known.decode(torch.from_numpy(outputs))
        assert decoded.dtype == np.uint8
        np.testing.assert_array_equal(decoded.reshape(2, -1), expected)

    def test_predicts_on_another_type_of_the_same_range(self):
        X = images("uint8")
        classifier = RAEClassifier(**TINY).fit(X, Y)
        np.testing.assert_allclose(classifier.predict_proba(X.astype(float)), classifier.predict_proba(X), atol=1e-5)

    def test_bfloat16_training_on_the_cpu(self):
        X = images("uint8", (1, 8, 8))
        classifier = RAEClassifier(**{**TINY, "precision": "bfloat16"}).fit(X, Y)
        full = RAEClassifier(**TINY).fit(X, Y)
        assert {p.dtype for p in classifier.networks_.parameters()} == {torch.float32}
        assert classifier.history_ != full.history_
        np.testing.assert_allclose(classifier.predict_proba(X), full.predict_proba(X), atol=0.05)


def test_a_sampler_that_keeps_rows_does_not_keep_the_users_memory():
    rng = np.random.default_rng(0)
    X, y = rng.integers(0, 256, (20, 1, 8, 8), dtype=np.uint8), np.repeat([0, 1], [14, 6])
    sampler = ClassicalSampler(device="cpu", random_state=0).fit(X, y)
    before = sampler.sample(5, y=1, random_state=0)
    X[:] = 0
    np.testing.assert_array_equal(sampler.sample(5, y=1, random_state=0), before)
