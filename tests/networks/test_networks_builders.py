"""The networks fit any shape of data and have the published sizes."""

import pytest
import torch
from torch import nn

from latentover.networks import (
    Mixer,
    build_critic,
    build_decoder,
    build_encoder,
    check_input_shape,
    default_hidden_units,
)

SIZES = [(8, 8), (9, 9), (28, 28), (31, 31), (32, 32), (33, 47), (64, 64), (96, 96), (8, 96), (50, 8)]
SHAPES = [(c, *size) for size in SIZES for c in (1, 3, 5)] + [(1,), (2,), (64,)]
SMALL = {"channels": 4, "hidden_units": 8}


def n_parameters(module):
    return sum(parameter.numel() for parameter in module.parameters())


class TestAnyShape:
    @pytest.mark.parametrize("shape", SHAPES, ids=str)
    def test_out_is_as_in(self, shape):
        x, onehot = torch.rand(3, *shape), torch.eye(3)
        z = build_encoder(shape, 5, **SMALL)(x)
        assert z.shape == (3, 5)
        decoded = build_decoder(shape, 5, 3, **SMALL)(z, onehot)
        assert decoded.shape == x.shape
        if len(shape) == 3:
            assert decoded.min() >= 0
            assert decoded.max() <= 1
        assert build_critic(shape, 3, **SMALL)(decoded, onehot).shape == (3,)

    @pytest.mark.parametrize("shape", [(1, 33, 47), (1, 31, 8), (1, 9, 96)], ids=str)
    def test_every_pixel_matters(self, shape):
        """No row or column of an odd size is cut off on the way in, or left constant on the way out."""
        x = torch.rand(4, *shape, requires_grad=True)
        build_encoder(shape, 5, dropout=0.0, **SMALL)(x).square().sum().backward()
        assert (x.grad.abs().sum(dim=0) > 0).all()
        torch.manual_seed(0)
        pictures = build_decoder(shape, 5, 2, **SMALL)(torch.randn(64, 5), torch.eye(2)[[0, 1] * 32])
        assert (pictures.std(dim=0) > 0).all()

    @pytest.mark.parametrize("shape", [(1, 7, 7), (3, 7, 32), (3, 32, 7), (28, 28, 3), (8, 8), (0, 8, 8), ()], ids=str)
    def test_too_small_or_no_image(self, shape):
        message = r"sides of at least 8 pixels, but got .*channels_last=True"
        with pytest.raises(ValueError, match=message):
            check_input_shape(shape)
        with pytest.raises(ValueError, match=message):
            build_encoder(shape, 5)

    def test_networks_of_labels_use_the_label(self):
        z, x = torch.randn(4, 5), torch.rand(4, 1, 8, 8)
        for labels in ([0, 1, 2, 0], [1, 1, 1, 1]):
            onehot = torch.eye(3)[labels]
            decoder, critic = build_decoder((1, 8, 8), 5, 3, **SMALL).eval(), build_critic((1, 8, 8), 3, **SMALL)
            assert not torch.allclose(decoder(z, onehot), decoder(z, onehot.roll(1, dims=1)))
            assert not torch.allclose(critic(x, onehot), critic(x, onehot.roll(1, dims=1)))

    def test_a_critic_scores_each_sample_alone(self):
        """A gradient penalty a sample needs a critic without batch normalisation."""
        for shape in [(3, 9, 12), (6,)]:
            critic, x, onehot = build_critic(shape, 2, **SMALL), torch.rand(6, *shape), torch.eye(2)[[0, 1] * 3]
            alone = torch.cat([critic(x[i : i + 1], onehot[i : i + 1]) for i in range(6)])
            torch.testing.assert_close(critic(x, onehot), alone, rtol=1e-4, atol=1e-5)


class TestPublishedSizes:
    """The paper's networks for 10 classes of 32x32 colour images with latents of length 256."""

    def test_encoder(self):
        convolutions, dense = 3072 + 131072, (8192 * 1024 + 1024) + (1024 * 256 + 256)
        norms = 2 * (64 + 128 + 1024)
        assert n_parameters(build_encoder((3, 32, 32), 256)) == convolutions + dense + norms

    def test_mixer_first_layer(self):
        assert n_parameters(Mixer(256, 10).layers[0]) == 797696

    def test_mixer(self):
        inner, norms, last = 3 * (1024 * 1024 + 1024), 4 * 2 * 1024, 1024 * 2 + 2
        assert n_parameters(Mixer(256, 10)) == 797696 + inner + norms + last

    def test_decoder(self):
        dense = (256 + 10) * 1024 + 1024 + 2 * 1024 + 1024 * 8192 + 8192 + 2 * 8192
        for upsampling, taps in {"transposed": 16, "resize": 9}.items():  # the first is the paper's
            first = 128 * 128 * taps + 128 + 2 * 128
            second = 128 * 64 * taps + 64 + 2 * 64
            decoder = build_decoder((3, 32, 32), 256, 10, upsampling=upsampling)
            assert n_parameters(decoder) == dense + first + second + 64 * 3 * 9 + 3

    def test_critic(self):
        dense = (8192 + 10) * 1024 + 1024 + 1024 + 1
        assert n_parameters(build_critic((3, 32, 32), 10)) == 3072 + 131072 + dense

    def test_tables(self):
        encoder = 64 * 512 + 512 + 2 * 512 + 512 * 256 + 256 + 2 * 256 + 256 * 8 + 8
        critic = (64 + 5) * 512 + 512 + 2 * (512 * 512 + 512) + 512 + 1
        assert n_parameters(build_encoder((64,), 8)) == encoder
        assert n_parameters(build_critic((64,), 5)) == critic

    def test_default_widths(self):
        assert default_hidden_units((1, 28, 28), None) == 1024
        assert default_hidden_units((20,), None) == 512
        assert default_hidden_units((20,), 7) == 7


class TestMixer:
    @pytest.mark.parametrize("t", [1, 2, 3, 4])
    @pytest.mark.parametrize("training", [True, False])
    def test_rows_are_positive_and_sum_to_one(self, t, training):
        mixer = Mixer(6, 3, n_components=t, hidden_units=16).train(training)
        weights = mixer(100 * torch.randn(9, t, 6), torch.eye(3).repeat(3, 1), torch.randn(9, 6))
        assert weights.shape == (9, t)
        assert (weights >= 0).all()
        torch.testing.assert_close(weights.sum(dim=1), torch.ones(9), atol=1e-6, rtol=0)

    def test_depends_on_latents_noise_and_label(self):
        torch.manual_seed(0)
        mixer = Mixer(6, 3, hidden_units=16).eval()
        z, onehot, noise = torch.randn(9, 2, 6), torch.eye(3).repeat(3, 1), torch.randn(9, 6)
        weights = mixer(z, onehot, noise)
        for other in (mixer(z + 1, onehot, noise), mixer(z, onehot.roll(1, 0), noise), mixer(z, onehot, noise + 1)):
            assert not torch.allclose(weights, other)


class TestEncoderOfTheUsers:
    def test_is_copied_and_trainable(self):
        theirs = nn.Sequential(nn.Flatten(), nn.Linear(64, 5)).eval()
        ours = build_encoder((1, 8, 8), 5, encoder=theirs)
        assert ours is not theirs
        assert ours.training
        assert not theirs.training
        nn.init.zeros_(ours[1].weight)
        assert theirs[1].weight.abs().sum() > 0

    def test_wrong_length_is_refused(self):
        theirs = nn.Sequential(nn.Flatten(), nn.Linear(64, 6))
        message = (
            r"Expected encoder to map inputs \(2, 1, 8, 8\) to latents \(2, 5\), but it gave \(2, 6\); set latent_dim"
        )
        with pytest.raises(ValueError, match=message):
            build_encoder((1, 8, 8), 5, encoder=theirs)

    def test_unknown_name(self):
        with pytest.raises(ValueError, match=r"Expected encoder to be one of .* or an nn.Module, but got 'vgg'"):
            build_encoder((1, 8, 8), 5, encoder="vgg")

    @pytest.mark.parametrize("name", ["conv", "resnet"])
    def test_convolutions_are_for_images(self, name):
        assert build_encoder((1, 8, 9), 5, encoder=name, channels=4)(torch.rand(2, 1, 8, 9)).shape == (2, 5)
        with pytest.raises(
            ValueError, match=f"Expected encoder to be 'auto' .* rows of length 6, but got '{name}', which"
        ):
            build_encoder((6,), 5, encoder=name)
