import math

import numpy as np
import pytest
import torch

from latentover.training.adaptive import DRAWS_PER_IMAGE, AdaptiveAugment, augment_chain, positive_share
from latentover.training.capture import recordable

# Draws at which each step of the chain leaves an image as it is, but for the cutout.
FLIP, UP, LEFT, TURN, HIGH, WIDE, BRIGHTNESS, SATURATION, CONTRAST, TOP, SIDE = range(DRAWS_PER_IMAGE)
STILL = [0.9, 0.5, 0.5, 0.5, 0.0, 0.0, 0.5, 0.5, 0.5, 0.0, 0.0]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def still(n=1, **changes):
    draws = torch.tensor([STILL] * n, dtype=torch.float64)
    for name, value in changes.items():
        draws[:, globals()[name]] = value
    return draws


def images(n=1, channels=3, height=12, width=17, dtype=torch.float64):
    return torch.rand(n, channels, height, width, generator=generator(7), dtype=dtype) + 0.2


def outside_the_cut(x):
    """Return the part that the cutout at the upper left corner (of half of the sides, centred there) leaves."""
    height, width = x.shape[2:]
    return x[:, :, math.ceil(height / 4) + 1 :, math.ceil(width / 4) + 1 :]


def reflected(i, n):
    i = np.mod(i, 2 * n)
    return np.minimum(i, 2 * n - 1 - i)


def bilinear(image, y, x):
    """Value of an image (h, w) at real pixel positions, reflected about the outer borders of its pixels."""
    height, width = image.shape
    top, left = math.floor(y), math.floor(x)
    value = 0.0
    for i, weight_i in ((top, 1 - (y - top)), (top + 1, y - top)):
        for j, weight_j in ((left, 1 - (x - left)), (left + 1, x - left)):
            value += weight_i * weight_j * image[reflected(i, height), reflected(j, width)]
    return value


def chain_by_loops(x, draws):
    """Second writing of the chain for one image (c, h, w): every pixel is looked up on its own, in pixel units."""
    flip, up, left, turn, high, wide, brightness, saturation, contrast, top, side = draws
    channels, height, width = x.shape
    middle_y, middle_x = (height - 1) / 2, (width - 1) / 2
    angle = (2 * turn - 1) * math.pi / 4
    out = np.empty_like(x)
    for i in range(height):
        for j in range(width):
            y, z = (i - middle_y) * (1 - 0.25 * high), (j - middle_x) * (1 - 0.25 * wide)
            y, z = z * math.sin(angle) + y * math.cos(angle), z * math.cos(angle) - y * math.sin(angle)
            y, z = y + middle_y, z + middle_x
            y -= round(0.125 * (2 * up - 1) * height)
            z -= round(0.125 * (2 * left - 1) * width)
            for channel in range(channels):
                source = x[channel, :, ::-1] if flip < 0.5 else x[channel]
                out[channel, i, j] = bilinear(source, y, z)
    out = out + (brightness - 0.5)
    grey = out.mean(axis=0, keepdims=True)
    out = grey + (out - grey) * (2 * saturation)
    out = out.mean() + (out - out.mean()) * (0.5 + contrast)
    cut_y, cut_x = int(height / 2 + 0.5), int(width / 2 + 0.5)
    centre_y = int(top * (height if cut_y % 2 else height + 1))
    centre_x = int(side * (width if cut_x % 2 else width + 1))
    rows, columns = np.arange(height) - centre_y + cut_y // 2, np.arange(width) - centre_x + cut_x // 2
    inside = ((rows >= 0) & (rows < cut_y))[:, None] & ((columns >= 0) & (columns < cut_x))[None]
    return np.where(inside, 0, out)


@pytest.mark.parametrize(("channels", "height", "width"), [(1, 14, 14), (3, 9, 13), (3, 16, 11)])
def test_chain_equals_its_second_writing(channels, height, width):
    x = images(5, channels, height, width)
    draws = torch.rand(5, DRAWS_PER_IMAGE, generator=generator(), dtype=torch.float64)
    draws[:, FLIP] = torch.tensor([0.1, 0.9, 0.2, 0.8, 0.4])
    expected = np.stack([chain_by_loops(*pair) for pair in zip(x.numpy(), draws.numpy(), strict=True)])
    np.testing.assert_allclose(augment_chain(x, draws).numpy(), expected, atol=1e-12)


def test_middle_of_the_ranges_changes_nothing_but_the_cut():
    x = images()
    out = augment_chain(x, still())
    torch.testing.assert_close(outside_the_cut(out), outside_the_cut(x), rtol=0, atol=1e-12)
    assert (out[:, :, :3, :4] == 0).all()  # half of 12 and of 17 (9, rounded up), centred at the corner pixel


def test_flip_mirrors_left_and_right():
    x = images()
    out = augment_chain(x, still(FLIP=0.1))
    torch.testing.assert_close(outside_the_cut(out), outside_the_cut(x.flip(-1)), rtol=0, atol=1e-12)


def test_translation_moves_down_and_right_by_whole_pixels_and_repeats_the_border():
    x = images(height=16, width=16)
    out = augment_chain(x, still(UP=1.0, LEFT=1.0, TOP=1 - 1e-9, SIDE=1 - 1e-9))  # by 2 pixels each; cut below right
    torch.testing.assert_close(out[:, :, 2:12, 2:12], x[:, :, :10, :10], rtol=0, atol=1e-12)
    torch.testing.assert_close(out[:, :, 1, 2:12], x[:, :, 0, :10], rtol=0, atol=1e-12)  # d c b a | a b c d
    torch.testing.assert_close(out[:, :, 0, 2:12], x[:, :, 1, :10], rtol=0, atol=1e-12)


@pytest.mark.parametrize("channels", [1, 3])
def test_colours(channels):
    x = images(channels=channels)
    brighter = augment_chain(x, still(BRIGHTNESS=1.0))
    torch.testing.assert_close(outside_the_cut(brighter), outside_the_cut(x + 0.5))
    grey = augment_chain(x, still(SATURATION=0.0))
    torch.testing.assert_close(outside_the_cut(grey), outside_the_cut(x.mean(1, keepdim=True).expand_as(x)))
    sharper = augment_chain(x, still(CONTRAST=1.0))
    torch.testing.assert_close(outside_the_cut(sharper), outside_the_cut(x.mean() + 1.5 * (x - x.mean())))


@pytest.mark.parametrize(("side", "cut", "places"), [(28, 14, 29), (9, 5, 9)])
def test_cut_is_half_of_the_side_around_every_place_equally_often(side, cut, places):
    n = 4000
    draws = still(n)
    draws[:, [TOP, SIDE]] = torch.rand(n, 2, generator=generator(), dtype=torch.float64)
    gone = augment_chain(torch.ones(n, 1, side, side, dtype=torch.float64), draws)[:, 0] == 0
    heights, widths = gone.any(2).sum(1), gone.any(1).sum(1)
    assert torch.equal(gone.flatten(1).sum(1), heights * widths)  # a rectangle
    assert heights.max() == cut
    assert heights.min() == (cut // 2 if cut % 2 == 0 else cut // 2 + 1)  # around the border, or its last pixel
    inner = places - 2 * (cut // 2)  # places around which the whole cut lies inside
    assert abs((heights == cut).double().mean() - inner / places) < 0.04


def test_gradient_through_the_chain():
    x = images(2, 3, 5, 6).requires_grad_()
    draws = torch.rand(2, DRAWS_PER_IMAGE, generator=generator(3), dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda pixels: augment_chain(pixels, draws), (x,))


def test_gradient_through_the_call_where_some_images_stay():
    augment = AdaptiveAugment().double()
    augment.probability.fill_(0.5)
    x = images(8, 1, 4, 4)
    changed = (augment(x, generator()) != x).flatten(1).any(1)
    assert 0 < changed.sum() < 8
    assert torch.autograd.gradcheck(lambda pixels: augment(pixels, generator()), (x.requires_grad_(),))


def test_share_of_augmented_images_is_the_probability():
    augment = AdaptiveAugment()
    x = images(2000, 1, 8, 8, torch.float32)
    for probability in (0.25, 1.0):
        augment.probability.fill_(probability)
        out = augment(x, generator())
        changed = (out != x).flatten(1).any(1)
        assert abs(changed.double().mean() - probability) < 0.03
        assert torch.equal(out[~changed], x[~changed])


def test_at_probability_zero_the_batch_itself_comes_back():
    x = images(8)
    assert AdaptiveAugment()(x, generator()) is x


def test_choosing_first_and_choosing_last_are_the_same():
    """What a GPU does, the chain for all and then a choice, gives what the CPU does for the chosen ones alone."""
    x = images(16, dtype=torch.float32)
    augment = AdaptiveAugment()
    augment.probability.fill_(0.5)
    draws = torch.rand(16, 1 + DRAWS_PER_IMAGE, generator=generator())
    chosen = (draws[:, 0] < 0.5)[:, None, None, None]
    expected = torch.where(chosen, augment_chain(x, draws[:, 1:]), x)
    torch.testing.assert_close(augment(x, generator()), expected)
    with recordable():
        torch.testing.assert_close(augment(x, generator()), expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_dtype_and_shape_stay(dtype):
    augment = AdaptiveAugment()
    augment.probability.fill_(1)
    x = images(3, 1, 9, 11, dtype)
    out = augment(x, generator())
    assert (out.dtype, out.shape) == (dtype, x.shape)


def test_same_generator_same_images():
    augment = AdaptiveAugment()
    augment.probability.fill_(0.7)
    x = images(6)
    first, second = (augment(x, generator()) for _ in range(2))
    assert torch.equal(first, second)
    assert not torch.equal(first, augment(x, generator(1)))


@pytest.mark.parametrize(
    ("scores", "change"),
    [
        (torch.tensor([3.0, 0.1]), 0.00015),
        (torch.tensor([1.0] * 17 + [-1.0] * 3), 0.0),
        (torch.tensor([1.0, -1.0]), -0.00035),
        (torch.zeros(3, 1), -0.00035),
        (torch.tensor([-5.0]), -0.00085),
    ],
)
def test_update_follows_the_share_of_positive_scores(scores, change):
    augment = AdaptiveAugment()
    augment.probability.fill_(0.5)
    augment.update(positive_share(scores))
    assert augment.probability.item() == pytest.approx(0.5 + change, abs=1e-7)


@pytest.mark.parametrize(("start", "score"), [(0.0, -1.0), (1.0, 1.0)])
def test_probability_stays_between_zero_and_one(start, score):
    augment = AdaptiveAugment(step=10)
    augment.probability.fill_(start)
    augment.update(positive_share(torch.full((4,), score)))
    assert augment.probability.item() == start


def test_update_takes_shares_that_carry_gradients():
    augment = AdaptiveAugment(target=0.5, step=0.1)
    augment.update(positive_share(torch.ones(3, requires_grad=True) * 2))
    assert augment.probability.item() == pytest.approx(0.05)
    assert not augment.probability.requires_grad


def test_update_stays_where_it_is_in_memory():
    augment = AdaptiveAugment()
    place = augment.probability.data_ptr()
    augment.update(torch.tensor(1.0))
    assert augment.probability.data_ptr() == place


def test_state_travels():
    first, second = AdaptiveAugment(step=1), AdaptiveAugment(step=1)
    first.update(torch.tensor(1.0))
    state = {name: value.clone() for name, value in first.state_dict().items()}
    first.update(torch.tensor(1.0))
    second.load_state_dict(state)
    assert second.probability.item() == pytest.approx(0.15)
    assert list(second.parameters()) == []
