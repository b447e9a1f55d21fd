import pytest
import torch
from torch import nn

from latentover.networks.backbones import build_backbone, network_stages
from latentover.networks.resnet import resnet32


class TestBuildBackbone:
    @pytest.mark.parametrize(
        ("name", "length"), [("conv", 6), ("resnet32", 64), ("resnet18", 512), ("mobilenet_v3_small", 1024)]
    )
    @pytest.mark.parametrize("channels", [1, 3])
    def test_images_become_features_of_that_length(self, name, length, channels):
        network, feature_dim = build_backbone(
            (channels, 32, 32), name, feature_dim=6, channels=4, hidden_units=8, dropout=0.0
        )
        assert network.training
        assert feature_dim == length
        assert network.eval()(torch.rand(2, channels, 32, 32)).shape == (2, length)

    def test_tables_and_modules_keep_their_length(self):
        assert build_backbone((5,), "auto", feature_dim=3, hidden_units=4)[1] == 3
        assert build_backbone((5,), nn.Linear(5, 2), feature_dim=2)[1] == 2

    def test_grey_images_are_three_equal_channels_for_torchvision(self):
        network = build_backbone((1, 32, 32), "mobilenet_v3_small")[0].eval()
        grey = torch.rand(2, 1, 32, 32)
        torch.testing.assert_close(network(grey), network.body(grey.repeat(1, 3, 1, 1)))

    def test_says_what_does_not_fit(self):
        with pytest.raises(ValueError, match=r"Expected backbone to be one of .* but got 'resnet33'; torchvision"):
            build_backbone((3, 32, 32), "resnet33")
        with pytest.raises(ValueError, match="rows of length 5, but got 'resnet32', which is for images"):
            build_backbone((5,), "resnet32")
        with pytest.raises(
            ValueError, match="Expected images of 1 or 3 channels for torchvision's resnet34, but got 2"
        ):
            build_backbone((2, 32, 32), "resnet34")
        with pytest.raises(ValueError, match="Expected images that torchvision's alexnet can take, but those of shape"):
            build_backbone((3, 16, 16), "alexnet")


class TestNetworkStages:
    @pytest.mark.parametrize(
        ("shape", "name", "n_stages"),
        [((3, 32, 32), "resnet32", 4), ((1, 28, 28), "conv", 3), ((5,), "auto", 3)],
    )
    def test_run_one_after_the_other_they_are_the_network(self, shape, name, n_stages):
        network = build_backbone(shape, name, feature_dim=6, channels=4, hidden_units=8, dropout=0.0)[0].eval()
        stages = network_stages(network)
        assert len(stages) == n_stages
        inputs = torch.rand(3, *shape)
        hidden = inputs
        for stage in stages:
            hidden = stage(hidden)
        torch.testing.assert_close(hidden, network(inputs))

    def test_of_a_residual_network_of_torchvision(self):
        network = build_backbone((1, 32, 32), "resnet34")[0].eval()
        inputs = torch.rand(2, 1, 32, 32)
        hidden = inputs
        for stage in network_stages(network):
            hidden = stage(hidden)
        torch.testing.assert_close(hidden, network(inputs))

    def test_are_not_known_of_any_module(self):
        class Unknown(nn.Module):
            pass

        assert network_stages(Unknown()) is None

    def test_of_a_sequence_are_its_modules(self):
        network = resnet32()
        assert network_stages(network)[1] is network[1]
