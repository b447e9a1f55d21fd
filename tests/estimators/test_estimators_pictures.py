"""Lists of image files and images of Pillow, channels on either side, and pixels on another scale."""

import warnings

import numpy as np
import pytest
from imblearn.pipeline import make_pipeline
from PIL import Image

from latentover import DeepClassifier, RAESampler, load, save

TINY = {"latent_dim": 4, "channels": 4, "hidden_units": 8, "batch_size": 8, "max_steps": 2, "device": "cpu"}
Y = np.repeat(["cat", "dog"], [14, 6])


def classifier(**parameters):
    return DeepClassifier(max_epochs=2, channels=4, hidden_units=8, device="cpu", random_state=0, **parameters)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Colour images (20, 9, 8, 3), bright cats and dark dogs, and their files."""
    rng = np.random.default_rng(0)
    pixels = (rng.integers(0, 60, (20, 9, 8, 3)) + 190 * (Y == "cat")[:, None, None, None]).astype(np.uint8)
    folder = tmp_path_factory.mktemp("photos")
    paths = [folder / f"{i}.png" for i in range(len(pixels))]
    for path, image in zip(paths, pixels, strict=True):
        Image.fromarray(image).save(path)
    return pixels, paths


class TestLists:
    def test_files_and_images_are_their_pixels(self, photos):
        pixels, paths = photos
        expected = classifier().fit(np.moveaxis(pixels, -1, 1), Y).predict_proba(np.moveaxis(pixels, -1, 1))
        for X in ([*map(str, paths)], paths, [Image.fromarray(image) for image in pixels]):
            model = classifier().fit(X, Y)
            assert model.format_.shape == (3, 9, 8)
            for same in (X, pixels, paths):
                np.testing.assert_array_equal(model.predict_proba(same), expected)

    @pytest.mark.parametrize(("low", "high", "last"), [(0, 1, False), (-1, 1, True), (0, 255, True)])
    def test_files_are_brought_to_size_channels_range_and_layout_of_the_model(self, photos, low, high, last):
        pixels, paths = photos
        grey = np.stack([np.asarray(Image.fromarray(image).convert("L")) for image in pixels])[:, None]
        X = (low + (high - low) * (grey / 255)).astype(np.float32)
        model = classifier(channels_last=last).fit(np.moveaxis(X, 1, -1) if last else X, Y)
        expected = model.predict_proba(X)
        np.testing.assert_allclose(model.predict_proba(paths), expected, atol=1e-6)
        large = [Image.fromarray(image).convert("RGBA").resize((80, 90), Image.Resampling.NEAREST) for image in pixels]
        np.testing.assert_allclose(model.predict_proba(large), expected, atol=0.05)

    def test_training_on_images_of_several_sizes(self, photos):
        _, paths = photos
        mixed = [Image.new("L", (30, 40)), *paths[1:]]
        with pytest.raises(ValueError, match=r"one size, but got 40x30 .* or an estimator's image_shape to"):
            classifier().fit(mixed, Y)
        assert classifier(image_shape=(1, 8, 10)).fit(mixed, Y).format_.shape == (1, 8, 10)

    def test_an_over_sampler_puts_new_images_behind_what_came(self, photos):
        pixels, paths = photos
        sampler = RAESampler(**TINY, random_state=0)
        X, y = sampler.fit_resample(paths, Y)
        assert X[:20] == paths
        assert np.unique(y, return_counts=True)[1].tolist() == [14, 14]
        made, _ = RAESampler(**TINY, random_state=0).fit_resample(np.moveaxis(pixels, -1, 1), Y)
        for image, expected in zip(X[20:], made[20:], strict=True):
            assert np.array_equal(np.asarray(image), expected.transpose(1, 2, 0))
        assert sampler.to_frame(X, y)["synthetic"].sum() == 8
        pipeline = make_pipeline(RAESampler(**TINY, random_state=0), classifier())
        assert pipeline.fit(paths, Y).predict(paths[:2]).shape == (2,)

    def test_what_is_no_list_of_images(self, photos):
        _, paths = photos
        model = classifier().fit(paths, Y)
        for single in (str(paths[0]), paths[0], Image.open(paths[0])):
            with pytest.raises(ValueError, match=r"list of images, but got a single one; pass \[X\]"):
                model.predict(single)
        with pytest.raises(ValueError, match=r"Expected .*nothing.png to be a readable image, but got FileNotFound"):
            model.predict([*paths, "nothing.png"])
        deep = Image.fromarray(np.zeros((9, 8), dtype=np.uint16))
        with pytest.raises(ValueError, match=r"8 bits a channel, but got Pillow mode 'I.* in an image of Pillow"):
            model.predict([deep])
        with pytest.raises(ValueError, match="Expected X to be rows of a table, but got image files"):
            classifier().fit(np.eye(20), Y).predict(paths)
        with pytest.raises(ValueError, match="Expected X to be images of 2 channels, but got image files"):
            classifier(image_shape=(2, 8, 8)).fit(paths, Y)


class TestChannels:
    def test_on_either_side(self, photos):
        last, first = photos[0], np.moveaxis(photos[0], -1, 1)
        for X, channels_last in ((first, False), (last, True)):
            model = classifier(channels_last=channels_last).fit(X, Y)
            np.testing.assert_array_equal(model.predict_proba(first), model.predict_proba(last))

    def test_where_it_is_not_plain_nothing_is_turned(self):
        X = np.random.default_rng(0).random((20, 8, 8, 8))
        model = classifier().fit(X, Y)
        assert not np.array_equal(model.predict_proba(X), model.predict_proba(np.moveaxis(X, -1, 1)))


class TestScale:
    def test_of_another_range_is_refused_also_by_a_bundle(self, photos, tmp_path):
        bytes_, unit = photos[0], photos[0] / 255
        for learned, given, message in [
            (bytes_, unit, r"values in 0\.\.255, as in fit, but got 0\.\.0\.9"),
            (bytes_, 2 * unit - 1, r"values in 0\.\.255, as in fit, but got -1\.\.0\.9"),
            (bytes_.astype(float), unit, r"values in 0\.\.249, as in fit, but got 0\.\.0\.9"),
            (bytes_, bytes_.astype(int) * 257, r"values in 0\.\.255, as in fit, but got 0\.\.63993"),
            (unit, bytes_, r"values in 0\.\.1, as in fit, but got 0\.\.249"),
            (2 * unit - 1, bytes_, r"values in -1\.\.1, as in fit, but got 0\.\.249"),
        ]:
            model = classifier().fit(np.moveaxis(learned, -1, 1), Y)
            save(model, tmp_path / "bundle")
            for fitted in (model, load(tmp_path / "bundle")):
                with pytest.raises(ValueError, match=message):
                    fitted.predict(given)

    def test_what_may_be_meant_is_a_warning(self, photos):
        X = photos[0]
        model, of_unit = classifier().fit(np.moveaxis(X, -1, 1), Y), classifier().fit(np.moveaxis(X / 255, -1, 1), Y)
        for fitted, given in ((model, (X > 100).astype(np.uint8)), (of_unit, 2.0 * (X / 255) - 1)):
            with pytest.warns(UserWarning, match="if they are on another scale, bring them to that of the images"):
                fitted.predict(given)

    def test_the_same_range_in_another_type_and_black_images_are_fine(self, photos):
        X = photos[0]
        model, of_unit = classifier().fit(np.moveaxis(X, -1, 1), Y), classifier().fit(np.moveaxis(X / 255, -1, 1), Y)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for given in (X, X.astype(float), X.astype(np.int64), np.zeros_like(X), np.zeros(X.shape)):
                model.predict(given)
            for given in (X / 255, X / 250, np.zeros(X.shape)):
                of_unit.predict(given)
