from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import nn

from latentover.networks.layers import (
    LEAK,
    Dropout,
    Flatten,
    HalvingConv,
    LeakyReLU,
    ResizingConv,
    batch_norm,
    doubling_conv,
    images_last,
    linear,
    with_label,
)

ALL_SIDES = [8, 9, 28, 31, 32, 33]


def naive_same_convolution(x, kernels, stride=2):
    """TensorFlow's "same": out = ceil(in / stride); the padding needed is split, with the odd pixel behind."""
    c_out, c_in, k, _ = kernels.shape
    out = [-(-side // stride) for side in x.shape[1:]]
    total = [max((o - 1) * stride + k - side, 0) for o, side in zip(out, x.shape[1:], strict=True)]
    padded = np.pad(x, [(0, 0), *[(t // 2, t - t // 2) for t in total]])
    result = np.zeros((c_out, *out))
    for o in range(c_out):
        for i in range(out[0]):
            for j in range(out[1]):
                window = padded[:c_in, i * stride : i * stride + k, j * stride : j * stride + k]
                result[o, i, j] = (window * kernels[o]).sum()
    return result


class TestHalvingConv:
    @pytest.mark.parametrize("height", ALL_SIDES)
    @pytest.mark.parametrize("width", [8, 9, 14])
    def test_equals_a_naive_writing_of_same_padding(self, height, width):
        layer = HalvingConv(2, 3)
        x = torch.randn(1, 2, height, width)
        expected = naive_same_convolution(x[0].numpy(), layer.weight.detach().numpy())
        np.testing.assert_allclose(layer(x)[0].detach().numpy(), expected, atol=1e-4)

    @pytest.mark.parametrize("side", ALL_SIDES)
    def test_pads_one_before_and_one_or_two_behind(self, side):
        layer = HalvingConv(1, 1)
        nn.init.ones_(layer.weight)
        out = layer(torch.ones(1, 1, side, side))[0, 0]
        assert out.shape == (-(-side // 2), -(-side // 2))
        assert out[0, 1] / out[1, 1] == 3 / 4  # one row of four lies in the padding
        assert out[-1, 1] / out[1, 1] == (2 / 4 if side % 2 else 3 / 4)

    def test_has_no_bias_unless_asked(self):
        assert HalvingConv(1, 1).bias is None


class TestOtherLayers:
    def test_doubling(self):
        assert doubling_conv(3, 2)(torch.zeros(1, 3, 5, 4)).shape == (1, 2, 10, 8)

    def test_resizing_is_a_convolution_of_repeated_pixels(self):
        layer, x = ResizingConv(3, 2), torch.rand(2, 3, 5, 4, requires_grad=True)
        torch.nn.init.uniform_(layer.bias)
        repeated = x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
        expected = torch.nn.functional.conv2d(repeated, layer.weight, layer.bias, padding=1)
        found = layer(x)
        torch.testing.assert_close(found, expected)
        for of in (x, layer.weight):
            gradients = [torch.autograd.grad(y.square().sum(), of, retain_graph=True)[0] for y in (found, expected)]
            torch.testing.assert_close(*gradients)

    def test_a_flat_image_stays_flat_where_a_transposed_convolution_leaves_a_checkerboard(self):
        flat = torch.rand(1, 8, 1, 1).expand(-1, -1, 6, 6)
        spread = [layer(8, 1)(flat)[0, 0, 2:-2, 2:-2].std().item() for layer in (ResizingConv, doubling_conv)]
        assert spread[0] < 1e-6 < 1e-2 < spread[1]

    @pytest.mark.parametrize("layer", [linear(50, 70), doubling_conv(30, 20), ResizingConv(30, 20)])
    def test_glorot_uniform_weights_and_zero_bias(self, layer):
        receptive = layer.weight[0, 0].numel()
        fan_in, fan_out = (side * receptive for side in layer.weight.shape[:2])
        bound = (6 / (fan_in + fan_out)) ** 0.5
        assert 0.95 * bound < layer.weight.abs().max() <= bound
        assert layer.weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.05)
        assert (layer.bias == 0).all()

    def test_batch_norm_has_the_epsilon_of_keras(self):
        assert batch_norm(3).eps == batch_norm(3, images=True).eps == 1e-3
        assert batch_norm(3, images=True)(torch.randn(2, 3, 4, 4)).shape == (2, 3, 4, 4)

    def test_with_label(self):
        joined = with_label(torch.tensor([[1.0, 2.0]]), torch.tensor([[0, 1, 0]]))
        assert joined.tolist() == [[1, 2, 0, 1, 0]]

    def test_images_last_changes_the_memory_not_the_values(self):
        x = torch.randn(2, 3, 4, 5)
        assert torch.equal(images_last(x), x)
        assert images_last(x).is_contiguous(memory_format=torch.channels_last)
        rows = torch.randn(2, 3)
        assert images_last(rows) is rows


class TestDropout:
    SHAPES: ClassVar = [(1000, 50), (7, 3, 41, 31), (40001,)]

    @pytest.mark.parametrize("p", [0.1, 0.4, 0.9])
    @pytest.mark.parametrize("shape", SHAPES, ids=str)
    def test_zeroes_the_fraction_p_and_scales_the_rest(self, p, shape):
        torch.manual_seed(0)
        out = Dropout(p)(torch.ones(shape))
        spread = (p * (1 - p) / out.numel()) ** 0.5
        assert (out == 0).float().mean().item() == pytest.approx(p, abs=5 * spread)
        np.testing.assert_allclose(out[out != 0].numpy(), 1 / (1 - p), rtol=1e-4)

    def test_neighbours_are_independent(self):
        torch.manual_seed(0)
        kept = Dropout(0.5)(torch.ones(1 << 16)) != 0
        for distance in (1, 2, 3, 4):
            together = (kept[distance:] & kept[:-distance]).float().mean().item()
            assert together == pytest.approx(0.25, abs=0.01)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
    def test_keeps_type_memory_and_gradient(self, dtype):
        x = images_last(torch.randn(2, 8, 4, 5)).to(dtype).requires_grad_()
        out = Dropout(0.4)(x)
        assert out.dtype == dtype
        assert out.is_contiguous(memory_format=torch.channels_last)
        out.float().sum().backward()
        assert torch.equal(x.grad == 0, out == 0)

    def test_of_a_view(self):
        torch.manual_seed(0)
        x = torch.ones(100, 80)[:, ::2].t()
        assert 0.3 < (Dropout(0.4)(x) == 0).float().mean() < 0.5

    def test_does_nothing_outside_training_or_at_zero(self):
        x = torch.randn(3, 4)
        assert Dropout(0.5).eval()(x) is x
        assert Dropout(0.0)(x) is x

    def test_almost_one(self):
        assert torch.isfinite(Dropout(1 - 1e-9)(torch.ones(1000))).all()

    def test_follows_the_seed(self):
        outs = []
        for _ in range(2):
            torch.manual_seed(3)
            outs.append(Dropout(0.5)(torch.ones(1000)))
        assert torch.equal(*outs)


class TestLeakyReLU:
    def test_values_and_gradients_are_those_of_torch(self):
        x = torch.cat([torch.randn(50), torch.zeros(2)]).requires_grad_()
        ours, theirs = LeakyReLU()(x), nn.LeakyReLU(LEAK)(x)
        assert torch.equal(ours, theirs)
        grad = torch.randn(52)
        assert torch.equal(torch.autograd.grad(ours, x, grad)[0], torch.autograd.grad(theirs, x, grad)[0])

    def test_gradients_of_a_gradient_penalty_are_those_of_torch(self):
        found = []
        for layer in (LeakyReLU(), nn.LeakyReLU(LEAK)):
            torch.manual_seed(0)
            network = nn.Sequential(HalvingConv(1, 4), layer, nn.Flatten(), linear(64, 8), layer, linear(8, 1))
            x = torch.randn(5, 1, 8, 8, requires_grad=True)
            (slope,) = torch.autograd.grad(network(x).sum(), x, create_graph=True)
            penalty = (slope.flatten(1).norm(dim=1) - 1).square().mean()
            found.append(torch.autograd.grad(penalty, [network[0].weight, network[3].weight, network[5].weight]))
        for ours, theirs in zip(*found, strict=True):
            assert theirs.abs().max() > 0
            assert torch.equal(ours, theirs)

    def test_keeps_type_and_memory_format(self):
        x = torch.randn(2, 3, 4, 5, dtype=torch.bfloat16).to(memory_format=torch.channels_last)
        y = LeakyReLU()(x)
        assert y.dtype == torch.bfloat16
        assert y.is_contiguous(memory_format=torch.channels_last)


def test_flatten_gives_the_gradient_back_as_the_images_lie_in_memory():
    images = images_last(torch.rand(3, 4, 5, 6))
    strides = {}
    for layer in (Flatten(), nn.Flatten()):
        x = images.clone(memory_format=torch.preserve_format).requires_grad_()
        inner = x * 2  # not a leaf, as behind a convolution

        def remember(gradient, layer=layer):
            strides[type(layer)] = gradient.stride()

        rows = layer(inner)
        inner.register_hook(remember)
        weights = torch.arange(rows.numel(), dtype=rows.dtype).view_as(rows)
        (gradient,) = torch.autograd.grad((rows**2 * weights).sum(), x, create_graph=True)
        assert torch.equal(rows, images.flatten(1) * 2)
        torch.testing.assert_close(gradient, 8 * images * weights.view(3, 4, 5, 6))
        (second,) = torch.autograd.grad(gradient.sum(), x)
        torch.testing.assert_close(second, 8 * weights.view(3, 4, 5, 6).contiguous())
    assert strides[Flatten] == images.stride()
    assert strides[nn.Flatten] != images.stride()  # else the layer would be needless


def test_flatten_leaves_other_images_alone():
    x = torch.rand(2, 3, 4, 4, requires_grad=True)
    (gradient,) = torch.autograd.grad((Flatten()(x * 1) ** 2).sum(), x)
    assert gradient.is_contiguous()
    torch.testing.assert_close(gradient, 2 * x)
