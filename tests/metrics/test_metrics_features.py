"""Feature extractors: ranges, names, and the Inception network without a network connection."""

import hashlib
import shutil
import socket

import numpy as np
import pytest
import torch
from pytorch_fid import inception
from torch import nn

import latentover.metrics.features as features
from latentover.metrics import as_extractor, callable_features, inception_features, module_features, unit_images

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 1, 8, 8), dtype=np.uint8)


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(*_):
        raise AssertionError("something wants to connect")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


class TestUnitImages:
    def test_bytes_and_floats_of_the_same_image_are_the_same(self):
        expected = IMAGES / 255
        np.testing.assert_allclose(unit_images(IMAGES), expected, atol=1e-7)
        np.testing.assert_allclose(unit_images(IMAGES / 127.5 - 1, value_range=(-1, 1)), expected, atol=1e-7)
        np.testing.assert_allclose(unit_images(IMAGES.astype(float), value_range=(0, 255)), expected, atol=1e-7)

    @pytest.mark.parametrize(
        ("images", "value_range", "message"),
        [
            (IMAGES / 255, None, r"uint8 images or a \*value_range\*, but got float64 without one"),
            (IMAGES / 127.5 - 1, (0, 1), r"in the range 0..1, but got values from -"),
            (np.full((1, 1, 2, 2), np.nan), (0, 1), "in the range 0..1, but got values from nan"),
            (IMAGES, (0, 1), r"to have the range 0..255, but got \(0, 1\)"),
            (IMAGES[:, 0], None, r"of shape \(n, channels, height, width\), but got \(5, 8, 8\)"),
        ],
    )
    def test_errors(self, images, value_range, message):
        with pytest.raises(ValueError, match=message):
            unit_images(images, value_range)


class TestExtractors:
    def test_pixels(self):
        found = as_extractor("pixels")(IMAGES)
        np.testing.assert_allclose(found, IMAGES.reshape(5, 64) / 255, atol=1e-7)

    def test_a_function(self):
        def brightness(images):
            return images.mean(axis=(2, 3))

        extractor = as_extractor(brightness)
        assert extractor.name == "brightness"
        np.testing.assert_allclose(extractor(IMAGES)[:, 0], IMAGES.mean(axis=(1, 2, 3)) / 255, atol=1e-6)

    def test_a_module_runs_in_evaluation_mode_and_is_left_as_it_was(self):
        module = nn.Sequential(nn.Conv2d(1, 3, 3), nn.Dropout(0.5), nn.BatchNorm2d(3)).train()
        state = {name: value.clone() for name, value in module.state_dict().items()}
        found = module_features(module, "mine", batch_size=2)(IMAGES)
        assert module.training
        assert all(torch.equal(value, state[name]) for name, value in module.state_dict().items())
        with torch.no_grad():
            expected = module.eval()(torch.from_numpy(IMAGES / 255).float()).flatten(1)
        np.testing.assert_allclose(found, expected, atol=1e-5)

    def test_a_module_by_itself_has_the_name_of_its_class(self):
        assert as_extractor(nn.Flatten()).name == "Flatten"

    def test_one_row_an_image(self):
        with pytest.raises(ValueError, match=r"'short' to be one row an image, but got shape \(4, 8\) for 5 images"):
            callable_features(lambda images: images[1:, 0, 0], "short")(IMAGES)

    def test_unknown(self):
        with pytest.raises(ValueError, match="'pixels', 'inception', a module or a function of images, but got 'vgg'"):
            as_extractor("vgg")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Random weights in pytorch-fid's architecture, for the real ones cannot be had without a connection."""
    torch.manual_seed(0)
    fetch = inception.load_state_dict_from_url
    saved = {}

    class Fetched(Exception):  # noqa: N818 - it stops the building where the weights would be loaded
        pass

    def stop(*_, **__):
        raise Fetched

    load = nn.Module.load_state_dict
    inception.load_state_dict_from_url = lambda *_, **__: None
    nn.Module.load_state_dict = lambda self, _: saved.update(self.state_dict())
    try:
        inception.fid_inception_v3()
    finally:
        inception.load_state_dict_from_url, nn.Module.load_state_dict = fetch, load
    path = tmp_path_factory.mktemp("weights") / "random.pth"
    torch.save(saved, path)
    return path


class TestInception:
    @pytest.fixture
    def expected_name(self, weights, monkeypatch):
        """Pytorch-fid's address as it would be if these were its weights."""
        name = f"pt_inception-2015-12-05-{hashlib.sha256(weights.read_bytes()).hexdigest()[:8]}.pth"
        monkeypatch.setattr(features, "_weights_url", lambda: f"https://example.org/{name}")
        return name

    @pytest.mark.usefixtures("expected_name")
    def test_features_are_those_of_pytorch_fid_for_grey_repeated_to_three_channels(self, weights):
        extractor = inception_features(weights)
        found = extractor(IMAGES[:2])
        assert extractor.name == "inception"
        assert found.shape == (2, 2048)
        network = features._inception_network(torch.load(weights, weights_only=True)).eval()
        with torch.no_grad():
            expected = network(torch.from_numpy(IMAGES[:2] / 255).float().repeat(1, 3, 1, 1))[0][:, :, 0, 0]
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)

    @pytest.mark.usefixtures("expected_name")
    @pytest.mark.parametrize("n_channels", [1, 3])
    def test_the_network_sees_every_channel_in_its_place(self, weights, monkeypatch, n_channels):
        class Seen(nn.Module):
            """What comes in, as features (B, 3 * height * width, 1, 1)."""

            def forward(self, images):
                return [images.flatten(1)[:, :, None, None]]

        monkeypatch.setattr(features, "_inception_network", lambda state: Seen())
        images = np.random.default_rng(1).integers(0, 256, (5, n_channels, 4, 6), dtype=np.uint8)
        found = inception_features(weights, batch_size=2)(images).reshape(5, 3, 4, 6)
        for channel in range(3):
            np.testing.assert_allclose(found[:, channel], images[:, channel % n_channels] / 255, atol=1e-7)

    @pytest.mark.usefixtures("expected_name")
    @pytest.mark.parametrize("n_channels", [2, 4])
    def test_images_are_grey_or_in_colour(self, weights, n_channels):
        with pytest.raises(ValueError, match=f"images of 1 or 3 channels for inception, but got {n_channels}"):
            inception_features(weights)(np.zeros((2, n_channels, 8, 8), dtype=np.uint8))

    def test_weights_are_found_in_the_cache_of_torch(self, weights, expected_name, monkeypatch, tmp_path):
        monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
        (tmp_path / "checkpoints").mkdir()
        shutil.copy(weights, tmp_path / "checkpoints" / expected_name)
        assert as_extractor("inception").name == "inception"

    @pytest.mark.usefixtures("expected_name")
    def test_a_damaged_file(self, weights, tmp_path):
        damaged = tmp_path / "damaged.pth"
        damaged.write_bytes(weights.read_bytes()[:-1] + b"?")
        with pytest.raises(ValueError, match=r"damaged.pth to be pt_inception.* get it again"):
            inception_features(damaged)

    def test_offline(self, monkeypatch, tmp_path):
        monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
        with pytest.raises(FileNotFoundError, match=r"pt_inception-2015-12-05-6726825d.pth .* features that need none"):
            inception_features()

    def test_download_only_when_asked(self, monkeypatch, tmp_path):
        asked = []

        def fetch(url, path, hash_prefix, progress):
            asked.append((url, hash_prefix))
            raise OSError("no connection")

        monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
        monkeypatch.setattr(torch.hub, "download_url_to_file", fetch)
        with pytest.raises(OSError, match="no connection"):
            inception_features(download=True)
        assert asked == [(features._weights_url(), "6726825d")]
