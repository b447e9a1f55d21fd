"""The trunk: shapes for any input, and TensorFlow's padding pixel by pixel."""

import pytest
import torch
import torch.nn.functional as F

from latentover.networks.trunk import SameConv, build_trunk


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 33, 47), (2, 64, 96), (5,)], ids=str)
def test_features_are_as_many_as_promised(shape):
    trunk = build_trunk(shape, channels=2, hidden_units=6)
    assert trunk(torch.rand(3, *shape)).shape == (3, trunk.n_features)


def test_published_sizes():
    assert build_trunk((1, 28, 28)).n_features == 256 * 7 * 7
    assert build_trunk((3, 32, 32)).n_features == 256 * 8 * 8
    widths = [layer.out_channels for layer in build_trunk((3, 64, 64)).layers if isinstance(layer, SameConv)]
    assert widths == [32, 64, 128, 256, 256, 256]


@pytest.mark.parametrize("side", [6, 7])
def test_stride_two_looks_at_the_pixels_that_tensorflow_looks_at(side):
    conv = SameConv(1, 1, stride=2)
    x = torch.rand(1, 1, side, side)
    out = -(-side // 2)
    total = (out - 1) * 2 + 3 - side  # what "same" pads, the smaller half before
    before = total // 2
    padded = F.pad(x, (before, total - before, before, total - before))
    expected = [
        [(padded[0, 0, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3] * conv.weight[0, 0].detach()).sum() for j in range(out)]
        for i in range(out)
    ]
    torch.testing.assert_close(conv(x)[0, 0], torch.tensor(expected) + conv.bias)
