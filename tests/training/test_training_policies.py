"""TrivialAugment and RandAugment against PIL's and torchvision's operations, and against their papers' draws."""

import math

import numpy as np
import pytest
import torch
from capture_tape import TapeRecorder

from latentover.training import augment_images, rand_augment, trivial_augment
from latentover.training.augment import AUGMENTS
from latentover.training.policies import LEVELS, OPERATIONS, STANDARD, WIDE, apply_operations

functional = pytest.importorskip("torchvision.transforms.functional", reason="torchvision has the second writing")


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def images(n=6, channels=3, size=(28, 22)):
    """Images of 8 bits, some with few levels, one of a single value."""
    x = torch.randint(0, 256, (n, channels, *size), generator=generator(), dtype=torch.uint8)
    x[1] = x[1] // 3 + 60
    x[2] = (x[2] > 200) * 180
    x[3] = 90
    return x


def applied(x, name, level, sign, strengths):
    n = len(x)
    kinds = torch.full((n,), OPERATIONS.index(name))
    out = apply_operations(
        x.float() / 255, kinds, torch.full((n,), level), torch.full((n,), sign, dtype=torch.float32), strengths
    )
    return out * 255


def torchvisions(x, name, level, sign, strengths):
    """The operation as torchvision's policies call it, on images of 8 bits (geometry) or decimals (blends)."""
    share, height, width = level / LEVELS, *x.shape[-2:]
    amount = share * sign
    still = {"angle": 0.0, "translate": [0, 0], "scale": 1.0, "shear": [0.0, 0.0]}
    if name.startswith("shear"):
        degrees = math.degrees(math.atan(strengths.shear * amount))
        shear = [degrees, 0.0] if name == "shear_x" else [0.0, degrees]
        return functional.affine(x, **{**still, "shear": shear}, center=[0, 0])
    if name.startswith("translate"):
        by = [int(strengths.translate * width * amount), 0]
        by = by if name == "translate_x" else [0, int(strengths.translate * height * amount)]
        return functional.affine(x, **{**still, "translate": by})
    if name == "rotate":
        return functional.rotate(x, strengths.degrees * amount)
    factor, decimals = 1 + strengths.blend * amount, x.float() / 255
    if name == "brightness":
        return functional.adjust_brightness(decimals, factor) * 255
    if name == "color":
        return functional.adjust_saturation(decimals, factor) * 255
    if name == "contrast":
        return functional.adjust_contrast(decimals, factor) * 255
    if name == "sharpness":
        return functional.adjust_sharpness(decimals, factor) * 255
    if name == "posterize":
        return functional.posterize(x, 8 - round(strengths.posterize * share))
    if name == "solarize":
        return functional.solarize(x, 255 * (1 - share))
    if name == "autocontrast":
        return functional.autocontrast(decimals) * 255
    return functional.equalize(x) if name == "equalize" else x


@pytest.mark.parametrize("strengths", [WIDE, STANDARD], ids=["wide", "standard"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", OPERATIONS)
def test_each_operation_is_torchvisions(name, channels, strengths):
    x = images(channels=channels)
    for level in (0, 7, 18, LEVELS):
        for sign in (-1, 1):
            ours, theirs = applied(x, name, level, sign, strengths), torchvisions(x, name, level, sign, strengths)
            different = ((ours - theirs.float()).abs() > 0.1).float().mean()
            # A pixel whose origin lies on the border of two may be taken from either.
            assert different <= (0.01 if name.startswith("rotate") or name.startswith("shear") else 0), (level, sign)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("policy", [trivial_augment, rand_augment])
def test_images_keep_their_shape_range_and_draws(policy, channels):
    x = images(n=80, channels=channels).float() / 255
    before = x.clone()
    out = policy(x, generator())
    assert torch.equal(x, before)
    assert out.shape == x.shape
    assert out.min() >= 0
    assert out.max() <= 1
    assert torch.equal(out, policy(x, generator()))
    assert not torch.equal(out, policy(x, generator(1)))
    changed = (out != x).flatten(1).any(dim=1).float().mean()
    assert 0.5 < changed <= 1


def test_every_operation_level_and_sign_is_drawn_alike(monkeypatch):
    seen = []
    monkeypatch.setattr(
        "latentover.training.policies.apply_operations",
        lambda x, kinds, levels, signs, strengths: seen.append((kinds, levels, signs, strengths)) or x,
    )
    x = torch.zeros(31000, 1, 2, 2)
    trivial_augment(x, generator())
    rand_augment(x, generator())
    (kinds, levels, signs, strengths), first, second = seen
    assert (strengths, first[3], second[3]) == (WIDE, STANDARD, STANDARD)
    for drawn in (kinds, first[0], second[0]):
        counts = torch.bincount(drawn, minlength=14)
        assert len(counts) == 14
        assert ((counts - 31000 / 14).abs() < 5 * math.sqrt(31000 / 14)).all()
    counts = torch.bincount(levels, minlength=31)
    assert len(counts) == 31
    assert ((counts - 1000).abs() < 5 * math.sqrt(1000)).all()
    assert set(signs.tolist()) == {-1, 1}
    assert abs(signs.float().mean()) < 5 / math.sqrt(31000)
    assert set(first[1].tolist()) == set(second[1].tolist()) == {9}
    assert not torch.equal(first[0], second[0])


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("policy", [trivial_augment, rand_augment])
def test_the_way_that_is_recorded_gives_the_same_images(policy, channels):
    """All images of fixed shapes, nothing read on the host, in place of those rows that an operation was drawn for."""
    x, ours = images(n=90, channels=channels).float() / 255, generator()
    seen = []
    looking = policy(x, generator())
    replay = TapeRecorder(check=True).record(lambda: seen.append(policy(x, ours)), [ours])
    torch.testing.assert_close(seen[0], looking, rtol=0, atol=1e-6)
    replay()
    assert not torch.equal(seen[0], seen[1])


@pytest.mark.parametrize("augment", [name for name in AUGMENTS if "trivial" in name or "rand" in name])
def test_a_policy_comes_between_moves_and_the_cut(augment, monkeypatch):
    calls, policy = [], "trivial" if "trivial" in augment else "rand"

    def spy(x, generator):
        calls.append(x)
        return x + 1

    monkeypatch.setattr(f"latentover.training.augment.{policy}_augment", spy)
    x = torch.rand(200, 1, 16, 16, generator=generator()) + 0.1
    before = augment.split(policy)[0].rstrip("_") or "none"
    out = augment_images(x, augment, generator())
    assert torch.equal(calls[0], augment_images(x, before, generator()))
    gone = (out == 0).flatten(1).any(dim=1).float().mean()
    assert (abs(gone - 0.5) < 0.2) == ("cutout" in augment)
    assert np.isclose(out[out != 0].min(), 1.1 if before == "none" else 1, atol=1e-2)
