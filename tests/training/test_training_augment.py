import numpy as np
import pytest
import torch

from latentover import DeepClassifier, RAEClassifier
from latentover.training import augment_images


def generator():
    return torch.Generator().manual_seed(0)


def moved(image, up, left):
    """Move an image (c, h, w) by whole pixels in a loop, filling with zeros."""
    out = np.zeros_like(image)
    height, width = image.shape[1:]
    for i in range(height):
        for j in range(width):
            if 0 <= i + up < height and 0 <= j + left < width:
                out[:, i, j] = image[:, i + up, j + left]
    return out


@pytest.mark.parametrize(("augment", "mirrors"), [("shift", [False]), ("flip_shift", [False, True])])
def test_every_image_is_moved_by_whole_pixels_and_perhaps_mirrored(augment, mirrors):
    x = torch.rand(40, 2, 28, 21, generator=generator()) + 0.1
    seen = set()
    for before, after in zip(x.numpy(), augment_images(x, augment, generator()).numpy(), strict=True):
        matches = [
            (up, left, mirror)
            for mirror in mirrors
            for up in range(-2, 3)
            for left in range(-2, 3)
            if np.array_equal(moved(before[:, :, ::-1] if mirror else before, up, left), after)
        ]
        assert len(matches) == 1
        seen.add(matches[0])
    assert {mirror for _, _, mirror in seen} == set(mirrors)
    assert len({(up, left) for up, left, _ in seen}) > 10  # a draw per image, not one per batch


def test_all_moves_are_equally_likely():
    x = torch.zeros(20000, 1, 8, 8)
    x[:, :, 4, 4] = 1
    places = augment_images(x, "shift", generator()).flatten(1).argmax(dim=1)
    counts = torch.bincount(places, minlength=64).view(8, 8)
    assert counts[3:6, 3:6].sum() == 20000
    assert counts[3:6, 3:6].min() > 0.9 * 20000 / 9


def test_flip_mirrors_about_half_of_the_images_and_moves_none():
    x = torch.rand(100, 2, 8, 9, generator=generator())
    after = augment_images(x, "flip", generator())
    mirrored = [torch.equal(image, before.flip(-1)) for image, before in zip(after, x, strict=True)]
    assert all(m or torch.equal(image, before) for m, image, before in zip(mirrored, after, x, strict=True))
    assert 30 < sum(mirrored) < 70


def test_pad_crop_flip_is_a_crop_of_the_padded_image_and_perhaps_mirrored():
    x = torch.rand(400, 3, 32, 32, generator=generator()) + 0.1
    padded = np.pad(x.numpy(), ((0, 0), (0, 0), (4, 4), (4, 4)))
    seen = []
    for before, after in zip(padded, augment_images(x, "pad_crop_flip", generator()).numpy(), strict=True):
        seen += [
            (up, left, mirror)
            for mirror in (False, True)
            for up in range(9)
            for left in range(9)
            if np.array_equal((before[:, :, ::-1] if mirror else before)[:, up : up + 32, left : left + 32], after)
        ]
    assert len(seen) == 400
    for axis in (0, 1):
        counts = np.bincount([move[axis] for move in seen], minlength=9)
        assert counts.min() > 0.5 * 400 / 9
    assert abs(np.mean([mirror for _, _, mirror in seen]) - 0.5) < 0.1


@pytest.mark.parametrize(("shape", "side"), [((28, 28), 7), ((32, 32), 8), ((9, 21), 2)])
def test_cutout_zeroes_one_square_of_half_of_the_images(shape, side):
    x = torch.rand(2000, 2, *shape, generator=generator()) + 0.1
    shifted, cut = (augment_images(x, name, generator()) for name in ("shift", "shift_cutout"))
    gone = (shifted != cut).numpy()
    assert (cut.numpy()[gone] == 0).all()
    assert np.array_equal(gone[:, 0], gone[:, 1])
    border = np.ones(shape, bool)  # where zeros of the shift (2 pixels at most) may hide a part of the square
    border[3:-3, 3:-3] = False
    whole = [patch for patch in gone[:, 0] if patch.any() and not (patch & border).any()]
    assert len(whole) > 50
    for patch in whole[:100]:
        rows, columns = np.flatnonzero(patch.any(1)), np.flatnonzero(patch.any(0))
        assert (np.ptp(rows) + 1, np.ptp(columns) + 1) == (side, side)
        assert patch.sum() == side**2
    assert abs(gone.any((1, 2, 3)).mean() - 0.5) < 0.04


def test_every_place_of_the_cut_is_equally_likely():
    x = torch.ones(20000, 1, 8, 8)
    out = augment_images(x, "flip_shift_cutout", generator())[:, 0, 2:6, 2:6]  # out of reach of the shift of 1
    share = (out == 0).double().mean(0)  # of a square of side 2 in half of the images: 4 of its 49 places cover a pixel
    assert ((share - 0.5 * 4 / 49).abs() < 0.008).all()


def test_stronger_augmentation_starts_with_the_same_draws():
    x = torch.rand(50, 1, 28, 28, generator=generator())
    plain, cut = (augment_images(x, name, generator()) for name in ("flip_shift", "flip_shift_cutout"))
    untouched = (plain == cut).flatten(1).all(1)
    assert 10 < untouched.sum() < 40


def test_none_and_tables_stay_as_they_are():
    x, rows = torch.rand(3, 1, 8, 8), torch.rand(3, 8)
    assert augment_images(x, "none", generator()) is x
    assert augment_images(rows, "flip_shift", generator()) is rows


def test_same_generator_same_images():
    x = torch.rand(5, 1, 9, 9)
    first, second = (augment_images(x, "flip_shift", generator()) for _ in range(2))
    assert torch.equal(first, second)


def test_unknown_name_is_refused():
    with pytest.raises(ValueError, match="Expected augment to be one of"):
        augment_images(torch.rand(2, 1, 8, 8), "rotate", generator())


@pytest.mark.parametrize("estimator", [RAEClassifier(max_steps=2), DeepClassifier(max_epochs=1)], ids=["rae", "deep"])
def test_methods_train_on_augmented_images(estimator, monkeypatch):
    import latentover.methods.deep_classifier as deep
    import latentover.methods.rae as rae

    calls = []

    def spy(x, augment, generator):
        calls.append((tuple(x.shape), augment))
        return augment_images(x, augment, generator)

    monkeypatch.setattr(rae, "augment_images", spy)
    monkeypatch.setattr(deep, "augment_images", spy)
    X, y = np.random.default_rng(0).random((12, 1, 8, 8), dtype=np.float32), np.arange(12) % 2
    estimator.set_params(augment="shift", batch_size=4, channels=4, hidden_units=8, device="cpu").fit(X, y)
    assert calls
    assert all(augment == "shift" and shape[1:] == (1, 8, 8) for shape, augment in calls)
    calls.clear()
    estimator.predict(X)
    assert not calls
