"""Time of the project's dropout layer beside torch.nn.Dropout: forward and backward of one layer, on the CPU.

Run with ``python benchmarks/dropout_speed.py``.
"""

import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from latentover.experiments.environment import hardware
from latentover.networks.layers import Dropout

SHAPES = {"first convolution": (128, 64, 14, 14), "second convolution": (128, 128, 7, 7), "dense": (128, 1024)}
ROUNDS = 30


def milliseconds(layer: nn.Module, x: Tensor) -> float:
    """Return the median over the rounds."""
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        layer(x).sum().backward()
        times.append(time.perf_counter() - start)
    return sorted(times)[ROUNDS // 2] * 1e3


def table(make_input: Callable[[tuple[int, ...]], Tensor]) -> None:
    print(f"{'activations':<22}{'torch, ms':>10}{'ours, ms':>10}{'ratio':>8}")
    for name, shape in SHAPES.items():
        x = make_input(shape)
        theirs, ours = milliseconds(nn.Dropout(0.4), x), milliseconds(Dropout(0.4), x)
        print(f"{name:<22}{theirs:>10.2f}{ours:>10.2f}{theirs / ours:>8.1f}")


def activations(shape: tuple[int, ...]) -> Tensor:
    x = torch.randn(shape, dtype=torch.bfloat16)
    return (x.to(memory_format=torch.channels_last) if x.dim() == 4 else x).requires_grad_()


if __name__ == "__main__":
    print(f"torch {torch.__version__}, {hardware()}, {torch.get_num_threads()} threads, bfloat16")
    table(activations)
