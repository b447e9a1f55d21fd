"""Single image files: which way up, how large, and what of a folder is an image."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from latentover.data import pictures
from latentover.data.pictures import ImageFiles, are_pictures, list_images, open_images

PIXELS = np.random.default_rng(0).integers(0, 256, (5, 8, 3), dtype=np.uint8)


def with_orientation(path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(PIXELS).save(path, exif=exif)
    return path


def decoded(path, **options):
    (files,) = open_images([path], **options)
    return files[np.arange(1)][0].transpose(1, 2, 0)


@pytest.mark.parametrize("suffix", ["png", "tif", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photo_is_turned_upright(tmp_path, orientation, suffix):
    path = with_orientation(tmp_path / f"a.{suffix}", orientation)
    with Image.open(path) as image:
        expected = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    assert np.array_equal(decoded(path), expected)


def test_turned_photos_are_counted_and_give_their_size_as_they_are_seen(tmp_path):
    paths = [with_orientation(tmp_path / f"{i}.png", orientation) for i, orientation in enumerate([1, 6, 6])]
    upright, sideways = open_images(paths[:1], paths[1:], image_size=[9, 9])
    assert (upright.n_turned, sideways.n_turned) == (0, 2)
    assert open_images(paths[1:])[0].shape == (2, 3, 8, 5)
    with pytest.raises(ValueError, match=r"got 5x8 .* and 8x5 .*image_shape to \(channels, height, width\)"):
        open_images(paths)


def test_a_photo_with_damaged_metadata_is_read(tmp_path):
    Image.fromarray(PIXELS).save(tmp_path / "a.png", exif=b"Exif\0\0MM no metadata")
    assert np.array_equal(decoded(tmp_path / "a.png"), PIXELS)


def test_a_large_photo_is_decoded_reduced(tmp_path, monkeypatch):
    Image.new("RGB", (1600, 800), (90, 90, 90)).save(tmp_path / "a.jpg")
    seen, converted = [], pictures._converted

    def watched(image, *rest):
        seen.append(image.size)
        return converted(image, *rest)

    monkeypatch.setattr(pictures, "_converted", watched)
    assert np.abs(decoded(tmp_path / "a.jpg", image_size=[8, 16]).astype(int) - 90).max() <= 2
    assert seen == [(200, 100)]


def test_an_image_that_somebody_has_opened_stays_as_it_is(tmp_path):
    Image.new("RGB", (160, 80)).save(tmp_path / "a.jpg")
    with Image.open(tmp_path / "a.jpg") as image:
        assert ImageFiles([image], (1, 8, 8))[np.arange(1)].shape == (1, 1, 8, 8)
        assert (image.size, image.mode) == ((160, 80), "RGB")


def test_links_are_followed_each_folder_once_and_circles_end(tmp_path):
    root, other = tmp_path / "root", tmp_path / "other"
    for place in (root / "b", root / ".hidden", other / "deep"):
        place.mkdir(parents=True)
        Image.fromarray(PIXELS).save(place / "1.png")
    (root / "a").symlink_to("b")  # read where it lies
    (root / "b" / "up").symlink_to("..")
    (root / "c").symlink_to(other)
    (root / "d").symlink_to(other)
    (root / "e").symlink_to(".hidden")
    (other / "back").symlink_to(root)
    files, passed_over = list_images(root)
    assert [file.relative_to(root).as_posix() for file in files] == ["b/1.png", "c/deep/1.png", "e/1.png"]
    assert not passed_over


def test_what_is_no_image_is_counted(tmp_path):
    for name in ("1.JPG", "notes.txt", "b.TXT", "README", ".DS_Store"):
        (tmp_path / name).touch()
    files, passed_over = list_images(tmp_path)
    assert [file.name for file in files] == ["1.JPG"]
    assert passed_over == {".txt": 2, "no ending": 1, "hidden": 1}


def test_which_lists_are_images():
    image = Image.new("L", (1, 1))
    for X in (["a.png", image], ("a.png",), np.array(["a.png"]), np.array([Path("a")])):
        assert are_pictures(X)
    for X in ([], [1.0], [["a.png"]], "a.png", ["a.png", 1], np.zeros(3), np.array([["a.png"]])):
        assert not are_pictures(X)
