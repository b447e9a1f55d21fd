"""Layers that the image and the table networks share."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LEAK = 0.2


def linear(n_in: int, n_out: int) -> nn.Linear:
    """Return a dense layer with Glorot-uniform weights and zero bias."""
    layer = nn.Linear(n_in, n_out)
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def batch_norm(n_features: int, *, images: bool = False) -> nn.Module:
    """Return batch normalisation whose running statistics follow within tens of steps, with Keras' epsilon."""
    kind = nn.BatchNorm2d if images else nn.BatchNorm1d
    return kind(n_features, momentum=0.1, eps=1e-3)


class Dropout(nn.Module):
    """Inverted dropout; on the CPU two to four times faster than `nn.Dropout` (``benchmarks/dropout_speed.py``).

    Parameters
    ----------
    p : float in [0, 1)
        Probability of zero, rounded to a multiple of 2**-16 on the CPU.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """Zero elements of x (any shape) and scale the others by 1 / (1 - p), in training mode only."""
        if not self.training or self.p == 0:
            return x
        if x.device.type != "cpu":
            return F.dropout(x, self.p)
        dense = x.is_contiguous() or (x.dim() == 4 and x.is_contiguous(memory_format=torch.channels_last))
        x = x if dense else x.contiguous()
        bits = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(2**63), None).view(torch.int16)
        # The mask lies in memory as x does: other strides would cost more than the draws.
        bits = bits[: x.numel()].as_strided(x.shape, x.stride())
        dropped = min(round(self.p * 2**16), 2**16 - 1)
        # Compared in place, for booleans are slow to make and to turn into numbers.
        return x * bits.ge_(dropped - 2**15).to(x.dtype).mul_(2**16 / (2**16 - dropped))


class LeakyReLU(nn.Module):
    """`nn.LeakyReLU` for networks under a gradient penalty: the same values, and a second derivative known to be zero.

    The slopes are constants for autograd, so that the gradient of a gradient does not go back through the forward
    pass, with nothing but zeros; a penalty takes 0.6 of the time.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Multiply what is not positive (any shape) by `LEAK`."""
        return _LeakyReLU.apply(x)


class _LeakyReLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return F.leaky_relu(x, LEAK)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return torch.ops.aten.leaky_relu_backward(gradients[0], x.detach(), LEAK, self_is_result=False)


class HalvingConv(nn.Conv2d):
    """A 4x4 convolution of stride 2 that halves any side, rounding up.

    An odd side is padded by one pixel before and two behind it, as TensorFlow's ``"same"`` does.
    """

    def __init__(self, n_in: int, n_out: int, *, bias: bool = False) -> None:
        super().__init__(n_in, n_out, kernel_size=4, stride=2, padding=1, bias=bias)
        nn.init.xavier_uniform_(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, n_in, h, w) to (B, n_out, ceil(h / 2), ceil(w / 2))."""
        height, width = x.shape[-2:]
        if height % 2 or width % 2:
            x = F.pad(x, (0, width % 2, 0, height % 2))
        return super().forward(x)


def doubling_conv(n_in: int, n_out: int) -> nn.ConvTranspose2d:
    """Return a 4x4 transposed convolution of stride 2: (B, n_in, h, w) to (B, n_out, 2h, 2w)."""
    layer = nn.ConvTranspose2d(n_in, n_out, kernel_size=4, stride=2, padding=1)
    nn.init.xavier_uniform_(layer.weight)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer


class ResizingConv(nn.Conv2d):
    """A 3x3 convolution of an image whose pixels were all repeated: (B, n_in, h, w) to (B, n_out, 2h, 2w).

    All places see the same weights, so that a flat image stays flat. A transposed convolution of stride 2 has other
    weights for even and for odd places, which few pictures leave as a checkerboard. Both steps in one are a transposed
    convolution too, whose 4x4 kernel is made of the 3x3 one: as fast, and without an image in between.

    References
    ----------
    Odena, Dumoulin and Olah, "Deconvolution and Checkerboard Artifacts", Distill 2016.
    """

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__(n_in, n_out, kernel_size=3, padding=1)
        nn.init.xavier_uniform_(self.weight)
        assert self.bias is not None
        nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, n_in, h, w) to (B, n_out, 2h, 2w)."""
        taps = self.weight.flip(2, 3).transpose(0, 1)
        kernel = torch.stack([F.pad(taps, (i, 1 - i, j, 1 - j)) for i in (0, 1) for j in (0, 1)]).sum(dim=0)
        return F.conv_transpose2d(x, kernel, self.bias, stride=2, padding=1)


def with_label(x: Tensor, onehot: Tensor) -> Tensor:
    """Append the one-hot label: (B, d) and (B, C) to (B, d + C)."""
    return torch.cat([x, onehot.to(x.dtype)], dim=1)


def images_last(x: Tensor) -> Tensor:
    """Return images with their channels innermost in memory, which convolutions are faster on; rows as they are."""
    return x.contiguous(memory_format=torch.channels_last) if x.dim() == 4 else x


class Flatten(nn.Module):
    """`nn.Flatten` whose gradient comes back with the channels innermost in memory, as the images lie."""

    def forward(self, x: Tensor) -> Tensor:
        """Map images (B, c, h, w) to rows (B, c h w)."""
        if x.requires_grad and x.is_contiguous(memory_format=torch.channels_last):
            x.register_hook(images_last)
        return x.flatten(1)


def learning(network: nn.Module) -> list[nn.Parameter]:
    """Return the parameters of a network that are not frozen."""
    return [parameter for parameter in network.parameters() if parameter.requires_grad]


def evaluating(network: nn.Module, *, dropout: bool = False) -> Callable[..., Tensor]:
    """Return a network as a function that runs it in evaluation mode and leaves it in the mode that it is in.

    With `dropout` its layers of dropout are as in training, and those of batch normalisation as in evaluation.
    """

    def evaluated(x: Tensor, *others: Tensor) -> Tensor:
        training = network.training
        network.eval()
        for layer in network.modules() if dropout else ():
            if isinstance(layer, nn.Dropout | Dropout):
                layer.train(training)
        outputs = network(images_last(x), *others)
        network.train(training)
        return outputs

    return evaluated
