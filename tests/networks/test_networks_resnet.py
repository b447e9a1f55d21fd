import math

import pytest
import torch

from latentover.networks.cosine import CosineClassifier
from latentover.networks.resnet import resnet18, resnet32


def n_parameters(module):
    return sum(parameter.numel() for parameter in module.parameters())


def counted_by_hand(channels, widths, blocks, *, projections):
    """Weights of 3x3 convolutions and two a channel for each batch normalisation, block by block."""
    total = channels * widths[0] * 9 + 2 * widths[0]
    n_in = widths[0]
    for width in widths:
        for _ in range(blocks):
            total += n_in * width * 9 + width * width * 9 + 4 * width
            if projections and n_in != width:
                total += n_in * width + 2 * width
            n_in = width
    return total


class TestResNet:
    @pytest.mark.parametrize("channels", [1, 3])
    def test_numbers_of_parameters(self, channels):
        expected = counted_by_hand(channels, (16, 32, 64), 5, projections=False)
        assert n_parameters(resnet32(channels)) == expected
        expected = counted_by_hand(channels, (64, 128, 256, 512), 2, projections=True)
        assert n_parameters(resnet18(channels)) == expected

    def test_known_sizes(self):
        """With a classifier of ten classes: the 0.46 and 11.17 million of the literature."""
        assert n_parameters(resnet32()) + 64 * 10 + 10 == 464_154
        assert n_parameters(resnet18()) + 512 * 10 + 10 == 11_173_962

    @pytest.mark.parametrize(("build", "layers"), [(resnet32, 31), (resnet18, 17)], ids=["resnet32", "resnet18"])
    def test_depth(self, build, layers):
        """With the classifier 32 and 18 layers."""
        convolutions = [m for m in build().modules() if isinstance(m, torch.nn.Conv2d) and m.kernel_size == (3, 3)]
        assert len(convolutions) == layers

    @pytest.mark.parametrize("shape", [(3, 32, 32), (1, 8, 8), (2, 9, 13), (4, 28, 31)])
    def test_any_image_becomes_features(self, shape):
        x = torch.rand(2, *shape)
        assert resnet32(shape[0])(x).shape == (2, 64)
        assert resnet18(shape[0]).eval()(x).shape == (2, 512)

    def test_stages_halve_the_image_and_double_the_channels(self):
        body, x = resnet32().eval(), torch.rand(2, 3, 33, 32)
        shapes = [tuple(body[:n](x).shape[1:]) for n in (1, 2, 3)]
        assert shapes == [(16, 33, 32), (32, 17, 16), (64, 9, 8)]
        torch.testing.assert_close(body[2:](body[:2](x)), body(x))

    def test_a_shortcut_without_parameters_keeps_every_second_pixel_in_the_middle_channels(self):
        block, x = resnet32().eval()[1][0], torch.rand(2, 16, 7, 6)
        shortcut = block.shortcut(x)
        assert shortcut.shape == (2, 32, 4, 3)
        assert torch.equal(shortcut[:, 8:24], x[:, :, ::2, ::2])
        assert shortcut[:, :8].abs().sum() == shortcut[:, 24:].abs().sum() == 0

    def test_convolutions_start_with_the_variance_of_he(self):
        torch.manual_seed(0)
        for convolution in (resnet32()[2][1].conv1, resnet18()[3][0].shortcut[0]):
            fan_in = convolution.weight[0].numel()
            assert convolution.weight.std().item() == pytest.approx(math.sqrt(2 / fan_in), rel=0.02)

    def test_every_parameter_gets_a_gradient(self):
        body = resnet32()
        body(torch.rand(4, 3, 8, 8)).square().sum().backward()
        assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in body.parameters())


class TestCosineClassifier:
    def test_equals_a_loop(self):
        layer, features = CosineClassifier(6, 3), torch.randn(4, 6) * 10
        cosines = layer(features)
        for i in range(4):
            for c in range(3):
                u, v = features[i].tolist(), layer.weight[c].tolist()
                dot, uu, vv = (sum(map(math.prod, zip(*pair, strict=True))) for pair in ((u, v), (u, u), (v, v)))
                expected = dot / math.sqrt(uu * vv)
                assert cosines[i, c].item() == pytest.approx(expected, abs=1e-6)

    def test_starts_with_directions_of_unit_length(self):
        layer = CosineClassifier(64, 10)
        torch.testing.assert_close(layer.weight.norm(dim=1), torch.ones(10))
        assert [name for name, _ in layer.named_parameters()] == ["weight"]

    def test_the_length_of_features_and_directions_does_not_matter(self):
        layer, features = CosineClassifier(6, 3), torch.randn(4, 6)
        cosines = layer(features)
        with torch.no_grad():
            layer.weight *= 7
        torch.testing.assert_close(layer(100 * features), cosines)

    def test_is_computed_in_float32_inside_autocast(self):
        layer, features = CosineClassifier(64, 10), torch.randn(4, 64)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert torch.equal(layer(features), layer(features.float()))
            assert layer(features.bfloat16()).dtype == torch.float32
        torch.testing.assert_close(layer(features), torch.cosine_similarity(features[:, None], layer.weight, dim=2))
