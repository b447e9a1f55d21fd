"""The small residual network: its size, its layers in a second writing, and any shape of image."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from latentover.networks.small_resnet import SmallResNet

SHAPES = [(1, 8, 8), (3, 9, 9), (1, 28, 28), (5, 31, 31), (3, 33, 47), (1, 8, 96), (1, 50, 8)]


def convolved(x, layers):
    """Apply a convolution, a pool where there is one, normalisation with stored statistics and ReLU."""
    convolution, *pools, norm = [layer for layer in layers if not isinstance(layer, nn.ReLU)]
    x = F.conv2d(x, convolution.weight, padding=1)
    if pools:
        x = F.max_pool2d(x, 2)
    x = (x - norm.running_mean[:, None, None]) / (norm.running_var[:, None, None] + 1e-3).sqrt()
    return (x * norm.weight[:, None, None] + norm.bias[:, None, None]).relu()


def written_again(network, x):
    stem, first, first_block, middle, last, last_block = network.convolutions
    x = convolved(convolved(x, stem), first)
    x = x + convolved(convolved(x, first_block.convolutions[0]), first_block.convolutions[1])
    x = convolved(convolved(x, middle), last)
    x = x + convolved(convolved(x, last_block.convolutions[0]), last_block.convolutions[1])
    return x.flatten(2).max(dim=2).values / 8 @ network.dense.weight.T + network.dense.bias


class TestSmallResNet:
    def test_is_its_second_writing(self):
        """With sides that are divisible by 8, where pooling has nothing to round."""
        torch.manual_seed(0)
        network = SmallResNet((3, 32, 24), 6, width=4)
        for _ in range(3):  # statistics that are not 0 and 1
            network(torch.rand(16, 3, 32, 24))
        network.eval()
        x = torch.rand(5, 3, 32, 24)
        torch.testing.assert_close(network(x), written_again(network, x))

    @pytest.mark.parametrize("width", [4, 16])
    @pytest.mark.parametrize("n_channels", [1, 3])
    def test_size(self, n_channels, width):
        """Nine weights a pair of channels: stem, w-2w, two 2w-2w, 2w-4w, 4w-8w, two 8w-8w; 2 a normalised channel."""
        w, features = width, 10
        pairs = n_channels * w + 2 * w**2 + 2 * 4 * w**2 + 8 * w**2 + 32 * w**2 + 2 * 64 * w**2
        channels = w + 2 * w + 2 * 2 * w + 4 * w + 8 * w + 2 * 8 * w
        network = SmallResNet((n_channels, 28, 28), features, width=width)
        n_parameters = sum(parameter.numel() for parameter in network.parameters())
        assert n_parameters == 9 * pairs + 2 * channels + (8 * w + 1) * features

    @pytest.mark.parametrize("shape", SHAPES, ids=str)
    def test_any_shape_and_every_pixel_matters(self, shape):
        torch.manual_seed(0)
        x = torch.rand(16, *shape, requires_grad=True)
        features = SmallResNet(shape, 5, width=4)(x)
        assert features.shape == (16, 5)
        features.square().sum().backward()
        assert (x.grad.abs().sum(dim=0) > 0).all()

    @pytest.mark.parametrize(("side", "positions"), [(8, 1), (16, 2), (17, 3), (32, 4), (33, 3), (64, 4), (65, 3)])
    def test_larger_images_get_more_stages(self, side, positions):
        network = SmallResNet((1, side, side), 5, width=4).eval()
        assert network.convolutions(torch.rand(1, 1, side, side)).shape == (1, 32, positions, positions)

    def test_learns(self):
        """Bright upper against bright lower halves, told apart after some steps on fresh noise."""
        torch.manual_seed(0)
        network = SmallResNet((1, 8, 8), 2, width=4)
        optimizer = torch.optim.AdamW(network.parameters(), lr=1e-2)

        def draw():
            y = torch.randint(2, (64,))
            x = torch.rand(64, 1, 8, 8) / 2
            x[y == 0, :, :4] += 0.3
            x[y == 1, :, 4:] += 0.3
            return x, y

        for _ in range(30):
            x, y = draw()
            optimizer.zero_grad()
            F.cross_entropy(network(x), y).backward()
            optimizer.step()
        x, y = draw()
        assert (network.eval()(x).argmax(dim=1) == y).all()
